/* The tools' own lock rows: goose's table lock and morph's two, against a session that sends what the tool's source sends. */
#include "tests/unit/io/db/tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/io/db/format_keys.h"

static const char *lock_state(struct fixture *f, int format)
{
    struct db_session s = {0};
    struct db_lock_state state = {0};
    fixture_open(f, &s, "look");
    assert_ok(db_tool_lock_state(&s, &f->arena, format, &state, &f->error));
    db_close(&s);
    assert_int_equal(state.held, strcmp(state.words, "nobody") != 0);
    return state.words;
}

static void kill_holder(struct fixture *f)
{
    assert_int_equal(kill((pid_t)tool_holder(f).pid, SIGKILL), 0);
    for (int i = 0; i < 500 && hold_alive(&f->arena, tool_holder_dir(f)); i++) {
        usleep(10000);
    }
    assert_false(tool_holder(f).alive);
}

/* ---- goose: lock/internal/store/postgres.go ---- */

#define LOCKED_BY "node-a-77-0a1b2c3d"

/* CreateLockTable() */
#define GOOSE_TABLE                                                                                \
    "CREATE TABLE goose_lock (\n\t\tlock_id bigint NOT NULL PRIMARY KEY,\n\t\tlocked boolean NOT " \
    "NULL DEFAULT false,\n\t\tlocked_at timestamptz NULL,\n\t\tlocked_by text NULL,\n\t\t"         \
    "lease_expires_at timestamptz NULL,\n\t\tupdated_at timestamptz NULL\n\t)"

/* AcquireLock(): who has it now when it is had, else no row */
static bool goose_acquires(struct fixture *f, PGconn *tool)
{
    return strcmp(
               tool_value(f, tool,
                          "INSERT INTO goose_lock (lock_id, locked, locked_at, locked_by, "
                          "lease_expires_at, updated_at)"
                          " VALUES (4097083626, true, now(), '" LOCKED_BY
                          "', now() + '30 seconds'::interval, now())"
                          " ON CONFLICT (lock_id) DO UPDATE SET locked = true, locked_at = now(),"
                          " locked_by = '" LOCKED_BY "', lease_expires_at = now() + '30 "
                          "seconds'::interval, updated_at = now()"
                          " WHERE goose_lock.locked = false OR goose_lock.lease_expires_at < now()"
                          " RETURNING locked_by"),
               LOCKED_BY) == 0;
}

/* CleanupStaleLocks(), which it does after each try that failed; ReleaseLock() */
#define GOOSE_CLEANUP                                                                              \
    "UPDATE goose_lock SET locked = false, locked_at = NULL, locked_by = NULL,"                    \
    " lease_expires_at = NULL, updated_at = now() WHERE locked = true AND"                         \
    " lease_expires_at < now() RETURNING lock_id"
#define GOOSE_RELEASE                                                                              \
    "UPDATE goose_lock SET locked = false, locked_at = NULL, locked_by = NULL,"                    \
    " lease_expires_at = NULL, updated_at = now() WHERE lock_id = 4097083626 AND locked_by = "     \
    "'" LOCKED_BY "' RETURNING lock_id"
#define AT_REST                                                                                    \
    "SELECT concat_ws(' ', lock_id, locked, locked_at IS NULL, locked_by IS NULL,"                 \
    " lease_expires_at IS NULL, updated_at IS NOT NULL) FROM goose_lock"

static void gooses_table_lock_waits_for_us_and_we_for_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *tool = tool_open(f, "hatchet");
    tool_exec(tool, GOOSE_TABLE);
    assert_string_equal(lock_state(f, FORMAT_GOOSE), "nobody");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    assert_false(goose_acquires(f, tool));
    assert_string_equal(tool_value(f, tool, GOOSE_CLEANUP), "");
    assert_string_equal(fixture_value(f, "SELECT lease_expires_at > now() + interval '20 seconds'"
                                         " AND lease_expires_at < now() + interval '31 seconds'"
                                         " FROM goose_lock"),
                        "t");
    assert_has(lock_state(f, FORMAT_GOOSE), "run run-1 on ");
    assert_has(lock_state(f, FORMAT_GOOSE), "goose_lock) of lockstep run-1 on ");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOOSE));
    assert_string_equal(fixture_value(f, AT_REST), "4097083626 f t t t t");

    assert_true(goose_acquires(f, tool));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_GOOSE, 300), E_TIMEOUT);
    assert_has(f->error.message, "goose's own lock (table goose_lock) of " LOCKED_BY ", taken ");
    assert_has(f->error.message, "valid for another ");
    assert_has(lock_state(f, FORMAT_GOOSE), "goose_lock) of " LOCKED_BY);
    assert_string_equal(tool_value(f, tool, GOOSE_RELEASE), "4097083626");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    PQfinish(tool);
    fixture_end(f);
}

