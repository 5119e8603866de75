/*
 * Owns, for PostgreSQL: the text of Lockstep's own schema, the advisory lock and who has it, and the proof that no
 * earlier session of a step is still at work. It never waits inside the server for a lock: a session that waits
 * there and another one's CREATE INDEX CONCURRENTLY wait for each other for ever.
 */
#include "lib/io/db/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/process.h"

#define WORKER_CLASS   "1282368363" /* "Lock": two-number keys of ours; the second one is a hash */
#define CREATOR_KEY    WORKER_CLASS ", 0"
#define POLL_MS        50
#define KEY_BYTES_MAX  64
#define SESSION_OURS   "(application_name = 'lockstep' OR application_name LIKE 'lockstep %')"
#define TIME_TEXT(col) "to_char(" col " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define NOW_TEXT       TIME_TEXT("clock_timestamp()")
#define FENCED_TABLE(name)                                                                         \
    "CREATE TRIGGER fenced BEFORE INSERT OR UPDATE ON lockstep." name                              \
    " FOR EACH ROW EXECUTE FUNCTION lockstep.refuse_old_fence();"

const char postgres_evidence_ddl[] =
    "CREATE SCHEMA IF NOT EXISTS lockstep;"
    "COMMENT ON SCHEMA lockstep IS 'What Lockstep has done here, and the fence that keeps it once. "
    "Not part of "
    "the application; leave it out of dumps and restores.';"
    "CREATE TABLE lockstep.layout (version integer NOT NULL);"
    "CREATE TABLE lockstep.fence (one boolean PRIMARY KEY DEFAULT true CHECK (one), value bigint "
    "NOT NULL);"
    "INSERT INTO lockstep.fence VALUES (true, 0);"
    "CREATE TABLE lockstep.evidence (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " run text NOT NULL, step text NOT NULL, ledger text NOT NULL DEFAULT '', item text NOT NULL,"
    " down integer NOT NULL, digest text NOT NULL, how text NOT NULL, fence bigint NOT NULL,"
    " at text NOT NULL DEFAULT " NOW_TEXT ", UNIQUE (run, step, item, down));"
    "CREATE TABLE lockstep.intent (ledger text NOT NULL, item text NOT NULL, down integer NOT NULL,"
    " run text NOT NULL, step text NOT NULL, digest text NOT NULL, file text NOT NULL,"
    " line integer NOT NULL, statement text NOT NULL, done integer NOT NULL, state text NOT NULL,"
    " fence bigint NOT NULL, backend_pid bigint NOT NULL, asked_run text NOT NULL DEFAULT '',"
    " asked_step text NOT NULL DEFAULT '', asked_attempt bigint NOT NULL DEFAULT 0,"
    " at text NOT NULL DEFAULT " NOW_TEXT ", UNIQUE (ledger, item, down));"
    "CREATE TABLE lockstep.checkpoint (run text NOT NULL, step text NOT NULL, release text NOT "
    "NULL,"
    " schema bigint NOT NULL, applied bigint NOT NULL, digest text NOT NULL, fence bigint NOT NULL,"
    " fingerprint text NOT NULL DEFAULT '', number bigint NOT NULL DEFAULT 0,"
    " evidence bigint NOT NULL DEFAULT 0,"
    " at text NOT NULL DEFAULT " NOW_TEXT ", UNIQUE (run, step));"
    "CREATE TABLE lockstep.fingerprint (digest text PRIMARY KEY, objects text NOT NULL, run text "
    "NOT NULL,"
    " fence bigint NOT NULL, at text NOT NULL DEFAULT " NOW_TEXT ");"
    "CREATE TABLE lockstep.holder (one integer PRIMARY KEY CHECK (one = 1), run text NOT NULL,"
    " host text NOT NULL, machine text NOT NULL, boot_id text NOT NULL, pid_space text NOT NULL,"
    " pid bigint NOT NULL, start_time bigint NOT NULL, fence bigint NOT NULL, backend_pid bigint "
    "NOT NULL,"
    " tool_lease bigint NOT NULL DEFAULT 0, since text NOT NULL DEFAULT " NOW_TEXT ");"
    "CREATE FUNCTION lockstep.refuse_lower_fence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF TG_OP = 'UPDATE' AND NEW.value >= OLD.value THEN RETURN NEW; END IF;"
    " RAISE EXCEPTION 'lockstep: the fence only grows' USING ERRCODE = '" DB_FENCE_SQLSTATE
    "'; END $$;"
    "CREATE TRIGGER grows BEFORE UPDATE OR DELETE ON lockstep.fence"
    " FOR EACH ROW EXECUTE FUNCTION lockstep.refuse_lower_fence();"
    "CREATE TRIGGER stays BEFORE TRUNCATE ON lockstep.fence"
    " FOR EACH STATEMENT EXECUTE FUNCTION lockstep.refuse_lower_fence();"
    /* FOR SHARE: a raise waits for a commit that is under way, and a commit sees a raise that came first. */
    "CREATE FUNCTION lockstep.refuse_old_fence() RETURNS trigger LANGUAGE plpgsql AS $$"
    " DECLARE live bigint; BEGIN SELECT value INTO live FROM lockstep.fence FOR SHARE;"
    " IF live IS NULL OR NEW.fence < live THEN"
    " RAISE EXCEPTION '" DB_FENCE_WORDS
    ": % writes with %, the database has seen %', NEW.run, NEW.fence, live"
    " USING ERRCODE = '" DB_FENCE_SQLSTATE "'; END IF; RETURN NEW; END $$;" FENCED_TABLE("evidence")
        FENCED_TABLE("intent") FENCED_TABLE("checkpoint") FENCED_TABLE("fingerprint")
            FENCED_TABLE("holder");

