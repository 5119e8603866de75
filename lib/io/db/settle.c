/* Owns the writing down of what a person says. It believes it, and notes that it was said. */
#include "lib/io/db/settle.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/claims.h"
#include "lib/io/db/migrate.h"

const struct db_answer_words db_answers[DB_ANSWERS] = {
    [DB_ANSWER_RETRY] = {"retry",
                         "Forgets that it was begun: the next run takes the whole script from its "
                         "beginning.",
                         "Nothing of it stands there, or you have undone what did."},
    [DB_ANSWER_APPLIED] = {"mark-applied",
                           "The ledger says that it is applied, as the tool itself would write it; "
                           "nothing runs.",
                           "All that it makes is there, or you have finished it by hand."},
    [DB_ANSWER_REVERTED] = {"mark-reverted",
                            "The ledger says that it is not applied; nothing runs.",
                            "Nothing that it makes is there, or you have taken it away by hand."},
    [DB_ANSWER_DOWN] = {"down",
                        "Runs its down script, then the ledger says that it is not applied.",
                        "Its down script takes away what is half there (IF EXISTS)."},
};

static void add_mark(struct db_unsettled *list, size_t *count, const struct db_ledger *ledger)
{
    for (size_t i = 0; i < *count; i++) {
        if (str_equal(list[i].item, ledger->mark_id)) {
            list[i].mark = ledger->mark_words;
            return;
        }
    }
    if (*count == 1) { /* a way down may be marked with another version: ours explains it */
        list[0].mark = ledger->mark_words;
        return;
    }
    list[(*count)++] = (struct db_unsettled){.item = ledger->mark_id,
                                             .down = ledger->mark_down,
                                             .statement = "",
                                             .mark = ledger->mark_words};
}

