/*
 * A plan, rehearsed: the rollout machine walks it in a pretended cluster where all goes well but for one step at one
 * place, and it is told what the cluster looks like then and what Lockstep does. The machine is the real one; the cluster is
 * what the plan's own actions say that they make of it (rehearsal_world.c). Pure, and no copy of anything that decides.
 *
 *   for each step of the plan, at the first place of its phase:
 *     begin ── every step is DONE at once ── this one FAILS at each attempt, or is never answered ── until nothing moves by itself
 *     and the same walk again for each word of an operator: would it be taken there?
 *
 * Gates are approved by people of their own, windows and waits are passed by moving the clock to the machine's own
 * deadline. The time that steps take is no part of it: only what is waited for counts.
 */
#ifndef LOCKSTEP_CORE_REHEARSAL_H
#define LOCKSTEP_CORE_REHEARSAL_H

#include "lib/core/rollout.h"

enum rehearsal_fault {
    REHEARSAL_NOTHING,   /* all goes well */
    REHEARSAL_FAILS,     /* FAILED, at every attempt */
    REHEARSAL_NO_ANSWER, /* the place is there and never says how it ended */
};

struct rehearsal_node {
    const char *release; /* on its disk; NULL: nothing installed */
    bool running;
    bool denied; /* it may not start its service */
};

struct rehearsal_database {
    const char *name;
    const char *schema; /* number as text; NULL: nothing applied, or not known */
    const char *toward; /* a migration to this number was begun and not ended; NULL: none */
    bool restoring;     /* the same of a restore */
    bool locked;
};

/* The words that a person may give where a run stands still. */
#define REHEARSAL_WORDS 5
struct rehearsal_word {
    enum word word;
    bool taken;
    const char *why; /* refused: the machine's own words */
};

struct rehearsal {
    enum rehearsal_fault fault;
    struct step_key key; /* the step and place of the fault; its attempt: the last that was made */
    enum rollout_state state;
    bool rolls_back;   /* ABORTED, and the way back is planned by itself then */
    int64_t waited_ms; /* between the fault's first attempt and this state */
    const char *why;   /* the machine's words; NULL: it says nothing */
    const char *waits; /* RUNNING and nothing moves: what for */
    size_t left_behind;
    const struct rehearsal_node *nodes; /* as plan->nodes */
    const struct rehearsal_database *databases;
    size_t database_count;
    struct rehearsal_word words[REHEARSAL_WORDS]; /* in PAUSED */
};

/* Is this step at this phase one that a rehearsal can let fail? False: the phase has no place. */
bool rehearsal_place(const struct plan *plan, uint32_t phase, uint32_t step, uint32_t *ret_place);

/* One case, all of it in the arena. */
void rehearse_step(struct arena *arena, const struct plan *plan, enum rehearsal_fault fault,
                   struct step_key key, struct rehearsal *ret);

/* "app-1 app-2: 1.0.0 stopped, app-3: 2.0.0 runs; main at 4, locked" */
const char *rehearsal_cluster_words(struct arena *arena, const struct plan *plan,
                                    const struct rehearsal *r);
/* "pauses, after 3 attempts: retry, skip, exclude, rollback or abort" */
const char *rehearsal_does_words(struct arena *arena, const struct plan *plan,
                                 const struct rehearsal *r);

#endif
