/* Owns `rehearse --database` as the command sees it: progress, complaints, how the cluster has moved, the reports. */
#include "cli/rehearse_databases.h"

#include "cli/bundle.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/rehearsal.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"

struct rehearsing {
    struct context *context;
    struct progress progress;
    size_t complaints;
    json_t *differences; /* owned */
    json_t *reports;     /* owned */
    int64_t at_ms;       /* when it began */
    bool over;
};

static void take_report(struct rehearsing *r, ProtobufCBinaryData text)
{
    json_t *report = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (json_is_object(report)) {
        rehearsal_set_at(r->context->arena, report, r->at_ms);
        json_array_append_new(r->reports, report);
    } else {
        json_decref(report);
    }
}

static void seen(void *context, const ProtobufCMessage *message)
{
    struct rehearsing *r = context;
    const Lockstep__V1__RehearseReply *reply = (const Lockstep__V1__RehearseReply *)message;
    if (!str_empty(reply->progress)) {
        progress_show(&r->progress, reply->progress);
        return;
    }
    progress_end(&r->progress);
    r->over = true;
    r->complaints += reply->n_complaints;
    bundle_say_complaints(r->context->arena, reply->complaints, reply->n_complaints);
    for (size_t i = 0; i < reply->n_differences; i++) {
        if (i == 0) {
            say("the cluster has moved since the plan was made:");
        }
        fprintf(stderr, "  %s\n", reply->differences[i]);
        json_array_append_new(r->differences, json_text(reply->differences[i]));
    }
    for (size_t i = 0; i < reply->n_reports; i++) {
        take_report(r, reply->reports[i]);
    }
}

/* The worst of all databases. */
static int judge(const struct rehearsing *r)
{
    int status = json_array_size(r->differences) > 0 ? CLI_MOVED : CLI_DONE;
    for (size_t i = 0; i < json_array_size(r->reports); i++) {
        int one = rehearsal_status(json_array_get(r->reports, i));
        status = status == CLI_FAILED || one == CLI_DONE ? status : one;
    }
    return status;
}

static void print(const struct rehearsing *r)
{
    struct arena *arena = r->context->arena;
    for (size_t i = 0; i < json_array_size(r->reports); i++) {
        const json_t *report = json_array_get(r->reports, i);
        const json_t *error = json_object_get(report, "error");
        if (i > 0) {
            putchar('\n');
        }
        rehearsal_print(arena, report);
        if (json_is_object(error)) {
            fflush(stdout);
            say("%s", json_string_value(json_object_get(error, "message")));
        }
    }
    if (json_array_size(r->reports) == 0 && json_array_size(r->differences) == 0) {
        puts("nothing to rehearse: the plan migrates no database");
    }
}

static int report(struct rehearsing *r)
{
    struct context *c = r->context;
    struct error e = {0};
    const char *path = args_text(&c->args, "output");
    int status = judge(r);
    json_t *json = json_pack("{s:O, s:O}", "reports", r->reports, "differences", r->differences);
    if (path != NULL && rehearsal_write(path, json, &e) < 0) {
        say_error(&e);
        status = status == CLI_DONE ? CLI_FAILED : status;
    }
    if (c->json) {
        print_json(json);
    } else {
        print(r);
        json_decref(json);
    }
    return status;
}

static int start(struct context *c, const Lockstep__V1__RehearseRequest *request)
{
    struct remote remote;
    struct error e = {0};
    struct rehearsing r = {
        .context = c, .differences = json_array(), .reports = json_array(), .at_ms = act_now_ms()};
    int status = remote_open(c, &remote);
    if (status == 0) {
        int result = remote_stream(&remote, "RehearseDatabases", &request->base,
                                   &lockstep__v1__rehearse_reply__descriptor, seen, &r, &e);
        progress_end(&r.progress);
        status = result < 0 ? remote_fail(&remote, &e) : r.complaints > 0 ? CLI_FAILED : CLI_DONE;
    }
    if (status == CLI_DONE && r.over) {
        status = report(&r);
    }
    remote_close(&remote);
    json_decref(r.differences);
    json_decref(r.reports);
    return status;
}

static int read_limits(struct context *c, Lockstep__V1__RehearseRequest *request)
{
    const char *within = args_text(&c->args, "within");
    const char *rows = args_text(&c->args, "rows-up-to");
    if (within != NULL &&
        (!str_to_duration_ms(within, &request->within_ms) || request->within_ms == 0)) {
        say("--within wants a duration like 30m or 2h, not \"%s\"", within);
        return CLI_WRONG_USE;
    }
    if (rows != NULL && !rehearsal_read_bytes(rows, &request->rows_up_to)) {
        say("--rows-up-to wants a size like 500MB or 2GB, not \"%s\"", rows);
        return CLI_WRONG_USE;
    }
    return CLI_DONE;
}

int rehearse_databases(struct context *c)
{
    struct subject subject = {0};
    Lockstep__V1__RehearseRequest request = LOCKSTEP__V1__REHEARSE_REQUEST__INIT;
    const char *to = args_text(&c->args, "to");
    const char *only = args_text(&c->args, "only");
    int status = read_limits(c, &request);
    status = status != 0 ? status : subject_read(c, args_operand(&c->args, 0), &subject);
    if (status == 0 && subject.plan.len > 0 && to != NULL) {
        say("a plan goes where it says: leave --to out, or make another plan");
        status = CLI_WRONG_USE;
    }
    if (status != 0) {
        return status;
    }
    request.bundle = subject.bundle;
    request.cluster = subject.cluster != NULL ? (char *)subject.cluster : "";
    request.plan =
        (ProtobufCBinaryData){.data = (uint8_t *)subject.plan.data, .len = subject.plan.len};
    request.to = to != NULL ? (char *)to : "";
    request.one_way = args_flag(&c->args, "one-way");
    if (only != NULL) {
        request.n_databases = args_list(c->arena, only, &request.databases);
    }
    return start(c, &request);
}
