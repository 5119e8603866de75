/* Owns the statements that touch rows, run code, or set up the session and its transactions. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"

static bool is_own(struct lint *l, const char *table)
{
    return lint_names_have(&l->created, table);
}

static void deletes(struct lint *l, const PgQuery__RangeVar *r)
{
    const char *table = lint_range(l, r);
    if (!is_own(l, table)) {
        lint_loss(l, arena_printf(l->arena, "deletes rows of %s", table));
    }
}

/* A statement inside of another one: WITH, EXPLAIN, PREPARE. */
static void inner(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    if (n == NULL) {
        return;
    }
    static const struct {
        PgQuery__Node__NodeCase node;
        lint_see *see;
    } data[] = {
        {NODE(INSERT_STMT), lint_insert}, {NODE(UPDATE_STMT), lint_update},
        {NODE(DELETE_STMT), lint_delete}, {NODE(MERGE_STMT), lint_merge},
        {NODE(SELECT_STMT), lint_select},
    };
    for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
        if (n->node_case == data[i].node) {
            data[i].see(l, s, n);
        }
    }
}

static void with(struct lint *l, struct sql_statement *s, const PgQuery__WithClause *w)
{
    for (size_t i = 0; w != NULL && i < w->n_ctes; i++) {
        if (w->ctes[i]->node_case == NODE(COMMON_TABLE_EXPR)) {
            const PgQuery__Node *query = w->ctes[i]->common_table_expr->ctequery;
            bool changes = query != NULL && query->node_case != NODE(SELECT_STMT);
            s->class = changes ? SQL_CLASS_DATA : s->class;
            inner(l, s, query);
        }
    }
}

/* All rows of one table, if that is what the query reads. */
static const PgQuery__RangeVar *whole_table(const PgQuery__Node *query)
{
    const PgQuery__SelectStmt *q =
        query != NULL && query->node_case == NODE(SELECT_STMT) ? query->select_stmt : NULL;
    if (q == NULL || q->n_from_clause != 1 || q->where_clause != NULL || q->larg != NULL ||
        q->limit_count != NULL || q->limit_offset != NULL || q->n_distinct_clause > 0 ||
        q->n_group_clause > 0 || q->having_clause != NULL) {
        return NULL;
    }
    return q->from_clause[0]->node_case == NODE(RANGE_VAR) ? q->from_clause[0]->range_var : NULL;
}

void lint_copied(struct lint *l, const char *to, const PgQuery__Node *query)
{
    const PgQuery__RangeVar *from = whole_table(query);
    if (from != NULL) {
        lint_table_filled(l, to, lint_range(l, from));
    }
}

void lint_insert(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__InsertStmt *i = n->insert_stmt;
    with(l, s, i->with_clause);
    if (i->on_conflict_clause == NULL) {
        lint_copied(l, lint_range(l, i->relation), i->select_stmt);
    }
}

/* COALESCE(c, …) for c: what is there stays. */
static bool keeps(const PgQuery__ResTarget *t)
{
    if (t->val == NULL || t->val->node_case != NODE(COALESCE_EXPR) ||
        t->val->coalesce_expr->n_args == 0) {
        return false;
    }
    const PgQuery__Node *first = t->val->coalesce_expr->args[0];
    if (first->node_case != NODE(COLUMN_REF) || first->column_ref->n_fields == 0) {
        return false;
    }
    const PgQuery__Node *name = first->column_ref->fields[first->column_ref->n_fields - 1];
    return name->node_case == NODE(STRING) && str_equal(name->string->sval, t->name);
}

void lint_update(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__UpdateStmt *u = n->update_stmt;
    const char *table = lint_range(l, u->relation);
    with(l, s, u->with_clause);
    if (u->where_clause != NULL || u->n_from_clause > 0 || is_own(l, table)) {
        return;
    }
    for (size_t i = 0; i < u->n_target_list; i++) {
        const PgQuery__ResTarget *t =
            u->target_list[i]->node_case == NODE(RES_TARGET) ? u->target_list[i]->res_target : NULL;
        if (t == NULL || keeps(t)) {
            continue;
        }
        const char *column = lint_column(l, table, t->name);
        if (!lint_names_have(&l->columns, column)) {
            lint_loss(l, arena_printf(l->arena, "overwrites %s in every row", column));
        }
    }
}

void lint_delete(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    with(l, s, n->delete_stmt->with_clause);
    deletes(l, n->delete_stmt->relation);
}

void lint_merge(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__MergeStmt *m = n->merge_stmt;
    with(l, s, m->with_clause);
    for (size_t i = 0; i < m->n_merge_when_clauses; i++) {
        const PgQuery__Node *w = m->merge_when_clauses[i];
        if (w->node_case == NODE(MERGE_WHEN_CLAUSE) &&
            w->merge_when_clause->command_type == PG_QUERY__CMD_TYPE__CMD_DELETE) {
            deletes(l, m->relation);
            return;
        }
    }
}

/* set_config(name, value, false), as dumps begin with. */
static void sets_config(struct lint *l, const struct sql_statement *s, const PgQuery__Node *n)
{
    if (n == NULL || n->node_case != NODE(FUNC_CALL)) {
        return;
    }
    const PgQuery__FuncCall *f = n->func_call;
    const char *name = lint_join(l, f->funcname, f->n_funcname, 0);
    if (f->n_args != 3 || !str_ends(name, "set_config") || f->args[0]->node_case != NODE(A_CONST) ||
        f->args[0]->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
        return;
    }
    const PgQuery__Node *local = f->args[2];
    bool is_local = local->node_case == NODE(A_CONST) &&
                    local->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL &&
                    local->a_const->boolval->boolval;
    if (!is_local) {
        lint_setting(l, s, arena_strdup(l->arena, f->args[0]->a_const->sval->sval));
    }
}

