/* Versions and ranges: semver.org's own ordered examples, the other schemes, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/util.h"
#include "lib/spec/version.h"

static const struct version_scheme semver = {.kind = VERSION_SEMVER};
static const struct version_scheme dotted = {.kind = VERSION_DOTTED};
static const struct version_scheme dataminer = {.kind = VERSION_DATAMINER};
static const char *const names[] = {"alder", "birch", "cedar"};
static const struct version_scheme listed = {VERSION_LISTED, names, 3};

/* Each stands before all that follow it. */
static void assert_ascending(const struct version_scheme *scheme, const char *const *versions,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            enum version_order order = i < j   ? VERSION_LESS
                                       : i > j ? VERSION_GREATER
                                               : VERSION_EQUAL;
            if (version_compare(scheme, versions[i], versions[j]) != order) {
                fail_msg("%s against %s should be %d", versions[i], versions[j], (int)order);
            }
        }
    }
}

static void orders_the_examples_of_semver_org(void **state UNUSED)
{
    static const char *const ascending[] = {
        "0.0.4",         "1.0.0-alpha",
        "1.0.0-alpha.1", "1.0.0-alpha.beta",
        "1.0.0-beta",    "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1",
        "1.0.0",         "2.0.0",
        "2.1.0",         "2.1.1",
        "10.0.0",        "18446744073709551615.0.0",
    };
    assert_ascending(&semver, ascending, ARRAY_SIZE(ascending));
}

static void compares_long_prerelease_numbers_without_a_limit(void **state UNUSED)
{
    static const char *const ascending[] = {
        "1.0.0-9",
        "1.0.0-99999999999999999999",
        "1.0.0-100000000000000000000",
        "1.0.0--",
        "1.0.0-9a",
        "1.0.0-a",
    };
    assert_ascending(&semver, ascending, ARRAY_SIZE(ascending));
}

static void ignores_build_metadata_and_a_leading_v_in_order(void **state UNUSED)
{
    assert_int_equal(version_compare(&semver, "1.2.3+a", "1.2.3+b.c"), VERSION_EQUAL);
    assert_int_equal(version_compare(&semver, "v1.2.3", "1.2.3"), VERSION_EQUAL);
    assert_int_equal(version_compare(&dotted, "v1.2", "1.2.0.0"), VERSION_EQUAL);
    assert_int_equal(version_compare(&semver, "1.2.3-rc.1+b", "1.2.3"), VERSION_LESS);
}

static void refuses_what_semver_org_refuses(void **state UNUSED)
{
    static const char *const wrong[] = {
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "01.2.3",
        "1.02.3",
        "1.2.03",
        "1.2.3-01",
        "1.2.3-",
        "1.2.3-a..b",
        "1.2.3+",
        "1.2.3+a_b",
        "1.2.3-a+b+c",
        "-1.2.3",
        " 1.2.3",
        "1.2.3 ",
        "V1.2.3",
        "vv1.2.3",
        "1.2.x",
        "a.b.c",
        "1..3",
        "1.2.3.",
        "1.2.3-é",
        "1.2.3-a.01",
        "1.2.3\n",
        "+1.2.3",
        "1.2.3-+b",
        "1.2.",
        "18446744073709551616.0.0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error e = {0};
        if (version_check(&semver, wrong[i], &e) != E_INVALID) {
            fail_msg("%s was accepted", wrong[i]);
        }
        assert_true(strlen(e.message) > 0);
    }
    assert_int_equal(version_check(&semver, "1.2.3-0a.-.00a+001", NULL), 0);
    assert_int_equal(version_compare(&semver, "1.2", "1.2.0"), VERSION_INCOMPARABLE);
}

