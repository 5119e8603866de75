/*
 * Owns sessions with a SQLite file. The journal mode stays as the application chose it. It refuses a file that is
 * not there (unless asked to make it) and one that is no database.
 */
#include "lib/io/db/sqlite.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/evidence.h"

#define SCHEME          "sqlite://"
#define STATEMENT_NOTES 300 /* bytes of a statement in an error */

static sqlite3 *handle(const struct db_session *s)
{
    return s->handle;
}

/* sqlite:///a%20b is the file "/a b". */
static int path_of(struct db_session *s, const char *url, const char **ret, struct error *e)
{
    const char *p = url + strlen(SCHEME);
    if (*p != '/') {
        return error_set(e, E_INVALID,
                         "database %s: its URL needs an absolute path: sqlite:///path/of/the/file",
                         s->name);
    }
    struct buf b;
    buf_init(&b, s->arena, PATH_MAX);
    for (; *p != '\0' && *p != '?'; p++) {
        unsigned byte = 0;
        if (*p == '%') {
            if (sscanf(p + 1, "%2x", &byte) != 1 || byte == 0 || p[2] == '\0') {
                return error_set(e, E_INVALID,
                                 "database %s: %% in its URL needs two hexadecimal digits",
                                 s->name);
            }
            buf_putc(&b, (char)byte);
            p += 2;
        } else {
            buf_putc(&b, *p);
        }
    }
    if (b.overflow) {
        return error_set(e, E_LIMIT, "database %s: its path is too long", s->name);
    }
    *ret = buf_text(&b);
    return 0;
}

/* ---- errors ---- */

static int line_at(const char *text, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && text[i] != '\0'; i++) {
        if (text[i] == '\n') {
            line++;
        }
    }
    return line;
}

/* `statement` points into `text`. */
static int fail(struct db_session *s, const char *text, const char *statement, struct error *e)
{
    sqlite3 *db = handle(s);
    int code = sqlite3_errcode(db);
    const char *words = sqlite3_errmsg(db);
    s->fault = (struct db_fault){0};
    if (statement != NULL) {
        int offset = sqlite3_error_offset(db);
        size_t start = (size_t)(statement - text);
        s->fault.line =
            line_at(text, start + (offset > 0 ? (size_t)offset : strspn(statement, " \t\r\n")));
    }
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return db_fail(s, e, E_UNAVAILABLE,
                       "another process is writing to the file (%s): stop it, or let it finish",
                       words);
    case SQLITE_FULL:
        return db_fail(s, e, E_LIMIT, "%s: make room on its disk", words);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return db_fail(s, e, E_DENIED,
                       "%s: let the user that Lockstep runs as write the file and its directory",
                       words);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return db_fail(s, e, E_DATABASE, "%s: is this the right file? Otherwise restore a backup",
                       words);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return db_fail(s, e, E_IO, "%s", words);
    default:
        break;
    }
    s->fault.fenced = str_starts(words, DB_FENCE_WORDS);
    return db_fail(s, e, s->fault.fenced ? E_DENIED : E_DATABASE, "%s", words);
}

/* ---- sessions ---- */

static int lite_open(struct db_session *s, const char *url, const char *password UNUSED,
                     struct error *e)
{
    const char *path = NULL;
    int rc = path_of(s, url, &path, e);
    if (rc < 0) {
        return rc;
    }
    s->place = path;
    struct stat st;
    if (!s->options.create && stat(path, &st) < 0) {
        int why = errno;
        return db_fail(s, e, error_from_errno(why),
                       "cannot open the file: %s. Check the path in the URL", strerror(why));
    }
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX |
                (s->options.create ? SQLITE_OPEN_CREATE : 0);
    int opened = sqlite3_open_v2(path, &db, flags, NULL);
    s->handle = db;
    if (opened != SQLITE_OK) {
        return db == NULL ? db_fail(s, e, E_LIMIT, "out of memory") : fail(s, "", NULL, e);
    }
    sqlite3_busy_timeout(db, DB_BUSY_TIMEOUT_MS);
    /* The file is read only now: this is where one that is no database shows. */
    rc = db_exec(s, "SELECT count(*) FROM sqlite_master", e);
    if (rc == 0 && s->options.read_only) {
        rc = db_exec(s, "PRAGMA query_only = 1", e);
    }
    return rc;
}

static void lite_close(struct db_session *s)
{
    sqlite3_close(handle(s));
}

