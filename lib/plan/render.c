/* Owns how a plan reads: one line for each thing that happens, in its order, with what it costs. Refuses nothing. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/durations.h"
#include "lib/plan/plan.h"

#define RENDER_BYTES_MAX (16 * 1024 * 1024)
#define LABEL_COLUMNS    9
#define SCOPE_COLUMNS    7
#define WHAT_COLUMNS     44
#define NODES_COLUMNS    20
#define DETAIL_COLUMNS   (LABEL_COLUMNS + SCOPE_COLUMNS + 2) /* details on lines of their own */
#define NAMES_MAX        4                                   /* more nodes than that are counted */

struct page {
    struct arena *arena;
    struct buf *out;
    const struct plan *plan;
    const struct known_durations *known; /* NULL: nothing */
    size_t width;
};

/* How many columns a UTF-8 text takes; all that we print is one column wide. */
static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return n;
}

static void pad(struct buf *b, const char *text, size_t width)
{
    buf_puts(b, text);
    size_t n = columns(text);
    do {
        buf_putc(b, ' ');
        n++;
    } while (n < width);
}

static void end_line(struct buf *line, struct buf *out)
{
    while (line->len > 0 && line->data[line->len - 1] == ' ') {
        line->data[--line->len] = '\0';
    }
    buf_puts(out, buf_text(line));
    buf_putc(out, '\n');
}

/* "app-1 app-2" or "app-1 … app-40 (40 nodes)". */
static const char *node_words(const struct page *p, const struct plan_phase *phase)
{
    const struct plan_node_set *set =
        LIST_AT(&p->plan->node_sets, struct plan_node_set, phase->node_set);
    struct buf b;
    buf_init(&b, p->arena, LIMIT_TEXT_BYTES);
    if (set->nodes.count > NAMES_MAX) {
        buf_printf(&b, "%s … %s (%zu nodes)", set->nodes.items[0],
                   set->nodes.items[set->nodes.count - 1], set->nodes.count);
    } else {
        for (size_t i = 0; i < set->nodes.count; i++) {
            buf_printf(&b, "%s%s", i > 0 ? " " : "", set->nodes.items[i]);
        }
    }
    if (phase->parallel > 0) {
        buf_printf(&b, ", %lld at a time", (long long)phase->parallel);
    }
    return buf_text(&b);
}

/* On lines of their own: whole items of the list; whole words of one that is wider than a line. */
static void wrapped(const struct page *p, const char *text)
{
    size_t indent = DETAIL_COLUMNS;
    struct buf line;
    buf_init(&line, p->arena, RENDER_BYTES_MAX);
    size_t used = 0; /* columns behind the indentation */
    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        const char *comma = strstr(text + blanks, ", ");
        size_t len = comma != NULL ? (size_t)(comma - text) - blanks + 1 : strlen(text + blanks);
        const char *word = arena_strndup(p->arena, text + blanks, len);
        if (indent + columns(word) > p->width) {
            len = strcspn(text + blanks, " ");
            word = arena_strndup(p->arena, text + blanks, len);
        }
        if (used > 0 && indent + used + blanks + columns(word) > p->width) {
            end_line(&line, p->out);
            buf_init(&line, p->arena, RENDER_BYTES_MAX);
            indent = DETAIL_COLUMNS + 2;
            used = 0;
        }
        size_t gap = used == 0 ? indent : blanks;
        for (size_t i = 0; i < gap; i++) {
            buf_putc(&line, ' ');
        }
        buf_puts(&line, word);
        used += (used == 0 ? 0 : blanks) + columns(word);
        text += blanks + len;
    }
    end_line(&line, p->out);
}

