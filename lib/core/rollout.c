/* Owns the door of the rollout machine, its states and the order of its effects. It refuses words that are not legal in
 * the state; it ignores reports that are stale. Where steps stand is walk.c's. */
#include "lib/core/rollout.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/machine.h"

static const bool allowed[ROLLOUT_STATES][ROLLOUT_STATES] = {
    [ROLLOUT_READY] = {[ROLLOUT_RUNNING] = true, [ROLLOUT_FAILED] = true, [ROLLOUT_ABORTED] = true},
    [ROLLOUT_RUNNING] = {[ROLLOUT_PAUSED] = true,
                         [ROLLOUT_WAITING] = true,
                         [ROLLOUT_ABORTING] = true,
                         [ROLLOUT_SUCCEEDED] = true,
                         [ROLLOUT_INCOMPLETE] = true,
                         [ROLLOUT_FAILED] = true},
    [ROLLOUT_PAUSED] = {[ROLLOUT_RUNNING] = true, [ROLLOUT_ABORTING] = true},
    [ROLLOUT_WAITING] = {[ROLLOUT_RUNNING] = true, [ROLLOUT_ABORTING] = true},
    [ROLLOUT_ABORTING] = {[ROLLOUT_ABORTED] = true},
};

const char *rollout_state_name(enum rollout_state state)
{
    switch (state) {
    case ROLLOUT_READY:
        return "ready";
    case ROLLOUT_RUNNING:
        return "running";
    case ROLLOUT_PAUSED:
        return "paused";
    case ROLLOUT_ABORTING:
        return "aborting";
    case ROLLOUT_SUCCEEDED:
        return "succeeded";
    case ROLLOUT_FAILED:
        return "failed";
    case ROLLOUT_ABORTED:
        return "aborted";
    case ROLLOUT_WAITING:
        return "waiting";
    case ROLLOUT_INCOMPLETE:
        return "incomplete";
    }
    return "?";
}

bool rollout_state_is_end(enum rollout_state state)
{
    return state == ROLLOUT_SUCCEEDED || state == ROLLOUT_INCOMPLETE || state == ROLLOUT_FAILED ||
           state == ROLLOUT_ABORTED;
}

/* The one place where the state changes, for decisions and for replayed records. */
static void set_state(struct rollout *r, const struct change *change, int64_t at_ms)
{
    enum rollout_state state = change->state;
    enum rollout_state before = r->state;
    enum cause cause_before = r->cause;
    assert(allowed[r->state][state]);
    assert(!rollout_state_is_end(state) || r->walk.under_way == 0);
    bool retried = r->state == ROLLOUT_PAUSED && state == ROLLOUT_RUNNING;
    r->state = state;
    r->cause = change->cause;
    r->roll_back = change->roll_back;
    r->go_on = false;
    /* `why` may be this very buffer; why a run goes on is for the journal alone */
    if (state == ROLLOUT_RUNNING) {
        r->why[0] = '\0';
    } else if (change->why != r->why) {
        snprintf(r->why, sizeof(r->why), "%s", change->why != NULL ? change->why : "");
    }
    if (retried) {
        walk_forgive(&r->walk, WALK_EVERY_SLOT);
        if (r->live) {
            walk_enqueue_all(&r->walk);
        }
    }
    gates_note_state(r, before, cause_before);
    timers_note_state(r, before, cause_before, at_ms);
}

/* All that was bad turned out well after the pause. */
static void explain_pause(struct rollout *r)
{
    if (r->state == ROLLOUT_PAUSED && r->cause == CAUSE_FAILURE && r->walk.bad == 0) {
        snprintf(r->why, sizeof(r->why), "%s", r->walk.why);
    }
}

