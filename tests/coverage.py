#!/usr/bin/env python3
"""coverage.py: which lines and branches of common/ and cpu/ each suite reaches, by gcov. Needs a build for it:

    make BUILD=build-cov CFLAGS="--coverage -O1 -fprofile-update=single" all tests
    python3 tests/coverage.py run [N]     runs the suites (the next N that have not run yet), keeps build-cov/reached.json
    python3 tests/coverage.py table       by wing, and the longest stretches that nothing reaches

Counts are not atomic, which would take several times as long: suites get one thread, and where one starts more, a count
may be too low, but what was reached is not 0. tests/mutants.py takes from reached.json which suites could notice an error in a line.
"""
import glob
import gzip
import json
import os
import subprocess
import sys
import time

BUILD = "build-cov"
KEPT = BUILD + "/reached.json"
# Scripts that are quick, beside the suites of build/tests; SNUG is the program they run.
SLOW = ["fit", "lanes", "gradcheck", "golden", "equivalence", "script/bench", "script/bad_input"]
SCRIPTS = ["terminal", "docs", "kill", "folders", "saving", "faults", "resume", "bench", "bad_input"]


def suites():
    listed = subprocess.run([BUILD + "/tests", "?"], capture_output=True, text=True, check=False).stderr
    names = listed.split("the suites are:")[1].split()
    names = [n for n in names if not n.startswith("opencl")] + ["script/" + s for s in SCRIPTS]
    return sorted(names, key=lambda n: SLOW.index(n) if n in SLOW else -1)


def run_suite(name, fork):
    """fork: with a process for each test, as a few suites need; else the counts are written once, which is quicker."""
    env = dict(os.environ, SNUG=BUILD + "/snug", BUILD=BUILD, CK_TIMEOUT_MULTIPLIER="5", OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="1",
               CK_FORK="yes" if fork else "no")
    command = ["sh", "tests/%s.sh" % name[7:]] if name.startswith("script/") else [BUILD + "/tests", name]
    start = os.times()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    end = os.times()
    return done, sum(end[2:4]) - sum(start[2:4])


def gcov():
    """{file: {line: [count, [branch counts]]}} of all that ran since the counts were last removed."""
    found = {}
    data = [f for wing in ("common", "cpu") for f in glob.glob(BUILD + "/obj/" + wing + "/**/*.gcda", recursive=True)]
    for at in range(0, len(data), 50):
        out = subprocess.run(["gcov", "-b", "--json-format", "--stdout"] + data[at:at + 50], capture_output=True, check=True)
        for text in out.stdout.splitlines():
            if not text.startswith(b"{"):
                continue
            for file in json.loads(text)["files"]:
                name = os.path.normpath(file["file"])
                if not name.startswith(("common/", "cpu/")):
                    continue
                lines = found.setdefault(name, {})
                for l in file["lines"]:
                    entry = lines.setdefault(l["line_number"], [0, []])
                    entry[0] += l["count"]
                    branches = [b["count"] for b in l["branches"]]
                    if len(branches) > len(entry[1]):
                        entry[1] += [0] * (len(branches) - len(entry[1]))
                    for i, b in enumerate(branches):
                        entry[1][i] += b
    return found


def load():
    return json.load(open(KEPT)) if os.path.exists(KEPT) else {"suites": {}, "lines": {}}


def run(most):
    kept = load()
    for name in [n for n in suites() if n not in kept["suites"]][:most]:
        for data in glob.glob(BUILD + "/obj/**/*.gcda", recursive=True):
            os.remove(data)
        begin = time.time()
        done, seconds = run_suite(name, False)
        if done.returncode != 0:
            done, seconds = run_suite(name, True)
        reached = gcov()
        kept["suites"][name] = {
            "seconds": seconds, "passed": done.returncode == 0,
            "lines": {f: sorted(l for l, e in lines.items() if e[0]) for f, lines in reached.items()}}
        for f, lines in reached.items():
            for l, e in lines.items():
                entry = kept["lines"].setdefault(f, {}).setdefault(str(l), [0, []])
                entry[0] += e[0]
                entry[1] += [0] * (len(e[1]) - len(entry[1]))
                for i, b in enumerate(e[1]):
                    entry[1][i] += b
        json.dump(kept, open(KEPT + ".new", "w"))
        os.rename(KEPT + ".new", KEPT)
        print("%-20s %6.1f s of processor time, %4.0f s with gcov, %s" % (
            name, seconds, time.time() - begin, "passed" if done.returncode == 0 else "status %d" % done.returncode), flush=True)


def wing(name):
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == "common" and len(parts) > 2 else parts[0]


def table():
    kept = load()
    sums = {}
    for f, lines in kept["lines"].items():
        for e in lines.values():
            for w in (wing(f), "all"):
                s = sums.setdefault(w, [0, 0, 0, 0])
                s[0] += e[0] > 0
                s[1] += 1
                s[2] += sum(b > 0 for b in e[1])
                s[3] += len(e[1])
    print("| wing | lines | branches |\n|---|---|---|")
    for w in sorted(sums, key=lambda x: (x == "all", x)):
        s = sums[w]
        print("| %s | %.1f %% of %d | %.1f %% of %d |" % (w, 100 * s[0] / s[1], s[1], 100 * s[2] / max(s[3], 1), s[3]))
    stretches = []
    for f, lines in kept["lines"].items():
        missed = begin = 0
        for l in sorted(map(int, lines)) + [1 << 30]:
            if l < 1 << 30 and lines[str(l)][0] == 0:
                begin, missed = begin or l, missed + 1
            elif missed:
                stretches.append((missed, "%s:%d" % (f, begin)))
                begin = missed = 0
    for missed, where in sorted(stretches, reverse=True)[:60]:
        print(missed, where)


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
