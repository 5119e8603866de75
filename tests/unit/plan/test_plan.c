/* A plan as a file: written, read, tampered with, compared with a cluster that has moved, and its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/plan/world.h"

static struct world w;

static void guestbook(const char *version, const char *runs, size_t ledger)
{
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, version, ""), guestbook_application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_release(&w, "2.0.0", 4);
    world_runs(&w, runs);
    world_ledger(&w, ledger);
    assert_int_equal(world_compile(&w, NULL), 0);
}

static int tear_down(void **state UNUSED)
{
    world_deinit(&w);
    return 0;
}

static void comes_back_from_json_as_it_was(void **state UNUSED)
{
    guestbook("1.0.0", "2.0.0", 4);
    const char *first = world_json(&w);
    struct error e = {0};
    struct plan again = {0};
    assert_int_equal(plan_from_json(&w.arena, first, strlen(first), &again, &e), 0);
    w.plan = again;
    assert_string_equal(world_json(&w), first);
    assert_int_equal(again.direction, DIRECTION_DOWN);
}

/* Replaces the first `old` by `new` and expects a refusal that says `why`. */
static void refuses_tampering(const char *json, const char *old, const char *new, const char *why)
{
    const char *at = strstr(json, old);
    assert_non_null(at);
    const char *text =
        arena_printf(&w.arena, "%.*s%s%s", (int)(at - json), json, new, at + strlen(old));
    struct plan plan = {0};
    struct error e = {0};
    assert_int_equal(plan_from_json(&w.arena, text, strlen(text), &plan, &e), E_INVALID);
    if (strstr(e.message, why) == NULL) {
        fail_msg("%s -> %s: %s", old, new, e.message);
    }
}

static void refuses_a_text_whose_parts_do_not_fit(void **state UNUSED)
{
    guestbook("1.0.0", "2.0.0", 4);
    const char *json = world_json(&w);
    refuses_tampering(json, "{", "", "no plan");
    refuses_tampering(json, "\"kind\":\"Plan\"", "\"kind\":\"Plant\"", "kind");
    refuses_tampering(json, "\"hop\":0", "\"hop\":7", "hop 7");
    refuses_tampering(json, "\"nodes\":[\"app-1\"", "\"nodes\":[\"app-9\"", "app-9");
    refuses_tampering(json, "\"on\":\"controller\"", "\"on\":\"elsewhere\"", "elsewhere");
    refuses_tampering(json, "\"on\":\"controller\",", "", "place of its own");
    refuses_tampering(json, "\"deadline\":60000", "\"deadline\":0", "deadline");
    refuses_tampering(json, "\"deadline\":60000", "\"deadline\":60000,\"retry_back\":1",
                      "would begin 1 steps before it");
    refuses_tampering(json, "\"deadline\":60000", "\"deadline\":60000,\"retry_back\":-1",
                      "retry_back");
    refuses_tampering(json, "\"name\":\"app-2\"", "\"name\":\"app-1\"", "twice");
    refuses_tampering(json, "\"lockstep\":1", "\"lockstep\":1,\"sudo\":true", "sudo");
    refuses_tampering(json, "\"action\":{\"preflight\"", "\"action\":{\"format_disk\"",
                      "format_disk");
}

static const char *differences(void)
{
    struct strings list = {0};
    plan_differences(&w.arena, &w.plan, &w.inventory, &list);
    struct buf b;
    buf_init(&b, &w.arena, 65536);
    for (size_t i = 0; i < list.count; i++) {
        buf_printf(&b, "%s\n", list.items[i]);
    }
    return buf_text(&b);
}

static void says_in_what_a_cluster_has_moved(void **state UNUSED)
{
    guestbook("1.0.0", "2.0.0", 4);
    assert_string_equal(differences(), "");
    w.inventory.nodes[0].version = "1.1.0";
    w.inventory.nodes[1].running = false;
    w.inventory.nodes[2].connected = false;
    world_ledger(&w, 3);
    assert_string_equal(
        differences(),
        "node app-1 had 2.0.0 installed when the plan was made and has 1.1.0 now\n"
        "node app-2 was running when the plan was made and is not running now\n"
        "node app-3 is not connected now\n"
        "database main had 4 applied migrations when the plan was made and has 3 now: add_tags is "
        "gone\n");
}

