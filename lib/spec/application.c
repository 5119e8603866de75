/* Owns the table of the Application: its keys, bounds and words. What needs two values to be judged
 * is in check.c. */
#include "lib/spec/spec.h"
#include "lib/spec/table.h"

#define LIMIT_DRAIN_STEPS     16
#define LIMIT_COMPONENT_STEPS 8

#define NODE_HELP "A node's name or \"controller\"; default: the first node."

static const struct field observe_fields[] = {
    ARGV_FIELD(observe_spec, command.),
    ENV_FIELD(observe_spec, command.),
    USER_FIELD(observe_spec, command.),
    TIMEOUT_FIELD(observe_spec, command., 30 * SECONDS),
    {.key = "matches",
     .type = SHAPE_STRING,
     AT(observe_spec, matches),
     .required = true,
     .help = "A POSIX extended regular expression on its output; the first group is the version."},
};
static const struct shape observe_shape = SHAPE("observe", observe_spec, observe_fields,
                                                .help = "Finds out what an existing install runs.");

/* ---- paths ---- */

#define HOP_FIELDS(struct_, required_)                                                             \
    {.key = "hop_from",                                                                            \
     .type = SHAPE_VERSION,                                                                        \
     AT(struct_, hop_from),                                                                        \
     .required = (required_),                                                                      \
     .help = "A range that the hop's first version is in."},                                       \
    {                                                                                              \
        .key = "hop_to", .type = SHAPE_VERSION, AT(struct_, hop_to), .required = (required_),      \
        .help = "A range that the hop's second version is in."                                     \
    }

static const struct field at_most_fields[] = {
    {.key = "majors",
     .type = SHAPE_INT,
     AT(path_rule, majors_at_most),
     .min = 1,
     .max = 1000,
     .help = "How many majors one hop may go."},
    {.key = "minors",
     .type = SHAPE_INT,
     AT(path_rule, minors_at_most),
     .min = 1,
     .max = 1000,
     .help = "How many minors one hop may go."},
};
static const struct shape at_most_shape =
    SHAPE("at_most", path_rule, at_most_fields, .one_of = true);

static const char *const visit_words[] = {"", "each-major", "each-minor", NULL};

static const struct field path_rule_fields[] = {
    HOP_FIELDS(path_rule, false),
    {.key = "visit",
     .type = SHAPE_ENUM,
     AT(path_rule, visit),
     .words = visit_words,
     .help = "No hop leaves out a major, or a minor, that lies between its ends."},
    {.key = "at_most",
     .type = SHAPE_EMBED,
     .offset = 0, /* its fields are the rule's own, the first ones */
     .shape = &at_most_shape,
     .help = "The longest hop; longer ways become several hops."},
    {.key = "lines",
     .type = SHAPE_VERSIONS,
     AT(path_rule, lines),
     .max = LIMIT_RELEASES,
     .help = "The majors, or minors, that count for visit and at_most; default: every number."},
    {.key = "via",
     .type = SHAPE_VERSION,
     AT(path_rule, via),
     .help = "A range that such a hop must end in: from there the way goes on."},
    {.key = "skip",
     .type = SHAPE_VERSION,
     AT(path_rule, skip),
     .help = "A range of releases that are no stop on a way; it may end there."},
};
static const struct shape path_rule_shape =
    SHAPE("path rule", path_rule, path_rule_fields, .help = "A rule for hops in one direction.");

static const char *const switch_as_words[] = {"", "up", "down", NULL};

static const struct field path_switch_fields[] = {
    HOP_FIELDS(path_switch, true),
    {.key = "as",
     .type = SHAPE_ENUM,
     AT(path_switch, as),
     .words = switch_as_words,
     .required = true,
     .help = "Which direction it counts as: whose migrations run, which extra steps hold."},
};
static const struct shape path_switch_shape =
    SHAPE("switch", path_switch, path_switch_fields,
          .help = "A hop between releases of two tracks, which have no order.");

static const char *const between_words[] = {"start", "migrate-only", NULL};

