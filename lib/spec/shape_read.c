/*
 * Owns the way from a tree (YAML or JSON) to a struct: types, bounds, keys, short forms. Every
 * mistake is told at its place, and what is right is filled all the same. What needs more than one
 * value to be judged is in check.c.
 */
#include <regex.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/node.h"

/* Where in a JSON text we are: a chain on the stack, from the inside out. */
struct step {
    const struct step *up;
    const char *key; /* NULL: an item of a list */
    size_t index;
};

/* Compiling an expression costs more than matching it: the last ones are kept. */
struct pattern {
    const char *text; /* of a table, known by its address */
    regex_t regex;
};

struct reader {
    struct arena *arena;
    struct complaints *complaints; /* NULL: JSON, and the first goes to e */
    struct error *e;
    struct marks *marks; /* may be NULL */
    const struct step *step;
    size_t wrong;
    struct pattern patterns[8];
    size_t pattern_count;
};

/* Whether `text` as a whole matches an expression of a table. */
static bool pattern_matches(struct reader *r, const char *pattern, const char *text)
{
    size_t i = 0;
    while (i < r->pattern_count && r->patterns[i].text != pattern) {
        i++;
    }
    if (i == r->pattern_count) {
        if (i == ARRAY_SIZE(r->patterns)) {
            regfree(&r->patterns[--i].regex);
            r->pattern_count--;
        }
        r->patterns[i].text = pattern;
        int error = regcomp(&r->patterns[i].regex, arena_printf(r->arena, "^(%s)$", pattern),
                            REG_EXTENDED | REG_NOSUB);
        assert(error == 0); /* the expressions of the tables are our own */
        r->pattern_count++;
    }
    return regexec(&r->patterns[i].regex, text, 0, NULL, 0) == 0;
}

static void print_path(const struct step *step, struct buf *out)
{
    if (step == NULL) {
        buf_putc(out, '$');
        return;
    }
    print_path(step->up, out);
    if (step->key != NULL) {
        buf_printf(out, ".%s", step->key);
    } else {
        buf_printf(out, "[%zu]", step->index);
    }
}

static void complain(struct reader *r, struct mark at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void complain(struct reader *r, struct mark at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *message = arena_vprintf(r->arena, fmt, args);
    va_end(args);
    r->wrong++;
    if (r->complaints != NULL) {
        complaints_add(r->complaints, at.file, at.line, at.column, "%s", message);
    } else if (r->wrong == 1) {
        struct buf path;
        buf_init(&path, r->arena, LIMIT_PATH_BYTES);
        print_path(r->step, &path);
        error_set(r->e, E_INVALID, "%s: %s", buf_text(&path), message);
    }
}

static void mark(struct reader *r, const void *address, struct mark at)
{
    if (r->marks != NULL) {
        marks_add(r->marks, address, at);
    }
}

static void read_struct(struct reader *r, const struct shape *shape, const struct node *node,
                        bool scalar_ok, void *out);
static void read_value(struct reader *r, const struct field *field, const struct node *node,
                       void *out);

static void expected(struct reader *r, const struct field *field, const struct node *node,
                     const char *what)
{
    if (node->kind == NODE_BROKEN) {
        r->wrong++; /* told when it was read */
    } else if (node->kind == NODE_SCALAR && node->plain && node->text[0] == '\0') {
        complain(r, node->mark, "%s has no value: write %s, or leave the key out", field->key,
                 what);
    } else {
        complain(r, node->mark, "%s should be %s, found %s", field->key, what,
                 node_describe(r->arena, node));
    }
}

/* "start, stop or restart" of the words that can be written. */
static const char *alternatives(struct arena *arena, const char *const *words, size_t count)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (words[i][0] != '\0') {
            buf_puts(&b, b.len == 0 ? "" : i + 1 == count ? " or " : ", ");
            buf_puts(&b, words[i]);
        }
    }
    return buf_text(&b);
}

static bool is_null(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->plain && plain_kind(node->text) == PLAIN_NULL;
}

