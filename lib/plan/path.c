/*
 * Owns the way over releases. Refuses a way that breaks the application's path rules, with the rule and the
 * releases that are missing. Of the releases that a hop may reach, the one with the farthest major is taken, and of that
 * major the newest: vendors ask for "the latest of each major on the way", up and down.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

struct walk {
    const struct application *app;
    const struct version_scheme *scheme;
    const char *to;
    bool up;
    int64_t majors; /* at most in one hop; 0: any */
};

static bool listed(const struct strings *versions, const struct version_scheme *scheme,
                   const char *version)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (version_compare(scheme, versions->items[i], version) == VERSION_EQUAL) {
            return true;
        }
    }
    return false;
}

/* Is b farther than a on this walk? */
static bool farther(const struct walk *w, const char *a, const char *b)
{
    return version_compare(w->scheme, a, b) == (w->up ? VERSION_LESS : VERSION_GREATER);
}

static int64_t distance(const struct walk *w, const char *a, const char *b)
{
    int64_t x = version_major(w->scheme, a);
    int64_t y = version_major(w->scheme, b);
    if (x < 0 || y < 0) {
        return 0;
    }
    return x > y ? x - y : y - x;
}

/* The nearest required release strictly between here and the end, or NULL. */
static const char *next_required(const struct walk *w, const char *here)
{
    const char *nearest = NULL;
    const struct strings *required = &w->app->paths->required;
    for (size_t i = 0; i < required->count; i++) {
        const char *v = required->items[i];
        if (farther(w, here, v) && farther(w, v, w->to) &&
            (nearest == NULL || farther(w, v, nearest))) {
            nearest = v;
        }
    }
    return nearest;
}

/* The best release to go to from `here`, not past `limit`; NULL when the rules leave none. */
static const char *best(const struct walk *w, const char *here, const char *limit)
{
    if (w->majors == 0 || distance(w, here, limit) <= w->majors) {
        return limit;
    }
    const char *choice = NULL;
    for (size_t i = 0; i < w->app->releases.count; i++) {
        const char *v = LIST_AT(&w->app->releases, struct release_spec, i)->version;
        if (!farther(w, here, v) || !farther(w, v, limit) || distance(w, here, v) > w->majors ||
            listed(&w->app->paths->forbidden, w->scheme, v)) {
            continue;
        }
        if (choice == NULL || distance(w, here, v) > distance(w, here, choice) ||
            (distance(w, here, v) == distance(w, here, choice) &&
             version_compare(w->scheme, v, choice) == VERSION_GREATER)) {
            choice = v;
        }
    }
    return choice;
}

static int refuse_gap(const struct walk *w, const char *here, struct error *e)
{
    return error_set(e, E_INVALID,
                     "from %s to %s: paths.%s.at_most allows %lld major%s in one hop, and no "
                     "release within %lld of %s is listed on the way: add one to releases:",
                     here, w->to, w->up ? "up" : "down", (long long)w->majors,
                     w->majors == 1 ? "" : "s", (long long)w->majors, here);
}

static int walk_path(struct arena *arena, const struct walk *w, const char *from,
                     struct strings *ret, struct error *e)
{
    struct strings path = {0};
    strings_push(arena, &path, from);
    const char *here = from;
    while (!str_equal(here, w->to)) {
        const char *required = w->app->paths == NULL ? NULL : next_required(w, here);
        const char *limit = required != NULL ? required : w->to;
        if (application_release(w->app, limit) == NULL) {
            return error_set(e, E_INVALID,
                             "the way from %s to %s must visit %s (paths.required), which is not "
                             "among the releases: add it",
                             from, w->to, limit);
        }
        if (listed(&w->app->paths->forbidden, w->scheme, limit)) {
            return error_set(e, E_INVALID, "%s is both required and forbidden by paths", limit);
        }
        const char *next = best(w, here, limit);
        if (next == NULL) {
            return refuse_gap(w, here, e);
        }
        strings_push(arena, &path, next);
        here = next;
        if (path.count > LIMIT_HOPS + 1) {
            return error_set(e, E_LIMIT, "from %s to %s are more than %d hops: go part of the way",
                             from, w->to, LIMIT_HOPS);
        }
    }
    *ret = path;
    return 0;
}

static int check_ends(struct arena *arena, const struct application *app,
                      const struct version_scheme *scheme, const char *from, const char *to,
                      struct error *e)
{
    int r = version_check(scheme, to, e);
    if (r < 0) {
        return r;
    }
    if (application_release(app, to) == NULL) {
        struct strings known = {0};
        for (size_t i = 0; i < app->releases.count && i < 8; i++) {
            strings_push(arena, &known, LIST_AT(&app->releases, struct release_spec, i)->version);
        }
        return error_set(e, E_INVALID, "%s is not a release of %s (it has %s%s)", to, app->name,
                         str_join(arena, known.items, known.count),
                         app->releases.count > known.count ? " …" : "");
    }
    if (app->paths != NULL && listed(&app->paths->forbidden, scheme, to)) {
        return error_set(e, E_INVALID, "%s must not be installed: paths.forbidden of %s names it",
                         to, app->name);
    }
    if (from != NULL && application_release(app, from) == NULL) {
        return error_set(e, E_INVALID,
                         "%s is installed and is not a release of %s: add it to releases: with its "
                         "schema, so that a way from it can be found",
                         from, app->name);
    }
    return 0;
}

int plan_path(struct arena *arena, const struct application *app,
              const struct version_scheme *scheme, const char *from, const char *to,
              struct strings *ret, struct error *e)
{
    int r = check_ends(arena, app, scheme, from, to, e);
    if (r < 0) {
        return r;
    }
    struct strings only = {0};
    if (from == NULL || str_equal(from, to)) {
        strings_push(arena, &only, to);
        *ret = only;
        return 0;
    }
    static const struct paths_spec no_rules;
    struct application with_rules = *app;
    if (app->paths == NULL) {
        with_rules.paths = (struct paths_spec *)&no_rules;
    }
    enum version_order order = version_compare(scheme, from, to);
    if (order == VERSION_INCOMPARABLE) {
        return error_set(e, E_INVALID, "%s and %s cannot be compared: there is no way between them",
                         from, to);
    }
    struct walk w = {.app = &with_rules, .scheme = scheme, .to = to};
    w.up = order != VERSION_GREATER;
    const struct path_rule *rule = w.up ? with_rules.paths->up : with_rules.paths->down;
    w.majors = rule == NULL ? 0 : rule->majors_at_most;
    return walk_path(arena, &w, from, ret, e);
}
