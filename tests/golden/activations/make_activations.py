#!/usr/bin/env python3
"""Makes activations.json: what each activation function that transformers has a name for gives at some points.

usage: python3 make_activations.py        (torch, transformers)
"""
import json
from pathlib import Path

import torch
import transformers
from transformers.activations import ACT2FN

X = [-3.0, -1.7, -0.6, -0.1, 0.0, 0.2, 0.9, 2.3, 4.0, 12.0]


def main():
    values = {}
    for name in sorted(ACT2FN):
        try:
            values[name] = ACT2FN[name](torch.tensor(X, dtype=torch.float64)).tolist()
        except Exception as e:  # some want a width, or a package
            print(f"{name}: left out ({str(e)[:60]})")
    values = {n: v for n, v in values.items() if len(v) == len(X)}
    text = json.dumps({"made with": f"transformers {transformers.__version__}", "x": X, "values": values})
    Path(__file__).with_name("activations.json").write_text(text.replace('], "', '],\n"') + "\n")


if __name__ == "__main__":
    main()
