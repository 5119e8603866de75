/* Owns the heap of deadlines. Equal deadlines come in the order of their numbers, so that a trace repeats. */
#include "lib/core/deadlines.h"

#include <stdbool.h>

void deadlines_init(struct deadlines *d, struct arena *arena, uint32_t capacity)
{
    assert(capacity > 0 && capacity < UINT32_MAX);
    *d = (struct deadlines){
        .at_ms = ARENA_ARRAY(arena, capacity, int64_t),
        .heap = ARENA_ARRAY(arena, capacity, uint32_t),
        .position = ARENA_ARRAY(arena, capacity, uint32_t),
        .capacity = capacity,
    };
}

static bool before(const struct deadlines *d, uint32_t a, uint32_t b)
{
    return d->at_ms[a] != d->at_ms[b] ? d->at_ms[a] < d->at_ms[b] : a < b;
}

static void put(struct deadlines *d, uint32_t slot, uint32_t number)
{
    d->heap[slot] = number;
    d->position[number] = slot + 1;
}

static void sift_up(struct deadlines *d, uint32_t slot)
{
    uint32_t number = d->heap[slot];
    while (slot > 0 && before(d, number, d->heap[(slot - 1) / 2])) {
        put(d, slot, d->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    put(d, slot, number);
}

static void sift_down(struct deadlines *d, uint32_t slot)
{
    uint32_t number = d->heap[slot];
    for (;;) {
        uint32_t child = 2 * slot + 1;
        if (child >= d->count) {
            break;
        }
        if (child + 1 < d->count && before(d, d->heap[child + 1], d->heap[child])) {
            child++;
        }
        if (!before(d, d->heap[child], number)) {
            break;
        }
        put(d, slot, d->heap[child]);
        slot = child;
    }
    put(d, slot, number);
}

void deadlines_set(struct deadlines *d, uint32_t number, int64_t at_ms)
{
    assert(number < d->capacity);
    deadlines_clear(d, number);
    assert(d->count < d->capacity);
    d->at_ms[number] = at_ms;
    d->heap[d->count++] = number;
    sift_up(d, d->count - 1);
}

void deadlines_clear(struct deadlines *d, uint32_t number)
{
    assert(number < d->capacity);
    if (d->position[number] == 0) {
        return;
    }
    uint32_t slot = d->position[number] - 1;
    assert(slot < d->count && d->heap[slot] == number);
    d->position[number] = 0;
    uint32_t last = d->heap[--d->count];
    if (last == number) {
        return;
    }
    put(d, slot, last);
    sift_up(d, slot);
    sift_down(d, d->position[last] - 1);
}

int64_t deadlines_first(const struct deadlines *d)
{
    return d->count == 0 ? INT64_MAX : d->at_ms[d->heap[0]];
}

uint32_t deadlines_first_number(const struct deadlines *d)
{
    assert(d->count > 0);
    return d->heap[0];
}

void deadlines_shift(struct deadlines *d, int64_t by_ms)
{
    for (uint32_t i = 0; i < d->count; i++) {
        d->at_ms[d->heap[i]] += by_ms;
    }
}

void deadlines_not_after(struct deadlines *d, int64_t at_ms)
{
    for (uint32_t i = 0; i < d->count; i++) {
        d->at_ms[d->heap[i]] = MIN(d->at_ms[d->heap[i]], at_ms);
    }
    for (uint32_t i = d->count / 2; i-- > 0;) {
        sift_down(d, i);
    }
}

void deadlines_not_before(struct deadlines *d, int64_t at_ms)
{
    for (uint32_t i = 0; i < d->count; i++) {
        d->at_ms[d->heap[i]] = MAX(d->at_ms[d->heap[i]], at_ms);
    }
    for (uint32_t i = d->count / 2; i-- > 0;) {
        sift_down(d, i);
    }
}
