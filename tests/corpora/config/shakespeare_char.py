# A small model that learns to spell and to write plays, one character at a time: minutes, not days.
# First: snug prepare input.txt --out=data/shakespeare_char --tokenizer=char

out_dir = 'out-shakespeare-char'
dataset = 'shakespeare_char'

n_layer = 6
n_head = 6
n_embd = 64 * n_head  # 64 channels a head, as in GPT-2
block_size = 256
dropout = 0.2         # a million characters are soon known by heart

batch_size = 64
gradient_accumulation_steps = 1
max_iters = 5_000
learning_rate = 1e-3
warmup_iters = 100
lr_decay_iters = max_iters
min_lr = learning_rate / 10
beta2 = 0.99          # few tokens a step: average the variance over more of them

eval_interval = 250
eval_iters = 200
log_interval = 10
always_save_checkpoint = False
