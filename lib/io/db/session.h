/*
 * One session with one database, behind one table of functions per engine (postgres.c, sqlite.c, mariadb.c): a new engine is
 * one file and one line in session.c. A session resolves the password itself, at the moment of use; no password is
 * ever part of an error, a log or a fact. A session belongs to one thread.
 */
#ifndef LOCKSTEP_IO_DB_SESSION_H
#define LOCKSTEP_IO_DB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/migration/engine.h"
#include "lib/spec/action.h"

#define DB_CONNECT_TIMEOUT_MS 5000
#define DB_BUSY_TIMEOUT_MS    5000    /* SQLite: how long one statement waits for another writer */
#define DB_ROWS_MAX           1000000 /* rows of one answer */

/* Positive outcomes. */
#define DB_E_BUSY 1 /* another session is at it: try again */

/* Text cells, row by row; NULL is SQL's NULL. Arena-owned. */
struct db_rows {
    size_t count;
    size_t columns;
    const char **cells;
    uint64_t changed; /* rows that an INSERT, UPDATE or DELETE changed */
};

/* What a statement's error said beside its words. Zero when nothing was said. */
struct db_fault {
    char sqlstate[6]; /* "" where the engine has none */
    unsigned number;  /* MariaDB's; 0 elsewhere */
    int line;         /* in the text that was executed, from 1; 0: not known */
    bool lost;        /* the connection is gone: what was under way may or may not have happened */
    bool fenced;      /* the server's own trigger refused an old fence */
    bool waited;      /* limit_wait()'s time has passed, or lock_limit's */
    bool late;        /* limit_statements()'s time has passed */
};

/* Called before every statement that a session sends, and after every answer (`after` may be NULL): tests stop the world there. */
struct db_trace {
    void (*before)(void *context, const char *sql);
    void *context;
    void (*after)(void *context, const char *sql);
};

/* Called once for a text that has not been answered for so long, while it still runs: to look, through another session,
 * what it waits for. Engines that cannot do so never call it. */
struct db_watch {
    int64_t after_ms;
    void (*slow)(void *context);
    void *context;
};

struct db_options {
    const char *run; /* application_name is "lockstep RUN"; "" or NULL: "lockstep" */
    bool read_only;  /* nothing can be changed by mistake */
    bool create;     /* SQLite: the file may be made; else a missing file is E_NOT_FOUND */
    int log_fd;      /* the server's notices go there; -1 or 0: nowhere */
    const struct db_trace *trace; /* borrowed; may be NULL */
    const struct db_watch *watch; /* borrowed; may be NULL */
};

struct act;
struct db_engine;
struct db_holder; /* evidence.h */
struct db_work;   /* evidence.h */
struct db_object; /* fingerprint.h */

struct db_session {
    const struct db_engine *engine;
    struct arena *arena; /* borrowed; names and messages only */
    const char *name;    /* of the database in the spec */
    const char *ledger;  /* database_ref.ledger: NULL where the format's own name is meant */
    const char
        *place;   /* "host:5432/chat as mm", "/var/lib/app.db": for messages, never a password */
    void *handle; /* owned by the engine */
    bool lost;    /* the connection is gone; only db_close() is left */
    int64_t backend_pid;   /* PostgreSQL's server process, MariaDB's connection; SQLite: 0 */
    char schema[64];       /* PostgreSQL: current_schema() when it was opened; "" elsewhere */
    struct db_fault fault; /* of the last failure */
    struct db_options options;
    bool later;                      /* db_later() was said */
    size_t unanswered;               /* statements that were queued and not answered yet */
    const struct db_work *restoring; /* restore(): what its transaction leaves as evidence */
};

/* A session that is connected to the database and that has locks. */
struct db_writer {
    int64_t pid;
    const char *user;
    const char *host; /* the client's address, "local" for a socket */
    const char *application;
    const char *state;
    const char *since; /* when the session began; MariaDB: what it does now */
};

/* How a lock is held now, as the server (or, for SQLite, the holder's row and /proc) says. */
struct db_lock_state {
    bool held;
    int64_t pid; /* the session's backend_pid; SQLite: the holder's pid */
    const char *
        words; /* "run 1f…, host a, pid 12, since …; backend 77, lockstep 1f…, 10.0.0.1": for people */
};

/* How an index that a statement names (struct db_index_name) stands now. */
struct db_index_state {
    bool exists;
    bool valid;       /* false: what a concurrent build or drop left that did not end */
    const char *id;   /* another one has another id; NULL when there is none */
    const char *name; /* quoted, with its schema: to be dropped by */
};

/* How long a statement waits for a table that others use, and how that is said (waits.h). */
struct db_lock_limit {
    const char *read;      /* a query: the session's limit as it is */
    const char *set;       /* before a number of units: for the session */
    const char *give_back; /* $1 is what `read` has told */
    const char *set_local; /* as `set`, for the transaction that is open; NULL: no such thing */
    int64_t unit_ms;
    int64_t least; /* units: the shortest that is a limit */
    /* Who keeps the session `pid` waiting, asked through another one: words for people, NULL when nobody can be told. */
    int (*blockers)(struct db_session *s, struct arena *arena, int64_t pid, const char **ret,
                    struct error *e);
};

