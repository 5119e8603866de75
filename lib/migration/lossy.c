/*
 * Owns the look at words, for what PostgreSQL's parser does not read: other dialects, and the body of a DO, which runs
 * (the body of a function does not, and is not read). Refuses to judge what it cannot see (UPDATE, dynamic SQL).
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/migration/lint_parts.h"
#include "lib/migration/sql.h"

#define STATEMENT_TOKENS_MAX 4096 /* of one statement; what follows in it is not looked at */
#define DO_DEPTH_MAX         4

struct statement {
    struct sql_token *tokens;
    size_t count;
    size_t capacity;
};

static const struct sql_token *at(const struct statement *s, size_t i)
{
    static const struct sql_token end = {.kind = SQL_END};
    return i < s->count ? &s->tokens[i] : &end;
}

static bool sign(const struct statement *s, size_t i, char c)
{
    return at(s, i)->kind == SQL_SIGN && at(s, i)->text.data[0] == (uint8_t)c;
}

static size_t skip(const struct statement *s, size_t i, const char *const *words)
{
    for (; *words != NULL; words++) {
        i += sql_is(at(s, i), *words) ? 1 : 0;
    }
    return i;
}

static size_t skip_if_exists(const struct statement *s, size_t i)
{
    static const char *const words[] = {"IF", "NOT", "EXISTS", "ONLY", NULL};
    return skip(s, i, words);
}

/* "schema.table" at *i, moved past it; NULL when no name stands there. */
/* The dialect was guessed: in the place of a name, what is in double quotes is one, whatever it was read as. */
static bool is_name(const struct sql_token *t)
{
    return t->kind == SQL_WORD || (t->kind == SQL_TEXT && t->text.data[-1] == '"');
}

static const char *name_at(struct lint *l, const struct statement *s, size_t *i)
{
    struct buf b;
    buf_init(&b, l->arena, LIMIT_TEXT_BYTES);
    while (is_name(at(s, *i))) {
        buf_append(&b, at(s, *i)->text.data, at(s, *i)->text.len);
        (*i)++;
        if (!sign(s, *i, '.')) {
            return buf_text(&b);
        }
        buf_putc(&b, '.');
        (*i)++;
    }
    return b.len > 0 ? buf_text(&b) : NULL;
}

static void loses(struct lint *l, const char *verb, const char *name)
{
    lint_loss(l, arena_printf(l->arena, "%s %s", verb, name));
}

static void look_at_names(struct lint *l, const struct statement *s, size_t i, const char *verb)
{
    for (;;) {
        bool guarded = sql_is(at(s, i), "IF");
        i = skip_if_exists(s, i);
        const char *name = name_at(l, s, &i);
        if (name == NULL) {
            return;
        }
        if (!str_equal(verb, "drops table")) {
            loses(l, verb, name);
        } else {
            lint_table_dropped(l, name);
            if (!guarded) {
                lint_change(l, "TABLE", name, false);
            }
        }
        if (!sign(s, i, ',')) {
            return;
        }
        i++;
    }
}

/* What ALTER TABLE may drop that holds no data. */
static bool drops_no_data(const struct sql_token *t)
{
    static const char *const words[] = {"CONSTRAINT", "INDEX",   "KEY",      "PRIMARY",
                                        "FOREIGN",    "DEFAULT", "NOT",      "IDENTITY",
                                        "EXPRESSION", "CHECK",   "PARTITION"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (sql_is(t, words[i])) {
            return true;
        }
    }
    return false;
}

