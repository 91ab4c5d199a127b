#!/usr/bin/env python3
"""mma_ptx.py FILE.ptx TILE_M TILE_N LANES: runs the four kernels of mma.cl as PTX, in a small interpreter that knows just
the instructions they consist of: products of whole numbers at odd sizes must come out exactly. Also fails on a global
access out of bounds, on local memory that is read before it is written, and on two lanes that touch a word of it, one
of them writing, with no barrier between. mma_ptx.sh runs it; it needs no card and no numpy."""
import re
import struct
import sys

BASE = {"A": 1 << 40, "B": 2 << 40, "C": 3 << 40}
M32, M64 = (1 << 32) - 1, (1 << 64) - 1


def signed(x, bits):
    return x - (1 << bits) if x >> (bits - 1) else x


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def float_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def rna_tf32(x):
    return bits_of(x) + 0x1000 & 0xFFFFE000


class Lane:
    def __init__(self, group, index):
        self.regs = {"%tid.x": index, "%ctaid.x": group.x, "%ctaid.y": group.y}
        self.group, self.index, self.pc, self.waits = group, index, 0, None


class Group:
    """A work-group: its local memory, with who read and wrote each word since the last barrier."""

    def __init__(self, x, y, args, memory, symbols):
        self.x, self.y, self.args, self.memory, self.symbols = x, y, args, memory, symbols
        self.local, self.writers, self.readers = {}, {}, {}

    def load_local(self, lane, at):
        if self.writers.get(at, lane.index) != lane.index:
            raise SystemExit(f"race: lane {lane.index} reads a word that lane {self.writers[at]} writes")
        if at not in self.local:
            raise SystemExit(f"lane {lane.index} reads local memory that nobody has written")
        self.readers.setdefault(at, set()).add(lane.index)
        return self.local[at]

    def store_local(self, lane, at, value):
        if self.writers.get(at, lane.index) != lane.index or self.readers.get(at, set()) - {lane.index}:
            raise SystemExit(f"race: lane {lane.index} writes a word that another lane uses")
        self.writers[at] = lane.index
        self.local[at] = value

    def barrier(self):
        self.writers, self.readers = {}, {}

    def place(self, at, bytes_):
        for name, base in BASE.items():
            if base <= at < base + (1 << 40):
                word = (at - base) // 4
                if at % bytes_ or word < 0 or word + bytes_ // 4 > len(self.memory[name]):
                    raise SystemExit(f"{name}[{word}]: {bytes_} bytes out of bounds or not aligned")
                return self.memory[name], word
        raise SystemExit(f"address {at:#x} is nothing's")


# ---- an instruction becomes a function of a lane; it returns a label to go to, or None ----

COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def operand(text):
    text = text.strip()
    if text.startswith("0f"):
        value = float_of(int(text[2:], 16))
    elif re.fullmatch(r"-?\d+", text):
        value = int(text)
    elif text.startswith("%"):
        return lambda lane: lane.regs[text]
    else:
        return lambda lane: lane.group.symbols[text]
    return lambda lane: value


def address(text):
    base, _, offset = text.strip(" []").partition("+")
    get, offset = operand(base), int(offset or 0)
    return lambda lane: get(lane) + offset


def integer(expression, bits):
    mask = (1 << bits) - 1
    return eval("lambda a, b=0, c=0: (" + expression + ") & mask", {"mask": mask, "signed": signed})


