/* A whole plan over a whole pretended cluster: its trace, letter by letter; and the same end whatever dies on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/core/cluster.h"
#include "tests/unit/core/plans.h"

static const char all_at_once_trace[] = "  0 running\n"
                                        "  0 phase preflight\n"
                                        "  0   check@app-1 ...\n"
                                        "  0   check@app-2 ...\n"
                                        "  0   check@app-3 ...\n"
                                        " 19   check@app-1 done\n"
                                        " 19   check@app-2 done\n"
                                        " 19   check@app-3 done\n"
                                        " 19 phase stop\n"
                                        " 19   drain@app-1 ...\n"
                                        " 19   drain@app-2 ...\n"
                                        " 19   drain@app-3 ...\n"
                                        " 34   drain@app-1 done\n"
                                        " 34   stop@app-1 ...\n"
                                        " 34   drain@app-2 done\n"
                                        " 34   stop@app-2 ...\n"
                                        " 34   drain@app-3 done\n"
                                        " 34   stop@app-3 ...\n"
                                        " 49   stop@app-1 done\n"
                                        " 49   stop@app-2 done\n"
                                        " 49   stop@app-3 done\n"
                                        " 49 phase migrate 2 -> 3\n"
                                        " 49   lock@controller ...\n"
                                        " 64   lock@controller done\n"
                                        " 64   migrate@app-2 ...\n"
                                        " 79   migrate@app-2 done\n"
                                        " 79 phase migrate 3 -> 4\n"
                                        " 79   migrate@app-2 ...\n"
                                        " 94   migrate@app-2 done\n"
                                        " 94   unlock@controller ...\n"
                                        "109   unlock@controller done\n"
                                        "109 phase swap and start\n"
                                        "109   swap@app-1 ...\n"
                                        "109   swap@app-2 ...\n"
                                        "109   swap@app-3 ...\n"
                                        "124   swap@app-1 done\n"
                                        "124   start@app-1 ...\n"
                                        "124   swap@app-2 done\n"
                                        "124   start@app-2 ...\n"
                                        "124   swap@app-3 done\n"
                                        "124   start@app-3 ...\n"
                                        "139   start@app-1 done\n"
                                        "139   start@app-2 done\n"
                                        "139   start@app-3 done\n"
                                        "139 succeeded\n";

static const char rolling_trace[] = "  0 running\n"
                                    "  0 phase migrate\n"
                                    "  0   migrate@controller ...\n"
                                    " 19   migrate@controller done\n"
                                    " 19 phase canary\n"
                                    " 19   swap@app-1 ...\n"
                                    " 34   swap@app-1 done\n"
                                    " 34   start@app-1 ...\n"
                                    " 49   start@app-1 done\n"
                                    " 49 phase rest\n"
                                    " 49   swap@app-2 ...\n"
                                    " 49   swap@app-3 ...\n"
                                    " 64   swap@app-2 done\n"
                                    " 64   start@app-2 ...\n"
                                    " 64   swap@app-3 done\n"
                                    " 64   start@app-3 ...\n"
                                    " 79   start@app-2 done\n"
                                    " 79   swap@app-4 ...\n"
                                    " 79   start@app-3 done\n"
                                    " 94   swap@app-4 done\n"
                                    " 94   start@app-4 ...\n"
                                    "109   start@app-4 done\n"
                                    "109 succeeded\n";

static const char retried_trace[] = "  0 running\n"
                                    "  0 phase migrate\n"
                                    "  0   lock@controller ...\n"
                                    " 19   lock@controller done\n"
                                    " 19   tool lock@controller ...\n"
                                    " 34   tool lock@controller done\n"
                                    " 34   ledger@controller ...\n"
                                    " 49   ledger@controller done\n"
                                    " 49   migrate@app-2 ...\n"
                                    " 64   migrate@app-2 failed (no luck)\n"
                                    " 64 paused (app-2: migrate: no luck)\n"
                                    " 94 running\n"
                                    " 94   tool lock@controller ...\n"
                                    "109   tool lock@controller done\n"
                                    "109   ledger@controller ...\n"
                                    "124   ledger@controller done\n"
                                    "124   migrate@app-2 ...\n"
                                    "139   migrate@app-2 done\n"
                                    "139   unlock@controller ...\n"
                                    "154   unlock@controller done\n"
                                    "154 phase start\n"
                                    "154   start@app-1 ...\n"
                                    "154   start@app-2 ...\n"
                                    "169   start@app-1 done\n"
                                    "169   start@app-2 done\n"
                                    "169 succeeded\n";

static void the_trace_of_a_retry_that_goes_back_to_the_proofs(void **state)
{
    (void)state;
    struct world *w = cluster_begin(plans_external);
    w->check_replay = true;
    w->fail_first = true;
    cluster_run(w);
    assert_string_equal(buf_text(&w->trace), retried_trace);
    assert_int_equal(w->words, 1);
    cluster_check_all_done_once(w);
    cluster_end(w);
}

static void the_trace_of_an_all_at_once_run_of_two_hops(void **state)
{
    (void)state;
    struct world *w = cluster_begin(plans_all_at_once);
    w->check_replay = true;
    cluster_run(w);
    assert_string_equal(buf_text(&w->trace), all_at_once_trace);
    cluster_check_all_done_once(w);
    cluster_end(w);
}

static void the_trace_of_a_rolling_run(void **state)
{
    (void)state;
    struct world *w = cluster_begin(plans_rolling);
    w->check_replay = true;
    cluster_run(w);
    assert_string_equal(buf_text(&w->trace), rolling_trace);
    assert_int_equal(w->in_middle_max, 2);
    cluster_check_all_done_once(w);
    cluster_end(w);
}

static struct plan *(*const plans_made[])(struct arena *) = {plans_all_at_once, plans_rolling,
                                                             plans_external};

enum victim { VICTIM_CONTROLLER, VICTIM_PLACE, VICTIM_ACTING_PLACE };

static size_t run_with_one_death(struct plan *(*make)(struct arena *), enum victim victim,
                                 size_t at, bool keeps_record)
{
    struct world *w = cluster_begin(make);
    w->check_replay = true;
    w->kill_keeps_record = keeps_record;
    w->fail_first = true;
    w->kill_controller_at = victim == VICTIM_CONTROLLER ? at : 0;
    w->kill_place_at = victim == VICTIM_PLACE ? at : 0;
    w->kill_act_at = victim == VICTIM_ACTING_PLACE ? at : 0;
    cluster_run(w);
    cluster_check_all_done_once(w);
    size_t kills = w->kills;
    cluster_end(w);
    return kills;
}

/* Until the run has no such record any more. */
static void die_at_every_record(enum victim victim)
{
    for (size_t i = 0; i < ARRAY_SIZE(plans_made); i++) {
        for (int keeps = 0; keeps < 2; keeps++) {
            size_t at = 1;
            while (run_with_one_death(plans_made[i], victim, at, keeps == 1) > 0) {
                at++;
            }
            assert_true(at >= 10);
        }
    }
}

