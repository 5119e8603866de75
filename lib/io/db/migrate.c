/*
 * Owns the running of a format's scripts, each once. What can be wrapped commits together with its ledger row and
 * its evidence; for the rest an intent goes first. After any break it looks before it runs anything, and refuses to
 * guess.
 *
 *              look                          effect, ledger, evidence: one COMMIT
 *   (start) ──────────> not run, wrappable ──────────────────────────────────────> done
 *              │
 *              ├──────> not run, not wrappable ── intent ── script ── ledger + evidence ──> done
 *              ├──────> evidence, or in the ledger already ────────────────────────────────> skipped
 *              └──────> intent without evidence ── a person decides (E_UNKNOWN); a later attempt runs it again
 */
#include "lib/io/db/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/hold.h"
#include "lib/io/db/script.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"
#include "lib/migration/migration.h"

#define RETRY_MS        200
#define STATEMENT_CHARS 120

struct migrate {
    struct act *act;
    const struct db_migrate_action *action;
    const struct db_format *format;
    const struct db_trace *trace;
    struct db_session session;
    struct arena session_arena; /* given back with every session */
    struct arena scratch;       /* given back with every item */
    struct db_ledger ledger;    /* as read when the session was opened; act's arena */
    bool temporary;
    uint64_t ran, skipped;
};

int db_work_open(struct act *act, struct db_session *s, const struct database_ref *database,
                 int format, const struct db_trace *trace, bool *temporary, struct error *e)
{
    struct db_options options = {.run = act->run, .log_fd = act->log_fd, .trace = trace};
    struct arena *arena = s->arena != NULL ? s->arena : act->arena;
    int rc = db_open_wait(s, arena, database, &options, act->deadline_ms, e);
    if (rc == 0) {
        rc = db_evidence_create(s, act->deadline_ms, e);
    }
    if (rc == 0) {
        rc = hold_ensure(act, s, database, format, temporary, e);
    }
    if (rc == 0) {
        rc = s->engine->sole_worker(s, act->run, act->step, act->deadline_ms, e);
    }
    return rc;
}

int db_work_close(struct act *act, struct db_session *s, const struct database_ref *database,
                  int format, bool temporary, int rc, struct error *e)
{
    db_close(s);
    if (!temporary) {
        return rc;
    }
    struct db_unlock_action unlock = {.database = *database, .format = format};
    struct action action = {.db_unlock = &unlock};
    struct error second = {0};
    int released = act_db_unlock(act, &action, &second);
    if (rc == 0 && released < 0) {
        *e = second;
        return released;
    }
    return rc;
}

