/* params.h: the parameters of CLBlast's kernels (tile sides, vector widths, ...): their names, which sets are sound,
   sets as text, and the file that keeps what `snug tune` found. Runs no products; tune.c does. */
#ifndef SNUG_OPENCL_PARAMS_H
#define SNUG_OPENCL_PARAMS_H

#include "opencl/device/cl.h"

/* CLBlast's kernel families that a matrix product may use, by CLBlast's own names. */
#define FAMILIES(X)                                                                                                    \
    X(XGEMM, "Xgemm")                                                                                                  \
    X(DIRECT, "XgemmDirect")                                                                                           \
    X(COPY, "Copy")                                                                                                    \
    X(PAD, "Pad")                                                                                                      \
    X(TRANSPOSE, "Transpose")                                                                                          \
    X(PADTRANSPOSE, "Padtranspose")                                                                                    \
    X(ROUTINE, "GemmRoutine")
#define X(family, name) FAMILY_##family,
typedef enum { FAMILIES(X) FAMILY_COUNT } param_family;
#undef X

/* All parameters, family by family: in CLBlast those of a family can only be set together. */
#define PARAMETERS(X)                                                                                                  \
    X(XGEMM, GEMMK)                                                                                                    \
    X(XGEMM, KREG)                                                                                                     \
    X(XGEMM, KWG)                                                                                                      \
    X(XGEMM, KWI)                                                                                                      \
    X(XGEMM, MDIMA)                                                                                                    \
    X(XGEMM, MDIMC)                                                                                                    \
    X(XGEMM, MWG)                                                                                                      \
    X(XGEMM, NDIMB)                                                                                                    \
    X(XGEMM, NDIMC)                                                                                                    \
    X(XGEMM, NWG)                                                                                                      \
    X(XGEMM, SA)                                                                                                       \
    X(XGEMM, SB)                                                                                                       \
    X(XGEMM, STRM)                                                                                                     \
    X(XGEMM, STRN)                                                                                                     \
    X(XGEMM, VWM)                                                                                                      \
    X(XGEMM, VWN)                                                                                                      \
    X(DIRECT, KWID)                                                                                                    \
    X(DIRECT, MDIMAD)                                                                                                  \
    X(DIRECT, MDIMCD)                                                                                                  \
    X(DIRECT, NDIMBD)                                                                                                  \
    X(DIRECT, NDIMCD)                                                                                                  \
    X(DIRECT, PADA)                                                                                                    \
    X(DIRECT, PADB)                                                                                                    \
    X(DIRECT, VWMD)                                                                                                    \
    X(DIRECT, VWND)                                                                                                    \
    X(DIRECT, WGD)                                                                                                     \
    X(COPY, COPY_DIMX)                                                                                                 \
    X(COPY, COPY_DIMY)                                                                                                 \
    X(COPY, COPY_VW)                                                                                                   \
    X(COPY, COPY_WPT)                                                                                                  \
    X(PAD, PAD_DIMX)                                                                                                   \
    X(PAD, PAD_DIMY)                                                                                                   \
    X(PAD, PAD_WPTX)                                                                                                   \
    X(PAD, PAD_WPTY)                                                                                                   \
    X(TRANSPOSE, TRA_DIM)                                                                                              \
    X(TRANSPOSE, TRA_PAD)                                                                                              \
    X(TRANSPOSE, TRA_SHUFFLE)                                                                                          \
    X(TRANSPOSE, TRA_WPT)                                                                                              \
    X(PADTRANSPOSE, PADTRA_PAD)                                                                                        \
    X(PADTRANSPOSE, PADTRA_TILE)                                                                                       \
    X(PADTRANSPOSE, PADTRA_WPT)                                                                                        \
    X(ROUTINE, XGEMM_MIN_INDIRECT_SIZE)
#define X(family, name) PARAM_##name,
typedef enum { PARAMETERS(X) PARAM_COUNT } param_id;
#undef X

typedef struct {
    bool has[FAMILY_COUNT]; /* false: the family has CLBlast's own numbers, and the values here mean nothing */
    size_t value[PARAM_COUNT];
} gemm_params;

/* A parameter's name and family; the first of a family, and one past its last. */
typedef struct {
    const char *name;
    param_family family;
} param_info;
extern const param_info param_table[PARAM_COUNT];
extern const char *const family_names[FAMILY_COUNT];
void family_span(param_family f, int *first, int *end);

/* Without a measurement: own products on GPUs, CLBlast's on CPUs. */
bool opencl_defaults_to_own(const device_info *d);

/* The parameters without tuning: snug's tiles for CPUs, for which CLBlast's database has no good entry; CLBlast's own
   for other devices. The size from which the indirect kernel is used is always snug's, since CLBlast's differs by
   device and version. */
gemm_params gemm_params_base(const device_info *d);

/* True if the set keeps CLBlast's rules, the planner's (no tile side over GEMM_TILE), and the limits of d. CLBlast does
   not check its own rules: with a set that breaks them a product may end at once with wrong numbers. */
bool gemm_params_sound(const gemm_params *p, const device_info *d);

/* "Xgemm GEMMK=0 KREG=1 ...; GemmRoutine XGEMM_MIN_INDIRECT_SIZE=192": what a run records. */
enum { GEMM_TEXT_MAX = 1024 };
void gemm_params_print(const gemm_params *p, char text[GEMM_TEXT_MAX]);
/* False unless text is, letter for letter, what gemm_params_print writes for some set. */
bool gemm_params_parse(const char *text, gemm_params *p);

/* Makes CLBlast use the set on d, for all products of this process from now on. Families that p does not have stay as
   they are, since CLBlast can't go back to its own numbers. Fails if this CLBlast has parameters of other names. */
status gemm_params_apply(const device *d, const gemm_params *p, error *e);

/* ---- what tune found, kept under XDG_CACHE_HOME/snug by device, driver and CLBlast (params_cache.c) ---- */

typedef struct {
    gemm_params params;
    char date[16]; /* "2026-11-24" */
    double own, untuned,
        tuned; /* GFLOP/s at the shapes it was tuned for: CLBlast's own numbers, gemm_params_base's, these */
} gemm_record;
/* The device, driver and CLBlast's version for which such files hold, as text that the caller frees. */
char *gemm_device_key(const device_info *d);
/* False if there is no file, or it is damaged, made for something else or not sound; tune then makes a new one. */
bool gemm_record_recall(const device_info *d, gemm_record *r);
status gemm_record_keep(const device_info *d, const gemm_record *r, error *e);
status gemm_record_drop(const device_info *d, error *e); /* what is not there is dropped as well */

#endif
