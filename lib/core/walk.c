/* Owns where every step stands. It refuses an intent or an outcome that does not follow from what was before: that is a
 * stale report, or a journal that belongs to another plan. */
#include "lib/core/walk.h"

#include <stdio.h>
#include <string.h>

/* Nothing of the phase has begun. */
static void reset_once(struct walk *w)
{
    w->rewind = WALK_NO_STEP;
    if (!walk_is_over(w) && walk_phase(w)->scope == PHASE_ONCE) {
        memset(w->attempts, 0, walk_phase(w)->steps.count * sizeof(*w->attempts));
        memset(w->heard, 0, walk_phase(w)->steps.count * sizeof(*w->heard));
    }
}

void walk_init(struct walk *w, struct arena *arena, const struct plan *plan)
{
    memset(w, 0, sizeof(*w));
    layout_init(&w->layout, arena, plan);
    hold_init(&w->hold, arena, &w->layout);
    size_t steps = 0;
    for (size_t i = 0; i < plan->phases.count; i++) {
        steps = MAX(steps, plan_phase_at(plan, i)->steps.count);
    }
    w->attempts = ARENA_ARRAY(arena, steps, uint32_t);
    w->heard = ARENA_ARRAY(arena, steps, uint32_t);
    w->rewind = WALK_NO_STEP;
    w->places = ARENA_ARRAY(arena, w->layout.slot_count, struct place);
    w->queue = ARENA_ARRAY(arena, w->layout.slot_count, uint32_t);
    deadlines_init(&w->deadlines, arena, w->layout.slot_count);
    deadlines_init(&w->stalls, arena, w->layout.slot_count);
    deadlines_init(&w->waits, arena, w->layout.slot_count);
    for (uint32_t i = 0; i < w->layout.slot_count; i++) {
        w->places[i].phase = WALK_NO_PHASE;
    }
}

/* Plans that tests build by hand may have steps without an action. */
static enum action_kind kind_of(const struct plan_step *step)
{
    return step->action == NULL ? ACTION_NONE : action_kind(step->action);
}

static bool service_is(const struct plan_step *step, enum service_verb verb)
{
    return kind_of(step) == ACTION_SERVICE && step->action->service->verb == (int)verb;
}

static const struct plan_step *step_of(const struct walk *w, uint32_t step)
{
    return plan_step_at(w->layout.plan, w->phase, step);
}

bool walk_phase_over(const struct walk *w)
{
    return !walk_is_over(w) && w->finished == layout_members(&w->layout, w->phase);
}

/* Members that are left behind have finished before they begin. */
static void pass_excluded(struct walk *w)
{
    while (!walk_is_over(w) && walk_phase(w)->scope == PHASE_NODES &&
           w->cursor < layout_members(&w->layout, w->phase) &&
           w->places[layout_member(&w->layout, w->phase, w->cursor)].excluded) {
        w->cursor++;
        w->finished++;
    }
}

void walk_enter_next(struct walk *w)
{
    assert(walk_phase_over(w));
    assert(w->in_middle == 0 && w->under_way == 0);
    /* What is still queued is of nodes that were left behind meanwhile. */
    for (; w->queue_count > 0; w->queue_count--) {
        w->places[w->queue[w->queue_head]].queued = false;
        w->queue_head = (w->queue_head + 1) % w->layout.slot_count;
    }
    hold_phase_over(&w->hold, w->phase);
    w->phase++;
    w->cursor = 0;
    w->finished = 0;
    w->begun = 0;
    w->once_slot = 0;
    reset_once(w);
    pass_excluded(w);
}

/* Where step `step` is, after the one that ended at `slot`. */
static uint32_t slot_of_step(const struct walk *w, uint32_t slot, uint32_t step)
{
    return walk_phase(w)->scope == PHASE_ONCE ? w->layout.on[w->phase].slots[step] : slot;
}

