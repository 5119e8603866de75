/* Owns how events become what a watcher knows. It refuses events that do not fit the plan. */
#include "cli/watch_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/known.h"
#include "lib/base/str.h"

#define NAME_WIDTH_MAX  22
#define PLACE_WIDTH_MAX 24

void watch_init(struct watch *w, struct arena *arena)
{
    *w = (struct watch){.arena = arena};
}

/* ---- the plan ---- */

static int by_name(const void *a, const void *b)
{
    const struct name_at *x = a;
    const struct name_at *y = b;
    return strcmp(x->name, y->name);
}

static struct name_index index_of(struct arena *arena, const struct plan_node_set *set)
{
    struct name_index index = {.items = ARENA_ARRAY(arena, set->nodes.count + 1, struct name_at),
                               .count = set->nodes.count};
    for (size_t i = 0; i < set->nodes.count; i++) {
        index.items[i] = (struct name_at){set->nodes.items[i], i};
    }
    qsort(index.items, index.count, sizeof(struct name_at), by_name);
    return index;
}

static size_t places_of(const struct watch *w, const struct plan_phase *phase)
{
    if (phase->scope == PHASE_ONCE) {
        return 1;
    }
    return LIST_AT(&w->plan.node_sets, const struct plan_node_set, phase->node_set)->nodes.count;
}

static void measure(struct watch *w)
{
    w->place_width = strlen(PLAN_CONTROLLER);
    for (size_t i = 0; i < w->plan.nodes.count; i++) {
        size_t len = strlen(LIST_AT(&w->plan.nodes, const struct plan_node, i)->name);
        w->place_width = MAX(w->place_width, len);
    }
    w->place_width = MIN(w->place_width, (size_t)PLACE_WIDTH_MAX);
    for (size_t p = 0; p < w->plan.phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(&w->plan, p);
        for (size_t s = 0; s < phase->steps.count; s++) {
            w->name_width = MAX(w->name_width, strlen(plan_step_at(&w->plan, p, s)->name));
        }
        w->phases[p].steps = phase->steps.count * places_of(w, phase);
        w->steps += w->phases[p].steps;
    }
    w->name_width = MIN(w->name_width, (size_t)NAME_WIDTH_MAX);
}

static int see_run(struct watch *w, const Lockstep__V1__WatchRun *run, struct error *e)
{
    int r = plan_from_json(w->arena, (const char *)run->plan.data, run->plan.len, &w->plan, e);
    if (r < 0) {
        return error_wrap(e,
                          "the run's plan cannot be read (is the controller of another version?)");
    }
    w->run = arena_strdup(w->arena, run->run);
    w->plan_id = arena_strdup(w->arena, run->plan_id);
    w->cluster = arena_strdup(w->arena, run->cluster);
    w->takes_back = str_empty(run->takes_back) ? NULL : arena_strdup(w->arena, run->takes_back);
    w->started_ms = run->started_ms;
    w->phases = ARENA_ARRAY(w->arena, w->plan.phases.count + 1, struct watch_phase);
    w->sets = ARENA_ARRAY(w->arena, w->plan.node_sets.count + 1, struct name_index);
    for (size_t i = 0; i < w->plan.node_sets.count; i++) {
        w->sets[i] = index_of(w->arena, LIST_AT(&w->plan.node_sets, const struct plan_node_set, i));
    }
    measure(w);
    if (run->n_known > 0) {
        const struct known_durations known = known_read(w->arena, run->known, run->n_known);
        w->forecast = forecast_new(w->arena, &known, &w->plan);
    }
    w->begun = true;
    return 0;
}

/* ---- steps ---- */

static void open_phase(struct watch *w, uint32_t at)
{
    struct watch_phase *p = &w->phases[at];
    const struct plan_phase *phase = plan_phase_at(&w->plan, at);
    if (p->slots != NULL) {
        return;
    }
    bool once = phase->scope == PHASE_ONCE;
    p->slot_count = once ? phase->steps.count : places_of(w, phase);
    p->slots = ARENA_ARRAY(w->arena, p->slot_count + 1, struct watch_slot);
    for (size_t i = 0; i < p->slot_count; i++) {
        struct watch_slot *slot = &p->slots[i];
        slot->step = once ? (uint32_t)i : 0;
        slot->place = once
                          ? plan_step_at(&w->plan, at, i)->on
                          : LIST_AT(&w->plan.node_sets, const struct plan_node_set, phase->node_set)
                                ->nodes.items[i];
    }
}

