/*
 * Once: a set of migrations of every kind is broken at every point, before and after every statement that the runner
 * sends: its process is killed, or its session ended on the server. Then the step runs again to its end, and a person
 * answers what is asked. Schema, rows and ledger must be those of an undisturbed run; and it may only have asked where
 * what stands there cannot tell. The list of those points is written out below.
 */
#include "tests/unit/io/db/matrix.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/migration/migration.h"

#define ITEMS_MAX 16

/* Every point once; the sanitizers, which look for other mistakes, are shown each fifth. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POINT_STRIDE 5
#endif
#endif
#ifndef POINT_STRIDE
#define POINT_STRIDE 1
#endif

#define BARE "-- morph:nontransactional\n"

struct script_of {
    const char *id, *sql; /* sql NULL: there is no script, the ledger moves */
};

/* One row of the matrix. */
struct set {
    const char *name;
    void (*make)(struct fixture *);
    int format;
    bool down;
    const char *before; /* run once for every point */
    struct script_of scripts[ITEMS_MAX];
    const char *reset;  /* back to an empty database; the lock stays */
    const char *state;  /* schema, rows and ledger as one text */
    const char *answer; /* what a person does before `retry` */
    const char *asked;  /* the points at which it asks, each with its breaks */
};

/* `ledger`: what the tool's own table says, as text. */
#define STATE_OF(ledger)                                                                           \
    "SELECT (" ledger ") || '|' || coalesce((SELECT string_agg(attrelid::regclass || '.' ||"       \
    " attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attrelid::regclass::text,"  \
    " attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND relkind"  \
    " = 'r' AND relnamespace = 'public'::regnamespace), '') || '|' ||"                             \
    " coalesce((SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ',' ORDER BY"         \
    " indexrelid::regclass::text) FROM pg_index JOIN pg_class c ON c.oid = indexrelid"             \
    " WHERE relnamespace = 'public'::regnamespace), '') || '|' ||"                                 \
    " coalesce((SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum), '') ||"    \
    " '|' || (SELECT v FROM n)"
#define STATE_PG                                                                                   \
    STATE_OF("SELECT string_agg(version || ':' || name, ',' ORDER BY version) FROM db_migrations")

/* The tool's state of a version is its newest row. */
#define SOURCEGRAPH_LEDGER                                                                         \
    "SELECT string_agg(version || ':' || up || ':' || success, ',' ORDER BY version) FROM (SELECT" \
    " DISTINCT ON (version) version, up, success FROM migration_logs ORDER BY version,"            \
    " backfilled, started_at DESC) newest"

#define RESET_PG                                                                                   \
    "DROP TABLE IF EXISTS a, own, moods, prog, goose_db_version CASCADE;"                          \
    "DROP TYPE IF EXISTS mood; DROP TABLE IF EXISTS n; CREATE TABLE n (v int); INSERT INTO n"      \
    " VALUES (0); DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['db_migrations',"           \
    " 'schema_migrations', 'lockstep.evidence', 'lockstep.intent'] LOOP IF to_regclass(t) IS NOT"  \
    " NULL THEN EXECUTE 'DELETE FROM ' || t; END IF; END LOOP; END $$"

