/* What operators say to a run: which word counts when, to what it is bound, and that a journal brings it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/core/rollout.h"
#include "tests/unit/core/rig.h"

/* Three nodes: each denies and stops, a database moves, each starts. */
static struct plan *moving_plan(struct arena *arena)
{
    struct plans p = plans_begin(arena, 3, 3);
    plans_phase(&p, "stop", 0, 0, true);
    plans_act(plans_step(&p, "deny", NULL), arena, ACTION_DENY);
    plans_act(plans_step(&p, "stop", NULL), arena, ACTION_SERVICE);
    plans_step(&p, "hook", NULL);
    plans_phase(&p, "migrate", -1, 0, true);
    plans_act(plans_step(&p, "migrate", PLAN_CONTROLLER), arena, ACTION_DB_MIGRATE);
    plans_phase(&p, "start", 0, 0, true);
    plans_act(plans_step(&p, "swap", NULL), arena, ACTION_SWAP);
    plans_step(&p, "health", NULL);
    return p.plan;
}

/* Three nodes, and two steps at each. */
static struct plan *plain_plan(struct arena *arena)
{
    struct plans p = plans_begin(arena, 3, 2);
    plans_phase(&p, "first", 0, 0, true);
    plans_step(&p, "swap", NULL);
    plans_step(&p, "health", NULL);
    plans_phase(&p, "second", 0, 1, true);
    plans_step(&p, "retire", NULL);
    return p.plan;
}

static void begin_plain(void)
{
    rig_begin(plain_plan(&rig.arena));
    rig_all_up();
    rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
}

/* ---- the table ---- */

static const char *const legal[ROLLOUT_STATES] = {
    [ROLLOUT_READY] = "abort",
    [ROLLOUT_RUNNING] = "abort rollback claim",
    [ROLLOUT_PAUSED] = "abort retry skip exclude rollback claim",
    [ROLLOUT_ABORTING] = "abort claim",
    [ROLLOUT_SUCCEEDED] = "",
    [ROLLOUT_FAILED] = "",
    [ROLLOUT_ABORTED] = "",
    [ROLLOUT_INCOMPLETE] = "",
};

static void reach(enum rollout_state state)
{
    rig_begin(plain_plan(&rig.arena));
    rig_all_up();
    if (state == ROLLOUT_READY) {
        return;
    }
    if (state == ROLLOUT_FAILED) {
        LIST_AT(&rig.plan->phases, struct plan_phase, 0)->disruptive = false;
    }
    rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
    for (uint32_t i = 0; i < 3 && state != ROLLOUT_RUNNING; i++) {
        rig_ended(0, 0, i, 1, i == 0 ? OUTCOME_FAILED : OUTCOME_DONE);
        if (state == ROLLOUT_ABORTING) {
            rig_word(WORD_ABORT);
            return;
        }
    }
    if (state == ROLLOUT_ABORTED) {
        rig_word(WORD_ABORT);
    }
    if (state == ROLLOUT_SUCCEEDED || state == ROLLOUT_INCOMPLETE) {
        rig_word(state == ROLLOUT_SUCCEEDED ? WORD_SKIP : WORD_EXCLUDE);
        for (uint32_t i = 0; i < 3; i++) {
            rig_ended(0, 1, i, 1, OUTCOME_DONE);
        }
        for (uint32_t i = 0; i < 3; i++) {
            rig_ended(1, 0, i, 1, OUTCOME_DONE);
        }
    }
}

static bool says_word(const char *words, enum word word)
{
    const char *found = strstr(words, word_name(word));
    return found != NULL && (found == words || found[-1] == ' ');
}

static void every_word_in_every_state(void **state)
{
    (void)state;
    for (int s = 0; s < ROLLOUT_STATES; s++) {
        if (legal[s] == NULL) {
            continue; /* nothing of this plan waits */
        }
        for (int w = 0; w < WORDS; w++) {
            reach((enum rollout_state)s);
            assert_string_equal(rollout_state_name(rollout_state(rig.r)),
                                rollout_state_name((enum rollout_state)s));
            bool refused = str_equal(rig_word((enum word)w), "refused");
            assert_int_equal(!refused, says_word(legal[s], (enum word)w));
            if (refused) {
                assert_true(strlen(rig.out.items[0].text) > 10);
            }
            rig_end();
        }
    }
    reach(ROLLOUT_READY); /* the teardown ends it */
}

