/*
 * Owns ALTER TABLE and its kin: each form's lock, whether it writes the table anew, and what it loses. Source: the notes
 * of https://www.postgresql.org/docs/15/sql-altertable.html; what a form takes beyond them, a server told.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"

#define AT(name) PG_QUERY__ALTER_TABLE_TYPE__AT_##name

struct form {
    enum sql_lock_mode mode; /* not set: ACCESS EXCLUSIVE */
    bool rewrites;
};

static const struct form forms[] = {
    [AT(SetStatistics)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(SetOptions)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(ResetOptions)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(ValidateConstraint)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(ClusterOn)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(DropCluster)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(AttachPartition)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(DetachPartitionFinalize)] = {.mode = SQL_LOCK_SHARE_UPDATE_EXCLUSIVE},
    [AT(EnableTrig)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(EnableAlwaysTrig)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(EnableReplicaTrig)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(EnableTrigAll)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(EnableTrigUser)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(DisableTrig)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(DisableTrigAll)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(DisableTrigUser)] = {.mode = SQL_LOCK_SHARE_ROW_EXCLUSIVE},
    [AT(AlterColumnType)] = {.rewrites = true},
    [AT(SetLogged)] = {.rewrites = true},
    [AT(SetUnLogged)] = {.rewrites = true},
    [AT(SetAccessMethod)] = {.rewrites = true},
    [AT(SetTableSpace)] = {.rewrites = true},
};

/* Options of storage that take less than ACCESS EXCLUSIVE, and those that take it. */
static enum sql_lock_mode options_mode(const PgQuery__Node *def)
{
    static const char *const strong[] = {
        "user_catalog_table", "security_barrier", "security_invoker",
        "check_option",       "fastupdate",       "gin_pending_list_limit",
        "buffering",          "pages_per_range",  "autosummarize",
    };
    if (def == NULL || def->node_case != NODE(LIST)) {
        return SQL_LOCK_ACCESS_EXCLUSIVE;
    }
    for (size_t i = 0; i < def->list->n_items; i++) {
        const PgQuery__Node *n = def->list->items[i];
        for (size_t o = 0; o < ARRAY_SIZE(strong); o++) {
            if (n->node_case != NODE(DEF_ELEM) || str_equal(n->def_elem->defname, strong[o])) {
                return SQL_LOCK_ACCESS_EXCLUSIVE;
            }
        }
    }
    return SQL_LOCK_SHARE_UPDATE_EXCLUSIVE;
}

/* Functions that a default may call without a new table: PostgreSQL computes their value once. What is not here
 * counts as volatile, as every function does that does not say otherwise. */
static bool is_steady(const char *name)
{
    static const char *const steady[] = {
        "now",
        "transaction_timestamp",
        "statement_timestamp",
        "to_timestamp",
        "to_date",
        "to_char",
        "to_number",
        "date_trunc",
        "date_part",
        "extract",
        "timezone",
        "make_interval",
        "make_date",
        "lower",
        "upper",
        "initcap",
        "md5",
        "sha256",
        "length",
        "concat",
        "concat_ws",
        "btrim",
        "ltrim",
        "rtrim",
        "substring",
        "substr",
        "replace",
        "repeat",
        "left",
        "right",
        "lpad",
        "rpad",
        "encode",
        "decode",
        "convert_to",
        "array_fill",
        "abs",
        "round",
        "floor",
        "ceil",
        "ceiling",
        "power",
        "sqrt",
        "current_setting",
        "current_schema",
        "current_database",
        "version",
        "to_jsonb",
        "to_json",
        "json_build_object",
        "json_build_array",
        "jsonb_build_object",
        "jsonb_build_array",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "to_tsvector",
    };
    if (str_starts(name, "pg_catalog.")) {
        name += strlen("pg_catalog.");
    }
    for (size_t i = 0; i < ARRAY_SIZE(steady); i++) {
        if (str_equal(name, steady[i])) {
            return true;
        }
    }
    return false;
}

