/* Owns the pretended database: lock, fence, evidence and ledger as lib/io/db keeps them, and the schema as it really is. One
 * small step of an action at a time, so that sessions die between any two. */
#include <string.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

#define LOCK_WAIT_MS 60000

enum { AT_OPEN = 1, AT_LOCK, AT_WORK, AT_EFFECT, AT_LEDGER };

int database_schema(const struct sim *s)
{
    if (s->scenario.external) {
        return s->database.rows;
    }
    int schema = 0;
    for (size_t i = 0; i < s->scenario.item_count; i++) {
        schema += s->database.effect[i] ? 1 : 0;
    }
    return schema;
}

static void end(struct sim *s, struct sim_worker *w, enum outcome_status status, int code,
                const char *message)
{
    struct sim_database *d = &s->database;
    if (w->temporary && d->locked && d->lock_place == w->place && d->lock_run == w->run) {
        d->locked = false;
    }
    worker_end(s, w, status, code, message);
}

static bool is_fenced(const struct sim *s, const struct sim_worker *w)
{
    return w->fence < s->database.fence;
}

/* All that takes effect comes by here. */
static void check_fence(struct sim *s, const struct sim_worker *w, const char *what)
{
    s->coverage->checks[RULE_FENCED]++;
    if (w->generation < s->database.generation) {
        violate(s, RULE_FENCED, "%s by controller %u's order, after controller %u raised the fence",
                what, (unsigned)w->generation, (unsigned)s->database.generation);
    }
}

static void set_effect(struct sim *s, const struct sim_worker *w, size_t item, bool on)
{
    struct sim_database *d = &s->database;
    check_fence(s, w, "a migration");
    s->coverage->checks[RULE_ONCE_ITEM]++;
    if (d->effect[item] == on) {
        violate(s, RULE_ONCE_ITEM, "migration %s goes %s twice", s->scenario.items[item],
                on ? "up" : "down");
    }
    d->effect[item] = on;
    s->counts.items++;
    trace(s, "      %s is %s", s->scenario.items[item], on ? "up" : "down");
    check_nodes(s, "a migration");
}

void database_move_rows(struct sim *s, struct sim_worker *w, int rows)
{
    (void)w;
    s->database.rows = rows;
    trace(s, "      the schema is %d", rows);
    check_nodes(s, "a migrator");
}

static bool has_evidence(const struct sim *s, const struct sim_worker *w, size_t item, bool down)
{
    for (size_t i = 0; i < s->database.evidence_count; i++) {
        const struct sim_evidence *e = &s->database.evidence[i];
        if (e->run == w->run && e->phase == w->key.phase && e->step == w->key.step &&
            e->item == item && e->down == down) {
            return true;
        }
    }
    return false;
}

static void add_evidence(struct sim *s, const struct sim_worker *w, size_t item, bool down)
{
    struct sim_database *d = &s->database;
    d->ledger[item] = !down;
    d->intent[item] = false;
    assert(d->evidence_count < ARRAY_SIZE(d->evidence));
    d->evidence[d->evidence_count++] =
        (struct sim_evidence){w->run, w->key.phase, w->key.step, item, down};
}

/* ---- the lock ---- */

/* Other sessions of the same step are ended before this one works. */
static void be_sole_worker(struct sim *s, const struct sim_worker *w)
{
    for (size_t i = 0; i < s->place_count; i++) {
        for (struct sim_worker *o = s->places[i].workers; o != NULL; o = o->next) {
            bool same = o != w && o->run == w->run && o->key.phase == w->key.phase &&
                        o->key.step == w->key.step;
            o->session_killed = o->session_killed || (same && o->session);
        }
    }
}

/* False: not ours; it waits, or has ended. */
static bool ensure_lock(struct sim *s, struct sim_worker *w)
{
    struct sim_database *d = &s->database;
    bool ours = d->locked && d->lock_place == w->place && d->lock_run == w->run;
    if (d->locked && !ours) {
        if (s->now_ms > w->give_up_ms) {
            end(s, w, OUTCOME_FAILED, E_TIMEOUT, "the lock is held by another");
        }
        return false;
    }
    if (is_fenced(s, w)) {
        end(s, w, OUTCOME_FAILED, E_DENIED, "the fence is old");
        return false;
    }
    w->temporary = w->temporary || (!ours && w->action.db_lock == NULL);
    d->locked = true;
    d->lock_place = w->place;
    d->lock_run = w->run;
    d->fence = MAX(d->fence, w->fence);
    d->generation = MAX(d->generation, w->generation);
    be_sole_worker(s, w);
    return true;
}

/* A person looks, and says what is so. */
void database_settle(struct sim *s)
{
    struct sim_database *d = &s->database;
    for (size_t i = 0; i < s->scenario.item_count; i++) {
        d->ledger[i] = d->intent[i] ? d->effect[i] : d->ledger[i];
        d->intent[i] = false;
    }
}

void database_run_over(struct sim *s, uint32_t place, uint32_t run)
{
    struct sim_database *d = &s->database;
    if (d->locked && d->lock_place == place && d->lock_run == run) {
        d->locked = false;
        trace(s, "      the lock is given back");
    }
}

void database_host_died(struct sim *s, uint32_t place)
{
    if (s->database.lock_place == place) {
        s->database.locked = false;
    }
}

void database_sessions_die(struct sim *s)
{
    for (size_t i = 0; i < s->place_count; i++) {
        for (struct sim_worker *w = s->places[i].workers; w != NULL; w = w->next) {
            w->session_killed = w->session_killed || w->session;
        }
    }
    s->database.locked = false; /* who held it takes it again with its next action */
}

