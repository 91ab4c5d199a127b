/* support_faultfs.h: lets chosen calls to the file system fail, inside the test program. The same source, preloaded
   (preload_faultfs.c), does it to any program. */
#ifndef SNUG_SUPPORT_FAULTFS_H
#define SNUG_SUPPORT_FAULTFS_H

#include <stdbool.h>

enum { FAULT_SHORT_WRITE = -1 };

/* From now on the k-th (1, 2, ...) of open, mkdir, write, ftruncate, fsync, rename, symlink fails with `number` (an
   errno); sticky: all after it as well. FAULT_SHORT_WRITE: writes only half, and only if it is a write. k = 0: none,
   just count. */
void faultfs_arm(int k, bool sticky, int number);
/* Back to normal; the number of calls since faultfs_arm. */
int faultfs_disarm(void);

#endif
