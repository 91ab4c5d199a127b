#!/bin/sh
# fuzz.sh: runs the fuzz targets that are given, each for FUZZ_SECONDS, from its seeds in tests/corpora; what it finds
# new it keeps under $BUILD. `make fuzz-run` builds them and calls this. A finding ends it, with the input's path.
set -eu
build=${BUILD:-build}
seconds=${FUZZ_SECONDS:-60}
for target in "$@"; do
    name=${target##*/fuzz_}
    mkdir -p "$build/corpora/$name"
    seeds=tests/corpora/$name
    if [ "$name" = config ]; then seeds="$seeds data/configs tests/configs"; fi
    # shellcheck disable=SC2086
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 "$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/finding-$name-" \
        "$build/corpora/$name" $seeds >"$build/fuzz-$name.log" 2>&1 || {
        tail -n 40 "$build/fuzz-$name.log" >&2
        echo "fuzz.sh: FAILED: $name; the input is $build/finding-$name-*" >&2
        exit 1
    }
    sed -n "s/^stat::number_of_executed_units: */fuzz $name: ran /p" "$build/fuzz-$name.log" | sed "s/\$/ inputs in $seconds s, nothing found/"
done
rm -rf /dev/shm/snug-fuzz-*
