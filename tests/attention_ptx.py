#!/usr/bin/env python3
"""attention_ptx.py FILE.ptx HEADS D ROWS LANES BF16 ACT16 DROPOUT T...: runs the kernels of attention_mma.cl as PTX, in mma_ptx.py's
interpreter, on two sequences of each T positions, and compares with the formulas, in DROPOUT with masks from a Philox of its
own. Also fails on what that interpreter fails on: accesses out of bounds, local memory that is read before it is written,
races. Says whether lanes meet in a bank of local memory, which is only slower. attention_ptx.sh runs it; it needs no card
and no numpy."""
import math
import sys

import mma_ptx

SEQUENCES = 2
NAMES = ("out", "lse", "dqkv", "qkv", "dout", "delta")


meetings = set()


def note_banks(addresses, size, what):
    banks = {}
    for at in addresses:
        for word in range(at // 4, at // 4 + size // 4):
            banks.setdefault(word % 32, set()).add(word)
    if banks and max(map(len, banks.values())) > 1:
        meetings.add(what)


def run(kernels, name, args, memory, groups, lanes):
    code, labels, symbols = kernels[name]
    for x in range(groups):
        mma_ptx.run_group(mma_ptx.Group(x, 0, args, memory, symbols), code, labels, lanes)


def head(values, T, width, part, h, H, D):
    return [values[(i * width + part) * H * D + h * D:][:D] for i in range(T)]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def philox(key, counter):
    """Philox4x32-10, from the paper: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011."""
    for turn in range(10):
        keys = [(key[i] + turn * step) % 2**32 for i, step in enumerate((0x9E3779B9, 0xBB67AE85))]
        products = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = (products[1] >> 32 ^ counter[1] ^ keys[0], products[1] % 2**32,
                   products[0] >> 32 ^ counter[3] ^ keys[1], products[0] % 2**32)
    return counter


# Low and high half of the seed, step, number of the first sequence, site, layer, threshold, 1 / (1 - p) as bits: p = 0.25.
DROPOUT = (0x01234567, 0x89ABCDEF, 7, 5, 1, 3, 1 << 30, mma_ptx.bits_of(4 / 3))


def factors(T, sequence, h):
    """What row i, column j of a head's probabilities is multiplied with: 0, or 1 / (1 - p)."""
    low, high, step, first, site, layer, threshold, _ = DROPOUT
    draws = {}

    def factor(i, j):
        quad, word = divmod((h * T + i) * T + j, 4)
        if quad not in draws:
            draws[quad] = philox((low, high), (step, first + sequence, site << 16 | layer, quad))
        return 4 / 3 if draws[quad][word] >= threshold else 0.0
    return [[factor(i, j) for j in range(i + 1)] for i in range(T)]


def attention(q, k, v, g, T, D, f):
    """out, lse, delta, dq, dk, dv of one head."""
    zeros = lambda: [[0.0] * D for _ in range(T)]
    out, dq, dk, dv, lse, delta = zeros(), zeros(), zeros(), zeros(), [], []
    for i in range(T):
        s = [dot(q[i], k[j]) / math.sqrt(D) for j in range(i + 1)]
        largest = max(s)
        total = sum(math.exp(x - largest) for x in s)
        lse.append(largest + math.log(total))
        p = [math.exp(x - lse[i]) for x in s]
        out[i] = [sum(p[j] * f[i][j] * v[j][d] for j in range(i + 1)) for d in range(D)]
        delta.append(dot(out[i], g[i]))
        for j in range(i + 1):
            ds = p[j] * (f[i][j] * dot(g[i], v[j]) - delta[i]) / math.sqrt(D)
            for d in range(D):
                dq[i][d] += ds * k[j][d]
                dk[j][d] += ds * q[i][d]
                dv[j][d] += p[j] * f[i][j] * g[i][d]
    return out, lse, delta, dq, dk, dv


def numbers(n, narrow):
    state, found = 1, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        x = (state >> 8) / 2**23 - 1
        found.append(mma_ptx.float_of(mma_ptx.bf16_of(x) << 16 if narrow else mma_ptx.bits_of(x)))
    return found


def compare(kernels, heads, D, rows, lanes, bf16, act16, dropout, T):
    C, B = heads * D, SEQUENCES
    qkv, dout = numbers(3 * B * T * C, act16), numbers(B * T * C, act16)
    part_of = lambda x, width, s: x[width * s * T * C:width * (s + 1) * T * C]
    want = []
    for s in range(B):
        for h in range(heads):
            f = factors(T, s, h) if dropout else [[1.0] * T] * T
            parts = [head(part_of(qkv, 3, s), T, 3, part, h, heads, D) for part in range(3)]
            want.append(attention(*parts, head(part_of(dout, 1, s), T, 1, 0, h, heads, D), T, D, f))
    delta = [x for one in want for x in one[2]]
    mma_ptx.BASE.clear()
    mma_ptx.BASE.update({name: i + 1 << 40 for i, name in enumerate(NAMES)})
    size = {"out": B * T * C, "lse": B * heads * T, "dqkv": 3 * B * T * C}
    narrow = {name: act16 and name not in ("lse", "delta") for name in NAMES}
    values = {name: [-99.0] * n for name, n in size.items()} | {"qkv": qkv, "dout": dout, "delta": delta}
    memory = {name: bytearray(mma_ptx.packed(x, narrow[name])) for name, x in values.items()}
    blocks = lambda *names: [x for name in names for x in (mma_ptx.BASE[name], 0)]
    last = [T, heads, 1 / math.sqrt(D), DROPOUT if dropout else None]
    groups = (T + rows - 1) // rows * heads * B
    run(kernels, "attention", blocks("out", "lse", "qkv") + last, memory, groups, lanes)
    for name in ("attention_dq", "attention_dkv"):
        run(kernels, name, blocks("dqkv", "dout", "qkv", "lse", "delta") + last, memory, groups, lanes)
    got = {name: mma_ptx.unpacked(memory[name], narrow[name]) for name in size}
    tolerance, worst = 2e-2 if bf16 else 2e-3, 0.0
    for n, (out, lse, _, *gradients) in enumerate(want):
        s, h = divmod(n, heads)
        have = [head(part_of(got["out"], 1, s), T, 1, 0, h, heads, D), [got["lse"][n * T:(n + 1) * T]]]
        have += [head(part_of(got["dqkv"], 3, s), T, 3, part, h, heads, D) for part in range(3)]
        for what, a, b in zip(("out", "lse", "dq", "dk", "dv"), have, [out, [lse], *gradients]):
            off = math.sqrt(sum((x - y) ** 2 for r, s in zip(a, b) for x, y in zip(r, s)))
            off /= math.sqrt(sum(y * y for s in b for y in s)) + 1e-30 if T > 1 else 1.0  # one row has no dq and dk
            worst = max(worst, off)
            if not off <= tolerance:
                raise SystemExit(f"T = {T}: {what} of head {h} is off by {off:.2g}")
    return worst


def main():
    heads, D, rows, lanes, bf16, act16, dropout = map(int, sys.argv[2:9])
    lengths = list(map(int, sys.argv[9:]))
    with open(sys.argv[1], encoding="ascii") as f:
        kernels = mma_ptx.parse(f.read())
    mma_ptx.check_banks = note_banks
    worst = max(compare(kernels, heads, D, rows, lanes, bf16, act16, dropout, T) for T in lengths)
    print(f"{'stored as bf16' if act16 else 'bf16' if bf16 else 'tf32'}, head size {D}{', dropout' if dropout else ''}: attention of "
          f"{', '.join(map(str, lengths))} positions right (off by {worst:.1g}), in bounds, no race; "
          f"{len(meetings) or 'no'} instructions whose lanes meet in a bank")


if __name__ == "__main__":
    main()
