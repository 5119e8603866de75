/*
 * Owns the tables of the database actions: how each is written in a plan and in an instruction, and `sql` under `do:`. It
 * refuses nothing itself.
 */
#include "lib/spec/action_database.h"

#include "lib/spec/table.h"

static const struct field database_ref_fields[] = {
    {.key = "name", .type = SHAPE_NAME, .offset = offsetof(struct database_ref, name)},
    {.key = "url", .type = SHAPE_STRING, .offset = offsetof(struct database_ref, url)},
    {.key = "password",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct database_ref, password),
     .shape = &secret_shape},
    {.key = "url_from",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct database_ref, url_secret),
     .shape = &secret_shape},
    {.key = "ledger_name",
     .type = SHAPE_STRING,
     .offset = offsetof(struct database_ref, ledger),
     .pattern = TABLE_PATTERN,
     .pattern_help = TABLE_HELP},
};
static const struct shape database_ref_shape = SHAPE("database", database_ref, database_ref_fields);

static const struct field ledger_fields[] = {
    {.key = "table",
     .type = SHAPE_STRING,
     .offset = offsetof(struct ledger, table),
     .required = true,
     .pattern = TABLE_PATTERN,
     .pattern_help = TABLE_HELP,
     .help = "The table of applied migrations."},
    {.key = "column",
     .type = SHAPE_STRING,
     .offset = offsetof(struct ledger, column),
     .required = true,
     .pattern = "[A-Za-z_][A-Za-z0-9_$]*",
     .pattern_help = "a column's name",
     .help = "The column with the id of an applied migration."},
};
const struct shape ledger_shape =
    SHAPE("ledger", ledger, ledger_fields, .help = "Where a tool records what it has applied.");

#define DATABASE_FIELD(struct_)                                                                    \
    {                                                                                              \
        .key = "database", .type = SHAPE_EMBED, .offset = offsetof(struct struct_, database),      \
        .shape = &database_ref_shape                                                               \
    }
#define FORMAT_FIELD(struct_)                                                                      \
    {                                                                                              \
        .key = "format", .type = SHAPE_ENUM, .offset = offsetof(struct struct_, format),           \
        .words = migration_format_words                                                            \
    }
#define LEDGER_FIELD(struct_)                                                                      \
    {                                                                                              \
        .key = "ledger", .type = SHAPE_OBJECT, .offset = offsetof(struct struct_, ledger),         \
        .shape = &ledger_shape                                                                     \
    }
#define WAIT_FIELD(struct_)                                                                        \
    {                                                                                              \
        .key = "wait", .type = SHAPE_DURATION, .offset = offsetof(struct struct_, wait_ms)         \
    }

static const struct field migration_item_fields[] = {
    {.key = "id",
     .type = SHAPE_STRING,
     .offset = offsetof(struct migration_item, id),
     .required = true},
    {.key = "version", .type = SHAPE_INT, .offset = offsetof(struct migration_item, version)},
    {.key = "file", .type = SHAPE_STRING, .offset = offsetof(struct migration_item, file)},
    {.key = "sha256",
     .type = SHAPE_STRING,
     .offset = offsetof(struct migration_item, sha256),
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP},
    {.key = "transactional",
     .type = SHAPE_BOOL,
     .offset = offsetof(struct migration_item, transactional)},
    {.key = "concurrent",
     .type = SHAPE_BOOL,
     .offset = offsetof(struct migration_item, concurrent)},
    {.key = "previous",
     .type = SHAPE_INT,
     .offset = offsetof(struct migration_item, previous),
     .min = -1,
     .fallback = -1},
    {.key = "lossy", .type = SHAPE_STRING, .offset = offsetof(struct migration_item, lossy)},
};
static const struct shape migration_item_shape =
    SHAPE("migration", migration_item, migration_item_fields);

#define ITEMS_FIELD(struct_, member_)                                                              \
    {                                                                                              \
        .key = #member_, .type = SHAPE_LIST, .offset = offsetof(struct struct_, member_),          \
        .shape = &migration_item_shape, .max = LIMIT_MIGRATIONS                                    \
    }

static const struct field db_lock_fields[] = {
    DATABASE_FIELD(db_lock_action),
    FORMAT_FIELD(db_lock_action),
    WAIT_FIELD(db_lock_action),
};
const struct shape db_lock_shape = SHAPE("db_lock", db_lock_action, db_lock_fields);

static const struct field db_unlock_fields[] = {
    DATABASE_FIELD(db_unlock_action),
    FORMAT_FIELD(db_unlock_action),
};
const struct shape db_unlock_shape = SHAPE("db_unlock", db_unlock_action, db_unlock_fields);

static const struct field db_migrate_fields[] = {
    DATABASE_FIELD(db_migrate_action),
    FORMAT_FIELD(db_migrate_action),
    {.key = "down", .type = SHAPE_BOOL, .offset = offsetof(struct db_migrate_action, down)},
    ITEMS_FIELD(db_migrate_action, items),
};
const struct shape db_migrate_shape = SHAPE("db_migrate", db_migrate_action, db_migrate_fields);

