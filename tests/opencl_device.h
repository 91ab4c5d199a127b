/* opencl_device.h: the device that the OpenCL tests use: SNUG_TEST_DEVICE, or what "opencl" means. */
#ifndef SNUG_TEST_OPENCL_DEVICE_H
#define SNUG_TEST_OPENCL_DEVICE_H

#include "opencl/device/cl.h"
#include "opencl/opencl.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* min_indirect for CLBlast's fast kernel, which works on padded copies, at every product; and at none. */
enum { ALWAYS_INDIRECT = 1, ALWAYS_DIRECT = 100000 };

static inline const char *test_device(void) {
    const char *device = getenv("SNUG_TEST_DEVICE");
#ifdef __SANITIZE_ADDRESS__
    /* Mesa's drivers leak as soon as they are listed, from code that is unloaded when the leaks are reported. */
    const char *pocl = "/etc/OpenCL/vendors/pocl.icd";
    if (!device && access(pocl, R_OK) == 0) setenv("OCL_ICD_VENDORS", pocl, 0);
#endif
    return device ? device : "opencl";
}

/* Opens o on that device. */
static inline backend *open_device_with(opencl_options o) {
    backend *b;
    error e = {""};
    o.selector = test_device();
    ck_assert_msg(opencl_open(&o, &b, &e) == OK, "%s", e.text);
    return b;
}

/* With snug's own products in precision p: by the device's own matrix units, or where it has none by emulated ones; in
   bfloat16 without them, and then a device that is refused fails the test: its products were wrong. tile:
   opencl_options'. */
static inline backend *open_own(compute_precision p, bool prove, int tile) {
    backend *b;
    opencl_options o = {.selector = test_device(), .precision = p, .product_tile = tile, .gemm = PRODUCTS_OWN};
    if (p == PRECISION_FLOAT32 && !prove) o.mma = MMA_EMULATED; /* only leaves out the proof */
    if (p == PRECISION_BFLOAT16) return open_device_with(o);
    if (opencl_open(&o, &b, NULL) == OK) return b;
    o.mma = prove ? MMA_EMULATED_AND_PROVED : MMA_EMULATED;
    return open_device_with(o);
}

static inline backend *open_shaped_device(size_t min_indirect, uint64_t cap, bool as_gpu) {
    return open_device_with((opencl_options){.cap = cap, .min_indirect = min_indirect, .as_gpu = as_gpu});
}

static inline backend *open_device(size_t min_indirect, uint64_t cap) {
    return open_shaped_device(min_indirect, cap, false);
}

/* The name and driver of the tests' device in *device, of SIZE bytes; whether that is PoCL 5 or a later one. Their
   numbers are below 20, those of cards' drivers above. No device: false. Opens nothing: that would compile kernels. */
static inline bool newer_pocl(char *device, size_t size) {
    device_info *list;
    int count, index;
    char why[512];
    error e = {""};
    double version = 0;
    const char *selector = test_device();
    ck_assert_msg(devices_list(&list, &count, &e) == OK, "%s", e.text);
    if (devices_choose(list, count, selector, &index, why, sizeof why, &e) == OK) {
        snprintf(device, size, "%.120s, driver %.60s", list[index].name, list[index].driver);
        version = atof(list[index].driver);
    }
    free(list);
    return version >= 5 && version < 20;
}

/* Matrix units are emulated by kernels that no run uses. PoCL 6.0 (Debian 13) compiles those of attention wrongly,
   not every time and not each time the same, which PoCL 3.1, an interpreter of the PTX and a card have right: nothing
   is to be learned from them there. Says so. */
static inline bool emulates_wrongly(const char *test) {
    char device[sizeof((backend *)0)->device];
    bool wrongly = newer_pocl(device, sizeof device);
    if (wrongly) fprintf(stderr, "skipped: %s: emulated by %s\n", test, device);
    return wrongly;
}

/* A fixture for tests of many kernels with little work for each, which few others run: PoCL's optimiser takes three
   quarters of their time, and what it does is seen by the other suites. Not for kernels that others run too, which are
   in PoCL's cache then, nor for whole steps, which run for seconds by kernels that are not optimised.
   PoCL 6.0 aborts on such kernels unless it optimises them. Another setting of the variable, an empty one too, stays.
   Other OpenCLs don't know it. */
static inline void compile_quickly(void) {
    char device[sizeof((backend *)0)->device];
    if (!getenv("POCL_EXTRA_BUILD_FLAGS") && !newer_pocl(device, sizeof device))
        setenv("POCL_EXTRA_BUILD_FLAGS", "-cl-opt-disable", 0);
}

#endif
