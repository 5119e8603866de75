/*
 * Owns the runs that are not over and the way between their machines and the world. It decides
 * nothing: a wrong order of effects would be the machine's, a lost one would be found by the crash
 * tests.
 */
#include "controller/runs.h"

#include <stdlib.h>
#include <string.h>

#include "controller/fleets.h"
#include "controller/history.h"
#include "controller/notify.h"
#include "controller/past.h"
#include "controller/quarantine.h"
#include "controller/rehearsals.h"
#include "controller/rollback.h"
#include "controller/run.h"
#include "controller/sessions.h"
#include "controller/took.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/log.h"
#include "lib/io/rpc/pki.h"
#include "lib/wire/message.h"
#include "lib/wire/record.h"

#define RUN_ID_LETTERS 12

struct runs {
    struct run *first;
};

static void step(struct run *run, const struct event *event);

struct run *runs_find(struct controller *c, const char *id)
{
    struct run *run = c->runs->first;
    while (run != NULL && !str_equal(run->id, id)) {
        run = run->next;
    }
    return run;
}

/* ---- effects ---- */

static struct waiting *wait_for(struct run *run, enum waiting_kind kind, uint64_t number)
{
    struct waiting *w = calloc(1, sizeof(*w));
    assert(w != NULL);
    w->kind = kind;
    w->number = number;
    *run->waiting_end = w;
    run->waiting_end = &w->next;
    return w;
}

static void keep_record(struct run *run, const struct record *record)
{
    struct arena arena;
    arena_init(&arena);
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_record_pack(&arena, record, &packed, &e) < 0) {
        controller_fail(run->controller, &e);
        arena_deinit(&arena);
        return;
    }
    bool first = run->last_number == 0;
    run->last_number = journal_append(run->controller->journal, run->id, packed);
    if (record->type == RECORD_STATE) {
        struct waiting *w = wait_for(run, WAITING_STATE, run->last_number);
        w->state = record->state;
        w->cause = record->cause;
        w->first = first;
        w->why = record->why != NULL ? strdup(record->why) : NULL;
    }
    /* What watchers are told is what was kept, cut to the same bounds. */
    struct record kept = {0};
    if (wire_record_unpack(&arena, packed, &kept, &e) == 0) {
        watch_record(run, &kept);
        took_note(run->took, &kept);
        wait_for(run, WAITING_TELL, run->last_number)->events = run->log.count;
    }
    arena_deinit(&arena);
}

static void carry_out_one(struct run *run, const struct effect *effect)
{
    switch (effect->type) {
    case EFFECT_RECORD:
        keep_record(run, &effect->record);
        break;
    case EFFECT_SEND: {
        /* The newest record of the run is at least as new as the one that this instruction has to
         * wait for. */
        struct waiting *w = wait_for(run, WAITING_SEND, run->last_number);
        w->key = effect->key;
        w->known = effect->known;
        w->last = effect->last;
        w->deadline_ms = effect->deadline_ms;
        break;
    }
    case EFFECT_TELL:
        if (effect->tell == TELL_WAITING && effect->text != NULL) {
            watch_line(run, effect->text);
            log_line(PROGRAM, "run %s of %s: %s", run->id, run->cluster, effect->text);
        }
        break;
    case EFFECT_REFUSED:
        break; /* runs_word() reads it */
    }
}

/* ---- what waited for the journal ---- */

static void fail_step(struct run *run, const struct step_key *key, const struct error *e)
{
    int64_t now = act_now_ms();
    const struct outcome outcome = {.status = OUTCOME_FAILED,
                                    .code = e->code,
                                    .message = e->message,
                                    .started_ms = now,
                                    .ended_ms = now};
    step(run,
         &(struct event){.type = EVENT_OUTCOME, .now_ms = now, .key = *key, .outcome = &outcome});
}

