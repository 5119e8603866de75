/*
 * Owns the actions that look at a ledger or record what a database has reached. The ones that only look change nothing,
 * and create nothing.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/format.h"
#include "lib/io/db/hold.h"
#include "lib/io/db/migrate.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/process.h"
#include "lib/spec/shape.h"

#define RETRY_MS       200
#define POLL_MS        200
#define DIFFERENCE_MAX 5 /* names of a difference in an error */

int db_set_facts(struct act *act, json_t *json, struct error *e)
{
    if (json == NULL) {
        return error_set(e, E_INVALID,
                         "the facts cannot be written as JSON: is a name in the ledger not UTF-8?");
    }
    struct buf b;
    size_t most = act->facts_bytes_max > 0 ? act->facts_bytes_max : LIMIT_FACTS_BYTES;
    buf_init(&b, act->arena, most);
    json_canonical(json, &b);
    json_decref(json);
    if (b.overflow) {
        return error_set(e, E_LIMIT, "what was found is longer than %zu bytes as JSON", most);
    }
    act->facts = buf_text(&b);
    return 0;
}

bool db_program_stopped(void *act)
{
    return act_stopped(act);
}

int db_program_was_stopped(struct error *e)
{
    return error_set(e, E_CANCELLED, "stopped");
}

int db_open_to_look(struct act *act, struct db_session *s, const struct database_ref *database,
                    bool wait, struct error *e)
{
    struct db_options options = {.run = act->run, .read_only = true, .log_fd = act->log_fd};
    return db_open_wait(s, act->arena, database, &options, wait ? act->deadline_ms : 0, e);
}

/* ---- ledger ---- */

static size_t list_missing(struct buf *b, const struct strings *from, const struct strings *in)
{
    size_t missing = 0;
    for (size_t i = 0; i < from->count; i++) {
        bool found = false;
        for (size_t j = 0; j < in->count && !found; j++) {
            found = strcmp(from->items[i], in->items[j]) == 0;
        }
        if (!found && missing++ < DIFFERENCE_MAX) {
            buf_printf(b, "%s%s", missing > 1 ? ", " : "", from->items[i]);
        }
    }
    if (missing > DIFFERENCE_MAX) {
        buf_printf(b, " and %zu more", missing - DIFFERENCE_MAX);
    }
    return missing;
}

/* Is the ledger as expected but for the one id that makes it done? */
static bool is_done(struct act *act, const struct db_ledger_action *a,
                    const struct db_ledger *ledger)
{
    struct buf ignored;
    buf_init(&ignored, act->arena, LIMIT_TEXT_BYTES);
    const struct strings one = {&(const char *){a->done_id}, a->done_id != NULL ? 1 : 0};
    if (!a->or_done || one.count == 0) {
        return false;
    }
    bool expected = list_missing(&ignored, &one, &a->expect_ids) == 0;
    bool there = list_missing(&ignored, &one, &ledger->ids) == 0;
    return expected != there &&
           list_missing(&ignored, &a->expect_ids, &ledger->ids) == (expected ? 1 : 0) &&
           list_missing(&ignored, &ledger->ids, &a->expect_ids) == (expected ? 0 : 1);
}

static int compare_ids(struct act *act, const struct db_ledger_action *a,
                       const struct db_ledger *ledger, bool *ret_already, struct error *e)
{
    *ret_already = is_done(act, a, ledger);
    if (*ret_already) {
        return 0;
    }
    struct buf lacking;
    struct buf extra;
    buf_init(&lacking, act->arena, LIMIT_TEXT_BYTES);
    buf_init(&extra, act->arena, LIMIT_TEXT_BYTES);
    size_t lacks = list_missing(&lacking, &a->expect_ids, &ledger->ids);
    size_t extras = list_missing(&extra, &ledger->ids, &a->expect_ids);
    if (lacks == 0 && extras == 0) {
        return 0;
    }
    return error_set(e, E_CONFLICT,
                     "the ledger of database %s is not as planned (%zu applied, %zu "
                     "expected)%s%s%s%s: somebody else "
                     "migrated it; plan again",
                     a->database.name, ledger->ids.count, a->expect_ids.count,
                     lacks > 0 ? "; lacking: " : "", buf_text(&lacking),
                     extras > 0 ? "; not expected: " : "", buf_text(&extra));
}

