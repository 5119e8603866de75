/*
 * Owns the proof of a plan as it was put together: walks its phases and keeps, for each node, what runs there and whether
 * its starts are denied, and for each database its schema. Refuses a plan that breaks one of the sentences it would print.
 * A phase costs its own nodes only; between two phases stands a barrier, so a phase is looked at as a whole.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"
#include "lib/spec/component.h"

struct place {
    const char *name;
    size_t version; /* index into walk.versions; NO_VERSION: nothing installed */
    bool running, denied, taken;
    struct place *partner;   /* of its failover pair; NULL: it stands alone */
    size_t set;              /* number + 1 of the last phase that had it in its set */
    const char **components; /* version of each; NULL: not there */
};

struct schema {
    const char *name;
    int64_t number; /* -1: not said */
    bool quiet;     /* no session of the application is left since the last start */
};

struct walk {
    struct compiler *c;
    const struct plan *plan;
    struct place *places;
    struct place **sorted;
    struct strings versions;
    size_t *running; /* of each version: on how many nodes it runs */
    struct schema *schemas;
    size_t schema_count;
    const char *locked; /* the database whose lock is held */
    size_t phase;       /* how many phases of nodes there were */
    size_t down, most_down, denied, taken, checked, unknown, locks, migrations;
    size_t restores;
    size_t bare;       /* migrations that do not commit with their ledger row */
    size_t components; /* looked at beside a release */
    struct {
        const char *release, *version; /* the last that fitted */
    } fitted[LIMIT_COMPONENTS];
    bool excepted; /* some sessions may stay while a database moves */
    bool paired;   /* some nodes are failover pairs */
    bool broken;   /* one complaint is enough: what follows is a consequence */
};

#define NO_VERSION SIZE_MAX

static int by_place(const void *a, const void *b)
{
    return strcmp((*(struct place *const *)a)->name, (*(struct place *const *)b)->name);
}

static struct place *place_of(struct walk *w, const char *name)
{
    struct place key = {.name = name};
    struct place *wanted = &key;
    struct place **found =
        bsearch(&wanted, w->sorted, w->plan->nodes.count, sizeof(struct place *), by_place);
    return found != NULL ? *found : NULL;
}

static size_t version_of(struct walk *w, const char *version)
{
    for (size_t i = 0; version != NULL && i < w->versions.count; i++) {
        if (str_equal(w->versions.items[i], version)) {
            return i;
        }
    }
    if (version == NULL) {
        return NO_VERSION;
    }
    assert(w->versions.count <= w->c->app->releases.count + w->plan->nodes.count);
    strings_push(w->c->arena, &w->versions, version);
    return w->versions.count - 1;
}

/* ---- releases and schemas ---- */

static void meet(struct walk *w, size_t version, const struct schema *schema, const char *how)
{
    const char *name = w->versions.items[version];
    if (schema->number < 0) {
        w->unknown++;
        return;
    }
    w->checked++;
    if (!runs_with(w->c, name, schema->name, schema->number) && !w->broken) {
        const char *text = runs_with_text(w->c, name, schema->name);
        w->broken = true;
        forbid(w->c, "%s: release %s would meet %s %lld (it runs with %s)", how, name, schema->name,
               (long long)schema->number, text != NULL ? text : "no schema that it names");
    }
}

static void set_running(struct walk *w, struct place *p, bool running)
{
    if (p->version != NO_VERSION && p->running != running) {
        w->running[p->version] += running ? 1 : (size_t)-1;
    }
    w->down += p->running == running ? 0 : running ? (size_t)-1 : 1;
    p->running = running;
}

/* Each component of the node beside the release that runs, or starts, there. */
static void fits(struct walk *w, const struct plan_phase *phase, const struct place *p)
{
    for (size_t k = 0; k < w->c->app->components.count && p->version != NO_VERSION; k++) {
        const struct component_spec *component =
            LIST_AT(&w->c->app->components, const struct component_spec, k);
        const char *release = w->versions.items[p->version];
        const char *version = p->components[k];
        const char *range = NULL;
        if (version == NULL || w->broken) {
            continue;
        }
        w->components++;
        if (w->fitted[k].release == release && w->fitted[k].version == version) {
            continue;
        }
        if (component_fits(w->c->arena, &w->c->spec->scheme, component, release, version, &range)) {
            w->fitted[k].release = release;
            w->fitted[k].version = version;
            continue;
        }
        w->broken = true;
        forbid(w->c,
               "phase \"%s\": release %s would run beside component %s %s on %s, and it runs with "
               "%s of it: name a version that fits under components: of that release, or want one "
               "under components: of the cluster",
               phase->name, release, component->name, version, p->name, range);
    }
}

