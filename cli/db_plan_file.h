/*
 * A way of migrations in one file, to be looked at, kept and run elsewhere. Lockstep's own form is SQL with marks: first the
 * names of what runs, then every file of the folder up to the newer end, with its length and digest:
 *   -- lockstep plan 1 format=morph from=100 to=158
 *   -- runs 000101_a.up.sql
 *   -- lockstep file bytes=45 sha256=… name=000001_first.up.sql
 *   CREATE TABLE …
 * The other form is Mattermost's migration_plan_FROM_TO.json (lib/migration/saved_plan.h).
 */
#ifndef LOCKSTEP_CLI_DB_PLAN_FILE_H
#define LOCKSTEP_CLI_DB_PLAN_FILE_H

#include "cli/db.h"

/* Is this text a plan of Lockstep's own form? */
bool db_plan_is_own(struct bytes text);
/* The files of a plan, in no order, with their digests. ret_format: as its word says. E_INVALID: not such a file, or its
 * text was changed. */
struct db_plan_file {
    const char *format, *from, *to;
    struct migration_file *files;
    size_t count;
};
int db_plan_read(struct arena *arena, struct bytes text, struct db_plan_file *ret, struct error *e);
/* `runs` are the names of what runs, in order. from is the lower end, to the upper one. */
const char *db_plan_text(struct arena *arena, const struct db_plan_file *plan, size_t *ret_len,
                         const struct strings *runs);

#endif
