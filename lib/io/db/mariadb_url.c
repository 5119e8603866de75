/*
 * Owns the URL of a MariaDB database. It refuses what it does not know, names no value in a refusal (one of them may
 * be a password), and has no default for the database.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/mariadb.h"

#define PART_BYTES_MAX 4096
#define DEFAULT_PORT   3306
#define FORM           "mysql://user@host:3306/database"

static int refuse(struct error *e, const char *why)
{
    return error_set(e, E_INVALID,
                     "the URL cannot be read: %s. Write " FORM
                     ", with %%40 for @, %%2F for / and so on inside a part",
                     why);
}

static int decode(struct arena *arena, const char *text, size_t len, const char **ret,
                  struct error *e)
{
    struct buf b;
    buf_init(&b, arena, PART_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            buf_putc(&b, text[i]);
            continue;
        }
        char digits[3] = {0};
        memcpy(digits, text + i + 1, MIN(len - i - 1, 2));
        char *end = NULL;
        unsigned long byte = strtoul(digits, &end, 16);
        if (end != digits + 2 || byte == 0) {
            return refuse(e, "after % stand two hexadecimal digits");
        }
        buf_putc(&b, (char)byte);
        i += 2;
    }
    *ret = buf_text(&b);
    return b.overflow ? error_set(e, E_LIMIT, "a part of the URL is too long") : 0;
}

static int read_port(const char *text, size_t len, struct mariadb_target *t, struct error *e)
{
    char digits[8] = {0};
    uint64_t port = 0;
    if (len == 0 || len >= sizeof(digits)) {
        return refuse(e, "after the host's : stands a port, 1 to 65535");
    }
    memcpy(digits, text, len);
    if (!str_to_u64(digits, 65535, &port) || port == 0) {
        return refuse(e, "after the host's : stands a port, 1 to 65535");
    }
    t->port = (unsigned)port;
    return 0;
}

static int read_host(struct arena *arena, const char *text, size_t len, struct mariadb_target *t,
                     struct error *e)
{
    if (len == 0) {
        return 0;
    }
    const char *host = text;
    const char *end = text + len;
    const char *host_end;
    if (*host == '[') {
        host++;
        host_end = memchr(host, ']', len - 1);
        if (host_end == NULL) {
            return refuse(e, "the host's [ has no ]");
        }
        text = host_end + 1;
    } else {
        host_end = memchr(host, ':', len);
        host_end = host_end != NULL ? host_end : end;
        text = host_end;
    }
    if (memchr(host, '/', (size_t)(host_end - host)) != NULL) {
        return refuse(e, "behind the host stands / and the name of one database");
    }
    int rc = decode(arena, host, (size_t)(host_end - host), &t->host, e);
    if (rc == 0 && text < end) {
        rc = *text == ':' ? read_port(text + 1, (size_t)(end - text) - 1, t, e)
                          : refuse(e, "something stands behind the host");
    }
    return rc;
}

/* host:port, or Go's tcp(host:port) and unix(/path). *ret_go: its own options follow. */
static int read_address(struct arena *arena, const char *text, size_t len, struct mariadb_target *t,
                        bool *ret_go, struct error *e)
{
    *ret_go = len > 0 && text[len - 1] == ')';
    if (!*ret_go) {
        return read_host(arena, text, len, t, e);
    }
    if (str_starts(text, "tcp(")) {
        return read_host(arena, text + 4, len - 5, t, e);
    }
    if (str_starts(text, "unix(")) {
        return decode(arena, text + 5, len - 6, &t->socket, e);
    }
    return refuse(e, "before ( stands tcp or unix");
}

static int read_user(struct arena *arena, const char *text, size_t len, struct mariadb_target *t,
                     struct error *e)
{
    const char *colon = memchr(text, ':', len);
    size_t user = colon != NULL ? (size_t)(colon - text) : len;
    int rc = user > 0 ? decode(arena, text, user, &t->user, e) : 0;
    if (rc == 0 && colon != NULL) {
        rc = decode(arena, colon + 1, len - user - 1, &t->password, e);
    }
    return rc;
}

