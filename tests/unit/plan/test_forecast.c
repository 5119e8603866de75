/* What a plan will take and what is left of it, in literal numbers: nodes at once, in turns, in waves, over several hops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/util.h"
#include "lib/plan/durations.h"
#include "lib/plan/plan.h"

#define HEAD                                                                                       \
    "{\"lockstep\":1,\"kind\":\"Plan\",\"cluster\":\"demo\",\"application\":\"board\","            \
    "\"spec_digest\":\"d\",\"from\":\"1.0.0\",\"to\":\"1.2.0\",\"direction\":\"up\","
#define NODE(name) "{\"name\":\"" name "\",\"from\":\"1.0.0\",\"running\":true}"
#define NODES      "\"nodes\":[" NODE("a") "," NODE("b") "," NODE("c") "],"
#define SETS                                                                                       \
    "\"node_sets\":[{\"name\":\"all\",\"nodes\":[\"a\",\"b\",\"c\"]},"                             \
    "{\"name\":\"canary\",\"nodes\":[\"a\"]},{\"name\":\"wave 1\",\"nodes\":[\"b\",\"c\"]}],"
#define HOP(from, to)                                                                              \
    "{\"from\":\"" from "\",\"to\":\"" to "\",\"direction\":\"up\",\"started\":true}"
#define HOPS "\"hops\":[" HOP("1.0.0", "1.1.0") "," HOP("1.1.0", "1.2.0") "],"
#define RUN(name)                                                                                  \
    "{\"name\":\"" name "\",\"deadline\":60000,\"action\":{\"run\":{\"command\":[\"true\"]}}}"
#define STOP   "{\"name\":\"stop\",\"deadline\":60000,\"action\":{\"service\":{\"verb\":\"stop\"}}}"
#define HEALTH "{\"name\":\"health\",\"deadline\":60000,\"action\":{\"health\":{\"soak\":\"2s\"}}}"
#define ONCE_STEP(name)                                                                            \
    "{\"name\":\"" name "\",\"on\":\"controller\",\"deadline\":60000,\"action\":{\"run\":"         \
    "{\"command\":[\"true\"]}}}"
#define NODES_PHASE(hop, set, more, steps)                                                         \
    "{\"name\":\"p\",\"hop\":" hop ",\"scope\":\"nodes\",\"node_set\":" set more                   \
    ",\"steps\":[" steps "]}"
#define ONCE_PHASE(hop, steps)                                                                     \
    "{\"name\":\"p\",\"hop\":" hop ",\"scope\":\"once\",\"steps\":[" steps "]}"
#define PLAN(strategy, phases)                                                                     \
    HEAD "\"strategy\":\"" strategy "\"," NODES SETS HOPS "\"phases\":[" phases "]}"

struct world {
    struct arena arena;
    struct plan plan;
    struct known_duration items[32];
    size_t count;
};
static struct world w;

static int setup(void **state UNUSED)
{
    memset(&w, 0, sizeof(w));
    arena_init(&w.arena);
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_deinit(&w.arena);
    return 0;
}

static void read_plan(const char *text)
{
    struct error e = {0};
    if (plan_from_json(&w.arena, text, strlen(text), &w.plan, &e) < 0) {
        fail_msg("%s", e.message);
    }
}

static void knows(const char *step, const char *place, const char *release, int64_t ms,
                  int64_t longest_ms)
{
    w.items[w.count++] = (struct known_duration){
        .step = step, .place = place, .release = release, .ms = ms, .longest_ms = longest_ms};
}

static struct forecast *forecast(void)
{
    const struct known_durations known = {.items = w.items, .count = w.count};
    return forecast_new(&w.arena, &known, &w.plan);
}

static void sum_is(struct duration_sum sum, int64_t ms, size_t known, size_t all)
{
    assert_int_equal(sum.ms, ms);
    assert_int_equal(sum.known, known);
    assert_int_equal(sum.all, all);
}

static void nodes_at_once_take_as_long_as_the_slowest(void **state UNUSED)
{
    read_plan(PLAN("all-at-once", NODES_PHASE("0", "0", "", RUN("x") "," RUN("y"))));
    knows("x", "a", NULL, 100, 0);
    knows("x", "b", NULL, 500, 0);
    knows("x", "c", NULL, 200, 0);
    knows("y", "a", NULL, 1000, 0);
    knows("y", "b", NULL, 10, 0);
    knows("y", "c", NULL, 20, 0);
    sum_is(forecast_rest(forecast()), 1100, 2, 2); /* a: 100 + 1000 */
}

static void a_place_that_was_never_seen_may_be_the_slowest(void **state UNUSED)
{
    read_plan(PLAN("all-at-once", NODES_PHASE("0", "0", "", RUN("x"))));
    knows("x", "a", NULL, 100, 0);
    knows("x", NULL, NULL, 300, 700);
    sum_is(forecast_rest(forecast()), 700, 1, 1);
}

static void nodes_in_turns_take_the_turn_that_is_free_first(void **state UNUSED)
{
    read_plan(PLAN("rolling", NODES_PHASE("0", "0", ",\"parallel\":2", RUN("x"))));
    knows("x", "a", NULL, 500, 0);
    knows("x", "b", NULL, 100, 0);
    knows("x", "c", NULL, 200, 0);
    sum_is(forecast_rest(forecast()), 500, 1, 1); /* c follows b: 300 */
    w.items[2].ms = 450;
    sum_is(forecast_rest(forecast()), 550, 1, 1);
    /* One at a time, and where nobody knows the node, what is usual and not the worst. */
    read_plan(PLAN("rolling", NODES_PHASE("0", "0", ",\"parallel\":1", RUN("x"))));
    w.count = 0;
    knows("x", NULL, NULL, 300, 700);
    sum_is(forecast_rest(forecast()), 900, 1, 1);
}

