/* support_fuzz.h: what the fuzz targets share: a folder of their own in memory, and files in it from the input's bytes.
   A target is built by `make fuzz`, run by `make fuzz-run FUZZ_SECONDS=60`; its seeds lie in tests/corpora/NAME, and
   so does every input that once failed. */
#ifndef SNUG_SUPPORT_FUZZ_H
#define SNUG_SUPPORT_FUZZ_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target's folder; left behind, empty of use, when a fuzzer stops. */
static inline const char *fuzz_folder(void) {
    static char folder[64];
    if (!*folder) {
        strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/snug-fuzz-XXXXXX" : "/dev/shm/snug-fuzz-XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    return folder;
}

/* Writes a file of the folder; the caller frees the path. */
static inline char *fuzz_file(const char *name, const void *data, size_t size) {
    char *path = xprintf("%s/%s", fuzz_folder(), name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
    return path;
}

/* Two files in one input: what stands before the first line "---" and what comes after it (both may be empty). */
static inline void fuzz_split(const uint8_t *data, size_t size, size_t *first, const uint8_t **second, size_t *rest) {
    static const char line[] = "\n---\n";
    const uint8_t *at = size ? memmem(data, size, line, sizeof line - 1) : NULL;
    *first = at ? (size_t)(at - data) : size;
    *second = at ? at + sizeof line - 1 : data + size;
    *rest = size - (size_t)(*second - data);
}

/* An error is one line of text that says something. */
static inline void fuzz_check_error(status s, const error *e) {
    if (s != OK && (!e->text[0] || strchr(e->text, '\n'))) abort();
}

#define FUZZ_ASSERT(x)                                                                                                 \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #x);                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
