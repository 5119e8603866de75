/*
 * Owns which extra steps are in, where they stand, and the sentence that says why. Refuses nothing: a step that
 * does not hold anywhere is listed as left out with its reason.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static const char *const point_words[] = {
    "",         "preflight", "staged",          "drained", "stopped",   "backed-up",
    "migrated", "swapped",   "start-requested", "healthy", "undrained", "finished"};

static enum step_point point_of(const struct extra_step *step)
{
    return (enum step_point)(step->after != POINT_NONE ? step->after : step->before);
}

static int side_of(const struct extra_step *step)
{
    return step->after != POINT_NONE ? SLOT_AFTER : SLOT_BEFORE;
}

static bool point_is_there(const struct compiler *c, enum step_point point, size_t hop)
{
    bool rolling = c->plan->strategy == STRATEGY_ROLLING;
    switch (point) {
    case POINT_NONE:
    case POINT_PREFLIGHT:
    case POINT_STAGED:
    case POINT_BACKED_UP:
    case POINT_MIGRATED:
    case POINT_FINISHED:
        return true;
    case POINT_DRAINED:
    case POINT_STOPPED: /* all at once: of the stop that stands before this hop */
        return !rolling || c->hops[hop].started;
    case POINT_SWAPPED:
    case POINT_START_REQUESTED:
    case POINT_HEALTHY:
    case POINT_UNDRAINED:
        return c->hops[hop].started;
    }
    return false;
}

/* Does the version fit the range? Adds "9.11.3 is >=10.3.8" or "… is not …" to the reasons. */
static bool range_holds(struct compiler *c, const char *version, const char *text,
                        struct strings *in, const char **ret_not)
{
    if (text == NULL) {
        return true;
    }
    if (version == NULL) {
        *ret_not = arena_printf(c->arena, "nothing is installed yet, so nothing is %s", text);
        return false;
    }
    const struct range *range = NULL;
    struct error e = {0};
    bool holds =
        range_parse(c->arena, &c->spec->scheme, text, &range, &e) == 0 && range_has(range, version);
    if (!holds) {
        *ret_not = arena_printf(c->arena, "%s is not %s", version, text);
        return false;
    }
    strings_push(c->arena, in, arena_printf(c->arena, "%s is %s", version, text));
    return true;
}

static bool has_role(const struct compiler *c, size_t node, const void *role)
{
    return strings_have(&c->nodes[node].spec->roles, role);
}

static bool role_holds(struct compiler *c, const char *role, struct strings *in,
                       const char **ret_not)
{
    if (role == NULL) {
        return true;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        if (has_role(c, i, role)) {
            strings_push(c->arena, in, arena_printf(c->arena, "role is %s", role));
            return true;
        }
    }
    *ret_not = arena_printf(c->arena, "no node has the role %s", role);
    return false;
}

static bool direction_holds(struct compiler *c, int wanted, enum direction is, struct strings *in,
                            const char **ret_not)
{
    static const char *const words[] = {"", "up", "down"};
    static const enum direction meant[] = {DIRECTION_NONE, DIRECTION_UP, DIRECTION_DOWN};
    if (wanted == WHEN_ANY) {
        return true;
    }
    if (is == DIRECTION_NONE) {
        *ret_not = arena_printf(c->arena, "the version stays, direction is not %s", words[wanted]);
        return false;
    }
    if (meant[wanted] != is) {
        *ret_not = arena_printf(c->arena, "direction is %s, not %s", words[is], words[wanted]);
        return false;
    }
    strings_push(c->arena, in, arena_printf(c->arena, "direction is %s", words[is]));
    return true;
}

bool when_holds(struct compiler *c, const struct when_spec *when, const struct hop_state *hop,
                struct strings *in, const char **ret_not)
{
    return when == NULL || (direction_holds(c, when->direction, hop->direction, in, ret_not) &&
                            range_holds(c, hop->from, when->hop_from, in, ret_not) &&
                            range_holds(c, hop->to, when->hop_to, in, ret_not) &&
                            role_holds(c, when->role, in, ret_not));
}

bool extra_holds(struct compiler *c, const struct extra_step *step, size_t index,
                 const char **ret_why)
{
    const struct hop_state *hop = &c->hops[index];
    struct strings in = {0};
    const char *not_in = NULL;
    if (!when_holds(c, step->when, hop, &in, &not_in)) {
        *ret_why = not_in;
        return false;
    }
    if (!point_is_there(c, point_of(step), index)) {
        *ret_why = arena_printf(c->arena, "%s is migrated through, not started: it has no %s",
                                hop->to, point_words[point_of(step)]);
        return false;
    }
    const char *restored = restore_forbids(c, step);
    if (restored != NULL) {
        *ret_why = restored;
        return false;
    }
    *ret_why = in.count == 0 ? PLAN_ALWAYS : str_join(c->arena, in.items, in.count);
    return true;
}

