/* Owns the picture of a run in a terminal. It refuses to be larger than the terminal: what does not fit is counted. */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/watch_state.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define BAR_COLUMNS 30
#define FRAME_LINES                                                                                \
    7 /* title, bar, time left, a blank, two for what it waits for, the cursor's own */
#define ROWS_MIN      10
#define LABEL_COLUMNS 8
#define NAME_COLUMNS  30
#define COLOR_GREEN   "\033[32m"
#define COLOR_RED     "\033[31m"
#define COLOR_FAINT   "\033[2m"
#define COLOR_OFF     "\033[0m"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_FAINT };

struct page {
    const struct watch *w;
    const struct watch_screen *screen;
    int64_t now_ms;
    struct arena *arena;
    struct buf *out;
};

static void put_line(const struct page *p, enum tone tone, const char *text)
{
    static const char *const colors[] = {"", COLOR_GREEN, COLOR_RED, COLOR_FAINT};
    bool color = p->screen->color && tone != TONE_PLAIN;
    buf_printf(p->out, "%s%s%s\n", color ? colors[tone] : "",
               text_cut(p->arena, text, p->screen->columns), color ? COLOR_OFF : "");
}

/* ---- phases ---- */

enum phase_look { PHASE_DONE, PHASE_RUNNING, PHASE_STUCK, PHASE_WAITING };

static enum phase_look look_of(const struct watch *w, uint32_t at)
{
    const struct watch_phase *p = &w->phases[at];
    if (p->steps_done == p->steps && p->started_ms > 0) {
        return PHASE_DONE;
    }
    if (p->started_ms == 0) {
        return PHASE_WAITING;
    }
    for (size_t i = 0; i < p->slot_count; i++) {
        if (p->slots[i].state == SLOT_FAILED || p->slots[i].state == SLOT_UNKNOWN) {
            return PHASE_STUCK;
        }
    }
    return PHASE_RUNNING;
}

static const char *count_text(const struct page *p, uint32_t at)
{
    const struct plan_phase *phase = plan_phase_at(&p->w->plan, at);
    const struct watch_phase *seen = &p->w->phases[at];
    if (phase->scope == PHASE_ONCE) {
        return arena_printf(p->arena, "%llu of %zu step%s", (unsigned long long)seen->steps_done,
                            phase->steps.count, phase->steps.count == 1 ? "" : "s");
    }
    const struct plan_node_set *set =
        LIST_AT(&p->w->plan.node_sets, const struct plan_node_set, phase->node_set);
    size_t done = 0;
    for (size_t i = 0; i < seen->slot_count; i++) {
        done += seen->slots[i].state == SLOT_DONE ? 1 : 0;
    }
    return arena_printf(p->arena, "%zu of %zu node%s%s%s", done, set->nodes.count,
                        set->nodes.count == 1 ? "" : "s",
                        set->nodes.count < p->w->plan.nodes.count ? ", " : "",
                        set->nodes.count < p->w->plan.nodes.count ? set->name : "");
}

static void put_phase(const struct page *p, uint32_t at)
{
    static const struct {
        const char *mark;
        enum tone tone;
    } looks[] = {[PHASE_DONE] = {"✓ ", TONE_GOOD},
                 [PHASE_RUNNING] = {"▸ ", TONE_PLAIN},
                 [PHASE_STUCK] = {"✗ ", TONE_BAD},
                 [PHASE_WAITING] = {"· ", TONE_FAINT}};
    const struct plan_phase *phase = plan_phase_at(&p->w->plan, at);
    const struct watch_phase *seen = &p->w->phases[at];
    enum phase_look look = look_of(p->w, at);
    struct buf line;
    buf_init(&line, p->arena, LIMIT_TEXT_BYTES);
    buf_puts(&line, looks[look].mark);
    put_padded(&line, watch_hop_label(p->w, phase->hop, p->arena), LABEL_COLUMNS);
    put_padded(&line, text_cut(p->arena, phase->name, NAME_COLUMNS), NAME_COLUMNS + 2);
    buf_puts(&line, count_text(p, at));
    if (seen->started_ms > 0) {
        int64_t end = seen->ended_ms > 0 ? seen->ended_ms : p->now_ms;
        buf_printf(&line, "   %s", str_duration(p->arena, MAX(end - seen->started_ms, 0)));
    }
    put_line(p, looks[look].tone, buf_text(&line));
}

