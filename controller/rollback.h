/*
 * What follows a run that ended with the wish to be taken back: the way to the version that it came from is planned from what is
 * there, and started as a run of its own, through the same proof and budget as any other. The store knows such a run until
 * another one of its cluster follows, so that a controller that dies in between goes on. While the plan is refused (a node is
 * away) it is tried again; an operator's own run of the cluster takes its place.
 */
#ifndef LOCKSTEP_CONTROLLER_ROLLBACK_H
#define LOCKSTEP_CONTROLLER_ROLLBACK_H

#include "controller/controller.h"

/* All that the store knows; after runs_open(). */
int rollbacks_open(struct controller *c, struct error *e);
void rollbacks_close(struct controller *c);
/* The run has ended and is to be taken back; copies its name. Nothing happens inside this call. */
void rollback_begin(struct controller *c, const char *run);
/* Why it could not be planned so far, borrowed until the next try; NULL: it is not to be, or nothing is known against it. */
const char *rollback_problem(const struct controller *c, const char *run);
#define ROLLBACK_AGAIN_MS 2000

#endif
