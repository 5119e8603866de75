/*
 * Owns goose's way from lines to statements, odd corners included: what goose would send is what is sent. Refuses what
 * goose refuses, and ENVSUB over a line with a $, since its meaning is in the environment of another program.
 *
 *               Up              StatementBegin
 *   START ───────────> UP ────────────────────────> UP_BODY
 *                      │ ▲                             │ StatementEnd
 *                      │ └── statement kept ── UP_ENDED ◄┘
 *                      │ Down (also from UP_ENDED)
 *                      ▼        StatementBegin
 *                     DOWN ───────────────────────> DOWN_BODY
 *                        ▲                             │ StatementEnd
 *                        └── statement kept ── DOWN_ENDED ◄┘
 *
 * In UP and DOWN a statement ends with a line whose last word before a comment ends in ";". Of the direction that is not
 * asked for everything is dropped line by line.
 */
#include "lib/migration/goose_parse.h"

#include <string.h>

#include "lib/migration/text.h"

enum state { START, UP, UP_BODY, UP_ENDED, DOWN, DOWN_BODY, DOWN_ENDED };

enum annotation {
    NO_ANNOTATION,
    ANNOTATION_UP,
    ANNOTATION_DOWN,
    STATEMENT_BEGIN,
    STATEMENT_END,
    NO_TRANSACTION,
    ENVSUB_ON,
    ENVSUB_OFF,
};

struct reader {
    struct arena *arena;
    bool down;
    enum state state;
    bool envsub;
    int line;
    struct buf statement;
    int statement_line; /* where its first word stands; 0: only blanks so far */
    size_t capacity;
    struct goose_script script;
};

static bool same_word(struct bytes text, const char *word)
{
    if (text.len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        int a = text.data[i];
        int b = (unsigned char)word[i];
        a = a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a;
        b = b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b;
        if (a != b) {
            return false;
        }
    }
    return true;
}

/* `line` without every "--" and without the first "+goose". */
static struct bytes bare_annotation(struct arena *arena, struct bytes line)
{
    struct buf bare;
    buf_init(&bare, arena, line.len + 1);
    bool marked = false;
    for (size_t i = 0; i < line.len;) {
        struct bytes rest = text_from(line, i);
        if (text_starts(rest, "--")) {
            i += strlen("--");
        } else if (!marked && text_starts(rest, "+goose")) {
            marked = true;
            i += strlen("+goose");
        } else {
            buf_putc(&bare, (char)line.data[i++]);
        }
    }
    return (struct bytes){(const uint8_t *)buf_text(&bare), bare.len};
}

static int read_annotation(struct reader *r, struct bytes line, enum annotation *ret,
                           struct error *e)
{
    static const char *const words[] = {
        [ANNOTATION_UP] = "Up",
        [ANNOTATION_DOWN] = "Down",
        [STATEMENT_BEGIN] = "StatementBegin",
        [STATEMENT_END] = "StatementEnd",
        [NO_TRANSACTION] = "NO TRANSACTION",
        [ENVSUB_ON] = "ENVSUB ON",
        [ENVSUB_OFF] = "ENVSUB OFF",
    };
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return error_set(e, E_INVALID, "line %d: a +goose annotation may not be indented", r->line);
    }
    struct bytes bare = bare_annotation(r->arena, line);
    if (text_find(bare, "+goose") < bare.len) {
        return error_set(e, E_INVALID, "line %d: +goose stands twice in one line", r->line);
    }
    bare = text_trim(bare);
    for (size_t i = ANNOTATION_UP; i < ARRAY_SIZE(words); i++) {
        if (same_word(bare, words[i])) {
            *ret = (enum annotation)i;
            return 0;
        }
    }
    return error_set(e, E_INVALID,
                     "line %d: goose knows no annotation \"%.*s\"; it knows Up, Down, "
                     "StatementBegin, StatementEnd, NO TRANSACTION, ENVSUB ON and ENVSUB OFF",
                     r->line, (int)MIN(bare.len, (size_t)40), (const char *)bare.data);
}