/* One clause of ALTER TABLE, from `i` on. */
static void look_at_clause(struct lint *l, const struct statement *s, size_t i, const char *table)
{
    static const char *const column[] = {"COLUMN", NULL};
    static const char *const set_data[] = {"SET", "DATA", NULL};
    if (sql_is(at(s, i), "DROP") && !drops_no_data(at(s, i + 1))) {
        i = skip_if_exists(s, skip(s, i + 1, column));
        const char *name = name_at(l, s, &i);
        if (name != NULL) {
            const char *both = lint_column(l, table, name);
            loses(l, "drops column", both);
            lint_change(l, "COLUMN", both, false);
        }
    } else if (sql_is(at(s, i), "ADD") && !drops_no_data(at(s, i + 1))) {
        i = skip(s, i + 1, column);
        const char *name = sql_is(at(s, i), "IF") ? NULL : name_at(l, s, &i);
        if (name != NULL) {
            lint_change(l, "COLUMN", lint_column(l, table, name), true);
        }
    } else if (sql_is(at(s, i), "ALTER")) {
        i = skip(s, i + 1, column);
        const char *name = name_at(l, s, &i);
        if (name != NULL && sql_is(at(s, skip(s, i, set_data)), "TYPE")) {
            loses(l, "changes the type of", lint_column(l, table, name));
        }
    } else if (sql_is(at(s, i), "MODIFY") || sql_is(at(s, i), "CHANGE")) {
        i = skip(s, i + 1, column);
        const char *name = name_at(l, s, &i);
        if (name != NULL) {
            loses(l, "changes the type of", lint_column(l, table, name));
        }
    }
}

/* `i` stands before [TO] name. */
static void look_at_rename(struct lint *l, const struct statement *s, size_t i, const char *table)
{
    if (!sql_is(at(s, i), "TO") && !sql_is(at(s, i), "AS")) {
        return; /* a column's, or an index's */
    }
    i++;
    const char *to = name_at(l, s, &i);
    if (to != NULL) {
        lint_change(l, "TABLE", table, false);
        lint_change(l, "TABLE", to, true);
        lint_table_renamed(l, table, to);
    }
}

/* `i` stands after ALTER TABLE. Commas inside parentheses belong to types. */
static void look_at_alter(struct lint *l, const struct statement *s, size_t i)
{
    i = skip_if_exists(s, i);
    const char *table = name_at(l, s, &i);
    if (table == NULL) {
        return;
    }
    if (sql_is(at(s, i), "RENAME")) {
        look_at_rename(l, s, i + 1, table);
    }
    look_at_clause(l, s, i, table);
    size_t depth = 0;
    for (; i < s->count; i++) {
        if (sign(s, i, '(')) {
            depth++;
        } else if (sign(s, i, ')') && depth > 0) {
            depth--;
        } else if (sign(s, i, ',') && depth == 0) {
            look_at_clause(l, s, i + 1, table);
        }
    }
}

/* May a command begin at `i`? Inside a DO, control words stand before one. */
static bool begins(const struct statement *s, size_t i)
{
    static const char *const words[] = {"BEGIN", "THEN", "ELSE", "LOOP"};
    for (size_t w = 0; i > 0 && w < ARRAY_SIZE(words); w++) {
        if (sql_is(at(s, i - 1), words[w])) {
            return true;
        }
    }
    return i == 0;
}

/* The one table from which a query, from `i` on, takes every row, or NULL. */
static const char *whole_table(struct lint *l, const struct statement *s, size_t i)
{
    static const char *const fewer[] = {"WHERE", "LIMIT", "DISTINCT", "GROUP", "HAVING",
                                        "JOIN",  "UNION", "EXCEPT",   "WITH",  "INTERSECT"};
    const char *from = NULL;
    size_t depth = 0;
    for (; i < s->count; i++) {
        for (size_t w = 0; w < ARRAY_SIZE(fewer); w++) {
            if (depth == 0 && sql_is(at(s, i), fewer[w])) {
                return NULL;
            }
        }
        if (sign(s, i, '(')) {
            depth++;
        } else if (sign(s, i, ')') && depth > 0) {
            depth--;
        } else if (depth == 0 && from == NULL && sql_is(at(s, i), "FROM")) {
            size_t name = i + 1;
            from = name_at(l, s, &name);
            if (from == NULL || sign(s, name, ',')) {
                return NULL;
            }
        }
    }
    return from;
}

