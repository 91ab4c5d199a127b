/* waiting.h: a line that says what a command waits for, printed only when that takes long: a quick start stays quiet,
   and nobody looks at a still screen without knowing why. */
#ifndef SNUG_WAITING_H
#define SNUG_WAITING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#define WAITING_SECONDS 2.0

typedef struct {
    FILE *f;
    const char *what;
    double seconds;
    bool over, runs;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
} waiting;

/* Prints "WHAT ..." on f (NULL: nothing is printed) unless waiting_end is called within so many seconds. `what` must
   live until then. Never fails: where no thread is to be had, nothing is printed. */
void waiting_begin(waiting *w, FILE *f, const char *what, double seconds);
void waiting_end(waiting *w);

#endif