static const struct field db_ledger_fields[] = {
    DATABASE_FIELD(db_ledger_action),
    FORMAT_FIELD(db_ledger_action),
    LEDGER_FIELD(db_ledger_action),
    {.key = "expect_ids",
     .type = SHAPE_STRINGS,
     .offset = offsetof(struct db_ledger_action, expect_ids)},
    {.key = "expect_count",
     .type = SHAPE_INT,
     .offset = offsetof(struct db_ledger_action, expect_count),
     .min = -1,
     .fallback = -1},
    {.key = "or_done", .type = SHAPE_BOOL, .offset = offsetof(struct db_ledger_action, or_done)},
    {.key = "done_count",
     .type = SHAPE_INT,
     .offset = offsetof(struct db_ledger_action, done_count)},
    {.key = "done_id", .type = SHAPE_STRING, .offset = offsetof(struct db_ledger_action, done_id)},
};
const struct shape db_ledger_shape = SHAPE("db_ledger", db_ledger_action, db_ledger_fields);

static const struct field db_tool_lock_fields[] = {
    DATABASE_FIELD(db_tool_lock_action),
    {.key = "advisory",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_tool_lock_action, advisory)},
    WAIT_FIELD(db_tool_lock_action),
};
const struct shape db_tool_lock_shape =
    SHAPE("db_tool_lock", db_tool_lock_action, db_tool_lock_fields);

static const struct field db_checkpoint_fields[] = {
    DATABASE_FIELD(db_checkpoint_action),
    FORMAT_FIELD(db_checkpoint_action),
    LEDGER_FIELD(db_checkpoint_action),
    {.key = "release",
     .type = SHAPE_VERSION,
     .offset = offsetof(struct db_checkpoint_action, release)},
    {.key = "schema", .type = SHAPE_INT, .offset = offsetof(struct db_checkpoint_action, schema)},
};
const struct shape db_checkpoint_shape =
    SHAPE("db_checkpoint", db_checkpoint_action, db_checkpoint_fields);

static const struct field db_backup_fields[] = {
    DATABASE_FIELD(db_backup_action),
    {.key = "directory",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_backup_action, directory)},
    {.key = "command",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct db_backup_action, command),
     .scalar_ok = true,
     .shape = &command_shape},
    {.key = "file", .type = SHAPE_STRING, .offset = offsetof(struct db_backup_action, file)},
    {.key = "max_age",
     .type = SHAPE_DURATION,
     .offset = offsetof(struct db_backup_action, max_age_ms)},
    {.key = "verify",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct db_backup_action, verify),
     .scalar_ok = true,
     .shape = &command_shape},
};
const struct shape db_backup_shape = SHAPE("db_backup", db_backup_action, db_backup_fields);

static const struct field db_restore_fields[] = {
    DATABASE_FIELD(db_restore_action),
    FORMAT_FIELD(db_restore_action),
    {.key = "look", .type = SHAPE_BOOL, .offset = offsetof(struct db_restore_action, look)},
    {.key = "path", .type = SHAPE_STRING, .offset = offsetof(struct db_restore_action, path)},
    {.key = "directory",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_restore_action, directory)},
    {.key = "backup_run",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_restore_action, backup_run)},
    {.key = "backup_step",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_restore_action, backup_step)},
    {.key = "sha256",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_restore_action, sha256),
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP},
    {.key = "fingerprint",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_restore_action, fingerprint),
     .pattern = SHA256_PATTERN,
     .pattern_help = SHA256_HELP},
};
const struct shape db_restore_shape = SHAPE("db_restore", db_restore_action, db_restore_fields);

static const char *const drift_policy_words[] = {"refuse", "warn", NULL};

static const struct field db_drift_fields[] = {
    DATABASE_FIELD(db_drift_action),
    FORMAT_FIELD(db_drift_action),
    LEDGER_FIELD(db_drift_action),
    {.key = "release", .type = SHAPE_VERSION, .offset = offsetof(struct db_drift_action, release)},
    {.key = "schema", .type = SHAPE_INT, .offset = offsetof(struct db_drift_action, schema)},
    {.key = "policy",
     .type = SHAPE_ENUM,
     .offset = offsetof(struct db_drift_action, policy),
     .words = drift_policy_words},
};
const struct shape db_drift_shape = SHAPE("db_drift", db_drift_action, db_drift_fields);

const char *const writers_policy_words[] = {"wait", "refuse", "terminate", NULL};

static const struct field db_writers_fields[] = {
    DATABASE_FIELD(db_writers_action),
    {.key = "policy",
     .type = SHAPE_ENUM,
     .offset = offsetof(struct db_writers_action, policy),
     .words = writers_policy_words},
    WAIT_FIELD(db_writers_action),
    {.key = "only", .type = SHAPE_STRINGS, .offset = offsetof(struct db_writers_action, only)},
    {.key = "except", .type = SHAPE_STRINGS, .offset = offsetof(struct db_writers_action, except)},
};
const struct shape db_writers_shape = SHAPE("db_writers", db_writers_action, db_writers_fields);

