#!/usr/bin/env python3
"""mutants.py: would the tests notice if one place of the program were wrong? Draws changes of one place (an operator, a
constant, a bound, a statement that is dropped) in common/, cpu/ and opencl/kernels/ by a fixed seed, uniformly over the
lines that have any; builds each in a copy of the sources; and runs the suites that reach the line, the quickest first,
until one fails. Which suites reach a line is in reached.json, which tests/coverage.py makes.

    python3 tests/mutants.py list [N]               the first N changes
    python3 tests/mutants.py run [N [MINUTES]]      goes on until N are judged, or for so many minutes; needs a build
    python3 tests/mutants.py kernels [N [MINUTES]]  those in kernels, which take longest and which run leaves out
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
TREE, GOOD, RESULTS = WORK + "/tree", WORK + "/good", "build/mutants.jsonl"
MOST_SECONDS = 15  # of suites a mutant, by the processor time that they took under gcov; beside those in FIRST
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

# Suites that come first where they reach the line, since they know the right values of that wing.
FIRST = {"cpu": "ops ops_step golden_runs", "common/graph": "plan golden_runs choice", "common/run": "golden_runs schedule",
         "common/save": "runs checkpoint safetensors golden_runs", "common/report": "report", "common/commands": "nanogpt fit choice"}

# Commands whose own tests take too long under gcov.
ALSO = {"common/commands/equivalence": "equivalence", "common/commands/gradcheck": "gradcheck/cpu",
        "common/commands/bench": "script/bench", "common/commands/devices_check": "opencl_golden"}

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


def shell(command, where=None):
    return subprocess.run(command, shell=True, cwd=where, capture_output=True, text=True, check=False)


def copy_tree():
    """Sources and objects, which `make all tests` has made; GOOD keeps the objects that changes replace."""
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(TREE + "/build")
    done = shell("tar cf - --exclude='./build*' --exclude=./.git . | tar xf - -C %s && cp -a build/obj build/flags build/build_id "
                 "build/suites.h build/kernels.c build/preload_*.so build/snug build/tests %s/build/ && cp -a %s/build %s" %
                 (TREE, TREE, TREE, GOOD))
    if done.returncode != 0 or not build("common/base/utf8.c") or not build_program():
        sys.exit("the copy does not build " + done.stderr)


def objects_of(f):
    """[(object, what its command has beside the flags)]"""
    if f.endswith(".cl"):
        return [("kernels.o", "build/kernels.c")]
    if f.startswith("cpu/") and os.path.exists("%s/build/obj/%s.f32.o" % (TREE, f[:-2])):
        return [("%s.f%d.o" % (f[:-2], 8 * n), "-DREAL_BYTES=%d %s" % (n, f)) for n in (4, 8)]
    return [(f[:-2] + ".o", f)]


def build(f):
    """Compiles what f is part of, and links the tests, without make, which asks the compiler many things first."""
    flags, libraries = open("build/flags").read().split(" / ")
    if f.endswith(".cl"):
        embedded = "opencl/kernels/*.cl common/base/philox.h"
        if shell("sh opencl/embed.sh build/kernels.c %s" % embedded, TREE).returncode != 0:
            return False
    for o, what in objects_of(f):
        if shell("%s -g0 -w -c -o build/obj/%s %s" % (flags, o, what), TREE).returncode != 0:
            return False
    return link("tests", "! -path 'build/obj/common/main.o'", flags, libraries)


def link(program, which, flags, libraries):
    check = "" if program == "snug" else "$(pkg-config --libs check) "
    return shell("%s -s -o build/%s $(find build/obj -name '*.o' %s) -Wl,--as-needed %s%s -lstdc++" % (
        flags, program, which, check, libraries.strip()), TREE).returncode == 0


def build_program():
    flags, libraries = open("build/flags").read().split(" / ")
    return link("snug", "! -path 'build/obj/tests/*'", flags, libraries)


def suites_for(reached, f, line):
    """[(suite, seconds)]: those that could notice, the quickest first."""
    if f.endswith(".cl"):
        name = os.path.basename(f)
        return [(s, 60) for s in next(x for begin, x in KERNEL_SUITES if name.startswith(begin)).split()]
    code = sorted(map(int, reached["lines"].get(f, {})))
    line = next((l for l in code if l >= line), line)  # a constant's line has no code of its own
    found = [(s["seconds"], name) for name, s in reached["suites"].items() if line in s["lines"].get(f, []) and s["passed"]]
    first = FIRST.get(wing(f), "").split()
    chosen = [(name, seconds) for seconds, name in sorted(found) if name in first]
    left = MOST_SECONDS
    for seconds, name in sorted(found):
        if name not in first and seconds <= left:
            chosen.append((name, seconds))
            left -= seconds
    return chosen + [(names, 30) for begin, names in ALSO.items() if f.startswith(begin)]


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


def same_code(f):
    """Do the object files of f hold what they held, but for debugging information?"""
    for o, _ in objects_of(f):
        for tree in (TREE, GOOD):
            stripped = "%s/%s.o" % (WORK, os.path.basename(tree))
            subprocess.run(["objcopy", "--strip-debug", ("%s/build/obj/" if tree == TREE else "%s/obj/") % tree + o, stripped], check=True)
        if open(WORK + "/tree.o", "rb").read() != open(WORK + "/good.o", "rb").read():
            return False
    return True


def judge(mutant, reached):
    number, f, line, begin, end, new = mutant
    path = TREE + "/" + f
    good = open(path).read()
    text, was, now = changed(good, line, begin, end, new)
    result = {"number": number, "file": f, "line": line, "was": was, "now": now}
    start = time.time()
    try:
        open(path, "w").write(text)
        if not build(f):
            return dict(result, verdict="does not compile")
        if same_code(f):
            return dict(result, verdict="same code")
        suites = suites_for(reached, f, line)
        ran = []
        program = False
        for suite, seconds in suites:
            if suite.startswith("script/") and not program:
                program = build_program()
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
    for o, _ in objects_of(f):
        shutil.copyfile("%s/obj/%s" % (GOOD, o), "%s/build/obj/%s" % (TREE, o))


def results():
    if not os.path.exists(RESULTS):
        return []
    return [json.loads(l) for l in open(RESULTS)]


def counts(r):
    return r["verdict"] not in ("does not compile", "same code")


def run(wanted, minutes, kernels):
    began = time.time()
    if not os.path.exists(GOOD + "/tests"):
        copy_tree()
    reached = json.load(open(REACHED))
    had = {r["number"] for r in results()}
    judged = sum(counts(r) and r["file"].endswith(".cl") == kernels for r in results())
    for mutant in draw():
        if mutant[1].endswith(".cl") != kernels:
            continue
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
    elif command in ("run", "kernels"):
        run((numbers + [200])[0], numbers[1] if len(numbers) > 1 else 1e9, command == "kernels")
    elif command == "again":
        again()
    elif command == "table":
        table()
    else:
        sys.exit(__doc__)
