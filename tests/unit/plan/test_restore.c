/* The plan that puts databases back to the backups of an earlier run. */
#include "tests/unit/plan/texts.h"

static const char *ids_of_two[] = {"create_entries", "add_author"};

/* The guestbook runs 2.0.0; a run that went up from 1.0.0 had made a backup. */
static void after_the_way_up(const char *more)
{
    guestbook("2.0.0", more);
    world_runs(&w, "2.0.0");
    world_ledger(&w, 4);
    w.restores[0] = (struct plan_restore){.database = "main",
                                          .on = PLAN_CONTROLLER,
                                          .path = "/var/backups/main-0123-4.1.backup",
                                          .sha256 = SHA("abcd"),
                                          .fingerprint = SHA("ef01"),
                                          .bytes = 5300,
                                          .run = "0123456789abcdef",
                                          .made = "2026-03-02 14:05:09 UTC",
                                          .applied = w.inventory.databases[0].applied};
    w.restores[0].applied.count = 2;
    w.restore_count = 1;
}

static void reads_as_a_restore_that_looks_first_and_starts_the_old_release(void **state UNUSED)
{
    after_the_way_up(BACKUP);
    check("restore", world_render(&w, "1.0.0"),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0 -> 1.0.0   down, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   look at backup main                         5.3 kB of run 01234567, "
          "SHA-256 abcdabcd\n"
          "         each   stage 1.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    2.0.0 -> 1.0.0\n"
          "         once   writers main                                gone within 1 min 0 s\n"
          "         once   lock main\n"
          "         once   restore main\n"
          "                  of run 01234567   ! all since 2026-03-02 14:05:09 UTC is lost: POINT "
          "OF NO RETURN (then: restore)\n"
          "         once   ledger main                                 2 applied\n"
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
          "          no database is locked before every node has denied starts\n"
          "          no database is restored before the sessions of the application are gone\n");
}

static const struct plan_step *step_of(enum action_kind kind, size_t n, size_t *ret_phase)
{
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, p, s);
            if (action_kind(step->action) == kind && n-- == 0) {
                *ret_phase = p;
                return step;
            }
        }
    }
    return NULL;
}

static void restores_by_path_and_digest_and_compares_the_schema(void **state UNUSED)
{
    after_the_way_up("");
    world_render(&w, "1.0.0");
    size_t looked = 0;
    size_t restored = 0;
    size_t ledger = 0;
    const struct db_restore_action *look =
        step_of(ACTION_DB_RESTORE, 0, &looked)->action->db_restore;
    const struct db_restore_action *a =
        step_of(ACTION_DB_RESTORE, 1, &restored)->action->db_restore;
    assert_true(look->look);
    assert_false(plan_phase_at(&w.plan, looked)->disruptive);
    assert_false(a->look);
    assert_string_equal(a->path, "/var/backups/main-0123-4.1.backup");
    assert_string_equal(a->sha256, SHA("abcd"));
    assert_string_equal(a->fingerprint, SHA("ef01"));
    assert_int_equal(a->format, FORMAT_MORPH);
    assert_true(plan_phase_at(&w.plan, restored)->no_return);
    const struct db_ledger_action *l = step_of(ACTION_DB_LEDGER, 0, &ledger)->action->db_ledger;
    assert_int_equal(ledger, restored);
    assert_int_equal(l->expect_ids.count, 2);
    size_t unused = 0;
    assert_null(step_of(ACTION_DB_MIGRATE, 0, &unused));
    /* What must still be so when it is applied is what is there now. */
    assert_int_equal(LIST_AT(&w.plan.databases, struct plan_observed_database, 0)->applied.count,
                     4);
}

static void a_ledger_that_nobody_explains_does_not_forbid_a_restore(void **state UNUSED)
{
    after_the_way_up("");
    struct plan_restore restore = w.restores[0];
    restore.applied = w.inventory.databases[0].applied;
    restore.applied.count = 2;
    world_ids(&w, "left_by_hand create_entries");
    struct observed_open open = {.id = "drop_email", .ours = true, .words = "begun"};
    w.inventory.databases[0].open = &open;
    w.inventory.databases[0].open_count = 1;
    w.restores[0] = restore;
    world_render(&w, "1.0.0");
    assert_int_equal(w.complaints.count, 0);
}

static void migrates_what_the_backup_lacks_of_its_release(void **state UNUSED)
{
    after_the_way_up("");
    w.restores[0].applied.count = 1;
    world_render(&w, "1.0.0");
    size_t restored = 0;
    size_t migrated = 0;
    assert_non_null(step_of(ACTION_DB_RESTORE, 1, &restored));
    const struct db_migrate_action *a =
        step_of(ACTION_DB_MIGRATE, 0, &migrated)->action->db_migrate;
    assert_true(migrated > restored);
    assert_false(a->down);
    assert_int_equal(a->items.count, 1);
}

