/* The rollout machine alone, event by event. Whole clusters are test_cluster.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/core/deadlines.h"
#include "lib/core/rollout.h"
#include "tests/unit/core/plans.h"

static struct arena arena;
static struct rollout *r;
static struct effects out;
static char seen[64 * 1024]; /* the effects of the last event, as text */
static int64_t now;

static int begin_test(void **state)
{
    (void)state;
    arena_init(&arena);
    now = 0;
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void say(const char *text)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof(seen) - len, "%s%s", len > 0 ? " " : "", text);
}

static void say_key(const char *what, const struct step_key *key)
{
    char text[64];
    int place = key->place == ROLLOUT_PLACE_CONTROLLER ? 0 : (int)key->place + 1;
    snprintf(text, sizeof(text), "%s:%u.%u@%d#%u", what, (unsigned)key->phase, (unsigned)key->step,
             place, (unsigned)key->attempt);
    say(text);
}

/* "skip:app-1 by bob", "claim by bob" */
static void say_word(const struct record *record)
{
    char text[128];
    bool bound = record->key.place != ROLLOUT_PLACE_NONE;
    snprintf(text, sizeof(text), "%s%s%d by %s", word_name(record->word), bound ? "@" : "#",
             bound ? (int)record->key.place + 1 : 0, record->who != NULL ? record->who : "budget");
    say(text);
}

/* Records, SENDs, reminders and refusals; the other TELLs repeat the records. */
static void say_effect(const struct effect *e)
{
    switch (e->type) {
    case EFFECT_RECORD:
        switch (e->record.type) {
        case RECORD_INTENT:
            say_key("intent", &e->record.key);
            break;
        case RECORD_OUTCOME:
            say_key(outcome_status_name(e->record.outcome.status), &e->record.key);
            break;
        case RECORD_STATE:
            say(rollout_state_name(e->record.state));
            break;
        case RECORD_WORD:
            say_word(&e->record);
            break;
        }
        break;
    case EFFECT_SEND:
        say_key("send", &e->key);
        break;
    case EFFECT_TELL:
        if (e->tell == TELL_WAITING) {
            say("waiting");
        }
        break;
    case EFFECT_REFUSED:
        say("refused");
        assert_non_null(e->text);
        break;
    }
}

static const char *step(struct event event)
{
    event.now_ms = now;
    seen[0] = '\0';
    do {
        rollout_step(r, &event, &out);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < out.count; i++) {
            say_effect(&out.items[i]);
        }
    } while (out.more);
    return seen;
}

static const char *begin(void)
{
    return step((struct event){.type = EVENT_BEGIN, .who = "alice"});
}

static const char *up(uint32_t place)
{
    return step((struct event){.type = EVENT_PLACE_UP, .place = place});
}

static const char *word(enum word word)
{
    return step((struct event){.type = EVENT_WORD, .word = {.word = word, .who = "bob"}});
}

static const char *at(int64_t ms)
{
    now = ms;
    return step((struct event){.type = EVENT_TIME});
}

static const char *ended(uint32_t phase, uint32_t s, uint32_t place, uint32_t attempt,
                         enum outcome_status status)
{
    struct outcome outcome = {.status = status,
                              .code = status == OUTCOME_DONE ? 0 : E_IO,
                              .message = status == OUTCOME_DONE ? NULL : "the disk is gone"};
    return step((struct event){
        .type = EVENT_OUTCOME,
        .outcome = &outcome,
        .key = {.phase = phase, .step = s, .place = place, .attempt = attempt},
    });
}

/* Two nodes, one at a time: a phase that disturbs nothing, then one that does. */
static struct plans two_phases(bool first_disrupts, int64_t retries)
{
    struct plans p = plans_begin(&arena, 2, 4);
    plans_phase(&p, "first", 0, 0, first_disrupts);
    plans_step(&p, "look", NULL)->retries = retries;
    plans_phase(&p, "second", 0, 1, true);
    plans_step(&p, "swap", NULL);
    return p;
}

static void begin_two(bool first_disrupts, int64_t retries)
{
    r = rollout_new(&arena, two_phases(first_disrupts, retries).plan);
    up(0);
    up(1);
    assert_string_equal(begin(), "running intent:0.0@1#1 send:0.0@1#1 intent:0.0@2#1 send:0.0@2#1");
}

