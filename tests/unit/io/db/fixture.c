/* Owns the databases, directories and blobs of the tests of this room. */
#include "tests/unit/io/db/fixture.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int stop_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    if (strcmp(path + ftw->base, HOLD_ALIVE) == 0) {
        struct arena arena;
        arena_init(&arena);
        char *dir = arena_strndup(&arena, path, (size_t)ftw->base - 1);
        struct hold_status status;
        if (hold_status_read(&arena, dir, &status, NULL) == 0 && status.alive && status.pid > 1) {
            kill((pid_t)status.pid, SIGKILL);
        }
        arena_deinit(&arena);
    }
    return 0;
}

/* A holder is no child of the test: what it did wrong shows in its log only. */
static int check_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    if (strcmp(path + ftw->base, HOLD_LOG) == 0) {
        struct arena arena;
        arena_init(&arena);
        const char *text = file_tail(&arena, path, 16384);
        if (strstr(text, "Sanitizer") != NULL || strstr(text, "runtime error") != NULL) {
            fail_msg("the holder: %s", text);
        }
        arena_deinit(&arena);
    }
    return 0;
}

static void stop_holders(const char *dir)
{
    nftw(dir, stop_one, 16, FTW_PHYS);
}

struct pg_server *fixture_server(void)
{
    static struct pg_server server;
    return &server;
}

struct mariadb_server *fixture_maria(void)
{
    static struct mariadb_server server;
    return &server;
}

int fixture_main(int argc, char **argv, int (*run)(void))
{
    if (argc == 3 && strcmp(argv[1], "hold") == 0) {
        return db_hold_main(argv[2]);
    }
    return run();
}

int fixture_server_start(void **state)
{
    *state = fixture_server();
    return pg_server_start(fixture_server(), stop_holders);
}

int fixture_server_stop(void **state)
{
    (void)state;
    pg_server_free(fixture_server());
    mariadb_server_free(fixture_maria());
    return 0;
}

static int blob(struct act *act, const char *sha256, const char **ret_path, struct error *e)
{
    (void)e;
    struct fixture *f = act->shell;
    *ret_path = arena_printf(act->arena, "%s/%s", f->dir, sha256);
    return 0;
}

static void prepare(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena);
    /* Inside the server's directory: its janitor removes what a failed test leaves. */
    snprintf(f->dir, sizeof(f->dir), "%s/db-XXXXXX", fixture_server()->dir);
    assert_non_null(mkdtemp(f->dir));
    f->database.name = "main";
    f->act = fixture_act(f, "run-1", 7, "place");
}

struct act fixture_act(struct fixture *f, const char *run, uint64_t fence, const char *place)
{
    static const char self[] = "/proc/self/exe";
    char *program = realpath(self, NULL);
    struct act act = {.arena = &f->arena,
                      .run = run,
                      .cluster = "c",
                      .application = "a",
                      .step = "4.2",
                      .attempt = 1,
                      .fence = fence,
                      .deadline_ms = act_now_ms() + 120000,
                      .program = arena_strdup(&f->arena, program),
                      .state_dir = arena_printf(&f->arena, "%s/%s", f->dir, place),
                      .work_dir = f->dir,
                      .log_fd = -1,
                      .blob = blob,
                      .shell = f};
    free(program);
    mkdir(act.state_dir, 0700);
    return act;
}

void fixture_postgres(struct fixture *f)
{
    prepare(f);
    f->kind = DB_POSTGRES;
    f->server = fixture_server();
    const char *file = arena_printf(&f->arena, "%s/password", f->dir);
    assert_int_equal(file_write(file, PG_PASSWORD "\n", sizeof(PG_PASSWORD), 0600, NULL), 0);
    f->password.file = file;
    f->database.password = &f->password;
    f->database.url =
        arena_printf(&f->arena, "postgres://postgres@127.0.0.1:%d/postgres", f->server->port);
    const char *name = strrchr(f->dir, '-') + 1;
    fixture_exec(f, arena_printf(&f->arena, "CREATE DATABASE \"t%s\"", name));
    f->database.url =
        arena_printf(&f->arena, "postgres://postgres@127.0.0.1:%d/t%s", f->server->port, name);
}

void fixture_sqlite(struct fixture *f)
{
    prepare(f);
    f->kind = DB_SQLITE;
    const char *path = arena_printf(&f->arena, "%s/app.db", f->dir);
    f->database.url = arena_printf(&f->arena, "sqlite://%s", path);
    struct db_session s = {0};
    struct db_options options = {.create = true};
    assert_ok(db_open(&s, &f->arena, &f->database, &options, &f->error));
    assert_ok(db_exec(&s, "CREATE TABLE made (x)", &f->error));
    db_close(&s);
}

