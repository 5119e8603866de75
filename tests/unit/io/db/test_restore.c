/*
 * Backup and restore on real servers. The independent answer is pg_dump's, with all data, and sqlite3's .dump: what they
 * say before the backup they say after the restore.
 */
#include "tests/unit/io/db/fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/io/db/fingerprint.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

static const char base[] =
    "CREATE EXTENSION citext;"
    "CREATE TYPE mood AS ENUM ('sad', 'ok');"
    "CREATE DOMAIN short AS varchar(20) CHECK (value <> '');"
    "CREATE TYPE pair AS (a int, b mood);"
    "CREATE TABLE users (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name citext, m mood "
    "DEFAULT 'ok', s short, p pair);"
    "CREATE TABLE posts (id bigserial PRIMARY KEY, author bigint REFERENCES users (id), body text);"
    "CREATE INDEX posts_body ON posts (body);"
    "CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self (id));"
    "CREATE TABLE events (k int, at date NOT NULL) PARTITION BY RANGE (at);"
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
    "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := "
    "upper(NEW.body); RETURN NEW; END $$;"
    "CREATE TRIGGER loud BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION loud();"
    "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
    "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION seen();"
    "CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);"
    "CREATE OPERATOR <#> (leftarg = int, rightarg = int, function = int4pl);"
    "CREATE CAST (text AS pair) WITH INOUT;"
    "CREATE VIEW names AS SELECT name FROM users;"
    "CREATE MATERIALIZED VIEW counts AS SELECT author, count(*) AS n FROM posts GROUP BY author;"
    "CREATE PUBLICATION everything FOR TABLE posts;"
    "CREATE SCHEMA other; CREATE TABLE other.t (x int DEFAULT 7); GRANT USAGE ON SCHEMA other TO "
    "public;"
    "CREATE SEQUENCE tickets; SELECT nextval('tickets'), nextval('tickets');"
    "CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);"
    "CREATE TABLE db_migrations (version bigint NOT NULL PRIMARY KEY, name varchar NOT NULL);"
    "INSERT INTO db_migrations VALUES (1, 'one');"
    "INSERT INTO users (name, s, p) VALUES ('A', 'x', (1, 'sad')), (NULL, NULL, NULL);"
    "INSERT INTO posts (author, body) SELECT 1, E'COMMIT;\\nrow ' || n FROM generate_series(1, "
    "500) n;"
    "INSERT INTO self VALUES (1, 1); INSERT INTO events VALUES (1, '2024-05-05'); INSERT INTO "
    "other.t VALUES (1);"
    "REFRESH MATERIALIZED VIEW counts; SELECT lo_from_bytea(4711, 'a large object');";

/* All kinds of damage and of news. */
static const char later[] =
    "DROP TABLE posts CASCADE; DROP SCHEMA other CASCADE; CREATE SCHEMA newer; CREATE TABLE "
    "newer.n (x int);"
    "CREATE EXTENSION hstore; CREATE TABLE stored (h hstore, c citext);"
    "ALTER TABLE users DROP COLUMN name CASCADE, ADD COLUMN extra int; DELETE FROM self; SELECT "
    "nextval('tickets');"
    "CREATE OR REPLACE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; "
    "END $$;"
    "CREATE TYPE posts AS ENUM ('another thing of this name'); CREATE VIEW looks AS SELECT * FROM "
    "users;"
    "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"
    "ALTER TYPE mood RENAME TO temper; CREATE FUNCTION added() RETURNS int LANGUAGE sql AS 'SELECT "
    "1';"
    "DROP PUBLICATION everything; CREATE PUBLICATION mine FOR ALL TABLES; SELECT lo_unlink(4711);"
    "SELECT lo_from_bytea(4712, 'another'); INSERT INTO db_migrations VALUES (2, 'two'); CREATE "
    "CAST (text AS short) WITH INOUT AS ASSIGNMENT";

