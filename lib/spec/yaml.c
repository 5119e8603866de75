/*
 * Owns the way from YAML bytes to a bounded tree with the place of everything. Refuses aliases,
 * anchors, tags, duplicate keys, what is not UTF-8, and whatever passes LIMIT_SPEC_*.
 */
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "lib/base/str.h"
#include "lib/spec/node.h"

struct frame {
    struct node *node;
    const char *key; /* MAPPING: waits for its value */
    struct mark key_mark;
    bool skip_value; /* MAPPING: the key was refused; its value is read and dropped */
};

struct builder {
    struct arena *arena;
    const char *file;
    struct complaints *complaints;
    struct frame frames[LIMIT_SPEC_DEPTH];
    size_t depth;
    size_t nodes;
    struct node *root;
    bool stopped; /* a bound was passed: the rest is not read */
};

static struct mark mark_at(const struct builder *b, yaml_mark_t at)
{
    return (struct mark){.file = b->file, .line = (int)at.line + 1, .column = (int)at.column + 1};
}

#define COMPLAIN(b, at, ...)                                                                       \
    complaints_add((b)->complaints, (b)->file, (at).line, (at).column, __VA_ARGS__)

static int by_key_and_place(const void *left, const void *right)
{
    const struct node_entry *a = *(const struct node_entry *const *)left;
    const struct node_entry *b = *(const struct node_entry *const *)right;
    int order = strcmp(a->key, b->key);
    return order != 0 ? order : (a < b ? -1 : 1);
}

/* Sorting keeps a hostile mapping of many keys at n log n. */
static void drop_duplicates(struct builder *b, struct node *mapping)
{
    if (mapping->count < 2) {
        return;
    }
    struct node_entry **sorted = ARENA_ARRAY(b->arena, mapping->count, struct node_entry *);
    for (size_t i = 0; i < mapping->count; i++) {
        sorted[i] = &mapping->entries[i];
    }
    qsort(sorted, mapping->count, sizeof(struct node_entry *), by_key_and_place);
    const struct node_entry *first = sorted[0];
    bool any = false;
    for (size_t i = 1; i < mapping->count; i++) {
        if (strcmp(sorted[i]->key, first->key) != 0) {
            first = sorted[i];
            continue;
        }
        COMPLAIN(b, sorted[i]->key_mark, "duplicate key %s, the first is at line %d, column %d",
                 text_quote(b->arena, first->key), first->key_mark.line, first->key_mark.column);
        sorted[i]->value = NULL;
        any = true;
    }
    if (!any) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < mapping->count; i++) {
        if (mapping->entries[i].value != NULL) {
            mapping->entries[kept++] = mapping->entries[i];
        }
    }
    mapping->count = kept;
}

/* Puts a finished or opened node where it belongs. */
static void place(struct builder *b, struct node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    struct frame *f = &b->frames[b->depth - 1];
    struct node *parent = f->node;
    if (parent->kind == NODE_SEQUENCE) {
        parent->items = arena_grow(b->arena, parent->items, parent->count, &parent->capacity,
                                   sizeof(struct node *));
        parent->items[parent->count++] = node;
        return;
    }
    assert(f->key != NULL);
    if (!f->skip_value) {
        parent->entries = arena_grow(b->arena, parent->entries, parent->count, &parent->capacity,
                                     sizeof(struct node_entry));
        parent->entries[parent->count++] =
            (struct node_entry){.key = f->key, .key_mark = f->key_mark, .value = node};
    }
    f->key = NULL;
    f->skip_value = false;
}

static bool expects_key(const struct builder *b)
{
    if (b->depth == 0) {
        return false;
    }
    const struct frame *f = &b->frames[b->depth - 1];
    return f->node->kind == NODE_MAPPING && f->key == NULL;
}

static struct node *new_node(struct builder *b, enum node_kind kind, struct mark mark)
{
    if (++b->nodes > LIMIT_SPEC_NODES) {
        if (!b->stopped) {
            COMPLAIN(b, mark, "the file has more than %d values: split it", LIMIT_SPEC_NODES);
        }
        b->stopped = true;
    }
    struct node *node = ARENA_NEW(b->arena, struct node);
    node->kind = kind;
    node->mark = mark;
    return node;
}

static void set_key(struct builder *b, const char *key, struct mark mark, bool skip)
{
    struct frame *f = &b->frames[b->depth - 1];
    f->key = key;
    f->key_mark = mark;
    f->skip_value = skip;
}

