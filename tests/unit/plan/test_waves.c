/* Who moves when: canary and waves by count, share and zone, the order of the nodes, and failover pairs. */
#include "tests/unit/plan/texts.h"

struct site {
    size_t nodes;
    const char *zones; /* a letter for each node; NULL: none has one */
    const char *pairs; /* the same; '-': it stands alone */
    const char *rolling;
    const char *application; /* NULL: the guestbook */
};

/* Nodes n-1, n-2 … that run 1.0.0. */
static void site(const struct site *s)
{
    world_init(&w);
    struct buf b;
    buf_init(&b, &w.arena, 65536);
    buf_printf(&b, "lockstep: 1\nkind: Cluster\nname: demo\napplication: guestbook\n"
                   "version: \"1.1.0\"\nnodes:\n");
    for (size_t i = 0; i < s->nodes; i++) {
        buf_printf(&b, "  - { name: n-%zu, vars: { port: 1 }", i + 1);
        if (s->zones != NULL) {
            buf_printf(&b, ", zone: %c", s->zones[i]);
        }
        if (s->pairs != NULL && s->pairs[i] != '-') {
            buf_printf(&b, ", pair: %c", s->pairs[i]);
        }
        buf_printf(&b, " }\n");
    }
    buf_printf(&b,
               "databases: { main: { url: \"sqlite:///var/lib/guestbook.db\" } }\n"
               "strategy: { rolling: { %s } }\n",
               s->rolling);
    world_read(&w, buf_text(&b), s->application != NULL ? s->application : guestbook_application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
}

/* The phases that take nodes down, one a line. */
static const char *waves(void)
{
    world_render(&w, NULL); /* fails on a complaint */
    struct buf b;
    buf_init(&b, &w.arena, 65536);
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        if (!phase->takes_down) {
            continue;
        }
        const struct plan_node_set *set =
            LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set);
        buf_printf(&b, "%s:", set->name);
        for (size_t n = 0; n < set->nodes.count; n++) {
            buf_printf(&b, " %s", set->nodes.items[n]);
        }
        if (phase->parallel > 0) {
            buf_printf(&b, ", %lld at a time", (long long)phase->parallel);
        }
        buf_putc(&b, '\n');
    }
    return buf_text(&b);
}

static void a_canary_may_be_a_share(void **state UNUSED)
{
    site(&(struct site){.nodes = 10, .rolling = "canary: 15%, max_unavailable: 4"});
    check("canary 15%", waves(),
          "canary: n-1 n-2\n"
          "wave 1: n-3 n-4 n-5 n-6\n"
          "wave 2: n-7 n-8 n-9 n-10\n");
}

static void waves_have_the_size_that_is_said_and_keep_the_budget_inside(void **state UNUSED)
{
    site(&(struct site){.nodes = 8, .rolling = "canary: 1, waves: 3, max_unavailable: 2"});
    check("waves: 3", waves(),
          "canary: n-1\n"
          "wave 1: n-2 n-3 n-4, 2 at a time\n"
          "wave 2: n-5 n-6 n-7, 2 at a time\n"
          "wave 3: n-8\n");
}

static void waves_may_be_a_share(void **state UNUSED)
{
    site(&(struct site){.nodes = 6, .rolling = "waves: 40%"});
    check("waves: 40%", waves(),
          "wave 1: n-1 n-2 n-3, 1 at a time\n"
          "wave 2: n-4 n-5 n-6, 1 at a time\n");
}

static void max_unavailable_may_be_a_share_and_is_rounded_down(void **state UNUSED)
{
    site(&(struct site){.nodes = 7, .rolling = "max_unavailable: 30%"});
    check("max_unavailable: 30%", waves(),
          "wave 1: n-1 n-2\n"
          "wave 2: n-3 n-4\n"
          "wave 3: n-5 n-6\n"
          "wave 4: n-7\n");
    assert_non_null(strstr(world_json(&w), "no more than 2 of 7 nodes taken down at once"));
}

static void a_share_is_at_least_one_node(void **state UNUSED)
{
    site(&(struct site){.nodes = 3, .rolling = "max_unavailable: 10%"});
    check("max_unavailable: 10%", waves(), "wave 1: n-1\nwave 2: n-2\nwave 3: n-3\n");
}

static void zones_move_one_after_the_other(void **state UNUSED)
{
    site(&(struct site){.nodes = 6,
                        .zones = "babcab",
                        .rolling = "canary: 1, waves: { by: zone }, max_unavailable: 2"});
    check("by zone", waves(),
          "canary: n-1\n"
          "zone a: n-2 n-5\n"
          "zone b: n-3 n-6\n"
          "zone c: n-4\n");
}

#define SESSIONS                                                                                   \
    "sessions: { http: { url: \"http://127.0.0.1:1/stats\", matches: \"sessions: ([0-9]+)\" } }\n" \
    "databases:\n"

static const char *with_sessions(void)
{
    return with(guestbook_application, "databases:\n", SESSIONS);
}

static void has_sessions(size_t node, int64_t sessions)
{
    w.inventory.nodes[node].sessions_known = true;
    w.inventory.nodes[node].sessions = sessions;
}

static void those_with_the_fewest_sessions_go_first(void **state UNUSED)
{
    site(&(struct site){.nodes = 4,
                        .rolling = "canary: 1, order: fewest-sessions-first",
                        .application = with_sessions()});
    has_sessions(0, 30);
    has_sessions(1, 7);
    has_sessions(2, 7);
    has_sessions(3, 0);
    check("fewest first", waves(), "canary: n-4\nwave 1: n-2\nwave 2: n-3\nwave 3: n-1\n");
    assert_int_equal(w.plan.warnings.count, 0);
}

