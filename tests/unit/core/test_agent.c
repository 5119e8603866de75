/* The agent machine alone, event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/error.h"
#include "lib/core/agent.h"

static struct arena arena;
static struct agent_machine *m;
static struct agent_effects out;
static char seen[64 * 1024];
static struct outcome last_report; /* strings die with the next step */
static char last_message[LIMIT_ERROR_BYTES];

static int begin_test(void **state)
{
    (void)state;
    arena_init(&arena);
    m = agent_new(&arena);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    agent_free(m);
    arena_deinit(&arena);
    return 0;
}

static const char *name_of(const struct agent_effect *e)
{
    switch (e->type) {
    case AGENT_EFFECT_RECORD:
        switch (e->record.type) {
        case AGENT_RECORD_FENCE:
            return "fence";
        case AGENT_RECORD_INTENT:
            return "intent";
        case AGENT_RECORD_OUTCOME:
            return "outcome";
        case AGENT_RECORD_OVER:
            return "over";
        case AGENT_RECORD_FORGET:
            return "forget";
        }
        return "?";
    case AGENT_EFFECT_ACT:
        return "act";
    case AGENT_EFFECT_ATTACH:
        return "attach";
    case AGENT_EFFECT_REPORT:
        return outcome_status_name(e->outcome->status);
    case AGENT_EFFECT_BUSY:
        return "busy";
    }
    return "?";
}

static const char *step(struct agent_event event)
{
    seen[0] = '\0';
    do {
        agent_step(m, &event, &out);
        for (size_t i = 0; i < out.count; i++) {
            const struct agent_effect *e = &out.items[i];
            size_t len = strlen(seen);
            snprintf(seen + len, sizeof(seen) - len, "%s%s:%u.%u#%u", len > 0 ? " " : "",
                     name_of(e), (unsigned)e->key.phase, (unsigned)e->key.step,
                     (unsigned)e->key.attempt);
            if (e->type == AGENT_EFFECT_REPORT) {
                last_report = *e->outcome;
                snprintf(last_message, sizeof(last_message), "%s",
                         e->outcome->message != NULL ? e->outcome->message : "");
            }
        }
        event = (struct agent_event){.type = AGENT_EVENT_DURABLE, .number = 0};
    } while (out.more);
    return seen;
}

static struct instruction_key key(const char *run, uint32_t phase, uint32_t s, uint32_t attempt)
{
    struct instruction_key k = {.phase = phase, .step = s, .attempt = attempt};
    memcpy(k.run, run, strlen(run));
    return k;
}

static const char *instruct(uint64_t fence, uint32_t s, uint32_t attempt)
{
    return step((struct agent_event){
        .type = AGENT_EVENT_INSTRUCTION, .key = key("a", 0, s, attempt), .fence = fence});
}

static const char *durable(uint64_t number)
{
    return step((struct agent_event){.type = AGENT_EVENT_DURABLE, .number = number});
}

static const char *acted(uint32_t s, uint32_t attempt, enum outcome_status status)
{
    struct outcome outcome = {.status = status, .message = "so", .facts = "{}"};
    return step((struct agent_event){
        .type = AGENT_EVENT_ACTED, .key = key("a", 0, s, attempt), .outcome = &outcome});
}

static const char *lost(uint32_t s, uint32_t attempt, bool once)
{
    return step((struct agent_event){
        .type = AGENT_EVENT_LOST, .key = key("a", 0, s, attempt), .once = once});
}

static const char *resume(void)
{
    return step((struct agent_event){.type = AGENT_EVENT_RESUME});
}

static const char *replay(enum agent_record_type type, uint32_t s, uint32_t attempt)
{
    const struct agent_record record = {
        .type = type, .key = key("a", 0, s, attempt), .outcome = {.message = "so"}};
    return step((struct agent_event){.type = AGENT_EVENT_REPLAY, .record = &record});
}

static void acts_when_the_intent_is_durable_and_reports_when_the_outcome_is(void **state)
{
    (void)state;
    resume();
    assert_string_equal(instruct(5, 1, 1), "fence:0.0#0 intent:0.1#1");
    assert_int_equal(out.items[1].number, 2);
    assert_int_equal(out.items[1].record.fence, 5);
    assert_string_equal(durable(1), "");
    assert_string_equal(durable(2), "act:0.1#1");
    assert_string_equal(durable(2), "");
    assert_string_equal(acted(1, 1, OUTCOME_DONE), "outcome:0.1#1");
    assert_string_equal(durable(3), "done:0.1#1");
    assert_string_equal(last_message, "so");
    assert_int_equal(agent_under_way(m), 0);
}

