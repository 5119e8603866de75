/* Owns the look at what an intent speaks of: the facts that judge.c decides by, and what is done about its verdict. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/claims.h"
#include "lib/io/db/execute.h"
#include "lib/migration/judge.h"

static bool session_lost(const struct units *units, size_t at)
{
    for (size_t i = 0; i < at && i < units->count; i++) {
        if (units->items[i].keeps) {
            return true;
        }
    }
    return false;
}

/* Looks at the schema, as far as the unit's intent has something to compare with. */
static int see(struct execute *x, const struct unit *unit, const char *was, struct judge_case *ret,
               struct error *e)
{
    const char *now = "";
    int rc = unit->kind == UNIT_ALONE && !str_empty(was) ? execute_state(x, unit, &now, e) : 0;
    ret->seen = str_empty(was) || str_empty(now) ? JUDGE_BLIND
                : str_equal(was, now)            ? JUDGE_SAME
                                                 : JUDGE_CHANGED;
    ret->index = ret->seen != JUDGE_BLIND && unit->index.name != NULL &&
                 x->session->engine->index_state != NULL;
    ret->index_drop = unit->index_drop;
    ret->index_was = !str_equal(was, "none");
    ret->index_is = !str_equal(now, "none");
    ret->index_valid = str_starts(now, "valid ");
    const char *id_was = strchr(was, ' ');
    const char *id_now = strchr(now, ' ');
    ret->index_same = id_was != NULL && id_now != NULL && str_equal(id_was, id_now);
    return rc;
}

int execute_resume(struct execute *x, const struct db_intent *intent, size_t *ret_from,
                   struct error *e)
{
    const struct units *units = &x->units;
    size_t at = MIN((size_t)intent->progress.done, units->count - 1);
    const struct unit *unit = &units->items[at];
    struct judge_case c = {.other_text = !str_equal(intent->digest, x->work.digest),
                           .unknown = str_equal(intent->progress.state, EXECUTE_UNKNOWN),
                           .session_lost = session_lost(units, at),
                           .not_begun = str_equal(intent->progress.state, EXECUTE_NOT_BEGUN),
                           .answered = claims_answered(x->act, intent),
                           .kind = unit->kind,
                           .atomic = unit->atomic,
                           .schema_only = unit->schema_only,
                           .surely = unit->surely,
                           .repeatable = unit->repeatable};
    int rc =
        c.other_text || c.unknown || c.not_begun ? 0 : see(x, unit, intent->progress.state, &c, e);
    if (rc < 0) {
        return rc;
    }
    const char *why = "";
    enum judge_verdict verdict = judge(&c, &why);
    if (verdict != JUDGE_ASK) {
        act_log(x->act, "%s: begun %s, stopped at line %d; %s", x->item->file, intent->at,
                unit->line, why);
    }
    switch (verdict) {
    case JUDGE_ASK:
        return execute_ask(x, unit, why, e);
    case JUDGE_CLEAN:
        rc = execute_clean(x, unit, intent->progress.state, e);
        break;
    case JUDGE_RAN:
        at++;
        break;
    case JUDGE_RESTART:
        at = 0;
        break;
    case JUDGE_RUN:
        break;
    }
    *ret_from = at;
    return rc == 0 ? execute_session(x, at, e) : rc;
}
