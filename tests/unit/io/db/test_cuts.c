/*
 * Where a statement ends, against what the servers themselves say: MariaDB counts its answers, SQLite returns the tail,
 * PostgreSQL's parser splits. Texts are drawn from what is hostile to a reader of words, then broken at random places.
 */
#include "tests/unit/io/db/fixture.h"

#include <mysql.h>
#include <pg_query.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/migration/script.h"

#define ROUNDS         1500
#define REFUSED        ((size_t)-1)
#define EMPTY_QUERY    1065
#define STATEMENTS_MAX 6

static struct arena arena;
static unsigned seed;

static unsigned below(unsigned count)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % count;
}

static size_t cut(const char *sql, enum db_engine_kind engine)
{
    struct script script;
    script_read(&arena, (struct bytes){(const uint8_t *)sql, strlen(sql)}, engine, &script);
    return script.count;
}

/* What a server says: how many statements it has, or that it takes it for no SQL. */
typedef size_t count_function(const char *sql);

struct hostile {
    enum db_engine_kind engine;
    count_function *count;
    const char *const *values; /* stand behind SELECT; each says how it ends */
    const char *const *gaps;
    const char *const *whole; /* statements */
};

static const char *any_of(const char *const *texts)
{
    unsigned count = 0;
    while (texts[count] != NULL) {
        count++;
    }
    return texts[below(count)];
}

static char *draw(const struct hostile *h, size_t *ret_count)
{
    struct buf b;
    buf_init(&b, &arena, 65536);
    *ret_count = 1 + below(STATEMENTS_MAX);
    for (size_t i = 0; i < *ret_count; i++) {
        buf_puts(&b, any_of(h->gaps));
        if (below(4) == 0) {
            buf_puts(&b, any_of(h->whole));
        } else {
            buf_printf(&b, "SELECT%s %s%s", any_of(h->gaps), any_of(h->values), any_of(h->gaps));
            for (unsigned more = below(3); more > 0; more--) {
                buf_printf(&b, ",%s%s%s", any_of(h->gaps), any_of(h->values), any_of(h->gaps));
            }
        }
        buf_puts(&b, i + 1 < *ret_count || below(2) == 0 ? ";" : "");
    }
    return arena_strdup(&arena, buf_text(&b));
}

/* Takes a byte away, or puts a hostile one in its place. */
static void damage(char *sql)
{
    static const char bytes[] = "'\"`#-/*!;\\$[]E\n (x";
    size_t at = below((unsigned)strlen(sql));
    if (below(2) == 0) {
        memmove(sql + at, sql + at + 1, strlen(sql + at));
    } else {
        sql[at] = bytes[below(sizeof(bytes) - 1)];
    }
}

static void compare(const struct hostile *h)
{
    print_message("seed %u\n", seed);
    size_t damaged = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t made = 0;
        char *sql = draw(h, &made);
        size_t theirs = h->count(sql);
        size_t ours = cut(sql, h->engine);
        if (theirs != made || ours != made) {
            fail_msg("%zu made, the server has %zd, we have %zu: %s", made, (ssize_t)theirs, ours,
                     sql);
        }
        damage(sql);
        theirs = h->count(sql);
        if (theirs != REFUSED) {
            damaged++;
            ours = cut(sql, h->engine);
            if (ours != theirs) {
                fail_msg("the server has %zu, we have %zu: %s", theirs, ours, sql);
            }
        }
        arena_deinit(&arena);
        arena_init(&arena);
    }
    print_message("%zu damaged texts were taken\n", damaged);
    assert_true(damaged > ROUNDS / 20);
}

/* ---- MariaDB ---- */

static MYSQL *maria;

/* A statement that is only a comment is answered too, without rows, or is the error of an empty query. All whose answers
 * have rows are statements. */
static size_t maria_count(const char *sql)
{
    size_t answers = 0;
    size_t with_rows = 0;
    int rc = mysql_query(maria, sql);
    while (rc == 0) {
        with_rows += mysql_field_count(maria) > 0;
        mysql_free_result(mysql_store_result(maria));
        answers++;
        rc = mysql_next_result(maria);
    }
    bool empty = rc > 0 && mysql_errno(maria) == EMPTY_QUERY;
    if (rc > 0 && !empty) {
        return REFUSED;
    }
    size_t ours = cut(sql, DB_MARIADB);
    if (empty && ours != answers) {
        return REFUSED; /* nothing behind it was looked at */
    }
    return ours >= with_rows && ours < answers ? ours : answers;
}

