/* A watched run, as literal text: line by line, as a picture, and the tables at the end. */
#include "cli/watch_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START_MS INT64_C(1000000)

static const char plan_text[] =
    "{\"lockstep\":1,\"kind\":\"Plan\",\"cluster\":\"demo\",\"application\":\"board\","
    "\"spec_digest\":\"d\",\"from\":\"1.0.0\",\"to\":\"1.1.0\",\"direction\":\"up\","
    "\"strategy\":\"all-at-once\","
    "\"nodes\":[{\"name\":\"app-1\",\"from\":\"1.0.0\",\"running\":true},"
    "{\"name\":\"app-2\",\"from\":\"1.0.0\",\"running\":true}],"
    "\"node_sets\":[{\"name\":\"all\",\"nodes\":[\"app-1\",\"app-2\"]}],"
    "\"hops\":[{\"from\":\"1.0.0\",\"to\":\"1.1.0\",\"direction\":\"up\",\"started\":true}],"
    "\"phases\":["
    "{\"name\":\"stop\",\"hop\":-1,\"scope\":\"nodes\",\"node_set\":0,\"steps\":["
    "{\"name\":\"stop\",\"deadline\":60000,\"action\":{\"service\":{\"verb\":\"stop\"}}}]},"
    "{\"name\":\"migrate main\",\"hop\":0,\"scope\":\"once\",\"steps\":["
    "{\"name\":\"migrate\",\"title\":\"main 1 -> 2\",\"on\":\"controller\",\"deadline\":60000,"
    "\"action\":{\"run\":{\"command\":[\"true\"]}}}]},"
    "{\"name\":\"swap and start\",\"hop\":0,\"scope\":\"nodes\",\"node_set\":0,\"steps\":["
    "{\"name\":\"start\",\"deadline\":60000,\"action\":{\"service\":{\"verb\":\"start\"}}},"
    "{\"name\":\"health\",\"deadline\":60000,\"action\":{\"health\":{\"soak\":\"2s\"}}}]}]}";

struct world {
    struct arena arena;
    struct watch watch;
    struct buf lines;
    uint64_t number;
};

static int setup(void **state)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    arena_init(&w.arena);
    watch_init(&w.watch, &w.arena);
    buf_init(&w.lines, &w.arena, (size_t)1024 * 1024);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    arena_deinit(&w->arena);
    return 0;
}

static bool see(struct world *w, const Lockstep__V1__WatchEvent *event)
{
    bool is_new = false;
    struct error e = {0};
    if (watch_see(&w->watch, event, &is_new, &e) < 0) {
        fail_msg("%s", e.message);
    }
    if (is_new) {
        watch_lines(&w->watch, event, &w->lines);
    }
    return is_new;
}

static Lockstep__V1__WatchEvent event_at(struct world *w, int64_t after_ms)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    event.number = ++w->number;
    event.at_ms = START_MS + after_ms;
    return event;
}

static void begin_knowing(struct world *w, Lockstep__V1__Known **known, size_t count)
{
    Lockstep__V1__WatchEvent event = event_at(w, 0);
    Lockstep__V1__WatchRun run = LOCKSTEP__V1__WATCH_RUN__INIT;
    run.run = "r1";
    run.plan_id = "p1";
    run.cluster = "demo";
    run.plan.data = (uint8_t *)plan_text;
    run.plan.len = strlen(plan_text);
    run.started_ms = START_MS;
    run.known = known;
    run.n_known = count;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN;
    event.run = &run;
    assert_true(see(w, &event));
}

static void begin(struct world *w)
{
    begin_knowing(w, NULL, 0);
}

static void state_is(struct world *w, int64_t after_ms, const char *word, const char *why)
{
    Lockstep__V1__WatchEvent event = event_at(w, after_ms);
    Lockstep__V1__WatchState state = LOCKSTEP__V1__WATCH_STATE__INIT;
    state.state = (char *)word;
    state.why = (char *)why;
    state.asks = strcmp(word, "paused") == 0 || strncmp(why, "gate ", 5) == 0;
    state.roll_back = strcmp(word, "aborted") == 0 && strncmp(why, "rolled back", 11) == 0;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STATE;
    event.state = &state;
    assert_true(see(w, &event));
}