static void answers_a_repeated_instruction_and_does_not_act_again(void **state)
{
    (void)state;
    resume();
    instruct(5, 1, 1);
    assert_string_equal(instruct(5, 1, 1), "busy:0.1#1");
    durable(2);
    assert_string_equal(instruct(5, 1, 1), "busy:0.1#1");
    acted(1, 1, OUTCOME_FAILED);
    assert_string_equal(instruct(5, 1, 1), "busy:0.1#1"); /* not durable yet */
    durable(3);
    assert_string_equal(instruct(5, 1, 1), "failed:0.1#1");
    assert_string_equal(acted(1, 1, OUTCOME_DONE), "");
    assert_string_equal(instruct(5, 1, 2), "intent:0.1#2");
    assert_string_equal(durable(4), "act:0.1#2");
}

static void refuses_an_old_fence_and_names_both(void **state)
{
    (void)state;
    resume();
    assert_string_equal(step((struct agent_event){.type = AGENT_EVENT_FENCE, .fence = 7}),
                        "fence:0.0#0");
    assert_string_equal(step((struct agent_event){.type = AGENT_EVENT_FENCE, .fence = 6}), "");
    assert_string_equal(instruct(6, 1, 1), "failed:0.1#1");
    assert_int_equal(last_report.code, E_DENIED);
    assert_non_null(strstr(last_message, "fence 6"));
    assert_non_null(strstr(last_message, "seen 7"));
    assert_string_equal(instruct(7, 1, 1), "intent:0.1#1"); /* the refusal was not remembered */
    assert_int_equal(agent_fence(m), 7);
}

static void attaches_after_a_restart_before_anything_else(void **state)
{
    (void)state;
    replay(AGENT_RECORD_INTENT, 1, 1);
    replay(AGENT_RECORD_INTENT, 2, 1);
    replay(AGENT_RECORD_OUTCOME, 2, 1);
    replay(AGENT_RECORD_INTENT, 3, 1);
    assert_string_equal(resume(), "attach:0.1#1 attach:0.3#1");
    assert_string_equal(lost(1, 1, true), "outcome:0.1#1");
    assert_string_equal(durable(1), "unknown:0.1#1");
    assert_non_null(strstr(last_message, "may or may not have run"));
    assert_string_equal(instruct(5, 3, 1), "fence:0.0#0 busy:0.3#1"); /* while it is looked for */
    assert_string_equal(lost(3, 1, false), "act:0.3#1");
    assert_string_equal(lost(3, 1, false), "");
    assert_string_equal(step((struct agent_event){.type = AGENT_EVENT_CONNECTED}),
                        "unknown:0.1#1 done:0.2#1");
}

static void begins_nothing_from_its_journal_alone(void **state)
{
    (void)state;
    replay(AGENT_RECORD_INTENT, 1, 1);
    replay(AGENT_RECORD_INTENT, 1, 2);
    resume();
    step((struct agent_event){.type = AGENT_EVENT_FENCE, .fence = 7});
    assert_string_equal(lost(1, 1, false), "");
    assert_string_equal(step((struct agent_event){.type = AGENT_EVENT_CONNECTED}),
                        "busy:0.1#1 busy:0.1#2");
    assert_string_equal(instruct(6, 1, 1), "failed:0.1#1"); /* an old controller's question */
    assert_int_equal(last_report.code, E_DENIED);
    assert_string_equal(instruct(7, 1, 2), "act:0.1#2");
    assert_string_equal(instruct(7, 1, 2), "busy:0.1#2");
    assert_string_equal(acted(1, 2, OUTCOME_DONE), "outcome:0.1#2");
    assert_string_equal(step((struct agent_event){
                            .type = AGENT_EVENT_FORGET, .key = key("a", 0, 0, 0), .fence = 7}),
                        "outcome:0.1#1"); /* nobody asked for it: it is not begun */
    assert_string_equal(durable(3), "done:0.1#2 failed:0.1#1");
    assert_int_equal(last_report.code, E_CANCELLED);
}

