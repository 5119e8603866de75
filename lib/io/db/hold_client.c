/*
 * Owns starting, asking and stopping a holder, and the two lock actions. It believes a holder only when its flock is
 * held and the server names the same session.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/hold_files.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define LOOK_MS       50
#define QUICK_LOOK_MS 1     /* a yield is granted at once … */
#define QUICK_LOOKS   200   /* … or it is waited for */
#define COME_UP_MS    15000 /* from its start to its first word */
#define STARTS_MAX    5     /* of one action */
#define STOP_MS       10000
#define LOG_BYTES     400
#define START_FILE    "start"

/* How one action waits for a holder. */
struct wait {
    struct act *act;
    const struct database_ref *database;
    const char *dir;
    const struct hold_spec *wanted; /* of a holder that has to be started */
    bool renew; /* wanted replaces what a dead holder of this run was started with */
    bool made;  /* nobody had asked for the lock before */
    int64_t deadline_ms;
    bool whole; /* held means the tool's own locks too, not given back for a while */
    int starts; /* by us */
    int looks;  /* so far */
    bool seen_alive;
    struct hold_status status;
};

/* Soon at first: most holders have the lock a few milliseconds after their start. */
static void look_later(struct wait *w)
{
    w->looks++;
    process_sleep_ms(MIN(w->looks, LOOK_MS));
}

static int start_holder(struct wait *w, struct error *e)
{
    const char *lock_path = arena_printf(w->act->arena, "%s/" START_FILE, w->dir);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return file_error(e, errno, "write", lock_path);
    }
    int rc = 0;
    /* Two that find none alive start one: the later one finds it here. */
    if (flock(fd, LOCK_EX) == 0 && !hold_alive(w->act->arena, w->dir)) {
        rc = file_remove(arena_printf(w->act->arena, "%s/" HOLD_STATUS, w->dir), e);
        const char *arguments[] = {"hold", w->dir, NULL};
        if (rc == 0) {
            rc = process_detach(w->act->program, arguments,
                                arena_printf(w->act->arena, "%s/" HOLD_LOG, w->dir), e);
        }
        /* Until it has claimed its file, or has ended without: then the wait below sees that. */
        int64_t until = process_clock_ms() + COME_UP_MS;
        const char *status = arena_printf(w->act->arena, "%s/" HOLD_STATUS, w->dir);
        while (rc == 0 && !file_exists(status) && process_clock_ms() < until) {
            process_sleep_ms(LOOK_MS / 25);
        }
    }
    close(fd);
    w->starts++;
    return rc;
}

static int refuse_down(struct wait *w, struct error *e)
{
    const char *log = arena_printf(w->act->arena, "%s/" HOLD_LOG, w->dir);
    const char *said = file_tail(w->act->arena, log, LOG_BYTES);
    return error_set(
        e, E_IO, "database %s: the lock's holder (%s hold) ended at once: %s", w->database->name,
        w->act->program,
        !str_empty(said)
            ? said
            : arena_printf(w->act->arena, "it could not even write %s: is there room?", log));
}

/* The spec is written before the fence is raised: a holder that has to take the lock again then knows the new one. */
static int tell_fence(struct wait *w, const struct hold_spec *spec, struct error *e)
{
    struct hold_spec told = *spec;
    told.fence = w->act->fence;
    return told.fence > spec->fence ? hold_spec_write(w->act->arena, w->dir, &told, e) : 0;
}

static int prepare(struct wait *w, struct error *e)
{
    struct hold_spec spec;
    int rc = dir_make(w->dir, 0700, e);
    if (rc < 0) {
        return rc;
    }
    rc = hold_spec_read(w->act->arena, w->dir, &spec, e);
    bool same_run = rc == 0 && str_equal(spec.run, w->act->run);
    bool alive = hold_alive(w->act->arena, w->dir);
    if (rc == E_NOT_FOUND || (rc == 0 && !alive && (!same_run || (w->renew && w->starts == 0)))) {
        w->made = w->made || rc == E_NOT_FOUND || !same_run;
        return hold_spec_write(w->act->arena, w->dir, w->wanted, e);
    }
    return same_run ? tell_fence(w, &spec, e) : rc;
}

