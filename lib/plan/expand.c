/*
 * Owns where a hop's migrations stand when nodes roll. A release may say `expand`: what leads to that migration runs before the
 * first wave, for the release that is left runs with it too; the rest, which only the release itself runs with, after the last
 * wave. Downwards mirrored: the rest goes before the first wave, the other part after the last. Without `expand` all of it stands
 * on one side, up before the waves and down after them. Refuses an `expand` that is no migration of the release.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static const struct pair *expand_pair(const struct compiler *c, const char *version,
                                      const char *database)
{
    const struct release_spec *release = release_of(c, version);
    for (size_t i = 0; release != NULL && i < release->expand.count; i++) {
        if (str_equal(release->expand.items[i].key, database)) {
            return &release->expand.items[i];
        }
    }
    return NULL;
}

int64_t expand_of(const struct compiler *c, const char *version, const char *database)
{
    const struct pair *pair = expand_pair(c, version, database);
    uint64_t number;
    return pair != NULL && str_to_u64(pair->value, INT64_MAX - 1, &number) ? (int64_t)number : -1;
}

static bool goes_down(const struct hop_state *hop)
{
    return hop->direction == DIRECTION_DOWN;
}

/* Moves those of `items` that `part` has (or has not) to the front; both keep their order. How many. */
static size_t to_front(struct compiler *c, struct migration *items, size_t count,
                       const struct migration_set *part, bool has)
{
    struct migration *rest = ARENA_ARRAY(c->arena, count, struct migration);
    size_t first = 0;
    size_t others = 0;
    for (size_t i = 0; i < count; i++) {
        if ((migration_find(part, items[i].id) != NULL) == has) {
            items[first++] = items[i];
        } else {
            rest[others++] = items[i];
        }
    }
    for (size_t i = 0; i < others; i++) {
        items[first + i] = rest[i];
    }
    return first;
}

static void divide(struct compiler *c, const struct hop_state *hop, struct hop_database *db)
{
    const char *version = goes_down(hop) ? hop->from : hop->to;
    const struct pair *expand = expand_pair(c, version, db->app->name);
    const struct migration_set *set = known_set(c->inventory, version, db->app->name);
    const struct migration_format *format =
        migration_format_get((enum migration_format_kind)db->format);
    struct migration_set part;
    struct error e = {0};
    if (expand == NULL || set == NULL || format == NULL) {
        return;
    }
    if (migration_until(c->arena, format, set, expand->value, &part, &e) < 0) {
        forbid_at(c, &expand->value, "release %s, expand of %s: %s", version, db->app->name,
                  e.message);
        return;
    }
    if (set->items[set->count - 1].version != schema_of(c, version, db->app->name)) {
        forbid_at(c, &expand->value,
                  "release %s, expand of %s: the release's schema is %lld, which is not the number "
                  "of its last migration, %lld: what stands between the two nobody could prove",
                  version, db->app->name, (long long)schema_of(c, version, db->app->name),
                  (long long)set->items[set->count - 1].version);
        return;
    }
    db->divided = true;
    db->expand = expand_of(c, version, db->app->name);
    db->downs_first = to_front(c, db->way.down, db->way.down_count, &part, false);
    db->ups_first = to_front(c, db->way.up, db->way.up_count, &part, true);
}

void expand_divide(struct compiler *c)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            divide(c, &c->hops[h], &c->hops[h].databases[d]);
        }
    }
}

/* The side where all of a way stands that is not divided. */
static enum hop_side only_side(const struct compiler *c, const struct hop_state *hop)
{
    return c->plan->strategy == STRATEGY_ROLLING && goes_down(hop) ? SIDE_AFTER : SIDE_BEFORE;
}

int64_t schema_while_rolling(const struct compiler *c, const struct hop_state *hop,
                             const struct hop_database *db)
{
    size_t first = db->ups_first + db->downs_first;
    size_t all = db->way.up_count + db->way.down_count;
    if (!db->runs || (db->divided && first == all)) {
        return db->schema_to;
    }
    if (!db->divided) {
        return only_side(c, hop) == SIDE_AFTER ? schema_before(c, hop, db) : db->schema_to;
    }
    return first == 0 ? schema_before(c, hop, db) : db->expand;
}

struct hop_database hop_part(const struct compiler *c, size_t hop, const struct hop_database *db,
                             enum hop_side side)
{
    const struct hop_state *h = &c->hops[hop];
    struct hop_database part = *db;
    part.staged_tree = db->tree_staged[side];
    if (!db->divided) {
        part.runs = db->runs && side == only_side(c, h);
        return part;
    }
    size_t ups = side == SIDE_BEFORE ? 0 : db->ups_first;
    size_t downs = side == SIDE_BEFORE ? 0 : db->downs_first;
    part.way.up = db->way.up + ups;
    part.way.down = db->way.down + downs;
    part.way.up_count = (side == SIDE_BEFORE ? db->ups_first : db->way.up_count) - ups;
    part.way.down_count = (side == SIDE_BEFORE ? db->downs_first : db->way.down_count) - downs;
    part.runs = part.way.up_count + part.way.down_count > 0;
    part.part = (side == SIDE_BEFORE) == goes_down(h) ? PART_CONTRACT : PART_EXPAND;
    part.goes_on = side == SIDE_BEFORE &&
                   part.way.up_count + part.way.down_count < db->way.up_count + db->way.down_count;
    if (side == SIDE_BEFORE) {
        part.schema_to = schema_while_rolling(c, h, db);
    } else {
        part.schema_from = schema_while_rolling(c, h, db);
        const struct migration_way gone = {db->way.up, db->ups_first, db->way.down,
                                           db->downs_first};
        part.before = state_after(c, &db->before, &gone);
    }
    return part;
}

bool side_runs(const struct compiler *c, size_t hop, enum hop_side side)
{
    for (size_t d = 0; d < c->hops[hop].database_count; d++) {
        if (hop_part(c, hop, &c->hops[hop].databases[d], side).runs) {
            return true;
        }
    }
    return false;
}
