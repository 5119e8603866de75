/* Owns the comparison of two texts. It refuses to search for more than DIFF_EDITS_MAX edits. */
#include "cli/diff.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/util.h"

#define CONTEXT_LINES 3

struct line {
    const char *text; /* borrowed */
    size_t len;       /* without the newline */
    bool ended;       /* a newline followed */
};

struct lines {
    struct line *items;
    size_t count;
};

enum edit { EDIT_KEEP, EDIT_DELETE, EDIT_INSERT };

/* The script: for every line of both texts, in order, what happens to it. */
struct script {
    enum edit *edits;
    size_t count;
};

static struct lines split(struct arena *arena, const char *text)
{
    size_t most = 1;
    for (const char *p = text; *p != '\0'; p++) {
        most += *p == '\n' ? 1 : 0;
    }
    struct lines lines = {.items = ARENA_ARRAY(arena, most, struct line)};
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        bool ended = text[len] == '\n';
        lines.items[lines.count++] = (struct line){text, len, ended};
        text += len + (ended ? 1 : 0);
    }
    return lines;
}

static bool same(const struct line *a, const struct line *b)
{
    return a->len == b->len && a->ended == b->ended && memcmp(a->text, b->text, a->len) == 0;
}

/* ---- Myers ---- */

/* Diagonals -d..d of a round, the furthest x on each; k is diagonal + d. */
struct search {
    const struct line *a, *b;
    size_t a_count, b_count;
    size_t **rounds; /* what each round ended with, for the way back */
};

static size_t follow(const struct search *s, size_t x, size_t y)
{
    while (x < s->a_count && y < s->b_count && same(&s->a[x], &s->b[y])) {
        x++;
        y++;
    }
    return x;
}

/* Whether diagonal k of round d is reached by an insertion (from k + 1) rather than a deletion. */
static bool goes_down(const size_t *last, long d, long k)
{
    return k == -d || (k != d && last[k - 1 + d - 1] < last[k + 1 + d - 1]);
}

/* How many edits; -1: more than allowed. */
static long search(struct arena *arena, struct search *s)
{
    long most = (long)MIN(s->a_count + s->b_count, (size_t)DIFF_EDITS_MAX);
    s->rounds = ARENA_ARRAY(arena, (size_t)most + 1, size_t *);
    for (long d = 0; d <= most; d++) {
        size_t *now = ARENA_ARRAY(arena, (size_t)(2 * d + 1), size_t);
        s->rounds[d] = now;
        for (long k = -d; k <= d; k += 2) {
            size_t x = 0;
            if (d > 0) {
                const size_t *last = s->rounds[d - 1];
                x = goes_down(last, d, k) ? last[k + 1 + d - 1] : last[k - 1 + d - 1] + 1;
            }
            long y = (long)x - k;
            /* Past an edge of the square: the diagonal ends there. */
            if (x > s->a_count || y < 0 || (size_t)y > s->b_count) {
                now[k + d] = x;
                continue;
            }
            x = follow(s, x, (size_t)y);
            now[k + d] = x;
            if (x >= s->a_count && x - (size_t)k >= s->b_count) {
                return d;
            }
        }
    }
    return -1;
}

/* Writes the script of the searched part backwards from the end. */
static void walk_back(const struct search *s, long d, enum edit *end)
{
    size_t x = s->a_count;
    size_t y = s->b_count;
    for (; d > 0; d--) {
        long k = (long)x - (long)y;
        const size_t *last = s->rounds[d - 1];
        bool down = goes_down(last, d, k);
        long from = down ? k + 1 : k - 1;
        size_t from_x = last[from + d - 1];
        size_t from_y = (size_t)((long)from_x - from);
        while (x > from_x + (down ? 0 : 1) && y > from_y + (down ? 1 : 0)) {
            *--end = EDIT_KEEP;
            x--;
            y--;
        }
        *--end = down ? EDIT_INSERT : EDIT_DELETE;
        x = from_x;
        y = from_y;
    }
    for (; x > 0; x--) {
        *--end = EDIT_KEEP;
    }
}

