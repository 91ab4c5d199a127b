#!/usr/bin/env python3
"""mma_ptx.py FILE.ptx PRECISION TILE_M TILE_N LANES CHUNK A16 B16 ACT16: runs the kernels of product.cl as PTX, in a small
interpreter that knows just the instructions they consist of: products of whole numbers at odd sizes must come out
exactly. Also fails on a global access out of bounds, on local memory that is read before it is written or while a
copy to it is on its way, on two lanes that touch a word of it, one of them writing, with no barrier between, and on
lanes that meet in a bank of it. mma_ptx.sh runs it; it needs no card and no numpy."""
import math
import re
import struct
import sys

NAMES = ("A", "B", "C", "E", "bias")
BASE = {name: i + 1 << 40 for i, name in enumerate(NAMES)}
M32, M64 = (1 << 32) - 1, (1 << 64) - 1
BYTES = 1 << 32  # added to a byte's place in local memory, which else would be a word's


def signed(x, bits):
    return x - (1 << bits) if x >> (bits - 1) else x


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def float_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def bf16_of(x):
    bits = bits_of(x)
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


class Lane:
    def __init__(self, group, index):
        self.regs = {"%tid.x": index, "%ctaid.x": group.x, "%ctaid.y": group.y}
        self.group, self.index, self.pc, self.waits = group, index, 0, None
        self.stack = {}
        self.copies, self.committed = [], []  # of cp.async: since the last commit; groups of them, oldest first
        self.times = {}  # how often each access to local memory was made since the last barrier

    def commit(self):
        self.committed.append(self.copies)
        self.copies = []

    def wait(self, pending):
        while len(self.committed) > pending:
            for at, words in self.committed.pop(0):
                for i, word in enumerate(words):
                    self.group.flying.pop(at + 4 * i)
                    self.group.store(self, at + 4 * i, word)


