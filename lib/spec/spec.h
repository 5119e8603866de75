/*
 * The documents that people write, as structs (docs/SPEC.md): an Application, what the vendor knows,
 * a Cluster, what the site knows, and a Fleet, clusters that follow one version stage by stage. Field order is the order
 * of the file.
 */
#ifndef LOCKSTEP_SPEC_SPEC_H
#define LOCKSTEP_SPEC_SPEC_H

#include "lib/spec/action.h"
#include "lib/spec/shape.h"
#include "lib/spec/version.h"

/* ---- Application ---- */

struct observe_spec {
    struct command command; /* `command: [..]` */
    const char *matches;
};

enum between { BETWEEN_START, BETWEEN_MIGRATE_ONLY };

/* paths: up / down: a rule speaks of the hops whose ends are in its ranges. */
enum path_visit { VISIT_ANY, VISIT_EACH_MAJOR, VISIT_EACH_MINOR };
struct path_rule {
    int64_t majors_at_most; /* at_most: { majors: 1 }; 0: any */
    int64_t minors_at_most;
    const char *hop_from, *hop_to; /* ranges; NULL: any */
    int visit;                     /* enum path_visit */
    struct strings lines;          /* the majors (minors) that count; none: every number between */
    const char *via;               /* a range: where such a hop must end */
    const char *skip;              /* a range: no stop on the way, though the way may end there */
};
/* A change between releases that have no order: from one track to another. */
enum switch_as { SWITCH_AS_NONE, SWITCH_AS_UP, SWITCH_AS_DOWN };
struct path_switch {
    const char *hop_from, *hop_to; /* ranges */
    int as;                        /* enum switch_as */
};
struct paths_spec {
    struct list up, down;     /* of struct path_rule; a mapping alone is a list of one */
    struct list switches;     /* of struct path_switch */
    int between;              /* enum between; default start */
    struct strings required;  /* releases that a way across them must visit */
    struct strings forbidden; /* ranges of releases that no way may visit */
};

struct artifact_spec {
    const char *os, *arch; /* NULL: any (the short form `artifact: {url, sha256}`) */
    const char *url;       /* https:, http: or file: */
    const char *sha256;
};

struct notes_spec {
    const char *text;
    bool ack; /* an operator has to have seen it: apply asks for --ack */
};

/* Where migration files of a release come from, when not from its artifact. */
struct scripts_spec {
    const char *database; /* NULL: every one */
    const char *url; /* an archive, or a saved plan of morph's (it adds what the others lack) */
    const char *sha256;
};

struct when_spec {
    int direction;        /* enum when_direction */
    const char *hop_from; /* a range; NULL: any */
    const char *hop_to;
    const char *role; /* nodes that have it; NULL: any */
};
enum when_direction { WHEN_ANY, WHEN_UP, WHEN_DOWN };

/* Whether a release can live with the data that is there: asked before anything stops. */
struct data_check_spec {
    const char *database;
    const char *sql;
    const char *expect;
    const char *says;
    struct when_spec *when; /* without role */
};

/* A part with a version of its own beside the release, on each node. */
struct component_fit {    /* a rule of `runs_with`: the first that speaks of a release counts */
    const char *release;  /* a range of the application's versions */
    const char *versions; /* … runs with this range of the component's */
};
struct component_spec {
    const char *name;
    int versions; /* enum version_scheme_kind; not listed */
    struct observe_spec *observe;
    struct list
        runs_with; /* of struct component_fit; a release that none speaks of runs with any */
    bool rolling;  /* two versions of it may run side by side */
    struct list
        remove; /* of struct action: takes off the one that is there; none: install replaces it */
    struct list install; /* of struct action */
    int64_t timeout_ms;
};

