#!/bin/sh
# part.sh NAME: runs the command in $PART_RUN, which is a part of `make test`, and prints a line as it begins and one as
# it ends: how long such parts took where tests/part_seconds.txt was written, what became of it, and how far all is. Exit
# status 77 of the command means that nothing of it can be run here. What it says goes to build/parts/NAME.log, the
# seconds of each test of a suite to NAME.xml; of the log a part that passed shows how many checks and what was skipped,
# one that failed its end.
# part.sh: the sum of all parts that ran; what was skipped within parts that passed, as without Python, is
# counted there. $PARTS: their names. $PART_CORES: how many run side by side.
set -u
folder=build/parts seconds=tests/part_seconds.txt

if [ $# = 0 ]; then
    # Here "build/parts/results" has a line a part: its name, what became of it, its seconds, how much it skipped, and
    # the processor seconds that it took.
    awk -v parts="$PARTS" -v began="$(cat $folder/began)" -v now="$(date +%s)" '
        { n[$2]++; names[$2] = names[$2] " " $1; ran[$1] = 1 }
        { cpu += $5 }
        $2 == "passed" && $4 { within += $4; where = where ", " $1 " " $4 }
        END {
            for (i = split(parts, part); i > 0; i--) if (!ran[part[i]]) { n["left"]++; names["left"] = " " part[i] names["left"] }
            printf "== %d passed, %d skipped%s, %d failed%s", n["passed"], n["skipped"], names["skipped"] ? " (" substr(names["skipped"], 2) ")" : "",
                n["FAILED"], names["FAILED"] ? " (" substr(names["FAILED"], 2) ")" : ""
            if (n["left"]) printf ", %d not begun (%s)", n["left"], substr(names["left"], 2)
            if (within) printf "; %d skipped within parts that passed (%s)", within, substr(where, 3)
            printf "; %d s, %d of processor time\n", now - began, cpu
            exit n["FAILED"] || n["left"]
        }' $folder/results || { echo "== FAILED (alone again: make test-run PARTS=...)" >&2; exit 1; }
    echo "== all passed that ran"
    exit 0
fi

name=$1
log=$folder/$name.log
expected=$(awk -v name="$name" '$1 == name { print $2 }' $seconds)
echo "== $name begins${expected:+, about $expected s}"
began=$(date +%s) code=0
CK_XML_LOG_FILE_NAME=$PWD/$folder/$name.xml sh -c "$PART_RUN" >"$log" 2>&1 </dev/null || code=$?
took=$(($(date +%s) - began))
case $code in
0) word=passed ;;
77) word=skipped ;;
*) word=FAILED ;;
esac
times >"$folder/$name.times" # not in a pipe: that would be another process's
cpu=$(awk 'NR == 2 { split($1 "m" $2, t, /[ms]+/); print int(60 * (t[1] + t[3]) + t[2] + t[4] + 0.5) }' "$folder/$name.times")
echo "$name $word $took $(grep -i skipped "$log" | grep -vc '^note: ') $cpu" >>$folder/results
far=$(awk -v parts="$PARTS" -v cores="$PART_CORES" '
    FILENAME ~ /results$/ { done[$1] = 1; next }
    { expected[$1] = $2 }
    END {
        for (i = n = split(parts, part); i > 0; i--) if (done[part[i]]) ended++; else left += expected[part[i]]
        printf "%d of %d ended, about %d min to go", ended, n, (left / cores + 59) / 60
    }' $folder/results $seconds)
# In one piece, since other parts print as well.
printf '%s\n' "$({
    if [ $word = FAILED ]; then
        tail -n 100 "$log"
        echo "(the last 100 lines; all of them: $log)"
    else
        awk '/^[0-9]+%: Checks: / { checks += $3; next }
            tolower($0) ~ /skipped/
            END { if (checks) printf "%d checks\n", checks }' "$log"
    fi
    echo "-- $name $word, $took s ($cpu of processor time); $far"
})"
[ $word != FAILED ]
