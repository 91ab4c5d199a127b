/* mma_ptx.cl: NVIDIA's matrix units from OpenCL C, compute capability 8.0 and later: the few instructions that products
   and attention are made of, as inline PTX, and each once more in plain OpenCL C (EMULATE 1), lane by lane as the PTX ISA
   describes it, so that every kernel made of them can be tried on any device. Knows no kernel. Comes after bf16.cl.

   Local memory is addressed by `uint` bytes as PTX wants them, and touched by these functions alone; MMA_LOCAL declares
   it. A function that touches it takes MMA_MEM and is given MMA_PASS as its last words: nothing on a card, and what the
   emulation works with elsewhere. All lanes of a group call matrix4 and the products together.
     ASM       how this compiler spells `asm`
     EMULATE   1: no PTX */
#define INLINE static inline __attribute__((always_inline)) /* arrays of registers are passed by pointer */

/* What mma reads as tf32. The unit cuts off the low 13 bits by itself, so half of the last place, added, rounds to nearest
   (ties away from zero) by instructions of the usual pipes, which cvt.rna is not. The larger of both keeps NVIDIA's own
   NaN, 0x7fffffff, which the addition alone would make a zero; of NaNs only its negative, which arithmetic never makes,
   is lost. Infinities stay. */
INLINE uint round_tf32(uint bits) { return as_uint(max(as_int(bits + 0x1000), as_int(bits))); }

#if EMULATE
#define UNROLL_ALL
#define MMA_MEM , __local char *mem, __local uint *exchange
#define MMA_PASS , mem, exchange
/* `bytes` of local memory for `lanes`, and `base`, its address. */
#define MMA_LOCAL(bytes, lanes)                                                                                        \
    __local uint4 memory[(bytes) / 16];                                                                                \
    __local uint exchange[(lanes) * 8];                                                                                \
    __local char *mem = (__local char *)memory;                                                                        \
    uint base = 0

