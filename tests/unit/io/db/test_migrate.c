/* The runner: once, whatever dies; the ledger as morph leaves it; and what it refuses to guess. */
#include "tests/unit/io/db/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_PG                                                                                   \
    "SELECT coalesce((SELECT string_agg(version || ':' || name, ',' ORDER BY version) FROM "       \
    "db_migrations), '')"                                                                          \
    " || '|' || coalesce((SELECT string_agg(table_name || '.' || column_name, ',' ORDER BY "       \
    "table_name,"                                                                                  \
    " ordinal_position) FROM information_schema.columns WHERE table_schema = 'public'), '')"       \
    " || '|' || (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public')"
#define STATE_LITE                                                                                 \
    "SELECT coalesce((SELECT group_concat(version || ':' || name) FROM db_migrations), '') || "    \
    "'|' ||"                                                                                       \
    " (SELECT group_concat(name || sql, ';') FROM (SELECT name, sql FROM sqlite_master"            \
    " WHERE name NOT LIKE '%lockstep%' ORDER BY name))"

#define STATE_MARIA                                                                                \
    "SELECT CONCAT_WS('|', (SELECT GROUP_CONCAT(version, ':', name ORDER BY version) FROM "        \
    "db_migrations), (SELECT GROUP_CONCAT(TABLE_NAME, '.', COLUMN_NAME ORDER BY TABLE_NAME,"       \
    " ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()))"

static size_t make_items(struct fixture *f, struct migration_item *items)
{
    items[0] =
        fixture_item(f, 1, "create_a", "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\n");
    items[1] = fixture_item(f, 2, "add_y", "ALTER TABLE a ADD COLUMN y int;");
    items[2] = fixture_item(f, 3, "count", "INSERT INTO a VALUES (2, 2);");
    items[3] = fixture_item(f, 4, "create_b", "CREATE TABLE b (z int); -- the last one");
    return 4;
}

static const char *state_of(struct fixture *f)
{
    return fixture_value(f, fixture_pick(f, STATE_PG, STATE_LITE, STATE_MARIA));
}

static void runs_up_and_down_once(struct fixture *f)
{
    struct migration_item items[4];
    size_t n = make_items(f, items);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    assert_ok(fixture_migrate(f, &f->act, false, items, n));
    assert_string_equal(fixture_counts(f), "\"ran\":4,\"skipped\":0}");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM a"), "2");
    assert_ok(fixture_migrate(f, &f->act, false, items, n)); /* the same step again */
    assert_string_equal(f->act.facts, "{\"ms\":[-1,-1,-1,-1],\"ran\":0,\"skipped\":4}");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM a"), "2");
    struct migration_item downs[3] = {
        fixture_item(f, 4, "create_b", "DROP TABLE b"),
        fixture_item(f, 3, "count", ""), /* an empty script still moves the ledger */
        fixture_item(f, 2, "add_y", "ALTER TABLE a DROP COLUMN y"),
    };
    f->act.step = "5.1";
    assert_ok(fixture_migrate(f, &f->act, true, downs, 3));
    assert_string_equal(fixture_counts(f), "\"ran\":3,\"skipped\":0}");
    assert_string_equal(
        fixture_value(f, fixture_pick(f, "SELECT count(*) || min(name) FROM db_migrations",
                                      "SELECT count(*) || min(name) FROM db_migrations",
                                      "SELECT concat(count(*), min(name)) FROM db_migrations")),
        "1create_a");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
}

static void a_step_runs_each_script_once(void **state)
{
    (void)state;
    fixture_everywhere(runs_up_and_down_once);
}

static bool stop_now;

static void stop_at_the_third(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    (void)act;
    (void)total;
    (void)text;
    stop_now = stop_now || done == 2;
}

static bool asked_to_stop(struct act *act)
{
    (void)act;
    return stop_now;
}

