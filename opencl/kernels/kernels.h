/* kernels.h: the OpenCL C sources, put into the program by embed.sh, and the table of kernels in them. */
#ifndef SNUG_KERNELS_H
#define SNUG_KERNELS_H

extern const char *const kernel_names[]; /* "norm.cl" */
extern const char *const kernel_sources[];
extern const int kernel_count;

/* Which of the two programs a kernel is in: attention is built for one head size. */
typedef enum { PROGRAM_COMMON, PROGRAM_ATTENTION, PROGRAM_COUNT } program_id;

#define KERNELS(X)                                                                                                     \
    X(COMMON, embed)                                                                                                   \
    X(COMMON, embed_dwte)                                                                                              \
    X(COMMON, embed_dwpe)                                                                                              \
    X(COMMON, head_rows)                                                                                               \
    X(COMMON, head_dx)                                                                                                 \
    X(COMMON, head_losses)                                                                                             \
    X(COMMON, logits_row)                                                                                              \
    X(COMMON, norm)                                                                                                    \
    X(COMMON, norm_dx)                                                                                                 \
    X(COMMON, norm_dw)                                                                                                 \
    X(COMMON, linear_rows)                                                                                             \
    X(COMMON, bias_rows)                                                                                               \
    X(COMMON, bias_dw)                                                                                                 \
    X(COMMON, add_partials)                                                                                            \
    X(COMMON, residual_norm)                                                                                           \
    X(COMMON, residual_dx)                                                                                             \
    X(COMMON, gelu)                                                                                                    \
    X(COMMON, gelu_dx)                                                                                                 \
    X(COMMON, keep)                                                                                                    \
    X(COMMON, add)                                                                                                     \
    X(COMMON, squares_partial)                                                                                         \
    X(COMMON, squares_total)                                                                                           \
    X(COMMON, grad_norm)                                                                                               \
    X(COMMON, round_copy)                                                                                              \
    X(COMMON, adamw)                                                                                                   \
    X(ATTENTION, attention)                                                                                            \
    X(ATTENTION, attention_delta)                                                                                      \
    X(ATTENTION, attention_dq)                                                                                         \
    X(ATTENTION, attention_dkv)                                                                                        \
    X(ATTENTION, attention_one)

#define X(program, name) KERNEL_##name,
typedef enum { KERNELS(X) KERNEL_COUNT } kernel_id;
#undef X

#endif
