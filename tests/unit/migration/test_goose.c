/* Every rule of goose that Lockstep keeps (docs/MIGRATIONS.md), one test each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/migration/goose_parse.h"
#include "lib/migration/migration.h"
#include "tests/unit/migration/sets.h"

#define UP    "-- +goose Up\n"
#define DOWN  "-- +goose Down\n"
#define BEGIN "-- +goose StatementBegin\n"
#define END   "-- +goose StatementEnd\n"

static struct set_test t;

static const char *up(const char *text)
{
    return set_pieces(&t, text, false);
}

static const char *down(const char *text)
{
    return set_pieces(&t, text, true);
}

static struct migration one(const char *text)
{
    struct migration_set set = set_of(&t, FILES(set_file("1_a.sql", text)));
    return set.items[0];
}

static void the_id_is_the_number_before_the_first_underscore(void **state UNUSED)
{
    struct migration_set set =
        set_of(&t, FILES(set_file("00010_b_2.sql", UP), set_file("9_a.sql", UP),
                         set_file("+11_c.sql", UP), set_file("20240131120000_d.go", "package d")));
    assert_string_equal(set_ids(&t, &set), "9 10 11 20240131120000");
    assert_int_equal(set.items[3].previous, 11);
}

static void other_files_are_ignored(void **state UNUSED)
{
    struct migration_set set = set_of(
        &t, FILES(set_file("README.md", "x"), set_file("1.sql", "x"), set_file("a_1.sql", "x"),
                  set_file("0_a.sql", "x"), set_file("-1_a.sql", "x"), set_file("1_a.txt", "x"),
                  set_file("1_a_test.go", "x"), set_file("helpers.go", "x"),
                  set_file("old/1_a.sql", "x"), set_file("9223372036854775808_a.sql", "x"),
                  set_file("2_b.sql", UP)));
    assert_string_equal(set_ids(&t, &set), "2");
}

static void the_same_version_twice_is_fatal(void **state UNUSED)
{
    struct migration_set set;
    assert_int_equal(set_read(&t, FILES(set_file("1_b.go", "x"), set_file("01_a.sql", UP)), &set),
                     E_INVALID);
    assert_non_null(strstr(t.error.message, "01_a.sql and 1_b.go have the same version"));
}

static void a_go_file_is_delegated_both_ways(void **state UNUSED)
{
    struct migration_set set = set_of(&t, FILES(set_file("1_a.go", "package a")));
    const struct migration *m = set.items;
    assert_true(m->up.delegated && m->down.delegated);
    assert_string_equal(m->up.sha256, "1_a.go");
    assert_string_equal(m->down.sha256, "1_a.go");
    assert_null(m->up.lossy);
    assert_string_equal(m->down.lossy, "is Go code: what is lost is not known");
}

static void statements_end_with_their_semicolon(void **state UNUSED)
{
    const char *text =
        "-- a head\n\n" UP "CREATE TABLE a (\n  id int\n);\n\n-- why\nSELECT 1; SELECT "
        "2;\n" DOWN "DROP TABLE a;\n";
    assert_string_equal(up(text), "4[CREATE TABLE a (\n  id int\n);]9[SELECT 1; SELECT 2;]");
    assert_string_equal(down(text), "11[DROP TABLE a;]");
}

static void the_semicolon_is_the_end_of_the_last_word_before_a_comment(void **state UNUSED)
{
    assert_string_equal(up(UP "END; -- comment\n"), "2[END; -- comment]");
    assert_string_equal(up(UP "END   ; -- comment\n"), "2[END   ; -- comment]");
    assert_string_equal(up(UP "END;\xc2\xa0\n"), "2[END;]"); /* Go's white space */
    assert_string_equal(up(UP "END;--no word\nX;"), "2[END;--no word\nX;]");
    assert_non_null(strstr(up(UP "END -- comment ;\n"), "! line 2: this statement has no end"));
    assert_non_null(strstr(up(UP "END \" ; \" -- comment\n"), "! line 2: "));
}

static void a_comment_inside_a_statement_is_part_of_it(void **state UNUSED)
{
    assert_string_equal(up(UP "SELECT\n-- one\n\n1;\n"), "2[SELECT\n-- one\n\n1;]");
    assert_non_null(
        strstr(up(UP "  \n-- goose keeps this after a line of blanks\n"), "! line 3: "));
}

