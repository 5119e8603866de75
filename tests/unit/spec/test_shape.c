/* JSON both ways, with every kind of action; canonical JSON; sizes and durations; ${…} references;
 * the schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/spec/expand.h"
#include "lib/spec/node.h"
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

static const char *canonical(struct arena *a, json_t *json)
{
    struct buf out;
    buf_init(&out, a, 1 << 20);
    json_canonical(json, &out);
    json_decref(json);
    return buf_text(&out);
}

/* Reads an action and writes it again. */
static const char *again(struct arena *a, const struct shape *shape, const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    void *out = arena_alloc(a, shape->size);
    struct error e = {0};
    int r = shape_from_json(shape, json, out, a, &e);
    json_decref(json);
    return r < 0 ? arena_strdup(a, e.message) : canonical(a, shape_to_json(shape, out));
}

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void every_action_is_written_as_it_was_read(void **state)
{
    static const char *const actions[] = {
        "{\"run\":{\"command\":[\"a\",\"b\"],\"env\":{\"A\":\"x\",\"B\":{\"file\":\"/"
        "s\"}},\"memory\":\"512MiB\","
        "\"once\":true,\"release\":\"1.0\",\"timeout\":\"1h1m1s1ms\",\"tree\":\"staged\",\"user\":"
        "\"u\"}}",
        "{\"wait\":{\"file\":\"f\",\"matches\":\"m\",\"stall\":\"30m\",\"within\":\"1d\"}}",
        "{\"service\":{\"layout\":\"/l\",\"service\":{\"systemd\":\"x\"},\"verb\":\"start\"}}",
        "{\"health\":{\"checks\":[{\"http\":{\"url\":\"http://x/"
        "\"}},{\"tcp\":{\"port\":\"${node.port}\"}}],"
        "\"soak\":\"2m\"}}",
        "{\"sql\":{\"database\":{\"name\":\"main\",\"password\":{\"env\":\"P\"},\"url\":\"postgres:"
        "//x\"},"
        "\"statement\":\"SELECT 1\"}}",
        "{\"follow\":{\"database\":{\"name\":\"main\"},\"every\":\"1s\",\"run\":{\"command\":["
        "\"b\"],"
        "\"tree\":\"staged\"},\"sql\":\"SELECT 1\",\"stall\":\"1m\",\"to\":0,\"within\":\"1h\"}}",
        "{\"preflight\":{\"bytes_needed\":5,\"layout\":\"/"
        "l\",\"ports\":[\"80\"],\"users\":[\"u\"]}}",
        "{\"stage\":{\"allow_special\":true,\"artifact\":{\"bytes\":7,\"sha256\":\"" SHA
        "\",\"version\":\"1.0\"},\"layout\":\"/l\"}}",
        "{\"deny\":{\"reason\":\"because\"}}",
        "{\"permit\":{\"checkpoint\":\"main 2\",\"release\":\"1.0\"}}",
        "{\"swap\":{\"artifact\":{\"sha256\":\"" SHA "\"},\"keep\":[\"data\"]}}",
        "{\"observe\":{\"command\":{\"command\":[\"v\"]},\"matches\":\"(x)\"}}",
        "{\"retire\":{\"keep_releases\":2,\"layout\":\"/l\"}}",
        "{\"db_lock\":{\"format\":\"morph\",\"wait\":\"1m\"}}",
        "{\"db_unlock\":{\"format\":\"external\"}}",
        "{\"db_migrate\":{\"down\":true,\"format\":\"morph\",\"items\":[{\"file\":\"1_a.down.sql\","
        "\"id\":\"a\","
        "\"lossy\":\"drops t\",\"sha256\":\"" SHA "\",\"transactional\":true,\"version\":1}]}}",
        "{\"db_ledger\":{\"done_count\":276,\"expect_count\":210,\"ledger\":{\"column\":\"name\","
        "\"table\":\"m\"},"
        "\"or_done\":true}}",
        "{\"db_ledger\":{\"expect_count\":0}}",
        "{\"db_ledger\":{\"expect_ids\":[\"a\"]}}",
        "{\"db_tool_lock\":{\"advisory\":\"1,2\",\"wait\":\"5s\"}}",
        "{\"db_checkpoint\":{\"release\":\"1.0\",\"schema\":128}}",
        "{\"db_backup\":{\"command\":{\"command\":[\"b\"]},\"directory\":\"/b\","
        "\"file\":\"/b/*\",\"max_age\":\"1d\",\"verify\":{\"command\":[\"v\"]}}}",
        "{\"db_restore\":{\"backup_run\":\"r\",\"backup_step\":\"1.1\",\"directory\":\"/b\","
        "\"fingerprint\":\"" SHA "\",\"path\":\"/p\",\"sha256\":\"" SHA "\"}}",
        "{\"db_drift\":{\"policy\":\"warn\",\"release\":\"1.0\",\"schema\":128}}",
        "{\"db_writers\":{\"except\":[\"zabbix\"],\"only\":[\"mm\"],\"policy\":\"terminate\","
        "\"wait\":\"5s\"}}",
        "{\"db_check\":{\"expect\":\"none\",\"message\":\"m\",\"sql\":\"SELECT 1\"}}",
        "{\"db_rehearse\":{\"back\":[{\"id\":\"a\"}],\"clone\":{\"url\":\"mysql://"
        "c\"},\"down\":true,"
        "\"no_way_back\":\"a.sql\",\"rows_up_to\":7,\"there\":[{\"id\":\"a\"}]}}",
        "{\"db_observe\":{\"format\":\"morph\"}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        assert_string_equal(again(*state, &action_shape, actions[i]), actions[i]);
    }
    static_assert(ARRAY_SIZE(actions) == ACTION_DB_OBSERVE + 2,
                  "one for each kind, and two more ledgers");
}

