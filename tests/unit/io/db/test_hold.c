/* The lock: who has it, who waits, and what proves that a holder is dead. */
#include "tests/unit/io/db/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/io/platform/process.h"

#define HELD_SQL                                                                                   \
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"       \
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

/* By its name, as anybody can ask. A test's database has capitals in its name: the lock's is a digest. */
#define HELD_MARIADB                                                                               \
    "SELECT COALESCE(IS_USED_LOCK(CONCAT('lockstep:database:', IF(BINARY DATABASE() ="             \
    " LOWER(DATABASE()), DATABASE(), LEFT(SHA2(CONCAT('lockstep:database:', DATABASE()), 256),"    \
    " 40)))), 'nobody')"

static struct hold_status status_of(struct fixture *f, struct act *act)
{
    struct hold_status status;
    assert_ok(hold_status_read(&f->arena, hold_dir(&f->arena, act->state_dir, &f->database),
                               &status, &f->error));
    return status;
}

static void kill_holder(struct fixture *f, struct act *act)
{
    struct hold_status status = status_of(f, act);
    assert_true(status.alive && status.pid > 1);
    assert_int_equal(kill((pid_t)status.pid, SIGKILL), 0);
    for (int i = 0;
         i < 200 && hold_alive(&f->arena, hold_dir(&f->arena, act->state_dir, &f->database)); i++) {
        usleep(10000);
    }
    assert_false(status_of(f, act).alive);
}

static void wait_state(struct fixture *f, struct act *act, enum hold_state state)
{
    for (int i = 0; i < 500 && status_of(f, act).state != state; i++) {
        usleep(20000);
    }
    assert_int_equal(status_of(f, act).state, state);
}

static void locks_twice_and_unlocks(struct fixture *f)
{
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    struct hold_status first = status_of(f, &f->act);
    assert_int_equal(first.state, HOLD_HELD);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_int_equal(status_of(f, &f->act).pid, first.pid);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    assert_false(status_of(f, &f->act).alive);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_MORPH, 1000));
    assert_ok(fixture_unlock(f, &other, FORMAT_MORPH));
}

static void a_lock_is_taken_once_and_given_back(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    locks_twice_and_unlocks(f);
    assert_string_equal(fixture_value(f, HELD_SQL), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.holder"), "0");
    fixture_end(f);
    fixture_sqlite(f);
    locks_twice_and_unlocks(f);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep_holder"), "0");
    fixture_end(f);
    fixture_mariadb(f);
    locks_twice_and_unlocks(f);
    assert_string_equal(fixture_value(f, HELD_MARIADB), "nobody");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep_holder"), "0");
    fixture_end(f);
}

static void second_waits_and_names_the_first(struct fixture *f)
{
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    int64_t before = process_clock_ms();
    assert_int_equal(fixture_lock(f, &other, FORMAT_NONE, 700), E_TIMEOUT);
    assert_true(process_clock_ms() - before >= 700);
    assert_has(f->error.message, "run run-1 on ");
    assert_has(f->error.message,
               arena_printf(&f->arena, "pid %lld", (long long)status_of(f, &f->act).pid));
    assert_has(f->error.message, "since 20");
    assert_false(status_of(f, &other).alive);
    /* The first one is not disturbed; when it goes the second gets it. */
    assert_ok(fixture_unlock(f, &f->act, FORMAT_NONE));
    assert_ok(fixture_lock(f, &other, FORMAT_NONE, 2000));
    assert_ok(fixture_unlock(f, &other, FORMAT_NONE));
}

static void a_second_holder_waits_and_names_the_first(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    second_waits_and_names_the_first(f);
    fixture_end(f);
    fixture_sqlite(f);
    second_waits_and_names_the_first(f);
    fixture_end(f);
    fixture_mariadb(f);
    second_waits_and_names_the_first(f);
    fixture_end(f);
}

static bool at_once(struct act *act)
{
    (void)act;
    return true;
}

/* Asked to stop while it waits: nobody is left that would take the lock later. */
static void a_wait_for_the_lock_ends_when_asked(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    struct act other = fixture_act(f, "run-2", 7, "elsewhere");
    other.stopped = at_once;
    assert_int_equal(fixture_lock(f, &other, FORMAT_NONE, 3000), E_CANCELLED);
    assert_has(f->error.message, "stopped while it waited for the lock");
    struct hold_status status = {0};
    assert_ok(hold_status_read(&f->arena, hold_dir(&f->arena, other.state_dir, &f->database),
                               &status, &f->error));
    assert_false(status.alive);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_NONE));
    fixture_end(f);
}

