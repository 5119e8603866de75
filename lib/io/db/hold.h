/*
 * The lock of a database and the process that holds it. One directory per database under state_dir/holders/:
 *   spec.json    what the holder was started with (secrets by reference only)
 *   alive        locked (flock) for as long as the holder lives: the proof of life
 *   status.json  what it does now
 *   (elsewhere)  the leash: a file that the command behind the run has locked for as long as it lives. Of a controller's
 *                run there is none: its holder outlives everybody until the run's unlock
 *   yield        whose process wants the tool's own locks given back; counts while that process lives
 *   log          what it said
 *
 *            start                 taken                SIGTERM, or nobody has the leash and no worker
 *     (none) ─────> WAITING ──────────────────> HELD ──────────────> RELEASED      of the run is left
 *                      │ wait_ms passed,          │ ^
 *                      │ fenced, no database      v │ taken again
 *                      └─────────> FAILED <───── LOST   (session gone: server restarted)
 *                                      fenced
 */
#ifndef LOCKSTEP_IO_DB_HOLD_H
#define LOCKSTEP_IO_DB_HOLD_H

#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"

enum hold_state {
    HOLD_NONE,     /* no holder was started, or it was stopped */
    HOLD_WAITING,  /* polls for the lock; ends with wait_ms */
    HOLD_HELD,     /* the server said that it is ours */
    HOLD_LOST,     /* the session is gone; polls, until it has it again or is stopped */
    HOLD_FAILED,   /* gave up; the message says why */
    HOLD_RELEASED, /* stopped as asked */
};

struct hold_status {
    enum hold_state state;
    bool alive; /* somebody holds the flock now */
    const char *run;
    const char *process; /* "PID TICKS BOOT" */
    int64_t pid;
    int64_t backend_pid;
    uint64_t fence;
    int code; /* enum lockstep_error when FAILED */
    const char
        *message; /* WAITING: who has it; HELD and yielded: who took the tool's lock meanwhile */
    const char
        *yielded; /* the text of the wish that was granted; NULL: the tool's locks are ours */
};

struct hold_spec {
    struct database_ref database;
    int format;
    const char *run;
    uint64_t fence;
    int64_t wait_ms;
    const char *leash; /* act->leash; NULL: none */
    const char *
        step; /* whose worker is proved gone before a leashed holder lets go; NULL without a leash */
};

/* state_dir/holders/NAME-DIGEST; DIGEST of the URL (or of where it is read from). */
const char *hold_dir(struct arena *arena, const char *state_dir,
                     const struct database_ref *database);
/* A missing directory is HOLD_NONE. */
int hold_status_read(struct arena *arena, const char *dir, struct hold_status *ret,
                     struct error *e);

/* The lock for an action that writes. Proves it on the server, through `s`; waits until the deadline for a holder
 * that lost it; starts a holder when none lives. *ret_temporary: nobody had taken the lock before, act_db_unlock()
 * is to be called when the action is over (db_work_close() does). Also raises the fence to act->fence. */
int hold_ensure(struct act *act, struct db_session *s, const struct database_ref *database,
                int format, bool *ret_temporary, struct error *e);
/* While an index is built concurrently: our own lock stays, the tool's session locks (db_format.advisory_keys) are given
 * back (yield), or taken again. Returns when it is so, in about a millisecond. Taking again may wait for the tool that took them
 * meanwhile: E_TIMEOUT at act->deadline_ms names it; read the ledger again afterwards. Nothing happens where the format has
 * no locks that would disturb (db_format.advisory_yields). A yield ends with this process, and with hold_ensure(). */
int hold_yield(struct act *act, const struct database_ref *database, bool yield, struct error *e);
/* SIGTERM, then KILL; 0 when none lives any more. */
int hold_stop(struct act *act, const struct database_ref *database, struct error *e);
/* The same for every holder of a state directory that is going away. */
int hold_stop_all(struct act *act, const char *state_dir, struct error *e);

#endif
