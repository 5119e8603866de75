/*
 * The way over releases against a model that shares nothing with it: versions are numbers, a way is any subset of the
 * releases between the ends, and every subset is tried. Random releases and rules; a failure prints its seed, and
 * LOCKSTEP_SEED repeats it.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/plan/plan.h"

#define CASES        3000
#define RELEASES_MAX 11
#define RULES_MAX    3

static uint64_t state_of_random;

static uint64_t any(uint64_t below)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return state_of_random % below;
}

static bool one_in(uint64_t n)
{
    return any(n) == 0;
}

/* ---- the model ---- */

struct number {
    int x, y, z; /* dataminer: z 0 is the main track, with its CU in `cu` */
    int cu;
};

/* All of [low, high]; with_low and so on are never needed: both ends are inside. */
struct bounds {
    bool given;
    struct number low, high;
};

struct rule {
    struct bounds from, to, via, skip;
    int each; /* 0: does not count; 1: majors; 2: minors */
    int at_most;
    bool visit;   /* written as visit:, then at_most is 1 */
    int lines[8]; /* x * 100 + y, or x alone where a line is one number */
    int line_count;
};

struct world {
    bool dataminer;
    struct number releases[RELEASES_MAX];
    bool forbidden[RELEASES_MAX], required[RELEASES_MAX];
    int count;
    int from, to;
    struct rule up[RULES_MAX], down[RULES_MAX];
    int up_count, down_count;
};

enum model_order { BELOW, SAME, ABOVE, BESIDE };

static enum model_order order_of(const struct world *w, struct number a, struct number b)
{
    long p = a.x * 100L + a.y;
    long q = b.x * 100L + b.y;
    if (p == q && w->dataminer && (a.z == 0) != (b.z == 0)) {
        return BESIDE;
    }
    p = p * 10000 + a.z * 100 + a.cu;
    q = q * 10000 + b.z * 100 + b.cu;
    return p < q ? BELOW : p > q ? ABOVE : SAME;
}

static bool is_in(const struct world *w, const struct bounds *b, struct number v)
{
    enum model_order low = order_of(w, v, b->low);
    enum model_order high = order_of(w, v, b->high);
    return (low == SAME || low == ABOVE) && (high == SAME || high == BELOW);
}

static bool one_number(const struct world *w, const struct rule *r)
{
    return !w->dataminer && r->each == 1;
}

static int line_of(const struct world *w, const struct rule *r, struct number v)
{
    return one_number(w, r) ? v.x : v.x * 100 + v.y;
}

/* Walks from line to line, one number at a time. */
static int lines_passed(const struct world *w, const struct rule *r, struct number low,
                        struct number high)
{
    int a = line_of(w, r, low);
    int b = line_of(w, r, high);
    int passed = 0;
    if (r->line_count > 0) {
        for (int i = 0; i < r->line_count; i++) {
            bool again = false;
            for (int j = 0; j < i; j++) {
                again = again || r->lines[j] == r->lines[i];
            }
            passed += !again && r->lines[i] > a && r->lines[i] < b ? 1 : 0;
        }
        return passed;
    }
    while (a < b) {
        int top = 0;
        for (int i = 0; i < w->count; i++) {
            if (w->releases[i].x == a / 100 && w->releases[i].y > top) {
                top = w->releases[i].y;
            }
        }
        a = one_number(w, r) ? a + 1 : a % 100 < top ? a + 1 : (a / 100 + 1) * 100;
        passed += a < b ? 1 : 0;
    }
    return passed;
}

