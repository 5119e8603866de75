/* The way over releases, rule by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/plan/plan.h"

static struct arena arena;

/* "7.8.15 8.0.1 …" as an application's releases. */
static struct application app_of(const char *releases, const struct paths_spec *paths)
{
    struct application app = {.name = "chat", .paths = (struct paths_spec *)paths};
    struct release_spec *items = ARENA_ARRAY(&arena, 64, struct release_spec);
    for (const char *p = releases; *p != '\0'; p += strcspn(p, " ") + (strchr(p, ' ') != NULL)) {
        items[app.releases.count++].version = arena_strndup(&arena, p, strcspn(p, " "));
    }
    app.releases.items = items;
    return app;
}

static const char *path(const char *releases, const struct paths_spec *paths, const char *from,
                        const char *to)
{
    static const struct version_scheme semver = {.kind = VERSION_SEMVER};
    struct application app = app_of(releases, paths);
    struct strings way = {0};
    struct error e = {0};
    if (plan_path(&arena, &app, &semver, from, to, &way, &e) < 0) {
        return arena_strdup(&arena, e.message);
    }
    struct buf b;
    buf_init(&b, &arena, 4096);
    for (size_t i = 0; i < way.count; i++) {
        buf_printf(&b, "%s%s", i > 0 ? " " : "", way.items[i]);
    }
    return buf_text(&b);
}

#define RELEASES "7.8.15 8.0.1 8.1.9 9.0.0 9.11.3 10.0.0"
static struct path_rule one_major = {.majors_at_most = 1};
#define ONE_MAJOR                                                                                  \
    {                                                                                              \
        &one_major, 1                                                                              \
    }

static void goes_straight_without_rules(void **state UNUSED)
{
    assert_string_equal(path(RELEASES, NULL, "9.11.3", "7.8.15"), "9.11.3 7.8.15");
    assert_string_equal(path(RELEASES, NULL, "7.8.15", "10.0.0"), "7.8.15 10.0.0");
}

static void is_one_release_when_there_is_no_way_to_go(void **state UNUSED)
{
    assert_string_equal(path(RELEASES, NULL, NULL, "9.0.0"), "9.0.0");
    assert_string_equal(path(RELEASES, NULL, "9.0.0", "9.0.0"), "9.0.0");
}

static void skips_no_major_and_takes_the_newest_of_each(void **state UNUSED)
{
    struct paths_spec both = {.up = ONE_MAJOR, .down = ONE_MAJOR};
    assert_string_equal(path(RELEASES, &both, "9.11.3", "7.8.15"), "9.11.3 8.1.9 7.8.15");
    assert_string_equal(path(RELEASES, &both, "7.8.15", "10.0.0"), "7.8.15 8.1.9 9.11.3 10.0.0");
    struct path_rule two = {.majors_at_most = 2};
    struct paths_spec wide = {.up = {&two, 1}};
    assert_string_equal(path(RELEASES, &wide, "7.8.15", "10.0.0"), "7.8.15 9.11.3 10.0.0");
}

static void keeps_the_rule_of_its_direction_only(void **state UNUSED)
{
    struct paths_spec down = {.down = ONE_MAJOR};
    assert_string_equal(path(RELEASES, &down, "7.8.15", "9.0.0"), "7.8.15 9.0.0");
    assert_string_equal(path(RELEASES, &down, "9.0.0", "7.8.15"), "9.0.0 8.1.9 7.8.15");
}

static void visits_what_is_required(void **state UNUSED)
{
    const char *required[] = {"9.0.0", "8.0.1"};
    struct paths_spec paths = {.required = {required, 2}};
    assert_string_equal(path(RELEASES, &paths, "7.8.15", "10.0.0"), "7.8.15 8.0.1 9.0.0 10.0.0");
    assert_string_equal(path(RELEASES, &paths, "10.0.0", "7.8.15"), "10.0.0 9.0.0 8.0.1 7.8.15");
    assert_string_equal(path(RELEASES, &paths, "9.0.0", "10.0.0"), "9.0.0 10.0.0");
}

static void avoids_what_is_forbidden(void **state UNUSED)
{
    const char *forbidden[] = {"8.1.9"};
    struct paths_spec paths = {.down = ONE_MAJOR, .forbidden = {forbidden, 1}};
    assert_string_equal(path(RELEASES, &paths, "9.0.0", "7.8.15"), "9.0.0 8.0.1 7.8.15");
    assert_non_null(strstr(path(RELEASES, &paths, "9.0.0", "8.1.9"), "must not be installed"));
    assert_string_equal(path(RELEASES, &paths, "8.1.9", "7.8.15"), "8.1.9 7.8.15");
}

