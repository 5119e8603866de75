/* The backups that a run has made, read from its plan and its journal: what a plan that restores is compiled from. */
#ifndef LOCKSTEP_CONTROLLER_BACKUPS_H
#define LOCKSTEP_CONTROLLER_BACKUPS_H

#include "controller/controller.h"
#include "lib/plan/plan.h"

struct backups {
    const char *release; /* that the cluster ran when they were made */
    struct plan_restore *items;
    size_t count;
};

/* Those of the named databases, of all that it backed up when `databases` is empty. In the arena. E_NOT_FOUND: it made none;
 * E_INVALID: one that only the site itself can put back. */
int backups_of_run(struct controller *c, struct arena *arena, const char *run,
                   const struct strings *databases, struct backups *ret, struct error *e);

#endif
