/* goose's .go migrations: a start of the application's own migrator at their place in the order. */
#include "tests/unit/plan/texts.h"

#define FILE_OF(name_, text_)                                                                      \
    {                                                                                              \
        .name = (name_), .text = {(const uint8_t *)(text_), sizeof(text_) - 1},                    \
        .sha256 = SHA("abcd")                                                                      \
    }
#define NO_FILE                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define SQL(name)                                                                                  \
    FILE_OF(#name "_t.sql", "-- +goose Up\nCREATE TABLE t" #name " (x int);\n"                     \
                            "-- +goose Down\nDROP TABLE t" #name ";\n")

static const struct migration_file of_1[] = {SQL(10), NO_FILE};
static const struct migration_file of_2[] = {SQL(10), SQL(20), FILE_OF("30_seed.go", "package x\n"),
                                             SQL(40), NO_FILE};

#define DELEGATE                                                                                   \
    "format: goose, delegate: { up: [bin/migrate, --up-to, \"${migration.version}\"], "            \
    "down: [bin/migrate, --down, \"${migration.previous}\"], on: app-2, lock_advisory: 77 }"

static void goose(const char *runs, const char *to, const char *ids, const char *migrations)
{
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, to, ""),
               with(guestbook_application, "format: morph", migrations));
    world_release_files(&w, "1.0.0", of_1);
    world_release_files(&w, "2.0.0", of_2);
    world_runs(&w, runs);
    world_ids(&w, ids);
}

static const struct plan_step *step_named(const char *name, size_t nth)
{
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, i)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, i, s);
            if (strcmp(step->name, name) == 0 && nth-- == 0) {
                return step;
            }
        }
    }
    fail_msg("no such step: %s", name);
    return NULL;
}

static void starts_the_migrator_at_that_point_of_the_order(void **state UNUSED)
{
    goose("1.0.0", "2.0.0", "10", DELEGATE);
    check("delegate up", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    1.0.0 -> 2.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 4                         1 up\n"
          "                  back: 20 drops table t20\n"
          "         once   unlock main\n"
          "         once   lock main\n"
          "         once   tool lock main                              free\n"
          "         once   ledger main                                 2 applied, or it has run "
          "already\n"
          "         once   migrate main 30_seed.go                     on app-2            up of "
          "2.0.0\n"
          "         once   ledger main                                 3 applied\n"
          "         once   unlock main\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 4                         1 up\n"
          "                  back: 40 drops table t40\n"
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
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "to read:  2.0.0: authors lose their address\n");
    const struct plan_step *start = step_named("migrate", 1);
    assert_string_equal(start->on, "app-2");
    assert_string_equal(start->action->run->command.argv.items[2], "30");
    assert_true(start->action->run->once);
    assert_int_equal(start->action->run->tree, TREE_STAGED);
    assert_int_equal(start->retry_back, 2);
    /* Its own lock is free for it: only ours is held. */
    assert_int_equal(step_named("lock", 0)->action->db_lock->format, FORMAT_GOOSE);
    assert_int_equal(step_named("lock", 1)->action->db_lock->format, FORMAT_NONE);
    assert_int_equal(step_named("lock", 2)->action->db_lock->format, FORMAT_GOOSE);
    const struct db_ledger_action *before = step_named("ledger", 0)->action->db_ledger;
    assert_int_equal(before->expect_ids.count, 2);
    assert_string_equal(before->done_id, "30");
    const struct db_ledger_action *after = step_named("ledger", 1)->action->db_ledger;
    assert_int_equal(after->expect_ids.count, 3);
    assert_string_equal(after->expect_ids.items[2], "30");
    assert_false(after->or_done);
}

static void takes_it_back_with_the_number_before_it(void **state UNUSED)
{
    goose("2.0.0", "1.0.0", "10 20 30 40", DELEGATE);
    assert_int_equal(world_compile(&w, NULL), 0);
    const struct plan_step *start = step_named("migrate", 1);
    assert_string_equal(start->action->run->command.argv.items[1], "--down");
    assert_string_equal(start->action->run->command.argv.items[2], "20");
    assert_string_equal(start->action->run->release, "2.0.0");
    assert_int_equal(start->action->run->tree, TREE_INSTALLED);
    assert_int_equal(step_named("ledger", 0)->action->db_ledger->expect_ids.count, 3);
    assert_int_equal(step_named("ledger", 1)->action->db_ledger->expect_ids.count, 2);
}

static void without_a_migrator_the_plan_is_refused_with_the_files_name(void **state UNUSED)
{
    goose("1.0.0", "2.0.0", "10", "format: goose");
    check("no delegate", world_refusal(&w, NULL),
          "application.yaml:23:33: 30_seed.go is no SQL: only the application's own migrator runs "
          "it. Name that one as migrations.delegate of database main, with its up: command\n");
    world_deinit(&w);
    goose("2.0.0", "1.0.0", "10 20 30", "format: goose, delegate: { up: [bin/migrate] }");
    assert_non_null(strstr(world_refusal(&w, NULL), "30_seed.go is no SQL"));
    assert_non_null(strstr(world_refusal(&w, NULL), "with its down: command"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(starts_the_migrator_at_that_point_of_the_order),
        T(takes_it_back_with_the_number_before_it),
        T(without_a_migrator_the_plan_is_refused_with_the_files_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