static struct watch_slot *find_slot(struct watch *w, const Lockstep__V1__WatchStep *step)
{
    if (step->phase >= w->plan.phases.count) {
        return NULL;
    }
    const struct plan_phase *phase = plan_phase_at(&w->plan, step->phase);
    if (step->step >= phase->steps.count) {
        return NULL;
    }
    open_phase(w, step->phase);
    struct watch_phase *p = &w->phases[step->phase];
    if (phase->scope == PHASE_ONCE) {
        return &p->slots[step->step];
    }
    const struct name_index *index = &w->sets[phase->node_set];
    const struct name_at key = {.name = step->place};
    const struct name_at *found =
        bsearch(&key, index->items, index->count, sizeof(struct name_at), by_name);
    return found != NULL ? &p->slots[found->at] : NULL;
}

static bool state_from(const char *word, enum slot_state *ret)
{
    static const struct {
        const char *word;
        enum slot_state state;
    } words[] = {{"under-way", SLOT_UNDER_WAY},
                 {"done", SLOT_DONE},
                 {"failed", SLOT_FAILED},
                 {"unknown", SLOT_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_equal(words[i].word, word)) {
            *ret = words[i].state;
            return true;
        }
    }
    return false;
}

static void see_progress(struct watch_slot *slot, const Lockstep__V1__WatchStep *step)
{
    if (slot->state == SLOT_UNDER_WAY && slot->step == step->step) {
        snprintf(slot->text, sizeof(slot->text), "%s", step->message);
        slot->done = step->done;
        slot->total = step->total;
    }
}

/* A failure stands until a later attempt of the same step ends. */
static void forget_failure(struct watch *w, const Lockstep__V1__WatchStep *step)
{
    for (size_t i = 0; i < w->failure_count; i++) {
        const struct watch_failure *f = &w->failures[i];
        if (f->phase == step->phase && f->step == step->step && str_equal(f->place, step->place)) {
            memmove(&w->failures[i], &w->failures[i + 1],
                    (w->failure_count - i - 1) * sizeof(*w->failures));
            w->failure_count--;
            return;
        }
    }
}

static void keep_failure(struct watch *w, const Lockstep__V1__WatchStep *step,
                         const struct watch_slot *slot, int64_t at_ms)
{
    forget_failure(w, step);
    if ((slot->state != SLOT_FAILED && slot->state != SLOT_UNKNOWN) ||
        w->failure_count == WATCH_FAILURES_MAX) {
        return;
    }
    w->failures = arena_grow(w->arena, w->failures, w->failure_count, &w->failure_capacity,
                             sizeof(*w->failures));
    w->failures[w->failure_count++] =
        (struct watch_failure){.phase = step->phase,
                               .step = step->step,
                               .attempt = step->attempt,
                               .place = slot->place,
                               .message = arena_strdup(w->arena, step->message),
                               .log_tail = arena_strdup(w->arena, step->log_tail),
                               .at_ms = at_ms};
}

static void keep_timing(struct watch *w, const Lockstep__V1__WatchStep *step,
                        const struct watch_slot *slot, int64_t at_ms)
{
    const struct watch_phase *p = &w->phases[step->phase];
    w->timings =
        arena_grow(w->arena, w->timings, w->timing_count, &w->timing_capacity, sizeof(*w->timings));
    w->timings[w->timing_count++] =
        (struct watch_timing){.phase = step->phase,
                              .step = step->step,
                              .attempt = step->attempt,
                              .slot = (uint32_t)(slot - p->slots),
                              .state = slot->state,
                              .started_ms = step->started_ms > 0 ? step->started_ms : at_ms,
                              .ended_ms = step->ended_ms > 0 ? step->ended_ms : at_ms};
}