struct release_spec {
    const char *version;
    struct list artifact;   /* of struct artifact_spec; a mapping alone is a list of one */
    struct pairs schema;    /* database -> number ("128") */
    struct pairs runs_with; /* database -> integer ranges ("126..128") */
    struct pairs
        expand; /* database -> number: up to it before a hop's first wave, the rest after its last */
    struct pairs components; /* component -> the version that comes with this release */
    struct notes_spec *notes;
    struct list scripts; /* of struct scripts_spec; a mapping alone is a list of one */
    struct list checks;  /* of struct data_check_spec; a mapping alone is a list of one */
};

struct layout_spec {
    const char *path;
    struct strings keep;
    const char *owner; /* user[:group] of the installed tree; NULL: as in the archive's place */
    bool allow_special;
    int64_t keep_releases; /* 2 */
};

struct external_spec { /* an external migrator; as `delegate:` without ledger and partial_ok */
    struct command up; /* runs in the newer release's tree, or in the artifact's own */
    struct command down;
    int from;             /* enum external_from */
    const char *version;  /* of a migrator with an artifact of its own; NULL: it is the release's */
    struct list artifact; /* of struct artifact_spec; none: `from` */
    struct ledger *ledger;
    struct strings
        lock_advisory; /* the tool's own advisory lock keys: proved free before it starts */
    const char *on;    /* a node; default the first */
    bool partial_ok;   /* the tool goes on from a partial ledger by itself: then it is not asked */
};
enum external_from { EXTERNAL_NEWER };

struct migrations_spec {
    int format;         /* enum migration_format_kind: `format: morph` */
    const char *dir;    /* inside the artifact */
    const char *ledger; /* database_ref.ledger; NULL: the tool's own name */
    struct external_spec *external;
    struct external_spec *delegate; /* runs the migrations of the format that are no SQL */
};

struct app_database_spec {
    const char *name;
    struct migrations_spec *migrations;
};

enum step_scope { SCOPE_NODE, SCOPE_ONCE, SCOPE_DATABASE };

/* The named points of a hop where an extra step can stand: `after: start-requested`. In the order
 * of a hop. */
enum step_point {
    POINT_NONE,
    POINT_PREFLIGHT,
    POINT_STAGED,
    POINT_DRAINED,
    POINT_STOPPED,
    POINT_BACKED_UP,
    POINT_MIGRATED,
    POINT_SWAPPED,
    POINT_START_REQUESTED,
    POINT_HEALTHY,
    POINT_UNDRAINED,
    POINT_FINISHED,
};

struct extra_step {
    const char *name;
    struct when_spec *when;
    int scope;                /* enum step_scope */
    int after, before;        /* enum step_point; exactly one */
    const char *database;     /* SCOPE_DATABASE: which; NULL: every one */
    const char *on;           /* SCOPE_ONCE: a node or "controller"; default the first node */
    int64_t timeout_ms;       /* of the whole list; 30m */
    struct list actions;      /* `do:` of struct action */
    const char *irreversible; /* why what it does cannot be undone; NULL: it can */
    struct list undo;   /* of struct action: takes it back in a rollback; empty: nothing does */
    bool undo_looks;    /* `undo` looks before it acts: it may run where the step may not have */
    int64_t retries;    /* after it failed, of each of its actions */
    int64_t backoff_ms; /* before the first of them; doubles */
};

enum mixed { MIXED_ALLOWED, MIXED_NEVER };
struct mixed_spec {      /* `mixed: never` in short */
    int policy;          /* enum mixed */
    const char *because; /* the vendor's reason; NULL: none is given */
};

struct application {
    int64_t lockstep; /* 1 */
    const char *kind;
    const char *name;
    int versions; /* enum version_scheme_kind */
    struct mixed_spec mixed;
    struct observe_spec *observe;
    struct paths_spec *paths;
    struct list releases; /* of struct release_spec */
    struct layout_spec *layout;
    struct service *service;
    struct strings ports; /* numbers or ${node.x}: preflight proves them free or ours */
    struct list health;   /* of struct check */
    struct list drain;    /* of struct action: on each node, before its service is stopped */
    struct list undrain;  /* … and when it is healthy again */
    struct sessions_probe *sessions; /* NULL: nobody can tell */
    struct list databases;           /* dict of struct app_database_spec */
    struct list components;          /* of struct component_spec */
    struct list extra_steps;         /* of struct extra_step */
};

