/*
 * What the controller keeps beside the journal: nodes and their tokens, every revision of every
 * cluster, plans, runs, and the fence. One SQLite file, used from the loop's thread only; every
 * call is durable when it returns. Records handed out live in the arena given.
 */
#ifndef LOCKSTEP_IO_STORE_STORE_H
#define LOCKSTEP_IO_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

struct store;

#define STORE_VERSION 2 /* see struct sqlite_format: rises with the tables and what is in them */

/* E_INVALID: the file is of another version; nothing in it is changed. */
int store_open(const char *path, struct store **ret, struct error *e);
struct store *store_close(struct store *s);

/* ---- the fence: grows by one at every start of a controller ---- */
int store_fence_raise(struct store *s, uint64_t at_least, uint64_t *ret_fence, struct error *e);

/* ---- nodes ---- */
struct stored_node {
    const char *name;
    bool enrolled;
    const char *serial; /* of its certificate: an older one is refused */
    int64_t certificate_ends_ms;
    const char *agent_version;
    const char *os, *arch;
    const char *address;
    int64_t seen_ms;
};
struct stored_nodes {
    struct stored_node *items;
    size_t count;
};
int store_nodes(struct store *s, struct arena *arena, struct stored_nodes *ret, struct error *e);
/* E_NOT_FOUND: never heard of. */
int store_node(struct store *s, struct arena *arena, const char *name, struct stored_node *ret,
               struct error *e);
/* A token for one node, kept as the SHA-256 of its secret; an earlier one of the node ends. */
int store_token_put(struct store *s, const char *node, const char *secret_sha256, int64_t ends_ms,
                    struct error *e);
/* Uses the token up, and remembers the certificate, in one transaction. E_DENIED: unknown, used, of
 * another node, or over. */
int store_token_use(struct store *s, const char *node, const char *secret_sha256, int64_t now_ms,
                    struct error *e);
/* A new certificate of a node. Enrolled: it is the only one from now on. Renewed: the old one is good until the new one is
 * seen for the first time, so that a node that never got the answer is not locked out. */
int store_node_enrolled(struct store *s, const char *node, const char *serial, int64_t ends_ms,
                        struct error *e);
int store_node_renewed(struct store *s, const char *node, const char *serial, int64_t ends_ms,
                       struct error *e);
/* Is this the node's certificate? E_DENIED with what to do. */
int store_node_check(struct store *s, const char *node, const char *serial, struct error *e);
int store_node_seen(struct store *s, const struct stored_node *node, struct error *e);

/* When the controller last had it: kept when it goes away. */
int store_node_left(struct store *s, const char *node, int64_t seen_ms, struct error *e);

/* ---- revisions of clusters ---- */
struct stored_revision {
    const char *cluster;
    uint32_t number; /* from 1 */
    const char *digest;
    const char *author;
    int64_t at_ms;
    const char *application;
    const char *version; /* wanted */
    const char *message;
    struct bytes bundle; /* the files; empty in lists */
};
struct stored_revisions {
    struct stored_revision *items;
    size_t count;
};
/* Adds a revision unless the newest one has the same digest; *ret_number is the newest's then. */
int store_revision_put(struct store *s, const struct stored_revision *revision,
                       uint32_t *ret_number, bool *ret_changed, struct error *e);
/* number 0: the newest. E_NOT_FOUND names the cluster. */
int store_revision(struct store *s, struct arena *arena, const char *cluster, uint32_t number,
                   struct stored_revision *ret, struct error *e);
/* Newest first. */
int store_revisions(struct store *s, struct arena *arena, const char *cluster,
                    struct stored_revisions *ret, struct error *e);
/* The newest of every cluster, by name. */
int store_clusters(struct store *s, struct arena *arena, struct stored_revisions *ret,
                   struct error *e);

/* What was observed last, in words ("1.1.0"), beside what is wanted. */
int store_observed_put(struct store *s, const char *cluster, const char *observed, int64_t at_ms,
                       struct error *e);
