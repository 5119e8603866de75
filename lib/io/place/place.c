/*
 * Owns a place: the agent machine, its journal, and the jobs under way. It decides nothing about
 * what may run: that is the machine's; what an action does is the worker's.
 *
 * A job is one instruction or one observation with its worker:
 *
 *   order ──> (machine: intent durable) ──> start_worker ──exit──> outcome file ──> machine ──>
 * report restart ──> look: outcome file | worker alive (look again in LOOK_EVERY_MS) | neither
 * (LOST)
 */
#include "lib/io/place/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/core/agent.h"
#include "lib/io/place/actions.h"
#include "lib/io/place/worker.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/store/journal.h"
#include "lib/wire/message.h"
#include "lib/wire/record.h"

#define LOOK_EVERY_MS       50
#define OBSERVATION_MS      20000
#define LIMIT_OBSERVATIONS  64
#define PROGRESS_LINE_BYTES 512

enum job_kind { JOB_INSTRUCTION, JOB_OBSERVATION };

struct job {
    struct place *place; /* borrowed */
    struct job *next;    /* owned by place->jobs */
    enum job_kind kind;
    struct instruction_key key; /* JOB_INSTRUCTION */
    uint64_t observation;       /* JOB_OBSERVATION: the order's id */
    struct arena arena;         /* of the instruction */
    struct wire_instruction instruction;
    bool once;
    const char *dir; /* in the arena */
    uv_process_t process;
    uv_pipe_t progress;
    uv_timer_t timer; /* instruction: look again; observation: its deadline */
    int handles;      /* open; the job is freed with the last */
    bool removed;
    char line[PROGRESS_LINE_BYTES];
    size_t line_len;
};

struct place {
    uv_loop_t *loop; /* borrowed */
    struct place_options options;
    struct arena arena; /* the machine's and the options' strings */
    struct agent_machine *machine;
    struct journal *journal;
    uint64_t base;    /* the journal's last number when this life began */
    uint64_t durable; /* as the machine counts */
    struct job *jobs;
    size_t observations;
    const struct wire_instruction *arriving; /* while the machine is asked about it */
};

static void carry_out(struct place *p, const struct agent_event *event);

/* ---- jobs ---- */

static struct job *find_job(struct place *p, const struct instruction_key *key)
{
    for (struct job *job = p->jobs; job != NULL; job = job->next) {
        if (job->kind == JOB_INSTRUCTION && strcmp(job->key.run, key->run) == 0 &&
            job->key.phase == key->phase && job->key.step == key->step &&
            job->key.attempt == key->attempt) {
            return job;
        }
    }
    return NULL;
}

static bool is_once(const struct wire_instruction *instruction)
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

static struct job *new_job(struct place *p, enum job_kind kind,
                           const struct wire_instruction *instruction, const char *dir)
{
    struct job *job = calloc(1, sizeof(*job));
    assert(job != NULL);
    arena_init(&job->arena);
    job->place = p;
    job->kind = kind;
    job->key = instruction->key;
    job->instruction = copy_instruction(&job->arena, instruction);
    job->dir = arena_strdup(&job->arena, dir);
    job->once = kind == JOB_INSTRUCTION && is_once(instruction);
    job->next = p->jobs;
    p->jobs = job;
    uv_timer_init(p->loop, &job->timer);
    job->timer.data = job;
    job->handles++;
    return job;
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

static void remove_job(struct job *job)
{
    struct job **link = &job->place->jobs;
    while (*link != job) {
        link = &(*link)->next;
    }
    *link = job->next;
    job->removed = true;
    if (job->kind == JOB_OBSERVATION) {
        job->place->observations--;
    }
    close_handle(job, (uv_handle_t *)&job->process);
    close_handle(job, (uv_handle_t *)&job->progress);
    close_handle(job, (uv_handle_t *)&job->timer);
    if (job->handles == 0) {
        free_job(job);
    }
}

/* ---- how a job ended ---- */

static void job_ended(struct job *job, const struct outcome *outcome)
{
    struct place *p = job->place;
    switch (job->kind) {
    case JOB_INSTRUCTION:
        carry_out(p, &(struct agent_event){.type = AGENT_EVENT_ACTED,
                                           .now_ms = act_now_ms(),
                                           .key = job->key,
                                           .outcome = outcome});
        break;
    case JOB_OBSERVATION: {
        const struct wire_report report = {
            .type = WIRE_REPORT_OBSERVED, .id = job->observation, .outcome = *outcome};
        dir_remove(job->dir, NULL);
        remove_job(job);
        p->options.report(p->options.context, &report);
        break;
    }
    }
}

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
        file_read(&arena, path, LIMIT_RECORD_BYTES, &text, &len, NULL) == 0 &&
        worker_outcome_unpack(&arena, (struct bytes){(const uint8_t *)text, len}, &outcome) == 0;
    if (found) {
        job_ended(job, &outcome);
    }
    arena_deinit(&arena);
    return found;
}