def arithmetic(parts):
    """(function of operands) for integers and predicates; None for what is no arithmetic."""
    name, kind = parts[0], parts[-1]
    if kind == "pred":
        return {"and": lambda a, b: a and b, "or": lambda a, b: a or b, "mov": lambda a: a}.get(name)
    if kind == "f32":
        return {"mov": lambda a: a, "add": lambda a, b: a + b}.get(name)
    bits = int(kind[1:]) if kind[1:].isdigit() else 0
    if name == "setp":
        fix = (lambda x: signed(x & ((1 << bits) - 1), bits)) if kind[0] == "s" else (lambda x: x & ((1 << bits) - 1))
        test = eval("lambda a, b: a " + COMPARE[parts[1]] + " b")
        return lambda a, b: test(fix(a), fix(b))
    if name == "cvt":
        to = int(parts[1][1:])
        return integer(f"signed(a & {(1 << bits) - 1}, {bits})" if kind[0] == "s" else f"a & {(1 << bits) - 1}", to)
    if name == "mul" and parts[1] == "wide":
        wide = "signed(a & {0}, 32) * signed(b & {0}, 32)" if kind[0] == "s" else "(a & {0}) * (b & {0})"
        return integer(wide.format(M32), 64)
    if name == "bfe":
        return lambda a, b, c: a >> b & (1 << c) - 1
    if name == "selp":
        return lambda a, b, p: a if p else b
    shift = f"signed(a & {(1 << bits) - 1}, {bits}) >> b" if kind[0] == "s" else "a >> b"
    table = {"mov": "a", "add": "a + b", "sub": "a - b", "mul": "a * b", "mad": "a * b + c", "and": "a & b",
             "or": "a | b", "xor": "a ^ b", "shl": "a << b", "shr": shift}
    return integer(table[name], bits) if name in table else None


def split_operands(text):
    return [x.strip() for x in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,{}\[\]]+", text) if x.strip()]


def access(parts, operands):
    """ld and st."""
    space, is_load = parts[1], parts[0] == "ld"
    target, at = (operands[0], operands[1]) if is_load else (operands[1], operands[0])
    names, where = [x.strip() for x in target.strip("{}").split(",")], address(at)
    if space == "param":
        number = int(at.strip(" []").rsplit("_", 1)[1])

        def load_param(lane):
            lane.regs[names[0]] = lane.group.args[number]
        return load_param

    def run(lane):
        a, group = where(lane) & M64, lane.group
        if space == "shared" and a % (4 * len(names)):
            raise SystemExit(f"local address {a} is not aligned")
        memory, word = (None, None) if space == "shared" else group.place(a, 4 * len(names))
        for i, name in enumerate(names):
            if is_load:
                lane.regs[name] = group.load_local(lane, a + 4 * i) if space == "shared" else memory[word + i]
            elif space == "shared":
                group.store_local(lane, a + 4 * i, lane.regs[name])
            else:
                memory[word + i] = lane.regs[name]
    return run


def translate(opcode, operands):
    parts = opcode.split(".")
    if parts[0] in ("ld", "st"):
        return access(parts, operands)
    if opcode == "cvt.rna.tf32.f32":
        function = rna_tf32
    else:
        function = arithmetic(parts)
    if not function:
        raise SystemExit(f"unknown instruction {opcode}")
    target, sources = operands[0], [operand(x) for x in operands[1:]]

    def run(lane):
        lane.regs[target] = function(*[s(lane) for s in sources])
    return run


def mma(warp, fragments):
    """D = A B + C over a warp's lanes, by the PTX ISA's layout of m16n8k8 with tf32."""
    d, a, b, c = [[x.strip() for x in f.strip("{}").split(",")] for f in fragments]
    A, B = [[0] * 8 for _ in range(16)], [[0] * 8 for _ in range(8)]
    for lane in warp:
        g, t = divmod(lane.index % 32, 4)
        for i, (row, k) in enumerate(((g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4))):
            A[row][k] = float_of(lane.regs[a[i]])
        for i in range(2):
            B[t + 4 * i][g] = float_of(lane.regs[b[i]])
    for lane in warp:
        g, t = divmod(lane.index % 32, 4)
        for i, (row, n) in enumerate(((g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1))):
            lane.regs["new" + str(i)] = lane.regs[c[i]] + sum(A[row][k] * B[k][n] for k in range(8))
        for i in range(4):
            lane.regs[d[i]] = lane.regs["new" + str(i)]


# ---- kernels ----

