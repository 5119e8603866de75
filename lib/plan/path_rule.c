/*
 * Owns what one rule of `paths:` says of one hop, and how it is told. All ranges and numbers are looked up once for
 * each release, so that a way over thousands of releases asks no text twice.
 */
#include <stdlib.h>

#include "lib/base/str.h"
#include "lib/plan/path.h"

#define TOLD_MAX 4 /* releases and lines that one refusal names */

/* ---- reading ---- */

static int read_range(struct walk *w, const char *text, bool **ret, struct error *e)
{
    const struct range *range;
    if (text == NULL) {
        return 0;
    }
    int r = range_parse(w->arena, w->scheme, text, &range, e);
    if (r < 0) {
        return r;
    }
    *ret = ARENA_ARRAY(w->arena, w->count, bool);
    for (size_t i = 0; i < w->count; i++) {
        (*ret)[i] = range_has(range, w->stops[i].version);
    }
    return 0;
}

static int by_line(const void *a, const void *b)
{
    return version_line_compare(a, b);
}

/* Every release there is says how far the numbers of its first one go: 3.43 is the last of 3 where no 3.44 is listed. */
static void read_tops(struct walk *w, struct path_rule_state *rule)
{
    const struct list *releases = &w->app->releases;
    struct version_line *lines = ARENA_ARRAY(w->arena, releases->count, struct version_line);
    size_t count = 0;
    for (size_t i = 0; i < releases->count; i++) {
        const char *version = LIST_AT(releases, struct release_spec, i)->version;
        count += version_line(w->scheme, rule->unit, version, &lines[count]) ? 1 : 0;
    }
    qsort(lines, count, sizeof(*lines), by_line);
    rule->tops = lines;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || lines[i + 1].major != lines[i].major) {
            rule->tops[rule->top_count++] = lines[i];
        }
    }
}

/* The number of lines below this one, where every number counts. A first number without a release counts as one line. */
static int64_t position(const struct path_rule_state *rule, const struct version_line *line)
{
    if (line->minor < 0) {
        return line->major;
    }
    int64_t at = line->major + line->minor;
    for (size_t i = 0; i < rule->top_count && rule->tops[i].major < line->major; i++) {
        at += rule->tops[i].minor;
    }
    return at;
}

static struct path_place place_of(const struct path_rule_state *rule,
                                  const struct version_line *line)
{
    struct path_place place = {0, 0};
    if (rule->lines == NULL) {
        place.below = position(rule, line);
        place.passed = place.below + 1;
        return place;
    }
    for (size_t i = 0; i < rule->line_count; i++) {
        int order = version_line_compare(&rule->lines[i], line);
        place.below += order < 0 ? 1 : 0;
        place.passed += order <= 0 ? 1 : 0;
    }
    return place;
}

static void read_lines(struct walk *w, struct path_rule_state *rule)
{
    const struct strings *texts = &rule->spec->lines;
    if (texts->count > 0) {
        rule->lines = ARENA_ARRAY(w->arena, texts->count, struct version_line);
    }
    for (size_t i = 0; i < texts->count; i++) {
        rule->line_count += version_line_parse(w->scheme, rule->unit, texts->items[i],
                                               &rule->lines[rule->line_count])
                                ? 1
                                : 0;
    }
    if (rule->lines != NULL) {
        qsort(rule->lines, rule->line_count, sizeof(*rule->lines), by_line);
        size_t kept = 0;
        for (size_t i = 0; i < rule->line_count; i++) {
            if (kept == 0 || by_line(&rule->lines[kept - 1], &rule->lines[i]) != 0) {
                rule->lines[kept++] = rule->lines[i];
            }
        }
        rule->line_count = kept;
    } else {
        read_tops(w, rule);
    }
    rule->places = ARENA_ARRAY(w->arena, w->count, struct path_place);
    for (size_t i = 0; i < w->count; i++) {
        struct version_line line = {0, -1};
        rule->counts = version_line(w->scheme, rule->unit, w->stops[i].version, &line);
        rule->places[i] = place_of(rule, &line);
    }
}

