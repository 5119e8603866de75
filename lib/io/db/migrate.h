/* The runner of native migrations, with a door for tests: what it sends can be watched, statement by statement. */
#ifndef LOCKSTEP_IO_DB_MIGRATE_H
#define LOCKSTEP_IO_DB_MIGRATE_H

#include "lib/io/db/session.h"
#include "lib/io/platform/act.h"

struct db_migrate_tuning {
    const struct db_trace *trace; /* may be NULL */
    int64_t lock_wait_ms;         /* the first try's (waits.h); 0: the default */
    /* After a session was opened, before its first migration goes on; may be NULL. */
    void (*opened)(void *context, const struct db_session *s);
    void *context;
};
/* act_db_migrate() with other settings (may be NULL). */
int db_migrate(struct act *act, const struct db_migrate_action *action,
               const struct db_migrate_tuning *tuning, struct error *e);

/* A session for an action that writes, with all that must hold first: no earlier session of this step is at work,
 * Lockstep's tables are there, our holder has the lock, the fence is act->fence. *temporary as in hold_ensure(). */
int db_work_open(struct act *act, struct db_session *s, const struct database_ref *database,
                 int format, const struct db_trace *trace, bool *temporary, struct error *e);
/* Ends it, and a holder that was started for this action only. Returns rc, or the failure of the release. */
int db_work_close(struct act *act, struct db_session *s, const struct database_ref *database,
                  int format, bool temporary, int rc, struct error *e);

#endif
