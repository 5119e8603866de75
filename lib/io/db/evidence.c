/*
 * Owns reading and writing of Lockstep's own tables, the same for every engine but for their prefix. What must be
 * refused is refused by the tables' triggers.
 */
#include "lib/io/db/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define CREATE_POLL_MS 20

/* Around names that are words of some engine's language stands "; it becomes what the engine quotes names with. */
static const char *sql_text(const struct db_session *s, const char *before, const char *table,
                            const char *after)
{
    char *sql = arena_printf(s->arena, "%s %s%s %s", before, s->engine->prefix, table, after);
    for (char *p = strchr(sql, '"'); p != NULL; p = strchr(p + 1, '"')) {
        *p = s->engine->name_quote;
    }
    return sql;
}

static const char *number(const struct db_session *s, uint64_t value)
{
    return arena_printf(s->arena, "%llu", (unsigned long long)value);
}

static uint64_t to_number(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* ---- making the tables ---- */

static int check_layout(struct db_session *s, struct error *e)
{
    const char *text = NULL;
    int rc = db_value(s, s->arena, sql_text(s, "SELECT max(version) FROM", "layout", ""), NULL, 0,
                      &text, e);
    if (rc < 0 || to_number(text) == DB_EVIDENCE_LAYOUT) {
        return rc;
    }
    if (to_number(text) > DB_EVIDENCE_LAYOUT) {
        return db_fail(s, e, E_CONFLICT,
                       "a newer Lockstep has been here (its tables have layout %s, this program "
                       "knows %d): use "
                       "that one",
                       text, DB_EVIDENCE_LAYOUT);
    }
    return db_fail(s, e, E_CONFLICT,
                   "an older Lockstep has been here (its tables have layout %s, this program knows "
                   "%d): end its runs with that one, then drop its tables (%s*): this one makes "
                   "its own",
                   text != NULL ? text : "?", DB_EVIDENCE_LAYOUT, s->engine->prefix);
}

int db_evidence_exists(struct db_session *s, bool *ret, struct error *e)
{
    bool there = false;
    int rc = s->engine->table_exists(s, arena_printf(s->arena, "%slayout", s->engine->prefix),
                                     &there, e);
    if (rc == 0 && there && !s->engine->schema_in_transactions) {
        /* Made one by one: the layout's row is the last thing. */
        const char *row = NULL;
        rc = db_value(s, s->arena, sql_text(s, "SELECT version FROM", "layout", "LIMIT 1"), NULL, 0,
                      &row, e);
        there = row != NULL;
    }
    if (rc == 0) {
        *ret = there;
    }
    return rc;
}

static int create_once(struct db_session *s, struct error *e)
{
    int rc = db_begin(s, e);
    if (rc < 0) {
        return rc;
    }
    bool there = false;
    rc = s->engine->creator_lock(s, e);
    bool locked = rc == 0;
    if (rc == 0) {
        rc = db_evidence_exists(s, &there, e); /* another creator may have been faster */
    }
    if (rc == 0 && !there) {
        rc = db_exec(s, s->engine->evidence_ddl, e);
    }
    if (rc == 0 && !there) {
        const char *version = number(s, DB_EVIDENCE_LAYOUT);
        rc = db_query(s, s->arena, sql_text(s, "INSERT INTO", "layout", "VALUES ($1)"), &version, 1,
                      NULL, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc != 0) {
        db_rollback(s);
    }
    if (locked && s->engine->creator_unlock != NULL) {
        s->engine->creator_unlock(s);
    }
    return rc;
}

int db_evidence_create(struct db_session *s, int64_t deadline_ms, struct error *e)
{
    bool there = false;
    int rc = db_evidence_exists(s, &there, e);
    while (rc == 0 && !there) {
        rc = create_once(s, e);
        if (rc == 0) {
            there = true;
        } else if (rc == DB_E_BUSY) {
            rc = act_now_ms() < deadline_ms
                     ? 0
                     : db_fail(s, e, E_TIMEOUT,
                               "another session has been making Lockstep's tables for too long");
            process_sleep_ms(CREATE_POLL_MS);
        } else if (str_equal(s->fault.sqlstate, "42501")) {
            error_wrap(e, "Lockstep keeps its evidence in the schema \"lockstep\": GRANT CREATE ON "
                          "DATABASE to the "
                          "role, or CREATE SCHEMA lockstep AUTHORIZATION it");
        }
    }
    return rc < 0 ? rc : check_layout(s, e);
}

/* ---- the fence ---- */

int db_fence_read(struct db_session *s, uint64_t *ret, struct error *e)
{
    const char *text = NULL;
    int rc =
        db_value(s, s->arena, sql_text(s, "SELECT value FROM", "fence", ""), NULL, 0, &text, e);
    if (rc == 0) {
        *ret = to_number(text);
    }
    return rc;
}

static int raise_once(struct db_session *s, const char *value, int64_t wait_ms, struct error *e)
{
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = s->engine->limit_wait(s, wait_ms, e);
    }
    if (rc == 0) {
        rc =
            db_query(s, s->arena, sql_text(s, "UPDATE", "fence", "SET value = $1 WHERE value < $1"),
                     &value, 1, NULL, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

int db_fence_raise(struct db_session *s, uint64_t fence, int64_t deadline_ms, struct error *e)
{
    if (fence > INT64_MAX) {
        return db_fail(s, e, E_LIMIT, "a fence is at most %lld", (long long)INT64_MAX);
    }
    uint64_t live = 0;
    int rc = db_fence_read(s, &live, e);
    if (rc == 0 && live < fence) {
        rc = raise_once(s, number(s, fence), deadline_ms - act_now_ms(), e);
        if (rc < 0 && s->fault.waited) {
            return db_fail(s, e, E_TIMEOUT,
                           "cannot raise the fence from %llu to %llu: a transaction that has "
                           "written evidence has "
                           "not ended; look for Lockstep's sessions on the server",
                           (unsigned long long)live, (unsigned long long)fence);
        }
        if (rc == 0) {
            rc = db_fence_read(s, &live, e);
        }
    }
    if (rc == 0 && live > fence) {
        return db_fail(
            s, e, E_DENIED,
            "fence %llu is old: the database has seen %llu, another controller has taken over",
            (unsigned long long)fence, (unsigned long long)live);
    }
    return rc;
}

/* ---- evidence and intents ---- */

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static const char *direction(const struct db_work *work)
{
    return work->down ? "1" : "0";
}

#define EVIDENCE "SELECT item, down, digest, how, at, run, step, number FROM"

static struct db_evidence evidence_of(const struct db_rows *rows, size_t row)
{
    return (struct db_evidence){.found = true,
                                .item = db_cell(rows, row, 0),
                                .down = to_number(db_cell(rows, row, 1)) != 0,
                                .digest = db_cell(rows, row, 2),
                                .how = db_cell(rows, row, 3),
                                .at = db_cell(rows, row, 4),
                                .run = db_cell(rows, row, 5),
                                .step = db_cell(rows, row, 6),
                                .number = to_number(db_cell(rows, row, 7))};
}

static int by_item(const void *a, const void *b)
{
    const struct db_evidence *x = a;
    const struct db_evidence *y = b;
    int r = strcmp(x->item, y->item);
    return r != 0 ? r : (int)x->down - (int)y->down;
}

static int evidence_list(struct db_session *s, struct arena *arena, const char *sql,
                         const char *const *params, size_t param_count, struct db_evidence **ret,
                         size_t *ret_count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, arena, sql, params, param_count, &rows, e);
    if (rc < 0) {
        return rc;
    }
    struct db_evidence *list = ARENA_ARRAY(arena, rows.count, struct db_evidence);
    for (size_t i = 0; i < rows.count; i++) {
        list[i] = evidence_of(&rows, i);
    }
    qsort(list, rows.count, sizeof(*list), by_item);
    *ret = list;
    *ret_count = rows.count;
    return 0;
}

int db_evidence_read(struct db_session *s, struct arena *arena, const char *run, const char *step,
                     struct db_evidence **ret, size_t *ret_count, struct error *e)
{
    const char *params[] = {run, step};
    return evidence_list(s, arena,
                         sql_text(s, EVIDENCE, "evidence", "WHERE run = $1 AND step = $2"), params,
                         2, ret, ret_count, e);
}

int db_evidence_newest(struct db_session *s, struct arena *arena, const char *ledger,
                       struct db_evidence **ret, size_t *ret_count, struct error *e)
{
    const char *params[] = {ledger, DB_RESTORED};
    const char *of =
        sql_text(s, "WHERE number IN (SELECT max(number) FROM", "evidence",
                 "WHERE ledger = $1 AND number > (SELECT coalesce(max(number), 0) FROM");
    const char *where =
        sql_text(s, of, "evidence", "WHERE ledger = '' AND item = $2) GROUP BY item)");
    return evidence_list(s, arena, sql_text(s, EVIDENCE, "evidence", where), params, 2, ret,
                         ret_count, e);
}

int db_evidence_find(struct db_session *s, struct arena *arena, const struct db_work *work,
                     struct db_evidence *ret, struct error *e)
{
    const char *params[] = {work->run, work->step, work->item, direction(work)};
    struct db_rows rows;
    int rc = db_query(s, arena,
                      sql_text(s, EVIDENCE, "evidence",
                               "WHERE run = $1 AND step = $2 AND item = $3 AND down = $4"),
                      params, 4, &rows, e);
    if (rc == 0) {
        *ret = rows.count > 0 ? evidence_of(&rows, 0) : (struct db_evidence){0};
    }
    return rc;
}

int db_evidence_add(struct db_session *s, const struct db_work *work, const char *how,
                    struct error *e)
{
    const char *params[] = {work->run,
                            work->step,
                            work->item,
                            direction(work),
                            work->digest,
                            how,
                            number(s, work->fence),
                            or_empty(work->ledger)};
    return db_query(s, s->arena,
                    sql_text(s, "INSERT INTO", "evidence",
                             "(run, step, item, down, digest, how, fence, ledger)"
                             " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"),
                    params, 8, NULL, e);
}

static struct db_intent intent_of(const struct db_rows *rows, size_t row)
{
    return (struct db_intent){.found = true,
                              .ledger = db_cell(rows, row, 0),
                              .item = db_cell(rows, row, 1),
                              .down = to_number(db_cell(rows, row, 2)) != 0,
                              .run = db_cell(rows, row, 3),
                              .step = db_cell(rows, row, 4),
                              .digest = db_cell(rows, row, 5),
                              .file = db_cell(rows, row, 6),
                              .progress = {.line = (int)to_number(db_cell(rows, row, 7)),
                                           .statement = db_cell(rows, row, 8),
                                           .done = (int64_t)to_number(db_cell(rows, row, 9)),
                                           .state = db_cell(rows, row, 10)},
                              .backend_pid = (int64_t)to_number(db_cell(rows, row, 11)),
                              .asked_run = db_cell(rows, row, 12),
                              .asked_step = db_cell(rows, row, 13),
                              .asked_attempt = (uint32_t)to_number(db_cell(rows, row, 14)),
                              .at = db_cell(rows, row, 15)};
}

int db_intents_read(struct db_session *s, struct arena *arena, const char *ledger,
                    struct db_intent **ret, size_t *ret_count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(
        s, arena,
        sql_text(s,
                 "SELECT ledger, item, down, run, step, digest, file, line, statement, done, state,"
                 " backend_pid, asked_run, asked_step, asked_attempt, at FROM",
                 "intent", ledger != NULL ? "WHERE ledger = $1 ORDER BY at" : "ORDER BY at"),
        &ledger, ledger != NULL ? 1 : 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    struct db_intent *list = ARENA_ARRAY(arena, rows.count, struct db_intent);
    for (size_t i = 0; i < rows.count; i++) {
        list[i] = intent_of(&rows, i);
    }
    *ret = list;
    *ret_count = rows.count;
    return 0;
}

#define INTENT_PARAMS 13

static void intent_params(const struct db_session *s, const struct db_work *work,
                          const struct db_progress *progress, const char **params)
{
    const char *values[INTENT_PARAMS] = {or_empty(work->ledger),
                                         work->item,
                                         direction(work),
                                         work->run,
                                         work->step,
                                         work->digest,
                                         work->file != NULL ? work->file : work->item,
                                         arena_printf(s->arena, "%d", progress->line),
                                         or_empty(progress->statement),
                                         arena_printf(s->arena, "%lld", (long long)progress->done),
                                         or_empty(progress->state),
                                         number(s, work->fence),
                                         arena_printf(s->arena, "%lld", (long long)s->backend_pid)};
    memcpy(params, values, sizeof(values));
}

int db_intent_add(struct db_session *s, const struct db_work *work,
                  const struct db_progress *progress, struct error *e)
{
    const char *params[INTENT_PARAMS];
    intent_params(s, work, progress, params);
    return db_query(
        s, s->arena,
        sql_text(
            s, "INSERT INTO", "intent",
            "(ledger, item, down, run, step, digest, file, line, statement, done, state, fence,"
            " backend_pid) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"),
        params, INTENT_PARAMS, NULL, e);
}

int db_intent_move(struct db_session *s, const struct db_work *work,
                   const struct db_progress *progress, struct error *e)
{
    const char *params[INTENT_PARAMS];
    intent_params(s, work, progress, params);
    return db_query(
        s, s->arena,
        sql_text(s, "UPDATE", "intent",
                 "SET run = $4, step = $5, digest = $6, file = $7, line = $8, statement = $9,"
                 " done = $10, state = $11, fence = $12, backend_pid = $13, asked_run = '',"
                 " asked_step = '', asked_attempt = 0"
                 " WHERE ledger = $1 AND item = $2 AND down = $3"),
        params, INTENT_PARAMS, NULL, e);
}

#define WHERE_INTENT "WHERE ledger = $1 AND item = $2 AND down = $3"

int db_intent_asked(struct db_session *s, const struct db_work *work, struct error *e)
{
    const char *params[] = {or_empty(work->ledger),  work->item, direction(work),
                            number(s, work->fence),  work->run,  work->step,
                            number(s, work->attempt)};
    return db_query(
        s, s->arena,
        sql_text(
            s, "UPDATE", "intent",
            "SET fence = $4, asked_run = $5, asked_step = $6, asked_attempt = $7 " WHERE_INTENT),
        params, 7, NULL, e);
}

int db_intent_remove(struct db_session *s, const struct db_work *work, struct error *e)
{
    const char *params[] = {or_empty(work->ledger), work->item, direction(work)};
    return db_query(s, s->arena, sql_text(s, "DELETE FROM", "intent", WHERE_INTENT), params, 3,
                    NULL, e);
}

/* A row whose first `key` columns may be there already: then the others get these values. */
static const char *upsert(const struct db_session *s, const char *table, const char *const *columns,
                          size_t count, size_t key)
{
    const char q = s->engine->name_quote; /* some of the names are words of the language */
    bool duplicate = s->engine->on_duplicate_key;
    struct buf b;
    buf_init(&b, s->arena, LIMIT_TEXT_BYTES);
    buf_printf(&b, "INSERT INTO %s%s (", s->engine->prefix, table);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&b, "%s%c%s%c", i > 0 ? ", " : "", q, columns[i], q);
    }
    buf_puts(&b, ") VALUES (");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&b, "%s$%zu", i > 0 ? ", " : "", i + 1);
    }
    buf_puts(&b, duplicate ? ") ON DUPLICATE KEY UPDATE " : ") ON CONFLICT (");
    for (size_t i = 0; i < key && !duplicate; i++) {
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", columns[i]);
    }
    buf_puts(&b, duplicate ? "" : ") DO UPDATE SET ");
    for (size_t i = key; i < count; i++) {
        buf_printf(&b, "%s%c%s%c = ", i > key ? ", " : "", q, columns[i], q);
        buf_printf(&b, duplicate ? "VALUES(%c%s%c)" : "excluded.%c%s%c", q, columns[i], q);
    }
    assert(!b.overflow);
    return buf_text(&b);
}

