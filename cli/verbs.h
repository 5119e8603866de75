/* The list of verbs, in the order of the help: one line each. The struct is in a file of its own. */
#ifndef LOCKSTEP_CLI_VERBS_H
#define LOCKSTEP_CLI_VERBS_H

#include "cli/verb.h"

#define VERBS(V)                                                                                   \
    V(verb_validate)                                                                               \
    V(verb_schema)                                                                                 \
    V(verb_version_compare)                                                                        \
    V(verb_version_in)                                                                             \
    V(verb_path)                                                                                   \
    V(verb_plan)                                                                                   \
    V(verb_rehearse)                                                                               \
    V(verb_stage)                                                                                  \
    V(verb_apply)                                                                                  \
    V(verb_restore)                                                                                \
    V(verb_status)                                                                                 \
    V(verb_watch)                                                                                  \
    V(verb_abort)                                                                                  \
    V(verb_retry)                                                                                  \
    V(verb_skip)                                                                                   \
    V(verb_exclude)                                                                                \
    V(verb_rollback)                                                                               \
    V(verb_claim)                                                                                  \
    V(verb_unclaim)                                                                                \
    V(verb_approve)                                                                                \
    V(verb_history)                                                                                \
    V(verb_evidence)                                                                               \
    V(verb_fleet_apply)                                                                            \
    V(verb_fleet_status)                                                                           \
    V(verb_fleet_watch)                                                                            \
    V(verb_fleet_pause)                                                                            \
    V(verb_fleet_resume)                                                                           \
    V(verb_fleet_skip)                                                                             \
    V(verb_fleet_approve)                                                                          \
    V(verb_fleet_abort)                                                                            \
    V(verb_cluster_list)                                                                           \
    V(verb_cluster_get)                                                                            \
    V(verb_cluster_history)                                                                        \
    V(verb_cluster_diff)                                                                           \
    V(verb_cluster_put)                                                                            \
    V(verb_node_list)                                                                              \
    V(verb_node_enroll)                                                                            \
    V(verb_db_status)                                                                              \
    V(verb_db_plan)                                                                                \
    V(verb_db_up)                                                                                  \
    V(verb_db_down)                                                                                \
    V(verb_db_retry)                                                                               \
    V(verb_db_mark_applied)                                                                        \
    V(verb_db_mark_reverted)                                                                       \
    V(verb_db_lock)                                                                                \
    V(verb_db_rehearse)                                                                            \
    V(verb_db_backup)                                                                              \
    V(verb_db_restore)                                                                             \
    V(verb_db_drift)                                                                               \
    V(verb_db_export_plan)

#define VERB_DECLARE(name) extern const struct verb name;
VERBS(VERB_DECLARE)
#undef VERB_DECLARE

#endif
