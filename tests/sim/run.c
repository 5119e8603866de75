/* Owns one seed from its beginning to its verdict, the person who looks at it, and the shrinking of a failure. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define PERSON_MS  30000
#define QUIET_MS   (2LL * 3600 * 1000)       /* after the last run, for what is still on its way */
#define ENDS_MS    (14LL * 24 * 3600 * 1000) /* of pretended time after the calm */
#define PAUSES_MAX 8                         /* of one run after the calm */

static struct sim *present; /* whose machine may assert */

const char *sabotage_name(enum sabotage sabotage)
{
    static const char *const names[SABOTAGES] = {
        [SABOTAGE_NONE] = "none",
        [SABOTAGE_SEND_BEFORE_DURABLE] = "send-before-durable",
        [SABOTAGE_PLACE_FSYNC_LIES] = "place-fsync-lies",
        [SABOTAGE_FENCE_NOT_RAISED] = "fence-not-raised",
        [SABOTAGE_ACT_ON_REPEATED] = "act-on-repeated",
        [SABOTAGE_REPORTS_OF_ANY_RUN] = "reports-of-any-run",
        [SABOTAGE_REPORTS_OF_ANY_PLACE] = "reports-of-any-place",
        [SABOTAGE_LIVING_WORKER_LOST] = "living-worker-lost",
        [SABOTAGE_LOST_ONCE_FORGOTTEN] = "lost-once-forgotten",
        [SABOTAGE_FORGET_TOO_EARLY] = "forget-too-early",
        [SABOTAGE_NEVER_FORGET] = "never-forget",
        [SABOTAGE_EFFECT_WITHOUT_EVIDENCE] = "effect-without-evidence",
        [SABOTAGE_INTENT_NOT_LOOKED_AT] = "intent-not-looked-at",
        [SABOTAGE_JOURNAL_LOSES_A_RECORD] = "journal-loses-a-record",
        [SABOTAGE_OUTCOME_UNTRUE] = "outcome-untrue",
    };
    return names[sabotage];
}

/* ---- the person ---- */

static void finish(struct sim *s)
{
    if (s->finish_ms == 0) {
        s->finish_ms = s->now_ms + QUIET_MS; /* the calm comes in it */
    }
}

static void begin_run(struct sim *s)
{
    size_t before = s->run_count > 0 ? s->runs[s->run_count - 1].to : 0;
    size_t to = s->calm && s->run_count > 0 ? before : chance(s, s->scenario.release_count);
    to = s->scenario.kind != KIND_RANDOM ? s->scenario.to : to;
    if (s->run_count == SIM_RUNS_MAX) {
        finish(s);
        return;
    }
    struct sim_run *run = &s->runs[s->run_count];
    *run = (struct sim_run){.to = to};
    snprintf(run->id, sizeof(run->id), "run%u", s->run_count + 1);
    if (!scenario_plan(s, to, run)) {
        if (++s->refused > 6) {
            finish(s);
        } else {
            later(s, PERSON_MS, HAPPEN_OPERATOR);
        }
        return;
    }
    s->refused = 0;
    s->pauses = 0;
    truth_init(s, run);
    uint32_t number = s->run_count++;
    s->coverage->runs++;
    trace(s, "%s: to %s, %zu phases, %s, %s", run->id, s->scenario.releases[to].version,
          run->plan.phases.count,
          run->plan.strategy == STRATEGY_ROLLING ? "rolling" : "all-at-once",
          run->plan.direction == DIRECTION_UP ? "up" : "down");
    for (size_t i = 0; i < s->scenario.node_count; i++) {
        s->nodes[i].down_by_us = false; /* it is down when the plan is made */
        s->nodes[i].had = s->nodes[i].installed;
        s->places[i].unheard = false;
        const struct sim_node *n = &s->nodes[i];
        const struct sim_release *r = &s->scenario.releases[MAX(n->runs, 0)];
        int schema = database_schema(s);
        /* An old journal may have started an old release: until that is stopped, nothing is said of the node. */
        s->places[i].tainted =
            s->places[i].tainted && n->runs >= 0 && (schema < r->low || schema > r->high);
    }
    controller_run(s, s->now_controller, number);
}

