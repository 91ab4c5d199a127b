(  # a file may begin like this
    'unused'
)
device = 'cpu'
dtype = 'float32'
dataset='shakespeare_char'; eval_iters=20; log_interval=1
block_size=64; batch_size=12; n_layer=4; n_head=4; n_embd=128
max_iters=2000; lr_decay_iters=2000; dropout=0.0
eval_only = eval_iters == 20 and not (log_interval > 1 or n_layer % 2)
keep_checkpoints = 7 & 3 | 1 << 2
