/*
 * Owns what is the same for every engine: URLs, secrets, waiting for a server, transactions, messages. It refuses
 * a URL of an engine that it does not know, and to let a password into a message.
 */
#include "lib/io/db/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"

#define RETRY_MS        200
#define URL_BYTES_MAX   4096
#define STATEMENT_PARTS 2 /* schema.table */

static const struct db_engine *const engines[] = {&db_postgres, &db_sqlite, &db_mariadb};

const struct db_engine *db_engine_of(const char *url)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        for (const char *const *scheme = engines[i]->schemes; *scheme != NULL; scheme++) {
            if (str_starts(url, *scheme)) {
                return engines[i];
            }
        }
    }
    return NULL;
}

int db_fail(struct db_session *s, struct error *e, int code, const char *fmt, ...)
{
    char words[LIMIT_ERROR_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    return error_set(e, code, "database %s (%s): %s", s->name, s->place, words);
}

static int read_url(struct db_session *s, const struct database_ref *ref, const char **ret_url,
                    struct error *e)
{
    const char *url = ref->url;
    if (ref->url_secret != NULL) {
        int rc = secret_read(s->arena, ref->url_secret, &url, e);
        if (rc < 0) {
            error_wrap(e, "database %s: its URL", s->name);
            return rc;
        }
    }
    if (str_empty(url)) {
        return error_set(e, E_INVALID,
                         "database %s has no URL: write url: or url_secret:", s->name);
    }
    if (strlen(url) > URL_BYTES_MAX) {
        return error_set(e, E_LIMIT, "database %s: its URL is longer than %d bytes", s->name,
                         URL_BYTES_MAX);
    }
    *ret_url = url;
    return 0;
}

int db_open(struct db_session *s, struct arena *arena, const struct database_ref *ref,
            const struct db_options *options, struct error *e)
{
    *s = (struct db_session){.arena = arena,
                             .name = ref->name != NULL ? ref->name : "?",
                             .place = "?",
                             .ledger = ref->ledger};
    s->options = *options;
    const char *url = NULL;
    int rc = read_url(s, ref, &url, e);
    if (rc < 0) {
        return rc;
    }
    const struct db_engine *engine = db_engine_of(url);
    if (engine == NULL) {
        return error_set(e, E_INVALID,
                         "database %s: its URL names no engine that Lockstep knows: write "
                         "postgres://user@host:5432/name, mysql://user@host:3306/name or "
                         "sqlite:///path/of/the/file",
                         s->name);
    }
    const char *password = NULL;
    if (ref->password != NULL) {
        rc = secret_read(arena, ref->password, &password, e);
        if (rc < 0) {
            error_wrap(e, "database %s: its password", s->name);
            return rc;
        }
    }
    s->engine = engine;
    rc = engine->open(s, url, password, e);
    secret_wipe(password);
    if (ref->url_secret != NULL) {
        secret_wipe(url);
    }
    if (rc < 0) {
        db_close(s);
    }
    return rc;
}

int db_open_wait(struct db_session *s, struct arena *arena, const struct database_ref *ref,
                 const struct db_options *options, int64_t deadline_ms, struct error *e)
{
    for (;;) {
        int rc = db_open(s, arena, ref, options, e);
        if (rc != E_UNAVAILABLE || act_now_ms() + RETRY_MS >= deadline_ms) {
            return rc;
        }
        process_sleep_ms(RETRY_MS);
    }
}

void db_close(struct db_session *s)
{
    if (s->handle != NULL) {
        s->engine->close(s);
        s->handle = NULL;
    }
}

static int refuse_lost(struct db_session *s, struct error *e)
{
    s->fault = (struct db_fault){.lost = true};
    return db_fail(s, e, E_UNAVAILABLE, "the connection is lost");
}

static void before(struct db_session *s, const char *sql)
{
    s->fault = (struct db_fault){0};
    if (s->options.trace != NULL) {
        s->options.trace->before(s->options.trace->context, sql);
    }
}

static void after(struct db_session *s, const char *sql)
{
    if (s->options.trace != NULL && s->options.trace->after != NULL) {
        s->options.trace->after(s->options.trace->context, sql);
    }
}

void db_later(struct db_session *s)
{
    s->later = s->engine->queue != NULL;
}

/* Answers what was queued. */
static int flush(struct db_session *s, struct error *e)
{
    if (s->unanswered == 0) {
        return 0;
    }
    int rc = s->engine->flush(s, e);
    s->unanswered = 0;
    s->lost = s->lost || (rc < 0 && s->fault.lost);
    return rc;
}

static int queue(struct db_session *s, const char *sql, const char *const *params, size_t count,
                 struct error *e)
{
    before(s, sql);
    int rc = s->engine->queue(s, sql, params, count, e);
    s->unanswered += rc == 0 ? 1 : 0;
    s->lost = s->lost || (rc < 0 && s->fault.lost);
    return rc;
}

int db_exec(struct db_session *s, const char *sql, struct error *e)
{
    if (s->handle == NULL || s->lost) {
        return refuse_lost(s, e);
    }
    int rc = flush(s, e);
    if (rc < 0) {
        return rc;
    }
    before(s, sql);
    rc = s->engine->exec(s, sql, e);
    s->lost = s->lost || (rc < 0 && s->fault.lost);
    after(s, sql);
    return rc;
}

int db_query(struct db_session *s, struct arena *arena, const char *sql, const char *const *params,
             size_t count, struct db_rows *ret, struct error *e)
{
    if (s->handle == NULL || s->lost) {
        return refuse_lost(s, e);
    }
    if (s->later && ret == NULL) {
        return queue(s, sql, params, count, e);
    }
    int rc = flush(s, e);
    if (rc < 0) {
        return rc;
    }
    before(s, sql);
    struct db_rows rows = {0};
    rc = s->engine->query(s, arena, sql, params, count, &rows, e);
    s->lost = s->lost || (rc < 0 && s->fault.lost);
    after(s, sql);
    if (rc == 0 && ret != NULL) {
        *ret = rows;
    }
    return rc;
}

int db_value(struct db_session *s, struct arena *arena, const char *sql, const char *const *params,
             size_t count, const char **ret, struct error *e)
{
    struct db_rows rows = {0};
    int rc = db_query(s, arena, sql, params, count, &rows, e);
    if (rc == 0) {
        *ret = rows.count > 0 && rows.columns > 0 ? db_cell(&rows, 0, 0) : NULL;
    }
    return rc;
}

int db_begin(struct db_session *s, struct error *e)
{
    return db_exec(s, s->engine->begin, e);
}

int db_commit(struct db_session *s, struct error *e)
{
    s->later = false;
    if (s->unanswered == 0 || s->lost) {
        return db_exec(s, "COMMIT", e);
    }
    int rc = queue(s, "COMMIT", NULL, 0, e);
    rc = rc < 0 ? rc : flush(s, e);
    after(s, "COMMIT");
    return rc;
}

void db_rollback(struct db_session *s)
{
    s->later = false;
    if (s->handle == NULL || s->lost) {
        return;
    }
    struct db_fault fault = s->fault; /* what went wrong before is what the caller asks about */
    flush(s, NULL);
    if (!s->lost && s->engine->in_transaction(s)) {
        db_exec(s, "ROLLBACK", NULL);
    }
    s->fault = fault;
}

int db_writers(struct db_session *s, struct arena *arena, struct db_writer **ret, size_t *ret_count,
               struct error *e)
{
    return s->engine->writers(s, arena, ret, ret_count, e);
}

const char *db_writers_text(struct arena *arena, const struct db_writer *writers, size_t count,
                            size_t max)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < count && i < max; i++) {
        const struct db_writer *w = &writers[i];
        buf_printf(&b, "%s%s@%s (%s, %s, pid %lld, since %s)", i > 0 ? "; " : "", w->user, w->host,
                   str_empty(w->application) ? "no application_name" : w->application,
                   str_empty(w->state) ? "state hidden" : w->state, (long long)w->pid, w->since);
    }
    if (count > max) {
        buf_printf(&b, " and %zu more", count - max);
    }
    return buf_text(&b);
}

int db_quote_name(const struct db_engine *engine, struct arena *arena, const char *name,
                  const char **ret, struct error *e)
{
    const char quote = engine->name_quote;
    struct buf b;
    buf_init(&b, arena, 2 * LIMIT_NAME_BYTES + 8);
    size_t parts = 1;
    size_t len = 0;
    buf_putc(&b, quote);
    for (const char *p = name != NULL ? name : ""; *p != '\0'; p++) {
        if (*p == '.') {
            parts += len > 0 ? 1 : STATEMENT_PARTS;
            len = 0;
            buf_printf(&b, "%c.%c", quote, quote);
            continue;
        }
        if (*p == quote || (unsigned char)*p < ' ') {
            parts += STATEMENT_PARTS; /* nobody names a table so; refused below */
        }
        buf_putc(&b, *p);
        len++;
    }
    buf_putc(&b, quote);
    if (len == 0 || parts > STATEMENT_PARTS || b.overflow) {
        return error_set(
            e, E_INVALID,
            "\"%.100s\" is not the name of a table or a column: write name or schema.name",
            name != NULL ? name : "");
    }
    *ret = buf_text(&b);
    return 0;
}