static const char *instruct_once(uint32_t s, uint32_t attempt, uint32_t last_step)
{
    return step((struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                     .key = key("a", 0, s, attempt),
                                     .fence = 1,
                                     .last = {.step = last_step, .attempt = 1},
                                     .once = true});
}

static void a_once_step_is_unknown_where_the_journal_went_back(void **state)
{
    (void)state;
    replay(AGENT_RECORD_OUTCOME, 1, 1);
    replay(AGENT_RECORD_INTENT, 5, 1);
    resume();
    lost(5, 1, false);
    assert_string_equal(instruct_once(2, 1, 1), "fence:0.0#0 intent:0.2#1"); /* it remembers 0.1 */
    assert_string_equal(instruct_once(3, 1, 4), "outcome:0.3#1");            /* … and not 0.4 */
    assert_string_equal(durable(3), "act:0.2#1 unknown:0.3#1");
    assert_int_equal(last_report.code, E_UNKNOWN);
    assert_non_null(strstr(last_message, "does not remember step 0.4"));
    assert_string_equal(instruct_once(3, 1, 4), "unknown:0.3#1");
    assert_string_equal(instruct_once(3, 2, 4), "intent:0.3#2");  /* a person has looked */
    assert_string_equal(instruct_once(5, 1, 4), "outcome:0.5#1"); /* LOST, and asked for */
    assert_string_equal(durable(5), "act:0.3#2 unknown:0.5#1");
}

static void another_attempt_waits_for_the_one_under_way(void **state)
{
    (void)state;
    resume();
    instruct(1, 1, 1);
    durable(2);
    instruct(1, 1, 2);
    assert_string_equal(durable(3), "");
    assert_string_equal(instruct(1, 1, 2), "busy:0.1#2");
    instruct(1, 1, 3);
    assert_string_equal(durable(4), "");
    assert_string_equal(acted(1, 1, OUTCOME_FAILED), "outcome:0.1#1 act:0.1#2");
    assert_string_equal(acted(1, 2, OUTCOME_DONE), "outcome:0.1#2 outcome:0.1#3");
    assert_string_equal(durable(7), "failed:0.1#1 done:0.1#2 done:0.1#3");
    instruct(1, 1, 4); /* the controller has not heard of the DONE */
    assert_string_equal(durable(8), "outcome:0.1#4");
}

static const char *instruct_again(uint32_t s, uint32_t attempt, uint32_t known)
{
    return step((struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                     .key = key("a", 0, s, attempt),
                                     .fence = 1,
                                     .known = known});
}

static void acts_again_when_the_controller_knows_the_done_and_wants_it_repeated(void **state)
{
    (void)state;
    resume();
    instruct(1, 1, 1);
    durable(2);
    acted(1, 1, OUTCOME_DONE);
    durable(3);
    assert_string_equal(instruct_again(1, 2, 1), "intent:0.1#2");
    assert_int_equal(out.items[0].record.known, 1);
    assert_string_equal(durable(4), "act:0.1#2");
    acted(1, 2, OUTCOME_DONE);
    durable(5);
    instruct_again(1, 3, 1); /* it has not heard of the second DONE */
    assert_string_equal(durable(6), "outcome:0.1#3");
}

static void acts_again_after_a_restart_too(void **state)
{
    (void)state;
    replay(AGENT_RECORD_INTENT, 1, 1);
    replay(AGENT_RECORD_OUTCOME, 1, 1);
    const struct agent_record record = {
        .type = AGENT_RECORD_INTENT, .key = key("a", 0, 1, 2), .known = 1};
    step((struct agent_event){.type = AGENT_EVENT_REPLAY, .record = &record});
    assert_string_equal(resume(), "attach:0.1#2");
    assert_string_equal(lost(1, 2, false), "");
    assert_string_equal(instruct_again(1, 2, 1), "fence:0.0#0 act:0.1#2");
}

static void refuses_more_under_way_than_the_limit_and_remembers_it(void **state)
{
    (void)state;
    resume();
    for (uint32_t i = 0; i < LIMIT_AGENT_INSTRUCTIONS; i++) {
        instruct(1, i, 1);
        durable(i + 2);
    }
    assert_int_equal(agent_under_way(m), LIMIT_AGENT_INSTRUCTIONS);
    assert_string_equal(instruct(1, 99, 1), "outcome:0.99#1");
    assert_string_equal(durable(LIMIT_AGENT_INSTRUCTIONS + 2), "failed:0.99#1");
    assert_int_equal(last_report.code, E_LIMIT);
    acted(0, 1, OUTCOME_DONE);
    assert_string_equal(instruct(1, 99, 1), "failed:0.99#1");
    assert_string_equal(instruct(1, 99, 2), "intent:0.99#2");
}

