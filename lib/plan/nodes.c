/*
 * Owns what each node needs and what forbids a plan on it: never enrolled, not connected, no artifact for its system, a full
 * disk. Each is one sentence that says what to do.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

struct paired {
    const char *pair;
    size_t node;
};

static int by_pair(const void *left, const void *right)
{
    const struct paired *a = left;
    const struct paired *b = right;
    int order = strcmp(a->pair, b->pair);
    return order != 0 ? order : a->node < b->node ? -1 : 1;
}

static void find_partners(struct compiler *c)
{
    struct paired *paired = ARENA_ARRAY(c->arena, c->node_count, struct paired);
    size_t count = 0;
    for (size_t i = 0; i < c->node_count; i++) {
        c->nodes[i].partner = NO_PARTNER;
        if (c->nodes[i].spec->pair != NULL) {
            paired[count++] = (struct paired){c->nodes[i].spec->pair, i};
        }
    }
    if (count > 1) {
        qsort(paired, count, sizeof(*paired), by_pair);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(paired[i - 1].pair, paired[i].pair) == 0) {
            c->nodes[paired[i - 1].node].partner = paired[i].node;
            c->nodes[paired[i].node].partner = paired[i - 1].node;
        }
    }
}

void nodes_read(struct compiler *c)
{
    c->node_count = c->cluster->nodes.count;
    c->nodes = ARENA_ARRAY(c->arena, c->node_count, struct node_state);
    for (size_t i = 0; i < c->node_count; i++) {
        struct node_state *node = &c->nodes[i];
        node->spec = LIST_AT(&c->cluster->nodes, struct node_spec, i);
        node->at = -1;
        /* The inventory has the cluster's order; the search is for one that has not. */
        bool same = i < c->inventory->node_count &&
                    str_equal(c->inventory->nodes[i].name, node->spec->name);
        node->seen =
            same ? &c->inventory->nodes[i] : inventory_node(c->inventory, node->spec->name);
    }
    find_partners(c);
}

const struct known_release *release_for(const struct compiler *c, size_t node, const char *version)
{
    const struct observed_node *seen = c->nodes[node].seen;
    return inventory_release(c->inventory, version, seen != NULL ? seen->os : NULL,
                             seen != NULL ? seen->arch : NULL);
}

static void check_node(struct compiler *c, const struct node_state *node)
{
    const char *name = node->spec->name;
    const struct observed_node *seen = node->seen;
    if (seen == NULL || !seen->enrolled) {
        forbid_at(c, &node->spec->name,
                  "node %s has never enrolled: run `lockstep node enroll %s` and start its agent "
                  "with the token",
                  name, name);
    } else if (!seen->connected) {
        forbid(c, "node %s is not connected: start its lockstep-agent, or see its log", name);
    } else if (seen->problem != NULL) {
        forbid(c, "node %s: %s", name, seen->problem);
    }
}

/* What somebody else left half-done is a person's business; what Lockstep left, the run looks at before it acts. */
static void check_open(struct compiler *c, const struct observed_database *seen)
{
    bool ours = false;
    for (size_t i = 0; i < seen->open_count; i++) {
        const struct observed_open *open = &seen->open[i];
        ours = ours || open->ours;
        if (open->ours) {
            warn(c,
                 "database %s: migration %s was begun on its way %s and not ended (%s): it is "
                 "looked at before anything runs",
                 seen->name, open->id, open->down ? "down" : "up", open->words);
        }
    }
    for (size_t i = 0; !ours && i < seen->open_count; i++) {
        const struct observed_open *open = &seen->open[i];
        forbid(c,
               "database %s: its ledger says \"%s\" at migration %s: it was begun, not by "
               "Lockstep, and not ended. See what it changed (`lockstep db status` shows what "
               "stands there), then say so: `lockstep db retry`, `mark-applied`, `mark-reverted` "
               "or `down`",
               seen->name, open->words, open->id);
    }
}

static bool is_taken_up(const struct compiler *c, size_t database, const char *id)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        const struct migration_way *way = &c->hops[h].databases[database].way;
        for (size_t i = 0; i < way->up_count + way->down_count; i++) {
            const struct migration *m =
                i < way->up_count ? &way->up[i] : &way->down[i - way->up_count];
            if (str_equal(m->id, id)) {
                return true;
            }
        }
    }
    return false;
}