const char *machine_why(const struct rollout *r)
{
    return r->why[0] == '\0' && r->walk.bad > 0 ? r->walk.why : r->why;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* ---- effects ---- */

static struct effect *add(struct effects *out, enum effect_type type)
{
    assert(out->count < LIMIT_EFFECTS);
    struct effect *e = &out->items[out->count++];
    memset(e, 0, sizeof(*e));
    e->type = type;
    return e;
}

char *machine_text(struct rollout *r, const struct effects *out)
{
    assert(out->count < LIMIT_EFFECTS);
    return r->texts[out->count];
}

static struct effect *add_record(struct rollout *r, struct effects *out, enum record_type type,
                                 int64_t now_ms)
{
    struct effect *e = add(out, EFFECT_RECORD);
    e->number = ++r->records;
    e->record.type = type;
    e->record.at_ms = now_ms;
    return e;
}

/* Where a run waits, stops or has ended, the phase that is over is behind it: in its life and in a replay of it alike. */
static void enter_what_follows(struct rollout *r, enum rollout_state state)
{
    bool enters = r->state != ROLLOUT_READY && state != ROLLOUT_RUNNING;
    while (enters && walk_phase_over(&r->walk)) {
        walk_enter_next(&r->walk);
    }
}

void machine_change_state(struct rollout *r, const struct change *change, int64_t now_ms,
                          struct effects *out)
{
    enter_what_follows(r, change->state);
    char *text = machine_text(r, out);
    snprintf(text, LIMIT_ERROR_BYTES, "%s", change->why != NULL ? change->why : "");
    set_state(r, change, now_ms);
    struct effect *e = add_record(r, out, RECORD_STATE, now_ms);
    e->record.state = change->state;
    e->record.cause = change->cause;
    e->record.roll_back = change->roll_back;
    e->record.why = text_or_null(text);
    e->record.who = change->who;
    e = add(out, EFFECT_TELL);
    e->tell = TELL_STATE;
    e->state = change->state;
    e->text = text_or_null(text);
}

void machine_add_word(struct rollout *r, const struct record *record, struct effects *out)
{
    assert(record->type == RECORD_WORD);
    struct effect *e = add_record(r, out, RECORD_WORD, record->at_ms);
    e->record = *record;
    struct effect *told = add(out, EFFECT_TELL);
    told->tell = TELL_WORD;
    told->record = *record;
    told->key = record->key;
}

void machine_tell_waiting(struct effects *out, const char *text)
{
    struct effect *e = add(out, EFFECT_TELL);
    e->tell = TELL_WAITING;
    e->text = text_or_null(text);
}

void machine_refuse(struct rollout *r, struct effects *out, const char *fmt, ...)
{
    char *text = machine_text(r, out);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, LIMIT_ERROR_BYTES, fmt, args);
    va_end(args);
    add(out, EFFECT_REFUSED)->text = text;
}

/* The place is up and owes an answer: it is asked, whether it has been asked before or not. */
static void send(struct rollout *r, uint32_t slot, struct effects *out)
{
    struct place *p = &r->walk.places[slot];
    if (!p->up || p->state != STEP_UNDER_WAY || !r->live || rollout_state_is_end(r->state) ||
        r->misfit[0] != '\0') {
        return;
    }
    p->sent = true;
    struct effect *e = add(out, EFFECT_SEND);
    e->after = p->after;
    e->key = walk_key(&r->walk, slot);
    e->known = walk_heard(&r->walk, slot);
    e->last = p->last;
    e->deadline_ms = p->deadline_ms;
}

/* From a decision or from a replay; `after`: the record's number in this life. */
static bool note_intent(struct rollout *r, const struct record *record, uint64_t after)
{
    uint32_t phase = r->walk.phase;
    bool fresh = walk_is_fresh(&r->walk);
    if (!walk_note_intent(&r->walk, &record->key, record->deadline_ms, after)) {
        return false;
    }
    if (walk_phase(&r->walk)->rests && (fresh || r->walk.phase != phase)) {
        timers_note_wave(r, record->at_ms);
    }
    return true;
}

static void instruct(struct rollout *r, const struct step_key *key, int64_t now_ms,
                     struct effects *out)
{
    const struct plan_step *step = plan_step_at(r->walk.layout.plan, key->phase, key->step);
    int64_t deadline_ms = now_ms + step->deadline_ms;
    struct effect *e = add_record(r, out, RECORD_INTENT, now_ms);
    e->record.key = *key;
    e->record.deadline_ms = deadline_ms;
    bool fits = note_intent(r, &e->record, e->number);
    assert(fits);
    send(r, layout_slot_of_place(&r->walk.layout, key->place), out);
    e = add(out, EFFECT_TELL);
    e->tell = TELL_STEP_STARTED;
    e->key = *key;
    e->deadline_ms = deadline_ms;
}

