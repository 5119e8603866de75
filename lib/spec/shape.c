/*
 * Owns the questions about a shape's table that reading, writing and the schema share: fields by
 * key, fallbacks, bounds, and how durations and sizes are written.
 */
#include "lib/spec/shape.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/node.h"

const struct field *shape_field(const struct shape *shape, const char *key)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        if (strcmp(shape->fields[i].key, key) == 0) {
            return &shape->fields[i];
        }
    }
    return NULL;
}

const char *const *shape_keys(struct arena *arena, const struct shape *shape, size_t *ret_count)
{
    const char **keys = ARENA_ARRAY(arena, shape->field_count, const char *);
    for (size_t i = 0; i < shape->field_count; i++) {
        keys[i] = shape->fields[i].key;
    }
    *ret_count = shape->field_count;
    return keys;
}

void shape_fallbacks(const struct shape *shape, void *out)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        char *at = (char *)out + f->offset;
        switch (f->type) {
        case SHAPE_STRING:
        case SHAPE_NAME:
            *(const char **)at = f->fallback_text;
            break;
        case SHAPE_BOOL:
            *(bool *)at = f->fallback != 0;
            break;
        case SHAPE_INT:
        case SHAPE_DURATION:
        case SHAPE_BYTES:
        case SHAPE_AMOUNT:
            *(int64_t *)at = f->fallback;
            break;
        case SHAPE_ENUM:
            *(int *)at = (int)f->fallback;
            break;
        case SHAPE_EMBED:
            shape_fallbacks(f->shape, at);
            break;
        case SHAPE_VERSION:
        case SHAPE_STRINGS:
        case SHAPE_VERSIONS:
        case SHAPE_MAP:
        case SHAPE_OBJECT:
        case SHAPE_LIST:
        case SHAPE_DICT:
        case SHAPE_JSON:
            break;
        }
    }
}

size_t words_count(const char *const *words)
{
    size_t count = 0;
    while (words != NULL && words[count] != NULL) {
        count++;
    }
    return count;
}

int64_t field_max(const struct field *field)
{
    if (field->max != 0) {
        return field->max;
    }
    switch (field->type) {
    case SHAPE_DURATION:
        return LIMIT_DURATION_MS;
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
    case SHAPE_MAP:
    case SHAPE_LIST:
    case SHAPE_DICT:
        return LIMIT_SPEC_NODES;
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
    case SHAPE_BOOL:
    case SHAPE_INT:
    case SHAPE_BYTES:
    case SHAPE_AMOUNT:
    case SHAPE_ENUM:
    case SHAPE_OBJECT:
    case SHAPE_EMBED:
    case SHAPE_JSON:
        break;
    }
    return INT64_MAX;
}

size_t amount_of(int64_t amount, size_t whole, enum amount_rounding rounding)
{
    size_t count = amount >= 0 ? (size_t)amount
                               : (whole * (size_t)-amount + (rounding == AMOUNT_UP ? 99 : 0)) / 100;
    return MIN(amount < 0 ? MAX(count, 1) : count, whole);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, so that the first that divides is the one to write. */
static const struct unit byte_units[] = {
    {"TiB", 1LL << 40},   {"TB", 1000000000000LL}, {"GiB", 1LL << 30},
    {"GB", 1000000000LL}, {"MiB", 1LL << 20},      {"MB", 1000000LL},
    {"KiB", 1LL << 10},   {"kB", 1000LL},          {"B", 1},
};

bool bytes_from_text(const char *text, int64_t *ret_bytes)
{
    size_t digits = strspn(text, "0123456789");
    char number[20];
    if (digits == 0 || digits >= sizeof(number)) {
        return false;
    }
    memcpy(number, text, digits);
    number[digits] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(byte_units); i++) {
        uint64_t value;
        if (str_equal(text + digits, byte_units[i].name)) {
            if (!str_to_u64(number, (uint64_t)(INT64_MAX / byte_units[i].factor), &value)) {
                return false;
            }
            *ret_bytes = (int64_t)value * byte_units[i].factor;
            return true;
        }
    }
    return false;
}

const char *bytes_to_text(struct arena *arena, int64_t bytes)
{
    size_t i = 0;
    while (bytes == 0 ? byte_units[i].factor != 1 : bytes % byte_units[i].factor != 0) {
        i++;
    }
    return arena_printf(arena, "%lld%s", (long long)(bytes / byte_units[i].factor),
                        byte_units[i].name);
}

const char *duration_to_text(struct arena *arena, int64_t ms)
{
    static const struct unit units[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    struct buf b;
    buf_init(&b, arena, LIMIT_NAME_BYTES);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (ms >= units[i].factor) {
            buf_printf(&b, "%lld%s", (long long)(ms / units[i].factor), units[i].name);
            ms %= units[i].factor;
        }
    }
    return b.len == 0 ? "0s" : buf_text(&b);
}
