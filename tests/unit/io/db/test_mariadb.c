/* What is MariaDB's own: its URLs, how it cuts texts, its errors, its sessions. */
#include "tests/unit/io/db/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io/db/actions.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/mariadb.h"
#include "lib/io/platform/files.h"
#include "lib/migration/script.h"

static struct mariadb_target parse(struct arena *arena, const char *url)
{
    struct mariadb_target t = {0};
    struct error e = {0};
    if (mariadb_url_parse(arena, url, &t, &e) != 0) {
        fail_msg("%s: %s", url, e.message);
    }
    return t;
}

static void urls_are_read_in_both_forms(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct mariadb_target t = parse(&arena, "mysql://mm:p%40ss%2fword@db.example:3307/chat");
    assert_string_equal(t.user, "mm");
    assert_string_equal(t.password, "p@ss/word");
    assert_string_equal(t.host, "db.example");
    assert_int_equal(t.port, 3307);
    assert_string_equal(t.database, "chat");
    t = parse(&arena, "mariadb://[::1]/chat?ssl-mode=verify-identity&ssl-ca=/ca.pem");
    assert_null(t.user);
    assert_string_equal(t.host, "::1");
    assert_int_equal(t.port, 3306);
    assert_int_equal(t.tls, MARIADB_TLS_VERIFY);
    assert_string_equal(t.ca, "/ca.pem");
    t = parse(&arena, "mysql://mm@/chat?socket=/run/mysqld/mysqld.sock");
    assert_null(t.host);
    assert_string_equal(t.socket, "/run/mysqld/mysqld.sock");
    assert_int_equal(t.tls, MARIADB_TLS_DISABLED);
    /* As golang-migrate and Mattermost write it, with the options of Go's driver. */
    t = parse(&arena, "mysql://mm:a@b/c@tcp(db:3306)/chat?charset=utf8mb4,utf8&writeTimeout=30s");
    assert_string_equal(t.password, "a@b/c");
    assert_string_equal(t.host, "db");
    assert_string_equal(t.database, "chat");
    t = parse(&arena, "mysql://mm@unix(/run/s)/chat?tls=skip-verify");
    assert_string_equal(t.socket, "/run/s");
    assert_int_equal(t.tls, MARIADB_TLS_REQUIRED);
    /* Who names an authority wants it asked. */
    assert_int_equal(parse(&arena, "mysql://h/d?ssl-ca=/ca.pem").tls, MARIADB_TLS_VERIFY);
    arena_deinit(&arena);
}

static void a_broken_url_is_refused_without_its_values(void **state)
{
    (void)state;
    static const struct {
        const char *url, *words;
    } bad[] = {
        {"mysql://u:s3cret@host", "the name of one database"},
        {"mysql://u:s3cret@host/", "the name of one database"},
        {"mysql://u:s3cret@host/a/b", "the name of one database"},
        {"mysql://u:s3cret%zz@host/a", "two hexadecimal digits"},
        {"mysql://u:s3cret%0@host/a", "two hexadecimal digits"},
        {"mysql://u:s3cret@host:0/a", "a port, 1 to 65535"},
        {"mysql://u:s3cret@host:65536/a", "a port, 1 to 65535"},
        {"mysql://u:s3cret@[::1/a", "has no ]"},
        {"mysql://u:s3cret@pipe(x)/a", "tcp or unix"},
        {"mysql://u@host/a?password=s3cret", "an option is none of"},
        {"mysql://u@host/a?s3cret", "needs = and a value"},
        {"mysql://u@host/a?ssl-mode=s3cret", "ssl-mode is disabled"},
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct mariadb_target t;
        struct error e = {0};
        assert_int_equal(mariadb_url_parse(&arena, bad[i].url, &t, &e), E_INVALID);
        assert_has(e.message, bad[i].words);
        assert_null(strstr(e.message, "s3cret"));
    }
    arena_deinit(&arena);
}

static size_t statements(const char *sql)
{
    struct mariadb_statement statement;
    size_t at = 0;
    size_t count = 0;
    while (mariadb_next_statement(sql, &at, true, &statement)) {
        count++;
    }
    return count;
}