/* What each engine can do. Every function that fails sets *e and s->fault. */
struct db_engine {
    enum db_engine_kind kind;
    const char *name;           /* "PostgreSQL" */
    const char *const *schemes; /* of URLs; ends with NULL */
    char name_quote;            /* around an identifier */
    const char *text_type;      /* CAST(x AS …) to a text of any length */
    const char *database_name;  /* an expression; NULL: a database has none */
    const char *table_names;    /* a query: of all tables that may hold rows of the application */
    bool on_duplicate_key; /* INSERT … ON DUPLICATE KEY UPDATE and INSERT IGNORE, not ON CONFLICT */

    int (*open)(struct db_session *s, const char *url, const char *password, struct error *e);
    void (*close)(struct db_session *s);
    /* Any number of statements as one text, sent as it is. */
    int (*exec)(struct db_session *s, const char *sql, struct error *e);
    /* One statement; parameters are $1, $2 … as text (NULL: SQL's NULL). ret may be NULL. */
    int (*query)(struct db_session *s, struct arena *arena, const char *sql,
                 const char *const *params, size_t count, struct db_rows *ret, struct error *e);
    /* Like query without rows, but nobody waits for the answer: flush does, and tells the first failure of all; the
     * server has then skipped what came after it. NULL: this engine waits for each. */
    int (*queue)(struct db_session *s, const char *sql, const char *const *params, size_t count,
                 struct error *e);
    int (*flush)(struct db_session *s, struct error *e);
    const char *begin;           /* a transaction that is going to write */
    bool schema_in_transactions; /* CREATE, ALTER, DROP roll back; MariaDB commits at each */
    bool (*in_transaction)(const struct db_session *s);

    int (*identity)(struct db_session *s, struct arena *arena, const char **ret, struct error *e);
    int (*version)(struct db_session *s, struct arena *arena, const char **ret, struct error *e);
    int (*bytes)(struct db_session *s, uint64_t *ret, struct error *e);
    /* The largest tables, largest first: name with schema, bytes, rows (estimated). NULL: this engine has no such answer. */
    int (*tables)(struct db_session *s, struct arena *arena, struct db_rows *ret, struct error *e);
    int (*table_exists)(struct db_session *s, const char *table, bool *ret, struct error *e);
    int (*writers)(struct db_session *s, struct arena *arena, struct db_writer **ret,
                   size_t *ret_count, struct error *e);

    /* Lockstep's own tables (evidence.h): where they are, and the text that makes them. With the schema where the engine has
     * any: a script's temporary table of the same name is another one. */
    const char *prefix; /* "lockstep.", "main.lockstep_", "lockstep_" */
    const char
        *evidence_ddl; /* in one transaction; without schema_in_transactions: may be begun again */
    /* One creator at a time, inside a transaction, polled: 0, or DB_E_BUSY. */
    int (*creator_lock)(struct db_session *s, struct error *e);
    void (*creator_unlock)(struct db_session *s); /* NULL: the transaction's end gives it back */
    /* Within a transaction: how long its statements wait for another one's rows. */
    int (*limit_wait)(struct db_session *s, int64_t ms, struct error *e);
    const struct db_lock_limit *lock_limit; /* NULL: nobody has to be let pass */
    /* From here on the server ends a statement of this session that takes longer: fault.late. NULL: it never does. */
    int (*limit_statements)(struct db_session *s, int64_t ms, struct error *e);

