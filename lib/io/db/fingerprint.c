/*
 * Owns what is the same for every engine: the order of the objects, their text and its digest, and the words for a
 * difference. It refuses a text that it did not write, and a schema of more than DB_FINGERPRINT_BYTES_MAX.
 */
#include "lib/io/db/fingerprint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/digest.h"

#define FIRST_LINE      "lockstep schema fingerprint 1\n"
#define SHOWN_BYTES_MAX 160 /* of a definition in a difference */
#define SHOWN_BEFORE    40  /* of what is the same, before the first byte that is not */

const char *const db_fingerprint_tool_tables[] = {
    "db_migrations",     "db_lock",        "db_config_migrations",
    "schema_migrations", "schema_lock",    "goose_db_version",
    "goose_lock",        "migration_logs", NULL};

static bool same_table(const struct db_session *s, const char *a, const char *b)
{
    return s->engine->kind == DB_SQLITE ? strcasecmp(a, b) == 0 : str_equal(a, b);
}

bool db_fingerprint_is_tools(const struct db_session *s, const char *table)
{
    for (const char *const *name = db_fingerprint_tool_tables; *name != NULL; name++) {
        if (same_table(s, *name, table)) {
            return true;
        }
    }
    const char *dot = s->ledger != NULL ? strrchr(s->ledger, '.') : NULL;
    return s->ledger != NULL && same_table(s, dot != NULL ? dot + 1 : s->ledger, table);
}

/* ---- SQL on one line ---- */

struct normaliser {
    const char *p; /* what is left */
    struct buf out;
    bool blank; /* one is due before the next byte */
};

static void put(struct normaliser *n, const char *text, size_t len)
{
    static const char tight[] = "(),;";
    if (n->blank && n->out.len > 0 && strchr(tight, n->out.data[n->out.len - 1]) == NULL &&
        strchr(tight, text[0]) == NULL) {
        buf_putc(&n->out, ' ');
    }
    n->blank = false;
    buf_append(&n->out, text, len);
}

/* Past a comment: "--" to the end of the line, nested C comments; an open one goes to the end of the text. */
static const char *after_comment(const char *p)
{
    if (p[0] == '-') {
        return p + strcspn(p, "\n");
    }
    int depth = 0;
    while (*p != '\0') {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;
        } else if (p[0] == '*' && p[1] == '/') {
            p += 2;
            if (--depth == 0) {
                return p;
            }
        } else {
            p++;
        }
    }
    return p;
}

