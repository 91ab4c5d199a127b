#!/usr/bin/env python3
"""nanogpt_saved.py: what PyTorch's autograd keeps for the backward pass of a GPT written as nanoGPT writes it, by module, in
bytes. Runs on the CPU with saved-tensor hooks and prints tests/golden/nanogpt_saved.txt, with which tests compare `snug plan
--for=nanogpt`. Where CUDA's autocast or CUDA's kernels treat an op otherwise than the CPU's, the model below asks for what
CUDA does, and a comment says so. Needs torch; the model is also what tests/nanogpt_card.py runs on a card."""
import argparse
import collections
import gc
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Dropout(nn.Module):
    """CUDA's dropout keeps a mask of one byte an element; the CPU's keeps one of the input's own type."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.native_dropout(x, self.p, True)[0] if self.p else x


class LayerNorm(nn.Module):
    def __init__(self, channels, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.heads, self.flash, self.p = o.heads, o.flash, o.dropout
        self.c_attn = nn.Linear(o.channels, 3 * o.channels, bias=o.bias)
        self.c_proj = nn.Linear(o.channels, o.channels, bias=o.bias)
        self.attn_dropout, self.resid_dropout = Dropout(o.dropout), Dropout(o.dropout)
        if not o.flash:
            self.register_buffer("mask", torch.ones(o.length, o.length).tril().view(1, 1, o.length, o.length))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
        if self.flash:
            # CUDA's flash and memory-efficient kernels keep a seed in the place of a mask; the CPU's would fall back to
            # writing all scores. So dropout inside is given to CUDA alone.
            p = self.p if x.is_cuda else 0.0
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=p, is_causal=True)
        else:
            a = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            a = a.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
            a = F.softmax(a, dim=-1, dtype=torch.float32)  # what CUDA's autocast makes of softmax
            y = self.attn_dropout(a) @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))


class MLP(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.c_fc = nn.Linear(o.channels, 4 * o.channels, bias=o.bias)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * o.channels, o.channels, bias=o.bias)
        self.dropout = Dropout(o.dropout)

    def forward(self, x):
        return self.dropout(self.c_proj(self.gelu(self.c_fc(x))))


class Block(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.ln_1, self.attn = LayerNorm(o.channels, o.bias), Attention(o)
        self.ln_2, self.mlp = LayerNorm(o.channels, o.bias), MLP(o)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Loss(nn.Module):
    """Cross entropy, which CUDA's autocast computes in float32."""

    def forward(self, logits, targets):
        logits = logits.view(-1, logits.size(-1))
        return F.nll_loss(F.log_softmax(logits, dim=-1, dtype=torch.float32), targets.view(-1), ignore_index=-1)


