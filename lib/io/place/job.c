/*
 * Owns the jobs of a place: one instruction or one observation each, with its worker process, its directory, and how it ended.
 * It decides nothing: what an end means is told to the place.
 *
 *   job_start ──> act ──exit──> DIR/outcome ──> ended
 *   job_look  ──> DIR/outcome ──> ended  |  worker alive: look again in LOOK_EVERY_MS  |  neither ──> lost
 */
#include "lib/io/place/job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/io/place/actions.h"
#include "lib/io/place/worker.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define LOOK_EVERY_MS 50

/* ---- the list ---- */

struct job *job_find(const struct jobs *jobs, const struct instruction_key *key)
{
    for (struct job *job = jobs->first; job != NULL; job = job->next) {
        if (job->kind == JOB_INSTRUCTION && strcmp(job->key.run, key->run) == 0 &&
            job->key.phase == key->phase && job->key.step == key->step &&
            job->key.attempt == key->attempt) {
            return job;
        }
    }
    return NULL;
}

bool job_is_once(const struct wire_instruction *instruction)
{
    struct arena arena;
    arena_init(&arena);
    struct action action = {0};
    json_t *json =
        json_loadb((const char *)instruction->action.data, instruction->action.len, 0, NULL);
    bool once = json != NULL && shape_from_json(&action_shape, json, &action, &arena, NULL) == 0 &&
                actions_once(&action);
    json_decref(json);
    arena_deinit(&arena);
    return once;
}

static struct wire_instruction copy_instruction(struct arena *arena,
                                                const struct wire_instruction *from)
{
    struct wire_instruction copy = *from;
    copy.cluster = arena_strdup(arena, from->cluster);
    copy.name = arena_strdup(arena, from->name);
    copy.state_name = arena_strdup(arena, from->state_name);
    copy.action.data =
        (const uint8_t *)arena_strndup(arena, (const char *)from->action.data, from->action.len);
    return copy;
}

struct job *job_new(struct jobs *jobs, enum job_kind kind,
                    const struct wire_instruction *instruction, const char *dir)
{
    struct job *job = calloc(1, sizeof(*job));
    assert(job != NULL);
    arena_init(&job->arena);
    job->jobs = jobs;
    job->kind = kind;
    job->key = instruction->key;
    job->instruction = copy_instruction(&job->arena, instruction);
    job->dir = arena_strdup(&job->arena, dir);
    job->once = kind == JOB_INSTRUCTION && job_is_once(instruction);
    job->next = jobs->first;
    jobs->first = job;
    jobs->observations += kind == JOB_OBSERVATION ? 1 : 0;
    uv_timer_init(jobs->loop, &job->timer);
    job->timer.data = job;
    job->handles++;
    return job;
}

void job_renew(struct job *job, const struct wire_instruction *instruction)
{
    job->instruction.fence = instruction->fence;
    job->instruction.deadline_ms = instruction->deadline_ms;
}

static void free_job(struct job *job)
{
    arena_deinit(&job->arena);
    free(job);
}

static void handle_closed(uv_handle_t *handle)
{
    struct job *job = handle->data;
    job->handles--;
    if (job->handles == 0 && job->removed) {
        free_job(job);
    }
}

static void close_handle(struct job *job, uv_handle_t *handle)
{
    if (handle->data == job && !uv_is_closing(handle)) {
        uv_close(handle, handle_closed);
    }
}

void job_remove(struct job *job)
{
    struct job **link = &job->jobs->first;
    while (*link != job) {
        link = &(*link)->next;
    }
    *link = job->next;
    job->removed = true;
    if (job->kind == JOB_OBSERVATION) {
        job->jobs->observations--;
    }
    close_handle(job, (uv_handle_t *)&job->process);
    close_handle(job, (uv_handle_t *)&job->progress);
    close_handle(job, (uv_handle_t *)&job->timer);
    if (job->handles == 0) {
        free_job(job);
    }
}

/* ---- how a job ended ---- */

/* True when the worker left an outcome, and the job has ended with it. */
static bool end_with_outcome(struct job *job)
{
    struct arena arena;
    arena_init(&arena);
    char *text = NULL;
    size_t len = 0;
    struct outcome outcome;
    const char *path = arena_printf(&arena, "%s/outcome", job->dir);
    bool found =
        file_read(&arena, path, WORKER_FILE_BYTES_MAX, &text, &len, NULL) == 0 &&
        worker_outcome_unpack(&arena, (struct bytes){(const uint8_t *)text, len}, &outcome) == 0;
    if (found) {
        job->jobs->ended(job, &outcome);
    }
    arena_deinit(&arena);
    return found;
}

