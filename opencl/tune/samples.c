/* samples.c: the few products by which a model's products are timed. See tune.h. */
#include "opencl/tune/tune.h"
#include <stdlib.h>

double product_flops(const product *p) { return 2 * (double)p->m * (double)p->n * (double)p->k; }

static int by_work(const void *a, const void *b) {
    double x = product_flops(a) * ((const product *)a)->times, y = product_flops(b) * ((const product *)b)->times;
    return x < y ? 1 : x > y ? -1 : 0;
}

void samples_take(product_samples *s, product_list *all, int64_t side) {
    qsort(all->list, (size_t)all->n, sizeof *all->list, by_work);
    *s = (product_samples){.n = all->n < SAMPLES ? all->n : SAMPLES};
    for (int i = 0; i < s->n; i++) {
        product p = all->list[i];
        double whole = product_flops(&p) * p.times;
        p.m = p.m < side ? p.m : side;
        p.n = p.n < side ? p.n : side;
        p.k = p.k < side ? p.k : side;
        s->p[i] = p;
        s->weight[i] = whole / product_flops(&p);
        s->all += whole;
        s->once += product_flops(&p);
    }
}
