/* What keeps a node from beginning: the budget of nodes that are down, failover pairs, and the pace of starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/core/rollout.h"
#include "tests/unit/core/plans.h"

#define MINUTE 60000LL

static struct arena arena;
static struct rollout *r;
static struct plan *plan;
static char seen[8192];
static int64_t now;
static struct record journal[256];
static size_t records;

static int begin_test(void **state UNUSED)
{
    arena_init(&arena);
    now = 0;
    records = 0;
    return 0;
}

static int end_test(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

static void say(const char *what, const struct step_key *key)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof(seen) - len, "%s%s%u.%u@%d", len > 0 ? " " : "", what,
             (unsigned)key->phase, (unsigned)key->step, (int)key->place + 1);
}

/* What is intended, and what is waited for. */
static const char *step(struct event event)
{
    static struct effects out;
    seen[0] = '\0';
    event.now_ms = now;
    do {
        rollout_step(r, &event, &out);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < out.count; i++) {
            const struct effect *e = &out.items[i];
            if (e->type == EFFECT_RECORD) {
                assert_true(records < ARRAY_SIZE(journal));
                journal[records++] = e->record;
            }
            if (e->type == EFFECT_RECORD && e->record.type == RECORD_INTENT) {
                say("", &e->record.key);
            } else if (e->type == EFFECT_RECORD && e->record.type == RECORD_STATE) {
                size_t len = strlen(seen);
                snprintf(seen + len, sizeof(seen) - len, "%s%s", len > 0 ? " " : "",
                         rollout_state_name(e->record.state));
            } else if (e->type == EFFECT_TELL && e->tell == TELL_WAITING) {
                size_t len = strlen(seen);
                snprintf(seen + len, sizeof(seen) - len, "%s[%s]", len > 0 ? " " : "", e->text);
            }
        }
    } while (out.more);
    return seen;
}

static const char *begin(void)
{
    return step((struct event){.type = EVENT_BEGIN});
}

static const char *well(uint32_t place, bool is)
{
    return step((struct event){.type = is ? EVENT_NODE_WELL : EVENT_NODE_UNWELL, .place = place});
}

static const char *connected(uint32_t place, bool is)
{
    return step((struct event){.type = is ? EVENT_PLACE_UP : EVENT_PLACE_DOWN, .place = place});
}

static const char *ended(uint32_t phase, uint32_t s, uint32_t place, enum outcome_status status)
{
    struct outcome outcome = {.status = status, .message = status == OUTCOME_DONE ? NULL : "no"};
    uint32_t attempt = rollout_place(r, place).attempt;
    return step(
        (struct event){.type = EVENT_OUTCOME,
                       .outcome = &outcome,
                       .key = {.phase = phase, .step = s, .place = place, .attempt = attempt}});
}

static const char *at(int64_t ms)
{
    now = ms;
    return step((struct event){.type = EVENT_TIME});
}

static void service(struct plans *p, const char *name, enum service_verb verb)
{
    struct plan_step *s = plans_step(p, name, NULL);
    s->deadline_ms = 10 * MINUTE;
    s->action = ARENA_NEW(&arena, struct action);
    s->action->service = ARENA_NEW(&arena, struct service_action);
    s->action->service->verb = verb;
}

/* A phase for each node, which stops and starts its service. */
static struct plans rolling(size_t nodes)
{
    struct plans p = plans_begin(&arena, nodes, nodes);
    for (size_t i = 0; i < nodes; i++) {
        int64_t set = plans_set(&p, arena_printf(&arena, "wave %zu", i + 1), i, 1);
        plans_phase(&p, "move", set, 0, true)->takes_down = true;
        service(&p, "stop", SERVICE_STOP);
        service(&p, "start", SERVICE_START);
    }
    plan = p.plan;
    return p;
}

static void make(size_t nodes)
{
    r = rollout_new(&arena, plan);
    for (uint32_t i = 0; i < nodes; i++) {
        connected(i, true);
    }
}

static void all_well(size_t nodes)
{
    for (uint32_t i = 0; i < nodes; i++) {
        well(i, true);
    }
}

static const char *moved(uint32_t node)
{
    ended(node, 0, node, OUTCOME_DONE);
    return ended(node, 1, node, OUTCOME_DONE);
}

static void a_node_that_died_by_itself_counts(void **state UNUSED)
{
    rolling(3).plan->max_unavailable = 1;
    make(3);
    all_well(3);
    assert_string_equal(begin(), "running 0.0@1");
    assert_string_equal(well(2, false), "");
    assert_string_equal(
        moved(0),
        "[app-2 waits: 1 of 3 nodes are down (app-3: its service does not run) and "
        "max_unavailable is 1; it goes on when they are well, or abort and apply again: a "
        "new plan takes them first]");
    assert_non_null(strstr(rollout_held(r), "app-2 waits"));
    assert_string_equal(well(2, true), "1.0@2");
    assert_null(rollout_held(r));
    /* The one that died moves at last: it costs nothing. */
    well(2, false);
    assert_string_equal(moved(1), "2.0@3");
    assert_string_equal(moved(2), "succeeded");
}

