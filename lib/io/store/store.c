/* Owns the controller's tables and their SQL. It decides nothing: what is refused here is refused
 * by a constraint. */
#include "lib/io/store/store.h"

#include <stdlib.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/store/rows.h"

static const char schema[] =
    "CREATE TABLE fence (number INTEGER NOT NULL);"
    "INSERT INTO fence VALUES (0);"
    "CREATE TABLE node ("
    "  name TEXT PRIMARY KEY, serial TEXT, next_serial TEXT, certificate_ends_ms INTEGER NOT NULL "
    "DEFAULT 0,"
    "  agent_version TEXT, os TEXT, arch TEXT, address TEXT, seen_ms INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE token ("
    "  node TEXT PRIMARY KEY, secret TEXT NOT NULL UNIQUE, ends_ms INTEGER NOT NULL);"
    "CREATE TABLE revision ("
    "  cluster TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, author TEXT NOT NULL,"
    "  at_ms INTEGER NOT NULL, application TEXT NOT NULL, version TEXT NOT NULL, message TEXT,"
    "  bundle BLOB NOT NULL, PRIMARY KEY (cluster, number));"
    "CREATE TABLE observed (cluster TEXT PRIMARY KEY, words TEXT NOT NULL, at_ms "
    "INTEGER NOT NULL);"
    "CREATE TABLE rehearsed ("
    "  cluster TEXT NOT NULL, database TEXT NOT NULL, sha256 TEXT NOT NULL, ms INTEGER NOT NULL,"
    "  at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (cluster, database, sha256))"
    "  WITHOUT ROWID;"
    "CREATE TABLE took ("
    "  run TEXT NOT NULL, cluster TEXT NOT NULL, application TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    "  step TEXT NOT NULL, place TEXT NOT NULL, release TEXT NOT NULL, database TEXT NOT NULL,"
    "  sha256 TEXT NOT NULL, count INTEGER NOT NULL, mean_ms INTEGER NOT NULL,"
    "  median_ms INTEGER NOT NULL, longest_ms INTEGER NOT NULL);"
    "CREATE INDEX took_by_run ON took (run);"
    "CREATE INDEX took_by_step ON took (application, step, release);"
    "CREATE INDEX took_by_script ON took (sha256) WHERE sha256 != '';"
    "CREATE TABLE plan (id TEXT PRIMARY KEY, json BLOB NOT NULL, bundle BLOB NOT "
    "NULL);"
    "CREATE TABLE run ("
    "  run TEXT PRIMARY KEY, cluster TEXT NOT NULL, plan_id TEXT NOT NULL REFERENCES plan (id),"
    "  from_version TEXT, to_version TEXT, state TEXT NOT NULL, why TEXT, who TEXT,"
    "  started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0,"
    "  roll_back INTEGER NOT NULL DEFAULT 0, takes_back TEXT, fleet_key TEXT UNIQUE);"
    "CREATE TABLE quarantine ("
    "  run TEXT PRIMARY KEY REFERENCES run (run), cluster TEXT NOT NULL, spec TEXT NOT NULL,"
    "  from_version TEXT NOT NULL, to_version TEXT NOT NULL, failed_ms INTEGER NOT NULL, why TEXT "
    "NOT NULL);"
    "CREATE UNIQUE INDEX run_one_per_cluster ON run (cluster) WHERE ended_ms = 0;"
    "CREATE TABLE fleet ("
    "  fleet TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, bundle BLOB NOT NULL,"
    "  who TEXT NOT NULL, acknowledged INTEGER NOT NULL, state TEXT NOT NULL, why TEXT,"
    "  started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX fleet_one_per_name ON fleet (name) WHERE ended_ms = 0;"
    "CREATE TABLE evidence ("
    "  run TEXT PRIMARY KEY, fleet TEXT NOT NULL, stage TEXT NOT NULL, cluster TEXT NOT NULL,"
    "  application TEXT NOT NULL, from_version TEXT NOT NULL, to_version TEXT NOT NULL,"
    "  at_ms INTEGER NOT NULL);"
    "CREATE INDEX evidence_of_way"
    "  ON evidence (fleet, stage, application, from_version, to_version);";
static const struct sqlite_format format = {.version = STORE_VERSION, .schema = schema};

