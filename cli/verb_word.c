/* Owns `abort` and `retry`: an operator's word to a run. */
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

static bool is_over(const char *state)
{
    return str_equal(state, "succeeded") || str_equal(state, "failed") ||
           str_equal(state, "aborted");
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

static int send_word(struct context *c, const char *word)
{
    struct remote r;
    struct error e = {0};
    const char *run = args_operand(&c->args, 0);
    int status = remote_open(c, &r);
    if (status == 0 && run == NULL) {
        status = find_only_run(c, &r, word, &run);
    }
    if (status == 0) {
        Lockstep__V1__WordRequest request = LOCKSTEP__V1__WORD_REQUEST__INIT;
        request.run = (char *)run;
        request.word = (char *)word;
        const Lockstep__V1__WordReply *reply =
            REMOTE_CALL(&r, Word, WordReply, word_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            print_json(
                json_pack("{s:o, s:o}", "run", json_text(run), "state", json_text(reply->state)));
        } else {
            printf("%s is %s; lockstep watch %s\n", run, reply->state, run);
        }
    }
    remote_close(&r);
    return status;
}

static int abort_run(struct context *c)
{
    return send_word(c, "abort");
}

static int retry_run(struct context *c)
{
    return send_word(c, "retry");
}

const struct verb verb_abort = {
    .name = "abort",
    .usage = "[RUN|CLUSTER]",
    .summary = "start nothing more of a run",
    .about = "Stops scheduling: what is under way ends by itself, nothing is killed half-way. The "
             "cluster stays\n"
             "where it is; `lockstep apply` plans on from there, up or down. Without a name: the "
             "only run\n"
             "that is under way.\n"
             "\n"
             "--json: {\"run\": NAME, \"state\": STATE}\n",
    .example = "  lockstep abort chat-prod\n",
    .operands_max = 1,
    .remote = true,
    .run = abort_run,
};

const struct verb verb_retry = {
    .name = "retry",
    .usage = "[RUN|CLUSTER]",
    .summary = "go on with a paused run",
    .about = "Starts the failed steps of a paused run again, and goes on. Without a name: the only "
             "run that is\n"
             "under way.\n"
             "\n"
             "--json: {\"run\": NAME, \"state\": STATE}\n",
    .example = "  lockstep retry chat-prod\n",
    .operands_max = 1,
    .remote = true,
    .run = retry_run,
};