static const struct set sets[] = {
    {.name = "morph up, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_MORPH,
     .scripts = {{"create", "CREATE TABLE a (x int);\nCREATE TYPE mood AS ENUM ('sad');\n"
                            "CREATE TABLE moods (m mood); UPDATE n SET v = v + 1;"},
                 {"rows", "INSERT INTO a SELECT generate_series(1, 100); UPDATE n SET v = v + 10;"},
                 {"index", BARE "CREATE INDEX CONCURRENTLY a_x ON a (x);"},
                 {"own", "BEGIN;\nCREATE TABLE own (x int);\nUPDATE n SET v = v + 100;\nCOMMIT;"},
                 {"parts", "BEGIN ISOLATION LEVEL SERIALIZABLE; ALTER TABLE own ADD y int; "
                           "COMMIT;\nUPDATE n SET v = v + 1000;\n"
                           "BEGIN; ALTER TABLE own ADD z int; COMMIT;"},
                 {"value", BARE "ALTER TYPE mood ADD VALUE 'glad';"},
                 {"use", "INSERT INTO moods VALUES ('glad');"},
                 {"second", BARE "CREATE UNIQUE INDEX CONCURRENTLY a_y ON a (x);"},
                 {"upkeep", BARE "VACUUM a;"},
                 {"unindex", BARE "DROP INDEX CONCURRENTLY a_x;"},
                 {"empty", "-- nothing"},
                 {"none", NULL},
                 {"program",
                  BARE "DO $$ BEGIN UPDATE n SET v = v + 10000; COMMIT; CREATE TABLE prog (x "
                       "int); END $$;"}},
     .reset = RESET_PG,
     .state = STATE_PG,
     .answer = "DO $$ BEGIN IF (SELECT v >= 10000 FROM n) THEN UPDATE n SET v = v - 10000; END "
               "IF; DROP TABLE IF EXISTS prog; END $$",
     /* What a program with a COMMIT of its own has done cannot be seen. */
     .asked = "before -- morph:nontransactiona\n"
              "before BEGIN\n"
              "before INSERT INTO \"public\".\"db\n"
              "before INSERT INTO lockstep.evi\n"
              "before DELETE FROM lockstep.int\n"
              "before COMMIT\n"},
    {.name = "morph down, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_MORPH,
     .down = true,
     .before = "CREATE TABLE IF NOT EXISTS db_migrations (version bigint not null primary key,"
               " name varchar not null);"
               "INSERT INTO db_migrations VALUES (1, 'drop'), (2, 'rows'), (3, 'index'), (4, "
               "'own'), (9, 'kept');"
               "CREATE TABLE a (x int); CREATE INDEX a_x ON a (x); CREATE TABLE own (x int);",
     .scripts = {{"drop", BARE "DROP INDEX CONCURRENTLY IF EXISTS a_x;"},
                 {"rows", "UPDATE n SET v = v + 1;"},
                 {"index", BARE "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_z ON public.a (x);"},
                 {"own", "BEGIN; DROP TABLE own; UPDATE n SET v = v + 10; COMMIT;"}},
     .reset = RESET_PG,
     .state = STATE_PG,
     .asked = ""},
    {.name = "golang-migrate up, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_GOLANG_MIGRATE,
     .scripts = {{"1", "CREATE TABLE a (x int); UPDATE n SET v = v + 1;"},
                 {"2", "CREATE INDEX CONCURRENTLY a_x ON a (x)"},
                 {"3", "BEGIN; CREATE TABLE own (x int); COMMIT; UPDATE n SET v = v + 10;"}},
     .reset = RESET_PG,
     .state = STATE_OF("SELECT string_agg(version || ':' || dirty, ',') FROM schema_migrations"),
     .asked = ""},
    {.name = "goose up, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_GOOSE,
     .scripts = {{"1", "-- +goose Up\nCREATE TABLE a (x int);\nUPDATE n SET v = v + 1;\n"
                       "-- +goose Down\nDROP TABLE a;\n"},
                 {"2", "-- +goose NO TRANSACTION\n-- +goose Up\nSET work_mem = '5MB';\n"
                       "UPDATE n SET v = v + 10;\nCREATE INDEX CONCURRENTLY a_x ON a (x);\n"
                       "UPDATE n SET v = v + 100;\n-- +goose Down\nDROP INDEX a_x;\n"}},
     .reset = RESET_PG,
     .state = STATE_OF("SELECT string_agg(version_id || ':' || is_applied, ',' ORDER BY id) FROM "
                       "goose_db_version"),
     .asked = ""},
    {.name = "Sourcegraph up, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_SOURCEGRAPH,
     .scripts = {{"1", "CREATE TABLE a (x int);\nUPDATE n SET v = v + 1;"},
                 {"2", "CREATE INDEX CONCURRENTLY a_x ON a (x);"},
                 {"3", "BEGIN;\nCREATE TABLE own (x int);\nUPDATE n SET v = v + 10;\nCOMMIT;"}},
     .reset = RESET_PG,
     .state = STATE_OF(SOURCEGRAPH_LEDGER),
     .asked = ""},
    {.name = "Sourcegraph down, PostgreSQL",
     .make = fixture_postgres,
     .format = FORMAT_SOURCEGRAPH,
     .down = true,
     .before = "CREATE TABLE IF NOT EXISTS migration_logs (id serial PRIMARY KEY,"
               " migration_logs_schema_version int NOT NULL, schema text NOT NULL, version int NOT"
               " NULL, up bool NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz,"
               " success bool, error_message text, backfilled bool NOT NULL DEFAULT false);"
               "INSERT INTO migration_logs (migration_logs_schema_version, schema, version, up,"
               " started_at, finished_at, success) SELECT 2, 'schema_migrations', v, true, now(),"
               " now(), true FROM generate_series(1, 3) v;"
               "CREATE TABLE a (x int); CREATE INDEX a_x ON a (x); CREATE TABLE own (x int);",
     .scripts = {{"1", "DROP TABLE own;\nUPDATE n SET v = v + 1;"},
                 {"2", "DROP INDEX IF EXISTS a_x;\nUPDATE n SET v = v + 10;"}},
     .reset = RESET_PG,
     .state = STATE_OF(SOURCEGRAPH_LEDGER),
     .asked = ""},
    {.name = "morph up, SQLite",
     .make = fixture_sqlite,
     .format = FORMAT_MORPH,
     .scripts = {{"create", "CREATE TABLE a (x int);\nUPDATE n SET v = v + 1;"},
                 {"rows", "INSERT INTO a VALUES (1); UPDATE n SET v = v + 10;"},
                 {"own", "BEGIN;\nCREATE TABLE own (x int);\nUPDATE n SET v = v + 100;\nCOMMIT;"},
                 {"parts", BARE "PRAGMA foreign_keys = 0;\nBEGIN IMMEDIATE;\nALTER TABLE own ADD y "
                                "int;\nUPDATE n SET v = v + 1000;\nCOMMIT;\nVACUUM;\nUPDATE n SET "
                                "v = v + 10000;"},
                 {"empty", "-- nothing"},
                 {"none", NULL}},
     .reset = "DROP TABLE IF EXISTS a; DROP TABLE IF EXISTS own; DROP TABLE IF EXISTS n;"
              "CREATE TABLE n (v int); INSERT INTO n VALUES (0);"
              "CREATE TABLE IF NOT EXISTS db_migrations (Version bigint not null primary key,"
              " Name varchar not null); DELETE FROM db_migrations",
     .state = "SELECT (SELECT group_concat(version || ':' || name) FROM db_migrations) || '|' ||"
              " (SELECT group_concat(name || sql, ';') FROM (SELECT name, sql FROM sqlite_master"
              " WHERE name NOT LIKE '%lockstep%' ORDER BY name)) || '|' || (SELECT v FROM n)",
     .asked = ""},
    {.name = "morph up, MariaDB",
     .make = fixture_mariadb,
     .format = FORMAT_MORPH,
     .scripts = {{"create", "CREATE TABLE a (x int);\nUPDATE n SET v = v + 1;"},
                 {"rows", "INSERT INTO a VALUES (1); UPDATE n SET v = v + 10;"},
                 {"index", "CREATE INDEX a_x ON a (x);"},
                 {"own", "START TRANSACTION;\nUPDATE n SET v = v + 100;\nINSERT INTO a VALUES (2);"
                         "\nCOMMIT;"},
                 {"parts",
                  "ALTER TABLE a ADD y int;\nUPDATE n SET v = v + 1000;\nALTER TABLE a DROP "
                  "COLUMN y, ADD z int;"},
                 {"view", "CREATE VIEW w AS SELECT x FROM a;"},
                 {"body",
                  "CREATE PROCEDURE p() BEGIN INSERT INTO a (x) VALUES (3); UPDATE n SET v = "
                  "v + 10000; END"},
                 {"empty", "-- nothing"},
                 {"none", NULL}},
     .reset = "DROP TABLE IF EXISTS a; DROP VIEW IF EXISTS w; DROP PROCEDURE IF EXISTS p;"
              "DROP TABLE IF EXISTS n; CREATE TABLE n (v int); INSERT INTO n VALUES (0);"
              "CREATE TABLE IF NOT EXISTS db_migrations (Version bigint(20) NOT NULL, Name "
              "varchar(64) NOT NULL, PRIMARY KEY (Version)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
              "DELETE FROM db_migrations",
     .state =
         "SELECT CONCAT_WS('|', (SELECT GROUP_CONCAT(version, ':', name ORDER BY version) FROM "
         "db_migrations), (SELECT GROUP_CONCAT(TABLE_NAME, '.', COLUMN_NAME, ' ', COLUMN_KEY "
         "ORDER BY TABLE_NAME, ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE "
         "TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE 'lockstep%'), (SELECT "
         "GROUP_CONCAT(ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = "
         "DATABASE()), (SELECT GROUP_CONCAT(x ORDER BY x) FROM a), (SELECT v FROM n))",
     .asked = ""},
};

