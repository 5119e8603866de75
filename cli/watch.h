/* Following a run until it ends, pauses, or the operator goes away: the shell around watch_state.h. */
#ifndef LOCKSTEP_CLI_WATCH_H
#define LOCKSTEP_CLI_WATCH_H

#include "cli/remote.h"
#include "cli/verb.h"

#define WATCH_RECONNECT_MS 60000
#define WATCH_INTERRUPTED  130 /* Ctrl-C: the run goes on */

struct watch_request {
    const char *run; /* a run or a cluster; NULL: the newest run */
    bool summary;    /* the tables at the end */
    bool stay;       /* through pauses */
};

/* How it ended, an enum cli_exit or WATCH_INTERRUPTED; everything has been said. */
int watch_follow(struct context *c, struct remote *r, const struct watch_request *request);

#endif