static void what_is_wrong_in_json_is_told_with_its_path(void **state)
{
    assert_string_equal(again(*state, &action_shape,
                              "{\"health\":{\"checks\":[{\"http\":{\"url\":\"http://x\","
                              "\"status\":1}}]}}"),
                        "$.health.checks[0].http.status: status should be 100 to 599, found 1");
    assert_string_equal(
        again(*state, &action_shape, "{}"),
        "$: instruction needs one of run, wait, service, health, sql, follow, preflight, stage, "
        "deny, "
        "permit, "
        "swap, observe, retire, db_lock, db_unlock, db_migrate, db_ledger, db_tool_lock, "
        "db_checkpoint, db_backup, db_restore, db_drift, db_writers, db_check, db_rehearse or "
        "db_observe");
    assert_string_equal(
        again(*state, &action_shape, "{\"deny\":{\"reason\":null}}"),
        "$.deny.reason: reason null is nothing to YAML: quote it (\"null\") if the word is meant");
    assert_string_equal(again(*state, &action_shape, "[]"),
                        "$: instruction should be a mapping, found a list");
}

static void json_nested_past_the_limit_is_refused(void **state)
{
    struct buf text;
    buf_init(&text, *state, 4096);
    for (int i = 0; i <= LIMIT_SPEC_DEPTH; i++) {
        buf_putc(&text, '[');
    }
    for (int i = 0; i <= LIMIT_SPEC_DEPTH; i++) {
        buf_putc(&text, ']');
    }
    assert_string_equal(again(*state, &action_shape, buf_text(&text)),
                        "JSON values are nested more than 32 deep");
}

static void json_that_would_speak_to_a_terminal_is_refused(void **state)
{
    struct arena *a = *state;
    static const char *const refused[] = {
        "{\"run\":{\"command\":[\"\\u001b]0;x\\u0007\"]}}",
        "{\"run\":{\"command\":[\"x\\u007f\"]}}",
        "{\"run\":{\"command\":[\"\\u009b2J\"]}}",
        "{\"run\":{\"command\":[\"x\"],\"env\":{\"\\u001b\":\"y\"}}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        assert_non_null(strstr(again(a, &action_shape, refused[i]), "control characters"));
    }
    const char *kept = "{\"run\":{\"command\":[\"a\\tb\\nc\\u00a0\"]}}";
    assert_null(strstr(again(a, &action_shape, kept), "control"));
}

