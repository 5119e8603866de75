/* Every rule of Sourcegraph's folders that Lockstep keeps (docs/MIGRATIONS.md), one test each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/migration/migration.h"
#include "tests/unit/migration/sets.h"

#define INDEX      "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (c);"
#define CONCUR     "createIndexConcurrently: true\n"
#define FOLDER_MAX 64

static struct set_test t;

/* The three files of a folder at files[0..2]. */
static void folder(struct migration_file *files, const char *name, const char *up, const char *down,
                   const char *metadata)
{
    files[0] = set_file(arena_printf(&t.arena, "%s/up.sql", name), up);
    files[1] = set_file(arena_printf(&t.arena, "%s/down.sql", name), down);
    files[2] = set_file(arena_printf(&t.arena, "%s/metadata.yaml", name), metadata);
}

/* One migration alone; NULL when it is refused. */
static const struct migration *one(const char *up, const char *down, const char *metadata)
{
    struct migration_file files[4] = {{0}};
    folder(files, "1_a", up, down, metadata);
    struct migration_set set;
    return set_read(&t, files, &set) == 0 ? &set.items[0] : NULL;
}

static const char *refusal(const char *up, const char *down, const char *metadata)
{
    return one(up, down, metadata) == NULL ? t.error.message : "it was read";
}

/* "4:2,3 2:1 1:" : each id with its parents. The order, or "! " and the error. */
static struct migration_set graph_of(const char *text)
{
    struct strings nodes = set_words(&t, text);
    struct migration_file *files =
        ARENA_ARRAY(&t.arena, nodes.count * 3 + 1, struct migration_file);
    for (size_t i = 0; i < nodes.count; i++) {
        const char *colon = strchr(nodes.items[i], ':');
        const char *id = arena_strndup(&t.arena, nodes.items[i], (size_t)(colon - nodes.items[i]));
        folder(&files[i * 3], id, "SELECT 1;", "SELECT 2;",
               arena_printf(&t.arena, "name: x\nparents: [%s]\n", colon + 1));
    }
    struct migration_set set = {0};
    (void)set_read(&t, files, &set);
    return set;
}

static const char *order(const char *text)
{
    struct migration_set set = graph_of(text);
    return t.error.code != 0 ? arena_printf(&t.arena, "! %s", t.error.message) : set_ids(&t, &set);
}

static void a_folder_is_an_id_and_a_name(void **state UNUSED)
{
    struct migration_file files[FOLDER_MAX] = {{0}};
    folder(&files[0], "1663569995_a_b", "SELECT 1;", "SELECT 2;", "name: b\nparent: 7\n");
    folder(&files[3], "7", "SELECT 1;", "SELECT 2;", "");
    struct migration_set set = set_of(&t, files);
    assert_string_equal(set_ids(&t, &set), "7 1663569995");
    assert_int_equal(set.items[1].version, 1663569995);
    assert_int_equal(set.items[1].previous, 7);
    assert_int_equal(set.items[1].parents.count, 1);
    assert_string_equal(set.items[1].parents.items[0], "7");
    assert_string_equal(set.items[1].down.file, "1663569995_a_b/down.sql");
}

static void other_files_are_ignored(void **state UNUSED)
{
    struct migration_file files[FOLDER_MAX] = {{0}};
    folder(&files[0], "1_a", "SELECT 1;", "SELECT 2;", "name: a\n");
    files[3] = set_file("BUILD.bazel", "x");
    files[4] = set_file("squashed.sql", "x");
    files[5] = set_file("1_a/README.md", "x");
    files[6] = set_file("1_a/old/up.sql", "x");
    files[7] = set_file("archive/up.sql", "x");
    files[8] = set_file("1a/up.sql", "x");
    assert_int_equal(set_of(&t, files).count, 1);
}

static void a_file_that_looks_like_a_folder_is_refused(void **state UNUSED)
{
    struct migration_set set;
    assert_int_equal(set_read(&t, FILES(set_file("12_a.up.sql", "x")), &set), E_INVALID);
    assert_non_null(strstr(t.error.message, "12_a.up.sql: Sourcegraph's migrator takes it for a "));
}