static void end_step(struct rollout *r, const struct step_key *key, const struct outcome *outcome,
                     int64_t now_ms, struct effects *out)
{
    if (!walk_note_outcome(&r->walk, key, outcome, now_ms)) {
        return;
    }
    struct effect *e = add_record(r, out, RECORD_OUTCOME, now_ms);
    e->record.key = *key;
    e->record.outcome = *outcome;
    struct effect *told = add(out, EFFECT_TELL);
    told->tell = TELL_STEP_ENDED;
    told->record = e->record;
    told->key = *key;
    told->status = outcome->status;
    told->text = outcome->message;
    explain_pause(r);
    uint32_t slot = layout_slot_of_place(&r->walk.layout, key->place);
    if (walk_due(&r->walk, slot) && !walk_waits(&r->walk, slot)) {
        walk_enqueue(&r->walk, slot);
    }
}

/* ---- work: one piece at a time, while there is room for its effects ---- */

/* A time of its step is over: the whole of it, or the one in which its progress must move. */
static void give_up(struct rollout *r, uint32_t slot, bool stalled, int64_t now_ms,
                    struct effects *out)
{
    struct step_key key = walk_key(&r->walk, slot);
    const struct plan_step *step = walk_step(&r->walk, slot);
    int64_t seconds = (stalled ? step->stall_ms : step->deadline_ms) / 1000;
    char *text = machine_text(r, out);
    snprintf(text, LIMIT_ERROR_BYTES, "%s %s %lld min %lld s (%s)",
             rollout_place_name(r->walk.layout.plan, key.place),
             stalled ? "made no progress for" : "did not answer within", (long long)(seconds / 60),
             (long long)(seconds % 60),
             r->walk.places[slot].up ? "it is connected" : "it is not connected");
    struct outcome outcome = {
        .status = OUTCOME_UNKNOWN,
        .code = E_TIMEOUT,
        .message = text,
        .ended_ms = now_ms,
    };
    end_step(r, &key, &outcome, now_ms, out);
}

/* A step is bad and will not be tried again by itself. */
static bool stop(struct rollout *r, int64_t now_ms, struct effects *out)
{
    struct change change = {.state = ROLLOUT_PAUSED, .cause = CAUSE_FAILURE, .why = r->walk.why};
    if (!r->walk.touched) {
        if (r->walk.under_way > 0) {
            return false;
        }
        change.state = ROLLOUT_FAILED;
    } else if (r->walk.layout.plan->on_failure == ON_FAILURE_ABORT) {
        change.state = ROLLOUT_ABORTING;
    } else if (back_after_failure(r)) {
        change.state = ROLLOUT_ABORTING;
        change.roll_back = true;
    }
    machine_change_state(r, &change, now_ms, out);
    return true;
}

/* Everything is done where it could be. */
static void succeed(struct rollout *r, int64_t now_ms, struct effects *out)
{
    struct change change = {.state = ROLLOUT_SUCCEEDED};
    char why[LIMIT_ERROR_BYTES];
    if (r->walk.left_behind > 0) {
        walk_name_left_behind(&r->walk, why, sizeof(why));
        change = (struct change){.state = ROLLOUT_INCOMPLETE, .why = why};
    }
    machine_change_state(r, &change, now_ms, out);
}

static bool is_up(const void *context, uint32_t slot)
{
    const struct rollout *r = context;
    return r->walk.places[slot].up;
}

/* A node may not begin yet: said once, and again from time to time. False: there is nothing to say. */
static bool tell_held(struct rollout *r, int64_t now_ms, struct effects *out)
{
    const struct hold *h = &r->walk.hold;
    if (h->why == HOLD_NOTHING) {
        r->held = HOLD_NOTHING;
        r->held_ms = INT64_MAX;
        r->held_words[0] = '\0';
        return false;
    }
    hold_words(h, is_up, r, r->held_words, sizeof(r->held_words));
    bool news = r->held != h->why || r->held_slot != h->slot;
    if (!news && now_ms < r->held_ms) {
        return false;
    }
    r->held = h->why;
    r->held_slot = h->slot;
    r->held_ms = now_ms + ROLLOUT_REMIND_MS;
    machine_tell_waiting(out, r->held_words);
    return true;
}

