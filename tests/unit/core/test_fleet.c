/* Owns the claims about the fleet machine: literal traces of what it records and asks for. Random ones are in
 * tests/sim/test_fleet.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/core/fleet.h"

#define RECORDS_MAX 4000

static struct arena arena;
static struct fleet *fleet;
static const struct fleet_spec *spec;
static struct buf trace;
static int64_t now;
static struct fleet_record records[RECORDS_MAX];
static size_t record_count;

static int begin_test(void **state UNUSED)
{
    arena_init(&arena);
    now = 1000;
    record_count = 0;
    buf_init(&trace, &arena, 1 << 20);
    return 0;
}

static int end_test(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

/* ---- the trace ---- */

static const char *cluster(uint32_t member)
{
    return fleet_member(fleet, member).cluster;
}

static const char *stage_name(uint32_t stage)
{
    return LIST_AT(&spec->stages, struct fleet_stage_spec, stage)->name;
}

static void put_tail(const char *who, const char *why)
{
    buf_printf(&trace, "%s%s%s%s\n", who != NULL ? " by " : "", who != NULL ? who : "",
               why != NULL ? ": " : "", why != NULL ? why : "");
}

static void put_record(const struct fleet_record *r)
{
    switch (r->type) {
    case FLEET_RECORD_MEMBER:
        buf_printf(&trace, "record %s #%u %s", cluster(r->member), r->attempt,
                   member_state_name(r->member_state));
        if (r->member_state == MEMBER_RUNNING) {
            buf_printf(&trace, " %s %s -> %s", r->way.plan_id, r->way.from, r->way.to);
        }
        if (r->run != NULL) {
            buf_printf(&trace, " %s", r->run);
        }
        break;
    case FLEET_RECORD_STATE:
        buf_printf(&trace, "record %s %s", fleet_state_name(r->state), stage_name(r->stage));
        if (r->state == FLEET_SOAKING) {
            buf_printf(&trace, " until %lld", (long long)r->until_ms);
        }
        break;
    case FLEET_RECORD_APPROVAL:
        buf_printf(&trace, "record approval %s", stage_name(r->stage));
        break;
    }
    put_tail(r->who, r->why);
}

static void keep(const struct fleet_record *r)
{
    assert_true(record_count < RECORDS_MAX);
    struct fleet_record *kept = &records[record_count++];
    *kept = *r;
    kept->way.plan_id = arena_strdup(&arena, r->way.plan_id);
    kept->way.application = arena_strdup(&arena, r->way.application);
    kept->way.from = arena_strdup(&arena, r->way.from);
    kept->way.to = arena_strdup(&arena, r->way.to);
    kept->run = arena_strdup(&arena, r->run);
    kept->why = arena_strdup(&arena, r->why);
    kept->who = arena_strdup(&arena, r->who);
}

static void put_effect(const struct fleet_effect *e)
{
    switch (e->type) {
    case FLEET_EFFECT_RECORD:
        put_record(&e->record);
        keep(&e->record);
        assert_int_equal(e->number, record_count);
        break;
    case FLEET_EFFECT_PLAN:
        buf_printf(&trace, "plan %s #%u\n", cluster(e->member), e->attempt);
        break;
    case FLEET_EFFECT_START:
        assert_int_equal(e->after, record_count);
        buf_printf(&trace, "start %s #%u %s\n", cluster(e->member), e->attempt, e->way.plan_id);
        break;
    case FLEET_EFFECT_FIND:
        buf_printf(&trace, "find %s #%u\n", cluster(e->member), e->attempt);
        break;
    case FLEET_EFFECT_EVIDENCE:
        buf_printf(&trace, "evidence %s %s %s -> %s %s\n", cluster(e->member), e->way.application,
                   e->way.from, e->way.to, e->run);
        break;
    case FLEET_EFFECT_TELL:
        buf_printf(&trace, "tell: %s\n", e->text);
        break;
    case FLEET_EFFECT_REFUSED:
        buf_printf(&trace, "refused: %s\n", e->text);
        break;
    }
}

