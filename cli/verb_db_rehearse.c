/* Owns `db rehearse`: its options and its help. The work is in db_rehearse.c. */
#include "cli/db_run.h"
#include "cli/verbs.h"
#include "lib/base/util.h"

static const struct option_spec rehearse_options[] = {
    {"to", 0, "VERSION", "the last one that stays applied: its number, or its name; 0: none"},
    {"one-way", 0, NULL, "do not go back: only times and locks"},
    {"clone-url", 0, "URL", "an empty database to clone into, on any server of its kind"},
    {"rows-up-to", 0, "BYTES", "compare the rows of tables up to this size (256MB)"},
    {"keep", 0, NULL, "leave the clone there, for a look at it"},
    {"output", 'o', "FILE", "write the report into a file too, as --json prints it"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
    DB_OPTIONS_FOLDER,
    DB_OPTIONS_PLAN,
};

const struct verb verb_db_rehearse = {
    .name = "db rehearse",
    .usage = "--url URL --format FORMAT --dir DIR [--to VERSION]",
    .summary = "run migrations on a clone, there and back",
    .about =
        "Clones the database (pg_dump or mariadb-dump into a new database beside it; SQLite's own\n"
        "copy), runs on the clone what `up`, or the way to --to, would run, and goes back. Of "
        "each\n"
        "migration it prints how long it took, which locks made others wait (PostgreSQL), which\n"
        "tables it wrote anew (PostgreSQL, MariaDB), and what the way back does not restore: of\n"
        "the schema, the number of rows, and the values. The database itself is only read. What\n"
        "cannot be measured is said.\n"
        "\n"
        "The clone is removed at the end. When the command is killed, the next rehearsal removes\n"
        "it; nothing is ever removed that no rehearsal made.\n"
        "\n"
        "Ends with 1 when a migration failed, with 6 when something was not restored.\n"
        "\n"
        "--json: {database, format, direction, state, at, clone: {name, bytes, ms, kept},\n"
        "migrations: [{id, up: {file, sha256, state, ms, locks: [{table, mode, stops_writers}],\n"
        "rewritten: [{table, bytes}]}, down: the same, not_restored}], not_compared,\n"
        "not_measured, ms: {up, down}, one_way, no_way_back, error}\n",
    .example =
        "  lockstep db rehearse --url postgres://mm@db1/chat --format morph --dir migrations\n",
    .options = rehearse_options,
    .option_count = ARRAY_SIZE(rehearse_options),
    .run = db_rehearse,
};
