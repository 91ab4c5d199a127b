/* core_type.h: for which processor OpenBLAS has chosen its kernels, and whether that was a good choice. */
#ifndef SNUG_CORE_TYPE_H
#define SNUG_CORE_TYPE_H

#include <stdbool.h>
#include <stddef.h>

/* What OPENBLAS_CORETYPE should say where OpenBLAS has taken the processor for one of before 2013, as it does with
   those that came after it: `core` is its name for that one, avx2 and avx512 what the processor has. NULL: it chose
   well. */
const char *core_type_for(const char *core, bool avx2, bool avx512);
/* The same for this OpenBLAS and this processor. */
const char *core_type_wanted(void);
/* A line for the user where OpenBLAS works with the wrong kernels and nobody has asked it to. "": it does not. */
void core_type_advice(char *text, size_t size);

#endif
