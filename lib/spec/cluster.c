/* Owns the table of the Cluster: its keys, bounds and words. What needs two values to be judged is
 * in check.c. */
#include "lib/spec/spec.h"
#include "lib/spec/table.h"

static const struct field node_fields[] = {
    {.key = "name",
     .type = SHAPE_NAME,
     AT(node_spec, name),
     .required = true,
     .help = "The name that the node's agent enrolled with."},
    {.key = "zone",
     .type = SHAPE_NAME,
     AT(node_spec, zone),
     .help = "Where it stands; waves: { by: zone } moves one zone after the other."},
    {.key = "pair",
     .type = SHAPE_NAME,
     AT(node_spec, pair),
     .help = "The failover pair that it belongs to: the two nodes of a pair move in the same wave, "
             "one after the other."},
    {.key = "roles",
     .type = SHAPE_STRINGS,
     AT(node_spec, roles),
     .scalar_ok = true,
     .max = 64,
     .pattern = "[A-Za-z0-9_][A-Za-z0-9._-]*",
     .pattern_help = "a name of letters, digits, '.', '_' and '-'",
     .help = "What the node is for; when: { role } asks for it."},
    {.key = "vars",
     .type = SHAPE_MAP,
     AT(node_spec, vars),
     .max = 256,
     .help = "Values of this node, used as ${node.NAME}."},
};
static const struct shape node_shape = SHAPE("node", node_spec, node_fields);

#define WRITERS_WAIT_MS (60 * INT64_C(1000))

static const struct field writers_fields[] = {
    {.key = "policy",
     .type = SHAPE_ENUM,
     AT(writers_spec, policy),
     .words = writers_policy_words,
     .help = "Wait for them and then refuse, refuse at once, or end them after the wait."},
    {.key = "wait",
     .type = SHAPE_DURATION,
     AT(writers_spec, wait_ms),
     .fallback = WRITERS_WAIT_MS,
     .help = "How long they may take to go; default 1m."},
    {.key = "except",
     .type = SHAPE_STRINGS,
     AT(writers_spec, except),
     .scalar_ok = true,
     .max = 64,
     .help = "Users and application names that may stay, with * and ? as in file names."},
    {.key = "only",
     .type = SHAPE_STRINGS,
     AT(writers_spec, only),
     .scalar_ok = true,
     .max = 64,
     .help = "Users and application names that count; default: all."},
};
static const struct shape writers_shape =
    SHAPE("writers", writers_spec, writers_fields, .scalar = "policy",
          .help = "Sessions that are left when all nodes have stopped, before a database moves.");

static const char *const drift_words[] = {"warn", "refuse", "off", NULL};

static const struct field clone_fields[] = {
    {.key = "url",
     .type = SHAPE_STRING,
     AT(clone_spec, url),
     .required = true,
     .pattern = "(postgres|postgresql|mysql|mariadb)://.+",
     .pattern_help = "an address such as postgres://user@host/database",
     .help = "The empty database's address, on a server of the same kind, without its password."},
    {.key = "password",
     .type = SHAPE_OBJECT,
     AT(clone_spec, password),
     .shape = &secret_shape,
     .help = "Where its password is read from; default: the database's own."},
};
static const struct shape clone_shape = SHAPE(
    "rehearse_on", clone_spec, clone_fields, .scalar = "url",
    .help = "An empty database that a rehearsal fills with a dump of the real one, and leaves "
            "empty.");