/* The word's index, or -1 after a complaint. */
static int find_word(struct reader *r, const struct field *field, const struct node *node)
{
    size_t count = words_count(field->words);
    for (size_t i = 0; i < count; i++) {
        if (node->text[0] != '\0' && strcmp(node->text, field->words[i]) == 0) {
            return (int)i;
        }
    }
    const char *nearest = str_nearest(node->text, field->words, count);
    if (nearest != NULL && nearest[0] != '\0') {
        complain(r, node->mark, "%s: unknown word %s, did you mean %s?", field->key,
                 text_quote(r->arena, node->text), text_quote(r->arena, nearest));
    } else if (count == 1) {
        complain(r, node->mark, "%s should be %s, found %s", field->key, field->words[0],
                 text_quote(r->arena, node->text));
    } else {
        complain(r, node->mark, "%s: unknown word %s; it is one of %s", field->key,
                 text_quote(r->arena, node->text), alternatives(r->arena, field->words, count));
    }
    return -1;
}

/* A text that is not null; NULL after a complaint. */
static const char *take_text(struct reader *r, const struct field *field, const struct node *node)
{
    if (node->kind != NODE_SCALAR) {
        expected(r, field, node, "a text");
        return NULL;
    }
    if (is_null(node)) {
        if (node->text[0] == '\0') {
            expected(r, field, node, "a text");
        } else {
            complain(r, node->mark,
                     "%s %s is nothing to YAML: quote it (\"%s\") if the word is meant", field->key,
                     node->text, node->text);
        }
        return NULL;
    }
    return node->text;
}

static const char *take_version(struct reader *r, const struct field *field,
                                const struct node *node)
{
    const char *text = take_text(r, field, node);
    if (text == NULL) {
        return NULL;
    }
    enum plain_kind kind = node->plain ? plain_kind(text) : PLAIN_TEXT;
    if (kind == PLAIN_NUMBER || kind == PLAIN_DATE) {
        complain(r, node->mark, "%s %.40s is a %s to YAML: quote it (\"%.40s\")", field->key, text,
                 kind == PLAIN_NUMBER ? "number" : "date", text);
        return NULL;
    }
    if (text[0] == '\0') {
        complain(r, node->mark, "%s is empty", field->key);
        return NULL;
    }
    return text;
}

static void read_string(struct reader *r, const struct field *field, const struct node *node,
                        const char **out)
{
    const char *text =
        field->type == SHAPE_VERSION ? take_version(r, field, node) : take_text(r, field, node);
    if (text == NULL) {
        return;
    }
    if (field->type == SHAPE_NAME && !str_is_name(text)) {
        complain(
            r, node->mark,
            "%s %s is not a name: letters, digits, '.', '_' and '-', not starting with '.' or '-', "
            "at most %d",
            field->key, text_quote(r->arena, text), LIMIT_NAME_BYTES);
        return;
    }
    if (field->type == SHAPE_STRING && field->words != NULL && find_word(r, field, node) < 0) {
        return;
    }
    if (field->pattern != NULL && !pattern_matches(r, field->pattern, text)) {
        complain(r, node->mark, "%s should be %s, found %s", field->key,
                 field->pattern_help != NULL ? field->pattern_help : field->pattern,
                 text_quote(r->arena, text));
        return;
    }
    *out = text;
}

static void read_bool(struct reader *r, const struct field *field, const struct node *node,
                      bool *out)
{
    if (node->kind == NODE_SCALAR && node->plain) {
        if (str_equal(node->text, "true") || str_equal(node->text, "false")) {
            *out = node->text[0] == 't';
            return;
        }
        if (plain_kind(node->text) == PLAIN_BOOL) {
            static const char *const yes[] = {"True", "TRUE", "yes", "Yes", "YES",
                                              "on",   "On",   "ON",  "y",   "Y"};
            const char *word = "false";
            for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                word = str_equal(node->text, yes[i]) ? "true" : word;
            }
            complain(r, node->mark, "%s should be true or false, found %s: write %s", field->key,
                     node->text, word);
            return;
        }
    }
    expected(r, field, node, "true or false");
}

