/* Owns the judgement. It keeps what workers really did, and asks the machines only for their views; how a machine decides is
 * written nowhere here. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

static struct effects none;

const char *rule_name(enum rule rule)
{
    static const char *const names[RULES] = {
        [RULE_ONCE_ITEM] = "once: no migration's effect twice",
        [RULE_ONCE_COMMAND] = "once: a once command starts once for an attempt",
        [RULE_ONCE_STEP] = "once: no step beside itself or after it was done",
        [RULE_ONCE_MIGRATOR] = "once: one migrator at a time",
        [RULE_FENCED] = "fenced: nothing of an older controller takes effect",
        [RULE_COMPATIBLE] = "compatible: a release runs only on a schema of its own",
        [RULE_BUDGET] = "budget: max_unavailable",
        [RULE_BARRIER] = "barrier: a phase begins when the one before is done everywhere",
        [RULE_PARALLEL] = "budget: parallel",
        [RULE_INTENT_FIRST] = "once: an intent is durable before its instruction",
        [RULE_PROOFS] = "once: what is retried is proved anew",
        [RULE_REPLAY] = "evidence: the journal gives the same machine",
        [RULE_JOURNAL_TRUE] = "evidence: what the journal says is what happened",
        [RULE_ENDS] = "answered: when faults stop, every run ends",
        [RULE_RETRY] = "answered: retry leads out of a pause",
        [RULE_LOCKS] = "owned: an ended run leaves no lock",
        [RULE_STOPS] = "answered: a run that is over begins nothing any more",
        [RULE_ASKED] = "evidence: a place begins nothing from its journal alone",
        [RULE_WHOLE] = "whole: what succeeded is as the plan said",
        [RULE_RELEASE_KEPT] = "whole: the release before stays on the disk",
        [RULE_GATE] = "answered: a gate opens when enough people have approved",
        [RULE_WINDOW] = "answered: a wave begins in its window",
        [RULE_RETRIES] = "bounded: retries and their backoff",
        [RULE_PACE] = "budget: starts in a time",
        [RULE_FAILURES] = "budget: nodes that are left behind by themselves",
        [RULE_DEADLINE] = "answered: every state has a deadline",
        [RULE_BOUNDED] = "bounded: effects, attempts, memory",
        [RULE_MACHINE] = "a machine's own assertion",
    };
    return names[rule];
}

void violate(struct sim *s, enum rule rule, const char *format, ...)
{
    if (s->failed) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(s->verdict, sizeof(s->verdict), format, args);
    va_end(args);
    s->failed = true;
    s->rule = rule;
    trace(s, "VIOLATED %s: %s", rule_name(rule), s->verdict);
}

/* ---- what happened ---- */

static size_t places_of(const struct sim *s)
{
    return s->scenario.node_count + 1; /* the executor is one, whichever machine it runs on */
}

void truth_init(struct sim *s, struct sim_run *run)
{
    size_t steps = 0;
    run->phase_first = ARENA_ARRAY(&s->arena, run->plan.phases.count + 1, size_t);
    for (size_t i = 0; i < run->plan.phases.count; i++) {
        run->phase_first[i] = steps;
        steps += plan_phase_at(&run->plan, i)->steps.count;
    }
    run->truth = ARENA_ARRAY(&s->arena, steps * (SIM_NODES_MAX + 1), struct truth);
}

struct truth *truth_of(struct sim_run *run, uint32_t phase, uint32_t step, uint32_t place)
{
    return &run->truth[(run->phase_first[phase] + step) * (SIM_NODES_MAX + 1) +
                       MIN(place, (uint32_t)SIM_NODES_MAX)];
}

static uint32_t truth_place(const struct sim *s, uint32_t place)
{
    return s->places[place].node ? place : SIM_NODES_MAX;
}

static struct truth *truth_of_worker(struct sim *s, const struct sim_worker *w)
{
    return truth_of(&s->runs[w->run], w->key.phase, w->key.step, truth_place(s, w->place));
}

static uint32_t place_named(const struct sim *s, const struct sim_run *run, const char *name)
{
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        if (str_equal(LIST_AT(&run->plan.nodes, struct plan_node, i)->name, name)) {
            return i;
        }
    }
    return SIM_NODES_MAX;
}

