/* What the files of the lint share: the work on one script. Only lint*.c and lossy.c include this. */
#ifndef LOCKSTEP_MIGRATION_LINT_PARTS_H
#define LOCKSTEP_MIGRATION_LINT_PARTS_H

#include <pg_query/pg_query.pb-c.h>

#include "lib/migration/lint.h"
#include "lib/migration/sql.h"

#define NODE(name)   PG_QUERY__NODE__NODE_##name
#define OBJECT(name) PG_QUERY__OBJECT_TYPE__OBJECT_##name

/* Names that are remembered of each sort; what is past it is judged as if it were not known. */
#define LINT_NAMES_MAX 1024

struct lint_loss {
    const char *what;
    bool undone; /* a copy of the rows took the name */
};

struct lint_names {
    const char **items;
    size_t count;
    size_t capacity;
};

/* `to` was filled from all rows of `from`, or renamed to it. */
struct lint_pair {
    const char *from, *to;
    size_t loss; /* of a dropped table: index into losses */
};

struct lint_pairs {
    struct lint_pair *items;
    size_t count;
    size_t capacity;
};

struct lint_change {
    const char *name; /* "TABLE t" */
    bool made, gone;
};

struct lint_value {
    const char *value;
    struct bytes after; /* the script after the statement that adds it */
    int line;
};

struct lint {
    struct arena *arena; /* of the result */
    struct bytes sql;
    struct sql_lint *out;
    size_t statements_capacity, locks_capacity, traps_capacity;
    struct lint_loss *losses;
    size_t losses_count, losses_capacity;
    struct lint_change *changes;
    size_t changes_count, changes_capacity;
    bool changes_overflow;
    struct lint_names created; /* tables that this script made: theirs is no loss and no lock */
    struct lint_names columns; /* "t.c" that it added */
    struct lint_names temporary;
    struct lint_names settings; /* SET and not yet RESET */
    int *settings_lines;
    size_t settings_lines_capacity;
    struct lint_value *values;
    size_t values_count, values_capacity;
    struct lint_pairs fills, renames, drops;
};

/* lint.c */
struct sql_statement *lint_statement(struct lint *l);
void lint_lock(struct lint *l, const struct sql_statement *s, const char *object,
               enum sql_lock_mode mode);
void lint_lock_index(struct lint *l, const struct sql_statement *s, const char *index,
                     enum sql_lock_mode mode);
/* The lock of this statement on `object` holds while the table is written anew. */
void lint_rewrites(struct lint *l, const char *object);
void lint_trap(struct lint *l, enum sql_trap_kind kind, int line, const char *text);
void lint_loss(struct lint *l, const char *what);
/* `sort` and `name` are there from now on (made) or gone; only of statements that fail where they change nothing. */
void lint_change(struct lint *l, const char *sort, const char *name, bool made);

/* lint_names.c: what the script does with names, in its order. */
bool lint_names_have(const struct lint_names *names, const char *name);
bool lint_names_add(struct lint *l, struct lint_names *names, const char *name);
void lint_names_remove(struct lint_names *names, const char *name);
void lint_table_filled(struct lint *l, const char *to, const char *from);
void lint_table_dropped(struct lint *l, const char *table);
/* `to` as written after RENAME TO: it stays in the schema of `from`. */
void lint_table_renamed(struct lint *l, const char *from, const char *to);
const char *lint_column(struct lint *l, const char *table, const char *column);
/* "a.b" of a qualified name's parts without the last `leave`. */
const char *lint_join(struct lint *l, PgQuery__Node *const *parts, size_t count, size_t leave);
const char *lint_range(struct lint *l, const PgQuery__RangeVar *r);
/* Of whatever DROP and its like take as a name. */
const char *lint_object(struct lint *l, const PgQuery__Node *n, size_t leave);
const char *lint_type(struct lint *l, const PgQuery__TypeName *t);

/* The messages inside of a message, one after the other, NULL after the last. */
struct lint_children {
    const ProtobufCMessage *message;
    size_t field, item;
};
const ProtobufCMessage *lint_next_child(struct lint_children *c);

/* lint_kinds.c */
void lint_node(struct lint *l, struct sql_statement *s, const PgQuery__Node *n);
const char *lint_object_word(PgQuery__ObjectType type);

/* The statements that need a look of their own. */
typedef void lint_see(struct lint *l, struct sql_statement *s, const PgQuery__Node *n);
/* lint_alter.c */
lint_see lint_alter_table, lint_rename, lint_alter_schema;
void lint_column_constraints(struct lint *l, const struct sql_statement *s,
                             const PgQuery__ColumnDef *column, const char *table);
void lint_constraint(struct lint *l, const struct sql_statement *s, const PgQuery__Constraint *c,
                     const char *table);
/* lint_schema.c */
lint_see lint_create_table, lint_create_as, lint_drop, lint_index, lint_reindex, lint_cluster,
    lint_vacuum, lint_refresh, lint_trigger, lint_rule, lint_policy, lint_policy_alter, lint_view,
    lint_enum, lint_enum_value, lint_lock_table, lint_move_all, lint_drop_database,
    lint_alter_database, lint_drop_owned, lint_subscription, lint_alter_subscription,
    lint_alter_sequence, lint_create_other;
/* A table that the script makes; one that may have been there is not its own. */
void lint_made_table(struct lint *l, const struct sql_statement *s, const PgQuery__RangeVar *r);
/* lint_data.c */
void lint_setting(struct lint *l, const struct sql_statement *s, const char *name);
/* `to` holds what `query` reads. */
void lint_copied(struct lint *l, const char *to, const PgQuery__Node *query);
lint_see lint_insert, lint_update, lint_delete, lint_merge, lint_select, lint_truncate, lint_do,
    lint_set, lint_discard, lint_transaction, lint_prepare, lint_explain, lint_declare,
    lint_outside, lint_copy;

/* lossy.c: words. The body of a DO, and a whole script. */
void lint_words_body(struct lint *l, struct bytes body);
void lint_words_script(struct lint *l, enum sql_dialect dialect);

#endif
