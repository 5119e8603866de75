/* Connecting: every refusal says what to do, and none of them says the password. */
#include "tests/unit/io/db/fixture.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/platform/files.h"

static int open_it(struct fixture *f, const char *url)
{
    struct db_session s = {0};
    struct db_options options = {.run = "r"};
    if (url != NULL) {
        f->database.url = url;
    }
    f->error.message[0] = '\0';
    int rc = db_open(&s, &f->arena, &f->database, &options, &f->error);
    db_close(&s);
    assert_null(strstr(f->error.message, PG_PASSWORD));
    return rc;
}

static void refusals_say_what_to_do(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    int port = f->server->port;
    assert_ok(open_it(f, NULL));
    assert_int_equal(
        open_it(f, arena_printf(&f->arena, "postgres://postgres@127.0.0.1:%d/nowhere", port)),
        E_NOT_FOUND);
    assert_has(f->error.message, "database main");
    assert_has(f->error.message, "\"nowhere\" does not exist");
    assert_has(f->error.message, "CREATE DATABASE");
    assert_int_equal(open_it(f, "postgres://postgres@127.0.0.1:1/postgres"), E_UNAVAILABLE);
    assert_has(f->error.message, "is the server running");
    assert_has(f->error.message, "127.0.0.1:1");
    assert_int_equal(open_it(f, "postgres://postgres@no.such.host.invalid/postgres"), E_NOT_FOUND);
    assert_int_equal(open_it(f, "oracle://x"), E_INVALID);
    assert_has(f->error.message, "sqlite://");
    f->database.password = NULL;
    const char *trusted =
        arena_printf(&f->arena, "postgres://postgres@127.0.0.1:%d/postgres", port);
    assert_int_equal(open_it(f, trusted), E_DENIED);
    assert_has(f->error.message, "add password:");
    struct secret missing = {.file = "/nowhere/word"};
    f->database.password = &missing;
    assert_int_equal(open_it(f, trusted), E_NOT_FOUND);
    assert_has(f->error.message, "/nowhere/word");
    fixture_end(f);
}

static void a_password_in_a_broken_url_is_not_shown(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    f->database.password = NULL;
    assert_int_equal(open_it(f, "postgres://u:" PG_PASSWORD "@h:port?x/%zz"), E_INVALID);
    assert_int_equal(open_it(f, "postgres://u:" PG_PASSWORD "%zz@h/d"), E_INVALID);
    assert_int_equal(open_it(f, "postgres://postgres:wrong" PG_PASSWORD "@127.0.0.1:1/x"),
                     E_UNAVAILABLE);
    /* In a right URL it works. */
    assert_ok(open_it(f, arena_printf(&f->arena,
                                      "postgres://postgres:" PG_PASSWORD "@127.0.0.1:%d/postgres",
                                      f->server->port)));
    fixture_end(f);
}

static void sqlite_refuses_what_is_no_database(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    const char *text = arena_printf(&f->arena, "%s/text", f->dir);
    assert_int_equal(file_write(text, "this is a text, and long enough to be looked at as one ...",
                                58, 0600, NULL),
                     0);
    assert_int_equal(open_it(f, arena_printf(&f->arena, "sqlite://%s", text)), E_DATABASE);
    assert_has(f->error.message, "is this the right file?");
    const char *missing = arena_printf(&f->arena, "sqlite://%s/missing.db", f->dir);
    assert_int_equal(open_it(f, missing), E_NOT_FOUND);
    assert_has(f->error.message, "Check the path");
    assert_false(file_exists(missing + strlen("sqlite://")));
    assert_int_equal(open_it(f, "sqlite://relative"), E_INVALID);
    fixture_end(f);
}

static void the_session_is_named_after_its_run(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    struct db_session s = {0}, app = {0};
    fixture_open(f, &s, "run-9");
    const char *name = NULL;
    assert_ok(db_value(&s, &f->arena, "SELECT current_setting('application_name')", NULL, 0, &name,
                       &f->error));
    assert_string_equal(name, "lockstep run-9");
    struct db_writer *writers = NULL;
    size_t count = 99;
    assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
    assert_int_equal(count, 0);
    fixture_open(f, &app, "x");
    assert_ok(db_exec(&app, "SET application_name = 'chat'", &f->error));
    assert_ok(db_writers(&s, &f->arena, &writers, &count, &f->error));
    assert_int_equal(count, 1);
    assert_int_equal(writers[0].pid, app.backend_pid);
    assert_has(db_writers_text(&f->arena, writers, count, 3), "postgres@127.0.0.1 (chat, idle");
    db_close(&app);
    db_close(&s);
    fixture_end(f);
}

