/* Owns what makes and takes away the schema's objects, ALTER TABLE aside, and the upkeep of tables: locks and losses. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"

static bool is_temporary(const PgQuery__RangeVar *r)
{
    return r != NULL && (str_equal(r->relpersistence, "t") || str_equal(r->schemaname, "pg_temp"));
}

void lint_made_table(struct lint *l, const struct sql_statement *s, const PgQuery__RangeVar *r)
{
    const char *table = lint_range(l, r);
    if (is_temporary(r)) {
        lint_names_add(l, &l->temporary, arena_printf(l->arena, "temporary table %s", table));
        lint_names_add(l, &l->created, table);
    } else if (!s->guarded) {
        lint_names_add(l, &l->created, table);
        lint_change(l, "TABLE", table, true);
    }
}

void lint_create_table(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__CreateStmt *c = n->create_stmt;
    const char *table = lint_range(l, c->relation);
    s->guarded = c->if_not_exists;
    for (size_t i = 0; i < c->n_table_elts; i++) {
        const PgQuery__Node *e = c->table_elts[i];
        if (e->node_case == NODE(COLUMN_DEF)) {
            lint_column_constraints(l, s, e->column_def, table);
        } else if (e->node_case == NODE(CONSTRAINT)) {
            lint_constraint(l, s, e->constraint, table);
        }
    }
    for (size_t i = 0; i < c->n_inh_relations; i++) {
        if (c->inh_relations[i]->node_case == NODE(RANGE_VAR)) {
            lint_lock(l, s, lint_range(l, c->inh_relations[i]->range_var),
                      c->partbound != NULL ? SQL_LOCK_ACCESS_EXCLUSIVE
                                           : SQL_LOCK_SHARE_UPDATE_EXCLUSIVE);
        }
    }
    lint_made_table(l, s, c->relation);
}

void lint_create_as(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__CreateTableAsStmt *c = n->create_table_as_stmt;
    s->guarded = c->if_not_exists;
    if (c->into == NULL || c->into->rel == NULL) {
        return;
    }
    if (c->objtype == OBJECT(MATVIEW)) {
        s->kind = "CREATE MATERIALIZED VIEW";
        if (!s->guarded) {
            lint_change(l, "MATERIALIZED VIEW", lint_range(l, c->into->rel), true);
        }
        return;
    }
    lint_made_table(l, s, c->into->rel);
    if (!c->into->skip_data) {
        lint_copied(l, lint_range(l, c->into->rel), c->query);
    }
}

/* On the table that a trigger, rule or policy stands on, or on the relation itself. */
static void lock_dropped(struct lint *l, const struct sql_statement *s, PgQuery__ObjectType type,
                         const PgQuery__Node *object)
{
    if (type == OBJECT(TRIGGER) || type == OBJECT(RULE) || type == OBJECT(POLICY)) {
        lint_lock(l, s, lint_object(l, object, 1), SQL_LOCK_ACCESS_EXCLUSIVE);
    } else if (type == OBJECT(TABLE) || type == OBJECT(VIEW) || type == OBJECT(MATVIEW) ||
               type == OBJECT(SEQUENCE) || type == OBJECT(FOREIGN_TABLE)) {
        lint_lock(l, s, lint_object(l, object, 0), SQL_LOCK_ACCESS_EXCLUSIVE);
    } else if (type == OBJECT(INDEX)) {
        lint_lock_index(l, s, lint_object(l, object, 0), SQL_LOCK_ACCESS_EXCLUSIVE);
    } else if (type == OBJECT(SCHEMA)) {
        lint_lock(l, s, NULL, SQL_LOCK_ACCESS_EXCLUSIVE);
    }
}

