/* An extra step's statement is killed at every moment, and never runs a second time. */
#include "tests/unit/io/db/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/db/actions.h"

#define POINTS_MAX 200

/* ---- one kill ---- */

struct point {
    size_t left; /* events until it dies */
};

static void event(struct point *p)
{
    if (p->left-- == 0) {
        kill(getpid(), SIGKILL);
    }
}

static void before(void *context, const char *sql)
{
    (void)sql;
    event(context);
}

static void after(void *context, const char *sql)
{
    (void)sql;
    event(context);
}

static int sql(struct fixture *f, const char *statement, const struct db_trace *trace)
{
    struct db_sql_action a = {.database = f->database, .statement = statement};
    f->act.deadline_ms = act_now_ms() + 60000;
    return db_sql(&f->act, &a, trace, &f->error);
}

/* False: it has no such point, and came to its end. */
static bool dies_at(struct fixture *f, const char *statement, size_t at)
{
    pid_t child = fork();
    if (child == 0) {
        struct point p = {.left = at};
        struct db_trace trace = {.before = before, .context = &p, .after = after};
        _exit(sql(f, statement, &trace) == 0 ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    if (WIFSIGNALED(ended)) {
        return true;
    }
    assert_int_equal(WEXITSTATUS(ended), 0);
    return false;
}

static void prepare(struct fixture *f, size_t at)
{
    fixture_exec(f, "DROP TABLE IF EXISTS made; DROP TABLE IF EXISTS n; CREATE TABLE n (x int)");
    f->act.step = arena_printf(&f->arena, "4.%zu", at + 1); /* its own evidence */
    f->act.attempt = 1;
}

static int64_t count(struct fixture *f, const char *table)
{
    return atoll(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s", table)));
}

/* ---- what can be told ---- */

static void killed_everywhere(struct fixture *f)
{
    static const char statement[] = "CREATE TABLE made (x int);\nINSERT INTO n VALUES (1);\n"
                                    "ALTER TABLE made ADD y int;\nINSERT INTO made VALUES (1, 2)";
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 30000));
    size_t at = 0;
    for (;; at++) {
        assert_true(at < POINTS_MAX);
        prepare(f, at);
        bool died = dies_at(f, statement, at);
        /* The place finds that its worker is gone, and begins the step again: no new attempt, nobody was asked. */
        int rc = sql(f, statement, NULL);
        if (rc != 0) {
            fail_msg("killed at %zu: %s", at, f->error.message);
        }
        assert_int_equal(count(f, "n"), 1);
        assert_string_equal(fixture_value(f, "SELECT y FROM made WHERE x = 1"), "2");
        assert_int_equal(count(f, "made"), 1);
        assert_int_equal(count(f, fixture_own(f, "intent")), 0);
        if (!died) {
            break;
        }
    }
    assert_true(at > 10); /* it was killed where it mattered */
}

static void killed_anywhere_it_has_run_once(void **state)
{
    (void)state;
    fixture_everywhere(killed_everywhere);
}

/* ---- what cannot be told ---- */

/* Between two kills the counter has its number: how often the procedure has run. */
static void what_cannot_be_told_asks(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture *f = &fixture;
    fixture_mariadb(f);
    f->act.deadline_ms = act_now_ms() + 60000;
    static const char statement[] = "ALTER TABLE n ADD z int; CALL bump()";
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 30000));
    fixture_exec(f, "CREATE PROCEDURE bump() BEGIN INSERT INTO n (x) VALUES (1); COMMIT; END");
    size_t asked = 0;
    for (size_t at = 0;; at++) {
        prepare(f, at);
        bool died = dies_at(f, statement, at);
        int64_t ran = count(f, "n");
        int rc = sql(f, statement, NULL);
        int64_t then = count(f, "n");
        assert_true(then <= 1);
        if (rc == E_UNKNOWN) {
            asked++;
            assert_int_equal(then, ran); /* it has not run again, and does not by itself */
            assert_has(f->error.message, "sql:1 may or may not have run");
            assert_has(f->error.message, "`retry` runs it again from this statement on");
            assert_null(strstr(f->error.message, "lockstep db"));
            assert_int_equal(sql(f, statement, NULL), E_UNKNOWN);
            assert_int_equal(count(f, "n"), ran);
            /* A person has looked, undone it, and said so. */
            fixture_exec(f, "DELETE FROM n");
            f->act.attempt++;
            assert_ok(sql(f, statement, NULL));
            then = count(f, "n");
        } else {
            assert_int_equal(rc, 0);
        }
        assert_int_equal(then, 1);
        assert_int_equal(count(f, "lockstep_intent"), 0);
        if (!died) {
            break;
        }
    }
    assert_true(asked > 0);
    fixture_end(f);
}

/* ---- without a kill ---- */

static void a_failure_leaves_no_intent_where_nothing_has_run(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture *f = &fixture;
    fixture_mariadb(f);
    fixture_exec(f, "CREATE TABLE n (x int)");
    assert_int_equal(sql(f, "ALTER TABLE nowhere ADD z int", NULL), E_DATABASE);
    assert_has(f->error.message, "sql:1: ");
    assert_int_equal(count(f, "lockstep_intent"), 0);
    /* What stands before the failure is kept, and a retry goes on behind it. */
    f->act.step = "4.3";
    static const char two[] = "INSERT INTO n VALUES (1);\nALTER TABLE later ADD z int";
    assert_int_equal(sql(f, two, NULL), E_DATABASE);
    assert_has(f->error.message, "sql:2: ");
    assert_has(f->error.message, "What stands before sql:2 has run and is kept");
    fixture_exec(f, "CREATE TABLE later (x int)");
    assert_ok(sql(f, two, NULL));
    assert_int_equal(count(f, "n"), 1);
    fixture_end(f);
}

static void what_postgresql_wants_to_stand_alone_stands_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE n (x int)");
    static const char statement[] = "CREATE INDEX CONCURRENTLY n_x ON n (x)";
    assert_ok(sql(f, statement, NULL));
    assert_ok(sql(f, statement, NULL));
    assert_int_equal(count(f, "pg_indexes WHERE indexname = 'n_x'"), 1);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_it_has_run_once),
        cmocka_unit_test(what_cannot_be_told_asks),
        cmocka_unit_test(a_failure_leaves_no_intent_where_nothing_has_run),
        cmocka_unit_test(what_postgresql_wants_to_stand_alone_stands_alone),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
