/* Strings: numbers and durations at their limits, did-you-mean, and the texts that people read. */
#include "lib/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static void null_equals_only_null(void **state UNUSED)
{
    assert_true(str_equal(NULL, NULL));
    assert_false(str_equal(NULL, ""));
    assert_false(str_equal("", NULL));
    assert_true(str_equal("a", "a"));
    assert_false(str_equal("a", "A"));
    assert_true(str_empty(NULL));
    assert_true(str_empty(""));
    assert_false(str_empty(" "));
}

static void knows_starts_and_ends(void **state UNUSED)
{
    assert_true(str_starts("lockstep", "lock"));
    assert_true(str_starts("lockstep", ""));
    assert_false(str_starts("lock", "lockstep"));
    assert_false(str_starts(NULL, ""));
    assert_true(str_ends("a.up.sql", ".sql"));
    assert_true(str_ends("a", ""));
    assert_false(str_ends("sql", ".sql"));
    assert_false(str_ends(NULL, ""));
}

static void counts_edits(void **state UNUSED)
{
    assert_int_equal(str_distance("kitten", "sitting", 5), 3);
    assert_int_equal(str_distance("", "abc", 5), 3);
    assert_int_equal(str_distance("abc", "", 5), 3);
    assert_int_equal(str_distance("same", "same", 5), 0);
    assert_int_equal(str_distance("kitten", "sitting", 3), 3);
    assert_int_equal(str_distance("kitten", "sitting", 2), 3);
}

static void counts_edits_of_words_up_to_64_letters(void **state UNUSED)
{
    char longest[66];
    memset(longest, 'a', sizeof(longest));
    longest[64] = '\0';
    assert_int_equal(str_distance(longest, longest, 3), 0);
    longest[64] = 'a';
    longest[65] = '\0';
    assert_int_equal(str_distance(longest, longest, 3), 4);
}

static void suggests_the_nearest_name_or_none(void **state UNUSED)
{
    static const char *const names[] = {"max_unavailable", "canary", "soak"};
    assert_string_equal(str_nearest("max_unavailble", names, 3), "max_unavailable");
    assert_string_equal(str_nearest("canari", names, 3), "canary");
    assert_null(str_nearest("strategy", names, 3));
    /* A word of six letters may be wrong in two, not in three. */
    assert_string_equal(str_nearest("cbnbry", names, 3), "canary");
    assert_null(str_nearest("cbnbrb", names, 3));
    assert_null(str_nearest("canary", names, 0));
}

static void joins_words_into_a_sentence(void **state)
{
    static const char *const words[] = {"a", "b", "c"};
    assert_string_equal(str_join(*state, words, 0), "");
    assert_string_equal(str_join(*state, words, 1), "a");
    assert_string_equal(str_join(*state, words, 2), "a and b");
    assert_string_equal(str_join(*state, words, 3), "a, b and c");
}

static void reads_numbers_up_to_the_maximum_and_not_past_it(void **state UNUSED)
{
    uint64_t n = 7;
    assert_true(str_to_u64("0", 0, &n));
    assert_int_equal(n, 0);
    assert_true(str_to_u64("128", 128, &n));
    assert_int_equal(n, 128);
    assert_false(str_to_u64("129", 128, &n));
    assert_false(str_to_u64("9", 8, &n));
    assert_true(str_to_u64("18446744073709551615", UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_false(str_to_u64("18446744073709551616", UINT64_MAX, &n));
    assert_false(str_to_u64("99999999999999999999999", UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
}

static void refuses_what_is_no_whole_number(void **state UNUSED)
{
    static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "0x10", "1.5", "ten"};
    uint64_t n = 7;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(str_to_u64(wrong[i], UINT64_MAX, &n));
    }
    assert_false(str_to_u64(NULL, UINT64_MAX, &n));
    assert_int_equal(n, 7);
}

static void reads_durations(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t ms;
    } right[] = {
        {"0s", 0},          {"250ms", 250},   {"90s", 90000},     {"2m", 120000},
        {"1h30m", 5400000}, {"1d", 86400000}, {"1m500ms", 60500}, {"30d", LIMIT_DURATION_MS}};
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        int64_t ms = -1;
        assert_true(str_to_duration_ms(right[i].text, &ms));
        assert_int_equal(ms, right[i].ms);
    }
}