class GPT(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(o.vocabulary, o.channels), nn.Embedding(o.length, o.channels)
        self.drop = Dropout(o.dropout)
        self.h = nn.ModuleList(Block(o) for _ in range(o.layers))
        self.ln_f = LayerNorm(o.channels, o.bias)
        self.lm_head = nn.Linear(o.channels, o.vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight
        self.loss = Loss()

    def forward(self, tokens, targets):
        positions = torch.arange(tokens.size(1), device=tokens.device)
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return logits, self.loss(logits, targets)


# ---- what is kept ----

MODULES = "wte wpe drop ln_1 c_attn attention attn_dropout c_proj resid_dropout ln_2 c_fc gelu mlp_c_proj mlp_dropout ln_f lm_head loss".split()


def module_name(path):
    last = path.split(".")[-1]
    if path.endswith("mlp.c_proj"):
        return "mlp_c_proj"
    if path.endswith("mlp.dropout"):
        return "mlp_dropout"
    return "attention" if last == "attn" else last


def kept(o):
    """Bytes that the backward pass needs of the forward pass, by module; "copies" are autocast's of the weights. What two
    modules keep (attention's output and its projection's input) is counted once, for the first of them."""
    torch.manual_seed(1)
    model = GPT(o)
    ours = {t.untyped_storage().data_ptr() for t in list(model.parameters()) + list(model.buffers())}
    stack, alive, bytes_of = [], {}, collections.Counter()
    for path, module in model.named_modules():
        name = module_name(path) if path else ""
        if name in MODULES:
            module.register_forward_pre_hook(lambda m, args, name=name: stack.append((name, m)))
            module.register_forward_hook(lambda m, args, out: stack.pop() and None)

    def pack(t):
        storage = t.untyped_storage()
        name, module = stack[-1] if stack else ("", None)
        if t.dim() and storage.data_ptr() not in ours and storage.data_ptr() not in alive:
            weight = getattr(module, "weight", None)
            copy = isinstance(module, nn.Linear) and tuple(t.shape) in (tuple(weight.shape), tuple(weight.shape[::-1]))
            bytes_of["copies" if copy else name] += storage.nbytes()
            alive[storage.data_ptr()] = t  # so that no other tensor gets this address
        return t

    tokens = torch.randint(o.vocabulary, (o.batch, o.length))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        with torch.autocast("cpu", torch.bfloat16, enabled=o.dtype == "bfloat16"):
            _, loss = model(tokens, tokens.clone())
    loss.backward()
    return bytes_of


# ---- the peak of a step ----


class Trainer:
    """The loop of nanoGPT's train.py: two micro-batches or one; `logits` stays until the next forward pass returns."""

    def __init__(self, o, compiled, device):
        torch.manual_seed(1)
        self.o, self.device = o, device
        self.model = GPT(o).to(device)
        self.run = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.logits, self.batch = None, self.draw()

    def draw(self):
        shape = (self.o.batch, self.o.length)
        return tuple(torch.randint(self.o.vocabulary, shape).to(self.device) for _ in range(2))

    def step(self):
        for _ in range(self.o.micro_batches):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.o.dtype == "bfloat16"):
                self.logits, loss = self.run(*self.batch)
                loss = loss / self.o.micro_batches
            self.batch = self.draw()
            loss.backward()
            del loss
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def peak(o):
    """The most bytes that are alive at once on the CPU, in eager mode, from making the model to the end of the second step, by
    the profiler's record of allocations. The first step makes the moments; so the peak is the second's."""
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        trainer = Trainer(o, False, "cpu")
        trainer.step()
        trainer.step()
    changes, nodes = [], list(profile.profiler.kineto_results.experimental_event_tree())
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if "Allocation" in str(node.tag):
            changes.append((node.start_time_ns, node.extra_fields.alloc_size))
    alive = most = 0
    for _, change in sorted(changes, key=lambda c: c[0]):
        alive += change
        most = max(most, alive)
    return most


# ---- shapes ----

FIELDS = "batch length layers heads channels vocabulary bias dropout flash dtype".split()


def shapes():
    """Each setting in turn, both precisions, and mixtures. No batch x length is a layer's width: kept() tells weights by
    their shapes."""
    plain = dict(batch=2, length=48, layers=2, heads=2, channels=64, vocabulary=101, bias=0, dropout=0.0, flash=1)
    changes = [{}, {"batch": 5}, {"batch": 1}, {"length": 80}, {"layers": 5}, {"heads": 8}, {"channels": 80, "heads": 5},
               {"vocabulary": 1009}, {"bias": 1}, {"dropout": 0.2}, {"flash": 0}, {"flash": 0, "dropout": 0.2},
               {"flash": 0, "bias": 1, "length": 160, "batch": 3}, {"bias": 1, "dropout": 0.1, "layers": 3, "vocabulary": 257},
               {"batch": 4, "length": 112, "layers": 4, "heads": 4, "channels": 128, "vocabulary": 5003},
               {"batch": 2, "length": 1024, "layers": 1, "heads": 12, "channels": 768, "vocabulary": 50304},
               {"batch": 12, "length": 64, "layers": 4, "heads": 8, "channels": 144, "vocabulary": 65},
               {"batch": 7, "length": 32, "layers": 3, "heads": 4, "channels": 32, "vocabulary": 509, "dropout": 0.5, "bias": 1}]
    for change in changes:
        for dtype in ("float32", "bfloat16"):
            yield argparse.Namespace(**{**plain, **change, "dtype": dtype})


def steps():
    """Runs whose fullest moment is in the loss, in a layer's MLP or attention, or among the last gradients."""
    plain = dict(batch=2, length=48, layers=2, heads=2, channels=64, vocabulary=65, bias=0, dropout=0.0, flash=1, dtype="float32")
    changes = [{}, {"vocabulary": 5003}, {"vocabulary": 1009, "batch": 5}, {"layers": 6, "batch": 1, "length": 16}, {"length": 16, "batch": 3, "vocabulary": 5003}, {"length": 128, "batch": 6},
               {"length": 256, "channels": 96, "heads": 6, "layers": 3, "batch": 4}, {"length": 256, "dropout": 0.2, "batch": 4},
               {"length": 256, "flash": 0}, {"length": 256, "flash": 0, "heads": 4, "dropout": 0.2}]
    for change in changes:
        for micro_batches in 1, 2:
            yield argparse.Namespace(**{**plain, **change, "micro_batches": micro_batches})


def print_table(note, columns, rows):
    print(f"# made by nanogpt_saved.py with PyTorch {torch.__version__.split('+')[0]}: {note}")
    print(" ".join(FIELDS + columns))
    for o, bytes_of in rows:
        print(" ".join(str(getattr(o, f)) for f in FIELDS), " ".join(map(str, bytes_of)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--peaks", action="store_true", help="print tests/golden/nanogpt_peaks.txt instead: the peaks of whole steps")
    if p.parse_args().peaks:
        rows = ((o, [o.micro_batches, peak(o)]) for o in steps())
        print_table("the most bytes alive in a step", ["micro_batches", "peak"], rows)
    else:
        rows = ((o, kept(o)) for o in shapes())
        print_table("bytes that autograd keeps, by module", ["copies"] + MODULES, ((o, [b[m] for m in ["copies"] + MODULES]) for o, b in rows))


if __name__ == "__main__":
    main()
