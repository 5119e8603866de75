/* What a checkpoint records of a schema, what differs from it later, and the checks of a release's data. */
#include "tests/unit/io/db/fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io/db/fingerprint.h"
#include "lib/io/platform/files.h"

static const char *now_digest(struct fixture *f)
{
    struct db_session s = {0};
    struct db_fingerprint now;
    fixture_open(f, &s, "look");
    assert_ok(db_fingerprint_read(&s, &f->arena, &now, &f->error));
    db_close(&s);
    return now.digest;
}

static int checkpoint(struct fixture *f, const char *step, const char *release)
{
    struct db_checkpoint_action a = {
        .database = f->database, .format = FORMAT_MORPH, .release = release, .schema = 2};
    struct action action = {.db_checkpoint = &a};
    f->act.step = step;
    return act_db_checkpoint(&f->act, &action, &f->error);
}

static int drift(struct fixture *f, const char *step, const char *release, int policy)
{
    struct db_drift_action a = {
        .database = f->database, .format = FORMAT_MORPH, .release = release, .policy = policy};
    struct action action = {.db_drift = &a};
    f->act.step = step;
    f->act.facts = NULL;
    return act_db_drift(&f->act, &action, &f->error);
}

static void records_once(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE t (x int)");
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    assert_has(f->act.facts, arena_printf(&f->arena, "\"fingerprint\":\"%s\"", now_digest(f)));
    assert_ok(checkpoint(f, "1.1", "2.0.0")); /* a repeat of the same step */
    assert_ok(checkpoint(f, "1.2", "2.0.0")); /* the same schema again: its text is there once */
    const char *one = now_digest(f);
    fixture_exec(f, "CREATE INDEX t_x ON t (x)");
    assert_ok(checkpoint(f, "1.3", "3.0.0"));
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "fingerprint"))),
                        "2");
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "checkpoint"))),
                        "3");
    struct db_session s = {0};
    struct db_checkpoint c;
    struct db_fingerprint was;
    fixture_open(f, &s, "look");
    assert_ok(db_fingerprint_of(&s, &f->arena, "2.0.0", &c, &was, &f->error));
    assert_string_equal(was.digest, one);
    assert_string_equal(c.step, "1.2");
    assert_ok(db_fingerprint_of(&s, &f->arena, NULL, &c, &was, &f->error));
    assert_string_equal(was.digest, now_digest(f));
    assert_string_equal(c.release, "3.0.0");
    assert_ok(db_fingerprint_of(&s, &f->arena, "9.9.9", &c, &was, &f->error));
    assert_null(c.run);
    db_close(&s);
}

static void a_checkpoint_records_the_schema_once(void **state)
{
    (void)state;
    fixture_everywhere(records_once);
}

static void old_fence(struct fixture *f)
{
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    fixture_exec(f, "CREATE TABLE more (x int)");
    struct db_session s = {0};
    struct db_fingerprint now;
    struct db_checkpoint c = {.run = "stale", .step = "1.1", .digest = "x", .fence = 6};
    fixture_open(f, &s, "stale");
    assert_ok(db_fingerprint_read(&s, &f->arena, &now, &f->error));
    assert_int_equal(db_fingerprint_record(&s, &now, &c, &f->error), E_DENIED);
    assert_has(f->error.message, "the fence is old");
    db_close(&s);
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "fingerprint"))),
                        "1");
}

static void a_stale_fence_records_no_schema(void **state)
{
    (void)state;
    fixture_everywhere(old_fence);
}

