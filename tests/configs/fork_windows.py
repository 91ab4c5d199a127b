n_layer = 3
if n_layer > 2:
	n_head = 3
	n_embd = 48
else: n_head = 1
out_dir = 'crlf'
