/* Owns `db lock|drift|backup|restore|export-plan`: their options and their help. The work is in db_*.c. */
#include "cli/db_run.h"
#include "cli/verbs.h"
#include "lib/base/util.h"

/* ---- lock ---- */

static const struct option_spec lock_options[] = {
    {"let-go", 0, NULL, "let go what an interrupted call of this state directory left"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
};

const struct verb verb_db_lock = {
    .name = "db lock",
    .usage = "--url URL [--format FORMAT] [--let-go]",
    .summary = "who holds a database's locks",
    .about =
        "Names who holds Lockstep's lock (run, host, process, since) and, with --format, the "
        "tool's\n"
        "own: its session, where that comes from, and its age. Nothing is changed.\n"
        "\n"
        "The lock of a call that was killed is let go as soon as nothing of it is at work on "
        "the server\n"
        "any more; the same command goes on where it stopped. Where a restore or a migrator of "
        "--delegate\n"
        "was killed the lock stays. --let-go ends what is left of such a call now.\n"
        "\n"
        "--json: {database, lock: {held, words}, tool_lock: {held, words} or null, fence}\n",
    .example = "  lockstep db lock --url postgres://mm@db1/chat --format morph\n",
    .options = lock_options,
    .option_count = ARRAY_SIZE(lock_options),
    .run = db_show_lock,
};

/* ---- backup ---- */

static const struct option_spec backup_options[] = {
    {"to", 0, "FILE", "the file; it must not be there yet"},
    DB_OPTIONS_WHERE,
};

const struct verb verb_db_backup = {
    .name = "db backup",
    .usage = "--url URL --to FILE",
    .summary = "write a backup that is proved to be whole",
    .about =
        "Writes the database into a file (pg_dump's archive, mariadb-dump's SQL, SQLite's own\n"
        "copy) without Lockstep's tables and without the rows of a tool's lock, reads it back, "
        "and\n"
        "only then gives it its name. A file that is there is never written over.\n"
        "\n"
        "--json: {database, path, bytes, sha256}\n",
    .example = "  lockstep db backup --url postgres://mm@db1/chat --to chat.backup\n",
    .options = backup_options,
    .option_count = ARRAY_SIZE(backup_options),
    .run = db_make_backup,
};

/* ---- restore ---- */

static const struct option_spec restore_options[] = {
    {"from", 0, "FILE", "a backup that `backup` wrote"},
    {"yes", 0, NULL, "what is in the database now may go"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
    DB_OPTIONS_LOCK,
};

const struct verb verb_db_restore = {
    .name = "db restore",
    .usage = "--url URL --format FORMAT --from FILE --yes",
    .summary = "make a database what a backup holds",
    .about =
        "Puts back what `backup` wrote: what is in the database now goes. The file is proved\n"
        "whole before anything is dropped. On PostgreSQL and SQLite it is one transaction: killed\n"
        "at any moment, the database is either the old one or the new one. On MariaDB it says\n"
        "when it is half-done, and the same command again does it from its beginning. Lockstep's\n"
        "own tables stay, its fence never goes back. Stop the application first.\n"
        "\n"
        "--json: {database, path, applied}\n",
    .example =
        "  lockstep db restore --url postgres://mm@db1/chat --format morph --from chat.backup "
        "--yes\n",
    .options = restore_options,
    .option_count = ARRAY_SIZE(restore_options),
    .run = db_run_restore,
};

/* ---- drift ---- */

static const struct option_spec drift_options[] = {
    {"against", 0, "WHAT", "a release's checkpoint, or a file that -o wrote (the last checkpoint)"},
    {"record", 0, NULL, "record the schema as it is now, under the name of --against"},
    {"output", 'o', "FILE", "write the schema as it is now into a file"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
    DB_OPTIONS_LOCK,
};

const struct verb verb_db_drift = {
    .name = "db drift",
    .usage = "--url URL --format FORMAT [--against WHAT] [--record]",
    .summary = "how the schema differs from the recorded one",
    .about =
        "Compares the schema (extensions, types, functions, sequences, tables with columns,\n"
        "constraints, indexes and triggers, views) with the one that the last checkpoint "
        "recorded,\n"
        "and prints a line for each difference. `up` and `down` record one at their end. Where\n"
        "none is recorded, it is recorded now. Ends with 6 when there is a difference.\n"
        "\n"
        "--json: {database, against, drift, differences, recorded, fingerprint}\n",
    .example = "  lockstep db drift --url postgres://mm@db1/chat --format morph\n",
    .options = drift_options,
    .option_count = ARRAY_SIZE(drift_options),
    .run = db_show_drift,
};

/* ---- export-plan ---- */

static const struct option_spec export_options[] = {
    {"from", 0, "VERSION", "the version that is there; 0: nothing"},
    {"to", 0, "VERSION", "the version that is wanted; 0: nothing"},
    {"mattermost", 0, NULL, "in the form of Mattermost's own saved plans"},
    {"output", 'o', "FILE", "the file"},
    {"format", 0, "FORMAT", "whose migrations: morph, golang-migrate, goose or sourcegraph"},
    DB_OPTIONS_FOLDER,
};

const struct verb verb_db_export_plan = {
    .name = "db export-plan",
    .usage = "--format FORMAT --dir DIR --from VERSION --to VERSION -o FILE",
    .summary = "write the SQL of a way into one file",
    .about =
        "Writes the way between two versions of a directory into one file, both directions of it,\n"
        "each text with its digest; no database is asked. --plan FILE takes it instead of --dir\n"
        "(in plan, up, down, rehearse, retry, mark-applied and mark-reverted), and refuses it "
        "when\n"
        "a text was changed. --mattermost writes the JSON\n"
        "that `mattermost db downgrade` reads.\n"
        "\n"
        "--json: {path, format, direction, migrations}\n",
    .example = "  lockstep db export-plan --format morph --dir m --from 158 --to 120 -o down.sql\n"
               "  lockstep db down --url postgres://mm@db1/chat --plan down.sql --lossy ok\n",
    .options = export_options,
    .option_count = ARRAY_SIZE(export_options),
    .run = db_export_plan,
};