void extra_left_out(struct compiler *c)
{
    for (size_t i = 0; i < c->app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&c->app->extra_steps, struct extra_step, i);
        struct strings why = {0};
        bool in = false;
        for (size_t h = 0; h < c->hop_count && !in; h++) {
            const char *reason = NULL;
            in = extra_holds(c, step, h, &reason);
            if (!strings_have(&why, reason)) {
                strings_push(c->arena, &why, reason);
            }
        }
        if (!in) {
            struct plan_left_out *out = list_push(c->arena, &c->plan->left_out, sizeof(*out));
            out->name = step->name;
            out->why = str_join(c->arena, why.items, why.count);
        }
    }
}

bool extra_is_inline(const struct compiler *c, const struct extra_step *step,
                     const struct members *members)
{
    if (step->scope != SCOPE_NODE) {
        return false;
    }
    for (size_t i = 0; step->when != NULL && step->when->role != NULL && i < members->count; i++) {
        if (!has_role(c, members->items[i], step->when->role)) {
            return false;
        }
    }
    return true;
}

/* How long the action itself may take; the step's `timeout` holds for each of its actions. */
static int64_t own_limit(const struct action *a)
{
    if (a->run != NULL) {
        return a->run->command.timeout_ms;
    }
    if (a->wait != NULL) {
        return a->wait->within_ms;
    }
    if (a->follow != NULL) {
        return a->follow->within_ms;
    }
    if (a->service != NULL && a->service->service != NULL) {
        return a->service->service->within_ms * (a->service->verb == SERVICE_RESTART ? 2 : 1);
    }
    return 0;
}

static const char *words_of(struct compiler *c, const struct action *a)
{
    static const char *const verbs[] = {"start", "stop", "restart"};
    if (a->service != NULL) {
        return arena_printf(c->arena, "service %s", verbs[a->service->verb]);
    }
    if (a->run != NULL && a->run->command.argv.count > 0) {
        return arena_printf(c->arena, "run %s", a->run->command.argv.items[0]);
    }
    if (a->follow != NULL) {
        return arena_printf(c->arena, "follow %s to %lld", a->follow->database.name,
                            (long long)a->follow->to);
    }
    if (a->wait != NULL && a->wait->file != NULL) {
        return arena_printf(c->arena, "wait for %s", a->wait->file);
    }
    return action_kind_name(action_kind(a));
}

static struct database_ref ref_of(struct compiler *c, const char *database)
{
    const struct cluster_database_spec *d =
        database != NULL ? cluster_database(c->cluster, database) : NULL;
    if (d == NULL) {
        return (struct database_ref){.name = database};
    }
    return (struct database_ref){
        .name = d->name, .url = d->url, .password = d->password, .url_secret = d->url_from};
}

static void complete_run(struct compiler *c, struct run_action *a, const struct hop_state *hop,
                         bool once)
{
    a->layout = c->layout;
    a->once = once;
    if (a->tree == TREE_STAGED && a->release == NULL) {
        a->release = hop->to;
    }
}

/* Fills what a person leaves to the compiler. */
static void complete(struct compiler *c, struct action *a, const struct hop_state *hop,
                     const char *database)
{
    if (a->service != NULL) {
        a->service->service = c->app->service;
        a->service->layout = c->layout;
    }
    if (a->run != NULL) {
        complete_run(c, a->run, hop, true); /* a person's command is never started again blindly */
    }
    if (a->follow != NULL) {
        a->follow->database = ref_of(c, database != NULL ? database : a->follow->database.name);
        if (a->follow->run != NULL) {
            complete_run(c, a->follow->run, hop, false); /* its progress is known */
        }
    }
    if (a->health != NULL) {
        a->health->layout = c->layout;
        a->health->service = c->app->service;
    }
    if (a->sql != NULL && database != NULL) {
        a->sql->database = ref_of(c, database);
    }
}

/* A list may take `timeout`; what is followed has `within` of its own, unless somebody wrote a timeout. */
static int64_t limit_of(const struct compiler *c, const struct extra_step *step,
                        const struct action *action)
{
    int64_t own = own_limit(action);
    int64_t whole = step->timeout_ms > 0 ? step->timeout_ms : SQL_MS;
    bool written = marks_find(c->spec->application_marks, &step->timeout_ms).line != 0;
    if (action->follow != NULL && !written) {
        return own;
    }
    return own > 0 ? MIN(own, whole) : whole;
}

/* Only an action that can see its work move has a `stall`; that one ends it first, with better words. Ours is for a worker
 * that hangs itself. */
static int64_t stall_of(const struct action *a)
{
    int64_t own_ms = a->wait != NULL     ? a->wait->stall_ms
                     : a->follow != NULL ? a->follow->stall_ms + a->follow->every_ms
                                         : 0;
    return own_ms > 0 ? MIN(own_ms + STALL_SLACK_MS, LIMIT_DURATION_MS) : 0;
}

