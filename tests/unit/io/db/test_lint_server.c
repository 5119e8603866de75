/*
 * What lib/migration/lint.h says about locks, rewriting and transactions, against what a PostgreSQL server does: each
 * statement runs in a transaction, and pg_locks and pg_relation_filenode() are the answer.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/migration/lint.h"
#include "tests/unit/io/db/fixture.h"

static const char setup[] =
    "CREATE TABLE t (id int PRIMARY KEY, c int NOT NULL, v varchar(10), n text,"
    "                d timestamptz DEFAULT now());"
    "CREATE INDEX t_c ON t (c);"
    "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID;"
    "CREATE TABLE u (id int GENERATED ALWAYS AS IDENTITY, t_id int);"
    "ALTER TABLE u ADD CONSTRAINT u_fk FOREIGN KEY (t_id) REFERENCES t NOT VALID;"
    "CREATE TABLE a (id int, x int, gone text);"
    "CREATE UNIQUE INDEX a_id ON a (id);"
    "CREATE UNLOGGED TABLE un (id int);"
    "CREATE TABLE parent (id int); CREATE TABLE child (id int);"
    "CREATE TABLE p (id int, k int) PARTITION BY LIST (k);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
    "CREATE TABLE p2 (id int, k int);"
    "CREATE VIEW w AS SELECT id FROM a;"
    "CREATE MATERIALIZED VIEW m AS SELECT id FROM a; CREATE UNIQUE INDEX m_id ON m (id);"
    "CREATE SEQUENCE sq;"
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
    "CREATE FUNCTION vol() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;"
    "CREATE FUNCTION steady() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
    "CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();"
    "CREATE RULE ru AS ON DELETE TO un DO INSTEAD NOTHING;"
    "CREATE POLICY po ON a;"
    "CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (l int, r int);"
    "CREATE TABLE e (m mood);"
    "CREATE SCHEMA elsewhere; CREATE ROLE somebody;"
    "INSERT INTO t VALUES (1, 1, 'x', 'y'), (2, 2, 'x', 'y');"
    "INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO un VALUES (1); INSERT INTO u (t_id) VALUES "
    "(1);"
    "SET allow_in_place_tablespaces = on;";

/* What stood before the statement; objects that it makes are not asked about, nor types, which hold no rows. */
static const char probe[] =
    "CREATE SCHEMA probe; CREATE TABLE probe.names AS "
    "SELECT oid, relname::text AS name, relkind::text AS kind, pg_relation_filenode(oid) AS file "
    "FROM pg_class WHERE relnamespace = 'public'::regnamespace "
    "AND relkind <> 'c'";

static const char taken[] =
    "SELECT kind, CASE max(CASE mode WHEN 'ShareLock' THEN 5 WHEN 'ShareRowExclusiveLock' THEN 6 "
    "WHEN 'ExclusiveLock' THEN 7 WHEN 'AccessExclusiveLock' THEN 8 ELSE 0 END) "
    "WHEN 5 THEN 'SHARE' WHEN 6 THEN 'SHARE ROW EXCLUSIVE' WHEN 7 THEN 'EXCLUSIVE' "
    "WHEN 8 THEN 'ACCESS EXCLUSIVE' ELSE '' END, name "
    "FROM pg_locks JOIN probe.names ON oid = relation WHERE pid = pg_backend_pid() "
    "AND locktype = 'relation' GROUP BY 1, 3 ORDER BY 3";

static const char rewritten[] = "SELECT name FROM probe.names WHERE kind IN ('r', 'm') AND "
                                "file <> pg_relation_filenode(oid) ORDER BY 1";

struct one {
    const char *sql;
    const char *unseen; /* locks that the text alone does not tell: "MODE name[, …]" */
    bool may; /* the lint says "rewrites" where the server needs not: the text cannot tell */
};