static int lite_exec(struct db_session *s, const char *sql, struct error *e)
{
    const char *rest = sql;
    while (*rest != '\0') {
        sqlite3_stmt *statement = NULL;
        const char *tail = NULL;
        int rc = sqlite3_prepare_v2(handle(s), rest, -1, &statement, &tail);
        if (rc == SQLITE_OK && statement != NULL) {
            do {
                rc = sqlite3_step(statement);
            } while (rc == SQLITE_ROW);
            rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
        }
        int failed = rc == SQLITE_OK ? 0 : fail(s, sql, rest, e);
        sqlite3_finalize(statement);
        if (failed < 0) {
            return failed;
        }
        rest = tail;
    }
    return 0;
}

static int bind_params(sqlite3_stmt *statement, const char *const *params, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "$%zu", i + 1);
        int index = sqlite3_bind_parameter_index(statement, name);
        if (index == 0) {
            continue;
        }
        int rc = params[i] == NULL
                     ? sqlite3_bind_null(statement, index)
                     : sqlite3_bind_text(statement, index, params[i], -1, SQLITE_STATIC);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    return SQLITE_OK;
}

static int read_rows(struct db_session *s, sqlite3_stmt *statement, struct arena *arena,
                     struct db_rows *ret)
{
    size_t capacity = 0;
    size_t cells = 0;
    ret->columns = (size_t)sqlite3_column_count(statement);
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (++ret->count > DB_ROWS_MAX) {
            return SQLITE_TOOBIG;
        }
        for (size_t column = 0; column < ret->columns; column++) {
            ret->cells = arena_grow(arena, ret->cells, cells, &capacity, sizeof(*ret->cells));
            ret->cells[cells++] =
                arena_strdup(arena, (const char *)sqlite3_column_text(statement, (int)column));
        }
    }
    ret->changed = (uint64_t)sqlite3_changes64(handle(s));
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int lite_query(struct db_session *s, struct arena *arena, const char *sql,
                      const char *const *params, size_t count, struct db_rows *ret, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(handle(s), sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = bind_params(statement, params, count);
    }
    if (rc == SQLITE_OK) {
        rc = read_rows(s, statement, arena, ret);
    }
    int failed = 0;
    if (rc == SQLITE_TOOBIG) {
        failed = db_fail(s, e, E_LIMIT, "an answer has more than %d rows", DB_ROWS_MAX);
    } else if (rc != SQLITE_OK) {
        failed = fail(s, sql, sql, e);
    }
    sqlite3_finalize(statement);
    return failed;
}

static bool lite_in_transaction(const struct db_session *s)
{
    return sqlite3_get_autocommit(handle(s)) == 0;
}

/* ---- questions about the database ---- */

static int lite_identity(struct db_session *s, struct arena *arena, const char **ret,
                         struct error *e)
{
    char *real = realpath(s->place, NULL);
    if (real == NULL) {
        return db_fail(s, e, error_from_errno(errno), "where is the file? %s", strerror(errno));
    }
    *ret = arena_printf(arena, "sqlite:%s", real);
    free(real);
    return 0;
}

static int lite_version(struct db_session *s UNUSED, struct arena *arena, const char **ret,
                        struct error *e UNUSED)
{
    *ret = arena_printf(arena, "SQLite %s", sqlite3_libversion());
    return 0;
}

static int lite_bytes(struct db_session *s, uint64_t *ret, struct error *e)
{
    const char *text = NULL;
    int rc = db_value(s, s->arena,
                      "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
                      NULL, 0, &text, e);
    if (rc == 0) {
        *ret = text != NULL ? strtoull(text, NULL, 10) : 0;
    }
    return rc;
}

static int lite_table_exists(struct db_session *s, const char *table, bool *ret, struct error *e)
{
    const char *found = NULL;
    if (str_starts(table, SQLITE_MAIN)) {
        table += strlen(SQLITE_MAIN);
    }
    int rc = db_value(s, s->arena,
                      "SELECT 1 FROM " SQLITE_MAIN
                      "sqlite_master WHERE type IN ('table', 'view') AND name = $1 COLLATE NOCASE",
                      &table, 1, &found, e);
    if (rc == 0) {
        *ret = found != NULL;
    }
    return rc;
}

/* The file's own write lock orders creators, waits and workers: a dead process holds none. */
static int lite_creator_lock(struct db_session *s UNUSED, struct error *e UNUSED)
{
    return 0;
}

static int lite_limit_wait(struct db_session *s UNUSED, int64_t ms UNUSED, struct error *e UNUSED)
{
    return 0;
}

static int lite_sole_worker(struct db_session *s UNUSED, const char *run UNUSED,
                            const char *step UNUSED, int64_t deadline_ms UNUSED,
                            struct error *e UNUSED)
{
    return 0;
}

static int lite_worker_lives(struct db_session *s UNUSED, const char *run UNUSED,
                             const char *step UNUSED, bool *ret, struct error *e UNUSED)
{
    *ret = false; /* a worker is the process itself */
    return 0;
}