/* ---- nodes of the running phase ---- */

static bool is_bad(const struct watch_slot *slot)
{
    return slot->state == SLOT_FAILED || slot->state == SLOT_UNKNOWN;
}

/* Failing ones first, then those under way, the longest first. */
static int by_urgency(const void *a, const void *b)
{
    const struct watch_slot *x = *(const struct watch_slot *const *)a;
    const struct watch_slot *y = *(const struct watch_slot *const *)b;
    if (is_bad(x) != is_bad(y)) {
        return is_bad(x) ? -1 : 1;
    }
    if (x->since_ms != y->since_ms) {
        return x->since_ms < y->since_ms ? -1 : 1;
    }
    return strcmp(x->place, y->place);
}

static bool worth_a_line(const struct watch_slot *slot, bool once)
{
    return is_bad(slot) || slot->state == SLOT_UNDER_WAY ||
           (!once && slot->state == SLOT_WAITING && slot->steps_done > 0);
}

static void put_slot(const struct page *p, uint32_t at, const struct watch_slot *slot)
{
    const struct plan_step *step = plan_step_at(&p->w->plan, at, slot->step);
    struct buf line;
    buf_init(&line, p->arena, LIMIT_TEXT_BYTES);
    buf_puts(&line, "    ");
    put_padded(&line, slot->place, p->w->place_width + 2);
    const char *what =
        step->title == NULL ? step->name : arena_printf(p->arena, "%s %s", step->name, step->title);
    put_padded(&line, what, p->w->name_width + 2);
    buf_puts(&line, " ");
    if (is_bad(slot)) {
        buf_puts(&line, slot->state == SLOT_FAILED ? "failed" : "unknown");
    } else if (slot->state == SLOT_WAITING) {
        buf_puts(&line, "next");
    } else {
        buf_puts(&line, str_duration(p->arena, MAX(p->now_ms - slot->since_ms, 0)));
    }
    if (slot->attempt > 1) {
        buf_printf(&line, "   attempt %u", slot->attempt);
    }
    if (slot->total > 0) {
        buf_printf(&line, "   %llu of %llu", (unsigned long long)slot->done,
                   (unsigned long long)slot->total);
    }
    if (slot->text[0] != '\0') {
        buf_printf(&line, "   %s", slot->text);
    }
    put_line(p, is_bad(slot) ? TONE_BAD : TONE_PLAIN, buf_text(&line));
}

/* How many lines the nodes of the running phase would take. */
static size_t slot_lines(const struct watch *w)
{
    size_t count = 0;
    bool once = plan_phase_at(&w->plan, w->phase)->scope == PHASE_ONCE;
    for (size_t i = 0; i < w->phases[w->phase].slot_count; i++) {
        count += worth_a_line(&w->phases[w->phase].slots[i], once) ? 1 : 0;
    }
    return count;
}

static void put_slots(const struct page *p, size_t rows)
{
    uint32_t at = p->w->phase;
    const struct watch_phase *seen = &p->w->phases[at];
    bool once = plan_phase_at(&p->w->plan, at)->scope == PHASE_ONCE;
    const struct watch_slot **shown =
        ARENA_ARRAY(p->arena, seen->slot_count + 1, const struct watch_slot *);
    size_t count = 0;
    size_t waiting = 0;
    for (size_t i = 0; i < seen->slot_count; i++) {
        if (worth_a_line(&seen->slots[i], once)) {
            shown[count++] = &seen->slots[i];
        } else {
            waiting += seen->slots[i].state == SLOT_WAITING ? 1 : 0;
        }
    }
    size_t most = rows;
    if (count > rows) {
        qsort(shown, count, sizeof(*shown), by_urgency);
        most = rows > 0 ? rows - 1 : 0;
    }
    for (size_t i = 0; i < MIN(count, most); i++) {
        put_slot(p, at, shown[i]);
    }
    if (count > rows && rows > 0) {
        put_line(p, TONE_FAINT,
                 arena_printf(p->arena, "    and %zu more under way, %zu waiting", count - most,
                              waiting));
    }
}

