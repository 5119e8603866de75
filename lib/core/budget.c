/*
 * Owns what may fail without stopping a run: a node that failed within the budget is tried again, or left behind, by a
 * record that is like an operator's word. It never decides about steps that run once, and leaves no node behind that
 * leave.c keeps.
 */
#include <stdio.h>

#include "lib/core/machine.h"

bool budget_takes(struct rollout *r, int64_t now_ms, struct effects *out)
{
    const struct plan *plan = r->walk.layout.plan;
    const struct walk *w = &r->walk;
    uint32_t slot = walk_bad_slot(w, 0);
    if (plan->failures_nodes == 0 || slot == WALK_EVERY_SLOT || !w->touched ||
        walk_phase(w)->scope != PHASE_NODES) {
        return false;
    }
    const struct place *p = &w->places[slot];
    char text[LIMIT_ERROR_BYTES];
    struct record record = {.type = RECORD_WORD, .at_ms = now_ms, .key = walk_key(w, slot)};
    if (p->state == STEP_FAILED && p->failures < plan->failures_per_node &&
        p->attempt < LIMIT_ATTEMPTS) {
        record.word = WORD_RETRY;
    } else if (w->left_behind < plan->failures_nodes && walk_keeps(w, slot, text) == NULL) {
        record.word = WORD_EXCLUDE;
        record.key = (struct step_key){.place = record.key.place};
    } else {
        return false;
    }
    char *why = machine_text(r, out);
    snprintf(why, LIMIT_ERROR_BYTES, "%s %s, failure %u; %u of %lld nodes left behind before it",
             walk_step(w, slot)->name,
             p->state == STEP_FAILED ? "failed" : "is not known to have ended",
             (unsigned)p->failures, (unsigned)w->left_behind, (long long)plan->failures_nodes);
    record.why = why;
    bool fits = words_note(r, &record);
    assert(fits);
    machine_add_word(r, &record, out);
    if (walk_due(w, slot)) {
        walk_enqueue(&r->walk, slot);
    }
    return true;
}