/* Past a string or a quoted name that starts at `p`; `escapes`: a backslash takes the next byte with it. */
static const char *after_quoted(const char *p, bool escapes)
{
    char quote = *p;
    for (p++; *p != '\0'; p++) {
        if (escapes && *p == '\\' && p[1] != '\0') {
            p++;
        } else if (*p == quote && p[1] == quote) {
            p++;
        } else if (*p == quote) {
            return p + 1;
        }
    }
    return p;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The bytes of a dollar quote's opening tag at `p`, 0 when there is none. */
static size_t dollar_tag(const char *p)
{
    size_t len = 1;
    while (is_word(p[len]) && p[len] != '$') {
        len++;
    }
    return p[len] == '$' && !isdigit((unsigned char)p[1]) ? len + 1 : 0;
}

static void put_dollar(struct normaliser *n, size_t tag, bool bodies)
{
    const char *body = n->p + tag;
    const char *end = body;
    while (*end != '\0' && strncmp(end, n->p, tag) != 0) {
        end++;
    }
    put(n, n->p, tag);
    if (bodies) {
        struct arena *arena = n->out.arena;
        const char *text = arena_strndup(arena, body, (size_t)(end - body));
        buf_puts(&n->out, db_fingerprint_normalise(arena, text, false));
    } else {
        buf_append(&n->out, body, (size_t)(end - body));
    }
    size_t closing = *end != '\0' ? tag : 0;
    buf_append(&n->out, end, closing);
    n->p = end + closing;
}

static void put_word(struct normaliser *n)
{
    size_t len = 1;
    while (is_word(n->p[len])) {
        len++;
    }
    /* E'…' is the only string with backslashes of its own. */
    bool escapes = len == 1 && (*n->p == 'e' || *n->p == 'E') && n->p[1] == '\'';
    if (escapes) {
        len = (size_t)(after_quoted(n->p + 1, true) - n->p);
    }
    put(n, n->p, len);
    n->p += len;
}

const char *db_fingerprint_normalise(struct arena *arena, const char *sql, bool bodies)
{
    struct normaliser n = {.p = sql};
    buf_init(&n.out, arena, DB_FINGERPRINT_BYTES_MAX);
    while (*n.p != '\0') {
        if (isspace((unsigned char)*n.p)) {
            n.blank = true;
            n.p++;
        } else if ((n.p[0] == '-' && n.p[1] == '-') || (n.p[0] == '/' && n.p[1] == '*')) {
            n.blank = true;
            n.p = after_comment(n.p);
        } else if (*n.p == '\'' || *n.p == '"' || *n.p == '`') {
            const char *end = after_quoted(n.p, false);
            put(&n, n.p, (size_t)(end - n.p));
            n.p = end;
        } else if (*n.p == '$' && dollar_tag(n.p) > 0) {
            put_dollar(&n, dollar_tag(n.p), bodies);
        } else if (is_word(*n.p)) {
            put_word(&n);
        } else {
            put(&n, n.p++, 1);
        }
    }
    return buf_text(&n.out);
}

/* ---- reading, text, digest ---- */

static int by_kind_and_name(const void *a, const void *b)
{
    const struct db_object *left = a;
    const struct db_object *right = b;
    int order = strcmp(left->kind, right->kind);
    order = order != 0 ? order : strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->definition, right->definition);
}

static void put_escaped(struct buf *b, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '\\':
            buf_puts(b, "\\\\");
            break;
        case '\n':
            buf_puts(b, "\\n");
            break;
        case '\r':
            buf_puts(b, "\\r");
            break;
        case '\t':
            buf_puts(b, "\\t");
            break;
        default:
            buf_putc(b, *p);
            break;
        }
    }
}

static struct buf write_text(struct arena *arena, const struct db_fingerprint *fingerprint)
{
    struct buf b;
    buf_init(&b, arena, DB_FINGERPRINT_BYTES_MAX);
    buf_puts(&b, FIRST_LINE);
    for (size_t i = 0; i < fingerprint->count; i++) {
        const struct db_object *o = &fingerprint->items[i];
        put_escaped(&b, o->kind);
        buf_putc(&b, '\t');
        put_escaped(&b, o->name);
        buf_putc(&b, '\t');
        put_escaped(&b, o->definition);
        buf_putc(&b, '\n');
    }
    return b;
}

const char *db_fingerprint_text(struct arena *arena, const struct db_fingerprint *fingerprint)
{
    struct buf b = write_text(arena, fingerprint);
    return buf_text(&b);
}

int db_fingerprint_read(struct db_session *s, struct arena *arena, struct db_fingerprint *ret,
                        struct error *e)
{
    struct db_fingerprint f = {0};
    if (s->engine->objects == NULL) {
        return db_fail(s, e, E_INVALID, "the schema of a %s database cannot be read yet",
                       s->engine->name);
    }
    int rc = s->engine->objects(s, arena, &f.items, &f.count, e);
    if (rc < 0) {
        return rc;
    }
    if (f.count > 1) {
        qsort(f.items, f.count, sizeof(*f.items), by_kind_and_name);
    }
    struct buf text = write_text(arena, &f);
    if (text.overflow) {
        return db_fail(s, e, E_LIMIT, "its schema's description is longer than %u bytes",
                       DB_FINGERPRINT_BYTES_MAX);
    }
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(text.data, text.len, hex);
    f.digest = arena_strdup(arena, hex);
    *ret = f;
    return 0;
}

