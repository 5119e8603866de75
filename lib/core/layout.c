/* Owns the index over a plan. It refuses what a compiled plan never has: names without a node, numbers past their
 * list, a step without a deadline. */
#include "lib/core/layout.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

static int compare_names(const void *a, const void *b)
{
    const struct layout_name *x = a;
    const struct layout_name *y = b;
    return strcmp(x->name, y->name);
}

static void index_names(struct layout *l, struct arena *arena)
{
    size_t count = l->plan->nodes.count;
    l->names = ARENA_ARRAY(arena, count + 1, struct layout_name);
    for (size_t i = 0; i < count; i++) {
        const char *name = LIST_AT(&l->plan->nodes, const struct plan_node, i)->name;
        l->names[i] = (struct layout_name){.name = name != NULL ? name : "", .slot = (uint32_t)i};
    }
    l->names[count] = (struct layout_name){.name = PLAN_CONTROLLER, .slot = (uint32_t)count};
    qsort(l->names, count + 1, sizeof(*l->names), compare_names);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(l->names[i].name, l->names[i + 1].name) == 0) {
            l->broken =
                arena_printf(arena, "it has two places of the name \"%s\"", l->names[i].name);
        }
    }
}

uint32_t layout_slot_of_name(const struct layout *l, const char *name)
{
    assert(name != NULL && l->names != NULL);
    struct layout_name wanted = {.name = name};
    const struct layout_name *found =
        bsearch(&wanted, l->names, l->slot_count, sizeof(wanted), compare_names);
    return found != NULL ? found->slot : ROLLOUT_PLACE_UNKNOWN;
}

/* `seen` holds, by slot, the number + 1 of the last set that had it. */
static void index_set(struct layout *l, struct arena *arena, size_t number, uint32_t *seen)
{
    const struct plan_node_set *set =
        LIST_AT(&l->plan->node_sets, const struct plan_node_set, number);
    struct layout_set *ret = &l->sets[number];
    ret->slots = ARENA_ARRAY(arena, set->nodes.count, uint32_t);
    for (size_t i = 0; i < set->nodes.count; i++) {
        uint32_t slot = layout_slot_of_name(l, set->nodes.items[i]);
        if (slot >= l->slot_count - 1) {
            l->broken =
                arena_printf(arena, "its node set %s names \"%s\", which is none of its nodes",
                             set->name, set->nodes.items[i]);
            return;
        }
        if (seen[slot] == number + 1) {
            l->broken = arena_printf(arena, "its node set %s names \"%s\" twice", set->name,
                                     set->nodes.items[i]);
            return;
        }
        seen[slot] = (uint32_t)number + 1;
        ret->slots[ret->count++] = slot;
    }
}

static void index_phase(struct layout *l, struct arena *arena, size_t number)
{
    const struct plan_phase *phase = plan_phase_at(l->plan, number);
    if (phase->steps.count > LIMIT_PHASE_STEPS) {
        l->broken = arena_printf(arena, "its phase %zu (%s) has %zu steps, more than %d", number,
                                 phase->name, phase->steps.count, LIMIT_PHASE_STEPS);
        return;
    }
    if (phase->scope == PHASE_NODES &&
        (phase->node_set < 0 || (size_t)phase->node_set >= l->plan->node_sets.count)) {
        l->broken =
            arena_printf(arena, "its phase %zu (%s) has no such node set", number, phase->name);
        return;
    }
    struct layout_set *on = &l->on[number];
    on->slots =
        phase->scope == PHASE_ONCE ? ARENA_ARRAY(arena, phase->steps.count, uint32_t) : NULL;
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct plan_step *step = plan_step_at(l->plan, number, i);
        if (step->deadline_ms <= 0) {
            l->broken =
                arena_printf(arena, "its step %zu.%zu (%s) has no deadline", number, i, step->name);
        }
        if (phase->scope != PHASE_ONCE) {
            continue;
        }
        uint32_t slot = step->on != NULL ? layout_slot_of_name(l, step->on) : ROLLOUT_PLACE_UNKNOWN;
        if (slot == ROLLOUT_PLACE_UNKNOWN) {
            l->broken = arena_printf(arena, "its step %zu.%zu (%s) is on \"%s\", which is no place",
                                     number, i, step->name, step->on != NULL ? step->on : "");
            return;
        }
        on->slots[on->count++] = slot;
    }
}

void layout_init(struct layout *l, struct arena *arena, const struct plan *plan)
{
    assert(plan != NULL);
    assert(plan->nodes.count < ROLLOUT_PLACE_UNKNOWN);
    *l = (struct layout){.plan = plan, .slot_count = (uint32_t)plan->nodes.count + 1};
    l->sets = ARENA_ARRAY(arena, plan->node_sets.count, struct layout_set);
    l->on = ARENA_ARRAY(arena, plan->phases.count, struct layout_set);
    index_names(l, arena);
    if (plan->nodes.count > LIMIT_CLUSTER_NODES || plan->phases.count > LIMIT_PHASES) {
        l->broken =
            arena_printf(arena, "it has %zu nodes and %zu phases; %d and %d are the limits",
                         plan->nodes.count, plan->phases.count, LIMIT_CLUSTER_NODES, LIMIT_PHASES);
        return;
    }
    uint32_t *seen = ARENA_ARRAY(arena, l->slot_count, uint32_t);
    for (size_t i = 0; i < plan->node_sets.count && l->broken == NULL; i++) {
        index_set(l, arena, i, seen);
    }
    for (size_t i = 0; i < plan->phases.count && l->broken == NULL; i++) {
        index_phase(l, arena, i);
    }
}

uint32_t layout_slot_of_place(const struct layout *l, uint32_t place)
{
    if (place == ROLLOUT_PLACE_CONTROLLER) {
        return l->slot_count - 1;
    }
    return place < l->slot_count - 1 ? place : ROLLOUT_PLACE_UNKNOWN;
}

uint32_t layout_place_of_slot(const struct layout *l, uint32_t slot)
{
    assert(slot < l->slot_count);
    return slot == l->slot_count - 1 ? ROLLOUT_PLACE_CONTROLLER : slot;
}

uint32_t layout_members(const struct layout *l, uint32_t phase)
{
    const struct plan_phase *p = plan_phase_at(l->plan, phase);
    if (p->steps.count == 0) {
        return 0;
    }
    return p->scope == PHASE_ONCE ? 1 : l->sets[p->node_set].count;
}

uint32_t layout_member(const struct layout *l, uint32_t phase, uint32_t i)
{
    const struct plan_phase *p = plan_phase_at(l->plan, phase);
    assert(i < layout_members(l, phase));
    return p->scope == PHASE_ONCE ? l->on[phase].slots[0] : l->sets[p->node_set].slots[i];
}

const char *rollout_place_name(const struct plan *plan, uint32_t place)
{
    assert(plan != NULL);
    if (place == ROLLOUT_PLACE_CONTROLLER) {
        return PLAN_CONTROLLER;
    }
    return place < plan->nodes.count ? LIST_AT(&plan->nodes, const struct plan_node, place)->name
                                     : "?";
}