int db_checkpoint_write(struct db_session *s, const struct db_checkpoint *c, struct error *e)
{
    const char *params[] = {c->run,
                            c->step,
                            c->release != NULL ? c->release : "",
                            arena_printf(s->arena, "%lld", (long long)c->schema),
                            number(s, c->applied),
                            c->digest,
                            number(s, c->fence),
                            or_empty(c->fingerprint),
                            NULL,
                            NULL};
    /* Two of them in one second have an order too. Whoever writes holds the lock. */
    const char *last = NULL;
    const char *evidence = NULL;
    int rc = db_value(s, s->arena, sql_text(s, "SELECT max(number) FROM", "checkpoint", ""), NULL,
                      0, &last, e);
    rc = rc < 0 ? rc
                : db_value(s, s->arena, sql_text(s, "SELECT max(number) FROM", "evidence", ""),
                           NULL, 0, &evidence, e);
    if (rc < 0) {
        return rc;
    }
    params[8] = number(s, to_number(last) + 1);
    params[9] = number(s, to_number(evidence));
    static const char *const columns[] = {"run",    "step",  "release",     "schema", "applied",
                                          "digest", "fence", "fingerprint", "number", "evidence"};
    static_assert(ARRAY_SIZE(columns) == ARRAY_SIZE(params), "a value each");
    return db_query(s, s->arena, upsert(s, "checkpoint", columns, ARRAY_SIZE(columns), 2), params,
                    ARRAY_SIZE(columns), NULL, e);
}

