/* What the tests of the formats share: files from literal text, a way as one line of text. */
#ifndef LOCKSTEP_TESTS_UNIT_MIGRATION_SETS_H
#define LOCKSTEP_TESTS_UNIT_MIGRATION_SETS_H

#include "lib/migration/migration.h"

struct set_test {
    const struct migration_format *format;
    struct arena arena;
    struct error error;
};

/* A file whose digest is its name. */
struct migration_file set_file(const char *name, const char *text);
/* `files` ends with a NULL name. */
int set_read(struct set_test *t, const struct migration_file *files, struct migration_set *ret);
/* A set that must be readable. */
struct migration_set set_of(struct set_test *t, const struct migration_file *files);
/* The set's ids with blanks between them. */
const char *set_ids(struct set_test *t, const struct migration_set *set);
/* "1 2 3": the words of a text. */
struct strings set_words(struct set_test *t, const char *text);
/* The way from a ledger ("1 2"): "-3 +4", or "! " and the error. */
const char *set_way(struct set_test *t, const char *ledger, const struct migration_set *newer,
                    const struct migration_set *target);
/* migration_until(): the ids, or "! " and the error. */
const char *set_until(struct set_test *t, const struct migration_set *set, const char *to);
/* The pieces of one direction: "LINE[text]LINE[text]", or "! " and the error. */
const char *set_pieces(struct set_test *t, const char *text, bool down);

#define FILES(...)                                                                                 \
    (const struct migration_file[])                                                                \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }

#endif
