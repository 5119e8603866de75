/* The handlers of the operators' service, by the file that holds them. */
#ifndef LOCKSTEP_CONTROLLER_OPERATOR_H
#define LOCKSTEP_CONTROLLER_OPERATOR_H

#include "controller/reply.h"

/* operator_clusters.c: specs and their revisions */
void operator_put_cluster(struct rpc_call *call, struct bytes message);
void operator_list_clusters(struct rpc_call *call, struct bytes message);
void operator_get_cluster(struct rpc_call *call, struct bytes message);
void operator_cluster_history(struct rpc_call *call, struct bytes message);
/* Keeps a revision of what a bundle holds. 0, or a code with *e; the version and the names come from `spec`. */
struct spec;
int operator_keep_revision(struct controller *c, const Lockstep__V1__Bundle *bundle,
                           const struct spec *spec, const char *who, uint32_t *ret_number,
                           bool *ret_changed, struct error *e);
/* What a list says of a cluster. In the arena. */
struct stored_revision;
Lockstep__V1__ClusterSummary *operator_summary(struct controller *c, struct arena *arena,
                                               const struct stored_revision *revision);

/* operator_plans.c: planning and applying */
void operator_plan(struct rpc_call *call, struct bytes message);
void operator_apply(struct rpc_call *call, struct bytes message);
void operator_planning_closed(struct rpc_call *call, enum rpc_status status, const char *message);

/* operator_rehearse.c: rehearsals on clones */
void operator_rehearse(struct rpc_call *call, struct bytes message);
void operator_rehearse_closed(struct rpc_call *call, enum rpc_status status, const char *message);

/* operator_runs.c: runs */
/* A run's id, or the newest run of the cluster of that name; in the arena. */
int operator_find_run(struct controller *c, struct arena *arena, const char *run,
                      const char *cluster, const char **ret_run, struct error *e);
void operator_watch(struct rpc_call *call, struct bytes message);
void operator_watch_drained(struct rpc_call *call);
void operator_watch_closed(struct rpc_call *call, enum rpc_status status, const char *message);
void operator_word(struct rpc_call *call, struct bytes message);
void operator_history(struct rpc_call *call, struct bytes message);
/* What a list says of a run. In the arena. */
struct stored_run;
Lockstep__V1__RunSummary *operator_run_summary(struct controller *c, struct arena *arena,
                                               const struct stored_run *run);

/* operator_history.c: how long steps took */
void operator_step_times(struct rpc_call *call, struct bytes message);
/* operator_journal.c: what happened in a run */
void operator_journal(struct rpc_call *call, struct bytes message);

/* operator_fleets.c: fleets */
void operator_apply_fleet(struct rpc_call *call, struct bytes message);
void operator_list_fleets(struct rpc_call *call, struct bytes message);
void operator_watch_fleet(struct rpc_call *call, struct bytes message);
void operator_watch_fleet_drained(struct rpc_call *call);
void operator_watch_fleet_closed(struct rpc_call *call, enum rpc_status status,
                                 const char *message);
void operator_fleet_word(struct rpc_call *call, struct bytes message);

/* operator_nodes.c: nodes and how things are */
void operator_ping(struct rpc_call *call, struct bytes message);
void operator_status(struct rpc_call *call, struct bytes message);
void operator_status_closed(struct rpc_call *call, enum rpc_status status, const char *message);
void operator_list_nodes(struct rpc_call *call, struct bytes message);
void operator_enroll_node(struct rpc_call *call, struct bytes message);

#endif
