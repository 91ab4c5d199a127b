/* support_clear.h: what a message has to be like. */
#ifndef SNUG_TEST_SUPPORT_CLEAR_H
#define SNUG_TEST_SUPPORT_CLEAR_H

#include "base/status.h"
#include <check.h>
#include <string.h>

/* One line of readable length, without the newline, that contains `says`. `input` tells which case it was. */
static inline void assert_clear_of(const error *e, const char *says, const char *input) {
    ck_assert_msg(strstr(e->text, says) != NULL, "for <%s>: <%s> does not say <%s>", input, e->text, says);
    ck_assert_msg(strpbrk(e->text, "\n\r") == NULL, "more than one line: <%s>", e->text);
    ck_assert_msg(strlen(e->text) < 400, "long-winded: <%s>", e->text);
}

#endif
