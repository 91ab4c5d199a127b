/* plan_nanogpt_text.h: inside of plan_nanogpt: its report for people. Not for other modules. */
#ifndef SNUG_PLAN_NANOGPT_TEXT_H
#define SNUG_PLAN_NANOGPT_TEXT_H

#include "commands/plan_nanogpt.h"

void plan_nanogpt_text(const nanogpt_report *r, FILE *f);

#endif