static void orders_dotted_versions_by_numbers_and_natural_suffixes(void **state UNUSED)
{
    static const char *const ascending[] = {"0.9",   "1-rc9",    "1-rc10",    "1-rc10.1", "1",
                                            "1.0.1", "1.2-beta", "1.2",       "1.9",      "1.10",
                                            "10",    "20.04.1",  "2024.01.02"};
    assert_ascending(&dotted, ascending, ARRAY_SIZE(ascending));
    assert_int_equal(version_compare(&dotted, "20.04", "20.4"), VERSION_EQUAL);
    assert_int_equal(version_check(&dotted, "1.2.3.4.5.6.7.8", NULL), 0);
    assert_int_equal(version_check(&dotted, "1.2.3.4.5.6.7.8.9", NULL), E_INVALID);
    assert_int_equal(version_check(&dotted, "1.2+b", NULL), E_INVALID);
    assert_int_equal(version_check(&dotted, "1.2-", NULL), E_INVALID);
    assert_int_equal(version_check(&dotted, "1..2", NULL), E_INVALID);
    assert_int_equal(version_check(&dotted, "1.2 ", NULL), E_INVALID);
}

static void a_version_longer_than_its_limit_is_refused(void **state UNUSED)
{
    char text[LIMIT_VERSION_BYTES + 2];
    memset(text, '1', sizeof(text));
    memcpy(text, "1.2.3-x", 7);
    text[LIMIT_VERSION_BYTES] = '\0';
    assert_int_equal(version_check(&semver, text, NULL), 0);
    text[LIMIT_VERSION_BYTES] = '1';
    text[LIMIT_VERSION_BYTES + 1] = '\0';
    assert_int_equal(version_check(&semver, text, NULL), E_INVALID);
}

static void orders_listed_versions_by_their_place(void **state UNUSED)
{
    assert_ascending(&listed, names, ARRAY_SIZE(names));
    assert_int_equal(version_compare(&listed, "alder", "elm"), VERSION_INCOMPARABLE);
    struct error e = {0};
    assert_int_equal(version_check(&listed, "brch", &e), E_INVALID);
    assert_non_null(strstr(e.message, "did you mean \"birch\"?"));
}

static const char *line(const struct version_scheme *scheme, enum version_unit unit,
                        const char *version)
{
    static char text[64];
    struct version_line found;
    if (!version_line(scheme, unit, version, &found)) {
        return "none";
    }
    snprintf(text, sizeof(text), found.minor < 0 ? "%lld" : "%lld.%lld", (long long)found.major,
             (long long)found.minor);
    return text;
}

static void knows_the_major_and_the_minor(void **state UNUSED)
{
    assert_string_equal(line(&semver, UNIT_MAJOR, "v10.3.8-rc.1"), "10");
    assert_string_equal(line(&semver, UNIT_MINOR, "v10.3.8-rc.1"), "10.3");
    assert_string_equal(line(&dotted, UNIT_MAJOR, "7"), "7");
    assert_string_equal(line(&dotted, UNIT_MINOR, "7"), "7.0");
    assert_string_equal(line(&semver, UNIT_MAJOR, "7"), "none");
    assert_string_equal(line(&listed, UNIT_MAJOR, "alder"), "none");
    assert_string_equal(line(&dataminer, UNIT_MAJOR, "10.3.0 [CU5]"), "10.3");
    assert_string_equal(line(&dataminer, UNIT_MAJOR, "10.3.8.0 - 13272"), "10.3");
    assert_string_equal(line(&dataminer, UNIT_MINOR, "10.3.8"), "none");
    assert_string_equal(line(&semver, UNIT_MAJOR, "18446744073709551615.0.0"), "100000000000000");
}

/* ---- DataMiner ---- */

static void assert_order(const char *a, const char *b, enum version_order order)
{
    enum version_order back = order == VERSION_LESS      ? VERSION_GREATER
                              : order == VERSION_GREATER ? VERSION_LESS
                                                         : order;
    if (version_compare(&dataminer, a, b) != order || version_compare(&dataminer, b, a) != back) {
        fail_msg("%s against %s should be %d and is %d, back %d", a, b, (int)order,
                 (int)version_compare(&dataminer, a, b), (int)version_compare(&dataminer, b, a));
    }
}

