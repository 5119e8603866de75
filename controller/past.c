/* Owns the reading of earlier runs. It decides nothing: what counts as done is lib/core/done.c's. */
#include "controller/past.h"

#include "lib/base/str.h"
#include "lib/core/done.h"
#include "lib/wire/record.h"

#define PAST_RUNS_MAX 100

static bool has_arrived(const struct stored_run *run)
{
    return str_equal(run->state, rollout_state_name(ROLLOUT_SUCCEEDED)) ||
           str_equal(run->state, rollout_state_name(ROLLOUT_INCOMPLETE));
}

static int note(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct done *done = context;
    struct arena arena;
    arena_init(&arena);
    struct record record = {0};
    int r = wire_record_unpack(&arena, data, &record, e);
    if (r == 0) {
        done_note(done, &record);
    }
    arena_deinit(&arena);
    return r;
}

static int read_plan(struct controller *c, struct arena *arena, const struct stored_run *run,
                     struct plan *ret, struct error *e)
{
    struct bytes json = {0};
    int r = store_plan(c->store, arena, run->plan_id, &json, NULL, e);
    return r < 0 ? r : plan_from_json(arena, (const char *)json.data, json.len, ret, e);
}

/* A run that only put releases on the nodes arrives nowhere. */
static bool ends_the_past(struct controller *c, struct arena *arena, const struct stored_run *run)
{
    struct plan plan = {0};
    return has_arrived(run) &&
           (read_plan(c, arena, run, &plan, NULL) < 0 || plan.part == PLAN_WHOLE);
}

static int read_run(struct controller *c, struct arena *arena, const struct stored_run *run,
                    struct done *done, struct error *e)
{
    struct plan *plan = ARENA_NEW(arena, struct plan);
    int r = read_plan(c, arena, run, plan, e);
    if (r == 0 && plan->part == PLAN_WHOLE) {
        done_run(done, plan, run->run);
        r = journal_read(c->journal, run->run, 0, note, done, e);
    }
    return r < 0 ? error_wrap(e, "what run %s did cannot be read", run->run) : 0;
}

int past_done(struct controller *c, struct arena *arena, const char *cluster,
              struct inventory *ret_inventory, struct error *e)
{
    struct stored_runs runs = {0};
    struct done *done = done_new(arena);
    int r = store_runs(c->store, arena, cluster, PAST_RUNS_MAX, &runs, e);
    size_t count = 0;
    while (count < runs.count && !ends_the_past(c, arena, &runs.items[count])) {
        count++;
    }
    for (size_t i = count; r == 0 && i > 0; i--) {
        r = read_run(c, arena, &runs.items[i - 1], done, e);
    }
    if (r < 0) {
        return r;
    }
    done_list(done, &ret_inventory->done, &ret_inventory->done_count);
    return 0;
}

/* ---- starts ---- */

struct starts_reader {
    struct arena *arena;
    const struct plan *plan;
    struct past_starts *starts;
    int64_t since_ms;
};

static int note_start(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct starts_reader *s = context;
    struct past_starts *starts = s->starts;
    struct arena arena;
    arena_init(&arena);
    struct record record = {0};
    int r = wire_record_unpack(&arena, data, &record, e);
    if (r == 0 && record.type == RECORD_OUTCOME && record.at_ms >= s->since_ms &&
        rollout_is_start(s->plan, &record.key)) {
        starts->at_ms = arena_grow(s->arena, starts->at_ms, starts->count, &starts->capacity,
                                   sizeof(*starts->at_ms));
        starts->at_ms[starts->count++] = record.at_ms;
    }
    arena_deinit(&arena);
    return r;
}

int past_starts(struct controller *c, struct arena *arena, const struct stored_run *run,
                int64_t since_ms, struct past_starts *ret, struct error *e)
{
    struct stored_runs runs = {0};
    *ret = (struct past_starts){0};
    int r = store_runs(c->store, arena, run->cluster, PAST_RUNS_MAX, &runs, e);
    for (size_t i = runs.count; r == 0 && i > 0; i--) {
        const struct stored_run *before = &runs.items[i - 1];
        if (str_equal(before->run, run->run) || before->ended_ms < since_ms) {
            continue;
        }
        struct plan plan = {0};
        struct starts_reader reader = {
            .arena = arena, .plan = &plan, .starts = ret, .since_ms = since_ms};
        r = read_plan(c, arena, before, &plan, e);
        r = r < 0 ? r : journal_read(c->journal, before->run, 0, note_start, &reader, e);
        r = r < 0 ? error_wrap(e, "the starts of run %s cannot be read", before->run) : 0;
    }
    return r;
}
