/* The pretended cluster of a rehearsal: what the actions of a plan make of nodes and databases. Private to lib/core. */
#ifndef LOCKSTEP_CORE_REHEARSAL_WORLD_H
#define LOCKSTEP_CORE_REHEARSAL_WORLD_H

#include "lib/core/rehearsal.h"

struct rehearsal_world {
    const struct plan *plan;
    struct rehearsal_node *nodes;
    struct rehearsal_database *databases;
    size_t database_count;
};

/* As the plan was made from. */
void rehearsal_world_init(struct rehearsal_world *w, struct arena *arena, const struct plan *plan);
/* The step is DONE at the place; `begun`: it was only begun, and nobody knows how it ended. */
void rehearsal_world_act(struct rehearsal_world *w, const struct step_key *key, bool begun);

#endif
