/* gpt_shares.c: see gpt_shares.h. */
#include "graph/gpt_shares.h"
#include <stdlib.h>

int64_t gpt_shard(int64_t sequences, int shards, int s) { return shards > 1 ? s * sequences / shards : s * sequences; }

int64_t gpt_shard_most(int64_t sequences, int shards) {
    return shards > 1 ? (sequences + shards - 1) / shards : sequences;
}

/* The head's gradient is ready first, then those of the layers from the last on. An owner keeps a gradient and two
   moments of each element, and of the embedding, which is used twice, a second gradient. */
void gpt_choose_owners(const graph *g, int n, tensor_id twice, int ranks, int *owner) {
    int64_t *kept = xcalloc((size_t)ranks, sizeof *kept);
    for (tensor_id k = 0, p = twice; k <= n; k++, p = n + 1 - k) {
        int least = 0;
        if (k && p == twice) continue;
        for (int r = 1; r < ranks; r++)
            if (kept[r] < kept[least]) least = r;
        kept[least] += tensor_elements(&g->tensors[p]) * (p == twice ? 4 : 3);
        owner[p] = least;
    }
    free(kept);
}

/* An owner has a piece of each process there at once, and goes on while these are under way. */
int64_t gpt_staging(const graph *g, int n, int ranks) {
    int64_t layer = 0, largest = 0;
    for (tensor_id p = 1; p <= n; p++) {
        int64_t elements = tensor_elements(&g->tensors[p]);
        if (g->tensors[p].layer == 0) layer += elements;
        if (elements > largest) largest = elements;
    }
    int64_t least = 2 * ranks * (largest < GPT_PIECE ? largest : GPT_PIECE);
    return (4 * layer > least ? 4 * layer : least) + GPT_MARKS;
}
