/* What agents and the controller say to each other comes back as it was said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/wire/message.h"
#include "lib/wire/pack.h"
#include "proto/operator.pb-c.h"

static struct arena arena;
static struct error error;

static int begin_test(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static const struct instruction_key a_key = {.run = "r1", 1, 2, 3};

static struct wire_report report_round(const struct wire_report *in)
{
    struct bytes bytes;
    struct wire_report back;
    assert_int_equal(wire_report_pack(&arena, in, &bytes, &error), 0);
    assert_int_equal(wire_report_unpack(&arena, bytes, &back, &error), 0);
    assert_int_equal(back.type, in->type);
    return back;
}

static void reports_come_back(void **state)
{
    (void)state;
    struct wire_report in = {
        .type = WIRE_REPORT_HELLO,
        .hello =
            {.node = "app-1", .version = "0.1", .boot_id = "b", .os = "linux", .arch = "amd64"},
        .key = a_key,
        .outcome = {.status = OUTCOME_FAILED, .code = -4, .message = "m", .facts = "{}"},
        .id = UINT64_MAX,
        .done = 5,
        .total = UINT64_MAX,
        .text = "staging",
        .under_way = UINT32_MAX,
    };
    in.hello.fence = UINT64_MAX;
    struct wire_report back = report_round(&in);
    assert_string_equal(back.hello.node, "app-1");
    assert_string_equal(back.hello.arch, "amd64");
    assert_true(back.hello.fence == UINT64_MAX);
    in.type = WIRE_REPORT_BUSY;
    back = report_round(&in);
    assert_memory_equal(&back.key, &a_key, sizeof(a_key));
    in.type = WIRE_REPORT_PROGRESS;
    in.id = 0;
    back = report_round(&in);
    assert_memory_equal(&back.key, &a_key, sizeof(a_key));
    assert_true(back.done == 5 && back.total == UINT64_MAX && str_equal(back.text, "staging"));
    in.id = UINT64_MAX;
    in.type = WIRE_REPORT_ENDED;
    back = report_round(&in);
    assert_int_equal(back.outcome.status, OUTCOME_FAILED);
    assert_string_equal(back.outcome.message, "m");
    assert_null(back.outcome.log_tail);
    in.type = WIRE_REPORT_OBSERVED;
    back = report_round(&in);
    assert_true(back.id == UINT64_MAX && str_equal(back.outcome.facts, "{}"));
    in.type = WIRE_REPORT_HEARTBEAT;
    assert_true(report_round(&in).under_way == UINT32_MAX);
    in.type = WIRE_REPORT_SERVING;
    in.running = true;
    memcpy(in.run, "r1", sizeof("r1"));
    back = report_round(&in);
    assert_true(back.running && str_equal(back.run, "r1") && str_equal(back.text, "staging"));
}

static struct wire_order order_round(const struct wire_order *in)
{
    struct bytes bytes;
    struct wire_order back;
    assert_int_equal(wire_order_pack(&arena, in, &bytes, &error), 0);
    assert_int_equal(wire_order_unpack(&arena, bytes, &back, &error), 0);
    assert_int_equal(back.type, in->type);
    return back;
}

static void orders_come_back(void **state)
{
    (void)state;
    struct wire_order in = {
        .type = WIRE_ORDER_WELCOME,
        .fence = UINT64_MAX,
        .heartbeat_ms = 5000,
        .instruction = {.key = a_key,
                        .fence = 7,
                        .cluster = "c",
                        .name = "swap",
                        .last = {.phase = 3, .step = UINT32_MAX, .attempt = 2}},
        .id = 9,
        .action = {.data = (const uint8_t *)"{}", .len = 2},
        .cluster = "c",
        .state_name = "c.app",
        .run = "r1",
    };
    struct wire_order back = order_round(&in);
    assert_true(back.fence == UINT64_MAX && back.heartbeat_ms == 5000);
    in.type = WIRE_ORDER_INSTRUCTION;
    back = order_round(&in);
    assert_memory_equal(&back.instruction.key, &a_key, sizeof(a_key));
    assert_true(back.instruction.fence == 7 && back.instruction.action.len == 0);
    assert_string_equal(back.instruction.name, "swap");
    assert_true(back.instruction.last.phase == 3 && back.instruction.last.step == UINT32_MAX &&
                back.instruction.last.attempt == 2);
    in.instruction.last.attempt = 0;
    assert_int_equal(order_round(&in).instruction.last.phase, 0);
    in.type = WIRE_ORDER_OBSERVE;
    in.left_ms = 7000;
    back = order_round(&in);
    assert_true(back.id == 9 && back.action.len == 2 && back.left_ms == 7000);
    assert_memory_equal(back.action.data, "{}", 2);
    assert_string_equal(back.state_name, "c.app");
    in.left_ms = INT64_MAX;
    assert_true(order_round(&in).left_ms == LIMIT_DURATION_MS);
    in.type = WIRE_ORDER_UNOBSERVE;
    assert_true(order_round(&in).id == 9);
    in.type = WIRE_ORDER_FORGET;
    back = order_round(&in);
    assert_string_equal(back.run, "r1");
    assert_true(back.fence == UINT64_MAX);
    in.type = WIRE_ORDER_WATCH;
    back = order_round(&in);
    assert_true(str_equal(back.run, "r1") && back.action.len == 2);
    assert_string_equal(back.state_name, "c.app");
}

static void refuses_an_unknown_kind(void **state)
{
    (void)state;
    static const uint8_t newer[] = {0xfa, 0x06, 0x00}; /* field 111, an empty message */
    struct bytes bytes = {.data = newer, .len = sizeof(newer)};
    struct wire_order order;
    struct wire_report report;
    assert_int_equal(wire_order_unpack(&arena, bytes, &order, &error), E_INVALID);
    assert_non_null(strstr(error.message, "a newer controller?"));
    assert_int_equal(wire_report_unpack(&arena, bytes, &report, &error), E_INVALID);
    assert_non_null(strstr(error.message, "a newer agent?"));
    bytes.len = 0;
    assert_int_equal(wire_report_unpack(&arena, bytes, &report, &error), E_INVALID);
}

