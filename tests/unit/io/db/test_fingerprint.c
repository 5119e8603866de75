/*
 * What a fingerprint sees and what it does not. The independent answer is pg_dump's: two schemas are equal when
 * their dumps are.
 */
#include "tests/unit/io/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/io/db/fingerprint.h"

/* Each is undone by its other half, and none needs another one. */
struct change {
    const char *make;
    const char *undo;
};

static const char base[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok');"
    "CREATE DOMAIN short AS varchar(20);"
    "CREATE TYPE pair AS (a int, b text);"
    "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(10) NOT NULL, age int, mail text "
    "DEFAULT 'none');"
    "CREATE TABLE posts (id bigserial PRIMARY KEY, author bigint NOT NULL, body text, at "
    "timestamptz DEFAULT now(),"
    " CONSTRAINT posts_author FOREIGN KEY (author) REFERENCES users (id), CONSTRAINT body_there "
    "CHECK (body <> ''));"
    "CREATE TABLE facts (a int, b int, c text, d text, e int NOT NULL);"
    "CREATE TABLE more (a int, b int, c text);"
    "CREATE INDEX posts_at ON posts (at);"
    "CREATE INDEX posts_body ON posts (body);"
    "CREATE SEQUENCE tickets;"
    "CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + b';"
    "CREATE FUNCTION old() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN "
    "NEW; END $$;"
    "CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
    "CREATE TRIGGER touched BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE VIEW authors AS SELECT id, name FROM users;"
    "CREATE MATERIALIZED VIEW counts AS SELECT author, count(*) AS n FROM posts GROUP BY author;"
    "CREATE TABLE events (k int, at timestamptz NOT NULL) PARTITION BY RANGE (at);"
    "CREATE TABLE shards (k int) PARTITION BY HASH (k);"
    "CREATE TABLE parent (x int);"
    "CREATE POLICY mine ON users USING (true);"
    "CREATE SCHEMA other;"
    "CREATE TABLE other.posts (id int);"
    "CREATE TABLE other.kept (id int);";

static const struct change changes[] = {
    {"ALTER TABLE facts ADD COLUMN f int", "ALTER TABLE facts DROP COLUMN f"},
    {"ALTER TABLE more DROP COLUMN c", "ALTER TABLE more ADD COLUMN c text"},
    {"ALTER TABLE facts RENAME COLUMN c TO cc", "ALTER TABLE facts RENAME COLUMN cc TO c"},
    {"ALTER TABLE facts ALTER a TYPE bigint", "ALTER TABLE facts ALTER a TYPE int"},
    {"ALTER TABLE facts ALTER b SET NOT NULL", "ALTER TABLE facts ALTER b DROP NOT NULL"},
    {"ALTER TABLE more ALTER a SET DEFAULT 7", "ALTER TABLE more ALTER a DROP DEFAULT"},
    {"ALTER TABLE users ALTER mail SET DEFAULT 'x'",
     "ALTER TABLE users ALTER mail SET DEFAULT 'none'"},
    {"ALTER TABLE facts ALTER d TYPE text COLLATE \"C\"",
     "ALTER TABLE facts ALTER d TYPE text COLLATE \"default\""},
    {"ALTER TABLE facts ALTER e ADD GENERATED ALWAYS AS IDENTITY",
     "ALTER TABLE facts ALTER e DROP IDENTITY"},
    {"ALTER TABLE more ADD COLUMN twice int GENERATED ALWAYS AS (b * 2) STORED",
     "ALTER TABLE more DROP COLUMN twice"},
    {"ALTER TABLE other.posts RENAME TO notes", "ALTER TABLE other.notes RENAME TO posts"},
    {"ALTER TABLE other.kept ADD UNIQUE (id)",
     "ALTER TABLE other.kept DROP CONSTRAINT kept_id_key"},
    {"ALTER TABLE parent SET UNLOGGED", "ALTER TABLE parent SET LOGGED"},
    {"CREATE TABLE child () INHERITS (parent)", "DROP TABLE child"},
    {"CREATE TABLE shard0 PARTITION OF shards FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
     "DROP TABLE shard0"},
    {"CREATE TABLE events_rest PARTITION OF events DEFAULT", "DROP TABLE events_rest"},
    {"ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17)",
     "ALTER TABLE users DROP CONSTRAINT grown"},
    {"ALTER TABLE users ADD CONSTRAINT old CHECK (age < 150) NOT VALID",
     "ALTER TABLE users DROP CONSTRAINT old"},
    {"ALTER TABLE users ADD CONSTRAINT mails UNIQUE (mail)",
     "ALTER TABLE users DROP CONSTRAINT mails"},
    {"ALTER TABLE users ADD CONSTRAINT one_age UNIQUE (age) DEFERRABLE",
     "ALTER TABLE users DROP CONSTRAINT one_age"},
    {"ALTER TABLE more ADD CONSTRAINT ranges EXCLUDE USING gist (int4range(a, b) WITH &&)",
     "ALTER TABLE more DROP CONSTRAINT ranges"},
    {"ALTER TABLE posts RENAME CONSTRAINT body_there TO body_is",
     "ALTER TABLE posts RENAME CONSTRAINT body_is TO body_there"},
    {"ALTER TABLE posts DROP CONSTRAINT posts_author",
     "ALTER TABLE posts ADD CONSTRAINT posts_author FOREIGN KEY (author) REFERENCES users (id)"},
    {"ALTER TABLE parent ADD PRIMARY KEY (x)",
     "ALTER TABLE parent DROP CONSTRAINT parent_pkey; ALTER TABLE parent ALTER x DROP NOT NULL"},
    {"CREATE INDEX users_age ON users (age)", "DROP INDEX users_age"},
    {"CREATE UNIQUE INDEX users_name ON users (lower(name))", "DROP INDEX users_name"},
    {"CREATE INDEX posts_some ON posts (id) WHERE body IS NULL", "DROP INDEX posts_some"},
    {"CREATE INDEX posts_with ON posts USING hash (author)", "DROP INDEX posts_with"},
    {"DROP INDEX posts_at", "CREATE INDEX posts_at ON posts (at)"},
    {"ALTER INDEX posts_body RENAME TO posts_text", "ALTER INDEX posts_text RENAME TO posts_body"},
    {"CREATE INDEX counts_n ON counts (n)", "DROP INDEX counts_n"},
    {"CREATE TYPE size AS ENUM ('s')", "DROP TYPE size"},
    {"ALTER TYPE mood ADD VALUE 'fine' BEFORE 'ok'",
     "DROP TYPE mood; CREATE TYPE mood AS ENUM ('sad', 'ok')"},
    {"ALTER TYPE pair ADD ATTRIBUTE c int", "ALTER TYPE pair DROP ATTRIBUTE c"},
    {"CREATE TYPE span AS RANGE (subtype = int)", "DROP TYPE span"},
    {"ALTER DOMAIN short ADD CONSTRAINT filled CHECK (value <> '')",
     "ALTER DOMAIN short DROP CONSTRAINT filled"},
    {"ALTER DOMAIN short SET NOT NULL", "ALTER DOMAIN short DROP NOT NULL"},
    {"CREATE FUNCTION minus(a int) RETURNS int LANGUAGE sql AS 'SELECT -a'", "DROP FUNCTION minus"},
    {"CREATE OR REPLACE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a - b'",
     "CREATE OR REPLACE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + b'"},
    {"ALTER FUNCTION old() STRICT SECURITY DEFINER",
     "ALTER FUNCTION old() CALLED ON NULL INPUT SECURITY INVOKER"},
    {"ALTER FUNCTION touch() SET work_mem = '4MB'", "ALTER FUNCTION touch() RESET work_mem"},
    {"CREATE PROCEDURE doit() LANGUAGE sql AS 'SELECT 1'", "DROP PROCEDURE doit"},
    {"CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int)", "DROP AGGREGATE total(int)"},
    {"CREATE OPERATOR <#> (leftarg = int, rightarg = int, function = int4pl)",
     "DROP OPERATOR <#> (int, int)"},
    {"CREATE CAST (text AS pair) WITH INOUT", "DROP CAST (text AS pair)"},
    {"CREATE COLLATION mine FROM \"C\"", "DROP COLLATION mine"},
    {"CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple)",
     "DROP TEXT SEARCH CONFIGURATION plain"},
    {"CREATE SEQUENCE numbers", "DROP SEQUENCE numbers"},
    {"ALTER SEQUENCE tickets INCREMENT 5", "ALTER SEQUENCE tickets INCREMENT 1"},
    {"ALTER SEQUENCE tickets OWNED BY facts.a", "ALTER SEQUENCE tickets OWNED BY NONE"},
    {"ALTER SEQUENCE posts_id_seq AS int", "ALTER SEQUENCE posts_id_seq AS bigint"},
    {"CREATE TRIGGER again AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION touch()",
     "DROP TRIGGER again ON posts"},
    {"ALTER TABLE posts DISABLE TRIGGER touched", "ALTER TABLE posts ENABLE TRIGGER touched"},
    {"CREATE EVENT TRIGGER seen ON ddl_command_end WHEN tag IN ('CREATE DOMAIN') EXECUTE FUNCTION "
     "noted()",
     "DROP EVENT TRIGGER seen"},
    {"CREATE RULE quiet AS ON DELETE TO facts DO INSTEAD NOTHING", "DROP RULE quiet ON facts"},
    {"CREATE VIEW names AS SELECT name FROM users", "DROP VIEW names"},
    {"CREATE OR REPLACE VIEW authors AS SELECT id, name FROM users WHERE id > 0",
     "CREATE OR REPLACE VIEW authors AS SELECT id, name FROM users"},
    {"ALTER VIEW authors SET (security_barrier = true)",
     "ALTER VIEW authors RESET (security_barrier)"},
    {"CREATE MATERIALIZED VIEW ages AS SELECT id FROM users", "DROP MATERIALIZED VIEW ages"},
    {"ALTER TABLE users ENABLE ROW LEVEL SECURITY", "ALTER TABLE users DISABLE ROW LEVEL SECURITY"},
    {"CREATE POLICY yours ON posts FOR SELECT USING (author = 1)", "DROP POLICY yours ON posts"},
    {"ALTER POLICY mine ON users USING (id > 0)", "ALTER POLICY mine ON users USING (true)"},
    {"CREATE STATISTICS pairs ON a, b FROM facts", "DROP STATISTICS pairs"},
    {"CREATE EXTENSION citext", "DROP EXTENSION citext"},
    {"CREATE SCHEMA third", "DROP SCHEMA third"},
};

/* Alters nothing that counts. */
static const char *const neutral[] = {
    "COMMENT ON TABLE posts IS 'words'; COMMENT ON COLUMN posts.body IS 'more words'",
    "INSERT INTO users VALUES (1, 'a', 20, 'm'); INSERT INTO posts (author, body) VALUES (1, 'x')",
    "SELECT nextval('tickets'), setval('posts_id_seq', 4711)",
    "REFRESH MATERIALIZED VIEW counts",
    "VACUUM",
    "ANALYZE",
    "REINDEX TABLE posts",
    "CREATE ROLE \"somebody-$\"; ALTER TABLE facts OWNER TO \"somebody-$\"; GRANT SELECT ON posts "
    "TO \"somebody-$\"",
    "ALTER TABLE posts SET (fillfactor = 70, autovacuum_enabled = off)",
    "ALTER TABLE posts ALTER body SET STATISTICS 500, ALTER body SET STORAGE EXTERNAL",
    "ALTER TABLE facts DROP COLUMN a, DROP COLUMN c; ALTER TABLE facts ADD COLUMN c text; ALTER "
    "TABLE facts ADD COLUMN a int",
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');"
    "CREATE INDEX events_1_k ON events_1 (k)",
    "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN -- now\n  "
    "NEW.at :=\tnow();\n\n"
    "  /* done /* really */ */ RETURN NEW;\nEND $$",
    "CREATE TABLE db_migrations (version bigint PRIMARY KEY, name varchar NOT NULL);"
    "CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint);"
    "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);"
    "CREATE TABLE goose_db_version (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "
    "version_id bigint);"
    "CREATE TABLE goose_lock (lock_id bigint PRIMARY KEY); CREATE TABLE schema_lock (lock_id "
    "bigint "
    "PRIMARY KEY); CREATE TABLE db_config_migrations (version int); CREATE TABLE migration_logs "
    "(id serial "
    "PRIMARY KEY, schema text);"
    "CREATE INDEX logs ON migration_logs (schema); CREATE TABLE own_ledger (id serial PRIMARY KEY)",
    "CREATE SCHEMA lockstep; CREATE TABLE lockstep.fence (x int)",
    "SET TimeZone = 'Asia/Tokyo'; SET search_path = other",
};

static const char *digest(struct fixture *f, struct db_fingerprint *ret)
{
    struct db_session s = {0};
    struct db_fingerprint fingerprint;
    fixture_open(f, &s, "look");
    assert_ok(db_fingerprint_read(&s, &f->arena, &fingerprint, &f->error));
    db_close(&s);
    if (ret != NULL) {
        *ret = fingerprint;
    }
    return fingerprint.digest;
}

/* pg_dump's own idea of the schema, without what a fingerprint leaves out on purpose. */
static const char *pg_dump(struct fixture *f)
{
    setenv("PGPASSWORD", PG_PASSWORD, 1);
    FILE *out = popen(
        arena_printf(&f->arena,
                     "pg_dump -s --no-comments -N lockstep '%s' | grep -v '^.\\(un\\)\\?restrict'",
                     f->database.url),
        "r");
    assert_non_null(out);
    struct buf b;
    buf_init(&b, &f->arena, 4 << 20);
    char part[4096];
    for (size_t got; (got = fread(part, 1, sizeof(part), out)) > 0;) {
        buf_append(&b, part, got);
    }
    assert_int_equal(pclose(out), 0);
    assert_true(b.len > 1000 && !b.overflow);
    return buf_text(&b);
}

static void every_change_is_seen_and_its_reverse_too(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    struct db_fingerprint was, now;
    const char *first = digest(f, &was);
    const char *dump = pg_dump(f);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        fixture_exec(f, changes[i].make);
        if (strcmp(digest(f, &now), first) == 0) {
            fail_msg("not seen: %s", changes[i].make);
        }
        struct strings words;
        db_fingerprint_differences(&f->arena, &was, &now, &words);
        assert_true(words.count > 0);
        assert_string_not_equal(pg_dump(f), dump);
        fixture_exec(f, changes[i].undo);
        if (strcmp(digest(f, NULL), first) != 0) {
            fail_msg("not the first one again: %s", changes[i].undo);
        }
        if (i % 8 == 0) {
            assert_string_equal(pg_dump(f), dump);
        }
    }
    assert_string_equal(pg_dump(f), dump);
    fixture_end(f);
}

