/*
 * Owns ranges of versions and of whole numbers. A prerelease is in a range by its order alone (npm
 * asks for more): <2.0.0 holds 2.0.0-rc.1. Refuses npm's ^, ~, x and hyphen ranges, with what to
 * write instead.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/spec/version.h"
#include "lib/spec/version_dataminer.h"

enum range_operator { OP_AT_LEAST, OP_AT_MOST, OP_MORE, OP_LESS, OP_EXACTLY, OP_ANY };
enum range_track { TRACK_NONE, TRACK_MAIN, TRACK_FEATURE };

struct term {
    enum range_operator op;
    const char *version;
    bool or_before;  /* an || stands before it */
    bool whole_line; /* dataminer: `line` is meant, a major with both tracks */
    struct version_line line;
    enum range_track track; /* dataminer: all of this track, instead of all else */
};

struct range {
    struct version_scheme scheme;
    struct term terms[LIMIT_RANGE_TERMS];
    size_t count;
};

/* Walks over a range's words for both kinds of range. */
struct cursor {
    struct arena *arena;
    const char *s;
    size_t terms;
    bool dataminer; /* versions hold blanks */
};

struct word {
    enum range_operator op;
    const char *first;
    const char *last; /* of first..last; else NULL */
    bool or_before;
};

static void skip_blanks(struct cursor *c)
{
    c->s += strspn(c->s, " \t\n\r");
}

static enum range_operator take_operator(struct cursor *c)
{
    static const struct {
        const char *text;
        enum range_operator op;
    } operators[] = {
        {">=", OP_AT_LEAST}, {"<=", OP_AT_MOST}, {">", OP_MORE}, {"<", OP_LESS}, {"=", OP_EXACTLY}};
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        if (str_starts(c->s, operators[i].text)) {
            c->s += strlen(operators[i].text);
            skip_blanks(c);
            return operators[i].op;
        }
    }
    return OP_ANY;
}

static int refuse_foreign(const char *text, const char *at, struct error *e)
{
    if (*at == '^' || *at == '~') {
        return error_set(
            e, E_INVALID,
            "range \"%.200s\": %c is not known: write both ends, such as >=1.2.0 <2.0.0", text,
            *at);
    }
    if (*at == ',') {
        return error_set(e, E_INVALID, "range \"%.200s\": write a blank instead of the comma",
                         text);
    }
    if (*at == '!') {
        return error_set(e, E_INVALID, "range \"%.200s\": ! is not known: write <1.2.3 || >1.2.3",
                         text);
    }
    if (*at == '-') {
        return error_set(e, E_INVALID,
                         "range \"%.200s\": write first..last, without blanks, for both ends",
                         text);
    }
    if (*at == '|') {
        return error_set(e, E_INVALID, "range \"%.200s\": \"or\" is written ||", text);
    }
    return 0;
}

/* The next term. 1: there is one; 0: the end; negative: wrong. */
static int next_word(struct cursor *c, const char *text, struct word *ret, struct error *e)
{
    skip_blanks(c);
    bool or_before = false;
    if (str_starts(c->s, "||")) {
        if (c->terms == 0) {
            return error_set(e, E_INVALID, "range \"%.200s\": nothing stands before ||", text);
        }
        or_before = true;
        c->s += 2;
        skip_blanks(c);
    }
    if (*c->s == '\0') {
        if (c->terms == 0) {
            return error_set(e, E_INVALID, "the range is empty: write * for all");
        }
        return or_before
                   ? error_set(e, E_INVALID, "range \"%.200s\": nothing stands behind ||", text)
                   : 0;
    }
    if (++c->terms > LIMIT_RANGE_TERMS) {
        return error_set(e, E_LIMIT, "range \"%.60s...\" has more than %d terms", text,
                         LIMIT_RANGE_TERMS);
    }
    int r = refuse_foreign(text, c->s, e);
    if (r < 0) {
        return r;
    }
    enum range_operator op = take_operator(c);
    size_t len = c->dataminer ? dataminer_word(c->s) : strcspn(c->s, " \t\n\r|<>=,");
    if (len == 0) {
        return refuse_foreign(text, c->s, e) < 0
                   ? E_INVALID
                   : error_set(e, E_INVALID,
                               "range \"%.200s\": a version is missing behind its sign", text);
    }
    const char *first = arena_strndup(c->arena, c->s, len);
    c->s += len;
    if (*c->s == ',') {
        return refuse_foreign(text, c->s, e);
    }
    char *dots = strstr(first, "..");
    if (dots != NULL && op != OP_ANY) {
        return error_set(e, E_INVALID, "range \"%.200s\": first..last takes no sign before it",
                         text);
    }
    const char *last = NULL;
    if (dots != NULL) {
        *dots = '\0';
        last = dots + 2;
    }
    bool any = op == OP_ANY && strcmp(first, "*") == 0;
    *ret = (struct word){.op = any            ? OP_ANY
                               : op == OP_ANY ? OP_EXACTLY
                                              : op,
                         .first = first,
                         .last = last,
                         .or_before = or_before};
    return 1;
}