static void lose_dropped(struct lint *l, const PgQuery__DropStmt *d, const char *name)
{
    bool cascade = d->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    if (d->remove_type == OBJECT(TABLE)) {
        lint_table_dropped(l, name);
    } else if (d->remove_type == OBJECT(SCHEMA)) {
        lint_loss(l, arena_printf(l->arena, "drops schema %s", name));
    } else if (cascade && (d->remove_type == OBJECT(TYPE) || d->remove_type == OBJECT(DOMAIN) ||
                           d->remove_type == OBJECT(EXTENSION))) {
        const char *word = d->remove_type == OBJECT(TYPE)     ? "type"
                           : d->remove_type == OBJECT(DOMAIN) ? "domain"
                                                              : "extension";
        lint_loss(l, arena_printf(l->arena, "drops %s %s and the columns that use it", word, name));
    }
}

void lint_drop(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__DropStmt *d = n->drop_stmt;
    const char *word = lint_object_word(d->remove_type);
    s->kind = arena_printf(l->arena, "DROP %s%s", word, d->concurrent ? " CONCURRENTLY" : "");
    s->guarded = d->missing_ok;
    s->outside = d->concurrent;
    l->out->concurrent = l->out->concurrent || d->concurrent;
    for (size_t i = 0; i < d->n_objects; i++) {
        const char *name = lint_object(l, d->objects[i], 0);
        if (!d->concurrent) {
            lock_dropped(l, s, d->remove_type, d->objects[i]);
        }
        if (!s->guarded) {
            lint_change(l, word, name, false);
        }
        lose_dropped(l, d, name);
    }
}

void lint_index(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__IndexStmt *x = n->index_stmt;
    const char *table = lint_range(l, x->relation);
    s->guarded = x->if_not_exists;
    if (x->concurrent) {
        s->kind = "CREATE INDEX CONCURRENTLY";
        s->outside = true;
        l->out->concurrent = true;
    } else {
        lint_lock(l, s, table, SQL_LOCK_SHARE);
    }
    if (x->concurrent && x->if_not_exists) {
        lint_trap(l, SQL_TRAP_INVALID_INDEX, s->line,
                  arena_printf(l->arena,
                               "CREATE INDEX CONCURRENTLY IF NOT EXISTS %s steps over an INVALID "
                               "index that a failed attempt left: drop it first",
                               x->idxname));
    }
    if (!s->guarded) {
        bool named = !str_empty(x->idxname);
        lint_change(l, "INDEX", named ? x->idxname : lint_column(l, table, "(unnamed)"), true);
    }
}

static bool has_option(PgQuery__Node *const *options, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *n = options[i];
        if (n->node_case != NODE(DEF_ELEM) || !str_equal(n->def_elem->defname, name)) {
            continue;
        }
        const PgQuery__Node *arg = n->def_elem->arg;
        bool off = arg != NULL && arg->node_case == NODE(STRING) &&
                   (strcasecmp(arg->string->sval, "false") == 0 ||
                    strcasecmp(arg->string->sval, "off") == 0);
        return !off;
    }
    return false;
}

void lint_reindex(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__ReindexStmt *r = n->reindex_stmt;
    bool concurrent = has_option(r->params, r->n_params, "concurrently");
    bool many = r->relation == NULL;
    s->outside = concurrent || many;
    l->out->concurrent = l->out->concurrent || concurrent;
    if (concurrent) {
        s->kind = "REINDEX CONCURRENTLY";
    } else if (many) {
        lint_lock(l, s, NULL, SQL_LOCK_SHARE);
    } else if (r->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX) {
        lint_lock_index(l, s, lint_range(l, r->relation), SQL_LOCK_ACCESS_EXCLUSIVE);
    } else {
        lint_lock(l, s, lint_range(l, r->relation), SQL_LOCK_SHARE);
    }
}

void lint_cluster(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__ClusterStmt *c = n->cluster_stmt;
    const char *table = c->relation != NULL ? lint_range(l, c->relation) : NULL;
    s->outside = table == NULL;
    lint_lock(l, s, table, SQL_LOCK_ACCESS_EXCLUSIVE);
    lint_rewrites(l, table);
}

