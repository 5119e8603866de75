/* Rows of a query, one after the other; and the inside of the store. Shared by the files of this folder alone. */
#ifndef LOCKSTEP_IO_STORE_ROWS_H
#define LOCKSTEP_IO_STORE_ROWS_H

#include "lib/io/store/sqlite.h"
#include "lib/io/store/store.h"

struct store {
    sqlite3 *db; /* owned */
};

/* `take` fills one row of whatever `context` is. */
typedef void row_taker(void *context, struct arena *arena, sqlite3_stmt *stmt);

/* Calls `take` for every row. How many there were, or a code with *e. */
int store_each_row(struct store *s, struct arena *arena, const char *sql,
                   const struct sqlite_arg *args, size_t count, row_taker *take, void *context,
                   struct error *e);

#define EACH_ROW(s, arena, sql, take, context, e, ...)                                             \
    store_each_row((s), (arena), (sql), (const struct sqlite_arg[]){__VA_ARGS__},                  \
                   sizeof((const struct sqlite_arg[]){__VA_ARGS__}) / sizeof(struct sqlite_arg),   \
                   (take), (context), (e))

/* All of `work`, or nothing. */
int store_transaction(struct store *s,
                      int (*work)(struct store *s, const void *context, struct error *e),
                      const void *context, struct error *e);

#endif