static const char *text_of(struct fixture *f, const char *command)
{
    setenv("PGPASSWORD", PG_PASSWORD, 1);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    struct buf b;
    buf_init(&b, &f->arena, 16 << 20);
    char part[8192];
    for (size_t got; (got = fread(part, 1, sizeof(part), out)) > 0;) {
        buf_append(&b, part, got);
    }
    assert_int_equal(pclose(out), 0);
    assert_true(b.len > 100 && !b.overflow);
    return buf_text(&b);
}

/* Schema and data; not the numbers of transactions, nor the tool's lock. */
static const char *pg_dump(struct fixture *f)
{
    return text_of(f, arena_printf(&f->arena,
                                   "pg_dump -N lockstep --exclude-table-data=db_lock '%s' | grep "
                                   "-v '^.\\(un\\)\\?restrict'",
                                   f->database.url));
}

/* Our holder lives and writes now and then: it is waited for, and a dump that was cut short is no answer. */
static const char *lite_dump(struct fixture *f)
{
    const char *text = text_of(
        f,
        arena_printf(&f->arena,
                     "sqlite3 -cmd '.timeout 20000' '%s' .dump | grep -v lockstep_ | LC_ALL=C sort",
                     f->database.url + strlen("sqlite://")));
    assert_null(strstr(text, "/**** ERROR"));
    return text;
}

static const char *dump(struct fixture *f)
{
    return f->server != NULL ? pg_dump(f) : lite_dump(f);
}

static const char *digest(struct fixture *f)
{
    struct db_session s = {0};
    struct db_fingerprint now;
    fixture_open(f, &s, "look");
    assert_ok(db_fingerprint_read(&s, &f->arena, &now, &f->error));
    db_close(&s);
    return now.digest;
}

/* By a controller with an older fence: its file is as good as any. */
static const char *backup(struct fixture *f, const char **ret_fingerprint)
{
    struct act act = f->act;
    act.step = "1.1";
    act.fence = 3;
    struct db_backup_action a = {.database = f->database,
                                 .directory = arena_printf(&f->arena, "%s/backups", f->dir)};
    struct action action = {.db_backup = &a};
    assert_ok(act_db_backup(&act, &action, &f->error));
    json_t *facts = json_loads(act.facts, 0, NULL);
    const char *path = arena_strdup(&f->arena, json_string_value(json_object_get(facts, "path")));
    *ret_fingerprint =
        arena_strdup(&f->arena, json_string_value(json_object_get(facts, "fingerprint")));
    json_decref(facts);
    return path;
}

static int restore(struct fixture *f, struct db_restore_action a)
{
    a.database = f->database;
    a.format = FORMAT_MORPH;
    struct action action = {.db_restore = &a};
    f->act.facts = NULL;
    f->error.message[0] = '\0';
    return act_db_restore(&f->act, &action, &f->error);
}

static const char *fence(struct fixture *f)
{
    return fixture_value(f, arena_printf(&f->arena, "SELECT value FROM %sfence",
                                         f->server != NULL ? "lockstep." : "lockstep_"));
}

static void a_stale_writer_is_refused(struct fixture *f)
{
    struct db_session s = {0};
    struct db_work stale = {.run = "old", .step = "1.1", .item = "x", .digest = "d", .fence = 3};
    fixture_open(f, &s, "old");
    assert_int_equal(db_evidence_add(&s, &stale, DB_HOW_RAN, &f->error), E_DENIED);
    assert_true(s.fault.fenced);
    db_close(&s);
}

