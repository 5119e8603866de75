/*
 * Owns the order of what is sent for one migration. It decides nothing about what an earlier session left.
 *
 *                one unit that fits a transaction
 *   (start) ───────────────────────────────────────> BEGIN, mark, script, ledger, evidence, COMMIT ──> done
 *      │ more, or what must stand alone                                                              ^
 *      v                                                                                             │
 *   unit 0 ── its transaction holds the intent "1 done" ── unit 1 ── … ── the last one's transaction ┘
 *      │                                                                  (or one of its own) holds the outcome
 *      └─ a unit that stands alone: intent with the schema's state, durable ── the unit ── intent "k done"
 */
#include "lib/io/db/execute.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/hold.h"

/* ---- words ---- */

/* An error of the server inside a script, told with the file's name and line. */
static int blame(struct execute *x, const struct unit_text *text, int rc, struct error *e)
{
    const struct db_fault *fault = &x->session->fault;
    if (rc == E_UNAVAILABLE || rc == E_TIMEOUT || fault->fenced) {
        return rc;
    }
    if (fault->line > 0) {
        error_wrap(e, "%s:%d", x->item->file, text->line + fault->line - 1);
    } else {
        error_wrap(e, "%s", x->item->file);
    }
    return rc;
}

static const char *place_of(const struct execute *x, const struct unit *unit)
{
    return unit->line > 0 ? arena_printf(x->arena, "%s:%d", x->item->file, unit->line)
                          : x->item->file;
}

/* ---- notes ---- */

static int ledger_row(struct execute *x, struct error *e)
{
    const struct db_format *f = x->format;
    if (!x->moves_ledger) {
        return f->ledger_forget != NULL ? f->ledger_forget(x->session, x->item, !x->down, e) : 0;
    }
    return x->down ? f->ledger_down(x->session, x->item, e) : f->ledger_up(x->session, x->item, e);
}

static int mark_begin(struct execute *x, struct error *e)
{
    if (x->begun || x->format->ledger_begin == NULL || !x->moves_ledger) {
        return 0;
    }
    return x->format->ledger_begin(x->session, x->item, x->down, e);
}

/* Within a transaction. */
static int write_outcome(struct execute *x, struct error *e)
{
    db_later(x->session);
    int rc = ledger_row(x, e);
    if (rc == 0) {
        rc = db_evidence_add(x->session, &x->work, DB_HOW_RAN, e);
    }
    if (rc == 0 && x->intent) {
        rc = db_intent_remove(x->session, &x->work, e);
    }
    if (rc == 0 && x->opposite) {
        struct db_work other = x->work;
        other.down = !other.down;
        rc = db_intent_remove(x->session, &other, e);
    }
    return rc;
}