static int lite_advisory_state(struct db_session *s UNUSED, struct arena *arena UNUSED,
                               const char *key UNUSED, struct db_lock_state *ret,
                               struct error *e UNUSED)
{
    *ret = (struct db_lock_state){.words = "nobody"};
    return 0;
}

/* The file counts the changes of its schema itself. */
static int lite_schema_state(struct db_session *s, struct arena *arena, const char **ret,
                             struct error *e)
{
    return db_value(s, arena, "SELECT 'schema ' || schema_version FROM pragma_schema_version()",
                    NULL, 0, ret, e);
}

static int lite_advisory_try(struct db_session *s UNUSED, const char *key UNUSED, bool *ret,
                             struct error *e UNUSED)
{
    *ret = true;
    return 0;
}

static int lite_advisory_release(struct db_session *s UNUSED, const char *key UNUSED,
                                 struct error *e UNUSED)
{
    return 0;
}

/* ---- backup ---- */

static int clean_copy(sqlite3 *copy)
{
    /* Dropping a table drops its triggers, and asks none of them. */
    static const char *const tables[] = {"fence",       "evidence", "intent", "checkpoint",
                                         "fingerprint", "holder",   "layout"};
    int rc = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_SIZE(tables) && rc == SQLITE_OK; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS lockstep_%s", tables[i]);
        rc = sqlite3_exec(copy, sql, NULL, NULL, NULL);
    }
    return rc;
}

static int first_word(void *context, int columns UNUSED, char **values, char **names UNUSED)
{
    char *word = context;
    if (word[0] == '\0') {
        snprintf(word, STATEMENT_NOTES, "%s", values[0] != NULL ? values[0] : "");
    }
    return 0;
}

static int lite_dump(struct db_session *s, struct act *act UNUSED,
                     const struct database_ref *ref UNUSED, const char *path, struct error *e)
{
    sqlite3 *copy = NULL;
    int rc = sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_backup *backup = sqlite3_backup_init(copy, "main", handle(s), "main");
        if (backup != NULL) {
            while ((rc = sqlite3_backup_step(backup, -1)) == SQLITE_BUSY || rc == SQLITE_LOCKED) {
                sqlite3_sleep(50);
            }
            rc = sqlite3_backup_finish(backup);
        } else {
            rc = sqlite3_errcode(copy);
        }
    }
    if (rc == SQLITE_OK) {
        /* One file: no -wal beside it that a person would forget. */
        rc = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = clean_copy(copy);
    }
    char word[STATEMENT_NOTES] = "";
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(copy, "PRAGMA integrity_check", first_word, word, NULL);
    }
    int failed = 0;
    if (rc != SQLITE_OK) {
        failed = db_fail(s, e, (rc & 0xff) == SQLITE_FULL ? E_LIMIT : E_IO,
                         "cannot write the backup %s: %s", path, sqlite3_errmsg(copy));
    } else if (!str_equal(word, "ok")) {
        failed = db_fail(s, e, E_DATABASE, "the backup %s is damaged: %s", path, word);
    }
    sqlite3_close(copy);
    return failed;
}

static const char *const schemes[] = {SCHEME, NULL};

const struct db_engine db_sqlite = {
    .kind = DB_SQLITE,
    .name = "SQLite",
    .table_names = "SELECT name FROM sqlite_master WHERE type = 'table'",
    .schemes = schemes,
    .name_quote = '"',
    .text_type = "text",
    .open = lite_open,
    .close = lite_close,
    .exec = lite_exec,
    .query = lite_query,
    .begin = "BEGIN IMMEDIATE",
    .schema_in_transactions = true,
    .in_transaction = lite_in_transaction,
    .identity = lite_identity,
    .version = lite_version,
    .bytes = lite_bytes,
    .table_exists = lite_table_exists,
    .writers = sqlite_writers,
    .prefix = SQLITE_MAIN "lockstep_",
    .evidence_ddl = sqlite_evidence_ddl,
    .creator_lock = lite_creator_lock,
    .limit_wait = lite_limit_wait,
    .try_lock = sqlite_try_lock,
    .keep_lock = sqlite_keep_lock,
    .unlock = sqlite_unlock,
    .lock_state = sqlite_lock_state,
    .sole_worker = lite_sole_worker,
    .worker_lives = lite_worker_lives,
    .advisory_state = lite_advisory_state,
    .schema_state = lite_schema_state,
    .advisory_try = lite_advisory_try,
    .advisory_release = lite_advisory_release,
    .objects = sqlite_objects,
    .terminate = sqlite_terminate,
    .dump = lite_dump,
    .restore = sqlite_restore,
};
