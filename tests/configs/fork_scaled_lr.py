world_size = 4
learning_rate = 6e-4 * 2**0.5 / world_size ** 0.25
min_lr = learning_rate / 10
weight_decay = 0.1 ** 2
warmup_iters = round(0.01 * 2_000)
max_iters = lr_decay_iters = 2_000
