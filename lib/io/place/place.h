/*
 * A place: where steps run. It carries out the effects of the agent machine (lib/core/agent.h): a
 * journal of its own, one worker process per action, answers from the journal. The node's agent is
 * a place behind a gRPC session; the executor of databases is a place inside lockstepd. Orders come
 * in, reports go out (lib/wire/message.h).
 *
 * In its state directory:
 *   place.db                          the journal
 *   worker.json                       what a worker needs to know (place_worker_config)
 *   blobs/SHA256                      archives and scripts, by digest
 *   work/RUN/PHASE.STEP.ATTEMPT/      instruction, log, outcome; `lock`: while the worker lives
 *   services, holders, permits        what outlives a run (lib/io/platform, lib/io/db)
 */
#ifndef LOCKSTEP_IO_PLACE_PLACE_H
#define LOCKSTEP_IO_PLACE_PLACE_H

#include <stdint.h>

#include <uv.h>

#include "lib/base/error.h"
#include "lib/wire/message.h"

struct place;

/* Where a worker finds blobs that are not in `blobs` yet. */
struct place_worker_config {
    const char *blobs; /* directory */
    const char *host;  /* the controller; NULL: everything is in `blobs` */
    uint16_t port;
    const char *server_name;
    const char *ca_file, *certificate_file, *key_file;
};

struct place_options {
    const char *state_dir;
    const char *program; /* its own path: `program act STATE DIR` is a worker */
    struct place_worker_config worker;
    uint64_t crash_before, crash_after; /* journal.h */
    /* On the loop; the report is borrowed for the call. It must not give orders to this place from
     * inside. */
    void (*report)(void *context, const struct wire_report *report);
    /* The journal is broken: stop. */
    void (*failed)(void *context, const struct error *e);
    void *context;
};

/* Opens the journal and goes on where an earlier life stopped. */
int place_open(uv_loop_t *loop, const struct place_options *options, struct place **ret,
               struct error *e);
/* Lets go of workers (they live on) and frees. The loop must run once more. */
struct place *place_close(struct place *p);

/* instruction, observe, unobserve, watch and forget orders; `welcome` is the session's business and ignored. */
void place_order(struct place *p, const struct wire_order *order);
/* The controller listens (again), and its fence is this: what has ended is reported again. */
void place_connected(struct place *p, uint64_t fence);

/* From time to time, such as with a heartbeat: what runs asked to watch is looked at, and reported when it has changed. */
void place_look(struct place *p);

uint64_t place_fence(const struct place *p);
uint32_t place_under_way(const struct place *p);

/* The worker's main: argv is {"act", STATE, DIR}. Returns the exit status. */
int place_worker_main(int argc, char **argv);

#endif
