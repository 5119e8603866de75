/* Owns the table of how long steps took. */
#include "lib/base/str.h"
#include "lib/io/store/rows.h"

#define TOOK_COLUMNS                                                                               \
    "run, cluster, application, at_ms, step, place, release, database, sha256, count, mean_ms, "   \
    "median_ms, longest_ms"

struct took_put {
    const struct stored_took *run;
    const struct stored_took *items;
    size_t count;
};

static int put(struct store *s, const void *context, struct error *e)
{
    const struct took_put *p = context;
    const struct stored_took *run = p->run;
    int r = SQLITE_RUN(s->db, e, "DELETE FROM took WHERE run = ?", ARG_TEXT(run->run));
    for (size_t i = 0; r == 0 && i < p->count; i++) {
        const struct stored_took *one = &p->items[i];
        r = SQLITE_RUN(
            s->db, e,
            "INSERT INTO took (" TOOK_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ARG_TEXT(run->run), ARG_TEXT(run->cluster), ARG_TEXT(run->application),
            ARG_INT(run->at_ms), ARG_TEXT(one->step), ARG_TEXT(one->place), ARG_TEXT(one->release),
            ARG_TEXT(one->database), ARG_TEXT(one->sha256), ARG_INT(one->count),
            ARG_INT(one->mean_ms), ARG_INT(one->median_ms), ARG_INT(one->longest_ms));
    }
    return r < 0 ? r
                 : SQLITE_RUN(s->db, e,
                              "DELETE FROM took WHERE run IN (SELECT run FROM took WHERE cluster "
                              "= ?1 GROUP BY run ORDER BY max(at_ms) DESC, max(rowid) DESC LIMIT "
                              "-1 OFFSET ?2)",
                              ARG_TEXT(run->cluster), ARG_INT(STORE_TOOK_RUNS_MAX));
}

int store_took_put(struct store *s, const struct stored_took *run, const struct stored_took *items,
                   size_t count, struct error *e)
{
    const struct took_put p = {run, items, count};
    return store_transaction(s, put, &p, e);
}

static struct stored_took read_took(struct arena *arena, sqlite3_stmt *stmt)
{
    return (struct stored_took){.run = sqlite_text(arena, stmt, 0),
                                .cluster = sqlite_text(arena, stmt, 1),
                                .application = sqlite_text(arena, stmt, 2),
                                .at_ms = sqlite3_column_int64(stmt, 3),
                                .step = sqlite_text(arena, stmt, 4),
                                .place = sqlite_text(arena, stmt, 5),
                                .release = sqlite_text(arena, stmt, 6),
                                .database = sqlite_text(arena, stmt, 7),
                                .sha256 = sqlite_text(arena, stmt, 8),
                                .count = sqlite3_column_int64(stmt, 9),
                                .mean_ms = sqlite3_column_int64(stmt, 10),
                                .median_ms = sqlite3_column_int64(stmt, 11),
                                .longest_ms = sqlite3_column_int64(stmt, 12)};
}

static void take_one(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_took *)context = read_took(arena, stmt);
}

struct growing_tooks {
    struct stored_tooks *list;
    size_t capacity;
};

static void take_all(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct growing_tooks *g = context;
    struct stored_tooks *tooks = g->list;
    tooks->items =
        arena_grow(arena, tooks->items, tooks->count, &g->capacity, sizeof(*tooks->items));
    tooks->items[tooks->count++] = read_took(arena, stmt);
}

int store_took(struct store *s, struct arena *arena, const struct stored_took *like,
               struct stored_tooks *ret, struct error *e)
{
    struct stored_tooks tooks = {0};
    struct growing_tooks g = {.list = &tooks};
    int r = EACH_ROW(s, arena,
                     "SELECT " TOOK_COLUMNS
                     " FROM took WHERE application = ?1 AND step = ?2 AND (?3 IS NULL OR cluster "
                     "= ?3) AND (?4 IS NULL OR release = ?4) AND sha256 = '' ORDER BY at_ms DESC, "
                     "run, place",
                     take_all, &g, e, ARG_TEXT(like->application), ARG_TEXT(like->step),
                     ARG_TEXT(like->cluster), ARG_TEXT(like->release));
    *ret = tooks;
    return r < 0 ? r : 0;
}

int store_took_script(struct store *s, struct arena *arena, const struct stored_took *like,
                      struct stored_took *ret, struct error *e)
{
    int r = EACH_ROW(s, arena,
                     "SELECT " TOOK_COLUMNS
                     " FROM took WHERE sha256 = ?1 AND sha256 != '' AND application = ?2 AND "
                     "database = ?3 ORDER BY cluster = ?4 DESC, at_ms DESC LIMIT 1",
                     take_one, ret, e, ARG_TEXT(like->sha256), ARG_TEXT(like->application),
                     ARG_TEXT(like->database), ARG_TEXT(like->cluster));
    return r < 0 ? r : r == 0 ? E_NOT_FOUND : 0;
}

int store_took_all(struct store *s, struct arena *arena, const char *cluster,
                   struct stored_tooks *ret, struct error *e)
{
    struct stored_tooks tooks = {0};
    struct growing_tooks g = {.list = &tooks};
    int r = EACH_ROW(s, arena,
                     "SELECT " TOOK_COLUMNS
                     " FROM took WHERE (?1 IS NULL OR cluster = ?1) AND sha256 = '' ORDER BY "
                     "cluster, release, step, median_ms",
                     take_all, &g, e, ARG_TEXT(cluster));
    *ret = tooks;
    return r < 0 ? r : 0;
}
