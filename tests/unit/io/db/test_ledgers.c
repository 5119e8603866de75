/* Ledgers at rest: what each format's functions leave, against a second database in which a session executes what the
 * tool's own source executes (written out here, each with the function that it stands in). */
#include "tests/unit/io/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum what { CREATE, BEGIN, UP, DOWN, FAILED, FORGET };

struct step {
    enum what what;
    int item; /* of items[] */
    bool down;
    const char *tool; /* what the tool's session executes in its place */
};

/* Versions 1, 2, 5: the numbers have gaps. */
static const struct migration_item items[] = {{.id = "1", .version = 1, .previous = -1},
                                              {.id = "2", .version = 2, .previous = 1},
                                              {.id = "5", .version = 5, .previous = 2}};

struct both {
    struct fixture ours, tool;
    const struct db_format *format;
    const char *content; /* a query that shows every row of the ledger as one value */
};

static void setup(struct both *p, void (*engine)(struct fixture *), int format, const char *content)
{
    engine(&p->ours);
    engine(&p->tool);
    p->format = db_format_get(format);
    p->content = content;
    assert_non_null(p->format);
}

static void teardown(struct both *p)
{
    fixture_end(&p->ours);
    fixture_end(&p->tool);
}

static int act_out(struct both *p, struct db_session *s, const struct step *step)
{
    const struct migration_item *item = &items[step->item];
    struct error *e = &p->ours.error;
    switch (step->what) {
    case CREATE:
        return p->format->ledger_create(s, e);
    case BEGIN:
        return p->format->ledger_begin(s, item, step->down, e);
    case UP:
        return p->format->ledger_up(s, item, e);
    case DOWN:
        return p->format->ledger_down(s, item, e);
    case FAILED:
        return p->format->ledger_failed(s, item, step->down, "it broke", e);
    case FORGET:
        return p->format->ledger_forget(s, item, step->down, e);
    }
    return -1;
}

/* Each step in a transaction of its own, as for a script that cannot be wrapped; after each the two are equal. */
static void play(struct both *p, const struct step *steps, size_t count)
{
    struct fixture *f = &p->ours;
    struct db_session s = {0};
    fixture_open(f, &s, "run-1");
    for (size_t i = 0; i < count; i++) {
        assert_ok(steps[i].what == CREATE ? 0 : db_begin(&s, &f->error));
        assert_ok(act_out(p, &s, &steps[i]));
        assert_ok(steps[i].what == CREATE ? 0 : db_commit(&s, &f->error));
        fixture_exec(&p->tool, steps[i].tool);
        const char *ours = fixture_value(f, p->content);
        const char *theirs = fixture_value(&p->tool, p->content);
        if (strcmp(ours, theirs) != 0) {
            fail_msg("step %zu: ours %s, the tool's %s", i, ours, theirs);
        }
    }
    db_close(&s);
}

/* The definition as pg_dump writes it. */
static const char *dump_of(struct fixture *f, const char *table)
{
    const char *name = strrchr(f->database.url, '/') + 1;
    FILE *in = popen(arena_printf(&f->arena,
                                  "pg_dump -h %s -p %d -U postgres -s -t '%s' %s"
                                  " | grep -v -e '^--' -e '^.restrict' -e '^.unrestrict'",
                                  f->server->dir, f->server->port, table, name),
                     "r");
    char *text = arena_alloc(&f->arena, 65536);
    size_t len = fread(text, 1, 65535, in);
    text[len] = '\0';
    assert_int_equal(pclose(in), 0);
    assert_has(text, "CREATE TABLE");
    return text;
}

static void same_definition(struct both *p, const char *table)
{
    assert_string_equal(dump_of(&p->ours, table), dump_of(&p->tool, table));
}

static struct db_ledger read_ledger(struct both *p)
{
    struct fixture *f = &p->ours;
    struct db_session s = {0};
    struct db_ledger ledger = {0};
    fixture_open(f, &s, "run-1");
    assert_ok(db_ledger_read(&s, &f->arena, (int)p->format->kind, NULL, &ledger, &f->error));
    db_close(&s);
    return ledger;
}

static int refused(struct both *p)
{
    struct fixture *f = &p->ours;
    struct db_session s = {0};
    struct db_ledger ledger = {0};
    fixture_open(f, &s, "run-1");
    int rc = db_ledger_read(&s, &f->arena, (int)p->format->kind, NULL, &ledger, &f->error);
    db_close(&s);
    return rc;
}

