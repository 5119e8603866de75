/* Owns what the formats share about ids and numbers. Refuses more migrations than LIMIT_MIGRATIONS. */
#include "lib/migration/common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

static int text_order(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

bool ids_have(const struct id_set *set, const char *id)
{
    return bsearch(&id, set->items, set->count, sizeof(char *), text_order) != NULL;
}

struct id_set ids_of(struct arena *arena, const struct strings *ids,
                     const struct migration_way *way)
{
    struct id_set gone = {0};
    if (way != NULL) {
        gone.items = ARENA_ARRAY(arena, way->down_count, const char *);
        for (size_t i = 0; i < way->down_count; i++) {
            gone.items[gone.count++] = way->down[i].id;
        }
        qsort(gone.items, gone.count, sizeof(char *), text_order);
    }
    struct id_set set = {ARENA_ARRAY(arena, ids->count, const char *), 0};
    for (size_t i = 0; i < ids->count; i++) {
        assert(ids->items[i] != NULL);
        if (gone.count == 0 || !ids_have(&gone, ids->items[i])) {
            set.items[set.count++] = ids->items[i];
        }
    }
    qsort(set.items, set.count, sizeof(char *), text_order);
    return set;
}

void migration_places(struct migration_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        set->items[i].place = i;
    }
}

void migration_numbers(struct arena *arena, struct migration_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct migration *m = &set->items[i];
        m->id = arena_printf(arena, "%" PRId64, m->version);
        m->previous = i > 0 ? m[-1].version : -1;
    }
    migration_places(set);
}

static int by_number_down(const void *a, const void *b)
{
    const struct migration *x = a;
    const struct migration *y = b;
    return x->version == y->version ? 0 : (x->version > y->version ? -1 : 1);
}

void migration_sort_by_number(struct migration *items, size_t count)
{
    if (count > 1) {
        qsort(items, count, sizeof(*items), by_number_down);
    }
}

int64_t migration_top(struct arena *arena, const struct strings *applied,
                      const struct migration_way *way)
{
    struct id_set stays = ids_of(arena, applied, way);
    int64_t top = -1;
    for (size_t i = 0; i < stays.count; i++) {
        uint64_t version;
        if (str_to_u64(stays.items[i], INT64_MAX, &version) && (int64_t)version > top) {
            top = (int64_t)version;
        }
    }
    return top;
}

const char *migration_undoes_nothing(const struct migration_script *up, const char *words)
{
    return up->empty ? NULL : words;
}

int migration_refuse_many(size_t count, struct error *e)
{
    if (count > LIMIT_MIGRATIONS) {
        return error_set(e, E_LIMIT, "%zu migrations are more than the limit of %d", count,
                         LIMIT_MIGRATIONS);
    }
    return 0;
}
