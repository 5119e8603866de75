/*
 * SQL as words: just enough to step over comments, strings and quoted bodies. Not a parser: it never says that a
 * text is right. PostgreSQL's lexical rules (https://www.postgresql.org/docs/15/sql-syntax-lexical.html), plus
 * backquoted names; or MariaDB's (https://mariadb.com/kb/en/comment-syntax/, /string-literals/).
 */
#ifndef LOCKSTEP_MIGRATION_SQL_H
#define LOCKSTEP_MIGRATION_SQL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

enum sql_token_kind {
    SQL_END,
    SQL_WORD,   /* a keyword or a name; also a quoted name, without its quotes */
    SQL_TEXT,   /* a string */
    SQL_DOLLAR, /* a dollar-quoted body; `text` is what is between the quotes */
    SQL_SIGN,   /* any other byte: ; ( ) , . … */
};

struct sql_token {
    enum sql_token_kind kind;
    struct bytes text;
    bool quoted; /* SQL_WORD: was in quotes, so it is never a keyword */
};

struct sql_reader {
    struct bytes sql;
    size_t at;
    bool
        mariadb; /* backslashes escape, "…" is a string, # is a comment, comments do not nest, nothing stands in $$; what
                     is in an executable comment is text as any other */
};

/* The next token; blanks and comments (nested ones too) are stepped over. An unterminated quote or comment goes to
 * the end of the text. */
struct sql_token sql_next(struct sql_reader *reader);
/* Is it this keyword? `word` is in capitals. */
bool sql_is(const struct sql_token *token, const char *word);
/* Is there nothing but blanks and comments (and lone semicolons)? */
bool sql_is_empty(struct bytes sql);

#define SQL_NESTING_MAX ((size_t)1024)
/* At least as many levels as the tree of any statement in it has, and at most SQL_NESTING_MAX: parentheses, CASE, and
 * what operators without parentheses pile up ("1+1+1" are three). Counted without a stack. */
size_t sql_nesting(struct bytes sql);
/* A name in backquotes: MariaDB's or SQLite's. In PostgreSQL a backquote is an operator, and its tokens are others. */
bool sql_has_backquotes(struct bytes sql);

#endif
