/*
 * The rollout machine: one run of one plan. Pure: it is told what happened (an event, with the time in it) and answers
 * with effects, in order. The controller's shell carries them out over libuv, SQLite and gRPC; the tests carry the same
 * ones out over a pretended clock and network.
 *
 *                BEGIN                     all phases ended, at every node
 *   READY ──────────────────> RUNNING ─────────────────────────────────────> SUCCEEDED
 *     │                       │ ^ │ ^ └─ all phases ended, nodes left behind ─> INCOMPLETE
 *     │   a step failed, is   │ │ │ │
 *     │   UNKNOWN, or a wave  │ │ │ └──── approved, or the window opens ───┐
 *     │   or the run is late  v │ └────── a gate, or outside a window ──> WAITING ──┐
 *     │                     PAUSED ─ again: a word, or nothing in the way           │
 *     │                       │ └ deadline: told again (it escalates, never decides)│
 *     │ a step failed before  │                                                     │
 *     ├ anything was touched ─────> FAILED        (from READY: the plan is damaged) │
 *     │                       │                                                     │
 *     │ word: abort           └ abort, rollback ┐   abort, rollback                 │
 *     v                                         v                                   │
 *   ABORTED <── nothing is under way any more ─ ABORTING <── RUNNING, WAITING ──────┘
 *
 * The words of operators are in words.c: what each may do in which state, and why not. Each is journalled with who and
 * why before it has an effect: as the STATE record that it leads to, or as a WORD record. Only what is recorded counts
 * in a replay, so a word is never given twice by a restart. A run that an operator has claimed takes no other's word
 * until the claim is given back, expires or is taken over.
 *
 * Abort stops scheduling; it never kills an action half-way (rule 7). In PAUSED nothing new starts; what is under way
 * may still end, and is recorded. `retry` starts the failed steps again with the next attempt number. A step that says
 * retry_back is begun again that many steps before itself: each of those is instructed with its next attempt number,
 * though it was DONE, for what it proved may not be so any more. The STATE record of the retry alone says all of this
 * to a replay.
 *
 * After a failure that may pause, the state is PAUSED at once, while other places still end their current step. Before
 * anything was touched the state stays RUNNING until those have ended, then it is FAILED. on_failure: abort goes
 * RUNNING -> ABORTING -> ABORTED by itself, and so does on_failure: rollback where the way back is open (back.c) and all that
 * is in the way has FAILED: its records say that the way back is planned then. What is UNKNOWN pauses: a person decides.
 *
 * A step whose deadline passes without an answer has the outcome UNKNOWN with E_TIMEOUT; the true outcome of that same
 * attempt still counts when it comes later, and replaces it. So has one whose plan says `stall_ms`, when its place is
 * connected and its progress did not move for so long. That clock is no part of the journal: it begins anew with each
 * RESUME and whenever the place is connected again, and stands still while it is not.
 *
 * Journal discipline: an intent is recorded before its instruction may be sent (effect SEND carries the record's
 * number), an outcome after it arrived. After a crash the shell replays the records through the same door and then
 * says RESUME: what has an intent and no outcome is instructed again with the same attempt number, and the place
 * answers from its own journal. No replayed step is given up within ROLLOUT_RESUME_GRACE_MS of the RESUME: the places
 * must have had the time to come back and say what happened while the controller was away.
 *
 * Where the plan says max_unavailable, no node begins a phase that takes it down while so many others are down already: those
 * in the middle, and those of which nobody has said that their service runs (rule 4). Where it says `starts`, none begins
 * one that would start more services than so many within the time, those of earlier runs counted too. What waits stays RUNNING and is told (TELL_WAITING), at
 * once and again; abort is legal meanwhile.
 *
 * A plan that names places which are not in it FAILS at BEGIN. A journal that does not fit the plan PAUSES at RESUME:
 * nothing is instructed any more, only abort is left.
 */
#ifndef LOCKSTEP_CORE_ROLLOUT_H
#define LOCKSTEP_CORE_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/core/outcome.h"
#include "lib/plan/plan.h"

#define ROLLOUT_REMIND_MS       (15LL * 60 * 1000) /* PAUSED: TELL_WAITING again, each time */
#define ROLLOUT_RESUME_GRACE_MS (60LL * 1000)

enum rollout_state {
    ROLLOUT_READY,      /* waits for BEGIN or the first replayed record */
    ROLLOUT_RUNNING,    /* waits for reports and deadlines */
    ROLLOUT_PAUSED,     /* waits for an operator's word; a reminder is sent at its deadline */
    ROLLOUT_ABORTING,   /* waits until nothing is under way (each step's own deadline ends that) */
    ROLLOUT_SUCCEEDED,  /* the end */
    ROLLOUT_FAILED,     /* the end: nothing had been touched */
    ROLLOUT_ABORTED,    /* the end: stopped in between; `apply` plans on from what is there */
    ROLLOUT_WAITING,    /* nothing is half-way: waits for approvals of a gate, or for a window */
    ROLLOUT_INCOMPLETE, /* the end: all is done but at the nodes that were left behind */
};
#define ROLLOUT_STATES (ROLLOUT_INCOMPLETE + 1)
const char *rollout_state_name(enum rollout_state state);
bool rollout_state_is_end(enum rollout_state state);

