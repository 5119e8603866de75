/* Where a run waits and what it may lose: backoff, deadlines, budgets, gates, windows. Each timer is asked across a death
 * at every record and across a clock that is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/core/rig.h"

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)

static struct plan *plan; /* the one that begin() takes */

/* Two waves of one node each, with a step; then one step once. */
static struct plan *two_waves(void)
{
    struct plans p = plans_begin(&rig.arena, 2, 3);
    int64_t canary = plans_set(&p, "canary", 0, 1);
    int64_t rest = plans_set(&p, "rest", 1, 1);
    plans_phase(&p, "canary", canary, 0, true)->rests = true;
    plans_step(&p, "move", NULL);
    plans_phase(&p, "rest", rest, 0, true)->rests = true;
    plans_step(&p, "move", NULL);
    plans_phase(&p, "check", -1, 0, true);
    plans_step(&p, "check", PLAN_CONTROLLER);
    return p.plan;
}

/* One phase of four nodes, two steps each. */
static struct plan *four_nodes(void)
{
    struct plans p = plans_begin(&rig.arena, 4, 1);
    plans_phase(&p, "move", 0, 0, true);
    plans_step(&p, "move", NULL);
    plans_step(&p, "health", NULL);
    return p.plan;
}

static void begin(struct plan *given)
{
    plan = given;
    rig_begin(plan);
    rig_all_up();
    rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
}

/* The machine dies here and comes back at once, by this clock. */
static const char *dies_and_comes_back(int64_t now)
{
    rig.now = now;
    return rig_live_again();
}

/* ---- backoff ---- */

static struct plan *patient_plan(void)
{
    struct plans p = plans_begin(&rig.arena, 1, 1);
    plans_phase(&p, "move", 0, 0, true);
    struct plan_step *step = plans_step(&p, "move", NULL);
    step->retries = 3;
    step->backoff_ms = 1000;
    return p.plan;
}

static void a_retry_waits_and_the_wait_doubles(void **state)
{
    (void)state;
    begin(patient_plan());
    rig.now = 500;
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1");
    assert_int_equal(rollout_deadline(rig.r), 1500);
    assert_string_equal(rig_at(1499), "");
    assert_string_equal(rig_at(1500), "intent:0.0@1#2 send:0.0@1#2");
    assert_string_equal(rig_ended(0, 0, 0, 2, OUTCOME_FAILED), "failed:0.0@1#2");
    assert_string_equal(rig_at(3499), "");
    assert_string_equal(rig_at(3500), "intent:0.0@1#3 send:0.0@1#3");
    assert_string_equal(rig_ended(0, 0, 0, 3, OUTCOME_FAILED), "failed:0.0@1#3");
    assert_string_equal(rig_at(7500), "intent:0.0@1#4 send:0.0@1#4");
    assert_string_equal(rig_ended(0, 0, 0, 4, OUTCOME_FAILED), "failed:0.0@1#4 paused");
    /* A person does not wait. */
    assert_string_equal(rig_word(WORD_RETRY), "running intent:0.0@1#5 send:0.0@1#5");
}

static void a_backoff_has_a_maximum(void **state)
{
    (void)state;
    begin(patient_plan());
    struct plan_step *step =
        LIST_AT(&LIST_AT(&plan->phases, struct plan_phase, 0)->steps, struct plan_step, 0);
    step->backoff_ms = LIMIT_BACKOFF_MS / 2 + 1;
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    rig_at(LIMIT_BACKOFF_MS / 2 + 1);
    rig_ended(0, 0, 0, 2, OUTCOME_FAILED);
    assert_int_equal(rollout_deadline(rig.r), rig.now + LIMIT_BACKOFF_MS);
}

static void a_backoff_survives_a_restart_and_a_clock_that_is_set(void **state)
{
    (void)state;
    begin(patient_plan());
    rig.now = HOUR;
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(dies_and_comes_back(HOUR + 400), "");
    assert_int_equal(rollout_deadline(rig.r), HOUR + 1000);
    /* set back by half an hour: what was left is still left */
    assert_string_equal(rig_at(HOUR / 2), "");
    assert_int_equal(rollout_deadline(rig.r), HOUR / 2 + 600);
    /* a restart with a clock that is behind the journal's: never longer than the longest */
    assert_string_equal(dies_and_comes_back(0), "");
    assert_int_equal(rollout_deadline(rig.r), LIMIT_BACKOFF_MS);
    /* set forward: at once */
    assert_string_equal(rig_at(2 * HOUR), "intent:0.0@1#2 send:0.0@1#2");
}