/* The one place where a slot changes its state: the counts go with it. */
static void set_slot(struct watch *w, uint32_t at, struct watch_slot *slot, enum slot_state state,
                     uint32_t step, int64_t at_ms)
{
    struct watch_phase *p = &w->phases[at];
    bool once = plan_phase_at(&w->plan, at)->scope == PHASE_ONCE;
    uint32_t steps = once ? 1 : (uint32_t)plan_phase_at(&w->plan, at)->steps.count;
    p->under_way -= slot->state == SLOT_UNDER_WAY ? 1 : 0;
    p->under_way += state == SLOT_UNDER_WAY ? 1 : 0;
    slot->state = state;
    slot->step = step;
    slot->since_ms = at_ms;
    slot->done = 0;
    slot->total = 0;
    slot->text[0] = '\0';
    uint32_t done = once ? 0 : step;
    done += state == SLOT_DONE ? 1 : 0;
    if (done > slot->steps_done) {
        p->steps_done += done - slot->steps_done;
        w->steps_done += done - slot->steps_done;
        slot->steps_done = done;
    }
    if (state == SLOT_DONE && slot->steps_done < steps) {
        slot->state = SLOT_WAITING;
        slot->step = step + 1;
        slot->attempt = 0; /* attempts count anew with each step */
    }
    p->ended_ms = p->steps_done == p->steps ? at_ms : 0;
}

static void begin_phase(struct watch *w, uint32_t at, int64_t at_ms)
{
    if (at >= w->plan.phases.count) {
        return;
    }
    open_phase(w, at);
    w->phase = MAX(w->phase, at);
    if (w->phases[at].started_ms == 0) {
        w->phases[at].started_ms = at_ms;
    }
}

static bool see_step(struct watch *w, const Lockstep__V1__WatchEvent *event)
{
    const Lockstep__V1__WatchStep *step = event->step;
    struct watch_slot *slot = find_slot(w, step);
    enum slot_state state = SLOT_WAITING;
    if (slot == NULL || !state_from(step->state, &state)) {
        return false;
    }
    if (event->number == 0) {
        see_progress(slot, step);
        return true;
    }
    if (step->attempt < slot->attempt && step->step == slot->step) {
        return false; /* late, of an earlier attempt */
    }
    begin_phase(w, step->phase, event->at_ms);
    slot->attempt = step->attempt;
    set_slot(w, step->phase, slot, state, step->step, event->at_ms);
    if (state != SLOT_UNDER_WAY) {
        struct watch_slot ended = *slot;
        ended.state = state;
        keep_failure(w, step, &ended, event->at_ms);
        keep_timing(w, step, slot, event->at_ms);
        w->timings[w->timing_count - 1].state = state;
    }
    return true;
}

/* ---- words ---- */

/* A step that counts as done, and a node that does nothing more: no failure of theirs stands any longer. */
static void see_word(struct watch *w, const Lockstep__V1__WatchEvent *event)
{
    const Lockstep__V1__WatchWord *word = event->word;
    bool skip = str_equal(word->word, word_name(WORD_SKIP));
    bool exclude = str_equal(word->word, word_name(WORD_EXCLUDE));
    for (size_t i = 0; i < w->failure_count && (skip || exclude); i++) {
        struct watch_failure f = w->failures[i];
        if (!str_equal(f.place, word->place) ||
            (skip && !str_equal(plan_step_at(&w->plan, f.phase, f.step)->name, word->step))) {
            continue;
        }
        Lockstep__V1__WatchStep step = LOCKSTEP__V1__WATCH_STEP__INIT;
        step.phase = f.phase;
        step.step = f.step;
        step.place = (char *)f.place;
        forget_failure(w, &step);
        struct watch_slot *slot = find_slot(w, &step);
        if (skip && slot != NULL) {
            set_slot(w, f.phase, slot, SLOT_DONE, f.step, event->at_ms);
        }
        return;
    }
}

/* ---- the run ---- */

static const char *text_or_null(struct arena *arena, const char *text)
{
    return str_empty(text) ? NULL : arena_strdup(arena, text);
}

static void see_state(struct watch *w, const Lockstep__V1__WatchState *state, int64_t at_ms)
{
    for (int i = 0; i < ROLLOUT_STATES; i++) {
        if (str_equal(rollout_state_name((enum rollout_state)i), state->state)) {
            w->state = (enum rollout_state)i;
        }
    }
    w->why = text_or_null(w->arena, state->why);
    w->who = text_or_null(w->arena, state->who);
    w->asks = state->asks;
    w->rolls_back = state->roll_back;
    w->ended_ms = rollout_state_is_end(w->state) ? at_ms : 0;
}

