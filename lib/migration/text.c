/* Owns the few questions about lines and blanks that the formats share. Refuses nothing. */
#include "lib/migration/text.h"

#include <string.h>

#include "lib/base/util.h"

/* White space past ASCII, as UTF-8: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000. */
static size_t wide_blank(const uint8_t *p, size_t len)
{
    if (len >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0)) {
        return 2;
    }
    if (len < 3) {
        return 0;
    }
    bool general = p[0] == 0xe2 && p[1] == 0x80 &&
                   ((p[2] >= 0x80 && p[2] <= 0x8a) || p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf);
    bool other = (p[0] == 0xe1 && p[1] == 0x9a && p[2] == 0x80) ||
                 (p[0] == 0xe2 && p[1] == 0x81 && p[2] == 0x9f) ||
                 (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80);
    return general || other ? 3 : 0;
}

size_t text_blank(struct bytes text)
{
    if (text.len == 0) {
        return 0;
    }
    if (text.data[0] == ' ' || (text.data[0] >= '\t' && text.data[0] <= '\r')) {
        return 1;
    }
    return wide_blank(text.data, text.len);
}

struct bytes text_from(struct bytes text, size_t from)
{
    assert(from <= text.len);
    /* data may be NULL when there is no text */
    return from == 0 ? text : (struct bytes){text.data + from, text.len - from};
}

struct bytes text_trim(struct bytes text)
{
    size_t blank;
    while ((blank = text_blank(text)) > 0) {
        text = text_from(text, blank);
    }
    for (size_t width = 1; width <= 3 && width <= text.len; width++) {
        if (text_blank(text_from(text, text.len - width)) == width) {
            text.len -= width;
            width = 0;
        }
    }
    return text;
}

bool text_starts(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

bool text_ends(struct bytes text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len >= len && memcmp(text.data + text.len - len, suffix, len) == 0;
}

size_t text_find(struct bytes text, const char *word)
{
    size_t len = strlen(word);
    assert(len > 0);
    for (size_t at = 0; at + len <= text.len; at++) {
        const uint8_t *p = memchr(text.data + at, word[0], text.len - at - len + 1);
        if (p == NULL) {
            break;
        }
        at = (size_t)(p - text.data);
        if (memcmp(p, word, len) == 0) {
            return at;
        }
    }
    return text.len;
}

int text_line(struct bytes text, size_t at)
{
    int line = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        line += text.data[i] == '\n' ? 1 : 0;
    }
    return line;
}
