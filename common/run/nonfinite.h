/* nonfinite.h: where the first NaN or infinity of a step comes from. Asked after one was seen in its loss or its
   gradient; slow, since it runs the step once more and reads everything back. */
#ifndef SNUG_NONFINITE_H
#define SNUG_NONFINITE_H

#include "run/model.h"

/* Looks at the weights in the checkpoint's order, then runs `what` (the graph's micro or eval) again on b, one op at a
   time, and looks at what each op wrote. text receives a name for a message: "the weight transformer.wte.weight",
   "qkv[3] (LINEAR, sequences 4 to 5)"; or that nothing was found. The weights must still be those of the step. */
status nonfinite_find(model *m, span what, const batch *b, const step_settings *s, char *text, size_t size, error *e);

#endif
