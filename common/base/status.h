/* status.h: how a function says that it failed. One line of text travels up in an `error`; main prints it.
   Not a logger: nothing is printed here. */
#ifndef SNUG_STATUS_H
#define SNUG_STATUS_H

#include <stdarg.h>

typedef enum {
    OK,
    BAD_INPUT, /* the user's file or setting is at fault; the text says what, where and what to do */
    NO_MEMORY, /* more than the cap, or refused by the device: a smaller plan may be tried */
    FAILED     /* everything else: i/o, a device or library error */
} status;

typedef struct {
    char text[1024];
} error;

/* Formats the message into e (which may be NULL) and returns s, so that `return fail(e, BAD_INPUT, ...)` reads well.
   Control characters become '?', since names that come from files may hold them. So a message is one line unless
   `format` itself has several. */
status fail(error *e, status s, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Ends the program with one line and exit status 1. Nothing is tidied up on the way, since whoever calls may be inside
   a library or one of several threads; files that were being written stay what they were (files.h). bytes: what was
   asked for, 0 if nobody knows. */
_Noreturn void out_of_memory(unsigned long bytes);
/* malloc, calloc, realloc and strdup that end so when the host has no more. The host's only: what the cap counts is
   allocated by the backends. */
void *xmalloc(unsigned long bytes);
void *xcalloc(unsigned long count, unsigned long size);
void *xrealloc(void *p, unsigned long size);
char *xstrdup(const char *s);
/* Returns p, which fopen, opendir, realpath or the like has just given: NULL for want of memory ends the program, so
   that otherwise NULL means that there is nothing to find. */
void *xfound(void *p);
/* A new string by printf's rules; the caller frees it. */
char *xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Evaluates f, and returns its status from the calling function unless it is OK. */
#define TRY(f)                                                                                                         \
    do {                                                                                                               \
        status try_status_ = (f);                                                                                      \
        if (try_status_ != OK) return try_status_;                                                                     \
    } while (0)

#endif