static bool calls_volatile(struct lint *l, const ProtobufCMessage *m)
{
    if (m->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)m;
        if (!is_steady(lint_join(l, call->funcname, call->n_funcname, 0))) {
            return true;
        }
    }
    struct lint_children children = {.message = m};
    const ProtobufCMessage *child;
    while ((child = lint_next_child(&children)) != NULL) {
        if (calls_volatile(l, child)) {
            return true;
        }
    }
    return false;
}

void lint_constraint(struct lint *l, const struct sql_statement *s, const PgQuery__Constraint *c,
                     const char *table)
{
    if (c->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN && c->pktable != NULL) {
        const char *other = lint_range(l, c->pktable);
        if (!str_equal(other, table)) {
            lint_lock(l, s, other, SQL_LOCK_SHARE_ROW_EXCLUSIVE);
        }
    }
}

void lint_column_constraints(struct lint *l, const struct sql_statement *s,
                             const PgQuery__ColumnDef *column, const char *table)
{
    for (size_t i = 0; i < column->n_constraints; i++) {
        if (column->constraints[i]->node_case == NODE(CONSTRAINT)) {
            lint_constraint(l, s, column->constraints[i]->constraint, table);
        }
    }
}

static bool is_serial(struct lint *l, const PgQuery__TypeName *type)
{
    static const char *const words[] = {"serial",  "serial2",   "serial4",
                                        "serial8", "bigserial", "smallserial"};
    const char *name = type != NULL ? lint_join(l, type->names, type->n_names, 0) : "";
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_equal(name, words[i])) {
            return true;
        }
    }
    return false;
}

/* Does a new column need a value of its own in each row? */
static bool fills_rows(struct lint *l, const PgQuery__ColumnDef *column)
{
    for (size_t i = 0; i < column->n_constraints; i++) {
        const PgQuery__Node *n = column->constraints[i];
        if (n->node_case != NODE(CONSTRAINT)) {
            continue;
        }
        PgQuery__ConstrType type = n->constraint->contype;
        if (type == PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY ||
            type == PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED ||
            (type == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT && n->constraint->raw_expr != NULL &&
             calls_volatile(l, &n->constraint->raw_expr->base))) {
            return true;
        }
    }
    return is_serial(l, column->type_name);
}

static void add_column(struct lint *l, struct sql_statement *s, const PgQuery__AlterTableCmd *c,
                       const char *table)
{
    if (c->def == NULL || c->def->node_case != NODE(COLUMN_DEF)) {
        return;
    }
    const PgQuery__ColumnDef *column = c->def->column_def;
    const char *name = lint_column(l, table, column->colname);
    lint_column_constraints(l, s, column, table);
    if (fills_rows(l, column)) {
        lint_rewrites(l, table);
    }
    if (c->missing_ok) {
        s->guarded = true;
    } else {
        lint_names_add(l, &l->columns, name);
        lint_change(l, "COLUMN", name, true);
    }
}

static void drop_column(struct lint *l, struct sql_statement *s, const PgQuery__AlterTableCmd *c,
                        const char *table)
{
    const char *name = lint_column(l, table, c->name);
    if (lint_names_have(&l->columns, name)) {
        lint_names_remove(&l->columns, name);
    } else if (!lint_names_have(&l->created, table)) {
        lint_loss(l, arena_printf(l->arena, "drops column %s", name));
    }
    if (c->missing_ok) {
        s->guarded = true;
    } else {
        lint_change(l, "COLUMN", name, false);
    }
}

/* text holds any value as it was written; USING may compute another. */
static bool keeps_value(const PgQuery__ColumnDef *column, const char *type)
{
    return column->raw_default == NULL && (str_equal(type, "text") || str_equal(type, "varchar"));
}

static void alter_type(struct lint *l, const PgQuery__AlterTableCmd *c, const char *table)
{
    const char *name = lint_column(l, table, c->name);
    if (c->def == NULL || c->def->node_case != NODE(COLUMN_DEF)) {
        return;
    }
    const char *type = lint_type(l, c->def->column_def->type_name);
    if (!keeps_value(c->def->column_def, type) && !lint_names_have(&l->columns, name) &&
        !lint_names_have(&l->created, table)) {
        lint_loss(l, arena_printf(l->arena, "changes the type of %s to %s", name, type));
    }
}