static const struct field database_fields[] = {
    {.key = "url",
     .type = SHAPE_STRING,
     AT(cluster_database_spec, url),
     .pattern = "(postgres|postgresql|mysql|mariadb|sqlite)://.+",
     .pattern_help = "an address such as postgres://user@host/database or sqlite:///path",
     .help = "The database's address, without its password."},
    {.key = "url_from",
     .type = SHAPE_OBJECT,
     AT(cluster_database_spec, url_from),
     .shape = &secret_shape,
     .help = "Where the whole address is read from, when it is a secret."},
    {.key = "password",
     .type = SHAPE_OBJECT,
     AT(cluster_database_spec, password),
     .shape = &secret_shape,
     .help = "Where the password is read from."},
    {.key = "via",
     .type = SHAPE_NAME,
     AT(cluster_database_spec, via),
     .fallback_text = "controller",
     .help = "Who talks to the database: \"controller\" or a node's name."},
    {.key = "writers",
     .type = SHAPE_OBJECT,
     AT(cluster_database_spec, writers),
     .scalar_ok = true,
     .shape = &writers_shape},
    {.key = "drift",
     .type = SHAPE_ENUM,
     AT(cluster_database_spec, drift),
     .words = drift_words,
     .help = "What a schema that is not the recorded one means: warn, refuse, or not looked at."},
    {.key = "rehearse_on",
     .type = SHAPE_OBJECT,
     AT(cluster_database_spec, rehearse_on),
     .scalar_ok = true,
     .shape = &clone_shape},
};
static const struct shape database_shape =
    SHAPE("cluster database", cluster_database_spec, database_fields);

/* ---- strategy ---- */

static const char *const waves_by_words[] = {"", "zone", NULL};

static const struct field waves_fields[] = {
    {.key = "size",
     .type = SHAPE_AMOUNT,
     AT(waves_spec, size),
     .min = 1,
     .max = LIMIT_CLUSTER_NODES,
     .help = "Nodes of a wave, a number or a share such as 25% (rounded up)."},
    {.key = "by",
     .type = SHAPE_ENUM,
     AT(waves_spec, by),
     .words = waves_by_words,
     .help = "zone: the nodes of a zone are a wave, in the order in which the zones first appear."},
};
static const struct shape waves_shape =
    SHAPE("waves", waves_spec, waves_fields, .one_of = true, .scalar = "size",
          .help = "What moves between two barriers; at most max_unavailable of it at once.");

static const char *const order_words[] = {"given", "fewest-sessions-first", NULL};

static const struct field rolling_fields[] = {
    {.key = "canary",
     .type = SHAPE_AMOUNT,
     AT(rolling_spec, canary),
     .max = LIMIT_CLUSTER_NODES,
     .help = "Nodes that go first and are watched, a number or a share such as 10% (rounded up)."},
    {.key = "waves",
     .type = SHAPE_OBJECT,
     AT(rolling_spec, waves),
     .scalar_ok = true,
     .shape = &waves_shape},
    {.key = "max_unavailable",
     .type = SHAPE_AMOUNT,
     AT(rolling_spec, max_unavailable),
     .min = 1,
     .max = LIMIT_CLUSTER_NODES,
     .fallback = 1,
     .help = "Nodes that may be down at the same time, a number or a share such as 25% (rounded "
             "down, at least 1)."},
    {.key = "order",
     .type = SHAPE_ENUM,
     AT(rolling_spec, order),
     .words = order_words,
     .help = "Who goes first: as nodes: lists them, or who has the fewest sessions (sessions: of "
             "the Application)."},
    {.key = "soak",
     .type = SHAPE_DURATION,
     AT(rolling_spec, soak_ms),
     .help = "How long a wave must stay healthy before the next."},
};
static const struct shape rolling_shape =
    SHAPE("rolling", rolling_spec, rolling_fields, .help = "Wave by wave.");

static const struct field starts_fields[] = {
    {.key = "at_most",
     .type = SHAPE_INT,
     AT(starts_spec, at_most),
     .required = true,
     .min = 1,
     .max = LIMIT_STARTS,
     .help = "How many starts and restarts."},
    {.key = "within",
     .type = SHAPE_DURATION,
     AT(starts_spec, within_ms),
     .required = true,
     .min = 1,
     .help = "In which time."},
};
const struct shape starts_shape =
    SHAPE("starts", starts_spec, starts_fields,
          .help = "No more starts of the service than so many in a time, over all nodes of a run.");

