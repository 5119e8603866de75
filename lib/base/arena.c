/* Owns the only allocation of the pure floors: blocks of malloc, freed all at once. */
#include "lib/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGNMENT   _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next; /* owned */
    size_t used;
    size_t capacity;
    _Alignas(max_align_t) unsigned char data[];
};

static void give_up(const char *why)
{
    fprintf(stderr, "lockstep: %s\n", why);
    abort();
}

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_deinit(struct arena *a)
{
    struct arena_block *b = a->head;
    while (b != NULL) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    a->head = NULL;
    a->bytes = 0;
}

static struct arena_block *add_block(struct arena *a, size_t bytes)
{
    size_t capacity = MAX(bytes, BLOCK_BYTES);
    struct arena_block *b = malloc(sizeof(*b) + capacity);
    if (b == NULL) {
        give_up("out of memory");
        return NULL;
    }
    b->used = 0;
    b->capacity = capacity;
    b->next = a->head;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t max = a->bytes_max != 0 ? a->bytes_max : ARENA_DEFAULT_BYTES_MAX;
    if (bytes > max || a->bytes > max - bytes) {
        give_up("an arena passed its limit");
    }
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *b = a->head;
    if (b == NULL || b->capacity - b->used < rounded) {
        b = add_block(a, rounded);
    }
    void *p = b->data + b->used;
    b->used += rounded;
    a->bytes += bytes;
    memset(p, 0, rounded);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        give_up("an array is too large");
    }
    return arena_alloc(a, count * size);
}

void *arena_grow(struct arena *a, void *old, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return old;
    }
    size_t grown = *capacity == 0 ? 8 : *capacity * 2;
    assert(grown > count);
    void *p = arena_array(a, grown, size);
    if (count > 0) {
        memcpy(p, old, count * size);
    }
    *capacity = grown;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    if (len > 0) {
        memcpy(copy, s, len);
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    assert(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(a, fmt, args);
    va_end(args);
    return text;
}
