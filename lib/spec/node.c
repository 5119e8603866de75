/*
 * Owns small answers about trees: what a plain word means to YAML, how a value is named in a
 * message, the way from and to JSON, and where things were written.
 */
#include "lib/spec/node.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

#define QUOTED_BYTES 60

bool text_has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f ||
            (c == 0xc2 && next >= 0x80 && next < 0xa0)) {
            return true;
        }
    }
    return false;
}

const char *text_quote(struct arena *arena, const char *text)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_ERROR_BYTES);
    buf_putc(&b, '"');
    size_t i = 0;
    for (; text[i] != '\0' && (i < QUOTED_BYTES || ((unsigned char)text[i] & 0xc0) == 0x80); i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') {
            buf_puts(&b, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(&b, "\\x%02x", c);
        } else {
            buf_putc(&b, text[i]);
        }
    }
    buf_puts(&b, text[i] != '\0' ? "...\"" : "\"");
    return buf_text(&b);
}

const char *node_describe(struct arena *arena, const struct node *node)
{
    switch (node->kind) {
    case NODE_MAPPING:
        return "a mapping";
    case NODE_SEQUENCE:
        return "a list";
    case NODE_BROKEN:
        return "a broken value";
    case NODE_SCALAR:
        break;
    }
    enum plain_kind kind = node->plain ? plain_kind(node->text) : PLAIN_TEXT;
    if (kind == PLAIN_NULL) {
        return node->text[0] == '\0' ? "nothing" : arena_printf(arena, "%s (nothing)", node->text);
    }
    if (kind == PLAIN_NUMBER) {
        return arena_printf(arena, "the number %.40s", node->text);
    }
    if (kind == PLAIN_BOOL) {
        return node->text;
    }
    return arena_printf(arena, "the text %s", text_quote(arena, node->text));
}

/* ---- what YAML sees in a plain scalar: the union of the 1.1 types and the 1.2 core schema ---- */

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static size_t span(const char *text, const char *set)
{
    return strspn(text, set);
}

/* Decimal digits with the underscores of 1.1, at least one digit first. */
static size_t digits(const char *text)
{
    return text[0] >= '0' && text[0] <= '9' ? span(text, "0123456789_") : 0;
}

static bool is_based_integer(const char *s)
{
    static const struct {
        const char *prefix, *set;
    } bases[] = {
        {"0x", "0123456789abcdefABCDEF_"},
        {"0o", "01234567_"},
        {"0b", "01_"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        if (str_starts(s, bases[i].prefix) && s[2] != '\0' &&
            s[2 + span(s + 2, bases[i].set)] == '\0') {
            return true;
        }
    }
    return false;
}

/* 1:30 and 190:20:30.15 are numbers of base 60 in YAML 1.1. */
static bool is_sexagesimal(const char *s)
{
    size_t n = digits(s);
    if (n == 0 || s[n] != ':') {
        return false;
    }
    for (s += n; *s == ':'; s += n) {
        s++;
        n = span(s, "0123456789");
        if (n == 0 || n > 2) {
            return false;
        }
    }
    return *s == '\0' || (*s == '.' && s[1 + span(s + 1, "0123456789_")] == '\0');
}

static bool is_number(const char *s)
{
    static const char *const special[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};
    s += *s == '+' || *s == '-' ? 1 : 0;
    if (is_one_of(s, special, ARRAY_SIZE(special)) || is_based_integer(s) || is_sexagesimal(s)) {
        return true;
    }
    size_t whole = digits(s);
    size_t point = s[whole] == '.' ? 1 : 0;
    size_t fraction = point != 0 ? span(s + whole + 1, "0123456789_") : 0;
    if (whole + fraction == 0) {
        return false;
    }
    s += whole + point + fraction;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-' ? 1 : 0;
        size_t exponent = span(s, "0123456789");
        return exponent > 0 && s[exponent] == '\0';
    }
    return *s == '\0';
}

