/* Owns the budget of nodes that are down and the pace of starts. It refuses nothing: it says what is waited for. */
#include "lib/core/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

#define NAMED_MAX 3 /* nodes that are down, in words */

static bool starts(const struct action *a)
{
    return a != NULL && a->service != NULL && a->service->verb != SERVICE_STOP;
}

bool rollout_is_start(const struct plan *plan, const struct step_key *key)
{
    return key->phase < plan->phases.count &&
           key->step < plan_phase_at(plan, key->phase)->steps.count &&
           starts(plan_step_at(plan, key->phase, key->step)->action);
}

static void index_phase(struct hold_phase *ret, const struct plan_phase *phase)
{
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct action *a = LIST_AT(&phase->steps, const struct plan_step, i)->action;
        ret->starts += starts(a) ? 1 : 0;
        if (a != NULL && a->service != NULL) {
            ret->leaves_up = starts(a);
            ret->leaves_down = !starts(a);
        }
    }
}

struct paired {
    const char *pair;
    uint32_t slot;
};

static int by_pair(const void *a, const void *b)
{
    return strcmp(((const struct paired *)a)->pair, ((const struct paired *)b)->pair);
}

static void index_pairs(struct hold *h, struct arena *arena)
{
    const struct list *nodes = &h->layout->plan->nodes;
    struct paired *paired = ARENA_ARRAY(arena, nodes->count, struct paired);
    size_t count = 0;
    for (size_t i = 0; i < nodes->count; i++) {
        const char *pair = LIST_AT(nodes, const struct plan_node, i)->pair;
        h->partner[i] = HOLD_ALONE;
        if (pair != NULL) {
            paired[count++] = (struct paired){pair, (uint32_t)i};
        }
    }
    if (count > 1) {
        qsort(paired, count, sizeof(*paired), by_pair);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(paired[i - 1].pair, paired[i].pair) == 0) {
            h->partner[paired[i - 1].slot] = paired[i].slot;
            h->partner[paired[i].slot] = paired[i - 1].slot;
        }
    }
}

void hold_init(struct hold *h, struct arena *arena, const struct layout *layout)
{
    const struct plan *plan = layout->plan;
    *h = (struct hold){.layout = layout,
                       .phases = ARENA_ARRAY(arena, plan->phases.count, struct hold_phase),
                       .budget = (uint32_t)plan->max_unavailable,
                       .down = layout->slot_count - 1,
                       .well = ARENA_ARRAY(arena, layout->slot_count, bool),
                       .told = ARENA_ARRAY(arena, layout->slot_count, bool),
                       .pending = ARENA_ARRAY(arena, layout->slot_count, uint32_t),
                       .middle = ARENA_ARRAY(arena, layout->slot_count, bool),
                       .partner = ARENA_ARRAY(arena, layout->slot_count, uint32_t),
                       .until_ms = INT64_MAX};
    for (size_t i = 0; i < plan->phases.count; i++) {
        index_phase(&h->phases[i], plan_phase_at(plan, i));
    }
    index_pairs(h, arena);
    if (plan->starts != NULL) {
        h->at_most = (uint32_t)plan->starts->at_most;
        h->within_ms = plan->starts->within_ms;
        h->ended_ms = ARENA_ARRAY(arena, h->at_most, int64_t);
    }
}

/* ---- the budget ---- */

static bool is_node(const struct hold *h, uint32_t slot)
{
    return slot + 1 < h->layout->slot_count;
}

static bool is_down(const struct hold *h, uint32_t slot)
{
    return h->middle[slot] || !h->well[slot];
}

static void set(struct hold *h, uint32_t slot, bool middle, bool well)
{
    bool before = is_down(h, slot);
    h->middle[slot] = middle;
    h->well[slot] = well;
    bool after = is_down(h, slot);
    h->down += after ? 1 : 0;
    h->down -= before ? 1 : 0;
    assert(h->down < h->layout->slot_count);
}

void hold_set_well(struct hold *h, uint32_t slot, bool well)
{
    if (is_node(h, slot)) {
        set(h, slot, h->middle[slot], well);
        h->told[slot] = true;
    }
}