static struct script compare(struct arena *arena, const struct lines *a, const struct lines *b)
{
    size_t head = 0;
    size_t tail = 0;
    size_t least = MIN(a->count, b->count);
    while (head < least && same(&a->items[head], &b->items[head])) {
        head++;
    }
    while (tail < least - head &&
           same(&a->items[a->count - 1 - tail], &b->items[b->count - 1 - tail])) {
        tail++;
    }
    struct search s = {.a = a->items + head,
                       .b = b->items + head,
                       .a_count = a->count - head - tail,
                       .b_count = b->count - head - tail};
    struct script script = {.edits = ARENA_ARRAY(arena, a->count + b->count + 1, enum edit)};
    long d = search(arena, &s);
    size_t kept = d < 0 ? 0 : (s.a_count + s.b_count - (size_t)d) / 2;
    size_t middle = s.a_count + s.b_count - kept;
    if (d < 0) {
        for (size_t i = 0; i < middle; i++) {
            script.edits[head + i] = i < s.a_count ? EDIT_DELETE : EDIT_INSERT;
        }
    } else {
        walk_back(&s, d, script.edits + head + middle);
    }
    script.count = head + middle + tail; /* head and tail are zero: EDIT_KEEP */
    return script;
}

/* ---- printing ---- */

static void put_line(struct buf *out, char mark, const struct line *line)
{
    buf_putc(out, mark);
    buf_append(out, line->text, line->len);
    buf_puts(out, line->ended ? "\n" : "\n\\ No newline at end of file\n");
}

static void put_range(struct buf *out, char mark, size_t first, size_t count)
{
    if (count == 1) {
        buf_printf(out, "%c%zu", mark, first + 1);
    } else {
        buf_printf(out, "%c%zu,%zu", mark, count > 0 ? first + 1 : first, count);
    }
}

/* The end of a hunk that starts with a change at `i`: after it come more than twice the context of kept lines. */
static size_t hunk_end(const struct script *s, size_t i)
{
    size_t end = i;
    for (size_t kept = 0; i < s->count && kept <= 2 * CONTEXT_LINES; i++) {
        kept = s->edits[i] == EDIT_KEEP ? kept + 1 : 0;
        end = s->edits[i] == EDIT_KEEP ? end : i + 1;
    }
    return MIN(end + CONTEXT_LINES, s->count);
}

static void put_hunk(struct buf *out, const struct script *s, size_t first, size_t end,
                     const struct line *a, size_t a_first, const struct line *b, size_t b_first)
{
    size_t a_count = 0;
    size_t b_count = 0;
    for (size_t i = first; i < end; i++) {
        a_count += s->edits[i] != EDIT_INSERT ? 1 : 0;
        b_count += s->edits[i] != EDIT_DELETE ? 1 : 0;
    }
    buf_puts(out, "@@ ");
    put_range(out, '-', a_first, a_count);
    buf_putc(out, ' ');
    put_range(out, '+', b_first, b_count);
    buf_puts(out, " @@\n");
    for (size_t i = first; i < end; i++) {
        switch (s->edits[i]) {
        case EDIT_KEEP:
            put_line(out, ' ', &a[a_first++]);
            b_first++;
            break;
        case EDIT_DELETE:
            put_line(out, '-', &a[a_first++]);
            break;
        case EDIT_INSERT:
            put_line(out, '+', &b[b_first++]);
            break;
        }
    }
}

void diff_unified(struct arena *arena, const char *from, const char *to,
                  const struct diff_options *options, struct buf *out)
{
    struct lines a = split(arena, from);
    struct lines b = split(arena, to);
    struct script s = compare(arena, &a, &b);
    size_t a_at = 0; /* lines before edit i */
    size_t b_at = 0;
    size_t shown = 0; /* edits before this one are in a hunk */
    bool head = false;
    for (size_t i = 0; i < s.count;) {
        if (s.edits[i] == EDIT_KEEP) {
            a_at++;
            b_at++;
            i++;
            continue;
        }
        if (!head) {
            buf_printf(out, "--- %s\n+++ %s\n", options->from_name, options->to_name);
            head = true;
        }
        size_t before = MIN((size_t)CONTEXT_LINES, i - shown);
        size_t end = hunk_end(&s, i);
        put_hunk(out, &s, i - before, end, a.items, a_at - before, b.items, b_at - before);
        for (; i < end; i++) {
            a_at += s.edits[i] != EDIT_INSERT ? 1 : 0;
            b_at += s.edits[i] != EDIT_DELETE ? 1 : 0;
        }
        shown = end;
    }
}
