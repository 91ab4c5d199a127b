/* test_opencl_choose.c: which device is taken, and what is said where there is none, on machines made up of data. */
#include "opencl_device.h"

#define GIB ((cl_ulong)1 << 30)

static device_info gpu(const char *name, cl_ulong gib, bool unified) {
    device_info d = {.type = CL_DEVICE_TYPE_GPU, .memory = gib * GIB, .unified = unified, .available = true};
    strcpy(d.name, name);
    return d;
}

static device_info cpu(const char *name) {
    device_info d = {.type = CL_DEVICE_TYPE_CPU, .memory = 64 * GIB, .unified = true, .available = true};
    strcpy(d.name, name);
    return d;
}

/* The device that the selector means; -1 and e when none. */
static int chosen(const device_info *list, int count, const char *selector, char why[512], error *e) {
    int index = -1;
    status s = devices_choose(list, count, selector, &index, why, 512, e);
    ck_assert_int_eq(s, index < 0 ? BAD_INPUT : OK);
    return index;
}

START_TEST(auto_takes_the_discrete_gpu_with_most_memory_and_names_the_other) {
    char why[512];
    error e = {""};
    const device_info list[] = {cpu("PoCL"), gpu("UHD 770", 48, true), gpu("RX 6600", 8, false),
                                gpu("RTX 3060", 12, false)};
    static const char *const selectors[] = {"auto", "cuda", "opencl"};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(chosen(list, 4, selectors[i], why, &e), 3);
        ck_assert_msg(strstr(why, "discrete") && strstr(why, "opencl:2 is RX 6600"), "%s", why);
    }
    ck_assert_int_eq(chosen(list, 3, "auto", why, &e), 2); /* before an integrated one with six times the memory */
    ck_assert_msg(strstr(why, "opencl:1 is UHD 770") != NULL, "%s", why);
    ck_assert_int_eq(chosen(list, 2, "auto", why, &e), 1); /* which is better than none */
    ck_assert_msg(strstr(why, "the only GPU") != NULL, "%s", why);
}
END_TEST

START_TEST(processes_of_one_machine_share_out_the_devices_of_one_name) {
    int alike;
    device_info list[] = {cpu("PoCL"),         gpu("A", 24, false), gpu("B", 8, false),
                          gpu("A", 24, false), gpu("A", 24, false), gpu("A", 24, false)};
    list[4].available = false;
    static const int takes[] = {3, 5, 1, 3, 5};
    for (int process = 0; process < 5; process++) {
        ck_assert_int_eq(devices_share_out(list, 6, 3, process, &alike), takes[process]);
        ck_assert_int_eq(alike, 3);
        ck_assert_int_eq(devices_share_out(list, 6, 2, process, &alike), 2);
        ck_assert_int_eq(alike, 1);
    }
}
END_TEST

START_TEST(a_gpu_that_is_not_available_is_not_taken) {
    char why[512];
    error e = {""};
    device_info list[] = {gpu("A", 24, false), gpu("B", 8, false)};
    list[0].available = false;
    ck_assert_int_eq(chosen(list, 2, "auto", why, &e), 1);
}
END_TEST

START_TEST(without_a_gpu_auto_and_cuda_say_what_there_is_and_opencl_takes_the_first) {
    char why[512];
    error e = {""};
    const device_info list[] = {cpu("PoCL on a Ryzen")};
    ck_assert_int_eq(chosen(list, 1, "auto", why, &e), -1);
    ck_assert_msg(strstr(why, "no GPU among the 1 OpenCL device (opencl:0 is PoCL on a Ryzen)") != NULL, "%s", why);
    ck_assert_int_eq(chosen(list, 1, "cuda", why, &e), -1);
    ck_assert_msg(strstr(e.text, "'cuda'") && strstr(e.text, "--device=cpu"), "%s", e.text);
    ck_assert_int_eq(chosen(list, 1, "opencl", why, &e), 0);
    ck_assert_int_eq(chosen(NULL, 0, "opencl", why, &e), -1);
    ck_assert_msg(strstr(e.text, "finds no device") != NULL, "%s", e.text);
}
END_TEST

START_TEST(a_device_is_chosen_by_number_or_by_an_unambiguous_part_of_its_name) {
    char why[512];
    error e = {""};
    const device_info list[] = {gpu("NVIDIA RTX 3060", 12, false), gpu("NVIDIA RTX 3090", 24, false), cpu("pthread")};
    ck_assert_int_eq(chosen(list, 3, "opencl:0", why, &e), 0);
    ck_assert_int_eq(chosen(list, 3, "opencl:2", why, &e), 2);
    ck_assert_int_eq(chosen(list, 3, "3060", why, &e), 0);
    ck_assert_int_eq(chosen(list, 3, "rtx 3090", why, &e), 1);
    ck_assert_int_eq(chosen(list, 3, "opencl:PTHREAD", why, &e), 2);
    static const char *const bad[] = {
        "opencl:3", "opencl:1x", "opencl:", "RTX", "radeon", "", "opencl:99999999999999999999"};
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(chosen(list, 3, bad[i], why, &e), -1);
        ck_assert_msg(strstr(e.text, "snug devices") != NULL, "%s", e.text);
    }
}
END_TEST