void hold_lost(struct hold *h, uint32_t slot)
{
    if (is_node(h, slot)) {
        set(h, slot, h->middle[slot], false);
        h->told[slot] = false;
    }
}

static bool takes_down(const struct hold *h, uint32_t phase)
{
    const struct plan_phase *p = plan_phase_at(h->layout->plan, phase);
    return h->budget > 0 && p->takes_down && p->scope == PHASE_NODES;
}

/* ---- the pace ---- */

static int64_t *ended_at(const struct hold *h, uint32_t i)
{
    return &h->ended_ms[(h->head + i) % h->at_most];
}

/* Those that ended long enough ago do not count any more. The clock may have been set back: nothing ended later than now. */
static void forget_old(struct hold *h, int64_t now_ms)
{
    for (uint32_t i = 0; i < h->count; i++) {
        *ended_at(h, i) = MIN(*ended_at(h, i), now_ms);
    }
    while (h->count > 0 && *ended_at(h, 0) + h->within_ms <= now_ms) {
        h->head = (h->head + 1) % h->at_most;
        h->count--;
    }
}

static bool pace_allows(struct hold *h, uint32_t phase, int64_t now_ms)
{
    uint32_t wanted = h->phases[phase].starts;
    if (h->at_most == 0 || wanted == 0) {
        return true;
    }
    forget_old(h, now_ms);
    uint32_t taken = h->open + h->count;
    if (taken + wanted <= h->at_most || taken == 0) { /* alone, it may: nothing would ever let it */
        return true;
    }
    /* So many of the ended ones must grow old first; what is open will end, and is looked at again then. */
    uint32_t excess = taken + wanted - h->at_most;
    h->until_ms = h->count > 0 ? *ended_at(h, MIN(excess, h->count) - 1) + h->within_ms : INT64_MAX;
    h->why = HOLD_PACE;
    return false;
}

static void push(struct hold *h, int64_t at_ms)
{
    if (h->count == h->at_most) {
        h->head = (h->head + 1) % h->at_most;
        h->count--;
    }
    *ended_at(h, h->count) = at_ms;
    h->count++;
}

static bool is_start(const struct hold *h, const struct step_key *key)
{
    return h->at_most > 0 && starts(plan_step_at(h->layout->plan, key->phase, key->step)->action);
}

/* ---- the door ---- */

/* How many nodes are down beside the one that wants to begin. */
static uint32_t others_down(const struct hold *h)
{
    return h->down - (is_down(h, h->slot) ? 1 : 0);
}

void hold_started_before(struct hold *h, int64_t at_ms)
{
    if (h->at_most > 0) {
        push(h, at_ms);
    }
}

void hold_clear(struct hold *h)
{
    h->why = HOLD_NOTHING;
    h->until_ms = INT64_MAX;
}

bool hold_allows(struct hold *h, uint32_t phase, uint32_t slot, int64_t now_ms)
{
    hold_clear(h);
    h->slot = slot;
    /* One that is known to be down costs nothing. */
    bool free = h->told[slot] && !h->well[slot];
    if (takes_down(h, phase) && is_node(h, slot) && !free) {
        uint32_t partner = h->partner[slot];
        if (partner != HOLD_ALONE && is_down(h, partner)) {
            h->why = HOLD_PAIR;
            return false;
        }
        if (others_down(h) + 1 > h->budget) {
            h->why = HOLD_BUDGET;
            return false;
        }
    }
    return pace_allows(h, phase, now_ms);
}

void hold_begun(struct hold *h, uint32_t phase, uint32_t slot)
{
    if (takes_down(h, phase) && is_node(h, slot)) {
        set(h, slot, true, h->well[slot]);
    }
    uint32_t starts_to_come = h->at_most > 0 ? h->phases[phase].starts : 0;
    h->open += starts_to_come;
    h->pending[slot] = starts_to_come;
}

void hold_again(struct hold *h, const struct step_key *key)
{
    if (is_start(h, key)) {
        h->open++;
        h->pending[layout_slot_of_place(h->layout, key->place)]++;
    }
}