static int check_end(const struct version_scheme *scheme, const char *text, const char *version,
                     struct error *e)
{
    struct error inner = {0};
    if (version_check(scheme, version, &inner) < 0) {
        return error_set(e, E_INVALID, "range \"%.200s\": %s", text, inner.message);
    }
    return 0;
}

/* A semver behind a sign may leave out its last numbers: <10.4 is <10.4.0. Without a sign it may not: whether 10.4
 * means 10.4.0 or all of 10.4 would be a guess. */
static const char *fill_semver(struct arena *arena, const char *version)
{
    const char *digits = version[0] == 'v' ? version + 1 : version;
    size_t dots = 0;
    for (const char *s = digits; *s != '\0'; s++) {
        if (*s == '.') {
            dots++;
        } else if (*s < '0' || *s > '9') {
            return version;
        }
    }
    bool partial = digits[0] != '\0' && dots < 2 && !str_ends(version, ".");
    return partial ? arena_printf(arena, "%s%s", version, dots == 1 ? ".0" : ".0.0") : version;
}

static enum range_track track_of(const struct version_scheme *scheme, const struct word *word)
{
    if (scheme->kind != VERSION_DATAMINER || word->op != OP_EXACTLY || word->last != NULL) {
        return TRACK_NONE;
    }
    return str_equal(word->first, "main")      ? TRACK_MAIN
           : str_equal(word->first, "feature") ? TRACK_FEATURE
                                               : TRACK_NONE;
}

/* One end of a word as a term. */
static int end_term(const struct version_scheme *scheme, const char *text, enum range_operator op,
                    const char *version, struct term *ret, struct error *e)
{
    struct term term = {.op = op, .version = version};
    term.whole_line = scheme->kind == VERSION_DATAMINER &&
                      version_line_parse(scheme, UNIT_MAJOR, version, &term.line);
    int r = op == OP_ANY || term.whole_line ? 0 : check_end(scheme, text, version, e);
    if (r == 0) {
        *ret = term;
    }
    return r;
}

static bool wrong_way_round(const struct version_scheme *scheme, const struct term *first,
                            const struct term *last)
{
    struct version_line a = first->line;
    struct version_line b = last->line;
    if (!first->whole_line && !last->whole_line) {
        return version_compare(scheme, first->version, last->version) == VERSION_GREATER;
    }
    return (first->whole_line || version_line(scheme, UNIT_MAJOR, first->version, &a)) &&
           (last->whole_line || version_line(scheme, UNIT_MAJOR, last->version, &b)) &&
           version_line_compare(&a, &b) > 0;
}

static int add_word(struct range *range, const char *text, const struct word *word, struct error *e)
{
    const struct version_scheme *scheme = &range->scheme;
    struct term first = {.op = OP_ANY, .track = track_of(scheme, word)};
    struct term last = {0};
    int r = first.track != TRACK_NONE
                ? 0
                : end_term(scheme, text, word->last != NULL ? OP_AT_LEAST : word->op, word->first,
                           &first, e);
    if (r == 0 && word->last != NULL) {
        r = end_term(scheme, text, OP_AT_MOST, word->last, &last, e);
    }
    if (r < 0) {
        return r;
    }
    if (word->last != NULL && wrong_way_round(scheme, &first, &last)) {
        return error_set(e, E_INVALID, "range \"%.200s\" holds nothing: %s comes after %s", text,
                         word->first, word->last);
    }
    size_t wanted = word->last != NULL ? 2 : 1;
    if (range->count + wanted > LIMIT_RANGE_TERMS) {
        return error_set(e, E_LIMIT, "range \"%.60s...\" has more than %d terms", text,
                         LIMIT_RANGE_TERMS);
    }
    first.or_before = word->or_before;
    range->terms[range->count++] = first;
    if (word->last != NULL) {
        range->terms[range->count++] = last;
    }
    return 0;
}

int range_parse(struct arena *arena, const struct version_scheme *scheme, const char *text,
                const struct range **ret_range, struct error *e)
{
    struct range *range = ARENA_NEW(arena, struct range);
    range->scheme = *scheme;
    struct cursor c = {.arena = arena, .s = text, .dataminer = scheme->kind == VERSION_DATAMINER};
    struct word word = {0};
    int r;
    while ((r = next_word(&c, text, &word, e)) > 0) {
        bool sign = word.op != OP_ANY && word.op != OP_EXACTLY;
        if (sign && scheme->kind == VERSION_SEMVER) {
            word.first = fill_semver(arena, word.first);
        }
        r = add_word(range, text, &word, e);
        if (r < 0) {
            return r;
        }
    }
    if (r < 0) {
        return r;
    }
    *ret_range = range;
    return 0;
}

