/* One direction of a goose file: its statements as goose sends them (goose's internal/sqlparser). */
#ifndef LOCKSTEP_MIGRATION_GOOSE_PARSE_H
#define LOCKSTEP_MIGRATION_GOOSE_PARSE_H

#include "lib/migration/migration.h"

#define GOOSE_LINE_BYTES_MAX                                                                       \
    ((size_t)4 * 1024 * 1024) /* goose's reader stops at a line of so many */

struct goose_script {
    struct migration_pieces pieces;
    bool transactional; /* no NO TRANSACTION anywhere in the file */
    bool has_down;      /* there is a Down annotation */
};

/* 0, or E_INVALID with the line and the rule. Pieces are trimmed, their lines end in \n, and empty ones are left out. */
int goose_parse(struct arena *arena, struct bytes text, bool down, struct goose_script *ret,
                struct error *e);

#endif