static void canonical_json_sorts_keys_by_bytes(void **state)
{
    json_t *json = json_loads(
        "{\"b\": [1, true, null], \"a\": {\"\\u00e9\": \"\\u20ac\\n\", \"Z\": \"/\"}}", 0, NULL);
    assert_string_equal(
        canonical(*state, json),
        "{\"a\":{\"Z\":\"/\",\"\xc3\xa9\":\"\xe2\x82\xac\\n\"},\"b\":[1,true,null]}");
}

static void a_share_is_at_least_one_and_never_more_than_all(void **state UNUSED)
{
    assert_int_equal(amount_of(3, 10, AMOUNT_UP), 3);
    assert_int_equal(amount_of(0, 10, AMOUNT_UP), 0);
    assert_int_equal(amount_of(30, 10, AMOUNT_DOWN), 10);
    assert_int_equal(amount_of(-25, 10, AMOUNT_UP), 3);
    assert_int_equal(amount_of(-25, 10, AMOUNT_DOWN), 2);
    assert_int_equal(amount_of(-1, 10, AMOUNT_DOWN), 1);
    assert_int_equal(amount_of(-100, 10, AMOUNT_UP), 10);
    assert_int_equal(amount_of(-50, 0, AMOUNT_UP), 0);
}

static void sizes_and_durations_come_back_as_they_were(void **state)
{
    static const int64_t sizes[] = {0,       1,         1000,       1024,      1536,
                                    1000000, 1LL << 30, 16LL << 20, 123456789, INT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int64_t size = -1;
        assert_true(bytes_from_text(bytes_to_text(*state, sizes[i]), &size));
        assert_true(size == sizes[i]);
    }
    static const int64_t times[] = {0, 1, 999, 1000, 60000, 90061001, LIMIT_DURATION_MS};
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        int64_t ms = -1;
        assert_true(str_to_duration_ms(duration_to_text(*state, times[i]), &ms));
        assert_true(ms == times[i]);
    }
    int64_t size;
    assert_false(bytes_from_text("9223372036854775807kB", &size));
    assert_false(bytes_from_text("12", &size));
    assert_false(bytes_from_text("1.5GB", &size));
    assert_false(bytes_from_text("-1B", &size));
}

/* ---- references ---- */

static const char *lookup(const void *context UNUSED, const char *name)
{
    static const char *const known[][2] = {{"node.port", "8065"},
                                           {"node.name", "app-1"},
                                           {"cluster.name", "c"},
                                           {"run", "${node.name}"}};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (str_equal(name, known[i][0])) {
            return known[i][1];
        }
    }
    return NULL;
}

static void references_are_replaced_once(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"http://127.0.0.1:${node.port}/x", "http://127.0.0.1:8065/x"},
        {"${node.name}${node.port}", "app-18065"},
        {"$${node.name} $ {x} $", "${node.name} $ {x} $"},
        {"$$${node.name}", "$${node.name}"},
        {"${run}", "${node.name}"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *out = NULL;
        assert_int_equal(expand_text(*state, cases[i][0], lookup, NULL, &out, NULL), 0);
        assert_string_equal(out, cases[i][1]);
    }
}

static void an_unknown_reference_lists_the_known_ones(void **state)
{
    const char *out = NULL;
    struct error e = {0};
    assert_int_equal(expand_text(*state, "${cluster.name} ${hop.from}", lookup, NULL, &out, &e),
                     E_INVALID);
    assert_non_null(strstr(e.message, "${hop.from} has no value here; known are node.name"));
}

static void broken_references_are_refused(void **state)
{
    static const char *const wrong[] = {"${", "${}", "${a", "${a b}", "${a${b}}", "x ${a\n}"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        const char *out = NULL;
        struct error e = {0};
        assert_int_equal(expand_text(*state, wrong[i], lookup, NULL, &out, &e), E_INVALID);
        assert_non_null(strstr(e.message, "not closed"));
        assert_null(out);
    }
}

static const char *long_lookup(const void *context, const char *name UNUSED)
{
    return context;
}

static void a_text_may_not_grow_past_its_limit(void **state)
{
    char *value = arena_alloc(*state, LIMIT_TEXT_BYTES / 2 + 1);
    memset(value, 'x', LIMIT_TEXT_BYTES / 2);
    const char *out = NULL;
    assert_int_equal(expand_text(*state, "${a}${a}", long_lookup, value, &out, NULL), 0);
    assert_int_equal(expand_text(*state, "${a}${a}.", long_lookup, value, &out, NULL), E_LIMIT);
}

