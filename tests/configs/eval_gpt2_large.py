# the loss of the weights that were published
batch_size = 8
eval_iters = 500 # more, for a good estimate
eval_only = True
wandb_log = False
init_from = 'gpt2-large'
