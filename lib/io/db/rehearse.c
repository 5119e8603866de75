/*
 * Owns the way there and back on the clone: the runner goes it, and between two migrations what stands there is recorded.
 * What a migration's way back leaves otherwise than it stood before its way there is that migration's; what one that
 * came back before has left is not said again.
 */
#include "lib/io/db/rehearse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/migrate.h"
#include "lib/io/db/rehearse_parts.h"

#define LOCK_WAIT_MS 60000
#define WRITES       3 /* ROW EXCLUSIVE: from here on rows may change */

/* PostgreSQL's table locks, the weaker before the stronger (its manual, "Explicit Locking"). */
static const char *const lock_modes[][2] = {
    {"AccessShareLock", "ACCESS SHARE"},
    {"RowShareLock", "ROW SHARE"},
    {"RowExclusiveLock", "ROW EXCLUSIVE"},
    {"ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"},
    {"ShareLock", "SHARE"},
    {"ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"},
    {"ExclusiveLock", "EXCLUSIVE"},
    {"AccessExclusiveLock", "ACCESS EXCLUSIVE"},
};

struct walk {
    struct rehearsal *r;
    struct rehearse_report *report;
    bool back;        /* which way is gone now */
    size_t at;        /* the item of this way */
    size_t gone, all; /* of the other way, of both: for who watches */
    bool going;
    struct rehearse_state state; /* before the item that runs */
    /* Of the item that runs. */
    struct arena arena;
    int64_t started_us, looked_us;
    int64_t pid;
    bool in_transaction;
    bool
        outside; /* something ran that no transaction of ours held: any table may be another one now */
    struct rehearse_touched touched;
    size_t touched_capacity, locks_capacity;
    /* What earlier ways back have left. */
    struct rehearse_difference *left;
    size_t left_count;
    struct arena left_arena;
    struct error error; /* of what happened between two migrations */
    int rc;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The way back begins with what went last. */
static struct rehearse_step *step_of(const struct walk *w)
{
    size_t i = w->back ? w->report->count - 1 - w->at : w->at;
    return &w->report->steps[i];
}

static struct rehearse_leg *leg_of(const struct walk *w)
{
    return &step_of(w)->legs[w->back ? 1 : 0];
}

/* ---- locks, as the runner's session has them before its COMMIT ---- */

static void add_lock(struct walk *w, const char *table, int strength)
{
    struct rehearse_leg *leg = leg_of(w);
    struct arena *arena = w->r->arena;
    for (size_t i = 0; i < leg->locks_count; i++) {
        if (str_equal(leg->locks[i].table, table)) {
            if (strength > leg->locks[i].strength) {
                leg->locks[i].strength = strength;
                leg->locks[i].mode = lock_modes[strength - 1][1];
            }
            return;
        }
    }
    leg->locks =
        arena_grow(arena, leg->locks, leg->locks_count, &w->locks_capacity, sizeof(*leg->locks));
    leg->locks[leg->locks_count++] = (struct rehearse_lock){.table = arena_strdup(arena, table),
                                                            .mode = lock_modes[strength - 1][1],
                                                            .strength = strength};
}

static int strength_of(const char *mode)
{
    for (size_t i = 0; i < ARRAY_SIZE(lock_modes); i++) {
        if (str_equal(lock_modes[i][0], mode)) {
            return (int)i + 1;
        }
    }
    return 0;
}

static void look_at_locks(struct walk *w)
{
    struct rehearsal *r = w->r;
    int64_t from = now_us();
    struct db_rows rows = {0};
    if (w->rc == 0 && r->engine->locks != NULL) {
        w->rc = r->engine->locks(&r->clone, &w->arena, w->pid, &rows, &w->error);
    }
    for (size_t i = 0; w->rc == 0 && i < rows.count; i++) {
        int strength = strength_of(db_cell(&rows, i, 2));
        if (strength >= WRITES) {
            w->touched.ids = arena_grow(&w->arena, w->touched.ids, w->touched.count,
                                        &w->touched_capacity, sizeof(*w->touched.ids));
            w->touched.ids[w->touched.count++] = db_cell(&rows, i, 0);
        }
        if (strength > 0 && !db_fingerprint_is_tools(&r->clone, db_cell(&rows, i, 3))) {
            add_lock(w, db_cell(&rows, i, 1), strength);
        }
    }
    w->looked_us += now_us() - from;
}

/* ---- what the runner sends ---- */

static bool begins(const char *sql, const char *word)
{
    return strncasecmp(sql, word, strlen(word)) == 0;
}

static bool ends_transaction(const char *sql)
{
    return begins(sql, "COMMIT") || begins(sql, "END");
}

static void before_statement(void *context, const char *sql)
{
    struct walk *w = context;
    if (!w->going) {
        return;
    }
    if (ends_transaction(sql)) {
        look_at_locks(w);
    } else if (begins(sql, "BEGIN")) {
        w->in_transaction = true;
    } else if (!w->in_transaction && strstr(sql, "lockstep") == NULL) {
        w->outside = true;
    }
}

static void after_statement(void *context, const char *sql)
{
    struct walk *w = context;
    if (ends_transaction(sql) || begins(sql, "ROLLBACK")) {
        w->in_transaction = false;
    }
}

/* What came before is no migration's time. */
static void session_opened(void *context, const struct db_session *s)
{
    struct walk *w = context;
    w->pid = s->backend_pid;
    w->started_us = now_us();
    w->looked_us = 0;
    w->in_transaction = false;
    w->outside = false;
}

/* ---- between two migrations ---- */

static void add_rewrites(struct walk *w, const struct rehearse_state *now)
{
    struct rehearse_leg *leg = leg_of(w);
    leg->rewrites = arena_array(w->r->arena, MAX(now->count, 1), sizeof(*leg->rewrites));
    for (size_t i = 0; i < now->count; i++) {
        const struct rehearse_table *t = &now->tables[i];
        const struct rehearse_table *was = rehearse_table_find(&w->state, t->id);
        if (was != NULL && !str_equal(was->storage, t->storage) && t->bytes > 0) {
            leg->rewrites[leg->rewrites_count++] = (struct rehearse_rewrite){
                .table = arena_strdup(w->r->arena, t->name), .bytes = t->bytes};
        }
    }
}

static bool was_left(const struct walk *w, const char *what)
{
    for (size_t i = 0; i < w->left_count; i++) {
        if (str_equal(w->left[i].what, what)) {
            return true;
        }
    }
    return false;
}

/* The state before the way there of the step that has just come back. */
static int compare(struct walk *w, const struct rehearse_state *now, struct error *e)
{
    struct rehearse_step *step = step_of(w);
    struct rehearse_state was;
    struct rehearse_difference *items = NULL;
    size_t count = 0;
    struct arena arena;
    arena_init(&arena);
    int rc = rehearse_state_load(w->r, (size_t)(step - w->report->steps), &was, e);
    if (rc == 0) {
        rc = rehearse_state_compare(&arena, &was, now, &items, &count, e);
        rehearse_state_deinit(&was);
    }
    step->lost.items = arena_array(w->r->arena, MAX(count, 1), sizeof(*step->lost.items));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!was_left(w, items[i].what)) {
            step->lost.items[step->lost.count++] = arena_strdup(w->r->arena, items[i].words);
        }
    }
    w->report->lossy += step->lost.count > 0 ? 1 : 0;
    arena_deinit(&w->left_arena);
    w->left_arena = arena;
    w->left = items;
    w->left_count = count;
    return rc;
}

