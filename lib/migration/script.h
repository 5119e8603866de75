/*
 * What the runner has to know about each statement of a script before it runs it: where it begins and ends, and what
 * kind it is. Words, not a parser, by the rules of the engine's dialect (sql.h).
 */
#ifndef LOCKSTEP_MIGRATION_SCRIPT_H
#define LOCKSTEP_MIGRATION_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/migration/engine.h"
#include "lib/migration/sql.h"

enum statement_kind {
    STATEMENT_DATA, /* INSERT, UPDATE, SELECT …: rolls back with its transaction on every engine */
    STATEMENT_SCHEMA,    /* CREATE, ALTER, DROP, GRANT, TRUNCATE … */
    STATEMENT_SESSION,   /* SET, PREPARE, PRAGMA …: changes nothing but the session */
    STATEMENT_UPKEEP,    /* VACUUM, REINDEX, ANALYZE …: doing it twice does no harm */
    STATEMENT_PROGRAM,   /* CALL, DO …: what it does shows only when it runs */
    STATEMENT_OTHER,     /* words that are not known here */
    STATEMENT_BEGIN,     /* a transaction of the script's own */
    STATEMENT_COMMIT,    /* … its end */
    STATEMENT_ROLLBACK,  /* … its end, undone */
    STATEMENT_SAVEPOINT, /* within one: SAVEPOINT, RELEASE, ROLLBACK TO */
    STATEMENT_CHAIN,     /* … its end and the beginning of the next one: COMMIT AND CHAIN */
    STATEMENT_HANDOVER, /* an end that nobody can be sure of: ROLLBACK AND CHAIN, PREPARE TRANSACTION */
};

struct statement {
    enum statement_kind kind;
    size_t from,
        to; /* in the text; what stands before it (blanks, comments) and its ';' are part of it */
    struct bytes words; /* from its first word on; borrowed */
    int line;           /* of the first word, from 1 */
    bool alone;         /* the server refuses it within a transaction */
    bool
        commits; /* it may end the transaction that it runs in, or run for good what is not rolled back */
    bool guarded;      /* IF [NOT] EXISTS, OR REPLACE: may well change nothing */
    bool concurrently; /* in more than one transaction of the server's own */
    bool temporary;    /* makes a thing that goes with the session */
    bool lock_timeout; /* says itself how long to wait for a lock */
    bool
        characteristics; /* SET TRANSACTION: of this transaction, and of those that follow in a chain */
    struct db_index_name
        index; /* CREATE INDEX and DROP INDEX of one index; name NULL: no such, or not named */
    bool index_drop;
};

struct script {
    struct statement *items;
    size_t count;
    /* Why nobody can say where its statements end, NULL when one can: a command of a client (DELIMITER), a setting that
     * changes how the rest is read. `refused_line` is its line. */
    const char *refused;
    int refused_line;
};

enum sql_dialect script_dialect(enum db_engine_kind engine);
/* Bodies of triggers, of procedures and of BEGIN ATOMIC functions are seen as part of their statement. */
void script_read(struct arena *arena, struct bytes sql, enum db_engine_kind engine,
                 struct script *ret);
/* E_INVALID when it was refused; `first_line` is the script's own in its file, from 1. */
int script_check(const struct script *script, int first_line, struct error *e);
/* BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their kin. */
bool statement_controls(const struct statement *statement);

#endif
