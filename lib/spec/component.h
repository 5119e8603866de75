/* Components of an Application: which version runs with which release. */
#ifndef LOCKSTEP_SPEC_COMPONENT_H
#define LOCKSTEP_SPEC_COMPONENT_H

#include "lib/spec/spec.h"

/* NULL when there is none of this name. */
const struct component_spec *application_component(const struct application *app, const char *name);
struct version_scheme component_scheme(const struct component_spec *component);
/* May the release run beside this version? When not, *ret_fits is the range that it runs with, as written. A release that no
 * rule speaks of runs with any; a range that cannot be read, or a version that is none, with nothing. */
bool component_fits(struct arena *arena, const struct version_scheme *scheme,
                    const struct component_spec *component, const char *release,
                    const char *version, const char **ret_fits);

#endif
