/*
 * Owns the tables of the actions: how each is written by a person under `do:`, in a plan and in an
 * instruction. It refuses nothing itself; a new action is one struct, one table and one line in
 * each of the two lists at the end.
 */
#include "lib/spec/action_database.h"
#include "lib/spec/table.h"

const char *const migration_format_words[] = {
    "", "morph", "golang-migrate", "goose", "sourcegraph", "external", NULL};

/* ---- secrets, commands ---- */

static const struct field secret_fields[] = {
    {.key = "file",
     .type = SHAPE_STRING,
     .offset = offsetof(struct secret, file),
     .help = "A file at the place of use; its first line is the secret."},
    {.key = "env",
     .type = SHAPE_STRING,
     .offset = offsetof(struct secret, env),
     .pattern = "[A-Za-z_][A-Za-z0-9_]*",
     .pattern_help = "the name of an environment variable",
     .help = "An environment variable at the place of use."},
};
const struct shape secret_shape =
    SHAPE("secret", secret, secret_fields, .one_of = true,
          .help = "Where a secret is read at the moment of use; it is kept nowhere.");

static const struct field env_value_fields[] = {
    {.key = "value", .type = SHAPE_STRING, .offset = offsetof(struct env_value, value)},
    {.key = "secret",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct env_value, secret),
     .shape = &secret_shape},
};
const struct shape env_value_shape =
    SHAPE("environment value", env_value, env_value_fields, .scalar = "value", .mapping = "secret",
          .help = "A text, or {file: …} or {env: …} for a secret.");

static const struct field command_fields[] = {
    ARGV_FIELD(command, ),   ENV_FIELD(command, ),
    USER_FIELD(command, ),   TIMEOUT_FIELD(command, , 10 * MINUTES),
    MEMORY_FIELD(command, ), OUTPUT_FIELD(command, ),
};
const struct shape command_shape =
    SHAPE("command", command, command_fields, .scalar = "command",
          .help = "A program and its arguments; in short the list alone.");

/* ---- checks ---- */

static const struct field http_check_fields[] = {
    {.key = "url",
     .type = SHAPE_STRING,
     .offset = offsetof(struct http_check, url),
     .required = true,
     .pattern = "(https?://|\\$\\{).+",
     .pattern_help = "an http:// or https:// address",
     .help = "What is asked with GET."},
    {.key = "status",
     .type = SHAPE_INT,
     .offset = offsetof(struct http_check, status),
     .min = 100,
     .max = 599,
     .fallback = 200,
     .help = "The status that is a good answer."},
    {.key = "matches",
     .type = SHAPE_STRING,
     .offset = offsetof(struct http_check, matches),
     .help = "A POSIX extended regular expression that the body must match."},
    {.key = "timeout",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct http_check, timeout_ms),
     .min = 1,
     .fallback = 5 * SECONDS,
     .help = "How long one request may take."},
    {.key = "insecure",
     .type = SHAPE_BOOL,
     .offset = offsetof(struct http_check, insecure),
     .help = "Do not verify the server's certificate."},
};
static const struct shape http_check_shape =
    SHAPE("http check", http_check, http_check_fields, .scalar = "url", .help = "An HTTP answer.");

static const struct field tcp_check_fields[] = {
    {.key = "host",
     .type = SHAPE_STRING,
     .offset = offsetof(struct tcp_check, host),
     .fallback_text = "127.0.0.1",
     .help = "Where to connect to."},
    {.key = "port",
     .type = SHAPE_INT,
     .offset = offsetof(struct tcp_check, port),
     .text_offset = offsetof(struct tcp_check, port_text),
     .required = true,
     .min = 1,
     .max = 65535,
     .help = "The port, a number or a ${…} reference."},
    {.key = "timeout",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct tcp_check, timeout_ms),
     .min = 1,
     .fallback = 5 * SECONDS,
     .help = "How long the connection may take."},
};
static const struct shape tcp_check_shape =
    SHAPE("tcp check", tcp_check, tcp_check_fields, .help = "A port that accepts a connection.");

