/* cl.h: lists, chooses and opens OpenCL devices, builds programs for them, and names what fails. Knows no op. */
#ifndef SNUG_CL_H
#define SNUG_CL_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include "graph/graph.h"
#include "opencl/kernels/kernels.h"

typedef struct {
    cl_platform_id platform;
    cl_device_id id;
    char name[128], vendor[128], platform_name[128], driver[128], version[128], pci[32], extensions[4096];
    cl_device_type type;
    cl_ulong memory, largest, local; /* bytes: global memory, largest allocation, local memory */
    cl_uint alignment;               /* bytes to which the start of anything in a buffer is aligned */
    cl_uint units;
    size_t group;     /* largest work-group */
    size_t groups[3]; /* work-groups in each dimension, at most */
    bool unified;     /* shares the host's memory */
    bool available;
    uint64_t free; /* bytes that are free now; 0: not known */
} device_info;

/* All devices of all platforms, in their order: index N is `opencl:N`. *list is the caller's to free. 0 devices is not
   a failure. */
status devices_list(device_info **list, int *count, error *e);
/* The index of the device that the selector means, and in `why` some words on why it was chosen. BAD_INPUT: there is no
   such device; e says what there is instead, and for auto, cuda and opencl so does `why`. Looks at nothing but the
   list, and at this machine's device files if the list has no GPU. choose.c */
status devices_choose(const device_info *list, int count, const char *selector, int *index, char *why, size_t size,
                      error *e);

/* Does it say no more than that a device is wanted? */
bool devices_names_kind(const char *selector);
/* The device of one of several processes, which a selector of a kind alone shares out: from `chosen` on, in turn, those
   of its name. *alike: how many there are. */
int devices_share_out(const device_info *list, int count, int chosen, int process, int *alike);

/* What a machine shows of its cards and drivers, even if OpenCL does not find them. */
typedef struct {
    bool nvidia_card;                       /* /dev/nvidiactl */
    bool nvidia_library, nvidia_icd;        /* libnvidia-opencl.so.1, and a file in the ICD folder that names it */
    bool amd_card, amd_card_opens, amd_icd; /* /dev/kfd; may we read and write it */
    bool render_node, render_node_opens;    /* any /dev/dri/renderD* */
} device_signs;
device_signs device_signs_here(void);
/* What is missing in order to use a GPU, and how to get it, in one line; "" if the signs do not tell. */
const char *device_advice(const device_signs *s);

/* Free bytes by AMD's query, sysfs or NVML; 0 if none of them knows. free.c */
uint64_t device_free_bytes(const device_info *info);
/* What a cap of 0 means: the device's memory less a reserve. */
uint64_t device_default_cap(const device_info *info);

/* An opened device. graph and op say what is at work, for error messages; op is -1 outside of run. */
typedef struct {
    device_info info;
    cl_context context;
    cl_command_queue queue;
    const graph *graph;
    int op;
} device;

status device_open(device *d, const device_info *info, error *e);
/* A new queue, whose commands keep their times. */
status device_profile(device *d, error *e);
void device_close(device *d);

/* Builds the named sources (see kernels.h) with options; from the cache if it has exactly this. program.c */
status device_build(device *d, const char *const *sources, int count, const char *options, cl_program *program,
                    error *e);

/* The name of an error of OpenCL or CLBlast: "CL_OUT_OF_RESOURCES". */
const char *device_error_name(int code);
/* code 0 is OK; else a line with the call, its file and line, the error's name, and the op and tensors at work.
   Refusals of memory are NO_MEMORY. */
status device_check(const device *d, int code, const char *call, const char *file, int line, error *e);
#define CL(d, call) TRY(device_check(d, (call), #call, __FILE__, __LINE__, e))

#endif