/* One row; the details go to a line of their own when they do not fit the width. */
static void row(const struct page *p, const char *label, const char *scope, const char *what,
                const char *nodes, const char *details)
{
    struct buf line;
    buf_init(&line, p->arena, RENDER_BYTES_MAX);
    pad(&line, label, LABEL_COLUMNS);
    pad(&line, scope, SCOPE_COLUMNS);
    pad(&line, what, WHAT_COLUMNS);
    if (nodes[0] != '\0') {
        pad(&line, nodes, details[0] != '\0' ? NODES_COLUMNS : 0);
    }
    if (details[0] != '\0' && p->width > 0 &&
        columns(buf_text(&line)) + columns(details) > p->width) {
        end_line(&line, p->out);
        wrapped(p, details);
        return;
    }
    buf_puts(&line, details);
    end_line(&line, p->out);
}

static const char *step_words(const struct page *p, const struct plan_step *step)
{
    return step->title == NULL ? step->name
                               : arena_printf(p->arena, "%s %s", step->name, step->title);
}

static void add_detail(struct buf *b, const char *text)
{
    if (text != NULL && strstr(buf_text(b), text) == NULL) {
        buf_printf(b, "%s%s", b->len > 0 ? ", " : "", text);
    }
}

static const char *lossy_words(const struct page *p, const struct plan_step *step, bool no_return)
{
    return arena_printf(p->arena, "! %s%s", step->lossy,
                        no_return ? ": POINT OF NO RETURN (then: restore)" : "");
}

static void render_nodes(const struct page *p, const char *label, const struct plan_phase *phase)
{
    struct buf what;
    struct buf details;
    buf_init(&what, p->arena, RENDER_BYTES_MAX);
    buf_init(&details, p->arena, RENDER_BYTES_MAX);
    const char *last = NULL;
    bool told = false;
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, i);
        if (step->lossy != NULL) {
            add_detail(&details, lossy_words(p, step, phase->no_return && !told));
            told = true;
        }
        /* An extra step is several actions under one name; a release after a release needs no verb. */
        if (step->why != NULL && str_equal(last, step->name)) {
            continue;
        }
        if (step->why == NULL && str_equal(last, step->name) && step->title != NULL) {
            buf_printf(&what, " %s", step->title);
        } else {
            buf_printf(&what, "%s%s", what.len > 0 ? ", " : "",
                       step->why != NULL ? step->name : step_words(p, step));
        }
        last = step->name;
        add_detail(&details, step->detail);
        if (step->why != NULL && !str_equal(step->why, PLAN_ALWAYS)) {
            add_detail(&details, arena_printf(p->arena, "%s: %s", step->name, step->why));
        }
    }
    const struct plan_node_set *set =
        LIST_AT(&p->plan->node_sets, struct plan_node_set, phase->node_set);
    bool all =
        phase->takes_down && phase->parallel == 0 && set->nodes.count == p->plan->nodes.count;
    row(p, label, all ? "all" : "each", buf_text(&what), node_words(p, phase), buf_text(&details));
}

#define LOCKS_SHOWN 5

static void below(const struct page *p, const char *text)
{
    if (p->width > 0) {
        wrapped(p, text);
        return;
    }
    buf_printf(p->out, "%*s%s\n", DETAIL_COLUMNS, "", text);
}

/* What the step locks, on lines of its own, and what its way back would lose. */
static void render_sql(const struct page *p, const struct plan_step *step)
{
    for (size_t i = 0; i < step->locks.count && i < LOCKS_SHOWN; i++) {
        const struct plan_lock *lock = LIST_AT(&step->locks, const struct plan_lock, i);
        below(p,
              arena_printf(
                  p->arena, "%s on %s%s%s%s", lock->mode, lock->object,
                  lock->bytes > 0
                      ? arena_printf(p->arena, " (%s)", str_bytes(p->arena, (uint64_t)lock->bytes))
                      : "",
                  lock->rewrites ? ", rewrites it" : "",
                  lock->migration != NULL ? arena_printf(p->arena, ": %s", lock->migration) : ""));
    }
    if (step->locks.count > LOCKS_SHOWN) {
        below(p, arena_printf(p->arena, "locks on %zu more", step->locks.count - LOCKS_SHOWN));
    }
    if (step->back != NULL) {
        below(p, arena_printf(p->arena, "back: %s", step->back));
    }
}