static const struct one statements[] = {
    {.sql = "ALTER TABLE a ADD c int"},
    {.sql = "ALTER TABLE a ADD c int DEFAULT 7"},
    {.sql = "ALTER TABLE a ADD c timestamptz DEFAULT now()"},
    {.sql = "ALTER TABLE a ADD c date DEFAULT current_date, ADD j jsonb DEFAULT '{}'::jsonb"},
    {.sql = "ALTER TABLE a ADD c timestamptz DEFAULT clock_timestamp()"},
    {.sql = "ALTER TABLE a ADD c uuid DEFAULT gen_random_uuid()"},
    {.sql = "ALTER TABLE a ADD c int DEFAULT 1 + vol()"},
    {.sql = "ALTER TABLE a ADD c int DEFAULT 1 + steady()", .may = true},
    {.sql = "ALTER TABLE a ADD c text DEFAULT md5(lower('X') || 'y')"},
    {.sql = "ALTER TABLE a ADD c text DEFAULT md5(random()::text)"},
    {.sql = "ALTER TABLE a ADD c bigserial"},
    {.sql = "ALTER TABLE a ADD c int GENERATED ALWAYS AS IDENTITY"},
    {.sql = "ALTER TABLE a ADD c int GENERATED ALWAYS AS (x + 1) STORED"},
    {.sql = "ALTER TABLE a ADD c int REFERENCES t"},
    {.sql = "ALTER TABLE IF EXISTS a ADD IF NOT EXISTS x int"},
    {.sql = "ALTER TABLE a DROP gone"},
    {.sql = "ALTER TABLE a DROP COLUMN IF EXISTS gone, ADD c int"},
    {.sql = "ALTER TABLE t ALTER c TYPE bigint"},
    {.sql = "ALTER TABLE a ALTER x TYPE text"},
    {.sql = "ALTER TABLE t ALTER v TYPE varchar(20)", .may = true},
    {.sql = "ALTER TABLE t ALTER v TYPE text", .may = true},
    {.sql = "ALTER TABLE t ALTER v TYPE varchar(5)"},
    {.sql = "ALTER TABLE a ALTER x SET DEFAULT 3"},
    {.sql = "ALTER TABLE a ALTER x DROP DEFAULT"},
    {.sql = "ALTER TABLE a ALTER x SET NOT NULL"},
    {.sql = "ALTER TABLE t ALTER c DROP NOT NULL"},
    {.sql = "ALTER TABLE a ALTER x SET STATISTICS 100"},
    {.sql = "ALTER TABLE a ALTER x SET (n_distinct = 5)"},
    {.sql = "ALTER TABLE t ALTER n SET STORAGE EXTERNAL"},
    {.sql = "ALTER TABLE t ALTER n SET COMPRESSION pglz"},
    {.sql = "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY"},
    {.sql = "ALTER TABLE u ALTER id DROP IDENTITY", .unseen = "ACCESS EXCLUSIVE u_id_seq"},
    {.sql = "ALTER TABLE a ADD CONSTRAINT x_ok CHECK (x > 0)"},
    {.sql = "ALTER TABLE a ADD CONSTRAINT x_ok CHECK (x > 0) NOT VALID"},
    {.sql = "ALTER TABLE a ADD UNIQUE (x)"},
    {.sql = "ALTER TABLE a ADD PRIMARY KEY (id)"},
    {.sql = "ALTER TABLE a ADD CONSTRAINT q UNIQUE USING INDEX a_id"},
    {.sql = "ALTER TABLE a ADD EXCLUDE USING btree (x WITH =)"},
    {.sql = "ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES t"},
    {.sql = "ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES t NOT VALID"},
    {.sql = "ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES t (id)"},
    {.sql = "ALTER TABLE t VALIDATE CONSTRAINT k"},
    {.sql = "ALTER TABLE u VALIDATE CONSTRAINT u_fk"},
    {.sql = "ALTER TABLE t DROP CONSTRAINT k"},
    {.sql = "ALTER TABLE u DROP CONSTRAINT u_fk", .unseen = "ACCESS EXCLUSIVE t"},
    {.sql = "ALTER TABLE u ALTER CONSTRAINT u_fk DEFERRABLE"},
    {.sql = "ALTER TABLE a DISABLE TRIGGER tr"},
    {.sql = "ALTER TABLE a ENABLE TRIGGER ALL"},
    {.sql = "ALTER TABLE a DISABLE TRIGGER USER"},
    {.sql = "ALTER TABLE a ENABLE ALWAYS TRIGGER tr"},
    {.sql = "ALTER TABLE a ENABLE REPLICA TRIGGER tr"},
    {.sql = "ALTER TABLE un DISABLE RULE ru"},
    {.sql = "ALTER TABLE a ENABLE ROW LEVEL SECURITY"},
    {.sql = "ALTER TABLE a FORCE ROW LEVEL SECURITY"},
    {.sql = "ALTER TABLE t CLUSTER ON t_c"},
    {.sql = "ALTER TABLE t SET WITHOUT CLUSTER"},
    {.sql = "ALTER TABLE un SET LOGGED"},
    {.sql = "ALTER TABLE a SET UNLOGGED"},
    {.sql = "ALTER TABLE a SET ACCESS METHOD heap", .may = true},
    {.sql = "ALTER TABLE a SET TABLESPACE room"},
    {.sql = "ALTER TABLE a SET (fillfactor = 70)"},
    {.sql = "ALTER TABLE a SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)"},
    {.sql = "ALTER TABLE a RESET (fillfactor)"},
    {.sql = "ALTER TABLE a SET (user_catalog_table = true)"},
    {.sql = "ALTER TABLE child INHERIT parent"},
    {.sql = "ALTER TABLE a REPLICA IDENTITY FULL"},
    {.sql = "ALTER TABLE a OWNER TO somebody"},
    {.sql = "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)"},
    {.sql = "ALTER TABLE p DETACH PARTITION p1"},
    {.sql = "ALTER TABLE a RENAME TO b"},
    {.sql = "ALTER TABLE a RENAME x TO y"},
    {.sql = "ALTER TABLE t RENAME CONSTRAINT k TO l"},
    {.sql = "ALTER TABLE a SET SCHEMA elsewhere"},
    {.sql = "ALTER INDEX t_c RENAME TO t_d"},
    {.sql = "ALTER TRIGGER tr ON a RENAME TO ts"},
    {.sql = "ALTER POLICY po ON a RENAME TO pq"},
    {.sql = "ALTER POLICY po ON a USING (true)"},
    {.sql = "ALTER SEQUENCE sq INCREMENT 2"},
    {.sql = "ALTER VIEW w RENAME TO ww"},
    {.sql = "ALTER TYPE mood ADD VALUE 'b'"},
    {.sql = "ALTER TYPE mood RENAME VALUE 'a' TO 'b'"},
    {.sql = "ALTER TYPE pair DROP ATTRIBUTE r"},
    {.sql = "CREATE INDEX i ON a (x)"},
    {.sql = "CREATE UNIQUE INDEX IF NOT EXISTS i ON a (id) WHERE x > 0"},
    {.sql = "CREATE TRIGGER ts AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()"},
    {.sql = "CREATE OR REPLACE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()"},
    {.sql = "CREATE RULE rv AS ON DELETE TO a DO INSTEAD NOTHING"},
    {.sql = "CREATE POLICY pq ON a"},
    {.sql = "CREATE VIEW ww AS SELECT x FROM a"},
    {.sql = "CREATE OR REPLACE VIEW w AS SELECT id FROM a"},
    {.sql = "CREATE TABLE new (id int REFERENCES t, x int CHECK (x > 0))"},
    {.sql = "CREATE TABLE new (LIKE a INCLUDING ALL)"},
    {.sql = "CREATE TABLE new () INHERITS (parent)"},
    {.sql = "CREATE TABLE new PARTITION OF p FOR VALUES IN (9)"},
    {.sql = "CREATE TABLE new AS SELECT * FROM a"},
    {.sql = "CREATE MATERIALIZED VIEW mm AS SELECT * FROM a"},
    {.sql = "CREATE STATISTICS st ON id, x FROM a"},
    {.sql = "COMMENT ON TABLE a IS 'x'"},
    {.sql = "COMMENT ON COLUMN a.x IS 'x'"},
    {.sql = "GRANT SELECT ON a TO somebody"},
    {.sql = "DROP TABLE u", .unseen = "ACCESS EXCLUSIVE t, ACCESS EXCLUSIVE u_id_seq"},
    {.sql = "DROP TABLE a CASCADE", .unseen = "ACCESS EXCLUSIVE m, ACCESS EXCLUSIVE w"},
    {.sql = "DROP TABLE parent, child"},
    {.sql = "DROP TABLE p1", .unseen = "ACCESS EXCLUSIVE p"},
    {.sql = "DROP VIEW w"},
    {.sql = "DROP MATERIALIZED VIEW m"},
    {.sql = "DROP SEQUENCE sq"},
    {.sql = "DROP TRIGGER tr ON a"},
    {.sql = "DROP RULE ru ON un"},
    {.sql = "DROP POLICY po ON a"},
    {.sql = "DROP INDEX t_c", .unseen = "ACCESS EXCLUSIVE t"},
    {.sql = "TRUNCATE a, un"},
    {.sql = "LOCK TABLE a IN EXCLUSIVE MODE"},
    {.sql = "LOCK TABLE a IN SHARE MODE"},
    {.sql = "LOCK TABLE a IN ROW EXCLUSIVE MODE"},
    {.sql = "LOCK a"},
    {.sql = "REINDEX TABLE a"},
    {.sql = "REINDEX INDEX t_c", .unseen = "SHARE t"},
    {.sql = "CLUSTER t USING t_c"},
    {.sql = "REFRESH MATERIALIZED VIEW m"},
    {.sql = "REFRESH MATERIALIZED VIEW CONCURRENTLY m"},
    {.sql = "ANALYZE a"},
    {.sql = "UPDATE a SET x = 1"},
    {.sql = "DELETE FROM a"},
    {.sql = "INSERT INTO a SELECT 7"},
    {.sql = "SELECT * FROM a FOR UPDATE"},
};

