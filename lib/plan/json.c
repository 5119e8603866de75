/*
 * Owns a plan as canonical JSON. Refuses a text whose parts do not fit together: an index past its list, a step without
 * a place, a node set with a stranger in it.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/plan/plan.h"

void plan_to_json(struct arena *arena, const struct plan *plan, struct buf *out)
{
    (void)arena;
    json_t *json = shape_to_json(&plan_shape, plan);
    json_canonical(json, out);
    json_decref(json);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static bool has_name(const struct strings *sorted, const char *name)
{
    return bsearch(&name, sorted->items, sorted->count, sizeof(char *), by_text) != NULL;
}

static int check_sets(const struct plan *plan, const struct strings *names, struct error *e)
{
    for (size_t i = 0; i < plan->node_sets.count; i++) {
        const struct plan_node_set *set = LIST_AT(&plan->node_sets, struct plan_node_set, i);
        for (size_t n = 0; n < set->nodes.count; n++) {
            if (!has_name(names, set->nodes.items[n])) {
                return error_set(e, E_INVALID, "node set \"%s\" names %s, which is not in nodes",
                                 set->name, set->nodes.items[n]);
            }
        }
    }
    return 0;
}

static int check_step(const struct plan_phase *phase, size_t index, const struct strings *names,
                      struct error *e)
{
    const struct plan_step *step = LIST_AT(&phase->steps, const struct plan_step, index);
    if (step->action == NULL || action_kind(step->action) == ACTION_NONE) {
        return error_set(e, E_INVALID, "step \"%s\" of phase \"%s\" has no action", step->name,
                         phase->name);
    }
    if ((step->on != NULL) != (phase->scope == PHASE_ONCE)) {
        return error_set(e, E_INVALID, "step \"%s\" of phase \"%s\" %s a place of its own",
                         step->name, phase->name,
                         phase->scope == PHASE_ONCE ? "needs" : "may not have");
    }
    if (step->on != NULL && !str_equal(step->on, PLAN_CONTROLLER) && !has_name(names, step->on)) {
        return error_set(e, E_INVALID, "step \"%s\" of phase \"%s\" is on %s, which is not a node",
                         step->name, phase->name, step->on);
    }
    if (step->retry_back > (phase->scope == PHASE_ONCE ? (int64_t)index : 0)) {
        return error_set(e, E_INVALID,
                         "a retry of step \"%s\" of phase \"%s\" would begin %lld steps before "
                         "it: there are not so many that it may repeat",
                         step->name, phase->name, (long long)step->retry_back);
    }
    return 0;
}

static int check_phases(const struct plan *plan, const struct strings *names, struct error *e)
{
    for (size_t i = 0; i < plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(plan, i);
        if (phase->hop > (int64_t)plan->hops.count) {
            return error_set(e, E_INVALID, "phase \"%s\" is in hop %lld of %zu", phase->name,
                             (long long)phase->hop, plan->hops.count);
        }
        if (phase->scope == PHASE_NODES && phase->node_set >= (int64_t)plan->node_sets.count) {
            return error_set(e, E_INVALID, "phase \"%s\" has node set %lld of %zu", phase->name,
                             (long long)phase->node_set, plan->node_sets.count);
        }
        for (size_t s = 0; s < phase->steps.count; s++) {
            int r = check_step(phase, s, names, e);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static int check(struct arena *arena, const struct plan *plan, struct error *e)
{
    struct strings names = {ARENA_ARRAY(arena, plan->nodes.count, const char *), plan->nodes.count};
    for (size_t i = 0; i < names.count; i++) {
        names.items[i] = LIST_AT(&plan->nodes, struct plan_node, i)->name;
    }
    qsort(names.items, names.count, sizeof(char *), by_text);
    for (size_t i = 1; i < names.count; i++) {
        if (str_equal(names.items[i - 1], names.items[i])) {
            return error_set(e, E_INVALID, "node %s is there twice", names.items[i]);
        }
    }
    for (size_t i = 0; i < plan->gates.count; i++) {
        const struct plan_gate *gate = LIST_AT(&plan->gates, const struct plan_gate, i);
        if (gate->phase >= (int64_t)plan->phases.count) {
            return error_set(e, E_INVALID, "gate \"%s\" is before phase %lld of %zu", gate->name,
                             (long long)gate->phase, plan->phases.count);
        }
    }
    int r = check_sets(plan, &names, e);
    return r < 0 ? r : check_phases(plan, &names, e);
}

int plan_from_json(struct arena *arena, const char *text, size_t len, struct plan *ret,
                   struct error *e)
{
    json_error_t at;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (json == NULL) {
        return error_set(e, E_INVALID, "this is no plan: line %d: %s", at.line, at.text);
    }
    struct plan plan = {0};
    int r = shape_from_json(&plan_shape, json, &plan, arena, e);
    json_decref(json);
    if (r == 0) {
        r = check(arena, &plan, e);
    }
    if (r < 0) {
        error_wrap(e, "this plan cannot be used");
        return r;
    }
    *ret = plan;
    return 0;
}
