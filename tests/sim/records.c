/* Owns what a journal may say next: each record is held against those before it and against the plan, with nothing but them. What
 * was a decision is judged here at the moment at which it is written, whoever carries it out later. */
#include <string.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

#define MINUTE_MS   INT64_C(60000)
#define DAY_MINUTES (24 * 60)
#define TUESDAY     1 /* the second day of the window's mask: 14 November 2023, on which worlds begin */
#define BEGIN_DAY   19675

static const struct sim_mark *mark_at(const struct sim_controller *c, size_t back)
{
    return &c->marks[c->journal.count - 1 - back];
}

static bool same_step(const struct sim_mark *m, const struct step_key *key)
{
    return m->key.phase == key->phase && m->key.step == key->step && m->key.place == key->place;
}

/* ---- when a run may begin something ---- */

static bool window_is_open(const struct sim_window *w, int64_t at_ms)
{
    int64_t minute = at_ms / MINUTE_MS + w->offset;
    int64_t day = minute / DAY_MINUTES;
    int of_day = (int)(minute % DAY_MINUTES);
    unsigned weekday = (unsigned)((day - BEGIN_DAY + TUESDAY + 70000) % 7);
    unsigned yesterday = (weekday + 6) % 7;
    if (w->from < w->to) {
        return of_day >= w->from && of_day < w->to && (w->days >> weekday & 1) != 0;
    }
    return (of_day >= w->from && (w->days >> weekday & 1) != 0) ||
           (of_day < w->to && (w->days >> yesterday & 1) != 0);
}

static void check_window(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct plan_phase *phase = plan_phase_at(&s->runs[c->run].plan, record->key.phase);
    if (s->scenario.window.days == 0 || !phase->rests) {
        return;
    }
    for (size_t i = 1; i < c->journal.count; i++) {
        const struct sim_mark *m = mark_at(c, i);
        if (m->type == RECORD_INTENT && m->key.phase == record->key.phase) {
            return; /* a wave that is begun ends */
        }
    }
    s->coverage->checks[RULE_WINDOW]++;
    if (!window_is_open(&s->scenario.window, record->at_ms)) {
        violate(s, RULE_WINDOW, "phase %u begins outside the run's window", record->key.phase);
    }
}

static void check_gates(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct list *gates = &s->runs[c->run].plan.gates;
    for (size_t g = 0; g < gates->count; g++) {
        const struct plan_gate *gate = LIST_AT(gates, const struct plan_gate, g);
        unsigned people = 0;
        if (gate->phase != (int64_t)record->key.phase) {
            continue; /* one before a phase whose nodes are all left behind is before nothing */
        }
        for (size_t i = 1; i < c->journal.count; i++) {
            const struct sim_mark *m = mark_at(c, i);
            bool here = m->type == RECORD_WORD && m->word == WORD_APPROVE && m->gate == g;
            people |= here ? m->who : 0;
        }
        s->coverage->checks[RULE_GATE]++;
        if (__builtin_popcount(people) < gate->approvers) {
            violate(s, RULE_GATE, "phase %u begins, and %d of %d people have approved gate %s",
                    record->key.phase, __builtin_popcount(people), (int)gate->approvers,
                    gate->name);
        }
    }
}

/* ---- how often, and how soon ---- */

/* The step failed, and nobody has said anything since: it is tried again by itself. */
static void check_retry(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct plan_step *step =
        plan_step_at(&s->runs[c->run].plan, record->key.phase, record->key.step);
    const struct sim_mark *last = NULL;
    int64_t failures = 0;
    for (size_t i = 1; i < c->journal.count; i++) {
        const struct sim_mark *m = mark_at(c, i);
        if (m->type == RECORD_STATE || m->type == RECORD_WORD) {
            break;
        }
        if (m->type == RECORD_OUTCOME && same_step(m, &record->key)) {
            last = last != NULL ? last : m;
            failures += m->status == OUTCOME_FAILED ? 1 : 0;
        }
    }
    if (record->key.attempt < 2 || last == NULL) {
        return;
    }
    s->coverage->checks[RULE_RETRIES]++;
    if (failures > step->retries) {
        violate(s, RULE_RETRIES, "%u.%u is tried again after %d failures, and may be %d times",
                record->key.phase, record->key.step, (int)failures, (int)step->retries);
    }
    bool early = s->now_ms - last->now_ms < step->backoff_ms &&
                 record->at_ms - last->at_ms < step->backoff_ms;
    if (early && !s->clock_was_set_back) {
        violate(s, RULE_RETRIES, "%u.%u is tried again after %d ms, and should wait %d",
                record->key.phase, record->key.step, (int)(record->at_ms - last->at_ms),
                (int)step->backoff_ms);
    }
}

