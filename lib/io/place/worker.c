/*
 * The worker process: one action, one outcome. It reads DIR/instruction, acts, and leaves
 * DIR/outcome (written whole or not at all). It holds the lock that it inherited until it ends, so
 * that its death can be proved.
 *
 * File descriptors: 1 and 2 the log, WORKER_FD_PROGRESS a pipe to whoever started it (may be
 * closed), WORKER_FD_LOCK the lock.
 */
#include "lib/io/place/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/place/actions.h"
#include "lib/io/place/fetch.h"
#include "lib/io/place/place.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"

struct worker {
    struct arena arena;
    const char *state_dir;
    const char *dir;
    struct place_worker_config config;
    int64_t told_ms; /* when progress was told last */
    int progress_fd; /* the same for an agent of a later life; -1: none is kept */
};

#define PROGRESS_EVERY_MS 100

static void tell_progress(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    struct worker *w = act->shell;
    int64_t now = act_now_ms();
    if (now - w->told_ms < PROGRESS_EVERY_MS && done != total) {
        return;
    }
    w->told_ms = now;
    char line[256];
    int len = snprintf(line, sizeof(line), "%llu %llu %.200s\n", (unsigned long long)done,
                       (unsigned long long)total, text != NULL ? text : "");
    /* Longer than what it writes over, or not: who reads it stops at the first end of a line. */
    if (len > 0 && w->progress_fd >= 0 && pwrite(w->progress_fd, line, (size_t)len, 0) < 0) {
        act_log(act, "cannot keep the progress: %s", strerror(errno));
    }
    /* Nobody may be listening any more: the outcome is what counts. */
    if (len > 0 && write(WORKER_FD_PROGRESS, line, (size_t)len) < 0) {
        return;
    }
}

/* Whoever asked for an observation has the other end of the pipe: gone, or it wants no answer any more. A step is never
 * stopped so. */
static bool nobody_listens(struct act *act UNUSED)
{
    struct pollfd end = {.fd = WORKER_FD_PROGRESS};
    return poll(&end, 1, 0) != 0;
}

static void tell_fetched(void *context, uint64_t done, uint64_t total)
{
    struct act *act = context;
    act->progress(act, done, total, "fetching");
}

static int get_blob(struct act *act, const char *sha256, const char **ret_path, struct error *e)
{
    struct worker *w = act->shell;
    struct fetch_options options = {.from = &w->config,
                                    .sha256 = sha256,
                                    .deadline_ms = act->deadline_ms,
                                    .progress = tell_fetched,
                                    .context = act};
    return fetch_blob(act->arena, &options, ret_path, e);
}

static const char *config_text(struct worker *w, const json_t *json, const char *key)
{
    return arena_strdup(&w->arena, json_string_value(json_object_get(json, key)));
}

static int read_config(struct worker *w, struct error *e)
{
    const char *path = arena_printf(&w->arena, "%s/worker.json", w->state_dir);
    json_error_t why;
    json_t *json = json_load_file(path, 0, &why);
    if (json == NULL) {
        return error_set(e, E_INVALID, "%s: %s", path, why.text);
    }
    w->config = (struct place_worker_config){
        .blobs = config_text(w, json, "blobs"),
        .host = config_text(w, json, "host"),
        .port = (uint16_t)json_integer_value(json_object_get(json, "port")),
        .server_name = config_text(w, json, "server_name"),
        .ca_file = config_text(w, json, "ca_file"),
        .certificate_file = config_text(w, json, "certificate_file"),
        .key_file = config_text(w, json, "key_file"),
    };
    json_decref(json);
    return w->config.blobs != NULL ? 0 : error_set(e, E_INVALID, "%s names no blobs", path);
}

/* ---- the two files ---- */

int worker_instruction_pack(struct arena *arena, const struct wire_instruction *instruction,
                            struct bytes *ret, struct error *e)
{
    Lockstep__V1__Instruction message = LOCKSTEP__V1__INSTRUCTION__INIT;
    Lockstep__V1__Key key = LOCKSTEP__V1__KEY__INIT;
    message.key = &key;
    wire_instruction_to(arena, instruction, &message);
    return wire_pack(arena, &message.base, ret, e);
}

int worker_instruction_unpack(struct arena *arena, struct bytes bytes, struct wire_instruction *ret,
                              struct error *e)
{
    const ProtobufCMessage *message = NULL;
    int r = wire_unpack(arena, &lockstep__v1__instruction__descriptor, bytes, &message, e);
    return r < 0 ? r : wire_instruction_from((const Lockstep__V1__Instruction *)message, ret, e);
}

