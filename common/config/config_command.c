/* config_command.c: what one command has to say about its arguments: words that it does not take, settings that it does
   not read, and names in config files that nothing reads. */
#include "base/nearest.h"
#include "config/config_names.h"
#include "config/config_store.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- words ---- */

/* Is it key=value, or a key, of which the dashes were forgotten? */
static bool lacks_dashes(const char *word, error *e) {
    char key[64];
    size_t n = strcspn(word, "=");
    nearest near = {.typed = key};
    if (n == 0 || n >= sizeof key || strchr(word, '/') || strchr(word, '.')) return false;
    snprintf(key, sizeof key, "%.*s", (int)n, word);
    for (int i = 0; i < OPTION_COUNT; i++) nearest_try(&near, option_table[i].name);
    if (!near.word || (!word[n] && near.distance > 0)) return false;
    fail(e, BAD_INPUT, "%s: unknown argument: did you mean --%s%s? Options are written --key=value",
         excerpt_of(word, TEXT_MAX).text, near.word, word[n] ? excerpt_of(word + n, 40).text : "=VALUE");
    return true;
}

char *config_near_file(const char *word, const char *suffix) {
    static const char *const folders[] = {"config", "configs", "data/configs"};
    char *near = nearest_path(word, suffix);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !near && suffix && !strchr(word, '/'); i++) {
        char *path = xprintf("%s/%s", folders[i], word);
        struct stat st;
        near = stat(path, &st) == 0 ? xstrdup(path) : nearest_path(path, suffix);
        free(path);
    }
    return near;
}

/* For a command that takes folders or other paths: one that is not there, where another is near. */
static status check_path(const char *word, error *e) {
    struct stat st;
    if (stat(word, &st) == 0) return OK;
    char *near = config_near_file(word, NULL);
    if (near)
        fail(e, BAD_INPUT, "%s: No such file or directory: did you mean %.200s?", excerpt_of(word, TEXT_MAX).text,
             near);
    free(near);
    return near ? BAD_INPUT : OK;
}

static status refuse_word(const char *command, const char *word, int words, error *e) {
    struct stat st;
    excerpt shown = excerpt_of(word, TEXT_MAX);
    bool there = stat(word, &st) == 0, takes_config = words == 0;
    if (words > 0)
        return fail(e, BAD_INPUT, "%s: unknown argument: %s takes %d without --", shown.text, command, words);
    if (!there && lacks_dashes(word, e)) return BAD_INPUT;
    if (there && S_ISDIR(st.st_mode))
        return fail(e, BAD_INPUT, "%s: unknown argument: %s takes no folder; options are written --key=%s", shown.text,
                    command, shown.text);
    if (there)
        return fail(e, BAD_INPUT, "%s: unknown argument: this is not a config file, whose name ends in .py",
                    shown.text);
    char *near = takes_config ? config_near_file(word, ".py") : NULL;
    if (near)
        fail(e, BAD_INPUT, "%s: unknown argument: did you mean %.200s?", shown.text, near);
    else
        fail(e, BAD_INPUT, "%s: unknown argument: `snug help %s` says what it takes", shown.text, command);
    free(near);
    return BAD_INPUT;
}

status config_check_words(const config *c, int words, error *e) {
    if (words >= 0 && c->n_positional > words) return refuse_word(c->command, c->positional[words], words, e);
    for (int i = 0; i < c->n_positional; i++)
        if (strcmp(c->command, "help") != 0) TRY(check_path(c->positional[i], e));
    return OK;
}

/* ---- settings that the command does not read, names that nothing reads ---- */

/* A list for a note: at most MOST names, and how many more there are. */
typedef struct {
    char *text;
    int n;
} list;

static void list_add(list *l, const char *name) {
    enum { MOST = 8 };
    if (++l->n > MOST) return;
    char *longer = xprintf("%s%s%s", l->text ? l->text : "", l->text ? ", " : "", name);
    free(l->text);
    l->text = longer;
}

/* Notes "BEGINNING a, b and others" unless the list is empty. */
static void list_note(config *c, list *l, const char *beginning, const char *end) {
    enum { MOST = 8 };
    if (l->n) config_note(c, xprintf("%s %s%s%s", beginning, l->text, l->n > MOST ? " and others" : "", end));
    free(l->text);
}

static const named_value *name_in_files(const config *c, const char *name) {
    for (int i = 0; c->names && i < c->names->n; i++)
        if (!strcmp(c->names->list[i].name, name)) return &c->names->list[i];
    return NULL;
}

/* Commands that open a checkpoint refuse a shape that is not the checkpoint's: there such a setting is not without
   effect. */
static bool is_checked(const option_info *o, const char *command) {
    return !strcmp(o->group, "MODEL") && strcmp(o->name, "dropout") != 0 &&
           (!strcmp(command, "sample") || !strcmp(command, "eval") || !strcmp(command, "grads") ||
            !strcmp(command, "logits"));
}

static void note_unread_settings(config *c) {
    list unread = {0};
    for (option_id id = 0; id < OPTION_COUNT; id++) {
        const named_value *x = name_in_files(c, option_table[id].name);
        if (!c->given[id] || option_read_by(&option_table[id], c->command) || (x && x->used) ||
            is_checked(&option_table[id], c->command))
            continue;
        char *shown = xprintf("%s%s", strncmp(c->given[id], "--", 2) ? "" : "--", option_table[id].name);
        list_add(&unread, shown);
        free(shown);
    }
    char *beginning = xprintf("%s does not use", c->command);
    list_note(c, &unread, beginning, "");
    free(beginning);
}

status config_command_notes(config *c, error *e) {
    list unread = {0};
    for (int i = 0; c->names && i < c->names->n; i++) {
        const named_value *x = &c->names->list[i];
        option_id id = config_find(x->name);
        if (x->used || name_is_skipped(x->name) || (id != OPTION_COUNT && c->given[id])) continue;
        nearest n = {.typed = x->name};
        for (int o = 0; o < OPTION_COUNT; o++) nearest_try(&n, option_table[o].name);
        if (n.word && n.distance <= (strlen(x->name) < 8 ? 1 : 2)) {
            reader place = reader_of("", x->source, x->line, c->names, e);
            place.now.line = x->line;
            free(unread.text);
            return config_unknown(&place, x->name, strlen(x->name));
        }
        list_add(&unread, x->name);
    }
    list_note(c, &unread, "without effect, since they are no settings of snug and nothing in the file reads them:", "");
    if (c->command) note_unread_settings(c);
    return OK;
}
