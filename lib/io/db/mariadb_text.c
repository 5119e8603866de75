/*
 * Owns how MariaDB cuts a text into statements (https://mariadb.com/kb/en/comment-syntax/ and /string-literals/): for
 * parameters, and for the line of a failure. Not a parser: a stored program's body is followed by its BEGIN and END.
 */
#include <ctype.h>
#include <string.h>

#include "lib/base/util.h"
#include "lib/io/db/mariadb.h"

static size_t skip_quoted(const char *sql, size_t at, bool backslashes)
{
    char quote = sql[at];
    bool escapes = backslashes && quote != '`';
    for (size_t i = at + 1; sql[i] != '\0'; i++) {
        if (escapes && sql[i] == '\\' && sql[i + 1] != '\0') {
            i++;
        } else if (sql[i] == quote && sql[i + 1] == quote) {
            i++;
        } else if (sql[i] == quote) {
            return i + 1;
        }
    }
    return strlen(sql);
}

static bool starts_line_comment(const char *p)
{
    return *p == '#' ||
           (p[0] == '-' && p[1] == '-' &&
            (p[2] == '\0' || isspace((unsigned char)p[2]) || iscntrl((unsigned char)p[2])));
}

size_t mariadb_skip(const char *sql, size_t at, bool backslashes)
{
    const char *p = sql + at;
    if (*p == '\'' || *p == '"' || *p == '`') {
        return skip_quoted(sql, at, backslashes);
    }
    if (starts_line_comment(p)) {
        return at + strcspn(p, "\n");
    }
    if (p[0] == '/' && p[1] == '*' && p[2] != '!' && !(p[2] == 'M' && p[3] == '!')) {
        const char *end = strstr(p + 2, "*/");
        return end != NULL ? (size_t)(end - sql) + 2 : at + strlen(p);
    }
    return at;
}

/* Of an executable comment the opening, with the version it wants: what follows is text as any other. */
static size_t executable_comment(const char *sql, size_t at)
{
    const char *p = sql + at;
    if (p[0] != '/' || p[1] != '*') {
        return at;
    }
    at += p[2] == 'M' ? 4 : 3; /* the others were skipped */
    return at + strspn(sql + at, "0123456789");
}

static size_t word_end(const char *sql, size_t at)
{
    while (isalnum((unsigned char)sql[at]) || sql[at] == '_' || sql[at] == '$' ||
           (unsigned char)sql[at] >= 0x80) {
        at++;
    }
    return at;
}

struct word {
    const char *text;
    size_t len;
};

static bool is(struct word word, const char *name)
{
    return word.len == strlen(name) && strncasecmp(word.text, name, word.len) == 0;
}

static bool is_one_of(struct word word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is(word, names[i])) {
            return true;
        }
    }
    return false;
}

struct cut {
    size_t words;
    bool create, program; /* CREATE … of what has a body */
    size_t depth;         /* of BEGIN and CASE in the body */
    bool after_end;       /* END IF, END LOOP … end what was not counted */
};

static void see_word(struct cut *cut, struct word word, struct mariadb_statement *ret)
{
    static const char *const callers[] = {"CALL", "EXECUTE", "BEGIN", "IF",    "CASE",
                                          "LOOP", "WHILE",   "FOR",   "REPEAT"};
    static const char *const programs[] = {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"};
    static const char *const uncounted[] = {"IF", "LOOP", "WHILE", "REPEAT", "FOR"};
    bool after_end = cut->after_end;
    cut->after_end = false;
    if (cut->words++ == 0) {
        cut->create = is(word, "CREATE");
        ret->calls = is_one_of(word, callers, ARRAY_SIZE(callers));
    } else if (cut->words == 2 && ret->calls && is(word, "NOT")) {
        cut->program = true; /* BEGIN NOT ATOMIC: the BEGIN was the first word */
        cut->depth = 1;
    } else if (cut->create && cut->depth == 0 && is_one_of(word, programs, ARRAY_SIZE(programs))) {
        cut->program = true;
    } else if (cut->program && is(word, "BEGIN")) {
        cut->depth++;
    } else if (cut->depth > 0 && is(word, "CASE") && !after_end) {
        cut->depth++;
    } else if (cut->depth > 0 && is(word, "END")) {
        cut->depth--;
        cut->after_end = true;
    } else if (after_end && is_one_of(word, uncounted, ARRAY_SIZE(uncounted))) {
        cut->depth++; /* it was the END of one of these */
    }
}

bool mariadb_next_statement(const char *sql, size_t *at, bool backslashes,
                            struct mariadb_statement *ret)
{
    size_t i = *at + strspn(sql + *at, " \t\r\n\f\v");
    if (sql[i] == '\0') {
        return false;
    }
    *ret = (struct mariadb_statement){.start = i};
    struct cut cut = {0};
    while (sql[i] != '\0') {
        size_t skipped = mariadb_skip(sql, i, backslashes);
        if (skipped > i) {
            cut.after_end = cut.after_end && sql[i] != '`';
            i = skipped;
            continue;
        }
        skipped = executable_comment(sql, i);
        if (skipped > i) {
            i = skipped;
            continue;
        }
        if (sql[i] == ';' && cut.depth == 0) {
            break;
        }
        size_t end = word_end(sql, i);
        if (end > i) {
            if (cut.words == 0) {
                ret->word = i;
            }
            see_word(&cut, (struct word){.text = sql + i, .len = end - i}, ret);
            i = end;
        } else {
            if (sql[i] == ';') {
                cut.after_end = false;
            } else if (cut.words == 0 && sql[i] == '(') {
                ret->word = i;
                cut.words = 1;
            }
            i++;
        }
    }
    ret->end = i;
    ret->word = cut.words > 0 ? ret->word : i;
    *at = sql[i] == ';' ? i + 1 : i;
    return true;
}

int mariadb_line_at(const char *sql, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && sql[i] != '\0'; i++) {
        line += sql[i] == '\n';
    }
    return line;
}
