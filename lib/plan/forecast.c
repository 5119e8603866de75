/*
 * Owns what a whole plan will take, and what is left of it. What is known of each step is looked up once, so that asking again and
 * again while a run of 10,000 nodes goes on stays cheap. Refuses nothing: what is not known is counted as that.
 */
#include "lib/base/str.h"
#include "lib/plan/durations.h"
#include "lib/plan/plan.h"

struct at_place {
    const char *place;
    int64_t ms, longest_ms;
};

/* What is known of one step of the plan. */
struct step_times {
    struct at_place *at;
    size_t count, capacity;
    int64_t ms, longest_ms; /* at any other place; -1: not known */
    bool migrates;
    struct duration_sum sum; /* known and all */
};

struct phase_times {
    struct step_times *steps;
    struct duration_sum migrations, rest;
};

struct forecast {
    struct arena *arena;     /* borrowed */
    const struct plan *plan; /* borrowed */
    struct phase_times *phases;
    struct duration_sum *from; /* phases + 1: of this phase and all behind it */
};

static struct duration_sum add(struct duration_sum a, struct duration_sum b)
{
    return (struct duration_sum){a.ms + b.ms, a.known + b.known, a.all + b.all};
}

/* ---- looking up ---- */

static bool has_place(const struct step_times *t, const char *place)
{
    for (size_t i = 0; i < t->count; i++) {
        if (str_equal(t->at[i].place, place)) {
            return true;
        }
    }
    return false;
}

static void take(struct arena *arena, struct step_times *t, const struct known_duration *d)
{
    int64_t longest = MAX(d->longest_ms, d->ms);
    if (d->place == NULL && t->ms < 0) {
        t->ms = d->ms;
        t->longest_ms = longest;
    } else if (d->place != NULL && !has_place(t, d->place)) {
        t->at = arena_grow(arena, t->at, t->count, &t->capacity, sizeof(*t->at));
        t->at[t->count++] = (struct at_place){d->place, d->ms, longest};
    }
}

static void look_up(struct forecast *f, const struct known_durations *known, size_t phase,
                    size_t step)
{
    struct step_times *t = &f->phases[phase].steps[step];
    const struct plan_step *s = plan_step_at(f->plan, phase, step);
    const char *release = durations_release(f->plan, phase, step);
    *t = (struct step_times){.ms = -1, .longest_ms = -1, .migrates = s->action->db_migrate != NULL};
    if (t->migrates) {
        t->sum = durations_of_step(known, f->plan, phase, step, s->on);
        t->ms = t->sum.known > 0 ? t->sum.ms : -1;
        t->longest_ms = t->sum.known == t->sum.all ? t->ms : -1;
        return;
    }
    for (size_t i = 0; i < known->count; i++) {
        const struct known_duration *d = &known->items[i];
        bool there = s->on == NULL || d->place == NULL || str_equal(d->place, s->on);
        if (d->step != NULL && there && str_equal(d->step, s->name) &&
            (d->release == NULL || str_equal(d->release, release))) {
            take(f->arena, t, d);
        }
    }
    t->sum = (struct duration_sum){.known = t->ms >= 0 || t->count > 0 ? 1 : 0, .all = 1};
}

/* -1: not known. */
static int64_t time_at(const struct step_times *t, const char *place, bool slowest)
{
    for (size_t i = 0; place != NULL && i < t->count; i++) {
        if (str_equal(t->at[i].place, place)) {
            return t->at[i].ms;
        }
    }
    return slowest ? MAX(t->longest_ms, t->ms) : t->ms;
}

static int64_t longest_at(const struct step_times *t, const char *place)
{
    for (size_t i = 0; place != NULL && i < t->count; i++) {
        if (str_equal(t->at[i].place, place)) {
            return t->at[i].longest_ms;
        }
    }
    return t->longest_ms;
}

/* ---- one phase ---- */

static const struct strings *nodes_of(const struct forecast *f, const struct plan_phase *phase)
{
    return &LIST_AT(&f->plan->node_sets, const struct plan_node_set, phase->node_set)->nodes;
}

