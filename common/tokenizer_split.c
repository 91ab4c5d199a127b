/* tokenizer_split.c: GPT-2's rule for cutting a text into words before BPE looks at it, by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer_internal.h"
#include "utf8.h"
#include <pcre2.h>
#include <stdlib.h>

struct splitter {
    pcre2_code *code;
};
struct split_work {
    const splitter *s;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* GPT-2's rule (Radford et al. 2019): contractions, letters, numbers, other characters, each with one space before it,
   and white space, whose last character is left to the word that follows. White space is Unicode's White_Space, written
   out: PCRE2's own \s also has U+180E. Runs are possessive, since nothing follows them in their branch. */
#define SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define LETTER "\\p{L}"
#define NUMBER "\\p{N}"
static const char rule[] = "'(?:s|t|re|ve|m|ll|d)| ?[" LETTER "]++| ?[" NUMBER "]++| ?[^" SPACE LETTER NUMBER
                           "]++|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

splitter *splitter_new(void) {
    splitter *s = xcalloc(1, sizeof *s);
    int code;
    PCRE2_SIZE at;
    s->code = pcre2_compile((PCRE2_SPTR)rule, sizeof rule - 1, PCRE2_UTF | PCRE2_ANCHORED, &code, &at, NULL);
    if (!s->code) abort();                          /* the rule is a constant; the tests compile it */
    pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* without JIT the same words come out, slower */
    return s;
}

void splitter_free(splitter *s) {
    if (s) pcre2_code_free(s->code);
    free(s);
}

split_work *split_work_new(const splitter *s) {
    split_work *w = xcalloc(1, sizeof *w);
    w->s = s;
    w->match = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(32 << 10, 4 << 20, NULL);
    if (w->stack) pcre2_jit_stack_assign(w->context, NULL, w->stack);
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

/* Between a character that is no white space and a space or line end, a word always ends, and no branch of the rule
   looks back over the place: the words on both sides are those of the whole text. */
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
