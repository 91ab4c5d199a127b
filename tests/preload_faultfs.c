/* preload_faultfs.c: support_faultfs.c as a library to preload; how to use it is said there. */
#include "support_faultfs.c"
