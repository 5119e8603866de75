/*
 * What a place remembers of its instructions, run by run. Each run has an arena of its own, so that forgetting a
 * run gives back all of it. Private to lib/core.
 */
#ifndef LOCKSTEP_CORE_AGENT_TABLE_H
#define LOCKSTEP_CORE_AGENT_TABLE_H

#include "lib/core/agent.h"

struct entry {
    struct entry *next;      /* in its run, in the order of arrival */
    struct entry *next_wait; /* waiting for a record to be durable */
    struct run *run;
    struct instruction_key key;
    enum agent_instruction_state state;
    uint64_t number;        /* of the record that it waits for; 0: none */
    uint64_t fence;         /* of the controller that asked for it */
    uint32_t known;         /* attempts up to it are not taken over */
    bool attached;          /* found in the journal of an earlier life: ACTED or LOST is awaited */
    bool asked;             /* for, in this life */
    struct outcome outcome; /* ENDED */
};

struct run {
    struct run *next; /* the oldest first */
    struct arena arena;
    struct entry *first, *last;
    size_t entries, open; /* open: not ENDED, or its outcome is not durable */
    uint64_t fence;       /* the highest of its instructions */
    uint64_t over_fence;  /* of who said that it is over; 0: nobody */
    bool over_recorded;   /* … and that is in the journal */
    char id[AGENT_RUN_BYTES];
};

struct agent_table {
    struct run *first, *last; /* each owned, inside its own arena */
    size_t entries;
    size_t under_way; /* not ENDED */
};

void agent_table_deinit(struct agent_table *t);
struct run *agent_table_run(const struct agent_table *t, const char *id);
struct entry *agent_table_find(const struct agent_table *t, const struct instruction_key *key);
/* Another attempt of the same step that is ACTING; NULL when there is none. */
struct entry *agent_table_acting(const struct entry *entry);
/* What an attempt takes over instead of acting: the DONE of any other one past entry->known, or the UNKNOWN of the one before it when
 * `waited`; NULL: nothing. */
const struct entry *agent_table_heir_of(const struct entry *entry, bool waited);
/* Does it remember that this step of the run is DONE? */
bool agent_table_remembers(const struct agent_table *t, const struct instruction_key *key);
/* Has an attempt of the entry's step ended UNKNOWN here? A person has looked before the next one. */
bool agent_table_doubted(const struct entry *entry);
/* The first WAITING entry whose step nothing is ACTING on, or a LOST one of a run that is over; NULL when there is none. */
struct entry *agent_table_released(const struct agent_table *t);
/* A new entry, not ENDED; the run is made when it is new. */
struct entry *agent_table_add(struct agent_table *t, const struct instruction_key *key);
/* ENDED, with bounded copies of the strings. `open` stays until agent_table_settle(). */
void agent_table_end(struct agent_table *t, struct entry *entry, const struct outcome *outcome);
void agent_table_settle(struct entry *entry);
/* Nothing of it may be open. */
void agent_table_drop(struct agent_table *t, struct run *run);
/* The oldest run with nothing open that is over, or else any with nothing open but `but`; NULL when there is none. */
struct run *agent_table_oldest(const struct agent_table *t, const char *but);
/* Nobody with a higher fence asked for anything of it since its end was told. */
bool agent_run_is_over(const struct run *run);
/* The run's highest fence is the entry's at least. */
void agent_table_asked(struct entry *entry, uint64_t fence, uint32_t known);

bool instruction_key_equal(const struct instruction_key *a, const struct instruction_key *b);

#endif