static bool is_current(const struct walk *w, uint32_t slot)
{
    return !walk_is_over(w) && w->places[slot].phase == w->phase && !w->places[slot].excluded &&
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

bool walk_waits(const struct walk *w, uint32_t slot)
{
    return w->waits.position[slot] != 0;
}

bool walk_wake(struct walk *w, int64_t clock_ms, bool enqueue)
{
    if (deadlines_first(&w->waits) > clock_ms) {
        return false;
    }
    uint32_t slot = deadlines_first_number(&w->waits);
    deadlines_clear(&w->waits, slot);
    if (enqueue && walk_due(w, slot)) {
        walk_enqueue(w, slot);
    }
    return true;
}

void walk_set_back(struct walk *w, int64_t by_ms)
{
    deadlines_shift(&w->waits, -by_ms);
    deadlines_shift(&w->stalls, -by_ms);
}

void walk_resume(struct walk *w, int64_t now_ms)
{
    deadlines_not_after(&w->waits, now_ms + LIMIT_BACKOFF_MS);
    for (uint32_t i = 0; i < w->layout.slot_count; i++) {
        walk_watch_stall(w, i);
    }
}

void walk_watch_stall(struct walk *w, uint32_t slot)
{
    const struct place *p = &w->places[slot];
    deadlines_clear(&w->stalls, slot);
    if (p->up && p->state == STEP_UNDER_WAY && walk_step(w, slot)->stall_ms > 0) {
        deadlines_set(&w->stalls, slot, w->now_ms + walk_step(w, slot)->stall_ms);
    }
}

void walk_note_progress(struct walk *w, const struct step_key *key, uint64_t done, uint64_t total)
{
    uint32_t slot = layout_slot_of_place(&w->layout, key->place);
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        return;
    }
    struct place *p = &w->places[slot];
    bool current = p->state == STEP_UNDER_WAY && p->phase == key->phase && p->step == key->step &&
                   p->attempt == key->attempt;
    if (current && (p->done != done || p->total != total)) {
        p->done = done;
        p->total = total;
        walk_watch_stall(w, slot);
    }
}

bool walk_is_fresh(const struct walk *w)
{
    return !walk_is_over(w) && w->begun == 0;
}

/* How long after its `tried`-th failure a step is tried again: doubled each time, with a maximum. */
static int64_t backoff_of(const struct plan_step *step, int64_t tried)
{
    int64_t wait_ms = step->backoff_ms;
    for (int64_t i = 1; i < tried && wait_ms < LIMIT_BACKOFF_MS; i++) {
        wait_ms *= 2;
    }
    return MIN(wait_ms, LIMIT_BACKOFF_MS);
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
        if (walk_due(w, begun_slot(w, i)) && !walk_waits(w, begun_slot(w, i))) {
            walk_enqueue(w, begun_slot(w, i));
        }
    }
}

/* Where the word `retry` begins for a bad step of scope once. */
static uint32_t retry_begin(const struct walk *w, uint32_t step)
{
    int64_t back = step_of(w, step)->retry_back;
    return back > 0 && back <= step ? step - (uint32_t)back : step;
}

/* What was in the way at the place is not any more. */
static void clear_bad(struct walk *w, struct place *p)
{
    assert(p->bad && w->bad > 0);
    p->bad = false;
    if (--w->bad == 0) {
        w->why[0] = '\0';
    }
}

void walk_forgive(struct walk *w, uint32_t slot)
{
    bool once = !walk_is_over(w) && walk_phase(w)->scope == PHASE_ONCE;
    for (uint32_t i = 0; i < w->cursor; i++) {
        uint32_t begun = begun_slot(w, i);
        struct place *p = &w->places[begun];
        if (p->bad && (slot == WALK_EVERY_SLOT || slot == begun)) {
            clear_bad(w, p);
            p->again = true;
            w->rewind = once ? retry_begin(w, p->step) : WALK_NO_STEP;
        }
    }
    assert(slot != WALK_EVERY_SLOT || w->bad == 0);
}

uint32_t walk_bad_slot(const struct walk *w, uint32_t number)
{
    for (uint32_t i = 0; i < w->cursor; i++) {
        uint32_t slot = begun_slot(w, i);
        if (is_current(w, slot) && w->places[slot].bad && number-- == 0) {
            return slot;
        }
    }
    return WALK_EVERY_SLOT;
}

static struct step_key key_of(const struct walk *w, uint32_t slot, uint32_t step, uint32_t attempt)
{
    return (struct step_key){
        .phase = w->phase,
        .step = step,
        .place = layout_place_of_slot(&w->layout, slot),
        .attempt = attempt,
    };
}

struct step_key walk_key(const struct walk *w, uint32_t slot)
{
    const struct place *p = &w->places[slot];
    return (struct step_key){
        .phase = p->phase,
        .step = p->step,
        .place = layout_place_of_slot(&w->layout, slot),
        .attempt = p->attempt,
    };
}

const struct plan_step *walk_step(const struct walk *w, uint32_t slot)
{
    assert(w->places[slot].phase != WALK_NO_PHASE);
    return plan_step_at(w->layout.plan, w->places[slot].phase, w->places[slot].step);
}

bool walk_worst(const struct walk *w, uint32_t only, struct step_key *ret_key)
{
    struct step_key worst = {.attempt = 0};
    for (uint32_t i = 0; !walk_is_over(w) && i < w->cursor; i++) {
        uint32_t slot = begun_slot(w, i);
        const struct place *p = &w->places[slot];
        if (!p->bad || (only != WALK_EVERY_SLOT && only != slot)) {
            continue;
        }
        if (p->attempt > worst.attempt) {
            worst = key_of(w, slot, p->step, p->attempt);
        }
        bool once = walk_phase(w)->scope == PHASE_ONCE;
        for (uint32_t s = once ? retry_begin(w, p->step) : p->step; s < p->step; s++) {
            if (w->attempts[s] > worst.attempt) {
                worst = key_of(w, slot_of_step(w, slot, s), s, w->attempts[s]);
            }
        }
    }
    *ret_key = worst;
    return worst.attempt > 0;
}

