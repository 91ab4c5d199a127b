root = r'C:\data\text'
dataset = root + '\x2fown' + "\u00e4" if 1 else "never"
start = "it's\t\"so\"\\ " 'and \101' + '-' * 5
out_dir = 'out_' + str(1e-05) + '_' + str(100000.0) + '_' + str(3) + str(True)
