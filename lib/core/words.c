/*
 * Owns what operators may say to a run: which word is legal in which state, to what it is bound, and why not. A word is
 * noted here from a decision and from a replay alike, through words_note(). It refuses with a sentence that says what
 * would do instead.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/core/machine.h"

const char *word_name(enum word word)
{
    switch (word) {
    case WORD_ABORT:
        return "abort";
    case WORD_RETRY:
        return "retry";
    case WORD_SKIP:
        return "skip";
    case WORD_EXCLUDE:
        return "exclude";
    case WORD_ROLLBACK:
        return "rollback";
    case WORD_CLAIM:
        return "claim";
    case WORD_UNCLAIM:
        return "unclaim";
    case WORD_APPROVE:
        return "approve";
    }
    return "?";
}

/* Which word is legal in which state. No word is legal at an end; abort is legal everywhere else (rule 7). */
struct word_rule {
    bool in[ROLLOUT_STATES];
    const char *is_for; /* "retry is for …" */
};
#define SINCE_BEGUN                                                                                \
    {                                                                                              \
        [ROLLOUT_RUNNING] = true, [ROLLOUT_PAUSED] = true, [ROLLOUT_WAITING] = true,               \
        [ROLLOUT_ABORTING] = true                                                                  \
    }
static const struct word_rule rules[WORDS] = {
    [WORD_ABORT] = {{[ROLLOUT_READY] = true,
                     [ROLLOUT_RUNNING] = true,
                     [ROLLOUT_PAUSED] = true,
                     [ROLLOUT_WAITING] = true,
                     [ROLLOUT_ABORTING] = true},
                    "a run that is not over"},
    [WORD_RETRY] = {{[ROLLOUT_PAUSED] = true}, "a paused run"},
    [WORD_SKIP] = {{[ROLLOUT_PAUSED] = true}, "a paused run"},
    [WORD_EXCLUDE] = {{[ROLLOUT_PAUSED] = true}, "a paused run"},
    [WORD_ROLLBACK] =
        {{[ROLLOUT_RUNNING] = true, [ROLLOUT_PAUSED] = true, [ROLLOUT_WAITING] = true},
         "a run that has begun"},
    [WORD_CLAIM] = {SINCE_BEGUN, "a run that has begun"},
    [WORD_UNCLAIM] = {SINCE_BEGUN, "a run that has begun"},
    [WORD_APPROVE] = {{[ROLLOUT_WAITING] = true}, "a run that waits at a gate"},
};

static const char *name_of(const struct rollout *r, uint32_t slot)
{
    return rollout_place_name(r->walk.layout.plan, layout_place_of_slot(&r->walk.layout, slot));
}

static const char *who_of(const struct word_event *word)
{
    return word->who != NULL ? word->who : "an operator";
}

/* ---- claims ---- */

const char *rollout_claimed_by(const struct rollout *r, int64_t now_ms)
{
    /* A clock that is set back makes no claim longer than any may be. */
    int64_t until_ms = MIN(r->claim.until_ms, now_ms + CLAIM_MAX_MS);
    return r->claim.who[0] != '\0' && now_ms < until_ms ? r->claim.who : NULL;
}

/* Another operator's claim, or NULL. */
static const char *claimed_by_other(const struct rollout *r, const struct word_event *word,
                                    int64_t now_ms)
{
    const char *by = rollout_claimed_by(r, now_ms);
    return by != NULL && !str_equal(by, who_of(word)) ? by : NULL;
}

/* ---- records ---- */

static bool note_bound(struct rollout *r, const struct record *record)
{
    uint32_t slot = layout_slot_of_place(&r->walk.layout, record->key.place);
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        return false;
    }
    const struct place *p = &r->walk.places[slot];
    bool fits = false;
    if (record->word == WORD_EXCLUDE) {
        fits = walk_note_exclude(&r->walk, slot);
    } else if (record->word == WORD_SKIP) {
        fits = walk_note_skip(&r->walk, &record->key);
    } else if (p->bad && p->phase == record->key.phase && p->step == record->key.step) {
        walk_forgive(&r->walk, slot);
        fits = true;
    }
    r->go_on = r->go_on || (fits && r->state == ROLLOUT_PAUSED);
    return fits;
}

