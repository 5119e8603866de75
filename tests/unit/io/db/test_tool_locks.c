/* The tools' own session locks: which they are, who waits for whom, and what an index that is built meanwhile needs. The
 * other side is a session that sends what the tool's source sends. */
#include "tests/unit/io/db/tool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/db/format_keys.h"
#include "lib/io/platform/process.h"

/* golang-migrate's two keys here: database "t…", schema public, the usual table. */
static void golang_keys(struct fixture *f, const char *ret[2])
{
    const char *name = strrchr(f->database.url, '/'); /* "/t…", as the tool takes it from a URL */
    for (int i = 0; i < 2; i++) {
        ret[i] = arena_printf(&f->arena, "%u",
                              key_golang_migrate("public", "schema_migrations", name + 1 - i));
    }
}

#define WAITING_SQL "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

static void the_keys_are_those_of_the_tools(void **state)
{
    (void)state;
    /* python3: zlib.crc32(b"public\0schema_migrations\0mydb") * 1486364155 & 0xffffffff, and so on */
    assert_int_equal(key_golang_migrate("public", "schema_migrations", "mydb"), 2103762914u);
    assert_int_equal(key_golang_migrate("public", "schema_migrations", "/mydb"), 616192132u);
    assert_int_equal(key_golang_migrate("app", "mig", "mydb"), 380266953u);
    assert_int_equal(key_golang_migrate("app", "mig", "/mydb"), 2655671639u);
    assert_int_equal(key_golang_migrate_row("mydb"), 3799279374u);
    assert_int_equal(key_golang_migrate_row("/mydb"), 2054976106u);
    assert_int_equal(key_sourcegraph("schema_migrations"), 1308612253);
    assert_int_equal(key_sourcegraph("codeintel_schema_migrations"), 1731304153);
    assert_int_equal(key_sourcegraph("codeinsights_schema_migrations"), 1054047648);
    assert_int_equal(key_sourcegraph("frontend"), -1121130658); /* a number below zero too */
    assert_string_equal(GOOSE_LOCK_KEY, "4097083626");          /* zlib.crc32(b"goose") */
}

static const char *lock_state(struct fixture *f, int format)
{
    struct db_session s = {0};
    struct db_lock_state state = {0};
    fixture_open(f, &s, "look");
    assert_ok(db_tool_lock_state(&s, &f->arena, format, &state, &f->error));
    db_close(&s);
    assert_int_equal(state.held, strcmp(state.words, "nobody") != 0);
    return state.words;
}

static void the_tool_waits_for_us(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    assert_false(tool_try(f, tool, keys[0]));
    assert_false(tool_try(f, tool, keys[1]));
    assert_has(lock_state(f, FORMAT_GOLANG_MIGRATE), "run run-1 on ");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    assert_string_equal(lock_state(f, FORMAT_GOLANG_MIGRATE), "nobody");
    assert_true(tool_try(f, tool, keys[0]));
    assert_true(tool_try(f, tool, keys[1]));
    assert_has(lock_state(f, FORMAT_GOLANG_MIGRATE),
               arena_printf(&f->arena,
                            "golang-migrate's own lock (%s): server process %d (migrate, ", keys[0],
                            PQbackendPID(tool)));
    PQfinish(tool);
    fixture_end(f);
}

static void we_wait_for_the_tool_and_name_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate"), *third = tool_open(f, "third");
    tool_value(f, tool, arena_printf(&f->arena, "SELECT pg_advisory_lock(%s)", keys[1]));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 400), E_TIMEOUT);
    assert_has(f->error.message,
               arena_printf(&f->arena, "golang-migrate's own lock (%s)", keys[1]));
    assert_has(f->error.message,
               arena_printf(&f->arena, "server process %d (migrate, user postgres from local",
                            PQbackendPID(tool)));
    assert_has(f->error.message, "since 20");

    /* While we wait the status says for whom, and the first key is nobody's: no tool waits for us in another order. */
    pid_t child = fork();
    if (child == 0) {
        _exit(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 15000) == 0 ? 0 : 1);
    }
    for (int i = 0;
         i < 500 && (tool_holder(f).state != HOLD_WAITING || tool_holder(f).message == NULL); i++) {
        usleep(10000);
    }
    assert_has(tool_holder(f).message, "migrate, user postgres");
    bool got = false;
    for (int i = 0; i < 200 && !got; i++) {
        got = tool_try(f, third, keys[0]);
        usleep(1000);
    }
    assert_true(got);
    tool_unlock(f, third, keys[0]);
    tool_unlock(f, tool, keys[1]);
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(tool_holder(f).state, HOLD_HELD);
    assert_false(tool_try(f, third, keys[0]));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    PQfinish(third);
    PQfinish(tool);
    fixture_end(f);
}

