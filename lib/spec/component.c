/* Owns which version of a component runs with which release. */
#include "lib/spec/component.h"

#include "lib/base/str.h"

const struct component_spec *application_component(const struct application *app, const char *name)
{
    for (size_t i = 0; i < app->components.count; i++) {
        const struct component_spec *component =
            LIST_AT(&app->components, const struct component_spec, i);
        if (str_equal(component->name, name)) {
            return component;
        }
    }
    return NULL;
}

struct version_scheme component_scheme(const struct component_spec *component)
{
    return (struct version_scheme){.kind = (enum version_scheme_kind)component->versions};
}

bool component_fits(struct arena *arena, const struct version_scheme *scheme,
                    const struct component_spec *component, const char *release,
                    const char *version, const char **ret_fits)
{
    const struct version_scheme own = component_scheme(component);
    for (size_t i = 0; i < component->runs_with.count; i++) {
        const struct component_fit *fit =
            LIST_AT(&component->runs_with, const struct component_fit, i);
        const struct range *range;
        struct error e = {0};
        if (fit->release == NULL || fit->versions == NULL ||
            range_parse(arena, scheme, fit->release, &range, &e) < 0 ||
            !range_has(range, release)) {
            continue;
        }
        *ret_fits = fit->versions;
        return range_parse(arena, &own, fit->versions, &range, &e) == 0 &&
               version_check(&own, version, NULL) == 0 && range_has(range, version);
    }
    return true;
}
