/*
 * Cuts what a tool sends into units: the parts of a migration that happen as a whole or not at all, in their order. A
 * migration that fits one transaction is one unit. Pure: nothing here talks to a server.
 */
#ifndef LOCKSTEP_MIGRATION_UNITS_H
#define LOCKSTEP_MIGRATION_UNITS_H

#include "lib/migration/migration.h"
#include "lib/migration/script.h"

enum unit_kind {
    UNIT_FREE, /* runs in a transaction of ours, together with the note that it ran */
    UNIT_OWN, /* brings its own transaction: the note goes in before its COMMIT, the last of its texts */
    UNIT_ALONE, /* must stand outside of a transaction, or commits by itself: looked at after a break */
    UNIT_SESSION, /* changes the session only: said again to a new session */
    UNIT_UNDONE,  /* rolls itself back: leaves nothing */
};

struct unit_text {
    const char *sql; /* sent as it is */
    int line;        /* of its beginning, in the file */
};

struct unit {
    enum unit_kind kind;
    struct unit_text *texts;
    size_t count;
    int line;          /* of its first statement, in the file */
    const char *words; /* that statement's beginning */
    size_t statements;
    bool changes_schema; /* has a statement that does */
    bool schema_only;    /* has no other */
    bool surely;         /* … and one that is not guarded by IF [NOT] EXISTS or OR REPLACE */
    bool repeatable;     /* upkeep only */
    bool atomic;         /* the server does all of it or nothing */
    bool concurrently;
    bool
        keeps; /* leaves something in the session that cannot be said again: a temporary table, a SET among others */
    struct db_index_name index; /* of the one statement; name NULL: none */
    bool index_drop, index_guarded;
};

struct units {
    struct unit *items;
    size_t count; /* at least 1: a migration without statements is one unit that sends nothing */
    bool lock_timeout; /* the migration sets it itself */
};

/* How the server takes it. */
struct units_rules {
    enum db_engine_kind engine;
    bool schema_in_transactions;
    bool transactional; /* the tool wraps the whole migration, and it fits one transaction */
    bool wrapped;       /* the tool wraps it, whatever it says: COMMIT AND CHAIN may cut it */
};

/* E_INVALID: the script begins a transaction and does not end it, or hands one over (PREPARE TRANSACTION, an AND CHAIN
 * of its own), or holds what script_check() refuses. */
int units_of(struct arena *arena, const struct migration_pieces *pieces,
             const struct units_rules *rules, struct units *ret, struct error *e);

#endif
