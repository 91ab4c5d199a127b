/* support_faultfs.h: lets chosen calls to the file system fail, inside the test program. The same source, preloaded
   (preload_faultfs.c), does it to any program. */
#ifndef SNUG_SUPPORT_FAULTFS_H
#define SNUG_SUPPORT_FAULTFS_H

#include <stdbool.h>

enum { FAULT_SHORT_WRITE = -1 };

/* From now on the k-th call (1, 2, ...) of open, mkdir, write, ftruncate, fsync, rename or symlink fails with the errno
   `number`; sticky: so do all after it. FAULT_SHORT_WRITE: if the k-th is a write, it writes only half. k = 0: none
   fails, they are only counted. */
void faultfs_arm(int k, bool sticky, int number);
/* Back to normal. Returns the number of calls since faultfs_arm. */
int faultfs_disarm(void);

#endif
