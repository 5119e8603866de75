/*
 * Owns the JSON Schema (draft 2020-12) of the tables: what editors complete and underline. It says
 * what one value says about itself; relations between values are told by `lockstep validate` only.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/node.h"

#define DURATION_PATTERN "^([0-9]+(ms|s|m|h|d))+$"
#define BYTES_PATTERN    "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)$"
#define SHARE_PATTERN    "^([1-9]|[1-9][0-9]|100)%$"
#define NAME_PATTERN     "^[A-Za-z0-9_][A-Za-z0-9._-]*$"

struct schema {
    struct arena arena;
    json_t *defs;
};

static json_t *text(const char *s)
{
    return json_string(s);
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *of_type(const char *type)
{
    json_t *schema = json_object();
    set(schema, "type", text(type));
    return schema;
}

/* A plain 8065, true or 1.5 is text wherever text is wanted. */
static json_t *any_text(void)
{
    json_t *schema = json_object();
    json_t *types = json_array();
    static const char *const names[] = {"string", "number", "boolean"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        json_array_append_new(types, text(names[i]));
    }
    set(schema, "type", types);
    return schema;
}

static json_t *matching(const char *pattern)
{
    json_t *schema = of_type("string");
    set(schema, "pattern", text(pattern));
    return schema;
}

static json_t *either(json_t *a, json_t *b)
{
    json_t *alternatives = json_array();
    json_array_append_new(alternatives, a);
    json_array_append_new(alternatives, b);
    json_t *schema = json_object();
    set(schema, "anyOf", alternatives);
    return schema;
}

static json_t *words(const char *const *list)
{
    json_t *schema = json_object();
    size_t count = words_count(list);
    if (count == 1) {
        set(schema, "const", text(list[0]));
        return schema;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        if (list[i][0] != '\0') {
            json_array_append_new(array, text(list[i]));
        }
    }
    set(schema, "enum", array);
    return schema;
}

static json_t *anchored(struct schema *s, const char *pattern)
{
    return matching(arena_printf(&s->arena, "^(%s)$", pattern));
}

static json_t *string_schema(struct schema *s, const struct field *f)
{
    if (f->words != NULL) {
        return words(f->words);
    }
    return f->pattern != NULL ? anchored(s, f->pattern) : any_text();
}

static json_t *name_schema(void)
{
    json_t *schema = any_text();
    set(schema, "pattern", text(NAME_PATTERN));
    set(schema, "maxLength", json_integer(LIMIT_NAME_BYTES));
    return schema;
}

static json_t *int_schema(const struct field *f)
{
    json_t *schema = json_object();
    if (f->min == f->max && f->max != 0) {
        set(schema, "const", json_integer(f->min));
        return schema;
    }
    set(schema, "type", text("integer"));
    set(schema, "minimum", json_integer(f->min));
    if (f->max != 0) {
        set(schema, "maximum", json_integer(f->max));
    }
    return f->text_offset != 0 ? either(schema, matching("\\$\\{")) : schema;
}

static void set_counts(json_t *schema, const struct field *f, const char *min_key,
                       const char *max_key)
{
    if (f->min > 0) {
        set(schema, min_key, json_integer(f->min));
    }
    if (f->max != 0) {
        set(schema, max_key, json_integer(f->max));
    }
}

static json_t *list_of(json_t *items, const struct field *f)
{
    json_t *schema = of_type("array");
    set(schema, "items", items);
    set_counts(schema, f, "minItems", "maxItems");
    return schema;
}

static json_t *mapping_of(struct schema *s, json_t *values, const struct field *f)
{
    json_t *schema = of_type("object");
    set(schema, "additionalProperties", values);
    json_t *names = json_object();
    set(names, "pattern",
        text(f->pattern != NULL ? arena_printf(&s->arena, "^(%s)$", f->pattern) : NAME_PATTERN));
    set(schema, "propertyNames", names);
    set_counts(schema, f, "minProperties", "maxProperties");
    return schema;
}

static void define(struct schema *s, const struct shape *shape);
static json_t *field_schema(struct schema *s, const struct field *f);

/* Two shapes may share a name (the service action of a plan and of do:): the fields tell them
 * apart. */
static const char *def_name(struct schema *s, const struct shape *shape)
{
    char *name = arena_strdup(&s->arena, shape->name);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == ' ' ? '-' : *c;
    }
    return name;
}

static json_t *reference(struct schema *s, const struct shape *shape)
{
    define(s, shape);
    json_t *schema = json_object();
    set(schema, "$ref", text(arena_printf(&s->arena, "#/$defs/%s", def_name(s, shape))));
    return schema;
}

/* The short form of a struct: a scalar or a list for its `scalar` key, a mapping for its `mapping`
 * key. */
