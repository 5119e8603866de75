/*
 * Owns ${…} references: finding them, and copying a struct with each replaced. Refuses a name that
 * nobody knows, one that is not closed, and a text that grows past LIMIT_TEXT_BYTES. There are no
 * expressions and no defaults.
 */
#include "lib/spec/expand.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/node.h"

#define KNOWN                                                                                      \
    "node.name, node.VAR, cluster.name, release.version, layout.path, hop.from, hop.to, "          \
    "hop.schema_from, hop.schema_to, run and database.NAME.url"

struct expander {
    struct arena *arena;
    expand_lookup *lookup;
    const void *context;
    struct error *e;
};

/* The name behind the "${" at `s`, and where it ends; NULL when it is no reference. */
static const char *take_name(struct arena *arena, const char *s, const char **ret_end)
{
    const char *name = s + 2;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    if (len == 0 || len > 2 * LIMIT_NAME_BYTES || name[len] != '}') {
        return NULL;
    }
    *ret_end = name + len + 1;
    return arena_strndup(arena, name, len);
}

static int put_reference(struct expander *x, const char **s, struct buf *out)
{
    const char *end = NULL;
    const char *name = take_name(x->arena, *s, &end);
    if (name == NULL) {
        return error_set(
            x->e, E_INVALID,
            "a ${ in %s is not closed by a } or holds no name; a literal ${ is written $${",
            text_quote(x->arena, *s));
    }
    const char *value = x->lookup(x->context, name);
    if (value == NULL) {
        return error_set(x->e, E_INVALID, "${%s} has no value here; known are " KNOWN, name);
    }
    buf_puts(out, value);
    *s = end;
    return 0;
}

static int expand(struct expander *x, const char *text, const char **ret)
{
    if (text == NULL || strstr(text, "${") == NULL) {
        *ret = text;
        return 0;
    }
    struct buf out;
    buf_init(&out, x->arena, LIMIT_TEXT_BYTES);
    for (const char *s = text; *s != '\0';) {
        if (str_starts(s, "$${")) {
            buf_puts(&out, "${");
            s += 3;
        } else if (str_starts(s, "${")) {
            int r = put_reference(x, &s, &out);
            if (r < 0) {
                return r;
            }
        } else {
            buf_putc(&out, *s++);
        }
    }
    if (out.overflow) {
        return error_set(x->e, E_LIMIT, "a text grows past %d KiB when its ${…} are filled in: %s",
                         LIMIT_TEXT_BYTES / 1024, text_quote(x->arena, text));
    }
    *ret = buf_text(&out);
    return 0;
}

int expand_text(struct arena *arena, const char *text, expand_lookup *lookup, const void *context,
                const char **ret, struct error *e)
{
    struct expander x = {arena, lookup, context, e};
    return expand(&x, text, ret);
}

static int copy_struct(struct expander *x, const struct shape *shape, const void *in, void *out);

static int copy_strings(struct expander *x, const struct strings *in, struct strings *out)
{
    out->items = ARENA_ARRAY(x->arena, in->count, const char *);
    out->count = in->count;
    int r = 0;
    for (size_t i = 0; i < in->count && r == 0; i++) {
        r = expand(x, in->items[i], &out->items[i]);
    }
    return r;
}

static int copy_pairs(struct expander *x, const struct pairs *in, struct pairs *out)
{
    out->items = ARENA_ARRAY(x->arena, in->count, struct pair);
    out->count = in->count;
    int r = 0;
    for (size_t i = 0; i < in->count && r == 0; i++) {
        out->items[i].key = in->items[i].key;
        r = expand(x, in->items[i].value, &out->items[i].value);
    }
    return r;
}

static int copy_list(struct expander *x, const struct shape *shape, const struct list *in,
                     struct list *out)
{
    out->items = arena_array(x->arena, in->count, shape->size);
    out->count = in->count;
    int r = 0;
    for (size_t i = 0; i < in->count && r == 0; i++) {
        size_t at = i * shape->size;
        r = copy_struct(x, shape, (const char *)in->items + at, (char *)out->items + at);
    }
    return r;
}

static int copy_object(struct expander *x, const struct shape *shape, const void *in, void **out)
{
    if (in == NULL) {
        return 0;
    }
    *out = arena_alloc(x->arena, shape->size);
    return copy_struct(x, shape, in, *out);
}

/* A number that was text until now: port: "${node.port}". */
static int settle_number(struct expander *x, const struct field *f, const char *in, char *out)
{
    const char *text = NULL;
    int r = expand(x, *(const char *const *)(in + f->text_offset), &text);
    if (r < 0 || text == NULL) {
        return r;
    }
    uint64_t value;
    if (!str_to_u64(text, (uint64_t)field_max(f), &value) || (int64_t)value < f->min) {
        return error_set(x->e, E_INVALID, "%s should be a number from %lld to %lld, found %s",
                         f->key, (long long)f->min, (long long)field_max(f),
                         text_quote(x->arena, text));
    }
    *(int64_t *)(out + f->offset) = (int64_t)value;
    *(const char **)(out + f->text_offset) = NULL;
    return 0;
}

