/* Whole plans as text: what is in them, in which order, and what is refused. */
#include "tests/unit/plan/texts.h"

static void goes_up_all_at_once(void **state UNUSED)
{
    guestbook("2.0.0", BACKUP "strategy: { all_at_once: true, one_first: true }\n"
                              "notify: [ { webhook: \"https://c.example/x\", events: [start] } ]\n"
                              "check: [ { http: { url: \"https://x.example\" } } ]\n");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("up", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    1.0.0 -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 4                         2 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 2.0.0, permit, start, health           app-1               3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 2.0.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "after    once   check the site\n"
          "         each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "to read:  2.0.0: authors lose their address\n");
}

static void goes_up_two_hops_and_migrates_through_the_first(void **state UNUSED)
{
    const char *application = with(guestbook_application, OLD_PATHS, REQUIRED);
    guestbook_of("2.0.0", "", application);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("two hops", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 2 hops, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.0.0 -> 1.1.0                                     (1.1.0 is migrated through, "
          "not started)\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "hop 2    1.1.0 -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 4                         1 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 2.0.0, permit, start, health           app-1 app-2 app-3   3 in a "
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

static void starts_the_release_between_when_the_application_wants_that(void **state UNUSED)
{
    const char *application =
        with(guestbook_application, OLD_PATHS, "paths: { required: [\"1.1.0\"], between: start }");
    guestbook_of("2.0.0", "", application);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("between start", world_render(&w, NULL),
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
          "         all    swap 1.1.0, permit, start, health           app-1 app-2 app-3   3 in a "
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
          "         all    swap 2.0.0, permit, start, health           app-1 app-2 app-3   3 in a "
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

static void goes_down_with_the_extra_step_and_the_point_of_no_return(void **state UNUSED)
{
    guestbook("1.0.0", BACKUP);
    world_runs(&w, "2.0.0");
    world_ledger(&w, 4);
    check("down", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0 -> 1.0.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    2.0.0 -> 1.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 4 -> 2\n"
          "                  2 down   ! 4 drops column entries.tags: POINT OF NO RETURN (then: "
          "restore)\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 1.0.0, permit, start, reinstall-module, health app-1 app-2 app-3\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.0.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
}

static void installs_for_the_first_time(void **state UNUSED)
{
    guestbook("2.0.0", BACKUP);
    world_runs(&w, NULL);
    check("first", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook nothing -> 2.0.0   first installation, 1 hop, "
          "all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "hop 1    nothing -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main to 4                           4 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 2.0.0, permit, start, health           app-1 app-2 app-3   3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "to read:  2.0.0: authors lose their address\n");
}

/* Its tree lay at another path, or somebody has started it: it must not live on beside the schema that follows. */
static void stops_what_runs_where_nothing_is_installed(void **state UNUSED)
{
    guestbook("2.0.0", BACKUP);
    world_runs(&w, NULL);
    w.inventory.nodes[1].running = true;
    const char *text = world_render(&w, NULL);
    const char *stop =
        strstr(text, "         each   stop                                        app-2\n");
    assert_non_null(stop);
    assert_non_null(strstr(stop, "migrate main"));
}

static void has_nothing_to_do_when_all_is_right(void **state UNUSED)
{
    guestbook("1.1.0", BACKUP);
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    check("nothing", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.1.0   nothing to do\n");
    assert_int_equal(w.plan.direction, DIRECTION_NONE);
}

static void only_starts_what_is_down_at_the_target(void **state UNUSED)
{
    guestbook("1.1.0", BACKUP);
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    w.inventory.nodes[1].running = false;
    check("start", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.1.0   put right, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-2\n"
          "hop 1    1.1.0, as it should be\n"
          "         each   permit, start, health                       app-2               3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-2\n"
          "left out: reinstall-module (the version stays, direction is not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          1 of 3 down at once, as all-at-once says\n");
}

static void finishes_a_half_done_upgrade(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    w.inventory.nodes[0].version = "2.0.0";
    w.inventory.nodes[1].running = false;
    w.inventory.nodes[2].running = false;
    world_ledger(&w, 4);
    check("half done", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-2 app-3         2.0 MB\n"
          "         each   deny                                        app-2 app-3\n"
          "         each   stop                                        app-2 app-3\n"
          "hop 1    1.0.0 -> 2.0.0\n"
          "         each   swap 2.0.0, permit, start, health           app-2 app-3         3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          2 of 3 down at once, as all-at-once says\n"
          "to read:  2.0.0: authors lose their address\n");
}

static void takes_back_a_half_done_upgrade_of_the_database_alone(void **state UNUSED)
{
    guestbook("1.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    check("taken back", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.1.0 -> 1.0.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.1.0 -> 1.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 2                         1 down\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    permit, start, health                       app-1 app-2 app-3   3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (1.1.0 is not >=2.0.0)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
}

static void moves_a_ledger_that_was_left_behind(void **state UNUSED)
{
    guestbook("1.1.0", "");
    world_runs(&w, "1.1.0");
    world_ledger(&w, 2);
    check("left behind", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.1.0   put right, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.1.0, as it should be\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main                                1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    permit, start, health                       app-1 app-2 app-3   3 in a "
          "row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (the version stays, direction is not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
}

static void refuses_to_roll_what_it_cannot_prove(void **state UNUSED)
{
    guestbook("2.0.0", ROLLING);
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    check("unproved", world_refusal(&w, NULL),
          "cluster.yaml:12:22: 1.1.0 does not run with main 4 (it runs with 2..3): rolling would "
          "let app-1 meet it; go all-at-once, or say if_not_rolling: all-at-once\n");
}

/* A way down that was broken off behind the release that is wanted now: its migrations must come up again first. */
static void refuses_to_roll_against_the_direction_of_a_hop(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "2.0.0");
    world_ledger(&w, 2);
    check(
        "against", world_refusal(&w, NULL),
        "cluster.yaml:12:22: database main is not where a release left it: 1 migration must go up "
        "on the way to 1.1.0, and rolling would start nodes before them; go all-at-once, or say "
        "if_not_rolling: all-at-once\n");
}

static void goes_all_at_once_where_the_cluster_says_so(void **state UNUSED)
{
    guestbook("2.0.0", "strategy: { rolling: { canary: 1 }, if_not_rolling: all-at-once }\n");
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    world_render(&w, NULL);
    assert_int_equal(w.plan.strategy, STRATEGY_ALL_AT_ONCE);
    assert_string_equal(w.plan.warnings.items[0],
                        "all-at-once, not rolling: 1.1.0 does not run with main 4 (it runs with "
                        "2..3): rolling would let app-1 meet it");
}

static void never_mixes_what_may_not_be_mixed(void **state UNUSED)
{
    guestbook_of(
        "1.1.0", ROLLING,
        with(guestbook_application, "versions: semver\n", "versions: semver\nmixed: never\n"));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    assert_non_null(strstr(world_refusal(&w, NULL), "(mixed: never)"));
}

static void says_all_that_the_cluster_forbids_at_once(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    w.inventory.nodes[0].problem = "observe failed: bin/guestbook is missing";
    w.inventory.nodes[1].connected = false;
    w.inventory.nodes[2].enrolled = false;
    w.inventory.databases[0].connected = false;
    w.inventory.databases[0].problem = "password authentication failed for user \"gb\"";
    check("forbidden", world_refusal(&w, NULL),
          "node app-1: observe failed: bin/guestbook is missing\n"
          "node app-2 is not connected: start its lockstep-agent, or see its log\n"
          "cluster.yaml:9:13: node app-3 has never enrolled: run `lockstep node enroll app-3` and "
          "start its agent with the token\n"
          "database main cannot be reached: password authentication failed for user \"gb\"\n");
}

static void refuses_what_would_not_fit(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    w.inventory.nodes[0].disk_free_bytes = 1000;
    w.inventory.releases[2].arch = "amd64";
    w.inventory.nodes[1].arch = "arm64";
    check(
        "not fit", world_refusal(&w, NULL),
        "node app-1 has 1.0 kB free under /opt/guestbook and staging needs 5.5 MB: make room "
        "there\n"
        "application.yaml:16:22: the artifact of 2.0.0 could not be read: see url: and sha256:\n");
}

static void refuses_versions_and_migrations_that_nobody_knows(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.5");
    assert_non_null(strstr(world_refusal(&w, NULL), "runs 1.0.5, which is not a release"));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    w.inventory.databases[0].applied.items[1] = "somebody_elses";
    assert_non_null(strstr(world_refusal(&w, NULL), "\"somebody_elses\""));
}

static void splits_the_nodes_by_the_artifact_that_fits(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_release(&w, "2.0.0", 4);
    struct known_release *arm = &w.inventory.releases[w.inventory.release_count - 1];
    arm->sha256 = SHA("4444");
    arm->arch = w.inventory.nodes[1].arch = "arm64";
    w.inventory.releases[2].arch = "amd64";
    check("two systems", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-3\n"
          "         each   preflight                                   app-2\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-3         2.0 MB\n"
          "         each   stage 2.0.0                                 app-2               2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.0.0 -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 4                         2 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         each   swap 2.0.0, permit, start, health           app-1 app-3         3 in a "
          "row within 2 min 0 s\n"
          "         each   swap 2.0.0, permit, start, health           app-2               3 in a "
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

static void brings_a_ledger_across_hops_from_where_it_stands(void **state UNUSED)
{
    guestbook_of("2.0.0", "", with(guestbook_application, OLD_PATHS, REQUIRED));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    check("second hop", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 2 hops, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 2    1.1.0 -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 4                         1 up\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 2.0.0, permit, start, health           app-1 app-2 app-3   3 in a "
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

static void starts_nothing_in_a_hop_that_a_node_has_passed(void **state UNUSED)
{
    const char *application =
        with(with(guestbook_application, OLD_PATHS, REQUIRED), "2..3", "2..4");
    guestbook_of("2.0.0", "strategy: { rolling: { max_unavailable: 1 } }\n", application);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 4);
    w.inventory.nodes[2].version = "2.0.0";
    w.inventory.nodes[2].running = false;
    world_render(&w, NULL);
    /* 1.1.0 is passed by already, so its hop starts nothing; the down node goes first in the next. */
    assert_false(LIST_AT(&w.plan.hops, struct plan_hop, 0)->started);
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *p = plan_phase_at(&w.plan, i);
        if (p->takes_down) {
            const struct plan_node_set *set =
                LIST_AT(&w.plan.node_sets, struct plan_node_set, p->node_set);
            assert_int_equal(set->nodes.count, 1);
            assert_string_equal(set->nodes.items[0], "app-3");
            break;
        }
    }
}

#define EXTRA "extra_steps:\n"
static const char lead_steps[] =
    "extra_steps:\n"
    "  - { name: drain, scope: node, before: stopped, do: [ { run: { command: [bin/drain] } } ] }\n"
    "  - { name: lead, when: { role: lead }, scope: node, after: swapped, do: [ { run: { command: "
    "[bin/lead] } } ] }\n"
    "  - { name: reindex, scope: once, on: app-2, after: healthy, do: [ { run: { command: [bin/i] "
    "} "
    "} ] }\n"
    "  - { name: vacuum, scope: database, after: migrated, do: [ { sql: \"VACUUM\" } ] }\n"
    "  - { name: never, when: { direction: down }, scope: node, after: staged, do: [ { run: { "
    "command: "
    "[x] } } ] }\n";

static void puts_extra_steps_at_their_points(void **state UNUSED)
{
    guestbook_of("1.1.0", "", with(guestbook_application, EXTRA, lead_steps));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("points", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 1.1.0   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   drain                                       app-1 app-2 app-3\n"
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
          "         once   vacuum sql\n"
          "         all    swap 1.1.0                                  app-1 app-2 app-3\n"
          "         each   lead                                        app-1               lead: "
          "role is lead\n"
          "         all    permit, start, health                       app-1 app-2 app-3   3 in a "
          "row within 2 min 0 s\n"
          "         once   reindex run bin/i                           on app-2\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: never (direction is up, not down)\n"
          "          reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
}

static void puts_extra_steps_into_each_wave(void **state UNUSED)
{
    guestbook_of("1.1.0", "strategy: { rolling: { max_unavailable: 2 } }\n",
                 with(guestbook_application, EXTRA, lead_steps));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    check("points of waves", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 1.1.0   up, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.1.0                                 app-1 app-2 app-3   2.0 MB\n"
          "hop 1    1.0.0 -> 1.1.0\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.1.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         once   vacuum sql\n"
          "         each   drain, stop, swap 1.1.0                     app-1 app-2\n"
          "         each   lead                                        app-1               lead: "
          "role is lead\n"
          "         each   permit, start, health                       app-1 app-2         3 in a "
          "row within 2 min 0 s\n"
          "         each   drain, stop, swap 1.1.0                     app-3\n"
          "         each   permit, start, health                       app-3               3 in a "
          "row within 2 min 0 s\n"
          "         once   reindex run bin/i                           on app-2\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: never (direction is up, not down)\n"
          "          reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 2 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n");
}

static void says_why_an_extra_step_is_out(void **state UNUSED)
{
    static const struct {
        const char *when, *why;
    } rows[] = {
        {"direction: down", "direction is up, not down"},
        {"hop_from: \">=1.1.0\"", "1.0.0 is not >=1.1.0"},
        {"hop_to: \"1.0.0..1.0.9\"", "1.1.0 is not 1.0.0..1.0.9"},
        {"direction: up, hop_to: \"<1.1.0 || 3.0.0\"", "1.1.0 is not <1.1.0 || 3.0.0"},
        {"direction: up, hop_from: \"1.0.0\", hop_to: \">1.0.0 <2.0.0\", role: lead", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        guestbook_of("1.1.0", "",
                     with(guestbook_application,
                          "direction: down, hop_from: \">=2.0.0\", hop_to: \"1.0.0..1.1.0\"",
                          rows[i].when));
        world_runs(&w, "1.0.0");
        world_ledger(&w, 2);
        world_render(&w, NULL);
        assert_int_equal(w.plan.left_out.count, rows[i].why != NULL ? 1 : 0);
        if (rows[i].why != NULL) {
            assert_string_equal(LIST_AT(&w.plan.left_out, struct plan_left_out, 0)->why,
                                rows[i].why);
        }
        world_deinit(&w);
    }
}

static void refuses_a_way_down_that_lacks_a_script(void **state UNUSED)
{
    guestbook("1.0.0", "");
    world_runs(&w, "2.0.0");
    world_ledger(&w, 4);
    w.inventory.releases[2].databases[0].set.items[3].down = (struct migration_script){0};
    assert_non_null(strstr(world_refusal(&w, NULL), "\"add_tags\" has no down script"));
}

static void warns_of_a_loss_without_a_backup(void **state UNUSED)
{
    guestbook("1.0.0", "");
    world_runs(&w, "2.0.0");
    world_ledger(&w, 4);
    world_render(&w, NULL);
    assert_int_equal(w.plan.warnings.count, 1);
    assert_non_null(strstr(w.plan.warnings.items[0], "no backup is made before it"));
}

/* An address that is a secret: the engine is what was seen there. */
static void backs_up_mariadb_and_promises_less(void **state UNUSED)
{
    guestbook("2.0.0", BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    *w.spec.cluster->backup->with = (struct backup_with){.mariadb_dump = "/var/backups"};
    struct cluster_database_spec *database =
        LIST_AT(&w.spec.cluster->databases, struct cluster_database_spec, 0);
    assert_non_null(strstr(world_refusal(&w, NULL), "no way to back up database main"));
    static struct secret secret = {.file = "/run/url"};
    database->url = NULL;
    database->url_from = &secret;
    w.inventory.databases[0].engine = "MariaDB 10.11.19";
    const char *text = world_render(&w, NULL);
    assert_non_null(strstr(text, "backup main                                 mariadb-dump\n"));
    assert_null(strstr(text, "commits together with its ledger row"));
}

static void takes_a_wanted_version_in_another_form_for_its_release(void **state UNUSED)
{
    guestbook("v1.1.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    const char *plan = arena_strdup(&w.arena, world_render(&w, NULL));
    assert_string_equal(plan, world_render(&w, "1.1.0"));
    assert_string_equal(w.plan.to, "1.1.0");
    /* And nothing is to do where it runs. */
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    assert_int_equal(world_compile(&w, "1.1.0+build"), 0);
    assert_true(plan_is_empty(&w.plan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(takes_a_wanted_version_in_another_form_for_its_release),
        T(goes_up_all_at_once),
        T(goes_up_two_hops_and_migrates_through_the_first),
        T(starts_the_release_between_when_the_application_wants_that),
        T(goes_down_with_the_extra_step_and_the_point_of_no_return),
        T(installs_for_the_first_time),
        T(stops_what_runs_where_nothing_is_installed),
        T(has_nothing_to_do_when_all_is_right),
        T(only_starts_what_is_down_at_the_target),
        T(finishes_a_half_done_upgrade),
        T(takes_back_a_half_done_upgrade_of_the_database_alone),
        T(moves_a_ledger_that_was_left_behind),
        T(refuses_to_roll_what_it_cannot_prove),
        T(refuses_to_roll_against_the_direction_of_a_hop),
        T(goes_all_at_once_where_the_cluster_says_so),
        T(never_mixes_what_may_not_be_mixed),
        T(says_all_that_the_cluster_forbids_at_once),
        T(refuses_what_would_not_fit),
        T(refuses_versions_and_migrations_that_nobody_knows),
        T(splits_the_nodes_by_the_artifact_that_fits),
        T(brings_a_ledger_across_hops_from_where_it_stands),
        T(starts_nothing_in_a_hop_that_a_node_has_passed),
        T(puts_extra_steps_at_their_points),
        T(puts_extra_steps_into_each_wave),
        T(says_why_an_extra_step_is_out),
        T(refuses_a_way_down_that_lacks_a_script),
        T(warns_of_a_loss_without_a_backup),
        T(backs_up_mariadb_and_promises_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
