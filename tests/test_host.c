/* test_host.c: the limits of a container, from files such as the system would show. */
#include "base/files.h"
#include "base/host.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* Check has a macro of this name */

static char root[64];
static error e;

static void begin(void) {
    strcpy(root, "/tmp/snug-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void end(void) { ck_assert_int_eq(folder_remove(root, &e), OK); }

static void put(const char *name, const char *text) {
    char *path = xprintf("%s/%s", root, name), *folder = xstrdup(path);
    *strrchr(folder, '/') = 0;
    ck_assert_msg(folder_make(folder, &e) == OK && file_write(path, text, strlen(text), false, NULL, &e) == OK, "%s",
                  e.text);
    free(folder);
    free(path);
}

static void limits_are(uint64_t memory, double processors) {
    char *membership = xprintf("%s/cgroup", root), *mount = xprintf("%s/fs", root);
    ck_assert_uint_eq(host_container_memory(membership, mount), memory);
    double got = host_container_processors(membership, mount);
    ck_assert_msg(got == processors, "%g", got);
    free(membership);
    free(mount);
}

START_TEST(without_a_container_there_is_no_limit) {
    limits_are(UINT64_MAX, INFINITY);
    put("cgroup", "0::/\n");
    put("fs/memory.max", "max\n");
    put("fs/cpu.max", "max 100000\n");
    limits_are(UINT64_MAX, INFINITY);
    put("cgroup", "garbage\n7:\n:\n0::relative\n");
    put("fs/memory.max", "");
    limits_are(UINT64_MAX, INFINITY);
}
END_TEST

/* cgroup v2: the least of the group's own and of all that it lies in. */
START_TEST(limits_of_version_2) {
    put("cgroup", "0::/pods/pod7/box\n");
    put("fs/pods/pod7/box/memory.max", "max\n");
    put("fs/pods/pod7/memory.max", "3000000000\n");
    put("fs/pods/memory.max", "8000000000\n");
    put("fs/pods/pod7/box/cpu.max", "150000 100000\n");
    put("fs/pods/cpu.max", "max 100000\n");
    limits_are(3000000000, 1.5);
    put("fs/cpu.max", "50000 100000\n"); /* as seen from inside: the group is the root */
    put("fs/memory.max", "1000000\n");
    limits_are(1000000, 0.5);
}
END_TEST

START_TEST(limits_of_version_1) {
    put("cgroup", "9:name=systemd:/\n4:memory:/docker/abc\n3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n");
    put("fs/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put("fs/memory/docker/abc/memory.limit_in_bytes", "536870912\n");
    put("fs/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000\n");
    put("fs/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    put("fs/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("fs/cpuset/memory.limit_in_bytes", "1\n"); /* another controller's folder */
    limits_are(536870912, 2);
}
END_TEST

START_TEST(process_has_some_memory_and_processors) {
    ck_assert_uint_gt(host_memory(), 1 << 20);
    ck_assert_int_ge(host_processors(), 1);
}
END_TEST

START_TEST(a_machine_is_busy_when_more_than_half_of_it_works) {
    put("loadavg", "1.20 7.00 9.00 3/400 1234\n");
    ck_assert(host_load_is_high(root, 2) && !host_load_is_high(root, 4));
    ck_assert(!host_load_is_high("/nowhere", 1));
}
END_TEST

Suite *host_suite(void);
Suite *host_suite(void) {
    Suite *s = suite_create("host");
    TCase *t = tcase_create("host");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, without_a_container_there_is_no_limit);
    tcase_add_test(t, limits_of_version_2);
    tcase_add_test(t, limits_of_version_1);
    tcase_add_test(t, a_machine_is_busy_when_more_than_half_of_it_works);
    tcase_add_test(t, process_has_some_memory_and_processors);
    suite_add_tcase(s, t);
    return s;
}
