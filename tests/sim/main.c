/*
 * ./dev sim: many seeds, or one with its trace. It ends with 1 and the seed's replay command when an invariant fails, with 0 and
 * the counts when none does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

struct options {
    struct sim_options sim;
    bool one;
    uint64_t seeds, first;
    int64_t minutes;
};

static int usage(void)
{
    fprintf(
        stderr,
        "usage: ./dev sim [--seeds N] [--first S] [--minutes M]\n"
        "       ./dev sim --seed S [--without MASK] [--trace]\n"
        "       … --sabotage NAME: break something on purpose, to see it found. NAME is one of\n"
        "        ");
    for (int i = 1; i < SABOTAGES; i++) {
        fprintf(stderr, " %s", sabotage_name((enum sabotage)i));
    }
    fputc('\n', stderr);
    return 2;
}

static bool read_number(const char *text, uint64_t *ret)
{
    char *end = NULL;
    if (text == NULL || *text == '\0' || *text == '-') {
        return false;
    }
    *ret = strtoull(text, &end, 0);
    return *end == '\0';
}

static bool read_sabotage(const char *name, enum sabotage *ret)
{
    for (int i = 0; i < SABOTAGES; i++) {
        if (str_equal(name, sabotage_name((enum sabotage)i))) {
            *ret = (enum sabotage)i;
            return true;
        }
    }
    return false;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t number = 0;
        if (str_equal(argv[i], "--trace")) {
            o->sim.trace = true;
            continue;
        }
        if (str_equal(argv[i], "--sabotage")) {
            if (!read_sabotage(value, &o->sim.sabotage)) {
                return false;
            }
            i++;
            continue;
        }
        if (!read_number(value, &number)) {
            return false;
        }
        if (str_equal(argv[i], "--seed")) {
            o->sim.seed = number;
            o->one = true;
        } else if (str_equal(argv[i], "--without")) {
            o->sim.without = number;
        } else if (str_equal(argv[i], "--seeds")) {
            o->seeds = number;
        } else if (str_equal(argv[i], "--first")) {
            o->first = number;
        } else if (str_equal(argv[i], "--minutes")) {
            o->minutes = (int64_t)number;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

static int report(const struct options *o, const struct sim_options *failed,
                  const struct sim_verdict *verdict)
{
    uint64_t without = sim_shrink(failed, verdict);
    printf("seed %" PRIu64 " FAILED: %s: %s\n", failed->seed, rule_name(verdict->rule),
           verdict->text);
    printf("see it: ./dev sim --seed %" PRIu64, failed->seed);
    if (without != 0) {
        printf(" --without 0x%" PRIx64, without);
    }
    if (o->sim.sabotage != SABOTAGE_NONE) {
        printf(" --sabotage %s", sabotage_name(o->sim.sabotage));
    }
    printf(" --trace\n");
    return 1;
}

int main(int argc, char **argv)
{
    struct options o = {.seeds = 5000, .first = 1};
    if (!read_options(argc, argv, &o)) {
        return usage();
    }
    static struct coverage coverage;
    struct sim_verdict verdict;
    if (o.one) {
        sim_run(&o.sim, &coverage, &verdict);
        printf("seed %" PRIu64 ": %" PRIu64 " events, digest %016" PRIx64 "\n", o.sim.seed,
               verdict.events, verdict.digest);
        return verdict.failed ? report(&o, &o.sim, &verdict) : 0;
    }
    time_t end = o.minutes > 0 ? time(NULL) + o.minutes * 60 : 0;
    for (uint64_t i = 0; end != 0 ? time(NULL) < end : i < o.seeds; i++) {
        struct sim_options one = o.sim;
        one.seed = o.first + i;
        sim_run(&one, &coverage, &verdict);
        if (verdict.failed) {
            return report(&o, &one, &verdict);
        }
    }
    coverage_print(&coverage);
    return 0;
}