static void phase(struct world *w, int64_t after_ms, uint32_t at)
{
    Lockstep__V1__WatchEvent event = event_at(w, after_ms);
    Lockstep__V1__WatchPhase message = LOCKSTEP__V1__WATCH_PHASE__INIT;
    message.phase = at;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE;
    event.phase = &message;
    assert_true(see(w, &event));
}

struct moment {
    int64_t after_ms;
    uint32_t phase, step;
    const char *place;
    const char *state;
    int64_t took_ms;
    const char *message, *log_tail;
    uint32_t attempt; /* 0: the first */
};

static bool step(struct world *w, const struct moment *m)
{
    Lockstep__V1__WatchEvent event = event_at(w, m->after_ms);
    Lockstep__V1__WatchStep message = LOCKSTEP__V1__WATCH_STEP__INIT;
    message.phase = m->phase;
    message.step = m->step;
    message.place = (char *)m->place;
    message.state = (char *)m->state;
    message.attempt = m->attempt > 0 ? m->attempt : 1;
    message.message = m->message != NULL ? (char *)m->message : "";
    message.log_tail = m->log_tail != NULL ? (char *)m->log_tail : "";
    if (strcmp(m->state, "under-way") != 0) {
        message.started_ms = START_MS + m->after_ms - m->took_ms;
        message.ended_ms = START_MS + m->after_ms;
    }
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP;
    event.step = &message;
    return see(w, &event);
}

static void progress(struct world *w, uint32_t at, uint32_t number, const char *place,
                     const char *text, uint64_t done, uint64_t total)
{
    Lockstep__V1__WatchEvent event = LOCKSTEP__V1__WATCH_EVENT__INIT;
    Lockstep__V1__WatchStep message = LOCKSTEP__V1__WATCH_STEP__INIT;
    message.phase = at;
    message.step = number;
    message.place = (char *)place;
    message.state = "under-way";
    message.message = (char *)text;
    message.done = done;
    message.total = total;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP;
    event.step = &message;
    assert_true(see(w, &event));
}

#define MOMENT(after, phase_, step_, place_, state_, ...)                                          \
    &(struct moment)                                                                               \
    {                                                                                              \
        .after_ms = (after), .phase = (phase_), .step = (step_), .place = (place_),                \
        .state = (state_), __VA_ARGS__                                                             \
    }
#define STEP(w, ...) assert_true(step((w), MOMENT(__VA_ARGS__)))

static const char *picture(struct world *w, int64_t after_ms, size_t columns, size_t rows)
{
    struct buf out;
    const struct watch_screen screen = {.columns = columns, .rows = rows};
    buf_init(&out, &w->arena, (size_t)1024 * 1024);
    watch_live(&w->watch, START_MS + after_ms, &screen, &w->arena, &out);
    return buf_text(&out);
}

/* Both nodes stopped, the migration done, app-1 up, app-2 in its health. */
static void most_of_a_run(struct world *w)
{
    begin(w);
    state_is(w, 0, "running", "");
    phase(w, 0, 0);
    STEP(w, 10, 0, 0, "app-1", "under-way", .took_ms = 0);
    STEP(w, 10, 0, 0, "app-2", "under-way", .took_ms = 0);
    STEP(w, 200, 0, 0, "app-1", "done", .took_ms = 150);
    STEP(w, 300, 0, 0, "app-2", "done", .took_ms = 250);
    phase(w, 300, 1);
    STEP(w, 300, 1, 0, "controller", "under-way", .took_ms = 0);
    STEP(w, 1300, 1, 0, "controller", "done", .took_ms = 950);
    phase(w, 1300, 2);
    STEP(w, 1300, 2, 0, "app-1", "under-way", .took_ms = 0);
    STEP(w, 1300, 2, 0, "app-2", "under-way", .took_ms = 0);
    STEP(w, 1800, 2, 0, "app-1", "done", .took_ms = 400);
    STEP(w, 1800, 2, 1, "app-1", "under-way", .took_ms = 0);
    STEP(w, 2300, 2, 0, "app-2", "done", .took_ms = 900);
    STEP(w, 2300, 2, 1, "app-2", "under-way", .took_ms = 0);
    STEP(w, 4300, 2, 1, "app-1", "done", .took_ms = 2500);
}

