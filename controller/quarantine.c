/*
 * Owns what goes into quarantine and what comes out. In: what a run tried that ended ABORTED while a failure stood in its way,
 * whether it was taken back or broken off. Not in: a run that FAILED (it touched nothing, and what stopped it looks again), an
 * abort without a failure, a release that was only staged, and every way back (a restore, the run that takes another
 * back): that must stay open. Out: what succeeded.
 */
#include "controller/quarantine.h"

#include <string.h>
#include <time.h>

#include "lib/base/str.h"

static struct stored_attempt attempt_of(const struct plan *plan)
{
    return (struct stored_attempt){.cluster = plan->cluster,
                                   .spec = plan->spec_digest,
                                   .from = plan->from != NULL ? plan->from : "",
                                   .to = plan->to};
}

static bool restores(const struct plan *plan)
{
    for (size_t p = 0; p < plan->phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(plan, p)->steps.count; s++) {
            if (plan_step_at(plan, p, s)->action->db_restore != NULL) {
                return true;
            }
        }
    }
    return false;
}

int quarantine_note(struct run *run, enum rollout_state end, struct error *e)
{
    struct controller *c = run->controller;
    struct stored_attempt attempt = attempt_of(&run->plan);
    attempt.run = run->id;
    attempt.why = rollout_failure(run->machine, &attempt.failed_ms);
    if (run->plan.part != PLAN_WHOLE || run->takes_back != NULL || restores(&run->plan)) {
        return 0;
    }
    if (end == ROLLOUT_SUCCEEDED) {
        return store_quarantine_lift(c->store, &attempt, e);
    }
    return end == ROLLOUT_ABORTED && attempt.why != NULL
               ? store_quarantine_put(c->store, &attempt, e)
               : 0;
}

static const char *when(struct arena *arena, int64_t at_ms)
{
    char text[32];
    struct tm utc;
    time_t seconds = (time_t)(at_ms / 1000);
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
    return arena_strdup(arena, text);
}

static int find(struct controller *c, struct arena *arena, const struct stored_attempt *like,
                const char **ret, struct error *e)
{
    struct stored_attempt found = {0};
    int r = store_quarantine(c->store, arena, like, &found, e);
    *ret = r > 0 ? arena_printf(arena, "run %s from %s to %s with these specs failed at %s: %s",
                                found.run, str_empty(found.from) ? "nothing" : found.from, found.to,
                                when(arena, found.failed_ms), found.why)
                 : NULL;
    return r < 0 ? r : 0;
}

int quarantine_words(struct controller *c, struct arena *arena, const struct plan *plan,
                     const char **ret, struct error *e)
{
    const struct stored_attempt attempt = attempt_of(plan);
    *ret = NULL;
    return plan->part != PLAN_WHOLE || restores(plan) ? 0 : find(c, arena, &attempt, ret, e);
}

int quarantine_of_cluster(struct controller *c, struct arena *arena, const char *cluster,
                          const char *spec, const char *to, const char **ret, struct error *e)
{
    const struct stored_attempt attempt = {.cluster = cluster, .spec = spec, .to = to};
    return find(c, arena, &attempt, ret, e);
}
