resume_from = None
seed_offset = 3
seed = 1337 + seed_offset
init_from = 'scratch' if resume_from is None else resume_from
out_dir = resume_from or 'out-new'
compile = resume_from is not None and True
dataset = 'shakespeare' if out_dir in ('out-new', 'out-old') else 'openwebtext'
