/*
 * Asking the controller for a plan, and showing it: what `plan` and `restore` have in common.
 */
#ifndef LOCKSTEP_CLI_PLANNED_H
#define LOCKSTEP_CLI_PLANNED_H

#include "cli/remote.h"
#include "cli/verb.h"
#include "lib/base/buf.h"
#include "lib/plan/durations.h"
#include "proto/operator.pb-c.h"

struct planned {
    struct bytes plan; /* canonical JSON, in the arena */
    const char *id;
    const char
        *quarantine; /* what it tries has failed: which run, when and where; "": it has not */
    bool nothing_to_do;
    struct known_durations known; /* how long its steps took before; for the words alone */
};

/* Shows the progress and says the complaints. 0, or an enum cli_exit. */
int planned_ask(struct context *c, struct remote *r, const Lockstep__V1__PlanRequest *request,
                struct planned *ret);
/* In words, for people. 0, or an enum cli_exit. */
int planned_print(struct context *c, const struct planned *planned);

#endif