int store_open(const char *path, struct store **ret, struct error *e)
{
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return error_set(e, E_LIMIT, "out of memory");
    }
    int r = sqlite_open(path, &format, &s->db, e);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct store *store_close(struct store *s)
{
    if (s != NULL) {
        sqlite3_close(s->db);
        free(s);
    }
    return NULL;
}

int store_each_row(struct store *s, struct arena *arena, const char *sql,
                   const struct sqlite_arg *args, size_t count, row_taker *take, void *context,
                   struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_query(s->db, sql, args, count, &stmt, e);
    if (r < 0) {
        return r;
    }
    int rows = 0;
    while ((r = sqlite_next(s->db, stmt, e)) > 0) {
        take(context, arena, stmt);
        rows++;
    }
    sqlite3_finalize(stmt);
    return r < 0 ? r : rows;
}

/* ---- fence ---- */

static void take_number(void *context, struct arena *arena UNUSED, sqlite3_stmt *stmt)
{
    *(int64_t *)context = sqlite3_column_int64(stmt, 0);
}

int store_fence_raise(struct store *s, uint64_t at_least, uint64_t *ret_fence, struct error *e)
{
    int64_t number = 0;
    int r = EACH_ROW(s, NULL, "UPDATE fence SET number = max(number, ?) + 1 RETURNING number",
                     take_number, &number, e, ARG_INT((int64_t)at_least));
    if (r < 0) {
        return r;
    }
    *ret_fence = (uint64_t)number;
    return 0;
}

/* ---- nodes ---- */

#define NODE_COLUMNS "name, serial, certificate_ends_ms, agent_version, os, arch, address, seen_ms"

static struct stored_node read_node(struct arena *arena, sqlite3_stmt *stmt)
{
    return (struct stored_node){
        .name = sqlite_text(arena, stmt, 0),
        .serial = sqlite_text(arena, stmt, 1),
        .enrolled = sqlite3_column_type(stmt, 1) != SQLITE_NULL,
        .certificate_ends_ms = sqlite3_column_int64(stmt, 2),
        .agent_version = sqlite_text(arena, stmt, 3),
        .os = sqlite_text(arena, stmt, 4),
        .arch = sqlite_text(arena, stmt, 5),
        .address = sqlite_text(arena, stmt, 6),
        .seen_ms = sqlite3_column_int64(stmt, 7),
    };
}

static void take_node(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_node *)context = read_node(arena, stmt);
}

struct growing {
    void *list; /* a struct stored_xs */
    size_t capacity;
};

static void take_nodes(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct growing *g = context;
    struct stored_nodes *nodes = g->list;
    nodes->items =
        arena_grow(arena, nodes->items, nodes->count, &g->capacity, sizeof(*nodes->items));
    nodes->items[nodes->count++] = read_node(arena, stmt);
}

int store_nodes(struct store *s, struct arena *arena, struct stored_nodes *ret, struct error *e)
{
    struct stored_nodes nodes = {0};
    struct growing g = {.list = &nodes};
    int r = store_each_row(s, arena, "SELECT " NODE_COLUMNS " FROM node ORDER BY name", NULL, 0,
                           take_nodes, &g, e);
    if (r < 0) {
        return r;
    }
    *ret = nodes;
    return 0;
}

int store_node(struct store *s, struct arena *arena, const char *name, struct stored_node *ret,
               struct error *e)
{
    int r = EACH_ROW(s, arena, "SELECT " NODE_COLUMNS " FROM node WHERE name = ?", take_node, ret,
                     e, ARG_TEXT(name));
    if (r == 0) {
        return error_set(e, E_NOT_FOUND,
                         "no node %s has ever enrolled: run `lockstep node enroll %s`", name, name);
    }
    return r < 0 ? r : 0;
}

int store_token_put(struct store *s, const char *node, const char *secret_sha256, int64_t ends_ms,
                    struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "INSERT OR REPLACE INTO token (node, secret, ends_ms) VALUES (?, ?, ?)",
                      ARG_TEXT(node), ARG_TEXT(secret_sha256), ARG_INT(ends_ms));
}

