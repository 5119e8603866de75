/* Owns the tables of fleets and of what their runs have shown. */
#include "lib/base/str.h"
#include "lib/io/store/rows.h"

#define COLUMNS "fleet, name, version, bundle, who, acknowledged, state, why, started_ms, ended_ms"

static void take_fleet(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_fleet *)context = (struct stored_fleet){
        .fleet = sqlite_text(arena, stmt, 0),
        .name = sqlite_text(arena, stmt, 1),
        .version = sqlite_text(arena, stmt, 2),
        .bundle = sqlite_blob(arena, stmt, 3),
        .who = sqlite_text(arena, stmt, 4),
        .acknowledged = sqlite3_column_int(stmt, 5) != 0,
        .state = sqlite_text(arena, stmt, 6),
        .why = sqlite_text(arena, stmt, 7),
        .started_ms = sqlite3_column_int64(stmt, 8),
        .ended_ms = sqlite3_column_int64(stmt, 9),
    };
}

struct growing {
    struct stored_fleets fleets;
    size_t capacity;
};

static void take_fleets(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct growing *g = context;
    struct stored_fleets *fleets = &g->fleets;
    fleets->items =
        arena_grow(arena, fleets->items, fleets->count, &g->capacity, sizeof(*fleets->items));
    take_fleet(&fleets->items[fleets->count++], arena, stmt);
}

int store_fleet_put(struct store *s, const struct stored_fleet *fleet, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_fleet open = {0};
    int r = EACH_ROW(s, &arena, "SELECT " COLUMNS " FROM fleet WHERE name = ? AND ended_ms = 0",
                     take_fleet, &open, e, ARG_TEXT(fleet->name));
    if (r > 0) {
        r = error_set(e, E_CONFLICT,
                      "fleet %s is %s, to %s: see `lockstep fleet watch %s`, end it with `lockstep "
                      "fleet abort %s`",
                      open.name, open.state, open.version, open.name, open.name);
    } else if (r == 0) {
        r = SQLITE_RUN(s->db, e,
                       "INSERT INTO fleet (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       ARG_TEXT(fleet->fleet), ARG_TEXT(fleet->name), ARG_TEXT(fleet->version),
                       ARG_BLOB(fleet->bundle), ARG_TEXT(fleet->who), ARG_INT(fleet->acknowledged),
                       ARG_TEXT(fleet->state), ARG_TEXT(fleet->why), ARG_INT(fleet->started_ms),
                       ARG_INT(fleet->ended_ms));
    }
    arena_deinit(&arena);
    return r;
}

int store_fleet_state(struct store *s, const char *fleet, const char *state, const char *why,
                      int64_t ended_ms, struct error *e)
{
    return SQLITE_RUN(s->db, e, "UPDATE fleet SET state = ?, why = ?, ended_ms = ? WHERE fleet = ?",
                      ARG_TEXT(state), ARG_TEXT(why), ARG_INT(ended_ms), ARG_TEXT(fleet));
}

int store_fleet(struct store *s, struct arena *arena, const char *fleet, struct stored_fleet *ret,
                struct error *e)
{
    int r = EACH_ROW(s, arena,
                     "SELECT " COLUMNS " FROM fleet WHERE ?1 IS NULL OR fleet = ?1 OR name = ?1 "
                     "ORDER BY fleet = ?1 DESC, rowid DESC LIMIT 1",
                     take_fleet, ret, e, ARG_TEXT(fleet));
    if (r == 0) {
        return fleet == NULL
                   ? error_set(e, E_NOT_FOUND, "there is no fleet yet: lockstep fleet apply FILE")
                   : error_set(e, E_NOT_FOUND, "no fleet %s is known: see `lockstep fleet status`",
                               fleet);
    }
    return r < 0 ? r : 0;
}

int store_fleets(struct store *s, struct arena *arena, bool all, struct stored_fleets *ret,
                 struct error *e)
{
    struct growing g = {0};
    int r = EACH_ROW(s, arena,
                     "SELECT " COLUMNS " FROM fleet AS f WHERE (?1 = 0 AND ended_ms = 0) OR (?1 = "
                     "1 AND NOT EXISTS (SELECT 1 FROM fleet AS later WHERE later.name = f.name AND "
                     "later.rowid > f.rowid)) ORDER BY name",
                     take_fleets, &g, e, ARG_INT(all));
    *ret = g.fleets;
    return r < 0 ? r : 0;
}

int store_evidence_put(struct store *s, const struct stored_evidence *evidence, struct error *e)
{
    return SQLITE_RUN(
        s->db, e,
        "INSERT OR IGNORE INTO evidence (run, fleet, stage, cluster, application, from_version, "
        "to_version, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ARG_TEXT(evidence->run), ARG_TEXT(evidence->fleet), ARG_TEXT(evidence->stage),
        ARG_TEXT(evidence->cluster), ARG_TEXT(evidence->application), ARG_TEXT(evidence->from),
        ARG_TEXT(evidence->to), ARG_INT(evidence->at_ms));
}

static void take_one(void *context, struct arena *arena UNUSED, sqlite3_stmt *stmt UNUSED)
{
    *(bool *)context = true;
}

int store_evidence_has(struct store *s, const struct stored_evidence *evidence, bool *ret,
                       struct error *e)
{
    bool has = false;
    int r =
        EACH_ROW(s, NULL,
                 "SELECT 1 FROM evidence WHERE fleet = ? AND stage = ? AND application = ? AND "
                 "from_version = ? AND to_version = ? LIMIT 1",
                 take_one, &has, e, ARG_TEXT(evidence->fleet), ARG_TEXT(evidence->stage),
                 ARG_TEXT(evidence->application), ARG_TEXT(evidence->from), ARG_TEXT(evidence->to));
    *ret = has;
    return r < 0 ? r : 0;
}
