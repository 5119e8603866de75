/* The actions that look, record, back up and run one statement. */
#include "tests/unit/io/db/fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io/platform/files.h"

static json_t *facts_of(struct fixture *f)
{
    assert_non_null(f->act.facts);
    json_t *json = json_loads(f->act.facts, 0, NULL);
    assert_non_null(json);
    return json;
}

static int ledger(struct fixture *f, struct db_ledger_action a)
{
    a.database = f->database;
    struct action action = {.db_ledger = &a};
    f->act.facts = NULL;
    return act_db_ledger(&f->act, &action, &f->error);
}

static void native_ledger(struct fixture *f)
{
    const char *two[] = {"a", "b"};
    const char *other[] = {"a", "c"};
    struct db_ledger_action a = {.format = FORMAT_MORPH, .expect_count = -1};
    assert_ok(ledger(f, a)); /* none yet, none expected: and none is made */
    fixture_exec(f, "CREATE TABLE db_migrations (version bigint not null primary key, name "
                    "varchar(64) not null);"
                    "INSERT INTO db_migrations VALUES (2, 'b'), (1, 'a')");
    a.expect_ids = (struct strings){.items = two, .count = 2};
    assert_ok(ledger(f, a));
    assert_string_equal(f->act.facts, "{\"already\":false,\"rows\":2}");
    a.expect_ids.items = other;
    assert_int_equal(ledger(f, a), E_CONFLICT);
    assert_has(f->error.message, "lacking: c");
    assert_has(f->error.message, "not expected: b");
    /* Before a delegated migration: it may have run already, and nothing else may. */
    const char *and_b[] = {"a"};
    a.or_done = true;
    a.done_id = "b";
    a.expect_ids = (struct strings){.items = and_b, .count = 1};
    assert_ok(ledger(f, a));
    assert_string_equal(f->act.facts, "{\"already\":true,\"rows\":2}");
    a.done_id = "c";
    assert_int_equal(ledger(f, a), E_CONFLICT);
    const char *without_c[] = {"a", "b", "c"}; /* on the way down */
    a.expect_ids = (struct strings){.items = without_c, .count = 3};
    assert_ok(ledger(f, a));
    assert_string_equal(f->act.facts, "{\"already\":true,\"rows\":2}");
    a.done_id = "b";
    assert_int_equal(ledger(f, a), E_CONFLICT);
}

static void a_native_ledger_is_compared_by_its_set(void **state)
{
    (void)state;
    fixture_everywhere(native_ledger);
}

static void external_ledger(struct fixture *f)
{
    struct ledger where = {.table = "Odd name", .column = "order"};
    struct db_ledger_action a = {.format = FORMAT_EXTERNAL, .ledger = &where, .expect_count = 0};
    assert_ok(ledger(f, a));
    static const char standard[] = "CREATE TABLE \"Odd name\" (\"order\" int); INSERT INTO \"Odd "
                                   "name\" VALUES (1), (2), (3)";
    fixture_exec(f, fixture_pick(f, standard, standard,
                                 "CREATE TABLE `Odd name` (`order` int); INSERT INTO `Odd name` "
                                 "VALUES (1), (2), (3)"));
    a = (struct db_ledger_action){.format = FORMAT_EXTERNAL,
                                  .ledger = &where,
                                  .expect_count = 2,
                                  .or_done = true,
                                  .done_count = 3};
    assert_ok(ledger(f, a));
    assert_string_equal(f->act.facts, "{\"already\":true,\"rows\":3}");
    a.done_count = 5;
    assert_int_equal(ledger(f, a), E_UNKNOWN); /* partial: a person decides */
    assert_has(f->error.message, "has 3 rows");
    assert_has(f->error.message, "half-way");
    a.or_done = false;
    assert_int_equal(ledger(f, a), E_CONFLICT);
    where.column = fixture_pick(f, "x\" FROM made; --", "x\" FROM made; --", "x` FROM made; --");
    assert_int_equal(ledger(f, a), E_INVALID);
}

static void an_external_ledger_is_counted_and_a_partial_one_asks(void **state)
{
    (void)state;
    fixture_everywhere(external_ledger);
}

static void an_external_ledger_may_name_its_schema(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE SCHEMA own; CREATE TABLE own.migrations (name text); INSERT INTO "
                    "own.migrations VALUES ('x')");
    struct ledger where = {.table = "own.migrations", .column = "name"};
    assert_ok(ledger(f, (struct db_ledger_action){
                            .format = FORMAT_EXTERNAL, .ledger = &where, .expect_count = 1}));
    fixture_end(f);
}

