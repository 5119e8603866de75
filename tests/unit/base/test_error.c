/* Errors and complaints: what is said, in which order, and where it is cut. */
#include "lib/base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_returns_the_code_it_was_given(void **state UNUSED)
{
    struct error e = {0};
    assert_int_equal(error_set(&e, E_NOT_FOUND, "no file %s", "a.yaml"), E_NOT_FOUND);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_string_equal(e.message, "no file a.yaml");
    assert_int_equal(error_set(NULL, E_IO, "nobody listens"), E_IO);
}

static void wrap_puts_the_outer_words_first(void **state UNUSED)
{
    struct error e = {0};
    error_set(&e, E_DENIED, "permission denied");
    assert_int_equal(error_wrap(&e, "open %s", "ca.pem"), E_DENIED);
    assert_int_equal(error_wrap(&e, "start"), E_DENIED);
    assert_string_equal(e.message, "start: open ca.pem: permission denied");
    assert_int_equal(error_wrap(NULL, "nobody listens"), E_UNKNOWN);
}

static void a_message_that_just_fits_is_whole_and_a_longer_one_is_marked(void **state UNUSED)
{
    char text[LIMIT_ERROR_BYTES + 1];
    memset(text, 'm', sizeof(text));
    text[LIMIT_ERROR_BYTES - 1] = '\0';
    struct error e = {0};
    error_set(&e, E_IO, "%s", text);
    assert_string_equal(e.message, text);

    text[LIMIT_ERROR_BYTES - 1] = 'm';
    text[LIMIT_ERROR_BYTES] = '\0';
    error_set(&e, E_IO, "%s", text);
    assert_int_equal(strlen(e.message), LIMIT_ERROR_BYTES - 1);
    assert_string_equal(e.message + LIMIT_ERROR_BYTES - 5, "m...");
}

static void a_wrapped_message_that_is_too_long_is_marked(void **state UNUSED)
{
    char text[LIMIT_ERROR_BYTES];
    memset(text, 'i', sizeof(text));
    text[LIMIT_ERROR_BYTES - 1] = '\0';
    struct error e = {0};
    error_set(&e, E_IO, "%s", text);
    error_wrap(&e, "outer");
    assert_int_equal(strlen(e.message), LIMIT_ERROR_BYTES - 1);
    assert_memory_equal(e.message, "outer: iii", 10);
    assert_string_equal(e.message + LIMIT_ERROR_BYTES - 5, "i...");
}

static void an_outer_message_that_fills_everything_is_marked(void **state UNUSED)
{
    char text[LIMIT_ERROR_BYTES + 100];
    memset(text, 'o', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct error e = {0};
    error_set(&e, E_IO, "inner");
    assert_int_equal(error_wrap(&e, "%s", text), E_IO);
    assert_int_equal(strlen(e.message), LIMIT_ERROR_BYTES - 1);
    assert_string_equal(e.message + LIMIT_ERROR_BYTES - 5, "o...");
}

static void every_code_has_a_name_of_its_own(void **state UNUSED)
{
    const char *names[13];
    for (int code = 0; code >= E_CANCELLED; code--) {
        names[-code] = error_name(code);
        assert_string_not_equal(names[-code], "outcome");
        for (int other = 0; other > code; other--) {
            assert_string_not_equal(names[-code], names[-other]);
        }
    }
    assert_string_equal(error_name(0), "ok");
    assert_string_equal(error_name(E_NOT_FOUND), "not-found");
    assert_string_equal(error_name(1), "outcome");
}

static void translates_errno(void **state UNUSED)
{
    assert_int_equal(error_from_errno(ENOENT), E_NOT_FOUND);
    assert_int_equal(error_from_errno(EEXIST), E_EXISTS);
    assert_int_equal(error_from_errno(EACCES), E_DENIED);
    assert_int_equal(error_from_errno(ENOSPC), E_LIMIT);
    assert_int_equal(error_from_errno(ETIMEDOUT), E_TIMEOUT);
    assert_int_equal(error_from_errno(ECONNREFUSED), E_UNAVAILABLE);
    assert_int_equal(error_from_errno(EINVAL), E_INVALID);
    assert_int_equal(error_from_errno(EIO), E_IO);
}

static void complaints_are_sorted_by_place_and_equals_keep_their_order(void **state UNUSED)
{
    struct arena arena;
    arena_init(&arena);
    struct complaints c;
    complaints_init(&c, &arena);
    complaints_add(&c, "b.yaml", 1, 1, "fourth");
    complaints_add(&c, "a.yaml", 10, 1, "second %d", 2);
    complaints_add(&c, "a.yaml", 10, 1, "third");
    complaints_add(&c, "a.yaml", 2, 9, "first");
    complaints_add(&c, NULL, 0, 0, "no place");
    complaints_sort(&c);
    static const char *const expected[] = {"no place", "first", "second 2", "third", "fourth"};
    assert_int_equal(c.count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(c.items[i].message, expected[i]);
    }
    assert_string_equal(c.items[1].file, "a.yaml");
    assert_int_equal(c.items[1].line, 2);
    assert_int_equal(c.items[1].column, 9);
    arena_deinit(&arena);
}

static void counts_the_complaints_that_are_left_out(void **state UNUSED)
{
    struct arena arena;
    arena_init(&arena);
    struct complaints c;
    complaints_init(&c, &arena);
    for (int i = 0; i < LIMIT_ERRORS_PER_CALL; i++) {
        complaints_add(&c, "a.yaml", i + 1, 1, "wrong");
    }
    assert_int_equal(c.count, LIMIT_ERRORS_PER_CALL);
    assert_int_equal(c.left_out, 0);
    complaints_add(&c, "a.yaml", 1000, 1, "one too many");
    assert_int_equal(c.count, LIMIT_ERRORS_PER_CALL);
    assert_int_equal(c.left_out, 1);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_code_it_was_given),
        cmocka_unit_test(wrap_puts_the_outer_words_first),
        cmocka_unit_test(a_message_that_just_fits_is_whole_and_a_longer_one_is_marked),
        cmocka_unit_test(a_wrapped_message_that_is_too_long_is_marked),
        cmocka_unit_test(an_outer_message_that_fills_everything_is_marked),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(translates_errno),
        cmocka_unit_test(complaints_are_sorted_by_place_and_equals_keep_their_order),
        cmocka_unit_test(counts_the_complaints_that_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
