#!/usr/bin/env python3
"""scale.py: what several processes send each other in a step, and a simulation of the schedule of that: how long a step
takes, by the times of its ops and the speed of the network. Knows snug's rules (docs/scale.md) and none of its code.

    scale.py table                              bytes and efficiency of GPT-2's sizes, as docs/scale.md shows them
    scale.py overlap                            what sending while computing brings, with fewer sequences
    scale.py bytes LAYERS CHANNELS VOCABULARY POSITIONS BIAS PROCESSES SHARDS
                                                bytes that all processes together send in a step
    scale.py step BENCH.json PROCESSES SHARDS [copy=GB/s] [gbit=G] [cores=N]
                                                milliseconds of a step, by what `snug bench --json` measured of one shard
"""
import json
import sys

REAL = 4  # bytes


class Model:
    """Parameters in the checkpoint's order: (layer, elements); -1 is before the layers, and after them."""

    def __init__(self, layers, channels, vocabulary, positions, bias=False):
        c, b = channels, bias
        self.layers, self.channels, self.vocabulary, self.positions = layers, channels, vocabulary, positions
        norm = [c] + [c] * b
        layer = norm + [3 * c * c] + [3 * c] * b + [c * c] + [c] * b + norm
        layer += [4 * c * c] + [4 * c] * b + [4 * c * c] + [c] * b
        self.params = [(-1, vocabulary * c), (-1, positions * c)]
        for l in range(layers):
            self.params += [(l, n) for n in layer]
        self.params += [(-1, n) for n in norm]

    def owners(self, processes):
        """The embedding first, which is kept a fourth time; then from the last to the first: each to whoever has least."""
        kept, owner = [0] * processes, [0] * len(self.params)
        for p in [0] + list(range(len(self.params) - 1, 0, -1)):
            owner[p] = kept.index(min(kept))
            kept[owner[p]] += self.params[p][1] * (3 if p else 4)
        return owner

    def flops(self):
        """Of a sequence: forward, of which the head's three products; and a layer's backward pass."""
        t, c = self.positions, self.channels
        attention = 2 * 2 * t * (t + 1) / 2 * c
        layer = 2 * t * 12 * c * c + attention
        return self.layers * layer + 3 * 2 * t * c * self.vocabulary, 2 * 2 * t * 12 * c * c + 2.5 * attention

    def groups(self):
        """In the order in which their gradients are ready: indices of parameters. The last one is what the embeddings'
        lookup adds, where the token embedding's gradient is sent once more."""
        last = len(self.params) - 1
        after = [p for p in range(2, last + 1) if self.params[p][0] < 0]
        return [[0] + after] + [[p for p in range(last + 1) if self.params[p][0] == l]
                                for l in range(self.layers - 1, -1, -1)] + [[0, 1]]


class Network:
    """Each process has a link that carries `rate` bytes a second each way. Many messages are under way at once and share
    links, so that each link works while it has something to do: a message has arrived when both ends' have done with it
    and what came before (the least time for that is the busiest link's; open shop with preemption)."""

    def __init__(self, processes, rate):
        self.out, self.into, self.arrived = [0.0] * processes, [0.0] * processes, [0.0] * processes
        self.rate = rate

    def send(self, at, sender, receiver, elements):
        seconds = elements * REAL / self.rate
        self.out[sender] = max(self.out[sender], at) + seconds
        self.into[receiver] = max(self.into[receiver], at) + seconds
        self.arrived[receiver] = max(self.arrived[receiver], self.out[sender], self.into[receiver])


