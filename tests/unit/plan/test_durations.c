/* What a plan says of the time it takes: from what took how long before, and no part of the plan. */
#include "lib/plan/durations.h"
#include "tests/unit/plan/texts.h"

#define ITEMS_MAX 256
static struct known_duration items[ITEMS_MAX];
static struct known_durations known = {.items = items, .source = "rehearsed then on 2.1 GB"};

static void up_to_the_top(void)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    known.count = 0;
    w.known = &known;
    assert_int_equal(world_compile(&w, NULL), 0);
}

/* The n-th migration of the plan took so long. */
static void knows(size_t n, int64_t ms)
{
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const struct db_migrate_action *a = plan_step_at(&w.plan, p, s)->action->db_migrate;
            for (size_t i = 0; a != NULL && i < a->items.count; i++) {
                if (n-- == 0) {
                    items[known.count++] = (struct known_duration){
                        .sha256 = LIST_AT(&a->items, struct migration_item, i)->sha256, .ms = ms};
                    return;
                }
            }
        }
    }
    fail_msg("there are not so many migrations");
}

static const char *first_line(const char *text)
{
    return arena_strndup(&w.arena, text, strcspn(text, "\n"));
}

static struct duration_sum rest(void)
{
    return forecast_rest(forecast_new(&w.arena, &known, &w.plan));
}

static bool says(const char *text, const char *words)
{
    return strstr(text, words) != NULL;
}

static void says_how_long_migrations_took_and_how_many_are_not_known(void **state UNUSED)
{
    up_to_the_top();
    knows(0, 61000);
    const char *text = world_render(&w, NULL);
    assert_true(says(first_line(text),
                     ", migrations about 1 min 1 s for 1 of 2 (rehearsed then on 2.1 GB)"));
    knows(1, 3000);
    text = world_render(&w, NULL);
    assert_true(says(first_line(text), ", migrations about 1 min 4 s (rehearsed then on 2.1 GB)"));
    assert_true(says(text, "2 up, about 1 min 4 s"));
}

static void adds_up_all_steps_where_others_are_known_too(void **state UNUSED)
{
    up_to_the_top();
    knows(0, 60000);
    items[known.count++] = (struct known_duration){.step = "swap", .ms = 2000};
    const char *line = first_line(world_render(&w, NULL));
    assert_true(says(line, ", about 1 min "));
    assert_string_equal(strstr(line, ", about"),
                        ", about 1 min 2 s for 2 of 17 steps, service down at least 1 min 2 s "
                        "(rehearsed then on 2.1 GB)");
}

static void a_step_at_another_place_is_not_this_one(void **state UNUSED)
{
    up_to_the_top();
    items[known.count++] = (struct known_duration){.step = "lock", .place = "app-9", .ms = 2000};
    struct duration_sum sum = rest();
    assert_int_equal(sum.known, 0);
    items[0].place = PLAN_CONTROLLER;
    sum = rest();
    assert_true(sum.known > 0);
    assert_int_equal(sum.ms, 2000 * (int64_t)sum.known);
}

static void waves_take_their_turns(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    assert_int_equal(world_compile(&w, NULL), 0);
    known.count = 0;
    items[known.count++] = (struct known_duration){.step = "swap", .ms = 1000};
    /* One canary, then two nodes one after the other, in whatever phases. */
    assert_int_equal(rest().ms, 3000);
}

static void the_first_line_says_how_long_the_service_is_down(void **state UNUSED)
{
    up_to_the_top();
    knows(0, 60000);
    knows(1, 3000);
    items[known.count++] = (struct known_duration){.step = "stop", .ms = 2000};
    const char *line = first_line(world_render(&w, NULL));
    assert_true(says(line, " steps, service down at least 1 min 5 s (rehearsed then on 2.1 GB)"));
    /* Whatever else there is, is known too. */
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const char *name = plan_step_at(&w.plan, p, s)->name;
            bool stops = strcmp(name, "stop") == 0;
            assert_true(known.count < ITEMS_MAX);
            items[known.count] = (struct known_duration){.step = name, .ms = 0};
            known.count += stops || rest().known == rest().all ? 0 : 1;
        }
    }
    line = first_line(world_render(&w, NULL));
    assert_true(says(line, ", about 1 min 5 s, service down about 1 min 5 s (rehearsed then"));
}

static void nothing_is_guessed(void **state UNUSED)
{
    up_to_the_top();
    items[known.count++] = (struct known_duration){.sha256 = SHA("0000"), .ms = 9};
    assert_true(
        says(first_line(world_render(&w, NULL)), ", nobody knows how long its migrations take"));
    w.known = NULL;
    assert_false(says(first_line(world_render(&w, NULL)), "about"));
}

static void what_is_known_is_no_part_of_the_plan(void **state UNUSED)
{
    up_to_the_top();
    const char *before = world_json(&w);
    knows(0, 61000);
    world_render(&w, NULL);
    assert_string_equal(world_json(&w), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(says_how_long_migrations_took_and_how_many_are_not_known),
        T(adds_up_all_steps_where_others_are_known_too),
        T(a_step_at_another_place_is_not_this_one),
        T(waves_take_their_turns),
        T(the_first_line_says_how_long_the_service_is_down),
        T(nothing_is_guessed),
        T(what_is_known_is_no_part_of_the_plan),
    };
    return cmocka_run_group_tests_name("plan/durations", tests, NULL, NULL);
}
