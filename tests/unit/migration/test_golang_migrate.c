/* Every rule of golang-migrate that Lockstep keeps (docs/MIGRATIONS.md), one test each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/migration/migration.h"
#include "tests/unit/migration/sets.h"

static struct set_test t;

static struct migration_set numbered(int first, int last)
{
    struct migration_file files[64] = {{0}};
    size_t count = 0;
    for (int i = first; i <= last; i++) {
        files[count++] = set_file(arena_printf(&t.arena, "%06d_m.up.sql", i), "SELECT 1;");
        files[count++] = set_file(arena_printf(&t.arena, "%06d_m.down.sql", i), "SELECT 1;");
    }
    return set_of(&t, files);
}

static void the_id_is_the_version_in_decimal(void **state UNUSED)
{
    struct migration_set set = set_of(&t, FILES(set_file("000010_b.up.sql", "SELECT 1"),
                                                set_file("9_a.up.sql", "SELECT 1"),
                                                set_file("20240131120000_c.down.sql", "SELECT 1"),
                                                set_file("20240131120000_c.up.sql", "SELECT 1")));
    assert_string_equal(set_ids(&t, &set), "9 10 20240131120000");
    assert_int_equal(set.items[2].version, 20240131120000);
    assert_string_equal(set.items[2].down.file, "20240131120000_c.down.sql");
    assert_int_equal(set.items[0].previous, -1);
    assert_int_equal(set.items[2].previous, 10);
    assert_int_equal(set.items[2].place, 2);
}

static void up_and_down_may_have_different_names(void **state UNUSED)
{
    struct migration_set set = set_of(
        &t, FILES(set_file("1_a.up.sql", "SELECT 1"), set_file("1_undo_a.down.sql", "SELECT 1")));
    assert_int_equal(set.count, 1);
}

static void other_files_are_ignored(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("README.md", "x"), set_file("1_a.sql", "x"),
                         set_file("a_1.up.sql", "x"), set_file("1a.up.sql", "x"),
                         set_file("1_a.UP.sql", "x"), set_file("old/1_a.up.sql", "x"),
                         set_file("18446744073709551616_a.up.sql", "x"), /* not even for the tool */
                         set_file("2_b.down.up.sql", "SELECT 1")));
    assert_string_equal(set_ids(&t, &set), "2");
    assert_string_equal(set.items[0].up.file, "2_b.down.up.sql"); /* the last direction counts */
}

static void a_number_past_the_ledgers_bigint_is_refused(void **state UNUSED)
{
    struct migration_set set;
    set = set_of(&t, FILES(set_file("9223372036854775807_a.up.sql", "x")));
    assert_int_equal(set.items[0].version, INT64_MAX);
    assert_int_equal(set_read(&t, FILES(set_file("9223372036854775808_a.up.sql", "x")), &set),
                     E_INVALID);
    assert_non_null(strstr(t.error.message, "9223372036854775808_a.up.sql: the number does not "));
}

static void the_same_version_and_direction_twice_is_fatal(void **state UNUSED)
{
    struct migration_set set;
    assert_int_equal(
        set_read(&t, FILES(set_file("01_b.up.sql", "x"), set_file("1_a.up.sql", "x")), &set),
        E_INVALID);
    assert_non_null(strstr(t.error.message, "01_b.up.sql and 1_a.up.sql are the same version"));
}

static void a_missing_up_is_pending_and_moves_the_ledger(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("1_a.up.sql", "SELECT 1"), set_file("2_b.down.sql", "SELECT 2")));
    assert_null(set.items[1].up.sha256);
    assert_true(set.items[1].up.empty);
    assert_true(set.items[1].up.transactional);
    assert_string_equal(set.items[1].up.file, "2_b.down.sql (without an up script)");
    assert_string_equal(set_way(&t, "1", &set, &set), "+2");
}

static void a_missing_down_is_irreversible_and_not_impossible(void **state UNUSED)
{
    struct migration_set two =
        set_of(&t, FILES(set_file("1_a.up.sql", "SELECT 1"), set_file("2_b.up.sql", "SELECT 2")));
    struct migration_set one = set_of(&t, FILES(set_file("1_a.up.sql", "SELECT 1")));
    assert_null(two.items[1].down.sha256);
    assert_true(two.items[1].down.empty);
    assert_string_equal(two.items[1].down.lossy, "has no down script: nothing is undone");
    assert_string_equal(two.items[1].down.file, "2_b.up.sql (without a down script)");
    assert_string_equal(set_way(&t, "2", &two, &one), "-2");
}

