n_layer, n_head, n_embd = 8, 8, 512
dataset = "openwebtext"
learning_rate = 6e-4
run = f'{dataset}-L{n_layer}-H{n_head}-lr{learning_rate:.0e}'
out_dir = f"out/{run}"
wandb_run_name = run
wandb_tags = ['baseline', f"{n_layer}L"]
start = f'{n_layer!r} {n_embd=} {dataset!r:>15} {{}} {learning_rate}'