static void gooses_expired_lease_counts_only_without_sessions(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *tool = tool_open(f, "hatchet");
    tool_exec(tool, GOOSE_TABLE);
    assert_true(goose_acquires(f, tool));
    tool_exec(tool, "UPDATE goose_lock SET lease_expires_at = now() - interval '90 seconds'");
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_GOOSE, 400), E_TIMEOUT);
    assert_has(f->error.message, "expired for 9");
    assert_has(f->error.message, "the application is still connected");
    assert_has(f->error.message, "(hatchet, ");
    PQfinish(tool);
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    fixture_end(f);
}

static void what_a_dead_holder_leased_is_ours_at_once(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *tool = tool_open(f, "hatchet");
    tool_exec(tool, GOOSE_TABLE);
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    kill_holder(f);
    assert_false(goose_acquires(f, tool));
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_GOOSE, 2000));
    assert_has(fixture_value(f, "SELECT locked_by FROM goose_lock"), "lockstep run-2 on ");
    assert_ok(fixture_unlock(f, &other, FORMAT_GOOSE));
    assert_string_equal(fixture_value(f, AT_REST), "4097083626 f t t t t");
    /* And an unlock after the death takes it back as well. */
    assert_ok(fixture_lock(f, &other, FORMAT_GOOSE, 2000));
    f->act = other;
    kill_holder(f);
    assert_ok(fixture_unlock(f, &other, FORMAT_GOOSE));
    assert_string_equal(fixture_value(f, AT_REST), "4097083626 f t t t t");
    PQfinish(tool);
    fixture_end(f);
}

static void gooses_lease_is_refreshed_and_never_made(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    assert_string_equal(fixture_value(f, "SELECT to_regclass('goose_lock') IS NULL"), "t");
    /* The table comes while we hold: with the next refresh the lease is ours, and then it is renewed. */
    PGconn *tool = tool_open(f, "hatchet");
    tool_exec(tool, GOOSE_TABLE);
    tool_wait(f, "SELECT count(*) FROM goose_lock WHERE locked_by LIKE 'lockstep run-1 on %'", "1");
    assert_false(goose_acquires(f, tool));
    tool_wait(f, "SELECT count(*) FROM goose_lock WHERE updated_at > locked_at", "1");
    assert_string_equal(
        fixture_value(f, "SELECT tool_lease = extract(epoch FROM lease_expires_at)::bigint"
                         " FROM lockstep.holder, goose_lock"),
        "t");
    /* Somebody takes it from us: we say so, and wait. */
    tool_exec(tool, "UPDATE goose_lock SET locked_by = '" LOCKED_BY "'");
    for (int i = 0; i < 1000 && tool_holder(f).state != HOLD_LOST; i++) {
        usleep(10000);
    }
    assert_int_equal(tool_holder(f).state, HOLD_LOST);
    PQfinish(tool);
    fixture_end(f);
}

static void a_table_of_another_meaning_is_left_alone(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE goose_lock (gate text); INSERT INTO goose_lock VALUES ('shut')");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOOSE, 3000));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_GOOSE));
    struct db_session s = {0};
    const char *table = "";
    fixture_open(f, &s, "look");
    const struct db_format *goose = db_format_get(FORMAT_GOOSE);
    assert_ok(goose->lock_table(&s, &f->arena, &table, &f->error));
    assert_null(table);
    assert_ok(db_exec(&s, "DROP TABLE goose_lock; " GOOSE_TABLE, &f->error));
    assert_ok(goose->lock_table(&s, &f->arena, &table, &f->error));
    assert_string_equal(table, "public.goose_lock");
    db_close(&s);
    fixture_end(f);
}

/* ---- golang-migrate: database/pgx/pgx.go, x-lock-strategy=table ---- */

/* applyTableLock(): looks for a row, and inserts one; `in_url`: the database's name has the slash of the URL */
static bool golang_locks(struct fixture *f, PGconn *tool, bool in_url)
{
    const char *name = strrchr(f->database.url, '/') + (in_url ? 0 : 1);
    const char *id = arena_printf(&f->arena, "%u", key_golang_migrate_row(name));
    const char *look =
        arena_printf(&f->arena, "SELECT * FROM \"schema_lock\" WHERE lock_id = %s", id);
    if (strcmp(tool_value(f, tool, look), "") != 0) {
        return false;
    }
    tool_exec(tool,
              arena_printf(&f->arena, "INSERT INTO \"schema_lock\" (lock_id) VALUES (%s)", id));
    return true;
}