int postgres_creator_lock(struct db_session *s, struct error *e)
{
    const char *got = NULL;
    int rc = db_value(s, s->arena, "SELECT pg_try_advisory_xact_lock(" CREATOR_KEY ")", NULL, 0,
                      &got, e);
    if (rc < 0) {
        return rc;
    }
    return str_equal(got, "t") ? 0 : DB_E_BUSY;
}

int postgres_limit_wait(struct db_session *s, int64_t ms, struct error *e)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "SET LOCAL lock_timeout = %lld",
             (long long)MIN(MAX(ms, 1), 3600000));
    return db_exec(s, sql, e);
}

int postgres_limit_statements(struct db_session *s, int64_t ms, struct error *e)
{
    return db_exec(s,
                   arena_printf(s->arena, "SET statement_timeout = %lld",
                                (long long)MIN(MAX(ms, 1), INT32_MAX)),
                   e);
}

static int blockers(struct db_session *s, struct arena *arena, int64_t pid, const char **ret,
                    struct error *e)
{
    static const char sql[] =
        "SELECT string_agg(words, '; ') FROM (SELECT coalesce(nullif(application_name, ''), 'no "
        "application_name') || ' (' || coalesce(usename::text, '?') || '@' ||"
        " coalesce(host(client_addr), 'local') || ', server process ' || pid || ', ' ||"
        " coalesce(state, 'state hidden') || ', its transaction is ' ||"
        " coalesce(extract(epoch FROM clock_timestamp() - xact_start)::bigint::text, '?') ||"
        " ' s old)' AS words FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1::int))"
        " ORDER BY xact_start LIMIT 3) blockers";
    const char *text = arena_printf(arena, "%lld", (long long)pid);
    return db_value(s, arena, sql, &text, 1, ret, e);
}

const struct db_lock_limit postgres_lock_limit = {
    .read = "SELECT current_setting('lock_timeout')",
    .set = "SET lock_timeout = ",
    .give_back = "SELECT set_config('lock_timeout', $1, false)",
    .set_local = "SET LOCAL lock_timeout = ",
    .unit_ms = 1,
    .least = 1,
    .blockers = blockers,
};

/* ---- the lock ---- */

int postgres_try_lock(struct db_session *s, const struct db_holder *self UNUSED, bool *ret,
                      struct error *e)
{
    const char *got = NULL;
    int rc = db_value(s, s->arena, "SELECT pg_try_advisory_lock(" POSTGRES_LOCK_KEY ")", NULL, 0,
                      &got, e);
    if (rc == 0) {
        *ret = str_equal(got, "t");
    }
    return rc;
}

int postgres_keep_lock(struct db_session *s, const struct db_holder *self UNUSED, bool *ret,
                       struct error *e)
{
    struct db_lock_state state;
    int rc = postgres_advisory_state(s, s->arena, POSTGRES_LOCK_KEY, &state, e);
    if (rc == 0) {
        *ret = state.held && state.pid == s->backend_pid;
    }
    return rc;
}

int postgres_unlock(struct db_session *s, const struct db_holder *self UNUSED, struct error *e)
{
    const char *released = NULL;
    int rc = db_value(s, s->arena, "SELECT pg_advisory_unlock(" POSTGRES_LOCK_KEY ")", NULL, 0,
                      &released, e);
    if (rc == 0 && !str_equal(released, "t")) {
        return db_fail(s, e, E_CONFLICT, "the lock was not ours any more when it was released");
    }
    return rc;
}