static void answer_pause(struct sim *s)
{
    const char *why = rollout_why(s->controllers[s->now_controller].rollout);
    s->pauses++;
    s->counts.pauses++;
    if (why != NULL && strstr(why, DATABASE_HALF_DONE) != NULL) {
        trace(s, "the operator settles what is half-done");
        database_settle(s);
        controller_word(s, WORD_ABORT); /* the plan was made from something else */
        return;
    }
    if (!s->calm) {
        static const enum word rare[] = {WORD_ABORT, WORD_SKIP, WORD_EXCLUDE, WORD_ROLLBACK};
        controller_word(s, percent(s, 70) ? WORD_RETRY : rare[chance(s, ARRAY_SIZE(rare))]);
        return;
    }
    bool tainted = s->scenario.external; /* its ledger may stand between two releases */
    const struct sim_run *run = &s->runs[s->run_count - 1];
    for (size_t i = 0; i < ARRAY_SIZE(run->skipped); i++) {
        tainted = tainted || run->skipped[i]; /* what was not started will not be healthy */
    }
    for (size_t i = 0; i < s->place_count; i++) {
        tainted = tainted || s->places[i].tainted;
    }
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        place_revive(s, i); /* by hand, as whoever looks after the node would */
    }
    s->coverage->checks[RULE_RETRY]++;
    if (s->pauses > PAUSES_MAX && !tainted) {
        violate(s, RULE_RETRY, "%u pauses since the faults stopped: %s", s->pauses,
                rollout_why(s->controllers[s->now_controller].rollout));
    }
    controller_word(s, s->pauses > PAUSES_MAX ? WORD_ABORT : WORD_RETRY);
}

/* A node may not begin, for others are down: what died is started by hand, or the run is given up. */
static void answer_hold(struct sim *s)
{
    bool revived = false;
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        revived = place_revive(s, i) || revived;
    }
    if (!revived && ++s->pauses > PAUSES_MAX) {
        controller_word(s, WORD_ABORT);
    }
    later(s, PERSON_MS, HAPPEN_OPERATOR);
}

/* One of the people approves; a window is nobody's to open. */
static void answer_gate(struct sim *s)
{
    const char *why = rollout_why(s->controllers[s->now_controller].rollout);
    if (why != NULL && strncmp(why, "gate", strlen("gate")) == 0) {
        controller_word(s, WORD_APPROVE);
        later(s, PERSON_MS, HAPPEN_OPERATOR);
    }
}

void operator_looks(struct sim *s)
{
    const struct sim_controller *c = &s->controllers[s->now_controller];
    if (!c->up || c->busy_until_ms > s->now_ms) {
        later(s, PERSON_MS, HAPPEN_OPERATOR);
        return;
    }
    if (s->run_count > 0 && !c->run_over) {
        if (rollout_state(c->rollout) == ROLLOUT_PAUSED) {
            answer_pause(s);
        } else if (rollout_state(c->rollout) == ROLLOUT_WAITING) {
            answer_gate(s);
        } else if (rollout_held(c->rollout) != NULL && s->calm) {
            answer_hold(s);
        }
        return;
    }
    bool ended_well =
        s->run_count > 0 && s->controllers[s->now_controller].seen_state == ROLLOUT_SUCCEEDED;
    if (s->calm && ended_well) {
        finish(s);
        return;
    }
    if (s->finish_ms == 0) {
        begin_run(s);
    }
}

/* ---- what happens ---- */

static void happen_to_controller(struct sim *s, const struct event_in_queue *e)
{
    struct sim_controller *c = &s->controllers[e->controller];
    if (!c->up || e->life != c->life) {
        return;
    }
    if (c->busy_until_ms > s->now_ms) {
        struct event_in_queue *again = later(s, c->busy_until_ms - s->now_ms, e->what);
        again->controller = e->controller;
        again->life = e->life;
        again->number = e->number;
    } else if (e->what == HAPPEN_CONTROLLER_DURABLE) {
        controller_durable(s, e->controller, e->number);
    } else if (e->number == c->timer) {
        controller_timer(s, e->controller);
    }
}