static void texts_are_cut_as_the_server_does(void **state)
{
    (void)state;
    assert_int_equal(statements(" \n"), 0);
    assert_int_equal(statements("SELECT 1"), 1);
    assert_int_equal(statements("SELECT ';'; SELECT \"a;\\\";\"; SELECT `a;``;`"), 3);
    assert_int_equal(statements("-- a; b\nSELECT 1; # c; d\nSELECT 2 /* e; */ + 5--1;"), 2);
    assert_int_equal(statements("/*!40101 SET a = 1; SET b = 2 */;"), 2);
    assert_int_equal(
        statements("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN IF NEW.x "
                   "THEN SET NEW.y = CASE 1 WHEN 1 THEN 2 END; END IF; CASE NEW.x WHEN "
                   "1 THEN SET NEW.x = 2; END CASE; END; SELECT 1"),
        2);
    assert_int_equal(statements("BEGIN NOT ATOMIC SELECT 1; SELECT 2; END; SELECT 3"), 2);
    assert_int_equal(statements("BEGIN; SELECT 1; COMMIT"), 3);
    assert_int_equal(statements("/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 TRIGGER t "
                                "BEFORE INSERT ON a FOR EACH ROW BEGIN SELECT 1; END */; SELECT 1"),
                     2);
    struct mariadb_statement s;
    size_t at = 0;
    assert_true(mariadb_next_statement("\n-- x\n\nCALL p()", &at, true, &s));
    assert_int_equal(mariadb_line_at("\n-- x\n\nCALL p()", s.word), 4);
    assert_true(s.calls);
}

static int open_it(struct fixture *f, const char *url)
{
    struct db_session s = {0};
    struct db_options options = {.run = "r"};
    if (url != NULL) {
        f->database.url = url;
    }
    f->error.message[0] = '\0';
    int rc = db_open(&s, &f->arena, &f->database, &options, &f->error);
    db_close(&s);
    assert_null(strstr(f->error.message, MARIADB_PASSWORD));
    return rc;
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    int port = f->maria->port;
    const char *url = f->database.url;
    assert_ok(open_it(f, NULL));
    assert_int_equal(
        open_it(f, arena_printf(&f->arena, "mysql://app@127.0.0.1:%d/t_nowhere", port)),
        E_NOT_FOUND);
    assert_has(f->error.message, "database main (127.0.0.1:");
    assert_has(f->error.message, "Unknown database 't_nowhere'");
    assert_has(f->error.message, "CREATE DATABASE");
    assert_int_equal(open_it(f, arena_printf(&f->arena, "mysql://app@127.0.0.1:%d/mysql", port)),
                     E_DENIED);
    assert_has(f->error.message, "GRANT");
    assert_int_equal(open_it(f, "mysql://app@127.0.0.1:1/t"), E_UNAVAILABLE);
    assert_has(f->error.message, "is the server running");
    assert_int_equal(open_it(f, "mysql://app@/t?socket=/nowhere/s"), E_UNAVAILABLE);
    assert_has(f->error.message, "/nowhere/s");
    assert_int_equal(open_it(f, "mysql://app@no.such.host.invalid/t"), E_NOT_FOUND);
    /* In the URL it works as well, and a wrong one is not shown. */
    f->database.password = NULL;
    const char *mine = strrchr(url, '/') + 1;
    assert_ok(open_it(
        f, arena_printf(&f->arena, "mysql://app:maria's-s3cret@tcp(127.0.0.1:%d)/%s", port, mine)));
    assert_int_equal(
        open_it(f, arena_printf(&f->arena, "mysql://app:wrong" MARIADB_PASSWORD "@127.0.0.1:%d/t",
                                port)),
        E_DENIED);
    assert_has(f->error.message, "the password is wrong");
    assert_int_equal(open_it(f, arena_printf(&f->arena, "mysql://app@127.0.0.1:%d/t", port)),
                     E_DENIED);
    fixture_end(f);
}

static void encryption_that_is_wanted_is_not_left_out(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f); /* its server has no certificate */
    const char *plain = f->database.url;
    assert_ok(open_it(f, arena_printf(&f->arena, "%s?ssl-mode=preferred", plain)));
    assert_int_equal(open_it(f, arena_printf(&f->arena, "%s?ssl-mode=required", plain)), E_DENIED);
    assert_has(f->error.message, "ssl-mode");
    assert_int_equal(open_it(f, arena_printf(&f->arena, "%s?ssl-mode=verify-identity", plain)),
                     E_DENIED);
    fixture_end(f);
}