/* Refused in a transaction, with the words that the server has for it. */
static const char *const outside[] = {
    "CREATE INDEX CONCURRENTLY i ON a (x)",
    "DROP INDEX CONCURRENTLY t_c",
    "REINDEX TABLE CONCURRENTLY a",
    "REINDEX (CONCURRENTLY) INDEX t_c",
    "REINDEX SCHEMA public",
    "REINDEX DATABASE other",
    "VACUUM",
    "VACUUM a",
    "VACUUM (FULL, ANALYZE) a",
    "CLUSTER",
    "CREATE DATABASE other",
    "DROP DATABASE IF EXISTS other",
    "ALTER DATABASE postgres SET TABLESPACE pg_default",
    "CREATE TABLESPACE space LOCATION ''",
    "DROP TABLESPACE IF EXISTS room",
    "ALTER SYSTEM SET work_mem = '4MB'",
    "DISCARD ALL",
    "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
    "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION q",
    "COMMIT PREPARED 'x'",
    "ROLLBACK PREPARED 'x'",
};

static PGconn *server(struct fixture *f)
{
    PGconn *c = PQsetdbLogin("127.0.0.1", arena_printf(&f->arena, "%d", f->server->port), NULL,
                             NULL, strrchr(f->database.url, '/') + 1, "postgres", PG_PASSWORD);
    if (PQstatus(c) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(c));
    }
    return c;
}

