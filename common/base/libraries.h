/* libraries.h: libraries that say nothing when they get no memory. cJSON would leave fields out of what is saved and
   call a sound file damaged; libcrypto would crash or fail without a reason. */
#ifndef SNUG_LIBRARIES_H
#define SNUG_LIBRARIES_H

/* From now on their memory is xmalloc's, which ends the program with one line instead. main calls it first: before
   libcrypto is used. (PCRE2 is told where it is used, in text/tokenizer_split.c.) */
void libraries_use_xmalloc(void);

#endif
