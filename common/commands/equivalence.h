/* equivalence.h: `snug equivalence`: the same steps at several splits of the effective batch, compared bit by bit; the
   ways in which gradients are added up wrongly; and what a smaller effective batch would cost in noise.

   With an out_dir given it also writes OUT_DIR/equivalence.json, one object:
     device, build, gemm       texts: hashes compare only where all three are equal
     model                     {parameters, n_layer, n_head, n_embd, block_size, vocab_size}
     built_in                  bool: the built-in model and text, not a config's
     effective_batch, steps    numbers
     batch_invariant           bool
     splits[]                  {micro_batch, parts, recompute, peak_bytes, ms_per_step, loss, sha256, losses[]}:
                               the median time; the loss of the last step; the hash of the weights after it; all losses
     identical                 bool
     first_difference          null, or {micro_batch, step (from 1), tensor}
     gradient_parts            micro-batches that the gradient below was added up from; 0: nothing to split
     gradient_errors[]         {name, how, verdict, error}: |g - whole| / |whole| over all parameters
     noise                     null, or {samples, batch, half_batch, norm, noise, half_noise, ratio, theory} */
#ifndef SNUG_EQUIVALENCE_H
#define SNUG_EQUIVALENCE_H

#include "config/config.h"
#include "graph/fit.h"
#include "base/hash.h"
#include "run/model.h"

/* The command. FAILED: splits of a batch-invariant run gave different bits; the whole report is printed even then. */
status equivalence_run(const config *c, error *e);

enum { EQUIVALENCE_SPLITS = 6, EQUIVALENCE_ROWS = 5 };

typedef struct {
    int micro_batch;
    const recompute_policy *policy;
    int layers;                /* that the policy is for, the first ones; 0 = all */
    uint64_t peak;             /* bytes allocated, which are exactly those planned */
    double predicted;          /* seconds of a step, by the cost model */
    double ms;                 /* of a step; median */
    double *losses;            /* [steps] */
    char (*tensors)[HASH_HEX]; /* [steps, n_params]: of each weight after each step */
    char sha256[HASH_HEX];     /* of all weights after the last step */
} equivalence_split;

typedef struct {
    const char *name, *how, *verdict;
    double error; /* |g - whole| / |whole| */
} equivalence_row;

typedef struct {
    int samples;        /* gradients drawn at each size; 0: not measured */
    double norm;        /* of the mean gradient */
    double noise, half; /* root mean square distance from the mean, at N and at N/2 sequences */
} equivalence_noise;

typedef struct {
    const config *config; /* with the built-in model's values where the settings name none */
    bool built_in;
    fit_request request; /* with the device's limits and cost */
    char *checkpoint;    /* where the weights come from; NULL: initial weights */
    token_file text;
    data_order order;
    char device[256], gemm[1024]; /* the backend's own texts, see backend.h */
    int64_t steps;
    equivalence_split *splits;
    int n_splits, n_params;
    int differs;          /* the first split that differs from splits[0], -1: none does */
    int64_t differs_step; /* from 0 */
    char differs_tensor[96];
    int parts;
    equivalence_row rows[EQUIVALENCE_ROWS];
    int n_rows;
    equivalence_noise noise;
} equivalence;

/* The model and text that are trained where the settings name neither a config nor data. `with` becomes c, with small
   values for all that was not given; equivalence_text_free frees *text. */
void equivalence_built_in(const config *c, config *with);
void equivalence_text_open(token_file *text);
void equivalence_text_free(token_file *text);

/* Opens the device, and on it a model with the weights that the run starts from. GRAPH_GRADS: without dropout. */
status equivalence_open(const equivalence *q, graph_purpose purpose, const equivalence_split *split,
                        bool batch_invariant, model *m, error *e);

/* Fills `rows` and `parts`: adds up one gradient in several ways and compares each with the largest split's. The
   batch's sequences have unequal numbers of targets that count. */
status equivalence_gradients(equivalence *q, error *e);
/* How many gradients of a whole batch equivalence_gradients and equivalence_measure_noise compute, for the estimate of
   time. */
double equivalence_gradient_work(const equivalence *q);
/* Fills `noise`: how far gradients of fresh batches, of N and of N/2 sequences, are from their mean. */
status equivalence_measure_noise(equivalence *q, error *e);

/* Print the report while the results come in: what will be compared, a line for each split, and the conclusions. */
void equivalence_print_head(const equivalence *q, double estimate, FILE *f);
void equivalence_print_split(const equivalence *q, const equivalence_split *s, FILE *f);
void equivalence_print_verdict(const equivalence *q, FILE *f);
void equivalence_print_gradients(const equivalence *q, FILE *f);
void equivalence_print_noise(const equivalence *q, FILE *f);
/* Makes the folder where it is missing. */
status equivalence_write_json(const equivalence *q, const char *folder, error *e);

#endif
