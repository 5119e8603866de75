/*
 * Owns the clone of a MariaDB database: a new database on the same server, or one that a person made, filled by mariadb-dump
 * and the mariadb client. A clone is marked in its comment; its maker is alive as long as the server knows its user-level
 * lock. Nothing without that mark is ever dropped.
 *
 * A change of the schema gives its metadata locks back when it ends, before anybody can look: no locks are told.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/mariadb.h"
#include "lib/io/db/rehearse_parts.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define MARK            "lockstep rehearsal "
#define NAME_PART       "_lockstep_rehearsal_"
#define DATABASE_DENIED 1044
#define DROP_SECONDS    "10" /* one try to drop a database whose sessions were ended */
#define DROP_TRIES      6
#define ANSWER_BYTES    (16u * 1024 * 1024) /* of a statement with all columns of a table */

/* Runs each statement that a query answers with. */
static int run_each(struct db_session *s, const char *query, const char *const *params,
                    size_t count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, s->arena, query, params, count, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        rc = db_exec(s, db_cell(&rows, i, 0), e);
    }
    return rc;
}

static const char *quoted(struct arena *arena, const char *name)
{
    struct buf b;
    buf_init(&b, arena, 2 * strlen(name) + 3);
    buf_putc(&b, '`');
    for (const char *p = name; *p != '\0'; p++) {
        buf_puts(&b, *p == '`' ? "`" : "");
        buf_putc(&b, *p);
    }
    buf_putc(&b, '`');
    return buf_text(&b);
}

/* ---- who lives ---- */

static const char *life_name(struct arena *arena, const char *run)
{
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(run, strlen(run), hex);
    return arena_printf(arena, "lockstep:rehearsal:%.40s", hex);
}

/* The maker's session has this lock, and ends when the maker does. */
static int maker_lives(struct db_session *s, const char *run, bool *ret, struct error *e)
{
    const char *name = life_name(s->arena, run);
    const char *id = NULL;
    int rc = db_value(s, s->arena, "SELECT IS_USED_LOCK($1)", &name, 1, &id, e);
    *ret = rc < 0 || id != NULL;
    return rc;
}

/* … and is idle meanwhile. */
static int show_life(struct rehearsal *r, struct db_session *s, struct error *e)
{
    bool got = false;
    int rc = db_exec(s, "SET SESSION wait_timeout = 31536000", e);
    rc = rc < 0 ? rc : mariadb_advisory_try(s, life_name(s->arena, r->outer.run), &got, e);
    return rc == 0 && !got ? db_fail(s, e, E_CONFLICT, "another rehearsal has our name") : rc;
}

/* A dead rehearsal's migration may still be at work on the server. Others' sessions, which we may not end, are waited
 * for by the DROP. */
static int end_sessions(struct db_session *s, const char *database, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, s->arena,
                      "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = $1 AND ID <>"
                      " CONNECTION_ID()",
                      &database, 1, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        struct error ignored;
        rc = mariadb_terminate(s, strtoll(db_cell(&rows, i, 0), NULL, 10), &ignored);
        rc = rc == E_DENIED ? 0 : rc;
    }
    return rc;
}

static int drop_database(struct db_session *s, const char *name, struct error *e)
{
    const char *sql = arena_printf(s->arena, "DROP DATABASE IF EXISTS %s", quoted(s->arena, name));
    int rc = db_exec(s, "SET SESSION lock_wait_timeout = " DROP_SECONDS, e);
    for (int i = 0; rc == 0; i++) {
        rc = end_sessions(s, name, e);
        rc = rc < 0 ? rc : db_exec(s, sql, e);
        if (rc == 0 || !s->fault.waited || i >= DROP_TRIES) {
            return rc;
        }
        rc = 0;
    }
    return rc;
}

static int read_mark(struct db_session *s, const char *database, const char **ret, struct error *e)
{
    return db_value(s, s->arena,
                    "SELECT SUBSTRING_INDEX(SCHEMA_COMMENT, '" MARK "', -1) FROM"
                    " information_schema.SCHEMATA WHERE SCHEMA_NAME = $1 AND LOCATE('" MARK
                    "', SCHEMA_COMMENT) > 0",
                    &database, 1, ret, e);
}