static void the_controller_dies_at_every_record_and_the_end_is_the_same(void **state)
{
    (void)state;
    die_at_every_record(VICTIM_CONTROLLER);
}

static void a_place_dies_at_every_record_and_the_end_is_the_same(void **state)
{
    (void)state;
    die_at_every_record(VICTIM_PLACE);
}

static void a_place_dies_with_every_worker_under_way_and_the_end_is_the_same(void **state)
{
    (void)state;
    die_at_every_record(VICTIM_ACTING_PLACE);
}

/* Said when a test fails: the seed repeats it. */
static uint64_t now_at_seed;

static int say_seed(void **state)
{
    (void)state;
    if (now_at_seed != 0) {
        print_message("the last seed was %llu\n", (unsigned long long)now_at_seed);
    }
    return 0;
}

static void any_faults_from_a_seed_end_the_same(void **state)
{
    (void)state;
    size_t kills = 0;
    size_t words = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct world *w = cluster_begin(plans_made[seed % 3]);
        now_at_seed = seed;
        w->seed = seed * 0x9e3779b97f4a7c15ULL;
        w->fail_percent = 20;
        w->fail_first = seed % 5 != 0;
        w->break_percent = seed % 3 == 0 ? 20 : 5;
        w->crash_percent = seed % 4 == 0 ? 0 : 6;
        w->check_replay = true;
        cluster_run(w);
        cluster_check_all_done_once(w);
        kills += w->kills;
        words += w->words;
        cluster_end(w);
    }
    assert_true(kills > 400);
    assert_true(words > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trace_of_an_all_at_once_run_of_two_hops),
        cmocka_unit_test(the_trace_of_a_rolling_run),
        cmocka_unit_test(the_trace_of_a_retry_that_goes_back_to_the_proofs),
        cmocka_unit_test(the_controller_dies_at_every_record_and_the_end_is_the_same),
        cmocka_unit_test(a_place_dies_at_every_record_and_the_end_is_the_same),
        cmocka_unit_test(a_place_dies_with_every_worker_under_way_and_the_end_is_the_same),
        cmocka_unit_test_setup_teardown(any_faults_from_a_seed_end_the_same, NULL, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
