/* Owns which migrations a rehearsal runs. It refuses what a clone cannot show. */
#include "lib/plan/rehearsal.h"

#include "lib/base/str.h"

struct gathering {
    struct arena *arena;
    const struct plan_rehearsal_request *request;
    struct plan_rehearsal *out;
    struct migration_item *items;
    size_t count, capacity;
};

static int refuse(const struct gathering *g, struct error *e, const char *why)
{
    return error_set(e, E_INVALID, "database %s cannot be rehearsed: %s", g->request->database,
                     why);
}

static int take_migrations(struct gathering *g, const struct plan_step *step, struct error *e)
{
    const struct db_migrate_action *a = step->action->db_migrate;
    struct db_rehearse_action *out = &g->out->action;
    if (g->count > 0 && a->down != out->down) {
        return refuse(g, e, "the plan takes some of its migrations down and others up");
    }
    g->out->place = step->on;
    out->database = a->database;
    out->format = a->format;
    out->down = a->down;
    for (size_t i = 0; i < a->items.count; i++) {
        g->items = arena_grow(g->arena, g->items, g->count, &g->capacity, sizeof(*g->items));
        g->items[g->count++] = *LIST_AT(&a->items, const struct migration_item, i);
    }
    return 0;
}

static int take_step(struct gathering *g, const struct plan_step *step, struct error *e)
{
    const struct action *a = step->action;
    const char *database = g->request->database;
    if (a->db_migrate != NULL && str_equal(a->db_migrate->database.name, database)) {
        return take_migrations(g, step, e);
    }
    if (a->db_restore != NULL && str_equal(a->db_restore->database.name, database)) {
        return refuse(g, e, "the plan puts it back to a backup");
    }
    return 0;
}

/* Rows of a ledger are only counted around a migrator of the application's own. */
static bool is_migrators(const struct gathering *g, const struct plan_step *step)
{
    const struct db_ledger_action *a = step->action->db_ledger;
    return a != NULL && str_equal(a->database.name, g->request->database);
}

static int gather(struct gathering *g, struct error *e)
{
    const struct plan *plan = g->request->plan;
    int rc = 0;
    for (size_t p = 0; rc == 0 && p < plan->phases.count; p++) {
        for (size_t s = 0; rc == 0 && s < plan_phase_at(plan, p)->steps.count; s++) {
            const struct plan_step *step = plan_step_at(plan, p, s);
            rc = is_migrators(g, step)
                     ? refuse(g, e,
                              "the application's own migrator goes part of the way, and it runs on "
                              "the database itself alone")
                     : take_step(g, step, e);
        }
    }
    g->out->action.there = (struct list){g->items, g->count};
    return rc;
}

/* ---- the way back ---- */

static const struct migration *find_in(const struct known_release *release, const char *database,
                                       const char *id)
{
    for (size_t i = 0; i < release->database_count; i++) {
        if (str_equal(release->databases[i].name, database)) {
            return migration_find(&release->databases[i].set, id);
        }
    }
    return NULL;
}

/* The newer release's scripts are the ones that a way back would run; what it does not bring, another one may. */
static const struct migration *find(const struct gathering *g, const char *id)
{
    const struct plan *plan = g->request->plan;
    const struct inventory *inventory = g->request->inventory;
    const char *newer = g->out->action.down ? plan->from : plan->to;
    const struct migration *found = NULL;
    for (size_t i = 0; i < inventory->release_count; i++) {
        const struct known_release *release = &inventory->releases[i];
        const struct migration *m = find_in(release, g->request->database, id);
        if (m != NULL && (found == NULL || str_equal(release->version, newer))) {
            found = m;
        }
    }
    return found;
}

static void go_back(struct gathering *g)
{
    struct db_rehearse_action *out = &g->out->action;
    struct migration *back = ARENA_ARRAY(g->arena, g->count + 1, struct migration);
    size_t count = 0;
    while (count < g->count && out->no_way_back == NULL) {
        const struct migration_item *item = &g->items[g->count - 1 - count];
        const struct migration *m = find(g, item->id);
        const struct migration_script *script = m == NULL ? NULL : out->down ? &m->up : &m->down;
        if (script == NULL || (script->sha256 == NULL && !script->empty) || script->delegated) {
            out->no_way_back = item->file != NULL ? item->file : item->id;
        } else {
            back[count++] = *m;
        }
    }
    out->back = migration_items(g->arena, back, count, !out->down);
}

/* ---- where ---- */

static void name_clone(struct gathering *g)
{
    const struct cluster_database_spec *site =
        cluster_database(g->request->spec->cluster, g->request->database);
    struct db_rehearse_action *out = &g->out->action;
    if (site != NULL && site->rehearse_on != NULL) {
        out->clone = ARENA_NEW(g->arena, struct database_ref);
        *out->clone = (struct database_ref){.name = out->database.name,
                                            .url = site->rehearse_on->url,
                                            .password = site->rehearse_on->password != NULL
                                                            ? site->rehearse_on->password
                                                            : out->database.password,
                                            .ledger = out->database.ledger};
    }
}

int plan_rehearse(struct arena *arena, const struct plan_rehearsal_request *request,
                  struct plan_rehearsal *ret, struct error *e)
{
    struct plan_rehearsal out = {0};
    struct gathering g = {.arena = arena, .request = request, .out = &out};
    if (cluster_database(request->spec->cluster, request->database) == NULL) {
        return error_set(e, E_NOT_FOUND, "cluster %s has no database \"%s\"",
                         request->spec->cluster->name, request->database);
    }
    int rc = gather(&g, e);
    if (rc < 0) {
        return rc;
    }
    if (g.count > 0 && !request->one_way) {
        go_back(&g);
    }
    if (g.count > 0) {
        name_clone(&g);
    }
    *ret = out;
    return 0;
}