int store_token_use(struct store *s, const char *node, const char *secret_sha256, int64_t now_ms,
                    struct error *e)
{
    int64_t found = 0;
    int r = EACH_ROW(
        s, NULL, "DELETE FROM token WHERE node = ? AND secret = ? AND ends_ms > ? RETURNING 1",
        take_number, &found, e, ARG_TEXT(node), ARG_TEXT(secret_sha256), ARG_INT(now_ms));
    if (r == 0) {
        return error_set(
            e, E_DENIED,
            "this token is unknown, used up, over, or not for node %s: make a new one with "
            "`lockstep node enroll %s`",
            node, node);
    }
    return r < 0 ? r : 0;
}

int store_node_enrolled(struct store *s, const char *node, const char *serial, int64_t ends_ms,
                        struct error *e)
{
    return SQLITE_RUN(
        s->db, e,
        "INSERT INTO node (name, serial, certificate_ends_ms) VALUES (?, ?, ?) ON CONFLICT (name) "
        "DO UPDATE SET serial = excluded.serial, next_serial = NULL, certificate_ends_ms = "
        "excluded.certificate_ends_ms",
        ARG_TEXT(node), ARG_TEXT(serial), ARG_INT(ends_ms));
}

int store_node_left(struct store *s, const char *node, int64_t seen_ms, struct error *e)
{
    return SQLITE_RUN(s->db, e, "UPDATE node SET seen_ms = ? WHERE name = ?", ARG_INT(seen_ms),
                      ARG_TEXT(node));
}

int store_node_renewed(struct store *s, const char *node, const char *serial, int64_t ends_ms,
                       struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "UPDATE node SET next_serial = ?, certificate_ends_ms = ? WHERE name = ?",
                      ARG_TEXT(serial), ARG_INT(ends_ms), ARG_TEXT(node));
}

int store_node_check(struct store *s, const char *node, const char *serial, struct error *e)
{
    int64_t found = 0;
    int r = EACH_ROW(s, NULL, "SELECT 1 FROM node WHERE name = ? AND serial = ?", take_number,
                     &found, e, ARG_TEXT(node), ARG_TEXT(serial));
    if (r == 0) {
        r = EACH_ROW(s, NULL,
                     "UPDATE node SET serial = next_serial, next_serial = NULL WHERE name = ? AND "
                     "next_serial = ? "
                     "RETURNING 1",
                     take_number, &found, e, ARG_TEXT(node), ARG_TEXT(serial));
    }
    if (r == 0) {
        return error_set(
            e, E_DENIED,
            "this certificate of node %s was replaced by a newer one: enroll the node again with "
            "`lockstep node enroll %s`",
            node, node);
    }
    return r < 0 ? r : 0;
}

int store_node_seen(struct store *s, const struct stored_node *node, struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "UPDATE node SET agent_version = ?, os = ?, arch = ?, address = ?, seen_ms = "
                      "? WHERE name = ?",
                      ARG_TEXT(node->agent_version), ARG_TEXT(node->os), ARG_TEXT(node->arch),
                      ARG_TEXT(node->address), ARG_INT(node->seen_ms), ARG_TEXT(node->name));
}

/* ---- revisions ---- */

#define REVISION_COLUMNS "cluster, number, digest, author, at_ms, application, version, message"

static struct stored_revision read_revision(struct arena *arena, sqlite3_stmt *stmt)
{
    return (struct stored_revision){
        .cluster = sqlite_text(arena, stmt, 0),
        .number = (uint32_t)sqlite3_column_int64(stmt, 1),
        .digest = sqlite_text(arena, stmt, 2),
        .author = sqlite_text(arena, stmt, 3),
        .at_ms = sqlite3_column_int64(stmt, 4),
        .application = sqlite_text(arena, stmt, 5),
        .version = sqlite_text(arena, stmt, 6),
        .message = sqlite_text(arena, stmt, 7),
    };
}

static void take_revision(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct stored_revision *revision = context;
    *revision = read_revision(arena, stmt);
    revision->bundle = sqlite_blob(arena, stmt, 8);
}

static void take_revisions(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct growing *g = context;
    struct stored_revisions *list = g->list;
    list->items = arena_grow(arena, list->items, list->count, &g->capacity, sizeof(*list->items));
    list->items[list->count++] = read_revision(arena, stmt);
}