static const char *const if_not_rolling_words[] = {"refuse", "all-at-once", NULL};
static const char *const on_failure_words[] = {"pause", "abort", "rollback", NULL};

static const struct field deadlines_fields[] = {
    {.key = "wave",
     .type = SHAPE_DURATION,
     AT(deadlines_spec, wave_ms),
     .help = "How long a wave may take before the run pauses."},
    {.key = "run",
     .type = SHAPE_DURATION,
     AT(deadlines_spec, run_ms),
     .help = "How long a run may be at work before it pauses; waits and pauses do not count."},
    {.key = "pause",
     .type = SHAPE_DURATION,
     AT(deadlines_spec, pause_ms),
     .help = "After how long a paused run is told again, each time; default 15m."},
};
static const struct shape deadlines_shape =
    SHAPE("deadlines", deadlines_spec, deadlines_fields,
          .help = "They stop what is begun next, never what is under way.");

static const struct field failures_fields[] = {
    {.key = "nodes",
     .type = SHAPE_AMOUNT,
     AT(failures_spec, nodes),
     .required = true,
     .max = LIMIT_CLUSTER_NODES,
     .help = "How many nodes may fail and be left behind before the run stops."},
    {.key = "per_node",
     .type = SHAPE_INT,
     AT(failures_spec, per_node),
     .min = 1,
     .max = LIMIT_ATTEMPTS,
     .fallback = 1,
     .help = "Which failure at a node counts it as failed; earlier ones are tried again."},
};
static const struct shape failures_shape =
    SHAPE("failures", failures_spec, failures_fields, .scalar = "nodes",
          .help = "What may fail without stopping the run.");

static const char *const gate_words[] = {"staged", "canary", "wave", NULL};

static const struct field gate_fields[] = {
    {.key = "after",
     .type = SHAPE_ENUM,
     AT(gate_spec, after),
     .required = true,
     .words = gate_words,
     .help = "Where the run waits: when all is staged and nothing touched, after the canary, or "
             "after each wave."},
    {.key = "approvers",
     .type = SHAPE_INT,
     AT(gate_spec, approvers),
     .min = 1,
     .max = LIMIT_APPROVERS,
     .fallback = 1,
     .help = "How many different people have to approve."},
    {.key = "timeout",
     .type = SHAPE_DURATION,
     AT(gate_spec, timeout_ms),
     .help = "After how long it is told again, each time; default 15m. It never decides."},
};
static const struct shape gate_shape =
    SHAPE("gate", gate_spec, gate_fields, .help = "A point at which people decide.");

static const char *const day_words[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};

#define CLOCK_PATTERN "([01][0-9]|2[0-3]):[0-5][0-9]"
#define CLOCK_HELP    "a time of the day like \"22:00\""

static const struct field window_fields[] = {
    {.key = "days",
     .type = SHAPE_STRINGS,
     AT(window_spec, days),
     .scalar_ok = true,
     .words = day_words,
     .max = 7,
     .help = "The days on which it begins; default: every day."},
    {.key = "from",
     .type = SHAPE_STRING,
     AT(window_spec, from),
     .required = true,
     .pattern = CLOCK_PATTERN,
     .pattern_help = CLOCK_HELP,
     .help = "When it begins."},
    {.key = "to",
     .type = SHAPE_STRING,
     AT(window_spec, to),
     .required = true,
     .pattern = CLOCK_PATTERN,
     .pattern_help = CLOCK_HELP,
     .help = "When it ends; at or before from: on the next day."},
    {.key = "timezone",
     .type = SHAPE_STRING,
     AT(window_spec, timezone),
     .pattern = "UTC|[+-](0[0-9]|1[0-4]):[0-5][0-9]",
     .pattern_help = "UTC, or a fixed offset like \"+02:00\" (there is no summer time)",
     .fallback_text = "UTC",
     .help = "Of from, to and days: UTC, or a fixed offset; summer time is not followed."},
};
const struct shape window_shape =
    SHAPE("window", window_spec, window_fields, .help = "When a run may begin something.");

