/* Owns the pretended world of fleets: its shell, its clusters, what happens to them. What is judged is fleet_rules.c. */
#include "tests/sim/fleet_rules.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/wire/fleet_record.h"

#define EVENTS_WILD 220
#define EVENTS_MAX  4000
#define PATIENCE    3
#define HOUR_MS     (60LL * 60 * 1000)

static uint64_t draw(struct fleet_world *w, uint64_t below)
{
    uint64_t x = (w->random += 0x9e3779b97f4a7c15ULL);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return (x ^ (x >> 31)) % below;
}

static bool chance(struct fleet_world *w, uint64_t percent)
{
    return !w->calm && draw(w, 100) < percent;
}

/* ---- the shell ---- */

static void hear(struct fleet_world *w, struct fleet_event event);

static void tell_run(struct fleet_world *w, uint32_t at)
{
    const struct sim_run *run = &w->runs[at];
    if (run->state == ROLLOUT_PAUSED && !w->paused) {
        w->paused = !w->aborted && !fleet_state_is_end(fleet_state(w->machine));
        w->paused_by =
            fleet_state(w->machine) == FLEET_PAUSED ? w->pause_record : UINT64_MAX; /* not yet */
    }
    bool failed = rollout_state_is_end(run->state) && run->state != ROLLOUT_SUCCEEDED;
    struct sim_cluster *c = &w->clusters[run->cluster];
    if (failed && c->truth != TRUTH_SKIPPED) {
        fleet_know(c, TRUTH_FAILED, 0);
    }
    hear(w, (struct fleet_event){.type = FLEET_EVENT_RUN,
                                 .member = run->cluster,
                                 .attempt = run->attempt,
                                 .run = run->id,
                                 .running = run->state});
}

static void tell_moved(struct fleet_world *w, uint32_t at)
{
    if (w->sim->sabotage != FLEET_SABOTAGE_DEAF) {
        hear(w, (struct fleet_event){
                    .type = FLEET_EVENT_MOVED, .member = at, .why = "another's run moves it"});
    } else {
        hear(w, (struct fleet_event){.type = FLEET_EVENT_UNMOVED, .member = at});
    }
}

/* The newest run of a cluster; 0: none. */
static uint32_t newest(const struct fleet_world *w, uint32_t at)
{
    for (uint32_t i = w->run_count; i > 0; i--) {
        if (w->runs[i].cluster == at) {
            return i;
        }
    }
    return 0;
}

static void find(struct fleet_world *w, uint32_t at, uint32_t attempt)
{
    const struct member_view view = fleet_member(w->machine, at);
    uint32_t last = newest(w, at);
    if (view.state == MEMBER_DONE) {
        bool own = last != 0 && str_equal(w->runs[last].id, view.run);
        if (last != 0 && !own &&
            (view.run[0] != '\0' || w->runs[last].started_ms >= view.since_ms)) {
            tell_moved(w, at);
        } else {
            hear(w, (struct fleet_event){.type = FLEET_EVENT_UNMOVED, .member = at});
        }
        return;
    }
    for (uint32_t i = 1; i <= w->run_count; i++) {
        const struct sim_run *run = &w->runs[i];
        if (!run->foreign && run->cluster == at && run->attempt == attempt &&
            w->sim->sabotage != FLEET_SABOTAGE_FORGET_RUNS) {
            tell_run(w, i);
            return;
        }
    }
    hear(w, (struct fleet_event){.type = FLEET_EVENT_NO_RUN, .member = at, .attempt = attempt});
}

static void start_run(struct fleet_world *w, uint32_t at, uint32_t attempt)
{
    struct sim_cluster *c = &w->clusters[at];
    c->pending = false;
    if (c->live != 0) {
        fleet_know(c, TRUTH_FAILED, w->records + 1);
        hear(w, (struct fleet_event){.type = FLEET_EVENT_NO_RUN,
                                     .member = at,
                                     .attempt = attempt,
                                     .why = "the cluster has a run"});
        return;
    }
    fleet_judge_run(w, at, attempt);
    assert(w->run_count + 1 < RUNS_MAX);
    c->live = ++w->run_count;
    w->verdict->starts++;
    w->runs[c->live] = (struct sim_run){.cluster = at,
                                        .attempt = attempt,
                                        .state = ROLLOUT_READY,
                                        .started_ms = w->now_ms,
                                        .id = arena_printf(&w->arena, "run-%u", c->live),
                                        .from = c->from};
    tell_run(w, c->live);
}

