/* core_type.c: see core_type.h. */
#include "cpu/core_type.h"
#include "base/restart.h"
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *core_type_for(const char *core, bool avx2, bool avx512) {
    static const char *const old[] = {"Generic",  "Core2",       "Penryn",  "Dunnington",   "Nehalem",   "Atom",
                                      "Prescott", "Sandybridge", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat"};
    for (size_t i = 0; i < sizeof old / sizeof *old && avx2; i++)
        if (!strcmp(core, old[i])) return avx512 ? "SkylakeX" : "Haswell";
    return NULL;
}

const char *core_type_wanted(void) {
#ifdef __x86_64__
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return core_type_for(openblas_get_corename(), avx2, avx512);
#else
    return NULL;
#endif
}

void core_type_advice(char *text, size_t size) {
    const char *wanted = core_type_wanted();
    bool chosen = getenv("OPENBLAS_CORETYPE") && !restart_has_set("OPENBLAS_CORETYPE");
    *text = 0;
    if (wanted && !chosen)
        snprintf(
            text, size,
            "note: this OpenBLAS takes the processor for a slower one, %s: set OPENBLAS_CORETYPE=%s, which changes "
            "the last bits, or get a newer OpenBLAS",
            openblas_get_corename(), wanted);
}