/* Is every step of the phase done at every place that takes part in it? */
static bool phase_done(const struct sim *s, struct sim_run *run, uint32_t phase)
{
    const struct plan_phase *p = plan_phase_at(&run->plan, phase);
    for (uint32_t step = 0; step < p->steps.count; step++) {
        const struct plan_step *ps = plan_step_at(&run->plan, phase, step);
        if (p->scope == PHASE_ONCE) {
            const struct truth *t = truth_of(run, phase, step, place_named(s, run, ps->on));
            if (!t->done && !t->skipped) {
                return false;
            }
            continue;
        }
        const struct strings *nodes =
            &LIST_AT(&run->plan.node_sets, struct plan_node_set, p->node_set)->nodes;
        for (size_t i = 0; i < nodes->count; i++) {
            uint32_t place = place_named(s, run, nodes->items[i]);
            const struct truth *t = truth_of(run, phase, step, place);
            if (!t->done && !t->skipped && !run->excluded[MIN(place, (uint32_t)SIM_NODES_MAX)]) {
                return false;
            }
        }
    }
    return true;
}

/* Does a retry of a later step of the phase go back past this one? */
static bool is_repeated(const struct sim_run *run, uint32_t phase, uint32_t step)
{
    const struct plan_phase *p = plan_phase_at(&run->plan, phase);
    for (size_t i = step + 1; i < p->steps.count; i++) {
        if ((int64_t)i - plan_step_at(&run->plan, phase, i)->retry_back <= (int64_t)step) {
            return true;
        }
    }
    return false;
}

/* ---- before a step acts ---- */

void check_instructed(struct sim *s, uint32_t controller, uint32_t place,
                      const struct instruction_key *key)
{
    const struct sim_controller *c = &s->controllers[controller];
    s->coverage->checks[RULE_INTENT_FIRST]++;
    if (strcmp(s->runs[c->run].id, key->run) != 0 || c->journal.count == 0) {
        return; /* a run that is over meanwhile */
    }
    for (size_t i = 0; i < c->journal.durable; i++) {
        const struct sim_mark *m = &c->marks[i];
        if (m->type == RECORD_INTENT && m->key.phase == key->phase && m->key.step == key->step &&
            m->key.attempt == key->attempt && m->key.place == key_place(s, place)) {
            return;
        }
    }
    violate(s, RULE_INTENT_FIRST, "place %u is instructed %u.%u.%u without a durable intent",
            (unsigned)place, key->phase, key->step, key->attempt);
}

static void check_barrier(struct sim *s, struct sim_run *run, const struct sim_worker *w)
{
    s->coverage->checks[RULE_BARRIER]++;
    while (run->phases_done < run->plan.phases.count && phase_done(s, run, run->phases_done)) {
        run->phases_done++;
    }
    if (w->key.phase > run->phases_done) {
        violate(s, RULE_BARRIER, "place %u begins phase %u, and phase %u is not done everywhere",
                (unsigned)w->place, w->key.phase, run->phases_done);
    }
}

/* Of the present run. A copy that was made after that is not known to be one: the window of agent.h. */
bool remembers_what_was_heard(struct sim *s, uint32_t place)
{
    const struct sim_controller *c = &s->controllers[s->now_controller];
    const struct sim_mark *last = NULL;
    for (size_t i = 0; i < c->journal.durable; i++) {
        const struct sim_mark *m = &c->marks[i];
        bool here = m->type == RECORD_OUTCOME && m->key.place == key_place(s, place);
        last = here && m->status == OUTCOME_DONE ? m : last;
    }
    if (last == NULL || s->run_count == 0) {
        return true;
    }
    const struct sim_journal *j = &s->places[place].journal;
    for (size_t i = 0; i < j->count; i++) {
        struct agent_record r = {0};
        struct wire_instruction in = {0};
        struct error e = {0};
        if (wire_place_record_unpack(&s->scratch, j->items[i], &r, &in, &e) == 0 &&
            r.type == AGENT_RECORD_OUTCOME && strcmp(r.key.run, s->runs[c->run].id) == 0 &&
            r.key.phase == last->key.phase && r.key.step == last->key.step &&
            r.key.attempt == last->key.attempt) {
            return true;
        }
    }
    return false;
}

