/* test_safetensors.c: what damaged or foreign files must not do, and that good ones come back bit for bit. */
#include "base/hash.h"
#include "save/safetensors.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail /* Check has a macro of this name */

static char *folder;

static void make_folder(void) {
    folder = strdup("/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void remove_folder(void) {
    const char *names[] = {"x.safetensors", "y.safetensors", "pipe"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unlink(names[i]);
    ck_assert_int_eq(rmdir(folder), 0); /* no temporary file may be left */
    free(folder);
}

static void put_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* Length, header, and `data` bytes of zeros. */
static void put_header(const char *path, const char *header, size_t header_bytes, size_t data) {
    char *bytes = calloc(8 + header_bytes + data + 1, 1);
    uint64_t length = header_bytes;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, header_bytes);
    put_file(path, bytes, 8 + header_bytes + data);
    free(bytes);
}

/* ---- damaged and foreign files ---- */

#define A(rest) "{\"a\":{" rest "}}"
#define F32(shape, offsets) "\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets
static const struct {
    const char *header;
    size_t data;
    const char *says;
} bad_headers[] = {
    {A(F32("[2]", "[0,8]")), 7, "cut short"},
    {A(F32("[2]", "[0,8]")), 9, "belong to no tensor"},
    {A(F32("[2]", "[0,12]")), 12, "its shape needs 8"},
    {A(F32("[2]", "[4,12]")), 12, "unused bytes before it"},
    {A(F32("[2]", "[8,0]")), 8, "begin <= end"},
    {A(F32("[2]", "[0,8,8]")), 8, "data_offsets must be"},
    {A(F32("[2]", "[0]")), 8, "data_offsets must be"},
    {A(F32("[2]", "8")), 8, "data_offsets must be"},
    {A(F32("[2]", "[0,\"8\"]")), 8, "data_offsets must be"},
    {A(F32("[-2]", "[0,8]")), 8, "plain non-negative integer"},
    {A(F32("[2]", "[-8,0]")), 8, "plain non-negative integer"},
    {A(F32("[2.0]", "[0,8]")), 8, "plain non-negative integer"},
    {A(F32("[2e0]", "[0,8]")), 8, "plain non-negative integer"},
    {A(F32("[9007199254740993]", "[0,8]")), 8, "not an exact integer"},
    {A(F32("[99999999999999999999999999]", "[0,8]")), 8, "not an exact integer"},
    {A(F32("[4294967296,4294967296]", "[0,0]")), 8, "more elements than"},
    {A(F32("[2147483648,4294967295]", "[0,8]")), 8, "more bytes than"},
    {A(F32("[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4, "more than 8 dimensions"},
    {A(F32("2", "[0,8]")), 8, "lacks dtype or shape"},
    {A(F32("[[2]]", "[0,8]")), 8, "nested too deeply"},
    {A("\"shape\":[2],\"data_offsets\":[0,8]"), 8, "lacks dtype or shape"},
    {A("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, "lacks dtype or shape"},
    {A("\"dtype\":\"F32\",\"shape\":[2]"), 8, "data_offsets must be"},
    {A("\"dtype\":\"Q4_0\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "has dtype \"Q4_0\""},
    {A("\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]"), 8, "lacks dtype or shape"},
    {A(F32("[2]", "[0,8]") ",\"dtype\":\"F32\""), 8, "gives a key twice"},
    {A(F32("[2]", "[0,8]") ",\"stride\":[1]"), 8, "unknown key"},
    {"{\"a\":{" F32("[2]", "[0,8]") "},\"a\":{" F32("[2]", "[8,16]") "}}", 16, "is there twice"},
    {"{\"a\":{" F32("[2]", "[0,8]") "},\"b\":{" F32("[2]", "[4,12]") "}}", 12, "overlaps"},
    {"{\"a\":{" F32("[2]", "[0,8]") "},\"b\":{" F32("[2]", "[0,8]") "}}", 8, "overlaps"},
    {"{\"a\":{" F32("[2]", "[0,8]") "},\"b\":{" F32("[2]", "[12,20]") "}}", 20, "unused bytes"},
    {"{\"a\":[1,2]}", 0, "is not an object"},
    {"{\"a\":\"b\"}", 0, "is not an object"},
    {"{\"a\":true}", 0, "unexpected character"},
    {"{\"a\\u0000b\":{" F32("[2]", "[0,8]") "}}", 8, "zero character"},
    {"{\"a\\nb\":{" F32("[2]", "[0,8]") "}}", 8, "control characters"},
    {"{\"a\nb\":{" F32("[2]", "[0,8]") "}}", 8, "control character at byte"},
    {"{\"a\":{" F32("[2]", "[0,8]") "}", 8, "not valid JSON"},
    {"{\"a\":{" F32("[2]", "[0,8]") "}} {}", 8, "not valid JSON"},
    {"{\"a", 0, "not valid JSON"},
    {"{]", 0, "not valid JSON"},
    {"[]", 0, "does not begin with {"},
    {"", 0, "does not begin with {"},
};

START_TEST(damaged_header_is_refused_in_one_line) {
    put_header("x.safetensors", bad_headers[_i].header, strlen(bad_headers[_i].header), bad_headers[_i].data);
    st_file f;
    error e;
    ck_assert_int_eq(st_open("x.safetensors", &f, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, bad_headers[_i].says) != NULL, "row %d says: %s", _i, e.text);
    ck_assert_msg(!strncmp(e.text, "x.safetensors: ", 15) && !strchr(e.text, '\n'), "row %d says: %s", _i, e.text);
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
    const char *says;
} foreign[] = {
    {"", 0, "is empty"},
    {"abc", 3, "fewer than 8 bytes"},
    {"GGUF\3\0\0\0\1\0\0\0", 12, "a GGUF model of llama.cpp"},
    {"PK\3\4\24\0\0\0\0\0", 10, "a zip archive"},
    {"\x80\2]q\0(K\1K\2e.", 12, "a Python pickle"},
    {"\x80\4\x95\0\0\0\0\0\0\0\0", 11, "a Python pickle"},
    {"version https://git-lfs.github.com/spec/v1\n", 44, "git lfs pull"},
    {"{\"metadata\": {}}", 16, "JSON text"},
    {"<!DOCTYPE html>", 15, "a web page"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "larger than 100 MB"},
    {"\1\341\365\5\0\0\0\0{}", 10, "larger than 100 MB"},  /* 100,000,001 */
    {"\0\341\365\5\0\0\0\0{}", 10, "past the file's end"}, /* 100,000,000 */
    {"\3\0\0\0\0\0\0\0{}", 10, "past the file's end"},
    {"\2\0\0\0\0\0\0\0{\0", 10, "unexpected character"},
};

START_TEST(foreign_file_is_called_what_it_is) {
    put_file("x.safetensors", foreign[_i].bytes, foreign[_i].n);
    st_file f;
    error e;
    ck_assert_int_eq(st_open("x.safetensors", &f, &e), BAD_INPUT);
    ck_assert_msg(strstr(e.text, foreign[_i].says) && !strchr(e.text, '\n'), "row %d says: %s", _i, e.text);
}
END_TEST

START_TEST(missing_file_folder_and_pipe_are_refused) {
    st_file f;
    error e;
    ck_assert_int_eq(st_open("none.safetensors", &f, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "none.safetensors does not exist; give a safetensors file"));
    ck_assert_int_eq(st_open(".", &f, &e), BAD_INPUT);
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    ck_assert_int_eq(st_open("pipe", &f, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "not a regular file"));
}
END_TEST

/* Neither the stack nor memory may give way: a deep header, and one of nothing but commas. */
START_TEST(hostile_header_is_refused_before_it_is_parsed) {
    enum { N = 20000000 };
    char *header = malloc(N);
    st_file f;
    error e;
    memset(header, '[', N);
    memcpy(header, "{\"a\":", 5);
    put_header("x.safetensors", header, N, 0);
    ck_assert_int_eq(st_open("x.safetensors", &f, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "nested too deeply"));
    for (int i = 6; i < N; i++) header[i] = i % 2 ? ',' : '1';
    put_header("x.safetensors", header, N, 0);
    ck_assert_int_eq(st_open("x.safetensors", &f, &e), BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "more tensors than"));
    free(header);
}
END_TEST

/* Every file that differs in one byte, or is shorter, is read without harm (the sanitizers watch). */
START_TEST(any_changed_byte_or_cut_does_no_harm) {
    float data[6] = {1, 2, 3, 4, 5, 6};
    st_tensor t[2] = {{.name = "first", .type = ST_F32, .rank = 2, .dim = {2, 2}, .data = data},
                      {.name = "second", .type = ST_F32, .rank = 1, .dim = {2}, .data = data + 4}};
    error e;
    ck_assert_int_eq(st_write("x.safetensors", t, 2, NULL, NULL, NULL, &e), OK);
    char bytes[1024];
    FILE *in = fopen("x.safetensors", "rb");
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    for (size_t at = 0; at < n - sizeof data; at++)
        for (int flip = 0; flip <= 4; flip++) {
            char *copy = malloc(n);
            memcpy(copy, bytes, n);
            if (flip) copy[at] = (char)(copy[at] ^ (1 << (2 * flip - 2)));
            put_file("y.safetensors", copy, flip ? n : at);
            free(copy);
            st_file f;
            if (st_open("y.safetensors", &f, &e) != OK) {
                ck_assert_msg(!strchr(e.text, '\n'), "%s", e.text);
                continue;
            }
            double sum = 0;
            for (int i = 0; i < f.n; i++)
                for (int64_t k = 0; k < f.tensors[i].elements; k++) sum += st_value(&f.tensors[i], k);
            ck_assert_msg(flip, "a file of %zu bytes was accepted", at);
            (void)sum;
            st_close(&f);
        }
}
END_TEST

/* ---- values ---- */

static double value_of(st_type type, const void *bytes) {
    st_tensor t = {.type = type, .data = bytes, .elements = 1, .bytes = st_size(type)};
    return st_value(&t, 0);
}

START_TEST(half_precision_has_the_values_of_the_standard) {
    static const struct {
        uint16_t bits;
        double f16, bf16;
    } known[] = {
        {0x0000, 0, 0},
        {0x3c00, 1, 0x1p-7},
        {0xc000, -2, -2},
        {0x3555, 0.333251953125, 0x1.aap-21},
        {0x0001, 0x1p-24, 0x1p-133}, /* least subnormal */
        {0x03ff, 0x1.ff8p-15, 0x1.fep-120},
        {0x0400, 0x1p-14, 0x1p-119},  /* least normal of F16 */
        {0x7bff, 65504, 0x1.fep+120}, /* greatest of F16 */
        {0x7c00, INFINITY, 0x1p+121},
        {0x3f80, 1.875, 1},
        {0x7f80, NAN, INFINITY},
        {0xff7f, NAN, -0x1.fep+127},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double f16 = value_of(ST_F16, &known[i].bits), bf16 = value_of(ST_BF16, &known[i].bits);
        ck_assert_msg(f16 == known[i].f16 || (isnan(f16) && isnan(known[i].f16)), "F16 %04x is %a", known[i].bits, f16);
        ck_assert_msg(bf16 == known[i].bf16, "BF16 %04x is %a", known[i].bits, bf16);
    }
    uint16_t minus_zero = 0x8000;
    ck_assert(signbit(value_of(ST_F16, &minus_zero)) && signbit(value_of(ST_BF16, &minus_zero)));
}
END_TEST

/* Every F16 against its definition, and against the bulk conversion. */
START_TEST(every_half_is_converted_by_its_definition) {
    uint16_t *all = malloc(65536 * sizeof *all);
    float *bulk = malloc(65536 * sizeof *bulk);
    for (int i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    st_tensor t = {.type = ST_F16, .rank = 1, .dim = {65536}, .elements = 65536, .data = all};
    st_convert(&t, 0, 65536, 4, bulk);
    for (int i = 0; i < 65536; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double x = exponent == 31  ? (fraction ? NAN : INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
        if (i >> 15) x = -x;
        ck_assert_msg(st_value(&t, i) == x || isnan(x), "F16 %04x", i);
        ck_assert_msg(bulk[i] == (float)x || (isnan(x) && isnan(bulk[i])), "F16 %04x in bulk", i);
    }
    free(all);
    free(bulk);
}
END_TEST

START_TEST(integers_are_read_at_unaligned_places) {
    char bytes[32] = {0};
    int64_t big = -(INT64_C(1) << 40);
    uint32_t wide = 4000000000u;
    int32_t negative = -7;
    memcpy(bytes + 1, &big, 8);
    memcpy(bytes + 9, &wide, 4);
    memcpy(bytes + 13, &negative, 4);
    ck_assert(value_of(ST_I64, bytes + 1) == (double)big);
    ck_assert(value_of(ST_U32, bytes + 9) == 4e9);
    ck_assert(value_of(ST_I32, bytes + 13) == -7);
    uint16_t u16 = 65535;
    uint8_t u8 = 200;
    ck_assert(value_of(ST_U16, &u16) == 65535 && value_of(ST_U8, &u8) == 200);
}
END_TEST

/* ---- writing ---- */

static status count_up(void *context, const st_tensor *t, uint64_t offset, void *buffer, size_t size, error *e) {
    (void)e;
    *(int *)context += 1;
    uint32_t *out = buffer;
    for (size_t i = 0; i < size / 4; i++) out[i] = (uint32_t)(offset / 4 + i) ^ (uint32_t)t->rank << 24;
    return OK;
}

START_TEST(what_is_written_is_read_back) {
    double doubles[3] = {1.5, -0.0, 5e-324};
    uint16_t halves[2] = {0x3c00, 0x7c00};
    st_tensor t[4] = {{.name = "z.double", .type = ST_F64, .rank = 1, .dim = {3}, .data = doubles},
                      {.name = "a \"quoted\\ name\"", .type = ST_F16, .rank = 2, .dim = {1, 2}, .data = halves},
                      {.name = "empty", .type = ST_F32, .rank = 2, .dim = {0, 7}},
                      {.name = "streamed", .type = ST_U32, .rank = 2, .dim = {1000, 701}}};
    int calls = 0;
    char sha[HASH_HEX], again[HASH_HEX];
    error e;
    st_file f;
    ck_assert_int_eq(st_write("x.safetensors", t, 4, count_up, &calls, sha, &e), OK);
    ck_assert_int_gt(calls, 1);
    ck_assert_int_eq(hash_file("x.safetensors", again, &e), OK);
    ck_assert_str_eq(sha, again);
    ck_assert_msg(st_open("x.safetensors", &f, &e) == OK, "%s", e.text);
    ck_assert_int_eq(f.n, 4);
    ck_assert_uint_eq((uintptr_t)st_find(&f, "z.double")->data % 8, 0);
    ck_assert_mem_eq(st_find(&f, "z.double")->data, doubles, sizeof doubles);
    ck_assert_mem_eq(st_find(&f, "a \"quoted\\ name\"")->data, halves, sizeof halves);
    ck_assert_int_eq(st_find(&f, "empty")->elements, 0);
    ck_assert_ptr_null(st_find(&f, "other"));
    const st_tensor *s = st_find(&f, "streamed");
    ck_assert_int_eq(s->dim[1], 701);
    for (int64_t i = 0; i < s->elements; i++) ck_assert(st_value(s, i) == (double)((uint32_t)i ^ 2u << 24));
    st_close(&f);
}
END_TEST

START_TEST(file_is_as_the_format_says) {
    float one = 1;
    st_tensor t = {.name = "a", .type = ST_F32, .rank = 0, .data = &one};
    error e;
    char bytes[256], sha[HASH_HEX];
    ck_assert_int_eq(st_write("x.safetensors", &t, 1, NULL, NULL, sha, &e), OK);
    FILE *in = fopen("x.safetensors", "rb");
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    const char *header =
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}";
    ck_assert_uint_eq((unsigned char)bytes[0], (strlen(header) + 7) / 8 * 8);
    ck_assert_uint_eq(n, 8 + (strlen(header) + 7) / 8 * 8 + 4);
    ck_assert_mem_eq(bytes + 8, header, strlen(header));
    for (size_t i = 8 + strlen(header); i < n - 4; i++) ck_assert_int_eq(bytes[i], ' ');
    ck_assert_mem_eq(bytes + n - 4, &one, 4);
}
END_TEST

static status give_up(void *context, const st_tensor *t, uint64_t offset, void *buffer, size_t size, error *e) {
    (void)context, (void)offset, (void)buffer, (void)size;
    return fail(e, FAILED, "no more of %s", t->name);
}

START_TEST(failed_write_leaves_the_file_that_was_there) {
    float one = 1;
    st_tensor t = {.name = "a", .type = ST_F32, .rank = 0, .data = &one},
              gone = {.name = "b", .type = ST_F32, .rank = 0};
    error e;
    st_file f;
    ck_assert_int_eq(st_write("x.safetensors", &t, 1, NULL, NULL, NULL, &e), OK);
    ck_assert_int_eq(st_write("x.safetensors", &gone, 1, give_up, NULL, NULL, &e), FAILED);
    ck_assert_str_eq(e.text, "no more of b");
    ck_assert_int_eq(st_open("x.safetensors", &f, &e), OK);
    ck_assert_ptr_nonnull(st_find(&f, "a"));
    st_close(&f);
    ck_assert_int_eq(st_write("/dev/full", &t, 1, NULL, NULL, NULL, &e), FAILED);
    ck_assert_ptr_nonnull(strstr(e.text, "/dev/full: cannot write: No space left"));
    ck_assert_int_eq(st_write("no/such/folder", &t, 1, NULL, NULL, NULL, &e), FAILED);
    ck_assert_ptr_nonnull(strstr(e.text, "no/such/folder: cannot create: No such file"));
}
END_TEST

Suite *safetensors_suite(void);
Suite *safetensors_suite(void) {
    Suite *s = suite_create("safetensors");
    TCase *t = tcase_create("safetensors");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_loop_test(t, damaged_header_is_refused_in_one_line, 0, sizeof bad_headers / sizeof bad_headers[0]);
    tcase_add_loop_test(t, foreign_file_is_called_what_it_is, 0, sizeof foreign / sizeof foreign[0]);
    tcase_add_test(t, missing_file_folder_and_pipe_are_refused);
    tcase_add_test(t, hostile_header_is_refused_before_it_is_parsed);
    tcase_add_test(t, any_changed_byte_or_cut_does_no_harm);
    tcase_add_test(t, half_precision_has_the_values_of_the_standard);
    tcase_add_test(t, every_half_is_converted_by_its_definition);
    tcase_add_test(t, integers_are_read_at_unaligned_places);
    tcase_add_test(t, what_is_written_is_read_back);
    tcase_add_test(t, file_is_as_the_format_says);
    tcase_add_test(t, failed_write_leaves_the_file_that_was_there);
    suite_add_tcase(s, t);
    return s;
}
