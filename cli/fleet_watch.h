/* What is shown of a fleet, and following one until it ends or waits for a person. */
#ifndef LOCKSTEP_CLI_FLEET_WATCH_H
#define LOCKSTEP_CLI_FLEET_WATCH_H

#include <jansson.h>

#include "cli/remote.h"
#include "cli/verb.h"

/* A few words and a table. */
void fleet_put(struct arena *arena, const Lockstep__V1__FleetStatus *status, struct buf *out);
json_t *fleet_json(const Lockstep__V1__FleetStatus *status);
/* `fleet` is an id or a name, NULL: the newest. An enum cli_exit; everything has been said. `stay`: through pauses and gates. */
int fleet_follow(struct context *c, struct remote *r, const char *fleet, bool stay);

#endif
