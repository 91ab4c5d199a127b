/* backend.h: the only line between common/ and cpu/, opencl/. A backend knows ops, never layers. */
#ifndef SNUG_BACKEND_H
#define SNUG_BACKEND_H

#include "graph/backend_type.h"

typedef struct backend backend;
struct backend {
    const backend_type *type;
    char device[256]; /* what bits depend on (P4), readable: "CPU, OpenBLAS Haswell" */
    int threads;      /* that share out its work, which changes no bit; 0: the device's own */
    memory_limits limits;
    uint64_t memory, memory_free; /* bytes that the device has in all and free when opened; 0: unknown */
    uint64_t allocated;           /* bytes taken by bind; equals plan.total */
    bool profile;       /* run keeps the time of every op. Set before bind; may be switched off and on again after it */
    bool products_only; /* where gemm_rate is NULL: run does nothing but the library's products; results are garbage */
    uint64_t launches;  /* there too: kernels, fills and calls of the library that all runs so far enqueued */
    char gemm[1024];    /* what its matrix products go by, as a run records it (P4): "default", numbers, "tf32 ..." */
    char advice[256];   /* a line for people about those; "" where there is nothing to say */

    /* The only allocation: reserves plan->block_bytes, writes to every byte of it, waits, and seals. g and p stay the
       caller's and must outlive the backend. NO_MEMORY: refused by cap or device; nothing is held then and bind may be
       called again with a smaller plan. All persistent tensors read as zeros afterwards. */
    status (*bind)(backend *, const graph *g, const plan *p, error *e);
    /* Runs the ops of a span; may be asynchronous. */
    status (*run)(backend *, span, const step_args *, error *e);
    /* Copies bytes to or from a tensor's own memory layout (dense, row-major, the run's real type). read waits. */
    status (*write)(backend *, tensor_id, const void *, size_t offset, size_t bytes, error *e);
    status (*read)(backend *, tensor_id, void *, size_t offset, size_t bytes, error *e);
    /* Adds to seconds[i] the time of op i in all runs since the last call with `profile` on; waits. */
    status (*op_seconds)(backend *, double *seconds /* [n_ops] */, error *e);
    /* Operations a second of the library's own product c[m,n] = a[m,k] b[k,n] at its fastest, the limit of
       everything else. It takes memory of its own and gives it back. NULL: run a LINEAR op instead. */
    status (*gemm_rate)(backend *, int64_t m, int64_t n, int64_t k, double *flops, error *e);
    void (*close)(backend *);
};

/* real_bytes 4 or 8; cap in bytes, 0: the host's memory less a reserve. Never fails. cpu/backend.c */
backend *cpu_open(size_t real_bytes, uint64_t cap);

#endif