static json_t *struct_schema(struct schema *s, const struct shape *shape, bool scalar_ok)
{
    json_t *whole = shape->mapping != NULL ? field_schema(s, shape_field(shape, shape->mapping))
                                           : reference(s, shape);
    if (!scalar_ok || shape->scalar == NULL) {
        return whole;
    }
    const struct field *field = shape_field(shape, shape->scalar);
    if (field->type == SHAPE_BOOL) {
        char *word = arena_strdup(&s->arena, field->key);
        for (char *c = word; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        json_t *flag = json_object();
        set(flag, "const", text(word));
        return either(flag, whole);
    }
    if (field->type == SHAPE_LIST) { /* a mapping is the struct itself, never its first item */
        struct field items = *field;
        items.scalar_ok = false;
        return either(field_schema(s, &items), whole);
    }
    return either(field_schema(s, field), whole);
}

static json_t *field_schema(struct schema *s, const struct field *f)
{
    struct field item = *f;
    json_t *one;
    switch (f->type) {
    case SHAPE_STRING:
        return string_schema(s, f);
    case SHAPE_NAME:
        return name_schema();
    case SHAPE_VERSION:
        return of_type("string");
    case SHAPE_BOOL:
        return of_type("boolean");
    case SHAPE_INT:
        return int_schema(f);
    case SHAPE_DURATION:
        return matching(DURATION_PATTERN);
    case SHAPE_BYTES:
        return matching(BYTES_PATTERN);
    case SHAPE_AMOUNT:
        return either(int_schema(f), matching(SHARE_PATTERN));
    case SHAPE_ENUM:
        return words(f->words);
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
        one = f->type == SHAPE_VERSIONS ? of_type("string") : string_schema(s, &item);
        return f->scalar_ok ? either(json_deep_copy(one), list_of(one, f)) : list_of(one, f);
    case SHAPE_MAP:
        return mapping_of(s, any_text(), f);
    case SHAPE_OBJECT:
    case SHAPE_EMBED:
        return struct_schema(s, f->shape, f->scalar_ok);
    case SHAPE_LIST:
        one = struct_schema(s, f->shape, false);
        return f->scalar_ok ? either(json_deep_copy(one), list_of(one, f)) : list_of(one, f);
    case SHAPE_DICT:
        return mapping_of(s, struct_schema(s, f->shape, f->scalar_ok), f);
    case SHAPE_JSON:
        break;
    }
    return json_object();
}

static json_t *fallback_of(struct schema *s, const struct field *f)
{
    if (f->fallback_text != NULL) {
        return text(f->fallback_text);
    }
    if (f->required) {
        return NULL;
    }
    switch (f->type) {
    case SHAPE_BOOL:
        return json_boolean(f->fallback != 0);
    case SHAPE_INT:
    case SHAPE_AMOUNT:
        return json_integer(f->fallback);
    case SHAPE_DURATION:
        return f->fallback != 0 ? text(duration_to_text(&s->arena, f->fallback)) : NULL;
    case SHAPE_BYTES:
        return f->fallback != 0 ? text(bytes_to_text(&s->arena, f->fallback)) : NULL;
    case SHAPE_ENUM:
        return f->words[f->fallback][0] != '\0' ? text(f->words[f->fallback]) : NULL;
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
    case SHAPE_MAP:
    case SHAPE_OBJECT:
    case SHAPE_EMBED:
    case SHAPE_LIST:
    case SHAPE_DICT:
    case SHAPE_JSON:
        break;
    }
    return NULL;
}

static json_t *required_key(const char *key)
{
    json_t *keys = json_array();
    json_array_append_new(keys, text(key));
    json_t *schema = json_object();
    set(schema, "required", keys);
    return schema;
}

static void define(struct schema *s, const struct shape *shape)
{
    const char *name = def_name(s, shape);
    if (json_object_get(s->defs, name) != NULL) {
        return;
    }
    json_t *schema = of_type("object");
    set(s->defs, name, schema); /* before its fields, which may lead back to it */
    if (shape->help != NULL) {
        set(schema, "description", text(shape->help));
    }
    json_t *properties = json_object();
    json_t *required = json_array();
    json_t *one_of = json_array();
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        json_t *property = field_schema(s, f);
        json_t *fallback = fallback_of(s, f);
        if (f->help != NULL) {
            set(property, "description", text(f->help));
        }
        if (fallback != NULL) {
            set(property, "default", fallback);
        }
        set(properties, f->key, property);
        if (f->required) {
            json_array_append_new(required, text(f->key));
        }
        if (shape->one_of && !f->beside) {
            json_array_append_new(one_of, required_key(f->key));
        }
    }
    set(schema, "properties", properties);
    set(schema, "required", required);
    set(schema, "additionalProperties", json_false());
    if (shape->one_of) {
        set(schema, "oneOf", one_of);
    } else {
        json_decref(one_of);
    }
}

json_t *shape_schema(const struct shape *const *kinds, size_t count)
{
    struct schema s = {.defs = json_object()};
    arena_init(&s.arena);
    json_t *alternatives = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(alternatives, reference(&s, kinds[i]));
    }
    json_t *schema = json_object();
    set(schema, "$schema", text("https://json-schema.org/draft/2020-12/schema"));
    set(schema, "title", text("Lockstep"));
    set(schema, "oneOf", alternatives);
    set(schema, "$defs", s.defs);
    arena_deinit(&s.arena);
    return schema;
}
