/* free.c: how much of a GPU's memory is free at the moment. OpenCL does not say, but AMD's extension, sysfs or NVML
   may; 0: none of them does. */
#include "opencl/device/cl.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* CL_DEVICE_GLOBAL_FREE_MEMORY_AMD: KiB, total first, then the largest free piece. */
static uint64_t free_by_amd(const device_info *d) {
    size_t kib[2] = {0, 0};
    if (!strstr(d->extensions, "cl_amd_device_attribute_query")) return 0;
    if (clGetDeviceInfo(d->id, 0x4039, sizeof kib, kib, NULL) != CL_SUCCESS) return 0;
    return (uint64_t)kib[0] * 1024;
}

static uint64_t read_number(const char *pci, const char *name) {
    char path[256];
    unsigned long long n = 0;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", pci, name);
    FILE *f = xfound(fopen(path, "r"));
    if (!f) return 0;
    if (fscanf(f, "%llu", &n) != 1) n = 0;
    fclose(f);
    return n;
}

static uint64_t free_by_sysfs(const device_info *d) {
    if (!d->pci[0]) return 0;
    uint64_t total = read_number(d->pci, "mem_info_vram_total"), used = read_number(d->pci, "mem_info_vram_used");
    return total > used ? total - used : 0;
}

/* NVML belongs to NVIDIA's driver, and is loaded only if it is there, so that snug does not need it. */
typedef struct {
    unsigned long long total, free, used;
} nvml_memory;
static uint64_t free_by_nvml(const device_info *d) {
    if (!strcasestr(d->vendor, "nvidia") || !d->pci[0]) return 0;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    int (*init)(void), (*shutdown)(void), (*by_pci)(const char *, void **), (*memory)(void *, nvml_memory *);
    *(void **)&init = dlsym(library, "nvmlInit_v2");
    *(void **)&shutdown = dlsym(library, "nvmlShutdown");
    *(void **)&by_pci = dlsym(library, "nvmlDeviceGetHandleByPciBusId_v2");
    *(void **)&memory = dlsym(library, "nvmlDeviceGetMemoryInfo");
    uint64_t bytes = 0;
    if (init && shutdown && by_pci && memory && init() == 0) {
        void *handle = NULL;
        nvml_memory m;
        if (by_pci(d->pci, &handle) == 0 && memory(handle, &m) == 0) bytes = m.free;
        shutdown();
    }
    dlclose(library);
    return bytes;
}

uint64_t device_free_bytes(const device_info *d) {
    if (!(d->type & CL_DEVICE_TYPE_GPU)) return 0;
    uint64_t bytes = free_by_amd(d);
    if (!bytes) bytes = free_by_sysfs(d);
    return bytes ? bytes : free_by_nvml(d);
}
