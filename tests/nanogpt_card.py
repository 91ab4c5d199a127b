#!/usr/bin/env python3
"""nanogpt_card.py: what PyTorch allocates and reserves for steps of a GPT written as nanoGPT writes it, beside what `snug plan
--for=nanogpt` says, as a table for docs/memory.md: sizes x micro-batch x precision x compile. Needs torch with a CUDA card;
with --device cpu it measures toy models by PyTorch's profiler, eager and in float32. tests/on_gpu.sh calls it."""
import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asking for a card must not open it before the forks below
import torch

import nanogpt_saved

SIZES = {
    "124M": dict(layers=12, heads=12, channels=768, length=1024, vocabulary=50304),
    "355M": dict(layers=24, heads=16, channels=1024, length=1024, vocabulary=50304),
    "774M": dict(layers=36, heads=20, channels=1280, length=1024, vocabulary=50304),
    "char": dict(layers=6, heads=6, channels=384, length=256, vocabulary=65),
    # for --device cpu
    "toy": dict(layers=2, heads=2, channels=64, length=48, vocabulary=1009),
    "deep": dict(layers=6, heads=4, channels=64, length=128, vocabulary=65),
    "wide": dict(layers=2, heads=2, channels=64, length=16, vocabulary=5003),
}
CUBLAS = 32 << 20  # bytes that the plan has for cuBLAS, which the CPU does not have


# ---- measuring ----


def on_card(o, compiled):
    trainer = nanogpt_saved.Trainer(o, compiled, "cuda")
    for _ in range(3):
        trainer.step()
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return dict(allocated=torch.cuda.max_memory_allocated(), reserved=torch.cuda.max_memory_reserved(),
                context=total - free - torch.cuda.memory_reserved())


def on_cpu(o, compiled):
    return dict(allocated=nanogpt_saved.peak(o) + CUBLAS, reserved=0, context=0)


def child(measure, o, compiled, pipe):
    try:
        pipe.send(measure(o, compiled))
    except torch.OutOfMemoryError if hasattr(torch, "OutOfMemoryError") else torch.cuda.OutOfMemoryError:
        pipe.send("out of memory")
    except Exception as problem:  # one cell of the table; the others go on
        pipe.send(f"{type(problem).__name__}: {problem}".splitlines()[0][:60].replace("|", "/"))


def in_a_process(measure, o, compiled):
    """Each in a process of its own, with an allocator that has seen nothing else."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=child, args=(measure, o, compiled, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return "ended"
    finally:
        process.join()


def planned(o, snug):
    options = dict(n_layer=o.layers, n_head=o.heads, n_embd=o.channels, block_size=o.length, vocab_size=o.vocabulary,
                   batch_size=o.batch, gradient_accumulation_steps=o.micro_batches, dtype=o.dtype, dropout=o.dropout, bias=bool(o.bias))
    command = [snug, "plan", "--for=nanogpt", "--json"] + [f"--{k}={v}" for k, v in options.items()]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.environ.get("SNUG_LIBRARIES", os.environ.get("LD_LIBRARY_PATH", ""))}
    return json.loads(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout)["nanogpt"]


# ---- the table ----


def beside(measured, there):
    return f"{measured:,} | {there:,} | {100 * (there / measured - 1):+.1f} %" if measured else f"| {there:,} |"


def row(name, o, compiled, measure, snug):
    plan, m = planned(o, snug), in_a_process(measure, o, compiled)
    settings = f"| {name} | {o.batch} x {o.micro_batches} | {o.dtype} | {'yes' if compiled else 'no'} |"
    if isinstance(m, str):
        return f"{settings} {m} | {plan['peak_allocated_bytes']:,} | | | {plan['peak_reserved_bytes']:,} | | |", None
    allocated, reserved = plan["peak_allocated_bytes"], plan["peak_reserved_bytes"]
    error = allocated / m["allocated"] - 1
    return f"{settings} {beside(m['allocated'], allocated)} | {beside(m['reserved'], reserved)} | {m['context'] >> 20} |", error


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--snug", default="build/snug")
    p.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    for name, value in dict(sizes="124M,355M", micro="16,8,4", micro_batches="2", precision="bfloat16,float32", compile="0").items():
        p.add_argument("--" + name, default=value)
    p.add_argument("--bias", type=int, default=0)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--flash", type=int, default=1)
    p.add_argument("--seconds", type=float, default=1e9, help="begin no other row after so many")
    a = p.parse_args()
    began, worst = time.time(), 0
    print(f"PyTorch {torch.__version__}, {a.device}: bytes measured, planned, and how far the plan is off\n")
    print("| model | split | dtype | compile | allocated | planned | off | reserved | planned | off | context, MiB |")
    print("|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    cells = [(c, s, d, m, b) for c in a.compile.split(",") for s in a.sizes.split(",") for d in a.precision.split(",")
             for m in a.micro_batches.split(",") for b in a.micro.split(",")]
    for compiled, size, dtype, micro_batches, batch in cells:
        if time.time() - began > a.seconds:
            print(f"| {size} | {batch} x {micro_batches} | {dtype} | {compiled} | left out: no time | | | | | | |", flush=True)
            continue
        o = argparse.Namespace(**SIZES[size], batch=int(batch), micro_batches=int(micro_batches), dtype=dtype, bias=a.bias,
                               dropout=a.dropout, flash=a.flash)
        line, error = row(size, o, compiled == "1", on_card if a.device == "cuda" else on_cpu, a.snug)
        print(line, flush=True)
        if error is not None and compiled == "0":
            worst = max(worst, abs(error))
    print(f"\nnot compiled, allocated is off by {100 * worst:.1f} % at most")
    sys.exit(worst > 0.03)


if __name__ == "__main__":
    main()