static void parameters_are_put_in_as_they_are(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    struct db_rows rows;
    fixture_open(f, &s, "r");
    const char *params[] = {"o'\\\"; -- ü", NULL, "10"};
    assert_ok(db_query(&s, &f->arena,
                       "SELECT $1, $2 IS NULL, '$1', \"$2\", $3 + 1, $1 = $1 -- $3\n /* $1 */",
                       params, 3, &rows, &f->error));
    static const char *const expected[] = {"o'\\\"; -- ü", "1", "$1", "$2", "11", "1"};
    assert_int_equal(rows.columns, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(db_cell(&rows, 0, i), expected[i]);
    }
    /* Without backslashes too. */
    assert_ok(db_exec(&s, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", &f->error));
    assert_ok(db_query(&s, &f->arena, "SELECT $1, '\\', $3", params, 3, &rows, &f->error));
    assert_string_equal(db_cell(&rows, 0, 0), params[0]);
    assert_string_equal(db_cell(&rows, 0, 2), "10");
    /* One statement, whatever is in it; a script before it changes nothing about that. */
    assert_ok(db_exec(&s, "SELECT 1; SELECT 2", &f->error));
    assert_int_equal(db_query(&s, &f->arena, "SELECT 1; SELECT 2", NULL, 0, &rows, &f->error),
                     E_DATABASE);
    db_close(&s);
    fixture_end(f);
}

static void fails_at(struct fixture *f, const char *sql, int line, const char *words)
{
    struct db_session s = {0};
    fixture_open(f, &s, "r");
    assert_int_equal(db_exec(&s, sql, &f->error), E_DATABASE);
    assert_has(f->error.message, words);
    assert_int_equal(s.fault.line, line);
    assert_false(s.lost);
    db_close(&s);
}

static void the_statement_that_fails_is_named_by_its_line(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    fixture_exec(f, "CREATE TABLE a (x int); -- one\nCREATE PROCEDURE p() BEGIN SELECT 1; SELECT "
                    "2; END;\n# the last word is a comment");
    fails_at(f, "SELECT nope", 1, "nope");
    fails_at(f, "INSERT INTO a VALUES (1);\n\n-- ü\nSELECT nope FROM a;\nSELECT 1", 4, "nope");
    fails_at(f, "INSERT INTO a VALUES (1);\n/* a\n b */ SELECT\n1 1 2;\nSELECT 1", 4, "error 1064");
    fails_at(f, "SELECT 1;\nCALL p();\nSELECT 'x;\n';\nDROP TABLE nope", 5, "nope");
    fails_at(f, "BEGIN NOT ATOMIC SELECT 1;\nSELECT 2; END;\nSELECT nope", 3, "nope");
    fails_at(f, "SELECT 1;;\nSELECT 2", 1, "error 1064");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM a"), "2"); /* as sent, no more */
    fixture_exec(f, "");
    fixture_exec(f, "-- nothing\n/* at all */");
    fixture_end(f);
}

static void our_sessions_are_told_from_the_applications(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    struct db_session look = {0};
    struct db_options read_only = {.read_only = true};
    struct db_writer *writers = NULL;
    size_t count = 99;
    fixture_open(f, &s, "run-9");
    assert_ok(db_open(&look, &f->arena, &f->database, &read_only, &f->error));
    assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
    assert_int_equal(count, 0);
    assert_string_equal(
        fixture_value(f, "SELECT ATTR_VALUE FROM performance_schema.session_account_connect_attrs"
                         " WHERE ATTR_NAME = 'program_name' AND ATTR_VALUE LIKE '%-9'"),
        "lockstep run-9");
    MYSQL *app = mysql_init(NULL);
    mysql_options4(app, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "chat");
    const char *database = strrchr(f->database.url, '/') + 1;
    assert_non_null(mysql_real_connect(app, "127.0.0.1", "app", MARIADB_PASSWORD, database,
                                       (unsigned)f->maria->port, NULL, 0));
    assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
    assert_int_equal(count, 1);
    assert_int_equal(writers[0].pid, mysql_thread_id(app));
    /* The server calls a session idle a moment after its client has its answer. */
    for (int i = 0; i < 1000 && !strstr(db_writers_text(&f->arena, writers, count, 3), "idle");
         i++) {
        usleep(10 * 1000);
        assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
        assert_int_equal(count, 1);
    }
    assert_has(db_writers_text(&f->arena, writers, count, 3), "app@127.0.0.1 (chat, idle");
    assert_ok(s.engine->terminate(&s, writers[0].pid, &f->error));
    assert_int_not_equal(mysql_query(app, "DO 1"), 0);
    assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
    assert_int_equal(count, 0);
    assert_ok(s.engine->terminate(&s, (int64_t)mysql_thread_id(app), &f->error)); /* gone already */
    mysql_close(app);
    assert_int_equal(db_exec(&look, "CREATE TABLE x (y int)", &f->error), E_DATABASE);
    assert_has(f->error.message, "READ ONLY");
    db_close(&look);
    db_close(&s);
    fixture_end(f);
}

static const char *as_root(struct fixture *f, const char *sql)
{
    const char *url = f->database.url;
    f->database.url = arena_printf(&f->arena, "mysql://root@/%s?socket=%s/s", strrchr(url, '/') + 1,
                                   f->maria->throwaway.dir);
    fixture_exec(f, sql);
    f->database.url = url;
    return url;
}

static void who_may_not_look_says_so(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    as_root(f, "CREATE USER IF NOT EXISTS weak@'%' IDENTIFIED BY \"" MARIADB_PASSWORD "\";"
               "GRANT ALL ON `t%`.* TO weak@'%'");
    struct db_session app = {0};
    struct db_session s = {0};
    fixture_open(f, &app, "app");
    bool got = false;
    assert_ok(app.engine->advisory_try(&app, "tool", &got, &f->error));
    assert_true(got);
    f->database.url = arena_printf(&f->arena, "mysql://weak@127.0.0.1:%d/%s", f->maria->port,
                                   strrchr(f->database.url, '/') + 1);
    fixture_open(f, &s, "r");
    struct db_writer *writers = NULL;
    size_t count = 0;
    assert_int_equal(db_writers(&s, &f->arena, &writers, &count, &f->error), E_DENIED);
    assert_has(f->error.message, "GRANT PROCESS ON *.*");
    struct db_lock_state held;
    assert_ok(s.engine->advisory_state(&s, &f->arena, "tool", &held, &f->error));
    assert_true(held.held);
    assert_has(held.words, arena_printf(&f->arena, "connection %lld", (long long)app.backend_pid));
    assert_has(held.words, "PROCESS");
    assert_int_equal(s.engine->terminate(&s, app.backend_pid, &f->error), E_DENIED);
    assert_has(f->error.message, "CONNECTION ADMIN");
    db_close(&s);
    db_close(&app);
    fixture_end(f);
}

static void a_tools_lock_is_tried_and_named_never_waited_for(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session a = {0}, b = {0};
    struct db_lock_state held;
    bool got = false;
    fixture_open(f, &a, "run-1");
    fixture_open(f, &b, "run-2");
    assert_ok(a.engine->advisory_try(&a, "3750327529", &got, &f->error));
    assert_true(got);
    assert_ok(b.engine->advisory_try(&b, "3750327529", &got, &f->error));
    assert_false(got);
    assert_ok(b.engine->advisory_state(&b, &f->arena, "3750327529", &held, &f->error));
    assert_true(held.held);
    assert_int_equal(held.pid, a.backend_pid);
    assert_has(held.words, "lockstep run-1, Lockstep's own, user app from 127.0.0.1");
    assert_int_equal(b.engine->advisory_release(&b, "3750327529", &f->error), E_CONFLICT);
    assert_ok(a.engine->advisory_release(&a, "3750327529", &f->error));
    assert_ok(b.engine->advisory_try(&b, "3750327529", &got, &f->error));
    assert_true(got);
    char name[66];
    memset(name, 'x', 65);
    name[65] = '\0';
    assert_int_equal(a.engine->advisory_try(&a, name, &got, &f->error), E_INVALID);
    name[64] = '\0';
    assert_ok(a.engine->advisory_try(&a, name, &got, &f->error));
    db_close(&a);
    db_close(&b);
    fixture_end(f);
}

static void an_earlier_worker_of_the_step_is_ended(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session first = {0}, second = {0}, other = {0};
    fixture_open(f, &first, "run-1");
    fixture_open(f, &second, "run-1");
    fixture_open(f, &other, "run-1");
    int64_t deadline = act_now_ms() + 5000;
    assert_ok(first.engine->sole_worker(&first, "run-1", "4.2", deadline, &f->error));
    assert_ok(other.engine->sole_worker(&other, "run-1", "4.3", deadline, &f->error));
    assert_ok(second.engine->sole_worker(&second, "run-1", "4.2", deadline, &f->error));
    assert_int_equal(db_exec(&first, "DO 1", &f->error), E_UNAVAILABLE);
    assert_true(first.lost && first.fault.lost);
    assert_ok(db_exec(&other, "DO 1", &f->error));
    db_close(&first);
    db_close(&second);
    db_close(&other);
    fixture_end(f);
}

static void a_limit_of_waiting_ends_with_its_transaction(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    const char *seconds = NULL;
    const char *question = "SELECT @@innodb_lock_wait_timeout";
    fixture_open(f, &s, "r");
    assert_ok(db_begin(&s, &f->error));
    assert_ok(s.engine->limit_wait(&s, 2500, &f->error));
    assert_ok(db_value(&s, &f->arena, question, NULL, 0, &seconds, &f->error));
    assert_string_equal(seconds, "3");
    assert_ok(db_commit(&s, &f->error));
    assert_ok(db_value(&s, &f->arena, question, NULL, 0, &seconds, &f->error));
    assert_string_equal(seconds, "50"); /* the server's default */
    db_close(&s);
    fixture_end(f);
}

static void a_transaction_is_seen_as_the_server_has_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    fixture_open(f, &s, "r");
    assert_ok(db_exec(&s, "CREATE TABLE a (x int PRIMARY KEY)", &f->error));
    assert_false(s.engine->in_transaction(&s));
    assert_ok(db_begin(&s, &f->error));
    assert_ok(db_exec(&s, "INSERT INTO a VALUES (1)", &f->error));
    assert_int_equal(db_exec(&s, "INSERT INTO a VALUES (1)", &f->error), E_DATABASE);
    assert_true(s.engine->in_transaction(&s));
    /* CREATE commits, also where it fails itself. */
    assert_int_equal(db_exec(&s, "CREATE TABLE a (x int)", &f->error), E_DATABASE);
    assert_false(s.engine->in_transaction(&s));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM a"), "1");
    db_close(&s);
    fixture_end(f);
}

static void a_server_that_goes_is_lost_and_waited_for(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    fixture_open(f, &s, "r");
    mariadb_server_stop(f->maria, SIGKILL);
    assert_int_equal(db_exec(&s, "DO 1", &f->error), E_UNAVAILABLE);
    assert_true(s.lost);
    assert_int_equal(db_exec(&s, "DO 1", &f->error), E_UNAVAILABLE);
    db_close(&s);
    assert_int_equal(open_it(f, NULL), E_UNAVAILABLE);
    assert_int_equal(mariadb_server_up(f->maria), 0);
    assert_ok(open_it(f, NULL));
    as_root(f, "SET GLOBAL read_only = 1");
    assert_int_equal(open_it(f, NULL), E_UNAVAILABLE);
    assert_has(f->error.message, "give the primary's host");
    struct db_options read_only = {.read_only = true};
    assert_ok(db_open(&s, &f->arena, &f->database, &read_only, &f->error));
    assert_ok(db_exec(&s, "DO 1", &f->error));
    db_close(&s);
    f->database.url =
        arena_printf(&f->arena, "mysql://root@/mysql?socket=%s/s", f->maria->throwaway.dir);
    assert_ok(db_open(&s, &f->arena, &f->database, &read_only, &f->error));
    assert_ok(db_exec(&s, "SET GLOBAL read_only = 0", &f->error));
    db_close(&s);
    fixture_end(f);
}

/* A maker that died leaves some of the tables; the next one makes the rest. */
static void tables_that_were_half_made_are_made(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    struct db_session s = {0};
    bool there = true;
    fixture_open(f, &s, "r");
    const char *stop = strstr(mariadb_evidence_ddl, "CREATE TABLE IF NOT EXISTS lockstep_holder");
    assert_non_null(stop);
    char *part =
        arena_strndup(&f->arena, mariadb_evidence_ddl, (size_t)(stop - mariadb_evidence_ddl));
    assert_ok(db_exec(&s, part, &f->error));
    assert_ok(db_evidence_exists(&s, &there, &f->error));
    assert_false(there);
    assert_ok(db_evidence_create(&s, act_now_ms() + 5000, &f->error));
    assert_ok(db_fence_raise(&s, 7, act_now_ms() + 5000, &f->error));
    /* All of it, and the layout without its row: the last moment. */
    assert_ok(db_exec(&s, "DELETE FROM lockstep_layout", &f->error));
    assert_ok(db_evidence_exists(&s, &there, &f->error));
    assert_false(there);
    assert_ok(db_evidence_create(&s, act_now_ms() + 5000, &f->error));
    uint64_t fence = 0;
    assert_ok(db_fence_read(&s, &fence, &f->error));
    assert_int_equal(fence, 7);
    /* A trigger fires for TRUNCATE on no table; a foreign key keeps it off. */
    assert_int_equal(db_exec(&s, "TRUNCATE lockstep_fence", &f->error), E_DATABASE);
    assert_has(f->error.message, "lockstep_holder_fence");
    db_close(&s);
    fixture_end(f);
}

/* The runner cuts scripts itself: by this server's rules, not by another one's. */
static void scripts_are_cut_by_the_servers_rules(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    static const char *const scripts[] = {
        "CREATE TABLE a (x varchar(40)); CREATE TABLE b (x int);",
        "INSERT INTO a SELECT 'it\\'s; 1'; INSERT INTO b VALUES (1);",
        "INSERT INTO a SELECT \"b;\\\"c'\"; INSERT INTO b VALUES (2);",
        "INSERT INTO b VALUES (3); # don't; stop\nINSERT INTO b VALUES (4);",
        "/* not /* nested; */ INSERT INTO b SELECT 4--1; INSERT INTO b VALUES (6);",
        "/*!40101 INSERT INTO a VALUES ('exec;') */; INSERT INTO b VALUES (7);",
        "INSERT INTO a SELECT '$$;'; INSERT INTO a SELECT '$$'; INSERT INTO b VALUES (8);",
        ("CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; INSERT INTO b VALUES (9); END;\n"
         "CALL p(); -- the end; of it")};
    struct migration_item items[ARRAY_SIZE(scripts)];
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        items[i] = fixture_item(f, (int64_t)i, arena_printf(&f->arena, "odd_%zu", i), scripts[i]);
        struct script script;
        script_read(&f->arena,
                    (struct bytes){.data = (const uint8_t *)scripts[i], .len = strlen(scripts[i])},
                    DB_MARIADB, &script);
        assert_int_equal(script.count, i == 6 ? 3 : 2);
    }
    assert_ok(fixture_migrate(f, &f->act, false, items, ARRAY_SIZE(items)));
    assert_string_equal(fixture_value(f, "SELECT GROUP_CONCAT(x ORDER BY x SEPARATOR '|') FROM a"),
                        "$$|$$;|b;\"c'|exec;|it's; 1");
    assert_string_equal(fixture_value(f, "SELECT GROUP_CONCAT(x ORDER BY x) FROM b"),
                        "1,2,3,4,5,6,7,8,9");
    fixture_end(f);
}