static const struct field paths_fields[] = {
    {.key = "up",
     .type = SHAPE_LIST,
     AT(paths_spec, up),
     .scalar_ok = true,
     .shape = &path_rule_shape,
     .max = 64,
     .help = "What hops up must keep; every rule that speaks of a hop holds."},
    {.key = "down",
     .type = SHAPE_LIST,
     AT(paths_spec, down),
     .scalar_ok = true,
     .shape = &path_rule_shape,
     .max = 64,
     .help = "What hops down must keep."},
    {.key = "switch",
     .type = SHAPE_LIST,
     AT(paths_spec, switches),
     .scalar_ok = true,
     .shape = &path_switch_shape,
     .max = 64,
     .help = "Changes from one track to another; without one there is no way between them."},
    {.key = "between",
     .type = SHAPE_ENUM,
     AT(paths_spec, between),
     .words = between_words,
     .help = "Whether a release on the way is started or only migrated through."},
    {.key = "required",
     .type = SHAPE_VERSIONS,
     AT(paths_spec, required),
     .max = LIMIT_RELEASES,
     .help = "Releases that a way across them must visit."},
    {.key = "forbidden",
     .type = SHAPE_VERSIONS,
     AT(paths_spec, forbidden),
     .max = LIMIT_RELEASES,
     .help = "Releases, or ranges of them, that no way may visit."},
};
static const struct shape paths_shape = SHAPE(
    "paths", paths_spec, paths_fields, .help = "Which ways from release to release are allowed.");

/* ---- releases ---- */

#define URL_PATTERN "(https://|http://|file:///).+"
#define URL_HELP    "an https:, http: or file:///absolute/path address"
static const struct field artifact_fields[] = {
    {.key = "os",
     .type = SHAPE_NAME,
     AT(artifact_spec, os),
     .help = "The operating system that it is for, such as linux; default: any."},
    {.key = "arch",
     .type = SHAPE_NAME,
     AT(artifact_spec, arch),
     .help = "The machine that it is for, such as amd64 or arm64; default: any."},
    {.key = "url",
     .type = SHAPE_STRING,
     AT(artifact_spec, url),
     .required = true,
     .pattern = URL_PATTERN,
     .pattern_help = URL_HELP,
     .help = "Where the archive (tar.gz, tar.zst or zip) is fetched from."},
    {.key = "sha256",
     .type = SHAPE_STRING,
     AT(artifact_spec, sha256),
     .required = true,
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP,
     .help = "The SHA-256 of the archive."},
};
static const struct shape artifact_shape =
    SHAPE("artifact", artifact_spec, artifact_fields, .help = "An archive with a release.");

static const struct field notes_fields[] = {
    {.key = "text",
     .type = SHAPE_STRING,
     AT(notes_spec, text),
     .required = true,
     .help = "What an operator should know."},
    {.key = "ack",
     .type = SHAPE_BOOL,
     AT(notes_spec, ack),
     .help = "Ask for an acknowledgement before it is applied."},
};
static const struct shape notes_shape = SHAPE("notes", notes_spec, notes_fields);

static const struct field scripts_fields[] = {
    {.key = "database",
     .type = SHAPE_NAME,
     AT(scripts_spec, database),
     .help = "Whose migrations they are; default: of every database."},
    {.key = "url",
     .type = SHAPE_STRING,
     AT(scripts_spec, url),
     .required = true,
     .pattern = URL_PATTERN,
     .pattern_help = URL_HELP,
     .help = "An archive (dir: is inside of it then), or a plan that Mattermost saved."},
    {.key = "sha256",
     .type = SHAPE_STRING,
     AT(scripts_spec, sha256),
     .required = true,
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP,
     .help = "Its SHA-256."},
};
static const struct shape scripts_shape =
    SHAPE("scripts", scripts_spec, scripts_fields,
          .help = "Migration files of a release that are not in its artifact.");

static const char *const direction_words[] = {"any", "up", "down", NULL};

