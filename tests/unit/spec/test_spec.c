/*
 * Whole files: every file of tests/specs/good is accepted, written as JSON and read back the same;
 * each of tests/specs/bad gives exactly the complaints in the .expected file beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/spec/spec.h"

static int setup(void **state)
{
    struct arena *a = malloc(sizeof(*a));
    assert_non_null(a);
    arena_init(a);
    *state = a;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    free(*state);
    return 0;
}

static struct spec_file load(struct arena *a, const char *folder, const char *name)
{
    FILE *in = fopen(arena_printf(a, "%s/%s", folder, name), "rb");
    if (in == NULL) {
        fail_msg("cannot open %s/%s", folder, name);
    }
    char *text = arena_alloc(a, 1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, in);
    fclose(in);
    return (struct spec_file){arena_strdup(a, name), text, len};
}

static const char *rendered(struct arena *a, const struct complaints *c)
{
    struct buf out;
    buf_init(&out, a, 1 << 20);
    for (size_t i = 0; i < c->count; i++) {
        const struct complaint *x = &c->items[i];
        buf_printf(&out, "%s:%d:%d: %s\n", x->file, x->line, x->column, x->message);
    }
    return buf_text(&out);
}

/* Calls `each` for every file that ends in .yaml; returns how many there were. */
static size_t for_each_yaml(struct arena *a, const char *folder,
                            void (*each)(struct arena *a, const char *folder, const char *name))
{
    DIR *d = opendir(folder);
    if (d == NULL) {
        fail_msg("no folder %s: run from the root of the tree", folder);
        return 0;
    }
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (str_ends(entry->d_name, ".yaml")) {
            each(a, folder, entry->d_name);
            count++;
        }
    }
    closedir(d);
    return count;
}

static void assert_round_trip(struct arena *a, const struct shape *shape, const void *in)
{
    struct error e = {0};
    void *again = arena_alloc(a, shape->size);
    json_t *first = shape_to_json(shape, in);
    if (shape_from_json(shape, first, again, a, &e) < 0) {
        fail_msg("%s", e.message);
    }
    json_t *second = shape_to_json(shape, again);
    assert_true(json_equal(first, second));
    assert_true(json_object_size(first) >= 5);
    json_decref(first);
    json_decref(second);
}

static void good(struct arena *a, const char *folder, const char *name)
{
    struct spec_file file = load(a, folder, name);
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    if (spec_read(a, &file, 1, &spec, &c) != 0) {
        fail_msg("%s", rendered(a, &c));
    }
    if (spec.cluster != NULL) {
        assert_round_trip(a, &cluster_shape, spec.cluster);
    }
    if (spec.application != NULL) {
        assert_round_trip(a, &application_shape, spec.application);
    }
    if (spec.fleet != NULL) {
        assert_round_trip(a, &fleet_shape, spec.fleet);
    }
}

static void bad(struct arena *a, const char *folder, const char *name)
{
    struct spec_file file = load(a, folder, name);
    char *expected_name =
        arena_printf(a, "%.*s.expected", (int)(strlen(name) - strlen(".yaml")), name);
    struct spec_file expected = load(a, folder, expected_name);
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, &file, 1, &spec, &c), E_INVALID);
    assert_string_equal(rendered(a, &c), expected.text);
}

static void accepts_every_good_file_and_reads_its_own_json(void **state)
{
    assert_true(for_each_yaml(*state, "tests/specs/good", good) >= 3);
}

static void tells_everything_that_is_wrong_at_its_place(void **state)
{
    assert_true(for_each_yaml(*state, "tests/specs/bad", bad) >= 14);
}

static void a_good_file_reads_the_same_with_crlf_and_a_byte_order_mark(void **state)
{
    struct arena *a = *state;
    struct spec_file file = load(a, "tests/specs/good", "everything.yaml");
    char *text = arena_alloc(a, file.len * 2 + 4);
    size_t len = 3;
    static const unsigned char mark[3] = {0xef, 0xbb, 0xbf};
    memcpy(text, mark, sizeof(mark));
    for (size_t i = 0; i < file.len; i++) {
        if (file.text[i] == '\n') {
            text[len++] = '\r';
        }
        text[len++] = file.text[i];
    }
    struct spec_file other = {"crlf.yaml", text, len};
    struct complaints c;
    struct spec one;
    struct spec two;
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, &file, 1, &one, &c), 0);
    assert_int_equal(spec_read(a, &other, 1, &two, &c), 0);
    json_t *first = shape_to_json(&application_shape, one.application);
    json_t *second = shape_to_json(&application_shape, two.application);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
}

static struct spec read_text(struct arena *a, const char *text, const char **ret_complaints)
{
    struct spec_file file = {"f.yaml", text, strlen(text)};
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    spec_read(a, &file, 1, &spec, &c);
    *ret_complaints = rendered(a, &c);
    return spec;
}

#define CLUSTER "lockstep: 1\nkind: Cluster\nname: c\napplication: a\nnodes: [ { name: n } ]\n"

static void a_version_that_yaml_reads_as_a_number_is_refused(void **state)
{
    static const char *const numbers[] = {"10.10",  "1",    "1_0", "0x1F", "0o17",     "1e3",
                                          "1.5e+3", ".5",   "5.",  "1:30", "-1.0",     "+1.0",
                                          ".inf",   "0b11", "1.",  "010",  "1:30:05.5"};
    const char *wrong;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        read_text(*state, arena_printf(*state, CLUSTER "version: %s\n", numbers[i]), &wrong);
        assert_string_equal(
            wrong,
            arena_printf(*state, "f.yaml:6:10: version %s is a number to YAML: quote it (\"%s\")\n",
                         numbers[i], numbers[i]));
    }
    static const char *const texts[] = {"\"10.10\"", "'10'",    "10.10.3", "v1",
                                        "1.2-rc1",   "1.0.0+5", "1e",      "0x"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        read_text(*state, arena_printf(*state, CLUSTER "version: %s\n", texts[i]), &wrong);
        assert_string_equal(wrong, "");
    }
}

