/*
 * Owns what a plan says of the SQL on its way: which tables are locked and how large they are, what has no way back, and what
 * springs a trap. Refuses a script that the server is certain to refuse: that is better known before anything stops.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/lint.h"
#include "lib/plan/compiler.h"

#define SAID_MAX 5 /* of a list in words */

static const struct observed_table *table_named(const struct observed_database *seen,
                                                const char *object)
{
    for (size_t i = 0; seen != NULL && object != NULL && i < seen->table_count; i++) {
        const char *name = seen->tables[i].name;
        const char *dot = strchr(name, '.');
        if (str_equal(name, object) || (dot != NULL && str_equal(dot + 1, object))) {
            return &seen->tables[i];
        }
    }
    return NULL;
}

/* ---- locks ---- */

struct weighed {
    struct plan_lock lock;
    int mode;
    size_t place;
};

/* Writing a large table anew comes first, then the larger table, then the stronger lock. */
static int by_danger(const void *a, const void *b)
{
    const struct weighed *x = a;
    const struct weighed *y = b;
    int64_t written =
        (y->lock.rewrites ? y->lock.bytes : 0) - (x->lock.rewrites ? x->lock.bytes : 0);
    if (written != 0) {
        return written > 0 ? 1 : -1;
    }
    if (x->lock.bytes != y->lock.bytes) {
        return x->lock.bytes < y->lock.bytes ? 1 : -1;
    }
    if (x->mode != y->mode) {
        return x->mode < y->mode ? 1 : -1;
    }
    if (x->lock.rewrites != y->lock.rewrites) {
        return x->lock.rewrites ? -1 : 1;
    }
    return x->place < y->place ? -1 : x->place > y->place;
}

static struct weighed weigh(struct compiler *c, const struct observed_database *seen,
                            const struct migration_lock *l, const char *file)
{
    const struct observed_table *table = l->is_index ? NULL : table_named(seen, l->object);
    const char *object = l->object == NULL ? "several tables"
                         : l->is_index ? arena_printf(c->arena, "the table of index %s", l->object)
                                       : l->object;
    return (struct weighed){.lock = {.object = object,
                                     .mode = sql_lock_name((enum sql_lock_mode)l->mode),
                                     .rewrites = l->rewrites,
                                     .bytes = table != NULL ? table->bytes : 0,
                                     .rows = table != NULL ? table->rows : 0,
                                     .migration = file},
                            .mode = l->mode};
}

/* One line for a table: what is worst for it. */
static bool is_told(const struct list *locks, const struct plan_lock *lock)
{
    for (size_t i = 0; i < locks->count; i++) {
        if (str_equal(LIST_AT(locks, struct plan_lock, i)->object, lock->object)) {
            return true;
        }
    }
    return false;
}

static void add_locks(struct compiler *c, struct plan_step *step,
                      const struct observed_database *seen, const struct migration *items,
                      size_t count, bool down)
{
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all += down ? items[i].down.lock_count : items[i].up.lock_count;
    }
    struct weighed *list = ARENA_ARRAY(c->arena, all, struct weighed);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct migration_script *script = down ? &items[i].down : &items[i].up;
        for (size_t l = 0; l < script->lock_count; l++) {
            list[n] = weigh(c, seen, &script->locks[l], script->file);
            list[n].place = n;
            n++;
        }
    }
    if (n > 1) {
        qsort(list, n, sizeof(*list), by_danger);
    }
    for (size_t i = 0; i < n && step->locks.count < PLAN_LOCKS_MAX; i++) {
        if (!is_told(&step->locks, &list[i].lock)) {
            struct plan_lock *lock = list_push(c->arena, &step->locks, sizeof(*lock));
            *lock = list[i].lock;
        }
    }
}

void lint_step(struct compiler *c, struct plan_step *step, const struct hop_database *db,
               const struct migration *items, size_t count, bool down)
{
    const struct observed_database *seen = inventory_database(c->inventory, db->app->name);
    if (!is_engine(db, seen, "postgres", "PostgreSQL")) {
        return; /* its locks and traps are not PostgreSQL's */
    }
    add_locks(c, step, seen, items, count, down);
    for (size_t i = 0; i < count; i++) {
        const struct migration_script *script = down ? &items[i].down : &items[i].up;
        if (script->fails != NULL) {
            forbid(c,
                   "database %s: %s would fail, and stop the run in the middle: %s. Take the "
                   "statement into a file of its own, marked as the tool wants it",
                   db->app->name, script->file, script->fails);
        }
        for (size_t t = 0; t < script->traps.count; t++) {
            warn(c, "database %s: %s, %s", db->app->name, script->file, script->traps.items[t]);
        }
    }
}

/* ---- the way back ---- */

static const char *in_words(struct compiler *c, struct strings *words)
{
    if (words->count > SAID_MAX) {
        words->items[SAID_MAX] =
            arena_printf(c->arena, "%zu more", words->count - (size_t)SAID_MAX);
        words->count = SAID_MAX + 1;
    }
    return words->count == 0 ? NULL : str_join(c->arena, words->items, words->count);
}

static bool has_no_way_back(const struct migration *m)
{
    bool does = !m->up.empty && !m->up.delegated;
    return does && !m->down.delegated && (m->down.sha256 == NULL || m->down.empty);
}

const char *irreversible_items(struct compiler *c, const struct migration *items, size_t count)
{
    struct strings words = {0};
    for (size_t i = 0; i < count; i++) {
        if (has_no_way_back(&items[i])) {
            strings_push(c->arena, &words,
                         arena_printf(c->arena, "%lld cannot be undone (%s)",
                                      (long long)items[i].version,
                                      items[i].down.sha256 == NULL ? "no down script"
                                                                   : "its down is empty"));
        }
    }
    return in_words(c, &words);
}

const char *back_items(struct compiler *c, const struct migration *items, size_t count)
{
    struct strings words = {0};
    for (size_t i = count; i > 0; i--) {
        const struct migration *m = &items[i - 1];
        if (m->down.lossy != NULL && !has_no_way_back(m)) {
            strings_push(c->arena, &words,
                         arena_printf(c->arena, "%lld %s", (long long)m->version, m->down.lossy));
        }
    }
    return in_words(c, &words);
}
