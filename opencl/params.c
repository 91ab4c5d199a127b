/* params.c: see params.h. The table, the rules, and the text. */
#include "opencl/params.h"
#include "opencl/scratch.h"
#include <clblast_c.h>
#include <stdio.h>
#include <string.h>

/* Products with fewer multiply-adds than the cube of this go to the direct kernel; a layer of GPT-2 has far more. CPUs
   are slow at the direct kernel, so that on PoCL the other one's copies are worth their time earlier. */
enum { MIN_INDIRECT = 192, MIN_INDIRECT_CPU = 64 };
/* Local memory that a work-group may use on any card. */
enum { LOCAL_BYTES = 48 << 10 };

#define X(family, name) {#name, FAMILY_##family},
const param_info param_table[PARAM_COUNT] = {PARAMETERS(X)};
#undef X
#define X(family, name) name,
const char *const family_names[FAMILY_COUNT] = {FAMILIES(X)};
#undef X

void family_span(param_family f, int *first, int *end) {
    *first = 0;
    while (param_table[*first].family != f) ++*first;
    *end = *first;
    while (*end < PARAM_COUNT && param_table[*end].family == f) ++*end;
}

bool opencl_defaults_to_own(const device_info *d) { return !(d->type & CL_DEVICE_TYPE_CPU); }

/* For CPUs a set that is 4 to 8 times as fast on PoCL as CLBlast's own: both operands go through local memory, in
   vectors of 8 numbers. */
gemm_params gemm_params_base(const device_info *d) {
    static const size_t xgemm_cpu[] = {0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 1, 1, 0, 0, 8, 8};
    gemm_params p = {.has[FAMILY_ROUTINE] = true, .value[PARAM_XGEMM_MIN_INDIRECT_SIZE] = MIN_INDIRECT};
    if (!(d->type & CL_DEVICE_TYPE_CPU)) return p;
    p.value[PARAM_XGEMM_MIN_INDIRECT_SIZE] = MIN_INDIRECT_CPU;
    p.has[FAMILY_XGEMM] = true;
    memcpy(&p.value[PARAM_GEMMK], xgemm_cpu, sizeof xgemm_cpu);
    return p;
}

/* ---- rules ---- */

static bool divides(size_t part, size_t whole) { return part && whole % part == 0; }
static bool is_power(size_t n, size_t low, size_t high) { return n >= low && n <= high && (n & (n - 1)) == 0; }

/* A thread block of x by y lanes that loads a tile of `side` by k, `across` lanes along the side, `width` numbers at a
   time: do whole lanes cover it? */
static bool covers(size_t side, size_t k, size_t lanes, size_t across, size_t width) {
    return divides(across * width, side) && divides(across, lanes) && divides(lanes / across, k);
}

static bool xgemm_sound(const size_t *v, const device_info *d) {
    size_t M = v[PARAM_MWG], N = v[PARAM_NWG], K = v[PARAM_KWG];
    size_t mc = v[PARAM_MDIMC], nc = v[PARAM_NDIMC], lanes = mc * nc;
    bool tiles = is_power(M, 4, GEMM_TILE) && is_power(N, 4, GEMM_TILE) && is_power(K, 1, GEMM_TILE) &&
                 is_power(mc, 1, 256) && is_power(nc, 1, 256) && lanes <= (d->group < 256 ? d->group : 256) &&
                 is_power(v[PARAM_VWM], 1, 16) && is_power(v[PARAM_VWN], 1, 16) && divides(mc * v[PARAM_VWM], M) &&
                 divides(nc * v[PARAM_VWN], N) && is_power(v[PARAM_KREG], 1, 16) && is_power(v[PARAM_KWI], 1, 32);
    if (!tiles || v[PARAM_STRM] > 1 || v[PARAM_STRN] > 1) return false;
    if (v[PARAM_GEMMK] == 1) /* before CLBlast 1.6.3 tiles that are not square give wrong results */
        return M == N && K == 1 && divides(v[PARAM_VWN], v[PARAM_KREG]) && v[PARAM_KWI] == 1 && v[PARAM_MDIMA] == mc &&
               v[PARAM_NDIMB] == nc && !v[PARAM_SA] && !v[PARAM_SB];
    if (v[PARAM_GEMMK] || v[PARAM_SA] > 1 || v[PARAM_SB] > 1 || v[PARAM_KREG] != 1) return false;
    size_t local = 4 * K * (v[PARAM_SA] * M + v[PARAM_SB] * N);
    return divides(v[PARAM_KWI], K) && local <= d->local && local <= LOCAL_BYTES &&
           covers(M, K, lanes, v[PARAM_MDIMA], v[PARAM_VWM]) && covers(N, K, lanes, v[PARAM_NDIMB], v[PARAM_VWN]);
}

