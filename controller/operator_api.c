/* Owns the table of what operators may call; the calls are in operator_*.c by what they are about. */
#include "controller/operator_api.h"

#include "controller/operator.h"

/* The caller will say nothing more. What was asked for is finished already, or under way. */
static void no_request(struct rpc_call *call)
{
    if (rpc_call_get_data(call) == NULL) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "the request is missing");
    }
}

const struct rpc_method operator_api_methods[] = {
    {"/lockstep.v1.Operator/Ping", {.on_half_close = no_request, .on_message = operator_ping}},
    {"/lockstep.v1.Operator/PutCluster",
     {.on_half_close = no_request, .on_message = operator_put_cluster}},
    {"/lockstep.v1.Operator/ListClusters",
     {.on_half_close = no_request, .on_message = operator_list_clusters}},
    {"/lockstep.v1.Operator/GetCluster",
     {.on_half_close = no_request, .on_message = operator_get_cluster}},
    {"/lockstep.v1.Operator/ClusterHistory",
     {.on_half_close = no_request, .on_message = operator_cluster_history}},
    {"/lockstep.v1.Operator/Plan",
     {.on_half_close = no_request,
      .on_message = operator_plan,
      .on_close = operator_planning_closed}},
    {"/lockstep.v1.Operator/Apply",
     {.on_half_close = no_request,
      .on_message = operator_apply,
      .on_close = operator_planning_closed}},
    {"/lockstep.v1.Operator/RehearseDatabases",
     {.on_half_close = no_request,
      .on_message = operator_rehearse,
      .on_close = operator_rehearse_closed}},
    {"/lockstep.v1.Operator/Status",
     {.on_half_close = no_request,
      .on_message = operator_status,
      .on_close = operator_status_closed}},
    {"/lockstep.v1.Operator/Watch",
     {.on_half_close = no_request,
      .on_message = operator_watch,
      .on_drain = operator_watch_drained,
      .on_close = operator_watch_closed}},
    {"/lockstep.v1.Operator/Word", {.on_half_close = no_request, .on_message = operator_word}},
    {"/lockstep.v1.Operator/History",
     {.on_half_close = no_request, .on_message = operator_history}},
    {"/lockstep.v1.Operator/StepTimes",
     {.on_half_close = no_request, .on_message = operator_step_times}},
    {"/lockstep.v1.Operator/Journal",
     {.on_half_close = no_request, .on_message = operator_journal}},
    {"/lockstep.v1.Operator/ListNodes",
     {.on_half_close = no_request, .on_message = operator_list_nodes}},
    {"/lockstep.v1.Operator/EnrollNode",
     {.on_half_close = no_request, .on_message = operator_enroll_node}},
    {"/lockstep.v1.Operator/ApplyFleet",
     {.on_half_close = no_request, .on_message = operator_apply_fleet}},
    {"/lockstep.v1.Operator/ListFleets",
     {.on_half_close = no_request, .on_message = operator_list_fleets}},
    {"/lockstep.v1.Operator/WatchFleet",
     {.on_half_close = no_request,
      .on_message = operator_watch_fleet,
      .on_drain = operator_watch_fleet_drained,
      .on_close = operator_watch_fleet_closed}},
    {"/lockstep.v1.Operator/FleetWord",
     {.on_half_close = no_request, .on_message = operator_fleet_word}},
};
const size_t operator_api_method_count = ARRAY_SIZE(operator_api_methods);
