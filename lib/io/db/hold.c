/*
 * Owns the process that holds a database's lock, from its start to SIGTERM. It refuses to live twice for one
 * directory, and to hold with a fence that the database has left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/hold_files.h"
#include "lib/io/db/hold_tool.h"

#define POLL_WAITING_MS 100
#define POLL_HELD_MS    500
#define ALIVE_TRIES     20 /* somebody may be looking whether we live */
#define ALIVE_TRY_MS    50
#define STATEMENT_MS    3000

struct hold {
    struct arena arena; /* the spec; lives as long as the process */
    struct arena session_arena;
    struct arena scratch; /* one round */
    const char *dir;
    struct hold_spec spec;
    struct hold_status status;
    bool unseen; /* the status could not be written */
    struct db_session session;
    bool open;
    bool locked; /* the engine's lock is ours */
    struct db_holder self;
    const struct db_format *format;
    struct hold_tool tool;
    const char *words;            /* who has it; scratch */
    char said[LIMIT_ERROR_BYTES]; /* of them: what the status file tells */
    int64_t deadline_ms;
    int64_t refreshed_ms;
    int signal_fd;
};

static void say(struct hold *h, const char *words)
{
    struct act log = {.log_fd = STDERR_FILENO};
    act_log(&log, "%s: %s", h->spec.database.name, words);
}

static void set_state(struct hold *h, enum hold_state state, int code, const char *message)
{
    bool changed = h->status.state != state;
    h->status.state = state;
    h->status.code = code;
    h->status.message = message;
    h->status.backend_pid = state == HOLD_HELD ? h->session.backend_pid : 0;
    h->status.yielded = state == HOLD_HELD ? h->tool.yielded : NULL;
    snprintf(h->said, sizeof(h->said), "%s", message != NULL ? message : "");
    struct error e = {0};
    h->unseen = hold_status_write(&h->scratch, h->dir, &h->status, &h->self, &e) < 0;
    if (h->unseen) {
        say(h, e.message);
    }
    if (changed) {
        say(h, arena_printf(&h->scratch, "%s%s%s", hold_state_name(state),
                            message != NULL ? ": " : "", message != NULL ? message : ""));
    }
    h->status.message = NULL; /* it was the scratch arena's */
}

/* Who we wait for, for those who look: only when it is somebody else than before. */
static void tell_words(struct hold *h)
{
    if (h->words != NULL && strncmp(h->words, h->said, sizeof(h->said) - 1) != 0) {
        set_state(h, h->status.state, h->status.code, h->words);
        say(h, arena_printf(&h->scratch, "waiting for %s", h->words));
    }
}

static bool has_lease(const struct hold *h)
{
    return h->format != NULL && h->format->has_lease != NULL && h->format->has_lease(&h->session);
}

static void drop_session(struct hold *h)
{
    db_close(&h->session);
    h->open = false;
    h->locked = false;
    hold_tool_reset(&h->tool);
    arena_deinit(&h->session_arena);
}

static int open_session(struct hold *h, struct error *e)
{
    struct db_options options = {.run = h->spec.run, .log_fd = -1};
    int rc = db_open(&h->session, &h->session_arena, &h->spec.database, &options, e);
    h->session.arena = &h->scratch;
    h->open = rc == 0;
    if (rc == 0) {
        rc = hold_tool_keys(&h->tool, &h->session, &h->session_arena, e);
    }
    if (rc == 0) {
        rc = db_evidence_create(&h->session, act_now_ms() + STATEMENT_MS, e);
    }
    if (rc == 0) {
        rc = db_fence_raise(&h->session, h->spec.fence, act_now_ms() + STATEMENT_MS, e);
    }
    return rc;
}

/* The holder's row and, when the tool's session locks are ours, its own lease, in one transaction: after a crash the row
 * says which lease is ours. */