int store_revision(struct store *s, struct arena *arena, const char *cluster, uint32_t number,
                   struct stored_revision *ret, struct error *e)
{
    int r = EACH_ROW(s, arena,
                     "SELECT " REVISION_COLUMNS
                     ", bundle FROM revision WHERE cluster = ?1 AND number = CASE ?2 WHEN 0 "
                     "THEN (SELECT max(number) FROM revision WHERE cluster = ?1) ELSE ?2 END",
                     take_revision, ret, e, ARG_TEXT(cluster), ARG_INT(number));
    if (r == 0 && number != 0) {
        return error_set(e, E_NOT_FOUND,
                         "cluster %s has no revision %u: see `lockstep cluster history %s`",
                         cluster, number, cluster);
    }
    if (r == 0) {
        return error_set(e, E_NOT_FOUND, "no cluster %s is known: see `lockstep cluster list`",
                         cluster);
    }
    return r < 0 ? r : 0;
}

static int insert_revision(struct store *s, const struct stored_revision *revision,
                           uint32_t *ret_number, struct error *e)
{
    int64_t number = 0;
    int r = EACH_ROW(
        s, NULL,
        "INSERT INTO revision (cluster, number, digest, author, at_ms, application, version, "
        "message, "
        "bundle) SELECT ?1, 1 + ifnull(max(number), 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM revision "
        "WHERE cluster = ?1 RETURNING number",
        take_number, &number, e, ARG_TEXT(revision->cluster), ARG_TEXT(revision->digest),
        ARG_TEXT(revision->author), ARG_INT(revision->at_ms), ARG_TEXT(revision->application),
        ARG_TEXT(revision->version), ARG_TEXT(revision->message), ARG_BLOB(revision->bundle));
    if (r < 0) {
        return r;
    }
    *ret_number = (uint32_t)number;
    return 0;
}

int store_revision_put(struct store *s, const struct stored_revision *revision,
                       uint32_t *ret_number, bool *ret_changed, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_revision newest = {0};
    int r = store_revision(s, &arena, revision->cluster, 0, &newest, e);
    if (r == 0 && str_equal(newest.digest, revision->digest)) {
        *ret_number = newest.number;
        *ret_changed = false;
    } else if (r == 0 || r == E_NOT_FOUND) {
        r = insert_revision(s, revision, ret_number, e);
        *ret_changed = r == 0;
    }
    arena_deinit(&arena);
    return r;
}

int store_revisions(struct store *s, struct arena *arena, const char *cluster,
                    struct stored_revisions *ret, struct error *e)
{
    struct stored_revisions list = {0};
    struct growing g = {.list = &list};
    int r =
        EACH_ROW(s, arena,
                 "SELECT " REVISION_COLUMNS " FROM revision WHERE cluster = ? ORDER BY number DESC",
                 take_revisions, &g, e, ARG_TEXT(cluster));
    if (r == 0) {
        return error_set(e, E_NOT_FOUND, "no cluster %s is known: see `lockstep cluster list`",
                         cluster);
    }
    *ret = list;
    return r < 0 ? r : 0;
}

int store_clusters(struct store *s, struct arena *arena, struct stored_revisions *ret,
                   struct error *e)
{
    struct stored_revisions list = {0};
    struct growing g = {.list = &list};
    int r = store_each_row(s, arena,
                           "SELECT " REVISION_COLUMNS
                           " FROM revision AS r WHERE number = (SELECT max(number) FROM revision "
                           "WHERE cluster = r.cluster) ORDER BY cluster",
                           NULL, 0, take_revisions, &g, e);
    *ret = list;
    return r < 0 ? r : 0;
}

int store_observed_put(struct store *s, const char *cluster, const char *observed, int64_t at_ms,
                       struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "INSERT OR REPLACE INTO observed (cluster, words, at_ms) VALUES (?, ?, ?)",
                      ARG_TEXT(cluster), ARG_TEXT(observed), ARG_INT(at_ms));
}

static void take_text(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(const char **)context = sqlite_text(arena, stmt, 0);
}

int store_observed(struct store *s, struct arena *arena, const char *cluster, const char **ret,
                   struct error *e)
{
    *ret = "";
    int r = EACH_ROW(s, arena, "SELECT words FROM observed WHERE cluster = ?", take_text, ret, e,
                     ARG_TEXT(cluster));
    return r < 0 ? r : 0;
}

/* ---- rehearsals ---- */

struct rehearsed_put {
    const char *cluster;
    const struct stored_rehearsed *items;
    size_t count;
};