static void waves_and_hops_follow_one_another_each_with_its_release(void **state UNUSED)
{
    read_plan(PLAN(
        "rolling",
        NODES_PHASE("0", "1", "", RUN("swap")) "," NODES_PHASE("0", "2", "", RUN("swap")) "," ONCE_PHASE(
            "1", ONCE_STEP("check")) "," NODES_PHASE("1", "1", "",
                                                     RUN("swap")) "," NODES_PHASE("1", "2", "",
                                                                                  RUN("swap"))));
    knows("swap", NULL, "1.1.0", 1000, 0);
    knows("swap", NULL, "1.2.0", 5000, 0);
    sum_is(forecast_rest(forecast()), 12000, 4, 5);
    sum_is(forecast_from(forecast(), 3), 10000, 2, 2);
    sum_is(forecast_from(forecast(), 5), 0, 0, 0);
    knows("check", "controller", NULL, 30, 0);
    sum_is(forecast_rest(forecast()), 12030, 5, 5);
    sum_is(forecast_down(forecast()), 0, 0, 0); /* rolling: never all at once */
}

static void the_service_is_down_from_the_stop_to_good_health_without_the_soak(void **state UNUSED)
{
    read_plan(PLAN(
        "all-at-once",
        NODES_PHASE("-1", "0", "", RUN("stage")) "," NODES_PHASE("-1", "0", ",\"takes_down\":true", STOP) "," ONCE_PHASE(
            "0",
            ONCE_STEP(
                "check")) "," NODES_PHASE("0", "0", ",\"takes_down\":true",
                                          RUN("start") "," HEALTH) "," NODES_PHASE("2", "0", "",
                                                                                   RUN("retire"))));
    knows("stage", NULL, NULL, 60000, 0);
    knows("stop", NULL, NULL, 400, 0);
    knows("start", NULL, NULL, 100, 0);
    knows("health", NULL, NULL, 3000, 0);
    knows("retire", NULL, NULL, 50, 0);
    sum_is(forecast_down(forecast()), 400 + 100 + 3000 - 2000, 3, 4);
    knows("check", NULL, NULL, 7, 0);
    sum_is(forecast_down(forecast()), 400 + 7 + 100 + 3000 - 2000, 4, 4);
    sum_is(forecast_rest(forecast()), 60000 + 400 + 7 + 3100 + 50, 6, 6);
}

static void what_is_left_counts_what_is_over_and_what_is_under_way(void **state UNUSED)
{
    read_plan(PLAN("all-at-once", NODES_PHASE("0", "0", "", RUN("x") "," RUN("y"))));
    knows("x", NULL, NULL, 1000, 0);
    knows("y", NULL, NULL, 4000, 0);
    struct walked at[] = {{"a", 1, 1500}, {"b", 0, 300}, {"c", 2, -1}};
    struct phase_left left = forecast_phase_left(forecast(), 0, at, 3);
    assert_int_equal(left.ms, 4700); /* b: 700 + 4000 */
    assert_false(left.longer);
    at[1] = (struct walked){"b", 2, -1};
    assert_int_equal(forecast_phase_left(forecast(), 0, at, 3).ms, 2500);
}

static void in_turns_nodes_that_have_begun_go_before_those_that_wait(void **state UNUSED)
{
    read_plan(PLAN("rolling", NODES_PHASE("0", "0", ",\"parallel\":1", RUN("x"))));
    knows("x", NULL, NULL, 1000, 0);
    const struct walked at[] = {{"a", 0, -1}, {"b", 0, 600}, {"c", 1, -1}};
    assert_int_equal(forecast_phase_left(forecast(), 0, at, 3).ms, 1400);
}

static void it_is_never_negative_and_longer_than_usual_is_said(void **state UNUSED)
{
    read_plan(PLAN("all-at-once", ONCE_PHASE("0", ONCE_STEP("x") "," ONCE_STEP("y"))));
    knows("x", NULL, NULL, 2000, 10000);
    knows("y", NULL, NULL, 500, 0);
    struct walked at = {NULL, 0, 9000};
    struct phase_left left = forecast_phase_left(forecast(), 0, &at, 1);
    assert_int_equal(left.ms, 500);
    assert_false(left.longer);
    at.elapsed_ms = 10000 + 1000 + FORECAST_SLACK_MS;
    assert_false(forecast_phase_left(forecast(), 0, &at, 1).longer);
    at.elapsed_ms++;
    left = forecast_phase_left(forecast(), 0, &at, 1);
    assert_true(left.longer);
    assert_int_equal(left.ms, 500);
    /* What nobody has measured takes no longer than usual. */
    w.count = 0;
    assert_false(forecast_phase_left(forecast(), 0, &at, 1).longer);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nodes_at_once_take_as_long_as_the_slowest),
        T(a_place_that_was_never_seen_may_be_the_slowest),
        T(nodes_in_turns_take_the_turn_that_is_free_first),
        T(waves_and_hops_follow_one_another_each_with_its_release),
        T(the_service_is_down_from_the_stop_to_good_health_without_the_soak),
        T(what_is_left_counts_what_is_over_and_what_is_under_way),
        T(in_turns_nodes_that_have_begun_go_before_those_that_wait),
        T(it_is_never_negative_and_longer_than_usual_is_said),
    };
    return cmocka_run_group_tests_name("plan/forecast", tests, NULL, NULL);
}
