#!/usr/bin/env python3
"""Turns nanoGPT's ckpt.pt into a run folder of snug, and a checkpoint of snug into a ckpt.pt. Needs torch and safetensors.

    python3 data/nanogpt_ckpt.py out/ckpt.pt out-snug              then: snug train --init_from=resume --out_dir=out-snug
    python3 data/nanogpt_ckpt.py out-snug/latest out/ckpt.pt       then: nanoGPT's train.py --init_from=resume

Weights, AdamW's moments and the step number go both ways, bit for bit; which batch comes next does not: the two
programs draw them differently. Without the optimizer's state the folder holds a model to start from (--init_from=DIR).
"""
import hashlib
import json
import os
import sys

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    sys.exit(f"nanogpt_ckpt: {missing}; pip install torch safetensors numpy")

TURNED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")  # nanoGPT: [out, in]


def stop(text):
    sys.exit(f"nanogpt_ckpt: {text}")


def turn(name, t):
    return t.t().contiguous() if name.endswith(TURNED) else t.contiguous()


def zero_biases(weights):
    """A model without biases, as transformers wants it: with biases of zero."""
    out = {}
    for name, t in weights.items():
        out[name] = t
        if name.endswith(".weight") and not name.endswith(("wte.weight", "wpe.weight")):
            out[name[: -len("weight")] + "bias"] = torch.zeros(t.shape[-1], dtype=t.dtype)
    return out


# ---- nanoGPT's way of numbering parameters for its optimizer: matrices first, then the rest, each in the model's order


def parameter_order(weights):
    names = list(weights)
    return [n for n in names if weights[n].dim() >= 2], [n for n in names if weights[n].dim() < 2]


def read_pt(path):
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # pickle's errors are of many kinds
        stop(f"{path}: torch.load refuses it: {str(e).splitlines()[0]}")
    if not isinstance(saved, dict) or "model" not in saved or "model_args" not in saved:
        stop(f"{path}: has no 'model' and 'model_args': it is no ckpt.pt of nanoGPT")
    weights = {}
    for name, t in saved["model"].items():
        name = name.removeprefix("_orig_mod.")  # torch.compile's
        if name != "lm_head.weight" and not name.endswith((".attn.bias", ".attn.masked_bias")):
            weights[name] = t.float()
    # named_parameters' order: as in the state dict
    return saved, weights


def read_moments(path, saved, weights):
    """{name: (step, m, v)} for all parameters, or None."""
    state = saved.get("optimizer", {}).get("state", {})
    order = [n for part in parameter_order(weights) for n in part]
    if not state:
        return None
    if sorted(state) != list(range(len(order))):
        stop(f"{path}: the optimizer has {len(state)} parameters, the model {len(order)}")
    moments = {}
    for i, name in enumerate(order):
        m, v = state[i]["exp_avg"].float(), state[i]["exp_avg_sq"].float()
        if m.shape != weights[name].shape:
            stop(f"{path}: the optimizer's parameter {i} is not {name}")
        moments[name] = (int(state[i]["step"]), m, v)
    return moments


def config_json(a):
    special = 50256 if a["vocab_size"] > 50256 else None
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": a["n_layer"], "n_head": a["n_head"],
            "n_embd": a["n_embd"], "n_positions": a["block_size"], "n_ctx": a["block_size"], "n_inner": None,
            "vocab_size": a["vocab_size"], "activation_function": "gelu", "bias": bool(a["bias"]),
            "layer_norm_epsilon": 1e-5, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
            "bos_token_id": special, "eos_token_id": special, "tie_word_embeddings": True, "torch_dtype": "float32"}


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while part := f.read(1 << 20):
            h.update(part)
    return h.hexdigest()


def write_state(folder, step, best, files):
    """state.json as snug reads it: its last key is the hash of all text before it."""
    best = best if isinstance(best, float) and abs(best) < 1e9 else None
    text = json.dumps({"format": 1, "iter": step, "serial": 1, "val_loss": None, "best_val_loss": best,
                       "device": "nanoGPT", "build": "nanoGPT", "gemm": "default", "config": {},
                       "files": {name: sha256(os.path.join(folder, name)) for name in files}}, indent=1)
    text = text[: text.rindex("\n}")]
    with open(os.path.join(folder, "state.json"), "w") as f:
        f.write(f'{text},\n "checksum": "{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n')


