/* Owns the tables at the end of a run: what ran once, what ran on each node, how long each node was down. */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/watch_state.h"
#include "lib/base/str.h"

#define DOWN_ROWS_MAX 50

/* One row of a table: a step of a hop, at all of its places. */
struct step_row {
    int64_t hop;
    const struct plan_step *step;
    bool once;
    uint64_t places;   /* where it was done */
    uint64_t attempts; /* ended ones, failed ones too */
    int64_t shortest_ms, longest_ms;
};

struct rows {
    struct step_row *items;
    size_t count, capacity;
};

/* How long a node was down: from the begin of its stop to its first good health. */
struct down {
    const char *node;
    int64_t since_ms; /* 0: it is up */
    bool by_extra;    /* an extra step stopped it: it starts it again too */
    int64_t total_ms;
    unsigned int times;
};

/* ---- steps ---- */

static struct step_row *row_of(struct rows *rows, struct arena *arena,
                               const struct plan_phase *phase, const struct plan_step *step)
{
    bool once = phase->scope == PHASE_ONCE;
    for (size_t i = 0; i < rows->count; i++) {
        struct step_row *r = &rows->items[i];
        /* Once: each step is its own row, or twice would look like once. */
        if (once ? r->step == step
                 : !r->once && r->hop == phase->hop && str_equal(r->step->name, step->name) &&
                       str_equal(r->step->title, step->title)) {
            return r;
        }
    }
    rows->items =
        arena_grow(arena, rows->items, rows->count, &rows->capacity, sizeof(*rows->items));
    rows->items[rows->count] =
        (struct step_row){.hop = phase->hop, .step = step, .once = once, .shortest_ms = INT64_MAX};
    return &rows->items[rows->count++];
}

/* In the order of the plan, so that the tables read like it. */
static struct rows collect(const struct watch *w, struct arena *arena)
{
    struct rows rows = {0};
    struct step_row ***of = ARENA_ARRAY(arena, w->plan.phases.count + 1, struct step_row **);
    for (size_t p = 0; p < w->plan.phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(&w->plan, p);
        for (size_t s = 0; w->phases[p].started_ms > 0 && s < phase->steps.count; s++) {
            (void)row_of(&rows, arena, phase, plan_step_at(&w->plan, p, s));
        }
    }
    for (size_t p = 0; p < w->plan.phases.count; p++) { /* now that the rows stand still */
        const struct plan_phase *phase = plan_phase_at(&w->plan, p);
        of[p] = ARENA_ARRAY(arena, phase->steps.count + 1, struct step_row *);
        for (size_t s = 0; w->phases[p].started_ms > 0 && s < phase->steps.count; s++) {
            of[p][s] = row_of(&rows, arena, phase, plan_step_at(&w->plan, p, s));
        }
    }
    for (size_t i = 0; i < w->timing_count; i++) {
        const struct watch_timing *t = &w->timings[i];
        struct step_row *r = of[t->phase][t->step];
        r->attempts++;
        if (t->state == SLOT_DONE) {
            int64_t took = MAX(t->ended_ms - t->started_ms, 0);
            r->places++;
            r->shortest_ms = MIN(r->shortest_ms, took);
            r->longest_ms = MAX(r->longest_ms, took);
        }
    }
    return rows;
}

static const char *name_of(const struct step_row *r, struct arena *arena)
{
    return r->step->title == NULL ? r->step->name
                                  : arena_printf(arena, "%s %s", r->step->name, r->step->title);
}

static const char *range_text(const struct step_row *r, struct arena *arena)
{
    if (r->places == 0) {
        return "not done";
    }
    const char *longest = str_duration(arena, r->longest_ms);
    return r->shortest_ms == r->longest_ms
               ? longest
               : arena_printf(arena, "%s - %s", str_duration(arena, r->shortest_ms), longest);
}

static const char *attempts_text(const struct step_row *r, struct arena *arena)
{
    return r->attempts > r->places
               ? arena_printf(arena, "%llu attempts", (unsigned long long)r->attempts)
               : "";
}

static void put_rows(const struct watch *w, const struct rows *rows, bool once, struct arena *arena,
                     struct buf *out)
{
    struct table t;
    table_init(&t, arena, 5);
    for (size_t i = 0; i < rows->count; i++) {
        const struct step_row *r = &rows->items[i];
        if (r->once == once && r->attempts > 0) {
            TABLE_ADD(&t, watch_hop_label(w, r->hop, arena), name_of(r, arena),
                      once ? r->step->on
                           : arena_printf(arena, "%llu node%s", (unsigned long long)r->places,
                                          r->places == 1 ? "" : "s"),
                      range_text(r, arena), attempts_text(r, arena));
        }
    }
    if (t.count > 0) {
        buf_printf(out, "%s\n", once ? "ran once" : "ran on each node (shortest - longest)");
        table_put(&t, "  ", out);
    }
}

/* ---- downtime ---- */

static bool has_health(const struct plan *plan)
{
    for (size_t p = 0; p < plan->phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(plan, p);
        for (size_t s = 0; s < phase->steps.count; s++) {
            const struct plan_step *step = plan_step_at(plan, p, s);
            if (phase->scope == PHASE_NODES && step->why == NULL &&
                action_kind(step->action) == ACTION_HEALTH) {
                return true;
            }
        }
    }
    return false;
}