static void end_with_words(struct job *job, enum outcome_status status, int code,
                           const char *message)
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
    job_ended(job, &outcome);
    arena_deinit(&arena);
}

static void end_without_outcome(struct job *job, const char *what)
{
    struct arena arena;
    arena_init(&arena);
    if (job->once) {
        end_with_words(
            job, OUTCOME_UNKNOWN, E_UNKNOWN,
            arena_printf(&arena,
                         "%s: it may or may not have run: look at what it changes, then retry",
                         what));
    } else {
        end_with_words(job, OUTCOME_FAILED, E_IO, what);
    }
    arena_deinit(&arena);
}

/* ---- workers ---- */

static void tell_progress(struct job *job, const char *line)
{
    unsigned long long done = 0;
    unsigned long long total = 0;
    int text = 0;
    if (job->kind != JOB_INSTRUCTION || sscanf(line, "%llu %llu %n", &done, &total, &text) < 2) {
        return;
    }
    const struct wire_report report = {.type = WIRE_REPORT_PROGRESS,
                                       .key = job->key,
                                       .done = done,
                                       .total = total,
                                       .text = line + text};
    job->place->options.report(job->place->options.context, &report);
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
    uv_kill(-job->process.pid, SIGKILL); /* its exit ends the job */
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
    struct place *p = job->place;
    char *args[] = {(char *)p->options.program, "act", (char *)p->options.state_dir,
                    (char *)job->dir, NULL};
    uv_pipe_init(p->loop, &job->progress, 0);
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
    uv_process_options_t options = {.file = p->options.program,
                                    .args = args,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = ARRAY_SIZE(stdio),
                                    .exit_cb = worker_exited};
    int r = uv_spawn(p->loop, &job->process, &options);
    job->process.data = job;
    job->handles++;
    if (r != 0) {
        return error_set(e, E_IO, "cannot start a worker (%s): %s", p->options.program,
                         uv_strerror(r));
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
    int r = prepare(&arena, job, &log_fd, &lock_fd, &e);
    if (r == 0) {
        r = spawn(job, log_fd, lock_fd, &e);
        close(log_fd);
        close(lock_fd); /* the worker has its own descriptor of the same lock */
    }
    if (r < 0) {
        end_with_words(job, OUTCOME_FAILED, e.code, e.message);
    } else if (job->kind == JOB_OBSERVATION) {
        uv_timer_start(&job->timer, observation_late, OBSERVATION_MS, 0);
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

static void look(uv_timer_t *timer)
{
    struct job *job = timer->data;
    struct place *p = job->place;
    /* First whether it lives, then whether there is an outcome: the other order could miss both. */
    bool lives = worker_lives(job);
    if (!lives && end_with_outcome(job)) {
        return;
    }
    if (!lives) {
        carry_out(p, &(struct agent_event){.type = AGENT_EVENT_LOST,
                                           .now_ms = act_now_ms(),
                                           .key = job->key,
                                           .once = job->once});
        return;
    }
    uv_timer_start(&job->timer, look, LOOK_EVERY_MS, 0);
}

/* ---- effects ---- */

/* From the loop, so that what comes of it never enters the machine while its effects are being
 * carried out. */
static void soon(struct job *job, uv_timer_cb callback)
{
    uv_timer_start(&job->timer, callback, 0, 0);
}

static char *job_dir(struct arena *arena, const struct place *p, const struct instruction_key *key)
{
    return arena_printf(arena, "%s/work/%s/%" PRIu32 ".%" PRIu32 ".%" PRIu32, p->options.state_dir,
                        key->run, key->phase, key->step, key->attempt);
}

static void keep_record(struct place *p, const struct agent_record *record)
{
    struct arena arena;
    arena_init(&arena);
    const char *stream = record->type == AGENT_RECORD_FENCE ? "place" : record->key.run;
    if (record->type == AGENT_RECORD_INTENT) {
        assert(p->arriving != NULL);
        new_job(p, JOB_INSTRUCTION, p->arriving, job_dir(&arena, p, &record->key));
    }
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_place_record_pack(&arena, record, p->arriving, &packed, &e) < 0) {
        p->options.failed(p->options.context, &e);
    } else {
        journal_append(p->journal, stream, packed);
    }
    if (record->type == AGENT_RECORD_OUTCOME) {
        struct job *job = find_job(p, &record->key);
        if (job != NULL) {
            remove_job(job);
        }
    }
    if (record->type == AGENT_RECORD_FORGET) {
        journal_forget(p->journal, stream);
        dir_remove(arena_printf(&arena, "%s/work/%s", p->options.state_dir, record->key.run), NULL);
    }
    arena_deinit(&arena);
}

static void report_ended(struct place *p, const struct agent_effect *effect)
{
    const struct wire_report report = {
        .type = WIRE_REPORT_ENDED, .key = effect->key, .outcome = *effect->outcome};
    p->options.report(p->options.context, &report);
}

static void report_busy(struct place *p, const struct agent_effect *effect)
{
    const struct wire_report report = {.type = WIRE_REPORT_BUSY, .key = effect->key};
    p->options.report(p->options.context, &report);
}

static void carry_out_one(struct place *p, const struct agent_effect *effect)
{
    struct job *job = NULL;
    switch (effect->type) {
    case AGENT_EFFECT_RECORD:
        keep_record(p, &effect->record);
        break;
    case AGENT_EFFECT_ACT:
        job = find_job(p, &effect->key);
        assert(job != NULL);
        soon(job, start_worker);
        break;
    case AGENT_EFFECT_ATTACH:
        job = find_job(p, &effect->key);
        assert(job != NULL);
        soon(job, look);
        break;
    case AGENT_EFFECT_REPORT:
        report_ended(p, effect);
        break;
    case AGENT_EFFECT_BUSY:
        report_busy(p, effect);
        break;
    }
}

static void carry_out(struct place *p, const struct agent_event *event)
{
    struct agent_effects *effects = malloc(sizeof(*effects));
    assert(effects != NULL);
    const struct agent_event more = {
        .type = AGENT_EVENT_DURABLE, .now_ms = event->now_ms, .number = p->durable};
    do {
        agent_step(p->machine, event, effects);
        for (size_t i = 0; i < effects->count; i++) {
            carry_out_one(p, &effects->items[i]);
        }
        event = &more;
    } while (effects->more);
    free(effects);
}

/* ---- orders ---- */

static void take_instruction(struct place *p, const struct wire_instruction *instruction)
{
    p->arriving = instruction;
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                       .now_ms = act_now_ms(),
                                       .key = instruction->key,
                                       .fence = instruction->fence});
    p->arriving = NULL;
}