static bool to_int64(const char *text, int64_t *ret)
{
    bool negative = text[0] == '-';
    uint64_t value;
    if (!str_to_u64(negative ? text + 1 : text, INT64_MAX, &value)) {
        return false;
    }
    *ret = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static void check_bounds(struct reader *r, const struct field *field, const struct node *node,
                         int64_t value, int64_t *out)
{
    int64_t max = field_max(field);
    if (value < field->min || value > max) {
        if (field->type == SHAPE_DURATION) {
            complain(r, node->mark, "%s should be %s to %s, found %s", field->key,
                     duration_to_text(r->arena, field->min), duration_to_text(r->arena, max),
                     node->text);
        } else if (field->min == max) {
            complain(r, node->mark, "%s should be %lld, found %s", field->key, (long long)max,
                     node->text);
        } else if (max == INT64_MAX) {
            complain(r, node->mark, "%s should be at least %lld, found %s", field->key,
                     (long long)field->min, node->text);
        } else {
            complain(r, node->mark, "%s should be %lld to %lld, found %s", field->key,
                     (long long)field->min, (long long)max, node->text);
        }
        return;
    }
    *out = value;
}

static void read_int(struct reader *r, const struct field *field, const struct node *node,
                     void *out)
{
    int64_t value;
    if (node->kind != NODE_SCALAR || is_null(node)) {
        expected(r, field, node, "a whole number");
    } else if (field->text_offset != 0 && strstr(node->text, "${") != NULL) {
        *(const char **)((char *)out + field->text_offset) = node->text;
    } else if (!to_int64(node->text, &value)) {
        expected(r, field, node, "a whole number");
    } else if (!node->plain) {
        complain(r, node->mark,
                 "%s should be a whole number, found a text: write %s without quotes", field->key,
                 node->text);
    } else {
        check_bounds(r, field, node, value, (int64_t *)((char *)out + field->offset));
    }
}

static void read_measure(struct reader *r, const struct field *field, const struct node *node,
                         int64_t *out)
{
    bool duration = field->type == SHAPE_DURATION;
    const char *what =
        duration ? "a duration such as 90s, 2m or 1h30m" : "a size such as 512MiB or 2GB";
    int64_t value;
    if (node->kind != NODE_SCALAR || is_null(node)) {
        expected(r, field, node, what);
    } else if (duration ? str_to_duration_ms(node->text, &value)
                        : bytes_from_text(node->text, &value)) {
        check_bounds(r, field, node, value, out);
    } else if (to_int64(node->text, &value)) {
        complain(r, node->mark, "%s %s has no unit: write %s, such as %s%s", field->key, node->text,
                 what, node->text, duration ? "s" : "MiB");
    } else {
        expected(r, field, node, what);
    }
}

/* "4" or "25%". */
static void read_amount(struct reader *r, const struct field *field, const struct node *node,
                        int64_t *out)
{
    static const char what[] = "a number of nodes, or a share such as 25%";
    size_t len = node->kind == NODE_SCALAR ? strlen(node->text) : 0;
    uint64_t share;
    int64_t count;
    if (len == 0 || is_null(node)) {
        expected(r, field, node, what);
    } else if (node->text[len - 1] == '%') {
        if (str_to_u64(arena_strndup(r->arena, node->text, len - 1), 100, &share) && share > 0) {
            *out = -(int64_t)share;
        } else {
            complain(r, node->mark, "%s should be 1%% to 100%%, found %s", field->key, node->text);
        }
    } else if (!to_int64(node->text, &count)) {
        expected(r, field, node, what);
    } else if (!node->plain) {
        complain(r, node->mark, "%s should be %s, found a text: write %s without quotes",
                 field->key, what, node->text);
    } else {
        check_bounds(r, field, node, count, out);
    }
}

static bool count_fits(struct reader *r, const struct field *field, const struct node *node)
{
    int64_t max = field_max(field);
    if ((int64_t)node->count < field->min) {
        complain(r, node->mark, "%s should hold at least %lld, found %zu", field->key,
                 (long long)field->min, node->count);
        return false;
    }
    if ((int64_t)node->count > max) {
        complain(r, node->mark, "%s holds %zu, more than the limit of %lld", field->key,
                 node->count, (long long)max);
        return false;
    }
    return true;
}

static void read_strings(struct reader *r, const struct field *field, const struct node *node,
                         struct strings *out)
{
    const struct node *alone[] = {node};
    struct node list = {
        .kind = NODE_SEQUENCE, .items = (struct node **)(uintptr_t)alone, .count = 1};
    if (node->kind == NODE_SCALAR && field->scalar_ok && !is_null(node)) {
        list.mark = node->mark;
        node = &list;
    }
    if (node->kind != NODE_SEQUENCE) {
        expected(r, field, node,
                 field->scalar_ok ? "a text or a list of texts" : "a list of texts");
        return;
    }
    if (!count_fits(r, field, node)) {
        return;
    }
    struct field item = *field;
    item.type = field->type == SHAPE_VERSIONS ? SHAPE_VERSION : SHAPE_STRING;
    out->items = ARENA_ARRAY(r->arena, node->count, const char *);
    for (size_t i = 0; i < node->count; i++) {
        struct step step = {.up = r->step, .index = i};
        r->step = &step;
        mark(r, &out->items[out->count], node->items[i]->mark);
        read_string(r, &item, node->items[i], &out->items[out->count]);
        out->count += out->items[out->count] != NULL ? 1 : 0;
        r->step = step.up;
    }
}

static bool key_fits(struct reader *r, const struct field *field, const struct node_entry *entry)
{
    if (field->pattern == NULL ? str_is_name(entry->key)
                               : pattern_matches(r, field->pattern, entry->key)) {
        return true;
    }
    complain(r, entry->key_mark, "%s: the key %s should be %s", field->key,
             text_quote(r->arena, entry->key),
             field->pattern_help != NULL ? field->pattern_help
                                         : "a name of letters, digits, '.', '_' and '-'");
    return false;
}

static void read_map(struct reader *r, const struct field *field, const struct node *node,
                     struct pairs *out)
{
    if (node->kind != NODE_MAPPING) {
        expected(r, field, node, "a mapping of names to texts");
        return;
    }
    if (!count_fits(r, field, node)) {
        return;
    }
    struct field value = {.type = SHAPE_STRING};
    out->items = ARENA_ARRAY(r->arena, node->count, struct pair);
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        struct step step = {.up = r->step, .key = entry->key};
        struct pair *pair = &out->items[out->count];
        r->step = &step;
        value.key = entry->key;
        if (key_fits(r, field, entry)) {
            mark(r, &pair->key, entry->key_mark);
            mark(r, &pair->value, entry->value->mark);
            read_string(r, &value, entry->value, &pair->value);
            pair->key = entry->key;
            out->count += pair->value != NULL ? 1 : 0;
        }
        r->step = step.up;
    }
}

