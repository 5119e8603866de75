/*
 * What a user will read when something is wrong: what happened, where, and what to do about it.
 *
 * Functions that can fail return 0 for success and a negative `enum lockstep_error` for a failure that
 * is forwarded; positive values are outcomes that a module documents in its own header (MODULE_E_*).
 * Codes of errno, libuv, libpq and OpenSSL are translated where they enter.
 */
#ifndef LOCKSTEP_BASE_ERROR_H
#define LOCKSTEP_BASE_ERROR_H

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/util.h"

enum lockstep_error {
    E_INVALID = -1,     /* the input is wrong; the message says what and where */
    E_NOT_FOUND = -2,   /* what was named is not there */
    E_EXISTS = -3,      /* it is there already, and differs */
    E_IO = -4,          /* the operating system, a disk or a network said no */
    E_LIMIT = -5,       /* a named limit was reached (limits.h) */
    E_DENIED = -6,      /* credentials, a role, a policy or a fence refused */
    E_CONFLICT = -7,    /* the world moved: another run, another plan, another holder */
    E_TIMEOUT = -8,     /* a deadline passed */
    E_UNAVAILABLE = -9, /* a peer or a server is not reachable now */
    E_DATABASE = -10, /* the database server reported an error; its own words are in the message */
    E_UNKNOWN =
        -11, /* the outcome cannot be known without a person (rule 1: never retried blindly) */
    E_CANCELLED = -12, /* stopped because the caller asked for it */
};

struct error {
    int code; /* enum lockstep_error, 0 when nothing is wrong */
    char message[LIMIT_ERROR_BYTES];
};

/* Sets *e and is `code`, so that `return error_set(e, E_IO, "…")` forwards. e may be NULL. A macro, because the compiler
 * then knows that a constant code is not 0. */
#define error_set(e, code, ...)                                                                    \
    __extension__({                                                                                \
        const int error_code_ = (code);                                                            \
        error_say((e), error_code_, __VA_ARGS__);                                                  \
        error_is(error_code_);                                                                     \
    })
void error_say(struct error *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static inline int error_is(int code)
{
    return code;
}
/* Puts "outer: " before the message that is there. Returns e->code. e may be NULL (returns E_UNKNOWN). */
int error_wrap(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "invalid", "not-found" … for --json and the wire. Never NULL. */
const char *error_name(int code);
/* Translates an errno value: ENOENT to E_NOT_FOUND, EACCES to E_DENIED, ENOSPC to E_LIMIT … else E_IO. */
int error_from_errno(int errno_value);

/* One complaint about a text: `file:line:column: message`. */
struct complaint {
    const char *file; /* borrowed from the arena of the list */
    int line;         /* from 1; 0 when the whole file is meant */
    int column;       /* from 1 */
    const char *message;
};

/* All that is wrong at once, in the order of the text. Bounded: the last one says that more were left out. */
struct complaints {
    struct arena *arena; /* borrowed */
    struct complaint *items;
    size_t count;
    size_t capacity;
    size_t left_out;
};

void complaints_init(struct complaints *c, struct arena *arena);
void complaints_add(struct complaints *c, const char *file, int line, int column, const char *fmt,
                    ...) PRINTF_LIKE(5, 6);
/* Sorts by file, line and column; keeps the order of equals. */
void complaints_sort(struct complaints *c);

#endif
