/* test_opencl_program.c: the cache of built kernels, and what CLBlast gets for binaries. */
#include "opencl/device/cl.h"
#include "base/files.h"
#include "opencl/tune/tune.h"
#include "opencl_device.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/snug-cache-XXXXXX";

/* Applies `change` to every file in the kernel cache; returns how many there are. */
static int each_cached(void (*change)(const char *path)) {
    char path[512];
    int n = 0;
    snprintf(path, sizeof path, "%s/snug/kernels", folder);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/snug/kernels/%s", folder, entry->d_name);
        change(path);
        n++;
    }
    if (dir) closedir(dir);
    return n;
}

static void cut_short(const char *path) {
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size / 2), 0);
}

static void flip_a_byte(const char *path) {
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    fseek(f, 1000, SEEK_SET);
    int c = fgetc(f);
    fseek(f, 1000, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

static void make_foreign(const char *path) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 5000; i++) fputs("not a program ", f);
    fclose(f);
}

/* FNV-1a of a file's bytes, added to a sum. */
static uint64_t content;
static void add_content(const char *path) {
    uint64_t h = 0xcbf29ce484222325u;
    FILE *f = fopen(path, "rb");
    for (int c; (c = fgetc(f)) != EOF;) h = (h ^ (uint64_t)c) * 0x100000001b3u;
    fclose(f);
    content += h;
}