static void stops_between_two_scripts_when_asked(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    struct migration_item items[4];
    fixture_sqlite(f);
    size_t n = make_items(f, items);
    stop_now = false;
    f->act.stopped = asked_to_stop;
    f->act.progress = stop_at_the_third;
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    assert_int_equal(fixture_migrate(f, &f->act, false, items, n), E_CANCELLED);
    assert_has(f->error.message, "stopped before 000003_count.sql");
    assert_string_equal(fixture_value(f, "SELECT count(*) || max(name) FROM db_migrations"),
                        "2create_a");
    stop_now = false;
    f->act.progress = NULL;
    assert_ok(fixture_migrate(f, &f->act, false, items, n));
    assert_string_equal(fixture_counts(f), "\"ran\":2,\"skipped\":2}");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void the_ledger_is_the_one_that_morph_makes(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct migration_item items[4];
    make_items(f, items);
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    assert_string_equal(
        fixture_value(
            f, "SELECT string_agg(column_name || ' ' || data_type || ' ' || is_nullable, ', '"
               " ORDER BY ordinal_position) FROM information_schema.columns"
               " WHERE table_name = 'db_migrations'"),
        "version bigint NO, name character varying NO");
    assert_string_equal(fixture_value(f, "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                                         " WHERE conrelid = 'db_migrations'::regclass"),
                        "PRIMARY KEY (version)");
    assert_string_equal(fixture_value(f, "SELECT version || name FROM db_migrations"), "1create_a");
    /* No lock step ran before: the lock was taken for this action alone, and nothing of it is left. */
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    assert_false(hold_alive(&f->arena, hold_dir(&f->arena, f->act.state_dir, &f->database)));
    fixture_end(f);
}

static void what_the_ledger_has_is_not_run_again(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(
        f,
        "CREATE TABLE db_migrations (version bigint not null primary key, name varchar not null);"
        "INSERT INTO db_migrations VALUES (2, 'add_y')"); /* pending is by name, late files are applied */
    struct migration_item items[2] = {fixture_item(f, 1, "late", "CREATE TABLE late ()"),
                                      fixture_item(f, 2, "add_y", "this is no SQL")};
    assert_ok(fixture_migrate(f, &f->act, false, items, 2));
    assert_string_equal(fixture_counts(f), "\"ran\":1,\"skipped\":1}");
    fixture_end(f);
}

static void an_error_names_file_line_and_sqlstate(struct fixture *f, const char *words)
{
    struct migration_item items[1] = {fixture_item(
        f, 1, "bad",
        "CREATE TABLE ok (x int);\n\n-- ü: two bytes\nSELECT nope FROM ok;\nSELECT 1;")};
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_DATABASE);
    assert_has(f->error.message, "000001_bad.sql:4");
    assert_has(f->error.message, words);
    assert_has(f->error.message, "nope");
    const char *left = f->server != NULL ? "SELECT count(*) FROM pg_tables WHERE tablename = 'ok'"
                                         : "SELECT count(*) FROM sqlite_master WHERE name = 'ok'";
    assert_string_equal(fixture_value(f, left), "0");
}

static void a_servers_error_is_told_with_its_place(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    an_error_names_file_line_and_sqlstate(f, "SQLSTATE 42703");
    fixture_end(f);
    fixture_sqlite(f);
    an_error_names_file_line_and_sqlstate(f, "no such column");
    fixture_end(f);
}

/* ---- killed at every statement ---- */

struct killer {
    size_t left;
};

static void kill_at(void *context, const char *sql)
{
    (void)sql;
    struct killer *killer = context;
    if (killer->left-- == 0) {
        kill(getpid(), SIGKILL);
    }
}

/* True when the worker was killed; false when it came to its end. */
static bool run_killed(struct fixture *f, struct migration_item *items, size_t n, size_t at)
{
    pid_t child = fork();
    if (child == 0) {
        struct killer killer = {.left = at};
        struct db_trace trace = {.before = kill_at, .context = &killer};
        struct db_migrate_tuning tuning = {.trace = &trace};
        struct db_migrate_action migrate = {
            .database = f->database, .format = FORMAT_MORPH, .items = {.items = items, .count = n}};
        _exit(db_migrate(&f->act, &migrate, &tuning, &f->error) == 0 ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    if (!WIFSIGNALED(ended)) {
        assert_int_equal(WEXITSTATUS(ended), 0);
        return false;
    }
    return true;
}

static void kill_everywhere(void (*make)(struct fixture *))
{
    struct fixture fixture, *f = &fixture;
    struct migration_item items[4];
    make(f);
    size_t n = make_items(f, items);
    assert_ok(fixture_migrate(f, &f->act, false, items, n));
    char undisturbed[2048];
    snprintf(undisturbed, sizeof(undisturbed), "%s", state_of(f));
    fixture_end(f);

    make(f);
    make_items(f, items);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    size_t kills = 0;
    for (size_t at = 0; run_killed(f, items, n, at); at++) {
        kills++;
        assert_ok(fixture_migrate(f, &f->act, false, items, n));
        assert_string_equal(state_of(f), undisturbed);
        assert_string_equal(fixture_value(f, "SELECT count(*) FROM a"), "2");
        /* Once more from the start, in another run's name. */
        fixture_exec(f, "DROP TABLE a; DROP TABLE b; DELETE FROM db_migrations");
        fixture_exec(f, arena_printf(&f->arena, "DELETE FROM %s", fixture_own(f, "evidence")));
    }
    assert_true(kills > 25);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void a_worker_killed_at_any_statement_changes_nothing(void **state)
{
    (void)state;
    kill_everywhere(fixture_postgres);
    kill_everywhere(fixture_sqlite);
    kill_everywhere(fixture_mariadb);
}

static void own_transaction_control_is_not_wrapped(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct migration_item good[1] = {
        fixture_item(f, 1, "own", "BEGIN; CREATE TABLE own (x int); COMMIT;")};
    assert_ok(fixture_migrate(f, &f->act, false, good, 1));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM own, db_migrations"), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_migrations"), "1");
    struct migration_item bad[1] = {
        fixture_item(f, 2, "half", "BEGIN; CREATE TABLE half (x int); COMMIT;\nSELECT nope;")};
    f->act.step = "4.3";
    assert_int_equal(fixture_migrate(f, &f->act, false, bad, 1), E_DATABASE);
    assert_has(f->error.message, "000002_half.sql:2");
    assert_has(f->error.message, "What stands before 000002_half.sql:2 has run");
    assert_string_equal(fixture_value(f, "SELECT done FROM lockstep.intent"), "1");
    /* A retry goes on behind what has run: the table would be there already. */
    fixture_exec(f, "CREATE FUNCTION nope() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    assert_int_equal(fixture_migrate(f, &f->act, false, bad, 1), E_DATABASE);
    fixture_exec(f, "ALTER TABLE half ADD nope int"); /* not what it asks for */
    assert_int_equal(fixture_migrate(f, &f->act, false, bad, 1), E_DATABASE);
    assert_has(f->error.message, "nope");
    struct migration_item other[1] = {fixture_item(f, 2, "half", "SELECT 1;")};
    assert_int_equal(fixture_migrate(f, &f->act, false, other, 1), E_UNKNOWN);
    assert_has(f->error.message, "the script is not the one that was begun");
    f->act.attempt = 2; /* the answer: the other script, from its beginning */
    assert_ok(fixture_migrate(f, &f->act, false, other, 1));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.intent"), "0");
    fixture_end(f);
}

/* SQLite takes the parentheses of a parameter as Tcl would, without strings: a COMMIT that no words show, and that stands
 * for all of its kind. */
#define HIDDEN_COMMIT "SELECT $a('); COMMIT; SELECT $b(');\n"

static void a_script_that_breaks_out_is_asked_about_before_it_runs_again(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct migration_item items[1] = {
        fixture_item(f, 1, "out", "CREATE TABLE broke (x int); " HIDDEN_COMMIT "SELECT 1;")};
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_UNKNOWN);
    assert_has(f->error.message, "000001_out.sql ended our transaction by itself");
    assert_has(f->error.message, "mark out as applied");
    assert_string_equal(fixture_value(f, "SELECT asked_attempt FROM lockstep_intent"), "1");
    /* Neither the same attempt nor another run does it again: CREATE TABLE would say so. */
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_UNKNOWN);
    assert_has(f->error.message, "part of it may have run");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH)); /* the run was aborted */
    struct act other = fixture_act(f, "run-2", 8, "place");
    other.attempt = 2; /* of another run: no answer to what this one was asked */
    assert_int_equal(fixture_migrate(f, &other, false, items, 1), E_UNKNOWN);
    assert_int_equal(fixture_migrate(f, &other, false, items, 1), E_UNKNOWN);
    /* A person undid it and wrote a better script; the answer runs it once, and the intent goes. */
    fixture_exec(f, "DROP TABLE broke");
    items[0] = fixture_item(f, 1, "out", "CREATE TABLE broke (x int)");
    other.attempt = 3;
    assert_ok(fixture_migrate(f, &other, false, items, 1));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep_intent"), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_migrations"), "1");
    fixture_end(f);
}

