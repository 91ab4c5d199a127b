# a config
import time
n_layer = 2 * 3 + 1 - 4 / 2
out_dir = "out-x"  # comment
bias=True
learning_rate = 6e-4
wandb_log = False
vram_cap = "10.5GiB"
device = 'cuda:1'
dtype = "bfloat16"