static void between_begin_and_end_semicolons_end_nothing(void **state UNUSED)
{
    const char *text = UP BEGIN "CREATE FUNCTION f() AS $$\nBEGIN\n  x := 1;\nEND;\n$$;\n" END
                                "SELECT 1;\n" DOWN BEGIN "DROP FUNCTION f\n" END;
    assert_string_equal(up(text),
                        "3[CREATE FUNCTION f() AS $$\nBEGIN\n  x := 1;\nEND;\n$$;]9[SELECT 1;]");
    assert_string_equal(down(text), "12[DROP FUNCTION f]");
}

/* goose's own reader drops the line; so what it leaves in the database is what Lockstep leaves. */
static void an_end_with_nothing_to_end_takes_the_next_line_with_it(void **state UNUSED)
{
    assert_string_equal(up(UP BEGIN END "SELECT 1;\nSELECT 2;\n"), "5[SELECT 2;]");
}

static void annotations_are_read_in_any_case(void **state UNUSED)
{
    assert_string_equal(up("--+goose UP\n--  +goose  statementbegin\nA;\nB\n-- +goose "
                           "STATEMENTEND\n-- +goose down\nC;"),
                        "3[A;\nB]");
}

static void an_annotation_that_goose_does_not_know_is_refused(void **state UNUSED)
{
    assert_non_null(
        strstr(up(UP "-- +goose Upp\n"), "! line 2: goose knows no annotation \"Upp\""));
    assert_non_null(strstr(up(UP "-- +goose\n"), "! line 2: goose knows no annotation \"\""));
    assert_non_null(strstr(up(UP " -- +goose Down\n"), "! line 2: a +goose annotation may not be"));
    assert_non_null(strstr(up(UP "-- +goose +goose Down\n"), "! line 2: +goose stands twice"));
    assert_string_equal(up(UP "-- +Goose Nonsense\nA;\n"), "3[A;]"); /* a comment: not "+goose" */
}

static void annotations_out_of_place_are_refused(void **state UNUSED)
{
    assert_non_null(strstr(up(UP UP), "! line 2: a second"));
    assert_non_null(strstr(up(DOWN), "! line 1: \"-- +goose Down\" stands once, after"));
    assert_non_null(strstr(up(UP DOWN DOWN), "! line 3: \"-- +goose Down\" stands once"));
    assert_non_null(strstr(up(UP BEGIN DOWN), "! line 3: \"-- +goose Down\""));
    assert_non_null(strstr(up(BEGIN), "! line 1: \"-- +goose StatementBegin\" stands after"));
    assert_non_null(strstr(up(UP BEGIN BEGIN), "! line 3: \"-- +goose StatementBegin\""));
    assert_non_null(strstr(up(UP END), "! line 2: \"-- +goose StatementEnd\" without"));
    assert_non_null(strstr(up(UP "A;\n" BEGIN "B;\n"), "! the last \"-- +goose StatementBegin\""));
}

static void leftover_text_is_an_error(void **state UNUSED)
{
    assert_non_null(strstr(up(UP "A;\nSELECT 1\n"), "! line 3: this statement has no end"));
    assert_non_null(strstr(up(UP "\nSELECT 1\n" DOWN), "! line 3: this statement has no end"));
    assert_string_equal(down(UP "SELECT 1\n" DOWN "A;"), "4[A;]"); /* the other direction's */
    struct migration_set set;
    assert_int_equal(set_read(&t, FILES(set_file("1_a.sql", UP "SELECT 1\n" DOWN)), &set),
                     E_INVALID);
    assert_non_null(strstr(t.error.message, "1_a.sql: line 2: this statement has no end"));
    assert_int_equal(set_read(&t, FILES(set_file("1_a.sql", UP "A;\n" DOWN "B\n")), &set),
                     E_INVALID); /* read() looks at both directions */
}