/* A pooler in small: bytes both ways, but the session's process number is another one (BackendKeyData, 'K'). */
static void pool(int client, int server)
{
    size_t seen = 0;
    struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    while (poll(fds, 2, 10000) > 0) {
        char buffer[8192];
        for (int i = 0; i < 2; i++) {
            if ((fds[i].revents & (POLLIN | POLLHUP)) == 0) {
                continue;
            }
            ssize_t n = read(fds[i].fd, buffer, sizeof(buffer));
            if (n <= 0) {
                return;
            }
            static const char key[] = {'K', 0, 0, 0, 12};
            char *at = i == 1 && seen == 0 ? memmem(buffer, (size_t)n, key, sizeof(key)) : NULL;
            if (at != NULL && buffer + n - at >= 9) {
                at[8] ^= 1;
                seen++;
            }
            if (write(fds[1 - i].fd, buffer, (size_t)n) != n) {
                return;
            }
        }
    }
}

static void a_pooler_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listener, 4), 0);
    getsockname(listener, (struct sockaddr *)&a, &len);
    pid_t child = fork();
    if (child == 0) {
        int client = accept(listener, NULL, NULL);
        int server = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons((uint16_t)f->server->port)};
        if (connect(server, (struct sockaddr *)&to, sizeof(to)) == 0) {
            pool(client, server);
        }
        _exit(0);
    }
    close(listener);
    const char *url = arena_printf(
        &f->arena, "postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", ntohs(a.sin_port));
    assert_int_equal(open_it(f, url), E_INVALID);
    assert_has(f->error.message, "pooler");
    assert_has(f->error.message, "give the server's own host and port");
    waitpid(child, NULL, 0);
    fixture_end(f);
}