static void postgres_names_backend_and_application(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_int_equal(fixture_lock(f, &other, FORMAT_NONE, 200), E_TIMEOUT);
    long long backend = (long long)status_of(f, &f->act).backend_pid;
    assert_has(f->error.message,
               arena_printf(&f->arena, "server process %lld (lockstep run-1", backend));
    assert_has(f->error.message, "from 127.0.0.1");
    fixture_end(f);
}

static void a_killed_holders_lock_is_free_at_once(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    kill_holder(f, &f->act);
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_MORPH,
                           1500)); /* morph's lease of 15 s was ours: its row says so */
    assert_ok(fixture_unlock(f, &other, FORMAT_MORPH));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    fixture_end(f);
    fixture_sqlite(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    kill_holder(f, &f->act);
    other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_MORPH, 1500));
    fixture_end(f);
    fixture_mariadb(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    assert_string_not_equal(fixture_value(f, HELD_MARIADB), "nobody");
    kill_holder(f, &f->act);
    other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_MORPH, 1500));
    assert_ok(fixture_unlock(f, &other, FORMAT_MORPH));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    fixture_end(f);
}

static void unlock_after_a_killed_holder_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    kill_holder(f, &f->act);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "1");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM db_lock"), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.holder"), "0");
    fixture_end(f);
}

static void sqlite_takes_over_only_after_proof(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    kill_holder(f, &f->act);
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    /* Another host's boot: a process that cannot be seen is not dead. */
    fixture_exec(
        f, "UPDATE lockstep_holder SET boot_id = 'x', host = 'far', machine = 'far', fence = 7");
    assert_int_equal(fixture_lock(f, &other, FORMAT_NONE, 300), E_TIMEOUT);
    assert_has(f->error.message, "cannot be seen from here");
    /* The same machine, booted since: dead. */
    struct db_holder self;
    assert_ok(db_holder_self(&f->arena, "r", 8, &self, &f->error));
    fixture_exec(f,
                 arena_printf(&f->arena,
                              "UPDATE lockstep_holder SET host = '%s', machine = '%s', fence = 8",
                              self.host, self.machine));
    assert_ok(fixture_lock(f, &other, FORMAT_NONE, 1000));
    fixture_end(f);
}

static void life_needs_the_same_pid_space(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    struct db_holder self;
    assert_ok(db_holder_self(&f->arena, "r", 1, &self, &f->error));
    assert_int_equal(db_holder_life(&self, &self), DB_LIFE_ALIVE);
    struct db_holder other = self;
    other.start_time++;
    assert_int_equal(db_holder_life(&other, &self), DB_LIFE_DEAD);
    other.pid_space = "pid:[1]";
    assert_int_equal(db_holder_life(&other, &self), DB_LIFE_UNPROVED);
    fixture_end(f);
}