static void instruct(struct run *run, const struct waiting *w)
{
    struct controller *c = run->controller;
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct action action = {0};
    const char *place = rollout_place_name(&run->plan, w->key.place);
    int r = plan_action(&arena, &run->plan, w->key.phase, w->key.step, place, run->id, &action, &e);
    if (r < 0) {
        fail_step(run, &w->key, &e);
    } else {
        json_t *json = shape_to_json(&action_shape, &action);
        struct buf text;
        buf_init(&text, &arena, LIMIT_ACTION_BYTES);
        json_canonical(json, &text);
        json_decref(json);
        if (text.overflow) {
            error_set(&e, E_LIMIT,
                      "this step's action is larger than an instruction may be (%d bytes)",
                      LIMIT_ACTION_BYTES);
            fail_step(run, &w->key, &e);
            arena_deinit(&arena);
            return;
        }
        struct wire_order order = {
            .type = WIRE_ORDER_INSTRUCTION,
            .instruction = {
                .key = {.phase = w->key.phase, .step = w->key.step, .attempt = w->key.attempt},
                .fence = c->fence,
                .known = w->known,
                .last = {.phase = w->last.phase, .step = w->last.step, .attempt = w->last.attempt},
                .cluster = run->cluster,
                .name = plan_step_at(&run->plan, w->key.phase, w->key.step)->name,
                .state_name = run->state_name,
                .action = {.data = (const uint8_t *)text.data, .len = text.len},
                .left_ms = MAX(w->deadline_ms - act_now_ms(), 1)}};
        wire_run_from(run->id, order.instruction.key.run, NULL);
        c->fence_told = c->fence;
        sessions_send(c, place, &order); /* not sent: PLACE_UP makes the machine say it again */
    }
    arena_deinit(&arena);
}

static void keep_state(struct run *run, const struct waiting *w)
{
    struct controller *c = run->controller;
    bool end = rollout_state_is_end(w->state);
    bool back = end && rollout_rolls_back(run->machine);
    struct error e = {0};
    /* Before the end itself, so that no crash in between forgets it. */
    if ((back && store_run_back(c->store, run->id, BACK_WANTED, &e) < 0) ||
        (end && quarantine_note(run, w->state, &e) < 0) || (end && history_keep(run, &e) < 0)) {
        controller_fail(c, &e);
        return;
    }
    const char *done = w->state == ROLLOUT_SUCCEEDED && w->why == NULL
                           ? plan_part_words(&run->arena, &run->plan)
                           : NULL;
    if (store_run_state(c->store, run->id, rollout_state_name(w->state),
                        done != NULL ? done : w->why, end ? act_now_ms() : 0, &e) < 0) {
        controller_fail(c, &e);
        return;
    }
    log_line(PROGRAM, "run %s of %s is %s%s%s", run->id, run->cluster, rollout_state_name(w->state),
             w->why != NULL ? ": " : "", w->why != NULL ? w->why : "");
    run->ended = end;
    notify_state(run, w);
    fleets_run_is(c, run->cluster, run->id);
    if (back) {
        rollback_begin(c, run->id);
    }
    if (w->state == ROLLOUT_SUCCEEDED && run->plan.part == PLAN_WHOLE &&
        store_observed_put(c->store, run->cluster, run->plan.to, act_now_ms(), &e) < 0) {
        controller_fail(c, &e);
    }
}

static void go_on(struct run *run, uint64_t durable)
{
    while (run->waiting != NULL && run->waiting->number <= durable) {
        struct waiting *w = run->waiting;
        run->waiting = w->next;
        if (run->waiting == NULL) {
            run->waiting_end = &run->waiting;
        }
        switch (w->kind) {
        case WAITING_SEND:
            instruct(run, w);
            break;
        case WAITING_STATE:
            keep_state(run, w);
            break;
        case WAITING_TELL:
            watch_tell(run, w->events);
            break;
        }
        free(w->why);
        free(w);
    }
}

static void end_run(struct run *run)
{
    struct controller *c = run->controller;
    struct run **link = &c->runs->first;
    while (*link != run) {
        link = &(*link)->next;
    }
    *link = run->next;
    sessions_forget_run(c, run->id);
    watch_over(run);
}

void runs_durable(struct controller *c, uint64_t number)
{
    if (c->runs == NULL) {
        return;
    }
    for (struct run *run = c->runs->first, *next; run != NULL; run = next) {
        next = run->next;
        go_on(run, number);
        if (run->ended) {
            end_run(run);
        }
    }
}

/* ---- the machine ---- */

