/* What a script does, by the parser's tree and by its words. Locks are asked of a server in tests/unit/io/db. */
#include "lib/migration/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/migration/sql.h"

static struct arena arena;

static struct sql_lint lint_bytes(const void *sql, size_t len)
{
    struct sql_lint lint;
    sql_lint_script(&arena, (struct bytes){sql, len}, &lint);
    return lint;
}

static struct sql_lint lint(const char *sql)
{
    return lint_bytes(sql, strlen(sql));
}

static void expect_lossy(const char *sql, const char *want)
{
    struct sql_lint found = lint(sql);
    if (!str_equal(found.lossy, want)) {
        fail_msg("%s: %s", sql, found.lossy != NULL ? found.lossy : "nothing");
    }
}

/* "mode object line[, …]" */
static const char *locks(const struct sql_lint *found)
{
    struct buf b;
    buf_init(&b, &arena, 65536);
    for (size_t i = 0; i < found->locks_count; i++) {
        const struct sql_lock *k = &found->locks[i];
        buf_printf(&b, "%s%s %s%s %d%s", i > 0 ? ", " : "", sql_lock_name(k->mode),
                   k->is_index ? "index " : "", k->object != NULL ? k->object : "(many)", k->line,
                   k->rewrites ? " rewrites" : "");
    }
    return buf_text(&b);
}

static const char *traps(const char *sql)
{
    struct sql_lint found = lint(sql);
    struct buf b;
    buf_init(&b, &arena, 65536);
    for (size_t i = 0; i < found.traps_count; i++) {
        buf_printf(&b, "%s%d: %s", i > 0 ? "\n" : "", found.traps[i].line, found.traps[i].text);
    }
    return buf_text(&b);
}

static void names_each_statement_with_its_line(void **state UNUSED)
{
    struct sql_lint found = lint("-- morph:nontransactional\n\n"
                                 "CREATE TABLE IF NOT EXISTS a (x int); /* ; */\n"
                                 "alter\ntable a ADD y text;\n"
                                 "INSERT INTO a VALUES ('ü;\n');;\n"
                                 "  DROP INDEX CONCURRENTLY i");
    static const struct {
        const char *kind;
        enum sql_class class;
        int line;
        bool guarded, outside;
        const char *text;
    } want[] = {
        {"CREATE TABLE", SQL_CLASS_SCHEMA, 3, true, false, "CREATE TABLE IF NOT EXISTS a (x int)"},
        {"ALTER TABLE", SQL_CLASS_SCHEMA, 4, false, false, "alter\ntable a ADD y text"},
        {"INSERT", SQL_CLASS_DATA, 6, false, false, "INSERT INTO a VALUES ('ü;\n')"},
        {"DROP INDEX CONCURRENTLY", SQL_CLASS_SCHEMA, 8, false, true, "DROP INDEX CONCURRENTLY i"},
    };
    assert_true(found.parsed);
    assert_int_equal(found.count, ARRAY_SIZE(want));
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        const struct sql_statement *s = &found.statements[i];
        assert_string_equal(s->kind, want[i].kind);
        assert_int_equal(s->class, want[i].class);
        assert_int_equal(s->line, want[i].line);
        assert_int_equal(s->guarded, want[i].guarded);
        assert_int_equal(s->outside, want[i].outside);
        assert_string_equal(arena_strndup(&arena, (const char *)s->text.data, s->text.len),
                            want[i].text);
    }
    assert_true(found.outside_transaction && found.concurrent && !found.schema_only);
}

static void sees_what_words_cannot(void **state UNUSED)
{
    expect_lossy("ALTER TABLE t ALTER c TYPE numeric(10, 2), ALTER d TYPE text, ALTER e TYPE "
                 "varchar(9)[]",
                 "changes the type of t.c to numeric(10,2), changes the type of t.e to "
                 "varchar(9)[]");
    expect_lossy("ALTER TABLE t ALTER c TYPE text USING left(c, 3)",
                 "changes the type of t.c to text");
    expect_lossy("UPDATE t SET a = 1, b = coalesce(b, 2)", "overwrites t.a in every row");
    expect_lossy("UPDATE t SET a = 1 WHERE a IS NULL", NULL);
    expect_lossy("ALTER TABLE t ADD a int; UPDATE t SET a = 1; ALTER TABLE t ALTER a SET NOT NULL",
                 NULL);
    expect_lossy("WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO old SELECT * FROM gone",
                 "deletes rows of t");
    expect_lossy("MERGE INTO t USING u ON t.i = u.i WHEN MATCHED THEN DELETE", "deletes rows of t");
    expect_lossy("DROP TYPE mood CASCADE; DROP TYPE other",
                 "drops type mood and the columns that use it");
    expect_lossy("DROP VIEW v; DROP MATERIALIZED VIEW m; DROP SEQUENCE s; DROP FUNCTION f", NULL);
    expect_lossy("ALTER TYPE pair DROP ATTRIBUTE b CASCADE", "drops attribute pair.b");
    expect_lossy("EXPLAIN DELETE FROM t; EXPLAIN ANALYZE DELETE FROM u", "deletes rows of u");
    expect_lossy("INSERT INTO t VALUES ('DELETE FROM t') ON CONFLICT DO NOTHING", NULL);
    expect_lossy("SELECT 'a' AS \"DELETE\" FROM t", NULL);
}

