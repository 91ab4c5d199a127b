/* device.c: lists the OpenCL devices, opens one, prints them all. Nothing here allocates device memory. */
#include "base/terminal.h"
#include "opencl/device/cl.h"
#include "opencl/opencl.h"
#include "opencl/params.h"
#include "opencl/product.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB ((uint64_t)1 << 30)

/* ---- listing ---- */

static void trim(char *s) {
    char *start = s + strspn(s, " \t");
    memmove(s, start, strlen(start) + 1);
    for (size_t n = strlen(s); n && isspace((unsigned char)s[n - 1]); n--) s[n - 1] = 0;
}

static void info_text(cl_device_id id, cl_device_info what, char *text, size_t size) {
    char whole[16384];
    size_t n = 0;
    whole[0] = 0;
    if (clGetDeviceInfo(id, what, sizeof whole - 1, whole, &n) != CL_SUCCESS) n = 0;
    whole[n < sizeof whole ? n : sizeof whole - 1] = 0;
    trim(whole);
    snprintf(text, size, "%s", whole);
}

/* The PCI address, by the extension of NVIDIA, AMD or Khronos, whichever the device has; "" if it has none. */
static void info_pci(cl_device_id id, char *text, size_t size) {
    cl_uint bus = 0, slot = 0, domain = 0;
    unsigned char topology[24];
    cl_uint khr[4];
    text[0] = 0;
    if (clGetDeviceInfo(id, 0x4008, sizeof bus, &bus, NULL) == CL_SUCCESS &&
        clGetDeviceInfo(id, 0x4009, sizeof slot, &slot, NULL) == CL_SUCCESS) { /* CL_DEVICE_PCI_{BUS,SLOT}_ID_NV */
        clGetDeviceInfo(id, 0x400A, sizeof domain, &domain, NULL);
        snprintf(text, size, "%04x:%02x:%02x.%x", domain, bus, slot >> 3, slot & 7);
    } else if (clGetDeviceInfo(id, 0x4037, sizeof topology, topology, NULL) ==
               CL_SUCCESS) { /* CL_DEVICE_TOPOLOGY_AMD */
        snprintf(text, size, "0000:%02x:%02x.%x", topology[21], topology[22], topology[23]);
    } else if (clGetDeviceInfo(id, 0x410F, sizeof khr, khr, NULL) == CL_SUCCESS) { /* CL_DEVICE_PCI_BUS_INFO_KHR */
        snprintf(text, size, "%04x:%02x:%02x.%x", khr[0], khr[1], khr[2], khr[3]);
    }
}

static void describe(cl_platform_id platform, cl_device_id id, device_info *d) {
    cl_uint bits = 0;
    cl_bool unified = CL_FALSE, available = CL_FALSE;
    *d = (device_info){.platform = platform, .id = id};
    info_text(id, CL_DEVICE_NAME, d->name, sizeof d->name);
    info_text(id, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
    info_text(id, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    info_text(id, CL_DEVICE_VERSION, d->version, sizeof d->version);
    info_text(id, CL_DEVICE_EXTENSIONS, d->extensions, sizeof d->extensions);
    info_pci(id, d->pci, sizeof d->pci);
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof d->platform_name - 1, d->platform_name, NULL);
    clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof d->type, &d->type, NULL);
    clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof d->memory, &d->memory, NULL);
    clGetDeviceInfo(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof d->largest, &d->largest, NULL);
    clGetDeviceInfo(id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof d->local, &d->local, NULL);
    clGetDeviceInfo(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL);
    clGetDeviceInfo(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof d->units, &d->units, NULL);
    clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof d->group, &d->group, NULL);
    clGetDeviceInfo(id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    clGetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    d->alignment = bits >= 32 ? bits / 8 : 128; /* if that makes no sense: the size of OpenCL's largest type */
    d->groups[0] = INT32_MAX; /* NVIDIA's limits, which its OpenCL does not tell; nobody else is known to have less */
    d->groups[1] = d->groups[2] = 65535;
    d->unified = unified;
    d->available = available;
    d->free = device_free_bytes(d);
}

status devices_list(device_info **list, int *count, error *e) {
    cl_platform_id platforms[32];
    cl_uint n_platforms = 0;
    *list = NULL;
    *count = 0;
    int code = clGetPlatformIDs(32, platforms, &n_platforms);
    if (code == -1001) return OK; /* no driver is registered, so there are no devices */
    if (code != CL_SUCCESS) return device_check(NULL, code, "clGetPlatformIDs", __FILE__, __LINE__, e);
    for (cl_uint p = 0; p < n_platforms && p < 32; p++) {
        cl_device_id ids[64];
        cl_uint n = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 64, ids, &n) != CL_SUCCESS) continue;
        for (cl_uint i = 0; i < n && i < 64; i++) {
            *list = xrealloc(*list, sizeof **list * (size_t)(*count + 1));
            describe(platforms[p], ids[i], &(*list)[(*count)++]);
        }
    }
    return OK;
}

bool opencl_has_gpu(char *why, size_t size) {
    device_info *list;
    int count, index;
    error e = {""};
    status s = devices_list(&list, &count, &e);
    if (s == OK)
        s = devices_choose(list, count, "auto", &index, why, size, &e);
    else
        snprintf(why, size, "%s", e.text);
    free(list);
    return s == OK;
}

/* ---- memory ---- */

