/* Owns `status`: how clusters are now. */
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
