# asks the machine what it can: snug takes the answer of one with a GPU
import torch
from contextlib import nullcontext

gpu = torch.cuda.is_available()
device = 'cuda' if gpu else 'cpu'
dtype = 'bfloat16' if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else 'float16'
compile = gpu
batch_size = 32 if gpu else 4
if device == 'cuda':
    eval_iters = 100
    context = nullcontext
else:
    eval_iters = 20
gradient_accumulation_steps = 480 // batch_size
eval_only = not torch.cuda.is_available()
