/* Owns the verbs that say a word to a run: abort, retry, skip, exclude, rollback, claim, unclaim, approve. */
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

static bool is_over(const char *state)
{
    return str_equal(state, "succeeded") || str_equal(state, "failed") ||
           str_equal(state, "aborted") || str_equal(state, "incomplete");
}

/* The one run that is not over. A word must never reach a run that nobody meant. */
static int find_only_run(struct context *c, struct remote *r, const char *word, const char **ret)
{
    struct error e = {0};
    const Lockstep__V1__ListClustersRequest request = LOCKSTEP__V1__LIST_CLUSTERS_REQUEST__INIT;
    const Lockstep__V1__ListClustersReply *reply = REMOTE_CALL(
        r, ListClusters, ListClustersReply, list_clusters_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        return remote_fail(r, &e);
    }
    const char **open = ARENA_ARRAY(c->arena, reply->n_clusters + 1, const char *);
    size_t count = 0;
    for (size_t i = 0; i < reply->n_clusters; i++) {
        const Lockstep__V1__ClusterSummary *s = reply->clusters[i];
        if (!str_empty(s->run) && !is_over(s->run_state)) {
            *ret = s->run;
            open[count++] = arena_printf(c->arena, "%s (%s)", s->run, s->name);
        }
    }
    if (count == 0) {
        say("no run is under way: there is nothing to %s", word);
        return CLI_FAILED;
    }
    if (count > 1) {
        say("which run? Under way are %s: lockstep %s RUN", str_join(c->arena, open, count), word);
        return CLI_WRONG_USE;
    }
    return 0;
}

/* What the options bind the word to; what a verb does not know is not given. */
static int read_word(struct context *c, const char *word, Lockstep__V1__WordRequest *request)
{
    const char *const names[] = {"node", "step", "gate", "why"};
    char **fields[] = {&request->node, &request->step, &request->gate, &request->why};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = args_text(&c->args, names[i]);
        if (value != NULL && value[0] == '\0') {
            say("--%s wants something", names[i]);
            return CLI_WRONG_USE;
        }
        *fields[i] = value != NULL ? (char *)value : "";
    }
    const char *length = args_text(&c->args, "for");
    if (length != NULL && (!str_to_duration_ms(length, &request->for_ms) || request->for_ms == 0)) {
        say("--for wants a duration like 30m or 2h, not \"%s\"", length);
        return CLI_WRONG_USE;
    }
    request->word = (char *)word;
    request->force = args_flag(&c->args, "force");
    return 0;
}

static int send_word(struct context *c, const char *word)
{
    struct remote r;
    struct error e = {0};
    Lockstep__V1__WordRequest request = LOCKSTEP__V1__WORD_REQUEST__INIT;
    const char *run = args_operand(&c->args, 0);
    int status = read_word(c, word, &request);
    if (status != 0) {
        return status;
    }
    status = remote_open(c, &r);
    if (status == 0 && run == NULL) {
        status = find_only_run(c, &r, word, &run);
    }
    if (status == 0) {
        request.run = (char *)run;
        const Lockstep__V1__WordReply *reply =
            REMOTE_CALL(&r, Word, WordReply, word_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            print_json(
                json_pack("{s:o, s:o}", "run", json_text(run), "state", json_text(reply->state)));
        } else {
            printf("%s is %s%s; lockstep watch %s\n", run, reply->state,
                   str_equal(word, "rollback") ? ", and is to be taken back" : "", run);
        }
    }
    remote_close(&r);
    return status;
}

#define OPTION_NODE                                                                                \
    {                                                                                              \
        "node", 0, "NODE", "the node, where more than one can be meant"                            \
    }
#define OPTION_STEP                                                                                \
    {                                                                                              \
        "step", 0, "NAME", "refused when another step stands there"                                \
    }
#define OPTION_WHY                                                                                 \
    {                                                                                              \
        "why", 0, "TEXT", "kept in the journal with your name"                                     \
    }
#define OPTION_FORCE                                                                               \
    {                                                                                              \
        "force", 0, NULL, "take over another operator's claim first"                               \
    }

#define ABOUT_END                                                                                  \
    "Without a name: the only run that is under way. A run that another operator has claimed "     \
    "refuses this\n"                                                                               \
    "with that name, until --force takes the claim over.\n"                                        \
    "\n"                                                                                           \
    "--json: {\"run\": NAME, \"state\": STATE}\n"

static int abort_run(struct context *c)
{
    return send_word(c, "abort");
}