void lint_vacuum(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__VacuumStmt *v = n->vacuum_stmt;
    if (!v->is_vacuumcmd) {
        s->kind = "ANALYZE";
        return;
    }
    s->outside = true;
    if (!has_option(v->options, v->n_options, "full")) {
        return;
    }
    s->kind = "VACUUM FULL";
    for (size_t i = 0; i < v->n_rels; i++) {
        if (v->rels[i]->node_case == NODE(VACUUM_RELATION)) {
            const char *table = lint_range(l, v->rels[i]->vacuum_relation->relation);
            lint_lock(l, s, table, SQL_LOCK_ACCESS_EXCLUSIVE);
            lint_rewrites(l, table);
        }
    }
    if (v->n_rels == 0) {
        lint_lock(l, s, NULL, SQL_LOCK_ACCESS_EXCLUSIVE);
        lint_rewrites(l, NULL);
    }
}

void lint_refresh(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__RefreshMatViewStmt *r = n->refresh_mat_view_stmt;
    const char *view = lint_range(l, r->relation);
    lint_lock(l, s, view, r->concurrent ? SQL_LOCK_EXCLUSIVE : SQL_LOCK_ACCESS_EXCLUSIVE);
    if (!r->concurrent) {
        lint_rewrites(l, view);
    }
}

void lint_trigger(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__CreateTrigStmt *t = n->create_trig_stmt;
    const char *table = lint_range(l, t->relation);
    s->guarded = t->replace;
    lint_lock(l, s, table, SQL_LOCK_SHARE_ROW_EXCLUSIVE);
    if (!s->guarded) {
        lint_change(l, "TRIGGER", lint_column(l, table, t->trigname), true);
    }
}

void lint_rule(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    s->guarded = n->rule_stmt->replace;
    lint_lock(l, s, lint_range(l, n->rule_stmt->relation), SQL_LOCK_ACCESS_EXCLUSIVE);
}

void lint_policy(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    lint_lock(l, s, lint_range(l, n->create_policy_stmt->table), SQL_LOCK_ACCESS_EXCLUSIVE);
}

void lint_policy_alter(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    lint_lock(l, s, lint_range(l, n->alter_policy_stmt->table), SQL_LOCK_ACCESS_EXCLUSIVE);
}

void lint_view(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__ViewStmt *v = n->view_stmt;
    const char *view = lint_range(l, v->view);
    s->guarded = v->replace;
    if (is_temporary(v->view)) {
        lint_names_add(l, &l->temporary, arena_printf(l->arena, "temporary view %s", view));
    } else if (v->replace) {
        lint_lock(l, s, view, SQL_LOCK_ACCESS_EXCLUSIVE);
    } else {
        lint_names_add(l, &l->created, view);
        lint_change(l, "VIEW", view, true);
    }
}

void lint_enum(struct lint *l, struct sql_statement *s UNUSED, const PgQuery__Node *n)
{
    const PgQuery__CreateEnumStmt *c = n->create_enum_stmt;
    const char *type = lint_join(l, c->type_name, c->n_type_name, 0);
    lint_change(l, "TYPE", type, true);
}

void lint_enum_value(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__AlterEnumStmt *a = n->alter_enum_stmt;
    const char *type = lint_join(l, a->type_name, a->n_type_name, 0);
    bool renames = !str_empty(a->old_val);
    s->kind = renames ? "ALTER TYPE RENAME VALUE" : "ALTER TYPE ADD VALUE";
    s->guarded = a->skip_if_new_val_exists;
    if (!s->guarded) {
        lint_change(l, "VALUE", lint_column(l, type, a->new_val), true);
    }
    if (renames) {
        return;
    }
    l->values =
        arena_grow(l->arena, l->values, l->values_count, &l->values_capacity, sizeof(*l->values));
    const uint8_t *end = s->text.data + s->text.len;
    l->values[l->values_count++] = (struct lint_value){
        .value = arena_strdup(l->arena, a->new_val),
        .after = {end, (size_t)(l->sql.data + l->sql.len - end)},
        .line = s->line,
    };
}

