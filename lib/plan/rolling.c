/*
 * Owns the waves. Nodes that are down already go first: they cost nothing of the budget. Then the canary, then the waves.
 * What canary and waves count is a unit: a node alone, or a failover pair, which moves in one wave, one node after the
 * other. max_unavailable counts nodes, whatever the waves are. Databases move before the first wave on the way up, after
 * the last on the way down.
 */
#include <stdlib.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

/* Nodes that move between two barriers. */
struct wave {
    struct members members;
    int64_t parallel;
    bool idle; /* they do not run */
};

struct waves {
    struct compiler *c;
    const char *prefix;   /* of their names */
    struct members units; /* the first node of each; what has not been given a wave yet */
    bool *moves; /* by node: it is up, and stands in `units` or is the partner of one that does */
    size_t budget;
    struct list list; /* of struct wave */
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

/* ---- who goes first ---- */

struct ordered {
    const struct observed_node *seen;
    size_t place; /* where it stood */
    size_t node;
};

static int by_sessions(const void *left, const void *right)
{
    const struct ordered *a = left;
    const struct ordered *b = right;
    bool known_a = a->seen != NULL && a->seen->sessions_known;
    bool known_b = b->seen != NULL && b->seen->sessions_known;
    if (known_a != known_b) {
        return known_a ? -1 : 1;
    }
    if (known_a && a->seen->sessions != b->seen->sessions) {
        return a->seen->sessions < b->seen->sessions ? -1 : 1;
    }
    return a->place < b->place ? -1 : 1;
}

static void order_by_sessions(struct compiler *c, struct members *members)
{
    struct ordered *ordered = ARENA_ARRAY(c->arena, members->count, struct ordered);
    for (size_t i = 0; i < members->count; i++) {
        size_t node = members->items[i];
        ordered[i] = (struct ordered){c->nodes[node].seen, i, node};
        if (ordered[i].seen == NULL || !ordered[i].seen->sessions_known) {
            warn(c, "%s does not say how many sessions it has: it goes last",
                 c->nodes[node].spec->name);
        }
    }
    if (members->count > 1) {
        qsort(ordered, members->count, sizeof(*ordered), by_sessions);
    }
    for (size_t i = 0; i < members->count; i++) {
        members->items[i] = ordered[i].node;
    }
}

/* The nodes of this hop that run, in their order; *ret_down are those that do not. */
static struct members in_order(struct compiler *c, size_t hop, struct members *ret_down)
{
    struct members all = members_all(c);
    struct members up = members_where(c, "moving", &all, takes_part, &hop);
    *ret_down = (struct members){0};
    /* After its first hop every node runs. */
    if (hop == 0 || !c->hops[0].started) {
        *ret_down = members_where(c, "down", &up, is_down, NULL);
        up = members_where(c, "up", &up, is_up, NULL);
    }
    if (c->cluster->strategy->rolling->order == ORDER_FEWEST_SESSIONS_FIRST) {
        order_by_sessions(c, &up);
    }
    return up;
}

/* ---- waves ---- */

/* The members on which the same is taken back as on the first; *ret_others are the others. */
static struct members alike(const struct waves *w, const struct members *members,
                            struct members *ret_others)
{
    struct compiler *c = w->c;
    uint64_t signature = undo_signature(c, members->items[0]);
    struct members same = {members->name, ARENA_ARRAY(c->arena, members->count, size_t), 0};
    *ret_others = (struct members){arena_printf(c->arena, "%s, others", members->name),
                                   ARENA_ARRAY(c->arena, members->count, size_t), 0};
    for (size_t i = 0; i < members->count; i++) {
        struct members *to = undo_signature(c, members->items[i]) == signature ? &same : ret_others;
        to->items[to->count++] = members->items[i];
    }
    return same;
}

static void add_wave(struct waves *w, const struct members *members)
{
    if (members->count == 0) {
        return;
    }
    /* A phase of its own in the middle of so large a wave would leave all of it down. */
    if (members->count > w->budget && undo_any(w->c)) {
        struct members others;
        const struct members same = alike(w, members, &others);
        if (others.count > 0) {
            add_wave(w, &same);
            add_wave(w, &others);
            return;
        }
    }
    struct wave *wave = list_push(w->c->arena, &w->list, sizeof(*wave));
    wave->members = *members;
    wave->idle = w->budget == SIZE_MAX;
    wave->parallel = members->count > w->budget ? (int64_t)w->budget : 0;
}

static size_t partner_of(const struct waves *w, size_t node)
{
    size_t partner = w->c->nodes[node].partner;
    return partner != NO_PARTNER && w->moves[partner] ? partner : NO_PARTNER;
}

/* The next `count` units: their first nodes, and then, behind a barrier, the partners of those. */
static void take(struct waves *w, const char *name, size_t count)
{
    struct compiler *c = w->c;
    assert(count <= w->units.count);
    struct members first = {arena_printf(c->arena, "%s%s", w->prefix, name), w->units.items, count};
    struct members partners = {arena_printf(c->arena, "%s, partners", first.name),
                               ARENA_ARRAY(c->arena, count, size_t), 0};
    for (size_t i = 0; i < count; i++) {
        size_t partner = partner_of(w, first.items[i]);
        if (partner != NO_PARTNER) {
            partners.items[partners.count++] = partner;
        }
    }
    w->units.items += count;
    w->units.count -= count;
    add_wave(w, &first);
    add_wave(w, &partners);
}

/* Each node, but for those whose partner stands before them. */
static void find_units(struct waves *w, const struct members *up)
{
    struct compiler *c = w->c;
    bool *behind = ARENA_ARRAY(c->arena, c->node_count, bool);
    w->units = (struct members){"units", ARENA_ARRAY(c->arena, up->count, size_t), 0};
    w->moves = ARENA_ARRAY(c->arena, c->node_count, bool);
    for (size_t i = 0; i < up->count; i++) {
        w->moves[up->items[i]] = true;
    }
    for (size_t i = 0; i < up->count; i++) {
        size_t node = up->items[i];
        size_t partner = partner_of(w, node);
        if (!behind[node]) {
            w->units.items[w->units.count++] = node;
        }
        if (partner != NO_PARTNER) {
            behind[partner] = true;
        }
    }
}

/* How many units the cluster has, moving or not: what a share is of. */
static size_t units_of_cluster(const struct compiler *c)
{
    size_t count = c->node_count;
    for (size_t i = 0; i < c->node_count; i++) {
        size_t partner = c->nodes[i].partner;
        count -= partner != NO_PARTNER && partner < i ? 1 : 0;
    }
    return count;
}

static void take_canary(struct waves *w)
{
    size_t units = units_of_cluster(w->c);
    size_t canary = amount_of(w->c->cluster->strategy->rolling->canary, units, AMOUNT_UP);
    canary = MIN(canary, w->units.count);
    for (size_t i = 1; canary > 0; i++) {
        size_t n = MIN(canary, w->budget);
        take(w, i == 1 ? "canary" : arena_printf(w->c->arena, "canary %zu", i), n);
        canary -= n;
    }
}

static void take_by_size(struct waves *w, size_t size)
{
    if (w->units.count > size * WAVES_MAX) {
        take(w, "the rest", w->units.count);
    }
    for (size_t i = 1; w->units.count > 0; i++) {
        take(w, arena_printf(w->c->arena, "wave %zu", i), MIN(w->units.count, size));
    }
}

/* A unit belongs to the zone of its first node. The zones stand in the order in which they first appear. */
static void take_by_zone(struct waves *w)
{
    struct compiler *c = w->c;
    while (w->units.count > 0) {
        const char *zone = c->nodes[w->units.items[0]].spec->zone;
        struct members left = w->units;
        size_t *sorted = ARENA_ARRAY(c->arena, left.count, size_t);
        size_t inside = 0;
        size_t outside = 0;
        for (size_t i = 0; i < left.count; i++) {
            inside += str_equal(c->nodes[left.items[i]].spec->zone, zone) ? 1 : 0;
        }
        for (size_t i = 0, n = 0; i < left.count; i++) {
            bool here = str_equal(c->nodes[left.items[i]].spec->zone, zone);
            sorted[here ? n++ : inside + outside++] = left.items[i];
        }
        w->units.items = sorted;
        take(w, arena_printf(c->arena, "zone %s", zone), inside);
    }
}

size_t rolling_budget(const struct cluster *cluster, size_t nodes)
{
    return MAX(amount_of(cluster->strategy->rolling->max_unavailable, nodes, AMOUNT_DOWN), 1);
}

static void waves_of_hop(struct compiler *c, size_t hop)
{
    const struct rolling_spec *rolling = c->cluster->strategy->rolling;
    struct waves w = {
        .c = c, .prefix = c->hop_count > 1 ? arena_printf(c->arena, "hop %zu ", hop + 1) : ""};
    struct members down;
    struct members up = in_order(c, hop, &down);
    down.name = arena_printf(c->arena, "%sdown already", w.prefix);
    w.budget = SIZE_MAX; /* what is down costs nothing */
    add_wave(&w, &down);
    /* A hop that a node has passed starts nothing (way.c), so no node is down beside these waves. */
    w.budget = rolling_budget(c->cluster, c->node_count);
    find_units(&w, &up);
    size_t canary_first = w.list.count;
    take_canary(&w);
    size_t canary_end = w.list.count;
    if (rolling->waves == NULL) {
        take_by_size(&w, w.budget);
    } else if (rolling->waves->by == WAVES_BY_ZONE) {
        take_by_zone(&w);
    } else {
        take_by_size(&w, MAX(amount_of(rolling->waves->size, units_of_cluster(c), AMOUNT_UP), 1));
    }
    undo_phases(c, hop, UNDO_RUNNING, NULL, 0);
    for (size_t i = 0; i < w.list.count; i++) {
        const struct wave *wave = LIST_AT(&w.list, struct wave, i);
        struct pieces pieces = {.stop = true,
                                .idle = wave->idle,
                                .first = i == 0,
                                .last = i + 1 == w.list.count,
                                .parallel = wave->parallel,
                                .soak_ms = rolling->soak_ms};
        size_t begin = c->plan->phases.count;
        order_set(c, hop, &wave->members, &pieces);
        halts_wave(c, begin, i >= canary_first && i < canary_end, pieces.last);
    }
}

/* The one backup of a run stands before its first migration, and a restore puts that one back. */
static void tell_old_backup(struct compiler *c, size_t hop)
{
    bool lossy = false;
    for (size_t d = 0; d < c->hops[hop].database_count && backup_is_due(c, &lossy); d++) {
        const struct hop_database part = hop_part(c, hop, &c->hops[hop].databases[d], SIDE_AFTER);
        if (part.runs && lossy_of(c, &part) != NULL) {
            warn(c,
                 "what is taken from database %s after the last wave is in the backup from before "
                 "the "
                 "first one: a restore loses what is written while nodes roll",
                 part.app->name);
        }
    }
}

/* What a hop's databases do on one side of its waves. Where none of them moves, its points stand where all of them would. */
static void databases_of_hop(struct compiler *c, size_t hop, enum hop_side side,
                             const struct members *all)
{
    bool moves[HOP_SIDES] = {side_runs(c, hop, SIDE_BEFORE), side_runs(c, hop, SIDE_AFTER)};
    if (!moves[SIDE_BEFORE] && !moves[SIDE_AFTER]) {
        moves[c->hops[hop].direction == DIRECTION_DOWN ? SIDE_AFTER : SIDE_BEFORE] = true;
    }
    if (!moves[side]) {
        return;
    }
    size_t from = c->plan->phases.count;
    if (side == SIDE_BEFORE || !moves[SIDE_BEFORE]) {
        if (hop == 0) {
            phases_backup(c, side == SIDE_BEFORE ? -1 : 0);
            extra_phases(c, 0, POINT_BACKED_UP, SLOT_AFTER, all);
            from = side == SIDE_BEFORE ? c->plan->phases.count : from;
        }
        undo_phases(c, hop, UNDO_STOPPED, NULL, 0);
        undo_phases(c, hop, UNDO_MIGRATED, NULL, 0);
        undo_phases(c, hop, UNDO_MIGRATED, all, (int64_t)rolling_budget(c->cluster, c->node_count));
        extra_phases(c, hop, POINT_MIGRATED, SLOT_BEFORE, all);
    }
    phases_migrate(c, hop, side);
    if (side == SIDE_AFTER && moves[SIDE_BEFORE]) {
        tell_old_backup(c, hop);
    }
    if (side == SIDE_AFTER || !moves[SIDE_AFTER]) {
        extra_phases(c, hop, POINT_MIGRATED, SLOT_AFTER, all);
    }
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
        undo_rest(c);
        phase_lift(c);
        return;
    }
    if (moving.count == 0) {
        moving = all;
    }
    before(c, &moving);
    for (size_t h = 0; h < c->hop_count; h++) {
        databases_of_hop(c, h, SIDE_BEFORE, &moving);
        if (c->hops[h].started) {
            waves_of_hop(c, h);
        }
        databases_of_hop(c, h, SIDE_AFTER, &moving);
        order_finish(c, h, &moving);
    }
}
