/* What a script's words say about transactions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/util.h"
#include "lib/migration/transaction.h"

static struct transaction_facts look(const char *sql)
{
    return transaction_look((struct bytes){(const uint8_t *)sql, strlen(sql)});
}

static void knows_what_runs_in_no_transaction_block(void **state UNUSED)
{
    static const char *const outside[] = {
        "create index concurrently i on t (c)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (c);",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX INDEX CONCURRENTLY i",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
        "REINDEX DATABASE d",
        "VACUUM FULL t",
        "CREATE DATABASE d",
        "DROP DATABASE d",
        "CREATE TABLESPACE s LOCATION '/x'",
        "DROP TABLESPACE s",
        "ALTER SYSTEM SET a = 1",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "-- a comment\nSELECT 1; VACUUM",
    };
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        if (!look(outside[i]).refuses_transaction) {
            fail_msg("%s", outside[i]);
        }
    }
    static const char *const inside[] = {
        "CREATE INDEX i ON t (c)",
        "DROP INDEX i",
        "REINDEX TABLE t",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "CREATE TABLE database (c int)",
        "SELECT 'CREATE INDEX CONCURRENTLY i ON t (c)'",
        "-- VACUUM",
        "ALTER TABLE system ADD c int",
        "",
    };
    for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
        if (look(inside[i]).refuses_transaction) {
            fail_msg("%s", inside[i]);
        }
    }
}

static void knows_concurrent_work_on_an_index(void **state UNUSED)
{
    assert_true(look("CREATE INDEX CONCURRENTLY i ON t (c)").concurrently);
    assert_true(look("SELECT 1; DROP INDEX CONCURRENTLY i").concurrently);
    assert_true(look("REINDEX TABLE CONCURRENTLY t").concurrently);
    assert_false(look("ALTER TABLE t DETACH PARTITION p CONCURRENTLY").concurrently);
    assert_false(look("REFRESH MATERIALIZED VIEW CONCURRENTLY v").concurrently);
    assert_false(look("CREATE INDEX \"CONCURRENTLY\" ON t (c)").concurrently);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_runs_in_no_transaction_block),
        cmocka_unit_test(knows_concurrent_work_on_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
