/* Owns `rehearse`: what a plan would come to if something failed, told before anything runs. */
#include "cli/output.h"
#include "cli/planned.h"
#include "cli/rehearsed.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "lib/io/platform/digest.h"

static int ask(struct context *c, const struct subject *subject, struct planned *ret)
{
    struct remote r;
    int status = remote_open(c, &r);
    if (status == CLI_DONE) {
        const char *to = args_text(&c->args, "to");
        Lockstep__V1__PlanRequest request = LOCKSTEP__V1__PLAN_REQUEST__INIT;
        request.bundle = subject->bundle;
        request.cluster = subject->cluster != NULL ? (char *)subject->cluster : "";
        request.to = to != NULL ? (char *)to : "";
        status = planned_ask(c, &r, &request, ret);
    }
    remote_close(&r);
    return status;
}

static int rehearse(struct context *c)
{
    struct error e = {0};
    struct subject subject = {0};
    struct planned planned = {0};
    struct plan plan = {0};
    int status = subject_read(c, args_operand(&c->args, 0), &subject);
    if (status != CLI_DONE) {
        return status;
    }
    if (subject.plan.len > 0 && args_text(&c->args, "to") != NULL) {
        say("a plan goes where it says: leave --to out, or make another plan");
        return CLI_WRONG_USE;
    }
    if (subject.plan.len > 0) {
        planned.plan = subject.plan;
        char *id = arena_alloc(c->arena, DIGEST_HEX_BYTES);
        digest_bytes_hex(subject.plan.data, subject.plan.len, id);
        planned.id = id;
    } else {
        status = ask(c, &subject, &planned);
    }
    if (status != CLI_DONE) {
        return status;
    }
    if (plan_from_json(c->arena, (const char *)planned.plan.data, planned.plan.len, &plan, &e) <
        0) {
        error_wrap(&e, "%s", args_operand(&c->args, 0));
        say_error(&e);
        return CLI_FAILED;
    }
    if (plan_is_empty(&plan)) {
        say("nothing to rehearse: %s runs %s %s", plan.cluster, plan.application, plan.to);
        return CLI_DONE;
    }
    return rehearsed_print(c, &plan, planned.id,
                           args_flag(&c->args, "no-answer") ? REHEARSAL_NO_ANSWER
                                                            : REHEARSAL_FAILS);
}

static const struct option_spec rehearse_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"no-answer", 0, NULL, "the step is never answered, instead of failing"},
};

const struct verb verb_rehearse = {
    .name = "rehearse",
    .usage = "PLAN|CLUSTER.yaml [--to VERSION] [--no-answer]",
    .summary = "show what each step's failure would come to",
    .about =
        "Walks a plan with the controller's own engine over a pretended cluster, once for each "
        "step, in which\n"
        "all goes well but for that step at the first node of its set. Two columns: the step, "
        "and what the\n"
        "cluster would be like then with what Lockstep would do: try again, pause and for which "
        "words, go back.\n"
        "Nothing is asked, changed or run; a plan of `lockstep plan -o` needs no controller.\n"
        "\n"
        "--no-answer: the node is there, and never says how the step ended.\n"
        "\n"
        "--json: {plan, cluster, fault, steps: [{hop, phase, step, title, place, state, "
        "attempts, waited_ms,\n"
        "rolls_back, nodes: [{name, release, running, may_start}], databases: [{name, schema, "
        "toward, restoring,\n"
        "locked}], does, words: [{word, taken, why}]}]}\n",
    .example = "  lockstep plan chat-prod.yaml --to 7.8.15 -o down.json\n"
               "  lockstep rehearse down.json\n",
    .options = rehearse_options,
    .option_count = ARRAY_SIZE(rehearse_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = rehearse,
};