static bool work_running(struct rollout *r, int64_t now_ms, struct effects *out)
{
    struct step_key key;
    if (r->walk.bad > 0) {
        return budget_takes(r, now_ms, out) || stop(r, now_ms, out);
    }
    if (walk_phase_over(&r->walk)) {
        walk_enter_next(&r->walk);
        if (!walk_is_over(&r->walk)) {
            struct effect *e = add(out, EFFECT_TELL);
            e->tell = TELL_PHASE;
            e->key.phase = r->walk.phase;
        }
        return true;
    }
    if (walk_is_over(&r->walk)) {
        succeed(r, now_ms, out);
        return true;
    }
    if (gates_hold(r, now_ms, out)) {
        return true;
    }
    if (walk_next(&r->walk, &key)) {
        r->held = HOLD_NOTHING;
        r->held_words[0] = '\0';
        instruct(r, &key, now_ms, out);
        return true;
    }
    return tell_held(r, now_ms, out);
}

/* A journal that does not fit: nothing is begun, and what runs stops. */
static bool work_misfit(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (r->misfit[0] == '\0' || (r->state != ROLLOUT_RUNNING && r->state != ROLLOUT_READY)) {
        return false;
    }
    const struct change change = {.state =
                                      r->state == ROLLOUT_READY ? ROLLOUT_ABORTED : ROLLOUT_PAUSED,
                                  .cause = CAUSE_MISFIT,
                                  .why = r->misfit};
    machine_change_state(r, &change, now_ms, out);
    return true;
}

static bool work(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (work_misfit(r, now_ms, out)) {
        return true;
    }
    if (r->resend < r->walk.layout.slot_count) {
        uint32_t slot = r->resend++;
        if (!r->walk.places[slot].sent) {
            send(r, slot, out);
        }
        return true;
    }
    if (deadlines_first(&r->walk.deadlines) <= r->clock_ms) {
        give_up(r, deadlines_first_number(&r->walk.deadlines), false, now_ms, out);
        return true;
    }
    if (deadlines_first(&r->walk.stalls) <= r->clock_ms) {
        give_up(r, deadlines_first_number(&r->walk.stalls), true, now_ms, out);
        return true;
    }
    if (timers_work(r, now_ms, out) || gates_work(r, now_ms, out)) {
        return true;
    }
    if (r->state == ROLLOUT_RUNNING) {
        return work_running(r, now_ms, out);
    }
    if (r->state == ROLLOUT_PAUSED && r->go_on && r->walk.bad == 0) {
        machine_change_state(r, &(struct change){.state = ROLLOUT_RUNNING}, now_ms, out);
        return true;
    }
    if (r->state == ROLLOUT_ABORTING && r->walk.under_way == 0) {
        const struct change change = {
            .state = ROLLOUT_ABORTED, .cause = r->cause, .roll_back = r->roll_back, .why = r->why};
        machine_change_state(r, &change, now_ms, out);
        return true;
    }
    return false;
}

/* ---- events ---- */

static void begin(struct rollout *r, const struct event *event, struct effects *out)
{
    if (r->state != ROLLOUT_READY) {
        return;
    }
    r->live = true;
    if (r->walk.layout.broken != NULL) {
        char why[LIMIT_ERROR_BYTES];
        snprintf(why, sizeof(why), "the plan is damaged: %s; make a new one",
                 r->walk.layout.broken);
        const struct change change = {
            .state = ROLLOUT_FAILED, .cause = CAUSE_MISFIT, .why = why, .who = event->who};
        machine_change_state(r, &change, event->now_ms, out);
        return;
    }
    const struct change change = {.state = ROLLOUT_RUNNING, .why = event->why, .who = event->who};
    machine_change_state(r, &change, event->now_ms, out);
    if (r->walk.layout.plan->phases.count > 0) {
        struct effect *e = add(out, EFFECT_TELL);
        e->tell = TELL_PHASE;
    }
}