static void round_trip(struct fixture *f, const char *made, const char *damage,
                       const char *one_more)
{
    fixture_exec(f, made);
    const char *fingerprint = NULL;
    const char *path = backup(f, &fingerprint);
    const char *was = dump(f);
    assert_string_equal(fingerprint, digest(f));
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    struct db_session s = {0};
    struct db_work open = {.run = "run-1",
                           .step = "9.9",
                           .item = "two",
                           .digest = "d",
                           .ledger = "db_migrations",
                           .fence = 7};
    fixture_open(f, &s, "x");
    assert_ok(db_intent_add(&s, &open, &(struct db_progress){0}, &f->error));
    db_close(&s);
    fixture_exec(f, damage);
    assert_string_not_equal(dump(f), was);
    f->act.step = "7.1";
    assert_ok(restore(f, (struct db_restore_action){.path = path, .fingerprint = fingerprint}));
    assert_has(f->act.facts, "\"already\":false");
    /* The tool's lock table is newer than the backup: what held stays held. */
    if (f->server != NULL) {
        assert_string_equal(
            fixture_value(f, "SELECT count(*) FROM db_lock WHERE id = 'mm-lock-key'"), "1");
        fixture_unlock(f, &f->act, FORMAT_MORPH);
        fixture_exec(f, "DROP TABLE db_lock");
    }
    assert_string_equal(dump(f), was);
    assert_string_equal(digest(f), fingerprint);
    assert_string_equal(fence(f), "7");
    a_stale_writer_is_refused(f);
    const char *prefix = f->server != NULL ? "lockstep." : "lockstep_";
    assert_string_equal(
        fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %sintent", prefix)), "0");
    assert_string_equal(
        fixture_value(f, arena_printf(&f->arena,
                                      "SELECT count(*) FROM %sevidence WHERE item = 'restore'",
                                      prefix)),
        "1");
    /* A repeat of the same step finds it done; what came after stays. */
    fixture_exec(f, one_more);
    assert_ok(restore(
        f, (struct db_restore_action){.directory = arena_printf(&f->arena, "%s/backups", f->dir),
                                      .backup_step = "1.1"}));
    assert_has(f->act.facts, "\"already\":true");
    assert_string_not_equal(dump(f), was);
    f->act.step = "7.2";
    assert_ok(restore(f, (struct db_restore_action){.path = path, .fingerprint = fingerprint}));
    if (f->server != NULL) {
        fixture_exec(f, "DROP TABLE db_lock");
    }
    assert_string_equal(dump(f), was);
}

static void a_restored_database_is_the_one_that_was_backed_up(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    round_trip(f, base, later, "INSERT INTO users (name) VALUES ('later')");
    fixture_end(f);
}

static const char lite_made[] =
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, loud TEXT GENERATED "
    "ALWAYS AS (upper(name)) STORED);"
    "CREATE TABLE posts (author INT REFERENCES users (id), body BLOB, \"odd \"\"name\" TEXT);"
    "CREATE TABLE pairs (a INT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;"
    "CREATE TABLE rowids (rowid TEXT, x INT);"
    "CREATE INDEX posts_body ON posts (body);"
    "CREATE VIEW names AS SELECT name FROM users;"
    "CREATE TRIGGER noted AFTER INSERT ON posts BEGIN INSERT INTO pairs VALUES (NEW.rowid, 1); END;"
    "CREATE VIRTUAL TABLE words USING fts5(body);"
    "INSERT INTO users (name) VALUES ('a'), ('b'), ('c'); DELETE FROM users WHERE name = 'c';"
    "INSERT INTO posts (rowid, author, body) VALUES (5, 1, x'00ff00'), (9, 77, 'text'), (11, NULL, "
    "1.5);"
    "INSERT INTO rowids VALUES ('r', 1); INSERT INTO words VALUES ('hello world'), ('good bye');"
    "PRAGMA user_version = 42";

static const char lite_later[] = "DROP TABLE posts; DROP VIEW names; CREATE TABLE names (x); ALTER "
                                 "TABLE users ADD COLUMN extra INT; DELETE FROM pairs;"
                                 "CREATE TABLE newer (x INTEGER PRIMARY KEY AUTOINCREMENT); INSERT "
                                 "INTO newer VALUES (900); DELETE FROM words;"
                                 "CREATE TRIGGER stop BEFORE INSERT ON pairs BEGIN SELECT "
                                 "RAISE(ABORT, 'no'); END; PRAGMA user_version = 43;"
                                 "INSERT INTO users (name) VALUES ('x'), ('y'), ('z')";

static void a_restored_sqlite_file_is_the_one_that_was_backed_up(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    round_trip(f, lite_made, lite_later, "INSERT INTO users (name) VALUES ('later')");
    assert_string_equal(
        fixture_value(f,
                      "SELECT group_concat(rowid) FROM (SELECT rowid FROM posts ORDER BY rowid)"),
        "5,9,11");
    assert_string_equal(fixture_value(f, "SELECT user_version FROM pragma_user_version"), "42");
    assert_string_equal(fixture_value(f, "SELECT seq FROM sqlite_sequence WHERE name = 'users'"),
                        "3");
    assert_string_equal(fixture_value(f, "SELECT rowid FROM words WHERE words MATCH 'bye'"), "2");
    assert_string_equal(fixture_value(f, "PRAGMA integrity_check"), "ok");
    fixture_exec(f, "INSERT INTO words(words) VALUES ('integrity-check')");
    fixture_end(f);
}

/* ---- what is no backup ---- */

static void refuse_bad_files(struct fixture *f, const char *made)
{
    fixture_exec(f, made);
    const char *fingerprint = NULL;
    const char *path = backup(f, &fingerprint);
    fixture_exec(f, "CREATE TABLE since (x int)");
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    const char *was = dump(f);
    char *bytes = NULL;
    size_t len = 0;
    assert_ok(file_read(&f->arena, path, 64 << 20, &bytes, &len, &f->error));
    const char *bad = arena_printf(&f->arena, "%s/bad", f->dir);
    assert_int_equal(restore(f, (struct db_restore_action){.path = arena_printf(
                                                               &f->arena, "%s/missing", f->dir)}),
                     E_NOT_FOUND);
    assert_int_equal(restore(f, (struct db_restore_action){.path = "relative"}), E_INVALID);
    assert_int_equal(restore(f, (struct db_restore_action){0}), E_INVALID);
    assert_int_equal(
        restore(f,
                (struct db_restore_action){
                    .path = path,
                    .sha256 = "0000000000000000000000000000000000000000000000000000000000000000"}),
        E_INVALID);
    assert_has(f->error.message, "nothing was changed");
    assert_ok(file_write(bad, "", 0, 0600, &f->error));
    assert_int_equal(restore(f, (struct db_restore_action){.path = bad}), E_INVALID);
    assert_ok(file_write(bad, "DROP TABLE users;\n", 18, 0600, &f->error));
    assert_int_equal(restore(f, (struct db_restore_action){.path = bad}), E_INVALID);
    assert_has(f->error.message, "is no whole backup");
    for (size_t part = 1; part <= 9; part += 2) { /* cut short */
        assert_ok(file_write(bad, bytes, len * part / 10, 0600, &f->error));
        assert_int_equal(restore(f, (struct db_restore_action){.path = bad}), E_INVALID);
    }
    assert_string_equal(dump(f), was);
    assert_string_equal(fence(f), "7");
}

static void what_is_no_backup_is_refused_before_anything_goes(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    refuse_bad_files(f, base);
    fixture_end(f);
    fixture_sqlite(f);
    refuse_bad_files(f, lite_made);
    fixture_end(f);
}

static void an_old_fence_restores_nothing(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    for (int lite = 0; lite < 2; lite++) {
        lite ? fixture_sqlite(f) : fixture_postgres(f);
        fixture_exec(f, lite ? lite_made : base);
        const char *fingerprint = NULL;
        const char *path = backup(f, &fingerprint);
        assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
        fixture_exec(f, "CREATE TABLE since (x int)");
        const char *was = dump(f);
        /* Past all checks of our own: only the server itself can say no. */
        struct db_session s = {0};
        struct db_work stale = {
            .run = "old", .step = "1.1", .item = "restore", .digest = "d", .fence = 3};
        fixture_open(f, &s, "old");
        s.restoring = &stale;
        int rc = s.engine->restore(&s, &f->act, &f->database, path, &f->error);
        assert_int_equal(rc, E_DENIED);
        assert_has(f->error.message, "the fence is old");
        db_close(&s);
        assert_string_equal(dump(f), was);
        fixture_end(f);
    }
}

/* ---- killed ---- */

static pid_t restore_in_child(struct fixture *f, const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 2);
        _exit(restore(f, (struct db_restore_action){.path = path}) == 0 ? 0 : 1);
    }
    return pid;
}

