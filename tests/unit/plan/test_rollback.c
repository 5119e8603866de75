/* Plans that take back what a broken-off run did, beside versions and schemas: starts that it denied, and extra steps. */
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

static void lifts_it_where_only_the_database_moves(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "1.1.0");
    world_ledger(&w, 2);
    w.inventory.nodes[1].denied = "denied by run 1f2e";
    const char *text = world_render(&w, NULL);
    assert_non_null(strstr(text, "migrate main"));
    assert_non_null(strstr(text, "permit                                      app-2 "));
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

/* ---- extra steps ---- */

#define STEPS                                                                                      \
    "extra_steps:\n"                                                                               \
    "  - name: note\n"                                                                             \
    "    when: { direction: up }\n"                                                                \
    "    scope: once\n"                                                                            \
    "    after: preflight\n"                                                                       \
    "    do: [ { run: [bin/note] } ]\n"                                                            \
    "    undo: [ { run: [bin/note, --not, \"${hop.from}\", \"${hop.to}\"] } ]\n"                   \
    "  - name: module\n"                                                                           \
    "    when: { direction: up }\n"                                                                \
    "    scope: node\n"                                                                            \
    "    after: swapped\n"                                                                         \
    "    do: [ { run: [bin/module] }, { run: [bin/more] } ]\n"                                     \
    "    undo: [ { run: [bin/module, --remove, \"${node.name}\"] } ]\n"                            \
    "  - name: config\n"                                                                           \
    "    when: { direction: up }\n"                                                                \
    "    scope: node\n"                                                                            \
    "    after: stopped\n"                                                                         \
    "    do: [ { run: [bin/config] } ]\n"                                                          \
    "    undo: [ { run: [bin/config, --back] } ]\n"                                                \
    "    undo_looks: true\n"                                                                       \
    "  - name: warm\n"                                                                             \
    "    when: { direction: up }\n"                                                                \
    "    scope: node\n"                                                                            \
    "    after: healthy\n"                                                                         \
    "    do: [ { run: [bin/warm] } ]\n"

static const char *app_with_steps(void)
{
    return arena_printf(
        &w.arena, "%.*s%s",
        (int)(strstr(guestbook_application, "extra_steps:") - guestbook_application),
        guestbook_application, STEPS);
}

static void steps_world(const char *version, const char *more)
{
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, version, more), app_with_steps());
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_release(&w, "2.0.0", 4);
    w.inventory.done = ARENA_ARRAY(&w.arena, 32, struct done_step);
}

static void done(const char *step, const char *place, bool sure)
{
    w.inventory.done[w.inventory.done_count++] =
        (struct done_step){"1f2e", step, "1.0.0", "1.1.0", place, NULL, sure};
}

/* Each undo of the plan as "phase index: place name command…", one a line. */
static const char *undos(void)
{
    struct buf out;
    buf_init(&out, &w.arena, 65536);
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, p);
        for (size_t s = 0; s < phase->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, p, s);
            if (step->extra == NULL || step->extra->undoes == NULL) {
                continue;
            }
            const char *before = s > 0 ? plan_step_at(&w.plan, p, s - 1)->name : "-";
            const char *after =
                s + 1 < phase->steps.count ? plan_step_at(&w.plan, p, s + 1)->name : "-";
            const struct strings *argv = &step->action->run->command.argv;
            const char *places =
                phase->scope == PHASE_ONCE
                    ? step->on
                    : str_join(&w.arena,
                               LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set)
                                   ->nodes.items,
                               LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set)
                                   ->nodes.count);
            buf_printf(&out, "%s: %s <%s> %s:", places, before, step->name, after);
            for (size_t a = 0; a < argv->count; a++) {
                buf_printf(&out, " %s", argv->items[a]);
            }
            buf_putc(&out, '\n');
        }
    }
    return buf_text(&out);
}

