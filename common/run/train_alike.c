/* train_alike.c: do the processes of a run do the same? Each has settings, files and a device of its own; where these
   differ they would wait for each other for ever, or add up gradients of different trainings (train_internal.h). */
#include "run/train_internal.h"
#include "base/processes.h"
#include "base/terminal.h"
#include "base/version.h"
#include <stdlib.h>
#include <string.h>

/* What decides where a process computes, and with how much memory, changes no bit. */
static bool may_differ(option_id id) {
    return !option_table[id].decides_bits && !strcmp(option_table[id].group, "MEMORY");
}

status train_same_settings(const config *c, error *e) {
    char own[VALUE_TEXT_MAX], first[VALUE_TEXT_MAX] = "";
    for (option_id id = 0; id < OPTION_COUNT && processes_count() > 1; id++) {
        strcpy(first, config_value(c, id, own));
        processes_share(first, sizeof first);
        if (may_differ(id) || !strcmp(own, first)) continue;
        return fail(
            e, BAD_INPUT,
            "process %d has %s = %.200s, and the first %.200s: start all with the same settings; only --device, "
            "--vram_cap, --micro_batch_size, --recompute and --offload may differ",
            processes_rank(), option_table[id].name, own, first);
    }
    return OK;
}

status train_same_files(const run *r, error *e) {
    const long long own[] = {r->train.tokens, r->val.tokens, r->state.n_parts ? r->state.iter : -1};
    long long first[3];
    memcpy(first, own, sizeof first);
    processes_share(first, sizeof first);
    if (!memcmp(own, first, sizeof first)) return OK;
    if (own[2] != first[2])
        return fail(
            e, BAD_INPUT,
            "process %d finds the checkpoint of step %lld in %s, and the first that of step %lld: all processes "
            "have to see the same out_dir",
            processes_rank(), own[2], r->c->out_dir, first[2]);
    return fail(e, BAD_INPUT,
                "process %d finds %lld tokens to train on and %lld to validate in %s, and the first %lld and %lld: all "
                "processes have to see the same files",
                processes_rank(), own[0], own[1], r->folder, first[0], first[1]);
}

void train_note_devices(const backend *b) {
    enum { MAX = 512 };
    char own[MAX] = "", *all = xcalloc((size_t)processes_count(), MAX);
    snprintf(own, sizeof own, "'%s' by build '%s'", b->device, snug_build());
    processes_gather(own, sizeof own, all);
    for (int r = 1; r < processes_count(); r++) {
        if (!strcmp(all + r * MAX, all)) continue;
        text_print(
            stderr,
            "note: process %d computes on %s, and the first on %s: the bits may differ from those of one kind of "
            "device\n",
            r, all + r * MAX, all);
        break;
    }
    free(all);
}
