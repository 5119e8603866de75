/* Owns what operators see of times: each kind of step with how often it was done, its median and its longest. */
#include <stdlib.h>

#include "controller/operator.h"
#include "lib/base/str.h"

static int by_median(const void *a, const void *b)
{
    const struct stored_took *x = a;
    const struct stored_took *y = b;
    return x->median_ms < y->median_ms ? -1 : x->median_ms > y->median_ms ? 1 : 0;
}

static bool is_same(const struct stored_took *a, const struct stored_took *b)
{
    return str_equal(a->cluster, b->cluster) && str_equal(a->release, b->release) &&
           str_equal(a->step, b->step);
}

/* Lines of one kind: the median of all times, each line counted as often as it was done. */
static Lockstep__V1__StepTime *add_up(struct arena *arena, struct stored_took *lines, size_t count)
{
    Lockstep__V1__StepTime *time = ARENA_NEW(arena, Lockstep__V1__StepTime);
    lockstep__v1__step_time__init(time);
    time->cluster = (char *)lines->cluster;
    time->release = (char *)lines->release;
    time->step = (char *)lines->step;
    for (size_t i = 0; i < count; i++) {
        time->done += lines[i].count;
        time->longest_ms = MAX(time->longest_ms, lines[i].longest_ms);
        time->at_ms = MAX(time->at_ms, lines[i].at_ms);
    }
    qsort(lines, count, sizeof(*lines), by_median);
    int64_t before = 0;
    size_t at = 0;
    while (before + lines[at].count < (time->done + 1) / 2) {
        before += lines[at++].count;
    }
    time->median_ms = lines[at].median_ms;
    return time;
}

void operator_step_times(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_tooks tooks = {0};
    const Lockstep__V1__StepTimesRequest *request =
        REPLY_REQUEST(StepTimesRequest, step_times_request, &arena, message, &e);
    if (request == NULL ||
        store_took_all(c->store, &arena, str_empty(request->cluster) ? NULL : request->cluster,
                       &tooks, &e) < 0) {
        rpc_call_finish_error(call, &e);
        arena_deinit(&arena);
        return;
    }
    Lockstep__V1__StepTimesReply reply = LOCKSTEP__V1__STEP_TIMES_REPLY__INIT;
    reply.steps = ARENA_ARRAY(&arena, tooks.count + 1, Lockstep__V1__StepTime *);
    for (size_t i = 0; i < tooks.count;) {
        size_t n = 1;
        while (i + n < tooks.count && is_same(&tooks.items[i], &tooks.items[i + n])) {
            n++;
        }
        reply.steps[reply.n_steps++] = add_up(&arena, &tooks.items[i], n);
        i += n;
    }
    reply_last(call, &reply.base);
    arena_deinit(&arena);
}
