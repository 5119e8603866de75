/*
 * How long the steps of one run took, gathered from its records as they are made or read back. Only what was DONE counts: what failed
 * says nothing about how long the thing takes.
 */
#ifndef LOCKSTEP_CONTROLLER_TOOK_H
#define LOCKSTEP_CONTROLLER_TOOK_H

#include "lib/core/rollout.h"
#include "lib/io/store/store.h"

#define TOOK_PLACES_MAX                                                                            \
    64 /* of one step that have a line of their own; where more did it, one line is of all */

struct took;

/* Lives in the arena; borrows the plan. */
struct took *took_new(struct arena *arena, const struct plan *plan);
void took_note(struct took *t, const struct record *record);
/* A line for each step, release and place, and for each script, in the arena. */
void took_list(struct took *t, struct arena *arena, struct stored_took **ret, size_t *ret_count);

#endif