/* The worker dies while its psql stands in the middle of the drops. */
static void a_killed_restore_leaves_the_old_and_a_retry_finishes(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    const char *fingerprint = NULL;
    const char *path = backup(f, &fingerprint);
    const char *first = pg_dump(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    fixture_exec(f, "CREATE TABLE since (x int); INSERT INTO since VALUES (1)");
    struct db_session app = {0};
    fixture_open(f, &app, "x");
    assert_ok(db_exec(&app,
                      "SET application_name = 'app'; BEGIN; LOCK TABLE users IN ACCESS SHARE MODE",
                      &f->error));
    f->act.step = "7.1";
    pid_t worker = restore_in_child(f, path);
    static const char waits[] = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
                                "'lockstep %' AND query LIKE 'DROP%' AND wait_event_type = 'Lock'";
    while (strcmp(fixture_value(f, waits), "1") != 0) {
        process_sleep_ms(10);
    }
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM since"), "1");
    /* psql alone, without its worker: killed by the next attempt. The lock is let go when that attempt is under way too. */
    worker = restore_in_child(f, path);
    while (strcmp(fixture_value(f, waits), "2") != 0 && strcmp(fixture_value(f, waits), "1") != 0) {
        process_sleep_ms(10);
    }
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM since"), "1");
    db_close(&app);
    int status = 0;
    waitpid(worker, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        assert_ok(restore(f, (struct db_restore_action){.path = path}));
    }
    assert_ok(restore(f, (struct db_restore_action){.path = path}));
    assert_has(f->act.facts, "\"already\":true");
    fixture_unlock(f, &f->act, FORMAT_MORPH);
    fixture_exec(f, "DROP TABLE db_lock");
    assert_string_equal(pg_dump(f), first);
    fixture_end(f);
}

static void a_killed_sqlite_restore_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    unsigned seed = getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    printf("SEED=%u\n", seed);
    srand(seed);
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    fixture_exec(f, lite_made);
    fixture_exec(f,
                 "CREATE TABLE big (x INTEGER PRIMARY KEY, y TEXT);"
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
                 " INSERT INTO big SELECT i, hex(randomblob(40)) FROM n");
    const char *fingerprint = NULL;
    const char *path = backup(f, &fingerprint);
    const char *first = lite_dump(f);
    assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 3000));
    fixture_exec(f, lite_later);
    const char *was = lite_dump(f);
    for (int i = 0; i < 6; i++) {
        f->act.step = arena_printf(&f->arena, "8.%d", i);
        pid_t worker = restore_in_child(f, path);
        process_sleep_ms(rand() % 400);
        kill(worker, SIGKILL);
        waitpid(worker, NULL, 0);
        const char *now = lite_dump(f);
        if (strcmp(now, was) != 0 && strcmp(now, first) != 0) {
            fail_msg("kill %d left neither the old nor the new", i);
        }
        assert_string_equal(fence(f), "7");
        was = now;
    }
    f->act.step = "8.9";
    assert_ok(restore(f, (struct db_restore_action){.path = path, .fingerprint = fingerprint}));
    assert_string_equal(lite_dump(f), first);
    fixture_end(f);
}

