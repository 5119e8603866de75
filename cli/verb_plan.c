/* Owns `plan`: the way to the wanted version, shown before anything runs. */
#include "cli/bundle.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/plan/plan.h"

#define PIPE_COLUMNS   100
#define PLAN_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct planning {
    struct context *context;
    struct progress progress;
    size_t complaints;
    struct bytes plan; /* in the arena */
    const char *id;
    bool nothing_to_do;
};

static void seen(void *context, const ProtobufCMessage *message)
{
    struct planning *p = context;
    struct arena *arena = p->context->arena;
    const Lockstep__V1__PlanReply *reply = (const Lockstep__V1__PlanReply *)message;
    if (!str_empty(reply->progress)) {
        progress_show(&p->progress, reply->progress);
        return;
    }
    progress_end(&p->progress);
    p->complaints += reply->n_complaints;
    bundle_say_complaints(arena, reply->complaints, reply->n_complaints);
    if (reply->plan.len > 0) {
        p->plan.data =
            (const uint8_t *)arena_strndup(arena, (const char *)reply->plan.data, reply->plan.len);
        p->plan.len = reply->plan.len;
        p->id = arena_strdup(arena, reply->id);
        p->nothing_to_do = reply->nothing_to_do;
    }
}

static int show(struct planning *p)
{
    struct context *c = p->context;
    struct error e = {0};
    struct plan plan = {0};
    const char *file = args_text(&c->args, "output");
    if (file != NULL && file_write(file, p->plan.data, p->plan.len, 0644, &e) < 0) {
        say_error(&e);
        return CLI_FAILED;
    }
    if (c->json) {
        fwrite(p->plan.data, 1, p->plan.len, stdout);
        putchar('\n');
        return CLI_DONE;
    }
    if (plan_from_json(c->arena, (const char *)p->plan.data, p->plan.len, &plan, &e) < 0) {
        error_wrap(&e, "the controller's plan cannot be read (is it of another version?)");
        say_error(&e);
        return CLI_FAILED;
    }
    if (p->nothing_to_do) {
        printf("nothing to do: %s runs %s %s\n", plan.cluster, plan.application, plan.to);
        return CLI_DONE;
    }
    struct buf out;
    buf_init(&out, c->arena, PLAN_BYTES_MAX);
    plan_render(&plan, p->id, terminal_columns(PIPE_COLUMNS), c->arena, &out);
    fputs(buf_text(&out), stdout);
    return CLI_DONE;
}

static int ask(struct context *c, struct remote *r, const struct subject *subject)
{
    struct error e = {0};
    struct planning p = {.context = c};
    const char *to = args_text(&c->args, "to");
    Lockstep__V1__PlanRequest request = LOCKSTEP__V1__PLAN_REQUEST__INIT;
    request.bundle = subject->bundle;
    request.cluster = subject->cluster != NULL ? (char *)subject->cluster : "";
    request.to = to != NULL ? (char *)to : "";
    int result = remote_stream(r, "Plan", &request.base, &lockstep__v1__plan_reply__descriptor,
                               seen, &p, &e);
    progress_end(&p.progress);
    if (result < 0) {
        return remote_fail(r, &e);
    }
    if (p.complaints > 0) {
        return CLI_FAILED;
    }
    if (p.plan.len == 0) {
        say("the controller gave no plan and no reason");
        return CLI_FAILED;
    }
    return show(&p);
}

static int plan(struct context *c)
{
    struct subject subject = {0};
    int status = subject_read(c, args_operand(&c->args, 0), &subject);
    if (status == 0 && subject.plan.len > 0) {
        say("%s is a plan already: lockstep apply %s", args_operand(&c->args, 0),
            args_operand(&c->args, 0));
        status = CLI_WRONG_USE;
    }
    if (status != 0) {
        return status;
    }
    struct remote r;
    status = remote_open(c, &r);
    if (status == 0) {
        status = ask(c, &r, &subject);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec plan_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"output", 'o', "FILE", "write the plan there, for `lockstep apply FILE`"},
};

const struct verb verb_plan = {
    .name = "plan",
    .usage = "CLUSTER.yaml [--to VERSION] [-o FILE]",
    .summary = "show the way from what runs to what is wanted",
    .about = "Asks the nodes and databases what they run, and prints the steps to the version that "
             "the file\n"
             "says; nothing is changed. Instead of a file, the name of a cluster that the "
             "controller holds.\n"
             "The plan is canonical JSON; its id is the SHA-256 of it.\n"
             "\n"
             "--json: that JSON, as `-o` writes it.\n",
    .example =
        "  lockstep plan chat-prod.yaml\n"
        "  lockstep plan chat-prod.yaml --to 7.8.15 -o down.json && lockstep apply down.json\n",
    .options = plan_options,
    .option_count = ARRAY_SIZE(plan_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = plan,
};
