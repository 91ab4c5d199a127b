#!/usr/bin/env python3
"""Our checkpoints in Hugging Face `transformers` and the other way round, nanoGPT's train.bin and ckpt.pt both ways, and
what `gguf` (llama.cpp's Python package) makes of our folders.

usage: interop_models.py [path of snug [device]]      What is not installed is skipped with a notice.
"""
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from safetensors.numpy import load_file, save_file
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    import tokenizers
    import transformers
except ImportError as e:
    print(f"SKIPPED interop_models: {e} (pip install torch transformers tokenizers safetensors numpy gguf)")
    sys.exit(77)

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))
SNUG = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "build", "snug")
DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cpu"
CONVERT = os.path.join(HERE, "..", "data", "nanogpt_ckpt.py")
TO_GGUF = os.path.join(HERE, "..", "data", "to_gguf.py")
SMALL = ["--n_layer=2", "--n_head=3", "--n_embd=24", "--block_size=20", "--batch_size=4", "--gradient_accumulation_steps=2",
         "--warmup_iters=0", "--decay_lr=False", "--learning_rate=3e-3", "--eval_interval=1000", "--eval_iters=1",
         "--save_minutes=0"]


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL  {what}")
    print(f"ok    {what}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAIL  {' '.join(command)}\n{done.stdout[-1000:]}\n{done.stderr}")
    return done.stdout


def snug(command, *arguments, device=None):
    return run(SNUG, command, *arguments, *([] if command == "prepare" else [f"--device={device or DEVICE}"]))


def distance(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def make_text(characters=60000):
    """Few words, so that a model learns them in a few steps; letters of several scripts."""
    r = random.Random(5)
    words = ["snug", "trains", "in", "a", "cap", "über", "größe", "слово", "文字", "don't", "42", "🙂", "né"]
    out = []
    while sum(map(len, out)) < characters:
        out.append(r.choice(words) + r.choice([" ", " ", ", ", "\n"]))
    return "".join(out)


# ---- transformers


def our_logits(folder, x, work, *options):
    save_file({"x": x.astype(np.int32)}, os.path.join(work, "x.safetensors"))
    snug("logits", folder, f"--batch={work}/x.safetensors", f"--out={work}/l.safetensors", *options)
    return load_file(os.path.join(work, "l.safetensors"))["logits"]


def their_logits(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x.astype(np.int64))).logits.numpy()


def compare_logits(what, folder, x, work):
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    worst = np.abs(our_logits(folder, x, work) - their_logits(model, x)).max()
    check(worst < 1e-4, f"{what}: logits differ from transformers' by at most {worst:.1e}, over {x.size} positions")
    if DEVICE == "cpu":
        double = np.abs(our_logits(folder, x, work, "--dtype=float64") - their_logits(model.double(), x)).max()
        check(double < 1e-10, f"{what}: in float64 by at most {double:.1e}")
    return model.float()


def compare_generation(what, folder, model):
    """Greedy, so that both write the same text."""
    t = AutoTokenizer.from_pretrained(folder)
    start = "snug trains"
    ids = t(start, return_tensors="pt", add_special_tokens=False)["input_ids"]
    theirs = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0,
                            eos_token_id=None)
    ours = snug("sample", folder, f"--start={start}", "--num_samples=1", "--max_new_tokens=8", "--temperature=0")
    ours = ours[: ours.index("\n---------------")]
    theirs = t.decode(theirs[0])
    check(ours == theirs, f"{what}: transformers generates {theirs!r}, as we do")
    text = "don't 42 größe, слово"
    check(t.decode(t(text, add_special_tokens=False)["input_ids"]) == text, f"{what}: AutoTokenizer reads and writes it")


def check_ours_in_theirs(work):
    cases = [("char", ["--bias=False"]), ("byte", ["--bias=True", "--activation=gelu_tanh"]), ("bpe:300", ["--bias=True"])]
    for tokenizer, options in cases:
        name = tokenizer.replace(":", "-")
        data, out = os.path.join(work, f"data-{name}"), os.path.join(work, f"out-{name}")
        snug("prepare", os.path.join(work, "text.txt"), f"--out={data}", f"--tokenizer={tokenizer}")
        snug("train", *SMALL, *options, f"--dataset={data}", f"--out_dir={out}", "--max_iters=60")
        folder = os.path.join(out, "latest")
        with open(os.path.join(folder, "config.json")) as f:
            vocabulary = json.load(f)["vocab_size"]
        x = np.random.default_rng(1).integers(0, vocabulary, (3, 20))
        model = compare_logits(f"ours, {tokenizer}", folder, x, work)
        compare_generation(f"ours, {tokenizer}", folder, model)