static const char *ids_of(struct both *p, const struct db_ledger *ledger)
{
    return ledger->ids.count > 0 ? str_join(&p->ours.arena, ledger->ids.items, ledger->ids.count)
                                 : "";
}

/* ---- golang-migrate ---- */

#define GOLANG_CONTENT(table)                                                                      \
    "SELECT coalesce(string_agg(version || ' ' || dirty, ';'), 'no row') FROM " table

/* database/postgres/postgres.go ensureVersionTable() */
#define GOLANG_CREATE(table)                                                                       \
    "CREATE TABLE IF NOT EXISTS " table                                                            \
    " (version bigint not null primary key, dirty boolean not null)"
/* database/postgres/postgres.go SetVersion(); migrate.go runMigrations() calls it before and after a script, with the
 * migration's TargetVersion: on the way down the version before it, -1 below the first */
#define GOLANG_SET(table, version, dirty)                                                          \
    "BEGIN; TRUNCATE " table "; INSERT INTO " table " (version, dirty) VALUES (" version           \
    ", " dirty "); COMMIT"
#define GOLANG_NIL(table) "BEGIN; TRUNCATE " table "; COMMIT"
#define GOLANG_STEPS(table)                                                                        \
    {                                                                                              \
        {CREATE, 0, false, GOLANG_CREATE(table)},                                                  \
            {BEGIN, 0, false, GOLANG_SET(table, "1", "true")},                                     \
            {UP, 0, false, GOLANG_SET(table, "1", "false")},                                       \
            {UP, 1, false, GOLANG_SET(table, "2", "false")},                                       \
            {BEGIN, 2, false, GOLANG_SET(table, "5", "true")},                                     \
            {BEGIN, 2, false, GOLANG_SET(table, "5", "true")},                                     \
            {UP, 2, false, GOLANG_SET(table, "5", "false")},                                       \
            {BEGIN, 2, true, GOLANG_SET(table, "2", "true")},                                      \
            {DOWN, 2, true, GOLANG_SET(table, "2", "false")},                                      \
            {DOWN, 1, true, GOLANG_SET(table, "1", "false")},                                      \
            {BEGIN, 0, true, GOLANG_SET(table, "-1", "true")}, {DOWN, 0, true, GOLANG_NIL(table)}, \
            {UP, 0, false, GOLANG_SET(table, "1", "false")},                                       \
    }

static void golang_migrates_row_is_what_the_tool_leaves(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = GOLANG_STEPS("\"public\".\"schema_migrations\"");
    setup(p, fixture_postgres, FORMAT_GOLANG_MIGRATE, GOLANG_CONTENT("schema_migrations"));
    play(p, steps, ARRAY_SIZE(steps));
    same_definition(p, "schema_migrations");
    /* As if the second had never begun, up and down. */
    static const struct step forgets[] = {
        {BEGIN, 1, false, GOLANG_SET("schema_migrations", "2", "true")},
        {FORGET, 1, false, GOLANG_SET("schema_migrations", "1", "false")},
        {BEGIN, 0, true, GOLANG_SET("schema_migrations", "-1", "true")},
        {FORGET, 0, true, GOLANG_SET("schema_migrations", "1", "false")}};
    play(p, forgets, ARRAY_SIZE(forgets));
    teardown(p);
}

static void a_ledger_has_its_own_schema_and_name(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = GOLANG_STEPS("\"App\".\"my-migrations\"");
    setup(p, fixture_postgres, FORMAT_GOLANG_MIGRATE, GOLANG_CONTENT("\"App\".\"my-migrations\""));
    p->ours.database.ledger = "App.my-migrations";
    fixture_exec(&p->ours, "CREATE SCHEMA \"App\"");
    fixture_exec(&p->tool, "CREATE SCHEMA \"App\"");
    play(p, steps, ARRAY_SIZE(steps));
    same_definition(p, "\"App\".\"my-migrations\"");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    teardown(p);
}

