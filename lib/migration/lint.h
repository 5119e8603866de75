/*
 * What a SQL script does, before it runs: PostgreSQL's own parser (libpg_query) reads it, and where that refuses the
 * text (MariaDB's or SQLite's dialect, psql's commands, hostile nesting) its words are read instead. Pure: text in,
 * facts out; it never fails. The facts about locks are PostgreSQL's
 * (https://www.postgresql.org/docs/15/explicit-locking.html); tests/unit/io/db/test_lint_server.c asks a server.
 */
#ifndef LOCKSTEP_MIGRATION_LINT_H
#define LOCKSTEP_MIGRATION_LINT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"

/* PostgreSQL's table locks, the weaker before the stronger. */
enum sql_lock_mode {
    SQL_LOCK_NONE,
    SQL_LOCK_ACCESS_SHARE,
    SQL_LOCK_ROW_SHARE,
    SQL_LOCK_ROW_EXCLUSIVE,
    SQL_LOCK_SHARE_UPDATE_EXCLUSIVE,
    SQL_LOCK_SHARE, /* from here on writers wait */
    SQL_LOCK_SHARE_ROW_EXCLUSIVE,
    SQL_LOCK_EXCLUSIVE,
    SQL_LOCK_ACCESS_EXCLUSIVE, /* readers wait too */
};

enum sql_class {
    SQL_CLASS_SCHEMA,      /* CREATE, ALTER, DROP, GRANT, COMMENT: all that DDL is */
    SQL_CLASS_DATA,        /* INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE */
    SQL_CLASS_QUERY,       /* SELECT (a function in it may do anything), EXPLAIN, SHOW */
    SQL_CLASS_CODE,        /* DO, CALL, EXECUTE: what it does is decided when it runs */
    SQL_CLASS_SESSION,     /* SET, PREPARE, LOCK: holds for what follows */
    SQL_CLASS_TRANSACTION, /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT … */
    SQL_CLASS_UPKEEP,      /* VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH */
    SQL_CLASS_OTHER,       /* by its words alone it cannot be told */
};

struct sql_statement {
    const char *kind; /* "ALTER TABLE", "CREATE INDEX CONCURRENTLY" */
    enum sql_class class;
    int line;          /* from 1 */
    struct bytes text; /* borrowed from the script; without the semicolon */
    bool guarded;      /* IF [NOT] EXISTS, OR REPLACE: may well change nothing */
    bool outside;      /* the server refuses it inside of a transaction */
};

/* A lock that makes others wait: SHARE and stronger. None is listed for a table that the script itself created. */
struct sql_lock {
    const char *
        object; /* as written: "t", "s.t"; an index, view or sequence where only that is named; NULL: many */
    bool is_index; /* `object` is an index: its table, which the text does not name, is locked */
    enum sql_lock_mode mode;
    bool
        rewrites; /* writes the whole table anew while it holds the lock, or may: the text cannot tell */
    const char *kind; /* the statement's */
    int line;
    size_t statement; /* index into `statements` */
};

enum sql_trap_kind {
    SQL_TRAP_NOT_ALONE, /* cannot run in a transaction, and several statements in one query are one */
    SQL_TRAP_ENDS,      /* a COMMIT or ROLLBACK where the tool does not expect one */
    SQL_TRAP_ENUM_VALUE,    /* adds an enum's value and uses it before it is committed */
    SQL_TRAP_SETTING,       /* a SET that outlives the script */
    SQL_TRAP_INVALID_INDEX, /* IF NOT EXISTS steps over what a failed CONCURRENTLY left */
};

struct sql_trap {
    enum sql_trap_kind kind;
    int line;
    const char *text; /* one sentence for people, without its line */
};

struct sql_lint {
    bool parsed; /* false: only words were read; locks, traps and `rewrites` are then not known */
    const char *unparsed; /* why, NULL when parsed */
    bool empty;           /* nothing but blanks and comments */
    struct sql_statement *statements;
    size_t count;
    const char *lossy; /* what is lost, in words ("drops column entries.author_email"), or NULL */
    struct sql_lock *locks;
    size_t locks_count;
    struct sql_trap *traps;
    size_t traps_count;
    bool concurrent;            /* builds, drops or detaches CONCURRENTLY */
    bool outside_transaction;   /* a statement is refused inside of a transaction block */
    bool controls_transactions; /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT …, in a DO too */
    bool
        wraps_itself; /* BEGIN first, COMMIT last, no other transaction control: one transaction of its own */
    bool
        schema_only; /* DDL, settings and transaction control, nothing that touches rows or runs code */
    /* When all of it has run, the schema differs from before: DDL without IF [NOT] EXISTS or OR REPLACE whose object
     * the script does not put back itself. */
    bool changes_schema_surely;
    const char *
        session; /* what later statements of the session would feel ("SET role, temporary table x"), or NULL */
};

/* Everything in *ret lives in `arena`, but `statements[].text`, which is borrowed from `sql`. */
void sql_lint_script(struct arena *arena, struct bytes sql, struct sql_lint *ret);
/* "ACCESS EXCLUSIVE". */
const char *sql_lock_name(enum sql_lock_mode mode);
/* "readers and writers", "writers", or NULL: nobody but other changes of the schema. */
const char *sql_lock_blocks(enum sql_lock_mode mode);

#endif
