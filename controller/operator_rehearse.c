/*
 * Owns RehearseDatabases: plan, then one database after the other at its own place, then the reports. One struct per call. It
 * ends with its caller: when that one goes, the place is told that nobody waits, and takes the clone away.
 *
 *   planning ──> refused, moved, nothing to do ──> over
 *      └──────> a place rehearses (progress …) ──report kept──> the next database ──> … ──> over
 *                  └ a run of the cluster begins, or the caller goes: unobserve ──────────────^
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controller/operator.h"
#include "controller/planning.h"
#include "controller/rehearsals.h"
#include "controller/sessions.h"
#include "controller/subject.h"
#include "lib/base/str.h"
#include "lib/io/platform/log.h"
#include "lib/plan/rehearsal.h"

#define WITHIN_MS (6LL * 60 * 60 * 1000) /* of one database, when it is not said */

struct part {
    const char *database;
    const char *place;
    const char *action; /* canonical JSON */
};

struct rehearsal_call {
    struct rehearsal_call *next; /* in controller->rehearsals, once its cluster is known */
    struct rpc_call *call;
    struct arena arena;
    struct planning *planning; /* NULL: over */
    struct subject subject;
    struct strings databases; /* wanted; none: all */
    bool one_way;
    int64_t within_ms;
    int64_t rows_bytes_max;
    const char *cluster, *state_name; /* NULL: still planning */
    struct part *parts;
    size_t count, at;
    uint64_t observation; /* 0: none */
    ProtobufCBinaryData *reports;
};

/* ---- the end ---- */

static void leave(struct rehearsal_call *r)
{
    struct controller *c = reply_controller(r->call);
    struct rehearsal_call **link = &c->rehearsals;
    while (*link != NULL && *link != r) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = r->next;
    }
    if (r->planning != NULL) {
        planning_forget(r->planning);
    }
    if (r->observation != 0) {
        sessions_unobserve(c, r->observation);
    }
    rpc_call_set_data(r->call, NULL);
    arena_deinit(&r->arena);
    free(r);
}

static void refuse(struct rehearsal_call *r, const struct error *e)
{
    rpc_call_finish_error(r->call, e);
    leave(r);
}

static void reply(struct rehearsal_call *r, Lockstep__V1__RehearseReply *reply)
{
    reply_last(r->call, &reply->base);
    leave(r);
}

void operator_rehearse_closed(struct rpc_call *call, enum rpc_status status UNUSED,
                              const char *message UNUSED)
{
    struct rehearsal_call *r = rpc_call_get_data(call);
    if (r != NULL) {
        leave(r);
    }
}

void rehearsals_stop(struct controller *c, const char *cluster, const char *run)
{
    for (struct rehearsal_call *r = c->rehearsals, *next = NULL; r != NULL; r = next) {
        next = r->next;
        if (str_equal(r->cluster, cluster)) {
            struct error e = {0};
            log_line(PROGRAM, "the rehearsal of %s ends: run %s begins", cluster, run);
            error_set(&e, E_CANCELLED,
                      "the rehearsal was stopped: run %s of %s began, and goes first", run,
                      cluster);
            refuse(r, &e);
        }
    }
}

/* ---- one database after the other ---- */

static void tell(struct rehearsal_call *r, const char *line)
{
    Lockstep__V1__RehearseReply message = LOCKSTEP__V1__REHEARSE_REPLY__INIT;
    message.progress = (char *)line;
    reply_send(r->call, &message.base);
}

static void progress(void *context, uint64_t done, uint64_t total, const char *text)
{
    struct rehearsal_call *r = context;
    const struct part *part = &r->parts[r->at];
    struct arena arena;
    arena_init(&arena);
    tell(r, total > 0 ? arena_printf(&arena, "%s: %llu of %llu  %s", part->database,
                                     (unsigned long long)done + 1, (unsigned long long)total, text)
                      : arena_printf(&arena, "%s: %s (at %s)", part->database, text, part->place));
    arena_deinit(&arena);
}

/* A place that could say nothing of the clone still gives a report: of why. */
static json_t *report_of(const struct rehearsal_call *r, const struct outcome *outcome)
{
    const struct part *part = &r->parts[r->at];
    const char *why = str_empty(outcome->message) ? "the place gave no report" : outcome->message;
    json_t *report = outcome->facts != NULL ? json_loads(outcome->facts, 0, NULL) : NULL;
    if (!json_is_object(report)) {
        json_decref(report);
        report = json_pack("{s:s, s:s, s:n, s:[], s:{s:s, s:s}}", "database", part->database,
                           "state", "failed", "clone", "migrations", "error", "code",
                           error_name(outcome->code < 0 ? outcome->code : E_IO), "message", why);
    }
    /* What was asked, and of whom, is not the place's to say. */
    json_object_set_new(report, "by", json_string(part->place));
    json_object_set_new(report, "database", json_string(part->database));
    return report;
}