/* CREATE TABLE and INSERT: whose rows are whose. */
static void look_at_copies(struct lint *l, const struct statement *s)
{
    static const char *const table[] = {"TEMP", "TEMPORARY", "TABLE", NULL};
    bool creates = sql_is(at(s, 0), "CREATE");
    size_t i = creates ? skip(s, 1, table) : 2;
    if (creates ? !sql_is(at(s, i - 1), "TABLE")
                : !sql_is(at(s, 0), "INSERT") || !sql_is(at(s, 1), "INTO")) {
        return;
    }
    bool guarded = sql_is(at(s, i), "IF");
    i = skip_if_exists(s, i);
    const char *to = name_at(l, s, &i);
    if (to == NULL) {
        return;
    }
    if (creates && !sql_is(at(s, 1), "TABLE")) {
        lint_names_add(l, &l->temporary, arena_printf(l->arena, "temporary table %s", to));
        lint_names_add(l, &l->created, to);
    } else if (creates && !guarded) {
        lint_names_add(l, &l->created, to);
        lint_change(l, "TABLE", to, true);
    }
    const char *from = whole_table(l, s, i);
    if (from != NULL) {
        lint_table_filled(l, to, from);
    }
}

/* What these make runs later, and not with the script. */
static bool makes_code(const struct statement *s)
{
    static const char *const words[] = {"TRIGGER", "FUNCTION", "PROCEDURE", "EVENT"};
    for (size_t i = 1; i < MIN(s->count, (size_t)8) && sql_is(at(s, 0), "CREATE"); i++) {
        for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
            if (sql_is(at(s, i), words[w])) {
                return true;
            }
        }
    }
    return false;
}

static void look_at_statement(struct lint *l, const struct statement *s)
{
    static const char *const table[] = {"TABLE", NULL};
    if (makes_code(s)) {
        return;
    }
    look_at_copies(l, s);
    for (size_t i = 0; i < s->count; i++) {
        const struct sql_token *next = at(s, i + 1);
        if (sql_is(at(s, i), "DROP") && sql_is(next, "TABLE") && begins(s, i)) {
            look_at_names(l, s, i + 2, "drops table");
        } else if (sql_is(at(s, i), "DROP") && sql_is(next, "SCHEMA") && begins(s, i)) {
            look_at_names(l, s, i + 2, "drops schema");
        } else if (sql_is(at(s, i), "ALTER") && sql_is(next, "TABLE") && begins(s, i)) {
            look_at_alter(l, s, i + 2);
        } else if (sql_is(at(s, i), "DELETE") && sql_is(next, "FROM")) {
            size_t name = skip_if_exists(s, i + 2);
            const char *from = name_at(l, s, &name);
            if (from == NULL || !lint_names_have(&l->created, from)) {
                loses(l, "deletes rows of", from != NULL ? from : "a table");
            }
        } else if (sql_is(at(s, i), "TRUNCATE") && begins(s, i)) {
            look_at_names(l, s, skip(s, i + 1, table), "empties table");
        }
    }
}

struct word_class {
    const char *word;
    enum sql_class class;
};

