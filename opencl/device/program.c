/* program.c: builds kernels, and keeps the binaries under XDG_CACHE_HOME. A cached file is used only if it is whole and
   was made from exactly these sources and options for this device and driver; else it is replaced. For CPUs nothing is
   cached: PoCL keeps what it builds itself, and when it is asked for a binary it compiles each kernel once more. */
#include "opencl/device/cl.h"
#include "base/files.h"
#include "base/fnv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "snugcl1";

typedef struct {
    char magic[8];
    uint64_t key[2], bytes, checksum;
} cache_header;

/* Two different starts make a key of 128 bits. */
static void make_key(const device *d, const char *const *texts, int count, const char *options, uint64_t key[2]) {
    const char *more[] = {options,        d->info.name,    d->info.vendor,
                          d->info.driver, d->info.version, d->info.platform_name};
    for (int k = 0; k < 2; k++) {
        uint64_t h = k ? 0x9e3779b97f4a7c15u : FNV_START;
        for (int i = 0; i < count; i++) h = fnv_add(h, texts[i], strlen(texts[i]) + 1);
        for (size_t i = 0; i < sizeof more / sizeof *more; i++) h = fnv_add(h, more[i], strlen(more[i]) + 1);
        key[k] = h;
    }
}

/* The cache's folder, which is made if it is missing; NULL if that is impossible. The caller frees it. */
static char *cache_folder(void) {
    char *folder = file_cache_path("kernels");
    if (folder && folder_make(folder, NULL) == OK) return folder;
    free(folder);
    return NULL;
}

/* The binary in the file if it is ours, whole and has this key; else NULL. */
static unsigned char *cache_read(const char *path, const uint64_t key[2], size_t *bytes) {
    FILE *f = xfound(fopen(path, "rb"));
    if (!f) return NULL;
    cache_header h;
    struct stat st;
    unsigned char *data = NULL;
    if (fstat(fileno(f), &st) == 0 && st.st_uid == geteuid() && fread(&h, sizeof h, 1, f) == 1 &&
        memcmp(h.magic, magic, sizeof magic) == 0 && h.key[0] == key[0] && h.key[1] == key[1] &&
        (uint64_t)st.st_size == sizeof h + h.bytes && h.bytes > 0) {
        data = xcalloc(h.bytes, 1);
        *bytes = h.bytes;
        if (fread(data, 1, h.bytes, f) != h.bytes || fnv_add(key[0], data, h.bytes) != h.checksum) {
            free(data);
            data = NULL;
        }
    }
    fclose(f);
    return data;
}

/* Writes under a temporary name and renames, so that nobody reads half a file. A failure does not matter. */
static void cache_write(const char *path, const uint64_t key[2], cl_program program) {
    size_t bytes = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS || !bytes) return;
    unsigned char *data = xcalloc(bytes, 1);
    char *temporary = xprintf("%s.%ld", path, (long)getpid());
    FILE *f = NULL;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof data, &data, NULL) == CL_SUCCESS &&
        (f = xfound(fopen(temporary, "wb")))) {
        cache_header h = {.key = {key[0], key[1]}, .bytes = bytes, .checksum = fnv_add(key[0], data, bytes)};
        memcpy(h.magic, magic, sizeof magic);
        bool good = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(data, 1, bytes, f) == bytes;
        good = fclose(f) == 0 && good;
        if (!good || rename(temporary, path) != 0) remove(temporary);
    }
    free(temporary);
    free(data);
}

static bool build_from_binary(device *d, const unsigned char *data, size_t bytes, const char *options,
                              cl_program *program) {
    cl_int code, loaded;
    *program = clCreateProgramWithBinary(d->context, 1, &d->info.id, &bytes, &data, &loaded, &code);
    if (code == CL_SUCCESS && loaded == CL_SUCCESS &&
        clBuildProgram(*program, 1, &d->info.id, options, NULL, NULL) == CL_SUCCESS)
        return true;
    if (code == CL_SUCCESS) clReleaseProgram(*program);
    *program = NULL;
    return false;
}

/* The compiler's log names the files and their lines. Only its beginning is shown. */
static status build_failed(device *d, cl_program program, int code, error *e) {
    size_t n = 0;
    clGetProgramBuildInfo(program, d->info.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    char *log = xcalloc(n + 1, 1);
    clGetProgramBuildInfo(program, d->info.id, CL_PROGRAM_BUILD_LOG, n, log, NULL);
    status s = fail(e, FAILED, "OpenCL: %s (%d): the kernels don't build on %s:\n%.600s", device_error_name(code), code,
                    d->info.name, log[0] ? log : "no log");
    free(log);
    return s;
}

static status build_from_source(device *d, const char *const *texts, int count, const char *options,
                                cl_program *program, error *e) {
    cl_int code;
    CL(d, (*program = clCreateProgramWithSource(d->context, (cl_uint)count, (const char **)texts, NULL, &code), code));
    code = clBuildProgram(*program, 1, &d->info.id, options, NULL, NULL);
    if (code == CL_SUCCESS) return OK;
    status s = build_failed(d, *program, code, e);
    clReleaseProgram(*program);
    *program = NULL;
    return s;
}

static const char *find_source(const char *name) {
    for (int i = 0; i < kernel_count; i++)
        if (strcmp(kernel_names[i], name) == 0) return kernel_sources[i];
    return NULL;
}

status device_build(device *d, const char *const *sources, int count, const char *options, cl_program *program,
                    error *e) {
    const char *texts[16];
    for (int i = 0; i < count; i++)
        if (!(texts[i] = find_source(sources[i])))
            return fail(e, FAILED, "OpenCL: the source %s is not in this build", sources[i]);
    uint64_t key[2];
    make_key(d, texts, count, options, key);
    char *folder = d->info.type & CL_DEVICE_TYPE_CPU ? NULL : cache_folder(), *path = NULL;
    if (folder) path = xprintf("%s/%016llx%016llx", folder, (unsigned long long)key[0], (unsigned long long)key[1]);
    free(folder);
    size_t bytes = 0;
    unsigned char *data = path ? cache_read(path, key, &bytes) : NULL;
    status s = OK;
    if (!data || !build_from_binary(d, data, bytes, options, program)) {
        s = build_from_source(d, texts, count, options, program, e);
        if (s == OK && path) cache_write(path, key, *program);
    }
    free(data);
    free(path);
    return s;
}