/* "123" or "1,2". */
struct key {
    long long first, second;
    bool two;
};

static int read_key(struct db_session *s, const char *key, struct key *ret, struct error *e)
{
    char *end = NULL;
    *ret = (struct key){.first = strtoll(key, &end, 10)};
    bool good = end != key && (*end == '\0' || *end == ',');
    ret->two = good && *end == ',';
    if (ret->two) {
        const char *rest = end + 1;
        ret->second = strtoll(rest, &end, 10);
        good = end != rest && *end == '\0';
    }
    return good ? 0
                : db_fail(s, e, E_INVALID, "\"%.64s\" is no advisory lock: write 123, or 1,2", key);
}

/* The halves of a key as pg_locks shows them: unsigned, and which of the two forms it is. */
static int split_key(struct db_session *s, const char *text, const char **params, struct error *e)
{
    struct key key;
    int rc = read_key(s, text, &key, e);
    if (rc < 0) {
        return rc;
    }
    uint32_t high = key.two ? (uint32_t)key.first : (uint32_t)((unsigned long long)key.first >> 32);
    uint32_t low = key.two ? (uint32_t)key.second : (uint32_t)key.first;
    params[0] = arena_printf(s->arena, "%u", high);
    params[1] = arena_printf(s->arena, "%u", low);
    params[2] = key.two ? "2" : "1";
    return 0;
}

/* `function`(key) in the form that the key has. */
static int call_with_key(struct db_session *s, const char *function, const char *text, bool *ret,
                         struct error *e)
{
    struct key key;
    int rc = read_key(s, text, &key, e);
    if (rc < 0) {
        return rc;
    }
    const char *sql =
        key.two ? arena_printf(s->arena, "SELECT %s((%lld)::int, (%lld)::int)", function, key.first,
                               key.second)
                : arena_printf(s->arena, "SELECT %s((%lld)::bigint)", function, key.first);
    const char *answer = NULL;
    rc = db_value(s, s->arena, sql, NULL, 0, &answer, e);
    if (rc == 0) {
        *ret = str_equal(answer, "t");
    }
    return rc;
}

int postgres_advisory_try(struct db_session *s, const char *key, bool *ret, struct error *e)
{
    return call_with_key(s, "pg_try_advisory_lock", key, ret, e);
}

int postgres_advisory_release(struct db_session *s, const char *key, struct error *e)
{
    bool released = false;
    int rc = call_with_key(s, "pg_advisory_unlock", key, &released, e);
    if (rc == 0 && !released) {
        return db_fail(s, e, E_CONFLICT,
                       "the tool's lock %.64s was not ours any more when it was released", key);
    }
    return rc;
}

int postgres_advisory_state(struct db_session *s, struct arena *arena, const char *key,
                            struct db_lock_state *ret, struct error *e)
{
    const char *params[3];
    int rc = split_key(s, key, params, e);
    if (rc < 0) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(
        s, arena,
        "SELECT l.pid, coalesce(a.application_name, ''), coalesce(a.usename::text, '?'),"
        " coalesce(host(a.client_addr), 'local'), coalesce(" TIME_TEXT(
            "a.backend_start") ", '?'),"
                               " coalesce(a.state, '?')"
                               " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
                               " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = "
                               "$1::oid AND l.objid = $2::oid"
                               " AND l.objsubid = $3::smallint"
                               " AND l.database = (SELECT oid FROM pg_database WHERE datname = "
                               "current_database())"
                               " ORDER BY l.pid LIMIT 1",
        params, 3, &rows, e);
    if (rc < 0) {
        return rc;
    }
    *ret = (struct db_lock_state){.held = rows.count > 0, .words = "nobody"};
    if (ret->held) {
        ret->pid = strtoll(db_cell(&rows, 0, 0), NULL, 10);
        ret->words = arena_printf(
            arena, "server process %s (%s, user %s from %s, since %s, %s)", db_cell(&rows, 0, 0),
            str_empty(db_cell(&rows, 0, 1)) ? "no application_name" : db_cell(&rows, 0, 1),
            db_cell(&rows, 0, 2), db_cell(&rows, 0, 3), db_cell(&rows, 0, 4), db_cell(&rows, 0, 5));
    }
    return 0;
}

