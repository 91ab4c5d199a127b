#!/usr/bin/env python3
"""Runs llama.cpp's own convert_hf_to_gguf.py on a folder of snug's, with vocabularies that it does not know by itself.

usage: to_gguf.py PATH/convert_hf_to_gguf.py FOLDER [its options, such as --outfile model.gguf --outtype f32]

That script knows a vocabulary by the hash of what it makes of a sample text, and stops at any other: GPT-2's passes, one
made by `snug prepare` cannot. All of them split and merge as GPT-2's does, so that is what the script is told here. For a
vocabulary of characters it is also given its tokens in GPT-2's byte alphabet and the merges that make a character of its
bytes, since llama.cpp starts from bytes. Needs what the script needs (torch, transformers, gguf).
"""
import importlib.util
import json
import os
import sys

NEVER = "ÿ ÿ"  # bytes 255 255, which no UTF-8 text has: llama.cpp refuses a vocabulary without a single merge


def byte_letters():
    """GPT-2's letter for each byte: printable Latin-1 as itself, the other 68 bytes from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in printable else next(others)) for b in range(256)]


def in_letters(text, letters):
    return "".join(letters[b] for b in text.encode())


def merges_of_characters(tokens):
    """For each token of several bytes: the first two merge, then each further one. Prefixes that tokens share come once."""
    merges = {}
    for t in tokens:
        for n in range(1, len(t)):
            merges[f"{t[:n]} {t[n]}"] = None
    return list(merges) or [NEVER]


def vocabulary_class(root):
    """The class of the script that reads vocabularies; where it stands has changed between its versions."""
    if "get_vocab_base_pre" in vars(root):
        return root
    return next(filter(None, map(vocabulary_class, root.__subclasses__())), None)


def teach(cls, tokenizer, folder):
    characters = tokenizer["pre_tokenizer"] is None
    split = not characters and tokenizer["pre_tokenizer"].get("use_regex", True)
    merges = tokenizer["model"]["merges"]
    if tokenizer["model"]["type"] != "BPE" or merges and not split:
        sys.exit(f"to_gguf.py: {folder}/tokenizer.json is neither of characters nor split by GPT-2's rule: llama.cpp's script "
                 "has to know it by itself")
    letters = byte_letters()
    base, set_vocab = cls.get_vocab_base, cls._set_vocab_gpt2

    def get_vocab_base(self):
        tokens, *rest = base(self)
        return [in_letters(t, letters) for t in tokens] if characters else tokens, *rest

    def set_vocab_gpt2(self):
        set_vocab(self)
        if not merges:
            own = [in_letters(t, letters) for t in tokenizer["model"]["vocab"]] if characters else []
            self.gguf_writer.add_token_merges(merges_of_characters(own))

    cls.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    cls.get_vocab_base, cls._set_vocab_gpt2 = get_vocab_base, set_vocab_gpt2


def main():
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    script, folder = sys.argv[1], sys.argv[2]
    for path in (script, os.path.join(folder, "tokenizer.json"), os.path.join(folder, "config.json")):
        if not os.path.isfile(path):
            sys.exit(f"to_gguf.py: {path}: no such file")
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        tokenizer = json.load(f)
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    spec = importlib.util.spec_from_file_location("convert_hf_to_gguf", script)
    converter = importlib.util.module_from_spec(spec)
    sys.modules["convert_hf_to_gguf"] = converter
    spec.loader.exec_module(converter)
    root = getattr(converter, "ModelBase", None) or getattr(converter, "Model", None)
    cls = root and vocabulary_class(root)
    if not cls:
        sys.exit(f"to_gguf.py: {script} has no get_vocab_base_pre: it is not llama.cpp's, or a version not known here")
    teach(cls, tokenizer, folder)
    sys.argv = [script, *sys.argv[2:]]
    converter.main()
    if config.get("activation_function") == "gelu":
        print("note: the model has exact GELUs (activation=gelu), llama.cpp computes the tanh form: logits differ a little")
    if not tokenizer["added_tokens"]:
        print("note: the vocabulary has no end-of-text token, and llama.cpp takes id 11 for it: run it with --ignore-eos")


if __name__ == "__main__":
    main()
