/* Owns `history`: what was run on clusters, and how long its steps took. */
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

/* ---- the runs ---- */

json_t *run_json(const Lockstep__V1__RunSummary *run)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "run", json_text(run->run),
        "cluster", json_text(run->cluster), "plan_id", json_text(run->plan_id), "from",
        json_text(run->from), "to", json_text(run->to), "state", json_text(run->state), "why",
        json_text(run->why), "who", json_text(run->who), "started_ms", (json_int_t)run->started_ms,
        "ended_ms", (json_int_t)run->ended_ms, "takes_back", json_text(run->takes_back));
}

static void print_runs(struct context *c, const Lockstep__V1__HistoryReply *reply)
{
    struct table t;
    table_init(&t, c->arena, 8);
    TABLE_ADD(&t, "RUN", "CLUSTER", "WAY", "STATE", "STARTED", "TOOK", "WHO", "WHY");
    for (size_t i = 0; i < reply->n_runs; i++) {
        const Lockstep__V1__RunSummary *s = reply->runs[i];
        TABLE_ADD(
            &t, s->run, s->cluster,
            arena_printf(c->arena, "%s -> %s", str_empty(s->from) ? "nothing" : s->from, s->to),
            s->state, time_text(c->arena, s->started_ms),
            s->ended_ms > 0 ? str_duration(c->arena, s->ended_ms - s->started_ms) : "", s->who,
            s->why);
    }
    table_print(&t);
}

static int tell_runs(struct context *c, struct remote *r, const char *cluster)
{
    struct error e = {0};
    Lockstep__V1__HistoryRequest request = LOCKSTEP__V1__HISTORY_REQUEST__INIT;
    if (args_number(&c->args, "limit", &request.limit, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    request.cluster = (char *)cluster;
    const Lockstep__V1__HistoryReply *reply =
        REMOTE_CALL(r, History, HistoryReply, history_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        return remote_fail(r, &e);
    }
    if (c->json) {
        json_t *runs = json_array();
        for (size_t i = 0; i < reply->n_runs; i++) {
            json_array_append_new(runs, run_json(reply->runs[i]));
        }
        print_json(json_pack("{s:o}", "runs", runs));
    } else if (reply->n_runs == 0) {
        puts("no run yet");
    } else {
        print_runs(c, reply);
    }
    return CLI_DONE;
}

/* ---- their steps ---- */

static void print_steps(struct context *c, const Lockstep__V1__StepTimesReply *reply)
{
    struct table t;
    table_init(&t, c->arena, 7);
    TABLE_ADD(&t, "CLUSTER", "RELEASE", "STEP", "DONE", "MEDIAN", "LONGEST", "UNTIL");
    for (size_t i = 0; i < reply->n_steps; i++) {
        const Lockstep__V1__StepTime *s = reply->steps[i];
        TABLE_ADD(&t, s->cluster, s->release, s->step,
                  arena_printf(c->arena, "%lld", (long long)s->done),
                  str_duration(c->arena, s->median_ms), str_duration(c->arena, s->longest_ms),
                  time_text(c->arena, s->at_ms));
    }
    table_print(&t);
}

static json_t *steps_json(const Lockstep__V1__StepTimesReply *reply)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < reply->n_steps; i++) {
        const Lockstep__V1__StepTime *s = reply->steps[i];
        json_array_append_new(steps,
                              json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "cluster",
                                        json_text(s->cluster), "release", json_text(s->release),
                                        "step", json_text(s->step), "done", (json_int_t)s->done,
                                        "median_ms", (json_int_t)s->median_ms, "longest_ms",
                                        (json_int_t)s->longest_ms, "at_ms", (json_int_t)s->at_ms));
    }
    return json_pack("{s:o}", "steps", steps);
}

static int tell_steps(struct context *c, struct remote *r, const char *cluster)
{
    struct error e = {0};
    Lockstep__V1__StepTimesRequest request = LOCKSTEP__V1__STEP_TIMES_REQUEST__INIT;
    request.cluster = (char *)cluster;
    const Lockstep__V1__StepTimesReply *reply = REMOTE_CALL(
        r, StepTimes, StepTimesReply, step_times_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        return remote_fail(r, &e);
    }
    if (c->json) {
        print_json(steps_json(reply));
    } else if (reply->n_steps == 0) {
        puts("no run has ended yet");
    } else {
        print_steps(c, reply);
    }
    return CLI_DONE;
}

static int history(struct context *c)
{
    struct remote r;
    const char *cluster = args_operand(&c->args, 0) != NULL ? args_operand(&c->args, 0) : "";
    bool steps = args_flag(&c->args, "steps");
    if (steps && args_text(&c->args, "limit") != NULL) {
        say("--limit is for runs: leave it out, or leave --steps out");
        return CLI_WRONG_USE;
    }
    int end = remote_open(c, &r);
    if (end == 0) {
        end = steps ? tell_steps(c, &r, cluster) : tell_runs(c, &r, cluster);
    }
    remote_close(&r);
    return end;
}

static const struct option_spec history_options[] = {
    {"limit", 0, "N", "at most so many, newest first (20)"},
    {"steps", 0, NULL, "instead: how long each kind of step took, by release"},
};

const struct verb verb_history = {
    .name = "history",
    .usage = "[CLUSTER] [--limit N] [--steps]",
    .summary = "the runs, newest first",
    .about =
        "Prints the runs of a cluster, or of all.\n"
        "\n"
        "--steps: of the last 20 runs of each cluster that are over, each kind of step with how "
        "often it was done\n"
        "(on all nodes together), its median and its longest. From these times, node by node, "
        "come the estimate of\n"
        "`plan` and the time left in `watch`. A release is the one that a hop went to, or that "
        "was staged.\n"
        "\n"
        "--json: {\"runs\": [{run, cluster, plan_id, from, to, state, why, who, started_ms,\n"
        "ended_ms, takes_back}]},\n"
        "with --steps {\"steps\": [{cluster, release, step, done, median_ms, longest_ms, "
        "at_ms}]}\n",
    .example = "  lockstep history chat-prod --limit 5\n"
               "  lockstep history chat-prod --steps\n",
    .options = history_options,
    .option_count = ARRAY_SIZE(history_options),
    .operands_max = 1,
    .remote = true,
    .run = history,
};
