/* Owns what operators see and say of runs: watching, words, history. */
#include <stdlib.h>
#include <string.h>

#include "controller/operator.h"
#include "controller/rollback.h"
#include "controller/runs.h"
#include "lib/base/str.h"

#define HISTORY_DEFAULT 20
#define HISTORY_MOST    1000

int operator_find_run(struct controller *c, struct arena *arena, const char *run,
                      const char *cluster, const char **ret_run, struct error *e)
{
    struct stored_runs runs = {0};
    struct stored_run stored = {0};
    if (!str_empty(run) && store_run(c->store, arena, run, &stored, e) == 0) {
        *ret_run = stored.run;
        return 0;
    }
    /* People give one word; it may be either. */
    const char *name = !str_empty(cluster) ? cluster : run;
    int r = store_runs(c->store, arena, str_empty(name) ? NULL : name, 1, &runs, e);
    if (r < 0) {
        return r;
    }
    if (runs.count == 0) {
        return str_empty(name)
                   ? error_set(e, E_NOT_FOUND,
                               "there has been no run yet: see `lockstep apply --help`")
                   : error_set(e, E_NOT_FOUND,
                               "there is no run and no cluster with a run named %s: see "
                               "`lockstep history`",
                               name);
    }
    *ret_run = runs.items[0].run;
    return 0;
}

/* ---- Watch ---- */

struct watching {
    struct rpc_call *call;
    struct watcher *watcher; /* NULL: over */
};

static bool seen(void *context, const Lockstep__V1__WatchEvent *event)
{
    struct watching *w = context;
    if (event->number != 0 && rpc_call_queued_bytes(w->call) > LIMIT_CHUNK_BYTES) {
        return false;
    }
    reply_send(w->call, &event->base);
    return true;
}

static void over(void *context)
{
    struct watching *w = context;
    w->watcher = NULL;
    rpc_call_finish(w->call, RPC_OK, NULL);
}

void operator_watch(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const char *run = NULL;
    const Lockstep__V1__WatchRequest *request =
        REPLY_REQUEST(WatchRequest, watch_request, &arena, message, &e);
    int r = request == NULL
                ? e.code
                : operator_find_run(c, &arena, request->run, request->cluster, &run, &e);
    if (r == 0) {
        struct watching *w = calloc(1, sizeof(*w));
        assert(w != NULL);
        w->call = call;
        const struct watch_callbacks callbacks = {.seen = seen, .over = over, .context = w};
        w->watcher = runs_watch(c, run, request->after, &callbacks, &e);
        if (w->watcher != NULL) {
            rpc_call_set_data(call, w);
        } else {
            free(w);
            r = e.code;
        }
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    }
    arena_deinit(&arena);
}

void operator_watch_drained(struct rpc_call *call)
{
    struct watching *w = rpc_call_get_data(call);
    if (w != NULL && w->watcher != NULL) {
        runs_watch_go_on(w->watcher);
    }
}

void operator_watch_closed(struct rpc_call *call, enum rpc_status status UNUSED,
                           const char *message UNUSED)
{
    struct watching *w = rpc_call_get_data(call);
    if (w != NULL) {
        if (w->watcher != NULL) {
            runs_unwatch(w->watcher);
        }
        free(w);
    }
}

/* ---- Word ---- */

static int word_from(const char *text, enum word *ret, struct error *e)
{
    for (int i = 0; i < WORDS; i++) {
        if (str_equal(text, word_name((enum word)i))) {
            *ret = (enum word)i;
            return 0;
        }
    }
    return error_set(e, E_INVALID,
                     "\"%s\" is no word for a run: abort, retry, skip, exclude, rollback, claim, "
                     "unclaim, approve",
                     text);
}

static const char *given(const char *text)
{
    return str_empty(text) ? NULL : text;
}