static void read_list(struct reader *r, const struct field *field, const struct node *node,
                      struct list *out)
{
    const struct node *alone[] = {node};
    struct node list = {
        .kind = NODE_SEQUENCE, .items = (struct node **)(uintptr_t)alone, .count = 1};
    if (node->kind == NODE_MAPPING && field->scalar_ok) {
        list.mark = node->mark;
        node = &list;
    }
    if (node->kind != NODE_SEQUENCE) {
        expected(r, field, node, field->scalar_ok ? "a mapping or a list of mappings" : "a list");
        return;
    }
    if (!count_fits(r, field, node)) {
        return;
    }
    out->items = arena_array(r->arena, node->count, field->shape->size);
    out->count = node->count;
    for (size_t i = 0; i < node->count; i++) {
        struct step step = {.up = r->step, .index = i};
        char *item = (char *)out->items + i * field->shape->size;
        r->step = &step;
        mark(r, item, node->items[i]->mark);
        read_struct(r, field->shape, node->items[i], false, item);
        r->step = step.up;
    }
}

static void read_dict(struct reader *r, const struct field *field, const struct node *node,
                      struct list *out)
{
    if (node->kind != NODE_MAPPING) {
        expected(r, field, node, "a mapping of names");
        return;
    }
    if (!count_fits(r, field, node)) {
        return;
    }
    out->items = arena_array(r->arena, node->count, field->shape->size);
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        struct step step = {.up = r->step, .key = entry->key};
        char *item = (char *)out->items + out->count * field->shape->size;
        r->step = &step;
        if (key_fits(r, field, entry)) {
            read_struct(r, field->shape, entry->value, field->scalar_ok, item);
            *(const char **)item = entry->key;
            mark(r, item, entry->key_mark);
            out->count++;
        }
        r->step = step.up;
    }
}