static void reads_line_by_line(void **state)
{
    struct world *w = *state;
    most_of_a_run(w);
    STEP(w, 3723400, 2, 1, "app-2", "done", .took_ms = 3000);
    state_is(w, 3723400, "succeeded", "");
    watch_end_line(&w->watch, START_MS, &w->lines);
    assert_string_equal(
        buf_text(&w->lines),
        "demo: board 1.0.0 -> 1.1.0   up, 1 hop, all-at-once   2 nodes, 7 steps   run r1\n"
        "00:00.0  running\n"
        "00:00.2  stop     app-1       done  (150 ms)\n"
        "00:00.3  stop     app-2       done  (250 ms)\n"
        "00:00.3  hop 1: 1.0.0 -> 1.1.0\n"
        "00:01.3  migrate  controller  done  main 1 -> 2  (950 ms)\n"
        "00:01.8  start    app-1       done  (400 ms)\n"
        "00:02.3  start    app-2       done  (900 ms)\n"
        "00:04.3  health   app-1       done  (2.5 s)\n"
        "1:02:03.4  health   app-2       done  (3.0 s)\n"
        "succeeded in 1 h 2 min: demo runs board 1.1.0 (run r1)\n");
    assert_true(watch_is_over(&w->watch));
}

static int64_t left_ms(struct world *w, const Lockstep__V1__WatchEvent *event)
{
    json_t *json = watch_json(&w->watch, event);
    const json_t *left = json_object_get(json, "left_ms");
    int64_t ms = json_is_integer(left) ? json_integer_value(left) : -1;
    json_decref(json);
    return ms;
}

/* Stop takes 300 ms, start 1 s, health 4 s; nobody knows the migration. */
static void says_how_long_it_will_still_take(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *step;
        int64_t ms;
    } times[] = {{"stop", 300}, {"start", 1000}, {"health", 4000}};
    Lockstep__V1__Known known[3];
    Lockstep__V1__Known *list[3];
    for (size_t i = 0; i < 3; i++) {
        lockstep__v1__known__init(&known[i]);
        known[i].step = (char *)times[i].step;
        known[i].ms = times[i].ms;
        known[i].run = "r0";
        list[i] = &known[i];
    }
    begin_knowing(w, list, 3);
    state_is(w, 0, "running", "");
    phase(w, 0, 0);
    STEP(w, 0, 0, 0, "app-1", "under-way", .took_ms = 0);
    STEP(w, 0, 0, 0, "app-2", "under-way", .took_ms = 0);
    assert_non_null(strstr(picture(w, 100, 90, 24),
                           "\nabout 5.2 s left, without 1 step that nobody has measured\n"));
    STEP(w, 300, 0, 0, "app-1", "done", .took_ms = 300);
    STEP(w, 300, 0, 0, "app-2", "done", .took_ms = 300);
    w->lines.len = 0;
    phase(w, 300, 1);
    phase(w, 1300, 2);
    assert_string_equal(buf_text(&w->lines), "00:00.3  hop 1: 1.0.0 -> 1.1.0: about 5.0 s left, "
                                             "without 1 step that nobody has measured\n"
                                             "00:01.3  swap and start: about 5.0 s left\n");
    STEP(w, 1300, 2, 0, "app-1", "under-way", .took_ms = 0);
    STEP(w, 2300, 2, 0, "app-1", "done", .took_ms = 1000);
    STEP(w, 2300, 2, 1, "app-1", "under-way", .took_ms = 0);
    Lockstep__V1__WatchEvent event = event_at(w, 4300);
    Lockstep__V1__WatchPhase message = LOCKSTEP__V1__WATCH_PHASE__INIT;
    message.phase = 2;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE;
    event.phase = &message;
    assert_int_equal(left_ms(w, &event), 5000); /* app-2 has not begun */
    STEP(w, 4300, 2, 0, "app-2", "done", .took_ms = 1000);
    STEP(w, 4300, 2, 1, "app-2", "done", .took_ms = 1000);
    assert_int_equal(left_ms(w, &event), 2000);
    event.at_ms = START_MS + 7000; /* past what it took: never negative */
    assert_int_equal(left_ms(w, &event), 0);
    assert_non_null(strstr(picture(w, 9300, 90, 24), "running\nlonger than usual\n"));
    event.at_ms = START_MS + 9300;
    assert_int_equal(left_ms(w, &event), -1);
    state_is(w, 9300, "paused", "app-1: health: no");
    assert_null(strstr(picture(w, 9300, 90, 24), "usual"));
}

