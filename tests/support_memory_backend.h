/* support_memory_backend.h: a backend that keeps tensors and computes nothing, for tests of what is saved and
   loaded. */
#ifndef SNUG_SUPPORT_MEMORY_BACKEND_H
#define SNUG_SUPPORT_MEMORY_BACKEND_H

#include "graph/backend.h"
#include "graph/gpt.h"

/* Holds the persistent tensors of m's graph, zeroed. A read or write beyond a tensor's end ends the program. */
backend *memory_backend_open(const gpt *m, size_t real_bytes);
/* A graph of the shape: T = P, one sequence. */
gpt memory_gpt(const gpt_shape *shape, graph_purpose purpose);
/* Element i of a tensor. */
double memory_get(const backend *b, tensor_id id, int64_t i);
/* Fills parameters and moments with numbers that differ for each `salt`, tensor and element, all multiples of 2^-10. */
void memory_fill(backend *b, const gpt *m, uint64_t salt);
/* True when memory_fill(salt) is what b holds. */
bool memory_holds(const backend *b, const gpt *m, uint64_t salt);
/* Makes read fail from the k-th call on; 0: never. */
void memory_fail_reads(backend *b, int k);

#endif
