/* prepare.c: see prepare.h. Reads the texts twice: corpus.c finds and counts them, then they are encoded. So neither a
   text nor a list of ids has to fit into memory. */
#include "text/prepare.h"
#include "text/corpus.h"
#include "base/terminal.h"
#include "base/files.h"
#include "base/progress.h"
#include "text/tokenizer.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CODES = 0x110000, BUFFER = 1 << 16 };

/* ---- the tokenizer ---- */

typedef enum { MAKE_CHARACTERS, MAKE_BYTES, MAKE_BPE, USE_FOLDER } choice;

static status choose(const char *spec, choice *how, int64_t *size, error *e) {
    *size = 0;
    *how = USE_FOLDER;
    if (!strcmp(spec, "char"))
        *how = MAKE_CHARACTERS;
    else if (!strcmp(spec, "byte"))
        *how = MAKE_BYTES;
    else if (!strncmp(spec, "bpe:", 4)) {
        char *end;
        errno = 0;
        *how = MAKE_BPE;
        *size = strtoll(spec + 4, &end, 10);
        if (end == spec + 4 || *end || errno || *size < BPE_SIZE_MIN || *size > BPE_SIZE_MAX)
            return fail(e, BAD_INPUT, "--tokenizer=%s: after bpe: comes the number of ids, %d to %d, as in bpe:4096",
                        spec, BPE_SIZE_MIN, BPE_SIZE_MAX);
    } else if (access(spec, F_OK) != 0) {
        return fail(e, BAD_INPUT,
                    "--tokenizer=%s is none of char, byte, bpe:SIZE, and there is no file or folder of that name",
                    spec);
    }
    return OK;
}

/* Calls `visit` for each file that has a part in the units [begin, end) of the whole corpus, with the bytes of it. */
typedef status visitor(void *context, const corpus_text *t, size_t begin, size_t end, error *e);

static status for_each_part(const corpus *c, int64_t begin, int64_t end, visitor *visit, void *context, progress *show,
                            error *e) {
    int64_t at = 0;
    for (int64_t i = 0; i < c->n; at += c->files[i++].units) {
        int64_t units = c->files[i].units, from = begin > at ? begin - at : 0, to = end - at < units ? end - at : units;
        if (from >= to) continue;
        progress_part(show, (double)(at + from - begin) / (double)(end - begin));
        corpus_text t;
        error inner;
        TRY(corpus_read(c, c->files[i].path, &t, e));
        size_t first = c->rules.any_bytes ? (size_t)from : utf8_offset(t.text, t.bytes, from);
        size_t last = c->rules.any_bytes ? (size_t)to : utf8_offset(t.text, t.bytes, to);
        if (last > t.bytes) last = t.bytes; /* the file has become shorter since it was counted */
        status s = visit(context, &t, first < last ? first : last, last, &inner);
        corpus_text_free(&t);
        if (s == BAD_INPUT) return fail(e, s, "%.400s: %.600s", c->files[i].path, inner.text);
        if (s != OK) return fail(e, s, "%s", inner.text); /* the disk's fault, not the text's */
    }
    return OK;
}

static status note_characters(void *context, const corpus_text *t, size_t begin, size_t end, error *e) {
    bool *seen = context;
    (void)e;
    uint32_t code;
    for (size_t i = begin, length; i < end && (length = utf8_next(t->text + i, end - i, &code)); i += length)
        seen[code] = true;
    return OK;
}

static status characters_of(const corpus *c, tokenizer **t, progress *show, error *e) {
    bool *seen = xcalloc(CODES, sizeof *seen);
    char *all = xcalloc(CODES, 4);
    size_t bytes = 0;
    progress_doing(show, "characters", 0, 0);
    status s = for_each_part(c, 0, c->units, note_characters, seen, show, e);
    for (uint32_t code = 0; code < CODES; code++)
        if (seen[code]) bytes += utf8_put(code, all + bytes);
    if (s == OK) s = tokenizer_from_characters(all, bytes, t, e);
    free(all);
    free(seen);
    return s;
}

static status count_words(void *context, const corpus_text *t, size_t begin, size_t end, error *e) {
    return word_counts_add(context, t->text, begin, end, e);
}

