/*
 * What keeps a node from beginning its phase, beside the phase's own `parallel`: as many nodes are down as the plan
 * allows, the partner of its failover pair is down, or as many services were started as the plan allows in a time.
 * Private to lib/core.
 *
 * A node is down when it stands in the middle of a phase that takes its nodes down, and when nobody has said that its service
 * runs: what is not known is not well (a controller that has just started waits until the agents have told it). A
 * node that was left behind is no exception: users miss it as long as it is down, so the others wait for it; it is named with
 * what is waited for, and who mends it, or aborts, ends the wait. Once it serves again, in whichever release, it does not count.
 *
 * The pace counts each start from the moment a node begins the phase that brings it until a time after it ended, so that the promise
 * holds whenever in between the service really started. All of it comes from the journal but the wellness, and the starts of
 * earlier runs, which are in theirs.
 */
#ifndef LOCKSTEP_CORE_HOLD_H
#define LOCKSTEP_CORE_HOLD_H

#include "lib/core/layout.h"

enum hold_why {
    HOLD_NOTHING, /* waits for nothing */
    HOLD_BUDGET,  /* waits until a node that is down is well again */
    HOLD_PAIR,    /* waits until the partner is well again */
    HOLD_PACE,    /* waits for hold.until_ms */
};

struct hold_phase {
    uint32_t starts; /* how often a node's service is started in it; of scope once: in all */
    bool leaves_up,
        leaves_down; /* what its last step on the service makes of it; neither: nothing */
};

struct hold {
    const struct layout *layout; /* borrowed */
    struct hold_phase *phases;
    uint32_t budget; /* nodes that may be down; 0: any number, and nobody asks who is well */
    uint32_t down;
    bool *well, *middle; /* by slot */
    bool *told;          /* by slot: somebody has said how it is */
    uint32_t *partner;   /* by slot; HOLD_ALONE */
    uint32_t at_most;    /* starts within within_ms; 0: any number */
    int64_t within_ms;
    int64_t *ended_ms; /* a ring of the last at_most starts that have ended */
    uint32_t head, count;
    uint32_t open;     /* starts that have begun, or will with what has begun */
    uint32_t *pending; /* of those by slot, in a phase of nodes */
    /* of the last hold_allows() */
    enum hold_why why;
    uint32_t slot;
    int64_t until_ms; /* PACE; else INT64_MAX */
};
#define HOLD_ALONE UINT32_MAX

void hold_init(struct hold *h, struct arena *arena, const struct layout *layout);

/* May the slot begin the phase now? When not, the hold says why. */
bool hold_allows(struct hold *h, uint32_t phase, uint32_t slot, int64_t now_ms);
/* Nothing waits, or something else. */
void hold_clear(struct hold *h);

/* ---- what the walk notes ---- */
void hold_begun(struct hold *h, uint32_t phase, uint32_t slot); /* its first step */
void hold_again(struct hold *h, const struct step_key *key);    /* one more attempt of a step */
void hold_ended(struct hold *h, const struct step_key *key, int64_t at_ms); /* an attempt */
void hold_finished(struct hold *h, uint32_t phase, uint32_t slot);
/* It takes no further part: it is as well as its agent says. */
void hold_left(struct hold *h, uint32_t phase, uint32_t slot);
/* The phase is over: none of these is in the middle any more. */
void hold_phase_over(struct hold *h, uint32_t phase);

/* A start of an earlier run ended then; in order, before any of this run. */
void hold_started_before(struct hold *h, int64_t at_ms);

/* Somebody says whether the service runs there. */
void hold_set_well(struct hold *h, uint32_t slot, bool well);
/* Nobody can say it any more: its agent is gone. */
void hold_lost(struct hold *h, uint32_t slot);

/* What it waits for, in words; "" when it waits for nothing. `up`: is the slot's agent connected? */
void hold_words(const struct hold *h, bool (*up)(const void *context, uint32_t slot),
                const void *context, char *ret, size_t size);

#endif