/* One look. 0: it holds, or it is worth another look (*ret_held says which). */
static int look(struct wait *w, bool *ret_held, struct error *e)
{
    struct act *act = w->act;
    int rc = hold_status_read(act->arena, w->dir, &w->status, e);
    if (rc < 0) {
        return rc;
    }
    const struct hold_status *s = &w->status;
    bool fresh = w->seen_alive || w->starts > 0;
    *ret_held = false;
    if (s->state == HOLD_FAILED && fresh && str_equal(s->run, act->run)) {
        return error_set(e, s->code < 0 ? s->code : E_IO, "%s",
                         s->message != NULL ? s->message : "the holder failed");
    }
    if (!s->alive) {
        if (w->starts >= STARTS_MAX || (w->starts > 0 && s->state == HOLD_NONE)) {
            return refuse_down(w, e);
        }
        rc = prepare(w, e);
        return rc == 0 ? start_holder(w, e) : rc;
    }
    w->seen_alive = true;
    *ret_held =
        s->state == HOLD_HELD && str_equal(s->run, act->run) && (!w->whole || s->yielded == NULL);
    return 0;
}

static const char *state_words(const struct wait *w)
{
    const struct hold_status *s = &w->status;
    return arena_printf(w->act->arena, "the holder of run %s (pid %lld) is in state %s%s%s",
                        s->run != NULL ? s->run : "?", (long long)s->pid, hold_state_name(s->state),
                        s->message != NULL ? ": " : "", s->message != NULL ? s->message : "");
}

static int wait_held(struct wait *w, struct error *e)
{
    for (;;) {
        bool held = false;
        int rc = look(w, &held, e);
        if (rc < 0 || held) {
            return rc;
        }
        if (act_stopped(w->act)) {
            return error_set(e, E_CANCELLED, "stopped while it waited for the lock of database %s",
                             w->database->name);
        }
        if (act_now_ms() >= w->deadline_ms) {
            return error_set(e, E_TIMEOUT, "the lock of database %s is not ours: %s",
                             w->database->name, state_words(w));
        }
        look_later(w);
    }
}

/* The server's word: the session that has the lock is our holder's. */
static int prove(struct wait *w, struct db_session *s, bool *ret, const char **ret_words,
                 struct error *e)
{
    struct db_lock_state state;
    int rc = s->engine->lock_state(s, w->act->arena, &state, e);
    if (rc == 0) {
        int64_t ours = w->status.backend_pid != 0 ? w->status.backend_pid : w->status.pid;
        *ret = state.held && state.pid == ours;
        *ret_words = state.words;
    }
    return rc;
}

static int wait_proved(struct wait *w, struct db_session *s, struct error *e)
{
    for (;;) {
        bool proved = false;
        const char *words = NULL;
        int rc = wait_held(w, e);
        if (rc == 0) {
            rc = prove(w, s, &proved, &words, e);
        }
        if (rc < 0 || proved) {
            return rc;
        }
        if (act_now_ms() >= w->deadline_ms) {
            return error_set(e, E_TIMEOUT,
                             "the lock of database %s is held by %s, not by our holder (pid %lld)",
                             w->database->name, words, (long long)w->status.pid);
        }
        look_later(w);
    }
}

static void send_signal(const char *process, int signal_number)
{
    struct process_id id;
    if (process != NULL && process_id_parse(process, &id) && process_alive(&id)) {
        kill(id.pid, signal_number);
    }
}

/* What an earlier worker, or this one, wanted given back for a while is wanted no more. */
static int end_yield(struct wait *w, struct error *e)
{
    struct hold_status status;
    int rc = hold_wish_remove(w->act->arena, w->dir, e);
    if (rc == 0) {
        rc = hold_status_read(w->act->arena, w->dir, &status, e);
    }
    if (rc == 0 && status.alive && status.yielded != NULL) {
        send_signal(status.process, SIGUSR1);
    }
    return rc;
}

static int wait_yielded(struct wait *w, const char *wish, struct error *e)
{
    for (int looks = 0;; looks++) {
        bool held = false;
        int rc = look(w, &held, e);
        if (rc < 0) {
            return rc;
        }
        const char *granted = w->status.yielded;
        if (held && (wish != NULL ? str_equal(granted, wish) : granted == NULL)) {
            return 0;
        }
        if (act_now_ms() >= w->deadline_ms) {
            return error_set(
                e, E_TIMEOUT, "database %s: the migration tool's own lock is not %s: %s",
                w->database->name, wish != NULL ? "given back" : "ours again", state_words(w));
        }
        process_sleep_ms(looks < QUICK_LOOKS ? QUICK_LOOK_MS : LOOK_MS);
    }
}

