/*
 * Owns where a run waits with nothing half-way: before a gate until enough people have approved, and at the beginning of
 * a wave until a window is open. Both are states in the journal; what opens them is a word, or the clock.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/core/machine.h"

const struct plan_gate *gates_at(const struct rollout *r)
{
    const struct list *gates = &r->walk.layout.plan->gates;
    for (size_t i = 0; i < gates->count; i++) {
        const struct plan_gate *gate = LIST_AT(gates, const struct plan_gate, i);
        if (gate->phase == (int64_t)r->walk.phase) {
            return gate;
        }
    }
    return NULL;
}

static bool has_approved(const struct rollout *r, const char *who)
{
    for (size_t i = 0; i < r->gate.count; i++) {
        if (str_equal(r->gate.approved[i], who)) {
            return true;
        }
    }
    return false;
}

/* "gate canary: 1 of 2 approvals (bob)" */
static void explain(const struct rollout *r, const struct plan_gate *gate, char *text, size_t size)
{
    int len = snprintf(text, size, "gate %s: %zu of %lld approvals", gate->name, r->gate.count,
                       (long long)gate->approvers);
    for (size_t i = 0; i < r->gate.count && (size_t)len < size; i++) {
        len += snprintf(text + len, size - (size_t)len, "%s%s", i == 0 ? " (" : ", ",
                        r->gate.approved[i]);
    }
    if (r->gate.count > 0 && (size_t)len < size) {
        snprintf(text + len, size - (size_t)len, ")");
    }
}

void gates_note_state(struct rollout *r, enum rollout_state before, enum cause cause_before)
{
    if (r->state == ROLLOUT_WAITING && r->cause == CAUSE_GATE) {
        r->gate.count = 0;
    }
    if (before == ROLLOUT_WAITING && r->state == ROLLOUT_RUNNING && cause_before == CAUSE_GATE) {
        r->gate.passed = r->walk.phase;
    }
}

bool gates_note_approval(struct rollout *r, const struct record *record)
{
    const struct plan_gate *gate = gates_at(r);
    if (r->state != ROLLOUT_WAITING || r->cause != CAUSE_GATE || gate == NULL ||
        r->gate.count == LIMIT_APPROVERS || record->who == NULL || has_approved(r, record->who)) {
        return false;
    }
    snprintf(r->gate.approved[r->gate.count++], LIMIT_NAME_BYTES, "%s", record->who);
    explain(r, gate, r->why, sizeof(r->why));
    return true;
}

const char *gates_refuse(const struct rollout *r, const struct word_event *word,
                         char text[LIMIT_ERROR_BYTES])
{
    const struct plan_gate *gate = gates_at(r);
    if (r->cause != CAUSE_GATE || gate == NULL) {
        return "the run waits for its window: nobody has to approve that";
    }
    if (word->gate != NULL && !str_equal(word->gate, gate->name)) {
        snprintf(text, LIMIT_ERROR_BYTES, "the run waits at gate %s, not at %s", gate->name,
                 word->gate);
        return text;
    }
    if (word->who == NULL || has_approved(r, word->who)) {
        snprintf(text, LIMIT_ERROR_BYTES,
                 "%s has approved gate %s already: it wants %lld different people",
                 word->who != NULL ? word->who : "nobody", gate->name, (long long)gate->approvers);
        return text;
    }
    return NULL;
}

/* ---- work ---- */

static void wait_at(struct rollout *r, enum cause cause, const char *why, int64_t now_ms,
                    struct effects *out)
{
    machine_change_state(r, &(struct change){.state = ROLLOUT_WAITING, .cause = cause, .why = why},
                         now_ms, out);
}

bool gates_hold(struct rollout *r, int64_t now_ms, struct effects *out)
{
    const struct plan_gate *gate = gates_at(r);
    char why[LIMIT_ERROR_BYTES];
    if (!walk_is_fresh(&r->walk)) {
        return false;
    }
    if (gate != NULL && r->gate.passed != r->walk.phase) {
        r->gate.count = 0;
        explain(r, gate, why, sizeof(why));
        wait_at(r, CAUSE_GATE, why, now_ms, out);
        return true;
    }
    if (walk_phase(&r->walk)->rests && !windows_open(&r->windows, now_ms)) {
        snprintf(why, sizeof(why), "outside its windows; %s begins in the next one",
                 walk_phase(&r->walk)->name);
        wait_at(r, CAUSE_WINDOW, why, now_ms, out);
        return true;
    }
    return false;
}

bool gates_work(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (r->state != ROLLOUT_WAITING) {
        return false;
    }
    const struct plan_gate *gate = gates_at(r);
    bool open = r->cause == CAUSE_GATE ? gate == NULL || (int64_t)r->gate.count >= gate->approvers
                                       : windows_open(&r->windows, now_ms);
    /* The clock may have been set since: the next window is looked for anew each time. */
    r->window_ms = r->cause == CAUSE_WINDOW ? windows_next(&r->windows, now_ms) : INT64_MAX;
    if (open) {
        r->window_ms = INT64_MAX;
        machine_change_state(r, &(struct change){.state = ROLLOUT_RUNNING, .cause = r->cause},
                             now_ms, out);
    }
    return open;
}
