/* Owns the list of formats and the reading of an external tool's ledger. */
#include "lib/io/db/format.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

extern const struct db_format db_format_morph;
extern const struct db_format db_format_golang_migrate;

const struct db_format *const db_formats[] = {&db_format_morph, &db_format_golang_migrate};
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

int db_ledger_table(struct db_session *s, const char *fallback, struct db_table *ret,
                    struct error *e)
{
    const char *name = !str_empty(s->ledger) ? s->ledger : fallback;
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
    int rc = db_quote_name(s->arena, name, &table.quoted, e);
    if (rc < 0) {
        error_wrap(e, "database %s: its ledger", s->name);
        return rc;
    }
    *ret = table;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_external(struct db_session *s, struct arena *arena, const struct ledger *ledger,
                         struct db_ledger *ret, struct error *e)
{
    const char *table = NULL;
    const char *column = NULL;
    int rc = db_quote_name(arena, ledger->table, &table, e);
    if (rc == 0) {
        rc = db_quote_name(arena, ledger->column, &column, e);
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
    rc =
        db_query(s, arena, arena_printf(s->arena, "SELECT CAST(%s AS text) FROM %s", column, table),
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
    if (ledger.ids.count > 1) {
        qsort(ledger.ids.items, ledger.ids.count, sizeof(*ledger.ids.items), by_bytes);
    }
    *ret = ledger;
    return 0;
}