/* The one place where the state changes. */
static void set_state(struct reader *r, enum state to)
{
    static const unsigned may[] = {
        [START] = 1U << UP,
        [UP] = 1U << UP_BODY | 1U << DOWN,
        [UP_BODY] = 1U << UP_ENDED,
        [UP_ENDED] = 1U << UP | 1U << UP_BODY | 1U << DOWN,
        [DOWN] = 1U << DOWN_BODY,
        [DOWN_BODY] = 1U << DOWN_ENDED,
        [DOWN_ENDED] = 1U << DOWN | 1U << DOWN_BODY,
    };
    assert((may[r->state] & 1U << to) != 0);
    r->state = to;
}

static bool in_down(enum state state)
{
    return state == DOWN || state == DOWN_BODY || state == DOWN_ENDED;
}

static int refuse_leftover(const struct reader *r, struct error *e)
{
    return error_set(e, E_INVALID,
                     "line %d: this statement has no end: is its \";\" missing, or StatementBegin "
                     "and StatementEnd around it?",
                     r->statement_line);
}

static bool has_leftover(const struct reader *r)
{
    return r->statement_line > 0;
}

static int enter_up(struct reader *r, struct error *e)
{
    if (r->state != START) {
        return error_set(e, E_INVALID, "line %d: a second \"-- +goose Up\"", r->line);
    }
    set_state(r, UP);
    return 0;
}

static int enter_down(struct reader *r, struct error *e)
{
    if (r->state != UP && r->state != UP_ENDED) {
        return error_set(e, E_INVALID,
                         "line %d: \"-- +goose Down\" stands once, after \"-- +goose Up\" and not "
                         "between StatementBegin and StatementEnd",
                         r->line);
    }
    if (has_leftover(r)) {
        return refuse_leftover(r, e);
    }
    set_state(r, DOWN);
    r->script.has_down = true;
    return 0;
}

static int begin_body(struct reader *r, struct error *e)
{
    if (r->state == UP || r->state == UP_ENDED) {
        set_state(r, UP_BODY);
    } else if (r->state == DOWN || r->state == DOWN_ENDED) {
        set_state(r, DOWN_BODY);
    } else {
        return error_set(e, E_INVALID,
                         "line %d: \"-- +goose StatementBegin\" stands after Up or Down, and not "
                         "inside another one",
                         r->line);
    }
    return 0;
}

static int end_body(struct reader *r, struct error *e)
{
    if (r->state != UP_BODY && r->state != DOWN_BODY) {
        return error_set(e, E_INVALID,
                         "line %d: \"-- +goose StatementEnd\" without a StatementBegin before it",
                         r->line);
    }
    set_state(r, r->state == UP_BODY ? UP_ENDED : DOWN_ENDED);
    return 0;
}

static int see_annotation(struct reader *r, enum annotation annotation, struct error *e)
{
    switch (annotation) {
    case NO_ANNOTATION:
        break;
    case ANNOTATION_UP:
        return enter_up(r, e);
    case ANNOTATION_DOWN:
        return enter_down(r, e);
    case STATEMENT_BEGIN:
        return begin_body(r, e);
    case STATEMENT_END:
        return end_body(r, e);
    case NO_TRANSACTION:
        r->script.transactional = false;
        break;
    case ENVSUB_ON:
        r->envsub = true;
        break;
    case ENVSUB_OFF:
        r->envsub = false;
        break;
    }
    return 0;
}

/* Does the last word before a word that begins with "--" end in ";"? */
static bool ends_statement(struct bytes line)
{
    bool ends = false;
    while (line.len > 0) {
        size_t blank = text_blank(line);
        if (blank > 0) {
            line = text_from(line, blank);
            continue;
        }
        size_t len = 0;
        while (len < line.len && text_blank(text_from(line, len)) == 0) {
            len++;
        }
        if (text_starts(line, "--")) {
            break;
        }
        ends = line.data[len - 1] == ';';
        line = text_from(line, len);
    }
    return ends;
}

static void drop_statement(struct reader *r)
{
    r->statement.len = 0;
    r->statement_line = 0;
}