/* ---- migrations ---- */

/* What was begun and is not in this step would be built upon. */
static bool meets_strange_intent(const struct sim *s, const struct db_migrate_action *a)
{
    for (size_t i = 0; i < s->scenario.item_count; i++) {
        bool mine = false;
        for (size_t k = 0; k < a->items.count; k++) {
            const struct migration_item *item = LIST_AT(&a->items, struct migration_item, k);
            mine =
                mine || (scenario_item(s, item->id) == (int)i && s->database.ledger[i] == a->down);
        }
        if (s->database.intent[i] && !mine) {
            return true;
        }
    }
    return false;
}

static void migrate(struct sim *s, struct sim_worker *w)
{
    const struct db_migrate_action *a = w->action.db_migrate;
    struct sim_database *d = &s->database;
    if (w->at == AT_WORK && w->item == 0 && meets_strange_intent(s, a)) {
        end(s, w, OUTCOME_FAILED, E_CONFLICT, DATABASE_HALF_DONE);
        return;
    }
    if (w->item >= a->items.count) {
        end(s, w, OUTCOME_DONE, 0, NULL);
        return;
    }
    const struct migration_item *item = LIST_AT(&a->items, struct migration_item, w->item);
    int found = scenario_item(s, item->id);
    if (found < 0) {
        violate(s, RULE_WHOLE, "a plan migrates %s, which nobody has", item->id);
        return;
    }
    size_t i = (size_t)found;
    bool looks = s->sabotage != SABOTAGE_INTENT_NOT_LOOKED_AT;
    if (w->at == AT_WORK) {
        if (has_evidence(s, w, i, a->down) || (d->ledger[i] == !a->down && !d->intent[i])) {
            w->item++;
            return;
        }
        if (is_fenced(s, w)) {
            end(s, w, OUTCOME_FAILED, E_DENIED, "the fence is old");
            return;
        }
        if (item->transactional) {
            set_effect(s, w, i, !a->down);
            if (s->sabotage == SABOTAGE_EFFECT_WITHOUT_EVIDENCE) {
                w->at = AT_LEDGER;
                return;
            }
            add_evidence(s, w, i, a->down);
            w->item++;
            return;
        }
        bool ran = d->intent[i] && looks && d->effect[i] == !a->down;
        d->intent[i] = true;
        w->at = ran ? AT_LEDGER : AT_EFFECT;
        return;
    }
    if (w->at == AT_EFFECT) {
        set_effect(s, w, i, !a->down);
        w->at = AT_LEDGER;
        return;
    }
    if (is_fenced(s, w)) {
        end(s, w, OUTCOME_FAILED, E_DENIED, "the fence is old");
        return;
    }
    check_fence(s, w, "a ledger's row");
    add_evidence(s, w, i, a->down);
    w->at = AT_WORK;
    w->item++;
}

/* ---- what only looks ---- */

static void ledger(struct sim *s, struct sim_worker *w)
{
    const struct db_ledger_action *a = w->action.db_ledger;
    bool fits =
        s->database.rows == a->expect_count || (a->or_done && s->database.rows == a->done_count);
    end(s, w, fits ? OUTCOME_DONE : OUTCOME_FAILED, fits ? 0 : E_CONFLICT,
        fits ? NULL : "the ledger has other rows");
}

static void tool_lock(struct sim *s, struct sim_worker *w)
{
    if (s->database.migrators == 0) {
        end(s, w, OUTCOME_DONE, 0, NULL);
    } else if (s->now_ms > w->give_up_ms) {
        end(s, w, OUTCOME_FAILED, E_TIMEOUT, "the tool's lock is held");
    }
}

static bool needs_lock(const struct action *a)
{
    return a->db_lock != NULL || a->db_migrate != NULL || a->db_checkpoint != NULL;
}

static void work(struct sim *s, struct sim_worker *w)
{
    const struct action *a = &w->action;
    if (a->db_migrate != NULL) {
        migrate(s, w);
    } else if (a->db_ledger != NULL) {
        ledger(s, w);
    } else if (a->db_tool_lock != NULL) {
        tool_lock(s, w);
    } else if (a->db_unlock != NULL) {
        database_run_over(s, w->place, w->run);
        end(s, w, OUTCOME_DONE, 0, NULL);
    } else if (a->db_checkpoint != NULL && is_fenced(s, w)) {
        end(s, w, OUTCOME_FAILED, E_DENIED, "the fence is old");
    } else {
        end(s, w, OUTCOME_DONE, 0, NULL);
    }
}

void database_step(struct sim *s, struct sim_worker *w)
{
    if (w->session && (w->session_killed || !s->database.up)) {
        w->session = false;
        w->session_killed = false;
        w->item = 0;
        w->at = AT_OPEN;
    }
    switch (w->at) {
    case AT_OPEN:
        if (!s->database.up) {
            if (s->now_ms > w->give_up_ms) {
                end(s, w, OUTCOME_FAILED, E_UNAVAILABLE, "the server is not there");
            }
            return;
        }
        w->session = true;
        w->session_killed = false;
        w->at = needs_lock(&w->action) ? AT_LOCK : AT_WORK;
        break;
    case AT_LOCK:
        if (ensure_lock(s, w)) {
            w->at = AT_WORK;
        }
        break;
    default:
        work(s, w);
        break;
    }
}
