/* Components: what each node gets, where in a hop, beside which release, and when it moves alone. */
#include "tests/unit/plan/texts.h"

#define ONE_AT_A_TIME "strategy: { rolling: { max_unavailable: 1 } }\n"
#define STORAGE                                                                                    \
    "components:\n"                                                                                \
    "  - name: storage\n"                                                                          \
    "    observe: { command: [bin/storage-version], matches: \"(.+)\" }\n"                         \
    "    runs_with:\n"                                                                             \
    "      - { release: \"<2.0.0\", versions: \"1.0.0..1.9.0\" }\n"                                \
    "      - { release: \">=2.0.0\", versions: \">=2.0.0\" }\n"                                    \
    "    remove: [ { run: [bin/remove, \"${node.name}\"] } ]\n"                                    \
    "    install: [ { run: [bin/install, \"${component.version}\"] } ]\n"
#define MAY_ROLL "    rolling: true\n"

/* 1.0.0 names storage 1.0.0, 1.1.0 none, 2.0.0 names 2.0.0. */
static const char *storing(const char *more)
{
    static char text[16384];
    const char *named =
        with(with(guestbook_application, "    schema: { main: 2 }\n",
                  "    components: { storage: \"1.0.0\" }\n    schema: { main: 2 }\n"),
             "    schema: { main: 4 }\n",
             "    components: { storage: \"2.0.0\" }\n    schema: { main: 4 }\n");
    snprintf(text, sizeof(text), "%s" STORAGE "%s", named, more);
    return text;
}

static void there(size_t node, const char *version)
{
    struct pair *pair = ARENA_NEW(&w.arena, struct pair);
    *pair = (struct pair){"storage", version};
    w.inventory.nodes[node].components = (struct pairs){pair, version != NULL ? 1 : 0};
}

static void world(const char *to, const char *cluster, const char *application, const char *runs,
                  const char *storage)
{
    guestbook_of(to, cluster, application);
    world_runs(&w, runs);
    world_ledger(&w, runs[0] == '2' ? 4 : runs[2] == '1' ? 3 : 2);
    for (size_t i = 0; i < w.inventory.node_count; i++) {
        there(i, storage);
    }
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in: %s", part, text);
    }
}

static void moves_behind_the_swap_while_the_node_is_stopped(void **state UNUSED)
{
    world("2.0.0", BACKUP, storing(""), "1.0.0", "1.0.0");
    check("component up", world_render(&w, NULL),
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
          "         all    swap 2.0.0, remove storage, install storage 2.0.0, permit, start, "
          "health app-1 app-2 app-3\n"
          "                  3 in a row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no release runs beside a component outside its range\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n"
          "to read:  2.0.0: authors lose their address\n");
}

static void comes_back_on_the_way_down(void **state UNUSED)
{
    world("1.0.0", BACKUP, storing(""), "2.0.0", "2.0.0");
    check("component down", world_render(&w, NULL),
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
          "         all    swap 1.0.0, remove storage, install storage 1.0.0, permit, start, "
          "reinstall-module, health app-1 app-2 app-3\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.0.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no release runs beside a component outside its range\n"
          "          3 of 3 down at once, as all-at-once says\n"
          "          every migration commits together with its ledger row\n"
          "          no database is locked before every node has denied starts\n"
          "          no migration runs before the sessions of the application are gone\n");
}

static void rolls_alone_node_by_node_where_it_may(void **state UNUSED)
{
    world("2.0.0", "components: { storage: \"2.1.0\" }\n", storing(MAY_ROLL "mixed: never\n"),
          "2.0.0", "2.0.0");
    there(1, NULL);
    check(
        "component alone", world_render(&w, NULL),
        "Plan 7f3a7f3a   demo: guestbook 2.0.0   put right, 1 hop, rolling\n"
        "\n"
        "before   each   preflight                                   app-1 app-2 app-3\n"
        "hop 1    2.0.0, as it should be\n"
        "         each   stop, remove storage, install storage 2.1.0, permit, start, health app-1\n"
        "                  3 in a row within 2 min 0 s\n"
        "         each   stop, install storage 2.1.0, permit, start, health app-2               3 "
        "in a row within 2 min 0 s\n"
        "         each   stop, remove storage, install storage 2.1.0, permit, start, health app-3\n"
        "                  3 in a row within 2 min 0 s\n"
        "after    each   retire                                      app-1 app-2 app-3\n"
        "left out: reinstall-module (the version stays, direction is not down)\n"
        "proved:   no release meets a schema outside runs_with\n"
        "          no release runs beside a component outside its range\n"
        "          no more than 1 of 3 nodes taken down at once\n");
    assert_int_equal(w.plan.strategy, STRATEGY_ROLLING);
}

static void moves_alone_on_all_nodes_at_once_where_it_may_not_roll(void **state UNUSED)
{
    world("2.0.0", "components: { storage: \"2.1.0\" }\n", storing(""), "2.0.0", "2.0.0");
    check("component at once", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0   put right, 1 hop, all-at-once\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         each   deny                                        app-1 app-2 app-3\n"
          "         all    stop                                        app-1 app-2 app-3\n"
          "hop 1    2.0.0, as it should be\n"
          "         all    remove storage, install storage 2.1.0, permit, start, health app-1 "
          "app-2 app-3\n"
          "                  3 in a row within 2 min 0 s\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (the version stays, direction is not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no release runs beside a component outside its range\n"
          "          3 of 3 down at once, as all-at-once says\n");
    world_deinit(&w);
    world("2.0.0", ONE_AT_A_TIME "components: { storage: \"2.1.0\" }\n", storing(""), "2.0.0",
          "2.0.0");
    has(world_refusal(&w, NULL), "component storage of guestbook does not say rolling: true, so no "
                                 "two versions of it may run side by side; go all-at-once");
}