static int bury(struct rehearsal *r, const char *name, struct error *e)
{
    struct db_session *s = &r->live;
    const char *mark = NULL;
    bool lives = true;
    int rc = read_mark(s, name, &mark, e);
    rc = rc < 0 || mark == NULL ? rc : maker_lives(s, mark, &lives, e);
    if (rc < 0 || lives) {
        return rc;
    }
    act_log(&r->outer, "removing the clone %s, which a rehearsal left that is dead", name);
    return drop_database(s, name, e);
}

static int sweep(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->live;
    struct db_rows rows;
    int rc = db_query(s, s->arena,
                      "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE"
                      " LOCATE('" NAME_PART "', SCHEMA_NAME) > 0",
                      NULL, 0, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        rc = bury(r, db_cell(&rows, i, 0), e);
    }
    return rc;
}

/* A database gets its mark with its name, so that one without it is not ours. */
static int sweep_named(struct rehearsal *r, const char *name, struct error *e)
{
    return strstr(name, NAME_PART) != NULL ? bury(r, name, e) : 0;
}

/* ---- a new database ---- */

/* The same URL, another database: it stands behind the last slash before the options. */
static const char *url_of(struct arena *arena, const char *url, const char *name)
{
    struct buf b;
    const char *p = strstr(url, "://") + strlen("://");
    size_t all = strcspn(p, "?");
    const char *slash = memrchr(p, '/', all);
    buf_init(&b, arena, 3 * strlen(name) + strlen(url) + 16);
    buf_append(&b, url, (size_t)(slash + 1 - url));
    for (const char *c = name; *c != '\0'; c++) {
        buf_printf(&b, "%%%02X", (unsigned char)*c);
    }
    buf_puts(&b, p + all);
    return buf_text(&b);
}

static int create(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->live;
    const char *how = NULL;
    int rc = db_value(s, s->arena,
                      "SELECT CONCAT('CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ',"
                      " DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE"
                      " SCHEMA_NAME = DATABASE()",
                      NULL, 0, &how, e);
    if (rc == 0) {
        rc = db_exec(s,
                     arena_printf(s->arena, "CREATE DATABASE %s %s COMMENT '" MARK "%s'",
                                  quoted(s->arena, r->name), how != NULL ? how : "", r->outer.run),
                     e);
    }
    if (rc < 0 && s->fault.number == DATABASE_DENIED) {
        return error_set(e, E_DENIED,
                         "database %s: its user may not make the clone: GRANT ALL ON "
                         "`%%" NAME_PART "%%`.* to it, or make an empty database and name it with "
                         "%s",
                         s->name, r->options.clone_key);
    }
    return rc;
}

/* ---- a database that a person made ---- */

/* Its own comment stays in front of our mark. */
static int write_mark(struct rehearsal *r, bool ours, struct error *e)
{
    struct db_session *s = &r->clone;
    const char *database = mariadb_of(s)->database;
    const char *params[] = {database, ours ? arena_printf(s->arena, MARK "%s", r->outer.run) : ""};
    const char *sql = NULL;
    int rc =
        db_value(s, s->arena,
                 "SELECT QUOTE(CONCAT(SUBSTRING_INDEX(SCHEMA_COMMENT, '" MARK "', 1), $2)) FROM"
                 " information_schema.SCHEMATA WHERE SCHEMA_NAME = $1",
                 params, 2, &sql, e);
    return rc < 0 ? rc
                  : db_exec(s,
                            arena_printf(s->arena, "ALTER DATABASE %s COMMENT %s",
                                         quoted(s->arena, database), sql),
                            e);
}

