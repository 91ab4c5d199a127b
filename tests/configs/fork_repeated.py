batch_size = 4
batch_size = batch_size * 4
batch_size = batch_size - 1
n_layer = 0
n_layer = 4
n_head = n_layer
n_embd = 32 * n_head
dropout = 1
dropout = dropout / 4
learning_rate = float('3e-4')
max_iters = int('1_000')
decay_lr = bool(0)
bias = 3 < 4 <= 4 != 5
grad_clip = abs(-1.5)
