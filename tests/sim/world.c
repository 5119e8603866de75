/* Owns the pretended clock, chance, the queue of what happens, journals as bytes, and the trace. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

#define WALL_BEGIN_MS INT64_C(1700000000000)

void world_init(struct sim *s)
{
    arena_init(&s->arena);
    arena_init(&s->scratch);
    for (size_t i = 0; i < SIM_PLACES_MAX; i++) {
        arena_init(&s->places[i].arena);
    }
    arena_init(&s->controllers[0].arena);
    arena_init(&s->controllers[1].arena);
    s->chance = s->seed * 2 + 1;
    s->fault_chance = s->seed ^ UINT64_C(0x5eed5eed5eed5eed);
    s->digest = UINT64_C(0xcbf29ce484222325);
}

void world_deinit(struct sim *s)
{
    for (size_t i = 0; i < SIM_PLACES_MAX; i++) {
        agent_free(s->places[i].machine);
        arena_deinit(&s->places[i].arena);
    }
    arena_deinit(&s->controllers[0].arena);
    arena_deinit(&s->controllers[1].arena);
    arena_deinit(&s->scratch);
    arena_deinit(&s->arena);
}

/* splitmix64 (Steele, Lea, Flood): any state is a good one. */
uint64_t chance_of(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t chance(struct sim *s, uint64_t below)
{
    return below == 0 ? 0 : chance_of(&s->chance) % below;
}

bool percent(struct sim *s, unsigned likely)
{
    return chance(s, 100) < likely;
}

int64_t wall_ms(const struct sim *s)
{
    return WALL_BEGIN_MS + s->now_ms + s->skew_ms;
}

/* ---- the queue: a heap by time, then by order of arrival ---- */

static bool earlier(const struct event_in_queue *a, const struct event_in_queue *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

/* The event may be filled in after this: its time and order alone decide where it stands. */
struct event_in_queue *later(struct sim *s, int64_t in_ms, enum happening what)
{
    s->queue = arena_grow(&s->arena, s->queue, s->queued, &s->queue_capacity, sizeof(*s->queue));
    struct event_in_queue e = {
        .at_ms = s->now_ms + MAX(in_ms, 0), .order = ++s->order, .what = what};
    size_t i = s->queued++;
    while (i > 0 && earlier(&e, &s->queue[(i - 1) / 2])) {
        s->queue[i] = s->queue[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->queue[i] = e;
    return &s->queue[i];
}

bool next_event(struct sim *s, struct event_in_queue *ret)
{
    if (s->queued == 0) {
        return false;
    }
    *ret = s->queue[0];
    struct event_in_queue last = s->queue[--s->queued];
    size_t i = 0;
    while (2 * i + 1 < s->queued) {
        size_t child = 2 * i + 1;
        if (child + 1 < s->queued && earlier(&s->queue[child + 1], &s->queue[child])) {
            child++;
        }
        if (!earlier(&s->queue[child], &last)) {
            break;
        }
        s->queue[i] = s->queue[child];
        i = child;
    }
    s->queue[i] = last;
    return true;
}

/* ---- the trace ---- */

void trace(struct sim *s, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    size_t count = MIN((size_t)MAX(len, 0), sizeof(line) - 1);
    for (size_t i = 0; i < count; i++) {
        s->digest = (s->digest ^ (uint8_t)line[i]) * UINT64_C(0x100000001b3);
    }
    s->digest = (s->digest ^ (uint64_t)s->now_ms) * UINT64_C(0x100000001b3);
    if (s->trace) {
        printf("%10.3f  %s\n", (double)s->now_ms / 1000, line);
    }
}

/* ---- bytes and journals ---- */

struct bytes bytes_copy(struct sim *s, struct bytes bytes)
{
    uint8_t *copy = arena_alloc(&s->arena, bytes.len + 1);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return (struct bytes){copy, bytes.len};
}

void journal_add(struct sim *s, struct sim_journal *j, struct bytes bytes)
{
    j->items = arena_grow(&s->arena, j->items, j->count, &j->capacity, sizeof(*j->items));
    j->items[j->count++] = bytes_copy(s, bytes);
}

void journal_crash(struct sim *s, struct sim_journal *j, bool lies)
{
    j->durable -= lies ? chance(s, MIN(j->durable, 3) + 1) : 0;
    size_t kept = lies ? j->durable : j->durable + chance(s, j->count - j->durable + 1);
    j->count = kept;
    j->durable = kept;
}
