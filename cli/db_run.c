/*
 * Owns `lockstep db up` and `down`: one lock around all of it, the plan made again under the lock, the run, the ledger
 * compared with what was planned, a checkpoint. It refuses to lose data that nobody has agreed to lose.
 *
 * With --delegate the way is cut where the application's own migrator has its turn:
 *
 *   both locks ── SQL … ── let go ──> Lockstep's lock alone ── one start of the migrator ── let go ──> both locks …
 *
 * The migrator wants the tool's lock for itself. For a moment between two parts nobody has a lock: each part begins with
 * the ledger, which must say that exactly what was planned is left.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/db.h"
#include "cli/db_delegate.h"
#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/db/migrate.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define LOSSES_MAX 200 /* lines of a refusal */

enum item_state { ITEM_WAITS, ITEM_RUNS, ITEM_DONE, ITEM_FAILED };
static const char *const item_words[] = {"not run", "running", "done", "failed"};

struct run {
    struct db_call call; /* first: the act's shell is the call */
    const char *to;
    bool down, lossy_ok;
    struct db_look before, after;
    struct db_way way;
    struct {
        enum item_state state;
        int64_t ms;
    } * items;
    struct strings delegate; /* the words of --delegate; none: not given */
    size_t first;            /* the part that runs begins here, */
    size_t at;               /* and this item of it runs */
    bool over;               /* verified, with its checkpoint */
    int64_t begun_ms, started_ms;
    int64_t migrate_ms; /* all of them, under the lock */
    bool unseen;        /* `after` could not be read */
};

/* ---- what is said while it runs ---- */

static void item_done(struct run *r)
{
    if (r->items[r->at].state != ITEM_RUNS) {
        return;
    }
    r->items[r->at].state = ITEM_DONE;
    r->items[r->at].ms = process_clock_ms() - r->started_ms;
    progress_end(&r->call.progress);
    if (!r->call.c->json) {
        printf("%s  %s (%s)\n", r->down ? "down" : "up", db_script(&r->way, r->at)->file,
               str_duration(r->call.arena, r->items[r->at].ms));
        fflush(stdout);
    }
}

static void item_starts(struct run *r, size_t at, const char *text)
{
    r->at = at;
    r->items[at].state = ITEM_RUNS;
    r->started_ms = process_clock_ms();
    char line[256];
    snprintf(line, sizeof(line), "%zu of %zu  %s %s", at + 1, r->way.count, r->down ? "down" : "up",
             text);
    progress_show(&r->call.progress, line);
}

static void progress(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    struct run *r = act->shell;
    if (done > 0) {
        item_done(r);
    }
    if (done < total) {
        item_starts(r, r->first + (size_t)done, text);
    }
}

static size_t count_done(const struct run *r)
{
    size_t done = 0;
    for (size_t i = 0; r->items != NULL && i < r->way.count; i++) {
        done += r->items[i].state == ITEM_DONE ? 1 : 0;
    }
    return done;
}

/* ---- before ---- */

static int refuse_losses(struct run *r, size_t lossy, struct error *e)
{
    size_t shown = 0;
    for (size_t i = 0; i < r->way.count && shown < LOSSES_MAX; i++) {
        const char *loss = db_way_loss(&r->way, i);
        if (loss != NULL) {
            shown++;
            fprintf(stderr, "  %s: %s\n", db_script(&r->way, i)->file, loss);
        }
    }
    if (lossy > shown) {
        fprintf(stderr, "  and %zu more\n", lossy - shown);
    }
    return error_set(e, E_DENIED,
                     "%zu of these %zu migrations lose data or cannot be taken back; nothing has "
                     "run. Make a backup (lockstep db backup), then say --lossy ok",
                     lossy, r->way.count);
}

static int check_losses(struct run *r, struct error *e)
{
    size_t lossy = 0;
    for (size_t i = 0; i < r->way.count; i++) {
        lossy += db_way_loss(&r->way, i) != NULL ? 1 : 0;
    }
    /* On an empty database the ups can only lose what they have made themselves. */
    bool nothing_there = !r->down && r->before.bare && r->before.applied.count == 0;
    return lossy == 0 || r->lossy_ok || nothing_there ? 0 : refuse_losses(r, lossy, e);
}