/* The tool writes CURRENT_SCHEMA() into its statements: what a script sets later does not matter. */
static void the_roles_search_path_says_where_a_ledger_is(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_GOLANG_MIGRATE, GOLANG_CONTENT("app.schema_migrations"));
    struct fixture *f = &p->ours;
    fixture_exec(f, "CREATE SCHEMA app; CREATE TABLE public.schema_migrations (other text)");
    fixture_exec(f, arena_printf(&f->arena, "ALTER DATABASE \"%s\" SET search_path = app, public",
                                 strrchr(f->database.url, '/') + 1));
    struct db_session s = {0};
    fixture_open(f, &s, "run-1");
    assert_ok(p->format->ledger_create(&s, &f->error));
    assert_ok(db_exec(&s, "SELECT set_config('search_path', '', false)", &f->error));
    assert_ok(p->format->ledger_up(&s, &items[0], &f->error));
    db_close(&s);
    assert_string_equal(fixture_value(f, p->content), "1 false");
    fixture_exec(f, "DROP SCHEMA app CASCADE; DROP SCHEMA public CASCADE");
    assert_int_equal(refused(p), E_INVALID);
    assert_has(f->error.message, "search_path");
    teardown(p);
}

static void golang_migrates_dirty_row_is_read_as_pending(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_GOLANG_MIGRATE, NULL);
    struct db_ledger ledger = read_ledger(p);
    assert_false(ledger.exists);
    fixture_exec(&p->ours, GOLANG_CREATE("schema_migrations"));
    ledger = read_ledger(p);
    assert_true(ledger.exists);
    assert_int_equal(ledger.ids.count, 0);
    fixture_exec(&p->ours, GOLANG_SET("schema_migrations", "20250102030405", "true"));
    ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "20250102030405");
    assert_int_equal(ledger.mark, DB_MARK_PENDING);
    assert_string_equal(ledger.mark_id, "20250102030405");
    assert_string_equal(ledger.mark_words, "dirty");
    fixture_exec(&p->ours, GOLANG_SET("schema_migrations", "-1", "true"));
    ledger = read_ledger(p);
    assert_int_equal(ledger.ids.count, 0);
    assert_int_equal(ledger.mark, DB_MARK_PENDING);
    assert_true(ledger.mark_down);
    fixture_exec(&p->ours, "INSERT INTO schema_migrations VALUES (3, false)");
    assert_int_equal(refused(p), E_CONFLICT);
    assert_has(p->ours.error.message, "more than one row");
    teardown(p);
}

/* SQLite's own text of everything that was made, without what only blanks differ in. */
#define LITE_MASTER                                                                                \
    "SELECT replace(replace(replace(replace(group_concat(sql, ';'), char(10), ' '), char(9), '')," \
    " '( ', '('), ' )', ')') FROM (SELECT sql FROM sqlite_master WHERE name NOT LIKE 'lockstep%'"  \
    " AND name <> 'made' AND sql IS NOT NULL ORDER BY name)"

static void same_text(struct both *p)
{
    assert_string_equal(fixture_value(&p->ours, LITE_MASTER), fixture_value(&p->tool, LITE_MASTER));
}

/* database/sqlite3/sqlite3.go ensureVersionTable() and SetVersion() */
#define LITE_SET(version, dirty)                                                                   \
    "BEGIN; DELETE FROM schema_migrations; INSERT INTO schema_migrations (version, dirty)"         \
    " VALUES (" version ", " dirty "); COMMIT"

static void golang_migrates_row_on_sqlite(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = {
        {CREATE, 0, false,
         "CREATE TABLE IF NOT EXISTS schema_migrations (version uint64,dirty bool);\n"
         "  CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON schema_migrations (version);\n"},
        {BEGIN, 0, false, LITE_SET("1", "1")},
        {UP, 0, false, LITE_SET("1", "0")},
        {UP, 1, false, LITE_SET("2", "0")},
        {BEGIN, 1, true, LITE_SET("1", "1")},
        {DOWN, 1, true, LITE_SET("1", "0")},
        {BEGIN, 0, true, LITE_SET("-1", "1")},
        {DOWN, 0, true, "BEGIN; DELETE FROM schema_migrations; COMMIT"},
        {UP, 0, false, LITE_SET("1", "0")}};
    setup(p, fixture_sqlite, FORMAT_GOLANG_MIGRATE,
          "SELECT group_concat(version || ' ' || dirty || ' ' || typeof(version) || ' ' ||"
          " typeof(dirty), ';') FROM schema_migrations");
    play(p, steps, ARRAY_SIZE(steps));
    same_text(p);
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    p->ours.database.ledger = "app.migrations";
    assert_int_equal(refused(p), E_INVALID);
    assert_has(p->ours.error.message, "SQLite has no schemas");
    teardown(p);
}

/* ---- goose ---- */

/* internal/dialects/postgres.go CreateTable(), InsertVersion(), DeleteVersion(); provider_run.go tryEnsureVersionTable()
 * puts version 0 in, maybeInsertOrDelete() the others */
