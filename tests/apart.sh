#!/bin/sh
# apart.sh PROGRAM SUITE...: each suite in a process of its own, and all tests of a suite in that one process, but for the
# suites in $FORKED, whose tests need one each. With the sanitizers a process is dear to copy and to end: all suites and
# their copies in one process took 484 s of processor time, five suites a process 155, and this takes 95. A suite has
# $APART_SECONDS (900), since without copies Check ends no test that hangs. Exit status 1: a suite failed; the others have
# run all the same.
set -u
program=$1 xml=${CK_XML_LOG_FILE_NAME:-} failed=0
shift
for suite; do
    fork=no
    case " ${FORKED:-} " in *" $suite "*) fork=yes ;; esac
    if [ -n "$xml" ]; then export CK_XML_LOG_FILE_NAME="${xml%.xml}-$suite.xml"; fi
    status=0
    CK_FORK=$fork timeout "${APART_SECONDS:-900}" "$program" "$suite" || status=$?
    [ $status != 124 ] || echo "apart: $suite did not end in time" >&2
    [ $status = 0 ] || failed=1
done
exit $failed