/* Go code is the application's own migrator's to run: in between, at its place in the order. */
static int check_delegated(const struct run *r, struct error *e)
{
    const struct db_way *way = &r->way;
    for (size_t i = 0; r->delegate.count == 0 && i < way->count; i++) {
        if (!db_script(way, i)->delegated) {
            continue;
        }
        const char *first =
            i == 0 ? "Run that migrator for this one"
                   : arena_printf(r->call.arena, "Go %s --to %s, run that migrator for this one",
                                  way->down ? "down" : "up", way->items[way->down ? i : i - 1].id);
        return error_set(
            e, E_INVALID,
            "%s is not SQL: only the application's own migrator can run it; nothing "
            "has run. %s, then go on; or let --delegate \"COMMAND {version}\" start it "
            "at its place",
            db_script(way, i)->file, first);
    }
    return 0;
}

/* A SQLite file that is not there yet is made by `up`, as the tools make it. */
static int make_file(struct run *r, struct error *e)
{
    if (r->down || !str_starts(r->call.ref.url, "sqlite:")) {
        return 0;
    }
    struct db_session s = {0};
    struct db_options options = {.create = true};
    int rc = db_open(&s, r->call.arena, &r->call.ref, &options, e);
    db_close(&s);
    return rc;
}

static int look_before(struct run *r, struct error *e)
{
    int rc = db_look_once(&r->call, &r->before, e);
    if (rc == E_NOT_FOUND && make_file(r, NULL) == 0) {
        rc = db_look_once(&r->call, &r->before, e);
    }
    rc = rc < 0 ? rc : db_way_find(&r->call, &r->before, r->down, r->to, &r->way, e);
    rc = rc < 0 ? rc : check_delegated(r, e);
    return rc < 0 ? rc : check_losses(r, e);
}

/* ---- under the lock ---- */

static bool is_delegated(const struct run *r, size_t at)
{
    return at < r->way.count && db_script(&r->way, at)->delegated;
}

/* Where the part that begins at `first` ends: a run of SQL, or one start of the application's migrator. */
static size_t end_of_part(const struct run *r)
{
    size_t end = r->first;
    while (end < r->way.count && !is_delegated(r, end)) {
        end++;
    }
    return end == r->first && end < r->way.count ? end + 1 : end;
}

static void item_failed(struct run *r, int rc)
{
    if (r->items[r->at].state == ITEM_RUNS) {
        bool untouched = rc == E_CANCELLED || rc == E_TIMEOUT;
        r->items[r->at].state = untouched ? ITEM_WAITS : ITEM_FAILED;
        r->items[r->at].ms = process_clock_ms() - r->started_ms;
    }
}

static int migrate(struct run *r, size_t end, struct error *e)
{
    struct db_call *call = &r->call;
    struct db_migrate_action action = {
        .database = call->ref,
        .format = (int)call->format->kind,
        .down = r->down,
        .items = migration_items(call->arena, r->way.items + r->first, end - r->first, r->down)};
    call->act.progress = progress;
    int64_t started = process_clock_ms();
    int rc = db_migrate(&call->act, &action, NULL, e);
    r->migrate_ms += process_clock_ms() - started;
    if (rc < 0) {
        item_failed(r, rc);
    }
    return rc;
}

/* What the ledger leaves to be done is what was planned, from `first` on. */
static int check_rest(struct run *r, size_t first, struct error *e)
{
    struct db_way left = {0};
    struct db_look now = {0};
    int rc = db_look_once(&r->call, &now, e);
    rc = rc < 0 ? rc : db_way_find(&r->call, &now, r->down, r->to, &left, e);
    if (rc < 0) {
        return rc;
    }
    bool same = left.count == r->way.count - first;
    for (size_t i = 0; same && i < left.count; i++) {
        same = str_equal(left.items[i].id, r->way.items[first + i].id);
    }
    return same ? 0
                : error_set(e, E_CONFLICT,
                            "the ledger of database %s does not say that what was planned up to %s "
                            "has run, and no more: %s. Look at lockstep db status",
                            r->call.ref.name, db_script(&r->way, first - 1)->file,
                            db_look_words(r->call.arena, &now));
}

static int run_delegate(struct run *r, struct error *e)
{
    const char *file = db_script(&r->way, r->first)->file;
    item_starts(r, r->first, file);
    int rc = db_delegate_run(&r->call, &r->delegate, &r->way.items[r->first], file, e);
    r->migrate_ms += process_clock_ms() - r->started_ms;
    rc = rc < 0 ? rc : check_rest(r, r->first + 1, e);
    if (rc < 0) {
        item_failed(r, rc);
    } else {
        item_done(r);
    }
    return rc;
}

