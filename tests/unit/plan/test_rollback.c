/* Plans that take back what a broken-off run did, beside versions and schemas: starts that it denied. */
#include "tests/unit/plan/texts.h"

static void lifts_what_an_aborted_run_denied_where_nothing_else_is_to_do(void **state UNUSED)
{
    static const char *const strategies[] = {"", ROLLING};
    for (size_t i = 0; i < ARRAY_SIZE(strategies); i++) {
        guestbook("1.1.0", strategies[i]);
        world_runs(&w, "1.1.0");
        world_ledger(&w, 3);
        w.inventory.nodes[1].denied = "denied by run 1f2e";
        const char *text = world_render(&w, NULL);
        assert_non_null(strstr(text, "hop 1    1.1.0, as it should be\n"
                                     "         each   permit                                      "
                                     "app-2               denied by run 1f2e\n"));
        assert_int_equal(w.plan.phases.count, 1);
        assert_false(plan_phase_at(&w.plan, 0)->disruptive);
        const struct permit_action *permit = plan_step_at(&w.plan, 0, 0)->action->permit;
        assert_string_equal(permit->release, "1.1.0");
        assert_string_equal(permit->checkpoint, "main 3");
        w.inventory.nodes[1].denied = NULL;
        assert_int_equal(world_compile(&w, NULL), 0);
        assert_true(plan_is_empty(&w.plan));
        if (i + 1 < ARRAY_SIZE(strategies)) {
            world_deinit(&w);
        }
    }
}

static void lifts_it_once_where_others_move(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    w.inventory.nodes[0].version = "1.1.0";
    w.inventory.nodes[0].denied = "denied by run 1f2e";
    w.inventory.nodes[1].denied = "denied by run 1f2e";
    assert_int_equal(world_compile(&w, NULL), 0);
    size_t permits[3] = {0};
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, p);
        for (size_t s = 0; s < phase->steps.count; s++) {
            if (plan_step_at(&w.plan, p, s)->action->permit == NULL) {
                continue;
            }
            const struct plan_node_set *set =
                LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set);
            for (size_t n = 0; n < set->nodes.count; n++) {
                permits[set->nodes.items[n][4] - '1']++;
            }
        }
    }
    assert_int_equal(permits[0], 1);
    assert_int_equal(permits[1], 1);
    assert_int_equal(permits[2], 1);
}

static void a_plan_says_when_a_node_was_denied_since_it_was_made(void **state UNUSED)
{
    guestbook("1.1.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    assert_int_equal(world_compile(&w, NULL), 0);
    struct strings out = {0};
    plan_differences(&w.arena, &w.plan, &w.inventory, &out);
    assert_int_equal(out.count, 0);
    w.inventory.nodes[2].denied = "denied by run 1f2e";
    plan_differences(&w.arena, &w.plan, &w.inventory, &out);
    assert_int_equal(out.count, 1);
    assert_string_equal(out.items[0], "node app-3 could start when the plan was made and cannot "
                                      "now: denied by run 1f2e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lifts_what_an_aborted_run_denied_where_nothing_else_is_to_do),
        T(lifts_it_once_where_others_move),
        T(a_plan_says_when_a_node_was_denied_since_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
