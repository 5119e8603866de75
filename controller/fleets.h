/*
 * The shell of the fleet machine (lib/core/fleet.h): one struct per fleet that is not over. It carries out the machine's
 * effects, in order.
 *
 *   effect RECORD ──> journal_append       effect START ──> waits for its record ──> runs_start
 *   effect PLAN ──> planning (fleet_plans.c)      FIND, EVIDENCE ──> the store
 *   plan, run, word, time ──> the machine          every change ──> watchers (fleet_watch.c)
 *
 * A member's run carries the fleet, the member and the attempt as its key, which no two runs of the store have.
 */
#ifndef LOCKSTEP_CONTROLLER_FLEETS_H
#define LOCKSTEP_CONTROLLER_FLEETS_H

#include "controller/controller.h"
#include "lib/core/fleet.h"
#include "proto/operator.pb-c.h"

/* After runs_open(): reads the fleets that are not over, and goes on with them. */
int fleets_open(struct controller *c, struct error *e);
void fleets_close(struct controller *c);

/* Begins; `spec` is what the bundle holds. *ret_id is in the arena. E_CONFLICT: one of this name is not over. */
struct fleets_request {
    const Lockstep__V1__Bundle *bundle;
    const struct spec *spec;
    const char *who;
    bool acknowledged; /* release notes that ask for it were seen */
};
int fleets_apply(struct controller *c, struct arena *arena, const struct fleets_request *request,
                 const char **ret_id, struct error *e);
/* An operator's word to the fleet of this id. E_NOT_FOUND, E_CONFLICT with the reason. *ret_state: after it. */
int fleets_word(struct controller *c, const char *id, const struct fleet_event *word,
                const char **ret_state, struct error *e);

/* What happens to the fleets. */
void fleets_durable(struct controller *c, uint64_t number);
/* The store has a new state of a run. */
void fleets_run_is(struct controller *c, const char *cluster, const char *run);
/* A run of no fleet begins. */
void fleets_moved(struct controller *c, const struct stored_run *run);

/* ---- looking (fleet_watch.c) ---- */
/* In the arena. Of a fleet that cannot be read back: what the store says, and why. */
Lockstep__V1__FleetStatus *fleets_status(struct controller *c, struct arena *arena,
                                         const struct stored_fleet *stored);
struct fleet_watcher;
/* A status at once, and one at each change, none lost but the ones between; the call is finished after an end.
 * NULL: it was over, and the call is finished already. */
struct fleet_watcher *fleets_watch(struct controller *c, struct rpc_call *call, const char *id,
                                   bool once);
void fleets_watch_go_on(struct fleet_watcher *w);
void fleets_unwatch(struct fleet_watcher *w);

#endif
