/* plan_command.h: the command `plan`: what a run needs, to the byte, before anything is allocated. */
#ifndef SNUG_PLAN_COMMAND_H
#define SNUG_PLAN_COMMAND_H

#include "config.h"

/* Prints the memory table of the settings (or with --graph the graph, or with --json one object). NO_MEMORY when
   nothing fits in vram_cap that keeps the effective batch. */
status plan_run(const config *c, error *e);

#endif