/* Why a scalar cannot stand in a spec, or NULL. */
static const char *scalar_problem(const unsigned char *text, size_t len)
{
    if (len > LIMIT_TEXT_BYTES) {
        return "this text is longer than 64 KiB: keep it in a file of its own";
    }
    return text_has_control((const char *)text, len)
               ? "control characters are not allowed in a text"
               : NULL;
}

static void refuse_decoration(struct builder *b, struct mark mark, const yaml_char_t *anchor,
                              const yaml_char_t *tag)
{
    if (anchor != NULL) {
        COMPLAIN(b, mark, "anchors (&%.40s) are not allowed: write the value out where it is used",
                 (const char *)anchor);
    }
    if (tag != NULL) {
        const char *name = (const char *)tag;
        bool core = str_starts(name, "tag:yaml.org,2002:");
        COMPLAIN(b, mark, "tags (%s%.40s) are not allowed: quote a value that is meant as text",
                 core ? "!!" : "", core ? name + strlen("tag:yaml.org,2002:") : name);
    }
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct mark mark = mark_at(b, event->start_mark);
    const unsigned char *text = event->data.scalar.value;
    size_t len = event->data.scalar.length;
    refuse_decoration(b, mark, event->data.scalar.anchor, event->data.scalar.tag);
    const char *problem = scalar_problem(text, len);
    if (problem != NULL) {
        COMPLAIN(b, mark, "%s", problem);
    }
    if (expects_key(b)) {
        set_key(b, problem != NULL ? "" : arena_strndup(b->arena, (const char *)text, len), mark,
                problem != NULL);
        return;
    }
    struct node *node = new_node(b, problem != NULL ? NODE_BROKEN : NODE_SCALAR, mark);
    if (problem == NULL) {
        node->text = arena_strndup(b->arena, (const char *)text, len);
        node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    }
    place(b, node);
}

static void on_alias(struct builder *b, const yaml_event_t *event)
{
    struct mark mark = mark_at(b, event->start_mark);
    COMPLAIN(b, mark, "aliases (*%.40s) are not allowed: write the value out",
             (const char *)event->data.alias.anchor);
    if (expects_key(b)) {
        set_key(b, "", mark, true);
        return;
    }
    place(b, new_node(b, NODE_BROKEN, mark));
}