def parse(text):
    """{kernel: (instructions, labels, symbols)}"""
    kernels = {}
    text = re.sub("//.*", "", text)
    for name, body in re.findall(r"\.entry (\w+)\(.*?\)\s*(\{.*?\n\})", text, re.S):
        code, labels, symbols, free = [], {}, {}, 0
        for line in body.strip()[1:-1].splitlines():
            line = line.strip().rstrip(";")
            shared = re.match(r"\.shared \.align \d+ \.b8 ([\w$]+)\[(\d+)\]", line)
            if shared:
                symbols[shared[1]], free = free, free + int(shared[2])
            elif re.fullmatch(r"[\w$]+:", line):
                labels[line[:-1]] = len(code)
            elif line and line[0] not in "%.":
                guard = re.match(r"@(!?)(%p\d+)\s+", line)
                opcode, _, rest = line[guard.end() if guard else 0:].partition("\t")
                opcode, _, more = opcode.strip().partition(" ")
                operands = split_operands(more + rest)
                condition = (guard[2], guard[1] == "!") if guard else None
                special = opcode if opcode.startswith(("bra", "bar", "mma", "ret")) else None
                code.append((condition, special, operands, None if special else translate(opcode, operands)))
        kernels[name] = (code, labels, symbols)
    return kernels


def advance(lane, code, labels):
    """Until a barrier, an mma or the end."""
    while True:
        condition, special, operands, run = code[lane.pc]
        if condition and bool(lane.regs[condition[0]]) == condition[1]:
            lane.pc += 1
        elif run:
            run(lane)
            lane.pc += 1
        elif special.startswith("bra"):
            lane.pc = labels[operands[0]]
        else:
            lane.waits = special.split(".")[0]
            return


def run_group(group, code, labels, lanes):
    all_lanes = [Lane(group, i) for i in range(lanes)]
    while True:
        for start in range(0, lanes, 32):
            warp = all_lanes[start:start + 32]
            while True:
                for lane in warp:
                    advance(lane, code, labels)
                if len({(lane.pc, lane.waits) for lane in warp}) != 1 and warp[0].waits != "ret":
                    raise SystemExit("the lanes of a warp stand at different barriers or products")
                if warp[0].waits != "mma":
                    break
                mma(warp, code[warp[0].pc][2])
                for lane in warp:
                    lane.pc += 1
        if all(lane.waits == "ret" for lane in all_lanes):
            return
        if any(lane.waits != "bar" for lane in all_lanes):
            raise SystemExit("a part of the lanes never reaches a barrier")
        group.barrier()
        for lane in all_lanes:
            lane.pc += 1


def product(kernel, name, tile, lanes, m, n, k, at, add):
    ta, tb = name[4] == "t", name[5] == "t"
    a = [float(i * 7919 % 1024 - 512) for i in range(m * k)]
    b = [float(i * 104729 % 256 - 128) for i in range(k * n)]
    old = [float(i % 9) for i in range(m * n)]
    memory = {"A": [0.5] * at + a, "B": [0.5] * at + b, "C": [0.5] * at + old}
    whole = ((m if ta else k) % 4 == 0 and at % 4 == 0) + 2 * ((k if tb else n) % 4 == 0 and at % 4 == 0) + \
        4 * (n % 2 == 0 and at % 2 == 0)
    args = [BASE["A"], at, BASE["B"], at, BASE["C"], at, m, n, k, whole, add]
    code, labels, symbols = kernel
    for y in range((m + tile[0] - 1) // tile[0]):
        for x in range((n + tile[1] - 1) // tile[1]):
            run_group(Group(x, y, args, memory, symbols), code, labels, lanes)
    for i in range(m):
        row = [a[x * m + i] for x in range(k)] if ta else a[i * k:i * k + k]
        for j in range(n):
            column = b[j * k:j * k + k] if tb else b[j::n]
            want = sum(p * q for p, q in zip(row, column)) + (old[i * n + j] if add else 0)
            if memory["C"][at + i * n + j] != want:
                raise SystemExit(f"{name} {m} x {n} x {k}: C[{i},{j}] is {memory['C'][at + i * n + j]}, not {want}")
    if memory["C"][:at] != [0.5] * at:
        raise SystemExit(f"{name}: writes before C")


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        kernels = parse(f.read())
    tile, lanes = (int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4])
    for name in ("mma_nn", "mma_nt", "mma_tn", "mma_tt"):
        product(kernels[name], name, tile, lanes, tile[0] + 3, tile[1] - 5, 37, 3, 1)
        product(kernels[name], name, tile, lanes, 20, tile[1] + 4, 20, 4, 0)
        print(f"{name}, tile {tile[0]} x {tile[1]}: right, in bounds, no race")


main()
