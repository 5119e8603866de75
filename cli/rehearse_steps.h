/*
 * How the rehearsal of a plan is printed: two columns, or JSON. Works on this machine alone.
 */
#ifndef LOCKSTEP_CLI_REHEARSE_STEPS_H
#define LOCKSTEP_CLI_REHEARSE_STEPS_H

#include "cli/verb.h"
#include "lib/core/rehearsal.h"

/* Each step of the plan in turn; `id` is the plan's. An enum cli_exit. */
int rehearse_steps(struct context *c, const struct plan *plan, const char *id,
                   enum rehearsal_fault fault);

#endif
