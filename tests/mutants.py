#!/usr/bin/env python3
"""mutants.py: would the tests notice if one place of the program were wrong? Draws changes of one place (an operator, a
constant, a bound, a statement that is dropped) in common/, cpu/ and opencl/kernels/ by a fixed seed, uniformly over the
lines that have any, and others in the C files of opencl/; builds each in a copy of the sources; and runs the suites that reach the line, the quickest first,
until a test fails. Which suites reach a line is in reached.json, which tests/coverage.py makes; without it only those run
that are meant for the file (KNOWING).

    python3 tests/mutants.py list [N]               the first N changes
    python3 tests/mutants.py run [N [MINUTES]]      judges those of the first N in C, for so many minutes; needs a build
    python3 tests/mutants.py kernels [N [MINUTES]]  those in kernels, which take longest and which run leaves out
    python3 tests/mutants.py opencl [N [MINUTES]]   the first N of opencl/'s C files; their numbers begin at 1000
    python3 tests/mutants.py again [NUMBER ...]     those that survived, or these, once more, with the tests as they are now
    python3 tests/mutants.py table [N]              of those below 1000 the first N that count, and all others, by wing; and all
                                                    that survived

The copy is made once, at the first `run`, and the changes are drawn from it; `rm -r build/mutants*` begins anew. Not drawn:
headers, text in strings, what only frees memory (the sanitizers watch that). A change that does not compile, or that
compiles to the same code, is no mutant, and does not count. A changed file is compiled with less optimisation than
`make` does, and tests get one thread.
"""
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time

SEED, DRAWN, OPENCL_FROM = 21, 600, 1000
WORK = "build/mutants"
TREE, GOOD, RESULTS = WORK + "/tree", WORK + "/good", "build/mutants.jsonl"
MOST_SECONDS = 30  # of suites a mutant, by the processor time that they took under gcov; beside those in KNOWING
PROCESS_SECONDS = 100  # of processor time for one process, that is for one test; it ends what would never end
OPTIMISE = "-g0 -O1 -w"
REACHED = "build-cov/reached.json"

# Suites (SUITE/CASE) for kernels, which gcov does not see, by the beginning of the file's name; the first that fits.
KERNEL_SUITES = [
    ("attention_gpu", "opencl_attention/one opencl_attention/float32 opencl_attention/bits"),
    ("attention_common", "opencl_attention/one opencl_attention/float32 opencl_attention/units opencl_attention/bits"),
    ("attention_mma", "opencl_attention/units opencl_attention/bits"),
    ("attention", "opencl/toy opencl/opencl opencl_golden opencl_batch"),
    ("product", "opencl_product/toy opencl_ends opencl_product/products opencl_product/stored opencl_bf16/ops"),
    ("mma_ptx", "opencl_product opencl_attention/units"),
    ("gelu", "opencl/toy opencl_ends opencl_bf16/ops opencl/opencl"),
    ("bf16", "opencl_bf16/ops opencl_home/opencl_home"),
    ("", "opencl/toy opencl_bf16/ops opencl/opencl opencl_home/opencl_home opencl_generate opencl/head opencl/limits opencl_golden opencl_batch"),
]