static const struct field strategy_fields[] = {
    {.key = "rolling", .type = SHAPE_OBJECT, AT(strategy_spec, rolling), .shape = &rolling_shape},
    {.key = "all_at_once",
     .type = SHAPE_BOOL,
     AT(strategy_spec, all_at_once),
     .help = "Stop all, move, start all; in short strategy: all-at-once."},
    {.key = "one_first",
     .type = SHAPE_BOOL,
     AT(strategy_spec, one_first),
     .help = "Start one node and see it healthy before the rest."},
    {.key = "starts", .type = SHAPE_OBJECT, AT(strategy_spec, starts), .shape = &starts_shape},
    {.key = "if_not_rolling",
     .type = SHAPE_ENUM,
     AT(strategy_spec, if_not_rolling),
     .words = if_not_rolling_words,
     .help = "What to do with a hop that cannot be proved rolling."},
    {.key = "on_failure",
     .type = SHAPE_ENUM,
     AT(strategy_spec, on_failure),
     .words = on_failure_words,
     .help = "What to do when a step fails: pause and ask, abort, or go back to where the run came "
             "from."},
    {.key = "deadlines",
     .type = SHAPE_OBJECT,
     AT(strategy_spec, deadlines),
     .shape = &deadlines_shape},
    {.key = "failures",
     .type = SHAPE_OBJECT,
     AT(strategy_spec, failures),
     .scalar_ok = true,
     .shape = &failures_shape},
    {.key = "gates",
     .type = SHAPE_LIST,
     AT(strategy_spec, gates),
     .scalar_ok = true,
     .shape = &gate_shape,
     .max = LIMIT_GATES,
     .help = "Points at which people decide."},
    {.key = "windows",
     .type = SHAPE_LIST,
     AT(strategy_spec, windows),
     .scalar_ok = true,
     .shape = &window_shape,
     .max = LIMIT_WINDOWS,
     .help = "When the run may begin a wave; outside it waits, and a wave that is begun ends."},
};
static const struct shape strategy_shape =
    SHAPE("strategy", strategy_spec, strategy_fields, .scalar = "all_at_once",
          .help = "How the nodes move.");

/* ---- backup, notify ---- */

static const struct field backup_with_fields[] = {
    {.key = "pg_dump",
     .type = SHAPE_STRING,
     AT(backup_with, pg_dump),
     .help = "pg_dump into this directory at the database's place."},
    {.key = "mariadb_dump",
     .type = SHAPE_STRING,
     AT(backup_with, mariadb_dump),
     .help = "mariadb-dump into this directory at the database's place."},
    {.key = "sqlite",
     .type = SHAPE_STRING,
     AT(backup_with, sqlite),
     .help = "SQLite's own backup into this directory at the database's place."},
    {.key = "command",
     .type = SHAPE_OBJECT,
     AT(backup_with, command),
     .scalar_ok = true,
     .shape = &command_shape,
     .help = "The site's own procedure; exit status 0 is a backup."},
};
static const struct shape backup_with_shape =
    SHAPE("backup procedure", backup_with, backup_with_fields, .one_of = true);

static const char *const backup_when_words[] = {"always", "lossy", "never", NULL};

