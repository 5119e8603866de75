/*
 * ./dev sim: many seeds, or one with its trace, or the crash matrix. It ends with 1 and the command that repeats it when an
 * invariant fails, with 0 when none does; and always with the counts of what was tried.
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
    bool one, matrix;
    uint64_t seeds, first, steps, minutes, stride;
};

static int usage(void)
{
    fprintf(stderr,
            "usage: ./dev sim [--seeds N] [--first S] [--steps N] [--minutes M] [--only FAULT]\n"
            "       ./dev sim --seed S [--steps N] [--without MASK] [--only FAULT] [--trace]\n"
            "       ./dev sim --matrix [--stride N]\n"
            "       ./dev sim --seed S --kind K [--controller-at N | --place P --place-at N | "
            "--message-at N] [--after] [--and-agents] [--trace]\n"
            "--steps: go on with the seeds that follow until N things have happened.\n"
            "--only: worlds that are ill in one way, by its number in the list of faults, from 1.\n"
            "--sabotage NAME: break something on purpose, to see it found. NAME is one of\n"
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
    for (int i = 0; i < SABOTAGES && name != NULL; i++) {
        if (str_equal(name, sabotage_name((enum sabotage)i))) {
            *ret = (enum sabotage)i;
            return true;
        }
    }
    return false;
}

static bool read_flag(struct options *o, const char *name)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = {{"--trace", &o->sim.trace},
                 {"--matrix", &o->matrix},
                 {"--after", &o->sim.script.after},
                 {"--and-agents", &o->sim.script.and_agents}};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (str_equal(name, flags[i].name)) {
            *flags[i].value = true;
            return true;
        }
    }
    return false;
}

static bool read_value(struct options *o, const char *name, const char *text)
{
    uint64_t kind = 0;
    uint64_t only = 0;
    uint64_t place = 0;
    const struct {
        const char *name;
        uint64_t *value, max;
    } values[] = {{"--seed", &o->sim.seed, UINT64_MAX},
                  {"--without", &o->sim.without, UINT64_MAX},
                  {"--seeds", &o->seeds, UINT64_MAX},
                  {"--first", &o->first, UINT64_MAX},
                  {"--steps", &o->steps, UINT64_MAX},
                  {"--minutes", &o->minutes, UINT32_MAX},
                  {"--stride", &o->stride, UINT32_MAX},
                  {"--only", &only, FAULT_KINDS},
                  {"--kind", &kind, KINDS - 1},
                  {"--place", &place, SIM_PLACES_MAX - 1},
                  {"--place-at", &o->sim.script.place_at, UINT64_MAX},
                  {"--controller-at", &o->sim.script.controller_at, UINT64_MAX},
                  {"--message-at", &o->sim.script.message_at, UINT64_MAX}};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (!str_equal(name, values[i].name)) {
            continue;
        }
        if (!read_number(text, values[i].value) || *values[i].value > values[i].max) {
            return false;
        }
        o->one = o->one || values[i].value == &o->sim.seed;
        o->sim.kind = values[i].value == &kind ? (enum sim_kind)kind : o->sim.kind;
        o->sim.only = values[i].value == &only ? (int)only : o->sim.only;
        o->sim.script.place = values[i].value == &place ? (uint32_t)place : o->sim.script.place;
        return true;
    }
    return false;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (read_flag(o, argv[i])) {
            continue;
        }
        bool sabotage = str_equal(argv[i], "--sabotage");
        if (!(sabotage ? read_sabotage(value, &o->sim.sabotage) : read_value(o, argv[i], value))) {
            return false;
        }
        i++;
    }
    return o->stride > 0;
}

static void print_script(const struct sim_options *o)
{
    const struct sim_script *s = &o->script;
    printf(" --kind %d", (int)o->kind);
    if (s->controller_at != 0) {
        printf(" --controller-at %" PRIu64, s->controller_at);
    }
    if (s->place_at != 0) {
        printf(" --place %u --place-at %" PRIu64, (unsigned)s->place, s->place_at);
    }
    if (s->message_at != 0) {
        printf(" --message-at %" PRIu64, s->message_at);
    }
    printf("%s%s", s->after ? " --after" : "", s->and_agents ? " --and-agents" : "");
}

static int report(const struct sim_options *failed, const struct sim_verdict *verdict)
{
    uint64_t without = sim_shrink(failed, verdict);
    printf("seed %" PRIu64 " FAILED: %s: %s\n", failed->seed, rule_name(verdict->rule),
           verdict->text);
    printf("see it: ./dev sim --seed %" PRIu64, failed->seed);
    if (without != 0) {
        printf(" --without 0x%" PRIx64, without);
    }
    if (failed->only != 0) {
        printf(" --only %d", failed->only);
    }
    if (failed->kind != KIND_RANDOM) {
        print_script(failed);
    }
    if (failed->sabotage != SABOTAGE_NONE) {
        printf(" --sabotage %s", sabotage_name(failed->sabotage));
    }
    printf(" --trace\n");
    return 1;
}

static int one(const struct options *o, struct coverage *coverage)
{
    struct sim_verdict verdict;
    sim_run(&o->sim, coverage, &verdict);
    printf("seed %" PRIu64 ": %" PRIu64 " events, digest %016" PRIx64 "\n", o->sim.seed,
           verdict.events, verdict.digest);
    return verdict.failed ? report(&o->sim, &verdict) : 0;
}

static int matrix(const struct options *o, struct coverage *coverage)
{
    int status = 0;
    for (int kind = KIND_RANDOM + 1; kind < KINDS && status == 0; kind++) {
        struct sim_options failed;
        struct sim_verdict verdict;
        size_t cases = matrix_run((enum sim_kind)kind, o->stride, coverage, &failed, &verdict);
        printf("%s: %zu cases\n", sim_kind_name((enum sim_kind)kind), cases);
        status = verdict.failed ? report(&failed, &verdict) : 0;
    }
    return status;
}

static int many(const struct options *o, struct coverage *coverage)
{
    time_t end = o->minutes > 0 ? time(NULL) + (time_t)o->minutes * 60 : 0;
    uint64_t first = o->one ? o->sim.seed : o->first;
    uint64_t digest = 0;
    for (uint64_t i = 0;; i++) {
        bool over = end != 0        ? time(NULL) >= end
                    : o->steps != 0 ? coverage->events >= o->steps
                                    : i >= o->seeds;
        if (over) {
            break;
        }
        struct sim_options next = o->sim;
        struct sim_verdict verdict;
        next.seed = first + i;
        sim_run(&next, coverage, &verdict);
        digest = digest * 31 + verdict.digest;
        if (verdict.failed) {
            return report(&next, &verdict);
        }
    }
    printf("from seed %" PRIu64 " on, digest %016" PRIx64 "\n", first, digest);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.seeds = 5000, .first = 1, .stride = 1};
    if (!read_options(argc, argv, &o)) {
        return usage();
    }
    static struct coverage coverage;
    if (o.one && o.steps == 0 && o.minutes == 0) {
        return one(&o, &coverage);
    }
    int status = o.matrix ? matrix(&o, &coverage) : many(&o, &coverage);
    coverage_print(&coverage);
    return status;
}