static int check_empty(struct db_session *s, const char **ret_words, struct error *e)
{
    return db_value(s, s->arena,
                    "SELECT GROUP_CONCAT(what SEPARATOR ', ') FROM (SELECT TABLE_NAME AS what FROM"
                    " information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() UNION ALL SELECT"
                    " ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA ="
                    " DATABASE() UNION ALL SELECT EVENT_NAME FROM information_schema.EVENTS WHERE"
                    " EVENT_SCHEMA = DATABASE() LIMIT 5) x",
                    NULL, 0, ret_words, e);
}

static int refuse_live(struct rehearsal *r, struct error *e)
{
    const char *live = NULL;
    const char *clone = NULL;
    int rc = r->live.engine->identity(&r->live, r->arena, &live, e);
    rc = rc < 0 ? rc : r->clone.engine->identity(&r->clone, r->arena, &clone, e);
    return rc == 0 && str_equal(live, clone)
               ? error_set(e, E_CONFLICT, "the clone is the live database itself: name another one")
               : rc;
}

static int take_over(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->clone;
    const char *mark = NULL;
    const char *words = NULL;
    bool lives = false;
    int rc = refuse_live(r, e);
    rc = rc < 0 ? rc : read_mark(s, mariadb_of(s)->database, &mark, e);
    rc = rc < 0 || mark == NULL ? rc : maker_lives(s, mark, &lives, e);
    if (rc == 0 && lives) {
        return error_set(e, E_CONFLICT, "another rehearsal (%s) is at work on the clone %s", mark,
                         s->place);
    }
    rc = rc < 0 || mark == NULL ? rc : end_sessions(s, mariadb_of(s)->database, e);
    rc = rc < 0 || mark == NULL ? rc : mariadb_drop_all(s, "''", e);
    rc = rc < 0 ? rc : check_empty(s, &words, e);
    if (rc == 0 && words != NULL) {
        return error_set(e, E_CONFLICT,
                         "the clone %s is not empty (%s): name a new database, nothing is ever "
                         "removed that was not made here",
                         s->place, words);
    }
    return rc < 0 ? rc : write_mark(r, true, e);
}

/* ---- both ---- */

/* The application's own jobs must not begin to work on a copy. */
static int stop_events(struct db_session *s, struct error *e)
{
    return run_each(s,
                    "SELECT CONCAT('ALTER EVENT `', REPLACE(EVENT_NAME, '`', '``'), '` DISABLE')"
                    " FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()",
                    NULL, 0, e);
}

/* Sizes are told by the statistics, which the server would make later. */
static int analyse(struct db_session *s, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, s->arena,
                      "SELECT CONCAT('ANALYZE TABLE `', REPLACE(TABLE_NAME, '`', '``'), '`') FROM"
                      " information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE ="
                      " 'BASE TABLE'",
                      NULL, 0, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        rc = db_query(s, s->arena, db_cell(&rows, i, 0), NULL, 0, NULL, e);
    }
    return rc;
}

static int fill(struct rehearsal *r, struct error *e)
{
    const char *file = arena_printf(r->arena, "%s/clone.sql", r->home);
    struct db_session s = {0}; /* what a restore sets in its session goes with it */
    struct db_options options = {.run = r->outer.run, .log_fd = r->outer.log_fd};
    int rc = r->live.engine->dump(&r->live, &r->act, r->options.live, file, e);
    if (rc == 0 && act_stopped(&r->act)) {
        rc = error_set(e, E_CANCELLED, "stopped before the clone was filled");
    }
    rc = rc < 0 ? rc : db_open(&s, r->arena, &r->ref, &options, e);
    rc = rc < 0 ? rc : s.engine->restore(&s, &r->act, &r->ref, file, e);
    rc = rc < 0 ? rc : stop_events(&s, e);
    rc = rc < 0 ? rc : analyse(&s, e);
    db_close(&s);
    struct error ignored;
    file_remove(file, &ignored);
    return rc;
}

static int open_clone(struct rehearsal *r, struct error *e)
{
    struct db_options options = {.run = arena_printf(r->arena, "%s look", r->outer.run),
                                 .log_fd = r->outer.log_fd};
    return db_open(&r->clone, &r->clone_arena, &r->ref, &options, e);
}

