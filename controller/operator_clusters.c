/* Owns what operators say of specs: putting a revision, listing, reading back. A spec that is wrong is not kept. */
#include <string.h>

#include "controller/operator.h"
#include "controller/planning.h"
#include "controller/sessions.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/wire/pack.h"

int operator_keep_revision(struct controller *c, const Lockstep__V1__Bundle *bundle,
                           const struct spec *spec, const char *who, uint32_t *ret_number,
                           bool *ret_changed, struct error *e)
{
    assert(spec->cluster != NULL && spec->application != NULL);
    struct arena arena;
    arena_init(&arena);
    struct stored_revision revision = {.cluster = spec->cluster->name,
                                       .digest = bundle_digest(&arena, bundle),
                                       .author = who,
                                       .at_ms = act_now_ms(),
                                       .application = spec->application->name,
                                       .version = spec->cluster->version,
                                       .message = bundle->message};
    int r = wire_pack(&arena, &bundle->base, &revision.bundle, e);
    if (r == 0) {
        r = store_revision_put(c->store, &revision, ret_number, ret_changed, e);
    }
    arena_deinit(&arena);
    return r;
}

void operator_put_cluster(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct complaints complaints;
    complaints_init(&complaints, &arena);
    const Lockstep__V1__PutClusterRequest *request =
        REPLY_REQUEST(PutClusterRequest, put_cluster_request, &arena, message, &e);
    Lockstep__V1__PutClusterReply reply = LOCKSTEP__V1__PUT_CLUSTER_REPLY__INIT;
    struct spec spec = {0};
    int r = request == NULL || request->bundle == NULL
                ? error_set(&e, E_INVALID, "there are no files")
                : 0;
    if (r == 0 && bundle_read(&arena, request->bundle, &spec, &complaints) == 0 &&
        (spec.cluster == NULL || spec.application == NULL)) {
        complaints_add(&complaints, NULL, 0, 0, "a Cluster and its Application belong together");
    }
    if (r == 0 && complaints.count > 0) {
        reply.n_complaints = complaints.count;
        reply.complaints = reply_complaints(&arena, complaints.items, complaints.count);
    } else if (r == 0) {
        bool changed = false;
        r = operator_keep_revision(reply_controller(call), request->bundle, &spec, reply_who(call),
                                   &reply.revision, &changed, &e);
        reply.changed = changed;
        reply.cluster = (char *)spec.cluster->name;
        reply.digest = (char *)bundle_digest(&arena, request->bundle);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

Lockstep__V1__ClusterSummary *operator_summary(struct controller *c, struct arena *arena,
                                               const struct stored_revision *revision)
{
    Lockstep__V1__ClusterSummary *summary = ARENA_NEW(arena, Lockstep__V1__ClusterSummary);
    lockstep__v1__cluster_summary__init(summary);
    const char *observed = "";
    struct stored_runs runs = {0};
    struct stored_revision whole = {0};
    store_observed(c->store, arena, revision->cluster, &observed, NULL);
    store_runs(c->store, arena, revision->cluster, 1, &runs, NULL);
    summary->name = (char *)revision->cluster;
    summary->application = (char *)revision->application;
    summary->wanted = (char *)revision->version;
    summary->observed = (char *)observed;
    summary->revision = revision->number;
    summary->digest = (char *)revision->digest;
    if (runs.count > 0) {
        summary->run = (char *)runs.items[0].run;
        summary->run_state = (char *)runs.items[0].state;
    }
    struct complaints complaints;
    complaints_init(&complaints, arena);
    struct spec spec = {0};
    struct error e = {0};
    if (store_revision(c->store, arena, revision->cluster, revision->number, &whole, &e) == 0) {
        const Lockstep__V1__Bundle *bundle = REPLY_REQUEST(Bundle, bundle, arena, whole.bundle, &e);
        if (bundle != NULL && bundle_read(arena, bundle, &spec, &complaints) == 0 &&
            spec.cluster != NULL) {
            summary->nodes = (uint32_t)spec.cluster->nodes.count;
            for (size_t i = 0; i < spec.cluster->nodes.count; i++) {
                const char *node = LIST_AT(&spec.cluster->nodes, struct node_spec, i)->name;
                summary->nodes_connected += sessions_connected(c, node) ? 1 : 0;
            }
        }
    }
    return summary;
}

void operator_list_clusters(struct rpc_call *call, struct bytes message UNUSED)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_revisions clusters = {0};
    if (store_clusters(c->store, &arena, &clusters, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__ListClustersReply reply = LOCKSTEP__V1__LIST_CLUSTERS_REPLY__INIT;
        reply.clusters = ARENA_ARRAY(&arena, clusters.count + 1, Lockstep__V1__ClusterSummary *);
        for (size_t i = 0; i < clusters.count; i++) {
            reply.clusters[reply.n_clusters++] = operator_summary(c, &arena, &clusters.items[i]);
        }
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

static Lockstep__V1__Revision *revision_message(struct arena *arena,
                                                const struct stored_revision *from)
{
    Lockstep__V1__Revision *to = ARENA_NEW(arena, Lockstep__V1__Revision);
    lockstep__v1__revision__init(to);
    to->number = from->number;
    to->digest = (char *)from->digest;
    to->author = (char *)from->author;
    to->at_ms = from->at_ms;
    to->version = (char *)from->version;
    to->message = from->message != NULL ? (char *)from->message : "";
    return to;
}

void operator_get_cluster(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const Lockstep__V1__GetClusterRequest *request =
        REPLY_REQUEST(GetClusterRequest, get_cluster_request, &arena, message, &e);
    struct stored_revision revision = {0};
    const Lockstep__V1__Bundle *bundle = NULL;
    int r = request == NULL ? e.code
                            : store_revision(reply_controller(call)->store, &arena, request->name,
                                             request->revision, &revision, &e);
    if (r == 0) {
        bundle = REPLY_REQUEST(Bundle, bundle, &arena, revision.bundle, &e);
    }
    if (bundle == NULL) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__GetClusterReply reply = LOCKSTEP__V1__GET_CLUSTER_REPLY__INIT;
        reply.bundle = (Lockstep__V1__Bundle *)bundle;
        reply.revision = revision_message(&arena, &revision);
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

void operator_cluster_history(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const Lockstep__V1__ClusterHistoryRequest *request =
        REPLY_REQUEST(ClusterHistoryRequest, cluster_history_request, &arena, message, &e);
    struct stored_revisions revisions = {0};
    if (request == NULL ||
        store_revisions(reply_controller(call)->store, &arena, request->name, &revisions, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__ClusterHistoryReply reply = LOCKSTEP__V1__CLUSTER_HISTORY_REPLY__INIT;
        reply.revisions = ARENA_ARRAY(&arena, revisions.count + 1, Lockstep__V1__Revision *);
        for (size_t i = 0; i < revisions.count; i++) {
            reply.revisions[reply.n_revisions++] = revision_message(&arena, &revisions.items[i]);
        }
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}