/* ---- the page ---- */

static const char *bar_text(const struct page *p)
{
    const struct watch *w = p->w;
    size_t full = w->steps > 0 ? (size_t)(w->steps_done * BAR_COLUMNS / w->steps) : BAR_COLUMNS;
    struct buf bar;
    buf_init(&bar, p->arena, LIMIT_TEXT_BYTES);
    buf_putc(&bar, '[');
    for (size_t i = 0; i < BAR_COLUMNS; i++) {
        buf_putc(&bar, i < full ? '#' : '-');
    }
    int64_t end = w->ended_ms > 0 ? w->ended_ms : p->now_ms;
    buf_printf(&bar, "]  %llu of %llu steps   %s   %s", (unsigned long long)w->steps_done,
               (unsigned long long)w->steps, str_duration(p->arena, MAX(end - w->started_ms, 0)),
               rollout_state_name(w->state));
    return buf_text(&bar);
}

/* Which phases are shown: all, or a window around the running one with what is around it counted. */
static void put_phases(const struct page *p, size_t rows)
{
    const struct watch *w = p->w;
    size_t count = w->plan.phases.count;
    size_t slots = w->phases[w->phase].started_ms > 0 ? slot_lines(w) : 0;
    size_t slot_rows =
        MIN(slots, count + slots <= rows ? slots : MAX(rows / 2, rows > count ? rows - count : 0));
    size_t room = rows - slot_rows;
    size_t first = 0;
    size_t end = count;
    if (count > room) {
        room = room > 2 ? room - 2 : 1; /* two lines count the rest */
        first = w->phase > room / 2 ? w->phase - room / 2 : 0;
        first = MIN(first, count - room);
        end = first + room;
    }
    if (first > 0) {
        put_line(p, TONE_GOOD, arena_printf(p->arena, "✓ %zu before", first));
    }
    for (size_t i = first; i < end; i++) {
        put_phase(p, (uint32_t)i);
        if (i == w->phase && slot_rows > 0) {
            put_slots(p, slot_rows);
        }
    }
    if (end < count) {
        put_line(p, TONE_FAINT, arena_printf(p->arena, "· %zu more", count - end));
    }
}

void watch_live(const struct watch *w, int64_t now_ms, const struct watch_screen *screen,
                struct arena *arena, struct buf *out)
{
    const struct page p = {w, screen, now_ms, arena, out};
    if (!w->begun) {
        put_line(&p, TONE_FAINT, "waits for the controller");
        return;
    }
    put_line(&p, TONE_PLAIN, arena_printf(arena, "%s   run %s", watch_title(w, arena), w->run));
    put_line(&p, TONE_PLAIN, bar_text(&p));
    const char *left = watch_left_words(w, now_ms, arena);
    put_line(&p, TONE_PLAIN, left != NULL ? left : "");
    size_t rows = MAX(screen->rows, (size_t)ROWS_MIN) - FRAME_LINES;
    if (w->plan.phases.count > 0) {
        put_phases(&p, rows);
    }
    const char *waits = watch_waits_for(w, now_ms, arena);
    if (watch_rests(w)) { /* what to do must stand there, however long the reason is */
        buf_putc(out, '\n');
        put_line(&p, TONE_BAD, arena_printf(arena, "paused: %s", w->why != NULL ? w->why : ""));
        put_line(&p, TONE_PLAIN, arena_printf(arena, WATCH_ANSWER, w->run));
    } else if (waits != NULL) {
        buf_putc(out, '\n');
        put_line(&p, TONE_PLAIN, waits);
    }
}