static int put_rehearsed(struct store *s, const void *context, struct error *e)
{
    const struct rehearsed_put *put = context;
    const char *cluster = put->cluster;
    int r = 0;
    for (size_t i = 0; r == 0 && i < put->count; i++) {
        const struct stored_rehearsed *one = &put->items[i];
        r = SQLITE_RUN(s->db, e,
                       "INSERT OR REPLACE INTO rehearsed (cluster, database, sha256, ms, at_ms, "
                       "bytes) VALUES (?, ?, ?, ?, ?, ?)",
                       ARG_TEXT(cluster), ARG_TEXT(one->database), ARG_TEXT(one->sha256),
                       ARG_INT(one->ms), ARG_INT(one->at_ms), ARG_INT(one->bytes));
    }
    return r < 0 ? r
                 : SQLITE_RUN(s->db, e,
                              "DELETE FROM rehearsed WHERE cluster = ?1 AND (database, sha256) IN "
                              "(SELECT database, sha256 FROM rehearsed WHERE cluster = ?1 ORDER BY "
                              "at_ms DESC, database, sha256 LIMIT -1 OFFSET ?2)",
                              ARG_TEXT(cluster), ARG_INT(STORE_REHEARSED_MAX));
}

int store_transaction(struct store *s,
                      int (*work)(struct store *s, const void *context, struct error *e),
                      const void *context, struct error *e)
{
    int r = sqlite_run(s->db, "BEGIN IMMEDIATE", NULL, 0, e);
    if (r < 0) {
        return r;
    }
    r = work(s, context, e);
    r = r < 0 ? r : sqlite_run(s->db, "COMMIT", NULL, 0, e);
    if (r < 0) {
        struct error ignored;
        sqlite_run(s->db, "ROLLBACK", NULL, 0, &ignored);
    }
    return r;
}

int store_rehearsed_put(struct store *s, const char *cluster, const struct stored_rehearsed *items,
                        size_t count, struct error *e)
{
    const struct rehearsed_put put = {cluster, items, count};
    return store_transaction(s, put_rehearsed, &put, e);
}

static void take_rehearsed(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_rehearsed *)context =
        (struct stored_rehearsed){.database = sqlite_text(arena, stmt, 0),
                                  .sha256 = sqlite_text(arena, stmt, 1),
                                  .ms = sqlite3_column_int64(stmt, 2),
                                  .at_ms = sqlite3_column_int64(stmt, 3),
                                  .bytes = sqlite3_column_int64(stmt, 4)};
}

int store_rehearsed(struct store *s, struct arena *arena, const char *cluster, const char *database,
                    const char *sha256, struct stored_rehearsed *ret, struct error *e)
{
    int r =
        EACH_ROW(s, arena,
                 "SELECT database, sha256, ms, at_ms, bytes FROM rehearsed WHERE cluster = ? "
                 "AND database = ? AND sha256 = ?",
                 take_rehearsed, ret, e, ARG_TEXT(cluster), ARG_TEXT(database), ARG_TEXT(sha256));
    return r < 0 ? r : r == 0 ? E_NOT_FOUND : 0;
}

/* ---- plans and runs ---- */

int store_plan_put(struct store *s, const char *id, struct bytes json, struct bytes bundle,
                   struct error *e)
{
    return SQLITE_RUN(s->db, e, "INSERT OR IGNORE INTO plan (id, json, bundle) VALUES (?, ?, ?)",
                      ARG_TEXT(id), ARG_BLOB(json), ARG_BLOB(bundle));
}

static void take_plan(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct bytes *both = context;
    both[0] = sqlite_blob(arena, stmt, 0);
    both[1] = sqlite_blob(arena, stmt, 1);
}

int store_plan(struct store *s, struct arena *arena, const char *id, struct bytes *ret_json,
               struct bytes *ret_bundle, struct error *e)
{
    struct bytes both[2] = {{0}};
    int r = EACH_ROW(s, arena, "SELECT json, bundle FROM plan WHERE id = ?", take_plan, both, e,
                     ARG_TEXT(id));
    if (r == 0) {
        return error_set(e, E_NOT_FOUND,
                         "plan %.8s was not made by this controller: make one with `lockstep plan`",
                         id);
    }
    if (r < 0) {
        return r;
    }
    *ret_json = both[0];
    if (ret_bundle != NULL) {
        *ret_bundle = both[1];
    }
    return 0;
}

