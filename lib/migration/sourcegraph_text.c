/*
 * Owns the three expressions of Sourcegraph's reader. They are no SQL parser: a comment that looks like a statement is one
 * to them, and so it is here, since both must refuse the same folders. Refuses nothing itself.
 */
#include "lib/migration/sourcegraph_text.h"

#include <string.h>

#include "lib/migration/text.h"

#define FENCE "-- +++\n"

struct bytes sourcegraph_canonical(struct bytes text)
{
    size_t first = text_find(text, FENCE);
    if (first < text.len) {
        struct bytes rest = text_from(text, first + strlen(FENCE));
        size_t second = text_find(rest, FENCE);
        if (second < rest.len) {
            text = text_from(rest, second + strlen(FENCE));
        }
    }
    text = text_trim(text);
    if (text_starts(text, "BEGIN;")) {
        text = text_from(text, strlen("BEGIN;"));
    }
    if (text_ends(text, "COMMIT;")) {
        text.len -= strlen("COMMIT;");
    }
    return text_trim(text);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* At `at`: the word. Moves past it. */
static bool word(struct bytes sql, size_t *at, const char *w)
{
    if (*at > sql.len || !text_starts(text_from(sql, *at), w)) {
        return false;
    }
    *at += strlen(w);
    return true;
}

static bool spaces(struct bytes sql, size_t *at)
{
    size_t from = *at;
    while (*at < sql.len && is_space(sql.data[*at])) {
        (*at)++;
    }
    return *at > from;
}

static bool name(struct bytes sql, size_t *at)
{
    size_t from = *at;
    while (*at < sql.len && is_name(sql.data[*at])) {
        (*at)++;
    }
    return *at > from;
}

/* Words with blanks between them and after them. */
static bool words(struct bytes sql, size_t *at, const char *const *list)
{
    size_t to = *at;
    for (; *list != NULL; list++) {
        if (!word(sql, &to, *list) || !spaces(sql, &to)) {
            return false;
        }
    }
    *at = to;
    return true;
}

/* At `at`: the whole expression up to the table's name, which begins at *ret_table. */
static bool index_at(struct bytes sql, size_t at, size_t *ret_table)
{
    static const char *const create[] = {"CREATE", NULL};
    static const char *const unique[] = {"UNIQUE", NULL};
    static const char *const index[] = {"INDEX", "CONCURRENTLY", NULL};
    static const char *const if_not[] = {"IF", "NOT", "EXISTS", NULL};
    static const char *const on[] = {"ON", NULL};
    if (!words(sql, &at, create)) {
        return false;
    }
    (void)words(sql, &at, unique);
    if (!words(sql, &at, index)) {
        return false;
    }
    (void)words(sql, &at, if_not);
    if (!name(sql, &at) || !spaces(sql, &at) || !words(sql, &at, on)) {
        return false;
    }
    *ret_table = at;
    return at < sql.len && is_name(sql.data[at]);
}

/* The next expression from *at on; *at is where it begins. */
static bool next_index(struct bytes sql, size_t *at, size_t *ret_table)
{
    while (*at < sql.len) {
        *at += text_find(text_from(sql, *at), "CREATE");
        if (*at < sql.len && index_at(sql, *at, ret_table)) {
            return true;
        }
        (*at)++;
    }
    return false;
}

bool sourcegraph_builds_index(struct bytes sql)
{
    size_t at = 0;
    size_t table;
    return next_index(sql, &at, &table);
}

/* Nothing but blanks, and what follows "--" in a line? A line goes on over a part that was taken out of it. */
static bool only_comments(struct bytes sql, bool *comment)
{
    for (size_t i = 0; i < sql.len; i++) {
        if (sql.data[i] == '\n') {
            *comment = false;
        } else if (!*comment && text_starts(text_from(sql, i), "--")) {
            *comment = true;
        } else if (!*comment && text_blank(text_from(sql, i)) == 0) {
            return false;
        } else if (!*comment) {
            i += text_blank(text_from(sql, i)) - 1;
        }
    }
    return true;
}

bool sourcegraph_only_builds_index(struct bytes sql)
{
    size_t at = 0;
    size_t table = 0;
    for (; next_index(sql, &at, &table); at++) {
        size_t end = table + text_find(text_from(sql, table), ";");
        if (end == sql.len) {
            return false;
        }
        if (end - table >=
            2) { /* at least one byte of the name, and one more before the semicolon */
            bool comment = false;
            return only_comments((struct bytes){sql.data, at}, &comment) &&
                   only_comments(text_from(sql, end + 1), &comment);
        }
    }
    return false;
}

bool sourcegraph_touches_extension(struct bytes sql)
{
    static const char *const verbs[] = {"CREATE", "COMMENT ON", "DROP"};
    for (size_t at = 0; at < sql.len; at++) {
        at += text_find(text_from(sql, at), "EXTENSION");
        size_t before = at;
        while (before > 0 && is_space(sql.data[before - 1])) {
            before--;
        }
        for (size_t v = 0; at < sql.len && before < at && v < ARRAY_SIZE(verbs); v++) {
            if (text_ends((struct bytes){sql.data, before}, verbs[v])) {
                return true;
            }
        }
    }
    return false;
}
