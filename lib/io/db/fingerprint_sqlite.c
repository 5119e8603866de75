/*
 * Owns reading a SQLite schema: the statements that made it, as the file keeps them. A table's statement is cut into its
 * columns and constraints, so that their order does not count; a view, an index or a trigger is its text on one line.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/sqlite.h"

struct reading {
    struct arena *arena;
    struct db_object *items;
    size_t count;
    size_t capacity;
};

static void add(struct reading *r, const char *kind, const char *name, const char *definition)
{
    r->items = arena_grow(r->arena, r->items, r->count, &r->capacity, sizeof(*r->items));
    r->items[r->count++] = (struct db_object){.kind = kind, .name = name, .definition = definition};
}

/* Past a string or a quoted name; `p` is at its first quote. A doubled quote is two strings to us: they join. */
static const char *after_quoted(const char *p)
{
    const char *end = strchr(p + 1, *p == '[' ? ']' : *p);
    return end != NULL ? end + 1 : p + strlen(p);
}

static bool is_plain(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return false;
        }
    }
    return len > 0 && !isdigit((unsigned char)name[0]);
}

static bool is_quote(char c)
{
    return c == '\'' || c == '"' || c == '`' || c == '[';
}

/* On one line, and without the quotes of names that need none: SQLite writes them itself when a table is renamed. */
static const char *normalise(struct arena *arena, const char *sql)
{
    const char *text = db_fingerprint_normalise(arena, sql, false);
    struct buf b;
    buf_init(&b, arena, DB_FINGERPRINT_BYTES_MAX);
    while (*text != '\0') {
        const char *end = is_quote(*text) ? after_quoted(text) : text + 1;
        size_t inside = (size_t)(end - text) > 2 ? (size_t)(end - text) - 2 : 0;
        bool bare = is_quote(*text) && *text != '\'' && *end != *text && is_plain(text + 1, inside);
        buf_append(&b, bare ? text + 1 : text, bare ? inside : (size_t)(end - text));
        text = end;
    }
    return buf_text(&b);
}

/* The end of the part of a parenthesis's inside that starts at `p`: a comma, or the bracket that closes. */
static const char *part_end(const char *p)
{
    int depth = 0;
    while (*p != '\0' && (depth > 0 || (*p != ',' && *p != ')'))) {
        depth += *p == '(' ? 1 : (*p == ')' ? -1 : 0);
        p = is_quote(*p) ? after_quoted(p) : p + 1;
    }
    return p;
}

static bool starts_with_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    return strncasecmp(text, word, len) == 0 && !isalnum((unsigned char)text[len]) &&
           text[len] != '_';
}

static bool is_constraint(const char *part)
{
    static const char *const words[] = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (starts_with_word(part, words[i])) {
            return true;
        }
    }
    return false;
}

/* A name as it is written at `p`, without its quotes; *ret_rest is what stands after it. */
static const char *name_at(struct arena *arena, const char *p, const char **ret_rest)
{
    const char *end = p;
    bool quoted = is_quote(*p);
    if (quoted) {
        end = after_quoted(p);
    } else {
        end += strcspn(p, " (");
    }
    const char *rest = end;
    while (*rest == ' ') {
        rest++;
    }
    *ret_rest = rest;
    return quoted && end - p >= 2 ? arena_strndup(arena, p + 1, (size_t)(end - p) - 2)
                                  : arena_strndup(arena, p, (size_t)(end - p));
}

static void add_part(struct reading *r, const char *table, const char *part)
{
    const char *rest = NULL;
    if (!is_constraint(part)) {
        const char *column = name_at(r->arena, part, &rest);
        add(r, "column", arena_printf(r->arena, "%s.%s", table, column), rest);
        return;
    }
    if (starts_with_word(part, "CONSTRAINT")) {
        const char *name =
            name_at(r->arena, part + strlen("CONSTRAINT") + (part[10] == ' '), &rest);
        add(r, "constraint", arena_printf(r->arena, "%s.%s", table, name), rest);
        return;
    }
    /* It has no name: what it says is its name. */
    add(r, "constraint", arena_printf(r->arena, "%s.%s", table, part), "");
}

static void add_table(struct reading *r, const char *table, const char *sql)
{
    const char *text = normalise(r->arena, sql);
    const char *open = text;
    while (*open != '\0' && *open != '(') {
        open = is_quote(*open) ? after_quoted(open) : open + 1;
    }
    if (*open == '\0' || starts_with_word(text, "CREATE VIRTUAL")) {
        add(r, "table", table, text);
        return;
    }
    const char *p = open;
    do {
        p++;
        const char *end = part_end(p);
        add_part(r, table, arena_strndup(r->arena, p, (size_t)(end - p)));
        p = end;
    } while (*p == ',');
    p += *p == ')';
    add(r, "table", table, p); /* WITHOUT ROWID, STRICT */
}

/* Tables that a virtual table keeps its data in are not the application's; neither is what has no text (the index of a
 * constraint). */
static const char objects_sql[] =
    "SELECT m.type, m.name, m.tbl_name, m.sql FROM sqlite_schema m"
    " LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = m.tbl_name"
    " WHERE m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " AND m.tbl_name NOT LIKE 'lockstep\\_%' ESCAPE '\\' AND coalesce(l.type, '') <> 'shadow'";

int sqlite_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                   size_t *ret_count, struct error *e)
{
    struct reading r = {.arena = arena};
    struct db_rows rows = {0};
    int rc = db_query(s, arena, objects_sql, NULL, 0, &rows, e);
    if (rc < 0) {
        return error_wrap(e, "reading the schema");
    }
    for (size_t i = 0; i < rows.count; i++) {
        const char *kind = db_cell(&rows, i, 0);
        const char *table = db_cell(&rows, i, 2);
        if (db_fingerprint_is_tools(s, table)) {
            continue;
        }
        if (str_equal(kind, "table")) {
            add_table(&r, db_cell(&rows, i, 1), db_cell(&rows, i, 3));
            continue;
        }
        const char *name = str_equal(kind, "trigger")
                               ? arena_printf(arena, "%s.%s", table, db_cell(&rows, i, 1))
                               : db_cell(&rows, i, 1);
        add(&r, kind, name, normalise(arena, db_cell(&rows, i, 3)));
    }
    *ret = r.items;
    *ret_count = r.count;
    return 0;
}
