/* Owns the pretended cluster and its faults. */
#include "tests/unit/core/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/core/plans.h"

#define RUN "1f0c"

static struct effects effects;
static struct agent_effects agent_effects;

/* ---- chance and the queue ---- */

static uint64_t chance(struct world *w, uint64_t below)
{
    if (w->seed == 0) {
        return 0;
    }
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed * 0x2545f4914f6cdd1dULL >> 33) % below;
}

static bool percent(struct world *w, int likely)
{
    return w->seed != 0 && likely > 0 && chance(w, 100) < (uint64_t)likely;
}

static int64_t delay(struct world *w, int64_t fixed_ms)
{
    return w->seed == 0 ? fixed_ms : 1 + (int64_t)chance(w, (uint64_t)fixed_ms * 4);
}

static struct happening *later(struct world *w, int64_t in_ms, enum happening_type type,
                               uint32_t place)
{
    assert_true(w->queued < CLUSTER_QUEUE_MAX);
    struct happening *h = &w->queue[w->queued++];
    *h = (struct happening){
        .at_ms = w->now_ms + in_ms, .order = ++w->order, .type = type, .place = place};
    if (place < CLUSTER_PLACES_MAX) {
        h->life = w->place[place].life;
        h->connection = w->place[place].connection;
    }
    return h;
}

/* In a stream nothing overtakes. */
static void keep_order(struct world *w, struct happening *h)
{
    for (size_t i = 0; i + 1 < w->queued; i++) {
        const struct happening *other = &w->queue[i];
        bool same = other->place == h->place &&
                    (other->type == HAPPENING_REPORT) == (h->type == HAPPENING_REPORT);
        bool stream = other->type == HAPPENING_REPORT || other->type == HAPPENING_INSTRUCTION ||
                      other->type == HAPPENING_FORGET;
        if (same && stream && other->connection == h->connection) {
            h->at_ms = MAX(h->at_ms, other->at_ms);
        }
    }
}

static bool pop(struct world *w, struct happening *ret)
{
    size_t best = 0;
    for (size_t i = 1; i < w->queued; i++) {
        const struct happening *a = &w->queue[i];
        const struct happening *b = &w->queue[best];
        if (a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order)) {
            best = i;
        }
    }
    if (w->queued == 0) {
        return false;
    }
    *ret = w->queue[best];
    w->queue[best] = w->queue[--w->queued];
    return true;
}

static struct outcome copy_outcome(struct world *w, const struct outcome *outcome)
{
    struct outcome copy = *outcome;
    copy.message = arena_strdup(&w->arena, outcome->message);
    copy.log_tail = arena_strdup(&w->arena, outcome->log_tail);
    copy.facts = arena_strdup(&w->arena, outcome->facts);
    return copy;
}

/* The executor inside lockstepd is a place like any other: the last one. */
static uint32_t place_of_key(const struct world *w, uint32_t place)
{
    return place == ROLLOUT_PLACE_CONTROLLER ? (uint32_t)w->places - 1 : place;
}

static uint32_t key_of_place(const struct world *w, uint32_t place)
{
    return place == w->places - 1 ? ROLLOUT_PLACE_CONTROLLER : place;
}

/* ---- the trace ---- */

static void trace(struct world *w, const struct effect *e)
{
    buf_printf(&w->trace, "%3d ", (int)w->now_ms);
    switch (e->tell) {
    case TELL_STATE:
        buf_printf(&w->trace, "%s", rollout_state_name(e->state));
        break;
    case TELL_PHASE:
        buf_printf(&w->trace, "phase %s", plan_phase_at(w->plan, e->key.phase)->name);
        break;
    case TELL_STEP_STARTED:
    case TELL_STEP_ENDED:
        buf_printf(&w->trace, "  %s@%s %s", plan_step_at(w->plan, e->key.phase, e->key.step)->name,
                   rollout_place_name(w->plan, e->key.place),
                   e->tell == TELL_STEP_STARTED ? "..." : outcome_status_name(e->status));
        break;
    case TELL_WAITING:
        buf_printf(&w->trace, "waiting");
        break;
    case TELL_WORD:
        buf_printf(&w->trace, "%s says %s", e->record.who != NULL ? e->record.who : "the budget",
                   word_name(e->record.word));
        if (e->key.place != ROLLOUT_PLACE_NONE) {
            buf_printf(&w->trace, " %s", rollout_place_name(w->plan, e->key.place));
        }
        break;
    }
    if (e->text != NULL) {
        buf_printf(&w->trace, " (%s)", e->text);
    }
    buf_putc(&w->trace, '\n');
}