/* ---- deadlines ---- */

static void a_wave_that_is_late_pauses_and_kills_nothing(void **state)
{
    (void)state;
    struct plan *p = two_waves();
    p->wave_ms = 40000;
    begin(p);
    assert_int_equal(rollout_deadline(rig.r), 40000);
    assert_string_equal(rig_at(39999), "");
    assert_string_equal(rig_at(40000), "paused");
    assert_non_null(strstr(rollout_why(rig.r), "this wave has been at work for 0 min 40 s"));
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1");
    assert_non_null(strstr(rollout_why(rig.r), "this wave has been at work"));
    rig.now = 50000;
    assert_string_equal(rig_word(WORD_RETRY), "running intent:1.0@2#1 send:1.0@2#1");
    assert_string_equal(rig_at(89999), ""); /* the next wave counts anew */
    assert_string_equal(rig_at(90000), "paused");
}

static void a_run_that_is_late_pauses_and_a_retry_gives_it_as_long_again(void **state)
{
    (void)state;
    struct plan *p = two_waves();
    p->run_ms = 40000;
    begin(p);
    rig.now = 30000;
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    rig.now = HOUR; /* a pause does not count */
    assert_string_equal(rig_word(WORD_RETRY), "running intent:0.0@1#2 send:0.0@1#2");
    assert_int_equal(rollout_deadline(rig.r), HOUR + 10000);
    assert_string_equal(rig_at(HOUR + 10000), "paused");
    assert_non_null(strstr(rollout_why(rig.r), "the run has been at work"));
    assert_string_equal(rig_word(WORD_RETRY), "running");
    assert_int_equal(rollout_deadline(rig.r), HOUR + 50000);
}

static void the_deadlines_of_runs_and_waves_survive_a_restart_and_a_clock_that_is_set(void **state)
{
    (void)state;
    for (int wave = 0; wave < 2; wave++) {
        struct plan *p = two_waves();
        *(wave == 1 ? &p->wave_ms : &p->run_ms) = 40000;
        LIST_AT(&LIST_AT(&p->phases, struct plan_phase, 0)->steps, struct plan_step, 0)
            ->deadline_ms = 10 * HOUR;
        begin(p);
        rig_at(10000);
        dies_and_comes_back(20000);
        assert_int_equal(rollout_deadline(rig.r), 40000);
        assert_string_equal(rig_at(21000), "");
        assert_string_equal(rig_at(-HOUR), ""); /* set back: 19 s are left */
        assert_int_equal(rollout_deadline(rig.r), -HOUR + 19000);
        dies_and_comes_back(-2 * HOUR); /* behind the journal: as if it began now */
        assert_int_equal(rollout_deadline(rig.r), -2 * HOUR + 40000);
        assert_string_equal(rig_at(HOUR), "paused"); /* set forward: it pauses, no more */
        assert_int_equal(rollout_under_way(rig.r), 1);
        rig_end();
    }
    begin(two_waves()); /* the teardown ends it */
}

static void a_pause_is_told_again_as_often_as_the_spec_says(void **state)
{
    (void)state;
    struct plan *p = two_waves();
    p->pause_ms = 5 * MINUTE;
    begin(p);
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(rig_at(5 * MINUTE), "waiting");
    assert_string_equal(rig_at(10 * MINUTE - 1), "");
    assert_string_equal(rig_at(10 * MINUTE), "waiting");
    dies_and_comes_back(11 * MINUTE);
    assert_string_equal(rig_at(11 * MINUTE), "waiting"); /* due since the record's time */
    assert_string_equal(rig_at(6 * MINUTE), "");         /* set back by five minutes */
    assert_int_equal(rollout_deadline(rig.r), 11 * MINUTE);
    dies_and_comes_back(-HOUR);
    assert_int_equal(rollout_deadline(rig.r), -HOUR + 5 * MINUTE);
    assert_int_equal(rollout_state(rig.r), ROLLOUT_PAUSED);
}

/* ---- stalls ---- */

#define STALL INT64_C(10000)

/* A step of one node that has all day and must move within STALL, then one that need not. */
static void begin_stalling(void)
{
    struct plans p = plans_begin(&rig.arena, 1, 1);
    plans_phase(&p, "move", 0, 0, true);
    struct plan_step *step = plans_step(&p, "follow", NULL);
    step->deadline_ms = 20 * HOUR;
    step->stall_ms = STALL;
    step->retries = 1;
    plans_step(&p, "health", NULL)->deadline_ms = HOUR;
    begin(p.plan);
}