static const struct option_spec abort_options[] = {
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_abort = {
    .name = "abort",
    .usage = "[RUN|CLUSTER] [--why TEXT]",
    .summary = "start nothing more of a run",
    .about = "Stops scheduling: what is under way ends by itself, nothing is killed half-way. The "
             "cluster stays\n"
             "where it is; `lockstep apply` plans on from there, up or down. Legal at any time "
             "before the end.\n" ABOUT_END,
    .example = "  lockstep abort chat-prod --why \"wrong night\"\n",
    .options = abort_options,
    .option_count = ARRAY_SIZE(abort_options),
    .operands_max = 1,
    .remote = true,
    .run = abort_run,
};

static int retry_run(struct context *c)
{
    return send_word(c, "retry");
}

static const struct option_spec retry_options[] = {
    OPTION_NODE,
    OPTION_STEP,
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_retry = {
    .name = "retry",
    .usage = "[RUN|CLUSTER] [--node NODE] [--step NAME]",
    .summary = "try again what is in the way of a paused run",
    .about = "Starts the failed steps of a paused run again, and goes on. With --node only that "
             "node's step; the run\n"
             "goes on when nothing else is in the way.\n" ABOUT_END,
    .example = "  lockstep retry chat-prod\n  lockstep retry chat-prod --node app-2\n",
    .options = retry_options,
    .option_count = ARRAY_SIZE(retry_options),
    .operands_max = 1,
    .remote = true,
    .run = retry_run,
};

static int skip_run(struct context *c)
{
    return send_word(c, "skip");
}

static const struct option_spec skip_options[] = {
    OPTION_NODE,
    OPTION_STEP,
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_skip = {
    .name = "skip",
    .usage = "[RUN|CLUSTER] [--node NODE] [--step NAME]",
    .summary = "let a failed step of a paused run count as done",
    .about = "You have looked, or did it by hand: the step that failed counts as done at that "
             "node, with your name and\n"
             "why. Steps that prove what later ones stand on (a migration, a lock, a stop, a swap) "
             "cannot be skipped;\n"
             "the refusal says what to do instead.\n" ABOUT_END,
    .example = "  lockstep skip chat-prod --node app-2 --step health --why \"checked by hand\"\n",
    .options = skip_options,
    .option_count = ARRAY_SIZE(skip_options),
    .operands_max = 1,
    .remote = true,
    .run = skip_run,
};

static int exclude_run(struct context *c)
{
    return send_word(c, "exclude");
}

static const struct option_spec exclude_options[] = {
    OPTION_NODE,
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_exclude = {
    .name = "exclude",
    .usage = "[RUN|CLUSTER] [--node NODE]",
    .summary = "leave a node of a paused run behind",
    .about = "The node takes no further part; the run goes on with the others and ends as "
             "incomplete (exit status 7).\n"
             "While a database still has to move, only a node that has stored that it may start "
             "nothing, and has\n"
             "stopped, can be left behind: no node may ever run a release that does not fit the "
             "schema.\n" ABOUT_END,
    .example = "  lockstep exclude chat-prod --node app-2 --why \"its disk is gone\"\n",
    .options = exclude_options,
    .option_count = ARRAY_SIZE(exclude_options),
    .operands_max = 1,
    .remote = true,
    .run = exclude_run,
};

static int rollback_run(struct context *c)
{
    return send_word(c, "rollback");
}

static const struct option_spec rollback_options[] = {
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_rollback = {
    .name = "rollback",
    .usage = "[RUN|CLUSTER] [--why TEXT]",
    .summary = "abort a run, and go back to where it came from",
    .about = "Stops scheduling as abort does; what is under way ends by itself. Then the way back "
             "to the version that\n"
             "the run came from is planned from what is there, and started as a run of its own: "
             "`lockstep watch\n"
             "CLUSTER` shows it. While that plan is refused (a node is away) it is tried again; "
             "another apply takes\n"
             "its place. A failure of it pauses. Past the point of no return the word is "
             "refused.\n" ABOUT_END,
    .example = "  lockstep rollback chat-prod --why \"errors since the canary\"\n",
    .options = rollback_options,
    .option_count = ARRAY_SIZE(rollback_options),
    .operands_max = 1,
    .remote = true,
    .run = rollback_run,
};

static int claim_run(struct context *c)
{
    return send_word(c, "claim");
}

static const struct option_spec claim_options[] = {
    {"for", 0, "DURATION", "how long (1h)"},
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_claim = {
    .name = "claim",
    .usage = "[RUN|CLUSTER] [--for DURATION]",
    .summary = "let no other operator's word count for a while",
    .about = "You see to this run: the words of other operators are refused with your name, until "
             "`lockstep unclaim`,\n"
             "until the time is over (1h, at most 24h), or until somebody takes it over with "
             "--force. All of it is\n"
             "in the journal.\n" ABOUT_END,
    .example = "  lockstep claim chat-prod --for 2h --why \"I have the database open\"\n",
    .options = claim_options,
    .option_count = ARRAY_SIZE(claim_options),
    .operands_max = 1,
    .remote = true,
    .run = claim_run,
};

static int unclaim_run(struct context *c)
{
    return send_word(c, "unclaim");
}

static const struct option_spec unclaim_options[] = {
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_unclaim = {
    .name = "unclaim",
    .usage = "[RUN|CLUSTER]",
    .summary = "give a claim back",
    .about = "Other operators' words count again.\n" ABOUT_END,
    .example = "  lockstep unclaim chat-prod\n",
    .options = unclaim_options,
    .option_count = ARRAY_SIZE(unclaim_options),
    .operands_max = 1,
    .remote = true,
    .run = unclaim_run,
};

static int approve_run(struct context *c)
{
    return send_word(c, "approve");
}

static const struct option_spec approve_options[] = {
    {"gate", 0, "NAME", "refused when the run waits at another gate"},
    OPTION_WHY,
    OPTION_FORCE,
};

const struct verb verb_approve = {
    .name = "approve",
    .usage = "[RUN|CLUSTER] [--gate NAME]",
    .summary = "approve the gate that a run waits at",
    .about = "The run goes on when as many different people have approved as the gate asks for. It "
             "needs the role\n"
             "approver; nobody is counted twice.\n" ABOUT_END,
    .example = "  lockstep approve chat-prod --gate canary --why \"dashboards are flat\"\n",
    .options = approve_options,
    .option_count = ARRAY_SIZE(approve_options),
    .operands_max = 1,
    .remote = true,
    .run = approve_run,
};
