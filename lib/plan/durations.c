/* Owns what a plan will take, from what took how long before. Refuses nothing: what is not known is counted as that. */
#include "lib/plan/durations.h"

#include "lib/base/str.h"
#include "lib/plan/plan.h"

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

static int64_t of_name(const struct known_durations *known, const char *step, const char *place)
{
    for (size_t i = 0; i < known->count; i++) {
        const struct known_duration *d = &known->items[i];
        if (d->step != NULL && str_equal(d->step, step) &&
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

struct duration_sum durations_of_step(const struct known_durations *known,
                                      const struct plan_step *step, const char *place)
{
    struct duration_sum sum = {0};
    const struct db_migrate_action *a = step->action->db_migrate;
    if (a == NULL) {
        count_in(&sum, of_name(known, step->name, place));
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

static void add_phase(const struct known_durations *known, const struct plan *plan,
                      const struct plan_phase *phase, bool migrations, struct duration_sum *sum)
{
    int64_t turns = 1;
    if (phase->scope == PHASE_NODES && phase->parallel > 0) {
        const struct plan_node_set *set =
            LIST_AT(&plan->node_sets, const struct plan_node_set, phase->node_set);
        turns = ((int64_t)set->nodes.count + phase->parallel - 1) / phase->parallel;
    }
    for (size_t s = 0; s < phase->steps.count; s++) {
        const struct plan_step *step = LIST_AT(&phase->steps, const struct plan_step, s);
        if ((step->action->db_migrate != NULL) == migrations) {
            struct duration_sum one = durations_of_step(known, step, step->on);
            sum->ms += one.ms * turns;
            sum->known += one.known;
            sum->all += one.all;
        }
    }
}

static struct duration_sum of_plan(const struct known_durations *known, const struct plan *plan,
                                   bool migrations)
{
    struct duration_sum sum = {0};
    for (size_t i = 0; i < plan->phases.count; i++) {
        add_phase(known, plan, plan_phase_at(plan, i), migrations, &sum);
    }
    return sum;
}

struct duration_sum durations_of_migrations(const struct known_durations *known,
                                            const struct plan *plan)
{
    return of_plan(known, plan, true);
}

struct duration_sum durations_of_rest(const struct known_durations *known, const struct plan *plan)
{
    return of_plan(known, plan, false);
}