/* ---- Cluster ---- */

struct node_spec {
    const char *name;
    const char *zone;
    const char
        *pair; /* the name of its failover pair, which two nodes have; NULL: it stands alone */
    struct strings roles;
    struct pairs vars;
};

struct writers_spec {      /* sessions that are left when all nodes have stopped */
    int policy;            /* enum writers_policy */
    int64_t wait_ms;       /* 1m */
    struct strings except; /* users and application names, * and ? as in file names */
    struct strings only;   /* none: all */
};

enum drift_check { DRIFT_CHECK_WARN, DRIFT_CHECK_REFUSE, DRIFT_CHECK_OFF };

struct clone_spec { /* an empty database that rehearsals may fill, and leave empty */
    const char *url;
    struct secret *password; /* NULL: the database's own */
};
struct cluster_database_spec {
    const char *name;
    const char *url;
    struct secret *url_from;
    struct secret *password;
    const char *via;                /* "controller" or a node */
    struct writers_spec *writers;   /* NULL: wait, one minute */
    int drift;                      /* enum drift_check */
    struct clone_spec *rehearse_on; /* NULL: a new database beside it */
};

enum waves_by { WAVES_BY_SIZE, WAVES_BY_ZONE };
struct waves_spec {
    int64_t size; /* an amount (shape.h) */
    int by;       /* enum waves_by */
};
enum node_order { ORDER_GIVEN, ORDER_FEWEST_SESSIONS_FIRST };
struct rolling_spec {
    int64_t canary;           /* an amount (shape.h) */
    struct waves_spec *waves; /* NULL: of max_unavailable nodes each */
    int64_t max_unavailable;  /* an amount; 1 */
    int order;                /* enum node_order */
    int64_t soak_ms;
};
struct starts_spec { /* no more starts of the service than so many in a time, over all nodes */
    int64_t at_most;
    int64_t within_ms;
};
enum on_failure { ON_FAILURE_PAUSE, ON_FAILURE_ABORT, ON_FAILURE_ROLLBACK };
enum if_not_rolling { IF_NOT_ROLLING_REFUSE, IF_NOT_ROLLING_ALL_AT_ONCE };
/* How long a part of a run may take, before it pauses or is told again. 0: as long as it takes. */
struct deadlines_spec {
    int64_t wave_ms;  /* passed: nothing more is begun, the run pauses */
    int64_t run_ms;   /* the same, of all that it is at work; waits and pauses do not count */
    int64_t pause_ms; /* a paused run is told again each time */
};
/* What may fail without stopping a run. */
struct failures_spec {
    int64_t nodes;    /* an amount: so many may be left behind */
    int64_t per_node; /* the failure at a node that counts it as failed: 1, or later ones */
};
enum gate_after { GATE_STAGED, GATE_CANARY, GATE_WAVE };
struct gate_spec {
    int after;          /* enum gate_after */
    int64_t approvers;  /* so many different people */
    int64_t timeout_ms; /* told again each time; it never decides */
};
/* When a run may begin something. */
struct window_spec {
    struct strings days;   /* mon … sun, those on which it begins; none: every day */
    const char *from, *to; /* "22:00"; `to` at or before `from` is on the next day */
    const char *timezone;  /* "UTC" or a fixed offset like "+02:00" */
};
extern const struct shape window_shape;
struct strategy_spec {
    struct rolling_spec *rolling; /* NULL with all_at_once: */
    bool all_at_once;             /* `strategy: all-at-once` in short, or a mapping */
    bool one_first;               /* start one node and see it healthy before the rest */
    struct starts_spec *starts;   /* NULL: as many as there are */
    int if_not_rolling;
    int on_failure;
    struct deadlines_spec *deadlines;
    struct failures_spec *failures;
    struct list gates;   /* of struct gate_spec */
    struct list windows; /* of struct window_spec */
};

