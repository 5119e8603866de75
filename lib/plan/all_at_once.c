/*
 * Owns the order of all-at-once: everything is put there, everything stops, the databases move, everything starts.
 * Nodes that are as wanted already are left alone when no database moves.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static bool needs_touch(const struct compiler *c, size_t node, const void *unused)
{
    (void)unused;
    return c->nodes[node].touch;
}

static bool is_running(const struct compiler *c, size_t node, const void *unused)
{
    (void)unused;
    return c->nodes[node].seen != NULL && c->nodes[node].seen->running;
}

/* A service may run where nothing is installed: its tree lay elsewhere before, or a person has started it. */
static bool is_there(const struct compiler *c, size_t node, const void *unused)
{
    return is_running(c, node, unused) ||
           (c->nodes[node].seen != NULL && c->nodes[node].seen->version != NULL);
}

static struct members who(struct compiler *c)
{
    struct members all = members_all(c);
    if (c->migrates || c->hop_count > 1 || c->app->mixed.policy == MIXED_NEVER) {
        return all;
    }
    return members_where(c, "to move", &all, needs_touch, NULL);
}

/* The points that the whole run has once: each hop's steps stand there. `hops`: from this hop to the next stop. */
static void extras_of_hops(struct compiler *c, size_t first, size_t end, enum step_point point,
                           int side, const struct members *members)
{
    for (size_t h = first; h < end; h++) {
        extra_phases(c, h, point, side, members);
    }
}

/* The hop after which the nodes stop next: what runs before it is migrated through. */
static size_t segment_end(const struct compiler *c, size_t hop)
{
    size_t end = hop;
    while (!c->hops[end].started) {
        end++;
        assert(end < c->hop_count);
    }
    return end + 1;
}

static void stop(struct compiler *c, size_t hop, size_t end, const struct members *members)
{
    int64_t where = hop == 0 ? -1 : (int64_t)hop;
    size_t from = c->plan->phases.count;
    for (size_t h = hop; h < end; h++) {
        undo_phases(c, h, UNDO_RUNNING, NULL, 0);
        undo_phases(c, h, UNDO_RUNNING, members, 0);
    }
    extras_of_hops(c, hop, end, POINT_DRAINED, SLOT_BEFORE, members);
    struct members running = *members;
    if (hop == 0) {
        running = members_where(c, "running", members, is_running, NULL);
    }
    if (running.count > 0 && c->app->drain.count > 0) {
        steps_of_list(c, add_nodes_phase(c, where, "drain", &running), "drain", &c->app->drain,
                      hop);
    }
    extras_of_hops(c, hop, end, POINT_DRAINED, SLOT_AFTER, members);
    extras_of_hops(c, hop, end, POINT_STOPPED, SLOT_BEFORE, members);
    struct plan_phase *deny = add_nodes_phase(c, where, "deny", members);
    step_deny(c, deny);
    struct members some = *members;
    if (hop == 0) {
        some = members_where(c, "installed", members, is_there, NULL);
    }
    if (some.count > 0 && c->app->service != NULL) {
        struct plan_phase *phase = add_nodes_phase(c, where, "stop", &some);
        phase->takes_down = true;
        step_service(c, phase, hop, SERVICE_STOP);
    }
    extras_of_hops(c, hop, end, POINT_STOPPED, SLOT_AFTER, members);
    for (size_t h = hop; h < end; h++) {
        undo_phases(c, h, UNDO_STOPPED, members, 0);
    }
    /* What is written after the backup would be lost with a restore. */
    bool lossy = false;
    if (hop == 0 && c->plan->from != NULL && backup_is_due(c, &lossy)) {
        phase_writers(c, hop, end);
    }
    disruptive_from(c, from);
}

static void start(struct compiler *c, size_t hop, const struct members *members)
{
    const struct strategy_spec *strategy = c->cluster->strategy;
    bool one_first = strategy != NULL && strategy->one_first && members->count > 1;
    struct pieces pieces = {.first = true, .last = !one_first};
    if (!one_first) {
        order_set(c, hop, members, &pieces);
        return;
    }
    struct members first = {"first", members->items, 1};
    struct members rest = {"the rest", members->items + 1, members->count - 1};
    size_t begin = c->plan->phases.count;
    order_set(c, hop, &first, &pieces);
    halts_wave(c, begin, true, false);
    pieces = (struct pieces){.last = true};
    order_set(c, hop, &rest, &pieces);
}

static void before(struct compiler *c, const struct members *members)
{
    size_t end = c->hop_count;
    extras_of_hops(c, 0, end, POINT_PREFLIGHT, SLOT_BEFORE, members);
    phases_preflight(c, members);
    phase_look(c);
    extras_of_hops(c, 0, end, POINT_PREFLIGHT, SLOT_AFTER, members);
    extras_of_hops(c, 0, end, POINT_STAGED, SLOT_BEFORE, members);
    phases_stage(c, members);
    extras_of_hops(c, 0, end, POINT_STAGED, SLOT_AFTER, members);
}

/* A hop's own part: databases, and the nodes where its release is started. */
static void hop_phases(struct compiler *c, size_t hop, const struct members *members)
{
    size_t from = c->plan->phases.count;
    undo_phases(c, hop, UNDO_STOPPED, NULL, 0);
    undo_phases(c, hop, UNDO_MIGRATED, NULL, 0);
    undo_phases(c, hop, UNDO_MIGRATED, members, 0);
    extra_phases(c, hop, POINT_MIGRATED, SLOT_BEFORE, members);
    phases_migrate(c, hop, SIDE_BEFORE);
    extra_phases(c, hop, POINT_MIGRATED, SLOT_AFTER, members);
    if (c->hops[hop].started) {
        start(c, hop, members);
    } else {
        undo_phases(c, hop, UNDO_SWAPPED, members, 0);
    }
    order_finish(c, hop, members);
    disruptive_from(c, from);
}

/* Nodes that have the wanted release and do not run are only started. */
static bool any_swaps(const struct compiler *c, const struct members *members)
{
    for (size_t i = 0; i < members->count; i++) {
        if (c->nodes[members->items[i]].swap) {
            return true;
        }
    }
    return false;
}

void compile_all_at_once(struct compiler *c)
{
    struct members members = who(c);
    if (members.count == 0) {
        undo_rest(c);
        phase_lift(c);
        return;
    }
    before(c, &members);
    bool only_starts =
        !c->migrates && c->path.count == 1 && !any_swaps(c, &members) && !c->must_stop;
    for (size_t h = 0; h < c->hop_count;) {
        size_t end = segment_end(c, h);
        if (!only_starts) {
            stop(c, h, end, &members);
        }
        if (h == 0) {
            size_t from = c->plan->phases.count;
            extras_of_hops(c, 0, c->hop_count, POINT_BACKED_UP, SLOT_BEFORE, &members);
            phases_backup(c, -1);
            extras_of_hops(c, 0, c->hop_count, POINT_BACKED_UP, SLOT_AFTER, &members);
            disruptive_from(c, from);
        }
        for (; h < end; h++) {
            hop_phases(c, h, &members);
        }
    }
}