uint32_t walk_heard(const struct walk *w, uint32_t slot)
{
    return is_current(w, slot) && walk_phase(w)->scope == PHASE_ONCE
               ? w->heard[w->places[slot].step]
               : 0;
}

/* What is due at the slot: its next step, another attempt, or the step that a retry goes back to. */
static struct step_key due_key(const struct walk *w, uint32_t slot)
{
    const struct place *p = &w->places[slot];
    bool next = p->state == STEP_DONE;
    if (walk_phase(w)->scope == PHASE_NODES) {
        return key_of(w, slot, next ? p->step + 1 : p->step, next ? 1 : p->attempt + 1);
    }
    uint32_t step = next ? p->step + 1 : p->step;
    step = w->rewind != WALK_NO_STEP ? w->rewind : step;
    return key_of(w, slot_of_step(w, slot, step), step, w->attempts[step] + 1);
}

bool walk_next(struct walk *w, struct step_key *ret_key)
{
    hold_clear(&w->hold);
    while (w->queue_count > 0) {
        uint32_t slot = w->queue[w->queue_head];
        struct place *p = &w->places[slot];
        w->queue_head = (w->queue_head + 1) % w->layout.slot_count;
        w->queue_count--;
        p->queued = false;
        if (!walk_due(w, slot)) {
            continue;
        }
        *ret_key = due_key(w, slot);
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
    *ret_key = key_of(w, slot, 0, 1);
    return hold_allows(&w->hold, w->phase, slot, w->now_ms);
}

/* What is known of a node's starts, by what it was told and what it answered. */
static void begins(struct place *p, const struct plan_step *step)
{
    p->denied = p->denied && kind_of(step) != ACTION_PERMIT;
    p->stopped = p->stopped && !service_is(step, SERVICE_START);
}

static void is_done(struct place *p, const struct plan_step *step)
{
    p->denied = p->denied || kind_of(step) == ACTION_DENY;
    p->stopped = p->stopped || service_is(step, SERVICE_STOP);
}

/* What an intent for the current phase would be: a place's first step, its next one, or another attempt. */
enum intent_kind { INTENT_STRANGE, INTENT_FIRST, INTENT_NEXT, INTENT_AGAIN };
static enum intent_kind kind_of_intent(const struct walk *w, const struct step_key *key,
                                       uint32_t slot)
{
    if (key->step == 0 && key->attempt == 1) {
        bool first = w->cursor < layout_members(&w->layout, w->phase) &&
                     layout_member(&w->layout, w->phase, w->cursor) == slot;
        return first ? INTENT_FIRST : INTENT_STRANGE;
    }
    uint32_t before = walk_phase(w)->scope == PHASE_ONCE ? w->once_slot : slot;
    if (w->cursor == 0 || !walk_due(w, before)) {
        return INTENT_STRANGE;
    }
    const struct step_key due = due_key(w, before);
    if (due.place != key->place || due.step != key->step || due.attempt != key->attempt) {
        return INTENT_STRANGE;
    }
    bool again = w->places[before].state != STEP_DONE && w->places[before].step == key->step;
    return again ? INTENT_AGAIN : INTENT_NEXT;
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
    if (p->excluded && walk_phase(w)->scope == PHASE_NODES) {
        return false;
    }
    switch (kind_of_intent(w, key, slot)) {
    case INTENT_STRANGE:
        return false;
    case INTENT_FIRST:
        w->cursor++;
        w->in_middle++;
        w->begun++;
        pass_excluded(w);
        hold_begun(&w->hold, w->phase, slot);
        p->retries_left = step_of(w, key->step)->retries;
        break;
    case INTENT_NEXT:
        p->retries_left = step_of(w, key->step)->retries;
        break;
    case INTENT_AGAIN:
        p->retries_left = p->again ? step_of(w, key->step)->retries : p->retries_left - 1;
        break;
    }
    if (key->attempt > 1) {
        hold_again(&w->hold, key);
    }
    p->phase = key->phase;
    p->step = key->step;
    p->attempt = key->attempt;
    p->state = STEP_UNDER_WAY;
    p->deadline_ms = deadline_ms;
    p->done = 0;
    p->total = 0;
    p->after = after;
    p->sent = false;
    p->again = false;
    p->guess = false;
    w->once_slot = slot;
    if (walk_phase(w)->scope == PHASE_ONCE) {
        w->attempts[key->step] = key->attempt;
        w->rewind = WALK_NO_STEP;
    }
    begins(p, step_of(w, key->step));
    deadlines_clear(&w->waits, slot);
    w->under_way++;
    w->touched = w->touched || walk_phase(w)->disruptive;
    deadlines_set(&w->deadlines, slot, deadline_ms);
    walk_watch_stall(w, slot);
    assert(w->under_way == w->deadlines.count);
    return true;
}

static void stop_because(struct walk *w, struct place *p, const struct step_key *key,
                         const struct outcome *outcome)
{
    assert(!p->bad);
    p->bad = true;
    p->failures++;
    if (w->bad++ > 0) {
        return;
    }
    const char *message = outcome->message != NULL && outcome->message[0] != '\0'
                              ? outcome->message
                              : outcome_status_name(outcome->status);
    const char *name = step_of(w, key->step)->name;
    snprintf(w->why, sizeof(w->why), "%s: %s: %s", rollout_place_name(w->layout.plan, key->place),
             name != NULL ? name : "?", message);
    w->why_ms = w->now_ms;
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
        p->failures--;
        w->bad--;
    }
    if (w->bad == 0) {
        const char *name = step_of(w, key->step)->name;
        snprintf(w->why, sizeof(w->why), "%s: %s answered late; nothing is in the way of a retry",
                 rollout_place_name(w->layout.plan, key->place), name != NULL ? name : "?");
    }
}

