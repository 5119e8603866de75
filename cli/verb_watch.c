/* Owns `apply` and `watch`: starting a run, and following one. */
#include "cli/applying.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/watch.h"

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
    {"stay", 0, NULL, "stay through pauses and gates, until the run has ended"},
};

const struct verb verb_watch = {
    .name = "watch",
    .usage = "[RUN|CLUSTER] [--summary] [--stay]",
    .summary = "follow a run; the newest when none is named",
    .about =
        "Shows what happened and what happens: in a terminal a picture that is redrawn, else a "
        "line for\n"
        "each step that ended. It ends with the run, or when a person has to answer: when the run "
        "is paused, or\n"
        "waits at a gate (exit status 3; --stay watches on). A run that is taken back goes over "
        "into the run that\n"
        "does it: exit status 8 when all is as it was before. When that cannot be planned, it says "
        "why, and ends\n"
        "after 10 s with exit status 3. Ctrl-C ends the watching, never the run (exit status 130). "
        "When the\n"
        "controller goes away it is tried again for 60 s.\n"
        "\n"
        "Where earlier runs have shown how long steps take, it says how long the run will still "
        "take, and \"longer than\n"
        "usual\" while a step takes longer than it ever did.\n"
        "\n"
        "--json: one object a line: {\"event\": \"run\" | \"phase\" | \"step\" | \"state\" | "
        "\"line\" |\n"
        "\"word\" | \"back\", number, at_ms, ...}; number 0 is progress, which is not kept; "
        "\"run\" and\n"
        "\"phase\" have left_ms (null: not known), longer_than_usual and unmeasured, the number of "
        "steps that are not in it. With "
        "--summary the last line is\n"
        "{\"event\": \"summary\", once, per_node, down}.\n",
    .example = "  lockstep watch chat-prod --summary\n",
    .options = watch_options,
    .option_count = ARRAY_SIZE(watch_options),
    .operands_max = 1,
    .remote = true,
    .run = watch,
};

/* ---- apply ---- */

static int apply(struct context *c)
{
    struct subject subject = {0};
    const char *to = args_text(&c->args, "to");
    const char *despite = args_text(&c->args, "despite");
    int status = subject_read(c, args_operand(&c->args, 0), &subject);
    if (status == 0 && subject.plan.len > 0 && to != NULL) {
        say("a plan goes where it says: leave --to out, or make another plan");
        status = CLI_WRONG_USE;
    }
    if (status == 0 && despite != NULL && despite[0] == '\0') {
        say("--despite wants the reason");
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
    request.acknowledged = args_flag(&c->args, "ack");
    request.despite = despite != NULL ? (char *)despite : "";
    struct remote r;
    status = remote_open(c, &r);
    if (status == 0) {
        status = applying_run(c, &r, &request);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec apply_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"ack", 0, NULL, "the release notes that ask for it have been read"},
    {"despite", 0, "REASON", "try again what is in quarantine; kept in the journal with your name"},
    {"message", 'm', "TEXT", "why, for the history of the cluster"},
    APPLYING_OPTIONS,
};

const struct verb verb_apply = {
    .name = "apply",
    .usage = "CLUSTER.yaml|PLAN [--to VERSION] [--ack] [--despite REASON] [--detach]",
    .summary = "go to what is wanted, and watch",
    .about = "Plans from what runs to the version that the file says, starts the run and watches "
             "it like\n"
             "`watch`; the exit status comes from how the run ends. A plan file (of `lockstep plan "
             "-o`) is run as\n"
             "it is, and refused when the cluster has moved since (exit status 6). Instead of a "
             "file, the name\n"
             "of a cluster that the controller holds.\n"
             "\n"
             "What failed is in quarantine: when a step failed and the run was taken back or "
             "aborted, the same way\n"
             "with the same specs is refused until it is said with --despite why it may work now. "
             "Changed specs or\n"
             "another release are another attempt. A run that was aborted without a failure, one "
             "that failed before\n"
             "anything was touched, and every way back are never in quarantine.\n"
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