static int set_tls(struct mariadb_target *t, const char *mode, struct error *e)
{
    static const struct {
        const char *word;
        enum mariadb_tls tls;
    } modes[] = {
        {"preferred", MARIADB_TLS_PREFERRED},  {"disabled", MARIADB_TLS_DISABLED},
        {"required", MARIADB_TLS_REQUIRED},    {"verify-identity", MARIADB_TLS_VERIFY},
        {"false", MARIADB_TLS_DISABLED},       {"true", MARIADB_TLS_VERIFY}, /* Go's `tls` */
        {"skip-verify", MARIADB_TLS_REQUIRED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (strcasecmp(mode, modes[i].word) == 0) {
            t->tls = modes[i].tls;
            return 0;
        }
    }
    return refuse(e, "ssl-mode is disabled, preferred, required or verify-identity");
}

static int set_option(struct mariadb_target *t, const char *key, const char *value, bool go,
                      struct error *e)
{
    if (str_equal(key, "ssl-mode") || (go && str_equal(key, "tls"))) {
        return set_tls(t, value, e);
    }
    const struct {
        const char *key;
        const char **value;
    } texts[] = {{"socket", &t->socket},
                 {"ssl-ca", &t->ca},
                 {"ssl-cert", &t->certificate},
                 {"ssl-key", &t->key}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (str_equal(key, texts[i].key)) {
            *texts[i].value = value;
            return 0;
        }
    }
    return go ? 0 : refuse(e, "an option is none of socket, ssl-mode, ssl-ca, ssl-cert, ssl-key");
}

static int read_options(struct arena *arena, const char *text, struct mariadb_target *t, bool go,
                        struct error *e)
{
    int rc = 0;
    while (rc == 0 && *text != '\0') {
        size_t len = strcspn(text, "&");
        const char *equals = memchr(text, '=', len);
        const char *key = NULL;
        const char *value = NULL;
        size_t key_len = equals != NULL ? (size_t)(equals - text) : len;
        rc = decode(arena, text, key_len, &key, e);
        if (rc == 0) {
            rc = equals == NULL ? refuse(e, "an option needs = and a value")
                                : decode(arena, equals + 1, len - key_len - 1, &value, e);
        }
        if (rc == 0) {
            rc = set_option(t, key, value, go, e);
        }
        text += len + (text[len] == '&' ? 1 : 0);
    }
    return rc;
}

static int check(struct mariadb_target *t, struct error *e)
{
    if (str_empty(t->database)) {
        return refuse(e, "behind the host stands / and the name of one database");
    }
    if (strlen(t->database) > (size_t)MARIADB_LOCK_NAME_CHARS * 4) {
        return refuse(e, "a database's name has at most 64 characters");
    }
    if (t->tls == MARIADB_TLS_PREFERRED && t->ca != NULL) {
        t->tls = MARIADB_TLS_VERIFY; /* who names an authority wants it asked */
    }
    if (t->socket != NULL && t->tls == MARIADB_TLS_PREFERRED) {
        t->tls = MARIADB_TLS_DISABLED;
    }
    return 0;
}

int mariadb_url_parse(struct arena *arena, const char *url, struct mariadb_target *ret,
                      struct error *e)
{
    struct mariadb_target t = {.port = DEFAULT_PORT};
    const char *p = strstr(url, "://");
    if (p == NULL) {
        return refuse(e, "there is no ://");
    }
    p += strlen("://");
    size_t all = strcspn(p, "?");
    const char *options = p[all] == '?' ? p + all + 1 : "";
    /* Go's unix(/path) holds a slash, and a password that is not escaped may hold an @: the last ones count. */
    const char *slash = memrchr(p, '/', all);
    if (slash == NULL) {
        return refuse(e, "behind the host stands / and the name of one database");
    }
    const char *at = memrchr(p, '@', (size_t)(slash - p));
    const char *address = at != NULL ? at + 1 : p;
    bool go = false;
    int rc = at != NULL ? read_user(arena, p, (size_t)(at - p), &t, e) : 0;
    if (rc == 0) {
        rc = read_address(arena, address, (size_t)(slash - address), &t, &go, e);
    }
    if (rc == 0) {
        rc = decode(arena, slash + 1, (size_t)(p + all - slash) - 1, &t.database, e);
    }
    if (rc == 0) {
        rc = read_options(arena, options, &t, go, e);
    }
    if (rc == 0) {
        rc = check(&t, e);
    }
    if (rc == 0) {
        *ret = t;
    }
    return rc;
}
