/* What the controller knows of how long things took, as lib/plan reads it. */
#ifndef LOCKSTEP_CLI_KNOWN_H
#define LOCKSTEP_CLI_KNOWN_H

#include "lib/base/arena.h"
#include "lib/plan/durations.h"
#include "proto/operator.pb-c.h"

/* All in the arena. Its words name the newest run and the newest rehearsal that showed something. */
struct known_durations known_read(struct arena *arena, Lockstep__V1__Known *const *items,
                                  size_t count);

#endif