static void add_constraint(struct lint *l, const struct sql_statement *s,
                           const PgQuery__AlterTableCmd *c, const char *table)
{
    const PgQuery__Constraint *con =
        c->def != NULL && c->def->node_case == NODE(CONSTRAINT) ? c->def->constraint : NULL;
    bool foreign = con != NULL && con->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
    lint_lock(l, s, table, foreign ? SQL_LOCK_SHARE_ROW_EXCLUSIVE : SQL_LOCK_ACCESS_EXCLUSIVE);
    if (con != NULL) {
        lint_constraint(l, s, con, table);
        lint_change(l, "CONSTRAINT", lint_column(l, table, con->conname), true);
    }
}

static void drop_constraint(struct lint *l, struct sql_statement *s,
                            const PgQuery__AlterTableCmd *c, const char *table)
{
    if (c->missing_ok) {
        s->guarded = true;
    } else {
        lint_change(l, "CONSTRAINT", lint_column(l, table, c->name), false);
    }
}

static void partition(struct lint *l, struct sql_statement *s, const PgQuery__AlterTableCmd *c,
                      const char *table)
{
    if (c->def == NULL || c->def->node_case != NODE(PARTITION_CMD)) {
        return;
    }
    const PgQuery__PartitionCmd *p = c->def->partition_cmd;
    const char *part = lint_range(l, p->name);
    if (p->concurrent) {
        s->outside = true;
        l->out->concurrent = true;
        s->kind = "ALTER TABLE DETACH PARTITION CONCURRENTLY";
        return;
    }
    lint_lock(l, s, part, SQL_LOCK_ACCESS_EXCLUSIVE);
    if (c->subtype == AT(DetachPartition)) {
        lint_lock(l, s, table, SQL_LOCK_ACCESS_EXCLUSIVE);
    }
    if (c->subtype != AT(DetachPartitionFinalize)) {
        lint_change(l, "PARTITION", lint_column(l, table, part), c->subtype == AT(AttachPartition));
    }
}

static enum sql_lock_mode mode_of(const PgQuery__AlterTableCmd *c)
{
    if (c->subtype == AT(SetRelOptions) || c->subtype == AT(ResetRelOptions)) {
        return options_mode(c->def);
    }
    if (c->subtype == AT(AddConstraint) || c->subtype == AT(DetachPartition)) {
        return SQL_LOCK_NONE; /* looked at more closely */
    }
    size_t form = (size_t)c->subtype;
    bool known = form < ARRAY_SIZE(forms) && forms[form].mode != SQL_LOCK_NONE;
    return known ? forms[form].mode : SQL_LOCK_ACCESS_EXCLUSIVE;
}

static void look_at_command(struct lint *l, struct sql_statement *s,
                            const PgQuery__AlterTableCmd *c, const char *table)
{
    size_t form = (size_t)c->subtype;
    lint_lock(l, s, table, mode_of(c));
    if (form < ARRAY_SIZE(forms) && forms[form].rewrites) {
        lint_rewrites(l, table);
    }
    if (c->subtype == AT(AddColumn)) {
        add_column(l, s, c, table);
    } else if (c->subtype == AT(DropColumn)) {
        drop_column(l, s, c, table);
    } else if (c->subtype == AT(AlterColumnType)) {
        alter_type(l, c, table);
    } else if (c->subtype == AT(AddConstraint)) {
        add_constraint(l, s, c, table);
    } else if (c->subtype == AT(DropConstraint)) {
        drop_constraint(l, s, c, table);
    } else if (c->subtype == AT(AttachPartition) || c->subtype == AT(DetachPartition) ||
               c->subtype == AT(DetachPartitionFinalize)) {
        partition(l, s, c, table);
    } else if (c->subtype == AT(AddInherit) && c->def != NULL &&
               c->def->node_case == NODE(RANGE_VAR)) {
        lint_lock(l, s, lint_range(l, c->def->range_var), SQL_LOCK_SHARE_UPDATE_EXCLUSIVE);
    }
}

