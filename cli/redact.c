/* Owns what counts as a secret in somebody else's text. */
#include "cli/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/util.h"

#define PEM_BEGIN "-----BEGIN "
#define PEM_KEY   "PRIVATE KEY-----"
#define PEM_END   "-----END "

static const char *const secret_words[] = {"password",   "passwd",      "secret",     "token",
                                           "api_key",    "api-key",     "apikey",     "access_key",
                                           "access-key", "private_key", "private-key"};

/* Does a word that ends right before `at` name a secret? */
static bool names_secret(const char *text, size_t at)
{
    for (size_t i = 0; i < ARRAY_SIZE(secret_words); i++) {
        size_t len = strlen(secret_words[i]);
        if (at >= len && strncasecmp(text + at - len, secret_words[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* How many bytes of a value stand at `at`, behind NAME and its sign; *ret_skip: blanks and an opening quote before it. */
static size_t value_at(const char *text, size_t len, size_t at, size_t *ret_skip)
{
    size_t start = at;
    while (start < len && (text[start] == ' ' || text[start] == '\t')) {
        start++;
    }
    char quote = start < len && (text[start] == '"' || text[start] == '\'') ? text[start] : '\0';
    start += quote != '\0' ? 1 : 0;
    size_t end = start;
    if (quote != '\0') {
        while (end < len && text[end] != quote && text[end] != '\n') {
            end += text[end] == '\\' && end + 1 < len ? 2 : 1;
        }
    } else if (start < len && text[start] != '{' && text[start] != '[' && text[start] != '$') {
        while (end < len && !isspace((unsigned char)text[end]) &&
               strchr(",;&\"'}])", text[end]) == NULL) {
            end++;
        }
    }
    *ret_skip = start - at;
    return MIN(end, len) - start;
}

/* NAME= NAME: "NAME": at `at`, which is the sign. */
static bool is_sign(const char *text, size_t at)
{
    if (text[at] != '=' && text[at] != ':') {
        return false;
    }
    size_t name = at;
    if (name > 0 && (text[name - 1] == '"' || text[name - 1] == '\'')) {
        name--;
    }
    return names_secret(text, name);
}

/* "//user:PASSWORD@" at `at`, which is the first slash; *ret_from, *ret_end: the password. */
static bool is_login(const char *text, size_t len, size_t at, size_t *ret_from, size_t *ret_end)
{
    if (at + 2 >= len || at == 0 || text[at - 1] != ':' || text[at] != '/' || text[at + 1] != '/') {
        return false;
    }
    size_t colon = 0;
    size_t sign = 0;
    for (size_t i = at + 2;
         i < len && !isspace((unsigned char)text[i]) && text[i] != '/' && text[i] != '"'; i++) {
        if (text[i] == ':' && colon == 0) {
            colon = i;
        }
        if (text[i] == '@') {
            sign = i;
        }
    }
    *ret_from = colon + 1;
    *ret_end = sign;
    return colon != 0 && sign > colon + 1;
}

/* The length of a PEM private key that begins at `at`; 0: none does. */
static size_t private_key_at(const char *text, size_t len, size_t at)
{
    if (len - at < strlen(PEM_BEGIN) || memcmp(text + at, PEM_BEGIN, strlen(PEM_BEGIN)) != 0) {
        return 0;
    }
    const char *line_end = memchr(text + at, '\n', len - at);
    size_t head = line_end != NULL ? (size_t)(line_end - (text + at)) : len - at;
    if (memmem(text + at, head, PEM_KEY, strlen(PEM_KEY)) == NULL) {
        return 0;
    }
    const char *end = memmem(text + at + head, len - at - head, PEM_END, strlen(PEM_END));
    if (end == NULL) {
        return len - at;
    }
    const char *close = memchr(end, '\n', len - (size_t)(end - text));
    return close != NULL ? (size_t)(close - (text + at)) : len - at;
}

const char *redact(struct arena *arena, const char *text, size_t len)
{
    struct buf out;
    buf_init(&out, arena, 4 * len + 1024);
    for (size_t i = 0; i < len;) {
        size_t from;
        size_t end;
        size_t key = private_key_at(text, len, i);
        if (key > 0) {
            buf_puts(&out, REDACTED);
            i += key;
        } else if (is_login(text, len, i, &from, &end)) {
            buf_append(&out, text + i, from - i);
            buf_puts(&out, REDACTED);
            i = end;
        } else if (is_sign(text, i)) {
            size_t skip;
            size_t value = value_at(text, len, i + 1, &skip);
            buf_append(&out, text + i, 1 + skip);
            buf_puts(&out, value > 0 ? REDACTED : "");
            i += 1 + skip + value;
        } else {
            buf_putc(&out, text[i++]);
        }
    }
    return buf_text(&out);
}