static const struct field when_fields[] = {
    {.key = "direction",
     .type = SHAPE_ENUM,
     AT(when_spec, direction),
     .words = direction_words,
     .help = "Only on hops up, or down."},
    {.key = "hop_from",
     .type = SHAPE_VERSION,
     AT(when_spec, hop_from),
     .help = "A range that the hop's first version is in."},
    {.key = "hop_to",
     .type = SHAPE_VERSION,
     AT(when_spec, hop_to),
     .help = "A range that the hop's second version is in."},
    {.key = "role",
     .type = SHAPE_NAME,
     AT(when_spec, role),
     .help = "Only on nodes with this role."},
};
static const struct shape when_shape =
    SHAPE("when", when_spec, when_fields, .help = "When the step is part of a hop; all must hold.");

static const struct field data_check_fields[] = {
    {.key = "database",
     .type = SHAPE_NAME,
     AT(data_check_spec, database),
     .required = true,
     .help = "Where it is asked."},
    {.key = "sql",
     .type = SHAPE_STRING,
     AT(data_check_spec, sql),
     .required = true,
     .help = "One SELECT; it can change nothing."},
    {.key = "expect",
     .type = SHAPE_STRING,
     AT(data_check_spec, expect),
     .required = true,
     .help = "What its first cell must be, as the server prints it; \"none\": no row."},
    {.key = "says",
     .type = SHAPE_STRING,
     AT(data_check_spec, says),
     .help = "What it means when it is not so, for the operator."},
    {.key = "when",
     .type = SHAPE_OBJECT,
     AT(data_check_spec, when),
     .shape = &when_shape,
     .help = "Only on such hops to the release; default: all."},
};
static const struct shape data_check_shape =
    SHAPE("data check", data_check_spec, data_check_fields,
          .help = "Whether the release can live with the data, asked before anything stops.");

static const struct field release_fields[] = {
    {.key = "version",
     .type = SHAPE_VERSION,
     AT(release_spec, version),
     .required = true,
     .help = "The version, in quotes."},
    {.key = "artifact",
     .type = SHAPE_LIST,
     AT(release_spec, artifact),
     .scalar_ok = true,
     .shape = &artifact_shape,
     .max = 64,
     .help = "The archive, or one for each os and arch."},
    {.key = "schema",
     .type = SHAPE_MAP,
     AT(release_spec, schema),
     .max = LIMIT_CLUSTER_DATABASES,
     .help = "For each database the schema that the release brings, a whole number."},
    {.key = "runs_with",
     .type = SHAPE_MAP,
     AT(release_spec, runs_with),
     .max = LIMIT_CLUSTER_DATABASES,
     .help = "For each database the schemas that the release can run with, such as \"126..128\"."},
    {.key = "expand",
     .type = SHAPE_MAP,
     AT(release_spec, expand),
     .max = LIMIT_CLUSTER_DATABASES,
     .help =
         "For each database the migration up to which all runs before the first wave of a rolling "
         "hop, the rest after the last one."},
    {.key = "components",
     .type = SHAPE_MAP,
     AT(release_spec, components),
     .max = LIMIT_COMPONENTS,
     .help = "The version of each component that comes with the release, in quotes."},
    {.key = "notes",
     .type = SHAPE_OBJECT,
     AT(release_spec, notes),
     .shape = &notes_shape,
     .help = "What an operator should know before."},
    {.key = "scripts",
     .type = SHAPE_LIST,
     AT(release_spec, scripts),
     .scalar_ok = true,
     .shape = &scripts_shape,
     .max = 16,
     .help = "Where its migration files are, when they are not in the artifact."},
    {.key = "checks",
     .type = SHAPE_LIST,
     AT(release_spec, checks),
     .scalar_ok = true,
     .shape = &data_check_shape,
     .max = 256,
     .help = "What must be true of the data before a way leads to it."},
};
static const struct shape release_shape = SHAPE("release", release_spec, release_fields);

/* ---- layout, databases ---- */

