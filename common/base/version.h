/* version.h: which snug this is. */
#ifndef SNUG_VERSION_H
#define SNUG_VERSION_H

/* "0.1.0" */
const char *snug_version(void);
/* Commit, compiler and a hash of the flags: two programs with the same text compute the same bits (P4). No date, no
   path. */
const char *snug_build(void);

#endif
