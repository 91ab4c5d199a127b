#!/bin/sh
# check_wings.sh: does every wing of common/, and both backends, use only wings below it, and is there no circle of
# includes inside one? It reads the #include lines alone. Exit status 1 if anything was found. `make lint` runs it.
# usage: sh tests/check_wings.sh [FOLDER]      FOLDER: a tree other than this one
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1

# A line for every include of a file of ours: includer, included.
includes() {
    find common cpu opencl -name '*.[ch]' | sort |
        xargs awk '/^ *# *include *"/ { split($0, part, "\""); print FILENAME, part[2] }' /dev/null
}

includes | awk '
    # From the bottom up. A wing may use those before it; cpu and opencl know nothing of each other.
    BEGIN { n = split("base config graph opencl cpu text save report run commands main", order, " ")
            for (i = 1; i <= n; i++) height[order[i]] = i }
    # "common/graph/plan.c" and "graph/plan.h" are of wing graph; common/main.c is the wing main.
    function wing(path, part, k) {
        sub(/^common\//, "", path)
        k = split(path, part, "/")
        return path == "main.c" ? "main" : k == 1 ? "none" : part[1]
    }
    # A header and its source are one node: "graph/plan"
    function node(path) { sub(/^common\//, "", path); sub(/\.[ch]$/, "", path); return path }
    function next_left(x,   k, part) {
        k = split(uses[x], part, " ")
        while (!(part[k] in nodes)) k--
        return part[k]
    }
    function fault(text) { print "wings: " text > "/dev/stderr"; faults++ }
    {
        from = wing($1); to = wing($2)
        if (!(to in height)) { fault($1 " includes \"" $2 "\", which names no wing"); next }
        if (from != to && (height[to] > height[from] ||
                           (from == "cpu" && to == "opencl") ||
                           (to == "cpu" || to == "opencl") && from != "run"))
            fault($1 " includes \"" $2 "\": " from " may not use " to)
        if (from == to && node($1) != node($2) && !((node($1), node($2)) in seen)) {
            seen[node($1), node($2)] = 1
            uses[node($1)] = uses[node($1)] " " node($2)
            waits[node($1)]++
            users[node($2)] = users[node($2)] " " node($1)
            nodes[node($1)] = nodes[node($2)] = 1
        }
        lines++
    }
    # What uses nothing is taken away, again and again; what stays is on a circle, or uses one.
    END {
        if (!lines) fault("found no include at all: is this the right folder?")
        for (changed = 1; changed;) {
            changed = 0
            for (x in nodes) if (!waits[x]) {
                k = split(users[x], user, " ")
                for (i = 1; i <= k; i++) waits[user[i]]--
                delete nodes[x]
                changed = 1
            }
        }
        # From any of these, following what is used leads round a circle.
        for (x in nodes) break
        if (x in nodes) {
            for (steps = 0; !(x in at); x = next_left(x)) { at[x] = ++steps; path[steps] = x }
            for (i = at[x]; i <= steps; i++) circle = circle path[i] " -> "
            fault("a circle of includes: " circle x)
        }
        exit faults > 0
    }'
