/* tokenizer_save.c: writes a tokenizer.json with which Hugging Face `tokenizers` gives the same ids. */
#include "base/files.h"
#include "base/json_file.h"
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include "base/memory_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes as the letters of GPT-2's byte alphabet, in quotes. */
static void print_letters(FILE *f, const char *bytes, size_t n) {
    putc('"', f);
    for (size_t i = 0; i < n; i++) {
        char utf8[4];
        size_t length = utf8_put(letter_of_byte((unsigned char)bytes[i]), utf8);
        if (utf8[0] == '"' || utf8[0] == '\\') putc('\\', f);
        fwrite(utf8, 1, length, f);
    }
    putc('"', f);
}

static bool is_added_token(const tokenizer *t, uint32_t id) {
    for (uint32_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == id) return true;
    return false;
}

static void print_token(FILE *f, const tokenizer *t, uint32_t id) {
    if (t->kind == CHARACTERS || is_added_token(t, id))
        json_print_string(f, t->text[id], t->text_bytes[id]);
    else
        print_letters(f, t->text[id], t->text_bytes[id]);
}

static const char *yes(bool b) { return b ? "true" : "false"; }

static void print_added(FILE *f, const tokenizer *t) {
    fprintf(f, "  \"added_tokens\": [");
    for (uint32_t i = 0; i < t->n_added; i++) {
        const added_token *a = &t->added[i];
        fprintf(f, "%s\n    {\"id\": %u, \"content\": ", i ? "," : "", a->id);
        json_print_string(f, a->content, a->bytes);
        fprintf(f, ", \"single_word\": false, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, \"special\": %s}",
                yes(a->lstrip), yes(a->rstrip), yes(a->normalized), yes(a->special));
    }
    fprintf(f, "%s],\n", t->n_added ? "\n  " : "");
}

/* Characters are written as a BPE without merges, which leaves each character of the text a token of its own, and with
   the decoder Fuse, which joins them without spaces. Bytes are the same over GPT-2's byte alphabet. */
static void print_tokenizer(FILE *f, const tokenizer *t) {
    fprintf(f, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    print_added(f, t);
    fprintf(f, "  \"normalizer\": null,\n  \"pre_tokenizer\": ");
    if (t->kind == CHARACTERS)
        fprintf(f, "null,\n  \"post_processor\": null,\n  \"decoder\": {\"type\": \"Fuse\"},\n");
    else
        fprintf(f,
                "{\"type\": \"ByteLevel\", \"add_prefix_space\": %s, \"trim_offsets\": true, \"use_regex\": %s},\n"
                "  \"post_processor\": null,\n"
                "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                "\"use_regex\": true},\n",
                yes(t->prefix_space), yes(t->split != NULL));
    fprintf(f, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
               "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
               "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {");
    bool first = true;
    for (uint32_t id = 0; id < t->size; id++) {
        if (t->added_only[id]) continue;
        fprintf(f, "%s\n      ", first ? "" : ",");
        print_token(f, t, id);
        fprintf(f, ": %u", id);
        first = false;
    }
    fprintf(f, "\n    },\n    \"merges\": [");
    for (uint32_t i = 0; i < t->n_merges; i++) {
        fprintf(f, "%s\n      [", i ? "," : "");
        print_token(f, t, t->merges[i].left);
        fprintf(f, ", ");
        print_token(f, t, t->merges[i].right);
        fprintf(f, "]");
    }
    fprintf(f, "%s]\n  }\n}\n", t->n_merges ? "\n    " : "");
}

/* The text is made in memory first, so that file_write can write all of it or nothing. */
static status write_text(const char *path, char *text, size_t bytes, error *e) {
    status s = file_write(path, text, bytes, true, NULL, e);
    free(text);
    return s;
}

status tokenizer_save(const tokenizer *t, const char *path, error *e) {
    char *text;
    size_t bytes;
    if (t->json.text) return file_write(path, t->json.text, t->json.bytes, true, NULL, e);
    FILE *f = memory_file(&text, &bytes);
    print_tokenizer(f, t);
    fclose(f);
    return write_text(path, text, bytes, e);
}

static const char *class_name(const tokenizer *t) { return t->gpt2 ? "GPT2Tokenizer" : "PreTrainedTokenizerFast"; }

/* Without the class name, AutoTokenizer reads "gpt2" in config.json and builds GPT-2's own tokenizer from the
   vocabulary. Unless the clean-up is switched off, decoding removes the space before a full stop. */
static char *make_config(const tokenizer *t) {
    const char *end = tokenizer_find(t, END_OF_TEXT) < 0 ? ""
                                                         : ",\n  \"bos_token\": \"" END_OF_TEXT
                                                           "\",\n  \"eos_token\": \"" END_OF_TEXT "\"";
    return xprintf("{\n  \"tokenizer_class\": \"%s\",\n  \"clean_up_tokenization_spaces\": false%s\n}\n", class_name(t),
                   end);
}

/* A text of tokenizer_config.json where the file cannot be written as it was: there was none, or it left it to a
   config.json beside it which class is meant. NULL: it can. */
static char *config_text(const tokenizer *t) {
    const kept_file *kept = &t->beside[FOLDER_CONFIG];
    if (!kept->text) return make_config(t);
    cJSON *config = cJSON_ParseWithLength(kept->text, kept->bytes);
    char *text = NULL;
    if (!cJSON_GetObjectItemCaseSensitive(config, "tokenizer_class")) {
        cJSON_AddStringToObject(config, "tokenizer_class", class_name(t));
        text = cJSON_Print(config);
    }
    cJSON_Delete(config);
    return text;
}

/* Writes one of the files beside tokenizer.json, or removes another tokenizer's. */
static status save_beside(const tokenizer *t, int i, const char *folder, error *e) {
    char *path = xprintf("%s/%s", folder, tokenizer_folder_names[i]);
    const kept_file *kept = &t->beside[i];
    status s = OK;
    char *text = i == FOLDER_CONFIG ? config_text(t) : NULL;
    if (text)
        s = write_text(path, text, strlen(text), e);
    else if (kept->text)
        s = file_write(path, kept->text, kept->bytes, true, NULL, e);
    else if (unlink(path) < 0 && errno != ENOENT)
        s = fail(e, FAILED, "%s: cannot remove: %s", path, strerror(errno));
    free(path);
    return s;
}

status tokenizer_save_folder(const tokenizer *t, const char *folder, error *e) {
    char *path = xprintf("%s/tokenizer.json", folder);
    status s = tokenizer_save(t, path, e);
    free(path);
    for (int i = 0; i < FOLDER_FILES && s == OK; i++) s = save_beside(t, i, folder, e);
    return s;
}