static void succeeds_with_a_plan_of_no_phases(void **state)
{
    (void)state;
    r = rollout_new(&arena, plans_begin(&arena, 1, 1).plan);
    assert_string_equal(begin(), "running succeeded");
    assert_int_equal(rollout_deadline(r), INT64_MAX);
}

static void holds_the_barrier_and_the_number_in_the_middle(void **state)
{
    (void)state;
    begin_two(false, 0);
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1");
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_DONE),
                        "done:0.0@1#1 intent:1.0@1#1 send:1.0@1#1");
    assert_string_equal(ended(1, 0, 0, 1, OUTCOME_DONE),
                        "done:1.0@1#1 intent:1.0@2#1 send:1.0@2#1");
    assert_string_equal(ended(1, 0, 1, 1, OUTCOME_DONE), "done:1.0@2#1 succeeded");
}

static void fails_before_anything_is_touched_when_the_others_have_ended(void **state)
{
    (void)state;
    begin_two(false, 0);
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1");
    assert_int_equal(rollout_state(r), ROLLOUT_RUNNING);
    assert_string_equal(word(WORD_RETRY), "refused");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1 failed");
    assert_string_equal(rollout_why(r), "app-1: look: the disk is gone");
    assert_string_equal(word(WORD_ABORT), "refused");
    assert_string_equal(word(WORD_RETRY), "refused");
}

static void pauses_at_once_and_goes_on_after_retry(void **state)
{
    (void)state;
    begin_two(true, 0);
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1 paused");
    assert_string_equal(rollout_why(r), "app-1: look: the disk is gone");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1");
    assert_string_equal(word(WORD_RETRY), "running intent:0.0@1#2 send:0.0@1#2");
    assert_null(rollout_why(r));
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED), ""); /* stale */
    assert_string_equal(ended(0, 0, 0, 2, OUTCOME_DONE),
                        "done:0.0@1#2 intent:1.0@1#1 send:1.0@1#1");
}

static void aborts_by_itself_where_the_plan_says_so(void **state)
{
    (void)state;
    struct plans p = two_phases(true, 0);
    p.plan->on_failure = ON_FAILURE_ABORT;
    r = rollout_new(&arena, p.plan);
    begin();
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_UNKNOWN), "unknown:0.0@1#1 aborting");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1 aborted");
}

static void tries_again_after_failed_but_never_after_unknown(void **state)
{
    (void)state;
    begin_two(true, 2);
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED),
                        "failed:0.0@1#1 intent:0.0@1#2 send:0.0@1#2");
    assert_string_equal(ended(0, 0, 0, 2, OUTCOME_FAILED),
                        "failed:0.0@1#2 intent:0.0@1#3 send:0.0@1#3");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_UNKNOWN), "unknown:0.0@2#1 paused");
    assert_string_equal(ended(0, 0, 0, 3, OUTCOME_FAILED), "failed:0.0@1#3");
    assert_string_equal(word(WORD_RETRY), "running intent:0.0@1#4 send:0.0@1#4 intent:0.0@2#2 "
                                          "send:0.0@2#2");
}

static void refuses_an_attempt_past_the_limit(void **state)
{
    (void)state;
    begin_two(true, 100);
    for (uint32_t i = 1; i < LIMIT_ATTEMPTS; i++) {
        ended(0, 0, 0, i, OUTCOME_FAILED);
        assert_int_equal(rollout_state(r), ROLLOUT_RUNNING);
    }
    assert_string_equal(ended(0, 0, 0, LIMIT_ATTEMPTS, OUTCOME_FAILED), "failed:0.0@1#16 paused");
    assert_string_equal(word(WORD_RETRY), "refused");
    assert_string_equal(word(WORD_ABORT), "aborting");
}

