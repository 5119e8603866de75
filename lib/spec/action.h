/*
 * Actions: what a step does at its place. One shape each, used three times: written by a person
 * under `do:`, kept in a plan, sent to an agent. Exactly one pointer of `struct action` is set.
 * Text may hold ${…} references (expand.h), which the controller resolves when it instructs a
 * place; secrets are never text: they are `struct secret`s, resolved where the action runs.
 */
#ifndef LOCKSTEP_SPEC_ACTION_H
#define LOCKSTEP_SPEC_ACTION_H

#include "lib/spec/shape.h"

/* Where a secret is read at the moment of use, at the place of use. One of the two. */
struct secret {
    const char *file; /* its first line, without the newline */
    const char *env;
};

/* NAME=value with a text or a secret. A dict: name first. */
struct env_value {
    const char *name;
    const char *value; /* `NAME: text` as a scalar, or … */
    struct secret *secret;
};

/* A program and its arguments; never a shell. The first is a path, relative to the action's tree,
 * or found in PATH. */
struct command {
    struct strings argv;
    struct list env;          /* of struct env_value */
    const char *user;         /* NULL: as the agent */
    int64_t timeout_ms;       /* 10m */
    int64_t memory_bytes_max; /* 0: none */
    int64_t output_bytes_max; /* 16 MiB: kept on the node; the tail travels */
};

/* What a running thing answers. Exactly one of the pointers; see `struct check`. */
struct http_check {
    const char *url;
    int64_t status;      /* 200 */
    const char *matches; /* POSIX extended expression on the body, or NULL */
    int64_t timeout_ms;  /* 5s for one request */
    bool insecure;       /* do not verify the certificate */
};
struct tcp_check {
    const char *host; /* 127.0.0.1 */
    int64_t port;
    const char *port_text; /* `port: "${node.port}"`: text until expanded */
    int64_t timeout_ms;
};
struct command_check {
    struct command command;
    const char *matches; /* on its output; NULL: exit status 0 is enough */
};
struct log_check {
    const char *file;
    const char
        *error; /* a line that matches and is newer than the start of the service is unhealthy */
};

/* Healthy is `consecutive` good answers in a row, `every` apart, before `within` has passed since
 * the first. */
struct check {
    struct http_check *http;
    struct tcp_check *tcp;
    struct command_check *command;
    struct log_check *log;
    int64_t consecutive; /* 3 */
    int64_t every_ms;    /* 1s */
    int64_t within_ms;   /* 2m */
};

/* ---- services ---- */
enum stop_signal { STOP_TERM, STOP_INT, STOP_QUIT };
struct process_service { /* a child that the agent's keeper starts, and that outlives the agent */
    struct command command; /* cwd: the installed tree; timeout unused */
    int stop_signal;        /* enum stop_signal */
    int64_t stop_within_ms; /* 30s, then KILL */
    const char *log;        /* file for its output; default: in the agent's state directory */
};
struct service {
    const char *systemd; /* a unit name; `.service` may be left out */
    struct process_service *process;
    int64_t within_ms; /* 2m: how long a start or stop may take */
};

/* ---- node actions ---- */
struct artifact_ref {
    const char *sha256; /* of the archive */
    int64_t bytes;
    const char *version; /* the release inside */
};
struct preflight_action {
    const char *layout;      /* layout path */
    int64_t bytes_needed;    /* free space for staging, on layout's file system */
    struct strings ports;    /* numbers as text: must be free or held by this service itself */
    struct service *service; /* must exist (systemd: a loaded unit) */
    struct strings users;    /* must exist */
};
struct stage_action {
    struct artifact_ref artifact;
    const char *layout;
    bool allow_special; /* device nodes, fifos, setuid and setgid bits: refused unless the spec says
                           so */
    const char *owner;  /* user[:group] of the tree; NULL: as what is installed, or its parent */
};
struct deny_action {
    const char *reason; /* "run 1f…: migrating 2.0.0 -> 1.1.0" */
};
struct permit_action {
    const char *release;
    const char *checkpoint; /* "main 128" */
};
struct service_action { /* `service: start | stop | restart` in a spec; the compiler fills `service`
                         */
    int verb;           /* enum service_verb */
    struct service *service;
    const char *layout;
};
enum service_verb { SERVICE_START, SERVICE_STOP, SERVICE_RESTART };
struct swap_action {
    struct artifact_ref artifact; /* the staged release that becomes the installed one */
    const char *layout;
    struct strings keep; /* relative paths that are carried over from the installed tree */
};
struct health_action {
    struct list checks; /* of struct check */
    struct service
        *service; /* dying while we watch is a failure with its last lines; NULL: not watched */
    const char *layout;
    int64_t soak_ms; /* stay healthy that long after the first time */
};
enum run_tree { TREE_INSTALLED, TREE_STAGED, TREE_NONE };
struct run_action {
    struct command command;
    int tree; /* enum run_tree: what the working directory is and relative programs start from */
    const char *layout;
    const char *release; /* TREE_STAGED: which */
    const char *sha256;  /* TREE_STAGED: of its archive; NULL: any of that version */
    bool once; /* one start per intent: when it may have run, the outcome is UNKNOWN, never a retry
                */
};
struct wait_action {
    const char *file; /* appears, or a line in it matches */
    const char *matches;
    struct http_check *http;
    struct tcp_check *tcp;
    struct command_check *command;
    int64_t stall_ms;  /* file: no growth for that long is a failure; 0: none */
    int64_t within_ms; /* 30m */
};
struct sessions_probe {      /* how many sessions a node has: a number that the application tells */
    struct http_check *http; /* exactly one of the two; `matches` has the number as its */
    struct command_check *command; /* first group */
};
struct observe_component {
    const char *name;
    struct command command;
    const char *matches; /* its first group is the version */
};
struct observe_action { /* journals nothing and changes nothing */
    const char *layout;
    struct command *command; /* observe: of the Application */
    const char *matches;     /* its first group is the version */
    struct service *service;
    struct sessions_probe *sessions; /* NULL: not asked */
    struct list components;          /* of struct observe_component */
};
struct retire_action { /* the run is over: staged trees but `keep_releases` newest go */
    const char *layout;
    int64_t keep_releases;
    struct list
        drop; /* of struct artifact_ref: these staged trees and nothing else; keep_releases is none then */
};