static const struct field layout_fields[] = {
    {.key = "path",
     .type = SHAPE_STRING,
     AT(layout_spec, path),
     .required = true,
     .help = "The directory of the installed release, an absolute path."},
    {.key = "keep",
     .type = SHAPE_STRINGS,
     AT(layout_spec, keep),
     .max = 1024,
     .help = "Paths inside it that are carried over from release to release."},
    {.key = "owner",
     .type = SHAPE_STRING,
     AT(layout_spec, owner),
     .pattern = "[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?",
     .pattern_help = "user or user:group",
     .help = "Who owns the installed tree, user or user:group."},
    {.key = "allow_special",
     .type = SHAPE_BOOL,
     AT(layout_spec, allow_special),
     .help = "Accept device nodes, fifos, setuid and setgid files in an archive."},
    {.key = "keep_releases",
     .type = SHAPE_INT,
     AT(layout_spec, keep_releases),
     .min = 1,
     .max = 100,
     .fallback = 2,
     .help = "How many staged releases stay on the disk after a run."},
};
static const struct shape layout_shape =
    SHAPE("layout", layout_spec, layout_fields, .help = "Where a release lives on a node.");

static const char *const external_from_words[] = {"newer", NULL};

#define ADVISORY_PATTERN "-?[0-9]{1,19}(,-?[0-9]{1,10})?"
#define ADVISORY_HELP    "an advisory lock's key: a number, or two with a comma"
#define MIGRATOR_FIELDS                                                                            \
    {.key = "version",                                                                             \
     .type = SHAPE_VERSION,                                                                        \
     AT(external_spec, version),                                                                   \
     .help = "Of a migrator with an artifact of its own, in quotes."},                             \
    {                                                                                              \
        .key = "artifact", .type = SHAPE_LIST, AT(external_spec, artifact), .scalar_ok = true,     \
        .shape = &artifact_shape, .max = 64,                                                       \
        .help = "Its own archive, or one for each os and arch: staged beside the releases, and "   \
                "run there. Instead of from."                                                      \
    }
static const struct field external_fields[] = {
    {.key = "from",
     .type = SHAPE_ENUM,
     AT(external_spec, from),
     .words = external_from_words,
     .help = "Whose migrator runs: the newer release's, up and down."},
    MIGRATOR_FIELDS,
    {.key = "up",
     .type = SHAPE_EMBED,
     AT(external_spec, up),
     .required = true,
     .scalar_ok = true,
     .shape = &command_shape,
     .help = "The command that migrates up, in the newer release's tree."},
    {.key = "down",
     .type = SHAPE_EMBED,
     AT(external_spec, down),
     .required = true,
     .scalar_ok = true,
     .shape = &command_shape,
     .help = "The command that migrates down, in the newer release's tree."},
    {.key = "ledger",
     .type = SHAPE_OBJECT,
     AT(external_spec, ledger),
     .required = true,
     .shape = &ledger_shape,
     .help = "Where the tool records what it has applied: read before and after, as the proof."},
    {.key = "lock_advisory",
     .type = SHAPE_STRINGS,
     AT(external_spec, lock_advisory),
     .scalar_ok = true,
     .max = 16,
     .pattern = ADVISORY_PATTERN,
     .pattern_help = ADVISORY_HELP,
     .help = "The tool's own advisory lock keys, proved free before it starts."},
    {.key = "on", .type = SHAPE_NAME, AT(external_spec, on), .help = NODE_HELP},
    {.key = "partial_ok",
     .type = SHAPE_BOOL,
     AT(external_spec, partial_ok),
     .help = "The tool goes on from a partial ledger by itself: then nobody is asked."},
};
static const struct shape external_shape =
    SHAPE("external migrator", external_spec, external_fields,
          .help = "A migrator of the application's own, started once.");

