/*
 * Owns `lockstep db rehearse`: the way is found on the clone, gone there and back, reported, and the clone goes however it
 * ends. It refuses a way that only the application's own migrator can go.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/db_run.h"
#include "cli/db_url.h"
#include "cli/output.h"
#include "cli/rehearsal.h"
#include "lib/base/str.h"
#include "lib/io/db/rehearse.h"

#define CLONE_PASSWORD_ENV "LOCKSTEP_DB_CLONE_PASSWORD"

struct db_rehearsal {
    struct db_call call; /* first: the act's shell is the call */
    const char *to;
    bool keep, one_way;
    struct database_ref clone_ref;
    struct secret clone_password;
    struct database_ref live;
    struct rehearse_options options;
    struct rehearsal *rehearsal; /* while there is a clone */
    const char *clone;           /* its place */
    uint64_t bytes;
    int64_t clone_ms;
    int64_t at; /* Unix milliseconds when it began */
    struct db_way way;
    struct rehearse_report report;
    const char *no_way_back; /* the file that has no script for it; NULL */
};

/* ---- options ---- */

static int read_clone_url(struct db_rehearsal *r, struct error *e)
{
    struct db_call *call = &r->call;
    const char *text = args_text(&call->c->args, "clone-url");
    struct db_url url;
    if (text == NULL) {
        return 0;
    }
    int rc = db_url_read(call->arena, text, "", &url, e);
    if (rc < 0) {
        error_wrap(e, "--clone-url");
        return rc;
    }
    r->clone_ref = (struct database_ref){.name = url.name,
                                         .url = url.url,
                                         .ledger = call->ref.ledger,
                                         .password = call->ref.password};
    if (url.password != NULL) {
        setenv(CLONE_PASSWORD_ENV, url.password, 1);
        r->clone_password.env = CLONE_PASSWORD_ENV;
        r->clone_ref.password = &r->clone_password;
    }
    r->options.clone = &r->clone_ref;
    return 0;
}

static int read_options(struct db_rehearsal *r, struct error *e)
{
    const struct args *args = &r->call.c->args;
    const char *rows = args_text(args, "rows-up-to");
    r->to = args_text(args, "to");
    r->keep = args_flag(args, "keep");
    r->one_way = args_flag(args, "one-way");
    r->live = r->call.ref;
    r->options.live = &r->live;
    r->options.format = (int)r->call.format->kind;
    r->options.clone_key = "--clone-url";
    if (rows != NULL && !rehearsal_read_bytes(rows, &r->options.rows_bytes_max)) {
        return error_set(e, E_INVALID, "--rows-up-to wants a size like 500MB or 2GB, not \"%s\"",
                         rows);
    }
    return read_clone_url(r, e);
}

/* ---- the way ---- */

static int find_way(struct db_rehearsal *r, struct error *e)
{
    struct db_call *call = &r->call;
    struct db_look look;
    bool down = false;
    int rc = db_look_once(call, &look, e);
    if (rc == 0 && r->to != NULL) {
        rc = db_way_guess(call, &look, r->to, &down, e);
    }
    const char *to = db_folder_to(&call->folder, down, r->to);
    rc = rc < 0 ? rc : db_way_find(call, &look, down, to, &r->way, e);
    for (size_t i = 0; rc == 0 && i < r->way.count; i++) {
        const struct migration_script *script = db_script(&r->way, i);
        if (script->delegated) {
            rc = error_set(e, E_INVALID,
                           "%s is not SQL: only the application's own migrator can run it. "
                           "Rehearse up to the one before it with --to",
                           script->file);
        }
    }
    return rc;
}

/* As far back as there are scripts for it. */
static struct list way_back(struct db_rehearsal *r)
{
    const struct db_way *way = &r->way;
    struct migration *items = ARENA_ARRAY(r->call.arena, way->count, struct migration);
    size_t count = 0;
    while (count < way->count && !r->one_way && r->no_way_back == NULL) {
        const struct migration *m = &way->items[way->count - 1 - count];
        const struct migration_script *script = way->down ? &m->up : &m->down;
        if ((script->sha256 == NULL && !script->empty) || script->delegated) {
            r->no_way_back = db_script(way, way->count - 1 - count)->file;
        } else {
            items[count++] = *m;
        }
    }
    return migration_items(r->call.arena, items, count, !way->down);
}

