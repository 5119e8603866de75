/*
 * Owns the running of a step's migrations, each once. At the start of every session it reads what stands there: the
 * ledger, this step's evidence, the intents of whoever was here before. What to do about an intent is decided in
 * judge.c, asked by resume.c; how one migration is carried out stands in execute.c.
 *
 *              look                          effect, ledger, evidence: one COMMIT
 *   (start) ──────────> not run, one transaction ────────────────────────────────────> done
 *      │       │
 *      │       ├──────> not run, several units ── intent ── unit … unit ── outcome ──> done
 *      │       ├──────> evidence, or in the ledger already ──────────────────────────> skipped
 *      │       ├──────> not in the ledger, but evidence of any run says that it is applied (claims.h) ── run, or ask
 *      │       └──────> intent ── judge ─┬─ it did not run, or again is safe ── go on at that unit
 *      │                                 ├─ it ran ── go on behind it
 *      │                                 ├─ an invalid index ── drop it ── go on at that unit
 *      │                                 └─ cannot be told ── a person (E_UNKNOWN); a later attempt is the answer
 *      └─ an intent or a tool's mark of what is not in this step: E_CONFLICT before anything runs
 *
 * A session that is lost anywhere: back to (start) with a new one, until the deadline.
 */
#include "lib/io/db/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/claims.h"
#include "lib/io/db/db.h"
#include "lib/io/db/execute.h"
#include "lib/io/db/hold.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define RETRY_FIRST_MS 10
#define RETRY_MS       200
#define SESSIONS_MAX   25 /* lost at one item; a script can end its own session each time */

struct migrate {
    struct act *act;
    const struct db_migrate_action *action;
    const struct db_format *format;
    const struct migration_format *texts;
    struct db_migrate_tuning tuning;
    struct db_session session;
    struct waits waits;
    struct arena session_arena; /* given back with every session */
    struct arena scratch;       /* given back with every item */
    /* As read when the session was opened; session_arena. Afterwards nobody else writes. */
    struct db_ledger ledger;
    struct db_evidence *evidence;
    size_t evidence_count;
    struct db_intent *intents;
    size_t intents_count;
    bool temporary;
    uint64_t ran, skipped;
    int64_t *ms;  /* of each item, in their order; -1: it had run already */
    bool gave_up; /* an item lost every session it was given */
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

/* ---- what stands there ---- */

static const struct db_evidence *evidence_of(const struct migrate *m, const char *id)
{
    size_t low = 0;
    size_t high = m->evidence_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct db_evidence *evidence = &m->evidence[middle];
        int r = strcmp(evidence->item, id);
        r = r != 0 ? r : (int)evidence->down - (int)m->action->down;
        if (r == 0) {
            return evidence;
        }
        low = r < 0 ? middle + 1 : low;
        high = r < 0 ? high : middle;
    }
    return NULL;
}

static const struct db_intent *intent_of(const struct migrate *m, const char *id, bool down)
{
    for (size_t i = 0; i < m->intents_count; i++) {
        if (m->intents[i].down == down && str_equal(m->intents[i].item, id)) {
            return &m->intents[i];
        }
    }
    return NULL;
}