int execute_outcome(struct execute *x, struct error *e)
{
    struct db_session *s = x->session;
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = write_outcome(x, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

static int write_intent(struct execute *x, size_t done, const char *state, struct error *e)
{
    const struct unit *next = &x->units.items[MIN(done, x->units.count - 1)];
    struct db_progress progress = {
        .done = (int64_t)done, .state = state, .line = next->line, .statement = next->words};
    return x->intent ? db_intent_move(x->session, &x->work, &progress, e)
                     : db_intent_add(x->session, &x->work, &progress, e);
}

static void intent_stands(struct execute *x)
{
    x->added = x->added || !x->intent;
    x->intent = x->begun = true;
}

/* Durable, with the tool's own mark: from here on the unit may have run. */
static int enter(struct execute *x, size_t at, const char *state, struct error *e)
{
    struct db_session *s = x->session;
    bool mark = !x->begun && x->format->ledger_begin != NULL && x->moves_ledger;
    int rc = mark ? db_begin(s, e) : 0;
    if (rc == 0) {
        rc = mark_begin(x, e);
    }
    if (rc == 0) {
        rc = write_intent(x, at, state, e);
    }
    if (rc == 0 && mark) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
        return rc;
    }
    intent_stands(x);
    return 0;
}

/* ---- asking ---- */

int execute_ask(struct execute *x, const struct unit *unit, const char *why, struct error *e)
{
    struct db_session *s = x->session;
    int rc = db_intent_asked(s, &x->work, e);
    if (rc < 0) {
        return rc;
    }
    const char *settle = /* no ledger, nothing that `lockstep db` could mark */
        x->format->kind == FORMAT_NONE
            ? ""
            : arena_printf(x->arena,
                           "; or `lockstep db` marks %s as applied or as reverted, or runs it the "
                           "other way",
                           x->item->id);
    return error_set(e, E_UNKNOWN,
                     "%s may or may not have run: %s. It is: %.120s … Look at what it makes, and "
                     "undo what is half-done. Then `retry` runs it again from this statement on%s",
                     place_of(x, unit), why, unit->words, settle);
}

/* Words can hide it (a procedure that commits): what ran has run, and nothing says so. The intent that others have before
 * they run goes in after it here, asked already: only an answer runs it once more. */
static int broke_out(struct execute *x, size_t at, struct error *e)
{
    int rc = write_intent(x, at, EXECUTE_UNKNOWN, e);
    if (rc == 0) {
        rc = db_intent_asked(x->session, &x->work, e);
    }
    if (rc < 0) {
        error_wrap(e, "%s ended our transaction by itself, and its intent could not be written",
                   x->item->file);
        return E_UNKNOWN; /* not E_UNAVAILABLE: looking again would run it again */
    }
    if (x->format->kind == FORMAT_NONE) {
        return error_set(e, E_UNKNOWN,
                         "%s ended our transaction by itself: its statements have run. A retry "
                         "runs them a second time: look at what they made, and undo it first",
                         x->item->file);
    }
    return error_set(e, E_UNKNOWN,
                     "%s ended our transaction by itself: its statements have run, and the ledger "
                     "does not say so. A retry would run it a second time. Look at what it made; "
                     "undo that and mark the script as nontransactional, or let `lockstep db` mark "
                     "%s as %s",
                     x->item->file, x->item->id, x->down ? "reverted" : "applied");
}

static int failed_in_part(struct execute *x, size_t at, struct error *e)
{
    struct error first = *e;
    int rc = write_intent(x, at, EXECUTE_UNKNOWN, e);
    if (rc == 0) {
        rc = db_intent_asked(x->session, &x->work, e);
    }
    if (rc < 0) {
        return rc;
    }
    return error_set(e, E_UNKNOWN,
                     "%s. It cannot be wrapped in a transaction: what stands before that line may "
                     "have run. Look, undo or finish it by hand, then retry",
                     first.message);
}

/* The server's own word, and nothing of the unit has happened. */
static int failed_cleanly(struct execute *x, size_t at, int rc, struct error *e)
{
    struct db_session *s = x->session;
    struct error second = {0};
    if (s->lost || rc == E_UNAVAILABLE || !x->intent) {
        return rc;
    }
    if (at == 0 && x->added) { /* nothing of the script has: as if it had never begun */
        int undone = db_begin(s, &second);
        if (undone == 0 && x->moves_ledger && x->format->ledger_forget != NULL) {
            undone = x->format->ledger_forget(s, x->item, x->down, &second);
        }
        undone = undone == 0 ? db_intent_remove(s, &x->work, &second) : undone;
        undone = undone == 0 ? db_commit(s, &second) : undone;
        if (undone < 0) {
            db_rollback(s);
            return error_set(e, second.code, "%s", second.message);
        }
        x->intent = x->begun = x->added = false;
        return rc;
    }
    /* What the intent says of the schema before it would be compared with what a person puts right meanwhile. */
    if (x->units.items[at].kind == UNIT_ALONE &&
        write_intent(x, at, EXECUTE_NOT_BEGUN, &second) < 0) {
        return error_set(e, second.code, "%s", second.message);
    }
    if (x->moves_ledger && x->format->ledger_failed != NULL &&
        x->format->ledger_failed(s, x->item, x->down, e->message, &second) < 0) {
        return error_set(e, second.code, "%s", second.message);
    }
    if (at > 0) {
        struct error first = *e;
        return error_set(e, rc,
                         "%s. What stands before %s has run and is kept; a retry goes on there",
                         first.message, place_of(x, &x->units.items[at]));
    }
    return rc;
}

/* ---- a unit that has a transaction ---- */

/* What begins a transaction of ours. */
static const char *begin_text(struct execute *x, const struct unit *unit)
{
    struct db_session *s = x->session;
    return waits_limited(x->waits, &x->units, unit) ? waits_begin(x->waits, x->arena)
                                                    : s->engine->begin;
}

/* *ret_prefix: the beginning is to go out together with the unit's first text. */
static int begin(struct execute *x, const struct unit *unit, const char **ret_prefix,
                 struct error *e)
{
    bool marks = !x->begun && x->format->ledger_begin != NULL && x->moves_ledger;
    *ret_prefix = NULL;
    if (unit->kind != UNIT_FREE) {
        return waits_limited(x->waits, &x->units, unit) ? waits_set(x->waits, e) : 0;
    }
    if (unit->count > 0 && !marks && x->session->engine->queue != NULL) {
        *ret_prefix = begin_text(x, unit);
        return 0;
    }
    return db_exec(x->session, begin_text(x, unit), e);
}

/* `prefix` goes out with the first text, on its first line: a round trip less, and the lines stay as they are. */
static int send(struct execute *x, const struct unit *unit, const char *prefix, size_t count,
                struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        const char *sql = unit->texts[i].sql;
        if (i == 0 && prefix != NULL) {
            sql = arena_printf(x->arena, "%s; %s", prefix, sql);
        }
        int rc = db_exec(x->session, sql, e);
        if (rc < 0) {
            return blame(x, &unit->texts[i], rc, e);
        }
    }
    return 0;
}