static int by_strength(const void *a, const void *b)
{
    const struct rehearse_lock *x = a;
    const struct rehearse_lock *y = b;
    return x->strength != y->strength ? y->strength - x->strength : strcmp(x->table, y->table);
}

static int64_t took_ms(const struct walk *w)
{
    return (now_us() - w->started_us - w->looked_us + 999) / 1000;
}

static int item_done(struct walk *w, struct error *e)
{
    struct rehearse_leg *leg = leg_of(w);
    leg->ran = true;
    leg->ms = took_ms(w);
    if (leg->locks_count > 0) {
        qsort(leg->locks, leg->locks_count, sizeof(*leg->locks), by_strength);
    }
    struct rehearse_state now;
    bool known = w->r->engine->locks != NULL && !w->outside;
    int rc = rehearse_state_read(w->r, &w->state, known ? &w->touched : NULL, &now, e);
    if (rc < 0) {
        return rc;
    }
    add_rewrites(w, &now);
    rc = w->back ? compare(w, &now, e) : rehearse_state_keep(w->r, &now, w->at + 1, e);
    rehearse_state_deinit(&w->state);
    w->state = now;
    return rc;
}

static void progress(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    struct walk *w = ((struct rehearsal *)act->shell)->walk;
    if (w->going && w->rc == 0) {
        w->going = false;
        w->rc = item_done(w, &w->error);
    }
    arena_deinit(&w->arena);
    w->touched = (struct rehearse_touched){0};
    w->touched_capacity = w->locks_capacity = 0;
    if (done >= total || w->rc < 0) {
        return;
    }
    w->at = (size_t)done;
    w->going = true;
    w->outside = w->in_transaction = false;
    struct act *outer = &w->r->outer;
    if (outer->progress != NULL) {
        outer->progress(outer, w->gone + done, w->all, text);
    }
    w->looked_us = 0;
    w->started_us = now_us();
}

static bool stopped(struct act *act)
{
    struct rehearsal *r = act->shell;
    return r->walk->rc < 0 || act_stopped(&r->outer);
}