static bool in_ledger(const struct migrate *m, const char *id)
{
    for (size_t i = 0; i < m->ledger.ids.count; i++) {
        if (strcmp(m->ledger.ids.items[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static int read_ledger(struct migrate *m, struct error *e)
{
    return db_ledger_read(&m->session, m->act->arena, m->action->format, NULL, &m->ledger, e);
}

static int open_session(struct migrate *m, struct error *e)
{
    m->session = (struct db_session){.arena = &m->session_arena};
    int rc = db_work_open(m->act, &m->session, &m->action->database, m->action->format, m->trace,
                          &m->temporary, e);
    if (rc == 0) {
        rc = m->format->ledger_create(&m->session, e);
    }
    return rc == 0 ? read_ledger(m, e) : rc;
}

static void close_session(struct migrate *m)
{
    db_close(&m->session);
    arena_deinit(&m->session_arena);
}

static int ledger_row(struct migrate *m, const struct migration_item *item, struct error *e)
{
    return m->action->down ? m->format->ledger_down(&m->session, item, e)
                           : m->format->ledger_up(&m->session, item, e);
}

/* An error of the server inside a script, told with the file's name and line. */
static int blame(struct migrate *m, const struct migration_item *item, int rc, struct error *e)
{
    if (rc == E_UNAVAILABLE || m->session.fault.fenced) {
        return rc;
    }
    char at[32] = "";
    if (m->session.fault.line > 0) {
        snprintf(at, sizeof(at), ":%d", m->session.fault.line);
    }
    error_wrap(e, "%s%s", item->file, at);
    return rc;
}

/* Words can hide it (a procedure that commits): what ran has run, and nothing says so. The intent that a bare script
 * has before it goes in after it here, asked already: only a later attempt, a person's answer, runs it once more. */
static int broke_out(struct migrate *m, const struct migration_item *item,
                     const struct db_work *work, struct error *e)
{
    int rc = db_intent_remove(&m->session, work, e);
    if (rc == 0) {
        rc = db_intent_add(&m->session, work, &(struct db_progress){0}, e);
    }
    if (rc == 0) {
        rc = db_intent_asked(&m->session, work, e);
    }
    if (rc < 0) {
        error_wrap(e, "%s ended our transaction by itself, and its intent could not be written",
                   item->file);
        return E_UNKNOWN; /* not E_UNAVAILABLE: looking again would run it again */
    }
    return error_set(e, E_UNKNOWN,
                     "%s ended our transaction by itself: its statements have run, and the ledger "
                     "does not say so. A retry would run it a second time. Abort the run and look "
                     "at what it made: undo that and mark the script as nontransactional, or %s "
                     "\"%s\" in the ledger. Then plan and apply again: a new plan goes on from "
                     "the ledger",
                     item->file, m->action->down ? "take back" : "enter", item->id);
}

/* `asked`: an intent of an earlier attempt stands, which goes together with the outcome. */
static int run_wrapped(struct migrate *m, const struct migration_item *item, const char *sql,
                       const struct db_work *work, bool asked, struct error *e)
{
    struct db_session *s = &m->session;
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = db_exec(s, sql, e);
        if (rc < 0) {
            blame(m, item, rc, e);
        } else if (!s->engine->in_transaction(s)) {
            return broke_out(m, item, work, e);
        }
    }
    if (rc == 0) {
        rc = ledger_row(m, item, e);
    }
    if (rc == 0) {
        rc = db_evidence_add(s, work, DB_HOW_RAN, e);
    }
    if (rc == 0 && asked) {
        rc = db_intent_remove(s, work, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

static int write_outcome(struct migrate *m, const struct migration_item *item,
                         const struct db_work *work, bool with_ledger, struct error *e)
{
    struct db_session *s = &m->session;
    int rc = db_begin(s, e);
    if (rc == 0 && with_ledger) {
        rc = ledger_row(m, item, e);
    }
    if (rc == 0) {
        rc = db_evidence_add(s, work, DB_HOW_RAN, e);
    }
    if (rc == 0) {
        rc = db_intent_remove(s, work, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

/* A script that failed by the server's own word. One statement alone has not happened; of several some may have. */
static int script_failed(struct migrate *m, const struct migration_item *item,
                         const struct script_facts *facts, const struct db_work *work, int rc,
                         struct error *e)
{
    blame(m, item, rc, e);
    struct db_session *s = &m->session;
    db_rollback(s); /* the script's own BEGIN */
    struct error second = {0};
    if (facts->statements <= 1) {
        return db_intent_remove(s, work, &second) < 0
                   ? error_set(e, second.code, "%s", second.message)
                   : rc;
    }
    struct error first = *e;
    if (db_intent_asked(s, work, &second) < 0) {
        return error_set(e, second.code, "%s", second.message);
    }
    return error_set(e, E_UNKNOWN,
                     "%s. It cannot be wrapped in a transaction: what stands before that line may "
                     "have run. Look, undo or finish it by hand, then retry",
                     first.message);
}

static int run_bare(struct migrate *m, const struct migration_item *item, const char *sql,
                    const struct script_facts *facts, const struct db_work *work, struct error *e)
{
    struct db_session *s = &m->session;
    int rc = db_intent_remove(s, work, e);
    if (rc == 0) {
        rc = db_intent_add(s, work, &(struct db_progress){0}, e);
    }
    if (rc < 0) {
        return rc;
    }
    rc = db_exec(s, sql, e);
    if (rc < 0 && !s->lost) {
        return script_failed(m, item, facts, work, rc, e);
    }
    if (rc < 0) {
        return rc; /* the next session looks */
    }
    if (s->engine->in_transaction(s)) {
        db_rollback(s);
        db_intent_asked(s, work, NULL);
        return error_set(
            e, E_UNKNOWN,
            "%s begins a transaction and does not end it: its last part was rolled back. "
            "Correct the script, look at its effect, then retry",
            item->file);
    }
    return write_outcome(m, item, work, true, e);
}

static const char *first_words(struct arena *arena, const char *sql,
                               const struct script_facts *facts)
{
    const char *text = facts->first.data != NULL ? (const char *)facts->first.data : sql;
    char *words = arena_strndup(arena, text, strnlen(text, STATEMENT_CHARS));
    for (char *p = words; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' ? ' ' : *p;
    }
    return words;
}

/* An intent without evidence. *ret_run: a person has answered. */
static int judge_intent(struct migrate *m, const struct migration_item *item, const char *sql,
                        const struct script_facts *facts, const struct db_work *work,
                        const struct db_intent *intent, bool *ret_run, struct error *e)
{
    if (intent->asked_attempt != 0 && str_equal(intent->asked_run, work->run) &&
        work->attempt > intent->asked_attempt) {
        *ret_run = true;
        return 0;
    }
    int rc = db_intent_asked(&m->session, work, e);
    if (rc < 0) {
        return rc;
    }
    return error_set(e, E_UNKNOWN,
                     "%s may or may not have run (started %s by server process %" PRId64
                     ", and no outcome is written). The statement is: %s … Look at what it makes "
                     "(for an index: pg_index.indisvalid), undo what is half-done, then retry",
                     item->file, intent->at, intent->backend_pid,
                     first_words(&m->scratch, sql, facts));
}

static int read_script(struct migrate *m, const struct migration_item *item, char **ret,
                       size_t *ret_len, struct error *e)
{
    const char *path = NULL;
    int rc = m->act->blob(m->act, item->sha256, &path, e);
    if (rc == 0) {
        rc = file_read(&m->scratch, path, LIMIT_MIGRATION_BYTES, ret, ret_len, e);
    }
    if (rc < 0) {
        error_wrap(e, "%s", item->file);
        return rc;
    }
    assert(*ret != NULL);
    if (strlen(*ret) != *ret_len) {
        return error_set(e, E_INVALID, "%s holds a NUL byte: it is no SQL script", item->file);
    }
    return 0;
}

static int find_intent(struct db_session *s, struct arena *arena, const struct db_work *work,
                       struct db_intent *ret, struct error *e)
{
    struct db_intent *list = NULL;
    size_t count = 0;
    int rc = db_intents_read(s, arena, work->ledger, &list, &count, e);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (str_equal(list[i].item, work->item) && list[i].down == work->down) {
            *ret = list[i];
        }
    }
    return rc;
}

/* Looks first; then runs what has not run. */
static int run_item(struct migrate *m, const struct migration_item *item, struct error *e)
{
    struct db_session *s = &m->session;
    struct act *act = m->act;
    struct db_work work = {.run = act->run,
                           .step = act->step,
                           .item = item->id,
                           .digest = item->sha256,
                           .ledger = db_ledger_name(s, m->action->format, &m->scratch),
                           .file = item->file,
                           .down = m->action->down,
                           .fence = act->fence,
                           .attempt = act->attempt};
    struct db_evidence evidence = {0};
    struct db_intent intent = {0};
    int rc = db_evidence_find(s, &m->scratch, &work, &evidence, e);
    if (rc < 0) {
        return rc;
    }
    bool is_so = in_ledger(m, item->id) != m->action->down;
    if (evidence.found && (!str_equal(evidence.digest, item->sha256) || !is_so)) {
        return error_set(e, E_CONFLICT,
                         "%s: the evidence says that step %s ran %s at %s, but %s. Somebody "
                         "changed one of them: look "
                         "before you go on",
                         item->file, act->step, is_so ? "another text" : "it", evidence.at,
                         is_so ? "the plan holds a different script" : "the ledger says otherwise");
    }
    if (!evidence.found) {
        rc = find_intent(s, &m->scratch, &work, &intent, e);
    }
    if (rc == 0 && is_so) {
        m->skipped++;
        act_log(act, "%s: %s already", item->file, m->action->down ? "not applied" : "applied");
        return intent.found ? write_outcome(m, item, &work, false, e) : 0;
    }
    if (rc < 0) {
        return rc;
    }
    char *sql = NULL;
    size_t len = 0;
    rc = read_script(m, item, &sql, &len, e);
    if (rc < 0) {
        return rc;
    }
    assert(sql != NULL);
    struct script_facts facts =
        script_look((struct bytes){.data = (const uint8_t *)sql, .len = len});
    bool go = !intent.found;
    if (intent.found) {
        rc = judge_intent(m, item, sql, &facts, &work, &intent, &go, e);
    }
    if (rc == 0 && go) {
        int64_t started = process_clock_ms();
        rc = item->transactional && !facts.controls_transactions
                 ? run_wrapped(m, item, sql, &work, intent.found, e)
                 : run_bare(m, item, sql, &facts, &work, e);
        if (rc == 0) {
            m->ran++;
            act_log(act, "%s: done in %" PRId64 " ms", item->file, process_clock_ms() - started);
        }
    }
    return rc;
}

/* An item to its end, over lost sessions and restarted servers. */
static int run_item_to_end(struct migrate *m, const struct migration_item *item, struct error *e)
{
    for (;;) {
        int rc = m->session.handle == NULL ? open_session(m, e) : 0;
        if (rc == 0) {
            rc = run_item(m, item, e);
        }
        arena_deinit(&m->scratch);
        if (rc != E_UNAVAILABLE || act_left_ms(m->act) <= RETRY_MS || act_stopped(m->act)) {
            return rc;
        }
        act_log(m->act, "%s: %s; looking again", item->file, e->message);
        close_session(m);
        process_sleep_ms(RETRY_MS);
    }
}

/* A transaction that began and never ended cannot be told from one that committed while the server is away. */
static int end_unavailable(struct migrate *m, const struct migration_item *item, int rc,
                           struct error *e)
{
    if (rc != E_UNAVAILABLE || item == NULL) {
        return rc;
    }
    struct error last = *e;
    return error_set(e, E_UNAVAILABLE,
                     "%s: no answer until the deadline (%" PRIu64
                     " of the migrations have run): %s. "
                     "A retry looks first",
                     item->file, m->ran, last.message);
}

int db_migrate(struct act *act, const struct db_migrate_action *action,
               const struct db_trace *trace, struct error *e)
{
    struct migrate m = {
        .act = act, .action = action, .trace = trace, .format = db_format_get(action->format)};
    if (m.format == NULL) {
        return error_set(e, E_INVALID, "database %s: this format is not run natively",
                         action->database.name);
    }
    arena_init(&m.session_arena);
    arena_init(&m.scratch);
    const struct migration_item *items = action->items.items;
    const struct migration_item *item = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < action->items.count; i++) {
        item = &items[i];
        if (act->progress != NULL) {
            act->progress(act, i, action->items.count, item->file);
        }
        rc = act_stopped(act) ? error_set(e, E_CANCELLED, "stopped before %s", item->file)
                              : run_item_to_end(&m, item, e);
    }
    rc = end_unavailable(&m, item, rc, e);
    if (rc == 0 && act->progress != NULL) {
        act->progress(act, action->items.count, action->items.count, "");
    }
    rc = db_work_close(act, &m.session, &action->database, action->format, m.temporary, rc, e);
    arena_deinit(&m.session_arena);
    arena_deinit(&m.scratch);
    if (rc == 0) {
        act->facts = arena_printf(act->arena, "{\"ran\":%" PRIu64 ",\"skipped\":%" PRIu64 "}",
                                  m.ran, m.skipped);
    }
    return rc;
}

int act_db_migrate(struct act *act, const struct action *action, struct error *e)
{
    return db_migrate(act, action->db_migrate, NULL, e);
}
