/*
 * Owns the order and the durability of records: one queue, one thread, one SQLite file. It refuses
 * to go on after the first failed commit.
 */
#include "lib/io/store/journal.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/io/store/sqlite.h"

static const char schema[] = "CREATE TABLE record ("
                             "  number INTEGER PRIMARY KEY,"
                             "  stream TEXT NOT NULL,"
                             "  data BLOB NOT NULL);"
                             "CREATE INDEX record_stream ON record (stream, number);"
                             "CREATE TABLE last (number INTEGER NOT NULL);"
                             "INSERT INTO last VALUES (0);";
static const struct sqlite_format format = {.version = JOURNAL_VERSION, .schema = schema};

enum entry_type { ENTRY_APPEND, ENTRY_FORGET };

struct entry {
    struct entry *next; /* owned by the queue */
    enum entry_type type;
    uint64_t number;
    char *stream; /* owned */
    size_t len;
    uint8_t data[];
};

struct journal {
    struct journal_options options;
    sqlite3 *reader; /* owned; the loop's */
    sqlite3 *db;     /* owned; the thread's after journal_open() */
    uint64_t last;   /* the loop's */
    uv_thread_t thread;
    uv_async_t wake; /* thread to loop */
    uv_mutex_t mutex;
    uv_cond_t more;
    /* under the mutex */
    struct entry *first, **end;
    bool closing;
    bool broken;
    uint64_t durable;
    struct error error;
    /* the loop's */
    uint64_t told;
    bool told_broken;
};

static void free_entries(struct entry *entry)
{
    while (entry != NULL) {
        struct entry *next = entry->next;
        free(entry->stream);
        free(entry);
        entry = next;
    }
}

static int write_entry(struct journal *j, const struct entry *entry, struct error *e)
{
    struct bytes data = {.data = entry->data, .len = entry->len};
    switch (entry->type) {
    case ENTRY_APPEND:
        return SQLITE_RUN(j->db, e, "INSERT INTO record (number, stream, data) VALUES (?, ?, ?)",
                          ARG_INT((int64_t)entry->number), ARG_TEXT(entry->stream), ARG_BLOB(data));
    case ENTRY_FORGET:
        return SQLITE_RUN(j->db, e, "DELETE FROM record WHERE stream = ?", ARG_TEXT(entry->stream));
    }
    return E_INVALID;
}

static void crash_when(uint64_t number, uint64_t from, uint64_t to)
{
    if (number != 0 && number >= from && number <= to) {
        kill(getpid(), SIGKILL);
    }
}

/* Commits a batch in one transaction. *ret_number: the highest number in it. */
static int commit(struct journal *j, const struct entry *batch, uint64_t *ret_number,
                  struct error *e)
{
    uint64_t lowest = 0;
    uint64_t highest = 0;
    int r = sqlite_run(j->db, "BEGIN IMMEDIATE", NULL, 0, e);
    for (const struct entry *entry = batch; r == 0 && entry != NULL; entry = entry->next) {
        r = write_entry(j, entry, e);
        if (entry->type == ENTRY_APPEND) {
            lowest = lowest == 0 ? entry->number : lowest;
            highest = entry->number;
        }
    }
    if (r == 0 && highest != 0) {
        r = SQLITE_RUN(j->db, e, "UPDATE last SET number = ?", ARG_INT((int64_t)highest));
    }
    if (r == 0) {
        crash_when(j->options.crash_before, lowest, highest);
        r = sqlite_run(j->db, "COMMIT", NULL, 0, e);
    }
    if (r == 0) {
        crash_when(j->options.crash_after, lowest, highest);
        *ret_number = highest;
    }
    return r;
}

/* The next batch, or NULL when the journal is closing and nothing is left. With a crash test armed
 * a batch is one record, so that every number is a point of its own. */
static struct entry *take_batch(struct journal *j)
{
    uv_mutex_lock(&j->mutex);
    while (j->first == NULL && !j->closing) {
        uv_cond_wait(&j->more, &j->mutex);
    }
    struct entry *batch = j->first;
    bool one = j->options.crash_before != 0 || j->options.crash_after != 0;
    if (batch != NULL && one && batch->next != NULL) {
        j->first = batch->next;
        batch->next = NULL;
    } else {
        j->first = NULL;
        j->end = &j->first;
    }
    uv_mutex_unlock(&j->mutex);
    return batch;
}

static void write_all(void *arg)
{
    struct journal *j = arg;
    struct entry *batch;
    while ((batch = take_batch(j)) != NULL) {
        uint64_t number = 0;
        struct error e = {0};
        bool broken = j->broken;
        int r = broken ? 0 : commit(j, batch, &number, &e);
        free_entries(batch);
        uv_mutex_lock(&j->mutex);
        if (r < 0) {
            j->broken = true;
            j->error = e;
        } else if (number > j->durable) {
            j->durable = number;
        }
        uv_mutex_unlock(&j->mutex);
        uv_async_send(&j->wake);
    }
}

