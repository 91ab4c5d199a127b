#!/bin/sh
# apart.sh PROGRAM SUITE...: a few suites at a time, each few in a process of its own. With the sanitizers a process that
# has run many suites has become large, and each of its tests starts as a copy of it: all suites one after the other
# took 484 s of processor time so, and 164 s in fives. Exit status 1: a suite failed; the others have run all the same.
set -u
program=$1 xml=${CK_XML_LOG_FILE_NAME:-} failed=0 number=0
shift
while [ $# -gt 0 ]; do
    few=''
    number=$((number + 1))
    while [ $# -gt 0 ] && [ "$(echo "$few" | wc -w)" -lt 5 ]; do
        few="$few $1"
        shift
    done
    if [ -n "$xml" ]; then export CK_XML_LOG_FILE_NAME="${xml%.xml}-$number.xml"; fi
    # shellcheck disable=SC2086
    "$program" $few || failed=1
done
exit $failed
