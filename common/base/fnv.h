/* fnv.h: FNV-1a, a hash of 64 bits for tables and keys of caches: quick, and no proof against damage on purpose (hash.h
   is). */
#ifndef SNUG_FNV_H
#define SNUG_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_START 0xcbf29ce484222325u

/* The hash h, at first FNV_START, with these bytes added. */
static inline uint64_t fnv_add(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

#endif