static void a_holder_takes_it_again_after_a_restart(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    int64_t pid = status_of(f, &f->act).pid;
    pg_server_stop(f->server, SIGQUIT);
    wait_state(f, &f->act, HOLD_LOST);
    assert_int_equal(pg_server_up(f->server), 0);
    wait_state(f, &f->act, HOLD_HELD);
    assert_int_equal(status_of(f, &f->act).pid, pid);
    assert_string_equal(fixture_value(f, HELD_SQL), "1");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
    fixture_mariadb(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    pid = status_of(f, &f->act).pid;
    mariadb_server_stop(f->maria, SIGKILL);
    wait_state(f, &f->act, HOLD_LOST);
    assert_int_equal(mariadb_server_up(f->maria), 0);
    wait_state(f, &f->act, HOLD_HELD);
    assert_int_equal(status_of(f, &f->act).pid, pid);
    assert_string_not_equal(fixture_value(f, HELD_MARIADB), "nobody");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void a_restart_during_the_wait_is_waited_for(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    pid_t child = fork();
    if (child == 0) {
        struct db_lock_action lock = {.database = f->database, .wait_ms = 15000};
        struct action action = {.db_lock = &lock};
        _exit(act_db_lock(&other, &action, &f->error) == 0 ? 0 : 1);
    }
    wait_state(f, &other, HOLD_WAITING);
    kill_holder(f, &f->act); /* or it would take it again itself, which is right as well */
    pg_server_stop(f->server, SIGQUIT);
    usleep(300000);
    assert_int_equal(pg_server_up(f->server), 0);
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(status_of(f, &other).state, HOLD_HELD);
    assert_ok(fixture_unlock(f, &other, FORMAT_NONE));
    fixture_end(f);
}

static void a_run_that_is_over_lets_go(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    db_run_over(&f->arena, f->act.state_dir, f->act.run); /* no lock was ever taken */
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    db_run_over(&f->arena, f->act.state_dir, "run-2");
    usleep(200000);
    assert_int_equal(status_of(f, &f->act).state, HOLD_HELD); /* another run's end is not ours */
    db_run_over(&f->arena, f->act.state_dir, f->act.run);
    wait_state(f, &f->act, HOLD_RELEASED);
    assert_string_equal(fixture_value(f, HELD_SQL), "0");
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.holder"), "0");
    fixture_end(f);
}

static void the_next_run_takes_what_a_run_that_is_over_lets_go(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    struct act next = f->act;
    next.run = "run-2";
    db_run_over(&f->arena, f->act.state_dir, f->act.run);
    assert_ok(fixture_lock(f, &next, FORMAT_MORPH, 3000));
    assert_string_equal(fixture_value(f, "SELECT run FROM lockstep.holder"), "run-2");
    assert_ok(fixture_unlock(f, &next, FORMAT_MORPH));
    fixture_end(f);
}

static void morphs_valid_lease_is_waited_for(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f,
                 arena_printf(&f->arena,
                              "CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint);"
                              "INSERT INTO db_lock VALUES ('mm-lock-key', %lld)",
                              (long long)time(NULL) + 3));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_MORPH, 500), E_TIMEOUT);
    assert_has(f->error.message, "mm-lock-key");
    assert_ok(
        fixture_lock(f, &f->act, FORMAT_MORPH, 8000)); /* it expires, and nobody is connected */
    assert_string_equal(
        fixture_value(f, "SELECT expireat > extract(epoch FROM now()) + 10 FROM db_lock"), "t");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
    fixture_mariadb(f);
    fixture_exec(f,
                 arena_printf(&f->arena,
                              "CREATE TABLE db_lock (Id varchar(64) NOT NULL, ExpireAt bigint(20)"
                              " NOT NULL, PRIMARY KEY (Id));"
                              "INSERT INTO db_lock VALUES ('mm-lock-key', %lld)",
                              (long long)time(NULL) + 3));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_MORPH, 500), E_TIMEOUT);
    assert_has(f->error.message, "mm-lock-key");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 8000));
    assert_string_equal(fixture_value(f, "SELECT ExpireAt > UNIX_TIMESTAMP() + 10 FROM db_lock"),
                        "1");
    assert_string_equal(
        fixture_value(f, "SELECT tool_lease = ExpireAt FROM lockstep_holder, db_lock"), "1");
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    fixture_end(f);
}

static void an_expired_lease_counts_only_without_sessions(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint);"
                    "INSERT INTO db_lock VALUES ('mm-lock-key', 1000)");
    struct db_session app = {0};
    fixture_open(f, &app, "app");
    assert_ok(db_exec(&app, "SET application_name = 'mattermost'", &f->error));
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_MORPH, 500), E_TIMEOUT);
    assert_has(f->error.message, "mattermost");
    db_close(&app);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    fixture_end(f);
}

static void a_lease_is_refreshed_by_its_own_period(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    const char *before = fixture_value(f, "SELECT expireat FROM db_lock");
    usleep(8600000);
    const char *after = fixture_value(f, "SELECT expireat FROM db_lock");
    assert_true(strtoll(after, NULL, 10) >= strtoll(before, NULL, 10) + 7);
    assert_string_equal(
        fixture_value(f, "SELECT tool_lease = expireat FROM lockstep.holder, db_lock"), "t");
    fixture_end(f);
}

static void a_wrong_password_is_said_at_once(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    setenv("LOCKSTEP_TEST_WORD", "not-the-word", 1);
    f->password = (struct secret){.env = "LOCKSTEP_TEST_WORD"};
    int64_t before = process_clock_ms();
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_NONE, 15000), E_DENIED);
    assert_true(process_clock_ms() - before < 5000);
    assert_has(f->error.message, "the password is wrong");
    assert_null(strstr(f->error.message, "not-the-word"));
    fixture_end(f);
}

static void an_old_fence_gets_no_lock(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_NONE, 3000));
    assert_ok(fixture_unlock(f, &f->act, FORMAT_NONE));
    struct act old = fixture_act(f, "run-0", 6, "elsewhere");
    assert_int_equal(fixture_lock(f, &old, FORMAT_NONE, 3000), E_DENIED);
    assert_has(f->error.message, "fence 6 is old");
    assert_has(f->error.message, "7");
    fixture_end(f);
}

/* ---- a command's holder ---- */

static const char *leash_of(struct fixture *f)
{
    return arena_printf(&f->arena, "%s/claim", f->dir);
}