static const char *over(const char *run, uint64_t fence)
{
    return step(
        (struct agent_event){.type = AGENT_EVENT_FORGET, .key = key(run, 0, 0, 0), .fence = fence});
}

static void a_run_is_over_when_nothing_of_it_is_under_way(void **state)
{
    (void)state;
    resume();
    assert_string_equal(over("a", 1), "fence:0.0#0");
    instruct(1, 1, 1);
    durable(2);
    assert_string_equal(over("a", 1), "");
    acted(1, 1, OUTCOME_DONE);
    assert_string_equal(durable(3), "done:0.1#1");
    assert_string_equal(durable(3), "over:0.0#0");
    assert_string_equal(out.items[0].record.key.run, "a");
    assert_int_equal(out.items[0].record.fence, 1);
    assert_string_equal(over("a", 1), "");
    assert_string_equal(step((struct agent_event){.type = AGENT_EVENT_CONNECTED}), "");
    assert_string_equal(instruct(1, 2, 1), "failed:0.2#1");
    assert_int_equal(last_report.code, E_CANCELLED);
}

static void the_end_told_by_an_old_controller_is_not_heard(void **state)
{
    (void)state;
    resume();
    instruct(5, 1, 1);
    durable(2);
    acted(1, 1, OUTCOME_DONE);
    durable(3);
    step((struct agent_event){.type = AGENT_EVENT_FENCE, .fence = 6});
    assert_string_equal(over("a", 5), "");
    assert_string_equal(over("a", 6), "over:0.0#0");
}

static void a_run_that_an_old_controller_ended_is_answered_and_goes_on(void **state)
{
    (void)state;
    resume();
    instruct(5, 1, 1);
    durable(2);
    acted(1, 1, OUTCOME_DONE);
    durable(3);
    assert_string_equal(over("a", 5), "over:0.0#0"); /* its successor is not met yet */
    assert_string_equal(instruct(6, 1, 1), "fence:0.0#0 done:0.1#1");
    assert_string_equal(instruct(6, 2, 1), "intent:0.2#1");
    assert_string_equal(durable(6), "act:0.2#1");
    acted(2, 1, OUTCOME_DONE);
    assert_string_equal(durable(7), "done:0.2#1");
    assert_string_equal(over("a", 6), "over:0.0#0");
}

static void remembers_so_many_runs_that_are_over_and_no_more(void **state)
{
    (void)state;
    resume();
    for (uint32_t i = 0; i <= LIMIT_AGENT_RUNS_OVER; i++) {
        char run[2] = {(char)('a' + i), '\0'};
        step((struct agent_event){
            .type = AGENT_EVENT_INSTRUCTION, .key = key(run, 0, 1, 1), .fence = 1});
        durable(2 + 3 * i);
        struct outcome outcome = {.message = "so"};
        step((struct agent_event){
            .type = AGENT_EVENT_ACTED, .key = key(run, 0, 1, 1), .outcome = &outcome});
        durable(3 + 3 * i);
        assert_string_equal(over(run, 1), "over:0.0#0");
    }
    assert_int_equal(agent_remembered(m), LIMIT_AGENT_RUNS_OVER + 1);
    assert_string_equal(durable(3 + 3 * LIMIT_AGENT_RUNS_OVER), "forget:0.0#0");
    assert_string_equal(out.items[0].record.key.run, "a");
    assert_int_equal(agent_remembered(m), LIMIT_AGENT_RUNS_OVER);
}

static void begins_nothing_of_a_run_that_is_over(void **state)
{
    (void)state;
    resume();
    instruct(1, 1, 1);
    durable(2);
    instruct(1, 1, 2); /* waits for the first attempt */
    assert_string_equal(durable(3), "");
    instruct(1, 2, 1); /* its intent is not durable yet */
    over("a", 1);
    assert_string_equal(durable(4), "outcome:0.2#1");
    assert_string_equal(acted(1, 1, OUTCOME_FAILED), "outcome:0.1#1 outcome:0.1#2");
    assert_string_equal(durable(7), "failed:0.2#1 failed:0.1#1 failed:0.1#2");
    assert_int_equal(last_report.code, E_CANCELLED);
    assert_non_null(strstr(last_message, "run a is over"));
    assert_string_equal(durable(7), "over:0.0#0");
}

