/* Where an extra step stands: every point, both sides of it, every scope and both strategies, one by one. */
#include "tests/unit/plan/texts.h"

enum scope { NODE, ONCE, DATABASE };
enum strategy { ALL_AT_ONCE, ROLLS };

/* What stands right after a step before the point, and right before one after it. */
static const struct point {
    const char *name;
    const char *next[2]; /* by strategy */
    const char *previous;
} points[] = {
    {"preflight", {"preflight", "preflight"}, "drift"},
    {"staged", {"stage", "stage"}, "stage"},
    {"drained", {"drain", "drain"}, "drain"},
    {"stopped", {"deny", "stop"}, "stop"},
    {"backed-up", {"backup", "backup"}, "backup"},
    {"migrated", {"writers", "lock"}, "unlock"},
    {"swapped", {"swap", "swap"}, "swap"},
    {"start-requested", {"permit", "permit"}, "start"},
    {"healthy", {"health", "health"}, "health"},
    {"undrained", {"undrain", "undrain"}, "undrain"},
    {"finished", {"check", "check"}, "check"},
};

static void compile(const struct point *point, bool before, enum scope scope,
                    enum strategy strategy)
{
    static const char *const scopes[] = {"node", "once", "database"};
    static const char *const strategies[] = {"strategy: all-at-once\n",
                                             "strategy: { rolling: { canary: 1 } }\n"};
    world_init(&w);
    const char *extra =
        arena_printf(&w.arena, "extra_steps:\n  - { name: x, scope: %s, %s: %s, do: [ %s ] }\n",
                     scopes[scope], before ? "before" : "after", point->name,
                     scope == DATABASE ? "{ sql: \"SELECT 1\" }" : "{ run: [/bin/true] }");
    const char *application = with(guestbook_application, "extra_steps:\n", extra);
    application = with(application, "databases:\n",
                       "drain: [ { run: [bin/drain] }, { run: [bin/wait] } ]\n"
                       "undrain: { run: [bin/undrain] }\ndatabases:\n");
    world_read(&w,
               guestbook_cluster(
                   &w, "1.1.0",
                   arena_printf(&w.arena, "%s" BACKUP "check: { http: \"http://x.example/\" }\n",
                                strategies[strategy])),
               application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
}

/* The names of the steps that the node goes through or that happen once, in order. */
static struct strings steps_of(const char *node)
{
    struct strings names = {ARENA_ARRAY(&w.arena, 1000, const char *), 0};
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        bool part = phase->scope == PHASE_ONCE;
        const struct strings *set =
            part ? NULL : &LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set)->nodes;
        for (size_t n = 0; set != NULL && n < set->count; n++) {
            part = part || str_equal(set->items[n], node);
        }
        for (size_t s = 0; part && s < phase->steps.count; s++) {
            assert_true(names.count < 1000);
            names.items[names.count++] = plan_step_at(&w.plan, i, s)->name;
        }
    }
    return names;
}

static void stands(const struct point *point, bool before, enum scope scope, enum strategy strategy,
                   const char *node)
{
    struct strings names = steps_of(node);
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < names.count; i++) {
        if (str_equal(names.items[i], "x")) {
            assert_true(at == SIZE_MAX); /* once for the node */
            at = i;
        }
    }
    const char *beside = at == SIZE_MAX ? "nothing: it is not there"
                         : before       ? names.items[at + 1]
                                        : names.items[at - 1];
    const char *wanted = before ? point->next[strategy] : point->previous;
    if (!str_equal(beside, wanted)) {
        fail_msg("%s %s, scope %d, strategy %d, %s: beside %s, not %s", before ? "before" : "after",
                 point->name, (int)scope, (int)strategy, node, beside, wanted);
    }
}

static void every_step_stands_at_its_point(void **state UNUSED)
{
    for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
        for (int side = 0; side < 2; side++) {
            for (int scope = NODE; scope <= DATABASE; scope++) {
                for (int strategy = ALL_AT_ONCE; strategy <= ROLLS; strategy++) {
                    bool before = side == 0;
                    compile(&points[p], before, (enum scope)scope, (enum strategy)strategy);
                    /* Of what happens once in a rolling hop, the first or the last wave knows the place. */
                    if (scope == NODE || before) {
                        stands(&points[p], before, (enum scope)scope, (enum strategy)strategy,
                               "app-1");
                    }
                    if (scope == NODE || !before) {
                        stands(&points[p], before, (enum scope)scope, (enum strategy)strategy,
                               "app-3");
                    }
                    world_deinit(&w);
                }
            }
        }
    }
    world_init(&w);
}

static void what_does_not_run_is_not_drained(void **state UNUSED)
{
    compile(&points[0], true, NODE, ROLLS);
    w.inventory.nodes[1].running = false;
    world_render(&w, NULL);
    struct strings down = steps_of("app-2");
    struct strings up = steps_of("app-1");
    assert_false(str_equal(str_join(&w.arena, down.items, down.count),
                           str_join(&w.arena, up.items, up.count)));
    assert_null(strstr(str_join(&w.arena, down.items, down.count), " drain"));
    assert_non_null(strstr(str_join(&w.arena, up.items, up.count), " drain"));
    assert_non_null(strstr(str_join(&w.arena, down.items, down.count), " undrain"));
}

static void a_drained_wave_reads_as_one_line(void **state UNUSED)
{
    compile(&points[0], true, NODE, ROLLS);
    assert_non_null(
        strstr(world_render(&w, NULL),
               "         each   drain, stop, swap 1.1.0, permit, start, health, undrain app-1"));
}

static const char *part(enum plan_part which)
{
    struct plan plan = {0};
    struct buf b;
    plan_part_of(&w.arena, &w.plan, which, &plan);
    buf_init(&b, &w.arena, 65536);
    plan_render(&plan, SHA("7f3a"), 120, NULL, &w.arena, &b);
    buf_printf(&b, "%s\n", plan_part_words(&w.arena, &plan));
    return buf_text(&b);
}

static void what_may_run_ahead_is_preflight_and_stage(void **state UNUSED)
{
    guestbook("2.0.0", BACKUP);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    check("stage", part(PLAN_STAGE),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once, only staged\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "staged 2.0.0 for a later apply; nothing was stopped\n");
    check(
        "drop", part(PLAN_DROP),
        "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, all-at-once, what was staged "
        "taken off\n"
        "\n"
        "before   each   drop 2.0.0                                  app-1 app-2 app-3\n"
        "took the staged 2.0.0 off again\n");
    assert_null(plan_part_words(&w.arena, &w.plan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_step_stands_at_its_point),
        T(what_does_not_run_is_not_drained),
        T(a_drained_wave_reads_as_one_line),
        T(what_may_run_ahead_is_preflight_and_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
