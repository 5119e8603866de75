/* Owns the talk about one plan: progress, complaints, the plan in words. A plan is passed on byte for byte. */
#include "cli/planned.h"

#include "cli/bundle.h"
#include "cli/known.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/plan/plan.h"

#define PIPE_COLUMNS   100
#define PLAN_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct asking {
    struct arena *arena;
    struct progress progress;
    size_t complaints;
    struct planned *planned;
};

static void seen(void *context, const ProtobufCMessage *message)
{
    struct asking *a = context;
    const Lockstep__V1__PlanReply *reply = (const Lockstep__V1__PlanReply *)message;
    if (!str_empty(reply->progress)) {
        progress_show(&a->progress, reply->progress);
        return;
    }
    progress_end(&a->progress);
    a->complaints += reply->n_complaints;
    bundle_say_complaints(a->arena, reply->complaints, reply->n_complaints);
    if (reply->plan.len > 0) {
        const char *plan = arena_strndup(a->arena, (const char *)reply->plan.data, reply->plan.len);
        *a->planned = (struct planned){.plan = {(const uint8_t *)plan, reply->plan.len},
                                       .id = arena_strdup(a->arena, reply->id),
                                       .quarantine = arena_strdup(a->arena, reply->quarantine),
                                       .nothing_to_do = reply->nothing_to_do,
                                       .known = known_read(a->arena, reply->known, reply->n_known)};
    }
}

int planned_ask(struct context *c, struct remote *r, const Lockstep__V1__PlanRequest *request,
                struct planned *ret)
{
    struct error e = {0};
    struct asking a = {.arena = c->arena, .planned = ret};
    int result = remote_stream(r, "Plan", &request->base, &lockstep__v1__plan_reply__descriptor,
                               seen, &a, &e);
    progress_end(&a.progress);
    if (result < 0) {
        return remote_fail(r, &e);
    }
    if (a.complaints > 0) {
        return CLI_FAILED;
    }
    if (ret->plan.len == 0) {
        say("the controller gave no plan and no reason");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

int planned_print(struct context *c, const struct planned *planned)
{
    struct error e = {0};
    struct plan plan = {0};
    if (plan_from_json(c->arena, (const char *)planned->plan.data, planned->plan.len, &plan, &e) <
        0) {
        error_wrap(&e, "the controller's plan cannot be read (is it of another version?)");
        say_error(&e);
        return CLI_FAILED;
    }
    if (planned->nothing_to_do) {
        printf("nothing to do: %s runs %s %s\n", plan.cluster, plan.application, plan.to);
        return CLI_DONE;
    }
    struct buf out;
    buf_init(&out, c->arena, PLAN_BYTES_MAX);
    plan_render(&plan, planned->id, terminal_columns(PIPE_COLUMNS), &planned->known, c->arena,
                &out);
    fputs(buf_text(&out), stdout);
    if (!str_empty(planned->quarantine)) {
        printf("in quarantine: %s; apply wants --despite REASON\n", planned->quarantine);
    }
    return CLI_DONE;
}
