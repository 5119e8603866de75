/*
 * Owns what is taken back of the extra steps that earlier runs did: which, why, and where it stands in a plan. A step that
 * was done on the way from X to Y is taken back by a plan to X, or to what lies before X. The last that was done is the
 * first to go; where the plan comes by the mirror of its point, there. It refuses nothing: what it cannot take back is said.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

bool plan_extra_equal(const struct plan_extra *a, const struct plan_extra *b)
{
    return a == b || (a != NULL && b != NULL && str_equal(a->undoes, b->undoes) &&
                      str_equal(a->step, b->step) && str_equal(a->from, b->from) &&
                      str_equal(a->to, b->to) && str_equal(a->database, b->database));
}

/* ---- which ---- */

static bool is_behind(const struct compiler *c, const struct done_step *done)
{
    const struct version_scheme *scheme = &c->spec->scheme;
    if (done->from == NULL) {
        return false;
    }
    enum version_order way = version_compare(scheme, done->from, done->to);
    enum version_order target = version_compare(scheme, c->to, done->from);
    return (way == VERSION_LESS || way == VERSION_GREATER) &&
           (target == VERSION_EQUAL || target == way);
}

static const struct extra_step *step_named(const struct compiler *c, const char *name)
{
    for (size_t i = 0; i < c->app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&c->app->extra_steps, struct extra_step, i);
        if (str_equal(step->name, name)) {
            return step;
        }
    }
    return NULL;
}

static const char *did(struct compiler *c, const struct done_step *done)
{
    return arena_printf(c->arena, "run %s %s it, %s -> %s", done->run,
                        done->sure ? "did" : "may have done", done->from, done->to);
}

/* The mirror of where it stood. */
static enum undo_slot slot_of(const struct extra_step *step)
{
    bool after = step->after != POINT_NONE;
    switch ((enum step_point)(after ? step->after : step->before)) {
    case POINT_NONE:
    case POINT_PREFLIGHT:
    case POINT_STAGED:
    case POINT_DRAINED:
        return UNDO_FINISHED;
    case POINT_STOPPED:
        return after ? UNDO_SWAPPED : UNDO_FINISHED;
    case POINT_BACKED_UP:
        return UNDO_SWAPPED;
    case POINT_MIGRATED:
        return after ? UNDO_MIGRATED : UNDO_SWAPPED;
    case POINT_SWAPPED:
        return after ? UNDO_STOPPED : UNDO_SWAPPED;
    case POINT_START_REQUESTED:
        return after ? UNDO_RUNNING : UNDO_STOPPED;
    case POINT_HEALTHY:
    case POINT_UNDRAINED:
    case POINT_FINISHED:
        return UNDO_RUNNING;
    }
    return UNDO_FINISHED;
}

/* The plan's hop that goes its way back; the first one when none does. */
static size_t hop_of(const struct compiler *c, const struct done_step *done)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        if (str_equal(c->hops[h].from, done->to) && str_equal(c->hops[h].to, done->from)) {
            return h;
        }
    }
    return 0;
}

/* `near`: where it is likely to be, for a journal tells of the nodes in the cluster's order. SIZE_MAX: no such node. */
static size_t node_index(const struct compiler *c, const char *name, size_t near)
{
    for (size_t i = 0; i < c->node_count; i++) {
        size_t at = (near + i) % c->node_count;
        if (str_equal(c->nodes[at].spec->name, name)) {
            return at;
        }
    }
    return SIZE_MAX;
}

static void left_out(struct compiler *c, const struct done_step *done, const char *why)
{
    struct plan_left_out out = {arena_printf(c->arena, "undo %s", done->step),
                                arena_printf(c->arena, "%s: %s", did(c, done), why)};
    for (size_t i = 0; i < c->plan->left_out.count; i++) {
        const struct plan_left_out *other = LIST_AT(&c->plan->left_out, struct plan_left_out, i);
        if (str_equal(other->name, out.name) && str_equal(other->why, out.why)) {
            return;
        }
    }
    *(struct plan_left_out *)list_push(c->arena, &c->plan->left_out, sizeof(out)) = out;
}

/* What takes it back; NULL: nothing does, and the plan says why. */
static const struct extra_step *way_back(struct compiler *c, const struct done_step *done,
                                         size_t node)
{
    const struct extra_step *step = step_named(c, done->step);
    if (step == NULL) {
        warn(c, "%s of %s cannot be taken back (%s): the application has no such step any more",
             done->step, done->place, did(c, done));
        return NULL;
    }
    if (step->undo.count == 0) {
        left_out(c, done, "it has no undo");
        return NULL;
    }
    if (!done->sure && !step->undo_looks) {
        warn(c,
             "%s of %s is not taken back: %s, and its undo does not look before it acts "
             "(undo_looks): look there, and do it by hand where it is needed",
             done->step, done->place, did(c, done));
        return NULL;
    }
    if (!str_equal(done->place, PLAN_CONTROLLER) && node == SIZE_MAX) {
        warn(c, "%s of %s cannot be taken back (%s): the cluster has no such node any more",
             done->step, done->place, did(c, done));
        return NULL;
    }
    return step;
}

