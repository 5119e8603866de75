/*
 * Owns Plan and Apply: both plan first; Apply then keeps the revision and starts a run, or says how the cluster has moved since a
 * given plan was made. One struct per call, from its request to its last answer.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/history.h"
#include "controller/operator.h"
#include "controller/planning.h"
#include "controller/quarantine.h"
#include "controller/runs.h"
#include "controller/subject.h"
#include "lib/base/str.h"
#include "lib/io/platform/digest.h"
#include "lib/wire/pack.h"

struct job {
    struct rpc_call *call;
    struct planning *planning;
    struct arena arena; /* of the request */
    const Lockstep__V1__Bundle *bundle;
    bool apply;
    bool acknowledged;
    const char *despite; /* why a quarantined attempt is made again; NULL: it is not */
    enum plan_part part;
    const char *restore_run; /* NULL: none */
    struct strings databases;
    const char *plan_id; /* a plan file was given; else NULL */
    struct plan plan;    /* that plan */
};

static void free_job(struct job *job)
{
    rpc_call_set_data(job->call, NULL);
    arena_deinit(&job->arena);
    free(job);
}

void operator_planning_closed(struct rpc_call *call, enum rpc_status status UNUSED,
                              const char *message UNUSED)
{
    struct job *job = rpc_call_get_data(call);
    if (job != NULL) {
        planning_forget(job->planning);
        free_job(job);
    }
}

/* ---- Plan ---- */

static void progress(void *context, const char *line)
{
    struct job *job = context;
    if (job->apply) {
        Lockstep__V1__ApplyReply reply = LOCKSTEP__V1__APPLY_REPLY__INIT;
        reply.progress = (char *)line;
        reply_send(job->call, &reply.base);
    } else {
        Lockstep__V1__PlanReply reply = LOCKSTEP__V1__PLAN_REPLY__INIT;
        reply.progress = (char *)line;
        reply_send(job->call, &reply.base);
    }
}

static int keep_plan(struct job *job, const struct planning_result *result, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct bytes bundle = {0};
    int r = wire_pack(&arena, &job->bundle->base, &bundle, e);
    if (r == 0) {
        r = store_plan_put(reply_controller(job->call)->store, result->plan_id, result->plan_json,
                           bundle, e);
    }
    arena_deinit(&arena);
    return r;
}

static void planned(void *context, const struct planning_result *result)
{
    struct job *job = context;
    struct rpc_call *call = job->call;
    struct error e = {0};
    Lockstep__V1__PlanReply reply = LOCKSTEP__V1__PLAN_REPLY__INIT;
    reply.n_complaints = result->complaint_count;
    reply.complaints = reply_complaints(&job->arena, result->complaints, result->complaint_count);
    int r = 0;
    if (result->plan != NULL) {
        r = keep_plan(job, result, &e);
        reply.plan = (ProtobufCBinaryData){.data = (uint8_t *)result->plan_json.data,
                                           .len = result->plan_json.len};
        reply.id = (char *)result->plan_id;
        reply.nothing_to_do = plan_is_empty(result->plan);
        const char *quarantine = NULL;
        r = r < 0 ? r
                  : quarantine_words(reply_controller(call), &job->arena, result->plan, &quarantine,
                                     &e);
        reply.quarantine = quarantine != NULL ? (char *)quarantine : "";
        /* For who shows the plan, and no part of it. */
        r = r < 0 ? r
                  : history_known(reply_controller(call), &job->arena, result->plan, &reply.known,
                                  &reply.n_known, &e);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply_last(call, &reply.base);
    }
    free_job(job);
}

/* ---- Apply ---- */

/* *ret_why: what the run's journal keeps, NULL: nothing. E_CONFLICT: what the plan tries has failed, and nobody said despite. */
static int check_quarantine(struct job *job, const struct plan *plan, const char **ret_why,
                            struct error *e)
{
    const char *words = NULL;
    int r = quarantine_words(reply_controller(job->call), &job->arena, plan, &words, e);
    if (r < 0 || words == NULL) {
        return r;
    }
    if (job->despite == NULL) {
        return error_set(e, E_CONFLICT,
                         "this is in quarantine: %.300s. Go on with another release or changed "
                         "specs, or mend the cause and apply with --despite REASON",
                         words);
    }
    *ret_why = arena_printf(&job->arena, "despite quarantine (%.200s): %s", words, job->despite);
    return 0;
}

