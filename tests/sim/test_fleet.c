/* Owns the claims about random fleets: the rules hold whatever happens, every crash ends as none does, and what is broken
 * on purpose is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/base/util.h"
#include "tests/sim/fleet_world.h"

#define SEEDS          20000
#define MATRIX_SEEDS   60
#define SABOTAGE_SEEDS 3000

static uint64_t share(uint64_t of)
{
    const char *part = getenv("SIM_PART");
    return of / (uint64_t)MAX(part != NULL ? atoi(part) : 1, 1);
}

static void the_rules_of_fleets_hold_whatever_happens(void **state UNUSED)
{
    struct fleet_verdict all = {0};
    uint64_t done = 0;
    uint64_t incomplete = 0;
    uint64_t aborted = 0;
    for (uint64_t seed = 1; seed <= share(SEEDS); seed++) {
        struct fleet_verdict verdict;
        fleet_sim_run(&(struct fleet_sim){.seed = seed}, &verdict);
        if (verdict.failed[0] != '\0') {
            fleet_sim_run(&(struct fleet_sim){.seed = seed, .trace = true}, &verdict);
            fail_msg("seed %llu: %s", (unsigned long long)seed, verdict.failed);
        }
        all.starts += verdict.starts;
        all.crashes += verdict.crashes;
        all.words += verdict.words;
        all.moves += verdict.moves;
        done += str_equal(verdict.end, "done") ? 1 : 0;
        incomplete += str_equal(verdict.end, "incomplete") ? 1 : 0;
        aborted += str_equal(verdict.end, "aborted") ? 1 : 0;
    }
    print_message("%llu fleets: %llu done, %llu incomplete, %llu aborted; %llu runs, %llu crashes, "
                  "%llu words, %llu moves\n",
                  (unsigned long long)share(SEEDS), (unsigned long long)done,
                  (unsigned long long)incomplete, (unsigned long long)aborted,
                  (unsigned long long)all.starts, (unsigned long long)all.crashes,
                  (unsigned long long)all.words, (unsigned long long)all.moves);
    assert_true(done > 0 && incomplete > 0 && aborted > 0);
    assert_true(all.starts > 0 && all.crashes > 0 && all.words > 0 && all.moves > 0);
}

static void a_crash_at_any_record_of_a_fleet_ends_as_none_does(void **state UNUSED)
{
    for (uint64_t seed = 1; seed <= share(MATRIX_SEEDS); seed++) {
        struct fleet_verdict calm;
        fleet_sim_run(&(struct fleet_sim){.seed = seed, .calm = true}, &calm);
        assert_string_equal(calm.failed, "");
        for (uint64_t record = 1; record <= calm.records; record++) {
            for (int after = 0; after < 2; after++) {
                const struct fleet_sim sim = {.seed = seed,
                                              .calm = true,
                                              .crash_before = after == 0 ? record : 0,
                                              .crash_after = after == 1 ? record : 0};
                struct fleet_verdict verdict;
                fleet_sim_run(&sim, &verdict);
                bool last = after == 1 && record == calm.records;
                if (verdict.failed[0] != '\0' || !str_equal(verdict.end, calm.end) ||
                    verdict.reached != calm.reached || verdict.starts != calm.starts ||
                    (verdict.crashes != 1 && !last)) {
                    fail_msg("seed %llu, crash %s record %llu: %s %s", (unsigned long long)seed,
                             after == 0 ? "before" : "after", (unsigned long long)record,
                             verdict.failed, verdict.end);
                }
            }
        }
    }
}

static void a_shell_of_fleets_that_is_broken_on_purpose_is_found(void **state UNUSED)
{
    for (int sabotage = 1; sabotage < FLEET_SABOTAGES; sabotage++) {
        struct fleet_verdict verdict = {0};
        uint64_t seed = 1;
        while (verdict.failed[0] == '\0' && seed <= SABOTAGE_SEEDS) {
            fleet_sim_run(
                &(struct fleet_sim){.seed = seed++, .sabotage = (enum fleet_sabotage)sabotage},
                &verdict);
        }
        if (verdict.failed[0] == '\0') {
            fail_msg("sabotage %d was not found in %d fleets", sabotage, SABOTAGE_SEEDS);
        }
        print_message("sabotage %d, seed %llu: %s\n", sabotage, (unsigned long long)seed - 1,
                      verdict.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_of_fleets_hold_whatever_happens),
        cmocka_unit_test(a_crash_at_any_record_of_a_fleet_ends_as_none_does),
        cmocka_unit_test(a_shell_of_fleets_that_is_broken_on_purpose_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