static const struct field command_check_fields[] = {
    ARGV_FIELD(command_check, command.),
    ENV_FIELD(command_check, command.),
    USER_FIELD(command_check, command.),
    TIMEOUT_FIELD(command_check, command., 30 * SECONDS),
    MEMORY_FIELD(command_check, command.),
    OUTPUT_FIELD(command_check, command.),
    {.key = "matches",
     .type = SHAPE_STRING,
     .offset = offsetof(struct command_check, matches),
     .help =
         "A POSIX extended regular expression on its output; default: exit status 0 is enough."},
};
static const struct shape command_check_shape =
    SHAPE("command check", command_check, command_check_fields, .scalar = "command",
          .help = "A command that ends with status 0.");

static const struct field log_check_fields[] = {
    {.key = "file",
     .type = SHAPE_STRING,
     .offset = offsetof(struct log_check, file),
     .required = true,
     .help = "The log file; a relative path starts in the installed tree."},
    {.key = "error",
     .type = SHAPE_STRING,
     .offset = offsetof(struct log_check, error),
     .required = true,
     .help = "A line since the service's start that matches this expression is unhealthy."},
};
static const struct shape log_check_shape =
    SHAPE("log check", log_check, log_check_fields, .help = "No error line since the start.");

static const struct field check_fields[] = {
    {.key = "http",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct check, http),
     .scalar_ok = true,
     .shape = &http_check_shape},
    {.key = "tcp",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct check, tcp),
     .shape = &tcp_check_shape},
    {.key = "command",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct check, command),
     .scalar_ok = true,
     .shape = &command_check_shape},
    {.key = "log",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct check, log),
     .shape = &log_check_shape},
    {.key = "consecutive",
     .type = SHAPE_INT,
     .offset = offsetof(struct check, consecutive),
     .beside = true,
     .min = 1,
     .max = 1000,
     .fallback = 3,
     .help = "Good answers in a row that make it healthy."},
    {.key = "every",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct check, every_ms),
     .beside = true,
     .min = 10,
     .fallback = 1 * SECONDS,
     .help = "The time from one answer to the next question."},
    {.key = "within",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct check, within_ms),
     .beside = true,
     .min = 1,
     .fallback = 2 * MINUTES,
     .help = "The time in which it must become healthy."},
};
const struct shape check_shape =
    SHAPE("check", check, check_fields, .one_of = true, .help = "What a healthy thing answers.");

/* ---- services ---- */

static const char *const stop_signal_words[] = {"TERM", "INT", "QUIT", NULL};

static const struct field process_service_fields[] = {
    ARGV_FIELD(process_service, command.),
    ENV_FIELD(process_service, command.),
    USER_FIELD(process_service, command.),
    MEMORY_FIELD(process_service, command.),
    {.key = "stop_signal",
     .type = SHAPE_ENUM,
     .offset = offsetof(struct process_service, stop_signal),
     .words = stop_signal_words,
     .help = "The signal that asks it to stop."},
    {.key = "stop_within",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct process_service, stop_within_ms),
     .min = 1,
     .fallback = 30 * SECONDS,
     .help = "How long it has to stop before it is killed."},
    {.key = "log",
     .type = SHAPE_STRING,
     .offset = offsetof(struct process_service, log),
     .help = "The file for its output; default: in the agent's state directory."},
};
static const struct shape process_service_shape =
    SHAPE("process", process_service, process_service_fields, .scalar = "command",
          .help = "A process that the agent keeps, in the installed tree.");

