/* Owns the limit of a wait for a lock: when it is set, that it is given back, and who is named when it passes. How an
 * engine says it stands in its db_lock_limit. */
#include "lib/io/db/waits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/platform/process.h"

#define WATCH_AFTER_MS 1000
#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS  5000

/* Through a session of its own: ours waits inside the server. What fails here is told by the statement itself. */
static void see_blockers(void *context)
{
    struct waits *w = context;
    const struct db_lock_limit *limit = w->session->engine->lock_limit;
    if (limit == NULL) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct db_session look = {0};
    struct db_options options = {.run = w->act->run, .read_only = true, .log_fd = -1};
    const char *words = NULL;
    if (db_open(&look, &arena, w->database, &options, NULL) == 0 &&
        limit->blockers(&look, &arena, w->session->backend_pid, &words, NULL) == 0 &&
        words != NULL) {
        snprintf(w->blockers, sizeof(w->blockers), "%s", words);
        act_log(w->act, "%s: waits for a lock that %s has", w->file, words);
    }
    db_close(&look);
    arena_deinit(&arena);
}

void waits_init(struct waits *w, struct act *act, const struct database_ref *database,
                int64_t first_ms)
{
    *w = (struct waits){.act = act,
                        .database = database,
                        .first_ms = first_ms > 0 ? first_ms : WAITS_FIRST_MS,
                        .file = ""};
    w->watch = (struct db_watch){
        .after_ms = MIN(WATCH_AFTER_MS, w->first_ms / 2), .slow = see_blockers, .context = w};
}

void waits_watch(struct waits *w, struct db_session *s)
{
    w->session = s;
    w->before = NULL;
    s->options.watch = &w->watch;
}

bool waits_limited(const struct waits *w, const struct units *units, const struct unit *unit)
{
    return w->session->engine->lock_limit != NULL && unit->changes_schema && !unit->concurrently &&
           !units->lock_timeout;
}

/* Up to whole units of the engine; down to them where the deadline is nearer. */
static int64_t limit_units(const struct waits *w)
{
    const struct db_lock_limit *limit = w->session->engine->lock_limit;
    int64_t ms = MIN(w->first_ms << MIN(w->tries, 16u), WAITS_LAST_MS);
    int64_t units = (ms + limit->unit_ms - 1) / limit->unit_ms;
    return MAX(MIN(units, act_left_ms(w->act) / limit->unit_ms), limit->least);
}

int64_t waits_limit_ms(const struct waits *w)
{
    return limit_units(w) * w->session->engine->lock_limit->unit_ms;
}

const char *waits_begin(struct waits *w, struct arena *arena)
{
    const struct db_engine *engine = w->session->engine;
    assert(engine->lock_limit->set_local != NULL);
    return arena_printf(arena, "%s; %s%" PRId64, engine->begin, engine->lock_limit->set_local,
                        limit_units(w));
}

int waits_set(struct waits *w, struct error *e)
{
    struct db_session *s = w->session;
    const struct db_lock_limit *limit = s->engine->lock_limit;
    const char *before = NULL;
    int rc = db_value(s, s->arena, limit->read, NULL, 0, &before, e);
    if (rc == 0) {
        w->before = before;
        rc = db_exec(s, arena_printf(s->arena, "%s%" PRId64, limit->set, limit_units(w)), e);
    }
    return rc;
}

void waits_reset(struct waits *w)
{
    struct db_session *s = w->session;
    if (w->before == NULL || s->lost || s->handle == NULL) {
        w->before = NULL;
        return;
    }
    struct db_fault fault = s->fault;
    const char *ignored = NULL;
    if (db_value(s, s->arena, s->engine->lock_limit->give_back, &w->before, 1, &ignored, NULL) <
        0) {
        s->lost = true; /* a session that is not as it was is of no use */
    }
    s->fault = fault;
    w->before = NULL;
}

bool waits_again(struct waits *w, struct error *e)
{
    struct db_session *s = w->session;
    if (s->lost || !s->fault.waited) {
        return false;
    }
    const char *who = w->blockers[0] != '\0' ? w->blockers : "others that came and went";
    int64_t pause = MIN((int64_t)PAUSE_FIRST_MS << MIN(w->tries, 16u), PAUSE_LAST_MS);
    if (act_left_ms(w->act) <= pause) {
        error_set(e, E_TIMEOUT,
                  "%s waited for a lock until the deadline, in %u tries: %s. Nothing of the "
                  "statement has happened. End that session or wait for it, then retry",
                  w->file, w->tries + 1, who);
        return false;
    }
    if (act_stopped(w->act)) {
        return false;
    }
    act_log(w->act, "%s: no lock within %" PRId64 " ms (%s); the others pass, then try %u", w->file,
            waits_limit_ms(w), who, w->tries + 2);
    process_sleep_ms(pause);
    w->tries++;
    return true;
}