static bool note_state(struct rollout *r, const struct record *record)
{
    bool all_over = record->state == ROLLOUT_SUCCEEDED || record->state == ROLLOUT_INCOMPLETE;
    if ((unsigned)record->state >= ROLLOUT_STATES || !allowed[r->state][record->state] ||
        (rollout_state_is_end(record->state) && r->walk.under_way > 0)) {
        return false;
    }
    enter_what_follows(r, record->state);
    if (all_over && !walk_is_over(&r->walk)) {
        return false;
    }
    set_state(r,
              &(struct change){.state = record->state,
                               .cause = record->cause,
                               .roll_back = record->roll_back,
                               .why = record->why},
              record->at_ms);
    return true;
}

static bool note_record(struct rollout *r, const struct record *record)
{
    switch (record->type) {
    case RECORD_INTENT:
        return r->state == ROLLOUT_RUNNING && note_intent(r, record, 0);
    case RECORD_OUTCOME:
        if (r->state == ROLLOUT_READY || rollout_state_is_end(r->state) ||
            !walk_note_outcome(&r->walk, &record->key, &record->outcome, record->at_ms)) {
            return false;
        }
        explain_pause(r);
        return true;
    case RECORD_STATE:
        return note_state(r, record);
    case RECORD_WORD:
        return r->state != ROLLOUT_READY && !rollout_state_is_end(r->state) &&
               words_note(r, record);
    }
    return false;
}

static void replay(struct rollout *r, const struct record *record)
{
    assert(!r->live);
    assert(record != NULL);
    r->records++;
    if (r->misfit[0] != '\0') {
        return; /* what follows a record that does not fit cannot be trusted */
    }
    bool broken = r->walk.layout.broken != NULL && record->type != RECORD_STATE;
    if (broken || !note_record(r, record)) {
        snprintf(r->misfit, sizeof(r->misfit),
                 "the journal does not fit the plan from record %llu on; nothing is instructed",
                 (unsigned long long)r->records);
    }
}

static void resume(struct rollout *r, const struct event *event)
{
    if (r->live) {
        return;
    }
    if (r->records == 0) {
        return; /* nothing was journalled: BEGIN is still to come */
    }
    r->live = true;
    for (uint32_t i = 0; i < r->walk.layout.slot_count; i++) {
        hold_lost(&r->walk.hold, i); /* what an earlier life was told may not be so any more */
    }
    deadlines_not_before(&r->walk.deadlines, event->now_ms + ROLLOUT_RESUME_GRACE_MS);
    timers_resume(r, event->now_ms);
    if (!rollout_state_is_end(r->state)) {
        r->resend = 0;
        walk_enqueue_all(&r->walk);
    }
}

static void place_changed(struct rollout *r, const struct event *event, struct effects *out)
{
    uint32_t slot = layout_slot_of_place(&r->walk.layout, event->place);
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        return;
    }
    r->walk.places[slot].up = event->type == EVENT_PLACE_UP;
    if (event->type == EVENT_PLACE_DOWN) {
        hold_lost(&r->walk.hold, slot); /* a node that is missing is not well */
    }
    walk_watch_stall(&r->walk, slot);
    send(r, slot, out);
}

static void node_changed(struct rollout *r, const struct event *event)
{
    uint32_t slot = layout_slot_of_place(&r->walk.layout, event->place);
    if (slot != ROLLOUT_PLACE_UNKNOWN && r->walk.places[slot].up) {
        hold_set_well(&r->walk.hold, slot, event->type == EVENT_NODE_WELL);
    }
}

/* ---- the door ---- */

struct rollout *rollout_new(struct arena *arena, const struct plan *plan)
{
    assert(arena != NULL && plan != NULL);
    struct rollout *r = ARENA_NEW(arena, struct rollout);
    walk_init(&r->walk, arena, plan);
    r->resend = r->walk.layout.slot_count;
    r->clock_ms = INT64_MIN;
    r->remind_ms = INT64_MAX;
    r->held_ms = INT64_MAX;
    r->window_ms = INT64_MAX;
    r->gate.passed = WALK_NO_PHASE;
    windows_init(&r->windows, arena, &plan->windows);
    timers_init(r);
    return r;
}