static int sql(struct fixture *f, const char *statement)
{
    struct db_sql_action a = {.database = f->database, .statement = statement};
    struct action action = {.sql = &a};
    return act_db_sql(&f->act, &action, &f->error);
}

static void one_statement(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE n (x int)");
    assert_ok(sql(f, "INSERT INTO n VALUES (1)"));
    assert_ok(sql(f, "INSERT INTO n VALUES (1)"));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM n"), "1");
    assert_int_equal(sql(f, "INSERT INTO n VALUES (2)"), E_CONFLICT);
    f->act.step = "4.3";
    assert_int_equal(sql(f, "BEGIN; DELETE FROM n; COMMIT"), E_INVALID);
    assert_int_equal(sql(f, "INSERT INTO nope VALUES (1)"), E_DATABASE);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM n"), "1");
}

static void a_statement_runs_once_with_its_evidence(void **state)
{
    (void)state;
    fixture_everywhere(one_statement);
}

static void checkpoint(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE db_migrations (version bigint not null primary key, name "
                    "varchar(64) not null);"
                    "INSERT INTO db_migrations VALUES (2, 'b'), (1, 'a')");
    struct db_checkpoint_action a = {
        .database = f->database, .format = FORMAT_MORPH, .release = "2.0.0", .schema = 2};
    struct action action = {.db_checkpoint = &a};
    assert_ok(act_db_checkpoint(&f->act, &action, &f->error));
    assert_ok(act_db_checkpoint(&f->act, &action, &f->error));
    json_t *facts = facts_of(f);
    /* printf 'a\nb\n' | sha256sum */
    assert_string_equal(json_string_value(json_object_get(facts, "digest")),
                        "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2");
    json_decref(facts);
    const char *rows =
        fixture_pick(f, "SELECT release || schema || ':' || applied FROM lockstep.checkpoint",
                     "SELECT release || schema || ':' || applied FROM lockstep_checkpoint",
                     "SELECT concat(`release`, `schema`, ':', applied) FROM lockstep_checkpoint");
    assert_string_equal(fixture_value(f, rows), "2.0.02:2");
}

static void a_checkpoint_is_a_set_and_written_once(void **state)
{
    (void)state;
    fixture_everywhere(checkpoint);
}

static void a_tools_own_lock_is_named_or_free(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session tool = {0};
    fixture_open(f, &tool, "x");
    assert_ok(db_exec(&tool,
                      "SET application_name = 'migrator'; SELECT pg_advisory_lock(4097083626), "
                      "pg_advisory_lock(-7, 5)",
                      &f->error));
    static const char *const held[] = {"4097083626", "-7,5"};
    static const char *const not_held[] = {"4097083627", "5,-7", "-7"};
    struct db_tool_lock_action a = {.database = f->database, .wait_ms = 300};
    struct action action = {.db_tool_lock = &a};
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        a.advisory = held[i];
        assert_int_equal(act_db_tool_lock(&f->act, &action, &f->error), E_TIMEOUT);
        assert_has(f->error.message, "(migrator, user postgres from 127.0.0.1");
    }
    for (size_t i = 0; i < ARRAY_SIZE(not_held); i++) {
        a.advisory = not_held[i];
        assert_ok(act_db_tool_lock(&f->act, &action, &f->error));
    }
    a.advisory = "12x";
    assert_int_equal(act_db_tool_lock(&f->act, &action, &f->error), E_INVALID);
    db_close(&tool);
    a.advisory = held[0];
    assert_ok(act_db_tool_lock(&f->act, &action, &f->error));
    fixture_end(f);
}

static int observe(struct fixture *f)
{
    struct db_observe_action a = {.database = f->database, .format = FORMAT_MORPH};
    struct action action = {.db_observe = &a};
    return act_db_observe(&f->act, &action, &f->error);
}

/* What was begun and not ended comes with the observation. */
static void observe_an_intent(struct fixture *f)
{
    struct db_session s = {0};
    const struct db_work up = {.run = "run-1",
                               .step = "4.2",
                               .item = "c",
                               .ledger = "morph",
                               .file = "000003_c.up.sql",
                               .digest = "d",
                               .fence = 7};
    const struct db_progress progress = {.state = "", .line = 7, .statement = "CREATE INDEX x"};
    fixture_open(f, &s, "run-1");
    assert_ok(db_intent_add(&s, &up, &progress, &f->error));
    db_close(&s);
    assert_ok(observe(f));
    json_t *facts = facts_of(f);
    const json_t *open = json_array_get(json_object_get(facts, "open"), 0);
    assert_string_equal(json_string_value(json_object_get(open, "id")), "c");
    assert_true(json_is_true(json_object_get(open, "ours")));
    assert_true(json_is_false(json_object_get(open, "down")));
    assert_has(json_string_value(json_object_get(open, "words")), "run-1 began 000003_c.up.sql");
    assert_has(json_string_value(json_object_get(open, "words")), "line 7: CREATE INDEX x");
    json_decref(facts);
}

