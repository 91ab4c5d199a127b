num_gpus = 8
total_batch = 480
batch_size = 12
assert total_batch % (batch_size * num_gpus) == 0, "does not divide"
gradient_accumulation_steps = total_batch // (batch_size * num_gpus) * num_gpus
tokens_per_iter = gradient_accumulation_steps * batch_size * 1024
print(f"tokens an iteration: {tokens_per_iter:,}")
max_iters = int(9e9 / tokens_per_iter)
lr_decay_iters = max_iters
