/* Owns what plans and runs answer to the fleet machine, and which of it is a surprise. It ignores what is stale. */
#include <stdio.h>

#include "lib/base/str.h"
#include "lib/core/fleet_state.h"

/* ---- surprises ---- */

void fleet_pause_because(struct fleet *f, const char *why, int64_t now_ms,
                         struct fleet_effects *out)
{
    if (fleet_is_active(f)) {
        fleet_change_state(
            f, &(struct fleet_change){.state = FLEET_PAUSED, .stage = f->stage, .why = why}, now_ms,
            out);
        fleet_drop_plans(f);
    }
}

struct failure {
    uint32_t member;
    const char *run, *why;
    bool always; /* it pauses whatever the budget says */
};

/* The pause is recorded first: a crash between the two finds the failure again, and never goes on without the pause. */
static void fail(struct fleet *f, const struct failure *failure, int64_t now_ms,
                 struct fleet_effects *out)
{
    const struct member *m = &f->members[failure->member];
    const struct stage *stage = &f->stages[m->stage];
    char why[LIMIT_ERROR_BYTES];
    if (failure->always || fleet_lost_in(f, stage) + 1 > (size_t)stage->spec->failures) {
        snprintf(why, sizeof(why), "%.*s: %.*s", LIMIT_NAME_BYTES, m->cluster,
                 LIMIT_ERROR_BYTES - LIMIT_NAME_BYTES - 3, failure->why);
        fleet_pause_because(f, why, now_ms, out);
    }
    fleet_change_member(f,
                        &(struct member_change){.member = failure->member,
                                                .state = MEMBER_FAILED,
                                                .run = failure->run,
                                                .why = failure->why},
                        now_ms, out);
}

/* ---- answers ---- */

static struct member *answered(struct fleet *f, const struct fleet_event *event,
                               enum member_state state)
{
    struct member *m = event->member < f->count ? &f->members[event->member] : NULL;
    return m != NULL && m->state == state && m->attempt == event->attempt ? m : NULL;
}

/* The stage that is asked for and has not shown the way; NULL: none. */
static const char *unproved(const struct strings *requires, const struct strings *proved)
{
    for (size_t i = 0; i < requires->count; i++) {
        bool found = false;
        for (size_t j = 0; j < proved->count; j++) {
            found = found || str_equal(requires->items[i], proved->items[j]);
        }
        if (!found) {
            return requires->items[i];
        }
    }
    return NULL;
}

void fleet_take_plan(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    struct member *m = answered(f, event, MEMBER_PLANNING);
    char why[LIMIT_ERROR_BYTES];
    if (m == NULL) {
        return;
    }
    assert(f->state == FLEET_RUNNING && f->stage == m->stage); /* else it was dropped */
    if (event->type == FLEET_EVENT_REFUSED && event->now_ms < f->grace_ms) {
        m->state = MEMBER_WAITING;
        m->again_ms = event->now_ms + FLEET_AGAIN_MS;
        return;
    }
    if (event->type == FLEET_EVENT_REFUSED) {
        fail(f, &(struct failure){.member = event->member, .why = event->why}, event->now_ms, out);
        return;
    }
    if (event->nothing_to_do) {
        fleet_change_member(f,
                            &(struct member_change){.member = event->member, .state = MEMBER_DONE},
                            event->now_ms, out);
        return;
    }
    const struct stage *stage = &f->stages[m->stage];
    const char *missing = unproved(&stage->spec->requires, &event->proved);
    if (missing != NULL) {
        snprintf(
            why, sizeof(why),
            "stage %.*s requires evidence of stage %.*s that application %.12s goes from %s to "
            "%s, and no run there has shown it",
            LIMIT_NAME_BYTES, stage->spec->name, LIMIT_NAME_BYTES, missing, event->way.application,
            str_empty(event->way.from) ? "nothing" : event->way.from, event->way.to);
        fail(f, &(struct failure){.member = event->member, .why = why}, event->now_ms, out);
        return;
    }
    fleet_start_member(f, event->member, &event->way, event->now_ms, out);
}

static void run_succeeded(struct fleet *f, uint32_t i, int64_t now_ms, struct fleet_effects *out)
{
    struct member *m = &f->members[i];
    struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_EVIDENCE);
    e->member = i;
    e->way = (struct fleet_way){m->plan_id, m->application, m->from, m->to};
    e->run = m->run;
    fleet_change_member(
        f, &(struct member_change){.member = i, .state = MEMBER_DONE, .run = m->run}, now_ms, out);
}

/* Was that asked for? */
bool fleet_is_found(struct fleet *f, const struct fleet_event *event)
{
    if (event->member >= f->count || !f->members[event->member].finding) {
        return false;
    }
    f->members[event->member].finding = false;
    f->finding--;
    return true;
}

void fleet_take_run(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    bool found = fleet_is_found(f, event);
    struct member *m = answered(f, event, MEMBER_RUNNING);
    char why[LIMIT_ERROR_BYTES];
    if (m == NULL) {
        return;
    }
    COPY(m->run, event->run);
    m->run_paused = event->running == ROLLOUT_PAUSED;
    snprintf(why, sizeof(why), "run %s is %s%s%s", m->run, rollout_state_name(event->running),
             str_empty(event->why) ? "" : ": ", event->why != NULL ? event->why : "");
    if (m->run_paused) {
        char told[LIMIT_ERROR_BYTES];
        snprintf(told, sizeof(told), "%.*s: %.*s", LIMIT_NAME_BYTES, m->cluster,
                 LIMIT_ERROR_BYTES - LIMIT_NAME_BYTES - 3, why);
        fleet_pause_because(f, told, event->now_ms, out);
    } else if (event->running == ROLLOUT_SUCCEEDED) {
        run_succeeded(f, event->member, event->now_ms, out);
        m->asked = !found; /* and was it moved since? */
    } else if (rollout_state_is_end(event->running)) {
        fail(f, &(struct failure){.member = event->member, .run = m->run, .why = why},
             event->now_ms, out);
    }
}

void fleet_take_no_run(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    (void)fleet_is_found(f, event);
    struct member *m = answered(f, event, MEMBER_RUNNING);
    if (m == NULL) {
        return;
    }
    if (event->why != NULL) {
        fail(f, &(struct failure){.member = event->member, .why = event->why}, event->now_ms, out);
        return;
    }
    m->state = MEMBER_WAITING; /* the crash was before it: planned anew, with the next attempt */
}

void fleet_take_move(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    (void)fleet_is_found(f, event);
    bool known = event->member < f->count && f->members[event->member].state == MEMBER_DONE;
    if (known && (fleet_is_active(f) || f->state == FLEET_PAUSED)) {
        fail(f, &(struct failure){.member = event->member, .why = event->why, .always = true},
             event->now_ms, out);
    }
}
