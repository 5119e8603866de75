/* One answer of a running thing: what checks and waits ask. It owns no repetition. */
#ifndef LOCKSTEP_IO_PLATFORM_PROBE_H
#define LOCKSTEP_IO_PLATFORM_PROBE_H

#include <stdbool.h>

#include "lib/io/platform/act.h"

struct probe {
    bool good;
    const char *words; /* what the answer was: "http://… answered 503: starting up"; arena */
    const char *group; /* the first group of what `matches` matched; NULL: none; arena */
};

/* `directory`: working directory of a command. The answer is in *ret; a negative return is a mistake of the spec (a wrong
 * expression), which asking again does not change. */
int probe_http(struct act *act, const struct http_check *check, struct probe *ret, struct error *e);
int probe_tcp(struct act *act, const struct tcp_check *check, struct probe *ret, struct error *e);
int probe_command(struct act *act, const struct command_check *check, const char *directory,
                  struct probe *ret, struct error *e);

/* Looks for lines of a log that match and are newer than `since_ms`. */
struct log_since {
    const char *file;
    const char *error;
    int64_t
        since_ms; /* when the service started, Unix milliseconds; 0: not known, all lines count */
    int64_t
        offset; /* where its output begins, when known; -1: by the time at the start of each line */
};
int probe_log(struct act *act, const struct log_since *check, struct probe *ret, struct error *e);

/* A POSIX extended expression on a text. 1: matches; 0: does not; E_INVALID: it is none. */
int probe_matches(const char *expression, const char *text, struct error *e);

#endif
