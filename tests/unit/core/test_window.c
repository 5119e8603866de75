/* Maintenance windows, against a model that asks the C library for the calendar and looks at every minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/core/window.h"

static struct arena arena;

static int begin_test(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static bool on_day(const struct window_spec *spec, int weekday)
{
    for (size_t i = 0; i < spec->days.count; i++) {
        if (strcmp(spec->days.items[i], day_names[weekday]) == 0) {
            return true;
        }
    }
    return spec->days.count == 0;
}

/* Is the minute inside, by the calendar of gmtime()? */
static bool model_open(const struct window_spec *spec, time_t at, int offset_s)
{
    int from = atoi(spec->from) * 60 + atoi(spec->from + 3);
    int to = atoi(spec->to) * 60 + atoi(spec->to + 3);
    time_t local = at + offset_s;
    struct tm now;
    gmtime_r(&local, &now);
    int minute = now.tm_hour * 60 + now.tm_min;
    if (from < to) {
        return on_day(spec, now.tm_wday) && minute >= from && minute < to;
    }
    return (on_day(spec, now.tm_wday) && minute >= from) ||
           (on_day(spec, (now.tm_wday + 6) % 7) && minute < to);
}

static int offset_of(const char *zone)
{
    if (strcmp(zone, "UTC") == 0) {
        return 0;
    }
    int seconds = (atoi(zone + 1) * 60 + atoi(zone + 4)) * 60;
    return zone[0] == '-' ? -seconds : seconds;
}

static uint64_t draws;

static uint32_t draw(uint32_t below)
{
    draws = draws * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(draws >> 33) % below;
}

static struct window_spec random_spec(void)
{
    static const char *const zones[] = {"UTC", "+02:00", "-05:30", "+14:00", "-12:00"};
    struct window_spec spec = {.timezone = zones[draw(ARRAY_SIZE(zones))]};
    spec.from = arena_printf(&arena, "%02u:%02u", draw(24), draw(60));
    spec.to = draw(8) == 0 ? spec.from : arena_printf(&arena, "%02u:%02u", draw(24), draw(60));
    spec.days.items = ARENA_ARRAY(&arena, 7, const char *);
    for (size_t i = 0; i < 7; i++) {
        if (draw(3) == 0) {
            spec.days.items[spec.days.count++] = day_names[i];
        }
    }
    return spec;
}

static void are_open_when_the_calendar_says_so(void **state)
{
    (void)state;
    draws = 20260228;
    for (int round = 0; round < 60; round++) {
        struct window_spec specs[2] = {random_spec(), random_spec()};
        const struct list list = {specs, 1 + draw(2)};
        struct windows w;
        windows_init(&w, &arena, &list);
        /* nine days from somewhere, also before 1970, over every end of a month and year */
        time_t start = (time_t)draw(2000000000) - 100000000;
        start -= start % 60;
        time_t next = -1;
        bool known = false;
        for (time_t at = start + 9 * 24 * 3600; at >= start; at -= 60) {
            bool open = false;
            for (size_t i = 0; i < list.count; i++) {
                open = open || model_open(&specs[i], at, offset_of(specs[i].timezone));
            }
            if (open != windows_open(&w, (int64_t)at * 1000)) {
                fail_msg("round %d, at %lld: %s", round, (long long)at, open ? "open" : "closed");
            }
            next = open ? at : next;
            known = known || open;
            if (known && at < start + 24 * 3600) {
                assert_int_equal(windows_next(&w, (int64_t)at * 1000), (int64_t)next * 1000);
            }
        }
    }
}

static void end_to_the_millisecond(void **state)
{
    (void)state;
    struct window_spec spec = {.from = "22:00", .to = "04:00", .timezone = "+01:00"};
    const char *days[] = {"sat"};
    spec.days = (struct strings){days, 1};
    const struct list list = {&spec, 1};
    struct windows w;
    windows_init(&w, &arena, &list);
    const int64_t begin_ms =
        INT64_C(1772312400000); /* Saturday 28 February 2026, 22:00 at +01:00 */
    assert_false(windows_open(&w, begin_ms - 1));
    assert_true(windows_open(&w, begin_ms));
    assert_true(windows_open(&w, begin_ms + 6 * 3600000 - 1));
    assert_false(windows_open(&w, begin_ms + 6 * 3600000));
    assert_int_equal(windows_next(&w, begin_ms + 6 * 3600000), begin_ms + 7 * 24 * 3600000LL);
}

static void no_windows_are_always_open(void **state)
{
    (void)state;
    const struct list none = {0};
    struct windows w;
    windows_init(&w, &arena, &none);
    assert_true(windows_open(&w, 0));
    assert_true(windows_open(&w, INT64_C(1772312400000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(are_open_when_the_calendar_says_so, begin_test, end_test),
        cmocka_unit_test_setup_teardown(end_to_the_millisecond, begin_test, end_test),
        cmocka_unit_test_setup_teardown(no_windows_are_always_open, begin_test, end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
