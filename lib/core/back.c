/* Owns whether the way back from a run is open. How it leads is planned from what is there when the run has ended. */
#include <stdio.h>

#include "lib/core/machine.h"

/* The step from which there is no way back, when it has begun: what it loses. NULL: it has not. */
static const char *lost(const struct rollout *r)
{
    const struct plan *plan = r->walk.layout.plan;
    uint32_t now = r->walk.phase;
    for (uint32_t p = 0; p < plan->phases.count && p <= now; p++) {
        const struct plan_phase *phase = plan_phase_at(plan, p);
        for (uint32_t s = 0; phase->no_return && s < phase->steps.count; s++) {
            const struct plan_step *step = plan_step_at(plan, p, s);
            if (step->lossy == NULL) {
                continue;
            }
            if (p < now || step->on == NULL) {
                return step->lossy;
            }
            struct place_view view = rollout_place(r, rollout_find_place(r, step->on));
            if (view.step > s || (view.step == s && view.state != STEP_WAITING)) {
                return step->lossy;
            }
        }
    }
    return NULL;
}

bool back_is_closed(const struct rollout *r, char *ret_why, size_t size)
{
    const struct plan *plan = r->walk.layout.plan;
    const char *what = lost(r);
    if (what != NULL) {
        snprintf(ret_why, size,
                 "it is past its point of no return (%.150s): abort it, then go back to its backup "
                 "with `lockstep restore "
                 "%.64s`, or apply the older version and do without what is lost",
                 what, plan->cluster);
    } else if (plan->from == NULL) {
        snprintf(ret_why, size, "it is the first installation: there is no release to go back to");
    }
    return what != NULL || plan->from == NULL;
}

bool back_after_failure(const struct rollout *r)
{
    char why[LIMIT_ERROR_BYTES];
    if (r->walk.layout.plan->on_failure != ON_FAILURE_ROLLBACK ||
        back_is_closed(r, why, sizeof(why))) {
        return false;
    }
    for (uint32_t i = 0;; i++) {
        uint32_t slot = walk_bad_slot(&r->walk, i);
        if (slot == WALK_EVERY_SLOT) {
            return true;
        }
        if (r->walk.places[slot].state != STEP_FAILED) {
            return false;
        }
    }
}