static void mariadbs_own_count_is_ours(void **state)
{
    (void)state;
    static const char *const values[] = {"'it\\'s; DROP TABLE t'",
                                         "'a'';'",
                                         "'\\\\'",
                                         "\"it's; \\\"x\\\"\"",
                                         "\"a\"\";\"",
                                         "\"\\\\\"",
                                         "5--1",
                                         "5--';'",
                                         "1 AS `;`",
                                         "1 AS `a``;\\`",
                                         "1 AS $a$",
                                         "1 AS 1end",
                                         "'--'",
                                         "'/*'",
                                         "'a' ';b'",
                                         "N'\\';'",
                                         "_utf8mb4'\\';'",
                                         "x'3b'",
                                         "@`;`",
                                         "@';'",
                                         "@end",
                                         "1 /*! + 1 */",
                                         "1 /*! + 1 /* ; */ */",
                                         "1 /*M! + 1 */",
                                         "1 /*!50003 + ';' */",
                                         "1 /*M!100100 + \"\\\";\" */",
                                         "1 /*!99999 it's; */",
                                         "1 /*!50701 it's; */",
                                         "1 /*!50701 /* ; */ it's; */",
                                         "1 /*M!999999 it's; */",
                                         "1 /*!40101 + 1 # ' ;\n */",
                                         "/*!*/ 1",
                                         "1 /* /* ; */",
                                         "'a\n;'",
                                         "'E\\''",
                                         "-1",
                                         "1e5",
                                         "1.",
                                         NULL};
    static const char *const gaps[] = {
        " ",    " ",        "\n",    " /* ; ' */ ",     " -- ; '\n", "#;`\n", "--\t;\"\n",
        "/**/", "/*/ ; */", " --\n", " /*!99999 ; */ ", "/*'*/",     NULL};
    static const char *const whole[] = {
        "BEGIN NOT ATOMIC SET @a = ';'; SET @end = 1; IF @end THEN SET @b = '\\';'; END IF; END",
        ("BEGIN NOT ATOMIC DECLARE x INT; CASE @a WHEN 1 THEN SET x = CASE 1 WHEN 1 THEN 2 END; "
         "ELSE SET x = 1; END CASE; WHILE x < 0 DO SET x = 1; END WHILE; END"),
        "/*!40101 SET @a = ';' */",
        "/*!50003 BEGIN NOT ATOMIC SET @a = 1; SET @b = 2; END */",
        "DO 5--1",
        "SET @x = \"\\\";\"",
        NULL};
    struct fixture f;
    fixture_mariadb(&f);
    maria = mysql_init(NULL);
    assert_non_null(mysql_real_connect(maria, "127.0.0.1", "app", MARIADB_PASSWORD, NULL,
                                       (unsigned)f.maria->port, NULL, CLIENT_MULTI_STATEMENTS));
    mysql_set_character_set(maria, "utf8mb4");
    seed = 20250611;
    compare(&(struct hostile){DB_MARIADB, maria_count, values, gaps, whole});
    mysql_close(maria);
    fixture_end(&f);
}

/* ---- SQLite ---- */

static sqlite3 *lite;

static size_t lite_count(const char *sql)
{
    size_t count = 0;
    while (*sql != '\0') {
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(lite, sql, -1, &statement, &sql) != SQLITE_OK) {
            return REFUSED;
        }
        count += statement != NULL;
        sqlite3_finalize(statement);
    }
    return count;
}