static const struct field backup_fields[] = {
    {.key = "when",
     .type = SHAPE_ENUM,
     AT(backup_spec, when),
     .words = backup_when_words,
     .help = "Before every run, only before steps that lose data, or never."},
    {.key = "max_age",
     .type = SHAPE_DURATION,
     AT(backup_spec, max_age_ms),
     .help =
         "With file: a backup of at most this age will do and is not made again. Lockstep's own "
         "are always made anew."},
    {.key = "file",
     .type = SHAPE_STRING,
     AT(backup_spec, file),
     .pattern = "/.+",
     .pattern_help = "an absolute path, * and ? as in file names",
     .help = "What with.command leaves: the newest match must be there, young and not empty."},
    {.key = "verify",
     .type = SHAPE_OBJECT,
     AT(backup_spec, verify),
     .scalar_ok = true,
     .shape = &command_shape,
     .help = "A command after with.command that ends with status 0 when $BACKUP_FILE can be "
             "restored."},
    {.key = "with",
     .type = SHAPE_OBJECT,
     AT(backup_spec, with),
     .shape = &backup_with_shape,
     .help = "How it is made."},
};
static const struct shape backup_shape = SHAPE("backup", backup_spec, backup_fields);

static const char *const notify_words[] = {"start", "gate", "failure", "finish", NULL};

static const struct field notify_fields[] = {
    {.key = "webhook",
     .type = SHAPE_STRING,
     AT(notify_spec, webhook),
     .required = true,
     .pattern = "https?://.+",
     .pattern_help = "an http:// or https:// address",
     .help = "The address that gets a POST."},
    {.key = "events",
     .type = SHAPE_STRINGS,
     AT(notify_spec, events),
     .scalar_ok = true,
     .words = notify_words,
     .max = 16,
     .help = "What is told; default: all."},
};
static const struct shape notify_shape = SHAPE("notify", notify_spec, notify_fields);

/* ---- the whole ---- */

static const char *const kind_words[] = {"Cluster", NULL};

static const struct field cluster_fields[] = {
    {.key = "lockstep",
     .type = SHAPE_INT,
     AT(cluster, lockstep),
     .required = true,
     .min = 1,
     .max = 1,
     .help = "The version of this format."},
    {.key = "kind", .type = SHAPE_STRING, AT(cluster, kind), .required = true, .words = kind_words},
    {.key = "name", .type = SHAPE_NAME, AT(cluster, name), .required = true},
    {.key = "application",
     .type = SHAPE_STRING,
     AT(cluster, application),
     .required = true,
     .help = "An application of the catalog, or the path of a file."},
    {.key = "version",
     .type = SHAPE_VERSION,
     AT(cluster, version),
     .required = true,
     .help = "The wanted version, in quotes: the one line that a commit changes."},
    {.key = "components",
     .type = SHAPE_MAP,
     AT(cluster, components),
     .max = LIMIT_COMPONENTS,
     .help =
         "The wanted version of a component, in quotes; default: the one that the release names."},
    {.key = "nodes",
     .type = SHAPE_LIST,
     AT(cluster, nodes),
     .required = true,
     .shape = &node_shape,
     .min = 1,
     .max = LIMIT_CLUSTER_NODES},
    {.key = "databases",
     .type = SHAPE_DICT,
     AT(cluster, databases),
     .shape = &database_shape,
     .max = LIMIT_CLUSTER_DATABASES,
     .help = "Where the application's databases are, by their names in the Application."},
    {.key = "strategy",
     .type = SHAPE_OBJECT,
     AT(cluster, strategy),
     .scalar_ok = true,
     .shape = &strategy_shape},
    {.key = "backup", .type = SHAPE_OBJECT, AT(cluster, backup), .shape = &backup_shape},
    {.key = "notify",
     .type = SHAPE_LIST,
     AT(cluster, notify),
     .scalar_ok = true,
     .shape = &notify_shape,
     .max = 64,
     .help = "Who is told."},
    {.key = "check",
     .type = SHAPE_LIST,
     AT(cluster, check),
     .scalar_ok = true,
     .shape = &check_shape,
     .max = 64,
     .help = "The site as its users see it: checked at the end."},
};
const struct shape cluster_shape =
    SHAPE("Cluster", cluster, cluster_fields, .help = "What the site knows.");
