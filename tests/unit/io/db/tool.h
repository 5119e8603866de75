/* The other side of a lock: a session that sends what a migration tool's source sends. */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_TOOL_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_TOOL_H

#include "tests/unit/io/db/fixture.h"

#include <libpq-fe.h>

/* A connection over the socket, no session of ours. Fails the test when it cannot be had. */
PGconn *tool_open(struct fixture *f, const char *application);
/* The first cell, "" without a row or for NULL. */
const char *tool_value(struct fixture *f, PGconn *conn, const char *sql);
void tool_exec(PGconn *conn, const char *sql);
/* pg_try_advisory_lock() and pg_advisory_unlock(), the latter proved. `key`: "1", or "1, 0". */
bool tool_try(struct fixture *f, PGconn *conn, const char *key);
void tool_unlock(struct fixture *f, PGconn *conn, const char *key);

/* Of f->act's holder. */
const char *tool_holder_dir(struct fixture *f);
struct hold_status tool_holder(struct fixture *f);
/* Until the database answers so. */
void tool_wait(struct fixture *f, const char *sql, const char *value);

#endif