int hold_yield(struct act *act, const struct database_ref *database, bool yield, struct error *e)
{
    struct wait w = {.act = act, .database = database, .deadline_ms = act->deadline_ms};
    w.dir = hold_dir(act->arena, act->state_dir, database);
    struct hold_spec spec;
    int rc = hold_spec_read(act->arena, w.dir, &spec, e);
    if (rc < 0) {
        return rc;
    }
    const struct db_format *format = db_format_get(spec.format);
    if (format == NULL || format->advisory_keys == NULL || !format->advisory_yields) {
        return 0;
    }
    const char *wish = NULL;
    spec.fence = act->fence;
    w.wanted = &spec;
    rc = yield ? hold_wish_write(act->arena, w.dir, &wish, e)
               : hold_wish_remove(act->arena, w.dir, e);
    if (rc == 0) {
        rc = hold_status_read(act->arena, w.dir, &w.status, e);
    }
    if (rc == 0) {
        send_signal(w.status.process, SIGUSR1);
        rc = wait_yielded(&w, wish, e);
    }
    return rc;
}

int hold_ensure(struct act *act, struct db_session *s, const struct database_ref *database,
                int format, bool *ret_temporary, struct error *e)
{
    struct wait w = {.act = act, .database = database, .deadline_ms = act->deadline_ms};
    w.dir = hold_dir(act->arena, act->state_dir, database);
    struct hold_spec spec = {.database = *database,
                             .format = format,
                             .run = act->run,
                             .leash = act->leash,
                             .step = act->step,
                             .fence = act->fence,
                             .wait_ms = act_left_ms(act)};
    w.wanted = &spec;
    w.whole = true;
    int rc = prepare(&w, e);
    if (rc == 0) {
        rc = end_yield(&w, e);
    }
    if (rc == 0) {
        rc = wait_proved(&w, s, e);
    }
    *ret_temporary = *ret_temporary || w.made;
    return rc == 0 ? db_fence_raise(s, act->fence, act->deadline_ms, e) : rc;
}

int act_db_lock(struct act *act, const struct action *action, struct error *e)
{
    const struct db_lock_action *a = action->db_lock;
    struct wait w = {.act = act, .database = &a->database, .deadline_ms = act->deadline_ms};
    w.dir = hold_dir(act->arena, act->state_dir, &a->database);
    struct hold_spec spec = {.database = a->database,
                             .format = a->format,
                             .run = act->run,
                             .leash = act->leash,
                             .step = act->step,
                             .fence = act->fence,
                             .wait_ms = a->wait_ms};
    w.wanted = &spec;
    w.renew = true;
    w.whole = true;
    int rc = prepare(&w, e);
    if (rc == 0) {
        rc = end_yield(&w, e);
    }
    bool alive_before = rc == 0 && hold_alive(act->arena, w.dir);
    if (rc == 0 && alive_before) {
        /* Another run's holder in our own directory: it may be on its way out. */
        w.deadline_ms = MIN(w.deadline_ms, act_now_ms() + a->wait_ms);
    }
    if (rc == 0) {
        rc = wait_held(&w, e);
    }
    if (((rc == E_TIMEOUT && w.status.alive) || rc == E_CANCELLED) && w.starts > 0) {
        struct error ignored;
        hold_stop(act, &a->database, &ignored); /* nobody waits for it any more */
    }
    struct db_session s = {0};
    struct db_options options = {.run = act->run, .log_fd = act->log_fd};
    if (rc == 0) {
        w.deadline_ms = act->deadline_ms;
        rc = db_open_wait(&s, act->arena, &a->database, &options, act->deadline_ms, e);
    }
    if (rc == 0) {
        rc = wait_proved(&w, &s, e);
    }
    if (rc == 0) {
        rc = db_fence_raise(&s, act->fence, act->deadline_ms, e);
    }
    db_close(&s);
    if (rc == 0) {
        act_log(act, "database %s: locked by holder pid %lld, fence %llu", a->database.name,
                (long long)w.status.pid, (unsigned long long)act->fence);
    }
    return rc;
}

/* ---- the end ---- */

static bool wait_dead(struct act *act, const char *dir, int64_t ms)
{
    int64_t until = process_clock_ms() + ms;
    while (hold_alive(act->arena, dir)) {
        if (process_clock_ms() >= until) {
            return false;
        }
        process_sleep_ms(LOOK_MS / 25);
    }
    return true;
}

static int stop_at(struct act *act, const char *dir, const char *name, struct error *e)
{
    struct hold_status status;
    int rc = hold_status_read(act->arena, dir, &status, e);
    if (rc < 0 || !status.alive) {
        return rc;
    }
    send_signal(status.process, SIGTERM);
    if (wait_dead(act, dir, STOP_MS)) {
        return 0;
    }
    send_signal(status.process, SIGKILL);
    if (wait_dead(act, dir, STOP_MS)) {
        return 0;
    }
    return error_set(
        e, E_TIMEOUT,
        "database %s: the holder (pid %lld) does not end, not even killed: end it by hand", name,
        (long long)status.pid);
}