static void put_trace(const struct fleet_world *w, const struct fleet_effect *e)
{
    static const char *const names[] = {"record",   "plan", "start",  "find",
                                        "evidence", "tell", "refused"};
    const struct fleet_record *r = &e->record;
    const char *text = e->text != NULL ? e->text : r->why != NULL ? r->why : "";
    if (e->type == FLEET_EFFECT_RECORD && r->type == FLEET_RECORD_STATE) {
        fprintf(stderr, "%lld %llu: %s at s%u %s\n", (long long)w->now_ms,
                (unsigned long long)e->number, fleet_state_name(r->state), r->stage, text);
    } else if (e->type == FLEET_EFFECT_RECORD && r->type == FLEET_RECORD_MEMBER) {
        fprintf(stderr, "%lld %llu: c%u #%u is %s %s\n", (long long)w->now_ms,
                (unsigned long long)e->number, r->member, r->attempt,
                member_state_name(r->member_state), text);
    } else if (e->type != FLEET_EFFECT_TELL && e->type != FLEET_EFFECT_REFUSED) {
        fprintf(stderr, "%lld %s c%u #%u\n", (long long)w->now_ms, names[e->type], e->member,
                e->attempt);
    }
}

static void carry_out(struct fleet_world *w, const struct fleet_effect *e)
{
    if (w->sim->trace) {
        put_trace(w, e);
    }
    struct sim_cluster *c = &w->clusters[e->member];
    switch (e->type) {
    case FLEET_EFFECT_RECORD:
        assert(w->records < RECORDS_MAX);
        wire_fleet_record_pack(&w->arena, &e->record, &w->journal[w->records], NULL);
        w->records++;
        fleet_judge_record(w, &e->record);
        break;
    case FLEET_EFFECT_PLAN:
        c->planning = true;
        c->attempt = e->attempt;
        break;
    case FLEET_EFFECT_START:
        fleet_judge_start(w, e->member);
        c->pending = true;
        w->pending[w->pending_count++] = (struct pending){e->member, e->attempt, e->after};
        break;
    case FLEET_EFFECT_FIND:
        find(w, e->member, e->attempt);
        break;
    case FLEET_EFFECT_EVIDENCE: /* the world knows its runs */
    case FLEET_EFFECT_TELL:
        break;
    case FLEET_EFFECT_REFUSED:
        w->refused = true;
        break;
    }
}

static void hear(struct fleet_world *w, struct fleet_event event)
{
    static struct fleet_effects effects;
    if (w->stepping) {
        w->answers[w->answer_count++] = event;
        return;
    }
    w->stepping = true;
    w->answers[w->answer_count++] = event;
    for (size_t next = 0; next < w->answer_count; next++) {
        struct fleet_event now = w->answers[next];
        do {
            now.now_ms = w->now_ms + (w->sim->sabotage == FLEET_SABOTAGE_HASTE ? HOUR_MS : 0);
            fleet_step(w->machine, &now, &effects);
            for (size_t i = 0; i < effects.count; i++) {
                carry_out(w, &effects.items[i]);
            }
            now = (struct fleet_event){.type = FLEET_EVENT_MORE};
        } while (effects.more);
    }
    w->answer_count = 0;
    w->stepping = false;
    if (w->sim->sabotage == FLEET_SABOTAGE_START_EARLY) {
        while (w->pending_count > 0) {
            const struct pending p = w->pending[--w->pending_count];
            start_run(w, p.cluster, p.attempt);
        }
    }
}

/* ---- lives ---- */

static void live(struct fleet_world *w)
{
    static struct fleet_effects effects;
    arena_deinit(&w->life);
    w->machine = fleet_new(&w->life, w->spec);
    w->grace_ms = w->records > 0 ? w->now_ms + ROLLOUT_RESUME_GRACE_MS : 0;
    for (uint64_t i = 0; i < w->records; i++) {
        struct fleet_record record;
        struct error e = {0};
        if (wire_fleet_record_unpack(&w->life, w->journal[i], &record, &e) < 0) {
            fleet_broken(w, "record %llu: %s", (unsigned long long)i, e.message);
            return;
        }
        fleet_step(w->machine, &(struct fleet_event){.type = FLEET_EVENT_REPLAY, .record = &record},
                   &effects);
    }
    hear(w, (struct fleet_event){.type = w->records > 0 ? FLEET_EVENT_RESUME : FLEET_EVENT_BEGIN,
                                 .who = "anna"});
}