/* ---- retry, skip ---- */

static void a_retry_may_be_of_one_node(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    rig_ended(0, 0, 1, 1, OUTCOME_UNKNOWN);
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_RETRY, .place = "app-3", .who = "bob"}),
        "refused");
    assert_string_equal(rig_refusal(), "nothing is in the way at app-3");
    assert_string_equal(rig_say((struct word_event){
                            .word = WORD_RETRY, .place = "app-1", .step = "health", .who = "bob"}),
                        "refused");
    assert_string_equal(rig_refusal(), "app-1 stands at step \"swap\", not at \"health\"");
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_RETRY, .step = "swap", .who = "bob"}), "refused");
    assert_string_equal(rig_refusal(), "2 steps are in the way, at app-1 and app-2: name the node");
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_RETRY, .place = "app-1", .who = "bob"}),
        "retry@1 by bob");
    assert_int_equal(rollout_state(rig.r), ROLLOUT_PAUSED);
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_RETRY, .place = "app-2", .who = "bob"}),
        "retry@2 by bob running intent:0.1@3#1 send:0.1@3#1 intent:0.0@1#2 send:0.0@1#2 "
        "intent:0.0@2#2 send:0.0@2#2");
}

static void a_skipped_step_counts_as_done(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    rig_ended(0, 0, 1, 1, OUTCOME_DONE);
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    assert_string_equal(
        rig_say(
            (struct word_event){.word = WORD_SKIP, .step = "swap", .why = "by hand", .who = "bob"}),
        "skip@1 by bob running intent:0.1@2#1 send:0.1@2#1 intent:0.1@3#1 send:0.1@3#1 "
        "intent:0.1@1#1 send:0.1@1#1");
    assert_string_equal(rig.out.items[0].record.why, "by hand");
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), ""); /* too late */
}

static void what_may_still_run_is_not_skipped(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 1, 1, OUTCOME_DONE);
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    rig_at(60000);
    assert_int_equal(rollout_state(rig.r), ROLLOUT_PAUSED);
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_SKIP, .place = "app-1", .who = "bob"}), "refused");
    assert_non_null(strstr(rig_refusal(), "swap may still be running at app-1"));
}

static void what_others_stand_on_is_never_skipped(void **state)
{
    (void)state;
    static const enum action_kind never[] = {
        ACTION_DENY,       ACTION_PERMIT,     ACTION_STAGE,        ACTION_SWAP,
        ACTION_DB_MIGRATE, ACTION_DB_LOCK,    ACTION_DB_TOOL_LOCK, ACTION_DB_UNLOCK,
        ACTION_DB_LEDGER,  ACTION_DB_WRITERS, ACTION_DB_RESTORE,   ACTION_SERVICE,
    };
    static const enum action_kind may[] = {ACTION_HEALTH, ACTION_DB_BACKUP, ACTION_RUN,
                                           ACTION_DB_CHECK};
    for (size_t i = 0; i < ARRAY_SIZE(never) + ARRAY_SIZE(may); i++) {
        bool refused = i < ARRAY_SIZE(never);
        rig_begin(plain_plan(&rig.arena));
        rig_all_up();
        struct plan_phase *phase = LIST_AT(&rig.plan->phases, struct plan_phase, 0);
        plans_act(LIST_AT(&phase->steps, struct plan_step, 0), &rig.arena,
                  refused ? never[i] : may[i - ARRAY_SIZE(never)]);
        rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
        rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
        assert_int_equal(str_equal(rig_word(WORD_SKIP), "refused"), refused);
        if (refused && never[i] == ACTION_DB_MIGRATE) {
            assert_non_null(strstr(rig_refusal(), "lockstep db mark-applied"));
        }
        if (i + 1 < ARRAY_SIZE(never) + ARRAY_SIZE(may)) {
            rig_end();
        }
    }
}

/* ---- exclude ---- */

