/*
 * Owns how long a run and a wave may be at work, and when a pause is told again. Each is a stopwatch over the wall clock:
 * it counts while the run is RUNNING, from the times that the records say, so that a restart finds it as it stood. A clock
 * that is set back takes the beginning back with it: what was left is still left. One that is set forward brings a
 * deadline early; nothing here kills or decides, so that costs a pause and a word.
 */
#include <stdio.h>

#include "lib/core/machine.h"

void stopwatch_go(struct stopwatch *s, int64_t at_ms)
{
    s->on = true;
    s->since_ms = at_ms;
}

void stopwatch_stop(struct stopwatch *s, int64_t at_ms)
{
    if (s->on) {
        s->spent_ms += MAX(at_ms - s->since_ms, 0);
    }
    s->on = false;
}

int64_t stopwatch_due(const struct stopwatch *s)
{
    return s->on && s->limit_ms > 0 ? s->since_ms + MAX(s->limit_ms - s->spent_ms, 0) : INT64_MAX;
}

static void set_back(struct stopwatch *s, int64_t by_ms)
{
    if (s->on) {
        s->since_ms -= by_ms;
    }
}

void timers_init(struct rollout *r)
{
    const struct plan *plan = r->walk.layout.plan;
    r->run_watch.limit_ms = plan->run_ms;
    r->wave_watch.limit_ms = plan->wave_ms;
    r->seen_ms = INT64_MIN;
}

static int64_t remind_every_ms(const struct rollout *r)
{
    const struct plan *plan = r->walk.layout.plan;
    if (r->state == ROLLOUT_PAUSED && plan->pause_ms > 0) {
        return plan->pause_ms;
    }
    const struct plan_gate *gate = r->cause == CAUSE_GATE ? gates_at(r) : NULL;
    return gate != NULL && gate->timeout_ms > 0 ? gate->timeout_ms : ROLLOUT_REMIND_MS;
}

void timers_note_state(struct rollout *r, enum rollout_state before, enum cause cause_before,
                       int64_t at_ms)
{
    bool waits =
        r->state == ROLLOUT_PAUSED || (r->state == ROLLOUT_WAITING && r->cause == CAUSE_GATE);
    if (before == ROLLOUT_RUNNING) {
        stopwatch_stop(&r->run_watch, at_ms);
        /* What waits with nothing half-way has ended its wave. */
        r->wave_on = r->wave_watch.on && r->state != ROLLOUT_WAITING;
        stopwatch_stop(&r->wave_watch, at_ms);
    }
    if (r->state == ROLLOUT_RUNNING) {
        /* Who goes on after a deadline gives a whole new one. */
        r->run_watch.spent_ms = cause_before == CAUSE_RUN_LATE ? 0 : r->run_watch.spent_ms;
        r->wave_watch.spent_ms = cause_before == CAUSE_WAVE_LATE ? 0 : r->wave_watch.spent_ms;
        stopwatch_go(&r->run_watch, at_ms);
        if (r->wave_on) {
            stopwatch_go(&r->wave_watch, at_ms);
        }
    }
    r->remind_ms = waits ? at_ms + remind_every_ms(r) : INT64_MAX;
}

void timers_note_wave(struct rollout *r, int64_t at_ms)
{
    r->wave_watch.spent_ms = 0;
    stopwatch_go(&r->wave_watch, at_ms);
}

void timers_see(struct rollout *r, int64_t now_ms)
{
    if (r->seen_ms != INT64_MIN && now_ms < r->seen_ms) {
        int64_t by_ms = r->seen_ms - now_ms;
        set_back(&r->run_watch, by_ms);
        set_back(&r->wave_watch, by_ms);
        if (r->remind_ms != INT64_MAX) {
            r->remind_ms -= by_ms;
        }
        walk_set_back(&r->walk, by_ms);
    }
}

void timers_resume(struct rollout *r, int64_t now_ms)
{
    /* The clock of the records may have been ahead of this one. */
    r->run_watch.since_ms = MIN(r->run_watch.since_ms, now_ms);
    r->wave_watch.since_ms = MIN(r->wave_watch.since_ms, now_ms);
    if (r->remind_ms != INT64_MAX) {
        r->remind_ms = MAX(MIN(r->remind_ms, now_ms + remind_every_ms(r)), now_ms);
    }
    walk_resume(&r->walk, now_ms);
}

int64_t timers_due(const struct rollout *r)
{
    int64_t due_ms = MIN(stopwatch_due(&r->run_watch), stopwatch_due(&r->wave_watch));
    return MIN(MIN(due_ms, r->remind_ms), deadlines_first(&r->walk.waits));
}

/* One of the two is over: nothing more is begun, and people are asked. */
static bool pause_late(struct rollout *r, const struct stopwatch *s, int64_t now_ms,
                       struct effects *out)
{
    if (r->state != ROLLOUT_RUNNING || stopwatch_due(s) > r->clock_ms) {
        return false;
    }
    bool run = s == &r->run_watch;
    char why[LIMIT_ERROR_BYTES];
    snprintf(why, sizeof(why),
             "%s has been at work for %lld min %lld s, which is its deadline; what is under way "
             "goes on. retry gives it as long again",
             run ? "the run" : "this wave", (long long)(s->limit_ms / 60000),
             (long long)(s->limit_ms / 1000 % 60));
    machine_change_state(r,
                         &(struct change){.state = ROLLOUT_PAUSED,
                                          .cause = run ? CAUSE_RUN_LATE : CAUSE_WAVE_LATE,
                                          .why = why},
                         now_ms, out);
    return true;
}

bool timers_work(struct rollout *r, int64_t now_ms, struct effects *out)
{
    if (walk_wake(&r->walk, r->clock_ms, r->state == ROLLOUT_RUNNING)) {
        return true;
    }
    if (r->remind_ms <= r->clock_ms) {
        r->remind_ms = now_ms + remind_every_ms(r);
        machine_tell_waiting(out, r->why);
        return true;
    }
    return pause_late(r, &r->run_watch, now_ms, out) || pause_late(r, &r->wave_watch, now_ms, out);
}
