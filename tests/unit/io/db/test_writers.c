/* No session of the application is left: waited for, refused by name, or ended. */
#include "tests/unit/io/db/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

static int writers(struct fixture *f, struct db_writers_action a)
{
    a.database = f->database;
    struct action action = {.db_writers = &a};
    f->act.facts = NULL;
    return act_db_writers(&f->act, &action, &f->error);
}

/* A session of the application, in this process. */
static void app_open(struct fixture *f, struct db_session *s, const char *application)
{
    fixture_open(f, s, "x");
    assert_ok(
        db_exec(s, arena_printf(&f->arena, "SET application_name = '%s'", application), &f->error));
}

static void sessions_are_refused_by_name(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session app = {0};
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}));
    assert_string_equal(f->act.facts, "{\"terminated\":0}");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000)); /* our own holder does not count */
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}));
    app_open(f, &app, "chat");
    assert_int_equal(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}), E_CONFLICT);
    assert_has(f->error.message,
               "1 session of the application is left: postgres@127.0.0.1 (chat, idle, pid ");
    assert_int_equal(writers(f, (struct db_writers_action){.policy = WRITERS_WAIT, .wait_ms = 50}),
                     E_TIMEOUT);
    assert_has(f->error.message, "(chat, ");
    assert_ok(db_exec(&app, "SELECT 1", &f->error)); /* it lives */
    db_close(&app);
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_WAIT, .wait_ms = 5000}));
    fixture_end(f);
}

/* It goes only when it has seen that it is waited for. */
static void a_session_that_goes_is_waited_for(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    pid_t pid = fork();
    if (pid == 0) {
        struct db_session app = {0};
        app_open(f, &app, "chat");
        const char *asked = "0";
        while (strcmp(asked, "0") == 0) {
            process_sleep_ms(20);
            assert_ok(db_value(&app, &f->arena,
                               "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                               " 'lockstep run-1' AND query LIKE '%pg_stat_activity%'",
                               NULL, 0, &asked, &f->error));
        }
        db_close(&app);
        _exit(0);
    }
    static const char there[] =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chat'";
    while (strcmp(fixture_value(f, there), "1") != 0) {
        process_sleep_ms(20);
    }
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_WAIT, .wait_ms = 15000}));
    waitpid(pid, NULL, 0);
    fixture_end(f);
}

static void who_counts_can_be_chosen(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session app = {0}, monitor = {0};
    app_open(f, &app, "chat worker");
    app_open(f, &monitor, "zabbix");
    const char *chat[] = {"chat*"};
    const char *zabbix[] = {"zabbix"};
    const char *postgres[] = {"postgres"}; /* the user */
    struct db_writers_action a = {.policy = WRITERS_REFUSE,
                                  .except = {.items = zabbix, .count = 1}};
    assert_int_equal(writers(f, a), E_CONFLICT);
    assert_has(f->error.message, "1 session of");
    a.only = (struct strings){.items = zabbix, .count = 1};
    assert_ok(writers(f, a)); /* except wins */
    a = (struct db_writers_action){.policy = WRITERS_REFUSE, .only = {.items = chat, .count = 1}};
    assert_int_equal(writers(f, a), E_CONFLICT);
    assert_has(f->error.message, "(chat worker, ");
    db_close(&app);
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_WAIT,
                                                    .wait_ms = 5000,
                                                    .only = {.items = chat, .count = 1}}));
    a.only = (struct strings){.items = postgres, .count = 1};
    assert_int_equal(writers(f, a), E_CONFLICT);
    db_close(&monitor);
    fixture_end(f);
}

static void terminate_ends_them_after_the_wait(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session app = {0}, monitor = {0};
    app_open(f, &app, "chat");
    app_open(f, &monitor, "zabbix");
    assert_ok(db_exec(&app, "BEGIN; CREATE TABLE half (x int)", &f->error));
    const char *zabbix[] = {"zabbix"};
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_TERMINATE,
                                                    .wait_ms = 50,
                                                    .except = {.items = zabbix, .count = 1}}));
    assert_string_equal(f->act.facts, "{\"terminated\":1}");
    assert_int_equal(db_exec(&app, "COMMIT", &f->error), E_UNAVAILABLE);
    assert_true(app.fault.lost);
    assert_ok(db_exec(&monitor, "SELECT 1", &f->error));
    db_close(&app);
    db_close(&monitor);
    fixture_end(f);
}

static void a_role_that_may_not_end_sessions_is_told(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session app = {0};
    app_open(f, &app, "chat");
    fixture_exec(f, "DO $$ BEGIN CREATE ROLE weak3 LOGIN PASSWORD '" PG_PASSWORD
                    "'; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    f->database.url = arena_printf(&f->arena, "postgres://weak3@127.0.0.1:%d/%s", f->server->port,
                                   strrchr(f->database.url, '/') + 1);
    assert_true(writers(f, (struct db_writers_action){.policy = WRITERS_TERMINATE, .wait_ms = 0}) <
                0);
    assert_has(f->error.message, "pg_signal_backend");
    db_close(&app);
    fixture_end(f);
}

static pid_t open_file(struct fixture *f, const char *path)
{
    const char *ready = arena_printf(&f->arena, "%s/ready", f->dir);
    file_remove(ready, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exec 3<>\"$1\"; : >\"$2\"; exec sleep 600", "sh", path, ready,
              NULL);
        _exit(127);
    }
    while (!file_exists(ready) || strcmp(process_name(&f->arena, pid), "sleep") != 0) {
        process_sleep_ms(5);
    }
    return pid;
}

static void sqlite_names_the_processes_that_have_the_file_open(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}));
    const char *path = f->database.url + strlen("sqlite://");
    pid_t pid = open_file(f, path);
    assert_int_equal(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}), E_CONFLICT);
    assert_has(
        f->error.message,
        arena_printf(&f->arena, "@local (sleep, has the file open, pid %d, since 20", (int)pid));
    assert_ok(writers(f, (struct db_writers_action){.policy = WRITERS_TERMINATE}));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    /* One that has only the log beside it open. */
    fixture_exec(f, "PRAGMA journal_mode = WAL");
    struct db_session s = {0};
    fixture_open(f, &s, "x");
    assert_ok(db_exec(&s, "INSERT INTO made VALUES (1)", &f->error));
    pid = open_file(f, arena_printf(&f->arena, "%s-wal", path));
    assert_int_equal(writers(f, (struct db_writers_action){.policy = WRITERS_REFUSE}), E_CONFLICT);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    db_close(&s);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_are_refused_by_name),
        cmocka_unit_test(a_session_that_goes_is_waited_for),
        cmocka_unit_test(who_counts_can_be_chosen),
        cmocka_unit_test(terminate_ends_them_after_the_wait),
        cmocka_unit_test(a_role_that_may_not_end_sessions_is_told),
        cmocka_unit_test(sqlite_names_the_processes_that_have_the_file_open),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