static void shuffle(size_t *order, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rand() % i;
        size_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* Two databases go through the same changes, each in an order of its own. The order of a few makes a difference to both. */
static void fingerprints_are_equal_when_the_dumps_are(void **state)
{
    (void)state;
    unsigned seed = getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    printf("SEED=%u\n", seed);
    srand(seed);
    struct fixture one, two, *f = &one;
    fixture_postgres(&one);
    fixture_postgres(&two);
    fixture_exec(&one, base);
    fixture_exec(&two, base);
    size_t order[2][ARRAY_SIZE(changes)];
    size_t count = ARRAY_SIZE(changes);
    for (size_t i = 0; i < count; i++) {
        order[0][i] = i;
    }
    shuffle(order[0], count);
    memcpy(order[1], order[0], sizeof(order[0]));
    size_t step = 6;
    size_t equal = 0;
    for (size_t from = 0; from + step <= count; from += step) {
        shuffle(order[1] + from, step); /* the same six, in another order */
        for (size_t i = from; i < from + step; i++) {
            fixture_exec(&one, changes[order[0][i]].make);
            fixture_exec(&two, changes[order[1][i]].make);
            if (i == from || i == from + step - 1) {
                bool same = strcmp(pg_dump(&one), pg_dump(&two)) == 0;
                assert_int_equal(same, strcmp(digest(&one, NULL), digest(&two, NULL)) == 0);
                equal += same ? 1 : 0;
            }
        }
    }
    assert_true(equal > 0);
    fixture_end(&two);
    fixture_end(f);
}

static void what_does_not_count_does_not_change_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    f->database.ledger = "own_ledger";
    const char *first = digest(f, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(neutral); i++) {
        fixture_exec(f, neutral[i]);
        if (strcmp(digest(f, NULL), first) != 0) {
            fail_msg("seen: %s", neutral[i]);
        }
    }
    fixture_end(f);
}