static bool direct_sound(const size_t *v, const device_info *d) {
    size_t W = v[PARAM_WGD], mc = v[PARAM_MDIMCD], nc = v[PARAM_NDIMCD], lanes = mc * nc;
    if (!is_power(W, 8, GEMM_TILE) || !is_power(mc, 1, 256) || !is_power(nc, 1, 256) || lanes > 256 ||
        lanes > d->group || v[PARAM_PADA] > 1 || v[PARAM_PADB] > 1 || !is_power(v[PARAM_VWMD], 1, 8) ||
        !is_power(v[PARAM_VWND], 1, 8) || !divides(v[PARAM_KWID], W))
        return false;
    size_t local = 4 * W * (2 * W + v[PARAM_PADA] + v[PARAM_PADB]);
    return local <= d->local && local <= LOCAL_BYTES && divides(mc * v[PARAM_VWMD], W) &&
           divides(nc * v[PARAM_VWND], W) && covers(W, W, lanes, v[PARAM_MDIMAD], v[PARAM_VWMD]) &&
           covers(W, W, lanes, v[PARAM_NDIMBD], v[PARAM_VWND]);
}

static bool copies_sound(const gemm_params *p, const device_info *d) {
    const size_t *v = p->value;
    size_t side = v[PARAM_TRA_DIM] * v[PARAM_TRA_WPT], pad_side = v[PARAM_PADTRA_TILE] * v[PARAM_PADTRA_WPT];
    size_t limit = d->local < LOCAL_BYTES ? d->local : LOCAL_BYTES;
    if (p->has[FAMILY_COPY] && !(is_power(v[PARAM_COPY_DIMX], 1, 32) && is_power(v[PARAM_COPY_DIMY], 1, 32) &&
                                 v[PARAM_COPY_DIMX] * v[PARAM_COPY_DIMY] <= 256 && is_power(v[PARAM_COPY_VW], 1, 8) &&
                                 is_power(v[PARAM_COPY_WPT], 1, 8)))
        return false;
    if (p->has[FAMILY_PAD] && !(is_power(v[PARAM_PAD_DIMX], 1, 32) && is_power(v[PARAM_PAD_DIMY], 1, 32) &&
                                v[PARAM_PAD_DIMX] * v[PARAM_PAD_DIMY] <= 256 && is_power(v[PARAM_PAD_WPTX], 1, 8) &&
                                is_power(v[PARAM_PAD_WPTY], 1, 8)))
        return false;
    if (p->has[FAMILY_TRANSPOSE] &&
        !(is_power(v[PARAM_TRA_DIM], 4, 16) && is_power(v[PARAM_TRA_WPT], 1, 16) && v[PARAM_TRA_PAD] <= 1 &&
          v[PARAM_TRA_SHUFFLE] <= 1 && 4 * side * (v[PARAM_TRA_DIM] + v[PARAM_TRA_PAD]) * v[PARAM_TRA_WPT] <= limit))
        return false;
    return !p->has[FAMILY_PADTRANSPOSE] ||
           (is_power(v[PARAM_PADTRA_TILE], 4, 16) && is_power(v[PARAM_PADTRA_WPT], 1, 16) && v[PARAM_PADTRA_PAD] <= 1 &&
            4 * pad_side * (pad_side + v[PARAM_PADTRA_PAD]) <= limit);
}

bool gemm_params_sound(const gemm_params *p, const device_info *d) {
    const size_t *v = p->value;
    return p->has[FAMILY_ROUTINE] && v[PARAM_XGEMM_MIN_INDIRECT_SIZE] >= 1 &&
           v[PARAM_XGEMM_MIN_INDIRECT_SIZE] <= 4096 && (!p->has[FAMILY_XGEMM] || xgemm_sound(v, d)) &&
           (!p->has[FAMILY_DIRECT] || direct_sound(v, d)) && copies_sound(p, d);
}

/* ---- text ---- */

void gemm_params_print(const gemm_params *p, char text[GEMM_TEXT_MAX]) {
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < PARAM_COUNT; i++) {
        param_family f = param_table[i].family;
        if (!p->has[f]) continue;
        if (i == 0 || param_table[i - 1].family != f)
            at += (size_t)snprintf(text + at, GEMM_TEXT_MAX - at, "%s%s", at ? "; " : "", family_names[f]);
        at += (size_t)snprintf(text + at, GEMM_TEXT_MAX - at, " %s=%zu", param_table[i].name, p->value[i]);
    }
}

/* Reads the numbers, prints the set again, and compares, so that everything else is checked as well. */
bool gemm_params_parse(const char *text, gemm_params *p) {
    char again[GEMM_TEXT_MAX];
    *p = (gemm_params){0};
    if (strlen(text) >= GEMM_TEXT_MAX) return false;
    for (int i = 0; i < PARAM_COUNT; i++) {
        char word[64];
        snprintf(word, sizeof word, " %s=", param_table[i].name);
        const char *at = strstr(text, word);
        if (!at || sscanf(at + strlen(word), "%6zu", &p->value[i]) != 1) continue;
        p->has[param_table[i].family] = true;
    }
    gemm_params_print(p, again);
    return strcmp(again, text) == 0;
}

/* ---- use ---- */

status gemm_params_apply(const device *d, const gemm_params *p, error *e) {
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const char *names[PARAM_COUNT];
        int first, end;
        if (!p->has[f]) continue;
        family_span((param_family)f, &first, &end);
        for (int i = first; i < end; i++) names[i - first] = param_table[i].name;
        int code = (int)CLBlastOverrideParameters(d->info.id, family_names[f], CLBlastPrecisionSingle,
                                                  (size_t)(end - first), names, &p->value[first]);
        TRY(device_check(d, code, family_names[f], __FILE__, __LINE__, e));
    }
    return OK;
}