static void drift_both(struct fixture *f)
{
    fixture_exec(
        f, "CREATE TABLE posts (id int, body varchar(9)); CREATE INDEX posts_body ON posts (body)");
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    assert_ok(drift(f, "1.2", NULL, DRIFT_REFUSE));
    assert_has(f->act.facts, "\"differences\":0,\"drift\":false");
    assert_has(f->act.facts, "\"recorded\":false,\"words\":[]");
    fixture_exec(f, "ALTER TABLE posts ADD COLUMN at int");
    fixture_exec(f, fixture_pick(f, "DROP INDEX posts_body", "DROP INDEX posts_body",
                                 "DROP INDEX posts_body ON posts"));
    assert_int_equal(drift(f, "1.3", NULL, DRIFT_REFUSE), E_CONFLICT);
    const char *prefix = fixture_pick(f, "public.", "", "");
    const char *index =
        fixture_pick(f, "public.", "", "posts."); /* there it belongs to its table */
    assert_has(f->error.message,
               arena_printf(&f->arena,
                            "new column %sposts.at; index %sposts_body is not there any more",
                            prefix, index));
    assert_has(f->error.message, " for release 2.0.0");
    assert_int_equal(drift(f, "1.3", "2.0.0", DRIFT_REFUSE), E_CONFLICT);
    assert_ok(drift(f, "1.3", NULL, DRIFT_WARN));
    assert_has(f->act.facts, "\"differences\":2,\"drift\":true");
    /* Nothing is known of this one: recorded, and said so; from then on it is known. */
    assert_ok(drift(f, "1.4", "3.0.0", DRIFT_REFUSE));
    assert_has(f->act.facts, "\"drift\":false");
    assert_has(f->act.facts, "\"recorded\":true");
    assert_ok(drift(f, "1.5", "3.0.0", DRIFT_REFUSE));
    assert_has(f->act.facts, "\"recorded\":false");
    fixture_exec(f, "DROP TABLE posts");
    assert_int_equal(drift(f, "1.6", "3.0.0", DRIFT_REFUSE), E_CONFLICT);
    assert_has(f->error.message,
               arena_printf(&f->arena, "table %sposts is not there any more", prefix));
}

/* The application migrated by itself since: its schema is another one because of that. */
static void ledger_moves_on(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE db_migrations (version bigint PRIMARY KEY, name varchar(99));"
                    "CREATE TABLE posts (id int); INSERT INTO db_migrations VALUES (1, 'a')");
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    fixture_exec(f, "CREATE TABLE more (id int); INSERT INTO db_migrations VALUES (2, 'b')");
    assert_ok(drift(f, "1.2", NULL, DRIFT_REFUSE));
    assert_has(f->act.facts, "\"drift\":false");
    assert_has(f->act.facts, "\"recorded\":false");
    assert_int_equal(drift(f, "1.3", "2.0.0", DRIFT_REFUSE), E_CONFLICT);
    fixture_exec(f, "DELETE FROM db_migrations WHERE version = 2");
    assert_int_equal(drift(f, "1.4", NULL, DRIFT_REFUSE), E_CONFLICT);
}

static void a_ledger_that_moved_on_is_no_drift(void **state)
{
    (void)state;
    fixture_everywhere(ledger_moves_on);
}

static void drift_is_refused_or_said(void **state)
{
    (void)state;
    fixture_everywhere(drift_both);
}

static void many(struct fixture *f)
{
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    for (int i = 0; i < 40; i++) {
        fixture_exec(
            f, arena_printf(&f->arena, "CREATE TABLE a_table_of_some_length_%02d (x int)", i));
    }
    const char *log = arena_printf(&f->arena, "%s/log", f->dir);
    f->act.log_fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(drift(f, "1.2", NULL, DRIFT_REFUSE), E_CONFLICT);
    close(f->act.log_fd);
    f->act.log_fd = -1;
    assert_has(f->error.message, " more, in this step's log");
    assert_has(f->error.message, "drift: warn"); /* its end is there */
    const char *said = file_tail(&f->arena, log, 65536);
    assert_has(said, "a_table_of_some_length_00");
    assert_has(said, "a_table_of_some_length_39");
    json_t *facts = json_loads(f->act.facts, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(facts, "words")), 10);
    json_decref(facts);
}

static void many_differences_are_in_the_log(void **state)
{
    (void)state;
    fixture_everywhere(many);
}

/* A fingerprint that another version of Lockstep wrote in another way is no drift. */
static void unreadable(struct fixture *f)
{
    assert_ok(checkpoint(f, "1.1", "2.0.0"));
    fixture_exec(f,
                 arena_printf(&f->arena, "UPDATE %s SET objects = 'lockstep schema fingerprint 0'",
                              fixture_own(f, "fingerprint")));
    assert_ok(drift(f, "1.2", NULL, DRIFT_REFUSE));
    assert_has(f->act.facts, "\"recorded\":true");
}

static void another_versions_fingerprint_is_recorded_anew(void **state)
{
    (void)state;
    fixture_everywhere(unreadable);
}

