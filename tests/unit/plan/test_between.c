/* Which releases are started: those between the ends of a way, and one node before the rest. Whole plans, both ways. */
#include "tests/unit/plan/texts.h"

#define ONE_FIRST "strategy: { all_at_once: true, one_first: true }\n"
#define STARTED   "paths: { required: [\"1.1.0\"], between: start }"

static void from(const char *paths, const char *to, const char *more)
{
    bool up = to[0] == '2';
    guestbook_of(to, more, with(guestbook_application, OLD_PATHS, paths));
    world_runs(&w, up ? "1.0.0" : "2.0.0");
    world_ledger(&w, up ? 2 : 4);
}

static void starts_one_node_first_at_every_stop_on_the_way_up(void **state UNUSED)
{
    from(STARTED, "2.0.0", ONE_FIRST);
    check("one first up", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 2 hops, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0 2.0.0                           app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 1.1.0, permit, start, health           app-1               3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 1.1.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "hop 2    1.1.0 -> 2.0.0\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 4                         1 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 2.0.0, permit, start, health           app-1               3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 2.0.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "to read:  2.0.0: authors lose their address\n");
}

static void starts_one_node_first_at_every_stop_on_the_way_down(void **state UNUSED)
{
    from(STARTED, "1.0.0", ONE_FIRST);
    check("one first down", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0 -> 1.0.0   down, 2 hops, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0 1.0.0                           app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    2.0.0 -> 1.1.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 4 -> 3\n"
          "                  1 down   ! 4 drops column entries.tags: POINT OF NO RETURN (then: "
          "restore)\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 1.1.0, permit, start, reinstall-module, health app-1\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.1.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "         each   swap 1.1.0, permit, start, reinstall-module, health app-2 app-3\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.1.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "hop 2    1.1.0 -> 1.0.0\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 2                         1 down\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 1.0.0, permit, start, health           app-1               3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 1.0.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "warning:  this plan loses data and no backup is made before it: see backup: of cluster "
          "demo\n");
}

static void migrates_through_a_release_on_the_way_down(void **state UNUSED)
{
    from(REQUIRED, "1.0.0", ONE_FIRST);
    check("through down", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0 -> 1.0.0   down, 2 hops, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    2.0.0 -> 1.1.0                                     (1.1.0 is migrated through, "
          "not started)\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 4 -> 3\n"
          "                  1 down   ! 4 drops column entries.tags: POINT OF NO RETURN (then: "
          "restore)\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "hop 2    1.1.0 -> 1.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 2                         1 down\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 1.0.0, permit, start, health           app-1               3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 1.0.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (1.1.0 is migrated through, not started: it has no "
          "start-requested and 1.1.0 is not >=2.0.0)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "warning:  this plan loses data and no backup is made before it: see backup: of cluster "
          "demo\n");
}

static void rolling_starts_every_release_on_the_way(void **state UNUSED)
{
    const char *application = with(with(guestbook_application, OLD_PATHS, REQUIRED),
                                   "schema: { main: 3 }\n    runs_with: { main: \"2..3\" }",
                                   "schema: { main: 3 }\n    runs_with: { main: \"2..4\" }");
    guestbook_of("2.0.0", ROLLING, application);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    assert_int_equal(w.plan.strategy, STRATEGY_ROLLING);
    assert_int_equal(w.plan.hops.count, 2);
    assert_true(LIST_AT(&w.plan.hops, struct plan_hop, 0)->started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(starts_one_node_first_at_every_stop_on_the_way_up),
        T(starts_one_node_first_at_every_stop_on_the_way_down),
        T(migrates_through_a_release_on_the_way_down),
        T(rolling_starts_every_release_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