static void a_node_that_was_taken_down_is_well_when_its_phase_is_done(void **state UNUSED)
{
    rolling(2).plan->max_unavailable = 1;
    make(2);
    all_well(2);
    begin();
    well(0, false); /* its agent sees what the stop did */
    assert_string_equal(moved(0), "1.0@2");
}

static void a_node_that_was_left_behind_counts_while_it_is_down(void **state UNUSED)
{
    for (int64_t budget = 1; budget <= 2; budget++) {
        struct plans p = rolling(3);
        p.plan->max_unavailable = budget;
        p.plan->failures_nodes = 1;
        make(3);
        all_well(3);
        begin();
        ended(0, 0, 0, OUTCOME_DONE);
        well(0, false);
        const char *then = ended(0, 1, 0, OUTCOME_FAILED);
        assert_int_equal(rollout_left_behind(r), 1);
        if (budget == 2) {
            assert_string_equal(then, "1.0@2");
            continue;
        }
        assert_non_null(strstr(then, "[app-2 waits: 1 of 3 nodes are down (app-1: its service "));
        /* Mended by hand: it is still left behind, and nobody misses it. */
        assert_string_equal(well(0, true), "1.0@2");
        well(0, false);
        assert_non_null(strstr(moved(1), "[app-3 waits: 1 of 3 nodes are down (app-1: "));
        connected(0, false); /* nor does it count twice */
        assert_non_null(strstr(rollout_held(r), "1 of 3 nodes are down"));
        connected(0, true);
        assert_string_equal(well(0, true), "2.0@3");
        assert_string_equal(moved(2), "incomplete");
    }
}

static void a_missing_agent_is_no_evidence_that_a_node_is_well(void **state UNUSED)
{
    rolling(3).plan->max_unavailable = 1;
    make(3);
    assert_non_null(strstr(begin(), "(app-2: its agent has not said yet how it is, app-3: "));
    well(1, true);
    assert_string_equal(well(2, true), "0.0@1"); /* whatever it is itself: nobody else is down */
    connected(2, false);
    assert_non_null(strstr(moved(0), "(app-3: its agent is not connected)"));
    assert_string_equal(well(2, true), ""); /* not believed of a place that is not there */
    assert_string_equal(connected(2, true), "");
    assert_string_equal(well(2, true), "1.0@2");
}

static void one_that_may_be_up_is_not_taken_down_beside_another(void **state UNUSED)
{
    rolling(3).plan->max_unavailable = 1;
    make(3);
    all_well(3);
    begin();
    well(2, false);
    connected(1, false); /* it may well serve */
    assert_non_null(strstr(moved(0), "app-2 waits: 1 of 3 nodes are down (app-3: "));
}

static void without_a_budget_nobody_asks_who_is_well(void **state UNUSED)
{
    rolling(2);
    make(2);
    assert_string_equal(begin(), "running 0.0@1");
    assert_string_equal(moved(0), "1.0@2");
}

static void a_node_is_not_taken_down_beside_its_partner(void **state UNUSED)
{
    struct plan *p = rolling(3).plan;
    p->max_unavailable = 2;
    LIST_AT(&p->nodes, struct plan_node, 1)->pair = "left";
    LIST_AT(&p->nodes, struct plan_node, 2)->pair = "left";
    make(3);
    all_well(3);
    begin();
    well(2, false);
    assert_string_equal(moved(0), "[app-2 waits: app-3, its failover partner, is down (its service "
                                  "does not run); it goes on when that one is well, or abort and "
                                  "apply again: a new plan takes it first]");
    assert_string_equal(well(2, true), "1.0@2");
}

static void what_waits_is_told_again_and_may_be_aborted(void **state UNUSED)
{
    rolling(2).plan->max_unavailable = 1;
    make(2);
    well(0, true);
    assert_non_null(strstr(begin(), "[app-1 waits"));
    assert_int_equal(rollout_deadline(r), ROLLOUT_REMIND_MS);
    assert_string_equal(at(1000), "");
    assert_non_null(strstr(at(ROLLOUT_REMIND_MS), "[app-1 waits"));
    assert_string_equal(
        step((struct event){.type = EVENT_WORD, .word = {.word = WORD_ABORT, .who = "bob"}}),
        "aborting aborted");
}

/* One phase over all nodes, which starts their services. */
static void start_all(size_t nodes, int64_t at_most)
{
    struct plans p = plans_begin(&arena, nodes, 2);
    plans_phase(&p, "start", 0, 0, true);
    service(&p, "start", SERVICE_START);
    p.plan->starts = ARENA_NEW(&arena, struct starts_spec);
    *p.plan->starts = (struct starts_spec){at_most, 60 * MINUTE};
    plan = p.plan;
}