static struct undo *group_of(struct compiler *c, const struct extra_step *step,
                             const struct done_step *done)
{
    for (size_t i = c->undos.count; i > 0; i--) {
        struct undo *undo = LIST_AT(&c->undos, struct undo, i - 1);
        const struct done_step *of = undo->done;
        if (undo->nodes != NULL && undo->step == step && of->sure == done->sure &&
            str_equal(of->run, done->run) && str_equal(of->from, done->from) &&
            str_equal(of->to, done->to)) {
            return undo;
        }
    }
    struct undo *undo = list_push(c->arena, &c->undos, sizeof(*undo));
    *undo = (struct undo){.step = step,
                          .done = done,
                          .way = {.from = done->from, .to = done->to},
                          .hop = hop_of(c, done),
                          .slot = slot_of(step)};
    if (step->scope == SCOPE_NODE) {
        undo->nodes = ARENA_ARRAY(c->arena, c->node_count, bool);
    }
    return undo;
}

static bool wants_stop(enum undo_slot slot)
{
    switch (slot) {
    case UNDO_STOPPED:
    case UNDO_MIGRATED:
    case UNDO_SWAPPED:
        return true;
    case UNDO_RUNNING:
    case UNDO_FINISHED:
        return false;
    }
    return false;
}

void undo_read(struct compiler *c)
{
    size_t near = 0;
    for (size_t i = 0; i < c->inventory->done_count; i++) {
        const struct done_step *done = &c->inventory->done[i];
        if (!is_behind(c, done)) {
            continue;
        }
        size_t node = node_index(c, done->place, near);
        near = node != SIZE_MAX ? node + 1 : near;
        const struct extra_step *step = way_back(c, done, node);
        if (step == NULL) {
            continue;
        }
        struct undo *undo = group_of(c, step, done);
        undo->left++;
        if (undo->nodes == NULL || node == SIZE_MAX) {
            continue;
        }
        struct node_state *state = &c->nodes[node];
        undo->nodes[node] = true;
        if (wants_stop(undo->slot) && state->seen != NULL && state->seen->running) {
            state->touch = true;
            c->must_stop = true;
        }
    }
}

bool undo_any(const struct compiler *c)
{
    return c->undos.count > 0;
}

uint64_t undo_signature(const struct compiler *c, size_t node)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < c->undos.count; i++) {
        const struct undo *undo = LIST_AT(&c->undos, const struct undo, i);
        if (undo->nodes != NULL && undo->nodes[node]) {
            bits |= UINT64_C(1) << (i % 64);
        }
    }
    return bits;
}

/* ---- where ---- */

size_t undo_count(const struct undo *undo, const struct members *members)
{
    size_t count = 0;
    for (size_t i = 0; undo->nodes != NULL && i < members->count; i++) {
        count += undo->nodes[members->items[i]] ? 1 : 0;
    }
    return count;
}

void undo_given(struct undo *undo, const struct members *members)
{
    for (size_t i = 0; i < members->count; i++) {
        assert(undo->nodes[members->items[i]]);
        undo->nodes[members->items[i]] = false;
        undo->left--;
    }
}

void undo_add_steps(struct compiler *c, struct plan_phase *phase, const struct undo *undo,
                    const char *on)
{
    const struct done_step *done = undo->done;
    struct plan_extra *extra = ARENA_NEW(c->arena, struct plan_extra);
    *extra = (struct plan_extra){done->run, done->step, done->from, done->to, done->database};
    const struct extra_actions what = {
        .step = undo->step,
        .actions = &undo->step->undo,
        .name = arena_printf(c->arena, "undo %s", done->step),
        .why = did(c, done),
        .on = on,
        .database = done->database,
        .extra = extra,
        .way = &undo->way,
    };
    extra_add_actions(c, phase, undo->hop, &what);
}

static bool is_left(const struct compiler *c, size_t node, const void *undo)
{
    (void)c;
    return ((const struct undo *)undo)->nodes[node];
}

void undo_phase(struct compiler *c, struct undo *undo, const struct members *members,
                int64_t parallel)
{
    const char *name = arena_printf(c->arena, "undo %s", undo->step->name);
    struct plan_phase *phase;
    if (undo->nodes == NULL) {
        phase = add_once_phase(c, (int64_t)undo->hop, name);
        undo_add_steps(c, phase, undo, undo->done->place);
        undo->left = 0;
    } else {
        const char *set =
            arena_printf(c->arena, "%s, %s of %s, %s -> %s%s", members->name, name, undo->done->run,
                         undo->done->from, undo->done->to, undo->done->sure ? "" : ", not sure");
        struct members some = members_where(c, set, members, is_left, undo);
        phase = add_nodes_phase(c, (int64_t)undo->hop, name, &some);
        phase->parallel = parallel;
        phase->takes_down = wants_stop(undo->slot);
        undo_add_steps(c, phase, undo, NULL);
        undo_given(undo, &some);
    }
    phase->disruptive = true;
}

void undo_phases(struct compiler *c, size_t hop, enum undo_slot slot, const struct members *members,
                 int64_t parallel)
{
    for (size_t i = c->undos.count; i > 0; i--) {
        struct undo *undo = LIST_AT(&c->undos, struct undo, i - 1);
        bool here = undo->left > 0 && undo->hop == hop && undo->slot == slot &&
                    (undo->nodes == NULL) == (members == NULL);
        if (here && (members == NULL || undo_count(undo, members) > 0)) {
            undo_phase(c, undo, members, parallel);
        }
    }
}

void undo_rest(struct compiler *c)
{
    bool rolling = c->plan->strategy == STRATEGY_ROLLING;
    int64_t parallel = rolling ? (int64_t)rolling_budget(c->cluster, c->node_count) : 0;
    struct members all = members_all(c);
    for (size_t i = c->undos.count; i > 0; i--) {
        struct undo *undo = LIST_AT(&c->undos, struct undo, i - 1);
        if (undo->left > 0) {
            undo_phase(c, undo, undo->nodes != NULL ? &all : NULL, parallel);
        }
    }
}
