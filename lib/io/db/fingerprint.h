/*
 * The schema of a database as data, so that two of them can be compared: schemas, extensions, types, functions,
 * sequences, tables with columns, constraints, indexes, triggers and policies, and views. Every name says its schema.
 *
 * Not in it: comments, the order of columns, owners and grants, what tunes and changes no meaning (storage, fill factors,
 * statistics targets, replica identity, publications), extensions' own objects and versions, the current value of a sequence,
 * anything of Lockstep's own, the ledger and lock tables of migration tools, and partitions by range or list: applications
 * make and drop those as data comes and goes. Partitions by hash and default ones are in it.
 */
#ifndef LOCKSTEP_IO_DB_FINGERPRINT_H
#define LOCKSTEP_IO_DB_FINGERPRINT_H

#include "lib/io/db/session.h"

#define DB_FINGERPRINT_BYTES_MAX (64u * 1024 * 1024) /* of the text */

struct db_object {
    const char *kind;       /* "table", "column", "index" … */
    const char *name;       /* "public.posts", "public.posts.id" */
    const char *definition; /* normalised text; "" where the name is all */
};

struct db_fingerprint {
    struct db_object *items; /* sorted by kind and name */
    size_t count;
    const char *digest; /* SHA-256 of the text, hex */
};

/* Reads what is there now, in one transaction of its own (there must be none open). */
int db_fingerprint_read(struct db_session *s, struct arena *arena, struct db_fingerprint *ret,
                        struct error *e);
/* One text, a line each; and back. E_INVALID: no such text. */
const char *db_fingerprint_text(struct arena *arena, const struct db_fingerprint *fingerprint);
int db_fingerprint_parse(struct arena *arena, const char *text, struct db_fingerprint *ret,
                         struct error *e);
/* What `now` has, lacks or has otherwise than `was`, in words, one each: "index public.posts_a is not there any more". What
 * belongs to a table that is new or gone is not said again. */
void db_fingerprint_differences(struct arena *arena, const struct db_fingerprint *was,
                                const struct db_fingerprint *now, struct strings *ret);

/* ---- what was recorded ---- */

struct db_checkpoint; /* evidence.h */

/* Keeps it and the checkpoint that names it (checkpoint->fingerprint is set), in one transaction. The same again changes
 * nothing; an old fence is refused by the server. Whoever calls holds the lock. */
int db_fingerprint_record(struct db_session *s, const struct db_fingerprint *fingerprint,
                          struct db_checkpoint *checkpoint, struct error *e);
/* What db_checkpoint_latest() found, with its objects. ret_checkpoint->run is NULL when nothing was recorded that this
 * program can read. */
int db_fingerprint_of(struct db_session *s, struct arena *arena, const char *release,
                      struct db_checkpoint *ret_checkpoint, struct db_fingerprint *ret,
                      struct error *e);

/* ---- for the engines ---- */

/* Tables that migration tools keep for themselves; ends with NULL. A session's own ledger name (s->ledger) is one more. */
extern const char *const db_fingerprint_tool_tables[];
/* Is `table` (without its schema) one of them, or the session's own ledger? */
bool db_fingerprint_is_tools(const struct db_session *s, const char *table);
/* SQL on one line: comments go, runs of blanks become one, blanks beside ( ) , and ; go; strings and quoted names stay.
 * `bodies`: the same inside of dollar quotes, which else stay as they are. */
const char *db_fingerprint_normalise(struct arena *arena, const char *sql, bool bodies);

#endif
