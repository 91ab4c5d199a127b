/* backend_type.h: what is known of a backend before one is opened (R1): its kind, its precision, and what a plan
   assumes about it. */
#ifndef SNUG_BACKEND_TYPE_H
#define SNUG_BACKEND_TYPE_H

#include "graph/cost.h"
#include "graph/plan.h"

typedef enum { BACKEND_CPU, BACKEND_OPENCL } backend_kind;

/* The precisions that are computed in. Columns: bytes of a real; the dtype and the matmul_precision that ask for it
   ("": whatever that is); what the inputs of matrix products are rounded to ("": they are not); its name for people;
   and how far gradients may be from float64's (P5: norm-wise, for each tensor). BF16 rounds float32 for products alone;
   BFLOAT16 stores activations so (precision.h). */
#define PRECISIONS(X)                                                                                                  \
    X(FLOAT32, 4, "float32", "highest", "", "float32", 1e-5)                                                           \
    X(TF32, 4, "float32", "high", "tf32", "float32, matrix products in tf32", 5e-3)                                    \
    X(BF16, 4, "float32", "medium", "bf16", "float32, matrix products in bf16", 3e-2)                                  \
    X(FLOAT64, 8, "float64", "highest", "", "float64", 1e-12)                                                          \
    X(BFLOAT16, 4, "bfloat16", "", "bf16", "bfloat16", 3e-2)
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
    const char *assumed;     /* what else `plan` says that it takes for granted; "" or NULL: nothing */
    const char *planned_for; /* what `plan` says that it plans for: "the CPU backend" */
    const char *memory;      /* what people call the memory that the cap limits: "RAM", "VRAM" */
    bool has_host;           /* its memory is not the host's, where tensors may be at home instead (home.h) */
    scratch_rule *scratch;   /* how much working space each op needs */
    tensor_type stored;      /* how it stores the activations that precision.h makes bfloat16; REAL: as reals */
    cost_model cost;         /* stated constants, for devices that were not measured yet */
    /* The limits that a plan keeps to while no backend is open, under a cap in bytes (0: the user gave none). */
    memory_limits (*limits)(compute_precision, uint64_t cap);
} backend_type;

/* The types, which are constant data; NULL if the backend does not have that precision. They are defined in
   cpu/backend.c, and in opencl/type.c, which is a part of every build. */
const backend_type *cpu_type(compute_precision p);
const backend_type *opencl_type(compute_precision p);
/* An opened OpenCL backend that multiplies by snug's own kernels, which need no temporaries. Which products float32
   gets is known only then; opencl_type has room for CLBlast's. */
const backend_type *opencl_type_own(compute_precision p);

#endif