int db_unsettled(struct db_session *s, struct arena *arena, int format, struct db_unsettled **ret,
                 size_t *ret_count, struct error *e)
{
    struct db_ledger ledger = {0};
    struct db_intent *intents = NULL;
    size_t count = 0;
    bool ours = false;
    int rc = db_ledger_read(s, arena, format, NULL, &ledger, e);
    rc = rc < 0 ? rc : db_evidence_exists(s, &ours, e);
    if (rc == 0 && ours) {
        rc = db_intents_read(s, arena, db_ledger_name(s, format, arena), &intents, &count, e);
    }
    if (rc < 0) {
        return rc;
    }
    struct db_unsettled *list = ARENA_ARRAY(arena, count + 1, struct db_unsettled);
    for (size_t i = 0; i < count; i++) {
        const struct db_intent *intent = &intents[i];
        list[i] = (struct db_unsettled){.item = intent->item,
                                        .down = intent->down,
                                        .ours = true,
                                        .question = claims_is_question(intent),
                                        .file = intent->file,
                                        .line = intent->progress.line,
                                        .statement = intent->progress.statement,
                                        .run = intent->run,
                                        .step = intent->step,
                                        .at = intent->at,
                                        .backend_pid = intent->backend_pid};
    }
    if (ledger.mark != DB_MARK_NONE) {
        add_mark(list, &count, &ledger);
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

struct settling {
    struct act *act;
    struct db_session *session;
    const struct db_format *format;
    const struct migration_item *item;
    enum db_answer answer;
    bool up, down; /* intents that stand */
    bool mark;
};

static struct db_work work_of(const struct settling *g, bool down)
{
    return (struct db_work){
        .run = g->act->run,
        .step = arena_printf(g->session->arena, "%s said %" PRId64, g->act->step, act_now_ms()),
        .item = g->item->id,
        .digest = g->item->sha256 != NULL ? g->item->sha256 : "",
        .ledger = db_ledger_name(g->session, g->format->kind, g->session->arena),
        .file = g->item->file,
        .down = down,
        .fence = g->act->fence,
        .attempt = g->act->attempt};
}

/* The tool's mark goes as if it had never begun; then the row comes or goes where it must. */
static int settle_ledger(struct settling *g, struct error *e)
{
    struct db_session *s = g->session;
    struct db_ledger ledger = {0};
    int rc = 0;
    if (g->mark && g->format->ledger_forget != NULL) {
        rc = g->format->ledger_forget(s, g->item, g->down && !g->up, e);
    }
    if (rc < 0 || g->answer == DB_ANSWER_RETRY) {
        return rc;
    }
    rc = db_ledger_read(s, s->arena, (int)g->format->kind, NULL, &ledger, e);
    if (rc < 0) {
        return rc;
    }
    bool is = db_ledger_has(&ledger, g->item, (int)g->format->kind);
    bool shall = g->answer == DB_ANSWER_APPLIED;
    if (is == shall) {
        return 0;
    }
    return shall ? g->format->ledger_up(s, g->item, e) : g->format->ledger_down(s, g->item, e);
}

/* In a ledger of one row the word about one migration answers what was asked about those before it. */
static int forget_others(struct settling *g, struct error *e)
{
    struct db_session *s = g->session;
    int format = (int)g->format->kind;
    struct db_ledger ledger = {0};
    struct claims claims = {
        .act = g->act, .session = s, .arena = s->arena, .format = format, .ledger = &ledger};
    int rc = db_ledger_read(s, s->arena, format, NULL, &ledger, e);
    rc = rc < 0 ? rc
                : db_intents_read(s, s->arena, db_ledger_name(s, format, s->arena), &claims.intents,
                                  &claims.intents_count, e);
    return rc < 0 ? rc : claims_forget(&claims, e);
}

static int settle_rows(struct settling *g, struct error *e)
{
    struct db_session *s = g->session;
    bool down = g->answer == DB_ANSWER_REVERTED;
    struct db_work work = work_of(g, down);
    int rc = db_begin(s, e);
    rc = rc < 0 ? rc : settle_ledger(g, e);
    if (rc == 0) {
        rc = db_evidence_add(
            s, &work, arena_printf(s->arena, DB_HOW_SAID "%s", db_answers[g->answer].word), e);
    }
    for (int i = 0; rc == 0 && i < 2; i++) {
        work.down = i == 1;
        rc = db_intent_remove(s, &work, e);
    }
    rc = rc < 0 ? rc : forget_others(g, e);
    rc = rc < 0 ? rc : db_commit(s, e);
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

/* What the tool left may be about a version that its ledger does not name. */
static int look_at_mark(struct settling *g, bool *ret_open, struct error *e)
{
    struct db_ledger ledger = {0};
    bool down = false;
    int format = (int)g->format->kind;
    int rc = db_ledger_read(g->session, g->session->arena, format, NULL, &ledger, e);
    if (rc == 0 && db_ledger_marks(&ledger, g->item, format, &down)) {
        *ret_open = g->mark = true;
        g->down = g->down || down;
    }
    return rc;
}

static int look(struct settling *g, struct error *e)
{
    struct db_unsettled *list = NULL;
    size_t count = 0;
    int rc = db_unsettled(g->session, g->session->arena, (int)g->format->kind, &list, &count, e);
    bool open = false;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (str_equal(list[i].item, g->item->id)) {
            open = true;
            g->up = g->up || (list[i].ours && !list[i].down);
            g->down = g->down || list[i].down;
            g->mark = g->mark || list[i].mark != NULL;
        }
    }
    if (rc == 0 && count == 1 && !list[0].ours) {
        rc = look_at_mark(g, &open, e);
    }
    if (rc == 0 && !open) {
        return error_set(e, E_NOT_FOUND,
                         "nothing of migration %s stands open in database %s: there is nothing to "
                         "say about it",
                         g->item->id, g->session->name);
    }
    return rc;
}

int db_settle(struct act *act, const struct database_ref *database, int format,
              const struct migration_item *item, enum db_answer answer, struct error *e)
{
    const struct db_format *f = db_format_get(format);
    if (f == NULL) {
        return error_set(e, E_INVALID, "database %s: this format is not run natively",
                         database->name);
    }
    if (answer == DB_ANSWER_DOWN) {
        return error_set(e, E_INVALID, "%s is work, not a mark: run the migration down",
                         db_answers[answer].word);
    }
    struct db_session s = {0};
    struct settling g = {.act = act, .session = &s, .format = f, .item = item, .answer = answer};
    bool temporary = false;
    int rc = db_work_open(act, &s, database, format, NULL, &temporary, e);
    rc = rc < 0 ? rc : look(&g, e);
    rc = rc < 0 ? rc : settle_rows(&g, e);
    if (rc == 0) {
        act_log(act, "%s: %s, a person said", item->file, db_answers[answer].word);
    }
    return db_work_close(act, &s, database, format, temporary, rc, e);
}
