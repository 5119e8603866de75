/*
 * How a step ended at its place: the one word that agents, journals and the rollout machine share.
 */
#ifndef LOCKSTEP_CORE_OUTCOME_H
#define LOCKSTEP_CORE_OUTCOME_H

#include <stdint.h>

enum outcome_status {
    OUTCOME_DONE,    /* it is so now, whether this attempt changed something or found it so */
    OUTCOME_FAILED,  /* it is not so, and nothing is half-done that a retry would double */
    OUTCOME_UNKNOWN, /* it may or may not have run: a person decides; never retried (rule 1) */
};

struct outcome {
    enum outcome_status status;
    int code;             /* enum lockstep_error when not DONE */
    const char *message;  /* for people; borrowed */
    const char *log_tail; /* borrowed; may be NULL */
    const char
        *facts; /* canonical JSON an action may add ("{\"rows\":276}"); borrowed; may be NULL */
    int64_t started_ms; /* wall clock of the place, Unix milliseconds */
    int64_t ended_ms;
};

const char *outcome_status_name(enum outcome_status status);

#endif
