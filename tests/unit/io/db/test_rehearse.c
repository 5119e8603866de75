/* Two states of a clone beside each other, and what cannot be rehearsed. The rehearsal itself: tests/e2e/test_db_rehearse.py. */
#include "lib/io/db/rehearse.h"

#include <string.h>
#include <unistd.h>

#include "lib/io/db/rehearse_parts.h"
#include "lib/io/platform/files.h"
#include "tests/unit/io/db/fixture.h"

static struct rehearse_column swapped[] = {{"", "9"}, {"a", "1"}, {"b", "2"}};
static struct rehearse_column plain[] = {{"", "3"}, {"a", "1"}, {"b", "2"}};
static struct rehearse_column other_b[] = {{"", "4"}, {"a", "1"}, {"b", "7"}};
static struct rehearse_column without_b[] = {{"", "5"}, {"a", "1"}};

static struct rehearse_table table(const char *name, const char *rows,
                                   struct rehearse_column *columns, size_t count)
{
    return (struct rehearse_table){.id = name,
                                   .name = name,
                                   .has_rows = true,
                                   .rows = rows,
                                   .columns = columns,
                                   .columns_count = count};
}

/* What is said of one table that was `plain`, with 2 rows; "" for nothing. */
static const char *said(struct arena *arena, struct rehearse_table is)
{
    struct rehearse_table was = table("t", "2", plain, ARRAY_SIZE(plain));
    struct rehearse_state before = {.schema_digest = "x", .tables = &was, .count = 1};
    struct rehearse_state now = {.schema_digest = "x", .tables = &is, .count = 1};
    struct rehearse_difference *items = NULL;
    size_t count = 0;
    struct error e = {0};
    assert_int_equal(rehearse_state_compare(arena, &before, &now, &items, &count, &e), 0);
    assert_true(count <= 1);
    return count == 1 ? items[0].words : "";
}

static void each_difference_of_rows_has_its_words(void **state UNUSED)
{
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(said(&arena, table("t", "2", plain, ARRAY_SIZE(plain))), "");
    assert_string_equal(said(&arena, table("t", "1", other_b, ARRAY_SIZE(other_b))),
                        "rows of t: were 2, are 1");
    assert_string_equal(said(&arena, table("t", "2", other_b, ARRAY_SIZE(other_b))),
                        "values of t.b are not what they were");
    assert_string_equal(said(&arena, table("t", "2", swapped, ARRAY_SIZE(swapped))),
                        "rows of t: values belong to other rows than they did");
    /* A column that is gone, a table that is gone or was not looked at: the schema's difference, or none. */
    assert_string_equal(said(&arena, table("t", "2", without_b, ARRAY_SIZE(without_b))), "");
    assert_string_equal(said(&arena, table("u", "2", plain, ARRAY_SIZE(plain))), "");
    assert_string_equal(said(&arena, table("t", NULL, NULL, 0)), "");
    assert_string_equal(said(&arena, table("t", "2", NULL, 0)), "");
    arena_deinit(&arena);
}

static int begin(struct fixture *f, const struct database_ref *live)
{
    struct rehearse_options options = {.live = live, .format = FORMAT_MORPH};
    struct rehearsal *r = NULL;
    int rc = rehearse_begin(&f->act, &options, &r, &f->error);
    rehearse_end(r, false, NULL);
    return rc;
}

static void what_cannot_be_cloned_is_refused_with_what_to_do(void **state UNUSED)
{
    struct fixture f;
    fixture_sqlite(&f);
    struct database_ref secret = {.name = "main", .url_secret = &f.password};
    assert_int_equal(begin(&f, &secret), E_INVALID);
    assert_non_null(strstr(f.error.message, "needs its url:"));
    fixture_end(&f);
}

static void a_clone_is_a_copy_and_goes_with_its_directory(void **state UNUSED)
{
    struct fixture f;
    fixture_sqlite(&f);
    fixture_exec(&f, "CREATE TABLE t (a int)");
    fixture_exec(&f, "INSERT INTO t VALUES (1)");
    struct rehearse_options options = {.live = &f.database, .format = FORMAT_MORPH};
    struct rehearsal *r = NULL;
    assert_int_equal(rehearse_begin(&f.act, &options, &r, &f.error), 0);
    assert_true(rehearse_bytes(r) > 0);
    assert_true(str_ends(rehearse_place(r), "/clone.db"));
    struct db_session s = {0};
    struct db_options how = {0};
    const char *rows = NULL;
    assert_int_equal(db_open(&s, &f.arena, rehearse_clone(r), &how, &f.error), 0);
    assert_int_equal(db_value(&s, &f.arena, "SELECT count(*) FROM t", NULL, 0, &rows, &f.error), 0);
    assert_string_equal(rows, "1");
    assert_int_equal(db_exec(&s, "DELETE FROM t", &f.error), 0);
    db_close(&s);
    const char *home = arena_printf(&f.arena, "%s/rehearsals/%s", f.act.state_dir, f.act.run);
    assert_true(file_exists(home));
    assert_int_equal(rehearse_end(r, false, &f.error), 0);
    assert_false(file_exists(home));
    assert_string_equal(fixture_value(&f, "SELECT count(*) FROM t"), "1");
    fixture_end(&f);
}

static void a_kept_clone_stays_when_the_dead_are_buried(void **state UNUSED)
{
    struct fixture f;
    fixture_sqlite(&f);
    fixture_exec(&f, "CREATE TABLE t (a int)");
    struct rehearse_options options = {.live = &f.database, .format = FORMAT_MORPH};
    struct rehearsal *r = NULL;
    const char *home = arena_printf(&f.arena, "%s/rehearsals/%s", f.act.state_dir, f.act.run);
    assert_int_equal(rehearse_begin(&f.act, &options, &r, &f.error), 0);
    assert_int_equal(rehearse_end(r, true, &f.error), 0);
    assert_false(file_exists(arena_printf(&f.arena, "%s/work", home)));
    f.act.run = "another";
    assert_int_equal(rehearse_begin(&f.act, &options, &r, &f.error), 0);
    assert_int_equal(rehearse_end(r, false, &f.error), 0);
    assert_true(file_exists(arena_printf(&f.arena, "%s/clone.db", home)));
    fixture_end(&f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_difference_of_rows_has_its_words),
        cmocka_unit_test(what_cannot_be_cloned_is_refused_with_what_to_do),
        cmocka_unit_test(a_clone_is_a_copy_and_goes_with_its_directory),
        cmocka_unit_test(a_kept_clone_stays_when_the_dead_are_buried),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