INLINE uint pack_bf16(float low, float high) { return narrow_1(low) | (uint)narrow_1(high) << 16; }
INLINE void copy16(uint to, __global const void *p, uint bytes MMA_MEM) {
    for (uint i = 0; i < 16; i += 2)
        *(__local ushort *)(mem + to + i) = i < bytes ? ((__global const ushort *)p)[i / 2] : (ushort)0;
}
INLINE void store16(uint to, uint4 v MMA_MEM) { *(__local uint4 *)(mem + to) = v; }
INLINE uint load4(uint at MMA_MEM) { return *(__local uint *)(mem + at); }
INLINE void copies_commit(void) {}
INLINE int opaque(int x) { return x; }
#define COPIES_WAIT(pending)
INLINE void matrix4(uint *r, uint at, int transposed MMA_MEM) {
    int lid = get_local_id(0), lane = lid % 32;
    __local uint *x = exchange + lid / 32 * 32;
    x[lane] = at;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++) {
        if (!transposed)
            r[i] = *(__local uint *)(mem + x[i * 8 + lane / 4] + lane % 4 * 4);
        else {
            uint low = *(__local ushort *)(mem + x[i * 8 + lane % 4 * 2] + lane / 4 * 2);
            uint high = *(__local ushort *)(mem + x[i * 8 + lane % 4 * 2 + 1] + lane / 4 * 2);
            r[i] = low | high << 16;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
/* In both types a register is a column of A or a row of B: one number of tf32, two of bf16. */
INLINE void mma_emulated(float *d, const uint *a, const uint *b, int bf16 MMA_MEM) {
    int lid = get_local_id(0), lane = lid % 32, g = lane / 4, t = lane % 4;
    __local uint *A = exchange + lid / 32 * 256, *B = A + 128;
    for (int i = 0; i < 4; i++) A[(g + i % 2 * 8) * 8 + t + i / 2 * 4] = a[i];
    for (int i = 0; i < 2; i++) B[(t + i * 4) * 8 + g] = b[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++) {
            uint u = A[(g + i / 2 * 8) * 8 + k], v = B[k * 8 + 2 * t + i % 2];
            if (bf16) {
                d[i] = fma(as_float(u << 16), as_float(v << 16), d[i]);
                d[i] = fma(as_float(u & 0xffff0000), as_float(v & 0xffff0000), d[i]);
            } else
                d[i] = fma(as_float(u & 0xffffe000), as_float(v & 0xffffe000), d[i]);
        }
    barrier(CLK_LOCAL_MEM_FENCE);
}
INLINE void mma_tf32(float *d, const uint *a, const uint *b MMA_MEM) { mma_emulated(d, a, b, 0 MMA_PASS); }
INLINE void mma_bf16(float *d, const uint *a, const uint *b MMA_MEM) { mma_emulated(d, a, b, 1 MMA_PASS); }
#else
#define UNROLL_ALL _Pragma("unroll")
#define MMA_MEM
#define MMA_PASS
#define MMA_LOCAL(bytes, lanes)                                                                                        \
    __local uint4 memory[(bytes) / 16] __attribute__((aligned(128)));                                                  \
    uint base = (uint)(ulong)memory

/* x, of which the compiler forgets what it knows: what is made of it is not kept in registers through a loop before. */
INLINE int opaque(int x) {
    ASM volatile("" : "+r"(x));
    return x;
}
/* Two numbers in a register, the first in the low half; to nearest, ties to even. */
INLINE uint pack_bf16(float low, float high) {
    uint r;
    ASM("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
/* 16 bytes on their way from global to local memory, of which `bytes` are read and the rest is zeros. */
INLINE void copy16(uint to, __global const void *p, uint bytes) {
    ASM volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(p), "r"(bytes) : "memory");
}
INLINE void store16(uint to, uint4 v) {
    ASM volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" : : "r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
INLINE uint load4(uint at) {
    uint r;
    ASM volatile("ld.shared.b32 %0, [%1];" : "=r"(r) : "r"(at) : "memory");
    return r;
}
/* Copies since the last commit become a group; COPIES_WAIT leaves at most `pending` groups (a literal) unfinished. */
INLINE void copies_commit(void) { ASM volatile("cp.async.commit_group;" : : : "memory"); }
#define COPIES_WAIT_(pending) ASM volatile("cp.async.wait_group " #pending ";" : : : "memory")
#define COPIES_WAIT(pending) COPIES_WAIT_(pending)
/* Four matrices of 8 rows of 16 bytes: lane l gives the address of row l % 8 of matrix l / 8, and gets of each matrix the
   4 bytes l % 4 of row l / 4; transposed (as 8 x 8 numbers of 2 bytes): numbers 2 (l % 4) and the next of column l / 4. */
INLINE void matrix4(uint *r, uint at, int transposed) {
    if (transposed)
        ASM volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    else
        ASM volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
/* d[16,8] += a[16,8] b[8,8] in tf32. With g = lane / 4 and t = lane % 4 a lane has A[g][t], A[g+8][t], A[g][t+4],
   A[g+8][t+4]; B[t][g], B[t+4][g]; and D[g][2t], D[g][2t+1], D[g+8][2t], D[g+8][2t+1]. */
#define MMA(shape, types)                                                                                              \
    ASM volatile("mma.sync.aligned." shape ".row.col.f32." types ".f32 "                                               \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                     \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
INLINE void mma_tf32(float *d, const uint *a, const uint *b) { MMA("m16n8k8", "tf32.tf32"); }
/* d[16,8] += a[16,16] b[16,8] in bf16: the same, with numbers 2t and 2t+1 (and 2t+8, 2t+9) of k for t (and t+4). */
INLINE void mma_bf16(float *d, const uint *a, const uint *b) { MMA("m16n8k16", "bf16.bf16"); }
#endif
