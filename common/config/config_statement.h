/* config_statement.h: inside of config: Python's statements, as far as a config file needs them. Not for other
   modules. */
#ifndef SNUG_CONFIG_STATEMENT_H
#define SNUG_CONFIG_STATEMENT_H

#include "config/config_token.h"

/* Goes through a whole text: assignments give names their values, `if` decides what counts, `assert` must hold,
   `import` and print(...) have no effect. BAD_INPUT: anything else; one line says where. */
status statements_run(reader *r);

#endif
