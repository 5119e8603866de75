/* What the controller says of a run beside its events: how it stands now, and what has become of its way back. */
#ifndef LOCKSTEP_CLI_WATCH_BACK_H
#define LOCKSTEP_CLI_WATCH_BACK_H

#include "cli/remote.h"
#include "cli/watch_state.h"

/* *ret: of the watched run, borrowed until the next call; NULL: it is not known. */
int watch_ask(struct remote *r, const struct watch *w, const Lockstep__V1__RunSummary **ret,
              struct error *e);

struct watch_back {
    const char *by;      /* the run that takes it back; NULL: there is none yet */
    bool wanted;         /* it is still to be planned */
    bool is_back;        /* not wanted, for there was nothing to take back */
    const char *problem; /* wanted: why it cannot be planned; NULL: nothing is known */
    const char *text;    /* for people: the problem and what to do, or why it is not wanted */
};
/* Texts are in the arena. */
int watch_back_ask(struct remote *r, const struct watch *w, struct arena *arena,
                   struct watch_back *ret, struct error *e);
/* "run R is not taken back yet: … ": the same for `status`. */
const char *watch_back_words(struct arena *arena, const char *run, const char *problem);

#endif