void hold_ended(struct hold *h, const struct step_key *key, int64_t at_ms)
{
    if (is_start(h, key)) {
        uint32_t *pending = &h->pending[layout_slot_of_place(h->layout, key->place)];
        h->open -= h->open > 0 ? 1 : 0;
        *pending -= *pending > 0 ? 1 : 0;
        push(h, at_ms);
    }
}

void hold_left(struct hold *h, uint32_t phase, uint32_t slot)
{
    if (plan_phase_at(h->layout->plan, phase)->scope == PHASE_NODES) {
        h->open -= MIN(h->open, h->pending[slot]); /* what it was let off */
        h->pending[slot] = 0;
    }
    if (takes_down(h, phase) && is_node(h, slot)) {
        set(h, slot, false, h->well[slot]);
    }
}

void hold_finished(struct hold *h, uint32_t phase, uint32_t slot)
{
    const struct hold_phase *p = &h->phases[phase];
    hold_left(h, phase, slot);
    if (takes_down(h, phase) && is_node(h, slot)) {
        set(h, slot, false, p->leaves_up || (h->well[slot] && !p->leaves_down));
        h->told[slot] = h->told[slot] || p->leaves_up;
    }
}

void hold_phase_over(struct hold *h, uint32_t phase)
{
    hold_clear(h);
    h->open = 0;
    for (uint32_t i = 0; takes_down(h, phase) && i < layout_members(h->layout, phase); i++) {
        uint32_t slot = layout_member(h->layout, phase, i);
        set(h, slot, false, h->well[slot]);
    }
}

/* ---- words ---- */

static const char *name_of(const struct hold *h, uint32_t slot)
{
    return rollout_place_name(h->layout->plan, layout_place_of_slot(h->layout, slot));
}

static void down_words(const struct hold *h, bool (*up)(const void *context, uint32_t slot),
                       const void *context, char *ret, size_t size)
{
    uint32_t named = 0;
    ret[0] = '\0';
    for (uint32_t i = 0; i + 1 < h->layout->slot_count && named < NAMED_MAX; i++) {
        if (i != h->slot && is_down(h, i)) {
            const char *why = h->middle[i]      ? "moves"
                              : !up(context, i) ? "its agent is not connected"
                              : h->told[i]      ? "its service does not run"
                                                : "its agent has not said yet how it is";
            size_t len = strlen(ret);
            snprintf(ret + len, size - len, "%s%s: %s", named > 0 ? ", " : "", name_of(h, i), why);
            named++;
        }
    }
    if (others_down(h) > named) {
        size_t len = strlen(ret);
        snprintf(ret + len, size - len, " and %u more", (unsigned)(others_down(h) - named));
    }
}

void hold_words(const struct hold *h, bool (*up)(const void *context, uint32_t slot),
                const void *context, char *ret, size_t size)
{
    char down[LIMIT_ERROR_BYTES / 2];
    ret[0] = '\0';
    switch (h->why) {
    case HOLD_NOTHING:
        return;
    case HOLD_BUDGET:
        down_words(h, up, context, down, sizeof(down));
        snprintf(ret, size,
                 "%.100s waits: %u of %u nodes are down (%s) and max_unavailable is %u; it goes on "
                 "when they are well, or abort and apply again: a new plan takes them first",
                 name_of(h, h->slot), (unsigned)others_down(h), (unsigned)h->layout->slot_count - 1,
                 down, (unsigned)h->budget);
        return;
    case HOLD_PAIR:
        snprintf(
            ret, size,
            "%.100s waits: %.100s, its failover partner, is down (%s); it goes on when that one "
            "is well, or abort and apply again: a new plan takes it first",
            name_of(h, h->slot), name_of(h, h->partner[h->slot]),
            up(context, h->partner[h->slot]) ? "its service does not run"
                                             : "its agent is not connected");
        return;
    case HOLD_PACE:
        snprintf(ret, size, "%.100s waits: no more than %u starts within %lld min %lld s",
                 name_of(h, h->slot), (unsigned)h->at_most, (long long)(h->within_ms / 60000),
                 (long long)(h->within_ms / 1000 % 60));
        return;
    }
}
