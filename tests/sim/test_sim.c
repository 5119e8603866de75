/* Owns the claims about the simulator: its seeds hold, they repeat, they reach every edge, and what is broken on purpose is
 * found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define SEEDS          500
#define RARE_EDGES_MAX 5 /* of so few seeds: `./dev sim` names those that were never taken */
#define SABOTAGE_SEEDS 4000

static struct coverage coverage;

static void every_seed_holds_and_all_but_rare_edges_are_taken(void **state UNUSED)
{
    coverage = (struct coverage){0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_verdict verdict;
        sim_run(&(struct sim_options){.seed = seed}, &coverage, &verdict);
        if (verdict.failed) {
            fail_msg("./dev sim --seed %llu --trace: %s: %s", (unsigned long long)seed,
                     rule_name(verdict.rule), verdict.text);
        }
    }
    assert_true(coverage_never(&coverage, true) <= RARE_EDGES_MAX);
    for (int rule = 0; rule < RULE_MACHINE; rule++) {
        if (coverage.checks[rule] == 0) {
            fail_msg("never checked: %s", rule_name((enum rule)rule));
        }
    }
}

static void a_seed_repeats_bit_for_bit(void **state UNUSED)
{
    for (uint64_t seed = 1000; seed < 1020; seed++) {
        struct sim_verdict first;
        struct sim_verdict second;
        sim_run(&(struct sim_options){.seed = seed}, &coverage, &first);
        sim_run(&(struct sim_options){.seed = seed}, &coverage, &second);
        assert_false(first.failed);
        assert_int_equal(first.digest, second.digest);
        assert_int_equal(first.events, second.events);
        sim_run(&(struct sim_options){.seed = seed + 1000}, &coverage, &second);
        assert_int_not_equal(first.digest, second.digest);
    }
}

/* The seeds that found it before come first; should they not any more, all others follow. */
static const uint64_t kept[SABOTAGES] = {
    [SABOTAGE_PLACE_FSYNC_LIES] = 23,         [SABOTAGE_FENCE_NOT_RAISED] = 1474,
    [SABOTAGE_REPORTS_OF_ANY_RUN] = 199,      [SABOTAGE_LIVING_WORKER_LOST] = 61,
    [SABOTAGE_LOST_ONCE_FORGOTTEN] = 1915,    [SABOTAGE_NEVER_FORGET] = 93,
    [SABOTAGE_EFFECT_WITHOUT_EVIDENCE] = 286, [SABOTAGE_INTENT_NOT_LOOKED_AT] = 142,
    [SABOTAGE_OUTCOME_UNTRUE] = 75,           [SABOTAGE_KNOWN_NOT_SENT] = 85,
};

static void what_is_broken_on_purpose_is_found(void **state UNUSED)
{
    for (int sabotage = 1; sabotage < SABOTAGES; sabotage++) {
        struct sim_verdict verdict = {.failed = false};
        struct sim_options options = {.sabotage = (enum sabotage)sabotage};
        options.seed = kept[sabotage];
        sim_run(&options, &coverage, &verdict);
        for (uint64_t seed = 1; !verdict.failed && seed < SABOTAGE_SEEDS; seed++) {
            options.seed = seed;
            sim_run(&options, &coverage, &verdict);
        }
        print_message("%s: seed %llu, %s\n", sabotage_name(options.sabotage),
                      (unsigned long long)options.seed,
                      verdict.failed ? rule_name(verdict.rule) : "not found");
        if (!verdict.failed) {
            fail_msg("%s was not found in %d seeds", sabotage_name(options.sabotage),
                     SABOTAGE_SEEDS);
        }
    }
}

static void a_failure_shrinks_to_the_faults_that_it_needs(void **state UNUSED)
{
    struct sim_options options = {.seed = kept[SABOTAGE_INTENT_NOT_LOOKED_AT] - 1,
                                  .sabotage = SABOTAGE_INTENT_NOT_LOOKED_AT};
    struct sim_verdict verdict = {.failed = false};
    while (!verdict.failed) {
        options.seed++;
        sim_run(&options, &coverage, &verdict);
    }
    struct sim_verdict again;
    options.without = sim_shrink(&options, &verdict);
    sim_run(&options, &coverage, &again);
    assert_true(again.failed);
    assert_int_equal(again.rule, verdict.rule);
    assert_true(verdict.faults <= 1 || options.without != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_holds_and_all_but_rare_edges_are_taken),
        cmocka_unit_test(a_seed_repeats_bit_for_bit),
        cmocka_unit_test(what_is_broken_on_purpose_is_found),
        cmocka_unit_test(a_failure_shrinks_to_the_faults_that_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
