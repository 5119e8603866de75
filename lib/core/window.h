/*
 * Maintenance windows: is it now, and when next? Pure arithmetic over Unix time and fixed offsets from UTC; there is no
 * summer time, so that no hour comes twice or never.
 */
#ifndef LOCKSTEP_CORE_WINDOW_H
#define LOCKSTEP_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/plan/plan.h"

struct window {
    bool days[7];    /* monday first: the days on which it begins */
    int64_t from_ms; /* since midnight */
    int64_t length_ms;
    int64_t offset_ms; /* the local clock is so far ahead of UTC */
};

struct windows {
    struct window *items; /* in the arena */
    size_t count;         /* 0: always open */
};

/* `specs`: of struct window_spec, as the shape checked them. */
void windows_init(struct windows *w, struct arena *arena, const struct list *specs);
bool windows_open(const struct windows *w, int64_t at_ms);
/* The first time from `at_ms` on at which one is open: `at_ms` itself when one is. */
int64_t windows_next(const struct windows *w, int64_t at_ms);

#endif