def their_checkpoint(work, text):
    """A GPT-2 as transformers writes one, with a tokenizer as `tokenizers` learns one."""
    folder = os.path.join(work, "theirs")
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    t.train_from_iterator([text], tokenizers.trainers.BpeTrainer(
        vocab_size=350, show_progress=False, special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(3)
    shape = GPT2Config(vocab_size=t.get_vocab_size(), n_positions=32, n_embd=24, n_layer=2, n_head=3)
    model = GPT2LMHeadModel(shape)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    model.save_pretrained(folder)
    return folder, model.eval()


def check_names(work, folder, model, x):
    """One model under the names that others save it under: the same logits to the last bit."""
    plain, config = our_logits(folder, x, work), json.loads(Path(folder, "config.json").read_text())
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    tied = {n: t for n, t in tensors.items() if n != "transformer.wte.weight"} | {"lm_head.weight": tensors["transformer.wte.weight"]}
    ways = {f"with {p}": {p + n: t for n, t in tensors.items()} for p in ("_orig_mod.", "module.", "model.", "module._orig_mod.")}
    ways |= {"without transformer.": {n.removeprefix("transformer."): t for n, t in tensors.items()}, "with lm_head alone": tied,
             "with another head": tensors | {"score.weight": np.zeros((2, 24), np.float32)}}
    for what, renamed in ways.items():
        out = os.path.join(work, "names")
        os.makedirs(out, exist_ok=True)
        Path(out, "config.json").write_text(json.dumps(config))
        save_file(renamed, os.path.join(out, "model.safetensors"))
        check(np.array_equal(plain, our_logits(out, x, work)), f"theirs, {what}: the same logits")
    shards = os.path.join(work, "shards")
    model.save_pretrained(shards, max_shard_size="30KB")
    n = len([f for f in os.listdir(shards) if f.endswith(".safetensors")])
    check(n > 2 and np.array_equal(plain, our_logits(shards, x, work)), f"theirs, in {n} files: the same logits")
    other = os.path.join(work, "classifier")
    transformers.GPT2ForSequenceClassification.from_pretrained(folder).save_pretrained(other)
    check(np.array_equal(plain, our_logits(other, x, work)), "theirs, as a GPT2ForSequenceClassification: the same logits")


def check_theirs_in_ours(work, text):
    folder, model = their_checkpoint(work, text)
    r = np.random.default_rng(2)
    check_names(work, folder, model, r.integers(0, model.config.vocab_size, (2, 17)))
    x, y = r.integers(0, model.config.vocab_size, (3, 17)), r.integers(0, model.config.vocab_size, (3, 17))
    y[0, 5:9] = -1
    compare_logits("theirs", folder, x, work)
    save_file({"x": x.astype(np.int32), "y": y.astype(np.int32)}, os.path.join(work, "b.safetensors"))
    said = snug("grads", folder, f"--batch={work}/b.safetensors", f"--out={work}/g.safetensors")
    logits = model(torch.from_numpy(x)).logits
    loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y).flatten(), ignore_index=-1)
    loss.backward()
    check(abs(float(said.split()[1]) - loss.item()) < 1e-5, f"theirs: loss {said.split()[1]}, transformers' {loss.item()}")
    ours = load_file(os.path.join(work, "g.safetensors"))
    worst = max((distance(ours[n], p.grad), n) for n, p in model.named_parameters())
    check(worst[0] < 1e-5, f"theirs: gradients differ by at most {worst[0]:.1e} ({worst[1]})")
    data, out = os.path.join(work, "data-theirs"), os.path.join(work, "out-theirs")
    snug("prepare", os.path.join(work, "text.txt"), f"--out={data}", f"--tokenizer={folder}")
    os.remove(os.path.join(data, "tokenizer.json"))  # as nanoGPT's data: the checkpoint's own tokenizer goes along
    said = snug("train", *SMALL[4:], f"--init_from={folder}", "--block_size=20", f"--dataset={data}", f"--out_dir={out}",
                "--max_iters=40")
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in said.splitlines() if line.startswith("iter")]
    check(len(losses) == 40 and losses[-1] < losses[0] - 1, f"theirs: trains here, loss {losses[0]} to {losses[-1]}")
    model = compare_logits("theirs, trained here", os.path.join(out, "latest"), x, work)
    compare_generation("theirs, trained here", os.path.join(out, "latest"), model)


