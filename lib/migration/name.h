/* File names of morph and golang-migrate: ^([0-9]+)_(.*)\.(down|up)\.(.*)$, so the last direction in a name counts. */
#ifndef LOCKSTEP_MIGRATION_NAME_H
#define LOCKSTEP_MIGRATION_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"

struct script_name {
    uint64_t version;
    const char *name;
    bool down;
};

enum script_name_fault {
    SCRIPT_NAME_OK,
    SCRIPT_NAME_NO_NUMBER,
    SCRIPT_NAME_LINE_BREAK,
    SCRIPT_NAME_LARGE_NUMBER, /* past `max` */
    SCRIPT_NAME_NO_DIRECTION,
};

enum script_name_fault script_name_read(struct arena *arena, const char *file, uint64_t max,
                                        struct script_name *ret);

#endif
