/* status.h: how a function says that it failed. One line of text travels up in an `error`; main prints it.
   Not a logger: nothing is printed here. */
#ifndef SNUG_STATUS_H
#define SNUG_STATUS_H

typedef enum {
    OK,
    BAD_INPUT, /* the user's file or setting is at fault; the text says what, where and what to do */
    NO_MEMORY, /* past the cap, or refused by the device: `fit` may step down and try again */
    FAILED     /* everything else: i/o, a device or library error */
} status;

typedef struct {
    char text[1024];
} error;

/* Formats the message into e (which may be NULL) and returns s, so that `return fail(e, BAD_INPUT, ...)` reads well.
   Control characters, which a name from a file may have, become '?': a message is one line unless `format` has more. */
status fail(error *e, status s, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* malloc family that ends the program with one line when the host is out of memory; zeroed by xcalloc. Host memory
   only: nothing the cap counts comes from here. */
void *xcalloc(unsigned long count, unsigned long size);
void *xrealloc(void *p, unsigned long size);
char *xstrdup(const char *s);
/* A new string by printf's rules; the caller frees it. */
char *xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs f and hands its failure on to the caller. */
#define TRY(f)                                                                                                         \
    do {                                                                                                               \
        status try_status_ = (f);                                                                                      \
        if (try_status_ != OK) return try_status_;                                                                     \
    } while (0)

#endif