/* The cell from `p` up to `stop`, read back; NULL: not one of put_escaped(). */
static const char *read_escaped(struct arena *arena, const char *p, const char *stop)
{
    char *out = arena_alloc(arena, (size_t)(stop - p) + 1);
    char *to = out;
    for (; p < stop; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        static const char letters[] = "\\nrt";
        static const char meanings[] = "\\\n\r\t";
        const char *found = ++p < stop ? strchr(letters, *p) : NULL;
        if (found == NULL) {
            return NULL;
        }
        *to++ = meanings[found - letters];
    }
    *to = '\0';
    return out;
}

static bool read_line(struct arena *arena, const char *line, const char *end, struct db_object *ret)
{
    const char *first = memchr(line, '\t', (size_t)(end - line));
    const char *second = first != NULL ? memchr(first + 1, '\t', (size_t)(end - first - 1)) : NULL;
    if (second == NULL || memchr(second + 1, '\t', (size_t)(end - second - 1)) != NULL) {
        return false;
    }
    *ret = (struct db_object){.kind = read_escaped(arena, line, first),
                              .name = read_escaped(arena, first + 1, second),
                              .definition = read_escaped(arena, second + 1, end)};
    return ret->kind != NULL && ret->name != NULL && ret->definition != NULL;
}

int db_fingerprint_parse(struct arena *arena, const char *text, struct db_fingerprint *ret,
                         struct error *e)
{
    struct db_fingerprint f = {0};
    size_t capacity = 0;
    if (text == NULL || !str_starts(text, FIRST_LINE)) {
        return error_set(e, E_INVALID,
                         "this is no schema fingerprint of this version of Lockstep: its first "
                         "line is not \"%.*s\"",
                         (int)strlen(FIRST_LINE) - 1, FIRST_LINE);
    }
    size_t line_number = 2;
    for (const char *p = text + strlen(FIRST_LINE); *p != '\0'; line_number++) {
        const char *end = strchr(p, '\n');
        f.items = arena_grow(arena, f.items, f.count, &capacity, sizeof(*f.items));
        if (end == NULL || !read_line(arena, p, end, &f.items[f.count]) ||
            (f.count > 0 && by_kind_and_name(&f.items[f.count - 1], &f.items[f.count]) > 0)) {
            return error_set(e, E_INVALID, "the schema fingerprint is damaged in line %zu",
                             line_number);
        }
        f.count++;
        p = end + 1;
    }
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(text, strlen(text), hex);
    f.digest = arena_strdup(arena, hex);
    *ret = f;
    return 0;
}

/* ---- differences ---- */

struct differences {
    struct arena *arena;
    const char **items;
    size_t count;
    size_t capacity;
};

static void add(struct differences *d, const char *words)
{
    d->items = arena_grow(d->arena, d->items, d->count, &d->capacity, sizeof(*d->items));
    d->items[d->count++] = words;
}

static bool is_relation(const struct db_object *o)
{
    return str_equal(o->kind, "table") || str_equal(o->kind, "view") ||
           str_equal(o->kind, "materialized view");
}

