/* Owns `db status|plan|up|down`: their options and their help. The work is in db_*.c. */
#include "cli/db_run.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

#define ABOUT_STATE                                                                                \
    "Nothing but the database and this machine take part: no controller. What a run needs\n"       \
    "remembered, should it be interrupted, is below --state.\n"

/* ---- status ---- */

static const struct option_spec status_options[] = {DB_OPTIONS_WHERE, DB_OPTIONS_FORMAT,
                                                    DB_OPTIONS_FOLDER};

const struct verb verb_db_status = {
    .name = "db status",
    .usage = "--url URL --format FORMAT [--dir DIR]",
    .summary = "what a database's ledger says, and who is at it",
    .about =
        "Prints the server, the ledger and its newest migration, and who holds the lock. With\n"
        "--dir also what is pending, what of it is late (its number is not the newest) and what "
        "is\n"
        "applied that the directory does not hold. Nothing is changed.\n"
        "\n"
        "Ends with 3 when a migration was begun and not ended: somebody has to look at it. The\n"
        "statement that stopped is shown, and the answers, each with what it means.\n"
        "\n"
        "--json: {database, engine, place, format, ledger_exists, applied_count, newest, applied,\n"
        "pending, late, unknown, mark, puzzle, unsettled: [{id, file, direction, ours, run, at,\n"
        "line, statement, mark, or_down, answers: [{word, means, when}]}], fence, lock: {held,\n"
        "words, holder}}\n",
    .example =
        "  lockstep db status --url postgres://mm@db1/chat --format morph --dir migrations\n",
    .options = status_options,
    .option_count = ARRAY_SIZE(status_options),
    .run = db_show_status,
};

/* ---- plan ---- */

static const struct option_spec plan_options[] = {
    {"to", 0, "VERSION", "the last one that stays applied: its number, or its name; 0: none"},
    {"direction", 0, "up|down", "what up or down would do; otherwise as --to lies"},
    {"rehearsal", 0, "FILE", "show the times of a report that `rehearse -o` wrote"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
    DB_OPTIONS_FOLDER,
    DB_OPTIONS_PLAN,
};

static int plan(struct context *c)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    const char *direction = args_text(&c->args, "direction");
    const char *to = args_text(&c->args, "to");
    bool down = str_equal(direction, "down");
    if (direction != NULL && !down && !str_equal(direction, "up")) {
        say("--direction is up or down, not \"%s\"", direction);
        return CLI_WRONG_USE;
    }
    if (down && to == NULL && args_text(&c->args, "plan") == NULL) {
        say("down to which migration? Say --to VERSION, the last one that stays, or --to 0");
        return CLI_WRONG_USE;
    }
    if (!db_call_read(c, DB_NEEDS_FOLDER, &call, &status)) {
        return status;
    }
    struct error e = {0};
    struct db_look look;
    if (direction == NULL && to != NULL &&
        (db_look_ahead(&call, &look, &e) < 0 || db_way_guess(&call, &look, to, &down, &e) < 0)) {
        return db_fail_with(&e);
    }
    return db_show_plan(&call, down, db_folder_to(&call.folder, down, to));
}

const struct verb verb_db_plan = {
    .name = "db plan",
    .usage = "--url URL --format FORMAT --dir DIR [--to VERSION]",
    .summary = "what up or down would run, in order",
    .about =
        "Prints the migrations that `up` or `down` would run, in their order, whether each runs "
        "in\n"
        "one transaction, what it loses, and on PostgreSQL what its locks make wait. Nothing is\n"
        "changed. Ends with 0 when there is a way, also when it is empty or would lose data.\n"
        "\n"
        "--json: {database, format, direction, migrations: [{id, version, file, direction,\n"
        "transactional, empty, delegated, loses, locks, and with --rehearsal expected_ms}]}\n",
    .example = "  lockstep db plan --url postgres://mm@db1/chat --format morph --dir migrations "
               "--to 120\n",
    .options = plan_options,
    .option_count = ARRAY_SIZE(plan_options),
    .run = plan,
};

/* ---- up and down ---- */

static const struct option_spec run_options[] = {
    {"to", 0, "VERSION", "the last one that stays applied: its number, or its name; 0: none"},
    {"lossy", 0, "ok", "data may be lost, and what cannot be taken back may run"},
    {"dry-run", 0, NULL, "only show what would run, as `plan`"},
    {"release", 0, "NAME", "the release that this is, for the checkpoint (a digest of --dir)"},
    {"delegate", 0, "COMMAND", "started for each .go of goose; {version}, {previous}: its numbers"},
    DB_OPTIONS_WHERE,
    DB_OPTIONS_FORMAT,
    DB_OPTIONS_FOLDER,
    DB_OPTIONS_PLAN,
    DB_OPTIONS_LOCK,
};

#define ABOUT_RUN                                                                                  \
    "Lockstep's lock and the tool's own are held from the first migration to the last. Each\n"     \
    "migration and its row in the ledger are one transaction where its SQL allows it. When the\n"  \
    "command is killed, the same command goes on: what has run does not run again, and where\n"    \
    "that cannot be known, it asks. Ctrl-C finishes the migration that runs, and stops.\n"         \
    "\n"                                                                                           \
    "What loses data, as far as its words show, is refused with a list before anything runs,\n"    \
    "unless --lossy ok is given.\n"                                                                \
    "\n"                                                                                           \
    "What is no SQL (goose's .go) is the application's own migrator's: --delegate starts it at\n"  \
    "its place, without the tool's lock, and the ledger must show that it ran.\n"                  \
    "\n" ABOUT_STATE "\n"                                                                          \
    "--json: {run, database, format, direction, state, before, after, migrations: [{id,\n"         \
    "version, file, direction, …, state, ms}], error}, once, at the end\n"

static int up(struct context *c)
{
    return db_run(c, false);
}

static int down(struct context *c)
{
    return db_run(c, true);
}

const struct verb verb_db_up = {
    .name = "db up",
    .usage = "--url URL --format FORMAT --dir DIR [--to VERSION] [--lossy ok]",
    .summary = "run what is pending",
    .about = "Runs the pending migrations of a directory, each once, up to --to or to the newest.\n"
             "\n" ABOUT_RUN,
    .example =
        "  lockstep db up --url postgres://mm@db1/chat --password-env PW --format morph --dir m\n",
    .options = run_options,
    .option_count = ARRAY_SIZE(run_options),
    .run = up,
};

const struct verb verb_db_down = {
    .name = "db down",
    .usage = "--url URL --format FORMAT --dir DIR --to VERSION [--lossy ok]",
    .summary = "take back what is applied above a version",
    .about =
        "Takes back the applied migrations above --to, the newest first, with the down scripts in\n"
        "--dir: the newer release's, since the older one does not have them. --to 0 takes\n"
        "everything away.\n"
        "\n" ABOUT_RUN,
    .example = "  lockstep db down --url sqlite:///srv/app.db --format morph --dir m --to 120 "
               "--lossy ok\n",
    .options = run_options,
    .option_count = ARRAY_SIZE(run_options),
    .run = down,
};
