/*
 * Owns the way over releases: the one with the fewest hops that the rules of `paths:` allow, and of those the one whose
 * first stop is the newest, then its second, and so on. Refuses a way that the rules do not allow, with the rule and the
 * releases that are missing. What one rule says of one hop is path_rule.c's.
 */
#include "lib/plan/path.h"

#include <stdlib.h>

#include "lib/base/str.h"

/* ---- the two ends ---- */

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
    if (from != NULL && application_release(app, from) == NULL) {
        return error_set(e, E_INVALID,
                         "%s is installed and is not a release of %s: add it to releases: with its "
                         "schema, so that a way from it can be found",
                         from, app->name);
    }
    return 0;
}

static const struct paths_spec *paths_of(const struct application *app)
{
    static const struct paths_spec no_rules;
    return app->paths != NULL ? app->paths : &no_rules;
}

static int read_forbidden(struct arena *arena, const struct application *app,
                          const struct version_scheme *scheme, const struct range ***ret,
                          struct error *e)
{
    const struct strings *texts = &paths_of(app)->forbidden;
    const struct range **ranges = ARENA_ARRAY(arena, texts->count, const struct range *);
    for (size_t i = 0; i < texts->count; i++) {
        int r = range_parse(arena, scheme, texts->items[i], &ranges[i], e);
        if (r < 0) {
            return r;
        }
    }
    *ret = ranges;
    return 0;
}

static bool is_forbidden(const struct application *app, const struct range *const *ranges,
                         const char *version)
{
    for (size_t i = 0; i < paths_of(app)->forbidden.count; i++) {
        if (range_has(ranges[i], version)) {
            return true;
        }
    }
    return false;
}

static bool is_required(const struct application *app, const struct version_scheme *scheme,
                        const char *version)
{
    const struct strings *required = &paths_of(app)->required;
    for (size_t i = 0; i < required->count; i++) {
        if (version_compare(scheme, required->items[i], version) == VERSION_EQUAL) {
            return true;
        }
    }
    return false;
}

static bool in_text_range(struct arena *arena, const struct version_scheme *scheme,
                          const char *text, const char *version)
{
    const struct range *range;
    struct error e = {0};
    return range_parse(arena, scheme, text, &range, &e) == 0 && range_has(range, version);
}

enum direction plan_direction(struct arena *arena, const struct application *app,
                              const struct version_scheme *scheme, const char *from, const char *to)
{
    switch (version_compare(scheme, from, to)) {
    case VERSION_LESS:
        return DIRECTION_UP;
    case VERSION_GREATER:
        return DIRECTION_DOWN;
    case VERSION_EQUAL:
        return DIRECTION_NONE;
    case VERSION_INCOMPARABLE:
        break;
    }
    const struct list *switches = &paths_of(app)->switches;
    for (size_t i = 0; i < switches->count; i++) {
        const struct path_switch *change = LIST_AT(switches, const struct path_switch, i);
        if (in_text_range(arena, scheme, change->hop_from, from) &&
            in_text_range(arena, scheme, change->hop_to, to)) {
            return change->as == SWITCH_AS_DOWN ? DIRECTION_DOWN : DIRECTION_UP;
        }
    }
    return DIRECTION_NONE;
}

/* ---- the releases between them ---- */

struct sorted {
    const struct version_scheme *scheme;
    const char *version;
};

static int by_version(const void *left, const void *right)
{
    const struct sorted *a = left;
    const struct sorted *b = right;
    return version_sort(a->scheme, a->version, b->version);
}

static bool is_between(const struct walk *w, const char *from, const char *version, const char *to)
{
    enum version_order way = w->up ? VERSION_LESS : VERSION_GREATER;
    return version_compare(w->scheme, from, version) == way &&
           version_compare(w->scheme, version, to) == way;
}