static void crash(struct fleet_world *w)
{
    if (w->sim->trace) {
        fprintf(stderr, "%lld crash, %llu of %llu records are kept\n", (long long)w->now_ms,
                (unsigned long long)w->durable, (unsigned long long)w->records);
    }
    w->verdict->crashes++;
    w->records = w->durable;
    w->pending_count = 0;
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        struct sim_cluster *c = &w->clusters[i];
        c->pending = false;
        c->planning = false;
        fleet_forget(c, w->durable);
    }
    w->paused = w->paused && w->paused_by <= w->durable;
    w->aborted = w->aborted && w->aborted_by <= w->durable;
    live(w);
}

static void commit(struct fleet_world *w)
{
    if (w->durable == w->records) {
        return;
    }
    uint64_t to = w->calm ? w->records : w->durable + 1 + draw(w, w->records - w->durable);
    if (w->crash_armed && w->sim->crash_before > w->durable && w->sim->crash_before <= to) {
        w->durable = w->sim->crash_before - 1;
        w->crash_armed = false;
        crash(w);
        return;
    }
    if (w->crash_armed && w->sim->crash_after > w->durable && w->sim->crash_after <= to) {
        w->durable = w->sim->crash_after;
        w->crash_armed = false;
        crash(w);
        return;
    }
    w->durable = to;
    for (size_t i = 0; i < w->pending_count;) {
        const struct pending p = w->pending[i];
        if (p.after <= w->durable) {
            w->pending[i] = w->pending[--w->pending_count];
            start_run(w, p.cluster, p.attempt);
        } else {
            i++;
        }
    }
}

/* ---- what happens by itself ---- */

static void plan_ends(struct fleet_world *w, uint32_t at)
{
    struct sim_cluster *c = &w->clusters[at];
    struct fleet_event event = {.type = FLEET_EVENT_PLANNED, .member = at, .attempt = c->attempt};
    const char *proved[LIMIT_FLEET_STAGES];
    event.proved.items = proved;
    c->planning = false;
    if (chance(w, 12)) {
        const struct member_view view = fleet_member(w->machine, at);
        bool counts = view.state == MEMBER_PLANNING && view.attempt == c->attempt &&
                      fleet_state(w->machine) == FLEET_RUNNING && w->now_ms >= w->grace_ms;
        if (counts && fleet_stage(w->machine) == c->stage) {
            fleet_know(c, TRUTH_FAILED, w->records + 1);
        }
        event.type = FLEET_EVENT_REFUSED;
        event.why = "a node is away";
        hear(w, event);
        return;
    }
    const struct strings *requires = &fleet_stage_at(w, c->stage)->requires;
    for (size_t i = 0; i < requires->count; i++) {
        if (w->sim->sabotage == FLEET_SABOTAGE_PROVE_ALL ||
            fleet_is_shown(w, requires->items[i], c)) {
            proved[event.proved.count++] = requires->items[i];
        }
    }
    event.nothing_to_do = c->wanted;
    event.way = (struct fleet_way){"plan", c->application, c->from, "2.0.0"};
    bool missing = !c->wanted && event.proved.count < requires->count;
    const struct member_view view = fleet_member(w->machine, at);
    if (missing && view.state == MEMBER_PLANNING && view.attempt == c->attempt &&
        fleet_state(w->machine) == FLEET_RUNNING && fleet_stage(w->machine) == c->stage) {
        fleet_know(c, TRUTH_FAILED, w->records + 1);
    }
    hear(w, event);
}

static void run_goes_on(struct fleet_world *w, uint32_t at)
{
    struct sim_run *run = &w->runs[at];
    struct sim_cluster *c = &w->clusters[run->cluster];
    if (run->state == ROLLOUT_READY || run->state == ROLLOUT_PAUSED) {
        run->state =
            run->state == ROLLOUT_PAUSED && chance(w, 30) ? ROLLOUT_ABORTED : ROLLOUT_RUNNING;
    } else if (chance(w, 30)) {
        static const enum rollout_state bad[] = {ROLLOUT_PAUSED, ROLLOUT_FAILED, ROLLOUT_INCOMPLETE,
                                                 ROLLOUT_PAUSED};
        run->state = bad[draw(w, ARRAY_SIZE(bad))];
    } else {
        run->state = ROLLOUT_SUCCEEDED;
        c->wanted = !run->foreign;
        c->succeeded_ms = w->now_ms;
    }
    if (rollout_state_is_end(run->state)) {
        c->live = 0;
    }
    if (!run->foreign && str_equal(fleet_member(w->machine, run->cluster).run, run->id)) {
        tell_run(w, at);
    }
}