static void on_time(uv_timer_t *timer)
{
    struct run *run = timer->data;
    step(run, &(struct event){.type = EVENT_TIME, .now_ms = act_now_ms()});
}

static void arm(struct run *run)
{
    int64_t deadline = rollout_deadline(run->machine);
    if (deadline == INT64_MAX) {
        uv_timer_stop(&run->timer);
    } else {
        int64_t left = deadline - act_now_ms();
        uv_timer_start(&run->timer, on_time, (uint64_t)MAX(left, 1), 0);
    }
}

/* One event and what follows from it. *ret_refused (may be NULL): why a word was refused, in
 * `arena`. */
static void step_and_hear(struct run *run, const struct event *event, struct arena *arena,
                          const char **ret_refused)
{
    struct effects *effects = malloc(sizeof(*effects));
    assert(effects != NULL);
    const struct event more = {.type = EVENT_MORE, .now_ms = event->now_ms};
    do {
        rollout_step(run->machine, event, effects);
        for (size_t i = 0; i < effects->count; i++) {
            carry_out_one(run, &effects->items[i]);
            if (effects->items[i].type == EFFECT_REFUSED && ret_refused != NULL) {
                *ret_refused = arena_strdup(arena, effects->items[i].text);
            }
        }
        event = &more;
    } while (effects->more);
    free(effects);
    arm(run);
}

static void step(struct run *run, const struct event *event)
{
    step_and_hear(run, event, NULL, NULL);
}

/* For events that write no record: what they ask to be sent may wait for nothing any more. */
static void step_now(struct run *run, const struct event *event)
{
    step(run, event);
    go_on(run, journal_durable(run->controller->journal));
}

/* A rolling run counts nodes that fail by themselves: their agents are asked to say how the service is. */
static void ask_to_watch(struct run *run, uint32_t place)
{
    if (run->plan.watch == NULL || place >= run->plan.nodes.count) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct action action = {0};
    struct error e = {0};
    if (plan_watch_for(&arena, &run->plan, place, run->id, &action, &e) < 0) {
        log_line(PROGRAM, "run %s: what %s should watch cannot be said: %s", run->id,
                 rollout_place_name(&run->plan, place), e.message);
        arena_deinit(&arena);
        return;
    }
    json_t *json = shape_to_json(&action_shape, &action);
    struct buf text;
    buf_init(&text, &arena, LIMIT_ACTION_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    struct wire_order order = {.type = WIRE_ORDER_WATCH,
                               .state_name = run->state_name,
                               .action = {.data = (const uint8_t *)text.data, .len = text.len}};
    wire_run_from(run->id, order.run, NULL);
    sessions_send(run->controller, rollout_place_name(&run->plan, place), &order);
    arena_deinit(&arena);
}

static void tell_places(struct run *run)
{
    for (size_t i = 0; i <= run->plan.nodes.count; i++) {
        uint32_t place = i == run->plan.nodes.count ? ROLLOUT_PLACE_CONTROLLER : (uint32_t)i;
        if (sessions_connected(run->controller, rollout_place_name(&run->plan, place))) {
            step_now(run, &(struct event){
                              .type = EVENT_PLACE_UP, .now_ms = act_now_ms(), .place = place});
            ask_to_watch(run, place);
        }
    }
}

/* ---- reading and freeing ---- */

static void timer_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    arena_deinit(&run->arena);
    free(run);
}

void run_free(struct run *run)
{
    while (run->waiting != NULL) {
        struct waiting *next = run->waiting->next;
        free(run->waiting->why);
        free(run->waiting);
        run->waiting = next;
    }
    uv_close((uv_handle_t *)&run->timer, timer_closed);
}