static void takes_back_what_a_rolling_run_did_at_the_mirror_of_its_point(void **state UNUSED)
{
    steps_world("1.0.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    w.inventory.nodes[0].version = "1.1.0";
    w.inventory.nodes[1].version = "1.1.0";
    w.inventory.nodes[1].running = false;
    done("note", "app-1", true);
    done("config", "app-1", true);
    done("module", "app-1", true);
    done("warm", "app-1", true);
    done("config", "app-2", true);
    const char *text = world_render(&w, NULL);
    check("undos rolling", undos(),
          "app-2: swap <undo config> permit: bin/config --back\n"
          "app-1: stop <undo module> swap: bin/module --remove ${node.name}\n"
          "app-1: swap <undo config> permit: bin/config --back\n"
          "app-1: - <undo note> -: bin/note --not 1.0.0 1.1.0\n");
    assert_non_null(strstr(text, "undo module: run 1f2e did it, 1.0.0 -> 1.1.0"));
    assert_non_null(strstr(text, "undo warm (run 1f2e did it, 1.0.0 -> 1.1.0: it has no undo)"));
    assert_non_null(strstr(text, "no more than 1 of 3 nodes taken down at once"));
}

static void takes_back_what_an_all_at_once_run_did(void **state UNUSED)
{
    steps_world("1.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    for (size_t i = 0; i < 3; i++) {
        w.inventory.nodes[i].running = false;
    }
    w.inventory.nodes[0].version = "1.1.0";
    done("note", "app-1", true);
    done("config", "app-1", true);
    done("config", "app-2", true);
    done("config", "app-3", true);
    done("module", "app-1", true);
    world_render(&w, NULL);
    check("undos all at once", undos(),
          "app-1: - <undo module> -: bin/module --remove ${node.name}\n"
          "app-2 and app-3: - <undo config> permit: bin/config --back\n"
          "app-1: swap <undo config> permit: bin/config --back\n"
          "app-1: - <undo note> -: bin/note --not 1.0.0 1.1.0\n");
}

static void takes_back_what_is_not_sure_only_where_the_undo_looks(void **state UNUSED)
{
    steps_world("1.0.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    done("config", "app-1", false);
    done("module", "app-1", false);
    const char *text = world_render(&w, NULL);
    /* The node runs: it is stopped for what was done to it while it was stopped. */
    check("undos not sure", undos(), "app-1: stop <undo config> permit: bin/config --back\n");
    assert_non_null(strstr(text, "undo config: run 1f2e may have done it, 1.0.0 -> 1.1.0"));
    assert_non_null(strstr(text, "module of app-1 is not taken back: run 1f2e may have done it, "
                                 "1.0.0 -> 1.1.0, and its undo does not look before it acts"));
}

static void takes_nothing_back_on_the_way_on(void **state UNUSED)
{
    steps_world("1.1.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    done("config", "app-1", true);
    done("note", "app-1", true);
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(undos(), "");
    assert_int_equal(world_compile(&w, "1.0.0"), 0);
    assert_string_not_equal(undos(), "");
}

static void takes_back_what_was_done_before_anything_was_touched(void **state UNUSED)
{
    steps_world("1.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    done("note", "app-1", true);
    world_render(&w, NULL);
    assert_int_equal(w.plan.phases.count, 1);
    check("undo alone", undos(), "app-1: - <undo note> -: bin/note --not 1.0.0 1.1.0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(takes_back_what_a_rolling_run_did_at_the_mirror_of_its_point),
        T(takes_back_what_an_all_at_once_run_did),
        T(takes_back_what_is_not_sure_only_where_the_undo_looks),
        T(takes_nothing_back_on_the_way_on),
        T(takes_back_what_was_done_before_anything_was_touched),
        T(lifts_what_an_aborted_run_denied_where_nothing_else_is_to_do),
        T(lifts_it_once_where_others_move),
        T(lifts_it_where_only_the_database_moves),
        T(a_plan_says_when_a_node_was_denied_since_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
