/* functions.c: the table from op codes to functions, in this precision. */
#include "cpu/ops.h"

#define X(name, access, names) [OP_##name] = R(cpu_##name),
cpu_function *const R(cpu_functions)[OP_COUNT] = {OPS(X)};
#undef X
