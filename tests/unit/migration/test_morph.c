/* Every rule of morph that Lockstep keeps (docs/MIGRATIONS.md), one test each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/migration/migration.h"

static struct arena arena;
static struct error error;

static struct migration_file file(const char *name, const char *text)
{
    return (struct migration_file){name, {(const uint8_t *)text, strlen(text)}, name};
}

static int read_files(const struct migration_file *files, size_t count, struct migration_set *set)
{
    error = (struct error){0};
    return migration_format_get(FORMAT_MORPH)->read(&arena, files, count, set, &error);
}

static int read_one(const char *name)
{
    struct migration_file f = file(name, "SELECT 1;");
    struct migration_set set = {0};
    return read_files(&f, 1, &set);
}

static void joins_the_two_directions_of_a_migration(void **state UNUSED)
{
    const struct migration_file files[] = {file("000001_create_teams.down.sql", "DROP TABLE t;"),
                                           file("000001_create_teams.up.sql", "SELECT 1;")};
    struct migration_set set = {0};
    assert_int_equal(read_files(files, 2, &set), 0);
    assert_int_equal(set.count, 1);
    assert_string_equal(set.items[0].id, "create_teams");
    assert_int_equal(set.items[0].version, 1);
    assert_string_equal(set.items[0].up.file, "000001_create_teams.up.sql");
    assert_string_equal(set.items[0].down.lossy, "drops table t");
}

static void refuses_a_file_that_does_not_match(void **state UNUSED)
{
    static const char *const names[] = {"README.md", "create_teams.up.sql", "1.up.sql",  "1_a.sql",
                                        "1_a.up",    "a1_b.up.sql",         "1_a.UP.sql"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(read_one(names[i]), E_INVALID);
        assert_non_null(strstr(error.message, names[i]));
    }
    assert_int_equal(read_one("1_.up."), 0); /* the name and the ending may be empty */
}

static void takes_the_last_direction_of_a_name(void **state UNUSED)
{
    const struct migration_file files[] = {file("000001_go.up.and.down.sql", "SELECT 1;")};
    struct migration_set set = {0};
    assert_int_equal(read_files(files, 1, &set), 0);
    assert_string_equal(set.items[0].id, "go.up.and");
    assert_null(set.items[0].up.file);
}

static void refuses_a_number_past_32_bits(void **state UNUSED)
{
    assert_int_equal(read_one("4294967295_a.up.sql"), 0);
    assert_int_equal(read_one("4294967296_a.up.sql"), E_INVALID);
}

static void goes_up_in_the_order_of_file_names(void **state UNUSED)
{
    const struct migration_file files[] = {file("9_nine.up.sql", "a"), file("10_ten.up.sql", "a"),
                                           file("1_one.up.sql", "a")};
    struct migration_set set = {0};
    assert_int_equal(read_files(files, 3, &set), 0);
    assert_string_equal(set.items[0].id, "ten"); /* "10_ten" < "1_one" < "9_nine" by bytes */
    assert_string_equal(set.items[1].id, "one");
    assert_string_equal(set.items[2].id, "nine");
}

static void goes_down_by_number_the_highest_first(void **state UNUSED)
{
    struct migration items[] = {{.id = "ten", .version = 10},
                                {.id = "one", .version = 1},
                                {.id = "big", .version = 4294967295},
                                {.id = "nine", .version = 9}};
    migration_format_get(FORMAT_MORPH)->sort_down(items, 4);
    assert_string_equal(items[0].id, "big");
    assert_string_equal(items[1].id, "ten");
    assert_string_equal(items[2].id, "nine");
    assert_string_equal(items[3].id, "one");
}

static void is_nontransactional_only_when_the_file_starts_so(void **state UNUSED)
{
    const struct migration_file files[] = {
        file("1_a.up.sql", "-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON t (a);"),
        file("2_b.up.sql", "\n-- morph:nontransactional\nSELECT 1;"),
        file("3_c.up.sql", "SELECT 1; -- morph:nontransactional")};
    struct migration_set set = {0};
    assert_int_equal(read_files(files, 3, &set), 0);
    assert_false(set.items[0].up.transactional);
    assert_true(set.items[1].up.transactional);
    assert_true(set.items[2].up.transactional);
}

static void knows_an_empty_script(void **state UNUSED)
{
    const struct migration_file files[] = {file("1_a.up.sql", "-- nothing /* */\n\n"),
                                           file("2_b.up.sql", "/* a /* nested */ */ ;"),
                                           file("3_c.up.sql", "SELECT 1;"), file("4_d.up.sql", "")};
    struct migration_set set = {0};
    assert_int_equal(read_files(files, 4, &set), 0);
    assert_true(set.items[0].up.empty);
    assert_true(set.items[1].up.empty);
    assert_false(set.items[2].up.empty);
    assert_true(set.items[3].up.empty);
}

static void refuses_what_the_ledger_can_hold_only_once(void **state UNUSED)
{
    const struct migration_file number[] = {file("1_a.up.sql", "a"), file("1_b.up.sql", "a")};
    const struct migration_file name[] = {file("1_a.up.sql", "a"), file("2_a.up.sql", "a")};
    const struct migration_file twice[] = {file("1_a.up.sql", "a"), file("01_a.up.sql", "a")};
    struct migration_set set = {0};
    assert_int_equal(read_files(number, 2, &set), E_INVALID);
    assert_non_null(strstr(error.message, "the same number"));
    assert_int_equal(read_files(name, 2, &set), E_INVALID);
    assert_non_null(strstr(error.message, "the same name"));
    assert_int_equal(read_files(twice, 2, &set), E_INVALID);
    assert_non_null(strstr(error.message, "same migration and direction"));
}

