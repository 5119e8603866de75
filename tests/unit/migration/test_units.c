/* Where a script is cut, and what each part may be trusted with. Written out: the parts are compared with text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/migration/units.h"

static struct arena arena;

static struct script read_script(const char *sql, enum db_engine_kind engine)
{
    struct script script;
    script_read(&arena, (struct bytes){(const uint8_t *)sql, strlen(sql)}, engine, &script);
    return script;
}

static bool controls(const char *sql)
{
    struct script script = read_script(sql, DB_POSTGRES);
    for (size_t i = 0; i < script.count; i++) {
        if (statement_controls(&script.items[i])) {
            return true;
        }
    }
    return false;
}

static void transaction_control_is_found_outside_bodies(void **state)
{
    (void)state;
    assert_true(controls("-- x\nbegin; SELECT 1; COMMIT"));
    assert_true(controls("SELECT 1; ROLLBACK"));
    assert_false(controls("SELECT 'BEGIN; COMMIT'; /* COMMIT; */ SELECT 2"));
    assert_false(controls("DO $$ BEGIN COMMIT; END $$;"));
    assert_false(controls("CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN 1 "
                          "THEN 2 END; SELECT 1; END;"));
    assert_false(controls("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; "
                          "SELECT 2; END; SELECT 3"));
    assert_true(controls("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; COMMIT"));
    assert_false(
        controls("CREATE PROCEDURE p() BEGIN IF x THEN SET @a = 1; END IF; "
                 "WHILE y DO SET @b = 2; END WHILE; CASE z WHEN 1 THEN SELECT 1; END CASE; "
                 "SELECT 3; END; SELECT 4"));
    assert_false(controls("CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2)"));
}

static const char *refusal(const char *sql, enum db_engine_kind engine)
{
    struct script script = read_script(sql, engine);
    struct error e = {0};
    return script_check(&script, 3, &e) < 0 ? arena_strdup(&arena, e.message) : "";
}

static void what_cannot_be_cut_is_refused(void **state)
{
    (void)state;
    assert_string_equal(
        refusal("SELECT 1;\ndelimiter //\nCREATE PROCEDURE p() BEGIN SELECT 1; END //\n",
                DB_MARIADB),
        "line 4: DELIMITER is a command of the mariadb client, the server does not know it: leave "
        "these lines out and end the body with a semicolon (BEGIN … END may hold others). Nothing "
        "of it has run");
    assert_string_equal(refusal("SELECT 1 AS delimiter", DB_MARIADB), "");
    static const struct {
        const char *sql;
        enum db_engine_kind engine;
        bool refused;
    } cases[] = {
        {"SET sql_mode = 'ANSI_QUOTES'", DB_MARIADB, true},
        {"SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')", DB_MARIADB, true},
        {"/*!40101 SET @@sql_mode = \"oracle\" */", DB_MARIADB, true},
        {"/*!40101 SET @OLD=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", DB_MARIADB, false},
        {"SET sql_mode = 'TRADITIONAL,STRICT_TRANS_TABLES'", DB_MARIADB, false},
        {"SET standard_conforming_strings = off", DB_POSTGRES, true},
        {"SET LOCAL standard_conforming_strings TO 'false'", DB_POSTGRES, true},
        {"SET standard_conforming_strings = on", DB_POSTGRES, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if ((refusal(cases[i].sql, cases[i].engine)[0] != '\0') != cases[i].refused) {
            fail_msg("%s", cases[i].sql);
        }
    }
}

/* One text, three servers. The counts are the servers' own (test_cuts.c asks them about many more). */
static void each_engine_has_its_own_rules(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t postgres, sqlite, mariadb;
    } cases[] = {
        {"SELECT '\\'; SELECT 2 -- '", 2, 2, 1},
        {"SELECT $$;$$", 1, 2, 2},
        {"SELECT 1 # ; SELECT 2", 2, 2, 1},
        {"SELECT 1--1; SELECT 2", 1, 1, 2},
        {"SELECT [;]", 2, 1, 2},
        {"SELECT `;`", 2, 1, 1},
        {"SELECT E'\\';'", 1, 2, 1},
        {"/* /* */ SELECT 1; */", 0, 2, 2},
        {"SELECT 1 /*! ; SELECT 2 */", 1, 1, 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t postgres = read_script(cases[i].sql, DB_POSTGRES).count;
        size_t sqlite = read_script(cases[i].sql, DB_SQLITE).count;
        size_t mariadb = read_script(cases[i].sql, DB_MARIADB).count;
        if (postgres != cases[i].postgres || sqlite != cases[i].sqlite ||
            mariadb != cases[i].mariadb) {
            fail_msg("%zu %zu %zu: %s", postgres, sqlite, mariadb, cases[i].sql);
        }
    }
}

static void an_index_is_known_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *schema, *table, *name;
        bool drop;
    } cases[] = {
        {"CREATE INDEX CONCURRENTLY Idx ON posts (x)", NULL, "posts", "idx", false},
        {"create unique index concurrently if not exists \"Idx\" on only s.posts using btree (x)",
         "s", "posts", "Idx", false},
        {"CREATE INDEX CONCURRENTLY ON posts (x)", NULL, NULL, NULL, false},
        {"DROP INDEX CONCURRENTLY IF EXISTS s.idx", "s", NULL, "idx", true},
        {"DROP INDEX a, b", NULL, NULL, NULL, false},
        {"CREATE TABLE index (x int)", NULL, NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct script script = read_script(cases[i].sql, DB_POSTGRES);
        assert_int_equal(script.count, 1);
        const struct statement *s = &script.items[0];
        assert_true(str_equal(s->index.name, cases[i].name));
        assert_true(str_equal(s->index.table, cases[i].table));
        assert_true(str_equal(s->index.schema, cases[i].schema));
        assert_int_equal(s->index_drop, cases[i].drop);
    }
}

