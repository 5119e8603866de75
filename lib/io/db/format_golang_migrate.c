/*
 * Owns what golang-migrate leaves in a database: one row (version, dirty) in schema_migrations, replaced as a whole, and
 * on PostgreSQL its advisory lock. It refuses to say which way a dirty version was going: the tool does not write it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/format.h"
#include "lib/io/db/format_keys.h"

#define NAME   "golang-migrate"
#define LEDGER "schema_migrations"

extern const struct db_format db_format_golang_migrate;

static int find_table(struct db_session *s, struct db_table *ret, struct error *e)
{
    if (s->engine->kind != DB_POSTGRES && s->engine->kind != DB_SQLITE) {
        return db_ledger_refuse(s, NAME, e);
    }
    return db_ledger_table(s, LEDGER, ret, e);
}

static int ledger_create(struct db_session *s, struct error *e)
{
    struct db_table table = {0};
    bool there = false;
    int rc = find_table(s, &table, e);
    if (rc == 0) {
        rc = db_ledger_exists(s, &table, &there, e);
    }
    if (rc < 0 || there) {
        return rc;
    }
    if (s->engine->kind == DB_SQLITE) {
        /* The tool gives the index this name whatever the table's is. */
        return db_exec(
            s,
            arena_printf(s->arena,
                         "CREATE TABLE IF NOT EXISTS %s (version uint64,dirty bool);"
                         "CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON %s (version)",
                         table.quoted, table.quoted),
            e);
    }
    return db_exec(
        s,
        arena_printf(s->arena,
                     "CREATE TABLE IF NOT EXISTS %s (version bigint not null primary key,"
                     " dirty boolean not null)",
                     table.quoted),
        e);
}

/* The tool reads whichever row comes first; there is one. */
static int ledger_read(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e)
{
    struct db_table table = {0};
    int rc = find_table(s, &table, e);
    if (rc == 0) {
        rc = db_ledger_exists(s, &table, &ret->exists, e);
    }
    if (rc < 0 || !ret->exists) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(s, arena,
                  arena_printf(s->arena,
                               "SELECT CAST(version AS text), CASE WHEN dirty THEN 1 ELSE 0 END"
                               " FROM %s LIMIT 2",
                               table.quoted),
                  NULL, 0, &rows, e);
    if (rc < 0 || rows.count == 0) {
        return rc;
    }
    const char *version = db_cell(&rows, 0, 0);
    if (rows.count > 1 || version == NULL) {
        return db_fail(s, e, E_CONFLICT,
                       "the ledger %s has %s: " NAME " keeps one row there. Look at it, and leave "
                       "the row that is true",
                       table.quoted,
                       rows.count > 1 ? "more than one row" : "a row without a version");
    }
    bool below_first = strtoll(version, NULL, 10) < 0;
    if (!below_first) {
        ret->ids = (struct strings){.items = rows.cells, .count = 1};
    }
    if (str_equal(db_cell(&rows, 0, 1), "1")) {
        ret->mark = DB_MARK_PENDING;
        ret->mark_id = version;
        ret->mark_down = below_first; /* only the first one's way down leads there */
        ret->mark_words = "dirty";
    }
    return 0;
}

/* The tool's SetVersion: the whole table is replaced; no row means "nothing applied". */
static int set_version(struct db_session *s, int64_t version, bool dirty, struct error *e)
{
    struct db_table table = {0};
    int rc = find_table(s, &table, e);
    if (rc < 0) {
        return rc;
    }
    bool lite = s->engine->kind == DB_SQLITE;
    const char *sql = arena_printf(s->arena, lite ? "DELETE FROM %s" : "TRUNCATE %s", table.quoted);
    if (version >= 0 || dirty) {
        sql = arena_printf(s->arena, "%s; INSERT INTO %s (version, dirty) VALUES (%" PRId64 ", %s)",
                           sql, table.quoted, version,
                           lite ? (dirty ? "1" : "0") : (dirty ? "true" : "false"));
    }
    return db_ledger_exec(s, sql, e);
}

static int64_t target_of(const struct migration_item *item, bool down)
{
    return down ? item->previous : item->version;
}

static int ledger_begin(struct db_session *s, const struct migration_item *item, bool down,
                        struct error *e)
{
    return set_version(s, target_of(item, down), true, e);
}

static int ledger_forget(struct db_session *s, const struct migration_item *item, bool down,
                         struct error *e)
{
    return set_version(s, target_of(item, !down), false, e);
}

static int ledger_up(struct db_session *s, const struct migration_item *item, struct error *e)
{
    return set_version(s, target_of(item, false), false, e);
}

static int ledger_down(struct db_session *s, const struct migration_item *item, struct error *e)
{
    return set_version(s, target_of(item, true), false, e);
}

/* Both that the tool may use for this database: which one depends on how the tool was started. */
static int advisory_keys(struct db_session *s, struct arena *arena, struct strings *ret,
                         struct error *e)
{
    *ret = (struct strings){0};
    if (s->engine->kind != DB_POSTGRES) {
        return 0; /* on SQLite its lock is in its own memory */
    }
    struct db_table table = {0};
    const char *database = NULL;
    int rc = find_table(s, &table, e);
    if (rc == 0) {
        rc = db_value(s, s->arena, "SELECT current_database()", NULL, 0, &database, e);
    }
    if (rc < 0) {
        return rc;
    }
    const char *in_url = arena_printf(s->arena, "/%s", database);
    const char **keys = arena_array(arena, 2, sizeof(*keys));
    keys[0] =
        arena_printf(arena, "%" PRIu32, key_golang_migrate(table.schema, table.name, database));
    keys[1] = arena_printf(arena, "%" PRIu32, key_golang_migrate(table.schema, table.name, in_url));
    *ret = (struct strings){.items = keys, .count = 2};
    return 0;
}

const struct db_format db_format_golang_migrate = {
    .kind = FORMAT_GOLANG_MIGRATE,
    .name = NAME,
    .ledger_create = ledger_create,
    .ledger_read = ledger_read,
    .ledger_begin = ledger_begin,
    .ledger_forget = ledger_forget,
    .ledger_up = ledger_up,
    .ledger_down = ledger_down,
    .advisory_keys = advisory_keys,
    .advisory_yields = true,
};
