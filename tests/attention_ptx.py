#!/usr/bin/env python3
"""attention_ptx.py FILE.ptx HEADS D ROWS LANES BF16 ACT16: runs the kernels of attention_mma.cl as PTX, in mma_ptx.py's interpreter,
on one sequence of positions that are a multiple of nothing, and compares with the formulas. Also fails on what that
interpreter fails on: global accesses out of bounds, local memory that is read before it is written, races. Says whether lanes
meet in a bank of local memory, which is only slower. attention_ptx.sh runs it; it needs no card and no numpy."""
import math
import sys

import mma_ptx

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


def attention(q, k, v, g, T, D):
    """out, lse, dq, dk, dv of one head."""
    zeros = lambda: [[0.0] * D for _ in range(T)]
    out, dq, dk, dv, lse, delta = zeros(), zeros(), zeros(), zeros(), [], []
    for i in range(T):
        s = [dot(q[i], k[j]) / math.sqrt(D) for j in range(i + 1)]
        largest = max(s)
        total = sum(math.exp(x - largest) for x in s)
        lse.append(largest + math.log(total))
        p = [math.exp(x - lse[i]) for x in s]
        out[i] = [sum(p[j] * v[j][d] for j in range(i + 1)) for d in range(D)]
        delta.append(dot(out[i], g[i]))
        for j in range(i + 1):
            ds = p[j] * (dot(g[i], v[j]) - delta[i]) / math.sqrt(D)
            for d in range(D):
                dq[i][d] += ds * k[j][d]
                dk[j][d] += ds * q[i][d]
                dv[j][d] += p[j] * g[i][d]
    return out, lse, delta, dq, dk, dv


def main():
    heads, D, rows, lanes, bf16, act16 = map(int, sys.argv[2:8])
    with open(sys.argv[1], encoding="ascii") as f:
        kernels = mma_ptx.parse(f.read())
    T, C = rows + 5, heads * D
    mma_ptx.check_banks = note_banks
    state, numbers = 1, []
    for _ in range(4 * T * C):
        state = (state * 1664525 + 1013904223) % 2**32
        x = (state >> 8) / 2**23 - 1
        numbers.append(mma_ptx.float_of(mma_ptx.bf16_of(x) << 16 if act16 else mma_ptx.bits_of(x)))
    qkv, dout = numbers[:3 * T * C], numbers[3 * T * C:]
    per_head = [attention(*[head(qkv, T, 3, part, h, heads, D) for part in range(3)], head(dout, T, 1, 0, h, heads, D), T, D)
                for h in range(heads)]
    delta = [x for h in range(heads) for x in per_head[h][2]]
    mma_ptx.BASE.clear()
    mma_ptx.BASE.update({name: i + 1 << 40 for i, name in enumerate(NAMES)})
    size = {"out": T * C, "lse": heads * T, "dqkv": 3 * T * C}
    narrow = {name: act16 and name not in ("lse", "delta") for name in NAMES}
    values = {name: [-99.0] * n for name, n in size.items()} | {"qkv": qkv, "dout": dout, "delta": delta}
    memory = {name: bytearray(mma_ptx.packed(x, narrow[name])) for name, x in values.items()}
    blocks = lambda *names: [x for name in names for x in (mma_ptx.BASE[name], 0)]
    last = [T, heads, 1 / math.sqrt(D), None]
    groups = (T + rows - 1) // rows * heads
    run(kernels, "attention", blocks("out", "lse", "qkv") + last, memory, groups, lanes)
    for name in ("attention_dq", "attention_dkv"):
        run(kernels, name, blocks("dqkv", "dout", "qkv", "lse", "delta") + last, memory, groups, lanes)
    got = {name: mma_ptx.unpacked(memory[name], narrow[name]) for name in size}
    tolerance = 2e-2 if bf16 else 2e-3
    for h in range(heads):
        out, lse, _, *gradients = per_head[h]
        have = [head(got["out"], T, 1, 0, h, heads, D), [got["lse"][h * T:(h + 1) * T]]]
        have += [head(got["dqkv"], T, 3, part, h, heads, D) for part in range(3)]
        for what, a, b in zip(("out", "lse", "dq", "dk", "dv"), have, [out, [lse], *gradients]):
            off = math.sqrt(sum((x - y) ** 2 for r, s in zip(a, b) for x, y in zip(r, s)) / sum(y * y for s in b for y in s))
            if not off <= tolerance:
                raise SystemExit(f"{what} of head {h} is off by {off:.2g}")
    print(f"{'stored as bf16' if act16 else 'bf16' if bf16 else 'tf32'}, head size {D}: attention right, in bounds, no race; "
          f"{len(meetings) or 'no'} instructions whose lanes meet in a bank")


if __name__ == "__main__":
    main()