/* A command of its own: it has the leash, takes the lock, and works; the test kills it. */
static pid_t start_command(struct fixture *f, const char *sql)
{
    struct migration_item item = fixture_item(f, 1, "slow", sql);
    f->act.leash = leash_of(f);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(f->act.leash, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        int rc = flock(fd, LOCK_EX);
        rc = rc == 0 ? fixture_lock(f, &f->act, FORMAT_MORPH, 20000) : rc;
        rc = rc == 0 ? fixture_migrate(f, &f->act, false, &item, 1) : rc;
        pause(); /* done, and the lock still in its hands */
        _exit(rc == 0 ? 0 : 1);
    }
    return child;
}

static void wait_for(struct fixture *f, const char *sql, const char *value)
{
    for (int i = 0; i < 1000 && strcmp(fixture_value(f, sql), value) != 0; i++) {
        usleep(20000);
    }
    assert_string_equal(fixture_value(f, sql), value);
}

static void a_dead_commands_lock(struct fixture *f)
{
    pid_t command = start_command(f, "CREATE TABLE done (x int);");
    wait_state(f, &f->act, HOLD_HELD);
    int64_t holder = status_of(f, &f->act).pid;
    wait_for(f, arena_printf(&f->arena, "SELECT count(*) FROM %s", fixture_own(f, "evidence")),
             "1");
    assert_true(status_of(f, &f->act).alive); /* its work is done, and it lives */
    kill(command, SIGKILL);
    waitpid(command, NULL, 0);
    wait_state(f, &f->act, HOLD_RELEASED); /* nobody gave another command */
    assert_int_equal(status_of(f, &f->act).pid, holder);
    struct act other = fixture_act(f, "run-2", 8, "elsewhere");
    assert_ok(fixture_lock(f, &other, FORMAT_MORPH, 20000));
    assert_ok(fixture_unlock(f, &other, FORMAT_MORPH));
}

static void a_killed_commands_lock_goes_by_itself(void **state)
{
    (void)state;
    fixture_everywhere(a_dead_commands_lock);
}

static void not_while_its_session_is_at_work(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session gate = {0};
    fixture_open(f, &gate, "gate");
    assert_ok(db_exec(&gate, "SELECT pg_advisory_lock(4711)", &f->error));
    pid_t command = start_command(f, "SELECT pg_advisory_xact_lock(4711);");
    wait_for(f, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "1");
    kill(command, SIGKILL);
    waitpid(command, NULL, 0);
    /* The server does not know that the command died, and its statement goes on: the holder looks and stays. */
    usleep(5 * 500000);
    assert_int_equal(status_of(f, &f->act).state, HOLD_HELD);
    db_close(&gate);
    wait_state(f, &f->act, HOLD_RELEASED);
    assert_string_equal(fixture_value(f, HELD_SQL), "0");
    fixture_end(f);
}

static void without_a_leash_a_holder_outlives_everybody(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    pid_t place = fork();
    if (place == 0) {
        _exit(fixture_lock(f, &f->act, FORMAT_NONE, 20000) == 0 ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(place, &ended, 0), place);
    assert_int_equal(ended, 0);
    usleep(4 * 500000); /* four of its looks */
    assert_int_equal(status_of(f, &f->act).state, HOLD_HELD);
    assert_ok(fixture_unlock(f, &f->act, FORMAT_NONE));
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_is_taken_once_and_given_back),
        cmocka_unit_test(a_second_holder_waits_and_names_the_first),
        cmocka_unit_test(a_wait_for_the_lock_ends_when_asked),
        cmocka_unit_test(postgres_names_backend_and_application),
        cmocka_unit_test(a_killed_holders_lock_is_free_at_once),
        cmocka_unit_test(unlock_after_a_killed_holder_leaves_nothing),
        cmocka_unit_test(sqlite_takes_over_only_after_proof),
        cmocka_unit_test(life_needs_the_same_pid_space),
        cmocka_unit_test(a_holder_takes_it_again_after_a_restart),
        cmocka_unit_test(a_restart_during_the_wait_is_waited_for),
        cmocka_unit_test(a_run_that_is_over_lets_go),
        cmocka_unit_test(the_next_run_takes_what_a_run_that_is_over_lets_go),
        cmocka_unit_test(morphs_valid_lease_is_waited_for),
        cmocka_unit_test(an_expired_lease_counts_only_without_sessions),
        cmocka_unit_test(a_lease_is_refreshed_by_its_own_period),
        cmocka_unit_test(a_wrong_password_is_said_at_once),
        cmocka_unit_test(an_old_fence_gets_no_lock),
        cmocka_unit_test(a_killed_commands_lock_goes_by_itself),
        cmocka_unit_test(not_while_its_session_is_at_work),
        cmocka_unit_test(without_a_leash_a_holder_outlives_everybody),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
