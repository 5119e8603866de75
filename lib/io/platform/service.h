/*
 * A service on this node, whatever runs it: one interface, a driver for systemd and one for a process of our own keeper.
 * Each call looks first: starting what runs and stopping what is stopped is done at once.
 */
#ifndef LOCKSTEP_IO_PLATFORM_SERVICE_H
#define LOCKSTEP_IO_PLATFORM_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/spec/action.h"

struct service_place {
    struct arena *arena;           /* borrowed; for answers */
    const struct service *service; /* borrowed */
    const char *application;       /* names the directory of its state */
    const char *state_dir;         /* the agent's */
    const char *layout;  /* the installed tree: working directory of a process; NULL: "/" */
    const char *program; /* this program: `PROGRAM keep DIR` */
    int64_t deadline_ms; /* wall clock; 0: only the service's own `within` */
};

struct service_status {
    bool running;       /* the main process runs */
    bool settled;       /* running, and not on its way up or down */
    pid_t pid;          /* of the main process; 0: none */
    int64_t since_ms;   /* Unix milliseconds when it started; 0: not known */
    const char *words;  /* "is running", "ended with status 3", "was never started"; arena */
    const char *log;    /* the file that its output goes to; NULL: not a file */
    int64_t log_offset; /* where this start's output begins in it */
};

/* systemd: a loaded unit; process: its program is in the installed tree, when there is a tree. */
int service_exists(const struct service_place *place, struct error *e);
/* Returns when the service has been started and is still there a moment later. A start that fails says how the
 * process ended and its last lines. */
int service_start(const struct service_place *place, struct error *e);
/* Returns when its processes are proved gone. */
int service_stop(const struct service_place *place, struct error *e);
int service_state(const struct service_place *place, struct service_status *ret, struct error *e);
/* Its last lines, at most `bytes_max`; "" when there are none. */
const char *service_log_tail(const struct service_place *place, size_t bytes_max);
/* "unit app.service" or "process bin/app": for messages. */
const char *service_words(const struct service_place *place);

/* `PROGRAM keep DIR`: the keeper of a process service. Starts what DIR/service.json says, waits for it, keeps its exit
 * status in DIR/exit.json, bounds its log. Returns the exit code of the program. */
int service_keep_main(const char *dir);

/* A driver: the same calls. For the table in service.c. */
struct service_driver {
    int (*exists)(const struct service_place *place, struct error *e);
    int (*start)(const struct service_place *place, struct error *e);
    int (*stop)(const struct service_place *place, struct error *e);
    int (*state)(const struct service_place *place, struct service_status *ret, struct error *e);
    const char *(*log_tail)(const struct service_place *place, size_t bytes_max);
};
extern const struct service_driver service_systemd_driver;
extern const struct service_driver service_process_driver;

#endif
