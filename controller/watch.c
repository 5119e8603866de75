/*
 * Owns what watchers see: events made from a run's records, in the records' order, so that a
 * watcher that comes late, or after a restart, sees the same as one that was there from the start.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/history.h"
#include "controller/run.h"
#include "lib/base/str.h"
#include "lib/wire/message.h"
#include "lib/wire/record.h"

struct watcher {
    struct watcher *next; /* owned by the run */
    struct run *run;      /* borrowed */
    struct watch_callbacks callbacks;
    size_t sent; /* events of the log */
    bool full;
    bool gone;
    uv_timer_t start;
};

/* ---- the log ---- */

static void add(struct run *run, Lockstep__V1__WatchEvent *event)
{
    struct watch_log *log = &run->log;
    log->events =
        arena_grow(&run->arena, log->events, log->count, &log->capacity, sizeof(*log->events));
    event->number = log->count + 1;
    size_t len = lockstep__v1__watch_event__get_packed_size(event);
    uint8_t *packed = arena_alloc(&run->arena, len);
    lockstep__v1__watch_event__pack(event, packed);
    log->events[log->count++] = (struct bytes){.data = packed, .len = len};
}

static void add_head(struct run *run)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchRun head = LOCKSTEP__V1__WATCH_RUN__INIT;
    head.run = (char *)run->id;
    head.plan_id = (char *)run->plan_id;
    head.plan =
        (ProtobufCBinaryData){.data = (uint8_t *)run->plan_json.data, .len = run->plan_json.len};
    head.state = (char *)rollout_state_name(ROLLOUT_READY);
    head.started_ms = run->started_ms;
    head.cluster = (char *)run->cluster;
    head.takes_back = run->takes_back != NULL ? (char *)run->takes_back : "";
    struct arena arena;
    arena_init(&arena);
    struct error ignored; /* a run goes on without its estimate */
    if (run->machine != NULL && history_known(run->controller, &arena, &run->plan, &head.known,
                                              &head.n_known, &ignored) < 0) {
        head.n_known = 0;
    }
    event.at_ms = run->started_ms;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN;
    event.run = &head;
    add(run, &event);
    arena_deinit(&arena);
}

static void add_phase(struct run *run, uint32_t phase, int64_t at_ms)
{
    if (phase < run->log.phase_told) {
        return;
    }
    run->log.phase_told = phase + 1;
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchPhase message = LOCKSTEP__V1__WATCH_PHASE__INIT;
    message.phase = phase;
    event.at_ms = at_ms;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE;
    event.phase = &message;
    add(run, &event);
}

static void add_step(struct run *run, const struct record *record)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchStep message = LOCKSTEP__V1__WATCH_STEP__INIT;
    message.phase = record->key.phase;
    message.step = record->key.step;
    message.attempt = record->key.attempt;
    message.place = (char *)rollout_place_name(&run->plan, record->key.place);
    message.state = "under-way";
    if (record->type == RECORD_OUTCOME) {
        const struct outcome *outcome = &record->outcome;
        message.state = (char *)outcome_status_name(outcome->status);
        message.started_ms = outcome->started_ms;
        message.ended_ms = outcome->ended_ms;
        message.facts = outcome->facts != NULL ? (char *)outcome->facts : "";
        if (outcome->status != OUTCOME_DONE) {
            message.message = outcome->message != NULL ? (char *)outcome->message : "";
            message.log_tail = outcome->log_tail != NULL ? (char *)outcome->log_tail : "";
        }
    }
    event.at_ms = record->at_ms;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP;
    event.step = &message;
    add(run, &event);
}

static void add_state(struct run *run, const struct record *record)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchState message = LOCKSTEP__V1__WATCH_STATE__INIT;
    message.state = (char *)rollout_state_name(record->state);
    message.why = record->why != NULL ? (char *)record->why : "";
    message.who = record->who != NULL ? (char *)record->who : "";
    message.roll_back = record->roll_back;
    message.asks = record->state == ROLLOUT_PAUSED ||
                   (record->state == ROLLOUT_WAITING && record->cause == CAUSE_GATE);
    event.at_ms = record->at_ms;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STATE;
    event.state = &message;
    add(run, &event);
}

static void add_word(struct run *run, const struct record *record)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchWord message = LOCKSTEP__V1__WATCH_WORD__INIT;
    const struct step_key *key = &record->key;
    message.word = (char *)word_name(record->word);
    if (key->place != ROLLOUT_PLACE_NONE) {
        message.place = (char *)rollout_place_name(&run->plan, key->place);
    }
    if (record->word == WORD_RETRY || record->word == WORD_SKIP) {
        message.step = (char *)plan_step_at(&run->plan, key->phase, key->step)->name;
    }
    message.gate = record->gate != NULL ? (char *)record->gate : "";
    message.why = record->why != NULL ? (char *)record->why : "";
    message.who = record->who != NULL ? (char *)record->who : "";
    message.until_ms = record->deadline_ms;
    event.at_ms = record->at_ms;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_WORD;
    event.word = &message;
    add(run, &event);
}

/* ---- watchers ---- */

