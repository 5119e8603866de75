/*
 * The tree between a text and a struct: what a YAML or a JSON text says, before anybody asks what
 * it means. Used by the files of this folder only.
 */
#ifndef LOCKSTEP_SPEC_NODE_H
#define LOCKSTEP_SPEC_NODE_H

#include "lib/spec/shape.h"

enum node_kind {
    NODE_SCALAR,
    NODE_SEQUENCE,
    NODE_MAPPING,
    NODE_BROKEN, /* complained about already: readers step over it */
};

struct node;

struct node_entry {
    const char *key;
    struct mark key_mark;
    struct node *value;
};

struct node {
    enum node_kind kind;
    bool plain; /* SCALAR: without quotes, so that YAML may see a number or a null in it */
    struct mark mark;
    const char *text; /* SCALAR: without NUL and control characters but tab and line ends */
    struct node **items;
    struct node_entry *entries;
    size_t count; /* of items or of entries */
    size_t capacity;
};

struct yaml_document {
    const char *file;
    struct mark mark;
    struct node *root;
};

/* The value under a key of a mapping, or NULL. */
const struct node *node_get(const struct node *mapping, const char *key);
/* Is there a control character that does more than end a line or indent? It could speak to a terminal. */
bool text_has_control(const char *text, size_t len);
/* A text in quotes for a message: cut after some 60 bytes, control characters as escapes. */
const char *text_quote(struct arena *arena, const char *text);
/* "a mapping", "a list", "the text "x"", "the number 5", "nothing": what was found, for messages.
 */
const char *node_describe(struct arena *arena, const struct node *node);

/* How YAML 1.1 or 1.2 reads a plain scalar. */
enum plain_kind { PLAIN_TEXT, PLAIN_NULL, PLAIN_BOOL, PLAIN_NUMBER, PLAIN_DATE };
enum plain_kind plain_kind(const char *text);

/* The tree of a JSON value; numbers, true, false and null become plain scalars. 0 or E_LIMIT. */
int node_from_json(struct arena *arena, const json_t *json, struct node **ret, struct error *e);
/* Canonical JSON of a tree. */
const char *node_to_json_text(struct arena *arena, const struct node *node);

struct marks *marks_new(struct arena *arena);
void marks_add(struct marks *marks, const void *address, struct mark mark);
/* Orders them for marks_find(); nothing may be added afterwards. */
void marks_seal(struct marks *marks);

/* ---- questions about a shape ---- */
const struct field *shape_field(const struct shape *shape, const char *key);
/* The keys of a shape that a person may write, for "known here". */
const char *const *shape_keys(struct arena *arena, const struct shape *shape, size_t *ret_count);
/* Sets what is absent to its fallback; `out` is zeroed. */
void shape_fallbacks(const struct shape *shape, void *out);
/* The number of words of an ENUM or STRINGS field. */
size_t words_count(const char *const *words);
/* Sizes as text: "512MiB". */
bool bytes_from_text(const char *text, int64_t *ret_bytes);
const char *bytes_to_text(struct arena *arena, int64_t bytes);
/* Durations as text: "1m30s". */
const char *duration_to_text(struct arena *arena, int64_t ms);
/* The bound of a count, a number, a duration or a size when the table says 0. */
int64_t field_max(const struct field *field);

/* Fills `out` from a tree. Complaints go to `complaints` when it is not NULL; else the first goes
 * to *e with the JSON path. marks may be NULL. Returns 0 or E_INVALID. */
int shape_read_node(const struct shape *shape, const struct node *node, void *out,
                    struct marks *marks, struct arena *arena, struct complaints *complaints,
                    struct error *e);

#endif
