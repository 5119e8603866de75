/* Owns the questions about a run that its events do not answer. It decides nothing. */
#include "cli/watch_back.h"

#include "lib/base/str.h"

#define ASKED_RUNS 1000

static int ask_runs(struct remote *r, const struct watch *w, const Lockstep__V1__HistoryReply **ret,
                    struct error *e)
{
    Lockstep__V1__HistoryRequest request = LOCKSTEP__V1__HISTORY_REQUEST__INIT;
    request.cluster = (char *)w->cluster;
    request.limit = ASKED_RUNS;
    *ret = REMOTE_CALL(r, History, HistoryReply, history_reply, &request.base, REMOTE_CALL_MS, e);
    return *ret == NULL ? e->code : 0;
}

static const Lockstep__V1__RunSummary *find(const Lockstep__V1__HistoryReply *reply,
                                            const char *run)
{
    for (size_t i = 0; i < reply->n_runs; i++) {
        if (str_equal(reply->runs[i]->run, run)) {
            return reply->runs[i];
        }
    }
    return NULL;
}

int watch_ask(struct remote *r, const struct watch *w, const Lockstep__V1__RunSummary **ret,
              struct error *e)
{
    const Lockstep__V1__HistoryReply *reply = NULL;
    int rc = ask_runs(r, w, &reply, e);
    *ret = rc < 0 ? NULL : find(reply, w->run);
    return rc;
}

const char *watch_back_words(struct arena *arena, const char *run, const char *problem)
{
    return arena_printf(arena,
                        "run %s is not taken back yet: %s; mend that and it goes on by itself, or "
                        "lockstep apply another way, which takes its place",
                        run, problem);
}

int watch_back_ask(struct remote *r, const struct watch *w, struct arena *arena,
                   struct watch_back *ret, struct error *e)
{
    const Lockstep__V1__HistoryReply *reply = NULL;
    int rc = ask_runs(r, w, &reply, e);
    if (rc < 0) {
        return rc;
    }
    const Lockstep__V1__RunSummary *now = find(reply, w->run);
    *ret = (struct watch_back){0};
    if (now == NULL) {
        ret->text = arena_printf(arena, "run %s is not known any more", w->run);
        return 0;
    }
    ret->by = str_empty(now->taken_back_by) ? NULL : arena_strdup(arena, now->taken_back_by);
    ret->is_back = str_equal(now->back, "nothing");
    ret->wanted = str_equal(now->back, "wanted") && reply->runs[0] == now;
    if (ret->is_back) {
        ret->text =
            arena_printf(arena, "rolled back: there was nothing to take back (run %s)", w->run);
    } else if (!ret->wanted) {
        ret->text = arena_printf(arena, "run %s was not taken back: run %s of %s took its place",
                                 w->run, reply->runs[0]->run, w->cluster);
    } else if (!str_empty(now->back_problem)) {
        ret->problem = arena_strdup(arena, now->back_problem);
        ret->text = watch_back_words(arena, w->run, ret->problem);
    }
    return 0;
}
