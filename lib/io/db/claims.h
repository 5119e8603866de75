/*
 * What the evidence of all runs says about migrations that the ledger lacks. A ledger can lose its rows (a script that
 * empties it, a person), and then its word alone would have scripts run a second time. What is legitimate goes on: a backup
 * was put back, the tool took the migration down. The decision is judge_claim()'s (judge.h); what it cannot tell is a
 * question to a person, kept as an intent of state EXECUTE_CLAIMED, so that `lockstep db` offers its answers.
 */
#ifndef LOCKSTEP_IO_DB_CLAIMS_H
#define LOCKSTEP_IO_DB_CLAIMS_H

#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"

struct claims {
    struct act *act;
    struct db_session *session;
    struct arena *arena; /* of the session: the intents that are left are from it */
    int format;
    const struct db_ledger *ledger;
    const struct migration_item *items; /* of a step on the way up */
    size_t count;
    /* In and out: those that stand open. */
    struct db_intent *intents;
    size_t intents_count;
};

/* Questions that the ledger has answered meanwhile are questions no more. */
int claims_forget(struct claims *c, struct error *e);
/* Before anything runs. E_UNKNOWN: a person is asked, about all that are in doubt at once. */
int claims_check(struct claims *c, struct error *e);

/* Is it only a question? */
bool claims_is_question(const struct db_intent *intent);
/* A later attempt of the same step is a person's `retry`. */
bool claims_answered(const struct act *act, const struct db_intent *intent);

#endif
