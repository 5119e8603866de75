/*
 * Owns components: parts with a version of their own on each node, beside the release. What a node should have is what the
 * cluster wants at the end of the way, or what the release names that is started there; a release that names none leaves it as
 * it is. A component moves while its node is stopped, behind the swap: what is there is removed, then the other one installed.
 * Refuses a wanted version that the wanted release does not run with; what starts beside what is proved by prove_plan.c.
 */
#include "lib/spec/component.h"

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static const struct component_spec *component_at(const struct compiler *c, size_t index)
{
    return LIST_AT(&c->app->components, const struct component_spec, index);
}

/* NULL: nobody wants one in particular. */
static const char *wanted_of(const struct compiler *c, const char *release, bool last, size_t index)
{
    const char *name = component_at(c, index)->name;
    const char *own = last ? pairs_get(&c->cluster->components, name) : NULL;
    const struct release_spec *spec = release_of(c, release);
    return own != NULL ? own : spec != NULL ? pairs_get(&spec->components, name) : NULL;
}

static const char *wanted_at(const struct compiler *c, size_t hop, size_t index)
{
    return wanted_of(c, c->hops[hop].to, hop + 1 == c->hop_count, index);
}

/* The cluster's own wish beside the wanted release. */
static void check_wish(struct compiler *c, size_t index)
{
    const struct component_spec *component = component_at(c, index);
    const char *fits = NULL;
    for (size_t i = 0; i < c->cluster->components.count; i++) {
        const struct pair *pair = &c->cluster->components.items[i];
        if (!str_equal(pair->key, component->name) ||
            component_fits(c->arena, &c->spec->scheme, component, c->to, pair->value, &fits)) {
            continue;
        }
        const char *named = wanted_of(c, c->to, false, index);
        forbid_at(c, &pair->value,
                  "component %s %s does not run with %s %s, which runs with %s of it: want another "
                  "version%s",
                  component->name, pair->value, c->app->name, c->to, fits,
                  named == NULL ? ""
                                : arena_printf(c->arena, ", or leave it out for %s, which %s names",
                                               named, c->to));
    }
}

void components_read(struct compiler *c)
{
    size_t count = c->app->components.count;
    for (size_t k = 0; k < count; k++) {
        check_wish(c, k);
    }
    for (size_t i = 0; i < c->node_count && count > 0; i++) {
        struct node_state *node = &c->nodes[i];
        node->components = ARENA_ARRAY(c->arena, count, const char *);
        for (size_t k = 0; k < count && node->seen != NULL; k++) {
            const char *wanted = wanted_of(c, c->to, true, k);
            node->components[k] = pairs_get(&node->seen->components, component_at(c, k)->name);
            if (wanted != NULL && !str_equal(wanted, node->components[k]) && !node->swap) {
                node->touch = true;
                node->lift = false;
                c->must_stop = c->must_stop || node->seen->running;
            }
        }
    }
}

/* A component that some node gets on this way and that may not run in two versions; NULL: none. */
static const struct component_spec *one_version_only(const struct compiler *c)
{
    for (size_t k = 0; k < c->app->components.count; k++) {
        bool moves = false;
        for (size_t i = 0; i < c->node_count; i++) {
            for (size_t h = 0; h < c->hop_count; h++) {
                const char *wanted = wanted_at(c, h, k);
                moves = moves || (c->hops[h].started && wanted != NULL &&
                                  !str_equal(wanted, c->nodes[i].components[k]));
            }
        }
        if (moves && !component_at(c, k)->rolling) {
            return component_at(c, k);
        }
    }
    return NULL;
}

bool components_roll(struct compiler *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].swap) {
            return false;
        }
    }
    return c->path.count == 1 && !c->migrates && c->must_stop && one_version_only(c) == NULL;
}

const char *components_forbid(struct compiler *c)
{
    const struct component_spec *component = one_version_only(c);
    return component == NULL
               ? NULL
               : arena_printf(c->arena,
                              "component %s of %s does not say rolling: true, so no two versions "
                              "of it may run side by side",
                              component->name, c->app->name);
}

struct members component_members(struct compiler *c, size_t hop, size_t component, bool has,
                                 const struct members *members)
{
    const char *wanted = wanted_at(c, hop, component);
    struct members some = {arena_printf(c->arena, "%s, %s %s", members->name, has ? "other" : "no",
                                        component_at(c, component)->name),
                           ARENA_ARRAY(c->arena, members->count, size_t), 0};
    for (size_t i = 0; wanted != NULL && i < members->count; i++) {
        const char *there = c->nodes[members->items[i]].components[component];
        if (!str_equal(there, wanted) && (there != NULL) == has) {
            some.items[some.count++] = members->items[i];
        }
    }
    return some.count == members->count ? *members : some;
}

static void add_list(struct compiler *c, struct plan_phase *phase, size_t hop,
                     const struct component_spec *component, const struct list *actions,
                     const char *name, const char *leaves)
{
    const struct extra_step step = {
        .name = name, .scope = SCOPE_NODE, .timeout_ms = component->timeout_ms};
    struct extra_actions what = {
        .step = &step, .actions = actions, .name = name, .why = PLAN_ALWAYS, .way = &c->hops[hop]};
    if (actions->count == 0) {
        return;
    }
    extra_add_actions(c, phase, hop, &what);
    struct plan_component *mark = ARENA_NEW(c->arena, struct plan_component);
    *mark = (struct plan_component){component->name, leaves};
    LIST_AT(&phase->steps, struct plan_step, phase->steps.count - 1)->component = mark;
}

void component_steps(struct compiler *c, struct plan_phase *phase, size_t hop, size_t component,
                     bool has)
{
    const struct component_spec *spec = component_at(c, component);
    const char *wanted = wanted_at(c, hop, component);
    assert(wanted != NULL);
    c->component = wanted;
    if (has) {
        add_list(c, phase, hop, spec, &spec->remove,
                 arena_printf(c->arena, "remove %s", spec->name), NULL);
    }
    add_list(c, phase, hop, spec, &spec->install,
             arena_printf(c->arena, "install %s %s", spec->name, wanted), wanted);
    c->component = NULL;
}

void component_given(struct compiler *c, size_t hop, size_t component,
                     const struct members *members)
{
    for (size_t i = 0; i < members->count; i++) {
        c->nodes[members->items[i]].components[component] = wanted_at(c, hop, component);
    }
}
