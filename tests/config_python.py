"""config_python.py: what Python itself makes of config files and expressions, for test_config_python.c.

config_python.py files DEFAULTS FOLDER FILE...   executes DEFAULTS and then each FILE, as nanoGPT's configurator does,
                                                 and compares each setting with the line of FOLDER/FILE's name
config_python.py expressions COUNT DEFAULTS      prints expressions, each with a tab and its repr behind it; "!" where
                                                 Python fails
"""
import ast
import contextlib
import importlib.abc
import importlib.machinery
import io
import os
import random
import sys
import types


class Anything(types.ModuleType):
    """Stands for a module that is not here: has every name, and whatever is called says yes."""
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__") and name != "__name__":
            raise AttributeError(name)
        return Anything(name)

    def __call__(self, *_, **__):
        return True


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        return Anything(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.append(Absent())
sys.modules["torch"] = Anything("torch")  # also where it is: snug takes it that there is a GPU


def run(path, names):
    with open(path, encoding="utf-8") as f, contextlib.redirect_stdout(io.StringIO()):
        exec(compile(f.read(), path, "exec"), names)
    return names


def compare(defaults, folder, paths):
    faults = 0
    for path in paths:
        names = run(path, run(defaults, {}))
        with open(os.path.join(folder, os.path.basename(path)), encoding="utf-8") as f:
            lines = f.read().splitlines()
        for line in lines:
            key, _, text = line.partition(" = ")
            got, expected = ast.literal_eval(text), names[key]
            if key == "device" and got == "auto" and expected == "cuda":  # auto takes the GPU that was asked for
                continue
            if got != expected or isinstance(got, bool) != isinstance(expected, bool):
                print(f"{path}: {key} is {expected!r}, but snug reads {got!r}")
                faults += 1
        if len(lines) < 30:
            print(f"{path}: only {len(lines)} settings")
            faults += 1
    return faults


# ---- expressions ----

NAMES = "n_layer n_head batch_size learning_rate dropout dataset bias decay_lr".split()
STRINGS = ["'a'", "'b c'", '"it\'s"', "''", "'x' 'y'", "r'\\n'", "'\\n\\x41\\t'", "'\u00e4'", "'12'", "'\\101\\\\'"]
NUMBERS = "0 1 2 3 7 12 64 1000 1_000 0xC 0b101 0o17 2.5 .5 3. 1e-3 6e-4 1e16 1e22 0.1 9007199254740993 4611686018427387905".split()
EXPONENTS = "0 1 2 3 -1 -2 0.5 -0.5 True".split()
SHIFTS = "0 1 3 62 -1 True".split()
SPECS = ["", ":d", ":5", ":05", ":<6", ":^7", ":*>9", ":.2f", ":.0e", ":.3g", ":+", ":,", ":e", ":%", ":x", ":>8.3f",
         "!r", "!s", "!r:>9", "=", ": d", ":012.3f", ":.1%", ":,.2f", ":s", ":<06"]


def expression(r, depth):
    def e():
        return expression(r, depth - 1)
    if depth == 0 or r.random() < 0.1:
        return r.choice(NUMBERS + NAMES + STRINGS + ["True", "False", "None"])
    kind = r.randrange(13)
    if kind < 5:
        o = r.choice(["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^"])
        if o == "**":  # never of large exponents: Python would compute millions of digits
            return f"({e()}) ** {r.choice(EXPONENTS)}"
        return f"{e()} {o} {r.choice(SHIFTS) if o == '<<' else e()}"
    if kind == 5:
        return f"({e()})"
    if kind == 6:
        return r.choice(["-", "+", "~", "not ", "--"]) + e()
    if kind == 7:
        return f"{e()} {r.choice(['<', '<=', '>', '>=', '==', '!='])} {e()}" + r.choice(["", "", f" < {e()}", f" != {e()}"])
    if kind == 8:
        return f"{e()} {r.choice(['and', 'or'])} {e()}"
    if kind == 9:
        return f"{e()} if {e()} else {e()}"
    if kind == 10:
        f = r.choice(["int", "float", "str", "bool", "abs", "round", "repr", "len", "min", "max", "pow"])
        second = ", " + e() if f in ("min", "max") else ", " + r.choice(EXPONENTS) if f == "pow" else ""
        return f"{f}({e()}{second})"
    if kind == 11:
        inner = e()
        if any(c in inner for c in "'\"\\{}#"):
            inner = r.choice(NAMES)
        return f"f'<{{{inner}{r.choice(SPECS)}}}>{{{{'"
    return f"{e()} {r.choice(['in', 'not in'])} ({e()}, {e()})"


def expressions(count, names):
    r = random.Random(23)
    done = 0
    while done < count:
        text = expression(r, r.randrange(1, 5))
        try:
            v = eval(text, dict(names))
            if isinstance(v, complex) or (isinstance(v, float) and abs(v) == float("inf")):
                continue
            if isinstance(v, str) and (len(v) > 200 or not v.isprintable()):
                continue
            if isinstance(v, int) and abs(v) > 2**63 - 1:
                continue
            result = repr(v)
        except Exception:
            result = "!"
        print(f"{text}\t{result}")
        done += 1


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    if sys.argv[1] == "files":
        sys.exit(1 if compare(sys.argv[2], sys.argv[3], sys.argv[4:]) else 0)
    expressions(int(sys.argv[2]), run(sys.argv[3], {}))
