/*
 * SQL as words: just enough to step over comments, strings and quoted bodies, by the rules of the server that is to run
 * it. Not a parser: it never says that a text is right.
 *
 *              PostgreSQL             MariaDB                             SQLite
 *   '…'        \ escapes in E'…'      \ escapes                           \ is a sign as any other
 *   "…"        a name                 a string                            a name
 *   `…`        operators              a name                              a name
 *   […]        signs                  signs                               a name
 *   $x$…$x$    a string               a name                              a name
 *   -- …       to the end of line     only before a blank; else operators to the end of line
 *   # …        an operator            to the end of line                  a sign
 *   comments   nest                   do not nest; what stands in an      do not nest
 *                                     executable one is text
 *
 * https://www.postgresql.org/docs/15/sql-syntax-lexical.html with standard_conforming_strings on,
 * https://mariadb.com/kb/en/comment-syntax/ and /string-literals/ with neither ANSI_QUOTES nor NO_BACKSLASH_ESCAPES,
 * https://sqlite.org/lang_keywords.html and /lang_comment.html
 */
#ifndef LOCKSTEP_MIGRATION_SQL_H
#define LOCKSTEP_MIGRATION_SQL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

enum sql_dialect {
    SQL_POSTGRESQL, /* where nobody knows better */
    SQL_MARIADB,
    SQL_SQLITE,
};

enum sql_token_kind {
    SQL_END,
    SQL_WORD,   /* a keyword or a name; also a quoted name, without its quotes */
    SQL_TEXT,   /* a string */
    SQL_DOLLAR, /* a dollar-quoted body; `text` is what is between the quotes */
    SQL_SIGN,   /* any other byte: ; ( ) , . …; MariaDB: also what begins with a digit, whole */
};

struct sql_token {
    enum sql_token_kind kind;
    struct bytes text;
    bool quoted; /* SQL_WORD: was in quotes, so it is never a keyword */
    size_t from; /* where it begins in the reader's text, with its quote */
};

struct sql_reader {
    struct bytes sql;
    size_t at;
    enum sql_dialect dialect;
    bool executable; /* sql_next()'s own: within an executable comment of MariaDB */
};

/* The next token; blanks and comments are stepped over. An unterminated quote or comment goes to the end of the text.
 * MariaDB: a comment for a version runs where the server is not older, which the text cannot tell: one for 5.7 to 9.9
 * (MySQL's own) and for 99.99.99 never runs there, all others are taken as running. */
struct sql_token sql_next(struct sql_reader *reader);
/* Is it this keyword? `word` is in capitals. */
bool sql_is(const struct sql_token *token, const char *word);
/* Is there nothing but blanks and comments (and lone semicolons)? */
bool sql_is_empty(struct bytes sql);

#define SQL_NESTING_MAX ((size_t)1024)
/* At least as many levels as the tree of any statement in it has, and at most SQL_NESTING_MAX: parentheses, CASE, and
 * what operators without parentheses pile up ("1+1+1" are three). Counted without a stack. */
size_t sql_nesting(struct bytes sql);
/* A backquote outside of strings and comments: a name of MariaDB's or SQLite's. In PostgreSQL it is an operator that
 * nobody has. */
bool sql_has_backquotes(struct bytes sql);
/* Of a text that PostgreSQL's parser refuses: MariaDB's when it has backquotes, or a # that only a comment can begin
 * with (first on its line, or behind a semicolon or a comma); else PostgreSQL's. A guess, good for warnings only. */
enum sql_dialect sql_guess_dialect(struct bytes sql);

#endif
