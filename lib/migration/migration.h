/*
 * Migrations as data: names and bytes in, ordered migrations out. Nothing here talks to a database. A format
 * is one struct of functions in one file (morph.c); `migration_formats` is the table that lists them: a new format is
 * one file and one line. Facts and their sources: docs/MIGRATIONS.md.
 */
#ifndef LOCKSTEP_MIGRATION_MIGRATION_H
#define LOCKSTEP_MIGRATION_MIGRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/spec/action.h"

/* A file of a migration folder, as found in a release's artifact. */
struct migration_file {
    const char *name; /* below the folder: "000001_a.up.sql", "1663569995_a/up.sql" */
    struct bytes text;
    const char *sha256; /* of text; computed by the caller (this floor does no digests) */
};

/* A lock of PostgreSQL that makes others wait (lint.h): what a plan shows of it. */
struct migration_lock {
    const char *object; /* as written; NULL: many */
    bool is_index;      /* its table is locked, which the text does not name */
    int mode;           /* enum sql_lock_mode */
    bool rewrites;      /* the table is written anew, or may be */
    int line;
};

/*
 * One direction of a migration. sha256 is NULL when the release has no such script. Then `empty` says what that means: false,
 * this direction cannot be gone; true, there is nothing to send and the ledger moves all the same (golang-migrate).
 */
struct migration_script {
    const char *file; /* for people, always there when the direction can be gone */
    const char *sha256;
    bool empty;         /* nothing to send, or nothing but blanks and comments */
    bool transactional; /* wrapped in one transaction with the ledger's row */
    bool
        concurrent; /* works on an index concurrently: a fact of its text, whatever the tool does about it */
    bool delegated;    /* not SQL (goose's .go): the application's own migrator runs it */
    const char *lossy; /* what is lost, in words ("drops column entries.author_email"), or NULL */
    struct migration_lock *locks;
    size_t lock_count;
    struct strings traps; /* "line 3: …", for people */
    const char *
        fails; /* why a PostgreSQL server is certain to refuse it, as the tool sends it; NULL: not known to */
};

struct migration {
    const char *id; /* what the ledger knows it by: morph the name, the others the number as text */
    int64_t version;
    int64_t previous;       /* the version before it in the set; -1: it is the first */
    size_t place;           /* in its set's up order, from 0 */
    struct strings parents; /* sourcegraph: ids that must be applied before it */
    bool
        privileged; /* sourcegraph: touches extensions, so its role may have to be a stronger one */
    struct migration_script up, down;
};

/* In the order in which they go up. */
struct migration_set {
    struct migration *items;
    size_t count;
};

/* One text as it goes to the server in one piece, and where it begins in its file. */
struct migration_piece {
    const char *sql; /* NUL-terminated */
    size_t len;
    int line; /* from 1 */
};
struct migration_pieces {
    struct migration_piece *items;
    size_t count;
    bool
        wrapped; /* the tool has a transaction around them, also where they end it and begin another */
};

/* What migration_way() finds. */
struct migration_way {
    struct migration *up;
    size_t up_count;
    struct migration *down;
    size_t down_count;
};

struct migration_format {
    enum migration_format_kind kind;
    const char *name;
    /* All files of the folder in any order. 0, or E_INVALID with the file's name and the rule it breaks. */
    int (*read)(struct arena *arena, const struct migration_file *files, size_t count,
                struct migration_set *ret, struct error *e);
    /* The order in which `items` (a subset of a set) go down. Sorts in place. */
    void (*sort_down)(struct migration *items, size_t count);
    /* What the tool sends to the server for one direction of a file, piece by piece; E_INVALID with line and rule
     * where the tool would refuse the file. */
    int (*pieces)(struct arena *arena, struct bytes text, bool down, struct migration_pieces *ret,
                  struct error *e);
    /* The applied ids that a ledger's ids mean; NULL: they are themselves. golang-migrate's one row means all up to it.
     * `known` is the set that explains it. E_INVALID: the set does not know it. Its answer means itself again. */
    int (*applied)(struct arena *arena, const struct migration_set *known,
                   const struct strings *ledger, struct strings *ret, struct error *e);
    /* May `way` be gone from `applied`? NULL: any. E_INVALID names what the tool would refuse or skip in silence (a late
     * file). */
    int (*check_way)(struct arena *arena, const struct migration_set *target,
                     const struct strings *applied, const struct migration_way *way,
                     struct error *e);
    /* The part of a set up to and with migration `id` of it, in up order; NULL: those whose version is not higher. */
    int (*until)(struct arena *arena, const struct migration_set *set, const char *id,
                 struct migration_set *ret, struct error *e);
};

extern const struct migration_format *const migration_formats[];
extern const size_t migration_formats_count;
/* NULL for FORMAT_NONE and FORMAT_EXTERNAL. */
const struct migration_format *migration_format_get(enum migration_format_kind kind);

/* `pieces` of formats that send a file as it is. */
int migration_whole(struct arena *arena, struct bytes text, bool down, struct migration_pieces *ret,
                    struct error *e);

const struct migration *migration_find(const struct migration_set *set, const char *id);

/* What must run to bring a ledger from `applied` to exactly the migrations of `target`.
 *   up:   target's migrations that have an up script and are not applied, in up order, with target's scripts
 *   down: applied ones that are not in target, in down order, with the scripts of `newer`
 * `applied` is the ledger as it is, or the ids that it means (the format's `applied`, explained by `newer`, or else by
 * `target`). An applied id that neither set knows is E_INVALID (another version's work: it cannot be undone). A needed down
 * script that is missing is E_INVALID with its name, and so is what the format's `check_way` refuses. Both lists may be
 * non-empty (a mixed ledger). */
int migration_way(struct arena *arena, const struct migration_format *format,
                  const struct strings *applied, const struct migration_set *newer,
                  const struct migration_set *target, struct migration_way *ret, struct error *e);

/* One direction of `items` in their order, as a list of struct migration_item: what an action carries and the runner
 * runs. */
struct list migration_items(struct arena *arena, const struct migration *items, size_t count,
                            bool down);

/* The same before `check_way`: for who goes only one of the two lists, and asks it about that one. */
int migration_difference(struct arena *arena, const struct migration_format *format,
                         const struct strings *applied, const struct migration_set *newer,
                         const struct migration_set *target, struct migration_way *ret,
                         struct strings *ret_applied, struct error *e);

/* The part of `set` that a person means by `to`: NULL all of it; "0" nothing; else up to and with the migration that has
 * this number or this id (morph: its name), in up order; "none" nothing, also where one has the number 0.
 * E_NOT_FOUND: no such migration; the nearest ones are named. */
int migration_until(struct arena *arena, const struct migration_format *format,
                    const struct migration_set *set, const char *to, struct migration_set *ret,
                    struct error *e);

/* What lint.h sees in the text of one direction: lossy, locks, traps, and whether it must fail. `whole`: the tool sends it as one
 * query. The other facts of *script are there already. */
void migration_script_facts(struct arena *arena, struct bytes sql, bool whole,
                            struct migration_script *script);

#endif