/* A tool that polls: its key in its own words, and in ours. */
static void both_ways(int format, const char *key, const char *words, bool yields)
{
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *tool = tool_open(f, "migrator");
    assert_ok(fixture_lock(f, &f->act, format, 3000));
    assert_false(tool_try(f, tool, key));
    assert_has(lock_state(f, format), "run run-1 on ");
    assert_has(lock_state(f, format), words);
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    bool got = tool_try(f, tool, key);
    assert_int_equal(got, yields);
    if (got) {
        tool_unlock(f, tool, key);
    }
    assert_ok(hold_yield(&f->act, &f->database, false, &f->error));
    assert_false(tool_try(f, tool, key));
    assert_ok(fixture_unlock(f, &f->act, format));
    assert_true(tool_try(f, tool, key));
    assert_int_equal(fixture_lock(f, &f->act, format, 300), E_TIMEOUT);
    const char *named = arena_printf(&f->arena, "%s: server process %d (migrator, user postgres",
                                     words, PQbackendPID(tool));
    assert_has(f->error.message, named);
    assert_has(lock_state(f, format), named);
    tool_unlock(f, tool, key);
    assert_ok(fixture_lock(f, &f->act, format, 3000));
    PQfinish(tool);
    fixture_end(f);
}

/* lock/postgres.go SessionLock(), SessionUnlock(): polled every 5 s */
static void goose_and_we_wait_for_each_other(void **state)
{
    (void)state;
    both_ways(FORMAT_GOOSE, "4097083626", "goose's own lock (4097083626)", false);
}

/* internal/database/migration/store/store.go TryLock(): two numbers, polled every second */
static void sourcegraph_and_we_wait_for_each_other(void **state)
{
    (void)state;
    both_ways(FORMAT_SOURCEGRAPH, "1308612253, 0", "Sourcegraph's own lock (1308612253,0)", true);
}

static void a_lost_session_takes_them_all_again(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    int64_t backend = tool_holder(f).backend_pid;
    tool_value(f, tool,
               arena_printf(&f->arena, "SELECT pg_terminate_backend(%lld)", (long long)backend));
    for (int i = 0;
         i < 500 && (tool_holder(f).state != HOLD_HELD || tool_holder(f).backend_pid == backend);
         i++) {
        usleep(10000);
    }
    assert_int_equal(tool_holder(f).state, HOLD_HELD);
    assert_true(tool_holder(f).backend_pid != backend);
    assert_false(tool_try(f, tool, keys[0]));
    assert_false(tool_try(f, tool, keys[1]));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    PQfinish(tool);
    fixture_end(f);
}

/* ---- an index that is built concurrently ---- */

struct waiter {
    PGconn *conn;
    const char *key;
    bool ok;
};

/* golang-migrate database/postgres/postgres.go Lock() and Unlock(): it waits inside the server. */
static void *wait_inside(void *context)
{
    struct waiter *w = context;
    char sql[96];
    snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%s)", w->key);
    PGresult *result = PQexec(w->conn, sql);
    w->ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    PQclear(result);
    snprintf(sql, sizeof(sql), "SELECT pg_advisory_unlock(%s)", w->key);
    PQclear(PQexec(w->conn, sql));
    return NULL;
}