static const char *moves(int64_t at_ms, uint32_t step, uint32_t attempt, uint64_t done)
{
    rig.now = at_ms;
    return rig_step((struct event){.type = EVENT_PROGRESS,
                                   .key = {.step = step, .attempt = attempt},
                                   .done = done,
                                   .total = 9});
}

static void a_step_without_progress_is_unknown_and_its_late_end_still_counts(void **state)
{
    (void)state;
    begin_stalling();
    assert_int_equal(rollout_deadline(rig.r), STALL); /* it has not said anything yet */
    assert_string_equal(moves(8000, 0, 1, 1), "");
    assert_int_equal(rollout_deadline(rig.r), 8000 + STALL);
    moves(9000, 0, 1, 1); /* what does not move is no progress */
    moves(9000, 0, 2, 5); /* nor is that of another attempt */
    moves(9000, 1, 1, 5); /* or step */
    assert_int_equal(rollout_deadline(rig.r), 8000 + STALL);
    assert_string_equal(rig_at(8000 + STALL - 1), "");
    assert_string_equal(rig_at(8000 + STALL), "unknown:0.0@1#1 paused");
    assert_int_equal(rig.out.items[0].record.outcome.code, E_TIMEOUT);
    assert_string_equal(rollout_why(rig.r),
                        "app-1: follow: app-1 made no progress for 0 min 10 s (it is connected)");
    assert_int_equal(rollout_under_way(rig.r), 0);
    moves(20000, 0, 1, 7); /* that it moves again is no end: a person has been asked */
    assert_int_equal(rollout_state(rig.r), ROLLOUT_PAUSED);
    rig.now = 30000;
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1");
    assert_string_equal(rig_word(WORD_RETRY), "running intent:0.1@1#1 send:0.1@1#1");
    /* The next step has no such clock. */
    assert_int_equal(rollout_deadline(rig.r), 30000 + HOUR);
}

static void every_attempt_has_a_stall_of_its_own(void **state)
{
    (void)state;
    begin_stalling();
    moves(9000, 0, 1, 5);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED),
                        "failed:0.0@1#1 intent:0.0@1#2 send:0.0@1#2");
    assert_int_equal(rollout_deadline(rig.r), 9000 + STALL);
    moves(12000, 0, 2, 5); /* as far as the attempt before it: it moved all the same */
    assert_int_equal(rollout_deadline(rig.r), 12000 + STALL);
}

static void a_stall_stands_still_while_its_place_is_away(void **state)
{
    (void)state;
    begin_stalling();
    moves(1000, 0, 1, 5);
    rig_step((struct event){.type = EVENT_PLACE_DOWN, .place = 0});
    assert_int_equal(rollout_deadline(rig.r), 20 * HOUR);
    assert_string_equal(rig_at(HOUR), "");
    assert_string_equal(rig_step((struct event){.type = EVENT_PLACE_UP, .place = 0}),
                        "send:0.0@1#1");
    assert_int_equal(rollout_deadline(rig.r), HOUR + STALL);
    assert_string_equal(rig_at(HOUR + STALL), "unknown:0.0@1#1 paused");
}

static void a_stall_begins_anew_with_a_restart_and_survives_a_clock_that_is_set(void **state)
{
    (void)state;
    begin_stalling();
    moves(9000, 0, 1, 5);
    dies_and_comes_back(HOUR);
    assert_int_equal(rollout_deadline(rig.r), HOUR + STALL);
    moves(HOUR + 4000, 0, 1, 5); /* to this life it is news */
    assert_int_equal(rollout_deadline(rig.r), HOUR + 4000 + STALL);
    assert_string_equal(rig_at(HOUR + 5000), "");
    assert_string_equal(rig_at(-HOUR), ""); /* set back: what was left is still left */
    assert_int_equal(rollout_deadline(rig.r), -HOUR + STALL - 1000);
    dies_and_comes_back(-2 * HOUR); /* behind the journal */
    assert_int_equal(rollout_deadline(rig.r), -2 * HOUR + STALL);
    assert_string_equal(rig_at(-2 * HOUR + STALL), "unknown:0.0@1#1 paused");
    dies_and_comes_back(-2 * HOUR + 2 * STALL); /* what has ended has no clock any more */
    assert_string_equal(rig_at(-2 * HOUR + 4 * STALL), "");
    assert_int_equal(rollout_state(rig.r), ROLLOUT_PAUSED);
}

