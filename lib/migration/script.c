/*
 * Owns the cutting of a script into statements, and what each one's words say. In doubt it says what costs more care:
 * an intent costs little.
 */
#include "lib/migration/script.h"

#include <string.h>

#include "lib/migration/sql.h"

#define HEAD_WORDS 24 /* of a statement, that its kind is read from */

struct scan {
    struct arena *arena;
    struct bytes sql;
    enum db_engine_kind engine;
    struct sql_token head[HEAD_WORDS]; /* words and signs of the statement so far */
    size_t heads;
    struct statement now;
    bool any; /* the statement has a token */
    bool
        has_body; /* TRIGGER, FUNCTION, PROCEDURE, EVENT, BEGIN NOT ATOMIC: BEGIN … END may hold semicolons */
    size_t depth;  /* of BEGIN and CASE in such a body */
    bool ended;    /* the token before was END, which IF, LOOP … may follow */
    bool dotted;   /* … a dot behind a name, or an @: what follows is a name */
    bool named;    /* … a name */
    size_t parens; /* CREATE RULE … DO (…; …) */
    size_t line_at;
    int line;
    struct script *script;
    size_t capacity;
};

struct keyword {
    const char *word;
    enum statement_kind kind;
};

static const struct keyword first_words[] = {
    {"INSERT", STATEMENT_DATA},      {"UPDATE", STATEMENT_DATA},
    {"DELETE", STATEMENT_DATA},      {"MERGE", STATEMENT_DATA},
    {"SELECT", STATEMENT_DATA},      {"WITH", STATEMENT_DATA},
    {"VALUES", STATEMENT_DATA},      {"TABLE", STATEMENT_DATA},
    {"REPLACE", STATEMENT_DATA},     {"COPY", STATEMENT_DATA},
    {"EXPLAIN", STATEMENT_DATA},     {"NOTIFY", STATEMENT_DATA},
    {"SHOW", STATEMENT_DATA},        {"DECLARE", STATEMENT_DATA},
    {"FETCH", STATEMENT_DATA},       {"MOVE", STATEMENT_DATA},
    {"CLOSE", STATEMENT_DATA},       {"REFRESH", STATEMENT_DATA},
    {"CREATE", STATEMENT_SCHEMA},    {"ALTER", STATEMENT_SCHEMA},
    {"DROP", STATEMENT_SCHEMA},      {"COMMENT", STATEMENT_SCHEMA},
    {"GRANT", STATEMENT_SCHEMA},     {"REVOKE", STATEMENT_SCHEMA},
    {"RENAME", STATEMENT_SCHEMA},    {"SECURITY", STATEMENT_SCHEMA},
    {"IMPORT", STATEMENT_SCHEMA},    {"REASSIGN", STATEMENT_SCHEMA},
    {"SET", STATEMENT_SESSION},      {"RESET", STATEMENT_SESSION},
    {"PREPARE", STATEMENT_SESSION},  {"DEALLOCATE", STATEMENT_SESSION},
    {"LISTEN", STATEMENT_SESSION},   {"UNLISTEN", STATEMENT_SESSION},
    {"DISCARD", STATEMENT_SESSION},  {"LOAD", STATEMENT_SESSION},
    {"PRAGMA", STATEMENT_SESSION},   {"USE", STATEMENT_SESSION},
    {"ATTACH", STATEMENT_SESSION},   {"DETACH", STATEMENT_SESSION},
    {"VACUUM", STATEMENT_UPKEEP},    {"ANALYZE", STATEMENT_UPKEEP},
    {"ANALYSE", STATEMENT_UPKEEP},   {"REINDEX", STATEMENT_UPKEEP},
    {"CLUSTER", STATEMENT_UPKEEP},   {"CHECKPOINT", STATEMENT_UPKEEP},
    {"OPTIMIZE", STATEMENT_UPKEEP},  {"REPAIR", STATEMENT_UPKEEP},
    {"CHECK", STATEMENT_UPKEEP},     {"FLUSH", STATEMENT_UPKEEP},
    {"CALL", STATEMENT_PROGRAM},     {"DO", STATEMENT_PROGRAM},
    {"EXECUTE", STATEMENT_PROGRAM},  {"BEGIN", STATEMENT_BEGIN},
    {"START", STATEMENT_BEGIN},      {"COMMIT", STATEMENT_COMMIT},
    {"END", STATEMENT_COMMIT},       {"ROLLBACK", STATEMENT_ROLLBACK},
    {"ABORT", STATEMENT_ROLLBACK},   {"SAVEPOINT", STATEMENT_SAVEPOINT},
    {"RELEASE", STATEMENT_SAVEPOINT}};