static void keep_statement(struct reader *r)
{
    struct bytes text =
        text_trim((struct bytes){(const uint8_t *)r->statement.data, r->statement.len});
    if (text.len > 0) {
        struct migration_pieces *p = &r->script.pieces;
        p->items = arena_grow(r->arena, p->items, p->count, &r->capacity, sizeof(*p->items));
        p->items[p->count++] =
            (struct migration_piece){arena_strndup(r->arena, (const char *)text.data, text.len),
                                     text.len, r->statement_line};
    }
    drop_statement(r);
}

static int append_line(struct reader *r, struct bytes line, struct error *e)
{
    if (r->envsub && text_find(line, "$") < line.len) {
        return error_set(e, E_INVALID,
                         "line %d: under ENVSUB ON goose puts variables of its own environment in "
                         "here, which nobody else can know: write the value, or turn ENVSUB off "
                         "before this line",
                         r->line);
    }
    if (r->statement_line == 0 && text_trim(line).len > 0) {
        r->statement_line = r->line;
    }
    buf_append(&r->statement, line.data, line.len);
    buf_putc(&r->statement, '\n');
    return 0;
}

static int see_line(struct reader *r, struct bytes line, struct error *e)
{
    struct bytes trimmed = text_trim(line);
    if (r->state == START && trimmed.len == 0) {
        return 0;
    }
    if (text_starts(trimmed, "--") && text_find(line, "+goose") < line.len) {
        enum annotation annotation = NO_ANNOTATION;
        int rc = read_annotation(r, line, &annotation, e);
        if (rc == 0) {
            rc = see_annotation(r, annotation, e);
        }
        if (rc < 0 || annotation != STATEMENT_END) {
            return rc;
        }
    }
    /* Comments and empty lines before a statement; also, in goose, a StatementEnd with nothing to end: the next line that
     * is neither takes its place and is lost. */
    if (r->statement.len == 0 && (line.len == 0 || text_starts(trimmed, "--"))) {
        return 0;
    }
    bool ended = r->state == UP_ENDED || r->state == DOWN_ENDED;
    int rc = ended ? 0 : append_line(r, line, e);
    if (rc < 0) {
        return rc;
    }
    if (r->state == START) {
        return error_set(e, E_INVALID, "line %d: only comments may stand before \"-- +goose Up\"",
                         r->line);
    }
    if (in_down(r->state) != r->down) {
        drop_statement(r);
    } else if (ended) {
        keep_statement(r);
        set_state(r, in_down(r->state) ? DOWN : UP);
    } else if ((r->state == UP || r->state == DOWN) && ends_statement(line)) {
        keep_statement(r);
    }
    return 0;
}

static int see_end(const struct reader *r, struct error *e)
{
    if (r->state == START) {
        return error_set(e, E_INVALID, "there is no \"-- +goose Up\" in it");
    }
    if (r->state == UP_BODY || r->state == DOWN_BODY) {
        return error_set(e, E_INVALID, "the last \"-- +goose StatementBegin\" has no StatementEnd");
    }
    return has_leftover(r) ? refuse_leftover(r, e) : 0;
}

int goose_parse(struct arena *arena, struct bytes text, bool down, struct goose_script *ret,
                struct error *e)
{
    struct reader r = {.arena = arena, .down = down, .script.transactional = true};
    buf_init(&r.statement, arena, text.len + 2);
    for (size_t at = 0; at < text.len;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - text.data) - at : text.len - at;
        r.line++;
        if (len >= GOOSE_LINE_BYTES_MAX) {
            return error_set(e, E_INVALID, "line %d has %zu bytes; goose reads lines below %zu",
                             r.line, len, GOOSE_LINE_BYTES_MAX);
        }
        struct bytes line = {text.data + at, len};
        line.len -= text_ends(line, "\r") ? 1 : 0;
        int rc = see_line(&r, line, e);
        if (rc < 0) {
            return rc;
        }
        at += len + 1;
    }
    int rc = see_end(&r, e);
    if (rc < 0) {
        return rc;
    }
    assert(!r.statement.overflow);
    *ret = r.script;
    return 0;
}