static void step(struct fleet_event event)
{
    static struct fleet_effects effects;
    event.now_ms = now;
    do {
        fleet_step(fleet, &event, &effects);
        for (size_t i = 0; i < effects.count; i++) {
            put_effect(&effects.items[i]);
        }
        event = (struct fleet_event){.type = FLEET_EVENT_MORE, .now_ms = now};
    } while (effects.more);
}

static void expect(const char *text)
{
    assert_string_equal(buf_text(&trace), text);
    buf_init(&trace, &arena, 1 << 20);
}

/* ---- what happens ---- */

static void read_fleet(const char *stages)
{
    const char *text = arena_printf(
        &arena, "lockstep: 1\nkind: Fleet\nname: f\nversion: \"2.0.0\"\nstages:\n%s", stages);
    struct spec_file file = {"f.yaml", text, strlen(text)};
    struct spec read;
    struct complaints complaints;
    complaints_init(&complaints, &arena);
    if (spec_read(&arena, &file, 1, &read, &complaints) != 0) {
        fail_msg("%d: %s", complaints.items[0].line, complaints.items[0].message);
    }
    spec = read.fleet;
    fleet = fleet_new(&arena, spec);
}

static void apply(const char *stages)
{
    read_fleet(stages);
    step((struct fleet_event){.type = FLEET_EVENT_BEGIN, .who = "anna"});
}

static struct fleet_event of(enum fleet_event_type type, const char *name)
{
    uint32_t member = fleet_find(fleet, name);
    assert_true(member != UINT32_MAX);
    return (struct fleet_event){
        .type = type, .member = member, .attempt = fleet_member(fleet, member).attempt};
}

static void planned_with(const char *name, struct strings proved)
{
    struct fleet_event event = of(FLEET_EVENT_PLANNED, name);
    event.way = (struct fleet_way){arena_printf(&arena, "plan-%s-%u", name, event.attempt),
                                   "0123456789abcdef", "1.0.0", "2.0.0"};
    event.proved = proved;
    step(event);
}

static void planned(const char *name)
{
    planned_with(name, (struct strings){0});
}

static void nothing_to_do(const char *name)
{
    struct fleet_event event = of(FLEET_EVENT_PLANNED, name);
    event.nothing_to_do = true;
    step(event);
}

static void refused(const char *name, const char *why)
{
    struct fleet_event event = of(FLEET_EVENT_REFUSED, name);
    event.why = why;
    step(event);
}

static void run_is(const char *name, enum rollout_state state, const char *why)
{
    struct fleet_event event = of(FLEET_EVENT_RUN, name);
    event.run = arena_printf(&arena, "run-%s-%u", name, event.attempt);
    event.running = state;
    event.why = why;
    step(event);
}

static void succeeded(const char *name)
{
    planned(name);
    run_is(name, ROLLOUT_RUNNING, NULL);
    run_is(name, ROLLOUT_SUCCEEDED, NULL);
}

static void word(enum fleet_word which, const char *who, const char *about, const char *why)
{
    step((struct fleet_event){
        .type = FLEET_EVENT_WORD, .word = which, .who = who, .cluster = about, .why = why});
}

static void time_is(int64_t at_ms)
{
    now = at_ms;
    step((struct fleet_event){.type = FLEET_EVENT_TIME});
}

/* A new life with the first records of this one. */
static void restart(size_t keep_records)
{
    static struct fleet_effects effects;
    fleet = fleet_new(&arena, spec);
    record_count = keep_records;
    for (size_t i = 0; i < keep_records; i++) {
        fleet_step(fleet, &(struct fleet_event){.type = FLEET_EVENT_REPLAY, .record = &records[i]},
                   &effects);
        assert_int_equal(effects.count, 0);
    }
    step((struct fleet_event){.type = FLEET_EVENT_RESUME});
}

