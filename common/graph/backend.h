/* backend.h: the interface between common/ and the backends in cpu/ and opencl/. A backend knows ops, never layers. */
#ifndef SNUG_BACKEND_H
#define SNUG_BACKEND_H

#include "graph/backend_type.h"

typedef struct backend backend;
struct backend {
    const backend_type *type;
    char device[256]; /* in words, all of the device that bits depend on (P4): "CPU, OpenBLAS Haswell" */
    char chosen[512]; /* why it is this one: "the only GPU that OpenCL has here"; "" if there was nothing to choose */
    int alike;        /* how many devices of its name there are to be shared out to processes; 0: it was named itself */
    int threads;      /* how many threads share its work, which changes no bit; 0: that is the device's business */
    memory_limits limits;
    uint64_t memory, memory_free; /* bytes that the device has, and of these free when it was opened; 0: not known */
    uint64_t allocated;           /* bytes taken by bind; equals plan.total */
    uint64_t host_allocated;      /* of the host's memory, for tensors at home there; equals plan.host_total */
    bool host_pageable;           /* the driver has no pinned memory for them, so that transfers are slower */
    double transfer_seconds;      /* profile: what moving them has taken; set and added to by op_seconds */
    bool profile; /* run keeps the time of every op. Set it before bind; it may be switched off and on afterwards */
    bool products_only; /* for backends without gemm_rate: run does nothing but matrix products; results are garbage */
    uint64_t launches;  /* for these too: kernels, fills and library calls that all runs so far have enqueued */
    char gemm[1024];    /* what its matrix products depend on, as runs record it (P4): "default", numbers, "tf32 ..." */
    char advice[256];   /* a line for the user about its matrix products; "" if there is nothing to say */

    /* The only allocation: reserves plan->block_bytes and plan->host_block_bytes, writes to every byte, and waits;
       after that nothing more can be allocated. g and p stay the caller's and must outlive the backend. NO_MEMORY: the
       cap or the device refuses; nothing is held then, and bind may be called again with a smaller plan. BAD_INPUT: the
       host refuses what is to lie there. All persistent tensors are zero afterwards. */
    status (*bind)(backend *, const graph *g, const plan *p, error *e);
    /* Runs the ops of a span. It may return before they are done; read waits for them. */
    status (*run)(backend *, span, const step_args *, error *e);
    /* Copy bytes of a tensor, from byte `offset` on. Tensors are dense and row-major, in the run's real type,
       or in bfloat16 if that is the tensor's type. */
    status (*write)(backend *, tensor_id, const void *, size_t offset, size_t bytes, error *e);
    status (*read)(backend *, tensor_id, void *, size_t offset, size_t bytes, error *e);
    /* The same without waiting, in the order of what runs: *ticket stands for the copy, until `copied` says that it is
       done; without a ticket a later copy tells. host is a place in a tensor at home in the host's memory. NULL: read
       and write have nothing to wait for. */
    status (*copy)(backend *, tensor_id, void *host, size_t offset, size_t bytes, bool write, void **ticket, error *e);
    status (*copied)(backend *, void **ticket, bool *done, error *e); /* *ticket is NULL afterwards if it is done */
    /* Where a tensor begins in the host's memory: one at home there, or, of a backend without has_host, any. */
    char *(*host_address)(const backend *, tensor_id);
    /* Waits, and adds to seconds[i] what op i took in all runs with `profile` since the last call, less what its
       tensors took to come from the host and go back, which goes to transfer_seconds. */
    status (*op_seconds)(backend *, double *seconds /* [n_ops] */, error *e);
    /* Measures how many operations a second the library's own product c[m,n] = a[m,k] b[k,n] does at its fastest, with
       which `bench` compares everything. Takes memory of its own, and frees it. NULL: a LINEAR op has to do instead. */
    status (*gemm_rate)(backend *, int64_t m, int64_t n, int64_t k, double *flops, error *e);
    /* Gives all that bind took back, after which bind may be called again, with another graph too: what was built for
       the device stays. Does nothing where nothing is bound. */
    void (*unbind)(backend *);
    /* Is op i of the bound graph done by the launch of the op before it, whose time it then counts in? NULL: never. */
    bool (*is_joined)(const backend *, int i);
    void (*close)(backend *); /* unbinds too */
};

/* Opens the CPU backend (cpu/backend.c) in a precision that cpu_type has; cap in bytes, 0: the host's memory less a
   reserve. Never fails. cpu_open: in float32 or float64, by real_bytes 4 or 8. */
backend *cpu_open_as(compute_precision p, uint64_t cap);
backend *cpu_open(size_t real_bytes, uint64_t cap);
/* Comes before these. FAILED when the system refuses the address space that OpenBLAS takes for each thread: it would
   ask for it again and again, for ever. */
status cpu_check_room(error *e);

#endif