/* ---- the places ---- */

static void disconnect(struct world *w, uint32_t place);
static void place_event(struct world *w, uint32_t place, struct agent_event event);

static void kill_place(struct world *w, uint32_t place)
{
    struct pretended_place *p = &w->place[place];
    disconnect(w, place);
    p->up = false;
    p->life++;
    p->count = p->durable;
    agent_free(p->machine);
    p->machine = NULL;
    arena_deinit(&p->arena);
    w->kills++;
    later(w, delay(w, 20), HAPPENING_PLACE_UP, place);
}

static struct worker *worker_of(struct world *w, uint32_t place, const struct instruction_key *key)
{
    for (size_t i = 0; i < w->worker_count; i++) {
        struct worker *k = &w->workers[i];
        if (k->place == place && k->key.phase == key->phase && k->key.step == key->step &&
            k->key.attempt == key->attempt) {
            return k;
        }
    }
    return NULL;
}

static const struct plan_step *step_of(const struct world *w, const struct instruction_key *key)
{
    return plan_step_at(w->plan, key->phase, key->step);
}

/* Does a retry of a later step go back past this one? */
static bool is_repeated(const struct world *w, uint32_t phase, uint32_t step)
{
    for (size_t s = step + 1; s < plan_phase_at(w->plan, phase)->steps.count; s++) {
        if ((int64_t)s - plan_step_at(w->plan, phase, s)->retry_back <= (int64_t)step) {
            return true;
        }
    }
    return false;
}

/* Has the controller's journal the DONE of this attempt? */
static bool was_heard(const struct world *w, const struct worker *k)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct record *r = &w->journal[i];
        if (r->type == RECORD_OUTCOME && r->outcome.status == OUTCOME_DONE &&
            r->key.phase == k->key.phase && r->key.step == k->key.step &&
            r->key.attempt == k->key.attempt && place_of_key(w, r->key.place) == k->place) {
            return true;
        }
    }
    return false;
}

/* What a retry goes back for starts only when each step that it goes back to was done since its last start. */
static void check_proofs(const struct world *w, const struct instruction_key *key)
{
    for (int64_t back = step_of(w, key)->retry_back; back > 0; back--) {
        bool proved = false;
        for (size_t i = 0; i < w->worker_count; i++) {
            const struct worker *k = &w->workers[i];
            bool same = k->key.phase == key->phase;
            if (same && k->key.step == key->step) {
                proved = false;
            } else if (same && k->key.step == key->step - back && k->ended) {
                proved = k->outcome.status == OUTCOME_DONE;
            }
        }
        assert_true(proved);
    }
}

static void act(struct world *w, uint32_t place, const struct instruction_key *key)
{
    assert_null(worker_of(w, place, key)); /* once per key */
    for (size_t i = 0; i < w->worker_count; i++) {
        const struct worker *other = &w->workers[i];
        bool same =
            other->place == place && other->key.phase == key->phase && other->key.step == key->step;
        /* a step never runs beside itself, nor after it was done */
        assert_false(same && !other->ended);
        assert_false(same && other->outcome.status == OUTCOME_DONE &&
                     !(is_repeated(w, key->phase, key->step) && was_heard(w, other)));
    }
    check_proofs(w, key);
    assert_true(w->worker_count < CLUSTER_WORKERS_MAX);
    struct worker *k = &w->workers[w->worker_count++];
    *k = (struct worker){.place = place, .key = *key};
    bool retried = step_of(w, key)->retries > 0;
    bool fails = (retried && key->attempt <= 2 && percent(w, w->fail_percent)) ||
                 (w->fail_first && step_of(w, key)->retry_back > 0 && w->first_failed++ == 0);
    k->outcome = (struct outcome){
        .status = fails ? OUTCOME_FAILED : OUTCOME_DONE,
        .code = fails ? E_IO : 0,
        .message = fails ? "no luck" : NULL,
        .started_ms = w->now_ms,
    };
    struct happening *h = later(w, delay(w, 10), HAPPENING_WORKER, place);
    h->key = *key;
    if (++w->acts == w->kill_act_at) {
        kill_place(w, place);
    }
}

static void report(struct world *w, uint32_t place, const struct instruction_key *key,
                   const struct outcome *outcome)
{
    if (!w->place[place].connected) {
        return;
    }
    if (percent(w, w->break_percent)) {
        disconnect(w, place);
        return;
    }
    struct happening *h = later(w, delay(w, 1), HAPPENING_REPORT, place);
    h->key = *key;
    h->outcome = copy_outcome(w, outcome);
    keep_order(w, h);
}

