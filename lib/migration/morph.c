/*
 * Owns morph's file names, its one annotation and its two orders. Refuses what morph refuses (a file whose
 * name it cannot read) and what its ledger could not hold (a number or a name twice).
 */
#include "lib/migration/morph.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/migration/common.h"
#include "lib/migration/name.h"
#include "lib/migration/sql.h"

#define NONTRANSACTIONAL "-- morph:nontransactional"

struct parsed {
    const struct migration_file *file;
    int64_t version;
    const char *name;
    bool down;
};

static int refuse_name(const struct migration_file *f, const char *why, struct error *e)
{
    return error_set(e, E_INVALID,
                     "%s: %s; morph reads NUMBER_NAME.up.sql and NUMBER_NAME.down.sql and stops "
                     "at any other file",
                     f->name, why);
}

static int parse_name(struct arena *arena, const struct migration_file *f, struct parsed *ret,
                      struct error *e)
{
    static const char *const why[] = {
        [SCRIPT_NAME_NO_NUMBER] = "the name does not begin with a number and \"_\"",
        [SCRIPT_NAME_LINE_BREAK] = "a line break in the name",
        [SCRIPT_NAME_LARGE_NUMBER] = "the number does not fit 32 bits",
        [SCRIPT_NAME_NO_DIRECTION] = "neither \".up.\" nor \".down.\" is in the name",
    };
    struct script_name name = {0};
    enum script_name_fault fault = script_name_read(arena, f->name, UINT32_MAX, &name);
    if (fault != SCRIPT_NAME_OK) {
        return refuse_name(f, why[fault], e);
    }
    *ret = (struct parsed){f, (int64_t)name.version, name.name, name.down};
    return 0;
}

static struct migration_script script_of(struct arena *arena, const struct migration_file *f)
{
    size_t len = strlen(NONTRANSACTIONAL);
    struct migration_script script = {
        .file = f->name,
        .sha256 = f->sha256,
        .empty = sql_is_empty(f->text),
        .transactional = !(f->text.len >= len && memcmp(f->text.data, NONTRANSACTIONAL, len) == 0),
    };
    migration_script_facts(arena, f->text, true, &script);
    return script;
}

/* Scripts of one migration next to each other, the up before the down. */
static int by_migration(const void *a, const void *b)
{
    const struct parsed *x = a;
    const struct parsed *y = b;
    if (x->version != y->version) {
        return x->version < y->version ? -1 : 1;
    }
    int r = strcmp(x->name, y->name);
    if (r != 0) {
        return r;
    }
    return x->down != y->down ? (x->down ? 1 : -1) : strcmp(x->file->name, y->file->name);
}

static const char *sort_name(const struct migration *m)
{
    return m->up.file != NULL ? m->up.file : m->down.file;
}

static int by_file_name(const void *a, const void *b)
{
    return strcmp(sort_name(a), sort_name(b));
}

static int by_name(const void *a, const void *b)
{
    const struct migration *x = a;
    const struct migration *y = b;
    return strcmp(x->id, y->id);
}

static int by_version_down(const void *a, const void *b)
{
    const struct migration *x = a;
    const struct migration *y = b;
    if (x->version != y->version) {
        return x->version > y->version ? -1 : 1;
    }
    return strcmp(y->id, x->id);
}

static int refuse_twice(const struct migration *a, const struct migration *b, const char *what,
                        struct error *e)
{
    return error_set(e, E_INVALID, "%s and %s have the same %s: the ledger can hold only one",
                     sort_name(a), sort_name(b), what);
}

/* Joins the sorted scripts to migrations. A number can be in the ledger only once: it is its primary key. */
static int join(struct arena *arena, const struct parsed *scripts, size_t count,
                struct migration_set *set, struct error *e)
{
    struct migration *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct parsed *p = &scripts[i];
        if (last == NULL || last->version != p->version || !str_equal(last->id, p->name)) {
            last = &set->items[set->count++];
            last->id = p->name;
            last->version = p->version;
            last->previous = set->count > 1 ? last[-1].version : -1;
        }
        struct migration_script *script = p->down ? &last->down : &last->up;
        if (script->file != NULL) {
            return error_set(e, E_INVALID, "%s and %s are the same migration and direction",
                             script->file, p->file->name);
        }
        *script = script_of(arena, p->file);
        if (set->count > 1 && last[-1].version == last->version) {
            return refuse_twice(&last[-1], last, "number", e);
        }
    }
    return 0;
}

static int morph_read(struct arena *arena, const struct migration_file *files, size_t count,
                      struct migration_set *ret, struct error *e)
{
    if (count > LIMIT_MIGRATIONS) {
        return error_set(e, E_LIMIT, "%zu migration files are more than the limit of %d", count,
                         LIMIT_MIGRATIONS);
    }
    struct parsed *scripts = ARENA_ARRAY(arena, count, struct parsed);
    for (size_t i = 0; i < count; i++) {
        assert(files[i].name != NULL && files[i].sha256 != NULL);
        int r = parse_name(arena, &files[i], &scripts[i], e);
        if (r < 0) {
            return r;
        }
    }
    qsort(scripts, count, sizeof(*scripts), by_migration);
    struct migration_set set = {ARENA_ARRAY(arena, count, struct migration), 0};
    int r = join(arena, scripts, count, &set, e);
    if (r < 0) {
        return r;
    }
    /* What is pending is decided by the name alone, so a name may be there only once. */
    qsort(set.items, set.count, sizeof(*set.items), by_name);
    for (size_t i = 1; i < set.count; i++) {
        if (str_equal(set.items[i - 1].id, set.items[i].id)) {
            return refuse_twice(&set.items[i - 1], &set.items[i], "name", e);
        }
    }
    qsort(set.items, set.count, sizeof(*set.items), by_file_name);
    migration_places(&set);
    *ret = set;
    return 0;
}

static void morph_sort_down(struct migration *items, size_t count)
{
    qsort(items, count, sizeof(*items), by_version_down);
}

const struct migration_format migration_format_morph = {
    .kind = FORMAT_MORPH,
    .name = "morph",
    .read = morph_read,
    .sort_down = morph_sort_down,
    .pieces = migration_whole,
};