/* Signs of a machine, and the words that the advice for it must have. */
static const struct {
    device_signs signs;
    const char *says, *fix;
} machines[] = {
    {{.nvidia_card = true, .nvidia_library = true}, "ICD file", "nvidia.icd"},
    {{.nvidia_library = true}, "ICD file", "mkdir -p /etc/OpenCL/vendors && echo libnvidia-opencl.so.1"},
    {{.nvidia_library = true, .nvidia_icd = true}, "/dev/nvidiactl", "nvidia-smi"},
    {{.nvidia_card = true, .render_node = true, .render_node_opens = true}, "NVIDIA", "nvidia-opencl-icd"},
    {{.amd_card = true, .amd_icd = true, .render_node = true}, "/dev/kfd", "usermod -aG render"},
    {{.amd_card = true, .amd_card_opens = true, .render_node = true, .render_node_opens = true},
     "/dev/kfd",
     "rocm-opencl-runtime"},
    {{.render_node = true}, "/dev/dri", "usermod -aG render"},
    {{.render_node = true, .render_node_opens = true}, "/dev/dri", "intel-opencl-icd"},
};

START_TEST(a_card_without_its_driver_gets_what_is_missing_and_the_fix) {
    const char *advice = device_advice(&machines[_i].signs);
    ck_assert_msg(strstr(advice, machines[_i].says) && strstr(advice, machines[_i].fix), "machine %d: %s", _i, advice);
}
END_TEST

START_TEST(a_machine_without_a_card_gets_no_advice) {
    const device_signs none = {0};
    ck_assert_str_eq(device_advice(&none), "");
}
END_TEST

START_TEST(a_cap_of_zero_leaves_a_desktop_its_share) {
    device_info d = gpu("8 GiB", 8, false);
    ck_assert_uint_eq(device_default_cap(&d), 8 * GIB - 3 * GIB / 2);
    d.memory = 24 * GIB;
    ck_assert_uint_eq(device_default_cap(&d), 21 * GIB); /* an eighth is more than 1.5 GiB */
    d.memory = 2 * GIB;
    ck_assert_uint_eq(device_default_cap(&d), GIB); /* a reserve larger than half leaves half */
    d.memory = 8 * GIB;
    d.free = 5 * GIB;
    ck_assert_uint_eq(device_default_cap(&d), 5 * GIB - 3 * GIB / 4); /* what others hold is known */
    d.free = 80 * GIB;                                                /* of a card of which this device is a part */
    ck_assert_uint_eq(device_default_cap(&d), 8 * GIB - 3 * GIB / 4);
    d.free = GIB;
    ck_assert_uint_eq(device_default_cap(&d), GIB / 2);
    d = cpu("PoCL");
    ck_assert_uint_eq(device_default_cap(&d), 32 * GIB);
}
END_TEST

/* What runs, measured speeds and processes are compared by is the same, whatever was typed to get it. */
START_TEST(a_device_is_called_the_same_however_it_was_chosen) {
    backend *b = open_device(0, 0), *again;
    char number[32];
    device_info *list;
    int count, index;
    error e = {""};
    ck_assert_int_eq(devices_list(&list, &count, &e), OK);
    ck_assert_int_eq(devices_choose(list, count, test_device(), &index, (char[512]){""}, 512, &e), OK);
    snprintf(number, sizeof number, "opencl:%d", index);
    ck_assert_int_eq(opencl_open(&(opencl_options){.selector = number}, &again, &e), OK);
    ck_assert_str_eq(b->device, again->device);
    ck_assert_ptr_eq(strstr(b->device, list[index].name), b->device);
    ck_assert_str_eq(again->chosen, "chosen by number");
    free(list);
    b->close(b);
    again->close(again);
}
END_TEST

Suite *opencl_choose_suite(void);
Suite *opencl_choose_suite(void) {
    Suite *suite = suite_create("opencl_choose");
    TCase *t = tcase_create("opencl_choose");
    tcase_add_test(t, auto_takes_the_discrete_gpu_with_most_memory_and_names_the_other);
    tcase_add_test(t, processes_of_one_machine_share_out_the_devices_of_one_name);
    tcase_add_test(t, a_gpu_that_is_not_available_is_not_taken);
    tcase_add_test(t, without_a_gpu_auto_and_cuda_say_what_there_is_and_opencl_takes_the_first);
    tcase_add_test(t, a_device_is_chosen_by_number_or_by_an_unambiguous_part_of_its_name);
    tcase_add_loop_test(t, a_card_without_its_driver_gets_what_is_missing_and_the_fix, 0,
                        sizeof machines / sizeof *machines);
    tcase_add_test(t, a_machine_without_a_card_gets_no_advice);
    tcase_add_test(t, a_cap_of_zero_leaves_a_desktop_its_share);
    tcase_add_test(t, a_device_is_called_the_same_however_it_was_chosen);
    suite_add_tcase(suite, t);
    return suite;
}