static void place_record(struct world *w, uint32_t place, const struct agent_effect *e)
{
    struct pretended_place *p = &w->place[place];
    assert_true(p->count < ARRAY_SIZE(p->journal));
    assert_int_equal(e->number, p->count - p->base + 1);
    p->journal[p->count] = e->record;
    p->journal[p->count++].outcome = copy_outcome(w, &e->record.outcome);
    bool kill = ++w->place_records == w->kill_place_at || percent(w, w->crash_percent);
    if (kill) {
        if (w->kill_keeps_record || chance(w, 2) == 1) {
            p->durable = p->count;
        }
        kill_place(w, place);
        return;
    }
    later(w, delay(w, 1), HAPPENING_PLACE_DURABLE, place)->number = e->number;
}

/* LOST when no worker was ever started for it. */
static void attach(struct world *w, uint32_t place, const struct instruction_key *key)
{
    struct worker *k = worker_of(w, place, key);
    struct agent_event event = {.type = AGENT_EVENT_LOST, .key = *key};
    event.once = step_of(w, key)->retries == 0;
    if (k != NULL && !k->ended) {
        return; /* it will end in this life */
    }
    if (k != NULL) {
        event.type = AGENT_EVENT_ACTED;
        event.outcome = &k->outcome;
    }
    place_event(w, place, event);
}

static void place_event(struct world *w, uint32_t place, struct agent_event event)
{
    struct pretended_place *p = &w->place[place];
    uint32_t life = p->life;
    struct instruction_key ask[LIMIT_AGENT_INSTRUCTIONS];
    size_t asks = 0;
    event.now_ms = w->now_ms;
    if (!p->up) {
        return;
    }
    do {
        agent_step(p->machine, &event, &agent_effects);
        for (size_t i = 0; i < agent_effects.count && p->life == life; i++) {
            const struct agent_effect *e = &agent_effects.items[i];
            switch (e->type) {
            case AGENT_EFFECT_RECORD:
                place_record(w, place, e);
                break;
            case AGENT_EFFECT_ACT:
                act(w, place, &e->key);
                break;
            case AGENT_EFFECT_ATTACH:
                ask[asks++] = e->key;
                break;
            case AGENT_EFFECT_REPORT:
                report(w, place, &e->key, e->outcome);
                break;
            case AGENT_EFFECT_BUSY:
                break;
            }
        }
        event = (struct agent_event){
            .type = AGENT_EVENT_DURABLE, .now_ms = w->now_ms, .number = p->durable - p->base};
    } while (p->life == life && agent_effects.more);
    for (size_t i = 0; i < asks && p->life == life; i++) {
        attach(w, place, &ask[i]);
    }
}

static void start_place(struct world *w, uint32_t place)
{
    struct pretended_place *p = &w->place[place];
    p->up = true;
    arena_init(&p->arena);
    p->machine = agent_new(&p->arena);
    p->base = p->count;
    for (size_t i = 0; i < p->count; i++) {
        struct agent_event event = {.type = AGENT_EVENT_REPLAY, .record = &p->journal[i]};
        agent_step(p->machine, &event, &agent_effects);
        assert_int_equal(agent_effects.count, 0);
    }
    uint32_t life = p->life;
    place_event(w, place, (struct agent_event){.type = AGENT_EVENT_RESUME});
    if (p->life == life) {
        later(w, delay(w, 5), HAPPENING_CONNECT, place);
    }
}

/* ---- the controller ---- */

static void controller_event(struct world *w, struct event event);

static void disconnect(struct world *w, uint32_t place)
{
    struct pretended_place *p = &w->place[place];
    if (!p->connected) {
        return;
    }
    p->connected = false;
    p->connection++;
    if (w->up) {
        /* told at once, but not from inside the machine's own effects */
        later(w, delay(w, 5), HAPPENING_CONNECT, place);
    }
}

static void kill_controller(struct world *w)
{
    w->up = false;
    w->life++;
    w->count = w->durable;
    w->held_count = 0;
    w->kills++;
    for (uint32_t i = 0; i < w->places; i++) {
        disconnect(w, i);
    }
    later(w, 50, HAPPENING_CONTROLLER_UP, CLUSTER_PLACES_MAX);
}