/* The settings of a role or a database change how a server prints; they do not change what is there. */
static void a_sessions_settings_do_not_change_it(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    fixture_exec(
        f,
        "ALTER TABLE posts ADD CONSTRAINT late CHECK (at > '2024-01-01 00:00:00+00'::timestamptz);"
        "ALTER TABLE facts ADD COLUMN g interval DEFAULT '1 day 02:00', ADD COLUMN h bytea DEFAULT "
        "'abc'");
    const char *first = digest(f, NULL);
    const char *name = strrchr(f->database.url, '/') + 1;
    static const char *const settings[] = {
        "TimeZone = 'Asia/Tokyo'",    "DateStyle = 'German'",    "search_path = other, public",
        "IntervalStyle = 'iso_8601'", "bytea_output = 'escape'", "quote_all_identifiers = on"};
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        fixture_exec(f, arena_printf(&f->arena, "ALTER DATABASE \"%s\" SET %s", name, settings[i]));
    }
    assert_string_equal(digest(f, NULL), first);
    fixture_end(f);
}

static void an_invalid_index_is_said_so(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (1)");
    struct db_fingerprint was, now;
    digest(f, &was);
    struct db_session s = {0};
    fixture_open(f, &s, "x");
    assert_int_equal(db_exec(&s, "CREATE UNIQUE INDEX CONCURRENTLY t_x ON t (x)", &f->error),
                     E_DATABASE);
    db_close(&s);
    digest(f, &now);
    struct strings words;
    db_fingerprint_differences(&f->arena, &was, &now, &words);
    assert_int_equal(words.count, 1);
    assert_string_equal(words.items[0], "new index public.t_x (INVALID)");
    was = now;
    fixture_exec(f, "DELETE FROM t; REINDEX INDEX t_x");
    digest(f, &now);
    db_fingerprint_differences(&f->arena, &was, &now, &words);
    assert_int_equal(words.count, 1);
    assert_string_equal(
        words.items[0],
        "index public.t_x: was CREATE UNIQUE INDEX t_x ON public.t USING btree (x) INVALID,"
        " is CREATE UNIQUE INDEX t_x ON public.t USING btree (x)");
    fixture_end(f);
}