static void read_value(struct reader *r, const struct field *field, const struct node *node,
                       void *out)
{
    char *at = (char *)out + field->offset;
    mark(r, at, node->mark);
    switch (field->type) {
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
        read_string(r, field, node, (const char **)at);
        break;
    case SHAPE_BOOL:
        read_bool(r, field, node, (bool *)at);
        break;
    case SHAPE_INT:
        read_int(r, field, node, out);
        break;
    case SHAPE_DURATION:
    case SHAPE_BYTES:
        read_measure(r, field, node, (int64_t *)at);
        break;
    case SHAPE_AMOUNT:
        read_amount(r, field, node, (int64_t *)at);
        break;
    case SHAPE_ENUM: {
        const char *text = take_text(r, field, node);
        int word = text != NULL ? find_word(r, field, node) : -1;
        *(int *)at = word >= 0 ? word : *(int *)at;
        break;
    }
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
        read_strings(r, field, node, (struct strings *)at);
        break;
    case SHAPE_MAP:
        read_map(r, field, node, (struct pairs *)at);
        break;
    case SHAPE_OBJECT:
        *(void **)at = arena_alloc(r->arena, field->shape->size);
        mark(r, *(void **)at, node->mark);
        read_struct(r, field->shape, node, field->scalar_ok, *(void **)at);
        break;
    case SHAPE_EMBED:
        read_struct(r, field->shape, node, field->scalar_ok, at);
        break;
    case SHAPE_LIST:
        read_list(r, field, node, (struct list *)at);
        break;
    case SHAPE_DICT:
        read_dict(r, field, node, (struct list *)at);
        break;
    case SHAPE_JSON:
        *(const char **)at = node_to_json_text(r->arena, node);
        break;
    }
}

static uint64_t bit_of(const struct shape *shape, const struct field *field)
{
    return (uint64_t)1 << (field - shape->fields);
}

/* Returns the bit of the key that was probably meant, which then is not told as missing too. */
static uint64_t complain_unknown_key(struct reader *r, const struct shape *shape,
                                     const struct node_entry *entry)
{
    size_t count;
    const char *const *keys = shape_keys(r->arena, shape, &count);
    const char *nearest = str_nearest(entry->key, keys, count);
    if (nearest != NULL) {
        complain(r, entry->key_mark, "unknown key %s, did you mean %s?",
                 text_quote(r->arena, entry->key), text_quote(r->arena, nearest));
        return bit_of(shape, shape_field(shape, nearest));
    }
    complain(r, entry->key_mark, "unknown key %s; %s knows %s", text_quote(r->arena, entry->key),
             shape->name, str_join(r->arena, keys, count));
    return shape->one_of ? UINT64_MAX : 0; /* the unknown one was meant to be the one */
}

/* `seen`: bit i is field i; `guessed`: probably meant by an unknown key. */
static void check_presence(struct reader *r, const struct shape *shape, struct mark at,
                           uint64_t seen, uint64_t guessed)
{
    const char *given = NULL;
    const char **choices = ARENA_ARRAY(r->arena, shape->field_count, const char *);
    size_t count = 0;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        bool present = (seen >> i & 1) != 0;
        if (f->required && ((seen | guessed) >> i & 1) == 0) {
            complain(r, at, "the key \"%s\" is missing (%s)", f->key, shape->name);
        }
        if (shape->one_of && !f->beside) {
            choices[count++] = f->key;
            if (present && given != NULL) {
                complain(r, at, "\"%s\" and \"%s\" exclude each other (%s)", given, f->key,
                         shape->name);
            }
            given = present ? f->key : given;
        }
    }
    if (shape->one_of && given == NULL && guessed == 0) {
        complain(r, at, "%s needs one of %s", shape->name, alternatives(r->arena, choices, count));
    }
}