static void all_three_files_are_needed(void **state UNUSED)
{
    static const char *const names[] = {"up.sql", "down.sql", "metadata.yaml"};
    for (size_t i = 0; i < 3; i++) {
        struct migration_file files[4] = {{0}};
        folder(files, "1_a", "x", "x", "");
        files[i] = set_file("1_a/notes", "x");
        struct migration_set set;
        assert_int_equal(set_read(&t, files, &set), E_INVALID);
        assert_string_equal(t.error.message, arena_printf(&t.arena, "1_a/%s is missing", names[i]));
    }
}

static void an_id_that_the_ledger_cannot_hold_is_refused(void **state UNUSED)
{
    assert_string_equal(order("2147483647:"), "2147483647");
    assert_non_null(strstr(order("2147483648:"), "! 2147483648: the id is not between 1 and"));
    assert_non_null(strstr(order("0:"), "! 0: the id is not between 1 and"));
    assert_non_null(strstr(order("-5:"), "! -5: the id is not between 1 and"));
}

static void one_id_twice_is_refused(void **state UNUSED)
{
    struct migration_file files[FOLDER_MAX] = {{0}};
    folder(&files[0], "1_a", "x", "x", "");
    folder(&files[3], "01_b", "x", "x", "");
    struct migration_set set;
    assert_int_equal(set_read(&t, files, &set), E_INVALID);
    assert_string_equal(t.error.message, "01_b and 1_a have the same id");
}

static void parent_and_parents_are_one_list(void **state UNUSED)
{
    struct migration_file files[FOLDER_MAX] = {{0}};
    folder(&files[0], "1_a", "x", "x", "name: a\n");
    folder(&files[3], "2_b", "x", "x", "parent: 1\n");
    folder(&files[6], "3_c", "x", "x", "parent: 1\nparents: [2, 1]\n");
    struct migration_set set = set_of(&t, files);
    assert_int_equal(set.items[2].parents.count, 2);
    assert_string_equal(set.items[2].parents.items[0], "1");
    assert_string_equal(set.items[2].parents.items[1], "2");
}

static void keys_that_the_tool_does_not_know_are_ignored(void **state UNUSED)
{
    assert_non_null(one("x", "x", "name: a\nnonIdempotent: true\nauthor: {x: [1]}\nparnt: 3\n"));
    assert_non_null(one("x", "x", "\n# no key at all\n"));
    assert_non_null(strstr(refusal("x", "x", "parent: one\n"), "1_a/metadata.yaml:1:9: "));
    assert_non_null(strstr(refusal("x", "x", "parents: [a]\n"), "1_a/metadata.yaml:1:11: "));
    assert_non_null(strstr(refusal("x", "x", "a: [\n"), "1_a/metadata.yaml:"));
}

static void goes_up_in_topological_order_with_ties_by_id(void **state UNUSED)
{
    assert_string_equal(order("3:1 2:1 1:"), "1 2 3");
    assert_string_equal(order("1:5 5:"), "5 1");
    assert_string_equal(order("1: 4:1 3:1 5:3 2:5"),
                        "1 3 5 2 4"); /* a branch goes to its end first */
    assert_string_equal(order("1: 2:1 3:1 4:2,3 5:4"), "1 2 3 4 5");
    assert_string_equal(order("1: 2:1 3:2 4:1 5:4,3 6:3"), "1 2 3 6 4 5");
    assert_string_equal(order(""), "");
}

static void cycles_are_refused_with_their_ids(void **state UNUSED)
{
    assert_string_equal(order("1: 2:1,4 3:2 4:3"), "! the parents go in a cycle: 2 -> 3 -> 4 -> 2");
    assert_string_equal(order("1: 2:3 3:2"), "! the parents go in a cycle: 2 -> 3 -> 2");
    assert_string_equal(order("1: 2:2"), "! the parents go in a cycle: 2 -> 2");
    assert_string_equal(order("1: 2:8 3:2 4:3 5:4 6:5 7:6 8:7"),
                        "! the parents go in a cycle: 2 -> 3 -> 4 -> 5 -> 6 -> … -> 2");
}

static void unknown_parents_are_refused_with_both_ids(void **state UNUSED)
{
    assert_string_equal(order("1: 2:1,9"), "! migration 2 names the parent 9, which is not there");
}