static void take_observation(struct place *p, const struct wire_order *order)
{
    struct arena arena;
    arena_init(&arena);
    const struct wire_instruction instruction = {.cluster = order->cluster,
                                                 .name = "observe",
                                                 .state_name = order->state_name,
                                                 .action = order->action,
                                                 .deadline_ms = act_now_ms() + OBSERVATION_MS};
    const char *dir = arena_printf(&arena, "%s/observe/%" PRIu64, p->options.state_dir, order->id);
    struct job *job = new_job(p, JOB_OBSERVATION, &instruction, dir);
    job->observation = order->id;
    p->observations++;
    if (p->observations > LIMIT_OBSERVATIONS) {
        end_with_words(job, OUTCOME_FAILED, E_LIMIT, "too many observations at once");
    } else {
        soon(job, start_worker);
    }
    arena_deinit(&arena);
}

void place_order(struct place *p, const struct wire_order *order)
{
    switch (order->type) {
    case WIRE_ORDER_INSTRUCTION:
        take_instruction(p, &order->instruction);
        break;
    case WIRE_ORDER_OBSERVE:
        take_observation(p, order);
        break;
    case WIRE_ORDER_FORGET: {
        struct agent_event event = {.type = AGENT_EVENT_FORGET, .now_ms = act_now_ms()};
        memcpy(event.key.run, order->run, sizeof(event.key.run));
        carry_out(p, &event);
        break;
    }
    case WIRE_ORDER_WELCOME:
        break;
    }
}

void place_connected(struct place *p, uint64_t fence)
{
    carry_out(p, &(struct agent_event){
                     .type = AGENT_EVENT_FENCE, .now_ms = act_now_ms(), .fence = fence});
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_CONNECTED, .now_ms = act_now_ms()});
}

