/*
 * One action, carried out. Every action runs in a worker process of its own (lib/io/place starts it), so it may block,
 * and it can be killed and proved dead. The worker outlives the program that started it; it leaves its outcome in
 * its directory. An action looks before it acts: what is so already is DONE.
 */
#ifndef LOCKSTEP_IO_PLATFORM_ACT_H
#define LOCKSTEP_IO_PLATFORM_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/core/outcome.h"
#include "lib/spec/action.h"

/* In work_dir, durable before an action that must not run twice begins. Without it, it has not run. */
#define ACT_INTENT_FILE "command.intent"

struct act {
    struct arena *arena; /* borrowed; lives as long as the action */
    const char *run;     /* the run's id; "" for an observation */
    const char *cluster;
    const char *application;
    const char *step; /* "4.2": phase.step */
    uint32_t attempt;
    uint64_t fence;
    int64_t deadline_ms; /* wall clock, Unix milliseconds: the controller stops waiting then */
    const char
        *program; /* the path of the running program, for helpers of its own (`keep`, `hold`) */
    const char *state_dir; /* the place's own directory: services/, holders/, blobs/ … */
    const char *work_dir;  /* this action's directory; deleted when its run is forgotten */
    const char *
        leash; /* a file that our caller has locked (flock) for as long as it lives: a helper that would outlive it,
                          for what nobody goes on with, ends by itself. NULL: helpers outlive us */
    int log_fd; /* what the action and its commands print; its tail travels with the outcome */

    /* Makes the blob available as a local file; resumes a broken transfer, checks the digest. Blocks. */
    int (*blob)(struct act *act, const char *sha256, const char **ret_path, struct error *e);
    /* Progress for watchers; cheap, call it as often as you like. total 0: not known. */
    void (*progress)(struct act *act, uint64_t done, uint64_t total, const char *text);
    /* Asked between two pieces of work: true ends the action there, E_CANCELLED. May be NULL. */
    bool (*stopped)(struct act *act);
    void *shell; /* of lib/io/place */

    size_t facts_bytes_max; /* of facts; 0: LIMIT_FACTS_BYTES */
    const char *facts;      /* out: canonical JSON, arena; NULL: none */
};

/* DONE is 0. A negative code is FAILED with *e, except E_UNKNOWN, which is OUTCOME_UNKNOWN: it may have run. */
typedef int act_function(struct act *act, const struct action *action, struct error *e);

/* Wall clock, Unix milliseconds. */
int64_t act_now_ms(void);
/* Milliseconds until the deadline, at least 0. */
int64_t act_left_ms(const struct act *act);
bool act_stopped(struct act *act);
/* One line into the action's log, with the time. */
void act_log(struct act *act, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
