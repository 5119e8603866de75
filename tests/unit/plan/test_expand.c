/* Migrations on both sides of the waves: what expands runs before the first, what contracts after the last. */
#include "tests/unit/plan/texts.h"

#define OLD_2 "    schema: { main: 4 }\n"
#define NEW_2                                                                                      \
    "    schema: { main: 4 }\n    runs_with: { main: \"3..4\" }\n    expand: { main: 3 }\n"
#define TWO_AT_ONCE "strategy: { rolling: { max_unavailable: 2 } }\n"

/* 1.0.0 runs with 2 and 3, 2.0.0 with 3 and 4: they can roll when 4 waits for the last wave. */
static const char *expanding(void)
{
    return with(guestbook_application, OLD_2, NEW_2);
}

static void at(const char *version, size_t ledger)
{
    world_runs(&w, version);
    world_ledger(&w, ledger);
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in: %s", part, text);
    }
}

/* The plan's own order, a letter a phase: E expands, C contracts, M migrates, W a wave. */
static const char *order(void)
{
    struct buf b;
    buf_init(&b, &w.arena, 4096);
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *p = plan_phase_at(&w.plan, i);
        bool moves = p->scope == PHASE_ONCE && strncmp(p->name, "migrate", 7) == 0;
        if (moves || p->takes_down) {
            buf_putc(&b, p->takes_down ? 'W' : "MEC"[p->part]);
        }
    }
    return buf_text(&b);
}

static const char *order_to(const char *version)
{
    world_render(&w, version);
    return order();
}

static void contracts_after_the_last_wave_on_the_way_up(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE BACKUP, expanding());
    at("1.0.0", 2);
    check("expand up", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 1.0.0 -> 2.0.0   up, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 2.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    1.0.0 -> 2.0.0\n"
          "         once   lock main\n"
          "         once   migrate main 2 -> 3                         1 up, expand\n"
          "         once   unlock main\n"
          "         each   stop, swap 2.0.0, permit, start, health     app-1 app-2         3 in a "
          "row within 2 min 0 s\n"
          "         each   stop, swap 2.0.0, permit, start, health     app-3               3 in a "
          "row within 2 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 4                         1 up, contract\n"
          "                  back: 4 drops column entries.tags\n"
          "         once   drift main                                  from the schema recorded "
          "for 2.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "left out: reinstall-module (direction is up, not down)\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 2 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n"
          "to read:  2.0.0: authors lose their address\n");
}

static void mirrors_it_on_the_way_down(void **state UNUSED)
{
    guestbook_of("1.0.0", TWO_AT_ONCE BACKUP, expanding());
    at("2.0.0", 4);
    check("expand down", world_render(&w, NULL),
          "Plan 7f3a7f3a   demo: guestbook 2.0.0 -> 1.0.0   down, 1 hop, rolling\n"
          "\n"
          "before   each   preflight                                   app-1 app-2 app-3\n"
          "         once   drift main                                  since the last checkpoint\n"
          "         each   stage 1.0.0                                 app-1 app-2 app-3   2.0 MB\n"
          "         once   backup main                                 SQLite's backup\n"
          "hop 1    2.0.0 -> 1.0.0\n"
          "         once   lock main\n"
          "         once   migrate main 4 -> 3\n"
          "                  1 down, contract taken back   ! 4 drops column entries.tags: POINT OF "
          "NO RETURN "
          "(then: restore)\n"
          "         once   unlock main\n"
          "         each   stop, swap 1.0.0, permit, start, reinstall-module, health app-1 app-2\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.0.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "         each   stop, swap 1.0.0, permit, start, reinstall-module, health app-3\n"
          "                  reinstall-module: direction is down, 2.0.0 is >=2.0.0 and 1.0.0 is "
          "1.0.0..1.1.0,\n"
          "                    3 in a row within 2 min 0 s\n"
          "         once   lock main\n"
          "         once   migrate main 3 -> 2                         1 down, expand taken back\n"
          "         once   drift main                                  from the schema recorded "
          "for 1.0.0\n"
          "         once   checkpoint main\n"
          "         once   unlock main\n"
          "after    each   retire                                      app-1 app-2 app-3\n"
          "proved:   no release meets a schema outside runs_with\n"
          "          no more than 2 of 3 nodes taken down at once\n"
          "          every migration commits together with its ledger row\n");
}

static void does_not_roll_in_one_block(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, with(expanding(), "    expand: { main: 3 }\n", ""));
    at("1.0.0", 2);
    has(world_refusal(&w, NULL), "1.0.0 does not run with main 4 (it runs with 2..3)");
    at("2.0.0", 4);
    has(world_refusal(&w, "1.0.0"), "1.0.0 does not run with main 4 (it runs with 2..3)");
}

static void names_what_does_not_run_on_the_divided_way(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, with(expanding(), "\"2..3\"", "\"2\""));
    at("1.0.0", 2);
    has(world_refusal(&w, NULL),
        "1.0.0 does not run with main 3 (it runs with 2): rolling would let app-1 meet it");
    at("2.0.0", 4);
    has(world_refusal(&w, "1.0.0"), "1.0.0 does not run with main 3");
}

