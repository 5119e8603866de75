/*
 * Owns what stays between two calls on one database: who is at work, and the name of a run that did not come to its end,
 * so that the next call goes on with its evidence instead of guessing. Below --state:
 *   databases/NAME-DIGEST/claim   locked while a call is at work; its pid
 *   databases/NAME-DIGEST/run     {"attempt", "run", "step"} of the run under way, or interrupted
 *   databases/NAME-DIGEST/work/   the texts that run now
 *   databases/NAME-DIGEST/log     what the runner and the server said
 *   holders/                      of the lock (lib/io/db/hold.h)
 * Two calls from one state directory never work at once; calls from elsewhere are kept apart by the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/db/hold.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define POLL_MS        100
#define RUN_BYTES_MAX  4096
#define DIGEST_DIGITS  16
#define RELEASE_MS     20000
#define FENCE_TRIES    5
#define LOG_BYTES_MAX  (4 * 1024 * 1024)
#define INTERRUPT_TEXT "\nlockstep: stopping after this migration; once more to leave at once\n"

static const char *below(const struct db_call *call, const char *name)
{
    return arena_printf(call->arena, "%s/%s", call->home, name);
}

/* ---- being stopped ---- */

static volatile sig_atomic_t interrupts;

/* The second one leaves as a crash would: the same command goes on from there. */
static void interrupted(int number UNUSED)
{
    int saved = errno;
    if (++interrupts > 1) {
        _exit(CLI_INTERRUPTED);
    }
    ssize_t ignored = write(STDERR_FILENO, INTERRUPT_TEXT, sizeof(INTERRUPT_TEXT) - 1);
    (void)ignored;
    errno = saved;
}

static bool stopped(struct act *act)
{
    return interrupts > 0 || act_left_ms(act) == 0;
}

static void listen_for_signals(void)
{
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- the claim ---- */

static int make_home(struct db_call *call, struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(call->ref.url, strlen(call->ref.url), hex);
    call->home = arena_printf(call->arena, "%s/databases/%s-%.*s", call->state_dir, call->ref.name,
                              DIGEST_DIGITS, hex);
    int rc = dir_make(call->state_dir, 0700, e);
    return rc < 0 ? rc : dir_make(below(call, "work"), 0700, e);
}

static int refuse_second(struct db_call *call, const char *path, struct error *e)
{
    char *pid = NULL;
    size_t len = 0;
    if (file_read(call->arena, path, 64, &pid, &len, NULL) < 0) {
        pid = arena_strdup(call->arena, "?");
    }
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(e, E_TIMEOUT,
                     "another lockstep db (pid %s) is at work on database %s: wait for it, or stop "
                     "it with kill -INT %s",
                     pid, call->ref.name, pid);
}

static int claim(struct db_call *call, struct error *e)
{
    const char *path = below(call, "claim");
    call->claim_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (call->claim_fd < 0) {
        return file_error(e, errno, "write", path);
    }
    int64_t until = process_clock_ms() + call->wait_ms;
    while (flock(call->claim_fd, LOCK_EX | LOCK_NB) < 0) {
        if (interrupts > 0) {
            return error_set(e, E_CANCELLED, "stopped; nothing has run");
        }
        if (process_clock_ms() >= until) {
            return refuse_second(call, path, e);
        }
        process_sleep_ms(POLL_MS);
    }
    const char *pid = arena_printf(call->arena, "%ld\n", (long)getpid());
    if (ftruncate(call->claim_fd, 0) < 0 ||
        write(call->claim_fd, pid, strlen(pid)) != (ssize_t)strlen(pid)) {
        return file_error(e, errno, "write", path);
    }
    return 0;
}

/* ---- the run's name ---- */

struct remembered {
    const char *run, *step;
    uint32_t attempt;
};

static int run_read(struct db_call *call, struct remembered *ret, struct error *e)
{
    const char *path = below(call, "run");
    char *text = NULL;
    size_t len = 0;
    *ret = (struct remembered){0};
    int rc = file_read(call->arena, path, RUN_BYTES_MAX, &text, &len, e);
    if (rc < 0) {
        return rc == E_NOT_FOUND ? 0 : rc;
    }
    json_t *json = json_loadb(text, len, 0, NULL);
    ret->run = arena_strdup(call->arena, json_string_value(json_object_get(json, "run")));
    ret->step = arena_strdup(call->arena, json_string_value(json_object_get(json, "step")));
    ret->attempt = (uint32_t)json_integer_value(json_object_get(json, "attempt"));
    json_decref(json);
    if (ret->run == NULL || ret->step == NULL) {
        return error_set(e, E_INVALID,
                         "%s is damaged: remove it when no lockstep db is at work on this database",
                         path);
    }
    return 0;
}

static int run_write(struct db_call *call, struct error *e)
{
    json_t *json = json_pack("{s:I, s:s, s:s}", "attempt", (json_int_t)call->act.attempt, "run",
                             call->act.run, "step", call->act.step);
    char *text = json_dumps(json, JSON_SORT_KEYS);
    json_decref(json);
    int rc = file_write(below(call, "run"), text, strlen(text), 0600, e);
    free(text);
    return rc;
}

static const char *new_run(struct arena *arena)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        random = (uint32_t)getpid(); /* the time is in the name too */
    }
    time_t now = (time_t)(act_now_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    char when[32];
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    return arena_printf(arena, "db-%s-%08x", when, random);
}

