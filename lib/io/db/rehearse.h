/*
 * Rehearsal: migrations run on a clone of a database, and back again, by the same runner; what each one takes, locks and
 * rewrites is measured, and what its way back does not bring back is said. The live database is only read.
 *
 *   rehearse_begin()  leftovers of dead rehearsals go; the clone is made
 *   rehearse_run()    there and back, a state recorded before and after each migration
 *   rehearse_end()    the clone goes; always to be called when rehearse_begin() gave a rehearsal
 *
 * Below act->state_dir, rehearsals/RUN/ belongs to one rehearsal: `alive` is locked for as long as it lives.
 */
#ifndef LOCKSTEP_IO_DB_REHEARSE_H
#define LOCKSTEP_IO_DB_REHEARSE_H

#include <jansson.h>

#include "lib/io/db/session.h"
#include "lib/io/platform/act.h"
#include "lib/spec/action.h"

#define REHEARSE_ROWS_BYTES (256u * 1024 * 1024) /* tables above it are counted, not compared */

struct rehearse_options {
    const struct database_ref *live;
    /* An empty database that a person made for this; it is empty again at the end. NULL: a new one beside the live one. */
    const struct database_ref *clone;
    const char *clone_key; /* how a person names one: "--clone-url" */
    int format;
    uint64_t rows_bytes_max; /* 0: REHEARSE_ROWS_BYTES */
};

/* PostgreSQL only: the strongest lock that a migration had on a table when it ended. */
struct rehearse_lock {
    const char *table; /* "public.posts" */
    const char *mode;  /* "ACCESS EXCLUSIVE" */
    int strength;      /* for comparisons; from REHEARSE_STOPS_WRITERS on writers wait */
};
#define REHEARSE_STOPS_WRITERS 5

/* A table that was written anew. */
struct rehearse_rewrite {
    const char *table;
    uint64_t bytes; /* of the new one */
};

struct rehearse_leg {
    bool ran;
    bool failed;
    int64_t ms;
    struct rehearse_lock *locks; /* the strongest first */
    size_t locks_count;
    struct rehearse_rewrite *rewrites;
    size_t rewrites_count;
};

struct rehearse_step {
    const char *id;
    const char *files[2];        /* of the way there, of the way back */
    const char *digests[2];      /* SHA-256 of the scripts; NULL: nothing is sent */
    struct rehearse_leg legs[2]; /* there, back */
    struct strings lost;         /* what the way back did not bring back, in words */
};

struct rehearse_report {
    struct rehearse_step *steps;
    size_t count;
    bool down;                   /* the way there goes down */
    size_t lossy;                /* steps with something lost */
    struct strings left_out;     /* what was not compared, and why */
    struct strings not_measured; /* what this engine, or this user, cannot be told, and why */
};

struct rehearsal;

/* E_CONFLICT: the named clone is not empty; E_DENIED: the role may not create databases. */
int rehearse_begin(struct act *act, const struct rehearse_options *options, struct rehearsal **ret,
                   struct error *e);
/* What to run on. */
const struct database_ref *rehearse_clone(const struct rehearsal *r);
const char *rehearse_place(const struct rehearsal *r); /* of the clone, for people */
uint64_t rehearse_bytes(const struct rehearsal *r);    /* of the clone */
int64_t rehearse_clone_ms(const struct rehearsal *r);

/* `there` and `back` are of struct migration_item, `back` begins with the last of `there`, in the reverse order; it may
 * end earlier.
 * *ret is filled as far as it came, in act's arena, also on failure. */
struct rehearse_way {
    struct list there, back;
    bool down;
};
int rehearse_run(struct rehearsal *r, const struct rehearse_way *way, struct rehearse_report *ret,
                 struct error *e);

/* `keep`: the clone stays, and no later rehearsal removes it. Takes and frees r; NULL is fine. */
int rehearse_end(struct rehearsal *r, bool keep, struct error *e);

/* ---- the report as one document ---- */

struct rehearse_telling {
    const struct rehearse_options *options;
    const struct rehearse_report *report;
    size_t count; /* of the way there; a report that was not begun has no steps */
    bool down, one_way, kept;
    const char *no_way_back; /* the file that has none; NULL */
    const char *clone;       /* its place; NULL: none was made */
    uint64_t bytes;
    int64_t clone_ms;
    int rc; /* how the rehearsal ended */
    const struct error *error;
};
/* {database, format, direction, state, clone: {name, bytes, ms, kept}, migrations: [{id, up: {file, sha256, state, ms, locks:
 * [{table, mode, stops_writers}], rewritten: [{table, bytes}]}, down: the same, not_restored: [words]}], not_compared: [words],
 * not_measured: [words], ms: {up, down}, one_way, no_way_back, error: {code, message}}. What there is not is null. `state` is
 * "done", "not restored", "nothing to do", "failed" or "interrupted". */
json_t *rehearse_json(const struct rehearse_telling *telling);

#endif