/* The phase of an external migrator: a retry of it begins with the tool's lock. */
static void begin_external(int64_t retries)
{
    struct plans p = plans_begin(&arena, 1, 1);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_step(&p, "lock", PLAN_CONTROLLER);
    plans_step(&p, "tool lock", PLAN_CONTROLLER)->retries = retries;
    plans_step(&p, "ledger", PLAN_CONTROLLER);
    plans_step(&p, "migrate", "app-1")->retry_back = 2;
    plans_step(&p, "unlock", PLAN_CONTROLLER);
    r = rollout_new(&arena, p.plan);
    up(0);
    up(ROLLOUT_PLACE_CONTROLLER);
    assert_string_equal(begin(), "running intent:0.0@0#1 send:0.0@0#1");
}

#define AT_CONTROLLER ROLLOUT_PLACE_CONTROLLER

/* Up to the migrator, which is under way then. */
static void walk_to_migrator(uint32_t attempt)
{
    ended(0, 1, AT_CONTROLLER, attempt, OUTCOME_DONE);
    ended(0, 2, AT_CONTROLLER, attempt, OUTCOME_DONE);
}

static void a_retry_goes_back_to_the_steps_that_prove_it_may_start(void **state)
{
    (void)state;
    begin_external(0);
    ended(0, 0, AT_CONTROLLER, 1, OUTCOME_DONE);
    walk_to_migrator(1);
    assert_string_equal(ended(0, 3, 0, 1, OUTCOME_UNKNOWN), "unknown:0.3@1#1 paused");
    assert_string_equal(word(WORD_RETRY), "running intent:0.1@0#2 send:0.1@0#2");
    assert_int_equal(out.items[3].known, 1);                  /* its first DONE is no answer */
    assert_string_equal(ended(0, 3, 0, 1, OUTCOME_DONE), ""); /* too late */
    assert_string_equal(ended(0, 1, AT_CONTROLLER, 1, OUTCOME_DONE), "");
    assert_string_equal(ended(0, 1, AT_CONTROLLER, 2, OUTCOME_DONE),
                        "done:0.1@0#2 intent:0.2@0#2 send:0.2@0#2");
    /* The proof fails: a retry of it begins with itself, and goes on to the migrator. */
    assert_string_equal(ended(0, 2, AT_CONTROLLER, 2, OUTCOME_FAILED), "failed:0.2@0#2 paused");
    assert_string_equal(word(WORD_RETRY), "running intent:0.2@0#3 send:0.2@0#3");
    assert_string_equal(ended(0, 2, AT_CONTROLLER, 3, OUTCOME_DONE),
                        "done:0.2@0#3 intent:0.3@1#2 send:0.3@1#2");
    assert_int_equal(out.items[3].known, 0);
    assert_string_equal(ended(0, 3, 0, 2, OUTCOME_FAILED), "failed:0.3@1#2 paused");
    assert_string_equal(word(WORD_RETRY), "running intent:0.1@0#3 send:0.1@0#3");
    ended(0, 1, AT_CONTROLLER, 3, OUTCOME_DONE);
    assert_string_equal(ended(0, 2, AT_CONTROLLER, 4, OUTCOME_DONE),
                        "done:0.2@0#4 intent:0.3@1#3 send:0.3@1#3");
    assert_string_equal(ended(0, 3, 0, 3, OUTCOME_DONE),
                        "done:0.3@1#3 intent:0.4@0#1 send:0.4@0#1");
    assert_string_equal(ended(0, 4, AT_CONTROLLER, 1, OUTCOME_DONE), "done:0.4@0#1 succeeded");
}

static void a_retry_goes_back_with_the_late_truth_only_when_it_is_not_done(void **state)
{
    (void)state;
    begin_external(0);
    ended(0, 0, AT_CONTROLLER, 1, OUTCOME_DONE);
    walk_to_migrator(1);
    assert_string_equal(at(60000), "unknown:0.3@1#1 paused");
    assert_string_equal(ended(0, 3, 0, 1, OUTCOME_DONE), "done:0.3@1#1");
    assert_string_equal(word(WORD_RETRY), "running intent:0.4@0#1 send:0.4@0#1");
}