int worker_outcome_pack(struct arena *arena, const struct outcome *outcome, size_t facts_bytes_max,
                        struct bytes *ret, struct error *e)
{
    Lockstep__V1__Outcome message = LOCKSTEP__V1__OUTCOME__INIT;
    wire_outcome_to(arena, outcome, facts_bytes_max, &message);
    return wire_pack(arena, &message.base, ret, e);
}

int worker_outcome_unpack(struct arena *arena, struct bytes bytes, struct outcome *ret)
{
    const ProtobufCMessage *message = NULL;
    int r = wire_unpack(arena, &lockstep__v1__outcome__descriptor, bytes, &message, NULL);
    return r < 0 ? r : wire_outcome_from((const Lockstep__V1__Outcome *)message, ret, NULL);
}

static int read_instruction(struct worker *w, struct wire_instruction *ret, struct error *e)
{
    const char *path = arena_printf(&w->arena, "%s/instruction", w->dir);
    char *text = NULL;
    size_t len = 0;
    int r = file_read(&w->arena, path, WORKER_FILE_BYTES_MAX, &text, &len, e);
    return r < 0 ? r
                 : worker_instruction_unpack(&w->arena, (struct bytes){(const uint8_t *)text, len},
                                             ret, e);
}

static int read_action(struct arena *arena, struct bytes text, struct action *ret, struct error *e)
{
    json_error_t why;
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
    if (json == NULL) {
        return error_set(e, E_INVALID, "the action is no JSON: %s", why.text);
    }
    int r = shape_from_json(&action_shape, json, ret, arena, e);
    json_decref(json);
    return r;
}

static const char *log_tail(struct worker *w)
{
    const char *path = arena_printf(&w->arena, "%s/log", w->dir);
    return file_tail(&w->arena, path, LIMIT_LOG_TAIL_BYTES);
}

static int write_outcome(struct worker *w, const struct act *act, int r, int64_t started_ms,
                         struct error *e)
{
    const struct outcome outcome = {
        .status = r == 0           ? OUTCOME_DONE
                  : r == E_UNKNOWN ? OUTCOME_UNKNOWN
                                   : OUTCOME_FAILED,
        .code = r,
        .message = r == 0 ? "" : e->message,
        .log_tail = log_tail(w),
        .facts = act->facts,
        .started_ms = started_ms,
        .ended_ms = act_now_ms(),
    };
    struct bytes packed = {0};
    int written = worker_outcome_pack(
        &w->arena, &outcome, MAX(act->facts_bytes_max, (size_t)LIMIT_FACTS_BYTES), &packed, e);
    const char *path = arena_printf(&w->arena, "%s/outcome", w->dir);
    return written < 0 ? written : file_write(path, packed.data, packed.len, 0600, e);
}

static int work(struct worker *w, struct error *e)
{
    int64_t started_ms = act_now_ms();
    struct wire_instruction instruction = {0};
    struct act act = {.arena = &w->arena,
                      .program = "/proc/self/exe",
                      .state_dir = w->state_dir,
                      .work_dir = w->dir,
                      .log_fd = STDERR_FILENO,
                      .blob = get_blob,
                      .progress = tell_progress,
                      .shell = w};
    int r = read_instruction(w, &instruction, e);
    if (r == 0) {
        r = read_config(w, e);
    }
    struct action action = {0};
    if (r == 0) {
        r = read_action(&w->arena, instruction.action, &action, e);
    }
    if (r == 0) {
        act.run = instruction.key.run;
        act.cluster = instruction.cluster;
        act.application = instruction.state_name;
        act.step = arena_printf(&w->arena, "%u.%u", instruction.key.phase, instruction.key.step);
        act.attempt = instruction.key.attempt;
        act.fence = instruction.fence;
        act.deadline_ms = instruction.deadline_ms;
        if (str_empty(act.run)) {
            act.stopped = nobody_listens;
            act.facts_bytes_max = LIMIT_OBSERVED_BYTES;
        } else {
            const char *path = arena_printf(&w->arena, "%s/" WORKER_PROGRESS_FILE, w->dir);
            w->progress_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        }
        r = actions_run(&act, &action, e);
    }
    return write_outcome(w, &act, r, started_ms, e);
}

int place_worker_main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "this command is how lockstep starts a worker; it is not for people\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    /* What we start must not keep our lock or our pipe. */
    fcntl(WORKER_FD_PROGRESS, F_SETFD, FD_CLOEXEC);
    fcntl(WORKER_FD_LOCK, F_SETFD, FD_CLOEXEC);
    struct worker w = {.state_dir = argv[1], .dir = argv[2], .progress_fd = -1};
    arena_init(&w.arena);
    struct error e = {0};
    int r = work(&w, &e);
    if (r < 0) {
        fprintf(stderr, "%s\n", e.message);
    }
    arena_deinit(&w.arena);
    return r < 0 ? 1 : 0;
}
