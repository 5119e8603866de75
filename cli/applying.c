/* Owns the start of a run as the command sees it: progress, complaints, how the cluster has moved, the watching after it. */
#include "cli/applying.h"

#include "cli/bundle.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/watch.h"
#include "lib/base/str.h"

struct applying {
    struct context *context;
    struct progress progress;
    size_t complaints;
    size_t differences;
    json_t *moved; /* the differences */
    const char *run;
    const char *plan_id;
    bool nothing_to_do;
};

static void seen(void *context, const ProtobufCMessage *message)
{
    struct applying *a = context;
    struct arena *arena = a->context->arena;
    const Lockstep__V1__ApplyReply *reply = (const Lockstep__V1__ApplyReply *)message;
    if (!str_empty(reply->progress)) {
        progress_show(&a->progress, reply->progress);
        return;
    }
    progress_end(&a->progress);
    a->complaints += reply->n_complaints;
    bundle_say_complaints(arena, reply->complaints, reply->n_complaints);
    for (size_t i = 0; i < reply->n_differences; i++) {
        if (a->differences++ == 0) {
            say("the cluster has moved since the plan was made:");
        }
        fprintf(stderr, "  %s\n", reply->differences[i]);
        json_array_append_new(a->moved, json_text(reply->differences[i]));
    }
    a->run = str_empty(reply->run) ? a->run : arena_strdup(arena, reply->run);
    a->plan_id = str_empty(reply->plan_id) ? a->plan_id : arena_strdup(arena, reply->plan_id);
    a->nothing_to_do = a->nothing_to_do || reply->nothing_to_do;
}

/* What came of it, before any watching. */
static void report(const struct applying *a)
{
    if (a->context->json) {
        print_json(json_pack("{s:s, s:o, s:o, s:b, s:O}", "event", "apply", "run",
                             json_text(a->run), "plan_id", json_text(a->plan_id), "nothing_to_do",
                             a->nothing_to_do ? 1 : 0, "differences", a->moved));
    } else if (a->nothing_to_do) {
        puts("nothing to do: it is as wanted");
    } else if (a->run != NULL) {
        printf("run %s\n", a->run);
    }
    fflush(stdout);
}

static int judge(const struct applying *a)
{
    if (a->complaints > 0) {
        return CLI_FAILED;
    }
    if (a->differences > 0) {
        fputs("  make a new plan: lockstep plan\n", stderr);
        return CLI_MOVED;
    }
    if (a->run == NULL && !a->nothing_to_do) {
        say("the controller started no run and gave no reason");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int start(struct remote *r, const Lockstep__V1__ApplyRequest *request, struct applying *a)
{
    struct error e = {0};
    int result = remote_stream(r, "Apply", &request->base, &lockstep__v1__apply_reply__descriptor,
                               seen, a, &e);
    progress_end(&a->progress);
    return result < 0 ? remote_fail(r, &e) : judge(a);
}

int applying_run(struct context *c, struct remote *r, const Lockstep__V1__ApplyRequest *request)
{
    struct applying a = {.context = c, .moved = json_array()};
    int status = start(r, request, &a);
    if (status == CLI_DONE || status == CLI_MOVED) {
        report(&a);
    }
    if (status == CLI_DONE && a.run != NULL && !args_flag(&c->args, "detach")) {
        const struct watch_request watch = {.run = a.run,
                                            .summary = args_flag(&c->args, "summary"),
                                            .stay = args_flag(&c->args, "stay")};
        status = watch_follow(c, r, &watch);
    }
    json_decref(a.moved);
    return status;
}
