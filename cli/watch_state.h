/*
 * What a watcher knows of a run: the plan, and what the events said of each step at each place. Pure:
 * events and the time come in, texts go out (watch_lines.c, watch_live.c, watch_summary.c). All
 * times are the controller's clock, Unix milliseconds.
 */
#ifndef LOCKSTEP_CLI_WATCH_STATE_H
#define LOCKSTEP_CLI_WATCH_STATE_H

#include <jansson.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/core/rollout.h"
#include "lib/plan/durations.h"
#include "lib/plan/plan.h"
#include "proto/operator.pb-c.h"

#define WATCH_TEXT_BYTES   160 /* of a progress text that is kept */
#define WATCH_FAILURES_MAX 100 /* kept for the end */
/* What answers a pause, and a gate; of a run. */
#define WATCH_ANSWER  "lockstep retry, skip, exclude, rollback or abort %s"
#define WATCH_APPROVE "lockstep approve %s, as approver or admin; each person counts once"

enum slot_state { SLOT_WAITING, SLOT_UNDER_WAY, SLOT_DONE, SLOT_FAILED, SLOT_UNKNOWN };

/* Where a node stands in a phase; in a phase of scope once: how one of its steps stands. */
struct watch_slot {
    const char *place; /* borrowed from the plan */
    uint32_t step;     /* the current or last one */
    uint32_t steps_done;
    uint32_t attempt;
    enum slot_state state;
    int64_t since_ms; /* of the state */
    uint64_t done, total;
    char text[WATCH_TEXT_BYTES]; /* the newest progress */
};

struct name_at {
    const char *name;
    size_t at;
};
/* Sorted by name. */
struct name_index {
    struct name_at *items;
    size_t count;
};

struct watch_phase {
    struct watch_slot *slots; /* NULL: nothing has happened in it */
    size_t slot_count;
    uint64_t steps; /* steps x places */
    uint64_t steps_done;
    uint64_t under_way;
    int64_t started_ms, ended_ms; /* 0: not yet */
};

/* One attempt that has ended. */
struct watch_timing {
    uint32_t phase, step, attempt;
    uint32_t slot;
    enum slot_state state;
    int64_t started_ms, ended_ms; /* of the place */
};

struct watch_failure {
    uint32_t phase, step, attempt;
    const char *place;
    const char *message;
    const char *log_tail;
    int64_t at_ms;
};

struct watch {
    struct arena *arena; /* borrowed */
    bool begun;          /* the WatchRun has come */
    const char *run, *plan_id, *cluster;
    const char *takes_back; /* the run that this one takes back; NULL: none */
    struct plan plan;
    enum rollout_state state;
    const char *why, *who; /* of the state; NULL: nothing to say */
    bool asks;             /* a person has to answer */
    bool rolls_back;       /* when it has ended, another run takes it back */
    int64_t started_ms, ended_ms;
    uint64_t last_number;
    uint32_t phase; /* the newest that has begun */
    struct watch_phase *phases;
    uint64_t steps, steps_done;
    struct name_index *sets; /* of the plan's node sets: where a node's slot is */
    struct watch_timing *timings;
    size_t timing_count, timing_capacity;
    struct watch_failure *failures; /* the newest attempts' */
    size_t failure_count, failure_capacity;
    const char *line;               /* the newest WatchLine */
    struct forecast *forecast;      /* NULL: nothing is known of its times */
    size_t name_width, place_width; /* of the columns of steps and places */
};

void watch_init(struct watch *w, struct arena *arena);
/* Takes an event in. *ret_new is false for one that was seen before or fits nothing. E_INVALID: the plan cannot be
 * read. The event is not kept. */
int watch_see(struct watch *w, const Lockstep__V1__WatchEvent *event, bool *ret_new,
              struct error *e);

bool watch_is_over(const struct watch *w);
/* Paused or at a gate, and nothing is under way any more. */
bool watch_rests(const struct watch *w);
/* What it waits for: "app-2 health: waiting 12 s"; NULL: nothing. */
const char *watch_waits_for(const struct watch *w, int64_t now_ms, struct arena *arena);
/* "demo: board 1.0.0 -> 1.2.0   up, 2 hops, rolling". */
const char *watch_title(const struct watch *w, struct arena *arena);
/* "before", "hop 1", "after". */
const char *watch_hop_label(const struct watch *w, int64_t hop, struct arena *arena);

/* ---- watch_left.c: how long it will still take ---- */

struct watch_left {
    bool known;        /* false: of no step of the run; the rest is 0 then */
    int64_t ms;        /* of what is known; never negative */
    bool longer;       /* something takes longer than it ever did: `ms` says nothing */
    size_t unmeasured; /* steps of phases that are not over, which are not in `ms` */
};
struct watch_left watch_left(const struct watch *w, int64_t now_ms);
/* "about 4 min 2 s left", "longer than usual"; NULL: nothing to say. */
const char *watch_left_words(const struct watch *w, int64_t now_ms, struct arena *arena);
/* Adds left_ms (null: not known), longer_than_usual, unmeasured. */
void watch_left_json(const struct watch *w, int64_t now_ms, json_t *json);

/* ---- watch_lines.c: the same for a pipe ---- */

/* The lines that an event is worth, after watch_see(); often none. */
void watch_lines(const struct watch *w, const Lockstep__V1__WatchEvent *event, struct buf *out);
/* One line for how it stands at the end. */
void watch_end_line(const struct watch *w, int64_t now_ms, struct buf *out);
/* The failures that stand at the end, with the tails of their logs. */
void watch_failures(const struct watch *w, struct buf *out);
/* The event as one JSON object; the caller owns it. */
json_t *watch_json(const struct watch *w, const Lockstep__V1__WatchEvent *event);

/* ---- watch_live.c: a picture for a terminal ---- */

struct watch_screen {
    size_t columns, rows;
    bool color;
};
/* Whole lines, at most rows - 1 of them, none longer than the columns. Memory beside `out` is the arena's. */
void watch_live(const struct watch *w, int64_t now_ms, const struct watch_screen *screen,
                struct arena *arena, struct buf *out);

/* ---- watch_summary.c: the tables at the end ---- */

/* What ran once, what ran per node, how long each node was down. */
void watch_summary(const struct watch *w, struct arena *arena, struct buf *out);
json_t *watch_summary_json(const struct watch *w, struct arena *arena);

#endif
