/*
 * Owns the clone of a SQLite file: a copy by SQLite's own backup, below the rehearsal's own directory. A migration locks
 * the whole file, so there are no locks to tell apart.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/rehearse_parts.h"
#include "lib/io/db/sqlite.h"

static const char *url_of(struct arena *arena, const char *path)
{
    struct buf b;
    buf_init(&b, arena, 3 * strlen(path) + 16);
    buf_puts(&b, "sqlite://");
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL) {
            buf_printf(&b, "%%%02X", (unsigned char)*p);
        } else {
            buf_putc(&b, *p);
        }
    }
    return buf_text(&b);
}

static int make(struct rehearsal *r, struct error *e)
{
    if (r->options.clone != NULL) {
        return error_set(e, E_INVALID,
                         "a SQLite clone is a file in the state directory: %s is for servers",
                         r->options.clone_key);
    }
    r->ref = *r->options.live;
    r->name = arena_printf(r->arena, "%s/clone.db", r->home);
    r->ref.url = url_of(r->arena, r->name);
    int rc = r->live.engine->dump(&r->live, &r->act, r->options.live, r->name, e);
    struct db_options options = {.run = r->outer.run, .log_fd = r->outer.log_fd};
    rc = rc < 0 ? rc : db_open(&r->clone, &r->clone_arena, &r->ref, &options, e);
    return rc < 0 ? rc : r->clone.engine->bytes(&r->clone, &r->bytes, e);
}

/* The file goes with the directory. */
static int take_away(struct rehearsal *r, bool keep UNUSED, struct error *e UNUSED)
{
    db_close(&r->clone);
    return 0;
}

static int tables(struct db_session *s, struct arena *arena, struct rehearse_table **ret,
                  size_t *ret_count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, arena,
                      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                      "'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'lockstep\\_%' ESCAPE '\\' AND "
                      "sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
                      NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    uint64_t bytes = 0; /* of the file: SQLite does not say a table's */
    rc = s->engine->bytes(s, &bytes, e);
    if (rc < 0) {
        return rc;
    }
    struct rehearse_table *list = arena_array(arena, MAX(rows.count, 1), sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const char *name = db_cell(&rows, i, 0);
        if (!db_fingerprint_is_tools(s, name)) {
            list[count++] = (struct rehearse_table){
                .id = name, .name = name, .storage = "", .bytes = bytes, .has_rows = true};
        }
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

/* ---- rows ---- */

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * 1099511628211u;
    }
    return h;
}

/* Of one value with its type; the end of it cannot be taken for the start of the next. */
static uint64_t hash_value(uint64_t h, sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    h = hash(h, &type, sizeof(type));
    const void *data = sqlite3_column_blob(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);
    h = hash(h, &len, sizeof(len));
    return data != NULL ? hash(h, data, len) : h;
}

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

#define START 1469598103934665603u

static int add_rows(sqlite3_stmt *row, uint64_t *sums, size_t columns, uint64_t *ret_count)
{
    int rc = 0;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
        uint64_t whole = START;
        for (size_t i = 0; i < columns; i++) {
            sums[i] += mix(hash_value(START, row, (int)i));
            whole = hash_value(whole, row, (int)i);
        }
        sums[columns] += mix(whole);
        (*ret_count)++;
    }
    return rc == SQLITE_DONE ? 0 : -1;
}

static int rows(struct db_session *s, struct arena *arena, struct rehearse_table *table,
                bool digest, struct error *e)
{
    struct db_rows columns;
    const char *names = NULL;
    int rc = db_value(s, arena, "SELECT '\"' || replace($1, '\"', '\"\"') || '\"'", &table->name, 1,
                      &names, e);
    if (rc == 0 && !digest) {
        return db_value(s, arena, arena_printf(arena, "SELECT count(*) FROM %s", names), NULL, 0,
                        &table->rows, e);
    }
    rc = rc < 0 ? rc
                : db_query(s, arena,
                           "SELECT name, '\"' || replace(name, '\"', '\"\"') || '\"' FROM "
                           "pragma_table_xinfo($1) WHERE hidden <> 1 ORDER BY name",
                           &table->name, 1, &columns, e);
    if (rc < 0) {
        return rc;
    }
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < columns.count; i++) {
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", db_cell(&columns, i, 1));
    }
    const char *sql = arena_printf(arena, "SELECT %s FROM %s", buf_text(&b), names);
    uint64_t *sums = arena_array(arena, columns.count + 1, sizeof(*sums));
    uint64_t count = 0;
    sqlite3_stmt *row = NULL;
    if (sqlite3_prepare_v2(s->handle, sql, -1, &row, NULL) != SQLITE_OK ||
        add_rows(row, sums, columns.count, &count) < 0) {
        rc = db_fail(s, e, E_DATABASE, "the rows of %s cannot be read: %s", table->name,
                     sqlite3_errmsg(s->handle));
    }
    sqlite3_finalize(row);
    table->rows = arena_printf(arena, "%" PRIu64, count);
    table->columns_count = columns.count + 1;
    table->columns = arena_array(arena, table->columns_count, sizeof(*table->columns));
    for (size_t i = 0; i < table->columns_count; i++) {
        table->columns[i] =
            (struct rehearse_column){.name = i < columns.count ? db_cell(&columns, i, 0) : "",
                                     .hash = arena_printf(arena, "%016" PRIx64, sums[i])};
    }
    return rc;
}

const struct rehearse_engine rehearse_sqlite = {
    .kind = DB_SQLITE,
    .why_no_locks = "locks: a migration locks the whole file",
    .why_no_rewrites = "tables that are written anew: SQLite does not say",
    .make = make,
    .remove = take_away,
    .tables = tables,
    .rows = rows,
};