static void resolves_the_last_references_for_each_place(void **state UNUSED)
{
    guestbook("1.0.0", "2.0.0", 4);
    size_t seen = 0;
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, p, s);
            struct action a = {0};
            struct error e = {0};
            if (step->action->health != NULL) {
                assert_int_equal(plan_action(&w.arena, &w.plan, p, s, "app-2", "R1", &a, &e), 0);
                assert_string_equal(LIST_AT(&a.health->checks, struct check, 0)->http->url,
                                    "http://127.0.0.1:8002/health");
                seen |= 1;
            } else if (step->action->run != NULL) {
                assert_int_equal(plan_action(&w.arena, &w.plan, p, s, "app-3", "R1", &a, &e), 0);
                assert_string_equal(a.run->command.argv.items[1], "2.0.0");
                assert_string_equal(a.run->command.argv.items[3], "app-3");
                seen |= 2;
            } else if (step->action->deny != NULL) {
                assert_int_equal(plan_action(&w.arena, &w.plan, p, s, "app-1", "R1", &a, &e), 0);
                assert_string_equal(a.deny->reason, "run R1: 2.0.0 -> 1.0.0");
                seen |= 4;
            } else if (step->action->db_lock != NULL) {
                assert_int_equal(plan_action(&w.arena, &w.plan, p, s, "app-1", "R1", &a, &e),
                                 E_INVALID);
                assert_int_equal(
                    plan_action(&w.arena, &w.plan, p, s, PLAN_CONTROLLER, "R1", &a, &e), 0);
                seen |= 8;
            }
        }
    }
    assert_int_equal(seen, 15);
}

static void names_the_releases_that_it_must_know(void **state UNUSED)
{
    guestbook("1.0.0", "2.0.0", 4);
    struct strings list = {0};
    struct error e = {0};
    const struct plan_request request = {0};
    assert_int_equal(plan_releases_needed(&w.arena, &w.spec, &w.inventory, &request, &list, &e), 0);
    assert_string_equal(str_join(&w.arena, list.items, list.count), "2.0.0 and 1.0.0");
    /* The binaries are back and the ledger is not: what brought it is looked for, nearest first. */
    world_runs(&w, "1.0.0");
    w.inventory.release_count = 1;
    assert_int_equal(plan_releases_needed(&w.arena, &w.spec, &w.inventory, &request, &list, &e), 0);
    assert_string_equal(str_join(&w.arena, list.items, list.count), "1.0.0 and 1.1.0");
    w.inventory.release_count = 2;
    assert_int_equal(plan_releases_needed(&w.arena, &w.spec, &w.inventory, &request, &list, &e), 0);
    assert_string_equal(str_join(&w.arena, list.items, list.count), "1.0.0, 1.1.0 and 2.0.0");
}

/* `hops` majors one after the other over one morph database, `nodes` nodes. */
static size_t json_bytes(size_t nodes, size_t hops, const char *strategy)
{
    world_init(&w);
    struct buf app;
    struct buf cluster;
    buf_init(&app, &w.arena, 1024 * 1024);
    buf_init(&cluster, &w.arena, 4 * 1024 * 1024);
    buf_puts(&app, "lockstep: 1\nkind: Application\nname: big\nversions: semver\n"
                   "paths: { up: { at_most: { majors: 1 } } }\nlayout: { path: /opt/big }\n"
                   "service: { systemd: big }\ndatabases: { main: { migrations: { format: morph, "
                   "dir: m } } }\nreleases:\n");
    for (size_t i = 0; i <= hops; i++) {
        buf_printf(
            &app,
            "  - { version: \"%zu.0.0\", artifact: { url: \"https://b.example/%zu\", sha256: "
            "%064zu }, schema: { main: 4 } }\n",
            i + 1, i, i);
    }
    buf_printf(&cluster,
               "lockstep: 1\nkind: Cluster\nname: c\napplication: big\nversion: \"%zu.0.0\"\n%s"
               "databases: { main: { url: \"sqlite:///d\" } }\nnodes:\n",
               hops + 1, strategy);
    for (size_t i = 1; i <= nodes; i++) {
        buf_printf(&cluster, "  - { name: app-%zu }\n", i);
    }
    world_read(&w, buf_text(&cluster), buf_text(&app));
    for (size_t i = 0; i <= hops; i++) {
        world_release(&w, arena_printf(&w.arena, "%zu.0.0", i + 1), 4);
    }
    world_runs(&w, "1.0.0");
    world_ledger(&w, 4);
    const char *text = world_render(&w, NULL);
    assert_true(nodes < 5 || strstr(text, "app-1 … app-") != NULL);
    assert_int_equal(w.plan.hops.count, hops);
    size_t len = strlen(world_json(&w));
    world_deinit(&w);
    return len;
}

static void grows_with_the_node_list_alone(void **state UNUSED)
{
    static const char *const strategies[] = {
        "strategy: all-at-once\n", "strategy: { rolling: { canary: 1, max_unavailable: 5 } }\n"};
    for (size_t i = 0; i < ARRAY_SIZE(strategies); i++) {
        size_t small = json_bytes(1000, 10, strategies[i]);
        size_t large = json_bytes(10000, 10, strategies[i]);
        /* A node is named where it is listed and once in each of the node sets that hold it. */
        size_t lists = i == 0 ? 2 : 2 + 10;
        assert_in_range(large, small, small + 9000 * (40 + lists * 14));
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(comes_back_from_json_as_it_was),       T(refuses_a_text_whose_parts_do_not_fit),
        T(says_in_what_a_cluster_has_moved),     T(resolves_the_last_references_for_each_place),
        T(names_the_releases_that_it_must_know), T(grows_with_the_node_list_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