static void makes_valid_utf8_of_any_log(void **state)
{
    (void)state;
    const char *good = "gr\xc3\xb6\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80";
    assert_ptr_equal(wire_text(&arena, good), good);
    assert_string_equal(wire_text(&arena, NULL), "");
    assert_string_equal(wire_text(&arena, "a\xff"
                                          "b\xc3"),
                        "a?b?");
    assert_string_equal(wire_text(&arena, "\xed\xa0\x80"), "???"); /* a surrogate */
    assert_string_equal(wire_text(&arena, "\xc0\x80\xf4\x90\x80\x80"), "??????");
}

static void a_long_log_keeps_its_end(void **state)
{
    (void)state;
    char *log = arena_alloc(&arena, LIMIT_FACTS_BYTES * 2);
    memset(log, 'x', LIMIT_FACTS_BYTES * 2 - 2);
    log[LIMIT_FACTS_BYTES * 2 - 2] = 'z';
    const struct outcome outcome = {.message = log, .log_tail = log, .facts = log};
    Lockstep__V1__Outcome message;
    wire_outcome_to(&arena, &outcome, LIMIT_FACTS_BYTES, &message);
    assert_int_equal(strlen(message.log_tail), LIMIT_LOG_TAIL_BYTES - 1);
    assert_int_equal(message.log_tail[LIMIT_LOG_TAIL_BYTES - 2], 'z');
    assert_int_equal(strlen(message.message), LIMIT_ERROR_BYTES - 1);
    assert_string_equal(message.facts, "");
}

static size_t facts_after(enum wire_report_type type, size_t len)
{
    char *facts = arena_alloc(&arena, len + 1);
    memset(facts, 'x', len);
    const struct wire_report in = {
        .type = type, .key = a_key, .id = 9, .outcome = {.message = "", .facts = facts}};
    struct wire_report out;
    struct bytes packed;
    assert_int_equal(wire_report_pack(&arena, &in, &packed, &error), 0);
    assert_int_equal(wire_report_unpack(&arena, packed, &out, &error), 0);
    return out.outcome.facts != NULL ? strlen(out.outcome.facts) : 0;
}

static void an_observation_finds_more_than_a_step_may(void **state)
{
    (void)state;
    assert_int_equal(facts_after(WIRE_REPORT_ENDED, LIMIT_FACTS_BYTES - 1), LIMIT_FACTS_BYTES - 1);
    assert_int_equal(facts_after(WIRE_REPORT_ENDED, LIMIT_FACTS_BYTES), 0);
    assert_int_equal(facts_after(WIRE_REPORT_OBSERVED, LIMIT_OBSERVED_BYTES - 1),
                     LIMIT_OBSERVED_BYTES - 1);
    assert_int_equal(facts_after(WIRE_REPORT_OBSERVED, LIMIT_OBSERVED_BYTES), 0);
}

