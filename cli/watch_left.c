/* Owns what is said of the time that a run still takes. It never promises: nothing known is said as nothing. */
#include "cli/watch_state.h"
#include "lib/base/str.h"

/* Where the places of the newest phase stand. */
static size_t walks_of(const struct watch *w, int64_t now_ms, struct arena *arena,
                       struct walked **ret)
{
    const struct watch_phase *p = &w->phases[w->phase];
    bool once = plan_phase_at(&w->plan, w->phase)->scope == PHASE_ONCE;
    *ret = ARENA_ARRAY(arena, p->slot_count + 1, struct walked);
    struct walked *all = *ret;
    all[0] = (struct walked){.steps_done = p->steps_done, .elapsed_ms = -1};
    for (size_t i = 0; i < p->slot_count; i++) {
        const struct watch_slot *slot = &p->slots[i];
        int64_t elapsed = slot->state == SLOT_UNDER_WAY ? MAX(now_ms - slot->since_ms, 0) : -1;
        if (!once) {
            all[i] = (struct walked){slot->place, slot->steps_done, elapsed};
        } else if (elapsed >= 0) {
            all[0].elapsed_ms = elapsed;
        }
    }
    return once ? 1 : p->slot_count;
}

struct watch_left watch_left(const struct watch *w, int64_t now_ms)
{
    struct watch_left left = {0};
    if (!w->begun || w->forecast == NULL || watch_is_over(w) || w->state == ROLLOUT_ABORTING ||
        w->plan.phases.count == 0) {
        return left;
    }
    bool inside = w->phases[w->phase].slots != NULL;
    bool done = inside && w->phases[w->phase].steps_done == w->phases[w->phase].steps;
    struct duration_sum from = forecast_from(w->forecast, w->phase + (inside ? 1 : 0));
    struct duration_sum open = forecast_from(w->forecast, w->phase + (done ? 1 : 0));
    left = (struct watch_left){.known = forecast_from(w->forecast, 0).known > 0,
                               .ms = from.ms,
                               .unmeasured = open.all - open.known};
    if (inside) {
        struct arena arena;
        arena_init(&arena);
        struct walked *walks = NULL;
        size_t count = walks_of(w, now_ms, &arena, &walks);
        struct phase_left now = forecast_phase_left(w->forecast, w->phase, walks, count);
        left.ms += now.ms;
        left.longer = now.longer;
        arena_deinit(&arena);
    }
    return left;
}

const char *watch_left_words(const struct watch *w, int64_t now_ms, struct arena *arena)
{
    struct watch_left left = watch_left(w, now_ms);
    if (!left.known || w->asks) {
        return NULL;
    }
    if (left.longer) {
        return "longer than usual";
    }
    const char *without = left.unmeasured > 0
                              ? arena_printf(arena, ", without %zu step%s that nobody has measured",
                                             left.unmeasured, left.unmeasured == 1 ? "" : "s")
                              : "";
    return arena_printf(arena, "about %s left%s", str_duration(arena, left.ms), without);
}

void watch_left_json(const struct watch *w, int64_t now_ms, json_t *json)
{
    struct watch_left left = watch_left(w, now_ms);
    json_object_set_new(json, "left_ms",
                        left.known && !left.longer ? json_integer(left.ms) : json_null());
    json_object_set_new(json, "longer_than_usual", json_boolean(left.longer));
    json_object_set_new(json, "unmeasured", json_integer((json_int_t)left.unmeasured));
}