void job_end(struct job *job, enum outcome_status status, int code, const char *message)
{
    struct arena arena;
    arena_init(&arena);
    const char *log =
        file_tail(&arena, arena_printf(&arena, "%s/log", job->dir), LIMIT_LOG_TAIL_BYTES);
    int64_t now = act_now_ms();
    struct outcome outcome = {.status = status,
                              .code = code,
                              .message = message,
                              .log_tail = log,
                              .started_ms = now,
                              .ended_ms = now};
    job->jobs->ended(job, &outcome);
    arena_deinit(&arena);
}

/* Without the action's own intent it has not begun: a crash between our intent and the worker is no question. */
static bool would_double(struct arena *arena, const struct job *job)
{
    return job->once && file_exists(arena_printf(arena, "%s/" ACT_INTENT_FILE, job->dir));
}

static void end_without_outcome(struct job *job, const char *what)
{
    struct arena arena;
    arena_init(&arena);
    if (would_double(&arena, job)) {
        job_end(job, OUTCOME_UNKNOWN, E_UNKNOWN,
                arena_printf(&arena,
                             "%s: it may or may not have run: look at what it changes, then retry",
                             what));
    } else {
        job_end(job, OUTCOME_FAILED, E_IO, what);
    }
    arena_deinit(&arena);
}

/* ---- workers ---- */

static void tell_progress(struct job *job, const char *line)
{
    unsigned long long done = 0;
    unsigned long long total = 0;
    int text = 0;
    if (sscanf(line, "%llu %llu %n", &done, &total, &text) >= 2) {
        job->jobs->progress(job, done, total, line + text);
    }
}

static void give_line(uv_handle_t *handle, size_t suggested UNUSED, uv_buf_t *buf)
{
    struct job *job = handle->data;
    if (job->line_len + 1 >= sizeof(job->line)) {
        job->line_len = 0; /* a line too long is nobody's progress */
    }
    *buf = uv_buf_init(job->line + job->line_len,
                       (unsigned int)(sizeof(job->line) - 1 - job->line_len));
}

static void got_line(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf UNUSED)
{
    struct job *job = stream->data;
    if (len < 0) {
        uv_read_stop(stream);
        return;
    }
    job->line_len += (size_t)len;
    char *end;
    while ((end = memchr(job->line, '\n', job->line_len)) != NULL) {
        *end = '\0';
        tell_progress(job, job->line);
        size_t used = (size_t)(end - job->line) + 1;
        memmove(job->line, job->line + used, job->line_len - used);
        job->line_len -= used;
    }
}

static void worker_exited(uv_process_t *process, int64_t status, int signal_number)
{
    struct job *job = process->data;
    if (end_with_outcome(job)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    const char *what =
        signal_number != 0
            ? arena_printf(&arena, "the worker was killed by signal %d (%s)", signal_number,
                           strsignal(signal_number))
            : arena_printf(&arena, "the worker left no outcome and ended with status %" PRId64,
                           status);
    end_without_outcome(job, what);
    arena_deinit(&arena);
}

static void observation_late(uv_timer_t *timer)
{
    struct job *job = timer->data;
    struct arena arena;
    arena_init(&arena);
    uv_kill(-job->process.pid, SIGKILL); /* its exit ends the job */
    process_end_recorded(arena_printf(&arena, "%s/command.pid", job->dir), NULL);
    arena_deinit(&arena);
}

static int open_in(struct arena *arena, const struct job *job, const char *name, int flags,
                   struct error *e)
{
    const char *path = arena_printf(arena, "%s/%s", job->dir, name);
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(e, error_from_errno(errno), "cannot write %s: %s", path, strerror(errno));
    }
    return fd;
}

static int spawn(struct job *job, int log_fd, int lock_fd, struct error *e)
{
    const struct jobs *jobs = job->jobs;
    char *args[] = {"lockstep-worker", "act", (char *)jobs->state_dir, (char *)job->dir, NULL};
    uv_pipe_init(jobs->loop, &job->progress, 0);
    job->progress.data = job;
    job->handles++;
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&job->progress},
        {.flags = UV_INHERIT_FD, .data.fd = lock_fd},
    };
    static_assert(WORKER_FD_PROGRESS == 3 && WORKER_FD_LOCK == 4, "the order above");
    uv_process_options_t options = {.file = jobs->program,
                                    .args = args,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = ARRAY_SIZE(stdio),
                                    .exit_cb = worker_exited};
    int r = uv_spawn(jobs->loop, &job->process, &options);
    job->process.data = job;
    job->handles++;
    if (r != 0) {
        return error_set(e, E_IO, "cannot start a worker (%s): %s", jobs->program, uv_strerror(r));
    }
    uv_unref((uv_handle_t *)&job->process);
    uv_read_start((uv_stream_t *)&job->progress, give_line, got_line);
    return 0;
}

