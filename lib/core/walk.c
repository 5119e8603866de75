/* Owns where every step stands. It refuses an intent or an outcome that does not follow from what was before: that is a
 * stale report, or a journal that belongs to another plan. */
#include "lib/core/walk.h"

#include <stdio.h>
#include <string.h>

void walk_init(struct walk *w, struct arena *arena, const struct plan *plan)
{
    memset(w, 0, sizeof(*w));
    layout_init(&w->layout, arena, plan);
    w->places = ARENA_ARRAY(arena, w->layout.slot_count, struct place);
    w->queue = ARENA_ARRAY(arena, w->layout.slot_count, uint32_t);
    deadlines_init(&w->deadlines, arena, w->layout.slot_count);
    for (uint32_t i = 0; i < w->layout.slot_count; i++) {
        w->places[i].phase = WALK_NO_PHASE;
    }
}

static const struct plan_step *step_of(const struct walk *w, uint32_t step)
{
    return plan_step_at(w->layout.plan, w->phase, step);
}

bool walk_phase_over(const struct walk *w)
{
    return !walk_is_over(w) && w->finished == layout_members(&w->layout, w->phase);
}

void walk_enter_next(struct walk *w)
{
    assert(walk_phase_over(w));
    assert(w->in_middle == 0 && w->under_way == 0);
    assert(w->queue_count == 0);
    w->phase++;
    w->cursor = 0;
    w->finished = 0;
    w->once_slot = 0;
}

/* Where step `step` is, after the one that ended at `slot`. */
static uint32_t slot_of_step(const struct walk *w, uint32_t slot, uint32_t step)
{
    return walk_phase(w)->scope == PHASE_ONCE ? w->layout.on[w->phase].slots[step] : slot;
}

static bool is_current(const struct walk *w, uint32_t slot)
{
    return !walk_is_over(w) && w->places[slot].phase == w->phase &&
           (walk_phase(w)->scope == PHASE_NODES || slot == w->once_slot);
}

bool walk_due(const struct walk *w, uint32_t slot)
{
    const struct place *p = &w->places[slot];
    if (!is_current(w, slot)) {
        return false;
    }
    switch (p->state) {
    case STEP_DONE:
        return p->step + 1 < walk_phase(w)->steps.count;
    case STEP_FAILED:
    case STEP_UNKNOWN:
        return !p->bad;
    case STEP_WAITING:
    case STEP_UNDER_WAY:
        return false;
    }
    return false;
}

void walk_enqueue(struct walk *w, uint32_t slot)
{
    assert(slot < w->layout.slot_count);
    if (w->places[slot].queued) {
        return;
    }
    assert(w->queue_count < w->layout.slot_count);
    w->places[slot].queued = true;
    w->queue[(w->queue_head + w->queue_count++) % w->layout.slot_count] = slot;
}

/* The i-th of the places that have begun the phase: of scope once, only the current one counts. */
static uint32_t begun_slot(const struct walk *w, uint32_t i)
{
    assert(i < w->cursor);
    return walk_phase(w)->scope == PHASE_ONCE ? w->once_slot
                                              : layout_member(&w->layout, w->phase, i);
}

void walk_enqueue_all(struct walk *w)
{
    for (uint32_t i = 0; i < w->cursor; i++) {
        if (walk_due(w, begun_slot(w, i))) {
            walk_enqueue(w, begun_slot(w, i));
        }
    }
}

void walk_forgive(struct walk *w)
{
    for (uint32_t i = 0; i < w->cursor; i++) {
        struct place *p = &w->places[begun_slot(w, i)];
        if (p->bad) {
            assert(w->bad > 0);
            p->bad = false;
            p->again = true;
            w->bad--;
        }
    }
    assert(w->bad == 0);
    w->why[0] = '\0';
}

const struct place *walk_worst(const struct walk *w, uint32_t *ret_slot)
{
    const struct place *worst = NULL;
    for (uint32_t i = 0; i < w->cursor; i++) {
        const struct place *p = &w->places[begun_slot(w, i)];
        if (p->bad && (worst == NULL || p->attempt > worst->attempt)) {
            worst = p;
            *ret_slot = begun_slot(w, i);
        }
    }
    return worst;
}

bool walk_next(struct walk *w, struct step_key *ret_key)
{
    while (w->queue_count > 0) {
        uint32_t slot = w->queue[w->queue_head];
        struct place *p = &w->places[slot];
        w->queue_head = (w->queue_head + 1) % w->layout.slot_count;
        w->queue_count--;
        p->queued = false;
        if (!walk_due(w, slot)) {
            continue;
        }
        bool next = p->state == STEP_DONE;
        uint32_t step = next ? p->step + 1 : p->step;
        *ret_key = (struct step_key){
            .phase = w->phase,
            .step = step,
            .place = layout_place_of_slot(&w->layout, slot_of_step(w, slot, step)),
            .attempt = next ? 1 : p->attempt + 1,
        };
        return true;
    }
    if (walk_is_over(w) || w->cursor == layout_members(&w->layout, w->phase)) {
        return false;
    }
    int64_t parallel = walk_phase(w)->parallel;
    if (parallel > 0 && w->in_middle >= parallel) {
        return false;
    }
    uint32_t slot = layout_member(&w->layout, w->phase, w->cursor);
    *ret_key = (struct step_key){
        .phase = w->phase,
        .place = layout_place_of_slot(&w->layout, slot),
        .attempt = 1,
    };
    return true;
}