/* ---- ways ---- */

static struct migration_set set_of(size_t from, size_t to)
{
    size_t count = (to - from + 1) * 2;
    struct migration_file *files = ARENA_ARRAY(&arena, count, struct migration_file);
    for (size_t i = 0; i < count; i++) {
        files[i] = file(arena_printf(&arena, "%06zu_m%zu.%s.sql", from + i / 2, from + i / 2,
                                     i % 2 == 0 ? "up" : "down"),
                        "SELECT 1;");
    }
    struct migration_set set = {0};
    assert_int_equal(read_files(files, count, &set), 0);
    return set;
}

static int way(const char *applied, const struct migration_set *newer,
               const struct migration_set *target, struct migration_way *ret)
{
    struct strings ids = {ARENA_ARRAY(&arena, 64, const char *), 0};
    for (const char *p = applied; *p != '\0'; p += strcspn(p, " ") + (strchr(p, ' ') != NULL)) {
        ids.items[ids.count++] = arena_strndup(&arena, p, strcspn(p, " "));
    }
    error = (struct error){0};
    return migration_way(&arena, migration_format_get(FORMAT_MORPH), &ids, newer, target, ret,
                         &error);
}

static const char *text(const struct migration_way *w)
{
    struct buf b;
    buf_init(&b, &arena, 4096);
    for (size_t i = 0; i < w->down_count; i++) {
        buf_printf(&b, "-%s ", w->down[i].id);
    }
    for (size_t i = 0; i < w->up_count; i++) {
        buf_printf(&b, "+%s ", w->up[i].id);
    }
    return buf_text(&b);
}

static void pending_is_what_the_ledger_does_not_name(void **state UNUSED)
{
    struct migration_set four = set_of(1, 4);
    struct migration_way w = {0};
    assert_int_equal(way("m1 m3", &four, &four, &w), 0);
    assert_string_equal(text(&w), "+m2 +m4 "); /* m2 comes late and is applied all the same */
}

static void goes_down_with_the_newer_scripts(void **state UNUSED)
{
    struct migration_set four = set_of(1, 4);
    struct migration_set two = set_of(1, 2);
    struct migration_way w = {0};
    assert_int_equal(way("m1 m2 m3 m4", &four, &two, &w), 0);
    assert_string_equal(text(&w), "-m4 -m3 ");
    assert_string_equal(w.down[0].down.file, "000004_m4.down.sql");
}

static void a_mixed_ledger_goes_both_ways(void **state UNUSED)
{
    struct migration_set four = set_of(1, 4);
    struct migration_set two = set_of(1, 2);
    struct migration_way w = {0};
    assert_int_equal(way("m1 m4", &four, &two, &w), 0);
    assert_string_equal(text(&w), "-m4 +m2 ");
}

static void a_ledger_that_is_right_needs_nothing(void **state UNUSED)
{
    struct migration_set two = set_of(1, 2);
    struct migration_way w = {0};
    assert_int_equal(way("m2 m1", &two, &two, &w), 0);
    assert_string_equal(text(&w), "");
}

static void refuses_a_ledger_that_nobody_knows(void **state UNUSED)
{
    struct migration_set two = set_of(1, 2);
    struct migration_way w = {0};
    assert_int_equal(way("m1 m9", &two, &two, &w), E_INVALID);
    assert_non_null(strstr(error.message, "\"m9\""));
}

static void refuses_a_way_down_without_its_script(void **state UNUSED)
{
    struct migration_set four = set_of(1, 4);
    struct migration_set two = set_of(1, 2);
    four.items[2].down = (struct migration_script){0};
    struct migration_way w = {0};
    assert_int_equal(way("m1 m2 m3", &four, &two, &w), E_INVALID);
    assert_non_null(strstr(error.message, "\"m3\" has no down script"));
    assert_int_equal(way("m1", &four, &four, &w), 0); /* up does not need it */
}

static void has_no_functions_for_what_is_not_native(void **state UNUSED)
{
    assert_null(migration_format_get(FORMAT_NONE));
    assert_null(migration_format_get(FORMAT_EXTERNAL));
    assert_int_equal(migration_formats_count, 4);
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
        cmocka_unit_test(joins_the_two_directions_of_a_migration),
        cmocka_unit_test(refuses_a_file_that_does_not_match),
        cmocka_unit_test(takes_the_last_direction_of_a_name),
        cmocka_unit_test(refuses_a_number_past_32_bits),
        cmocka_unit_test(goes_up_in_the_order_of_file_names),
        cmocka_unit_test(goes_down_by_number_the_highest_first),
        cmocka_unit_test(is_nontransactional_only_when_the_file_starts_so),
        cmocka_unit_test(knows_an_empty_script),
        cmocka_unit_test(refuses_what_the_ledger_can_hold_only_once),
        cmocka_unit_test(pending_is_what_the_ledger_does_not_name),
        cmocka_unit_test(goes_down_with_the_newer_scripts),
        cmocka_unit_test(a_mixed_ledger_goes_both_ways),
        cmocka_unit_test(a_ledger_that_is_right_needs_nothing),
        cmocka_unit_test(refuses_a_ledger_that_nobody_knows),
        cmocka_unit_test(refuses_a_way_down_without_its_script),
        cmocka_unit_test(has_no_functions_for_what_is_not_native),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
