/*
 * Owns golang-migrate's file names and what its ledger's one number means: everything up to it. Refuses what the tool
 * refuses (a version and direction twice, a number that the set does not know) and what it would do in silence: skip a late
 * file, or leave the newest where an older one is taken back.
 */
#include "lib/migration/golang_migrate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/common.h"
#include "lib/migration/name.h"
#include "lib/migration/sql.h"
#include "lib/migration/transaction.h"

struct parsed {
    const struct migration_file *file;
    int64_t version;
    bool down;
};

/* 1: one of its files; 0: another one, which the tool steps over. */
static int parse_name(struct arena *arena, const struct migration_file *f, struct parsed *ret,
                      struct error *e)
{
    struct script_name name = {0};
    if (strchr(f->name, '/') != NULL ||
        script_name_read(arena, f->name, UINT64_MAX, &name) != SCRIPT_NAME_OK) {
        return 0;
    }
    if (name.version > INT64_MAX) {
        return error_set(e, E_INVALID,
                         "%s: the number does not fit 63 bits, and so not the ledger's bigint",
                         f->name);
    }
    *ret = (struct parsed){f, (int64_t)name.version, name.down};
    return 1;
}

static int by_version(const void *a, const void *b)
{
    const struct parsed *x = a;
    const struct parsed *y = b;
    if (x->version != y->version) {
        return x->version < y->version ? -1 : 1;
    }
    return x->down != y->down ? (x->down ? 1 : -1) : strcmp(x->file->name, y->file->name);
}

/* A file is one simple query: an implicit transaction, but for a lone statement that no transaction may hold. */
static struct migration_script script_of(struct arena *arena, const struct migration_file *f)
{
    struct transaction_facts facts = transaction_look(f->text);
    struct migration_script script = {
        .file = f->name,
        .sha256 = f->sha256,
        .empty = sql_is_empty(f->text),
        .transactional = transaction_fits(&facts),
        .concurrent = facts.concurrently,
    };
    migration_script_facts(arena, f->text, true, &script);
    return script;
}

/* The tool moves its ledger over a script that is not there. */
static struct migration_script missing(struct arena *arena, const struct migration_script *other,
                                       const char *direction)
{
    return (struct migration_script){
        .file = arena_printf(arena, "%s (without %s script)", other->file, direction),
        .empty = true,
        .transactional = true,
    };
}

static void complete(struct arena *arena, struct migration *m)
{
    if (m->up.file == NULL) {
        m->up = missing(arena, &m->down, "an up");
    }
    if (m->down.file == NULL) {
        m->down = missing(arena, &m->up, "a down");
        m->down.lossy = migration_undoes_nothing(&m->up, "has no down script: nothing is undone");
    } else if (m->down.empty) {
        m->down.lossy = migration_undoes_nothing(&m->up, "its down is empty: nothing is undone");
    }
}

static int join(struct arena *arena, const struct parsed *scripts, size_t count,
                struct migration_set *set, struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct parsed *p = &scripts[i];
        if (i > 0 && p[-1].version == p->version && p[-1].down == p->down) {
            return error_set(e, E_INVALID,
                             "%s and %s are the same version and direction: golang-migrate stops "
                             "at that",
                             p[-1].file->name, p->file->name);
        }
        if (i == 0 || p[-1].version != p->version) {
            set->items[set->count++] = (struct migration){.version = p->version};
        }
        struct migration *m = &set->items[set->count - 1];
        *(p->down ? &m->down : &m->up) = script_of(arena, p->file);
    }
    for (size_t i = 0; i < set->count; i++) {
        complete(arena, &set->items[i]);
    }
    return migration_refuse_many(set->count, e);
}

static int golang_migrate_read(struct arena *arena, const struct migration_file *files,
                               size_t count, struct migration_set *ret, struct error *e)
{
    struct parsed *scripts = ARENA_ARRAY(arena, count, struct parsed);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        assert(files[i].name != NULL && files[i].sha256 != NULL);
        int r = parse_name(arena, &files[i], &scripts[found], e);
        if (r < 0) {
            return r;
        }
        found += (size_t)r;
    }
    qsort(scripts, found, sizeof(*scripts), by_version);
    struct migration_set set = {ARENA_ARRAY(arena, found, struct migration), 0};
    int r = join(arena, scripts, found, &set, e);
    if (r < 0) {
        return r;
    }
    migration_numbers(arena, &set);
    *ret = set;
    return 0;
}

/* The highest number counts, so that an answer means itself again. */
static int golang_migrate_applied(struct arena *arena, const struct migration_set *known,
                                  const struct strings *ledger, struct strings *ret,
                                  struct error *e)
{
    int64_t top = -1;
    for (size_t i = 0; i < ledger->count; i++) {
        uint64_t version;
        if (!str_to_u64(ledger->items[i], INT64_MAX, &version)) {
            return error_set(e, E_INVALID, "the ledger holds \"%s\", which is no version",
                             ledger->items[i]);
        }
        top = MAX(top, (int64_t)version);
    }
    struct strings applied = {ARENA_ARRAY(arena, known->count, const char *), 0};
    bool found = false;
    for (size_t i = 0; i < known->count; i++) {
        if (known->items[i].version <= top) {
            applied.items[applied.count++] = known->items[i].id;
        }
        found = found || known->items[i].version == top;
    }
    if (top >= 0 && !found) {
        return error_set(e, E_INVALID,
                         "the ledger is at version %" PRId64 ", which no release on the way knows: "
                         "golang-migrate refuses it too; add the release that brought it, or take "
                         "it back by hand",
                         top);
    }
    *ret = applied;
    return 0;
}

static int golang_migrate_check_way(struct arena *arena, const struct migration_set *target UNUSED,
                                    const struct strings *applied, const struct migration_way *way,
                                    struct error *e)
{
    int64_t top = migration_top(arena, applied, way);
    for (size_t i = 0; i < way->up_count; i++) {
        if (way->up[i].version < top) {
            return error_set(e, E_INVALID,
                             "%s is late: version %" PRId64 " is applied, and golang-migrate would "
                             "skip it without a word; give the file a higher number",
                             way->up[i].up.file, top);
        }
    }
    for (size_t i = 0; i < way->down_count; i++) {
        if (way->down[i].version < top) {
            return error_set(e, E_INVALID,
                             "%s cannot be taken back while version %" PRId64 " stays: "
                             "golang-migrate goes down from the newest only",
                             way->down[i].down.file, top);
        }
    }
    return 0;
}

const struct migration_format migration_format_golang_migrate = {
    .kind = FORMAT_GOLANG_MIGRATE,
    .name = "golang-migrate",
    .read = golang_migrate_read,
    .sort_down = migration_sort_by_number,
    .pieces = migration_whole,
    .applied = golang_migrate_applied,
    .check_way = golang_migrate_check_way,
};