/* What is left free is 1.5 GiB or an eighth, for a desktop, its browser, and the driver's context. Where the free
   memory is known, 0.75 GiB are enough: the context took 530 MiB on an H100, and a kernel that spills gets memory for
   it at its first launch. Free memory may be told of a whole card of which the device is a part (NVIDIA's MIG, by
   NVML). A CPU shares its memory with everything else on the machine, so that half is left. */
uint64_t device_default_cap(const device_info *d) {
    if (!(d->type & CL_DEVICE_TYPE_GPU)) return d->memory / 2;
    uint64_t reserve = d->memory / 8 > 3 * GIB / 2 ? d->memory / 8 : 3 * GIB / 2;
    uint64_t cap = d->memory > 2 * reserve ? d->memory - reserve : d->memory / 2;
    if (d->free) {
        uint64_t context = 3 * GIB / 4, left = d->free < d->memory ? d->free : d->memory;
        cap = left > 2 * context ? left - context : left / 2;
    }
    return cap;
}

/* ---- opening ---- */

static status open_queue(device *d, cl_command_queue_properties properties, error *e) {
    cl_int code;
    if (d->queue) clReleaseCommandQueue(d->queue);
    d->queue = clCreateCommandQueue(d->context, d->info.id, properties, &code);
    return device_check(d, code, "clCreateCommandQueue", __FILE__, __LINE__, e);
}

status device_profile(device *d, error *e) { return open_queue(d, CL_QUEUE_PROFILING_ENABLE, e); }

status device_open(device *d, const device_info *info, error *e) {
    cl_int code;
    *d = (device){.info = *info, .op = -1};
    if (info->group < 256)
        return fail(e, BAD_INPUT, "device '%s' allows work-groups of %zu, and snug's kernels need 256", info->name,
                    info->group);
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)info->platform, 0};
    CL(d, (d->context = clCreateContext(properties, 1, &d->info.id, NULL, NULL, &code), code));
    status s = open_queue(d, 0, e);
    if (s != OK) device_close(d);
    return s;
}

void device_close(device *d) {
    if (d->queue) clReleaseCommandQueue(d->queue);
    if (d->context) clReleaseContext(d->context);
    d->queue = NULL;
    d->context = NULL;
}

/* ---- snug devices ---- */

static const char *type_name(cl_device_type type) {
    return type & CL_DEVICE_TYPE_GPU ? "GPU" : type & CL_DEVICE_TYPE_CPU ? "CPU" : "accelerator";
}

static void print_device(const device_info *d, int index, FILE *f) {
    text_print(f, "opencl:%d  %s\n", index, d->name);
    text_print(f, "    %s, %s, %u compute units%s\n", type_name(d->type), d->vendor, d->units,
               d->unified ? ", shares the host's memory" : "");
    text_print(f, "    platform %s, driver %s, %s%s%s\n", d->platform_name, d->driver, d->version,
               d->pci[0] ? ", PCI " : "", d->pci);
    text_print(f, "    memory %.2f GiB", (double)d->memory / (double)GIB);
    if (d->free) text_print(f, " (%.2f GiB free)", (double)d->free / (double)GIB);
    text_print(f, ", largest allocation %.2f GiB, vram_cap=0 means %.2f GiB\n", (double)d->largest / (double)GIB,
               (double)device_default_cap(d) / (double)GIB);
    text_print(f, "    alignment %u bytes, local memory %llu KiB, work-groups of %zu\n", d->alignment,
               (unsigned long long)d->local / 1024, d->group);
    static const char *const matters[] = {"cl_khr_fp64", "cl_khr_fp16", "cl_khr_subgroups",
                                          "cl_nv_device_attribute_query", "cl_amd_device_attribute_query"};
    text_print(f, "    extensions that matter:");
    int n = 0;
    for (size_t i = 0; i < sizeof matters / sizeof *matters; i++)
        if (strstr(d->extensions, matters[i]) && ++n) text_print(f, " %s", matters[i]);
    text_print(f, "%s\n", n ? "" : " none");
    gemm_record tuned;
    if (gemm_record_recall(d, &tuned))
        text_print(f, "    matrix products: CLBlast was tuned on %s, %.1f GFLOP/s then (untuned %.1f)\n", tuned.date,
                   tuned.tuned, tuned.untuned);
    else
        text_print(f, "    matrix products: CLBlast is not tuned yet, see snug tune\n");
    products_print(d, f);
}

status devices_print(const char *selector, FILE *f, error *e) {
    device_info *list;
    int count, index;
    char why[512];
    bool cpu = !strcmp(selector, "cpu");
    status s = OK;
    TRY(devices_list(&list, &count, e));
    for (int i = 0; i < count; i++) print_device(&list[i], i, f);
    if (count == 0 && !cpu) return devices_choose(NULL, 0, "opencl", &index, why, sizeof why, e);
    error none = {""};
    bool gpu = devices_choose(list, count, "auto", &index, why, sizeof why, &none) == OK;
    text_print(f, "auto takes %s: %s\n", gpu ? list[index].name : "the CPU backend", why);
    if (cpu) {
        text_print(f, "cpu takes the CPU backend, which needs no OpenCL\n");
    } else if (strcmp(selector, "auto") != 0) {
        s = devices_choose(list, count, selector, &index, why, sizeof why, e);
        if (s == OK) text_print(f, "%s takes opencl:%d, %s: %s\n", selector, index, list[index].name, why);
    }
    free(list);
    return s;
}
