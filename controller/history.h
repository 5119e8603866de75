/*
 * How long things took: what runs that are over have shown, and rehearsals. Runs leave a few lines in the store when they end; a
 * journal of 10,000 nodes has some hundred thousand records, and is not read again for each plan.
 */
#ifndef LOCKSTEP_CONTROLLER_HISTORY_H
#define LOCKSTEP_CONTROLLER_HISTORY_H

#include "controller/run.h"

#define HISTORY_KNOWN_MAX 20000 /* that travel with one plan */

/* The run ends: keeps what its steps took. */
int history_keep(struct run *run, struct error *e);

/* What is known of a plan's steps, for who shows it: its scripts first (a run's time before a rehearsal's), then its other steps,
 * each of this cluster and this release, else of this cluster, else of other clusters of the application. */
int history_known(struct controller *c, struct arena *arena, const struct plan *plan,
                  Lockstep__V1__Known ***ret, size_t *ret_count, struct error *e);

#endif