#define RUN_COLUMNS                                                                                \
    "run, cluster, plan_id, from_version, to_version, state, why, who, started_ms, ended_ms, "     \
    "roll_back, takes_back, fleet_key"

static struct stored_run read_run(struct arena *arena, sqlite3_stmt *stmt)
{
    return (struct stored_run){
        .run = sqlite_text(arena, stmt, 0),
        .cluster = sqlite_text(arena, stmt, 1),
        .plan_id = sqlite_text(arena, stmt, 2),
        .from = sqlite_text(arena, stmt, 3),
        .to = sqlite_text(arena, stmt, 4),
        .state = sqlite_text(arena, stmt, 5),
        .why = sqlite_text(arena, stmt, 6),
        .who = sqlite_text(arena, stmt, 7),
        .started_ms = sqlite3_column_int64(stmt, 8),
        .ended_ms = sqlite3_column_int64(stmt, 9),
        .back = (enum stored_back)sqlite3_column_int(stmt, 10),
        .takes_back = sqlite_text(arena, stmt, 11),
        .fleet_key = sqlite_text(arena, stmt, 12),
    };
}

static void take_run(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_run *)context = read_run(arena, stmt);
}

static void take_runs(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    struct growing *g = context;
    struct stored_runs *runs = g->list;
    runs->items = arena_grow(arena, runs->items, runs->count, &g->capacity, sizeof(*runs->items));
    runs->items[runs->count++] = read_run(arena, stmt);
}

int store_run_put(struct store *s, const struct stored_run *run, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_run open = {0};
    int r =
        EACH_ROW(s, &arena, "SELECT " RUN_COLUMNS " FROM run WHERE cluster = ? AND ended_ms = 0",
                 take_run, &open, e, ARG_TEXT(run->cluster));
    if (r > 0) {
        r = error_set(e, E_CONFLICT,
                      "run %s of %s is %s: see `lockstep watch %s`; end it with `lockstep abort "
                      "%s` or let it go on "
                      "with `lockstep retry %s`",
                      open.run, open.cluster, open.state, open.run, open.run, open.run);
    } else if (r == 0) {
        r = SQLITE_RUN(s->db, e,
                       "INSERT INTO run (" RUN_COLUMNS
                       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
                       ARG_TEXT(run->run), ARG_TEXT(run->cluster), ARG_TEXT(run->plan_id),
                       ARG_TEXT(run->from), ARG_TEXT(run->to), ARG_TEXT(run->state),
                       ARG_TEXT(run->why), ARG_TEXT(run->who), ARG_INT(run->started_ms),
                       ARG_INT(run->ended_ms), ARG_TEXT(run->takes_back), ARG_TEXT(run->fleet_key));
    }
    arena_deinit(&arena);
    return r;
}

int store_run_state(struct store *s, const char *run, const char *state, const char *why,
                    int64_t ended_ms, struct error *e)
{
    return SQLITE_RUN(s->db, e, "UPDATE run SET state = ?, why = ?, ended_ms = ? WHERE run = ?",
                      ARG_TEXT(state), ARG_TEXT(why), ARG_INT(ended_ms), ARG_TEXT(run));
}

int store_run(struct store *s, struct arena *arena, const char *run, struct stored_run *ret,
              struct error *e)
{
    int r = EACH_ROW(s, arena, "SELECT " RUN_COLUMNS " FROM run WHERE run = ?", take_run, ret, e,
                     ARG_TEXT(run));
    if (r == 0) {
        return error_set(e, E_NOT_FOUND, "no run %s is known: see `lockstep history`", run);
    }
    return r < 0 ? r : 0;
}

int store_run_of_fleet(struct store *s, struct arena *arena, const char *key,
                       struct stored_run *ret, struct error *e)
{
    int r = EACH_ROW(s, arena, "SELECT " RUN_COLUMNS " FROM run WHERE fleet_key = ?", take_run, ret,
                     e, ARG_TEXT(key));
    if (r == 0) {
        return error_set(e, E_NOT_FOUND, "no run was started for it");
    }
    return r < 0 ? r : 0;
}

int store_runs(struct store *s, struct arena *arena, const char *cluster, uint32_t limit,
               struct stored_runs *ret, struct error *e)
{
    struct stored_runs runs = {0};
    struct growing g = {.list = &runs};
    int r =
        EACH_ROW(s, arena,
                 "SELECT " RUN_COLUMNS
                 " FROM run WHERE ?1 IS NULL OR cluster = ?1 ORDER BY started_ms DESC, rowid DESC "
                 "LIMIT ?2",
                 take_runs, &g, e, ARG_TEXT(cluster), ARG_INT(limit));
    *ret = runs;
    return r < 0 ? r : 0;
}

