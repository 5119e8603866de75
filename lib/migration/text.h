/* Lines and blanks as the tools see them, which are written in Go: white space is Unicode's. */
#ifndef LOCKSTEP_MIGRATION_TEXT_H
#define LOCKSTEP_MIGRATION_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

/* The bytes of the blank at the start of `text`; 0: none stands there. */
size_t text_blank(struct bytes text);
/* Without the blanks at both ends. */
struct bytes text_trim(struct bytes text);
bool text_starts(struct bytes text, const char *prefix);
bool text_ends(struct bytes text, const char *suffix);
/* Where `word` begins in `text`; text.len: nowhere. */
size_t text_find(struct bytes text, const char *word);
/* The text from `from` on. */
struct bytes text_from(struct bytes text, size_t from);
/* The number of the line, from 1, that offset `at` is in. */
int text_line(struct bytes text, size_t at);

#endif
