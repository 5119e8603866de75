/* The inside of a run, shared by runs.c (the shell of its machine) and watch.c (what watchers see
 * of it). */
#ifndef LOCKSTEP_CONTROLLER_RUN_H
#define LOCKSTEP_CONTROLLER_RUN_H

#include "controller/runs.h"

/* What waits for a record to be durable. In the order of the records. */
struct waiting {
    struct waiting *next;
    uint64_t number; /* of the journal */
    bool is_state;   /* write the run's state to the store; else instruct */
    struct step_key key;
    int64_t deadline_ms;
    enum rollout_state state;
    char *why; /* owned */
};

struct watch_log {
    struct bytes *events; /* packed WatchEvents in the run's arena; number 1 first */
    size_t count;
    size_t capacity;
    uint32_t phase_told; /* the last phase told, plus one */
};

struct run {
    struct run *next;              /* owned by runs->first, when it is not over */
    struct controller *controller; /* borrowed */
    struct arena arena;            /* the plan, the machine, the log */
    const char *id;
    const char *cluster;
    const char *plan_id;
    struct bytes plan_json;
    const char *state_name; /* what places keep their state under */
    int64_t started_ms;
    struct plan plan;
    struct rollout *machine; /* NULL: read back from the journal for watchers only */
    uint64_t last_number;    /* of the journal: its newest record */
    struct waiting *waiting, **waiting_end;
    uv_timer_t timer;
    struct watch_log log;
    struct watcher *watchers;
    enum rollout_state state_told; /* the newest in the log */
    bool over;                     /* the end is durable */
};

/* A run that is not over, or NULL. */
struct run *runs_find(struct controller *c, const char *id);
/* Reads a run and its plan; no machine. E_NOT_FOUND. Freed by run_free(). */
int run_read(struct controller *c, const char *id, struct run **ret, struct error *e);
void run_free(struct run *run);

/* Adds the events of a record, and tells the watchers. */
void watch_record(struct run *run, const struct record *record);
/* Tells what is not kept. */
void watch_progress(struct run *run, const struct step_key *key, const struct wire_report *report);
void watch_line(struct run *run, const char *text);
/* There will be no more events. Frees the watchers. */
void watch_over(struct run *run);

#endif
