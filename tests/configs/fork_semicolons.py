n_layer = 2; n_head = 2; n_embd = 64;
bias = False; dropout = .1
block_size=0x80; vocab_size = 0o600 + 0b11
