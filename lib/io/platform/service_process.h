/*
 * What the driver of process services and the keeper share: the files of one service's directory.
 *
 *   service.json   what to start; the nonce of the start it was written for   (driver)
 *   keeper.lock    held (flock) while a keeper lives                           (keeper)
 *   process.json   the process that was started last, before it ran            (keeper)
 *   exit.json      how it ended, or why it could not be started                (keeper)
 *   log, log.1     its output, unless the spec names a file
 *   keeper.log     what the keeper says
 *
 *      start            recorded              the process ends
 *   ──────────> (lock) ──────────> running ───────────────────> exit.json, lock free
 */
#ifndef LOCKSTEP_IO_PLATFORM_SERVICE_PROCESS_H
#define LOCKSTEP_IO_PLATFORM_SERVICE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/io/platform/process.h"

#define SERVICE_FILE_BYTES_MAX (1024 * 1024)
#define SERVICE_LOG_BYTES_MAX  (16LL * 1024 * 1024)

struct service_process {
    struct process_id id;
    const char *nonce;
    const char *log;
    int64_t log_offset;
};

/* NULL when it is not there or is no JSON. The caller owns it. */
json_t *service_file_read(struct arena *arena, const char *dir, const char *name);
/* Takes `json`. */
int service_file_write(struct arena *arena, const char *dir, const char *name, json_t *json,
                       struct error *e);
/* False: none was recorded. */
bool service_process_read(struct arena *arena, const char *dir, struct service_process *ret);
int service_process_write(struct arena *arena, const char *dir,
                          const struct service_process *process, struct error *e);
/* Takes the keeper's lock; -1 when a keeper lives, or on an error (*e). The lock is the descriptor. */
int service_keeper_lock(struct arena *arena, const char *dir, struct error *e);

#endif
