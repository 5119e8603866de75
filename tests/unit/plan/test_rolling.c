/* Plans that roll: waves, the database's place among them, and the budget. */
#include "tests/unit/plan/texts.h"

static void rolls_up_after_the_database(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("rolling up", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 1.1.0   up, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-1\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-2\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-3\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 1 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n");
}

static void rolls_down_before_the_database(void **state UNUSED)
{
    guestbook("1.0.0", ROLLING BACKUP);
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    check("rolling down", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.1.0 -> 1.0.0   down, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "hop 1    1.1.0 -> 1.0.0\n"
          "         each   stop, swap 1.0.0, permit, start, health     app-1\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         each   stop, swap 1.0.0, permit, start, health     app-2\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         each   stop, swap 1.0.0, permit, start, health     app-3\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         once   backup main                                 SQLite's backup\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 2                         1 down\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (1.1.0 is not >=2.0.0)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 1 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n");
}

static void rolls_on_from_where_a_run_stopped(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    w.inventory.nodes[0].version = "1.1.0";
    w.inventory.nodes[2].running = false;
    check("rolls on", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 1.1.0   up, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0                                 app-2 app-3         2.0 MB\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-3\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-2\n"
          "                  3 in a row within 2 min 0 s, then soak 5.0 s\n"
          "after    each   retire                                      app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 1 of 3 nodes taken down at once\n"
          "warning:  1 node is not running already: it goes first\n");
}

static void keeps_each_wave_within_the_budget(void **state UNUSED)
{
    guestbook("1.1.0", "strategy: { rolling: { canary: 2, max_unavailable: 1 } }\n");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    size_t waves = 0;
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *p = plan_phase_at(&w.plan, i);
        if (p->takes_down) {
            waves++;
            assert_int_equal(
                LIST_AT(&w.plan.node_sets, struct plan_node_set, p->node_set)->nodes.count, 1);
        }
    }
    assert_int_equal(waves, 3);
}

static void rolls_each_hop_on_its_own(void **state UNUSED)
{
    const char *application = with(with(guestbook_application, OLD_PATHS, REQUIRED),
                                   "schema: { main: 3 }\n    runs_with: "
                                   "{ main: \"2..3\" }",
                                   "schema: { main: 3 }\n    runs_with: { main: \"2..4\" }");
    guestbook_of("2.0.0", "strategy: { rolling: { max_unavailable: 2 } }\n", application);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("two rolling hops", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 2 hops, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0 2.0.0                           app-1 app-2 app-3   2.0 MB\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-1 app-2         3 in a "
          "row within 2 min 0 s\n"
          "         each   stop, swap 1.1.0, permit, start, health     app-3               3 in a "
          "row within 2 min 0 s\n"
          "hop 2    1.1.0 -> 2.0.0\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 4                         1 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   stop, swap 2.0.0, permit, start, health     app-1 app-2         3 in a "
          "row within 2 min 0 s\n"
          "         each   stop, swap 2.0.0, permit, start, health     app-3               3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 2 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n"
          "to read:  2.0.0: authors lose their address\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rolls_up_after_the_database),       T(rolls_down_before_the_database),
        T(rolls_on_from_where_a_run_stopped), T(keeps_each_wave_within_the_budget),
        T(rolls_each_hop_on_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