/* "FREE(a|b) ALONE(c)", texts with their lines. */
static const char *cut(enum db_engine_kind engine, bool transactional, const char *const *texts,
                       size_t count)
{
    struct migration_piece pieces[8];
    int line = 1;
    for (size_t i = 0; i < count; i++) {
        pieces[i] =
            (struct migration_piece){.sql = texts[i], .len = strlen(texts[i]), .line = line};
        for (const char *p = texts[i]; *p != '\0'; p++) {
            line += *p == '\n' ? 1 : 0;
        }
    }
    struct units_rules rules = {.engine = engine,
                                .schema_in_transactions = engine != DB_MARIADB,
                                .transactional = transactional,
                                .wrapped = transactional};
    struct units units = {0};
    struct error e = {0};
    struct migration_pieces all = {.items = pieces, .count = count};
    if (units_of(&arena, &all, &rules, &units, &e) < 0) {
        return arena_strdup(&arena, e.message);
    }
    static const char *const names[] = {"FREE", "OWN", "ALONE", "SESSION", "UNDONE"};
    struct buf b;
    buf_init(&b, &arena, 4096);
    for (size_t i = 0; i < units.count; i++) {
        const struct unit *u = &units.items[i];
        buf_printf(&b, "%s%s", i > 0 ? " " : "", names[u->kind]);
        for (size_t j = 0; j < u->count; j++) {
            buf_printf(&b, "%s%d:%s", j > 0 ? "|" : "(", u->texts[j].line, u->texts[j].sql);
        }
        buf_puts(&b, u->count > 0 ? ")" : "()");
        buf_puts(&b, u->atomic || u->kind != UNIT_ALONE ? "" : "!"); /* may be left half-done */
    }
    return buf_text(&b);
}

#define CUT(engine, transactional, ...)                                                            \
    cut(engine, transactional, (const char *const[]){__VA_ARGS__},                                 \
        ARRAY_SIZE(((const char *const[]){__VA_ARGS__})))

static void what_fits_one_transaction_is_one_unit(void **state)
{
    (void)state;
    assert_string_equal(CUT(DB_POSTGRES, true, "CREATE TABLE a ();\nINSERT INTO a VALUES (1);"),
                        "FREE(1:CREATE TABLE a ();\nINSERT INTO a VALUES (1);)");
    assert_string_equal(CUT(DB_POSTGRES, true, "A;\n", "SELECT 1"), "FREE(1:A;\n|2:SELECT 1)");
    assert_string_equal(CUT(DB_POSTGRES, true, "-- nothing"), "FREE()");
    assert_string_equal(CUT(DB_POSTGRES, true, "SET x = 1; UPDATE a SET x = 1"),
                        "FREE(1:SET x = 1; UPDATE a SET x = 1)");
    assert_string_equal(CUT(DB_SQLITE, true, "PRAGMA foreign_keys = 0; DROP TABLE a"),
                        "FREE(1:PRAGMA foreign_keys = 0; DROP TABLE a)");
    /* Not wrapped by the tool: each of its pieces commits by itself. */
    assert_string_equal(CUT(DB_POSTGRES, false, "ALTER TYPE t ADD VALUE 'x'", "SELECT 'x'::t"),
                        "FREE(1:ALTER TYPE t ADD VALUE 'x') FREE(1:SELECT 'x'::t)");
}

