/*
 * Owns the schema of a MariaDB database as a list (fingerprint.h), and the cheap digest of the same list. The names of
 * the database itself are taken out of definitions, so that a clone with another name compares as equal.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/mariadb.h"

#define QUERY_BYTES_MAX (64 * 1024)

/* One kind of object: %s is the text that leaves Lockstep's and the tools' tables out, over a column TABLE_NAME. */
struct kind {
    const char *kind;
    const char *name;       /* expression */
    const char *definition; /* expression; NULL in it is no text */
    const char *from;
    const char *table;    /* the column that a left out table stands in; NULL: none */
    const char *group_by; /* NULL: a row is an object */
};

#define OWN(column) " WHERE " column " = DATABASE()"
/* The name of the database, where the server wrote it before a name. */
#define WITHOUT_DATABASE(column) "REPLACE(" column ", CONCAT('`', DATABASE(), '`.'), '')"

static const struct kind kinds[] = {
    {.kind = "table",
     .name = "TABLE_NAME",
     .definition = "'engine', ENGINE, 'collation', TABLE_COLLATION, CREATE_OPTIONS,"
                   " IF(TABLE_TYPE = 'SYSTEM VERSIONED', 'system versioned', NULL)",
     .from = "information_schema.TABLES" OWN("TABLE_SCHEMA") " AND TABLE_TYPE IN ('BASE TABLE',"
                                                             " 'SYSTEM VERSIONED')",
     .table = "TABLE_NAME"},
    {.kind = "sequence",
     .name = "TABLE_NAME",
     .definition = "''",
     .from = "information_schema.TABLES" OWN("TABLE_SCHEMA") " AND TABLE_TYPE = 'SEQUENCE'"},
    {.kind = "column",
     .name = "CONCAT(c.TABLE_NAME, '.', c.COLUMN_NAME)",
     .definition = "c.COLUMN_TYPE, IF(c.IS_NULLABLE = 'YES', 'null', 'not null'), 'default',"
                   " COALESCE(c.COLUMN_DEFAULT, 'none'), 'charset', c.CHARACTER_SET_NAME,"
                   " 'collation', c.COLLATION_NAME, c.EXTRA, c.GENERATION_EXPRESSION",
     .from = "information_schema.COLUMNS c JOIN information_schema.TABLES t"
             " ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME"
             " AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')" OWN("c.TABLE_SCHEMA"),
     .table = "c.TABLE_NAME"},
    {.kind = "index",
     .name = "CONCAT(TABLE_NAME, '.', INDEX_NAME)",
     .definition =
         "IF(MAX(NON_UNIQUE) = 0, 'unique', NULL), MAX(INDEX_TYPE),"
         " GROUP_CONCAT(CONCAT('`', COLUMN_NAME, '`', COALESCE(CONCAT('(', SUB_PART, ')'),"
         " ''), IF(COLLATION = 'D', ' desc', '')) ORDER BY SEQ_IN_INDEX SEPARATOR ', ')",
     .from = "information_schema.STATISTICS" OWN("TABLE_SCHEMA"),
     .table = "TABLE_NAME",
     .group_by = "TABLE_NAME, INDEX_NAME"},
    {.kind = "constraint",
     .name = "CONCAT(TABLE_NAME, '.', CONSTRAINT_NAME)",
     .definition = "'check', CHECK_CLAUSE",
     .from = "information_schema.CHECK_CONSTRAINTS" OWN("CONSTRAINT_SCHEMA"),
     .table = "TABLE_NAME"},
    {.kind = "foreign key",
     .name = "CONCAT(k.TABLE_NAME, '.', k.CONSTRAINT_NAME)",
     .definition = "GROUP_CONCAT(CONCAT('`', k.COLUMN_NAME, '`') ORDER BY k.ORDINAL_POSITION"
                   " SEPARATOR ', '), 'references', IF(MAX(k.REFERENCED_TABLE_SCHEMA) = DATABASE(),"
                   " NULL, MAX(k.REFERENCED_TABLE_SCHEMA)), MAX(k.REFERENCED_TABLE_NAME),"
                   " GROUP_CONCAT(CONCAT('`', k.REFERENCED_COLUMN_NAME, '`')"
                   " ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), 'on update', MAX(r.UPDATE_RULE),"
                   " 'on delete', MAX(r.DELETE_RULE)",
     .from = "information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS"
             " r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME"
             " AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME" OWN("k.TABLE_SCHEMA"),
     .table = "k.TABLE_NAME",
     .group_by = "k.TABLE_NAME, k.CONSTRAINT_NAME"},
    {.kind = "partition",
     .name =
         "CONCAT(TABLE_NAME, '.', PARTITION_NAME, COALESCE(CONCAT('.', SUBPARTITION_NAME), ''))",
     .definition = "PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_DESCRIPTION,"
                   " SUBPARTITION_METHOD, SUBPARTITION_EXPRESSION",
     .from = "information_schema.PARTITIONS" OWN(
         "TABLE_SCHEMA") " AND PARTITION_NAME IS NOT NULL"
                         " AND PARTITION_METHOD NOT LIKE 'RANGE%' AND PARTITION_METHOD NOT LIKE "
                         "'LIST%'",
     .table = "TABLE_NAME"},
    {.kind = "trigger",
     .name = "CONCAT(EVENT_OBJECT_TABLE, '.', TRIGGER_NAME)",
     .definition =
         "ACTION_TIMING, EVENT_MANIPULATION, CAST(ACTION_ORDER AS char), ACTION_STATEMENT",
     .from = "information_schema.TRIGGERS" OWN("TRIGGER_SCHEMA"),
     .table = "EVENT_OBJECT_TABLE"},
    {.kind = "view",
     .name = "TABLE_NAME",
     .definition = WITHOUT_DATABASE("VIEW_DEFINITION") ", 'check', CHECK_OPTION, SECURITY_TYPE",
     .from = "information_schema.VIEWS" OWN("TABLE_SCHEMA")},
    {.kind = "routine",
     .name = "CONCAT(LOWER(r.ROUTINE_TYPE), ' ', r.ROUTINE_NAME)",
     .definition = "(SELECT GROUP_CONCAT(CONCAT_WS(' ', p.PARAMETER_MODE, p.PARAMETER_NAME,"
                   " p.DTD_IDENTIFIER) ORDER BY p.ORDINAL_POSITION SEPARATOR ', ')"
                   " FROM information_schema.PARAMETERS p WHERE p.SPECIFIC_SCHEMA = DATABASE()"
                   " AND p.SPECIFIC_NAME = r.SPECIFIC_NAME AND p.ROUTINE_TYPE = r.ROUTINE_TYPE),"
                   " r.IS_DETERMINISTIC, r.SQL_DATA_ACCESS, r.SECURITY_TYPE, r.ROUTINE_DEFINITION",
     .from = "information_schema.ROUTINES r" OWN("r.ROUTINE_SCHEMA")},
    {.kind = "event",
     .name = "EVENT_NAME",
     .definition = "EVENT_TYPE, CAST(EXECUTE_AT AS char), INTERVAL_VALUE, INTERVAL_FIELD, STATUS,"
                   " ON_COMPLETION, EVENT_DEFINITION",
     .from = "information_schema.EVENTS" OWN("EVENT_SCHEMA")},
};