static void touches_only_the_nodes_that_differ(void **state UNUSED)
{
    world("2.0.0", "", storing(MAY_ROLL), "2.0.0", "2.0.0");
    has(world_render(&w, NULL), "nothing to do");
    there(2, "2.0.1");
    has(world_render(&w, NULL), "remove storage, install storage 2.0.0, permit, start, health "
                                "app-3");
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *p = plan_phase_at(&w.plan, i);
        if (p->scope == PHASE_NODES) {
            const struct plan_node_set *set =
                LIST_AT(&w.plan.node_sets, struct plan_node_set, p->node_set);
            assert_int_equal(set->nodes.count, 1);
            assert_string_equal(set->nodes.items[0], "app-3");
        }
    }
}

static void a_release_that_names_none_leaves_what_is_there(void **state UNUSED)
{
    world("1.1.0", "", storing(""), "1.0.0", "1.5.0");
    assert_null(strstr(world_render(&w, NULL), "storage"));
    has(str_join(&w.arena, w.plan.proved.items, w.plan.proved.count),
        "no release runs beside a component outside its range");
}

/* What a node has after a hop is what the next one finds there. */
static void each_started_release_on_the_way_brings_its_own(void **state UNUSED)
{
    const char *application =
        with(with(storing(""), OLD_PATHS, "paths: { required: [\"1.1.0\"], between: start }"),
             "    schema: { main: 3 }\n",
             "    components: { storage: \"1.5.0\" }\n    schema: { main: 3 }\n");
    world("2.0.0", "", application, "1.0.0", NULL);
    const char *text = world_render(&w, NULL);
    has(text, "swap 1.1.0, install storage 1.5.0, permit, start, health");
    has(text, "swap 2.0.0, remove storage, install storage 2.0.0, permit, start, health");
    world_deinit(&w);
    world("2.0.0", "", with(application, "between: start", "between: migrate-only"), "1.0.0", NULL);
    text = world_render(&w, NULL);
    assert_null(strstr(text, "storage 1.5.0"));
    has(text, "swap 2.0.0, install storage 2.0.0, permit, start, health");
}

static void refuses_what_does_not_run_beside_the_release(void **state UNUSED)
{
    world("2.0.0", "components: { storage: \"1.9.0\" }\n", storing(""), "1.0.0", "1.0.0");
    has(world_refusal(&w, NULL),
        "cluster.yaml:12:24: component storage 1.9.0 does not run with guestbook 2.0.0, which runs "
        "with >=2.0.0 of it: want another version, or leave it out for 2.0.0, which 2.0.0 names");
    world_deinit(&w);
    world("1.1.0", "", storing(""), "2.0.0", "2.0.0");
    has(world_refusal(&w, NULL),
        "phase \"swap and start\": release 1.1.0 would run beside component storage 2.0.0 on "
        "app-1, "
        "and it runs with 1.0.0..1.9.0 of it: name a version that fits under components: of that "
        "release, or want one under components: of the cluster");
}

static const char *proof(void)
{
    struct strings said = {0};
    complaints_init(&w.complaints, &w.arena);
    int rc = plan_prove(&w.arena, &w.spec, &w.plan, &said, &w.complaints);
    return rc < 0 ? w.complaints.items[0].message : str_join(&w.arena, said.items, said.count);
}

static void a_plan_that_leaves_the_component_out_is_refused(void **state UNUSED)
{
    world("2.0.0", "", storing(""), "1.0.0", "1.0.0");
    world_render(&w, NULL);
    has(proof(), "no release runs beside a component outside its range");
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct list *steps = &plan_phase_at(&w.plan, i)->steps;
        for (size_t s = 0; s < steps->count; s++) {
            LIST_AT(steps, struct plan_step, s)->component = NULL;
        }
    }
    has(proof(), "release 2.0.0 would run beside component storage 1.0.0 on app-1");
}

static void is_data_that_reads_back_and_that_a_cluster_may_move_from(void **state UNUSED)
{
    world("2.0.0", "", storing(""), "1.0.0", "1.0.0");
    world_render(&w, NULL);
    const char *json = world_json(&w);
    has(json, "\"component\":{\"name\":\"storage\",\"version\":\"2.0.0\"}");
    has(json, "\"components\":{\"storage\":\"1.0.0\"}");
    struct plan again;
    struct error e = {0};
    assert_int_equal(plan_from_json(&w.arena, json, strlen(json), &again, &e), 0);
    struct strings moved = {0};
    plan_differences(&w.arena, &again, &w.inventory, &moved);
    assert_int_equal(moved.count, 0);
    there(1, "1.2.0");
    there(2, NULL);
    plan_differences(&w.arena, &again, &w.inventory, &moved);
    assert_int_equal(moved.count, 2);
    assert_string_equal(moved.items[0], "node app-2 had storage 1.0.0 when the plan was made and "
                                        "has 1.2.0 now");
    assert_string_equal(moved.items[1], "node app-3 had storage 1.0.0 when the plan was made and "
                                        "has nothing now");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(moves_behind_the_swap_while_the_node_is_stopped),
        T(comes_back_on_the_way_down),
        T(rolls_alone_node_by_node_where_it_may),
        T(moves_alone_on_all_nodes_at_once_where_it_may_not_roll),
        T(touches_only_the_nodes_that_differ),
        T(a_release_that_names_none_leaves_what_is_there),
        T(each_started_release_on_the_way_brings_its_own),
        T(refuses_what_does_not_run_beside_the_release),
        T(a_plan_that_leaves_the_component_out_is_refused),
        T(is_data_that_reads_back_and_that_a_cluster_may_move_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
