/* What lockstepd was told on its command line. */
#ifndef LOCKSTEP_CONTROLLER_OPTIONS_H
#define LOCKSTEP_CONTROLLER_OPTIONS_H

#include <stdint.h>

#include "lib/base/arena.h"

#define CONTROLLER_STATE_DIR "/var/lib/lockstep"
#define CONTROLLER_PORT      7443

struct controller_options {
    const char *state_dir;
    const char *host;      /* to listen on */
    uint16_t port;         /* 0: a free one, written to STATE/address */
    const char *names[16]; /* further names and addresses for the certificate */
    size_t name_count;
    uint64_t crash_before,
        crash_after; /* lib/io/store/journal.h; from the environment, for the crash tests */
    uint64_t place_crash_before, place_crash_after; /* the same for the executor's journal */
};

/* 0; CONTROLLER_OPTIONS_DONE: it has printed what was asked for; CONTROLLER_OPTIONS_WRONG: it has
 * said what is wrong. */
int controller_options_read(struct arena *arena, int argc, char **argv,
                            struct controller_options *ret);
#define CONTROLLER_OPTIONS_DONE  1
#define CONTROLLER_OPTIONS_WRONG 2

#endif