/* ---- one point ---- */

struct point {
    struct fixture *f;
    enum how how;
    size_t left; /* events until it breaks */
    char at[64]; /* what was about to be sent, or had been */
    bool broke;
};

static void note(struct point *p, const char *when, const char *sql)
{
    snprintf(p->at, sizeof(p->at), "%s %.24s", when, sql);
    for (char *c = p->at; *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : *c;
    }
}

/* The runner's sessions, not the holder's. */
static void end_session(struct fixture *f)
{
    if (f->kind == DB_MARIADB) {
        const char *id = fixture_value(
            f, "SELECT MAX(p.ID) FROM information_schema.PROCESSLIST p JOIN"
               " performance_schema.session_account_connect_attrs a ON a.PROCESSLIST_ID = p.ID AND"
               " a.ATTR_NAME = 'program_name' WHERE a.ATTR_VALUE LIKE 'lockstep run-%' AND p.ID <>"
               " (SELECT backend_pid FROM lockstep_holder)");
        if (id[0] == '\0') {
            return;
        }
        fixture_exec(f, arena_printf(&f->arena, "KILL %s", id));
        const char *there = arena_printf(
            &f->arena, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %s", id);
        for (int i = 0; i < 500 && fixture_value(f, there)[0] != '0'; i++) {
            usleep(2000);
        }
        return;
    }
    fixture_value(f, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE "
                     "application_name LIKE 'lockstep run-%' AND pid <> (SELECT backend_pid FROM "
                     "lockstep.holder)");
}

static void event(struct point *p, const char *when, const char *sql)
{
    if (p->broke || p->left-- > 0) {
        return;
    }
    p->broke = true;
    note(p, when, sql);
    if (p->how == KILL_PROCESS) {
        kill(getpid(), SIGKILL);
    }
    end_session(p->f);
}

static void before(void *context, const char *sql)
{
    event(context, "before", sql);
}

/* After a statement is before the next one, for the database; only a COMMIT's answer is worth a point of its own. */
static bool is_commit(const char *sql)
{
    return strstr(sql, "COMMIT") != NULL && strlen(sql) < sizeof(" \nCOMMIT;\n");
}

static void after(void *context, const char *sql)
{
    if (is_commit(sql)) {
        event(context, "after", sql);
    }
}

static size_t make_items(struct fixture *f, const struct set *set, struct migration_item *items)
{
    size_t n = 0;
    while (n < ITEMS_MAX && set->scripts[n].id != NULL) {
        const char *sql = set->scripts[n].sql;
        items[n] = fixture_item(f, (int64_t)n + 1, set->scripts[n].id, sql != NULL ? sql : "");
        items[n].sha256 = sql != NULL ? items[n].sha256 : NULL;
        items[n].transactional =
            items[n].transactional && (sql == NULL || strstr(sql, "NO TRANSACTION") == NULL);
        items[n].previous = (int64_t)n;
        n++;
    }
    return n;
}

static int migrate(struct fixture *f, const struct set *set, struct point *point)
{
    struct migration_item items[ITEMS_MAX];
    size_t n = make_items(f, set, items);
    struct db_trace trace = {.before = before, .context = point, .after = after};
    struct db_migrate_tuning tuning = {.trace = point != NULL ? &trace : NULL};
    struct db_migrate_action migrate = {.database = f->database,
                                        .format = set->format,
                                        .down = set->down,
                                        .items = {.items = items, .count = n}};
    return db_migrate(&f->act, &migrate, &tuning, &f->error);
}

/* Breaks at the point. *ret_rc: what came of it where the runner lived on. False: the run has no such point. */
static bool run_broken(struct fixture *f, const struct set *set, struct point *point, int *ret_rc)
{
    *ret_rc = 0;
    if (point->how == END_SESSION) {
        *ret_rc = migrate(f, set, point);
        return point->broke;
    }
    pid_t child = fork();
    if (child == 0) {
        _exit(migrate(f, set, point) == 0 ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    if (!WIFSIGNALED(ended)) {
        assert_int_equal(WEXITSTATUS(ended), 0);
        return false;
    }
    return true;
}

static void prepare(struct fixture *f, const struct set *set)
{
    fixture_exec(f, set->reset);
    if (f->server == NULL) {
        fixture_exec(f, "DELETE FROM lockstep_evidence; DELETE FROM lockstep_intent");
    }
    if (set->before != NULL) {
        fixture_exec(f, set->before);
    }
}

static void open_matrix(struct fixture *f, const struct set *set)
{
    set->make(f);
    assert_ok(fixture_lock(f, &f->act, set->format, 5000));
    prepare(f, set);
}

/* To its end, answering; true when it asked. */
static bool finish(struct fixture *f, const struct set *set, int rc)
{
    bool asked = false;
    f->act.attempt = 1;
    f->act.deadline_ms = act_now_ms() + 120000;
    rc = rc == E_UNKNOWN ? rc : migrate(f, set, NULL);
    if (rc == E_UNKNOWN) {
        asked = true;
        assert_int_equal(migrate(f, set, NULL), E_UNKNOWN); /* the same attempt is no answer */
        if (set->answer == NULL) {
            fail_msg("%s asks: %s", set->name, f->error.message);
        }
        fixture_exec(f, set->answer);
        f->act.attempt = 2;
        rc = migrate(f, set, NULL);
        f->act.attempt = 1;
    }
    assert_ok(rc);
    return asked;
}

/* What a kill was before: the child's memory is gone, so the statements of an undisturbed run are listed first. */
struct points {
    char at[1024][64];
    size_t count;
};

static void list_before(void *context, const char *sql)
{
    struct points *list = context;
    struct point p = {0};
    assert_true(list->count < ARRAY_SIZE(list->at));
    note(&p, "before", sql);
    memcpy(list->at[list->count++], p.at, sizeof(p.at));
}

static void list_after(void *context, const char *sql)
{
    struct points *list = context;
    struct point p = {0};
    assert_true(list->count < ARRAY_SIZE(list->at));
    if (is_commit(sql)) {
        note(&p, "after", sql);
        memcpy(list->at[list->count++], p.at, sizeof(p.at));
    }
}

static void list_points(struct fixture *f, const struct set *set, struct points *list)
{
    struct migration_item items[ITEMS_MAX];
    size_t n = make_items(f, set, items);
    struct db_trace trace = {.before = list_before, .context = list, .after = list_after};
    struct db_migrate_tuning tuning = {.trace = &trace};
    struct db_migrate_action migrate = {.database = f->database,
                                        .format = set->format,
                                        .down = set->down,
                                        .items = {.items = items, .count = n}};
    assert_ok(db_migrate(&f->act, &migrate, &tuning, &f->error));
}

static void run_set(const struct set *set, enum how how)
{
    struct fixture fixture, *f = &fixture;
    open_matrix(f, set);
    assert_ok(migrate(f, set, NULL)); /* the first run makes tables that the others find */
    prepare(f, set);
    static struct points points;
    points.count = 0;
    list_points(f, set, &points);
    const char *undisturbed = arena_strdup(&f->arena, fixture_value(f, set->state));
    struct buf asked;
    buf_init(&asked, &f->arena, 65536);
    size_t breaks = 0;
    for (size_t at = 0; at < points.count; at += POINT_STRIDE) {
        prepare(f, set);
        struct point point = {.f = f, .how = how, .left = at};
        int rc = 0;
        assert_true(run_broken(f, set, &point, &rc));
        breaks++;
        if (finish(f, set, rc)) {
            buf_printf(&asked, "%s\n", points.at[at]);
        }
        const char *state = fixture_value(f, set->state);
        if (strcmp(state, undisturbed) != 0) {
            fail_msg("%s, broken %s (%zu):\n%s\nundisturbed:\n%s", set->name, points.at[at], at,
                     state, undisturbed);
        }
        const char *open = f->server != NULL ? "SELECT count(*) FROM lockstep.intent"
                                             : "SELECT count(*) FROM lockstep_intent";
        assert_string_equal(fixture_value(f, open), "0");
    }
    print_message("%s: broken at %zu points\n", set->name, breaks);
    assert_true(breaks * POINT_STRIDE > 10);
    if (POINT_STRIDE == 1) {
        assert_string_equal(buf_text(&asked), set->asked);
    }
    assert_ok(fixture_unlock(f, &f->act, set->format));
    fixture_end(f);
}

void matrix_run(enum how how)
{
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        if (how == KILL_PROCESS || sets[i].make != fixture_sqlite) { /* a file has no sessions */
            run_set(&sets[i], how);
        }
    }
}