bool words_note(struct rollout *r, const struct record *record)
{
    switch (record->word) {
    case WORD_RETRY:
    case WORD_SKIP:
    case WORD_EXCLUDE:
        return note_bound(r, record);
    case WORD_CLAIM:
        snprintf(r->claim.who, sizeof(r->claim.who), "%s", record->who != NULL ? record->who : "");
        r->claim.until_ms = record->deadline_ms;
        return true;
    case WORD_UNCLAIM:
        r->claim.who[0] = '\0';
        return true;
    case WORD_APPROVE:
        return gates_note_approval(r, record);
    case WORD_ABORT: /* their STATE record says it all */
    case WORD_ROLLBACK:
        return false;
    }
    return false;
}

/* Notes a word that was found legal, and records it. */
static void record_word(struct rollout *r, const struct record *record, struct effects *out)
{
    bool fits = words_note(r, record);
    assert(fits);
    machine_add_word(r, record, out);
}

static struct record record_of(const struct word_event *word, int64_t now_ms)
{
    return (struct record){.type = RECORD_WORD,
                           .at_ms = now_ms,
                           .key = {.place = ROLLOUT_PLACE_NONE},
                           .word = word->word,
                           .why = word->why,
                           .who = word->who};
}

/* ---- to what a word is bound ---- */

/* The one place in the way that a word can mean; refused with words when there is none, or more. */
static bool find_bad(struct rollout *r, const struct word_event *word, struct effects *out,
                     uint32_t *ret_slot)
{
    const struct walk *w = &r->walk;
    uint32_t slot = WALK_EVERY_SLOT;
    if (word->place != NULL) {
        slot = layout_slot_of_name(&w->layout, word->place);
        if (slot == ROLLOUT_PLACE_UNKNOWN) {
            machine_refuse(r, out, "the plan has no node named %s", word->place);
            return false;
        }
        if (w->places[slot].phase != w->phase || !w->places[slot].bad) {
            machine_refuse(r, out, "nothing is in the way at %s", word->place);
            return false;
        }
    } else if (w->bad == 1) {
        slot = walk_bad_slot(w, 0);
    } else {
        machine_refuse(r, out,
                       w->bad == 0 ? "nothing is in the way: retry goes on"
                                   : "%u steps are in the way, at %s and %s%s: name the node",
                       (unsigned)w->bad, w->bad == 0 ? "" : name_of(r, walk_bad_slot(w, 0)),
                       w->bad == 0 ? "" : name_of(r, walk_bad_slot(w, 1)),
                       w->bad > 2 ? " and others" : "");
        return false;
    }
    assert(slot != WALK_EVERY_SLOT);
    const char *stands = walk_step(w, slot)->name;
    if (word->step != NULL && !str_equal(word->step, stands)) {
        machine_refuse(r, out, "%s stands at step \"%s\", not at \"%s\"", name_of(r, slot), stands,
                       word->step);
        return false;
    }
    *ret_slot = slot;
    return true;
}

/* ---- retry ---- */

static void retry(struct rollout *r, const struct word_event *word, int64_t now_ms,
                  struct effects *out)
{
    uint32_t slot = WALK_EVERY_SLOT;
    bool bound = word->place != NULL || word->step != NULL;
    if (bound && !find_bad(r, word, out, &slot)) {
        return;
    }
    struct step_key key;
    if (walk_worst(&r->walk, slot, &key) && key.attempt >= LIMIT_ATTEMPTS) {
        machine_refuse(r, out,
                       "%s: %s has had %d attempts, the limit: abort, put it right by hand, apply "
                       "again",
                       rollout_place_name(r->walk.layout.plan, key.place),
                       plan_step_at(r->walk.layout.plan, key.phase, key.step)->name,
                       LIMIT_ATTEMPTS);
        return;
    }
    if (bound) {
        struct record record = record_of(word, now_ms);
        record.key = walk_key(&r->walk, slot);
        record_word(r, &record, out);
        return;
    }
    machine_change_state(
        r,
        &(struct change){
            .state = ROLLOUT_RUNNING, .cause = CAUSE_WORD, .why = word->why, .who = word->who},
        now_ms, out);
}

/* ---- skip ---- */

