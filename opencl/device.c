/* device.c: lists the OpenCL devices, chooses one, opens it. Nothing here allocates device memory. */
#include "cl.h"
#include "device.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* PCI address by the extension that the vendor has: NVIDIA's, AMD's, then Khronos'. "" if none. */
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
    d->alignment = bits / 8;
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
    if (code == -1001) return OK; /* no ICD: no devices */
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

/* ---- why is there no GPU ---- */

static bool library_is_installed(const char *name) {
    static const char *const folders[] = {
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64",
        "/usr/lib/wsl/lib"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

static bool icd_mentions(const char *word) {
    const char *folder = getenv("OCL_ICD_VENDORS");
    if (!folder || !*folder) folder = "/etc/OpenCL/vendors";
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        char path[512], line[256] = "";
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!f) continue;
        found = fgets(line, sizeof line, f) && strstr(line, word);
        fclose(f);
    }
    if (dir) closedir(dir);
    return found;
}

void devices_diagnose(char *text, size_t size) {
    text[0] = 0;
    if (library_is_installed("libnvidia-opencl.so.1") && !icd_mentions("nvidia")) {
        snprintf(text, size,
                 "NVIDIA's driver is here, but its ICD file is not: echo libnvidia-opencl.so.1 | sudo tee "
                 "/etc/OpenCL/vendors/nvidia.icd");
    } else if (access("/dev/nvidiactl", F_OK) == 0 && !library_is_installed("libnvidia-opencl.so.1")) {
        snprintf(text, size, "an NVIDIA card is here without its OpenCL library: install nvidia-opencl-icd");
    } else if (access("/dev/kfd", F_OK) == 0 && access("/dev/kfd", R_OK | W_OK) != 0) {
        snprintf(text, size, "an AMD card is here (/dev/kfd), but you may not open it: sudo usermod -aG render $USER");
    } else if (access("/dev/kfd", F_OK) == 0 && !icd_mentions("amdocl") && !icd_mentions("usticl")) {
        snprintf(text, size, "an AMD card is here (/dev/kfd) without OpenCL: install rocm-opencl-runtime");
    } else if (access("/dev/dri/renderD128", F_OK) == 0 && access("/dev/dri/renderD128", R_OK | W_OK) != 0) {
        snprintf(text, size,
                 "a GPU is here (/dev/dri/renderD128), but you may not open it: sudo usermod -aG render "
                 "$USER");
    } else if (access("/dev/dri/renderD128", F_OK) == 0) {
        snprintf(text, size,
                 "a GPU is here (/dev/dri) without an OpenCL driver: install its vendor's "
                 "(intel-opencl-icd, rocm-opencl-runtime, nvidia-opencl-icd)");
    }
}

/* ---- choosing ---- */

static bool is_gpu(const device_info *d) { return d->type & CL_DEVICE_TYPE_GPU && d->available; }

/* Discrete before integrated, then the most memory. -1 if there is no GPU. */
static int best_gpu(const device_info *list, int count) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (!is_gpu(&list[i])) continue;
        if (best < 0 || list[i].unified < list[best].unified ||
            (list[i].unified == list[best].unified && list[i].memory > list[best].memory))
            best = i;
    }
    return best;
}

static void explain_gpu(const device_info *list, int count, int chosen, char *why, size_t size) {
    int others = 0, other = -1;
    for (int i = 0; i < count; i++)
        if (i != chosen && is_gpu(&list[i])) {
            others++;
            other = i;
        }
    if (!others)
        snprintf(why, size, "%s: the only GPU that OpenCL has here", list[chosen].name);
    else
        snprintf(why, size, "%s: the %s with most memory; --device=opencl:%d is %s%s", list[chosen].name,
                 list[chosen].unified ? "GPU" : "discrete GPU", other, list[other].name,
                 others > 1 ? ", see `snug devices` for more" : "");
}

static bool contains(const char *text, const char *part) { return strcasestr(text, part) != NULL; }

static status nothing_there(const device_info *list, int count, const char *selector, error *e) {
    char hint[256];
    devices_diagnose(hint, sizeof hint);
    if (count == 0)
        return fail(e, BAD_INPUT, "device '%s': OpenCL finds no device%s%s; --device=cpu needs none", selector,
                    hint[0] ? ": " : " (no driver in /etc/OpenCL/vendors)", hint);
    return fail(e, BAD_INPUT,
                "device '%s': no GPU among the %d OpenCL device%s%s%s; opencl:0 is %s, --device=cpu needs none",
                selector, count, count > 1 ? "s" : "", hint[0] ? "; " : "", hint, list[0].name);
}

