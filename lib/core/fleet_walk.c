/* Owns the order of the fleet machine's work: what begins, what waits, when it ends; never more effects than a call holds. */
#include <stdio.h>

#include "lib/core/fleet_state.h"

static bool has_room(struct fleet_effects *out)
{
    out->more = out->more || out->count + FLEET_WORK_EFFECTS > LIMIT_EFFECTS;
    return !out->more;
}

static bool is_over(const struct fleet *f, const struct stage *stage)
{
    return fleet_members_in(f, stage, MEMBER_DONE) + fleet_members_in(f, stage, MEMBER_FAILED) +
               fleet_members_in(f, stage, MEMBER_LEFT) ==
           stage->count;
}

/* Who has waited enough; a clock that was set back makes nobody wait for longer. */
static void note_time(struct fleet *f, int64_t now_ms)
{
    for (size_t i = 0; i < f->count; i++) {
        struct member *m = &f->members[i];
        if (now_ms >= m->again_ms || m->again_ms - now_ms > FLEET_AGAIN_MS) {
            m->again_ms = 0;
        }
    }
}

static void begin_members(struct fleet *f, uint32_t at, int64_t now_ms, struct fleet_effects *out)
{
    const struct stage *stage = &f->stages[at];
    if (f->state != FLEET_RUNNING || f->stage != at) {
        fleet_change_state(f, &(struct fleet_change){.state = FLEET_RUNNING, .stage = at}, now_ms,
                           out);
    }
    size_t under_way =
        fleet_members_in(f, stage, MEMBER_PLANNING) + fleet_members_in(f, stage, MEMBER_RUNNING);
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        struct member *m = &f->members[i];
        if (m->state != MEMBER_WAITING || under_way >= (size_t)stage->spec->parallel ||
            m->again_ms != 0 || !has_room(out)) {
            continue;
        }
        m->state = MEMBER_PLANNING;
        m->attempt++;
        under_way++;
        struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_PLAN);
        e->member = i;
        e->attempt = m->attempt;
    }
}

/* What failed within the budget stays behind. */
static void leave_failed(struct fleet *f, const struct stage *stage, int64_t now_ms,
                         struct fleet_effects *out)
{
    assert(fleet_lost_in(f, stage) <= (size_t)stage->spec->failures);
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        if (f->members[i].state == MEMBER_FAILED && has_room(out)) {
            char why[LIMIT_ERROR_BYTES];
            COPY(why, f->members[i].why);
            fleet_change_member(
                f, &(struct member_change){.member = i, .state = MEMBER_LEFT, .why = why}, now_ms,
                out);
        }
    }
}

/* Between this stage, which is over, and the next: does the fleet wait? */
static bool waits(struct fleet *f, uint32_t at, int64_t now_ms, struct fleet_effects *out)
{
    struct stage *stage = &f->stages[at];
    struct fleet_change change = {.stage = at};
    char why[LIMIT_ERROR_BYTES];
    if (stage->spec->soak_ms > 0 && (stage->soak_until_ms == 0 || now_ms < stage->soak_until_ms)) {
        snprintf(why, sizeof(why), "stage %s soaks", stage->spec->name);
        change.state = FLEET_SOAKING;
        change.why = why;
        change.until_ms =
            stage->soak_until_ms == 0 ? now_ms + stage->spec->soak_ms : stage->soak_until_ms;
    } else if (stage->spec->gate != NULL &&
               stage->approvals < (size_t)stage->spec->gate->approvers) {
        snprintf(why, sizeof(why), "after stage %s: %zu of %lld approvals", stage->spec->name,
                 stage->approvals, (long long)stage->spec->gate->approvers);
        change.state = FLEET_AT_GATE;
        change.why = why;
    } else {
        return false;
    }
    if (f->state == change.state && f->stage == at) {
        COPY(f->why, why);
        return true;
    }
    if (f->state != FLEET_RUNNING && f->stage != at) { /* an earlier stage was in the way again */
        fleet_change_state(f, &(struct fleet_change){.state = FLEET_RUNNING, .stage = at}, now_ms,
                           out);
    }
    fleet_change_state(f, &change, now_ms, out);
    return true;
}

static void end(struct fleet *f, int64_t now_ms, struct fleet_effects *out)
{
    size_t left = 0;
    char why[LIMIT_ERROR_BYTES] = "";
    for (size_t i = 0; i < f->count; i++) {
        left += f->members[i].state == MEMBER_LEFT ? 1 : 0;
    }
    if (left > 0) {
        snprintf(why, sizeof(why), "%zu of %zu clusters %s left behind", left, f->count,
                 left == 1 ? "is" : "are");
    }
    fleet_change_state(f,
                       &(struct fleet_change){.state = left > 0 ? FLEET_INCOMPLETE : FLEET_DONE,
                                              .stage = f->stage,
                                              .why = why},
                       now_ms, out);
}

static void advance(struct fleet *f, int64_t now_ms, struct fleet_effects *out)
{
    for (uint32_t at = 0; fleet_is_active(f) && has_room(out); at++) {
        const struct stage *stage = &f->stages[at];
        if (!is_over(f, stage)) {
            begin_members(f, at, now_ms, out);
            return;
        }
        leave_failed(f, stage, now_ms, out);
        if (at + 1 == f->spec->stages.count) {
            if (f->state != FLEET_RUNNING && has_room(out)) { /* the last stage had nothing left */
                fleet_change_state(f, &(struct fleet_change){.state = FLEET_RUNNING, .stage = at},
                                   now_ms, out);
            }
            if (has_room(out)) {
                end(f, now_ms, out);
            }
            return;
        }
        if (has_room(out) && waits(f, at, now_ms, out)) {
            return;
        }
    }
}

static void end_abort(struct fleet *f, int64_t now_ms, struct fleet_effects *out)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->members[i].state == MEMBER_RUNNING) {
            return;
        }
    }
    fleet_change_state(
        f, &(struct fleet_change){.state = FLEET_ABORTED, .stage = f->stage, .why = f->why}, now_ms,
        out);
}

static void find_runs(struct fleet *f, struct fleet_effects *out)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct member *m = &f->members[i];
        bool known = m->asked || (m->state != MEMBER_RUNNING && m->state != MEMBER_DONE);
        if (!known && has_room(out)) {
            m->asked = true;
            m->finding = true;
            f->finding++;
            struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_FIND);
            e->member = i;
            e->attempt = m->attempt;
        }
    }
}

void fleet_remind(struct fleet *f, int64_t now_ms, struct fleet_effects *out)
{
    if (now_ms >= f->remind_ms) {
        f->remind_ms = now_ms + FLEET_REMIND_MS;
        char *text = fleet_text(f, out);
        fleet_copy(text, LIMIT_ERROR_BYTES, f->why);
        fleet_add(out, FLEET_EFFECT_TELL)->text = text;
    }
}

void fleet_walk(struct fleet *f, int64_t now_ms, struct fleet_effects *out)
{
    note_time(f, now_ms);
    find_runs(f, out);
    if (f->finding == 0) {
        advance(f, now_ms, out);
    }
    if (f->state == FLEET_ABORTING && has_room(out)) {
        end_abort(f, now_ms, out);
    }
}
