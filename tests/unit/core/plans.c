/* Owns the tests' plans. */
#include "tests/unit/core/plans.h"

#define SETS_MAX 8

struct plans plans_begin(struct arena *arena, size_t nodes, size_t phases_max)
{
    struct plans p = {.arena = arena, .plan = ARENA_NEW(arena, struct plan)};
    p.plan->lockstep = 1;
    p.plan->kind = "Plan";
    p.plan->cluster = "test";
    p.plan->from = "1.0.0";
    p.plan->to = "1.1.0";
    p.plan->nodes.items = ARENA_ARRAY(arena, nodes, struct plan_node);
    p.plan->nodes.count = nodes;
    for (size_t i = 0; i < nodes; i++) {
        LIST_AT(&p.plan->nodes, struct plan_node, i)->name = arena_printf(arena, "app-%zu", i + 1);
    }
    p.plan->node_sets.items = ARENA_ARRAY(arena, SETS_MAX, struct plan_node_set);
    p.plan->phases.items = ARENA_ARRAY(arena, phases_max, struct plan_phase);
    plans_set(&p, "all", 0, nodes);
    return p;
}

int64_t plans_set(struct plans *p, const char *name, size_t first, size_t count)
{
    assert(p->plan->node_sets.count < SETS_MAX);
    assert(first + count <= p->plan->nodes.count);
    size_t index = p->plan->node_sets.count++;
    struct plan_node_set *set = LIST_AT(&p->plan->node_sets, struct plan_node_set, index);
    set->name = name;
    set->nodes.items = ARENA_ARRAY(p->arena, count, const char *);
    set->nodes.count = count;
    for (size_t i = 0; i < count; i++) {
        set->nodes.items[i] = LIST_AT(&p->plan->nodes, struct plan_node, first + i)->name;
    }
    return (int64_t)index;
}

struct plan_phase *plans_phase(struct plans *p, const char *name, int64_t set, int64_t parallel,
                               bool disruptive)
{
    struct plan_phase *phase = LIST_AT(&p->plan->phases, struct plan_phase, p->plan->phases.count);
    p->plan->phases.count++;
    phase->name = name;
    phase->scope = set < 0 ? PHASE_ONCE : PHASE_NODES;
    phase->node_set = set < 0 ? 0 : set;
    phase->parallel = parallel;
    phase->disruptive = disruptive;
    phase->steps.items = ARENA_ARRAY(p->arena, LIMIT_PHASE_STEPS, struct plan_step);
    return phase;
}

struct plan_step *plans_step(struct plans *p, const char *name, const char *on)
{
    struct plan_phase *phase =
        LIST_AT(&p->plan->phases, struct plan_phase, p->plan->phases.count - 1);
    assert(phase->steps.count < LIMIT_PHASE_STEPS);
    struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, phase->steps.count);
    phase->steps.count++;
    step->name = name;
    step->on = on;
    step->deadline_ms = 60000;
    return step;
}

void plans_act(struct plan_step *step, struct arena *arena, enum action_kind kind)
{
    step->action = ARENA_NEW(arena, struct action);
    if (kind == ACTION_SERVICE) {
        step->action->service = ARENA_NEW(arena, struct service_action);
        step->action->service->verb = SERVICE_STOP;
        return;
    }
    /* The pointers stand in the order of the kinds. */
    void **fields = (void **)step->action;
    fields[kind - 1] = arena_alloc(arena, 512);
    assert(action_kind(step->action) == kind);
}

struct plan *plans_all_at_once(struct arena *arena)
{
    struct plans p = plans_begin(arena, 3, 8);
    plans_phase(&p, "preflight", 0, 0, false);
    plans_step(&p, "check", NULL)->retries = 2;
    plans_phase(&p, "stop", 0, 0, true);
    plans_step(&p, "drain", NULL)->retries = 2;
    plans_step(&p, "stop", NULL)->retries = 2;
    plans_phase(&p, "migrate 2 -> 3", -1, 0, true);
    plans_step(&p, "lock", PLAN_CONTROLLER);
    plans_step(&p, "migrate", "app-2");
    plans_phase(&p, "migrate 3 -> 4", -1, 0, true);
    plans_step(&p, "migrate", "app-2");
    plans_step(&p, "unlock", PLAN_CONTROLLER);
    plans_phase(&p, "swap and start", 0, 0, true);
    plans_step(&p, "swap", NULL)->retries = 2;
    plans_step(&p, "start", NULL)->retries = 2;
    return p.plan;
}

struct plan *plans_external(struct arena *arena)
{
    struct plans p = plans_begin(arena, 2, 2);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_step(&p, "lock", PLAN_CONTROLLER);
    plans_step(&p, "tool lock", PLAN_CONTROLLER)->retries = 2;
    plans_step(&p, "ledger", PLAN_CONTROLLER)->retries = 2;
    plans_step(&p, "migrate", "app-2")->retry_back = 2;
    plans_step(&p, "unlock", PLAN_CONTROLLER);
    plans_phase(&p, "start", 0, 0, true);
    plans_step(&p, "start", NULL)->retries = 2;
    return p.plan;
}

struct plan *plans_rolling(struct arena *arena)
{
    struct plans p = plans_begin(arena, 4, 8);
    int64_t canary = plans_set(&p, "canary", 0, 1);
    int64_t rest = plans_set(&p, "rest", 1, 3);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_step(&p, "migrate", PLAN_CONTROLLER);
    plans_phase(&p, "canary", canary, 1, true);
    plans_step(&p, "swap", NULL)->retries = 2;
    plans_step(&p, "start", NULL)->retries = 2;
    plans_phase(&p, "rest", rest, 2, true);
    plans_step(&p, "swap", NULL)->retries = 2;
    plans_step(&p, "start", NULL)->retries = 2;
    return p.plan;
}