/* Learns from the training part alone, since what is in val.bin must not be known beforehand. */
static status train_bpe(const corpus *c, int64_t cut, int64_t size, tokenizer **t, progress *show, error *e) {
    word_counts *w = word_counts_new();
    progress_doing(show, "counting words", 0, 0);
    status s = for_each_part(c, 0, cut, count_words, w, show, e);
    progress_doing(show, "joining pairs", 0, 0);
    if (s == OK) s = tokenizer_train(w, size, t, e);
    word_counts_free(w);
    return s;
}

/* ---- token files ---- */

typedef struct {
    const tokenizer *t;
    file_out file;
    int token_bytes;
    int64_t separator; /* the id after each file, -1 = none */
    int64_t tokens;
    progress *show;
    size_t n; /* in the buffer */
    union {
        uint16_t narrow[BUFFER];
        uint32_t wide[BUFFER];
    } buffer;
} token_writer;

static status flush_tokens(token_writer *w, error *e) {
    size_t bytes = w->n * (size_t)w->token_bytes;
    w->n = 0;
    w->show->done = w->tokens;
    progress_show(w->show);
    return file_put(&w->file, &w->buffer, bytes, e);
}

static status write_tokens(void *context, const uint32_t *ids, size_t n, error *e) {
    token_writer *w = context;
    for (size_t i = 0; i < n; i++) {
        if (w->n == BUFFER) TRY(flush_tokens(w, e));
        if (w->token_bytes == 2)
            w->buffer.narrow[w->n++] = (uint16_t)ids[i];
        else
            w->buffer.wide[w->n++] = ids[i];
    }
    w->tokens += (int64_t)n;
    return OK;
}

static status encode_part(void *context, const corpus_text *t, size_t begin, size_t end, error *e) {
    token_writer *w = context;
    TRY(tokenizer_stream(w->t, t->text, begin, end, write_tokens, w, e));
    uint32_t id = (uint32_t)w->separator;
    return w->separator >= 0 && end == t->bytes ? write_tokens(w, &id, 1, e) : OK;
}

/* Writes all of a token file, but leaves it under its temporary name in w->file. After a failure nothing remains. */
static status encode_to(token_writer *w, const char *path, const corpus *c, int64_t begin, int64_t end, error *e) {
    TRY(file_create(&w->file, path, e));
    status s = for_each_part(c, begin, end, encode_part, w, w->show, e);
    if (s == OK) s = flush_tokens(w, e);
    if (s != OK) file_abandon(&w->file);
    return s;
}

static status write_meta(const char *folder, const tokenizer *t, const token_writer w[2], error *e) {
    char *text = xprintf(
        "{\n  \"dtype\": \"%s\",\n  \"vocab_size\": %lld,\n  \"tokenizer\": \"%s\",\n  \"train_tokens\": %lld,\n"
        "  \"val_tokens\": %lld\n}\n",
        w[0].token_bytes == 2 ? "uint16" : "uint32", (long long)tokenizer_size(t), tokenizer_kind_name(t),
        (long long)w[0].tokens, (long long)w[1].tokens);
    char *path = xprintf("%s/meta.json", folder);
    status s = file_write(path, text, strlen(text), true, NULL, e);
    free(path);
    free(text);
    return s;
}

/* With val_fraction 0 there is no val.bin, and none of another text may stay. */
static status remove_val(const char *folder, error *e) {
    char *path = xprintf("%s/val.bin", folder);
    status s = OK;
    if (unlink(path) < 0 && errno != ENOENT) s = fail(e, FAILED, "%s: cannot remove: %s", path, strerror(errno));
    free(path);
    return s;
}

/* Everything is encoded before the first old file is replaced. meta.json comes last: should this be interrupted, the
   old one's numbers of tokens do not fit the new files, and token_file_open notices. */
static status write_folder(const corpus *c, const tokenizer *t, int64_t cut, const char *folder, token_writer w[2],
                           progress *show, error *e) {
    static const char *const names[] = {"train.bin", "val.bin"};
    int64_t begin[] = {0, cut}, end[] = {cut, c->units};
    status s = OK;
    int made = 0, files = cut < c->units ? 2 : 1;
    for (; made < files && s == OK; made += s == OK) {
        char *path = xprintf("%s/%s", folder, names[made]);
        w[made].t = t;
        w[made].show = show;
        progress_doing(show, made ? "val.bin, tokens" : "train.bin, tokens", 0, 0);
        w[made].token_bytes = tokenizer_size(t) > 65535 ? 4 : 2;
        w[made].separator = c->n > 1 ? tokenizer_find(t, END_OF_TEXT) : -1;
        s = encode_to(&w[made], path, c, begin[made], end[made], e);
        free(path);
    }
    if (s == OK) s = tokenizer_save_folder(t, folder, e);
    if (s == OK && files == 1) s = remove_val(folder, e);
    for (int i = 0; i < made; i++) {
        if (s == OK)
            s = file_finish(&w[i].file, true, NULL, e);
        else
            file_abandon(&w[i].file);
    }
    return s == OK ? write_meta(folder, t, w, e) : s;
}

