/* prepare.h: the command `snug prepare PATH... --out=DIR`: text files or folders -> train.bin, val.bin, tokenizer.json
   and meta.json. */
#ifndef SNUG_PREPARE_H
#define SNUG_PREPARE_H

#include "config/config.h"

/* Uses positional, out, tokenizer and val_fraction; writes what it did to `report`. The first 1 - val_fraction of the
   characters (of the bytes with --tokenizer=byte) becomes train.bin, the rest val.bin, as nanoGPT divides one file. On
   failure the files that were in DIR are still there. */
status prepare_run(const config *c, FILE *report, error *e);

#endif