static void a_foreign_key_that_nobody_keeps_is_seen(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    struct db_fingerprint was, now;
    digest(f, &was);
    fixture_exec(f,
                 "ALTER TABLE posts DISABLE TRIGGER ALL; ALTER TABLE posts ENABLE TRIGGER touched");
    digest(f, &now);
    struct strings words;
    db_fingerprint_differences(&f->arena, &was, &now, &words);
    assert_int_equal(words.count, 1);
    assert_has(words.items[0], "its triggers are disabled");
    fixture_end(f);
}

static void differences_are_words(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    struct db_fingerprint was, now;
    digest(f, &was);
    fixture_exec(f, "DROP INDEX posts_at; ALTER TABLE posts ALTER body TYPE varchar(9);"
                    "CREATE TABLE extra (id serial PRIMARY KEY, x int CHECK (x > 0)); CREATE INDEX "
                    "extra_x ON extra (x);"
                    "DROP TABLE parent; ALTER TYPE mood RENAME VALUE 'ok' TO 'good'");
    digest(f, &now);
    struct strings words;
    db_fingerprint_differences(&f->arena, &was, &now, &words);
    static const char *const expected[] = {
        "column public.posts.body: was text, is character varying(9)",
        ("constraint public.posts.body_there: was CHECK ((body <> ''::text)), is CHECK "
         "(((body)::text <> ''::text))"),
        "enum public.mood: was 'sad', 'ok', is 'sad', 'good'",
        "index public.posts_at is not there any more",
        "new table public.extra",
        "table public.parent is not there any more",
    };
    for (size_t i = 0; i < words.count && i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(words.items[i], expected[i]);
    }
    assert_int_equal(words.count, ARRAY_SIZE(expected));
    fixture_end(f);
}