static int take_lease(struct hold *h, bool keys, bool *ret, struct error *e)
{
    struct db_session *s = &h->session;
    struct db_holder before;
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = s->engine->limit_wait(s, STATEMENT_MS, e);
    }
    if (rc == 0) {
        rc = db_holder_read(s, &h->scratch, &before, e);
    }
    enum db_lease lease = keys ? DB_LEASE_OURS : DB_LEASE_OTHERS;
    if (rc == 0 && keys && has_lease(h)) {
        h->self.tool_lease = before.run != NULL ? before.tool_lease : 0;
        rc = h->format->lease_take(s, &h->scratch, &h->self, &lease, &h->words, e);
    }
    if (rc == 0) {
        /* Even while another tool has its lock, the row names us: our own lock is ours. */
        rc = db_holder_write(s, &h->self, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
        return rc;
    }
    *ret = lease == DB_LEASE_OURS;
    return 0;
}

/* The tool's locks: its session locks (unless a worker wants them free), then its lease; else none of them. */
static int take_tool(struct hold *h, bool *ret, struct error *e)
{
    struct db_session *s = &h->session;
    const char *wish = hold_wish_read(&h->scratch, h->dir);
    bool keys = false;
    bool all = false;
    int rc = 0;
    if (wish != NULL) {
        keys = true;
        rc = hold_tool_yield(&h->tool, s, wish, e);
    } else {
        hold_tool_end_yield(&h->tool);
        rc = hold_tool_take(&h->tool, s, &h->scratch, &keys, &h->words, e);
    }
    if (rc == 0) {
        rc = take_lease(h, keys, &all, e);
    }
    if (rc == 0 && !all) {
        rc = hold_tool_give_back(&h->tool, s, e); /* nobody is to wait for us while we wait */
    }
    if (rc == 0) {
        *ret = all;
    }
    return rc;
}

/* One try. *ret: all of it is ours. */
static int try_take(struct hold *h, bool *ret, struct error *e)
{
    int rc = 0;
    if (!h->open) {
        rc = open_session(h, e);
    }
    if (rc < 0) {
        return rc;
    }
    struct db_session *s = &h->session;
    h->self.backend_pid = s->backend_pid;
    h->self.fence = h->spec.fence;
    if (!h->locked) {
        rc = s->engine->try_lock(s, &h->self, &h->locked, e);
    }
    if (rc == 0 && h->locked) {
        return take_tool(h, ret, e);
    }
    struct db_lock_state state;
    if (rc == 0) {
        rc = s->engine->lock_state(s, &h->scratch, &state, e);
    }
    if (rc == 0) {
        h->words = state.words;
    }
    return rc;
}

