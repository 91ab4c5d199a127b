#!/bin/sh
# predict.sh: step times measured on this machine beside those that fit predicts, for a dozen settings. Fails when two
# that are more than 10 % apart come out in the wrong order. Wants a quiet machine, so `make test` does not run it.
SNUG_TEST_TIMING=1 exec "${TESTS:-build/tests}" calibrate
