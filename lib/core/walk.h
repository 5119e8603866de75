/*
 * The walk over a plan: which step stands where. What is *noted* here comes from a decision or from a replayed
 * record, through the same functions; so a replay cannot end elsewhere than living through it. Private to lib/core.
 *
 *   one step at one place:
 *
 *   WAITING ──intent──> UNDER_WAY ──outcome──> DONE ──next step's intent──> …
 *                           ^  │  \─────────> FAILED  ┐ next attempt: by itself while retries are left
 *                           │  └ its time ──> UNKNOWN ┘ (FAILED only), else after the word `retry`
 *                           └─────────────────┘ (UNKNOWN by a deadline or a stall turns into the late true outcome)
 *
 *   the word `retry` in a phase of scope once, for a step with retry_back 2:
 *
 *   lock     tool lock     ledger     migrate FAILED or UNKNOWN
 *              └────────────────────────<─┘ goes on with the tool lock's next attempt, then the ledger's, then its own
 */
#ifndef LOCKSTEP_CORE_WALK_H
#define LOCKSTEP_CORE_WALK_H

#include "lib/core/deadlines.h"
#include "lib/core/hold.h"
#include "lib/core/layout.h"
#include "lib/core/rollout.h"

#define WALK_NO_PHASE UINT32_MAX
#define WALK_NO_STEP  UINT32_MAX

struct place {
    uint32_t phase; /* the last one that it took part in, or WALK_NO_PHASE */
    uint32_t step, attempt;
    enum step_state state;
    int64_t retries_left;
    int64_t deadline_ms;
    uint64_t done, total; /* its progress, as it was told last */
    uint32_t failures;    /* that no retry of its own was left for */
    uint64_t after;       /* the intent's record in this life; 0: an earlier one */
    struct step_key
        last; /* of all the run: the last that is known to be DONE here; attempt 0: none */
    bool up;
    bool sent;     /* a SEND was emitted in this life */
    bool bad;      /* stops the run: counted in walk.bad */
    bool again;    /* the word `retry` was given for it */
    bool guess;    /* UNKNOWN because of its deadline: the truth may still come */
    bool queued;   /* stands in walk.queue */
    bool excluded; /* left behind: it takes no further part */
    bool
        denied; /* it has stored in this run that nothing may be started, and was not permitted since */
    bool stopped; /* its service was stopped in this run, and no start was asked for since */
};

struct walk {
    struct layout layout;
    struct hold hold;
    int64_t now_ms;             /* of the event, or of the replayed record */
    struct place *places;       /* by slot */
    struct deadlines deadlines; /* of what is under way; by slot */
    struct deadlines stalls;    /* of what is under way, must move, and is connected; by slot */
    struct deadlines waits;     /* until the next attempt may begin; by slot */
    uint32_t *queue;            /* a ring of slots whose next step or attempt is due */
    uint32_t queue_head, queue_count;
    uint32_t phase;     /* walked now; the phase count when all are over */
    uint32_t cursor;    /* members of the phase that have begun */
    uint32_t in_middle; /* begun, not finished: what `parallel` bounds */
    uint32_t finished;
    uint32_t begun;     /* of the phase, without those that were left behind before */
    uint32_t once_slot; /* scope once: where its current step is */
    uint32_t *attempts; /* scope once, by step: how many there were */
    uint32_t *heard; /* scope once, by step: the last attempt that is known to be DONE; 0: none */
    uint32_t rewind; /* scope once: the word `retry` goes back to it; WALK_NO_STEP: it does not */
    uint32_t under_way;
    uint32_t bad;
    uint32_t left_behind;        /* nodes that are excluded */
    bool touched;                /* a step of a disruptive phase was instructed */
    char why[LIMIT_ERROR_BYTES]; /* the first failure; "" */
    int64_t why_ms;              /* when that was */
};

void walk_init(struct walk *w, struct arena *arena, const struct plan *plan);