static void check_once(struct sim *s, const struct sim_worker *w)
{
    const struct sim_place *p = &s->places[w->place];
    struct truth *t = truth_of_worker(s, w);
    if (!worker_once(w)) {
        return;
    }
    s->coverage->checks[RULE_ONCE_COMMAND]++;
    s->counts.commands++;
    /* An executor on another machine knows nothing of this one. */
    bool elsewhere = !p->node && s->now_controller == 1;
    bool again = w->begun || (t->begun == w->key.attempt && !elsewhere);
    if (again && !p->unheard) {
        violate(s, RULE_ONCE_COMMAND, "place %u starts %u.%u.%u again, which must start once",
                (unsigned)w->place, w->key.phase, w->key.step, w->key.attempt);
    }
    t->begun = w->key.attempt;
}

void check_begun(struct sim *s, const struct sim_worker *w)
{
    struct sim_run *run = &s->runs[w->run];
    check_once(s, w);
    int64_t back = plan_step_at(&run->plan, w->key.phase, w->key.step)->retry_back;
    for (int64_t i = 1; i <= back; i++) {
        uint32_t step = w->key.step - (uint32_t)i;
        const char *on = plan_step_at(&run->plan, w->key.phase, step)->on;
        struct truth *t = truth_of(run, w->key.phase, step, place_named(s, run, on));
        s->coverage->checks[RULE_PROOFS]++;
        if (!t->proved && !s->places[w->place].tainted) {
            violate(s, RULE_PROOFS, "step %u.%u starts, and step %u was not done again before it",
                    w->key.phase, w->key.step, step);
        }
        t->proved = false;
    }
}

void check_act(struct sim *s, struct sim_worker *w)
{
    struct sim_run *run = &s->runs[w->run];
    const struct sim_place *p = &s->places[w->place];
    const struct truth *t = truth_of_worker(s, w);
    check_barrier(s, run, w);
    s->coverage->checks[RULE_STOPS]++;
    if (p->told_over[w->run] >= w->fence) {
        violate(s, RULE_STOPS, "place %u begins %u.%u.%u of %s, and knows that it is over",
                (unsigned)w->place, w->key.phase, w->key.step, w->key.attempt, run->id);
    }
    s->coverage->checks[RULE_FENCED]++;
    if (w->fence < p->heard_fence) {
        violate(s, RULE_FENCED, "place %u begins %u.%u.%u by fence %llu, and has heard %llu",
                (unsigned)w->place, w->key.phase, w->key.step, w->key.attempt,
                (unsigned long long)w->fence, (unsigned long long)p->heard_fence);
    }
    s->coverage->checks[RULE_ASKED]++;
    if (w->asked != p->life + 1) {
        violate(s, RULE_ASKED, "place %u begins %u.%u.%u of %s, and nobody asked since it started",
                (unsigned)w->place, w->key.phase, w->key.step, w->key.attempt, run->id);
    }
    s->coverage->checks[RULE_ONCE_STEP]++;
    for (const struct sim_worker *o = p->workers; o != NULL; o = o->next) {
        bool same = o->run == w->run && o->key.phase == w->key.phase && o->key.step == w->key.step;
        if (same && o->state == WORKER_RUNS) {
            violate(s, RULE_ONCE_STEP, "place %u runs %u.%u beside itself", (unsigned)w->place,
                    w->key.phase, w->key.step);
        }
    }
    /* An executor on another machine knows nothing of this one: evidence and lock in the database keep them apart. */
    bool elsewhere = !p->node && s->now_controller == 1;
    bool repeated = is_repeated(run, w->key.phase, w->key.step) && t->last_done <= w->known;
    if (t->done && !repeated && !p->tainted && !elsewhere) {
        violate(s, RULE_ONCE_STEP, "place %u runs %u.%u.%u, and attempt %u was DONE",
                (unsigned)w->place, w->key.phase, w->key.step, w->key.attempt, t->last_done);
    }
}

void check_ended(struct sim *s, struct sim_worker *w)
{
    struct truth *t = truth_of_worker(s, w);
    if (w->outcome.status == OUTCOME_DONE) {
        t->done = true;
        t->proved = true;
        t->last_done = MAX(t->last_done, w->key.attempt);
    }
}

/* ---- nodes ---- */

