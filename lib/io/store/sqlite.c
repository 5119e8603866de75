/* Owns how Lockstep's own SQLite files are opened and asked. The applications' databases are
 * lib/io/db's. */
#include "lib/io/store/sqlite.h"

#include <string.h>

#define BUSY_TIMEOUT_MS 10000

int sqlite_error(sqlite3 *db, struct error *e, const char *doing)
{
    const char *path = sqlite3_db_filename(db, "main");
    int code = sqlite3_errcode(db) & 0xff;
    if (code == SQLITE_FULL) {
        return error_set(e, E_LIMIT,
                         "%s: the disk under %s is full: free some space and start again", doing,
                         path != NULL ? path : "the store");
    }
    return error_set(e, E_IO, "%s: %s: %s", doing, path != NULL ? path : "store",
                     sqlite3_errmsg(db));
}

int sqlite_open(const char *path, const char *schema, sqlite3 **ret, struct error *e)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        int r = error_set(e, E_IO, "cannot open %s: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return r;
    }
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    const char *const setup[] = {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                                 "PRAGMA foreign_keys=ON", schema};
    for (size_t i = 0; i < ARRAY_SIZE(setup); i++) {
        if (sqlite3_exec(db, setup[i], NULL, NULL, NULL) != SQLITE_OK) {
            int r = sqlite_error(db, e, "opening the store");
            sqlite3_close(db);
            return r;
        }
    }
    *ret = db;
    return 0;
}

static int bind(sqlite3_stmt *stmt, int index, const struct sqlite_arg *arg)
{
    switch (arg->type) {
    case SQLITE_ARG_INT:
        return sqlite3_bind_int64(stmt, index, arg->number);
    case SQLITE_ARG_TEXT:
        if (arg->text == NULL) {
            return sqlite3_bind_null(stmt, index);
        }
        return sqlite3_bind_text(stmt, index, arg->text, -1, SQLITE_TRANSIENT);
    case SQLITE_ARG_BLOB:
        return sqlite3_bind_blob64(stmt, index,
                                   arg->blob.len == 0 ? (const void *)"" : arg->blob.data,
                                   arg->blob.len, SQLITE_TRANSIENT);
    }
    return SQLITE_MISUSE;
}

int sqlite_query(sqlite3 *db, const char *sql, const struct sqlite_arg *args, size_t count,
                 sqlite3_stmt **ret, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sqlite_error(db, e, "asking the store");
    }
    for (size_t i = 0; i < count; i++) {
        if (bind(stmt, (int)i + 1, &args[i]) != SQLITE_OK) {
            sqlite3_finalize(stmt);
            return sqlite_error(db, e, "asking the store");
        }
    }
    *ret = stmt;
    return 0;
}

int sqlite_next(sqlite3 *db, sqlite3_stmt *stmt, struct error *e)
{
    int r = sqlite3_step(stmt);
    if (r == SQLITE_ROW) {
        return 1;
    }
    return r == SQLITE_DONE ? 0 : sqlite_error(db, e, "asking the store");
}

int sqlite_run(sqlite3 *db, const char *sql, const struct sqlite_arg *args, size_t count,
               struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_query(db, sql, args, count, &stmt, e);
    if (r < 0) {
        return r;
    }
    do {
        r = sqlite_next(db, stmt, e);
    } while (r > 0);
    sqlite3_finalize(stmt);
    return r;
}

const char *sqlite_text(struct arena *arena, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return arena_strdup(arena, text);
}

struct bytes sqlite_blob(struct arena *arena, sqlite3_stmt *stmt, int column)
{
    const void *data = sqlite3_column_blob(stmt, column);
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);
    uint8_t *copy = arena_alloc(arena, len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return (struct bytes){.data = copy, .len = len};
}
