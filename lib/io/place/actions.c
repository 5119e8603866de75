/* Owns the dispatch of actions to the rooms that carry them out, and which of them must not run
 * twice. */
#include "lib/io/place/actions.h"

#include "lib/io/artifact/artifact.h"
#include "lib/io/db/db.h"
#include "lib/io/platform/actions.h"

static act_function *const functions[] = {
    [ACTION_NONE] = NULL,
    [ACTION_RUN] = act_run,
    [ACTION_WAIT] = act_wait,
    [ACTION_SERVICE] = act_service,
    [ACTION_HEALTH] = act_health,
    [ACTION_SQL] = act_db_sql,
    [ACTION_FOLLOW] = act_follow,
    [ACTION_PREFLIGHT] = act_preflight,
    [ACTION_STAGE] = act_stage,
    [ACTION_DENY] = act_deny,
    [ACTION_PERMIT] = act_permit,
    [ACTION_SWAP] = act_swap,
    [ACTION_OBSERVE] = act_observe,
    [ACTION_RETIRE] = act_retire,
    [ACTION_DB_LOCK] = act_db_lock,
    [ACTION_DB_UNLOCK] = act_db_unlock,
    [ACTION_DB_MIGRATE] = act_db_migrate,
    [ACTION_DB_LEDGER] = act_db_ledger,
    [ACTION_DB_TOOL_LOCK] = act_db_tool_lock,
    [ACTION_DB_CHECKPOINT] = act_db_checkpoint,
    [ACTION_DB_BACKUP] = act_db_backup,
    [ACTION_DB_RESTORE] = act_db_restore,
    [ACTION_DB_DRIFT] = act_db_drift,
    [ACTION_DB_WRITERS] = act_db_writers,
    [ACTION_DB_CHECK] = act_db_check,
    [ACTION_DB_REHEARSE] = act_db_rehearse,
    [ACTION_DB_OBSERVE] = act_db_observe,
};
static_assert(ARRAY_SIZE(functions) == ACTION_DB_OBSERVE + 1, "every kind of action has a line");

int actions_run(struct act *act, const struct action *action, struct error *e)
{
    enum action_kind kind = action_kind(action);
    if (kind == ACTION_NONE || functions[kind] == NULL) {
        return error_set(e, E_INVALID,
                         "this place does not know the action: its program is older than the plan");
    }
    return functions[kind](act, action, e);
}

bool actions_once(const struct action *action)
{
    return action->run != NULL && action->run->once;
}
