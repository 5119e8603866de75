/* Owns how a run reads line by line: one for each event that is worth one. */
#include <string.h>

#include "cli/output.h"
#include "cli/watch_state.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define TAIL_LINES_MAX 20

/* ---- the columns ---- */

/* "00:03.2" since the start; hours when there are some. */
static void put_time(const struct watch *w, int64_t at_ms, struct buf *out)
{
    int64_t ms = MAX(at_ms - w->started_ms, 0);
    int64_t tenths = ms / 100 % 10;
    int64_t seconds = ms / 1000 % 60;
    int64_t minutes = ms / 60000 % 60;
    int64_t hours = ms / 3600000;
    if (hours > 0) {
        buf_printf(out, "%lld:", (long long)hours);
    }
    buf_printf(out, "%02lld:%02lld.%lld  ", (long long)minutes, (long long)seconds,
               (long long)tenths);
}

/* The last lines of a log, each behind a bar. */
static void put_tail(const char *tail, struct buf *out)
{
    size_t len = strlen(tail);
    while (len > 0 && tail[len - 1] == '\n') {
        len--;
    }
    size_t from = len;
    for (int lines = 0; from > 0; from--) {
        lines += tail[from - 1] == '\n' ? 1 : 0;
        if (lines == TAIL_LINES_MAX) {
            break;
        }
    }
    while (from < len) {
        const char *newline = memchr(tail + from, '\n', len - from);
        size_t end = newline != NULL ? (size_t)(newline - tail) : len;
        buf_printf(out, "           | %.*s\n", (int)(end - from), tail + from);
        from = end + 1;
    }
}

static void put_step(const struct watch *w, const Lockstep__V1__WatchEvent *event, struct buf *out)
{
    const Lockstep__V1__WatchStep *s = event->step;
    const struct plan_step *step = plan_step_at(&w->plan, s->phase, s->step);
    put_time(w, event->at_ms, out);
    put_padded(out, step->name, w->name_width + 2);
    put_padded(out, s->place, w->place_width + 2);
    buf_puts(out, s->state);
    if (s->attempt > 1) {
        buf_printf(out, ", attempt %u", s->attempt);
    }
    if (step->title != NULL) {
        buf_printf(out, "  %s", step->title);
    }
    if (s->started_ms > 0 && s->ended_ms >= s->started_ms) {
        buf_printf(out, "  (%s)", str_duration(out->arena, s->ended_ms - s->started_ms));
    }
    if (!str_empty(s->message)) {
        buf_printf(out, "  %s", s->message);
    }
    buf_putc(out, '\n');
    put_tail(s->log_tail, out);
}

/* ---- headings ---- */

static const char *set_name(const struct watch *w, const struct plan_phase *phase)
{
    if (phase->scope == PHASE_ONCE) {
        return NULL;
    }
    const struct plan_node_set *set =
        LIST_AT(&w->plan.node_sets, const struct plan_node_set, phase->node_set);
    return set->nodes.count < w->plan.nodes.count ? set->name : NULL;
}

/* A hop, or the next wave of it; of any other phase only how long it will still take, when that is known. */
static void put_heading(const struct watch *w, const Lockstep__V1__WatchEvent *event,
                        struct buf *out)
{
    uint32_t at = event->phase->phase;
    if (at >= w->plan.phases.count) {
        return;
    }
    const struct plan_phase *phase = plan_phase_at(&w->plan, at);
    const struct plan_phase *before = at > 0 ? plan_phase_at(&w->plan, at - 1) : NULL;
    const char *set = set_name(w, phase);
    bool new_hop = before == NULL || before->hop != phase->hop;
    bool new_set = set != NULL && (before == NULL || !str_equal(set, set_name(w, before)));
    const char *left = watch_left_words(w, event->at_ms, out->arena);
    if (phase->hop < 0 || (size_t)phase->hop >= w->plan.hops.count || (!new_hop && !new_set)) {
        if (left != NULL) {
            put_time(w, event->at_ms, out);
            buf_printf(out, "%s: %s\n", phase->name, left);
        }
        return;
    }
    const struct plan_hop *hop = LIST_AT(&w->plan.hops, const struct plan_hop, phase->hop);
    put_time(w, event->at_ms, out);
    buf_printf(out, "hop %lld: %s -> %s%s%s%s%s\n", (long long)phase->hop + 1,
               hop->from != NULL ? hop->from : "nothing", hop->to, set != NULL ? ", " : "",
               set != NULL ? set : "", left != NULL ? ": " : "", left != NULL ? left : "");
}

