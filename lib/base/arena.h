/*
 * Memory that is given back whole: one arena per request, step or plan. The pure floors allocate from
 * nothing else. An arena has a maximum; past it the program stops with a message, because every
 * input that could fill one is bounded before (limits.h).
 */
#ifndef LOCKSTEP_BASE_ARENA_H
#define LOCKSTEP_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "lib/base/util.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* owned; newest first */
    size_t bytes;             /* handed out */
    size_t bytes_max;         /* 0: ARENA_DEFAULT_BYTES_MAX */
};

#define ARENA_DEFAULT_BYTES_MAX ((size_t)1024 * 1024 * 1024)

void arena_init(struct arena *a);
/* Gives back all memory. The arena can be used again. */
void arena_deinit(struct arena *a);

/* Zeroed memory, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *a, size_t bytes);
/* `count` elements of `size` bytes; an overflow stops the program. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A larger copy of an array for appending; returns `old` when `count` still fits the capacity.
 * Doubles *capacity. Use: v = arena_grow(a, v, n, &cap, sizeof(*v)); v[n++] = x; */
void *arena_grow(struct arena *a, void *old, size_t count, size_t *capacity, size_t size);
/* Copies; NUL-terminated. arena_strdup(NULL) is NULL. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

#define ARENA_NEW(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, count, type) ((type *)arena_array((a), (count), sizeof(type)))

#endif
