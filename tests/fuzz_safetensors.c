/* fuzz_safetensors.c: any bytes as a safetensors file: refused in one line, or every value can be read and the tensors
   written again are the same. */
#include "save/safetensors.h"
#include "support_fuzz.h"

static void read_all(const st_file *f) {
    for (int i = 0; i < f->n; i++) {
        const st_tensor *t = &f->tensors[i];
        double real[16], sum = 0;
        float narrow[16];
        FUZZ_ASSERT(st_find(f, t->name) == t);
        for (int64_t k = 0; k < t->elements; k++) sum += st_value(t, k);
        for (int64_t k = 0; k < t->elements; k += 16) {
            int64_t n = t->elements - k < 16 ? t->elements - k : 16;
            st_convert(t, k, n, 8, real);
            st_convert(t, k, n, 4, narrow);
        }
        (void)sum;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error e = {""};
    st_file f, again;
    char *path = fuzz_file("a.safetensors", data, size);
    status s = st_open(path, &f, &e);
    fuzz_check_error(s, &e);
    if (s == OK) {
        read_all(&f);
        char *second = xprintf("%s/b.safetensors", fuzz_folder());
        FUZZ_ASSERT(st_write(second, f.tensors, f.n, NULL, NULL, NULL, &e) == OK);
        FUZZ_ASSERT(st_open(second, &again, &e) == OK);
        FUZZ_ASSERT(again.n == f.n);
        for (int i = 0; i < f.n; i++) {
            const st_tensor *a = &f.tensors[i], *b = &again.tensors[i];
            FUZZ_ASSERT(!strcmp(a->name, b->name) && a->type == b->type && a->rank == b->rank && a->bytes == b->bytes);
            FUZZ_ASSERT(!a->bytes || !memcmp(a->data, b->data, a->bytes));
        }
        st_close(&again);
        st_close(&f);
        free(second);
    }
    free(path);
    return 0;
}