static void a_file_without_up_is_refused(void **state UNUSED)
{
    assert_non_null(strstr(up(""), "! there is no \"-- +goose Up\""));
    assert_non_null(strstr(up("-- only words\n\n"), "! there is no \"-- +goose Up\""));
    assert_non_null(strstr(up("SELECT 1;\n" UP), "! line 1: only comments may stand before"));
}

static void no_transaction_holds_for_the_whole_file(void **state UNUSED)
{
    struct migration m = one(UP "A;\n" DOWN "B;\n");
    assert_true(m.up.transactional && m.down.transactional);
    m = one(UP "A;\n" DOWN "B;\n-- +goose no transaction\n");
    assert_false(m.up.transactional || m.down.transactional);
    m = one("-- +goose NO TRANSACTION\n" UP "CREATE INDEX CONCURRENTLY i ON t (c);\n" DOWN "B;\n");
    assert_true(m.up.concurrent);
    assert_false(m.down.concurrent || m.up.transactional || m.down.transactional);
}

static void envsub_is_refused_where_it_would_change_something(void **state UNUSED)
{
    assert_string_equal(up(UP "-- +goose ENVSUB ON\nA;\n-- +goose ENVSUB OFF\nB $1;\n"),
                        "3[A;]5[B $1;]");
    const char *text = UP "-- +goose ENVSUB ON\nA;\nB ${NAME};\n";
    assert_non_null(strstr(up(text), "! line 4: under ENVSUB ON"));
    assert_non_null(strstr(down(text), "! line 4: under ENVSUB ON")); /* as goose does */
}

static void a_file_without_down_is_irreversible(void **state UNUSED)
{
    struct migration m = one(UP "A;\n");
    assert_true(m.down.empty);
    assert_string_equal(m.down.sha256, "1_a.sql");
    assert_string_equal(m.down.lossy, "has no Down: nothing is undone");
    m = one(UP "A;\n" DOWN "-- nothing\n");
    assert_string_equal(m.down.lossy, "its Down is empty: nothing is undone");
    m = one(UP DOWN);
    assert_true(m.up.empty);
    assert_null(m.down.lossy);
}

static void what_is_lost_is_looked_for_in_one_direction(void **state UNUSED)
{
    struct migration m = one(UP "CREATE TABLE a ();\n" DOWN BEGIN "DROP TABLE a\n" END BEGIN
                                "DROP TABLE b -- and\n" END);
    assert_null(m.up.lossy);
    assert_string_equal(m.down.lossy, "drops table a, drops table b");
}

static void lines_may_end_as_on_windows(void **state UNUSED)
{
    assert_string_equal(up("-- +goose Up\r\nSELECT\r\n1;\r\n"), "2[SELECT\n1;]");
}

static void a_line_of_four_mebibytes_is_refused(void **state UNUSED)
{
    size_t head = strlen(UP);
    char *text = arena_alloc(&t.arena, GOOSE_LINE_BYTES_MAX + 64);
    snprintf(text, head + 1, "%s", UP);
    memset(text + head, 'a', GOOSE_LINE_BYTES_MAX);
    text[head + GOOSE_LINE_BYTES_MAX - 2] = ';';
    text[head + GOOSE_LINE_BYTES_MAX - 1] = '\n';
    struct migration_pieces pieces = {0};
    struct bytes bytes = {(const uint8_t *)text, head + GOOSE_LINE_BYTES_MAX};
    assert_int_equal(t.format->pieces(&t.arena, bytes, false, &pieces, &t.error), 0);
    assert_int_equal(pieces.count, 1);
    text[head + GOOSE_LINE_BYTES_MAX - 1] = ' ';
    assert_int_equal(t.format->pieces(&t.arena, bytes, false, &pieces, &t.error), E_INVALID);
    assert_non_null(strstr(t.error.message, "line 2 has 4194304 bytes"));
}

static struct migration_set numbered(int count)
{
    struct migration_file files[16] = {{0}};
    for (int i = 0; i < count; i++) {
        files[i] = set_file(arena_printf(&t.arena, "%d_m.sql", i + 1), UP "A;\n" DOWN "B;\n");
    }
    return set_of(&t, files);
}

static void the_ledgers_first_row_is_no_migration(void **state UNUSED)
{
    struct migration_set two = numbered(2);
    assert_string_equal(set_way(&t, "0", &two, &two), "+1 +2");
    assert_string_equal(set_way(&t, "0 1 2", &two, &two), "");
}