/* ALTER TYPE of a composite type: only its attributes matter. */
static void look_at_attribute(struct lint *l, struct sql_statement *s,
                              const PgQuery__AlterTableCmd *c, const char *type)
{
    if (c->subtype == AT(DropColumn)) {
        lint_loss(l, arena_printf(l->arena, "drops attribute %s.%s", type, c->name));
    } else if (c->subtype == AT(AlterColumnType)) {
        lint_loss(l, arena_printf(l->arena, "changes the type of %s.%s", type, c->name));
    }
    s->guarded = s->guarded || c->missing_ok;
}

void lint_alter_table(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__AlterTableStmt *a = n->alter_table_stmt;
    const char *table = lint_range(l, a->relation);
    s->kind = arena_printf(l->arena, "ALTER %s", lint_object_word(a->objtype));
    s->guarded = a->missing_ok;
    size_t changes = l->changes_count;
    for (size_t i = 0; i < a->n_cmds; i++) {
        const PgQuery__AlterTableCmd *c =
            a->cmds[i]->node_case == NODE(ALTER_TABLE_CMD) ? a->cmds[i]->alter_table_cmd : NULL;
        if (c != NULL && a->objtype == OBJECT(TYPE)) {
            look_at_attribute(l, s, c, table);
        } else if (c != NULL) {
            look_at_command(l, s, c, table);
        }
    }
    if (a->missing_ok) {
        l->changes_count = MIN(changes, l->changes_count); /* the table may not be there */
    }
    if (a->objtype == OBJECT(INDEX)) {
        lint_lock_index(l, s, table, SQL_LOCK_NONE);
    }
}

static void renamed(struct lint *l, const struct sql_statement *s, const char *sort,
                    const char *from, const char *to)
{
    if (!s->guarded) {
        lint_change(l, sort, from, false);
        lint_change(l, sort, to, true);
    }
}

void lint_rename(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__RenameStmt *r = n->rename_stmt;
    const char *to = arena_strdup(l->arena, r->newname);
    PgQuery__ObjectType type = r->rename_type;
    s->kind = arena_printf(l->arena, "ALTER %s RENAME",
                           lint_object_word(type == OBJECT(COLUMN) ? r->relation_type : type));
    s->guarded = r->missing_ok;
    if (r->relation == NULL) {
        renamed(l, s, lint_object_word(type), lint_object(l, r->object, 0), to);
        return;
    }
    const char *table = lint_range(l, r->relation);
    if (type == OBJECT(INDEX)) {
        renamed(l, s, "INDEX", table, to);
        return; /* SHARE UPDATE EXCLUSIVE */
    }
    if (type != OBJECT(ATTRIBUTE)) {
        lint_lock(l, s, table, SQL_LOCK_ACCESS_EXCLUSIVE);
    }
    if (!str_empty(r->subname)) {
        const char *sort = type == OBJECT(COLUMN) ? "COLUMN" : lint_object_word(type);
        sort = type == OBJECT(TABCONSTRAINT) ? "CONSTRAINT" : sort;
        renamed(l, s, sort, lint_column(l, table, r->subname), lint_column(l, table, to));
        return;
    }
    renamed(l, s, lint_object_word(type), table, to);
    if (type == OBJECT(TABLE)) {
        lint_table_renamed(l, table, to);
    }
}

void lint_alter_schema(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__AlterObjectSchemaStmt *a = n->alter_object_schema_stmt;
    s->kind = arena_printf(l->arena, "ALTER %s SET SCHEMA", lint_object_word(a->object_type));
    s->guarded = a->missing_ok;
    if (a->relation != NULL) {
        lint_lock(l, s, lint_range(l, a->relation), SQL_LOCK_ACCESS_EXCLUSIVE);
    }
}