static int prepare(struct arena *arena, struct job *job, int *ret_log_fd, int *ret_lock_fd,
                   struct error *e)
{
    int r = dir_make(job->dir, 0700, e);
    if (r < 0) {
        return r;
    }
    unlink(arena_printf(arena, "%s/outcome", job->dir));
    unlink(arena_printf(arena, "%s/" WORKER_PROGRESS_FILE, job->dir));
    struct bytes packed = {0};
    r = worker_instruction_pack(arena, &job->instruction, &packed, e);
    if (r == 0) {
        const char *path = arena_printf(arena, "%s/instruction", job->dir);
        r = file_write(path, packed.data, packed.len, 0600, e);
    }
    if (r < 0) {
        return r;
    }
    int log_fd = open_in(arena, job, "log", O_WRONLY | O_APPEND, e);
    int lock_fd = log_fd < 0 ? log_fd : open_in(arena, job, "lock", O_RDWR, e);
    if (lock_fd < 0) {
        if (log_fd >= 0) {
            close(log_fd);
        }
        return lock_fd;
    }
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
        close(log_fd);
        close(lock_fd);
        return error_set(e, E_CONFLICT, "an earlier worker of this step is still alive");
    }
    *ret_log_fd = log_fd;
    *ret_lock_fd = lock_fd;
    return 0;
}

static void start_worker(uv_timer_t *timer)
{
    struct job *job = timer->data;
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    int log_fd = -1;
    int lock_fd = -1;
    if (job->unheard) {
        job_end(job, OUTCOME_FAILED, E_CANCELLED, "nobody waits for it any more");
        arena_deinit(&arena);
        return;
    }
    int r = prepare(&arena, job, &log_fd, &lock_fd, &e);
    if (r == 0) {
        r = spawn(job, log_fd, lock_fd, &e);
        close(log_fd);
        close(lock_fd); /* the worker has its own descriptor of the same lock */
    }
    if (r < 0) {
        job_end(job, OUTCOME_FAILED, e.code, e.message);
    } else if (job->kind == JOB_OBSERVATION) {
        uv_timer_start(&job->timer, observation_late, (uint64_t)job->kill_ms, 0);
    }
    arena_deinit(&arena);
}

/* ---- after a restart ---- */

static bool worker_lives(const struct job *job)
{
    struct arena arena;
    arena_init(&arena);
    int fd = open(arena_printf(&arena, "%s/lock", job->dir), O_RDWR | O_CLOEXEC);
    arena_deinit(&arena);
    if (fd < 0) {
        return false;
    }
    bool lives = flock(fd, LOCK_EX | LOCK_NB) < 0;
    close(fd);
    return lives;
}

/* The pipe ended with who started the worker. What it tells is in a file as well. */
static void look_at_progress(struct job *job)
{
    char path[LIMIT_PATH_BYTES];
    char line[JOB_PROGRESS_BYTES];
    snprintf(path, sizeof(path), "%s/" WORKER_PROGRESS_FILE, job->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (fd >= 0) {
        close(fd);
    }
    char *end = len > 0 ? memchr(line, '\n', (size_t)len) : NULL;
    if (end == NULL) {
        return;
    }
    *end = '\0';
    if (strcmp(line, job->line) != 0) {
        memcpy(job->line, line, (size_t)(end - line) + 1);
        tell_progress(job, line);
    }
}

static void look(uv_timer_t *timer)
{
    struct job *job = timer->data;
    /* First whether it lives, then whether there is an outcome: the other order could miss both. */
    bool lives = worker_lives(job);
    look_at_progress(job);
    if (!lives && end_with_outcome(job)) {
        return;
    }
    if (!lives) {
        struct arena arena;
        arena_init(&arena);
        bool once = would_double(&arena, job);
        arena_deinit(&arena);
        job->jobs->lost(job, once);
        return;
    }
    uv_timer_start(&job->timer, look, LOOK_EVERY_MS, 0);
}

/* ---- from the loop ---- */

void job_start(struct job *job)
{
    uv_timer_start(&job->timer, start_worker, 0, 0);
}

void job_unhear(struct job *job)
{
    job->unheard = true;
    close_handle(job, (uv_handle_t *)&job->progress);
}

void job_look(struct job *job)
{
    uv_timer_start(&job->timer, look, 0, 0);
}