static void what_a_script_made_it_may_take_away(void **state UNUSED)
{
    expect_lossy("CREATE TEMP TABLE x AS SELECT 1; DELETE FROM x; TRUNCATE x; DROP TABLE x", NULL);
    expect_lossy("ALTER TABLE t ADD c int; ALTER TABLE t DROP c; ALTER TABLE t DROP c",
                 "drops column t.c");
    expect_lossy("CREATE TABLE IF NOT EXISTS x (i int); DROP TABLE x", "drops table x");
    expect_lossy("CREATE TABLE x (i int); DROP TABLE x; DROP TABLE x", "drops table x");
}

/* SQLite's way to change a table, in words PostgreSQL reads and in words it does not. */
static void a_copy_that_takes_the_name_is_no_loss(void **state UNUSED)
{
    static const char *const kept[] = {
        "CREATE TABLE new (i int); INSERT INTO new (i) SELECT i FROM old; DROP TABLE old; "
        "ALTER TABLE new RENAME TO old",
        "CREATE TABLE s.new (i int); INSERT INTO s.new SELECT * FROM s.old; DROP TABLE s.old; "
        "ALTER TABLE s.new RENAME TO old",
        "ALTER TABLE old RENAME TO aside; CREATE TABLE old (i int); "
        "INSERT INTO old SELECT i FROM aside; DROP TABLE aside",
        "CREATE TEMPORARY TABLE b (i int); INSERT INTO b SELECT i FROM old; DROP TABLE old; "
        "CREATE TABLE old (i int); INSERT INTO old SELECT i FROM b; DROP TABLE b",
    };
    static const char *const lost[] = {
        "CREATE TABLE new (i int); INSERT INTO new SELECT i FROM old WHERE i > 0; "
        "DROP TABLE old; ALTER TABLE new RENAME TO old",
        "CREATE TABLE new (i int); INSERT INTO new SELECT i FROM other; DROP TABLE old; "
        "ALTER TABLE new RENAME TO old",
        "CREATE TABLE new (i int); DROP TABLE old; INSERT INTO new SELECT i FROM old; "
        "ALTER TABLE new RENAME TO old",
        "CREATE TABLE new (i int); INSERT INTO new SELECT i FROM old; DROP TABLE old; "
        "ALTER TABLE new RENAME TO newer",
        "CREATE TABLE new (i int); INSERT INTO new SELECT i FROM old; DROP TABLE old; "
        "ALTER TABLE new RENAME TO old; DROP TABLE old",
        "CREATE TABLE b (i int); INSERT INTO b SELECT i FROM old; DROP TABLE old; DROP TABLE b",
    };
    for (int words = 0; words < 2; words++) {
        for (size_t i = 0; i < ARRAY_SIZE(kept) + ARRAY_SIZE(lost); i++) {
            char sql[512];
            bool keeps = i < ARRAY_SIZE(kept);
            snprintf(sql, sizeof(sql), "%s%s", keeps ? kept[i] : lost[i - ARRAY_SIZE(kept)],
                     words ? "; PRAGMA foreign_keys = ON" : "");
            struct sql_lint found = lint(sql);
            assert_int_equal(found.parsed, !words);
            if ((found.lossy == NULL) != keeps) {
                fail_msg("%s: %s", sql, found.lossy != NULL ? found.lossy : "nothing");
            }
        }
    }
}