static bool in_action(const struct migrate *m, const char *id)
{
    const struct migration_item *items = m->action->items.items;
    for (size_t i = 0; i < m->action->items.count; i++) {
        if (str_equal(items[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* Only which way it was going cannot always be told: a way up is not taken for the next one's way down. */
static bool is_marked(const struct migrate *m, const struct migration_item *item)
{
    bool down = false;
    return db_ledger_marks(&m->ledger, item, m->action->format, &down) &&
           down == m->ledger.mark_down;
}

static bool marks_one_of(const struct migrate *m)
{
    const struct migration_item *items = m->action->items.items;
    for (size_t i = 0; i < m->action->items.count; i++) {
        if (is_marked(m, &items[i])) {
            return true;
        }
    }
    return false;
}

/* The tool's own mark, where no intent of ours explains it: an end that the real tool did not come to. */
static bool foreign_mark(const struct migrate *m)
{
    return m->ledger.mark != DB_MARK_NONE && m->intents_count == 0;
}

/* What was begun and is not in this step would be built upon: nothing runs before a person has said what it is. */
static int refuse_unsettled(struct migrate *m, struct error *e)
{
    for (size_t i = 0; i < m->intents_count; i++) {
        const struct db_intent *intent = &m->intents[i];
        if (!in_action(m, intent->item) && !claims_is_question(intent)) {
            return error_set(e, E_CONFLICT,
                             "database %s: %s was begun %s (run %.40s, %s) and stopped at line %d: "
                             "%.100s … It is not part of this step, and nothing runs before it is "
                             "settled: `lockstep db` offers retry, mark-applied, mark-reverted "
                             "and down",
                             m->action->database.name, intent->file, intent->at, intent->run,
                             intent->down ? "down" : "up", intent->progress.line,
                             intent->progress.statement);
        }
    }
    if (foreign_mark(m) && !(m->action->down && marks_one_of(m))) {
        return error_set(e, E_CONFLICT,
                         "database %s: the ledger of %s says of migration %s: %.160s. Lockstep did "
                         "not begin it, and nothing runs before it is settled: look at what it "
                         "made; `lockstep db` offers retry, mark-applied, mark-reverted and down",
                         m->action->database.name, m->format->name, m->ledger.mark_id,
                         m->ledger.mark_words);
    }
    return 0;
}

/* A worker of another run may still be at work on the server though its client is dead. */
static int end_earlier_workers(struct migrate *m, struct error *e)
{
    struct act *act = m->act;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->intents_count; i++) {
        const struct db_intent *intent = &m->intents[i];
        if (!str_equal(intent->run, act->run) || !str_equal(intent->step, act->step)) {
            rc = m->session.engine->sole_worker(&m->session, intent->run, intent->step,
                                                act->deadline_ms, e);
        }
    }
    return rc;
}

/* On the way down the ledger's word is enough: a tool that starts applies what was taken down, as a matter of course. */
static int check_claims(struct migrate *m, struct error *e)
{
    struct claims claims = {.act = m->act,
                            .session = &m->session,
                            .arena = &m->session_arena,
                            .format = m->action->format,
                            .ledger = &m->ledger,
                            .items = m->action->items.items,
                            .count = m->action->items.count,
                            .intents = m->intents,
                            .intents_count = m->intents_count};
    int rc = m->action->down ? claims_forget(&claims, e) : claims_check(&claims, e);
    m->intents_count = claims.intents_count;
    return rc;
}

static int read_state(struct migrate *m, struct error *e)
{
    struct db_session *s = &m->session;
    const char *ledger = db_ledger_name(s, m->action->format, &m->session_arena);
    int rc = db_ledger_read(s, &m->session_arena, m->action->format, NULL, &m->ledger, e);
    if (rc == 0) {
        rc = db_evidence_read(s, &m->session_arena, m->act->run, m->act->step, &m->evidence,
                              &m->evidence_count, e);
    }
    if (rc == 0) {
        rc = db_intents_read(s, &m->session_arena, ledger, &m->intents, &m->intents_count, e);
    }
    if (rc == 0) {
        rc = refuse_unsettled(m, e);
    }
    rc = rc == 0 ? end_earlier_workers(m, e) : rc;
    return rc == 0 ? check_claims(m, e) : rc;
}

static int open_session(struct migrate *m, struct error *e)
{
    m->session = (struct db_session){.arena = &m->session_arena};
    int rc = db_work_open(m->act, &m->session, &m->action->database, m->action->format,
                          m->tuning.trace, &m->temporary, e);
    if (rc == 0) {
        waits_watch(&m->waits, &m->session);
        rc = m->format->ledger_create(&m->session, e);
    }
    rc = rc == 0 ? read_state(m, e) : rc;
    if (rc == 0 && m->tuning.opened != NULL) {
        m->tuning.opened(m->tuning.context, &m->session);
    }
    return rc;
}

static void close_session(struct migrate *m)
{
    db_close(&m->session);
    arena_deinit(&m->session_arena);
}

/* ---- one migration ---- */

static int read_script(struct migrate *m, const struct migration_item *item, struct bytes *ret,
                       struct error *e)
{
    const char *path = NULL;
    char *text = NULL;
    size_t len = 0;
    int rc = m->act->blob(m->act, item->sha256, &path, e);
    if (rc == 0) {
        rc = file_read(&m->scratch, path, LIMIT_MIGRATION_BYTES, &text, &len, e);
    }
    if (rc == 0 && strlen(text) != len) {
        rc = error_set(e, E_INVALID, "it holds a NUL byte: it is no SQL script");
    }
    if (rc < 0) {
        error_wrap(e, "%s", item->file);
        return rc;
    }
    *ret = (struct bytes){.data = (const uint8_t *)text, .len = len};
    return 0;
}

static int read_units(struct migrate *m, const struct migration_item *item, struct units *ret,
                      struct error *e)
{
    struct migration_pieces pieces = {0};
    struct bytes text = {0};
    int rc = item->sha256 != NULL ? read_script(m, item, &text, e) : 0;
    if (rc == 0 && item->sha256 != NULL) {
        rc = m->texts->pieces != NULL
                 ? m->texts->pieces(&m->scratch, text, m->action->down, &pieces, e)
                 : migration_whole(&m->scratch, text, m->action->down, &pieces, e);
    }
    const struct db_engine *engine = m->session.engine;
    struct units_rules rules = {.engine = engine->kind,
                                .schema_in_transactions = engine->schema_in_transactions,
                                .transactional = item->transactional,
                                .wrapped = item->transactional || pieces.wrapped};
    if (rc == 0) {
        rc = units_of(&m->scratch, &pieces, &rules, ret, e);
    }
    if (rc < 0 && item->sha256 != NULL && !str_starts(e->message, item->file)) {
        error_wrap(e, "%s", item->file);
    }
    return rc;
}

static int run_from(struct execute *x, size_t from, struct error *e)
{
    return from < x->units.count ? execute_units(x, from, e) : execute_outcome(x, e);
}

/* Half-way, or not begun: runs what is left of it. */
static int run_item(struct migrate *m, struct execute *x, const struct db_intent *intent,
                    struct error *e)
{
    int rc = read_units(m, x->item, &x->units, e);
    size_t from = 0;
    /* A question has its answer by now, or needs none any more: nothing was begun. */
    if (rc == 0 && intent != NULL && !claims_is_question(intent)) {
        rc = execute_resume(x, intent, &from, e);
    }
    if (rc < 0) {
        return rc;
    }
    int64_t started = process_clock_ms();
    m->waits.file = x->item->file;
    rc = run_from(x, from, e);
    if (rc == 0) {
        int64_t took = process_clock_ms() - started;
        m->ran++;
        m->ms[x->item - (const struct migration_item *)m->action->items.items] = took;
        act_log(m->act, "%s: done in %" PRId64 " ms", x->item->file, took);
    }
    return rc;
}

static int refuse_evidence(struct migrate *m, const struct migration_item *item,
                           const struct db_evidence *evidence, bool is_so, struct error *e)
{
    return error_set(e, E_CONFLICT,
                     "%s: the evidence says that step %s ran %s at %s, but %s. Somebody "
                     "changed one of them: look "
                     "before you go on",
                     item->file, m->act->step, is_so ? "another text" : "it", evidence->at,
                     is_so ? "the plan holds a different script" : "the ledger says otherwise");
}

/* Looks first; then runs what has not run. */
static int do_item(struct migrate *m, const struct migration_item *item, struct error *e)
{
    struct act *act = m->act;
    bool down = m->action->down;
    const struct db_intent *intent = intent_of(m, item->id, down);
    bool opposite = intent_of(m, item->id, !down) != NULL;
    bool marked =
        m->ledger.mark != DB_MARK_NONE && (intent != NULL || opposite || is_marked(m, item));
    bool half = marked || opposite;
    bool is_so = db_ledger_has(&m->ledger, item, m->action->format) != down;
    /* A way down that was begun, by us or by the tool, ends with the row that says so. */
    bool begun = intent != NULL || m->ledger.mark_down;
    const struct db_evidence *evidence = evidence_of(m, item->id);
    const char *digest = item->sha256 != NULL ? item->sha256 : "";
    if (evidence != NULL && !half && intent == NULL &&
        (!is_so ||
         (str_equal(evidence->how, DB_HOW_RAN) && !str_equal(evidence->digest, digest)))) {
        return refuse_evidence(m, item, evidence, is_so, e);
    }
    struct execute x = {.act = act,
                        .session = &m->session,
                        .format = m->format,
                        .database = &m->action->database,
                        .item = item,
                        .arena = &m->scratch,
                        .waits = &m->waits,
                        .down = down,
                        .moves_ledger = !is_so || (begun && marked && !opposite),
                        .intent = intent != NULL,
                        .opposite = opposite,
                        .begun = false};
    x.work = (struct db_work){.run = act->run,
                              .step = act->step,
                              .item = item->id,
                              .digest = digest,
                              .ledger = db_ledger_name(&m->session, m->action->format, &m->scratch),
                              .file = item->file,
                              .down = down,
                              .fence = act->fence,
                              .attempt = act->attempt};
    if (is_so && !half) {
        m->skipped++;
        act_log(act, "%s: %s already", item->file, down ? "not applied" : "applied");
        return intent != NULL ? db_intent_remove(&m->session, &x.work, e) : 0;
    }
    return run_item(m, &x, intent, e);
}

/* An item to its end, over lost sessions and restarted servers. */
static int do_item_to_end(struct migrate *m, const struct migration_item *item, struct error *e)
{
    int lost = 0;
    for (int64_t pause = RETRY_FIRST_MS;; pause = MIN(2 * pause, RETRY_MS)) {
        int rc = m->session.handle == NULL ? open_session(m, e) : 0;
        if (rc == 0) {
            lost++;                         /* if this one is */
            m->session.arena = &m->scratch; /* what one item needs goes with it */
            rc = do_item(m, item, e);
        }
        m->session.arena = &m->session_arena;
        arena_deinit(&m->scratch);
        if (rc != E_UNAVAILABLE || act_left_ms(m->act) <= RETRY_MS || act_stopped(m->act)) {
            return rc;
        }
        if (lost == SESSIONS_MAX) {
            m->gave_up = true;
            return rc;
        }
        act_log(m->act, "%s: %s; looking again", item->file, e->message);
        close_session(m);
        process_sleep_ms(pause);
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
    if (m->gave_up) {
        return error_set(e, E_UNAVAILABLE,
                         "%s: each of %d sessions was lost while it ran (%" PRIu64
                         " of the migrations have run): does the script end its own session, or "
                         "does somebody else? %s. A retry looks first",
                         item->file, SESSIONS_MAX, m->ran, last.message);
    }
    return error_set(e, E_UNAVAILABLE,
                     "%s: no answer until the deadline (%" PRIu64
                     " of the migrations have run): %s. "
                     "A retry looks first",
                     item->file, m->ran, last.message);
}

static int do_items(struct migrate *m, struct error *e)
{
    struct act *act = m->act;
    const struct migration_item *items = m->action->items.items;
    const struct migration_item *item = NULL;
    size_t count = m->action->items.count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        item = &items[i];
        if (act->progress != NULL) {
            act->progress(act, i, count, item->file);
        }
        rc = act_stopped(act) ? error_set(e, E_CANCELLED, "stopped before %s", item->file)
                              : do_item_to_end(m, item, e);
    }
    rc = end_unavailable(m, item, rc, e);
    if (rc == 0 && act->progress != NULL) {
        act->progress(act, count, count, "");
    }
    return rc;
}

/* How long each took, for whoever asks how long they will take; many more than can be told are not. */
static void set_facts(struct migrate *m)
{
    struct buf b;
    buf_init(&b, m->act->arena, LIMIT_FACTS_BYTES);
    buf_puts(&b, "{\"ms\":[");
    for (size_t i = 0; i < m->action->items.count; i++) {
        buf_printf(&b, "%s%" PRId64, i > 0 ? "," : "", m->ms[i]);
    }
    buf_printf(&b, "],\"ran\":%" PRIu64 ",\"skipped\":%" PRIu64 "}", m->ran, m->skipped);
    m->act->facts =
        b.overflow ? arena_printf(m->act->arena, "{\"ran\":%" PRIu64 ",\"skipped\":%" PRIu64 "}",
                                  m->ran, m->skipped)
                   : buf_text(&b);
}

int db_migrate(struct act *act, const struct db_migrate_action *action,
               const struct db_migrate_tuning *tuning, struct error *e)
{
    struct migrate m = {.act = act,
                        .action = action,
                        .tuning = tuning != NULL ? *tuning : (struct db_migrate_tuning){0},
                        .format = db_format_get(action->format),
                        .texts = migration_format_get(action->format)};
    if (m.format == NULL || m.texts == NULL) {
        return error_set(e, E_INVALID, "database %s: this format is not run natively",
                         action->database.name);
    }
    m.ms = ARENA_ARRAY(act->arena, action->items.count + 1, int64_t);
    for (size_t i = 0; i < action->items.count; i++) {
        m.ms[i] = -1;
    }
    arena_init(&m.session_arena);
    arena_init(&m.scratch);
    waits_init(&m.waits, act, &action->database, m.tuning.lock_wait_ms);
    int rc = do_items(&m, e);
    rc = db_work_close(act, &m.session, &action->database, action->format, m.temporary, rc, e);
    arena_deinit(&m.session_arena);
    arena_deinit(&m.scratch);
    if (rc == 0) {
        set_facts(&m);
    }
    return rc;
}

int act_db_migrate(struct act *act, const struct action *action, struct error *e)
{
    return db_migrate(act, action->db_migrate, NULL, e);
}