bool statement_controls(const struct statement *statement)
{
    return statement->kind >= STATEMENT_BEGIN;
}

static bool head_is(const struct scan *s, size_t at, const char *word)
{
    return at < s->heads && sql_is(&s->head[at], word);
}

static bool head_has(const struct scan *s, const char *word)
{
    for (size_t i = 1; i < s->heads; i++) {
        if (sql_is(&s->head[i], word)) {
            return true;
        }
    }
    return false;
}

static bool head_sign(const struct scan *s, size_t at, char sign)
{
    return at < s->heads && s->head[at].kind == SQL_SIGN && s->head[at].text.len == 1 &&
           s->head[at].text.data[0] == (uint8_t)sign;
}

/* A name as the server folds it; NULL where it is no plain name. */
static const char *name_at(const struct scan *s, size_t at)
{
    if (at >= s->heads || s->head[at].kind != SQL_WORD) {
        return NULL;
    }
    const struct sql_token *token = &s->head[at];
    char *name = arena_strndup(s->arena, (const char *)token->text.data, token->text.len);
    for (char *p = name; *p != '\0'; p++) {
        if (token->quoted && (*p == '"' || *p == '`')) {
            return NULL; /* a doubled quote: nobody names an index so */
        }
        if (!token->quoted && *p >= 'A' && *p <= 'Z') {
            *p = (char)(*p - 'A' + 'a');
        }
    }
    return name;
}

/* name or schema.name; returns the place after it, 0 when there is none. */
static size_t take_name(const struct scan *s, size_t at, const char **ret_schema,
                        const char **ret_name)
{
    *ret_schema = NULL;
    *ret_name = name_at(s, at);
    if (*ret_name == NULL) {
        return 0;
    }
    if (!head_sign(s, at + 1, '.')) {
        return at + 1;
    }
    *ret_schema = *ret_name;
    *ret_name = name_at(s, at + 2);
    return *ret_name != NULL ? at + 3 : 0;
}

/* CREATE [UNIQUE] INDEX [CONCURRENTLY] [[IF NOT EXISTS] name] ON [ONLY] table */
static void see_created_index(struct scan *s, size_t at)
{
    at += head_is(s, at, "CONCURRENTLY") ? 1 : 0;
    at += head_is(s, at, "IF") ? 3 : 0;
    if (head_is(s, at, "ON")) {
        return;
    }
    struct db_index_name index = {0};
    const char *ignored = NULL;
    at = take_name(s, at, &ignored, &index.name);
    if (at == 0 || !head_is(s, at, "ON")) {
        return;
    }
    at += head_is(s, at + 1, "ONLY") ? 2 : 1;
    if (take_name(s, at, &index.schema, &index.table) > 0) {
        s->now.index = index;
    }
}

/* DROP INDEX [CONCURRENTLY] [IF EXISTS] [schema.]name */
static void see_dropped_index(struct scan *s, size_t at)
{
    at += head_is(s, at, "CONCURRENTLY") ? 1 : 0;
    at += head_is(s, at, "IF") ? 2 : 0;
    struct db_index_name index = {0};
    at = take_name(s, at, &index.schema, &index.name);
    if (at > 0 && !head_sign(s, at, ',')) {
        s->now.index = index;
        s->now.index_drop = true;
    }
}

static void see_index(struct scan *s)
{
    bool unique = head_is(s, 1, "UNIQUE");
    if (head_is(s, 0, "CREATE") && head_is(s, unique ? 2 : 1, "INDEX")) {
        see_created_index(s, unique ? 3 : 2);
    } else if (head_is(s, 0, "DROP") && head_is(s, 1, "INDEX")) {
        see_dropped_index(s, 2);
    }
}