static void take(struct rollout *r, const struct event *event, struct effects *out)
{
    switch (event->type) {
    case EVENT_STARTED:
        hold_started_before(&r->walk.hold, event->now_ms);
        break;
    case EVENT_BEGIN:
        begin(r, event, out);
        break;
    case EVENT_REPLAY:
        replay(r, event->record);
        break;
    case EVENT_RESUME:
        resume(r, event);
        break;
    case EVENT_OUTCOME:
        assert(event->outcome != NULL);
        if (r->live && !rollout_state_is_end(r->state)) {
            end_step(r, &event->key, event->outcome, event->now_ms, out);
        }
        break;
    case EVENT_PROGRESS:
        walk_note_progress(&r->walk, &event->key, event->done, event->total);
        break;
    case EVENT_PLACE_UP:
    case EVENT_PLACE_DOWN:
        place_changed(r, event, out);
        break;
    case EVENT_NODE_WELL:
    case EVENT_NODE_UNWELL:
        node_changed(r, event);
        break;
    case EVENT_WORD:
        words_take(r, &event->word, event->now_ms, out);
        break;
    case EVENT_TIME:
        r->clock_ms = event->now_ms;
        break;
    case EVENT_MORE:
        break;
    }
}

void rollout_step(struct rollout *r, const struct event *event, struct effects *out)
{
    assert(r != NULL && event != NULL && out != NULL);
    out->count = 0;
    out->more = false;
    r->clock_ms = MIN(r->clock_ms, event->now_ms); /* the clock was set back */
    r->walk.now_ms = event->type == EVENT_REPLAY ? event->record->at_ms : event->now_ms;
    if (r->live) {
        timers_see(r, event->now_ms);
    }
    take(r, event, out);
    r->seen_ms = r->live ? event->now_ms : r->seen_ms;
    assert(out->count <= WORK_EFFECTS);
    bool worked = r->live;
    while (worked && out->count + WORK_EFFECTS <= LIMIT_EFFECTS) {
        worked = work(r, event->now_ms, out);
    }
    out->more = worked;
    assert(out->count <= LIMIT_EFFECTS);
}

int64_t rollout_deadline(const struct rollout *r)
{
    int64_t due_ms = MIN(deadlines_first(&r->walk.deadlines), deadlines_first(&r->walk.stalls));
    due_ms = MIN(MIN(due_ms, timers_due(r)), r->window_ms);
    if (r->state == ROLLOUT_RUNNING && r->held != HOLD_NOTHING) {
        due_ms = MIN(due_ms, MIN(r->held_ms, r->walk.hold.until_ms));
    }
    return due_ms;
}

/* ---- views ---- */

enum rollout_state rollout_state(const struct rollout *r)
{
    assert(r != NULL);
    return r->state;
}

uint32_t rollout_phase(const struct rollout *r)
{
    return r->walk.phase;
}

uint64_t rollout_records(const struct rollout *r)
{
    return r->records;
}

size_t rollout_under_way(const struct rollout *r)
{
    return r->walk.under_way;
}

struct place_view rollout_place(const struct rollout *r, uint32_t place)
{
    uint32_t slot = layout_slot_of_place(&r->walk.layout, place);
    struct place_view view = {.phase = r->walk.phase, .state = STEP_WAITING};
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        return view;
    }
    const struct place *p = &r->walk.places[slot];
    view.up = p->up;
    view.excluded = p->excluded;
    if (p->phase == r->walk.phase) {
        view.step = p->step;
        view.attempt = p->attempt;
        view.state = p->state;
    }
    return view;
}

size_t rollout_left_behind(const struct rollout *r)
{
    return r->walk.left_behind;
}

bool rollout_rolls_back(const struct rollout *r)
{
    return r->roll_back;
}

const char *rollout_failure(const struct rollout *r, int64_t *ret_at_ms)
{
    if (r->walk.bad == 0) {
        return NULL;
    }
    *ret_at_ms = r->walk.why_ms;
    return r->walk.why;
}

const char *rollout_why(const struct rollout *r)
{
    return text_or_null(machine_why(r));
}

uint32_t rollout_find_place(const struct rollout *r, const char *place)
{
    uint32_t slot = layout_slot_of_name(&r->walk.layout, place);
    return slot == ROLLOUT_PLACE_UNKNOWN ? slot : layout_place_of_slot(&r->walk.layout, slot);
}

const char *rollout_held(const struct rollout *r)
{
    return r->state == ROLLOUT_RUNNING ? text_or_null(r->held_words) : NULL;
}