static int run_way(struct db_rehearsal *r, struct error *e)
{
    struct rehearse_way way = {
        .there = migration_items(r->call.arena, r->way.items, r->way.count, r->way.down),
        .back = way_back(r),
        .down = r->way.down,
    };
    return rehearse_run(r->rehearsal, &way, &r->report, e);
}

static void progress(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    struct db_rehearsal *r = act->shell;
    progress_show(&r->call.progress,
                  arena_printf(r->call.arena, "%llu of %llu  %s", (unsigned long long)done + 1,
                               (unsigned long long)total, text));
}

/* What is found on the clone is what runs: the live ledger may have moved since it was looked at. */
static int on_the_clone(struct db_rehearsal *r, struct error *e)
{
    struct database_ref live = r->call.ref;
    r->call.ref = *rehearse_clone(r->rehearsal);
    int rc = find_way(r, e);
    r->call.ref = live;
    return rc < 0 || r->way.count == 0 ? rc : run_way(r, e);
}

static int work(struct db_rehearsal *r, struct error *e)
{
    struct db_call *call = &r->call;
    int rc = find_way(r, e);
    if (rc < 0 || r->way.count == 0) {
        return rc;
    }
    rc = db_act(call, "rehearse", e);
    if (rc < 0) {
        return rc;
    }
    r->live = call->ref;
    r->options.live = &r->live;
    call->act.progress = progress;
    progress_show(&call->progress, "making the clone");
    rc = rehearse_begin(&call->act, &r->options, &r->rehearsal, e);
    if (rc == 0) {
        r->clone = arena_strdup(call->arena, rehearse_place(r->rehearsal));
        r->bytes = rehearse_bytes(r->rehearsal);
        r->clone_ms = rehearse_clone_ms(r->rehearsal);
        rc = on_the_clone(r, e);
    }
    struct error second = {0};
    int ended = rehearse_end(r->rehearsal, r->keep, &second);
    r->rehearsal = NULL;
    if (rc == 0 && ended < 0) {
        *e = second;
        rc = ended;
    }
    db_disclaim(call, false);
    return rc;
}

/* ---- afterwards ---- */

static int status_of(const struct db_rehearsal *r, int rc)
{
    if (rc == 0) {
        return r->report.lossy > 0 || r->no_way_back != NULL ? CLI_MOVED : CLI_DONE;
    }
    /* What may have run has run on the clone only: nobody has to answer. */
    return rc == E_UNKNOWN || rc == E_CONFLICT ? CLI_FAILED : db_status_of(rc);
}

static json_t *report_json(struct db_rehearsal *r, int rc, const struct error *e)
{
    const struct rehearse_telling telling = {.options = &r->options,
                                             .report = &r->report,
                                             .count = r->way.count,
                                             .down = r->way.down,
                                             .one_way = r->one_way,
                                             .kept = r->keep,
                                             .no_way_back = r->no_way_back,
                                             .clone = r->clone,
                                             .bytes = r->bytes,
                                             .clone_ms = r->clone_ms,
                                             .rc = rc,
                                             .error = e};
    json_t *json = rehearse_json(&telling);
    rehearsal_set_at(r->call.arena, json, r->at);
    return json;
}

static int report(struct db_rehearsal *r, int rc, struct error *e)
{
    struct context *c = r->call.c;
    const char *path = args_text(&c->args, "output");
    json_t *json = report_json(r, rc, e);
    int status = status_of(r, rc);
    struct error second = {0};
    if (rc < 0) {
        say_error(e);
    }
    if (path != NULL && rehearsal_write(path, json, &second) < 0) {
        status = status == CLI_DONE ? CLI_FAILED : status;
        say_error(&second);
    }
    if (c->json) {
        print_json(json);
        return status;
    }
    if (rc == 0 || r->clone != NULL) {
        rehearsal_print(r->call.arena, json);
    }
    json_decref(json);
    return status;
}

int db_rehearse(struct context *c)
{
    struct db_rehearsal r = {.at = act_now_ms()};
    struct error e = {0};
    int status = CLI_WRONG_USE;
    if (!db_call_read(c, DB_NEEDS_FOLDER, &r.call, &status)) {
        return status;
    }
    if (read_options(&r, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    int rc = work(&r, &e);
    progress_end(&r.call.progress);
    return report(&r, rc, &e);
}
