/* What a daemon says to whoever reads its standard error: one line each, with the time in UTC. */
#ifndef LOCKSTEP_IO_PLATFORM_LOG_H
#define LOCKSTEP_IO_PLATFORM_LOG_H

#include "lib/base/util.h"

/* "2026-03-02T14:05:09.120Z lockstepd: node app-1 is connected" */
void log_line(const char *program, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