static void component_step(struct walk *w, const struct plan_phase *phase,
                           const struct plan_step *step, struct place *p)
{
    for (size_t k = 0; step->component != NULL && k < w->c->app->components.count; k++) {
        if (str_equal(LIST_AT(&w->c->app->components, struct component_spec, k)->name,
                      step->component->name)) {
            p->components[k] = step->component->version;
        }
    }
    if (step->component != NULL && p->running) {
        fits(w, phase, p);
    }
}

static void starts(struct walk *w, const struct plan_phase *phase, struct place *p, bool *seen)
{
    set_running(w, p, true);
    for (size_t i = 0; i < w->schema_count; i++) {
        w->schemas[i].quiet = false;
    }
    fits(w, phase, p);
    if (p->version == NO_VERSION || seen[p->version]) {
        return;
    }
    seen[p->version] = true;
    const char *how =
        arena_printf(w->c->arena, "phase \"%s\" starts it on %s", phase->name, p->name);
    for (size_t i = 0; i < w->schema_count; i++) {
        meet(w, p->version, &w->schemas[i], how);
    }
}

/* The schema where a phase leaves its database, or (`before`) where it finds it; NULL: not said. */
static const char *schema_at(const struct plan_hop *hop, const struct plan_phase *phase,
                             const char *database, bool before)
{
    const char *rolling = pairs_get(&hop->schema_rolling, database);
    bool first = phase->part == (hop->direction == DIRECTION_DOWN ? PART_CONTRACT : PART_EXPAND);
    if (phase->part != PART_WHOLE && rolling != NULL && first != before) {
        return rolling;
    }
    return pairs_get(before ? &hop->schema_from : &hop->schema_to, database);
}

static void move_schema(struct walk *w, const struct plan_phase *phase, const char *database)
{
    if (phase->hop < 0 || phase->hop >= (int64_t)w->plan->hops.count) {
        return;
    }
    const struct plan_hop *hop = LIST_AT(&w->plan->hops, struct plan_hop, phase->hop);
    const char *text = schema_at(hop, phase, database, false);
    uint64_t number = 0;
    bool known = text != NULL && str_to_u64(text, INT64_MAX, &number);
    for (size_t i = 0; i < w->schema_count; i++) {
        if (!str_equal(w->schemas[i].name, database)) {
            continue;
        }
        w->schemas[i].number = known ? (int64_t)number : -1;
        const char *how =
            arena_printf(w->c->arena, "phase \"%s\" runs while the release does", phase->name);
        for (size_t v = 0; v < w->versions.count; v++) {
            if (w->running[v] > 0) {
                meet(w, v, &w->schemas[i], how);
            }
        }
    }
}

/* ---- the steps of a database ---- */

static void lock(struct walk *w, const struct plan_phase *phase, const char *database)
{
    w->locked = database;
    w->locks++;
    size_t open = w->plan->nodes.count - w->denied;
    if (w->plan->strategy == STRATEGY_ALL_AT_ONCE && open > 0 && !w->broken) {
        w->broken = true;
        forbid(w->c,
               "phase \"%s\" locks database %s while %zu of %zu nodes have not denied starts: this "
               "is a mistake of the compiler, report it",
               phase->name, database, open, w->plan->nodes.count);
    }
}

static void quiet(struct walk *w, const struct db_writers_action *a)
{
    w->excepted = w->excepted || a->except.count > 0 || a->only.count > 0;
    for (size_t i = 0; i < w->schema_count; i++) {
        w->schemas[i].quiet =
            w->schemas[i].quiet || str_equal(w->schemas[i].name, a->database.name);
    }
}

static void prove_quiet(struct walk *w, const struct plan_phase *phase, const char *database)
{
    for (size_t i = 0; w->plan->strategy == STRATEGY_ALL_AT_ONCE && i < w->schema_count; i++) {
        if (str_equal(w->schemas[i].name, database) && !w->schemas[i].quiet && !w->broken) {
            w->broken = true;
            forbid(w->c,
                   "phase \"%s\" moves database %s before the sessions of the application are "
                   "gone: this is a mistake of the compiler, report it",
                   phase->name, database);
        }
    }
}

