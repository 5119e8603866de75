/* Owns `status` and `history`: how clusters are now, and what was run on them. */
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/watch_back.h"
#include "lib/base/str.h"

/* ---- status ---- */

static json_t *nodes_json(const Lockstep__V1__ClusterStatus *s)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < s->n_nodes; i++) {
        const Lockstep__V1__NodeStatus *n = s->nodes[i];
        json_array_append_new(
            nodes, json_pack("{s:o, s:b, s:o, s:b, s:o, s:o}", "name", json_text(n->name),
                             "connected", n->connected ? 1 : 0, "version", json_text(n->version),
                             "running", n->running ? 1 : 0, "problem", json_text(n->problem),
                             "denied", json_text(n->denied)));
    }
    return nodes;
}

static json_t *databases_json(const Lockstep__V1__ClusterStatus *s)
{
    json_t *databases = json_array();
    for (size_t i = 0; i < s->n_databases; i++) {
        const Lockstep__V1__DatabaseStatus *d = s->databases[i];
        json_array_append_new(
            databases, json_pack("{s:o, s:o, s:I, s:o, s:o}", "name", json_text(d->name), "engine",
                                 json_text(d->engine), "applied", (json_int_t)d->applied, "problem",
                                 json_text(d->problem), "holder", json_text(d->holder)));
    }
    return databases;
}

static json_t *cluster_json(const Lockstep__V1__ClusterStatus *s)
{
    const Lockstep__V1__ClusterSummary *m = s->summary;
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     json_text(m->name), "application", json_text(m->application), "wanted",
                     json_text(m->wanted), "observed", json_text(m->observed), "revision",
                     (json_int_t)m->revision, "run", json_text(m->run), "run_state",
                     json_text(m->run_state), "why", json_text(s->why), "back", json_text(s->back),
                     "quarantine", json_text(s->quarantine), "nodes", nodes_json(s), "databases",
                     databases_json(s));
}

static bool wants_operator(const char *state)
{
    return str_equal(state, "paused");
}

static void print_cluster(struct context *c, const Lockstep__V1__ClusterStatus *s)
{
    const Lockstep__V1__ClusterSummary *m = s->summary;
    printf("%s: %s, wanted %s (revision %u), observed %s\n", m->name, m->application, m->wanted,
           m->revision, str_empty(m->observed) ? "not known" : m->observed);
    if (!str_empty(m->run)) {
        printf("  run %s %s%s%s\n", m->run, m->run_state, str_empty(s->why) ? "" : ": ",
               str_empty(s->why) ? "" : s->why);
    } else if (!str_empty(s->why)) {
        printf("  %s\n", s->why);
    }
    if (wants_operator(m->run_state)) {
        printf("  " WATCH_ANSWER "\n", m->run);
    }
    if (!str_empty(s->back)) {
        printf("  %s\n", watch_back_words(c->arena, m->run, s->back));
    }
    if (!str_empty(s->quarantine)) {
        printf("  in quarantine: %s\n", s->quarantine);
    }
    struct table t;
    table_init(&t, c->arena, 4);
    for (size_t i = 0; i < s->n_nodes; i++) {
        const Lockstep__V1__NodeStatus *n = s->nodes[i];
        TABLE_ADD(
            &t, n->name, str_empty(n->version) ? (n->connected ? "nothing" : "?") : n->version,
            !n->connected ? "away"
            : n->running  ? "running"
                          : "stopped",
            !str_empty(n->problem)  ? n->problem
            : !str_empty(n->denied) ? arena_printf(c->arena, "starts are refused: %s", n->denied)
                                    : "");
    }
    for (size_t i = 0; i < s->n_databases; i++) {
        const Lockstep__V1__DatabaseStatus *d = s->databases[i];
        TABLE_ADD(&t, d->name, d->engine, arena_printf(c->arena, "%u applied", d->applied),
                  !str_empty(d->problem)  ? d->problem
                  : !str_empty(d->holder) ? arena_printf(c->arena, "locked by %s", d->holder)
                                          : "");
    }
    struct buf out;
    buf_init(&out, c->arena, (size_t)16 * 1024 * 1024);
    table_put(&t, "  ", &out);
    fputs(buf_text(&out), stdout);
}