int path_rules_read(struct walk *w, const struct list *specs, struct error *e)
{
    w->rules = ARENA_ARRAY(w->arena, specs->count, struct path_rule_state);
    w->rule_count = specs->count;
    for (size_t i = 0; i < specs->count; i++) {
        const struct path_rule *spec = LIST_AT(specs, const struct path_rule, i);
        struct path_rule_state *rule = &w->rules[i];
        const char *direction = w->up ? "paths.up" : "paths.down";
        rule->spec = spec;
        rule->key = specs->count > 1 ? arena_printf(w->arena, "%s[%zu]", direction, i) : direction;
        bool minors = spec->visit == VISIT_EACH_MINOR || spec->minors_at_most > 0;
        rule->unit = minors ? UNIT_MINOR : UNIT_MAJOR;
        rule->at_most = spec->visit != VISIT_ANY ? 1
                        : minors                 ? spec->minors_at_most
                                                 : spec->majors_at_most;
        if (rule->at_most > 0) {
            read_lines(w, rule);
        }
        int r = read_range(w, spec->hop_from, &rule->from, e);
        r = r < 0 ? r : read_range(w, spec->hop_to, &rule->to, e);
        r = r < 0 ? r : read_range(w, spec->via, &rule->via, e);
        r = r < 0 ? r : read_range(w, spec->skip, &rule->skip, e);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- asking ---- */

bool path_farther(const struct walk *w, size_t a, size_t b)
{
    if (w->scheme->kind != VERSION_DATAMINER) {
        return w->up ? a < b : a > b; /* the order is total, and no two releases are equal */
    }
    return version_compare(w->scheme, w->stops[a].version, w->stops[b].version) ==
           (w->up ? VERSION_LESS : VERSION_GREATER);
}

static bool speaks_of(const struct path_rule_state *rule, size_t a, size_t b)
{
    return (rule->from == NULL || rule->from[a]) && (rule->to == NULL || rule->to[b]);
}

/* How many lines lie strictly between. */
static int64_t lines_between(const struct walk *w, const struct path_rule_state *rule, size_t a,
                             size_t b)
{
    size_t low = w->up ? a : b;
    size_t high = w->up ? b : a;
    return rule->places[high].below - rule->places[low].passed;
}

static bool is_too_long(const struct walk *w, const struct path_rule_state *rule, size_t a,
                        size_t b)
{
    return rule->counts && speaks_of(rule, a, b) &&
           lines_between(w, rule, a, b) > rule->at_most - 1;
}

static const char *tell_too_long(const struct walk *w, const struct path_rule_state *rule, size_t a,
                                 size_t b)
{
    const char *unit = rule->unit == UNIT_MAJOR ? "major" : "minor";
    const char *from = w->stops[a].version;
    const char *to = w->stops[b].version;
    if (rule->spec->visit != VISIT_ANY) {
        return arena_printf(w->arena, "%s to %s must visit each %s (%s.visit)", from, to, unit,
                            rule->key);
    }
    return arena_printf(w->arena, "%s to %s: %s.at_most allows %lld %s%s in one hop", from, to,
                        rule->key, (long long)rule->at_most, unit, rule->at_most == 1 ? "" : "s");
}

static const char *rule_refusal(const struct walk *w, const struct path_rule_state *rule, size_t a,
                                size_t b, bool quiet)
{
    const char *to = w->stops[b].version;
    if (is_too_long(w, rule, a, b)) {
        return quiet ? "" : tell_too_long(w, rule, a, b);
    }
    if (!speaks_of(rule, a, b)) {
        return NULL;
    }
    if (rule->skip != NULL && rule->skip[b] && b != w->last) {
        return quiet ? ""
                     : arena_printf(w->arena, "%s is no stop on a way (%s.skip: %s)", to, rule->key,
                                    rule->spec->skip);
    }
    if (rule->via != NULL && !rule->via[b]) {
        return quiet ? ""
                     : arena_printf(w->arena, "%s to %s: the way goes to %s first (%s.via)",
                                    w->stops[a].version, to, rule->spec->via, rule->key);
    }
    return NULL;
}

const char *path_refusal(const struct walk *w, size_t a, size_t b, bool quiet)
{
    if (w->stops[b].forbidden) {
        return quiet ? ""
                     : arena_printf(w->arena, "%s must not be installed (paths.forbidden)",
                                    w->stops[b].version);
    }
    for (size_t i = 0; i < w->rule_count; i++) {
        const char *refusal = rule_refusal(w, &w->rules[i], a, b, quiet);
        if (refusal != NULL) {
            return refusal;
        }
    }
    for (size_t i = 0; i < w->count; i++) {
        if (w->stops[i].required && path_farther(w, a, i) && path_farther(w, i, b)) {
            return quiet ? ""
                         : arena_printf(w->arena, "%s to %s must visit %s (paths.required)",
                                        w->stops[a].version, w->stops[b].version,
                                        w->stops[i].version);
        }
    }
    return NULL;
}

/* ---- what is missing ---- */

static const char *line_text(const struct walk *w, const struct version_line *line)
{
    return line->minor < 0 ? arena_printf(w->arena, "%lld", (long long)line->major)
                           : arena_printf(w->arena, "%lld.%lld", (long long)line->major,
                                          (long long)line->minor);
}

/* The one above, where every number counts. */
static struct version_line line_after(const struct path_rule_state *rule, struct version_line line)
{
    if (line.minor < 0) {
        return (struct version_line){line.major + 1, -1};
    }
    for (size_t i = 0; i < rule->top_count; i++) {
        if (rule->tops[i].major == line.major && rule->tops[i].minor > line.minor) {
            return (struct version_line){line.major, line.minor + 1};
        }
    }
    return (struct version_line){line.major + 1, 0};
}

static bool has_stop(const struct walk *w, const struct path_rule_state *rule,
                     const struct version_line *line)
{
    for (size_t i = 0; i < w->count; i++) {
        struct version_line own;
        if (version_line(w->scheme, rule->unit, w->stops[i].version, &own) &&
            version_line_compare(&own, line) == 0) {
            return true;
        }
    }
    return false;
}

/* The lines between a and the end of which no release is listed; NULL: each has one. */
static const char *missing_lines(const struct walk *w, const struct path_rule_state *rule, size_t a)
{
    struct version_line low;
    struct version_line high;
    struct strings missing = {0};
    if (!version_line(w->scheme, rule->unit, w->stops[w->up ? a : w->last].version, &low) ||
        !version_line(w->scheme, rule->unit, w->stops[w->up ? w->last : a].version, &high)) {
        return NULL;
    }
    struct version_line line = rule->lines == NULL ? line_after(rule, low) : low;
    for (size_t i = 0; i < LIMIT_RELEASES && missing.count <= TOLD_MAX; i++) {
        if (rule->lines != NULL && i == rule->line_count) {
            break;
        }
        line = rule->lines != NULL ? rule->lines[i] : line;
        bool between =
            version_line_compare(&line, &low) > 0 && version_line_compare(&line, &high) < 0;
        if (rule->lines == NULL && !between) {
            break;
        }
        if (between && !has_stop(w, rule, &line)) {
            strings_push(w->arena, &missing,
                         missing.count == TOLD_MAX ? "more" : line_text(w, &line));
        }
        line = rule->lines == NULL ? line_after(rule, line) : line;
    }
    return missing.count == 0 ? NULL : str_join(w->arena, missing.items, missing.count);
}

/* Some releases on the way and why none of them helps. */
const char *path_unfit(const struct walk *w, size_t a)
{
    struct strings told = {0};
    for (size_t n = 0; n < w->count && told.count < TOLD_MAX; n++) {
        size_t i = w->up ? n : w->count - 1 - n;
        if (i == w->last || !path_farther(w, a, i) || !path_farther(w, i, w->last)) {
            continue;
        }
        const char *refusal = path_refusal(w, a, i, false);
        if (refusal != NULL && !strings_have(&told, refusal)) {
            strings_push(w->arena, &told, refusal);
        }
    }
    return told.count == 0 ? "no release between them is listed"
                           : arena_printf(w->arena, "of those between them, %s",
                                          str_join(w->arena, told.items, told.count));
}

const char *path_missing(const struct walk *w, size_t a)
{
    if (a == w->last) {
        return NULL;
    }
    for (size_t i = 0; i < w->rule_count; i++) {
        const struct path_rule_state *rule = &w->rules[i];
        if (is_too_long(w, rule, a, w->last)) {
            const char *lines = missing_lines(w, rule, a);
            if (lines != NULL) {
                return arena_printf(w->arena, "%s: no release of %s is listed",
                                    tell_too_long(w, rule, a, w->last), lines);
            }
        }
        bool via = rule->via != NULL && speaks_of(rule, a, w->last) && !rule->via[w->last];
        bool there = false;
        for (size_t s = 0; via && s < w->count; s++) {
            there = there || (rule->via[s] && path_farther(w, a, s));
        }
        if (via && !there) {
            return arena_printf(w->arena, "%s: no release %s is listed between them",
                                rule_refusal(w, rule, a, w->last, false), rule->spec->via);
        }
    }
    return NULL;
}
