/*
 * Owns putting a SQLite file back to a backup: in one transaction of the file itself, so that its readers see the old or
 * the new, and a crash leaves one of the two. Tables are made and filled from the attached backup with their rowids;
 * Lockstep's own are not touched. It refuses a backup that is damaged, or in another text encoding.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/db/sqlite.h"
#include "lib/io/platform/act.h"

#define COLUMNS_BYTES_MAX (1024u * 1024)

/* Not Lockstep's and not SQLite's own. `m` is a sqlite_schema; `l` its pragma_table_list. */
#define OF_THE_APPLICATION                                                                         \
    " m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"                              \
    " AND m.tbl_name NOT LIKE 'lockstep\\_%' ESCAPE '\\' "
#define LISTED(schema)                                                                             \
    schema ".sqlite_schema m LEFT JOIN pragma_table_list l ON l.schema = '" schema                 \
           "' AND l.name = m.name"

static const char *quoted(struct arena *arena, const char *name)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    buf_putc(&b, '"');
    for (const char *p = name; *p != '\0'; p++) {
        buf_puts(&b, *p == '"' ? "\"\"" : (char[]){*p, '\0'});
    }
    buf_putc(&b, '"');
    return buf_text(&b);
}

/* ---- the backup ---- */

static int first_word(void *context, int columns UNUSED, char **values, char **names UNUSED)
{
    char *word = context;
    if (word[0] == '\0' && values[0] != NULL) {
        sqlite3_snprintf(300, word, "%s", values[0]);
    }
    return 0;
}

/* By itself, read only: an attached file could be made or mended by mistake. */
static int check(struct db_session *s, const char *path, struct error *e)
{
    sqlite3 *backup = NULL;
    char word[300] = "";
    char encoding[300] = "";
    int rc = sqlite3_open_v2(path, &backup, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(backup, "PRAGMA integrity_check", first_word, word, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(backup, "PRAGMA encoding", first_word, encoding, NULL);
    }
    int failed = 0;
    const char *own = NULL;
    char bytes[300] = "";
    struct stat st;
    if (rc == SQLITE_OK && str_equal(word, "ok")) {
        rc = sqlite3_exec(backup,
                          "SELECT page_count * page_size FROM pragma_page_count(),"
                          " pragma_page_size()",
                          first_word, bytes, NULL);
    }
    /* SQLite reads what is missing of the last page as zeros. */
    if (rc == SQLITE_OK && bytes[0] != '\0' &&
        (stat(path, &st) < 0 || st.st_size < strtoll(bytes, NULL, 10))) {
        sqlite3_snprintf(sizeof(word), word, "its end is missing");
    }
    if (rc != SQLITE_OK || !str_equal(word, "ok")) {
        failed =
            db_fail(s, e, E_INVALID, "%s is no whole backup of SQLite: %s; nothing was changed",
                    path, rc != SQLITE_OK ? sqlite3_errmsg(backup) : word);
    } else {
        failed = db_value(s, s->arena, "PRAGMA encoding", NULL, 0, &own, e);
    }
    if (failed == 0 && !str_equal(own, encoding)) {
        failed = db_fail(s, e, E_INVALID, "%s keeps its text in %s, the database in %s", path,
                         encoding, own);
    }
    sqlite3_close(backup);
    return failed;
}

/* ---- one transaction ---- */

/* Each row's first cell is a statement. */
static int run_each(struct db_session *s, const char *sql, struct error *e)
{
    struct db_rows rows = {0};
    int rc = db_query(s, s->arena, sql, NULL, 0, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        rc = db_exec(s, db_cell(&rows, i, 0), e);
    }
    return rc;
}

/* A virtual table takes what it keeps its data in with it. */
static int drop_all(struct db_session *s, struct error *e)
{
    return run_each(
        s,
        "SELECT printf('DROP %s IF EXISTS main.\"%w\"', CASE m.type WHEN 'table' THEN 'TABLE' WHEN"
        " 'view' THEN 'VIEW' ELSE 'TRIGGER' END, m.name) FROM " LISTED(
            "main") " WHERE m.type IN ('trigger', 'view', 'table') AND" OF_THE_APPLICATION
                    "AND coalesce(l.type, '') <> 'shadow'"
                    " ORDER BY CASE m.type WHEN 'trigger' THEN 1 WHEN 'view' THEN 2 ELSE 3 END,"
                    " coalesce(l.type, '') <> 'virtual'",
        e);
}

static bool named(const struct db_rows *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (sqlite3_stricmp(db_cell(columns, i, 0), name) == 0) {
            return true;
        }
    }
    return false;
}

