/*
 * Owns the check of a release's data: one statement that only reads, in a session that can only read, whose first cell is
 * compared as text.
 */
#include <jansson.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/migration/script.h"
#include "lib/migration/sql.h"

#define NO_ROW          "none"
#define STATEMENT_SHOWN 160

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* One statement that begins as one that reads; that it does not write all the same is the session's to refuse. */
static int look_at(struct arena *arena, const struct db_check_action *a, enum db_engine_kind engine,
                   struct error *e)
{
    static const char *const words[] = {"SELECT", "WITH", "VALUES", "TABLE"};
    struct sql_reader reader = {.sql = bytes_of(a->sql), .dialect = script_dialect(engine)};
    struct sql_token first = sql_next(&reader);
    while (first.kind == SQL_SIGN && first.text.len == 1 && first.text.data[0] == '(') {
        first = sql_next(&reader);
    }
    bool reads = false;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        reads = reads || sql_is(&first, words[i]);
    }
    struct script script;
    script_read(arena, bytes_of(a->sql), engine, &script);
    if (!reads || script.count != 1) {
        return error_set(e, E_INVALID,
                         "database %s: a check is one SELECT (or WITH, VALUES, TABLE), not: %.*s",
                         a->database.name, STATEMENT_SHOWN, a->sql);
    }
    return 0;
}

static const char *answer_words(struct arena *arena, const struct db_rows *rows)
{
    if (rows->count == 0) {
        return "no row";
    }
    const char *cell = rows->columns > 0 ? db_cell(rows, 0, 0) : NULL;
    return cell != NULL ? arena_printf(arena, "\"%.100s\"", cell) : "NULL";
}

static int compare(struct act *act, const struct db_check_action *a, const struct db_rows *rows,
                   struct error *e)
{
    bool none = str_equal(a->expect, NO_ROW);
    const char *cell = rows->count > 0 && rows->columns > 0 ? db_cell(rows, 0, 0) : NULL;
    int rc = db_set_facts(act, json_pack("{s:s?}", "answer", cell), e);
    if (rc < 0 || (none ? rows->count == 0 : cell != NULL && str_equal(cell, a->expect))) {
        return rc;
    }
    return error_set(e, E_CONFLICT, "database %s: %s%s%.*s answered %s, expected %s%s%s",
                     a->database.name, a->message != NULL ? a->message : "",
                     a->message != NULL ? ": " : "", STATEMENT_SHOWN, a->sql,
                     answer_words(act->arena, rows), none ? "no row" : "\"", none ? "" : a->expect,
                     none ? "" : "\"");
}

static int check_once(struct act *act, const struct db_check_action *a, struct error *e)
{
    struct db_session s = {0};
    struct db_rows rows = {0};
    int rc = db_open_to_look(act, &s, &a->database, true, e);
    if (rc == 0) {
        rc = look_at(act->arena, a, s.engine->kind, e);
    }
    if (rc == 0 && s.engine->limit_statements != NULL) {
        rc = s.engine->limit_statements(&s, act_left_ms(act), e);
    }
    if (rc == 0) {
        rc = db_query(&s, act->arena, a->sql, NULL, 0, &rows, e);
        if (rc < 0 && s.fault.late) {
            rc = error_set(e, E_TIMEOUT, "database %s: the check did not end in its time: %.*s",
                           a->database.name, STATEMENT_SHOWN, a->sql);
        }
    }
    db_close(&s);
    return rc == 0 ? compare(act, a, &rows, e) : rc;
}

int act_db_check(struct act *act, const struct action *action, struct error *e)
{
    const struct db_check_action *a = action->db_check;
    int rc;
    do {
        rc = check_once(act, a, e);
    } while (db_again(act, rc));
    return rc;
}