/* "" when never. */
int store_observed(struct store *s, struct arena *arena, const char *cluster, const char **ret,
                   struct error *e);

/* ---- how long migrations took in rehearsals, by their scripts ---- */
#define STORE_REHEARSED_MAX 50000 /* of one cluster; the oldest go */
struct stored_rehearsed {
    const char *database;
    const char *sha256; /* of the script */
    int64_t ms;
    int64_t at_ms; /* when it was rehearsed */
    int64_t bytes; /* of the clone */
};
/* All of one rehearsal, in one transaction; what was known of the same scripts is replaced. */
int store_rehearsed_put(struct store *s, const char *cluster, const struct stored_rehearsed *items,
                        size_t count, struct error *e);
/* E_NOT_FOUND without words: this script was never rehearsed on this database. */
int store_rehearsed(struct store *s, struct arena *arena, const char *cluster, const char *database,
                    const char *sha256, struct stored_rehearsed *ret, struct error *e);

/* ---- how long steps took in runs that are over ----
 * A few lines for each run, written when it ends: its journal has a record for each step of each node, and a plan must not
 * read millions of them. */
#define STORE_TOOK_RUNS_MAX 20 /* of one cluster; the oldest go */
struct stored_took {
    const char *cluster, *application, *run; /* given once to store_took_put(); set in answers */
    int64_t at_ms;                           /* when the run ended; the same */
    const char *step;
    const char *place; /* "": many places in one line */
    const char *release;
    const char *database; /* of a script; "" */
    const char *sha256;   /* a migration's script; "": it is a step */
    int64_t count;        /* how often it was done */
    int64_t mean_ms, median_ms, longest_ms;
};
struct stored_tooks {
    struct stored_took *items;
    size_t count;
};
/* All of one run, in one transaction; what was there of it is replaced, and runs beyond the limit go. */
int store_took_put(struct store *s, const struct stored_took *run, const struct stored_took *items,
                   size_t count, struct error *e);
/* Of one step, the newest run first: by `application`, and where they are not NULL by `cluster` and `release`. */
int store_took(struct store *s, struct arena *arena, const struct stored_took *like,
               struct stored_tooks *ret, struct error *e);
/* Of one script: this cluster's before others', the newest first. E_NOT_FOUND without words. */
int store_took_script(struct store *s, struct arena *arena, const struct stored_took *like,
                      struct stored_took *ret, struct error *e);
/* All steps of a cluster (NULL: of all), in the order cluster, release, step. */
int store_took_all(struct store *s, struct arena *arena, const char *cluster,
                   struct stored_tooks *ret, struct error *e);

/* ---- plans and runs ---- */
/* A plan with the bundle of specs that it was compiled from. */
int store_plan_put(struct store *s, const char *id, struct bytes json, struct bytes bundle,
                   struct error *e);
/* ret_bundle may be NULL. */
int store_plan(struct store *s, struct arena *arena, const char *id, struct bytes *ret_json,
               struct bytes *ret_bundle, struct error *e);

/* What is to become of a run that has ended. */
enum stored_back {
    BACK_NOT_WANTED,
    BACK_WANTED,  /* it is taken back by a run that is to be planned, or was */
    BACK_NOTHING, /* the plan back was empty: all is as before the run */
};
struct stored_run {
    const char *run;
    const char *cluster;
    const char *plan_id;
    const char *from, *to;
    const char *state; /* rollout_state_name() */
    const char *why;
    const char *who;
    int64_t started_ms, ended_ms; /* 0: not over */
    enum stored_back back;
    const char *takes_back; /* the run that this one takes back; NULL: none */
    const char *fleet_key;  /* which attempt of which fleet at which cluster it is; NULL: none */
};
struct stored_runs {
    struct stored_run *items;
    size_t count;
};
/* E_CONFLICT names the run of this cluster that is not over. */
int store_run_put(struct store *s, const struct stored_run *run, struct error *e);
int store_run_state(struct store *s, const char *run, const char *state, const char *why,
                    int64_t ended_ms, struct error *e);
