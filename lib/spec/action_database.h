/* The shapes of the database actions, for the two lists in action.c only. */
#ifndef LOCKSTEP_SPEC_ACTION_DATABASE_H
#define LOCKSTEP_SPEC_ACTION_DATABASE_H

#include "lib/spec/action.h"

extern const struct shape db_lock_shape;
extern const struct shape db_unlock_shape;
extern const struct shape db_migrate_shape;
extern const struct shape db_ledger_shape;
extern const struct shape db_tool_lock_shape;
extern const struct shape db_checkpoint_shape;
extern const struct shape db_backup_shape;
extern const struct shape db_restore_shape;
extern const struct shape db_drift_shape;
extern const struct shape db_writers_shape;
extern const struct shape db_check_shape;
extern const struct shape db_sql_shape;
extern const struct shape do_sql_shape;
extern const struct shape follow_shape;
extern const struct shape do_follow_shape;
extern const struct shape db_rehearse_shape;
extern const struct shape db_observe_shape;

/* Of action.c: part of what is followed. */
extern const struct shape run_shape;
extern const struct shape do_run_shape;

#endif
