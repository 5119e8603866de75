/* Attempts that failed and may not simply be made again. */
#ifndef LOCKSTEP_CONTROLLER_QUARANTINE_H
#define LOCKSTEP_CONTROLLER_QUARANTINE_H

#include "controller/run.h"

/* The run has ended in this state, before the store knows: what it tried goes into quarantine, or comes out of it. */
int quarantine_note(struct run *run, enum rollout_state end, struct error *e);
/* Is what the plan tries in quarantine? *ret says which run failed, when and where, in the arena; NULL: it is not. */
int quarantine_words(struct controller *c, struct arena *arena, const struct plan *plan,
                     const char **ret, struct error *e);
/* The same for a cluster whose specs have this digest and want this version, from wherever it failed. */
int quarantine_of_cluster(struct controller *c, struct arena *arena, const char *cluster,
                          const char *spec, const char *to, const char **ret, struct error *e);

#endif