void check_nodes(struct sim *s, const char *when)
{
    int schema = database_schema(s);
    int down = 0;
    s->coverage->checks[RULE_COMPATIBLE]++;
    for (size_t i = 0; i < s->scenario.node_count; i++) {
        const struct sim_node *n = &s->nodes[i];
        down += n->down_by_us && !s->places[i].tainted ? 1 : 0;
        if (n->runs < 0 || s->places[i].tainted) {
            continue;
        }
        const struct sim_release *r = &s->scenario.releases[n->runs];
        if (schema < r->low || schema > r->high) {
            violate(s, RULE_COMPATIBLE,
                    "after %s, node %zu runs %s, which runs with %d..%d, and the schema is %d",
                    when, i, r->version, r->low, r->high, schema);
        }
    }
    if (s->run_count == 0) {
        return;
    }
    const struct plan *plan = &s->runs[s->run_count - 1].plan;
    if (plan->strategy == STRATEGY_ROLLING) {
        s->coverage->checks[RULE_BUDGET]++;
        if (down > s->scenario.max_unavailable) {
            violate(s, RULE_BUDGET, "after %s, %d nodes are down by our doing, of %d allowed", when,
                    down, s->scenario.max_unavailable);
        }
    }
}

/* ---- the controller ---- */

/* A node begins what takes it down: as far as the controller was told, no more than the budget are down then. */
static void check_budget(struct sim *s, struct sim_controller *c, const struct record *record)
{
    const struct plan *plan = &s->runs[c->run].plan;
    const struct step_key *key = &record->key;
    if (record->type == RECORD_STATE || record->type == RECORD_WORD ||
        plan->strategy != STRATEGY_ROLLING) {
        return;
    }
    const struct plan_phase *phase = plan_phase_at(plan, key->phase);
    if (phase->scope != PHASE_NODES || !phase->takes_down) {
        return;
    }
    uint32_t node = key->place;
    if (record->type == RECORD_OUTCOME) {
        bool last = record->outcome.status == OUTCOME_DONE && key->step + 1 == phase->steps.count;
        c->middle[node] = c->middle[node] && !last;
        for (size_t i = 0; last && i < phase->steps.count; i++) {
            const struct action *a = plan_step_at(plan, key->phase, i)->action;
            if (a->service != NULL) {
                c->well[node] = a->service->verb != SERVICE_STOP;
                c->told[node] = true;
            }
        }
        return;
    }
    if (key->step != 0 || key->attempt != 1) {
        return;
    }
    int others = 0;
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        others += i != node && (c->middle[i] || !c->well[i]) ? 1 : 0;
    }
    c->middle[node] = true;
    s->coverage->checks[RULE_BUDGET]++;
    if (others + 1 > s->scenario.max_unavailable && !(c->told[node] && !c->well[node])) {
        violate(s, RULE_BUDGET, "node %u begins what takes it down, and %d others are down already",
                (unsigned)node, others);
    }
}

static void note_word(struct sim *s, struct sim_controller *c, const struct record *record)
{
    struct sim_run *run = &s->runs[c->run];
    uint32_t place = MIN(record->key.place, (uint32_t)SIM_NODES_MAX);
    if (record->word == WORD_SKIP) {
        truth_of(run, record->key.phase, record->key.step, place)->skipped = true;
        run->skipped[place] = true;
        const struct plan_phase *phase = plan_phase_at(&run->plan, record->key.phase);
        bool last = record->key.step + 1 == phase->steps.count;
        c->middle[place] = c->middle[place] && !last;
    }
    if (record->word == WORD_EXCLUDE) {
        run->excluded[place] = true;
        c->middle[place] = false; /* from here on it counts as its service does */
        check_left_behind(s, c, record);
    }
}

void check_record(struct sim *s, uint32_t controller, const struct record *record)
{
    struct sim_controller *c = &s->controllers[controller];
    check_budget(s, c, record);
    if (record->type == RECORD_WORD) {
        note_word(s, c, record);
    }
    if (record->type == RECORD_INTENT) {
        check_intent(s, c, record);
    }
    if (record->type == RECORD_STATE) {
        check_state(s, c, record);
    }
    if (record->type == RECORD_OUTCOME) {
        check_outcome(s, c, record);
    }
    if (record->type != RECORD_OUTCOME || record->outcome.status != OUTCOME_DONE) {
        return;
    }
    uint32_t place =
        record->key.place == ROLLOUT_PLACE_CONTROLLER ? SIM_NODES_MAX : record->key.place;
    const struct truth *t = truth_of(&s->runs[c->run], record->key.phase, record->key.step, place);
    s->coverage->checks[RULE_JOURNAL_TRUE]++;
    if (!t->done) {
        violate(s, RULE_JOURNAL_TRUE, "the journal says that %u.%u.%u is DONE at place %u",
                record->key.phase, record->key.step, record->key.attempt, (unsigned)place);
    }
}

