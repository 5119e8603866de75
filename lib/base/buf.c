/* Owns growth and the maximum of a buffer. */
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, struct arena *arena, size_t bytes_max)
{
    assert(bytes_max > 0);
    *b = (struct buf){.arena = arena, .bytes_max = bytes_max};
}

static bool reserve(struct buf *b, size_t more)
{
    if (b->overflow || more > b->bytes_max - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->capacity) {
        return true;
    }
    size_t capacity = MAX(MAX(b->capacity * 2, need), 256);
    char *data = arena_alloc(b->arena, capacity);
    if (b->len > 0) {
        memcpy(data, b->data, b->len);
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (len == 0 || !reserve(b, len)) {
        return;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    assert(len >= 0);
    if (reserve(b, (size_t)len)) {
        vsnprintf(b->data + b->len, (size_t)len + 1, fmt, args);
        b->len += (size_t)len;
    }
    va_end(args);
}

const char *buf_text(const struct buf *b)
{
    return b->data == NULL ? "" : b->data;
}
