/*
 * A place with real workers (this very program, called as `act`): an instruction is acted on once, whatever is repeated,
 * restarted or killed in between.
 */
#include "lib/io/place/place.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"

#define PATIENCE_MS 20000
#define RUN         "a1b2c3"

struct world {
    struct arena arena;
    char dir[64];
    const char *counted; /* a line a start */
    uv_loop_t loop;
    uv_timer_t alive; /* a place keeps no loop alive: in a program the connections do */
    struct place *place;
    size_t ended, busy, observed, progress;
    uint64_t done;           /* of the last progress */
    struct wire_report last; /* of those that ended or were observed; strings in the arena */
};

static void take(void *context, const struct wire_report *report)
{
    struct world *w = context;
    w->ended += report->type == WIRE_REPORT_ENDED ? 1 : 0;
    w->busy += report->type == WIRE_REPORT_BUSY ? 1 : 0;
    w->observed += report->type == WIRE_REPORT_OBSERVED ? 1 : 0;
    w->progress += report->type == WIRE_REPORT_PROGRESS ? 1 : 0;
    w->done = report->type == WIRE_REPORT_PROGRESS ? report->done : w->done;
    if (report->type == WIRE_REPORT_ENDED || report->type == WIRE_REPORT_OBSERVED) {
        w->last = *report;
        w->last.outcome.message = arena_strdup(&w->arena, report->outcome.message);
        w->last.outcome.log_tail = arena_strdup(&w->arena, report->outcome.log_tail);
    }
}

static void broken(void *context UNUSED, const struct error *e)
{
    fail_msg("%s", e->message);
}

static void tick(uv_timer_t *timer UNUSED)
{
}

static void open_place(struct world *w)
{
    const struct place_options options = {
        .state_dir = w->dir,
        .program = "/proc/self/exe",
        .worker = {.blobs = arena_printf(&w->arena, "%s/blobs", w->dir)},
        .report = take,
        .failed = broken,
        .context = w};
    struct error e = {0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->alive);
    uv_timer_start(&w->alive, tick, 5, 5);
    if (place_open(&w->loop, &options, &w->place, &e) < 0) {
        fail_msg("%s", e.message);
    }
    place_connected(w->place, 1);
}

static void close_place(struct world *w)
{
    w->place = place_close(w->place);
    uv_close((uv_handle_t *)&w->alive, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    arena_init(&w->arena);
    snprintf(w->dir, sizeof(w->dir), "/tmp/lockstep-place-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->counted = arena_printf(&w->arena, "%s/counted", w->dir);
    open_place(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->place != NULL) {
        close_place(w);
    }
    dir_remove(w->dir, NULL);
    arena_deinit(&w->arena);
    free(w);
    return 0;
}

/* Turns the loop until *count has reached `wanted`. */
static void wait_for(struct world *w, const size_t *count, size_t wanted)
{
    int64_t end = act_now_ms() + PATIENCE_MS;
    while (*count < wanted && act_now_ms() < end) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_int_equal(*count, wanted);
}

static void wait_for_done(struct world *w, uint64_t wanted)
{
    int64_t end = act_now_ms() + PATIENCE_MS;
    while (w->done != wanted && w->ended == 0 && act_now_ms() < end) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_string_equal(w->ended > 0 ? w->last.outcome.message : "", "");
    assert_int_equal(w->done, wanted);
}

static size_t starts(struct world *w)
{
    char *text = NULL;
    size_t len = 0;
    size_t lines = 0;
    if (file_read(&w->arena, w->counted, 4096, &text, &len, NULL) == 0) {
        for (size_t i = 0; i < len; i++) {
            lines += text[i] == '\n' ? 1 : 0;
        }
    }
    return lines;
}

static void wait_for_start(struct world *w, size_t wanted)
{
    int64_t end = act_now_ms() + PATIENCE_MS;
    while (starts(w) < wanted && act_now_ms() < end) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        usleep(2000);
    }
    assert_int_equal(starts(w), wanted);
}

/* Counts its start, then does the rest. */
static struct wire_order instruct(struct world *w, uint32_t attempt, const char *rest, bool once)
{
    const char *action = arena_printf(
        &w->arena,
        "{\"run\":{\"command\":[\"/bin/sh\",\"-c\",\"echo x >> %s; %s\"],%s\"tree\":\"none\"}}",
        w->counted, rest, once ? "\"once\":true," : "");
    struct wire_order order = {
        .type = WIRE_ORDER_INSTRUCTION,
        .instruction = {.key = {.run = RUN, .phase = 1, .step = 2, .attempt = attempt},
                        .fence = 1,
                        .cluster = "c",
                        .name = "n",
                        .state_name = "c.app",
                        .action = {(const uint8_t *)action, strlen(action)},
                        .left_ms = 60000}};
    return order;
}

/* Kills the one worker that there is, and waits for its lock to be free. */
static void kill_worker(struct world *w)
{
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    struct dirent *entry;
    size_t killed = 0;
    while ((entry = readdir(dir)) != NULL) {
        char path[300];
        char line[512] = {0};
        snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        size_t len = fread(line, 1, sizeof(line) - 1, file);
        fclose(file);
        for (size_t i = 0; i < len; i++) {
            line[i] = line[i] == '\0' ? ' ' : line[i];
        }
        if (strstr(line, " act ") != NULL && strstr(line, w->dir) != NULL) {
            kill((pid_t)atoi(entry->d_name), SIGKILL);
            killed++;
        }
    }
    closedir(dir);
    assert_int_equal(killed, 1);
}

static void acts_once_on_an_instruction_that_comes_three_times(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "sleep 0.2", false);
    place_order(w->place, &order);
    place_order(w->place, &order);
    assert_int_equal(w->busy, 1);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    place_order(w->place, &order);
    wait_for(w, &w->ended, 2);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    assert_int_equal(starts(w), 1);
}

