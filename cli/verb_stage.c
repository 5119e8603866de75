/* Owns `stage`: what may run ahead of an apply, and its removal. */
#include "cli/applying.h"
#include "cli/output.h"
#include "cli/subject.h"
#include "cli/verbs.h"

static int stage(struct context *c)
{
    struct subject subject = {0};
    const char *to = args_text(&c->args, "to");
    int status = subject_read(c, args_operand(&c->args, 0), &subject);
    if (status == 0 && subject.plan.len > 0 && to != NULL) {
        say("a plan goes where it says: leave --to out, or make another plan");
        status = CLI_WRONG_USE;
    }
    if (status != 0) {
        return status;
    }
    Lockstep__V1__ApplyRequest request = LOCKSTEP__V1__APPLY_REQUEST__INIT;
    request.bundle = subject.bundle;
    request.cluster = subject.cluster != NULL ? (char *)subject.cluster : "";
    request.plan =
        (ProtobufCBinaryData){.data = (uint8_t *)subject.plan.data, .len = subject.plan.len};
    request.to = to != NULL ? (char *)to : "";
    request.drop = args_flag(&c->args, "drop");
    request.stage = !request.drop;
    struct remote r;
    status = remote_open(c, &r);
    if (status == 0) {
        status = applying_run(c, &r, &request);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec stage_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"drop", 0, NULL, "take off again what was staged for this way"},
    APPLYING_OPTIONS,
};

const struct verb verb_stage = {
    .name = "stage",
    .usage = "CLUSTER.yaml|PLAN [--to VERSION] [--drop] [--detach]",
    .summary = "put the releases of a way on the nodes, and do nothing else",
    .about = "Stage today, apply tomorrow: plans like `apply`, and runs only the preflight and the "
             "staging of that\n"
             "plan, as a run of its own. No service is touched, and what is wanted stays as it is. "
             "A later `apply`,\n"
             "of the same plan or another one, finds the releases there. They stay until they are "
             "used, until so\n"
             "many newer ones are kept (keep_releases), or until --drop.\n"
             "\n"
             "--json: the lines of `apply`.\n",
    .example = "  lockstep stage chat-prod.yaml\n"
               "  lockstep plan chat-prod.yaml -o up.json && lockstep stage up.json\n"
               "  lockstep apply up.json\n"
               "  lockstep stage --drop up.json\n",
    .options = stage_options,
    .option_count = ARRAY_SIZE(stage_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = stage,
};