# Suites that know the right values of a file or of a wing, by the beginning of its name; the first that fits. They are run
# first, in this order, also where gcov does not know that they reach the line.
KNOWING = [
    ("common/base/rng", "rng sample golden_runs/train"), ("common/base/terminal", "terminal report"),
    ("common/base/progress", "progress"), ("common/base/nearest", "words config"), ("common/base/utf8", "tokenizer_folder config"),
    ("common/base/processes", "shards script/processes"), ("common/base/mapped_file", "data safetensors token_file"),
    ("common/base", "host run_log runs"),
    ("common/config/help", "options config script/docs"), ("common/config/config_command", "options config words"),
    ("common/config", "config_language config_python config config_show options"),
    ("common/graph/nanogpt", "nanogpt"), ("common/graph/fit", "fit/search choice/rule plan_command"),
    ("common/graph/precision", "bf16 plan/gpt2"), ("common/graph/cost", "plan/gpt2 schedule choice/rule plan_command"),
    ("common/graph/gpt_params", "rng golden_runs/train checkpoint plan/gpt2"), ("common/graph", "plan golden_runs/train choice/rule"),
    ("common/text/pickle", "meta_pickle"), ("common/text/meta_pickle", "meta_pickle"),
    ("common/text/tokenizer", "tokenizer_folder tokenizer tokenizer_files data prepare"), ("common/text/word_counts", "prepare tokenizer"),
    ("common/text", "data prepare token_file words"),
    ("common/save/run_log", "run_log"), ("common/save/safetensors", "safetensors"),
    ("common/save/checkpoint", "checkpoint runs golden_runs/train"), ("common/save", "runs resume run_log script/folders"),
    ("common/report", "report chart script/folders"),
    ("common/run/generate", "sample golden_runs/sample"), ("common/run/sample", "golden_runs/sample generate"),
    ("common/run/nonfinite", "nonfinite"), ("common/run/resume", "resume"), ("common/run/shape", "config_show schedule golden_runs/train"),
    ("common/run/eval", "golden_runs"), ("common/run/calibrate", "schedule plan_command fit/cost"),
    ("common/run", "golden_runs schedule host script/terminal script/resume"),
    ("common/commands/plan_nanogpt", "nanogpt/command script/docs"), ("common/commands/plan", "plan_command nanogpt/command script/docs"),
    ("common/commands/equivalence", "equivalence/command equivalence/whole"), ("common/commands/gradcheck", "gradcheck/cpu"),
    ("common/commands/grads", "script/resume"), ("common/commands/bench", "script/bench"),
    ("common/commands/devices_check", "gradcheck/command"),
    ("cpu/gemm", "gemm ops_step ops generate lanes/lanes"), ("cpu", "ops ops_step bf16 golden_runs/train generate lanes/lanes"),
    ("common/main", "script/docs"),
    ("opencl/tune", "opencl_rates opencl_tune opencl_product/products"),
    ("opencl/params", "opencl_tune"), ("opencl/product", "opencl_product opencl_ends opencl_rates opencl_bf16"),
    ("opencl/attention", "opencl/toy opencl_attention"), ("opencl/device/choose", "opencl_choose"),
    ("opencl/device", "opencl_program opencl_choose opencl_close"), ("opencl", "opencl/toy opencl_home opencl_golden"),
    ("", ""),
]
# What may notice a change in opencl/ whatever the file: gcov, which would slow the kernels' launches down, is not asked.
OPENCL_SUITES = ("opencl_choose opencl_close opencl_program opencl/toy opencl/limits opencl_strict opencl_ends opencl_home opencl_bf16 "
                 "opencl_generate opencl_golden opencl_batch opencl_tune opencl_rates opencl script/strict script/outside_count").split()

OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+": "-", "-": "+",
         "*": "+", "/": "*", "%": "/", "+=": "-=", "-=": "+=", "*=": "=", "/=": "*=", "|=": "=", "<<": ">>", ">>": "<<",
         "++": "--", "--": "++", "&": "|", "|": "&"}