/* ---- budgets ---- */

static void a_node_that_fails_within_the_budget_is_left_behind(void **state)
{
    (void)state;
    struct plan *p = four_nodes();
    p->failures_nodes = 2;
    begin(p);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED),
                        "failed:0.0@1#1 exclude@1 by budget");
    assert_string_equal(rig.out.items[2].record.why,
                        "move failed, failure 1; 0 of 2 nodes left behind before it");
    assert_string_equal(rig_ended(0, 0, 1, 1, OUTCOME_UNKNOWN),
                        "unknown:0.0@2#1 exclude@2 by budget");
    assert_int_equal(rollout_left_behind(rig.r), 2);
    assert_string_equal(rig_ended(0, 0, 2, 1, OUTCOME_FAILED), "failed:0.0@3#1 paused");
    assert_string_equal(rig_word(WORD_SKIP), "skip@3 by bob running intent:0.1@3#1 send:0.1@3#1");
    rig_ended(0, 1, 2, 1, OUTCOME_DONE);
    rig_ended(0, 0, 3, 1, OUTCOME_DONE);
    assert_string_equal(rig_ended(0, 1, 3, 1, OUTCOME_DONE), "done:0.1@4#1 incomplete");
    assert_string_equal(rollout_why(rig.r), "succeeded with 2 nodes left behind: app-1, app-2");
}

static void a_node_may_fail_as_often_as_the_budget_says(void **state)
{
    (void)state;
    struct plan *p = four_nodes();
    p->failures_nodes = 1;
    p->failures_per_node = 2;
    begin(p);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED),
                        "failed:0.0@1#1 retry@1 by budget intent:0.0@1#2 send:0.0@1#2");
    assert_string_equal(rig_ended(0, 0, 0, 2, OUTCOME_DONE),
                        "done:0.0@1#2 intent:0.1@1#1 send:0.1@1#1");
    assert_string_equal(rig_ended(0, 1, 0, 1, OUTCOME_FAILED),
                        "failed:0.1@1#1 exclude@1 by budget");
}

static void a_budget_leaves_no_node_behind_that_rule_three_keeps(void **state)
{
    (void)state;
    struct plans p = plans_begin(&rig.arena, 2, 2);
    plans_phase(&p, "stop", 0, 0, true);
    plans_step(&p, "stop", NULL);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_act(plans_step(&p, "migrate", PLAN_CONTROLLER), &rig.arena, ACTION_DB_MIGRATE);
    p.plan->failures_nodes = 2;
    begin(p.plan);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1 paused");
    rig_ended(0, 0, 1, 1, OUTCOME_DONE);
    assert_string_equal(rig_word(WORD_RETRY), "running intent:0.0@1#2 send:0.0@1#2");
    assert_string_equal(rig_ended(0, 0, 0, 2, OUTCOME_DONE),
                        "done:0.0@1#2 intent:1.0@0#1 send:1.0@0#1");
    /* A step that runs once is nobody's to leave behind. */
    assert_string_equal(rig_ended(1, 0, ROLLOUT_PLACE_CONTROLLER, 1, OUTCOME_FAILED),
                        "failed:1.0@0#1 paused");
}

/* ---- gates ---- */

static struct plan *gated_plan(void)
{
    struct plan *p = two_waves();
    p->gates.items = ARENA_NEW(&rig.arena, struct plan_gate);
    p->gates.count = 1;
    *LIST_AT(&p->gates, struct plan_gate, 0) =
        (struct plan_gate){.name = "canary", .phase = 1, .approvers = 2, .timeout_ms = 5 * MINUTE};
    return p;
}

static const char *approve(const char *who, const char *gate)
{
    return rig_say((struct word_event){.word = WORD_APPROVE, .who = who, .gate = gate});
}

static void a_gate_waits_for_different_people(void **state)
{
    (void)state;
    begin(gated_plan());
    assert_string_equal(approve("bob", NULL), "refused");
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1 waiting");
    assert_string_equal(rollout_why(rig.r), "gate canary: 0 of 2 approvals");
    assert_string_equal(approve("bob", "wave 1"), "refused");
    assert_string_equal(rig_refusal(), "the run waits at gate canary, not at wave 1");
    assert_string_equal(approve("bob", "canary"), "approve by bob");
    assert_string_equal(rollout_why(rig.r), "gate canary: 1 of 2 approvals (bob)");
    assert_string_equal(approve("bob", NULL), "refused");
    assert_non_null(strstr(rig_refusal(), "bob has approved gate canary already"));
    assert_string_equal(approve("carol", NULL),
                        "approve by carol running intent:1.0@2#1 send:1.0@2#1");
}

