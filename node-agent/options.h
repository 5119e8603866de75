/* What the agent was told on its command line. */
#ifndef LOCKSTEP_NODE_AGENT_OPTIONS_H
#define LOCKSTEP_NODE_AGENT_OPTIONS_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

#define AGENT_STATE_DIR "/var/lib/lockstep-agent"
#define AGENT_SERVER_NAME                                                                          \
    "agents.lockstepd" /* in the controller's certificate, whatever its address */

struct agent_options {
    const char *host; /* of the controller */
    uint16_t port;
    const char *state_dir;
    const char *token; /* NULL: enrolled already */
    uint64_t crash_before,
        crash_after; /* lib/io/store/journal.h; from the environment, for the crash tests */
};

/* 0, or the exit status that the program should end with minus one hundred (-100: 0 after --help,
 * -102: wrong use). */
int agent_options_read(struct arena *arena, int argc, char **argv, struct agent_options *ret);
#define AGENT_OPTIONS_EXIT(r) ((r) == -100 ? 0 : 2)

#endif
