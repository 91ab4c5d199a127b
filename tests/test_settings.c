/* test_settings.c: how threads wait, by the processor time of those that do while one works alone. */
#include <check.h>
#include <omp.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Fifty times, all threads do next to nothing, and then one of them works for 5 ms. libgomp's own choice lets the
   others spin for all of that, on a processor where one look takes 10 ns or more; bounded, it is some 50 microseconds.
 */
START_TEST(threads_that_wait_do_not_spin_for_long) {
    enum { ROUNDS = 50 };
    double others = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int threads = 0;
#pragma omp parallel num_threads(2) reduction(+ : threads)
        threads++;
        ck_assert_int_eq(threads, 2);
        double all = seconds_of(CLOCK_PROCESS_CPUTIME_ID), own = seconds_of(CLOCK_THREAD_CPUTIME_ID), since = own;
        while (own - since < 0.005) own = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        others += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - all - (own - since);
    }
    ck_assert_msg(others < 0.05 * ROUNDS * 0.005, "waiting took %.1f ms of the processor, beside %.1f of work",
                  1e3 * others, 5.0 * ROUNDS);
}
END_TEST

Suite *settings_suite(void);
Suite *settings_suite(void) {
    Suite *s = suite_create("settings");
    TCase *t = tcase_create("settings");
    tcase_add_test(t, threads_that_wait_do_not_spin_for_long);
    suite_add_tcase(s, t);
    return s;
}
