/* Owns what each kind of action makes of the pretended cluster. Refuses nothing: what it does not know changes nothing. */
#include "lib/core/rehearsal_world.h"

#include "lib/base/str.h"

/* ---- databases ---- */

static struct rehearsal_database *database_of(struct rehearsal_world *w, const char *name)
{
    for (size_t i = 0; i < w->database_count; i++) {
        if (str_equal(w->databases[i].name, name)) {
            return &w->databases[i];
        }
    }
    return NULL;
}

static const struct plan_hop *hop_of(const struct plan *plan, int64_t hop)
{
    return hop >= 0 && (size_t)hop < plan->hops.count
               ? LIST_AT(&plan->hops, const struct plan_hop, hop)
               : NULL;
}

/* A migration's phase is one database's: which one an external migrator works on is said by the steps around it. */
static const char *database_of_phase(const struct plan_phase *phase)
{
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct action *a = LIST_AT(&phase->steps, const struct plan_step, i)->action;
        if (a->db_lock != NULL) {
            return a->db_lock->database.name;
        }
        if (a->db_checkpoint != NULL) {
            return a->db_checkpoint->database.name;
        }
    }
    return NULL;
}

static void migrated(struct rehearsal_world *w, const struct plan_phase *phase, const char *name,
                     bool begun)
{
    struct rehearsal_database *d = database_of(w, name);
    const struct plan_hop *hop = hop_of(w->plan, phase->hop);
    if (d == NULL || hop == NULL) {
        return;
    }
    const char *to = pairs_get(&hop->schema_to, name);
    d->toward = begun ? to : NULL;
    d->schema = begun ? d->schema : to;
}

static void restored(struct rehearsal_world *w, const struct db_restore_action *a, bool begun)
{
    struct rehearsal_database *d = a->look ? NULL : database_of(w, a->database.name);
    const struct plan_hop *last = hop_of(w->plan, (int64_t)w->plan->hops.count - 1);
    if (d != NULL) {
        d->restoring = begun;
        d->schema = !begun && last != NULL ? pairs_get(&last->schema_from, d->name) : d->schema;
    }
}

static void locked(struct rehearsal_world *w, const char *name, bool on)
{
    struct rehearsal_database *d = database_of(w, name);
    if (d != NULL) {
        d->locked = on;
    }
}

static void act_database(struct rehearsal_world *w, const struct plan_phase *phase,
                         const struct action *a, bool begun)
{
    if (a->db_lock != NULL) {
        locked(w, a->db_lock->database.name, !begun);
    } else if (a->db_unlock != NULL) {
        locked(w, a->db_unlock->database.name, begun);
    } else if (a->db_migrate != NULL) {
        migrated(w, phase, a->db_migrate->database.name, begun);
    } else if (a->db_restore != NULL) {
        restored(w, a->db_restore, begun);
    } else if (a->run != NULL && a->run->once && database_of_phase(phase) != NULL) {
        migrated(w, phase, database_of_phase(phase), begun);
    }
}

/* ---- nodes ---- */

static void act_node(struct rehearsal_node *n, const struct action *a)
{
    if (a->deny != NULL || a->permit != NULL) {
        n->denied = a->deny != NULL;
    } else if (a->swap != NULL) {
        n->release = a->swap->artifact.version;
    } else if (a->service != NULL) {
        n->running = a->service->verb != SERVICE_STOP;
    }
}

void rehearsal_world_act(struct rehearsal_world *w, const struct step_key *key, bool begun)
{
    const struct plan_phase *phase = plan_phase_at(w->plan, key->phase);
    const struct action *a = plan_step_at(w->plan, key->phase, key->step)->action;
    if (key->place < w->plan->nodes.count && !begun) {
        act_node(&w->nodes[key->place], a);
    }
    act_database(w, phase, a, begun);
}

void rehearsal_world_init(struct rehearsal_world *w, struct arena *arena, const struct plan *plan)
{
    *w = (struct rehearsal_world){
        .plan = plan,
        .nodes = ARENA_ARRAY(arena, plan->nodes.count, struct rehearsal_node),
        .databases = ARENA_ARRAY(arena, plan->databases.count, struct rehearsal_database),
        .database_count = plan->databases.count,
    };
    for (size_t i = 0; i < plan->nodes.count; i++) {
        const struct plan_node *node = LIST_AT(&plan->nodes, const struct plan_node, i);
        w->nodes[i] = (struct rehearsal_node){
            .release = node->from, .running = node->running, .denied = node->denied != NULL};
    }
    const struct plan_hop *first = hop_of(plan, 0);
    for (size_t i = 0; i < w->database_count; i++) {
        struct rehearsal_database *d = &w->databases[i];
        d->name = LIST_AT(&plan->databases, const struct plan_observed_database, i)->name;
        d->schema = first != NULL ? pairs_get(&first->schema_from, d->name) : NULL;
    }
}