/* What PostgreSQL refuses inside a transaction block ("cannot run inside a transaction block"). */
static bool alone_on_postgres(const struct scan *s)
{
    bool maker = head_is(s, 0, "CREATE") || head_is(s, 0, "DROP") || head_is(s, 0, "ALTER");
    if (maker && (head_is(s, 1, "DATABASE") || head_is(s, 1, "TABLESPACE") ||
                  head_is(s, 1, "SUBSCRIPTION"))) {
        return true;
    }
    bool many = head_has(s, "DATABASE") || head_has(s, "SYSTEM") || head_has(s, "SCHEMA");
    return s->now.concurrently || head_is(s, 0, "VACUUM") ||
           (head_is(s, 0, "ALTER") && head_is(s, 1, "SYSTEM")) ||
           (head_is(s, 0, "REINDEX") && many) || (head_is(s, 0, "CLUSTER") && s->heads == 1) ||
           (head_is(s, 0, "DISCARD") && head_is(s, 1, "ALL"));
}

static bool must_stand_alone(const struct scan *s)
{
    switch (s->engine) {
    case DB_POSTGRES:
        return alone_on_postgres(s);
    case DB_SQLITE:
        return head_is(s, 0, "VACUUM") || head_is(s, 0, "ATTACH") || head_is(s, 0, "DETACH");
    case DB_MARIADB:
        break;
    }
    return false; /* MariaDB refuses nothing: it commits what is open */
}

static enum statement_kind kind_of(const struct scan *s)
{
    enum statement_kind kind = STATEMENT_OTHER;
    for (size_t i = 0; i < ARRAY_SIZE(first_words); i++) {
        if (head_is(s, 0, first_words[i].word)) {
            kind = first_words[i].kind;
        }
    }
    if (head_sign(s, 0, '(')) {
        return STATEMENT_DATA;
    }
    if (head_is(s, 0, "TRUNCATE")) {
        return s->engine == DB_MARIADB ? STATEMENT_SCHEMA : STATEMENT_DATA;
    }
    bool ends = kind == STATEMENT_COMMIT || kind == STATEMENT_ROLLBACK;
    bool chains = ends && head_has(s, "CHAIN") && !head_has(s, "NO");
    if (head_is(s, 0, "XA") || (head_is(s, 0, "PREPARE") && head_is(s, 1, "TRANSACTION")) ||
        (ends && head_is(s, 1, "PREPARED")) || (chains && kind == STATEMENT_ROLLBACK)) {
        return STATEMENT_HANDOVER;
    }
    if (chains) {
        return STATEMENT_CHAIN;
    }
    if (kind == STATEMENT_ROLLBACK && head_has(s, "TO")) {
        return STATEMENT_SAVEPOINT;
    }
    if (kind == STATEMENT_BEGIN && head_is(s, 1, "NOT")) {
        return STATEMENT_PROGRAM; /* MariaDB's BEGIN NOT ATOMIC … END */
    }
    if (s->engine == DB_MARIADB && head_is(s, 0, "SET") && head_is(s, 1, "STATEMENT")) {
        return STATEMENT_PROGRAM; /* SET STATEMENT … FOR whatever */
    }
    if (kind == STATEMENT_SESSION && head_is(s, 0, "SET") &&
        (head_is(s, 1, "LOCAL") || head_is(s, 1, "TRANSACTION") || head_is(s, 1, "CONSTRAINTS"))) {
        return STATEMENT_DATA; /* of the transaction it stands in, and of nothing else */
    }
    if (kind == STATEMENT_SESSION && head_is(s, 0, "LOAD") && head_is(s, 1, "DATA")) {
        return STATEMENT_DATA;
    }
    return kind;
}

/* DO on PostgreSQL: a body without these words commits nothing. */
static bool body_commits(struct bytes body)
{
    struct sql_reader reader = {.sql = body};
    for (;;) {
        struct sql_token token = sql_next(&reader);
        if (token.kind == SQL_END) {
            return false;
        }
        if (sql_is(&token, "COMMIT") || sql_is(&token, "ROLLBACK") || sql_is(&token, "CALL")) {
            return true;
        }
    }
}

