# What `make demo` trains: a small model of English (or of C headers), for two cores and two minutes.
dataset = 'build/demo/data'
out_dir = 'build/demo/out'

n_layer = 4
n_head = 4
n_embd = 128
block_size = 96
dropout = 0.0

batch_size = 12
gradient_accumulation_steps = 1
learning_rate = 2e-3
min_lr = 2e-4
beta2 = 0.99
warmup_iters = 50
max_iters = 1000
lr_decay_iters = 1000

eval_interval = 500
eval_iters = 20
log_interval = 100
