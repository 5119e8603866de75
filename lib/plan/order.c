/*
 * Owns the order of a hop's pieces on one set of nodes, with the extra steps between them. What every node of the set does
 * on its own goes into one phase; an extra step that runs once, or on some nodes only, ends the phase and stands alone.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

#define ITEMS_MAX LIMIT_PHASE_STEPS

struct item {
    enum step_point point;          /* the piece that leads to this point … */
    const struct extra_step *extra; /* … or an extra step … */
    const struct undo *undo;        /* … or what takes one back */
    size_t component;               /* … or a component's move: its number, from 1 */
    bool has;                       /* of a component: one is there */
};

struct walk {
    struct compiler *c;
    size_t hop;
    const struct members *members;
    const struct pieces *pieces;
    struct item items[ITEMS_MAX];
    size_t count;
};

static void add_piece(struct walk *w, struct plan_phase *phase, enum step_point point,
                      const struct known_release *release)
{
    struct compiler *c = w->c;
    if (point == POINT_DRAINED) {
        steps_of_list(c, phase, "drain", &c->app->drain, w->hop);
    } else if (point == POINT_UNDRAINED) {
        steps_of_list(c, phase, "undrain", &c->app->undrain, w->hop);
    } else if (point == POINT_STOPPED) {
        step_service(c, phase, w->hop, SERVICE_STOP);
    } else if (point == POINT_SWAPPED) {
        step_swap(c, phase, release);
    } else if (point == POINT_START_REQUESTED) {
        step_permit(c, phase, w->hop);
        step_service(c, phase, w->hop, SERVICE_START);
    } else if (point == POINT_HEALTHY) {
        step_health(c, phase, w->hop, w->pieces->soak_ms);
    }
}

static const char *phase_name(const struct walk *w, bool swaps)
{
    static const char *const names[] = {
        [POINT_DRAINED] = "drain",  [POINT_STOPPED] = "stop",
        [POINT_SWAPPED] = "swap",   [POINT_START_REQUESTED] = "start",
        [POINT_HEALTHY] = "health", [POINT_UNDRAINED] = "undrain"};
    enum step_point first = POINT_NONE;
    enum step_point last = POINT_NONE;
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].point >= (swaps ? POINT_DRAINED : POINT_START_REQUESTED)) {
            first = first == POINT_NONE ? w->items[i].point : first;
            last = w->items[i].point;
        }
    }
    if (first == POINT_NONE) {
        return w->items[0].undo != NULL    ? "undo"
               : w->items[0].extra != NULL ? w->items[0].extra->name
                                           : "nothing";
    }
    if (first < POINT_START_REQUESTED && last >= POINT_START_REQUESTED) {
        return first <= POINT_STOPPED ? "move" : "swap and start";
    }
    return names[first];
}

static void emit(struct walk *w, const struct members *members, bool swaps)
{
    struct compiler *c = w->c;
    struct members part = *members;
    size_t count = 0;
    struct members *groups = members_by_artifact(c, &part, c->hops[w->hop].to, &count);
    for (size_t g = 0; g < count; g++) {
        const struct known_release *release =
            release_for(c, groups[g].items[0], c->hops[w->hop].to);
        struct plan_phase *phase =
            add_nodes_phase(c, (int64_t)w->hop, phase_name(w, swaps), &groups[g]);
        phase->disruptive = true;
        phase->takes_down = true;
        phase->parallel = w->pieces->parallel;
        for (size_t i = 0; i < w->count; i++) {
            bool stops = c->must_stop && w->items[i].point <= POINT_STOPPED;
            if (!swaps && w->items[i].point != POINT_NONE && !stops &&
                w->items[i].point < POINT_START_REQUESTED) {
                continue;
            }
            if (w->items[i].component > 0) {
                component_steps(c, phase, w->hop, w->items[i].component - 1, w->items[i].has);
            } else if (w->items[i].undo != NULL) {
                undo_add_steps(c, phase, w->items[i].undo, NULL);
            } else if (w->items[i].extra != NULL) {
                extra_add_steps(c, phase, w->items[i].extra, w->hop, NULL, NULL);
            } else {
                add_piece(w, phase, w->items[i].point, release);
            }
        }
        if (phase->steps.count == 0) {
            c->plan->phases.count--; /* the application has no service and no health */
        }
    }
}

static bool is_there_already(const struct compiler *c, size_t node, const void *hop)
{
    return !node_goes_to(c, node, *(const size_t *)hop);
}

static bool is_not_there(const struct compiler *c, size_t node, const void *hop)
{
    return node_goes_to(c, node, *(const size_t *)hop);
}

/* Nodes that have the release already are only started: there may be nothing staged to swap in. */
static void flush(struct walk *w)
{
    struct compiler *c = w->c;
    if (w->count == 0) {
        return;
    }
    struct members there = members_where(c, arena_printf(c->arena, "%s, there", w->members->name),
                                         w->members, is_there_already, &w->hop);
    struct members moving = members_where(c, arena_printf(c->arena, "%s, moving", w->members->name),
                                          w->members, is_not_there, &w->hop);
    if (there.count > 0) {
        emit(w, &there, false);
    }
    if (moving.count > 0) {
        emit(w, &moving, true);
    }
    w->count = 0;
}

static void push(struct walk *w, struct item item)
{
    assert(w->count < ITEMS_MAX);
    w->items[w->count++] = item;
}