static void reads_every_form_that_dataminer_is_written_in(void **state UNUSED)
{
    static const char *const forms[] = {
        "10.3.8",
        "10.3.8.0",
        "10.3.0",
        "10.3.0 [CU5]",
        "10.3.0 CU5",
        "10.4.0-CU4",
        "10.4.0.0-14772-20240821-release",
        "10.3.9.0-13272-20230824-release",
        "10.5.2.0 - 15323",
        "10.0.0.0-11025-CU19",
        "10.4.0 [CU6] - 14772",
        "9.6.0 [CU0]",
    };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct error e = {0};
        if (version_check(&dataminer, forms[i], &e) < 0) {
            fail_msg("%s", e.message);
        }
        assert_order(forms[i], forms[i], VERSION_EQUAL);
    }
    assert_order("10.3.0 [CU5]", "10.3.0 CU5", VERSION_EQUAL);
    assert_order("10.3.0 [CU5]", "10.3.0-CU5", VERSION_EQUAL);
    assert_order("10.3.0 [CU5]", "10.3.0.0-12345-CU5", VERSION_EQUAL);
    assert_order("10.3.0", "10.3.0 [CU0]", VERSION_EQUAL);
    assert_order("10.5.2", "10.5.2.0 - 15323", VERSION_EQUAL);
    assert_order("10.5.2.0-15323", "10.5.2.0 - 15323", VERSION_EQUAL);
    assert_order("10.5.2.0-15323-20250101-release", "10.5.2.0 - 15323", VERSION_EQUAL);
}

static void orders_each_track_of_dataminer(void **state UNUSED)
{
    static const char *const main_track[] = {"9.6.0",        "9.6.0 [CU9]", "9.6.0 [CU10]",
                                             "10.0.0 [CU2]", "10.3.0",      "10.3.0 [CU5]",
                                             "10.4.0-CU4",   "10.4.0 CU12"};
    static const char *const feature_track[] = {"9.6.1",  "10.0.13", "10.3.4",
                                                "10.3.8", "10.3.10", "10.4.1"};
    assert_ascending(&dataminer, main_track, ARRAY_SIZE(main_track));
    assert_ascending(&dataminer, feature_track, ARRAY_SIZE(feature_track));
}

static void dataminers_tracks_are_beside_each_other_inside_of_a_major(void **state UNUSED)
{
    assert_order("10.3.0 [CU5]", "10.3.8", VERSION_INCOMPARABLE);
    assert_order("10.3.0", "10.3.1", VERSION_INCOMPARABLE);
    assert_order("10.3.12", "10.4.0", VERSION_LESS);
    assert_order("10.3.0 [CU19]", "10.4.1", VERSION_LESS);
    assert_order("9.6.11", "10.0.0 [CU1]", VERSION_LESS);
}

static void compares_builds_of_dataminer_where_both_have_one(void **state UNUSED)
{
    assert_order("10.5.2.0 - 15322", "10.5.2.0 - 15323", VERSION_LESS);
    assert_order("10.5.2.0 - 9", "10.5.2.0 - 15323", VERSION_LESS);
    assert_order("10.5.2.0 - 99999", "10.5.3.0 - 1", VERSION_LESS);
    assert_order("10.4.0.0-14772-20240821-release", "10.4.0.0-14003", VERSION_GREATER);
    /* Dates and words say nothing. */
    assert_order("10.4.0.0-14772-20240821-release", "10.4.0.0-14772-20250101-debug", VERSION_EQUAL);
    /* Which CU a build is, only a text that has both says. */
    assert_order("10.4.0.0-14772", "10.4.0 [CU6]", VERSION_INCOMPARABLE);
    assert_order("10.4.0.0-14772", "10.4.0 [CU6] - 14772", VERSION_EQUAL);
    assert_order("10.4.0.0-14772", "10.4.0 [CU7] - 14900", VERSION_LESS);
    assert_order("10.4.0 [CU6] - 14772", "10.4.0 [CU7]", VERSION_LESS);
    assert_order("10.4.0 [CU6] - 14772", "10.4.0 [CU6]", VERSION_EQUAL);
    assert_order("10.4.0.0-14772", "10.5.0", VERSION_LESS);
}