int run_read(struct controller *c, const char *id, struct run **ret, struct error *e)
{
    struct run *run = calloc(1, sizeof(*run));
    assert(run != NULL);
    run->controller = c;
    run->waiting_end = &run->waiting;
    arena_init(&run->arena);
    uv_timer_init(&c->loop, &run->timer);
    run->timer.data = run;
    struct stored_run stored = {0};
    int r = store_run(c->store, &run->arena, id, &stored, e);
    if (r == 0) {
        r = store_plan(c->store, &run->arena, stored.plan_id, &run->plan_json, NULL, e);
    }
    if (r == 0) {
        r = plan_from_json(&run->arena, (const char *)run->plan_json.data, run->plan_json.len,
                           &run->plan, e);
    }
    if (r < 0) {
        run_free(run);
        return r;
    }
    run->id = stored.run;
    run->cluster = stored.cluster;
    run->plan_id = stored.plan_id;
    run->started_ms = stored.started_ms;
    run->takes_back = stored.takes_back;
    run->state_name = arena_printf(&run->arena, "%s.%s", stored.cluster, run->plan.application);
    *ret = run;
    return 0;
}

/* ---- starting and going on ---- */

/* The machine, and what it is told before all else: a pace of starts goes on from one run to the next. */
static int make_machine(struct run *run, const struct stored_run *stored, struct error *e)
{
    run->machine = rollout_new(&run->arena, &run->plan);
    run->took = took_new(&run->arena, &run->plan);
    if (run->plan.starts == NULL) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena);
    struct past_starts starts;
    int r = past_starts(run->controller, &arena, stored,
                        stored->started_ms - run->plan.starts->within_ms, &starts, e);
    for (size_t i = 0; r == 0 && i < starts.count; i++) {
        step(run, &(struct event){.type = EVENT_STARTED, .now_ms = starts.at_ms[i]});
    }
    arena_deinit(&arena);
    return r;
}

int runs_start(struct controller *c, struct arena *arena, const struct run_start *start,
               const char **ret_run, struct error *e)
{
    struct plan plan = {0};
    struct bytes plan_json = {0};
    int r = store_plan(c->store, arena, start->plan_id, &plan_json, NULL, e);
    if (r == 0) {
        r = plan_from_json(arena, (const char *)plan_json.data, plan_json.len, &plan, e);
    }
    uint8_t random[RUN_ID_LETTERS / 2];
    if (r == 0 && uv_random(NULL, NULL, random, sizeof(random), 0, NULL) != 0) {
        r = error_set(e, E_IO, "the system gives no random numbers");
    }
    if (r < 0) {
        return r;
    }
    const struct stored_run stored = {.run = str_hex(arena, random, sizeof(random)),
                                      .cluster = plan.cluster,
                                      .plan_id = start->plan_id,
                                      .from = plan.from,
                                      .to = plan.to,
                                      .state = rollout_state_name(ROLLOUT_READY),
                                      .why = start->why,
                                      .who = start->who,
                                      .takes_back = start->takes_back,
                                      .started_ms = act_now_ms(),
                                      .fleet_key = start->fleet_key};
    r = store_run_put(c->store, &stored, e);
    if (r < 0) {
        return r;
    }
    struct run *run = NULL;
    r = run_read(c, stored.run, &run, e);
    if (r == 0 && run != NULL) {
        r = make_machine(run, &stored, e);
        if (r < 0) {
            run_free(run);
        }
    }
    if (r < 0 || run == NULL) {
        store_run_state(c->store, stored.run, rollout_state_name(ROLLOUT_FAILED),
                        "it could not be begun", act_now_ms(), NULL);
        return r;
    }
    run->next = c->runs->first;
    c->runs->first = run;
    *ret_run = stored.run;
    rehearsals_stop(c, run->cluster, run->id);
    log_line(PROGRAM, "run %s of %s begins: %s -> %s, by %s", run->id, run->cluster,
             plan.from != NULL ? plan.from : "nothing", plan.to, start->who);
    tell_places(run);
    step(run,
         &(struct event){
             .type = EVENT_BEGIN, .now_ms = act_now_ms(), .who = start->who, .why = start->why});
    if (start->fleet_key == NULL && plan.part == PLAN_WHOLE) {
        fleets_moved(c, &stored);
    }
    return 0;
}

static int replay(void *context, uint64_t number, struct bytes data, struct error *e)
{
    struct run *run = context;
    struct arena arena;
    arena_init(&arena);
    struct record record = {0};
    int r = wire_record_unpack(&arena, data, &record, e);
    if (r == 0) {
        run->last_number = number;
        watch_record(run, &record);
        took_note(run->took, &record);
        watch_tell(run, run->log.count);
        step(run, &(struct event){.type = EVENT_REPLAY, .now_ms = record.at_ms, .record = &record});
    }
    arena_deinit(&arena);
    return r < 0 ? error_wrap(e, "run %s, record %llu", run->id, (unsigned long long)number) : 0;
}