class Group:
    """A work-group: its local memory by words, with who read and wrote each since the last barrier."""

    def __init__(self, x, y, args, memory, symbols):
        self.x, self.y, self.args, self.memory, self.symbols = x, y, args, memory, symbols
        self.local, self.writers, self.readers, self.flying, self.accesses = {}, {}, {}, {}, {}
        self.sizes = {}  # of each word that was touched: 4, or 1 if by bytes

    def place_of(self, at, size):
        """The place of a word, or of a byte, each of which is a place of its own; so nothing may be touched as both."""
        if at + size > self.symbols["end of shared"]:
            raise SystemExit(f"local address {at} is out of bounds")
        if self.sizes.setdefault(at & ~3, size) != size:
            raise SystemExit(f"local address {at} is touched as a word and by bytes")
        return at if size == 4 else BYTES + at

    def load(self, lane, at):
        if at in self.flying:
            raise SystemExit(f"lane {lane.index} reads local memory to which a copy is on its way")
        if self.writers.get(at, lane.index) != lane.index:
            raise SystemExit(f"race: lane {lane.index} reads a word that lane {self.writers[at]} writes")
        if at not in self.local:
            raise SystemExit(f"lane {lane.index} reads local memory that nobody has written")
        self.readers.setdefault(at, set()).add(lane.index)
        return self.local[at]

    def claim(self, lane, at):
        if at in self.flying or self.writers.get(at, lane.index) != lane.index:
            raise SystemExit(f"race: lane {lane.index} writes a word that another lane writes")
        if self.readers.get(at, set()) - {lane.index}:
            raise SystemExit(f"race: lane {lane.index} writes a word that another lane reads")

    def store(self, lane, at, value):
        self.claim(lane, at)
        self.writers[at] = lane.index
        self.local[at] = value

    def copy(self, lane, to, source, count):
        """cp.async: what it copies is there when its group was waited for; until then the place is nobody's."""
        words = [0] * 4
        if count:
            memory, at = self.place(source, 16)
            words = struct.unpack_from("<4I", memory, at)
        for i in range(4):
            self.claim(lane, self.place_of(to + 4 * i, 4))
            self.flying[to + 4 * i] = lane.index
        lane.copies.append((to, words))

    def note(self, lane, pc, at, size):
        """An access to local memory, to be held against those of the same warp at the same instruction."""
        turn = lane.times[pc] = lane.times.get(pc, 0) + 1
        self.accesses.setdefault((lane.index // 32, pc, turn, size), []).append((lane.index % 32, at))

    def barrier(self, lanes):
        for (_, pc, _, size), all_lanes in self.accesses.items():
            for first in range(0, 32, 128 // size):  # 16 bytes a lane are served 8 lanes at a time
                check_banks([at for i, at in all_lanes if first <= i < first + 128 // size], size, f"instruction {pc}")
        self.writers, self.readers, self.accesses = {}, {}, {}
        for lane in lanes:
            lane.times = {}

    def place(self, at, bytes_):
        for name, base in BASE.items():
            if base <= at < base + (1 << 40):
                offset = at - base
                if at % bytes_ or offset + bytes_ > len(self.memory[name]):
                    raise SystemExit(f"{name}, byte {offset}: {bytes_} bytes out of bounds or not aligned")
                return self.memory[name], offset
        raise SystemExit(f"address {at:#x} is nothing's")


def check_banks(addresses, size, what):
    """Different words of one bank are served one after the other."""
    banks = {}
    for at in addresses:
        for word in range(at // 4, (at + size + 3) // 4):
            banks.setdefault(word % 32, set()).add(word)
    if banks and max(map(len, banks.values())) > 1:
        raise SystemExit(f"{what}: lanes meet in a bank of local memory")


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
    if parts in (["mov", "b32"], ["cvta", "local", "u64"]):
        return lambda a: a
    if kind == "f32" and name in ("mov", "add", "sub", "mul", "fma", "selp"):
        return {"mov": lambda a: a, "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
                "fma": lambda a, b, c: a * b + c, "selp": lambda a, b, p: a if p else b}[name]
    if kind == "f32" and name == "setp" and parts[1] == "nan":
        return lambda a, b: a != a or b != b
    if kind == "f32" and name == "setp" and parts[1] in COMPARE:
        return eval("lambda a, b: a " + COMPARE[parts[1]] + " b")
    if kind == "f32":
        return {"max": max, "neg": lambda a: -a, "div": lambda a, b: a / b, "rcp": lambda a: 1 / a,
                "ex2": lambda a: 2.0 ** a if a > -126 else 0.0, "lg2": math.log2}.get(name)
    bits = int(kind[1:]) if kind[1:].isdigit() else 0
    if not bits or "f" in kind or "f32" in parts:
        return None
    if name == "setp":
        fix = (lambda x: signed(x & ((1 << bits) - 1), bits)) if kind[0] == "s" else (lambda x: x & ((1 << bits) - 1))
        test = eval("lambda a, b: a " + COMPARE[parts[1]] + " b")
        return lambda a, b: test(fix(a), fix(b))
    if name == "cvt":
        to = int(parts[1][1:])
        return integer(f"signed(a & {(1 << bits) - 1}, {bits})" if kind[0] == "s" else f"a & {(1 << bits) - 1}", to)
    if name == "mul" and parts[1] == "hi":
        return lambda a, b: (a & (1 << bits) - 1) * (b & (1 << bits) - 1) >> bits
    if name == "mul" and parts[1] == "wide":
        wide = "signed(a & {0}, 32) * signed(b & {0}, 32)" if kind[0] == "s" else "(a & {0}) * (b & {0})"
        return integer(wide.format(M32), 64)
    if name == "bfe":
        return lambda a, b, c: a >> b & (1 << c) - 1
    if name == "selp":
        return lambda a, b, p: a if p else b
    if name in ("min", "max", "div"):
        number = (lambda x: signed(x & (1 << bits) - 1, bits)) if kind[0] == "s" else (lambda x: x)
        best = {"min": min, "max": max, "div": lambda a, b: abs(a) // abs(b) * (1 if a * b >= 0 else -1)}[name]
        return lambda a, b: best(number(a), number(b)) & (1 << bits) - 1
    shift = f"signed(a & {(1 << bits) - 1}, {bits}) >> b" if kind[0] == "s" else "a >> b"
    table = {"mov": "a", "add": "a + b", "sub": "a - b", "mul": "a * b", "mad": "a * b + c", "and": "a & b",
             "or": "a | b", "xor": "a ^ b", "not": "~a", "shl": "a << b", "shr": shift}
    return integer(table[name], bits) if name in table else None


def split_operands(text):
    return [x.strip() for x in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,{}\[\]]+", text) if x.strip()]


SIZES = {"u8": 1, "u16": 2, "b16": 2, "u64": 8, "s64": 8, "b64": 8}


def access(parts, operands, pc):
    """ld and st."""
    space, is_load, kind = parts[1], parts[0] == "ld", parts[-1]
    target, at = (operands[0], operands[1]) if is_load else (operands[1], operands[0])
    names, where = [x.strip() for x in target.strip("{}").split(",")], address(at)
    size = SIZES.get(kind, 4)
    if space == "param":
        number, _, offset = at.strip(" []").rsplit("_", 1)[1].partition("+")
        number, offset = int(number), int(offset or 0) // size

        def load_param(lane):
            value = lane.group.args[number]
            lane.regs.update(zip(names, value[offset:] if isinstance(value, tuple) else (value,)))
        return load_param
    code = {"f32": "<f", "u16": "<H", "b16": "<H"}.get(kind, "<I")

    def run(lane):
        a, group = where(lane) & M64, lane.group
        if space == "local":  # arrays that the compiler leaves to ptxas to put into registers
            for i, name in enumerate(names):
                if is_load:
                    word = lane.stack[a + size * i]
                    lane.regs[name] = float_of(word) if kind == "f32" else word
                else:
                    value = lane.regs[name]
                    lane.stack[a + size * i] = bits_of(value) if kind == "f32" else value
            return
        if space == "shared":
            if size not in (1, 4):
                raise SystemExit(f"local memory is touched {size} bytes at a time, which is not known here")
            if a % (size * len(names)):
                raise SystemExit(f"local address {a} is not aligned")
            group.note(lane, pc, a, size * len(names))
            for i, name in enumerate(names):
                place = group.place_of(a + size * i, size)
                if is_load:
                    word = group.load(lane, place)
                    lane.regs[name] = float_of(word) if kind == "f32" else word
                else:
                    value = lane.regs[name]
                    group.store(lane, place, bits_of(value) if kind == "f32" else value & M32 if size == 4 else value & 255)
            return
        memory, offset = group.place(a, size * len(names))
        for i, name in enumerate(names):
            if is_load:
                lane.regs[name] = struct.unpack_from(code, memory, offset + size * i)[0]
            else:
                struct.pack_into(code, memory, offset + size * i, lane.regs[name])
    return run


def converts(name, target, source):
    """mov.b32 between the two sorts of registers."""
    if name != "mov.b32" or target[:2] == source[:2]:
        return lambda x: x
    return bits_of if source.startswith("%f") else float_of


def translate(opcode, operands, pc):
    parts = opcode.split(".")
    if parts[0] in ("ld", "st"):
        return access(parts, operands, pc)
    if opcode.startswith("cp.async.cg"):
        to, source, count = address(operands[0]), address(operands[1]), operand(operands[3])
        return lambda lane: lane.group.copy(lane, to(lane), source(lane), count(lane))
    if opcode.startswith("cp.async.commit_group"):
        return lambda lane: lane.commit()
    if opcode.startswith("cp.async.wait_group"):
        return lambda lane: lane.wait(int(operands[0]))
    target, sources = operands[0], [operand(x) for x in operands[1:]]
    if opcode == "cvt.rn.bf16x2.f32":
        function = lambda high, low: bf16_of(low) | bf16_of(high) << 16
    else:
        function = arithmetic(parts)
    if not function:  # of what GELU is made of: no test gets there

        def unknown(lane):
            raise SystemExit(f"unknown instruction {opcode}")
        return unknown
    convert = converts(opcode, target, operands[1].strip())

    def run(lane):
        lane.regs[target] = convert(function(*[s(lane) for s in sources]))
    return run


# ---- what a warp does together ----

def halves(word):
    return [float_of((word & 0xFFFF) << 16), float_of(word & 0xFFFF0000)]


def mma(warp, opcode, fragments):
    """D = A B + C over a warp's lanes, by the PTX ISA's layouts of m16n8k8 with tf32 and m16n8k16 with bf16: a register of
    A or B holds one number along k, or two neighbours."""
    d, a, b, c = [[x.strip() for x in f.strip("{}").split(",")] for f in fragments]
    pair = halves if "bf16" in opcode else lambda word: [float_of(word & 0xFFFFE000)]
    A, B = [[0] * 8 for _ in range(16)], [[0] * 8 for _ in range(8)]
    for lane in warp:
        g, t = divmod(lane.index % 32, 4)
        for i, (row, k) in enumerate(((g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4))):
            A[row][k] = pair(lane.regs[a[i]])
        for i in range(2):
            B[t + 4 * i][g] = pair(lane.regs[b[i]])
    for lane in warp:
        g, t = divmod(lane.index % 32, 4)
        new = [lane.regs[c[i]] + sum(x * y for k in range(8) for x, y in zip(A[row][k], B[k][n]))
               for i, (row, n) in enumerate(((g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)))]
        lane.regs.update(zip(d, new))


def ldmatrix(warp, opcode, operands):
    """Four matrices of 8 rows of 16 bytes; lane l has the address of row l % 8 of matrix l / 8."""
    names = [x.strip() for x in operands[0].strip("{}").split(",")]
    rows = [address(operands[1])(lane) for lane in warp]
    for first in range(0, 32, 8):
        check_banks(rows[first:first + 8], 16, "ldmatrix")
    for lane in warp:
        i, new = lane.index % 32, []
        for matrix in range(4):
            if ".trans" in opcode:
                parts = []
                for k in range(2):
                    at = rows[matrix * 8 + i % 4 * 2 + k] + i // 4 * 2
                    parts.append(lane.group.load(lane, at & ~3) >> (at & 2) * 8 & 0xFFFF)
                new.append(parts[0] | parts[1] << 16)
            else:
                new.append(lane.group.load(lane, rows[matrix * 8 + i // 4] + i % 4 * 4))
        lane.regs.update(zip(names, new))


def shfl(warp, opcode, operands):
    """shfl.sync.bfly.b32: a lane gets the number of the lane whose index differs in these bits."""
    old, bits = [lane.regs[operands[1]] for lane in warp], int(operands[2])
    for i, lane in enumerate(warp):
        lane.regs[operands[0]] = old[i ^ bits]


TOGETHER = {"mma": mma, "ldmatrix": ldmatrix, "shfl": shfl}

# ---- kernels ----

def parse(text):
    """{kernel: (instructions, labels, symbols)}"""
    kernels = {}
    text = re.sub("//.*", "", text)
    for name, body in re.findall(r"\.entry (\w+)\(.*?\)\s*(\{.*?\n\})", text, re.S):
        code, labels, symbols, free = [], {}, {}, 0
        for line in body.strip()[1:-1].splitlines():
            line = line.strip().rstrip(";")
            if line.startswith(".local"):
                symbols[re.search(r"([\w$]+)\[", line)[1]] = 0
            shared = re.match(r"\.shared \.align (\d+) \.b8 ([\w$]+)\[(\d+)\]", line)
            if shared:
                free = -(-free // int(shared[1])) * int(shared[1])
                symbols[shared[2]], free = free, free + int(shared[3])
            elif re.fullmatch(r"[\w$]+:", line):
                labels[line[:-1]] = len(code)
            elif line and line[0] not in "%.":
                guard = re.match(r"@(!?)(%p\d+)\s+", line)
                opcode, _, rest = line[guard.end() if guard else 0:].partition("\t")
                opcode, _, more = opcode.strip().partition(" ")
                operands = split_operands(more + rest)
                condition = (guard[2], guard[1] == "!") if guard else None
                special = opcode if opcode.startswith(("bra", "bar", "mma", "ldmatrix", "shfl", "ret")) else None
                code.append((condition, special, operands, None if special else translate(opcode, operands, len(code))))
        symbols["end of shared"] = free
        kernels[name] = (code, labels, symbols)
    return kernels


def advance(lane, code, labels):
    """Until a barrier, something that the warp does together, or the end."""
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
                if warp[0].waits not in TOGETHER:
                    break
                _, special, operands, _ = code[warp[0].pc]
                TOGETHER[warp[0].waits](warp, special, operands)
                for lane in warp:
                    lane.pc += 1
        if all(lane.waits == "ret" for lane in all_lanes):
            return
        if any(lane.waits != "bar" for lane in all_lanes):
            raise SystemExit("a part of the lanes never reaches a barrier")
        group.barrier(all_lanes)
        for lane in all_lanes:
            lane.pc += 1


# ---- products ----

def packed(values, narrow):
    if narrow:
        return struct.pack(f"<{len(values)}H", *[bf16_of(x) for x in values])
    return struct.pack(f"<{len(values)}f", *values)


def unpacked(data, narrow):
    if narrow:
        return [float_of(x << 16) for x in struct.unpack(f"<{len(data) // 2}H", data)]
    return struct.unpack(f"<{len(data) // 4}f", data)


class Setting:
    def __init__(self, numbers):
        self.precision, self.tile_m, self.tile_n, self.lanes, self.chunk, self.a16, self.b16, self.act16 = numbers


def stored(rows, length, line, before, narrow, behind):
    """A matrix as bytes, and its numbers: `before` numbers before it, `behind` after each line up to `line` (the last one
    ends where it ends unless lines are whole)."""
    values = [[float((r * length + c) * 7919 % 127 - 63) for c in range(length)] for r in range(rows)]
    flat = [99.0] * before
    for row in values:
        flat += row + [behind] * (line - length)
    return bytearray(packed(flat, narrow)), values


def product(kernel, name, s, m, n, k, whole, add, piece, narrow=0):
    """k: of all pieces. Lines of whole operands are padded up to a multiple of 8. narrow: C is stored as bf16."""
    ta, tb = name[-2] == "t", name[-1] == "t"
    up = lambda x: (x + 7) // 8 * 8 if whole else x
    at = 8 if whole else 3
    lda, ldb, ldc = up(m if ta else k), up(k if tb else n), n + (8 - n % 8 if whole else 1)
    memory = {}
    memory["A"], a = stored(*((k, m) if ta else (m, k)), lda, at, s.a16, 77.0 if ta else 0.0)
    memory["B"], b = stored(*((n, k) if tb else (k, n)), ldb, at, s.b16, 0.0 if tb else 77.0)
    walks = ta and not tb
    planes = 1 if walks else (k + piece - 1) // piece
    old = [float(i % 9) for i in range(planes * m * ldc)]
    memory["C"] = bytearray(packed([0.5] * at + old, narrow))
    memory["E"], memory["bias"] = bytearray(), bytearray(struct.pack(f"<{n}f", *[float(j % 5) for j in range(n)]))
    wide = n % 4 == 0 and ldc % 4 == 0 and whole
    with_bias = not walks
    args = [BASE["A"], at, BASE["B"], at, BASE["C"], at, BASE["E"], 0, BASE["bias"], 0, m, n, piece, k, lda, ldb, ldc,
            add, int(with_bias), int(wide), int(with_bias), 0, narrow]
    code, labels, symbols = kernel
    groups = -(-m // s.tile_m) * -(-n // s.tile_n)
    for y in range(planes):
        for x in range(groups):
            run_group(Group(x, y, args, memory, symbols), code, labels, s.lanes)
    got = unpacked(memory["C"], narrow)
    for plane in range(planes):
        span = range(k) if walks else range(plane * piece, min(k, (plane + 1) * piece))
        for i in range(m):
            for j in range(ldc):
                place = (plane * m + i) * ldc + j
                want = old[place]
                if j < n:
                    want = (want if add else 0) + (float(j % 5) if with_bias else 0)
                    want += sum((a[x][i] if ta else a[i][x]) * (b[j][x] if tb else b[x][j]) for x in span)
                if narrow:
                    want = float_of(bf16_of(want) << 16)
                if got[at + place] != want:
                    raise SystemExit(f"{name} {m} x {n} x {k}: C[{plane},{i},{j}] is {got[at + place]}, not {want}")
    if list(got[:at]) != [0.5] * at:
        raise SystemExit(f"{name}: writes before C")


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        kernels = parse(f.read())
    s = Setting([int(x) for x in sys.argv[2:10]])
    for name, kernel in kernels.items():
        whole = name.startswith("product")
        product(kernel, name, s, s.tile_m + 3, s.tile_n - 4, 70, whole, 1, 40)
        product(kernel, name, s, 20, s.tile_n + 5, 20, whole, 0, 20)
        if s.act16 and "_tn" not in name:
            product(kernel, name, s, 20, s.tile_n + 5, 20, whole, 0, 20, 1)
    print(f"{sys.argv[1].rsplit('/', 1)[-1][:-4]}: {len(kernels)} kernels right, in bounds, no race, no bank conflict")


if __name__ == "__main__":
    main()
