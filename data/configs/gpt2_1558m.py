# GPT-2 1558M (XL) from scratch: the same half million tokens a step as train_gpt2_124m.py, a larger model.
# Weights, gradients and moments alone are 16 bytes a parameter: 23 GiB in float32. In bfloat16, with the moments and the
# float32 weights in the host's memory (17 GiB of it, which snug does by itself), a card of 12 GB is enough.

out_dir = 'out-gpt2-1558m'
dataset = 'openwebtext'

n_layer = 48
n_head = 25
n_embd = 1600
block_size = 1024
bias = False
dtype = 'bfloat16'
dropout = 0.0

# 512 sequences a step; batch_size is only a wish, the split follows from the memory there is
batch_size = 4
gradient_accumulation_steps = 128

# about 20 tokens a parameter
max_iters = 59_500
learning_rate = 2e-4
warmup_iters = 256
lr_decay_iters = max_iters
min_lr = learning_rate / 10
weight_decay = 0.1
beta2 = 0.95
grad_clip = 1.0

eval_interval = 250
eval_iters = 20
