/*
 * The schema of a database as data, so that two of them can be compared: extensions, enums, functions, sequences, tables
 * with columns, constraints, indexes, triggers and views. No comments, no order of columns, no owners; nothing of
 * Lockstep's own and nothing of a migration tool's (its ledger and its lock). An engine reads it in one transaction.
 */
#ifndef LOCKSTEP_IO_DB_FINGERPRINT_H
#define LOCKSTEP_IO_DB_FINGERPRINT_H

#include "lib/io/db/session.h"

struct db_object {
    const char *kind;       /* "table", "column", "index" … */
    const char *name;       /* "public.posts", "public.posts.id" */
    const char *definition; /* normalised text; "" where the name is all */
};

struct db_fingerprint {
    struct db_object *items; /* sorted by kind and name */
    size_t count;
    const char *digest; /* SHA-256 of all of it, hex */
};

int db_fingerprint_read(struct db_session *s, struct arena *arena, struct db_fingerprint *ret,
                        struct error *e);
/* One text, a line each; and back. E_INVALID: no such text. */
const char *db_fingerprint_text(struct arena *arena, const struct db_fingerprint *fingerprint);
int db_fingerprint_parse(struct arena *arena, const char *text, struct db_fingerprint *ret,
                         struct error *e);
/* What `now` has, lacks or has otherwise than `was`, in words, one each: "index posts_a is not there any more". */
void db_fingerprint_differences(struct arena *arena, const struct db_fingerprint *was,
                                const struct db_fingerprint *now, struct strings *ret);

#endif