static int compare_count(const struct db_ledger_action *a, int64_t rows, bool *ret_already,
                         struct error *e)
{
    const char *table = a->ledger != NULL ? a->ledger->table : "?";
    *ret_already = a->or_done && rows == a->done_count;
    if (rows == a->expect_count || *ret_already) {
        return 0;
    }
    int64_t low = MIN(a->expect_count, a->done_count);
    int64_t high = MAX(a->expect_count, a->done_count);
    if (a->or_done && rows > low && rows < high) {
        return error_set(e, E_UNKNOWN,
                         "the ledger %s of database %s has %" PRId64 " rows: between %" PRId64
                         " (not run) and %" PRId64 " (done). The migrator stopped half-way: look "
                         "at its output and at the database, finish or "
                         "undo it with the migrator's own command, then retry",
                         table, a->database.name, rows, a->expect_count, a->done_count);
    }
    return error_set(e, E_CONFLICT,
                     "the ledger %s of database %s has %" PRId64 " rows, expected %" PRId64
                     ": the migrator did not do what was planned, or somebody else migrated; look, "
                     "then plan again",
                     table, a->database.name, rows, a->expect_count);
}

static int ledger_once(struct act *act, const struct db_ledger_action *a, struct error *e)
{
    struct db_session s = {0};
    struct db_ledger ledger = {0};
    bool already = false;
    int rc = db_open_to_look(act, &s, &a->database, true, e);
    if (rc == 0) {
        rc = db_ledger_read(&s, act->arena, a->format, a->ledger, &ledger, e);
    }
    db_close(&s);
    if (rc == 0) {
        rc = a->expect_count >= 0 ? compare_count(a, (int64_t)ledger.ids.count, &already, e)
                                  : compare_ids(act, a, &ledger, &already, e);
    }
    if (rc == 0) {
        rc = db_set_facts(
            act, json_pack("{s:b, s:I}", "already", already, "rows", (json_int_t)ledger.ids.count),
            e);
    }
    return rc;
}

bool db_again(struct act *act, int rc)
{
    if (rc != E_UNAVAILABLE || act_left_ms(act) <= RETRY_MS) {
        return false;
    }
    process_sleep_ms(RETRY_MS);
    return true;
}

int act_db_ledger(struct act *act, const struct action *action, struct error *e)
{
    int rc;
    do {
        rc = ledger_once(act, action->db_ledger, e);
    } while (db_again(act, rc));
    return rc;
}

/* ---- the tool's lock ---- */

int act_db_tool_lock(struct act *act, const struct action *action, struct error *e)
{
    const struct db_tool_lock_action *a = action->db_tool_lock;
    int64_t until = MIN(act_now_ms() + a->wait_ms, act->deadline_ms);
    struct db_session s = {0};
    int rc = db_open_to_look(act, &s, &a->database, true, e);
    while (rc == 0) {
        struct db_lock_state state;
        rc = s.engine->advisory_state(&s, act->arena, a->advisory, &state, e);
        if (rc < 0 || !state.held) {
            break;
        }
        if (act_now_ms() >= until) {
            rc = error_set(e, E_TIMEOUT,
                           "database %s: the migrator's own lock (advisory %s) is held by %s: the "
                           "migrator would "
                           "wait for it. End that session, then retry",
                           a->database.name, a->advisory, state.words);
            break;
        }
        process_sleep_ms(POLL_MS);
    }
    db_close(&s);
    return rc;
}

/* ---- checkpoint ---- */

