/* Plans with an external migrator: from which tree it runs, once, and what its ledger must say. */
#include "tests/unit/plan/texts.h"

static const char toggles[] =
    "lockstep: 1\n"
    "kind: Cluster\n"
    "name: t\n"
    "application: toggles\n"
    "version: \"5.12.8\"\n"
    "nodes: [ { name: a }, { name: b } ]\n"
    "databases: { main: { url: \"postgres://u@h/d\", via: controller } }\n";

static void external(const char *runs, size_t rows)
{
    world_init(&w);
    world_read(&w, toggles, external_application);
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, runs);
    world_rows(&w, rows);
}

static const struct run_action *migrator(void)
{
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, i)->steps.count; s++) {
            if (plan_step_at(&w.plan, i, s)->action->run != NULL) {
                return plan_step_at(&w.plan, i, s)->action->run;
            }
        }
    }
    return NULL;
}

static void runs_an_external_migrator_from_the_staged_tree_up(void **state UNUSED)
{
    external("5.6.0", 210);
    check("external up", world_render(&w, NULL),
          "Plan 7f3a7f3a   t: toggles 5.6.0 -> 5.12.8   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   a b\n"
          "         each   stage 5.12.8                                a b                 2.0 MB\n"
          "         each   deny                                        a b\n"
          "         all    stop                                        a b\n"
          "hop 1    5.6.0 -> 5.12.8\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   tool lock main                              free\n"
          "         once   ledger main                                 210 rows, or 276 when it "
          "has run already\n"
          "         once   migrate main 210 -> 276                     on a                up of "
          "5.12.8\n"
          "         once   ledger main                                 276 rows\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 5.12.8, permit, start                  a b\n"
          "after    each   retire                                      a b\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          2 of 2 down at once, as all-at-once says\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
    assert_int_equal(migrator()->tree, TREE_STAGED);
    assert_true(migrator()->once);
    assert_string_equal(LIST_AT(&migrator()->command.env, struct env_value, 0)->value,
                        "postgres://u@h/d");
}

/* "name-BACK name-BACK": the steps of the phase that migrates, and how far a retry of each goes back. */
static const char *retries_go_back(void)
{
    struct buf text;
    buf_init(&text, &w.arena, 4096);
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        for (size_t s = 0; strcmp(phase->name, "migrate main") == 0 && s < phase->steps.count;
             s++) {
            const struct plan_step *step = plan_step_at(&w.plan, i, s);
            buf_printf(&text, "%s%s-%lld", s > 0 ? " " : "", step->name,
                       (long long)step->retry_back);
        }
    }
    return buf_text(&text);
}

static void a_retry_of_the_migrator_begins_with_its_lock_and_its_ledger(void **state UNUSED)
{
    external("5.6.0", 210);
    world_render(&w, NULL);
    assert_string_equal(retries_go_back(),
                        "writers-0 lock-0 tool lock-0 ledger-0 migrate-2 ledger-0 "
                        "checkpoint-0 unlock-0");
}

static void runs_it_from_the_installed_newer_tree_down(void **state UNUSED)
{
    external("5.12.8", 276);
    check("external down", world_render(&w, "5.6.0"),
          "Plan 7f3a7f3a   t: toggles 5.12.8 -> 5.6.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   a b\n"
          "         each   stage 5.6.0                                 a b                 2.0 MB\n"
          "         each   deny                                        a b\n"
          "         all    stop                                        a b\n"
          "hop 1    5.12.8 -> 5.6.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   tool lock main                              free\n"
          "         once   ledger main                                 276 rows, or 210 when it "
          "has run already\n"
          "         once   migrate main 276 -> 210                     on a\n"
          "                  down of 5.12.8   ! what the migrator's downs lose is not known: POINT "
          "OF NO RETURN (then: restore)\n"
          "         once   ledger main                                 210 rows\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    swap 5.6.0, permit, start                   a b\n"
          "after    each   retire                                      a b\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          2 of 2 down at once, as all-at-once says\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "warning:  this plan loses data and no backup is made before it: see backup: of cluster "
          "t\n");
    assert_int_equal(migrator()->tree, TREE_INSTALLED);
    assert_string_equal(migrator()->command.argv.items[3], "210");
}

static void stages_the_newer_tree_when_it_is_gone_from_the_node(void **state UNUSED)
{
    external("5.6.0", 276);
    check("external back", world_render(&w, "5.6.0"),
          "Plan 7f3a7f3a   t: toggles 5.12.8 -> 5.6.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   a\n"
          "         each   preflight                                   b\n"
          "         each   stage 5.12.8                                a                   2.0 MB\n"
          "         each   deny                                        a b\n"
          "         all    stop                                        a b\n"
          "hop 1    5.12.8 -> 5.6.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   tool lock main                              free\n"
          "         once   ledger main                                 276 rows, or 210 when it "
          "has run already\n"
          "         once   migrate main 276 -> 210                     on a\n"
          "                  down of 5.12.8   ! what the migrator's downs lose is not known: POINT "
          "OF NO RETURN (then: restore)\n"
          "         once   ledger main                                 210 rows\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "         all    permit, start                               a b\n"
          "after    each   retire                                      a b\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          2 of 2 down at once, as all-at-once says\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "warning:  this plan loses data and no backup is made before it: see backup: of cluster "
          "t\n");
    assert_int_equal(migrator()->tree, TREE_STAGED);
    assert_string_equal(migrator()->release, "5.12.8");
}

static void stops_at_a_partial_ledger(void **state UNUSED)
{
    external("5.6.0", 230);
    check("partial", world_refusal(&w, NULL),
          "partial ledger: database main holds 230 rows in migrations, 5.6.0 has 210, 5.12.8 has "
          "276: look at what the migrator left, bring it to one of the two by hand, and plan "
          "again; or say partial_ok: true when the migrator goes on by itself\n");
}

static const char rolling_toggles[] =
    "lockstep: 1\n"
    "kind: Cluster\n"
    "name: t\n"
    "application: toggles\n"
    "version: \"5.6.0\"\n"
    "nodes: [ { name: a }, { name: b } ]\n"
    "databases: { main: { url: \"postgres://u@h/d\", via: controller } }\n"
    "strategy: { rolling: { canary: 1 } }\n";

/* A way down was broken off behind the release that is wanted now: waves of a way down would start nodes before the rows
 * have come up again. */
static void refuses_to_roll_where_the_migrator_must_go_against_the_direction(void **state UNUSED)
{
    world_init(&w);
    world_read(&w, rolling_toggles, external_application);
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, "5.12.8");
    world_rows(&w, 0);
    const char *words = world_refusal(&w, NULL);
    assert_non_null(strstr(words, "210 migrations must go up on the way to 5.6.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(runs_an_external_migrator_from_the_staged_tree_up),
        T(a_retry_of_the_migrator_begins_with_its_lock_and_its_ledger),
        T(runs_it_from_the_installed_newer_tree_down),
        T(stages_the_newer_tree_when_it_is_gone_from_the_node),
        T(stops_at_a_partial_ledger),
        T(refuses_to_roll_where_the_migrator_must_go_against_the_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