static int checkpoint_list(struct db_session *s, struct arena *arena, const char *release,
                           const char *order, struct db_checkpoint **ret, size_t *ret_count,
                           struct error *e)
{
    bool there = false;
    struct db_rows rows = {0};
    int rc = db_evidence_exists(s, &there, e);
    if (rc == 0 && there) {
        const char *where = arena_printf(s->arena, "WHERE fingerprint <> ''%s ORDER BY number %s",
                                         release != NULL ? " AND \"release\" = $1" : "", order);
        rc = db_query(s, arena,
                      sql_text(s,
                               "SELECT run, step, \"release\", digest, \"schema\", applied, fence,"
                               " fingerprint, at, evidence FROM",
                               "checkpoint", where),
                      &release, release != NULL ? 1 : 0, &rows, e);
    }
    if (rc < 0) {
        return rc;
    }
    struct db_checkpoint *list = ARENA_ARRAY(arena, rows.count, struct db_checkpoint);
    for (size_t i = 0; i < rows.count; i++) {
        list[i] = (struct db_checkpoint){.run = db_cell(&rows, i, 0),
                                         .step = db_cell(&rows, i, 1),
                                         .release = db_cell(&rows, i, 2),
                                         .digest = db_cell(&rows, i, 3),
                                         .schema = (int64_t)to_number(db_cell(&rows, i, 4)),
                                         .applied = to_number(db_cell(&rows, i, 5)),
                                         .fence = to_number(db_cell(&rows, i, 6)),
                                         .fingerprint = db_cell(&rows, i, 7),
                                         .at = db_cell(&rows, i, 8),
                                         .evidence = to_number(db_cell(&rows, i, 9))};
    }
    *ret = list;
    *ret_count = rows.count;
    return 0;
}