void lint_lock_table(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__LockStmt *k = n->lock_stmt;
    for (size_t i = 0; i < k->n_relations; i++) {
        if (k->relations[i]->node_case == NODE(RANGE_VAR) && k->mode >= SQL_LOCK_ACCESS_SHARE &&
            k->mode <= SQL_LOCK_ACCESS_EXCLUSIVE) {
            lint_lock(l, s, lint_range(l, k->relations[i]->range_var), (enum sql_lock_mode)k->mode);
        }
    }
}

void lint_move_all(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    s->kind = arena_printf(l->arena, "ALTER %s ALL IN TABLESPACE",
                           lint_object_word(n->alter_table_move_all_stmt->objtype));
    lint_lock(l, s, NULL, SQL_LOCK_ACCESS_EXCLUSIVE);
    lint_rewrites(l, NULL);
}

void lint_drop_database(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    s->outside = true;
    s->guarded = n->dropdb_stmt->missing_ok;
    lint_loss(l, arena_printf(l->arena, "drops database %s", n->dropdb_stmt->dbname));
}

void lint_alter_database(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__AlterDatabaseStmt *a = n->alter_database_stmt;
    s->outside = has_option(a->options, a->n_options, "tablespace");
}

void lint_drop_owned(struct lint *l, struct sql_statement *s, const PgQuery__Node *n UNUSED)
{
    lint_lock(l, s, NULL, SQL_LOCK_ACCESS_EXCLUSIVE);
    lint_loss(l, "drops all that a role owns");
}

/* connect = false and slot-less subscriptions are the exception: they talk to no other server. */
void lint_subscription(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__CreateSubscriptionStmt *c = n->create_subscription_stmt;
    bool connect = true;
    for (size_t i = 0; i < c->n_options; i++) {
        const PgQuery__Node *o = c->options[i];
        if (o->node_case == NODE(DEF_ELEM) && (str_equal(o->def_elem->defname, "connect") ||
                                               str_equal(o->def_elem->defname, "create_slot"))) {
            connect = connect && has_option(c->options, c->n_options, o->def_elem->defname);
        }
    }
    s->outside = connect;
}

void lint_alter_subscription(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n)
{
    PgQuery__AlterSubscriptionType kind = n->alter_subscription_stmt->kind;
    s->outside = kind == PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_REFRESH ||
                 kind == PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_SET_PUBLICATION ||
                 kind == PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_ADD_PUBLICATION ||
                 kind == PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_DROP_PUBLICATION;
}

void lint_alter_sequence(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    s->guarded = n->alter_seq_stmt->missing_ok;
    lint_lock(l, s, lint_range(l, n->alter_seq_stmt->sequence), SQL_LOCK_SHARE_ROW_EXCLUSIVE);
}

void lint_create_other(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    if (n->node_case == NODE(CREATE_FUNCTION_STMT)) {
        const PgQuery__CreateFunctionStmt *f = n->create_function_stmt;
        s->kind = f->is_procedure ? "CREATE PROCEDURE" : s->kind;
        s->guarded = f->replace;
        if (!s->guarded) {
            lint_change(l, f->is_procedure ? "PROCEDURE" : "FUNCTION",
                        lint_join(l, f->funcname, f->n_funcname, 0), true);
        }
    } else if (n->node_case == NODE(CREATE_SEQ_STMT)) {
        const PgQuery__CreateSeqStmt *c = n->create_seq_stmt;
        s->guarded = c->if_not_exists;
        if (is_temporary(c->sequence)) {
            lint_names_add(l, &l->temporary, "a temporary sequence");
        } else if (!s->guarded) {
            lint_names_add(l, &l->created, lint_range(l, c->sequence));
            lint_change(l, "SEQUENCE", lint_range(l, c->sequence), true);
        }
    } else if (n->node_case == NODE(CREATE_EXTENSION_STMT)) {
        s->guarded = n->create_extension_stmt->if_not_exists;
        if (!s->guarded) {
            lint_change(l, "EXTENSION", n->create_extension_stmt->extname, true);
        }
    } else if (n->node_case == NODE(CREATE_SCHEMA_STMT)) {
        s->guarded = n->create_schema_stmt->if_not_exists;
    }
}
