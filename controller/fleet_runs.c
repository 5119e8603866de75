/* Owns what the store knows of the runs of a fleet's members: whether one was started, what it has shown, whether another's has
 * moved the cluster since. */
#include "controller/fleet.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/plan/plan.h"

#define NEWEST_RUNS 100 /* one of them moves a cluster; the others staged something */

static enum rollout_state run_state(const char *name)
{
    for (int i = 0; i < ROLLOUT_STATES; i++) {
        if (str_equal(rollout_state_name((enum rollout_state)i), name)) {
            return (enum rollout_state)i;
        }
    }
    return ROLLOUT_READY;
}

void fleet_hear_run(struct fleet_run *f, uint32_t member, uint32_t attempt,
                    const struct stored_run *run)
{
    fleet_hear(f, &(struct fleet_event){.type = FLEET_EVENT_RUN,
                                        .member = member,
                                        .attempt = attempt,
                                        .run = run->run,
                                        .running = run_state(run->state),
                                        .why = run->why});
}

/* The newest run that moves a cluster, or nothing. */
static int newest_move(struct controller *c, struct arena *arena, const char *cluster,
                       struct stored_run *ret, struct error *e)
{
    struct stored_runs runs = {0};
    int r = store_runs(c->store, arena, cluster, NEWEST_RUNS, &runs, e);
    for (size_t i = 0; r == 0 && i < runs.count; i++) {
        struct bytes json = {0};
        struct plan plan = {0};
        r = store_plan(c->store, arena, runs.items[i].plan_id, &json, NULL, e);
        r = r < 0 ? r : plan_from_json(arena, (const char *)json.data, json.len, &plan, e);
        if (r == 0 && plan.part == PLAN_WHOLE) {
            *ret = runs.items[i];
            return 0;
        }
    }
    return r;
}

void fleet_hear_move(struct fleet_run *f, uint32_t member, const struct stored_run *run)
{
    struct arena arena;
    arena_init(&arena);
    fleet_hear(f, &(struct fleet_event){
                      .type = FLEET_EVENT_MOVED,
                      .member = member,
                      .why = arena_printf(
                          &arena, "it was done, and run %s of %s moves it: %s -> %s", run->run,
                          run->who, run->from != NULL ? run->from : "nothing", run->to)});
    arena_deinit(&arena);
}

/* Another's run since the member's own, or since it was found to be where it should be. */
static void find_move(struct fleet_run *f, uint32_t member)
{
    const struct member_view view = fleet_member(f->machine, member);
    struct arena arena;
    arena_init(&arena);
    struct stored_run newest = {0};
    struct error e = {0};
    if (newest_move(f->controller, &arena, view.cluster, &newest, &e) < 0) {
        controller_fail(f->controller, &e);
    } else if (newest.run != NULL && !str_equal(newest.run, view.run) &&
               (!str_empty(view.run) || newest.started_ms >= view.since_ms)) {
        fleet_hear_move(f, member, &newest);
    } else {
        fleet_hear(f, &(struct fleet_event){.type = FLEET_EVENT_UNMOVED, .member = member});
    }
    arena_deinit(&arena);
}

void fleet_find_run(struct fleet_run *f, uint32_t member, uint32_t attempt)
{
    if (fleet_member(f->machine, member).state == MEMBER_DONE) {
        find_move(f, member);
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct stored_run run = {0};
    struct error e = {0};
    int r = store_run_of_fleet(f->controller->store, &arena, fleet_key(f, &arena, member, attempt),
                               &run, &e);
    if (r == 0) {
        fleet_hear_run(f, member, attempt, &run);
    } else if (r == E_NOT_FOUND) {
        fleet_hear(f, &(struct fleet_event){
                          .type = FLEET_EVENT_NO_RUN, .member = member, .attempt = attempt});
    } else {
        controller_fail(f->controller, &e); /* not known is not the same as none */
    }
    arena_deinit(&arena);
}

void fleet_keep_evidence(struct fleet_run *f, const struct fleet_effect *effect)
{
    const struct member_view member = fleet_member(f->machine, effect->member);
    const struct stored_evidence evidence = {
        .fleet = f->stored.name,
        .stage = LIST_AT(&f->spec->stages, struct fleet_stage_spec, member.stage)->name,
        .application = effect->way.application,
        .from = effect->way.from,
        .to = effect->way.to,
        .cluster = member.cluster,
        .run = effect->run,
        .at_ms = act_now_ms()};
    struct error e = {0};
    if (store_evidence_put(f->controller->store, &evidence, &e) < 0) {
        controller_fail(f->controller, &e);
    }
}