static const struct field delegate_fields[] = {
    {.key = "from",
     .type = SHAPE_ENUM,
     AT(external_spec, from),
     .words = external_from_words,
     .help = "Whose migrator runs: the newer release's, up and down."},
    MIGRATOR_FIELDS,
    {.key = "up",
     .type = SHAPE_EMBED,
     AT(external_spec, up),
     .required = true,
     .scalar_ok = true,
     .shape = &command_shape,
     .help = "The command that applies one migration: ${migration.version} is its number."},
    {.key = "down",
     .type = SHAPE_EMBED,
     AT(external_spec, down),
     .scalar_ok = true,
     .shape = &command_shape,
     .help =
         "The command that takes one back: ${migration.previous} is the number before it, 0 before "
         "the first."},
    {.key = "lock_advisory",
     .type = SHAPE_STRINGS,
     AT(external_spec, lock_advisory),
     .scalar_ok = true,
     .max = 16,
     .pattern = ADVISORY_PATTERN,
     .pattern_help = ADVISORY_HELP,
     .help = "The tool's own advisory lock keys, proved free before it starts."},
    {.key = "on", .type = SHAPE_NAME, AT(external_spec, on), .help = NODE_HELP},
};
static const struct shape delegate_shape =
    SHAPE("delegate", external_spec, delegate_fields,
          .help = "The application's own migrator, for migrations that are no SQL (goose's .go): "
                  "started once for each, at its place in the order.");

static const struct field migrations_fields[] = {
    {.key = "format",
     .type = SHAPE_ENUM,
     AT(migrations_spec, format),
     .words = migration_format_words,
     .help = "The format of the migration files; external with external:."},
    {.key = "dir",
     .type = SHAPE_STRING,
     AT(migrations_spec, dir),
     .help = "The folder of the migration files inside the artifact."},
    {.key = "ledger",
     .type = SHAPE_STRING,
     AT(migrations_spec, ledger),
     .pattern = TABLE_PATTERN,
     .pattern_help = TABLE_HELP,
     .help = "The ledger's name, where it is not the tool's own default; for sourcegraph what its "
             "column schema says."},
    {.key = "external",
     .type = SHAPE_OBJECT,
     AT(migrations_spec, external),
     .shape = &external_shape},
    {.key = "delegate",
     .type = SHAPE_OBJECT,
     AT(migrations_spec, delegate),
     .shape = &delegate_shape},
};
static const struct shape migrations_shape =
    SHAPE("migrations", migrations_spec, migrations_fields, .help = "How a database moves.");

static const struct field app_database_fields[] = {
    {.key = "migrations",
     .type = SHAPE_OBJECT,
     AT(app_database_spec, migrations),
     .shape = &migrations_shape},
};
static const struct shape app_database_shape =
    SHAPE("application database", app_database_spec, app_database_fields);

/* ---- extra steps ---- */

static const char *const scope_words[] = {"node", "once", "database", NULL};
static const char *const point_words[] = {
    "",        "preflight",       "staged",  "drained",   "stopped",  "backed-up", "migrated",
    "swapped", "start-requested", "healthy", "undrained", "finished", NULL};
static_assert(ARRAY_SIZE(point_words) == POINT_FINISHED + 2, "one word for each point, and NULL");

static const struct field extra_step_fields[] = {
    {.key = "name", .type = SHAPE_NAME, AT(extra_step, name), .required = true},
    {.key = "when", .type = SHAPE_OBJECT, AT(extra_step, when), .shape = &when_shape},
    {.key = "scope",
     .type = SHAPE_ENUM,
     AT(extra_step, scope),
     .required = true,
     .words = scope_words,
     .help = "On each node, once in all, or for a database."},
    {.key = "after",
     .type = SHAPE_ENUM,
     AT(extra_step, after),
     .words = point_words,
     .help = "The point of a hop after which it stands."},
    {.key = "before",
     .type = SHAPE_ENUM,
     AT(extra_step, before),
     .words = point_words,
     .help = "The point of a hop before which it stands."},
    {.key = "database",
     .type = SHAPE_NAME,
     AT(extra_step, database),
     .help = "With scope database: which; default: every one."},
    {.key = "on", .type = SHAPE_NAME, AT(extra_step, on), .help = "With scope once. " NODE_HELP},
    {.key = "timeout",
     .type = SHAPE_DURATION,
     AT(extra_step, timeout_ms),
     .min = 1,
     .fallback = 30 * MINUTES,
     .help = "How long the whole list may take."},
    {.key = "do",
     .type = SHAPE_LIST,
     AT(extra_step, actions),
     .required = true,
     .shape = &action_do_shape,
     .min = 1,
     .max = LIMIT_PHASE_STEPS,
     .help = "What is done, one after the other."},
    {.key = "irreversible",
     .type = SHAPE_STRING,
     AT(extra_step, irreversible),
     .help = "Why it cannot be undone: from here on the plan has no way back but a restore."},
    {.key = "undo",
     .type = SHAPE_LIST,
     AT(extra_step, undo),
     .shape = &action_do_shape,
     .max = LIMIT_PHASE_STEPS,
     .help = "What takes it back when a run that did it is rolled back."},
    {.key = "undo_looks",
     .type = SHAPE_BOOL,
     AT(extra_step, undo_looks),
     .help = "The undo looks by itself before it acts: it also runs where the step may not have."},
    {.key = "retries",
     .type = SHAPE_INT,
     AT(extra_step, retries),
     .max = LIMIT_ATTEMPTS - 1,
     .help = "How often each of its actions is tried again by itself after it failed."},
    {.key = "backoff",
     .type = SHAPE_DURATION,
     AT(extra_step, backoff_ms),
     .max = LIMIT_BACKOFF_MS,
     .help = "How long before the first of these retries; it doubles, up to 10m."},
};
static const struct shape extra_step_shape =
    SHAPE("extra step", extra_step, extra_step_fields, .help = "A step of the application's own.");

