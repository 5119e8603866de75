/* The way over releases, rule by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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
    struct paths_spec both = {.up = &one_major, .down = &one_major};
    assert_string_equal(path(RELEASES, &both, "9.11.3", "7.8.15"), "9.11.3 8.1.9 7.8.15");
    assert_string_equal(path(RELEASES, &both, "7.8.15", "10.0.0"), "7.8.15 8.1.9 9.11.3 10.0.0");
    struct path_rule two = {.majors_at_most = 2};
    struct paths_spec wide = {.up = &two};
    assert_string_equal(path(RELEASES, &wide, "7.8.15", "10.0.0"), "7.8.15 9.11.3 10.0.0");
}

static void keeps_the_rule_of_its_direction_only(void **state UNUSED)
{
    struct paths_spec down = {.down = &one_major};
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
    struct paths_spec paths = {.down = &one_major, .forbidden = {forbidden, 1}};
    assert_string_equal(path(RELEASES, &paths, "9.0.0", "7.8.15"), "9.0.0 8.0.1 7.8.15");
    assert_non_null(strstr(path(RELEASES, &paths, "9.0.0", "8.1.9"), "must not be installed"));
    assert_string_equal(path(RELEASES, &paths, "8.1.9", "7.8.15"), "8.1.9 7.8.15");
}

static void refuses_a_gap_with_the_rule(void **state UNUSED)
{
    struct paths_spec paths = {.down = &one_major};
    const char *refusal = path("7.8.15 9.11.3", &paths, "9.11.3", "7.8.15");
    assert_non_null(strstr(refusal, "paths.down.at_most allows 1 major in one hop"));
}

static void refuses_what_it_does_not_know(void **state UNUSED)
{
    assert_non_null(strstr(path(RELEASES, NULL, "9.11.3", "9.9.9"), "9.9.9 is not a release"));
    assert_non_null(
        strstr(path(RELEASES, NULL, "9.9.9", "9.0.0"), "9.9.9 is installed and is not"));
    assert_non_null(strstr(path(RELEASES, NULL, "9.0.0", "nine"), "nine"));
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
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
