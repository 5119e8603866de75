/*
 * Owns `restore`: the way back past the point of no return. It shows the plan that puts the databases back to a run's backups,
 * asks, and applies that plan and no other.
 */
#include <stdio.h>

#include "cli/applying.h"
#include "cli/output.h"
#include "cli/planned.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define ANSWER_BYTES 16

/* On a terminal a person answers; anywhere else --yes does. */
static bool confirmed(struct context *c)
{
    char answer[ANSWER_BYTES] = "";
    if (args_flag(&c->args, "yes")) {
        return true;
    }
    if (!is_terminal(stdin) || c->json) {
        say("nothing was started: say --yes to apply this plan, or write it with -o FILE and "
            "`lockstep apply FILE`");
        return false;
    }
    fflush(stdout);
    fputs("apply this plan? yes/no: ", stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL ||
        (!str_equal(answer, "yes\n") && !str_equal(answer, "y\n"))) {
        say("nothing was started");
        return false;
    }
    return true;
}

static int show_and_apply(struct context *c, struct remote *r, const struct planned *planned)
{
    struct error e = {0};
    const char *file = args_text(&c->args, "output");
    if (file != NULL && write_output(file, planned->plan.data, planned->plan.len, &e) < 0) {
        say_error(&e);
        return CLI_FAILED;
    }
    if (!c->json) {
        int status = planned_print(c, planned);
        if (status != CLI_DONE) {
            return status;
        }
        putchar('\n');
    }
    if (file != NULL && !args_flag(&c->args, "yes")) {
        return CLI_DONE;
    }
    if (!confirmed(c)) {
        return CLI_WRONG_USE;
    }
    Lockstep__V1__ApplyRequest request = LOCKSTEP__V1__APPLY_REQUEST__INIT;
    request.plan =
        (ProtobufCBinaryData){.data = (uint8_t *)planned->plan.data, .len = planned->plan.len};
    request.acknowledged = args_flag(&c->args, "ack");
    return applying_run(c, r, &request);
}

static int restore(struct context *c)
{
    struct remote r;
    struct planned planned = {0};
    const char *to = args_text(&c->args, "to");
    const char *databases = args_text(&c->args, "only");
    Lockstep__V1__PlanRequest request = LOCKSTEP__V1__PLAN_REQUEST__INIT;
    request.restore_run = (char *)args_operand(&c->args, 0);
    request.to = to != NULL ? (char *)to : "";
    if (databases != NULL) {
        request.n_databases = args_list(c->arena, databases, &request.databases);
    }
    int status = remote_open(c, &r);
    if (status == 0) {
        status = planned_ask(c, &r, &request, &planned);
    }
    if (status == CLI_DONE) {
        status = show_and_apply(c, &r, &planned);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec restore_options[] = {
    {"only", 0, "NAME[,NAME]", "these only; default: all that the run backed up"},
    {"to", 0, "VERSION", "the release to start then; default: the one that ran at the backup"},
    {"output", 'o', "FILE", "write the plan there, for `lockstep apply FILE`; starts nothing"},
    {"yes", 0, NULL, "apply the plan without being asked"},
    {"ack", 0, NULL, "the release notes that ask for it have been read"},
    APPLYING_OPTIONS,
};

const struct verb verb_restore = {
    .name = "restore",
    .usage = "RUN [--only NAME[,NAME]] [--to VERSION] [--yes]",
    .summary = "go back to the backups that a run made",
    .about =
        "The way back past the point of no return. Plans from what is there now: the backups are "
        "looked at\n"
        "before anything stops; then all nodes stop, the sessions are gone, each database is "
        "locked "
        "and put\n"
        "back, and the release that ran when the backups were made is swapped in and started. What "
        "was written\n"
        "since goes. Lockstep's own tables stay, and with them the fence. The site's backup: is "
        "made "
        "before.\n"
        "\n"
        "The plan is shown first, and asked about on a terminal; anywhere else say --yes. A run "
        "that "
        "is paused\n"
        "is ended first (`lockstep abort`). Instead of a run, the name of a cluster: its newest "
        "run.\n"
        "\n"
        "--json: with --yes the lines of `apply`; the plan itself is in the file of -o.\n",
    .example = "  lockstep restore 3f9c01b2\n"
               "  lockstep restore chat-prod --yes --summary\n",
    .options = restore_options,
    .option_count = ARRAY_SIZE(restore_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = restore,
};