/* The unit, and the note that it ran, in one transaction. */
static int try_transaction(struct execute *x, size_t at, struct error *e)
{
    struct db_session *s = x->session;
    const struct unit *unit = &x->units.items[at];
    bool own = unit->kind == UNIT_OWN;
    bool last = at + 1 == x->units.count;
    const char *prefix = NULL;
    int rc = begin(x, unit, &prefix, e);
    if (rc == 0 && !own) {
        rc = mark_begin(x, e);
    }
    if (rc == 0) {
        rc = send(x, unit, prefix, unit->count - (own ? 1 : 0), e);
        if (rc == 0 && !s->engine->in_transaction(s)) {
            return broke_out(x, at, e);
        }
    }
    if (rc == 0 && own) {
        rc = mark_begin(x, e);
    }
    if (rc == 0) {
        rc = last ? write_outcome(x, e) : write_intent(x, at + 1, EXECUTE_NOT_BEGUN, e);
    }
    if (rc == 0) {
        rc = own ? db_exec(s, unit->texts[unit->count - 1].sql, e) : db_commit(s, e);
        if (rc < 0) { /* what is checked at the end only: a deferred constraint */
            blame(x, &unit->texts[0], rc, e);
        }
    }
    if (rc == 0 && !last) {
        intent_stands(x);
    }
    return rc;
}

static int run_transaction(struct execute *x, size_t at, struct error *e)
{
    x->waits->tries = 0;
    x->waits->blockers[0] = '\0';
    for (;;) {
        int rc = try_transaction(x, at, e);
        bool again = false;
        if (rc < 0) {
            db_rollback(x->session);
        }
        waits_reset(x->waits);
        if (rc < 0 && waits_limited(x->waits, &x->units, &x->units.items[at])) {
            again = waits_again(x->waits, e);
            rc = e->code == E_TIMEOUT ? E_TIMEOUT : rc;
        }
        if (!again) {
            return rc < 0 && rc != E_UNKNOWN ? failed_cleanly(x, at, rc, e) : rc;
        }
    }
}

/* ---- a unit that stands alone ---- */

/* "none", "valid ID", "invalid ID". */
static const char *index_text(struct arena *arena, const struct db_index_state *state)
{
    return state->exists
               ? arena_printf(arena, "%s %s", state->valid ? "valid" : "invalid", state->id)
               : "none";
}

int execute_state(struct execute *x, const struct unit *unit, const char **ret, struct error *e)
{
    struct db_session *s = x->session;
    *ret = "";
    if (unit->repeatable) {
        return 0;
    }
    if (unit->index.name != NULL && s->engine->index_state != NULL) {
        struct db_index_state state = {0};
        int rc = s->engine->index_state(s, x->arena, &unit->index, &state, e);
        *ret = index_text(x->arena, &state);
        return rc;
    }
    return s->engine->schema_state != NULL ? s->engine->schema_state(s, x->arena, ret, e) : 0;
}

int execute_clean(struct execute *x, const struct unit *unit, const char *state, struct error *e)
{
    struct db_session *s = x->session;
    if (unit->index.name == NULL || unit->index_drop || s->engine->index_state == NULL) {
        return 0;
    }
    struct db_index_state now = {0};
    int rc = s->engine->index_state(s, x->arena, &unit->index, &now, e);
    if (rc < 0 || !now.exists || now.valid || str_equal(index_text(x->arena, &now), state)) {
        return rc;
    }
    act_log(x->act, "%s: dropping the invalid index %s, which it left", place_of(x, unit),
            now.name);
    return db_exec(s, arena_printf(s->arena, "DROP INDEX CONCURRENTLY %s", now.name), e);
}

