/*
 * One rollout machine, event by event, with its journal. What it answers is a line of text. A test may ask that the
 * machine dies once after a given record: it is then built again from the journal, its places come back, and it resumes,
 * before the effects behind that record are seen by anybody.
 */
#ifndef LOCKSTEP_TESTS_UNIT_CORE_RIG_H
#define LOCKSTEP_TESTS_UNIT_CORE_RIG_H

#include "lib/core/rollout.h"
#include "tests/unit/core/plans.h"

#define JOURNAL_MAX 512

struct journal {
    struct record records[JOURNAL_MAX];
    size_t count;
    size_t dies_at; /* once after so many records; 0: never */
};

struct rig {
    struct arena arena;
    struct plan *plan;
    struct rollout *r;
    struct effects out; /* the last ones */
    int64_t now;
    char seen[64 * 1024];
    struct journal journal;
};
extern struct rig rig;

int rig_setup(void **state);
int rig_teardown(void **state);
/* A machine for the plan, which lives in rig.arena. */
void rig_begin(struct plan *plan);
/* Frees everything, for another machine in the same test. */
void rig_end(void);
/* The journal of the next machine, which dies at this record. */
struct journal *rig_journal(size_t dies_at);
void rig_same_journal(const struct journal *a, const struct journal *b);

/* Each answers the effects as text: records, SENDs, reminders and refusals; the other TELLs repeat the records. */
const char *rig_step(struct event event);
/* The machine dies and comes back by rig.now. */
const char *rig_live_again(void);
void rig_all_up(void);
const char *rig_say(struct word_event word);
const char *rig_word(enum word word); /* bob says it */
const char *rig_at(int64_t ms);
const char *rig_ended(uint32_t phase, uint32_t step, uint32_t place, uint32_t attempt,
                      enum outcome_status status);
/* Why the last word was refused. */
const char *rig_refusal(void);

#endif