TOKEN = re.compile(r"0[xX][0-9a-fA-F.]+(?:[pP][-+]?\d+)?\w*|\d+\.?\d*(?:[eE][-+]?\d+)?\w*|\w+|<<=|>>=|->|\+\+|--|<<|>>|[<>=!]=|&&|\|\||"
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


def sources(tree, folders):
    listed = subprocess.run("find %s -name '*.c' -o -name '*.cl' | LC_ALL=C sort" % folders, shell=True, cwd=tree,
                            capture_output=True, text=True, check=True)
    return listed.stdout.split()


def draw():
    """DRAWN changes, each (number, file, line from 1, begin, end, new text), and as many of opencl/'s C files."""
    return draw_from("common cpu opencl/kernels", 0) + draw_from("opencl/*.c opencl/device opencl/tune", OPENCL_FROM)


def draw_from(folders, from_number):
    places, tree = [], GOOD if os.path.exists(GOOD) else "."
    for f in sources(tree, folders):
        for i, line in enumerate(blanked(open(tree + "/" + f).read()).split("\n")):
            changes = changes_of(line)
            if changes:
                places.append((f, i + 1, changes))
    rng = random.Random(SEED)
    rng.shuffle(places)
    return [(n, f, line) + rng.choice(changes) for n, (f, line, changes) in enumerate(places[:DRAWN], from_number)]


def changed(text, line, begin, end, new):
    lines = text.split("\n")
    was = lines[line - 1]
    lines[line - 1] = was[:begin] + new + was[end:]
    return "\n".join(lines), was.strip(), lines[line - 1].strip()


def shell(command, where=None):
    return subprocess.run(command, shell=True, cwd=where, capture_output=True, text=True, check=False)


def copy_tree():
    """Sources and objects, which `make all tests` has made. GOOD has the sources as they stand, and gets the objects that
    changes replace."""
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(TREE + "/build")
    done = shell("tar cf - --exclude='./build*' --exclude=./.git . | tar xf - -C %s && cp -a build/obj build/flags build/build_id "
                 "build/suites.h build/kernels.c build/preload_*.so build/snug build/tests %s/build/" % (TREE, TREE))
    if done.returncode != 0:
        sys.exit("the copy does not build " + done.stderr)
    os.makedirs(GOOD)
    shell("cp -a common cpu opencl %s/" % GOOD)


def begin():
    """The tree without what an interrupted run left in it; and what reached.json says."""
    if not os.path.exists(GOOD):
        copy_tree()
    shell("cp -a %s/common %s/cpu %s/opencl %s/ && cd %s && find . -name '*.o' -exec cp --parents {} %s/build/obj/ ';'" % (
        GOOD, GOOD, GOOD, TREE, GOOD, os.path.abspath(TREE)))
    return json.load(open(REACHED)) if os.path.exists(REACHED) else {"suites": {}, "lines": {}}


def objects_of(f):
    """[(object, what its command has beside the flags)]"""
    if f.endswith(".cl"):
        return [("kernels.o", "build/kernels.c")]
    if f.startswith("cpu/") and os.path.exists("%s/build/obj/%s.f32.o" % (TREE, f[:-2])):
        return [("%s.f%d.o" % (f[:-2], 8 * n), "-DREAL_BYTES=%d %s" % (n, f)) for n in (4, 8)]
    return [(f[:-2] + ".o", f)]


def flags_and_libraries():
    """The compiler with its flags, the libraries, and the name of MPI's; what a build depends on, as the Makefile says it."""
    return [part.strip() for part in open(TREE + "/build/flags").read().split(" / ")]


def compile_objects(f):
    """Without make, which asks the compiler many things first."""
    flags, _, mpi = flags_and_libraries()
    if f.endswith(".cl"):
        embedded = "opencl/kernels/*.cl common/base/philox.h"
        if shell("sh opencl/embed.sh build/kernels.c %s" % embedded, TREE).returncode != 0:
            return False
    flags += {"common/base/version.c": " -DSNUG_VERSION='\"0\"' -DSNUG_BUILD='\"0\"'",
              "common/base/processes.c": """ -DSNUG_MPI='"%s"' $(pkg-config --cflags ompi-c)""" % mpi}.get(f, "")
    return all(shell("%s %s -c -o build/obj/%s %s" % (flags, OPTIMISE, o, what), TREE).returncode == 0 for o, what in objects_of(f))


def keep_good(f):
    """GOOD gets f's objects, compiled as the changed ones will be; they stand in the tree from then on."""
    for o, _ in objects_of(f):
        if not os.path.exists("%s/%s" % (GOOD, o)):
            if not compile_objects(f):
                sys.exit("does not compile as it stands: " + f)
            os.makedirs(os.path.dirname("%s/%s" % (GOOD, o)), exist_ok=True)
            shutil.copyfile("%s/build/obj/%s" % (TREE, o), "%s/%s" % (GOOD, o))


def put_back(f):
    for o, _ in objects_of(f):
        shutil.copyfile("%s/%s" % (GOOD, o), "%s/build/obj/%s" % (TREE, o))


def same_code(f):
    def code(path):
        return open(path, "rb").read()
    return all(code("%s/build/obj/%s" % (TREE, o)) == code("%s/%s" % (GOOD, o)) for o, _ in objects_of(f))


def link(program):
    """True, or False: with `tests`, all but main; with `snug`, all but the tests."""
    flags, libraries, _ = flags_and_libraries()
    which, check = {"tests": ("build/obj/common/main.o", "$(pkg-config --libs check) "), "snug": ("build/obj/tests/*", "")}[program]
    fast = "-fuse-ld=gold" if shutil.which("ld.gold") else ""
    return shell("%s %s -s -o build/%s $(find build/obj -name '*.o' ! -path '%s') %s-Wl,--as-needed %s -lstdc++" % (
        flags, fast, program, which, check, libraries), TREE).returncode == 0


def suites_for(reached, f, line):
    """Those that could notice; those that know the file first, then the quickest."""
    if f.endswith(".cl"):
        name = os.path.basename(f)
        return next(x for begin, x in KERNEL_SUITES if name.startswith(begin)).split()
    chosen = next(x for begin, x in KNOWING if f.startswith(begin)).split()
    if f.startswith("opencl/"):
        return chosen + [s for s in OPENCL_SUITES if s not in chosen]
    code = sorted(map(int, reached["lines"].get(f, {})))
    line = next((l for l in code if l >= line), line)  # a constant's line has no code of its own
    left = MOST_SECONDS
    for seconds, name in sorted((s["seconds"], name) for name, s in reached["suites"].items()):
        reaches = reached["suites"][name]["passed"] and line in reached["suites"][name]["lines"].get(f, [])
        if reaches and seconds <= left and name not in chosen:
            chosen.append(name)
            left -= seconds
    return chosen


def environment(f):
    quickly = {} if f.startswith("opencl/") and f.endswith(".c") else {"POCL_EXTRA_BUILD_FLAGS": "-cl-opt-disable"}
    return dict(os.environ, **quickly, XDG_CACHE_HOME=os.path.abspath(TREE + "/cache"), POCL_CACHE_DIR=os.path.abspath(TREE + "/pocl"),
               OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="1", SNUG="build/snug",
               BUILD="build", CK_DEFAULT_TIMEOUT="300", CK_TIMEOUT_MULTIPLIER="6", CK_TAP_LOG_FILE_NAME="tap", CK_VERBOSITY="silent")


def failure(suite, f):
    """"", or what Check says of the first test that fails, "status N" of a script, or "time": it did not end in time."""
    env = environment(f)
    if suite.startswith("script/"):
        command = ["sh", "tests/%s.sh" % suite[7:]]
    else:
        name, _, case = suite.partition("/")
        command = ["build/tests", name]
        if case:
            env["CK_RUN_CASE"] = case
    tap = TREE + "/tap"
    if os.path.exists(tap):
        os.remove(tap)
    p = subprocess.Popen(command, cwd=TREE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                         start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (PROCESS_SECONDS, PROCESS_SECONDS)))
    end = time.time() + 1800
    try:
        ended = False
        while not ended:
            time.sleep(0.05)
            ended = p.poll() is not None
            failed = re.search(r"^not ok.*", open(tap, errors="replace").read(), re.M) if os.path.exists(tap) else None
            if failed:
                return failed.group(0)
            if time.time() > end:
                return "time"
        return "" if p.returncode == 0 else "status %d" % p.returncode
    finally:
        try:
            os.killpg(p.pid, 9)
        except ProcessLookupError:
            pass
        p.wait()