/* ---- opening and closing ---- */

static void records_durable(void *context, uint64_t number)
{
    struct place *p = context;
    if (number > p->base) {
        p->durable = number - p->base;
        carry_out(p, &(struct agent_event){.type = AGENT_EVENT_DURABLE,
                                           .now_ms = act_now_ms(),
                                           .number = p->durable});
    }
}

static void journal_failed(void *context, const struct error *e)
{
    struct place *p = context;
    p->options.failed(p->options.context, e);
}

static int replay(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct place *p = context;
    struct arena arena;
    arena_init(&arena);
    struct agent_record record = {0};
    struct wire_instruction instruction = {0};
    int r = wire_place_record_unpack(&arena, data, &record, &instruction, e);
    if (r == 0) {
        if (record.type == AGENT_RECORD_INTENT) {
            new_job(p, JOB_INSTRUCTION, &instruction, job_dir(&arena, p, &record.key));
        } else if (record.type == AGENT_RECORD_OUTCOME) {
            struct job *job = find_job(p, &record.key);
            if (job != NULL) {
                remove_job(job);
            }
        }
        carry_out(p, &(struct agent_event){
                         .type = AGENT_EVENT_REPLAY, .now_ms = record.at_ms, .record = &record});
    }
    arena_deinit(&arena);
    return r;
}

static void set_text(json_t *json, const char *key, const char *value)
{
    if (value != NULL) {
        json_object_set_new(json, key, json_string(value));
    }
}

static int write_worker_config(struct place *p, struct error *e)
{
    const struct place_worker_config *config = &p->options.worker;
    json_t *json = json_object();
    set_text(json, "blobs", config->blobs);
    set_text(json, "host", config->host);
    json_object_set_new(json, "port", json_integer(config->port));
    set_text(json, "server_name", config->server_name);
    set_text(json, "ca_file", config->ca_file);
    set_text(json, "certificate_file", config->certificate_file);
    set_text(json, "key_file", config->key_file);
    struct buf text;
    buf_init(&text, &p->arena, LIMIT_TEXT_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    return file_write(arena_printf(&p->arena, "%s/worker.json", p->options.state_dir), text.data,
                      text.len, 0600, e);
}

static int open_journal(struct place *p, struct error *e)
{
    const struct journal_options options = {
        .path = arena_printf(&p->arena, "%s/place.db", p->options.state_dir),
        .durable = records_durable,
        .failed = journal_failed,
        .context = p,
        .crash_before = p->options.crash_before,
        .crash_after = p->options.crash_after,
    };
    int r = journal_open(p->loop, &options, &p->journal, e);
    if (r == 0) {
        p->base = journal_last(p->journal);
        r = journal_read(p->journal, NULL, replay, p, e);
    }
    return r;
}

int place_open(uv_loop_t *loop, const struct place_options *options, struct place **ret,
               struct error *e)
{
    struct place *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    p->loop = loop;
    arena_init(&p->arena);
    p->options = *options;
    p->options.state_dir = arena_strdup(&p->arena, options->state_dir);
    p->options.program = arena_strdup(&p->arena, options->program);
    p->machine = agent_new(&p->arena);
    dir_remove(arena_printf(&p->arena, "%s/observe", options->state_dir), NULL);
    int r = dir_make(options->worker.blobs, 0700, e);
    if (r == 0) {
        r = dir_make(p->options.state_dir, 0700, e);
    }
    if (r == 0) {
        r = write_worker_config(p, e);
    }
    if (r == 0) {
        r = open_journal(p, e);
    }
    p->options.worker = (struct place_worker_config){0}; /* its strings were the caller's */
    if (r < 0) {
        place_close(p);
        return r;
    }
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_RESUME, .now_ms = act_now_ms()});
    *ret = p;
    return 0;
}

struct place *place_close(struct place *p)
{
    if (p == NULL) {
        return NULL;
    }
    while (p->jobs != NULL) {
        remove_job(p->jobs);
    }
    journal_close(p->journal);
    agent_free(p->machine);
    arena_deinit(&p->arena);
    free(p);
    return NULL;
}

uint64_t place_fence(const struct place *p)
{
    return agent_fence(p->machine);
}

uint32_t place_under_way(const struct place *p)
{
    return (uint32_t)agent_under_way(p->machine);
}