static void an_excluded_node_is_left_behind(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-2", .who = "bob"}),
        "refused");
    assert_non_null(strstr(rig_refusal(), "app-2 is at work on swap"));
    assert_string_equal(
        rig_say((struct word_event){
            .word = WORD_EXCLUDE, .place = "app-1", .why = "no disk", .who = "bob"}),
        "exclude@1 by bob running");
    assert_int_equal(rollout_left_behind(rig.r), 1);
    assert_true(rollout_place(rig.r, 0).excluded);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_DONE), "");
    rig_ended(0, 0, 1, 1, OUTCOME_DONE);
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    rig_ended(0, 1, 1, 1, OUTCOME_DONE);
    assert_string_equal(rig_ended(0, 1, 2, 1, OUTCOME_DONE),
                        "done:0.1@3#1 intent:1.0@2#1 send:1.0@2#1");
    rig_ended(1, 0, 1, 1, OUTCOME_DONE);
    assert_string_equal(rig_ended(1, 0, 2, 1, OUTCOME_DONE), "done:1.0@3#1 incomplete");
    assert_string_equal(rollout_why(rig.r), "succeeded with 1 node left behind: app-1");
}

static void a_node_whose_next_step_was_due_is_left_behind(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    rig_ended(0, 1, 2, 1, OUTCOME_DONE);
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(rig_ended(0, 0, 1, 1, OUTCOME_DONE), "done:0.0@2#1");
    rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-2", .who = "bob"});
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-1", .who = "bob"}),
        "exclude@1 by bob running intent:1.0@3#1 send:1.0@3#1");
}

static void one_node_stays(void **state)
{
    (void)state;
    begin_plain();
    for (uint32_t i = 0; i < 3; i++) {
        rig_ended(0, 0, i, 1, OUTCOME_FAILED);
    }
    static const char *const names[] = {"app-1", "app-2"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = names[i], .who = "bob"});
    }
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-3", .who = "bob"}),
        "refused");
    assert_string_equal(rig_refusal(), "no node would be left without app-3: abort");
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "controller", .who = "bob"}),
        "refused");
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-9", .who = "bob"}),
        "refused");
    assert_string_equal(rig_refusal(), "the plan has no node named app-9");
}

static const char *exclude_first(void)
{
    return rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-1", .who = "bob"});
}