int hold_stop(struct act *act, const struct database_ref *database, struct error *e)
{
    return stop_at(act, hold_dir(act->arena, act->state_dir, database), database->name, e);
}

int hold_stop_all(struct act *act, const char *state_dir, struct error *e)
{
    const char *holders = arena_printf(act->arena, "%s/" HOLD_DIRS, state_dir);
    DIR *dir = opendir(holders);
    int rc = 0;
    if (dir == NULL) {
        return 0; /* no lock was ever taken here */
    }
    for (struct dirent *entry = NULL; rc == 0 && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.') {
            rc = stop_at(act, arena_printf(act->arena, "%s/%s", holders, entry->d_name),
                         entry->d_name, e);
        }
    }
    closedir(dir);
    return rc;
}

void db_run_over(struct arena *arena, const char *state_dir, const char *run)
{
    const char *holders = arena_printf(arena, "%s/" HOLD_DIRS, state_dir);
    DIR *dir = opendir(holders);
    if (dir == NULL) {
        return; /* no lock was ever taken here */
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *path = arena_printf(arena, "%s/%s", holders, entry->d_name);
        struct hold_status status;
        bool is_holder = entry->d_name[0] != '.';
        if (is_holder && hold_status_read(arena, path, &status, NULL) == 0 && status.alive &&
            str_equal(status.run, run)) {
            send_signal(status.process, SIGTERM);
        }
    }
    closedir(dir);
}

/* What a killed holder of this run left: the tool's lease that its row names, then the row. */
static int clear_row(struct act *act, struct db_session *s, int format, struct error *e)
{
    struct db_holder row;
    int rc = db_holder_read(s, act->arena, &row, e);
    if (rc < 0 || row.run == NULL || !str_equal(row.run, act->run)) {
        return rc;
    }
    rc = db_begin(s, e);
    const struct db_format *f = db_format_get(format);
    if (rc == 0 && f != NULL && f->has_lease != NULL && f->has_lease(s) && row.tool_lease != 0) {
        rc = f->lease_release(s, &row, e);
    }
    if (rc == 0) {
        rc = db_holder_remove(s, &row, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

static int prove_free(struct act *act, struct db_session *s, const struct hold_status *was,
                      int format, struct error *e)
{
    for (;;) {
        struct db_lock_state state;
        int rc = s->engine->lock_state(s, act->arena, &state, e);
        if (rc < 0) {
            return rc;
        }
        bool ours = state.held && (state.pid == was->backend_pid || state.pid == was->pid);
        if (!ours) {
            /* Free, or another run has it already: nothing of ours may stay either way. */
            return state.held ? 0 : clear_row(act, s, format, e);
        }
        if (act_now_ms() >= act->deadline_ms) {
            return error_set(e, E_TIMEOUT, "the lock of database %s is still held: %s", s->name,
                             state.words);
        }
        process_sleep_ms(LOOK_MS);
    }
}

int act_db_unlock(struct act *act, const struct action *action, struct error *e)
{
    const struct db_unlock_action *a = action->db_unlock;
    const char *dir = hold_dir(act->arena, act->state_dir, &a->database);
    struct hold_spec spec;
    struct hold_status was;
    int rc = hold_spec_read(act->arena, dir, &spec, e);
    if (rc == E_NOT_FOUND) {
        return 0;
    }
    if (rc == 0 && !str_equal(spec.run, act->run)) {
        act_log(act, "database %s: the holder is run %s's, not ours: left alone", a->database.name,
                spec.run);
        return 0;
    }
    if (rc == 0) {
        rc = hold_status_read(act->arena, dir, &was, e);
    }
    if (rc == 0) {
        rc = hold_stop(act, &a->database, e);
    }
    while (rc == 0) {
        struct db_session s = {0};
        struct db_options options = {.run = act->run, .log_fd = act->log_fd};
        rc = db_open_wait(&s, act->arena, &a->database, &options, act->deadline_ms, e);
        if (rc == 0) {
            rc = prove_free(act, &s, &was, MAX(a->format, spec.format), e);
        }
        bool again = rc == E_UNAVAILABLE && act_now_ms() < act->deadline_ms;
        db_close(&s);
        if (!again) {
            break;
        }
        rc = 0;
    }
    if (rc == 0) {
        rc = file_remove(arena_printf(act->arena, "%s/" HOLD_SPEC, dir), e);
    }
    if (rc == 0) {
        rc = file_remove(arena_printf(act->arena, "%s/" HOLD_STATUS, dir), e);
    }
    return rc;
}
