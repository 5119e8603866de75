/* Owns the door of the rollout machine, its states and the order of its effects. It refuses words that are not legal in
 * the state; it ignores reports that are stale. Where steps stand is walk.c's. */
#include "lib/core/rollout.h"

#include <stdio.h>
#include <string.h>

#include "lib/core/walk.h"

/* The most effects that an event or one piece of work adds: a retry's state, or an intent, its SEND and TELL. */
#define WORK_EFFECTS 4
static_assert(LIMIT_EFFECTS >= 4 * WORK_EFFECTS, "a call has room for its event and some work");

struct rollout {
    enum rollout_state state;
    bool live; /* BEGIN or RESUME has been */
    struct walk walk;
    uint32_t resend;  /* slots below it have been asked after a RESUME */
    int64_t clock_ms; /* of the last TIME */
    int64_t remind_ms;
    uint64_t records;
    char misfit[LIMIT_ERROR_BYTES]; /* why the journal does not fit; "" */
    char why[LIMIT_ERROR_BYTES];    /* of the state */
    char texts[LIMIT_EFFECTS]
              [LIMIT_ERROR_BYTES]; /* made for the effects of one call, by their index */
};

static const bool allowed[ROLLOUT_ABORTED + 1][ROLLOUT_ABORTED + 1] = {
    [ROLLOUT_READY] = {[ROLLOUT_RUNNING] = true, [ROLLOUT_FAILED] = true, [ROLLOUT_ABORTED] = true},
    [ROLLOUT_RUNNING] = {[ROLLOUT_PAUSED] = true,
                         [ROLLOUT_ABORTING] = true,
                         [ROLLOUT_SUCCEEDED] = true,
                         [ROLLOUT_FAILED] = true},
    [ROLLOUT_PAUSED] = {[ROLLOUT_RUNNING] = true, [ROLLOUT_ABORTING] = true},
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
    }
    return "?";
}

bool rollout_state_is_end(enum rollout_state state)
{
    return state == ROLLOUT_SUCCEEDED || state == ROLLOUT_FAILED || state == ROLLOUT_ABORTED;
}

const char *word_name(enum word word)
{
    switch (word) {
    case WORD_ABORT:
        return "abort";
    case WORD_RETRY:
        return "retry";
    }
    return "?";
}

/* The one place where the state changes, for decisions and for replayed records. */
static void set_state(struct rollout *r, enum rollout_state state, const char *why, int64_t at_ms)
{
    assert(allowed[r->state][state]);
    assert(!rollout_state_is_end(state) || r->walk.under_way == 0);
    bool retried = r->state == ROLLOUT_PAUSED && state == ROLLOUT_RUNNING;
    r->state = state;
    /* `why` may be this very buffer */
    if (why != r->why) {
        snprintf(r->why, sizeof(r->why), "%s", why != NULL ? why : "");
    }
    if (retried) {
        walk_forgive(&r->walk);
        if (r->live) {
            walk_enqueue_all(&r->walk);
        }
    }
    r->remind_ms = state == ROLLOUT_PAUSED ? at_ms + ROLLOUT_REMIND_MS : INT64_MAX;
}

/* All that was bad turned out well after the pause. */
static void explain_pause(struct rollout *r)
{
    if (r->state == ROLLOUT_PAUSED && r->walk.bad == 0 && r->misfit[0] == '\0') {
        snprintf(r->why, sizeof(r->why), "%s", r->walk.why);
    }
}

/* "" when there is nothing to say. */
static const char *why_now(const struct rollout *r)
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

static char *text_of(struct rollout *r, const struct effects *out)
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

static void change_state(struct rollout *r, enum rollout_state state, const char *why,
                         const char *who, int64_t now_ms, struct effects *out)
{
    set_state(r, state, why, now_ms);
    char *text = text_of(r, out);
    memcpy(text, r->why, sizeof(r->why));
    struct effect *e = add_record(r, out, RECORD_STATE, now_ms);
    e->record.state = state;
    e->record.why = text_or_null(text);
    e->record.who = who;
    e = add(out, EFFECT_TELL);
    e->tell = TELL_STATE;
    e->state = state;
    e->text = text_or_null(text);
}

static void tell_waiting(struct effects *out, const char *text)
{
    struct effect *e = add(out, EFFECT_TELL);
    e->tell = TELL_WAITING;
    e->text = text_or_null(text);
}

static struct step_key key_at(const struct rollout *r, uint32_t slot)
{
    const struct place *p = &r->walk.places[slot];
    return (struct step_key){
        .phase = p->phase,
        .step = p->step,
        .place = layout_place_of_slot(&r->walk.layout, slot),
        .attempt = p->attempt,
    };
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
    e->key = key_at(r, slot);
    e->known = walk_heard(&r->walk, slot);
    e->deadline_ms = p->deadline_ms;
}

