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

#define LEDGER   "db_migrations"
#define LOCK_KEY "mm-lock-key"
/* Mattermost's configuration, where it is kept in the database, is migrated under a lock of its own. */
#define CONFIG_LEDGER   "db_config_migrations"
#define CONFIG_LOCK_KEY "mm-config-lock-key"
#define LEASE_SECONDS   15
#define REFRESH_MS      7500
#define NAMES_MAX       3

extern const struct db_format db_format_morph;

/* ---- the ledger ---- */

static int ledger_create(struct db_session *s, struct error *e)
{
    struct db_table table = {0};
    bool there = false;
    int rc = db_ledger_table(s, LEDGER, &table, e);
    if (rc == 0) {
        rc = db_ledger_exists(s, &table, &there, e);
    }
    if (rc < 0 || there) {
        return rc;
    }
    const char *columns = "(version bigint not null primary key, name varchar not null)";
    if (s->engine->kind == DB_SQLITE) {
        columns = "(Version bigint not null primary key, Name varchar not null)";
    } else if (s->engine->kind == DB_MARIADB) {
        columns = "(Version bigint(20) NOT NULL, Name varchar(64) NOT NULL, PRIMARY KEY (Version))"
                  " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";
    }
    return db_exec(
        s, arena_printf(s->arena, "CREATE TABLE IF NOT EXISTS %s %s", table.quoted, columns), e);
}

static int ledger_read(struct db_session *s, struct arena *arena, struct db_ledger *ret,
                       struct error *e)
{
    struct db_table table = {0};
    int rc = db_ledger_table(s, LEDGER, &table, e);
    if (rc == 0) {
        rc = db_ledger_exists(s, &table, &ret->exists, e);
    }
    if (rc < 0 || !ret->exists) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(s, arena, arena_printf(s->arena, "SELECT name FROM %s", table.quoted), NULL, 0,
                  &rows, e);
    if (rc == 0) {
        ret->ids = (struct strings){.items = rows.cells, .count = rows.count};
    }
    return rc;
}

static int ledger_up(struct db_session *s, const struct migration_item *item, struct error *e)
{
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)item->version), item->id};
    struct db_table table = {0};
    int rc = db_ledger_table(s, LEDGER, &table, e);
    if (rc < 0) {
        return rc;
    }
    return db_query(
        s, s->arena,
        arena_printf(s->arena, "INSERT INTO %s (version, name) VALUES ($1, $2)", table.quoted),
        params, 2, NULL, e);
}

static int ledger_down(struct db_session *s, const struct migration_item *item, struct error *e)
{
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)item->version), item->id};
    struct db_table table = {0};
    struct db_rows rows = {0};
    int rc = db_ledger_table(s, LEDGER, &table, e);
    if (rc == 0) {
        rc = db_query(
            s, s->arena,
            arena_printf(s->arena, "DELETE FROM %s WHERE version = $1 AND name = $2", table.quoted),
            params, 2, &rows, e);
    }
    if (rc == 0 && rows.changed != 1) {
        return db_fail(s, e, E_CONFLICT,
                       "the ledger %s has no row (%s, %s): its name stands there with "
                       "another version. "
                       "Look at the row; morph would leave it",
                       table.quoted, params[0], item->id);
    }
    return rc;
}

/* ---- the lock ---- */

static bool has_lease(const struct db_session *s)
{
    return s->engine->kind != DB_SQLITE;
}

static const char *lock_key(const struct db_session *s)
{
    const char *ledger = s->ledger != NULL ? s->ledger : LEDGER;
    const char *dot = strchr(ledger, '.');
    return str_equal(dot != NULL ? dot + 1 : ledger, CONFIG_LEDGER) ? CONFIG_LOCK_KEY : LOCK_KEY;
}

static int lease_read(struct db_session *s, int64_t *ret, struct error *e)
{
    const char *text = NULL;
    const char *key = lock_key(s);
    int rc = db_value(s, s->arena, "SELECT expireat FROM db_lock WHERE id = $1", &key, 1, &text, e);
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
                            arena_printf(s->arena, "%lld", (long long)until), lock_key(s)};
    struct db_rows rows;
    int rc =
        db_query(s, s->arena, "UPDATE db_lock SET expireat = $2 WHERE id = $3 AND expireat = $1",
                 params, 3, &rows, e);
    if (rc == 0) {
        *ret = rows.changed == 1;
    }
    return rc;
}