static void numbers_among_vars_stay_the_text_that_was_written(void **state)
{
    const char *wrong;
    struct spec spec =
        read_text(*state,
                  "lockstep: 1\nkind: Cluster\nname: c\napplication: a\nversion: '1'\n"
                  "nodes: [ { name: n, vars: { a: 1.10, b: 010, c: true, d: '' } } ]\n",
                  &wrong);
    assert_string_equal(wrong, "");
    const struct pairs *vars = &cluster_node(spec.cluster, "n")->vars;
    assert_string_equal(pairs_get(vars, "a"), "1.10");
    assert_string_equal(pairs_get(vars, "b"), "010");
    assert_string_equal(pairs_get(vars, "c"), "true");
    assert_string_equal(pairs_get(vars, "d"), "");
    assert_null(pairs_get(vars, "e"));
}

static void short_forms_mean_what_they_stand_for(void **state)
{
    struct arena *a = *state;
    struct spec_file file = load(a, "tests/specs/good", "everything.yaml");
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, &file, 1, &spec, &c), 0);
    const struct application *app = spec.application;
    assert_true(spec.cluster->strategy->all_at_once);
    assert_null(spec.cluster->strategy->rolling);
    assert_string_equal(app->ports.items[0], "${node.port}");
    const struct check *tcp = LIST_AT(&app->health, const struct check, 1);
    assert_string_equal(tcp->tcp->port_text, "${node.port}");
    assert_int_equal(tcp->consecutive, 3);
    assert_int_equal(tcp->within_ms, 120000);
    assert_string_equal(
        LIST_AT(&app->health, const struct check, 4)->command->command.argv.items[1], "short");
    const struct app_database_spec *audit =
        LIST_AT(&app->databases, const struct app_database_spec, 1);
    assert_string_equal(audit->name, "audit");
    assert_int_equal(audit->migrations->format, FORMAT_EXTERNAL);
    assert_string_equal(audit->migrations->external->up.argv.items[1], "up");
    assert_int_equal(audit->migrations->external->up.timeout_ms, 600000);
    assert_int_equal(audit->migrations->external->down.timeout_ms, 3600000);
    const struct env_value *env =
        LIST_AT(&app->service->process->command.env, const struct env_value, 1);
    assert_string_equal(env->name, "PASSWORD");
    assert_null(env->value);
    assert_string_equal(env->secret->file, "/etc/journal/password");
    const struct extra_step *look = LIST_AT(&app->extra_steps, const struct extra_step, 2);
    assert_int_equal(LIST_AT(&look->actions, const struct action, 2)->service->verb,
                     SERVICE_RESTART);
    assert_int_equal(action_kind(LIST_AT(&look->actions, const struct action, 1)), ACTION_HEALTH);
    assert_string_equal(cluster_database(spec.cluster, "main")->via, "controller");
    assert_int_equal(LIST_AT(&app->paths->down, const struct path_rule, 0)->majors_at_most, 2);
    assert_non_null(application_release(app, "v2.0.0"));
    assert_null(application_release(app, "2.1"));
}

static void complaints_are_bounded_and_the_rest_is_counted(void **state)
{
    struct arena *a = *state;
    struct buf text;
    buf_init(&text, a, 1 << 20);
    buf_puts(&text, CLUSTER "version: '1'\n");
    for (int i = 0; i < LIMIT_ERRORS_PER_CALL + 5; i++) {
        buf_printf(&text, "k%d: 1\n", i);
    }
    struct spec_file file = {"f.yaml", buf_text(&text), text.len};
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, &file, 1, &spec, &c), E_INVALID);
    assert_int_equal(c.count, LIMIT_ERRORS_PER_CALL);
    assert_int_equal(c.left_out, 5);
}

static void an_application_is_found_by_name_or_by_path(void **state)
{
    struct arena *a = *state;
    static const char app[] =
        "lockstep: 1\nkind: Application\nname: x\nreleases: [ { version: '1.0.0' } ]\n"
        "layout: { path: /x }\nservice: { systemd: x }\n";
    static const char cluster[] =
        "lockstep: 1\nkind: Cluster\nname: c\napplication: ../apps/x.yaml\n"
        "version: '1.0.0'\nnodes: [ { name: n } ]\n";
    struct spec_file files[] = {{"c.yaml", cluster, strlen(cluster)},
                                {"/srv/apps/x.yaml", app, strlen(app)},
                                {"/srv/apps/y.yaml", app, strlen(app)}};
    struct complaints c;
    struct spec spec;
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, files, 2, &spec, &c), 0);
    assert_string_equal(spec.application->name, "x");
    assert_int_equal(spec_read(a, files, 3, &spec, &c), E_INVALID);
    assert_string_equal(rendered(a, &c),
                        "/srv/apps/y.yaml:1:1: no Cluster names this Application: leave it out\n");
    complaints_init(&c, a);
    assert_int_equal(spec_read(a, files, 1, &spec, &c), 0);
    assert_null(spec.application);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepts_every_good_file_and_reads_its_own_json, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(tells_everything_that_is_wrong_at_its_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_good_file_reads_the_same_with_crlf_and_a_byte_order_mark,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_that_yaml_reads_as_a_number_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(numbers_among_vars_stay_the_text_that_was_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(short_forms_mean_what_they_stand_for, setup, teardown),
        cmocka_unit_test_setup_teardown(complaints_are_bounded_and_the_rest_is_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_application_is_found_by_name_or_by_path, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