static void a_transaction_that_nobody_ends_is_refused_first(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct migration_item items[1] = {
        fixture_item(f, 1, "open", "CREATE TABLE a (x int);\nBEGIN; CREATE TABLE b (x int);")};
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_INVALID);
    assert_has(f->error.message, "000001_open.sql: line 2 begins a transaction");
    items[0] = fixture_item(f, 1, "prep", "CREATE TABLE a (x int); PREPARE TRANSACTION 'gone'");
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_INVALID);
    assert_has(f->error.message, "PREPARE TRANSACTION 'gone'");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM pg_tables WHERE schemaname = "
                                         "'public' AND tablename IN ('a', 'b')"),
                        "0");
    fixture_end(f);
}

static void a_killed_workers_session_is_ended_first(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct migration_item items[1] = {
        fixture_item(f, 1, "slow", "CREATE TABLE slow (x int); SELECT pg_sleep(30);")};
    pid_t child = fork();
    if (child == 0) {
        fixture_migrate(f, &f->act, false, items, 1);
        _exit(0);
    }
    const char *sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <>"
        " pg_backend_pid() AND datname = current_database()";
    for (int i = 0; i < 200 && strcmp(fixture_value(f, sleeping), "1") != 0; i++) {
        usleep(20000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_string_equal(fixture_value(f, sleeping),
                        "1"); /* the server does not know that the worker died */
    items[0] = fixture_item(f, 1, "slow", "CREATE TABLE slow (x int)");
    int64_t before = act_now_ms();
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    assert_true(act_now_ms() - before < 5000);
    assert_string_equal(fixture_value(f, sleeping), "0");
    fixture_end(f);
}

static void a_server_restart_in_the_middle_is_looked_over(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct migration_item items[2] = {
        fixture_item(f, 1, "one", "CREATE TABLE one (x int)"),
        fixture_item(f, 2, "two", "CREATE TABLE two (x int); SELECT pg_sleep(1.5);")};
    pid_t child = fork();
    if (child == 0) {
        _exit(fixture_migrate(f, &f->act, false, items, 2) == 0 ? 0 : 1);
    }
    for (int i = 0; i < 200; i++) {
        if (strcmp(fixture_value(
                       f, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1.5)%'"
                          " AND pid <> pg_backend_pid()"),
                   "1") == 0) {
            break;
        }
        usleep(20000);
    }
    pg_server_stop(f->server, SIGQUIT);
    assert_int_equal(pg_server_up(f->server), 0);
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_migrations"), "2");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.evidence"), "2");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void a_stale_controllers_migration_does_not_commit(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    /* The fence is raised while the script runs: only the server can stop the commit. */
    struct migration_item items[1] = {fixture_item(
        f, 1, "late", "CREATE TABLE late (x int); UPDATE lockstep.fence SET value = 8;")};
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_DENIED);
    assert_has(f->error.message, "the fence is old");
    fixture_exec(f, "UPDATE lockstep.fence SET value = 8");
    items[0] = fixture_item(f, 1, "late", "CREATE TABLE late (x int)");
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_DENIED);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM pg_tables WHERE tablename = 'late'"),
                        "0");
    fixture_end(f);
}