static int keep(struct rehearsal_call *r, json_t *report, struct error *e)
{
    struct buf text;
    buf_init(&text, &r->arena, LIMIT_FRAME_BYTES / 2);
    json_canonical(report, &text);
    if (text.overflow) {
        return error_set(e, E_LIMIT,
                         "the reports are longer than a message may be: name fewer "
                         "databases with --only, or a nearer version with --to");
    }
    r->reports[r->at] = (ProtobufCBinaryData){.data = (uint8_t *)text.data, .len = text.len};
    return rehearsals_keep(reply_controller(r->call), r->cluster, report, e);
}

static void ask_next(struct rehearsal_call *r);

static void answered(void *context, const struct outcome *outcome)
{
    struct rehearsal_call *r = context;
    struct error e = {0};
    r->observation = 0;
    if (reply_controller(r->call)->stopping) {
        error_set(&e, E_UNAVAILABLE, "%s", outcome->message);
        refuse(r, &e);
        return;
    }
    json_t *report = report_of(r, outcome);
    int rc = keep(r, report, &e);
    json_decref(report);
    r->at++;
    if (rc < 0) {
        refuse(r, &e);
    } else {
        ask_next(r);
    }
}

static void ask_next(struct rehearsal_call *r)
{
    if (r->at == r->count) {
        Lockstep__V1__RehearseReply message = LOCKSTEP__V1__REHEARSE_REPLY__INIT;
        message.n_reports = r->count;
        message.reports = r->reports;
        message.nothing_to_do = r->count == 0;
        reply(r, &message);
        return;
    }
    const struct observation what = {.place = r->parts[r->at].place,
                                     .action = r->parts[r->at].action,
                                     .cluster = r->cluster,
                                     .state_name = r->state_name,
                                     .within_ms = r->within_ms,
                                     .progress = progress};
    r->observation = sessions_observe(reply_controller(r->call), &what, answered, r);
}

/* ---- planning ---- */

static void planning_progress(void *context, const char *line)
{
    tell(context, line);
}

/* One rehearsal of a cluster, and none beside a run of it. */
static int claim(struct rehearsal_call *r, const char *cluster, struct error *e)
{
    struct controller *c = reply_controller(r->call);
    struct stored_runs runs = {0};
    for (const struct rehearsal_call *other = c->rehearsals; other != NULL; other = other->next) {
        if (str_equal(other->cluster, cluster)) {
            return error_set(e, E_CONFLICT, "%s rehearses %s right now: wait until that is over",
                             reply_who(other->call), cluster);
        }
    }
    int rc = store_runs(c->store, &r->arena, cluster, 1, &runs, e);
    if (rc == 0 && runs.count > 0 && runs.items[0].ended_ms == 0) {
        return error_set(e, E_CONFLICT,
                         "run %s of %s is not over: a rehearsal's dump would be in its way. See "
                         "`lockstep watch %s`",
                         runs.items[0].run, cluster, cluster);
    }
    return rc;
}

static int add_part(struct rehearsal_call *r, const struct plan_rehearsal_request *request,
                    struct error *e)
{
    struct plan_rehearsal rehearsal = {0};
    int rc = plan_rehearse(&r->arena, request, &rehearsal, e);
    if (rc < 0 || rehearsal.action.there.count == 0) {
        return rc;
    }
    rehearsal.action.rows_bytes_max = r->rows_bytes_max;
    json_t *json = shape_to_json(&action_shape, &(struct action){.db_rehearse = &rehearsal.action});
    struct buf text;
    buf_init(&text, &r->arena, LIMIT_OBSERVED_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    if (text.overflow) {
        return error_set(
            e, E_LIMIT,
            "the way of database %s is longer than %d bytes: rehearse a nearer version "
            "with --to",
            request->database, LIMIT_OBSERVED_BYTES);
    }
    r->parts[r->count++] = (struct part){.database = arena_strdup(&r->arena, request->database),
                                         .place = arena_strdup(&r->arena, rehearsal.place),
                                         .action = buf_text(&text)};
    return 0;
}

static int add_parts(struct rehearsal_call *r, const struct planning_result *result,
                     struct error *e)
{
    const struct list *all = &result->spec->application->databases;
    bool named = r->databases.count > 0;
    size_t count = named ? r->databases.count : all->count;
    int rc = 0;
    r->parts = ARENA_ARRAY(&r->arena, count + 1, struct part);
    r->reports = ARENA_ARRAY(&r->arena, count + 1, ProtobufCBinaryData);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct plan_rehearsal_request request = {
            .spec = result->spec,
            .inventory = result->inventory,
            .plan = r->subject.plan_id != NULL ? &r->subject.plan : result->plan,
            .database =
                named ? r->databases.items[i] : LIST_AT(all, struct app_database_spec, i)->name,
            .one_way = r->one_way};
        rc = add_part(r, &request, e);
    }
    return rc;
}

