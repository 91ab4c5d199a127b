/* progress.h: one line that moves while a long command works: how far, how fast, how much memory, how long still.

   On a terminal it is drawn again in place, at the window's width of that moment, and only while the program is in the
   foreground; no terminal mode is changed, so that a kill leaves nothing to restore. Elsewhere (a file, a pipe,
   TERM=dumb) a plain line comes only when nothing else was printed for a minute. */
#ifndef SNUG_PROGRESS_H
#define SNUG_PROGRESS_H

#include "base/timer.h"
#include "base/terminal.h"

typedef struct {
    /* What is shown; the caller sets it before progress_show. NULL, 0, NAN: left out. */
    const char *doing; /* "iter", "val loss", "saving", "encoding" */
    int64_t done, of;  /* steps, candidates: "1234/4800"; of 0: the number alone */
    double part;       /* of the step under way (of the whole where there are no steps), 0 to 1 */
    double loss;       /* the last known, like the next three */
    double ms;         /* milliseconds a step */
    double tokens_per_s;
    double ends;        /* when it will all be done, by seconds_now() */
    const char *memory; /* "VRAM", "RAM": what `used` of `cap` bytes are */
    uint64_t used, cap;
    /* progress.c's own */
    FILE *f;
    terminal t;
    double every; /* seconds between drawings; on a terminal 0.1, elsewhere 60 */
    double shown; /* when anything was last, by the monotonic clock */
    int drawn;    /* columns that the line takes on the screen; 0: it is not there */
} progress;

/* Nothing known, nothing shown yet. */
progress progress_new(FILE *f);
/* What is done from here on, and which of how many it is (0 of 0: not counted). A terminal shows it at once where it
   is another thing than before, since nothing may be reported for a while. */
void progress_doing(progress *p, const char *doing, int64_t done, int64_t of);
/* Draws the line when its time has come. */
void progress_show(progress *p);
/* Prints a line that stays (with its newline) above the moving one, and flushes. */
void progress_print(progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the line away, as at the end, or before something else prints. */
void progress_clear(progress *p);
/* For step_settings and others that report a part: sets `part` of the progress `context` and shows it. */
void progress_part(void *context, double part);
/* The line for a window of that many columns, without colours, always at least one column shorter; returns text. */
enum { PROGRESS_TEXT = 1024 };
char *progress_text(const progress *p, int columns, char text[PROGRESS_TEXT]);

#endif
