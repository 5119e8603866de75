/*
 * The database actions of a plan, and the process that holds a database's lock. This header is all that other
 * rooms need. Each action looks before it acts: what is so already is DONE. All of them may block, until
 * act->deadline_ms at the longest; a server that restarts meanwhile is waited for.
 *
 * An action that writes (migrate, sql, checkpoint) first proves that our holder is alive and that the server says
 * that it holds the lock; a holder that died is started again, with what it was started with.
 */
#ifndef LOCKSTEP_IO_DB_DB_H
#define LOCKSTEP_IO_DB_DB_H

#include "lib/io/platform/act.h"

/* Starts `act->program hold DIR`, detached, and waits until it holds the lock, or `wait_ms` has passed: E_TIMEOUT
 * names the holder. E_DENIED: the database has seen a higher fence, or the password is wrong. */
act_function act_db_lock;
/* Stops the holder and proves that the lock is free. No holder is DONE. */
act_function act_db_unlock;
/* Runs the items in their order, each exactly once. E_UNKNOWN: a script that cannot be wrapped in a transaction may
 * have run. facts: {"ms":[n],"ran":n,"skipped":n}; ms: of each in its order, -1: it had run already. */
act_function act_db_migrate;
/* E_CONFLICT: the ledger differs, with the difference; E_UNKNOWN: an external migrator stopped half-way.
 * facts: {"already":bool,"rows":n}. */
act_function act_db_ledger;
/* E_TIMEOUT names the session that holds the tool's own lock. */
act_function act_db_tool_lock;
/* Writes what the database has reached, and what its schema is then.
 * facts: {"applied":n,"digest":sha256,"fingerprint":sha256,"release":…,"schema":n}. */
act_function act_db_checkpoint;
/* facts: {"bytes":n,"path":…,"sha256":…}, or {"command":true} for the site's own procedure. */
act_function act_db_backup;
/* The database becomes what the backup holds, in one transaction: killed at any moment, it is either the old or the new.
 * What is no whole backup is refused before anything is dropped. Open intents go with the state that they were about.
 * facts: {"already":bool,"fingerprint":sha256,"path":…}. */
act_function act_db_restore;
/* Compares the schema with the one that the last checkpoint (of the release) recorded. E_CONFLICT says the differences;
 * the log says all of them. facts: {"differences":n,"drift":bool,"fingerprint":sha256,"recorded":bool,"words":[…]};
 * recorded: there was none to compare with, there is one now. */
act_function act_db_drift;
/* E_CONFLICT (refuse) or E_TIMEOUT (wait, terminate) names the sessions that are left. facts: {"terminated":n}. */
act_function act_db_writers;
/* E_CONFLICT says the statement, what it answered, and the release's own words. facts: {"answer":text or null}. */
act_function act_db_check;
/* Starts the command, and again when it died, and asks the database how far the work is until it is at its end. E_TIMEOUT:
 * no step nearer for `stall`, or not there `within`; E_IO: the command dies again and again. Its command is ended then.
 * facts: {"progress":text or null,"starts":n}. */
act_function act_follow;
/* The statement and its evidence in one transaction; what cannot stand in one (MariaDB's changes of the schema) has an
 * intent first, as a migration has. E_UNKNOWN: it may have run. */
act_function act_db_sql;
/* A rehearsal (rehearse.h) of both ways, with a name of its own; facts: its report, also of one that failed after the clone was
 * made. What a dead one left of this database is removed first. */
act_function act_db_rehearse;
/* Changes nothing, creates nothing. facts: {"applied":[ids, sorted],"bytes":n,"engine":text,"fence":n,
 * "holder":null or {"backend_pid","fence","held","host","pid","run","since"},"identity":text,"ledger_exists":bool,"open":[…],
 * "tables":[{"bytes","name","rows"}, the largest first]} */
act_function act_db_observe;

/* A run is over: asks its holders below state_dir to let go (SIGTERM), and does not wait. An aborted run never comes to
 * its unlock; the lock must not outlive it. */
void db_run_over(struct arena *arena, const char *state_dir, const char *run);

/* The main of `PROGRAM hold DIR`: holds one database's lock until SIGTERM. Returns the exit status: 0 released,
 * 1 could not be taken (DIR/status.json says why), 2 misuse. */
int db_hold_main(const char *dir);

#endif