static void read_mapping(struct reader *r, const struct shape *shape, const struct node *node,
                         void *out)
{
    assert(shape->field_count <= 64);
    uint64_t seen = 0;
    uint64_t guessed = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        const struct field *field = shape_field(shape, entry->key);
        if (field == NULL) {
            guessed |= shape->open ? 0 : complain_unknown_key(r, shape, entry);
            continue;
        }
        seen |= bit_of(shape, field);
        struct step step = {.up = r->step, .key = field->key};
        r->step = &step;
        read_value(r, field, entry->value, out);
        r->step = step.up;
    }
    check_presence(r, shape, node->mark, seen, guessed);
}

/* A scalar that sets a BOOL by its own name: strategy: all-at-once. */
static void read_flag(struct reader *r, const struct shape *shape, const struct field *field,
                      const struct node *node, void *out)
{
    char *word = arena_strdup(r->arena, field->key);
    for (char *c = word; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    if (node->kind == NODE_SCALAR && strcmp(node->text, word) == 0) {
        *(bool *)((char *)out + field->offset) = true;
        return;
    }
    const char *nearest =
        node->kind == NODE_SCALAR ? str_nearest(node->text, (const char *const *)&word, 1) : NULL;
    if (nearest != NULL) {
        complain(r, node->mark, "unknown word %s, did you mean \"%s\"?",
                 text_quote(r->arena, node->text), word);
    } else if (node->kind != NODE_BROKEN) {
        complain(r, node->mark, "%s should be a mapping or the word %s, found %s", shape->name,
                 word, node_describe(r->arena, node));
    }
}

static void read_short(struct reader *r, const struct shape *shape, const struct node *node,
                       void *out)
{
    const struct field *field = shape_field(shape, shape->scalar);
    assert(field != NULL);
    if (field->type == SHAPE_BOOL) {
        read_flag(r, shape, field, node, out);
    } else {
        read_value(r, field, node, out);
    }
    check_presence(r, shape, node->mark, bit_of(shape, field), 0);
}

static void read_struct(struct reader *r, const struct shape *shape, const struct node *node,
                        bool scalar_ok, void *out)
{
    shape_fallbacks(shape, out);
    if (node->kind == NODE_BROKEN) {
        r->wrong++;
    } else if (node->kind == NODE_MAPPING && shape->mapping != NULL) {
        read_value(r, shape_field(shape, shape->mapping), node, out);
    } else if (node->kind == NODE_MAPPING) {
        read_mapping(r, shape, node, out);
    } else if (scalar_ok && shape->scalar != NULL && !is_null(node)) {
        read_short(r, shape, node, out);
    } else {
        struct field here = {.key = shape->name};
        expected(r, &here, node, "a mapping");
    }
}

int shape_read_node(const struct shape *shape, const struct node *node, void *out,
                    struct marks *marks, struct arena *arena, struct complaints *complaints,
                    struct error *e)
{
    struct reader r = {.arena = arena, .complaints = complaints, .e = e, .marks = marks};
    mark(&r, out, node->mark);
    read_struct(&r, shape, node, false, out);
    for (size_t i = 0; i < r.pattern_count; i++) {
        regfree(&r.patterns[i].regex);
    }
    if (marks != NULL) {
        marks_seal(marks);
    }
    return r.wrong == 0 ? 0 : E_INVALID;
}

void shape_from_yaml(const struct shape *shape, const struct yaml_document *document, void *out,
                     struct marks **ret_marks, struct arena *arena, struct complaints *complaints)
{
    *ret_marks = marks_new(arena);
    shape_read_node(shape, document->root, out, *ret_marks, arena, complaints, NULL);
}

int shape_from_json(const struct shape *shape, const json_t *json, void *out, struct arena *arena,
                    struct error *e)
{
    struct node *root;
    int r = node_from_json(arena, json, &root, e);
    if (r < 0) {
        return r;
    }
    return shape_read_node(shape, root, out, NULL, arena, NULL, e);
}
