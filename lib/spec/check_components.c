/* Owns the checks of components: their versions and ranges, and what the releases and the cluster say of them. */
#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/component.h"

static void check_fit(const struct checker *c, const struct component_spec *component,
                      const struct component_fit *fit)
{
    const struct version_scheme scheme = component_scheme(component);
    const struct range *range;
    struct error e = {0};
    if (c->scheme_known && fit->release != NULL &&
        range_parse(c->arena, &c->spec->scheme, fit->release, &range, &e) < 0) {
        check_say(c, &fit->release, "release: %s", e.message);
    }
    if (fit->versions != NULL && range_parse(c->arena, &scheme, fit->versions, &range, &e) < 0) {
        check_say(c, &fit->versions, "versions: %s", e.message);
    }
}

static void check_actions(const struct checker *c, const struct list *actions, const char *key)
{
    for (size_t i = 0; i < actions->count; i++) {
        const struct action *action = LIST_AT(actions, const struct action, i);
        if (action->run == NULL && action->wait == NULL) {
            check_say(c, action, "%s: is for run and wait: %s belongs to extra_steps", key,
                      action_kind_name(action_kind(action)));
        }
    }
}

static void check_component(const struct checker *c, const struct application *app, size_t index)
{
    const struct component_spec *component =
        LIST_AT(&app->components, const struct component_spec, index);
    for (size_t i = 0; i < index && component->name != NULL; i++) {
        const struct component_spec *other =
            LIST_AT(&app->components, const struct component_spec, i);
        if (str_equal(other->name, component->name)) {
            check_say(c, &component->name,
                      "component \"%s\" is there twice, the first is at line %d", component->name,
                      marks_find(c->marks, &other->name).line);
            break;
        }
    }
    if (component->observe != NULL) {
        check_regex(c, &component->observe->matches, component->observe->matches, 1);
    }
    for (size_t i = 0; i < component->runs_with.count; i++) {
        check_fit(c, component, LIST_AT(&component->runs_with, const struct component_fit, i));
    }
    check_actions(c, &component->remove, "remove");
    check_actions(c, &component->install, "install");
}

/* What a release, or the cluster, wants of components. */
static void check_wanted(const struct checker *c, const struct application *app,
                         const struct pairs *wanted, const char *release)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct pair *pair = &wanted->items[i];
        const struct component_spec *component = application_component(app, pair->key);
        struct error e = {0};
        const char *fits = NULL;
        if (pair->value == NULL) {
            continue; /* a complaint already */
        }
        if (component == NULL) {
            const char **names = ARENA_ARRAY(c->arena, app->components.count + 1, const char *);
            for (size_t k = 0; k < app->components.count; k++) {
                names[k] = LIST_AT(&app->components, struct component_spec, k)->name;
            }
            check_say(
                c, &pair->key, "components: the application has no component \"%s\"%s", pair->key,
                app->components.count > 0 ? check_hint(c, pair->key, names, app->components.count)
                                          : ": add it to components:");
            continue;
        }
        const struct version_scheme scheme = component_scheme(component);
        if (version_check(&scheme, pair->value, &e) < 0) {
            check_say(c, &pair->value, "component %s: %s", pair->key, e.message);
        } else if (release != NULL && c->scheme_known &&
                   !component_fits(c->arena, &c->spec->scheme, component, release, pair->value,
                                   &fits)) {
            check_say(c, &pair->value,
                      "release %s names component %s %s and does not run with it: runs_with of it "
                      "says %s: name another version, or change the range",
                      release, pair->key, pair->value, fits);
        }
    }
}

void check_components(const struct checker *c, const struct application *app)
{
    for (size_t i = 0; i < app->components.count; i++) {
        check_component(c, app, i);
    }
    for (size_t i = 0; i < app->releases.count; i++) {
        const struct release_spec *release = LIST_AT(&app->releases, const struct release_spec, i);
        bool sound = release->version != NULL && c->scheme_known &&
                     (c->spec->scheme.kind == VERSION_LISTED ||
                      version_check(&c->spec->scheme, release->version, NULL) == 0);
        check_wanted(c, app, &release->components, sound ? release->version : NULL);
    }
}

void check_wanted_components(const struct checker *c, const struct cluster *cluster,
                             const struct application *app)
{
    check_wanted(c, app, &cluster->components, NULL);
}
