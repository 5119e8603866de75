/* The order of a graph of migrations with one root, as Sourcegraph's migrator finds it. */
#ifndef LOCKSTEP_MIGRATION_GRAPH_H
#define LOCKSTEP_MIGRATION_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct graph_node {
    int64_t id; /* the nodes are sorted by it, and it is unique */
    const int64_t *parents;
    size_t parent_count;
};

/* `ret_order`: indexes of nodes, parents before children; those that do not depend on each other by id, as a walk from the
 * root down meets them. 0, or E_INVALID: an unknown parent, no root or several, a cycle; all with their ids. */
int graph_order(struct arena *arena, const struct graph_node *nodes, size_t count,
                size_t **ret_order, struct error *e);

#endif