static void refuses_a_retry_that_would_repeat_a_step_past_the_limit(void **state)
{
    (void)state;
    begin_external(100);
    ended(0, 0, AT_CONTROLLER, 1, OUTCOME_DONE);
    for (uint32_t i = 1; i < LIMIT_ATTEMPTS; i++) {
        ended(0, 1, AT_CONTROLLER, i, OUTCOME_FAILED);
    }
    ended(0, 1, AT_CONTROLLER, LIMIT_ATTEMPTS, OUTCOME_DONE);
    ended(0, 2, AT_CONTROLLER, 1, OUTCOME_DONE);
    assert_string_equal(ended(0, 3, 0, 1, OUTCOME_FAILED), "failed:0.3@1#1 paused");
    assert_string_equal(word(WORD_RETRY), "refused");
    assert_non_null(strstr(out.items[0].text, "controller: tool lock has had 16 attempts"));
}

static void aborts_in_every_state_but_an_end(void **state)
{
    (void)state;
    r = rollout_new(&arena, two_phases(true, 0).plan);
    assert_string_equal(word(WORD_ABORT), "aborted");
    begin_two(true, 0);
    assert_string_equal(word(WORD_ABORT), "aborting");
    assert_string_equal(word(WORD_ABORT), "waiting");
    assert_string_equal(word(WORD_RETRY), "refused");
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1 aborted");
    assert_string_equal(rollout_why(r), "aborted by bob");
    assert_string_equal(word(WORD_ABORT), "refused");
}

static void a_deadline_without_an_answer_is_unknown_and_the_late_truth_counts(void **state)
{
    (void)state;
    begin_two(true, 3);
    assert_int_equal(rollout_deadline(r), 60000);
    assert_string_equal(at(59999), "");
    ended(0, 0, 1, 1, OUTCOME_DONE);
    assert_string_equal(at(60000), "unknown:0.0@1#1 paused");
    assert_non_null(strstr(rollout_why(r), "app-1 did not answer within 1 min 0 s"));
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1");
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_DONE), "");
    assert_non_null(strstr(rollout_why(r), "answered late"));
    assert_int_equal(rollout_state(r), ROLLOUT_PAUSED);
    assert_string_equal(word(WORD_RETRY), "running intent:1.0@1#1 send:1.0@1#1");
}

static void a_pause_reminds_and_never_decides(void **state)
{
    (void)state;
    begin_two(true, 0);
    now = 1000;
    ended(0, 0, 0, 1, OUTCOME_FAILED);
    ended(0, 0, 1, 1, OUTCOME_FAILED);
    assert_int_equal(rollout_deadline(r), 1000 + ROLLOUT_REMIND_MS);
    assert_string_equal(at(1000 + ROLLOUT_REMIND_MS), "waiting");
    assert_string_equal(at(1001 + ROLLOUT_REMIND_MS), "");
    assert_string_equal(at(1000 + 2 * ROLLOUT_REMIND_MS), "waiting");
    assert_int_equal(rollout_state(r), ROLLOUT_PAUSED);
}

static void a_clock_that_is_set_back_gives_nothing_up(void **state)
{
    (void)state;
    begin_two(true, 0);
    ended(0, 0, 0, 1, OUTCOME_FAILED);
    ended(0, 0, 1, 1, OUTCOME_FAILED);
    assert_string_equal(at(100 * ROLLOUT_REMIND_MS), "waiting");
    now = 1000;
    assert_string_equal(word(WORD_RETRY), "running intent:0.0@1#2 send:0.0@1#2 intent:0.0@2#2 "
                                          "send:0.0@2#2");
    assert_int_equal(rollout_deadline(r), 61000);
    assert_string_equal(ended(0, 0, 0, 2, OUTCOME_FAILED), "failed:0.0@1#2 paused");
    assert_string_equal(at(2000), "");
    assert_string_equal(at(1000 + ROLLOUT_REMIND_MS), "unknown:0.0@2#2 waiting");
}