static void refuses_a_gap_with_the_rule(void **state UNUSED)
{
    struct paths_spec paths = {.down = ONE_MAJOR};
    assert_string_equal(path("7.8.15 9.11.3", &paths, "9.11.3", "7.8.15"),
                        "9.11.3 to 7.8.15: paths.down.at_most allows 1 major in one hop: "
                        "no release of 8 is listed");
}

static void refuses_what_it_does_not_know(void **state UNUSED)
{
    assert_non_null(strstr(path(RELEASES, NULL, "9.11.3", "9.9.9"), "9.9.9 is not a release"));
    assert_non_null(
        strstr(path(RELEASES, NULL, "9.9.9", "9.0.0"), "9.9.9 is installed and is not"));
    assert_non_null(strstr(path(RELEASES, NULL, "9.0.0", "nine"), "nine"));
}

/* ---- rules as they are written ---- */

/* `releases` with ';' between them, for versions hold blanks; the way with " > " between. */
static const char *written(const char *scheme, const char *paths, const char *releases,
                           const char *from, const char *to, bool reasons)
{
    struct buf yaml;
    struct spec spec = {0};
    struct complaints complaints;
    buf_init(&yaml, &arena, 65536);
    buf_printf(&yaml,
               "lockstep: 1\nkind: Application\nname: chat\nversions: %s\npaths:\n%s\n"
               "layout: { path: /opt/chat }\nservice: { systemd: chat }\nreleases:\n",
               scheme, paths);
    for (const char *p = releases; *p != '\0'; p += strcspn(p, ";") + (strchr(p, ';') != NULL)) {
        buf_printf(&yaml, "  - { version: \"%.*s\" }\n", (int)strcspn(p, ";"), p);
    }
    struct spec_file file = {"application.yaml", buf_text(&yaml), yaml.len};
    complaints_init(&complaints, &arena);
    if (spec_read(&arena, &file, 1, &spec, &complaints) < 0) {
        fail_msg("%s", complaints.items[0].message);
    }
    struct plan_way way = {0};
    struct error e = {0};
    if (plan_way(&arena, spec.application, &spec.scheme, from, to, &way, &e) < 0) {
        return arena_strdup(&arena, e.message);
    }
    struct buf b;
    buf_init(&b, &arena, 8192);
    for (size_t i = 0; i < way.releases.count; i++) {
        const char *text = reasons ? way.reasons.items[i] : way.releases.items[i];
        buf_printf(&b, "%s%s", i > 0 ? " > " : "", text);
    }
    return buf_text(&b);
}

static const char *semver_way(const char *paths, const char *releases, const char *from,
                              const char *to)
{
    return written("semver", paths, releases, from, to, false);
}

#define MANY "1.0.0;1.1.0;1.2.0;1.2.1;2.0.0;2.1.0;3.0.0;3.0.1;4.0.0"

static void visits_each_major_and_names_the_one_that_is_missing(void **state UNUSED)
{
    static const char rule[] = "  down: { visit: each-major }";
    assert_string_equal(semver_way(rule, MANY, "4.0.0", "1.1.0"), "4.0.0 > 3.0.1 > 2.1.0 > 1.1.0");
    assert_string_equal(semver_way(rule, "1.0.0;4.0.0;3.0.0;2.0.0-rc.1;1.5.0", "4.0.0", "1.0.0"),
                        "4.0.0 > 3.0.0 > 2.0.0-rc.1 > 1.0.0");
    assert_string_equal(semver_way(rule, "1.0.0;3.0.0;6.0.0", "6.0.0", "1.0.0"),
                        "6.0.0 to 1.0.0 must visit each major (paths.down.visit): "
                        "no release of 2, 4 and 5 is listed");
    assert_string_equal(semver_way(rule, "1.0.0;9.0.0", "9.0.0", "1.0.0"),
                        "9.0.0 to 1.0.0 must visit each major (paths.down.visit): "
                        "no release of 2, 3, 4, 5 and more is listed");
}