static void who_does_not_say_its_sessions_goes_last(void **state UNUSED)
{
    site(&(struct site){
        .nodes = 3, .rolling = "order: fewest-sessions-first", .application = with_sessions()});
    has_sessions(1, 1000);
    has_sessions(2, 1);
    check("not said", waves(), "wave 1: n-3\nwave 2: n-2\nwave 3: n-1\n");
    assert_string_equal(w.plan.warnings.items[0],
                        "n-1 does not say how many sessions it has: it goes last");
}

static void a_pair_moves_in_one_wave_one_after_the_other(void **state UNUSED)
{
    site(&(struct site){.nodes = 6, .pairs = "x-yxy-", .rolling = "canary: 1, max_unavailable: 2"});
    check("pairs", waves(),
          "canary: n-1\n"
          "canary, partners: n-4\n"
          "wave 1: n-2 n-3\n"
          "wave 1, partners: n-5\n"
          "wave 2: n-6\n");
    assert_non_null(strstr(world_json(&w), "no failover pair taken down at both nodes at once"));
    assert_non_null(strstr(world_json(&w), "{\"from\":\"1.0.0\",\"name\":\"n-4\",\"pair\":\"x\""));
}

static void a_pair_counts_as_one_in_a_wave(void **state UNUSED)
{
    site(&(struct site){.nodes = 6, .pairs = "xxyyzz", .rolling = "waves: 2, max_unavailable: 3"});
    check("pairs in waves", waves(),
          "wave 1: n-1 n-3\n"
          "wave 1, partners: n-2 n-4\n"
          "wave 2: n-5\n"
          "wave 2, partners: n-6\n");
}

static void the_partner_of_a_node_that_is_down_moves_after_it(void **state UNUSED)
{
    site(&(struct site){.nodes = 4, .pairs = "xx--", .rolling = "max_unavailable: 2"});
    w.inventory.nodes[1].running = false;
    check("one of a pair is down", waves(),
          "down already: n-2\n"
          "wave 1: n-1 n-3\n"
          "wave 2: n-4\n");
}

static void a_plan_that_takes_a_pair_down_at_once_is_refused(void **state UNUSED)
{
    site(&(struct site){.nodes = 2, .pairs = "xx", .rolling = "max_unavailable: 2"});
    waves();
    static const char *both[] = {"n-1", "n-2"};
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        if (phase->takes_down) {
            LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set)->nodes =
                (struct strings){both, 2};
        }
    }
    struct strings proved = {0};
    complaints_init(&w.complaints, &w.arena);
    assert_int_equal(plan_prove(&w.arena, &w.spec, &w.plan, &proved, &w.complaints), E_INVALID);
    assert_string_equal(w.complaints.items[0].message,
                        "phase \"move\" would take n-1 down together with n-2, and the two are one "
                        "failover pair: start what is down, or move the extra step that stops "
                        "services");
}

static void a_start_budget_stands_in_the_plan_with_what_it_costs(void **state UNUSED)
{
    site(&(struct site){.nodes = 5,
                        .rolling = "max_unavailable: 1 }, starts: { at_most: 2, within: 1h"});
    waves();
    assert_non_null(strstr(world_json(&w), "\"starts\":{\"at_most\":2,\"within\":\"1h\"}"));
    assert_string_equal(w.plan.warnings.items[0],
                        "5 starts, no more than 2 within 1 h 0 min: this takes at least 2 h 0 min");
}

static void a_phase_that_starts_more_often_than_the_budget_is_refused(void **state UNUSED)
{
    site(&(struct site){.nodes = 2,
                        .rolling = "max_unavailable: 1 }, starts: { at_most: 1, within: 1h",
                        .application = with(guestbook_application, "extra_steps:\n",
                                            "extra_steps:\n  - { name: kick, scope: node, after: "
                                            "healthy, do: [ { service: restart } ] }\n")});
    check("too many starts", world_refusal(&w, NULL),
          "cluster.yaml:10:65: phase \"move\" starts the service 2 times on one node, and starts: "
          "allows 1 within 1 h 0 min: allow more, or take the restart out of the extra steps\n");
}

static void what_may_not_be_mixed_is_refused_with_the_vendors_reason(void **state UNUSED)
{
    site(&(struct site){.nodes = 2,
                        .rolling = "canary: 1",
                        .application = with(guestbook_application, "versions: semver\n",
                                            "versions: semver\nmixed: { policy: never, because: "
                                            "\"two versions corrupt the ring\" }\n")});
    check("mixed", world_refusal(&w, NULL),
          "cluster.yaml:10:22: guestbook may never run in two versions at once (mixed: never: two "
          "versions corrupt the ring); go all-at-once, or say if_not_rolling: all-at-once\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_canary_may_be_a_share),
        T(waves_have_the_size_that_is_said_and_keep_the_budget_inside),
        T(waves_may_be_a_share),
        T(max_unavailable_may_be_a_share_and_is_rounded_down),
        T(a_share_is_at_least_one_node),
        T(zones_move_one_after_the_other),
        T(those_with_the_fewest_sessions_go_first),
        T(who_does_not_say_its_sessions_goes_last),
        T(a_pair_moves_in_one_wave_one_after_the_other),
        T(a_pair_counts_as_one_in_a_wave),
        T(the_partner_of_a_node_that_is_down_moves_after_it),
        T(a_plan_that_takes_a_pair_down_at_once_is_refused),
        T(a_start_budget_stands_in_the_plan_with_what_it_costs),
        T(a_phase_that_starts_more_often_than_the_budget_is_refused),
        T(what_may_not_be_mixed_is_refused_with_the_vendors_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
