/* eval.c: the command `eval`: the losses of a checkpoint. What the command line does not say comes from the run that it
   belongs to: its data, and what decides which sequences are evaluated. So it prints what the run's log has for that
   step. */
#include "base/terminal.h"
#include "config/config_names.h"
#include "run/train.h"
#include "run/train_internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What of a run's settings eval keeps to, unless they are given. */
static const option_id KEPT[] = {OPTION_dataset,    OPTION_data_order, OPTION_ignore_token,
                                 OPTION_block_size, OPTION_batch_size, OPTION_gradient_accumulation_steps,
                                 OPTION_eval_iters, OPTION_seed,       OPTION_dtype};
enum { N_KEPT = sizeof KEPT / sizeof *KEPT };

static bool has_file(const char *folder, const char *name) {
    char *path = xprintf("%s/%s", folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Sets in `own`, a copy of the settings, those that c leaves to the run. The state's values are written as a config
   file has them. */
static status take_settings(config *own, const config *c, const run_state *s, error *e) {
    char *text = xstrdup("");
    for (int i = 0; i < N_KEPT; i++) {
        const char *name = option_table[KEPT[i]].name, *value = run_state_get(s, name);
        if (!value || c->given[KEPT[i]]) continue;
        char *longer = xprintf("%s%s = %s\n", text, name, value);
        free(text);
        text = longer;
    }
    status read = config_read_text(own, "state.json", text, strlen(text), e);
    free(text);
    return read;
}

/* Frees what take_settings has made in `own`, and nothing of c's. */
static void drop_settings(config *own, const config *c) {
    for (int i = 0; i < N_KEPT; i++)
        if (own->given[KEPT[i]] != c->given[KEPT[i]]) free(own->given[KEPT[i]]);
    if (own->names != c->names) names_free(own->names);
}

/* The data's folder: what is given, or where the run's data was, or a folder of that name. */
static status find_data(run *r, const config *c, error *e) {
    const char *was = run_state_get(&r->state, "data_folder");
    if (c->given[OPTION_dataset] || !was || !has_file(was, "train.bin")) return data_folder(r->c, &r->folder, e);
    r->folder = xstrdup(was);
    text_print(stdout, "data of the run: %s\n", was);
    return OK;
}

static status evaluate_checkpoint(run *r, const config *c, config *own, const char *folder, error *e) {
    double unused;
    if (has_file(folder, "state.json")) {
        TRY(run_load_state(folder, &r->state, e));
        TRY(take_settings(own, c, &r->state, e));
    }
    TRY(find_data(r, c, e));
    TRY(train_open_tokenizer(r, folder, e));
    TRY(train_open(r, GRAPH_EVAL, folder, e));
    TRY(run_load_weights(folder, &r->m.shape, &r->m.gpt, r->m.backend, e));
    return train_evaluate(r, r->state.iter, &unused, e);
}

status eval_run(const config *c, error *e) {
    config *own = xcalloc(1, sizeof *own);
    *own = *c;
    own->eval_only = true;
    run r = {.c = own, .show = progress_new(stdout)};
    char *folder = NULL;
    status s = run_find_latest(c->n_positional ? c->positional[0] : c->out_dir, &folder, e);
    if (s == OK) s = run_check_model(folder, e);
    if (s == OK) s = evaluate_checkpoint(&r, c, own, folder, e);
    free(folder);
    train_close(&r);
    drop_settings(own, c);
    free(own);
    return s;
}