int store_run(struct store *s, struct arena *arena, const char *run, struct stored_run *ret,
              struct error *e);
/* By its fleet_key, which no two runs have. E_NOT_FOUND: none was started. */
int store_run_of_fleet(struct store *s, struct arena *arena, const char *key,
                       struct stored_run *ret, struct error *e);
/* Newest first; cluster NULL: of all. */
int store_runs(struct store *s, struct arena *arena, const char *cluster, uint32_t limit,
               struct stored_runs *ret, struct error *e);
int store_run_back(struct store *s, const char *run, enum stored_back back, struct error *e);
/* *ret: the run that takes this one back; NULL: none yet. */
int store_run_taken_back_by(struct store *s, struct arena *arena, const char *run, const char **ret,
                            struct error *e);
/* Those that have ended so, and that no other run of their cluster has followed. */
int store_runs_to_roll_back(struct store *s, struct arena *arena, struct stored_runs *ret,
                            struct error *e);
/* Those that are not over, oldest first. */
int store_runs_open(struct store *s, struct arena *arena, struct stored_runs *ret, struct error *e);

/* ---- quarantine: attempts that failed ----
 * An attempt is the way between two versions by one state of the specs: the same specs, from and to are the same attempt,
 * whatever else the plan's digest holds (a node's version in the middle, a size). */
struct stored_attempt {
    const char *cluster;
    const char *spec; /* digest of the specs */
    const char *from; /* "": a first installation */
    const char *to;
    const char *run;   /* that failed */
    int64_t failed_ms; /* when its step did */
    const char *why;   /* "app-2: health: …" */
};
int store_quarantine_put(struct store *s, const struct stored_attempt *attempt, struct error *e);
/* The newest failure of an attempt, from anywhere where like->from is NULL. 1: it is in quarantine, 0: it is not. */
int store_quarantine(struct store *s, struct arena *arena, const struct stored_attempt *like,
                     struct stored_attempt *ret, struct error *e);
int store_quarantine_lift(struct store *s, const struct stored_attempt *like, struct error *e);

/* ---- fleets (fleets.c) ---- */
/* A fleet as it was applied once. */
struct stored_fleet {
    const char *fleet; /* its id */
    const char *name, *version;
    struct bytes bundle; /* its file */
    const char *who;
    bool acknowledged;
    const char *state; /* fleet_state_name() */
    const char *why;
    int64_t started_ms, ended_ms; /* 0: not over */
};
struct stored_fleets {
    struct stored_fleet *items;
    size_t count;
};
/* E_CONFLICT: one of this name is not over. */
int store_fleet_put(struct store *s, const struct stored_fleet *fleet, struct error *e);
int store_fleet_state(struct store *s, const char *fleet, const char *state, const char *why,
                      int64_t ended_ms, struct error *e);
/* By its id, or the newest of a name; NULL: the newest of all. E_NOT_FOUND. */
int store_fleet(struct store *s, struct arena *arena, const char *fleet, struct stored_fleet *ret,
                struct error *e);
/* Those that are not over; with `all`, the newest of every name, by name. */
int store_fleets(struct store *s, struct arena *arena, bool all, struct stored_fleets *ret,
                 struct error *e);

/* What a run has shown. */
struct stored_evidence {
    const char *fleet, *stage; /* names */
    const char *application;   /* digest */
    const char *from, *to;
    const char *cluster, *run;
    int64_t at_ms;
};
/* Once for each run: again changes nothing. */
int store_evidence_put(struct store *s, const struct stored_evidence *evidence, struct error *e);
/* Is there any of this fleet, stage, application and way? */
int store_evidence_has(struct store *s, const struct stored_evidence *evidence, bool *ret,
                       struct error *e);

#endif
