# GPT-2 355M (medium) from scratch: the same half million tokens a step as train_gpt2_124m.py, a larger model.
# See what it needs first: snug plan data/configs/gpt2_355m.py

out_dir = 'out-gpt2-355m'
dataset = 'openwebtext'

n_layer = 24
n_head = 16
n_embd = 1024
block_size = 1024
bias = False
dropout = 0.0

# 512 sequences a step; batch_size is only a wish, the split follows from the memory there is
batch_size = 4
gradient_accumulation_steps = 128

# about 20 tokens a parameter
max_iters = 13_500
learning_rate = 3e-4
warmup_iters = 256
lr_decay_iters = max_iters
min_lr = learning_rate / 10
weight_decay = 0.1
beta2 = 0.95
grad_clip = 1.0

eval_interval = 250
eval_iters = 20