/* "" or the SQLSTATE of its error. */
static const char *run_sql(struct fixture *f, PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    state = arena_strdup(&f->arena, state != NULL ? state : "");
    PQclear(r);
    return state;
}

static void must(struct fixture *f, PGconn *c, const char *sql)
{
    if (run_sql(f, c, sql)[0] != '\0') {
        fail_msg("%s: %s", sql, PQerrorMessage(c));
    }
}

static struct sql_lint lint(struct fixture *f, const char *sql)
{
    struct sql_lint found;
    sql_lint_script(&f->arena, (struct bytes){(const uint8_t *)sql, strlen(sql)}, &found);
    assert_true(found.parsed);
    return found;
}

static const struct sql_lock *lock_on(const struct sql_lint *found, const char *name)
{
    for (size_t i = 0; i < found->locks_count; i++) {
        if (str_equal(found->locks[i].object, name)) {
            return &found->locks[i];
        }
    }
    return NULL;
}

/* What the server holds that the lint does not say, and the other way round. Indexes are only asked about when
 * they are what the statement names. */
static const char *difference(struct fixture *f, PGconn *c, const struct sql_lint *found)
{
    struct buf b;
    buf_init(&b, &f->arena, 65536);
    size_t agreed = 0;
    PGresult *r = PQexec(c, taken);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(r); i++) {
        const char *mode = PQgetvalue(r, i, 1);
        const char *name = PQgetvalue(r, i, 2);
        const struct sql_lock *k = lock_on(found, name);
        bool index = strchr("iI", PQgetvalue(r, i, 0)[0]) != NULL;
        if (k != NULL && k->is_index == index && str_equal(mode, sql_lock_name(k->mode))) {
            agreed++;
        } else if (mode[0] != '\0' && (k != NULL || !index)) {
            buf_printf(&b, "%s%s %s", b.len > 0 ? ", " : "", mode, name);
        }
    }
    PQclear(r);
    if (agreed != found->locks_count) {
        buf_printf(&b, " (the lint has %zu locks, the server %zu of them)", found->locks_count,
                   agreed);
    }
    return buf_text(&b);
}

static const char *rewrites_of(struct fixture *f, PGconn *c)
{
    PGresult *r = PQexec(c, rewritten);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    struct buf b;
    buf_init(&b, &f->arena, 4096);
    for (int i = 0; i < PQntuples(r); i++) {
        buf_printf(&b, "%s%s", i > 0 ? "," : "", PQgetvalue(r, i, 0));
    }
    PQclear(r);
    return buf_text(&b);
}

static const char *said_rewrites(struct fixture *f, const struct sql_lint *found)
{
    struct buf b;
    buf_init(&b, &f->arena, 4096);
    for (size_t i = 0; i < found->locks_count; i++) {
        if (found->locks[i].rewrites) {
            buf_printf(&b, "%s%s", b.len > 0 ? "," : "", found->locks[i].object);
        }
    }
    return buf_text(&b);
}

