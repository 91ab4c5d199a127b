/* support_capture.h: runs a command of the program inside a test and returns what it printed. */
#ifndef SNUG_TEST_SUPPORT_CAPTURE_H
#define SNUG_TEST_SUPPORT_CAPTURE_H

#include "config/config.h"

/* Parses the arguments, which has to succeed, and runs the command, whose status goes to *s. Returns what it wrote to
   stdout; the caller frees it. */
char *capture(status (*command)(const config *, error *), int argc, char **argv, status *s, error *e);
#define CAPTURE(command, s, e, ...)                                                                                    \
    capture(command, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__}, s, e)

#endif