static void sqlites_own_tail_is_ours(void **state)
{
    (void)state;
    static const char *const values[] = {"'\\'",
                                         "'it''s;'",
                                         "\"a\"\"\"",
                                         "1 AS \"\\;\"",
                                         "1 AS [a;'\"`]",
                                         "1 AS `;\"`",
                                         "1 AS [\\]",
                                         "5--;'\n+1",
                                         "x'3b'",
                                         "1 AS a$$b",
                                         "$a",
                                         "$$",
                                         "@a",
                                         ":end",
                                         "?1",
                                         "'/*'",
                                         "'--'",
                                         "1e5",
                                         "1.",
                                         "1 /* /* ; */",
                                         "'a\n;'",
                                         "1 AS \xef\xbb\xbf b",
                                         NULL};
    static const char *const gaps[] = {
        " ",         " ",     "\n",       "\f",         " /* ; ' */ ",    " -- ; '\n",
        " /*/ ; */", "/**/ ", "--;\r;\n", " /*! ; */ ", " \xef\xbb\xbf ", NULL};
    static const char *const whole[] = {"CREATE TEMP TRIGGER x AFTER INSERT ON t WHEN NEW.[end] "
                                        "BEGIN SELECT NEW.[end]; UPDATE t SET c = CASE 1 "
                                        "WHEN 1 THEN ';' END; SELECT '\\'; END",
                                        "INSERT INTO t VALUES (';', '\\')", NULL};
    assert_int_equal(sqlite3_open(":memory:", &lite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(lite, "CREATE TABLE t (c, [end])", NULL, NULL, NULL), SQLITE_OK);
    seed = 20250612;
    compare(&(struct hostile){DB_SQLITE, lite_count, values, gaps, whole});
    sqlite3_close(lite);
}

/* ---- PostgreSQL ---- */

static size_t postgres_count(const char *sql)
{
    PgQuerySplitResult parsed = pg_query_split_with_parser(sql);
    size_t count = parsed.error != NULL ? REFUSED : (size_t)parsed.n_stmts;
    pg_query_free_split_result(parsed);
    return count;
}

static void postgresqls_own_split_is_ours(void **state)
{
    (void)state;
    static const char *const values[] = {"'\\'",
                                         "E'it\\'s;'",
                                         "e'\\\\'",
                                         "E'a'\n'b\\';'",
                                         "E'a'\r'\\';'",
                                         "'a'\n'\\'",
                                         "U&'\\003b;'",
                                         "U&\"\\003b;\"",
                                         "U&'!003b;' UESCAPE '!'",
                                         "N'\\'",
                                         "B'1'",
                                         "X'3b'",
                                         "$$;'$$",
                                         "$a$;$$;$a$",
                                         "$a1_$ ; $a$ $a1_$",
                                         "a$$b",
                                         "1 AS a$b$",
                                         "1 AS \"a\"\";\"",
                                         "1 AS \"\\\"",
                                         "1 /* ; /* ; */ ' */",
                                         "1 /*/* ; */*/",
                                         "5 # 3",
                                         "5 #-- ;\n 3",
                                         "5*/* ; */3",
                                         "$1",
                                         "1 AS e",
                                         "1 AS \xc3\xa9$x$",
                                         "'a;\n'",
                                         "5 --;\r+1",
                                         "(1)[1]",
                                         "E''",
                                         "E''''",
                                         NULL};
    static const char *const gaps[] = {" ",          " ",           "\n",
                                       "\t",         " /* ; ' */ ", " -- ; '\n",
                                       "/**/",       " --;\r",      " /* /* */ ; */ ",
                                       " /*! ; */ ", NULL};
    static const char *const whole[] = {
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT ';'; SELECT CASE 1 WHEN 1 "
         "THEN 2 END; END"),
        "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT ';')",
        "DO $x$ BEGIN PERFORM '$$;'; END $x$",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1;'", NULL};
    seed = 20250613;
    compare(&(struct hostile){DB_POSTGRES, postgres_count, values, gaps, whole});
}

/* libpg_query ends the string at the comment; the server does not. */
static void a_string_goes_on_behind_a_comment(void **state)
{
    (void)state;
    static const char sql[] = "SELECT E'a' -- ;'\n -- ;\n 'b\\';'";
    struct fixture f;
    fixture_postgres(&f);
    assert_string_equal(fixture_value(&f, sql), "ab';");
    assert_int_equal(cut(sql, DB_POSTGRES), 1);
    fixture_end(&f);
}

static int set_up(void **state)
{
    arena_init(&arena);
    return fixture_server_start(state);
}

static int tear_down(void **state)
{
    arena_deinit(&arena);
    return fixture_server_stop(state);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mariadbs_own_count_is_ours),
        cmocka_unit_test(sqlites_own_tail_is_ours),
        cmocka_unit_test(postgresqls_own_split_is_ours),
        cmocka_unit_test(a_string_goes_on_behind_a_comment),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