static void one_root_and_no_more(void **state UNUSED)
{
    assert_non_null(strstr(order("1:2 2:1"), "! no root: every migration names a parent"));
    assert_string_equal(
        order("1: 2: 3:1"),
        "! 2 roots: 1 and 2 name no parent; exactly one migration may be the first");
    assert_non_null(strstr(order("1: 2: 3: 4: 5: 6:"), "! 6 roots: 1, 2, 3, 4 and 5 … name no"));
}

static void an_outer_transaction_is_stripped(void **state UNUSED)
{
    assert_string_equal(set_pieces(&t, "\n BEGIN;\n\nSELECT 1;\nCOMMIT;\n", false), "4[SELECT 1;]");
    assert_string_equal(set_pieces(&t, "SELECT '100%';", true), "1[SELECT '100%';]");
    assert_string_equal(set_pieces(&t, "BEGIN ;\nSELECT 1;\nCOMMIT;\n--", true),
                        "1[BEGIN ;\nSELECT 1;\nCOMMIT;\n--]"); /* not at the ends */
    assert_string_equal(set_pieces(&t, "-- +++\n-- parent: 1\n-- +++\nBEGIN;\nA;\nCOMMIT;", false),
                        "5[A;]");
    assert_string_equal(set_pieces(&t, "BEGIN;\nCOMMIT;\n", false), "");
    const struct migration *m = one("BEGIN;\nSELECT 1;\nCOMMIT;\n", "", "");
    assert_true(m->up.transactional);
    assert_true(m->down.empty);
    assert_string_equal(m->down.lossy, "its down is empty: nothing is undone");
    assert_false(one("SELECT 1; COMMIT; SELECT 2;", "", "")->up.transactional);
}

static void a_concurrent_index_is_that_one_statement(void **state UNUSED)
{
    const struct migration *m = one("-- why\n" INDEX "\n-- done", "DROP INDEX i;", CONCUR);
    assert_non_null(m);
    assert_true(m->up.concurrent);
    assert_false(m->up.transactional);
    assert_true(m->down.transactional && !m->down.concurrent);
    assert_non_null(strstr(refusal(INDEX " SELECT 1;", "x", CONCUR), "1_a/up.sql does more than"));
    assert_non_null(strstr(refusal("SET a = 1;\n" INDEX, "x", CONCUR), "1_a/up.sql does more"));
    assert_non_null(strstr(refusal(INDEX "\n" INDEX, "x", CONCUR), "1_a/up.sql does more than"));
    assert_non_null(strstr(refusal("CREATE UNIQUE INDEX CONCURRENTLY i ON t (c)", "x", CONCUR),
                           "does more than"));
}

static void a_concurrent_index_is_announced_in_the_metadata(void **state UNUSED)
{
    assert_non_null(strstr(refusal(INDEX, "x", ""), "does not say createIndexConcurrently: true"));
    assert_non_null(strstr(refusal("SELECT 1;", "x", CONCUR),
                           "1_a/up.sql creates no index concurrently, but the metadata says"));
    /* As the tool: a comment counts, small letters do not. */
    assert_non_null(strstr(refusal("-- " INDEX, "x", ""), "does not say"));
    assert_non_null(one("create index concurrently i on t (c);", "x", ""));
}

static void a_way_down_creates_nothing_concurrently(void **state UNUSED)
{
    assert_non_null(
        strstr(refusal("DROP INDEX i;", "CREATE UNIQUE INDEX\n CONCURRENTLY i ON t (c)", ""),
               "1_a/down.sql creates an index concurrently"));
    assert_non_null(one("SELECT 1;", "DROP INDEX CONCURRENTLY i;", ""));
}

static void extensions_need_privileged(void **state UNUSED)
{
    static const char *const sql[] = {"CREATE EXTENSION IF NOT EXISTS citext;",
                                      "COMMENT ON\n EXTENSION citext IS 'x';",
                                      "DROP  EXTENSION citext;"};
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(strstr(refusal(sql[i], "x", ""), "1_a/up.sql changes an extension, but"));
        assert_non_null(strstr(refusal("x", sql[i], ""), "1_a/down.sql changes an extension, but"));
        assert_true(one(sql[i], "x", "privileged: true\n")->privileged);
    }
    /* As the tool: other statements may stand beside it, and privileged alone is no mistake. */
    assert_true(one("CREATE TABLE a (); CREATE EXTENSION b;", "x", "privileged: true")->privileged);
    assert_true(one("SELECT 1;", "x", "privileged: true")->privileged);
    assert_false(one("create extension citext; -- THE EXTENSION", "x", "")->privileged);
}

