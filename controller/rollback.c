/* Owns the way from a run's end to the run that takes it back. It decides nothing: what is planned is lib/plan's. */
#include "controller/rollback.h"

#include <stdlib.h>
#include <string.h>

#include "controller/planning.h"
#include "controller/reply.h"
#include "controller/runs.h"
#include "lib/base/str.h"
#include "lib/io/platform/log.h"

struct rollback {
    struct rollback *next;         /* owned by controller->rollbacks */
    struct controller *controller; /* borrowed */
    struct arena arena;
    uv_timer_t timer;
    struct stored_run run;
    struct bytes bundle_bytes;
    const Lockstep__V1__Bundle *bundle;
    struct planning *planning;    /* NULL: none */
    char said[LIMIT_ERROR_BYTES]; /* the last reason why not; each is told once */
};

static void closed(uv_handle_t *handle)
{
    struct rollback *r = handle->data;
    arena_deinit(&r->arena);
    free(r);
}

static void end(struct rollback *r)
{
    struct rollback **link = &r->controller->rollbacks;
    while (*link != r) {
        link = &(*link)->next;
    }
    *link = r->next;
    uv_close((uv_handle_t *)&r->timer, closed);
}

static void on_time(uv_timer_t *timer);

static void again(struct rollback *r, const char *why)
{
    if (strcmp(r->said, why) != 0) {
        snprintf(r->said, sizeof(r->said), "%s", why);
        log_line(PROGRAM, "run %s of %s is not taken back yet: %s", r->run.run, r->run.cluster,
                 why);
    }
    uv_timer_start(&r->timer, on_time, ROLLBACK_AGAIN_MS, 0);
}

static void progress(void *context UNUSED, const char *line UNUSED)
{
}

static void planned(void *context, const struct planning_result *result)
{
    struct rollback *r = context;
    struct controller *c = r->controller;
    struct error e = {0};
    r->planning = NULL;
    if (result->plan == NULL) {
        again(r, result->complaint_count > 0 ? result->complaints[0].message
                                             : "it could not be planned");
        return;
    }
    if (plan_is_empty(result->plan)) {
        log_line(PROGRAM, "run %s of %s: nothing is to be taken back", r->run.run, r->run.cluster);
        if (store_run_back(c->store, r->run.run, BACK_NOTHING, &e) < 0) {
            controller_fail(c, &e);
        }
        end(r);
        return;
    }
    const struct run_start start = {.plan_id = result->plan_id,
                                    .who = arena_printf(&r->arena, "rollback of %s", r->run.run),
                                    .takes_back = r->run.run};
    const char *run = NULL;
    int code = store_plan_put(c->store, result->plan_id, result->plan_json, r->bundle_bytes, &e);
    if (code == 0) {
        code = runs_start(c, &r->arena, &start, &run, &e);
    }
    if (code < 0) {
        again(r, e.message);
        return;
    }
    log_line(PROGRAM, "run %s of %s is taken back by run %s", r->run.run, r->run.cluster, run);
    end(r);
}

/* Has another run followed? Then that one counts. */
static bool is_followed(struct rollback *r)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_runs runs = {0};
    bool followed = store_runs(r->controller->store, &arena, r->run.cluster, 1, &runs, NULL) == 0 &&
                    runs.count > 0 && !str_equal(runs.items[0].run, r->run.run);
    arena_deinit(&arena);
    return followed;
}

static void on_time(uv_timer_t *timer)
{
    struct rollback *r = timer->data;
    if (r->controller->stopping) {
        return;
    }
    if (is_followed(r)) {
        end(r);
        return;
    }
    const struct planning_request request = {
        .bundle = r->bundle, .to = r->run.from, .rolls_back = true};
    const struct planning_callbacks callbacks = {
        .progress = progress, .over = planned, .context = r};
    r->planning = planning_start(r->controller, &request, &callbacks);
}

static int read_run(struct rollback *r, const char *run, struct error *e)
{
    struct bytes plan = {0};
    int code = store_run(r->controller->store, &r->arena, run, &r->run, e);
    if (code == 0 && str_empty(r->run.from)) {
        code = error_set(e, E_INVALID, "it was the first installation: there is no way back");
    }
    if (code == 0) {
        code =
            store_plan(r->controller->store, &r->arena, r->run.plan_id, &plan, &r->bundle_bytes, e);
    }
    if (code == 0) {
        r->bundle = REPLY_REQUEST(Bundle, bundle, &r->arena, r->bundle_bytes, e);
        code = r->bundle == NULL ? e->code : 0;
    }
    return code;
}

const char *rollback_problem(const struct controller *c, const char *run)
{
    for (const struct rollback *r = c->rollbacks; r != NULL; r = r->next) {
        if (str_equal(r->run.run, run)) {
            return r->said[0] != '\0' ? r->said : NULL;
        }
    }
    return NULL;
}

void rollback_begin(struct controller *c, const char *run)
{
    for (struct rollback *r = c->rollbacks; r != NULL; r = r->next) {
        if (str_equal(r->run.run, run)) {
            return;
        }
    }
    struct rollback *r = calloc(1, sizeof(*r));
    assert(r != NULL);
    struct error e = {0};
    r->controller = c;
    arena_init(&r->arena);
    uv_timer_init(&c->loop, &r->timer);
    r->timer.data = r;
    r->next = c->rollbacks;
    c->rollbacks = r;
    if (read_run(r, run, &e) < 0) {
        log_line(PROGRAM, "run %s is not taken back: %s", run, e.message);
        end(r);
        return;
    }
    uv_timer_start(&r->timer, on_time, 0, 0);
}

int rollbacks_open(struct controller *c, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_runs runs = {0};
    int code = store_runs_to_roll_back(c->store, &arena, &runs, e);
    for (size_t i = 0; code == 0 && i < runs.count; i++) {
        rollback_begin(c, runs.items[i].run);
    }
    arena_deinit(&arena);
    return code;
}

void rollbacks_close(struct controller *c)
{
    while (c->rollbacks != NULL) {
        if (c->rollbacks->planning != NULL) {
            planning_forget(c->rollbacks->planning);
        }
        end(c->rollbacks);
    }
}