static void names_each_lock_that_others_wait_for(void **state UNUSED)
{
    struct sql_lint found =
        lint("ALTER TABLE a ADD c int,\n ADD d uuid DEFAULT gen_random_uuid();\n"
             "CREATE INDEX i ON s.b (x);\n"
             "ALTER TABLE a ADD FOREIGN KEY (c) REFERENCES b;\n"
             "DROP INDEX j;\n"
             "ALTER TABLE a VALIDATE CONSTRAINT k, ALTER c SET STATISTICS 7;\n"
             "CREATE TABLE new (x int REFERENCES a); CREATE INDEX ON new (x);\n"
             "DROP SCHEMA z;\n"
             "ALTER TABLE p ATTACH PARTITION q DEFAULT");
    assert_string_equal(locks(&found), "ACCESS EXCLUSIVE a 1 rewrites, SHARE s.b 3, "
                                       "SHARE ROW EXCLUSIVE a 4, SHARE ROW EXCLUSIVE b 4, "
                                       "ACCESS EXCLUSIVE index j 5, SHARE ROW EXCLUSIVE a 7, "
                                       "ACCESS EXCLUSIVE (many) 8, ACCESS EXCLUSIVE q 9");
    assert_string_equal(found.locks[3].kind, "ALTER TABLE");
    assert_int_equal(found.locks[3].statement, 2);
    assert_string_equal(sql_lock_blocks(SQL_LOCK_ACCESS_EXCLUSIVE), "readers and writers");
    assert_string_equal(sql_lock_blocks(SQL_LOCK_SHARE), "writers");
    assert_null(sql_lock_blocks(SQL_LOCK_SHARE_UPDATE_EXCLUSIVE));
}

static void tells_traps(void **state UNUSED)
{
    assert_string_equal(traps("CREATE INDEX CONCURRENTLY i ON t (c)"), "");
    assert_string_equal(
        traps("SELECT 1;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (c)"),
        "2: CREATE INDEX CONCURRENTLY with other statements in one file: one query is one "
        "transaction, and in a transaction it fails\n"
        "2: CREATE INDEX CONCURRENTLY IF NOT EXISTS i steps over an INVALID index that a failed "
        "attempt left: drop it first");
    assert_string_equal(traps("UPDATE t SET a = 1 WHERE b;\nCOMMIT;\nSELECT 1"),
                        "2: COMMIT splits what the tool takes for one transaction");
    assert_string_equal(traps("BEGIN; SELECT 1; COMMIT"), "");
    assert_string_equal(traps("ALTER TYPE mood ADD VALUE 'new';\n"
                              "ALTER TABLE t ALTER c SET DEFAULT 'new'"),
                        "1: ALTER TYPE … ADD VALUE 'new' is used further down: a new value is "
                        "unusable until its transaction has ended");
    assert_string_equal(traps("ALTER TYPE mood ADD VALUE 'new'; SELECT 'newer' -- 'new'"), "");
    assert_string_equal(traps("SET LOCAL lock_timeout = 1; SET a.b = 1; RESET a.b"), "");
    assert_string_equal(traps("\nSET lock_timeout = '1s'"),
                        "2: SET lock_timeout outlives the script and holds for those after it: "
                        "SET LOCAL, or RESET it at the end");
}

static void tells_what_the_session_keeps(void **state UNUSED)
{
    assert_string_equal(lint("SET search_path = x; CREATE TEMP TABLE y (i int); PREPARE p AS "
                             "SELECT 1")
                            .session,
                        "SET search_path, temporary table y, prepared statement p");
    assert_string_equal(lint("SELECT pg_catalog.set_config('search_path', '', false)").session,
                        "SET search_path");
    assert_null(lint("SELECT set_config('search_path', '', true)").session);
    assert_null(lint("SET a.b = 1; SET c.d = 2; RESET ALL").session);
    assert_string_equal(lint("SET a.b = 1; SET c.d = 2; SET a.b TO DEFAULT").session, "SET c.d");
    assert_string_equal(lint("PRAGMA foreign_keys = OFF").session, "PRAGMA foreign_keys");
}

static void knows_who_ends_the_transaction(void **state UNUSED)
{
    struct sql_lint wrapped = lint("BEGIN; CREATE TABLE a (i int); COMMIT;");
    assert_true(wrapped.wraps_itself && wrapped.controls_transactions && wrapped.schema_only);
    struct sql_lint split = lint("BEGIN; SELECT 1; COMMIT; SELECT 1");
    assert_true(!split.wraps_itself && split.controls_transactions);
    assert_true(lint("SELECT 1; SAVEPOINT x").controls_transactions);
    assert_true(lint("DO $$ BEGIN COMMIT; END $$").controls_transactions);
    assert_false(lint("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$")
                     .controls_transactions);
    assert_false(lint("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END")
                     .controls_transactions);
}