static size_t turns_of(const struct plan_phase *phase, size_t count)
{
    return phase->scope == PHASE_NODES && phase->parallel > 0 && (size_t)phase->parallel < count
               ? (size_t)phase->parallel
               : 0;
}

enum which { WHICH_ALL, WHICH_MIGRATIONS, WHICH_REST };

/* What is left of one walk through the steps of a phase. */
static int64_t walk_left(const struct phase_times *times, size_t steps, const struct walked *walk,
                         bool slowest, enum which which, bool *longer)
{
    int64_t left = 0;
    for (size_t s = walk->steps_done; s < steps; s++) {
        const struct step_times *t = &times->steps[s];
        if (which != WHICH_ALL && t->migrates != (which == WHICH_MIGRATIONS)) {
            continue;
        }
        int64_t ms = MAX(time_at(t, walk->place, slowest), 0);
        if (s == walk->steps_done && walk->elapsed_ms >= 0) {
            int64_t longest = longest_at(t, walk->place);
            *longer = *longer || (longest >= 0 &&
                                  walk->elapsed_ms > longest + longest / 10 + FORECAST_SLACK_MS);
            ms = MAX(ms - walk->elapsed_ms, 0);
        }
        left += ms;
    }
    return left;
}

/* Nodes that are in the phase go on; each of the others takes the turn that is free first. */
static int64_t in_turns(struct arena *arena, const int64_t *lefts, const bool *inside, size_t count,
                        size_t turns)
{
    int64_t *free_at = ARENA_ARRAY(arena, turns, int64_t);
    int64_t last = 0;
    for (int begun = 1; begun >= 0; begun--) {
        for (size_t i = 0; i < count; i++) {
            if (inside[i] != (begun == 1)) {
                continue;
            }
            size_t first = 0;
            for (size_t k = 1; k < turns; k++) {
                first = free_at[k] < free_at[first] ? k : first;
            }
            free_at[first] += lefts[i];
            last = MAX(last, free_at[first]);
        }
    }
    return last;
}

static struct phase_left left_of(const struct forecast *f, size_t at, const struct walked *walks,
                                 size_t count, enum which which)
{
    const struct plan_phase *phase = plan_phase_at(f->plan, at);
    size_t turns = turns_of(phase, count);
    bool slowest = phase->scope == PHASE_NODES && turns == 0;
    struct arena arena;
    arena_init(&arena);
    int64_t *lefts = ARENA_ARRAY(&arena, count + 1, int64_t);
    bool *inside = ARENA_ARRAY(&arena, count + 1, bool);
    struct phase_left left = {0};
    for (size_t i = 0; i < count; i++) {
        lefts[i] =
            walk_left(&f->phases[at], phase->steps.count, &walks[i], slowest, which, &left.longer);
        inside[i] = walks[i].steps_done > 0 || walks[i].elapsed_ms >= 0;
        left.ms = turns == 0 ? MAX(left.ms, lefts[i]) : 0;
    }
    left.ms = turns > 0 ? in_turns(&arena, lefts, inside, count, turns) : left.ms;
    arena_deinit(&arena);
    return left;
}

struct phase_left forecast_phase_left(const struct forecast *f, size_t phase,
                                      const struct walked *walks, size_t count)
{
    return left_of(f, phase, walks, count, WHICH_ALL);
}

/* A phase that has not begun. */
static int64_t whole(const struct forecast *f, size_t at, enum which which)
{
    const struct plan_phase *phase = plan_phase_at(f->plan, at);
    struct arena arena;
    arena_init(&arena);
    size_t count = phase->scope == PHASE_NODES ? nodes_of(f, phase)->count : 1;
    struct walked *walks = ARENA_ARRAY(&arena, count + 1, struct walked);
    for (size_t i = 0; i < count; i++) {
        walks[i] = (struct walked){
            .place = phase->scope == PHASE_NODES ? nodes_of(f, phase)->items[i] : NULL,
            .elapsed_ms = -1};
    }
    int64_t ms = left_of(f, at, walks, count, which).ms;
    arena_deinit(&arena);
    return ms;
}