bool db_resumes(const struct db_call *call)
{
    return call->resumes;
}

/* ---- the act ---- */

static int open_log(struct db_call *call)
{
    const char *path = below(call, "log");
    int flags = file_size(path) > LOG_BYTES_MAX ? O_TRUNC : 0;
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600);
}

static void make_act(struct db_call *call, const char *run, const char *step, uint32_t attempt)
{
    call->act = (struct act){.arena = call->arena,
                             .run = run,
                             .cluster = "",
                             .application = "",
                             .step = step,
                             .attempt = attempt,
                             .deadline_ms = act_now_ms() + call->timeout_ms,
                             .program = "/proc/self/exe",
                             .state_dir = call->state_dir,
                             .work_dir = below(call, "work"),
                             .log_fd = open_log(call),
                             .blob = db_folder_blob,
                             .stopped = stopped,
                             .shell = call};
}

/* An interrupted run of another kind (an `up`, and now a `down`): its session and its lock go first. What it left open
 * stands in the database, and is looked at there. */
static int let_go(struct db_call *call, const struct remembered *before, struct error *e)
{
    make_act(call, before->run, before->step, before->attempt);
    call->act.fence = 0;
    struct db_session s = {0};
    struct db_options options = {.run = before->run, .log_fd = call->act.log_fd};
    int rc = db_open(&s, call->arena, &call->ref, &options, e);
    if (rc == 0) {
        rc = s.engine->sole_worker(&s, before->run, before->step, call->act.deadline_ms, e);
    }
    db_close(&s);
    rc = rc < 0 ? rc : db_give_lock(call, e);
    close(call->act.log_fd);
    return rc;
}

int db_claim(struct db_call *call, const char *step, struct error *e)
{
    listen_for_signals();
    struct remembered before = {0};
    int rc = make_home(call, e);
    if (rc == 0) {
        rc = claim(call, e);
    }
    if (rc == 0) {
        rc = run_read(call, &before, e);
    }
    if (rc == 0 && before.run != NULL && !str_equal(before.step, step)) {
        rc = let_go(call, &before, e);
        before.run = NULL;
    }
    if (rc < 0) {
        return rc;
    }
    call->resumes = before.run != NULL;
    make_act(call, before.run != NULL ? before.run : new_run(call->arena), step,
             before.run != NULL ? before.attempt : 1);
    return run_write(call, e);
}

int db_act(struct db_call *call, const char *step, struct error *e)
{
    listen_for_signals();
    int rc = make_home(call, e);
    if (rc == 0) {
        make_act(call, new_run(call->arena), step, 1);
    }
    return rc;
}

int db_let_go(struct db_call *call, bool *ret, struct error *e)
{
    struct remembered before = {0};
    call->wait_ms = 0;
    int rc = make_home(call, e);
    rc = rc < 0 ? rc : claim(call, e);
    rc = rc < 0 ? rc : run_read(call, &before, e);
    *ret = rc == 0 && before.run != NULL;
    if (*ret) {
        rc = let_go(call, &before, e);
        call->act.log_fd = -1;
    }
    db_disclaim(call, rc == 0 && *ret);
    return rc;
}