static void needs_no_release_above_the_backup(void **state UNUSED)
{
    after_the_way_up("");
    const struct plan_request request = {
        .to = "1.0.0", .restores = w.restores, .restore_count = w.restore_count};
    struct strings list = {0};
    struct error e = {0};
    assert_int_equal(plan_releases_needed(&w.arena, &w.spec, &w.inventory, &request, &list, &e), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0], "1.0.0");
}

static void restores_although_all_nodes_run_the_release_of_the_backup(void **state UNUSED)
{
    after_the_way_up("");
    world_runs(&w, "1.0.0");
    world_render(&w, "1.0.0");
    size_t phase = 0;
    assert_non_null(step_of(ACTION_DB_RESTORE, 1, &phase));
    assert_non_null(step_of(ACTION_DENY, 0, &phase));
    assert_null(step_of(ACTION_SWAP, 0, &phase));
}

static void nodes_that_roll_stop_all_for_a_restore(void **state UNUSED)
{
    after_the_way_up(ROLLING);
    world_render(&w, "1.0.0");
    assert_int_equal(w.plan.strategy, STRATEGY_ALL_AT_ONCE);
}

static void refuses_a_backup_that_lies_elsewhere(void **state UNUSED)
{
    after_the_way_up("");
    w.restores[0].on = "app-2";
    assert_non_null(strstr(world_refusal(&w, "1.0.0"),
                           "the backup of database main lies on app-2 "
                           "(/var/backups/main-0123-4.1.backup), and the database is now reached "
                           "from controller"));
}

static void refuses_a_backup_of_a_schema_that_stood_half_way(void **state UNUSED)
{
    after_the_way_up("");
    w.restores[0].half_done = (struct strings){ids_of_two, 1};
    assert_non_null(strstr(world_refusal(&w, "1.0.0"), "holds migration create_entries half-done"));
}

static void refuses_a_release_that_does_not_know_the_backups_ledger(void **state UNUSED)
{
    after_the_way_up("");
    w.restores[0].applied.count = 4;
    world_refusal(&w, "1.0.0");
}

#define SCRUB                                                                                      \
    "extra_steps:\n"                                                                               \
    "  - name: scrub\n"                                                                            \
    "    scope: database\n"                                                                        \
    "    after: migrated\n"                                                                        \
    "    do: [ { sql: \"DELETE FROM sessions\" } ]\n"

static void leaves_out_steps_on_a_database_that_is_restored(void **state UNUSED)
{
    guestbook_of("2.0.0", "", with(guestbook_application, "extra_steps:\n", SCRUB));
    w.restores[0] = (struct plan_restore){.database = "main",
                                          .on = PLAN_CONTROLLER,
                                          .path = "/b",
                                          .sha256 = SHA("abcd"),
                                          .run = "0123456789abcdef",
                                          .made = "then"};
    w.restore_count = 1;
    world_runs(&w, "2.0.0");
    world_ledger(&w, 2);
    w.restores[0].applied = w.inventory.databases[0].applied;
    const char *text = world_render(&w, "1.0.0");
    assert_non_null(strstr(text, "scrub (database main is put back to a backup)"));
}

static void an_external_migrators_rows_are_counted_after_the_restore(void **state UNUSED)
{
    world_init(&w);
    world_read(&w,
               "lockstep: 1\n"
               "kind: Cluster\n"
               "name: t\n"
               "application: toggles\n"
               "version: \"5.12.8\"\n"
               "nodes: [ { name: a }, { name: b } ]\n"
               "databases: { main: { url: \"postgres://u@h/d\", via: controller } }\n",
               external_application);
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, "5.12.8");
    world_rows(&w, 276);
    static const char *rows[210];
    w.restores[0] = (struct plan_restore){.database = "main",
                                          .on = PLAN_CONTROLLER,
                                          .path = "/b",
                                          .sha256 = SHA("abcd"),
                                          .run = "0123456789abcdef",
                                          .made = "then",
                                          .applied = {rows, 210}};
    w.restore_count = 1;
    world_render(&w, "5.6.0");
    size_t phase = 0;
    assert_null(step_of(ACTION_RUN, 0, &phase));
    assert_int_equal(step_of(ACTION_DB_LEDGER, 0, &phase)->action->db_ledger->expect_count, 210);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_as_a_restore_that_looks_first_and_starts_the_old_release),
        T(restores_by_path_and_digest_and_compares_the_schema),
        T(a_ledger_that_nobody_explains_does_not_forbid_a_restore),
        T(migrates_what_the_backup_lacks_of_its_release),
        T(needs_no_release_above_the_backup),
        T(restores_although_all_nodes_run_the_release_of_the_backup),
        T(nodes_that_roll_stop_all_for_a_restore),
        T(refuses_a_backup_that_lies_elsewhere),
        T(refuses_a_backup_of_a_schema_that_stood_half_way),
        T(refuses_a_release_that_does_not_know_the_backups_ledger),
        T(leaves_out_steps_on_a_database_that_is_restored),
        T(an_external_migrators_rows_are_counted_after_the_restore),
    };
    return cmocka_run_group_tests_name("plan/restore", tests, NULL, NULL);
}
