/* Where a plan lets its run wait, and what it may lose. */
#include "tests/unit/plan/texts.h"

#define HALTS                                                                                      \
    "strategy:\n"                                                                                  \
    "  rolling: { canary: 1, max_unavailable: 1 }\n"                                               \
    "  deadlines: { wave: 1h, run: 4h, pause: 30m }\n"                                             \
    "  failures: { nodes: 40%, per_node: 2 }\n"                                                    \
    "  gates: [ { after: staged }, { after: canary, approvers: 2, timeout: 1h }, { after: wave } " \
    "]\n"                                                                                          \
    "  windows: { days: [sat, sun], from: \"22:00\", to: \"04:00\", timezone: \"+01:00\" }\n"

static void gates_and_windows_stand_between_the_waves(void **state UNUSED)
{
    guestbook("1.1.0", HALTS BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("halts", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 1.1.0   up, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         wait   gate staged                                 1 approval\n"
          "         wait   window                                      sat and sun 22:00-04:00 "
          "+01:00\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         wait   window                                      sat and sun 22:00-04:00 "
          "+01:00\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-1               3 in a "
          "row within 2 min 0 s\n"
          "         wait   gate canary                                 2 approvals\n"
          "         wait   window                                      sat and sun 22:00-04:00 "
          "+01:00\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-2               3 in a "
          "row within 2 min 0 s\n"
          "         wait   gate wave 2                                 1 approval\n"
          "         wait   window                                      sat and sun 22:00-04:00 "
          "+01:00\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-3               3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 1 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n");
}

static void budgets_and_deadlines_come_into_the_plan(void **state UNUSED)
{
    guestbook("1.1.0", HALTS BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    assert_int_equal(w.plan.failures_nodes, 1); /* 40 % of three, rounded down */
    assert_int_equal(w.plan.failures_per_node, 2);
    assert_int_equal(w.plan.wave_ms, 3600000);
    assert_int_equal(w.plan.run_ms, 4 * 3600000);
    assert_int_equal(w.plan.pause_ms, 1800000);
}

static void a_gate_without_a_place_is_told(void **state UNUSED)
{
    guestbook("1.1.0", "strategy: { all_at_once: true, gates: { after: canary } }\n" BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    assert_non_null(strstr(world_render(&w, NULL),
                           "gate after canary: this plan has none, so nobody is asked there"));
    assert_int_equal(w.plan.gates.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(gates_and_windows_stand_between_the_waves),
        T(budgets_and_deadlines_come_into_the_plan),
        T(a_gate_without_a_place_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