static void no_node_is_left_behind_without_proof_while_a_database_moves(void **state)
{
    (void)state;
    static const struct {
        uint32_t fails_at;
        const char *because; /* NULL: it may */
    } cases[] = {{0, "has not stored that it may start nothing"},
                 {1, "is not proved to have stopped"},
                 {2, NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        rig_begin(moving_plan(&rig.arena));
        rig_all_up();
        rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
        for (uint32_t s = 0; s < cases[i].fails_at; s++) {
            rig_ended(0, s, 0, 1, OUTCOME_DONE);
        }
        rig_ended(0, cases[i].fails_at, 0, 1, OUTCOME_FAILED);
        if (cases[i].because == NULL) {
            assert_string_equal(exclude_first(), "exclude@1 by bob running");
        } else {
            assert_string_equal(exclude_first(), "refused");
            assert_non_null(strstr(rig_refusal(), cases[i].because));
            rig_end();
        }
    }
    /* Behind the migration nothing moves any more: what is there fits. */
    for (uint32_t s = 0; s < 3; s++) {
        rig_ended(0, s, 1, 1, OUTCOME_DONE);
        rig_ended(0, s, 2, 1, OUTCOME_DONE);
    }
    rig_ended(1, 0, ROLLOUT_PLACE_CONTROLLER, 1, OUTCOME_DONE);
    rig_ended(2, 0, 1, 1, OUTCOME_FAILED);
    assert_string_equal(
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-2", .who = "bob"}),
        "exclude@2 by bob running");
}

static void a_node_that_works_for_all_is_not_left_behind(void **state)
{
    (void)state;
    struct plans p = plans_begin(&rig.arena, 2, 2);
    plans_phase(&p, "first", 0, 0, true);
    plans_step(&p, "look", NULL);
    plans_phase(&p, "tool", -1, 0, true);
    plans_step(&p, "reindex", "app-1");
    rig_begin(p.plan);
    rig_all_up();
    rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(exclude_first(), "refused");
    assert_non_null(strstr(rig_refusal(), "app-1 has to do reindex for the whole cluster"));
}

/* ---- claims ---- */

static const char *say_as(enum word word, const char *who, bool force)
{
    return rig_say((struct word_event){.word = word, .who = who, .force = force});
}

static void a_claim_binds_until_it_is_given_back_expires_or_is_taken_over(void **state)
{
    (void)state;
    begin_plain();
    rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
    assert_string_equal(say_as(WORD_UNCLAIM, "bob", false), "refused");
    assert_string_equal(say_as(WORD_CLAIM, "bob", false), "claim by bob");
    assert_string_equal(rollout_claimed_by(rig.r, rig.now), "bob");
    assert_string_equal(say_as(WORD_ABORT, "carol", false), "refused");
    assert_non_null(strstr(rig_refusal(), "bob has claimed this run"));
    assert_string_equal(say_as(WORD_CLAIM, "carol", false), "refused");
    assert_string_equal(say_as(WORD_UNCLAIM, "bob", false), "unclaim by bob");
    assert_null(rollout_claimed_by(rig.r, rig.now));
    /* It expires, to the millisecond. */
    say_as(WORD_CLAIM, "bob", false);
    rig.now = CLAIM_MS - 1;
    assert_string_equal(say_as(WORD_CLAIM, "carol", false), "refused");
    rig.now = CLAIM_MS;
    assert_string_equal(say_as(WORD_CLAIM, "carol", false), "claim by carol");
    /* It is taken over, and that is recorded before the word. */
    assert_string_equal(say_as(WORD_SKIP, "bob", true),
                        "claim by bob skip@1 by bob running intent:0.1@1#1 send:0.1@1#1");
    assert_string_equal(rollout_claimed_by(rig.r, rig.now), "bob");
    /* A clock that is set back makes no claim longer than any may be. */
    rig.now -= 10 * CLAIM_MAX_MS;
    assert_string_equal(rollout_claimed_by(rig.r, rig.now), "bob");
    rig.now += 20 * CLAIM_MAX_MS;
    assert_null(rollout_claimed_by(rig.r, rig.now));
}

/* ---- rollback ---- */

static void a_rollback_aborts_and_says_that_the_way_back_is_wanted(void **state)
{
    (void)state;
    begin_plain();
    assert_false(rollout_rolls_back(rig.r));
    assert_string_equal(rig_word(WORD_ROLLBACK), "aborting");
    assert_true(rig.out.items[0].record.roll_back);
    assert_string_equal(rig_word(WORD_ROLLBACK), "refused");
    for (uint32_t i = 0; i < 3; i++) {
        rig_ended(0, 0, i, 1, OUTCOME_DONE);
    }
    assert_int_equal(rollout_state(rig.r), ROLLOUT_ABORTED);
    assert_true(rollout_rolls_back(rig.r));
    assert_string_equal(rollout_why(rig.r), "rolled back by bob");
}

/* A failure in a plan that says on_failure: rollback. */
static void begin_that_goes_back(struct plan *plan)
{
    plan->on_failure = ON_FAILURE_ROLLBACK;
    rig_begin(plan);
    rig_all_up();
    rig_step((struct event){.type = EVENT_BEGIN, .who = "alice"});
}

static void goes_back_by_itself_where_the_plan_says_so(void **state)
{
    (void)state;
    begin_that_goes_back(plain_plan(&rig.arena));
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1 aborting");
    rig_ended(0, 0, 1, 1, OUTCOME_DONE);
    assert_int_equal(rollout_state(rig.r), ROLLOUT_ABORTING);
    rig_ended(0, 0, 2, 1, OUTCOME_DONE);
    assert_int_equal(rollout_state(rig.r), ROLLOUT_ABORTED);
    assert_true(rollout_rolls_back(rig.r));
}

static void what_is_unknown_pauses_and_is_not_taken_back(void **state)
{
    (void)state;
    begin_that_goes_back(plain_plan(&rig.arena));
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_UNKNOWN), "unknown:0.0@1#1 paused");
    assert_false(rollout_rolls_back(rig.r));
}

