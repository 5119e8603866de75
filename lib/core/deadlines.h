/*
 * Deadlines of numbered things, the earliest first: a binary heap whose memory is sized once. Setting, moving and
 * clearing one costs the logarithm of how many are set.
 */
#ifndef LOCKSTEP_CORE_DEADLINES_H
#define LOCKSTEP_CORE_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

struct deadlines {
    int64_t *at_ms;     /* by number; valid while set */
    uint32_t *heap;     /* numbers */
    uint32_t *position; /* by number: place in the heap + 1; 0: not set */
    uint32_t count;
    uint32_t capacity;
};

/* Numbers are 0 .. capacity - 1. Memory is the arena's. */
void deadlines_init(struct deadlines *d, struct arena *arena, uint32_t capacity);
void deadlines_set(struct deadlines *d, uint32_t number, int64_t at_ms);
/* Nothing happens when it is not set. */
void deadlines_clear(struct deadlines *d, uint32_t number);
/* INT64_MAX when none is set. */
int64_t deadlines_first(const struct deadlines *d);
/* The number of the first; at least one must be set. */
uint32_t deadlines_first_number(const struct deadlines *d);
/* All that are set come later by so much; earlier when it is negative. */
void deadlines_shift(struct deadlines *d, int64_t by_ms);
/* None that is set is later than `at_ms` afterwards. */
void deadlines_not_after(struct deadlines *d, int64_t at_ms);
/* None that is set is earlier than `at_ms` afterwards. */
void deadlines_not_before(struct deadlines *d, int64_t at_ms);

#endif