static void a_file_below_the_newest_applied_is_refused(void **state UNUSED)
{
    struct migration_set three = numbered(3);
    assert_string_equal(set_way(&t, "0 1 2", &three, &three), "+3");
    assert_non_null(strstr(set_way(&t, "0 1 3", &three, &three),
                           "! 2_m.sql is out of order: version 3 is applied"));
}

static void what_goes_down_first_is_not_in_the_way(void **state UNUSED)
{
    struct migration_set three = numbered(3);
    struct migration_set two = numbered(2);
    assert_string_equal(set_way(&t, "0 1 3", &three, &two), "-3 +2");
}

/* A way down alone: what is pending below it stays pending, and is not asked about. */
static void one_list_of_the_way_is_asked_about_alone(void **state UNUSED)
{
    struct migration_set three = numbered(3);
    struct migration_set part = {three.items, 2};
    struct strings ledger = set_words(&t, "0 2 3");
    struct strings applied;
    struct migration_way way;
    assert_int_equal(set_way(&t, "0 2 3", &three, &part)[0], '!'); /* 1 is below 2, which stays */
    assert_int_equal(
        migration_difference(&t.arena, t.format, &ledger, &three, &part, &way, &applied, &t.error),
        0);
    assert_int_equal(way.up_count, 1);
    way.up_count = 0;
    assert_int_equal(t.format->check_way(&t.arena, &part, &applied, &way, &t.error), 0);
    assert_string_equal(way.down[0].id, "3");
}

static void goes_down_by_number_the_highest_first(void **state UNUSED)
{
    struct migration_set three = numbered(3);
    struct migration_set one_only = numbered(1);
    assert_string_equal(set_way(&t, "0 1 2 3", &three, &one_only), "-3 -2");
}

static void refuses_a_ledger_that_nobody_knows(void **state UNUSED)
{
    struct migration_set two = numbered(2);
    assert_non_null(strstr(set_way(&t, "0 1 2 7", &two, &two), "! the ledger holds \"7\""));
}

static int set_up(void **state UNUSED)
{
    t.format = migration_format_get(FORMAT_GOOSE);
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
        cmocka_unit_test(the_id_is_the_number_before_the_first_underscore),
        cmocka_unit_test(other_files_are_ignored),
        cmocka_unit_test(the_same_version_twice_is_fatal),
        cmocka_unit_test(a_go_file_is_delegated_both_ways),
        cmocka_unit_test(statements_end_with_their_semicolon),
        cmocka_unit_test(the_semicolon_is_the_end_of_the_last_word_before_a_comment),
        cmocka_unit_test(a_comment_inside_a_statement_is_part_of_it),
        cmocka_unit_test(between_begin_and_end_semicolons_end_nothing),
        cmocka_unit_test(an_end_with_nothing_to_end_takes_the_next_line_with_it),
        cmocka_unit_test(annotations_are_read_in_any_case),
        cmocka_unit_test(an_annotation_that_goose_does_not_know_is_refused),
        cmocka_unit_test(annotations_out_of_place_are_refused),
        cmocka_unit_test(leftover_text_is_an_error),
        cmocka_unit_test(a_file_without_up_is_refused),
        cmocka_unit_test(no_transaction_holds_for_the_whole_file),
        cmocka_unit_test(envsub_is_refused_where_it_would_change_something),
        cmocka_unit_test(a_file_without_down_is_irreversible),
        cmocka_unit_test(what_is_lost_is_looked_for_in_one_direction),
        cmocka_unit_test(lines_may_end_as_on_windows),
        cmocka_unit_test(a_line_of_four_mebibytes_is_refused),
        cmocka_unit_test(the_ledgers_first_row_is_no_migration),
        cmocka_unit_test(a_file_below_the_newest_applied_is_refused),
        cmocka_unit_test(what_goes_down_first_is_not_in_the_way),
        cmocka_unit_test(one_list_of_the_way_is_asked_about_alone),
        cmocka_unit_test(goes_down_by_number_the_highest_first),
        cmocka_unit_test(refuses_a_ledger_that_nobody_knows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
