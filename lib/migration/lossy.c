/*
 * Owns the first look at what a script loses. It reads words, statement by statement; the body of a DO runs and is
 * read too, the body of a function does not run and is not. Refuses to judge what it cannot see (UPDATE, dynamic SQL).
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/migration/migration.h"
#include "lib/migration/sql.h"

#define STATEMENT_TOKENS_MAX 4096 /* of one statement; what follows in it is not looked at */
#define FINDINGS_MAX         6    /* named; the rest is counted */
#define DO_DEPTH_MAX         4

struct statement {
    struct sql_token *tokens;
    size_t count;
    size_t capacity;
};

struct look {
    struct arena *arena;
    struct buf out;
    size_t findings;
};

static void found(struct look *look, const char *what)
{
    look->findings++;
    if (look->findings <= FINDINGS_MAX) {
        buf_printf(&look->out, "%s%s", look->findings > 1 ? ", " : "", what);
    }
}

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
static const char *name_at(struct look *look, const struct statement *s, size_t *i)
{
    struct buf b;
    buf_init(&b, look->arena, LIMIT_TEXT_BYTES);
    while (at(s, *i)->kind == SQL_WORD) {
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

static void look_at_names(struct look *look, const struct statement *s, size_t i, const char *verb)
{
    for (;;) {
        i = skip_if_exists(s, i);
        const char *name = name_at(look, s, &i);
        if (name == NULL) {
            return;
        }
        found(look, arena_printf(look->arena, "%s %s", verb, name));
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
static void look_at_clause(struct look *look, const struct statement *s, size_t i,
                           const char *table)
{
    static const char *const column[] = {"COLUMN", NULL};
    static const char *const set_data[] = {"SET", "DATA", NULL};
    if (sql_is(at(s, i), "DROP") && !drops_no_data(at(s, i + 1))) {
        i = skip_if_exists(s, skip(s, i + 1, column));
        const char *name = name_at(look, s, &i);
        if (name != NULL) {
            found(look, arena_printf(look->arena, "drops column %s.%s", table, name));
        }
    } else if (sql_is(at(s, i), "ALTER")) {
        i = skip(s, i + 1, column);
        const char *name = name_at(look, s, &i);
        if (name != NULL && sql_is(at(s, skip(s, i, set_data)), "TYPE")) {
            found(look, arena_printf(look->arena, "changes the type of %s.%s", table, name));
        }
    } else if (sql_is(at(s, i), "MODIFY") || sql_is(at(s, i), "CHANGE")) {
        i = skip(s, i + 1, column);
        const char *name = name_at(look, s, &i);
        if (name != NULL) {
            found(look, arena_printf(look->arena, "changes the type of %s.%s", table, name));
        }
    }
}

/* `i` stands after ALTER TABLE. Commas inside parentheses belong to types. */
static void look_at_alter(struct look *look, const struct statement *s, size_t i)
{
    i = skip_if_exists(s, i);
    const char *table = name_at(look, s, &i);
    if (table == NULL) {
        return;
    }
    look_at_clause(look, s, i, table);
    size_t depth = 0;
    for (; i < s->count; i++) {
        if (sign(s, i, '(')) {
            depth++;
        } else if (sign(s, i, ')') && depth > 0) {
            depth--;
        } else if (sign(s, i, ',') && depth == 0) {
            look_at_clause(look, s, i + 1, table);
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

static void look_at_statement(struct look *look, const struct statement *s)
{
    static const char *const table[] = {"TABLE", NULL};
    for (size_t i = 0; i < s->count; i++) {
        const struct sql_token *next = at(s, i + 1);
        if (sql_is(at(s, i), "DROP") && sql_is(next, "TABLE") && begins(s, i)) {
            look_at_names(look, s, i + 2, "drops table");
        } else if (sql_is(at(s, i), "DROP") && sql_is(next, "SCHEMA") && begins(s, i)) {
            look_at_names(look, s, i + 2, "drops schema");
        } else if (sql_is(at(s, i), "ALTER") && sql_is(next, "TABLE") && begins(s, i)) {
            look_at_alter(look, s, i + 2);
        } else if (sql_is(at(s, i), "DELETE") && sql_is(next, "FROM")) {
            size_t name = skip_if_exists(s, i + 2);
            const char *from = name_at(look, s, &name);
            found(look, arena_printf(look->arena, "deletes rows of %s", from ? from : "a table"));
        } else if (sql_is(at(s, i), "TRUNCATE") && begins(s, i)) {
            look_at_names(look, s, skip(s, i + 1, table), "empties table");
        }
    }
}

static void look_at(struct look *look, struct bytes sql, int depth)
{
    struct sql_reader r = {.sql = sql};
    struct statement s = {0};
    for (;;) {
        struct sql_token t = sql_next(&r);
        bool end = t.kind == SQL_END || (t.kind == SQL_SIGN && t.text.data[0] == ';');
        if (end) {
            look_at_statement(look, &s);
            s.count = 0;
            if (t.kind == SQL_END) {
                return;
            }
        } else if (t.kind == SQL_DOLLAR && sql_is(at(&s, 0), "DO") && depth < DO_DEPTH_MAX) {
            look_at(look, t.text, depth + 1);
        } else if (s.count < STATEMENT_TOKENS_MAX) {
            s.tokens = arena_grow(look->arena, s.tokens, s.count, &s.capacity, sizeof(*s.tokens));
            s.tokens[s.count++] = t;
        }
    }
}

const char *migration_lossy(struct arena *arena, struct bytes sql)
{
    struct look look = {.arena = arena};
    buf_init(&look.out, arena, LIMIT_TEXT_BYTES);
    look_at(&look, sql, 0);
    if (look.findings > FINDINGS_MAX) {
        buf_printf(&look.out, " and %zu more", look.findings - FINDINGS_MAX);
    }
    return look.findings == 0 ? NULL : buf_text(&look.out);
}
