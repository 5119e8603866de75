/*
 * Owns base64, in a few lines: the libraries at hand bring it only along with sockets, files or memory of their own, which
 * a pure floor may not see. Refuses other alphabets, missing padding, and bits after the last byte that are not 0.
 */
#include "lib/migration/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(struct arena *arena, struct bytes data)
{
    char *text = arena_alloc(arena, (data.len + 2) / 3 * 4 + 1);
    size_t out = 0;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = MIN(data.len - i, (size_t)3);
        uint32_t bits = (uint32_t)data.data[i] << 16;
        bits |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)data.data[i + 2] : 0;
        text[out++] = alphabet[bits >> 18];
        text[out++] = alphabet[bits >> 12 & 63];
        text[out++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        text[out++] = left > 2 ? alphabet[bits & 63] : '=';
    }
    return text;
}

bool base64_decode(struct arena *arena, const char *text, struct bytes *ret)
{
    size_t len = strlen(text);
    if (len % 4 != 0) {
        return false;
    }
    size_t padding = len > 0 && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;
    uint8_t *data = arena_alloc(arena, len / 4 * 3 + 1);
    size_t out = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        const char *at = i < len - padding ? strchr(alphabet, text[i]) : alphabet;
        if (at == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (i % 4 == 3) {
            data[out++] = (uint8_t)(bits >> 16);
            data[out++] = (uint8_t)(bits >> 8);
            data[out++] = (uint8_t)bits;
            bits = 0;
        }
    }
    for (size_t i = out - padding; i < out; i++) {
        if (data[i] != 0) {
            return false;
        }
        data[i] = 0;
    }
    *ret = (struct bytes){data, out - padding};
    return true;
}