static enum sql_class class_of(const struct sql_token *first)
{
    static const struct word_class classes[] = {
        {"CREATE", SQL_CLASS_SCHEMA},       {"ALTER", SQL_CLASS_SCHEMA},
        {"DROP", SQL_CLASS_SCHEMA},         {"RENAME", SQL_CLASS_SCHEMA},
        {"COMMENT", SQL_CLASS_SCHEMA},      {"GRANT", SQL_CLASS_SCHEMA},
        {"REVOKE", SQL_CLASS_SCHEMA},       {"INSERT", SQL_CLASS_DATA},
        {"UPDATE", SQL_CLASS_DATA},         {"DELETE", SQL_CLASS_DATA},
        {"REPLACE", SQL_CLASS_DATA},        {"MERGE", SQL_CLASS_DATA},
        {"TRUNCATE", SQL_CLASS_DATA},       {"COPY", SQL_CLASS_DATA},
        {"LOAD", SQL_CLASS_DATA},           {"SELECT", SQL_CLASS_QUERY},
        {"VALUES", SQL_CLASS_QUERY},        {"SHOW", SQL_CLASS_QUERY},
        {"EXPLAIN", SQL_CLASS_QUERY},       {"DO", SQL_CLASS_CODE},
        {"CALL", SQL_CLASS_CODE},           {"EXECUTE", SQL_CLASS_CODE},
        {"SET", SQL_CLASS_SESSION},         {"RESET", SQL_CLASS_SESSION},
        {"USE", SQL_CLASS_SESSION},         {"PRAGMA", SQL_CLASS_SESSION},
        {"PREPARE", SQL_CLASS_SESSION},     {"LOCK", SQL_CLASS_SESSION},
        {"UNLOCK", SQL_CLASS_SESSION},      {"BEGIN", SQL_CLASS_TRANSACTION},
        {"START", SQL_CLASS_TRANSACTION},   {"COMMIT", SQL_CLASS_TRANSACTION},
        {"END", SQL_CLASS_TRANSACTION},     {"ROLLBACK", SQL_CLASS_TRANSACTION},
        {"ABORT", SQL_CLASS_TRANSACTION},   {"SAVEPOINT", SQL_CLASS_TRANSACTION},
        {"RELEASE", SQL_CLASS_TRANSACTION}, {"VACUUM", SQL_CLASS_UPKEEP},
        {"ANALYZE", SQL_CLASS_UPKEEP},      {"REINDEX", SQL_CLASS_UPKEEP},
        {"OPTIMIZE", SQL_CLASS_UPKEEP},
    };
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (sql_is(first, classes[i].word)) {
            return classes[i].class;
        }
    }
    return SQL_CLASS_OTHER;
}

static bool has_word(const struct statement *s, const char *word)
{
    size_t i = 0;
    while (i < s->count && !sql_is(at(s, i), word)) {
        i++;
    }
    return i < s->count;
}

/* "CREATE TABLE" of DDL, the first word of the rest; in capitals. */
static const char *kind_of(struct lint *l, const struct statement *s, enum sql_class class)
{
    struct buf b;
    buf_init(&b, l->arena, LIMIT_NAME_BYTES);
    for (size_t i = 0; i < (class == SQL_CLASS_SCHEMA ? 2 : 1); i++) {
        const struct sql_token *t = at(s, i);
        buf_puts(&b, i > 0 && t->kind == SQL_WORD ? " " : "");
        for (size_t c = 0; t->kind == SQL_WORD && c < t->text.len; c++) {
            uint8_t byte = t->text.data[c];
            buf_putc(&b, (char)(byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte));
        }
    }
    return buf_text(&b);
}

/* CREATE or DROP of anything but a table: "CREATE UNIQUE INDEX i", "DROP VIEW v". */
static void tell_change(struct lint *l, const struct statement *s)
{
    static const char *const before[] = {"UNIQUE", "FULLTEXT", "SPATIAL", NULL};
    bool creates = sql_is(at(s, 0), "CREATE");
    size_t sort = creates ? skip(s, 1, before) : 1;
    size_t i = sort + 1;
    if ((!creates && !sql_is(at(s, 0), "DROP")) || sql_is(at(s, sort), "TABLE") ||
        sql_is(at(s, sort), "TEMP") || sql_is(at(s, sort), "TEMPORARY")) {
        return;
    }
    const char *name = name_at(l, s, &i);
    if (name != NULL) {
        const struct bytes word = at(s, sort)->text;
        lint_change(l, arena_strndup(l->arena, (const char *)word.data, word.len), name, creates);
    }
}

