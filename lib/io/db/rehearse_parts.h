/* Shared by the files of the rehearsal only: what an engine brings, and what belongs to one rehearsal. */
#ifndef LOCKSTEP_IO_DB_REHEARSE_PARTS_H
#define LOCKSTEP_IO_DB_REHEARSE_PARTS_H

#include "lib/io/db/rehearse.h"

/* A column's values, whatever the order of the rows. */
struct rehearse_column {
    const char *name; /* "": all columns together, so that values which changed places show */
    const char *hash;
};
struct rehearse_table {
    const char *id;      /* stays when the table is renamed */
    const char *name;    /* "public.posts"; elsewhere "posts" */
    const char *storage; /* changes when the table is written anew; "": cannot be told */
    uint64_t bytes;
    bool has_rows;                   /* a table, whose rows are compared; not a materialized view */
    const char *rows;                /* how many */
    struct rehearse_column *columns; /* sorted by name; none: not compared */
    size_t columns_count;
};

struct rehearsal {
    struct act outer; /* whose words and blobs are used */
    struct act act;   /* of the work on the clone */
    struct arena *arena;
    struct rehearse_options options;
    const struct rehearse_engine *engine;
    const char *home;
    int alive_fd;
    struct db_session live;  /* its life proves ours, where the engine can see it */
    struct db_session clone; /* looks at the clone */
    struct arena clone_arena;
    struct database_ref ref; /* of the clone */
    const char *name;        /* of the clone's database, or its file */
    uint64_t bytes;
    int64_t clone_ms;
    struct walk *walk; /* rehearse.c */
};

struct rehearse_engine {
    enum db_engine_kind kind;
    const char *why_no_locks;    /* words of the report: without `locks` */
    const char *why_no_rewrites; /* … and where a table has no `storage`; NULL: never */
    /* Makes what r->name calls, marks it as r's, and fills it. Sets r->ref. */
    int (*make)(struct rehearsal *r, struct error *e);
    /* Takes it away. `keep`: only the mark. */
    int (*remove)(struct rehearsal *r, bool keep, struct error *e);
    /* Removes the clones of dead rehearsals that this server knows of; NULL: nothing outside of our own directory. */
    int (*sweep)(struct rehearsal *r, struct error *e);
    /* A dead rehearsal's record in our own directory names this clone; NULL as above. */
    int (*sweep_named)(struct rehearsal *r, const char *name, struct error *e);
    /* All tables, without those of tools and of Lockstep, sorted by name; without their rows. */
    int (*tables)(struct db_session *s, struct arena *arena, struct rehearse_table **ret,
                  size_t *ret_count, struct error *e);
    /* Counts, and with `digest` also hashes. */
    int (*rows)(struct db_session *s, struct arena *arena, struct rehearse_table *table,
                bool digest, struct error *e);
    /* The locks that a session has now on tables that others see: rows of (id, name, mode). NULL: nothing to see. */
    int (*locks)(struct db_session *s, struct arena *arena, int64_t pid, struct db_rows *ret,
                 struct error *e);
};
extern const struct rehearse_engine rehearse_postgres;
extern const struct rehearse_engine rehearse_sqlite;
extern const struct rehearse_engine rehearse_mariadb;

/* ---- what stood in the clone (rehearse_state.c) ---- */

struct rehearse_state {
    struct arena arena;
    const char *schema_digest;
    const char *schema; /* the fingerprint's text */
    struct rehearse_table *tables;
    size_t count;
};
/* Which tables were written since the last state, where that is known; NULL: any of them. */
struct rehearse_touched {
    const char **ids;
    size_t count;
};
/* Reads what is there now. Rows of tables that were not touched, and have the storage that they had, are taken over from
 * `before` (may be NULL). */
int rehearse_state_read(struct rehearsal *r, const struct rehearse_state *before,
                        const struct rehearse_touched *touched, struct rehearse_state *ret,
                        struct error *e);
void rehearse_state_deinit(struct rehearse_state *state);
/* Kept as a file of the rehearsal's directory, by its number. */
int rehearse_state_keep(struct rehearsal *r, const struct rehearse_state *state, size_t number,
                        struct error *e);
int rehearse_state_load(struct rehearsal *r, size_t number, struct rehearse_state *ret,
                        struct error *e);

/* One thing that is otherwise than it was. */
struct rehearse_difference {
    const char *what;  /* the same thing has the same name at each comparison */
    const char *words; /* for people */
};
int rehearse_state_compare(struct arena *arena, const struct rehearse_state *was,
                           const struct rehearse_state *now, struct rehearse_difference **ret,
                           size_t *ret_count, struct error *e);
const struct rehearse_table *rehearse_table_find(const struct rehearse_state *state,
                                                 const char *id);

#endif