static void what_must_stand_alone_stands_alone(void **state)
{
    (void)state;
    assert_string_equal(CUT(DB_POSTGRES, false, "SET a = 1;\n",
                            "CREATE INDEX CONCURRENTLY i ON t "
                            "(x);\n",
                            "UPDATE t SET x = 1"),
                        "SESSION(1:SET a = 1;\n) ALONE(2:CREATE INDEX CONCURRENTLY i ON t (x);\n) "
                        "FREE(3:UPDATE t SET x = 1)");
    assert_string_equal(CUT(DB_POSTGRES, true, "VACUUM t"), "ALONE(1:VACUUM t)");
    assert_string_equal(CUT(DB_POSTGRES, false, "DO $$ BEGIN PERFORM 1; COMMIT; END $$"),
                        "ALONE(1:DO $$ BEGIN PERFORM 1; COMMIT; END $$)!");
    assert_string_equal(CUT(DB_POSTGRES, false, "DO $$ BEGIN PERFORM 1; END $$"),
                        "FREE(1:DO $$ BEGIN PERFORM 1; END $$)");
    assert_string_equal(CUT(DB_POSTGRES, true, "CALL p()"), "FREE(1:CALL p())");
    assert_string_equal(CUT(DB_POSTGRES, false, "CALL p()"), "ALONE(1:CALL p())!");
    assert_string_equal(CUT(DB_POSTGRES, false, "ALTER TABLE a DETACH PARTITION b CONCURRENTLY"),
                        "ALONE(1:ALTER TABLE a DETACH PARTITION b CONCURRENTLY)!");
    assert_string_equal(CUT(DB_POSTGRES, false, "REFRESH MATERIALIZED VIEW CONCURRENTLY v"),
                        "FREE(1:REFRESH MATERIALIZED VIEW CONCURRENTLY v)");
}

static void a_scripts_own_transaction_takes_the_note_in(void **state)
{
    (void)state;
    assert_string_equal(CUT(DB_POSTGRES, true, "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\n"),
                        "OWN(1:BEGIN;\nCREATE TABLE a ();|2:\nCOMMIT;\n)");
    assert_string_equal(CUT(DB_POSTGRES, false, "BEGIN; A; COMMIT; SELECT 2; SELECT 3"),
                        "OWN(1:BEGIN; A;|1: COMMIT;) FREE(1: SELECT 2; SELECT 3)");
    assert_string_equal(CUT(DB_POSTGRES, false, "BEGIN", "SELECT 1", "COMMIT"),
                        "OWN(1:BEGIN|1:SELECT 1|1:COMMIT)");
    assert_string_equal(CUT(DB_SQLITE, false, "PRAGMA x = 0; BEGIN; DROP TABLE a; COMMIT; VACUUM"),
                        "SESSION(1:PRAGMA x = 0;) OWN(1: BEGIN;|1: DROP TABLE a;|1: COMMIT;) "
                        "ALONE(1: VACUUM)");
    assert_string_equal(CUT(DB_POSTGRES, false, "BEGIN; SELECT 1; ROLLBACK; SELECT 2"),
                        "UNDONE(1:BEGIN; SELECT 1;|1: ROLLBACK;) FREE(1: SELECT 2)");
    assert_string_equal(CUT(DB_POSTGRES, false, "SELECT 1; ROLLBACK"),
                        "UNDONE(1:SELECT 1; ROLLBACK)");
    assert_string_equal(CUT(DB_POSTGRES, false, "SELECT 1; COMMIT; SELECT 2"),
                        "FREE(1:SELECT 1;) UNDONE(1: COMMIT;) FREE(1: SELECT 2)");
    const char *words = CUT(DB_POSTGRES, false, "SELECT 1;\nBEGIN; SELECT 2");
    assert_non_null(strstr(words, "line 2 begins a transaction that the script does not end"));
    assert_non_null(strstr(CUT(DB_POSTGRES, false,
                               "BEGIN; SELECT 1; COMMIT AND CHAIN; SELECT 2; "
                               "COMMIT"),
                           "COMMIT AND CHAIN"));
}