static void an_index_is_built_while_the_tool_waits_for_us(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    fixture_exec(f, "CREATE TABLE big AS SELECT i FROM generate_series(1, 1000) i");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    struct waiter waiter = {.conn = tool_open(f, "migrate"), .key = keys[1]};
    pthread_t thread;
    pthread_create(&thread, NULL, wait_inside, &waiter);
    tool_wait(f, WAITING_SQL, "1");

    struct db_session s = {0};
    fixture_open(f, &s, "run-1");
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    /* Without the yield they wait for each other for ever; the limit only ends a failing test. */
    assert_ok(db_exec(&s, "SET statement_timeout = '10s'", &f->error));
    assert_ok(db_exec(&s, "CREATE INDEX CONCURRENTLY big_i ON big (i)", &f->error));
    assert_ok(hold_yield(&f->act, &f->database, false, &f->error));
    pthread_join(thread, NULL);
    assert_true(waiter.ok);
    assert_string_equal(
        fixture_value(f, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_i'::regclass"),
        "t");
    assert_int_equal(tool_holder(f).state, HOLD_HELD);
    assert_null(tool_holder(f).yielded);
    assert_false(tool_try(f, waiter.conn, keys[0]));
    assert_false(tool_try(f, waiter.conn, keys[1]));
    db_close(&s);
    PQfinish(waiter.conn);
    fixture_end(f);
}

static void taking_them_again_waits_for_the_tool_and_names_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    assert_true(tool_try(f, tool, keys[0]));
    struct act hasty = f->act;
    hasty.deadline_ms = act_now_ms() + 300;
    assert_int_equal(hold_yield(&hasty, &f->database, false, &f->error), E_TIMEOUT);
    assert_has(f->error.message, "golang-migrate's own lock");
    assert_has(f->error.message, "(migrate, user postgres from local");
    assert_int_equal(tool_holder(f).state, HOLD_HELD); /* our own lock never went */
    tool_unlock(f, tool, keys[0]);
    assert_ok(hold_yield(&f->act, &f->database, false, &f->error));
    assert_false(tool_try(f, tool, keys[0]));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    PQfinish(tool);
    fixture_end(f);
}

static void a_dead_worker_wants_nothing_back(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    pid_t child = fork();
    if (child == 0) {
        _exit(hold_yield(&f->act, &f->database, true, &f->error) == 0 ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_non_null(tool_holder(f).yielded);
    for (int i = 0; i < 500 && tool_holder(f).yielded != NULL; i++) {
        usleep(10000);
    }
    assert_null(tool_holder(f).yielded);
    assert_false(tool_try(f, tool, keys[0]));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    PQfinish(tool);
    fixture_end(f);
}

/* The next worker looks at once: it does not work on a lock that is not whole. */
static void the_next_worker_has_them_whole(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    struct db_session s = {0};
    fixture_open(f, &s, "run-1");
    bool temporary = false;
    assert_ok(hold_ensure(&f->act, &s, &f->database, FORMAT_GOLANG_MIGRATE, &temporary, &f->error));
    assert_false(temporary);
    assert_false(tool_try(f, tool, keys[0]));
    db_close(&s);
    PQfinish(tool);
    fixture_end(f);
}

static void a_holder_that_dies_meanwhile_is_replaced(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *keys[2];
    golang_keys(f, keys);
    PGconn *tool = tool_open(f, "migrate");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    struct hold_status first = tool_holder(f);
    assert_int_equal(kill((pid_t)first.pid, SIGKILL), 0);
    for (int i = 0; i < 500 && hold_alive(&f->arena, tool_holder_dir(f)); i++) {
        usleep(10000);
    }
    assert_ok(hold_yield(&f->act, &f->database, false, &f->error));
    assert_true(tool_holder(f).pid != first.pid);
    assert_false(tool_try(f, tool, keys[0]));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOLANG_MIGRATE));
    PQfinish(tool);
    fixture_end(f);
}

static void where_nothing_disturbs_nothing_is_given_back(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_ok(hold_yield(&f->act, &f->database, true, &f->error));
    assert_null(tool_holder(f).yielded);
    assert_ok(hold_yield(&f->act, &f->database, false, &f->error));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keys_are_those_of_the_tools),
        cmocka_unit_test(the_tool_waits_for_us),
        cmocka_unit_test(we_wait_for_the_tool_and_name_it),
        cmocka_unit_test(goose_and_we_wait_for_each_other),
        cmocka_unit_test(sourcegraph_and_we_wait_for_each_other),
        cmocka_unit_test(a_lost_session_takes_them_all_again),
        cmocka_unit_test(an_index_is_built_while_the_tool_waits_for_us),
        cmocka_unit_test(taking_them_again_waits_for_the_tool_and_names_it),
        cmocka_unit_test(a_dead_worker_wants_nothing_back),
        cmocka_unit_test(the_next_worker_has_them_whole),
        cmocka_unit_test(a_holder_that_dies_meanwhile_is_replaced),
        cmocka_unit_test(where_nothing_disturbs_nothing_is_given_back),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
