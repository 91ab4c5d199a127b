/* main.c: runs every Check suite of tests/test_*.c, or those named as arguments. The Makefile writes suites.h. */
#include "run/settings.h"
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"

#define DECLARE(name) Suite *name##_suite(void);
SUITES(DECLARE)

#define ENTRY(name) {#name, name##_suite},
static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {SUITES(ENTRY){NULL, NULL}};

static bool wanted(const char *name, int n, char **names) {
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return n == 0;
}

int main(int argc, char **argv) {
    settings_settle(argv);
    SRunner *runner = srunner_create(NULL);
    int added = 0;
    for (int i = 0; suites[i].name; i++)
        if (wanted(suites[i].name, argc - 1, argv + 1)) {
            srunner_add_suite(runner, suites[i].make());
            added++;
        }
    if (added == 0 || (argc > 1 && added != argc - 1)) {
        fprintf(stderr, "usage: tests [SUITE ...]; the suites are:");
        for (int i = 0; suites[i].name; i++) fprintf(stderr, " %s", suites[i].name);
        fprintf(stderr, "\n");
        return EXIT_FAILURE;
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