/* ---- database actions ---- */
struct database_ref {
    const char *name;
    const char *url; /* postgres://user@host:port/db, mysql://…, sqlite:///path */
    struct secret *password;
    struct secret *url_secret; /* the whole URL from a file or the environment */
    const char *
        ledger; /* a native format's ledger, where it has not the tool's own name (docs/MIGRATIONS.md); NULL */
};
struct ledger { /* how the external tool's ledger is read */
    const char *table;
    const char *column; /* the id of an applied migration */
};
enum migration_format_kind {
    FORMAT_NONE,
    FORMAT_MORPH,
    FORMAT_GOLANG_MIGRATE,
    FORMAT_GOOSE,
    FORMAT_SOURCEGRAPH,
    FORMAT_EXTERNAL
};
extern const char *const migration_format_words[]; /* by kind; ends with NULL */
extern const char *const writers_policy_words[];
struct migration_item {
    const char *id; /* the ledger's name: morph "create_posts" */
    int64_t version;
    const char *file;   /* file name, for people */
    const char *sha256; /* of the SQL that runs: a blob at the controller */
    bool transactional;
    bool
        concurrent; /* works on an index concurrently: the tool's own lock is given back meanwhile */
    int64_t previous;  /* golang-migrate: what its ledger says after the way down; -1: nothing */
    const char *lossy; /* what it loses, NULL when nothing is known to be lost */
};
struct db_lock_action {
    struct database_ref database;
    int format;      /* takes the format's own lock too (morph: mm-lock-key on PostgreSQL) */
    int64_t wait_ms; /* polled, never blocking */
};
struct db_unlock_action {
    struct database_ref database;
    int format;
};
struct db_migrate_action {
    struct database_ref database;
    int format;
    bool down;
    struct list items; /* of struct migration_item, in the order in which they run */
};
struct db_ledger_action { /* reads and compares; changes nothing */
    struct database_ref database;
    int format;
    struct ledger *ledger;
    struct strings expect_ids; /* native formats: the set that must be applied */
    int64_t expect_count;      /* external: how many rows; -1 when expect_ids is meant */
    bool or_done; /* before an external run: `done_count` rows mean that it has run already */
    int64_t done_count;
    const char *done_id; /* or_done, native formats: the ledger may have it, or lack it, already */
};
struct db_tool_lock_action { /* an external tool's own lock must be free, or it would wait for us */
    struct database_ref database;
    const char *advisory; /* the key as text: "123" or "1,2" */
    int64_t wait_ms;
};
struct db_checkpoint_action {
    struct database_ref database;
    int format;
    struct ledger *ledger;
    const char *release;
    int64_t schema; /* the release's schema number */
};
struct db_backup_action {
    struct database_ref database;
    const char *directory;   /* the engine's own backup goes to DIRECTORY/NAME-RUN */
    struct command *command; /* the site's own procedure; exit 0 is a backup */
    const char *
        file; /* command: what it leaves, as a glob; the newest match must be young and not empty */
    int64_t
        max_age_ms; /* command: a file of at most this age will do, and is not made again; 0: always anew */
    struct command *verify; /* command: ends with 0 when $BACKUP_FILE can be restored */
};
struct
    db_restore_action { /* the database becomes what the file holds; Lockstep's own tables stay */
    struct database_ref database;
    bool look; /* only looks whether the file is there and the right one: changes nothing */
    int format;
    const char *path;       /* the file, or … */
    const char *directory;  /* … the one that db_backup of this run and step left here */
    const char *backup_run; /* NULL: this run */
    const char *backup_step;
    const char *sha256;      /* of the file; NULL: not compared */
    const char *fingerprint; /* of the schema afterwards; NULL: not compared */
};
enum drift_policy { DRIFT_REFUSE, DRIFT_WARN };
struct
    db_drift_action { /* the schema now against the one that a checkpoint recorded; none recorded: records */
    struct database_ref database;
    int format;
    struct ledger *ledger;
    const char *release; /* the last checkpoint of this release; NULL: the last of all */
    int64_t schema;      /* the release's number, for what is recorded */
    int policy;          /* enum drift_policy */
};
enum writers_policy { WRITERS_WAIT, WRITERS_REFUSE, WRITERS_TERMINATE };
struct db_writers_action { /* no session of the application is left */
    struct database_ref database;
    int policy;      /* enum writers_policy; terminate: after wait_ms */
    int64_t wait_ms; /* polled */
    struct strings
        only; /* application names and users that count, * and ? as in file names; none: all */
    struct strings except; /* … that do not */
};
struct db_check_action { /* one SELECT; changes nothing */
    struct database_ref database;
    const char *sql;
    const char *expect;  /* the first cell as text; "none": no row */
    const char *message; /* the release's own words for when it is not so */
};
struct db_sql_action {
    struct database_ref database;
    const char *statement;
};
struct follow_action { /* out-of-band work: a command is started, and a query tells how far it is */
    struct database_ref database;
    struct run_action *run; /* started again when it died; NULL: something else does the work */
    const char *sql;        /* its first cell is a number from 0 to 1 */
    int64_t to;             /* 1, or 0 in reverse */
    int64_t every_ms;       /* 5s */
    int64_t stall_ms;       /* 10m without a step nearer is a failure */
    int64_t within_ms;      /* 24h */
};
struct
    db_rehearse_action { /* migrations there and back, on a clone that goes again; the database is only read */
    struct database_ref database;
    struct database_ref *clone; /* an empty database for it; NULL: a new one beside the database */
    int format;
    bool down;               /* the way there goes down */
    struct list there;       /* of struct migration_item, in the order in which they run */
    struct list back;        /* … the last of `there` first; it may end earlier: */
    const char *no_way_back; /* at this file, which has none; NULL */
    int64_t rows_bytes_max;  /* larger tables are counted, not compared; 0: the default */
};
struct db_observe_action {
    struct database_ref database;
    int format;
    struct ledger *ledger;
};

