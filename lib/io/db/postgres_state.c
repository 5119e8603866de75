/*
 * Owns, for PostgreSQL: what the schema is now, as one number, and how one index stands. It reads the catalogs only;
 * what temporary tables do there is left out.
 */
#include "lib/io/db/postgres.h"

#include <stdio.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

#define SQL_BYTES_MAX 8192

/* Every change of an object writes a new version of its rows in the catalogs, with the number of the transaction that
 * did it (xmin); statistics and vacuuming change rows in place. 16384 is the first number of an object that is no part
 * of the server. */
struct catalog {
    const char *table, *id, *where;
};

#define LASTING(column) "x." column " IN (SELECT oid FROM lasting)"
#define OURS            "x.oid >= 16384"

static const struct catalog catalogs[] = {
    {"pg_class", "x.oid", LASTING("oid")},
    {"pg_attribute", "x.attrelid || '.' || x.attnum", LASTING("attrelid")},
    {"pg_attrdef", "x.oid", LASTING("adrelid")},
    {"pg_index", "x.indexrelid", LASTING("indexrelid")},
    {"pg_trigger", "x.oid", LASTING("tgrelid")},
    {"pg_rewrite", "x.oid", LASTING("ev_class")},
    {"pg_policy", "x.oid", LASTING("polrelid")},
    {"pg_sequence", "x.seqrelid", LASTING("seqrelid")},
    {"pg_inherits", "x.inhrelid || '.' || x.inhparent", LASTING("inhrelid")},
    {"pg_constraint", "x.oid", OURS " AND (x.conrelid = 0 OR " LASTING("conrelid") ")"},
    {"pg_type", "x.oid", OURS " AND x.typnamespace NOT IN (SELECT oid FROM temporary)"},
    {"pg_namespace", "x.oid", "x.oid NOT IN (SELECT oid FROM temporary)"},
    {"pg_enum", "x.oid", OURS},
    {"pg_proc", "x.oid", OURS},
    {"pg_extension", "x.oid", OURS},
    {"pg_operator", "x.oid", OURS},
    {"pg_cast", "x.oid", OURS},
    {"pg_collation", "x.oid", OURS},
    {"pg_statistic_ext", "x.oid", OURS},
    {"pg_publication", "x.oid", OURS},
    {"pg_event_trigger", "x.oid", OURS},
    {"pg_foreign_server", "x.oid", OURS},
    {"pg_database", "x.oid", OURS},
    {"pg_tablespace", "x.oid", OURS},
    {"pg_db_role_setting", "x.setdatabase || '.' || x.setrole", "true"},
    {"pg_description", "x.objoid || '.' || x.objsubid", "x.objoid >= 16384"},
};

int postgres_schema_state(struct db_session *s, struct arena *arena, const char **ret,
                          struct error *e)
{
    struct buf b;
    buf_init(&b, s->arena, SQL_BYTES_MAX);
    buf_puts(&b, "WITH lasting AS (SELECT oid FROM pg_class WHERE oid >= 16384 AND relpersistence "
                 "<> 't'), temporary AS (SELECT oid FROM pg_namespace WHERE nspname ~ "
                 "'^pg_(toast_)?temp_')"
                 " SELECT 'schema ' || count(*) || ' ' || coalesce(sum(hashtextextended(k, 0)), 0)"
                 " FROM (");
    for (size_t i = 0; i < ARRAY_SIZE(catalogs); i++) {
        const struct catalog *c = &catalogs[i];
        buf_printf(&b, "%sSELECT '%s ' || %s || ' ' || x.xmin AS k FROM pg_catalog.%s x WHERE %s",
                   i > 0 ? " UNION ALL " : "", c->table, c->id, c->table, c->where);
    }
    buf_puts(&b, ") every");
    assert(!b.overflow);
    return db_value(s, arena, buf_text(&b), NULL, 0, ret, e);
}

/* Sizes are asked with a short lock_timeout: a table that is locked must not hold up who only looks. The second
 * statement takes what the last vacuum counted. */
int postgres_tables(struct db_session *s, struct arena *arena, struct db_rows *ret, struct error *e)
{
    static const char sql[] =
        "SELECT * FROM (SELECT n.nspname || '.' || c.relname,"
        " %s AS size, greatest(c.reltuples, 0)::bigint"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND"
        " n.nspname NOT IN ('information_schema', 'lockstep')) t WHERE size >= 1048576"
        " ORDER BY size DESC LIMIT 200";
    static const char *const sizes[] = {
        "pg_total_relation_size(c.oid)",
        "(c.relpages + coalesce((SELECT sum(i.relpages) FROM pg_catalog.pg_class i JOIN"
        " pg_catalog.pg_index x ON x.indexrelid = i.oid WHERE x.indrelid = c.oid), 0) +"
        " coalesce((SELECT t.relpages FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid),"
        " 0)) * current_setting('block_size')::bigint"};
    int rc = db_exec(s, "SET lock_timeout = '200ms'", e);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(sizes); i++) {
        char text[SQL_BYTES_MAX];
        snprintf(text, sizeof(text), sql, sizes[i]);
        rc = db_query(s, arena, text, NULL, 0, ret, e);
        if (!str_equal(s->fault.sqlstate, "55P03") || rc == 0) {
            return rc;
        }
        *e = (struct error){0};
        rc = 0;
    }
    return rc;
}

int postgres_index_state(struct db_session *s, struct arena *arena,
                         const struct db_index_name *index, struct db_index_state *ret,
                         struct error *e)
{
    /* A created index stands in its table's schema, wherever the session would look first. */
    static const char sql[] =
        "SELECT i.indisvalid, c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
        " FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE CASE WHEN $2::text IS NULL"
        " THEN c.oid = to_regclass(coalesce(quote_ident($1) || '.', '') || quote_ident($3))"
        " ELSE c.relname = $3 AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid ="
        " to_regclass(coalesce(quote_ident($1) || '.', '') || quote_ident($2))) END";
    const char *params[] = {index->schema, index->table, index->name};
    struct db_rows rows;
    int rc = db_query(s, arena, sql, params, 3, &rows, e);
    if (rc < 0) {
        return rc;
    }
    *ret = (struct db_index_state){.exists = rows.count > 0};
    if (ret->exists) {
        ret->valid = str_equal(db_cell(&rows, 0, 0), "t");
        ret->id = db_cell(&rows, 0, 1);
        ret->name = db_cell(&rows, 0, 2);
    }
    return 0;
}