static void on_open(struct builder *b, enum node_kind kind, const yaml_event_t *event)
{
    struct mark mark = mark_at(b, event->start_mark);
    if (kind == NODE_MAPPING) {
        refuse_decoration(b, mark, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    } else {
        refuse_decoration(b, mark, event->data.sequence_start.anchor,
                          event->data.sequence_start.tag);
    }
    if (expects_key(b)) {
        COMPLAIN(b, mark, "a key is a word, not a mapping or a list");
        b->stopped = true;
        return;
    }
    if (b->depth == LIMIT_SPEC_DEPTH) {
        COMPLAIN(b, mark, "values are nested more than %d deep", LIMIT_SPEC_DEPTH);
        b->stopped = true;
        return;
    }
    struct node *node = new_node(b, kind, mark);
    place(b, node);
    b->frames[b->depth++] = (struct frame){.node = node};
}

static void on_close(struct builder *b)
{
    assert(b->depth > 0);
    struct node *node = b->frames[--b->depth].node;
    if (node->kind == NODE_MAPPING) {
        drop_duplicates(b, node);
    }
}

static void complain_syntax(struct builder *b, const yaml_parser_t *parser, const char *text,
                            size_t len)
{
    struct mark mark = mark_at(b, parser->problem_mark);
    const char *problem = parser->problem != NULL ? parser->problem : "this is not YAML";
    size_t at = parser->problem_mark.index;
    if (at < len && text[at] == '\t') {
        COMPLAIN(b, mark, "a tab stands where YAML wants blanks: indent with blanks");
    } else if (parser->context != NULL && parser->context_mark.line != parser->problem_mark.line) {
        COMPLAIN(b, mark, "not YAML: %s (%s that began at line %d)", problem, parser->context,
                 (int)parser->context_mark.line + 1);
    } else {
        COMPLAIN(b, mark, "not YAML: %s", problem);
    }
}

/* The length of the UTF-8 sequence at `s`, 0 when it is none that YAML allows unescaped. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    if (s[0] < 0x80) {
        bool control =
            (s[0] < 0x20 && s[0] != '\t' && s[0] != '\n' && s[0] != '\r') || s[0] == 0x7f;
        return control ? 0 : 1;
    }
    size_t more = s[0] >= 0xc2 && s[0] <= 0xdf   ? 1
                  : s[0] >= 0xe0 && s[0] <= 0xef ? 2
                  : s[0] >= 0xf0 && s[0] <= 0xf4 ? 3
                                                 : 0;
    if (more == 0 || more >= len) {
        return 0;
    }
    uint32_t code = s[0] & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3fU);
    }
    bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool refused = code > 0x10ffff || (code >= 0x80 && code < 0xa0 && code != 0x85) ||
                   code == 0xfeff || code == 0xfffe || code == 0xffff;
    return overlong || surrogate || refused ? 0 : more + 1;
}

/* Before libyaml, which would guess UTF-16 and names offsets instead of places. */
static bool is_clean_text(struct builder *b, const char *text, size_t len)
{
    struct mark at = {.file = b->file, .line = 1, .column = 1};
    for (size_t i = 0; i < len;) {
        size_t step = utf8_sequence((const unsigned char *)text + i, len - i);
        if (step == 0) {
            unsigned byte = (unsigned char)text[i];
            COMPLAIN(b, at,
                     byte < 0x80 ? "a control character (byte 0x%02x) is in the file: remove it"
                                 : "this is not UTF-8 text (byte 0x%02x): save the file as UTF-8",
                     byte);
            return false;
        }
        bool line_end =
            text[i] == '\n' || (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n'));
        at.line += line_end ? 1 : 0;
        at.column = line_end ? 1 : at.column + 1;
        i += step;
    }
    return true;
}

/* Takes one event; false when the stream has ended or cannot be read on. */
static bool take_event(struct builder *b, const yaml_event_t *event,
                       struct yaml_documents *documents, size_t *capacity)
{
    switch ((int)event->type) {
    case YAML_DOCUMENT_START_EVENT:
        b->root = NULL;
        break;
    case YAML_DOCUMENT_END_EVENT: {
        struct yaml_document *document = ARENA_NEW(b->arena, struct yaml_document);
        document->file = b->file;
        document->root = b->root;
        document->mark = b->root->mark;
        documents->items = arena_grow(b->arena, documents->items, documents->count, capacity,
                                      sizeof(struct yaml_document *));
        documents->items[documents->count++] = document;
        break;
    }
    case YAML_SCALAR_EVENT:
        on_scalar(b, event);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(b, NODE_SEQUENCE, event);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(b, NODE_MAPPING, event);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(b);
        break;
    case YAML_STREAM_END_EVENT:
        return false;
    default: /* libyaml's own enum: the start of the stream says nothing */
        break;
    }
    return !b->stopped;
}

static void parse(struct builder *b, const char *text, size_t len, struct yaml_documents *documents)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        complaints_add(b->complaints, b->file, 0, 0, "not enough memory to read the file");
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    size_t capacity = 0;
    bool more = true;
    while (more) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            complain_syntax(b, &parser, text, len);
            break;
        }
        more = take_event(b, &event, documents, &capacity);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

struct yaml_documents yaml_read(struct arena *arena, const char *file, const char *text, size_t len,
                                struct complaints *complaints)
{
    struct yaml_documents documents = {0};
    struct builder *b = ARENA_NEW(arena, struct builder);
    b->arena = arena;
    b->file = arena_strdup(arena, file);
    b->complaints = complaints;
    if (len > LIMIT_SPEC_BYTES) {
        complaints_add(complaints, file, 0, 0, "the file is larger than %d MiB: split it",
                       LIMIT_SPEC_BYTES / 1024 / 1024);
        return documents;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark of an editor */
        text += 3;
        len -= 3;
    }
    if (!is_clean_text(b, text, len)) {
        return documents;
    }
    size_t before = complaints->count;
    parse(b, text, len, &documents);
    if (documents.count == 0 && complaints->count == before) {
        complaints_add(complaints, file, 0, 0,
                       "the file is empty: it should hold a Cluster or an Application");
    }
    return documents;
}

const struct node *node_get(const struct node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != NODE_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < mapping->count; i++) {
        if (strcmp(mapping->entries[i].key, key) == 0) {
            return mapping->entries[i].value;
        }
    }
    return NULL;
}

const char *yaml_peek(const struct yaml_document *document, const char *key, struct mark *ret_mark)
{
    const struct node *value = node_get(document->root, key);
    if (value == NULL || value->kind != NODE_SCALAR) {
        return NULL;
    }
    if (ret_mark != NULL) {
        *ret_mark = value->mark;
    }
    return value->text;
}
