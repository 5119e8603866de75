/* Owns the way from a struct to JSON: what is absent or equal to its fallback is left out, nothing
 * has two forms. */
#include <string.h>

#include "lib/spec/node.h"

static json_t *strings_to_json(const struct strings *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < strings->count; i++) {
        json_array_append_new(array, json_string(strings->items[i]));
    }
    return array;
}

static json_t *map_to_json(const struct pairs *pairs)
{
    json_t *object = json_object();
    for (size_t i = 0; i < pairs->count; i++) {
        json_object_set_new(object, pairs->items[i].key, json_string(pairs->items[i].value));
    }
    return object;
}

static json_t *struct_to_json(const struct shape *shape, const void *in, struct arena *scratch);

static json_t *list_to_json(const struct shape *shape, const struct list *list,
                            struct arena *scratch)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * shape->size;
        json_array_append_new(array, struct_to_json(shape, item, scratch));
    }
    return array;
}

static json_t *dict_to_json(const struct shape *shape, const struct list *list,
                            struct arena *scratch)
{
    json_t *object = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * shape->size;
        json_object_set_new(object, *(const char *const *)item,
                            struct_to_json(shape, item, scratch));
    }
    return object;
}

/* NULL: equal to the fallback. */
static json_t *number_to_json(const struct field *f, const char *in, struct arena *scratch)
{
    const char *text = f->text_offset != 0 ? *(const char *const *)(in + f->text_offset) : NULL;
    int64_t value = *(const int64_t *)(in + f->offset);
    if (text != NULL) {
        return json_string(text);
    }
    if (value == f->fallback && !f->required) {
        return NULL;
    }
    if (f->type == SHAPE_DURATION) {
        return json_string(duration_to_text(scratch, value));
    }
    if (f->type == SHAPE_BYTES) {
        return json_string(bytes_to_text(scratch, value));
    }
    if (f->type == SHAPE_AMOUNT && value < 0) {
        return json_string(arena_printf(scratch, "%lld%%", -(long long)value));
    }
    return json_integer(value);
}

static json_t *text_to_json(const struct field *f, const char *text)
{
    bool fallback = text != NULL && f->fallback_text != NULL && strcmp(text, f->fallback_text) == 0;
    return text == NULL || fallback ? NULL : json_string(text);
}

static json_t *word_to_json(const struct field *f, int value)
{
    assert(value >= 0 && (size_t)value < words_count(f->words));
    bool absent = (value == f->fallback && !f->required) || f->words[value][0] == '\0';
    return absent ? NULL : json_string(f->words[value]);
}

static json_t *not_empty(json_t *json, size_t size, bool required)
{
    if (size == 0 && !required) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* NULL when there is nothing to write. */
static json_t *field_to_json(const struct field *f, const char *in, struct arena *scratch)
{
    const char *at = in + f->offset;
    switch (f->type) {
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
        return text_to_json(f, *(const char *const *)at);
    case SHAPE_BOOL: {
        bool value = *(const bool *)at;
        return value == (f->fallback != 0) && !f->required ? NULL : json_boolean(value);
    }
    case SHAPE_INT:
    case SHAPE_DURATION:
    case SHAPE_BYTES:
    case SHAPE_AMOUNT:
        return number_to_json(f, in, scratch);
    case SHAPE_ENUM:
        return word_to_json(f, *(const int *)at);
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS: {
        const struct strings *strings = (const struct strings *)at;
        return not_empty(strings_to_json(strings), strings->count, f->required);
    }
    case SHAPE_MAP: {
        const struct pairs *pairs = (const struct pairs *)at;
        return not_empty(map_to_json(pairs), pairs->count, f->required);
    }
    case SHAPE_OBJECT: {
        const void *object = *(const void *const *)at;
        return object == NULL ? NULL : struct_to_json(f->shape, object, scratch);
    }
    case SHAPE_EMBED: {
        json_t *embedded = struct_to_json(f->shape, at, scratch);
        return not_empty(embedded, json_object_size(embedded), f->required);
    }
    case SHAPE_LIST: {
        const struct list *list = (const struct list *)at;
        return not_empty(list_to_json(f->shape, list, scratch), list->count, f->required);
    }
    case SHAPE_DICT: {
        const struct list *list = (const struct list *)at;
        return not_empty(dict_to_json(f->shape, list, scratch), list->count, f->required);
    }
    case SHAPE_JSON: {
        const char *text = *(const char *const *)at;
        return text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    }
    }
    return NULL;
}

static json_t *struct_to_json(const struct shape *shape, const void *in, struct arena *scratch)
{
    if (shape->mapping != NULL) { /* two forms that exclude each other: the text, or the mapping */
        json_t *mapping = field_to_json(shape_field(shape, shape->mapping), in, scratch);
        json_t *scalar =
            mapping != NULL ? NULL : field_to_json(shape_field(shape, shape->scalar), in, scratch);
        return mapping != NULL ? mapping : scalar != NULL ? scalar : json_string("");
    }
    json_t *object = json_object();
    for (size_t i = 0; i < shape->field_count; i++) {
        json_t *value = field_to_json(&shape->fields[i], in, scratch);
        if (value != NULL) {
            json_object_set_new(object, shape->fields[i].key, value);
        }
    }
    return object;
}

json_t *shape_to_json(const struct shape *shape, const void *in)
{
    struct arena scratch;
    arena_init(&scratch);
    json_t *json = struct_to_json(shape, in, &scratch);
    arena_deinit(&scratch);
    return json;
}