#define GOOSE_INSERT(version)                                                                      \
    "INSERT INTO goose_db_version (version_id, is_applied) VALUES (" version ", true)"
#define GOOSE_CREATE                                                                               \
    "BEGIN; CREATE TABLE goose_db_version (\n\t\tid integer PRIMARY KEY GENERATED BY DEFAULT AS "  \
    "IDENTITY,\n\t\tversion_id bigint NOT NULL,\n\t\tis_applied boolean NOT NULL,\n\t\ttstamp "    \
    "timestamp NOT NULL DEFAULT now()\n\t); " GOOSE_INSERT("0") "; COMMIT"
#define GOOSE_DELETE(version) "DELETE FROM goose_db_version WHERE version_id=" version

static void gooses_rows_are_what_the_tool_leaves(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = {
        {CREATE, 0, false, GOOSE_CREATE},   {UP, 0, false, GOOSE_INSERT("1")},
        {UP, 1, false, GOOSE_INSERT("2")},  {UP, 2, false, GOOSE_INSERT("5")},
        {DOWN, 2, true, GOOSE_DELETE("5")}, {DOWN, 1, true, GOOSE_DELETE("2")},
        {UP, 1, false, GOOSE_INSERT("2")},  {DOWN, 1, true, GOOSE_DELETE("2")},
        {DOWN, 0, true, GOOSE_DELETE("1")}, {UP, 0, false, GOOSE_INSERT("1")},
    };
    setup(p, fixture_postgres, FORMAT_GOOSE,
          "SELECT string_agg(id || ' ' || version_id || ' ' || is_applied || ' ' ||"
          " (tstamp IS NOT NULL), ';' ORDER BY id) FROM goose_db_version");
    play(p, steps, ARRAY_SIZE(steps));
    same_definition(p, "goose_db_version");
    assert_string_equal(fixture_value(&p->ours, p->content), "1 0 true true;6 1 true true");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    /* A row that is gone already is not taken back twice. */
    struct db_session s = {0};
    fixture_open(&p->ours, &s, "run-1");
    assert_int_equal(p->format->ledger_down(&s, &items[2], &p->ours.error), E_CONFLICT);
    db_close(&s);
    teardown(p);
}

static void of_gooses_rows_the_newest_decides(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_GOOSE, NULL);
    fixture_exec(&p->ours, GOOSE_CREATE);
    fixture_exec(&p->ours, "INSERT INTO goose_db_version (version_id, is_applied) VALUES"
                           " (1, true), (2, true), (2, false), (3, false), (3, true), (10, true)");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1, 10 and 3");
    assert_int_equal(ledger.mark, DB_MARK_NONE);
    fixture_exec(&p->ours, "TRUNCATE goose_db_version");
    assert_int_equal(refused(p), E_CONFLICT);
    assert_has(p->ours.error.message, "VALUES (0, true)");
    teardown(p);
}

/* internal/dialects/sqlite3.go */
static void gooses_rows_on_sqlite(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
#define GOOSE_LITE(version)                                                                        \
    "INSERT INTO goose_db_version (version_id, is_applied) VALUES (" version ", 1)"
    static const struct step steps[] = {
        {CREATE, 0, false,
         "BEGIN; CREATE TABLE goose_db_version (\n\t\tid INTEGER PRIMARY KEY AUTOINCREMENT,\n\t\t"
         "version_id INTEGER NOT NULL,\n\t\tis_applied INTEGER NOT NULL,\n\t\t"
         "tstamp TIMESTAMP DEFAULT (datetime('now'))\n\t); " GOOSE_LITE("0") "; COMMIT"},
        {UP, 0, false, GOOSE_LITE("1")},
        {UP, 1, false, GOOSE_LITE("2")},
        {DOWN, 1, true, GOOSE_DELETE("2")},
        {UP, 1, false, GOOSE_LITE("2")},
    };
    setup(p, fixture_sqlite, FORMAT_GOOSE,
          "SELECT group_concat(id || ' ' || version_id || ' ' || is_applied || ' ' ||"
          " typeof(is_applied) || ' ' || length(tstamp), ';') FROM goose_db_version");
    play(p, steps, ARRAY_SIZE(steps));
    same_text(p);
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1 and 2");
    teardown(p);
}

/* ---- Sourcegraph ---- */

