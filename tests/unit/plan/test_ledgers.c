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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_mark_that_somebody_else_left_forbids_the_plan),
        T(what_lockstep_began_is_met_again_and_told),
        T(what_was_begun_on_its_way_down_goes_down_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