/* "about 3.0 s", "about 3.0 s for 2 of 3"; NULL: nothing is known of them. */
static const char *time_words(const struct page *p, const struct duration_sum *sum)
{
    if (sum->known == 0) {
        return NULL;
    }
    const char *about = arena_printf(p->arena, "about %s", str_duration(p->arena, sum->ms));
    return sum->known == sum->all
               ? about
               : arena_printf(p->arena, "%s for %zu of %zu", about, sum->known, sum->all);
}

/* "service down about 2 min"; what is not known of it makes it longer. */
static void render_down(const struct page *p, const struct duration_sum *down)
{
    if (down->known > 0) {
        buf_printf(p->out, ", service down %s %s", down->known == down->all ? "about" : "at least",
                   str_duration(p->arena, down->ms));
    }
}

/* In the first line. What nothing is known of is said, and never guessed. */
static void render_times(const struct page *p)
{
    if (p->known == NULL || p->known->count == 0) {
        return;
    }
    const struct forecast *f = forecast_new(p->arena, p->known, p->plan);
    struct duration_sum migrations = forecast_migrations(f);
    struct duration_sum rest = forecast_rest(f);
    struct duration_sum down = forecast_down(f);
    const char *source =
        p->known->source != NULL ? arena_printf(p->arena, " (%s)", p->known->source) : "";
    bool unmeasured = migrations.known == 0 && migrations.all > 0;
    if (rest.known > 0) {
        struct duration_sum all = {migrations.ms + rest.ms, migrations.known + rest.known,
                                   migrations.all + rest.all};
        buf_printf(p->out, ", %s%s", time_words(p, &all), all.known < all.all ? " steps" : "");
        render_down(p, &down);
        buf_puts(p->out, source);
    } else if (migrations.known > 0) {
        buf_printf(p->out, ", migrations %s%s", time_words(p, &migrations), source);
    }
    if (unmeasured) {
        buf_puts(p->out, ", nobody knows how long its migrations take");
    }
}

static void render_once(const struct page *p, const char *label, size_t at)
{
    const struct plan_phase *phase = plan_phase_at(p->plan, at);
    bool told = false;
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, i);
        struct buf details;
        buf_init(&details, p->arena, RENDER_BYTES_MAX);
        add_detail(&details, step->detail);
        add_detail(&details, str_equal(step->why, PLAN_ALWAYS) ? NULL : step->why);
        if (p->known != NULL) {
            struct duration_sum sum = durations_of_step(p->known, p->plan, at, i, step->on);
            add_detail(&details, time_words(p, &sum));
        }
        if (step->lossy != NULL) {
            bool here = phase->no_return && !told;
            told = told || here;
            buf_printf(&details, "%s%s", details.len > 0 ? "   " : "", lossy_words(p, step, here));
        }
        const char *place =
            str_equal(step->on, PLAN_CONTROLLER) ? "" : arena_printf(p->arena, "on %s", step->on);
        row(p, i == 0 ? label : "", "once", step_words(p, step), place, buf_text(&details));
        render_sql(p, step);
    }
}

static void render_hop_line(const struct page *p, int64_t index)
{
    const struct plan_hop *hop = LIST_AT(&p->plan->hops, struct plan_hop, index);
    const char *label = arena_printf(p->arena, "hop %lld", (long long)index + 1);
    struct buf line;
    buf_init(&line, p->arena, LIMIT_TEXT_BYTES);
    pad(&line, label, LABEL_COLUMNS);
    const char *from = hop->from != NULL ? hop->from : "nothing";
    const char *words = str_equal(from, hop->to)
                            ? arena_printf(p->arena, "%s, as it should be", hop->to)
                            : arena_printf(p->arena, "%s -> %s", from, hop->to);
    pad(&line, words, SCOPE_COLUMNS + WHAT_COLUMNS);
    if (!hop->started) {
        buf_printf(&line, "(%s is migrated through, not started)", hop->to);
    }
    end_line(&line, p->out);
}