static void send_out(struct world *w, const struct effect *e)
{
    uint32_t place = place_of_key(w, e->key.place);
    if (!w->place[place].connected) {
        return;
    }
    for (int copies = percent(w, w->break_percent) ? 2 : 1; copies > 0; copies--) {
        struct happening *h = later(w, delay(w, 1), HAPPENING_INSTRUCTION, place);
        h->number = w->fence;
        h->known = e->known;
        h->last = e->last;
        h->key = (struct instruction_key){
            .run = RUN, .phase = e->key.phase, .step = e->key.step, .attempt = e->key.attempt};
        keep_order(w, h);
    }
}

static void record(struct world *w, const struct effect *e)
{
    assert_true(w->count < CLUSTER_RECORDS_MAX);
    struct record *copy = &w->journal[w->count++];
    *copy = e->record;
    copy->outcome = copy_outcome(w, &e->record.outcome);
    copy->why = arena_strdup(&w->arena, e->record.why);
    copy->who = arena_strdup(&w->arena, e->record.who);
    assert_int_equal(e->number, w->count);
    bool kill = ++w->controller_records == w->kill_controller_at || percent(w, w->crash_percent);
    if (kill) {
        if (w->kill_keeps_record || chance(w, 2) == 1) {
            w->durable = w->count;
        }
        kill_controller(w);
        return;
    }
    struct happening *h = later(w, delay(w, 1), HAPPENING_CONTROLLER_DURABLE, CLUSTER_PLACES_MAX);
    h->number = w->count;
    h->life = w->life;
}

/* The journal rebuilds the machine: a RESUME has nothing to add, and every view is equal. */
static void check_replay(struct world *w)
{
    static struct effects none;
    struct arena arena;
    arena_init(&arena);
    struct rollout *again = rollout_new(&arena, w->plan);
    for (size_t i = 0; i < w->count; i++) {
        struct event event = {.type = EVENT_REPLAY, .record = &w->journal[i]};
        rollout_step(again, &event, &none);
        assert_int_equal(none.count, 0);
    }
    struct event event = {.type = EVENT_RESUME, .now_ms = w->now_ms};
    do {
        rollout_step(again, &event, &none);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < none.count; i++) {
            assert_int_not_equal(none.items[i].type, EFFECT_RECORD);
        }
    } while (none.more);
    assert_int_equal(rollout_state(again), rollout_state(w->rollout));
    assert_int_equal(rollout_phase(again), rollout_phase(w->rollout));
    assert_int_equal(rollout_under_way(again), rollout_under_way(w->rollout));
    const char *a = rollout_why(again);
    const char *b = rollout_why(w->rollout);
    assert_string_equal(a != NULL ? a : "", b != NULL ? b : "");
    for (uint32_t i = 0; i < w->places; i++) {
        struct place_view x = rollout_place(again, key_of_place(w, i));
        struct place_view y = rollout_place(w->rollout, key_of_place(w, i));
        assert_int_equal(x.step, y.step);
        assert_int_equal(x.attempt, y.attempt);
        assert_int_equal(x.state, y.state);
    }
    arena_deinit(&arena);
}

static void controller_event(struct world *w, struct event event)
{
    uint32_t life = w->life;
    event.now_ms = w->now_ms;
    if (!w->up) {
        return;
    }
    do {
        rollout_step(w->rollout, &event, &effects);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < effects.count && w->life == life; i++) {
            const struct effect *e = &effects.items[i];
            switch (e->type) {
            case EFFECT_RECORD:
                record(w, e);
                break;
            case EFFECT_SEND:
                if (e->after > w->durable) {
                    assert_true(w->held_count < CLUSTER_QUEUE_MAX);
                    w->held[w->held_count++] = *e;
                } else {
                    send_out(w, e);
                }
                break;
            case EFFECT_TELL:
                trace(w, e);
                if (e->tell == TELL_STATE && e->state == ROLLOUT_PAUSED) {
                    later(w, 30, HAPPENING_RETRY, CLUSTER_PLACES_MAX);
                }
                break;
            case EFFECT_REFUSED:
                fail_msg("refused: %s", e->text);
                break;
            }
        }
    } while (w->life == life && effects.more);
    if (w->life == life && w->check_replay) {
        check_replay(w);
    }
    int middle = 0;
    if (w->life == life && rollout_phase(w->rollout) < w->plan->phases.count) {
        const struct plan_phase *phase = plan_phase_at(w->plan, rollout_phase(w->rollout));
        for (uint32_t i = 0; i < w->places; i++) {
            struct place_view v = rollout_place(w->rollout, key_of_place(w, i));
            bool finished = v.state == STEP_DONE && v.step + 1 == phase->steps.count;
            middle += v.state != STEP_WAITING && !finished ? 1 : 0;
        }
        if (phase->scope == PHASE_NODES && phase->parallel > 0) {
            w->in_middle_max = MAX(w->in_middle_max, middle);
            assert_true(middle <= phase->parallel);
        }
    }
}

