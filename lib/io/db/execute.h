/*
 * Carries one migration, or one extra step's statement, out, unit by unit (units.h), and leaves behind at every moment what the next one needs to know
 * where it stopped: nothing, an intent, or ledger row and evidence. What to do about an intent is judge.h's.
 */
#ifndef LOCKSTEP_IO_DB_EXECUTE_H
#define LOCKSTEP_IO_DB_EXECUTE_H

#include "lib/io/db/format.h"
#include "lib/io/db/waits.h"

/* What an intent's state says when part of its unit may have run. */
#define EXECUTE_UNKNOWN "unknown"
/* … and when the units before it are done and it was not sent. */
#define EXECUTE_NOT_BEGUN "not begun"
/* … and when nothing was sent: it is only a question (claims.h), not yet a beginning. */
#define EXECUTE_CLAIMED "claimed"

struct execute {
    struct act *act;
    struct db_session *session;
    const struct db_format *format;
    const struct database_ref *database;
    const struct migration_item *item;
    struct db_work work;
    struct arena *arena; /* of this item */
    struct waits *waits;
    struct units units;
    bool down;
    bool
        moves_ledger; /* false: the ledger says already what it shall say (the way back from half-way) */
    bool intent;      /* one of this direction stands */
    bool added;       /* … and it was written just now, by us */
    bool opposite; /* one of the other direction stands: it goes with the outcome */
    bool begun;    /* the tool's own mark stands (format->ledger_begin) */
    bool answered; /* a person said that it is to be run */
};

/* From unit `from` on. 0: effect, ledger and evidence are durable, no intent is left. E_UNAVAILABLE: the session is
 * gone, look again. E_UNKNOWN: a person is asked. Else it failed, and *e says what stands and what a retry does. */
int execute_units(struct execute *x, size_t from, struct error *e);
/* What became of the unit at which the intent stopped (judge.h). *ret_from: where to go on; units.count: nothing is left
 * but the outcome. E_UNKNOWN: a person is asked. (resume.c) */
int execute_resume(struct execute *x, const struct db_intent *intent, size_t *ret_from,
                   struct error *e);
/* The settings that units before `to` made, said again to a new session. */
int execute_session(struct execute *x, size_t to, struct error *e);
/* What stands there before the unit runs, as an intent keeps it; "" where nothing can be seen. */
int execute_state(struct execute *x, const struct unit *unit, const char **ret, struct error *e);
/* Ledger (when it moves), evidence, and no intent, in one transaction. */
int execute_outcome(struct execute *x, struct error *e);
/* Drops an invalid index that the unit left and that did not stand there before (`state` of the intent). */
int execute_clean(struct execute *x, const struct unit *unit, const char *state, struct error *e);
/* Notes that a person is asked, and says it: E_UNKNOWN. */
int execute_ask(struct execute *x, const struct unit *unit, const char *why, struct error *e);

#endif