/* Somebody moves a cluster away. */
static void move(struct fleet_world *w, uint32_t at)
{
    struct sim_cluster *c = &w->clusters[at];
    if (c->live != 0) {
        return;
    }
    assert(w->run_count + 1 < RUNS_MAX);
    w->verdict->moves++;
    c->live = ++w->run_count;
    if (c->wanted && c->truth == TRUTH_NONE) {
        w->stages[c->stage].approved = 0; /* it goes back, and is approved anew */
    }
    c->wanted = false;
    w->runs[c->live] = (struct sim_run){.cluster = at,
                                        .foreign = true,
                                        .state = ROLLOUT_READY,
                                        .started_ms = w->now_ms,
                                        .id = arena_printf(&w->arena, "run-%u", c->live),
                                        .from = "2.0.0"};
    tell_moved(w, at);
}

static bool say(struct fleet_world *w, enum fleet_word word, const char *who, const char *about)
{
    w->refused = false;
    w->verdict->words++;
    hear(w, (struct fleet_event){
                .type = FLEET_EVENT_WORD, .word = word, .who = who, .cluster = about});
    return !w->refused;
}

static void approve(struct fleet_world *w)
{
    static const char *const people[PEOPLE] = {"anna", "bob", "eve", "tom"};
    uint64_t who = draw(w, PEOPLE);
    uint32_t stage = fleet_stage(w->machine);
    bool one = w->sim->sabotage == FLEET_SABOTAGE_LOSE_APPROVER;
    char name[16];
    snprintf(name, sizeof(name), "%s%llu", one ? "key" : people[who],
             one ? (unsigned long long)w->verdict->words : 0ULL);
    bool before = fleet_state(w->machine) == FLEET_AT_GATE;
    uint32_t approved = w->stages[stage].approved;
    w->stages[stage].approved |= before ? (one ? 1U : 1U << who) : 0;
    if (!say(w, FLEET_WORD_APPROVE, name, NULL)) {
        w->stages[stage].approved = approved;
    }
}

static void resume(struct fleet_world *w)
{
    bool paused = w->paused;
    size_t told[CLUSTERS_MAX];
    /* What is begun by it is judged inside: all of it is so if the word is taken. */
    w->paused = false;
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        struct sim_cluster *c = &w->clusters[i];
        told[i] = c->told_count;
        if (fleet_state(w->machine) == FLEET_PAUSED && c->truth == TRUTH_FAILED) {
            fleet_know(c, TRUTH_NONE, w->records + 1);
        }
    }
    bool taken = say(w, FLEET_WORD_RESUME, "anna", NULL);
    for (uint32_t i = 0; !taken && i < w->cluster_count; i++) {
        w->clusters[i].told_count = MIN(w->clusters[i].told_count, told[i]);
        fleet_forget(&w->clusters[i], UINT64_MAX);
    }
    w->paused = w->paused || (!taken && paused);
}

static void skip(struct fleet_world *w, struct sim_cluster *c)
{
    fleet_know(c, TRUTH_SKIPPED, w->records + 1);
    if (!say(w, FLEET_WORD_SKIP, "eve", c->name)) {
        c->told_count--;
        fleet_forget(c, UINT64_MAX);
    }
}

static void random_word(struct fleet_world *w)
{
    struct sim_cluster *c = &w->clusters[draw(w, w->cluster_count)];
    switch (draw(w, 12)) {
    case 0:
        if (say(w, FLEET_WORD_PAUSE, "eve", NULL)) {
            w->paused = true;
            w->paused_by = w->records;
        }
        break;
    case 1:
        skip(w, c);
        break;
    case 2:
        if (draw(w, 12) == 0 && say(w, FLEET_WORD_ABORT, "eve", NULL)) {
            w->aborted = true;
            w->aborted_by = w->records;
        }
        break;
    case 3:
    case 4:
    case 5:
        resume(w);
        break;
    default:
        approve(w);
        break;
    }
}

static void time_goes_on(struct fleet_world *w)
{
    int64_t deadline = fleet_deadline(w->machine);
    bool far = deadline == INT64_MAX || draw(w, 2) == 0;
    w->now_ms = far ? w->now_ms + (int64_t)draw(w, 2000) : MAX(w->now_ms, deadline);
    hear(w, (struct fleet_event){.type = FLEET_EVENT_TIME});
}