static void database_step(struct walk *w, const struct plan_phase *phase, const struct action *a)
{
    if (a->db_writers != NULL) {
        quiet(w, a->db_writers);
    } else if (a->db_lock != NULL) {
        lock(w, phase, a->db_lock->database.name);
    } else if (a->db_unlock != NULL) {
        w->locked = NULL;
    } else if (a->db_restore != NULL && !a->db_restore->look) {
        w->restores++;
        prove_quiet(w, phase, a->db_restore->database.name);
        move_schema(w, phase, a->db_restore->database.name);
    } else if (a->db_migrate != NULL) {
        w->migrations++;
        prove_quiet(w, phase, a->db_migrate->database.name);
        bool commits = is_mariadb(w->c, &a->db_migrate->database);
        for (size_t i = 0; i < a->db_migrate->items.count; i++) {
            const struct migration_item *item =
                LIST_AT(&a->db_migrate->items, struct migration_item, i);
            w->bare += item->transactional && !commits ? 0 : 1;
        }
        move_schema(w, phase, a->db_migrate->database.name);
    } else if (a->run != NULL && w->locked != NULL) { /* an external migrator */
        w->migrations++;
        w->bare++;
        prove_quiet(w, phase, w->locked);
        move_schema(w, phase, w->locked);
    }
}

/* ---- the steps of nodes ---- */

static void node_step(struct walk *w, const struct plan_phase *phase, const struct action *a,
                      struct place *p, bool *seen)
{
    bool serves = w->c->app->service != NULL;
    if (a->deny != NULL) {
        w->denied += p->denied ? 0 : 1;
        p->denied = true;
    } else if (a->permit != NULL) {
        w->denied -= p->denied ? 1 : 0;
        p->denied = false;
    } else if (a->swap != NULL) {
        bool ran = p->running;
        set_running(w, p, false);
        p->version = version_of(w, a->swap->artifact.version);
        set_running(w, p, ran);
    } else if (a->service != NULL && a->service->verb == SERVICE_STOP) {
        set_running(w, p, false);
    } else if (a->service != NULL) {
        starts(w, phase, p, seen);
    }
    /* Without a service, what a node has installed is in use unless that is denied. */
    if (!serves && (a->deny != NULL || a->permit != NULL)) {
        set_running(w, p, false);
        if (a->permit != NULL) {
            starts(w, phase, p, seen);
        }
    }
}

static bool takes_down(const struct action *a)
{
    return a->service != NULL && a->service->verb != SERVICE_START;
}

static void complain_budget(struct walk *w, const struct plan_phase *phase, size_t before,
                            size_t down)
{
    const struct strategy_spec *s = w->c->cluster->strategy;
    if (w->plan->strategy != STRATEGY_ROLLING || s == NULL || s->rolling == NULL || w->broken) {
        return;
    }
    size_t budget = rolling_budget(w->c->cluster, w->plan->nodes.count);
    if (down > budget) {
        w->broken = true;
        forbid(w->c,
               "phase \"%s\" would have %zu of %zu nodes down at once (%zu before it), more than "
               "max_unavailable: %zu; start what is down, move the extra step that stops services "
               "or splits the wave, or allow more",
               phase->name, down, w->plan->nodes.count, before, budget);
    }
}

/* Taking this one down, is its partner up, and does it stay so? */
static void prove_pair(struct walk *w, const struct plan_phase *phase, const struct place *p)
{
    const struct place *partner = p->partner;
    if (w->plan->strategy != STRATEGY_ROLLING || partner == NULL || w->broken || !p->running ||
        (partner->running && partner->set != p->set)) {
        return;
    }
    w->broken = true;
    forbid(
        w->c,
        "phase \"%s\" would take %s down %s %s, and the two are one failover pair: start what is "
        "down, or move the extra step that stops services",
        phase->name, p->name, partner->running ? "together with" : "beside", partner->name);
}