static void make_old(const char *path) {
    const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void is_old(const char *path) {
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_msg(st.st_mtime == 1000000, "a sound file was written again");
}

enum { ROWS = 3, C = 48, LANES = 64 };

/* Runs `norm` of norm.cl, a group a row, and expects rows of mean 0 and variance 1. */
static void expect_norms(const device *d, cl_program program) {
    const cl_uint rows_at[] = {0, ROWS * C, ROWS * (C + 2), ROWS * (2 * C + 2)}; /* y, stats, x, w */
    const size_t global = ROWS * LANES, local = LANES;
    float all[ROWS * (2 * C + 2) + C];
    const int numbers[] = {0, C}; /* no bias */
    const float epsilon = 0;
    cl_int code;
    cl_uint arg = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        all[i] = i >= rows_at[3] ? 1.0f : (float)(i * 2654435761u % 1000) / 100;
    cl_kernel kernel = clCreateKernel(program, "norm", &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    cl_mem buffer = clCreateBuffer(d->context, CL_MEM_COPY_HOST_PTR, sizeof all, all, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    for (int i = 0; i < 5; i++) { /* the last is the bias, which is not read */
        cl_ulong at = rows_at[i % 4];
        ck_assert_int_eq(clSetKernelArg(kernel, arg++, sizeof buffer, &buffer), CL_SUCCESS);
        ck_assert_int_eq(clSetKernelArg(kernel, arg++, sizeof at, &at), CL_SUCCESS);
    }
    for (int i = 0; i < 2; i++) ck_assert_int_eq(clSetKernelArg(kernel, arg++, sizeof(int), &numbers[i]), CL_SUCCESS);
    ck_assert_int_eq(clSetKernelArg(kernel, arg++, sizeof epsilon, &epsilon), CL_SUCCESS);
    ck_assert_int_eq(clEnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL), CL_SUCCESS);
    ck_assert_int_eq(clEnqueueReadBuffer(d->queue, buffer, CL_TRUE, 0, sizeof all, all, 0, NULL, NULL), CL_SUCCESS);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0, squares = 0;
        for (int c = 0; c < C; c++) sum += all[r * C + c], squares += (double)all[r * C + c] * all[r * C + c];
        ck_assert_double_eq_tol(sum / C, 0, 1e-5);
        ck_assert_double_eq_tol(squares / C, 1, 1e-5);
    }
    clReleaseMemObject(buffer);
    clReleaseKernel(kernel);
}

/* Builds and runs kernels on the test's device, said to be of this type, in the shape that such devices have: for GPUs
   with barriers. */
static void build_on(cl_device_type type) {
    static const char *const sources[] = {"philox.h", "bf16.cl", "prelude.cl", "norm.cl"};
    device_info *list;
    device d = {.op = -1};
    cl_program program;
    int count, index;
    char why[512], options[128];
    error e = {""};
    ck_assert_msg(devices_list(&list, &count, &e) == OK, "%s", e.text);
    ck_assert_msg(devices_choose(list, count, test_device(), &index, why, sizeof why, &e) == OK, "%s", e.text);
    list[index].type = type;
    ck_assert_msg(device_open(&d, &list[index], &e) == OK, "%s", e.text);
    snprintf(options, sizeof options, "-cl-std=CL1.2 -Du32=uint -Du64=ulong -DSERIAL=%d -DPARTIAL_ROWS=8",
             type == CL_DEVICE_TYPE_CPU);
    ck_assert_msg(device_build(&d, sources, 4, options, &program, &e) == OK, "%s", e.text);
    if (type != CL_DEVICE_TYPE_CPU) expect_norms(&d, program);
    clReleaseProgram(program);
    device_close(&d);
    free(list);
}

static uint64_t cached_content(void) {
    content = 0;
    each_cached(add_content);
    return content;
}

static void start(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
}

/* PoCL may have put its own cache there. */
static void finish(void) { ck_assert_int_eq(folder_remove(folder, NULL), OK); }

START_TEST(damaged_and_foreign_cache_files_are_rebuilt) {
    void (*const damages[])(const char *) = {cut_short, flip_a_byte, make_foreign};
    build_on(CL_DEVICE_TYPE_GPU);
    ck_assert_int_eq(each_cached(make_old), 1);
    build_on(CL_DEVICE_TYPE_GPU);
    each_cached(is_old);
    for (int i = 0; i < 3; i++) {
        each_cached(damages[i]);
        uint64_t damaged = cached_content();
        build_on(CL_DEVICE_TYPE_GPU);
        ck_assert_msg(cached_content() != damaged, "damage %d was not repaired", i);
    }
}
END_TEST

START_TEST(a_cpu_leaves_the_cache_to_its_driver) {
    build_on(CL_DEVICE_TYPE_CPU);
    ck_assert_int_eq(each_cached(add_content), 0);
}
END_TEST

/* ---- binaries ---- */

/* PoCL's cache in the test's folder, where it is asked to be. */
static void start_all(void) {
    start();
    setenv("POCL_CACHE_DIR", folder, 1);
    compile_quickly();
}

/* How many folders and files below the test's folder have that name. */
static int count_named(const char *name) {
    char line[256];
    int n = -1;
    snprintf(line, sizeof line, "find '%s' -name '%s' | wc -l", folder, name);
    FILE *f = popen(line, "r");
    ck_assert_int_eq(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

/* CLBlast builds from source in the first context, and in the second one, while the first is there, from the binary
   that it has asked for. For that PoCL compiles nothing: what it compiles for any local size is called 0-0-0 in its
   cache. */
START_TEST(clblasts_programs_are_compiled_once_and_build_in_a_second_context) {
    enum { SIDE = 16 };
    const product p = {.m = SIDE, .n = SIDE, .k = SIDE};
    error e = {""};
    backend *b[2];
    gemm_bench t[2];
    float x[SIDE * SIDE];
    double seconds;
    for (int i = 0; i < 2; i++) {
        b[i] = open_device(ALWAYS_DIRECT, 0);
        ck_assert_msg(gemm_bench_open(&t[i], (opencl *)b[i], NULL, 0, &e) == OK, "%s", e.text);
        for (int j = 0; j < SIDE * SIDE; j++) x[j] = (float)(1 + i);
        for (int j = 0; j < 3; j++) ck_assert_int_eq(b[i]->write(b[i], t[i].operand[j], x, 0, sizeof x, &e), OK);
        ck_assert_msg(gemm_bench_time(&t[i], &p, 1, &seconds, &e) == OK, "%s", e.text);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(b[i]->read(b[i], t[i].operand[2], x, 0, sizeof x, &e) == OK, "%s", e.text);
        for (int j = 0; j < SIDE * SIDE; j++) ck_assert_float_eq(x[j], (float)(SIDE * (1 + i) * (1 + i)));
    }
    for (int i = 0; i < 2; i++) {
        b[i]->close(b[i]);
        gemm_bench_close(&t[i]);
    }
    ck_assert_int_eq(count_named("0-0-0"), 0);
}
END_TEST

Suite *opencl_program_suite(void);
Suite *opencl_program_suite(void) {
    Suite *suite = suite_create("opencl_program");
    TCase *t = tcase_create("opencl_program");
    tcase_set_timeout(t, 600);
    tcase_add_checked_fixture(t, start, finish);
    tcase_add_test(t, damaged_and_foreign_cache_files_are_rebuilt);
    tcase_add_test(t, a_cpu_leaves_the_cache_to_its_driver);
    suite_add_tcase(suite, t);
    t = tcase_create("binaries");
    tcase_set_timeout(t, 600);
    tcase_add_checked_fixture(t, start_all, finish);
    tcase_add_test(t, clblasts_programs_are_compiled_once_and_build_in_a_second_context);
    suite_add_tcase(suite, t);
    return suite;
}