def judge(mutant, reached):
    number, f, line, begin, end, new = mutant
    path = TREE + "/" + f
    keep_good(f)
    good = open(GOOD + "/" + f).read()
    text, was, now = changed(good, line, begin, end, new)
    result = {"number": number, "file": f, "line": line, "was": was, "now": now}
    start = os.times()
    ran, program = [], False
    try:
        open(path, "w").write(text)
        if not compile_objects(f):
            return dict(result, verdict="does not compile")
        if same_code(f):
            return dict(result, verdict="same code")
        suites = suites_for(reached, f, line)
        if not link("tests"):
            return dict(result, verdict="does not compile")
        for suite in suites:
            if suite.startswith("script/") and not program:
                program = link("snug")
            ran.append(suite)
            why = failure(suite, f)
            if why:
                result.update(verdict="noticed", by=suite, why=why, ran=len(ran))
                break
        else:
            result.update(verdict="survived" if suites else "not reached", ran=ran)
        used = os.times()
        return dict(result, seconds=round(used.children_user + used.children_system - start.children_user - start.children_system, 1))
    finally:
        open(path, "w").write(good)
        put_back(f)
        shutil.rmtree(TREE + "/cache", ignore_errors=True)
        if f.endswith(".cl"):
            shutil.rmtree(TREE + "/pocl", ignore_errors=True)