static void observe_both(struct fixture *f)
{
    assert_ok(observe(f));
    json_t *facts = facts_of(f);
    assert_true(json_is_false(json_object_get(facts, "ledger_exists")));
    assert_true(json_is_null(json_object_get(facts, "holder")));
    assert_int_equal(json_integer_value(json_object_get(facts, "fence")), 0);
    /* Without a table a MariaDB database is nothing. */
    assert_true(json_integer_value(json_object_get(facts, "bytes")) >
                (f->kind == DB_MARIADB ? -1 : 0));
    assert_int_equal(json_array_size(json_object_get(facts, "applied")), 0);
    assert_has(json_string_value(json_object_get(facts, "engine")),
               fixture_pick(f, "PostgreSQL 1", "SQLite 3", "MariaDB 1"));
    json_decref(facts);
    const char *made =
        fixture_pick(f, "SELECT count(*) FROM pg_namespace WHERE nspname = 'lockstep'",
                     "SELECT count(*) FROM sqlite_master WHERE name LIKE 'lockstep%'",
                     "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
                     "DATABASE() AND TABLE_NAME LIKE 'lockstep%'");
    assert_string_equal(fixture_value(f, made), "0");
    fixture_exec(f, "CREATE TABLE db_migrations (version bigint not null primary key, name "
                    "varchar(64) not null);"
                    "INSERT INTO db_migrations VALUES (1, 'b'), (2, 'a')");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_ok(observe(f));
    facts = facts_of(f);
    assert_string_equal(json_string_value(json_array_get(json_object_get(facts, "applied"), 0)),
                        "a");
    const json_t *holder = json_object_get(facts, "holder");
    assert_string_equal(json_string_value(json_object_get(holder, "run")), "run-1");
    assert_true(json_is_true(json_object_get(holder, "held")));
    assert_int_equal(json_integer_value(json_object_get(facts, "fence")), 7);
    assert_int_equal(json_array_size(json_object_get(facts, "open")), 0);
    json_decref(facts);
    observe_an_intent(f);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
}

static void observing_changes_nothing(void **state)
{
    (void)state;
    fixture_everywhere(observe_both);
}

static const char *first_table(struct fixture *f, int64_t *ret_bytes, int64_t *ret_rows)
{
    assert_ok(observe(f));
    json_t *facts = facts_of(f);
    const json_t *tables = json_object_get(facts, "tables");
    assert_int_equal(json_array_size(tables), 1); /* the small one is left out */
    const json_t *one = json_array_get(tables, 0);
    *ret_bytes = json_integer_value(json_object_get(one, "bytes"));
    *ret_rows = json_integer_value(json_object_get(one, "rows"));
    const char *name = arena_strdup(&f->arena, json_string_value(json_object_get(one, "name")));
    json_decref(facts);
    return name;
}

/* How large the tables are, also of one that somebody holds: that is not waited for. */
static void an_observation_has_the_large_tables(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE small (x int);"
                    "CREATE TABLE large AS SELECT x, repeat('a', 100) AS t FROM"
                    " generate_series(1, 20000) x; CREATE INDEX i ON large (x)");
    fixture_exec(f, "ANALYZE");
    const char *size = fixture_value(f, "SELECT pg_total_relation_size('large')");
    int64_t bytes = 0;
    int64_t rows = 0;
    assert_string_equal(first_table(f, &bytes, &rows), "public.large");
    assert_int_equal(bytes, atoll(size));
    assert_int_equal(rows, 20000);
    struct db_session s = {0};
    fixture_open(f, &s, "x");
    assert_ok(db_exec(&s, "BEGIN; LOCK TABLE large", &f->error));
    assert_string_equal(first_table(f, &bytes, &rows), "public.large");
    assert_in_range(bytes, atoll(size) * 8 / 10, atoll(size));
    db_close(&s);
    fixture_end(f);
}

