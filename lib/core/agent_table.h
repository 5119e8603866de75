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
    uint32_t known;         /* attempts up to it are not taken over */
    bool attached;          /* found in the journal of an earlier life: ACTED or LOST is awaited */
    struct outcome outcome; /* ENDED */
};

struct run {
    struct run *next; /* the oldest first */
    struct arena arena;
    struct entry *first, *last;
    size_t entries, open; /* open: not ENDED, or its outcome is not durable */
    bool forget;          /* once nothing is open */
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
/* The first WAITING entry whose step nothing is ACTING on; NULL when there is none. */
struct entry *agent_table_released(const struct agent_table *t);
/* A new entry, not ENDED; the run is made when it is new. */
struct entry *agent_table_add(struct agent_table *t, const struct instruction_key *key);
/* ENDED, with bounded copies of the strings. `open` stays until agent_table_settle(). */
void agent_table_end(struct agent_table *t, struct entry *entry, const struct outcome *outcome);
void agent_table_settle(struct entry *entry);
/* Nothing of it may be open. */
void agent_table_drop(struct agent_table *t, struct run *run);
/* The oldest run with nothing open, but not `but`; NULL when there is none. */
struct run *agent_table_oldest(const struct agent_table *t, const char *but);

bool instruction_key_equal(const struct instruction_key *a, const struct instruction_key *b);

#endif
