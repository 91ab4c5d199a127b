/* version.c: the one file that is compiled with the build's id; the Makefile defines both names. */
#include "base/version.h"

/* For tools that compile this file without the Makefile. */
#ifndef SNUG_BUILD
#define SNUG_VERSION "0.0.0"
#define SNUG_BUILD "unknown"
#endif

const char *snug_version(void) { return SNUG_VERSION; }
const char *snug_build(void) { return SNUG_BUILD; }
