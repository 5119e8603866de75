/* What is proved is proved of the plan as it is: each test changes a compiled plan and sees it refused. */
#include <time.h>

#include "tests/unit/plan/texts.h"

static const char *proof(void)
{
    struct strings said = {0};
    complaints_init(&w.complaints, &w.arena);
    int rc = plan_prove(&w.arena, &w.spec, &w.plan, &said, &w.complaints);
    assert_int_equal(rc == 0, w.complaints.count == 0);
    return rc < 0 ? w.complaints.items[0].message : str_join(&w.arena, said.items, said.count);
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in: %s", part, text);
    }
}

static struct plan_phase *phase_named(const char *name)
{
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        struct plan_phase *p = LIST_AT(&w.plan.phases, struct plan_phase, i);
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    fail_msg("the plan has no phase \"%s\"", name);
    return NULL;
}

static void move_up(const char *strategy)
{
    guestbook("1.1.0", strategy);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
}

static void swap_phases(struct plan_phase *a, struct plan_phase *b)
{
    struct plan_phase keep = *a;
    *a = *b;
    *b = keep;
}

static void says_what_it_said_when_it_compiled(void **state UNUSED)
{
    move_up("");
    assert_string_equal(proof(), str_join(&w.arena, w.plan.proved.items, w.plan.proved.count));
    assert_int_equal(w.plan.proved.count, 5);
}

static void refuses_a_lock_before_the_denials(void **state UNUSED)
{
    move_up("");
    phase_named("deny")->steps.count = 0;
    has(proof(), "locks database main while 3 of 3 nodes have not denied starts");
}

static void refuses_a_denial_that_leaves_a_node_out(void **state UNUSED)
{
    move_up("");
    struct plan_phase *deny = phase_named("deny");
    struct plan_node_set *set = LIST_AT(&w.plan.node_sets, struct plan_node_set, deny->node_set);
    set->nodes.count--;
    has(proof(), "while 1 of 3 nodes have not denied starts");
}

static void refuses_a_denial_that_comes_after_the_lock(void **state UNUSED)
{
    move_up("");
    swap_phases(phase_named("deny"), phase_named("migrate main"));
    has(proof(), "have not denied starts");
}

static void refuses_a_wave_that_is_too_wide(void **state UNUSED)
{
    move_up("strategy: { rolling: { max_unavailable: 1 } }\n");
    has(proof(), "no more than 1 of 3 nodes taken down at once");
    struct plan_phase *wave = phase_named("move");
    struct plan_node_set *set = LIST_AT(&w.plan.node_sets, struct plan_node_set, wave->node_set);
    static const char *two[] = {"app-1", "app-2"};
    set->nodes = (struct strings){two, 2};
    has(proof(),
        "would have 2 of 3 nodes down at once (0 before it), more than max_unavailable: 1");
    wave->parallel = 1;
    has(proof(), "no more than 1 of 3 nodes taken down at once");
}

static void counts_what_a_phase_leaves_down(void **state UNUSED)
{
    move_up("strategy: { rolling: { max_unavailable: 2 } }\n");
    has(proof(), "no more than 2 of 3 nodes taken down at once");
    struct plan_phase *wave = phase_named("move");
    wave->parallel = 1;
    has(proof(), "no more than 1 of 3 nodes taken down at once");
    wave->steps.count = 2; /* stop and swap: the two stay down beside the next wave */
    has(proof(), "would have 3 of 3 nodes down at once (2 before it)");
}

static void refuses_an_extra_step_that_restarts_all_nodes(void **state UNUSED)
{
    guestbook_of("1.1.0", ROLLING,
                 with(guestbook_application, "extra_steps:\n",
                      "extra_steps:\n  - { name: kick, scope: node, after: staged, do: [ { "
                      "service: restart } ] }\n"));
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    has(world_refusal(&w, NULL), "phase \"kick\" would have 3 of 3 nodes down at once");
}

static void refuses_a_start_before_the_migration(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    swap_phases(phase_named("migrate main"), phase_named("swap and start"));
    has(proof(), "phase \"swap and start\" starts it on app-1: release 2.0.0 would meet main 2 (it "
                 "runs with 4)");
}

