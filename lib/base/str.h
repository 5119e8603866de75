/* Questions about NUL-terminated strings that the C library does not answer. NULL equals only NULL. */
#ifndef LOCKSTEP_BASE_STR_H
#define LOCKSTEP_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

bool str_equal(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* NULL or "". */
bool str_empty(const char *s);
/* Levenshtein distance for "did you mean"; anything past `limit` answers limit + 1. */
size_t str_distance(const char *a, const char *b, size_t limit);
/* The name among `names` that is nearest to `word` (at most a third of its length away), or NULL. */
const char *str_nearest(const char *word, const char *const *names, size_t count);
/* "a, b and c" for sentences. */
const char *str_join(struct arena *arena, const char *const *words, size_t count);
/* A whole decimal number, no sign, no blanks; false when it is none or passes `max`. */
bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value);
/* "90s", "2m", "1h30m", "250ms" to milliseconds, at most LIMIT_DURATION_MS. A bare number is refused. */
bool str_to_duration_ms(const char *s, int64_t *ret_ms);
/* "250 ms", "1.4 s", "2 min 5 s", "3 h 4 min" for people. */
const char *str_duration(struct arena *arena, int64_t ms);
/* "214 MB" for people (1000-based). */
const char *str_bytes(struct arena *arena, uint64_t bytes);
/* Lower-case hex of `len` bytes; arena-owned. */
const char *str_hex(struct arena *arena, const uint8_t *data, size_t len);
/* Letters, digits, '.', '_' and '-', not starting with '.' or '-', at most LIMIT_NAME_BYTES: a name that can
 * be a file name, a certificate's subject and a step's place. */
bool str_is_name(const char *s);

#endif
