/* Starting a run and following it: what `apply` and `restore` have in common. */
#ifndef LOCKSTEP_CLI_APPLYING_H
#define LOCKSTEP_CLI_APPLYING_H

#include "cli/remote.h"
#include "cli/verb.h"
#include "proto/operator.pb-c.h"

/* Says what is refused and what came of it, and watches the run, as --detach, --summary and --stay say. An enum cli_exit. */
int applying_run(struct context *c, struct remote *r, const Lockstep__V1__ApplyRequest *request);

#define APPLYING_OPTIONS                                                                           \
    {"detach", 0, NULL, "start the run and do not watch it"},                                      \
        {"summary", 0, NULL,                                                                       \
         "at the end: what ran once, what ran on each node, how long each was down"},              \
    {                                                                                              \
        "stay", 0, NULL, "watch through pauses and gates, until the run has ended"                 \
    }

#endif
