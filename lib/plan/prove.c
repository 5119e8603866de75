/*
 * Owns the proof: no release meets a schema outside its runs_with, and no more nodes are taken down than allowed. What
 * cannot be proved is refused with the pair that breaks it. A release that says no runs_with runs with its own schema.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

const char *runs_with_text(struct compiler *c, const char *version, const char *database)
{
    const struct release_spec *release = release_of(c, version);
    const char *text = release == NULL ? NULL : pairs_get(&release->runs_with, database);
    if (text == NULL) {
        int64_t own = schema_of(c, version, database);
        text = own < 0 ? NULL : arena_printf(c->arena, "%lld", (long long)own);
    }
    return text;
}

bool runs_with(struct compiler *c, const char *version, const char *database, int64_t schema)
{
    const char *text = runs_with_text(c, version, database);
    struct int_ranges ranges = {0};
    struct error e = {0};
    return text != NULL && int_ranges_parse(c->arena, text, &ranges, &e) == 0 &&
           int_ranges_have(&ranges, schema);
}

/* Where a node that was observed at `at` of the path is when `hop` begins. */
static int64_t now_at(const struct compiler *c, int64_t at, size_t hop)
{
    for (size_t h = 0; h < hop && c->path.count > 1; h++) {
        if (c->hops[h].started && at < (int64_t)h + 1) {
            at = (int64_t)h + 1;
        }
    }
    return at;
}

static const char *who_runs(const struct compiler *c, const char *version, size_t hop)
{
    for (size_t i = 0; i < c->node_count; i++) {
        const struct observed_node *seen = c->nodes[i].seen;
        int64_t at = now_at(c, c->nodes[i].at, hop);
        if ((at >= 0 && str_equal(c->path.items[at], version)) ||
            (seen != NULL && str_equal(seen->version, version))) {
            return c->nodes[i].spec->name;
        }
    }
    return c->nodes[0].spec->name;
}

static bool meets(struct compiler *c, const char *version, const struct hop_database *db,
                  int64_t schema, size_t hop, const char **ret_why)
{
    if (schema < 0 || runs_with(c, version, db->app->name, schema)) {
        return true;
    }
    const char *text = runs_with_text(c, version, db->app->name);
    *ret_why = arena_printf(
        c->arena, "%s does not run with %s %lld (%s%s%s): rolling would let %s meet it", version,
        db->app->name, (long long)schema, text != NULL ? "it runs with " : "it says no schema",
        text != NULL ? text : "", "", who_runs(c, version, hop));
    return false;
}

/* Are the release's schemas the versions of its migrations? Then the numbers in between are known too. */
static bool is_numbered(const struct compiler *c, const struct hop_state *h,
                        const struct hop_database *db)
{
    for (size_t i = 0; i < c->inventory->release_count; i++) {
        const struct known_release *r = &c->inventory->releases[i];
        for (size_t d = 0; str_equal(r->version, h->to) && d < r->database_count; d++) {
            const struct migration_set *set = &r->databases[d].set;
            if (str_equal(r->databases[d].name, db->app->name)) {
                return set->count > 0 &&
                       set->items[set->count - 1].version == schema_of(c, h->to, db->app->name);
            }
        }
    }
    return false;
}

static int64_t version_of_id(const struct compiler *c, const char *database, const char *id)
{
    for (size_t i = 0; i < c->inventory->release_count; i++) {
        const struct known_release *r = &c->inventory->releases[i];
        for (size_t d = 0; d < r->database_count; d++) {
            const struct migration *m = str_equal(r->databases[d].name, database)
                                            ? migration_find(&r->databases[d].set, id)
                                            : NULL;
            if (m != NULL) {
                return m->version;
            }
        }
    }
    return -1;
}

int64_t schema_before(const struct compiler *c, const struct hop_state *h,
                      const struct hop_database *db)
{
    if (db->format == FORMAT_EXTERNAL) {
        return db->count_from;
    }
    int64_t highest = -1;
    for (size_t i = 0; is_numbered(c, h, db) && i < db->before.count; i++) {
        highest = MAX(highest, version_of_id(c, db->app->name, db->before.items[i]));
    }
    return highest >= 0 ? highest : db->schema_from;
}

/* The schemas that a database passes on its way through the hop: one migration after the other, and a run may stop behind
 * any of them. */
static bool meets_between(struct compiler *c, const char *version, const struct hop_database *db,
                          size_t hop, const char **ret_why)
{
    const struct hop_state *h = &c->hops[hop];
    bool numbered = db->format != FORMAT_EXTERNAL && is_numbered(c, h, db);
    bool whole = true;
    for (size_t i = 1; numbered && whole && i < db->way.down_count; i++) {
        whole = meets(c, version, db, db->way.down[i].version, hop, ret_why);
    }
    for (size_t i = 0; numbered && whole && i + 1 < db->way.up_count; i++) {
        whole = meets(c, version, db, db->way.up[i].version, hop, ret_why);
    }
    bool external = db->format == FORMAT_EXTERNAL && db->restore == NULL && db->schema_to >= 0;
    int64_t high = MAX(db->count_from, db->schema_to);
    for (int64_t n = MIN(db->count_from, db->schema_to) + 1; external && whole && n < high; n++) {
        whole = meets(c, version, db, n, hop, ret_why);
    }
    return whole;
}

/* May the release run beside this part of a database's move? */
static bool stands(struct compiler *c, const char *version, const struct hop_database *part,
                   size_t hop, const char **ret_why)
{
    return !part->runs || (meets(c, version, part, part->schema_to, hop, ret_why) &&
                           meets_between(c, version, part, hop, ret_why));
}