static void forgets_the_oldest_run_when_it_remembers_too_much(void **state)
{
    (void)state;
    struct agent_record record = {.type = AGENT_RECORD_OUTCOME};
    for (uint32_t i = 0; i < LIMIT_AGENT_OUTCOMES; i++) {
        record.key = key(i < 10 ? "old" : "new", 1, i, 1);
        step((struct agent_event){.type = AGENT_EVENT_REPLAY, .record = &record});
    }
    resume();
    assert_int_equal(agent_remembered(m), LIMIT_AGENT_OUTCOMES);
    struct agent_event event = {.type = AGENT_EVENT_INSTRUCTION, .key = key("new", 2, 1, 1)};
    assert_string_equal(step(event), "forget:0.0#0 intent:2.1#1");
    assert_string_equal(out.items[0].record.key.run, "old");
    for (uint32_t i = 2; i <= 10; i++) {
        event.key.step = i;
        step(event);
    }
    event.key.step = 11;
    assert_string_equal(step(event), "failed:2.11#1"); /* nothing is left to forget */
    assert_int_equal(last_report.code, E_LIMIT);
    assert_int_equal(agent_remembered(m), LIMIT_AGENT_OUTCOMES);
}

static void reports_all_that_ended_over_several_calls(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 500; i++) {
        replay(AGENT_RECORD_OUTCOME, i, 1);
    }
    resume();
    struct agent_event event = {.type = AGENT_EVENT_CONNECTED};
    size_t reports = 0;
    do {
        agent_step(m, &event, &out);
        reports += out.count;
        assert_true(out.count <= LIMIT_EFFECTS);
        event = (struct agent_event){.type = AGENT_EVENT_DURABLE};
    } while (out.more);
    assert_int_equal(reports, 500);
}

static void keeps_bounded_copies_of_strings(void **state)
{
    (void)state;
    static char text[LIMIT_LOG_TAIL_BYTES * 2];
    memset(text, 'x', sizeof(text) - 2);
    text[sizeof(text) - 2] = 'z';
    resume();
    instruct(1, 1, 1);
    durable(2);
    struct outcome outcome = {.message = text, .log_tail = text, .facts = text};
    step((struct agent_event){
        .type = AGENT_EVENT_ACTED, .key = key("a", 0, 1, 1), .outcome = &outcome});
    durable(3);
    assert_int_equal(strlen(last_report.message), LIMIT_ERROR_BYTES - 1);
    assert_int_equal(strlen(last_report.log_tail), LIMIT_LOG_TAIL_BYTES - 1);
    assert_int_equal(last_report.log_tail[LIMIT_LOG_TAIL_BYTES - 2], 'z');
    assert_null(last_report.facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            acts_when_the_intent_is_durable_and_reports_when_the_outcome_is, begin_test, end_test),
        cmocka_unit_test_setup_teardown(answers_a_repeated_instruction_and_does_not_act_again,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_an_old_fence_and_names_both, begin_test, end_test),
        cmocka_unit_test_setup_teardown(attaches_after_a_restart_before_anything_else, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(another_attempt_waits_for_the_one_under_way, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(
            acts_again_when_the_controller_knows_the_done_and_wants_it_repeated, begin_test,
            end_test),
        cmocka_unit_test_setup_teardown(acts_again_after_a_restart_too, begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_more_under_way_than_the_limit_and_remembers_it,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(begins_nothing_from_its_journal_alone, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_once_step_is_unknown_where_the_journal_went_back,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_run_is_over_when_nothing_of_it_is_under_way, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(the_end_told_by_an_old_controller_is_not_heard, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_run_that_an_old_controller_ended_is_answered_and_goes_on,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(remembers_so_many_runs_that_are_over_and_no_more,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(begins_nothing_of_a_run_that_is_over, begin_test, end_test),
        cmocka_unit_test_setup_teardown(forgets_the_oldest_run_when_it_remembers_too_much,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(reports_all_that_ended_over_several_calls, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(keeps_bounded_copies_of_strings, begin_test, end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