static int read_stops(struct walk *w, const char *from, const char *to, struct error *e)
{
    const struct range **forbidden;
    int r = read_forbidden(w->arena, w->app, w->scheme, &forbidden, e);
    if (r < 0) {
        return r;
    }
    struct sorted *sorted = ARENA_ARRAY(w->arena, w->app->releases.count, struct sorted);
    for (size_t i = 0; i < w->app->releases.count; i++) {
        const char *v = LIST_AT(&w->app->releases, struct release_spec, i)->version;
        if (v == from || v == to || is_between(w, from, v, to)) {
            sorted[w->count++] = (struct sorted){w->scheme, v};
        }
    }
    qsort(sorted, w->count, sizeof(*sorted), by_version);
    w->stops = ARENA_ARRAY(w->arena, w->count, struct path_stop);
    for (size_t i = 0; i < w->count; i++) {
        const char *v = sorted[i].version;
        w->stops[i] = (struct path_stop){.version = v,
                                         .required = is_required(w->app, w->scheme, v),
                                         .forbidden = is_forbidden(w->app, forbidden, v),
                                         .hops = -1};
        w->first = v == from ? i : w->first;
        w->last = v == to ? i : w->last;
    }
    return 0;
}

/* More required stops than a plan may have hops: then there is no way, and no need to look for one. */
static int check_required(const struct walk *w, const char *from, const char *to, struct error *e)
{
    const struct strings *required = &paths_of(w->app)->required;
    size_t count = 0;
    for (size_t i = 0; i < required->count; i++) {
        const char *v = required->items[i];
        if (!is_between(w, from, v, to)) {
            continue;
        }
        count++;
        if (application_release(w->app, v) == NULL) {
            return error_set(e, E_INVALID,
                             "the way from %s to %s must visit %s (paths.required), which is not "
                             "among the releases: add it",
                             from, to, v);
        }
    }
    return count < LIMIT_HOPS
               ? 0
               : error_set(e, E_LIMIT, "from %s to %s are more than %d hops: go part of the way",
                           from, to, LIMIT_HOPS);
}

/* ---- the shortest way ---- */

/* Counts the hops to the end, from the end backwards. */
static void count_hops(struct walk *w)
{
    size_t *queue = ARENA_ARRAY(w->arena, w->count, size_t);
    size_t tail = 0;
    queue[tail++] = w->last;
    w->stops[w->last].hops = 0;
    for (size_t head = 0; head < tail; head++) {
        size_t b = queue[head];
        for (size_t a = 0; a < w->count; a++) {
            if (w->stops[a].hops < 0 && path_farther(w, a, b) &&
                path_refusal(w, a, b, true) == NULL) {
                w->stops[a].hops = w->stops[b].hops + 1;
                queue[tail++] = a;
            }
        }
    }
}

/* The farthest release that the rules let one reach. */
static size_t farthest(const struct walk *w)
{
    size_t *queue = ARENA_ARRAY(w->arena, w->count, size_t);
    bool *seen = ARENA_ARRAY(w->arena, w->count, bool);
    size_t tail = 0;
    size_t best = w->first;
    queue[tail++] = w->first;
    seen[w->first] = true;
    for (size_t head = 0; head < tail; head++) {
        size_t a = queue[head];
        best = (w->up ? a > best : a < best) ? a : best;
        for (size_t b = 0; b < w->count; b++) {
            if (!seen[b] && path_farther(w, a, b) && path_refusal(w, a, b, true) == NULL) {
                seen[b] = true;
                queue[tail++] = b;
            }
        }
    }
    return best;
}

/* Of the whole way, where that says it; else from where it does not go on. */
static int refuse(const struct walk *w, struct error *e)
{
    size_t here = w->first;
    const char *missing = path_missing(w, here);
    if (missing == NULL) {
        here = farthest(w);
        missing = path_missing(w, here);
    }
    return missing != NULL ? error_set(e, E_INVALID, "%s", missing)
                           : error_set(e, E_INVALID, "%s: %s",
                                       path_refusal(w, here, w->last, false), path_unfit(w, here));
}

