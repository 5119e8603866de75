/*
 * Owns the door of the compiler: the order in which it looks, chooses the strategy and puts the plan together. Refuses
 * with everything that is wrong at once; a plan is returned only when nothing is.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static bool is_rolling(const struct compiler *c)
{
    const struct strategy_spec *s = c->cluster->strategy;
    return s != NULL && s->rolling != NULL && !s->all_at_once;
}

static const char *installed_at(const struct compiler *c, size_t hop, size_t node,
                                enum hop_side side)
{
    const struct observed_node *seen = c->nodes[node].seen;
    const char *installed = seen != NULL ? seen->version : NULL;
    for (size_t p = 0; p < hop + (side == SIDE_AFTER ? 1 : 0); p++) {
        if (c->hops[p].started) {
            installed = c->hops[p].to;
        }
    }
    return installed;
}

/* Which tree a tool finds: the installed one only when it is the newer release itself. */
static void find_trees(struct compiler *c)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            struct hop_database *db = &c->hops[h].databases[d];
            if (db->tool == NULL || !db->runs || db->tool->artifact.count > 0) {
                continue;
            }
            for (int side = SIDE_BEFORE; side < HOP_SIDES; side++) {
                const char *there = installed_at(c, h, db->node, side);
                db->tree_staged[side] = !str_equal(there, db->tool_release);
                db->staged_tree =
                    db->staged_tree || (hop_part(c, h, db, side).runs && db->tree_staged[side]);
            }
        }
    }
}

static void fill_hops(struct compiler *c)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        const struct hop_state *s = &c->hops[h];
        struct plan_hop *hop = list_push(c->arena, &c->plan->hops, sizeof(*hop));
        *hop = (struct plan_hop){
            .from = s->from, .to = s->to, .direction = s->direction, .started = s->started};
        hop->schema_from.items = ARENA_ARRAY(c->arena, s->database_count, struct pair);
        hop->schema_to.items = ARENA_ARRAY(c->arena, s->database_count, struct pair);
        hop->schema_rolling.items = ARENA_ARRAY(c->arena, s->database_count, struct pair);
        for (size_t d = 0; d < s->database_count; d++) {
            const struct hop_database *db = &s->databases[d];
            if (db->schema_from >= 0) {
                hop->schema_from.items[hop->schema_from.count++] = (struct pair){
                    db->app->name, arena_printf(c->arena, "%lld", (long long)db->schema_from)};
            }
            if (db->schema_to >= 0) {
                hop->schema_to.items[hop->schema_to.count++] = (struct pair){
                    db->app->name, arena_printf(c->arena, "%lld", (long long)db->schema_to)};
            }
            if (db->divided && db->runs) {
                hop->schema_rolling.items[hop->schema_rolling.count++] = (struct pair){
                    db->app->name,
                    arena_printf(c->arena, "%lld", (long long)schema_while_rolling(c, s, db))};
            }
        }
        const struct release_spec *release = release_of(c, s->to);
        if (release != NULL && release->notes != NULL && s->direction != DIRECTION_NONE &&
            release->notes->ack) {
            strings_push(c->arena, &c->plan->notes,
                         arena_printf(c->arena, "%s: %s", s->to,
                                      release->notes->text != NULL ? release->notes->text
                                                                   : "see its release notes"));
        }
    }
}

static void fill_plan(struct compiler *c, const struct plan_request *request, const char *from)
{
    struct plan *plan = c->plan;
    plan->lockstep = 1;
    plan->kind = "Plan";
    plan->cluster = c->cluster->name;
    plan->application = c->app->name;
    plan->spec_digest = request->spec_digest;
    plan->from = from;
    plan->to = c->to;
    bool pauses = request->rolls_back || request->restore_count > 0 || c->cluster->strategy == NULL;
    plan->on_failure = pauses ? ON_FAILURE_PAUSE : c->cluster->strategy->on_failure;
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node_state *n = &c->nodes[i];
        struct plan_node *node = list_push(c->arena, &plan->nodes, sizeof(*node));
        *node = (struct plan_node){n->spec->name,
                                   n->spec->vars,
                                   n->seen != NULL ? n->seen->version : NULL,
                                   n->seen != NULL && n->seen->running,
                                   n->seen != NULL ? n->seen->denied : NULL,
                                   n->spec->pair,
                                   n->seen != NULL ? n->seen->components : (struct pairs){0}};
    }
    for (size_t i = 0; i < c->app->databases.count; i++) {
        const char *name = LIST_AT(&c->app->databases, struct app_database_spec, i)->name;
        const struct observed_database *seen = inventory_database(c->observed, name);
        struct plan_observed_database *database =
            list_push(c->arena, &plan->databases, sizeof(*database));
        database->name = name;
        if (seen != NULL) {
            database->applied = seen->applied;
        }
    }
}

