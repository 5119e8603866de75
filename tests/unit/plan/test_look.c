/* What a plan asks of the databases: sessions, drift and the data, by the site's and the release's words. */
#include "tests/unit/plan/texts.h"

#define HERE "via: controller"

/* The guestbook's database with more said about it, on the way from one release to another. */
static void on_the_way(const char *from, size_t ledger, const char *to, const char *said,
                       const char *application)
{
    world_init(&w);
    const char *cluster = guestbook_cluster(&w, to, "");
    world_read(&w, with(cluster, HERE, arena_printf(&w.arena, HERE "%s", said)), application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_release(&w, "2.0.0", 4);
    world_runs(&w, from);
    world_ledger(&w, ledger);
}

/* The n-th step of this name, NULL when there are not so many. */
static const struct plan_step *step_named(const char *name, size_t n)
{
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(&w.plan, p, s);
            if (strcmp(step->name, name) == 0 && n-- == 0) {
                return step;
            }
        }
    }
    return NULL;
}

static const struct db_writers_action *writers_of(const char *said)
{
    on_the_way("1.0.0", 2, "1.1.0", said, guestbook_application);
    world_render(&w, NULL);
    assert_non_null(step_named("writers", 0));
    return step_named("writers", 0)->action->db_writers;
}

static void waits_a_minute_for_sessions_when_nothing_is_said(void **state UNUSED)
{
    const struct db_writers_action *a = writers_of("");
    assert_int_equal(a->policy, WRITERS_WAIT);
    assert_int_equal(a->wait_ms, 60000);
    assert_int_equal(a->except.count, 0);
    assert_int_equal(a->only.count, 0);
    assert_string_equal(a->database.name, "main");
    assert_null(step_named("writers", 1));
}

static void does_with_sessions_what_the_site_says(void **state UNUSED)
{
    const struct db_writers_action *a = writers_of(", writers: refuse");
    assert_int_equal(a->policy, WRITERS_REFUSE);
    assert_int_equal(a->wait_ms, 0);
    world_deinit(&w);
    a = writers_of(", writers: { policy: terminate, wait: 5s, except: [\"backup*\"] }");
    assert_int_equal(a->policy, WRITERS_TERMINATE);
    assert_int_equal(a->wait_ms, 5000);
    assert_string_equal(a->except.items[0], "backup*");
    assert_string_equal(step_named("writers", 0)->detail, "gone within 5.0 s, then ended");
    assert_non_null(strstr(str_join(&w.arena, w.plan.proved.items, w.plan.proved.count),
                           "are gone, but for those that may stay"));
}

static void sessions_stay_where_the_nodes_roll(void **state UNUSED)
{
    guestbook("1.1.0", ROLLING);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    assert_int_equal(w.plan.strategy, STRATEGY_ROLLING);
    assert_null(step_named("writers", 0));
    assert_non_null(step_named("drift", 1));
}

static void looks_for_drift_before_anything_is_touched_and_after_each_hop(void **state UNUSED)
{
    on_the_way("1.0.0", 2, "1.1.0", ", drift: refuse", guestbook_application);
    world_render(&w, NULL);
    const struct db_drift_action *before = step_named("drift", 0)->action->db_drift;
    assert_null(before->release);
    assert_int_equal(before->policy, DRIFT_REFUSE);
    assert_int_equal(before->schema, 2);
    const struct db_drift_action *after = step_named("drift", 1)->action->db_drift;
    assert_string_equal(after->release, "1.1.0");
    assert_int_equal(after->schema, 3);
    bool disruptive = false;
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        disruptive = disruptive || phase->disruptive;
        assert_true(strcmp(phase->name, "look") != 0 || !disruptive);
    }
    world_deinit(&w);
    on_the_way("1.0.0", 2, "1.1.0", "", guestbook_application);
    world_render(&w, NULL);
    assert_int_equal(step_named("drift", 0)->action->db_drift->policy, DRIFT_WARN);
    world_deinit(&w);
    on_the_way("1.0.0", 2, "1.1.0", ", drift: off", guestbook_application);
    world_render(&w, NULL);
    assert_null(step_named("drift", 0));
}

static void what_is_half_done_is_no_drift(void **state UNUSED)
{
    on_the_way("1.0.0", 2, "1.1.0", "", guestbook_application);
    struct observed_open open = {.id = "add_index", .ours = true, .words = "begun"};
    w.inventory.databases[0].open = &open;
    w.inventory.databases[0].open_count = 1;
    world_render(&w, NULL);
    assert_string_equal(step_named("drift", 0)->action->db_drift->release, "1.1.0");
}