enum backup_when { BACKUP_ALWAYS, BACKUP_LOSSY, BACKUP_NEVER };
struct backup_with {
    const char *pg_dump;      /* a directory on the database's place */
    const char *mariadb_dump; /* the same, for MariaDB */
    const char *sqlite;       /* the same, for SQLite */
    struct command *command;
};
struct backup_spec {
    int when;
    int64_t max_age_ms;     /* of `file`: a younger one is not made again */
    const char *file;       /* with.command: what it leaves, a glob */
    struct command *verify; /* with.command: ends with 0 when $BACKUP_FILE can be restored */
    struct backup_with *with;
};

struct notify_spec {
    const char *webhook;
    struct strings events; /* start, gate, failure, finish */
};

struct cluster {
    int64_t lockstep;
    const char *kind;
    const char *name;
    const char *application; /* a catalog name, or a path to a file */
    const char *version;
    struct pairs components; /* component -> wanted version; default: what the release names */
    struct list nodes;       /* of struct node_spec */
    struct list databases;   /* dict of struct cluster_database_spec */
    struct strategy_spec *strategy;
    struct backup_spec *backup;
    struct list notify; /* of struct notify_spec */
    struct list check;  /* of struct check */
};

/* ---- Fleet ---- */

struct fleet_gate_spec {
    int64_t approvers; /* so many different people */
};
struct fleet_stage_spec {
    const char *name;
    struct strings clusters;
    int64_t parallel;             /* so many of them at once */
    int64_t failures;             /* so many may fail without pausing the fleet */
    int64_t soak_ms;              /* between its end and the next stage; 0: none */
    struct fleet_gate_spec *gate; /* after it; NULL: none */
    struct strings requires;      /* stages that must have shown the same way before */
};
struct fleet_spec {
    int64_t lockstep;
    const char *kind;
    const char *name;
    const char *version; /* that its clusters follow */
    struct list stages;  /* of struct fleet_stage_spec, one after the other */
};

extern const struct shape application_shape;
extern const struct shape cluster_shape;
extern const struct shape fleet_shape;
extern const struct shape starts_shape;

/* A parsed file set: the Cluster and the Application that it names, a Fleet, each with its marks. What was not given is
 * NULL. */
struct spec {
    struct cluster *cluster;
    const struct marks *cluster_marks;
    struct application *application;
    const struct marks *application_marks;
    struct fleet_spec *fleet;
    const struct marks *fleet_marks;
    struct version_scheme scheme; /* of the application; `listed` from its releases */
};

struct spec_file {
    const char *name; /* for messages */
    const char *text;
    size_t len;
};

/* Reads all documents of all files; an Application that no Cluster names, a second Cluster or Fleet, an
 * unknown kind … are complaints. Then checks what the tables cannot: references between the two,
 * versions, ranges, regular expressions,
 * ${…} references, duplicate names, missing releases. Everything that is wrong is in `complaints`,
 * sorted. Returns 0 when there are none, else E_INVALID; *ret holds what could be read. */
int spec_read(struct arena *arena, const struct spec_file *files, size_t file_count,
              struct spec *ret, struct complaints *complaints);

/* Lookups; NULL when not there. A release is found by its text, or by an equal version of the scheme (v1.2.3 is 1.2.3). */
const struct release_spec *application_release(const struct application *app, const char *version);
const struct node_spec *cluster_node(const struct cluster *cluster, const char *name);
const struct cluster_database_spec *cluster_database(const struct cluster *cluster,
                                                     const char *name);
const char *pairs_get(const struct pairs *pairs, const char *key);

/* Typed access to a struct list: LIST_AT(&app->releases, struct release_spec, i). */
#define LIST_AT(list, type, i) (&((type *)(list)->items)[i])

#endif
