/*
 * SQLite as Lockstep's own files use it: WAL, every commit synced, one connection per thread.
 * Errors come out as struct error with SQLite's own words and the file's name.
 */
#ifndef LOCKSTEP_IO_STORE_SQLITE_H
#define LOCKSTEP_IO_STORE_SQLITE_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

/* What a file of Lockstep's own must be. Its version stands in the file (PRAGMA user_version). It rises with every change that an
 * older or a newer program would read or write wrongly: of the tables, or of what is in them. */
struct sqlite_format {
    int version; /* from 1 */
    const char *schema;
};

/* Opens the file, or makes it whole: tables and version, or neither. E_INVALID: it is of another version, or not ours; then nothing in it
 * is changed. */
int sqlite_open(const char *path, const struct sqlite_format *format, sqlite3 **ret,
                struct error *e);

/* Fills *e from the connection's last error: E_LIMIT when the disk is full, else E_IO. Returns the
 * code. */
int sqlite_error(sqlite3 *db, struct error *e, const char *doing);

/* One parameter or one column. */
enum sqlite_type { SQLITE_ARG_INT, SQLITE_ARG_TEXT, SQLITE_ARG_BLOB };
struct sqlite_arg {
    enum sqlite_type type;
    int64_t number;
    const char *text; /* NULL binds NULL */
    struct bytes blob;
};
#define ARG_INT(v)  ((struct sqlite_arg){.type = SQLITE_ARG_INT, .number = (v)})
#define ARG_TEXT(v) ((struct sqlite_arg){.type = SQLITE_ARG_TEXT, .text = (v)})
#define ARG_BLOB(v) ((struct sqlite_arg){.type = SQLITE_ARG_BLOB, .blob = (v)})

/* Prepares and binds. The caller steps it and finalizes it. */
int sqlite_query(sqlite3 *db, const char *sql, const struct sqlite_arg *args, size_t count,
                 sqlite3_stmt **ret, struct error *e);
/* Prepares, binds, runs to the end, finalizes. */
int sqlite_run(sqlite3 *db, const char *sql, const struct sqlite_arg *args, size_t count,
               struct error *e);
/* 1: a row, 0: no more rows, negative: an error. */
int sqlite_next(sqlite3 *db, sqlite3_stmt *stmt, struct error *e);

const char *sqlite_text(struct arena *arena, sqlite3_stmt *stmt, int column); /* NULL for NULL */
struct bytes sqlite_blob(struct arena *arena, sqlite3_stmt *stmt, int column);

#define SQLITE_RUN(db, e, sql, ...)                                                                \
    sqlite_run((db), (sql), (const struct sqlite_arg[]){__VA_ARGS__},                              \
               sizeof((const struct sqlite_arg[]){__VA_ARGS__}) / sizeof(struct sqlite_arg), (e))

#endif