static void goes_on_from_wherever_a_run_stopped(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, expanding());
    at("1.0.0", 3); /* expanded */
    assert_string_equal(order_to(NULL), "WWC");
    w.inventory.nodes[0].version = "2.0.0"; /* and a node moved */
    assert_string_equal(order_to(NULL), "WC");
    assert_string_equal(order_to("1.0.0"), "WE");
    at("2.0.0", 3); /* all of them */
    assert_string_equal(order_to(NULL), "C");
    assert_string_equal(order_to("1.0.0"), "WWE");
    at("1.0.0", 3);                              /* all of them back again */
    assert_string_equal(order_to("1.0.0"), "M"); /* as from 1.1.0, which has no part */
    at("2.0.0", 4);
    assert_string_equal(order_to("1.0.0"), "CWWE");
    assert_string_equal(order_to(NULL), "");
}

static void divides_each_hop_of_a_way(void **state UNUSED)
{
    const char *application = with(expanding(), OLD_PATHS,
                                   "paths: { required: [\"1.1.0\"], down: { visit: each-minor } }");
    guestbook_of("2.0.0", TWO_AT_ONCE, application);
    at("1.0.0", 2);
    assert_string_equal(order_to(NULL), "MWWWWC");
}

static void all_at_once_moves_in_one_block(void **state UNUSED)
{
    guestbook_of("2.0.0", "", expanding());
    at("1.0.0", 2);
    has(world_render(&w, NULL), "once   migrate main 2 -> 4                         2 up\n");
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        assert_int_equal(plan_phase_at(&w.plan, i)->part, PART_WHOLE);
    }
}

static void is_the_same_plan_when_read_back(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, expanding());
    at("1.0.0", 2);
    world_render(&w, NULL);
    const char *json = world_json(&w);
    has(json, "\"part\":\"expand\"");
    has(json, "\"part\":\"contract\"");
    has(json, "\"schema_rolling\":{\"main\":\"3\"}");
    struct plan again;
    struct error e = {0};
    assert_int_equal(plan_from_json(&w.arena, json, strlen(json), &again, &e), 0);
    w.plan = again;
    assert_string_equal(world_json(&w), json);
}

static struct plan_phase *phase_of(int part)
{
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        struct plan_phase *p = LIST_AT(&w.plan.phases, struct plan_phase, i);
        if (p->part == part) {
            return p;
        }
    }
    fail_msg("no phase of part %d", part);
    return NULL;
}

static const char *proof(void)
{
    struct strings said = {0};
    complaints_init(&w.complaints, &w.arena);
    int rc = plan_prove(&w.arena, &w.spec, &w.plan, &said, &w.complaints);
    return rc < 0 ? w.complaints.items[0].message : str_join(&w.arena, said.items, said.count);
}

static void a_plan_that_contracts_too_soon_is_refused(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, expanding());
    at("1.0.0", 2);
    world_render(&w, NULL);
    has(proof(), "no release meets a schema outside runs_with");
    struct plan_phase *contract = phase_of(PART_CONTRACT);
    struct plan_phase *wave = contract - 1;
    while (!wave->takes_down) {
        wave--;
    }
    struct plan_phase keep = *wave;
    *wave = *contract;
    *contract = keep;
    has(proof(),
        "phase \"migrate main\" runs while the release does: release 1.0.0 would meet main "
        "4 (it runs with 2..3)");
}

static void a_wave_before_what_expands_is_refused(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE, expanding());
    at("1.0.0", 2);
    world_render(&w, NULL);
    struct plan_phase *expand = phase_of(PART_EXPAND);
    struct plan_phase keep = expand[1];
    expand[1] = *expand;
    *expand = keep;
    has(proof(), "starts it on app-1: release 2.0.0 would meet main 2 (it runs with 3..4)");
}

/* ---- what cannot be divided ---- */

static void refuses_what_is_no_migration_of_the_release(void **state UNUSED)
{
    guestbook_of("2.0.0", TWO_AT_ONCE,
                 with(with(expanding(), "schema: { main: 4 }", "schema: { main: 9 }"),
                      "\"3..4\" }\n    expand: { main: 3 }",
                      "\"3..9\" }\n    expand: { main: 7 }"));
    at("1.0.0", 2);
    has(world_refusal(&w, NULL), "release 2.0.0, expand of main: there is no migration \"7\"");
    world_deinit(&w);
    guestbook_of("2.0.0", TWO_AT_ONCE,
                 with(with(expanding(), "schema: { main: 4 }", "schema: { main: 9 }"), "\"3..4\"",
                      "\"3..9\""));
    at("1.0.0", 2);
    has(world_refusal(&w, NULL),
        "release 2.0.0, expand of main: the release's schema is 9, which is not the number of its "
        "last migration, 4");
}

/* ---- ledgers that are sets ---- */

