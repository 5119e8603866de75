/*
 * What the parts of lockstepd share. Everything here belongs to the loop's thread; work that blocks
 * (artifacts) is handed to libuv's pool and comes back to it.
 *
 *   operators ──> operator_api ──> planning ──> observe (sessions), releases (pool) ──> lib/plan
 *                              └─> runs ──> lib/core/rollout ──> journal, sessions
 *   agents ─────> agent_api ───> sessions ──> runs (outcomes), observe (answers)
 */
#ifndef LOCKSTEP_CONTROLLER_CONTROLLER_H
#define LOCKSTEP_CONTROLLER_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "controller/options.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/io/rpc/pki.h"
#include "lib/io/rpc/rpc.h"
#include "lib/io/store/journal.h"
#include "lib/io/store/store.h"

#define PROGRAM "lockstepd"

struct sessions;
struct runs;
struct rollback;
struct post;
struct rehearsal_call;
struct fleet_run;

struct controller {
    uv_loop_t loop;
    struct arena arena; /* as long as the program */
    const struct controller_options *options;
    const char *blobs_dir;
    struct pki_identity ca;
    const char *ca_fingerprint;
    uint64_t fence;
    uint64_t fence_told; /* the last one that an instruction carried */
    struct store *store;
    struct journal *journal;
    struct sessions *sessions;
    struct runs *runs;
    struct rollback *rollbacks;        /* runs that ended and are to be taken back */
    struct post *posts;                /* events that webhooks have not been told yet */
    struct rehearsal_call *rehearsals; /* under way */
    struct fleet_run *fleets;          /* those that are not over */
    struct rpc_server *server;
    bool stopping; /* what places say is not heard any more: the next life asks again */
    int status;    /* of the program, once it stops */
};

/* Logs and stops the program: what it keeps can no longer be trusted to be kept. */
void controller_fail(struct controller *c, const struct error *e);
/* A node has seen a higher fence than ours, after instructions carried ours: another controller has taken over, which has a copy
 * of the store. Stops the program with a status of its own; nothing more is decided. */
void controller_taken_over(struct controller *c, const char *node, uint64_t fence);
#define CONTROLLER_TAKEN_OVER 3
/* Somebody has seen a higher fence than ours (a store that was restored from a backup): ours goes above it. False for a number
 * that no controller's starts can have made: it would end the fence for good. */
bool controller_rise_above(struct controller *c, uint64_t fence);
/* What a database has seen. Goes above an equal one too, where no instruction of ours carried it: it is another's, who may
 * still be at work with it. */
bool controller_rise_past(struct controller *c, uint64_t fence);
#define CONTROLLER_FENCE_LEAP ((uint64_t)1 << 24)

#endif
