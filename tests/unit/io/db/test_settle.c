/* What stands half-done meets every later run, and what a person may say about it. */
#include "tests/unit/io/db/fixture.h"

#include <string.h>

#include "lib/io/db/settle.h"

#define BARE "-- morph:nontransactional\n"

/* Stops with its first part run, its second failed by the server's word. */
static struct migration_item half_done(struct fixture *f, const char *second)
{
    struct migration_item item = fixture_item(
        f, 6, "half",
        arena_printf(&f->arena, BARE "BEGIN; CREATE TABLE half (x int); COMMIT;\n%s", second));
    assert_int_equal(fixture_migrate(f, &f->act, false, &item, 1), E_DATABASE);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH)); /* the run is aborted */
    f->act = fixture_act(f, "run-2", 8, "place");
    return item;
}

static size_t open_now(struct fixture *f, struct db_unsettled **ret)
{
    struct db_session s = {0};
    size_t count = 0;
    fixture_open(f, &s, "look");
    assert_ok(db_unsettled(&s, &f->arena, FORMAT_MORPH, ret, &count, &f->error));
    for (size_t i = 0; i < count; i++) {
        (*ret)[i].item = arena_strdup(&f->arena, (*ret)[i].item);
    }
    db_close(&s);
    return count;
}

static void a_new_run_goes_on_where_an_aborted_one_stopped(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    struct migration_item item = half_done(f, "INSERT INTO late VALUES (1);");
    struct db_unsettled *open = NULL;
    assert_int_equal(open_now(f, &open), 1);
    assert_string_equal(open[0].item, "half");
    assert_string_equal(open[0].run, "run-1");
    assert_int_equal(open[0].line, 3);
    assert_string_equal(open[0].statement, "INSERT INTO late VALUES (1);");
    assert_true(open[0].ours && open[0].backend_pid > 0);
    /* Run from its beginning it would say that half exists. */
    fixture_exec(f, "CREATE TABLE late (x int)");
    assert_ok(fixture_migrate(f, &f->act, false, &item, 1));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM late"), "1");
    assert_int_equal(open_now(f, &open), 0);
    fixture_end(f);
}

static void nothing_is_built_on_what_stands_half_done(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    half_done(f, "SELECT nope;");
    struct migration_item next = fixture_item(f, 7, "next", "CREATE TABLE next (x int)");
    assert_int_equal(fixture_migrate(f, &f->act, false, &next, 1), E_CONFLICT);
    assert_has(f->error.message, "000006_half.sql was begun");
    assert_has(f->error.message, "run-1");
    assert_has(f->error.message, "mark-applied");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM pg_tables WHERE tablename = 'next'"),
                        "0");
    fixture_end(f);
}

static void settle(struct fixture *f, const struct migration_item *item, enum db_answer answer)
{
    assert_ok(db_settle(&f->act, &f->database, FORMAT_MORPH, item, answer, &f->error));
    struct db_unsettled *open = NULL;
    assert_int_equal(open_now(f, &open), 0);
    assert_string_equal(fixture_value(f, "SELECT how FROM lockstep.evidence WHERE how <> 'ran'"),
                        arena_printf(&f->arena, "a person said: %s", db_answers[answer].word));
    assert_int_equal(db_settle(&f->act, &f->database, FORMAT_MORPH, item, answer, &f->error),
                     E_NOT_FOUND);
}

static void a_persons_word_is_written_as_the_tool_would(void **state)
{
    (void)state;
    static const struct {
        enum db_answer answer;
        const char *ledger, *again; /* what a later run of the corrected script does */
    } cases[] = {{DB_ANSWER_RETRY, "0", "\"ran\":1,\"skipped\":0}"},
                 {DB_ANSWER_APPLIED, "1", "\"ran\":0,\"skipped\":1}"},
                 {DB_ANSWER_REVERTED, "0", "\"ran\":1,\"skipped\":0}"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture, *f = &fixture;
        fixture_postgres(f);
        assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
        struct migration_item item = half_done(f, "SELECT nope;");
        settle(f, &item, cases[i].answer);
        assert_string_equal(
            fixture_value(f, "SELECT count(*) FROM db_migrations WHERE name = 'half'"),
            cases[i].ledger);
        item = fixture_item(f, 6, "half", "CREATE TABLE IF NOT EXISTS half (x int);");
        assert_ok(fixture_migrate(f, &f->act, false, &item, 1));
        assert_string_equal(fixture_counts(f), cases[i].again);
        fixture_end(f);
    }
}

static void its_down_script_takes_back_what_is_half_there(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 5000));
    half_done(f, "SELECT nope;");
    struct migration_item down = fixture_item(f, 6, "half", "DROP TABLE IF EXISTS half");
    assert_ok(fixture_migrate(f, &f->act, true, &down, 1));
    assert_string_equal(fixture_counts(f), "\"ran\":1,\"skipped\":0}");
    struct db_unsettled *open = NULL;
    assert_int_equal(open_now(f, &open), 0);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'"),
                        "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_migrations"), "0");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_run_goes_on_where_an_aborted_one_stopped),
        cmocka_unit_test(nothing_is_built_on_what_stands_half_done),
        cmocka_unit_test(a_persons_word_is_written_as_the_tool_would),
        cmocka_unit_test(its_down_script_takes_back_what_is_half_there),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