static void sends_to_a_place_only_while_it_is_up_and_again_when_it_comes_back(void **state)
{
    (void)state;
    r = rollout_new(&arena, two_phases(false, 0).plan);
    assert_string_equal(begin(), "running intent:0.0@1#1 intent:0.0@2#1");
    assert_string_equal(up(1), "send:0.0@2#1");
    assert_int_equal(out.items[0].after, 3);
    assert_string_equal(step((struct event){.type = EVENT_PLACE_DOWN, .place = 1}), "");
    assert_string_equal(up(1), "send:0.0@2#1");
    assert_string_equal(ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1");
    assert_string_equal(up(1), "");
    assert_string_equal(up(ROLLOUT_PLACE_CONTROLLER), "");
    assert_string_equal(up(77), "");
}

static void ignores_what_is_stale_or_strange(void **state)
{
    (void)state;
    begin_two(false, 0);
    assert_string_equal(ended(1, 0, 0, 1, OUTCOME_DONE), "");
    assert_string_equal(ended(0, 1, 0, 1, OUTCOME_DONE), "");
    assert_string_equal(ended(0, 0, 0, 2, OUTCOME_DONE), "");
    assert_string_equal(ended(0, 0, 99, 1, OUTCOME_DONE), "");
    assert_string_equal(ended(UINT32_MAX, UINT32_MAX, ROLLOUT_PLACE_UNKNOWN, 1, OUTCOME_DONE), "");
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1");
    assert_string_equal(ended(0, 0, 0, 1, OUTCOME_FAILED), "");
}

static void fails_with_a_plan_that_names_no_place(void **state)
{
    (void)state;
    struct plans p = plans_begin(&arena, 2, 2);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_step(&p, "migrate", "db-9");
    r = rollout_new(&arena, p.plan);
    assert_string_equal(begin(), "failed");
    assert_non_null(strstr(rollout_why(r), "\"db-9\""));
}

static void gives_replayed_steps_a_grace_and_asks_their_places_again(void **state)
{
    (void)state;
    r = rollout_new(&arena, two_phases(true, 0).plan);
    const struct record records[] = {
        {.type = RECORD_STATE, .state = ROLLOUT_RUNNING},
        {.type = RECORD_INTENT, .key = {.place = 0, .attempt = 1}, .deadline_ms = 60000},
    };
    now = 500000;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        assert_string_equal(step((struct event){.type = EVENT_REPLAY, .record = &records[i]}), "");
    }
    up(0);
    assert_string_equal(step((struct event){.type = EVENT_RESUME}), "send:0.0@1#1 intent:0.0@2#1");
    assert_int_equal(out.items[0].after, 0);
    assert_int_equal(out.items[0].deadline_ms, 60000);
    assert_int_equal(out.items[1].number, 3);
    assert_string_equal(at(500000 + ROLLOUT_RESUME_GRACE_MS - 1), "");
    assert_string_equal(at(500000 + ROLLOUT_RESUME_GRACE_MS),
                        "unknown:0.0@1#1 unknown:0.0@2#1 paused");
}

