/* Owns `plan`: the way to the wanted version, shown before anything runs. */
#include "cli/output.h"
#include "cli/planned.h"
#include "cli/remote.h"
#include "cli/subject.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

static int show(struct context *c, const struct planned *planned)
{
    struct error e = {0};
    const char *file = args_text(&c->args, "output");
    if (file != NULL && write_output(file, planned->plan.data, planned->plan.len, &e) < 0) {
        say_error(&e);
        return CLI_FAILED;
    }
    if (c->json) {
        fwrite(planned->plan.data, 1, planned->plan.len, stdout);
        putchar('\n');
        if (!str_empty(planned->quarantine)) {
            say("in quarantine: %s; apply wants --despite REASON", planned->quarantine);
        }
        return CLI_DONE;
    }
    return planned_print(c, planned);
}

static int ask(struct context *c, struct remote *r, const struct subject *subject)
{
    struct planned planned = {0};
    const char *to = args_text(&c->args, "to");
    Lockstep__V1__PlanRequest request = LOCKSTEP__V1__PLAN_REQUEST__INIT;
    request.bundle = subject->bundle;
    request.cluster = subject->cluster != NULL ? (char *)subject->cluster : "";
    request.to = to != NULL ? (char *)to : "";
    int status = planned_ask(c, r, &request, &planned);
    return status == CLI_DONE ? show(c, &planned) : status;
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
    .about =
        "Asks the nodes and databases what they run, and prints the steps to the version that "
        "the file\n"
        "says; nothing is changed. Instead of a file, the name of a cluster that the "
        "controller holds.\n"
        "The plan is canonical JSON; its id is the SHA-256 of it.\n"
        "\n"
        "The first line says how long it will take, and how long the service is down where all "
        "goes down at once, from\n"
        "what the same steps took in earlier runs (`lockstep history --steps`), node by node; a "
        "migration by its\n"
        "script, in a run or when it was rehearsed (`lockstep rehearse --database`). \"for 9 of 12 "
        "steps\" is without\n"
        "the three that nobody has measured. Waiting at gates and for windows is not in it. The "
        "times are no part of\n"
        "the plan.\n"
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
