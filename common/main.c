/* main.c: the table of commands, and what becomes of their errors: one line on stderr, and exit status 1. */
#include "commands/bench.h"
#include "config/config.h"
#include "commands/devices_check.h"
#include "commands/equivalence.h"
#include "commands/gradcheck.h"
#include "commands/grads.h"
#include "config/help.h"
#include "commands/plan_command.h"
#include "text/prepare.h"
#include "report/report.h"
#include "run/sample.h"
#include "run/settings.h"
#include "run/shape.h"
#include "run/device.h"
#include "run/train.h"
#include "commands/tune.h"
#include "base/excerpt.h"
#include "base/host.h"
#include "base/libraries.h"
#include "base/nearest.h"
#include "base/processes.h"
#include "base/terminal.h"
#include "base/version.h"
#include <stdlib.h>
#include <string.h>

static status command_prepare(const config *c, error *e) { return prepare_run(c, stdout, e); }

static status command_gradcheck(const config *c, error *e) { return gradcheck_run(c, stdout, e); }

static status command_version(const config *c, error *e) {
    (void)c, (void)e;
    printf("snug %s (%s)\n", snug_version(), snug_build());
    return OK;
}

static status command_devices(const config *c, error *e) {
    TRY(backend_list(c, stdout, e));
    return c->check ? devices_check_run(c, stdout, e) : OK;
}

static status command_tune(const config *c, error *e) { return tune_run(c, stdout, e); }

static status command_help(const config *c, error *e);

static const command COMMANDS[] = {
    {"plan", "[CONFIG.py]", "the memory of a run to the byte; needs no device", 0, plan_run, false},
    {"prepare", "PATH... --out=DIR", "text files or folders -> train.bin, val.bin, tokenizer.json", -1, command_prepare,
     false},
    {"train", "[CONFIG.py]", "train; init_from=scratch, resume, or a folder in Hugging Face GPT-2 layout", 0, train_run,
     true},
    {"sample", "[DIR]", "text from a checkpoint, or from the newest in --out_dir", 1, sample_run, true},
    {"eval", "[DIR]", "train and val loss of a checkpoint", 1, eval_run, true},
    {"grads", "DIR --batch=FILE", "one gradient of a checkpoint on a given batch, to --out=FILE", 1, grads_run, true},
    {"logits", "DIR --batch=FILE --out=FILE", "the logits of a checkpoint on a given batch", 1, logits_run, true},
    {"equivalence", "[CONFIG.py]", "is training the same however the batch is split? (without a config: a small model)",
     0, equivalence_run, true},
    {"bench", "[CONFIG.py]", "where a step's time goes, beside this machine's own matrix product", 0, bench_run, true},
    {"report", "[DIR]", "report.html from what lies in a run's folder: curves, memory map, settings", 1, report_run,
     false},
    {"devices", "", "OpenCL devices, and which one device=auto takes; --check proves one", 0, command_devices, true},
    {"tune", "[CONFIG.py]", "faster matrix products for an OpenCL device, once, kept for all later runs", 0,
     command_tune, true},
    {"gradcheck", "[CONFIG.py]", "is the backward pass the derivative of the forward pass? (small models)", 0,
     command_gradcheck, true},
    {"version", "", "the program's version and build", 0, command_version, false},
    {"help", "[COMMAND | OPTION]", "this text, or more about one", 1, command_help, false},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

static status command_help(const config *c, error *e) {
    return help_print(stdout, COMMANDS, N_COMMANDS, c->n_positional ? c->positional[0] : NULL, e);
}

/* Is there a --help or -h among a command's arguments? */
static bool asks_for_help(int argc, char **argv) {
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

static void refuse_command(const char *name, error *e) {
    nearest near = {.typed = name};
    for (int i = 0; i < N_COMMANDS; i++) nearest_try(&near, COMMANDS[i].name);
    size_t n = strlen(name);
    excerpt shown = excerpt_of(name, n);
    if (near.word)
        fail(e, BAD_INPUT, "%s is not a command: did you mean %s? 'snug help' lists them", shown.text, near.word);
    else if (*name == '-' || (n > 3 && !strcmp(name + n - 3, ".py")))
        fail(e, BAD_INPUT, "%s is not a command, which comes first: snug train %s; 'snug help' lists them", shown.text,
             shown.text);
    else
        fail(e, BAD_INPUT, "%s is not a command; 'snug help' lists them", shown.text);
}

static int leave(const error *e) {
    char *line = xprintf("snug: %s\n", e->text);
    fflush(stdout);
    processes_fail(line);
    fputs(line, stderr);
    free(line);
    return 1;
}

/* Joins the processes that mpirun started: only training is theirs. */
static status join(const char *command, error *e) {
    TRY(processes_open(e));
    if (processes_count() == 1 || !strcmp(command, "train")) return OK;
    return fail(e, BAD_INPUT, "%s runs in one process, and mpirun started %d: type it without mpirun", command,
                processes_count());
}

int main(int argc, char **argv) {
    libraries_use_xmalloc();
    error e = {""};
    const char *name = argc > 1 ? argv[1] : "help";
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) name = "help";
    if (!strcmp(name, "--version")) name = "version";
    const command *found = NULL;
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(COMMANDS[i].name, name)) found = &COMMANDS[i];
    if (!found) {
        refuse_command(name, &e);
        return leave(&e);
    }
    if (asks_for_help(argc, argv)) {
        help_print(stdout, COMMANDS, N_COMMANDS, name, &e);
        return 0;
    }
    if (found->computes) settings_settle(argv);
    status s = join(name, &e);
    if (s != OK) return leave(&e);
    host_settle_threads(stderr);
    config *c = xcalloc(1, sizeof *c);
    s = config_parse_for(c, found->name, found->words, argc > 2 ? argc - 2 : 0, argv + 2, &e);
    if (s == OK) {
        for (int i = 0; i < c->n_notes; i++) text_print(stderr, "note: %s\n", c->notes[i]);
        s = config_check(c, &e);
        c->program = strchr(argv[0], '/') ? argv[0] : NULL;
        if (s == OK) s = shape_check_source(c, &e);
        if (s == OK) s = found->run(c, &e);
        config_free(c);
    }
    free(c);
    if (s == OK && (fflush(stdout) || ferror(stdout))) s = fail(&e, FAILED, "can't write to standard output");
    if (s != OK) return leave(&e);
    processes_close();
    return 0;
}
