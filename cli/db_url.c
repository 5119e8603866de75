/*
 * Owns what a URL's parameters mean to Lockstep: search_path and its like become server settings, golang-migrate's own
 * are understood or refused by name, all others are the engine's. It refuses to guess.
 */
#include "cli/db_url.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

#define URL_BYTES_MAX 4096

struct reading {
    struct arena *arena;
    bool postgres, mysql;
    struct buf parameters; /* those that stay, "a=b&c=d" */
    struct buf settings;   /* libpq's options: "-csearch_path=x -crole=y" */
    bool table_is_quoted;
    struct db_url url;
};

/* ---- %XX ---- */

static int decode(struct arena *arena, const char *text, size_t len, const char **ret,
                  struct error *e)
{
    char *out = arena_alloc(arena, len + 1);
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = (unsigned char)text[i];
        if (text[i] == '%') {
            char digits[3] = {text[i + 1], i + 2 < len ? text[i + 2] : '\0', '\0'};
            if (i + 2 >= len || strspn(digits, "0123456789abcdefABCDEF") != 2 ||
                sscanf(digits, "%2x", &byte) != 1 || byte == 0) {
                return error_set(e, E_INVALID,
                                 "the URL has a %% that is not followed by two hexadecimal digits: "
                                 "write %%25 for the sign itself");
            }
            i += 2;
        }
        out[at++] = (char)byte;
    }
    *ret = out;
    return 0;
}

static void encode(struct buf *b, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
        if (plain) {
            buf_putc(b, *p);
        } else {
            buf_printf(b, "%%%02X", (unsigned)(unsigned char)*p);
        }
    }
}

/* ---- parameters ---- */

/* Server settings that other drivers take as parameters of a URL; libpq wants them in `options`. */
static bool is_setting(const char *key)
{
    static const char *const names[] = {
        "search_path",       "role",         "timezone",
        "TimeZone",          "lock_timeout", "statement_timeout",
        "work_mem",          "datestyle",    "idle_in_transaction_session_timeout",
        "default_tablespace"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_equal(key, names[i])) {
            return true;
        }
    }
    return false;
}

/* What go's MySQL driver is told and changes nothing here: Lockstep decides these for itself. */
static bool is_of_the_driver(const char *key)
{
    static const char *const names[] = {"multiStatements",   "parseTime", "loc",
                                        "interpolateParams", "charset",   "collation"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_equal(key, names[i])) {
            return true;
        }
    }
    return false;
}

static void add_setting(struct reading *r, const char *key, const char *value)
{
    buf_printf(&r->settings, "%s-c%s=", r->settings.len > 0 ? " " : "", key);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == ' ' || *p == '\\') {
            buf_putc(&r->settings, '\\');
        }
        buf_putc(&r->settings, *p);
    }
}

static void add_parameter(struct reading *r, const char *key, const char *value)
{
    if (r->parameters.len > 0) {
        buf_putc(&r->parameters, '&');
    }
    encode(&r->parameters, key);
    buf_putc(&r->parameters, '=');
    encode(&r->parameters, value);
}

static bool is_false(const char *value)
{
    return str_equal(value, "false") || str_equal(value, "0") || str_equal(value, "f");
}

/* golang-migrate's own, "x-…". */
static int own_parameter(struct reading *r, const char *key, const char *value, struct error *e)
{
    if (str_equal(key, "x-migrations-table")) {
        r->url.ledger = value;
        return 0;
    }
    if (str_equal(key, "x-migrations-table-quoted")) {
        r->table_is_quoted = !is_false(value);
        return 0;
    }
    if (str_equal(key, "x-statement-timeout") && r->postgres) {
        add_setting(r, "statement_timeout", value);
        return 0;
    }
    if (str_equal(key, "x-multi-statement-max-size") ||
        ((str_equal(key, "x-multi-statement") || str_equal(key, "x-no-lock") ||
          str_equal(key, "x-no-tx-wrap")) &&
         is_false(value))) {
        return 0;
    }
    if (str_equal(key, "x-multi-statement")) {
        return error_set(e, E_INVALID,
                         "the URL says x-multi-statement=%s: Lockstep sends a file whole, as "
                         "golang-migrate does without it. A file whose statements need it (CREATE "
                         "INDEX CONCURRENTLY beside others) has to be split into files; take the "
                         "parameter out of the URL",
                         value);
    }
    return error_set(e, E_INVALID,
                     "the URL has the parameter %s, which Lockstep does not know: take it out of "
                     "the URL (x-migrations-table is understood, as --ledger; the tool's own lock "
                     "is always taken)",
                     key);
}

static int parameter(struct reading *r, const char *text, size_t len, struct error *e)
{
    const char *equals = memchr(text, '=', len);
    size_t key_len = equals != NULL ? (size_t)(equals - text) : len;
    const char *key = NULL;
    const char *value = "";
    int rc = decode(r->arena, text, key_len, &key, e);
    if (rc == 0 && equals != NULL) {
        rc = decode(r->arena, equals + 1, len - key_len - 1, &value, e);
    }
    if (rc < 0 || key[0] == '\0') {
        return rc;
    }
    if (str_starts(key, "x-")) {
        return own_parameter(r, key, value, e);
    }
    if (str_equal(key, "password")) {
        r->url.password = value;
    } else if (r->postgres && is_setting(key)) {
        add_setting(r, key, value);
    } else if (r->postgres && str_equal(key, "options")) {
        buf_printf(&r->settings, "%s%s", r->settings.len > 0 ? " " : "", value);
    } else if (!(r->mysql && is_of_the_driver(key))) {
        add_parameter(r, key, value);
    }
    return 0;
}