/* The ledger itself says whether all of it happened. */
static int verify(struct run *r, struct error *e)
{
    struct db_way left = {0};
    int rc = db_look_once(&r->call, &r->after, e);
    rc = rc < 0 ? rc : db_way_find(&r->call, &r->after, r->down, r->to, &left, e);
    if (rc == 0 && left.count > 0) {
        rc = error_set(e, E_CONFLICT,
                       "the ledger of database %s does not show all that ran: %s is missing. "
                       "Somebody else changed it; look at lockstep db status",
                       r->call.ref.name, db_script(&left, 0)->file);
    }
    return rc;
}

static int checkpoint(struct run *r, struct error *e)
{
    struct db_call *call = &r->call;
    const char *release = args_text(&call->c->args, "release");
    struct db_checkpoint_action action = {
        .database = call->ref,
        .format = (int)call->format->kind,
        .release =
            release != NULL ? release : arena_printf(call->arena, "dir:%.16s", call->folder.digest),
        .schema = r->after.newest != NULL ? r->after.newest->version : 0};
    struct action a = {.db_checkpoint = &action};
    return act_db_checkpoint(&call->act, &a, e);
}

static int under_lock(struct run *r, bool delegated, struct error *e)
{
    int rc = 0;
    if (r->first > 0) {
        rc = check_rest(r, r->first, e);
    } else {
        rc = look_before(r, e); /* somebody may have been faster */
        r->items = rc == 0 ? arena_array(r->call.arena, r->way.count, sizeof(*r->items)) : NULL;
    }
    if (rc < 0 || delegated != is_delegated(r, r->first)) {
        return rc; /* the other locks are wanted by now: the next round takes them */
    }
    size_t end = end_of_part(r);
    if (r->first < end) {
        rc = delegated ? run_delegate(r, e) : migrate(r, end, e);
    }
    if (rc < 0) {
        return rc;
    }
    r->first = end;
    if (delegated || end < r->way.count) {
        return 0;
    }
    rc = verify(r, e);
    r->over = rc == 0;
    return rc < 0 ? rc : checkpoint(r, e);
}

/* One part, with the locks that it wants. */
static int run_part(struct run *r, int *ret_released, struct error *e)
{
    struct db_call *call = &r->call;
    bool delegated = is_delegated(r, r->first);
    if (r->first > 0 && act_stopped(&call->act)) {
        return error_set(e, E_CANCELLED, "stopped before %s",
                         r->first < r->way.count ? db_script(&r->way, r->first)->file : "its end");
    }
    call->own_lock_only = delegated;
    int rc = db_take_lock(call, e);
    rc = rc < 0 ? rc : under_lock(r, delegated, e);
    struct error second = {0};
    *ret_released = db_give_lock(call, &second);
    if (rc == 0 && *ret_released < 0) {
        *e = second;
        rc = *ret_released;
    }
    return rc;
}

static int work(struct run *r, struct error *e)
{
    struct db_call *call = &r->call;
    int rc = look_before(r, e);
    if (rc < 0) {
        return rc;
    }
    rc = db_claim(call, r->down ? "down" : "up", e);
    bool idle = rc == 0 && r->way.count == 0 && !db_resumes(call);
    if (rc < 0 || idle) {
        r->after = r->before;
        db_disclaim(call, idle);
        return rc;
    }
    int released = 0;
    while (rc == 0 && !r->over) {
        rc = run_part(r, &released, e);
    }
    /* What may have run, or may still run on the server, belongs to this run: the next call goes on with it. */
    db_disclaim(call, rc != E_UNKNOWN && rc != E_UNAVAILABLE && released == 0);
    return rc;
}

/* ---- afterwards ---- */

static const char *state_word(int rc, const struct run *r)
{
    return rc == 0             ? (count_done(r) > 0 ? "done" : "nothing to do")
           : rc == E_UNKNOWN   ? "unknown"
           : rc == E_CANCELLED ? "interrupted"
           : r->items == NULL  ? "refused"
                               : "failed";
}

