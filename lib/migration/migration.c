/*
 * Owns the table of formats and the way from one ledger to another. Refuses a ledger that holds work that
 * no release at hand knows, and a way that lacks a script it needs: both are found before anything runs.
 */
#include "lib/migration/migration.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/migration/common.h"
#include "lib/migration/golang_migrate.h"
#include "lib/migration/goose.h"
#include "lib/migration/morph.h"
#include "lib/migration/sourcegraph.h"

const struct migration_format *const migration_formats[] = {
    &migration_format_morph,
    &migration_format_golang_migrate,
    &migration_format_goose,
    &migration_format_sourcegraph,
};
const size_t migration_formats_count = ARRAY_SIZE(migration_formats);

const struct migration_format *migration_format_get(enum migration_format_kind kind)
{
    for (size_t i = 0; i < migration_formats_count; i++) {
        if (migration_formats[i]->kind == kind) {
            return migration_formats[i];
        }
    }
    return NULL;
}

const struct migration *migration_find(const struct migration_set *set, const char *id)
{
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        if (str_equal(set->items[i].id, id)) {
            return &set->items[i];
        }
    }
    return NULL;
}

int migration_whole(struct arena *arena, struct bytes text, bool down UNUSED,
                    struct migration_pieces *ret, struct error *e UNUSED)
{
    struct migration_piece *piece = ARENA_NEW(arena, struct migration_piece);
    *piece = (struct migration_piece){
        .sql = arena_strndup(arena, (const char *)text.data, text.len), .len = text.len, .line = 1};
    *ret = (struct migration_pieces){.items = piece, .count = 1};
    return 0;
}

