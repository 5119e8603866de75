/*
 * Owns what Sourcegraph's migrator leaves in a database: the log migration_logs, which only grows, and its advisory lock.
 * s->ledger is the value of the log's column `schema`. It refuses every engine but PostgreSQL: the tool has no other.
 *
 * The row that is being worked on is the last one of its schema: the lock lets nobody else write one.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/format.h"
#include "lib/io/db/format_keys.h"

#define NAME       "Sourcegraph"
#define LOG        "migration_logs"
#define SCHEMA     "schema_migrations" /* of the first of its three databases */
#define LOG_LAYOUT "2"                 /* migration_logs_schema_version */
#define COLUMNS    10

extern const struct db_format db_format_sourcegraph;

static const char *schema_of(const struct db_session *s)
{
    return str_empty(s->ledger) ? SCHEMA : s->ledger;
}

static int find_log(struct db_session *s, struct db_table *ret, struct error *e)
{
    if (s->engine->kind != DB_POSTGRES) {
        return db_ledger_refuse(s, NAME, e);
    }
    return db_table_named(s, LOG, ret, e);
}

/* An older log lacks columns, which the tool adds at every start. */
static int ledger_create(struct db_session *s, struct error *e)
{
    struct db_table log = {0};
    const char *columns = NULL;
    int rc = find_log(s, &log, e);
    if (rc == 0) {
        rc = db_value(s, s->arena,
                      "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass($1)"
                      " AND NOT attisdropped AND attname IN ('id', 'migration_logs_schema_version',"
                      " 'schema', 'version', 'up', 'started_at', 'finished_at', 'success',"
                      " 'error_message', 'backfilled')",
                      &log.quoted, 1, &columns, e);
    }
    if (rc < 0 || str_equal(columns, arena_printf(s->arena, "%d", COLUMNS))) {
        return rc;
    }
    return db_ledger_exec(
        s,
        arena_printf(s->arena,
                     "CREATE TABLE IF NOT EXISTS %s (id SERIAL PRIMARY KEY);"
                     "ALTER TABLE %s"
                     " ADD COLUMN IF NOT EXISTS migration_logs_schema_version integer NOT NULL,"
                     " ADD COLUMN IF NOT EXISTS schema text NOT NULL,"
                     " ADD COLUMN IF NOT EXISTS version integer NOT NULL,"
                     " ADD COLUMN IF NOT EXISTS up bool NOT NULL,"
                     " ADD COLUMN IF NOT EXISTS started_at timestamptz NOT NULL,"
                     " ADD COLUMN IF NOT EXISTS finished_at timestamptz,"
                     " ADD COLUMN IF NOT EXISTS success boolean,"
                     " ADD COLUMN IF NOT EXISTS error_message text,"
                     " ADD COLUMN IF NOT EXISTS backfilled boolean NOT NULL DEFAULT FALSE",
                     log.quoted, log.quoted),
        e);
}

static void read_mark(struct arena *arena, const struct db_rows *rows, size_t i,
                      struct db_ledger *ret)
{
    bool pending = db_cell(rows, i, 2) == NULL;
    const char *error = db_cell(rows, i, 4);
    ret->mark = pending ? DB_MARK_PENDING : DB_MARK_FAILED;
    ret->mark_id = db_cell(rows, i, 0);
    ret->mark_down = str_equal(db_cell(rows, i, 1), "f");
    ret->mark_words =
        arena_printf(arena, "%s %s%s%s", pending ? "pending since" : "failed at",
                     db_cell(rows, i, 3), error != NULL ? ": " : "", error != NULL ? error : "");
}

/* Of each version the first row decides: those that were filled in later come last, then the newest. Of several marks the
 * newest is told. */
static int ledger_read(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e)
{
    struct db_table log = {0};
    int rc = find_log(s, &log, e);
    if (rc == 0) {
        rc = db_ledger_exists(s, &log, &ret->exists, e);
    }
    if (rc < 0 || !ret->exists) {
        return rc;
    }
    const char *schema = schema_of(s);
    struct db_rows rows;
    rc = db_query(
        s, arena,
        arena_printf(s->arena,
                     "SELECT version::text, up, success, to_char(coalesce(finished_at, started_at)"
                     " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), error_message"
                     " FROM (SELECT *, row_number() OVER (PARTITION BY version"
                     " ORDER BY backfilled, started_at DESC) AS place FROM %s WHERE schema = $1) l"
                     " WHERE place = 1 ORDER BY started_at",
                     log.quoted),
        &schema, 1, &rows, e);
    if (rc < 0) {
        return rc;
    }
    const char **ids = arena_array(arena, MAX(rows.count, 1), sizeof(*ids));
    size_t count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        if (!str_equal(db_cell(&rows, i, 2), "t")) {
            read_mark(arena, &rows, i, ret);
        } else if (str_equal(db_cell(&rows, i, 1), "t")) {
            ids[count++] = db_cell(&rows, i, 0);
        }
    }
    ret->ids = (struct strings){.items = ids, .count = count};
    return 0;
}

