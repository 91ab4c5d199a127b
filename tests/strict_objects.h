/* strict_objects.h: what preload_strict.c, the only one that includes it, knows of the objects that are there, and how
   it complains. */
#ifndef SNUG_TEST_STRICT_OBJECTS_H
#define SNUG_TEST_STRICT_OBJECTS_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include "preload_next.h"
#include <CL/cl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STRICT_STATUS = 86, BUCKETS = 8192 };
/* NVIDIA's, measured on an H100 (docs/devices.md): local memory is less where some of it is an argument. */
enum { GROUPS_MOST = 65535, LANES_MOST = 256, LOCAL_MOST = 48 * 1024, LOCAL_WITH_ARGUMENT_MOST = 47 * 1024 };

typedef enum { CONTEXT, QUEUE, BUFFER, PROGRAM, KERNEL, EVENT } kind;
static const char *const kind_names[] = {"context", "queue", "buffer", "program", "kernel", "event"};

typedef struct object object;
typedef struct {
    bool set, takes_buffer;
    size_t bytes;   /* what clSetKernelArg must be given; 0: not known, or local memory */
    size_t local;   /* of a local argument */
    object *buffer; /* that it holds; stays when that is released: then it is stale */
    uint64_t made;  /* which of the buffers with that handle */
} argument;
struct object {
    void *handle;
    kind kind;
    int references; /* 0: released. The object stays, for what still names it */
    bool ours;      /* not CLBlast's */
    uint64_t made;  /* serial number */
    object *context, *queue, *next;
    size_t bytes;             /* buffers */
    bool host;                /* buffers: in the host's memory */
    uint64_t used, done;      /* buffers, events: the last command; queues: the last that has been waited for */
    unsigned buffers, launch; /* contexts: live buffers of ours; kernels enqueued since there are any */
    char name[64];            /* kernels */
    unsigned n_args;
    size_t local; /* kernels: static local memory */
    argument *args;
};

static object *table[BUCKETS];
static uint64_t commands, serial;

/* ---- saying it ---- */

__attribute__((noreturn, format(printf, 1, 2))) static void complain(const char *format, ...) {
    char line[512] = "strict OpenCL: ";
    va_list list;
    va_start(list, format);
    vsnprintf(line + strlen(line), sizeof line - strlen(line) - 1, format, list);
    va_end(list);
    strcat(line, "\n");
    const char *path = getenv("SNUG_STRICT_FILE"); /* for scripts that look at no exit status */
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) {
        fputs(line, f);
        fclose(f);
    }
    fflush(stdout);
    if (write(STDERR_FILENO, line, strlen(line)) < 0) _exit(STRICT_STATUS + 1);
    _exit(STRICT_STATUS);
}

/* For tests: is it here? */
int strict_opencl_is_here(void) { return STRICT_STATUS; }

/* Whose call is it? Asked of the address that a function returns to. A function of the program that has a name of
   OpenCL's passes on what CLBlast has asked (opencl/device/binaries.c). */
static bool is_ours(const void *address) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) return true;
    return !strstr(info.dli_fname, "libclblast") && (!info.dli_sname || strncmp(info.dli_sname, "cl", 2) != 0);
}
#define OURS is_ours(__builtin_return_address(0))

/* ---- what there is ---- */

static object **bucket(const void *handle) { return &table[((uintptr_t)handle >> 4) * 2654435761u % BUCKETS]; }

static object *look_up(const void *handle, kind k) {
    object *o = *bucket(handle);
    while (o && (o->handle != handle || o->kind != k)) o = o->next;
    return o;
}

/* One that is alive, or the end of the process. */
static object *alive(const void *handle, kind k, const char *call) {
    object *o = look_up(handle, k);
    if (!o) complain("%s of a %s that nobody made", call, kind_names[k]);
    if (!o->references) complain("%s of a released %s%s%s", call, kind_names[k], *o->name ? " " : "", o->name);
    return o;
}

/* Drivers give the handles of released objects to new ones: those take the old one's place, with another number. */
static object *made(void *handle, kind k, void *context, bool ours) {
    object *o = look_up(handle, k);
    if (!o) {
        o = calloc(1, sizeof *o);
        if (!o) complain("no memory");
        o->next = *bucket(handle);
        *bucket(handle) = o;
    }
    free(o->args);
    *o = (object){.handle = handle, .kind = k, .next = o->next, .references = 1, .ours = ours, .made = ++serial};
    if (context) o->context = look_up(context, CONTEXT);
    return o;
}

#endif