static void visits_each_minor_up_to_the_last_one_of_a_major(void **state UNUSED)
{
    static const char rule[] = "  up: { visit: each-minor }";
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "2.1.0"),
                        "1.0.0 > 1.1.0 > 1.2.1 > 2.0.0 > 2.1.0");
    assert_string_equal(semver_way(rule, "1.0.0;1.3.0;2.1.0", "1.0.0", "2.1.0"),
                        "1.0.0 to 2.1.0 must visit each minor (paths.up.visit): "
                        "no release of 1.1, 1.2 and 2.0 is listed");
    assert_string_equal(semver_way("  up: { at_most: { minors: 2 } }", MANY, "1.0.0", "2.0.0"),
                        "1.0.0 > 1.2.1 > 2.0.0");
}

static void counts_only_the_lines_that_a_rule_lists(void **state UNUSED)
{
    static const char rule[] = "  up: { visit: each-major, lines: [\"1\", \"3\", \"4\"] }";
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "4.0.0"), "1.0.0 > 3.0.1 > 4.0.0");
    assert_string_equal(semver_way(rule, "1.0.0;2.0.0;4.0.0", "1.0.0", "4.0.0"),
                        "1.0.0 to 4.0.0 must visit each major (paths.up.visit): "
                        "no release of 3 is listed");
}

static void goes_via_what_a_rule_asks_for(void **state UNUSED)
{
    static const char rule[] =
        "  up:\n    - { hop_from: \"<1.2.0\", hop_to: \">1.2.0\", via: \"1.2.0\" }";
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "4.0.0"), "1.0.0 > 1.2.0 > 4.0.0");
    assert_string_equal(semver_way(rule, MANY, "1.2.1", "4.0.0"), "1.2.1 > 4.0.0");
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "1.1.0"), "1.0.0 > 1.1.0");
    assert_string_equal(semver_way(rule, MANY, "4.0.0", "1.0.0"), "4.0.0 > 1.0.0");
    assert_string_equal(semver_way(rule, "1.0.0;4.0.0", "1.0.0", "4.0.0"),
                        "1.0.0 to 4.0.0: the way goes to 1.2.0 first (paths.up.via): "
                        "no release 1.2.0 is listed between them");
    /* A range asks for any of them: the newest. */
    assert_string_equal(
        semver_way("  up: { hop_from: \"<2\", hop_to: \">=3\", via: \"2.0.0..2.9.9\" }", MANY,
                   "1.0.0", "4.0.0"),
        "1.0.0 > 2.1.0 > 4.0.0");
}

static void stops_at_nothing_that_is_skipped_but_may_end_there(void **state UNUSED)
{
    static const char rule[] = "  up: { visit: each-major, skip: \"2.1.0 || 3.0.1\" }";
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "4.0.0"), "1.0.0 > 2.0.0 > 3.0.0 > 4.0.0");
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "3.0.1"), "1.0.0 > 2.0.0 > 3.0.1");
    assert_string_equal(
        semver_way(rule, "1.0.0;2.1.0;3.0.0", "1.0.0", "3.0.0"),
        "1.0.0 to 3.0.0 must visit each major (paths.up.visit): "
        "of those between them, 2.1.0 is no stop on a way (paths.up.skip: 2.1.0 || 3.0.1)");
}

static void forbids_releases_by_range(void **state UNUSED)
{
    static const char rule[] =
        "  down: { visit: each-major }\n  forbidden: [\">=3.0.1 <4\", \"2.1.0\"]";
    assert_string_equal(semver_way(rule, MANY, "4.0.0", "1.0.0"), "4.0.0 > 3.0.0 > 2.0.0 > 1.0.0");
    assert_string_equal(semver_way(rule, MANY, "1.0.0", "3.0.1"),
                        "3.0.1 must not be installed: paths.forbidden of chat names it");
    assert_string_equal(semver_way(rule, "4.0.0;3.0.1;2.1.0;2.0.0", "4.0.0", "2.0.0"),
                        "4.0.0 to 2.0.0 must visit each major (paths.down.visit): "
                        "of those between them, 3.0.1 must not be installed (paths.forbidden) and "
                        "2.1.0 must not be installed (paths.forbidden)");
    assert_string_equal(semver_way("  forbidden: [\"2.1.0\"]", MANY, "2.1.0", "4.0.0"),
                        "2.1.0 > 4.0.0");
}