def to_snug(path, out):
    saved, weights = read_pt(path)
    moments = read_moments(path, saved, weights)
    a = dict(saved["model_args"])
    a.setdefault("bias", any(n.endswith(".bias") for n in weights))  # checkpoints from before there was the choice
    step = int(saved.get("iter_num", 0))
    if moments:
        done = {s for s, _, _ in moments.values()}
        if len(done) != 1:
            stop(f"{path}: the optimizer's parameters have taken different numbers of steps")
        step = done.pop()  # AdamW's count decides its bias correction
    if os.path.lexists(os.path.join(out, "latest")) or (os.path.isdir(out) and any(n.startswith("ckpt-") for n in os.listdir(out))):
        stop(f"{out}: holds a run; name another folder, or delete that one")
    folder = os.path.join(out, f"ckpt-{step:06d}") if moments else out
    os.makedirs(folder, exist_ok=True)
    turned = {n: turn(n, t) for n, t in weights.items()}
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config_json(a), f, indent=1)
    save_file(turned if a["bias"] else zero_biases(turned), os.path.join(folder, "model.safetensors"), {"format": "pt"})
    if moments:
        both = {f"m.{n}": turn(n, m) for n, (_, m, _) in moments.items()}
        both |= {f"v.{n}": turn(n, v) for n, (_, _, v) in moments.items()}
        save_file(both, os.path.join(folder, "optimizer.safetensors"), {"format": "pt"})
        best = saved.get("best_val_loss")
        write_state(folder, step, float(best) if best is not None else None,
                    ["config.json", "model.safetensors", "optimizer.safetensors"])
        link = os.path.join(out, "latest")
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(os.path.basename(folder), link)
    print(f"{folder}: {sum(t.numel() for t in weights.values()):,} parameters, step {step}"
          + (", with the optimizer's state" if moments else ", without the optimizer's state"))


def to_nanogpt(folder, path):
    try:
        with open(os.path.join(folder, "config.json")) as f:
            c = json.load(f)
        there = load_file(os.path.join(folder, "model.safetensors"))
    except (OSError, ValueError) as e:
        stop(f"{folder}: {e}")
    if c.get("activation_function") != "gelu":
        stop(f"{folder}: activation_function is {c.get('activation_function')!r}; nanoGPT computes the exact gelu only")
    bias = c.get("bias", True)
    a = {"n_layer": c["n_layer"], "n_head": c["n_head"], "n_embd": c["n_embd"], "block_size": c["n_positions"],
         "bias": bias, "vocab_size": c["vocab_size"], "dropout": 0.0}
    names = ["transformer.wte.weight", "transformer.wpe.weight"]  # in the order of nanoGPT's modules
    for i in range(a["n_layer"]):
        for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
            names += [f"transformer.h.{i}.{part}.{kind}" for kind in (("weight", "bias") if bias else ("weight",))]
    names += ["transformer.ln_f." + kind for kind in (("weight", "bias") if bias else ("weight",))]
    weights = {n: turn(n, there[n]).float() for n in names}
    saved = {"model": weights | {"lm_head.weight": weights["transformer.wte.weight"]}, "model_args": a, "config": a,
             "iter_num": 0, "best_val_loss": torch.tensor(1e9)}
    if os.path.exists(os.path.join(folder, "state.json")):
        with open(os.path.join(folder, "state.json")) as f:
            state = json.load(f)
        saved["iter_num"] = state["iter"]
        if state["best_val_loss"] is not None:
            saved["best_val_loss"] = torch.tensor(state["best_val_loss"])
        saved["optimizer"] = optimizer_of(folder, weights, state)
    torch.save(saved, path)
    print(f"{path}: {sum(t.numel() for t in weights.values()):,} parameters, step {saved['iter_num']}"
          + (", with the optimizer's state" if "optimizer" in saved else ", without the optimizer's state"))


def optimizer_of(folder, weights, state):
    moments = load_file(os.path.join(folder, "optimizer.safetensors"))
    matrices, others = parameter_order(weights)
    own = state["config"]
    settings = {"lr": float(own.get("learning_rate", 6e-4)), "betas": (float(own.get("beta1", 0.9)), float(own.get("beta2", 0.95))),
                "eps": 1e-8}
    probe = torch.optim.AdamW([{"params": [torch.zeros(1)]}], **settings).state_dict()["param_groups"][0]
    decay = float(own.get("weight_decay", 0.1))
    groups = [probe | {"weight_decay": decay, "params": list(range(len(matrices)))},
              probe | {"weight_decay": 0.0, "params": list(range(len(matrices), len(weights)))}]
    values = {i: {"step": torch.tensor(float(state["iter"])), "exp_avg": turn(n, moments["m." + n]).float(),
                  "exp_avg_sq": turn(n, moments["v." + n]).float()} for i, n in enumerate(matrices + others)}
    return {"state": values, "param_groups": groups}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    (to_nanogpt if os.path.isdir(sys.argv[1]) else to_snug)(sys.argv[1], sys.argv[2])
