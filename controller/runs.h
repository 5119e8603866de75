/*
 * The shell of the rollout machine: one struct per run that is not over. It carries out the
 * machine's effects, in order, over the journal and the sessions, and tells watchers.
 *
 *   effect RECORD ──> journal_append       effect SEND ──> waits for its record ──> sessions_send
 *   journal durable ──> what waited        outcome, word, time, place up or down ──> the machine
 */
#ifndef LOCKSTEP_CONTROLLER_RUNS_H
#define LOCKSTEP_CONTROLLER_RUNS_H

#include "controller/controller.h"
#include "lib/core/rollout.h"
#include "lib/plan/plan.h"
#include "lib/wire/message.h"
#include "proto/operator.pb-c.h"

/* Reads the runs that are not over, replays their records, and goes on with them. */
int runs_open(struct controller *c, struct error *e);
void runs_close(struct controller *c);

/* Starts a run of a plan that the store has. *ret_run is in the arena. E_CONFLICT: the cluster has a run that is not over. */
struct run_start {
    const char *plan_id;
    const char *who;
    const char *why;        /* for its journal; NULL: nothing to say */
    const char *takes_back; /* the run that it takes back; NULL: none */
    const char *fleet_key;  /* no two runs have the same; NULL: it is of no fleet */
};
int runs_start(struct controller *c, struct arena *arena, const struct run_start *start,
               const char **ret_run, struct error *e);
/* An operator's word. E_NOT_FOUND, E_CONFLICT (not legal in this state, with the reason).
 * *ret_state: the state after it. */
int runs_word(struct controller *c, const char *id, const struct word_event *word,
              const char **ret_state, struct error *e);
/* The state of a run, and why; of the store when it is over. NULL: unknown. */
const char *runs_why(struct controller *c, const char *id);

/* What happens to the runs. */
void runs_durable(struct controller *c, uint64_t number);
void runs_ended(struct controller *c, const char *place, const struct wire_report *report);
/* It holds a step that has not ended, perhaps of a run that has. */
void runs_busy(struct controller *c, const struct wire_report *report);
void runs_progress(struct controller *c, const char *place, const struct wire_report *report);
/* An agent says whether the service runs that a run asked it to watch. */
void runs_serving(struct controller *c, const char *place, const struct wire_report *report);
void runs_place_up(struct controller *c, const char *place);
void runs_place_down(struct controller *c, const char *place);

/* ---- watching (watch.c) ----
 * Every event of a run after number `after`, then the new ones as they come; `over` when there will
 * be no more. Events come from the records of the journal, so their numbers are the same after a
 * restart; progress has number 0 and is not repeated. The first event is always a WatchRun. */
struct watcher;
struct watch_callbacks {
    /* False: full for now; runs_watch_go_on() when it drained. The event is borrowed for the call.
     */
    bool (*seen)(void *context, const Lockstep__V1__WatchEvent *event);
    void (*over)(void *context); /* the watcher is gone after it */
    void *context;
};
/* Nothing comes from inside this call. NULL with *e: no such run. */
struct watcher *runs_watch(struct controller *c, const char *id, uint64_t after,
                           const struct watch_callbacks *callbacks, struct error *e);
void runs_watch_go_on(struct watcher *w);
void runs_unwatch(struct watcher *w);

#endif