static void start_controller(struct world *w)
{
    arena_deinit(&w->rollout_arena);
    w->up = true;
    w->fence++;
    w->rollout = rollout_new(&w->rollout_arena, w->plan);
    for (size_t i = 0; i < w->count; i++) {
        struct event event = {.type = EVENT_REPLAY, .record = &w->journal[i]};
        rollout_step(w->rollout, &event, &effects);
        assert_int_equal(effects.count, 0);
    }
    uint32_t life = w->life;
    for (uint32_t i = 0; i < w->places; i++) {
        later(w, delay(w, 5), HAPPENING_CONNECT, i);
    }
    if (w->count > 0) {
        controller_event(w, (struct event){.type = EVENT_RESUME});
    } else {
        controller_event(w, (struct event){.type = EVENT_BEGIN, .who = "alice"});
    }
    if (w->life == life && rollout_state(w->rollout) == ROLLOUT_PAUSED) {
        later(w, 30, HAPPENING_RETRY, CLUSTER_PLACES_MAX);
    }
}

/* ---- what happens ---- */

static void connect_place(struct world *w, uint32_t place)
{
    struct pretended_place *p = &w->place[place];
    if (!w->up || !p->up || p->connected) {
        return;
    }
    p->connected = true;
    place_event(w, place, (struct agent_event){.type = AGENT_EVENT_FENCE, .fence = w->fence});
    if (p->connected) {
        place_event(w, place, (struct agent_event){.type = AGENT_EVENT_CONNECTED});
    }
    if (p->connected) {
        controller_event(w,
                         (struct event){.type = EVENT_PLACE_DOWN, .place = key_of_place(w, place)});
        controller_event(w,
                         (struct event){.type = EVENT_PLACE_UP, .place = key_of_place(w, place)});
    }
}

static void controller_durable(struct world *w, uint64_t number)
{
    w->durable = MAX(w->durable, number);
    size_t kept = 0;
    for (size_t i = 0; i < w->held_count; i++) {
        if (w->held[i].after <= w->durable) {
            send_out(w, &w->held[i]);
        } else {
            w->held[kept++] = w->held[i];
        }
    }
    w->held_count = kept;
}

/* Intent before instruction: a place never hears of a step that the journal has not. */
static void check_intent(const struct world *w, uint32_t place, const struct instruction_key *key)
{
    for (size_t i = 0; i < w->durable; i++) {
        const struct record *r = &w->journal[i];
        if (r->type == RECORD_INTENT && r->key.phase == key->phase && r->key.step == key->step &&
            r->key.attempt == key->attempt && place_of_key(w, r->key.place) == place) {
            return;
        }
    }
    fail_msg("place %u is instructed %u.%u without a durable intent", (unsigned)place,
             (unsigned)key->phase, (unsigned)key->step);
}

static void happen_at_place(struct world *w, const struct happening *h)
{
    struct pretended_place *p = &w->place[h->place];
    bool stream = p->connected && h->connection == p->connection;
    struct worker *k;
    switch (h->type) {
    case HAPPENING_PLACE_DURABLE:
        if (h->life == p->life) {
            p->durable = MAX(p->durable, p->base + h->number);
            place_event(w, h->place,
                        (struct agent_event){.type = AGENT_EVENT_DURABLE, .number = h->number});
        }
        break;
    case HAPPENING_PLACE_UP:
        start_place(w, h->place);
        break;
    case HAPPENING_CONNECT:
        connect_place(w, h->place);
        break;
    case HAPPENING_INSTRUCTION:
        if (stream) {
            check_intent(w, h->place, &h->key);
            place_event(
                w, h->place,
                (struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                     .key = h->key,
                                     .fence = h->number,
                                     .known = h->known,
                                     .last = {h->last.phase, h->last.step, h->last.attempt}});
        }
        break;
    case HAPPENING_FORGET:
        if (stream) {
            place_event(w, h->place,
                        (struct agent_event){
                            .type = AGENT_EVENT_FORGET, .key = h->key, .fence = h->number});
        }
        break;
    case HAPPENING_WORKER:
        k = worker_of(w, h->place, &h->key);
        k->ended = true;
        k->outcome.ended_ms = w->now_ms;
        place_event(
            w, h->place,
            (struct agent_event){.type = AGENT_EVENT_ACTED, .key = h->key, .outcome = &k->outcome});
        break;
    case HAPPENING_REPORT:
        if (stream) {
            struct event event = {.type = EVENT_OUTCOME, .outcome = &h->outcome};
            event.key = (struct step_key){.phase = h->key.phase,
                                          .step = h->key.step,
                                          .place = key_of_place(w, h->place),
                                          .attempt = h->key.attempt};
            controller_event(w, event);
        }
        break;
    case HAPPENING_CONTROLLER_DURABLE:
    case HAPPENING_CONTROLLER_UP:
    case HAPPENING_RETRY:
        break;
    }
}

