/*
 * A pretended world around the fleet machine: a shell with a journal that loses what is not durable, a store of runs,
 * clusters that are planned and moved, other people's runs, words and crashes; all of it from one seed. What really
 * happened is kept beside it and judged by rules that share no code with the machine (fleet_rules.c).
 */
#ifndef LOCKSTEP_TESTS_SIM_FLEET_WORLD_H
#define LOCKSTEP_TESTS_SIM_FLEET_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/limits.h"

/* A shell that is broken on purpose: each must be found. */
enum fleet_sabotage {
    FLEET_SABOTAGE_NONE,
    FLEET_SABOTAGE_START_EARLY,   /* a run is started before its intent is durable */
    FLEET_SABOTAGE_FORGET_RUNS,   /* after a crash no run is found */
    FLEET_SABOTAGE_PROVE_ALL,     /* every stage is said to have shown every way */
    FLEET_SABOTAGE_DEAF,          /* nobody says that a cluster was moved */
    FLEET_SABOTAGE_HASTE,         /* the clock runs an hour ahead in every event */
    FLEET_SABOTAGE_LOSE_APPROVER, /* everybody approves under one name */
    FLEET_SABOTAGES,
};

struct fleet_sim {
    uint64_t seed;
    enum fleet_sabotage sabotage;
    bool calm;             /* no crashes, failures, words and other people */
    uint64_t crash_before; /* this record is durable; 0: never */
    uint64_t crash_after;
    bool trace; /* on standard error */
};
struct fleet_verdict {
    char failed[LIMIT_ERROR_BYTES]; /* "": all rules hold */
    uint64_t records, starts, crashes, words, moves;
    const char *end;  /* fleet_state_name() */
    uint64_t reached; /* one bit for each cluster that is where it should be */
};
void fleet_sim_run(const struct fleet_sim *sim, struct fleet_verdict *ret);

#endif
