size = 'medium'
debug = not True

if size == 'small':
    n_layer, n_head, n_embd = 12, 12, 768
elif size == 'medium':
    n_layer, n_head, n_embd = 24, 16, 1024
    batch_size = 8
    if debug:
        max_iters = 10
    else:
        max_iters = 100_000
        # nothing else
else:
    raise ValueError(size)

dropout = 0.0 if not debug else 0.1
eval_iters = 10 if debug else 50 if size == 'small' else 100