static void check_same(struct sim *s, const struct sim_controller *c, const struct rollout *again)
{
    const char *a = rollout_why(again);
    const char *b = rollout_why(c->rollout);
    if (rollout_state(again) != rollout_state(c->rollout) ||
        rollout_phase(again) != rollout_phase(c->rollout) ||
        rollout_under_way(again) != rollout_under_way(c->rollout) ||
        rollout_records(again) != rollout_records(c->rollout)) {
        violate(s, RULE_REPLAY, "replayed: %s in phase %u, lived: %s in phase %u",
                rollout_state_name(rollout_state(again)), rollout_phase(again),
                rollout_state_name(rollout_state(c->rollout)), rollout_phase(c->rollout));
    }
    if (strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0) {
        violate(s, RULE_REPLAY, "replayed: \"%s\", lived: \"%s\"", a != NULL ? a : "",
                b != NULL ? b : "");
    }
    for (uint32_t i = 0; i < places_of(s); i++) {
        uint32_t place = i < s->scenario.node_count ? i : ROLLOUT_PLACE_CONTROLLER;
        struct place_view x = rollout_place(again, place);
        struct place_view y = rollout_place(c->rollout, place);
        if (x.step != y.step || x.attempt != y.attempt || x.state != y.state) {
            violate(s, RULE_REPLAY, "place %u replayed: %u.%u %d, lived: %u.%u %d", (unsigned)place,
                    x.step, x.attempt, (int)x.state, y.step, y.attempt, (int)y.state);
        }
    }
}

/* A sample: each costs the whole journal. */
void check_replay(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    if (c->journal.count == 0 || chance(s, 24) != 0) {
        return;
    }
    s->coverage->checks[RULE_REPLAY]++;
    struct arena arena;
    arena_init(&arena);
    struct rollout *again = rollout_new(&arena, &s->runs[c->run].plan);
    for (size_t i = 0; i < c->journal.count; i++) {
        struct record record = {0};
        struct error e = {0};
        if (wire_record_unpack(&arena, c->journal.items[i], &record, &e) < 0) {
            violate(s, RULE_REPLAY, "record %zu cannot be read: %s", i + 1, e.message);
            break;
        }
        const struct event event = {
            .type = EVENT_REPLAY, .now_ms = record.at_ms, .record = &record};
        rollout_step(again, &event, &none);
    }
    struct event event = {.type = EVENT_RESUME, .now_ms = wall_ms(s)};
    do {
        rollout_step(again, &event, &none);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < none.count; i++) {
            if (none.items[i].type == EFFECT_RECORD) {
                violate(s, RULE_REPLAY, "a replayed machine has something to record at once");
            }
        }
    } while (none.more);
    check_same(s, c, again);
    arena_deinit(&arena);
}

void check_parallel(struct sim *s, uint32_t controller)
{
    const struct sim_controller *c = &s->controllers[controller];
    const struct plan *plan = &s->runs[c->run].plan;
    if (rollout_phase(c->rollout) >= plan->phases.count) {
        return;
    }
    const struct plan_phase *phase = plan_phase_at(plan, rollout_phase(c->rollout));
    if (phase->scope != PHASE_NODES || phase->parallel == 0) {
        return;
    }
    int64_t middle = 0;
    s->coverage->checks[RULE_PARALLEL]++;
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        struct place_view v = rollout_place(c->rollout, i);
        bool finished = v.state == STEP_DONE && v.step + 1 == phase->steps.count;
        middle += v.state != STEP_WAITING && !finished && !v.excluded ? 1 : 0;
    }
    if (middle > phase->parallel) {
        violate(s, RULE_PARALLEL, "%d nodes are in the middle of phase %s", (int)middle,
                phase->name);
    }
}

