/* hash.c: see hash.h. The arithmetic is libcrypto's: it uses the processor's SHA instructions where there are any. */
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hash {
    EVP_MD_CTX *context;
};

/* libcrypto fails only for want of SHA-256 itself, which no caller could put right: the program ends. (For want of
   memory xmalloc ends it: libraries.h.) */
static void must(int ok) {
    if (ok) return;
    fputs("snug: libcrypto can't compute SHA-256\n", stderr);
    exit(1);
}

hash *hash_new(void) {
    hash *h = xcalloc(1, sizeof *h);
    h->context = EVP_MD_CTX_new();
    must(h->context != NULL);
    must(EVP_DigestInit_ex(h->context, EVP_sha256(), NULL));
    return h;
}

void hash_add(hash *h, const void *data, size_t bytes) { must(EVP_DigestUpdate(h->context, data, bytes)); }

void hash_end(hash *h, char *hex) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    must(EVP_DigestFinal_ex(h->context, digest, &length));
    EVP_MD_CTX_free(h->context);
    free(h);
    if (!hex) return;
    for (unsigned i = 0; i < length; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void hash_bytes(const void *data, size_t bytes, char *hex) {
    hash *h = hash_new();
    hash_add(h, data, bytes);
    hash_end(h, hex);
}

status hash_file(const char *path, char *hex, error *e) {
    enum { ROOM = 1 << 20 };
    hex[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(e, FAILED, "%s: cannot open: %s", path, strerror(errno));
    char *buffer = xcalloc(ROOM, 1);
    hash *h = hash_new();
    ssize_t n;
    while ((n = read(fd, buffer, ROOM)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        hash_add(h, buffer, (size_t)n);
    }
    status s = n < 0 ? fail(e, FAILED, "%s: cannot read: %s", path, strerror(errno)) : OK;
    hash_end(h, s == OK ? hex : NULL);
    free(buffer);
    close(fd);
    return s;
}