static int parameters(struct reading *r, const char *query, struct error *e)
{
    int rc = 0;
    while (rc == 0 && *query != '\0') {
        size_t len = strcspn(query, "&");
        rc = parameter(r, query, len, e);
        query += len + (query[len] == '&' ? 1 : 0);
    }
    if (rc == 0 && r->settings.len > 0) {
        add_parameter(r, "options", buf_text(&r->settings));
    }
    if (rc == 0 && (r->parameters.overflow || r->settings.overflow)) {
        rc = error_set(e, E_LIMIT, "the URL is longer than %d bytes", URL_BYTES_MAX);
    }
    return rc;
}

/* "schema"."table" to schema.table: --ledger is a plain name, quoted when it is used. */
static void unquote_table(struct reading *r)
{
    if (r->url.ledger == NULL || !r->table_is_quoted) {
        return;
    }
    struct buf b;
    buf_init(&b, r->arena, URL_BYTES_MAX);
    for (const char *p = r->url.ledger; *p != '\0'; p++) {
        if (*p != '"' && *p != '`') {
            buf_putc(&b, *p);
        }
    }
    r->url.ledger = buf_text(&b);
}

/* ---- the parts before the parameters ---- */

/* user:password@host/name; the password is between the first colon and the last @ before the path. */
static int authority(struct reading *r, const char *text, size_t len, const char **ret,
                     struct error *e)
{
    size_t end = len;
    for (size_t i = 0; i < len && text[i] != '/'; i++) {
        end = text[i] == '@' ? i : end;
    }
    const char *host = text;
    const char *user = "";
    if (end < len) {
        const char *colon = memchr(text, ':', end);
        user =
            arena_printf(r->arena, "%.*s@", (int)(colon != NULL ? colon - text : (long)end), text);
        host = text + end + 1;
        if (colon != NULL && colon + 1 < text + end) {
            int rc =
                decode(r->arena, colon + 1, (size_t)(text + end - colon) - 1, &r->url.password, e);
            if (rc < 0) {
                return rc;
            }
        }
    }
    const char *rest = arena_strndup(r->arena, host, (size_t)(text + len - host));
    const char *close = strchr(rest, ')');
    if (r->mysql && str_starts(rest, "tcp(") && close != NULL) { /* as go's driver writes it */
        rest = arena_printf(r->arena, "%.*s%s", (int)(close - rest) - 4, rest + 4, close + 1);
    }
    *ret = arena_printf(r->arena, "%s%s", user, rest);
    return 0;
}

static const char *name_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = arena_strdup(arena, slash != NULL ? slash + 1 : "");
    char *dot = strrchr(name, '.');
    if (dot != NULL && dot != name) {
        *dot = '\0'; /* a file's */
    }
    return str_is_name(name) ? name : "db";
}

struct scheme {
    const char *written, *meant;
};

static int sqlite_path(struct reading *r, const char *path, const char *directory, const char **ret,
                       struct error *e)
{
    if (path[0] == '\0') {
        return error_set(e, E_INVALID,
                         "the URL names no file: write sqlite:///path/of/the/file, or "
                         "sqlite://path from here");
    }
    *ret = path[0] == '/' ? path : arena_printf(r->arena, "%s/%s", directory, path);
    return 0;
}

int db_url_read(struct arena *arena, const char *text, const char *directory, struct db_url *ret,
                struct error *e)
{
    static const struct scheme schemes[] = {
        {"postgres://", "postgres://"}, {"postgresql://", "postgresql://"},
        {"pgx://", "postgres://"},      {"pgx4://", "postgres://"},
        {"pgx5://", "postgres://"},     {"mysql://", "mysql://"},
        {"mariadb://", "mariadb://"},   {"sqlite3://", "sqlite://"},
        {"sqlite://", "sqlite://"},
    };
    const struct scheme *scheme = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(schemes) && scheme == NULL; i++) {
        scheme = str_starts(text, schemes[i].written) ? &schemes[i] : NULL;
    }
    if (scheme == NULL) {
        return error_set(e, E_INVALID,
                         "the URL names no engine that Lockstep knows: write "
                         "postgres://user@host:5432/name, mysql://user@host:3306/name or "
                         "sqlite:///path/of/the/file");
    }
    if (strlen(text) > URL_BYTES_MAX) {
        return error_set(e, E_LIMIT, "the URL is longer than %d bytes", URL_BYTES_MAX);
    }
    struct reading r = {.arena = arena,
                        .postgres = str_starts(scheme->meant, "postgres"),
                        .mysql = str_starts(scheme->meant, "m")};
    buf_init(&r.parameters, arena, URL_BYTES_MAX);
    buf_init(&r.settings, arena, URL_BYTES_MAX);
    const char *rest = text + strlen(scheme->written);
    size_t len = strcspn(rest, "?");
    const char *place = NULL;
    int rc = r.postgres || r.mysql
                 ? authority(&r, rest, len, &place, e)
                 : sqlite_path(&r, arena_strndup(arena, rest, len), directory, &place, e);
    if (rc == 0) {
        rc = parameters(&r, rest[len] == '?' ? rest + len + 1 : "", e);
    }
    if (rc < 0) {
        return rc;
    }
    unquote_table(&r);
    r.url.name = name_of(arena, place);
    r.url.url = arena_printf(arena, "%s%s%s%s", scheme->meant, place,
                             r.parameters.len > 0 ? "?" : "", buf_text(&r.parameters));
    *ret = r.url;
    return 0;
}
