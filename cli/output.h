/*
 * How `lockstep` speaks: answers on standard output, everything else on standard error. Owns tables,
 * JSON, errors and what is known of the terminal.
 */
#ifndef LOCKSTEP_CLI_OUTPUT_H
#define LOCKSTEP_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/util.h"

/* "lockstep: …" on standard error. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
void say_error(const struct error *e);
/* `file:line:column: message`, one a line, on standard error. */
void say_complaints(const struct complaint *items, size_t count);

/* Writes a file that was named with --output, in one step. */
int write_output(const char *path, const void *data, size_t len, struct error *e);
/* Prints one JSON value and a newline on standard output, keys in the order they were set; takes it. */
void print_json(json_t *json);
/* {error: {code, message}} of the first complaint, unless a JSON document was printed already. */
void print_refusal(void);
/* A text that may be NULL or not UTF-8: never fails. */
json_t *json_text(const char *text);

/* Columns of a UTF-8 text. */
size_t text_columns(const char *text);
/* Appends the text and blanks up to `columns`; at least one blank. */
void put_padded(struct buf *b, const char *text, size_t columns);
/* `text` in lines of whole words, `right` columns at most, each behind `left` columns; the first line's hold `label`. */
void put_wrapped(struct buf *b, const char *label, size_t left, const char *text, size_t right);
/* The first `columns` columns of the text, with an ellipsis in the last when something was left out. */
const char *text_cut(struct arena *arena, const char *text, size_t columns);

/* A table of texts: rows of cells, columns as wide as their widest cell. */
#define TABLE_COLUMNS_MAX 12
struct table {
    struct arena *arena; /* borrowed */
    size_t columns;
    struct table_row {
        const char *cells[TABLE_COLUMNS_MAX];
    } * rows;
    size_t count, capacity;
};
void table_init(struct table *t, struct arena *arena, size_t columns);
/* As many texts as the table has columns; NULL is "". They are borrowed. */
void table_add(struct table *t, const char *const *cells);
#define TABLE_ADD(t, ...) table_add((t), (const char *const[]){__VA_ARGS__})
void table_put(const struct table *t, const char *indent, struct buf *out);
void table_print(const struct table *t);

/* "2026-03-02 14:05:09" of Unix milliseconds in local time; "-" for 0. */
const char *time_text(struct arena *arena, int64_t ms);
/* The first letters of a digest, as people quote it. */
const char *digest_short(struct arena *arena, const char *digest);

bool is_terminal(FILE *stream);
/* Of standard output; `fallback` when it is none. */
int terminal_columns(int fallback);
int terminal_rows(int fallback);

#endif