static void answers_from_its_journal_after_a_restart(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "echo words; exit 3", false);
    place_order(w->place, &order);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    close_place(w);
    w->ended = 0;
    open_place(w);
    /* Connecting alone makes it say again what has ended. */
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    assert_non_null(strstr(w->last.outcome.message, "status 3"));
    assert_non_null(strstr(w->last.outcome.log_tail, "words"));
    place_order(w->place, &order);
    assert_int_equal(w->ended, 2);
    assert_int_equal(starts(w), 1);
}

static void a_long_command_outlives_its_agent(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "sleep 0.6; echo over", true);
    place_order(w->place, &order);
    wait_for_start(w, 1);
    close_place(w);
    open_place(w);
    assert_int_equal(w->ended, 0);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    assert_non_null(strstr(w->last.outcome.log_tail, "over"));
    assert_int_equal(starts(w), 1);
}

static void the_progress_of_a_worker_is_heard_by_the_next_agent(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "", false);
    const char *file = arena_printf(&w->arena, "%s/grows", w->dir);
    const char *action = arena_printf(
        &w->arena, "{\"wait\":{\"file\":\"%s\",\"matches\":\"over\",\"within\":\"60s\"}}", file);
    order.instruction.action = (struct bytes){(const uint8_t *)action, strlen(action)};
    assert_int_equal(file_write(file, "a\n", 2, 0600, NULL), 0);
    place_order(w->place, &order);
    wait_for_done(w, 2);
    close_place(w);
    assert_int_equal(file_write(file, "a\nb\n", 4, 0600, NULL), 0);
    open_place(w);
    wait_for_done(w, 4);
    assert_int_equal(w->ended, 0);
    assert_int_equal(file_write(file, "over\n", 5, 0600, NULL), 0);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
}

static void the_end_of_a_command_is_found_though_nobody_was_there(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "exit 4", true);
    place_order(w->place, &order);
    wait_for_start(w, 1);
    close_place(w);
    usleep(500000);
    open_place(w);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    assert_non_null(strstr(w->last.outcome.message, "status 4"));
    assert_int_equal(starts(w), 1);
}

static void a_killed_worker_of_a_once_command_is_unknown_and_of_another_failed(void **state)
{
    struct world *w = *state;
    struct wire_order once = instruct(w, 1, "sleep 30", true);
    place_order(w->place, &once);
    wait_for_start(w, 1);
    kill_worker(w);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_UNKNOWN);
    struct wire_order other = instruct(w, 1, "sleep 30", false);
    other.instruction.key.step = 3;
    place_order(w->place, &other);
    wait_for_start(w, 2);
    kill_worker(w);
    wait_for(w, &w->ended, 2);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    assert_non_null(strstr(w->last.outcome.message, "signal 9"));
}

static void
a_once_command_that_died_with_its_agent_is_unknown_and_another_waits_to_be_asked_for(void **state)
{
    struct world *w = *state;
    struct wire_order once = instruct(w, 1, "sleep 30", true);
    place_order(w->place, &once);
    wait_for_start(w, 1);
    close_place(w);
    kill_worker(w);
    usleep(100000);
    open_place(w);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_UNKNOWN);
    assert_int_equal(starts(w), 1);
    const char *third = arena_printf(&w->arena, "test $(wc -l < %s) -ge 3 || sleep 30", w->counted);
    struct wire_order other = instruct(w, 1, third, false);
    other.instruction.key.step = 3;
    place_order(w->place, &other);
    wait_for_start(w, 2);
    close_place(w);
    kill_worker(w);
    usleep(100000);
    w->ended = 0;
    open_place(w);
    wait_for(w, &w->ended, 1); /* the first one again */
    for (int i = 0; i < 20; i++) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_int_equal(starts(w), 2); /* nothing is begun from the journal alone */
    other.instruction.left_ms = 70000;
    place_order(w->place, &other);
    wait_for(w, &w->ended, 2);
    assert_int_equal(w->last.key.step, 3);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    assert_int_equal(starts(w), 3);
}