void open_check(struct compiler *c)
{
    for (size_t d = 0; d < c->app->databases.count; d++) {
        const struct app_database_spec *app =
            LIST_AT(&c->app->databases, struct app_database_spec, d);
        const struct observed_database *seen = inventory_database(c->inventory, app->name);
        for (size_t i = 0; seen != NULL && i < seen->open_count; i++) {
            const struct observed_open *open = &seen->open[i];
            if (open->ours && !is_taken_up(c, d, open->id)) {
                forbid(c,
                       "database %s: migration %s was begun on its way %s and not ended (%s), and "
                       "this plan does not come by it: releases would start on a schema that is "
                       "half-way. Look (`lockstep db status`), then say so: `lockstep db retry`, "
                       "`mark-applied`, `mark-reverted` or `down`",
                       seen->name, open->id, open->down ? "down" : "up", open->words);
            }
        }
    }
}

static void check_databases(struct compiler *c)
{
    for (size_t i = 0; i < c->app->databases.count; i++) {
        const struct app_database_spec *app =
            LIST_AT(&c->app->databases, struct app_database_spec, i);
        const struct observed_database *seen = inventory_database(c->inventory, app->name);
        if (seen == NULL || !seen->connected) {
            forbid(c, "database %s cannot be reached: %s", app->name,
                   seen != NULL && seen->problem != NULL
                       ? seen->problem
                       : "nothing answered; see url: and via: of it");
        } else if (seen->holder != NULL) {
            warn(c, "database %s is locked by %s: the run will wait for it", app->name,
                 seen->holder);
        }
        if (seen != NULL && seen->connected) {
            check_open(c, seen);
        }
    }
}

/* Is `version` before `step` on the way? One that is not on the path counts as the step that it is past. */
static bool is_before(const struct compiler *c, const char *version, const char *step)
{
    if (c->path.count < 2) {
        return !str_equal(version, step);
    }
    const struct version_scheme *scheme = &c->spec->scheme;
    enum version_order way = version_compare(scheme, c->path.items[0], c->to);
    enum version_order order = version_compare(scheme, version, step);
    return order != VERSION_EQUAL && order == way;
}

/* Reads what each node needs from the path; needs c->path. */
static void place_node(struct compiler *c, size_t index)
{
    struct node_state *node = &c->nodes[index];
    const struct observed_node *seen = node->seen;
    for (size_t p = 0; seen != NULL && seen->version != NULL && p < c->path.count; p++) {
        if (!is_before(c, seen->version, c->path.items[p])) {
            node->at = (int64_t)p;
        }
    }
    const struct known_release *wanted = release_for(c, index, c->to);
    bool right =
        seen != NULL && str_equal(seen->version, c->to) &&
        (seen->artifact == NULL || wanted == NULL || str_equal(seen->artifact, wanted->sha256));
    node->swap = !right;
    node->touch = !right || seen == NULL || !seen->running;
    node->lift = !node->touch && seen->denied != NULL;
}

void nodes_check(struct compiler *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        check_node(c, &c->nodes[i]);
        place_node(c, i);
    }
    check_databases(c);
}

struct members members_all(struct compiler *c)
{
    struct members all = {"all", ARENA_ARRAY(c->arena, c->node_count, size_t), c->node_count};
    for (size_t i = 0; i < c->node_count; i++) {
        all.items[i] = i;
    }
    return all;
}

struct members members_where(struct compiler *c, const char *name, const struct members *of,
                             bool (*keep)(const struct compiler *, size_t node, const void *),
                             const void *context)
{
    struct members some = {name, ARENA_ARRAY(c->arena, of->count, size_t), 0};
    for (size_t i = 0; i < of->count; i++) {
        if (keep(c, of->items[i], context)) {
            some.items[some.count++] = of->items[i];
        }
    }
    return some.count == of->count ? *of : some;
}

static const char *artifact_name(struct compiler *c, const struct members *of,
                                 const struct known_release *release)
{
    return arena_printf(c->arena, "%s %s/%s", of->name, release->os != NULL ? release->os : "any",
                        release->arch != NULL ? release->arch : "any");
}

struct members *members_by_artifact(struct compiler *c, const struct members *of,
                                    const char *version, size_t *ret_count)
{
    const struct known_release **kinds =
        ARENA_ARRAY(c->arena, c->inventory->release_count + 1, const struct known_release *);
    struct members *groups = ARENA_ARRAY(c->arena, c->inventory->release_count + 1, struct members);
    size_t count = 0;
    for (size_t i = 0; i < of->count; i++) {
        const struct known_release *release = release_for(c, of->items[i], version);
        if (release == NULL) {
            continue; /* a complaint already */
        }
        size_t g = 0;
        while (g < count && kinds[g] != release) {
            g++;
        }
        if (g == count) {
            kinds[count] = release;
            groups[count++] = (struct members){artifact_name(c, of, release),
                                               ARENA_ARRAY(c->arena, of->count, size_t), 0};
        }
        groups[g].items[groups[g].count++] = of->items[i];
    }
    if (count == 1) {
        groups[0].name = of->name;
    }
    *ret_count = count;
    return groups;
}
