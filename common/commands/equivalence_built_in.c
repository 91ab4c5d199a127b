/* equivalence_built_in.c: the small model and the text that `snug equivalence` takes where the settings name none. */
#include "commands/equivalence.h"
#include <stdlib.h>
#include <string.h>

static const char TEXT[] =
    "A model learns from a batch of texts. It reads them all, guesses each next letter, and works out how every one of "
    "its weights should move so that the guesses get better. That list of wishes is the gradient. It is a mean: each "
    "guess of the batch has one vote, and the step follows the whole count.\n"
    "A large batch needs much memory, since what was computed on the way in is needed again on the way back. When the "
    "card is too small, the batch is cut into parts. Each part goes through the model by itself, its wishes are added "
    "to a running sum, and only after the last part do the weights move. This is called gradient accumulation.\n"
    "Is that the same training? On paper it is: a sum does not mind in which order it is taken. On a machine it need "
    "not be. Numbers with seven digits are rounded after every addition, and another order rounds in other places. And "
    "there are real mistakes too. If each part takes its own mean, and the parts are averaged after that, a part with "
    "few guesses gets as loud a voice as a part with many. If nobody divides at all, the sum is as many times too long "
    "as there are parts. The optimizer hides both, for it scales every step to a length of its own.\n"
    "So the test has to be a strict one. Cut the same batch in many ways, take the same steps, and compare the weights "
    "to the last bit. Ships that leave one harbour on one course, by one clock, must meet at one buoy. If they do not, "
    "then somebody steered, and we want to know who.\n"
    "Why not simply take a smaller batch? Because fewer votes make a noisier count. Half as many guesses make the mean "
    "wander by the square root of two, about forty per cent more. That may be a fine training, even a better one for "
    "the money, but it is another training, with other settings to be found. The cut that changes nothing is free of "
    "such questions, and it costs little time.\n"
    "Ten quick foxes jump over a lazy wizard's box; 12, 34, 56, 78, 90: even such a line should be learnt, and kept.\n";

void equivalence_built_in(const config *c, config *with) {
    *with = *c;
#define SET(name, value)                                                                                               \
    if (!c->given[OPTION_##name]) with->name = value
    SET(n_layer, 2);
    SET(n_head, 4);
    SET(n_embd, 64);
    SET(block_size, 64);
    SET(vocab_size, 128);
    SET(dropout, 0.1);
    SET(batch_size, 4);
    SET(gradient_accumulation_steps, 3);
    SET(steps, 5);
    SET(decay_lr, false);
    SET(learning_rate, 1e-2);
#undef SET
}

void equivalence_text_open(token_file *text) {
    int64_t n = sizeof TEXT - 1;
    uint16_t *tokens = xcalloc((size_t)n, sizeof *tokens);
    for (int64_t i = 0; i < n; i++) tokens[i] = (unsigned char)TEXT[i];
    *text = (token_file){
        .path = xstrdup("the built-in text"), .map = tokens, .map_bytes = (size_t)n * sizeof *tokens, .tokens = n};
}

void equivalence_text_free(token_file *text) {
    free((void *)(uintptr_t)text->map);
    free(text->path);
    *text = (token_file){0};
}
