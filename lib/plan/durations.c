/* Owns what one step will take, from what took how long before. Refuses nothing: what is not known is counted as that. */
#include "lib/plan/durations.h"

#include "lib/base/str.h"
#include "lib/plan/plan.h"

const char *durations_release(const struct plan *plan, size_t phase, size_t step)
{
    const struct plan_phase *p = plan_phase_at(plan, phase);
    const struct stage_action *stage = plan_step_at(plan, phase, step)->action->stage;
    if (stage != NULL && stage->artifact.version != NULL) {
        return stage->artifact.version;
    }
    return p->hop >= 0 && p->hop < (int64_t)plan->hops.count
               ? LIST_AT(&plan->hops, const struct plan_hop, p->hop)->to
               : plan->to;
}

static int64_t of_script(const struct known_durations *known, const char *database,
                         const char *sha256)
{
    for (size_t i = 0; i < known->count; i++) {
        const struct known_duration *d = &known->items[i];
        if (d->sha256 != NULL && str_equal(d->sha256, sha256) &&
            (d->database == NULL || str_equal(d->database, database))) {
            return d->ms;
        }
    }
    return -1;
}

static int64_t of_name(const struct known_durations *known, const char *step, const char *release,
                       const char *place)
{
    for (size_t i = 0; i < known->count; i++) {
        const struct known_duration *d = &known->items[i];
        if (d->step != NULL && str_equal(d->step, step) &&
            (d->release == NULL || str_equal(d->release, release)) &&
            (d->place == NULL || place == NULL || str_equal(d->place, place))) {
            return d->ms;
        }
    }
    return -1;
}

static void count_in(struct duration_sum *sum, int64_t ms)
{
    sum->all++;
    sum->known += ms >= 0 ? 1 : 0;
    sum->ms += MAX(ms, 0);
}

struct duration_sum durations_of_step(const struct known_durations *known, const struct plan *plan,
                                      size_t phase, size_t step, const char *place)
{
    struct duration_sum sum = {0};
    const struct plan_step *s = plan_step_at(plan, phase, step);
    const struct db_migrate_action *a = s->action->db_migrate;
    if (a == NULL) {
        count_in(&sum, of_name(known, s->name, durations_release(plan, phase, step), place));
        return sum;
    }
    for (size_t i = 0; i < a->items.count; i++) {
        const struct migration_item *item = LIST_AT(&a->items, const struct migration_item, i);
        /* One without a script sends nothing. */
        int64_t ms = item->sha256 == NULL ? 0 : of_script(known, a->database.name, item->sha256);
        count_in(&sum, ms);
    }
    return sum;
}