/* 2024-01-31, also with a time behind it. */
static bool is_date(const char *s)
{
    size_t year = span(s, "0123456789");
    if (year != 4 || s[4] != '-') {
        return false;
    }
    size_t month = span(s + 5, "0123456789");
    if (month == 0 || month > 2 || s[5 + month] != '-') {
        return false;
    }
    const char *rest = s + 6 + month;
    size_t day = span(rest, "0123456789");
    if (day == 0 || day > 2) {
        return false;
    }
    rest += day;
    return *rest == '\0' || ((*rest == 'T' || *rest == 't' || *rest == ' ') &&
                             rest[1 + span(rest + 1, "0123456789:.+-Zz ")] == '\0');
}

enum plain_kind plain_kind(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const bools[] = {
        "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "no", "No",
        "NO",   "on",   "On",   "ON",    "off",   "Off",   "OFF", "y",   "Y",   "n",  "N"};
    if (is_one_of(text, nulls, ARRAY_SIZE(nulls))) {
        return PLAIN_NULL;
    }
    if (is_one_of(text, bools, ARRAY_SIZE(bools))) {
        return PLAIN_BOOL;
    }
    if (is_number(text)) {
        return PLAIN_NUMBER;
    }
    return is_date(text) ? PLAIN_DATE : PLAIN_TEXT;
}

/* ---- JSON ---- */

static struct node *json_scalar(struct arena *arena, const char *text, bool plain)
{
    struct node *node = ARENA_NEW(arena, struct node);
    node->kind = NODE_SCALAR;
    node->text = text;
    node->plain = plain;
    return node;
}

static int convert(struct arena *arena, const json_t *json, size_t depth, struct node **ret,
                   struct error *e);