static int start_run(struct job *job, const struct plan *plan, const char *plan_id,
                     const struct planning_result *result, Lockstep__V1__ApplyReply *reply,
                     struct error *e)
{
    struct controller *c = reply_controller(job->call);
    const char *who = reply_who(job->call);
    uint32_t number = 0;
    bool changed = false;
    struct run_start start = {.plan_id = plan_id, .who = who};
    int r = check_quarantine(job, plan, &start.why, e);
    r = r < 0 ? r : operator_keep_revision(c, job->bundle, result->spec, who, &number, &changed, e);
    const char *run = NULL;
    if (r == 0) {
        r = runs_start(c, &job->arena, &start, &run, e);
    }
    if (r == 0) {
        reply->run = (char *)run;
    }
    return r;
}

/* What may run ahead of the plan is a plan of its own, kept like any other. What is wanted stays as it is. */
static int start_part(struct job *job, const struct plan *whole, Lockstep__V1__ApplyReply *reply,
                      struct error *e)
{
    struct controller *c = reply_controller(job->call);
    struct plan part = {0};
    struct buf json;
    char id[DIGEST_HEX_BYTES];
    struct bytes bundle = {0};
    plan_part_of(&job->arena, whole, job->part, &part);
    if (plan_is_empty(&part)) {
        reply->nothing_to_do = true;
        return 0;
    }
    buf_init(&json, &job->arena, LIMIT_FRAME_BYTES / 2);
    plan_to_json(&job->arena, &part, &json);
    digest_bytes_hex(json.data, json.len, id);
    reply->plan_id = arena_strdup(&job->arena, id);
    const struct bytes text = {.data = (const uint8_t *)json.data, .len = json.len};
    int r = wire_pack(&job->arena, &job->bundle->base, &bundle, e);
    r = r < 0 ? r : store_plan_put(c->store, reply->plan_id, text, bundle, e);
    const char *run = NULL;
    const struct run_start start = {.plan_id = reply->plan_id, .who = reply_who(job->call)};
    r = r < 0 ? r : runs_start(c, &job->arena, &start, &run, e);
    reply->run = r < 0 ? reply->run : (char *)run;
    return r;
}

/* The notes that ask for an acknowledgement, as complaints. */
static void ask_for_ack(struct job *job, const struct plan *plan, Lockstep__V1__ApplyReply *reply)
{
    struct complaint *items = ARENA_ARRAY(&job->arena, plan->notes.count + 1, struct complaint);
    for (size_t i = 0; i < plan->notes.count; i++) {
        items[i].message =
            arena_printf(&job->arena, "%s (read it, then apply with --ack)", plan->notes.items[i]);
    }
    reply->n_complaints = plan->notes.count;
    reply->complaints = reply_complaints(&job->arena, items, plan->notes.count);
}

static void applied(void *context, const struct planning_result *result)
{
    struct job *job = context;
    struct rpc_call *call = job->call;
    struct error e = {0};
    Lockstep__V1__ApplyReply reply = LOCKSTEP__V1__APPLY_REPLY__INIT;
    const struct plan *plan = job->plan_id != NULL ? &job->plan : result->plan;
    const char *plan_id = job->plan_id != NULL ? job->plan_id : result->plan_id;
    int r = 0;
    reply.plan_id = plan_id != NULL ? (char *)plan_id : "";
    if (result->complaint_count > 0) {
        reply.n_complaints = result->complaint_count;
        reply.complaints =
            reply_complaints(&job->arena, result->complaints, result->complaint_count);
    } else if (result->differences.count > 0) {
        reply.n_differences = result->differences.count;
        reply.differences = (char **)result->differences.items;
    } else if (job->part != PLAN_WHOLE && !plan_is_empty(plan)) {
        r = start_part(job, plan, &reply, &e);
    } else if (plan_is_empty(plan)) {
        uint32_t number = 0;
        bool changed = false;
        reply.nothing_to_do = true;
        r = job->part != PLAN_WHOLE
                ? 0
                : operator_keep_revision(reply_controller(call), job->bundle, result->spec,
                                         reply_who(call), &number, &changed, &e);
    } else if (plan->notes.count > 0 && !job->acknowledged) {
        ask_for_ack(job, plan, &reply);
    } else {
        r = job->plan_id != NULL ? 0 : keep_plan(job, result, &e);
        r = r < 0 ? r : start_run(job, plan, plan_id, result, &reply, &e);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply_last(call, &reply.base);
    }
    free_job(job);
}