#define THREE_STAGES                                                                               \
    "- { name: staging, clusters: a, soak: 10s }\n"                                                \
    "- { name: canary, clusters: b, gate: 2 }\n"                                                   \
    "- { name: rest, clusters: [c, d], parallel: 2 }\n"

/* ---- the claims ---- */

static void goes_stage_by_stage_with_a_soak_and_a_gate_between_them(void **state UNUSED)
{
    apply(THREE_STAGES);
    planned("a");
    run_is("a", ROLLOUT_RUNNING, NULL);
    run_is("a", ROLLOUT_SUCCEEDED, NULL);
    expect("record running staging by anna\n"
           "plan a #1\n"
           "record a #1 running plan-a-1 1.0.0 -> 2.0.0\n"
           "start a #1 plan-a-1\n"
           "evidence a 0123456789abcdef 1.0.0 -> 2.0.0 run-a-1\n"
           "record a #1 done run-a-1\n"
           "record soaking staging until 11000: stage staging soaks\n");
    assert_int_equal(fleet_deadline(fleet), 11000);
    time_is(10999);
    expect("");
    time_is(11000);
    succeeded("b");
    expect("record running canary\n"
           "plan b #1\n"
           "record b #1 running plan-b-1 1.0.0 -> 2.0.0\n"
           "start b #1 plan-b-1\n"
           "evidence b 0123456789abcdef 1.0.0 -> 2.0.0 run-b-1\n"
           "record b #1 done run-b-1\n"
           "record at-gate canary: after stage canary: 0 of 2 approvals\n");
    word(FLEET_WORD_APPROVE, "anna", NULL, "looks well");
    word(FLEET_WORD_APPROVE, "anna", NULL, NULL);
    assert_string_equal(fleet_why(fleet), "after stage canary: 1 of 2 approvals");
    word(FLEET_WORD_APPROVE, "bob", NULL, NULL);
    expect("record approval canary by anna: looks well\n"
           "refused: anna has approved this already: nobody is counted twice\n"
           "record approval canary by bob\n"
           "record running rest\n"
           "plan c #1\n"
           "plan d #1\n");
    succeeded("d");
    succeeded("c");
    assert_int_equal(fleet_state(fleet), FLEET_DONE);
    assert_null(fleet_why(fleet));
    assert_int_equal(fleet_deadline(fleet), INT64_MAX);
}

static void no_more_are_under_way_at_once_than_the_stage_says(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b, c, d], parallel: 2 }\n");
    expect("record running all by anna\nplan a #1\nplan b #1\n");
    planned("b");
    nothing_to_do("a");
    expect("record b #1 running plan-b-1 1.0.0 -> 2.0.0\n"
           "start b #1 plan-b-1\n"
           "record a #1 done\n"
           "plan c #1\n");
    run_is("b", ROLLOUT_SUCCEEDED, NULL);
    expect("evidence b 0123456789abcdef 1.0.0 -> 2.0.0 run-b-1\n"
           "record b #1 done run-b-1\n"
           "plan d #1\n");
}

static void a_cluster_that_is_where_it_should_be_is_done_untouched(void **state UNUSED)
{
    apply(
        "- { name: reached, clusters: [a, b], parallel: 2 }\n- { name: rest, clusters: [c, d] }\n");
    nothing_to_do("b");
    succeeded("a");
    nothing_to_do("c");
    nothing_to_do("d");
    expect("record running reached by anna\nplan a #1\nplan b #1\n"
           "record b #1 done\n"
           "record a #1 running plan-a-1 1.0.0 -> 2.0.0\nstart a #1 plan-a-1\n"
           "evidence a 0123456789abcdef 1.0.0 -> 2.0.0 run-a-1\nrecord a #1 done run-a-1\n"
           "record running rest\nplan c #1\nrecord c #1 done\nplan d #1\nrecord d #1 done\n"
           "record done rest\n");
}