static void contradicting_evidence_stops(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct migration_item items[1] = {fixture_item(f, 1, "one", "CREATE TABLE one (x int)")};
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    items[0] = fixture_item(f, 1, "one", "CREATE TABLE two (x int)");
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 1), E_CONFLICT);
    assert_has(f->error.message, "the plan holds a different script");
    /* What the ledger lost is asked about: test_claims.c. */
    fixture_end(f);
}

static void a_killed_holder_is_started_again(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct hold_status before, after;
    const char *dir = hold_dir(&f->arena, f->act.state_dir, &f->database);
    assert_ok(hold_status_read(&f->arena, dir, &before, &f->error));
    kill((pid_t)before.pid, SIGKILL);
    struct migration_item items[4];
    make_items(f, items);
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    assert_ok(hold_status_read(&f->arena, dir, &after, &f->error));
    assert_true(after.alive && after.state == HOLD_HELD && after.pid != before.pid);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_runs_each_script_once),
        cmocka_unit_test(stops_between_two_scripts_when_asked),
        cmocka_unit_test(the_ledger_is_the_one_that_morph_makes),
        cmocka_unit_test(what_the_ledger_has_is_not_run_again),
        cmocka_unit_test(a_servers_error_is_told_with_its_place),
        cmocka_unit_test(a_worker_killed_at_any_statement_changes_nothing),
        cmocka_unit_test(own_transaction_control_is_not_wrapped),
        cmocka_unit_test(a_script_that_breaks_out_is_asked_about_before_it_runs_again),
        cmocka_unit_test(a_transaction_that_nobody_ends_is_refused_first),
        cmocka_unit_test(a_killed_workers_session_is_ended_first),
        cmocka_unit_test(a_server_restart_in_the_middle_is_looked_over),
        cmocka_unit_test(a_stale_controllers_migration_does_not_commit),
        cmocka_unit_test(contradicting_evidence_stops),
        cmocka_unit_test(a_killed_holder_is_started_again),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
