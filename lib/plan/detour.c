/*
 * Owns the way out where a way may not roll: a release between the two ends over which it would, in two plans. Only what
 * is certain is offered: all nodes and ledgers are where the first release has them, and each hop's older release runs with
 * one unbroken range of schemas over the whole hop.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

#define DETOURS_MAX 32 /* releases that are tried, the newest first */

static bool one_range_has(struct compiler *c, const char *version, const char *database, int64_t a,
                          int64_t b)
{
    const char *text = runs_with_text(c, version, database);
    struct int_ranges ranges = {0};
    struct error e = {0};
    if (text == NULL || int_ranges_parse(c->arena, text, &ranges, &e) < 0) {
        return false;
    }
    for (size_t i = 0; i < ranges.count; i++) {
        const struct int_range *r = &ranges.items[i];
        if (MIN(a, b) >= r->from && MAX(a, b) <= r->to) {
            return true;
        }
    }
    return false;
}

/* The schema that stands while a hop rolls: where the newer release's `expand` divides its migrations, or all of them. */
static int64_t rolls_at(const struct compiler *c, const char *newer, const char *name, int64_t low,
                        int64_t high)
{
    int64_t expand = expand_of(c, newer, name);
    return expand < 0 ? high : MAX(low, MIN(expand, high));
}

/* The older release meets all up to there, the newer one all from there on. */
static bool hop_rolls(struct compiler *c, const char *from, const char *to)
{
    enum direction direction = plan_direction(c->arena, c->app, &c->spec->scheme, from, to);
    bool down = direction == DIRECTION_DOWN;
    for (size_t d = 0; d < c->app->databases.count; d++) {
        const char *name = LIST_AT(&c->app->databases, struct app_database_spec, d)->name;
        int64_t before = schema_of(c, from, name);
        int64_t after = schema_of(c, to, name);
        int64_t low = MIN(before, after);
        int64_t high = MAX(before, after);
        int64_t mid = rolls_at(c, down ? from : to, name, low, high);
        if (low < 0 || !runs_with(c, to, name, after) ||
            (low != mid && !one_range_has(c, down ? to : from, name, low, mid)) ||
            (mid != high && !one_range_has(c, down ? from : to, name, mid, high))) {
            return false;
        }
    }
    return direction != DIRECTION_NONE;
}

static bool way_rolls(struct compiler *c, const char *from, const char *to)
{
    struct strings way = {0};
    struct error e = {0};
    if (plan_path(c->arena, c->app, &c->spec->scheme, from, to, &way, &e) < 0 || way.count < 2) {
        return false;
    }
    for (size_t i = 0; i + 1 < way.count; i++) {
        if (!hop_rolls(c, way.items[i], way.items[i + 1])) {
            return false;
        }
    }
    return true;
}

/* Is everything where the first release of the way has it? */
static bool starts_whole(const struct compiler *c)
{
    const struct hop_state *first = &c->hops[0];
    for (size_t i = 0; i < c->node_count; i++) {
        const struct observed_node *seen = c->nodes[i].seen;
        if (seen == NULL || !str_equal(seen->version, first->from)) {
            return false;
        }
    }
    for (size_t d = 0; d < first->database_count; d++) {
        const struct hop_database *db = &first->databases[d];
        bool whole = db->format == FORMAT_EXTERNAL && db->count_from == db->schema_from;
        for (size_t r = 0; !whole && r < c->inventory->release_count; r++) {
            const struct known_release *known = &c->inventory->releases[r];
            for (size_t k = 0; str_equal(known->version, first->from) && k < known->database_count;
                 k++) {
                whole = whole || (str_equal(known->databases[k].name, db->app->name) &&
                                  known->databases[k].set.count == db->before.count);
            }
        }
        if (!whole) {
            return false;
        }
    }
    return true;
}

const char *detour(struct compiler *c, const char *database)
{
    const struct version_scheme *scheme = &c->spec->scheme;
    const char *best = NULL;
    if (c->path.count < 2 || !starts_whole(c)) {
        return "";
    }
    const char *from = c->path.items[0];
    const char *last = NULL; /* the one that was tried before */
    enum version_order way = version_compare(scheme, from, c->to);
    for (size_t n = 0; best == NULL && n < DETOURS_MAX; n++) {
        const char *next = NULL;
        for (size_t i = 0; i < c->app->releases.count; i++) {
            const char *v = LIST_AT(&c->app->releases, struct release_spec, i)->version;
            bool between = way != VERSION_INCOMPARABLE && version_compare(scheme, from, v) == way &&
                           version_compare(scheme, v, c->to) == way;
            if (between && (last == NULL || version_sort(scheme, v, last) < 0) &&
                (next == NULL || version_sort(scheme, v, next) > 0)) {
                next = v;
            }
        }
        if (next == NULL) {
            break;
        }
        best = way_rolls(c, from, next) && way_rolls(c, next, c->to) ? next : NULL;
        last = next;
    }
    return best == NULL
               ? ""
               : arena_printf(c->arena, " (going over %s first, which runs with %s %s, would roll)",
                              best, database, runs_with_text(c, best, database));
}