/* ---- the site's own procedure ---- */

static int own(struct fixture *f, struct db_backup_action a, const char *script)
{
    const char *words[] = {"/bin/sh", "-c", script, "sh", f->dir};
    struct command command = {.argv = {.items = words, .count = 5}, .output_bytes_max = 65536};
    a.database = f->database;
    a.command = &command;
    struct action action = {.db_backup = &a};
    f->act.facts = NULL;
    return act_db_backup(&f->act, &action, &f->error);
}

static void a_sites_own_backup_is_young_whole_and_verified(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    static const char makes[] = "echo made >> \"$1/count\"; echo data > \"$1/site-$$.dump\"";
    const char *good[] = {"/bin/sh", "-c", "grep -q data \"$BACKUP_FILE\""};
    const char *bad[] = {"/bin/sh", "-c", "grep -q else \"$BACKUP_FILE\""};
    struct command verify = {.argv = {.items = good, .count = 3}, .output_bytes_max = 65536};
    struct db_backup_action a = {.file = arena_printf(&f->arena, "%s/site-*.dump", f->dir),
                                 .verify = &verify};
    assert_int_equal(own(f, a, "true"), E_IO);
    assert_has(f->error.message, "no such file is there");
    assert_int_equal(own(f, a, ": > \"$1/site-0.dump\""), E_IO);
    assert_has(f->error.message, "the newest is empty");
    assert_ok(file_remove(arena_printf(&f->arena, "%s/site-0.dump", f->dir), &f->error));
    assert_ok(own(f, a, makes));
    assert_has(f->act.facts, "\"made\":true");
    /* An old one does not count … */
    assert_int_equal(
        system(arena_printf(&f->arena, "touch -d '2 days ago' %s/site-*.dump", f->dir)), 0);
    assert_int_equal(own(f, a, "true"), E_IO);
    assert_has(f->error.message, "old");
    a.max_age_ms = 24 * 3600 * 1000;
    assert_int_equal(own(f, a, "true"), E_IO);
    /* … is made anew, and a young one is not. */
    assert_ok(own(f, a, makes));
    assert_has(f->act.facts, "\"made\":true");
    assert_ok(own(f, a, makes));
    assert_has(f->act.facts, "\"made\":false");
    char *count = NULL;
    size_t len = 0;
    assert_ok(file_read(&f->arena, arena_printf(&f->arena, "%s/count", f->dir), 4096, &count, &len,
                        &f->error));
    assert_string_equal(count, "made\nmade\n");
    verify.argv.items = bad;
    assert_int_equal(own(f, a, makes), E_IO);
    assert_has(f->error.message, "the backup was not verified");
    fixture_end(f);
}

