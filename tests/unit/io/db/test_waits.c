/* Locks that others have: short tries, the holder named, nothing left set; and an index whose build was cut off. */
#include "tests/unit/io/db/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/platform/files.h"

#define TRIES 500

static const char *log_path(struct fixture *f)
{
    return arena_printf(&f->arena, "%s/log", f->dir);
}

static void open_log(struct fixture *f)
{
    f->act.log_fd = open(log_path(f), O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_true(f->act.log_fd > 0);
}

/* Waits for what a worker says; nobody's time is measured. */
static void await_log(struct fixture *f, const char *words)
{
    for (int i = 0; i < TRIES; i++) {
        if (strstr(file_tail(&f->arena, log_path(f), 65536), words) != NULL) {
            return;
        }
        usleep(20000);
    }
    fail_msg("\"%s\" is not in the log: %s", words, file_tail(&f->arena, log_path(f), 65536));
}

static int migrate(struct fixture *f, struct migration_item *item)
{
    struct db_migrate_tuning tuning = {.lock_wait_ms = 300};
    struct db_migrate_action migrate = {
        .database = f->database, .format = FORMAT_MORPH, .items = {.items = item, .count = 1}};
    return db_migrate(&f->act, &migrate, &tuning, &f->error);
}

static void reader(struct fixture *f, struct db_session *s)
{
    fixture_open(f, s, "");
    assert_ok(db_exec(s, "SET application_name = 'lazy reader'; BEGIN; SELECT count(*) FROM t",
                      &f->error));
}

static void a_change_of_the_schema_lets_others_pass_and_names_them(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    open_log(f);
    fixture_exec(f, "CREATE TABLE t (x int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct db_session s = {0};
    reader(f, &s);
    struct migration_item item =
        fixture_item(f, 1, "alter", "INSERT INTO t VALUES (1); ALTER TABLE t ADD y int;");
    pid_t child = fork();
    if (child == 0) {
        _exit(migrate(f, &item) == 0 ? 0 : 1);
    }
    await_log(f, "000001_alter.sql: waits for a lock that lazy reader");
    await_log(f, "then try 2");
    assert_ok(db_exec(&s, "COMMIT", &f->error));
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM t WHERE y IS NULL"), "1");
    /* At the deadline: who it is. */
    assert_ok(db_exec(&s, "BEGIN; SELECT count(*) FROM t", &f->error));
    item = fixture_item(f, 2, "again", "ALTER TABLE t ADD z int;");
    f->act.deadline_ms = act_now_ms() + 1500;
    assert_int_equal(migrate(f, &item), E_TIMEOUT);
    assert_has(f->error.message, "000002_again.sql waited for a lock until the deadline");
    assert_has(f->error.message, "lazy reader");
    db_close(&s);
    fixture_end(f);
}

static void a_scripts_own_lock_timeout_wins(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE t (x int)");
    struct db_session s = {0};
    reader(f, &s);
    struct migration_item item =
        fixture_item(f, 1, "own", "SET LOCAL lock_timeout = '10ms'; ALTER TABLE t ADD y int;");
    assert_int_equal(migrate(f, &item), E_DATABASE); /* no second try */
    assert_has(f->error.message, "55P03");
    db_close(&s);
    fixture_end(f);
}

static void no_limit_is_left_in_the_session(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE seen (at text)");
    struct migration_item items[2] = {
        fixture_item(f, 1, "own", "BEGIN; CREATE TABLE t (x int); COMMIT;"),
        fixture_item(f, 2, "look", "INSERT INTO seen SELECT current_setting('lock_timeout')")};
    assert_ok(fixture_migrate(f, &f->act, false, items, 2));
    assert_string_equal(fixture_value(f, "SELECT at FROM seen"), "0");
    fixture_end(f);
}

static void an_index_that_was_cut_off_is_dropped_and_built_again(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    open_log(f);
    fixture_exec(f, "CREATE TABLE t (x int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct db_session s = {0};
    fixture_open(f, &s, "");
    assert_ok(
        db_exec(&s, "BEGIN; INSERT INTO t VALUES (1)", &f->error)); /* the build waits for it */
    struct migration_item item = fixture_item(
        f, 1, "idx", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY t_x ON t (x);");
    pid_t child = fork();
    if (child == 0) {
        _exit(migrate(f, &item) == 0 ? 0 : 1);
    }
    const char *building = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    for (int i = 0; i < TRIES && strcmp(fixture_value(f, building), "1") != 0; i++) {
        usleep(20000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    /* Another attempt, of another run: the build still goes on at the server, without its client. */
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    int log_fd = f->act.log_fd;
    f->act = fixture_act(f, "run-2", 8, "place");
    f->act.log_fd = log_fd;
    child = fork();
    if (child == 0) {
        _exit(migrate(f, &item) == 0 ? 0 : 1);
    }
    await_log(f, "it left an invalid index");
    await_log(f, "dropping the invalid index public.t_x");
    assert_ok(db_exec(&s, "COMMIT", &f->error));
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_string_equal(
        fixture_value(f, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_x'::regclass"),
        "t");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.intent"), "0");
    db_close(&s);
    fixture_end(f);
}

/* ---- MariaDB: every change of the schema stands alone, and commits ---- */

static const char *root_url(struct fixture *f)
{
    return arena_printf(&f->arena, "mysql://root@/%s?socket=%s/s",
                        strrchr(f->database.url, '/') + 1, f->maria->throwaway.dir);
}

static void as_root(struct fixture *f, const char *sql)
{
    const char *url = f->database.url;
    f->database.url = root_url(f);
    fixture_exec(f, sql);
    f->database.url = url;
}

static void hold_table(struct fixture *f, struct db_session *s, const char *table)
{
    fixture_open(f, s, table);
    assert_ok(db_exec(s,
                      arena_printf(&f->arena, "START TRANSACTION; SELECT COUNT(*) FROM %s", table),
                      &f->error));
}

static void on_mariadb_others_pass_and_are_named(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    open_log(f);
    f->act.deadline_ms = act_now_ms() + 60000; /* the first one of MariaDB starts the server */
    fixture_exec(f, "CREATE TABLE t (x int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct db_session s = {0};
    hold_table(f, &s, "t");
    struct migration_item item =
        fixture_item(f, 1, "alter", "INSERT INTO t VALUES (1); ALTER TABLE t ADD y int;");
    pid_t child = fork();
    if (child == 0) {
        _exit(migrate(f, &item) == 0 ? 0 : 1);
    }
    await_log(f, "000001_alter.sql: waits for a lock that perhaps lockstep t (app@127.0.0.1");
    await_log(f, "no lock within 1000 ms"); /* the server knows whole seconds */
    /* Between two tries others come through, who stood behind it. */
    await_log(f, "then try 2");
    assert_string_equal(fixture_value(f, "SELECT COUNT(*) FROM t"), "1");
    assert_ok(db_exec(&s, "COMMIT", &f->error));
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_string_equal(fixture_value(f, "SELECT COUNT(*) FROM t WHERE y IS NULL"), "1");
    /* At the deadline: who it is, and that nothing has happened. */
    assert_ok(db_exec(&s, "START TRANSACTION; SELECT COUNT(*) FROM t", &f->error));
    item = fixture_item(f, 2, "again", "ALTER TABLE t ADD z int;");
    f->act.deadline_ms = act_now_ms() + 5000;
    assert_int_equal(migrate(f, &item), E_TIMEOUT);
    assert_has(f->error.message, "000002_again.sql waited for a lock until the deadline");
    assert_has(f->error.message, "its transaction is");
    assert_string_equal(fixture_value(f, "SELECT COUNT(*) FROM lockstep_intent"), "0");
    db_close(&s);
    fixture_end(f);
}

static void who_blocks_is_told_exactly_where_the_server_keeps_account(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    fixture_exec(f, "CREATE TABLE t (x int); CREATE TABLE elsewhere (x int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct db_session holder = {0};
    struct db_session bystander = {0};
    hold_table(f, &bystander, "elsewhere");
    hold_table(f, &holder, "t");
    struct migration_item item = fixture_item(f, 1, "alter", "ALTER TABLE t ADD y int;");
    const char *accounts[][2] = {
        {"DO 1", "DO 1"},
        {"INSTALL SONAME 'metadata_lock_info'", "UNINSTALL SONAME 'metadata_lock_info'"},
        {"UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME ="
         " 'wait/lock/metadata/sql/mdl'; GRANT SELECT ON performance_schema.* TO app@'%'",
         "UPDATE performance_schema.setup_instruments SET ENABLED = 'NO' WHERE NAME ="
         " 'wait/lock/metadata/sql/mdl'; REVOKE SELECT ON performance_schema.* FROM app@'%'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(accounts); i++) {
        as_root(f, accounts[i][0]);
        /* What was locked before the account was opened is not in it. */
        assert_ok(db_exec(&holder, "COMMIT; START TRANSACTION; SELECT COUNT(*) FROM t", &f->error));
        f->act.deadline_ms = act_now_ms() + 5000;
        assert_int_equal(migrate(f, &item), E_TIMEOUT);
        as_root(f, accounts[i][1]);
        assert_has(f->error.message, "lockstep t (app@127.0.0.1");
        bool guessed = i == 0;
        assert_int_equal(strstr(f->error.message, "perhaps") != NULL, guessed);
        assert_int_equal(strstr(f->error.message, "lockstep elsewhere") != NULL, guessed);
    }
    db_close(&holder);
    db_close(&bystander);
    fixture_end(f);
}

static void on_mariadb_a_scripts_own_limit_wins(void **state)
{
    (void)state;
    static const char *const own[] = {"ALTER TABLE t NOWAIT ADD y int;",
                                      "SET lock_wait_timeout = 0; ALTER TABLE t ADD y int;"};
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    open_log(f);
    fixture_exec(f, "CREATE TABLE t (x int)");
    struct db_session s = {0};
    hold_table(f, &s, "t");
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        struct migration_item item = fixture_item(f, 1, "own", own[i]);
        int rc = migrate(f, &item); /* no second try */
        assert_has(f->error.message, "1205");
        assert_int_equal(rc, E_DATABASE);
    }
    assert_null(strstr(file_tail(&f->arena, log_path(f), 65536), "try 2"));
    db_close(&s);
    fixture_end(f);
}

/* After a try that came through, and after tries that did not. */
static void on_mariadb_no_limit_is_left_in_the_session(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    open_log(f);
    as_root(f, "SET GLOBAL lock_wait_timeout = 4321");
    fixture_exec(f, "CREATE TABLE seen (at text); CREATE TABLE t (x int)");
    struct db_session s = {0};
    hold_table(f, &s, "t");
    struct migration_item items[2] = {
        fixture_item(f, 1, "waits", "ALTER TABLE t ADD y int;"),
        fixture_item(f, 2, "look", "INSERT INTO seen SELECT @@lock_wait_timeout")};
    pid_t child = fork();
    if (child == 0) {
        struct db_migrate_tuning tuning = {.lock_wait_ms = 300};
        struct db_migrate_action both = {
            .database = f->database, .format = FORMAT_MORPH, .items = {.items = items, .count = 2}};
        _exit(db_migrate(&f->act, &both, &tuning, &f->error) == 0 ? 0 : 1);
    }
    await_log(f, "then try 2");
    db_close(&s);
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    as_root(f, "SET GLOBAL lock_wait_timeout = DEFAULT");
    assert_int_equal(ended, 0);
    assert_string_equal(fixture_value(f, "SELECT at FROM seen"), "4321");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_the_schema_lets_others_pass_and_names_them),
        cmocka_unit_test(a_scripts_own_lock_timeout_wins),
        cmocka_unit_test(no_limit_is_left_in_the_session),
        cmocka_unit_test(an_index_that_was_cut_off_is_dropped_and_built_again),
        cmocka_unit_test(on_mariadb_others_pass_and_are_named),
        cmocka_unit_test(who_blocks_is_told_exactly_where_the_server_keeps_account),
        cmocka_unit_test(on_mariadb_a_scripts_own_limit_wins),
        cmocka_unit_test(on_mariadb_no_limit_is_left_in_the_session),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