static void pending_is_what_the_ledger_does_not_name(void **state UNUSED)
{
    struct migration_set set = graph_of("1: 2:1 3:1 4:2,3");
    assert_string_equal(set_way(&t, "1 3", &set, &set), "+2 +4");
    assert_string_equal(set_way(&t, "", &set, &set), "+1 +2 +3 +4");
}

static void goes_down_leaf_first(void **state UNUSED)
{
    struct migration_set newer = graph_of("10: 20:10 5:10 4:5,20 3:4");
    struct migration_set target = graph_of("10: 20:10");
    assert_string_equal(set_ids(&t, &newer), "10 5 20 4 3");
    assert_string_equal(set_way(&t, "3 4 5 10 20", &newer, &target), "-3 -4 -5");
    assert_string_equal(set_way(&t, "3 5 10 20", &newer, &target),
                        "-3 -5"); /* 4 was never applied */
}

static void a_parent_is_applied_before_its_child(void **state UNUSED)
{
    struct migration_set set = graph_of("1: 2:1 3:2");
    struct migration_set part = {&set.items[2], 1}; /* no whole set: 3 without 2 */
    assert_string_equal(set_way(&t, "1", &part, &set), "+2 +3");
    struct migration_set gap = {ARENA_ARRAY(&t.arena, 2, struct migration), 2};
    gap.items[0] = set.items[0];
    gap.items[1] = set.items[2];
    assert_string_equal(set_way(&t, "1", &gap, &gap),
                        "! 3/up.sql would run before its parent 2, which is not applied");
    assert_string_equal(set_way(&t, "1 2", &set, &gap),
                        "! 3/up.sql would run before its parent 2, which is not applied");
}

static void until_means_the_ancestors(void **state UNUSED)
{
    struct migration_set set = graph_of("1: 2:1 3:1 4:2 5:3,4 6:3");
    assert_string_equal(set_until(&t, &set, "4"), "1 2 4");
    assert_string_equal(set_until(&t, &set, "6"), "1 3 6");
    assert_string_equal(set_until(&t, &set, "5"), "1 2 4 3 5");
    assert_string_equal(set_until(&t, &set, "0"), "");
    assert_string_equal(set_until(&t, &set, NULL), "1 2 4 3 5 6");
    assert_string_equal(set_until(&t, &set, "8"), "! there is no migration \"8\"; did you mean 6?");
}

static int set_up(void **state UNUSED)
{
    t.format = migration_format_get(FORMAT_SOURCEGRAPH);
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
        cmocka_unit_test(a_folder_is_an_id_and_a_name),
        cmocka_unit_test(other_files_are_ignored),
        cmocka_unit_test(a_file_that_looks_like_a_folder_is_refused),
        cmocka_unit_test(all_three_files_are_needed),
        cmocka_unit_test(an_id_that_the_ledger_cannot_hold_is_refused),
        cmocka_unit_test(one_id_twice_is_refused),
        cmocka_unit_test(parent_and_parents_are_one_list),
        cmocka_unit_test(keys_that_the_tool_does_not_know_are_ignored),
        cmocka_unit_test(goes_up_in_topological_order_with_ties_by_id),
        cmocka_unit_test(cycles_are_refused_with_their_ids),
        cmocka_unit_test(unknown_parents_are_refused_with_both_ids),
        cmocka_unit_test(one_root_and_no_more),
        cmocka_unit_test(an_outer_transaction_is_stripped),
        cmocka_unit_test(a_concurrent_index_is_that_one_statement),
        cmocka_unit_test(a_concurrent_index_is_announced_in_the_metadata),
        cmocka_unit_test(a_way_down_creates_nothing_concurrently),
        cmocka_unit_test(extensions_need_privileged),
        cmocka_unit_test(pending_is_what_the_ledger_does_not_name),
        cmocka_unit_test(goes_down_leaf_first),
        cmocka_unit_test(a_parent_is_applied_before_its_child),
        cmocka_unit_test(until_means_the_ancestors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
