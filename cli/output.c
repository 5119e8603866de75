/* Owns the forms in which the command speaks. It refuses nothing. */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define OUTPUT_BYTES_MAX    ((size_t)64 * 1024 * 1024)
#define DIGEST_SHOWN        12
#define TERMINAL_ROWS_MAX   1000
#define TERMINAL_COLUMN_MAX 1000

/* What this process has answered: one document is promised with --json, also where the call is refused. */
static struct {
    bool json;
    char first[sizeof(((struct error *)0)->message)]; /* the first complaint */
    int code;
} answered;

void say(const char *fmt, ...)
{
    char first[sizeof(answered.first)];
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    vsnprintf(first, sizeof(first), fmt, again);
    va_end(again);
    if (answered.first[0] == '\0') {
        memcpy(answered.first, first, sizeof(first));
    }
    fputs("lockstep: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

void say_error(const struct error *e)
{
    answered.code = answered.code == 0 ? e->code : answered.code;
    say("%s", e->message);
}

void print_refusal(void)
{
    if (!answered.json) {
        print_json(json_pack("{s:{s:s, s:o}}", "error", "code",
                             error_name(answered.code != 0 ? answered.code : E_INVALID), "message",
                             json_text(answered.first)));
    }
}

void say_complaints(const struct complaint *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct complaint *c = &items[i];
        if (str_empty(c->file)) {
            say("%s", c->message);
        } else if (c->line == 0) {
            fprintf(stderr, "%s: %s\n", c->file, c->message);
        } else {
            fprintf(stderr, "%s:%d:%d: %s\n", c->file, c->line, c->column, c->message);
        }
    }
}

int write_output(const char *path, const void *data, size_t len, struct error *e)
{
    char target[LIMIT_PATH_BYTES];
    int r = file_target(path, target, e);
    return r < 0 ? r : file_write(target, data, len, 0644, e);
}

void print_json(json_t *json)
{
    answered.json = true;
    json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', stdout);
    json_decref(json);
}

json_t *json_text(const char *text)
{
    text = text != NULL ? text : "";
    json_t *json = json_string(text);
    if (json != NULL) {
        return json;
    }
    /* Not UTF-8: every byte as the character of that number. */
    size_t len = strlen(text);
    char *wide = calloc(len + 1, 2);
    assert(wide != NULL);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x80) {
            wide[n++] = (char)(0xc0 | (byte >> 6));
            byte = 0x80 | (byte & 0x3f);
        }
        wide[n++] = (char)byte;
    }
    json = json_stringn(wide, n);
    free(wide);
    return json;
}

/* ---- columns ---- */

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

size_t text_columns(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += starts_character(*text) ? 1 : 0;
    }
    return n;
}

void put_padded(struct buf *b, const char *text, size_t columns)
{
    buf_puts(b, text);
    size_t n = text_columns(text);
    do {
        buf_putc(b, ' ');
        n++;
    } while (n < columns);
}

void put_wrapped(struct buf *b, const char *label, size_t left, const char *text, size_t right)
{
    size_t used = 0;
    if (left > 0) {
        put_padded(b, label, left);
    }
    while (*text != '\0') {
        size_t len = strcspn(text, " \n");
        const char *word = arena_strndup(b->arena, text, len);
        if (used > 0 && used + 1 + text_columns(word) > right) {
            buf_putc(b, '\n');
            buf_printf(b, "%*s", (int)left, "");
            used = 0;
        }
        buf_printf(b, "%s%s", used > 0 ? " " : "", word);
        used += (used > 0 ? 1 : 0) + text_columns(word);
        text += len + strspn(text + len, " \n");
    }
    buf_putc(b, '\n');
}

const char *text_cut(struct arena *arena, const char *text, size_t columns)
{
    if (text_columns(text) <= columns) {
        return text;
    }
    size_t n = 0;
    const char *end = text;
    while (*end != '\0' && columns > 0) {
        if (starts_character(*end) && ++n == columns) {
            break;
        }
        end++;
    }
    return arena_printf(arena, "%.*s%s", (int)(end - text), text, columns > 0 ? "…" : "");
}

/* ---- tables ---- */

void table_init(struct table *t, struct arena *arena, size_t columns)
{
    assert(columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.arena = arena, .columns = columns};
}

void table_add(struct table *t, const char *const *cells)
{
    t->rows = arena_grow(t->arena, t->rows, t->count, &t->capacity, sizeof(*t->rows));
    for (size_t i = 0; i < t->columns; i++) {
        t->rows[t->count].cells[i] = cells[i] != NULL ? cells[i] : "";
    }
    t->count++;
}

void table_put(const struct table *t, const char *indent, struct buf *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t r = 0; r < t->count; r++) {
        for (size_t i = 0; i < t->columns; i++) {
            widths[i] = MAX(widths[i], text_columns(t->rows[r].cells[i]));
        }
    }
    for (size_t r = 0; r < t->count; r++) {
        size_t last = t->columns;
        while (last > 0 && t->rows[r].cells[last - 1][0] == '\0') {
            last--;
        }
        buf_puts(out, indent);
        for (size_t i = 0; i < last; i++) {
            if (i + 1 == last) {
                buf_puts(out, t->rows[r].cells[i]);
            } else {
                put_padded(out, t->rows[r].cells[i], widths[i] + 2);
            }
        }
        buf_putc(out, '\n');
    }
}

void table_print(const struct table *t)
{
    struct buf out;
    buf_init(&out, t->arena, OUTPUT_BYTES_MAX);
    table_put(t, "", &out);
    fputs(buf_text(&out), stdout);
}

/* ---- values ---- */

const char *time_text(struct arena *arena, int64_t ms)
{
    if (ms <= 0) {
        return "-";
    }
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    if (localtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        return "-";
    }
    return arena_strdup(arena, text);
}

const char *digest_short(struct arena *arena, const char *digest)
{
    return arena_printf(arena, "%.*s", DIGEST_SHOWN, digest);
}

/* ---- the terminal ---- */

bool is_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) == 1 && term != NULL && !str_equal(term, "dumb") &&
           term[0] != '\0';
}

static bool window(struct winsize *ret)
{
    return isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, ret) == 0;
}

int terminal_columns(int fallback)
{
    struct winsize size;
    return window(&size) && size.ws_col > 0 ? MIN(size.ws_col, TERMINAL_COLUMN_MAX) : fallback;
}

int terminal_rows(int fallback)
{
    struct winsize size;
    return window(&size) && size.ws_row > 0 ? MIN(size.ws_row, TERMINAL_ROWS_MAX) : fallback;
}