static int backup(struct fixture *f)
{
    struct db_backup_action a = {.database = f->database,
                                 .directory = arena_printf(&f->arena, "%s/backups", f->dir)};
    struct action action = {.db_backup = &a};
    return act_db_backup(&f->act, &action, &f->error);
}

static void backup_both(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_ok(backup(f));
    json_t *facts = facts_of(f);
    const char *path = arena_strdup(&f->arena, json_string_value(json_object_get(facts, "path")));
    assert_int_equal(json_integer_value(json_object_get(facts, "bytes")), file_size(path));
    assert_int_equal(json_string_length(json_object_get(facts, "sha256")), 64);
    json_decref(facts);
    assert_has(path, "/backups/main-run-1-4.2.backup");
    assert_false(file_exists(arena_printf(&f->arena, "%s.partial", path)));
    if (f->kind != DB_SQLITE) {
        const char *listing = path; /* MariaDB's is a text */
        if (f->kind == DB_POSTGRES) {
            listing = arena_printf(&f->arena, "%s/sql", f->dir);
            const char *list = arena_printf(&f->arena, "pg_restore -f %s %s", listing, path);
            assert_int_equal(system(list), 0);
        }
        char *text = NULL;
        size_t len = 0;
        assert_ok(file_read(&f->arena, listing, 1 << 20, &text, &len, &f->error));
        assert_has(text, "42");
        /* PostgreSQL's has the table without the lock's row, MariaDB's no such table. */
        assert_int_equal(strstr(text, "db_lock") != NULL, f->kind == DB_POSTGRES);
        assert_null(strstr(text, "mm-lock-key")); /* the table, not the lock's row */
        assert_null(strstr(text, "evidence"));
    } else {
        f->database.url = arena_printf(&f->arena, "sqlite://%s", path);
        assert_string_equal(fixture_value(f, "SELECT x FROM kept"), "42");
        assert_string_equal(
            fixture_value(f, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'lockstep%'"),
            "0");
    }
}

static void a_backup_leaves_lockstep_and_locks_out(void **state)
{
    (void)state;
    fixture_everywhere(backup_both);
}

static void a_failed_backup_leaves_no_file(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "DO $$ BEGIN CREATE ROLE weak2 LOGIN PASSWORD '" PG_PASSWORD
                    "'; EXCEPTION WHEN duplicate_object"
                    " THEN NULL; END $$; CREATE TABLE secret (x int)");
    f->database.url = arena_printf(&f->arena, "postgres://weak2@127.0.0.1:%d/%s", f->server->port,
                                   strrchr(f->database.url, '/') + 1);
    assert_int_equal(backup(f), E_DATABASE);
    assert_has(f->error.message, "permission denied");
    assert_null(strstr(f->error.message, PG_PASSWORD));
    assert_false(file_exists(arena_printf(&f->arena, "%s/backups/main-run-1-4.2.backup", f->dir)));
    assert_false(
        file_exists(arena_printf(&f->arena, "%s/backups/main-run-1-4.2.backup.partial", f->dir)));
    fixture_end(f);
}

static void the_sites_own_procedure_is_a_backup_when_it_ends_well(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    const char *good[] = {"/bin/true"};
    const char *bad[] = {"/bin/false"};
    struct command command = {.argv = {.items = good, .count = 1}, .output_bytes_max = 65536};
    struct db_backup_action a = {.database = f->database, .command = &command};
    struct action action = {.db_backup = &a};
    assert_ok(act_db_backup(&f->act, &action, &f->error));
    assert_string_equal(f->act.facts, "{\"command\":true}");
    command.argv.items = bad;
    assert_int_equal(act_db_backup(&f->act, &action, &f->error), E_IO);
    assert_has(f->error.message, "status 1");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_native_ledger_is_compared_by_its_set),
        cmocka_unit_test(an_external_ledger_is_counted_and_a_partial_one_asks),
        cmocka_unit_test(an_external_ledger_may_name_its_schema),
        cmocka_unit_test(a_statement_runs_once_with_its_evidence),
        cmocka_unit_test(a_checkpoint_is_a_set_and_written_once),
        cmocka_unit_test(a_tools_own_lock_is_named_or_free),
        cmocka_unit_test(observing_changes_nothing),
        cmocka_unit_test(an_observation_has_the_large_tables),
        cmocka_unit_test(a_backup_leaves_lockstep_and_locks_out),
        cmocka_unit_test(a_failed_backup_leaves_no_file),
        cmocka_unit_test(the_sites_own_procedure_is_a_backup_when_it_ends_well),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
