/* test_chart.c: charts and curves as they are drawn: odd data, axes, and long curves of which spikes stay. */
#include "base/status.h"
#include "report/chart.h"
#include "report/curve.h"
#include "report/svg.h"
#include "support_page.h"
#include <math.h>

static char *drawn(const chart *c) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    chart_draw(f, c, 358, 250);
    fclose(f);
    return text;
}

START_TEST(charts_of_odd_data_stay_within_their_picture) {
    static double x[5000], y[5000];
    for (int kind = 0; kind < 14; kind++) {
        int64_t n = kind < 3 ? kind : 5000;
        for (int64_t i = 0; i < n; i++) {
            x[i] = kind == 3    ? 7
                   : kind == 11 ? 9e15 + (double)i / 4
                   : kind == 12 ? ldexp(1, (int)i % 2000 - 1000)
                                : (double)i + 1;
            y[i] = kind == 4    ? 3
                   : kind == 5  ? NAN
                   : kind == 6  ? 1e-12 * (double)i
                   : kind == 7  ? -1e9
                   : kind == 8  ? (i % 2 ? 4.1700000000000008 : 4.17) /* neighbours: nothing fits between them */
                   : kind == 9  ? (i % 2 ? -1e308 : 1e308)
                   : kind == 10 ? ldexp(1, -1074 + (int)i % 2)
                   : kind == 13 ? -9e299 * (double)(i % 3)
                                : (double)(i % 97);
        }
        chart_series s = {.x = x, .y = y, .n = n, .dots = true, .name = "a"};
        char *text = drawn(&(chart){"t", "x", "y", &s, 1, kind == 1, kind == 2, kind ? 1e6 : 0, "cap"});
        assert_well_formed(text);
        for (const char *at = text; (at = strpbrk(at, "ML")); at++) {
            double px, py;
            if (sscanf(at + 1, "%lf %lf", &px, &py) != 2) continue;
            ck_assert_msg(px >= 50 && px <= 350 && py >= 20 && py <= 210, "%d: %g %g", kind, px, py);
        }
        ck_assert_uint_lt(strlen(text), 60000);
        ck_assert_int_le(count(text, "<line"), 30); /* of the axes */
        free(text);
    }
}
END_TEST

START_TEST(a_chart_has_its_title_and_its_axes_numbers) {
    static const struct {
        double most;
        const char *says;
    } axes[] = {{3e6, ">2M<"}, {1.5e6, ">0.5M<"}, {30000, ">20k<"}, {300, ">200<"}};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        double x[] = {0, axes[i].most}, y[] = {1, 2};
        chart_series s = {.x = x, .y = y, .n = 2};
        char *text = drawn(&(chart){"a \x01 title", "x", "y", &s, 1, false, false, 0, NULL});
        ck_assert_msg(strstr(text, "<title>a \xef\xbf\xbd title</title>") != NULL, "%s", text);
        ck_assert_msg(strstr(text, axes[i].says) != NULL, "%s is not in %s", axes[i].says, text);
        free(text);
    }
}
END_TEST

/* Thousands of points become one column of pixels each, but the lowest and highest of them stay. */
START_TEST(thinning_keeps_spikes) {
    static double x[100000], y[100000];
    for (int i = 0; i < 100000; i++) x[i] = i, y[i] = 1;
    y[54321] = 100;
    chart_series s = {.x = x, .y = y, .n = 100000};
    char *text = drawn(&(chart){"t", "x", "y", &s, 1, true, false, 0, NULL});
    double top = 250;
    for (const char *at = strstr(text, "<path"); (at = strpbrk(at, "ML")); at++) {
        double px, py;
        if (sscanf(at + 1, "%lf %lf", &px, &py) == 2 && py < top) top = py;
    }
    ck_assert_msg(top < 40, "the highest point is drawn at %g", top);
    free(text);
}
END_TEST

/* Against all the points: extremes are among those that stay, and these are points of the curve, in order. */
START_TEST(curve_keeps_first_last_and_extremes_of_each_part) {
    enum { N = 300003 };
    double *all = xcalloc(N, sizeof *all), *x = xcalloc(2 * CURVE_POINTS, sizeof *x), *y = x + CURVE_POINTS;
    curve c = {0};
    for (int i = 0; i < N; i++)
        curve_add(&c, i, all[i] = sin(i * 1e-3) + (i == 177777 ? 50 : 0) - (i == 123456 ? 60 : 0));
    int n = curve_points(&c, x, y), high = 0, low = 0;
    ck_assert(n > CURVE_GROUPS && n <= CURVE_POINTS && x[0] == 0 && x[n - 1] == N - 1);
    for (int i = 0; i < n; i++) {
        ck_assert(y[i] == all[(int)x[i]] && (!i || x[i] > x[i - 1]) && (!i || x[i] - x[i - 1] < N / 400));
        high += x[i] == 177777;
        low += x[i] == 123456;
    }
    ck_assert(high == 1 && low == 1 && curve_least(&c) < -59 && curve_last_x(&c) == N - 1);
    ck_assert(fabs(curve_median(&c)) < 0.05);
    curve_free(&c);
    for (int i = 0; i < 5; i++) curve_add(&c, i, i == 2 ? NAN : i * i);
    ck_assert(curve_points(&c, x, y) == 4 && curve_median(&c) == 9 && curve_last(&c) == 16 && curve_least(&c) == 0);
    curve_free(&c);
    free(all);
    free(x);
}
END_TEST

START_TEST(steps_of_axes_are_round_and_few) {
    for (double range = 1e-9; range < 1e12; range *= 1.37)
        for (int most = 2; most < 12; most++) {
            double step = nice_step(range, most), power = pow(10, floor(log10(step) + 1e-9)), lead = step / power;
            ck_assert_msg(range / step <= most * 1.000001 && range / step > most / 3.0, "%g / %d: %g", range, most,
                          step);
            ck_assert_msg(fabs(lead - 1) < 1e-6 || fabs(lead - 2) < 1e-6 || fabs(lead - 5) < 1e-6, "%g", lead);
        }
}
END_TEST

Suite *chart_suite(void);
Suite *chart_suite(void) {
    Suite *s = suite_create("chart");
    TCase *t = tcase_create("chart");
    tcase_add_test(t, charts_of_odd_data_stay_within_their_picture);
    tcase_add_test(t, a_chart_has_its_title_and_its_axes_numbers);
    tcase_add_test(t, thinning_keeps_spikes);
    tcase_add_test(t, curve_keeps_first_last_and_extremes_of_each_part);
    tcase_add_test(t, steps_of_axes_are_round_and_few);
    suite_add_tcase(s, t);
    return s;
}
