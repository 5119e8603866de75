/*
 * What a migration tool leaves in a database: its ledger and its own lock. One struct of functions per format in a
 * file of its own (format_morph.c); format.c lists them. Nothing here decides an order: the plan did.
 */
#ifndef LOCKSTEP_IO_DB_FORMAT_H
#define LOCKSTEP_IO_DB_FORMAT_H

#include "lib/io/db/evidence.h"

/* A migration that the tool's own marks say was begun and not ended. */
enum db_ledger_mark { DB_MARK_NONE, DB_MARK_PENDING, DB_MARK_FAILED };

struct db_ledger {
    bool exists;
    struct strings ids; /* sorted by bytes; as the ledger says it (migration_format.applied) */
    enum db_ledger_mark mark; /* golang-migrate's dirty, Sourcegraph's pending or failed row */
    const char *mark_id;      /* of which migration; NULL without a mark */
    bool mark_down;           /* on its way down (golang-migrate cannot say: false) */
    const char *
        mark_words; /* what stands there, for people: "dirty", "failed at …: relation x does not exist" */
};

enum db_lease { DB_LEASE_OURS, DB_LEASE_OTHERS };

struct db_format {
    enum migration_format_kind kind;
    const char *name;
    /* As the tool makes it; only when it is missing. */
    int (*ledger_create)(struct db_session *s, struct error *e);
    int (*ledger_read)(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e);
    /* As the tool does before a script; NULL: nothing. In the script's own transaction, or, for a script that cannot be
     * wrapped, in one of its own before it (a crash then leaves the tool's own mark). Begun again is no error. */
    int (*ledger_begin)(struct db_session *s, const struct migration_item *item, bool down,
                        struct error *e);
    /* As the tool does when a script that was begun on its own failed; NULL: nothing (the mark stays). */
    int (*ledger_failed)(struct db_session *s, const struct migration_item *item, bool down,
                         const char *words, struct error *e);
    /* Takes the mark back, as if it had never begun; NULL: there are no marks. For a person who says so. */
    int (*ledger_forget)(struct db_session *s, const struct migration_item *item, bool down,
                         struct error *e);
    /* As the tool does after a script; within the caller's transaction. E_CONFLICT: the row was not as expected. */
    int (*ledger_up)(struct db_session *s, const struct migration_item *item, struct error *e);
    int (*ledger_down)(struct db_session *s, const struct migration_item *item, struct error *e);
    /* The tool's own session locks on this engine, in the order in which they are taken; NULL or none: it has none.
     * Keys as db_engine.advisory_* want them. The holder's session holds them beside ours. */
    int (*advisory_keys)(struct db_session *s, struct arena *arena, struct strings *ret,
                         struct error *e);
    /* They are given back while an index is built concurrently (hold_yield()): the tool waits for them inside the server,
     * where the index would wait for it (golang-migrate), or it gives them back itself (Sourcegraph). */
    bool advisory_yields;
    /* The tool's own lock row (a lease), where the engine has one of it; all NULL: the format has none. Within one transaction
     * with the holder's row: self->tool_lease is what we wrote last (take: what a dead holder of ours wrote).
     * *ret_words says who has it when it is not ours. */
    bool (*has_lease)(const struct db_session *s);
    int (*lease_take)(struct db_session *s, struct arena *arena, struct db_holder *self,
                      enum db_lease *ret, const char **ret_words, struct error *e);
    int (*lease_refresh)(struct db_session *s, struct db_holder *self, enum db_lease *ret,
                         struct error *e);
    int (*lease_release)(struct db_session *s, struct db_holder *self, struct error *e);
    int64_t lease_refresh_ms;
    /* Who has it; changes nothing. `holder` is the row of ours, run NULL without one: *ret_ours when it names this lease. */
    int (*lease_state)(struct db_session *s, struct arena *arena, const struct db_holder *holder,
                       bool *ret_ours, struct db_lock_state *ret, struct error *e);
    /* The table whose rows a backup leaves out, as the engine's dump names it; *ret NULL: this database has none. */
    int (*lock_table)(struct db_session *s, struct arena *arena, const char **ret, struct error *e);
};

extern const struct db_format *const db_formats[];
extern const size_t db_formats_count;
/* NULL for FORMAT_NONE and FORMAT_EXTERNAL. */
const struct db_format *db_format_get(int kind);

/* What intents call this ledger: "morph", "golang-migrate app.schema_migrations". */
const char *db_ledger_name(const struct db_session *s, int format, struct arena *arena);
/* Where a format's ledger is: s->ledger ("table" or "schema.table"), or `fallback`. */
struct db_table {
    const char
        *schema; /* PostgreSQL: the given one, or current_schema(), as the tools do; "" elsewhere */
    const char *name;
    const char *
        quoted; /* for statements; says its schema where there is one, against temporary tables of its name */
    const char *local; /* the same without its schema */
};
/* Text from s->arena. E_INVALID: not such a name, or no schema to be in. */
int db_ledger_table(struct db_session *s, const char *fallback, struct db_table *ret,
                    struct error *e);
/* The same for a table whose name nobody can choose. */
int db_table_named(struct db_session *s, const char *name, struct db_table *ret, struct error *e);
int db_ledger_exists(struct db_session *s, const struct db_table *table, bool *ret,
                     struct error *e);
/* Statements that belong together: in the caller's transaction, or in one of their own. */
int db_ledger_exec(struct db_session *s, const char *sql, struct error *e);
/* A format that the engine's tool does not know: E_INVALID. */
int db_ledger_refuse(struct db_session *s, const char *format, struct error *e);

/* Who holds the tool's own locks (session locks and lease) now: our run, or another session with host and age; changes
 * nothing. Held by us and by nobody else: the words begin with "run ". Formats without locks: not held. */
int db_tool_lock_state(struct db_session *s, struct arena *arena, int format,
                       struct db_lock_state *ret, struct error *e);

/* Does the ledger say that this migration is applied? A mark (ledger->mark) is not looked at. */
bool db_ledger_has(const struct db_ledger *ledger, const struct migration_item *item, int format);
/* Whether the tool's mark may be about it, and which way that was. golang-migrate writes down only where its way led: up to
 * this version, or down from the next one. */
bool db_ledger_marks(const struct db_ledger *ledger, const struct migration_item *item, int format,
                     bool *ret_down);

/* Reads a ledger of a native format, or an external one by table and column. Missing: exists is false. */
int db_ledger_read(struct db_session *s, struct arena *arena, int format,
                   const struct ledger *external, struct db_ledger *ret, struct error *e);

#endif