/* What no person's word can stand for, and what would do instead; NULL: the step may be skipped. */
static const char *never_skipped(const struct plan_step *step)
{
    switch (step->action == NULL ? ACTION_NONE : action_kind(step->action)) {
    case ACTION_DB_MIGRATE:
        return "it moves data, and only the ledger says whether it did: settle it there with "
               "`lockstep db mark-applied`, then retry";
    case ACTION_RUN:
        return step->retry_back == 0
                   ? NULL
                   : "a migrator moves data, and only the ledger says whether it did: settle it "
                     "there with `lockstep db mark-applied`, then retry";
    case ACTION_DB_LOCK:
    case ACTION_DB_TOOL_LOCK:
    case ACTION_DB_UNLOCK:
        return "a lock is held or it is not, and no word changes that: retry";
    case ACTION_DB_LEDGER:
    case ACTION_DB_WRITERS:
        return "what follows stands on what it proves: retry";
    case ACTION_DB_RESTORE:
        return "it moves data: retry, or abort";
    case ACTION_DENY:
    case ACTION_PERMIT:
    case ACTION_STAGE:
    case ACTION_SWAP:
        return "the node would run what does not fit the schema: retry, or leave the node behind "
               "with exclude";
    case ACTION_SERVICE:
        return step->action->service->verb != SERVICE_STOP
                   ? NULL
                   : "a node counts as stopped only when it has stopped: retry, or leave the node "
                     "behind with exclude";
    case ACTION_NONE:
    case ACTION_WAIT:
    case ACTION_HEALTH:
    case ACTION_SQL:
    case ACTION_FOLLOW:
    case ACTION_PREFLIGHT:
    case ACTION_OBSERVE:
    case ACTION_RETIRE:
    case ACTION_DB_CHECKPOINT:
    case ACTION_DB_BACKUP:
    case ACTION_DB_DRIFT:
    case ACTION_DB_CHECK:
    case ACTION_DB_REHEARSE:
    case ACTION_DB_OBSERVE:
        return NULL;
    }
    return NULL;
}

static void skip(struct rollout *r, const struct word_event *word, int64_t now_ms,
                 struct effects *out)
{
    uint32_t slot = WALK_EVERY_SLOT;
    if (!find_bad(r, word, out, &slot)) {
        return;
    }
    const struct plan_step *step = walk_step(&r->walk, slot);
    const char *never = never_skipped(step);
    if (never != NULL) {
        machine_refuse(r, out, "%s cannot be skipped: %s", step->name, never);
    } else if (r->walk.places[slot].guess) {
        machine_refuse(r, out,
                       "%s may still be running at %s, which has not answered: retry waits for it, "
                       "exclude leaves the node behind",
                       step->name, name_of(r, slot));
    } else {
        struct record record = record_of(word, now_ms);
        record.key = walk_key(&r->walk, slot);
        record_word(r, &record, out);
    }
}

/* ---- exclude ---- */

static void exclude(struct rollout *r, const struct word_event *word, int64_t now_ms,
                    struct effects *out)
{
    uint32_t slot = WALK_EVERY_SLOT;
    char text[LIMIT_ERROR_BYTES];
    if (word->place == NULL) {
        if (!find_bad(r, word, out, &slot)) {
            return;
        }
    } else {
        slot = layout_slot_of_name(&r->walk.layout, word->place);
    }
    if (slot == ROLLOUT_PLACE_UNKNOWN) {
        machine_refuse(r, out, "the plan has no node named %s", word->place);
        return;
    }
    const char *keeps = walk_keeps(&r->walk, slot, text);
    if (keeps != NULL) {
        machine_refuse(r, out, "%s", keeps);
        return;
    }
    struct record record = record_of(word, now_ms);
    record.key = (struct step_key){.place = layout_place_of_slot(&r->walk.layout, slot)};
    record_word(r, &record, out);
}

/* ---- abort, rollback ---- */

