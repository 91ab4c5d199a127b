/* backend_type.c: see backend_type.h. */
#include "graph/backend_type.h"

#define X(name, real_bytes, dtype, matmul, products, text, tolerance)                                                  \
    {real_bytes, dtype, matmul, products, text, tolerance},
const precision_info precision_table[PRECISION_COUNT] = {PRECISIONS(X)};
#undef X