static void locks_and_rewrites_are_the_servers(void **state UNUSED)
{
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *c = server(f);
    must(f, c, setup);
    must(f, c, "SET allow_in_place_tablespaces = on");
    must(f, c, "CREATE TABLESPACE room LOCATION ''");
    must(f, c, probe);
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        const struct one *one = &statements[i];
        struct sql_lint found = lint(f, one->sql);
        must(f, c, "BEGIN");
        must(f, c, one->sql);
        const char *other = difference(f, c, &found);
        if (!str_equal(other, one->unseen != NULL ? one->unseen : "")) {
            print_error("%s: %s\n", one->sql, other);
            f->blobs++;
        }
        bool empties = strncmp(one->sql, "TRUNCATE", 8) == 0;
        const char *files = empties ? "" : rewrites_of(f, c);
        const char *said = said_rewrites(f, &found);
        if (!str_equal(files, said) && !(one->may && files[0] == '\0')) {
            print_error("%s: the server rewrites \"%s\", the lint says \"%s\"\n", one->sql, files,
                        said);
            f->blobs++;
        }
        if (one->may && files[0] != '\0') {
            print_error("%s: is rewritten\n", one->sql);
            f->blobs++;
        }
        assert_false(found.outside_transaction);
        must(f, c, "ROLLBACK");
    }
    must(f, c, "DROP TABLESPACE room");
    must(f, c, "DROP OWNED BY somebody; DROP ROLE somebody");
    PQfinish(c);
    size_t wrong = f->blobs;
    fixture_end(f);
    assert_int_equal(wrong, 0);
}

static void the_server_refuses_them_in_a_transaction(void **state UNUSED)
{
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *c = server(f);
    must(f, c, setup);
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        struct sql_lint found = lint(f, outside[i]);
        must(f, c, "BEGIN");
        const char *wrapped = run_sql(f, c, outside[i]);
        must(f, c, "ROLLBACK");
        const char *both = arena_printf(&f->arena, "SELECT 1; %s", outside[i]);
        const char *together = run_sql(f, c, both);
        if (!found.outside_transaction || !str_equal(wrapped, "25001") ||
            !str_equal(together, "25001")) {
            fail_msg("%s: %d %s %s", outside[i], found.outside_transaction, wrapped, together);
        }
        struct sql_lint two = lint(f, both);
        assert_int_equal(two.traps_count, 1);
        assert_int_equal(two.traps[0].kind, SQL_TRAP_NOT_ALONE);
    }
    must(f, c, "DROP ROLE somebody");
    PQfinish(c);
    fixture_end(f);
}

static void traps_close_on_the_server(void **state UNUSED)
{
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    PGconn *c = server(f);
    must(f, c, "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE e (m mood)");
    const char *adds = "ALTER TYPE mood ADD VALUE 'b'; INSERT INTO e VALUES ('b')";
    assert_string_equal(run_sql(f, c, adds), "55P04"); /* unsafe use of a new value */
    assert_int_equal(lint(f, adds).traps[0].kind, SQL_TRAP_ENUM_VALUE);
    const char *makes = "CREATE TYPE n AS ENUM ('a'); ALTER TYPE n ADD VALUE 'b'; SELECT 'b'::n";
    assert_string_equal(run_sql(f, c, makes), "55P04"); /* its type being new does not help */
    assert_int_equal(lint(f, makes).traps[0].kind, SQL_TRAP_ENUM_VALUE);

    must(f, c, "CREATE TABLE twice (i int); INSERT INTO twice VALUES (1), (1)");
    assert_string_equal(run_sql(f, c, "CREATE UNIQUE INDEX CONCURRENTLY x ON twice (i)"), "23505");
    const char *again = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS x ON twice (i)";
    must(f, c, again);
    assert_string_equal(fixture_value(f, "SELECT indisvalid::text FROM pg_index WHERE indexrelid = "
                                         "'x'::regclass"),
                        "false");
    assert_int_equal(lint(f, again).traps[0].kind, SQL_TRAP_INVALID_INDEX);

    const char *ends = "INSERT INTO e VALUES ('a'); COMMIT; SELECT 1/0";
    assert_int_equal(lint(f, ends).traps[0].kind, SQL_TRAP_ENDS);
    assert_string_equal(run_sql(f, c, ends), "22012");
    assert_string_equal(fixture_value(f, "SELECT count(*)::text FROM e"), "1");
    PQfinish(c);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_and_rewrites_are_the_servers),
        cmocka_unit_test(the_server_refuses_them_in_a_transaction),
        cmocka_unit_test(traps_close_on_the_server),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
