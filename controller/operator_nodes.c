/* Owns what operators see of nodes and of how clusters are: status, list, enrolling. */
#include <stdlib.h>
#include <string.h>

#include "controller/operator.h"
#include "controller/planning.h"
#include "controller/quarantine.h"
#include "controller/rollback.h"
#include "controller/runs.h"
#include "controller/sessions.h"
#include "controller/trust.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"

void operator_ping(struct rpc_call *call, struct bytes message UNUSED)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    Lockstep__V1__PingReply reply = LOCKSTEP__V1__PING_REPLY__INIT;
    reply.version = LOCKSTEP_VERSION;
    reply.fence = reply_controller(call)->fence;
    reply.now_ms = act_now_ms();
    reply_last(call, &reply.base);
}

/* ---- nodes ---- */

static char *text(const char *s)
{
    return s != NULL ? (char *)s : "";
}

void operator_list_nodes(struct rpc_call *call, struct bytes message UNUSED)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_nodes nodes = {0};
    if (store_nodes(c->store, &arena, &nodes, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__ListNodesReply reply = LOCKSTEP__V1__LIST_NODES_REPLY__INIT;
        reply.nodes = ARENA_ARRAY(&arena, nodes.count + 1, Lockstep__V1__NodeSummary *);
        for (size_t i = 0; i < nodes.count; i++) {
            const struct stored_node *node = &nodes.items[i];
            Lockstep__V1__NodeSummary *summary = ARENA_NEW(&arena, Lockstep__V1__NodeSummary);
            lockstep__v1__node_summary__init(summary);
            summary->name = text(node->name);
            summary->enrolled = node->enrolled;
            summary->connected = sessions_connected(c, node->name);
            summary->agent_version = text(node->agent_version);
            summary->os = text(node->os);
            summary->arch = text(node->arch);
            summary->address = text(node->address);
            summary->seen_ms = summary->connected ? act_now_ms() : node->seen_ms;
            summary->certificate_ends_ms = node->certificate_ends_ms;
            reply.nodes[reply.n_nodes++] = summary;
        }
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

void operator_enroll_node(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_ADMIN)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const char *token = NULL;
    Lockstep__V1__EnrollNodeReply reply = LOCKSTEP__V1__ENROLL_NODE_REPLY__INIT;
    const Lockstep__V1__EnrollNodeRequest *request =
        REPLY_REQUEST(EnrollNodeRequest, enroll_node_request, &arena, message, &e);
    if (request == NULL || trust_make_token(reply_controller(call), &arena, request->name,
                                            request->valid_ms, &token, &reply.ends_ms, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply.token = (char *)token;
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

/* ---- status: what is wanted beside what is observed now ---- */

struct looking {
    struct rpc_call *call; /* NULL: nobody waits any more */
    struct controller *controller;
    struct arena arena;
    struct stored_revisions clusters;
    size_t next;
    Lockstep__V1__StatusReply reply;
    Lockstep__V1__ClusterStatus *status; /* of the cluster that is looked at */
};

static void look_at_next(struct looking *l);

static void free_looking(struct looking *l)
{
    if (l->call != NULL) {
        rpc_call_set_data(l->call, NULL);
    }
    arena_deinit(&l->arena);
    free(l);
}

void operator_status_closed(struct rpc_call *call, enum rpc_status status UNUSED,
                            const char *message UNUSED)
{
    struct looking *l = rpc_call_get_data(call);
    if (l != NULL) {
        l->call = NULL; /* what is being observed ends by itself */
    }
}

static void add_nodes(struct looking *l, const struct inventory *inventory)
{
    Lockstep__V1__ClusterStatus *status = l->status;
    status->nodes = ARENA_ARRAY(&l->arena, inventory->node_count + 1, Lockstep__V1__NodeStatus *);
    for (size_t i = 0; i < inventory->node_count; i++) {
        const struct observed_node *node = &inventory->nodes[i];
        Lockstep__V1__NodeStatus *to = ARENA_NEW(&l->arena, Lockstep__V1__NodeStatus);
        lockstep__v1__node_status__init(to);
        to->name = arena_strdup(&l->arena, node->name);
        to->connected = node->connected;
        to->version = text(arena_strdup(&l->arena, node->version));
        to->running = node->running;
        to->problem = text(arena_strdup(&l->arena, node->problem));
        to->denied = text(arena_strdup(&l->arena, node->denied));
        status->nodes[status->n_nodes++] = to;
    }
    status->databases =
        ARENA_ARRAY(&l->arena, inventory->database_count + 1, Lockstep__V1__DatabaseStatus *);
    for (size_t i = 0; i < inventory->database_count; i++) {
        const struct observed_database *database = &inventory->databases[i];
        Lockstep__V1__DatabaseStatus *to = ARENA_NEW(&l->arena, Lockstep__V1__DatabaseStatus);
        lockstep__v1__database_status__init(to);
        to->name = arena_strdup(&l->arena, database->name);
        to->engine = text(arena_strdup(&l->arena, database->engine));
        to->applied = (uint32_t)database->applied.count;
        to->problem = text(arena_strdup(&l->arena, database->problem));
        to->holder = text(arena_strdup(&l->arena, database->holder));
        status->databases[status->n_databases++] = to;
    }
}

static void looked(void *context, const struct planning_result *result)
{
    struct looking *l = context;
    if (result->inventory != NULL) {
        add_nodes(l, result->inventory);
        l->status->summary->observed = arena_strdup(&l->arena, result->observed);
    } else if (result->complaint_count > 0) {
        l->status->why = arena_strdup(&l->arena, result->complaints[0].message);
    }
    l->next++;
    look_at_next(l);
}

static void no_progress(void *context UNUSED, const char *line UNUSED)
{
}

static void look_at_next(struct looking *l)
{
    if (l->call == NULL) {
        free_looking(l);
        return;
    }
    if (l->next == l->clusters.count) {
        reply_last(l->call, &l->reply.base);
        free_looking(l);
        return;
    }
    struct controller *c = l->controller;
    struct stored_revision whole = {0};
    struct error e = {0};
    const struct stored_revision *revision = &l->clusters.items[l->next];
    l->status = ARENA_NEW(&l->arena, Lockstep__V1__ClusterStatus);
    lockstep__v1__cluster_status__init(l->status);
    l->reply.clusters[l->reply.n_clusters++] = l->status;
    l->status->summary = operator_summary(c, &l->arena, revision);
    struct stored_run run = {0};
    const char *why = NULL;
    if (!str_empty(l->status->summary->run)) {
        why = runs_why(c, l->status->summary->run);
        if (why == NULL &&
            store_run(c->store, &l->arena, l->status->summary->run, &run, NULL) == 0) {
            why = run.why;
        }
    }
    l->status->why = text(arena_strdup(&l->arena, why));
    l->status->back = text(arena_strdup(&l->arena, rollback_problem(c, l->status->summary->run)));
    const char *quarantine = NULL;
    quarantine_of_cluster(c, &l->arena, revision->cluster, revision->digest, revision->version,
                          &quarantine, &e);
    l->status->quarantine = text(quarantine);
    const Lockstep__V1__Bundle *bundle = NULL;
    if (store_revision(c->store, &l->arena, revision->cluster, revision->number, &whole, &e) == 0) {
        bundle = REPLY_REQUEST(Bundle, bundle, &l->arena, whole.bundle, &e);
    }
    if (bundle == NULL) {
        rpc_call_finish_error(l->call, &e);
        free_looking(l);
        return;
    }
    const struct planning_request request = {.bundle = bundle, .observe_only = true};
    const struct planning_callbacks callbacks = {
        .progress = no_progress, .over = looked, .context = l};
    planning_start(c, &request, &callbacks);
}

void operator_status(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct looking *l = calloc(1, sizeof(*l));
    assert(l != NULL);
    l->call = call;
    l->controller = reply_controller(call);
    arena_init(&l->arena);
    lockstep__v1__status_reply__init(&l->reply);
    struct error e = {0};
    const Lockstep__V1__StatusRequest *request =
        REPLY_REQUEST(StatusRequest, status_request, &l->arena, message, &e);
    int r = request == NULL ? e.code : 0;
    if (r == 0 && !str_empty(request->cluster)) {
        l->clusters.items = ARENA_NEW(&l->arena, struct stored_revision);
        l->clusters.count = 1;
        r = store_revision(l->controller->store, &l->arena, request->cluster, 0, l->clusters.items,
                           &e);
    } else if (r == 0) {
        r = store_clusters(l->controller->store, &l->arena, &l->clusters, &e);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
        l->call = NULL;
        free_looking(l);
        return;
    }
    l->reply.clusters =
        ARENA_ARRAY(&l->arena, l->clusters.count + 1, Lockstep__V1__ClusterStatus *);
    rpc_call_set_data(call, l);
    look_at_next(l);
}