/* Newest first: the stops are in order. */
static size_t next_stop(const struct walk *w, size_t here)
{
    for (size_t i = w->count; i > 0; i--) {
        size_t b = i - 1;
        if (w->stops[b].hops == w->stops[here].hops - 1 && path_farther(w, here, b) &&
            path_refusal(w, here, b, true) == NULL) {
            return b;
        }
    }
    return w->last; /* not reached: count_hops() came from one of them */
}

static int walk_path(struct walk *w, struct plan_way *ret, struct error *e)
{
    struct plan_way way = {0};
    count_hops(w);
    if (w->stops[w->first].hops < 0) {
        return refuse(w, e);
    }
    if (w->stops[w->first].hops > LIMIT_HOPS) {
        return error_set(e, E_LIMIT, "from %s to %s are more than %d hops: go part of the way",
                         w->stops[w->first].version, w->stops[w->last].version, LIMIT_HOPS);
    }
    size_t before = w->first;
    strings_push(w->arena, &way.releases, w->stops[before].version);
    strings_push(w->arena, &way.reasons, "");
    for (size_t here = before; here != w->last;) {
        here = next_stop(w, here);
        strings_push(w->arena, &way.releases, w->stops[here].version);
        /* Without this stop the way would be shorter: so some rule refuses that hop. */
        const char *why =
            here == w->last ? NULL : path_refusal(w, before, next_stop(w, here), false);
        strings_push(w->arena, &way.reasons, why != NULL ? why : "");
        before = here;
    }
    *ret = way;
    return 0;
}

static void only(struct arena *arena, const char *version, struct plan_way *way)
{
    strings_push(arena, &way->releases, version);
    strings_push(arena, &way->reasons, "");
}

int plan_way(struct arena *arena, const struct application *app,
             const struct version_scheme *scheme, const char *from, const char *to,
             struct plan_way *ret, struct error *e)
{
    int r = check_ends(arena, app, scheme, from, to, e);
    if (r < 0) {
        return r;
    }
    /* From here on every version is the text that the application has for it. */
    to = application_release(app, to)->version;
    from = from != NULL ? application_release(app, from)->version : NULL;
    const struct range **forbidden;
    r = read_forbidden(arena, app, scheme, &forbidden, e);
    if (r < 0) {
        return r;
    }
    if (is_forbidden(app, forbidden, to)) {
        return error_set(e, E_INVALID, "%s must not be installed: paths.forbidden of %s names it",
                         to, app->name);
    }
    struct plan_way way = {0};
    if (from == NULL || from == to) {
        only(arena, to, &way);
        *ret = way;
        return 0;
    }
    enum direction direction = plan_direction(arena, app, scheme, from, to);
    bool ordered = version_compare(scheme, from, to) != VERSION_INCOMPARABLE;
    if (direction == DIRECTION_NONE) {
        return error_set(e, E_INVALID,
                         "%s and %s cannot be compared: there is no way between them%s", from, to,
                         scheme->kind == VERSION_DATAMINER ? " without a paths.switch" : "");
    }
    if (!ordered) { /* one track to the other: one hop, as the switch says */
        only(arena, from, &way);
        only(arena, to, &way);
        *ret = way;
        return 0;
    }
    struct walk w = {.arena = arena, .app = app, .scheme = scheme};
    w.up = direction == DIRECTION_UP;
    r = check_required(&w, from, to, e);
    r = r < 0 ? r : read_stops(&w, from, to, e);
    r = r < 0 ? r : path_rules_read(&w, w.up ? &paths_of(app)->up : &paths_of(app)->down, e);
    return r < 0 ? r : walk_path(&w, ret, e);
}

int plan_path(struct arena *arena, const struct application *app,
              const struct version_scheme *scheme, const char *from, const char *to,
              struct strings *ret, struct error *e)
{
    struct plan_way way;
    int r = plan_way(arena, app, scheme, from, to, &way, e);
    if (r == 0) {
        *ret = way.releases;
    }
    return r;
}