/* What an intent for the current phase would be: a place's first step, its next one, or another attempt. */
enum intent_kind { INTENT_STRANGE, INTENT_FIRST, INTENT_NEXT, INTENT_AGAIN };
static enum intent_kind kind_of_intent(const struct walk *w, const struct step_key *key,
                                       uint32_t slot)
{
    const struct place *p = &w->places[slot];
    if (is_current(w, slot) && p->step == key->step && p->attempt + 1 == key->attempt &&
        p->state != STEP_DONE && walk_due(w, slot)) {
        return INTENT_AGAIN;
    }
    if (key->attempt != 1) {
        return INTENT_STRANGE;
    }
    if (key->step == 0) {
        bool first = w->cursor < layout_members(&w->layout, w->phase) &&
                     layout_member(&w->layout, w->phase, w->cursor) == slot;
        return first ? INTENT_FIRST : INTENT_STRANGE;
    }
    uint32_t before = walk_phase(w)->scope == PHASE_ONCE ? w->once_slot : slot;
    bool next = w->cursor > 0 && walk_due(w, before) && w->places[before].state == STEP_DONE &&
                w->places[before].step + 1 == key->step &&
                slot_of_step(w, before, key->step) == slot;
    return next ? INTENT_NEXT : INTENT_STRANGE;
}

bool walk_note_intent(struct walk *w, const struct step_key *key, int64_t deadline_ms,
                      uint64_t after)
{
    uint32_t slot = layout_slot_of_place(&w->layout, key->place);
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        return false;
    }
    while (w->phase < key->phase && walk_phase_over(w)) {
        walk_enter_next(w);
    }
    if (walk_is_over(w) || key->phase != w->phase || key->step >= walk_phase(w)->steps.count) {
        return false;
    }
    struct place *p = &w->places[slot];
    switch (kind_of_intent(w, key, slot)) {
    case INTENT_STRANGE:
        return false;
    case INTENT_FIRST:
        w->cursor++;
        w->in_middle++;
        p->retries_left = step_of(w, key->step)->retries;
        break;
    case INTENT_NEXT:
        p->retries_left = step_of(w, key->step)->retries;
        break;
    case INTENT_AGAIN:
        p->retries_left = p->again ? step_of(w, key->step)->retries : p->retries_left - 1;
        break;
    }
    p->phase = key->phase;
    p->step = key->step;
    p->attempt = key->attempt;
    p->state = STEP_UNDER_WAY;
    p->deadline_ms = deadline_ms;
    p->after = after;
    p->sent = false;
    p->again = false;
    p->guess = false;
    w->once_slot = slot;
    w->under_way++;
    w->touched = w->touched || walk_phase(w)->disruptive;
    deadlines_set(&w->deadlines, slot, deadline_ms);
    assert(w->under_way == w->deadlines.count);
    return true;
}

static void stop_because(struct walk *w, struct place *p, const struct step_key *key,
                         const struct outcome *outcome)
{
    assert(!p->bad);
    p->bad = true;
    if (w->bad++ > 0) {
        return;
    }
    const char *message = outcome->message != NULL && outcome->message[0] != '\0'
                              ? outcome->message
                              : outcome_status_name(outcome->status);
    const char *name = step_of(w, key->step)->name;
    snprintf(w->why, sizeof(w->why), "%s: %s: %s", rollout_place_name(w->layout.plan, key->place),
             name != NULL ? name : "?", message);
}

static bool is_guess(const struct outcome *outcome)
{
    return outcome->status == OUTCOME_UNKNOWN && outcome->code == E_TIMEOUT;
}

/* The truth came after the deadline's guess: the place is not bad because of the guess any more. */
static void take_back(struct walk *w, struct place *p, const struct step_key *key)
{
    if (p->bad) {
        assert(w->bad > 0);
        p->bad = false;
        w->bad--;
    }
    if (w->bad == 0) {
        const char *name = step_of(w, key->step)->name;
        snprintf(w->why, sizeof(w->why), "%s: %s answered late; nothing is in the way of a retry",
                 rollout_place_name(w->layout.plan, key->place), name != NULL ? name : "?");
    }
}

bool walk_note_outcome(struct walk *w, const struct step_key *key, const struct outcome *outcome)
{
    uint32_t slot = layout_slot_of_place(&w->layout, key->place);
    if (slot == ROLLOUT_PLACE_UNKNOWN || walk_is_over(w) || key->phase != w->phase) {
        return false;
    }
    struct place *p = &w->places[slot];
    if (!is_current(w, slot) || p->step != key->step || p->attempt != key->attempt) {
        return false;
    }
    bool late = p->state == STEP_UNKNOWN && p->guess && !p->again;
    if (p->state != STEP_UNDER_WAY && !(late && !is_guess(outcome))) {
        return false;
    }
    if (late) {
        take_back(w, p, key);
    } else {
        assert(w->under_way > 0);
        w->under_way--;
        deadlines_clear(&w->deadlines, slot);
    }
    p->guess = is_guess(outcome);
    switch (outcome->status) {
    case OUTCOME_DONE:
        p->state = STEP_DONE;
        if (p->step + 1 == walk_phase(w)->steps.count) {
            assert(w->in_middle > 0);
            w->in_middle--;
            w->finished++;
        }
        break;
    case OUTCOME_FAILED:
        p->state = STEP_FAILED;
        if (p->retries_left <= 0 || p->attempt >= LIMIT_ATTEMPTS) {
            stop_because(w, p, key, outcome);
        }
        break;
    case OUTCOME_UNKNOWN:
        p->state = STEP_UNKNOWN;
        stop_because(w, p, key, outcome);
        break;
    }
    return true;
}
