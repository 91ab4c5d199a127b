# GPT-2 124M from scratch: the run that does not fit a 12 GB card as it stands, and that snug was made for.
# What it needs:      snug plan data/configs/train_gpt2_124m.py --vram_cap=12GB
# Then, on that card: snug train data/configs/train_gpt2_124m.py --vram_cap=12GB

out_dir = 'out-gpt2-124m'
dataset = 'openwebtext'

# the model; the vocabulary defaults to GPT-2's 50257 rounded up to 50304
n_layer = 12
n_head = 12
n_embd = 768
block_size = 1024
bias = False
dropout = 0.0

# 16 * 32 sequences of 1024 tokens: half a million tokens a step, however they are split to fit
batch_size = 16
gradient_accumulation_steps = 32

# 20 tokens for each of the 124M parameters take some 4,800 steps; ten times that is well spent too
max_iters = 4_800
learning_rate = 6e-4
warmup_iters = 256
lr_decay_iters = max_iters
min_lr = learning_rate / 10
weight_decay = 0.1
beta1 = 0.9
beta2 = 0.95
grad_clip = 1.0

eval_interval = 250
eval_iters = 20
log_interval = 1