const char *db_ledger_digest(struct arena *arena, const struct db_ledger *ledger)
{
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    if (digest_init(&d, NULL) < 0) {
        return "";
    }
    for (size_t i = 0; i < ledger->ids.count; i++) {
        digest_update(&d, ledger->ids.items[i], strlen(ledger->ids.items[i]));
        digest_update(&d, "\n", 1);
    }
    digest_final_hex(&d, hex);
    return arena_strdup(arena, hex);
}

int db_checkpoint_now(struct act *act, struct db_session *s, const struct db_checkpoint_action *a,
                      struct db_checkpoint *ret, struct db_fingerprint *ret_fingerprint,
                      struct error *e)
{
    struct db_ledger ledger = {0};
    struct db_fingerprint fingerprint = {0};
    struct db_checkpoint c = {.run = act->run,
                              .step = act->step,
                              .release = a->release,
                              .schema = a->schema,
                              .fence = act->fence};
    int rc = db_ledger_read(s, act->arena, a->format, a->ledger, &ledger, e);
    if (rc < 0) {
        return rc;
    }
    c.applied = ledger.ids.count;
    c.digest = db_ledger_digest(act->arena, &ledger);
    if (s->engine->objects == NULL) {
        rc = db_checkpoint_write(s, &c, e);
    } else {
        rc = db_fingerprint_read(s, act->arena, &fingerprint, e);
        rc = rc < 0 ? rc : db_fingerprint_record(s, &fingerprint, &c, e);
    }
    if (rc == 0) {
        *ret = c;
        *ret_fingerprint = fingerprint;
    }
    return rc;
}

static int checkpoint_once(struct act *act, const struct db_checkpoint_action *a, struct error *e)
{
    struct db_session s = {0};
    struct db_checkpoint c = {0};
    struct db_fingerprint fingerprint = {0};
    bool temporary = false;
    int rc = db_work_open(act, &s, &a->database, a->format, NULL, &temporary, e);
    if (rc == 0) {
        rc = db_checkpoint_now(act, &s, a, &c, &fingerprint, e);
    }
    rc = db_work_close(act, &s, &a->database, a->format, temporary, rc, e);
    if (rc == 0) {
        rc = db_set_facts(act,
                          json_pack("{s:I, s:s, s:s?, s:s, s:I}", "applied", (json_int_t)c.applied,
                                    "digest", c.digest, "fingerprint", c.fingerprint, "release",
                                    a->release != NULL ? a->release : "", "schema",
                                    (json_int_t)a->schema),
                          e);
    }
    return rc;
}

int act_db_checkpoint(struct act *act, const struct action *action, struct error *e)
{
    int rc;
    do {
        rc = checkpoint_once(act, action->db_checkpoint, e);
    } while (db_again(act, rc));
    return rc;
}

/* ---- observe ---- */

static json_t *holder_json(const struct db_holder *row, const struct db_lock_state *state)
{
    if (row->run == NULL) {
        return json_null();
    }
    bool held = state->held && (state->pid == row->backend_pid || state->pid == row->pid);
    return json_pack("{s:I, s:I, s:b, s:s, s:I, s:s, s:s}", "backend_pid",
                     (json_int_t)row->backend_pid, "fence", (json_int_t)row->fence, "held", held,
                     "host", row->host, "pid", (json_int_t)row->pid, "run", row->run, "since",
                     row->since);
}

#define OPEN_MAX 100 /* of what stands open is told */

/* What was begun and not ended: the tool's own mark, and Lockstep's intents. */
static json_t *open_json(struct act *act, const struct db_ledger *ledger,
                         const struct db_intent *intents, size_t count)
{
    json_t *open = json_array();
    if (ledger->mark != DB_MARK_NONE) {
        json_array_append_new(open, json_pack("{s:b, s:s, s:b, s:s}", "down", ledger->mark_down,
                                              "id", ledger->mark_id, "ours", false, "words",
                                              ledger->mark_words));
    }
    for (size_t i = 0; i < MIN(count, (size_t)OPEN_MAX); i++) {
        const struct db_intent *intent = &intents[i];
        const char *file = str_empty(intent->file) ? intent->item : intent->file;
        const char *words =
            str_empty(intent->progress.statement)
                ? arena_printf(act->arena, "run %s began %s at %s", intent->run, file, intent->at)
                : arena_printf(act->arena, "run %s began %s at %s, and stands before line %d: %s",
                               intent->run, file, intent->at, intent->progress.line,
                               intent->progress.statement);
        json_array_append_new(open, json_pack("{s:b, s:s, s:b, s:s}", "down", intent->down, "id",
                                              intent->item, "ours", true, "words", words));
    }
    return open;
}