static const struct field service_fields[] = {
    {.key = "systemd",
     .type = SHAPE_STRING,
     .offset = offsetof(struct service, systemd),
     .pattern = "[A-Za-z0-9:_.@${}-]+",
     .pattern_help = "a systemd unit's name",
     .help = "A unit's name; .service may be left out."},
    {.key = "process",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct service, process),
     .scalar_ok = true,
     .shape = &process_service_shape},
    {.key = "within",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct service, within_ms),
     .beside = true,
     .min = 1,
     .fallback = 2 * MINUTES,
     .help = "How long a start or a stop may take."},
};
const struct shape service_shape =
    SHAPE("service", service, service_fields, .one_of = true, .scalar = NULL,
          .help = "What runs the application on a node.");

/* ---- node actions ---- */

#define LAYOUT_FIELD(struct_)                                                                      \
    {                                                                                              \
        .key = "layout", .type = SHAPE_STRING, .offset = offsetof(struct struct_, layout)          \
    }
#define SERVICE_FIELD(struct_)                                                                     \
    {                                                                                              \
        .key = "service", .type = SHAPE_OBJECT, .offset = offsetof(struct struct_, service),       \
        .shape = &service_shape                                                                    \
    }
#define ARTIFACT_FIELD(struct_)                                                                    \
    {                                                                                              \
        .key = "artifact", .type = SHAPE_EMBED, .offset = offsetof(struct struct_, artifact),      \
        .required = true, .shape = &artifact_ref_shape                                             \
    }

static const struct field artifact_ref_fields[] = {
    {.key = "sha256",
     .type = SHAPE_STRING,
     .offset = offsetof(struct artifact_ref, sha256),
     .required = true,
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP},
    {.key = "bytes", .type = SHAPE_INT, .offset = offsetof(struct artifact_ref, bytes)},
    {.key = "version", .type = SHAPE_VERSION, .offset = offsetof(struct artifact_ref, version)},
};
static const struct shape artifact_ref_shape =
    SHAPE("artifact instruction", artifact_ref, artifact_ref_fields);

static const struct field preflight_fields[] = {
    LAYOUT_FIELD(preflight_action),
    {.key = "bytes_needed",
     .type = SHAPE_INT,
     .offset = offsetof(struct preflight_action, bytes_needed)},
    {.key = "ports", .type = SHAPE_STRINGS, .offset = offsetof(struct preflight_action, ports)},
    SERVICE_FIELD(preflight_action),
    {.key = "users", .type = SHAPE_STRINGS, .offset = offsetof(struct preflight_action, users)},
};
static const struct shape preflight_shape = SHAPE("preflight", preflight_action, preflight_fields);

static const struct field stage_fields[] = {
    ARTIFACT_FIELD(stage_action),
    LAYOUT_FIELD(stage_action),
    {.key = "allow_special",
     .type = SHAPE_BOOL,
     .offset = offsetof(struct stage_action, allow_special)},
    {.key = "owner", .type = SHAPE_STRING, .offset = offsetof(struct stage_action, owner)},
};
static const struct shape stage_shape = SHAPE("stage", stage_action, stage_fields);

static const struct field deny_fields[] = {
    {.key = "reason", .type = SHAPE_STRING, .offset = offsetof(struct deny_action, reason)},
};
static const struct shape deny_shape = SHAPE("deny", deny_action, deny_fields);

static const struct field permit_fields[] = {
    {.key = "release", .type = SHAPE_VERSION, .offset = offsetof(struct permit_action, release)},
    {.key = "checkpoint",
     .type = SHAPE_STRING,
     .offset = offsetof(struct permit_action, checkpoint)},
};
static const struct shape permit_shape = SHAPE("permit", permit_action, permit_fields);

static const char *const service_verb_words[] = {"start", "stop", "restart", NULL};

#define VERB_FIELD                                                                                 \
    {                                                                                              \
        .key = "verb", .type = SHAPE_ENUM, .offset = offsetof(struct service_action, verb),        \
        .required = true, .words = service_verb_words, .help = "What to do with the service."      \
    }

