/* test_progress.c: the moving line: fits every window, says all it can, and leaves files and pipes without escapes. */
#include "base/progress.h"
#include "base/waiting.h"
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static progress training(FILE *f) {
    progress p = progress_new(f);
    p.doing = "iter";
    p.done = 1234, p.of = 4800;
    p.part = 0.372;
    p.loss = 3.28454;
    p.ms = 41230.4;
    p.tokens_per_s = 12716.2;
    p.ends = seconds_now() + 2 * 3600 + 13 * 60 + 5;
    p.memory = "VRAM";
    p.used = 5272000000, p.cap = 12884901888;
    return p;
}

/* What stands between \r and the end counts a column for each character but continuation bytes of UTF-8. */
static int columns(const char *s) {
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

START_TEST(line_is_narrower_than_every_window) {
    static const double sizes[] = {NAN, 0, 0.4, 7, 99.6, 12345, 1e9};
    char text[PROGRESS_TEXT];
    for (int width = 1; width <= 220; width++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                progress p = training(stdout);
                p.t.utf8 = utf8;
                p.loss = p.ms = p.tokens_per_s = sizes[i];
                p.ends = seconds_now() + sizes[i];
                if (sizes[i] > 1e6) p.done = 599999999, p.of = 600000000;
                progress_text(&p, width, text);
                ck_assert_msg(columns(text) < width, "%d columns in a window of %d: %s", columns(text), width, text);
            }
}
END_TEST

/* The part in [80, 120]: everything is there, at 120 spelled out. */
START_TEST(line_says_everything_at_80_and_120_columns) {
    progress p = training(stdout);
    char text[PROGRESS_TEXT];
    p.t.utf8 = false;
    progress_text(&p, 120, text);
    ck_assert_str_eq(text, "iter 1,234/4,800  37%  loss 3.2845  12,716 tokens/s  41,230 ms  VRAM #######----------- "
                           "4.91 of 12.00 GiB  2h13m left");
    progress_text(&p, 80, text);
    ck_assert_str_eq(text, "iter 1234/4800 37% loss 3.2845 12716 tok/s 41.2 s ##--- 4.91/12GiB 2h13m left");
    p.used = 15 << 20; /* a small model */
    progress_text(&p, 120, text);
    ck_assert_msg(strstr(text, " 15.00 MiB of 12.00 GiB ") != NULL, "%s", text);
    p.used = 5272000000;
    p.done = 123456, p.of = 600000; /* nanoGPT's default */
    progress_text(&p, 80, text);
    ck_assert_str_eq(text, "iter 123456/600000 37% loss 3.2845 12716 tok/s 41.2 s #-- 4.91/12GiB 2h13m left");
}
END_TEST

START_TEST(bar_is_full_at_the_cap_and_empty_at_nothing) {
    progress p = progress_new(stdout);
    char text[PROGRESS_TEXT];
    p.t.utf8 = false;
    p.cap = 64 << 20;
    p.used = p.cap;
    ck_assert_str_eq(progress_text(&p, 30, text), "######## 64.00 of 64.00 MiB");
    p.used = 1;
    ck_assert_str_eq(progress_text(&p, 30, text), "--------- 0.00 of 64.00 MiB");
}
END_TEST

START_TEST(what_is_not_known_is_left_out) {
    progress p = progress_new(stdout);
    char text[PROGRESS_TEXT];
    p.doing = "saving";
    ck_assert_str_eq(progress_text(&p, 80, text), "saving");
    p.part = 0.999;
    ck_assert_str_eq(progress_text(&p, 80, text), "saving  99%");
}
END_TEST

START_TEST(times_are_in_whole_units) {
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0s"},        {0.2, "1s"},     {59, "59s"},       {59.5, "1m00s"},
                 {3599, "59m59s"}, {3600, "1h00m"}, {86399, "23h59m"}, {90000, "1d01h"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(time_left_print(cases[i].seconds, text), cases[i].text);
}
END_TEST

/* ---- a file, and a terminal ---- */

START_TEST(file_gets_plain_lines_and_only_when_their_time_has_come) {
    char *text;
    size_t bytes;
    FILE *f = tmpfile();
    progress p = training(f);
    ck_assert(!p.t.live && p.every == 60);
    progress_show(&p);
    progress_print(&p, "iter %d\n", 1);
    progress_doing(&p, "saving", 0, 0);
    ck_assert_int_eq(ftell(f), 7);
    p.every = 0;
    progress_show(&p);
    progress_clear(&p);
    bytes = (size_t)ftell(f);
    text = calloc(bytes + 1, 1);
    rewind(f);
    ck_assert_uint_eq(fread(text, 1, bytes, f), bytes);
    fclose(f);
    ck_assert_str_eq(text, "iter 1\nsaving  loss 3.2845  12,716 tokens/s  41,230 ms  VRAM  4.91 of 12.00 GiB  "
                           "2h13m left\n");
    free(text);
}
END_TEST

/* A pseudo-terminal of `width` columns; *other is what a person would see. */
static FILE *open_terminal(int width, int *other) {
    *other = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    ck_assert(*other >= 0 && grantpt(*other) == 0 && unlockpt(*other) == 0);
    int fd = open(ptsname(*other), O_RDWR | O_NOCTTY);
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)width};
    ck_assert(fd >= 0 && ioctl(fd, TIOCSWINSZ, &size) == 0);
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1);
    return fdopen(fd, "w");
}

