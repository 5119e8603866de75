/* Plans with a migrator that has a version and an artifact of its own, as a newer tool that takes an old release down. */
#include "tests/unit/plan/texts.h"

static const char toggles[] =
    "lockstep: 1\n"
    "kind: Cluster\n"
    "name: t\n"
    "application: toggles\n"
    "version: \"5.6.0\"\n"
    "nodes: [ { name: a }, { name: b } ]\n"
    "databases: { main: { url: \"postgres://u@h/d\", via: controller } }\n";

static struct known_release migrator = {
    .version = "5.0.3", .sha256 = SHA("5555"), .bytes = 12000000, .unpacked_bytes = 50000000};

static const char *with_own(void)
{
    return with(external_application, "from: newer",
                "version: \"5.0.3\"\n        artifact: { url: "
                "\"https://m.example/5.0.3.tgz\", sha256: " SHA("5555") " }");
}

static void down_from_the_newer(void)
{
    world_init(&w);
    world_read(&w, toggles, with_own());
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, "5.12.8");
    world_rows(&w, 276);
    w.inventory.migrators = &migrator;
    w.inventory.migrator_count = 1;
}

static const struct plan_step *first(enum action_kind kind, const char *name, size_t *ret_phase)
{
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, p, s);
            if (action_kind(step->action) == kind &&
                (name == NULL || strcmp(step->name, name) == 0)) {
                *ret_phase = p;
                return step;
            }
        }
    }
    return NULL;
}

static void names_the_migrator_and_stages_it_before_anything_stops(void **state UNUSED)
{
    down_from_the_newer();
    check("own migrator", world_render(&w, NULL),
          "Plan 7f3a7f3a   t: toggles 5.12.8 -> 5.6.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   a b\n"
          "         each   stage 5.6.0                                 a b                 2.0 MB\n"
          "         each   stage migrator 5.0.3                        a                   12 MB, "
          "SHA-256 55555555\n"
          "         each   deny                                        a b\n"
          "         all    stop                                        a b\n"
          "hop 1    5.12.8 -> 5.6.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   tool lock main                              free\n"
          "         once   ledger main                                 276 rows, or 210 when it "
          "has run already\n"
          "         once   migrate main 276 -> 210                     on a\n"
          "                  down\n"
          "                    by migrator 5.0.3   ! what the migrator's downs lose is not known: "
          "POINT OF NO RETURN (then: restore)\n"
          "         once   ledger main                                 210 rows\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 5.6.0, permit, start                   a b\n"
          "after    each   retire                                      a b\n"
          "         each   retire migrators                            a\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          2 of 2 down at once, as all-at-once says\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "warning:  this plan loses data and no backup is made before it: see backup: of cluster "
          "t\n");
}

static void runs_in_its_own_tree_by_version_and_digest(void **state UNUSED)
{
    down_from_the_newer();
    world_render(&w, NULL);
    size_t staged = 0;
    size_t ran = 0;
    size_t retired = 0;
    const struct stage_action *stage =
        first(ACTION_STAGE, "stage migrator", &staged)->action->stage;
    const struct run_action *run = first(ACTION_RUN, NULL, &ran)->action->run;
    assert_false(plan_phase_at(&w.plan, staged)->disruptive);
    assert_string_equal(stage->artifact.sha256, SHA("5555"));
    assert_string_equal(stage->layout, run->layout);
    assert_int_equal(run->tree, TREE_STAGED);
    assert_string_equal(run->release, "5.0.3");
    assert_string_equal(run->sha256, SHA("5555"));
    assert_true(run->once);
    size_t first_release = 0;
    const struct stage_action *release =
        first(ACTION_STAGE, "stage", &first_release)->action->stage;
    assert_string_not_equal(release->layout, stage->layout);
    /* It goes with the staged trees of the releases, by the same number. */
    const struct retire_action *retire =
        first(ACTION_RETIRE, "retire migrators", &retired)->action->retire;
    assert_string_equal(retire->layout, stage->layout);
    assert_int_equal(retire->keep_releases, 2);
    assert_true(retired > ran);
}

static void a_retry_of_it_is_proved_anew_like_any(void **state UNUSED)
{
    down_from_the_newer();
    world_render(&w, NULL);
    size_t ran = 0;
    assert_true(first(ACTION_RUN, NULL, &ran)->retry_back > 0);
}

static void the_releases_own_migrator_is_not_staged_for_it(void **state UNUSED)
{
    world_init(&w);
    world_read(&w, with(toggles, "5.6.0", "5.12.8"), with_own());
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, "5.12.8");
    world_rows(&w, 276);
    world_render(&w, NULL);
    size_t phase = 0;
    assert_null(first(ACTION_STAGE, NULL, &phase));
}

static void is_wanted_only_where_the_ledger_moves(void **state UNUSED)
{
    down_from_the_newer();
    const struct external_spec **wanted = NULL;
    struct plan_request request = {0};
    assert_int_equal(plan_migrators_needed(&w.arena, &w.spec, &w.inventory, &request, &wanted), 1);
    assert_string_equal(wanted[0]->version, "5.0.3");
    request.to = "5.12.8";
    assert_int_equal(plan_migrators_needed(&w.arena, &w.spec, &w.inventory, &request, &wanted), 0);
}

static void refuses_a_node_that_its_artifact_does_not_fit(void **state UNUSED)
{
    down_from_the_newer();
    w.inventory.migrator_count = 0;
    assert_non_null(
        strstr(world_refusal(&w, NULL), "migrator 5.0.3 of database main has no artifact"));
}

static void a_full_disk_for_it_is_told_before_anything_runs(void **state UNUSED)
{
    down_from_the_newer();
    w.inventory.nodes[0].disk_free_bytes = 30000000; /* enough for the releases alone */
    assert_non_null(strstr(world_refusal(&w, NULL), "node a has 30 MB free"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_the_migrator_and_stages_it_before_anything_stops),
        T(runs_in_its_own_tree_by_version_and_digest),
        T(a_retry_of_it_is_proved_anew_like_any),
        T(the_releases_own_migrator_is_not_staged_for_it),
        T(is_wanted_only_where_the_ledger_moves),
        T(refuses_a_node_that_its_artifact_does_not_fit),
        T(a_full_disk_for_it_is_told_before_anything_runs),
    };
    return cmocka_run_group_tests_name("plan/migrator", tests, NULL, NULL);
}