/* Is there anything to do at all? */
static bool is_done(const struct compiler *c)
{
    if (c->path.count > 1 || c->migrates || undo_any(c)) {
        return false;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].touch || c->nodes[i].lift) {
            return false;
        }
    }
    return true;
}

/* Nothing installed anywhere: there is nothing to roll through. */
static bool is_first(const struct compiler *c)
{
    return c->plan->from == NULL;
}

/* Components alone move node by node where they may, whatever the application's own releases may do. */
static void roll_components(struct compiler *c)
{
    const struct strategy_spec *given = c->cluster->strategy;
    c->plan->strategy = STRATEGY_ROLLING;
    if (is_rolling(c)) {
        return;
    }
    struct cluster *cluster = ARENA_NEW(c->arena, struct cluster);
    struct strategy_spec *strategy = ARENA_NEW(c->arena, struct strategy_spec);
    *cluster = *c->cluster;
    *strategy = given != NULL ? *given : (struct strategy_spec){0};
    strategy->all_at_once = false;
    strategy->rolling = ARENA_NEW(c->arena, struct rolling_spec);
    *strategy->rolling = (struct rolling_spec){.max_unavailable = 1};
    cluster->strategy = strategy;
    c->cluster = cluster;
}

static bool choose_strategy(struct compiler *c, const char *from)
{
    c->plan->strategy =
        is_rolling(c) && !is_first(c) && !restores(c) ? STRATEGY_ROLLING : STRATEGY_ALL_AT_ONCE;
    size_t complaints = c->complaints->count;
    way_hops(c, from);
    if (c->complaints->count == complaints && components_roll(c)) {
        roll_components(c);
        return true;
    }
    if (c->complaints->count > complaints || c->plan->strategy != STRATEGY_ROLLING) {
        return c->complaints->count == complaints;
    }
    const char *why = NULL;
    if (is_done(c) || prove_rolling(c, &why)) {
        return true;
    }
    if (c->cluster->strategy->if_not_rolling != IF_NOT_ROLLING_ALL_AT_ONCE) {
        forbid_at(c, &c->cluster->strategy->rolling,
                  "%s; go all-at-once, or say if_not_rolling: all-at-once", why);
        return false;
    }
    c->plan->strategy = STRATEGY_ALL_AT_ONCE;
    c->migrates = false;
    way_hops(c, from);
    warn(c, "all-at-once, not rolling: %s", why);
    return true;
}

/* While it rolls, nodes that fail by themselves count: their agents are told what to look at. */
static void watch_services(struct compiler *c)
{
    struct observe_action raw = {.layout = c->layout, .service = c->app->service};
    struct action in = {.observe = &raw};
    c->plan->max_unavailable = (int64_t)rolling_budget(c->cluster, c->node_count);
    c->plan->watch = ARENA_NEW(c->arena, struct action);
    resolve_shape(c, c->hop_count - 1, NULL, &action_shape, &in, c->plan->watch);
}

static size_t starts_in(const struct plan_phase *phase)
{
    size_t count = 0;
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct action *a = LIST_AT(&phase->steps, struct plan_step, i)->action;
        count += a->service != NULL && a->service->verb != SERVICE_STOP ? 1 : 0;
    }
    return count;
}

