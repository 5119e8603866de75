/* Owns the making of messages. It refuses nothing: a message that is too long is cut with "…". */
#include "lib/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_cut(char *text, size_t bytes, int wanted)
{
    static const char dots[] = "...";
    if (wanted >= 0 && (size_t)wanted >= bytes) {
        memcpy(text + bytes - sizeof(dots), dots, sizeof(dots));
    }
}

void error_say(struct error *e, int code, const char *fmt, ...)
{
    assert(code < 0);
    if (e == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    int wanted = vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    mark_cut(e->message, sizeof(e->message), wanted);
    e->code = code;
}

int error_wrap(struct error *e, const char *fmt, ...)
{
    if (e == NULL) {
        return E_UNKNOWN;
    }
    char inner[LIMIT_ERROR_BYTES];
    memcpy(inner, e->message, sizeof(inner));
    va_list args;
    va_start(args, fmt);
    int outer = vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    if (outer >= 0 && (size_t)outer < sizeof(e->message)) {
        size_t room = sizeof(e->message) - (size_t)outer;
        int wanted = snprintf(e->message + outer, room, ": %s", inner);
        mark_cut(e->message, sizeof(e->message), wanted + outer);
    } else {
        mark_cut(e->message, sizeof(e->message), outer);
    }
    return e->code;
}

const char *error_name(int code)
{
    switch ((enum lockstep_error)code) {
    case E_INVALID:
        return "invalid";
    case E_NOT_FOUND:
        return "not-found";
    case E_EXISTS:
        return "exists";
    case E_IO:
        return "io";
    case E_LIMIT:
        return "limit";
    case E_DENIED:
        return "denied";
    case E_CONFLICT:
        return "conflict";
    case E_TIMEOUT:
        return "timeout";
    case E_UNAVAILABLE:
        return "unavailable";
    case E_DATABASE:
        return "database";
    case E_UNKNOWN:
        return "unknown";
    case E_CANCELLED:
        return "cancelled";
    }
    return code == 0 ? "ok" : "outcome";
}

int error_from_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
        return E_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return E_LIMIT;
    case ETIMEDOUT:
        return E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return E_UNAVAILABLE;
    case EINVAL:
    case ENAMETOOLONG:
        return E_INVALID;
    default:
        return E_IO;
    }
}

void complaints_init(struct complaints *c, struct arena *arena)
{
    *c = (struct complaints){.arena = arena};
}

void complaints_add(struct complaints *c, const char *file, int line, int column, const char *fmt,
                    ...)
{
    if (c->count >= LIMIT_ERRORS_PER_CALL) {
        c->left_out++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    const char *message = arena_vprintf(c->arena, fmt, args);
    va_end(args);
    c->items = arena_grow(c->arena, c->items, c->count, &c->capacity, sizeof(*c->items));
    c->items[c->count++] = (struct complaint){
        .file = arena_strdup(c->arena, file), .line = line, .column = column, .message = message};
}

static int before(const struct complaint *a, const struct complaint *b)
{
    int order = strcmp(a->file != NULL ? a->file : "", b->file != NULL ? b->file : "");
    if (order != 0) {
        return order < 0;
    }
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void complaints_sort(struct complaints *c)
{
    /* Insertion keeps equals in order; the list is at most LIMIT_ERRORS_PER_CALL long. */
    for (size_t i = 1; i < c->count; i++) {
        struct complaint moving = c->items[i];
        size_t j = i;
        while (j > 0 && before(&moving, &c->items[j - 1])) {
            c->items[j] = c->items[j - 1];
            j--;
        }
        c->items[j] = moving;
    }
}
