/*
 * What the runs of a cluster left behind that no observation shows: read from the store and the journals, for the plan that
 * follows them.
 */
#ifndef LOCKSTEP_CONTROLLER_PAST_H
#define LOCKSTEP_CONTROLLER_PAST_H

#include "controller/controller.h"
#include "lib/plan/plan.h"

/* Extra steps that the runs since the last one that came to its end did, and nobody took back. All in the arena. */
int past_done(struct controller *c, struct arena *arena, const char *cluster,
              struct inventory *ret_inventory, struct error *e);

/* When the starts of services in the runs before this one ended, in order; those since `since_ms`. In the arena. */
struct past_starts {
    int64_t *at_ms;
    size_t count, capacity;
};
int past_starts(struct controller *c, struct arena *arena, const struct stored_run *run,
                int64_t since_ms, struct past_starts *ret, struct error *e);

#endif
