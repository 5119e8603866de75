/* Owns the list of extra steps that were done and not taken back. It refuses to guess: only a last action that ended DONE
 * makes a step sure. */
#include "lib/core/done.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

/* One record about an action of an extra step. */
struct trace {
    uint32_t phase, first, place; /* first: the step where the extra step begins in its phase */
    size_t order;
    bool whole; /* its last action ended DONE */
};

struct item {
    struct done_step step;
    size_t order;
    bool gone;
};

struct done {
    struct arena *arena;     /* borrowed */
    const struct plan *plan; /* borrowed */
    const char *run;         /* borrowed */
    struct trace *traces;
    size_t trace_count, trace_capacity;
    struct item *items;
    size_t count, capacity;
    size_t order;
};

struct done *done_new(struct arena *arena)
{
    struct done *d = ARENA_NEW(arena, struct done);
    d->arena = arena;
    return d;
}

static const struct plan_extra *extra_at(const struct done *d, uint32_t phase, uint32_t step)
{
    return step < plan_phase_at(d->plan, phase)->steps.count
               ? plan_step_at(d->plan, phase, step)->extra
               : NULL;
}

static int by_step(const void *a, const void *b)
{
    const struct trace *x = a;
    const struct trace *y = b;
    if (x->phase != y->phase) {
        return x->phase < y->phase ? -1 : 1;
    }
    if (x->first != y->first) {
        return x->first < y->first ? -1 : 1;
    }
    if (x->place != y->place) {
        return x->place < y->place ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

static int text_order(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

/* By what it is; the same thing is done once. */
static int by_identity(const void *a, const void *b)
{
    const struct done_step *x = &((const struct item *)a)->step;
    const struct done_step *y = &((const struct item *)b)->step;
    const int orders[] = {text_order(x->run, y->run),     text_order(x->step, y->step),
                          text_order(x->from, y->from),   text_order(x->to, y->to),
                          text_order(x->place, y->place), text_order(x->database, y->database)};
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        if (orders[i] != 0) {
            return orders[i];
        }
    }
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    return x->order < y->order ? -1 : x->order > y->order ? 1 : 0;
}

static struct item item_of(const struct done *d, const struct trace *t)
{
    const struct plan_extra *extra = extra_at(d, t->phase, t->first);
    return (struct item){
        .order = t->order,
        .step = {.run = extra->undoes != NULL ? extra->undoes : d->run,
                 .step = extra->step,
                 .from = extra->from,
                 .to = extra->to,
                 .place = rollout_place_name(d->plan, t->place),
                 .database = extra->database},
    };
}

static void take_back(struct done *d, const struct trace *t, bool whole, size_t known)
{
    struct item key = item_of(d, t);
    struct item *found =
        known == 0 ? NULL : bsearch(&key, d->items, known, sizeof(key), by_identity);
    if (found != NULL) {
        found->gone = found->gone || whole;
        found->step.sure = false;
    }
}

/* What the run's records come to. */
static void fold(struct done *d)
{
    size_t known = d->count;
    if (d->trace_count > 0) {
        qsort(d->traces, d->trace_count, sizeof(*d->traces), by_step);
    }
    if (known > 0) {
        qsort(d->items, known, sizeof(*d->items), by_identity);
    }
    for (size_t i = 0; i < d->trace_count;) {
        const struct trace *t = &d->traces[i];
        bool whole = false;
        for (; i < d->trace_count && d->traces[i].phase == t->phase &&
               d->traces[i].first == t->first && d->traces[i].place == t->place;
             i++) {
            whole = whole || d->traces[i].whole;
        }
        if (extra_at(d, t->phase, t->first)->undoes != NULL) {
            take_back(d, t, whole, known);
            continue;
        }
        d->items = arena_grow(d->arena, d->items, d->count, &d->capacity, sizeof(*d->items));
        d->items[d->count] = item_of(d, t);
        d->items[d->count++].step.sure = whole;
    }
    size_t left = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!d->items[i].gone) {
            d->items[left++] = d->items[i];
        }
    }
    d->count = left;
    d->trace_count = 0;
    if (left > 0) {
        qsort(d->items, left, sizeof(*d->items), by_order);
    }
}

void done_run(struct done *d, const struct plan *plan, const char *run)
{
    fold(d);
    d->plan = plan;
    d->run = run;
}

void done_note(struct done *d, const struct record *record)
{
    assert(d->plan != NULL);
    if (record->type == RECORD_WORD) {
        return;
    }
    if (record->type == RECORD_STATE) {
        if (record->state == ROLLOUT_SUCCEEDED || record->state == ROLLOUT_INCOMPLETE) {
            d->trace_count = 0;
            d->count = 0;
        }
        return;
    }
    const struct step_key *key = &record->key;
    const struct plan_extra *extra =
        key->phase < d->plan->phases.count ? extra_at(d, key->phase, key->step) : NULL;
    if (extra == NULL ||
        (key->place >= d->plan->nodes.count && key->place != ROLLOUT_PLACE_CONTROLLER)) {
        return;
    }
    uint32_t first = key->step;
    while (first > 0 && plan_extra_equal(extra_at(d, key->phase, first - 1), extra)) {
        first--;
    }
    bool last = !plan_extra_equal(extra_at(d, key->phase, key->step + 1), extra);
    d->traces =
        arena_grow(d->arena, d->traces, d->trace_count, &d->trace_capacity, sizeof(*d->traces));
    d->traces[d->trace_count++] = (struct trace){
        .phase = key->phase,
        .first = first,
        .place = key->place,
        .order = d->order++,
        .whole = record->type == RECORD_OUTCOME && last && record->outcome.status == OUTCOME_DONE,
    };
}

void done_list(struct done *d, struct done_step **ret_items, size_t *ret_count)
{
    fold(d);
    *ret_items = ARENA_ARRAY(d->arena, d->count + 1, struct done_step);
    *ret_count = d->count;
    for (size_t i = 0; i < d->count; i++) {
        (*ret_items)[i] = d->items[i].step;
    }
}
