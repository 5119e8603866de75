/* Owns how Lockstep's own SQLite files are opened and asked. The applications' databases are
 * lib/io/db's. */
#include "lib/io/store/sqlite.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
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

static int ask_number(sqlite3 *db, const char *sql, int64_t *ret, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_query(db, sql, NULL, 0, &stmt, e);
    r = r < 0 ? r : sqlite_next(db, stmt, e);
    if (r > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return r < 0 ? r : 0;
}

/* *ret_new: nothing is in the file yet. */
static int check_version(sqlite3 *db, const struct sqlite_format *format, bool *ret_new,
                         struct error *e)
{
    int64_t version = 0;
    int64_t tables = 0;
    int r = ask_number(db, "PRAGMA user_version", &version, e);
    r = r < 0 ? r : ask_number(db, "SELECT count(*) FROM sqlite_master", &tables, e);
    *ret_new = version == 0 && tables == 0;
    if (r < 0 || *ret_new || version == format->version) {
        return r;
    }
    const char *path = sqlite3_db_filename(db, "main");
    return version == 0
               ? error_set(e, E_INVALID,
                           "%s has tables, but no version of Lockstep's: it was made by a program "
                           "older than versions, or is no file of Lockstep's; move it away and "
                           "start again",
                           path)
               : error_set(e, E_INVALID,
                           "%s has version %lld, and this program (%s) works with version %d: "
                           "start the Lockstep that wrote it, or put back a copy of the state "
                           "directory that this one wrote",
                           path, (long long)version, LOCKSTEP_VERSION, format->version);
}

/* Two programs may open a new file at once: who comes second finds it made. */
static int make(sqlite3 *db, const struct sqlite_format *format, struct error *e)
{
    char version[64];
    bool is_new = false;
    snprintf(version, sizeof(version), "PRAGMA user_version = %d", format->version);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return sqlite_error(db, e, "opening the store");
    }
    int r = check_version(db, format, &is_new, e);
    const char *const steps[] = {format->schema, version};
    for (size_t i = 0; r == 0 && is_new && i < ARRAY_SIZE(steps); i++) {
        if (sqlite3_exec(db, steps[i], NULL, NULL, NULL) != SQLITE_OK) {
            r = sqlite_error(db, e, "making the store");
        }
    }
    if (r == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        r = sqlite_error(db, e, "making the store");
    }
    return r; /* without COMMIT the close rolls back */
}

static int set_up(sqlite3 *db, const struct sqlite_format *format, struct error *e)
{
    bool is_new = false;
    int r = check_version(db, format, &is_new, e); /* before anything is written */
    const char *const pragmas[] = {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                                   "PRAGMA foreign_keys=ON"};
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pragmas); i++) {
        if (sqlite3_exec(db, pragmas[i], NULL, NULL, NULL) != SQLITE_OK) {
            r = sqlite_error(db, e, "opening the store");
        }
    }
    return r == 0 && is_new ? make(db, format, e) : r;
}

int sqlite_open(const char *path, const struct sqlite_format *format, sqlite3 **ret,
                struct error *e)
{
    assert(format->version > 0);
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        int r = error_set(e, E_IO, "cannot open %s: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return r;
    }
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    int r = set_up(db, format, e);
    if (r < 0) {
        sqlite3_close(db);
        return r;
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
