/*
 * Owns where a run may wait and what it may lose: which phases begin a wave, before which people are asked, when the run
 * may begin something, and how many nodes may fail. It refuses nothing; what a plan has no place for is a warning.
 */
#include <stdlib.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

void halts_wave(struct compiler *c, size_t begin, bool canary, bool last)
{
    if (c->plan->phases.count == begin) {
        return; /* nothing is done in it */
    }
    struct wave_marks *wave = list_push(c->arena, &c->waves, sizeof(*wave));
    *wave = (struct wave_marks){begin, c->plan->phases.count, canary, last};
}

static const struct wave_marks *wave_at(const struct compiler *c, size_t i)
{
    return LIST_AT(&c->waves, const struct wave_marks, i);
}

/* The first phase that touches anything; the phase count when none does. */
static size_t first_disruptive(const struct compiler *c)
{
    size_t i = 0;
    while (i < c->plan->phases.count && !plan_phase_at(c->plan, i)->disruptive) {
        i++;
    }
    return i;
}

static void mark_rests(struct compiler *c)
{
    size_t first = first_disruptive(c);
    bool rolling = c->plan->strategy == STRATEGY_ROLLING;
    for (size_t i = 0; rolling && i < c->waves.count; i++) {
        LIST_AT(&c->plan->phases, struct plan_phase, wave_at(c, i)->begin)->rests = true;
    }
    if (first < c->plan->phases.count) {
        LIST_AT(&c->plan->phases, struct plan_phase, first)->rests = true;
    }
}

/* ---- gates ---- */

/* One gate before a phase: what is written first counts. */
static void add_gate(struct compiler *c, const struct gate_spec *spec, size_t phase,
                     const char *name)
{
    struct list *gates = &c->plan->gates;
    if (phase >= c->plan->phases.count) {
        return; /* nothing comes after it */
    }
    for (size_t i = 0; i < gates->count; i++) {
        if (LIST_AT(gates, struct plan_gate, i)->phase == (int64_t)phase) {
            return;
        }
    }
    struct plan_gate *gate = list_push(c->arena, gates, sizeof(*gate));
    *gate = (struct plan_gate){.name = name,
                               .phase = (int64_t)phase,
                               .approvers = spec->approvers,
                               .timeout_ms = spec->timeout_ms};
}

/* The last canary of a row of them, or each wave that another one follows. */
static bool ends_here(const struct compiler *c, size_t i, bool canary)
{
    const struct wave_marks *wave = wave_at(c, i);
    if (!canary) {
        return !wave->last;
    }
    bool more = i + 1 < c->waves.count && wave_at(c, i + 1)->canary && !wave->last;
    return wave->canary && !more;
}

static void add_gates(struct compiler *c, const struct gate_spec *spec)
{
    size_t before = c->plan->gates.count;
    size_t first = first_disruptive(c);
    bool canary = spec->after == GATE_CANARY;
    if (spec->after == GATE_STAGED) {
        add_gate(c, spec, first, "staged");
        return;
    }
    for (size_t i = 0, number = 0; i < c->waves.count; i++) {
        if (!ends_here(c, i, canary)) {
            continue;
        }
        number++;
        const char *name = !canary       ? arena_printf(c->arena, "wave %zu", number)
                           : number == 1 ? "canary"
                                         : arena_printf(c->arena, "canary %zu", number);
        add_gate(c, spec, wave_at(c, i)->end, name);
    }
    if (c->plan->gates.count == before) {
        warn(c, "gate after %s: this plan has none, so nobody is asked there",
             canary ? "canary" : "wave");
    }
}

static int by_phase(const void *left, const void *right)
{
    const struct plan_gate *a = left;
    const struct plan_gate *b = right;
    return a->phase < b->phase ? -1 : a->phase > b->phase ? 1 : 0;
}

/* ---- budgets ---- */

void halts(struct compiler *c)
{
    const struct strategy_spec *strategy = c->cluster->strategy;
    mark_rests(c);
    if (strategy == NULL) {
        return;
    }
    for (size_t i = 0; i < strategy->gates.count; i++) {
        add_gates(c, LIST_AT(&strategy->gates, const struct gate_spec, i));
    }
    if (c->plan->gates.count > 1) {
        qsort(c->plan->gates.items, c->plan->gates.count, sizeof(struct plan_gate), by_phase);
    }
    c->plan->windows = strategy->windows;
    if (strategy->deadlines != NULL) {
        c->plan->wave_ms = strategy->deadlines->wave_ms;
        c->plan->run_ms = strategy->deadlines->run_ms;
        c->plan->pause_ms = strategy->deadlines->pause_ms;
    }
    if (strategy->failures != NULL) {
        c->plan->failures_nodes =
            (int64_t)amount_of(strategy->failures->nodes, c->node_count, AMOUNT_DOWN);
        c->plan->failures_per_node = strategy->failures->per_node;
    }
}
