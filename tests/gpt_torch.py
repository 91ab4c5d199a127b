#!/usr/bin/env python3
"""gpt_torch.py: GPT-2 training steps in PyTorch, to put snug's figures beside: tokens/s and peak bytes of the same config
at the same effective batch, by precision and micro-batch. Not part of snug; needs torch with a GPU (or --device cpu)."""
import argparse
import json
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Norm(nn.Module):
    def __init__(self, channels, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    length = q.shape[-2]  # before PyTorch 2
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
    return F.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1) @ v


class Block(nn.Module):
    def __init__(self, channels, heads, bias):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = Norm(channels, bias), Norm(channels, bias)
        self.qkv, self.out = nn.Linear(channels, 3 * channels, bias), nn.Linear(channels, channels, bias)
        self.up, self.down = nn.Linear(channels, 4 * channels, bias), nn.Linear(4 * channels, channels, bias)

    def forward(self, x):
        batch, length, channels = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, channels // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        a = attention(q, k, v)
        x = x + self.out(a.transpose(1, 2).reshape(batch, length, channels))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, layers, heads, channels, positions, vocabulary, bias):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, channels), nn.Embedding(positions, channels)
        self.blocks = nn.ModuleList(Block(channels, heads, bias) for _ in range(layers))
        self.norm = Norm(channels, bias)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, x, y):
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h = block(h)
        logits = F.linear(self.norm(h), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def measure(o, micro_batch, precision, compiled):
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    model = GPT(o.layers, o.heads, o.channels, o.length, o.vocabulary, o.bias > 0).to(o.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **({"fused": True} if o.device == "cuda" else {}))
    run = torch.compile(model) if compiled else model
    x = torch.randint(o.vocabulary, (o.batch, o.length), device=o.device)
    cuda = o.device == "cuda"
    times = []
    for step in range(o.steps + o.warm_up):
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        for first in range(0, o.batch, micro_batch):
            part = x[first : first + micro_batch]
            with torch.autocast(o.device, torch.bfloat16, enabled=precision == "bf16"):
                loss = run(part, part) * (len(part) / o.batch)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        if step >= o.warm_up:
            times.append(time.perf_counter() - start)
    median = sorted(times)[len(times) // 2]
    return {
        "micro_batch": micro_batch,
        "precision": precision,
        "compile": compiled,
        "ms": round(1e3 * median, 1),
        "tokens_per_s": round(o.batch * o.length / median),
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else 0,
    }


def main():
    p = argparse.ArgumentParser(description=__doc__)
    for name, value in dict(layers=12, heads=12, channels=768, length=1024, vocabulary=50304, batch=16, bias=1, steps=7, warm_up=3).items():
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--device", default="cuda")
    p.add_argument("--micro", default="16,8,4,2")
    p.add_argument("--precision", default="float32,tf32,bf16")
    p.add_argument("--compile", default="0,1")
    p.add_argument("--own_threads", action="store_true", help="CPU: as many threads as PyTorch takes by itself")
    o = p.parse_args()
    if o.device == "cpu" and not o.own_threads:  # some builds take one by themselves, whatever the machine has
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    name = torch.cuda.get_device_name() if o.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(json.dumps({"torch": torch.__version__, "device": name}), flush=True)
    for compiled in o.compile.split(","):
        for precision in o.precision.split(","):
            for micro_batch in map(int, o.micro.split(",")):
                try:
                    print(json.dumps(measure(o, micro_batch, precision, compiled == "1")), flush=True)
                except torch.cuda.OutOfMemoryError:
                    print(json.dumps({"micro_batch": micro_batch, "precision": precision, "out_of_memory": True}))


if __name__ == "__main__":
    main()