static int make(struct rehearsal *r, struct error *e)
{
    int rc = 0;
    if (r->options.clone != NULL) { /* on another server, maybe */
        r->ref = *r->options.clone;
        rc = open_clone(r, e);
        rc = rc < 0 ? rc : show_life(r, &r->clone, e);
        rc = rc < 0 ? rc : take_over(r, e);
    } else {
        r->ref = *r->options.live;
        r->ref.url = url_of(r->arena, r->ref.url, r->name);
        rc = show_life(r, &r->live, e);
        rc = rc < 0 ? rc : create(r, e);
        rc = rc < 0 ? rc : open_clone(r, e);
    }
    rc = rc < 0 ? rc : fill(r, e);
    return rc < 0 ? rc : r->clone.engine->bytes(&r->clone, &r->bytes, e);
}

/* Only what bears our mark: a database that was refused is not ours to empty. */
static int leave(struct rehearsal *r, bool keep, struct error *e)
{
    const char *mark = NULL;
    db_close(&r->clone);
    int rc = open_clone(r, e);
    rc = rc < 0 ? rc : read_mark(&r->clone, mariadb_of(&r->clone)->database, &mark, e);
    if (rc < 0 || !str_equal(mark, r->outer.run)) {
        return rc;
    }
    rc = keep ? 0 : mariadb_drop_all(&r->clone, "''", e);
    return rc < 0 ? rc : write_mark(r, false, e);
}

static int take_away(struct rehearsal *r, bool keep, struct error *e)
{
    if (r->options.clone != NULL) {
        return leave(r, keep, e);
    }
    db_close(&r->clone);
    struct db_session s = {0}; /* the one that was opened first may be lost by now */
    struct db_options options = {.run = arena_printf(r->arena, "%s rehearsal", r->outer.run)};
    const char *mark = NULL;
    int rc = db_open(&s, r->arena, r->options.live, &options, e);
    rc = rc < 0 ? rc : read_mark(&s, r->name, &mark, e);
    if (rc == 0 && str_equal(mark, r->outer.run)) { /* a name may be taken by another's */
        rc = keep ? db_exec(&s,
                            arena_printf(s.arena, "ALTER DATABASE %s COMMENT ''",
                                         quoted(s.arena, r->name)),
                            e)
                  : drop_database(&s, r->name, e);
    }
    db_close(&s);
    return rc;
}

/* ---- looking ---- */

/* InnoDB's number of a table is another one after it was written anew. Who may not see it is not told about that. */
static int storages(struct db_session *s, struct arena *arena, struct db_rows *ret, struct error *e)
{
    int rc = db_query(s, arena,
                      "SELECT t.TABLE_NAME, GROUP_CONCAT(i.TABLE_ID ORDER BY i.TABLE_ID) FROM"
                      " information_schema.TABLES t JOIN information_schema.INNODB_SYS_TABLES i ON"
                      " SUBSTRING_INDEX(i.NAME, '#', 1) = CONCAT(CONVERT(CAST(CONVERT(DATABASE()"
                      " USING filename) AS binary) USING utf8mb4), '/', CONVERT(CAST(CONVERT("
                      "t.TABLE_NAME USING filename) AS binary) USING utf8mb4)) COLLATE utf8mb4_bin"
                      " WHERE t.TABLE_SCHEMA = DATABASE() GROUP BY t.TABLE_NAME",
                      NULL, 0, ret, e);
    if (rc < 0 && s->fault.number == MARIADB_PRIVILEGE) {
        *ret = (struct db_rows){0};
        return 0;
    }
    return rc;
}

static const char *storage_of(const struct db_rows *storages, const char *table)
{
    for (size_t i = 0; i < storages->count; i++) {
        if (str_equal(db_cell(storages, i, 0), table)) {
            return db_cell(storages, i, 1);
        }
    }
    return "";
}

