/*
 * The stored permission to start: `<state_dir>/permits/<application>` says "denied by run X", or
 * which release may run on which checkpoint. No file: nothing was ever decided here, a first installation may start.
 */
#ifndef LOCKSTEP_IO_PLATFORM_PERMIT_H
#define LOCKSTEP_IO_PLATFORM_PERMIT_H

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct permit {
    const char *denied; /* the reason; NULL: not denied */
    const char *denied_run;
    const char *release; /* permitted; NULL: none */
    const char *checkpoint;
};

/* Durable when it returns. */
int permit_deny(const char *state_dir, const char *application, const char *run, const char *reason,
                struct error *e);
int permit_allow(const char *state_dir, const char *application, const char *release,
                 const char *checkpoint, struct error *e);
/* E_NOT_FOUND: no permit was ever stored. E_INVALID: the file is damaged; nothing may start then. */
int permit_read(struct arena *arena, const char *state_dir, const char *application,
                struct permit *ret, struct error *e);
/* May what is installed at `layout` start? E_DENIED with the reason. An installed tree without a marker (Lockstep did not put
 * it there) may, unless starts are denied. */
int permit_check(struct arena *arena, const char *state_dir, const char *application,
                 const char *layout, struct error *e);

#endif
