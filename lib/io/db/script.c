/* Owns the search for transaction control in a script. In doubt it says that there is some: an intent costs little. */
#include "lib/io/db/script.h"

#include "lib/migration/sql.h"

struct scan {
    struct script_facts facts;
    size_t word;   /* of the statement, from 0 */
    bool create;   /* CREATE … */
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

static void see_word(struct scan *s, const struct sql_token *token)
{
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

struct script_facts script_look(struct bytes sql)
{
    struct scan s = {0};
    struct sql_reader reader = {.sql = sql};
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
        if (token.kind == SQL_WORD && s.facts.first.data == NULL) {
            s.facts.first = (struct bytes){.data = token.text.data,
                                           .len = (size_t)(sql.data + sql.len - token.text.data)};
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