static const struct field service_action_fields[] = {
    VERB_FIELD,
    SERVICE_FIELD(service_action),
    LAYOUT_FIELD(service_action),
};
static const struct shape service_action_shape =
    SHAPE("service instruction", service_action, service_action_fields, .scalar = "verb");

static const struct field do_service_fields[] = {VERB_FIELD};
static const struct shape do_service_shape =
    SHAPE("service action", service_action, do_service_fields, .scalar = "verb",
          .help = "start, stop or restart the application's service.");

static const struct field swap_fields[] = {
    ARTIFACT_FIELD(swap_action),
    LAYOUT_FIELD(swap_action),
    {.key = "keep", .type = SHAPE_STRINGS, .offset = offsetof(struct swap_action, keep)},
};
static const struct shape swap_shape = SHAPE("swap", swap_action, swap_fields);

#define CHECKS_FIELD                                                                               \
    {                                                                                              \
        .key = "checks", .type = SHAPE_LIST, .offset = offsetof(struct health_action, checks),     \
        .scalar_ok = true, .shape = &check_shape, .max = 64,                                       \
        .help = "What must be healthy; default: the application's own health."                     \
    }
#define SOAK_FIELD                                                                                 \
    {                                                                                              \
        .key = "soak", .type = SHAPE_DURATION, .offset = offsetof(struct health_action, soak_ms),  \
        .help = "How long it must stay healthy after the first time."                              \
    }

static const struct field health_fields[] = {
    CHECKS_FIELD,
    SERVICE_FIELD(health_action),
    LAYOUT_FIELD(health_action),
    SOAK_FIELD,
};
static const struct shape health_shape = SHAPE("health instruction", health_action, health_fields);

static const struct field do_health_fields[] = {CHECKS_FIELD, SOAK_FIELD};
static const struct shape do_health_shape =
    SHAPE("health", health_action, do_health_fields, .scalar = "checks",
          .help = "Wait until the checks are healthy.");

static const char *const run_tree_words[] = {"installed", "staged", "none", NULL};

#define RUN_FIELDS                                                                                 \
    ARGV_FIELD(run_action, command.), ENV_FIELD(run_action, command.),                             \
        USER_FIELD(run_action, command.), TIMEOUT_FIELD(run_action, command., 10 * MINUTES),       \
        MEMORY_FIELD(run_action, command.), OUTPUT_FIELD(run_action, command.),                    \
    {                                                                                              \
        .key = "tree", .type = SHAPE_ENUM, .offset = offsetof(struct run_action, tree),            \
        .words = run_tree_words,                                                                   \
        .help = "The release whose tree it runs in: the installed one, the staged one or none."    \
    }

static const struct field run_fields[] = {
    RUN_FIELDS,
    LAYOUT_FIELD(run_action),
    {.key = "release", .type = SHAPE_VERSION, .offset = offsetof(struct run_action, release)},
    {.key = "sha256",
     .type = SHAPE_STRING,
     .offset = offsetof(struct run_action, sha256),
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP},
    {.key = "once", .type = SHAPE_BOOL, .offset = offsetof(struct run_action, once)},
};
const struct shape run_shape = SHAPE("run instruction", run_action, run_fields);

static const struct field do_run_fields[] = {RUN_FIELDS};
const struct shape do_run_shape =
    SHAPE("run", run_action, do_run_fields, .scalar = "command",
          .help = "Run a command; in short the list of the program and its arguments.");

