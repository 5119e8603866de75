/*
 * Owns the table of formats and the way from one ledger to another. Refuses a ledger that holds work that
 * no release at hand knows, and a way that lacks a script it needs: both are found before anything runs.
 */
#include "lib/migration/migration.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/migration/morph.h"

const struct migration_format *const migration_formats[] = {&migration_format_morph};
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
    *ret = (struct migration_pieces){piece, 1};
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

static int text_order(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

/* The applied ids in order, for a search that does not depend on the caller's order. */
static const char **sorted(struct arena *arena, const struct strings *applied)
{
    const char **items = ARENA_ARRAY(arena, applied->count, const char *);
    for (size_t i = 0; i < applied->count; i++) {
        assert(applied->items[i] != NULL);
        items[i] = applied->items[i];
    }
    qsort(items, applied->count, sizeof(char *), text_order);
    return items;
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
        if (m->down.sha256 == NULL) {
            return error_set(e, E_INVALID,
                             "migration \"%s\" has no down script: it cannot be taken back; "
                             "restore a backup instead",
                             id);
        }
        way->down[way->down_count++] = *m;
    }
    return 0;
}

int migration_way(struct arena *arena, const struct migration_format *format,
                  const struct strings *applied, const struct migration_set *newer,
                  const struct migration_set *target, struct migration_way *ret, struct error *e)
{
    assert(format != NULL);
    assert(target != NULL);
    struct migration_way way = {0};
    struct lookup wanted = lookup_of(arena, target);
    int r = collect_down(arena, applied, newer, &wanted, &way, e);
    if (r < 0) {
        return r;
    }
    const char **have = sorted(arena, applied);
    way.up = ARENA_ARRAY(arena, target->count, struct migration);
    for (size_t i = 0; i < target->count; i++) {
        const struct migration *m = &target->items[i];
        const char *id = m->id;
        /* A script that only goes down is never pending: there is nothing to run upwards. */
        if (m->up.sha256 == NULL ||
            bsearch(&id, have, applied->count, sizeof(char *), text_order) != NULL) {
            continue;
        }
        way.up[way.up_count++] = *m;
    }
    format->sort_down(way.down, way.down_count);
    *ret = way;
    return 0;
}