int watch_see(struct watch *w, const Lockstep__V1__WatchEvent *event, bool *ret_new,
              struct error *e)
{
    *ret_new = false;
    if (event->number != 0 && event->number <= w->last_number) {
        return 0;
    }
    w->last_number = MAX(w->last_number, event->number);
    if (event->event_case == LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN) {
        if (w->begun) {
            return 0;
        }
        *ret_new = true;
        return see_run(w, event->run, e);
    }
    if (!w->begun) {
        return 0; /* the first is a WatchRun, or nothing can be understood */
    }
    *ret_new = true;
    switch (event->event_case) {
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STATE:
        see_state(w, event->state, event->at_ms);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP:
        *ret_new = see_step(w, event);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE:
        begin_phase(w, event->phase->phase, event->at_ms);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_WORD:
        see_word(w, event);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_LINE:
        w->line = arena_strdup(w->arena, event->line->text);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN:
    case LOCKSTEP__V1__WATCH_EVENT__EVENT__NOT_SET:
    case _LOCKSTEP__V1__WATCH_EVENT__EVENT__CASE_IS_INT_SIZE:
        *ret_new = false;
        break;
    }
    return 0;
}

/* ---- questions ---- */

bool watch_is_over(const struct watch *w)
{
    return rollout_state_is_end(w->state);
}

static bool anything_under_way(const struct watch *w)
{
    for (size_t i = 0; w->begun && i < w->plan.phases.count; i++) {
        if (w->phases[i].under_way > 0) {
            return true;
        }
    }
    return false;
}

bool watch_rests(const struct watch *w)
{
    return w->asks && !anything_under_way(w);
}

const char *watch_hop_label(const struct watch *w, int64_t hop, struct arena *arena)
{
    if (hop < 0) {
        return "before";
    }
    return (size_t)hop >= w->plan.hops.count ? "after"
                                             : arena_printf(arena, "hop %lld", (long long)hop + 1);
}

const char *watch_title(const struct watch *w, struct arena *arena)
{
    static const char *const directions[] = {"repair", "up", "down"};
    const struct plan *p = &w->plan;
    return arena_printf(arena, "%s: %s %s -> %s   %s, %zu hop%s, %s", w->cluster, p->application,
                        p->from != NULL ? p->from : "nothing", p->to, directions[p->direction],
                        p->hops.count, p->hops.count == 1 ? "" : "s",
                        p->strategy == STRATEGY_ROLLING ? "rolling" : "all-at-once");
}

const char *watch_waits_for(const struct watch *w, int64_t now_ms, struct arena *arena)
{
    if (!w->begun || watch_is_over(w)) {
        return NULL;
    }
    if (watch_rests(w) && w->state == ROLLOUT_WAITING) {
        return arena_printf(arena, "%s; " WATCH_APPROVE,
                            w->why != NULL ? w->why : "it waits at a gate", w->run);
    }
    if (watch_rests(w)) {
        return arena_printf(arena, "paused: %s; " WATCH_ANSWER,
                            w->why != NULL ? w->why : "it waits for an operator", w->run);
    }
    const struct watch_slot *oldest = NULL;
    uint32_t oldest_phase = 0;
    uint64_t count = 0;
    for (uint32_t p = 0; p < w->plan.phases.count && p <= w->phase; p++) {
        for (size_t i = 0; w->phases[p].under_way > 0 && i < w->phases[p].slot_count; i++) {
            const struct watch_slot *slot = &w->phases[p].slots[i];
            if (slot->state != SLOT_UNDER_WAY) {
                continue;
            }
            count++;
            if (oldest == NULL || slot->since_ms < oldest->since_ms) {
                oldest = slot;
                oldest_phase = p;
            }
        }
    }
    if (oldest == NULL) {
        return NULL;
    }
    const struct plan_step *step = plan_step_at(&w->plan, oldest_phase, oldest->step);
    int64_t waiting = MAX(now_ms - oldest->since_ms, 0) / 1000;
    return arena_printf(
        arena, "%s %s: waiting %lld s%s%s%s", oldest->place, step->name, (long long)waiting,
        oldest->text[0] != '\0' ? ", " : "", oldest->text,
        count > 1 ? arena_printf(arena, "; and %llu more", (unsigned long long)(count - 1)) : "");
}
