/* Owns whether a node may be left behind: only where it can start no release that does not fit the schema, asked of the walk. It changes nothing. */
#include <stdio.h>
#include <string.h>

#include "lib/core/walk.h"

/* Does the step move a schema, or hold it still for one that does? */
static bool moves_database(const struct plan_step *step)
{
    switch (step->action == NULL ? ACTION_NONE : action_kind(step->action)) {
    case ACTION_DB_LOCK:
    case ACTION_DB_TOOL_LOCK:
    case ACTION_DB_MIGRATE:
    case ACTION_DB_RESTORE:
        return true;
    case ACTION_NONE:
    case ACTION_RUN:
    case ACTION_WAIT:
    case ACTION_SERVICE:
    case ACTION_HEALTH:
    case ACTION_SQL:
    case ACTION_FOLLOW:
    case ACTION_PREFLIGHT:
    case ACTION_STAGE:
    case ACTION_DENY:
    case ACTION_PERMIT:
    case ACTION_SWAP:
    case ACTION_OBSERVE:
    case ACTION_RETIRE:
    case ACTION_DB_UNLOCK:
    case ACTION_DB_LEDGER:
    case ACTION_DB_CHECKPOINT:
    case ACTION_DB_BACKUP:
    case ACTION_DB_DRIFT:
    case ACTION_DB_WRITERS:
    case ACTION_DB_CHECK:
    case ACTION_DB_REHEARSE:
    case ACTION_DB_OBSERVE:
        return false;
    }
    return false;
}

/* In the phase that is walked, or a later one. */
static bool database_still_moves(const struct walk *w)
{
    for (size_t i = w->phase; i < w->layout.plan->phases.count; i++) {
        for (size_t s = 0; s < plan_phase_at(w->layout.plan, i)->steps.count; s++) {
            if (moves_database(plan_step_at(w->layout.plan, i, s))) {
                return true;
            }
        }
    }
    return false;
}

/* A step that the node still has to do for the whole cluster, or NULL. */
static const struct plan_step *still_owes(const struct walk *w, uint32_t slot)
{
    for (size_t i = w->phase; i < w->layout.plan->phases.count; i++) {
        const struct layout_set *on = &w->layout.on[i];
        for (uint32_t s = 0; on->slots != NULL && s < on->count; s++) {
            if (on->slots[s] == slot) {
                return plan_step_at(w->layout.plan, i, s);
            }
        }
    }
    return NULL;
}

const char *walk_keeps(const struct walk *w, uint32_t slot, char text[LIMIT_ERROR_BYTES])
{
    const struct place *p = &w->places[slot];
    const char *name = rollout_place_name(w->layout.plan, layout_place_of_slot(&w->layout, slot));
    const struct plan_step *owed = still_owes(w, slot);
    if (slot + 1 == w->layout.slot_count) {
        return "the controller takes part in every run: it cannot be left behind";
    }
    if (p->excluded) {
        snprintf(text, LIMIT_ERROR_BYTES, "%s is left behind already", name);
    } else if (!walk_is_over(w) && p->phase == w->phase && p->state == STEP_UNDER_WAY) {
        snprintf(
            text, LIMIT_ERROR_BYTES,
            "%s is at work on %s: when that has ended, or its deadline has passed, say it again",
            name, walk_step(w, slot)->name);
    } else if (owed != NULL) {
        snprintf(text, LIMIT_ERROR_BYTES,
                 "%s has to do %s for the whole cluster: retry, or abort and plan without the node",
                 name, owed->name);
    } else if (w->left_behind + 2 == w->layout.slot_count) {
        snprintf(text, LIMIT_ERROR_BYTES, "no node would be left without %s: abort", name);
    } else if (database_still_moves(w) && !(p->denied && p->stopped)) {
        snprintf(
            text, LIMIT_ERROR_BYTES,
            "a database still has to move, and %s %s: it might run a release that does not fit "
            "the new schema. Put it right and retry, or abort",
            name,
            p->denied ? "is not proved to have stopped"
                      : "has not stored that it may start nothing");
    } else {
        return NULL;
    }
    return text;
}

void walk_name_left_behind(const struct walk *w, char *text, size_t size)
{
    int len =
        snprintf(text, size, "succeeded with %u node%s left behind:", (unsigned)w->left_behind,
                 w->left_behind == 1 ? "" : "s");
    for (uint32_t i = 0; i + 1 < w->layout.slot_count; i++) {
        if (!w->places[i].excluded) {
            continue;
        }
        const char *name = rollout_place_name(w->layout.plan, i);
        if ((size_t)len + strlen(name) + sizeof(", …") >= size) {
            snprintf(text + len, size - (size_t)len, " …");
            return;
        }
        len += snprintf(text + len, size - (size_t)len, "%s%s", text[len - 1] == ':' ? " " : ", ",
                        name);
    }
}
