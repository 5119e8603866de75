/* The journals' records: what is written is read again, and what is not understood is refused whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/wire/fleet_record.h"
#include "lib/wire/record.h"
#include "proto/journal.pb-c.h"

static struct arena arena;
static struct error error;

static int begin_test(void **state)
{
    (void)state;
    arena_init(&arena);
    error = (struct error){0};
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static char log_text[LIMIT_LOG_TAIL_BYTES];

static struct outcome large_outcome(void)
{
    memset(log_text, 'l', sizeof(log_text) - 1);
    return (struct outcome){
        .status = OUTCOME_UNKNOWN,
        .code = INT32_MIN,
        .message = "größer",
        .log_tail = log_text,
        .facts = "{\"rows\":276}",
        .started_ms = INT64_MIN,
        .ended_ms = INT64_MAX,
    };
}

static void assert_outcome(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->message, b->message != NULL ? b->message : "");
    assert_true(str_equal(a->log_tail, b->log_tail));
    assert_true(str_equal(a->facts, b->facts));
    assert_true(a->started_ms == b->started_ms && a->ended_ms == b->ended_ms);
}

#define RUN_RECORDS 8
static void run_records(struct record ret[RUN_RECORDS])
{
    const struct step_key most = {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX, UINT32_MAX};
    ret[0] = (struct record){
        .type = RECORD_INTENT, .at_ms = INT64_MIN, .key = most, .deadline_ms = INT64_MAX};
    ret[1] = (struct record){.type = RECORD_INTENT};
    ret[2] = (struct record){.type = RECORD_OUTCOME, .key = most, .outcome = large_outcome()};
    ret[3] = (struct record){.type = RECORD_OUTCOME, .at_ms = 1};
    ret[4] = (struct record){
        .type = RECORD_STATE, .state = ROLLOUT_ABORTED, .why = "why", .who = "alice"};
    ret[5] = (struct record){.type = RECORD_STATE,
                             .state = ROLLOUT_INCOMPLETE,
                             .cause = CAUSE_WINDOW,
                             .roll_back = true};
    ret[6] = (struct record){.type = RECORD_WORD,
                             .key = most,
                             .word = WORD_APPROVE,
                             .deadline_ms = INT64_MIN,
                             .gate = "canary",
                             .why = "why",
                             .who = "bob"};
    ret[7] = (struct record){.type = RECORD_WORD};
}

static void records_of_a_run_come_back(void **state)
{
    (void)state;
    struct record records[RUN_RECORDS];
    run_records(records);
    for (size_t i = 0; i < RUN_RECORDS; i++) {
        const struct record *in = &records[i];
        struct bytes bytes;
        struct record back;
        assert_int_equal(wire_record_pack(&arena, in, &bytes, &error), 0);
        assert_int_equal(wire_record_unpack(&arena, bytes, &back, &error), 0);
        assert_int_equal(back.type, in->type);
        assert_true(back.at_ms == in->at_ms && back.deadline_ms == in->deadline_ms);
        assert_memory_equal(&back.key, &in->key, sizeof(back.key));
        assert_int_equal(back.state, in->state);
        assert_true(str_equal(back.why, in->why) && str_equal(back.who, in->who));
        assert_int_equal(back.cause, in->cause);
        assert_int_equal(back.word, in->word);
        assert_true(back.roll_back == in->roll_back && str_equal(back.gate, in->gate));
        if (in->type == RECORD_OUTCOME) {
            assert_outcome(&back.outcome, &in->outcome);
        }
    }
}

#define PLACE_RECORDS 6
static const struct instruction_key most_key = {
    .run = "0123456789abcdef0123456789abcdef", UINT32_MAX, UINT32_MAX, UINT32_MAX};
static struct wire_instruction an_instruction(void)
{
    return (struct wire_instruction){
        .key = most_key,
        .fence = UINT64_MAX,
        .cluster = "chat",
        .name = "migrate",
        .state_name = "chat.mattermost",
        .action = {.data = (const uint8_t *)"{\"a\":\0}", .len = 7},
        .left_ms = 77,
        .known = UINT32_MAX,
        .deadline_ms = INT64_MAX,
    };
}

static void place_records(struct agent_record ret[PLACE_RECORDS])
{
    ret[0] = (struct agent_record){.type = AGENT_RECORD_FENCE, .fence = UINT64_MAX, .at_ms = -1};
    ret[1] = (struct agent_record){.type = AGENT_RECORD_FENCE};
    ret[2] =
        (struct agent_record){.type = AGENT_RECORD_INTENT, .key = most_key, .fence = UINT64_MAX};
    ret[2].known = UINT32_MAX;
    ret[3] = (struct agent_record){
        .type = AGENT_RECORD_OUTCOME, .key = most_key, .outcome = large_outcome()};
    ret[4] = (struct agent_record){.type = AGENT_RECORD_FORGET, .key = {.run = "x"}};
    ret[5] = (struct agent_record){.type = AGENT_RECORD_OVER, .key = {.run = "x"}, .fence = 8};
}

static void records_of_a_place_come_back(void **state)
{
    (void)state;
    struct agent_record records[PLACE_RECORDS];
    place_records(records);
    const struct wire_instruction instruction = an_instruction();
    for (size_t i = 0; i < PLACE_RECORDS; i++) {
        const struct agent_record *in = &records[i];
        struct bytes bytes;
        struct agent_record back;
        struct wire_instruction again;
        assert_int_equal(wire_place_record_pack(&arena, in, &instruction, &bytes, &error), 0);
        assert_int_equal(wire_place_record_unpack(&arena, bytes, &back, &again, &error), 0);
        assert_int_equal(back.type, in->type);
        assert_true(back.at_ms == in->at_ms && back.fence == in->fence && back.known == in->known);
        assert_string_equal(back.key.run, in->key.run);
        assert_true(back.key.phase == in->key.phase && back.key.step == in->key.step &&
                    back.key.attempt == in->key.attempt);
        if (in->type == AGENT_RECORD_OUTCOME) {
            assert_outcome(&back.outcome, &in->outcome);
        }
        if (in->type == AGENT_RECORD_INTENT) {
            assert_string_equal(again.cluster, "chat");
            assert_string_equal(again.name, "migrate");
            assert_string_equal(again.state_name, "chat.mattermost");
            assert_int_equal(again.action.len, 7);
            assert_memory_equal(again.action.data, "{\"a\":\0}", 7);
            assert_true(again.deadline_ms == INT64_MAX && again.left_ms == 77 &&
                        again.known == in->known && again.fence == UINT64_MAX);
        }
    }
}

#define FLEET_RECORDS 6
static void fleet_records(struct fleet_record ret[FLEET_RECORDS])
{
    ret[0] = (struct fleet_record){.type = FLEET_RECORD_MEMBER,
                                   .at_ms = INT64_MIN,
                                   .member = UINT32_MAX,
                                   .member_state = MEMBER_RUNNING,
                                   .attempt = UINT32_MAX,
                                   .way = {"plan", "application", "1.0.0", "größer"}};
    ret[1] = (struct fleet_record){.type = FLEET_RECORD_MEMBER,
                                   .member_state = MEMBER_LEFT,
                                   .way = {"", "", "", ""},
                                   .run = "run",
                                   .why = "why",
                                   .who = "anna"};
    ret[2] = (struct fleet_record){.type = FLEET_RECORD_STATE,
                                   .state = FLEET_ABORTED,
                                   .stage = UINT32_MAX,
                                   .until_ms = INT64_MAX,
                                   .why = "why",
                                   .who = "anna"};
    ret[3] = (struct fleet_record){.type = FLEET_RECORD_STATE};
    ret[4] = (struct fleet_record){
        .type = FLEET_RECORD_APPROVAL, .stage = 7, .why = "why", .who = "anna"};
    ret[5] = (struct fleet_record){.type = FLEET_RECORD_APPROVAL};
}

static void records_of_a_fleet_come_back(void **state)
{
    (void)state;
    struct fleet_record records[FLEET_RECORDS];
    fleet_records(records);
    for (size_t i = 0; i < FLEET_RECORDS; i++) {
        const struct fleet_record *in = &records[i];
        struct bytes bytes;
        struct fleet_record back;
        assert_int_equal(wire_fleet_record_pack(&arena, in, &bytes, &error), 0);
        assert_int_equal(wire_fleet_record_unpack(&arena, bytes, &back, &error), 0);
        assert_int_equal(back.type, in->type);
        assert_true(back.at_ms == in->at_ms && back.until_ms == in->until_ms);
        assert_true(back.member == in->member && back.attempt == in->attempt);
        assert_int_equal(back.member_state, in->member_state);
        assert_true(back.state == in->state && back.stage == in->stage);
        assert_true(str_equal(back.way.plan_id, in->way.plan_id) &&
                    str_equal(back.way.application, in->way.application) &&
                    str_equal(back.way.from, in->way.from) && str_equal(back.way.to, in->way.to));
        assert_true(str_equal(back.run, in->run) && str_equal(back.why, in->why) &&
                    str_equal(back.who, in->who));
    }
}

static void expect_fleet_refused(const Lockstep__V1__FleetRecord *message, const char *words)
{
    struct bytes bytes;
    struct fleet_record record;
    assert_int_equal(wire_pack(&arena, &message->base, &bytes, &error), 0);
    assert_int_equal(wire_fleet_record_unpack(&arena, bytes, &record, &error), E_INVALID);
    assert_non_null(strstr(error.message, words));
}

static void refuses_a_record_of_a_fleet_that_a_newer_program_wrote(void **state)
{
    (void)state;
    Lockstep__V1__FleetRecord message = LOCKSTEP__V1__FLEET_RECORD__INIT;
    Lockstep__V1__FleetMemberRecord member = LOCKSTEP__V1__FLEET_MEMBER_RECORD__INIT;
    Lockstep__V1__FleetStateRecord fleet_state = LOCKSTEP__V1__FLEET_STATE_RECORD__INIT;
    message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD_STATE;
    message.state = &fleet_state;
    expect_fleet_refused(&message, "version 0");
    message.version = WIRE_RECORD_VERSION;
    fleet_state.state = FLEET_STATES;
    expect_fleet_refused(&message, "state 9");
    message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD_MEMBER;
    message.member = &member;
    member.state = MEMBER_STATES;
    expect_fleet_refused(&message, "state 6");
    member.state = 0;
    ProtobufCMessageUnknownField field = {
        .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = (uint8_t[]){1}};
    member.base.n_unknown_fields = 1;
    member.base.unknown_fields = &field;
    expect_fleet_refused(&message, "a part that is not known");
    message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD__NOT_SET;
    expect_fleet_refused(&message, "its kind is not known");
}

static void expect_refused(const Lockstep__V1__RunRecord *message, const char *words)
{
    struct bytes bytes;
    struct record record;
    assert_int_equal(wire_pack(&arena, &message->base, &bytes, &error), 0);
    assert_int_equal(wire_record_unpack(&arena, bytes, &record, &error), E_INVALID);
    assert_non_null(strstr(error.message, words));
}

static void refuses_what_a_newer_program_wrote(void **state)
{
    (void)state;
    Lockstep__V1__RunRecord message = LOCKSTEP__V1__RUN_RECORD__INIT;
    Lockstep__V1__RunState run_state = LOCKSTEP__V1__RUN_STATE__INIT;
    message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_STATE;
    message.state = &run_state;
    expect_refused(&message, "version 0");
    message.version = WIRE_RECORD_VERSION + 1;
    expect_refused(&message, "version 3");
    message.version = WIRE_RECORD_VERSION;
    run_state.state = ROLLOUT_STATES;
    expect_refused(&message, "state 9");
    run_state.state = 0;
    run_state.cause = CAUSES;
    expect_refused(&message, "cause 8");
    run_state.cause = 0;
    Lockstep__V1__RunWord word = LOCKSTEP__V1__RUN_WORD__INIT;
    Lockstep__V1__RunStep step = LOCKSTEP__V1__RUN_STEP__INIT;
    word.word = WORDS;
    word.step = &step;
    message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_WORD;
    message.word = &word;
    expect_refused(&message, "word 8");
    word.word = 0;
    word.step = NULL;
    expect_refused(&message, "it names no step");
    message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_STATE;
    message.state = &run_state;
    /* a field with number 99, on top and inside */
    ProtobufCMessageUnknownField field = {
        .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = (uint8_t[]){1}};
    message.base.n_unknown_fields = 1;
    message.base.unknown_fields = &field;
    expect_refused(&message, "a part that is not known");
    message.base.n_unknown_fields = 0;
    run_state.base.n_unknown_fields = 1;
    run_state.base.unknown_fields = &field;
    expect_refused(&message, "a part that is not known");
    message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD__NOT_SET;
    expect_refused(&message, "its kind is not known");
    Lockstep__V1__RunOutcome no_outcome = LOCKSTEP__V1__RUN_OUTCOME__INIT;
    message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_OUTCOME;
    message.outcome = &no_outcome;
    expect_refused(&message, "it names no step");
}

