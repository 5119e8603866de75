/*
 * What the extra steps of earlier runs have done and nobody has taken back yet, from the runs' own journals: the oldest run
 * first, each record in its order. A run that came to its end leaves nothing to take back.
 */
#ifndef LOCKSTEP_CORE_DONE_H
#define LOCKSTEP_CORE_DONE_H

#include "lib/core/rollout.h"

struct done;

struct done *done_new(struct arena *arena);
/* The records that follow are of this run. The plan's and the run's text are borrowed until the list is not used any more. */
void done_run(struct done *d, const struct plan *plan, const char *run);
void done_note(struct done *d, const struct record *record);
/* In the order in which they were begun. What was begun and did not end well, or was taken back half-way, is not sure. */
void done_list(struct done *d, struct done_step **ret_items, size_t *ret_count);

#endif