static void a_failure_comes_with_its_log(void **state)
{
    struct world *w = *state;
    begin(w);
    w->lines.len = 0;
    STEP(w, 100, 0, 0, "app-2", "failed", .took_ms = 50, .message = "it does not stop",
         .log_tail = "one\ntwo\n");
    state_is(w, 100, "paused", "app-2: stop: it does not stop");
    watch_end_line(&w->watch, START_MS + 200, &w->lines);
    assert_string_equal(buf_text(&w->lines),
                        "00:00.1  stop     app-2       failed  (50 ms)  it does not stop\n"
                        "           | one\n"
                        "           | two\n"
                        "00:00.1  paused: app-2: stop: it does not stop\n"
                        "paused after 200 ms, waits for an operator: lockstep retry, skip, "
                        "exclude, rollback or abort r1\n");
    w->lines.len = 0;
    watch_failures(&w->watch, &w->lines);
    assert_string_equal(buf_text(&w->lines), "00:00.1  stop     app-2       it does not stop\n"
                                             "           | one\n"
                                             "           | two\n");
}

static void draws_phases_and_the_nodes_of_the_running_one(void **state)
{
    struct world *w = *state;
    most_of_a_run(w);
    progress(w, 2, 1, "app-2", "HTTP 503", 1, 3);
    assert_string_equal(picture(w, 14300, 80, 24),
                        "demo: board 1.0.0 -> 1.1.0   up, 1 hop, all-at-once   run r1\n"
                        "[#########################-----]  6 of 7 steps   14.3 s   running\n"
                        "\n"
                        "✓ before  stop                            2 of 2 nodes   300 ms\n"
                        "✓ hop 1   migrate main                    1 of 1 step   1.0 s\n"
                        "▸ hop 1   swap and start                  1 of 2 nodes   13.0 s\n"
                        "    app-2       health    12.0 s   1 of 3   HTTP 503\n"
                        "\n"
                        "app-2 health: waiting 12 s, HTTP 503\n");
}

static void draws_a_pause_with_what_to_do(void **state)
{
    struct world *w = *state;
    begin(w);
    phase(w, 0, 0);
    STEP(w, 0, 0, 0, "app-1", "under-way", .took_ms = 0);
    STEP(w, 0, 0, 0, "app-2", "under-way", .took_ms = 0);
    STEP(w, 100, 0, 0, "app-2", "failed", .took_ms = 50, .message = "it does not stop");
    state_is(w, 100, "paused", "app-2: stop: it does not stop");
    assert_false(watch_rests(&w->watch)); /* app-1 is under way */
    STEP(w, 200, 0, 0, "app-1", "done", .took_ms = 50);
    assert_true(watch_rests(&w->watch));
    assert_string_equal(picture(w, 200, 60, 24),
                        "demo: board 1.0.0 -> 1.1.0   up, 1 hop, all-at-once   run r1\n"
                        "[####--------------------------]  1 of 7 steps   200 ms   p…\n"
                        "\n"
                        "✗ before  stop                            1 of 2 nodes   20…\n"
                        "    app-2       stop      failed\n"
                        "· hop 1   migrate main                    0 of 1 step\n"
                        "· hop 1   swap and start                  0 of 2 nodes\n"
                        "\n"
                        "paused: app-2: stop: it does not stop\n"
                        "lockstep retry, skip, exclude, rollback or abort r1\n");
    assert_string_equal(watch_waits_for(&w->watch, START_MS, &w->arena),
                        "paused: app-2: stop: it does not stop; lockstep retry, skip, exclude, "
                        "rollback or abort r1");
}

