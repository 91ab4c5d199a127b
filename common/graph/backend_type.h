/* backend_type.h: what a backend is, as far as it can be said where none is open (R1): its kind, its precision, and all
   that a plan takes for granted about it. */
#ifndef SNUG_BACKEND_TYPE_H
#define SNUG_BACKEND_TYPE_H

#include "graph/cost.h"
#include "graph/plan.h"

typedef enum { BACKEND_CPU, BACKEND_OPENCL } backend_kind;

/* What is computed in. Columns: bytes of a real, dtype, the matmul_precision that asks for it, what inputs of matrix
   products are rounded to ("": they are not), all of it for people, and how far from those of float64 gradients may be
   (P5: norm-wise, tensor by tensor). */
#define PRECISIONS(X)                                                                                                  \
    X(FLOAT32, 4, "float32", "highest", "", "float32", 1e-5)                                                           \
    X(TF32, 4, "float32", "high", "tf32", "float32, matrix products in tf32", 5e-3)                                    \
    X(BF16, 4, "float32", "medium", "bf16", "float32, matrix products in bf16", 3e-2)                                  \
    X(FLOAT64, 8, "float64", "highest", "", "float64", 1e-12)
#define X(name, real_bytes, dtype, matmul, products, text, tolerance) PRECISION_##name,
typedef enum { PRECISIONS(X) PRECISION_COUNT } compute_precision;
#undef X

typedef struct {
    size_t real_bytes;
    const char *dtype, *matmul, *products, *text;
    double tolerance;
} precision_info;
extern const precision_info precision_table[PRECISION_COUNT];

typedef struct {
    backend_kind kind;
    compute_precision precision;
    const char *name;        /* "cpu", "opencl" */
    const char *planned_for; /* of a plan made while none is open: "the CPU backend" */
    const char *memory;      /* what people call the memory that the cap is for: "RAM", "VRAM" */
    scratch_rule *scratch;   /* working space of every op */
    cost_model cost;         /* stated constants, until the device is measured */
    /* What a plan keeps to while none is open, for a cap in bytes; 0: the user gave none. */
    memory_limits (*limits)(compute_precision, uint64_t cap);
} backend_type;

/* The types there are, constant data; NULL where the backend does not have that precision. cpu/backend.c, and
   opencl/type.c, which is in every build. */
const backend_type *cpu_type(compute_precision p);
const backend_type *opencl_type(compute_precision p);
/* An opened OpenCL backend that multiplies by snug's own kernels, which need no temporaries. Which products float32
   gets is known only then; opencl_type has room for CLBlast's. */
const backend_type *opencl_type_own(compute_precision p);

#endif
