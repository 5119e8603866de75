/*
 * Owns the search for transaction control in a script, and for what PostgreSQL lets run in no transaction block. In
 * doubt it says that there is transaction control: an intent costs little.
 */
#include "lib/migration/transaction.h"

#include "lib/migration/sql.h"

struct scan {
    struct transaction_facts facts;
    size_t word;                            /* of the statement, from 0 */
    struct sql_token first, second, before; /* words of the statement; `before`: the latest */
    bool create;                            /* CREATE … */
    bool has_body; /* … TRIGGER, FUNCTION, PROCEDURE: BEGIN … END may hold semicolons */
    size_t depth;  /* of BEGIN and CASE in such a body */
};

static bool controls(const struct sql_token *token)
{
    static const char *const words[] = {"BEGIN", "COMMIT",    "ROLLBACK", "START",
                                        "END",   "SAVEPOINT", "RELEASE",  "ABORT"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (sql_is(token, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_one_of(const struct sql_token *token, const char *a, const char *b, const char *c)
{
    return sql_is(token, a) || sql_is(token, b) || sql_is(token, c);
}

/* https://www.postgresql.org/docs/15/: the commands that say "cannot be executed inside a transaction block". */
static void see_refusal(struct scan *s, const struct sql_token *token)
{
    if (s->word == 0) {
        s->first = *token;
        s->facts.refuses_transaction = s->facts.refuses_transaction || sql_is(token, "VACUUM");
    } else if (s->word == 1) {
        s->second = *token;
        bool outside =
            (is_one_of(&s->first, "CREATE", "DROP", "") &&
             is_one_of(token, "DATABASE", "TABLESPACE", "")) ||
            (sql_is(&s->first, "ALTER") && sql_is(token, "SYSTEM")) ||
            (sql_is(&s->first, "REINDEX") && is_one_of(token, "SCHEMA", "DATABASE", "SYSTEM"));
        s->facts.refuses_transaction = s->facts.refuses_transaction || outside;
    }
    if (s->word > 0 && sql_is(token, "CONCURRENTLY")) {
        bool index = sql_is(&s->first, "REINDEX") ||
                     (is_one_of(&s->first, "CREATE", "DROP", "") && sql_is(&s->before, "INDEX"));
        bool partition = sql_is(&s->first, "ALTER") && sql_is(&s->second, "TABLE");
        s->facts.concurrently = s->facts.concurrently || index;
        s->facts.refuses_transaction = s->facts.refuses_transaction || index || partition;
    }
    s->before = *token;
}

static void see_word(struct scan *s, const struct sql_token *token)
{
    see_refusal(s, token);
    if (s->word == 0) {
        s->facts.statements++;
        s->create = sql_is(token, "CREATE");
        s->facts.controls_transactions = s->facts.controls_transactions || controls(token);
    } else if (s->create && s->depth == 0 &&
               (sql_is(token, "TRIGGER") || sql_is(token, "FUNCTION") ||
                sql_is(token, "PROCEDURE"))) {
        s->has_body = true;
    } else if (s->has_body && sql_is(token, "BEGIN")) {
        s->depth++;
    } else if (s->depth > 0 && sql_is(token, "CASE")) {
        s->depth++;
    } else if (s->depth > 0 && sql_is(token, "END")) {
        s->depth--;
    }
    s->word++;
}

struct transaction_facts transaction_look(struct bytes sql)
{
    struct scan s = {0};
    struct sql_reader reader = {.sql = sql,
                                .dialect = sql_has_backquotes(sql) ? SQL_MARIADB : SQL_POSTGRESQL};
    for (;;) {
        struct sql_token token = sql_next(&reader);
        if (token.kind == SQL_END) {
            break;
        }
        if (token.kind == SQL_SIGN && token.text.len > 0 && token.text.data[0] == ';') {
            if (s.depth == 0) {
                s.word = 0;
                s.create = s.has_body = false;
            }
            continue;
        }
        if (token.kind == SQL_WORD) {
            see_word(&s, &token);
        } else if (s.word == 0) {
            s.facts.statements++;
            s.word = 1; /* "(SELECT …)" */
        }
    }
    return s.facts;
}

bool transaction_fits(const struct transaction_facts *facts)
{
    return !facts->controls_transactions && !(facts->statements == 1 && facts->refuses_transaction);
}
