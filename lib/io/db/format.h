/*
 * What a migration tool leaves in a database: its ledger and its own lock. One struct of functions per format in a
 * file of its own (format_morph.c); format.c lists them. Nothing here decides an order: the plan did.
 */
#ifndef LOCKSTEP_IO_DB_FORMAT_H
#define LOCKSTEP_IO_DB_FORMAT_H

#include "lib/io/db/evidence.h"

struct db_ledger {
    bool exists;
    struct strings ids; /* sorted by bytes */
};

enum db_lease { DB_LEASE_OURS, DB_LEASE_OTHERS };

struct db_format {
    enum migration_format_kind kind;
    const char *name;
    /* As the tool makes it; only when it is missing. */
    int (*ledger_create)(struct db_session *s, struct error *e);
    int (*ledger_read)(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e);
    /* As the tool does after a script; within the caller's transaction. E_CONFLICT: the row was not as expected. */
    int (*ledger_up)(struct db_session *s, const struct migration_item *item, struct error *e);
    int (*ledger_down)(struct db_session *s, const struct migration_item *item, struct error *e);
    /* The tool's own lock, where the engine has one of it; all NULL: the format has none. Within one transaction
     * with the holder's row: self->tool_lease is what we wrote last (take: what a dead holder of ours wrote).
     * *ret_words says who has it when it is not ours. */
    bool (*has_lease)(const struct db_session *s);
    int (*lease_take)(struct db_session *s, struct arena *arena, struct db_holder *self,
                      enum db_lease *ret, const char **ret_words, struct error *e);
    int (*lease_refresh)(struct db_session *s, struct db_holder *self, enum db_lease *ret,
                         struct error *e);
    int (*lease_release)(struct db_session *s, struct db_holder *self, struct error *e);
    int64_t lease_refresh_ms;
    /* The table whose rows a backup leaves out, *ret NULL when this database has none. */
    int (*lock_table)(struct db_session *s, struct arena *arena, const char **ret, struct error *e);
};

extern const struct db_format *const db_formats[];
extern const size_t db_formats_count;
/* NULL for FORMAT_NONE and FORMAT_EXTERNAL. */
const struct db_format *db_format_get(int kind);

/* Reads a ledger of a native format, or an external one by table and column. Missing: exists is false. */
int db_ledger_read(struct db_session *s, struct arena *arena, int format,
                   const struct ledger *external, struct db_ledger *ret, struct error *e);

#endif
