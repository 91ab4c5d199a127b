# leaves the numbers of train.py as they are, and reckons with them
max_iters = max_iters // 10
lr_decay_iters = max_iters
warmup_iters //= 20
eval_interval = max(1, max_iters // 300)
min_lr = min(min_lr, learning_rate / 20)
batch_size *= 2
n_embd: int = n_head * 48