static bool hop_is_allowed(const struct world *w, bool up, int a, int b)
{
    const struct rule *rules = up ? w->up : w->down;
    int count = up ? w->up_count : w->down_count;
    struct number from = w->releases[a];
    struct number to = w->releases[b];
    if (order_of(w, from, to) != (up ? BELOW : ABOVE) || w->forbidden[b]) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const struct rule *r = &rules[i];
        if ((r->from.given && !is_in(w, &r->from, from)) ||
            (r->to.given && !is_in(w, &r->to, to))) {
            continue;
        }
        if ((r->skip.given && b != w->to && is_in(w, &r->skip, to)) ||
            (r->via.given && !is_in(w, &r->via, to)) ||
            (r->each != 0 && lines_passed(w, r, up ? from : to, up ? to : from) >= r->at_most)) {
            return false;
        }
    }
    for (int i = 0; i < w->count; i++) {
        if (w->required[i] && order_of(w, from, w->releases[i]) == (up ? BELOW : ABOVE) &&
            order_of(w, w->releases[i], to) == (up ? BELOW : ABOVE)) {
            return false;
        }
    }
    return true;
}

/* Which of two stops is the newer one; inside of a major a Main Release is. */
static bool is_newer(const struct world *w, int a, int b)
{
    enum model_order order = order_of(w, w->releases[a], w->releases[b]);
    return order == ABOVE || (order == BESIDE && w->releases[a].z == 0);
}

struct found {
    int stops[RELEASES_MAX];
    int count; /* with both ends; 0: there is no way */
};

static bool is_better(const struct world *w, const struct found *a, const struct found *b)
{
    if (b->count == 0 || a->count != b->count) {
        return b->count == 0 || a->count < b->count;
    }
    for (int i = 0; i < a->count; i++) {
        if (a->stops[i] != b->stops[i]) {
            return is_newer(w, a->stops[i], b->stops[i]);
        }
    }
    return false;
}