status devices_choose(const device_info *list, int count, const char *selector, int *index, char *why, size_t size,
                      error *e) {
    int gpu = best_gpu(list, count);
    why[0] = 0;
    bool any = strcmp(selector, "opencl") == 0;
    if (strcmp(selector, "auto") == 0 || strncmp(selector, "cuda", 4) == 0 || any) {
        if (gpu < 0 && (!any || count == 0)) return nothing_there(list, count, selector, e);
        *index = gpu < 0 ? 0 : gpu;
        if (gpu >= 0)
            explain_gpu(list, count, gpu, why, size);
        else
            snprintf(why, size, "%s: no GPU, the first OpenCL device", list[0].name);
        return OK;
    }
    if (strncmp(selector, "opencl:", 7) == 0 && isdigit((unsigned char)selector[7])) {
        char *end;
        long n = strtol(selector + 7, &end, 10);
        if (*end || n < 0 || n >= count)
            return fail(e, BAD_INPUT, "device '%s': there are %d OpenCL devices, counted from 0; see `snug devices`",
                        selector, count);
        *index = (int)n;
        snprintf(why, size, "%s: chosen by number", list[n].name);
        return OK;
    }
    const char *part = strncmp(selector, "opencl:", 7) == 0 ? selector + 7 : selector;
    int matches = 0;
    for (int i = count - 1; i >= 0; i--)
        if (*part && contains(list[i].name, part)) {
            *index = i;
            matches++;
        }
    if (matches != 1)
        return fail(e, BAD_INPUT, "device '%s' is part of %d device names; see `snug devices`", selector, matches);
    snprintf(why, size, "%s: chosen by name", list[*index].name);
    return OK;
}

bool opencl_has_gpu(char *why, size_t size) {
    device_info *list;
    int count, index;
    error e = {""};
    bool found =
        devices_list(&list, &count, &e) == OK && devices_choose(list, count, "auto", &index, why, size, &e) == OK;
    if (!found) snprintf(why, size, "%s", e.text);
    free(list);
    return found;
}

/* ---- memory ---- */

/* A desktop and its browser need room too, and the driver's context comes on top: 1.5 GiB or an eighth. Where the free
   memory is known, less is enough. On a CPU the host's memory is shared with everything else: half of it. */
uint64_t device_default_cap(const device_info *d) {
    if (!(d->type & CL_DEVICE_TYPE_GPU)) return d->memory / 2;
    uint64_t reserve = d->memory / 8 > 3 * GIB / 2 ? d->memory / 8 : 3 * GIB / 2;
    uint64_t cap = d->memory > 2 * reserve ? d->memory - reserve : d->memory / 2;
    if (d->free) {
        uint64_t context = GIB / 2;
        cap = d->free > 2 * context ? d->free - context : d->free / 2;
    }
    return cap;
}

/* ---- opening ---- */

status device_open(device *d, const device_info *info, bool profile, error *e) {
    cl_int code;
    *d = (device){.info = *info, .op = -1};
    if (info->group < 256)
        return fail(e, BAD_INPUT, "device '%s' allows work-groups of %zu, and snug's kernels need 256", info->name,
                    info->group);
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)info->platform, 0};
    CL(d, (d->context = clCreateContext(properties, 1, &d->info.id, NULL, NULL, &code), code));
    d->queue = clCreateCommandQueue(d->context, d->info.id, profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    status s = device_check(d, code, "clCreateCommandQueue", __FILE__, __LINE__, e);
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
    fprintf(f, "opencl:%d  %s\n", index, d->name);
    fprintf(f, "    %s, %s, %u compute units%s\n", type_name(d->type), d->vendor, d->units,
            d->unified ? ", shares the host's memory" : "");
    fprintf(f, "    platform %s, driver %s, %s%s%s\n", d->platform_name, d->driver, d->version,
            d->pci[0] ? ", PCI " : "", d->pci);
    fprintf(f, "    memory %.2f GiB", (double)d->memory / (double)GIB);
    if (d->free) fprintf(f, " (%.2f GiB free)", (double)d->free / (double)GIB);
    fprintf(f, ", largest allocation %.2f GiB, vram_cap=0 means %.2f GiB\n", (double)d->largest / (double)GIB,
            (double)device_default_cap(d) / (double)GIB);
    fprintf(f, "    alignment %u bytes, local memory %llu KiB, work-groups of %zu\n", d->alignment,
            (unsigned long long)d->local / 1024, d->group);
    static const char *const matters[] = {"cl_khr_fp64", "cl_khr_fp16", "cl_khr_subgroups",
                                          "cl_nv_device_attribute_query", "cl_amd_device_attribute_query"};
    fprintf(f, "    extensions that matter:");
    int n = 0;
    for (size_t i = 0; i < sizeof matters / sizeof *matters; i++)
        if (contains(d->extensions, matters[i]) && ++n) fprintf(f, " %s", matters[i]);
    fprintf(f, "%s\n", n ? "" : " none");
}

status devices_print(FILE *f, error *e) {
    device_info *list;
    int count;
    TRY(devices_list(&list, &count, e));
    for (int i = 0; i < count; i++) print_device(&list[i], i, f);
    free(list);
    if (count == 0) return nothing_there(NULL, 0, "opencl", e);
    char why[512];
    bool gpu = opencl_has_gpu(why, sizeof why);
    fprintf(f, "auto takes %s%s%s\n", gpu ? "" : "the CPU backend (", why, gpu ? "" : ")");
    return OK;
}
