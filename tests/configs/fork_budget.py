# Chinchilla: twenty tokens for each parameter
n_layer = 12; n_embd = 768
params = 12 * n_layer * n_embd**2
tokens = 20 * params
block_size = 1024
batch_size = 16
gradient_accumulation_steps = 32
max_iters = int(tokens / (batch_size * gradient_accumulation_steps * block_size)) + 1
lr_decay_iters = max_iters
warmup_iters = int(0.02 * max_iters)
eval_interval = max(100, min(2000, max_iters // 50))