json_t *status_json(const Lockstep__V1__StatusReply *reply)
{
    json_t *clusters = json_array();
    for (size_t i = 0; i < reply->n_clusters; i++) {
        if (reply->clusters[i]->summary != NULL) {
            json_array_append_new(clusters, cluster_json(reply->clusters[i]));
        }
    }
    return json_pack("{s:o}", "clusters", clusters);
}

static void print_status(struct context *c, const Lockstep__V1__StatusReply *reply)
{
    if (c->json) {
        print_json(status_json(reply));
        return;
    }
    for (size_t i = 0; i < reply->n_clusters; i++) {
        const Lockstep__V1__ClusterStatus *s = reply->clusters[i];
        if (s->summary != NULL) {
            printf("%s", i > 0 ? "\n" : "");
            print_cluster(c, s);
        }
    }
    if (reply->n_clusters == 0) {
        puts("no cluster yet: lockstep cluster put FILE, or lockstep apply FILE");
    }
}

static int status(struct context *c)
{
    struct remote r;
    struct error e = {0};
    int end = remote_open(c, &r);
    if (end == 0) {
        Lockstep__V1__StatusRequest request = LOCKSTEP__V1__STATUS_REQUEST__INIT;
        const char *cluster = args_operand(&c->args, 0);
        request.cluster = cluster != NULL ? (char *)cluster : "";
        request.observe = true;
        const Lockstep__V1__StatusReply *reply = REMOTE_CALL(&r, Status, StatusReply, status_reply,
                                                             &request.base, REMOTE_OBSERVE_MS, &e);
        if (reply == NULL) {
            end = remote_fail(&r, &e);
        } else {
            print_status(c, reply);
        }
    }
    remote_close(&r);
    return end;
}

const struct verb verb_status = {
    .name = "status",
    .usage = "[CLUSTER]",
    .summary = "wanted beside observed, asked of the nodes now",
    .about = "Asks every node and database of the cluster, or of all clusters, how it is now, and "
             "prints it\n"
             "beside what is wanted, with the newest run.\n"
             "\n"
             "--json: {\"clusters\": [{name, application, wanted, observed, revision, run, "
             "run_state, why, back,\n"
             "quarantine,\n"
             "nodes: [{name, connected, version, running, problem, denied}],\n"
             "databases: [{name, engine, applied, problem, holder}]}]}\n",
    .example = "  lockstep status chat-prod\n",
    .operands_max = 1,
    .remote = true,
    .run = status,
};

/* ---- history ---- */

json_t *run_json(const Lockstep__V1__RunSummary *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "run",
                     json_text(s->run), "cluster", json_text(s->cluster), "plan_id",
                     json_text(s->plan_id), "from", json_text(s->from), "to", json_text(s->to),
                     "state", json_text(s->state), "why", json_text(s->why), "who",
                     json_text(s->who), "started_ms", (json_int_t)s->started_ms, "ended_ms",
                     (json_int_t)s->ended_ms, "takes_back", json_text(s->takes_back));
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

static int history(struct context *c)
{
    struct remote r;
    struct error e = {0};
    Lockstep__V1__HistoryRequest request = LOCKSTEP__V1__HISTORY_REQUEST__INIT;
    if (args_number(&c->args, "limit", &request.limit, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    int end = remote_open(c, &r);
    if (end == 0) {
        const char *cluster = args_operand(&c->args, 0);
        request.cluster = cluster != NULL ? (char *)cluster : "";
        const Lockstep__V1__HistoryReply *reply = REMOTE_CALL(
            &r, History, HistoryReply, history_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            end = remote_fail(&r, &e);
        } else if (c->json) {
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
    }
    remote_close(&r);
    return end;
}

static const struct option_spec history_options[] = {
    {"limit", 0, "N", "at most so many, newest first (20)"},
};

const struct verb verb_history = {
    .name = "history",
    .usage = "[CLUSTER] [--limit N]",
    .summary = "the runs, newest first",
    .about = "Prints the runs of a cluster, or of all.\n"
             "\n"
             "--json: {\"runs\": [{run, cluster, plan_id, from, to, state, why, who, started_ms,\n"
             "ended_ms, takes_back}]}\n",
    .example = "  lockstep history chat-prod --limit 5\n",
    .options = history_options,
    .option_count = ARRAY_SIZE(history_options),
    .operands_max = 1,
    .remote = true,
    .run = history,
};
