#!/usr/bin/env python3
"""What whole commands must give, by PyTorch in float64: `train`, `eval` and `sample` on known weights and data. Nothing
of the program is used: Philox, the sequences of a step, dropout's masks and the schedule are written anew here.

Writes into the folder runs beside this script:
  train.bin, val.bin   the data, uint16
  NAME.py              a run's settings, a config file of snug's; and NAME.jsonl, what its log must say
  eval.json            the losses that `eval` must print
  sample.json          the ids that follow a text, each the likeliest; and the probabilities of the first one
Usage: make_runs.py       needs: python3, numpy, torch; and the folders of weights beside it, of make_golden.py"""
import json, math, os, sys
import numpy as np, torch

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "runs")

# ---- random numbers: Philox4x32-10 (Salmon et al. 2011) on arrays; R9's sites and streams ----
EMBED, ATTENTION, ATTENTION_RESIDUAL, MLP_RESIDUAL, BATCH = 1, 2, 3, 4, 6
TRAIN, EVAL_TRAIN, EVAL_VAL = 0, 1, 2

def philox(seed, c0, c1, c2, c3):
    """The four words of each draw, as uint64 arrays; the counters are broadcast."""
    c = [np.asarray(x, dtype=np.uint64) for x in np.broadcast_arrays(c0, c1, c2, c3)]
    low, k = np.uint64(0xFFFFFFFF), [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        high = lambda x: x >> np.uint64(32)
        c = [high(b) ^ c[1] ^ np.uint64(k[0]), b & low, high(a) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c

def kept(p, seed, step, sequences, site, layer, shape):
    """Dropout's factors, [sequences, *shape]: 0, or 1 / (1 - p) where element i's word i % 4 of draw i / 4 is high enough."""
    n = int(np.prod(shape))
    quads = np.arange((n + 3) // 4)
    words = philox(seed, step, np.arange(sequences)[:, None], site << 16 | layer, quads[None, :])
    words = np.stack(words, -1).reshape(sequences, -1)[:, :n]
    return torch.tensor((words >= int(p * 2**32)) / (1 - p)).view(sequences, *shape)

# ---- weights and the model ----

def load(folder):
    with open(os.path.join(folder, "config.json")) as f:
        k = json.load(f)
    raw = open(os.path.join(folder, "model.safetensors"), "rb").read()
    size = int.from_bytes(raw[:8], "little")
    w = {}
    for name, t in json.loads(raw[8 : 8 + size]).items():
        first, end = t["data_offsets"]
        x = np.frombuffer(raw[8 + size + first : 8 + size + end], dtype=np.float32).reshape(t["shape"])
        w[name] = torch.tensor(x.astype(np.float64)).requires_grad_()
    return w, k

def logits_of(w, k, x, drop):
    """x: ids [N,T]. drop(site, layer, shape): factors [N, *shape]."""
    C, H, (N, T) = k["n_embd"], k["n_head"], x.shape
    def norm(v, name):
        mean, var = v.mean(-1, keepdim=True), v.var(-1, keepdim=True, unbiased=False)
        y = (v - mean) / torch.sqrt(var + k["layer_norm_epsilon"]) * w[name + ".weight"]
        return y + w[name + ".bias"] if name + ".bias" in w else y
    def linear(v, name):
        y = v @ w[name + ".weight"]
        return y + w[name + ".bias"] if name + ".bias" in w else y
    def gelu(v):
        if k["activation_function"] == "gelu":
            return v * 0.5 * (1 + torch.erf(v / math.sqrt(2)))
        return v * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
    h = (w["transformer.wte.weight"][x] + w["transformer.wpe.weight"][:T]) * drop(EMBED, 0, (T, C))
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    for l in range(k["n_layer"]):
        p = f"transformer.h.{l}."
        q, key, v = (t.view(N, T, H, C // H).transpose(1, 2) for t in linear(norm(h, p + "ln_1"), p + "attn.c_attn").split(C, -1))
        a = torch.softmax((q @ key.mT / math.sqrt(C // H)).masked_fill(hidden, -math.inf), -1) * drop(ATTENTION, l, (H, T, T))
        h = h + linear((a @ v).transpose(1, 2).reshape(N, T, C), p + "attn.c_proj") * drop(ATTENTION_RESIDUAL, l, (T, C))
        m = linear(gelu(linear(norm(h, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
        h = h + m * drop(MLP_RESIDUAL, l, (T, C))
    return norm(h, "transformer.ln_f") @ w["transformer.wte.weight"].T

def loss_of(w, k, x, y, drop):
    """The sum over targets that count, and their number."""
    losses = torch.nn.functional.cross_entropy(logits_of(w, k, x, drop).flatten(0, 1), y.flatten(), ignore_index=-1, reduction="sum")
    return losses, int((y >= 0).sum())

def whole(site, layer, shape):
    return 1.0

# ---- data ----

def sequences(data, c, stream, step, first, count):
    """x, y of the sequences first .. first + count - 1 of a step."""
    T, n = c["block_size"], c["batch_size"] * c["gradient_accumulation_steps"]
    rows = []
    for i in range(first, first + count):
        if c["data_order"] == "sequential":
            at = (step * n + i) * T % len(data)
        else:
            a, b, _, _ = philox(c["seed"], step, i, BATCH << 16 | stream, 0)
            at = ((int(a) << 32 | int(b)) * (len(data) - T)) >> 64
        rows.append([int(data[(at + j) % len(data)]) for j in range(T + 1)])
    rows = torch.tensor(rows)
    y = rows[:, 1:].clone()
    y[y == c["ignore_token"]] = -1
    return rows[:, :-1], y

def evaluate(w, k, data, c, stream):
    """On eval_iters * batch_size sequences, taken an effective batch at a time; nothing is dropped."""
    left, n, step, total, count = c["eval_iters"] * c["batch_size"], c["batch_size"] * c["gradient_accumulation_steps"], 0, 0.0, 0
    with torch.no_grad():
        while left > 0:
            some = min(left, n)
            a, b = loss_of(w, k, *sequences(data, c, stream, step, 0, some), whole)
            total, count, left, step = total + a.item(), count + b, left - some, step + 1
    return total / count

# ---- training ----

def rate(c, it):
    if not c["decay_lr"]:
        return c["learning_rate"]
    if it < c["warmup_iters"]:
        return c["learning_rate"] * (it + 1) / (c["warmup_iters"] + 1)
    if it > c["lr_decay_iters"]:
        return c["min_lr"]
    part = (it - c["warmup_iters"]) / (c["lr_decay_iters"] - c["warmup_iters"])
    return c["min_lr"] + 0.5 * (1 + math.cos(math.pi * part)) * (c["learning_rate"] - c["min_lr"])

def train(name, c, data, val):
    w, k = load(os.path.join(HERE, "..", "..", c["init_from"]))
    n, lines = c["batch_size"] * c["gradient_accumulation_steps"], []
    groups = [dict(params=[t for t in w.values() if (t.dim() >= 2) == matrix], weight_decay=c["weight_decay"] * matrix) for matrix in (True, False)]
    opt = torch.optim.AdamW(groups, lr=1.0, betas=(c["beta1"], c["beta2"]), eps=1e-8)
    for it in range(c["max_iters"] + 1):
        if it % c["eval_interval"] == 0 or it == c["max_iters"]:
            lines.append(dict(iter=it, train_loss=evaluate(w, k, data, c, EVAL_TRAIN), val_loss=evaluate(w, k, val, c, EVAL_VAL)))
        if it == c["max_iters"]:
            break
        for g in opt.param_groups:
            g["lr"] = rate(c, it)
        drop = lambda site, layer, shape: kept(c["dropout"], c["seed"], it, n, site, layer, shape) if c["dropout"] else 1.0
        total, count = loss_of(w, k, *sequences(data, c, TRAIN, it, 0, n), drop)
        (total / count).backward()
        norm = torch.sqrt(sum((t.grad**2).sum() for t in w.values()))
        if c["grad_clip"]:
            torch.nn.utils.clip_grad_norm_(list(w.values()), c["grad_clip"])
        opt.step()
        opt.zero_grad()
        lines.append(dict(iter=it, loss=(total / count).item(), lr=rate(c, it), grad_norm=norm.item()))
    with open(os.path.join(OUT, name + ".jsonl"), "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    with open(os.path.join(OUT, name + ".py"), "w") as f:
        f.write(f"# {name}.py: settings of a golden run, written by make_runs.py\n")
        f.writelines(f"{key} = {value!r}\n" for key, value in c.items())
    print(f"{name}: loss {lines[1]['loss']:.4f}, at the end {lines[-1]['train_loss']:.4f}, {lines[-1]['val_loss']:.4f}")

COMMON = dict(dataset="tests/golden/runs", device="cpu", dtype="float64", gradient_accumulation_steps=3, log_interval=1,
              beta1=0.9, beta2=0.95, save_minutes=0)
RUNS = {
    # In order, ignored targets, a last micro-batch of one; warm-up, cosine and what comes after it; a norm that is clipped.
    "sequential": dict(init_from="tests/golden/tanh-bias", data_order="sequential", block_size=24, batch_size=3, micro_batch_size=4, recompute="none",
                       ignore_token=3, dropout=0.0, learning_rate=2e-3, min_lr=1e-4, warmup_iters=4, lr_decay_iters=12, decay_lr=True,
                       weight_decay=0.1, grad_clip=1.0, max_iters=15, eval_interval=5, eval_iters=4, seed=5),
    # At random, with dropout, for more steps than a mask may repeat after; no decay of weights; the norm clipped to next to nothing.
    "dropout": dict(init_from="tests/golden/tanh-bias", data_order="random", block_size=17, batch_size=2, micro_batch_size=5, recompute="block",
                    ignore_token=-1, dropout=0.2, learning_rate=1e-3, min_lr=1e-4, warmup_iters=0, lr_decay_iters=40, decay_lr=True,
                    weight_decay=0.0, grad_clip=1e-4, max_iters=20, eval_interval=10, eval_iters=2, seed=1337),
    # The other activation, no biases; a rate that stays; much decay; a norm that nothing clips.
    "plain": dict(init_from="tests/golden/erf-nobias", data_order="random", block_size=8, batch_size=5, micro_batch_size=15, recompute="attention",
                  ignore_token=1, dropout=0.1, learning_rate=3e-3, min_lr=1e-4, warmup_iters=10, lr_decay_iters=12, decay_lr=False,
                  weight_decay=0.5, grad_clip=0.0, max_iters=18, eval_interval=6, eval_iters=1, seed=2**40 + 3),
}

# ---- samples ----

def likeliest(w, k, start):
    text, margin = list(start), math.inf
    for _ in range(24):
        best = torch.topk(logits_of(w, k, torch.tensor([text[-k["n_positions"]:]]), whole)[0, -1], 2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        text.append(int(best.indices[0]))
    return text[len(start):], margin

def sample():
    """The text of 60 whose continuation has the most different ids, none of which is a close decision."""
    w, k = load(os.path.join(HERE, "erf-nobias"))
    r, found = np.random.default_rng(3), None
    with torch.no_grad():
        for start in r.integers(0, k["vocab_size"], (60, 3)).tolist():
            ids, margin = likeliest(w, k, start)
            if margin > 1e-3 and (found is None or len(set(ids)) > len(set(found[1]))):
                found = start, ids
        logits = logits_of(w, k, torch.tensor([found[0]]), whole)[0, -1]
    print(f"sample: {len(set(found[1]))} different ids")
    return dict(start=found[0], likeliest=found[1], logits=logits.tolist())

if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    r = np.random.default_rng(17)
    # Words with a rhythm, so that there is something to learn; val.bin has another one, so that its loss differs.
    data = ((np.arange(1500) * 7 + r.integers(0, 6, 1500)) % 61).astype(np.uint16)
    val = ((np.arange(700) * 5 + r.integers(0, 9, 700)) % 64).astype(np.uint16)
    data.tofile(os.path.join(OUT, "train.bin"))
    val.tofile(os.path.join(OUT, "val.bin"))
    for name, c in RUNS.items():
        train(name, dict(COMMON, **c), data, val)
    w, k = load(os.path.join(HERE, "tanh-bias"))
    c = dict(COMMON, data_order="random", block_size=24, batch_size=12, gradient_accumulation_steps=40, ignore_token=-1, eval_iters=3, seed=9)
    with open(os.path.join(OUT, "eval.json"), "w") as f:
        json.dump(dict(train_loss=evaluate(w, k, data, c, EVAL_TRAIN), val_loss=evaluate(w, k, val, c, EVAL_VAL)), f)
    with open(os.path.join(OUT, "sample.json"), "w") as f:
        json.dump(sample(), f)