static int go_on_with(struct controller *c, const struct stored_run *stored, struct error *e)
{
    struct run *run = NULL;
    int r = run_read(c, stored->run, &run, e);
    if (r < 0) {
        return r;
    }
    r = make_machine(run, stored, e);
    run->next = c->runs->first;
    c->runs->first = run;
    r = r < 0 ? r : journal_read(c->journal, run->id, 0, replay, run, e);
    if (r < 0) {
        c->runs->first = run->next;
        run_free(run);
        return r;
    }
    bool begun = run->last_number != 0;
    log_line(PROGRAM, "run %s of %s goes on (%s)", run->id, run->cluster,
             rollout_state_name(rollout_state(run->machine)));
    if (rollout_state_is_end(rollout_state(run->machine))) {
        /* Only the store had not heard of the end yet. */
        struct waiting *w = wait_for(run, WAITING_STATE, run->last_number);
        const char *why = rollout_why(run->machine);
        w->state = rollout_state(run->machine);
        w->why = why != NULL ? strdup(why) : NULL;
        return 0;
    }
    tell_places(run);
    step_now(run, &(struct event){.type = begun ? EVENT_RESUME : EVENT_BEGIN,
                                  .now_ms = act_now_ms(),
                                  .who = stored->who,
                                  .why = stored->why});
    return 0;
}

int runs_open(struct controller *c, struct error *e)
{
    c->runs = arena_alloc(&c->arena, sizeof(*c->runs));
    struct arena arena;
    arena_init(&arena);
    struct stored_runs open = {0};
    int r = store_runs_open(c->store, &arena, &open, e);
    for (size_t i = 0; r == 0 && i < open.count; i++) {
        struct error why = {0};
        if (go_on_with(c, &open.items[i], &why) < 0) {
            log_line(PROGRAM,
                     "run %s of %s cannot be read, so nothing of it is done (`lockstep abort %s` "
                     "ends it): %s",
                     open.items[i].run, open.items[i].cluster, open.items[i].run, why.message);
        }
    }
    arena_deinit(&arena);
    if (r == 0) {
        runs_durable(c, journal_durable(c->journal));
    }
    return r;
}

void runs_close(struct controller *c)
{
    while (c->runs != NULL && c->runs->first != NULL) {
        struct run *run = c->runs->first;
        c->runs->first = run->next;
        watch_over(run);
    }
}

/* ---- what happens ---- */

/* Not over, and not here: it could not be read back. Only an abort ends it. */
static int word_to_unread(struct controller *c, const char *id, const struct word_event *word,
                          const char **ret_state, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_run stored = {0};
    int r = store_run(c->store, &arena, id, &stored, e);
    if (r == 0 && stored.ended_ms == 0 && word->word == WORD_ABORT) {
        r = store_run_state(c->store, id, rollout_state_name(ROLLOUT_ABORTED),
                            "it could not be read back", act_now_ms(), e);
        *ret_state = rollout_state_name(ROLLOUT_ABORTED);
        if (r == 0) {
            fleets_run_is(c, stored.cluster, stored.run);
        }
    } else if (r == 0) {
        r = error_set(e, E_CONFLICT, "run %s is %s: there is nothing to %s", id, stored.state,
                      word_name(word->word));
    }
    arena_deinit(&arena);
    return r;
}

int runs_word(struct controller *c, const char *id, const struct word_event *word,
              const char **ret_state, struct error *e)
{
    struct run *run = runs_find(c, id);
    if (run == NULL) {
        return word_to_unread(c, id, word, ret_state, e);
    }
    struct arena arena;
    arena_init(&arena);
    const char *refused = NULL;
    step_and_hear(run, &(struct event){.type = EVENT_WORD, .now_ms = act_now_ms(), .word = *word},
                  &arena, &refused);
    *ret_state = rollout_state_name(rollout_state(run->machine));
    log_line(PROGRAM, "%s says %s%s%s to run %s%s%s%s%s", word->who, word_name(word->word),
             word->place != NULL ? " of " : "", word->place != NULL ? word->place : "", id,
             word->why != NULL ? ": " : "", word->why != NULL ? word->why : "",
             refused != NULL ? ", refused: " : "", refused != NULL ? refused : "");
    int r = refused != NULL ? error_set(e, E_CONFLICT, "%s", refused) : 0;
    arena_deinit(&arena);
    return r;
}

