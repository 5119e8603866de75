/* A script leaves temporary tables of the ledger's and of Lockstep's own names in the session, or another search_path:
 * what is written goes into the true ones. */
#include "tests/unit/io/db/fixture.h"

static const struct {
    int format;
    const char *ledger;
    const char *count; /* of what it says afterwards */
} formats[] = {
    {FORMAT_MORPH, "db_migrations", "SELECT count(*) FROM db_migrations WHERE name IN ('1', '2')"},
    {FORMAT_GOLANG_MIGRATE, "schema_migrations",
     "SELECT CAST(version AS int) FROM schema_migrations WHERE NOT dirty"},
    {FORMAT_GOOSE, "goose_db_version",
     "SELECT count(*) FROM goose_db_version WHERE version_id IN (1, 2)"},
    {FORMAT_SOURCEGRAPH, "migration_logs", "SELECT count(*) FROM migration_logs WHERE success"},
};

static void run_one(struct fixture *f, size_t at, const char *traps)
{
    struct migration_item items[2] = {
        fixture_item(f, 1, "1", arena_printf(&f->arena, "CREATE TABLE a (x int);\n%s", traps)),
        fixture_item(f, 2, "2", "CREATE TABLE b (x int);")};
    items[1].previous = 1;
    struct db_migrate_action migrate = {.database = f->database,
                                        .format = formats[at].format,
                                        .items = {.items = items, .count = 2}};
    struct action action = {.db_migrate = &migrate};
    if (formats[at].format == FORMAT_GOOSE) { /* its files say where they begin */
        for (size_t i = 0; i < 2; i++) {
            struct migration_item whole = items[i];
            whole =
                fixture_item(f, whole.version, whole.id,
                             arena_printf(&f->arena,
                                          "-- +goose Up\n-- +goose StatementBegin\n%s\n-- "
                                          "+goose StatementEnd\n",
                                          i == 0 ? arena_printf(&f->arena, "SELECT 1;\n%s", traps)
                                                 : "CREATE TABLE b (x int);"));
            whole.previous = items[i].previous;
            items[i] = whole;
        }
    }
    assert_ok(act_db_migrate(&f->act, &action, &f->error));
    assert_string_equal(fixture_counts(f), "\"ran\":2,\"skipped\":0}");
    assert_string_equal(fixture_value(f, formats[at].count), "2");
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "evidence"))),
                        "2");
    /* A retry of the step finds all of it. */
    assert_ok(act_db_migrate(&f->act, &action, &f->error));
    assert_string_equal(fixture_counts(f), "\"ran\":0,\"skipped\":2}");
}

static void temporary_tables_of_sqlite_take_no_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct fixture fixture, *f = &fixture;
        if (formats[i].format == FORMAT_SOURCEGRAPH) {
            continue; /* the tool has no other engine than PostgreSQL */
        }
        fixture_sqlite(f);
        run_one(f, i,
                arena_printf(
                    &f->arena,
                    "CREATE TEMP TABLE %s (version, name, dirty, id, version_id, is_applied);\n"
                    "CREATE TEMP TABLE lockstep_evidence (number INTEGER PRIMARY KEY, run, step,"
                    " ledger, item, down, digest, how, fence, at);\n"
                    "CREATE TEMP TABLE lockstep_intent (x);\nCREATE TEMP TABLE lockstep_fence (x);",
                    formats[i].ledger));
        fixture_end(f);
    }
}

static void temporary_tables_and_search_paths_of_postgresql_take_no_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct fixture fixture, *f = &fixture;
        fixture_postgres(f);
        run_one(f, i,
                arena_printf(&f->arena,
                             "CREATE TEMP TABLE %s (version bigint, name text, dirty bool, id int,"
                             " version_id bigint, is_applied bool);\n"
                             "CREATE TEMP TABLE evidence (x int);\nCREATE TEMP TABLE fence (x int);"
                             "\nCREATE SCHEMA elsewhere; CREATE TABLE elsewhere.%s (x int);\n"
                             "SET search_path = pg_temp, elsewhere;",
                             formats[i].ledger, formats[i].ledger));
        fixture_end(f);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temporary_tables_of_sqlite_take_no_row),
        cmocka_unit_test(temporary_tables_and_search_paths_of_postgresql_take_no_row),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