/* internal/database/migration/store/store.go EnsureSchemaTable() */
#define SG_CREATE                                                                                  \
    "BEGIN; CREATE TABLE IF NOT EXISTS migration_logs(id SERIAL PRIMARY KEY);"                     \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS migration_logs_schema_version integer "   \
    "NOT NULL;"                                                                                    \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS schema text NOT NULL;"                    \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS version integer NOT NULL;"                \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS up bool NOT NULL;"                        \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS started_at timestamptz NOT NULL;"         \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS finished_at timestamptz;"                 \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS success boolean;"                         \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS error_message text;"                      \
    "ALTER TABLE migration_logs ADD COLUMN IF NOT EXISTS backfilled boolean NOT NULL DEFAULT "     \
    "FALSE; COMMIT"
/* createMigrationLog(), and the end of WithMigrationLog() with the id that it returned */
#define SG_BEGIN(schema, version, up)                                                              \
    "INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up, started_at)"  \
    " VALUES (2, '" schema "', " version ", " up ", NOW())"
#define SG_END(success, message)                                                                   \
    "UPDATE migration_logs SET finished_at = NOW(), success = " success                            \
    ", error_message = " message " WHERE id = (SELECT max(id) FROM migration_logs)"
#define SG_RUN(schema, version, up) SG_BEGIN(schema, version, up) ";" SG_END("true", "NULL")
#define SG_CONTENT                                                                                 \
    "SELECT coalesce(string_agg(concat_ws(' ', id, migration_logs_schema_version, schema,"         \
    " version, up, started_at IS NOT NULL, coalesce((finished_at >= started_at)::text, 'open'),"   \
    " coalesce(success::text, 'null'), coalesce(error_message, 'null'), backfilled), ';'"          \
    " ORDER BY id), '') FROM migration_logs"

static void sourcegraphs_log_is_what_the_tool_leaves(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
#define SG "schema_migrations"
    static const struct step steps[] = {
        {CREATE, 0, false, SG_CREATE},
        {BEGIN, 0, false, SG_BEGIN(SG, "1", "true")},
        {UP, 0, false, SG_END("true", "NULL")},
        {UP, 1, false, SG_RUN(SG, "2", "true")}, /* both in one transaction: the same row */
        {BEGIN, 2, false, SG_BEGIN(SG, "5", "true")},
        {FAILED, 2, false, SG_END("false", "'it broke'")},
        {BEGIN, 2, false, SG_BEGIN(SG, "5", "true")}, /* tried again: a new row */
        {UP, 2, false, SG_END("true", "NULL")},
        {BEGIN, 2, true, SG_BEGIN(SG, "5", "false")},
        {FAILED, 2, true, SG_END("false", "'it broke'")},
        {DOWN, 2, true, SG_RUN(SG, "5", "false")},
        {UP, 2, false, SG_RUN(SG, "5", "true")},
    };
    setup(p, fixture_postgres, FORMAT_SOURCEGRAPH, SG_CONTENT);
    play(p, steps, ARRAY_SIZE(steps));
    same_definition(p, "migration_logs");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1, 2 and 5");
    assert_int_equal(ledger.mark, DB_MARK_NONE);
    teardown(p);
}

/* The one place where we leave less than the tool: a crash leaves one pending row, and the retry ends that row. */
static void a_pending_row_is_ended_by_the_retry(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_SOURCEGRAPH, SG_CONTENT);
    static const struct step steps[] = {
        {CREATE, 0, false, SG_CREATE},
        {BEGIN, 0, false, SG_BEGIN(SG, "1", "true")},
        {BEGIN, 0, false, "SELECT 1"},
        {UP, 0, false, SG_END("true", "NULL")},
        /* Forgotten: what was tried since it last went well, and nothing before. */
        {BEGIN, 0, true, SG_BEGIN(SG, "1", "false")},
        {FAILED, 0, true, SG_END("false", "'it broke'")},
        {FORGET, 0, true, "DELETE FROM migration_logs WHERE NOT success"},
    };
    play(p, steps, ARRAY_SIZE(steps));
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    teardown(p);
}

static void a_log_belongs_to_one_of_three_schemas(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_SOURCEGRAPH, SG_CONTENT);
    p->ours.database.ledger = "codeintel_schema_migrations";
    static const struct step steps[] = {
        {CREATE, 0, false, SG_CREATE},
        {UP, 0, false, SG_RUN("codeintel_schema_migrations", "1", "true")},
    };
    play(p, steps, ARRAY_SIZE(steps));
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    p->ours.database.ledger = NULL;
    ledger = read_ledger(p);
    assert_true(ledger.exists);
    assert_int_equal(ledger.ids.count, 0);
    teardown(p);
}

