"""A file with a docstring,
which goes on."""
out_dir = (
    'out-'
    'with-'   # joined
    "parts"
)
gradient_accumulation_steps = (
    5
    * 8
)
learning_rate = \
    3e-4
start = '''two
lines'''