static bool says_any(const struct scan *s, const char *const *parts, size_t count)
{
    for (size_t i = 1; i < s->heads; i++) {
        const struct bytes text = s->head[i].text;
        const char *words = arena_strndup(s->arena, (const char *)text.data, text.len);
        for (size_t j = 0; j < count; j++) {
            if (strcasestr(words, parts[j]) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* What makes the rest of the text something else than what was read. */
static const char *refusal_of(const struct scan *s)
{
    static const char *const modes[] = {"ANSI", "NO_BACKSLASH", "ORACLE",    "MSSQL",
                                        "DB2",  "MAXDB",        "POSTGRESQL"};
    static const char *const off[] = {"off", "false", "no", "0"};
    if (s->engine == DB_MARIADB && head_is(s, 0, "DELIMITER")) {
        return "DELIMITER is a command of the mariadb client, the server does not know it: leave "
               "these lines out and end the body with a semicolon (BEGIN … END may hold others)";
    }
    if (!head_is(s, 0, "SET")) {
        return NULL;
    }
    if (s->engine == DB_MARIADB && head_has(s, "SQL_MODE") &&
        says_any(s, modes, ARRAY_SIZE(modes))) {
        return "it sets a sql_mode that changes what a quote or a backslash means: where the "
               "statements after it end could not be known. Leave that mode out";
    }
    if (s->engine == DB_POSTGRES && head_has(s, "STANDARD_CONFORMING_STRINGS") &&
        says_any(s, off, ARRAY_SIZE(off))) {
        return "it turns standard_conforming_strings off: where the statements after it end could "
               "not be known. Leave it on and write E'…' where a backslash escapes";
    }
    return NULL;
}

static void refuse(struct scan *s)
{
    const char *why = s->script->refused == NULL ? refusal_of(s) : NULL;
    if (why != NULL) {
        s->script->refused = why;
        s->script->refused_line = s->now.line;
    }
}

int script_check(const struct script *script, int first_line, struct error *e)
{
    if (script->refused == NULL) {
        return 0;
    }
    return error_set(e, E_INVALID, "line %d: %s. Nothing of it has run",
                     first_line + script->refused_line - 1, script->refused);
}

static void finish_statement(struct scan *s, size_t to)
{
    if (!s->any) {
        s->now.to = to;
        return; /* blanks, comments, a lone ';': part of the next one */
    }
    struct statement *now = &s->now;
    now->to = to;
    now->kind = kind_of(s);
    now->concurrently = head_has(s, "CONCURRENTLY") && !head_is(s, 0, "REFRESH");
    now->alone = must_stand_alone(s);
    now->characteristics = head_is(s, 0, "SET") && head_is(s, 1, "TRANSACTION");
    now->guarded = head_has(s, "REPLACE") || head_has(s, "EXISTS");
    now->temporary = now->kind == STATEMENT_SCHEMA &&
                     (head_is(s, 1, "TEMPORARY") || head_is(s, 1, "TEMP") ||
                      ((head_is(s, 1, "LOCAL") || head_is(s, 1, "GLOBAL")) && head_has(s, "TEMP")));
    if (now->kind == STATEMENT_PROGRAM && !head_is(s, 0, "DO")) {
        now->commits = true;
    }
    see_index(s);
    refuse(s);
    s->script->items = arena_grow(s->arena, s->script->items, s->script->count, &s->capacity,
                                  sizeof(*s->script->items));
    s->script->items[s->script->count++] = *now;
}

static void next_statement(struct scan *s)
{
    size_t from = s->any ? s->now.to : s->now.from;
    s->now = (struct statement){.from = from};
    s->any = s->has_body = s->ended = s->dotted = s->named = false;
    s->heads = s->depth = s->parens = 0;
}

/* Words that open and close what may hold semicolons. */
static void see_body(struct scan *s, const struct sql_token *token)
{
    bool after_end = s->ended;
    s->ended = false;
    bool maker = head_is(s, 0, "CREATE") || head_is(s, 0, "ALTER");
    if (s->depth == 0 && maker &&
        (sql_is(token, "TRIGGER") || sql_is(token, "FUNCTION") || sql_is(token, "PROCEDURE") ||
         sql_is(token, "EVENT"))) {
        s->has_body = true;
    } else if (s->heads == 1 && head_is(s, 0, "BEGIN") && sql_is(token, "NOT")) {
        s->has_body = true;
        s->depth = 1;
    } else if (after_end &&
               (sql_is(token, "IF") || sql_is(token, "LOOP") || sql_is(token, "WHILE") ||
                sql_is(token, "REPEAT") || sql_is(token, "FOR"))) {
        s->depth++; /* END IF closes what was not counted */
    } else if (after_end && sql_is(token, "CASE")) {
        return;
    } else if (s->has_body && sql_is(token, "BEGIN")) {
        s->depth++;
    } else if (s->depth > 0 && sql_is(token, "CASE")) {
        s->depth++;
    } else if (s->depth > 0 && sql_is(token, "END")) {
        s->depth--;
        s->ended = true;
    }
}

static void see_sign(struct scan *s, const struct sql_token *token)
{
    if (token->text.data[0] == '(') {
        s->parens++;
    } else if (token->text.data[0] == ')' && s->parens > 0) {
        s->parens--;
    }
}

static int line_of(struct scan *s, size_t at)
{
    for (; s->line_at < at; s->line_at++) {
        s->line += s->sql.data[s->line_at] == '\n' ? 1 : 0;
    }
    return s->line;
}

static bool same_words(struct bytes text, const char *word)
{
    struct sql_token token = {.kind = SQL_WORD, .text = text};
    return sql_is(&token, word);
}

/* NEW.end is a column, @end a variable. */
static bool makes_name(const struct scan *s, const struct sql_token *token)
{
    if (token->kind != SQL_SIGN) {
        return false;
    }
    switch (token->text.data[0]) {
    case '.':
        return s->named;
    case '@':
        return s->engine != DB_POSTGRES;
    case ':':
        return s->engine == DB_SQLITE;
    default:
        return false;
    }
}

static void see_token(struct scan *s, const struct sql_token *token)
{
    if (!s->any) {
        const uint8_t *first = s->sql.data + token->from;
        s->any = true;
        s->now.words = (struct bytes){first, (size_t)(s->sql.data + s->sql.len - first)};
        s->now.line = line_of(s, (size_t)(first - s->sql.data));
    }
    if (token->kind == SQL_WORD && !s->dotted) {
        see_body(s, token);
    } else if (token->kind == SQL_SIGN) {
        see_sign(s, token);
    }
    if (token->kind == SQL_DOLLAR && head_is(s, 0, "DO") && body_commits(token->text)) {
        s->now.commits = true;
    }
    if (token->kind == SQL_TEXT && head_is(s, 0, "DO")) {
        s->now.commits = true; /* a body in plain quotes is not looked into */
    }
    s->dotted = makes_name(s, token);
    s->named = token->kind == SQL_WORD;
    s->now.lock_timeout = s->now.lock_timeout || same_words(token->text, "LOCK_TIMEOUT") ||
                          (s->engine == DB_MARIADB &&
                           (sql_is(token, "LOCK_WAIT_TIMEOUT") || sql_is(token, "NOWAIT")));
    if (s->heads < HEAD_WORDS) {
        s->head[s->heads++] = *token;
    }
}

enum sql_dialect script_dialect(enum db_engine_kind engine)
{
    switch (engine) {
    case DB_POSTGRES:
        return SQL_POSTGRESQL;
    case DB_SQLITE:
        return SQL_SQLITE;
    case DB_MARIADB:
        break;
    }
    return SQL_MARIADB;
}

void script_read(struct arena *arena, struct bytes sql, enum db_engine_kind engine,
                 struct script *ret)
{
    *ret = (struct script){0};
    struct scan s = {.arena = arena, .sql = sql, .engine = engine, .line = 1, .script = ret};
    struct sql_reader reader = {.sql = sql, .dialect = script_dialect(engine)};
    for (;;) {
        struct sql_token token = sql_next(&reader);
        if (token.kind == SQL_END) {
            break;
        }
        bool end =
            token.kind == SQL_SIGN && token.text.data[0] == ';' && s.depth == 0 && s.parens == 0;
        if (!end) {
            see_token(&s, &token);
            continue;
        }
        reader.executable = false; /* the server begins anew, even in an executable comment */
        finish_statement(&s, reader.at);
        next_statement(&s);
    }
    finish_statement(&s, sql.len);
    if (ret->count > 0) {
        ret->items[ret->count - 1].to = sql.len;
    }
}
