/* Owns `rehearse`: what a plan would come to, told before anything runs: if a step failed, or its migrations on clones. */
#include "cli/output.h"
#include "cli/planned.h"
#include "cli/rehearse_databases.h"
#include "cli/rehearse_steps.h"
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

static int rehearse_plan(struct context *c)
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
    return rehearse_steps(c, &plan, planned.id,
                          args_flag(&c->args, "no-answer") ? REHEARSAL_NO_ANSWER : REHEARSAL_FAILS);
}

static int rehearse(struct context *c)
{
    static const char *const with_it[] = {"only", "one-way", "rows-up-to", "within", "output"};
    bool databases = args_flag(&c->args, "database");
    if (databases && args_flag(&c->args, "no-answer")) {
        say("--no-answer is about the steps of a plan: leave it or --database out");
        return CLI_WRONG_USE;
    }
    for (size_t i = 0; !databases && i < ARRAY_SIZE(with_it); i++) {
        if (args_flag(&c->args, with_it[i]) || args_text(&c->args, with_it[i]) != NULL) {
            say("--%s goes with --database", with_it[i]);
            return CLI_WRONG_USE;
        }
    }
    return databases ? rehearse_databases(c) : rehearse_plan(c);
}

static const struct option_spec rehearse_options[] = {
    {"to", 0, "VERSION", "another version than the file's"},
    {"no-answer", 0, NULL, "the step is never answered, instead of failing"},
    {"database", 0, NULL, "the plan's migrations, on clones of its databases"},
    {"only", 0, "NAME[,NAME]", "these databases; default: all that the plan migrates"},
    {"one-way", 0, NULL, "do not go back: only times and locks"},
    {"rows-up-to", 0, "BYTES", "compare the rows of tables up to this size (256MB)"},
    {"within", 0, "DURATION", "how long each database may take (6h)"},
    {"output", 'o', "FILE", "write the reports into a file too, as --json prints them"},
};

const struct verb verb_rehearse = {
    .name = "rehearse",
    .usage = "PLAN|CLUSTER.yaml [--to VERSION] [--no-answer | --database [--only NAME[,NAME]] …]",
    .summary = "show what each step's failure would come to, or run the migrations on clones",
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
        "locked}], does, words: [{word, taken, why}]}]}\n"
        "\n"
        "--database: plans as `plan` does, or takes a plan that was made; then, for each database "
        "that it "
        "migrates, clones\n"
        "it from a dump at its own place (lockstepd, or the node that its via: names), runs all "
        "the "
        "plan's\n"
        "migrations on the clone, and goes back. Prints what `db rehearse` prints: how long each "
        "took, which\n"
        "locks made others wait, what it wrote anew, and what the way back does not restore. From "
        "then on\n"
        "`plan` says how long the migrations will take.\n"
        "\n"
        "No service is touched, and the database itself is only read. The clone is a new database "
        "beside it (of\n"
        "SQLite a file in the place's state directory), or the empty one that rehearse_on: of the "
        "Cluster names.\n"
        "It is removed at the end, and when this command or the controller is killed; what a place "
        "that was\n"
        "killed itself has left, the next rehearsal of that database removes. A run of the cluster "
        "that begins\n"
        "meanwhile goes first, and ends the rehearsal. It takes the role of an operator.\n"
        "\n"
        "Ends with 1 when a migration failed, with 6 when something was not restored, or when the "
        "cluster has\n"
        "moved since the plan was made.\n"
        "\n"
        "--database --json: {reports: [{database, by, state, clone: {name, bytes, ms}, migrations, "
        "… as `db "
        "rehearse --json`}],\n"
        "differences}\n",
    .example =
        "  lockstep rehearse down.json     # made by lockstep plan chat-prod.yaml -o down.json\n"
        "  lockstep rehearse --database down.json\n",
    .options = rehearse_options,
    .option_count = ARRAY_SIZE(rehearse_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = rehearse,
};
