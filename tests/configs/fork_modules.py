"""Of modules that nobody else has: what comes from them goes nowhere."""
import numpy as np
import tiktoken, wandb
from model import GPTConfig, GPT as Model
from lib.schedules import (
    cosine,
    linear as straight,
)

enc = tiktoken.get_encoding('gpt2')
schedule = cosine
rng = np.random.default_rng(seed)
wandb_run_name = wandb.util.generate_id()
wandb_tags = [Model.__name__, straight]
n_layer = n_head = 6
n_embd = n_head * 64
vocab_size = 50257 + -50257 % 64
learning_rate, min_lr = 1e-3, 1e-4
out_dir = f"out-{n_layer}x{n_embd}"
