/*
 * What stands half-done in a database, and what a person may say about it. Lockstep looks before it asks (judge.h); this
 * is for what it asked, for what a person knows better, and for what the real tool left behind.
 */
#ifndef LOCKSTEP_IO_DB_SETTLE_H
#define LOCKSTEP_IO_DB_SETTLE_H

#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"

/* One thing that was begun and not ended. */
struct db_unsettled {
    const char *item; /* what the ledger knows it by */
    bool down;
    bool ours; /* an intent of Lockstep's; else only the tool's own mark */
    bool
        question; /* nothing was begun: the evidence says that it is applied, the ledger does not (claims.h) */
    const char *file;            /* NULL: not known */
    int line;                    /* of the statement, 0: not known */
    const char *statement;       /* its first words; "": not known */
    const char *run, *step, *at; /* whose and since when; NULL: not known */
    int64_t backend_pid;         /* the server's process that ran it; 0: not known */
    const char *mark;            /* what the tool's ledger says of it; NULL: nothing */
    const char *or_down; /* the tool's mark may be about this one's way down instead; NULL */
};

enum db_answer { DB_ANSWER_RETRY, DB_ANSWER_APPLIED, DB_ANSWER_REVERTED, DB_ANSWER_DOWN };
/* The words for commands, messages and docs, by enum db_answer. */
struct db_answer_words {
    const char *word;  /* "mark-applied" */
    const char *means; /* one sentence */
    const char *when;  /* when it is the right one */
};
#define DB_ANSWERS 4
extern const struct db_answer_words db_answers[DB_ANSWERS];

/* All of it; changes nothing. A database that Lockstep has not been to has only marks. */
int db_unsettled(struct db_session *s, struct arena *arena, int format, struct db_unsettled **ret,
                 size_t *ret_count, struct error *e);

/* A person's word about `item` (its version and `previous` as in a plan), under Lockstep's lock, with act's fence: one
 * transaction, and evidence that a person said it. E_NOT_FOUND: nothing of it stands open. E_INVALID: DB_ANSWER_DOWN,
 * which is no mark but work: db_migrate() with `down` and this item does it. */
int db_settle(struct act *act, const struct database_ref *database, int format,
              const struct migration_item *item, enum db_answer answer, struct error *e);

#endif