/* One step at one place. */
struct step_key {
    uint32_t phase;
    uint32_t step;
    uint32_t place;   /* index into plan->nodes, or ROLLOUT_PLACE_CONTROLLER */
    uint32_t attempt; /* from 1 */
};
#define ROLLOUT_PLACE_CONTROLLER UINT32_MAX
#define ROLLOUT_PLACE_UNKNOWN    (UINT32_MAX - 1)
#define ROLLOUT_PLACE_NONE       (UINT32_MAX - 2)

/* ---- an operator's word ---- */
enum word {
    WORD_ABORT,    /* start nothing more */
    WORD_RETRY,    /* try again what is in the way: all of it, or at one place */
    WORD_SKIP,     /* the step that is in the way at a place counts as done */
    WORD_EXCLUDE,  /* a node takes no further part: it is left behind */
    WORD_ROLLBACK, /* abort, then plan back from what is there */
    WORD_CLAIM,    /* no other operator's word counts for a while */
    WORD_UNCLAIM,  /* the claim is given back */
    WORD_APPROVE,  /* a gate is approved by one person */
};
#define WORDS (WORD_APPROVE + 1)
const char *word_name(enum word word);

#define CLAIM_MS     (60LL * 60 * 1000) /* unless the word says how long */
#define CLAIM_MAX_MS (24LL * 60 * 60 * 1000)

/* What an operator says. All strings are borrowed. */
struct word_event {
    enum word word;
    const char
        *place; /* RETRY, SKIP, EXCLUDE: bound to this place; NULL: the only one that it can mean */
    const char
        *step; /* RETRY, SKIP: bound to this step there, by its name; NULL: what stands there */
    const char *gate; /* APPROVE: its name; NULL: the one that the run waits at */
    const char *why;  /* may be NULL */
    const char *who;
    int64_t for_ms; /* CLAIM: how long; 0: CLAIM_MS */
    bool force;     /* another operator's claim is taken over first */
};

/* Why the run is not RUNNING, for what follows from it. */
enum cause {
    CAUSE_NONE,
    CAUSE_FAILURE, /* a step failed or is UNKNOWN */
    CAUSE_MISFIT,  /* the journal does not fit the plan */
    CAUSE_WORD,    /* an operator said so */
    CAUSE_WAVE_LATE,
    CAUSE_RUN_LATE,
    CAUSE_GATE,
    CAUSE_WINDOW,
};
#define CAUSES (CAUSE_WINDOW + 1)

/* ---- what the journal holds of a run (lib/wire/record.h writes and reads it) ---- */
enum record_type {
    RECORD_INTENT,  /* this step will be instructed */
    RECORD_OUTCOME, /* it ended so */
    RECORD_STATE,   /* the run's state changed, why and by whom */
    RECORD_WORD,    /* an operator's word was taken, or a budget's decision, which is like one */
};
struct record {
    enum record_type type;
    int64_t at_ms; /* wall clock, Unix milliseconds */
    struct step_key
        key; /* INTENT, OUTCOME; WORD: what it is bound to, place ROLLOUT_PLACE_NONE: nothing */
    int64_t deadline_ms;      /* INTENT, and WORD claim (when it ends): wall clock */
    struct outcome outcome;   /* OUTCOME */
    enum rollout_state state; /* STATE */
    enum cause cause;         /* STATE */
    bool roll_back;           /* STATE: ABORTING and ABORTED, then the way back is planned */
    enum word word;           /* WORD */
    const char *gate;         /* WORD approve */
    const char *why;          /* STATE, WORD; may be NULL */
    const char *who;          /* STATE, WORD: operator, or NULL */
};

/* ---- events ---- */
enum event_type {
    EVENT_STARTED, /* before BEGIN and REPLAY: an earlier run's start of a service ended at now_ms; in order */
    EVENT_BEGIN,      /* a new run starts; who */
    EVENT_REPLAY,     /* one record of an earlier life, in order */
    EVENT_RESUME,     /* all records are replayed; goes on from there */
    EVENT_OUTCOME,    /* a place reports (may come twice, may be late, may be of another attempt) */
    EVENT_PROGRESS,   /* a place says how far the step under way is: key, done, total */
    EVENT_PLACE_UP,   /* a place is connected (again): what it owes is instructed again */
    EVENT_PLACE_DOWN, /* it is not: nothing fails because of that before its deadline */
    EVENT_NODE_WELL,  /* its agent says that the service runs there … */
    EVENT_NODE_UNWELL, /* … or does not. What is not said, or by a place that is down, is not so */
    EVENT_WORD,        /* an operator's word */
    EVENT_TIME,        /* the armed deadline has passed, or simply time */
    EVENT_MORE,        /* the effects before were cut: go on */
};
struct event {
    enum event_type type;
    int64_t
        now_ms; /* wall clock, Unix milliseconds; when it is set back, deadlines come later by as much */
    const struct record *record;   /* REPLAY; borrowed */
    struct step_key key;           /* OUTCOME, PROGRESS */
    const struct outcome *outcome; /* OUTCOME; borrowed until the effects are carried out */
    uint64_t done, total;          /* PROGRESS: in any unit; only that they move counts */
    uint32_t place;                /* PLACE_UP, PLACE_DOWN, NODE_WELL, NODE_UNWELL */
    struct word_event word;        /* WORD */
    const char *who,
        *why; /* BEGIN: by whom, and what is to be kept of why (may be NULL); borrowed */
};