const char *runs_why(struct controller *c, const char *id)
{
    struct run *run = runs_find(c, id);
    const char *why = run == NULL ? NULL : rollout_why(run->machine);
    return why != NULL || run == NULL ? why : rollout_held(run->machine);
}

static bool find_step(struct controller *c, const char *place, const struct instruction_key *key,
                      struct run **ret_run, struct step_key *ret_key)
{
    struct run *run = runs_find(c, key->run);
    if (run == NULL) {
        return false;
    }
    *ret_run = run;
    *ret_key = (struct step_key){.phase = key->phase,
                                 .step = key->step,
                                 .attempt = key->attempt,
                                 .place = rollout_find_place(run->machine, place)};
    return ret_key->place != ROLLOUT_PLACE_UNKNOWN;
}

/* Only what the store knows to be over may be forgotten: a place's answers are what keeps a step from running twice. */
static bool is_over(struct controller *c, const char *run)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_run stored = {0};
    bool over = store_run(c->store, &arena, run, &stored, NULL) == 0 && stored.ended_ms != 0;
    arena_deinit(&arena);
    return over;
}

void runs_ended(struct controller *c, const char *place, const struct wire_report *report)
{
    struct run *run = NULL;
    struct step_key key;
    if (find_step(c, place, &report->key, &run, &key)) {
        step(run, &(struct event){.type = EVENT_OUTCOME,
                                  .now_ms = act_now_ms(),
                                  .key = key,
                                  .outcome = &report->outcome});
    } else if (run == NULL && is_over(c, report->key.run)) {
        sessions_forget_run(c, report->key.run);
    }
}

void runs_busy(struct controller *c, const struct wire_report *report)
{
    if (runs_find(c, report->key.run) == NULL && is_over(c, report->key.run)) {
        sessions_forget_run(c, report->key.run);
    }
}

void runs_progress(struct controller *c, const char *place, const struct wire_report *report)
{
    struct run *run = NULL;
    struct step_key key;
    if (find_step(c, place, &report->key, &run, &key)) {
        watch_progress(run, &key, report);
        step(run, &(struct event){.type = EVENT_PROGRESS,
                                  .now_ms = act_now_ms(),
                                  .key = key,
                                  .done = report->done,
                                  .total = report->total});
    }
}

static void place_changed(struct controller *c, const char *place, enum event_type type)
{
    for (struct run *run = c->runs == NULL ? NULL : c->runs->first; run != NULL; run = run->next) {
        uint32_t index = rollout_find_place(run->machine, place);
        if (index != ROLLOUT_PLACE_UNKNOWN) {
            step_now(run, &(struct event){.type = type, .now_ms = act_now_ms(), .place = index});
            if (type == EVENT_PLACE_UP) {
                ask_to_watch(run, index);
            }
        }
    }
}

void runs_place_up(struct controller *c, const char *place)
{
    place_changed(c, place, EVENT_PLACE_UP);
}

void runs_place_down(struct controller *c, const char *place)
{
    place_changed(c, place, EVENT_PLACE_DOWN);
}

void runs_serving(struct controller *c, const char *place, const struct wire_report *report)
{
    struct run *run = runs_find(c, report->run);
    uint32_t index = run != NULL ? rollout_find_place(run->machine, place) : ROLLOUT_PLACE_UNKNOWN;
    if (index != ROLLOUT_PLACE_UNKNOWN) {
        log_line(PROGRAM, "run %s: the service of %s %s", run->id, place,
                 report->running ? "runs" : "does not run");
        step_now(run, &(struct event){.type = report->running ? EVENT_NODE_WELL : EVENT_NODE_UNWELL,
                                      .now_ms = act_now_ms(),
                                      .place = index});
    }
}
