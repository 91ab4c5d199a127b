/* test_opencl_memory.c: how buffers are filled with zeros: in pieces that every driver bears, by the pattern for GPUs
   and by that for CPUs, and nothing beside them. */
#include "opencl/ops.h"
#include "opencl_device.h"
#include "preload_next.h"

/* ---- what is enqueued: this function stands before OpenCL's, and while it records nothing is filled ---- */

enum { PIECES = 16, PIECE_MOST = INT32_MAX };
static struct { size_t pattern, at, bytes; } pieces[PIECES];
static int n_pieces;
static bool recording;

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes, size_t at,
                           size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event) {
    NEXT(clEnqueueFillBuffer);
    if (!recording) return real(queue, buffer, pattern, pattern_bytes, at, bytes, waits, wait, event);
    if (n_pieces == PIECES) return CL_OUT_OF_RESOURCES;
    pieces[n_pieces].pattern = pattern_bytes;
    pieces[n_pieces].at = at;
    pieces[n_pieces++].bytes = bytes;
    return CL_SUCCESS;
}

/* A block of an H100's largest size, and one of a single piece. */
START_TEST(large_fills_come_in_pieces_below_2_to_the_31) {
    static const uint64_t sizes[] = {64, (uint64_t)1 << 30, ((uint64_t)5 << 30) + 192};
    error e = {""};
    for (int gpu = 0; gpu < 2; gpu++)
        for (int i = 0; i < 3; i++) {
            device d = {.info.type = gpu ? CL_DEVICE_TYPE_GPU : CL_DEVICE_TYPE_CPU, .op = -1};
            uint64_t at = 4096;
            n_pieces = 0;
            recording = true;
            ck_assert_int_eq(memory_zero(&d, NULL, at, sizes[i], false, &e), OK);
            recording = false;
            for (int k = 0; k < n_pieces; k++) {
                ck_assert_uint_eq(pieces[k].at, at);
                ck_assert_uint_le(pieces[k].bytes, PIECE_MOST);
                ck_assert_uint_eq(pieces[k].pattern, gpu ? 4 : 64);
                ck_assert_uint_eq(pieces[k].at % pieces[k].pattern + pieces[k].bytes % pieces[k].pattern, 0);
                at += pieces[k].bytes;
            }
            ck_assert_uint_eq(at, 4096 + sizes[i]);
        }
}
END_TEST

START_TEST(zeros_are_written_where_they_belong) {
    enum { BYTES = 4096, AT = 512, SOME = 1024 };
    error e = {""};
    backend *b = open_device(0, 0);
    for (int gpu = 0; gpu < 2; gpu++)
        for (int wait = 0; wait < 2; wait++) {
            device d = ((opencl *)b)->device;
            unsigned char bytes[BYTES];
            d.info.type = gpu ? CL_DEVICE_TYPE_GPU : CL_DEVICE_TYPE_CPU;
            memset(bytes, 0xaa, sizeof bytes);
            cl_mem x = clCreateBuffer(d.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, BYTES, bytes, NULL);
            ck_assert_msg(memory_zero(&d, x, AT, SOME, wait, &e) == OK, "%s", e.text);
            clEnqueueReadBuffer(d.queue, x, CL_TRUE, 0, BYTES, bytes, 0, NULL, NULL);
            for (int i = 0; i < BYTES; i++) ck_assert_uint_eq(bytes[i], i >= AT && i < AT + SOME ? 0 : 0xaa);
            clReleaseMemObject(x);
        }
    b->close(b);
}
END_TEST

Suite *opencl_memory_suite(void) {
    Suite *suite = suite_create("opencl_memory");
    TCase *t = tcase_create("opencl_memory");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, large_fills_come_in_pieces_below_2_to_the_31);
    tcase_add_test(t, zeros_are_written_where_they_belong);
    suite_add_tcase(suite, t);
    return suite;
}