int store_run_back(struct store *s, const char *run, enum stored_back back, struct error *e)
{
    return SQLITE_RUN(s->db, e, "UPDATE run SET roll_back = ? WHERE run = ?", ARG_INT(back),
                      ARG_TEXT(run));
}

int store_run_taken_back_by(struct store *s, struct arena *arena, const char *run, const char **ret,
                            struct error *e)
{
    *ret = NULL;
    int r = EACH_ROW(s, arena, "SELECT run FROM run WHERE takes_back = ?", take_text, ret, e,
                     ARG_TEXT(run));
    return r < 0 ? r : 0;
}

int store_runs_to_roll_back(struct store *s, struct arena *arena, struct stored_runs *ret,
                            struct error *e)
{
    struct stored_runs runs = {0};
    struct growing g = {.list = &runs};
    int r = store_each_row(
        s, arena,
        "SELECT " RUN_COLUMNS " FROM run WHERE roll_back = 1 AND ended_ms > 0 AND NOT "
        "EXISTS (SELECT 1 FROM run AS later WHERE later.cluster = run.cluster AND "
        "later.rowid > run.rowid)",
        NULL, 0, take_runs, &g, e);
    *ret = runs;
    return r < 0 ? r : 0;
}

int store_runs_open(struct store *s, struct arena *arena, struct stored_runs *ret, struct error *e)
{
    struct stored_runs runs = {0};
    struct growing g = {.list = &runs};
    int r = store_each_row(s, arena,
                           "SELECT " RUN_COLUMNS " FROM run WHERE ended_ms = 0 ORDER BY started_ms",
                           NULL, 0, take_runs, &g, e);
    *ret = runs;
    return r < 0 ? r : 0;
}

/* ---- quarantine ---- */

static void take_attempt(void *context, struct arena *arena, sqlite3_stmt *stmt)
{
    *(struct stored_attempt *)context =
        (struct stored_attempt){.run = sqlite_text(arena, stmt, 0),
                                .cluster = sqlite_text(arena, stmt, 1),
                                .spec = sqlite_text(arena, stmt, 2),
                                .from = sqlite_text(arena, stmt, 3),
                                .to = sqlite_text(arena, stmt, 4),
                                .failed_ms = sqlite3_column_int64(stmt, 5),
                                .why = sqlite_text(arena, stmt, 6)};
}

static const char *or_nothing(const char *version)
{
    return version != NULL ? version : "";
}

int store_quarantine_put(struct store *s, const struct stored_attempt *a, struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "INSERT OR IGNORE INTO quarantine (run, cluster, spec, from_version, "
                      "to_version, failed_ms, why) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      ARG_TEXT(a->run), ARG_TEXT(a->cluster), ARG_TEXT(a->spec),
                      ARG_TEXT(or_nothing(a->from)), ARG_TEXT(a->to), ARG_INT(a->failed_ms),
                      ARG_TEXT(a->why));
}

int store_quarantine(struct store *s, struct arena *arena, const struct stored_attempt *like,
                     struct stored_attempt *ret, struct error *e)
{
    int r = EACH_ROW(s, arena,
                     "SELECT run, cluster, spec, from_version, to_version, failed_ms, why FROM "
                     "quarantine WHERE cluster = ?1 AND spec = ?2 AND to_version = ?3 AND (?4 IS "
                     "NULL OR from_version = ?4) ORDER BY rowid",
                     take_attempt, ret, e, ARG_TEXT(like->cluster), ARG_TEXT(like->spec),
                     ARG_TEXT(like->to), ARG_TEXT(like->from));
    return r;
}

int store_quarantine_lift(struct store *s, const struct stored_attempt *like, struct error *e)
{
    return SQLITE_RUN(s->db, e,
                      "DELETE FROM quarantine WHERE cluster = ? AND spec = ? AND to_version = ? "
                      "AND from_version = ?",
                      ARG_TEXT(like->cluster), ARG_TEXT(like->spec), ARG_TEXT(like->to),
                      ARG_TEXT(or_nothing(like->from)));
}
