/* help.c: see help.h. The man page is help_man.c's; what it says of each command is in help_text.c. */
#include "config/help.h"
#include "config/help_text.h"
#include "base/nearest.h"
#include <string.h>

/* ---- options as lines ---- */

enum { COLUMN = 36, RIGHT = 100 };

/* Writes text in lines that end before column RIGHT and begin at `column`; the first goes on at column `at`. */
static void print_wrapped(FILE *f, const char *text, int at, int column) {
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (at > column && at + 1 + word > RIGHT) at = -1;
        if (at < column)
            fprintf(f, "%s%*s", at < 0 || (!at && column) ? "\n" : "", at < 0 ? column : column - at, ""), at = column;
        else if (at > column)
            fputc(' ', f), at++;
        fprintf(f, "%.*s", word, text);
        at += word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', f);
}

static void print_option(FILE *f, const config *initial, option_id id) {
    const option_info *o = &option_table[id];
    char text[VALUE_TEXT_MAX], limits[160], line[512];
    snprintf(line, sizeof line, "%s%s", o->help, help_limits(o, limits, sizeof limits));
    int at = fprintf(f, "  --%s=%s", o->name, config_value(initial, id, text));
    if (at >= COLUMN) fputc('\n', f), at = 0, fprintf(f, "%*s", COLUMN, ""), at = COLUMN;
    print_wrapped(f, line, at, COLUMN);
}

void help_options(FILE *f, const char *command) {
    config initial;
    config_defaults(&initial);
    bool any = false;
    for (int g = 0; g < help_n_groups; g++) {
        bool titled = false;
        for (option_id id = 0; id < OPTION_COUNT; id++) {
            const option_info *o = &option_table[id];
            if (strcmp(o->group, help_groups[g].group) != 0 || (command && !option_read_by(o, command))) continue;
            if (!titled) fprintf(f, "%s%s:\n", any ? "\n" : "", help_groups[g].title);
            titled = any = true;
            print_option(f, &initial, id);
        }
    }
}

/* ---- topics ---- */

static void print_all(FILE *f, const command *commands, int n) {
    fprintf(f, "usage: snug COMMAND [CONFIG.py] [--key=value ...]\n\ncommands (snug help COMMAND says more)\n");
    for (int i = 0; i < n; i++)
        fprintf(f, "  %-12s %-22s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fprintf(f, "\n");
    help_options(f, NULL);
}

static void print_command(FILE *f, const command *c) {
    const help_text *t = help_text_of(c->name);
    fprintf(f, "usage: snug %s%s%s%s\n\n", c->name, *c->arguments ? " " : "", c->arguments,
            t && help_reads_any(c->name) ? " [--key=value ...]" : "");
    print_wrapped(f, t ? t->details : c->help, 0, 0);
    if (!t) return;
    fprintf(f, "\n  %s\n", t->example);
    if (help_reads_any(c->name)) fputc('\n', f);
    help_options(f, c->name);
}

static void print_option_topic(FILE *f, const command *commands, int n, option_id id) {
    config initial;
    config_defaults(&initial);
    print_option(f, &initial, id);
    if (help_of_option(id)) print_wrapped(f, help_of_option(id), 0, 2);
    fprintf(f, "  read by");
    for (int i = 0; i < n; i++)
        if (option_read_by(&option_table[id], commands[i].name)) fprintf(f, " %s", commands[i].name);
    if (option_in_files(id)) fprintf(f, "; in a config file: %s = VALUE", option_table[id].name);
    fputc('\n', f);
}

status help_print(FILE *f, const command *commands, int n, const char *topic, error *e) {
    if (!topic) return print_all(f, commands, n), OK;
    if (!strcmp(topic, "man")) return help_man(f, commands, n), OK;
    for (int i = 0; i < n; i++)
        if (!strcmp(commands[i].name, topic)) return print_command(f, &commands[i]), OK;
    option_id id = config_find(topic);
    if (id == OPTION_COUNT) {
        nearest near = {.typed = topic};
        for (int i = 0; i < n; i++) nearest_try(&near, commands[i].name);
        for (option_id o = 0; o < OPTION_COUNT; o++) nearest_try(&near, option_table[o].name);
        return fail(e, BAD_INPUT, "%.100s is neither a command nor an option%s%s%s 'snug help' lists them", topic,
                    near.word ? ": did you mean " : "", near.word ? near.word : "", near.word ? "?" : ";");
    }
    print_option_topic(f, commands, n, id);
    return OK;
}