static int say_holder(struct db_session *s, struct arena *arena, int64_t until, int64_t now,
                      const char **ret_words, size_t *ret_sessions, struct error *e)
{
    struct db_writer *writers = NULL;
    struct error unseen = {0};
    int rc = db_writers(s, arena, &writers, ret_sessions, &unseen);
    if (rc < 0 && until > now) {
        rc = 0; /* while it is valid the sessions only say who has it */
        *ret_sessions = 0;
    }
    if (rc < 0) {
        return error_set(e, rc, "%s", unseen.message);
    }
    if (rc == 0) {
        *ret_words = arena_printf(
            arena,
            "morph's own lock (table db_lock, %s), %s %lld s%s; sessions of the application: %s%s",
            lock_key(s), until > now ? "valid for another" : "expired for",
            llabs((long long)(until - now)),
            until > now ? "" : " but the application is still connected",
            *ret_sessions > 0 ? db_writers_text(arena, writers, *ret_sessions, NAMES_MAX) : "none",
            until > now ? "" : ". Stop them, or wait for them");
    }
    return rc;
}

static int lock_table_create(struct db_session *s, struct error *e)
{
    bool commits = !s->engine->schema_in_transactions;
    int rc = db_exec(
        s,
        commits
            ? "CREATE TABLE IF NOT EXISTS db_lock (Id varchar(64) NOT NULL, ExpireAt"
              " bigint(20) NOT NULL, PRIMARY KEY (Id)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
            : "CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint)",
        e);
    return rc == 0 && commits ? db_begin(s, e) : rc;
}

static int lease_take(struct db_session *s, struct arena *arena, struct db_holder *self,
                      enum db_lease *ret, const char **ret_words, struct error *e)
{
    bool there = false;
    int rc = s->engine->table_exists(s, "db_lock", &there, e);
    if (rc == 0 && !there) {
        rc = lock_table_create(s, e);
    }
    int64_t now = act_now_ms() / 1000; /* by the client's clock, as morph itself */
    int64_t until = now + LEASE_SECONDS;
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)until), lock_key(s)};
    struct db_rows rows = {0};
    if (rc == 0) {
        rc = db_query(s, s->arena,
                      s->engine->on_duplicate_key
                          ? "INSERT IGNORE INTO db_lock (id, expireat) VALUES ($2, $1)"
                          : "INSERT INTO db_lock (id, expireat) VALUES ($2, $1)"
                            " ON CONFLICT (id) DO NOTHING",
                      params, 2, &rows, e);
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
    const char *params[] = {arena_printf(s->arena, "%lld", (long long)self->tool_lease),
                            lock_key(s)};
    return db_query(s, s->arena, "DELETE FROM db_lock WHERE id = $2 AND expireat = $1", params, 2,
                    NULL, e);
}

static int lease_state(struct db_session *s, struct arena *arena, const struct db_holder *holder,
                       bool *ret_ours, struct db_lock_state *ret, struct error *e)
{
    bool there = false;
    int64_t until = 0;
    size_t sessions = 0;
    *ret = (struct db_lock_state){0};
    int rc = s->engine->table_exists(s, "db_lock", &there, e);
    if (rc == 0 && there) {
        rc = lease_read(s, &until, e);
    }
    if (rc == 0 && until != 0) {
        ret->held = true;
        *ret_ours = holder->run != NULL && holder->tool_lease == until;
        rc = say_holder(s, arena, until, act_now_ms() / 1000, &ret->words, &sessions, e);
    }
    return rc;
}

/* A table of another meaning that only has the same name is backed up whole. */
static int lock_table(struct db_session *s, struct arena *arena, const char **ret, struct error *e)
{
    *ret = NULL;
    if (!has_lease(s)) {
        return 0;
    }
    if (s->engine->kind == DB_MARIADB) {
        return db_value(
            s, arena,
            "SELECT MAX(TABLE_NAME) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA ="
            " DATABASE() AND TABLE_NAME = 'db_lock' HAVING LOWER(GROUP_CONCAT("
            "COLUMN_NAME ORDER BY ORDINAL_POSITION)) = 'id,expireat'",
            NULL, 0, ret, e);
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
    .lease_state = lease_state,
    .lock_table = lock_table,
};
