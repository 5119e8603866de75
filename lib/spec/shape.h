/*
 * A shape is a table that says once how a C struct is written: its keys, their types, bounds and
 * words of explanation. Four things come from the one table: reading YAML with every mistake at its
 * place, reading and writing canonical JSON (plans, instructions), the JSON Schema that editors
 * use, and the help text.
 *
 * All memory is the arena's. Strings are NUL-terminated; an absent optional value is NULL, 0 or
 * empty, or the field's `fallback`.
 */
#ifndef LOCKSTEP_SPEC_SHAPE_H
#define LOCKSTEP_SPEC_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

enum shape_type {
    SHAPE_STRING,  /* const char * */
    SHAPE_NAME,    /* const char *: str_is_name() */
    SHAPE_VERSION, /* const char *: a plain number such as 10.10 is refused with "quote it" */
    SHAPE_BOOL, /* bool; true and false only: yes, no, on and off are refused with the right word */
    SHAPE_INT,  /* int64_t between min and max */
    SHAPE_DURATION, /* int64_t milliseconds: 90s, 2m, 1h30m */
    SHAPE_BYTES,    /* int64_t bytes: 512MiB, 2GB, 100B; a bare number is refused */
    SHAPE_AMOUNT, /* int64_t: a count as it is (4), a share of the nodes as its negative (25% is -25); see amount_of() */
    SHAPE_ENUM,   /* int: index into `words`; a word "" cannot be written and means absent */
    SHAPE_STRINGS,  /* struct strings; one scalar alone is a list of one where `scalar_ok` */
    SHAPE_VERSIONS, /* struct strings of versions: each as SHAPE_VERSION */
    SHAPE_MAP,      /* struct pairs: text to text, order of the file kept */
    SHAPE_OBJECT,   /* pointer to a struct of `shape`, NULL when absent */
    SHAPE_EMBED,    /* a struct of `shape` inside this one; absent: its fallbacks */
    SHAPE_LIST,     /* struct list of structs of `shape` */
    SHAPE_DICT, /* struct list of structs of `shape`; the key becomes the struct's first field (a
                   name) */
    SHAPE_JSON, /* const char *: canonical JSON text, never inspected (kept for patches) */
};

struct strings {
    const char **items;
    size_t count;
};

struct pair {
    const char *key;
    const char *value;
};

struct pairs {
    struct pair *items;
    size_t count;
};

/* `count` structs, each of the shape's size, one after the other. */
struct list {
    void *items;
    size_t count;
};

/* What a SHAPE_AMOUNT is of `whole`: a share is rounded up or down, and is at least 1; never more than `whole`. */
enum amount_rounding { AMOUNT_DOWN, AMOUNT_UP };
size_t amount_of(int64_t amount, size_t whole, enum amount_rounding rounding);

struct shape;

struct field {
    const char *key;
    enum shape_type type;
    size_t offset;
    bool required;
    /* STRINGS: a scalar is a list of one. LIST: a mapping alone is a list of one. OBJECT, EMBED,
     * DICT: a scalar or a sequence stands for the shape's `scalar` key. */
    bool scalar_ok;
    bool beside;               /* in a one_of shape: may stand beside the one */
    const struct shape *shape; /* OBJECT, EMBED, LIST, DICT */
    const char *const *words;  /* ENUM; STRINGS: each item is one of them; ends with NULL */
    int64_t min,
        max; /* INT, AMOUNT (of a count), DURATION (ms), BYTES; LIST, STRINGS, DICT, MAP: count (max 0: a limit
                         of limits.h) */
    int64_t fallback;          /* INT, DURATION, BYTES, ENUM, BOOL when absent */
    const char *fallback_text; /* STRING, NAME when absent */
    size_t text_offset; /* INT: where a text with ${…} is kept (const char *) until expand_shape()
                           makes the number of it; 0: such a text is refused */
    const char *pattern; /* STRING, STRINGS: a POSIX extended expression, anchored; DICT, MAP: of
                            the keys */
    const char *pattern_help; /* "64 hexadecimal digits": what the pattern means, for people */
    const char *help;         /* one sentence for the schema */
};

struct shape {
    const char *name; /* "Cluster", "health check": for messages and the schema's $defs */
    size_t size;
    const struct field
        *fields; /* of a DICT's shape: without the name, which is the struct's first member */
    size_t field_count;
    bool one_of; /* exactly one of the fields is given (an action, a check); fields marked `beside`
                    may stand beside it */
    bool open;   /* another program's file: keys that are not in the table are stepped over */
    const char *scalar;  /* the key that a bare scalar or sequence stands for (service: stop), or
                            NULL. A BOOL key is  set by its own name: strategy: all-at-once */
    const char *mapping; /* the key that a mapping stands for (an env value: text, or a secret's
                            mapping), or NULL */
    const char *help;
};

/* Where a value was written, for complaints that come after reading. Zero when it came from
 * nowhere. */
struct mark {
    const char *file;
    int line;
    int column;
};

/* The marks of one document: by the address of the field that was filled (for lists also of each
 * item, for an object also of its struct). A struct and its first field share an address: the
 * field's place is the one that is found. */
struct marks;
/* {NULL, 0, 0} when nothing was filled there. marks may be NULL. */
struct mark marks_find(const struct marks *marks, const void *field_address);

/* One document of a YAML stream, not yet decoded. */
struct yaml_document;

/* Reads a YAML text (bounded by LIMIT_SPEC_*): aliases, tags and duplicate keys are complaints.
 * Returns the documents of the stream; complaints are added, and documents that could be read are
 * still returned. */
struct yaml_documents {
    struct yaml_document **items;
    size_t count;
};
struct yaml_documents yaml_read(struct arena *arena, const char *file, const char *text, size_t len,
                                struct complaints *complaints);
/* The scalar under a top-level key ("kind", "lockstep"), or NULL; its place in *ret_mark when not
 * NULL. */
const char *yaml_peek(const struct yaml_document *document, const char *key, struct mark *ret_mark);

/* Fills `out` (shape->size bytes, zeroed) and the marks. Every mistake is a complaint; what is
 * right is filled. */
void shape_from_yaml(const struct shape *shape, const struct yaml_document *document, void *out,
                     struct marks **ret_marks, struct arena *arena, struct complaints *complaints);

/* Writes every value that is present (absent optional ones and fallbacks are left out), keys as in
 * the table, durations and sizes as text ("1m30s"), no short forms. The caller owns the result
 * (json_decref). */
json_t *shape_to_json(const struct shape *shape, const void *in);
/* Reads what shape_to_json() wrote, with the same checks. 0, or E_INVALID with the JSON path in *e.
 */
int shape_from_json(const struct shape *shape, const json_t *json, void *out, struct arena *arena,
                    struct error *e);

/* The JSON Schema (draft 2020-12) of a list of alternatives (the kinds). Caller owns it. */
json_t *shape_schema(const struct shape *const *kinds, size_t count);

/* Canonical JSON: keys sorted by bytes, no blanks, UTF-8. Appends to `out`. */
void json_canonical(const json_t *json, struct buf *out);

#endif
