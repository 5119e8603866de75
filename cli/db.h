/*
 * `lockstep db`: the runner of migrations without a controller. One call of it is a struct db_call; the verbs are in
 * verb_db*.c, the parts in db_*.c. What was read once is what runs: the folder is never read a second time.
 */
#ifndef LOCKSTEP_CLI_DB_H
#define LOCKSTEP_CLI_DB_H

#include <jansson.h>

#include "cli/progress.h"
#include "cli/verb.h"
#include "lib/io/db/db.h"
#include "lib/io/db/format.h"
#include "lib/io/db/settle.h"
#include "lib/migration/migration.h"

/* ---- what the person said (db_call.c) ---- */

/* What --dir holds. */
struct db_folder {
    const char *from; /* as it was named */
    struct migration_file
        *files; /* in the order of their names; `by_digest`: the same, for blobs */
    const struct migration_file **by_digest;
    size_t count;
    struct migration_set set;
    const char *digest; /* of names and texts */
    /* A saved plan (--plan): its ends, and whether it holds only what is on its way (Mattermost's form). */
    const char *low, *high;
    bool partial;
};

enum db_need {
    DB_NEEDS_NO_DATABASE, /* a folder alone */
    DB_NEEDS_NOTHING,
    DB_NEEDS_FORMAT,
    DB_NEEDS_FOLDER, /* and a format */
};

struct db_call {
    struct context *c; /* borrowed */
    struct arena *arena;
    struct database_ref ref;
    struct secret password;
    const struct migration_format *format; /* NULL: none was named */
    struct db_folder folder;
    int64_t wait_ms, timeout_ms;
    const char *state_dir; /* --state */
    const char *home;      /* below it: what belongs to this database */
    int claim_fd;          /* proof that no other call is at work here; -1 */
    bool resumes;          /* act goes on with a run that was interrupted */
    bool own_lock_only;    /* db_take_lock() and db_give_lock(): without the tool's */
    struct act act;        /* ready after db_claim() */
    struct progress progress;
};

/* The options that the verbs share, as initialisers of an option_spec array. */
#define DB_OPTIONS_WHERE                                                                           \
    {"url", 0, "URL",                                                                              \
     "the database: postgres://user@host:5432/name, mysql://…, sqlite:///path/of/the/file"},       \
        {"url-env", 0, "NAME", "the environment variable that holds the URL"},                     \
        {"password-env", 0, "NAME", "the environment variable that holds the password"},           \
        {"password-file", 0, "FILE", "its first line is the password"},                            \
        {"timeout", 0, "DURATION", "begin nothing after that long (1h)"},                          \
    {                                                                                              \
        "state", 0, "DIR", "what is remembered between calls ($XDG_STATE_HOME/lockstep)"           \
    }
#define DB_OPTIONS_FORMAT                                                                          \
    {"format", 0, "FORMAT", "whose ledger: morph, golang-migrate, goose or sourcegraph"},          \
    {                                                                                              \
        "ledger", 0, "NAME", "the ledger's table, where it has not the tool's own name"            \
    }
#define DB_OPTIONS_FOLDER                                                                          \
    {                                                                                              \
        "dir", 0, "DIR",                                                                           \
            "the migrations: a directory, or ARCHIVE:DIRECTORY of a tar or zip archive"            \
    }
#define DB_OPTIONS_PLAN                                                                            \
    {                                                                                              \
        "plan", 0, "FILE", "what export-plan wrote, or Mattermost's own plan, instead of --dir"    \
    }
#define DB_OPTIONS_LOCK                                                                            \
    {                                                                                              \
        "wait", 0, "DURATION", "how long another holder of the lock is waited for (2m)"            \
    }

/* Reads the options; *ret_status is how to end when it fails: it has said what is wrong. */
bool db_call_read(struct context *c, enum db_need need, struct db_call *ret, int *ret_status);
/* Says the error and gives the exit status that it means. */
int db_fail_with(const struct error *e);
int db_status_of(int code);

/* ---- the folder (db_folder.c) ---- */
int db_folder_read(struct db_call *call, const char *from, struct error *e);
/* By the digest of its text; NULL: there is none. */
const struct migration_file *db_folder_file(const struct db_folder *folder, const char *sha256);
/* The same from a saved plan; sets call->format when none was named. */
int db_folder_read_plan(struct db_call *call, const char *path, struct error *e);
/* --to, or what the saved plan says instead. NULL: the newest. */
const char *db_folder_to(const struct db_folder *folder, bool down, const char *to);
/* `blob` of the act: the text as it was read, as a file of this call's own directory. */
int db_folder_blob(struct act *act, const char *sha256, const char **ret_path, struct error *e);

/* ---- what is remembered between calls (db_state.c) ---- */