int db_checkpoint_latest(struct db_session *s, struct arena *arena, const char *release,
                         struct db_checkpoint *ret, struct error *e)
{
    struct db_checkpoint *list = NULL;
    size_t count = 0;
    int rc = checkpoint_list(s, arena, release, "DESC LIMIT 1", &list, &count, e);
    if (rc == 0) {
        *ret = count > 0 ? list[0] : (struct db_checkpoint){0};
    }
    return rc;
}

int db_checkpoints_read(struct db_session *s, struct arena *arena, struct db_checkpoint **ret,
                        size_t *ret_count, struct error *e)
{
    return checkpoint_list(s, arena, NULL, "", ret, ret_count, e);
}

/* ---- the holder's row ---- */

int db_holder_read(struct db_session *s, struct arena *arena, struct db_holder *ret,
                   struct error *e)
{
    *ret = (struct db_holder){0};
    bool there = false;
    int rc = db_evidence_exists(s, &there, e);
    if (rc < 0 || !there) {
        return rc;
    }
    struct db_rows rows;
    rc = db_query(
        s, arena,
        sql_text(
            s,
            "SELECT run, host, machine, boot_id, pid_space, pid, start_time, fence, backend_pid,"
            " tool_lease, since FROM",
            "holder", "WHERE one = 1"),
        NULL, 0, &rows, e);
    if (rc == 0 && rows.count > 0) {
        *ret = (struct db_holder){
            .run = db_cell(&rows, 0, 0),
            .host = db_cell(&rows, 0, 1),
            .machine = db_cell(&rows, 0, 2),
            .boot_id = db_cell(&rows, 0, 3),
            .pid_space = db_cell(&rows, 0, 4),
            .pid = (int64_t)to_number(db_cell(&rows, 0, 5)),
            .start_time = to_number(db_cell(&rows, 0, 6)),
            .fence = to_number(db_cell(&rows, 0, 7)),
            .backend_pid = (int64_t)to_number(db_cell(&rows, 0, 8)),
            .tool_lease = (int64_t)to_number(db_cell(&rows, 0, 9)),
            .since = db_cell(&rows, 0, 10),
        };
    }
    return rc;
}