/* ---- both ways ---- */

static int go(struct walk *w, const struct list *items, bool down, struct error *e)
{
    struct rehearsal *r = w->r;
    const struct db_migrate_action action = {
        .database = r->ref, .format = r->options.format, .down = down, .items = *items};
    const struct db_trace trace = {
        .before = before_statement, .context = w, .after = after_statement};
    const struct db_migrate_tuning tuning = {
        .trace = &trace, .opened = session_opened, .context = w};
    r->act.step = w->back ? "back" : "there";
    r->act.progress = progress;
    r->act.stopped = stopped;
    w->at = 0;
    w->going = false;
    int rc = db_migrate(&r->act, &action, &tuning, e);
    if (w->rc < 0) {
        *e = w->error;
        return w->rc;
    }
    if (rc < 0 && w->going && rc != E_CANCELLED) {
        leg_of(w)->failed = true;
        leg_of(w)->ms = took_ms(w);
    }
    w->going = false;
    arena_deinit(&w->arena);
    return rc;
}

static int begin(struct walk *w, struct error *e)
{
    struct rehearsal *r = w->r;
    struct db_lock_action lock = {
        .database = r->ref, .format = r->options.format, .wait_ms = LOCK_WAIT_MS};
    struct action action = {.db_lock = &lock};
    int rc = act_db_lock(&r->act, &action, e);
    rc = rc < 0 ? rc : rehearse_state_read(r, NULL, NULL, &w->state, e);
    return rc < 0 ? rc : rehearse_state_keep(r, &w->state, 0, e);
}

static void name_steps(struct rehearsal *r, const struct rehearse_way *way,
                       struct rehearse_report *report)
{
    const struct migration_item *there = way->there.items;
    const struct migration_item *back = way->back.items;
    report->down = way->down;
    report->count = way->there.count;
    report->steps = arena_array(r->arena, MAX(report->count, 1), sizeof(*report->steps));
    for (size_t i = 0; i < report->count; i++) {
        struct rehearse_step *step = &report->steps[i];
        step->id = there[i].id;
        step->files[0] = there[i].file;
        step->digests[0] = there[i].sha256;
        if (report->count - 1 - i < way->back.count) {
            const struct migration_item *other = &back[report->count - 1 - i];
            step->files[1] = other->file != NULL ? other->file : other->id;
            step->digests[1] = other->sha256;
        }
    }
}

/* What was counted only, said once. */
static void say_left_out(struct walk *w)
{
    struct strings *out = &w->report->left_out;
    struct arena *arena = w->r->arena;
    out->items = arena_array(arena, MAX(w->state.count, 1), sizeof(*out->items));
    for (size_t i = 0; i < w->state.count; i++) {
        const struct rehearse_table *t = &w->state.tables[i];
        if (t->has_rows && t->columns_count == 0) {
            out->items[out->count++] =
                arena_printf(arena, "%s (%s): its rows were counted, not compared", t->name,
                             str_bytes(arena, t->bytes));
        } else if (!t->has_rows) {
            out->items[out->count++] = arena_printf(
                arena, "%s: a materialized view, its rows were not looked at", t->name);
        }
    }
}

static void say_not_measured(struct walk *w)
{
    const struct rehearse_engine *engine = w->r->engine;
    struct strings *out = &w->report->not_measured;
    bool rewrites = true;
    for (size_t i = 0; i < w->state.count; i++) {
        rewrites = rewrites && w->state.tables[i].storage[0] != '\0';
    }
    out->items = arena_array(w->r->arena, 2, sizeof(*out->items));
    if (engine->locks == NULL) {
        out->items[out->count++] = engine->why_no_locks;
    }
    if (!rewrites) {
        out->items[out->count++] = engine->why_no_rewrites;
    }
}

int rehearse_run(struct rehearsal *r, const struct rehearse_way *way, struct rehearse_report *ret,
                 struct error *e)
{
    assert(way->back.count <= way->there.count);
    *ret = (struct rehearse_report){0};
    struct walk w = {.r = r, .report = ret, .all = way->there.count + way->back.count};
    arena_init(&w.arena);
    arena_init(&w.left_arena);
    r->walk = &w;
    name_steps(r, way, ret);
    int rc = ret->count > 0 ? begin(&w, e) : 0;
    if (rc == 0) {
        say_left_out(&w);
        say_not_measured(&w);
    }
    rc = rc < 0 || ret->count == 0 ? rc : go(&w, &way->there, way->down, e);
    if (rc == 0 && way->back.count > 0) {
        w.back = true;
        w.gone = way->there.count;
        rc = go(&w, &way->back, !way->down, e);
    }
    rehearse_state_deinit(&w.state);
    arena_deinit(&w.arena);
    arena_deinit(&w.left_arena);
    return rc;
}
