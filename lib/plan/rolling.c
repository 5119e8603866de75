/*
 * Owns the waves. Nodes that are down already go first: they cost nothing of the budget. Then the canary, then waves of
 * max_unavailable. Databases move before the first wave on the way up, after the last on the way down.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

struct waves {
    struct compiler *c;
    size_t hop;
    struct members left; /* what has not been given a wave yet */
    size_t budget;
    size_t number;
    bool first;
};

static bool takes_part(const struct compiler *c, size_t node, const void *context)
{
    size_t hop = *(const size_t *)context;
    const struct node_state *n = &c->nodes[node];
    bool last = hop + 1 == c->hop_count;
    if (c->path.count == 1) {
        return n->touch;
    }
    return n->at < (int64_t)hop + 1 || (last && n->touch);
}

static bool is_down(const struct compiler *c, size_t node, const void *unused)
{
    (void)unused;
    return c->nodes[node].seen == NULL || !c->nodes[node].seen->running;
}

static bool is_up(const struct compiler *c, size_t node, const void *unused)
{
    return !is_down(c, node, unused);
}

static void wave(struct waves *w, const char *name, size_t count, int64_t parallel)
{
    assert(count <= w->left.count);
    if (count == 0) {
        return;
    }
    struct compiler *c = w->c;
    struct members members = {name, w->left.items, count};
    w->left.items += count;
    w->left.count -= count;
    struct pieces pieces = {.stop = true,
                            .first = w->first,
                            .last = w->left.count == 0,
                            .parallel = parallel,
                            .soak_ms = c->cluster->strategy->rolling->soak_ms};
    w->first = false;
    order_set(c, w->hop, &members, &pieces);
}

/* The nodes of this hop, the down ones in front; *ret_down says how many those are. */
static struct members in_order(struct compiler *c, size_t hop, size_t *ret_down)
{
    struct members all = members_all(c);
    struct members some = members_where(c, "moving", &all, takes_part, &hop);
    /* After its first hop every node runs. */
    *ret_down = 0;
    if (hop > 0 && c->hops[0].started) {
        return some;
    }
    struct members down = members_where(c, "down", &some, is_down, NULL);
    struct members up = members_where(c, "up", &some, is_up, NULL);
    struct members ordered = {"moving", ARENA_ARRAY(c->arena, some.count, size_t), 0};
    for (size_t i = 0; i < down.count; i++) {
        ordered.items[ordered.count++] = down.items[i];
    }
    for (size_t i = 0; i < up.count && down.count < some.count; i++) {
        ordered.items[ordered.count++] = up.items[i];
    }
    *ret_down = down.count;
    return ordered;
}

static void waves_of_hop(struct compiler *c, size_t hop)
{
    const struct rolling_spec *rolling = c->cluster->strategy->rolling;
    size_t down = 0;
    struct members members = in_order(c, hop, &down);
    struct waves w = {.c = c, .hop = hop, .left = members, .first = true};
    /* A hop that a node has passed starts nothing (way.c), so no node is down beside these waves. */
    w.budget = (size_t)MAX(rolling->max_unavailable, 1);
    const char *prefix = c->hop_count > 1 ? arena_printf(c->arena, "hop %zu ", hop + 1) : "";
    wave(&w, arena_printf(c->arena, "%sdown already", prefix), down, 0);
    size_t canary = MIN((size_t)MAX(rolling->canary, 0), w.left.count);
    for (size_t i = 0; canary > 0; i++) {
        size_t n = MIN(canary, w.budget);
        const char *name = i == 0 ? arena_printf(c->arena, "%scanary", prefix)
                                  : arena_printf(c->arena, "%scanary %zu", prefix, i + 1);
        wave(&w, name, n, 0);
        canary -= n;
    }
    if (w.left.count > w.budget * WAVES_MAX) {
        wave(&w, arena_printf(c->arena, "%sthe rest", prefix), w.left.count, (int64_t)w.budget);
        return;
    }
    while (w.left.count > 0) {
        wave(&w, arena_printf(c->arena, "%swave %zu", prefix, ++w.number),
             MIN(w.left.count, w.budget), 0);
    }
}

static void databases_of_hop(struct compiler *c, size_t hop, const struct members *all)
{
    size_t from = c->plan->phases.count;
    extra_phases(c, hop, POINT_MIGRATED, SLOT_BEFORE, all);
    phases_migrate(c, hop);
    extra_phases(c, hop, POINT_MIGRATED, SLOT_AFTER, all);
    disruptive_from(c, from);
}

static void before(struct compiler *c, const struct members *all)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        extra_phases(c, h, POINT_PREFLIGHT, SLOT_BEFORE, all);
    }
    phases_preflight(c, all);
    phase_look(c);
    for (size_t h = 0; h < c->hop_count; h++) {
        extra_phases(c, h, POINT_PREFLIGHT, SLOT_AFTER, all);
        extra_phases(c, h, POINT_STAGED, SLOT_BEFORE, all);
    }
    phases_stage(c, all);
    for (size_t h = 0; h < c->hop_count; h++) {
        extra_phases(c, h, POINT_STAGED, SLOT_AFTER, all);
    }
    phase_announce(c, -1, "start",
                   arena_printf(c->arena, "%s: %s %s -> %s starts (run ${run})", c->cluster->name,
                                c->app->name, c->plan->from != NULL ? c->plan->from : "nothing",
                                c->to));
    for (size_t h = 0; h < c->hop_count; h++) {
        extra_phases(c, h, POINT_BACKED_UP, SLOT_BEFORE, all);
    }
}

void compile_rolling(struct compiler *c)
{
    size_t last = c->hop_count - 1;
    struct members all = members_all(c);
    struct members moving = members_where(c, "to move", &all, takes_part, &last);
    if (moving.count == 0 && !c->migrates) {
        phase_lift(c, &moving);
        return;
    }
    if (moving.count == 0) {
        moving = all;
    }
    before(c, &moving);
    for (size_t h = 0; h < c->hop_count; h++) {
        bool down = c->hops[h].direction == DIRECTION_DOWN;
        if (h == 0 && !down) {
            phases_backup(c, -1);
            extra_phases(c, 0, POINT_BACKED_UP, SLOT_AFTER, &moving);
        }
        if (!down) {
            databases_of_hop(c, h, &moving);
        }
        if (c->hops[h].started) {
            waves_of_hop(c, h);
        }
        if (h == 0 && down) {
            size_t from = c->plan->phases.count;
            phases_backup(c, 0);
            extra_phases(c, 0, POINT_BACKED_UP, SLOT_AFTER, &moving);
            disruptive_from(c, from);
        }
        if (down) {
            databases_of_hop(c, h, &moving);
        }
        order_finish(c, h, &moving);
    }
}
