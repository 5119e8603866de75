/* Owns the lexical rules that separate words from comments and quotes. Refuses nothing: any bytes have tokens. */
#include "lib/migration/sql.h"

#include <string.h>

#include "lib/base/util.h"

static int peek(const struct sql_reader *r, size_t ahead)
{
    size_t at = r->at + ahead;
    return at < r->sql.len ? r->sql.data[at] : -1;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Bytes above 127 are letters of a name in PostgreSQL. */
static bool is_word_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 128;
}

static bool is_word(int c)
{
    return is_word_start(c) || (c >= '0' && c <= '9') || c == '$';
}

static void skip_block_comment(struct sql_reader *r)
{
    size_t depth = 0;
    do {
        if (peek(r, 0) == '/' && peek(r, 1) == '*') {
            depth++;
            r->at += 2;
        } else if (peek(r, 0) == '*' && peek(r, 1) == '/') {
            depth--;
            r->at += 2;
        } else {
            r->at++;
        }
    } while (depth > 0 && r->at < r->sql.len);
}

static bool is_line_comment(const struct sql_reader *r)
{
    if (r->mariadb && peek(r, 0) == '#') {
        return true;
    }
    return peek(r, 0) == '-' && peek(r, 1) == '-' &&
           (!r->mariadb || peek(r, 2) <= ' ' || peek(r, 2) == 127); /* -1: the end */
}

/* MariaDB's: no nesting; of an executable one only the opening and the version it wants. */
static void skip_plain_comment(struct sql_reader *r)
{
    bool executable = peek(r, 2) == '!' || (peek(r, 2) == 'M' && peek(r, 3) == '!');
    r->at += peek(r, 2) == 'M' && executable ? 4 : executable ? 3 : 2;
    if (executable) {
        while (peek(r, 0) >= '0' && peek(r, 0) <= '9') {
            r->at++;
        }
        return;
    }
    while (r->at < r->sql.len && !(peek(r, 0) == '*' && peek(r, 1) == '/')) {
        r->at++;
    }
    r->at = MIN(r->at + 2, r->sql.len);
}

static void skip_blanks(struct sql_reader *r)
{
    for (;;) {
        if (is_blank(peek(r, 0))) {
            r->at++;
        } else if (is_line_comment(r)) {
            while (r->at < r->sql.len && peek(r, 0) != '\n' && (r->mariadb || peek(r, 0) != '\r')) {
                r->at++;
            }
        } else if (r->mariadb && peek(r, 0) == '/' && peek(r, 1) == '*') {
            skip_plain_comment(r);
        } else if (r->mariadb && peek(r, 0) == '*' && peek(r, 1) == '/') {
            r->at += 2; /* an executable one ends */
        } else if (peek(r, 0) == '/' && peek(r, 1) == '*') {
            skip_block_comment(r);
        } else {
            return;
        }
    }
}

static struct bytes part(const struct sql_reader *r, size_t from, size_t to)
{
    assert(from <= to && to <= r->sql.len);
    return (struct bytes){r->sql.data + from, to - from};
}

/* At the opening quote. A doubled quote stays inside; a backslash escapes in E'…'. */
static struct bytes take_quoted(struct sql_reader *r, bool backslash)
{
    int quote = peek(r, 0);
    size_t from = ++r->at;
    while (r->at < r->sql.len) {
        int c = peek(r, 0);
        if (backslash && c == '\\' && r->at + 1 < r->sql.len) {
            r->at += 2;
        } else if (c == quote && peek(r, 1) == quote) {
            r->at += 2;
        } else if (c == quote) {
            r->at++;
            return part(r, from, r->at - 1);
        } else {
            r->at++;
        }
    }
    return part(r, from, r->sql.len);
}

/* The length of a dollar quote's opening ($$ or $tag$) here, or 0. $1 is a parameter. */
static size_t dollar_quote(const struct sql_reader *r)
{
    size_t len = 1;
    if (peek(r, len) >= '0' && peek(r, len) <= '9') {
        return 0;
    }
    while (is_word(peek(r, len)) && peek(r, len) != '$') {
        len++;
    }
    return peek(r, len) == '$' ? len + 1 : 0;
}

static struct bytes take_dollar(struct sql_reader *r, size_t tag_len)
{
    const uint8_t *tag = r->sql.data + r->at;
    size_t from = r->at + tag_len;
    for (size_t at = from; at + tag_len <= r->sql.len; at++) {
        if (memcmp(r->sql.data + at, tag, tag_len) == 0) {
            r->at = at + tag_len;
            return part(r, from, at);
        }
    }
    r->at = r->sql.len;
    return part(r, MIN(from, r->sql.len), r->sql.len);
}

