/* Owns the lexical rules that separate words from comments and quotes. Refuses nothing: any bytes have tokens. */
#include "lib/migration/sql.h"

#include <string.h>

#include "lib/base/util.h"

#define MARIADB_NEVER 999999 /* a version that no server has: mariadb-dump's first line */

static int peek(const struct sql_reader *r, size_t ahead)
{
    size_t at = r->at + ahead;
    return at < r->sql.len ? r->sql.data[at] : -1;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Bytes above 127 are letters of a name in PostgreSQL. */
static bool is_word_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 128;
}

static bool is_word(int c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

/* At its opening. Of comments in it so many levels belong to it. */
static void skip_block_comment(struct sql_reader *r, size_t levels)
{
    size_t depth = 1;
    r->at += 2;
    while (depth > 0 && r->at < r->sql.len) {
        if (depth <= levels && peek(r, 0) == '/' && peek(r, 1) == '*') {
            depth++;
            r->at += 2;
        } else if (peek(r, 0) == '*' && peek(r, 1) == '/') {
            depth--;
            r->at += 2;
        } else {
            r->at++;
        }
    }
}

/* MariaDB's "!" or "M!", with a version or without: is what follows text that runs? Goes behind the version then. */
static bool enter_executable(struct sql_reader *r)
{
    bool own = peek(r, 2) == 'M';
    size_t opening = own ? 4 : 3;
    if (peek(r, opening - 1) != '!') {
        return false;
    }
    size_t digits = 0;
    unsigned version = 0;
    while (digits < 6 && is_digit(peek(r, opening + digits))) {
        version = version * 10 + (unsigned)(peek(r, opening + digits) - '0');
        digits++;
    }
    if (digits < 5) {
        digits = version = 0;
    }
    if (version == MARIADB_NEVER || (!own && version >= 50700 && version <= 99999)) {
        return false;
    }
    r->at += opening + digits;
    r->executable = true;
    return true;
}

static void skip_comment(struct sql_reader *r)
{
    if (r->dialect != SQL_MARIADB) {
        skip_block_comment(r, r->dialect == SQL_POSTGRESQL ? SIZE_MAX : 0);
    } else if (!enter_executable(r)) {
        bool for_version = peek(r, 2) == '!' || (peek(r, 2) == 'M' && peek(r, 3) == '!');
        skip_block_comment(r, for_version ? 1 : 0);
    }
}

static bool starts_line_comment(const struct sql_reader *r)
{
    if (r->dialect == SQL_MARIADB && peek(r, 0) == '#') {
        return true;
    }
    if (peek(r, 0) != '-' || peek(r, 1) != '-') {
        return false;
    }
    int c = peek(r, 2);
    return r->dialect != SQL_MARIADB || c <= ' ' || c == 127;
}

static void skip_line(struct sql_reader *r)
{
    while (r->at < r->sql.len && peek(r, 0) != '\n' &&
           (peek(r, 0) != '\r' || r->dialect != SQL_POSTGRESQL)) {
        r->at++;
    }
}

static bool is_byte_order_mark(const struct sql_reader *r)
{
    return peek(r, 0) == 0xef && peek(r, 1) == 0xbb && peek(r, 2) == 0xbf;
}

static void skip_blanks(struct sql_reader *r)
{
    for (;;) {
        if (is_blank(peek(r, 0))) {
            r->at++;
        } else if (starts_line_comment(r)) {
            skip_line(r);
        } else if (peek(r, 0) == '/' && peek(r, 1) == '*') {
            skip_comment(r);
        } else if (r->executable && peek(r, 0) == '*' && peek(r, 1) == '/') {
            r->at += 2;
            r->executable = false;
        } else if (r->dialect == SQL_SQLITE && is_byte_order_mark(r)) {
            r->at += 3; /* a blank to SQLite, wherever it stands */
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

/* At the opening quote. A doubled quote stays inside, and what a backslash stands before where it escapes. */
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

/* PostgreSQL: a string goes on in the next quote when nothing but blanks with a line break, and comments to the end of
 * a line, stand between: in the part that follows E'…' a backslash escapes too. */
static bool goes_on(struct sql_reader *r)
{
    size_t end = r->at;
    bool broken = false;
    for (;;) {
        int c = peek(r, 0);
        if (starts_line_comment(r)) {
            skip_line(r);
        } else if (is_blank(c)) {
            broken = broken || c == '\n' || c == '\r';
            r->at++;
        } else if (c == '\'' && broken) {
            return true;
        } else {
            r->at = end;
            return false;
        }
    }
}

/* At the quote of E'…'. */
static struct bytes take_escaped(struct sql_reader *r)
{
    struct bytes first = take_quoted(r, true);
    const uint8_t *end = first.data + first.len;
    while (goes_on(r)) {
        struct bytes next = take_quoted(r, true);
        end = next.data + next.len;
    }
    return (struct bytes){first.data, (size_t)(end - first.data)};
}

/* SQLite: nothing escapes the closing bracket. */
static struct bytes take_bracketed(struct sql_reader *r)
{
    size_t from = ++r->at;
    while (r->at < r->sql.len && peek(r, 0) != ']') {
        r->at++;
    }
    size_t to = r->at;
    r->at = MIN(r->at + 1, r->sql.len);
    return part(r, from, to);
}

/* The length of a dollar quote's opening ($$ or $tag$) here, or 0. $1 is a parameter. */
static size_t dollar_quote(const struct sql_reader *r)
{
    size_t len = 1;
    if (is_digit(peek(r, len))) {
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

/* At a quote of some kind, or SQL_END. */
static struct sql_token next_quoted(struct sql_reader *r)
{
    int c = peek(r, 0);
    bool postgresql = r->dialect == SQL_POSTGRESQL;
    bool mariadb = r->dialect == SQL_MARIADB;
    if (postgresql && (c == 'e' || c == 'E') && peek(r, 1) == '\'') {
        r->at++;
        return (struct sql_token){.kind = SQL_TEXT, .text = take_escaped(r)};
    }
    if (c == '\'' || (c == '"' && mariadb)) {
        return (struct sql_token){.kind = SQL_TEXT, .text = take_quoted(r, mariadb)};
    }
    if (c == '"' || (c == '`' && !postgresql)) {
        return (struct sql_token){.kind = SQL_WORD, .text = take_quoted(r, false), .quoted = true};
    }
    if (c == '[' && r->dialect == SQL_SQLITE) {
        return (struct sql_token){.kind = SQL_WORD, .text = take_bracketed(r), .quoted = true};
    }
    if (postgresql && c == '$' && dollar_quote(r) > 0) {
        return (struct sql_token){.kind = SQL_DOLLAR, .text = take_dollar(r, dollar_quote(r))};
    }
    return (struct sql_token){.kind = SQL_END};
}

static struct sql_token next_plain(struct sql_reader *r)
{
    int c = peek(r, 0);
    size_t from = r->at++;
    bool dollar = c == '$' && r->dialect != SQL_POSTGRESQL;
    bool word = is_word_start(c) || dollar;
    /* MariaDB's names may begin with a digit, and 1end is no END. */
    if (word || (r->dialect == SQL_MARIADB && is_digit(c))) {
        while (is_word(peek(r, 0))) {
            r->at++;
        }
    }
    return (struct sql_token){.kind = word ? SQL_WORD : SQL_SIGN, .text = part(r, from, r->at)};
}

struct sql_token sql_next(struct sql_reader *r)
{
    skip_blanks(r);
    if (peek(r, 0) < 0) {
        return (struct sql_token){.kind = SQL_END, .from = r->at};
    }
    size_t from = r->at;
    struct sql_token token = next_quoted(r);
    if (token.kind == SQL_END) {
        token = next_plain(r);
    }
    token.from = from;
    return token;
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
        if (t.kind == SQL_SIGN && t.text.data[0] == '`') {
            return true;
        }
    }
}

static bool first_on_its_line(struct bytes sql, size_t at)
{
    while (at > 0 && sql.data[at - 1] != '\n' && is_blank(sql.data[at - 1])) {
        at--;
    }
    return at == 0 || sql.data[at - 1] == '\n';
}

enum sql_dialect sql_guess_dialect(struct bytes sql)
{
    struct sql_reader r = {.sql = sql};
    int before = ';';
    for (;;) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            return SQL_POSTGRESQL;
        }
        int c = t.kind == SQL_SIGN ? t.text.data[0] : 'x';
        if (c == '`' ||
            (c == '#' && (before == ';' || before == ',' || first_on_its_line(sql, t.from)))) {
            return SQL_MARIADB;
        }
        before = c;
    }
}