static void stop_by_word(struct rollout *r, const struct word_event *word, int64_t now_ms,
                         struct effects *out)
{
    char why[LIMIT_ERROR_BYTES];
    const char *before = machine_why(r);
    bool back = word->word == WORD_ROLLBACK;
    snprintf(why, sizeof(why), "%s by %.60s%s%.100s%s%.250s", back ? "rolled back" : "aborted",
             who_of(word), word->why != NULL ? ": " : "", word->why != NULL ? word->why : "",
             before[0] != '\0' ? " after: " : "", before);
    if (r->state == ROLLOUT_ABORTING) {
        char *text = machine_text(r, out);
        snprintf(text, LIMIT_ERROR_BYTES, "aborting already; %u under way will still end",
                 (unsigned)r->walk.under_way);
        machine_tell_waiting(out, text);
        return;
    }
    char closed[LIMIT_ERROR_BYTES];
    if (back && back_is_closed(r, closed, sizeof(closed))) {
        machine_refuse(r, out, "%s", closed);
        return;
    }
    struct change change = {.state = ROLLOUT_ABORTING,
                            .cause = CAUSE_WORD,
                            .roll_back = back,
                            .why = why,
                            .who = word->who};
    if (r->state == ROLLOUT_READY) {
        r->live = true;
        change.state = ROLLOUT_ABORTED;
    }
    machine_change_state(r, &change, now_ms, out);
}

/* ---- claim, release ---- */

static void claim(struct rollout *r, const struct word_event *word, int64_t now_ms,
                  struct effects *out)
{
    int64_t for_ms = word->word == WORD_CLAIM && word->for_ms > 0 ? word->for_ms : CLAIM_MS;
    struct record record = record_of(word, now_ms);
    record.word = WORD_CLAIM;
    record.deadline_ms = now_ms + MIN(for_ms, CLAIM_MAX_MS);
    record_word(r, &record, out);
}

static void unclaim(struct rollout *r, const struct word_event *word, int64_t now_ms,
                    struct effects *out)
{
    if (rollout_claimed_by(r, now_ms) == NULL) {
        machine_refuse(r, out, "nobody has claimed this run");
        return;
    }
    const struct record record = record_of(word, now_ms);
    record_word(r, &record, out);
}

/* ---- approve ---- */

static void approve(struct rollout *r, const struct word_event *word, int64_t now_ms,
                    struct effects *out)
{
    char text[LIMIT_ERROR_BYTES];
    const char *refused = gates_refuse(r, word, text);
    if (refused != NULL) {
        machine_refuse(r, out, "%s", refused);
        return;
    }
    struct record record = record_of(word, now_ms);
    record.gate = gates_at(r)->name;
    record_word(r, &record, out);
}

/* ---- the door ---- */

static bool is_refused(struct rollout *r, const struct word_event *word, int64_t now_ms,
                       struct effects *out)
{
    const struct word_rule *rule = &rules[word->word];
    const char *by = claimed_by_other(r, word, now_ms);
    if (rollout_state_is_end(r->state)) {
        machine_refuse(r, out, "there is nothing to %s: the run has ended, it %s%s",
                       word_name(word->word),
                       r->state == ROLLOUT_ABORTED || r->state == ROLLOUT_INCOMPLETE ? "is " : "",
                       rollout_state_name(r->state));
    } else if (!rule->in[r->state]) {
        machine_refuse(r, out, "%s is for %s; this one is %s", word_name(word->word), rule->is_for,
                       rollout_state_name(r->state));
    } else if (r->misfit[0] != '\0' && word->word != WORD_ABORT) {
        machine_refuse(r, out, "%.400s; abort, then apply plans on from what is there", r->misfit);
    } else if (by != NULL && !word->force) {
        machine_refuse(r, out,
                       "%s has claimed this run: ask, wait until the claim ends, or take it over "
                       "with --force",
                       by);
    } else {
        return false;
    }
    return true;
}

void words_take(struct rollout *r, const struct word_event *word, int64_t now_ms,
                struct effects *out)
{
    assert((unsigned)word->word < WORDS);
    if (is_refused(r, word, now_ms, out)) {
        return;
    }
    if (claimed_by_other(r, word, now_ms) != NULL && word->word != WORD_CLAIM &&
        word->word != WORD_UNCLAIM) {
        claim(r, word, now_ms, out);
    }
    switch (word->word) {
    case WORD_ABORT:
    case WORD_ROLLBACK:
        stop_by_word(r, word, now_ms, out);
        break;
    case WORD_RETRY:
        retry(r, word, now_ms, out);
        break;
    case WORD_SKIP:
        skip(r, word, now_ms, out);
        break;
    case WORD_EXCLUDE:
        exclude(r, word, now_ms, out);
        break;
    case WORD_CLAIM:
        claim(r, word, now_ms, out);
        break;
    case WORD_UNCLAIM:
        unclaim(r, word, now_ms, out);
        break;
    case WORD_APPROVE:
        approve(r, word, now_ms, out);
        break;
    }
}