static void every_rule_that_speaks_of_a_hop_holds(void **state UNUSED)
{
    static const char rules[] = "  down:\n"
                                "    - { hop_from: \">=3\", visit: each-major }\n"
                                "    - { hop_from: \"<3\", visit: each-minor }\n";
    assert_string_equal(semver_way(rules, MANY, "4.0.0", "1.0.0"),
                        "4.0.0 > 3.0.1 > 2.0.0 > 1.2.1 > 1.1.0 > 1.0.0");
    assert_string_equal(semver_way(rules, "1.0.0;1.2.0;2.0.0;3.0.0", "3.0.0", "1.0.0"),
                        "1.2.0 to 1.0.0 must visit each minor (paths.down[1].visit): "
                        "no release of 1.1 is listed");
}

static void says_which_rule_asks_for_each_stop(void **state UNUSED)
{
    static const char rules[] =
        "  up:\n"
        "    - { at_most: { majors: 2 } }\n"
        "    - { hop_from: \"<1.2.0\", hop_to: \">1.2.0\", via: \"1.2.0\" }\n"
        "  required: [\"3.0.0\"]\n";
    assert_string_equal(written("semver", rules, MANY, "1.0.0", "4.0.0", false),
                        "1.0.0 > 1.2.0 > 3.0.0 > 4.0.0");
    assert_string_equal(written("semver", rules, MANY, "1.0.0", "4.0.0", true),
                        " > 1.0.0 to 3.0.0: the way goes to 1.2.0 first (paths.up[1].via)"
                        " > 1.2.0 to 4.0.0: paths.up[0].at_most allows 2 majors in one hop > ");
}

static void takes_a_version_in_any_form_for_the_release_it_is(void **state UNUSED)
{
    assert_string_equal(semver_way("  up: { visit: each-major }", MANY, "v1.0.0", "3.0.0+build"),
                        "1.0.0 > 2.1.0 > 3.0.0");
}

static void a_way_of_more_hops_than_a_plan_may_have_is_refused(void **state UNUSED)
{
    struct buf releases;
    struct buf required;
    buf_init(&releases, &arena, 4096);
    buf_init(&required, &arena, 4096);
    for (int i = 1; i <= LIMIT_HOPS + 2; i++) {
        buf_printf(&releases, "%s%d.0.0", i > 1 ? ";" : "", i);
        buf_printf(&required, "%s\"%d.0.0\"", i > 1 ? ", " : "", i);
    }
    const char *all = arena_strdup(&arena, buf_text(&releases));
    const char *last = arena_printf(&arena, "%d.0.0", LIMIT_HOPS + 1);
    const char *past = arena_printf(&arena, "%d.0.0", LIMIT_HOPS + 2);
    static const char rule[] = "  up: { visit: each-major }";
    assert_non_null(strstr(semver_way(rule, all, "1.0.0", last), last));
    assert_null(strstr(semver_way(rule, all, "1.0.0", last), "hops"));
    assert_non_null(strstr(semver_way(rule, all, "1.0.0", past), "are more than 32 hops"));
    const char *must = arena_printf(&arena, "  required: [%s]", buf_text(&required));
    assert_null(strstr(semver_way(must, all, "1.0.0", last), "hops"));
    assert_non_null(strstr(semver_way(must, all, "1.0.0", past), "are more than 32 hops"));
}

/* ---- the vendor's rules for DataMiner, as they are written in a spec ---- */

#define DATAMINER_PATHS                                                                            \
    "  up:\n"                                                                                      \
    "    - { visit: each-major, skip: feature,\n"                                                  \
    "        lines: [\"9.0\", \"9.5\", \"9.6\", \"10.0\", \"10.2\", \"10.3\", \"10.4\", "          \
    "\"10.5\", "                                                                                   \
    "\"10.6\"] }\n"                                                                                \
    "    - { hop_from: \"<10.0.0 [CU19]\", hop_to: \">10.0.0 [CU19]\", via: \"10.0.0 [CU19]\" "    \
    "}\n"                                                                                          \
    "    - { hop_from: \"<10.5.0 [CU2] || <10.5.5 feature\", hop_to: \">=10.6\",\n"                \
    "        via: \">=10.5.0 [CU2] <10.6 || >=10.5.5 <10.6\" }\n"                                  \
    "  down: { visit: each-major, skip: feature,\n"                                                \
    "    lines: [\"9.6\", \"10.0\", \"10.1\", \"10.2\", \"10.3\", \"10.4\", \"10.5\"] }\n"         \
    "  switch: { hop_from: \">=10.4.0 [CU6] <10.5 main\", hop_to: \"10.4.9..10.4.12\", as: up }\n"

