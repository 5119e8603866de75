/* Owns the list of formats and the reading of an external tool's ledger. */
#include "lib/io/db/format.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

extern const struct db_format db_format_morph;
extern const struct db_format db_format_golang_migrate;
extern const struct db_format db_format_goose;
extern const struct db_format db_format_sourcegraph;

const struct db_format *const db_formats[] = {&db_format_morph, &db_format_golang_migrate,
                                              &db_format_goose, &db_format_sourcegraph};
const size_t db_formats_count = ARRAY_SIZE(db_formats);

const struct db_format *db_format_get(int kind)
{
    for (size_t i = 0; i < db_formats_count; i++) {
        if ((int)db_formats[i]->kind == kind) {
            return db_formats[i];
        }
    }
    return NULL;
}

const char *db_ledger_name(const struct db_session *s, int format, struct arena *arena)
{
    return str_empty(s->ledger)
               ? migration_format_words[format]
               : arena_printf(arena, "%s %s", migration_format_words[format], s->ledger);
}

int db_ledger_refuse(struct db_session *s, const char *format, struct error *e)
{
    return db_fail(s, e, E_INVALID, "the migrations are %s's, which has no ledger on %s", format,
                   s->engine->name);
}

/* Names that need no quotes stand as the tool itself writes them: SQLite keeps the text. */
static bool is_plain(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0' &&
           (name[0] < '0' || name[0] > '9');
}

int db_table_named(struct db_session *s, const char *name, struct db_table *ret, struct error *e)
{
    const char *dot = strchr(name, '.');
    bool schemas = s->engine->kind == DB_POSTGRES;
    if (dot != NULL && !schemas) {
        return db_fail(s, e, E_INVALID,
                       "the ledger is \"%.100s\": %s has no schemas, write the table's name alone",
                       name, s->engine->name);
    }
    if (schemas && dot == NULL && s->schema[0] == '\0') {
        return db_fail(s, e, E_INVALID,
                       "the role's search_path names no schema that is there: the ledger %.100s "
                       "cannot be found. Set it, or write ledger: SCHEMA.TABLE",
                       name);
    }
    struct db_table table = {.schema = "", .name = name};
    if (schemas) {
        table.schema =
            dot != NULL ? arena_strndup(s->arena, name, (size_t)(dot - name)) : s->schema;
        table.name = dot != NULL ? dot + 1 : name;
        name = arena_printf(s->arena, "%s.%s", table.schema, table.name);
    }
    int rc = db_quote_name(s->engine, s->arena, name, &table.quoted, e);
    if (rc < 0) {
        error_wrap(e, "database %s: its ledger", s->name);
        return rc;
    }
    table.local = table.quoted;
    if (schemas) {
        rc = db_quote_name(s->engine, s->arena, table.name, &table.local, e);
    }
    if (s->engine->kind == DB_SQLITE) {
        table.local = is_plain(name) ? name : table.quoted;
        table.quoted = arena_printf(s->arena, SQLITE_MAIN "%s", table.local);
    }
    *ret = table;
    return rc;
}

int db_ledger_table(struct db_session *s, const char *fallback, struct db_table *ret,
                    struct error *e)
{
    return db_table_named(s, !str_empty(s->ledger) ? s->ledger : fallback, ret, e);
}

int db_ledger_exists(struct db_session *s, const struct db_table *table, bool *ret, struct error *e)
{
    assert(table->schema != NULL && table->name != NULL);
    const char *name = table->schema[0] != '\0'
                           ? arena_printf(s->arena, "%s.%s", table->schema, table->name)
                           : table->name;
    return s->engine->table_exists(s, name, ret, e);
}

int db_ledger_exec(struct db_session *s, const char *sql, struct error *e)
{
    bool own = !s->engine->in_transaction(s);
    int rc = own ? db_begin(s, e) : 0;
    if (rc == 0) {
        rc = db_exec(s, sql, e);
    }
    if (rc == 0 && own) {
        rc = db_commit(s, e);
    }
    if (rc < 0 && own) {
        db_rollback(s);
    }
    return rc;
}

/* ---- the tool's locks, for people ---- */

static int key_state(struct db_session *s, struct arena *arena, const struct db_format *f,
                     const struct db_holder *holder, const char *key, bool *ret_ours,
                     struct db_lock_state *ret, struct error *e)
{
    int rc = s->engine->advisory_state(s, arena, key, ret, e);
    if (rc == 0 && ret->held) {
        *ret_ours = holder->run != NULL && ret->pid == holder->backend_pid;
        ret->words = arena_printf(arena, "%s's own lock (%s): %s", f->name, key, ret->words);
    }
    return rc;
}

