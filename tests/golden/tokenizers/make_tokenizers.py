#!/usr/bin/env python3
"""Makes the folders and ids in this folder: tokenizers as Hugging Face's files describe them, and what transformers (5.24)
makes of them. cases.json: for each case its base (files of base/), what lies beside them, the number of ids, and the ids
of TEXTS; "refused" instead of ids where snug refuses what transformers does, and says so with these words.

usage: python3 make_tokenizers.py        (transformers, tokenizers)
"""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

transformers.utils.logging.set_verbosity_error()
HERE = Path(__file__).parent
END, PAD, FAST = "<|endoftext|>", "<|pad|>", {"tokenizer_class": "PreTrainedTokenizerFast"}
GPT2 = {"tokenizer_class": "GPT2Tokenizer"}
TEXTS = ["a <|pad|> b", "a <|endoftext|>the b", " a<|pad|>b the", "<b>a<p><s></s><u><sep><cls><m>", "the cat\n\n  <|pad|>\n",
         "grün 日本 <|pad|><|endoftext|>", "abc bcd"]
SAMPLE = "the cat and the hat sat on the mat; a b c the then there that and another cat. " * 20


def token(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True} | flags


def make_bases():
    """In each: GPT-2's byte alphabet, a few merges, <|endoftext|> as id 0 (or not at all)."""
    base = HERE / "base"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    for name, specials in (("", [END]), ("noend-", [])):
        t = tokenizers.Tokenizer(tokenizers.models.BPE())
        t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.decoder = tokenizers.decoders.ByteLevel()
        t.train_from_iterator([SAMPLE], tokenizers.trainers.BpeTrainer(
            vocab_size=272, show_progress=False, special_tokens=specials,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
        t.save(str(base / f"{name}tokenizer.json"), pretty=False)
        t.model.save(str(base), name.rstrip("-") or None)
    spaced = json.loads((base / "tokenizer.json").read_text())
    spaced["pre_tokenizer"]["add_prefix_space"] = True
    (base / "space-tokenizer.json").write_text(json.dumps(spaced))


BASES = {"json": ["tokenizer.json"], "space": ["space-tokenizer.json"], "noend": ["noend-tokenizer.json"],
         "pair": ["vocab.json", "merges.txt"], "noend pair": ["noend-vocab.json", "noend-merges.txt"]}
NEXT = 272


def beside(config=None, special=None, added=None, model=True):
    files = {"tokenizer_config.json": config, "special_tokens_map.json": special, "added_tokens.json": added,
             "config.json": {"model_type": "gpt2"} if model else None}
    return {n: f for n, f in files.items() if f is not None}


def cases():
    pad_map = {"pad_token": PAD, "bos_token": END, "eos_token": END, "unk_token": END}
    yield "json", beside()
    yield "json", beside(FAST)
    yield "json", beside(FAST, model=False)
    yield "json", beside(GPT2 | {"add_prefix_space": True})
    yield "json", beside({"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True})
    yield "json", beside({"add_prefix_space": True})
    yield "json", beside(FAST | {"add_prefix_space": True}), "add_prefix_space off, and tokenizer_config.json beside it on"
    yield "space", beside(FAST | {"add_prefix_space": False}), "make them the same"
    yield "space", beside(FAST)
    yield "space", beside(FAST | {"add_prefix_space": True, "pad_token": PAD})
    yield "space", beside(GPT2)
    yield "space", beside()
    yield "noend", beside(FAST)
    yield "noend", beside(GPT2)
    yield "pair", beside()
    yield "pair", beside(GPT2 | {"add_prefix_space": True, "pad_token": PAD})
    yield "pair", beside(special={"pad_token": PAD})
    yield "pair", beside(GPT2 | {"model_max_length": 1024}, special=pad_map)
    yield "pair", beside(GPT2 | {"model_max_length": 1024}, special=pad_map, added={PAD: NEXT})
    yield "pair", beside(added={PAD: NEXT})
    yield "pair", beside(added={PAD: NEXT + 1, "<b>": NEXT})
    yield "pair", beside(added={PAD: NEXT + 16}), "the ids must have no holes"
    yield "pair", beside(special={"pad_token": token(PAD, lstrip=True, rstrip=True)})
    yield "pair", beside(special={"additional_special_tokens": [PAD, "<b>"]})
    yield "noend pair", beside()
    yield "pair", beside(GPT2 | {"add_bos_token": True}), "add_bos_token is set"
    yield "pair", beside(GPT2 | {"add_eos_token": True}), "add_eos_token is set"
    yield "json", beside(GPT2 | {"add_bos_token": True})
    yield "json", beside(FAST | {"pad_token": PAD})
    yield "json", beside(FAST, special={"pad_token": PAD})
    yield "json", beside(FAST, added={PAD: NEXT})
    yield "json", beside(added={PAD: NEXT})
    yield "json", beside(special={"pad_token": PAD})
    yield "json", beside(FAST | {"pad_token": PAD, "added_tokens_decoder": {
        "0": token(END, special=True, normalized=False), str(NEXT): token(PAD, special=True, normalized=False)}})
    yield "json", beside(FAST | {"added_tokens_decoder": {str(NEXT): token(PAD, special=True)}}, special={"pad_token": "<b>"})
    yield "json", beside(FAST | {"added_tokens_decoder": {str(NEXT + 5): token(PAD, special=True)}}), "must have no holes"
    yield "json", beside(FAST | {"added_tokens_decoder": {str(NEXT + 1): token(PAD, special=True), str(NEXT): token("<b>")}})
    yield "json", beside(GPT2 | {"added_tokens_decoder": {str(NEXT): token(PAD, special=True)}})
    yield "json", beside(FAST | {"added_tokens_decoder": {"0": token(END, special=True, lstrip=True, rstrip=True)}})
    yield "json", beside(FAST | {"added_tokens_decoder": {str(NEXT): token("ab"), str(NEXT + 1): token("bc", normalized=False)}})
    yield "json", beside(FAST | {"additional_special_tokens": [PAD, "<b>"]})
    yield "json", beside(FAST | {"extra_special_tokens": [PAD, "<b>"]})
    yield "json", beside(FAST | {"extra_special_tokens": {"image_token": PAD}})
    yield "json", beside(FAST | {"image_token": PAD})
    yield "json", beside(FAST | {"pad_token": {"__type": "AddedToken"} | token(PAD, rstrip=True)})
    yield "json", beside(FAST | {"pad_token": "<p>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<u>",
                                 "sep_token": "<sep>", "cls_token": "<cls>", "mask_token": "<m>"})
    yield "json", beside(FAST | {"split_special_tokens": True}), "split_special_tokens is set"
    yield "json", beside({"tokenizer_class": "LlamaTokenizer"}), "tokenizer_class is LlamaTokenizer"
    yield "json", beside(FAST | {"added_tokens_decoder": {"x": token(PAD)}}), "added_tokens_decoder"
    yield "json", beside(FAST, added={PAD: -1}), "is no id"
    yield "json", beside(FAST | {"bos_token": "<b>"}, special={"bos_token": PAD})  # the map's counts, the other is none
    yield "json", beside(GPT2 | {"pad_token": None, "unk_token": None, "errors": "replace", "do_lower_case": True})


def main():
    make_bases()
    found = []
    for base, files, *refused in cases():
        case = {"base": base, "files": files}
        with tempfile.TemporaryDirectory() as folder:
            for name in BASES[base]:
                shutil.copy(HERE / "base" / name, os.path.join(folder, name.replace("noend-", "").replace("space-", "")))
            for name, content in files.items():
                Path(folder, name).write_text(json.dumps(content))
            if refused:
                case["refused"] = refused[0]
            else:
                t = AutoTokenizer.from_pretrained(folder)
                case |= {"size": len(t), "ids": [t(text)["input_ids"] for text in TEXTS]}
        found.append(case)
    with open(HERE / "cases.json", "w") as f:
        json.dump({"made with": f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}",
                   "texts": TEXTS, "bases": BASES, "cases": []}, f, ensure_ascii=False)
        f.seek(f.tell() - 2)
        f.write("\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in found) + "\n]}\n")
    print(f"{len(found)} cases")


if __name__ == "__main__":
    sys.exit(main())