static void planned(void *context, const struct planning_result *result)
{
    struct rehearsal_call *r = context;
    struct controller *c = reply_controller(r->call);
    struct error e = {0};
    r->planning = NULL;
    if (result->complaint_count > 0 || result->differences.count > 0) {
        Lockstep__V1__RehearseReply message = LOCKSTEP__V1__REHEARSE_REPLY__INIT;
        message.n_complaints = result->complaint_count;
        message.complaints =
            reply_complaints(&r->arena, result->complaints, result->complaint_count);
        message.n_differences = result->differences.count;
        message.differences = (char **)result->differences.items;
        reply(r, &message);
        return;
    }
    if (result->inventory == NULL) {
        error_set(&e, E_UNAVAILABLE, "the controller is stopping");
        refuse(r, &e);
        return;
    }
    const char *cluster = result->spec->cluster->name;
    if (claim(r, cluster, &e) < 0 || add_parts(r, result, &e) < 0) {
        refuse(r, &e);
        return;
    }
    r->cluster = arena_strdup(&r->arena, cluster);
    r->state_name = arena_printf(&r->arena, "%s.%s", cluster, result->spec->application->name);
    r->next = c->rehearsals;
    c->rehearsals = r;
    ask_next(r);
}

/* ---- requests ---- */

static int read_request(struct rehearsal_call *r, const Lockstep__V1__RehearseRequest *request,
                        struct error *e)
{
    struct controller *c = reply_controller(r->call);
    if (request->within_ms < 0 || request->within_ms > LIMIT_DURATION_MS) {
        return error_set(e, E_LIMIT, "a rehearsal may take at most %lld days",
                         LIMIT_DURATION_MS / (24LL * 60 * 60 * 1000));
    }
    r->within_ms = request->within_ms > 0 ? request->within_ms : WITHIN_MS;
    r->one_way = request->one_way;
    r->rows_bytes_max = (int64_t)MIN(request->rows_up_to, (uint64_t)INT64_MAX);
    if (request->n_databases > LIMIT_CLUSTER_DATABASES) {
        return error_set(e, E_LIMIT, "a cluster has at most %d databases, and %zu are named",
                         LIMIT_CLUSTER_DATABASES, request->n_databases);
    }
    r->databases = (struct strings){(const char **)request->databases, request->n_databases};
    return request->plan.len > 0 ? subject_plan(c, &r->arena, request->plan, &r->subject, e)
                                 : subject_bundle(c, &r->arena, request->bundle, request->cluster,
                                                  &r->subject.bundle, e);
}

/* It makes a database, and reads all of another: that takes an operator. */
void operator_rehearse(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct error e = {0};
    struct rehearsal_call *r = calloc(1, sizeof(*r));
    assert(r != NULL);
    r->call = call;
    arena_init(&r->arena);
    const Lockstep__V1__RehearseRequest *request =
        REPLY_REQUEST(RehearseRequest, rehearse_request, &r->arena, message, &e);
    if (request == NULL || read_request(r, request, &e) < 0) {
        refuse(r, &e);
        return;
    }
    bool planned_before = r->subject.plan_id != NULL;
    const struct planning_request planning = {.bundle = r->subject.bundle,
                                              .to =
                                                  planned_before ? r->subject.plan.to : request->to,
                                              .same_as = planned_before ? &r->subject.plan : NULL,
                                              .knows_releases = true};
    const struct planning_callbacks callbacks = {
        .progress = planning_progress, .over = planned, .context = r};
    rpc_call_set_data(call, r);
    r->planning = planning_start(reply_controller(call), &planning, &callbacks);
}
