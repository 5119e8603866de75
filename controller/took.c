/* Owns the adding up of a run's times. A place may say anything of its clock: a time is cut to what a duration may be. */
#include "controller/took.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/plan/durations.h"

/* A step of one name that is about one release, or a script. */
struct kind {
    const char *step, *release, *database, *sha256; /* borrowed from the plan */
};

struct sample {
    uint32_t kind, place;
    int64_t ms;
};

struct took {
    struct arena *arena;     /* borrowed */
    const struct plan *plan; /* borrowed */
    struct kind *kinds;
    size_t kind_count, kind_capacity;
    uint32_t **kind_of; /* by phase and step; migrations of a step have the kinds behind its own */
    struct sample *samples;
    size_t sample_count, sample_capacity;
};

/* ---- kinds ---- */

static uint32_t find_kind(struct took *t, const struct kind *kind)
{
    for (size_t i = 0; i < t->kind_count; i++) {
        const struct kind *k = &t->kinds[i];
        if (k->sha256 == NULL && str_equal(k->step, kind->step) &&
            str_equal(k->release, kind->release)) {
            return (uint32_t)i;
        }
    }
    t->kinds = arena_grow(t->arena, t->kinds, t->kind_count, &t->kind_capacity, sizeof(*t->kinds));
    t->kinds[t->kind_count] = *kind;
    return (uint32_t)t->kind_count++;
}

struct took *took_new(struct arena *arena, const struct plan *plan)
{
    struct took *t = ARENA_NEW(arena, struct took);
    *t = (struct took){.arena = arena,
                       .plan = plan,
                       .kind_of = ARENA_ARRAY(arena, plan->phases.count + 1, uint32_t *)};
    for (size_t p = 0; p < plan->phases.count; p++) {
        size_t count = plan_phase_at(plan, p)->steps.count;
        t->kind_of[p] = ARENA_ARRAY(arena, count + 1, uint32_t);
        for (size_t s = 0; s < count; s++) {
            const struct kind kind = {.step = plan_step_at(plan, p, s)->name,
                                      .release = durations_release(plan, p, s)};
            t->kind_of[p][s] = find_kind(t, &kind);
        }
    }
    return t;
}

/* ---- records ---- */

static void add(struct took *t, uint32_t kind, uint32_t place, int64_t ms)
{
    t->samples =
        arena_grow(t->arena, t->samples, t->sample_count, &t->sample_capacity, sizeof(*t->samples));
    t->samples[t->sample_count++] =
        (struct sample){kind, place, MIN(MAX(ms, 0), LIMIT_DURATION_MS)};
}

/* The migrations of a step tell their own times in its facts, -1 for one that had run already. */
static void add_scripts(struct took *t, const struct db_migrate_action *a,
                        const struct record *record)
{
    const char *facts = record->outcome.facts;
    json_t *json = facts != NULL ? json_loads(facts, 0, NULL) : NULL;
    const json_t *list = json_object_get(json, "ms");
    for (size_t i = 0; i < a->items.count; i++) {
        const struct migration_item *item = LIST_AT(&a->items, const struct migration_item, i);
        const json_t *ms = json_array_get(list, i);
        if (item->sha256 == NULL || !json_is_integer(ms) || json_integer_value(ms) < 0) {
            continue;
        }
        t->kinds =
            arena_grow(t->arena, t->kinds, t->kind_count, &t->kind_capacity, sizeof(*t->kinds));
        t->kinds[t->kind_count] = (struct kind){
            .step = item->file != NULL ? item->file : item->id,
            .release = t->kinds[t->kind_of[record->key.phase][record->key.step]].release,
            .database = a->database.name,
            .sha256 = item->sha256};
        add(t, (uint32_t)t->kind_count++, record->key.place, json_integer_value(ms));
    }
    json_decref(json);
}

void took_note(struct took *t, const struct record *record)
{
    const struct step_key *key = &record->key;
    if (record->type != RECORD_OUTCOME || record->outcome.status != OUTCOME_DONE ||
        key->phase >= t->plan->phases.count ||
        key->step >= plan_phase_at(t->plan, key->phase)->steps.count) {
        return;
    }
    add(t, t->kind_of[key->phase][key->step], key->place,
        record->outcome.ended_ms - record->outcome.started_ms);
    const struct plan_step *step = plan_step_at(t->plan, key->phase, key->step);
    if (step->action->db_migrate != NULL) {
        add_scripts(t, step->action->db_migrate, record);
    }
}

/* ---- lines ---- */

static int by_kind(const void *a, const void *b)
{
    const struct sample *x = a;
    const struct sample *y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->place != y->place) {
        return x->place < y->place ? -1 : 1;
    }
    return x->ms < y->ms ? -1 : x->ms > y->ms ? 1 : 0;
}

static int by_ms(const void *a, const void *b)
{
    const struct sample *x = a;
    const struct sample *y = b;
    return x->ms < y->ms ? -1 : x->ms > y->ms ? 1 : 0;
}

/* Samples of one kind, sorted by their times. */
static struct stored_took line_of(const struct took *t, const struct sample *s, size_t count,
                                  const char *place)
{
    const struct kind *kind = &t->kinds[s->kind];
    int64_t sum = 0;
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        sum += s[i].ms;
    }
    return (struct stored_took){.step = kind->step,
                                .place = place,
                                .release = kind->release != NULL ? kind->release : "",
                                .database = kind->database != NULL ? kind->database : "",
                                .sha256 = kind->sha256 != NULL ? kind->sha256 : "",
                                .count = (int64_t)count,
                                .mean_ms = sum / (int64_t)count,
                                .median_ms = s[(count - 1) / 2].ms,
                                .longest_ms = s[count - 1].ms};
}

static size_t places_of(const struct sample *s, size_t count)
{
    size_t places = 0;
    for (size_t i = 0; i < count; i++) {
        places += i == 0 || s[i].place != s[i - 1].place ? 1 : 0;
    }
    return places;
}

static size_t run_of(const struct sample *s, size_t count, bool same_place)
{
    size_t n = 1;
    while (n < count && s[n].kind == s->kind && (!same_place || s[n].place == s->place)) {
        n++;
    }
    return n;
}

void took_list(struct took *t, struct arena *arena, struct stored_took **ret, size_t *ret_count)
{
    struct stored_took *lines = NULL;
    size_t count = 0;
    size_t capacity = 0;
    if (t->sample_count > 0) {
        qsort(t->samples, t->sample_count, sizeof(*t->samples), by_kind);
    }
    for (size_t i = 0; i < t->sample_count;) {
        struct sample *s = &t->samples[i];
        size_t all = run_of(s, t->sample_count - i, false);
        bool together = places_of(s, all) > TOOK_PLACES_MAX;
        size_t n = together ? all : run_of(s, all, true);
        const char *place = together ? "" : rollout_place_name(t->plan, s->place);
        if (together) {
            qsort(s, n, sizeof(*s), by_ms);
        }
        lines = arena_grow(arena, lines, count, &capacity, sizeof(*lines));
        lines[count++] = line_of(t, s, n, place);
        i += n;
    }
    *ret = lines;
    *ret_count = count;
}