static void sorts_dataminer_in_one_order_that_agrees(void **state UNUSED)
{
    static const char *const sorted[] = {"9.6.0",        "10.3.4",           "10.3.8",
                                         "10.3.8.0 - 1", "10.3.8.0 - 2",     "10.3.0.0-5",
                                         "10.3.0",       "10.3.0 [CU5]",     "10.3.0 [CU5] - 7",
                                         "10.4.1",       "10.4.0 [CU1] - 1", "10.4.0 [CU2]"};
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
            int expected = i < j ? -1 : i > j ? 1 : 0;
            enum version_order order = version_compare(&dataminer, sorted[i], sorted[j]);
            assert_int_equal(version_sort(&dataminer, sorted[i], sorted[j]), expected);
            if (order == VERSION_LESS || order == VERSION_GREATER) {
                assert_int_equal((int)order, expected);
            }
        }
    }
}

static void refuses_what_is_no_version_of_dataminer(void **state UNUSED)
{
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        {"10.3", "fewer than three"},
        {"10", "fewer than three"},
        {"10.3.8.0.1", "more than four"},
        {"10.3.x", "a number is missing"},
        {"v10.3.8", "a number is missing"},
        {"10.3.8 [CU1]", "only a Main Release"},
        {"10.3.8-CU1", "only a Main Release"},
        {"10.3.0 [CU5", "not closed"},
        {"10.3.0 [CU]", "no number"},
        {"10.3.0 [CU1] [CU2]", "two CUs"},
        {"10.3.0 [CU1]-CU2", "two CUs"},
        {"10.3.0[CU1]", "neither [CUn]"},
        {"10.3.0 - ", "neither a build"},
        {"10.3.0 - 1 - 2 - 3", "more than a build and a date"},
        {"10.3.0 - release - 3", "stands more"},
        {"10.3.0 5", "neither [CUn]"},
        {"10.3.0 ", "neither [CUn]"},
        {"99999999999999999999.0.0", "too large"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error e = {0};
        if (version_check(&dataminer, wrong[i].text, &e) != E_INVALID ||
            strstr(e.message, wrong[i].reason) == NULL) {
            fail_msg("\"%s\": %s", wrong[i].text, e.message);
        }
    }
}

static bool in(const struct version_scheme *scheme, const char *range, const char *version)
{
    struct arena a;
    arena_init(&a);
    const struct range *parsed = NULL;
    struct error e = {0};
    if (range_parse(&a, scheme, range, &parsed, &e) < 0) {
        fail_msg("%s: %s", range, e.message);
    }
    bool has = range_has(parsed, version);
    arena_deinit(&a);
    return has;
}