static void an_empty_down_undoes_nothing(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("1_a.up.sql", "SELECT 1"), set_file("1_a.down.sql", "-- none\n"),
                         set_file("2_b.up.sql", "-- none"), set_file("2_b.down.sql", ""),
                         set_file("3_c.up.sql", "-- none")));
    assert_string_equal(set.items[0].down.lossy, "its down is empty: nothing is undone");
    assert_null(set.items[1].down.lossy); /* there was nothing to undo */
    assert_null(set.items[2].down.lossy);
}

static bool transactional(const char *sql)
{
    struct migration_set set = set_of(&t, FILES(set_file("1_a.up.sql", sql)));
    return set.items[0].up.transactional;
}

static void a_file_is_one_implicit_transaction(void **state UNUSED)
{
    assert_true(transactional("CREATE TABLE a (); CREATE TABLE b ();"));
    assert_true(transactional("")); /* the ledger alone */
    assert_false(transactional("CREATE UNIQUE INDEX CONCURRENTLY i ON t (c);"));
    assert_false(transactional("VACUUM t"));
    assert_false(transactional("BEGIN; SELECT 1; COMMIT;"));
    /* Two statements are a transaction to the server, where the second one fails: as in the tool. */
    assert_true(transactional("SELECT 1; CREATE INDEX CONCURRENTLY i ON t (c);"));
}

static void a_file_is_sent_whole(void **state UNUSED)
{
    assert_string_equal(set_pieces(&t, "SELECT 1;\n\nSELECT 2;\n", false),
                        "1[SELECT 1;\n\nSELECT 2;\n]");
}

static void concurrent_work_on_an_index_is_marked(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("1_a.up.sql", "CREATE INDEX CONCURRENTLY i ON t (c)"),
                         set_file("1_a.down.sql", "DROP INDEX i")));
    assert_true(set.items[0].up.concurrent);
    assert_false(set.items[0].down.concurrent);
}

static void the_one_row_means_all_up_to_it(void **state UNUSED)
{
    struct migration_set four = numbered(1, 4);
    assert_string_equal(set_way(&t, "", &four, &four), "+1 +2 +3 +4");
    assert_string_equal(set_way(&t, "2", &four, &four), "+3 +4");
    assert_string_equal(set_way(&t, "4", &four, &four), "");
    assert_string_equal(set_way(&t, "1 2 3 4", &four, &four), ""); /* its answer means itself */
    struct strings ledger = set_words(&t, "3");
    struct strings applied;
    assert_int_equal(t.format->applied(&t.arena, &four, &ledger, &applied, &t.error), 0);
    assert_int_equal(applied.count, 3);
    assert_string_equal(applied.items[2], "3");
}

static void goes_down_by_number_with_the_newer_scripts(void **state UNUSED)
{
    struct migration_set four = numbered(1, 4);
    struct migration_set two = numbered(1, 2);
    struct migration_set none = {0};
    assert_string_equal(set_way(&t, "4", &four, &two), "-4 -3");
    assert_string_equal(set_way(&t, "2", &four, &none), "-2 -1");
    assert_int_equal(four.items[2].previous, 2); /* what the ledger says after -3 */
}

static void an_unknown_current_version_is_refused(void **state UNUSED)
{
    struct migration_set two = numbered(1, 2);
    const char *way = set_way(&t, "3", &two, &two);
    assert_non_null(strstr(way, "! the ledger is at version 3, which no release on the way knows"));
    assert_non_null(strstr(set_way(&t, "m1", &two, &two), "\"m1\", which is no version"));
}

/* To the tool a late file is applied: it never looks below its number. */
static void a_late_file_counts_as_applied_as_the_tool_sees_it(void **state UNUSED)
{
    struct migration_set late =
        set_of(&t, FILES(set_file("1_a.up.sql", "SELECT 1"), set_file("2_late.up.sql", "SELECT 1"),
                         set_file("3_c.up.sql", "SELECT 1")));
    assert_string_equal(set_way(&t, "3", &late, &late), "");
}