/* ---- requests ---- */

static struct job *new_job(struct rpc_call *call, bool apply)
{
    struct job *job = calloc(1, sizeof(*job));
    assert(job != NULL);
    job->call = call;
    job->apply = apply;
    arena_init(&job->arena);
    return job;
}

static void start(struct job *job, const char *to)
{
    const struct planning_request request = {.bundle = job->bundle,
                                             .to = to,
                                             .same_as = job->plan_id != NULL ? &job->plan : NULL,
                                             .restore_run = job->restore_run,
                                             .databases = job->databases};
    const struct planning_callbacks callbacks = {
        .progress = progress, .over = job->apply ? applied : planned, .context = job};
    rpc_call_set_data(job->call, job);
    job->planning = planning_start(reply_controller(job->call), &request, &callbacks);
}

static void refuse(struct job *job, const struct error *e)
{
    rpc_call_finish_error(job->call, e);
    arena_deinit(&job->arena);
    free(job);
}

/* The newest revision of the cluster whose run is named: the backups are an earlier state's, the site is today's. */
static int find_restore(struct job *job, const Lockstep__V1__PlanRequest *request, struct error *e)
{
    struct controller *c = reply_controller(job->call);
    struct stored_run run = {0};
    int r = operator_find_run(c, &job->arena, request->restore_run, NULL, &job->restore_run, e);
    r = r < 0 ? r : store_run(c->store, &job->arena, job->restore_run, &run, e);
    job->databases = (struct strings){(const char **)request->databases, request->n_databases};
    return r < 0 ? r : subject_bundle(c, &job->arena, NULL, run.cluster, &job->bundle, e);
}

/* A viewer plans what is kept here. A bundle brings commands, addresses and places of secrets of its own, which the nodes
 * use to observe: that takes an operator. */
void operator_plan(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct error e = {0};
    struct job *job = new_job(call, false);
    const Lockstep__V1__PlanRequest *request =
        REPLY_REQUEST(PlanRequest, plan_request, &job->arena, message, &e);
    if (request != NULL && request->bundle != NULL && !reply_allowed(call, ROLE_OPERATOR)) {
        arena_deinit(&job->arena);
        free(job);
    } else if (request == NULL ||
               (str_empty(request->restore_run)
                    ? subject_bundle(reply_controller(call), &job->arena, request->bundle,
                                     request->cluster, &job->bundle, &e)
                    : find_restore(job, request, &e)) < 0) {
        refuse(job, &e);
    } else {
        start(job, request->to);
    }
}

void operator_apply(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct error e = {0};
    struct job *job = new_job(call, true);
    const Lockstep__V1__ApplyRequest *request =
        REPLY_REQUEST(ApplyRequest, apply_request, &job->arena, message, &e);
    struct subject subject = {0};
    int r = request == NULL ? e.code : 0;
    if (r == 0 && request->plan.len > 0) {
        r = subject_plan(reply_controller(call), &job->arena, request->plan, &subject, &e);
        job->bundle = subject.bundle;
        job->plan_id = subject.plan_id;
        job->plan = subject.plan;
    } else if (r == 0) {
        r = subject_bundle(reply_controller(call), &job->arena, request->bundle, request->cluster,
                           &job->bundle, &e);
    }
    if (r == 0 && strlen(request->despite) > LIMIT_DESPITE_BYTES) {
        r = error_set(&e, E_LIMIT, "--despite may have %d bytes: say it shorter",
                      LIMIT_DESPITE_BYTES);
    }
    if (r < 0) {
        refuse(job, &e);
    } else {
        job->acknowledged = request->acknowledged;
        job->despite = str_empty(request->despite) ? NULL : request->despite;
        job->part = request->drop ? PLAN_DROP : request->stage ? PLAN_STAGE : PLAN_WHOLE;
        start(job, request->to);
    }
}
