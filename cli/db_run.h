/* What the verbs of `lockstep db` call: each reads its options, works, says what happened and gives the exit status. */
#ifndef LOCKSTEP_CLI_DB_RUN_H
#define LOCKSTEP_CLI_DB_RUN_H

#include "cli/db.h"

int db_run(struct context *c, bool down);
/* What `up` or `down` would run; changes nothing. */
int db_show_plan(struct db_call *call, bool down, const char *to);
int db_show_status(struct context *c);
int db_show_lock(struct context *c);
int db_make_backup(struct context *c);
int db_run_restore(struct context *c);
int db_show_drift(struct context *c);
int db_export_plan(struct context *c);
int db_rehearse(struct context *c);

#endif
