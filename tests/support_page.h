/* support_page.h: what a page or a picture has to be like: well-formed, and of itself alone. */
#ifndef SNUG_TEST_SUPPORT_PAGE_H
#define SNUG_TEST_SUPPORT_PAGE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

static inline int count(const char *text, const char *what) {
    int n = 0;
    while ((text = strstr(text, what))) n++, text++;
    return n;
}

/* Every element that is opened is closed, in order; and nothing is asked of a network. */
static inline void assert_well_formed(const char *text) {
    char open[64][16];
    int depth = 0;
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        char name[16];
        bool closes = at[1] == '/';
        if (at[1] == '!') continue;
        ck_assert_msg(sscanf(at + 1 + closes, "%15[a-z0-9]", name) == 1, "a bare < at: %.60s", at);
        const char *end = strchr(at, '>');
        ck_assert_ptr_nonnull(end);
        if (end[-1] == '/' || !strcmp(name, "meta")) continue;
        if (!closes) {
            ck_assert_int_lt(depth, 64);
            strcpy(open[depth++], name);
            continue;
        }
        ck_assert_msg(depth && !strcmp(open[--depth], name), "</%s> at: %.60s", name, at);
    }
    ck_assert_int_eq(depth, 0);
    ck_assert(!strstr(text, "http://") && !strstr(text, "https://") && !strstr(text, "src=") &&
              !strstr(text, "@import"));
    ck_assert(!strstr(text, "nan") && !strstr(text, "inf\""));
}

#endif