static const char *ids_of(int part)
{
    const struct plan_phase *p = phase_of(part);
    struct strings ids = {0};
    for (size_t s = 0; s < p->steps.count; s++) {
        const struct db_migrate_action *a =
            LIST_AT(&p->steps, const struct plan_step, s)->action->db_migrate;
        for (size_t i = 0; a != NULL && i < a->items.count; i++) {
            const char **more = ARENA_ARRAY(&w.arena, ids.count + 1, const char *);
            if (ids.count > 0) {
                memcpy(more, ids.items, ids.count * sizeof(*more));
            }
            more[ids.count] = LIST_AT(&a->items, const struct migration_item, i)->id;
            ids.items = more;
            ids.count++;
        }
    }
    return str_join(&w.arena, ids.items, ids.count);
}

static void files_of(const char *version, const char *const *names)
{
    struct migration_file *files = ARENA_ARRAY(&w.arena, 32, struct migration_file);
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *text = strchr(names[i], '=');
        const char *sql = text != NULL ? text + 1 : "SELECT 1;";
        size_t len = text != NULL ? (size_t)(text - names[i]) : strlen(names[i]);
        files[i] = (struct migration_file){arena_strndup(&w.arena, names[i], len),
                                           {(const uint8_t *)sql, strlen(sql)},
                                           arena_printf(&w.arena, "%064zu", i)};
    }
    world_release_files(&w, version, files);
}

static void a_late_file_expands_with_those_below_it(void **state UNUSED)
{
    static const char *const old[] = {"000001_a.up.sql", "000001_a.down.sql", "000003_c.up.sql",
                                      "000003_c.down.sql", NULL};
    static const char *const new[] = {
        "000001_a.up.sql",      "000001_a.down.sql", "000002_late.up.sql",
        "000002_late.down.sql", "000003_c.up.sql",   "000003_c.down.sql",
        "000004_d.up.sql",      "000004_d.down.sql", NULL};
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, "2.0.0", TWO_AT_ONCE), expanding());
    files_of("1.0.0", old);
    files_of("2.0.0", new);
    world_runs(&w, "1.0.0");
    world_ids(&w, "a c");
    assert_string_equal(order_to(NULL), "EWWC");
    assert_string_equal(ids_of(PART_EXPAND), "late");
    assert_string_equal(ids_of(PART_CONTRACT), "d");
    world_runs(&w, "2.0.0");
    world_ids(&w, "a c late d");
    assert_string_equal(order_to("1.0.0"), "CWWE");
    assert_string_equal(ids_of(PART_CONTRACT), "d");
    assert_string_equal(ids_of(PART_EXPAND), "late");
}

#define NODE(number_, parents_)                                                                    \
#number_ "_x/up.sql", #number_ "_x/down.sql",                                                  \
        #number_ "_x/metadata.yaml=name: x\nparents: [" parents_ "]\n"

/* 1 <- 2 <- 4 and 1 <- 3 <- 5, which joins 4: expand 4 leaves the branch of 3 for later. */
static void a_graph_is_divided_by_what_the_migration_stands_on(void **state UNUSED)
{
    static const char *const old[] = {NODE(1, ""), NULL};
    static const char *const new[] = {NODE(1, ""),  NODE(2, "1"),    NODE(3, "1"),
                                      NODE(4, "2"), NODE(5, "3, 4"), NULL};
    const char *application = with(
        with(with(guestbook_application, OLD_2,
                  "    schema: { main: 5 }\n    runs_with: { main: \"3..5\" }\n    expand: { main: "
                  "4 }\n"),
             "schema: { main: 2 }\n    runs_with: { main: \"2..3\" }",
             "schema: { main: 1 }\n    runs_with: { main: \"1..4\" }"),
        "format: morph", "format: sourcegraph");
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, "2.0.0", TWO_AT_ONCE), application);
    files_of("1.0.0", old);
    files_of("2.0.0", new);
    world_runs(&w, "1.0.0");
    world_ids(&w, "1");
    assert_string_equal(order_to(NULL), "EWWC");
    assert_string_equal(ids_of(PART_EXPAND), "2 and 4");
    assert_string_equal(ids_of(PART_CONTRACT), "3 and 5");
    world_runs(&w, "2.0.0");
    world_ids(&w, "1 2 3 4 5");
    assert_string_equal(order_to("1.0.0"), "CWWE");
    assert_string_equal(ids_of(PART_CONTRACT), "5 and 3");
    assert_string_equal(ids_of(PART_EXPAND), "4 and 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(contracts_after_the_last_wave_on_the_way_up),
        T(mirrors_it_on_the_way_down),
        T(does_not_roll_in_one_block),
        T(names_what_does_not_run_on_the_divided_way),
        T(goes_on_from_wherever_a_run_stopped),
        T(divides_each_hop_of_a_way),
        T(all_at_once_moves_in_one_block),
        T(is_the_same_plan_when_read_back),
        T(a_plan_that_contracts_too_soon_is_refused),
        T(a_wave_before_what_expands_is_refused),
        T(refuses_what_is_no_migration_of_the_release),
        T(a_late_file_expands_with_those_below_it),
        T(a_graph_is_divided_by_what_the_migration_stands_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