static void a_failure_beyond_the_budget_pauses_and_resume_plans_it_anew(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b, c], parallel: 2 }\n");
    planned("a");
    run_is("a", ROLLOUT_FAILED, "no space on app-1");
    expect("record running all by anna\nplan a #1\nplan b #1\n"
           "record a #1 running plan-a-1 1.0.0 -> 2.0.0\nstart a #1 plan-a-1\n"
           "record paused all: a: run run-a-1 is failed: no space on app-1\n"
           "record a #1 failed run-a-1: run run-a-1 is failed: no space on app-1\n");
    planned("b"); /* too late: nothing begins in a pause */
    expect("");
    assert_int_equal(fleet_member(fleet, fleet_find(fleet, "b")).state, MEMBER_WAITING);
    word(FLEET_WORD_RESUME, "anna", NULL, "space made");
    expect("record running all by anna: resume by anna: space made\nplan a #2\nplan b #2\n");
    refused("a", "app-1 is away");
    expect("record paused all: a: app-1 is away\nrecord a #2 failed: app-1 is away\n");
    word(FLEET_WORD_SKIP, "bob", "a", "its last days");
    word(FLEET_WORD_RESUME, "bob", NULL, NULL);
    succeeded("b");
    succeeded("c");
    assert_int_equal(fleet_state(fleet), FLEET_INCOMPLETE);
    assert_string_equal(fleet_why(fleet), "1 of 3 clusters is left behind");
}

static void a_failure_within_the_budget_is_left_behind_at_the_end_of_its_stage(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b], failures: 1 }\n- { name: last, clusters: c }\n");
    refused("a", "app-1 is away");
    expect("record running all by anna\nplan a #1\nrecord a #1 failed: app-1 is away\nplan b #1\n");
    nothing_to_do("b");
    nothing_to_do("c");
    expect("record b #1 done\nrecord a #1 left: app-1 is away\n"
           "record running last\nplan c #1\nrecord c #1 done\n"
           "record incomplete last: 1 of 3 clusters is left behind\n");
}

static void what_the_budget_left_behind_counts_when_the_stage_is_walked_again(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b, c], failures: 1 }\n- { name: last, clusters: d }\n");
    refused("a", "away");
    nothing_to_do("b");
    nothing_to_do("c");
    struct fleet_event moved = of(FLEET_EVENT_MOVED, "c");
    moved.why = "run x of eve moves it";
    step(moved);
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    expect("record running all by anna\nplan a #1\nrecord a #1 failed: away\n"
           "plan b #1\nrecord b #1 done\nplan c #1\nrecord c #1 done\nrecord a #1 left: away\n"
           "record running last\nplan d #1\n"
           "record paused last: c: run x of eve moves it\n"
           "record c #1 failed: run x of eve moves it\n"
           "record running last by anna: resume by anna\nrecord running all\nplan c #2\n");
    refused("c", "away too");
    expect("record paused all: c: away too\nrecord c #2 failed: away too\n");
}

static void a_paused_run_pauses_the_fleet_and_is_answered_first(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b], parallel: 2, failures: 2 }\n");
    planned("a");
    run_is("a", ROLLOUT_PAUSED, "app-2 is not healthy");
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    word(FLEET_WORD_SKIP, "anna", "a", NULL);
    expect("record running all by anna\nplan a #1\nplan b #1\n"
           "record a #1 running plan-a-1 1.0.0 -> 2.0.0\nstart a #1 plan-a-1\n"
           "record paused all: a: run run-a-1 is paused: app-2 is not healthy\n"
           "refused: run run-a-1 of a is paused: answer it first, with lockstep retry, skip, "
           "exclude, rollback or abort\n"
           "refused: run run-a-1 of a is under way: lockstep abort run-a-1 ends it\n");
    run_is("a", ROLLOUT_RUNNING, NULL);
    run_is("a", ROLLOUT_SUCCEEDED, NULL);
    expect("evidence a 0123456789abcdef 1.0.0 -> 2.0.0 run-a-1\nrecord a #1 done run-a-1\n");
    assert_int_equal(fleet_state(fleet), FLEET_PAUSED); /* only a word ends that */
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    expect("record running all by anna: resume by anna\nplan b #2\n");
}

