/*
 * Owns what morph (Mattermost's migrator) leaves in a database: the ledger db_migrations and, on PostgreSQL, the lock
 * row in db_lock. It refuses to take an expired lock over while a session of the application is left: the lease's
 * owner may only be slow.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"

#define LEDGER        "db_migrations"
#define LOCK_KEY      "mm-lock-key"
#define LEASE_SECONDS 15
#define REFRESH_MS    7500
#define NAMES_MAX     3

extern const struct db_format db_format_morph;

/* ---- the ledger ---- */

static int ledger_create(struct db_session *s, struct error *e)
{
    bool there = false;
    int rc = s->engine->table_exists(s, LEDGER, &there, e);
    if (rc < 0 || there) {
        return rc;
    }
    return db_exec(
        s,
        s->engine->kind == DB_SQLITE
            ? "CREATE TABLE IF NOT EXISTS db_migrations (Version bigint not null primary key,"
              " Name varchar not null)"
            : "CREATE TABLE IF NOT EXISTS db_migrations (version bigint not null primary key,"
              " name varchar not null)",
        e);
}

static int ledger_read(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e)
{
    int rc = s->engine->table_exists(s, LEDGER, &ret->exists, e);
    if (rc < 0 || !ret->exists) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(s, arena, "SELECT name FROM db_migrations", NULL, 0, &rows, e);
    if (rc == 0) {
        ret->ids = (struct strings){.items = rows.cells, .count = rows.count};
    }
    return rc;
}

static int ledger_up(struct db_session *s, const struct migration_item *item, struct error *e)
{
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)item->version), item->id};
    return db_query(s, s->arena, "INSERT INTO db_migrations (version, name) VALUES ($1, $2)",
                    params, 2, NULL, e);
}

static int ledger_down(struct db_session *s, const struct migration_item *item, struct error *e)
{
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)item->version), item->id};
    struct db_rows rows;
    int rc = db_query(s, s->arena, "DELETE FROM db_migrations WHERE version = $1 AND name = $2",
                      params, 2, &rows, e);
    if (rc == 0 && rows.changed != 1) {
        return db_fail(s, e, E_CONFLICT,
                       "the ledger db_migrations has no row (%s, %s): its name stands there with "
                       "another version. "
                       "Look at the row; morph would leave it",
                       params[0], item->id);
    }
    return rc;
}

/* ---- the lock ---- */

static bool has_lease(const struct db_session *s)
{
    return s->engine->kind == DB_POSTGRES;
}

static int lease_read(struct db_session *s, int64_t *ret, struct error *e)
{
    const char *text = NULL;
    int rc = db_value(s, s->arena, "SELECT expireat FROM db_lock WHERE id = '" LOCK_KEY "'", NULL,
                      0, &text, e);
    if (rc == 0) {
        *ret = text != NULL ? strtoll(text, NULL, 10) : 0;
    }
    return rc;
}

/* From what stands there to what we want, only if it still stands there. */
static int lease_replace(struct db_session *s, int64_t old, int64_t until, bool *ret,
                         struct error *e)
{
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)old),
                            arena_printf(s->arena, "%lld", (long long)until)};
    struct db_rows rows;
    int rc = db_query(
        s, s->arena, "UPDATE db_lock SET expireat = $2 WHERE id = '" LOCK_KEY "' AND expireat = $1",
        params, 2, &rows, e);
    if (rc == 0) {
        *ret = rows.changed == 1;
    }
    return rc;
}

static int say_holder(struct db_session *s, struct arena *arena, int64_t until, int64_t now,
                      const char **ret_words, size_t *ret_sessions, struct error *e)
{
    struct db_writer *writers = NULL;
    int rc = db_writers(s, arena, &writers, ret_sessions, e);
    if (rc == 0) {
        *ret_words = arena_printf(
            arena,
            "morph's own lock (table db_lock, %s), %s %lld s%s; sessions of the application: %s%s",
            LOCK_KEY, until > now ? "valid for another" : "expired for",
            llabs((long long)(until - now)),
            until > now ? "" : " but the application is still connected",
            *ret_sessions > 0 ? db_writers_text(arena, writers, *ret_sessions, NAMES_MAX) : "none",
            until > now ? "" : ". Stop them, or wait for them");
    }
    return rc;
}

