/*
 * Owns the proof that no session of the application is left, before the lock of a hop that stops all of it. It ends sessions
 * only where the plan says terminate, only after the wait, and never one of Lockstep's own.
 */
#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/platform/process.h"

#define POLL_MS   200
#define END_MS    10000 /* how long terminated sessions have to be gone */
#define NAMED_MAX 5
#define AGAIN_AND_AGAIN                                                                            \
    "they come back as fast as they are ended: stop what starts them (the service, a pool, a "     \
    "timer)"

struct look {
    struct act *act;
    const struct db_writers_action *a;
    struct db_session session;
    struct db_writer *left; /* those that count */
    size_t count;
    size_t terminated;
};

static bool matches(const struct strings *patterns, const struct db_writer *w)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (fnmatch(patterns->items[i], w->user, 0) == 0 ||
            fnmatch(patterns->items[i], w->application, 0) == 0) {
            return true;
        }
    }
    return false;
}

static int look(struct look *l, struct error *e)
{
    struct db_writer *all = NULL;
    size_t count = 0;
    int rc = db_writers(&l->session, l->act->arena, &all, &count, e);
    if (rc < 0) {
        return rc;
    }
    l->left = all;
    l->count = 0;
    for (size_t i = 0; i < count; i++) {
        if ((l->a->only.count == 0 || matches(&l->a->only, &all[i])) &&
            !matches(&l->a->except, &all[i])) {
            all[l->count++] = all[i];
        }
    }
    return 0;
}

/* Until none is left (0) or the time is over (1). */
static int wait_for(struct look *l, int64_t until_ms, struct error *e)
{
    for (;;) {
        int rc = look(l, e);
        if (rc < 0 || l->count == 0) {
            return rc;
        }
        if (act_now_ms() >= until_ms) {
            return 1;
        }
        process_sleep_ms(POLL_MS);
    }
}

static int terminate(struct look *l, struct error *e)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct db_writer *w = &l->left[i];
        act_log(l->act, "database %s: ending the session %s", l->a->database.name,
                db_writers_text(l->act->arena, w, 1, 1));
        int rc = l->session.engine->terminate(&l->session, w->pid, e);
        if (rc < 0) {
            return rc;
        }
        l->terminated++;
    }
    return 0;
}

/* New ones that come meanwhile are ended too, until the time is over. */
static int terminate_all(struct look *l, struct error *e)
{
    if (l->session.engine->terminate == NULL) {
        return db_fail(&l->session, e, E_INVALID, "%s has no way to end a session",
                       l->session.engine->name);
    }
    int64_t until_ms = MIN(act_now_ms() + END_MS, l->act->deadline_ms);
    int rc = 0;
    do {
        rc = terminate(l, e);
        if (rc == 0) {
            process_sleep_ms(POLL_MS);
            rc = look(l, e);
        }
    } while (rc == 0 && l->count > 0 && act_now_ms() < until_ms);
    return rc < 0 ? rc : l->count > 0;
}

static int name_them(struct look *l, int code, struct error *e)
{
    const char *names = db_writers_text(l->act->arena, l->left, l->count, NAMED_MAX);
    act_log(l->act, "database %s: %zu sessions are left: %s", l->a->database.name, l->count,
            db_writers_text(l->act->arena, l->left, l->count, l->count));
    return error_set(e, code, "database %s: %zu session%s of the application %s left: %s. %s",
                     l->a->database.name, l->count, l->count == 1 ? "" : "s",
                     l->count == 1 ? "is" : "are", names,
                     l->terminated > 0
                         ? AGAIN_AND_AGAIN
                         : "Stop what they belong to, or except: those that may stay");
}

static int writers_once(struct act *act, const struct db_writers_action *a, int64_t until_ms,
                        struct error *e)
{
    struct look l = {.act = act, .a = a};
    int rc = db_open_to_look(act, &l.session, &a->database, true, e);
    if (rc == 0) {
        rc = wait_for(&l, a->policy == WRITERS_REFUSE ? 0 : MIN(until_ms, act->deadline_ms), e);
    }
    if (rc > 0 && a->policy == WRITERS_TERMINATE) {
        rc = terminate_all(&l, e);
    }
    if (rc > 0) {
        rc = name_them(&l, a->policy == WRITERS_REFUSE ? E_CONFLICT : E_TIMEOUT, e);
    }
    db_close(&l.session);
    if (rc == 0) {
        rc = db_set_facts(act, json_pack("{s:I}", "terminated", (json_int_t)l.terminated), e);
    }
    return rc;
}

int act_db_writers(struct act *act, const struct action *action, struct error *e)
{
    int64_t until_ms = act_now_ms() + action->db_writers->wait_ms;
    int rc;
    do {
        rc = writers_once(act, action->db_writers, until_ms, e);
    } while (db_again(act, rc));
    return rc;
}
