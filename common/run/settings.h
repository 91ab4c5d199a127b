/* settings.h: what OpenMP and OpenBLAS are told before they start. */
#ifndef SNUG_SETTINGS_H
#define SNUG_SETTINGS_H

/* Starts the program again, once, where the user has set nothing about it and the libraries' own choice is not the
   best:
   - Threads that wait spin for some 50 microseconds and then sleep. By themselves OpenMP's (libgomp's) spin for ten
     milliseconds and more, on cores that others need.
   - An OpenBLAS that does not know the processor gets the kernels that fit it (cpu/core_type.h).
   main calls it before anything else, MPI included (restart.h). It costs the time of loading the libraries again. */
void settings_settle(char **argv);

#endif