/* ---- effects ---- */
enum effect_type {
    EFFECT_RECORD, /* append this record to the journal; numbers count from 1 within the run */
    EFFECT_SEND, /* once record `after` is durable, instruct the place (plan_action() gives the action) */
    EFFECT_TELL,    /* tell the watchers (and the log): one line of progress */
    EFFECT_REFUSED, /* the operator's word is not legal in this state: `text` says why */
};
enum tell_type {
    TELL_STATE,
    TELL_PHASE,
    TELL_STEP_STARTED,
    TELL_STEP_ENDED,
    TELL_WAITING,
    TELL_WORD
};
struct effect {
    enum effect_type type;
    struct record
        record; /* RECORD, and again in TELL_STEP_ENDED and TELL_WORD; strings borrowed until the next rollout_step(), an
                             outcome's from the event */
    uint64_t number;     /* RECORD: its number */
    uint64_t after;      /* SEND; 0: durable since an earlier life */
    struct step_key key; /* SEND, TELL */
    uint32_t
        known; /* SEND: the last attempt that is known to be DONE: it is repeated, not answered from; 0: none */
    struct step_key
        last; /* SEND: the last step of the run that is known to be DONE there; attempt 0: none */
    int64_t deadline_ms; /* SEND: wall clock */
    enum tell_type tell;
    enum rollout_state state;   /* TELL_STATE */
    enum outcome_status status; /* TELL_STEP_ENDED */
    const char *text; /* TELL, REFUSED; borrowed until the next rollout_step(); may be NULL */
};
struct effects {
    struct effect items[LIMIT_EFFECTS];
    size_t count;
    bool more; /* call again with EVENT_MORE */
};

struct rollout;

/* Sized once from the plan. `plan` and `arena` are borrowed for the machine's life; `place_up` is false for all. */
struct rollout *rollout_new(struct arena *arena, const struct plan *plan);

/* The one door. Never fails: what is wrong with an event is an effect (REFUSED) or is ignored when it is stale. */
void rollout_step(struct rollout *r, const struct event *event, struct effects *out);
/* Does the step start a service? Its outcomes in the journals of the runs before are what EVENT_STARTED tells. */
bool rollout_is_start(const struct plan *plan, const struct step_key *key);
/* When EVENT_TIME is wanted next, wall clock; INT64_MAX: never. */
int64_t rollout_deadline(const struct rollout *r);

enum rollout_state rollout_state(const struct rollout *r);

/* ---- for status, watch and the checkers: read only ---- */
enum step_state { STEP_WAITING, STEP_UNDER_WAY, STEP_DONE, STEP_FAILED, STEP_UNKNOWN };
struct place_view {
    uint32_t phase;
    uint32_t step; /* the current or last one; steps before it are done */
    uint32_t attempt;
    enum step_state state;
    bool up;
    bool excluded; /* left behind */
};
/* The phase that is walked now (the phase count when all are over). */
uint32_t rollout_phase(const struct rollout *r);
/* Where a place stands in the current phase; for a phase of scope once pass the place of its current step. */
struct place_view rollout_place(const struct rollout *r, uint32_t place);
/* How many records the run has, replayed ones too; steps that are instructed and not ended. */
uint64_t rollout_records(const struct rollout *r);
size_t rollout_under_way(const struct rollout *r);
/* How many nodes are left behind. Against max_unavailable each counts as any other node does: while it is down. */
size_t rollout_left_behind(const struct rollout *r);
/* ABORTING or ABORTED: is the way back to be planned then? */
bool rollout_rolls_back(const struct rollout *r);
/* The failure that stands in the way, or stood there when the run ended: "app-2: health: …"; NULL: none. */
const char *rollout_failure(const struct rollout *r, int64_t *ret_at_ms);
/* Who has claimed the run at this time; NULL: nobody. */
const char *rollout_claimed_by(const struct rollout *r, int64_t now_ms);
/* Why the run is not RUNNING (or soon will not be), for people; NULL when there is nothing to say. */
const char *rollout_why(const struct rollout *r);
/* What a RUNNING one waits for before a node may begin, for people; NULL: for nothing. Not from the journal. */
const char *rollout_held(const struct rollout *r);
/* ROLLOUT_PLACE_UNKNOWN when the plan has no such place. Logarithmic in the nodes. */
uint32_t rollout_find_place(const struct rollout *r, const char *place);
const char *rollout_place_name(const struct plan *plan, uint32_t place);

#endif