static void a_gate_tells_again_and_never_decides(void **state)
{
    (void)state;
    begin(gated_plan());
    rig_ended(0, 0, 0, 1, OUTCOME_DONE);
    assert_string_equal(rig_at(5 * MINUTE), "waiting");
    assert_string_equal(rig_at(10 * MINUTE), "waiting");
    approve("bob", NULL);
    dies_and_comes_back(11 * MINUTE);
    assert_string_equal(rollout_why(rig.r), "gate canary: 1 of 2 approvals (bob)");
    assert_string_equal(approve("bob", NULL), "refused");
    assert_string_equal(rig_at(11 * MINUTE), "waiting"); /* due since the record's time */
    assert_string_equal(rig_at(-HOUR), "");              /* the clock is set back */
    assert_int_equal(rollout_deadline(rig.r), -HOUR + 5 * MINUTE);
    assert_string_equal(rig_at(1000 * HOUR), "waiting");
    assert_int_equal(rollout_state(rig.r), ROLLOUT_WAITING);
    assert_string_equal(rig_word(WORD_ABORT), "aborting aborted");
}

/* ---- windows ---- */

/* Every night from 22:00 to 04:00; the clock begins on 1 January 1970, 00:00. */
static struct plan *nightly_plan(void)
{
    struct plan *p = two_waves();
    struct window_spec *window = ARENA_NEW(&rig.arena, struct window_spec);
    *window = (struct window_spec){.from = "22:00", .to = "04:00", .timezone = "UTC"};
    p->windows = (struct list){window, 1};
    for (size_t i = 0; i < p->phases.count; i++) {
        LIST_AT(&LIST_AT(&p->phases, struct plan_phase, i)->steps, struct plan_step, 0)
            ->deadline_ms = 100 * HOUR;
    }
    return p;
}

static void a_wave_ends_at_the_edge_of_a_window_and_the_next_one_waits(void **state)
{
    (void)state;
    begin(nightly_plan());
    rig.now = 5 * HOUR;
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), "done:0.0@1#1 waiting");
    assert_string_equal(rollout_why(rig.r), "outside its windows; rest begins in the next one");
    assert_int_equal(rollout_deadline(rig.r), 22 * HOUR);
    assert_string_equal(approve("bob", NULL), "refused");
    assert_string_equal(rig_at(22 * HOUR - 1), "");
    assert_string_equal(rig_at(22 * HOUR), "running intent:1.0@2#1 send:1.0@2#1");
    /* What only ends the run belongs to the wave. */
    rig.now = 30 * HOUR;
    assert_string_equal(rig_ended(1, 0, 1, 1, OUTCOME_DONE),
                        "done:1.0@2#1 intent:2.0@0#1 send:2.0@0#1");
}

static void a_window_is_looked_for_by_the_clock_that_is(void **state)
{
    (void)state;
    begin(nightly_plan());
    rig.now = 5 * HOUR;
    rig_ended(0, 0, 0, 1, OUTCOME_DONE);
    assert_string_equal(dies_and_comes_back(6 * HOUR), "");
    assert_int_equal(rollout_deadline(rig.r), 22 * HOUR);
    assert_string_equal(rig_at(-10 * HOUR), ""); /* set back to 14:00 the day before */
    assert_int_equal(rollout_deadline(rig.r), -2 * HOUR);
    assert_string_equal(rig_at(50 * HOUR + 3 * HOUR), ""); /* set forward, past the night */
    assert_int_equal(rollout_deadline(rig.r), 70 * HOUR);
    assert_string_equal(dies_and_comes_back(74 * HOUR), "running intent:1.0@2#1 send:1.0@2#1");
}

static void a_run_that_begins_outside_its_windows_touches_nothing(void **state)
{
    (void)state;
    rig_begin(nightly_plan());
    rig_all_up();
    rig.now = 12 * HOUR;
    assert_string_equal(rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"}),
                        "running waiting");
    assert_string_equal(rig_word(WORD_ABORT), "aborting aborted");
}

/* ---- every state, every timer, every death ---- */