static void a_cluster_that_was_moved_takes_the_fleet_back_to_its_stage(void **state UNUSED)
{
    apply(THREE_STAGES);
    succeeded("a");
    time_is(11000);
    planned("b");
    buf_init(&trace, &arena, 1 << 20);
    struct fleet_event moved = of(FLEET_EVENT_MOVED, "a");
    moved.why = "run x of eve moves it to 3.0.0";
    step(moved);
    run_is("b", ROLLOUT_SUCCEEDED, NULL);
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    succeeded("a");
    time_is(21000);
    expect("record paused canary: a: run x of eve moves it to 3.0.0\n"
           "record a #1 failed: run x of eve moves it to 3.0.0\n"
           "evidence b 0123456789abcdef 1.0.0 -> 2.0.0 run-b-1\nrecord b #1 done run-b-1\n"
           "record running canary by anna: resume by anna\n"
           "record running staging\nplan a #2\n"
           "record a #2 running plan-a-2 1.0.0 -> 2.0.0\nstart a #2 plan-a-2\n"
           "evidence a 0123456789abcdef 1.0.0 -> 2.0.0 run-a-2\nrecord a #2 done run-a-2\n"
           "record soaking staging until 21000: stage staging soaks\n"
           "record running canary\n"
           "record at-gate canary: after stage canary: 0 of 2 approvals\n");
}

static void evidence_that_is_missing_is_named(void **state UNUSED)
{
    const char *stages[] = {"staging"};
    apply("- { name: staging, clusters: a }\n"
          "- { name: rest, clusters: [b, c], parallel: 2, requires: staging }\n");
    nothing_to_do("a");
    planned_with("b", (struct strings){stages, 1});
    planned("c");
    expect("record running staging by anna\nplan a #1\nrecord a #1 done\n"
           "record running rest\nplan b #1\nplan c #1\n"
           "record b #1 running plan-b-1 1.0.0 -> 2.0.0\nstart b #1 plan-b-1\n"
           "record paused rest: c: stage rest requires evidence of stage staging that application "
           "0123456789ab goes from 1.0.0 to 2.0.0, and no run there has shown it\n"
           "record c #1 failed: stage rest requires evidence of stage staging that application "
           "0123456789ab goes from 1.0.0 to 2.0.0, and no run there has shown it\n");
}

static void abort_waits_for_the_runs_that_are_under_way(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b, c], parallel: 2 }\n");
    planned("a");
    word(FLEET_WORD_ABORT, "anna", NULL, "not today");
    planned("b");
    word(FLEET_WORD_ABORT, "anna", NULL, NULL);
    word(FLEET_WORD_SKIP, "anna", "c", NULL);
    expect("record running all by anna\nplan a #1\nplan b #1\n"
           "record a #1 running plan-a-1 1.0.0 -> 2.0.0\nstart a #1 plan-a-1\n"
           "record aborting all by anna: abort by anna: not today\n"
           "refused: the fleet is aborting: it waits for the runs that are under way\n"
           "refused: the fleet is aborting: it begins nothing more\n");
    time_is(1000 + FLEET_REMIND_MS);
    expect("tell: abort by anna: not today\n");
    run_is("a", ROLLOUT_PAUSED, "x");
    expect("");
    run_is("a", ROLLOUT_ABORTED, NULL);
    expect("record a #1 failed run-a-1: run run-a-1 is aborted\n"
           "record aborted all: abort by anna: not today\n");
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    expect("refused: the fleet is aborted: there is nothing to resume\n");
}