void fixture_mariadb(struct fixture *f)
{
    prepare(f);
    f->kind = DB_MARIADB;
    f->maria = fixture_maria();
    if (f->maria->pid == 0) {
        assert_int_equal(mariadb_server_start(f->maria, NULL), 0);
    }
    const char *file = arena_printf(&f->arena, "%s/password", f->dir);
    assert_int_equal(file_write(file, MARIADB_PASSWORD "\n", sizeof(MARIADB_PASSWORD), 0600, NULL),
                     0);
    f->password.file = file;
    f->database.password = &f->password;
    const char *name = strrchr(f->dir, '-') + 1;
    f->database.url =
        arena_printf(&f->arena, "mysql://root@/mysql?socket=%s/s", f->maria->throwaway.dir);
    fixture_exec(f, arena_printf(&f->arena, "CREATE DATABASE `t%s` CHARACTER SET utf8mb4", name));
    f->database.url = arena_printf(&f->arena, "mysql://app@127.0.0.1:%d/t%s", f->maria->port, name);
}

void fixture_everywhere(void (*test)(struct fixture *))
{
    static void (*const make[])(struct fixture *) = {fixture_postgres, fixture_sqlite,
                                                     fixture_mariadb};
    for (size_t i = 0; i < ARRAY_SIZE(make); i++) {
        struct fixture fixture;
        make[i](&fixture);
        test(&fixture);
        fixture_end(&fixture);
    }
}

const char *fixture_pick(const struct fixture *f, const char *postgres, const char *sqlite,
                         const char *mariadb)
{
    switch (f->kind) {
    case DB_POSTGRES:
        return postgres;
    case DB_SQLITE:
        return sqlite;
    case DB_MARIADB:
        return mariadb;
    }
    abort();
}

const char *fixture_own(struct fixture *f, const char *table)
{
    return arena_printf(&f->arena, "%s%s", fixture_pick(f, "lockstep.", "lockstep_", "lockstep_"),
                        table);
}

void fixture_end(struct fixture *f)
{
    stop_holders(f->dir);
    nftw(f->dir, check_one, 16, FTW_PHYS);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_deinit(&f->arena);
}

void fixture_open(struct fixture *f, struct db_session *s, const char *run)
{
    struct db_options options = {.run = run};
    assert_ok(db_open(s, &f->arena, &f->database, &options, &f->error));
}

const char *fixture_counts(const struct fixture *f)
{
    const char *counts = f->act.facts != NULL ? strstr(f->act.facts, "\"ran\"") : NULL;
    return counts != NULL ? counts : "";
}

const char *fixture_value(struct fixture *f, const char *sql)
{
    struct db_session s = {0};
    const char *value = NULL;
    fixture_open(f, &s, "look");
    assert_ok(db_value(&s, &f->arena, sql, NULL, 0, &value, &f->error));
    db_close(&s);
    return value != NULL ? value : "";
}

void fixture_exec(struct fixture *f, const char *sql)
{
    struct db_session s = {0};
    fixture_open(f, &s, "look");
    assert_ok(db_exec(&s, sql, &f->error));
    db_close(&s);
}

struct migration_item fixture_item(struct fixture *f, int64_t version, const char *id,
                                   const char *sql)
{
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(sql, strlen(sql), hex);
    const char *path = arena_printf(&f->arena, "%s/%s", f->dir, hex);
    assert_int_equal(file_write(path, sql, strlen(sql), 0600, NULL), 0);
    return (struct migration_item){
        .id = id,
        .version = version,
        .file = arena_printf(&f->arena, "%06d_%s.sql", (int)version, id),
        .sha256 = arena_strdup(&f->arena, hex),
        .transactional = !str_starts(sql, "-- morph:nontransactional"),
    };
}

int fixture_lock(struct fixture *f, struct act *act, int format, int64_t wait_ms)
{
    struct db_lock_action lock = {.database = f->database, .format = format, .wait_ms = wait_ms};
    struct action action = {.db_lock = &lock};
    return act_db_lock(act, &action, &f->error);
}

int fixture_unlock(struct fixture *f, struct act *act, int format)
{
    struct db_unlock_action unlock = {.database = f->database, .format = format};
    struct action action = {.db_unlock = &unlock};
    return act_db_unlock(act, &action, &f->error);
}

int fixture_migrate(struct fixture *f, struct act *act, bool down, struct migration_item *items,
                    size_t count)
{
    struct db_migrate_action migrate = {.database = f->database,
                                        .format = FORMAT_MORPH,
                                        .down = down,
                                        .items = {.items = items, .count = count}};
    struct action action = {.db_migrate = &migrate};
    return act_db_migrate(act, &action, &f->error);
}
