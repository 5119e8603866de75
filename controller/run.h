/* The inside of a run, shared by runs.c (the shell of its machine) and watch.c (what watchers see
 * of it). */
#ifndef LOCKSTEP_CONTROLLER_RUN_H
#define LOCKSTEP_CONTROLLER_RUN_H

#include "controller/runs.h"

/* What waits for a record to be durable. In the order of the records. */
enum waiting_kind {
    WAITING_SEND,  /* instruct a place */
    WAITING_STATE, /* write the run's state to the store */
    WAITING_TELL,  /* tell the watchers */
};
struct waiting {
    struct waiting *next;
    enum waiting_kind kind;
    uint64_t number;          /* of the journal */
    struct step_key key;      /* SEND */
    int64_t deadline_ms;      /* SEND */
    uint32_t known;           /* SEND */
    struct step_key last;     /* SEND */
    enum rollout_state state; /* STATE */
    enum cause cause;         /* STATE */
    bool first;               /* STATE: the run's first record */
    char *why;                /* STATE; owned */
    size_t events;            /* TELL: of the log, up to here */
};

struct watch_log {
    struct bytes *events; /* packed WatchEvents in the run's arena; number 1 first */
    size_t count;
    size_t capacity;
    size_t durable;      /* watchers are told these: the rest may still be lost */
    uint32_t phase_told; /* the last phase told, plus one */
};

struct run {
    struct run *next;              /* owned by runs->first, until it is over */
    struct controller *controller; /* borrowed */
    struct arena arena;            /* the plan, the machine, the log */
    const char *id;
    const char *cluster;
    const char *plan_id;
    struct bytes plan_json;
    const char *state_name; /* what places keep their state under */
    int64_t started_ms;
    const char *takes_back; /* the run that it takes back; NULL: none */
    struct plan plan;
    struct rollout *machine; /* NULL: read back from the journal for watchers only */
    struct took *took;       /* with a machine: how long its steps took */
    uint64_t last_number;    /* of the journal: its newest record */
    struct waiting *waiting, **waiting_end;
    uv_timer_t timer;
    struct watch_log log;
    struct watcher *watchers; /* owned */
    bool ended;               /* its end is durable */
    bool over;                /* nothing more will come; freed with its last watcher */
};

/* A run that is not over, or NULL. */
struct run *runs_find(struct controller *c, const char *id);
/* Reads a run and its plan; no machine. E_NOT_FOUND. Freed by run_free(). */
int run_read(struct controller *c, const char *id, struct run **ret, struct error *e);
void run_free(struct run *run);

/* Adds the events of a record to the log. They are told with watch_tell(). */
void watch_record(struct run *run, const struct record *record);
/* The first `events` of the log cannot be lost any more: tells them. */
void watch_tell(struct run *run, size_t events);
/* Tells what is not kept. */
void watch_progress(struct run *run, const struct step_key *key, const struct wire_report *report);
void watch_line(struct run *run, const char *text);
/* There will be no more events: the run is freed, at once or with its last watcher. */
void watch_over(struct run *run);

#endif