static bool stands_here(const struct extra_step *step, enum step_point point, int side)
{
    return side == SLOT_BEFORE ? step->before == (int)point && step->after == POINT_NONE
                               : step->after == (int)point;
}

static void extras(struct walk *w, enum step_point point, int side)
{
    struct compiler *c = w->c;
    for (size_t i = 0; i < c->app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&c->app->extra_steps, struct extra_step, i);
        const char *why = NULL;
        if (!stands_here(step, point, side) || !extra_holds(c, step, w->hop, &why)) {
            continue;
        }
        if (extra_is_inline(c, step, w->members)) {
            if (w->count + 1 >= ITEMS_MAX) {
                flush(w);
            }
            push(w, (struct item){.extra = step});
        } else if (step->scope == SCOPE_NODE ||
                   (side == SLOT_BEFORE ? w->pieces->first : w->pieces->last)) {
            flush(w);
            size_t at = c->plan->phases.count;
            extra_phase(c, step, w->hop, w->members);
            for (; at < c->plan->phases.count; at++) {
                struct plan_phase *phase = LIST_AT(&c->plan->phases, struct plan_phase, at);
                phase->disruptive = true;
                phase->parallel = phase->scope == PHASE_NODES ? w->pieces->parallel : 0;
            }
        }
    }
}

static bool has_piece(const struct walk *w, enum step_point point)
{
    return point == POINT_DRAINED     ? w->c->app->drain.count > 0 && !w->pieces->idle
           : point == POINT_UNDRAINED ? w->c->app->undrain.count > 0
                                      : true;
}

/* What is taken back on every node of the set joins its phase; on some of them it stands alone. */
static void undos(struct walk *w, enum undo_slot slot)
{
    struct compiler *c = w->c;
    for (size_t i = c->undos.count; i > 0; i--) {
        struct undo *undo = LIST_AT(&c->undos, struct undo, i - 1);
        size_t count = undo_count(undo, w->members);
        if (undo->hop != w->hop || undo->slot != slot || count == 0) {
            continue;
        }
        if (count < w->members->count) {
            flush(w);
            undo_phase(c, undo, w->members, w->pieces->parallel);
            continue;
        }
        if (w->count + 1 >= ITEMS_MAX) {
            flush(w);
        }
        push(w, (struct item){.undo = undo});
        undo_given(undo, w->members);
    }
}

/* A component that moves on every node of the set joins its phase; on some of them it stands alone. */
static void component_moves(struct walk *w, size_t component, bool has)
{
    struct compiler *c = w->c;
    const struct members some = component_members(c, w->hop, component, has, w->members);
    if (some.count == 0) {
        return;
    }
    if (some.count < w->members->count || w->count + 1 >= ITEMS_MAX) {
        flush(w);
    }
    if (some.count < w->members->count) {
        const char *name = LIST_AT(&c->app->components, struct component_spec, component)->name;
        struct plan_phase *phase = add_nodes_phase(c, (int64_t)w->hop, name, &some);
        phase->disruptive = true;
        phase->takes_down = true;
        phase->parallel = w->pieces->parallel;
        component_steps(c, phase, w->hop, component, has);
    } else {
        push(w, (struct item){.component = component + 1, .has = has});
    }
    component_given(c, w->hop, component, &some);
}

static void components(struct walk *w)
{
    for (size_t k = 0; k < w->c->app->components.count; k++) {
        component_moves(w, k, true);
        component_moves(w, k, false);
    }
}

void order_set(struct compiler *c, size_t hop, const struct members *members,
               const struct pieces *pieces)
{
    static const enum step_point points[] = {POINT_DRAINED,         POINT_STOPPED, POINT_SWAPPED,
                                             POINT_START_REQUESTED, POINT_HEALTHY, POINT_UNDRAINED};
    assert(members->count > 0);
    assert(c->hops[hop].started);
    struct walk w = {.c = c, .hop = hop, .members = members, .pieces = pieces};
    for (size_t i = 0; i < members->count; i++) {
        c->nodes[members->items[i]].permitted = true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        if (points[i] <= POINT_STOPPED && !pieces->stop) {
            continue;
        }
        if (points[i] == POINT_DRAINED) {
            undos(&w, UNDO_RUNNING);
        }
        extras(&w, points[i], SLOT_BEFORE);
        if (has_piece(&w, points[i])) {
            push(&w, (struct item){.point = points[i]});
        }
        extras(&w, points[i], SLOT_AFTER);
        if (points[i] == POINT_SWAPPED) {
            components(&w);
        }
        if (points[i] == POINT_STOPPED || points[i] == POINT_SWAPPED) {
            undos(&w, points[i] == POINT_STOPPED ? UNDO_STOPPED : UNDO_SWAPPED);
        }
    }
    flush(&w);
}

void order_finish(struct compiler *c, size_t hop, const struct members *members)
{
    size_t from = c->plan->phases.count;
    bool last = hop + 1 == c->hop_count;
    undo_phases(c, hop, UNDO_SWAPPED, NULL, 0);
    undo_phases(c, hop, UNDO_FINISHED, NULL, 0);
    if (last) {
        undo_rest(c);
        phase_lift(c);
    }
    extra_phases(c, hop, POINT_FINISHED, SLOT_BEFORE, members);
    if (last) {
        phase_check(c);
    }
    extra_phases(c, hop, POINT_FINISHED, SLOT_AFTER, members);
    if (last) {
        phase_retire(c, members);
    }
    disruptive_from(c, from);
}