static void a_retry_that_succeeds_takes_the_failure_away(void **state)
{
    struct world *w = *state;
    begin(w);
    STEP(w, 100, 0, 0, "app-2", "failed", .took_ms = 50, .message = "it does not stop");
    STEP(w, 200, 0, 0, "app-2", "under-way", .attempt = 2);
    STEP(w, 300, 0, 0, "app-2", "done", .took_ms = 50, .attempt = 2);
    assert_int_equal(w->watch.failure_count, 0);
    assert_int_equal(w->watch.steps_done, 1);
    assert_false(step(w, MOMENT(400, 0, 0, "app-2", "failed", .message = "late", .attempt = 1)));
    assert_int_equal(w->watch.failure_count, 0);
}

static void the_step_behind_a_retried_one_is_not_taken_for_late(void **state)
{
    struct world *w = *state;
    begin(w);
    STEP(w, 100, 2, 0, "app-1", "failed", .took_ms = 50, .message = "it does not start");
    STEP(w, 200, 2, 0, "app-1", "under-way", .attempt = 2);
    STEP(w, 300, 2, 0, "app-1", "done", .took_ms = 50, .attempt = 2);
    assert_true(step(w, MOMENT(400, 2, 1, "app-1", "under-way", .took_ms = 0)));
    assert_true(step(w, MOMENT(900, 2, 1, "app-1", "done", .took_ms = 450)));
    assert_int_equal(w->watch.steps_done, 2);
}

/* A terminal of ten rows and a thousand nodes: what fails is shown, the rest is counted. */
static void stays_within_the_terminal(void **state)
{
    struct world *w = *state;
    struct buf text;
    struct buf names;
    buf_init(&text, &w->arena, (size_t)1024 * 1024);
    buf_init(&names, &w->arena, (size_t)1024 * 1024);
    buf_puts(&text, "{\"lockstep\":1,\"kind\":\"Plan\",\"cluster\":\"demo\",\"application\":\"b\","
                    "\"spec_digest\":\"d\",\"from\":\"1.0\",\"to\":\"1.1\",\"nodes\":[");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, "%s{\"name\":\"n%d\"}", i > 0 ? "," : "", i);
        buf_printf(&names, "%s\"n%d\"", i > 0 ? "," : "", i);
    }
    buf_printf(&text,
               "],\"node_sets\":[{\"name\":\"all\",\"nodes\":[%s]}],\"hops\":[{\"from\":\"1.0\","
               "\"to\":\"1.1\"}],\"phases\":[",
               buf_text(&names));
    for (int i = 0; i < 20; i++) {
        buf_printf(
            &text,
            "%s{\"name\":\"p%d\",\"hop\":0,\"scope\":\"nodes\",\"node_set\":0,\"steps\":[{"
            "\"name\":\"go\",\"deadline\":60000,\"action\":{\"service\":{\"verb\":\"stop\"}}}]}",
            i > 0 ? "," : "", i);
    }
    buf_puts(&text, "]}");
    Lockstep__V1__WatchEvent event = event_at(w, 0);
    Lockstep__V1__WatchRun run = LOCKSTEP__V1__WATCH_RUN__INIT;
    run.run = "r1";
    run.cluster = "demo";
    run.plan.data = (uint8_t *)buf_text(&text);
    run.plan.len = text.len;
    run.started_ms = START_MS;
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN;
    event.run = &run;
    assert_true(see(w, &event));
    for (int i = 0; i < 1000; i++) {
        STEP(w, 1000 + i, 7, 0, arena_printf(&w->arena, "n%d", i), "under-way", .took_ms = 0);
    }
    STEP(w, 3000, 7, 0, "n500", "failed", .took_ms = 5, .message = "no");
    assert_string_equal(picture(w, 4000, 70, 17),
                        "demo: b 1.0 -> 1.1   repair, 1 hop, all-at-once   run r1\n"
                        "[------------------------------]  0 of 20000 steps   4.0 s   ready\n"
                        "\n"
                        "✓ 6 before\n"
                        "· hop 1   p6                              0 of 1000 nodes\n"
                        "✗ hop 1   p7                              0 of 1000 nodes   3.0 s\n"
                        "    n500        go   failed\n"
                        "    n0          go   3.0 s\n"
                        "    n1          go   2.9 s\n"
                        "    n2          go   2.9 s\n"
                        "    and 996 more under way, 0 waiting\n"
                        "· hop 1   p8                              0 of 1000 nodes\n"
                        "· 11 more\n"
                        "\n"
                        "n0 go: waiting 3 s; and 998 more\n");
    for (size_t rows = 10; rows < 40; rows++) {
        size_t lines = 0;
        for (const char *p = picture(w, 4000, 70, rows); *p != '\0'; p++) {
            lines += *p == '\n' ? 1 : 0;
        }
        assert_true(lines < rows);
    }
}