/* ---- bounds ---- */

void check_bounds(struct sim *s, uint32_t controller, const struct effects *out)
{
    const struct rollout *r = s->controllers[controller].rollout;
    s->coverage->checks[RULE_BOUNDED]++;
    if (out->count > LIMIT_EFFECTS) {
        violate(s, RULE_BOUNDED, "%zu effects of one step", out->count);
    }
    for (size_t i = 0; i < out->count; i++) {
        const struct effect *e = &out->items[i];
        bool attempt =
            e->type == EFFECT_SEND && (e->key.attempt < 1 || e->key.attempt > LIMIT_ATTEMPTS);
        bool text = e->text != NULL && strlen(e->text) >= LIMIT_ERROR_BYTES;
        if (attempt || text) {
            violate(s, RULE_BOUNDED, "attempt %u, a text of %zu bytes", e->key.attempt,
                    e->text != NULL ? strlen(e->text) : 0);
        }
    }
    enum rollout_state state = rollout_state(r);
    bool waits = state == ROLLOUT_PAUSED || rollout_under_way(r) > 0;
    s->coverage->checks[RULE_DEADLINE]++;
    if (!out->more && waits && !rollout_state_is_end(state) && rollout_deadline(r) == INT64_MAX) {
        violate(s, RULE_DEADLINE, "the run is %s, and waits for ever", rollout_state_name(state));
    }
}

void check_place_bounds(struct sim *s, uint32_t place, const struct agent_effects *out)
{
    const struct agent_machine *m = s->places[place].machine;
    s->coverage->checks[RULE_BOUNDED]++;
    if (out->count > LIMIT_EFFECTS || agent_remembered(m) > LIMIT_AGENT_OUTCOMES ||
        agent_under_way(m) > LIMIT_AGENT_INSTRUCTIONS) {
        violate(s, RULE_BOUNDED, "place %u: %zu effects, %zu keys, %zu under way", (unsigned)place,
                out->count, agent_remembered(m), agent_under_way(m));
    }
}

void check_release_kept(struct sim *s, uint32_t place)
{
    const struct sim_node *n = &s->nodes[place];
    s->coverage->checks[RULE_RELEASE_KEPT]++;
    if (n->had >= 0 && n->installed != n->had && (n->staged & (1U << n->had)) == 0) {
        violate(s, RULE_RELEASE_KEPT,
                "node %u has lost the release that it had, and the run goes on", (unsigned)place);
    }
}

/* ---- ends ---- */

void check_run_end(struct sim *s, struct sim_run *run, enum rollout_state state)
{
    trace(s, "run %s has ended: %s", run->id, rollout_state_name(state));
    if (state != ROLLOUT_SUCCEEDED && state != ROLLOUT_INCOMPLETE) {
        return;
    }
    s->coverage->checks[RULE_WHOLE]++;
    const struct sim_release *to = &s->scenario.releases[run->to];
    for (uint32_t i = 0; i < run->plan.phases.count; i++) {
        if (!phase_done(s, run, i)) {
            violate(s, RULE_WHOLE, "the run succeeded, and phase %u is not done everywhere", i);
        }
    }
    if (database_schema(s) != to->schema) {
        violate(s, RULE_WHOLE, "the run succeeded, and the schema is %d, not %d",
                database_schema(s), to->schema);
    }
    for (size_t i = 0; i < s->scenario.node_count; i++) {
        const struct sim_node *n = &s->nodes[i];
        bool runs = n->runs == (int)run->to || n->boots == (int)run->to || n->died;
        bool denied = n->denied;
        bool exempt = s->places[i].tainted || run->excluded[i] || run->skipped[i];
        if (!exempt && (n->installed != (int)run->to || !runs || denied)) {
            violate(s, RULE_WHOLE, "the run succeeded, and node %zu has %d installed, runs %d%s", i,
                    n->installed, n->runs, denied ? ", denied" : "");
        }
    }
}

void check_end(struct sim *s)
{
    s->coverage->checks[RULE_LOCKS]++;
    if (s->database.locked && s->runs[s->database.lock_run].over) {
        violate(s, RULE_LOCKS, "run %s has ended, and place %u still holds its lock",
                s->runs[s->database.lock_run].id, (unsigned)s->database.lock_place);
    }
}