/* ---- checks ---- */

static int check(struct fixture *f, const char *sql, const char *expect)
{
    struct db_check_action a = {
        .database = f->database, .sql = sql, .expect = expect, .message = "2.0 needs it"};
    struct action action = {.db_check = &a};
    return act_db_check(&f->act, &action, &f->error);
}

static void check_both(struct fixture *f)
{
    fixture_exec(f, "CREATE TABLE t (x int, y text); INSERT INTO t VALUES (1, 'a'), (2, NULL)");
    assert_ok(check(f, "SELECT count(*) FROM t", "2"));
    assert_string_equal(f->act.facts, "{\"answer\":\"2\"}");
    assert_ok(check(f, "-- why\nSELECT y FROM t WHERE x = 1;", "a"));
    assert_ok(check(f, "SELECT 1 FROM t WHERE x > 2", "none"));
    assert_string_equal(f->act.facts, "{\"answer\":null}");
    assert_int_equal(check(f, "SELECT count(*) FROM t", "3"), E_CONFLICT);
    assert_has(f->error.message,
               "2.0 needs it: SELECT count(*) FROM t answered \"2\", expected \"3\"");
    assert_int_equal(check(f, "SELECT x FROM t WHERE x = 2", "none"), E_CONFLICT);
    assert_has(f->error.message, "answered \"2\", expected no row");
    assert_int_equal(check(f, "SELECT x FROM t WHERE x > 2", "2"), E_CONFLICT);
    assert_has(f->error.message, "answered no row");
    assert_int_equal(check(f, "SELECT y FROM t WHERE x = 2", ""), E_CONFLICT);
    assert_has(f->error.message, "answered NULL");
    assert_int_equal(check(f, "DELETE FROM t", "2"), E_INVALID);
    assert_int_equal(check(f, "SELECT 1; DELETE FROM t", "1"), E_INVALID);
    assert_int_equal(check(f, "", "1"), E_INVALID);
    assert_true(
        check(f, "WITH gone AS (DELETE FROM t RETURNING x) SELECT count(*) FROM gone", "2") < 0);
    assert_true(check(f, "SELECT nothing FROM t", "2") < 0);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM t"), "2");
}

static void a_check_compares_and_changes_nothing(void **state)
{
    (void)state;
    fixture_everywhere(check_both);
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE SEQUENCE q; CREATE TABLE t (x int); CREATE FUNCTION f() RETURNS int "
                    "LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING 1'");
    assert_int_equal(check(f, "SELECT nextval('q')", "1"), E_DATABASE);
    assert_int_equal(check(f, "SELECT f()", "1"), E_DATABASE);
    fixture_end(f);
}

static void a_check_ends_in_its_time(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    f->act.deadline_ms = act_now_ms() + 500;
    assert_int_equal(check(f, "SELECT pg_sleep(60)", ""), E_TIMEOUT);
    assert_has(f->error.message, "the check did not end in its time: SELECT pg_sleep(60)");
    fixture_end(f);
    fixture_mariadb(f);
    fixture_exec(f, "CREATE TABLE t (x int)");
    f->act.deadline_ms = act_now_ms() + 500;
    assert_int_equal(check(f, "SELECT SLEEP(60)", "0"), E_TIMEOUT);
    assert_has(f->error.message, "the check did not end in its time: SELECT SLEEP(60)");
    /* Also while it waits for a table that somebody holds. */
    struct db_session s = {0};
    fixture_open(f, &s, "x");
    assert_ok(db_exec(&s, "LOCK TABLES t WRITE", &f->error));
    f->act.deadline_ms = act_now_ms() + 1000;
    assert_int_equal(check(f, "SELECT COUNT(*) FROM t", "0"), E_TIMEOUT);
    db_close(&s);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_records_the_schema_once),
        cmocka_unit_test(a_stale_fence_records_no_schema),
        cmocka_unit_test(a_ledger_that_moved_on_is_no_drift),
        cmocka_unit_test(drift_is_refused_or_said),
        cmocka_unit_test(many_differences_are_in_the_log),
        cmocka_unit_test(another_versions_fingerprint_is_recorded_anew),
        cmocka_unit_test(a_check_compares_and_changes_nothing),
        cmocka_unit_test(a_check_ends_in_its_time),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