/* A real one, in front of the server, its own port in *ret_port. */
static pid_t start_bouncer(struct fixture *f, const char *mode, int *ret_port)
{
    static const char program[] = "/usr/sbin/pgbouncer";
    if (access(program, X_OK) != 0) {
        fail_msg("no PgBouncer is installed: apt-get install pgbouncer");
    }
    int port = throwaway_port();
    const char *text = arena_printf(&f->arena,
                                    "[databases]\n* = host=%s port=%d user=postgres\n"
                                    "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"
                                    "unix_socket_dir =\nauth_type = any\npool_mode = %s\n",
                                    f->server->dir, f->server->port, port, mode);
    const char *config = arena_printf(&f->arena, "%s/bouncer.ini", f->dir);
    assert_int_equal(file_write(config, text, strlen(text), 0644, NULL), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    const char *argv[] = {program, config, NULL};
    pid_t pid = throwaway_spawn(&f->server->throwaway, argv,
                                arena_printf(&f->arena, "%s/bouncer.log", f->server->dir));
    const char *at = arena_printf(&f->arena, "host=127.0.0.1 port=%d dbname=postgres", port);
    for (int i = 0; i < 400 && PQping(at) != PQPING_OK; i++) {
        usleep(10000);
    }
    assert_int_equal(PQping(at), PQPING_OK);
    *ret_port = port;
    return pid;
}

/* It gives its clients process numbers of its own in every mode: session mode cannot be told from the others. */
static void a_real_pgbouncer_is_refused(void **state)
{
    (void)state;
    static const char *const modes[] = {"transaction", "session", "statement"};
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        int port = 0;
        pid_t pid = start_bouncer(f, modes[i], &port);
        const char *url =
            arena_printf(&f->arena, "postgres://postgres@127.0.0.1:%d/postgres", port);
        assert_int_equal(open_it(f, url), E_INVALID);
        assert_has(f->error.message, "a pooler (PgBouncer?)");
        assert_has(f->error.message, "give the server's own host and port");
        /* The lock is not even tried, and nobody waits for it. */
        f->database.url = url;
        assert_int_equal(fixture_lock(f, &f->act, FORMAT_NONE, 15000), E_INVALID);
        assert_has(f->error.message, "a pooler (PgBouncer?)");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    fixture_end(f);
}

static void names_are_quoted_and_bounded(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    const char *quoted = NULL;
    assert_int_equal(db_quote_name(&db_postgres, &arena, "public.migrations", &quoted, NULL), 0);
    assert_string_equal(quoted, "\"public\".\"migrations\"");
    assert_int_equal(db_quote_name(&db_postgres, &arena, "select", &quoted, NULL), 0);
    assert_string_equal(quoted, "\"select\"");
    const char *const bad[] = {"", "a.", ".a", "a.b.c", "a\"; DROP TABLE b; --"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(db_quote_name(&db_postgres, &arena, bad[i], &quoted, NULL), E_INVALID);
    }
    arena_deinit(&arena);
}

/* ---- few connections ---- */

static const char *limited_role(struct fixture *f, const char *limit)
{
    const char *name = strrchr(f->database.url, '/') + 1;
    fixture_exec(f, arena_printf(&f->arena,
                                 "CREATE ROLE \"r%s\" LOGIN PASSWORD '" PG_PASSWORD "' %s; ALTER "
                                 "DATABASE \"%s\" OWNER TO \"r%s\"",
                                 name, limit, name, name));
    return arena_printf(&f->arena, "postgres://r%s@127.0.0.1:%d/%s", name, f->server->port, name);
}

static int migrate_in(struct fixture *f, int64_t ms)
{
    struct migration_item item = fixture_item(f, 1, "one", "CREATE TABLE one (x int)");
    f->act.deadline_ms = act_now_ms() + ms;
    return fixture_migrate(f, &f->act, false, &item, 1);
}

static void too_few_connections_are_told_before_anything_waits(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *superuser = f->database.url;
    const char *limited = limited_role(f, "CONNECTION LIMIT 1");
    f->database.url = limited;
    int64_t before = act_now_ms();
    assert_int_equal(migrate_in(f, 600000), E_LIMIT);
    assert_true(act_now_ms() - before < 60000);
    assert_has(f->error.message,
               "Lockstep needs 2 connections at once (one holds the lock, one works), the role "
               "allows 1: ALTER ROLE");
    f->act.deadline_ms = act_now_ms() + 600000;
    assert_int_equal(fixture_lock(f, &f->act, FORMAT_MORPH, 600000), E_LIMIT);
    assert_has(f->error.message, "the role allows 1");
    const char *dir = hold_dir(&f->arena, f->act.state_dir, &f->database);
    for (int i = 0; i < 500 && hold_alive(&f->arena, dir); i++) {
        usleep(20000);
    }
    assert_false(hold_alive(&f->arena, dir));
    /* Who only looks needs one. */
    struct db_session s = {0};
    struct db_options options = {.run = "", .read_only = true};
    assert_ok(db_open(&s, &f->arena, &f->database, &options, &f->error));
    db_close(&s);
    f->database.url = superuser;
    const char *name = strrchr(f->database.url, '/') + 1;
    fixture_exec(f, arena_printf(&f->arena,
                                 "ALTER ROLE \"r%s\" CONNECTION LIMIT -1; ALTER DATABASE \"%s\" "
                                 "CONNECTION LIMIT 1",
                                 name, name));
    f->database.url = limited;
    assert_int_equal(migrate_in(f, 600000), E_LIMIT);
    assert_has(f->error.message, "the database allows 1: ALTER DATABASE");
    /* As many as are needed are enough. */
    f->database.url = superuser;
    fixture_exec(f, arena_printf(&f->arena, "ALTER DATABASE \"%s\" CONNECTION LIMIT 2", name));
    f->database.url = limited;
    assert_ok(migrate_in(f, 60000));
    f->database.url = superuser;
    fixture_end(f);
}

static void taken_connections_are_waited_for_until_the_deadline(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    const char *superuser = f->database.url;
    const char *limited = limited_role(f, "CONNECTION LIMIT 3");
    f->database.url = limited;
    struct db_session taken[2] = {0};
    fixture_open(f, &taken[0], "application");
    fixture_open(f, &taken[1], "application");
    int64_t before = act_now_ms();
    int rc = migrate_in(f, 3000); /* the third one is the holder's */
    assert_true(rc == E_UNAVAILABLE || rc == E_TIMEOUT);
    assert_true(act_now_ms() - before < 60000);
    assert_has(f->error.message, "too many connections for role");
    assert_has(f->error.message, "Lockstep needs 2 connections at once");
    db_close(&taken[0]);
    assert_ok(migrate_in(f, 60000)); /* the application went */
    db_close(&taken[1]);
    f->database.url = superuser;
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(a_password_in_a_broken_url_is_not_shown),
        cmocka_unit_test(sqlite_refuses_what_is_no_database),
        cmocka_unit_test(the_session_is_named_after_its_run),
        cmocka_unit_test(a_pooler_is_refused_with_the_reason),
        cmocka_unit_test(a_real_pgbouncer_is_refused),
        cmocka_unit_test(names_are_quoted_and_bounded),
        cmocka_unit_test(too_few_connections_are_told_before_anything_waits),
        cmocka_unit_test(taken_connections_are_waited_for_until_the_deadline),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