def sent(model, processes, shards):
    """Bytes of gradients and of weights that all send in a step."""
    elements = sum(n for _, n in model.params)
    gradients = elements + model.params[0][1]
    return [(processes - 1) * REAL * n for n in (gradients * shards // processes, elements)]


def step(model, processes, shards, times, rate, copy=0.0, slower=1.0):
    """Seconds of a step. times: of one shard's ops: (all before its last backward pass, a layer of that, what comes
    after the layers, the optimizer over all parameters). copy: seconds of the processor's time that a byte takes its sender, and its
    receiver. slower: how much longer everything takes that the processor does, where processes outnumber cores."""
    owner, groups = model.owners(processes), model.groups()
    before, layer, after, optimizer = (slower * t for t in times)
    copy, all_elements = slower * copy, sum(n for _, n in model.params)
    clock, network = [0.0] * processes, Network(processes, rate)
    for _ in range(shards // processes):
        work = [0.0] * processes
        for g, group in enumerate(groups):
            for r in range(processes):
                clock[r] += before if g == 0 else after if g == len(groups) - 1 else layer
            # The head's gradient takes turns with the layers'.
            parts = [(p, model.params[p][1]) for p in group if g or p]
            if 0 < g < len(groups) - 1:
                parts.append((0, model.params[0][1] // model.layers))
            for p, n in parts:
                for r in range(processes):
                    if r != owner[p]:
                        clock[r] += copy * n * REAL
                        work[owner[p]] += copy * n * REAL
                        network.send(clock[r], r, owner[p], n)
        clock = [max(c + w, a) for c, w, a in zip(clock, work, network.arrived)]
    clock = [max(clock)] * processes  # the norm needs all
    work = [0.0] * processes
    for p, (_, n) in enumerate(model.params):
        me = owner[p]
        clock[me] += optimizer * n / all_elements
    for p, (_, n) in enumerate(model.params):
        for r in range(processes):
            if r != owner[p]:
                clock[owner[p]] += copy * n * REAL
                work[r] += copy * n * REAL
                network.send(clock[owner[p]], owner[p], r, n)
    return max(max(c + w, a) for c, w, a in zip(clock, work, network.arrived))


# ---- what docs/scale.md shows ----

LAST = 4  # sequences of the last micro-batch
# GPT-2 124M: 16 sequences took an NVIDIA H100 408 ms in float32.
RATE = 16 * (lambda forward, layer: forward + 12 * layer)(*Model(12, 768, 50304, 1024).flops()) / 0.408


def efficiency(model, processes, sequences, gbit, overlaps=True):
    """Of a step: the time of one process, by the number of them, by the time that they take."""
    forward, layer = model.flops()
    whole, own = forward + model.layers * layer, sequences / processes
    last = min(LAST, own) if overlaps else 0
    times = ((own - last) * whole + last * forward) / RATE, last * layer / RATE, 0, 0
    return own * whole / RATE / step(model, processes, processes, times, gbit * 1.25e8)


def table():
    print("  size  processes  sent, GB  efficiency at 1, 10, 100 Gbit/s")
    for name, shape in (("124M", (12, 768)), ("355M", (24, 1024)), ("774M", (36, 1280)), ("1558M", (48, 1600))):
        model = Model(*shape, 50304, 1024)
        for processes in 2, 4, 8, 16:
            print(f"{name:>6}  {processes:9}  {sum(sent(model, processes, processes)) / 1e9:8.2f}"
                  + "".join(f"  {100 * efficiency(model, processes, 512, gbit):3.0f} %" for gbit in (1, 10, 100)))


def overlap():
    print("  size  processes  efficiency at 10, 100 Gbit/s  without overlap")
    for name, shape in (("124M", (12, 768)), ("1558M", (48, 1600))):
        model = Model(*shape, 50304, 1024)
        for processes in 2, 4, 8:
            with_it, without = ("  ".join(f"{100 * efficiency(model, processes, 64, gbit, o):3.0f} %" for gbit in (10, 100))
                                for o in (True, False))
            print(f"{name:>6}  {processes:9}  {with_it:>28}  {without:>15}")


def bench_times(path):
    """The model and the times for step() of a bench of one shard in one micro-batch."""
    with open(path) as f:
        bench = json.load(f)
    m = bench["model"]
    model = Model(m["n_layer"], m["n_embd"], m["vocab_size"], m["block_size"], m["bias"])
    seconds = {o["op"]: o["seconds"] for o in bench["ops"]}
    backward = ("LINEAR_DX", "LINEAR_DW", "ATTENTION_DX", "GELU_DX", "NORM_DX", "NORM_DW", "RESIDUAL_DX")
    forward = ("ZERO", "EMBED", "NORM", "LINEAR", "ATTENTION", "RESIDUAL_NORM", "GELU", "HEAD")
    finish = ("SUM_SQUARES", "GRAD_NORM", "ADAMW")
    add = lambda names: sum(seconds.get(n, 0) for n in names)
    return model, (add(forward), add(backward) / model.layers, add(("EMBED_DW", "ADD")), add(finish))


def main(arguments):
    if arguments[:1] == ["table"]:
        table()
    elif arguments[:1] == ["overlap"]:
        overlap()
    elif arguments[:1] == ["bytes"] and len(arguments) == 8:
        layers, channels, vocabulary, positions, bias, processes, shards = map(int, arguments[1:])
        print(sum(sent(Model(layers, channels, vocabulary, positions, bool(bias)), processes, shards)))
    elif arguments[:1] == ["step"] and len(arguments) >= 4:
        options = dict(a.split("=") for a in arguments[4:])
        model, times = bench_times(arguments[1])
        processes, shards = int(arguments[2]), int(arguments[3])
        copy = 1e-9 / float(options["copy"]) if "copy" in options else 0.0
        rate = float(options["gbit"]) * 1.25e8 if "gbit" in options else 1e15
        slower = max(1.0, processes / int(options.get("cores", processes)))
        print(f"{1e3 * step(model, processes, shards, times, rate, copy, slower):.1f}")
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
