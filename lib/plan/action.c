/* Owns the last references of a plan: ${node.*} and ${run}. Refuses a place that the step is not for. */
#include "lib/base/str.h"
#include "lib/plan/plan.h"
#include "lib/spec/expand.h"

struct here {
    const struct plan_node *node; /* NULL: the controller */
    const char *run;
};

static const char *look_up(const void *context, const char *name)
{
    const struct here *here = context;
    if (str_equal(name, "run")) {
        return here->run;
    }
    if (here->node == NULL || !str_starts(name, "node.")) {
        return NULL;
    }
    const char *var = name + sizeof("node.") - 1;
    return str_equal(var, "name") ? here->node->name : pairs_get(&here->node->vars, var);
}

int plan_action_for(struct arena *arena, const struct plan *plan, size_t phase, size_t step,
                    size_t node, const char *run, struct action *ret, struct error *e)
{
    assert(phase < plan->phases.count);
    assert(step < plan_phase_at(plan, phase)->steps.count);
    assert(node == PLAN_NO_NODE || node < plan->nodes.count);
    const struct plan_step *s = plan_step_at(plan, phase, step);
    struct here here = {NULL, run};
    if (node != PLAN_NO_NODE) {
        here.node = LIST_AT(&plan->nodes, struct plan_node, node);
    }
    const char *place = here.node != NULL ? here.node->name : PLAN_CONTROLLER;
    if (s->on != NULL && !str_equal(s->on, place)) {
        return error_set(e, E_INVALID, "step \"%s\" is for %s, not for %s", s->name, s->on, place);
    }
    struct action action = {0};
    int r = expand_shape(arena, &action_shape, s->action, look_up, &here, &action, e);
    if (r < 0) {
        error_wrap(e, "step \"%s\" on %s", s->name, place);
        return r;
    }
    *ret = action;
    return 0;
}

int plan_watch_for(struct arena *arena, const struct plan *plan, size_t node, const char *run,
                   struct action *ret, struct error *e)
{
    assert(plan->watch != NULL && node < plan->nodes.count);
    struct here here = {LIST_AT(&plan->nodes, struct plan_node, node), run};
    struct action action = {0};
    int r = expand_shape(arena, &action_shape, plan->watch, look_up, &here, &action, e);
    if (r == 0) {
        *ret = action;
    }
    return r;
}

int plan_action(struct arena *arena, const struct plan *plan, size_t phase, size_t step,
                const char *place, const char *run, struct action *ret, struct error *e)
{
    if (str_equal(place, PLAN_CONTROLLER)) {
        return plan_action_for(arena, plan, phase, step, PLAN_NO_NODE, run, ret, e);
    }
    for (size_t i = 0; i < plan->nodes.count; i++) {
        if (str_equal(LIST_AT(&plan->nodes, struct plan_node, i)->name, place)) {
            return plan_action_for(arena, plan, phase, step, i, run, ret, e);
        }
    }
    return error_set(e, E_NOT_FOUND, "the plan has no node %s", place);
}
