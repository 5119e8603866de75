/* What a ledger's rows mean for a plan: what stands open in it, what one row of golang-migrate says. */
#include "tests/unit/plan/texts.h"

static void stands_open(const char *id, bool down, bool ours, const char *words)
{
    struct observed_database *database = &w.inventory.databases[0];
    database->open = ARENA_NEW(&w.arena, struct observed_open);
    database->open[0] = (struct observed_open){id, down, ours, words};
    database->open_count = 1;
}

/* "up 1 2, down 3": the items of the plan's migrate steps. */
static const char *items(void)
{
    struct buf text;
    buf_init(&text, &w.arena, 4096);
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, i)->steps.count; s++) {
            const struct db_migrate_action *a = plan_step_at(&w.plan, i, s)->action->db_migrate;
            if (a == NULL) {
                continue;
            }
            buf_printf(&text, "%s%s", text.len > 0 ? ", " : "", a->down ? "down" : "up");
            for (size_t m = 0; m < a->items.count; m++) {
                buf_printf(&text, " %s", LIST_AT(&a->items, struct migration_item, m)->id);
            }
        }
    }
    return buf_text(&text);
}

static void a_mark_that_somebody_else_left_forbids_the_plan(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    stands_open("add_index", false, false, "failed at 12:00: no space left");
    check("mark", world_refusal(&w, NULL),
          "database main: its ledger says \"failed at 12:00: no space left\" at migration "
          "add_index: it was begun, not by Lockstep, and not ended. See what it changed "
          "(`lockstep db status` shows what stands there), then say so: `lockstep db retry`, "
          "`mark-applied`, `mark-reverted` or `down`\n");
}

static void what_lockstep_began_is_met_again_and_told(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    stands_open("add_index", false, true, "run 1f began 000003_add_index.up.sql at 12:00");
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "up add_index add_tags");
    assert_string_equal(w.plan.warnings.items[0],
                        "database main: migration add_index was begun on its way up and not ended "
                        "(run 1f began 000003_add_index.up.sql at 12:00): it is looked at before "
                        "anything runs");
}

static void what_was_begun_on_its_way_down_goes_down_first(void **state UNUSED)
{
    guestbook("1.0.0", "");
    world_runs(&w, "2.0.0");
    world_ledger(&w, 3); /* the row of the fourth is gone already */
    stands_open("add_tags", true, true, "run 1f began 000004_add_tags.down.sql at 12:00");
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "down add_tags add_index");
}

static void what_was_begun_and_no_step_meets_forbids_the_plan(void **state UNUSED)
{
    guestbook("1.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2); /* nothing is to do, as far as the ledger knows */
    stands_open("add_index", false, true, "run 1f began 000003_add_index.up.sql at 12:00");
    check("open", world_refusal(&w, NULL),
          "database main: migration add_index was begun on its way up and not ended (run 1f began "
          "000003_add_index.up.sql at 12:00), and this plan does not come by it: releases would "
          "start on a schema that is half-way. Look (`lockstep db status`), then say so: "
          "`lockstep db retry`, `mark-applied`, `mark-reverted` or `down`\n");
}

/* ---- golang-migrate: one row that means all up to it ---- */

#define FILE_OF(name_, text_)                                                                      \
    {                                                                                              \
        .name = (name_), .text = {(const uint8_t *)(text_), sizeof(text_) - 1},                    \
        .sha256 = SHA("abcd")                                                                      \
    }
#define NO_FILE                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const struct migration_file of_1[] = {FILE_OF("10_a.up.sql", "CREATE TABLE a (x int);"),
                                             FILE_OF("10_a.down.sql", "DROP TABLE a;"), NO_FILE};
static const struct migration_file of_2[] = {FILE_OF("10_a.up.sql", "CREATE TABLE a (x int);"),
                                             FILE_OF("10_a.down.sql", "DROP TABLE a;"),
                                             FILE_OF("20_b.up.sql", "CREATE TABLE b (x int);"),
                                             FILE_OF("20_b.down.sql", "DROP TABLE b;"),
                                             FILE_OF("30_c.up.sql", "CREATE TABLE c (x int);"),
                                             FILE_OF("30_c.down.sql", "DROP TABLE c;"),
                                             NO_FILE};
static const struct migration_file of_2_late[] = {
    FILE_OF("5_late.up.sql", "CREATE TABLE l (x int);"),
    FILE_OF("5_late.down.sql", "DROP TABLE l;"), FILE_OF("10_a.up.sql", "CREATE TABLE a (x int);"),
    FILE_OF("10_a.down.sql", "DROP TABLE a;"), NO_FILE};

static void golang_migrate(const char *runs, const char *to, const char *row,
                           const struct migration_file *newer)
{
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, to, ""),
               with(guestbook_application, "format: morph", "format: golang-migrate"));
    world_release_files(&w, "1.0.0", of_1);
    world_release_files(&w, "2.0.0", newer);
    world_runs(&w, runs);
    world_ids(&w, row);
}

static void one_row_means_all_up_to_it(void **state UNUSED)
{
    golang_migrate("1.0.0", "2.0.0", "10", of_2);
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "up 20 30");
    world_deinit(&w);
    golang_migrate("2.0.0", "1.0.0", "30", of_2);
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "down 30 20");
    world_deinit(&w);
    golang_migrate("1.0.0", "2.0.0", "20", of_2); /* broken off in the middle */
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "up 30");
    world_deinit(&w);
    golang_migrate(NULL, "2.0.0", "", of_2);
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "up 10 20 30");
}

static void a_dirty_row_that_lockstep_left_is_met_again(void **state UNUSED)
{
    golang_migrate("1.0.0", "2.0.0", "20", of_2);
    stands_open("20", false, true, "run 1f began 20_b.up.sql at 12:00");
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "up 20 30");
    world_deinit(&w);
    golang_migrate("2.0.0", "1.0.0", "20", of_2); /* the row says where it goes */
    stands_open("30", true, true, "run 1f began 30_c.down.sql at 12:00");
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_string_equal(items(), "down 30 20");
}

static void a_file_that_the_tool_would_skip_is_refused_by_its_name(void **state UNUSED)
{
    golang_migrate("1.0.0", "2.0.0", "10", of_2_late);
    check("late", world_refusal(&w, NULL),
          "database main, 1.0.0 -> 2.0.0: 5_late.up.sql is late: a higher version is applied, and "
          "golang-migrate would skip it without a word; give the file a higher number\n");
}

static void a_row_that_no_release_knows_is_refused(void **state UNUSED)
{
    golang_migrate("1.0.0", "2.0.0", "25", of_2);
    assert_non_null(strstr(world_refusal(&w, NULL), "database main: the ledger is at version 25"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_mark_that_somebody_else_left_forbids_the_plan),
        T(what_lockstep_began_is_met_again_and_told),
        T(what_was_begun_on_its_way_down_goes_down_first),
        T(what_was_begun_and_no_step_meets_forbids_the_plan),
        T(one_row_means_all_up_to_it),
        T(a_dirty_row_that_lockstep_left_is_met_again),
        T(a_file_that_the_tool_would_skip_is_refused_by_its_name),
        T(a_row_that_no_release_knows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
