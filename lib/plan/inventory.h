/*
 * What a cluster is like now, as data: gathered by the controller, never by this floor. A plan is compiled from
 * it, and carries the part of it that must not have moved when the plan is applied.
 */
#ifndef LOCKSTEP_PLAN_INVENTORY_H
#define LOCKSTEP_PLAN_INVENTORY_H

#include "lib/migration/migration.h"
#include "lib/spec/spec.h"

struct observed_node {
    const char *name;
    bool enrolled;       /* has a certificate */
    bool connected;      /* answered this observation */
    const char *problem; /* why it is not connected, or what observe failed on; NULL when fine */
    const char *version; /* NULL: nothing is installed */
    const char
        *artifact; /* sha256 that the installed tree came from; NULL: not put there by Lockstep */
    bool running;  /* the service */
    const char
        *denied; /* why what is installed may not start ("denied by run 1f2e…"); NULL: it may */
    bool sessions_known;
    int64_t sessions;        /* that it has now, as it says itself */
    int64_t disk_free_bytes; /* on layout's file system */
    const char *os, *arch;   /* "linux", "amd64" */
    struct pairs components; /* component -> version; those that are not there are left out */
};

/* A migration that was begun and not ended. */
struct observed_open {
    const char *id; /* as the ledger knows it */
    bool down;
    bool
        ours; /* an intent of Lockstep's: the run that meets it looks before it acts; else the tool's own mark */
    const char *words; /* what stands there, for people */
};

struct observed_table {
    const char *name; /* with its schema */
    int64_t bytes;    /* with its indexes */
    int64_t rows;     /* estimated */
};

struct observed_database {
    const char *name;
    bool connected;
    const char *problem;
    const char *engine; /* "PostgreSQL 15.8" */
    bool ledger_exists;
    struct strings
        applied; /* the ledger's ids as they stand there, sorted: golang-migrate has one */
    struct observed_open *open;
    size_t open_count;
    struct observed_table *tables; /* the largest ones, from a megabyte on */
    size_t table_count;
    int64_t bytes;      /* size of the database */
    int64_t fence;      /* the highest that it has seen */
    const char *holder; /* who holds Lockstep's lock, in words; NULL: nobody */
};

/* What the controller knows of a release from its artifact. */
struct known_database {
    const char *name;
    struct migration_set set;
};
struct known_release {
    const char *version;
    const char *os, *arch; /* NULL: any */
    const char *sha256;
    int64_t bytes; /* of the archive */
    int64_t unpacked_bytes;
    struct known_database *databases;
    size_t database_count;
};

/* An extra step of a run that did not succeed, as its journal tells it. */
struct done_step {
    const char *run;
    const char *step;
    const char *from, *to; /* its hop */
    const char *place;
    const char *database; /* scope database: which; NULL */
    bool sure;            /* all of it ended well; false: it was begun, and may have been done */
};

struct inventory {
    struct observed_node *nodes; /* in the order of the cluster's nodes */
    size_t node_count;
    struct observed_database *databases; /* in the order of the application's databases */
    size_t database_count;
    struct known_release *releases; /* those on the way */
    size_t release_count;
    struct done_step *done; /* since the last run that succeeded, in the journals' order */
    size_t done_count;
    struct known_release
        *migrators; /* with an artifact of their own: by digest, without databases */
    size_t migrator_count;
};

const struct observed_node *inventory_node(const struct inventory *inventory, const char *name);
const struct observed_database *inventory_database(const struct inventory *inventory,
                                                   const char *name);
const struct known_release *inventory_release(const struct inventory *inventory,
                                              const char *version, const char *os,
                                              const char *arch);

#endif