/* The place's step is done, or counts as done by a person's word, which does not make a node well that is not. */
static void count_done(struct walk *w, struct place *p, bool by_word)
{
    uint32_t slot = (uint32_t)(p - w->places);
    p->state = STEP_DONE;
    if (p->step + 1 == walk_phase(w)->steps.count) {
        assert(w->in_middle > 0);
        w->in_middle--;
        w->finished++;
        if (by_word) {
            hold_left(&w->hold, w->phase, slot);
        } else {
            hold_finished(&w->hold, w->phase, slot);
        }
    }
}

bool walk_note_skip(struct walk *w, const struct step_key *key)
{
    uint32_t slot = layout_slot_of_place(&w->layout, key->place);
    if (slot == ROLLOUT_PLACE_UNKNOWN || walk_is_over(w) || key->phase != w->phase ||
        !is_current(w, slot)) {
        return false;
    }
    struct place *p = &w->places[slot];
    if (!p->bad || p->step != key->step || p->attempt != key->attempt) {
        return false;
    }
    clear_bad(w, p);
    p->guess = false;
    count_done(w, p, true);
    return true;
}

bool walk_note_exclude(struct walk *w, uint32_t slot)
{
    struct place *p = &w->places[slot];
    if (slot + 1 == w->layout.slot_count || p->excluded) {
        return false;
    }
    if (is_current(w, slot)) {
        bool finished = p->state == STEP_DONE && p->step + 1 == walk_phase(w)->steps.count;
        if (walk_phase(w)->scope == PHASE_ONCE || p->state == STEP_UNDER_WAY) {
            return false;
        }
        if (p->bad) {
            clear_bad(w, p);
        }
        if (!finished) {
            assert(w->in_middle > 0);
            w->in_middle--;
            w->finished++;
            hold_left(&w->hold, w->phase, slot);
        }
    }
    deadlines_clear(&w->waits, slot);
    p->excluded = true;
    w->left_behind++;
    pass_excluded(w);
    return true;
}

/* A failure: tried again by itself, at once or after a while, or in the way. */
static void note_failure(struct walk *w, uint32_t slot, const struct step_key *key,
                         const struct outcome *outcome, int64_t at_ms)
{
    struct place *p = &w->places[slot];
    const struct plan_step *step = step_of(w, key->step);
    p->state = STEP_FAILED;
    if (p->retries_left <= 0 || p->attempt >= LIMIT_ATTEMPTS) {
        stop_because(w, p, key, outcome);
    } else if (step->backoff_ms > 0) {
        deadlines_set(&w->waits, slot,
                      at_ms + backoff_of(step, step->retries - p->retries_left + 1));
    }
}

bool walk_note_outcome(struct walk *w, const struct step_key *key, const struct outcome *outcome,
                       int64_t at_ms)
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
        deadlines_clear(&w->stalls, slot);
        hold_ended(&w->hold, key, w->now_ms);
    }
    p->guess = is_guess(outcome);
    switch (outcome->status) {
    case OUTCOME_DONE:
        is_done(p, step_of(w, p->step));
        p->last = *key;
        if (walk_phase(w)->scope == PHASE_ONCE) {
            w->heard[p->step] = p->attempt;
        }
        count_done(w, p, false);
        break;
    case OUTCOME_FAILED:
        note_failure(w, slot, key, outcome, at_ms);
        break;
    case OUTCOME_UNKNOWN:
        p->state = STEP_UNKNOWN;
        stop_because(w, p, key, outcome);
        break;
    }
    return true;
}