int db_tool_lock_state(struct db_session *s, struct arena *arena, int format,
                       struct db_lock_state *ret, struct error *e)
{
    const struct db_format *f = db_format_get(format);
    struct db_lock_state found = {.words = "nobody"};
    struct db_holder holder = {0};
    struct strings keys = {0};
    int rc = f != NULL ? db_holder_read(s, arena, &holder, e) : 0;
    if (rc == 0 && f != NULL && f->advisory_keys != NULL) {
        rc = f->advisory_keys(s, arena, &keys, e);
    }
    bool lease = f != NULL && f->has_lease != NULL && f->has_lease(s) && f->lease_state != NULL;
    bool foreign = false;
    for (size_t i = 0; rc == 0 && !foreign && i < keys.count + (lease ? 1 : 0); i++) {
        struct db_lock_state state = {0};
        bool ours = false;
        rc = i < keys.count ? key_state(s, arena, f, &holder, keys.items[i], &ours, &state, e)
                            : f->lease_state(s, arena, &holder, &ours, &state, e);
        if (rc == 0 && state.held) {
            foreign = !ours;
            found = state;
            found.words =
                ours ? arena_printf(arena, "run %s on %s, pid %lld, since %s: %s", holder.run,
                                    holder.host, (long long)holder.pid, holder.since, state.words)
                     : state.words;
        }
    }
    if (rc == 0) {
        *ret = found;
    }
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool db_ledger_has(const struct db_ledger *ledger, const struct migration_item *item, int format)
{
    if (ledger->ids.count == 0) {
        return false;
    }
    if (format == FORMAT_GOLANG_MIGRATE) { /* its one row means all up to it */
        return item->version <= strtoll(ledger->ids.items[0], NULL, 10);
    }
    return bsearch(&item->id, ledger->ids.items, ledger->ids.count, sizeof(char *), by_bytes) !=
           NULL;
}

bool db_ledger_marks(const struct db_ledger *ledger, const struct migration_item *item, int format,
                     bool *ret_down)
{
    *ret_down = ledger->mark_down;
    if (ledger->mark == DB_MARK_NONE || str_equal(ledger->mark_id, item->id)) {
        return ledger->mark != DB_MARK_NONE;
    }
    *ret_down = true;
    return format == FORMAT_GOLANG_MIGRATE && item->previous == strtoll(ledger->mark_id, NULL, 10);
}

static int read_external(struct db_session *s, struct arena *arena, const struct ledger *ledger,
                         struct db_ledger *ret, struct error *e)
{
    const char *table = NULL;
    const char *column = NULL;
    int rc = db_quote_name(s->engine, arena, ledger->table, &table, e);
    if (rc == 0) {
        rc = db_quote_name(s->engine, arena, ledger->column, &column, e);
    }
    if (rc == 0 && strchr(ledger->column, '.') != NULL) {
        return db_fail(s, e, E_INVALID,
                       "the ledger's column is \"%.100s\": write the column's name alone",
                       ledger->column);
    }
    if (rc == 0) {
        rc = s->engine->table_exists(s, ledger->table, &ret->exists, e);
    }
    if (rc < 0 || !ret->exists) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(s, arena,
                  arena_printf(s->arena, "SELECT CAST(%s AS %s) FROM %s", column,
                               s->engine->text_type, table),
                  NULL, 0, &rows, e);
    if (rc == 0) {
        ret->ids = (struct strings){.items = rows.cells, .count = rows.count};
        for (size_t i = 0; i < rows.count; i++) {
            rows.cells[i] = rows.cells[i] != NULL ? rows.cells[i] : "";
        }
    }
    return rc;
}

int db_ledger_read(struct db_session *s, struct arena *arena, int format,
                   const struct ledger *external, struct db_ledger *ret, struct error *e)
{
    struct db_ledger ledger = {0};
    int rc = 0;
    const struct db_format *native = db_format_get(format);
    if (native != NULL) {
        rc = native->ledger_read(s, arena, &ledger, e);
    } else if (external != NULL) {
        rc = read_external(s, arena, external, &ledger, e);
    }
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < ledger.ids.count; i++) {
        if (ledger.ids.items[i] == NULL) {
            return db_fail(s, e, E_CONFLICT,
                           "the ledger has a row whose version or name is NULL: no tool wrote it. "
                           "Look at that row, and mend or delete it");
        }
    }
    if (ledger.ids.count > 1) {
        qsort(ledger.ids.items, ledger.ids.count, sizeof(*ledger.ids.items), by_bytes);
    }
    *ret = ledger;
    return 0;
}