static void happen_to_place(struct sim *s, const struct event_in_queue *e)
{
    struct sim_place *p = &s->places[e->place];
    if (e->what == HAPPEN_PLACE_START) {
        place_start(s, e->place);
    } else if (e->life == p->life && place_hangs(s, e->place)) {
        struct event_in_queue *again = later(s, 500, e->what);
        again->place = e->place;
        again->life = e->life;
        again->number = e->number;
    } else if (e->life == p->life) {
        place_durable(s, e->place, e->number);
    }
}

static void break_silence(struct sim *s, uint32_t place, bool anyhow)
{
    struct sim_place *p = &s->places[place];
    bool frozen = p->connected && p->owner != s->now_controller && !p->copied &&
                  s->controllers[p->owner].busy_until_ms > s->now_ms;
    if (p->deaf || p->dumb || frozen || anyhow) {
        network_break(s, place);
    }
}

static void happen(struct sim *s, const struct event_in_queue *e)
{
    s->coverage->happenings[e->what]++;
    switch (e->what) {
    case HAPPEN_CONTROLLER_START:
        if (s->now_controller == e->controller) {
            place_start(s, s->controllers[e->controller].executor);
            controller_start(s, e->controller);
        }
        break;
    case HAPPEN_CONTROLLER_DURABLE:
    case HAPPEN_CONTROLLER_TIMER:
        happen_to_controller(s, e);
        break;
    case HAPPEN_CONTROLLER_GONE:
        controller_gone(s, e->controller);
        break;
    case HAPPEN_PLACE_START:
    case HAPPEN_PLACE_DURABLE:
        happen_to_place(s, e);
        break;
    case HAPPEN_CONNECT:
        network_connect(s, e->place);
        break;
    case HAPPEN_SILENCE:
        break_silence(s, e->place, e->number != 0);
        break;
    case HAPPEN_ORDER:
    case HAPPEN_REPORT:
        network_arrive(s, e);
        break;
    case HAPPEN_WORKER:
        worker_step(s, e);
        break;
    case HAPPEN_OPERATOR:
        operator_looks(s);
        break;
    case HAPPEN_WORDS:
        controller_words(s, e->number);
        break;
    case HAPPEN_FAULT:
        if (e->life == 1) {
            faults_end(s, e->number);
        } else {
            faults_happen(s, e->number);
        }
        break;
    case HAPPEN_CALM:
        faults_calm(s);
        break;
    }
}

static void begin_world(struct sim *s)
{
    scenario_make(s);
    const struct scenario *c = &s->scenario;
    int first = c->first;
    s->place_count = c->node_count + 1;
    s->database = (struct sim_database){.up = true};
    int schema = first < 0 ? 0 : c->releases[first].schema;
    s->database.rows = schema;
    for (int i = 0; i < schema; i++) {
        s->database.effect[i] = true;
        s->database.ledger[i] = true;
    }
    for (uint32_t i = 0; i < s->place_count; i++) {
        s->places[i].node = i < c->node_count;
        s->nodes[i] =
            (struct sim_node){.installed = first, .runs = first, .boots = -1, .permitted = -1};
        place_start(s, i);
    }
    s->controllers[0].executor = (uint32_t)c->node_count;
    s->controllers[0].run_over = true;
    s->controllers[1].run_over = true;
    if (c->kind == KIND_RANDOM) {
        faults_make(s);
    } else {
        later(s, 0, HAPPEN_CALM);
    }
    controller_start(s, 0);
    later(s, 1000, HAPPEN_OPERATOR);
}