# ---- nanoGPT


def nanogpt_data(folder, text):
    """What data/shakespeare_char/prepare.py of nanoGPT writes: ids in train.bin and val.bin, and a pickle beside them."""
    os.makedirs(folder)
    letters = sorted(set(text))
    ids = np.array([letters.index(c) for c in text], np.uint16)
    cut = int(len(ids) * 0.9)
    ids[:cut].tofile(os.path.join(folder, "train.bin"))
    ids[cut:].tofile(os.path.join(folder, "val.bin"))
    with open(os.path.join(folder, "meta.pkl"), "wb") as f:
        pickle.dump({"vocab_size": len(letters), "itos": dict(enumerate(letters))}, f)
    return len(letters), ids[:cut]


def nanogpt_loss(w, a, x, y):
    """nanoGPT's forward pass on a state dict: linear weights [out, in], exact GELU, tied head."""
    def norm(h, name):
        return F.layer_norm(h, h.shape[-1:], w[name + ".weight"], w.get(name + ".bias"), 1e-5)

    def linear(h, name):
        return F.linear(h, w[name + ".weight"], w.get(name + ".bias"))

    b, t = x.shape
    h = w["transformer.wte.weight"][x] + w["transformer.wpe.weight"][:t]
    for i in range(a["n_layer"]):
        block = f"transformer.h.{i}."
        parts = linear(norm(h, block + "ln_1"), block + "attn.c_attn").view(b, t, 3, a["n_head"], -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).reshape(b, t, -1)
        h = h + linear(mixed, block + "attn.c_proj")
        h = h + linear(F.gelu(linear(norm(h, block + "ln_2"), block + "mlp.c_fc")), block + "mlp.c_proj")
    logits = F.linear(norm(h, "transformer.ln_f"), w["transformer.wte.weight"])
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def nanogpt_weights(a):
    torch.manual_seed(4)
    c, w = a["n_embd"], {}

    def add(name, *shape, kind="matrix"):
        if kind == "bias" and not a["bias"]:
            return
        t = 0.05 * torch.randn(shape) + (1 if kind == "norm" else 0)
        w[name] = t.requires_grad_()

    add("transformer.wte.weight", a["vocab_size"], c)
    add("transformer.wpe.weight", a["block_size"], c)
    for i in range(a["n_layer"]):
        for name, out, into in (("ln_1", c, 0), ("attn.c_attn", 3 * c, c), ("attn.c_proj", c, c), ("ln_2", c, 0),
                                ("mlp.c_fc", 4 * c, c), ("mlp.c_proj", c, 4 * c)):
            block = f"transformer.h.{i}.{name}"
            add(block + ".weight", *((out, into) if into else (out,)), kind="matrix" if into else "norm")
            add(block + ".bias", out, kind="bias")
    add("transformer.ln_f.weight", c, kind="norm")
    add("transformer.ln_f.bias", c, kind="bias")
    return w


def nanogpt_optimizer(w):
    matrices, others = [p for p in w.values() if p.dim() >= 2], [p for p in w.values() if p.dim() < 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                             lr=3e-3, betas=(0.9, 0.95))


def nanogpt_steps(w, a, optimizer, ids, first, steps):
    """snug's data_order=sequential: sequence i of step s starts at (s * N + i) * T."""
    n, t = 8, a["block_size"]
    for s in range(first, first + steps):
        starts = [(s * n + i) * t for i in range(n)]
        x = torch.from_numpy(np.stack([ids[at : at + t] for at in starts]).astype(np.int64))
        y = torch.from_numpy(np.stack([ids[at + 1 : at + t + 1] for at in starts]).astype(np.int64))
        optimizer.zero_grad()
        nanogpt_loss(w, a, x, y).backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        optimizer.step()


def nanogpt_save(path, w, a, optimizer, step):
    model = {"_orig_mod." + n: t.detach() for n, t in w.items()}  # as torch.compile names them
    model["_orig_mod.lm_head.weight"] = w["transformer.wte.weight"].detach()
    torch.save({"model": model, "optimizer": optimizer.state_dict(), "model_args": a, "iter_num": step,
                "best_val_loss": torch.tensor(1e9), "config": {"dataset": "x"}}, path)


def snug_steps(data, out, steps):
    snug("train", *SMALL[4:], f"--dataset={data}", f"--out_dir={out}", "--init_from=resume", "--data_order=sequential",
         f"--max_iters={steps}")


