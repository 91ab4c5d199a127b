/* nonfinite.h: finds where the first NaN or infinity of a step comes from, after one was seen in its loss or gradient
   norm. Slow, since it runs the step once more and reads everything back. */
#ifndef SNUG_NONFINITE_H
#define SNUG_NONFINITE_H

#include "run/model.h"

/* Looks at the weights in the checkpoint's order, and then runs `what` (the graph's micro or eval) again on b, one op
   at a time, and looks at what each op wrote; after micro comes finish, up to the update. text receives words for a
   message: "the weight transformer.wte.weight", "qkv[3] (made by LINEAR, sequences 4 to 5 of the step)", or that
   nothing was found. The weights must still be those of the step. */
status nonfinite_find(model *m, span what, const batch *b, const step_settings *s, char *text, size_t size, error *e);

#endif