/* The start budget: the run keeps it over time; here stands what it means for this plan. */
static void pace(struct compiler *c)
{
    struct starts_spec *starts = c->cluster->strategy != NULL ? c->cluster->strategy->starts : NULL;
    int64_t all = 0;
    if (starts == NULL) {
        return;
    }
    c->plan->starts = starts;
    for (size_t i = 0; i < c->plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(c->plan, i);
        int64_t each = (int64_t)starts_in(phase);
        if (each > starts->at_most) {
            forbid_at(c, &starts->at_most,
                      "phase \"%s\" starts the service %lld times on one node, and starts: allows "
                      "%lld within %s: allow more, or take the restart out of the extra steps",
                      phase->name, (long long)each, (long long)starts->at_most,
                      str_duration(c->arena, starts->within_ms));
            return;
        }
        bool nodes = phase->scope == PHASE_NODES;
        all += each *
               (nodes ? (int64_t)LIST_AT(&c->plan->node_sets, struct plan_node_set, phase->node_set)
                            ->nodes.count
                      : 1);
    }
    if (all > starts->at_most) {
        warn(c, "%lld starts, no more than %lld within %s: this takes at least %s%s",
             (long long)all, (long long)starts->at_most, str_duration(c->arena, starts->within_ms),
             str_duration(c->arena, (all - 1) / starts->at_most * starts->within_ms),
             c->plan->strategy == STRATEGY_ALL_AT_ONCE ? ", and the last node is down that long"
                                                       : "");
    }
}

static void compile(struct compiler *c)
{
    find_trees(c);
    migrators_find(c);
    fill_hops(c);
    extra_left_out(c);
    if (c->plan->strategy == STRATEGY_ROLLING) {
        compile_rolling(c);
    } else {
        compile_all_at_once(c);
    }
    if (c->plan->phases.count > LIMIT_PHASES) {
        forbid(c,
               "this plan has %zu phases, more than the limit of %d: use a larger "
               "max_unavailable, or go part of the way",
               c->plan->phases.count, LIMIT_PHASES);
    }
    halts(c);
    for (size_t i = 0; i < c->plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(c->plan, i);
        if (phase->steps.count > LIMIT_PHASE_STEPS) {
            forbid(c, "phase \"%s\" has %zu steps, more than the limit of %d", phase->name,
                   phase->steps.count, LIMIT_PHASE_STEPS);
        }
    }
    if (c->plan->strategy == STRATEGY_ROLLING && c->app->service != NULL) {
        watch_services(c);
    }
    pace(c);
    prove_sentences(c);
}

int plan_compile(struct arena *arena, const struct spec *spec, const struct inventory *inventory,
                 const struct plan_request *request, struct plan *ret,
                 struct complaints *complaints)
{
    assert(spec->cluster != NULL && spec->application != NULL);
    struct plan plan = {0};
    struct compiler c = {.arena = arena,
                         .spec = spec,
                         .app = spec->application,
                         .cluster = spec->cluster,
                         .request = request,
                         .plan = &plan,
                         .complaints = complaints,
                         .to = wanted_version(spec, request->to)};
    size_t before = complaints->count;
    if (c.app->layout == NULL) {
        forbid_at(&c, c.app, "application %s has no layout: path", c.app->name);
        return E_INVALID;
    }
    restores_read(&c, inventory);
    nodes_read(&c);
    c.layout = resolve_text(&c, 0, NULL, c.app->layout->path);
    const char *from = NULL;
    struct error e = {0};
    int way = way_from(&c, &from);
    if (way == 0 && restores(&c)) {
        restores_path(&c, from);
    } else if (way == 0 && plan_path(arena, c.app, &spec->scheme, from, c.to, &c.path, &e) < 0) {
        forbid_at(&c, request->to == NULL ? &spec->cluster->version : NULL, "%s", e.message);
    }
    nodes_check(&c);
    components_read(&c);
    if (complaints->count > before) {
        return E_INVALID;
    }
    fill_plan(&c, request, from);
    if (!choose_strategy(&c, from)) {
        return E_INVALID;
    }
    open_check(&c);
    undo_read(&c);
    plan.direction = c.hops[0].direction;
    if (!is_done(&c)) {
        compile(&c);
    } else {
        plan.direction = DIRECTION_NONE;
    }
    if (complaints->count > before) {
        return E_INVALID;
    }
    *ret = plan;
    return 0;
}