#define DATAMINER_RELEASES                                                                         \
    "9.6.0 [CU3];9.6.0 [CU24];9.6.7;10.0.0 [CU4];10.0.0 [CU19];10.0.0 [CU21];10.0.13;"             \
    "10.1.0 [CU9];10.1.3;10.2.0 [CU1];10.2.0 [CU20];10.2.12;10.3.0;10.3.0 [CU5];10.3.0 [CU19];"    \
    "10.3.4;10.3.8;10.4.0 [CU4];10.4.0 [CU6];10.4.12;10.5.0;10.5.0 [CU2];10.5.3;10.5.6;10.6.0"

static const char *dms(const char *from, const char *to)
{
    return written("dataminer", DATAMINER_PATHS, DATAMINER_RELEASES, from, to, false);
}

static void dataminer_goes_through_the_latest_cu_of_each_next_major(void **state UNUSED)
{
    assert_string_equal(dms("10.2.0 [CU1]", "10.4.0 [CU4]"),
                        "10.2.0 [CU1] > 10.3.0 [CU19] > 10.4.0 [CU4]");
    assert_string_equal(dms("10.2.0 [CU1]", "10.5.3"),
                        "10.2.0 [CU1] > 10.3.0 [CU19] > 10.4.0 [CU6] > 10.5.3");
    /* Inside of one major no CU is in between, and the next major is the next hop. */
    assert_string_equal(dms("10.3.0", "10.3.0 [CU19]"), "10.3.0 > 10.3.0 [CU19]");
    assert_string_equal(dms("10.3.0", "10.4.0 [CU4]"), "10.3.0 > 10.4.0 [CU4]");
}

static void dataminer_skips_the_main_release_that_matches_a_feature_release(void **state UNUSED)
{
    assert_string_equal(dms("10.4.12", "10.5.0"), "10.4.12 > 10.5.0");
    assert_string_equal(dms("10.2.12", "10.4.0 [CU6]"), "10.2.12 > 10.3.0 [CU19] > 10.4.0 [CU6]");
    assert_string_equal(dms("10.4.12", "10.4.0 [CU6]"),
                        "10.4.12 and 10.4.0 [CU6] cannot be compared: there is no way between them "
                        "without a paths.switch");
}

static void dataminer_goes_to_10_0_0_cu19_first_from_below_it(void **state UNUSED)
{
    assert_string_equal(dms("9.6.0 [CU3]", "10.3.0"),
                        "9.6.0 [CU3] > 10.0.0 [CU19] > 10.2.0 [CU20] > 10.3.0");
    assert_string_equal(dms("9.6.7", "10.2.0 [CU1]"), "9.6.7 > 10.0.0 [CU19] > 10.2.0 [CU1]");
    assert_string_equal(dms("10.0.0 [CU4]", "10.2.12"), "10.0.0 [CU4] > 10.0.0 [CU19] > 10.2.12");
    assert_string_equal(dms("10.0.0 [CU21]", "10.2.12"), "10.0.0 [CU21] > 10.2.12");
    assert_string_equal(dms("9.6.0 [CU3]", "10.0.0 [CU4]"), "9.6.0 [CU3] > 10.0.0 [CU4]");
    assert_string_equal(written("dataminer", DATAMINER_PATHS, "9.6.0;10.2.0;10.5.0 [CU2]", "9.6.0",
                                "10.2.0", false),
                        "9.6.0 to 10.2.0 must visit each major (paths.up[0].visit): "
                        "no release of 10.0 is listed");
}

static void dataminer_does_not_skip_10_5_0_cu2_on_the_way_to_10_6(void **state UNUSED)
{
    assert_string_equal(dms("10.4.0 [CU6]", "10.6.0"), "10.4.0 [CU6] > 10.5.0 [CU2] > 10.6.0");
    assert_string_equal(dms("10.5.0", "10.6.0"), "10.5.0 > 10.5.0 [CU2] > 10.6.0");
    assert_string_equal(dms("10.5.6", "10.6.0"), "10.5.6 > 10.6.0");
}