/* NULL: it could not be seen. */
static json_t *ledger_json(const struct db_look *look)
{
    if (look == NULL) {
        return json_null();
    }
    return json_pack("{s:I, s:o, s:o}", "applied", (json_int_t)look->applied.count, "newest",
                     json_text(look->newest != NULL ? look->newest->id : NULL), "version",
                     look->newest != NULL ? json_integer(look->newest->version) : json_null());
}

static json_t *items_json(const struct run *r)
{
    json_t *list = db_way_json(&r->way);
    for (size_t i = 0; i < r->way.count; i++) {
        json_t *item = json_array_get(list, i);
        enum item_state state = r->items != NULL ? r->items[i].state : ITEM_WAITS;
        json_object_set_new(item, "state", json_string(item_words[state]));
        json_object_set_new(item, "ms", json_integer(r->items != NULL ? r->items[i].ms : 0));
    }
    return list;
}

static void print_document(const struct run *r, int rc, const struct error *e)
{
    print_json(json_pack(
        "{s:o, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "run", json_text(r->call.act.run),
        "database", r->call.ref.name, "format", r->call.format->name, "direction",
        r->down ? "down" : "up", "state", state_word(rc, r), "ms", (json_int_t)r->migrate_ms,
        "before", ledger_json(&r->before), "after", ledger_json(r->unseen ? NULL : &r->after),
        "migrations", items_json(r), "error",
        rc < 0
            ? json_pack("{s:s, s:o}", "code", error_name(e->code), "message", json_text(e->message))
            : json_null()));
}

static void print_end(const struct run *r)
{
    size_t done = count_done(r);
    const char *words = db_look_words(r->call.arena, &r->after);
    if (done == 0) {
        printf("database %s: nothing to do: %s\n", r->call.ref.name, words);
    } else {
        printf("database %s: %zu %s in %s: %s\n", r->call.ref.name, done, r->down ? "down" : "up",
               str_duration(r->call.arena, process_clock_ms() - r->begun_ms), words);
    }
}

/* Where it stands, and that the same command is what to give next. */
static void say_where(struct run *r, int rc)
{
    if (r->items == NULL) {
        r->after = r->before;
        return;
    }
    struct error ignored = {0};
    struct db_look now = {0};
    struct db_call *call = &r->call;
    bool seen = db_look_once(call, &now, &ignored) == 0;
    r->after = now;
    r->unseen = !seen;
    const char *next = rc == E_UNKNOWN
                           ? arena_printf(call->arena,
                                          ". Look at what it made, then say so: lockstep db retry, "
                                          "mark-applied or mark-reverted %s",
                                          r->way.items[r->at].id)
                       : rc == E_CONFLICT && count_done(r) == r->way.count
                           ? ". What has run and is not in the ledger would run again: put its row "
                             "back first"
                           : ". The same command goes on from there";
    say("%zu of %zu have run%s%s%s", count_done(r), r->way.count,
        seen ? "; the ledger stands at: " : "", seen ? db_look_words(call->arena, &now) : "", next);
}

int db_run(struct context *c, bool down)
{
    struct run r = {.down = down, .begun_ms = process_clock_ms()};
    const char *lossy = args_text(&c->args, "lossy");
    int status = CLI_WRONG_USE;
    r.to = args_text(&c->args, "to");
    if (lossy != NULL && !str_equal(lossy, "ok")) {
        say("--lossy wants the word ok, not \"%s\"", lossy);
        return CLI_WRONG_USE;
    }
    if (down && r.to == NULL && args_text(&c->args, "plan") == NULL) {
        say("down to which migration? Say --to VERSION, the last one that stays; --to 0 takes "
            "everything away");
        return CLI_WRONG_USE;
    }
    r.lossy_ok = lossy != NULL;
    if (!db_call_read(c, DB_NEEDS_FOLDER, &r.call, &status)) {
        return status;
    }
    r.to = db_folder_to(&r.call.folder, down, r.to);
    struct error e = {0};
    if (db_delegate_read(&r.call, args_text(&c->args, "delegate"), &r.delegate, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    if (args_flag(&c->args, "dry-run")) {
        return db_show_plan(&r.call, down, r.to);
    }
    int rc = work(&r, &e);
    progress_end(&r.call.progress);
    if (rc < 0) {
        say_error(&e);
        say_where(&r, rc);
    } else if (!c->json) {
        print_end(&r);
    }
    if (c->json) {
        print_document(&r, rc, &e);
    }
    return db_status_of(rc);
}