def weights_distance(ours, theirs):
    """The keys' biases are left out: softmax cancels them, so their gradient is rounding, which AdamW blows up."""
    def part(n, t):
        t = t.detach().numpy()
        return t.reshape(3, -1)[[0, 2]] if n.endswith("c_attn.bias") else t

    return max(distance(part(n, ours[n]), part(n, t)) for n, t in theirs.items())


def check_nanogpt(work, text, bias):
    data, out, back = (os.path.join(work, f"{name}-{bias}") for name in ("data-nanogpt", "out-nanogpt", "back.pt"))
    vocabulary, ids = nanogpt_data(data, text)
    a = {"n_layer": 2, "n_head": 3, "n_embd": 24, "block_size": 20, "bias": bias, "vocab_size": vocabulary, "dropout": 0.0}
    w = nanogpt_weights(a)
    optimizer = nanogpt_optimizer(w)
    nanogpt_steps(w, a, optimizer, ids, 0, 3)
    nanogpt_save(os.path.join(work, "ckpt.pt"), w, a, optimizer, 3)
    print("      " + run(sys.executable, CONVERT, os.path.join(work, "ckpt.pt"), out).strip())
    run(sys.executable, CONVERT, os.path.join(out, "latest"), back)
    again = torch.load(back, weights_only=True)
    first = torch.load(os.path.join(work, "ckpt.pt"), weights_only=True)
    same = all(torch.equal(t, again["model"][n.removeprefix("_orig_mod.")]) for n, t in first["model"].items())
    moments = all(torch.equal(s[k], again["optimizer"]["state"][i][k]) for i, s in first["optimizer"]["state"].items()
                  for k in ("step", "exp_avg", "exp_avg_sq"))
    check(same and moments and again["model_args"] == a, f"ckpt.pt, bias={bias}: to a folder and back, bit for bit")

    old, folder = dict(first), os.path.join(work, f"out-old-{bias}")
    old["model_args"] = {k: v for k, v in a.items() if k != "bias"}  # from before nanoGPT had this choice, and with masks
    old["model"] = first["model"] | {f"_orig_mod.transformer.h.{i}.attn.bias": torch.ones(1, 1, 20, 20) for i in range(2)}
    torch.save(old, os.path.join(work, "old.pt"))
    run(sys.executable, CONVERT, os.path.join(work, "old.pt"), folder)
    same = all(open(os.path.join(o, "latest", n), "rb").read() == open(os.path.join(out, "latest", n), "rb").read()
               for o in [folder] for n in ("config.json", "model.safetensors", "optimizer.safetensors"))
    check(same, f"ckpt.pt, bias={bias}: without the key bias it becomes the same folder")

    nanogpt_steps(w, a, optimizer, ids, 3, 4)
    snug_steps(data, out, 7)
    run(sys.executable, CONVERT, os.path.join(out, "latest"), back)
    ours = torch.load(back, weights_only=True)
    worst = weights_distance(ours["model"], w)
    check(worst < 1e-5, f"ckpt.pt, bias={bias}: 4 more steps here and there, weights differ by at most {worst:.1e}")

    w2 = {n: ours["model"][n].clone().requires_grad_() for n in w}
    optimizer2 = nanogpt_optimizer(w2)
    optimizer2.load_state_dict(ours["optimizer"])
    nanogpt_steps(w2, a, optimizer2, ids, ours["iter_num"], 3)
    snug_steps(data, out, 10)
    run(sys.executable, CONVERT, os.path.join(out, "latest"), back)
    ours = torch.load(back, weights_only=True)
    worst = weights_distance(ours["model"], w2)
    check(worst < 1e-5, f"ckpt.pt, bias={bias}: ours goes on there, weights differ by at most {worst:.1e}")


# ---- llama.cpp