#define CHECKS                                                                                     \
    "    schema: { main: 3 }\n"                                                                    \
    "    checks:\n"                                                                                \
    "      - database: main\n"                                                                     \
    "        sql: \"SELECT count(*) FROM entries WHERE length(author) > 64\"\n"                    \
    "        expect: \"0\"\n"                                                                      \
    "        says: an author's name is longer than 1.1.0 can show\n"                               \
    "      - { database: main, sql: SELECT 1, expect: \"1\", when: { direction: down } }\n"

static const char *with_checks(void)
{
    return with(guestbook_application, "    schema: { main: 3 }\n", CHECKS);
}

static void asks_the_data_before_a_way_leads_to_a_release(void **state UNUSED)
{
    on_the_way("1.0.0", 2, "1.1.0", "", with_checks());
    world_render(&w, NULL);
    const struct plan_step *step = step_named("check", 0);
    assert_string_equal(step->title, "main for 1.1.0");
    assert_string_equal(step->detail, "an author's name is longer than 1.1.0 can show");
    assert_string_equal(step->action->db_check->expect, "0");
    assert_string_equal(step->action->db_check->message, step->detail);
    assert_null(step_named("check", 1));
    world_deinit(&w);
    on_the_way("2.0.0", 4, "1.1.0", "", with_checks());
    world_render(&w, NULL);
    assert_string_equal(step_named("check", 1)->action->db_check->sql, "SELECT 1");
    assert_string_equal(step_named("check", 1)->detail, "SELECT 1: 1");
}

static void asks_nothing_of_a_release_that_is_left_or_of_no_data(void **state UNUSED)
{
    on_the_way("1.1.0", 3, "2.0.0", "", with_checks());
    world_render(&w, NULL);
    assert_null(step_named("check", 0));
    world_deinit(&w);
    on_the_way(NULL, 0, "1.1.0", "", with_checks());
    world_render(&w, NULL);
    assert_null(step_named("check", 0));
}

#define FOLLOW                                                                                     \
    "extra_steps:\n"                                                                               \
    "  - name: embed\n"                                                                            \
    "    scope: once\n"                                                                            \
    "    after: healthy\n"                                                                         \
    "    irreversible: the old search index is gone\n"                                             \
    "    do: [ { follow: { run: [bin/embed, \"${hop.to}\"], database: main, sql: \"SELECT done "   \
    "FROM "                                                                                        \
    "work\" } } ]\n"

static void follows_work_beside_the_hop_and_knows_what_cannot_be_undone(void **state UNUSED)
{
    on_the_way("1.0.0", 2, "1.1.0", "", with(guestbook_application, "extra_steps:\n", FOLLOW));
    const char *text = world_render(&w, NULL);
    const struct plan_step *step = step_named("embed", 0);
    assert_string_equal(step->on, "app-1");
    const struct follow_action *a = step->action->follow;
    assert_string_equal(a->database.url, "sqlite:///var/lib/guestbook.db");
    assert_string_equal(a->run->command.argv.items[1], "1.1.0");
    assert_string_equal(a->run->layout, "/opt/guestbook");
    assert_false(a->run->once);
    assert_int_equal(a->to, 1);
    assert_int_equal(step->deadline_ms, (24 * 60 * 60 + 30) * 1000);
    /* its own stall, once asked, and two minutes: then it is its worker that hangs */
    assert_int_equal(step->stall_ms, a->stall_ms + a->every_ms + 2 * 60 * 1000);
    assert_int_equal(step_named("swap", 0)->stall_ms, 0);
    assert_non_null(strstr(text, "! cannot be undone: the old search index is gone: POINT OF NO "
                                 "RETURN (then: restore)"));
    assert_non_null(strstr(text, "no backup is made before it"));
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        assert_int_equal(phase->no_return, strcmp(phase->name, "embed") == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(waits_a_minute_for_sessions_when_nothing_is_said),
        T(does_with_sessions_what_the_site_says),
        T(sessions_stay_where_the_nodes_roll),
        T(looks_for_drift_before_anything_is_touched_and_after_each_hop),
        T(what_is_half_done_is_no_drift),
        T(asks_the_data_before_a_way_leads_to_a_release),
        T(follows_work_beside_the_hop_and_knows_what_cannot_be_undone),
        T(asks_nothing_of_a_release_that_is_left_or_of_no_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