/* ---- backup, restore, the schema as data ---- */

static const char rich[] =
    "CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x;',"
    " born date, half int AS (id DIV 2) VIRTUAL, CHECK (name <> ''), UNIQUE named (name(10)));"
    "CREATE TABLE posts (id int PRIMARY KEY, who int, body text, data blob, KEY (body(20)),"
    " CONSTRAINT by_whom FOREIGN KEY (who) REFERENCES users (id) ON DELETE CASCADE);"
    "CREATE TABLE parts (k int) PARTITION BY HASH (k) PARTITIONS 2;"
    "CREATE SEQUENCE tickets START WITH 7; CREATE VIEW names AS SELECT name FROM users;"
    "CREATE TRIGGER loud BEFORE INSERT ON users FOR EACH ROW BEGIN SET NEW.name = UPPER(NEW.name);"
    " END; CREATE PROCEDURE p(IN a int) BEGIN SELECT a; SELECT 2; END;"
    "CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a + 1;"
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM posts;"
    "INSERT INTO users (name) VALUES ('it''s\\\\;\\n-- Dump completed'), ('b');"
    "INSERT INTO posts VALUES (1, 1, '`CREATE TABLE `', x'00ff0a27');"
    "SELECT NEXTVAL(tickets)";

/* What the server's own program says, with all data. */
static const char *dumped(struct fixture *f)
{
    const char *database = strrchr(f->database.url, '/') + 1;
    setenv("MYSQL_PWD", MARIADB_PASSWORD, 1);
    FILE *out = popen(
        arena_printf(&f->arena,
                     "mariadb-dump --no-defaults -h 127.0.0.1 -P %d -u app --hex-blob --routines"
                     " --events --skip-dump-date --ignore-table=%s.db_lock --ignore-table="
                     "%s.lockstep_fence --ignore-table=%s.lockstep_evidence --ignore-table="
                     "%s.lockstep_intent --ignore-table=%s.lockstep_holder %s",
                     f->maria->port, database, database, database, database, database, database),
        "r");
    char *text = arena_alloc(&f->arena, 1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, out);
    text[len] = '\0';
    assert_int_equal(pclose(out), 0);
    assert_has(text, "CREATE TABLE `users`");
    return text;
}