def check_gguf(work):
    """What its converter asks of a GPT-2 folder, as far as its package knows it: every tensor has a place, the shapes of
    config.json are there, and merges and special tokens are found."""
    try:
        import gguf
    except ImportError:
        print("SKIPPED gguf: not installed")
        return
    for name in ("char", "bpe-300"):
        folder = os.path.join(work, f"out-{name}", "latest")
        with open(os.path.join(folder, "config.json")) as f:
            c = json.load(f)
        keys = ("n_ctx", "n_embd", "n_layer", "n_head", "layer_norm_epsilon", "vocab_size")
        places = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, c["n_layer"])
        lost = [n for n in load_file(os.path.join(folder, "model.safetensors"))
                if not places.get_name(n, try_suffixes=(".weight", ".bias"))]
        check(not lost and all(k in c for k in keys), f"gguf, {name}: every tensor has a place in llama.cpp's GPT-2")
        special = gguf.SpecialVocab(Path(folder), load_merges=True, n_vocab=c["vocab_size"])
        with open(os.path.join(folder, "tokenizer.json")) as f:
            merges = len(json.load(f)["model"]["merges"])
        check(len(special.merges) == merges, f"gguf, {name}: it finds the {merges} merges and {special.special_token_ids}")
        ids = AutoTokenizer.from_pretrained(folder).get_vocab().values()
        check(max(ids) < c["vocab_size"], f"gguf, {name}: no id of the tokenizer is beyond the model's vocabulary")


def gpt2_vocabulary(source, folder):
    """GPT-2's vocab.json and merges.txt, out of the vocabulary that llama.cpp tests with."""
    import gguf
    fields = gguf.GGUFReader(os.path.join(source, "models", "ggml-vocab-gpt-2.gguf")).fields

    def strings(key):
        return [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    os.makedirs(folder)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({t: i for i, t in enumerate(strings("tokenizer.ggml.tokens"))}, f)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(["#version: 0.2", *strings("tokenizer.ggml.merges"), ""]))


def check_in_llama_cpp(name, model, folder, work):
    """Its tokens and logits beside transformers' and ours. Tanh GELUs, which is what it has."""
    try:
        from llama_cpp import Llama
    except ImportError:
        print(f"SKIPPED llama.cpp, {name}: llama_cpp is not installed, so the converted model is not run")
        return
    text = "don't 42 größe, слово 文字"
    llama = Llama(model, n_ctx=64, logits_all=True, verbose=False)
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    theirs = llama.tokenize(text.encode(), add_bos=False, special=False)
    check(theirs == ids, f"llama.cpp, {name}: the same {len(ids)} tokens")
    check(llama.detokenize(ids).decode() == text, f"llama.cpp, {name}: the same text out of them")
    x = np.random.default_rng(3).integers(0, llama.n_vocab(), (1, 20))
    llama.eval(x[0].tolist())
    worst = np.abs(our_logits(folder, x, work) - llama.scores[:20]).max()
    check(worst < 2e-3, f"llama.cpp, {name}: logits differ by at most {worst:.1e}")


def check_llama_cpp(work):
    """Its own converter on our folders: as it is for GPT-2's vocabulary, by data/to_gguf.py for others."""
    source = os.environ.get("LLAMA_CPP")
    if not source:
        print("SKIPPED llama.cpp's convert_hf_to_gguf.py: set LLAMA_CPP to a folder with its sources")
        return
    script = os.path.join(source, "convert_hf_to_gguf.py")
    gpt2_vocabulary(source, os.path.join(work, "gpt2"))
    for name, tokenizer, bias in (("GPT-2's vocabulary", f"{work}/gpt2", "True"), ("characters", "char", "False"),
                                  ("bytes", "byte", "True"), ("own BPE", "bpe:300", "False")):
        data, out, model = (os.path.join(work, f"{kind}-gguf-{len(os.listdir(work))}")
                            for kind in ("data", "out", "model"))
        snug("prepare", os.path.join(work, "text.txt"), f"--out={data}", f"--tokenizer={tokenizer}")
        snug("train", *SMALL, f"--bias={bias}", "--activation=gelu_tanh", f"--dataset={data}", f"--out_dir={out}",
             "--max_iters=30")
        folder = os.path.join(out, "latest")
        command = [sys.executable] + ([TO_GGUF] if tokenizer in ("char", "byte", "bpe:300") else [])
        run(*command, script, folder, "--outfile", model, "--outtype", "f32")
        check(os.path.getsize(model) > 0, f"llama.cpp, {name}: its converter takes our folder")
        check_in_llama_cpp(name, model, folder, work)


def main():
    with tempfile.TemporaryDirectory() as work:
        text = make_text()
        with open(os.path.join(work, "text.txt"), "w", encoding="utf-8") as f:
            f.write(text)
        os.environ.setdefault("XDG_CACHE_HOME", os.path.join(work, "cache"))
        check_ours_in_theirs(work)
        check_theirs_in_ours(work, text)
        check_nanogpt(work, text, False)
        check_nanogpt(work, text, True)
        check_gguf(work)
        check_llama_cpp(work)


main()