/* Each returns whether it fits what was noted before; nothing has changed when not. */
bool walk_note_intent(struct walk *w, const struct step_key *key, int64_t deadline_ms,
                      uint64_t after);
bool walk_note_outcome(struct walk *w, const struct step_key *key, const struct outcome *outcome,
                       int64_t at_ms);
/* The clock of a stall begins anew where the plan has one for what is under way at the slot, and its place is up; else none
 * runs there. */
void walk_watch_stall(struct walk *w, uint32_t slot);
/* How far a step is. Nothing happens when that is what was known, or when it is another step or attempt. */
void walk_note_progress(struct walk *w, const struct step_key *key, uint64_t done, uint64_t total);
/* The word `retry`: what is bad, at one slot or at all, is due again. Linear in the phase's members. */
#define WALK_EVERY_SLOT UINT32_MAX
void walk_forgive(struct walk *w, uint32_t slot);
/* The word `skip`: the step that is bad at the slot counts as done. */
bool walk_note_skip(struct walk *w, const struct step_key *key);
/* The word `exclude`: nothing must be under way there. Its part of the phase counts as finished. */
bool walk_note_exclude(struct walk *w, uint32_t slot);
/* The `number`-th slot of the current phase whose step is bad; WALK_EVERY_SLOT: there are not so many. */
uint32_t walk_bad_slot(const struct walk *w, uint32_t number);
/* The step that stands at the slot. */
struct step_key walk_key(const struct walk *w, uint32_t slot);
const struct plan_step *walk_step(const struct walk *w, uint32_t slot);

/* ---- leave.c ---- */
/* Why a node may not be left behind now, in words; NULL: it may. `text` is where words may be made. */
const char *walk_keeps(const struct walk *w, uint32_t slot, char text[LIMIT_ERROR_BYTES]);
/* "succeeded with 1 node left behind: app-2" */
void walk_name_left_behind(const struct walk *w, char *text, size_t size);

/* ---- walk.c again ---- */

/* Is a step or an attempt due at the slot, by what has ended there? */
bool walk_due(const struct walk *w, uint32_t slot);
void walk_enqueue(struct walk *w, uint32_t slot);
/* Is it too early for another attempt? */
bool walk_waits(const struct walk *w, uint32_t slot);
/* One wait that is over by `clock_ms`, or false. With `enqueue` its attempt is due now. */
bool walk_wake(struct walk *w, int64_t clock_ms, bool enqueue);
/* The clock was set back: waits end, and stalls come, earlier by as much. */
void walk_set_back(struct walk *w, int64_t by_ms);
/* After a replay: no wait is longer than any may be, and the clocks of stalls begin anew. */
void walk_resume(struct walk *w, int64_t now_ms);
/* Has nothing of the phase that is walked begun? */
bool walk_is_fresh(const struct walk *w);
/* Finds everything that is due. Linear in the phase's members. */
void walk_enqueue_all(struct walk *w);
/* What is to be instructed next, or false: nothing for now. */
bool walk_next(struct walk *w, struct step_key *ret_key);
/* Has the phase ended, so that walk_enter_next() may be called? False after the last. */
bool walk_phase_over(const struct walk *w);
void walk_enter_next(struct walk *w);
/* Of all that the word `retry` would begin again, at one slot or at all, the step with the most attempts; false: it would
 * begin nothing. */
bool walk_worst(const struct walk *w, uint32_t only, struct step_key *ret_key);
/* The last attempt of the slot's current step that is known to be DONE: it is repeated on purpose. 0: none. */
uint32_t walk_heard(const struct walk *w, uint32_t slot);

static inline const struct plan_phase *walk_phase(const struct walk *w)
{
    return plan_phase_at(w->layout.plan, w->phase);
}

static inline bool walk_is_over(const struct walk *w)
{
    return w->phase == w->layout.plan->phases.count;
}

#endif