/* versionsQuery, and Versions() on its rows */
static void of_sourcegraphs_rows_the_first_decides(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_postgres, FORMAT_SOURCEGRAPH, NULL);
    fixture_exec(&p->ours, SG_CREATE);
    fixture_exec(
        &p->ours,
        "INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up,"
        " started_at, finished_at, success, error_message, backfilled) VALUES"
        " (2, 'schema_migrations', 1, true, '2024-01-01', '2024-01-01', true, NULL, false),"
        " (2, 'schema_migrations', 1, true, '2024-01-03', '2024-01-03', false, 'x', true),"
        " (2, 'schema_migrations', 2, true, '2024-01-02', '2024-01-02', true, NULL, false),"
        " (2, 'schema_migrations', 2, false, '2024-01-03', '2024-01-03', true, NULL, false),"
        " (2, 'schema_migrations', 3, true, '2024-01-09', NULL, NULL, NULL, true),"
        " (2, 'schema_migrations', 3, true, '2024-01-02', '2024-01-02', true, NULL, false),"
        " (2, 'other', 4, true, '2024-01-02', '2024-01-02', true, NULL, false)");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1 and 3");
    assert_int_equal(ledger.mark, DB_MARK_NONE);
    fixture_exec(&p->ours,
                 "INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up,"
                 " started_at, finished_at, success, error_message) VALUES"
                 " (2, 'schema_migrations', 3, false, '2024-02-01 10:00+00', '2024-02-01 10:01+00',"
                 " false, 'no such table')");
    ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1");
    assert_int_equal(ledger.mark, DB_MARK_FAILED);
    assert_string_equal(ledger.mark_id, "3");
    assert_true(ledger.mark_down);
    assert_string_equal(ledger.mark_words, "failed at 2024-02-01T10:01:00Z: no such table");
    fixture_exec(&p->ours,
                 "INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up,"
                 " started_at) VALUES (2, 'schema_migrations', 7, true, '2024-02-02 10:00+00')");
    ledger = read_ledger(p);
    assert_int_equal(ledger.mark, DB_MARK_PENDING);
    assert_string_equal(ledger.mark_id, "7");
    assert_false(ledger.mark_down);
    assert_string_equal(ledger.mark_words, "pending since 2024-02-02T10:00:00Z");
    teardown(p);
}

static void sourcegraph_has_no_sqlite(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_sqlite, FORMAT_SOURCEGRAPH, NULL);
    assert_int_equal(refused(p), E_INVALID);
    assert_has(p->ours.error.message, "Sourcegraph's, which has no ledger on SQLite");
    struct db_session s = {0};
    fixture_open(&p->ours, &s, "run-1");
    assert_int_equal(p->format->ledger_create(&s, &p->ours.error), E_INVALID);
    assert_int_equal(p->format->ledger_up(&s, &items[0], &p->ours.error), E_INVALID);
    db_close(&s);
    teardown(p);
}

/* ---- morph ---- */

/* drivers/postgres/postgres.go createSchemaTableIfNotExists() and addMigrationQuery() */
static void morphs_rows_are_what_the_tool_leaves(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
#define MORPH "db_config_migrations"
    static const struct step steps[] = {
        {CREATE, 0, false,
         "CREATE TABLE IF NOT EXISTS " MORPH
         " (version bigint not null primary key, name varchar not null)"},
        {UP, 0, false, "INSERT INTO " MORPH " (version, name) VALUES (1, '1')"},
        {UP, 1, false, "INSERT INTO " MORPH " (version, name) VALUES (2, '2')"},
        {DOWN, 1, true, "DELETE FROM " MORPH " WHERE (Version=2 AND NAME='2')"},
        {UP, 1, false, "INSERT INTO " MORPH " (version, name) VALUES (2, '2')"},
    };
    setup(p, fixture_postgres, FORMAT_MORPH,
          "SELECT string_agg(version || ' ' || name, ';' ORDER BY version) FROM " MORPH);
    p->ours.database.ledger = MORPH;
    play(p, steps, ARRAY_SIZE(steps));
    same_definition(p, MORPH);
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1 and 2");
    teardown(p);
}

/* ---- MariaDB ---- */