/* ---- components ---- */

static const char *const component_scheme_words[] = {"semver", "dotted", "", "dataminer", NULL};

static const struct field component_fit_fields[] = {
    {.key = "release",
     .type = SHAPE_VERSION,
     AT(component_fit, release),
     .required = true,
     .help = "A range of releases of the application."},
    {.key = "versions",
     .type = SHAPE_VERSION,
     AT(component_fit, versions),
     .required = true,
     .help = "The range of the component's versions that these releases run with."},
};
static const struct shape component_fit_shape =
    SHAPE("component range", component_fit, component_fit_fields);

static const struct field component_fields[] = {
    {.key = "name", .type = SHAPE_NAME, AT(component_spec, name), .required = true},
    {.key = "versions",
     .type = SHAPE_ENUM,
     AT(component_spec, versions),
     .words = component_scheme_words,
     .help = "How its versions are written and ordered."},
    {.key = "observe",
     .type = SHAPE_OBJECT,
     AT(component_spec, observe),
     .required = true,
     .shape = &observe_shape,
     .help = "What tells its version on a node; what fails or does not match: it is not there."},
    {.key = "runs_with",
     .type = SHAPE_LIST,
     AT(component_spec, runs_with),
     .scalar_ok = true,
     .shape = &component_fit_shape,
     .max = 256,
     .help = "Which releases run with which of its versions; the first that speaks of a release."},
    {.key = "rolling",
     .type = SHAPE_BOOL,
     AT(component_spec, rolling),
     .help = "Two versions of it may run side by side, so that it may move node by node."},
    {.key = "remove",
     .type = SHAPE_LIST,
     AT(component_spec, remove),
     .scalar_ok = true,
     .shape = &action_do_shape,
     .max = LIMIT_COMPONENT_STEPS,
     .help = "Takes off what is there, before install; run and wait."},
    {.key = "install",
     .type = SHAPE_LIST,
     AT(component_spec, install),
     .required = true,
     .scalar_ok = true,
     .shape = &action_do_shape,
     .min = 1,
     .max = LIMIT_COMPONENT_STEPS,
     .help = "Puts ${component.version} on the node, whose service is stopped; run and wait."},
    {.key = "timeout",
     .type = SHAPE_DURATION,
     AT(component_spec, timeout_ms),
     .min = 1,
     .fallback = 30 * MINUTES,
     .help = "How long each of the two lists may take."},
};
static const struct shape component_shape =
    SHAPE("component", component_spec, component_fields,
          .help = "A part with a version of its own beside the release, such as a module.");

/* ---- the whole ---- */

static const char *const kind_words[] = {"Application", NULL};
static const char *const mixed_words[] = {"allowed", "never", NULL};