static const struct db_object *find(const struct db_fingerprint *f, const char *kind,
                                    const char *name)
{
    struct db_object key = {.kind = kind, .name = name};
    for (size_t low = 0, high = f->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(f->items[middle].kind, key.kind);
        order = order != 0 ? order : strcmp(f->items[middle].name, key.name);
        if (order == 0) {
            return &f->items[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* "… ON public.posts USING …", and "ON ONLY" where it is partitioned. */
static bool is_on(const char *definition, const char *relation)
{
    size_t len = strlen(relation);
    const char *on = strstr(definition, " ON ");
    if (on == NULL) {
        return false;
    }
    on += strlen(" ON ");
    on += str_starts(on, "ONLY ") ? strlen("ONLY ") : 0;
    return strncmp(on, relation, len) == 0 && (on[len] == ' ' || on[len] == '(');
}

/* Is `part` a column, constraint, index … of `relation`? */
static bool belongs_to(struct arena *arena, const struct db_object *part,
                       const struct db_object *relation)
{
    if (part == relation || is_relation(part)) {
        return false;
    }
    size_t len = strlen(relation->name);
    if (strncmp(part->name, relation->name, len) == 0 && part->name[len] == '.') {
        return true;
    }
    if (str_equal(part->kind, "index")) {
        return is_on(part->definition, relation->name);
    }
    return str_equal(part->kind, "sequence") &&
           strstr(part->definition, arena_printf(arena, " owned by %s.", relation->name)) != NULL;
}

/* `o` is in `one` and not in `other`: does that follow from its table, which is not there either? */
static bool goes_without_saying(struct arena *arena, const struct db_object *o,
                                const struct db_fingerprint *one,
                                const struct db_fingerprint *other)
{
    for (size_t i = 0; i < one->count; i++) {
        const struct db_object *relation = &one->items[i];
        if (is_relation(relation) && find(other, relation->kind, relation->name) == NULL &&
            belongs_to(arena, o, relation)) {
            return true;
        }
    }
    return false;
}

/* A definition for people, cut to where it begins to differ. */
static const char *shown(struct arena *arena, const char *definition, size_t same)
{
    if (definition[0] == '\0') {
        return "nothing";
    }
    size_t len = strlen(definition);
    size_t start = same > SHOWN_BEFORE ? same - SHOWN_BEFORE : 0;
    start = len <= SHOWN_BYTES_MAX ? 0 : MIN(start, len - SHOWN_BYTES_MAX);
    while (start > 0 && ((unsigned char)definition[start] & 0xc0) == 0x80) {
        start--;
    }
    size_t end = MIN(start + SHOWN_BYTES_MAX, len);
    while (end < len && ((unsigned char)definition[end] & 0xc0) == 0x80) {
        end++;
    }
    char *part = arena_strndup(arena, definition + start, end - start);
    for (char *p = part; *p != '\0'; p++) {
        *p = isspace((unsigned char)*p) ? ' ' : *p;
    }
    return arena_printf(arena, "%s%s%s", start > 0 ? "…" : "", part, end < len ? "…" : "");
}

static void say_changed(struct differences *d, const struct db_object *was,
                        const struct db_object *now)
{
    size_t same = 0;
    while (was->definition[same] != '\0' && was->definition[same] == now->definition[same]) {
        same++;
    }
    if (was->definition[same] != now->definition[same]) {
        add(d, arena_printf(d->arena, "%s %s: was %s, is %s", now->kind, now->name,
                            shown(d->arena, was->definition, same),
                            shown(d->arena, now->definition, same)));
    }
}

static void say_gone(struct differences *d, const struct db_object *o,
                     const struct db_fingerprint *was, const struct db_fingerprint *now)
{
    if (!goes_without_saying(d->arena, o, was, now)) {
        add(d, arena_printf(d->arena, "%s %s is not there any more", o->kind, o->name));
    }
}

static void say_new(struct differences *d, const struct db_object *o,
                    const struct db_fingerprint *was, const struct db_fingerprint *now)
{
    if (!goes_without_saying(d->arena, o, now, was)) {
        const char *invalid = str_ends(o->definition, " INVALID") ? " (INVALID)" : "";
        add(d, arena_printf(d->arena, "new %s %s%s", o->kind, o->name, invalid));
    }
}

void db_fingerprint_differences(struct arena *arena, const struct db_fingerprint *was,
                                const struct db_fingerprint *now, struct strings *ret)
{
    struct differences d = {.arena = arena};
    size_t i = 0;
    size_t j = 0;
    while (i < was->count || j < now->count) {
        int order = j == now->count ? -1 : (i == was->count ? 1 : 0);
        if (order == 0) {
            order = strcmp(was->items[i].kind, now->items[j].kind);
            order = order != 0 ? order : strcmp(was->items[i].name, now->items[j].name);
        }
        if (order < 0) {
            say_gone(&d, &was->items[i++], was, now);
        } else if (order > 0) {
            say_new(&d, &now->items[j++], was, now);
        } else {
            say_changed(&d, &was->items[i++], &now->items[j++]);
        }
    }
    *ret = (struct strings){.items = d.items, .count = d.count};
}