/* The definition in the server's own words. */
static void same_table(struct both *p, const char *table)
{
    const char *sql = arena_printf(&p->ours.arena,
                                   "SELECT GROUP_CONCAT(CONCAT_WS(' ', COLUMN_NAME, COLUMN_TYPE,"
                                   " IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_KEY) ORDER BY"
                                   " ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE"
                                   " TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '%s'",
                                   table);
    assert_has(fixture_value(&p->ours, sql), "bigint(20) NO");
    assert_string_equal(fixture_value(&p->ours, sql), fixture_value(&p->tool, sql));
    sql =
        arena_printf(&p->ours.arena,
                     "SELECT CONCAT_WS(' ', ENGINE, TABLE_COLLATION) FROM information_schema.TABLES"
                     " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '%s'",
                     table);
    assert_string_equal(fixture_value(&p->ours, sql), fixture_value(&p->tool, sql));
}

/* database/mysql/mysql.go ensureVersionTable(), SetVersion() */
#define MYSQL_SET(version, dirty)                                                                  \
    "START TRANSACTION; DELETE FROM `schema_migrations` LIMIT 1; INSERT INTO `schema_migrations`"  \
    " (version, dirty) VALUES (" version ", " dirty "); COMMIT"

static void golang_migrates_row_on_mariadb(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = {
        {CREATE, 0, false,
         "CREATE TABLE `schema_migrations` (version bigint not null primary key, dirty boolean not "
         "null)"},
        {BEGIN, 0, false, MYSQL_SET("1", "true")},
        {UP, 0, false, MYSQL_SET("1", "false")},
        {UP, 1, false, MYSQL_SET("2", "false")},
        {BEGIN, 1, true, MYSQL_SET("1", "true")},
        {DOWN, 1, true, MYSQL_SET("1", "false")},
        {BEGIN, 0, true, MYSQL_SET("-1", "true")},
        {DOWN, 0, true, "DELETE FROM `schema_migrations` LIMIT 1"},
        {UP, 0, false, MYSQL_SET("1", "false")},
        {BEGIN, 1, false, MYSQL_SET("2", "true")},
    };
    setup(p, fixture_mariadb, FORMAT_GOLANG_MIGRATE,
          "SELECT COALESCE(GROUP_CONCAT(CONCAT(version, ' ', dirty)), 'no row') FROM"
          " schema_migrations");
    play(p, steps, ARRAY_SIZE(steps));
    same_table(p, "schema_migrations");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "2");
    assert_int_equal(ledger.mark, DB_MARK_PENDING);
    teardown(p);
}

/* database/mysql/mysql.go Lock(): GET_LOCK of GenerateAdvisoryLockId("DATABASE:TABLE"). */
static void golang_migrates_lock_on_mariadb_is_the_tools(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    struct strings keys = {0};
    fixture_open(f, &s, "run-1");
    const struct db_format *format = db_format_get(FORMAT_GOLANG_MIGRATE);
    assert_ok(format->advisory_keys(&s, &f->arena, &keys, &f->error));
    assert_int_equal(keys.count, 1);
    /* The server's own CRC32, times the tool's salt, modulo 2^32. */
    assert_string_equal(
        keys.items[0],
        fixture_value(f, "SELECT CRC32(CONCAT(DATABASE(), ':schema_migrations')) * 1486364155"
                         " MOD 4294967296"));
    db_close(&s);
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    fixture_open(f, &s, "tool");
    bool got = false;
    assert_ok(s.engine->advisory_try(&s, keys.items[0], &got, &f->error));
    assert_true(got);
    assert_int_equal(fixture_lock(f, &other, FORMAT_GOLANG_MIGRATE, 700), E_TIMEOUT);
    assert_has(f->error.message, arena_printf(&f->arena, "%lld", (long long)s.backend_pid));
    assert_ok(s.engine->advisory_release(&s, keys.items[0], &f->error));
    assert_ok(fixture_lock(f, &other, FORMAT_GOLANG_MIGRATE, 3000));
    assert_ok(s.engine->advisory_try(&s, keys.items[0], &got, &f->error));
    assert_false(got); /* now the tool waits */
    assert_ok(fixture_unlock(f, &other, FORMAT_GOLANG_MIGRATE));
    assert_ok(s.engine->advisory_try(&s, keys.items[0], &got, &f->error));
    assert_true(got);
    db_close(&s);
    fixture_end(f);
}

