/* waiting.c: see waiting.h. A thread sleeps until the time is over or the wait is, whichever comes first. */
#include "base/waiting.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <time.h>

static void *watch(void *context) {
    waiting *w = context;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long nanoseconds = until.tv_nsec + (long)(fmod(w->seconds, 1) * 1e9);
    until.tv_sec += (time_t)w->seconds + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&w->lock);
    int code = 0;
    while (!w->over && code != ETIMEDOUT) code = pthread_cond_timedwait(&w->ended, &w->lock, &until);
    if (!w->over) {
        fprintf(w->f, "%s ...\n", w->what);
        fflush(w->f);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void waiting_begin(waiting *w, FILE *f, const char *what, double seconds) {
    *w = (waiting){.f = f, .what = what, .seconds = seconds};
    if (!f) return;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* setting the time of day must not end or stretch the wait */
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->ended, &clock);
    pthread_condattr_destroy(&clock);
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->runs = pthread_create(&w->thread, NULL, watch, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void waiting_end(waiting *w) {
    if (!w->f) return;
    pthread_mutex_lock(&w->lock);
    w->over = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
    if (w->runs) pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    w->f = NULL;
}