static void no_more_starts_than_the_pace_allows(void **state UNUSED)
{
    start_all(4, 2);
    make(4);
    assert_string_equal(begin(), "running 0.0@1 0.0@2 [app-3 waits: no more than 2 starts within "
                                 "60 min 0 s]");
    now = 5 * MINUTE;
    ended(0, 0, 0, OUTCOME_DONE);
    assert_int_equal(rollout_deadline(r), 10 * MINUTE); /* app-2's own */
    now = 8 * MINUTE;
    ended(0, 0, 1, OUTCOME_DONE);
    /* An hour after the first ended, not after it began: whenever it was that the service started. */
    assert_int_equal(at(20 * MINUTE)[0], '['); /* told again */
    now = 64 * MINUTE;
    step((struct event){.type = EVENT_TIME});
    assert_int_equal(rollout_deadline(r), 65 * MINUTE);
    assert_string_equal(at(65 * MINUTE), "0.0@3 [app-4 waits: no more than 2 starts within 60 min "
                                         "0 s]");
    assert_string_equal(at(68 * MINUTE), "0.0@4");
}

static void a_retry_is_not_held_but_counts(void **state UNUSED)
{
    start_all(3, 2);
    make(3);
    begin();
    ended(0, 0, 0, OUTCOME_FAILED);
    now = MINUTE;
    ended(0, 0, 1, OUTCOME_DONE);
    assert_non_null(
        strstr(step((struct event){.type = EVENT_WORD, .word = {.word = WORD_RETRY, .who = "bob"}}),
               "running 0.0@1"));
    now = 2 * MINUTE;
    ended(0, 0, 0, OUTCOME_DONE);
    assert_int_equal(at(61 * MINUTE - 1)[0], '[');
    assert_string_equal(at(61 * MINUTE), "0.0@3"); /* the newest two ended after 1 and 2 minutes */
}

static void the_pace_outlives_the_controller(void **state UNUSED)
{
    start_all(3, 2);
    make(3);
    begin();
    now = 5 * MINUTE;
    ended(0, 0, 0, OUTCOME_DONE);
    ended(0, 0, 1, OUTCOME_DONE);
    size_t kept = records;
    r = rollout_new(&arena, plan);
    for (size_t i = 0; i < kept; i++) {
        step((struct event){.type = EVENT_REPLAY, .record = &journal[i]});
    }
    now = 30 * MINUTE;
    assert_string_equal(step((struct event){.type = EVENT_RESUME}),
                        "[app-3 waits: no more than 2 starts within 60 min 0 s]");
    assert_int_equal(rollout_deadline(r), 45 * MINUTE); /* told again */
    assert_string_equal(at(65 * MINUTE - 1), "[app-3 waits: no more than 2 starts within 60 min 0 "
                                             "s]");
    assert_string_equal(at(65 * MINUTE), "0.0@3");
}

static void the_pace_goes_on_from_one_run_to_the_next(void **state UNUSED)
{
    start_all(3, 2);
    make(3);
    now = 10 * MINUTE;
    step((struct event){.type = EVENT_STARTED});
    now = 50 * MINUTE;
    assert_string_equal(begin(), "running 0.0@1 [app-2 waits: no more than 2 starts within 60 min "
                                 "0 s]");
    now = 51 * MINUTE;
    ended(0, 0, 0, OUTCOME_DONE);
    assert_string_equal(at(70 * MINUTE), "0.0@2 [app-3 waits: no more than 2 starts within 60 min "
                                         "0 s]");
}

static void a_clock_that_was_set_back_ends_the_wait_all_the_same(void **state UNUSED)
{
    start_all(2, 1);
    make(2);
    now = 1000 * MINUTE;
    begin();
    ended(0, 0, 0, OUTCOME_DONE);
    now = 0;
    at(0);
    assert_string_equal(at(60 * MINUTE), "0.0@2");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        T(a_node_that_died_by_itself_counts),
        T(a_node_that_was_taken_down_is_well_when_its_phase_is_done),
        T(a_node_that_was_left_behind_counts_while_it_is_down),
        T(a_missing_agent_is_no_evidence_that_a_node_is_well),
        T(one_that_may_be_up_is_not_taken_down_beside_another),
        T(without_a_budget_nobody_asks_who_is_well),
        T(a_node_is_not_taken_down_beside_its_partner),
        T(what_waits_is_told_again_and_may_be_aborted),
        T(no_more_starts_than_the_pace_allows),
        T(a_retry_is_not_held_but_counts),
        T(the_pace_outlives_the_controller),
        T(the_pace_goes_on_from_one_run_to_the_next),
        T(a_clock_that_was_set_back_ends_the_wait_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
