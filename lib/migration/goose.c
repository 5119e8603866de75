/*
 * Owns goose's file names, and what its ledger allows. Refuses what goose refuses: a version twice, a file that it cannot
 * read, a file below the newest that is applied.
 */
#include "lib/migration/goose.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/migration/common.h"
#include "lib/migration/goose_parse.h"
#include "lib/migration/transaction.h"

struct parsed {
    const struct migration_file *file;
    int64_t version;
};

/* A number before the first "_", read as Go reads one (a "+" may stand before it), above 0; .sql or .go, no test. */
static bool parse_name(struct arena *arena, const struct migration_file *f, struct parsed *ret)
{
    const char *name = f->name;
    const char *mark = strchr(name, '_');
    bool one = (str_ends(name, ".sql") || str_ends(name, ".go")) && !str_ends(name, "_test.go");
    if (!one || mark == NULL || strchr(name, '/') != NULL) {
        return false;
    }
    const char *digits = name[0] == '+' ? name + 1 : name;
    uint64_t version;
    if (!str_to_u64(arena_strndup(arena, digits, (size_t)(mark - digits)), INT64_MAX, &version) ||
        version == 0) {
        return false;
    }
    *ret = (struct parsed){f, (int64_t)version};
    return true;
}

static int by_version(const void *a, const void *b)
{
    const struct parsed *x = a;
    const struct parsed *y = b;
    if (x->version != y->version) {
        return x->version < y->version ? -1 : 1;
    }
    return strcmp(x->file->name, y->file->name);
}

/* The statements of one direction as one text, for those who look for words. A piece may end in a comment, or without a
 * semicolon. */
static struct bytes joined(struct arena *arena, const struct migration_pieces *pieces)
{
    size_t len = 1;
    for (size_t i = 0; i < pieces->count; i++) {
        len += pieces->items[i].len + strlen("\n;\n");
    }
    struct buf b;
    buf_init(&b, arena, len);
    for (size_t i = 0; i < pieces->count; i++) {
        buf_append(&b, pieces->items[i].sql, pieces->items[i].len);
        buf_puts(&b, "\n;\n");
    }
    assert(!b.overflow);
    return (struct bytes){(const uint8_t *)b.data, b.len};
}

static struct migration_script script_of(struct arena *arena, const struct migration_file *f,
                                         const struct goose_script *parsed)
{
    struct bytes sql = joined(arena, &parsed->pieces);
    struct migration_script script = {
        .file = f->name,
        .sha256 = f->sha256,
        .empty = parsed->pieces.count == 0,
        .transactional = parsed->transactional,
        .concurrent = transaction_look(sql).concurrently,
    };
    migration_script_facts(arena, sql, false, &script);
    return script;
}

static int read_sql(struct arena *arena, const struct migration_file *f, struct migration *m,
                    struct error *e)
{
    struct goose_script up;
    struct goose_script down;
    if (goose_parse(arena, f->text, false, &up, e) < 0 ||
        goose_parse(arena, f->text, true, &down, e) < 0) {
        error_wrap(e, "%s", f->name);
        return E_INVALID;
    }
    m->up = script_of(arena, f, &up);
    m->down = script_of(arena, f, &down);
    if (m->down.empty) {
        m->down.lossy =
            migration_undoes_nothing(&m->up, down.has_down ? "its Down is empty: nothing is undone"
                                                           : "has no Down: nothing is undone");
    }
    return 0;
}

static void read_go(const struct migration_file *f, struct migration *m)
{
    m->up = (struct migration_script){.file = f->name, .sha256 = f->sha256, .delegated = true};
    m->down = m->up;
    m->down.lossy = "is Go code: what is lost is not known";
}

static int goose_read(struct arena *arena, const struct migration_file *files, size_t count,
                      struct migration_set *ret, struct error *e)
{
    struct parsed *found = ARENA_ARRAY(arena, count, struct parsed);
    struct migration_set set = {0};
    for (size_t i = 0; i < count; i++) {
        assert(files[i].name != NULL && files[i].sha256 != NULL);
        set.count += parse_name(arena, &files[i], &found[set.count]) ? 1 : 0;
    }
    int r = migration_refuse_many(set.count, e);
    if (r < 0) {
        return r;
    }
    qsort(found, set.count, sizeof(*found), by_version);
    set.items = ARENA_ARRAY(arena, set.count, struct migration);
    for (size_t i = 0; i < set.count; i++) {
        const struct migration_file *f = found[i].file;
        if (i > 0 && found[i - 1].version == found[i].version) {
            return error_set(e, E_INVALID, "%s and %s have the same version: goose stops at that",
                             found[i - 1].file->name, f->name);
        }
        set.items[i].version = found[i].version;
        if (str_ends(f->name, ".go")) {
            read_go(f, &set.items[i]);
        } else if ((r = read_sql(arena, f, &set.items[i], e)) < 0) {
            return r;
        }
    }
    migration_numbers(arena, &set);
    *ret = set;
    return 0;
}

static int goose_pieces(struct arena *arena, struct bytes text, bool down,
                        struct migration_pieces *ret, struct error *e)
{
    struct goose_script script;
    int r = goose_parse(arena, text, down, &script, e);
    if (r == 0) {
        *ret = script.pieces;
    }
    return r;
}

/* The ledger begins with a row 0 that is no migration. */
static int goose_applied(struct arena *arena, const struct migration_set *known UNUSED,
                         const struct strings *ledger, struct strings *ret, struct error *e UNUSED)
{
    struct strings applied = {ARENA_ARRAY(arena, ledger->count, const char *), 0};
    for (size_t i = 0; i < ledger->count; i++) {
        if (!str_equal(ledger->items[i], "0")) {
            applied.items[applied.count++] = ledger->items[i];
        }
    }
    *ret = applied;
    return 0;
}

static int goose_check_way(struct arena *arena, const struct migration_set *target UNUSED,
                           const struct strings *applied, const struct migration_way *way,
                           struct error *e)
{
    int64_t top = migration_top(arena, applied, way);
    for (size_t i = 0; i < way->up_count; i++) {
        if (way->up[i].version < top) {
            return error_set(e, E_INVALID,
                             "%s is out of order: version %" PRId64 " is applied, and goose "
                             "refuses a missing file below it; give the file a higher number",
                             way->up[i].up.file, top);
        }
    }
    return 0;
}

const struct migration_format migration_format_goose = {
    .kind = FORMAT_GOOSE,
    .name = "goose",
    .read = goose_read,
    .sort_down = migration_sort_by_number,
    .pieces = goose_pieces,
    .applied = goose_applied,
    .check_way = goose_check_way,
};