static int put_name(struct db_session *s, struct buf *left_out, const char *name, struct error *e)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\') {
            return db_fail(s, e, E_INVALID, "\"%.100s\" is no name of a table", name);
        }
    }
    buf_printf(left_out, ", '%s'", name);
    return 0;
}

/* One query for all kinds: kind, name, definition. */
static int all_kinds(struct db_session *s, struct buf *b, struct error *e)
{
    struct buf left_out;
    buf_init(&left_out, s->arena, LIMIT_TEXT_BYTES);
    buf_puts(&left_out, MARIADB_OWN_TABLES);
    int rc = str_empty(s->ledger) ? 0 : put_name(s, &left_out, s->ledger, e);
    for (const char *const *name = db_fingerprint_tool_tables; rc == 0 && *name != NULL; name++) {
        rc = put_name(s, &left_out, *name, e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct kind *k = &kinds[i];
        buf_printf(b,
                   "%sSELECT '%s' AS kind, CONVERT(%s USING utf8mb4) COLLATE utf8mb4_bin AS name,"
                   " CONVERT(CONCAT_WS(' ', %s) USING utf8mb4) COLLATE utf8mb4_bin AS definition"
                   " FROM %s",
                   i > 0 ? " UNION ALL " : "", k->kind, k->name, k->definition, k->from);
        if (k->table != NULL) {
            buf_printf(b, " AND %s NOT IN (%s)", k->table, buf_text(&left_out));
        }
        if (k->group_by != NULL) {
            buf_printf(b, " GROUP BY %s", k->group_by);
        }
    }
    assert(!b->overflow);
    return rc;
}

/* What a sequence is stands in its one row. */
static int define_sequence(struct db_session *s, struct arena *arena, struct db_object *object,
                           struct error *e)
{
    const char *quoted = NULL;
    int rc = db_quote_name(s->engine, s->arena, object->name, &quoted, e);
    if (rc < 0) {
        return rc;
    }
    return db_value(s, arena,
                    arena_printf(s->arena,
                                 "SELECT CONCAT_WS(' ', minimum_value, maximum_value, start_value,"
                                 " increment, cache_size, cycle_option) FROM %s",
                                 quoted),
                    NULL, 0, &object->definition, e);
}

int mariadb_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                    size_t *ret_count, struct error *e)
{
    struct buf b;
    struct db_rows rows = {0};
    buf_init(&b, s->arena, QUERY_BYTES_MAX);
    int rc = all_kinds(s, &b, e);
    if (rc == 0) {
        buf_puts(&b, " ORDER BY kind, name");
        rc = db_query(s, arena, buf_text(&b), NULL, 0, &rows, e);
    }
    struct db_object *objects = ARENA_ARRAY(arena, MAX(rows.count, 1), struct db_object);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        objects[i] = (struct db_object){.kind = db_cell(&rows, i, 0),
                                        .name = db_cell(&rows, i, 1),
                                        .definition = db_cell(&rows, i, 2)};
        if (str_equal(objects[i].kind, "sequence")) {
            rc = define_sequence(s, arena, &objects[i], e);
        }
        if (rc == 0 && objects[i].definition == NULL) {
            return db_fail(
                s, e, E_DENIED,
                "the definition of %s %s cannot be read: GRANT what it needs (SHOW VIEW, "
                "TRIGGER, EVENT, SHOW CREATE ROUTINE)",
                objects[i].kind, objects[i].name);
        }
    }
    if (rc == 0) {
        *ret = objects;
        *ret_count = rows.count;
    }
    return rc;
}

int mariadb_schema_state(struct db_session *s, struct arena *arena, const char **ret,
                         struct error *e)
{
    struct buf b;
    buf_init(&b, s->arena, QUERY_BYTES_MAX);
    buf_puts(&b, "SELECT CONCAT('schema of ', COUNT(*), ' objects ', "
                 "COALESCE(SUM(CAST(CONV(LEFT(MD5(CONCAT_WS("
                 "'\\n', kind, name, definition)), 15), 16, 10) AS decimal(20))), 0)) FROM (");
    int rc = all_kinds(s, &b, e);
    buf_puts(&b, ") all_of_it");
    return rc == 0 ? db_value(s, arena, buf_text(&b), NULL, 0, ret, e) : rc;
}
