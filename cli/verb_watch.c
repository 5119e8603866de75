/* Owns `apply` and `watch`: starting a run, and following one. */
#include "cli/bundle.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/watch.h"
#include "lib/base/str.h"

/* ---- watch ---- */

static int watch(struct context *c)
{
    const struct watch_request request = {.run = args_operand(&c->args, 0),
                                          .summary = args_flag(&c->args, "summary"),
                                          .stay = args_flag(&c->args, "stay")};
    struct remote r;
    int status = remote_open(c, &r);
    if (status == 0) {
        status = watch_follow(c, &r, &request);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec watch_options[] = {
    {"summary", 0, NULL,
     "at the end: what ran once, what ran on each node, how long each was down"},
    {"stay", 0, NULL, "stay through pauses, until the run has ended"},
};

const struct verb verb_watch = {
    .name = "watch",
    .usage = "[RUN|CLUSTER] [--summary] [--stay]",
    .summary = "follow a run; the newest when none is named",
    .about =
        "Shows what happened and what happens: in a terminal a picture that is redrawn, else a "
        "line for\n"
        "each step that ended. It ends with the run, or when the run is paused. Ctrl-C ends the "
        "watching,\n"
        "never the run (exit status 130). When the controller goes away it is tried again for 60 "
        "s.\n"
        "\n"
        "--json: one object a line: {\"event\": \"run\" | \"phase\" | \"step\" | \"state\" | "
        "\"line\", number,\n"
        "at_ms, ...}; number 0 is progress, which is not kept. With --summary the last line is\n"
        "{\"event\": \"summary\", once, per_node, down}.\n",
    .example = "  lockstep watch chat-prod --summary\n",
    .options = watch_options,
    .option_count = ARRAY_SIZE(watch_options),
    .operands_max = 1,
    .remote = true,
    .run = watch,
};

/* ---- apply ---- */

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

static int start(struct context *c, struct remote *r, const struct subject *subject,
                 struct applying *a)
{
    struct error e = {0};
    const char *to = args_text(&c->args, "to");
    Lockstep__V1__ApplyRequest request = LOCKSTEP__V1__APPLY_REQUEST__INIT;
    request.bundle = subject->bundle;
    request.cluster = subject->cluster != NULL ? (char *)subject->cluster : "";
    request.plan =
        (ProtobufCBinaryData){.data = (uint8_t *)subject->plan.data, .len = subject->plan.len};
    request.to = to != NULL ? (char *)to : "";
    request.acknowledged = args_flag(&c->args, "ack");
    int result = remote_stream(r, "Apply", &request.base, &lockstep__v1__apply_reply__descriptor,
                               seen, a, &e);
    progress_end(&a->progress);
    return result < 0 ? remote_fail(r, &e) : judge(a);
}

static int apply(struct context *c)
{
    struct subject subject = {0};
    int status = subject_read(c, args_operand(&c->args, 0), &subject);
    if (status == 0 && subject.plan.len > 0 && args_text(&c->args, "to") != NULL) {
        say("a plan goes where it says: leave --to out, or make another plan");
        status = CLI_WRONG_USE;
    }
    if (status != 0) {
        return status;
    }
    struct remote r;
    struct applying a = {.context = c, .moved = json_array()};
    status = remote_open(c, &r);
    if (status == 0) {
        status = start(c, &r, &subject, &a);
        if (status == CLI_DONE || status == CLI_MOVED) {
            report(&a);
        }
    }
    if (status == CLI_DONE && a.run != NULL && !args_flag(&c->args, "detach")) {
        const struct watch_request request = {.run = a.run,
                                              .summary = args_flag(&c->args, "summary"),
                                              .stay = args_flag(&c->args, "stay")};
        status = watch_follow(c, &r, &request);
    }
    json_decref(a.moved);
    remote_close(&r);
    return status;
}

static const struct option_spec apply_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"ack", 0, NULL, "the release notes that ask for it have been read"},
    {"detach", 0, NULL, "start the run and do not watch it"},
    {"message", 'm', "TEXT", "why, for the history of the cluster"},
    {"summary", 0, NULL,
     "at the end: what ran once, what ran on each node, how long each was down"},
    {"stay", 0, NULL, "watch through pauses, until the run has ended"},
};

const struct verb verb_apply = {
    .name = "apply",
    .usage = "CLUSTER.yaml|PLAN [--to VERSION] [--ack] [--detach]",
    .summary = "go to what is wanted, and watch",
    .about = "Plans from what runs to the version that the file says, starts the run and watches "
             "it like\n"
             "`watch`; the exit status comes from how the run ends. A plan file (of `lockstep plan "
             "-o`) is run as\n"
             "it is, and refused when the cluster has moved since (exit status 6). Instead of a "
             "file, the name\n"
             "of a cluster that the controller holds.\n"
             "\n"
             "--json: {\"event\": \"apply\", run, plan_id, nothing_to_do, differences}, then the "
             "lines of `watch`.\n",
    .example = "  lockstep apply chat-prod.yaml --summary\n"
               "  lockstep apply down.json --detach\n",
    .options = apply_options,
    .option_count = ARRAY_SIZE(apply_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = apply,
};