/* ---- the command ---- */

static void say(FILE *report, const config *c, const corpus *k, const tokenizer *t, int64_t wanted,
                const token_writer w[2]) {
    fprintf(report, "%lld file%s, %lld %s", (long long)k->n, k->n == 1 ? "" : "s", (long long)k->units,
            k->rules.any_bytes ? "bytes" : "characters");
    if (k->skipped) fprintf(report, "; %lld skipped (hidden or not text)", (long long)k->skipped);
    fprintf(report, "\nvocabulary  %lld ids (%s)\n", (long long)tokenizer_size(t), tokenizer_kind_name(t));
    if (tokenizer_size(t) < wanted)
        fprintf(report, "            fewer than the %lld asked for: no further pair occurs twice\n", (long long)wanted);
    const char *type = w[0].token_bytes == 2 ? "uint16" : "uint32";
    fprintf(report, "train.bin   %lld tokens, %s\n", (long long)w[0].tokens, type);
    if (w[1].t)
        fprintf(report, "val.bin     %lld tokens, %s\n", (long long)w[1].tokens, type);
    else
        fputs("val.bin     none, since val_fraction leaves nothing for it: training then shows no val loss\n", report);
    text_print(report, "train on it with  %s train --dataset=%s\n", c->program ? c->program : "snug", c->out);
}

static status prepare_corpus(const config *c, const corpus *k, choice how, int64_t size, tokenizer *given, FILE *report,
                             error *e) {
    if (k->units == 0)
        return fail(e, BAD_INPUT,
                    "no text found in '%s'%s (%lld skipped as hidden or not text); give files or folders of UTF-8 text",
                    c->positional[0], c->n_positional > 1 ? " and the other paths" : "", (long long)k->skipped);
    int64_t cut = (int64_t)((double)k->units * (1.0 - c->val_fraction)); /* nanoGPT's int(n * 0.9) */
    tokenizer *made = NULL;
    progress show = progress_new(report);
    status s = OK;
    if (how == MAKE_CHARACTERS) s = characters_of(k, &made, &show, e);
    if (how == MAKE_BYTES) made = tokenizer_bytes();
    if (how == MAKE_BPE) s = train_bpe(k, cut, size, &made, &show, e);
    const tokenizer *t = made ? made : given;
    token_writer *w = xcalloc(2, sizeof *w);
    if (s == OK) s = folder_make(c->out, e);
    if (s == OK) s = write_folder(k, t, cut, c->out, w, &show, e);
    progress_clear(&show);
    if (s == OK) say(report, c, k, t, size, w);
    free(w);
    tokenizer_close(made);
    return s;
}

status prepare_run(const config *c, FILE *report, error *e) {
    choice how;
    int64_t size;
    tokenizer *given = NULL;
    corpus k;
    if (c->n_positional == 0)
        return fail(e, BAD_INPUT,
                    "prepare: name text files or folders, as in `snug prepare notes.txt --out=data/notes`");
    if (!*c->out) return fail(e, BAD_INPUT, "prepare: say where to write with --out=DIR");
    if (!(c->val_fraction >= 0 && c->val_fraction < 1))
        return fail(e, BAD_INPUT, "prepare: val_fraction is %g; give 0 or more, and less than 1", c->val_fraction);
    TRY(choose(c->tokenizer, &how, &size, e));
    if (how == USE_FOLDER) TRY(tokenizer_open(c->tokenizer, &given, e));
    const char *kind = given                    ? tokenizer_kind_name(given)
                       : how == MAKE_CHARACTERS ? "char"
                       : how == MAKE_BYTES      ? "byte"
                                                : "bpe";
    corpus_rules rules = {.any_bytes = !strcmp(kind, "byte"), .newlines = !strcmp(kind, "char")};
    status s = corpus_find(&k, rules, c->positional, c->n_positional, c->out, e);
    if (s == OK) s = prepare_corpus(c, &k, how, size, given, report, e);
    corpus_free(&k);
    tokenizer_close(given);
    return s;
}