static int copy_field(struct expander *x, const struct field *f, const char *in, char *out)
{
    const char *from = in + f->offset;
    char *to = out + f->offset;
    switch (f->type) {
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
        return expand(x, *(const char *const *)from, (const char **)to);
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
        return copy_strings(x, (const struct strings *)from, (struct strings *)to);
    case SHAPE_MAP:
        return copy_pairs(x, (const struct pairs *)from, (struct pairs *)to);
    case SHAPE_OBJECT:
        return copy_object(x, f->shape, *(const void *const *)from, (void **)to);
    case SHAPE_EMBED:
        return copy_struct(x, f->shape, from, to);
    case SHAPE_LIST:
    case SHAPE_DICT:
        return copy_list(x, f->shape, (const struct list *)from, (struct list *)to);
    case SHAPE_INT:
        return f->text_offset != 0 ? settle_number(x, f, in, out) : 0;
    case SHAPE_BOOL:
    case SHAPE_DURATION:
    case SHAPE_BYTES:
    case SHAPE_AMOUNT:
    case SHAPE_ENUM:
    case SHAPE_JSON:
        break;
    }
    return 0;
}

static int copy_struct(struct expander *x, const struct shape *shape, const void *in, void *out)
{
    memcpy(out, in, shape->size); /* numbers, words, and what the table does not name */
    int r = 0;
    for (size_t i = 0; i < shape->field_count && r == 0; i++) {
        r = copy_field(x, &shape->fields[i], in, out);
    }
    return r;
}

int expand_shape(struct arena *arena, const struct shape *shape, const void *in,
                 expand_lookup *lookup, const void *context, void *out, struct error *e)
{
    struct expander x = {arena, lookup, context, e};
    return copy_struct(&x, shape, in, out);
}

/* ---- looking only ---- */

struct visitor {
    struct arena *arena;
    void (*seen)(void *context, const char *name, const void *field);
    void *context;
};

static void visit_text(struct visitor *v, const char *text, const void *field)
{
    for (const char *s = text; s != NULL && (s = strstr(s, "${")) != NULL;) {
        if (s > text && s[-1] == '$') {
            s += 2;
            continue;
        }
        const char *end = s + 2;
        v->seen(v->context, take_name(v->arena, s, &end), field);
        s = end;
    }
}

static void visit_field(struct visitor *v, const struct field *f, const char *in);

static void visit_struct(struct visitor *v, const struct shape *shape, const void *in)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        visit_field(v, &shape->fields[i], in);
    }
}

static void visit_field(struct visitor *v, const struct field *f, const char *in)
{
    const char *at = in + f->offset;
    switch (f->type) {
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
        visit_text(v, *(const char *const *)at, at);
        break;
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS: {
        const struct strings *strings = (const struct strings *)at;
        for (size_t i = 0; i < strings->count; i++) {
            visit_text(v, strings->items[i], &strings->items[i]);
        }
        break;
    }
    case SHAPE_MAP: {
        const struct pairs *pairs = (const struct pairs *)at;
        for (size_t i = 0; i < pairs->count; i++) {
            visit_text(v, pairs->items[i].value, &pairs->items[i].value);
        }
        break;
    }
    case SHAPE_OBJECT:
        if (*(const void *const *)at != NULL) {
            visit_struct(v, f->shape, *(const void *const *)at);
        }
        break;
    case SHAPE_EMBED:
        visit_struct(v, f->shape, at);
        break;
    case SHAPE_LIST:
    case SHAPE_DICT: {
        const struct list *list = (const struct list *)at;
        for (size_t i = 0; i < list->count; i++) {
            visit_struct(v, f->shape, (const char *)list->items + i * f->shape->size);
        }
        break;
    }
    case SHAPE_INT:
        if (f->text_offset != 0) {
            visit_text(v, *(const char *const *)(in + f->text_offset), at);
        }
        break;
    case SHAPE_BOOL:
    case SHAPE_DURATION:
    case SHAPE_BYTES:
    case SHAPE_AMOUNT:
    case SHAPE_ENUM:
    case SHAPE_JSON:
        break;
    }
}

void expand_references(struct arena *arena, const struct shape *shape, const void *in,
                       void (*seen)(void *context, const char *name, const void *field),
                       void *context)
{
    struct visitor v = {arena, seen, context};
    visit_struct(&v, shape, in);
}