/* ---- the plan ---- */

static void measure(struct forecast *f, const struct known_durations *known, size_t at)
{
    const struct plan_phase *phase = plan_phase_at(f->plan, at);
    struct phase_times *p = &f->phases[at];
    p->steps = ARENA_ARRAY(f->arena, phase->steps.count + 1, struct step_times);
    for (size_t s = 0; s < phase->steps.count; s++) {
        look_up(f, known, at, s);
        struct step_times *t = &p->steps[s];
        if (phase->scope == PHASE_ONCE && t->count > 0) { /* at its one place */
            t->ms = t->at[0].ms;
            t->longest_ms = t->at[0].longest_ms;
        }
        struct duration_sum *sum = t->migrates ? &p->migrations : &p->rest;
        *sum = add(*sum, (struct duration_sum){0, t->sum.known, t->sum.all});
    }
    p->migrations.ms = whole(f, at, WHICH_MIGRATIONS);
    p->rest.ms = whole(f, at, WHICH_REST);
}

struct forecast *forecast_new(struct arena *arena, const struct known_durations *known,
                              const struct plan *plan)
{
    struct forecast *f = ARENA_NEW(arena, struct forecast);
    size_t count = plan->phases.count;
    *f = (struct forecast){.arena = arena,
                           .plan = plan,
                           .phases = ARENA_ARRAY(arena, count + 1, struct phase_times),
                           .from = ARENA_ARRAY(arena, count + 1, struct duration_sum)};
    for (size_t at = count; at > 0; at--) {
        measure(f, known, at - 1);
        struct duration_sum own = add(f->phases[at - 1].migrations, f->phases[at - 1].rest);
        f->from[at - 1] = add(f->from[at], own);
    }
    return f;
}

struct duration_sum forecast_from(const struct forecast *f, size_t phase)
{
    return f->from[MIN(phase, f->plan->phases.count)];
}

static struct duration_sum sum_of(const struct forecast *f, bool migrations)
{
    struct duration_sum sum = {0};
    for (size_t i = 0; i < f->plan->phases.count; i++) {
        sum = add(sum, migrations ? f->phases[i].migrations : f->phases[i].rest);
    }
    return sum;
}

struct duration_sum forecast_migrations(const struct forecast *f)
{
    return sum_of(f, true);
}

struct duration_sum forecast_rest(const struct forecast *f)
{
    return sum_of(f, false);
}

static bool anything_runs(const struct plan *plan)
{
    for (size_t i = 0; i < plan->nodes.count; i++) {
        if (LIST_AT(&plan->nodes, const struct plan_node, i)->running) {
            return true;
        }
    }
    return false;
}

/* Being up and looked at. */
static int64_t soak_of(const struct plan *plan, size_t phase)
{
    int64_t ms = 0;
    for (size_t s = 0; s < plan_phase_at(plan, phase)->steps.count; s++) {
        const struct health_action *health = plan_step_at(plan, phase, s)->action->health;
        ms = MAX(ms, health != NULL ? health->soak_ms : 0);
    }
    return ms;
}

struct duration_sum forecast_down(const struct forecast *f)
{
    const struct plan *plan = f->plan;
    size_t first = plan->phases.count;
    size_t end = 0;
    for (size_t i = 0; i < plan->phases.count; i++) {
        if (plan_phase_at(plan, i)->takes_down) {
            first = MIN(first, i);
            end = i + 1;
        }
    }
    if (first >= end || plan->strategy != STRATEGY_ALL_AT_ONCE || !anything_runs(plan)) {
        return (struct duration_sum){0};
    }
    struct duration_sum from = f->from[first];
    struct duration_sum behind = f->from[end];
    return (struct duration_sum){MAX(from.ms - behind.ms - soak_of(plan, end - 1), 0),
                                 from.known - behind.known, from.all - behind.all};
}