struct sql_token sql_next(struct sql_reader *r)
{
    skip_blanks(r);
    int c = peek(r, 0);
    if (c < 0) {
        return (struct sql_token){.kind = SQL_END};
    }
    if (r->mariadb && (c == '\'' || c == '"')) {
        return (struct sql_token){SQL_TEXT, take_quoted(r, true), false};
    }
    if (!r->mariadb && (c == 'e' || c == 'E') && peek(r, 1) == '\'') {
        r->at++;
        return (struct sql_token){SQL_TEXT, take_quoted(r, true), false};
    }
    if (c == '\'') {
        return (struct sql_token){SQL_TEXT, take_quoted(r, false), false};
    }
    if (c == '"' || c == '`') {
        return (struct sql_token){SQL_WORD, take_quoted(r, false), true};
    }
    if (c == '$' && !r->mariadb && dollar_quote(r) > 0) {
        return (struct sql_token){SQL_DOLLAR, take_dollar(r, dollar_quote(r)), false};
    }
    size_t from = r->at++;
    if (!is_word_start(c)) {
        return (struct sql_token){SQL_SIGN, part(r, from, r->at), false};
    }
    while (is_word(peek(r, 0))) {
        r->at++;
    }
    return (struct sql_token){SQL_WORD, part(r, from, r->at), false};
}

bool sql_is(const struct sql_token *token, const char *word)
{
    if (token->kind != SQL_WORD || token->quoted || token->text.len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < token->text.len; i++) {
        int c = token->text.data[i];
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != word[i]) {
            return false;
        }
    }
    return true;
}

bool sql_is_empty(struct bytes sql)
{
    struct sql_reader r = {.sql = sql};
    for (;;) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            return true;
        }
        if (t.kind != SQL_SIGN || t.text.data[0] != ';') {
            return false;
        }
    }
}

/* What is open between two parentheses, or between CASE and END. */
struct level {
    size_t run;    /* operators since the last comma, AND or OR: each may hold all before it */
    size_t joined; /* UNION, JOIN and BETWEEN, which a comma does not end */
    size_t own;
    bool is_case;
};

struct nesting {
    struct level levels[SQL_NESTING_MAX];
    size_t depth; /* index of the innermost */
    size_t sum, most;
};

static void deeper(struct nesting *n, size_t *count, size_t by)
{
    *count += by;
    n->sum += by;
    n->most = MAX(n->most, n->sum);
}

static void open_level(struct nesting *n, size_t own, bool is_case)
{
    if (n->depth + 1 < ARRAY_SIZE(n->levels)) {
        n->levels[++n->depth] = (struct level){.is_case = is_case};
        deeper(n, &n->levels[n->depth].own, own);
    } else {
        n->most = SQL_NESTING_MAX;
    }
}

static void close_level(struct nesting *n)
{
    const struct level *last = &n->levels[n->depth];
    if (n->depth > 0) {
        n->sum -= last->run + last->joined + last->own;
        n->depth--;
    }
}

static void end_run(struct nesting *n)
{
    n->sum -= n->levels[n->depth].run;
    n->levels[n->depth].run = 0;
}

static void end_statement(struct nesting *n)
{
    end_run(n);
    n->sum -= n->levels[n->depth].joined + n->levels[n->depth].own;
    n->levels[n->depth].joined = n->levels[n->depth].own = 0;
}

static void see_sign(struct nesting *n, int c)
{
    if (c == '(' || c == '[') {
        open_level(n, 1, false);
    } else if (c == ')' || c == ']') {
        while (n->levels[n->depth].is_case) {
            close_level(n);
        }
        close_level(n);
    } else if (c == ',') {
        end_run(n);
    } else if (c == ';') {
        end_statement(n);
    } else if (c != '.' && (c < '0' || c > '9')) {
        deeper(n, &n->levels[n->depth].run, 1);
    }
}

static bool is_one_of(const struct sql_token *t, const char *const *words)
{
    while (*words != NULL && !sql_is(t, *words)) {
        words++;
    }
    return *words != NULL;
}

static void see_word(struct nesting *n, const struct sql_token *t)
{
    static const char *const ends[] = {"AND", "OR", "WHEN", "THEN", "ELSE", NULL};
    static const char *const joins[] = {"UNION", "EXCEPT", "INTERSECT", "JOIN", "BETWEEN", NULL};
    static const char *const operators[] = {"NOT",      "IS",     "ISNULL",   "NOTNULL", "COLLATE",
                                            "AT",       "LIKE",   "ILIKE",    "SIMILAR", "IN",
                                            "OPERATOR", "ESCAPE", "OVERLAPS", NULL};
    struct level *level = &n->levels[n->depth];
    if (sql_is(t, "CASE")) {
        open_level(n, 2, true);
    } else if (sql_is(t, "END") && level->is_case) {
        close_level(n);
    } else if (sql_is(t, "SELECT") && level->own < 3) {
        deeper(n, &level->own, 2);
    } else if (is_one_of(t, ends)) {
        end_run(n);
    } else if (is_one_of(t, joins)) {
        deeper(n, &level->joined, 1);
    } else if (is_one_of(t, operators)) {
        deeper(n, &level->run, 1);
    }
}

size_t sql_nesting(struct bytes sql)
{
    struct nesting n = {.depth = 0};
    struct sql_reader r = {.sql = sql};
    while (n.most < SQL_NESTING_MAX) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            break;
        }
        if (t.kind == SQL_SIGN) {
            see_sign(&n, t.text.data[0]);
        } else if (t.kind == SQL_WORD) {
            see_word(&n, &t);
        }
    }
    return MIN(n.most, SQL_NESTING_MAX);
}

bool sql_has_backquotes(struct bytes sql)
{
    struct sql_reader r = {.sql = sql};
    for (;;) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            return false;
        }
        if (t.kind == SQL_WORD && t.quoted && t.text.data[-1] == '`') {
            return true;
        }
    }
}