static void progress_is_a_steps_or_an_observations(void **state)
{
    (void)state;
    struct wire_report in = {
        .type = WIRE_REPORT_PROGRESS, .key = a_key, .done = 3, .total = 4, .text = "t"};
    struct wire_report out;
    struct bytes packed;
    assert_int_equal(wire_report_pack(&arena, &in, &packed, &error), 0);
    assert_int_equal(wire_report_unpack(&arena, packed, &out, &error), 0);
    assert_true(out.id == 0 && out.done == 3);
    assert_memory_equal(&out.key, &a_key, sizeof(a_key));
    in.id = 9;
    assert_int_equal(wire_report_pack(&arena, &in, &packed, &error), 0);
    assert_int_equal(wire_report_unpack(&arena, packed, &out, &error), 0);
    assert_true(out.id == 9 && out.total == 4 && out.key.run[0] == '\0');
}

/* Two bytes of an unknown field cost far more than two bytes: the budget ends that. */
/* Texts of people too: another one's terminal shows them. Repeated ones, ones in a message in a message, one of a oneof. */
static void no_text_that_came_speaks_to_a_terminal(void **state)
{
    (void)state;
    struct error e = {0};
    struct bytes packed = {0};
    const ProtobufCMessage *m = NULL;
    char *names[] = {"main\x1b[2J", "a\tb\nc"};
    Lockstep__V1__File file = LOCKSTEP__V1__FILE__INIT;
    Lockstep__V1__File *files[] = {&file};
    Lockstep__V1__Bundle bundle = LOCKSTEP__V1__BUNDLE__INIT;
    Lockstep__V1__RehearseRequest request = LOCKSTEP__V1__REHEARSE_REQUEST__INIT;
    file.name = "\xc2\x9b\x7f.yaml";
    file.text = (ProtobufCBinaryData){.data = (uint8_t *)"\x1b", .len = 1};
    bundle.files = files;
    bundle.n_files = 1;
    request.bundle = &bundle;
    request.databases = names;
    request.n_databases = ARRAY_SIZE(names);
    assert_int_equal(wire_pack(&arena, &request.base, &packed, &e), 0);
    assert_int_equal(
        wire_unpack(&arena, &lockstep__v1__rehearse_request__descriptor, packed, &m, &e), 0);
    const Lockstep__V1__RehearseRequest *came = (const Lockstep__V1__RehearseRequest *)m;
    assert_string_equal(came->databases[0], "main?[2J");
    assert_string_equal(came->databases[1], "a\tb\nc");
    assert_string_equal(came->bundle->files[0]->name, "???.yaml");
    assert_int_equal(came->bundle->files[0]->text.data[0], 0x1b);

    Lockstep__V1__WatchLine line = LOCKSTEP__V1__WATCH_LINE__INIT;
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    line.text = "\x1b]0;x\a";
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_LINE;
    event.line = &line;
    assert_int_equal(wire_pack(&arena, &event.base, &packed, &e), 0);
    assert_int_equal(wire_unpack(&arena, &lockstep__v1__watch_event__descriptor, packed, &m, &e),
                     0);
    assert_string_equal(((const Lockstep__V1__WatchEvent *)m)->line->text, "?]0;x?");
}

static void a_small_frame_cannot_blow_up(void **state)
{
    (void)state;
    struct arena own;
    arena_init(&own);
    size_t len = 1024 * 1024;
    uint8_t *data = arena_alloc(&arena, len);
    for (size_t i = 0; i < len; i += 2) {
        data[i] = 0x78; /* field 15, varint */
        data[i + 1] = 0;
    }
    struct wire_report report;
    assert_int_equal(
        wire_report_unpack(&own, (struct bytes){.data = data, .len = len}, &report, &error),
        E_INVALID);
    assert_true(own.bytes <= len * 33);
    /* a oneof that is said again and again */
    for (size_t i = 0; i < len; i += 2) {
        data[i] = 0x0a;
    }
    (void)wire_report_unpack(&own, (struct bytes){.data = data, .len = len}, &report, &error);
    assert_true(own.bytes <= len * 33 * 2);
    arena_deinit(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_come_back, begin_test, end_test),
        cmocka_unit_test_setup_teardown(orders_come_back, begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_an_unknown_kind, begin_test, end_test),
        cmocka_unit_test_setup_teardown(makes_valid_utf8_of_any_log, begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_long_log_keeps_its_end, begin_test, end_test),
        cmocka_unit_test_setup_teardown(an_observation_finds_more_than_a_step_may, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(progress_is_a_steps_or_an_observations, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(no_text_that_came_speaks_to_a_terminal, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_small_frame_cannot_blow_up, begin_test, end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