static void a_first_installation_is_not_taken_back(void **state)
{
    (void)state;
    struct plan *plan = plain_plan(&rig.arena);
    plan->from = NULL;
    begin_that_goes_back(plan);
    assert_string_equal(rig_ended(0, 0, 0, 1, OUTCOME_FAILED), "failed:0.0@1#1 paused");
    assert_string_equal(rig_word(WORD_ROLLBACK), "refused");
    assert_string_equal(rig_refusal(),
                        "it is the first installation: there is no release to go back to");
}

static void past_the_point_of_no_return_nothing_is_taken_back(void **state)
{
    (void)state;
    struct plan *plan = moving_plan(&rig.arena);
    struct plan_phase *migrate = LIST_AT(&plan->phases, struct plan_phase, 1);
    migrate->no_return = true;
    LIST_AT(&migrate->steps, struct plan_step, 0)->lossy = "drops posts.mail";
    begin_that_goes_back(plan);
    for (uint32_t step = 0; step < 3; step++) {
        for (uint32_t place = 0; place < 3; place++) {
            rig_ended(0, step, place, 1, OUTCOME_DONE);
        }
    }
    assert_string_equal(rig_ended(1, 0, ROLLOUT_PLACE_CONTROLLER, 1, OUTCOME_FAILED),
                        "failed:1.0@0#1 paused");
    assert_string_equal(rig_word(WORD_ROLLBACK), "refused");
    assert_non_null(strstr(rig_refusal(), "past its point of no return (drops posts.mail)"));
    assert_non_null(strstr(rig_refusal(), "`lockstep restore test`"));
}

/* ---- the journal ---- */

/* The same words after a restart at every record lead to the same end, and to the same journal. */
static void words_are_replayed_at_every_record(void **state)
{
    (void)state;
    struct journal once = {0};
    for (size_t dies_at = 0; dies_at <= once.count; dies_at++) {
        struct journal *j = rig_journal(dies_at);
        begin_plain();
        rig_ended(0, 0, 0, 1, OUTCOME_FAILED);
        rig_ended(0, 0, 1, 1, OUTCOME_FAILED);
        rig_ended(0, 0, 2, 1, OUTCOME_FAILED);
        say_as(WORD_CLAIM, "bob", false);
        rig_say((struct word_event){.word = WORD_EXCLUDE, .place = "app-1", .who = "bob"});
        rig_say((struct word_event){.word = WORD_SKIP, .place = "app-2", .who = "bob"});
        rig_say((struct word_event){.word = WORD_RETRY, .place = "app-3", .who = "bob"});
        rig_ended(0, 0, 2, 2, OUTCOME_DONE);
        rig_ended(0, 1, 1, 1, OUTCOME_DONE);
        rig_ended(0, 1, 2, 1, OUTCOME_DONE);
        rig_ended(1, 0, 1, 1, OUTCOME_DONE);
        rig_ended(1, 0, 2, 1, OUTCOME_DONE);
        assert_int_equal(rollout_state(rig.r), ROLLOUT_INCOMPLETE);
        assert_string_equal(rollout_claimed_by(rig.r, rig.now), "bob");
        if (dies_at == 0) {
            once = *j;
            assert_true(once.count > 20);
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
        cmocka_unit_test_setup_teardown(every_word_in_every_state, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_retry_may_be_of_one_node, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_skipped_step_counts_as_done, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_may_still_run_is_not_skipped, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_others_stand_on_is_never_skipped, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(an_excluded_node_is_left_behind, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_node_whose_next_step_was_due_is_left_behind, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(one_node_stays, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(no_node_is_left_behind_without_proof_while_a_database_moves,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_node_that_works_for_all_is_not_left_behind, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(
            a_claim_binds_until_it_is_given_back_expires_or_is_taken_over, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_rollback_aborts_and_says_that_the_way_back_is_wanted,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(goes_back_by_itself_where_the_plan_says_so, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(what_is_unknown_pauses_and_is_not_taken_back, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(a_first_installation_is_not_taken_back, rig_setup,
                                        rig_teardown),
        cmocka_unit_test_setup_teardown(past_the_point_of_no_return_nothing_is_taken_back,
                                        rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(words_are_replayed_at_every_record, rig_setup,
                                        rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