static void words_that_are_not_legal_are_refused_with_the_reason(void **state UNUSED)
{
    apply(THREE_STAGES);
    buf_init(&trace, &arena, 1 << 20);
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    word(FLEET_WORD_APPROVE, "anna", NULL, NULL);
    word(FLEET_WORD_SKIP, "anna", "nobody", NULL);
    succeeded("a");
    buf_init(&trace, &arena, 1 << 20);
    word(FLEET_WORD_SKIP, "anna", "a", NULL);
    word(FLEET_WORD_PAUSE, "anna", NULL, NULL);
    word(FLEET_WORD_PAUSE, "anna", NULL, NULL);
    expect("refused: a is done: there is nothing to skip\n"
           "record paused staging by anna: pause by anna\n"
           "refused: the fleet is paused: there is nothing to pause\n");
    time_is(11000); /* the soak goes on in a pause; what follows does not begin */
    expect("");
    time_is(1000 + FLEET_REMIND_MS);
    expect("tell: pause by anna\n");
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    expect("record running staging by anna: resume by anna\nrecord running canary\nplan b #1\n");
}

static void a_crash_finds_what_was_started_and_plans_anew_what_was_not(void **state UNUSED)
{
    apply("- { name: all, clusters: [a, b, c], parallel: 3 }\n");
    planned("a");
    planned("b");
    run_is("a", ROLLOUT_RUNNING, NULL);
    buf_init(&trace, &arena, 1 << 20);
    restart(record_count);
    expect("find a #1\nfind b #1\n"); /* and nothing goes on before that is known */
    run_is("a", ROLLOUT_SUCCEEDED, NULL);
    step(of(FLEET_EVENT_NO_RUN, "b"));
    expect("evidence a 0123456789abcdef 1.0.0 -> 2.0.0 run-a-1\nrecord a #1 done run-a-1\n"
           "find a #1\n");
    step(of(FLEET_EVENT_UNMOVED, "a"));
    expect("plan b #2\nplan c #1\n");
    nothing_to_do("b");
    restart(record_count);
    expect("record b #2 done\nfind a #1\nfind b #2\n");
    step(of(FLEET_EVENT_UNMOVED, "b"));
    struct fleet_event moved = of(FLEET_EVENT_MOVED, "a");
    moved.why = "run x of eve moves it";
    step(moved);
    expect("record paused all: a: run x of eve moves it\n"
           "record a #1 failed: run x of eve moves it\n");
}

static void a_plan_that_is_refused_right_after_a_restart_is_made_again(void **state UNUSED)
{
    apply("- { name: all, clusters: a }\n");
    restart(record_count);
    buf_init(&trace, &arena, 1 << 20);
    refused("a", "app-1 is away");
    expect("");
    assert_int_equal(fleet_deadline(fleet), 1000 + FLEET_AGAIN_MS);
    time_is(1000 + FLEET_AGAIN_MS - 1);
    expect("");
    time_is(1000 + FLEET_AGAIN_MS);
    expect("plan a #2\n");
    now = 1000 + ROLLOUT_RESUME_GRACE_MS;
    refused("a", "app-1 is away");
    expect("record paused all: a: app-1 is away\nrecord a #2 failed: app-1 is away\n");
}

/* Each record may be the last that is kept. */
static void a_crash_between_two_records_loses_no_pause_and_no_end(void **state UNUSED)
{
    apply("- { name: all, clusters: a }\n");
    refused("a", "away");
    restart(record_count - 1);
    assert_int_equal(fleet_state(fleet), FLEET_PAUSED);
    word(FLEET_WORD_ABORT, "anna", NULL, NULL);
    buf_init(&trace, &arena, 1 << 20);
    restart(record_count - 1);
    expect("record aborted all: abort by anna\n");
}

static void a_run_that_cannot_start_is_a_surprise(void **state UNUSED)
{
    apply("- { name: all, clusters: a }\n");
    planned("a");
    buf_init(&trace, &arena, 1 << 20);
    struct fleet_event event = of(FLEET_EVENT_NO_RUN, "a");
    event.why = "run x of a is running";
    step(event);
    expect("record paused all: a: run x of a is running\n"
           "record a #1 failed: run x of a is running\n");
}