static enum version_order order_of_line(const struct version_scheme *scheme, const char *version,
                                        const struct version_line *line)
{
    struct version_line own;
    if (!version_line(scheme, UNIT_MAJOR, version, &own)) {
        return VERSION_INCOMPARABLE;
    }
    int order = version_line_compare(&own, line);
    return order < 0 ? VERSION_LESS : order > 0 ? VERSION_GREATER : VERSION_EQUAL;
}

static bool on_track(const char *version, enum range_track track)
{
    struct dataminer v = {0};
    return dataminer_parse(version, &v) == NULL && dataminer_is_main(&v) == (track == TRACK_MAIN);
}

static bool term_holds(const struct version_scheme *scheme, const struct term *term,
                       const char *version)
{
    if (term->op == OP_ANY) {
        return term->track == TRACK_NONE || on_track(version, term->track);
    }
    enum version_order order = term->whole_line ? order_of_line(scheme, version, &term->line)
                                                : version_compare(scheme, version, term->version);
    if (order == VERSION_INCOMPARABLE) {
        return false;
    }
    switch (term->op) {
    case OP_AT_LEAST:
        return order != VERSION_LESS;
    case OP_AT_MOST:
        return order != VERSION_GREATER;
    case OP_MORE:
        return order == VERSION_GREATER;
    case OP_LESS:
        return order == VERSION_LESS;
    case OP_EXACTLY:
        return order == VERSION_EQUAL;
    case OP_ANY:
        break;
    }
    return true;
}

bool range_has(const struct range *range, const char *version)
{
    if (version_check(&range->scheme, version, NULL) < 0) {
        return false;
    }
    bool holds = true;
    for (size_t i = 0; i < range->count; i++) {
        if (range->terms[i].or_before) {
            if (holds) {
                return true;
            }
            holds = true;
        }
        holds = holds && term_holds(&range->scheme, &range->terms[i], version);
    }
    return holds;
}

/* ---- whole numbers ---- */

static int take_whole(const char *text, const char *number, int64_t *ret, struct error *e)
{
    uint64_t value;
    if (!str_to_u64(number, INT64_MAX - 1, &value)) {
        return error_set(e, E_INVALID, "range \"%.200s\": \"%.60s\" is not a whole number", text,
                         number);
    }
    *ret = (int64_t)value;
    return 0;
}

static int word_bounds(const char *text, const struct word *word, struct int_range *ret,
                       struct error *e)
{
    int64_t first = 0;
    int64_t last = 0;
    int r = word->op == OP_ANY ? 0 : take_whole(text, word->first, &first, e);
    if (r == 0 && word->last != NULL) {
        r = take_whole(text, word->last, &last, e);
    }
    if (r < 0) {
        return r;
    }
    switch (word->op) {
    case OP_AT_LEAST:
        *ret = (struct int_range){first, INT64_MAX};
        break;
    case OP_AT_MOST:
        *ret = (struct int_range){0, first};
        break;
    case OP_MORE:
        *ret = (struct int_range){first + 1, INT64_MAX};
        break;
    case OP_LESS:
        *ret = (struct int_range){0, first - 1};
        break;
    case OP_EXACTLY:
        *ret = (struct int_range){first, word->last != NULL ? last : first};
        break;
    case OP_ANY:
        *ret = (struct int_range){0, INT64_MAX};
        break;
    }
    return 0;
}

int int_ranges_parse(struct arena *arena, const char *text, struct int_ranges *ret, struct error *e)
{
    struct int_ranges ranges = {.items = ARENA_ARRAY(arena, LIMIT_RANGE_TERMS, struct int_range)};
    struct cursor c = {.arena = arena, .s = text};
    struct word word = {0};
    int r;
    while ((r = next_word(&c, text, &word, e)) > 0) {
        struct int_range bounds;
        r = word_bounds(text, &word, &bounds, e);
        if (r < 0) {
            return r;
        }
        if (ranges.count == 0 || word.or_before) {
            ranges.items[ranges.count++] = bounds;
        } else {
            struct int_range *both = &ranges.items[ranges.count - 1];
            *both = (struct int_range){MAX(both->from, bounds.from), MIN(both->to, bounds.to)};
        }
        if (ranges.items[ranges.count - 1].from > ranges.items[ranges.count - 1].to) {
            return error_set(e, E_INVALID,
                             "range \"%.200s\" holds nothing: its ends are the wrong way round",
                             text);
        }
    }
    if (r < 0) {
        return r;
    }
    *ret = ranges;
    return 0;
}

bool int_ranges_have(const struct int_ranges *ranges, int64_t value)
{
    for (size_t i = 0; i < ranges->count; i++) {
        if (value >= ranges->items[i].from && value <= ranges->items[i].to) {
            return true;
        }
    }
    return false;
}