    /* The lock (hold.h). try_lock: *ret says whether this session holds it now; `self` is written into its row. */
    int (*try_lock)(struct db_session *s, const struct db_holder *self, bool *ret, struct error *e);
    /* After try_lock: still ours? A session that was lost fails with fault.lost. */
    int (*keep_lock)(struct db_session *s, const struct db_holder *self, bool *ret,
                     struct error *e);
    int (*unlock)(struct db_session *s, const struct db_holder *self, struct error *e);
    int (*lock_state)(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                      struct error *e);
    /* Makes sure that no earlier session of the same run and step is still at work; ends it where it is. */
    int (*sole_worker)(struct db_session *s, const char *run, const char *step, int64_t deadline_ms,
                       struct error *e);
    /* Is a session of that run and step at work? Changes nothing. */
    int (*worker_lives)(struct db_session *s, const char *run, const char *step, bool *ret,
                        struct error *e);
    /* A tool's session lock by its key: PostgreSQL "123" or "1,2" (pg_advisory_lock), MariaDB the name (GET_LOCK). Never
     * waits inside the server. Engines without such locks say free, and got. */
    int (*advisory_state)(struct db_session *s, struct arena *arena, const char *key,
                          struct db_lock_state *ret, struct error *e);
    int (*advisory_try)(struct db_session *s, const char *key, bool *ret, struct error *e);
    int (*advisory_release)(struct db_session *s, const char *key, struct error *e);
    /* The schema as a sorted list (fingerprint.h), without Lockstep's own tables, and without a tool's ledger. */
    int (*objects)(struct db_session *s, struct arena *arena, struct db_object **ret,
                   size_t *ret_count, struct error *e);
    /* A cheap digest of the schema (its objects, not its rows): equal as long as nobody changed it, and another one after
     * any change. It begins with "schema ", and need not be comparable with another server's, nor outlive a dump. NULL: this
     * engine has none. */
    int (*schema_state)(struct db_session *s, struct arena *arena, const char **ret,
                        struct error *e);
    /* NULL where no index is built concurrently. */
    int (*index_state)(struct db_session *s, struct arena *arena, const struct db_index_name *index,
                       struct db_index_state *ret, struct error *e);
    /* Ends one session of the application. */
    int (*terminate)(struct db_session *s, int64_t pid, struct error *e);
    /* Writes the database without Lockstep's own tables (and, where the engine can, without the rows of a tool's
     * lock) into a new file, and proves that the file can be read back. */
    int (*dump)(struct db_session *s, struct act *act, const struct database_ref *ref,
                const char *path, struct error *e);
    /* The opposite: afterwards the database holds what the file holds, and Lockstep's own tables as they were: the
     * fence never goes back. One transaction where the engine can, with the evidence of s->restoring, and without the
     * intents that stood open; else an error says that it is half-done, and the caller does both afterwards. A file that is
     * no whole backup is E_INVALID, and nothing was changed. */
    int (*restore)(struct db_session *s, struct act *act, const struct database_ref *ref,
                   const char *path, struct error *e);
};

#define SQLITE_MAIN "main." /* before the names of tables in the file itself */

extern const struct db_engine db_postgres;
extern const struct db_engine db_sqlite;
extern const struct db_engine db_mariadb;

/* The engine that a URL means, or NULL. */
const struct db_engine *db_engine_of(const char *url);

/* Connects. The caller ends it with db_close(), which may be called on a zeroed session. Errors say what to do:
 *   E_DENIED       the password is wrong or missing, or the role may not connect
 *   E_NOT_FOUND    the database, the role, the file, the host's name or the secret is not there
 *   E_UNAVAILABLE  refused, starting up, out of connections, no answer in time: worth another try
 *   E_INVALID      the URL, or a pooler between us and the server (session locks would not hold)
 *   E_DATABASE     the server's own words */
int db_open(struct db_session *s, struct arena *arena, const struct database_ref *ref,
            const struct db_options *options, struct error *e);
/* The same; E_UNAVAILABLE is tried again until the deadline (wall clock, Unix milliseconds). */
int db_open_wait(struct db_session *s, struct arena *arena, const struct database_ref *ref,
                 const struct db_options *options, int64_t deadline_ms, struct error *e);
void db_close(struct db_session *s);

int db_exec(struct db_session *s, const char *sql, struct error *e);
int db_query(struct db_session *s, struct arena *arena, const char *sql, const char *const *params,
             size_t count, struct db_rows *ret, struct error *e);
/* The first cell of the first row, NULL without a row. */
int db_value(struct db_session *s, struct arena *arena, const char *sql, const char *const *params,
             size_t count, const char **ret, struct error *e);
/* From here to the next db_commit() or db_rollback(), queries without `ret` may be sent without waiting for their answer, to
 * save round trips: their failure is told by the next statement that waits, at the latest by db_commit(). Only within a
 * transaction, where a failure undoes them all. */
void db_later(struct db_session *s);
/* A transaction that is going to write. Rolling back never fails: what cannot be reached is rolled back already. */
int db_begin(struct db_session *s, struct error *e);
int db_commit(struct db_session *s, struct error *e);
void db_rollback(struct db_session *s);

static inline const char *db_cell(const struct db_rows *rows, size_t row, size_t column)
{
    assert(row < rows->count && column < rows->columns);
    return rows->cells[row * rows->columns + column];
}

/* Sessions of the database other than Lockstep's own: what must be gone before an all-at-once hop. SQLite: the processes
 * that have the file open, as far as this user may look at them (root: all of this machine). */
int db_writers(struct db_session *s, struct arena *arena, struct db_writer **ret, size_t *ret_count,
               struct error *e);
/* "mm@10.0.0.7 (mattermost, idle, since 09:12)", at most `max` of them. */
const char *db_writers_text(struct arena *arena, const struct db_writer *writers, size_t count,
                            size_t max);

/* "schema.table" or "table" as an identifier of the engine, each part quoted. E_INVALID: empty, or not such a name. */
int db_quote_name(const struct db_engine *engine, struct arena *arena, const char *name,
                  const char **ret, struct error *e);

/* For engines: sets *e and s->fault, "database main (host:5432/chat): …". */
int db_fail(struct db_session *s, struct error *e, int code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#endif