static int convert_array(struct arena *arena, const json_t *json, size_t depth, struct node *node,
                         struct error *e)
{
    node->kind = NODE_SEQUENCE;
    node->count = json_array_size(json);
    node->items = ARENA_ARRAY(arena, node->count, struct node *);
    for (size_t i = 0; i < node->count; i++) {
        int r = convert(arena, json_array_get(json, i), depth + 1, &node->items[i], e);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int convert_object(struct arena *arena, const json_t *json, size_t depth, struct node *node,
                          struct error *e)
{
    node->kind = NODE_MAPPING;
    node->entries = ARENA_ARRAY(arena, json_object_size(json), struct node_entry);
    /* jansson's iterators take a mutable value though they change nothing */
    void *it = json_object_iter((json_t *)(uintptr_t)json);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)json, it)) {
        struct node_entry *entry = &node->entries[node->count++];
        entry->key = arena_strdup(arena, json_object_iter_key(it));
        int r = text_has_control(entry->key, strlen(entry->key))
                    ? error_set(e, E_INVALID, "control characters are not allowed in a JSON key")
                    : convert(arena, json_object_iter_value(it), depth + 1, &entry->value, e);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int convert(struct arena *arena, const json_t *json, size_t depth, struct node **ret,
                   struct error *e)
{
    if (depth > LIMIT_SPEC_DEPTH) {
        return error_set(e, E_LIMIT, "JSON values are nested more than %d deep", LIMIT_SPEC_DEPTH);
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        *ret = ARENA_NEW(arena, struct node);
        return convert_object(arena, json, depth, *ret, e);
    case JSON_ARRAY:
        *ret = ARENA_NEW(arena, struct node);
        return convert_array(arena, json, depth, *ret, e);
    case JSON_STRING:
        if (text_has_control(json_string_value(json), json_string_length(json))) {
            return error_set(e, E_INVALID, "control characters are not allowed in a JSON text");
        }
        *ret = json_scalar(arena, arena_strdup(arena, json_string_value(json)), false);
        return 0;
    case JSON_INTEGER:
        *ret = json_scalar(arena, arena_printf(arena, "%lld", (long long)json_integer_value(json)),
                           true);
        return 0;
    case JSON_REAL:
        *ret = json_scalar(arena, arena_printf(arena, "%.17g", json_real_value(json)), true);
        return 0;
    case JSON_TRUE:
        *ret = json_scalar(arena, "true", true);
        return 0;
    case JSON_FALSE:
        *ret = json_scalar(arena, "false", true);
        return 0;
    case JSON_NULL:
        break;
    }
    *ret = json_scalar(arena, "null", true);
    return 0;
}

int node_from_json(struct arena *arena, const json_t *json, struct node **ret, struct error *e)
{
    assert(json != NULL);
    return convert(arena, json, 1, ret, e);
}

static json_t *scalar_to_json(const struct node *node)
{
    enum plain_kind kind = node->plain ? plain_kind(node->text) : PLAIN_TEXT;
    if (kind == PLAIN_NULL) {
        return json_null();
    }
    if (kind == PLAIN_BOOL && (str_equal(node->text, "true") || str_equal(node->text, "false"))) {
        return json_boolean(node->text[0] == 't');
    }
    json_t *number = kind == PLAIN_NUMBER ? json_loads(node->text, JSON_DECODE_ANY, NULL) : NULL;
    return number != NULL ? number : json_string(node->text);
}

static json_t *to_json(const struct node *node)
{
    switch (node->kind) {
    case NODE_SCALAR:
        return scalar_to_json(node);
    case NODE_SEQUENCE: {
        json_t *array = json_array();
        for (size_t i = 0; i < node->count; i++) {
            json_array_append_new(array, to_json(node->items[i]));
        }
        return array;
    }
    case NODE_MAPPING: {
        json_t *object = json_object();
        for (size_t i = 0; i < node->count; i++) {
            json_object_set_new(object, node->entries[i].key, to_json(node->entries[i].value));
        }
        return object;
    }
    case NODE_BROKEN:
        break;
    }
    return json_null();
}

const char *node_to_json_text(struct arena *arena, const struct node *node)
{
    json_t *json = to_json(node);
    struct buf b;
    buf_init(&b, arena, LIMIT_SPEC_BYTES * 2);
    json_canonical(json, &b);
    json_decref(json);
    return buf_text(&b);
}

static int append(const char *text, size_t len, void *out)
{
    buf_append(out, text, len);
    return 0;
}

void json_canonical(const json_t *json, struct buf *out)
{
    json_dump_callback(json, append, out, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- marks ---- */

struct mark_entry {
    const void *address;
    size_t order;
    struct mark mark;
};

struct marks {
    struct arena *arena;
    struct mark_entry *items;
    size_t count, capacity;
};

struct marks *marks_new(struct arena *arena)
{
    struct marks *marks = ARENA_NEW(arena, struct marks);
    marks->arena = arena;
    return marks;
}

void marks_add(struct marks *marks, const void *address, struct mark mark)
{
    marks->items = arena_grow(marks->arena, marks->items, marks->count, &marks->capacity,
                              sizeof(struct mark_entry));
    marks->items[marks->count] = (struct mark_entry){address, marks->count, mark};
    marks->count++;
}

static int by_address(const void *left, const void *right)
{
    const struct mark_entry *a = left;
    const struct mark_entry *b = right;
    if (a->address != b->address) {
        return (uintptr_t)a->address < (uintptr_t)b->address ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

void marks_seal(struct marks *marks)
{
    if (marks->count > 1) {
        qsort(marks->items, marks->count, sizeof(struct mark_entry), by_address);
    }
}

struct mark marks_find(const struct marks *marks, const void *field_address)
{
    struct mark found = {0};
    size_t low = 0;
    size_t high = marks != NULL ? marks->count : 0;
    while (low < high) { /* the last entry of that address: a field is marked after its struct */
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)marks->items[middle].address <= (uintptr_t)field_address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low > 0 && marks->items[low - 1].address == field_address) {
        found = marks->items[low - 1].mark;
    }
    return found;
}