static void golang_migrates_table_lock_waits_for_us_and_we_for_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *tool = tool_open(f, "migrate");
    tool_exec(tool, "CREATE TABLE \"schema_lock\" (lock_id bigint not null primary key)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_GOLANG_MIGRATE, 3000));
    assert_false(golang_locks(f, tool, false));
    assert_false(golang_locks(f, tool, true));
    assert_has(lock_state(f, FORMAT_GOLANG_MIGRATE), "run run-1 on ");
    /* What a dead holder put there is known as ours. */
    kill_holder(f);
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_GOLANG_MIGRATE, 2000));
    assert_ok(fixture_unlock(f, &other, FORMAT_GOLANG_MIGRATE));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM schema_lock"), "0");
    for (int in_url = 0; in_url < 2; in_url++) {
        assert_true(golang_locks(f, tool, in_url == 1));
        assert_int_equal(fixture_lock(f, &other, FORMAT_GOLANG_MIGRATE, 300), E_TIMEOUT);
        assert_has(f->error.message, "golang-migrate's own lock (a row in public.schema_lock");
        assert_has(lock_state(f, FORMAT_GOLANG_MIGRATE), "DELETE FROM public.schema_lock");
        tool_exec(tool, "DELETE FROM schema_lock");
    }
    assert_ok(fixture_lock(f, &other, FORMAT_GOLANG_MIGRATE, 2000));
    f->act = other;
    PQfinish(tool);
    fixture_end(f);
}

/* ---- morph: drivers/postgres/lock.go ---- */

/* NewMutex(), then tryLock(): insert, or, where the row is there, take over what has expired */
static bool morph_acquires(struct fixture *f, PGconn *tool, const char *key)
{
    tool_exec(tool,
              "SET client_min_messages = error;"
              "CREATE TABLE IF NOT EXISTS db_lock (id varchar(64) PRIMARY KEY, expireat bigint);");
    long long now = (long long)time(NULL);
    PGresult *result = PQexec(
        tool, arena_printf(&f->arena, "INSERT INTO db_lock (id, expireat) VALUES ('%s', %lld)", key,
                           now + 15));
    bool inserted = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (inserted) {
        return true;
    }
    const char *sql = arena_printf(&f->arena, "SELECT expireat FROM db_lock WHERE id = '%s'", key);
    if (now < strtoll(tool_value(f, tool, sql), NULL, 10)) {
        return false;
    }
    tool_exec(tool, arena_printf(&f->arena, "UPDATE db_lock SET expireat = %lld WHERE id = '%s'",
                                 now + 15, key));
    return true;
}

static void morph_with(const char *ledger, const char *key, const char *other_key)
{
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    f->database.ledger = ledger;
    PGconn *tool = tool_open(f, "mattermost");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_false(morph_acquires(f, tool, key));
    assert_true(morph_acquires(f, tool, other_key)); /* the other pair is nobody's */
    assert_has(lock_state(f, FORMAT_MORPH), "run run-1 on ");
    assert_has(lock_state(f, FORMAT_MORPH),
               arena_printf(&f->arena, "(table db_lock, %s), valid for another 1", key));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    assert_string_equal(lock_state(f, FORMAT_MORPH), "nobody");
    assert_true(morph_acquires(f, tool, key));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_MORPH, 300), E_TIMEOUT);
    assert_has(f->error.message, key);
    assert_has(f->error.message, "(mattermost, ");
    const char *words = lock_state(f, FORMAT_MORPH);
    assert_null(strstr(words, "run run-1"));
    assert_has(words, "(mattermost, ");
    tool_exec(tool, arena_printf(&f->arena, "DELETE FROM db_lock WHERE id = '%s'", key));
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    PQfinish(tool);
    fixture_end(f);
}

static void morph_and_we_wait_for_each_other(void **state)
{
    (void)state;
    morph_with(NULL, "mm-lock-key", "mm-config-lock-key");
}

static void the_configurations_migrations_have_a_lock_of_their_own(void **state)
{
    (void)state;
    morph_with("db_config_migrations", "mm-config-lock-key", "mm-lock-key");
    morph_with("public.db_config_migrations", "mm-config-lock-key", "mm-lock-key");
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gooses_table_lock_waits_for_us_and_we_for_it),
        cmocka_unit_test(gooses_expired_lease_counts_only_without_sessions),
        cmocka_unit_test(what_a_dead_holder_leased_is_ours_at_once),
        cmocka_unit_test(gooses_lease_is_refreshed_and_never_made),
        cmocka_unit_test(a_table_of_another_meaning_is_left_alone),
        cmocka_unit_test(golang_migrates_table_lock_waits_for_us_and_we_for_it),
        cmocka_unit_test(morph_and_we_wait_for_each_other),
        cmocka_unit_test(the_configurations_migrations_have_a_lock_of_their_own),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
