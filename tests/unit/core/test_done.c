/* What the journals of runs say of their extra steps: done, perhaps done, taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/core/done.h"
#include "tests/unit/core/plans.h"

static struct arena arena;
static struct done *d;
static struct done_step *items;
static size_t count;

static struct plan_extra module = {NULL, "module", "1.0.0", "1.1.0", NULL};
static struct plan_extra note = {NULL, "note", "1.0.0", "1.1.0", NULL};
static struct plan_extra back = {"1f2e", "module", "1.0.0", "1.1.0", NULL};

/* note once, at app-1; then on both nodes: swap, module (two actions), start. */
static struct plan *forth(void)
{
    struct plans p = plans_begin(&arena, 2, 4);
    plans_phase(&p, "note", -1, 0, false);
    plans_step(&p, "note", "app-1")->extra = &note;
    plans_phase(&p, "move", 0, 0, true);
    plans_step(&p, "swap", NULL);
    plans_step(&p, "module", NULL)->extra = &module;
    plans_step(&p, "module", NULL)->extra = &module;
    plans_step(&p, "start", NULL);
    return p.plan;
}

static struct plan *way_back(void)
{
    struct plans p = plans_begin(&arena, 2, 4);
    plans_phase(&p, "move", 0, 0, true);
    plans_step(&p, "undo module", NULL)->extra = &back;
    plans_step(&p, "swap", NULL);
    return p.plan;
}

static void intent(uint32_t phase, uint32_t step, uint32_t place)
{
    done_note(d, &(struct record){.type = RECORD_INTENT, .key = {phase, step, place, 1}});
}

static void outcome(uint32_t phase, uint32_t step, uint32_t place, enum outcome_status status)
{
    intent(phase, step, place);
    done_note(d, &(struct record){.type = RECORD_OUTCOME,
                                  .key = {phase, step, place, 1},
                                  .outcome = {.status = status}});
}

static void ended(enum rollout_state state)
{
    done_note(d, &(struct record){.type = RECORD_STATE, .state = state});
}

static void is_step(size_t i, const char *step, const char *place, bool sure)
{
    assert_in_range(i, 0, count - 1);
    assert_string_equal(items[i].run, "1f2e");
    assert_string_equal(items[i].step, step);
    assert_string_equal(items[i].place, place);
    assert_int_equal(items[i].sure, sure);
}

/* app-2 is through, app-1 is in the middle of the step. */
static void half_way(void)
{
    done_run(d, forth(), "1f2e");
    outcome(0, 0, 0, OUTCOME_DONE);
    outcome(1, 0, 1, OUTCOME_DONE);
    outcome(1, 1, 1, OUTCOME_DONE);
    outcome(1, 0, 0, OUTCOME_DONE);
    outcome(1, 1, 0, OUTCOME_DONE);
    outcome(1, 2, 1, OUTCOME_DONE);
    intent(1, 2, 0);
    ended(ROLLOUT_ABORTED);
}

static void lists_what_was_done_in_the_journals_order(void **state UNUSED)
{
    half_way();
    done_list(d, &items, &count);
    assert_int_equal(count, 3);
    is_step(0, "note", "app-1", true);
    is_step(1, "module", "app-2", true);
    is_step(2, "module", "app-1", false);
}

static void what_failed_or_is_unknown_is_not_sure(void **state UNUSED)
{
    done_run(d, forth(), "1f2e");
    outcome(0, 0, 0, OUTCOME_UNKNOWN);
    outcome(1, 1, 0, OUTCOME_FAILED);
    outcome(1, 1, 1, OUTCOME_DONE); /* and its second action never began */
    done_list(d, &items, &count);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_false(items[i].sure);
    }
}

static void what_was_taken_back_is_gone_and_half_taken_back_is_not_sure(void **state UNUSED)
{
    half_way();
    done_run(d, way_back(), "9c0d");
    outcome(0, 0, 1, OUTCOME_DONE);
    done_list(d, &items, &count);
    assert_int_equal(count, 2);
    is_step(0, "note", "app-1", true);
    is_step(1, "module", "app-1", false);
    d = done_new(&arena);
    half_way();
    done_run(d, way_back(), "9c0d");
    intent(0, 0, 1);
    done_list(d, &items, &count);
    assert_int_equal(count, 3);
    is_step(1, "module", "app-2", false);
}

static void a_run_that_came_to_its_end_leaves_nothing(void **state UNUSED)
{
    half_way();
    done_run(d, forth(), "9c0d");
    outcome(0, 0, 0, OUTCOME_DONE);
    ended(ROLLOUT_SUCCEEDED);
    done_list(d, &items, &count);
    assert_int_equal(count, 0);
}

static int set_up(void **state UNUSED)
{
    arena_init(&arena);
    d = done_new(&arena);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lists_what_was_done_in_the_journals_order),
        T(what_failed_or_is_unknown_is_not_sure),
        T(what_was_taken_back_is_gone_and_half_taken_back_is_not_sure),
        T(a_run_that_came_to_its_end_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
