/*
 * Who wants to hear of a run: the webhooks that its cluster names under `notify`. Each event is a POST of one JSON object, tried
 * a few times beside everything else. A run never waits for it and never fails because of it; what could not be delivered
 * is logged, and a controller that ends forgets it.
 */
#ifndef LOCKSTEP_CONTROLLER_NOTIFY_H
#define LOCKSTEP_CONTROLLER_NOTIFY_H

#include "controller/run.h"

/* A state of the run is durable. `first`: it has just begun. */
void notify_state(struct run *run, const struct waiting *state);
void notify_close(struct controller *c);

#endif