int db_holder_write(struct db_session *s, const struct db_holder *h, struct error *e)
{
    /* A new holder's row is a new row: `since` with it. The same one only renews its lease. */
    const char *pid = number(s, (uint64_t)h->pid);
    const char *start = number(s, h->start_time);
    const char *fence = number(s, h->fence);
    const char *backend = number(s, (uint64_t)h->backend_pid);
    const char *lease = number(s, (uint64_t)h->tool_lease);
    const char *same[] = {lease, fence, h->run, h->boot_id, h->pid_space, pid, start, backend};
    struct db_rows rows;
    int rc = db_query(
        s, s->arena,
        sql_text(s, "UPDATE", "holder",
                 "SET tool_lease = $1, fence = $2 WHERE one = 1 AND run = $3 AND boot_id = $4"
                 " AND pid_space = $5 AND pid = $6 AND start_time = $7 AND backend_pid = $8"),
        same, 8, &rows, e);
    if (rc < 0 || rows.changed > 0) {
        return rc;
    }
    rc = db_exec(s, sql_text(s, "DELETE FROM", "holder", ""), e);
    if (rc < 0) {
        return rc;
    }
    const char *params[] = {h->run, h->host, h->machine, h->boot_id, h->pid_space,
                            pid,    start,   fence,      backend,    lease};
    return db_query(
        s, s->arena,
        sql_text(
            s, "INSERT INTO", "holder",
            "(one, run, host, machine, boot_id, pid_space, pid, start_time, fence, backend_pid,"
            " tool_lease) VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
        params, 10, NULL, e);
}

int db_holder_remove(struct db_session *s, const struct db_holder *h, struct error *e)
{
    const char *params[] = {number(s, (uint64_t)h->pid), number(s, h->start_time),
                            number(s, (uint64_t)h->backend_pid)};
    return db_query(s, s->arena,
                    sql_text(s, "DELETE FROM", "holder",
                             "WHERE pid = $1 AND start_time = $2 AND backend_pid = $3"),
                    params, 3, NULL, e);
}

int db_holder_self(struct arena *arena, const char *run, uint64_t fence, struct db_holder *ret,
                   struct error *e)
{
    struct process_id id;
    int rc = process_identify(getpid(), &id, e);
    if (rc < 0) {
        return rc;
    }
    struct utsname names;
    uname(&names);
    char space[128];
    ssize_t len = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);
    space[MAX(len, 0)] = '\0';
    char *machine = NULL;
    size_t machine_bytes = 0;
    if (file_read(arena, "/etc/machine-id", 256, &machine, &machine_bytes, NULL) < 0) {
        machine = arena_strdup(arena, "");
    }
    machine[strcspn(machine, "\n")] = '\0';
    *ret = (struct db_holder){.run = run,
                              .host = arena_strdup(arena, names.nodename),
                              .machine = machine,
                              .boot_id = arena_strdup(arena, id.boot_id),
                              .pid_space = arena_strdup(arena, space),
                              .pid = id.pid,
                              .start_time = id.start_ticks,
                              .fence = fence};
    return 0;
}

enum db_life db_holder_life(const struct db_holder *holder, const struct db_holder *self)
{
    if (!str_equal(holder->boot_id, self->boot_id)) {
        bool here =
            str_equal(holder->host, self->host) && str_equal(holder->machine, self->machine);
        return here ? DB_LIFE_DEAD : DB_LIFE_UNPROVED;
    }
    if (!str_equal(holder->pid_space, self->pid_space)) {
        return DB_LIFE_UNPROVED;
    }
    struct process_id id = {.pid = (pid_t)holder->pid, .start_ticks = holder->start_time};
    snprintf(id.boot_id, sizeof(id.boot_id), "%s", holder->boot_id);
    return process_alive(&id) ? DB_LIFE_ALIVE : DB_LIFE_DEAD;
}