static bool starts(const struct plan_step *step)
{
    return step->action->service != NULL && step->action->service->verb != SERVICE_STOP;
}

/* A node begins what will start services: no more than so many have been started in the time before. */
static void check_pace(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct plan *plan = &s->runs[c->run].plan;
    const struct plan_phase *phase = plan_phase_at(plan, record->key.phase);
    if (plan->starts == NULL || record->key.step != 0 || record->key.attempt != 1 ||
        s->clock_was_set_back) {
        return;
    }
    int64_t wanted = 0;
    int64_t ended = 0;
    for (size_t i = 0; i < phase->steps.count; i++) {
        wanted += starts(plan_step_at(plan, record->key.phase, i)) ? 1 : 0;
    }
    for (size_t i = 1; i < c->journal.count; i++) {
        const struct sim_mark *m = mark_at(c, i);
        bool one =
            m->type == RECORD_OUTCOME && starts(plan_step_at(plan, m->key.phase, m->key.step));
        ended += one && m->at_ms > record->at_ms - plan->starts->within_ms ? 1 : 0;
    }
    s->coverage->checks[RULE_PACE]++;
    if (wanted > 0 && ended > 0 && ended + wanted > plan->starts->at_most) {
        violate(s, RULE_PACE, "%u begins what starts %d services after %d in the time, of %d",
                record->key.phase, (int)wanted, (int)ended, (int)plan->starts->at_most);
    }
}

/* A whole deadline of the run, and some minutes in which a controller may hang, have gone by without a pause. */
static void check_late(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const int64_t run_ms = s->runs[c->run].plan.run_ms;
    for (size_t i = 1; i < c->journal.count && run_ms > 0 && s->skew_ms == 0; i++) {
        const struct sim_mark *m = mark_at(c, i);
        if (m->type != RECORD_STATE) {
            continue;
        }
        s->coverage->checks[RULE_DEADLINE]++;
        if (record->at_ms - m->at_ms > run_ms + 5 * MINUTE_MS) {
            violate(s, RULE_DEADLINE, "%u.%u is begun %d min after the run went on",
                    record->key.phase, record->key.step,
                    (int)((record->at_ms - m->at_ms) / MINUTE_MS));
        }
        return;
    }
}

/* ---- intents and outcomes ---- */

void check_intent(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct plan_step *step =
        plan_step_at(&s->runs[c->run].plan, record->key.phase, record->key.step);
    s->coverage->checks[RULE_DEADLINE]++;
    if (record->deadline_ms != record->at_ms + step->deadline_ms) {
        violate(s, RULE_DEADLINE, "%u.%u has %d ms, and the plan says %d", record->key.phase,
                record->key.step, (int)(record->deadline_ms - record->at_ms),
                (int)step->deadline_ms);
    }
    enum rollout_state state = ROLLOUT_READY;
    for (size_t i = 1; i < c->journal.count && state == ROLLOUT_READY; i++) {
        state = mark_at(c, i)->type == RECORD_STATE ? mark_at(c, i)->state : state;
    }
    s->coverage->checks[RULE_STOPS]++;
    if (state != ROLLOUT_RUNNING) {
        violate(s, RULE_STOPS, "%u.%u is begun, and the run is %s", record->key.phase,
                record->key.step, rollout_state_name(state));
    }
    check_late(s, c, record);
    check_window(s, c, record);
    check_gates(s, c, record);
    check_retry(s, c, record);
    check_pace(s, c, record);
}

/* Was the controller, in this life, as long without a word of the step as the plan says? What a clock that was set brings early is
 * no fault. */
static bool stalled(const struct sim *s, const struct sim_controller *c,
                    const struct sim_mark *intent, const struct record *record)
{
    int64_t stall_ms =
        plan_step_at(&s->runs[c->run].plan, record->key.phase, record->key.step)->stall_ms;
    bool set = record->at_ms - s->now_ms != intent->at_ms - intent->now_ms;
    return stall_ms > 0 && (set || s->now_ms - MAX(intent->now_ms, c->began_ms) >= stall_ms);
}

