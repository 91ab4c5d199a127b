#!/usr/bin/env python3
"""Makes the files in this folder: the same ids as NumPy, llm.c and nanoGPT write them, and vocabularies as Python's pickle
writes them. expected.json says what is in them.

usage: python3 make_data.py        (numpy)
"""
import collections
import json
import pickle
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
IDS = np.random.default_rng(3).integers(0, 50257, 150)
TEXT = "héllo, wörld\n日本 🙂 \t'quoted' \"too\" \\ 0123"


def llmc(path, magic, version, dtype):
    """llm.c's dev/data: 256 int32 of which three are used, then the ids."""
    header = np.zeros(256, np.int32)
    header[:3] = magic, version, len(IDS)
    path.write_bytes(header.tobytes() + IDS.astype(dtype).tobytes())


def main():
    for name, dtype in (("uint16", np.uint16), ("uint32", np.uint32), ("int32", np.int32), ("int64", np.int64)):
        IDS.astype(dtype).tofile(HERE / f"{name}.bin")
        np.save(HERE / f"{name}.npy", IDS.astype(dtype))
    with open(HERE / "version2.npy", "wb") as f:
        np.lib.format.write_array(f, IDS.astype(np.uint16), version=(2, 0))
    np.save(HERE / "float.npy", IDS.astype(np.float32))
    np.save(HERE / "big-endian.npy", IDS.astype(">u2"))
    np.save(HERE / "table.npy", IDS.astype(np.uint16).reshape(10, 15))
    llmc(HERE / "gpt2.bin", 20240520, 1, np.uint16)
    llmc(HERE / "llama3.bin", 20240801, 7, np.uint32)

    letters = sorted(set(TEXT))
    itos, stoi = dict(enumerate(letters)), {c: i for i, c in enumerate(letters)}
    meta = {"vocab_size": len(letters), "itos": itos, "stoi": stoi}
    for protocol in (2, 3, 4, 5):
        (HERE / f"meta-{protocol}.pkl").write_bytes(pickle.dumps(meta, protocol))
    many = [chr(0x4E00 + i) for i in range(600)]  # ids of two bytes, and more than 256 things to remember
    others = {
        "many": {"vocab_size": 640, "itos": dict(enumerate(many)), "stoi": {c: i for i, c in enumerate(many)}},
        "itos-only": {"itos": itos}, "stoi-only": {"stoi": stoi}, "list": {"itos": letters, "vocab_size": len(letters)},
        "size-only": {"vocab_size": 50304},
        "more": meta | {"note": None, "lower": False, "split": 0.9, "big": 1 << 40, "below": -7, "pair": (1, "a")},
        "object": meta | {"counts": collections.Counter("abc")}, "set": meta | {"all": set("ab")},
        "words": {"vocab_size": 2, "itos": {0: "he", 1: "llo"}}, "hole": {"itos": {0: "a", 2: "b"}},
        "twice": {"itos": {0: "a", 1: "a"}}, "contradiction": {"itos": {0: "a", 1: "b"}, "stoi": {"a": 1, "b": 0}},
        "too-few": {"vocab_size": 1, "itos": {0: "a", 1: "b"}}, "none": {"a": 1}, "text": "vocab_size",
        "number-text": {"itos": {0: "a", 1: 5}}, "surrogate": {"itos": {0: "a", 1: "\ud800"}}, "size-text": {"vocab_size": "7"},
        "huge": {"vocab_size": 1 << 70},
    }
    for name, value in others.items():
        for protocol in (2, 4):
            (HERE / f"meta-{name}-{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    (HERE / "expected.json").write_text(json.dumps(
        {"ids": IDS.tolist(), "letters": letters, "text": TEXT, "text_ids": [stoi[c] for c in TEXT]}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
