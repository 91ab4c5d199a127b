/* opencl_device.h: the device that the OpenCL tests use: SNUG_TEST_DEVICE, or what "opencl" means. */
#ifndef SNUG_TEST_OPENCL_DEVICE_H
#define SNUG_TEST_OPENCL_DEVICE_H

#include "../opencl/device.h"
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

/* What CLBlast is made to do: pad and use its fast kernel, or never do. */
enum { ALWAYS_INDIRECT = 1, ALWAYS_DIRECT = 100000 };

static inline backend *open_shaped_device(size_t min_indirect, uint64_t cap, bool as_gpu) {
    backend *b;
    error e = {""};
    const char *device = getenv("SNUG_TEST_DEVICE");
#ifdef __SANITIZE_ADDRESS__
    /* Mesa's drivers leak as soon as they are listed, from code that is unloaded when the leaks are reported. */
    const char *pocl = "/etc/OpenCL/vendors/pocl.icd";
    if (!device && access(pocl, R_OK) == 0) setenv("OCL_ICD_VENDORS", pocl, 0);
#endif
    opencl_options o = {
        .selector = device ? device : "opencl", .cap = cap, .min_indirect = min_indirect, .as_gpu = as_gpu};
    ck_assert_msg(opencl_open_with(&o, &b, &e) == OK, "%s", e.text);
    return b;
}

static inline backend *open_device(size_t min_indirect, uint64_t cap) {
    return open_shaped_device(min_indirect, cap, false);
}

#endif
