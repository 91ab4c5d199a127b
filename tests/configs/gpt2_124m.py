# Eight GPUs with torchrun: 12 sequences of 1024 tokens, 5 steps of accumulation for each of 8.
wandb_log = True
wandb_project = 'owt'
wandb_run_name='small-gpt2'

# about half a million tokens a step
batch_size = 12
block_size = 1024
gradient_accumulation_steps = 5 * 8

# 300 billion tokens
max_iters = 600000
lr_decay_iters = 600000

eval_interval = 1000
eval_iters = 200
log_interval = 10

weight_decay = 1e-1