/* What the request says, borrowed from it. */
static int read_word(struct rpc_call *call, const Lockstep__V1__WordRequest *request,
                     struct word_event *ret, struct error *e)
{
    *ret = (struct word_event){.place = given(request->node),
                               .step = given(request->step),
                               .gate = given(request->gate),
                               .why = given(request->why),
                               .who = reply_who(call),
                               .for_ms = request->for_ms,
                               .force = request->force};
    if (strlen(request->why) >= LIMIT_ERROR_BYTES) {
        return error_set(e, E_LIMIT, "why may have %d bytes: say it shorter",
                         LIMIT_ERROR_BYTES - 1);
    }
    if (request->for_ms < 0 || request->for_ms > CLAIM_MAX_MS) {
        return error_set(e, E_LIMIT, "a claim may be of at most %lld hours",
                         CLAIM_MAX_MS / (60LL * 60 * 1000));
    }
    return word_from(request->word, &ret->word, e);
}

void operator_word(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const char *run = NULL;
    const char *state = NULL;
    struct word_event word = {0};
    const Lockstep__V1__WordRequest *request =
        REPLY_REQUEST(WordRequest, word_request, &arena, message, &e);
    int r = request == NULL ? e.code : read_word(call, request, &word, &e);
    if (r == 0 && word.word == WORD_APPROVE && !reply_allowed(call, ROLE_APPROVER)) {
        arena_deinit(&arena);
        return;
    }
    if (r == 0) {
        r = operator_find_run(c, &arena, request->run, request->cluster, &run, &e);
    }
    if (r == 0) {
        r = runs_word(c, run, &word, &state, &e);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__WordReply reply = LOCKSTEP__V1__WORD_REPLY__INIT;
        reply.state = (char *)state;
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

/* ---- History ---- */

static char *text(const char *s)
{
    return s != NULL ? (char *)s : "";
}

Lockstep__V1__RunSummary *operator_run_summary(struct controller *c, struct arena *arena,
                                               const struct stored_run *run)
{
    Lockstep__V1__RunSummary *summary = ARENA_NEW(arena, Lockstep__V1__RunSummary);
    lockstep__v1__run_summary__init(summary);
    const char *why = runs_why(c, run->run);
    summary->run = text(run->run);
    summary->cluster = text(run->cluster);
    summary->plan_id = text(run->plan_id);
    summary->from = text(run->from);
    summary->to = text(run->to);
    summary->state = text(run->state);
    summary->why = text(why != NULL ? why : run->why);
    summary->who = text(run->who);
    summary->started_ms = run->started_ms;
    summary->ended_ms = run->ended_ms;
    static const char *const backs[] = {
        [BACK_NOT_WANTED] = "", [BACK_WANTED] = "wanted", [BACK_NOTHING] = "nothing"};
    const char *by = NULL;
    store_run_taken_back_by(c->store, arena, run->run, &by, NULL);
    summary->takes_back = text(run->takes_back);
    summary->taken_back_by = text(by);
    summary->back = text(run->ended_ms != 0 ? backs[run->back] : NULL);
    summary->back_problem = text(rollback_problem(c, run->run));
    return summary;
}

void operator_history(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_runs runs = {0};
    const Lockstep__V1__HistoryRequest *request =
        REPLY_REQUEST(HistoryRequest, history_request, &arena, message, &e);
    uint32_t limit = request == NULL || request->limit == 0 ? HISTORY_DEFAULT
                                                            : MIN(request->limit, HISTORY_MOST);
    if (request == NULL ||
        store_runs(c->store, &arena, str_empty(request->cluster) ? NULL : request->cluster, limit,
                   &runs, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__HistoryReply reply = LOCKSTEP__V1__HISTORY_REPLY__INIT;
        reply.runs = ARENA_ARRAY(&arena, runs.count + 1, Lockstep__V1__RunSummary *);
        for (size_t i = 0; i < runs.count; i++) {
            reply.runs[reply.n_runs++] = operator_run_summary(c, &arena, &runs.items[i]);
        }
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}
