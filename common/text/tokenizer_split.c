/* tokenizer_split.c: GPT-2's rule for cutting a text into words before BPE looks at it, by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer_internal.h"
#include "base/utf8.h"
#include <pcre2.h>
#include <stdlib.h>

struct splitter {
    pcre2_general_context *memory;
    pcre2_code *code;
    bool jit;
};
struct split_work {
    const splitter *s;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* GPT-2's rule (Radford et al. 2019): contractions; letters, numbers or other characters, each with a space before them
   if there is one; and white space, whose last character is left to the word that follows. White space is Unicode's
   White_Space, written out because PCRE2's own \s has U+180E in it. Runs are possessive: nothing follows them in their
   branch, so that giving characters back could never help. */
#define SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
/* Letters and numbers that are new in Unicode 15 to 16. `tokenizers` and `tiktoken` know them; older releases of PCRE2
   do not. */
#define NEW_LETTER                                                                                                     \
    "\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}"                                   \
    "\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}"                             \
    "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}"                     \
    "\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}\\x{1342f}"                              \
    "\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}\\x{16d40}-\\x{16d6c}\\x{18cff}"                   \
    "\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}\\x{1e4d0}-\\x{1e4eb}"                              \
    "\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NEW_NUMBER                                                                                                     \
    "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}"                             \
    "\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}"                             \
    "\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"
#define LETTER "\\p{L}" NEW_LETTER
#define NUMBER "\\p{N}" NEW_NUMBER
static const char rule[] = "'(?:s|t|re|ve|m|ll|d)| ?[" LETTER "]++| ?[" NUMBER "]++| ?[^" SPACE LETTER NUMBER
                           "]++|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

/* PCRE2 calls a match that got no memory no match, so its memory is xmalloc's. */
static void *split_malloc(PCRE2_SIZE bytes, void *data) {
    (void)data;
    return xmalloc(bytes);
}
static void split_free(void *p, void *data) {
    (void)data;
    free(p);
}

splitter *splitter_new(void) {
    splitter *s = xcalloc(1, sizeof *s);
    int code;
    PCRE2_SIZE at;
    s->memory = pcre2_general_context_create(split_malloc, split_free, NULL);
    pcre2_compile_context *context = pcre2_compile_context_create(s->memory);
    s->code = pcre2_compile((PCRE2_SPTR)rule, sizeof rule - 1, PCRE2_UTF | PCRE2_ANCHORED, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!s->code) abort();                                        /* the rule is a constant; the tests compile it */
    s->jit = pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE) == 0; /* else the same words come out, slower */
    return s;
}

void splitter_free(splitter *s) {
    if (!s) return;
    pcre2_code_free(s->code);
    pcre2_general_context_free(s->memory);
    free(s);
}

split_work *split_work_new(const splitter *s) {
    split_work *w = xcalloc(1, sizeof *w);
    w->s = s;
    w->match = pcre2_match_data_create(1, s->memory);
    w->context = pcre2_match_context_create(s->memory);
    if (!s->jit) return w;
    enum { STACK = 4 << 20 };
    w->stack = pcre2_jit_stack_create(32 << 10, STACK, s->memory);
    if (!w->stack) out_of_memory(STACK); /* on the small one that it has of its own a long match would be no match */
    pcre2_jit_stack_assign(w->context, NULL, w->stack);
    return w;
}

void split_work_free(split_work *w) {
    if (!w) return;
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
}

size_t split_next(split_work *w, const char *text, size_t bytes, size_t at) {
    int found = pcre2_match(w->s->code, (PCRE2_SPTR)text, bytes, at, PCRE2_NO_UTF_CHECK, w->match, w->context);
    if (found < 0) return 0;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(w->match);
    return ends[1] - at;
}

bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Between a character that is not white space and a following space or line end a word always ends, and no branch of
   the rule looks back. So a text that is cut there has the same words as the whole one. */
static bool can_cut(const char *text, size_t begin, size_t at) {
    if (text[at] != ' ' && text[at] != '\n') return false;
    size_t i = at - 1;
    uint32_t code;
    while (i > begin && (text[i] & 0xc0) == 0x80) i--;
    return utf8_next(text + i, at - i, &code) == at - i && !is_space(code);
}

size_t split_cut(const char *text, size_t begin, size_t end, size_t want) {
    if (end - begin <= want) return end;
    for (size_t i = begin + want; i > begin + want / 2; i--)
        if (can_cut(text, begin, i)) return i;
    for (size_t i = begin + want; i < end; i++)
        if (can_cut(text, begin, i)) return i;
    return end;
}

status not_utf8(const char *text, size_t at, error *e) {
    return fail(e, BAD_INPUT, "byte %zu (0x%02x) is not UTF-8; convert the text, or take --tokenizer=byte", at,
                (unsigned char)text[at]);
}
