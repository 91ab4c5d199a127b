# for a laptop, to see whether it learns
out_dir = 'out-shakespeare-char'
eval_interval = 250 # it overfits soon
eval_iters = 200
log_interval = 10

# only when the loss on val.bin is better
always_save_checkpoint = False

wandb_log = False
wandb_project = 'shakespeare-char'
wandb_run_name = 'mini-gpt'

dataset = 'shakespeare_char'
gradient_accumulation_steps = 1
batch_size = 64
block_size = 256

n_layer = 6
n_head = 6
n_embd = 384
dropout = 0.2

learning_rate = 1e-3
max_iters = 5000
lr_decay_iters = 5000 # as max_iters
min_lr = 1e-4
beta2 = 0.99 # few tokens a step

warmup_iters = 100

# device = 'cpu'
# compile = False