static void a_backup_names_what_stood_half_done_in_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    fixture_exec(f, "CREATE TABLE users (name TEXT)");
    struct db_session s = {0};
    struct db_work open = {.run = "run-1",
                           .step = "9.9",
                           .item = "two",
                           .digest = "d",
                           .ledger = "db_migrations",
                           .file = "000002_two.up.sql",
                           .fence = 3};
    fixture_open(f, &s, "x");
    assert_ok(db_evidence_create(&s, f->act.deadline_ms, &f->error));
    assert_ok(db_intent_add(&s, &open, &(struct db_progress){0}, &f->error));
    db_close(&s);
    struct db_backup_action a = {.database = f->database,
                                 .directory = arena_printf(&f->arena, "%s/backups", f->dir)};
    struct action action = {.db_backup = &a};
    assert_ok(act_db_backup(&f->act, &action, &f->error));
    assert_has(f->act.facts, "\"half_done\":[\"000002_two.up.sql\"]");
    /* The same step again finds its file, and knows it still. */
    assert_ok(act_db_backup(&f->act, &action, &f->error));
    assert_has(f->act.facts, "\"half_done\":[\"000002_two.up.sql\"]");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_database_is_the_one_that_was_backed_up),
        cmocka_unit_test(a_restored_sqlite_file_is_the_one_that_was_backed_up),
        cmocka_unit_test(what_is_no_backup_is_refused_before_anything_goes),
        cmocka_unit_test(an_old_fence_restores_nothing),
        cmocka_unit_test(a_killed_restore_leaves_the_old_and_a_retry_finishes),
        cmocka_unit_test(a_killed_sqlite_restore_leaves_the_old_or_the_new),
        cmocka_unit_test(a_sites_own_backup_is_young_whole_and_verified),
        cmocka_unit_test(a_backup_names_what_stood_half_done_in_it),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
