#!/usr/bin/env python3
"""mutants.py: would the tests notice if one place of the program were wrong? Draws changes of one place (an operator, a
constant, a bound, a statement that is dropped) in common/, cpu/ and opencl/kernels/ by a fixed seed, uniformly over the
lines that have any; builds each in a copy of the sources; and runs the suites that reach the line, the quickest first,
until one fails. Which suites reach a line is in reached.json, which tests/coverage.py makes.

    python3 tests/mutants.py list [N]               the first N changes
    python3 tests/mutants.py run [N [MINUTES]]      goes on until N are judged, or for so many minutes
    python3 tests/mutants.py again                  those that survived, once more
    python3 tests/mutants.py table                  by wing, and all that survived

Not drawn: headers, text in strings, what only frees memory (the sanitizers watch that). A change that does not compile,
or that compiles to the same code, is no mutant, and the next one takes its place.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

SEED, DRAWN = 21, 600
WORK = "build/mutants"
TREE, GOOD, RESULTS = WORK + "/tree", WORK + "/good", WORK + "/results.jsonl"
MOST_SECONDS = 60  # of suites a mutant, by the processor time that they took under gcov; at least one runs
REACHED = "build-cov/reached.json"

# Suites (SUITE/CASE) for kernels, which gcov does not see, by the beginning of the file's name; the first that fits.
KERNEL_SUITES = [
    ("attention_gpu", "opencl_attention/one opencl_attention/float32"),
    ("attention_common", "opencl_attention/one opencl_attention/float32 opencl_attention/mma"),
    ("attention_mma", "opencl_attention"),
    ("attention", "opencl/toy gradcheck/opencl opencl_golden"),
    ("product", "opencl_product opencl_ends opencl_bf16"),
    ("mma_ptx", "opencl_product"),
    ("", "opencl/toy opencl_bf16 opencl_home opencl/limits opencl_golden opencl_batch opencl_ends"),
]

OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+": "-", "-": "+",
         "*": "+", "/": "*", "%": "/", "+=": "-=", "-=": "+=", "*=": "=", "/=": "*=", "|=": "=", "<<": ">>", ">>": "<<",
         "++": "--", "--": "++", "&": "|", "|": "&"}
TOKEN = re.compile(r"0[xX][0-9a-fA-F]+\w*|\d+\.?\d*(?:[eE][-+]?\d+)?\w*|\w+|<<=|>>=|->|\+\+|--|<<|>>|[<>=!]=|&&|\|\||"
                   r"[-+*/%&|^]=|\S")
DROPPED = re.compile(r"^(?!return|break|continue|goto|case|default|else|static|const|struct|typedef|enum|extern|free\b|"
                     r"\w*(_free|close|Delete|_release|Release\w*)\b|\(void\)|[a-zA-Z_]\w*\s+\**[a-zA-Z_])"
                     r"[*(a-zA-Z_].*;$")


def blanked(text):
    """The text with spaces for comments, strings, characters and preprocessor lines, so that places stay."""
    def spaces(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text, flags=re.S)
    return re.sub(r"^[ \t]*#[^\n]*", spaces, text, flags=re.M)


def changes_of(line):
    """[(begin, end, new text)] of one line of a blanked text."""
    found = []
    for m in TOKEN.finditer(line):
        t = m.group(0)
        binary = line[m.end():m.end() + 1] == " " and line[m.start() - 1:m.start()] == " "
        if t == "!":
            found.append((m.start(), m.end(), ""))
        elif t in ("++", "--") or t in OTHER and binary:
            found.append((m.start(), m.end(), OTHER[t]))
        elif re.match(r"\d+[uUlL]*$", t):
            n, suffix = re.match(r"(\d+)(\w*)", t).groups()
            found.append((m.start(), m.end(), "%d%s" % (int(n) + 1, suffix)))
            if int(n):
                found.append((m.start(), m.end(), "%d%s" % (int(n) - 1, suffix)))
        elif re.match(r"\d+(\.|[eE])", t):
            found.append((m.start(), m.end(), "(2 * %s)" % t if float(t.rstrip("fF")) else "1.0f"))
    text = line.strip()
    if DROPPED.match(text) and text.count("(") == text.count(")"):
        found.append((len(line) - len(line.lstrip()), len(line.rstrip()), ";"))
    return found


def sources():
    listed = subprocess.run(["git", "ls-files", "common", "cpu", "opencl/kernels"], capture_output=True, text=True, check=True)
    return [f for f in listed.stdout.split() if f.endswith((".c", ".cl"))]


def draw():
    """DRAWN changes, each (number, file, line from 1, begin, end, new text)."""
    places = []
    for f in sources():
        for i, line in enumerate(blanked(open(f).read()).split("\n")):
            changes = changes_of(line)
            if changes:
                places.append((f, i + 1, changes))
    rng = random.Random(SEED)
    rng.shuffle(places)
    return [(n, f, line) + rng.choice(changes) for n, (f, line, changes) in enumerate(places[:DRAWN])]


def changed(text, line, begin, end, new):
    lines = text.split("\n")
    was = lines[line - 1]
    lines[line - 1] = was[:begin] + new + was[end:]
    return "\n".join(lines), was.strip(), lines[line - 1].strip()


def make(*targets):
    done = subprocess.run(["make", "-s", "-C", TREE, "DEPS=0", "SANITIZE=0", "BUILD=build", "CFLAGS=-g0"] + list(targets),
                          capture_output=True, text=True, check=False)
    return done.returncode == 0


def copy_tree():
    shutil.rmtree(WORK + "/tree", ignore_errors=True)
    os.makedirs(TREE + "/build")
    subprocess.run("tar cf - --exclude='./build*' --exclude=./.git . | tar xf - -C " + TREE, shell=True, check=True)
    if not make("all", "tests"):
        sys.exit("the copy does not build")
    shutil.rmtree(GOOD, ignore_errors=True)
    shutil.copytree(TREE, GOOD)


def suites_for(reached, f, line):
    """[(suite, seconds)]: those that could notice, the quickest first."""
    if f.endswith(".cl"):
        name = os.path.basename(f)
        return [(s, 60) for s in next(x for begin, x in KERNEL_SUITES if name.startswith(begin)).split()]
    found = [(s["seconds"], name) for name, s in reached["suites"].items() if line in s["lines"].get(f, []) and s["passed"]]
    chosen = []
    for seconds, name in sorted(found):
        if not chosen or sum(s for _, s in chosen) + seconds <= MOST_SECONDS:
            chosen.append((name, seconds))
    return chosen


def passes(suite, seconds):
    """True, False, or None: it did not end in time."""
    env = dict(os.environ, XDG_CACHE_HOME=os.path.abspath(TREE + "/cache"), OMP_WAIT_POLICY="passive", SNUG="build/snug",
               BUILD="build", CK_DEFAULT_TIMEOUT="120")
    if suite.startswith("script/"):
        command = ["sh", "tests/%s.sh" % suite[7:]]
    else:
        name, _, case = suite.partition("/")
        command = ["build/tests", name]
        if case:
            env["CK_RUN_CASE"] = case
    try:
        p = subprocess.Popen(command, cwd=TREE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             stdin=subprocess.DEVNULL, start_new_session=True)
        return p.wait(timeout=30 + 10 * seconds) == 0
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        p.wait()
        return None


def code_of(f):
    """What the object files of f hold, without debugging information."""
    if f.endswith(".cl"):
        return None
    out = b""
    for kind in ("o", "f32.o", "f64.o"):
        o = "%s/build/obj/%s.%s" % (TREE, f[:-2], kind)
        if os.path.exists(o):
            subprocess.run(["objcopy", "--strip-debug", o, WORK + "/code.o"], check=True)
            out += open(WORK + "/code.o", "rb").read()
    return out


def judge(mutant, reached):
    number, f, line, begin, end, new = mutant
    path = TREE + "/" + f
    good = open(path).read()
    before = code_of(f)
    text, was, now = changed(good, line, begin, end, new)
    result = {"number": number, "file": f, "line": line, "was": was, "now": now}
    start = time.time()
    try:
        open(path, "w").write(text)
        if not make("tests"):
            return dict(result, verdict="does not compile")
        if before is not None and code_of(f) == before:
            return dict(result, verdict="same code")
        suites = suites_for(reached, f, line)
        ran = []
        program = False
        for suite, seconds in suites:
            if suite.startswith("script/") and not program:
                program = make("all")
            ran.append(suite)
            passed = passes(suite, seconds)
            if not passed:
                verdict = "noticed" if passed is False else "noticed by time"
                return dict(result, verdict=verdict, by=suite, ran=len(ran), seconds=round(time.time() - start))
        return dict(result, verdict="survived" if suites else "not reached", ran=ran, seconds=round(time.time() - start))
    finally:
        open(path, "w").write(good)
        put_back(f)


def put_back(f):
    """The objects that came out of a change are replaced by the good ones; the next build links anew."""
    names = ["build/kernels.c", "build/obj/kernels.o"] if f.endswith(".cl") else \
        ["build/obj/%s.%s" % (f[:-2], kind) for kind in ("o", "f32.o", "f64.o")]
    for name in names:
        if os.path.exists(GOOD + "/" + name):
            shutil.copyfile(GOOD + "/" + name, TREE + "/" + name)
    for name in ("snug", "tests"):
        if os.path.exists(TREE + "/build/" + name):
            os.utime(TREE + "/build/" + name, (0, 0))


def results():
    if not os.path.exists(RESULTS):
        return []
    return [json.loads(l) for l in open(RESULTS)]


def counts(r):
    return r["verdict"] not in ("does not compile", "same code")


def run(wanted, minutes):
    began = time.time()
    if not os.path.exists(TREE + "/build/tests"):
        copy_tree()
    reached = json.load(open(REACHED))
    had = {r["number"] for r in results()}
    judged = sum(map(counts, results()))
    for mutant in draw():
        if judged >= wanted or time.time() - began > 60 * minutes:
            break
        if mutant[0] in had:
            continue
        r = judge(mutant, reached)
        with open(RESULTS, "a") as out:
            out.write(json.dumps(r) + "\n")
        judged += counts(r)
        print("%3d %s:%d %s -> %s: %s %s" % (r["number"], r["file"], r["line"], r["was"][:60], r["now"][:60], r["verdict"],
                                            r.get("by", "")), flush=True)


def again():
    copy_tree()
    reached = json.load(open(REACHED))
    old = results()
    drawn = {m[0]: m for m in draw()}
    for i, r in enumerate(old):
        if r["verdict"] in ("survived", "not reached"):
            old[i] = judge(drawn[r["number"]], reached)
            print(old[i]["number"], old[i]["file"], old[i]["line"], old[i]["verdict"], old[i].get("by", ""), flush=True)
    with open(RESULTS, "w") as out:
        out.writelines(json.dumps(r) + "\n" for r in old)


def wing(name):
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] != "cpu" and len(parts) > 2 else parts[0]


def table():
    sums = {}
    for r in filter(counts, results()):
        for w in (wing(r["file"]), "all"):
            s = sums.setdefault(w, [0, 0])
            s[0] += 1
            s[1] += r["verdict"].startswith("noticed")
    print("| wing | mutants | noticed |\n|---|---|---|")
    for w in sorted(sums, key=lambda x: (x == "all", x)):
        print("| %s | %d | %d (%.0f %%) |" % (w, sums[w][0], sums[w][1], 100 * sums[w][1] / sums[w][0]))
    for r in results():
        if r["verdict"] in ("survived", "not reached"):
            print("%d %s:%d %s\n    %s\n    %s" % (r["number"], r["file"], r["line"], r["verdict"], r["was"], r["now"]))


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    command, numbers = (sys.argv[1:2] or [""])[0], [float(x) for x in sys.argv[2:]]
    if command == "list":
        for m in draw()[:int((numbers + [200])[0])]:
            print(m[0], "%s:%d" % m[1:3], " -> ".join(changed(open(m[1]).read(), *m[2:])[1:]))
    elif command == "run":
        run((numbers + [200])[0], (numbers + [200, 1e9])[1])
    elif command == "again":
        again()
    elif command == "table":
        table()
    else:
        sys.exit(__doc__)