static void a_text_is_read_back_and_a_damaged_one_refused(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, base);
    fixture_exec(f, "CREATE TABLE \"a\tb\\n\" (\"x\ny\" text DEFAULT E'\\t\\\\n')");
    struct db_fingerprint was, now;
    digest(f, &was);
    const char *text = db_fingerprint_text(&f->arena, &was);
    assert_ok(db_fingerprint_parse(&f->arena, text, &now, &f->error));
    assert_string_equal(was.digest, now.digest);
    assert_int_equal(was.count, now.count);
    for (size_t i = 0; i < was.count; i++) {
        assert_string_equal(was.items[i].name, now.items[i].name);
        assert_string_equal(was.items[i].definition, now.items[i].definition);
    }
    assert_string_equal(db_fingerprint_text(&f->arena, &now), text);
    static const char *const damaged[] = {"",
                                          "x",
                                          "lockstep schema fingerprint 2\n",
                                          "lockstep schema fingerprint 1\ntable\tb\n",
                                          "lockstep schema fingerprint 1\ntable\tb\t\\x\n",
                                          "lockstep schema fingerprint 1\ntable\tb\t\ntable\ta\t\n",
                                          "lockstep schema fingerprint 1\ntable\ta\t"};
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        assert_int_equal(db_fingerprint_parse(&f->arena, damaged[i], &now, &f->error), E_INVALID);
    }
    fixture_end(f);
}