/* The controller gives up a step itself: not before its time, nor before the places could come back after a restart. */
void check_outcome(struct sim *s, struct sim_controller *c, const struct record *record)
{
    bool given_up = record->outcome.status == OUTCOME_UNKNOWN && record->outcome.code == E_TIMEOUT;
    const struct sim_mark *intent = NULL;
    for (size_t i = 1; i < c->journal.count && intent == NULL; i++) {
        const struct sim_mark *m = mark_at(c, i);
        intent = m->type == RECORD_INTENT && same_step(m, &record->key) ? m : NULL;
    }
    s->coverage->checks[RULE_JOURNAL_TRUE]++;
    if (intent == NULL || intent->key.attempt != record->key.attempt) {
        violate(s, RULE_JOURNAL_TRUE, "%u.%u.%u ends, and was not the last that was begun",
                record->key.phase, record->key.step, record->key.attempt);
        return;
    }
    if (!given_up) {
        return;
    }
    s->coverage->checks[RULE_DEADLINE]++;
    if (record->at_ms < intent->deadline_ms && !stalled(s, c, intent, record)) {
        violate(s, RULE_DEADLINE, "%u.%u is given up %d s before its deadline", record->key.phase,
                record->key.step, (int)((intent->deadline_ms - record->at_ms) / 1000));
    }
    bool earlier_life = intent->now_ms < c->began_ms && s->skew_ms == c->began_skew_ms;
    if (earlier_life && s->now_ms < c->began_ms + ROLLOUT_RESUME_GRACE_MS) {
        violate(s, RULE_DEADLINE, "%u.%u is given up %d ms after a restart", record->key.phase,
                record->key.step, (int)(s->now_ms - c->began_ms));
    }
}

/* An end that says that nothing was touched, or that nobody is left behind. */
void check_state(struct sim *s, struct sim_controller *c, const struct record *record)
{
    for (size_t i = 1; i < c->journal.count; i++) {
        const struct sim_mark *m = mark_at(c, i);
        bool touched = m->type == RECORD_INTENT &&
                       plan_phase_at(&s->runs[c->run].plan, m->key.phase)->disruptive;
        bool left = m->type == RECORD_WORD && m->word == WORD_EXCLUDE;
        s->coverage->checks[RULE_JOURNAL_TRUE]++;
        if ((touched && record->state == ROLLOUT_FAILED) ||
            (left && record->state == ROLLOUT_SUCCEEDED)) {
            violate(s, RULE_JOURNAL_TRUE, "the run %s, and %s", rollout_state_name(record->state),
                    touched ? "something was touched" : "a node was left behind");
        }
    }
}

/* ---- who is left behind ---- */

static bool moves_schema(const struct sim_run *run, uint32_t phase, uint32_t step)
{
    const struct action *a = plan_step_at(&run->plan, phase, step)->action;
    return action_kind(a) == ACTION_DB_MIGRATE ||
           (a->run != NULL && str_equal(a->run->command.argv.items[0], "migrate"));
}

void check_left_behind(struct sim *s, struct sim_controller *c, const struct record *record)
{
    struct sim_run *run = &s->runs[c->run];
    uint32_t place = record->key.place;
    const struct sim_node *n = &s->nodes[place];
    bool moves = false;
    for (uint32_t p = rollout_phase(c->rollout); p < run->plan.phases.count; p++) {
        for (uint32_t i = 0; i < plan_phase_at(&run->plan, p)->steps.count; i++) {
            moves = moves || moves_schema(run, p, i);
        }
    }
    s->coverage->checks[RULE_COMPATIBLE]++;
    if (moves && !s->places[place].tainted && (!n->denied || n->runs >= 0)) {
        violate(s, RULE_COMPATIBLE, "node %u is left behind, %s, and the schema still moves",
                (unsigned)place, n->denied ? "running" : "free to start");
    }
    if (record->who != NULL) {
        return;
    }
    int64_t left = 0;
    for (size_t i = 0; i < c->journal.count; i++) {
        const struct sim_mark *m = mark_at(c, i);
        left += m->type == RECORD_WORD && m->word == WORD_EXCLUDE ? 1 : 0;
    }
    s->coverage->checks[RULE_FAILURES]++;
    if (left > run->plan.failures_nodes) {
        violate(s, RULE_FAILURES, "%d nodes are left behind by themselves, of %d", (int)left,
                (int)run->plan.failures_nodes);
    }
}
