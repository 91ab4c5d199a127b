/* tokenizer_vocabulary.c: the ids of a tokenizer and the bytes that each stands for, made, looked up and freed; and the
   two kinds that need no file, characters and bytes. Encoding is tokenizer_encode.c's. */
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { CODES = 0x110000 };

tokenizer *tokenizer_new(token_kind kind, uint32_t size) {
    tokenizer *t = xcalloc(1, sizeof *t);
    t->kind = kind;
    t->size = size;
    t->text = xcalloc(size, sizeof *t->text);
    t->text_bytes = xcalloc(size, sizeof *t->text_bytes);
    t->added_only = xcalloc(size, sizeof *t->added_only);
    for (int i = 0; i < 256; i++) t->id_of_byte[i] = NO_ID;
    return t;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    for (uint32_t i = 0; i < t->size; i++) free(t->text[i]);
    for (uint32_t i = 0; i < t->n_added; i++) free(t->added[i].content);
    splitter_free(t->split);
    free(t->text);
    free(t->text_bytes);
    free(t->added_only);
    free(t->id_of_code);
    free(t->merges);
    free(t->merge_table);
    free(t->added);
    free(t->json.text);
    for (int i = 0; i < FOLDER_FILES; i++) free(t->beside[i].text);
    free(t);
}

void tokenizer_set_text(tokenizer *t, uint32_t id, const char *text, size_t bytes) {
    t->text[id] = xcalloc(bytes + 1, 1);
    memcpy(t->text[id], text, bytes);
    t->text_bytes[id] = (uint32_t)bytes;
}

void tokenizer_finish(tokenizer *t) {
    if (t->kind == CHARACTERS) {
        for (uint32_t id = 0, code; id < t->size; id++)
            if (!t->added_only[id] && utf8_next(t->text[id], t->text_bytes[id], &code) && code >= t->codes)
                t->codes = code + 1;
        t->id_of_code = xcalloc(t->codes, sizeof *t->id_of_code);
        memset(t->id_of_code, 0xff, t->codes * sizeof *t->id_of_code);
        for (uint32_t id = 0, code; id < t->size; id++)
            if (!t->added_only[id] && utf8_next(t->text[id], t->text_bytes[id], &code)) t->id_of_code[code] = id;
        return;
    }
    for (uint32_t id = 0; id < t->size; id++)
        if (!t->added_only[id] && t->text_bytes[id] == 1) t->id_of_byte[(unsigned char)t->text[id][0]] = id;
    t->kind = t->n_merges == 0 && t->n_added == 0 ? BYTES : BPE;
    merge_table_build(t);
}

status tokenizer_from_characters(const char *text, size_t bytes, tokenizer **t, error *e) {
    bool *seen = xcalloc(CODES, sizeof *seen);
    uint32_t code, size = 0;
    size_t i = 0;
    *t = NULL;
    for (size_t length; i < bytes && (length = utf8_next(text + i, bytes - i, &code)); i += length) {
        size += !seen[code];
        seen[code] = true;
    }
    if (i == bytes && size > 0) {
        *t = tokenizer_new(CHARACTERS, size);
        for (uint32_t c = 0, id = 0; c < CODES; c++) {
            char utf8[4] = {0};
            if (seen[c]) tokenizer_set_text(*t, id++, utf8, utf8_put(c, utf8));
        }
        tokenizer_finish(*t);
    }
    free(seen);
    if (*t) return OK;
    return bytes == 0 ? fail(e, BAD_INPUT, "the text is empty: it has no characters to make a vocabulary of")
                      : not_utf8(text, i, e);
}

tokenizer *tokenizer_bytes(void) {
    tokenizer *t = tokenizer_new(BYTES, 256);
    for (uint32_t id = 0; id < 256; id++) {
        char byte = (char)id;
        tokenizer_set_text(t, id, &byte, 1);
    }
    t->split = splitter_new(); /* changes nothing here, but the saved file then tells Hugging Face to split */
    tokenizer_finish(t);
    return t;
}

int64_t tokenizer_size(const tokenizer *t) { return t->size; }

bool tokenizer_same(const tokenizer *a, const tokenizer *b) {
    bool same = a->size == b->size && a->prefix_space == b->prefix_space;
    for (uint32_t id = 0; same && id < a->size; id++)
        same = a->text_bytes[id] == b->text_bytes[id] && !memcmp(a->text[id], b->text[id], a->text_bytes[id]);
    return same;
}

const char *tokenizer_kind_name(const tokenizer *t) {
    return t->kind == CHARACTERS ? "char" : t->kind == BYTES ? "byte" : "bpe";
}

const char *tokenizer_decode(const tokenizer *t, uint32_t id, size_t *bytes) {
    *bytes = id < t->size ? t->text_bytes[id] : 0;
    return id < t->size ? t->text[id] : "";
}

int64_t tokenizer_find(const tokenizer *t, const char *token) {
    size_t bytes = strlen(token);
    for (uint32_t id = 0; id < t->size; id++)
        if (t->text_bytes[id] == bytes && memcmp(t->text[id], token, bytes) == 0) return id;
    return -1;
}