static void an_old_answer_means_nothing(void **state UNUSED)
{
    apply("- { name: all, clusters: a }\n");
    planned("a");
    struct fleet_event old = of(FLEET_EVENT_RUN, "a");
    old.run = "run-a-1";
    old.running = ROLLOUT_FAILED;
    step(old);
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    planned("a");
    buf_init(&trace, &arena, 1 << 20);
    step(old);
    step((struct fleet_event){.type = FLEET_EVENT_RUN, .member = 7, .attempt = 1});
    expect("");
    assert_int_equal(fleet_member(fleet, 0).state, MEMBER_RUNNING);
}

static void a_journal_that_does_not_fit_leaves_only_abort(void **state UNUSED)
{
    apply("- { name: all, clusters: a }\n");
    buf_init(&trace, &arena, 1 << 20);
    records[1] = (struct fleet_record){.type = FLEET_RECORD_MEMBER, .member = 1};
    restart(2);
    word(FLEET_WORD_RESUME, "anna", NULL, NULL);
    word(FLEET_WORD_ABORT, "anna", NULL, NULL);
    expect("record paused all: record 2 of its journal does not fit the fleet: only abort is left\n"
           "refused: record 2 of its journal does not fit the fleet: only abort is left\n"
           "record aborting all by anna: abort by anna\n"
           "record aborted all: abort by anna\n");
    records[0] = (struct fleet_record){.type = FLEET_RECORD_APPROVAL, .stage = 9};
    restart(1);
    assert_string_equal(fleet_why(fleet),
                        "record 1 of its journal does not fit the fleet: only abort is left");
    word(FLEET_WORD_ABORT, "anna", NULL, NULL);
    assert_int_equal(fleet_state(fleet), FLEET_ABORTED);
}

static void a_thousand_clusters_come_in_calls_of_bounded_effects(void **state UNUSED)
{
    struct buf text;
    buf_init(&text, &arena, 1 << 20);
    buf_puts(&text, "- { name: all, parallel: 1000, failures: 1000, clusters: [c0");
    for (int i = 1; i < 1000; i++) {
        buf_printf(&text, ", c%d", i);
    }
    buf_puts(&text, "] }\n- { name: last, clusters: z }\n");
    apply(buf_text(&text));
    for (int i = 0; i < 1000; i++) {
        const char *name = arena_printf(&arena, "c%d", i);
        assert_int_equal(fleet_member(fleet, (uint32_t)i).state, MEMBER_PLANNING);
        refused(name, "away");
    }
    assert_int_equal(fleet_member(fleet, 1000).state, MEMBER_PLANNING);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(fleet_member(fleet, i).state, MEMBER_LEFT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_stage_by_stage_with_a_soak_and_a_gate_between_them,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(no_more_are_under_way_at_once_than_the_stage_says,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_cluster_that_is_where_it_should_be_is_done_untouched,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_failure_beyond_the_budget_pauses_and_resume_plans_it_anew,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(
            a_failure_within_the_budget_is_left_behind_at_the_end_of_its_stage, begin_test,
            end_test),
        cmocka_unit_test_setup_teardown(
            what_the_budget_left_behind_counts_when_the_stage_is_walked_again, begin_test,
            end_test),
        cmocka_unit_test_setup_teardown(a_paused_run_pauses_the_fleet_and_is_answered_first,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_cluster_that_was_moved_takes_the_fleet_back_to_its_stage,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(evidence_that_is_missing_is_named, begin_test, end_test),
        cmocka_unit_test_setup_teardown(abort_waits_for_the_runs_that_are_under_way, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(words_that_are_not_legal_are_refused_with_the_reason,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_crash_finds_what_was_started_and_plans_anew_what_was_not,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_plan_that_is_refused_right_after_a_restart_is_made_again,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_crash_between_two_records_loses_no_pause_and_no_end,
                                        begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_run_that_cannot_start_is_a_surprise, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(an_old_answer_means_nothing, begin_test, end_test),
        cmocka_unit_test_setup_teardown(a_journal_that_does_not_fit_leaves_only_abort, begin_test,
                                        end_test),
        cmocka_unit_test_setup_teardown(a_thousand_clusters_come_in_calls_of_bounded_effects,
                                        begin_test, end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
