/*
 * Lockstep's own tables inside the application's database: the fence, the evidence of what ran, intents of what
 * cannot be wrapped in a transaction, checkpoints, and who holds the lock. PostgreSQL: schema `lockstep`; SQLite:
 * tables `lockstep_…`. They are in no dump and no restore.
 *
 * Triggers, not this code, refuse what must not happen: a fence that falls, and any row of a writer whose fence is
 * old (PostgreSQL reads the fence FOR SHARE, so that a raise and a commit have an order). The server's own error is
 * what stops a stale writer.
 */
#ifndef LOCKSTEP_IO_DB_EVIDENCE_H
#define LOCKSTEP_IO_DB_EVIDENCE_H

#include "lib/io/db/session.h"

#define DB_EVIDENCE_LAYOUT 1 /* of the tables; a higher one in the database is E_CONFLICT */
#define DB_FENCE_SQLSTATE  "LS001"
#define DB_FENCE_WORDS     "lockstep: the fence is old" /* what the triggers' errors begin with */

/* Makes the tables if they are not there, in one transaction, with any number of creators at once. */
int db_evidence_create(struct db_session *s, int64_t deadline_ms, struct error *e);
/* Changes nothing. */
int db_evidence_exists(struct db_session *s, bool *ret, struct error *e);

/* *ret is 0 when there is no fence yet. */
int db_fence_read(struct db_session *s, uint64_t *ret, struct error *e);
/* To a higher or an equal value; a lower one is E_DENIED and names both. */
int db_fence_raise(struct db_session *s, uint64_t fence, int64_t deadline_ms, struct error *e);

/* One thing that runs once: what an evidence row is about. */
struct db_work {
    const char *run, *step, *item, *digest; /* digest: SHA-256 of what runs */
    uint64_t fence;
    uint32_t attempt;
};
struct db_evidence {
    bool found;
    const char *digest;
    const char *at;
};
struct db_intent {
    bool found;
    const char *digest;
    const char *at;
    int64_t backend_pid;
    uint32_t asked_attempt; /* 0: nobody was asked yet */
};
int db_evidence_find(struct db_session *s, struct arena *arena, const struct db_work *work,
                     struct db_evidence *ret, struct error *e);
/* Within the caller's transaction. fault.fenced when the trigger refused it. */
int db_evidence_add(struct db_session *s, const struct db_work *work, struct error *e);
int db_intent_find(struct db_session *s, struct arena *arena, const struct db_work *work,
                   struct db_intent *ret, struct error *e);
/* Adds or renews it: from here on the work may have run. */
int db_intent_write(struct db_session *s, const struct db_work *work, struct error *e);
/* A person is being asked, in this attempt: only a later attempt is an answer. */
int db_intent_asked(struct db_session *s, const struct db_work *work, struct error *e);
int db_intent_remove(struct db_session *s, const struct db_work *work, struct error *e);

/* Idempotent per run and step. */
struct db_checkpoint {
    const char *run, *step, *release, *digest;
    int64_t schema;
    uint64_t applied;
    uint64_t fence;
};
int db_checkpoint_write(struct db_session *s, const struct db_checkpoint *checkpoint,
                        struct error *e);

/* Who holds the lock, as its row says, and what proves that it is dead. */
struct db_holder {
    const char *run;
    const char *host;    /* node name, for people */
    const char *machine; /* machine id; "" where there is none */
    const char *boot_id;
    const char *pid_space; /* a pid means nothing in another one */
    int64_t pid;
    uint64_t start_time; /* clock ticks after boot */
    uint64_t fence;
    int64_t backend_pid;
    int64_t tool_lease; /* until when (Unix seconds) we wrote the tool's own lease; 0: none */
    const char *since;  /* set when read */
};
/* ret->run is NULL when there is no row (or no table). */
int db_holder_read(struct db_session *s, struct arena *arena, struct db_holder *ret,
                   struct error *e);
int db_holder_write(struct db_session *s, const struct db_holder *holder, struct error *e);
/* Only the row with this pid, start time and backend. */
int db_holder_remove(struct db_session *s, const struct db_holder *holder, struct error *e);
/* This process. Text from the arena. */
int db_holder_self(struct arena *arena, const char *run, uint64_t fence, struct db_holder *ret,
                   struct error *e);

enum db_life {
    DB_LIFE_ALIVE,    /* that very process runs here */
    DB_LIFE_DEAD,     /* same machine and: another boot, or the process is gone */
    DB_LIFE_UNPROVED, /* another machine or pid space: a missing process proves nothing */
};
enum db_life db_holder_life(const struct db_holder *holder, const struct db_holder *self);

#endif