static const struct field wait_fields[] = {
    {.key = "file",
     .type = SHAPE_STRING,
     .offset = offsetof(struct wait_action, file),
     .help = "A file that must appear, or hold a line that matches."},
    {.key = "http",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct wait_action, http),
     .scalar_ok = true,
     .shape = &http_check_shape},
    {.key = "tcp",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct wait_action, tcp),
     .shape = &tcp_check_shape},
    {.key = "command",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct wait_action, command),
     .scalar_ok = true,
     .shape = &command_check_shape},
    {.key = "matches",
     .type = SHAPE_STRING,
     .offset = offsetof(struct wait_action, matches),
     .beside = true,
     .help = "A POSIX extended regular expression that a line of the file must match."},
    {.key = "stall",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct wait_action, stall_ms),
     .beside = true,
     .help = "A file that does not grow for that long is a failure; default: none."},
    {.key = "within",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct wait_action, within_ms),
     .beside = true,
     .min = 1,
     .fallback = 30 * MINUTES,
     .help = "How long to wait at most."},
};
static const struct shape wait_shape =
    SHAPE("wait", wait_action, wait_fields, .one_of = true, .help = "Wait for evidence.");

static const struct field sessions_fields[] = {
    {.key = "http",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct sessions_probe, http),
     .shape = &http_check_shape},
    {.key = "command",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct sessions_probe, command),
     .shape = &command_check_shape},
};
const struct shape sessions_shape =
    SHAPE("sessions", sessions_probe, sessions_fields, .one_of = true,
          .help = "How many sessions a node has: the first group of matches: is the number.");

static const struct field observe_component_fields[] = {
    {.key = "name", .type = SHAPE_NAME, .offset = offsetof(struct observe_component, name)},
    ARGV_FIELD(observe_component, command.),
    ENV_FIELD(observe_component, command.),
    USER_FIELD(observe_component, command.),
    TIMEOUT_FIELD(observe_component, command., 30 * SECONDS),
    {.key = "matches", .type = SHAPE_STRING, .offset = offsetof(struct observe_component, matches)},
};
static const struct shape observe_component_shape =
    SHAPE("component", observe_component, observe_component_fields);

static const struct field observe_fields[] = {
    LAYOUT_FIELD(observe_action),
    {.key = "command",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct observe_action, command),
     .scalar_ok = true,
     .shape = &command_shape},
    {.key = "matches", .type = SHAPE_STRING, .offset = offsetof(struct observe_action, matches)},
    SERVICE_FIELD(observe_action),
    {.key = "sessions",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct observe_action, sessions),
     .shape = &sessions_shape},
    {.key = "components",
     .type = SHAPE_LIST,
     .offset = offsetof(struct observe_action, components),
     .shape = &observe_component_shape,
     .max = LIMIT_COMPONENTS},
};
static const struct shape observe_shape =
    SHAPE("observe instruction", observe_action, observe_fields);

static const struct field retire_fields[] = {
    LAYOUT_FIELD(retire_action),
    {.key = "keep_releases",
     .type = SHAPE_INT,
     .offset = offsetof(struct retire_action, keep_releases)},
    {.key = "drop",
     .type = SHAPE_LIST,
     .offset = offsetof(struct retire_action, drop),
     .shape = &artifact_ref_shape,
     .max = LIMIT_HOPS},
};
static const struct shape retire_shape = SHAPE("retire", retire_action, retire_fields);

/* ---- the lists ---- */

#define ACTION_FIELD(member_, shape_)                                                              \
    {                                                                                              \
        .key = #member_, .type = SHAPE_OBJECT, .offset = offsetof(struct action, member_),         \
        .shape = &(shape_)                                                                         \
    }
#define DO_FIELD(member_, shape_)                                                                  \
    {                                                                                              \
        .key = #member_, .type = SHAPE_OBJECT, .offset = offsetof(struct action, member_),         \
        .scalar_ok = true, .shape = &(shape_)                                                      \
    }

static const struct field action_do_fields[] = {
    DO_FIELD(run, do_run_shape),         DO_FIELD(wait, wait_shape),
    DO_FIELD(service, do_service_shape), DO_FIELD(health, do_health_shape),
    DO_FIELD(sql, do_sql_shape),         DO_FIELD(follow, do_follow_shape),
};
const struct shape action_do_shape = SHAPE("action", action, action_do_fields, .one_of = true,
                                           .help = "One thing that a step does.");

