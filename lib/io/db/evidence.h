/*
 * Lockstep's own tables inside the application's database: the fence, the evidence of what ran, intents of what
 * cannot be wrapped in a transaction, checkpoints, and who holds the lock. PostgreSQL: schema `lockstep`; SQLite
 * and MariaDB: tables `lockstep_…`. They are in no dump and no restore.
 *
 * Triggers, not this code, refuse what must not happen: a fence that falls, and any row of a writer whose fence is
 * old (PostgreSQL and MariaDB read the fence with a lock, so that a raise and a commit have an order). The server's own error is
 * what stops a stale writer.
 */
#ifndef LOCKSTEP_IO_DB_EVIDENCE_H
#define LOCKSTEP_IO_DB_EVIDENCE_H

#include "lib/io/db/session.h"

#define DB_EVIDENCE_LAYOUT 3 /* of the tables; another one in the database is E_CONFLICT */
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

/*
 * One thing that runs once, in one direction. Evidence belongs to a run and its step: it says what that step did. An
 * intent belongs to the ledger's item and direction: whoever comes next, in another run too, meets it.
 */
struct db_work {
    const char *run, *step, *item, *digest; /* digest: SHA-256 of what runs */
    const char *ledger; /* db_ledger_name(); NULL: no migration (it has no intents) */
    const char *file;   /* for people; NULL: item */
    bool down;
    uint64_t fence;
    uint32_t attempt;
};
struct db_evidence {
    bool found;
    const char *item;
    bool down;
    const char *digest;
    const char *how; /* DB_HOW_RAN, or what a person said */
    const char *at;
    const char *run, *step;
    uint64_t number; /* of the row: it only grows, over all runs */
};
#define DB_HOW_RAN  "ran"
#define DB_HOW_SAID "a person said: " /* and the answer's word */
#define DB_RESTORED                                                                                \
    "restore" /* the item of evidence that a backup was put back; its ledger is "" */

/* How far a script is that cannot run as one transaction. */
struct db_progress {
    int64_t done;          /* this many units of the script (units.h) have run, and are durable */
    const char *state;     /* what stood there before the next unit; "": not looked at */
    int line;              /* of the next unit in the script; 0: not known */
    const char *statement; /* its first words */
};
struct db_intent {
    bool found;
    const char *ledger, *item, *run, *step, *digest, *file;
    bool down;
    struct db_progress progress;
    const char *at;
    int64_t backend_pid;
    const char *asked_run, *asked_step; /* "" and 0: nobody was asked yet */
    uint32_t asked_attempt;
};

/* Of one run and step: all of it at once, sorted by item and direction. */
int db_evidence_read(struct db_session *s, struct arena *arena, const char *run, const char *step,
                     struct db_evidence **ret, size_t *ret_count, struct error *e);
int db_evidence_find(struct db_session *s, struct arena *arena, const struct db_work *work,
                     struct db_evidence *ret, struct error *e);
/* Of every item of a ledger the newest row, whichever run wrote it and whichever way it went, sorted by item; none of what
 * stands before the newest restore: that state is gone. */
int db_evidence_newest(struct db_session *s, struct arena *arena, const char *ledger,
                       struct db_evidence **ret, size_t *ret_count, struct error *e);
/* Within the caller's transaction. fault.fenced when the trigger refused it. */
int db_evidence_add(struct db_session *s, const struct db_work *work, const char *how,
                    struct error *e);

/* All that stand open in a ledger (NULL: in any), oldest first. */
int db_intents_read(struct db_session *s, struct arena *arena, const char *ledger,
                    struct db_intent **ret, size_t *ret_count, struct error *e);
/* From here on the work may have run. It must not be there yet. */
int db_intent_add(struct db_session *s, const struct db_work *work,
                  const struct db_progress *progress, struct error *e);
/* The one that stands there goes on, in this run's name; nobody has been asked about it any more. */
int db_intent_move(struct db_session *s, const struct db_work *work,
                   const struct db_progress *progress, struct error *e);
/* A person is being asked, in this attempt: only a later attempt of the same step is an answer. */
int db_intent_asked(struct db_session *s, const struct db_work *work, struct error *e);
/* None is no error. */
int db_intent_remove(struct db_session *s, const struct db_work *work, struct error *e);

/* Idempotent per run and step. */
struct db_checkpoint {
    const char *run, *step, *release, *digest;
    int64_t schema;
    uint64_t applied;
    uint64_t fence;
    const char *fingerprint; /* digest of the schema (fingerprint.h); "": not recorded */
    /* Set when read. */
    const char *at;
    uint64_t evidence; /* the number of the newest evidence then: what it covers */
};
int db_checkpoint_write(struct db_session *s, const struct db_checkpoint *checkpoint,
                        struct error *e);
/* The newest with a fingerprint, of this release or (NULL) of all. ret->run is NULL when there is none (or no table). */
int db_checkpoint_latest(struct db_session *s, struct arena *arena, const char *release,
                         struct db_checkpoint *ret, struct error *e);

/* All that have a fingerprint, oldest first. */
int db_checkpoints_read(struct db_session *s, struct arena *arena, struct db_checkpoint **ret,
                        size_t *ret_count, struct error *e);

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
