/*
 * One growable byte buffer with a maximum, for text and for bytes. Memory comes from an arena.
 * Appending past the maximum sets `overflow` and drops the rest: check it once, at the end.
 */
#ifndef LOCKSTEP_BASE_BUF_H
#define LOCKSTEP_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/util.h"

struct buf {
    struct arena *arena; /* borrowed */
    char *data;          /* NUL-terminated after every call; NULL while empty */
    size_t len;
    size_t capacity;
    size_t bytes_max;
    bool overflow;
};

void buf_init(struct buf *b, struct arena *arena, size_t bytes_max);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The text so far, "" while empty. Borrowed until the next append. */
const char *buf_text(const struct buf *b);

/* Bytes that somebody else owns. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#endif