static void refuses_a_status_and_a_run_that_cannot_be(void **state)
{
    (void)state;
    Lockstep__V1__Outcome outcome = LOCKSTEP__V1__OUTCOME__INIT;
    struct outcome back;
    outcome.status = 3;
    assert_int_equal(wire_outcome_from(&outcome, &back, &error), E_INVALID);
    Lockstep__V1__Key key = LOCKSTEP__V1__KEY__INIT;
    struct instruction_key key_back;
    key.run = (char[]){"0123456789abcdef0123456789abcdef0"};
    assert_int_equal(wire_key_from(&key, &key_back, &error), E_INVALID);
    key.run[32] = '\0';
    assert_int_equal(wire_key_from(&key, &key_back, &error), 0);
}

static void refuses_a_record_past_its_limit(void **state)
{
    (void)state;
    struct wire_instruction instruction = an_instruction();
    const struct agent_record record = {.type = AGENT_RECORD_INTENT, .key = most_key};
    uint8_t *action = arena_alloc(&arena, LIMIT_RECORD_BYTES);
    struct bytes bytes;
    instruction.action = (struct bytes){.data = action, .len = LIMIT_RECORD_BYTES};
    assert_int_equal(wire_place_record_pack(&arena, &record, &instruction, &bytes, &error),
                     E_LIMIT);
    instruction.action.len -= 200;
    assert_int_equal(wire_place_record_pack(&arena, &record, &instruction, &bytes, &error), 0);
    struct record back;
    bytes = (struct bytes){.data = action, .len = LIMIT_RECORD_BYTES + 1};
    assert_int_equal(wire_record_unpack(&arena, bytes, &back, &error), E_LIMIT);
}

