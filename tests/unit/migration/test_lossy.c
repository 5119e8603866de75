/* What a script loses, as far as its words tell; and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/migration/lint.h"

static struct arena arena;

static const char *lossy(const char *sql)
{
    struct sql_lint lint;
    sql_lint_script(&arena, (struct bytes){(const uint8_t *)sql, strlen(sql)}, &lint);
    return lint.lossy;
}

static void names_what_is_lost(void **state UNUSED)
{
    assert_string_equal(lossy("drop table if exists a, \"B c\";"),
                        "drops table a, drops table B c");
    assert_string_equal(lossy("DROP SCHEMA s CASCADE"), "drops schema s");
    assert_string_equal(lossy("ALTER TABLE ONLY p.t DROP COLUMN IF EXISTS c CASCADE"),
                        "drops column p.t.c");
    assert_string_equal(lossy("ALTER TABLE t ADD a numeric(4,2), DROP b, DROP COLUMN c"),
                        "drops column t.b, drops column t.c");
    assert_string_equal(lossy("ALTER TABLE t ALTER COLUMN c SET DATA TYPE int"),
                        "changes the type of t.c to integer");
    assert_string_equal(lossy("ALTER TABLE t ALTER c TYPE int USING c::int"),
                        "changes the type of t.c to integer");
    assert_string_equal(lossy("ALTER TABLE `t` MODIFY COLUMN `c` int"), "changes the type of t.c");
    assert_string_equal(lossy("WITH x AS (SELECT 1) DELETE FROM t USING x"), "deletes rows of t");
    assert_string_equal(lossy("TRUNCATE TABLE a, b"), "empties table a, empties table b");
}

static void looks_into_what_a_do_runs(void **state UNUSED)
{
    assert_string_equal(lossy("DO $$ BEGIN IF true THEN ALTER TABLE t DROP COLUMN c; END IF; "
                              "END $$;"),
                        "drops column t.c");
}

static void is_not_led_astray(void **state UNUSED)
{
    static const char *const harmless[] = {
        "-- DROP TABLE t",
        "/* DROP TABLE t; /* nested */ DELETE FROM t; */ SELECT 1",
        "INSERT INTO log VALUES ('it''s; DROP TABLE t; ')",
        "INSERT INTO log VALUES (E'\\'; DROP TABLE t; ')",
        "CREATE FUNCTION f() RETURNS void AS $body$ DELETE FROM t; $body$ LANGUAGE sql",
        "ALTER TABLE t DROP CONSTRAINT c, ALTER c DROP DEFAULT, ALTER c DROP NOT NULL",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES b ON DELETE CASCADE",
        "CREATE TRIGGER x BEFORE TRUNCATE ON t EXECUTE FUNCTION f()",
        "DROP INDEX CONCURRENTLY IF EXISTS i",
        "SELECT \"DROP TABLE\" FROM t",
        "SELECT $1, '$$', 1 -- $$",
        "",
    };
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        const char *found = lossy(harmless[i]);
        if (found != NULL) {
            fail_msg("%s: %s", harmless[i], found);
        }
    }
}

static void counts_what_it_does_not_name(void **state UNUSED)
{
    assert_string_equal(
        lossy("DROP TABLE a, b, c, d, e, f, g, h"),
        "drops table a, drops table b, drops table c, drops table d, drops table e, "
        "drops table f and 2 more");
}

static void ends_with_text_that_does_not(void **state UNUSED)
{
    static const char *const open[] = {"'",          "E'\\",        "$$ DROP", "$a", "\"",
                                       "/* /*",      "--",          "$",       "t.", "ALTER TABLE",
                                       "DROP TABLE", "DELETE FROM", "TRUNCATE"};
    for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
        const char *found = lossy(open[i]);
        assert_true(found == NULL || strcmp(found, "deletes rows of a table") == 0);
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
        cmocka_unit_test(names_what_is_lost),
        cmocka_unit_test(looks_into_what_a_do_runs),
        cmocka_unit_test(is_not_led_astray),
        cmocka_unit_test(counts_what_it_does_not_name),
        cmocka_unit_test(ends_with_text_that_does_not),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