/* Only one call at a time from one state directory: waits, then E_CONFLICT names the other. Afterwards call->act is ready:
 * a run of the same step that did not come to its end is gone on with, another one is let go first. */
int db_claim(struct db_call *call, const char *step, struct error *e);
/* An act for what only looks: it has no run of its own to go on with, and waits for nobody. */
int db_act(struct db_call *call, const char *step, struct error *e);
/* Lets an interrupted run's lock go; *ret says whether there was one. E_TIMEOUT: it is at work. */
int db_let_go(struct db_call *call, bool *ret, struct error *e);
/* `over`: the run came to an end that leaves nothing open, the next call begins anew. */
void db_disclaim(struct db_call *call, bool over);
/* After db_claim(): this goes on with a run that was interrupted. */
bool db_resumes(const struct db_call *call);

/* Ours, then the tool's lock; the fence is raised only when both are held. */
int db_take_lock(struct db_call *call, struct error *e);
int db_give_lock(struct db_call *call, struct error *e);

/* ---- what is there (db_look.c) ---- */
struct db_pending {
    const struct migration *migration;
    bool late; /* its number is not above the newest applied one's */
};
struct db_look {
    const char *engine, *place;
    struct db_ledger ledger;
    struct strings applied; /* what the ledger means; empty when `puzzle` is set */
    const char *puzzle;     /* why the folder does not explain the ledger; NULL */
    const struct migration *newest;
    struct strings unknown; /* applied, but not in the folder */
    struct db_pending *pending;
    size_t pending_count;
    bool evidence; /* Lockstep has been here */
    uint64_t fence;
    struct db_holder holder;
    struct db_lock_state lock;
    struct db_unsettled *unsettled; /* begun, and their end is not known */
    size_t unsettled_count;
    bool bare; /* no table but Lockstep's and the tool's: nothing can be lost */
};
/* Ids in order, for a quick answer. */
struct db_ids {
    const char **items;
    size_t count;
};
struct db_ids db_ids_of(struct arena *arena, const struct migration_set *set);
bool db_ids_have(const struct db_ids *ids, const char *id);
/* A session that only looks. */
int db_look_open(struct db_call *call, struct db_session *s, struct error *e);
int db_look(struct db_call *call, struct db_session *s, struct db_look *ret, struct error *e);
/* Open, look, close. */
int db_look_once(struct db_call *call, struct db_look *ret, struct error *e);
/* The same for a plan: a file of SQLite's that `up` would make is an empty database. */
int db_look_ahead(struct db_call *call, struct db_look *ret, struct error *e);
/* "128 applied, the newest is 128 create_posts" */
const char *db_look_words(struct arena *arena, const struct db_look *look);
/* "000007_x.up.sql was begun …": what stands there, one sentence without its end. */
const char *db_unsettled_words(struct arena *arena, const struct db_unsettled *u);
/* "128 create_posts", or the number alone where that is its name. */
const char *db_migration_words(struct arena *arena, const struct migration *m);

/* ---- the way (db_way.c) ---- */
struct db_way {
    bool down;
    struct migration *items; /* in the order in which they run */
    size_t count;
    const int64_t *expected_ms; /* of each item, -1: not known; NULL: nobody asked */
    const char *rehearsed;      /* "rehearsed 2026-11-20 14:05:09 on 12 GB" */
};
static inline const struct migration_script *db_script(const struct db_way *way, size_t i)
{
    return way->down ? &way->items[i].down : &way->items[i].up;
}
/* `to` NULL: all of the folder. E_INVALID: no such migration, or the ledger holds what nothing here explains; E_UNKNOWN: a
 * mark of the tool stands there that a person has to settle. */
int db_way_find(struct db_call *call, const struct db_look *look, bool down, const char *to,
                struct db_way *ret, struct error *e);
/* Down when something above `to` is applied. */
int db_way_guess(struct db_call *call, const struct db_look *look, const char *to, bool *ret_down,
                 struct error *e);
/* What item i loses or cannot give back, in words; NULL: nothing is known. */
const char *db_way_loss(const struct db_way *way, size_t i);
/* What item i makes others wait for, and what of it is a trap, in words (db_locks.c); PostgreSQL's alone. */
struct strings db_way_locks(struct db_call *call, const struct db_way *way, size_t i);
json_t *db_way_json(const struct db_way *way);
/* The times that a rehearsal's report foretells (db_expect.c). */
int db_expect_read(struct db_call *call, const char *path, struct db_way *way, struct error *e);
void db_expect_print(const struct db_call *call, const struct db_way *way);
/* As `plan` shows it. */
void db_way_print(struct db_call *call, const struct db_look *look, const struct db_way *way);

#endif