static void instruct(struct rollout *r, const struct step_key *key, int64_t now_ms,
                     struct effects *out)
{
    const struct plan_step *step = plan_step_at(r->walk.layout.plan, key->phase, key->step);
    int64_t deadline_ms = now_ms + step->deadline_ms;
    struct effect *e = add_record(r, out, RECORD_INTENT, now_ms);
    e->record.key = *key;
    e->record.deadline_ms = deadline_ms;
    bool fits = walk_note_intent(&r->walk, key, deadline_ms, e->number);
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
    if (!walk_note_outcome(&r->walk, key, outcome)) {
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
    if (walk_due(&r->walk, slot)) {
        walk_enqueue(&r->walk, slot);
    }
}

/* ---- work: one piece at a time, while there is room for its effects ---- */

static void give_up(struct rollout *r, uint32_t slot, int64_t now_ms, struct effects *out)
{
    struct step_key key = key_at(r, slot);
    const struct place *p = &r->walk.places[slot];
    const struct plan_step *step = plan_step_at(r->walk.layout.plan, key.phase, key.step);
    int64_t seconds = step->deadline_ms / 1000;
    char *text = text_of(r, out);
    const char *place = rollout_place_name(r->walk.layout.plan, key.place);
    snprintf(text, LIMIT_ERROR_BYTES, "%s did not answer within %lld min %lld s (%s)", place,
             (long long)(seconds / 60), (long long)(seconds % 60),
             p->up ? "it is connected" : "it is not connected");
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
    if (!r->walk.touched) {
        if (r->walk.under_way > 0) {
            return false;
        }
        change_state(r, ROLLOUT_FAILED, r->walk.why, NULL, now_ms, out);
        return true;
    }
    enum rollout_state state =
        r->walk.layout.plan->on_failure == ON_FAILURE_ABORT ? ROLLOUT_ABORTING : ROLLOUT_PAUSED;
    change_state(r, state, r->walk.why, NULL, now_ms, out);
    return true;
}

static bool work_running(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (r->walk.bad > 0) {
        return stop(r, now_ms, out);
    }
    struct step_key key;
    if (walk_next(&r->walk, &key)) {
        instruct(r, &key, now_ms, out);
        return true;
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
        change_state(r, ROLLOUT_SUCCEEDED, NULL, NULL, now_ms, out);
        return true;
    }
    return false;
}

static bool work(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (r->misfit[0] != '\0' && (r->state == ROLLOUT_RUNNING || r->state == ROLLOUT_READY)) {
        enum rollout_state state = r->state == ROLLOUT_READY ? ROLLOUT_ABORTED : ROLLOUT_PAUSED;
        change_state(r, state, r->misfit, NULL, now_ms, out);
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
        give_up(r, deadlines_first_number(&r->walk.deadlines), now_ms, out);
        return true;
    }
    if (r->remind_ms <= r->clock_ms) {
        r->remind_ms = now_ms + ROLLOUT_REMIND_MS;
        tell_waiting(out, r->why);
        return true;
    }
    if (r->state == ROLLOUT_RUNNING) {
        return work_running(r, now_ms, out);
    }
    if (r->state == ROLLOUT_ABORTING && r->walk.under_way == 0) {
        change_state(r, ROLLOUT_ABORTED, r->why, NULL, now_ms, out);
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
        change_state(r, ROLLOUT_FAILED, why, event->who, event->now_ms, out);
        return;
    }
    change_state(r, ROLLOUT_RUNNING, NULL, event->who, event->now_ms, out);
    if (r->walk.layout.plan->phases.count > 0) {
        struct effect *e = add(out, EFFECT_TELL);
        e->tell = TELL_PHASE;
    }
}

static void refuse(struct rollout *r, struct effects *out, const char *why)
{
    char *text = text_of(r, out);
    snprintf(text, LIMIT_ERROR_BYTES, "%s", why);
    add(out, EFFECT_REFUSED)->text = text;
}

static void retry(struct rollout *r, const struct event *event, struct effects *out)
{
    char text[LIMIT_ERROR_BYTES];
    if (r->state != ROLLOUT_PAUSED) {
        snprintf(text, sizeof(text), "retry is for a paused run; this one is %s%s",
                 rollout_state_name(r->state),
                 rollout_state_is_end(r->state) ? ": apply plans on from what is there" : "");
        refuse(r, out, text);
        return;
    }
    if (r->misfit[0] != '\0') {
        snprintf(text, sizeof(text), "%.400s; abort, then apply plans on from what is there",
                 r->misfit);
        refuse(r, out, text);
        return;
    }
    struct step_key key;
    if (walk_worst(&r->walk, &key) && key.attempt >= LIMIT_ATTEMPTS) {
        snprintf(text, sizeof(text),
                 "%s: %s has had %d attempts, the limit: abort, put it right by hand, apply again",
                 rollout_place_name(r->walk.layout.plan, key.place),
                 plan_step_at(r->walk.layout.plan, key.phase, key.step)->name, LIMIT_ATTEMPTS);
        refuse(r, out, text);
        return;
    }
    change_state(r, ROLLOUT_RUNNING, NULL, event->who, event->now_ms, out);
}

static void stop_by_word(struct rollout *r, const struct event *event, struct effects *out)
{
    char why[LIMIT_ERROR_BYTES];
    const char *who = event->who != NULL ? event->who : "an operator";
    const char *before = why_now(r);
    snprintf(why, sizeof(why), "aborted by %s%s%.400s", who, before[0] != '\0' ? " after: " : "",
             before);
    switch (r->state) {
    case ROLLOUT_READY:
        r->live = true;
        change_state(r, ROLLOUT_ABORTED, why, event->who, event->now_ms, out);
        break;
    case ROLLOUT_RUNNING:
    case ROLLOUT_PAUSED:
        change_state(r, ROLLOUT_ABORTING, why, event->who, event->now_ms, out);
        break;
    case ROLLOUT_ABORTING: {
        char *text = text_of(r, out);
        snprintf(text, LIMIT_ERROR_BYTES, "aborting already; %u under way will still end",
                 (unsigned)r->walk.under_way);
        tell_waiting(out, text);
        break;
    }
    case ROLLOUT_SUCCEEDED:
    case ROLLOUT_FAILED:
    case ROLLOUT_ABORTED:
        snprintf(why, sizeof(why), "there is nothing to abort: the run has ended, it %s%s",
                 r->state == ROLLOUT_ABORTED ? "was " : "", rollout_state_name(r->state));
        refuse(r, out, why);
        break;
    }
}

static bool note_record(struct rollout *r, const struct record *record)
{
    switch (record->type) {
    case RECORD_INTENT:
        return r->state == ROLLOUT_RUNNING &&
               walk_note_intent(&r->walk, &record->key, record->deadline_ms, 0);
    case RECORD_OUTCOME:
        if (r->state == ROLLOUT_READY || rollout_state_is_end(r->state) ||
            !walk_note_outcome(&r->walk, &record->key, &record->outcome)) {
            return false;
        }
        explain_pause(r);
        return true;
    case RECORD_STATE:
        if ((unsigned)record->state > ROLLOUT_ABORTED || !allowed[r->state][record->state] ||
            (rollout_state_is_end(record->state) && r->walk.under_way > 0)) {
            return false;
        }
        while (record->state == ROLLOUT_SUCCEEDED && walk_phase_over(&r->walk)) {
            walk_enter_next(&r->walk);
        }
        if (record->state == ROLLOUT_SUCCEEDED && !walk_is_over(&r->walk)) {
            return false;
        }
        set_state(r, record->state, record->why, record->at_ms);
        return true;
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
    deadlines_not_before(&r->walk.deadlines, event->now_ms + ROLLOUT_RESUME_GRACE_MS);
    if (r->remind_ms != INT64_MAX) {
        r->remind_ms = MAX(r->remind_ms, event->now_ms);
    }
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
    send(r, slot, out);
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
    return r;
}

static void take(struct rollout *r, const struct event *event, struct effects *out)
{
    switch (event->type) {
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
    case EVENT_PLACE_UP:
    case EVENT_PLACE_DOWN:
        place_changed(r, event, out);
        break;
    case EVENT_WORD:
        if (event->word == WORD_ABORT) {
            stop_by_word(r, event, out);
        } else {
            retry(r, event, out);
        }
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
    take(r, event, out);
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
    return MIN(deadlines_first(&r->walk.deadlines), r->remind_ms);
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
    if (p->phase == r->walk.phase) {
        view.step = p->step;
        view.attempt = p->attempt;
        view.state = p->state;
    }
    return view;
}

const char *rollout_why(const struct rollout *r)
{
    return text_or_null(why_now(r));
}

uint32_t rollout_find_place(const struct rollout *r, const char *place)
{
    uint32_t slot = layout_slot_of_name(&r->walk.layout, place);
    return slot == ROLLOUT_PLACE_UNKNOWN ? slot : layout_place_of_slot(&r->walk.layout, slot);
}