static void put_state(const struct watch *w, const Lockstep__V1__WatchEvent *event, struct buf *out)
{
    const Lockstep__V1__WatchState *s = event->state;
    if (watch_is_over(w)) {
        return; /* the end line says it */
    }
    put_time(w, event->at_ms, out);
    buf_printf(out, "%s%s%s", s->state, str_empty(s->why) ? "" : ": ", s->why);
    buf_printf(out, "%s%s%s\n", str_empty(s->who) ? "" : "  (", s->who,
               str_empty(s->who) ? "" : ")");
}

static void put_word(const struct watch *w, const Lockstep__V1__WatchEvent *event, struct buf *out)
{
    const Lockstep__V1__WatchWord *word = event->word;
    put_time(w, event->at_ms, out);
    buf_puts(out, word->word);
    const char *const parts[] = {word->place, word->step, word->gate};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        buf_printf(out, "%s%s", str_empty(parts[i]) ? "" : " ", parts[i]);
    }
    buf_printf(out, "%s%s", str_empty(word->why) ? "" : ": ", word->why);
    buf_printf(out, "  (%s)\n", str_empty(word->who) ? "failure budget" : word->who);
}

void watch_lines(const struct watch *w, const Lockstep__V1__WatchEvent *event, struct buf *out)
{
    switch (event->event_case) {
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN:
        buf_printf(out, "%s   %zu node%s, %llu steps   run %s\n", watch_title(w, out->arena),
                   w->plan.nodes.count, w->plan.nodes.count == 1 ? "" : "s",
                   (unsigned long long)w->steps, w->run);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STATE:
        put_state(w, event, out);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP:
        if (event->number != 0 && !str_equal(event->step->state, "under-way")) {
            put_step(w, event, out);
        }
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE:
        put_heading(w, event, out);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_WORD:
        put_word(w, event, out);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_LINE:
        buf_printf(out, "         %s\n", event->line->text);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT__NOT_SET:
    case _LOCKSTEP__V1__WATCH_EVENT__EVENT__CASE_IS_INT_SIZE:
        break;
    }
}

/* ---- the end ---- */

void watch_failures(const struct watch *w, struct buf *out)
{
    for (size_t i = 0; i < w->failure_count; i++) {
        const struct watch_failure *f = &w->failures[i];
        put_time(w, f->at_ms, out);
        put_padded(out, plan_step_at(&w->plan, f->phase, f->step)->name, w->name_width + 2);
        put_padded(out, f->place, w->place_width + 2);
        buf_printf(out, "%s\n", f->message);
        put_tail(f->log_tail, out);
    }
}

void watch_end_line(const struct watch *w, int64_t now_ms, struct buf *out)
{
    int64_t end = w->ended_ms > 0 ? w->ended_ms : now_ms;
    const char *took = str_duration(out->arena, MAX(end - w->started_ms, 0));
    const char *why = w->why != NULL ? w->why : "no reason was given";
    switch (w->state) {
    case ROLLOUT_SUCCEEDED:
        if (w->takes_back != NULL) {
            buf_printf(out, "rolled back in %s: %s runs %s %s again (run %s took back run %s)\n",
                       took, w->cluster, w->plan.application, w->plan.to, w->run, w->takes_back);
            break;
        }
        buf_printf(out, "succeeded in %s: %s runs %s %s (run %s)\n", took, w->cluster,
                   w->plan.application, w->plan.to, w->run);
        break;
    case ROLLOUT_INCOMPLETE:
        buf_printf(out, "incomplete after %s: %s; lockstep apply goes on with those (run %s)\n",
                   took, why, w->run);
        break;
    case ROLLOUT_FAILED:
        buf_printf(out, "failed after %s, before anything was touched: %s (run %s)\n", took, why,
                   w->run);
        break;
    case ROLLOUT_ABORTED:
        if (w->rolls_back) {
            buf_printf(out, "aborted after %s: %s; it is taken back now (run %s)\n", took, why,
                       w->run);
            break;
        }
        buf_printf(out,
                   "aborted after %s: %s; lockstep apply plans on from what is there (run %s)\n",
                   took, why, w->run);
        break;
    case ROLLOUT_PAUSED:
        buf_printf(out, "paused after %s, waits for an operator: " WATCH_ANSWER "\n", took, w->run);
        break;
    case ROLLOUT_WAITING:
        if (w->asks) {
            buf_printf(out, "waiting after %s at %s: " WATCH_APPROVE "\n", took, why, w->run);
            break;
        }
        buf_printf(out, "waiting since %s: %s (run %s)\n", took, why, w->run);
        break;
    case ROLLOUT_READY:
    case ROLLOUT_RUNNING:
    case ROLLOUT_ABORTING:
        buf_printf(out, "%s since %s (run %s)\n", rollout_state_name(w->state), took, w->run);
        break;
    }
}

