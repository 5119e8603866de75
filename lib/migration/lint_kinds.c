/* Owns what each kind of statement is called, its class, and which need a look of their own. */
#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"

struct rule {
    const char *kind;
    enum sql_class class;
    lint_see *see; /* NULL: name and class are all */
};

#define SCHEMA(node, words, look)  [NODE(node)] = {words, SQL_CLASS_SCHEMA, look}
#define DATA(node, words, look)    [NODE(node)] = {words, SQL_CLASS_DATA, look}
#define QUERY(node, words, look)   [NODE(node)] = {words, SQL_CLASS_QUERY, look}
#define CODE(node, words, look)    [NODE(node)] = {words, SQL_CLASS_CODE, look}
#define SESSION(node, words, look) [NODE(node)] = {words, SQL_CLASS_SESSION, look}
#define UPKEEP(node, words, look)  [NODE(node)] = {words, SQL_CLASS_UPKEEP, look}

static const struct rule rules[] = {
    DATA(INSERT_STMT, "INSERT", lint_insert),
    DATA(UPDATE_STMT, "UPDATE", lint_update),
    DATA(DELETE_STMT, "DELETE", lint_delete),
    DATA(MERGE_STMT, "MERGE", lint_merge),
    DATA(COPY_STMT, "COPY", lint_copy),
    DATA(TRUNCATE_STMT, "TRUNCATE", lint_truncate),
    QUERY(SELECT_STMT, "SELECT", lint_select),
    QUERY(EXPLAIN_STMT, "EXPLAIN", lint_explain),
    QUERY(VARIABLE_SHOW_STMT, "SHOW", NULL),
    QUERY(FETCH_STMT, "FETCH", NULL),
    QUERY(CLOSE_PORTAL_STMT, "CLOSE", NULL),
    CODE(DO_STMT, "DO", lint_do),
    CODE(CALL_STMT, "CALL", NULL),
    CODE(EXECUTE_STMT, "EXECUTE", NULL),
    SESSION(VARIABLE_SET_STMT, "SET", lint_set),
    SESSION(DISCARD_STMT, "DISCARD", lint_discard),
    SESSION(PREPARE_STMT, "PREPARE", lint_prepare),
    SESSION(DEALLOCATE_STMT, "DEALLOCATE", NULL),
    SESSION(DECLARE_CURSOR_STMT, "DECLARE", lint_declare),
    SESSION(LISTEN_STMT, "LISTEN", NULL),
    SESSION(UNLISTEN_STMT, "UNLISTEN", NULL),
    SESSION(NOTIFY_STMT, "NOTIFY", NULL),
    SESSION(LOAD_STMT, "LOAD", NULL),
    SESSION(CONSTRAINTS_SET_STMT, "SET CONSTRAINTS", NULL),
    SESSION(LOCK_STMT, "LOCK", lint_lock_table),
    [NODE(TRANSACTION_STMT)] = {"BEGIN", SQL_CLASS_TRANSACTION, lint_transaction},
    UPKEEP(VACUUM_STMT, "VACUUM", lint_vacuum),
    UPKEEP(CLUSTER_STMT, "CLUSTER", lint_cluster),
    UPKEEP(REINDEX_STMT, "REINDEX", lint_reindex),
    UPKEEP(REFRESH_MAT_VIEW_STMT, "REFRESH MATERIALIZED VIEW", lint_refresh),
    UPKEEP(CHECK_POINT_STMT, "CHECKPOINT", NULL),
    SCHEMA(ALTER_TABLE_STMT, "ALTER TABLE", lint_alter_table),
    SCHEMA(RENAME_STMT, "ALTER", lint_rename),
    SCHEMA(ALTER_OBJECT_SCHEMA_STMT, "ALTER", lint_alter_schema),
    SCHEMA(ALTER_TABLE_MOVE_ALL_STMT, "ALTER TABLE ALL", lint_move_all),
    SCHEMA(ALTER_OWNER_STMT, "ALTER OWNER", NULL),
    SCHEMA(ALTER_OBJECT_DEPENDS_STMT, "ALTER DEPENDS", NULL),
    SCHEMA(ALTER_DOMAIN_STMT, "ALTER DOMAIN", NULL),
    SCHEMA(ALTER_FUNCTION_STMT, "ALTER FUNCTION", NULL),
    SCHEMA(ALTER_SEQ_STMT, "ALTER SEQUENCE", lint_alter_sequence),
    SCHEMA(ALTER_ENUM_STMT, "ALTER TYPE", lint_enum_value),
    SCHEMA(ALTER_TYPE_STMT, "ALTER TYPE", NULL),
    SCHEMA(ALTER_POLICY_STMT, "ALTER POLICY", lint_policy_alter),
    SCHEMA(ALTER_EXTENSION_STMT, "ALTER EXTENSION", NULL),
    SCHEMA(ALTER_EXTENSION_CONTENTS_STMT, "ALTER EXTENSION", NULL),
    SCHEMA(ALTER_DEFAULT_PRIVILEGES_STMT, "ALTER DEFAULT PRIVILEGES", NULL),
    SCHEMA(ALTER_ROLE_STMT, "ALTER ROLE", NULL),
    SCHEMA(ALTER_ROLE_SET_STMT, "ALTER ROLE SET", NULL),
    SCHEMA(ALTER_DATABASE_STMT, "ALTER DATABASE", lint_alter_database),
    SCHEMA(ALTER_DATABASE_SET_STMT, "ALTER DATABASE SET", NULL),
    SCHEMA(ALTER_SYSTEM_STMT, "ALTER SYSTEM", lint_outside),
    SCHEMA(ALTER_SUBSCRIPTION_STMT, "ALTER SUBSCRIPTION", lint_alter_subscription),
    SCHEMA(ALTER_PUBLICATION_STMT, "ALTER PUBLICATION", NULL),
    SCHEMA(CREATE_STMT, "CREATE TABLE", lint_create_table),
    SCHEMA(CREATE_FOREIGN_TABLE_STMT, "CREATE FOREIGN TABLE", NULL),
    SCHEMA(CREATE_TABLE_AS_STMT, "CREATE TABLE AS", lint_create_as),
    SCHEMA(INDEX_STMT, "CREATE INDEX", lint_index),
    SCHEMA(VIEW_STMT, "CREATE VIEW", lint_view),
    SCHEMA(CREATE_TRIG_STMT, "CREATE TRIGGER", lint_trigger),
    SCHEMA(RULE_STMT, "CREATE RULE", lint_rule),
    SCHEMA(CREATE_POLICY_STMT, "CREATE POLICY", lint_policy),
    SCHEMA(CREATE_ENUM_STMT, "CREATE TYPE", lint_enum),
    SCHEMA(COMPOSITE_TYPE_STMT, "CREATE TYPE", NULL),
    SCHEMA(CREATE_RANGE_STMT, "CREATE TYPE", NULL),
    SCHEMA(CREATE_DOMAIN_STMT, "CREATE DOMAIN", NULL),
    SCHEMA(CREATE_FUNCTION_STMT, "CREATE FUNCTION", lint_create_other),
    SCHEMA(CREATE_SEQ_STMT, "CREATE SEQUENCE", lint_create_other),
    SCHEMA(CREATE_EXTENSION_STMT, "CREATE EXTENSION", lint_create_other),
    SCHEMA(CREATE_SCHEMA_STMT, "CREATE SCHEMA", lint_create_other),
    SCHEMA(CREATE_STATS_STMT, "CREATE STATISTICS", NULL),
    SCHEMA(CREATE_CAST_STMT, "CREATE CAST", NULL),
    SCHEMA(CREATE_ROLE_STMT, "CREATE ROLE", NULL),
    SCHEMA(CREATE_PUBLICATION_STMT, "CREATE PUBLICATION", NULL),
    SCHEMA(CREATE_SUBSCRIPTION_STMT, "CREATE SUBSCRIPTION", lint_subscription),
    SCHEMA(CREATE_EVENT_TRIG_STMT, "CREATE EVENT TRIGGER", NULL),
    SCHEMA(CREATE_TABLE_SPACE_STMT, "CREATE TABLESPACE", lint_outside),
    SCHEMA(CREATEDB_STMT, "CREATE DATABASE", lint_outside),
    SCHEMA(DEFINE_STMT, "CREATE", NULL),
    SCHEMA(DROP_STMT, "DROP", lint_drop),
    SCHEMA(DROPDB_STMT, "DROP DATABASE", lint_drop_database),
    SCHEMA(DROP_ROLE_STMT, "DROP ROLE", NULL),
    SCHEMA(DROP_OWNED_STMT, "DROP OWNED", lint_drop_owned),
    SCHEMA(DROP_TABLE_SPACE_STMT, "DROP TABLESPACE", lint_outside),
    SCHEMA(DROP_SUBSCRIPTION_STMT, "DROP SUBSCRIPTION", lint_outside),
    SCHEMA(GRANT_STMT, "GRANT", NULL),
    SCHEMA(GRANT_ROLE_STMT, "GRANT", NULL),
    SCHEMA(COMMENT_STMT, "COMMENT", NULL),
    SCHEMA(SEC_LABEL_STMT, "SECURITY LABEL", NULL),
    SCHEMA(REASSIGN_OWNED_STMT, "REASSIGN OWNED", NULL),
};