def results():
    """The last of each number."""
    if not os.path.exists(RESULTS):
        return []
    return list({r["number"]: r for r in map(json.loads, open(RESULTS))}.values())


def keep(r):
    with open(RESULTS, "a") as out:
        out.write(json.dumps(r) + "\n")
    print("%3d %s:%d %s -> %s: %s %s %s" % (r["number"], r["file"], r["line"], r["was"][:60], r["now"][:60], r["verdict"],
                                           r.get("by", ""), r.get("seconds", "")), flush=True)


def counts(r):
    return r["verdict"] not in ("does not compile", "same code")


def run(first, minutes, command):
    """command: which of them."""
    began = time.time()
    reached = begin()
    first_number = OPENCL_FROM if command == "opencl" else 0
    for mutant in draw():
        if not 0 <= mutant[0] - first_number < first or mutant[1].endswith(".cl") != (command == "kernels"):
            continue
        if mutant[0] in {r["number"] for r in results()}:
            continue
        if time.time() - began > 60 * minutes:
            break
        keep(judge(mutant, reached))


def again(numbers):
    """With the tests as they are now: their objects and scripts are copied from this build."""
    shell("cp -a tests %s/ && cp -a build/obj/tests %s/build/obj/" % (TREE, TREE))
    reached = begin()
    drawn = {m[0]: m for m in draw()}
    for old in results():
        if old["number"] in numbers or not numbers and old["verdict"] in ("survived", "not reached"):
            keep(judge(drawn[old["number"]], reached))


def wing(name):
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] != "cpu" and len(parts) > 2 else parts[0]


def table(first):
    sums = {}
    counting = sorted(filter(counts, results()), key=lambda r: r["number"])
    counting = [r for r in counting if r["number"] < OPENCL_FROM][:first] + [r for r in counting if r["number"] >= OPENCL_FROM]
    for r in counting:
        for w in (wing(r["file"]), "all"):
            s = sums.setdefault(w, [0, 0])
            s[0] += 1
            s[1] += (r["verdict"] == "noticed")
    print("| wing | mutants | noticed |\n|---|---|---|")
    for w in sorted(sums, key=lambda x: (x == "all", x)):
        print("| %s | %d | %d (%.0f %%) |" % (w, sums[w][0], sums[w][1], 100 * sums[w][1] / sums[w][0]))
    for r in counting:
        if r["verdict"] in ("survived", "not reached"):
            print("%d %s:%d %s\n    %s\n    %s" % (r["number"], r["file"], r["line"], r["verdict"], r["was"], r["now"]))


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    command, numbers = (sys.argv[1:2] or [""])[0], [float(x) for x in sys.argv[2:]]
    if command == "list":
        where = GOOD if os.path.exists(GOOD) else "."
        for m in draw()[:int((numbers + [200])[0])]:
            print(m[0], "%s:%d" % m[1:3], " -> ".join(changed(open(where + "/" + m[1]).read(), *m[2:])[1:]))
    elif command in ("run", "kernels", "opencl"):
        run((numbers + [200])[0], numbers[1] if len(numbers) > 1 else 1e9, command)
    elif command == "again":
        again(numbers)
    elif command == "table":
        table(int((numbers + [200])[0]))
    else:
        sys.exit(__doc__)