/* The rowid's name in a table that has one beside its columns; NULL: it has none, or it is a column. */
static const char *rowid_of(const struct db_rows *columns, bool without)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (size_t i = 0; i < columns->count; i++) {
        without = without || (sqlite3_stricmp(db_cell(columns, i, 1), "INTEGER") == 0 &&
                              str_equal(db_cell(columns, i, 2), "1"));
    }
    for (size_t i = 0; !without && i < ARRAY_SIZE(names); i++) {
        if (!named(columns, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

static int fill(struct db_session *s, const char *table, bool without_rowid, struct error *e)
{
    struct db_rows columns = {0};
    int rc = db_query(s, s->arena,
                      "SELECT name, type, pk FROM pragma_table_xinfo($1, 'backup')"
                      " WHERE hidden = 0",
                      &table, 1, &columns, e);
    if (rc < 0) {
        return rc;
    }
    struct buf b;
    buf_init(&b, s->arena, COLUMNS_BYTES_MAX);
    const char *rowid = rowid_of(&columns, without_rowid);
    if (rowid != NULL) {
        buf_puts(&b, rowid);
    }
    for (size_t i = 0; i < columns.count; i++) {
        buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", quoted(s->arena, db_cell(&columns, i, 0)));
    }
    if (b.overflow) {
        return db_fail(s, e, E_LIMIT, "table %s has too many columns", table);
    }
    const char *name = quoted(s->arena, table);
    return db_exec(s,
                   arena_printf(s->arena,
                                "DELETE FROM main.%s; INSERT INTO main.%s (%s) SELECT %s FROM "
                                "backup.%s",
                                name, name, buf_text(&b), buf_text(&b), name),
                   e);
}

/* Virtual tables first: making one makes what it keeps its data in, which is then filled like any other. */
static int make_tables(struct db_session *s, struct error *e)
{
    struct db_rows rows = {0};
    int rc = db_query(s, s->arena,
                      "SELECT m.name, m.sql, coalesce(l.type, ''), coalesce(l.wr, 0) FROM " LISTED(
                          "backup") " WHERE m.type = 'table' AND" OF_THE_APPLICATION
                                    "ORDER BY coalesce(l.type, '') <> 'virtual', m.rowid",
                      NULL, 0, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        const char *type = db_cell(&rows, i, 2);
        if (!str_equal(type, "shadow")) {
            rc = db_exec(s, db_cell(&rows, i, 1), e);
        }
        if (rc == 0 && !str_equal(type, "virtual")) {
            rc = fill(s, db_cell(&rows, i, 0), str_equal(db_cell(&rows, i, 3), "1"), e);
        }
    }
    return rc;
}

/* Triggers last: nothing that is filled in asks them. */
static int make_rest(struct db_session *s, struct error *e)
{
    return run_each(
        s,
        "SELECT m.sql FROM backup.sqlite_schema m WHERE m.type <> 'table' AND" OF_THE_APPLICATION
        "ORDER BY m.type = 'trigger', m.rowid",
        e);
}

/* What stands beside the tables: the last AUTOINCREMENT numbers, and two numbers of the application's own. */
static int copy_numbers(struct db_session *s, struct error *e)
{
    int rc = run_each(
        s,
        "SELECT 'DELETE FROM main.sqlite_sequence WHERE name NOT LIKE ''lockstep\\_%'' ESCAPE "
        "''\\'';' FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"
        " UNION ALL SELECT 'INSERT INTO main.sqlite_sequence SELECT * FROM backup.sqlite_sequence "
        "WHERE name NOT LIKE ''lockstep\\_%'' ESCAPE ''\\''' FROM backup.sqlite_schema b JOIN"
        " main.sqlite_schema m ON m.name = b.name WHERE b.name = 'sqlite_sequence'",
        e);
    static const char *const numbers[] = {"user_version", "application_id"};
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(numbers); i++) {
        const char *value = NULL;
        rc = db_value(s, s->arena, arena_printf(s->arena, "PRAGMA backup.%s", numbers[i]), NULL, 0,
                      &value, e);
        if (rc == 0) {
            rc = db_exec(s, arena_printf(s->arena, "PRAGMA main.%s = %s", numbers[i], value), e);
        }
    }
    return rc;
}

static int replace_all(struct db_session *s, struct error *e)
{
    int rc = db_begin(s, e);
    rc = rc < 0 ? rc : db_exec(s, "DELETE FROM lockstep_intent", e);
    /* First: an old fence is refused before anything is dropped. */
    rc = rc < 0 ? rc : db_evidence_add(s, s->restoring, DB_HOW_RAN, e);
    rc = rc < 0 ? rc : drop_all(s, e);
    rc = rc < 0 ? rc : make_tables(s, e);
    rc = rc < 0 ? rc : make_rest(s, e);
    rc = rc < 0 ? rc : copy_numbers(s, e);
    rc = rc < 0 ? rc : db_commit(s, e);
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

int sqlite_restore(struct db_session *s, struct act *act, const struct database_ref *ref UNUSED,
                   const char *path, struct error *e)
{
    int rc = check(s, path, e);
    if (rc < 0) {
        return rc;
    }
    rc = db_exec(s, "PRAGMA foreign_keys = off; PRAGMA defer_foreign_keys = off", e);
    rc = rc < 0 ? rc : db_query(s, s->arena, "ATTACH $1 AS backup", &path, 1, NULL, e);
    if (rc < 0) {
        return rc;
    }
    rc = replace_all(s, e);
    struct db_fault fault = s->fault;
    db_exec(s, "DETACH backup", NULL);
    s->fault = fault;
    if (rc == 0 && db_exec(s, "PRAGMA optimize", NULL) < 0) {
        act_log(act, "database %s: restored; its statistics were not renewed", s->name);
    }
    return rc;
}
