/*
 * Owns what golang-migrate leaves in a database: one row (version, dirty) in schema_migrations, replaced as a whole, and
 * on PostgreSQL its advisory lock or, where the application uses the pgx driver's table lock, a row in schema_lock, which has
 * no owner and no end. It never makes that table. It refuses to say which way a dirty version was going: the tool does
 * not write it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/format.h"
#include "lib/io/db/format_keys.h"

#define NAME       "golang-migrate"
#define LEDGER     "schema_migrations"
#define LOCK_TABLE "schema_lock"
#define LOOK_MS    5000 /* whether the row is still there */

extern const struct db_format db_format_golang_migrate;

static int find_table(struct db_session *s, struct db_table *ret, struct error *e)
{
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
        return db_exec(s,
                       arena_printf(s->arena,
                                    "CREATE TABLE IF NOT EXISTS %s (version uint64,dirty bool);"
                                    "CREATE UNIQUE INDEX IF NOT EXISTS " SQLITE_MAIN
                                    "version_unique ON %s (version)",
                                    table.quoted, table.local),
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
                               "SELECT CAST(version AS %s), CASE WHEN dirty THEN 1 ELSE 0 END"
                               " FROM %s LIMIT 2",
                               s->engine->text_type, table.quoted),
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
    /* On MariaDB TRUNCATE would commit: newer versions of the tool delete there, older ones lived with that. */
    const char *sql = arena_printf(
        s->arena, s->engine->kind == DB_POSTGRES ? "TRUNCATE %s" : "DELETE FROM %s", table.quoted);
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
    if (s->engine->kind == DB_SQLITE) {
        return 0; /* there its lock is in its own memory */
    }
    bool maria = s->engine->kind == DB_MARIADB;
    struct db_table table = {0};
    const char *database = NULL;
    int rc = find_table(s, &table, e);
    if (rc == 0) {
        rc = db_value(s, s->arena, arena_printf(s->arena, "SELECT %s", s->engine->database_name),
                      NULL, 0, &database, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (maria) { /* the name of a user-level lock, which is the number as text */
        const char *one = arena_printf(s->arena, "%s:%s", database, table.name);
        const char **name = arena_array(arena, 1, sizeof(*name));
        name[0] = arena_printf(arena, "%" PRIu32, key_golang_migrate_row(one));
        *ret = (struct strings){.items = name, .count = 1};
        return 0;
    }
    const char *in_url = arena_printf(s->arena, "/%s", database);
    const char **keys = arena_array(arena, 2, sizeof(*keys));
    keys[0] =
        arena_printf(arena, "%" PRIu32, key_golang_migrate(table.schema, table.name, database));
    keys[1] = arena_printf(arena, "%" PRIu32, key_golang_migrate(table.schema, table.name, in_url));
    *ret = (struct strings){.items = keys, .count = 2};
    return 0;
}

/* ---- the table lock ---- */

static bool has_lease(const struct db_session *s)
{
    return s->engine->kind == DB_POSTGRES;
}

/* The tool's table, not another one of this name. NULL: there is none. */
static int lock_table(struct db_session *s, struct arena *arena, const char **ret, struct error *e)
{
    *ret = NULL;
    if (!has_lease(s)) {
        return 0;
    }
    return db_value(
        s, arena,
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('" LOCK_TABLE "')"
        " AND (SELECT string_agg(attname::text, ',' ORDER BY attnum) FROM pg_attribute"
        "      WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) = 'lock_id'",
        NULL, 0, ret, e);
}

/* The rows that the tool may use for this database, in brackets, and how many are there. *ret_table NULL: no such lock. */
static int rows_there(struct db_session *s, const char **ret_table, const char **ret_rows,
                      int64_t *ret, struct error *e)
{
    const char *database = NULL;
    const char *count = NULL;
    int rc = lock_table(s, s->arena, ret_table, e);
    if (rc < 0 || *ret_table == NULL) {
        return rc;
    }
    rc = db_value(s, s->arena, "SELECT current_database()", NULL, 0, &database, e);
    if (rc == 0) {
        *ret_rows =
            arena_printf(s->arena, "(%" PRIu32 "), (%" PRIu32 ")", key_golang_migrate_row(database),
                         key_golang_migrate_row(arena_printf(s->arena, "/%s", database)));
        rc = db_value(s, s->arena,
                      arena_printf(s->arena, "SELECT count(*) FROM %s WHERE lock_id IN (%s)",
                                   *ret_table, *ret_rows),
                      NULL, 0, &count, e);
    }
    if (rc == 0) {
        *ret = strtoll(count, NULL, 10);
    }
    return rc;
}

static const char *lease_words(struct arena *arena, const char *table)
{
    return arena_printf(arena,
                        NAME "'s own lock (a row in %s, which names nobody and does not expire: "
                             "when no " NAME " runs, DELETE FROM %s)",
                        table, table);
}

/* tool_lease is 1 while the rows are ours: they say nothing themselves. */
static int lease_take(struct db_session *s, struct arena *arena, struct db_holder *self,
                      enum db_lease *ret, const char **ret_words, struct error *e)
{
    const char *table = NULL;
    const char *rows = NULL;
    int64_t there = 0;
    int rc = lock_table(s, s->arena, &table, e);
    if (rc < 0 || table == NULL) {
        self->tool_lease = 0;
        *ret = DB_LEASE_OURS; /* the application uses the advisory lock */
        return rc;
    }
    /* The tool looks, then inserts: nobody inserts between our look and our rows. */
    rc = db_exec(s, arena_printf(s->arena, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", table), e);
    if (rc == 0) {
        rc = rows_there(s, &table, &rows, &there, e);
    }
    if (rc == 0 && there > 0 && self->tool_lease == 0) {
        *ret = DB_LEASE_OTHERS;
        *ret_words = lease_words(arena, table);
        return 0;
    }
    if (rc == 0) {
        rc = db_exec(s,
                     arena_printf(s->arena,
                                  "INSERT INTO %s (lock_id) VALUES %s ON CONFLICT DO NOTHING",
                                  table, rows),
                     e);
    }
    if (rc == 0) {
        self->tool_lease = 1;
        *ret = DB_LEASE_OURS;
    }
    return rc;
}

static int lease_refresh(struct db_session *s, struct db_holder *self, enum db_lease *ret,
                         struct error *e)
{
    const char *table = NULL;
    const char *rows = NULL;
    int64_t there = 0;
    if (self->tool_lease == 0) {
        const char *words = NULL;
        return lease_take(s, s->arena, self, ret, &words, e); /* was the table made meanwhile? */
    }
    int rc = rows_there(s, &table, &rows, &there, e);
    if (rc == 0) {
        *ret = table == NULL || there == 2 ? DB_LEASE_OURS : DB_LEASE_OTHERS;
    }
    return rc;
}

static int lease_release(struct db_session *s, struct db_holder *self, struct error *e)
{
    const char *table = NULL;
    const char *rows = NULL;
    int64_t there = 0;
    int rc = self->tool_lease != 0 ? rows_there(s, &table, &rows, &there, e) : 0;
    if (rc < 0 || table == NULL) {
        return rc;
    }
    return db_exec(s, arena_printf(s->arena, "DELETE FROM %s WHERE lock_id IN (%s)", table, rows),
                   e);
}

static int lease_state(struct db_session *s, struct arena *arena, const struct db_holder *holder,
                       bool *ret_ours, struct db_lock_state *ret, struct error *e)
{
    const char *table = NULL;
    const char *rows = NULL;
    int64_t there = 0;
    *ret = (struct db_lock_state){0};
    int rc = rows_there(s, &table, &rows, &there, e);
    if (rc == 0 && there > 0) {
        *ret = (struct db_lock_state){.held = true, .words = lease_words(arena, table)};
        *ret_ours = holder->run != NULL && holder->tool_lease != 0;
    }
    return rc;
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
    .has_lease = has_lease,
    .lease_take = lease_take,
    .lease_refresh = lease_refresh,
    .lease_release = lease_release,
    .lease_refresh_ms = LOOK_MS,
    .lease_state = lease_state,
    .lock_table = lock_table,
};
