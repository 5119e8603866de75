/* Owns `db lock|backup`: their options and their help. The work is in db_*.c. */
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
    .about = "Names who holds Lockstep's lock (run, host, process, since) and, with --format, the "
             "tool's\n"
             "own: its session, where that comes from, and its age. Nothing is changed.\n"
             "\n"
             "A call that was killed leaves its lock held, so that nobody runs into what may still "
             "be at\n"
             "work; the same command goes on with it. --let-go lets it go instead.\n"
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
        "Writes the database into a file (pg_dump's archive, SQLite's own copy) without "
        "Lockstep's\n"
        "tables and without the rows of a tool's lock, reads it back, and only then gives it its\n"
        "name. A file that is there is never written over.\n"
        "\n"
        "--json: {database, path, bytes, sha256}\n",
    .example = "  lockstep db backup --url postgres://mm@db1/chat --to chat.backup\n",
    .options = backup_options,
    .option_count = ARRAY_SIZE(backup_options),
    .run = db_make_backup,
};