static void tell(uv_async_t *wake)
{
    struct journal *j = CONTAINER_OF(wake, struct journal, wake);
    uv_mutex_lock(&j->mutex);
    uint64_t durable = j->durable;
    bool broken = j->broken;
    struct error e = j->error;
    uv_mutex_unlock(&j->mutex);
    if (durable > j->told) {
        j->told = durable;
        j->options.durable(j->options.context, durable);
    }
    if (broken && !j->told_broken) {
        j->told_broken = true;
        j->options.failed(j->options.context, &e);
    }
}

static int read_last(struct journal *j, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_query(j->db, "SELECT number FROM last", NULL, 0, &stmt, e);
    if (r < 0) {
        return r;
    }
    r = sqlite_next(j->db, stmt, e);
    if (r > 0) {
        j->last = (uint64_t)sqlite3_column_int64(stmt, 0);
        j->durable = j->last;
        j->told = j->last;
    }
    sqlite3_finalize(stmt);
    return r < 0 ? r : 0;
}

int journal_open(uv_loop_t *loop, const struct journal_options *options, struct journal **ret,
                 struct error *e)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return error_set(e, E_LIMIT, "out of memory");
    }
    j->options = *options;
    j->options.path = NULL;
    j->end = &j->first;
    int r = sqlite_open(options->path, &format, &j->db, e);
    if (r == 0) {
        r = sqlite_open(options->path, &format, &j->reader, e);
    }
    if (r == 0) {
        r = read_last(j, e);
    }
    if (r < 0) {
        sqlite3_close(j->reader);
        sqlite3_close(j->db);
        free(j);
        return r;
    }
    if (uv_mutex_init(&j->mutex) != 0 || uv_cond_init(&j->more) != 0 ||
        uv_async_init(loop, &j->wake, tell) != 0 ||
        uv_thread_create(&j->thread, write_all, j) != 0) {
        abort(); /* the process has no threads left at its very start */
    }
    uv_unref((uv_handle_t *)&j->wake);
    *ret = j;
    return 0;
}

static void free_journal(uv_handle_t *handle)
{
    struct journal *j = CONTAINER_OF(handle, struct journal, wake);
    uv_mutex_destroy(&j->mutex);
    uv_cond_destroy(&j->more);
    sqlite3_close(j->reader);
    sqlite3_close(j->db);
    free(j);
}

struct journal *journal_close(struct journal *j)
{
    if (j == NULL) {
        return NULL;
    }
    uv_mutex_lock(&j->mutex);
    j->closing = true;
    uv_cond_signal(&j->more);
    uv_mutex_unlock(&j->mutex);
    uv_thread_join(&j->thread);
    uv_close((uv_handle_t *)&j->wake, free_journal);
    return NULL;
}

static void push(struct journal *j, enum entry_type type, uint64_t number, const char *stream,
                 struct bytes data)
{
    struct entry *entry = malloc(sizeof(*entry) + data.len);
    char *copy = strdup(stream);
    if (entry == NULL || copy == NULL) {
        abort(); /* a record that cannot even be queued: nothing later may be acted on */
    }
    *entry = (struct entry){.type = type, .number = number, .stream = copy, .len = data.len};
    if (data.len > 0) {
        memcpy(entry->data, data.data, data.len);
    }
    uv_mutex_lock(&j->mutex);
    *j->end = entry;
    j->end = &entry->next;
    uv_cond_signal(&j->more);
    uv_mutex_unlock(&j->mutex);
}

uint64_t journal_append(struct journal *j, const char *stream, struct bytes data)
{
    assert(data.len <= LIMIT_RECORD_BYTES);
    j->last++;
    push(j, ENTRY_APPEND, j->last, stream, data);
    return j->last;
}

uint64_t journal_last(const struct journal *j)
{
    return j->last;
}

uint64_t journal_durable(const struct journal *j)
{
    return j->told;
}

void journal_forget(struct journal *j, const char *stream)
{
    push(j, ENTRY_FORGET, 0, stream, (struct bytes){0});
}

int journal_read(struct journal *j, const char *stream, uint64_t after,
                 int (*seen)(void *context, uint64_t number, struct bytes data, struct error *e),
                 void *context, struct error *e)
{
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_query(
        j->reader,
        "SELECT number, data FROM record WHERE (?1 IS NULL OR stream = ?1) AND number > ?2"
        " ORDER BY number",
        (const struct sqlite_arg[]){ARG_TEXT(stream), ARG_INT((int64_t)after)}, 2, &stmt, e);
    if (r < 0) {
        return r;
    }
    while ((r = sqlite_next(j->reader, stmt, e)) > 0) {
        struct bytes data = {.data = sqlite3_column_blob(stmt, 1),
                             .len = (size_t)sqlite3_column_bytes(stmt, 1)};
        r = seen(context, (uint64_t)sqlite3_column_int64(stmt, 0), data, e);
        if (r != 0) {
            break;
        }
    }
    sqlite3_finalize(stmt);
    return r;
}