static void ranges_hold_what_they_say(void **state UNUSED)
{
    assert_true(in(&semver, ">=10.3.8 <10.4.0", "10.3.8"));
    assert_true(in(&semver, ">= 10.3.8   < 10.4.0", "10.3.99"));
    assert_false(in(&semver, ">=10.3.8 <10.4.0", "10.4.0"));
    assert_false(in(&semver, ">=10.3.8 <10.4.0", "10.3.7"));
    /* Behind a sign the last numbers may be left out. */
    assert_true(in(&semver, ">=10.3.8 <10.4", "10.3.99"));
    assert_false(in(&semver, ">=10.3.8 <10.4", "10.4.0"));
    assert_true(in(&semver, ">=10", "10.0.0"));
    assert_false(in(&semver, ">10", "10.0.0"));
    assert_true(in(&semver, "10.3.4..10.3.7", "10.3.4"));
    assert_true(in(&semver, "10.3.4..10.3.7", "10.3.7"));
    assert_false(in(&semver, "10.3.4..10.3.7", "10.3.8"));
    assert_true(in(&semver, "1.0.0 || 3.0.0..4.0.0 || >9.0.0", "3.5.0"));
    assert_true(in(&semver, "1.0.0 || 3.0.0..4.0.0||>9.0.0", "9.0.1"));
    assert_false(in(&semver, "1.0.0 || 3.0.0..4.0.0 || >9.0.0", "9.0.0"));
    assert_true(in(&semver, "=v1.2.3", "1.2.3"));
    assert_true(in(&semver, "*", "0.0.0-a"));
    assert_true(in(&dotted, ">=10.3.8 <10.4", "10.3.12"));
    assert_true(in(&dotted, "10.3.4..10.3.7 <10.3.6", "10.3.5"));
    assert_false(in(&dotted, "10.3.4..10.3.7 <10.3.6", "10.3.6"));
    assert_true(in(&listed, "birch..cedar", "cedar"));
    assert_false(in(&listed, "<birch", "birch"));
    assert_false(in(&listed, "*", "elm"));
    assert_false(in(&semver, "*", "no version"));
}

static void ranges_of_dataminer_are_per_track_and_know_whole_majors(void **state UNUSED)
{
    /* The document's: 10.3.8 or higher to 10.3.4 … 10.3.7. */
    assert_true(in(&dataminer, ">=10.3.8", "10.3.8"));
    assert_true(in(&dataminer, ">=10.3.8", "10.4.0 [CU1]"));
    assert_false(in(&dataminer, ">=10.3.8", "10.3.0 [CU9]"));
    assert_true(in(&dataminer, "10.3.4..10.3.7", "10.3.5.0 - 12000"));
    assert_false(in(&dataminer, "10.3.4..10.3.7", "10.3.0 [CU2]"));
    /* 10.4.0 >= CU6 */
    assert_true(in(&dataminer, ">=10.4.0 [CU6] <10.5", "10.4.0 CU7"));
    assert_false(in(&dataminer, ">=10.4.0 [CU6] <10.5", "10.4.0 [CU5]"));
    assert_false(in(&dataminer, ">=10.4.0 [CU6] <10.5", "10.4.9"));
    assert_false(in(&dataminer, ">=10.4.0 [CU6] <10.5", "10.5.0"));
    assert_true(in(&dataminer, "10.3.0 [CU1]..10.3.0 [CU5]", "10.3.0-CU3"));
    assert_true(in(&dataminer, "10.3.0 CU1..10.3.0 CU5||10.5.2", "10.5.2.0 - 15323"));
    /* A whole major is on both tracks. */
    assert_true(in(&dataminer, ">=10.4", "10.4.1"));
    assert_true(in(&dataminer, ">=10.4", "10.4.0"));
    assert_true(in(&dataminer, ">=10.4", "10.4.0.0-14772-20240821-release"));
    assert_false(in(&dataminer, ">10.4", "10.4.12"));
    assert_true(in(&dataminer, "<=10.4", "10.4.12"));
    assert_false(in(&dataminer, "<10.4", "10.4.0"));
    assert_true(in(&dataminer, "10.4", "10.4.0 [CU3]"));
    assert_false(in(&dataminer, "10.4", "10.5.1"));
    assert_true(in(&dataminer, "9.6..10.1", "10.1.5"));
    assert_false(in(&dataminer, "9.6..10.1", "10.2.0"));
    /* The tracks by their names. */
    assert_true(in(&dataminer, "main >=10.4", "10.4.0"));
    assert_false(in(&dataminer, "main >=10.4", "10.4.3"));
    assert_true(in(&dataminer, "feature", "10.4.3"));
    assert_false(in(&dataminer, "feature", "10.4.0 [CU3]"));
    /* One build. */
    assert_true(in(&dataminer, "10.5.2.0 - 15323", "10.5.2.0-15323-20250101-release"));
    assert_false(in(&dataminer, "10.5.2.0 - 15323", "10.5.2.0 - 15324"));
    assert_true(in(&dataminer, ">=10.5.2.0 - 15323 <10.5.3", "10.5.2.0 - 15324"));
    struct arena a;
    arena_init(&a);
    const struct range *range = NULL;
    struct error e = {0};
    assert_int_equal(range_parse(&a, &dataminer, "10.3.4 - 10.3.7", &range, &e), E_INVALID);
    assert_non_null(strstr(e.message, "first..last"));
    assert_int_equal(range_parse(&a, &dataminer, "10.4..10.3", &range, &e), E_INVALID);
    assert_int_equal(range_parse(&a, &dataminer, "10.4.0..10.3", &range, &e), E_INVALID);
    assert_int_equal(range_parse(&a, &dataminer, ">=main", &range, &e), E_INVALID);
    assert_int_equal(range_parse(&a, &semver, "main", &range, &e), E_INVALID);
    arena_deinit(&a);
}