static void a_struct_is_copied_deep_and_its_port_becomes_a_number(void **state)
{
    struct arena *a = *state;
    struct tcp_check tcp = {.host = "${node.name}", .port_text = "${node.port}", .timeout_ms = 5};
    const char *argv[] = {"run", "${cluster.name}"};
    struct env_value env = {.name = "A", .value = "${node.port}"};
    struct command_check command = {.command = {.argv = {argv, 2}, .env = {&env, 1}}};
    struct check checks[] = {{.tcp = &tcp}, {.command = &command}};
    struct health_action health = {.checks = {checks, 2}, .soak_ms = 7};
    struct action action = {.health = &health};
    struct action out = {0};
    assert_int_equal(expand_shape(a, &action_shape, &action, lookup, NULL, &out, NULL), 0);
    const struct check *copy = LIST_AT(&out.health->checks, const struct check, 0);
    assert_int_equal(copy->tcp->port, 8065);
    assert_null(copy->tcp->port_text);
    assert_string_equal(copy->tcp->host, "app-1");
    assert_int_equal(copy->tcp->timeout_ms, 5);
    copy = LIST_AT(&out.health->checks, const struct check, 1);
    assert_string_equal(copy->command->command.argv.items[1], "c");
    assert_string_equal(LIST_AT(&copy->command->command.env, struct env_value, 0)->value, "8065");
    assert_int_equal(out.health->soak_ms, 7);
    assert_string_equal(tcp.port_text, "${node.port}"); /* the original stays */
    tcp.port_text = "${node.name}";
    struct error e = {0};
    assert_int_equal(expand_shape(a, &action_shape, &action, lookup, NULL, &out, &e), E_INVALID);
    assert_string_equal(e.message, "port should be a number from 1 to 65535, found \"app-1\"");
}

/* ---- the schema ---- */

static const json_t *at(const json_t *json, const char *a, const char *b, const char *c)
{
    json = json_object_get(json_object_get(json_object_get(json, "$defs"), a), b);
    assert_non_null(json);
    return c != NULL ? json_object_get(json, c) : json;
}

static void the_schema_says_what_the_tables_say(void **state UNUSED)
{
    const struct shape *const kinds[] = {&cluster_shape, &application_shape};
    json_t *schema = shape_schema(kinds, 2);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    assert_int_equal(json_array_size(json_object_get(schema, "oneOf")), 2);
    assert_true(json_is_false(at(schema, "Cluster", "additionalProperties", NULL)));
    assert_int_equal(json_integer_value(
                         json_object_get(at(schema, "Cluster", "properties", "lockstep"), "const")),
                     1);
    assert_string_equal(
        json_string_value(json_object_get(at(schema, "Cluster", "properties", "kind"), "const")),
        "Cluster");
    assert_int_equal(json_array_size(at(schema, "Cluster", "required", NULL)), 6);
    const json_t *after = json_object_get(at(schema, "extra-step", "properties", "after"), "enum");
    assert_int_equal(json_array_size(after), POINT_FINISHED);
    assert_int_equal(json_array_size(at(schema, "check", "oneOf", NULL)), 4);
    /* every $ref leads somewhere, every property but a short form's has a description or a $ref */
    const char *name;
    json_t *def;
    json_object_foreach(json_object_get(schema, "$defs"), name, def)
    {
        assert_non_null(json_object_get(def, "properties"));
        assert_true(json_is_false(json_object_get(def, "additionalProperties")));
    }
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_action_is_written_as_it_was_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_in_json_is_told_with_its_path, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(json_nested_past_the_limit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(json_that_would_speak_to_a_terminal_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(canonical_json_sorts_keys_by_bytes, setup, teardown),
        cmocka_unit_test(a_share_is_at_least_one_and_never_more_than_all),
        cmocka_unit_test_setup_teardown(sizes_and_durations_come_back_as_they_were, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(references_are_replaced_once, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_reference_lists_the_known_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_references_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_may_not_grow_past_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_struct_is_copied_deep_and_its_port_becomes_a_number,
                                        setup, teardown),
        cmocka_unit_test(the_schema_says_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