/* "gate canary: 2 approvals" before the phase, and when it may begin. */
static void render_halts(const struct page *p, size_t phase)
{
    const struct plan *plan = p->plan;
    for (size_t i = 0; i < plan->gates.count; i++) {
        const struct plan_gate *gate = LIST_AT(&plan->gates, const struct plan_gate, i);
        if (gate->phase == (int64_t)phase) {
            row(p, "", "wait", arena_printf(p->arena, "gate %s", gate->name),
                arena_printf(p->arena, "%lld approval%s", (long long)gate->approvers,
                             gate->approvers == 1 ? "" : "s"),
                "");
        }
    }
    if (plan->windows.count > 0 && plan_phase_at(plan, phase)->rests) {
        const struct window_spec *w = LIST_AT(&plan->windows, const struct window_spec, 0);
        const char *days =
            w->days.count == 0 ? "every day" : str_join(p->arena, w->days.items, w->days.count);
        row(p, "", "wait", "window",
            arena_printf(p->arena, "%s %s-%s %s%s", days, w->from, w->to, w->timezone,
                         plan->windows.count > 1 ? " …" : ""),
            "");
    }
}

static void render_phases(const struct page *p)
{
    const struct plan *plan = p->plan;
    int64_t hop = -2;
    for (size_t i = 0; i < plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(plan, i);
        const char *label = "";
        if (phase->hop != hop) {
            hop = phase->hop;
            bool inside = hop >= 0 && hop < (int64_t)plan->hops.count;
            if (inside) {
                render_hop_line(p, hop);
            } else {
                label = hop < 0 ? "before" : "after";
            }
        }
        render_halts(p, i);
        if (phase->scope == PHASE_NODES) {
            render_nodes(p, label, phase);
        } else {
            render_once(p, label, i);
        }
    }
}

static void sentences(const struct page *p, const char *label, const struct strings *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct buf line;
        buf_init(&line, p->arena, RENDER_BYTES_MAX);
        pad(&line, i == 0 ? label : "", LABEL_COLUMNS + 1);
        buf_puts(&line, texts->items[i]);
        end_line(&line, p->out);
    }
}

static void render_end(const struct page *p)
{
    const struct plan *plan = p->plan;
    struct strings left = {ARENA_ARRAY(p->arena, plan->left_out.count, const char *),
                           plan->left_out.count};
    for (size_t i = 0; i < left.count; i++) {
        const struct plan_left_out *out = LIST_AT(&plan->left_out, struct plan_left_out, i);
        left.items[i] = arena_printf(p->arena, "%s (%s)", out->name, out->why);
    }
    sentences(p, "left out:", &left);
    sentences(p, "proved:", &plan->proved);
    sentences(p, "warning:", &plan->warnings);
    sentences(p, "to read:", &plan->notes);
}

void plan_render(const struct plan *plan, const char *id, int width,
                 const struct known_durations *known, struct arena *arena, struct buf *out)
{
    static const char *const directions[] = {"no way to go", "up", "down"};
    static const char *const strategies[] = {"all-at-once", "rolling"};
    struct page p = {arena, out, plan, known, width > 0 ? (size_t)width : 0};
    buf_printf(out, "Plan %.8s   %s: %s ", id, plan->cluster, plan->application);
    if (plan_is_empty(plan)) {
        buf_printf(out, "%s   nothing to do\n", plan->to);
        sentences(&p, "warning:", &plan->warnings);
        return;
    }
    if (str_equal(plan->from, plan->to)) {
        buf_printf(out, "%s   %s", plan->to, "put right");
    } else {
        buf_printf(out, "%s -> %s   %s", plan->from != NULL ? plan->from : "nothing", plan->to,
                   plan->from != NULL ? directions[plan->direction] : "first installation");
    }
    static const char *const parts[] = {"", ", only staged", ", what was staged taken off"};
    buf_printf(out, ", %zu hop%s, %s%s", plan->hops.count, plan->hops.count == 1 ? "" : "s",
               strategies[plan->strategy], parts[plan->part]);
    render_times(&p);
    buf_puts(out, "\n\n");
    render_phases(&p);
    render_end(&p);
}