static void an_old_fence_acts_on_nothing(void **state)
{
    struct world *w = *state;
    place_connected(w->place, 7);
    struct wire_order order = instruct(w, 1, "true", false);
    place_order(w->place, &order);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    assert_int_equal(w->last.outcome.code, E_DENIED);
    close_place(w);
    w->ended = 0;
    open_place(w);
    assert_int_equal(place_fence(w->place), 7);
    assert_int_equal(starts(w), 0);
}

static void an_observation_answers_and_leaves_nothing(void **state)
{
    struct world *w = *state;
    const char *action = arena_printf(&w->arena, "{\"observe\":{\"layout\":\"%s/none\"}}", w->dir);
    const struct wire_order order = {.type = WIRE_ORDER_OBSERVE,
                                     .id = 5,
                                     .cluster = "c",
                                     .state_name = "c.app",
                                     .action = {(const uint8_t *)action, strlen(action)}};
    place_order(w->place, &order);
    wait_for(w, &w->observed, 1);
    assert_int_equal(w->last.id, 5);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    assert_int_equal(rmdir(arena_printf(&w->arena, "%s/observe", w->dir)), 0);
    close_place(w);
    w->ended = 0;
    open_place(w);
    assert_int_equal(w->ended, 0);
}

static void a_forgotten_run_leaves_no_files_and_no_answers(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "true", false);
    place_order(w->place, &order);
    wait_for(w, &w->ended, 1);
    struct wire_order forget = {.type = WIRE_ORDER_FORGET, .run = RUN};
    place_order(w->place, &forget); /* an old controller's word: it carries fence 0 */
    assert_true(file_exists(arena_printf(&w->arena, "%s/work/" RUN, w->dir)));
    forget.fence = 1;
    place_order(w->place, &forget);
    assert_false(file_exists(arena_printf(&w->arena, "%s/work/" RUN, w->dir)));
    close_place(w);
    w->ended = 0;
    open_place(w);
    assert_int_equal(w->ended, 0);
}

/* What the place's state directory held before, or nothing of it. */
static void restore_older_copy(struct world *w)
{
    close_place(w);
    dir_remove(w->dir, NULL);
    assert_int_equal(dir_make(w->dir, 0700, NULL), 0);
    w->ended = 0;
    open_place(w);
}

static void a_place_that_forgot_what_it_said_does_not_double_a_once_command(void **state)
{
    struct world *w = *state;
    struct wire_order once = instruct(w, 1, "true", true);
    place_order(w->place, &once);
    wait_for(w, &w->ended, 1);
    restore_older_copy(w);
    assert_int_equal(starts(w), 0); /* the count went with the directory */
    once.instruction.last = (struct agent_step_key){.phase = 1, .step = 1, .attempt = 1};
    place_order(w->place, &once);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_UNKNOWN);
    assert_non_null(strstr(w->last.outcome.message, "older copy"));
    struct wire_order other = instruct(w, 1, "true", false);
    other.instruction.last = once.instruction.last;
    other.instruction.key.step = 3;
    place_order(w->place, &other); /* it looks before it acts */
    wait_for(w, &w->ended, 2);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    once.instruction.key.attempt = 2; /* a person has looked, and said retry */
    place_order(w->place, &once);
    wait_for(w, &w->ended, 3);
    assert_int_equal(w->last.outcome.status, OUTCOME_DONE);
    assert_int_equal(starts(w), 2);
}

static void an_action_that_no_program_here_knows_fails_with_words(void **state)
{
    struct world *w = *state;
    struct wire_order order = instruct(w, 1, "true", false);
    static const char unknown[] = "{\"teleport\":{\"to\":\"mars\"}}";
    order.instruction.action = (struct bytes){(const uint8_t *)unknown, sizeof(unknown) - 1};
    place_order(w->place, &order);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->last.outcome.status, OUTCOME_FAILED);
    assert_non_null(strstr(w->last.outcome.message, "teleport"));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "act") == 0) {
        return place_worker_main(argc - 1, argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acts_once_on_an_instruction_that_comes_three_times, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(answers_from_its_journal_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_command_outlives_its_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(the_progress_of_a_worker_is_heard_by_the_next_agent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_command_is_found_though_nobody_was_there,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_killed_worker_of_a_once_command_is_unknown_and_of_another_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_once_command_that_died_with_its_agent_is_unknown_and_another_waits_to_be_asked_for,
            setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_fence_acts_on_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_observation_answers_and_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_place_that_forgot_what_it_said_does_not_double_a_once_command, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forgotten_run_leaves_no_files_and_no_answers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_action_that_no_program_here_knows_fails_with_words,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