/* ---- JSON ---- */

static json_t *run_json(const Lockstep__V1__WatchRun *run)
{
    json_t *plan = json_loadb((const char *)run->plan.data, run->plan.len, 0, NULL);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "event", "run", "run",
                     json_text(run->run), "cluster", json_text(run->cluster), "takes_back",
                     json_text(run->takes_back), "plan_id", json_text(run->plan_id), "state",
                     json_text(run->state), "started_ms", (json_int_t)run->started_ms, "plan",
                     plan != NULL ? plan : json_null());
}

static json_t *step_json(const struct watch *w, const Lockstep__V1__WatchStep *s)
{
    const struct plan_step *step = plan_step_at(&w->plan, s->phase, s->step);
    json_t *facts = str_empty(s->facts) ? NULL : json_loads(s->facts, JSON_DECODE_ANY, NULL);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o}",
                     "event", "step", "phase", (json_int_t)s->phase, "step", (json_int_t)s->step,
                     "name", json_text(step->name), "title", json_text(step->title), "place",
                     json_text(s->place), "attempt", (json_int_t)s->attempt, "state",
                     json_text(s->state), "message", json_text(s->message), "log_tail",
                     json_text(s->log_tail), "done", (json_int_t)s->done, "total",
                     (json_int_t)s->total, "started_ms", (json_int_t)s->started_ms, "ended_ms",
                     (json_int_t)s->ended_ms, "facts", facts != NULL ? facts : json_null());
}

json_t *watch_json(const struct watch *w, const Lockstep__V1__WatchEvent *event)
{
    json_t *json = NULL;
    switch (event->event_case) {
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_RUN:
        json = run_json(event->run);
        watch_left_json(w, event->at_ms, json);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STATE:
        json = json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "event", "state", "state",
                         json_text(event->state->state), "why", json_text(event->state->why), "who",
                         json_text(event->state->who), "asks", event->state->asks ? 1 : 0,
                         "roll_back", event->state->roll_back ? 1 : 0);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_STEP:
        json = step_json(w, event->step);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_PHASE:
        json = json_pack("{s:s, s:I}", "event", "phase", "phase", (json_int_t)event->phase->phase);
        watch_left_json(w, event->at_ms, json);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_WORD:
        json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "event", "word", "word",
                         json_text(event->word->word), "place", json_text(event->word->place),
                         "step", json_text(event->word->step), "gate", json_text(event->word->gate),
                         "why", json_text(event->word->why), "who", json_text(event->word->who),
                         "until_ms", (json_int_t)event->word->until_ms);
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT_LINE:
        json = json_pack("{s:s, s:o}", "event", "line", "text", json_text(event->line->text));
        break;
    case LOCKSTEP__V1__WATCH_EVENT__EVENT__NOT_SET:
    case _LOCKSTEP__V1__WATCH_EVENT__EVENT__CASE_IS_INT_SIZE:
        json = json_object();
        break;
    }
    json_object_set_new(json, "number", json_integer((json_int_t)event->number));
    json_object_set_new(json, "at_ms", json_integer(event->at_ms));
    return json;
}