/* Each part is a transaction of ours, so that our COMMIT and BEGIN stand for it. */
static void a_chain_of_commits_is_a_unit_each(void **state)
{
    (void)state;
    assert_string_equal(CUT(DB_POSTGRES, true,
                            "ALTER TABLE a ADD x int; COMMIT AND CHAIN;\n"
                            "ALTER TABLE b ADD x int;\nEND WORK AND CHAIN;\n-- done\n"),
                        "FREE(1:ALTER TABLE a ADD x int;) FREE(1:\nALTER TABLE b ADD x int;)");
    assert_string_equal(CUT(DB_POSTGRES, true, "SET x = 1; SELECT 1;", "COMMIT AND CHAIN;",
                            "SELECT 2;", "CALL p()"),
                        "FREE(1:SET x = 1; SELECT 1;) FREE(1:SELECT 2;|1:CALL p())");
    assert_string_equal(CUT(DB_POSTGRES, true, "COMMIT AND CHAIN; COMMIT AND CHAIN"), "FREE()");
    static const char *const refused[] = {
        "SELECT 1; ROLLBACK AND CHAIN; SELECT 2",
        "BEGIN; SELECT 1; COMMIT AND CHAIN; SELECT 2; COMMIT",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT AND CHAIN; SELECT 2",
        "SELECT 1; COMMIT AND CHAIN; VACUUM t",
        "SELECT 1; COMMIT AND CHAIN; SELECT 2; COMMIT; SELECT 3",
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        assert_non_null(
            strstr(CUT(DB_POSTGRES, true, refused[i]), "Nothing of the script has run"));
    }
    const char *words = CUT(DB_POSTGRES, false, "SELECT 1; COMMIT AND CHAIN; SELECT 2");
    assert_non_null(strstr(words, "Nothing of the script has run"));
    words = CUT(DB_MARIADB, true, "INSERT INTO a VALUES (1); COMMIT AND CHAIN; SELECT 2");
    assert_non_null(strstr(words, "Nothing of the script has run"));
}

/* MariaDB commits at every change of the schema: each is a unit, and rows between them have a transaction of ours. */
static void where_the_schema_is_in_no_transaction_each_change_stands_alone(void **state)
{
    (void)state;
    assert_string_equal(CUT(DB_MARIADB, true,
                            "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\n"
                            "ALTER TABLE a ADD y int;"),
                        "ALONE(1:CREATE TABLE a (x int);) FREE(1:\nINSERT INTO a VALUES (1);) "
                        "ALONE(2:\nALTER TABLE a ADD y int;)");
    assert_string_equal(CUT(DB_MARIADB, true, "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)"),
                        "FREE(1:INSERT INTO a VALUES (1); INSERT INTO a VALUES (2))");
    assert_string_equal(CUT(DB_MARIADB, true, "BEGIN; INSERT INTO a VALUES (1); COMMIT;"),
                        "OWN(1:BEGIN;|1: INSERT INTO a VALUES (1);|1: COMMIT;)");
    assert_string_equal(CUT(DB_MARIADB, true,
                            "BEGIN; ALTER TABLE a ADD z int; INSERT INTO a VALUES "
                            "(1); COMMIT;"),
                        "ALONE(1: ALTER TABLE a ADD z int;) FREE(1: INSERT INTO a VALUES (1);)");
    assert_string_equal(CUT(DB_MARIADB, true, "TRUNCATE a"), "ALONE(1:TRUNCATE a)");
    /* It begins as what changes the session only, and is not. */
    assert_string_equal(
        CUT(DB_MARIADB, true, "SET STATEMENT max_statement_time = 0 FOR ALTER TABLE a ADD y int"),
        "ALONE(1:SET STATEMENT max_statement_time = 0 FOR ALTER TABLE a ADD y int)!");
}

static int start(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transaction_control_is_found_outside_bodies),
        cmocka_unit_test(what_cannot_be_cut_is_refused),
        cmocka_unit_test(each_engine_has_its_own_rules),
        cmocka_unit_test(an_index_is_known_by_its_name),
        cmocka_unit_test(what_fits_one_transaction_is_one_unit),
        cmocka_unit_test(what_must_stand_alone_stands_alone),
        cmocka_unit_test(a_scripts_own_transaction_takes_the_note_in),
        cmocka_unit_test(a_chain_of_commits_is_a_unit_each),
        cmocka_unit_test(where_the_schema_is_in_no_transaction_each_change_stands_alone),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