/* One run through all of it; it is the same whatever record the controller dies at. */
static void all_of_it_ends_the_same_after_a_death_at_every_record(void **state)
{
    (void)state;
    static struct journal once;
    once.count = 0;
    for (size_t dies_at = 0; dies_at <= once.count; dies_at++) {
        const struct journal *j = rig_journal(dies_at);
        struct plans p = plans_begin(&rig.arena, 3, 3);
        int64_t canary = plans_set(&p, "canary", 0, 1);
        int64_t rest = plans_set(&p, "rest", 1, 2);
        plans_phase(&p, "canary", canary, 0, true)->rests = true;
        plans_step(&p, "move", NULL)->retries = 1;
        plans_step(&p, "health", NULL);
        plans_phase(&p, "rest", rest, 1, true)->rests = true;
        plans_step(&p, "move", NULL);
        struct window_spec window = {.from = "22:00", .to = "04:00", .timezone = "UTC"};
        struct plan_gate gate = {.name = "canary", .phase = 1, .approvers = 2};
        for (uint32_t i = 0; i < 2; i++) {
            struct plan_phase *phase = LIST_AT(&p.plan->phases, struct plan_phase, i);
            for (size_t s = 0; s < phase->steps.count; s++) {
                LIST_AT(&phase->steps, struct plan_step, s)->deadline_ms = 100 * HOUR;
                LIST_AT(&phase->steps, struct plan_step, s)->backoff_ms = 1000;
            }
        }
        p.plan->windows = (struct list){&window, 1};
        p.plan->gates = (struct list){&gate, 1};
        p.plan->failures_nodes = 1;
        p.plan->wave_ms = 30 * MINUTE;
        p.plan->run_ms = 2 * HOUR;
        p.plan->pause_ms = 5 * MINUTE;
        begin(p.plan);
        rig.now = MINUTE;
        rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
        rig_at(MINUTE + 1000);
        rig_ended(0, 0, 0, 2, OUTCOME_DONE);
        rig_at(30 * MINUTE); /* the wave is late */
        rig.now = 32 * MINUTE;
        rig_word(WORD_RETRY);
        rig_ended(0, 1, 0, 1, OUTCOME_DONE);
        approve("bob", NULL);
        rig.now = 5 * HOUR;
        approve("carol", NULL); /* the gate opens, outside the window */
        rig_at(22 * HOUR);
        rig_ended(1, 0, 1, 1, OUTCOME_FAILED); /* within the budget */
        rig_ended(1, 0, 2, 1, OUTCOME_DONE);
        assert_string_equal(rollout_why(rig.r), "succeeded with 1 node left behind: app-2");
        assert_int_equal(rollout_state(rig.r), ROLLOUT_INCOMPLETE);
        if (dies_at == 0) {
            once = *j;
            assert_int_equal(once.count, 21);
        }
        rig_same_journal(j, &once);
        if (dies_at < once.count) {
            rig_end();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_retry_waits_and_the_wait_doubles, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_backoff_has_a_maximum, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_backoff_survives_a_restart_and_a_clock_that_is_set,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_wave_that_is_late_pauses_and_kills_nothing, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(
            a_run_that_is_late_pauses_and_a_retry_gives_it_as_long_again, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(
            the_deadlines_of_runs_and_waves_survive_a_restart_and_a_clock_that_is_set, rig_setup,
            rig_teardown),
        cmocka_unit_test_setup_teardown(
            a_step_without_progress_is_unknown_and_its_late_end_still_counts, rig_setup,
            rig_teardown),
        cmocka_unit_test_setup_teardown(every_attempt_has_a_stall_of_its_own, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_stall_stands_still_while_its_place_is_away, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(
            a_stall_begins_anew_with_a_restart_and_survives_a_clock_that_is_set, rig_setup,
            rig_teardown),
        cmocka_unit_test_setup_teardown(a_pause_is_told_again_as_often_as_the_spec_says, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_node_that_fails_within_the_budget_is_left_behind,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_node_may_fail_as_often_as_the_budget_says, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_budget_leaves_no_node_behind_that_rule_three_keeps,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_gate_waits_for_different_people, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_gate_tells_again_and_never_decides, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_wave_ends_at_the_edge_of_a_window_and_the_next_one_waits,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_window_is_looked_for_by_the_clock_that_is, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_run_that_begins_outside_its_windows_touches_nothing,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(all_of_it_ends_the_same_after_a_death_at_every_record,
                                        rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