/* Sorted by id, so that a way over thousands of migrations stays fast. */
struct lookup {
    const struct migration **items;
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    const struct migration *const *x = a;
    const struct migration *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

static struct lookup lookup_of(struct arena *arena, const struct migration_set *set)
{
    size_t count = set == NULL ? 0 : set->count;
    struct lookup lookup = {ARENA_ARRAY(arena, count, const struct migration *), count};
    for (size_t i = 0; i < count; i++) {
        lookup.items[i] = &set->items[i];
    }
    qsort(lookup.items, count, sizeof(struct migration *), by_id);
    return lookup;
}

static const struct migration *lookup_get(const struct lookup *lookup, const char *id)
{
    struct migration key = {.id = id};
    const struct migration *p = &key;
    const struct migration **found =
        bsearch(&p, lookup->items, lookup->count, sizeof(struct migration *), by_id);
    return found == NULL ? NULL : *found;
}

static int collect_down(struct arena *arena, const struct strings *applied,
                        const struct migration_set *newer, const struct lookup *target,
                        struct migration_way *way, struct error *e)
{
    struct lookup known = lookup_of(arena, newer);
    way->down = ARENA_ARRAY(arena, applied->count, struct migration);
    for (size_t i = 0; i < applied->count; i++) {
        const char *id = applied->items[i];
        if (lookup_get(target, id) != NULL) {
            continue;
        }
        const struct migration *m = lookup_get(&known, id);
        if (m == NULL) {
            return error_set(e, E_INVALID,
                             "the ledger holds \"%s\", which no release on the way knows: it is "
                             "another version's work; add the release that brought it, or take "
                             "it back by hand",
                             id);
        }
        if (m->down.sha256 == NULL && !m->down.empty) {
            return error_set(e, E_INVALID,
                             "migration \"%s\" has no down script: it cannot be taken back; "
                             "restore a backup instead",
                             id);
        }
        way->down[way->down_count++] = *m;
    }
    return 0;
}

/* The ids that the ledger means: the newer set explains them, and the target where the newer one cannot. */
static int explain(struct arena *arena, const struct migration_format *format,
                   const struct migration_set *newer, const struct migration_set *target,
                   const struct strings *ledger, struct strings *ret, struct error *e)
{
    *ret = *ledger;
    if (format->applied == NULL) {
        return 0;
    }
    if (newer != NULL && format->applied(arena, newer, ledger, ret, e) == 0) {
        return 0;
    }
    return format->applied(arena, target, ledger, ret, e);
}

static void collect_up(struct arena *arena, const struct strings *applied,
                       const struct migration_set *target, struct migration_way *way)
{
    struct id_set have = ids_of(arena, applied, NULL);
    way->up = ARENA_ARRAY(arena, target->count, struct migration);
    for (size_t i = 0; i < target->count; i++) {
        const struct migration *m = &target->items[i];
        /* A script that only goes down is never pending: there is nothing to run upwards. */
        if ((m->up.sha256 != NULL || m->up.empty) && !ids_have(&have, m->id)) {
            way->up[way->up_count++] = *m;
        }
    }
}

int migration_difference(struct arena *arena, const struct migration_format *format,
                         const struct strings *applied, const struct migration_set *newer,
                         const struct migration_set *target, struct migration_way *ret,
                         struct strings *ret_applied, struct error *e)
{
    assert(format != NULL);
    assert(target != NULL);
    struct migration_way way = {0};
    struct lookup wanted = lookup_of(arena, target);
    struct strings here;
    int r = explain(arena, format, newer, target, applied, &here, e);
    if (r == 0) {
        r = collect_down(arena, &here, newer, &wanted, &way, e);
    }
    if (r < 0) {
        return r;
    }
    collect_up(arena, &here, target, &way);
    format->sort_down(way.down, way.down_count);
    *ret = way;
    *ret_applied = here;
    return 0;
}

int migration_way(struct arena *arena, const struct migration_format *format,
                  const struct strings *applied, const struct migration_set *newer,
                  const struct migration_set *target, struct migration_way *ret, struct error *e)
{
    struct migration_way way;
    struct strings here;
    int r = migration_difference(arena, format, applied, newer, target, &way, &here, e);
    if (r == 0 && format->check_way != NULL) {
        r = format->check_way(arena, target, &here, &way, e);
    }
    if (r == 0) {
        *ret = way;
    }
    return r;
}

static const struct migration *by_number_or_id(const struct migration_set *set, const char *to)
{
    uint64_t version;
    bool number = str_to_u64(to, INT64_MAX, &version);
    for (size_t i = 0; number && i < set->count; i++) {
        if (set->items[i].version == (int64_t)version) {
            return &set->items[i];
        }
    }
    return migration_find(set, to);
}

static int refuse_unknown(struct arena *arena, const struct migration_set *set, const char *to,
                          struct error *e)
{
    uint64_t wanted;
    const struct migration *below = NULL;
    const struct migration *above = NULL;
    const char **names = ARENA_ARRAY(arena, set->count, const char *);
    size_t name_count = 0;
    uint64_t is_number;
    bool number = str_to_u64(to, INT64_MAX, &wanted);
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *m = &set->items[i];
        if (!str_to_u64(m->id, INT64_MAX, &is_number)) {
            names[name_count++] = m->id;
        }
        if (number && m->version < (int64_t)wanted && (!below || below->version < m->version)) {
            below = m;
        }
        if (number && m->version > (int64_t)wanted && (!above || above->version > m->version)) {
            above = m;
        }
    }
    const char *words[2];
    size_t count = 0;
    const char *nearest = number ? NULL : str_nearest(to, names, name_count);
    if (nearest != NULL) {
        words[count++] = arena_printf(arena, "\"%s\"", nearest);
    }
    if (below != NULL) {
        words[count++] = arena_printf(arena, "%lld", (long long)below->version);
    }
    if (above != NULL) {
        words[count++] = arena_printf(arena, "%lld", (long long)above->version);
    }
    if (count == 0) {
        return error_set(e, E_NOT_FOUND, "there is no migration \"%s\" among these %zu", to,
                         set->count);
    }
    return error_set(e, E_NOT_FOUND, "there is no migration \"%s\"; did you mean %s%s%s?", to,
                     words[0], count > 1 ? " or " : "", count > 1 ? words[1] : "");
}

int migration_until(struct arena *arena, const struct migration_format *format,
                    const struct migration_set *set, const char *to, struct migration_set *ret,
                    struct error *e)
{
    assert(format != NULL && set != NULL);
    if (to == NULL) {
        *ret = *set;
        return 0;
    }
    struct migration_set part = {ARENA_ARRAY(arena, set->count, struct migration), 0};
    const struct migration *last = by_number_or_id(set, to);
    if (last == NULL && (str_equal(to, "none") || str_equal(to, "0"))) {
        *ret =
            part; /* where a migration has the number 0, it is the one that is meant: no more goes */
        return 0;
    }
    if (last == NULL) {
        return refuse_unknown(arena, set, to, e);
    }
    if (format->until != NULL) {
        return format->until(arena, set, last->id, ret, e);
    }
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].version <= last->version) {
            part.items[part.count++] = set->items[i];
        }
    }
    *ret = part;
    return 0;
}