static int lease_take(struct db_session *s, struct arena *arena, struct db_holder *self,
                      enum db_lease *ret, const char **ret_words, struct error *e)
{
    bool there = false;
    int rc = s->engine->table_exists(s, "db_lock", &there, e);
    if (rc == 0 && !there) {
        rc = db_exec(
            s, "CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint)",
            e);
    }
    int64_t now = act_now_ms() / 1000; /* by the client's clock, as morph itself */
    int64_t until = now + LEASE_SECONDS;
    const char *param = arena_printf(s->arena, "%lld", (long long)until);
    struct db_rows rows = {0};
    if (rc == 0) {
        rc = db_query(s, s->arena,
                      "INSERT INTO db_lock (id, expireat) VALUES ('" LOCK_KEY
                      "', $1) ON CONFLICT (id) DO NOTHING",
                      &param, 1, &rows, e);
    }
    bool ours = rc == 0 && rows.changed == 1;
    int64_t stands = 0;
    if (rc == 0 && !ours) {
        rc = lease_read(s, &stands, e);
    }
    if (rc == 0 && !ours && self->tool_lease != 0 && stands == self->tool_lease) {
        rc = lease_replace(s, stands, until, &ours, e); /* a dead holder of ours left it */
    } else if (rc == 0 && !ours) {
        size_t sessions = 0;
        rc = say_holder(s, arena, stands, now, ret_words, &sessions, e);
        if (rc == 0 && stands <= now && sessions == 0) {
            rc = lease_replace(s, stands, until, &ours, e);
        }
    }
    if (rc == 0) {
        *ret = ours ? DB_LEASE_OURS : DB_LEASE_OTHERS;
        self->tool_lease = ours ? until : self->tool_lease;
    }
    return rc;
}

static int lease_refresh(struct db_session *s, struct db_holder *self, enum db_lease *ret,
                         struct error *e)
{
    int64_t until = act_now_ms() / 1000 + LEASE_SECONDS;
    bool ours = false;
    int rc = lease_replace(s, self->tool_lease, until, &ours, e);
    if (rc == 0) {
        *ret = ours ? DB_LEASE_OURS : DB_LEASE_OTHERS;
        self->tool_lease = ours ? until : self->tool_lease;
    }
    return rc;
}

static int lease_release(struct db_session *s, struct db_holder *self, struct error *e)
{
    bool there = false;
    int rc = s->engine->table_exists(s, "db_lock", &there, e);
    if (rc < 0 || !there) {
        return rc;
    }
    const char *param = arena_printf(s->arena, "%lld", (long long)self->tool_lease);
    return db_query(s, s->arena, "DELETE FROM db_lock WHERE id = '" LOCK_KEY "' AND expireat = $1",
                    &param, 1, NULL, e);
}

/* A table of another meaning that only has the same name is backed up whole. */
static int lock_table(struct db_session *s, struct arena *arena, const char **ret, struct error *e)
{
    *ret = NULL;
    if (!has_lease(s)) {
        return 0;
    }
    return db_value(
        s, arena,
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('db_lock')"
        " AND (SELECT string_agg(attname::text, ',' ORDER BY attnum) FROM pg_attribute"
        "      WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) = 'id,expireat'",
        NULL, 0, ret, e);
}

const struct db_format db_format_morph = {
    .kind = FORMAT_MORPH,
    .name = "morph",
    .ledger_create = ledger_create,
    .ledger_read = ledger_read,
    .ledger_up = ledger_up,
    .ledger_down = ledger_down,
    .has_lease = has_lease,
    .lease_take = lease_take,
    .lease_refresh = lease_refresh,
    .lease_release = lease_release,
    .lease_refresh_ms = REFRESH_MS,
    .lock_table = lock_table,
};