static void the_tables_say_what_ran_where_and_how_long_nodes_were_down(void **state)
{
    struct world *w = *state;
    most_of_a_run(w);
    STEP(w, 5300, 2, 1, "app-2", "done", .took_ms = 3000);
    struct buf out;
    buf_init(&out, &w->arena, (size_t)1024 * 1024);
    watch_summary(&w->watch, &w->arena, &out);
    /* app-1: stop began at 50 ms, health ended at 4300 ms, of which 2 s were soaking. */
    assert_string_equal(buf_text(&out), "ran once\n"
                                        "  hop 1  migrate main 1 -> 2  controller  950 ms\n"
                                        "ran on each node (shortest - longest)\n"
                                        "  before  stop    2 nodes  150 ms - 250 ms\n"
                                        "  hop 1   start   2 nodes  400 ms - 900 ms\n"
                                        "  hop 1   health  2 nodes  2.5 s - 3.0 s\n"
                                        "how long each node was down\n"
                                        "  app-1  2.2 s\n"
                                        "  app-2  3.2 s\n");
}

static void a_second_start_of_a_step_is_not_hidden(void **state)
{
    struct world *w = *state;
    begin(w);
    STEP(w, 100, 1, 0, "controller", "failed", .took_ms = 50, .message = "no");
    STEP(w, 200, 1, 0, "controller", "done", .took_ms = 60, .attempt = 2);
    STEP(w, 300, 0, 0, "app-1", "done", .took_ms = 60);
    struct buf out;
    buf_init(&out, &w->arena, (size_t)1024 * 1024);
    watch_summary(&w->watch, &w->arena, &out);
    assert_string_equal(buf_text(&out),
                        "ran once\n"
                        "  hop 1  migrate main 1 -> 2  controller  60 ms  2 attempts\n"
                        "ran on each node (shortest - longest)\n"
                        "  before  stop  1 node  60 ms\n"
                        "how long each node was down\n"
                        "  app-1    not up again\n");
}

static void events_that_were_seen_count_once(void **state)
{
    struct world *w = *state;
    most_of_a_run(w);
    uint64_t done = w->watch.steps_done;
    w->number = 5; /* told again after a reconnect */
    assert_false(step(w, MOMENT(200, 0, 0, "app-1", "done", .took_ms = 150)));
    assert_int_equal(w->watch.steps_done, done);
}