static void refuses_a_migration_under_a_release_that_runs(void **state UNUSED)
{
    guestbook("2.0.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    phase_named("stop")->steps.count = 0;
    has(proof(), "release 1.0.0 would meet main 4 (it runs with 2..3)");
}

static void refuses_a_migration_before_the_sessions_are_gone(void **state UNUSED)
{
    move_up("");
    has(proof(), "no migration runs before the sessions of the application are gone");
    struct list *steps = &phase_named("migrate main")->steps;
    assert_string_equal(LIST_AT(steps, struct plan_step, 0)->name, "writers");
    steps->items = LIST_AT(steps, struct plan_step, 1);
    steps->count--;
    has(proof(), "phase \"migrate main\" moves database main before the sessions of the "
                 "application are gone");
}

static void is_quick_with_ten_thousand_nodes(void **state UNUSED)
{
    move_up("strategy: { rolling: { max_unavailable: 1 } }\n");
    /* The plan's own phases again and again over a set of many nodes: 10 hops of 100 waves. */
    const size_t nodes = 10000;
    w.plan.nodes = (struct list){arena_array(&w.arena, nodes, sizeof(struct plan_node)), nodes};
    const char **names = ARENA_ARRAY(&w.arena, nodes, const char *);
    for (size_t i = 0; i < nodes; i++) {
        names[i] = arena_printf(&w.arena, "n-%zu", i);
        *LIST_AT(&w.plan.nodes, struct plan_node, i) =
            (struct plan_node){.name = names[i], .from = "1.0.0", .running = true};
    }
    const struct plan_phase wave = *phase_named("move");
    struct plan_phase *phases = arena_array(&w.arena, 1000, sizeof(*phases));
    struct plan_node_set *sets = arena_array(&w.arena, 100, sizeof(*sets));
    for (size_t i = 0; i < 1000; i++) {
        phases[i] = wave;
        phases[i].node_set = (int64_t)(i % 100);
        phases[i].parallel = 1;
        sets[i % 100] = (struct plan_node_set){"some", {names + i % 100 * 100, 100}};
    }
    w.plan.phases = (struct list){phases, 1000};
    w.plan.node_sets = (struct list){sets, 100};
    clock_t before = clock();
    has(proof(), "no more than 1 of 10000 nodes taken down at once");
    assert_true(clock() - before < CLOCKS_PER_SEC / 2);
}

static void tells_that_max_age_is_not_looked_at(void **state UNUSED)
{
    static const char aged[] =
        "backup: { when: always, max_age: 30m, with: { sqlite: /var/backups } }\n";
    move_up(aged);
    assert_int_equal(w.plan.warnings.count, 1);
    assert_string_equal(w.plan.warnings.items[0],
                        "backup max_age 30 min 0 s: this run takes a backup of its own right "
                        "before it migrates; the age of other backups is not looked at");
    world_deinit(&w);
    move_up(BACKUP);
    assert_int_equal(w.plan.warnings.count, 0);
}

/* 1.1.0 runs with what 2.0.0 has, too. */
static const char *wide_application(void)
{
    return with(guestbook_application, "schema: { main: 3 }\n    runs_with: { main: \"2..3\" }",
                "schema: { main: 3 }\n    runs_with: { main: \"2..4\" }");
}

static void names_the_release_over_which_it_would_roll(void **state UNUSED)
{
    guestbook_of("2.0.0", ROLLING, wide_application());
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    has(world_refusal(&w, NULL),
        "1.0.0 does not run with main 4 (it runs with 2..3): rolling would let app-1 meet it "
        "(going "
        "over 1.1.0 first, which runs with main 2..4, would roll); go all-at-once, or say "
        "if_not_rolling: all-at-once\n");
    /* It is true: */
    has(world_render(&w, "1.1.0"), "up, 1 hop, rolling");
    world_runs(&w, "1.1.0");
    world_ledger(&w, 3);
    has(world_render(&w, "2.0.0"), "up, 1 hop, rolling");
}

static void offers_no_way_out_from_half_way(void **state UNUSED)
{
    guestbook_of("2.0.0", ROLLING, wide_application());
    world_runs(&w, "1.0.0");
    world_ledger(&w, 3);
    has(world_refusal(&w, NULL), "rolling would let app-1 meet it; go all-at-once");
    world_ledger(&w, 2);
    w.inventory.nodes[1].version = "1.1.0";
    has(world_refusal(&w, NULL), "rolling would let app-1 meet it; go all-at-once");
}

static const char *gap_application(void)
{
    return with(guestbook_application, "schema: { main: 2 }\n    runs_with: { main: \"2..3\" }",
                "schema: { main: 2 }\n    runs_with: { main: \"2 || 4\" }");
}

static void refuses_a_release_that_leaves_out_the_schema_that_is_there(void **state UNUSED)
{
    guestbook_of("1.0.0", ROLLING, gap_application());
    world_runs(&w, "2.0.0");
    world_ledger(&w, 3); /* a run was broken off between 4 and 2 */
    has(world_refusal(&w, NULL), "1.0.0 does not run with main 3 (it runs with 2 || 4): rolling "
                                 "would let app-1 meet it");
}

static void refuses_a_release_that_leaves_out_a_schema_on_the_way(void **state UNUSED)
{
    guestbook_of("2.0.0", ROLLING, gap_application());
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    has(world_refusal(&w, NULL), "1.0.0 does not run with main 3 (it runs with 2 || 4): rolling "
                                 "would let app-1 meet it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(says_what_it_said_when_it_compiled),
        T(refuses_a_lock_before_the_denials),
        T(refuses_a_denial_that_leaves_a_node_out),
        T(refuses_a_denial_that_comes_after_the_lock),
        T(refuses_a_wave_that_is_too_wide),
        T(counts_what_a_phase_leaves_down),
        T(refuses_an_extra_step_that_restarts_all_nodes),
        T(refuses_a_start_before_the_migration),
        T(refuses_a_migration_under_a_release_that_runs),
        T(refuses_a_migration_before_the_sessions_are_gone),
        T(names_the_release_over_which_it_would_roll),
        T(offers_no_way_out_from_half_way),
        T(refuses_a_release_that_leaves_out_the_schema_that_is_there),
        T(refuses_a_release_that_leaves_out_a_schema_on_the_way),
        T(is_quick_with_ten_thousand_nodes),
        T(tells_that_max_age_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