void db_disclaim(struct db_call *call, bool over)
{
    if (over && call->claim_fd >= 0) {
        file_remove(below(call, "run"), NULL);
        dir_remove(below(call, "work"), NULL);
    }
    if (call->act.log_fd > 0) {
        close(call->act.log_fd);
    }
    if (call->claim_fd >= 0) {
        close(call->claim_fd);
    }
    call->claim_fd = -1;
}

/* ---- the lock ---- */

static int seen_fence(struct db_call *call, struct db_session *s, uint64_t *ret, struct error *e)
{
    bool there = false;
    *ret = 0;
    int rc = db_evidence_exists(s, &there, e);
    if (rc == 0 && there) {
        rc = db_fence_read(s, ret, e);
    }
    (void)call;
    return rc;
}

/* Whom we are going to wait for, said before it takes its time. */
static int say_holder(struct db_call *call, struct db_session *s, struct error *e)
{
    struct db_lock_state state = {0};
    struct db_holder row = {0};
    int rc = db_holder_read(s, call->arena, &row, e);
    rc = rc < 0 ? rc : s->engine->lock_state(s, call->arena, &state, e);
    if (rc == 0 && state.held && !str_equal(row.run, call->act.run)) {
        say("waiting up to %s for the lock of database %s: %s",
            str_duration(call->arena, call->wait_ms), call->ref.name, state.words);
    }
    return rc;
}

static int lock_format(const struct db_call *call)
{
    return call->format != NULL && !call->own_lock_only ? (int)call->format->kind : FORMAT_NONE;
}

static int lock_once(struct db_call *call, struct error *e)
{
    struct db_session s = {0};
    int rc = db_look_open(call, &s, e);
    rc = rc < 0 ? rc : seen_fence(call, &s, &call->act.fence, e);
    rc = rc < 0 ? rc : say_holder(call, &s, e);
    db_close(&s);
    if (rc < 0) {
        return rc;
    }
    struct db_lock_action lock = {
        .database = call->ref, .format = lock_format(call), .wait_ms = call->wait_ms};
    /* Of other programs that we start (a migrator, a restore) nobody can prove from afar that nothing is left: the lock
     * stays. */
    bool programs = call->own_lock_only || str_equal(call->act.step, "restore");
    call->act.leash = call->claim_fd >= 0 && !programs ? below(call, "claim") : NULL;
    struct action action = {.db_lock = &lock};
    return act_db_lock(&call->act, &action, e);
}

/* Nobody who holds the lock is fenced out by one that only waits for it: the fence is raised with the lock in hand. */
static int raise_fence(struct db_call *call, struct error *e)
{
    struct db_session s = {0};
    struct db_options options = {.run = call->act.run, .log_fd = call->act.log_fd};
    bool temporary = false;
    int rc = db_open_wait(&s, call->arena, &call->ref, &options, call->act.deadline_ms, e);
    rc = rc < 0 ? rc : seen_fence(call, &s, &call->act.fence, e);
    if (rc == 0) {
        call->act.fence++;
        rc = hold_ensure(&call->act, &s, &call->ref, lock_format(call), &temporary, e);
    }
    db_close(&s);
    return rc;
}

int db_take_lock(struct db_call *call, struct error *e)
{
    int rc = E_DENIED;
    for (int i = 0; i < FENCE_TRIES && rc == E_DENIED; i++) {
        uint64_t before = call->act.fence;
        rc = lock_once(call, e);
        if (rc == E_DENIED && i > 0 && before == call->act.fence) {
            break; /* no fence: a password or a role */
        }
    }
    return rc < 0 ? rc : raise_fence(call, e);
}

int db_give_lock(struct db_call *call, struct error *e)
{
    int64_t deadline = call->act.deadline_ms;
    bool (*asked)(struct act *) = call->act.stopped;
    call->act.deadline_ms = MAX(deadline, act_now_ms() + RELEASE_MS);
    call->act.stopped = NULL; /* letting go is what a stop is for */
    struct db_unlock_action unlock = {.database = call->ref, .format = lock_format(call)};
    struct action action = {.db_unlock = &unlock};
    int rc = act_db_unlock(&call->act, &action, e);
    call->act.deadline_ms = deadline;
    call->act.stopped = asked;
    return rc;
}