static void refuses_durations_without_a_unit_or_past_the_limit(void **state UNUSED)
{
    static const char *const wrong[] = {"",
                                        "90",
                                        "s",
                                        "1h30",
                                        "-1s",
                                        "1.5s",
                                        "1 s",
                                        "31d",
                                        "30d1ms",
                                        "721h",
                                        "2592000001ms",
                                        "1w",
                                        "99999999999999999999999999s"};
    int64_t ms = 7;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(str_to_duration_ms(wrong[i], &ms));
    }
    assert_false(str_to_duration_ms(NULL, &ms));
    assert_int_equal(ms, 7);
}

static void says_durations_for_people(void **state)
{
    assert_string_equal(str_duration(*state, 0), "0 ms");
    assert_string_equal(str_duration(*state, 999), "999 ms");
    assert_string_equal(str_duration(*state, 1000), "1.0 s");
    assert_string_equal(str_duration(*state, 1499), "1.4 s");
    assert_string_equal(str_duration(*state, 59999), "59.9 s");
    assert_string_equal(str_duration(*state, 125000), "2 min 5 s");
    assert_string_equal(str_duration(*state, 3599999), "59 min 59 s");
    assert_string_equal(str_duration(*state, 11040000), "3 h 4 min");
}

static void says_sizes_for_people(void **state)
{
    assert_string_equal(str_bytes(*state, 0), "0 bytes");
    assert_string_equal(str_bytes(*state, 999), "999 bytes");
    assert_string_equal(str_bytes(*state, 1000), "1.0 kB");
    assert_string_equal(str_bytes(*state, 9900), "9.9 kB");
    assert_string_equal(str_bytes(*state, 214000000), "214 MB");
    assert_string_equal(str_bytes(*state, 2100000000), "2.1 GB");
    assert_string_equal(str_bytes(*state, 5000000000000000), "5000 TB");
}

static void writes_hex(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0xa1, 0xff};
    assert_string_equal(str_hex(*state, bytes, sizeof(bytes)), "007fa1ff");
    assert_string_equal(str_hex(*state, bytes, 0), "");
}

static void takes_names_up_to_the_limit_and_not_past_it(void **state UNUSED)
{
    char name[LIMIT_NAME_BYTES + 2];
    memset(name, 'n', sizeof(name));
    name[LIMIT_NAME_BYTES] = '\0';
    assert_true(str_is_name(name));
    name[LIMIT_NAME_BYTES] = 'n';
    name[LIMIT_NAME_BYTES + 1] = '\0';
    assert_false(str_is_name(name));
}

static void refuses_names_that_are_no_file_names(void **state UNUSED)
{
    static const char *const wrong[] = {"",    ".",   "..",   ".hidden", "-rf",
                                        "a/b", "a b", "a\nb", "app:1",   "b\xc3\xbc"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(str_is_name(wrong[i]));
    }
    assert_false(str_is_name(NULL));
    assert_true(str_is_name("app-1"));
    assert_true(str_is_name("A_b.9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_equals_only_null),
        cmocka_unit_test(knows_starts_and_ends),
        cmocka_unit_test(counts_edits),
        cmocka_unit_test(counts_edits_of_words_up_to_64_letters),
        cmocka_unit_test(suggests_the_nearest_name_or_none),
        cmocka_unit_test_setup_teardown(joins_words_into_a_sentence, setup, teardown),
        cmocka_unit_test(reads_numbers_up_to_the_maximum_and_not_past_it),
        cmocka_unit_test(refuses_what_is_no_whole_number),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(refuses_durations_without_a_unit_or_past_the_limit),
        cmocka_unit_test_setup_teardown(says_durations_for_people, setup, teardown),
        cmocka_unit_test_setup_teardown(says_sizes_for_people, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_hex, setup, teardown),
        cmocka_unit_test(takes_names_up_to_the_limit_and_not_past_it),
        cmocka_unit_test(refuses_names_that_are_no_file_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