/* What a reader sees of a record when it is accepted must be readable to its end. */
static void read_whatever(struct bytes bytes)
{
    struct arena own;
    arena_init(&own);
    struct record record;
    struct agent_record place_record;
    struct fleet_record fleet_record;
    struct wire_instruction instruction = {0};
    size_t sum = 0;
    if (wire_fleet_record_unpack(&own, bytes, &fleet_record, &error) == 0 &&
        fleet_record.type == FLEET_RECORD_MEMBER) {
        sum += strlen(fleet_record.way.from) + strlen(fleet_record.way.plan_id);
    }
    if (wire_record_unpack(&own, bytes, &record, &error) == 0 && record.type == RECORD_OUTCOME) {
        sum += strlen(record.outcome.message);
        sum += record.outcome.log_tail != NULL ? strlen(record.outcome.log_tail) : 0;
    }
    if (wire_place_record_unpack(&own, bytes, &place_record, &instruction, &error) == 0 &&
        place_record.type == AGENT_RECORD_INTENT) {
        sum += strlen(instruction.cluster) + strlen(instruction.key.run);
    }
    assert_true(sum <= bytes.len * 2);
    assert_true(own.bytes <= bytes.len * 64 + (size_t)64 * 1024);
    arena_deinit(&own);
}

static void truncated_and_mutated_bytes_never_crash(void **state)
{
    (void)state;
    struct record records[RUN_RECORDS];
    struct agent_record places[PLACE_RECORDS];
    const struct wire_instruction instruction = an_instruction();
    struct fleet_record fleets[FLEET_RECORDS];
    struct bytes packed[RUN_RECORDS + PLACE_RECORDS + FLEET_RECORDS];
    fleet_records(fleets);
    for (size_t i = 0; i < FLEET_RECORDS; i++) {
        wire_fleet_record_pack(&arena, &fleets[i], &packed[RUN_RECORDS + PLACE_RECORDS + i],
                               &error);
    }
    run_records(records);
    records[2].outcome.log_tail = "a log";
    place_records(places);
    places[3].outcome.log_tail = "a log";
    for (size_t i = 0; i < RUN_RECORDS; i++) {
        wire_record_pack(&arena, &records[i], &packed[i], &error);
    }
    for (size_t i = 0; i < PLACE_RECORDS; i++) {
        wire_place_record_pack(&arena, &places[i], &instruction, &packed[RUN_RECORDS + i], &error);
    }
    uint64_t seed = 0x10c45;
    for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
        for (size_t len = 0; len <= packed[i].len; len++) {
            /* of its own size, so that a sanitizer sees a byte too far */
            struct arena own;
            arena_init(&own);
            uint8_t *copy = (uint8_t *)arena_strndup(&own, (const char *)packed[i].data, len);
            read_whatever((struct bytes){.data = copy, .len = len});
            for (int round = 0; round < 20 && len > 0; round++) {
                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                copy[(seed >> 33) % len] = (uint8_t)(seed >> 20);
                read_whatever((struct bytes){.data = copy, .len = len});
            }
            arena_deinit(&own);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_of_a_run_come_back, begin_test, end_test),
        cmocka_unit_test_setup_teardown(records_of_a_place_come_back, begin_test, end_test),
        cmocka_unit_test_setup_teardown(records_of_a_fleet_come_back, begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_a_record_of_a_fleet_that_a_newer_program_wrote,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_what_a_newer_program_wrote, begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_a_status_and_a_run_that_cannot_be, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(refuses_a_record_past_its_limit, begin_test, end_test),
        cmocka_unit_test_setup_teardown(truncated_and_mutated_bytes_never_crash, begin_test,
                                        end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
