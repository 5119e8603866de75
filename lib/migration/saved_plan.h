/*
 * Saved plans of Mattermost: migration_plan_FROM_TO.json, a morph plan as Go writes it:
 * {Version: 1, Auto, Migrations[], RevertMigrations[]}, each {Bytes (base64), Name, RawName, Version, Direction}.
 * RawName is the file name; the other three are what morph reads in it. Sources: docs/MIGRATIONS.md.
 */
#ifndef LOCKSTEP_MIGRATION_SAVED_PLAN_H
#define LOCKSTEP_MIGRATION_SAVED_PLAN_H

#include "lib/migration/migration.h"

struct saved_migration {
    struct migration_file file; /* RawName and Bytes; sha256 is the caller's, NULL after reading */
    const char *name;
    int64_t version;
    bool down;
};

struct saved_plan {
    bool automatic;                     /* morph takes back what it did when a migration fails */
    struct saved_migration *migrations; /* in the order in which they run */
    size_t count;
    struct saved_migration *reverts; /* the same ones in the other direction */
    size_t revert_count;
};

/* "migration_plan_127_129.json". */
const char *saved_plan_name(struct arena *arena, int64_t from, int64_t to);
/* 0, E_LIMIT, or E_INVALID with what is wrong and at which migration. Copies what it keeps. */
int saved_plan_read(struct arena *arena, struct bytes text, struct saved_plan *ret,
                    struct error *e);
/* As Go writes it, one blank for each level; sha256 is not needed. E_INVALID: a name that is not UTF-8. */
int saved_plan_write(struct arena *arena, const struct saved_plan *plan, struct bytes *ret,
                     struct error *e);
/* One migration of a file, with what its name says. E_INVALID: morph cannot read the name. */
int saved_migration_of(struct arena *arena, const struct migration_file *file,
                       struct saved_migration *ret, struct error *e);
/* The files of both lists, for morph's `read`; each needs its sha256. */
struct migration_file *saved_plan_files(struct arena *arena, const struct saved_plan *plan,
                                        size_t *ret_count);

#endif