/* What becomes of the pending row, and what a new row has where there is none. */
struct change {
    const char *set;
    const char *columns, *values; /* beside the layout, $1 schema, $2 version and $3 up */
    const char *words;            /* $4; NULL: not used */
};

/* One statement, whatever the log's length: the pending row can only be the last one of its schema. */
static int change_pending(struct db_session *s, const struct migration_item *item, bool down,
                          const struct change *change, struct error *e)
{
    struct db_table log = {0};
    int rc = find_log(s, &log, e);
    if (rc < 0) {
        return rc;
    }
    const char *params[] = {schema_of(s), arena_printf(s->arena, "%" PRId64, item->version),
                            down ? "false" : "true", change->words};
    const char *sql = arena_printf(
        s->arena,
        "WITH last AS (SELECT id, version, up, success FROM %s WHERE schema = $1"
        " ORDER BY id DESC LIMIT 1),"
        " changed AS (UPDATE %s SET %s WHERE id = (SELECT id FROM last WHERE success IS NULL"
        " AND version = $2::int AND up = $3::bool) RETURNING id)"
        " INSERT INTO %s (migration_logs_schema_version, schema, version, up, %s)"
        " SELECT " LOG_LAYOUT
        ", $1, $2::int, $3::bool, %s WHERE NOT EXISTS (SELECT 1 FROM changed)",
        log.quoted, log.quoted, change->set, log.quoted, change->columns, change->values);
    return db_query(s, s->arena, sql, params, change->words != NULL ? 4 : 3, NULL, e);
}

static int ledger_begin(struct db_session *s, const struct migration_item *item, bool down,
                        struct error *e)
{
    static const struct change change = {
        .set = "started_at = now()", .columns = "started_at", .values = "now()"};
    return change_pending(s, item, down, &change, e);
}

static int ended_well(struct db_session *s, const struct migration_item *item, bool down,
                      struct error *e)
{
    static const struct change change = {.set = "finished_at = now(), success = true",
                                         .columns = "started_at, finished_at, success",
                                         .values = "now(), now(), true"};
    return change_pending(s, item, down, &change, e);
}

static int ledger_up(struct db_session *s, const struct migration_item *item, struct error *e)
{
    return ended_well(s, item, false, e);
}

static int ledger_down(struct db_session *s, const struct migration_item *item, struct error *e)
{
    return ended_well(s, item, true, e);
}

static int ledger_failed(struct db_session *s, const struct migration_item *item, bool down,
                         const char *words, struct error *e)
{
    const struct change change = {
        .set = "finished_at = now(), success = false, error_message = $4::text",
        .columns = "started_at, finished_at, success, error_message",
        .values = "now(), now(), false, $4::text",
        .words = words != NULL ? words : ""};
    return change_pending(s, item, down, &change, e);
}

/* What was tried since it last went well. */
static int ledger_forget(struct db_session *s, const struct migration_item *item, bool down UNUSED,
                         struct error *e)
{
    struct db_table log = {0};
    int rc = find_log(s, &log, e);
    if (rc < 0) {
        return rc;
    }
    const char *params[] = {schema_of(s), arena_printf(s->arena, "%" PRId64, item->version)};
    return db_query(
        s, s->arena,
        arena_printf(s->arena,
                     "DELETE FROM %s l WHERE schema = $1 AND version = $2::int"
                     " AND success IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM %s w"
                     " WHERE w.schema = l.schema AND w.version = l.version AND w.success"
                     " AND NOT w.backfilled AND w.id > l.id)",
                     log.quoted, log.quoted),
        params, 2, NULL, e);
}

static int advisory_keys(struct db_session *s, struct arena *arena, struct strings *ret,
                         struct error *e UNUSED)
{
    *ret = (struct strings){0};
    if (s->engine->kind == DB_POSTGRES) {
        const char **keys = arena_array(arena, 1, sizeof(*keys));
        keys[0] = arena_printf(arena, "%" PRId32 ",0", key_sourcegraph(schema_of(s)));
        *ret = (struct strings){.items = keys, .count = 1};
    }
    return 0;
}

const struct db_format db_format_sourcegraph = {
    .kind = FORMAT_SOURCEGRAPH,
    .name = NAME,
    .ledger_create = ledger_create,
    .ledger_read = ledger_read,
    .ledger_begin = ledger_begin,
    .ledger_failed = ledger_failed,
    .ledger_forget = ledger_forget,
    .ledger_up = ledger_up,
    .ledger_down = ledger_down,
    .advisory_keys = advisory_keys,
    .advisory_yields = true,
};