static void nodes_phase(struct walk *w, const struct plan_phase *phase)
{
    const struct plan_node_set *set =
        LIST_AT(&w->plan->node_sets, struct plan_node_set, phase->node_set);
    bool *seen = ARENA_ARRAY(w->c->arena, w->versions.count + phase->steps.count, bool);
    bool stops = phase->takes_down && w->c->app->service == NULL;
    for (size_t s = 0; s < phase->steps.count; s++) {
        stops = stops || takes_down(LIST_AT(&phase->steps, struct plan_step, s)->action);
    }
    size_t before = w->down;
    size_t up = 0;
    w->phase++;
    for (size_t i = 0; stops && w->paired && i < set->nodes.count; i++) {
        place_of(w, set->nodes.items[i])->set = w->phase;
    }
    for (size_t i = 0; i < set->nodes.count; i++) {
        struct place *p = place_of(w, set->nodes.items[i]);
        assert(p != NULL);
        if (stops) {
            prove_pair(w, phase, p);
        }
        up += p->running ? 1 : 0;
        w->taken += phase->takes_down && !p->taken ? 1 : 0;
        p->taken = p->taken || phase->takes_down;
        for (size_t s = 0; s < phase->steps.count; s++) {
            const struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, s);
            node_step(w, phase, step->action, p, seen);
            component_step(w, phase, step, p);
        }
    }
    if (!stops || up == 0) {
        return;
    }
    /* `parallel` bounds a phase that brings its nodes up again; what it leaves down adds up. */
    size_t at_once = phase->parallel > 0 ? MIN(up, (size_t)phase->parallel) : up;
    size_t down = MAX(before + at_once, w->down);
    w->most_down = MAX(w->most_down, down);
    complain_budget(w, phase, before, down);
}

static void once_phase(struct walk *w, const struct plan_phase *phase)
{
    bool *seen = ARENA_ARRAY(w->c->arena, w->versions.count + phase->steps.count, bool);
    for (size_t s = 0; s < phase->steps.count; s++) {
        const struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, s);
        struct place *p = place_of(w, step->on);
        database_step(w, phase, step->action);
        if (p != NULL) {
            size_t down = w->down + (takes_down(step->action) && p->running ? 1 : 0);
            if (down > w->down) {
                w->most_down = MAX(w->most_down, down);
                p->set = ++w->phase;
                prove_pair(w, phase, p);
                complain_budget(w, phase, w->down, down);
            }
            node_step(w, phase, step->action, p, seen);
        }
    }
    w->locked = NULL;
}

/* ---- the whole ---- */

/* A database stands where its first migration begins; one that does not move is where the target wants it. */
static int64_t first_schema(const struct plan *plan, const char *database)
{
    const struct plan_hop *hop = LIST_AT(&plan->hops, struct plan_hop, plan->hops.count - 1);
    const char *text = pairs_get(&hop->schema_to, database);
    for (size_t i = 0; i < plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(plan, i);
        for (size_t s = 0; s < phase->steps.count; s++) {
            const struct db_lock_action *a = plan_step_at(plan, i, s)->action->db_lock;
            if (a != NULL && str_equal(a->database.name, database) && phase->hop >= 0) {
                hop = LIST_AT(&plan->hops, struct plan_hop, phase->hop);
                text = schema_at(hop, phase, database, true);
                i = plan->phases.count - 1;
                break;
            }
        }
    }
    uint64_t number = 0;
    return text != NULL && str_to_u64(text, INT64_MAX, &number) ? (int64_t)number : -1;
}

struct paired {
    const char *pair;
    struct place *place;
};

static int by_pair(const void *left, const void *right)
{
    return strcmp(((const struct paired *)left)->pair, ((const struct paired *)right)->pair);
}

static void find_pairs(struct walk *w)
{
    struct paired *paired = ARENA_ARRAY(w->c->arena, w->plan->nodes.count, struct paired);
    size_t count = 0;
    for (size_t i = 0; i < w->plan->nodes.count; i++) {
        const char *pair = LIST_AT(&w->plan->nodes, struct plan_node, i)->pair;
        if (pair != NULL) {
            paired[count++] = (struct paired){pair, &w->places[i]};
        }
    }
    if (count > 1) {
        qsort(paired, count, sizeof(*paired), by_pair);
    }
    for (size_t i = 1; i < count; i++) {
        if (str_equal(paired[i - 1].pair, paired[i].pair)) {
            paired[i - 1].place->partner = paired[i].place;
            paired[i].place->partner = paired[i - 1].place;
            w->paired = true;
        }
    }
}

static const char **components_of(struct walk *w, const struct plan_node *node)
{
    size_t count = w->c->app->components.count;
    const char **found = count > 0 ? ARENA_ARRAY(w->c->arena, count, const char *) : NULL;
    for (size_t k = 0; k < count; k++) {
        found[k] = pairs_get(&node->components,
                             LIST_AT(&w->c->app->components, struct component_spec, k)->name);
    }
    return found;
}

