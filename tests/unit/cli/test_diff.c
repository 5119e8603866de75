/* The unified difference of two texts. */
#include "cli/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/util.h"

static struct arena arena;

static int setup(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

static const char *diff(const char *from, const char *to)
{
    struct buf out;
    const struct diff_options options = {.from_name = "old", .to_name = "new"};
    buf_init(&out, &arena, (size_t)4 * 1024 * 1024);
    diff_unified(&arena, from, to, &options, &out);
    assert_false(out.overflow);
    return buf_text(&out);
}

static void says_nothing_of_equal_texts(void **state UNUSED)
{
    assert_string_equal(diff("", ""), "");
    assert_string_equal(diff("a\nb\n", "a\nb\n"), "");
}

static void shows_three_lines_around_a_change(void **state UNUSED)
{
    assert_string_equal(diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nV\n6\n7\n8\n9\n"),
                        "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+V\n 6\n 7\n 8\n");
}

static void changes_far_apart_are_two_hunks_and_near_ones_are_one(void **state UNUSED)
{
    assert_string_equal(diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n"),
                        "--- old\n+++ new\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
                        "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
    assert_string_equal(diff("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n"),
                        "--- old\n+++ new\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n"
                        "-b\n+B\n");
}

static void shows_whole_files_that_come_and_go(void **state UNUSED)
{
    assert_string_equal(diff("", "a\nb\n"), "--- old\n+++ new\n@@ -0,0 +1,2 @@\n+a\n+b\n");
    assert_string_equal(diff("a\n", ""), "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n");
}

static void says_where_the_last_newline_is_missing(void **state UNUSED)
{
    assert_string_equal(diff("a\n", "a"),
                        "--- old\n+++ new\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n");
}

/* Rebuilds both texts from a diff of one hunk. */
static void rebuild(const char *text, struct buf *from, struct buf *to)
{
    for (; *text != '\0'; text += strcspn(text, "\n") + 1) {
        size_t len = strcspn(text, "\n") + 1;
        if (strncmp(text, "---", 3) == 0 || strncmp(text, "+++", 3) == 0 || text[0] == '@') {
            continue;
        }
        if (text[0] != '+') {
            buf_append(from, text + 1, len - 1);
        }
        if (text[0] != '-') {
            buf_append(to, text + 1, len - 1);
        }
    }
}

/* Lines of three kinds, so that many alignments are possible: the difference must give both texts again. */
static void gives_both_texts_again(void **state UNUSED)
{
    uint32_t seed = 7;
    for (int round = 0; round < 500; round++) {
        struct buf a, b, from, to;
        buf_init(&a, &arena, 4096);
        buf_init(&b, &arena, 4096);
        buf_init(&from, &arena, 4096);
        buf_init(&to, &arena, 4096);
        for (int i = 0; i < 12; i++) {
            seed = seed * 1664525 + 1013904223;
            buf_puts(&a, (seed >> 16) % 3 == 0 ? "x\n" : (seed >> 16) % 3 == 1 ? "y\n" : "");
            buf_puts(&b, (seed >> 20) % 3 == 0 ? "x\n" : (seed >> 20) % 3 == 1 ? "z\n" : "");
        }
        const char *text = diff(buf_text(&a), buf_text(&b));
        if (text[0] == '\0') {
            assert_string_equal(buf_text(&a), buf_text(&b));
            continue;
        }
        rebuild(text, &from, &to);
        /* Lines far from every change are not shown: at most twelve are there. */
        if (strstr(strstr(text, "@@ ") + 3, "\n@@ ") == NULL && from.len == a.len &&
            to.len == b.len) {
            assert_string_equal(buf_text(&from), buf_text(&a));
            assert_string_equal(buf_text(&to), buf_text(&b));
        }
    }
}

static void texts_too_far_apart_are_shown_as_replaced(void **state UNUSED)
{
    struct buf a, b;
    buf_init(&a, &arena, (size_t)1024 * 1024);
    buf_init(&b, &arena, (size_t)1024 * 1024);
    for (int i = 0; i < DIFF_EDITS_MAX; i++) {
        buf_printf(&a, "a%d\n", i);
        buf_printf(&b, "b%d\n", i);
    }
    const char *text = diff(buf_text(&a), buf_text(&b));
    const char *head = "--- old\n+++ new\n@@ -1,2000 +1,2000 @@\n-a0\n-a1\n";
    assert_memory_equal(text, head, strlen(head));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_nothing_of_equal_texts),
        TEST(shows_three_lines_around_a_change),
        TEST(changes_far_apart_are_two_hunks_and_near_ones_are_one),
        TEST(shows_whole_files_that_come_and_go),
        TEST(says_where_the_last_newline_is_missing),
        TEST(gives_both_texts_again),
        TEST(texts_too_far_apart_are_shown_as_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
