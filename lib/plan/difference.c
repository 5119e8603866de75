/* Owns the question whether a cluster has moved since a plan was made. */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static void say(struct arena *arena, struct strings *out, const char *text)
{
    strings_push(arena, out, text);
}

static const char *version_words(struct arena *arena, const char *version)
{
    return version == NULL ? "nothing" : arena_printf(arena, "%s", version);
}

static void node_difference(struct arena *arena, const struct plan_node *node,
                            const struct observed_node *seen, struct strings *out)
{
    if (seen == NULL || !seen->enrolled) {
        say(arena, out, arena_printf(arena, "node %s is not enrolled any more", node->name));
        return;
    }
    if (!seen->connected) {
        say(arena, out, arena_printf(arena, "node %s is not connected now", node->name));
        return;
    }
    if (!str_equal(node->from, seen->version)) {
        say(arena, out,
            arena_printf(arena, "node %s had %s installed when the plan was made and has %s now",
                         node->name, version_words(arena, node->from),
                         version_words(arena, seen->version)));
    }
    for (size_t i = 0; i < node->components.count + seen->components.count; i++) {
        bool had = i < node->components.count;
        const char *name = had ? node->components.items[i].key
                               : seen->components.items[i - node->components.count].key;
        const char *before = pairs_get(&node->components, name);
        const char *now = pairs_get(&seen->components, name);
        if (!str_equal(before, now) && (had || before == NULL)) {
            say(arena, out,
                arena_printf(arena, "node %s had %s %s when the plan was made and has %s now",
                             node->name, name, version_words(arena, before),
                             version_words(arena, now)));
        }
    }
    if (node->running != seen->running) {
        say(arena, out,
            arena_printf(arena, "node %s was %s when the plan was made and is %s now", node->name,
                         node->running ? "running" : "not running",
                         seen->running ? "running" : "not running"));
    }
    if ((node->denied == NULL) != (seen->denied == NULL)) {
        say(arena, out,
            arena_printf(arena, "node %s could %sstart when the plan was made and can%s now%s%s",
                         node->name, node->denied == NULL ? "" : "not ",
                         seen->denied == NULL ? "" : "not", seen->denied == NULL ? "" : ": ",
                         seen->denied == NULL ? "" : seen->denied));
    }
}

static const char *first_missing(const struct strings *of, const struct strings *in)
{
    for (size_t i = 0; i < of->count; i++) {
        if (!strings_have(in, of->items[i])) {
            return of->items[i];
        }
    }
    return NULL;
}

static void database_difference(struct arena *arena, const struct plan_observed_database *database,
                                const struct observed_database *seen, struct strings *out)
{
    if (seen == NULL || !seen->connected) {
        say(arena, out, arena_printf(arena, "database %s cannot be reached now", database->name));
        return;
    }
    const char *gone = first_missing(&database->applied, &seen->applied);
    const char *come = first_missing(&seen->applied, &database->applied);
    if (gone != NULL || come != NULL) {
        say(arena, out,
            arena_printf(arena,
                         "database %s had %zu applied migrations when the plan was made and has "
                         "%zu now: %s is %s",
                         database->name, database->applied.count, seen->applied.count,
                         come != NULL ? come : gone, come != NULL ? "new" : "gone"));
    }
}

void plan_differences(struct arena *arena, const struct plan *plan, const struct inventory *now,
                      struct strings *ret)
{
    struct strings out = {0};
    for (size_t i = 0; i < plan->nodes.count; i++) {
        const struct plan_node *node = LIST_AT(&plan->nodes, struct plan_node, i);
        bool same = i < now->node_count && str_equal(now->nodes[i].name, node->name);
        node_difference(arena, node, same ? &now->nodes[i] : inventory_node(now, node->name), &out);
    }
    for (size_t i = 0; now->node_count > plan->nodes.count && i < now->node_count; i++) {
        bool known = false;
        for (size_t n = 0; n < plan->nodes.count && !known; n++) {
            known = str_equal(LIST_AT(&plan->nodes, struct plan_node, n)->name, now->nodes[i].name);
        }
        if (!known) {
            say(arena, &out, arena_printf(arena, "node %s is new", now->nodes[i].name));
        }
    }
    for (size_t i = 0; i < plan->databases.count; i++) {
        const struct plan_observed_database *database =
            LIST_AT(&plan->databases, struct plan_observed_database, i);
        database_difference(arena, database, inventory_database(now, database->name), &out);
    }
    *ret = out;
}
