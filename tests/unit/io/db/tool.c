/* Owns the connections that stand for a migration tool in the tests of this room. */
#include "tests/unit/io/db/tool.h"

#include <string.h>
#include <unistd.h>

PGconn *tool_open(struct fixture *f, const char *application)
{
    const char *name = strrchr(f->database.url, '/') + 1;
    PGconn *conn = PQconnectdb(
        arena_printf(&f->arena, "host=%s port=%d user=postgres dbname=%s application_name=%s",
                     f->server->dir, f->server->port, name, application));
    if (PQstatus(conn) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(conn));
    }
    return conn;
}

const char *tool_value(struct fixture *f, PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    const char *value =
        PQntuples(result) > 0 ? arena_strdup(&f->arena, PQgetvalue(result, 0, 0)) : "";
    PQclear(result);
    return value;
}

void tool_exec(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    PQclear(result);
}

bool tool_try(struct fixture *f, PGconn *conn, const char *key)
{
    const char *sql = arena_printf(&f->arena, "SELECT pg_try_advisory_lock(%s)", key);
    return strcmp(tool_value(f, conn, sql), "t") == 0;
}

void tool_unlock(struct fixture *f, PGconn *conn, const char *key)
{
    const char *sql = arena_printf(&f->arena, "SELECT pg_advisory_unlock(%s)", key);
    assert_string_equal(tool_value(f, conn, sql), "t");
}

const char *tool_holder_dir(struct fixture *f)
{
    return hold_dir(&f->arena, f->act.state_dir, &f->database);
}

struct hold_status tool_holder(struct fixture *f)
{
    struct hold_status status;
    assert_ok(hold_status_read(&f->arena, tool_holder_dir(f), &status, &f->error));
    return status;
}

void tool_wait(struct fixture *f, const char *sql, const char *value)
{
    for (int i = 0; i < 1000 && strcmp(fixture_value(f, sql), value) != 0; i++) {
        usleep(10000);
    }
    assert_string_equal(fixture_value(f, sql), value);
}
