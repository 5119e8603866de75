/* Owns when a run may begin something. It refuses nothing: the shape of a spec has checked what is written. */
#include "lib/core/window.h"

#include "lib/base/str.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)
#define THURSDAY  3 /* 1 January 1970 */

static int64_t minutes_of(const char *clock)
{
    return ((clock[0] - '0') * 10 + clock[1] - '0') * 60 + (clock[3] - '0') * 10 + clock[4] - '0';
}

static int64_t offset_of(const char *timezone)
{
    if (timezone == NULL || (timezone[0] != '+' && timezone[0] != '-')) {
        return 0;
    }
    return (timezone[0] == '-' ? -1 : 1) * minutes_of(timezone + 1) * MINUTE_MS;
}

static struct window window_of(const struct window_spec *spec)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    struct window w = {.from_ms = minutes_of(spec->from) * MINUTE_MS,
                       .offset_ms = offset_of(spec->timezone)};
    w.length_ms = minutes_of(spec->to) * MINUTE_MS - w.from_ms;
    w.length_ms += w.length_ms <= 0 ? DAY_MS : 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        w.days[i] = spec->days.count == 0;
        for (size_t d = 0; d < spec->days.count; d++) {
            w.days[i] = w.days[i] || str_equal(spec->days.items[d], names[i]);
        }
    }
    return w;
}

void windows_init(struct windows *w, struct arena *arena, const struct list *specs)
{
    *w = (struct windows){.items = ARENA_ARRAY(arena, specs->count, struct window),
                          .count = specs->count};
    for (size_t i = 0; i < specs->count; i++) {
        w->items[i] = window_of(LIST_AT(specs, const struct window_spec, i));
    }
}

/* Rounded down, also before 1970. */
static int64_t day_of(int64_t local_ms)
{
    return local_ms / DAY_MS - (local_ms % DAY_MS < 0 ? 1 : 0);
}

/* The first time from `at_ms` on at which this one is open. */
static int64_t next_of(const struct window *w, int64_t at_ms)
{
    int64_t local_ms = at_ms + w->offset_ms;
    int64_t today = day_of(local_ms);
    /* It may have begun yesterday; and after a week every day has come. */
    for (int64_t day = today - 1; day <= today + 7; day++) {
        int64_t weekday = ((day + THURSDAY) % 7 + 7) % 7;
        int64_t begin_ms = day * DAY_MS + w->from_ms;
        if (w->days[weekday] && local_ms < begin_ms + w->length_ms) {
            return MAX(begin_ms, local_ms) - w->offset_ms;
        }
    }
    return INT64_MAX;
}

int64_t windows_next(const struct windows *w, int64_t at_ms)
{
    int64_t first_ms = w->count == 0 ? at_ms : INT64_MAX;
    for (size_t i = 0; i < w->count; i++) {
        first_ms = MIN(first_ms, next_of(&w->items[i], at_ms));
    }
    return first_ms;
}

bool windows_open(const struct windows *w, int64_t at_ms)
{
    return windows_next(w, at_ms) == at_ms;
}