/* In the order of enum action_kind, from ACTION_RUN on. */
static const struct field action_fields[] = {
    ACTION_FIELD(run, run_shape),
    ACTION_FIELD(wait, wait_shape),
    ACTION_FIELD(service, service_action_shape),
    ACTION_FIELD(health, health_shape),
    ACTION_FIELD(sql, db_sql_shape),
    ACTION_FIELD(follow, follow_shape),
    ACTION_FIELD(preflight, preflight_shape),
    ACTION_FIELD(stage, stage_shape),
    ACTION_FIELD(deny, deny_shape),
    ACTION_FIELD(permit, permit_shape),
    ACTION_FIELD(swap, swap_shape),
    ACTION_FIELD(observe, observe_shape),
    ACTION_FIELD(retire, retire_shape),
    ACTION_FIELD(db_lock, db_lock_shape),
    ACTION_FIELD(db_unlock, db_unlock_shape),
    ACTION_FIELD(db_migrate, db_migrate_shape),
    ACTION_FIELD(db_ledger, db_ledger_shape),
    ACTION_FIELD(db_tool_lock, db_tool_lock_shape),
    ACTION_FIELD(db_checkpoint, db_checkpoint_shape),
    ACTION_FIELD(db_backup, db_backup_shape),
    ACTION_FIELD(db_restore, db_restore_shape),
    ACTION_FIELD(db_drift, db_drift_shape),
    ACTION_FIELD(db_writers, db_writers_shape),
    ACTION_FIELD(db_check, db_check_shape),
    ACTION_FIELD(db_rehearse, db_rehearse_shape),
    ACTION_FIELD(db_observe, db_observe_shape),
};
static_assert(ARRAY_SIZE(action_fields) == ACTION_DB_OBSERVE, "one field for each kind of action");
const struct shape action_shape = SHAPE("instruction", action, action_fields, .one_of = true,
                                        .help = "One instruction to a place.");

enum action_kind action_kind(const struct action *action)
{
    for (size_t i = 0; i < ARRAY_SIZE(action_fields); i++) {
        if (*(const void *const *)((const char *)action + action_fields[i].offset) != NULL) {
            return (enum action_kind)(i + 1);
        }
    }
    return ACTION_NONE;
}

const char *action_kind_name(enum action_kind kind)
{
    static const char *const names[] = {
        [ACTION_NONE] = "none",
        [ACTION_RUN] = "run",
        [ACTION_WAIT] = "wait",
        [ACTION_SERVICE] = "service",
        [ACTION_HEALTH] = "health",
        [ACTION_SQL] = "sql",
        [ACTION_FOLLOW] = "follow",
        [ACTION_PREFLIGHT] = "preflight",
        [ACTION_STAGE] = "stage",
        [ACTION_DENY] = "deny",
        [ACTION_PERMIT] = "permit",
        [ACTION_SWAP] = "swap",
        [ACTION_OBSERVE] = "observe",
        [ACTION_RETIRE] = "retire",
        [ACTION_DB_LOCK] = "db-lock",
        [ACTION_DB_UNLOCK] = "db-unlock",
        [ACTION_DB_MIGRATE] = "db-migrate",
        [ACTION_DB_LEDGER] = "db-ledger",
        [ACTION_DB_TOOL_LOCK] = "db-tool-lock",
        [ACTION_DB_CHECKPOINT] = "db-checkpoint",
        [ACTION_DB_BACKUP] = "db-backup",
        [ACTION_DB_RESTORE] = "db-restore",
        [ACTION_DB_DRIFT] = "db-drift",
        [ACTION_DB_WRITERS] = "db-writers",
        [ACTION_DB_CHECK] = "db-check",
        [ACTION_DB_REHEARSE] = "db-rehearse",
        [ACTION_DB_OBSERVE] = "db-observe",
    };
    assert((size_t)kind < ARRAY_SIZE(names));
    return names[kind];
}