static void begin(struct walk *w)
{
    const struct plan *plan = w->plan;
    struct arena *arena = w->c->arena;
    size_t n = plan->nodes.count;
    w->places = ARENA_ARRAY(arena, n, struct place);
    w->sorted = ARENA_ARRAY(arena, n, struct place *);
    w->running = ARENA_ARRAY(arena, w->c->app->releases.count + n + 1, size_t);
    for (size_t i = 0; i < n; i++) {
        const struct plan_node *node = LIST_AT(&plan->nodes, struct plan_node, i);
        bool running = w->c->app->service != NULL ? node->running : node->from != NULL;
        w->places[i] = (struct place){.name = node->name,
                                      .version = version_of(w, node->from),
                                      .denied = node->denied != NULL};
        w->denied += node->denied != NULL ? 1 : 0;
        w->places[i].components = components_of(w, node);
        w->sorted[i] = &w->places[i];
        w->down++;
        set_running(w, &w->places[i], running);
    }
    qsort(w->sorted, n, sizeof(struct place *), by_place);
    find_pairs(w);
    w->schema_count = plan->databases.count;
    w->schemas = ARENA_ARRAY(arena, w->schema_count, struct schema);
    for (size_t i = 0; i < w->schema_count; i++) {
        const char *name = LIST_AT(&plan->databases, struct plan_observed_database, i)->name;
        w->schemas[i] = (struct schema){name, first_schema(plan, name), false};
    }
}

static void say(struct walk *w, struct strings *ret)
{
    struct arena *arena = w->c->arena;
    size_t n = w->plan->nodes.count;
    if (w->checked > 0 && w->unknown == 0) {
        strings_push(arena, ret, "no release meets a schema outside runs_with");
    }
    if (w->components > 0) {
        strings_push(arena, ret, "no release runs beside a component outside its range");
    }
    if (w->plan->strategy == STRATEGY_ROLLING) {
        strings_push(arena, ret,
                     arena_printf(arena, "no more than %zu of %zu nodes taken down at once",
                                  w->most_down, n));
        if (w->paired) {
            strings_push(arena, ret, "no failover pair taken down at both nodes at once");
        }
    } else if (w->plan->from != NULL) {
        strings_push(
            arena, ret,
            arena_printf(arena, "%zu of %zu down at once, as all-at-once says", w->taken, n));
    }
    if (w->migrations > 0 && w->bare == 0) {
        strings_push(arena, ret, "every migration commits together with its ledger row");
    }
    if (w->locks > 0 && w->plan->strategy == STRATEGY_ALL_AT_ONCE) {
        strings_push(arena, ret, "no database is locked before every node has denied starts");
    }
    const char *excepted = w->excepted ? ", but for those that may stay" : "";
    if (w->migrations > 0 && w->plan->strategy == STRATEGY_ALL_AT_ONCE) {
        strings_push(arena, ret,
                     arena_printf(arena,
                                  "no migration runs before the sessions of the application are "
                                  "gone%s",
                                  excepted));
    }
    if (w->restores > 0) {
        strings_push(arena, ret,
                     arena_printf(arena,
                                  "no database is restored before the sessions of the application "
                                  "are gone%s",
                                  excepted));
    }
}

bool prove_plan(struct compiler *c, struct strings *ret)
{
    if (c->plan->phases.count == 0) {
        return true;
    }
    struct walk w = {.c = c, .plan = c->plan};
    begin(&w);
    for (size_t i = 0; i < c->plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(c->plan, i);
        if (phase->scope == PHASE_NODES) {
            nodes_phase(&w, phase);
        } else {
            once_phase(&w, phase);
        }
    }
    if (w.denied > 0 && !w.broken && c->complaints->count == 0) {
        w.broken = true;
        forbid(c,
               "%zu of %zu nodes could not start by themselves after this plan: this is a mistake "
               "of the compiler, report it",
               w.denied, c->plan->nodes.count);
    }
    if (!w.broken) {
        say(&w, ret);
    }
    return !w.broken;
}

int plan_prove(struct arena *arena, const struct spec *spec, const struct plan *plan,
               struct strings *ret, struct complaints *complaints)
{
    struct plan copy = *plan;
    struct compiler c = {.arena = arena,
                         .spec = spec,
                         .app = spec->application,
                         .cluster = spec->cluster,
                         .plan = &copy,
                         .complaints = complaints,
                         .to = plan->to};
    return prove_plan(&c, ret) ? 0 : E_INVALID;
}
