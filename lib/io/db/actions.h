/* What the actions of this room share: facts, sessions that only look, and the writing of a checkpoint. */
#ifndef LOCKSTEP_IO_DB_ACTIONS_H
#define LOCKSTEP_IO_DB_ACTIONS_H

#include <jansson.h>

#include "lib/io/db/evidence.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"

/* act->facts becomes this. Takes the json; NULL is a text that is not UTF-8. */
int db_set_facts(struct act *act, json_t *json, struct error *e);
/* A session that can change nothing; `wait`: a server that is not there is waited for. */
int db_open_to_look(struct act *act, struct db_session *s, const struct database_ref *database,
                    bool wait, struct error *e);
/* After a failure: is the action to be run again from its start? A server that restarts is waited for. */
bool db_again(struct act *act, int rc);

/* SHA-256 of the ledger's ids: what a checkpoint names it by. */
const char *db_ledger_digest(struct arena *arena, const struct db_ledger *ledger);
/* What the database has reached: the ledger's set and, where the engine can tell, the schema (*ret_fingerprint; digest NULL
 * where it cannot). Through a session of db_work_open(). */
int db_checkpoint_now(struct act *act, struct db_session *s, const struct db_checkpoint_action *a,
                      struct db_checkpoint *ret, struct db_fingerprint *ret_fingerprint,
                      struct error *e);

/* act_db_sql(), with what it sends watched (`trace` may be NULL). */
int db_sql(struct act *act, const struct db_sql_action *a, const struct db_trace *trace,
           struct error *e);

/* `enough` of a program that an action runs (process.h); the context is its act. And the error, when it was ended so. */
bool db_program_stopped(void *act);
int db_program_was_stopped(struct error *e);

/* Where act_db_backup() of this run and step leaves its file. */
const char *db_backup_path(struct act *act, const char *directory, const char *database,
                           const char *run, const char *step);

#endif