static const struct field mixed_fields[] = {
    {.key = "policy",
     .type = SHAPE_ENUM,
     AT(mixed_spec, policy),
     .words = mixed_words,
     .help = "Whether two versions may run side by side; never: a rolling strategy is refused."},
    {.key = "because",
     .type = SHAPE_STRING,
     AT(mixed_spec, because),
     .help = "The vendor's reason, which a refused plan repeats."},
};
static const struct shape mixed_shape =
    SHAPE("mixed", mixed_spec, mixed_fields, .scalar = "policy",
          .help = "Whether two versions may run side by side; in short mixed: never.");

static const struct field application_fields[] = {
    {.key = "lockstep",
     .type = SHAPE_INT,
     AT(application, lockstep),
     .required = true,
     .min = 1,
     .max = 1,
     .help = "The version of this format."},
    {.key = "kind",
     .type = SHAPE_STRING,
     AT(application, kind),
     .required = true,
     .words = kind_words},
    {.key = "name", .type = SHAPE_NAME, AT(application, name), .required = true},
    {.key = "versions",
     .type = SHAPE_ENUM,
     AT(application, versions),
     .words = version_scheme_words,
     .help = "How versions are written and ordered; listed: in the order of the releases."},
    {.key = "mixed",
     .type = SHAPE_EMBED,
     AT(application, mixed),
     .scalar_ok = true,
     .shape = &mixed_shape},
    {.key = "observe", .type = SHAPE_OBJECT, AT(application, observe), .shape = &observe_shape},
    {.key = "paths", .type = SHAPE_OBJECT, AT(application, paths), .shape = &paths_shape},
    {.key = "releases",
     .type = SHAPE_LIST,
     AT(application, releases),
     .required = true,
     .shape = &release_shape,
     .min = 1,
     .max = LIMIT_RELEASES,
     .help = "The known releases."},
    {.key = "layout",
     .type = SHAPE_OBJECT,
     AT(application, layout),
     .required = true,
     .shape = &layout_shape},
    {.key = "service",
     .type = SHAPE_OBJECT,
     AT(application, service),
     .required = true,
     .shape = &service_shape},
    {.key = "ports",
     .type = SHAPE_STRINGS,
     AT(application, ports),
     .scalar_ok = true,
     .max = 64,
     .help = "Ports that must be free, or held by the service itself, before a start."},
    {.key = "health",
     .type = SHAPE_LIST,
     AT(application, health),
     .scalar_ok = true,
     .shape = &check_shape,
     .max = 64,
     .help = "What a healthy node answers."},
    {.key = "drain",
     .type = SHAPE_LIST,
     AT(application, drain),
     .scalar_ok = true,
     .shape = &action_do_shape,
     .max = LIMIT_DRAIN_STEPS,
     .help =
         "What is done on a node before its service is stopped, so that it has no users any more: "
         "run, wait and health."},
    {.key = "undrain",
     .type = SHAPE_LIST,
     AT(application, undrain),
     .scalar_ok = true,
     .shape = &action_do_shape,
     .max = LIMIT_DRAIN_STEPS,
     .help = "What is done when the node is healthy again, so that it gets users: run, wait and "
             "health."},
    {.key = "sessions", .type = SHAPE_OBJECT, AT(application, sessions), .shape = &sessions_shape},
    {.key = "databases",
     .type = SHAPE_DICT,
     AT(application, databases),
     .shape = &app_database_shape,
     .max = LIMIT_CLUSTER_DATABASES,
     .help = "The databases that the application uses, by name."},
    {.key = "components",
     .type = SHAPE_LIST,
     AT(application, components),
     .shape = &component_shape,
     .max = LIMIT_COMPONENTS,
     .help = "Parts with versions of their own beside the release."},
    {.key = "extra_steps",
     .type = SHAPE_LIST,
     AT(application, extra_steps),
     .shape = &extra_step_shape,
     .max = 256,
     .help = "Steps of the application's own at named points of a hop."},
};
const struct shape application_shape =
    SHAPE("Application", application, application_fields, .help = "What the vendor knows.");
