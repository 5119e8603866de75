/* Owns small string questions; refuses to allocate anywhere but in the arena it is given. */
#include "lib/base/str.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/util.h"

#define DISTANCE_WORD_MAX 64

bool str_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
    return s != NULL && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    if (s == NULL) {
        return false;
    }
    size_t len = strlen(s);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

bool str_empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

size_t str_distance(const char *a, const char *b, size_t limit)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > DISTANCE_WORD_MAX || b_len > DISTANCE_WORD_MAX) {
        return limit + 1;
    }
    size_t row[DISTANCE_WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), diagonal + cost);
            diagonal = above;
        }
    }
    return row[b_len] > limit ? limit + 1 : row[b_len];
}

const char *str_nearest(const char *word, const char *const *names, size_t count)
{
    size_t limit = MAX(strlen(word) / 3, (size_t)1);
    size_t best = limit + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = str_distance(word, names[i], limit);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

const char *str_join(struct arena *arena, const char *const *words, size_t count)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_puts(&b, i + 1 == count ? " and " : ", ");
        }
        buf_puts(&b, words[i]);
    }
    return buf_text(&b);
}

bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
    if (str_empty(s)) {
        return false;
    }
    uint64_t value = 0;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*s - '0');
        if (digit > max || value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

/* Milliseconds of one unit at *s, moved past it; 0 when there is no unit. */
static int64_t take_unit(const char **s)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (str_starts(*s, units[i].name)) {
            *s += strlen(units[i].name);
            return units[i].ms;
        }
    }
    return 0;
}

bool str_to_duration_ms(const char *s, int64_t *ret_ms)
{
    if (str_empty(s)) {
        return false;
    }
    int64_t total = 0;
    while (*s != '\0') {
        int64_t number = 0;
        const char *digits = s;
        while (*s >= '0' && *s <= '9' && number <= LIMIT_DURATION_MS) {
            number = number * 10 + (*s++ - '0');
        }
        if (s == digits) {
            return false;
        }
        int64_t unit = take_unit(&s);
        if (unit == 0 || number > LIMIT_DURATION_MS / unit) {
            return false;
        }
        total += number * unit;
        if (total > LIMIT_DURATION_MS) {
            return false;
        }
    }
    *ret_ms = total;
    return true;
}

const char *str_duration(struct arena *arena, int64_t ms)
{
    if (ms < 1000) {
        return arena_printf(arena, "%lld ms", (long long)ms);
    }
    if (ms < 60000) {
        return arena_printf(arena, "%lld.%lld s", (long long)(ms / 1000),
                            (long long)(ms % 1000 / 100));
    }
    int64_t minutes = ms / 60000;
    if (minutes < 60) {
        return arena_printf(arena, "%lld min %lld s", (long long)minutes,
                            (long long)(ms % 60000 / 1000));
    }
    return arena_printf(arena, "%lld h %lld min", (long long)(minutes / 60),
                        (long long)(minutes % 60));
}

const char *str_bytes(struct arena *arena, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    uint64_t tenths = bytes * 10;
    while (tenths >= 10000 && unit + 1 < ARRAY_SIZE(units)) {
        tenths /= 1000;
        unit++;
    }
    if (unit == 0 || tenths >= 100) {
        return arena_printf(arena, "%llu %s", (unsigned long long)(tenths / 10), units[unit]);
    }
    return arena_printf(arena, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                        (unsigned long long)(tenths % 10), units[unit]);
}

const char *str_hex(struct arena *arena, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_alloc(arena, len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        text[i * 2] = digits[data[i] >> 4];
        text[i * 2 + 1] = digits[data[i] & 15];
    }
    return text;
}

bool str_is_name(const char *s)
{
    if (str_empty(s) || strlen(s) > LIMIT_NAME_BYTES || s[0] == '.' || s[0] == '-') {
        return false;
    }
    for (; *s != '\0'; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');
        bool digit = *s >= '0' && *s <= '9';
        if (!letter && !digit && *s != '.' && *s != '_' && *s != '-') {
            return false;
        }
    }
    return true;
}
