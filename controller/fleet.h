/* The inside of a fleet that is not over, shared by fleets.c (the shell of its machine) and the
 * files that it is split into. */
#ifndef LOCKSTEP_CONTROLLER_FLEET_H
#define LOCKSTEP_CONTROLLER_FLEET_H

#include "controller/fleets.h"

/* What waits for a record to be durable, in the order of the records. */
struct fleet_waiting {
    struct fleet_waiting *next;
    uint64_t number; /* of the journal */
    bool start;      /* START; else the store is told the state */
    uint32_t member, attempt;
    enum fleet_state state;
    char *text; /* owned; START: the plan's id; else why, NULL: nothing to say */
};

/* What the machine hears next: an answer never comes from inside a step. All strings are the arena's. */
struct fleet_answer {
    struct fleet_answer *next;
    struct arena arena;
    struct fleet_event event;
};

struct fleet_run {
    struct fleet_run *next;        /* owned by controller->fleets, until it is over */
    struct controller *controller; /* borrowed */
    struct arena arena;            /* the spec, the machine */
    struct stored_fleet stored;
    const char *stream; /* of the journal */
    const struct fleet_spec *spec;
    struct fleet *machine;
    uint64_t last_number; /* of the journal: its newest record */
    struct fleet_waiting *waiting, **waiting_end;
    struct fleet_answer *answers, **answers_end;
    bool stepping;
    uv_timer_t timer;
    struct member_planning *plannings; /* owned; under way */
    struct fleet_watcher *watchers;    /* owned */
    bool ended;                        /* its end is durable */
};

/* Tells the machine: now, or when it has done what it is at. Copies what the event says. */
void fleet_hear(struct fleet_run *f, const struct fleet_event *event);
/* "ID.3.1": of a member's attempt. In the arena. */
const char *fleet_key(const struct fleet_run *f, struct arena *arena, uint32_t member,
                      uint32_t attempt);
/* Reads a fleet and replays its journal. Freed by fleet_free(). */
int fleet_read(struct controller *c, const struct stored_fleet *stored, struct fleet_run **ret,
               struct error *e);
void fleet_free(struct fleet_run *f);

/* fleet_plans.c */
/* Plans a member from the newest revision of its cluster; the machine hears PLANNED or REFUSED. */
void fleet_plan_member(struct fleet_run *f, uint32_t member, uint32_t attempt);
void fleet_forget_plans(struct fleet_run *f);

/* fleet_runs.c */
/* The machine hears how a run stands, and that another's moves a member. */
void fleet_hear_run(struct fleet_run *f, uint32_t member, uint32_t attempt,
                    const struct stored_run *run);
void fleet_hear_move(struct fleet_run *f, uint32_t member, const struct stored_run *run);
/* The effects FIND and EVIDENCE. */
void fleet_find_run(struct fleet_run *f, uint32_t member, uint32_t attempt);
void fleet_keep_evidence(struct fleet_run *f, const struct fleet_effect *effect);

/* fleet_watch.c */
void fleet_tell(struct fleet_run *f);
/* The last status, and the calls are finished. */
void fleet_tell_end(struct fleet_run *f);

#endif
