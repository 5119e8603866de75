/* Owns the talk about one plan: progress, complaints, the plan in words. A plan is passed on byte for byte. */
#include "cli/planned.h"

#include "cli/bundle.h"
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

/* The newest of the rehearsals gives the words. */
static struct known_durations known_of(struct arena *arena, const Lockstep__V1__PlanReply *reply)
{
    struct known_duration *items =
        ARENA_ARRAY(arena, reply->n_rehearsed + 1, struct known_duration);
    int64_t at_ms = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < reply->n_rehearsed; i++) {
        const Lockstep__V1__Rehearsed *one = reply->rehearsed[i];
        items[i] = (struct known_duration){.database = arena_strdup(arena, one->database),
                                           .sha256 = arena_strdup(arena, one->sha256),
                                           .ms = one->ms};
        bytes = one->at_ms > at_ms ? one->bytes : bytes;
        at_ms = MAX(at_ms, one->at_ms);
    }
    return (struct known_durations){
        .items = items,
        .count = reply->n_rehearsed,
        .source = arena_printf(arena, "rehearsed %s on %s", time_text(arena, at_ms),
                               str_bytes(arena, (uint64_t)MAX(bytes, 0)))};
}

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
                                       .known = known_of(a->arena, reply)};
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