static void knows_whether_the_schema_will_differ(void **state UNUSED)
{
    static const char *const surely[] = {
        "CREATE TABLE a (i int)",
        "DROP INDEX i",
        "ALTER TABLE a ADD b int",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (true)",
        "ALTER TABLE a RENAME b TO c",
        "CREATE TABLE IF NOT EXISTS a (i int); CREATE INDEX ON a (i)",
        "INSERT INTO a VALUES (1); CREATE VIEW v AS SELECT 1",
        "ALTER TYPE t ADD VALUE 'x'",
        "CREATE TABLE `a` (i int)",
    };
    static const char *const perhaps[] = {
        "CREATE TABLE IF NOT EXISTS a (i int)",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "DROP TABLE IF EXISTS a",
        "ALTER TABLE IF EXISTS a ADD b int",
        "ALTER TABLE a ADD IF NOT EXISTS b int",
        "ALTER TABLE a ALTER b SET NOT NULL",
        "CREATE TEMP TABLE a (i int)",
        "CREATE TABLE a (i int); DROP TABLE a",
        "DROP INDEX i; CREATE INDEX i ON a (b)",
        "ALTER TABLE a DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (true)",
        "COMMENT ON TABLE a IS 'x'",
        "GRANT SELECT ON a TO b",
        "INSERT INTO a VALUES (1)",
        "SELECT 1",
        "",
    };
    for (size_t i = 0; i < ARRAY_SIZE(surely); i++) {
        if (!lint(surely[i]).changes_schema_surely) {
            fail_msg("%s", surely[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(perhaps); i++) {
        if (lint(perhaps[i]).changes_schema_surely) {
            fail_msg("%s", perhaps[i]);
        }
    }
    assert_true(
        lint("SET a.b = 1; ALTER TABLE a ADD b int; COMMENT ON TABLE a IS 'x'").schema_only);
    assert_false(lint("ALTER TABLE a ADD b int; UPDATE a SET b = 1").schema_only);
    assert_false(lint("ALTER TABLE a ADD b int; SELECT f()").schema_only);
    assert_false(lint("DO $$ BEGIN END $$").schema_only);
    assert_true(lint(" -- nothing\n;").empty);
}

static void falls_back_to_words_and_says_why(void **state UNUSED)
{
    struct sql_lint found = lint("CREATE TABLE a (\n i INTEGER PRIMARY KEY AUTOINCREMENT);\n"
                                 "CREATE TRIGGER x AFTER INSERT ON a BEGIN\n"
                                 " DELETE FROM b; UPDATE c SET d = 1;\nEND;\n"
                                 "ALTER TABLE c DROP COLUMN e;");
    assert_false(found.parsed);
    assert_string_equal(found.unparsed, "line 2: syntax error at or near \"AUTOINCREMENT\"");
    assert_int_equal(found.count, 3);
    assert_string_equal(found.statements[1].kind, "CREATE TRIGGER");
    assert_int_equal(found.statements[2].line, 6);
    assert_string_equal(found.lossy, "drops column c.e");
    assert_true(found.schema_only && !found.controls_transactions);
    assert_int_equal(found.locks_count, 0);
    assert_string_equal(lint("DROP TABLE `a b`").lossy, "drops table a b");
    assert_string_equal(lint("DROP TABLE `a b`").unparsed, "it has names in backquotes");
    assert_string_equal(lint_bytes("DROP TABLE a;\0", 14).unparsed, "it has a NUL byte");
    /* MariaDB's, by its backquotes or its # comment: strings end where they end there. */
    assert_string_equal(
        lint("INSERT INTO `a` VALUES ('it\\'s; DROP TABLE b; --'); DROP TABLE \"c\"").lossy,
        "drops table c");
    assert_string_equal(lint("# it's gone\nDROP TABLE a;").lossy, "drops table a");
    assert_int_equal(lint("# it's gone\nDROP TABLE a;").count, 1);
    assert_null(lint("SELECT 1; # DROP TABLE a;").lossy);
    struct sql_lint psql = lint("\\set x 1\nCREATE INDEX CONCURRENTLY i ON t (c);");
    assert_true(!psql.parsed && psql.concurrent && psql.outside_transaction);
}

static const char *repeat(const char *before, const char *unit, size_t count, const char *after)
{
    struct buf b;
    buf_init(&b, &arena, (size_t)64 * 1024 * 1024);
    buf_puts(&b, before);
    for (size_t i = 0; i < count; i++) {
        buf_puts(&b, unit);
    }
    buf_puts(&b, after);
    return buf_text(&b);
}

/* Each of these overran the parser's stack. The last ones try to hide it from the count. */
static void nesting_does_not_break_it(void **state UNUSED)
{
    static const struct {
        const char *before, *unit;
    } deep[] = {
        {"SELECT ", "("},
        {"SELECT 1", "+1"},
        {"SELECT 1", "::int"},
        {"SELECT ", "NOT "},
        {"SELECT ", "- "},
        {"SELECT ", "f("},
        {"SELECT ", "ARRAY["},
        {"SELECT ", "CASE WHEN true THEN 1 ELSE "},
        {"SELECT ", "(SELECT "},
        {"SELECT 1", ", 1 UNION SELECT 1"},
        {"SELECT 1 FROM a", " JOIN a ON true"},
        {"SELECT 1", " COLLATE \"C\""},
        {"SELECT 1", " AT TIME ZONE 'x'"},
        {"SELECT 1 BETWEEN 1 AND ", "NOT 1 BETWEEN 1 AND "},
        {"SELECT 1", " OPERATOR(pg_catalog.+) 1"},
        {"SELECT 1", "+f(1,1)"},
        {"SELECT * FROM ", "(SELECT * FROM "},
        {"", "WITH x AS ("},
        {"SELECT 1 ` 1", "+1"},
        {"SELECT 1 -- \r", "+1"},
        {"SELECT U&'\\' ", "+1"},
        {"SELECT 1 FROM a WHERE (true) ", "IS NOT NULL "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(deep); i++) {
        struct sql_lint found = lint(repeat(deep[i].before, deep[i].unit, 100000, ""));
        if (found.parsed || found.count != 1) {
            fail_msg("%s%s…: %zu", deep[i].before, deep[i].unit, found.count);
        }
    }
}

/* The parser is asked up to the bound, where the stack of a thread is still enough many times over. */
static void wide_scripts_are_parsed(void **state UNUSED)
{
    assert_true(
        lint(repeat("", "INSERT INTO t VALUES (-1, 'x'::text, 2 + 3);\n", 10000, "")).parsed);
    assert_true(lint(repeat("INSERT INTO t VALUES (-1, 'x'::text)", ", (-1, 'x'::text)", 20000, ""))
                    .parsed);
    assert_true(lint(repeat("SELECT 1 WHERE a = 1", " AND b = 2 OR NOT c", 2000, "")).parsed);
    assert_true(lint(repeat("SELECT CASE x", " WHEN 1 THEN 2 + 3", 5000, " END")).parsed);
    assert_true(lint(repeat("SELECT ", "(", 200, repeat("1", ")", 200, ""))).parsed);
    assert_true(lint(repeat("SELECT 1", " UNION ALL SELECT 1", 200, "")).parsed);
    assert_string_equal(lint(repeat("", "SELECT 1;", 200000, "")).unparsed,
                        "it has more than 1 MiB");
    assert_string_equal(lint(repeat("SELECT 1", "+1", 300, "")).unparsed,
                        "it is nested too deeply");
}

/* Cut and garbled scripts: any answer, no crash. */
static void garbled_scripts_never_break_it(void **state UNUSED)
{
    static const char text[] =
        "CREATE TABLE a (i int DEFAULT nextval('s'), c text REFERENCES b (x)); ALTER TABLE ONLY "
        "a ADD d numeric(4,2), DROP e, ALTER f TYPE int USING f::int; DO $x$ BEGIN DELETE FROM "
        "t; END $x$; ALTER TYPE m ADD VALUE 'v'; SET a.b = 'v'; INSERT INTO n SELECT * FROM o; "
        "DROP TABLE o CASCADE; ALTER TABLE n RENAME TO o; CREATE INDEX CONCURRENTLY i ON a "
        "((lower(c))) WHERE d > 0; VACUUM (FULL) a; UPDATE a SET (d, i) = (1, 2);";
    unsigned seed = 20240607;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 3000; round++) {
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        for (int change = 0; change < round % 4; change++) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 8) % (sizeof(text) - 1);
            static const char bytes[] = "();,.'\"`$ \\-/*\x80\xff\n\1aE";
            copy[at] = bytes[(seed >> 3) % (sizeof(bytes) - 1)];
        }
        seed = seed * 1103515245 + 12345;
        struct sql_lint found = lint_bytes(copy, (seed >> 8) % sizeof(text));
        for (size_t i = 0; i < found.count; i++) {
            assert_true(found.statements[i].text.data >= (const uint8_t *)copy);
            assert_true(found.statements[i].text.data + found.statements[i].text.len <=
                        (const uint8_t *)copy + sizeof(copy));
        }
    }
}

static int set_up(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_each_statement_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sees_what_words_cannot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_script_made_it_may_take_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_that_takes_the_name_is_no_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_each_lock_that_others_wait_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_traps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_what_the_session_keeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_who_ends_the_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_whether_the_schema_will_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(falls_back_to_words_and_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nesting_does_not_break_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wide_scripts_are_parsed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbled_scripts_never_break_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