static void come_up(struct down *d, int64_t at_ms)
{
    if (d->since_ms > 0) {
        d->total_ms += MAX(at_ms - d->since_ms, 0);
        d->times++;
        d->since_ms = 0;
    }
}

static void go_through(struct down *d, const struct plan_step *step, const struct watch_timing *t,
                       bool healthy_is_up)
{
    bool extra = step->why != NULL;
    enum action_kind kind = action_kind(step->action);
    if (kind == ACTION_HEALTH && !extra && !d->by_extra) {
        /* Soaking is being up and looked at. */
        come_up(d, t->ended_ms - step->action->health->soak_ms);
    }
    if (kind != ACTION_SERVICE) {
        return;
    }
    switch ((enum service_verb)step->action->service->verb) {
    case SERVICE_STOP:
        if (d->since_ms == 0) {
            d->since_ms = t->started_ms;
            d->by_extra = extra;
        }
        break;
    case SERVICE_START:
        if (d->by_extra == extra && (extra || !healthy_is_up)) {
            come_up(d, t->ended_ms);
        }
        break;
    case SERVICE_RESTART:
        if (d->since_ms == 0) {
            d->since_ms = t->started_ms;
            come_up(d, t->ended_ms);
        }
        break;
    }
}

static int by_down_name(const void *a, const void *b)
{
    const struct down *x = a;
    const struct down *y = b;
    return strcmp(x->node, y->node);
}

static struct down *collect_downs(const struct watch *w, struct arena *arena)
{
    size_t count = w->plan.nodes.count;
    struct down *downs = ARENA_ARRAY(arena, count + 1, struct down);
    bool healthy_is_up = has_health(&w->plan);
    for (size_t i = 0; i < count; i++) {
        downs[i].node = LIST_AT(&w->plan.nodes, const struct plan_node, i)->name;
    }
    qsort(downs, count, sizeof(*downs), by_down_name);
    for (size_t i = 0; i < w->timing_count; i++) {
        const struct watch_timing *t = &w->timings[i];
        const struct down key = {.node = w->phases[t->phase].slots[t->slot].place};
        struct down *d = bsearch(&key, downs, count, sizeof(*downs), by_down_name);
        if (d != NULL && t->state == SLOT_DONE) {
            go_through(d, plan_step_at(&w->plan, t->phase, t->step), t, healthy_is_up);
        }
    }
    return downs;
}

static void put_downs(const struct watch *w, const struct down *downs, struct arena *arena,
                      struct buf *out)
{
    struct table t;
    table_init(&t, arena, 3);
    size_t left_out = 0;
    for (size_t i = 0; i < w->plan.nodes.count; i++) {
        const struct down *d = &downs[i];
        if (d->times == 0 && d->since_ms == 0) {
            continue;
        }
        if (t.count == DOWN_ROWS_MAX) {
            left_out++;
            continue;
        }
        TABLE_ADD(&t, d->node, d->times > 0 ? str_duration(arena, d->total_ms) : "",
                  d->since_ms > 0 ? "not up again"
                  : d->times > 1  ? arena_printf(arena, "%u times", d->times)
                                  : "");
    }
    buf_printf(out, "%s\n", t.count > 0 ? "how long each node was down" : "no node was taken down");
    table_put(&t, "  ", out);
    if (left_out > 0) {
        buf_printf(out, "  and %zu more nodes (--json lists all)\n", left_out);
    }
}

/* ---- the door ---- */

void watch_summary(const struct watch *w, struct arena *arena, struct buf *out)
{
    if (!w->begun) {
        return;
    }
    struct rows rows = collect(w, arena);
    put_rows(w, &rows, true, arena, out);
    put_rows(w, &rows, false, arena, out);
    put_downs(w, collect_downs(w, arena), arena, out);
}

json_t *watch_summary_json(const struct watch *w, struct arena *arena)
{
    json_t *once = json_array();
    json_t *each = json_array();
    json_t *down = json_array();
    struct rows rows = w->begun ? collect(w, arena) : (struct rows){0};
    for (size_t i = 0; i < rows.count; i++) {
        const struct step_row *r = &rows.items[i];
        if (r->attempts == 0) {
            continue;
        }
        json_t *row = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "hop",
                                json_text(watch_hop_label(w, r->hop, arena)), "name",
                                json_text(r->step->name), "title", json_text(r->step->title),
                                "done", (json_int_t)r->places, "attempts", (json_int_t)r->attempts,
                                "shortest_ms", (json_int_t)(r->places > 0 ? r->shortest_ms : 0),
                                "longest_ms", (json_int_t)r->longest_ms);
        if (r->once) {
            json_object_set_new(row, "place", json_text(r->step->on));
        }
        json_array_append_new(r->once ? once : each, row);
    }
    const struct down *downs = w->begun ? collect_downs(w, arena) : NULL;
    for (size_t i = 0; downs != NULL && i < w->plan.nodes.count; i++) {
        const struct down *d = &downs[i];
        if (d->times > 0 || d->since_ms > 0) {
            json_array_append_new(down,
                                  json_pack("{s:o, s:I, s:I, s:b}", "node", json_text(d->node),
                                            "down_ms", (json_int_t)d->total_ms, "times",
                                            (json_int_t)d->times, "up", d->since_ms == 0));
        }
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "event", "summary", "once", once, "per_node", each,
                     "down", down);
}
