/* A database's URL as people have it: what it becomes, what is taken out of it, and what is refused by name. */
#include "cli/db_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"

static struct arena arena;

static int setup(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

static struct db_url read_url(const char *text)
{
    struct db_url url = {0};
    struct error e = {0};
    if (db_url_read(&arena, text, "/here", &url, &e) < 0) {
        fail_msg("%s: %s", text, e.message);
    }
    return url;
}

static const char *refused(const char *text)
{
    struct db_url url = {0};
    struct error e = {0};
    assert_int_equal(db_url_read(&arena, text, "/here", &url, &e), E_INVALID);
    return arena_strdup(&arena, e.message);
}

static void takes_the_password_out(void **state UNUSED)
{
    struct db_url url = read_url("postgres://mm:p%40ss%2Fw@db1:5433/chat?sslmode=require");
    assert_string_equal(url.url, "postgres://mm@db1:5433/chat?sslmode=require");
    assert_string_equal(url.password, "p@ss/w");
    assert_string_equal(url.name, "chat");
    url = read_url("postgresql:///chat?user=mm&password=se%26cret&host=/run/pg");
    assert_string_equal(url.url, "postgresql:///chat?user=mm&host=%2Frun%2Fpg");
    assert_string_equal(url.password, "se&cret");
    url = read_url("postgres://mm:a@b@db1/chat");
    assert_string_equal(url.url, "postgres://mm@db1/chat");
    assert_string_equal(url.password, "a@b");
    url = read_url("postgres://mm@db1/chat");
    assert_null(url.password);
    assert_null(strstr(refused("postgres://mm:secret@db1/chat?x-nonsense=1"), "secret"));
}

static void makes_settings_options_of_libpq(void **state UNUSED)
{
    assert_string_equal(read_url("postgres://db1/chat?search_path=app,public").url,
                        "postgres://db1/chat?options=-csearch_path%3Dapp%2Cpublic");
    assert_string_equal(
        read_url("postgres://db1/chat?options=-crole%3Downer&search_path=a%20b&sslmode=disable")
            .url,
        "postgres://db1/"
        "chat?sslmode=disable&options=-crole%3Downer%20-csearch_path%3Da%5C%20b");
    assert_string_equal(read_url("postgres://db1/chat?x-statement-timeout=500").url,
                        "postgres://db1/chat?options=-cstatement_timeout%3D500");
}

static void understands_golang_migrate_s_parameters_or_names_them(void **state UNUSED)
{
    struct db_url url = read_url("pgx5://db1/chat?x-migrations-table=moves");
    assert_string_equal(url.url, "postgres://db1/chat");
    assert_string_equal(url.ledger, "moves");
    url = read_url("postgres://db1/chat?x-migrations-table=%22app%22.%22moves%22"
                   "&x-migrations-table-quoted=1&x-multi-statement=false");
    assert_string_equal(url.ledger, "app.moves");
    assert_non_null(
        strstr(refused("postgres://db1/chat?x-multi-statement=true"), "x-multi-statement=true"));
    assert_non_null(strstr(refused("postgres://db1/chat?x-lock-table=l"), "x-lock-table"));
    assert_non_null(strstr(refused("mysql://db1/chat?x-no-lock=true"), "x-no-lock"));
}

static void reads_mysql_as_go_writes_it(void **state UNUSED)
{
    struct db_url url =
        read_url("mysql://mm:pw@tcp(db1:3306)/chat?multiStatements=true&parseTime=true");
    assert_string_equal(url.url, "mysql://mm@db1:3306/chat");
    assert_string_equal(url.password, "pw");
    assert_string_equal(url.name, "chat");
}

static void finds_a_file_of_sqlite_from_here(void **state UNUSED)
{
    assert_string_equal(read_url("sqlite:///srv/app.db").url, "sqlite:///srv/app.db");
    assert_string_equal(read_url("sqlite3://data/app.db").url, "sqlite:///here/data/app.db");
    assert_string_equal(read_url("sqlite://app.db").name, "app");
}

static void refuses_what_it_cannot_read(void **state UNUSED)
{
    assert_non_null(strstr(refused("oracle://db1/chat"), "names no engine"));
    assert_non_null(strstr(refused("host=db1 dbname=chat"), "names no engine"));
    assert_non_null(strstr(refused("postgres://mm:100%@db1/chat"), "%25"));
    assert_non_null(strstr(refused("sqlite://"), "names no file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_the_password_out, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_settings_options_of_libpq, setup, teardown),
        cmocka_unit_test_setup_teardown(understands_golang_migrate_s_parameters_or_names_them,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(reads_mysql_as_go_writes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_file_of_sqlite_from_here, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_it_cannot_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
