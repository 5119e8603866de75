/* The times that a rehearsal's report foretells, as a list that a plan is rendered with. */
#ifndef LOCKSTEP_CLI_DB_EXPECT_H
#define LOCKSTEP_CLI_DB_EXPECT_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/plan/durations.h"

/* Of the report in a file, in the arena. E_INVALID: it is none. */
int db_expect_durations(struct arena *arena, const char *path, struct known_durations *ret,
                        struct error *e);

#endif