static void events_that_do_not_fit_the_plan_are_left_out(void **state)
{
    struct world *w = *state;
    begin(w);
    assert_false(step(w, MOMENT(1, 99, 0, "app-1", "done", .took_ms = 0)));
    assert_false(step(w, MOMENT(1, 0, 99, "app-1", "done", .took_ms = 0)));
    assert_false(step(w, MOMENT(1, 0, 0, "stranger", "done", .took_ms = 0)));
    assert_false(step(w, MOMENT(1, 0, 0, "app-1", "odd", .took_ms = 0)));
    assert_int_equal(w->watch.steps_done, 0);
}

static void a_json_line_names_the_step(void **state)
{
    struct world *w = *state;
    begin(w);
    Lockstep__V1__WatchEvent event = event_at(w, 5);
    Lockstep__V1__WatchStep message = LOCKSTEP__V1__WATCH_STEP__INIT;
    message.phase = 1;
    message.place = "controller";
    message.attempt = 1;
    message.state = "under-way";
    message.facts = "{\"rows\":2}";
    event.event_case = LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP;
    event.step = &message;
    json_t *json = watch_json(&w->watch, &event);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(
        text,
        "{\"event\":\"step\",\"phase\":1,\"step\":0,\"name\":\"migrate\",\"title\":\"main 1 -> 2\","
        "\"place\":\"controller\",\"attempt\":1,\"state\":\"under-way\",\"message\":\"\","
        "\"log_tail\":\"\",\"done\":0,\"total\":0,\"started_ms\":0,\"ended_ms\":0,"
        "\"facts\":{\"rows\":2},\"number\":2,\"at_ms\":1000005}");
    free(text);
    json_decref(json);
}

static void a_gate_asks_and_says_who_may_answer(void **state)
{
    struct world *w = *state;
    begin(w);
    w->lines.len = 0;
    state_is(w, 100, "waiting", "outside its windows; stop begins in the next one");
    assert_false(watch_rests(&w->watch));
    state_is(w, 200, "running", "");
    state_is(w, 300, "waiting", "gate canary: 1 of 2 approvals (bob)");
    assert_true(watch_rests(&w->watch));
    assert_string_equal(watch_waits_for(&w->watch, START_MS + 400, &w->arena),
                        "gate canary: 1 of 2 approvals (bob); lockstep approve r1, as approver or "
                        "admin; each person counts once");
    w->lines.len = 0;
    watch_end_line(&w->watch, START_MS + 400, &w->lines);
    assert_string_equal(buf_text(&w->lines),
                        "waiting after 400 ms at gate canary: 1 of 2 approvals (bob): lockstep "
                        "approve r1, as approver or admin; each person counts once\n");
}

static void an_end_that_is_taken_back_says_so(void **state)
{
    struct world *w = *state;
    begin(w);
    state_is(w, 100, "aborted", "rolled back by bob");
    w->lines.len = 0;
    watch_end_line(&w->watch, START_MS + 200, &w->lines);
    assert_true(w->watch.rolls_back);
    assert_string_equal(
        buf_text(&w->lines),
        "aborted after 100 ms: rolled back by bob; it is taken back now (run r1)\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_line_by_line),
        T(says_how_long_it_will_still_take),
        T(a_failure_comes_with_its_log),
        T(draws_phases_and_the_nodes_of_the_running_one),
        T(draws_a_pause_with_what_to_do),
        T(a_retry_that_succeeds_takes_the_failure_away),
        T(the_step_behind_a_retried_one_is_not_taken_for_late),
        T(stays_within_the_terminal),
        T(the_tables_say_what_ran_where_and_how_long_nodes_were_down),
        T(a_second_start_of_a_step_is_not_hidden),
        T(events_that_were_seen_count_once),
        T(events_that_do_not_fit_the_plan_are_left_out),
        T(a_json_line_names_the_step),
        T(a_gate_asks_and_says_who_may_answer),
        T(an_end_that_is_taken_back_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