static void a_journal_that_does_not_fit_pauses_and_instructs_nothing(void **state)
{
    (void)state;
    r = rollout_new(&arena, two_phases(true, 0).plan);
    const struct record records[] = {
        {.type = RECORD_STATE, .state = ROLLOUT_RUNNING},
        {.type = RECORD_INTENT, .key = {.phase = 1, .attempt = 1}, .deadline_ms = 60000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        step((struct event){.type = EVENT_REPLAY, .record = &records[i]});
    }
    up(0);
    assert_string_equal(step((struct event){.type = EVENT_RESUME}), "paused");
    assert_non_null(strstr(rollout_why(r), "record 2"));
    assert_string_equal(word(WORD_RETRY), "refused");
    assert_string_equal(word(WORD_ABORT), "aborting aborted");
}

static void resumes_an_empty_journal_by_waiting_for_begin(void **state)
{
    (void)state;
    r = rollout_new(&arena, two_phases(true, 0).plan);
    assert_string_equal(step((struct event){.type = EVENT_RESUME}), "");
    assert_string_equal(begin(), "running intent:0.0@1#1 intent:0.0@2#1");
}

static void deadlines_come_in_order(void **state)
{
    (void)state;
    struct deadlines d;
    deadlines_init(&d, &arena, 100);
    uint32_t x = 7;
    for (uint32_t i = 0; i < 1000; i++) {
        x = x * 1103515245 + 12345;
        deadlines_set(&d, i % 100, (int64_t)(x >> 16));
        if (i % 3 == 0) {
            deadlines_clear(&d, (x >> 8) % 100);
        }
    }
    deadlines_not_before(&d, 20000);
    int64_t last = 20000;
    while (d.count > 0) {
        assert_true(deadlines_first(&d) >= last);
        last = deadlines_first(&d);
        deadlines_clear(&d, deadlines_first_number(&d));
    }
    assert_int_equal(deadlines_first(&d), INT64_MAX);
}

/* 10 phases over `nodes` nodes, each answered at once; returns seconds of processor time. */
static double walk_through(size_t nodes)
{
    struct arena own;
    arena_init(&own);
    struct plans p = plans_begin(&own, nodes, 10);
    for (int i = 0; i < 10; i++) {
        plans_phase(&p, "phase", 0, 100, true);
        plans_step(&p, "step", NULL);
    }
    clock_t before = clock();
    struct rollout *big = rollout_new(&own, p.plan);
    struct step_key *owed = ARENA_ARRAY(&own, nodes * 16, struct step_key);
    size_t head = 0;
    size_t tail = 0;
    size_t before_bytes = own.bytes;
    for (uint32_t i = 0; i < nodes; i++) {
        rollout_step(big, &(struct event){.type = EVENT_PLACE_UP, .place = i}, &out);
    }
    struct event event = {.type = EVENT_BEGIN};
    const struct outcome done = {.status = OUTCOME_DONE};
    for (;;) {
        rollout_step(big, &event, &out);
        for (size_t i = 0; i < out.count; i++) {
            if (out.items[i].type == EFFECT_SEND) {
                owed[tail++] = out.items[i].key;
            }
        }
        if (out.more) {
            event = (struct event){.type = EVENT_MORE};
        } else if (head < tail) {
            event = (struct event){.type = EVENT_OUTCOME, .key = owed[head++], .outcome = &done};
        } else {
            break;
        }
    }
    assert_int_equal(rollout_state(big), ROLLOUT_SUCCEEDED);
    assert_int_equal(tail, nodes * 10);
    assert_int_equal(rollout_records(big), nodes * 10 * 2 + 2);
    assert_int_equal(own.bytes, before_bytes); /* sized once */
    double spent = (double)(clock() - before) / CLOCKS_PER_SEC;
    arena_deinit(&own);
    return spent;
}

static void ten_thousand_nodes_and_ten_phases_are_linear(void **state)
{
    (void)state;
    walk_through(1000);
    double small = walk_through(2500);
    double large = walk_through(10000);
    /* four times the nodes; quadratic work would be sixteen times */
    assert_true(large < small * 10 + 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(succeeds_with_a_plan_of_no_phases, begin_test, end_test),
        cmocka_unit_test_setup_teardown(holds_the_barrier_and_the_number_in_the_middle, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(fails_before_anything_is_touched_when_the_others_have_ended,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(pauses_at_once_and_goes_on_after_retry, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(aborts_by_itself_where_the_plan_says_so, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(tries_again_after_failed_but_never_after_unknown,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_an_attempt_past_the_limit, begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_retry_goes_back_to_the_steps_that_prove_it_may_start,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(
            a_retry_goes_back_with_the_late_truth_only_when_it_is_not_done, begin_test, end_test),
        cmocka_unit_test_setup_teardown(refuses_a_retry_that_would_repeat_a_step_past_the_limit,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(aborts_in_every_state_but_an_end, begin_test, end_test),
        cmocka_unit_test_setup_teardown(
            a_deadline_without_an_answer_is_unknown_and_the_late_truth_counts, begin_test,
            end_test),
        cmocka_unit_test_setup_teardown(a_pause_reminds_and_never_decides, begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_clock_that_is_set_back_gives_nothing_up, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(
            sends_to_a_place_only_while_it_is_up_and_again_when_it_comes_back, begin_test,
            end_test),
        cmocka_unit_test_setup_teardown(ignores_what_is_stale_or_strange, begin_test, end_test),
        cmocka_unit_test_setup_teardown(fails_with_a_plan_that_names_no_place, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(gives_replayed_steps_a_grace_and_asks_their_places_again,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_journal_that_does_not_fit_pauses_and_instructs_nothing,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(resumes_an_empty_journal_by_waiting_for_begin, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(deadlines_come_in_order, begin_test, end_test),
        cmocka_unit_test_setup_teardown(ten_thousand_nodes_and_ten_phases_are_linear, begin_test,
                                        end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