static void happen(struct world *w, const struct happening *h)
{
    w->now_ms = MAX(w->now_ms, h->at_ms);
    if (w->up && rollout_deadline(w->rollout) <= w->now_ms) {
        controller_event(w, (struct event){.type = EVENT_TIME});
    }
    switch (h->type) {
    case HAPPENING_CONTROLLER_DURABLE:
        if (h->life == w->life && w->up) {
            controller_durable(w, h->number);
        }
        break;
    case HAPPENING_CONTROLLER_UP:
        start_controller(w);
        break;
    case HAPPENING_RETRY:
        if (w->up && rollout_state(w->rollout) == ROLLOUT_PAUSED) {
            w->words++;
            controller_event(w, (struct event){.type = EVENT_WORD,
                                               .word = {.word = WORD_RETRY, .who = "alice"}});
        }
        break;
    case HAPPENING_PLACE_DURABLE:
    case HAPPENING_PLACE_UP:
    case HAPPENING_CONNECT:
    case HAPPENING_INSTRUCTION:
    case HAPPENING_FORGET:
    case HAPPENING_REPORT:
    case HAPPENING_WORKER:
        happen_at_place(w, h);
        break;
    }
}

static struct world world;

struct world *cluster_begin(struct plan *(*make)(struct arena *))
{
    struct world *w = &world;
    memset(w, 0, sizeof(*w));
    arena_init(&w->arena);
    arena_init(&w->rollout_arena);
    buf_init(&w->trace, &w->arena, (size_t)1024 * 1024);
    w->plan = make(&w->arena);
    w->places = w->plan->nodes.count + 1;
    return w;
}

void cluster_run(struct world *w)
{
    for (uint32_t i = 0; i < w->places; i++) {
        start_place(w, i);
    }
    start_controller(w);
    for (int turns = 0;; turns++) {
        struct happening h = {.type = HAPPENING_RETRY, .place = CLUSTER_PLACES_MAX};
        assert_true(turns < 200000);
        if (!pop(w, &h)) {
            /* nothing but a deadline can help */
            assert_true(w->up && rollout_deadline(w->rollout) < INT64_MAX);
            h.at_ms = rollout_deadline(w->rollout);
        }
        happen(w, &h);
        if (w->up && rollout_state_is_end(rollout_state(w->rollout)) && w->durable == w->count) {
            break;
        }
    }
}

void cluster_end(struct world *w)
{
    for (uint32_t i = 0; i < w->places; i++) {
        agent_free(w->place[i].machine);
        arena_deinit(&w->place[i].arena);
    }
    arena_deinit(&w->rollout_arena);
    arena_deinit(&w->arena);
}

/* act() has refused a second time already */
void cluster_check_all_done_once(struct world *w)
{
    assert_true(w->up);
    assert_string_equal(rollout_state_name(rollout_state(w->rollout)), "succeeded");
    size_t wanted = 0;
    for (size_t i = 0; i < w->plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(w->plan, i);
        size_t members =
            phase->scope == PHASE_ONCE
                ? 1
                : LIST_AT(&w->plan->node_sets, const struct plan_node_set, phase->node_set)
                      ->nodes.count;
        for (uint32_t s = 0; s < phase->steps.count; s++) {
            wanted += is_repeated(w, (uint32_t)i, s) ? 0 : members;
        }
    }
    size_t done = 0;
    for (size_t i = 0; i < w->worker_count; i++) {
        const struct worker *k = &w->workers[i];
        bool once = !is_repeated(w, k->key.phase, k->key.step);
        done += once && k->outcome.status == OUTCOME_DONE ? 1 : 0;
    }
    assert_int_equal(done, wanted);
}
