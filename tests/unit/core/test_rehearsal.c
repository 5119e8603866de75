/* The rehearsal of a plan: what one failing step comes to, under each way that a plan may answer a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/core/rehearsal.h"
#include "tests/unit/core/plans.h"

static struct arena arena;
static struct plan *plan;

static int begin_test(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int end_test(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

static struct plan_step *step_of(uint32_t phase, uint32_t step)
{
    return LIST_AT(&LIST_AT(&plan->phases, struct plan_phase, phase)->steps, struct plan_step,
                   step);
}

/* Four nodes of 1.0.0 that run: main is migrated 1 -> 2, then a canary and the rest are swapped and started. */
static void rolling_plan(void)
{
    plan = plans_rolling(&arena);
    plan->from = "1.0.0";
    plan->to = "2.0.0";
    for (size_t i = 0; i < plan->nodes.count; i++) {
        struct plan_node *node = LIST_AT(&plan->nodes, struct plan_node, i);
        node->from = "1.0.0";
        node->running = true;
    }
    struct plan_hop *hop = ARENA_NEW(&arena, struct plan_hop);
    static struct pair from = {"main", "1"};
    static struct pair to = {"main", "2"};
    *hop = (struct plan_hop){
        .from = "1.0.0", .to = "2.0.0", .schema_from = {&from, 1}, .schema_to = {&to, 1}};
    plan->hops = (struct list){hop, 1};
    struct plan_observed_database *seen = ARENA_NEW(&arena, struct plan_observed_database);
    seen->name = "main";
    plan->databases = (struct list){seen, 1};
    for (uint32_t p = 0; p < plan->phases.count; p++) {
        LIST_AT(&plan->phases, struct plan_phase, p)->hop = 0;
    }
    plans_act(step_of(0, 0), &arena, ACTION_DB_MIGRATE);
    step_of(0, 0)->action->db_migrate->database.name = "main";
    for (uint32_t p = 1; p < 3; p++) {
        plans_act(step_of(p, 0), &arena, ACTION_SWAP);
        step_of(p, 0)->action->swap->artifact.version = "2.0.0";
        plans_act(step_of(p, 1), &arena, ACTION_SERVICE);
        step_of(p, 1)->action->service->verb = SERVICE_START;
    }
}

static struct rehearsal rehearse(enum rehearsal_fault fault, uint32_t phase, uint32_t step)
{
    struct step_key key = {.phase = phase, .step = step};
    struct rehearsal r;
    assert_true(rehearsal_place(plan, phase, step, &key.place));
    rehearse_step(&arena, plan, fault, key, &r);
    return r;
}

#define CLUSTER(r) rehearsal_cluster_words(&arena, plan, &(r))
#define DOES(r)    rehearsal_does_words(&arena, plan, &(r))

static void without_a_failure_the_plan_ends_as_it_says(void **state UNUSED)
{
    rolling_plan();
    struct rehearsal r = rehearse(REHEARSAL_NOTHING, 0, 0);
    assert_int_equal(r.state, ROLLOUT_SUCCEEDED);
    assert_string_equal(CLUSTER(r), "all 4: 2.0.0 runs; main at 2");
    assert_string_equal(DOES(r), "goes on to the end");
}

static void a_failed_migration_is_told_as_between_two_schemas(void **state UNUSED)
{
    rolling_plan();
    struct rehearsal r = rehearse(REHEARSAL_FAILS, 0, 0);
    assert_int_equal(r.state, ROLLOUT_PAUSED);
    assert_string_equal(CLUSTER(r), "all 4: 1.0.0 runs; main between 1 and 2");
    assert_string_equal(DOES(r), "pauses for a word: retry, rollback or abort");
}

static void retries_are_counted_with_what_is_waited_between_them(void **state UNUSED)
{
    rolling_plan();
    step_of(2, 0)->backoff_ms = 5000;
    struct rehearsal r = rehearse(REHEARSAL_FAILS, 2, 0);
    assert_int_equal(r.key.attempt, 3);
    assert_int_equal(r.waited_ms, 15000); /* 5 s, then 10 s */
    assert_string_equal(CLUSTER(r), "app-1 app-3 app-4: 2.0.0 runs; app-2: 1.0.0 runs; main at 2");
}

static void a_step_that_never_answers_is_waited_for_until_its_deadline(void **state UNUSED)
{
    rolling_plan();
    struct rehearsal r = rehearse(REHEARSAL_NO_ANSWER, 1, 1);
    assert_int_equal(r.waited_ms, step_of(1, 1)->deadline_ms);
    assert_int_equal(r.key.attempt, 1);
    assert_int_equal(r.state, ROLLOUT_PAUSED);
}

static void on_failure_rollback_goes_back_by_itself(void **state UNUSED)
{
    rolling_plan();
    plan->on_failure = ON_FAILURE_ROLLBACK;
    struct rehearsal r = rehearse(REHEARSAL_FAILS, 1, 0);
    assert_int_equal(r.state, ROLLOUT_ABORTED);
    assert_true(r.rolls_back);
    assert_non_null(strstr(DOES(r), "aborts, and plans the way back to 1.0.0 from here by itself"));
}

static void a_budget_of_failures_leaves_the_node_behind(void **state UNUSED)
{
    rolling_plan();
    plan->failures_nodes = 1;
    struct rehearsal r = rehearse(REHEARSAL_FAILS, 2, 0);
    assert_int_equal(r.state, ROLLOUT_INCOMPLETE);
    assert_non_null(strstr(DOES(r), "goes on to the end with 1 node left behind"));
}

static void gates_are_passed_by_people_of_their_own(void **state UNUSED)
{
    rolling_plan();
    static struct plan_gate gate = {.name = "rest", .phase = 2, .approvers = 2};
    plan->gates = (struct list){&gate, 1};
    struct rehearsal r = rehearse(REHEARSAL_FAILS, 2, 1);
    assert_int_equal(r.state, ROLLOUT_PAUSED);
    assert_int_equal(r.key.phase, 2);
    assert_int_equal(r.key.attempt, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_failure_the_plan_ends_as_it_says, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_failed_migration_is_told_as_between_two_schemas,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(retries_are_counted_with_what_is_waited_between_them,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_step_that_never_answers_is_waited_for_until_its_deadline,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(on_failure_rollback_goes_back_by_itself, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_budget_of_failures_leaves_the_node_behind, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(gates_are_passed_by_people_of_their_own, begin_test,
                                        end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
