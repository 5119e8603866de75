/* Owns the checks of the way over releases: rules, units, forbidden and required releases, changes of track. */
#include "lib/base/str.h"
#include "lib/spec/check.h"

static void check_named_releases(const struct checker *c, const struct application *app,
                                 const char *key, const struct strings *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (application_release(app, versions->items[i]) == NULL) {
            check_say(c, &versions->items[i], "%s: \"%s\" is no release of the application", key,
                      versions->items[i]);
        }
    }
}

/* forbidden: a version alone is a range too, and both must mean a release that there is. */
static void check_forbidden(const struct checker *c, const struct application *app)
{
    const struct paths_spec *paths = app->paths;
    for (size_t i = 0; i < paths->forbidden.count; i++) {
        const struct range *range;
        struct error e = {0};
        size_t meant = 0;
        if (range_parse(c->arena, &c->spec->scheme, paths->forbidden.items[i], &range, &e) < 0) {
            check_say(c, &paths->forbidden.items[i], "forbidden: %s", e.message);
            continue;
        }
        for (size_t j = 0; j < paths->required.count; j++) {
            if (range_has(range, paths->required.items[j])) {
                check_say(c, &paths->forbidden.items[i], "\"%s\" is both required and forbidden",
                          paths->forbidden.items[i]);
            }
        }
        for (size_t j = 0; j < app->releases.count; j++) {
            const char *version = LIST_AT(&app->releases, const struct release_spec, j)->version;
            meant += version != NULL && range_has(range, version) ? 1 : 0;
        }
        if (meant == 0) {
            check_say(c, &paths->forbidden.items[i],
                      "forbidden: \"%s\" is no release of the application",
                      paths->forbidden.items[i]);
        }
    }
}

static bool has_unit(const struct checker *c, enum version_unit unit)
{
    switch (c->spec->scheme.kind) {
    case VERSION_SEMVER:
    case VERSION_DOTTED:
        return true;
    case VERSION_DATAMINER:
        return unit == UNIT_MAJOR;
    case VERSION_LISTED:
        break;
    }
    return false;
}

static void check_unit(const struct checker *c, const void *field, enum version_unit unit)
{
    if (has_unit(c, unit)) {
        return;
    }
    check_say(c, field,
              c->spec->scheme.kind == VERSION_LISTED
                  ? "paths: a rule on majors or minors needs versions with numbers; these are "
                    "listed"
                  : "paths: dataminer has no minors: its majors are 9.6, 10.0, 10.1");
}

static void check_lines(const struct checker *c, const struct path_rule *rule)
{
    bool minors = rule->visit == VISIT_EACH_MINOR || rule->minors_at_most > 0;
    enum version_unit unit = minors ? UNIT_MINOR : UNIT_MAJOR;
    struct version_line line;
    if (rule->visit == VISIT_ANY && rule->majors_at_most == 0 && rule->minors_at_most == 0) {
        check_say(c, &rule->lines, "lines: belongs to visit: or at_most:, whose numbers it lists");
        return;
    }
    for (size_t i = 0; has_unit(c, unit) && i < rule->lines.count; i++) {
        if (!version_line_parse(&c->spec->scheme, unit, rule->lines.items[i], &line)) {
            check_say(c, &rule->lines.items[i], "lines: \"%s\" is no %s such as %s",
                      rule->lines.items[i], minors ? "minor" : "major",
                      minors || c->spec->scheme.kind == VERSION_DATAMINER ? "10.3" : "10");
        }
    }
}

static void check_path_rules(const struct checker *c, const struct list *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct path_rule *rule = LIST_AT(rules, const struct path_rule, i);
        if (rule->visit != VISIT_ANY) {
            check_unit(c, &rule->visit, rule->visit == VISIT_EACH_MAJOR ? UNIT_MAJOR : UNIT_MINOR);
        }
        if (rule->majors_at_most > 0) {
            check_unit(c, &rule->majors_at_most, UNIT_MAJOR);
        }
        if (rule->minors_at_most > 0) {
            check_unit(c, &rule->minors_at_most, UNIT_MINOR);
        }
        if (rule->visit != VISIT_ANY && (rule->majors_at_most > 0 || rule->minors_at_most > 0)) {
            check_say(c, &rule->visit, "visit: and at_most: are two rules: write two of them");
        }
        if (rule->lines.count > 0) {
            check_lines(c, rule);
        }
        check_range(c, &rule->hop_from, "hop_from", rule->hop_from);
        check_range(c, &rule->hop_to, "hop_to", rule->hop_to);
        check_range(c, &rule->via, "via", rule->via);
        check_range(c, &rule->skip, "skip", rule->skip);
    }
}

void check_paths(const struct checker *c, const struct application *app)
{
    const struct paths_spec *paths = app->paths;
    if (paths == NULL || !c->scheme_known) {
        return;
    }
    check_path_rules(c, &paths->up);
    check_path_rules(c, &paths->down);
    for (size_t i = 0; i < paths->switches.count; i++) {
        const struct path_switch *change = LIST_AT(&paths->switches, const struct path_switch, i);
        if (c->spec->scheme.kind != VERSION_DATAMINER) {
            check_say(c, change, "switch: only dataminer has releases without an order");
        }
        check_range(c, &change->hop_from, "hop_from", change->hop_from);
        check_range(c, &change->hop_to, "hop_to", change->hop_to);
    }
    check_named_releases(c, app, "required", &paths->required);
    check_forbidden(c, app);
}