static struct found model_way(const struct world *w, bool up)
{
    struct found best = {.count = 0};
    int order[RELEASES_MAX]; /* every release, the one that a way meets first in front */
    for (int i = 0; i < w->count; i++) {
        int at = i;
        for (; at > 0 && is_newer(w, i, order[at - 1]) != up; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (unsigned chosen = 0; chosen < 1U << w->count; chosen++) {
        struct found way = {.stops = {w->from}, .count = 1};
        bool allowed = (chosen >> w->from & 1) == 0 && (chosen >> w->to & 1) == 0;
        for (int i = 0; allowed && i <= w->count; i++) {
            int next = i < w->count ? order[i] : w->to;
            if (i == w->count || (chosen >> next & 1) != 0) {
                allowed = hop_is_allowed(w, up, way.stops[way.count - 1], next);
                way.stops[way.count++] = next;
            }
        }
        if (allowed && is_better(w, &way, &best)) {
            best = way;
        }
    }
    return best;
}

/* ---- a random world, and as YAML ---- */

static struct number random_number(bool dataminer)
{
    struct number n = {(int)any(4) + 1, (int)any(3), (int)any(3), 0};
    if (dataminer) {
        n.x = (int)any(2) + 9;
        n.y = (int)any(4);
        n.cu = n.z == 0 ? (int)any(3) : 0;
    }
    return n;
}

static struct bounds random_bounds(const struct world *w, uint64_t rarely)
{
    struct bounds b = {.given = one_in(rarely)};
    do {
        b.low = w->releases[any((uint64_t)w->count)];
        b.high = w->releases[any((uint64_t)w->count)];
    } while (order_of(w, b.low, b.high) == ABOVE);
    return b;
}

static struct rule random_rule(const struct world *w)
{
    struct rule r = {.from = random_bounds(w, 3),
                     .to = random_bounds(w, 3),
                     .via = random_bounds(w, 3),
                     .skip = random_bounds(w, 3),
                     .each = (int)any(3)};
    r.each = w->dataminer && r.each == 2 ? 1 : r.each;
    r.visit = one_in(2);
    r.at_most = r.visit ? 1 : (int)any(2) + 1;
    if (r.each != 0 && one_in(3)) {
        for (int i = 0; i < w->count && r.line_count < 4; i++) {
            r.lines[r.line_count++] = line_of(w, &r, w->releases[any((uint64_t)w->count)]);
        }
    }
    return r;
}

static struct world random_world(void)
{
    struct world w = {.dataminer = one_in(2)};
    int wanted = (int)any(RELEASES_MAX - 2) + 3;
    for (int i = 0; i < wanted; i++) {
        struct number n = random_number(w.dataminer);
        bool there = false;
        for (int j = 0; j < w.count; j++) {
            there = there || order_of(&w, n, w.releases[j]) == SAME;
        }
        if (!there) {
            w.forbidden[w.count] = one_in(12);
            w.required[w.count] = !w.forbidden[w.count] && one_in(12);
            w.releases[w.count++] = n;
        }
    }
    w.from = (int)any((uint64_t)w.count);
    w.to = (int)any((uint64_t)w.count);
    w.up_count = (int)any(RULES_MAX + 1);
    w.down_count = (int)any(RULES_MAX + 1);
    for (int i = 0; i < RULES_MAX; i++) {
        w.up[i] = random_rule(&w);
        w.down[i] = random_rule(&w);
    }
    return w;
}

static const char *text_of(struct arena *a, const struct world *w, struct number n)
{
    if (w->dataminer && n.z == 0 && n.cu > 0) {
        return arena_printf(a, "%d.%d.0 [CU%d]", n.x, n.y, n.cu);
    }
    return arena_printf(a, "%d.%d.%d", n.x, n.y, n.z);
}

static void write_bounds(struct buf *b, struct arena *a, const struct world *w, const char *key,
                         const struct bounds *bounds)
{
    if (bounds->given) {
        buf_printf(b, ", %s: \"%s..%s\"", key, text_of(a, w, bounds->low),
                   text_of(a, w, bounds->high));
    }
}

static void write_rules(struct buf *b, struct arena *a, const struct world *w, const char *key,
                        const struct rule *rules, int count)
{
    buf_printf(b, "  %s:%s\n", key, count == 0 ? " []" : "");
    for (int i = 0; i < count; i++) {
        const struct rule *r = &rules[i];
        const char *unit = r->each == 1 ? "major" : "minor";
        const char *to = r->to.given ? arena_printf(a, "%s..%s", text_of(a, w, r->to.low),
                                                    text_of(a, w, r->to.high))
                                     : "*";
        buf_printf(b, "    - { hop_to: \"%s\"", to);
        write_bounds(b, a, w, "hop_from", &r->from);
        write_bounds(b, a, w, "via", &r->via);
        write_bounds(b, a, w, "skip", &r->skip);
        if (r->each != 0 && r->visit) {
            buf_printf(b, ", visit: each-%s", unit);
        } else if (r->each != 0) {
            buf_printf(b, ", at_most: { %ss: %d }", unit, r->at_most);
        }
        for (int l = 0; l < r->line_count; l++) {
            int line = r->lines[l];
            buf_puts(b, l == 0 ? ", lines: [" : ", ");
            if (one_number(w, r)) {
                buf_printf(b, "\"%d\"", line);
            } else {
                buf_printf(b, "\"%d.%d\"", line / 100, line % 100);
            }
            buf_puts(b, l + 1 == r->line_count ? "]" : "");
        }
        buf_puts(b, " }\n");
    }
}

static void write_marked(struct buf *b, struct arena *a, const struct world *w, const char *key,
                         const bool *marked)
{
    buf_printf(b, "  %s: [", key);
    const char *comma = "";
    for (int i = 0; i < w->count; i++) {
        if (marked[i]) {
            buf_printf(b, "%s\"%s\"", comma, text_of(a, w, w->releases[i]));
            comma = ", ";
        }
    }
    buf_puts(b, "]\n");
}

static const char *yaml_of(struct arena *a, const struct world *w)
{
    struct buf b;
    buf_init(&b, a, 65536);
    buf_printf(&b,
               "lockstep: 1\nkind: Application\nname: any\nversions: %s\n"
               "layout: { path: /opt/any }\nservice: { systemd: any }\nreleases:\n",
               w->dataminer ? "dataminer" : "semver");
    for (int i = 0; i < w->count; i++) {
        buf_printf(&b, "  - { version: \"%s\" }\n", text_of(a, w, w->releases[i]));
    }
    buf_puts(&b, "paths:\n");
    write_rules(&b, a, w, "up", w->up, w->up_count);
    write_rules(&b, a, w, "down", w->down, w->down_count);
    write_marked(&b, a, w, "forbidden", w->forbidden);
    write_marked(&b, a, w, "required", w->required);
    return buf_text(&b);
}

/* ---- the comparison ---- */

static const char *model_text(struct arena *a, const struct world *w)
{
    enum model_order order = order_of(w, w->releases[w->from], w->releases[w->to]);
    struct found way = {.stops = {w->to}, .count = w->from == w->to && !w->forbidden[w->to]};
    if (order == BELOW || order == ABOVE) {
        way = model_way(w, order == BELOW);
    }
    struct buf b;
    buf_init(&b, a, 4096);
    for (int i = 0; i < way.count; i++) {
        buf_printf(&b, "%s%s", i > 0 ? " > " : "", text_of(a, w, w->releases[way.stops[i]]));
    }
    return way.count == 0 ? "no way" : buf_text(&b);
}

static const char *found_text(struct arena *a, const struct world *w, const char *yaml,
                              struct error *e)
{
    struct spec spec = {0};
    struct complaints complaints;
    struct plan_way way = {0};
    struct spec_file file = {"application.yaml", yaml, strlen(yaml)};
    complaints_init(&complaints, a);
    if (spec_read(a, &file, 1, &spec, &complaints) < 0) {
        fail_msg("%s\n%s", complaints.items[0].message, yaml);
    }
    if (plan_way(a, spec.application, &spec.scheme, text_of(a, w, w->releases[w->from]),
                 text_of(a, w, w->releases[w->to]), &way, e) < 0) {
        return "no way";
    }
    struct buf b;
    buf_init(&b, a, 4096);
    for (size_t i = 0; i < way.releases.count; i++) {
        bool inside = i > 0 && i + 1 < way.releases.count;
        buf_printf(&b, "%s%s", i > 0 ? " > " : "", way.releases.items[i]);
        assert_true(inside == (way.reasons.items[i][0] != '\0'));
    }
    return buf_text(&b);
}

static void finds_the_way_that_the_model_finds(void **state UNUSED)
{
    const char *given = getenv("LOCKSTEP_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    size_t ways = 0;
    size_t refused = 0;
    size_t long_ones = 0;
    print_message("LOCKSTEP_SEED=%" PRIu64 "\n", seed);
    state_of_random = seed * UINT64_C(2654435761) + 1;
    for (int i = 0; i < CASES; i++) {
        struct arena a;
        struct error e = {0};
        arena_init(&a);
        struct world w = random_world();
        const char *yaml = yaml_of(&a, &w);
        const char *expected = model_text(&a, &w);
        const char *got = found_text(&a, &w, yaml, &e);
        if (strcmp(expected, got) != 0) {
            fail_msg("LOCKSTEP_SEED=%" PRIu64 " case %d: %s to %s: expected %s, got %s (%s)\n%s",
                     seed, i, text_of(&a, &w, w.releases[w.from]),
                     text_of(&a, &w, w.releases[w.to]), expected, got, e.message, yaml);
        }
        bool none = strcmp(got, "no way") == 0;
        assert_true(none == (e.message[0] != '\0'));
        const char *second = strstr(got, " > ");
        ways += none ? 0 : 1;
        refused += none ? 1 : 0;
        long_ones += second != NULL && strstr(second + 1, " > ") != NULL ? 1 : 0;
        arena_deinit(&a);
    }
    print_message("%zu ways, %zu of them over other releases, %zu refused\n", ways, long_ones,
                  refused);
    assert_true(ways > CASES / 10 && refused > CASES / 10 && long_ones > CASES / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_way_that_the_model_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