/* internal/dialects/mysql.go CreateTable(); the rows as on PostgreSQL */
static void gooses_rows_on_mariadb(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = {
        {CREATE, 0, false,
         "CREATE TABLE goose_db_version (\n\t\tid bigint(20) unsigned NOT NULL "
         "AUTO_INCREMENT,\n\t\t"
         "version_id bigint NOT NULL,\n\t\tis_applied boolean NOT NULL,\n\t\ttstamp timestamp "
         "NULL default now(),\n\t\tPRIMARY KEY(id)\n\t); " GOOSE_INSERT("0")},
        {UP, 0, false, GOOSE_INSERT("1")},
        {UP, 1, false, GOOSE_INSERT("2")},
        {DOWN, 1, true, GOOSE_DELETE("2")},
        {UP, 1, false, GOOSE_INSERT("2")},
    };
    setup(p, fixture_mariadb, FORMAT_GOOSE,
          "SELECT GROUP_CONCAT(CONCAT_WS(' ', id, version_id, is_applied, tstamp IS NULL) ORDER BY"
          " id SEPARATOR ';') FROM goose_db_version");
    play(p, steps, ARRAY_SIZE(steps));
    same_table(p, "goose_db_version");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1 and 2");
    /* A maker that died between the table and its first row. */
    fixture_exec(&p->ours, "DELETE FROM goose_db_version");
    assert_int_equal(refused(p), E_CONFLICT);
    struct db_session s = {0};
    fixture_open(&p->ours, &s, "run-1");
    struct fixture *f = &p->ours;
    assert_ok(p->format->ledger_create(&s, &f->error));
    db_close(&s);
    ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "");
    teardown(p);
}

/* drivers/mysql/mysql.go createSchemaTableIfNotExists(), addMigrationQuery() */
static void morphs_rows_on_mariadb(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    static const struct step steps[] = {
        {CREATE, 0, false,
         "CREATE TABLE IF NOT EXISTS db_migrations (Version bigint(20) NOT NULL, Name varchar(64) "
         "NOT NULL, PRIMARY KEY (Version)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"},
        {UP, 0, false, "INSERT INTO db_migrations (Version, Name) VALUES (1, '1')"},
        {UP, 1, false, "INSERT INTO db_migrations (Version, Name) VALUES (2, '2')"},
        {DOWN, 1, true, "DELETE FROM db_migrations WHERE (Version=2 AND NAME='2')"},
        {UP, 1, false, "INSERT INTO db_migrations (Version, Name) VALUES (2, '2')"},
    };
    setup(p, fixture_mariadb, FORMAT_MORPH,
          "SELECT GROUP_CONCAT(CONCAT_WS(' ', Version, Name) ORDER BY Version) FROM db_migrations");
    play(p, steps, ARRAY_SIZE(steps));
    same_table(p, "db_migrations");
    struct db_ledger ledger = read_ledger(p);
    assert_string_equal(ids_of(p, &ledger), "1 and 2");
    teardown(p);
}

static void sourcegraph_has_no_mariadb(void **state)
{
    (void)state;
    struct both pair, *p = &pair;
    setup(p, fixture_mariadb, FORMAT_SOURCEGRAPH, NULL);
    assert_int_equal(refused(p), E_INVALID);
    assert_has(p->ours.error.message, "no ledger on MariaDB");
    teardown(p);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golang_migrates_row_is_what_the_tool_leaves),
        cmocka_unit_test(a_ledger_has_its_own_schema_and_name),
        cmocka_unit_test(the_roles_search_path_says_where_a_ledger_is),
        cmocka_unit_test(golang_migrates_dirty_row_is_read_as_pending),
        cmocka_unit_test(golang_migrates_row_on_sqlite),
        cmocka_unit_test(gooses_rows_are_what_the_tool_leaves),
        cmocka_unit_test(of_gooses_rows_the_newest_decides),
        cmocka_unit_test(gooses_rows_on_sqlite),
        cmocka_unit_test(sourcegraphs_log_is_what_the_tool_leaves),
        cmocka_unit_test(a_pending_row_is_ended_by_the_retry),
        cmocka_unit_test(a_log_belongs_to_one_of_three_schemas),
        cmocka_unit_test(of_sourcegraphs_rows_the_first_decides),
        cmocka_unit_test(sourcegraph_has_no_sqlite),
        cmocka_unit_test(morphs_rows_are_what_the_tool_leaves),
        cmocka_unit_test(golang_migrates_row_on_mariadb),
        cmocka_unit_test(golang_migrates_lock_on_mariadb_is_the_tools),
        cmocka_unit_test(gooses_rows_on_mariadb),
        cmocka_unit_test(morphs_rows_on_mariadb),
        cmocka_unit_test(sourcegraph_has_no_mariadb),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