static const struct field db_check_fields[] = {
    DATABASE_FIELD(db_check_action),
    {.key = "sql",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_check_action, sql),
     .required = true},
    {.key = "expect",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_check_action, expect),
     .required = true},
    {.key = "message", .type = SHAPE_STRING, .offset = offsetof(struct db_check_action, message)},
};
const struct shape db_check_shape = SHAPE("db_check", db_check_action, db_check_fields);

#define STATEMENT_FIELD                                                                            \
    {                                                                                              \
        .key = "statement", .type = SHAPE_STRING,                                                  \
        .offset = offsetof(struct db_sql_action, statement), .required = true,                     \
        .help = "One SQL statement."                                                               \
    }
static const struct field db_sql_fields[] = {DATABASE_FIELD(db_sql_action), STATEMENT_FIELD};
const struct shape db_sql_shape = SHAPE("sql instruction", db_sql_action, db_sql_fields);

static const struct field do_sql_fields[] = {STATEMENT_FIELD};
const struct shape do_sql_shape =
    SHAPE("sql", db_sql_action, do_sql_fields, .scalar = "statement",
          .help = "Run one SQL statement on the step's database; in short the statement.");

#define FOLLOW_FIELDS(run_shape_)                                                                  \
    {.key = "run",                                                                                 \
     .type = SHAPE_OBJECT,                                                                         \
     .offset = offsetof(struct follow_action, run),                                                \
     .scalar_ok = true,                                                                            \
     .shape = &(run_shape_),                                                                       \
     .help =                                                                                       \
         "The command that does the work; started again when it dies. Default: something else "    \
         "does it."},                                                                              \
        {.key = "sql",                                                                             \
         .type = SHAPE_STRING,                                                                     \
         .offset = offsetof(struct follow_action, sql),                                            \
         .required = true,                                                                         \
         .help = "One SELECT; its first cell says how far the work is, from 0 to 1."},             \
        {.key = "to",                                                                              \
         .type = SHAPE_INT,                                                                        \
         .offset = offsetof(struct follow_action, to),                                             \
         .max = 1,                                                                                 \
         .fallback = 1,                                                                            \
         .help = "1, or 0 for work in reverse."},                                                  \
        {.key = "every",                                                                           \
         .type = SHAPE_DURATION,                                                                   \
         .offset = offsetof(struct follow_action, every_ms),                                       \
         .min = 1,                                                                                 \
         .fallback = 5 * SECONDS,                                                                  \
         .help = "How often it is asked; default 5s."},                                            \
        {.key = "stall",                                                                           \
         .type = SHAPE_DURATION,                                                                   \
         .offset = offsetof(struct follow_action, stall_ms),                                       \
         .min = 1,                                                                                 \
         .fallback = 10 * MINUTES,                                                                 \
         .help = "Without a step nearer for that long it has failed; default 10m."},               \
    {                                                                                              \
        .key = "within", .type = SHAPE_DURATION,                                                   \
        .offset = offsetof(struct follow_action, within_ms), .min = 1,                             \
        .fallback = 24 * 60 * MINUTES, .help = "How long all of it may take; default 24h."         \
    }

static const struct field follow_fields[] = {DATABASE_FIELD(follow_action),
                                             FOLLOW_FIELDS(run_shape)};
const struct shape follow_shape = SHAPE("follow instruction", follow_action, follow_fields);

static const struct field do_follow_fields[] = {
    {.key = "database",
     .type = SHAPE_NAME,
     .offset = offsetof(struct follow_action, database.name),
     .help = "With scope once: where it is asked."},
    FOLLOW_FIELDS(do_run_shape),
};
const struct shape do_follow_shape =
    SHAPE("follow", follow_action, do_follow_fields,
          .help = "Start a command and follow its progress in the database to its end.");

static const struct field db_rehearse_fields[] = {
    DATABASE_FIELD(db_rehearse_action),
    {.key = "clone",
     .type = SHAPE_OBJECT,
     .offset = offsetof(struct db_rehearse_action, clone),
     .shape = &database_ref_shape},
    FORMAT_FIELD(db_rehearse_action),
    {.key = "down", .type = SHAPE_BOOL, .offset = offsetof(struct db_rehearse_action, down)},
    ITEMS_FIELD(db_rehearse_action, there),
    ITEMS_FIELD(db_rehearse_action, back),
    {.key = "no_way_back",
     .type = SHAPE_STRING,
     .offset = offsetof(struct db_rehearse_action, no_way_back)},
    {.key = "rows_up_to",
     .type = SHAPE_INT,
     .offset = offsetof(struct db_rehearse_action, rows_bytes_max)},
};
const struct shape db_rehearse_shape = SHAPE("db_rehearse", db_rehearse_action, db_rehearse_fields);

static const struct field db_observe_fields[] = {
    DATABASE_FIELD(db_observe_action),
    FORMAT_FIELD(db_observe_action),
    LEDGER_FIELD(db_observe_action),
};
const struct shape db_observe_shape = SHAPE("db_observe", db_observe_action, db_observe_fields);