void lint_select(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__SelectStmt *q = n->select_stmt;
    with(l, s, q->with_clause);
    for (size_t i = 0; i < q->n_target_list; i++) {
        if (q->target_list[i]->node_case == NODE(RES_TARGET)) {
            sets_config(l, s, q->target_list[i]->res_target->val);
        }
    }
    if (q->into_clause != NULL && q->into_clause->rel != NULL) {
        s->kind = "SELECT INTO";
        s->class = SQL_CLASS_SCHEMA;
        lint_made_table(l, s, q->into_clause->rel);
    }
}

void lint_truncate(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__TruncateStmt *t = n->truncate_stmt;
    for (size_t i = 0; i < t->n_relations; i++) {
        if (t->relations[i]->node_case != NODE(RANGE_VAR)) {
            continue;
        }
        const char *table = lint_range(l, t->relations[i]->range_var);
        lint_lock(l, s, table, SQL_LOCK_ACCESS_EXCLUSIVE);
        if (!is_own(l, table)) {
            lint_loss(l, arena_printf(l->arena, "empties table %s", table));
        }
    }
}

void lint_do(struct lint *l, struct sql_statement *s UNUSED, const PgQuery__Node *n)
{
    const PgQuery__DoStmt *d = n->do_stmt;
    for (size_t i = 0; i < d->n_args; i++) {
        const PgQuery__DefElem *e =
            d->args[i]->node_case == NODE(DEF_ELEM) ? d->args[i]->def_elem : NULL;
        if (e != NULL && str_equal(e->defname, "as") && e->arg != NULL &&
            e->arg->node_case == NODE(STRING)) {
            const char *body = arena_strdup(l->arena, e->arg->string->sval);
            lint_words_body(l, (struct bytes){(const uint8_t *)body, strlen(body)});
        }
    }
}

void lint_setting(struct lint *l, const struct sql_statement *s, const char *name)
{
    if (lint_names_add(l, &l->settings, name)) {
        size_t at = l->settings.count - 1;
        l->settings_lines = arena_grow(l->arena, l->settings_lines, at, &l->settings_lines_capacity,
                                       sizeof(*l->settings_lines));
        l->settings_lines[at] = s->line;
    }
}

/* The last takes the place of the one that goes, and so does its line. */
static void forget_setting(struct lint *l, const char *name)
{
    for (size_t i = 0; i < l->settings.count; i++) {
        if (strcasecmp(l->settings.items[i], name) == 0) {
            l->settings.count--;
            l->settings.items[i] = l->settings.items[l->settings.count];
            l->settings_lines[i] = l->settings_lines[l->settings.count];
            return;
        }
    }
}

void lint_set(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__VariableSetStmt *v = n->variable_set_stmt;
    if (v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) {
        s->kind = "RESET ALL";
        l->settings.count = 0;
    } else if (v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
               v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT) {
        s->kind = v->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ? "RESET" : "SET";
        forget_setting(l, v->name);
    } else if (v->is_local || str_equal(v->name, "TRANSACTION") ||
               str_equal(v->name, "TRANSACTION SNAPSHOT")) {
        s->kind = v->is_local ? "SET LOCAL" : "SET TRANSACTION";
    } else {
        lint_setting(l, s, arena_strdup(l->arena, v->name));
    }
}

void lint_discard(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    PgQuery__DiscardMode mode = n->discard_stmt->target;
    if (mode == PG_QUERY__DISCARD_MODE__DISCARD_ALL) {
        s->kind = "DISCARD ALL";
        s->outside = true;
        l->settings.count = 0;
        l->temporary.count = 0;
    } else if (mode == PG_QUERY__DISCARD_MODE__DISCARD_TEMP) {
        l->temporary.count = 0;
    }
}

void lint_transaction(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n)
{
    static const char *const kinds[] = {
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN] = "BEGIN",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START] = "START TRANSACTION",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT] = "COMMIT",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK] = "ROLLBACK",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT] = "SAVEPOINT",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE] = "RELEASE",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO] = "ROLLBACK TO",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE] = "PREPARE TRANSACTION",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED] = "COMMIT PREPARED",
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED] = "ROLLBACK PREPARED",
    };
    size_t kind = (size_t)n->transaction_stmt->kind;
    if (kind < ARRAY_SIZE(kinds) && kinds[kind] != NULL) {
        s->kind = kinds[kind];
    }
    s->outside = kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED ||
                 kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED;
}

void lint_prepare(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    lint_names_add(l, &l->temporary,
                   arena_printf(l->arena, "prepared statement %s", n->prepare_stmt->name));
    inner(l, s, n->prepare_stmt->query);
    s->class = SQL_CLASS_CODE; /* it may well be executed */
}

void lint_explain(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    const PgQuery__ExplainStmt *e = n->explain_stmt;
    for (size_t i = 0; i < e->n_options; i++) {
        if (e->options[i]->node_case == NODE(DEF_ELEM) &&
            str_equal(e->options[i]->def_elem->defname, "analyze")) {
            inner(l, s, e->query);
        }
    }
}

void lint_declare(struct lint *l, struct sql_statement *s UNUSED, const PgQuery__Node *n)
{
    lint_names_add(l, &l->temporary,
                   arena_printf(l->arena, "cursor %s", n->declare_cursor_stmt->portalname));
}

void lint_copy(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n)
{
    s->class = n->copy_stmt->is_from ? SQL_CLASS_DATA : SQL_CLASS_QUERY;
}

void lint_outside(struct lint *l UNUSED, struct sql_statement *s, const PgQuery__Node *n UNUSED)
{
    s->outside = true;
}
