/*
 * Owns the parts of a plan that may run ahead of it: what it checks and puts on the nodes before anything stops, and the
 * removal of that. Nothing of a part touches a service, a database or the installed tree.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static bool belongs(const struct plan_phase *phase, enum plan_part part)
{
    bool all = phase->scope == PHASE_NODES;
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct action *a = LIST_AT(&phase->steps, struct plan_step, i)->action;
        all = all && (a->stage != NULL || (part == PLAN_STAGE && a->preflight != NULL));
    }
    return all;
}

static struct plan_phase drop_of(struct arena *arena, const struct plan_phase *stages)
{
    struct retire_action *a = ARENA_NEW(arena, struct retire_action);
    struct strings versions = {0};
    for (size_t i = 0; i < stages->steps.count; i++) {
        const struct stage_action *s = LIST_AT(&stages->steps, struct plan_step, i)->action->stage;
        struct artifact_ref *ref = list_push(arena, &a->drop, sizeof(*ref));
        *ref = s->artifact;
        a->layout = s->layout;
        strings_push(arena, &versions, s->artifact.version);
    }
    struct plan_phase phase = *stages;
    phase.name = "drop";
    phase.steps = (struct list){0};
    struct plan_step *step = list_push(arena, &phase.steps, sizeof(*step));
    step->name = "drop";
    step->title = str_join(arena, versions.items, versions.count);
    step->deadline_ms = RETIRE_MS;
    step->action = ARENA_NEW(arena, struct action);
    step->action->retire = a;
    return phase;
}

void plan_part_of(struct arena *arena, const struct plan *whole, enum plan_part part,
                  struct plan *ret)
{
    assert(part != PLAN_WHOLE && whole->part == PLAN_WHOLE);
    struct plan plan = *whole;
    bool any = false;
    plan.part = part;
    plan.max_unavailable = 0;
    plan.watch = NULL;
    plan.starts = NULL;
    plan.gates =
        (struct list){0}; /* it touches nothing that anybody would want to be asked about */
    plan.windows = (struct list){0};
    plan.phases = (struct list){0};
    plan.left_out = (struct list){0};
    plan.proved = (struct strings){0};
    plan.warnings = (struct strings){0};
    plan.notes = (struct strings){0};
    for (size_t i = 0; i < whole->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(whole, i);
        if (belongs(phase, part)) {
            struct plan_phase *taken = list_push(arena, &plan.phases, sizeof(*taken));
            *taken = part == PLAN_DROP ? drop_of(arena, phase) : *phase;
            any = any || plan_step_at(whole, i, 0)->action->stage != NULL;
        }
    }
    if (!any) {
        plan.phases = (struct list){0};
    }
    *ret = plan;
}

const char *plan_part_words(struct arena *arena, const struct plan *plan)
{
    struct strings versions = {0};
    for (size_t i = 0; i < plan->phases.count; i++) {
        for (size_t s = 0; s < plan_phase_at(plan, i)->steps.count; s++) {
            const struct action *a = plan_step_at(plan, i, s)->action;
            if (a->stage != NULL && !strings_have(&versions, a->stage->artifact.version)) {
                strings_push(arena, &versions, a->stage->artifact.version);
            }
            for (size_t d = 0; a->retire != NULL && d < a->retire->drop.count; d++) {
                const char *version = LIST_AT(&a->retire->drop, struct artifact_ref, d)->version;
                if (!strings_have(&versions, version)) {
                    strings_push(arena, &versions, version);
                }
            }
        }
    }
    const char *words = str_join(arena, versions.items, versions.count);
    switch ((enum plan_part)plan->part) {
    case PLAN_WHOLE:
        break;
    case PLAN_STAGE:
        return arena_printf(arena, "staged %s for a later apply; nothing was stopped", words);
    case PLAN_DROP:
        return arena_printf(arena, "took the staged %s off again", words);
    }
    return NULL;
}