/* All that has come; a terminal hands it on in pieces. */
static void seen(int other, char text[4096]) {
    struct pollfd p = {.fd = other, .events = POLLIN};
    size_t at = 0;
    for (ssize_t n; poll(&p, 1, 50) > 0 && (n = read(other, text + at, 4095 - at)) > 0;) at += (size_t)n;
    text[at] = 0;
}

START_TEST(terminal_line_is_drawn_in_place_and_taken_away) {
    int other;
    char text[4096];
    unsetenv("NO_COLOR");
    FILE *f = open_terminal(80, &other);
    progress p = training(f);
    ck_assert(p.t.live && p.t.color);
    p.every = 0;
    progress_show(&p);
    seen(other, text);
    ck_assert_ptr_nonnull(strstr(text, "41.2 s \033[32m##---\033[0m 4.91"));
    ck_assert_ptr_null(strchr(text, '\n'));
    progress_print(&p, "a line\n");
    seen(other, text);
    ck_assert_msg(strncmp(text, "\r\033[Ja line\r\niter 1234", 20) == 0, "%s", text);
    struct winsize narrow = {.ws_row = 24, .ws_col = 30};
    ck_assert_int_eq(ioctl(fileno(f), TIOCSWINSZ, &narrow), 0);
    progress_show(&p); /* 77 columns are three rows of 30 now */
    seen(other, text);
    ck_assert_msg(strncmp(text, "\033[2A\r\033[Jiter", 10) == 0, "%s", text);
    progress_clear(&p);
    seen(other, text);
    ck_assert_str_eq(text, "\r\033[J");
    progress_clear(&p);
    seen(other, text);
    ck_assert_str_eq(text, "");
    fclose(f);
    close(other);
}
END_TEST

/* The line waits until its time has come again, but not for what is done next, which may take long. */
START_TEST(what_is_done_next_is_shown_at_once) {
    int other;
    char text[4096];
    FILE *f = open_terminal(80, &other);
    progress p = training(f);
    p.every = 3600;
    progress_doing(&p, "iter", 5, 10);
    seen(other, text);
    progress_doing(&p, "iter", 6, 10);
    seen(other, text);
    ck_assert_str_eq(text, "");
    progress_doing(&p, "saving", 0, 0);
    seen(other, text);
    ck_assert_msg(strstr(text, "saving") != NULL, "%s", text);
    fclose(f);
    close(other);
}
END_TEST

START_TEST(no_color_and_dumb_terminals_are_respected) {
    int other;
    char text[4096];
    FILE *f = open_terminal(80, &other);
    setenv("NO_COLOR", "1", 1);
    progress p = training(f);
    p.every = 0;
    progress_show(&p);
    seen(other, text);
    ck_assert(p.t.live && !p.t.color);
    ck_assert_ptr_null(strstr(text, "\033[3"));
    setenv("TERM", "dumb", 1);
    ck_assert(!progress_new(f).t.live);
    fclose(f);
    close(other);
}
END_TEST

Suite *progress_suite(void);
/* What is over in time is not spoken of; what takes longer is named, once. */
START_TEST(long_waits_are_named_and_short_ones_are_not) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    waiting w;
    waiting_begin(&w, f, "drawing weights", 60);
    waiting_end(&w);
    fflush(f);
    ck_assert_uint_eq(size, 0);
    waiting_begin(&w, f, "drawing weights", 0.01);
    for (int i = 0; i < 1000 && !size; i++) {
        usleep(10000);
        pthread_mutex_lock(&w.lock);
        fflush(f);
        pthread_mutex_unlock(&w.lock);
    }
    waiting_end(&w);
    fclose(f);
    ck_assert_str_eq(text, "drawing weights ...\n");
    free(text);
    waiting_begin(&w, NULL, "nobody", 0);
    waiting_end(&w);
}
END_TEST

Suite *progress_suite(void) {
    Suite *s = suite_create("progress");
    TCase *t = tcase_create("progress");
    tcase_add_test(t, line_is_narrower_than_every_window);
    tcase_add_test(t, line_says_everything_at_80_and_120_columns);
    tcase_add_test(t, bar_is_full_at_the_cap_and_empty_at_nothing);
    tcase_add_test(t, what_is_not_known_is_left_out);
    tcase_add_test(t, times_are_in_whole_units);
    tcase_add_test(t, file_gets_plain_lines_and_only_when_their_time_has_come);
    tcase_add_test(t, terminal_line_is_drawn_in_place_and_taken_away);
    tcase_add_test(t, what_is_done_next_is_shown_at_once);
    tcase_add_test(t, no_color_and_dumb_terminals_are_respected);
    tcase_add_test(t, long_waits_are_named_and_short_ones_are_not);
    suite_add_tcase(s, t);
    return s;
}
