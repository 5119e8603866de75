/* One line on standard error that says what is done right now, where a terminal can show it. */
#ifndef LOCKSTEP_CLI_PROGRESS_H
#define LOCKSTEP_CLI_PROGRESS_H

#include <stdbool.h>

#include "lib/base/arena.h"

struct progress {
    bool shown; /* a line stands there */
};

/* Replaces the line; does nothing when standard error is no terminal. */
void progress_show(struct progress *p, const char *line);
/* Takes the line away. */
void progress_end(struct progress *p);

#endif