static void a_prerelease_is_in_a_range_by_its_order_alone(void **state UNUSED)
{
    assert_true(in(&semver, "<2.0.0", "2.0.0-rc.1"));
    assert_false(in(&semver, ">=2.0.0", "2.0.0-rc.1"));
    assert_true(in(&semver, ">1.0.0", "1.0.1-0"));
}

static void refuses_wrong_ranges_with_a_reason(void **state UNUSED)
{
    static const struct {
        const char *range, *reason;
    } wrong[] = {
        {"", "write * for all"},
        {"   ", "write * for all"},
        {"||", "before ||"},
        {"1.0.0 ||", "behind ||"},
        {"1.0.0 || || 2.0.0", "\"or\" is written ||"},
        {"1.0.0 | 2.0.0", "\"or\" is written ||"},
        {"^1.0.0", "^ is not known"},
        {"~1.0.0", "~ is not known"},
        {">=1.0.0, <2.0.0", "comma"},
        {"!=1.0.0", "! is not known"},
        {"1.0.0 - 2.0.0", "first..last"},
        {">=", "missing behind its sign"},
        {">=>1.0.0", "missing behind its sign"},
        {"1.x", "a number is missing"},
        {">=*", "not a semver version"},
        {"2.0.0..1.0.0", "holds nothing"},
        {"1.0.0..", "the version is empty"},
        {"..1.0.0", "the version is empty"},
        {">=1.0.0..2.0.0", "takes no sign"},
        {"1.0.0..2.0.0..3.0.0", "not a semver version"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct arena a;
        arena_init(&a);
        const struct range *range = NULL;
        struct error e = {0};
        assert_int_equal(range_parse(&a, &semver, wrong[i].range, &range, &e), E_INVALID);
        if (strstr(e.message, wrong[i].reason) == NULL) {
            fail_msg("\"%s\": %s", wrong[i].range, e.message);
        }
        assert_null(range);
        arena_deinit(&a);
    }
}

static void a_range_has_at_most_its_limit_of_terms(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    struct buf text;
    const struct range *range;
    struct int_ranges whole;
    buf_init(&text, &a, 4096);
    for (size_t i = 0; i < LIMIT_RANGE_TERMS; i++) {
        buf_puts(&text, i == 0 ? "1" : " || 1");
    }
    assert_int_equal(range_parse(&a, &dotted, buf_text(&text), &range, NULL), 0);
    assert_int_equal(int_ranges_parse(&a, buf_text(&text), &whole, NULL), 0);
    buf_puts(&text, " || 1");
    assert_int_equal(range_parse(&a, &dotted, buf_text(&text), &range, NULL), E_LIMIT);
    assert_int_equal(int_ranges_parse(&a, buf_text(&text), &whole, NULL), E_LIMIT);
    buf_init(&text, &a, 4096);
    for (size_t i = 0; i < LIMIT_RANGE_TERMS / 2 + 1; i++) {
        buf_puts(&text, i == 0 ? "1..2" : " || 1..2"); /* two comparisons each */
    }
    assert_int_equal(range_parse(&a, &dotted, buf_text(&text), &range, NULL), E_LIMIT);
    arena_deinit(&a);
}

static bool whole_in(const char *text, int64_t value)
{
    struct arena a;
    arena_init(&a);
    struct int_ranges ranges;
    struct error e = {0};
    if (int_ranges_parse(&a, text, &ranges, &e) < 0) {
        fail_msg("%s: %s", text, e.message);
    }
    bool has = int_ranges_have(&ranges, value);
    arena_deinit(&a);
    return has;
}

static void ranges_of_whole_numbers_hold_what_they_say(void **state UNUSED)
{
    assert_true(whole_in("126..128", 126));
    assert_true(whole_in("126..128", 128));
    assert_false(whole_in("126..128", 129));
    assert_true(whole_in("128", 128));
    assert_false(whole_in("128", 127));
    assert_true(whole_in(">=126", INT64_MAX));
    assert_true(whole_in("126..128 || 130", 130));
    assert_false(whole_in("126..128 || 130", 129));
    assert_true(whole_in(">=126 <130", 129));
    assert_false(whole_in(">=126 <130", 130));
    assert_true(whole_in("*", 0));
    assert_true(whole_in("<=3", 0));
    assert_false(whole_in(">3", 3));
}

static void refuses_wrong_ranges_of_whole_numbers(void **state UNUSED)
{
    static const char *const wrong[] = {"",
                                        "a",
                                        "1.5",
                                        "-1",
                                        "3..1",
                                        "<0",
                                        ">5 <5",
                                        "1,2",
                                        "1..",
                                        "..1",
                                        "1...2",
                                        "0x1",
                                        "9223372036854775807"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct arena a;
        arena_init(&a);
        struct int_ranges ranges = {0};
        if (int_ranges_parse(&a, wrong[i], &ranges, NULL) != E_INVALID) {
            fail_msg("\"%s\" was accepted", wrong[i]);
        }
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_the_examples_of_semver_org),
        cmocka_unit_test(compares_long_prerelease_numbers_without_a_limit),
        cmocka_unit_test(ignores_build_metadata_and_a_leading_v_in_order),
        cmocka_unit_test(refuses_what_semver_org_refuses),
        cmocka_unit_test(orders_dotted_versions_by_numbers_and_natural_suffixes),
        cmocka_unit_test(a_version_longer_than_its_limit_is_refused),
        cmocka_unit_test(orders_listed_versions_by_their_place),
        cmocka_unit_test(knows_the_major_and_the_minor),
        cmocka_unit_test(reads_every_form_that_dataminer_is_written_in),
        cmocka_unit_test(orders_each_track_of_dataminer),
        cmocka_unit_test(dataminers_tracks_are_beside_each_other_inside_of_a_major),
        cmocka_unit_test(compares_builds_of_dataminer_where_both_have_one),
        cmocka_unit_test(sorts_dataminer_in_one_order_that_agrees),
        cmocka_unit_test(refuses_what_is_no_version_of_dataminer),
        cmocka_unit_test(ranges_of_dataminer_are_per_track_and_know_whole_majors),
        cmocka_unit_test(ranges_hold_what_they_say),
        cmocka_unit_test(a_prerelease_is_in_a_range_by_its_order_alone),
        cmocka_unit_test(refuses_wrong_ranges_with_a_reason),
        cmocka_unit_test(a_range_has_at_most_its_limit_of_terms),
        cmocka_unit_test(ranges_of_whole_numbers_hold_what_they_say),
        cmocka_unit_test(refuses_wrong_ranges_of_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