static int send_limited(struct execute *x, const struct unit *unit, struct error *e)
{
    x->waits->tries = 0;
    x->waits->blockers[0] = '\0';
    bool limited = waits_limited(x->waits, &x->units, unit) && unit->atomic;
    for (;;) {
        int rc = limited ? waits_set(x->waits, e) : 0;
        rc = rc == 0 ? send(x, unit, NULL, unit->count, e) : rc;
        waits_reset(x->waits);
        if (rc == 0 || !limited) {
            return rc;
        }
        if (!waits_again(x->waits, e)) {
            return e->code == E_TIMEOUT ? E_TIMEOUT : rc;
        }
    }
}

/* The tool's own locks are given back meanwhile, where they would stand in the way. */
static int send_alone(struct execute *x, const struct unit *unit, const char *state,
                      struct error *e)
{
    bool yields = unit->concurrently && x->format->advisory_yields;
    int rc = yields ? hold_yield(x->act, x->database, true, e) : 0;
    if (rc < 0) {
        return rc;
    }
    rc = send_limited(x, unit, e);
    struct error second = {0};
    if (rc < 0 && !x->session->lost) {
        db_rollback(x->session); /* the script's own BEGIN */
        if (execute_clean(x, unit, state, &second) < 0) {
            act_log(x->act, "%s: an invalid index is left: %s", place_of(x, unit), second.message);
        }
    }
    if (yields && hold_yield(x->act, x->database, false, &second) < 0 && rc == 0) {
        *e = second;
        rc = second.code;
    }
    return rc;
}

static void warn_of_invalid(struct execute *x, const struct unit *unit, const char *state)
{
    if (unit->index_guarded && !unit->index_drop && str_starts(state, "invalid ")) {
        act_log(x->act,
                "%s: an invalid index of that name stood there before, so IF NOT EXISTS made none: "
                "drop it and build it again",
                place_of(x, unit));
    }
}

static int run_alone(struct execute *x, size_t at, struct error *e)
{
    struct db_session *s = x->session;
    const struct unit *unit = &x->units.items[at];
    const char *state = "";
    int rc = execute_state(x, unit, &state, e);
    if (rc == 0) {
        rc = enter(x, at, state, e);
    }
    if (rc < 0) {
        return rc;
    }
    rc = send_alone(x, unit, state, e);
    if (rc == E_UNAVAILABLE || (rc < 0 && s->lost)) {
        return E_UNAVAILABLE; /* the next session looks */
    }
    if (rc < 0) {
        return unit->atomic ? failed_cleanly(x, at, rc, e) : failed_in_part(x, at, e);
    }
    warn_of_invalid(x, unit, state);
    if (s->engine->in_transaction(s)) {
        db_rollback(s);
        error_set(e, E_DATABASE, "%s leaves a transaction open: its last part was rolled back",
                  x->item->file);
        return failed_in_part(x, at, e);
    }
    return at + 1 < x->units.count ? write_intent(x, at + 1, EXECUTE_NOT_BEGUN, e) : 0;
}

/* ---- all of them ---- */

static int run_plain(struct execute *x, size_t at, struct error *e)
{
    const struct unit *unit = &x->units.items[at];
    int rc = send(x, unit, NULL, unit->count, e);
    if (x->session->engine->in_transaction(x->session)) {
        db_rollback(x->session);
    }
    return rc < 0 ? failed_cleanly(x, at, rc, e) : 0;
}

int execute_session(struct execute *x, size_t to, struct error *e)
{
    for (size_t i = 0; i < to && i < x->units.count; i++) {
        const struct unit *unit = &x->units.items[i];
        int rc = unit->kind == UNIT_SESSION ? send(x, unit, NULL, unit->count, e) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int execute_units(struct execute *x, size_t from, struct error *e)
{
    bool noted = false;
    for (size_t i = from; i < x->units.count; i++) {
        int rc = 0;
        noted = false;
        switch (x->units.items[i].kind) {
        case UNIT_FREE:
        case UNIT_OWN:
            rc = run_transaction(x, i, e);
            noted = true;
            break;
        case UNIT_ALONE:
            rc = run_alone(x, i, e);
            break;
        case UNIT_SESSION:
        case UNIT_UNDONE:
            rc = run_plain(x, i, e);
            break;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return noted ? 0 : execute_outcome(x, e);
}
