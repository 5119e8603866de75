/* Owns the list of formats and the reading of an external tool's ledger. */
#include "lib/io/db/format.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

extern const struct db_format db_format_morph;

const struct db_format *const db_formats[] = {&db_format_morph};
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