static void blanks_and_comments_of_sql_do_not_count(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    static const char *const pairs[][2] = {
        {" SELECT  1 -- one\n , 2 ", "SELECT 1,2"},
        {"a /* x /* y */ z */ b", "a b"},
        {"'a  -- b' || \"c  d\" || `e  f`", "'a  -- b' || \"c  d\" || `e  f`"},
        {"E'it\\'s  -- x'  y", "E'it\\'s  -- x' y"},
        {"'it''s  x'  ( y )", "'it''s  x'(y)"},
        {"$f$ a  -- b\n c $f$  x", "$f$ a  -- b\n c $f$ x"},
        {"x$1$2  $3", "x$1$2 $3"},
        {"'open  ", "'open  "},
        {"/* open", ""},
        {"a - -1", "a - -1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        assert_string_equal(db_fingerprint_normalise(&arena, pairs[i][0], false), pairs[i][1]);
    }
    assert_string_equal(
        db_fingerprint_normalise(&arena, "AS $f$ a  'b  c' -- d\n $g$ e  f $g$ $f$", true),
        "AS $f$a 'b  c' $g$ e  f $g$$f$");
    arena_deinit(&arena);
}

/* ---- SQLite ---- */

static const char lite_base[] =
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INT, mail TEXT DEFAULT "
    "'a, (b');"
    "CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, author INT REFERENCES users (id), "
    "body TEXT,"
    " CHECK (length(body) < 10), CONSTRAINT one UNIQUE (author, body));"
    "CREATE INDEX posts_body ON posts (body);"
    "CREATE VIEW names AS SELECT name FROM users;"
    "CREATE TRIGGER noted AFTER INSERT ON posts BEGIN UPDATE users SET age = age + 1; END;";

static const struct change lite_changes[] = {
    {"CREATE TABLE t (x)", "DROP TABLE t"},
    {"ALTER TABLE users ADD COLUMN f INT DEFAULT 3", "ALTER TABLE users DROP COLUMN f"},
    {"ALTER TABLE users RENAME COLUMN age TO years",
     "ALTER TABLE users RENAME COLUMN years TO age"},
    {"ALTER TABLE posts RENAME TO notes", "ALTER TABLE notes RENAME TO posts"},
    {"CREATE UNIQUE INDEX users_name ON users (name) WHERE age > 1", "DROP INDEX users_name"},
    {"DROP INDEX posts_body", "CREATE INDEX posts_body ON posts(body)"},
    {"CREATE VIEW v AS SELECT 1", "DROP VIEW v"},
    {"DROP VIEW names; CREATE VIEW names AS SELECT name FROM users WHERE id",
     "DROP VIEW names; CREATE VIEW names AS SELECT name FROM users"},
    {"DROP TRIGGER noted",
     "CREATE TRIGGER noted AFTER INSERT ON posts BEGIN UPDATE users SET age = age + 1; END"},
    {"CREATE VIRTUAL TABLE words USING fts5(body)", "DROP TABLE words"},
    /* the way in which SQLite's own manual changes a table: another order of columns is the same schema */
    {"CREATE TABLE n (id INTEGER PRIMARY KEY, age INT, name TEXT, mail TEXT DEFAULT 'a, (b'); DROP "
     "TABLE users;"
     "ALTER TABLE n RENAME TO users",
     "CREATE TABLE n (mail TEXT DEFAULT 'a, (b', name TEXT NOT NULL, -- who\n \"age\" INT, id "
     "INTEGER PRIMARY KEY);"
     "DROP TABLE users; ALTER TABLE n RENAME TO users"},
    {"CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID", "DROP TABLE w"},
};

static const char *const lite_neutral[] = {
    "INSERT INTO users (id, name) VALUES (1, 'a'); INSERT INTO posts (author, body) VALUES (1, "
    "'x')",
    "VACUUM",
    "ANALYZE",
    "CREATE TABLE lockstep_fence (x)",
    "CREATE TABLE schema_migrations (version uint64, dirty bool); CREATE UNIQUE INDEX "
    "version_unique ON schema_migrations (version)",
    "CREATE TEMP TABLE t (x)",
};

static void sqlite_sees_the_same(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_sqlite(f);
    fixture_exec(f, lite_base);
    fixture_exec(f, "PRAGMA foreign_keys = off; PRAGMA legacy_alter_table = on");
    struct db_fingerprint was, now;
    const char *first = digest(f, &was);
    for (size_t i = 0; i < ARRAY_SIZE(lite_changes); i++) {
        fixture_exec(
            f, arena_printf(&f->arena, "PRAGMA legacy_alter_table = on; %s", lite_changes[i].make));
        if (strcmp(digest(f, &now), first) == 0) {
            fail_msg("not seen: %s", lite_changes[i].make);
        }
        fixture_exec(
            f, arena_printf(&f->arena, "PRAGMA legacy_alter_table = on; %s", lite_changes[i].undo));
        if (strcmp(digest(f, &now), first) != 0) {
            fail_msg("not the first one again: %s:\n%s\n%s", lite_changes[i].undo,
                     db_fingerprint_text(&f->arena, &was), db_fingerprint_text(&f->arena, &now));
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(lite_neutral); i++) {
        fixture_exec(f, lite_neutral[i]);
        assert_string_equal(digest(f, NULL), first);
    }
    fixture_exec(f, "DROP INDEX posts_body; ALTER TABLE users ADD COLUMN \"new one\" TEXT COLLATE "
                    "NOCASE; CREATE TABLE t (x, y)");
    digest(f, &now);
    struct strings words;
    db_fingerprint_differences(&f->arena, &was, &now, &words);
    assert_int_equal(words.count, 3);
    assert_string_equal(words.items[0], "new column users.new one");
    assert_string_equal(words.items[1], "index posts_body is not there any more");
    assert_string_equal(words.items[2], "new table t");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_seen_and_its_reverse_too),
        cmocka_unit_test(fingerprints_are_equal_when_the_dumps_are),
        cmocka_unit_test(what_does_not_count_does_not_change_it),
        cmocka_unit_test(a_sessions_settings_do_not_change_it),
        cmocka_unit_test(an_invalid_index_is_said_so),
        cmocka_unit_test(a_foreign_key_that_nobody_keeps_is_seen),
        cmocka_unit_test(differences_are_words),
        cmocka_unit_test(a_text_is_read_back_and_a_damaged_one_refused),
        cmocka_unit_test(blanks_and_comments_of_sql_do_not_count),
        cmocka_unit_test(sqlite_sees_the_same),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