static int tables(struct db_session *s, struct arena *arena, struct rehearse_table **ret,
                  size_t *ret_count, struct error *e)
{
    struct db_rows numbers;
    struct db_rows rows;
    int rc = storages(s, arena, &numbers, e);
    rc = rc < 0 ? rc
                : db_query(s, arena,
                           "SELECT TABLE_NAME, COALESCE(DATA_LENGTH, 0) FROM"
                           " information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND"
                           " TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_NAME NOT"
                           " IN (" MARIADB_OWN_TABLES ") ORDER BY BINARY TABLE_NAME",
                           NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    struct rehearse_table *list = arena_array(arena, MAX(rows.count, 1), sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const char *name = db_cell(&rows, i, 0);
        if (!db_fingerprint_is_tools(s, name)) {
            list[count++] =
                (struct rehearse_table){.id = name,
                                        .name = name,
                                        .storage = storage_of(&numbers, name),
                                        .bytes = strtoull(db_cell(&rows, i, 1), NULL, 10),
                                        .has_rows = true};
        }
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

#define NUMBER_BEGIN "COALESCE(SUM(CAST(CONV(LEFT(MD5("
#define NUMBER_END   "), 15), 16, 10) AS decimal(20))), 0)"

/* Sums of hashes: whatever the order of the rows and of the columns, in one pass. */
static const char *hash_query(struct arena *arena, const char *table, const struct db_rows *columns)
{
    struct buf b;
    buf_init(&b, arena, ANSWER_BYTES);
    buf_puts(&b, "SELECT COUNT(*)");
    for (size_t i = 0; i < columns->count; i++) {
        const char *name = quoted(arena, db_cell(columns, i, 0));
        buf_printf(&b, ", " NUMBER_BEGIN "%s" NUMBER_END ", SUM(%s IS NULL)", name, name);
    }
    if (columns->count > 0) {
        buf_puts(&b, ", " NUMBER_BEGIN "CONCAT_WS(','");
        for (size_t i = 0; i < columns->count; i++) {
            buf_printf(&b, ", COALESCE(MD5(%s), '-')", quoted(arena, db_cell(columns, i, 0)));
        }
        buf_puts(&b, ")" NUMBER_END);
    }
    buf_printf(&b, " FROM %s", quoted(arena, table));
    return buf_text(&b);
}

static int rows(struct db_session *s, struct arena *arena, struct rehearse_table *table,
                bool digest, struct error *e)
{
    struct db_rows columns = {0};
    int rc = 0;
    if (digest) {
        rc = db_query(s, arena,
                      "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA ="
                      " DATABASE() AND TABLE_NAME = $1 ORDER BY BINARY COLUMN_NAME",
                      &table->name, 1, &columns, e);
    }
    struct db_rows answer = {0};
    rc = rc < 0 ? rc
                : db_query(s, arena, hash_query(arena, table->name, &columns), NULL, 0, &answer, e);
    if (rc < 0) {
        return rc;
    }
    table->rows = db_cell(&answer, 0, 0);
    table->columns_count = columns.count > 0 ? columns.count + 1 : 0;
    table->columns = arena_array(arena, MAX(table->columns_count, 1), sizeof(*table->columns));
    for (size_t i = 0; i < columns.count; i++) {
        table->columns[i] = (struct rehearse_column){
            .name = db_cell(&columns, i, 0),
            .hash = arena_printf(arena, "%s/%s", db_cell(&answer, 0, 2 * i + 1),
                                 db_cell(&answer, 0, 2 * i + 2)),
        };
    }
    if (columns.count > 0) {
        table->columns[columns.count] = (struct rehearse_column){
            .name = "", .hash = db_cell(&answer, 0, 2 * columns.count + 1)};
    }
    return 0;
}

const struct rehearse_engine rehearse_mariadb = {
    .kind = DB_MARIADB,
    .why_no_locks = "locks: a change of the schema gives its metadata locks back before anybody "
                    "can look",
    .why_no_rewrites = "tables that are written anew: GRANT PROCESS ON *.* to the user",
    .make = make,
    .remove = take_away,
    .sweep = sweep,
    .sweep_named = sweep_named,
    .tables = tables,
    .rows = rows,
};