static const char *backup(struct fixture *f, const char **ret_path)
{
    struct db_backup_action a = {.database = f->database,
                                 .directory = arena_printf(&f->arena, "%s/backups", f->dir)};
    struct action action = {.db_backup = &a};
    f->act.step = "1.1";
    assert_ok(act_db_backup(&f->act, &action, &f->error));
    *ret_path = db_backup_path(&f->act, a.directory, "main", f->act.run, "1.1");
    const char *at = strstr(f->act.facts, "\"fingerprint\":\"");
    assert_non_null(at);
    return arena_strndup(&f->arena, at + strlen("\"fingerprint\":\""), 64);
}

static int restore(struct fixture *f, const char *step, const char *path, const char *fingerprint)
{
    struct db_restore_action a = {
        .database = f->database, .format = FORMAT_MORPH, .path = path, .fingerprint = fingerprint};
    struct action action = {.db_restore = &a};
    f->act.step = step;
    return act_db_restore(&f->act, &action, &f->error);
}

static void a_restored_database_is_the_one_that_was_backed_up(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    const char *path = NULL;
    fixture_exec(f, rich);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    const char *before = dumped(f);
    const char *fingerprint = backup(f, &path);
    fixture_exec(f, "DROP TABLE posts; ALTER TABLE users DROP COLUMN born; DELETE FROM users; DROP "
                    "VIEW names; DROP PROCEDURE p; CREATE FUNCTION g() RETURNS int RETURN 1;"
                    "CREATE TABLE more (x int, y int REFERENCES users (id)); CREATE VIEW other AS "
                    "SELECT x FROM more; CREATE SEQUENCE s2; DROP EVENT nightly; UPDATE "
                    "lockstep_fence SET value = 9");
    f->act.fence = 9;
    assert_ok(restore(f, "1.2", path, fingerprint));
    assert_string_equal(dumped(f), before);
    assert_string_equal(fixture_value(f, "SELECT value FROM lockstep_fence"), "9");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "1"); /* ours still */
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep_intent"), "0");
    assert_ok(restore(f, "1.2", path, fingerprint)); /* the same step: it finds its evidence */
    assert_has(f->act.facts, "\"already\":true");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void a_restore_that_breaks_says_what_stands(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    const char *path = NULL;
    char *text = NULL;
    size_t len = 0;
    fixture_exec(f, rich);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    const char *before = dumped(f);
    const char *fingerprint = backup(f, &path);
    /* A file that was cut, before anything goes. */
    assert_ok(file_read(&f->arena, path, 1 << 20, &text, &len, &f->error));
    const char *cut = arena_printf(&f->arena, "%s.cut", path);
    assert_int_equal(file_write(cut, text, len - 60, 0600, NULL), 0);
    assert_int_equal(restore(f, "1.3", cut, NULL), E_INVALID);
    assert_has(f->error.message, "is not whole");
    assert_string_equal(dumped(f), before);
    /* One that the server refuses in the middle is half-done, and says so; the intent stands. */
    const char *bad = arena_printf(&f->arena, "%s.bad", path);
    const char *broken = arena_printf(&f->arena, "CREATE TABLE z (x int);\nnonsense;\n%s", text);
    assert_int_equal(file_write(bad, broken, strlen(broken), 0600, NULL), 0);
    assert_int_equal(restore(f, "1.4", bad, NULL), E_DATABASE);
    assert_has(f->error.message, "half-done");
    assert_string_equal(fixture_value(f, "SELECT ledger FROM lockstep_intent"), "restore");
    assert_ok(restore(f, "1.5", path, fingerprint));
    assert_string_equal(dumped(f), before);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep_intent"), "0");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static const char *digest(struct fixture *f, const char **ret_state)
{
    struct db_session s = {0};
    struct db_fingerprint now;
    fixture_open(f, &s, "look");
    assert_ok(db_fingerprint_read(&s, &f->arena, &now, &f->error));
    assert_ok(s.engine->schema_state(&s, &f->arena, ret_state, &f->error));
    db_close(&s);
    return now.digest;
}

static void every_change_is_seen_and_its_reverse_too(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"CREATE TABLE t (x int)", "DROP TABLE t"},
        {"ALTER TABLE users ADD c int", "ALTER TABLE users DROP c"},
        {"ALTER TABLE users MODIFY born datetime", "ALTER TABLE users MODIFY born date"},
        {"ALTER TABLE users MODIFY born date NOT NULL", "ALTER TABLE users MODIFY born date"},
        {"ALTER TABLE users ALTER born SET DEFAULT '2020-01-01'",
         "ALTER TABLE users ALTER born SET DEFAULT NULL"},
        {"ALTER TABLE posts MODIFY body text COLLATE utf8mb4_bin",
         "ALTER TABLE posts MODIFY body text"},
        {"CREATE INDEX i ON users (born)", "DROP INDEX i ON users"},
        {"ALTER TABLE users DROP INDEX named, ADD UNIQUE named (name(11))",
         "ALTER TABLE users DROP INDEX named, ADD UNIQUE named (name(10))"},
        {"ALTER TABLE users ADD CONSTRAINT c CHECK (born > '2000-01-01')",
         "ALTER TABLE users DROP CONSTRAINT c"},
        {"ALTER TABLE posts DROP FOREIGN KEY by_whom, ADD CONSTRAINT by_whom2 FOREIGN KEY (who) "
         "REFERENCES users (id)",
         "ALTER TABLE posts DROP FOREIGN KEY by_whom2, DROP INDEX by_whom2, ADD CONSTRAINT by_whom "
         "FOREIGN KEY (who) REFERENCES users (id) ON DELETE CASCADE"},
        {"DROP TRIGGER loud", "CREATE TRIGGER loud BEFORE INSERT ON users FOR EACH ROW BEGIN SET "
                              "NEW.name = UPPER(NEW.name); END"},
        {"CREATE OR REPLACE VIEW names AS SELECT name, id FROM users",
         "CREATE OR REPLACE VIEW names AS SELECT name FROM users"},
        {"CREATE OR REPLACE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a + 2",
         "CREATE OR REPLACE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a + 1"},
        {"CREATE OR REPLACE PROCEDURE p(IN a bigint) BEGIN SELECT a; SELECT 2; END",
         "CREATE OR REPLACE PROCEDURE p(IN a int) BEGIN SELECT a; SELECT 2; END"},
        {"ALTER EVENT nightly ON SCHEDULE EVERY 2 DAY",
         "ALTER EVENT nightly ON SCHEDULE EVERY 1 DAY"},
        {"ALTER TABLE parts PARTITION BY HASH (k) PARTITIONS 3",
         "ALTER TABLE parts PARTITION BY HASH (k) PARTITIONS 2"},
    };
    struct fixture fixture, *f = &fixture;
    fixture_mariadb(f);
    fixture_exec(f, rich);
    fixture_exec(f, "UPDATE users SET born = '2020-02-02'");
    const char *first_state = NULL;
    const char *first = digest(f, &first_state);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        const char *now_state = NULL;
        fixture_exec(f, changes[i][0]);
        if (str_equal(digest(f, &now_state), first) || str_equal(now_state, first_state)) {
            fail_msg("not seen: %s", changes[i][0]);
        }
        fixture_exec(f, changes[i][1]);
        if (!str_equal(digest(f, &now_state), first) || !str_equal(now_state, first_state)) {
            fail_msg("not the first again: %s", changes[i][1]);
        }
    }
    /* Rows, the place of a column, the ledger and Lockstep's own are no change. */
    const char *now_state = NULL;
    fixture_exec(f, "INSERT INTO users (name) VALUES ('more'); DO NEXTVAL(tickets); ALTER TABLE "
                    "users MODIFY born date FIRST; CREATE TABLE db_migrations (Version int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    assert_string_equal(digest(f, &now_state), first);
    assert_string_equal(now_state, first_state);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read_in_both_forms),
        cmocka_unit_test(a_broken_url_is_refused_without_its_values),
        cmocka_unit_test(texts_are_cut_as_the_server_does),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(encryption_that_is_wanted_is_not_left_out),
        cmocka_unit_test(parameters_are_put_in_as_they_are),
        cmocka_unit_test(the_statement_that_fails_is_named_by_its_line),
        cmocka_unit_test(our_sessions_are_told_from_the_applications),
        cmocka_unit_test(who_may_not_look_says_so),
        cmocka_unit_test(a_tools_lock_is_tried_and_named_never_waited_for),
        cmocka_unit_test(an_earlier_worker_of_the_step_is_ended),
        cmocka_unit_test(a_limit_of_waiting_ends_with_its_transaction),
        cmocka_unit_test(a_transaction_is_seen_as_the_server_has_it),
        cmocka_unit_test(a_server_that_goes_is_lost_and_waited_for),
        cmocka_unit_test(tables_that_were_half_made_are_made),
        cmocka_unit_test(scripts_are_cut_by_the_servers_rules),
        cmocka_unit_test(a_restored_database_is_the_one_that_was_backed_up),
        cmocka_unit_test(a_restore_that_breaks_says_what_stands),
        cmocka_unit_test(every_change_is_seen_and_its_reverse_too),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
