#!/usr/bin/env python3
"""Our tokenizers against Hugging Face `tokenizers`, `tiktoken` and `transformers`: the same ids for 1 MB of mixed text.

usage: interop_tokenizers.py [path of snug]      What is not installed is skipped with a notice.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import tokenizers
except ImportError:
    print("SKIPPED interop_tokenizers: Python's `tokenizers` is not installed (pip install tokenizers tiktoken)")
    sys.exit(77)

SNUG = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "build", "snug")
END = "<|endoftext|>"
GPT2_RULE = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
WHITE = " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u180e\u2003\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
STARTS = [0x41, 0xC0, 0x391, 0x410, 0x5D0, 0x627, 0x915, 0xE01, 0x10D0, 0x1100, 0x3041, 0x4E00, 0xAC00, 0x10480, 0x1D400]


def any_character(r):
    while True:
        code = r.choice([r.randrange(0x110000), r.randrange(0x3000), r.randrange(0x100)])
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def mixed_text(seed, characters, newlines=True, any_codes=True):
    """Words of many scripts, odd white space, contractions, emoji, long runs, random code points, special tokens."""
    r = random.Random(seed)
    dictionary = []
    for _ in range(400):
        start = r.choice(STARTS)
        dictionary.append("".join(chr(start + r.randrange(24)) for _ in range(r.randrange(1, 9))))
    makers = [
        lambda: r.choice(dictionary), lambda: r.choice(dictionary) + " ", lambda: " " + r.choice(dictionary),
        lambda: r.choice(["'s", "'t", "'RE", "'ll", "don't", "we'd", "it's ", "'", "''m"]),
        lambda: str(r.randrange(10 ** r.randrange(1, 12))),
        lambda: "".join(r.choice(WHITE) for _ in range(r.randrange(1, 5))),
        lambda: r.choice([" ", "\n"]) * r.randrange(1, 30),
        lambda: r.choice("\U0001F469\u200d\U0001F680 e\u0301 \u0928\u093f \U0001F1E9\U0001F1EA ½ Ⅷ ٣ ᾳ ß İ".split(" ")),
        lambda: r.choice("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~") * r.randrange(1, 6),
        lambda: r.choice(dictionary)[0] * r.randrange(1, 200),
        lambda: r.choice([END, END[:-1], " " + END + " ", "<|", "<|end"]),
    ]
    if any_codes:
        makers.append(lambda: any_character(r))
    out, n = [], 0
    while n < characters:
        out.append(r.choice(makers)())
        n += len(out[-1])
    text = "".join(out)
    return text if newlines else text.replace("\r", "")


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)


def prepare(source, out, tokenizer, val_fraction=0):
    done = subprocess.run([SNUG, "prepare", source, f"--out={out}", f"--tokenizer={tokenizer}",
                           f"--val_fraction={val_fraction}"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"snug prepare --tokenizer={tokenizer}: {done.stderr}")


def ids_in(folder, name="train.bin"):
    with open(os.path.join(folder, "meta.json")) as f:
        width = 4 if json.load(f)["dtype"] == "uint32" else 2
    with open(os.path.join(folder, name), "rb") as f:
        data = f.read()
    return [int.from_bytes(data[i:i + width], "little") for i in range(0, len(data), width)]


def same(what, ours, theirs):
    if ours == theirs:
        print(f"ok    {what}: {len(ours)} ids")
        return
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    sys.exit(f"FAIL  {what}: at {at} we have {ours[at:at + 8]}, they have {theirs[at:at + 8]}")


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL  {what}")
    print(f"ok    {what}")


def check_hf(what, folder, text, ours):
    t = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    same(f"{what}, tokenizers", ours, t.encode(text, add_special_tokens=False).ids)
    check(t.decode(ours, skip_special_tokens=False) == text, f"{what}, tokenizers decodes to the same text")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        print(f"SKIPPED {what}, AutoTokenizer: `transformers` is not installed")
        return
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    a = AutoTokenizer.from_pretrained(folder)
    some = text[:20000]
    same(f"{what}, AutoTokenizer ({type(a).__name__})", t.encode(some, add_special_tokens=False).ids,
         a(some, add_special_tokens=False)["input_ids"])
    check(a.decode(a(some, add_special_tokens=False)["input_ids"]) == some, f"{what}, AutoTokenizer decodes to the same text")


def check_tiktoken(folder, text, ours):
    try:
        import tiktoken
    except ImportError:
        print("SKIPPED tiktoken: not installed")
        return
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        vocabulary = json.load(f)["model"]["vocab"]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    byte = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    ranks = {bytes(byte[c] for c in token): i for token, i in vocabulary.items() if token != END}
    e = tiktoken.Encoding("ours", pat_str=GPT2_RULE, mergeable_ranks=ranks, special_tokens={END: vocabulary[END]})
    same("bpe, tiktoken", ours, e.encode(text, allowed_special="all"))


def check_training(folder, text, work):
    """The merges that we learn are those that Hugging Face's trainer learns."""
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=2999, min_frequency=2, show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator([text], trainer)
    t.add_special_tokens([END])
    theirs = os.path.join(work, "theirs")
    os.makedirs(theirs)
    t.save(os.path.join(theirs, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        ours = json.load(f)
    with open(os.path.join(theirs, "tokenizer.json"), encoding="utf-8") as f:
        model = json.load(f)["model"]
    def merges(m):
        return [tuple(x.split(" ")) if isinstance(x, str) else tuple(x) for x in m["merges"]]
    same("bpe, the merges of Hugging Face's trainer", merges(ours["model"]), merges(model))
    check({k: v for k, v in ours["model"]["vocab"].items() if k != END} == model["vocab"], "bpe, the same vocabulary as theirs")
    return theirs, t


def check_saved_folders(work):
    """tests/golden/tokenizers: what snug saves of each of these folders has in transformers the ids that the folder had."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        print("SKIPPED saved folders: transformers is not installed")
        return
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "tokenizers")
    with open(os.path.join(golden, "cases.json"), encoding="utf-8") as f:
        cases = json.load(f)
    write(os.path.join(work, "one.txt"), cases["texts"][0])
    good = [c for c in cases["cases"] if "ids" in c]
    for i, case in enumerate(good):
        folder, out = os.path.join(work, f"folder{i}"), os.path.join(work, f"saved{i}")
        os.makedirs(folder)
        for name in cases["bases"][case["base"]]:
            with open(os.path.join(golden, "base", name), encoding="utf-8") as f:
                write(os.path.join(folder, name.removeprefix("noend-").removeprefix("space-")), f.read())
        for name, content in case["files"].items():
            write(os.path.join(folder, name), json.dumps(content))
        prepare(os.path.join(work, "one.txt"), out, folder)
        write(os.path.join(out, "config.json"), '{"model_type": "gpt2"}')  # as beside a model
        t = AutoTokenizer.from_pretrained(out)
        if ids_in(out) != case["ids"][0] or [t(x)["input_ids"] for x in cases["texts"]] != case["ids"] or len(t) != case["size"]:
            sys.exit(f"FAIL  saved folders: {case['base']} with {case['files']}")
    print(f"ok    saved folders: transformers reads {len(good)} of them as it read what they were made from")


def main():
    with tempfile.TemporaryDirectory() as work:
        def inside(name):
            return os.path.join(work, name)

        text, other = mixed_text(1, 600_000), mixed_text(2, 600_000)
        write(inside("text.txt"), text)
        write(inside("other.txt"), other)

        prepare(inside("text.txt"), inside("byte"), "byte")
        check_hf("byte", inside("byte"), text, ids_in(inside("byte")))

        plain = mixed_text(1, 600_000, newlines=False).replace("\x00", "") + "\x00"
        write(inside("plain.txt"), plain)
        prepare(inside("plain.txt"), inside("char"), "char")
        numbers = {c: i for i, c in enumerate(sorted(set(plain)))}
        same("char, nanoGPT's numbering", ids_in(inside("char")), [numbers[c] for c in plain])
        check_hf("char", inside("char"), plain, ids_in(inside("char")))
        prepare(inside("plain.txt"), inside("char2"), inside("char"))
        same("char, read again", ids_in(inside("char2")), ids_in(inside("char")))

        prepare(inside("text.txt"), inside("bpe"), "bpe:3000")
        prepare(inside("other.txt"), inside("bpe-other"), inside("bpe"))
        check_hf("bpe", inside("bpe-other"), other, ids_in(inside("bpe-other")))
        check_tiktoken(inside("bpe-other"), other, ids_in(inside("bpe-other")))

        quiet = mixed_text(3, 300_000).replace(END, "")
        write(inside("quiet.txt"), quiet)
        prepare(inside("quiet.txt"), inside("bpe-quiet"), "bpe:3000")
        folder, theirs = check_training(inside("bpe-quiet"), quiet, work)
        prepare(inside("other.txt"), inside("theirs-other"), folder)
        same("their tokenizer.json", ids_in(inside("theirs-other")), theirs.encode(other, add_special_tokens=False).ids)
        os.makedirs(inside("pair"))
        theirs.model.save(inside("pair"))
        prepare(inside("quiet.txt"), inside("pair-quiet"), inside("pair"))
        same("their vocab.json and merges.txt", ids_in(inside("pair-quiet")), theirs.encode(quiet).ids)
        check_saved_folders(work)


main()