static void tell_statement(struct lint *l, const struct statement *s, int line, struct bytes text)
{
    struct sql_statement *out = lint_statement(l);
    out->class = class_of(at(s, 0));
    out->kind = kind_of(l, s, out->class);
    out->line = line;
    out->text = text;
    out->guarded = out->class == SQL_CLASS_SCHEMA &&
                   ((has_word(s, "IF") && has_word(s, "EXISTS")) || has_word(s, "REPLACE"));
    bool concurrent = has_word(s, "INDEX") && has_word(s, "CONCURRENTLY");
    out->outside = concurrent || sql_is(at(s, 0), "VACUUM");
    l->out->concurrent = l->out->concurrent || concurrent;
    if (sql_is(at(s, 0), "SET") || sql_is(at(s, 0), "PRAGMA") || sql_is(at(s, 0), "USE")) {
        size_t i = 1;
        const char *name = name_at(l, s, &i);
        lint_names_add(
            l, &l->temporary,
            arena_printf(l->arena, "%s %s", out->kind, name != NULL ? name : "of something"));
    }
    if (out->class == SQL_CLASS_SCHEMA && !out->guarded) {
        tell_change(l, s);
    }
}

/* BEGIN … END in what CREATE TRIGGER, FUNCTION or PROCEDURE makes may hold semicolons. */
static size_t inside_code(const struct statement *s, const struct sql_token *t, size_t depth)
{
    if (sql_is(t, "BEGIN") && makes_code(s)) {
        return depth + 1;
    }
    if (depth > 0 && (sql_is(t, "CASE") || sql_is(t, "IF") || sql_is(t, "LOOP"))) {
        return sql_is(at(s, s->count - 1), "END") ? depth : depth + 1;
    }
    return depth > 0 && sql_is(t, "END") ? depth - 1 : depth;
}

struct words {
    struct statement s;
    bool script; /* else the body of a DO */
    int depth;   /* of DO in DO */
    const uint8_t *counted;
    int line;
};

static void end_of_statement(struct lint *l, struct words *w, const uint8_t *end)
{
    if (w->s.count == 0) {
        return;
    }
    const uint8_t *begin = at(&w->s, 0)->text.data;
    for (; w->counted < begin; w->counted++) {
        w->line += *w->counted == '\n';
    }
    if (w->script) {
        tell_statement(l, &w->s, w->line, (struct bytes){begin, (size_t)(end - begin)});
    } else {
        for (size_t i = 0; i < w->s.count; i++) {
            bool ends = sql_is(at(&w->s, i), "COMMIT") || sql_is(at(&w->s, i), "ROLLBACK");
            l->out->controls_transactions =
                l->out->controls_transactions || (ends && begins(&w->s, i));
        }
    }
    look_at_statement(l, &w->s);
    w->s.count = 0;
}

static void look_at(struct lint *l, struct bytes sql, enum sql_dialect dialect, bool script,
                    int depth)
{
    struct sql_reader r = {.sql = sql, .dialect = dialect};
    struct words w = {.script = script, .depth = depth, .counted = sql.data, .line = 1};
    size_t code = 0;
    for (;;) {
        struct sql_token t = sql_next(&r);
        bool semicolon = t.kind == SQL_SIGN && t.text.data[0] == ';';
        if (t.kind == SQL_END || (semicolon && code == 0)) {
            end_of_statement(l, &w, t.kind == SQL_END ? sql.data + sql.len : t.text.data);
            code = 0;
            if (t.kind == SQL_END) {
                return;
            }
            continue;
        }
        code = w.s.count > 0 ? inside_code(&w.s, &t, code) : 0;
        if (t.kind == SQL_DOLLAR && sql_is(at(&w.s, 0), "DO") && depth < DO_DEPTH_MAX) {
            look_at(l, t.text, dialect, false, depth + 1);
        } else if (w.s.count < STATEMENT_TOKENS_MAX) {
            w.s.tokens =
                arena_grow(l->arena, w.s.tokens, w.s.count, &w.s.capacity, sizeof(*w.s.tokens));
            w.s.tokens[w.s.count++] = t;
        }
    }
}

void lint_words_body(struct lint *l, struct bytes body)
{
    look_at(l, body, SQL_POSTGRESQL, false, 1);
}

void lint_words_script(struct lint *l, enum sql_dialect dialect)
{
    look_at(l, l->sql, dialect, true, 0);
}