static void live(struct sim *s)
{
    struct event_in_queue e;
    begin_world(s);
    while (!s->failed && (s->finish_ms == 0 || s->now_ms < s->finish_ms) && next_event(s, &e)) {
        s->now_ms = e.at_ms;
        s->events++;
        happen(s, &e);
        for (uint32_t i = 0; i < s->place_count; i++) {
            place_serving(s, i);
        }
        arena_deinit(&s->scratch);
        s->coverage->checks[RULE_ENDS]++;
        if (s->events > SIM_EVENTS_MAX || (s->calm && s->now_ms > s->calm_ms + ENDS_MS)) {
            violate(s, RULE_ENDS, "run %u has not ended %lld min after the faults stopped",
                    s->run_count, (long long)((s->now_ms - s->calm_ms) / 60000));
        }
    }
    if (!s->failed && s->finish_ms == 0) {
        violate(s, RULE_ENDS, "nothing happens any more, and run %u has not ended", s->run_count);
    }
    if (!s->failed) {
        check_end(s);
    }
}

static void on_abort(int number)
{
    if (present != NULL && present->abort_jump != NULL) {
        siglongjmp(*present->abort_jump, 1);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void say_end(const struct sim *s, char *ret, size_t bytes_max)
{
    size_t len = (size_t)snprintf(ret, bytes_max, "schema %d, ledger ", database_schema(s));
    for (size_t i = 0; i < s->scenario.item_count && len < bytes_max; i++) {
        len += (size_t)snprintf(ret + len, bytes_max - len, "%d%d%d ", s->database.effect[i],
                                s->database.ledger[i], s->database.intent[i]);
    }
    for (size_t i = 0; i < s->scenario.node_count && len < bytes_max; i++) {
        const struct sim_node *n = &s->nodes[i];
        len += (size_t)snprintf(ret + len, bytes_max - len, "node %d %d%s ", n->installed, n->runs,
                                n->denied ? " denied" : "");
    }
}

const char *sim_kind_name(enum sim_kind kind)
{
    static const char *const names[KINDS] = {
        [KIND_RANDOM] = "random",
        [KIND_UP] = "all at once, up",
        [KIND_DOWN] = "all at once, down",
        [KIND_ROLLING_UP] = "rolling, up",
        [KIND_ROLLING_DOWN] = "rolling, down",
        [KIND_TWO_HOPS] = "two hops",
        [KIND_FIRST_INSTALL] = "first install",
        [KIND_EXTERNAL] = "external migrator",
        [KIND_FINISH_HALF_DONE] = "finish what is half-done",
    };
    return names[kind];
}

void sim_run(const struct sim_options *options, struct coverage *coverage, struct sim_verdict *ret)
{
    struct sim *s = calloc(1, sizeof(*s));
    assert(s != NULL);
    sigjmp_buf jump;
    s->seed = options->seed;
    s->without = options->without;
    s->sabotage = options->sabotage;
    s->script = options->script;
    s->only = options->only - 1;
    s->scenario.kind = options->kind;
    s->trace = options->trace;
    s->coverage = coverage;
    s->abort_jump = &jump;
    world_init(s);
    present = s;
    struct sigaction catch = {.sa_handler = on_abort, .sa_flags = SA_NODEFER};
    struct sigaction old;
    sigaction(SIGABRT, &catch, &old);
    if (sigsetjmp(jump, 1) == 0) {
        live(s);
    } else {
        violate(s, RULE_MACHINE, "an assertion failed: its words are above");
    }
    sigaction(SIGABRT, &old, NULL);
    present = NULL;
    coverage->seeds++;
    coverage->events += s->events;
    *ret = (struct sim_verdict){.failed = s->failed,
                                .rule = s->rule,
                                .digest = s->digest,
                                .events = s->events,
                                .counts = s->counts,
                                .place_count = s->place_count,
                                .faults = s->fault_count};
    say_end(s, ret->end, sizeof(ret->end));
    memcpy(ret->text, s->verdict, sizeof(ret->text));
    world_deinit(s);
    free(s);
}

uint64_t sim_shrink(const struct sim_options *options, const struct sim_verdict *verdict)
{
    struct sim_options smaller = *options;
    smaller.trace = false;
    struct coverage coverage = {0};
    for (size_t i = 0; i < verdict->faults && i < 64; i++) {
        struct sim_verdict again;
        uint64_t before = smaller.without;
        smaller.without |= UINT64_C(1) << i;
        sim_run(&smaller, &coverage, &again);
        if (!again.failed || again.rule != verdict->rule) {
            smaller.without = before;
        }
    }
    return smaller.without;
}