/* Nodes whose release is not on the path: a broken-off run on another way left them there. */
static bool prove_strangers(struct compiler *c, size_t hop, const struct hop_database *db,
                            const char **ret_why)
{
    const struct hop_database first = hop_part(c, hop, db, SIDE_BEFORE);
    const struct hop_database rest = hop_part(c, hop, db, SIDE_AFTER);
    struct strings told = {0};
    for (size_t i = 0; i < c->node_count && db->runs; i++) {
        const struct observed_node *seen = c->nodes[i].seen;
        if (seen == NULL || seen->version == NULL || strings_have(&c->path, seen->version) ||
            strings_have(&told, seen->version) ||
            now_at(c, c->nodes[i].at, hop) != c->nodes[i].at) {
            continue;
        }
        strings_push(c->arena, &told, seen->version);
        if (!stands(c, seen->version, &first, hop, ret_why) ||
            !stands(c, seen->version, &rest, hop, ret_why)) {
            return false;
        }
    }
    return true;
}

/* A ledger that a broken-off run left beyond the hop's end comes back against the hop's direction: which releases
 * that schema runs with, nobody has said. */
static bool goes_with_the_hop(struct compiler *c, const struct hop_state *h,
                              const struct hop_database *db, const char **ret_why)
{
    bool down = h->direction == DIRECTION_DOWN;
    size_t against = down ? db->way.up_count : db->way.down_count;
    if (db->external != NULL && db->tool != NULL && db->down != down) {
        against = (size_t)(down ? db->count_to - db->count_from : db->count_from - db->count_to);
    }
    if (against == 0) {
        return true;
    }
    *ret_why = arena_printf(
        c->arena,
        "database %s is not where a release left it: %zu migration%s must go %s on the way to %s, "
        "and rolling would start nodes before them",
        db->app->name, against, against == 1 ? "" : "s", down ? "up" : "down", h->to);
    return false;
}

/* Everything that may run beside this database's move of this hop: before its waves, while they go by, after them. */
static bool prove_database(struct compiler *c, size_t hop, const struct hop_database *db,
                           const char **ret_why)
{
    const struct hop_state *h = &c->hops[hop];
    const struct hop_database first = hop_part(c, hop, db, SIDE_BEFORE);
    const struct hop_database rest = hop_part(c, hop, db, SIDE_AFTER);
    bool *present = ARENA_ARRAY(c->arena, c->path.count, bool);
    for (size_t i = 0; i < c->node_count; i++) {
        int64_t at = now_at(c, c->nodes[i].at, hop);
        if (at >= 0) {
            present[at] = true;
        }
    }
    for (size_t p = 0; p < c->path.count; p++) {
        bool moved = c->path.count > 1 && p < hop + 1 && h->started; /* by the waves */
        if (present[p] && (!stands(c, c->path.items[p], &first, hop, ret_why) ||
                           (!moved && !stands(c, c->path.items[p], &rest, hop, ret_why)))) {
            return false;
        }
    }
    return !h->started || (meets(c, h->to, db, schema_while_rolling(c, h, db), hop, ret_why) &&
                           stands(c, h->to, &rest, hop, ret_why) &&
                           meets(c, h->to, db, db->schema_to, hop, ret_why));
}

bool prove_rolling(struct compiler *c, const char **ret_why)
{
    if (c->app->mixed.policy == MIXED_NEVER) {
        *ret_why =
            arena_printf(c->arena, "%s may never run in two versions at once (mixed: never%s%s)",
                         c->app->name, c->app->mixed.because != NULL ? ": " : "",
                         c->app->mixed.because != NULL ? c->app->mixed.because : "");
        return false;
    }
    *ret_why = components_forbid(c);
    if (*ret_why != NULL) {
        return false;
    }
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            const struct hop_database *db = &c->hops[h].databases[d];
            if (!goes_with_the_hop(c, &c->hops[h], db, ret_why)) {
                return false;
            }
            if (!prove_database(c, h, db, ret_why) || !prove_strangers(c, h, db, ret_why)) {
                const char *out = detour(c, db->app->name);
                *ret_why = arena_printf(c->arena, "%s%s", *ret_why, out);
                return false;
            }
        }
    }
    return true;
}

/* ---- the sentences ---- */

static bool starts_fit(struct compiler *c)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; c->hops[h].started && d < c->hops[h].database_count; d++) {
            const struct hop_database *db = &c->hops[h].databases[d];
            if (db->schema_to >= 0 && !runs_with(c, c->hops[h].to, db->app->name, db->schema_to)) {
                forbid(c, "release %s does not run with its own schema %s %lld: see runs_with:",
                       c->hops[h].to, db->app->name, (long long)db->schema_to);
                return false;
            }
        }
    }
    return true;
}

/* Rolling: who is down already goes first. */
static void tell_down(struct compiler *c)
{
    size_t down = 0;
    for (size_t i = 0; i < c->node_count; i++) {
        down += c->nodes[i].seen != NULL && !c->nodes[i].seen->running ? 1 : 0;
    }
    if (down > 0) {
        warn(c, "%zu node%s not running already: %s first", down, down == 1 ? " is" : "s are",
             down == 1 ? "it goes" : "they go");
    }
}

void prove_sentences(struct compiler *c)
{
    if (starts_fit(c) && prove_plan(c, &c->plan->proved) && c->plan->strategy == STRATEGY_ROLLING) {
        tell_down(c);
    }
}