struct action {
    /* what a person may write under do: */
    struct run_action *run;
    struct wait_action *wait;
    struct service_action *service;
    struct health_action *health;
    struct db_sql_action *sql;
    struct follow_action *follow;
    /* what the compiler adds */
    struct preflight_action *preflight;
    struct stage_action *stage;
    struct deny_action *deny;
    struct permit_action *permit;
    struct swap_action *swap;
    struct observe_action *observe;
    struct retire_action *retire;
    struct db_lock_action *db_lock;
    struct db_unlock_action *db_unlock;
    struct db_migrate_action *db_migrate;
    struct db_ledger_action *db_ledger;
    struct db_tool_lock_action *db_tool_lock;
    struct db_checkpoint_action *db_checkpoint;
    struct db_backup_action *db_backup;
    struct db_restore_action *db_restore;
    struct db_drift_action *db_drift;
    struct db_writers_action *db_writers;
    struct db_check_action *db_check;
    struct db_rehearse_action *db_rehearse;
    struct db_observe_action *db_observe;
};

enum action_kind {
    ACTION_NONE,
    ACTION_RUN,
    ACTION_WAIT,
    ACTION_SERVICE,
    ACTION_HEALTH,
    ACTION_SQL,
    ACTION_FOLLOW,
    ACTION_PREFLIGHT,
    ACTION_STAGE,
    ACTION_DENY,
    ACTION_PERMIT,
    ACTION_SWAP,
    ACTION_OBSERVE,
    ACTION_RETIRE,
    ACTION_DB_LOCK,
    ACTION_DB_UNLOCK,
    ACTION_DB_MIGRATE,
    ACTION_DB_LEDGER,
    ACTION_DB_TOOL_LOCK,
    ACTION_DB_CHECKPOINT,
    ACTION_DB_BACKUP,
    ACTION_DB_RESTORE,
    ACTION_DB_DRIFT,
    ACTION_DB_WRITERS,
    ACTION_DB_CHECK,
    ACTION_DB_REHEARSE,
    ACTION_DB_OBSERVE,
};

enum action_kind action_kind(const struct action *action);
/* "stage", "db-migrate": for people, journals and metrics. */
const char *action_kind_name(enum action_kind kind);

extern const struct shape action_shape;    /* every action: plans and instructions */
extern const struct shape action_do_shape; /* the ones that a person may write under do: */
extern const struct shape check_shape;
extern const struct shape service_shape;
extern const struct shape sessions_shape;
extern const struct shape command_shape;
extern const struct shape secret_shape;
extern const struct shape ledger_shape;

#endif
