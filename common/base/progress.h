/* progress.h: one line that moves while a long command works: how far, how fast, how much memory, how long still.

   On a terminal the line is drawn again in place, as wide as the window is at that moment, and only while the program
   is in the foreground. It changes no terminal mode, so that a kill leaves nothing to restore. Into a file or a pipe,
   and with TERM=dumb, a plain line is printed when nothing else has been printed for a minute. */
#ifndef SNUG_PROGRESS_H
#define SNUG_PROGRESS_H

#include "base/timer.h"
#include "base/terminal.h"

typedef struct {
    /* What is shown; the caller sets it before progress_show. NULL, 0, NAN: left out. */
    const char *doing; /* "iter", "val loss", "saving", "encoding" */
    int64_t done, of;  /* steps, candidates: "1234/4800"; of 0: the number alone */
    double part;       /* how much of the step under way is done (of the whole where there are no steps), 0 to 1 */
    double loss;       /* the last that is known, as are the three below */
    double ms;         /* milliseconds a step */
    double tokens_per_s;
    double ends;        /* when it will all be done, by seconds_now() */
    const char *memory; /* "VRAM", "RAM": what `used` of `cap` bytes are */
    uint64_t used, cap;
    /* progress.c's own */
    FILE *f;
    terminal t;
    double every; /* seconds between drawings: 0.1 on a terminal, 60 elsewhere */
    double shown; /* when anything was last shown, by seconds_now() */
    int drawn;    /* columns that the line takes on the screen; 0: it is not there */
} progress;

/* Nothing known, nothing shown yet. */
progress progress_new(FILE *f);
/* Says what is being done from now on, and which of how many it is (0 of 0: not counted). On a terminal something new
   is shown at once, since the next report may be a while away. */
void progress_doing(progress *p, const char *doing, int64_t done, int64_t of);
/* Draws the line if it was last drawn long enough ago. */
void progress_show(progress *p);
/* Prints a line that stays (with its newline) above the moving one, and flushes. */
void progress_print(progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the line away, as at the end, or before something else prints. */
void progress_clear(progress *p);
/* A callback for step_settings and others that report how far they are: `context` is the progress whose `part` is set
   and shown. */
void progress_part(void *context, double part);
/* The line for a window of that many columns, without colours; it leaves the last column free. Returns text. */
enum { PROGRESS_TEXT = 1024 };
char *progress_text(const progress *p, int columns, char text[PROGRESS_TEXT]);

#endif