void extra_add_actions(struct compiler *c, struct plan_phase *phase, size_t hop,
                       const struct extra_actions *what)
{
    c->meant = what->way;
    for (size_t i = 0; i < what->actions->count; i++) {
        struct action action = {0};
        resolve_shape(c, hop, what->database, &action_shape,
                      LIST_AT(what->actions, struct action, i), &action);
        complete(c, &action, what->way, what->database);
        struct action completed = action; /* what was filled in may hold references as well */
        resolve_shape(c, hop, what->database, &action_shape, &completed, &action);
        struct plan_step *s = add_step(c, phase, what->name, words_of(c, &action), what->on,
                                       limit_of(c, what->step, &action) + SLACK_MS);
        *s->action = action;
        s->why = what->why;
        s->extra = what->extra;
        s->stall_ms = stall_of(&action);
        s->retries = what->step->retries;
        s->backoff_ms = what->step->backoff_ms;
    }
    c->meant = NULL;
}

void extra_add_steps(struct compiler *c, struct plan_phase *phase, const struct extra_step *step,
                     size_t hop, const char *on, const char *database)
{
    const struct hop_state *way = &c->hops[hop];
    struct extra_actions what = {step, &step->actions, step->name, NULL, on, database, NULL, way};
    bool holds = extra_holds(c, step, hop, &what.why);
    assert(holds);
    what.extra = ARENA_NEW(c->arena, struct plan_extra);
    *what.extra = (struct plan_extra){NULL, step->name, way->from, way->to, database};
    extra_add_actions(c, phase, hop, &what);
    if (step->irreversible != NULL) {
        phase->no_return = phase->no_return || can_return(c->plan);
        LIST_AT(&phase->steps, struct plan_step, phase->steps.count - 1)->lossy = arena_printf(
            c->arena, "cannot be undone: %s", resolve_text(c, hop, database, step->irreversible));
    }
}

void steps_of_list(struct compiler *c, struct plan_phase *phase, const char *name,
                   const struct list *actions, size_t hop)
{
    const struct extra_step step = {.name = name,
                                    .scope = SCOPE_NODE,
                                    .after = POINT_PREFLIGHT, /* it holds in every hop */
                                    .actions = *actions};
    size_t first = phase->steps.count;
    extra_add_steps(c, phase, &step, hop, NULL, NULL);
    for (size_t i = first; i < phase->steps.count; i++) {
        LIST_AT(&phase->steps, struct plan_step, i)->extra = NULL; /* nothing takes it back */
    }
}

static const char *once_place(const struct compiler *c, const struct extra_step *step)
{
    return step->on != NULL ? step->on : c->nodes[0].spec->name;
}

static void database_phases(struct compiler *c, const struct extra_step *step, size_t hop)
{
    for (size_t i = 0; i < c->app->databases.count; i++) {
        const struct hop_database *db = &c->hops[hop].databases[i];
        if (db->restore == NULL &&
            (step->database == NULL || str_equal(step->database, db->app->name))) {
            struct plan_phase *phase = add_once_phase(
                c, (int64_t)hop, arena_printf(c->arena, "%s %s", step->name, db->app->name));
            extra_add_steps(c, phase, step, hop, db->place, db->app->name);
        }
    }
}

void extra_phase(struct compiler *c, const struct extra_step *step, size_t hop,
                 const struct members *members)
{
    if (step->scope == SCOPE_ONCE) {
        struct plan_phase *phase = add_once_phase(c, (int64_t)hop, step->name);
        extra_add_steps(c, phase, step, hop, once_place(c, step), NULL);
        return;
    }
    if (step->scope == SCOPE_DATABASE) {
        database_phases(c, step, hop);
        return;
    }
    struct members some = *members;
    if (step->when != NULL && step->when->role != NULL) {
        const char *name = arena_printf(c->arena, "%s, role %s", members->name, step->when->role);
        some = members_where(c, name, members, has_role, step->when->role);
    }
    if (some.count > 0) {
        struct plan_phase *phase = add_nodes_phase(c, (int64_t)hop, step->name, &some);
        extra_add_steps(c, phase, step, hop, NULL, NULL);
    }
}

void extra_phases(struct compiler *c, size_t hop, enum step_point point, int side,
                  const struct members *members)
{
    for (size_t i = 0; i < c->app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&c->app->extra_steps, struct extra_step, i);
        const char *why = NULL;
        if (point_of(step) == point && side_of(step) == side && extra_holds(c, step, hop, &why)) {
            size_t at = c->plan->phases.count;
            bool ahead = at == 0 || plan_phase_at(c->plan, at - 1)->hop < 0;
            extra_phase(c, step, hop, members);
            /* What the run does once before its first hop belongs to no hop. */
            for (; ahead && point <= POINT_BACKED_UP && at < c->plan->phases.count; at++) {
                LIST_AT(&c->plan->phases, struct plan_phase, at)->hop = -1;
            }
        }
    }
}
