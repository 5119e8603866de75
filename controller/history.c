/* Owns what is remembered of times. It guesses nothing: what was never done is not in it. */
#include "controller/history.h"

#include "controller/rehearsals.h"
#include "controller/took.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/plan/durations.h"

int history_keep(struct run *run, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_took *lines = NULL;
    size_t count = 0;
    took_list(run->took, &arena, &lines, &count);
    const struct stored_took of = {.run = run->id,
                                   .cluster = run->cluster,
                                   .application = run->plan.application,
                                   .at_ms = act_now_ms()};
    int r = count > 0 ? store_took_put(run->controller->store, &of, lines, count, e) : 0;
    arena_deinit(&arena);
    return r;
}

/* ---- knowing ---- */

struct knowing {
    struct controller *c;
    struct arena *arena;
    const struct plan *plan;
    Lockstep__V1__Known **items;
    size_t count, capacity;
};

static Lockstep__V1__Known *add(struct knowing *k)
{
    Lockstep__V1__Known *one = ARENA_NEW(k->arena, Lockstep__V1__Known);
    lockstep__v1__known__init(one);
    k->items = arena_grow(k->arena, k->items, k->count, &k->capacity, sizeof(*k->items));
    k->items[k->count++] = one;
    return one;
}

static bool is_full(const struct knowing *k)
{
    return k->count >= HISTORY_KNOWN_MAX;
}

static int know_scripts(struct knowing *k, const struct db_migrate_action *a, struct error *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && !is_full(k) && i < a->items.count; i++) {
        const char *sha256 = LIST_AT(&a->items, const struct migration_item, i)->sha256;
        const struct stored_took like = {.application = k->plan->application,
                                         .cluster = k->plan->cluster,
                                         .database = a->database.name,
                                         .sha256 = sha256};
        struct stored_took took = {0};
        r = sha256 == NULL ? E_NOT_FOUND
                           : store_took_script(k->c->store, k->arena, &like, &took, e);
        if (r == 0) {
            Lockstep__V1__Known *one = add(k);
            one->database = (char *)a->database.name;
            one->sha256 = (char *)sha256;
            one->ms = took.mean_ms;
            one->longest_ms = took.longest_ms;
            one->at_ms = took.at_ms;
            one->run = (char *)took.run;
        }
        r = r == E_NOT_FOUND ? 0 : r;
    }
    return r;
}

static int know_rehearsals(struct knowing *k, struct error *e)
{
    struct stored_rehearsed *items = NULL;
    size_t count = 0;
    int r = rehearsals_known(k->c, k->arena, k->plan, &items, &count, e);
    for (size_t i = 0; r == 0 && !is_full(k) && i < count; i++) {
        Lockstep__V1__Known *one = add(k);
        one->database = (char *)items[i].database;
        one->sha256 = (char *)items[i].sha256;
        one->ms = items[i].ms;
        one->at_ms = items[i].at_ms;
        one->bytes = items[i].bytes;
    }
    return r;
}

static void add_step(struct knowing *k, const struct stored_took *took, const char *release,
                     const char *place, int64_t ms, int64_t longest_ms)
{
    Lockstep__V1__Known *one = add(k);
    one->step = (char *)took->step;
    one->place = (char *)place;
    one->release = (char *)release;
    one->ms = ms;
    one->longest_ms = longest_ms;
    one->at_ms = took->at_ms;
    one->run = (char *)took->run;
}

static bool was_told(const struct knowing *k, size_t first, const char *place)
{
    for (size_t i = first; i < k->count; i++) {
        if (str_equal(k->items[i]->place, place)) {
            return true;
        }
    }
    return false;
}

/* The newest run's lines say what a place takes that was never seen: the median of its places' times, and the longest. */
static void add_anywhere(struct knowing *k, const struct stored_tooks *tooks, const char *release)
{
    const struct stored_took *newest = &tooks->items[0];
    int64_t longest = 0;
    size_t count = 0;
    int64_t *ms = ARENA_ARRAY(k->arena, tooks->count, int64_t);
    for (; count < tooks->count && str_equal(tooks->items[count].run, newest->run); count++) {
        const struct stored_took *one = &tooks->items[count];
        size_t at = count;
        for (; at > 0 && ms[at - 1] > one->mean_ms; at--) {
            ms[at] = ms[at - 1];
        }
        ms[at] = one->mean_ms;
        longest = MAX(longest, one->longest_ms);
    }
    int64_t usual = str_empty(newest->place) ? newest->median_ms : ms[(count - 1) / 2];
    add_step(k, newest, release, "", usual, longest);
}

static int know_step(struct knowing *k, const char *step, const char *release, struct error *e)
{
    const char *cluster = k->plan->cluster;
    const struct stored_took likes[] = {
        {.cluster = cluster, .release = release}, {.cluster = cluster}, {.release = release}, {0}};
    struct stored_tooks tooks = {0};
    bool ours = false;
    int r = 0;
    for (size_t i = 0; r == 0 && tooks.count == 0 && i < ARRAY_SIZE(likes); i++) {
        struct stored_took like = likes[i];
        like.application = k->plan->application;
        like.step = step;
        ours = like.cluster != NULL;
        r = store_took(k->c->store, k->arena, &like, &tooks, e);
    }
    size_t first = k->count;
    for (size_t i = 0; r == 0 && ours && !is_full(k) && i < tooks.count; i++) {
        const struct stored_took *one = &tooks.items[i];
        if (str_empty(one->place)) {
            break; /* it is newer than what follows, and of all places */
        }
        if (!was_told(k, first, one->place)) {
            add_step(k, one, release, one->place, one->mean_ms, one->longest_ms);
        }
    }
    if (r == 0 && tooks.count > 0) {
        add_anywhere(k, &tooks, release);
    }
    return r;
}

/* A step's name and release, the first time that the plan has them. */
static bool is_new(const struct plan *plan, size_t phase, size_t step)
{
    const char *name = plan_step_at(plan, phase, step)->name;
    const char *release = durations_release(plan, phase, step);
    for (size_t p = 0; p <= phase; p++) {
        size_t count = p == phase ? step : plan_phase_at(plan, p)->steps.count;
        for (size_t s = 0; s < count; s++) {
            if (str_equal(plan_step_at(plan, p, s)->name, name) &&
                str_equal(durations_release(plan, p, s), release)) {
                return false;
            }
        }
    }
    return true;
}

int history_known(struct controller *c, struct arena *arena, const struct plan *plan,
                  Lockstep__V1__Known ***ret, size_t *ret_count, struct error *e)
{
    struct knowing k = {.c = c, .arena = arena, .plan = plan};
    int r = 0;
    for (size_t p = 0; r == 0 && p < plan->phases.count; p++) {
        for (size_t s = 0; r == 0 && s < plan_phase_at(plan, p)->steps.count; s++) {
            const struct db_migrate_action *a = plan_step_at(plan, p, s)->action->db_migrate;
            r = a != NULL ? know_scripts(&k, a, e) : 0;
        }
    }
    r = r < 0 ? r : know_rehearsals(&k, e);
    for (size_t p = 0; r == 0 && p < plan->phases.count; p++) {
        for (size_t s = 0; r == 0 && !is_full(&k) && s < plan_phase_at(plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(plan, p, s);
            if (step->action->db_migrate == NULL && is_new(plan, p, s)) {
                r = know_step(&k, step->name, durations_release(plan, p, s), e);
            }
        }
    }
    *ret = k.items;
    *ret_count = k.count;
    return r;
}