static void dataminer_visits_each_major_on_the_way_down(void **state UNUSED)
{
    assert_string_equal(written("dataminer", DATAMINER_PATHS,
                                "9.6.0;10.0.0;10.1.0;10.2.0;10.5.0 [CU2]", "10.2.0", "9.6.0",
                                false),
                        "10.2.0 > 10.1.0 > 10.0.0 > 9.6.0");
    assert_string_equal(dms("10.2.12", "9.6.7"), "10.2.12 > 10.1.0 [CU9] > 10.0.0 [CU21] > 9.6.7");
    assert_string_equal(written("dataminer", DATAMINER_PATHS, "9.6.0;10.1.0;10.2.0;10.5.0 [CU2]",
                                "10.2.0", "9.6.0", false),
                        "10.2.0 to 9.6.0 must visit each major (paths.down.visit): "
                        "no release of 10.0 is listed");
    /* Where a spec lists no majors, their numbers say what lies between. */
    assert_string_equal(written("dataminer", "  down: { visit: each-major }", "9.6.0;10.1.0;10.2.0",
                                "10.2.0", "9.6.0", false),
                        "10.2.0 to 9.6.0 must visit each major (paths.down.visit): "
                        "no release of 10.0 is listed");
}

static void dataminer_changes_its_track_only_where_a_switch_says_so(void **state UNUSED)
{
    assert_string_equal(dms("10.4.0 [CU6]", "10.4.12"), "10.4.0 [CU6] > 10.4.12");
    assert_non_null(strstr(dms("10.4.0 [CU4]", "10.4.12"), "cannot be compared"));
    assert_non_null(strstr(dms("10.3.0 [CU5]", "10.3.8"), "cannot be compared"));
}

static void dataminer_takes_a_build_for_the_release_it_is_of(void **state UNUSED)
{
    assert_string_equal(dms("10.2.12.0 - 12603", "10.3.8.0-13272-20230824-release"),
                        "10.2.12 > 10.3.8");
    assert_string_equal(written("dataminer", "  forbidden: [\"10.3.8.0 - 100\"]",
                                "10.2.0;10.3.8.0 - 100;10.3.8.0 - 101", "10.2.0", "10.3.8.0 - 100",
                                false),
                        "10.3.8.0 - 100 must not be installed: paths.forbidden of chat names it");
    assert_string_equal(written("dataminer", "  forbidden: [\"10.3.8.0 - 100\"]",
                                "10.2.0;10.3.8.0 - 100;10.3.8.0 - 101", "10.2.0", "10.3.8.0-101",
                                false),
                        "10.2.0 > 10.3.8.0 - 101");
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
        cmocka_unit_test(goes_straight_without_rules),
        cmocka_unit_test(is_one_release_when_there_is_no_way_to_go),
        cmocka_unit_test(skips_no_major_and_takes_the_newest_of_each),
        cmocka_unit_test(keeps_the_rule_of_its_direction_only),
        cmocka_unit_test(visits_what_is_required),
        cmocka_unit_test(avoids_what_is_forbidden),
        cmocka_unit_test(refuses_a_gap_with_the_rule),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(visits_each_major_and_names_the_one_that_is_missing),
        cmocka_unit_test(visits_each_minor_up_to_the_last_one_of_a_major),
        cmocka_unit_test(counts_only_the_lines_that_a_rule_lists),
        cmocka_unit_test(goes_via_what_a_rule_asks_for),
        cmocka_unit_test(stops_at_nothing_that_is_skipped_but_may_end_there),
        cmocka_unit_test(forbids_releases_by_range),
        cmocka_unit_test(every_rule_that_speaks_of_a_hop_holds),
        cmocka_unit_test(says_which_rule_asks_for_each_stop),
        cmocka_unit_test(takes_a_version_in_any_form_for_the_release_it_is),
        cmocka_unit_test(a_way_of_more_hops_than_a_plan_may_have_is_refused),
        cmocka_unit_test(dataminer_goes_through_the_latest_cu_of_each_next_major),
        cmocka_unit_test(dataminer_skips_the_main_release_that_matches_a_feature_release),
        cmocka_unit_test(dataminer_goes_to_10_0_0_cu19_first_from_below_it),
        cmocka_unit_test(dataminer_does_not_skip_10_5_0_cu2_on_the_way_to_10_6),
        cmocka_unit_test(dataminer_visits_each_major_on_the_way_down),
        cmocka_unit_test(dataminer_changes_its_track_only_where_a_switch_says_so),
        cmocka_unit_test(dataminer_takes_a_build_for_the_release_it_is_of),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
