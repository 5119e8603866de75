/*
 * Versions and ranges. A scheme says how a version is written and ordered; a version keeps the text
 * as the user wrote it. Two versions of one scheme may be incomparable (releases that a `listed`
 * scheme does not list; the two tracks of DataMiner inside of one major).
 *
 *   semver     1.2.3, v1.2.3, 1.2.3-rc.1, +build ignored in order https://semver.org/spec/v2.0.0.html
 *   dotted     1, 1.2, 1.2.3.4 (numbers; missing parts are 0), an optional leading v, an optional
 *              -suffix that sorts before
 *   listed     the order in which an Application lists its releases
 *   dataminer  10.3.0 [CU5], 10.3.8, 10.5.2.0 - 15323: see version_dataminer.h
 *
 * Ranges: `>=10.3.8 <10.4` (all hold), `10.3.4..10.3.7` (both ends included), `a || b` (either),
 * `=1.2.3` or `1.2.3` (exactly), `*` (all). Behind a sign a semver may leave out its last numbers: `<10.4` is
 * `<10.4.0`. In dataminer `10.4` is the whole major: `<10.4` is all below it, `>=10.4` all of it and above, on both tracks;
 * `main` and `feature` are the tracks. Source of the words: docs/SPEC.md ("Ranges"), npm's range grammar without ^ and ~.
 *
 * Decided: a prerelease is in a range by its order alone (<2.0.0 holds 2.0.0-rc.1; npm asks for more). Prerelease
 * numbers have no limit, all other numbers must fit 64 bits. A dotted suffix is ordered naturally: rc9 before rc10.
 */
#ifndef LOCKSTEP_SPEC_VERSION_H
#define LOCKSTEP_SPEC_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

enum version_scheme_kind {
    VERSION_SEMVER,
    VERSION_DOTTED,
    VERSION_LISTED,
    VERSION_DATAMINER,
};

struct version_scheme {
    enum version_scheme_kind kind;
    const char *const *listed; /* VERSION_LISTED: oldest first; borrowed */
    size_t listed_count;
};

enum version_order {
    VERSION_LESS = -1,
    VERSION_EQUAL = 0,
    VERSION_GREATER = 1,
    VERSION_INCOMPARABLE = 2,
};

/* "semver", "dotted", "listed", "dataminer"; NULL-terminated, in the order of the enum. */
extern const char *const version_scheme_words[];

/* 0 when `text` is a version of the scheme; else E_INVALID with what is wrong and an example of a
 * right one. */
int version_check(const struct version_scheme *scheme, const char *text, struct error *e);
/* Both must have passed version_check(); others are incomparable. */
enum version_order version_compare(const struct version_scheme *scheme, const char *a,
                                   const char *b);
/* A total order for sorting, -1, 0 or 1: what version_compare() says where it says something; incomparable ones are
 * set apart by their texts or tracks. Both must have passed version_check(). */
int version_sort(const struct version_scheme *scheme, const char *a, const char *b);

/* What a rule on majors or minors counts: the major of 10.3.8 is 10, its minor 10.3. DataMiner's majors are
 * pairs already (10.3), and it has no minors. */
enum version_unit { UNIT_MAJOR, UNIT_MINOR };
struct version_line {
    int64_t major;
    int64_t minor; /* -1: the line is one number */
};
/* False where the scheme has no such unit. Numbers beyond VERSION_LINE_MAX count as that. */
#define VERSION_LINE_MAX INT64_C(100000000000000)
bool version_line(const struct version_scheme *scheme, enum version_unit unit, const char *version,
                  struct version_line *ret);
/* The line as a rule writes it: "10", "10.3". False when the text is none of the unit. */
bool version_line_parse(const struct version_scheme *scheme, enum version_unit unit,
                        const char *text, struct version_line *ret);
/* -1, 0, 1 */
int version_line_compare(const struct version_line *a, const struct version_line *b);

struct range; /* arena-owned */
int range_parse(struct arena *arena, const struct version_scheme *scheme, const char *text,
                const struct range **ret_range, struct error *e);
/* An incomparable bound does not hold. */
bool range_has(const struct range *range, const char *version);

/* A range of whole numbers ("126..128", "128", ">=126", "126..128 || 130"): schemas in runs_with.
 */
struct int_range {
    int64_t from, to; /* both included */
};
struct int_ranges {
    struct int_range *items;
    size_t count;
};
int int_ranges_parse(struct arena *arena, const char *text, struct int_ranges *ret,
                     struct error *e);
bool int_ranges_have(const struct int_ranges *ranges, int64_t value);

#endif