static void happen(struct fleet_world *w)
{
    uint32_t at = (uint32_t)draw(w, w->cluster_count);
    struct sim_cluster *c = &w->clusters[at];
    uint64_t what = draw(w, 100);
    if (what < 25) {
        commit(w);
    } else if (what < 50 && c->planning) {
        plan_ends(w, at);
    } else if (what < 75 && c->live != 0) {
        run_goes_on(w, c->live);
    } else if (what < 85) {
        time_goes_on(w);
    } else if (what < 93 && !w->calm) {
        random_word(w);
    } else if (what < 95 && !w->calm) {
        crash(w);
    } else if (what < 97 && !w->calm) {
        move(w, at);
    } else if (w->calm && fleet_state(w->machine) == FLEET_AT_GATE) {
        approve(w);
    } else if (w->calm && fleet_state(w->machine) == FLEET_PAUSED) {
        for (uint32_t i = 0; i < w->cluster_count; i++) {
            struct sim_cluster *failed = &w->clusters[i];
            if (failed->truth == TRUTH_FAILED && failed->attempt >= PATIENCE) {
                skip(w, failed); /* staging may never show its way */
            }
        }
        resume(w);
    }
}

/* ---- a world ---- */

static void put_stage(struct fleet_world *w, struct buf *text, uint32_t stage, uint32_t stages)
{
    uint32_t members = (uint32_t)(1 + draw(w, 3));
    buf_printf(text, "- { name: s%u, parallel: %u, failures: %u, clusters: [", stage,
               (unsigned)(1 + draw(w, 3)), (unsigned)(draw(w, 3) == 0 ? draw(w, 3) : 0));
    for (uint32_t i = 0; i < members; i++) {
        struct sim_cluster *c = &w->clusters[w->cluster_count];
        *c = (struct sim_cluster){.name = arena_printf(&w->arena, "c%u", w->cluster_count),
                                  .application = draw(w, 8) == 0 ? "d2" : "d1",
                                  .from = draw(w, 8) == 0 ? "1.1.0" : "1.0.0",
                                  .stage = stage,
                                  .wanted = draw(w, 6) == 0};
        buf_printf(text, "%s%s", i > 0 ? ", " : "", c->name);
        w->cluster_count++;
    }
    buf_puts(text, "]");
    if (stage + 1 < stages && draw(w, 2) == 0) {
        buf_printf(text, ", soak: %us", (unsigned)(1 + draw(w, 3)));
    }
    if (stage + 1 < stages && draw(w, 2) == 0) {
        buf_printf(text, ", gate: %u", (unsigned)(1 + draw(w, 2)));
    }
    if (stage > 0 && draw(w, 3) == 0) {
        buf_printf(text, ", requires: s%u", (unsigned)draw(w, stage));
    }
    buf_puts(text, " }\n");
}

static void make_fleet(struct fleet_world *w)
{
    struct buf text;
    buf_init(&text, &w->arena, 1 << 16);
    buf_puts(&text, "lockstep: 1\nkind: Fleet\nname: f\nversion: \"2.0.0\"\nstages:\n");
    uint32_t stages = (uint32_t)(1 + draw(w, 4));
    for (uint32_t i = 0; i < stages; i++) {
        put_stage(w, &text, i, stages);
    }
    const struct spec_file file = {"fleet.yaml", buf_text(&text), strlen(buf_text(&text))};
    struct spec spec;
    struct complaints complaints;
    complaints_init(&complaints, &w->arena);
    int r = spec_read(&w->arena, &file, 1, &spec, &complaints);
    assert(r == 0);
    w->spec = spec.fleet;
}

static bool is_over(const struct fleet_world *w)
{
    return fleet_state_is_end(fleet_state(w->machine)) && w->durable == w->records;
}

void fleet_sim_run(const struct fleet_sim *sim, struct fleet_verdict *ret)
{
    static struct fleet_world world;
    struct fleet_world *w = &world;
    memset(w, 0, sizeof(*w));
    memset(ret, 0, sizeof(*ret));
    w->sim = sim;
    w->verdict = ret;
    w->random = sim->seed * 0xd1342543de82ef95ULL;
    w->now_ms = 1000;
    w->crash_armed = sim->crash_before != 0 || sim->crash_after != 0;
    arena_init(&w->arena);
    arena_init(&w->life);
    make_fleet(w);
    w->calm = sim->calm;
    live(w);
    for (int i = 0; i < EVENTS_MAX && !is_over(w) && ret->failed[0] == '\0'; i++) {
        w->calm = sim->calm || i >= EVENTS_WILD;
        happen(w);
    }
    if (ret->failed[0] == '\0' && !is_over(w)) {
        fleet_broken(w, "nothing is in the way any more, and the fleet is %s: %s",
                     fleet_state_name(fleet_state(w->machine)),
                     fleet_why(w->machine) != NULL ? fleet_why(w->machine) : "");
    }
    ret->records = w->records;
    ret->end = fleet_state_name(fleet_state(w->machine));
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        ret->reached |= w->clusters[i].wanted ? 1ULL << i : 0;
    }
    arena_deinit(&w->life);
    arena_deinit(&w->arena);
}