/* Still ours? Renews the tool's lease by its own period. */
static int keep(struct hold *h, bool *ret, struct error *e)
{
    struct db_session *s = &h->session;
    int rc = s->engine->keep_lock(s, &h->self, ret, e);
    if (rc < 0 || !*ret || !has_lease(h) ||
        act_now_ms() - h->refreshed_ms < h->format->lease_refresh_ms) {
        return rc;
    }
    enum db_lease lease = DB_LEASE_OTHERS;
    rc = db_begin(s, e);
    if (rc == 0) {
        rc = s->engine->limit_wait(s, STATEMENT_MS, e);
    }
    if (rc == 0) {
        rc = h->format->lease_refresh(s, &h->self, &lease, e);
    }
    if (rc == 0) {
        rc = db_holder_write(s, &h->self, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
        return rc;
    }
    h->refreshed_ms = act_now_ms();
    *ret = lease == DB_LEASE_OURS;
    return 0;
}

static void release(struct hold *h)
{
    struct error e = {0};
    struct db_session *s = &h->session;
    int rc = 0;
    if (h->locked) {
        rc = db_begin(s, &e);
        if (rc == 0 && has_lease(h)) {
            rc = h->format->lease_release(s, &h->self, &e);
        }
        if (rc == 0) {
            rc = db_holder_remove(s, &h->self, &e);
        }
        if (rc == 0) {
            rc = db_commit(s, &e);
        }
        if (rc == 0) {
            rc = hold_tool_give_back(&h->tool, s, &e);
        }
        if (rc == 0) {
            rc = s->engine->unlock(s, &h->self, &e);
        }
    }
    if (rc < 0) {
        say(h,
            e.message); /* the session's end gives the lock back; what is left over is unlock's to remove */
    }
    drop_session(h);
    set_state(h, HOLD_RELEASED, 0, NULL);
}

/* What one round without the lock leads to: true when the process is to end. */
static bool round_without(struct hold *h)
{
    struct error e = {0};
    bool taken = false;
    int rc = try_take(h, &taken, &e);
    if (rc == 0 && taken) {
        h->refreshed_ms = act_now_ms();
        set_state(h, HOLD_HELD, 0, NULL);
        return false;
    }
    if (rc < 0) {
        bool fenced = h->session.fault.fenced || rc == E_DENIED;
        bool again =
            rc == E_UNAVAILABLE || rc == E_TIMEOUT || (h->status.state == HOLD_LOST && !fenced);
        drop_session(h);
        if (!again) {
            set_state(h, HOLD_FAILED, rc, arena_strdup(&h->scratch, e.message));
            return true;
        }
        h->words = arena_strdup(&h->scratch, e.message);
    }
    if (h->status.state == HOLD_WAITING && act_now_ms() >= h->deadline_ms) {
        const char *why =
            rc < 0 ? arena_strdup(&h->scratch, e.message)
                   : arena_printf(&h->scratch, "the lock of database %s is held by %s",
                                  h->spec.database.name, h->words != NULL ? h->words : "nobody");
        drop_session(h);
        set_state(h, HOLD_FAILED, rc < 0 ? rc : E_TIMEOUT, why);
        return true;
    }
    tell_words(h);
    return false;
}

/* What a worker wants of the tool's session locks, and what became of it: the worker waits for the status file. */
static int follow_wish(struct hold *h, struct error *e)
{
    struct hold_tool *tool = &h->tool;
    const char *wish = hold_wish_read(&h->scratch, h->dir);
    bool again = wish != NULL && tool->yielded != NULL && strcmp(wish, tool->yielded) == 0;
    if (again || (wish == NULL && tool->yielded == NULL)) {
        return 0;
    }
    int rc = 0;
    if (wish != NULL) {
        rc = hold_tool_yield(tool, &h->session, wish, e);
        if (rc == 0) {
            set_state(h, HOLD_HELD, 0, NULL);
            say(h, "the tool's own locks are given back for a while");
        }
        return rc;
    }
    bool taken = false;
    rc = hold_tool_take(tool, &h->session, &h->scratch, &taken, &h->words, e);
    if (rc == 0 && taken) {
        hold_tool_end_yield(tool);
        set_state(h, HOLD_HELD, 0, NULL);
        say(h, "the tool's own locks are ours again");
    } else if (rc == 0) {
        tell_words(h);
    }
    return rc;
}

/* Somebody took the tool's lock while it was given back, and nobody wants that any more. */
static bool wants_back(struct hold *h)
{
    return h->status.state == HOLD_HELD && h->tool.yielded != NULL &&
           hold_wish_read(&h->scratch, h->dir) == NULL;
}

static void round_with(struct hold *h)
{
    struct error e = {0};
    bool ours = false;
    int rc = follow_wish(h, &e);
    if (rc == 0) {
        rc = keep(h, &ours, &e);
    }
    if (rc == 0 && ours) {
        return;
    }
    const char *why = rc < 0 ? arena_strdup(&h->scratch, e.message) : "another one has it now";
    drop_session(h);
    set_state(h, HOLD_LOST, rc < 0 ? rc : E_CONFLICT, why);
    /* A controller that came back may have raised the fence meanwhile: it told the spec first. */
    struct hold_spec spec;
    if (hold_spec_read(&h->arena, h->dir, &spec, NULL) == 0) {
        h->spec.fence = MAX(h->spec.fence, spec.fence);
        h->status.fence = h->spec.fence;
    }
}

/* SIGUSR1 says that there is something to look at. */
static bool asked_to_stop(struct hold *h, int wait_ms)
{
    struct pollfd fd = {.fd = h->signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&fd, 1, wait_ms) <= 0) {
        return false;
    }
    return read(h->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
           info.ssi_signo != SIGUSR1;
}

/* The command that wanted the lock died, and no worker of its step is left on the server: nobody needs it any more. What
 * the worker left open meets whoever comes next. */
static bool is_orphan(struct hold *h)
{
    if (hold_leashed(&h->spec)) {
        return false;
    }
    bool lives = !h->open && h->status.state != HOLD_WAITING; /* not seen yet */
    struct error e = {0};
    if (h->open &&
        h->session.engine->worker_lives(&h->session, h->spec.run, h->spec.step, &lives, &e) < 0) {
        return false; /* the next round looks again, with another session where this one is gone */
    }
    if (!lives) {
        say(h, "the command that wanted this lock is dead, and nothing of it is at work");
    }
    return !lives;
}

static int run(struct hold *h)
{
    set_state(h, HOLD_WAITING, 0, NULL);
    for (bool begun = false;;) {
        arena_deinit(&h->scratch);
        h->words = NULL;
        if (h->status.state == HOLD_HELD) {
            round_with(h);
        } else if (round_without(h)) {
            return 1;
        }
        /* A full disk: the lock that nobody is told of would be held for nothing. Later, work goes on under it. */
        if (h->unseen && !begun) {
            release(h);
            return 1;
        }
        begun = begun || h->status.state == HOLD_HELD;
        bool waits = h->status.state != HOLD_HELD || wants_back(h);
        if (asked_to_stop(h, waits ? POLL_WAITING_MS : POLL_HELD_MS) || is_orphan(h)) {
            release(h);
            return 0;
        }
    }
}

/* The proof of life: held until the process ends, however it ends. */
static int claim(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; fd >= 0 && i < ALIVE_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return fd;
        }
        poll(NULL, 0, ALIVE_TRY_MS);
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static int start(struct hold *h)
{
    struct error e = {0};
    int rc = hold_spec_read(&h->arena, h->dir, &h->spec, &e);
    if (rc == 0) {
        rc = db_holder_self(&h->arena, h->spec.run, h->spec.fence, &h->self, &e);
    }
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGUSR1);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    h->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC);
    if (rc == 0 && h->signal_fd < 0) {
        rc = error_set(&e, E_IO, "signalfd: %s", strerror(errno));
    }
    if (rc < 0) {
        fprintf(stderr, "lockstep hold: %s\n", e.message);
        return 2;
    }
    h->format = db_format_get(h->spec.format);
    h->tool.format = h->format;
    h->deadline_ms = act_now_ms() + h->spec.wait_ms;
    h->status =
        (struct hold_status){.run = h->spec.run, .pid = h->self.pid, .fence = h->spec.fence};
    return run(h);
}

int db_hold_main(const char *dir)
{
    struct hold h = {.dir = dir, .signal_fd = -1};
    arena_init(&h.arena);
    arena_init(&h.session_arena);
    arena_init(&h.scratch);
    int rc = 2;
    int alive = claim(arena_printf(&h.arena, "%s/" HOLD_ALIVE, dir));
    if (alive < 0) {
        fprintf(stderr, "lockstep hold: %s: another holder lives, or the directory is not there\n",
                dir);
    } else {
        rc = start(&h);
        close(alive);
    }
    if (h.signal_fd >= 0) {
        close(h.signal_fd);
    }
    hold_tool_reset(&h.tool);
    arena_deinit(&h.scratch);
    arena_deinit(&h.session_arena);
    arena_deinit(&h.arena);
    return rc;
}
