/*
 * How long a change of the schema waits for a table that others use. While it waits, everybody who comes after it
 * waits behind it: so each try is short, and between two tries the others pass. Tries grow longer, so
 * that readers who always overlap do not keep it waiting for ever; the action's deadline ends them.
 */
#ifndef LOCKSTEP_IO_DB_WAITS_H
#define LOCKSTEP_IO_DB_WAITS_H

#include "lib/io/db/session.h"
#include "lib/io/platform/act.h"
#include "lib/migration/units.h"

#define WAITS_FIRST_MS 5000
#define WAITS_LAST_MS  60000

struct waits {
    struct act *act;
    const struct database_ref *database;
    int64_t first_ms; /* WAITS_FIRST_MS */
    struct db_session *session;
    struct db_watch watch;
    const char *file; /* what runs now */
    unsigned tries;   /* of the unit under way */
    char blockers[256];
    const char *before; /* the limit as the session had it; NULL: not changed */
};

/* The session tells from now on who blocks it. Borrows all. */
void waits_init(struct waits *w, struct act *act, const struct database_ref *database,
                int64_t first_ms);
void waits_watch(struct waits *w, struct db_session *s);

/* Does this unit wait so? Not an index that is built concurrently: waiting is its nature. */
bool waits_limited(const struct waits *w, const struct units *units, const struct unit *unit);
/* The limit of this try, in milliseconds. */
int64_t waits_limit_ms(const struct waits *w);
/* What begins a transaction of ours with that limit in it. */
const char *waits_begin(struct waits *w, struct arena *arena);
/* For the session, where no transaction of ours can hold it; always given back, after failures too. */
int waits_set(struct waits *w, struct error *e);
void waits_reset(struct waits *w);
/* The statement failed: was it for this limit, and is there time? Then it sleeps; the caller tries again. At the
 * deadline: false, and *e names who blocks. */
bool waits_again(struct waits *w, struct error *e);

#endif
