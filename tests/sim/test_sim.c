/* Owns the claims about the simulator: its seeds hold, they repeat, they reach every edge, and what is broken on purpose is
 * found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define STEPS          1000000
#define RARE_EDGES_MAX 8 /* of so few seeds: `./dev sim` names those that were never taken */
#define SABOTAGE_SEEDS 1500

static struct coverage coverage;

/* Under a sanitizer a step costs many times as much: the build says by how much less is tried. */
static uint64_t share(uint64_t of)
{
    const char *part = getenv("SIM_PART");
    return of / (uint64_t)MAX(part != NULL ? atoi(part) : 1, 1);
}

static void a_million_steps_hold_and_all_but_rare_edges_are_taken(void **state UNUSED)
{
    coverage = (struct coverage){0};
    for (uint64_t seed = 1; coverage.events < share(STEPS); seed++) {
        struct sim_verdict verdict;
        sim_run(&(struct sim_options){.seed = seed}, &coverage, &verdict);
        if (verdict.failed) {
            fail_msg("./dev sim --seed %llu --trace: %s: %s", (unsigned long long)seed,
                     rule_name(verdict.rule), verdict.text);
        }
    }
    size_t never = coverage_never(&coverage, true);
    if (share(STEPS) < STEPS) {
        return; /* so few steps do not come everywhere: the plain build's million must */
    }
    assert_true(never <= RARE_EDGES_MAX);
    for (int rule = 0; rule < RULE_MACHINE; rule++) {
        if (coverage.checks[rule] == 0) {
            fail_msg("never checked: %s", rule_name((enum rule)rule));
        }
    }
}

static void a_seed_repeats_bit_for_bit(void **state UNUSED)
{
    for (uint64_t seed = 1000; seed < 1000 + share(20); seed++) {
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

/* The seeds that found it before come first; should they not any more, some others follow. What needs a rare moment is looked
 * for in worlds that are ill in that one way. */
static const struct {
    uint64_t seed;
    int only;
} kept[SABOTAGES] = {
    [SABOTAGE_PLACE_FSYNC_LIES] = {16, 0},
    [SABOTAGE_REPORTS_OF_ANY_RUN] = {57, 0},
    [SABOTAGE_LIVING_WORKER_LOST] = {222, FAULT_PLACE_CRASH + 1},
    [SABOTAGE_LOST_ONCE_FORGOTTEN] = {129, FAULT_PLACE_REBOOT + 1},
    [SABOTAGE_NEVER_FORGET] = {15, 0},
    [SABOTAGE_EFFECT_WITHOUT_EVIDENCE] = {63, FAULT_CONTROLLER_REBOOT + 1},
    [SABOTAGE_INTENT_NOT_LOOKED_AT] = {178, FAULT_CONTROLLER_REBOOT + 1},
};

static void what_is_broken_on_purpose_is_found(void **state UNUSED)
{
    for (int sabotage = 1; sabotage < SABOTAGES; sabotage++) {
        if (sabotage == SABOTAGE_FENCE_NOT_RAISED) {
            continue; /* places remember and evidence holds: it takes a soak of frozen controllers to see it */
        }
        struct sim_verdict verdict = {.failed = false};
        struct sim_options options = {.sabotage = (enum sabotage)sabotage,
                                      .seed = kept[sabotage].seed,
                                      .only = kept[sabotage].only};
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
    struct sim_options options = {.seed = kept[SABOTAGE_INTENT_NOT_LOOKED_AT].seed - 1,
                                  .only = kept[SABOTAGE_INTENT_NOT_LOOKED_AT].only,
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

static void a_crash_or_a_lost_message_anywhere_ends_whole_and_nothing_twice(void **state UNUSED)
{
    size_t cases = 0;
    for (int kind = KIND_RANDOM + 1; kind < KINDS; kind++) {
        struct sim_options failed;
        struct sim_verdict verdict;
        size_t of = matrix_run((enum sim_kind)kind, 1 + (size_t)(STEPS - share(STEPS)) / 50000,
                               &coverage, &failed, &verdict);
        print_message("%s: %zu cases\n", sim_kind_name((enum sim_kind)kind), of);
        if (verdict.failed) {
            fail_msg("%s (%d): controller %llu, place %u at %llu, message %llu, after %d, agents "
                     "%d: %s: %s",
                     sim_kind_name((enum sim_kind)kind), kind,
                     (unsigned long long)failed.script.controller_at, (unsigned)failed.script.place,
                     (unsigned long long)failed.script.place_at,
                     (unsigned long long)failed.script.message_at, (int)failed.script.after,
                     (int)failed.script.and_agents, rule_name(verdict.rule), verdict.text);
        }
        cases += of;
    }
    assert_true(cases > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_steps_hold_and_all_but_rare_edges_are_taken),
        cmocka_unit_test(a_crash_or_a_lost_message_anywhere_ends_whole_and_nothing_twice),
        cmocka_unit_test(a_seed_repeats_bit_for_bit),
        cmocka_unit_test(what_is_broken_on_purpose_is_found),
        cmocka_unit_test(a_failure_shrinks_to_the_faults_that_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
