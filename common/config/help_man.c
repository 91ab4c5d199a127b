/* help_man.c: the man page, in roff's man macros. */
#include "config/help.h"
#include "config/help_text.h"
#include "base/version.h"
#include <string.h>

/* Writes text with what roff would take as its own (hyphens, backslashes, quotes, leading dots) escaped. */
static void put(FILE *f, const char *text) {
    if (*text == '.' || *text == '\'') fputs("\\&", f);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", f);
        else if (*text == '-')
            fputs("\\-", f);
        else if (*text == '\'')
            fputs("\\(aq", f);
        else if (*text == '`')
            fputs("\\(ga", f);
        else
            fputc(*text, f);
    }
}

static void section(FILE *f, const char *title) { fprintf(f, ".SH %s\n", title); }

static void paragraph(FILE *f, const char *text) {
    fputs(".PP\n", f);
    put(f, text);
    fputc('\n', f);
}

static void item(FILE *f, const char *term, const char *arguments, const char *text) {
    fputs(".TP\n.B ", f);
    put(f, term);
    if (*arguments) fputs("\\fR ", f), put(f, arguments);
    fputc('\n', f);
    put(f, text);
    fputc('\n', f);
}

static void put_commands(FILE *f, const command *commands, int n) {
    section(f, "COMMANDS");
    for (int i = 0; i < n; i++) {
        const help_text *t = help_text_of(commands[i].name);
        item(f, commands[i].name, commands[i].arguments, t ? t->details : commands[i].help);
    }
}

static void put_options(FILE *f) {
    config initial;
    config_defaults(&initial);
    section(f, "SETTINGS");
    paragraph(f, "With their defaults. The same names, as `key = value' lines, make a config file.");
    for (int g = 0; g < help_n_groups; g++) {
        fprintf(f, ".SS %s\n", help_groups[g].title);
        for (option_id id = 0; id < OPTION_COUNT; id++) {
            const option_info *o = &option_table[id];
            char value[VALUE_TEXT_MAX], term[VALUE_TEXT_MAX + 80], limits[160], line[512];
            if (strcmp(o->group, help_groups[g].group) != 0) continue;
            snprintf(term, sizeof term, "--%s=%s", o->name, config_value(&initial, id, value));
            snprintf(line, sizeof line, "%s%s", o->help, help_limits(o, limits, sizeof limits));
            item(f, term, "", line);
            if (help_of_option(id)) fputs(".IP\n", f), put(f, help_of_option(id)), fputc('\n', f);
        }
    }
}

static void put_files(FILE *f) {
    section(f, "FILES");
    item(f, "OUT_DIR/log.jsonl", "", "One JSON object a line: steps, evaluations.");
    item(f, "OUT_DIR/ckpt-000250/", "",
         "A checkpoint after 250 steps: model.safetensors and config.json in Hugging Face's GPT-2 layout, "
         "optimizer.safetensors, state.json, and tokenizer.json where there is one.");
    item(f, "OUT_DIR/latest", "", "A symbolic link to the newest complete checkpoint.");
    item(f, "OUT_DIR/report.html", "", "The run as one page.");
    item(f, "$XDG_CACHE_HOME/snug/", "",
         "Built kernels and measured constants of devices (~/.cache/snug). Deleting it is always safe.");
    section(f, "ENVIRONMENT");
    item(f, "NO_COLOR", "", "Set to anything: no colours.");
    item(f, "OMP_NUM_THREADS", "", "Threads of the CPU backend. Results don't depend on it.");
    item(f, "OMP_WAIT_POLICY, GOMP_SPINCOUNT", "",
         "How threads wait for each other. With neither set, they look for some 50 microseconds and then sleep.");
    item(f, "OPENBLAS_CORETYPE", "",
         "The processor whose kernels OpenBLAS uses, on which the last bits of results on the CPU depend. Where it is "
         "not set and OpenBLAS does not know the processor, Haswell or SkylakeX.");
    item(f, "OCL_ICD_VENDORS", "", "Which OpenCL drivers are looked for: see ocl\\-icd's documentation.");
}

void help_man(FILE *f, const command *commands, int n) {
    fprintf(f, ".\\\" Made by `snug help man` from the option table. Do not edit.\n");
    fprintf(f, ".TH SNUG 1 \"\" \"snug %s\" \"User Commands\"\n", snug_version());
    section(f, "NAME");
    fputs("snug \\- train GPT\\-2\\-class models inside a memory cap\n", f);
    section(f, "SYNOPSIS");
    fputs(".B snug\n.I COMMAND\n[\\fICONFIG.py\\fR] [\\fB\\-\\-\\fIkey\\fB=\\fIvalue\\fR ...]\n", f);
    section(f, "DESCRIPTION");
    fputs("snug trains GPT\\-2\\-class models on OpenCL GPUs and on the CPU, inside a memory cap that you set. It says "
          "before the first allocation what a run needs, to the byte, and which micro\\-batch and recompute policy "
          "fit. On one device and build the training is the same, bit for bit, however the batch is split.\n",
          f);
    paragraph(
        f, "Config files are nanoGPT's. Of their Python, assignments, arithmetic, strings and f-strings, comparisons, "
           "if, int() float() str() min() max() and the like are evaluated as Python does; nothing is executed, and "
           "what is not read is refused with its line. A name that is no setting is a variable; a note tells of "
           "those that nothing reads, and of settings that the command does not use. What is given later wins. "
           "Results go to standard output, errors to standard error in one line.");
    put_commands(f, commands, n);
    put_options(f);
    put_files(f);
    section(f, "EXIT STATUS");
    fputs("0 on success; 1 on any failure, with a line that says what is wrong, where, and what to do.\n", f);
    section(f, "EXAMPLES");
    for (int i = 0; i < n; i++) {
        const help_text *t = help_text_of(commands[i].name);
        if (!t) continue;
        fputs(".PP\n.EX\n", f);
        put(f, t->example);
        fputs("\n.EE\n", f);
    }
}
