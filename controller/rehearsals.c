/* Owns what rehearsals have shown. A place may say anything in a report: what has no digest or no time is left out. */
#include "controller/rehearsals.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"

#define SHA256_LETTERS 64

/* ---- keeping ---- */

static bool is_digest(const char *text)
{
    return text != NULL && strlen(text) == SHA256_LETTERS &&
           strspn(text, "0123456789abcdef") == SHA256_LETTERS;
}

static bool read_leg(const json_t *leg, struct stored_rehearsed *ret)
{
    const char *sha256 = json_string_value(json_object_get(leg, "sha256"));
    const char *state = json_string_value(json_object_get(leg, "state"));
    int64_t ms = json_integer_value(json_object_get(leg, "ms"));
    ret->sha256 = sha256;
    ret->ms = ms;
    return is_digest(sha256) && str_equal(state, "done") && ms >= 0 && ms <= LIMIT_DURATION_MS;
}

int rehearsals_keep(struct controller *c, const char *cluster, const json_t *report,
                    struct error *e)
{
    static const char *const ways[] = {"up", "down"};
    const json_t *migrations = json_object_get(report, "migrations");
    size_t most = MIN(json_array_size(migrations), (size_t)LIMIT_MIGRATIONS);
    const struct stored_rehearsed common = {
        .database = json_string_value(json_object_get(report, "database")),
        .at_ms = act_now_ms(),
        .bytes = json_integer_value(json_object_get(json_object_get(report, "clone"), "bytes"))};
    if (common.database == NULL || most == 0) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena);
    struct stored_rehearsed *items =
        ARENA_ARRAY(&arena, ARRAY_SIZE(ways) * most, struct stored_rehearsed);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ways) * most; i++) {
        items[count] = common;
        const json_t *one = json_array_get(migrations, i / ARRAY_SIZE(ways));
        if (read_leg(json_object_get(one, ways[i % ARRAY_SIZE(ways)]), &items[count])) {
            count++;
        }
    }
    int r = store_rehearsed_put(c->store, cluster, items, count, e);
    arena_deinit(&arena);
    return r;
}

/* ---- knowing ---- */

struct knowing {
    struct controller *controller;
    struct arena *arena;
    const char *cluster;
    struct stored_rehearsed *items;
    size_t count, capacity;
};

static int know_step(struct knowing *k, const struct db_migrate_action *a, struct error *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < a->items.count; i++) {
        const char *sha256 = LIST_AT(&a->items, const struct migration_item, i)->sha256;
        struct stored_rehearsed one = {0};
        if (sha256 == NULL) {
            continue;
        }
        r = store_rehearsed(k->controller->store, k->arena, k->cluster, a->database.name, sha256,
                            &one, e);
        if (r == 0) {
            k->items = arena_grow(k->arena, k->items, k->count, &k->capacity, sizeof(*k->items));
            k->items[k->count++] = one;
        }
        r = r == E_NOT_FOUND ? 0 : r;
    }
    return r;
}

int rehearsals_known(struct controller *c, struct arena *arena, const struct plan *plan,
                     struct stored_rehearsed **ret, size_t *ret_count, struct error *e)
{
    struct knowing k = {.controller = c, .arena = arena, .cluster = plan->cluster};
    int r = 0;
    for (size_t p = 0; r == 0 && p < plan->phases.count; p++) {
        for (size_t s = 0; r == 0 && s < plan_phase_at(plan, p)->steps.count; s++) {
            const struct db_migrate_action *a = plan_step_at(plan, p, s)->action->db_migrate;
            r = a != NULL ? know_step(&k, a, e) : 0;
        }
    }
    if (r == 0) {
        *ret = k.items;
        *ret_count = k.count;
    }
    return r;
}