static void pump(struct watcher *w)
{
    struct watch_log *log = &w->run->log;
    while (!w->full && !w->gone && w->sent < log->durable) {
        const struct bytes *packed = &log->events[w->sent];
        Lockstep__V1__WatchEvent *event =
            lockstep__v1__watch_event__unpack(NULL, packed->len, packed->data);
        assert(event != NULL);
        w->full = !w->callbacks.seen(w->callbacks.context, event);
        w->sent += w->full ? 0 : 1;
        lockstep__v1__watch_event__free_unpacked(event, NULL);
    }
}

static void watcher_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void free_watcher(struct watcher *w)
{
    struct run *run = w->run;
    struct watcher **link = &run->watchers;
    while (*link != w) {
        link = &(*link)->next;
    }
    *link = w->next;
    w->gone = true;
    uv_close((uv_handle_t *)&w->start, watcher_closed);
    if (run->over && run->watchers == NULL) {
        run_free(run);
    }
}

/* Everything was told and nothing more will come. */
static void end_when_told(struct watcher *w)
{
    if (!w->gone && w->run->over && w->sent >= w->run->log.count) {
        void *context = w->callbacks.context;
        void (*over)(void *context) = w->callbacks.over;
        free_watcher(w);
        over(context);
    }
}

void watch_tell(struct run *run, size_t events)
{
    run->log.durable = events;
    for (struct watcher *w = run->watchers, *next; w != NULL; w = next) {
        next = w->next;
        pump(w);
    }
}

static void start(uv_timer_t *timer)
{
    struct watcher *w = timer->data;
    pump(w);
    end_when_told(w);
}

void runs_watch_go_on(struct watcher *w)
{
    w->full = false;
    uv_timer_start(&w->start, start, 0, 0);
}

void runs_unwatch(struct watcher *w)
{
    free_watcher(w);
}

static int read_back(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct run *run = context;
    struct arena arena;
    arena_init(&arena);
    struct record record = {0};
    int r = wire_record_unpack(&arena, data, &record, e);
    if (r == 0) {
        watch_record(run, &record);
    }
    arena_deinit(&arena);
    return r;
}

struct watcher *runs_watch(struct controller *c, const char *id, uint64_t after,
                           const struct watch_callbacks *callbacks, struct error *e)
{
    struct run *run = runs_find(c, id);
    if (run == NULL) {
        /* It is over, or was never begun: read back for this watcher alone. */
        if (run_read(c, id, &run, e) < 0) {
            return NULL;
        }
        if (journal_read(c->journal, id, 0, read_back, run, e) < 0) {
            run_free(run);
            return NULL;
        }
        run->over = true;
    }
    if (run->log.count == 0) {
        add_head(run);
    }
    if (run->over || run->log.durable == 0) {
        run->log.durable = run->over ? run->log.count : 1;
    }
    struct watcher *w = calloc(1, sizeof(*w));
    assert(w != NULL);
    *w = (struct watcher){.next = run->watchers,
                          .run = run,
                          .callbacks = *callbacks,
                          .sent = (size_t)MIN(after, run->log.count)};
    run->watchers = w;
    uv_timer_init(&c->loop, &w->start);
    w->start.data = w;
    uv_timer_start(&w->start, start, 0, 0);
    return w;
}

/* ---- what happens ---- */

void watch_record(struct run *run, const struct record *record)
{
    if (run->log.count == 0) {
        add_head(run);
    }
    switch (record->type) {
    case RECORD_INTENT:
        add_phase(run, record->key.phase, record->at_ms);
        add_step(run, record);
        break;
    case RECORD_OUTCOME:
        add_step(run, record);
        break;
    case RECORD_STATE:
        add_state(run, record);
        break;
    case RECORD_WORD:
        add_word(run, record);
        break;
    }
}

static void tell_once(struct run *run, const Lockstep__V1__WatchEvent *event)
{
    for (struct watcher *w = run->watchers, *next; w != NULL; w = next) {
        next = w->next;
        if (!w->full && w->sent == run->log.count) {
            w->callbacks.seen(w->callbacks.context, event);
        }
    }
}

void watch_progress(struct run *run, const struct step_key *key, const struct wire_report *report)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchStep message = LOCKSTEP__V1__WATCH_STEP__INIT;
    message.phase = key->phase;
    message.step = key->step;
    message.attempt = key->attempt;
    message.place = (char *)rollout_place_name(&run->plan, key->place);
    message.state = "under-way";
    message.message = report->text != NULL ? (char *)report->text : "";
    message.done = report->done;
    message.total = report->total;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP;
    event.step = &message;
    tell_once(run, &event);
}

void watch_line(struct run *run, const char *text)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchLine message = LOCKSTEP__V1__WATCH_LINE__INIT;
    message.text = (char *)text;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_LINE;
    event.line = &message;
    tell_once(run, &event);
}

void watch_over(struct run *run)
{
    run->over = true;
    run->log.durable = run->log.count;
    if (run->watchers == NULL) {
        run_free(run);
        return;
    }
    for (struct watcher *w = run->watchers; w != NULL; w = w->next) {
        uv_timer_start(&w->start, start, 0, 0);
    }
}