int postgres_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                        struct error *e)
{
    struct db_lock_state state;
    int rc = postgres_advisory_state(s, arena, POSTGRES_LOCK_KEY, &state, e);
    struct db_holder row = {0};
    if (rc == 0 && state.held) {
        rc = db_holder_read(s, arena, &row, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (row.run != NULL && row.backend_pid == state.pid) {
        state.words = arena_printf(arena, "run %s on %s, pid %lld, since %s; %s", row.run, row.host,
                                   (long long)row.pid, row.since, state.words);
    }
    *ret = state;
    return 0;
}

/* ---- sessions ---- */

/* FNV-1a: which number it is does not matter, only that a step always has the same one. */
static int32_t work_hash(const char *run, const char *step)
{
    uint32_t hash = 2166136261u;
    const char *const words[] = {run, "/", step};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        for (const char *p = words[i]; *p != '\0'; p++) {
            hash = (hash ^ (unsigned char)*p) * 16777619u;
        }
    }
    hash = hash == 0 ? 1 : hash; /* 0 is the creators' */
    return (int32_t)hash;
}

static int end_worker(struct db_session *s, const char *hash, struct db_lock_state *ret,
                      struct error *e)
{
    const char *key = arena_printf(s->arena, WORKER_CLASS ",%s", hash);
    int rc = postgres_advisory_state(s, s->arena, key, ret, e);
    if (rc < 0 || !ret->held) {
        return rc;
    }
    const char *pid = arena_printf(s->arena, "%lld", (long long)ret->pid);
    return db_query(s, s->arena,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int "
                    "AND " SESSION_OURS,
                    &pid, 1, NULL, e);
}

int postgres_sole_worker(struct db_session *s, const char *run, const char *step,
                         int64_t deadline_ms, struct error *e)
{
    const char *hash = arena_printf(s->arena, "%d", work_hash(run, step));
    for (;;) {
        const char *got = NULL;
        int rc = db_value(s, s->arena, "SELECT pg_try_advisory_lock(" WORKER_CLASS ", $1::int)",
                          &hash, 1, &got, e);
        if (rc < 0 || str_equal(got, "t")) {
            return rc;
        }
        struct db_lock_state state;
        rc = end_worker(s, hash, &state, e);
        if (rc < 0) {
            return rc;
        }
        if (act_now_ms() >= deadline_ms) {
            return db_fail(
                s, e, E_TIMEOUT,
                "an earlier attempt of step %s is still at work on the server: %s. End it there "
                "(pg_terminate_backend), then retry",
                step, state.words);
        }
        process_sleep_ms(POLL_MS);
    }
}

int postgres_worker_lives(struct db_session *s, const char *run, const char *step, bool *ret,
                          struct error *e)
{
    struct db_lock_state state = {0};
    int rc = postgres_advisory_state(
        s, s->arena, arena_printf(s->arena, WORKER_CLASS ",%d", work_hash(run, step)), &state, e);
    if (rc == 0) {
        *ret = state.held;
    }
    return rc;
}

int postgres_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                     size_t *ret_count, struct error *e)
{
    /* Another role's session may hide what it is (backend_type is NULL then): it counts. */
    struct db_rows rows;
    int rc =
        db_query(s, arena,
                 "SELECT pid, coalesce(usename::text, '?'), coalesce(host(client_addr), 'local'),"
                 " application_name, coalesce(state, ''), coalesce(" TIME_TEXT(
                     "backend_start") ", '?')"
                                      " FROM pg_stat_activity WHERE datname = current_database() "
                                      "AND pid <> pg_backend_pid()"
                                      " AND usesysid IS NOT NULL AND coalesce(backend_type, "
                                      "'client backend') = 'client backend'"
                                      " AND NOT " SESSION_OURS " ORDER BY pid",
                 NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    struct db_writer *writers = arena_array(arena, MAX(rows.count, 1), sizeof(*writers));
    for (size_t i = 0; i < rows.count; i++) {
        writers[i] = (struct db_writer){.pid = strtoll(db_cell(&rows, i, 0), NULL, 10),
                                        .user = db_cell(&rows, i, 1),
                                        .host = db_cell(&rows, i, 2),
                                        .application = db_cell(&rows, i, 3),
                                        .state = db_cell(&rows, i, 4),
                                        .since = db_cell(&rows, i, 5)};
    }
    *ret = writers;
    *ret_count = rows.count;
    return 0;
}

int postgres_terminate(struct db_session *s, int64_t pid, struct error *e)
{
    const char *text = arena_printf(s->arena, "%lld", (long long)pid);
    int rc = db_query(
        s, s->arena,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int "
        "AND datname = current_database() AND pid <> pg_backend_pid() AND NOT " SESSION_OURS,
        &text, 1, NULL, e);
    if (rc < 0 && str_equal(s->fault.sqlstate, "42501")) {
        error_wrap(e,
                   "server process %s cannot be ended: GRANT pg_signal_backend to the role, or "
                   "end it by hand",
                   text);
    }
    return rc;
}
