import os, math
import os.path as osp
from time import time, sleep
warmup_iters = math.ceil(2000 / 3)
learning_rate = math.sqrt(1e-6) / 2
beta1, beta2 = 0.9, 0.95
wandb_run_name = osp.basename(os.getcwd())
stamp = time()