static void a_late_file_that_the_newer_set_lacks_is_refused_by_name(void **state UNUSED)
{
    struct migration_set newer =
        set_of(&t, FILES(set_file("1_a.up.sql", "x"), set_file("3_c.up.sql", "x")));
    struct migration_set target =
        set_of(&t, FILES(set_file("1_a.up.sql", "x"), set_file("2_late.up.sql", "x"),
                         set_file("3_c.up.sql", "x")));
    const char *way = set_way(&t, "3", &newer, &target);
    assert_non_null(strstr(way, "! 2_late.up.sql is late: version 3 is applied"));
    assert_non_null(strstr(way, "would skip it without a word"));
}

static void goes_down_from_the_newest_only(void **state UNUSED)
{
    struct migration_set newer = numbered(1, 3);
    struct migration_set target =
        set_of(&t, FILES(set_file("1_a.up.sql", "x"), set_file("3_c.up.sql", "x")));
    assert_non_null(strstr(set_way(&t, "3", &newer, &target),
                           "! 000002_m.down.sql cannot be taken back while version 3 stays"));
}

static void until_takes_a_number(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("0005_a.up.sql", "x"), set_file("0007_b.up.sql", "x"),
                         set_file("0010_c.up.sql", "x")));
    assert_string_equal(set_until(&t, &set, NULL), "5 7 10");
    assert_string_equal(set_until(&t, &set, "0"), "");
    assert_string_equal(set_until(&t, &set, "none"), "");
    struct migration_set with_0 = numbered(0, 2);
    assert_string_equal(set_until(&t, &with_0, "0"), "0"); /* the tool's version 0 */
    assert_string_equal(set_until(&t, &with_0, "none"), "");
    assert_string_equal(set_until(&t, &set, "7"), "5 7");
    assert_string_equal(set_until(&t, &set, "0007"), "5 7");
    assert_string_equal(set_until(&t, &set, "8"),
                        "! there is no migration \"8\"; did you mean 7 or 10?");
    assert_int_equal(t.error.code, E_NOT_FOUND);
    assert_string_equal(set_until(&t, &set, "11"),
                        "! there is no migration \"11\"; did you mean 10?");
    assert_string_equal(set_until(&t, &set, "b"), "! there is no migration \"b\" among these 3");
}

static void until_takes_a_name_where_the_id_is_one(void **state UNUSED)
{
    struct set_test morph = {.format = migration_format_get(FORMAT_MORPH)};
    arena_init(&morph.arena);
    struct migration_set set = set_of(&morph, FILES(set_file("000001_create_teams.up.sql", "x"),
                                                    set_file("000002_create_posts.up.sql", "x")));
    assert_string_equal(set_until(&morph, &set, "create_teams"), "create_teams");
    assert_string_equal(set_until(&morph, &set, "2"), "create_teams create_posts");
    assert_string_equal(set_until(&morph, &set, "create_team"),
                        "! there is no migration \"create_team\"; did you mean \"create_teams\"?");
    arena_deinit(&morph.arena);
}

static int set_up(void **state UNUSED)
{
    t.format = migration_format_get(FORMAT_GOLANG_MIGRATE);
    arena_init(&t.arena);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_deinit(&t.arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_is_the_version_in_decimal),
        cmocka_unit_test(up_and_down_may_have_different_names),
        cmocka_unit_test(other_files_are_ignored),
        cmocka_unit_test(a_number_past_the_ledgers_bigint_is_refused),
        cmocka_unit_test(the_same_version_and_direction_twice_is_fatal),
        cmocka_unit_test(a_missing_up_is_pending_and_moves_the_ledger),
        cmocka_unit_test(a_missing_down_is_irreversible_and_not_impossible),
        cmocka_unit_test(an_empty_down_undoes_nothing),
        cmocka_unit_test(a_file_is_one_implicit_transaction),
        cmocka_unit_test(a_file_is_sent_whole),
        cmocka_unit_test(concurrent_work_on_an_index_is_marked),
        cmocka_unit_test(the_one_row_means_all_up_to_it),
        cmocka_unit_test(goes_down_by_number_with_the_newer_scripts),
        cmocka_unit_test(an_unknown_current_version_is_refused),
        cmocka_unit_test(a_late_file_counts_as_applied_as_the_tool_sees_it),
        cmocka_unit_test(a_late_file_that_the_newer_set_lacks_is_refused_by_name),
        cmocka_unit_test(goes_down_from_the_newest_only),
        cmocka_unit_test(until_takes_a_number),
        cmocka_unit_test(until_takes_a_name_where_the_id_is_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
