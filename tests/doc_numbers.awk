# doc_numbers.awk: prints the numbers with a unit on a page that nobody could check: those that stand neither in the output
# of a command that docs.sh runs (the file `sources`), nor in a section, under headings or on a page's head that give a
# date and a machine, nor in `constants` (what a standard, a maker or snug itself lays down). One line each: LINE NUMBER UNIT.
# In tables a unit in a column's head counts for the column. Text in `code` is to be typed, and not looked at.
# usage: awk -v sources=FILE -v constants=FILE -f doc_numbers.awk PAGE

BEGIN {
    units = "(GiB|MiB|KiB|GB|MB|kB|bytes|bit|us|ms|s|seconds|min|minutes|GFLOP/s|TFLOP/s|tokens/s|GB/s)"
    number = "[0-9][0-9.,]*[0-9]|[0-9]"
    while ((getline line < sources) > 0) known = known " " line
    while ((getline line < constants) > 0) if (line !~ /^#/) known = known " " line " "
    gsub(/[^0-9.,A-Za-z\/]+/, " ", known)
    known = known " "
}

# Without `code` and where links lead; |, which separates cells, is no part of either.
function plain(text) {
    gsub(/`[^`]*`/, " ", text)
    gsub(/\]\([^)]*\)/, "]", text)
    return text
}

function is_known(value) {
    sub(/[.,]$/, "", value)
    return index(known, " " value " ") > 0
}

function report(at, value, unit) {
    sub(/[.,]$/, "", value)
    gsub(/[^A-Za-z\/]/, "", unit)
    if (!is_known(value)) print at, value, unit
}

# All "NUMBER UNIT" of a text.
function look(at, text,    found, value, unit) {
    while (match(text, "(^|[^A-Za-z0-9_.=-])(" number ") ?" units "([^A-Za-z0-9_/]|$)")) {
        found = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH - 1)
        match(found, number)
        value = substr(found, RSTART, RLENGTH)
        report(at, value, substr(found, RSTART + RLENGTH))
    }
}

# The cells of a row below heads that name a unit.
function look_in_row(at, text,    n, cells, i, value) {
    n = split(text, cells, "|")
    if (text ~ /^\|[-: |]+$/) return
    if (!in_table) {
        split("", unit_of)
        for (i = 2; i < n; i++)
            if (match(cells[i], "(^|[ (,])" units "([ ),;]|$)")) unit_of[i] = substr(cells[i], RSTART, RLENGTH)
        in_table = 1
        return
    }
    for (i = 2; i < n; i++)
        if ((i in unit_of) && match(cells[i], "^ *(" number ")")) {
            value = substr(cells[i], RSTART, RLENGTH)
            gsub(/ /, "", value)
            report(at, value, unit_of[i])
        }
}

{
    lines[NR] = $0
    if ($0 ~ /^```/) fenced = !fenced
    if (!fenced && match($0, /^#+ /)) {
        level = RLENGTH - 1
        section = ++sections
        for (i = level; i < 9; i++) above[i] = 0
        parent[section] = 0
        for (i = level - 1; i > 0; i--) if (above[i]) { parent[section] = above[i]; break }
        above[level] = section
    }
    of[NR] = section
    if ($0 ~ /20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]/) dated[section] = 1
    if ($0 ~ /EPYC|Xeon|H100|Zen 3/) named[section] = 1
}

END {
    for (at = 1; at <= NR; at++) {
        text = lines[at]
        if (text ~ /^```/) {
            console = !inside && text ~ /^```console/
            inside = !inside
            continue
        }
        if (inside && console) continue
        for (s = of[at]; s && !(dated[s] && named[s]); s = parent[s]);
        if (text !~ /^\|/) in_table = 0
        if (s) continue
        text = inside ? text : plain(text)
        if (text ~ /^\|/ && !inside) look_in_row(at, text)
        look(at, text)
    }
}
