/*
 * Owns the walk over a graph of migrations: depth first from the root, the children with the highest id first, each
 * node written down from the back once all its children are. Its own stack: a chain may be as long as LIMIT_MIGRATIONS.
 * Refuses what is no graph with one root and no cycle.
 */
#include "lib/migration/graph.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

#define NAMED_MAX 5 /* ids in one message; the rest is counted */

enum visit { UNSEEN, OPEN, DONE };

struct graph {
    struct arena *arena;
    const struct graph_node *nodes;
    size_t count;
    size_t *first;    /* node i's children stand in children[first[i]] to children[first[i + 1]] */
    size_t *children; /* ascending */
    enum visit *visits;
    size_t *stack;
    size_t *left; /* of the node at this height of the stack: its children that still wait */
    size_t height;
    size_t *order;
    size_t free; /* places of `order` that are not written yet */
};

static int by_id(const void *a, const void *b)
{
    const struct graph_node *x = a;
    const struct graph_node *y = b;
    return x->id == y->id ? 0 : (x->id < y->id ? -1 : 1);
}

static const struct graph_node *find(const struct graph *g, int64_t id)
{
    struct graph_node key = {.id = id};
    return bsearch(&key, g->nodes, g->count, sizeof(key), by_id);
}

static int link_children(struct graph *g, struct error *e)
{
    for (size_t i = 0; i < g->count; i++) {
        for (size_t p = 0; p < g->nodes[i].parent_count; p++) {
            const struct graph_node *parent = find(g, g->nodes[i].parents[p]);
            if (parent == NULL) {
                return error_set(e, E_INVALID,
                                 "migration %" PRId64 " names the parent %" PRId64
                                 ", which is not there",
                                 g->nodes[i].id, g->nodes[i].parents[p]);
            }
            g->first[parent - g->nodes + 1]++;
        }
    }
    for (size_t i = 0; i < g->count; i++) {
        g->first[i + 1] += g->first[i];
    }
    g->children = ARENA_ARRAY(g->arena, g->first[g->count], size_t);
    size_t *filled = ARENA_ARRAY(g->arena, g->count, size_t);
    for (size_t i = 0; i < g->count; i++) {
        for (size_t p = 0; p < g->nodes[i].parent_count; p++) {
            size_t parent = (size_t)(find(g, g->nodes[i].parents[p]) - g->nodes);
            g->children[g->first[parent] + filled[parent]++] = i;
        }
    }
    return 0;
}

static int find_root(const struct graph *g, size_t *ret, struct error *e)
{
    const char *names[NAMED_MAX];
    size_t roots = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (g->nodes[i].parent_count > 0) {
            continue;
        }
        if (roots == 0) {
            *ret = i;
        }
        if (roots < NAMED_MAX) {
            names[roots] = arena_printf(g->arena, "%" PRId64, g->nodes[i].id);
        }
        roots++;
    }
    if (roots == 0) {
        return error_set(e, E_INVALID,
                         "no root: every migration names a parent, so they stand in a cycle");
    }
    if (roots > 1) {
        return error_set(e, E_INVALID,
                         "%zu roots: %s%s name no parent; exactly one migration may be the first",
                         roots, str_join(g->arena, names, MIN(roots, (size_t)NAMED_MAX)),
                         roots > NAMED_MAX ? " …" : "");
    }
    return 0;
}

/* `node` is open below the top of the stack: from there to the top is the cycle. */
static int refuse_cycle(const struct graph *g, size_t node, struct error *e)
{
    struct buf b;
    buf_init(&b, g->arena, LIMIT_ERROR_BYTES);
    size_t from = g->height;
    while (g->stack[from - 1] != node) {
        from--;
    }
    for (size_t i = from - 1; i < g->height && i < from - 1 + NAMED_MAX; i++) {
        buf_printf(&b, "%" PRId64 " -> ", g->nodes[g->stack[i]].id);
    }
    return error_set(e, E_INVALID, "the parents go in a cycle: %s%s%" PRId64, buf_text(&b),
                     g->height - from + 1 > NAMED_MAX ? "… -> " : "", g->nodes[node].id);
}

static void open_node(struct graph *g, size_t node)
{
    g->visits[node] = OPEN;
    g->stack[g->height] = node;
    g->left[g->height] = g->first[node + 1] - g->first[node];
    g->height++;
}

static int walk(struct graph *g, size_t from, struct error *e)
{
    open_node(g, from);
    while (g->height > 0) {
        size_t node = g->stack[g->height - 1];
        size_t *left = &g->left[g->height - 1];
        if (*left == 0) {
            g->visits[node] = DONE;
            g->order[--g->free] = node;
            g->height--;
            continue;
        }
        size_t child = g->children[g->first[node] + --*left];
        if (g->visits[child] == OPEN) {
            return refuse_cycle(g, child, e);
        }
        if (g->visits[child] == UNSEEN) {
            open_node(g, child);
        }
    }
    return 0;
}

int graph_order(struct arena *arena, const struct graph_node *nodes, size_t count,
                size_t **ret_order, struct error *e)
{
    struct graph g = {.arena = arena, .nodes = nodes, .count = count, .free = count};
    g.first = ARENA_ARRAY(arena, count + 1, size_t);
    g.visits = ARENA_ARRAY(arena, count, enum visit);
    g.stack = ARENA_ARRAY(arena, count, size_t);
    g.left = ARENA_ARRAY(arena, count, size_t);
    g.order = ARENA_ARRAY(arena, count, size_t);
    size_t root = 0;
    int r = link_children(&g, e);
    if (r == 0 && count > 0) {
        r = find_root(&g, &root, e);
    }
    if (r == 0 && count > 0) {
        r = walk(&g, root, e);
    }
    /* What the root does not reach hangs on a cycle: there is no other root. */
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = g.visits[i] == UNSEEN ? walk(&g, i, e) : 0;
    }
    if (r == 0) {
        *ret_order = g.order;
    }
    return r;
}