/* The largest tables: what a lock on them means. */
static int tables_json(struct act *act, struct db_session *s, json_t **ret, struct error *e)
{
    struct db_rows rows = {0};
    int rc = 0;
    if (s->engine->tables != NULL) {
        rc = s->engine->tables(s, act->arena, &rows, e);
    }
    json_t *list = json_array();
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        json_array_append_new(list, json_pack("{s:I, s:s, s:I}", "bytes",
                                              (json_int_t)strtoll(db_cell(&rows, i, 1), NULL, 10),
                                              "name", db_cell(&rows, i, 0), "rows",
                                              (json_int_t)strtoll(db_cell(&rows, i, 2), NULL, 10)));
    }
    *ret = list;
    return rc;
}

static int observe_facts(struct act *act, struct db_session *s, const struct db_observe_action *a,
                         struct error *e)
{
    struct db_ledger ledger = {0};
    struct db_holder row = {0};
    struct db_lock_state state = {0};
    const char *version = NULL;
    const char *identity = NULL;
    uint64_t bytes = 0;
    uint64_t fence = 0;
    bool evidence = false;
    struct db_intent *intents = NULL;
    size_t intent_count = 0;
    int rc = db_ledger_read(s, act->arena, a->format, a->ledger, &ledger, e);
    rc = rc < 0 ? rc : s->engine->version(s, act->arena, &version, e);
    rc = rc < 0 ? rc : s->engine->identity(s, act->arena, &identity, e);
    rc = rc < 0 ? rc : s->engine->bytes(s, &bytes, e);
    rc = rc < 0 ? rc : db_evidence_exists(s, &evidence, e);
    if (rc == 0 && evidence) {
        rc = db_fence_read(s, &fence, e);
        rc = rc < 0 ? rc : db_holder_read(s, act->arena, &row, e);
        rc = rc < 0 ? rc : s->engine->lock_state(s, act->arena, &state, e);
    }
    if (rc == 0 && evidence && db_format_get(a->format) != NULL) {
        rc = db_intents_read(s, act->arena, db_ledger_name(s, a->format, act->arena), &intents,
                             &intent_count, e);
    }
    json_t *tables = NULL;
    rc = rc < 0 ? rc : tables_json(act, s, &tables, e);
    if (rc < 0) {
        json_decref(tables);
        return rc;
    }
    json_t *applied = json_array();
    for (size_t i = 0; i < ledger.ids.count; i++) {
        json_array_append_new(applied, json_string(ledger.ids.items[i]));
    }
    return db_set_facts(act,
                        json_pack("{s:o, s:I, s:s, s:I, s:o, s:s, s:b, s:o, s:o}", "applied",
                                  applied, "bytes", (json_int_t)bytes, "engine", version, "fence",
                                  (json_int_t)fence, "holder", holder_json(&row, &state),
                                  "identity", identity, "ledger_exists", ledger.exists, "open",
                                  open_json(act, &ledger, intents, intent_count), "tables", tables),
                        e);
}

int act_db_observe(struct act *act, const struct action *action, struct error *e)
{
    const struct db_observe_action *a = action->db_observe;
    struct db_session s = {0};
    int rc = db_open_to_look(act, &s, &a->database, false, e);
    if (rc == 0) {
        rc = observe_facts(act, &s, a, e);
    }
    db_close(&s);
    return rc;
}