void lint_node(struct lint *l, struct sql_statement *s, const PgQuery__Node *n)
{
    static const struct rule rare = {"CREATE or ALTER", SQL_CLASS_SCHEMA, NULL};
    size_t node = n != NULL ? (size_t)n->node_case : 0;
    const struct rule *rule =
        node < ARRAY_SIZE(rules) && rules[node].kind != NULL ? &rules[node] : &rare;
    s->kind = rule->kind;
    s->class = rule->class;
    if (rule->see != NULL) {
        rule->see(l, s, n);
    }
}

const char *lint_object_word(PgQuery__ObjectType type)
{
    static const char *const words[] = {
        [OBJECT(AGGREGATE)] = "AGGREGATE",
        [OBJECT(ATTRIBUTE)] = "TYPE",
        [OBJECT(CAST)] = "CAST",
        [OBJECT(COLLATION)] = "COLLATION",
        [OBJECT(COLUMN)] = "TABLE",
        [OBJECT(DATABASE)] = "DATABASE",
        [OBJECT(DOMAIN)] = "DOMAIN",
        [OBJECT(DOMCONSTRAINT)] = "DOMAIN",
        [OBJECT(EVENT_TRIGGER)] = "EVENT TRIGGER",
        [OBJECT(EXTENSION)] = "EXTENSION",
        [OBJECT(FOREIGN_SERVER)] = "SERVER",
        [OBJECT(FOREIGN_TABLE)] = "FOREIGN TABLE",
        [OBJECT(FUNCTION)] = "FUNCTION",
        [OBJECT(INDEX)] = "INDEX",
        [OBJECT(LANGUAGE)] = "LANGUAGE",
        [OBJECT(MATVIEW)] = "MATERIALIZED VIEW",
        [OBJECT(OPERATOR)] = "OPERATOR",
        [OBJECT(POLICY)] = "POLICY",
        [OBJECT(PROCEDURE)] = "PROCEDURE",
        [OBJECT(PUBLICATION)] = "PUBLICATION",
        [OBJECT(ROLE)] = "ROLE",
        [OBJECT(ROUTINE)] = "ROUTINE",
        [OBJECT(RULE)] = "RULE",
        [OBJECT(SCHEMA)] = "SCHEMA",
        [OBJECT(SEQUENCE)] = "SEQUENCE",
        [OBJECT(STATISTIC_EXT)] = "STATISTICS",
        [OBJECT(TABCONSTRAINT)] = "TABLE",
        [OBJECT(TABLE)] = "TABLE",
        [OBJECT(TABLESPACE)] = "TABLESPACE",
        [OBJECT(TRIGGER)] = "TRIGGER",
        [OBJECT(TYPE)] = "TYPE",
        [OBJECT(VIEW)] = "VIEW",
    };
    bool known = (size_t)type < ARRAY_SIZE(words) && words[type] != NULL;
    return known ? words[type] : "OBJECT";
}
