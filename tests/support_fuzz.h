/* support_fuzz.h: what the fuzz targets share: a folder in memory, and files in it made of the input's bytes. `make
   fuzz` builds the targets, `make fuzz-run FUZZ_SECONDS=60` runs them. The seeds of a target lie in tests/corpora/NAME,
   and so does every input that it once failed on. */
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

/* The target's folder. It is left behind when a fuzzer stops, since libFuzzer does not say when that is. */
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

/* Takes two files from one input: what comes before the first line "---", and what comes after it. Either may be
   empty. */
static inline void fuzz_split(const uint8_t *data, size_t size, size_t *first, const uint8_t **second, size_t *rest) {
    static const char line[] = "\n---\n";
    const uint8_t *at = size ? memmem(data, size, line, sizeof line - 1) : NULL;
    *first = at ? (size_t)(at - data) : size;
    *second = at ? at + sizeof line - 1 : data + size;
    *rest = size - (size_t)(*second - data);
}

/* Ends the program unless the error is one line of text, and not an empty one. */
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
