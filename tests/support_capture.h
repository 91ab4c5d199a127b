/* support_capture.h: runs a command of the program inside a test and returns what it printed. */
#ifndef SNUG_TEST_SUPPORT_CAPTURE_H
#define SNUG_TEST_SUPPORT_CAPTURE_H

#include "config/config.h"

/* Parses the arguments (the test fails where they can't be parsed), runs the command with stdout in a file, sets *s.
   The caller frees the text. */
char *capture(status (*command)(const config *, error *), int argc, char **argv, status *s, error *e);
#define CAPTURE(command, s, e, ...)                                                                                    \
    capture(command, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__}, s, e)

#endif
