/*
 * The driver for a service that is a plain process: it starts a keeper (keeper.c), finds the process again by its files and
 * proves that the pid is still it. It refuses to trust a pid alone.
 */
#include "lib/io/platform/service_process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/service.h"

#define START_SETTLE_MS  100
#define KEEPER_LEAVES_MS 5000
#define KEEPER_WRITES_MS 500
#define START_TAIL_BYTES 300 /* of the log, in the message: the whole tail travels beside it */

static const char *dir_of(const struct service_place *place)
{
    return arena_printf(place->arena, "%s/services/%s", place->state_dir, place->application);
}

/* The one text that both the log line and the program's name hang on. */
static const char *name_of(const struct service_place *place)
{
    return place->service->process->command.argv.items[0];
}

static int64_t until_of(const struct service_place *place)
{
    int64_t left = place->service->within_ms > 0 ? place->service->within_ms : 120000;
    if (place->deadline_ms > 0) {
        left = MIN(left, MAX(place->deadline_ms - act_now_ms(), 0));
    }
    return process_clock_ms() + left;
}

/* How the start with this nonce ended; NULL while it has not. */
static const char *exit_words(const struct service_place *place, const char *dir, const char *nonce)
{
    json_t *json = service_file_read(place->arena, dir, "exit.json");
    const char *words = NULL;
    const char *failed = json_string_value(json_object_get(json, "failed"));
    json_t *status = json_object_get(json, "status");
    if (str_equal(json_string_value(json_object_get(json, "nonce")), nonce)) {
        if (failed != NULL) {
            words = arena_printf(place->arena, "could not be started: %s", failed);
        } else if (json_is_integer(status)) {
            const char *all =
                process_status_words(place->arena, "", (int)json_integer_value(status));
            words = all + 1;
        }
    }
    json_decref(json);
    return words;
}

/* The process is gone; its keeper may be about to write down how. */
static const char *last_words(const struct service_place *place, const char *dir, const char *nonce)
{
    int64_t until = process_clock_ms() + KEEPER_WRITES_MS;
    const char *words = exit_words(place, dir, nonce);
    while (words == NULL && process_clock_ms() < until) {
        process_sleep_ms(5);
        words = exit_words(place, dir, nonce);
    }
    return words;
}

static int process_state(const struct service_place *place, struct service_status *ret,
                         struct error *e)
{
    (void)e;
    const char *dir = dir_of(place);
    struct service_process process;
    bool recorded = service_process_read(place->arena, dir, &process);
    *ret = (struct service_status){.log = process.log, .log_offset = process.log_offset};
    if (recorded && process_alive(&process.id)) {
        ret->running = true;
        ret->settled = true;
        ret->pid = process.id.pid;
        ret->since_ms = process_started_ms(&process.id);
        ret->words = "is running";
        return 0;
    }
    ret->words = recorded ? last_words(place, dir, process.nonce) : "was never started";
    if (ret->words == NULL) {
        ret->words = "is gone, and nobody saw how it ended (the machine was restarted, or its "
                     "keeper killed)";
    }
    return 0;
}

static const char *process_log_tail(const struct service_place *place, size_t bytes_max)
{
    struct service_process process;
    if (!service_process_read(place->arena, dir_of(place), &process) || process.log == NULL) {
        return "";
    }
    int64_t size = file_size(process.log);
    if (size < 0) {
        return "";
    }
    int64_t fresh = size >= process.log_offset ? size - process.log_offset : size;
    return file_tail(place->arena, process.log, (size_t)MIN(fresh, (int64_t)bytes_max));
}

static int process_exists(const struct service_place *place, struct error *e)
{
    const char *name = name_of(place);
    if (place->layout == NULL || name[0] == '/' || strchr(name, '/') == NULL ||
        !file_exists(place->layout)) {
        return 0; /* found in PATH, or not installed yet: its start says what is wrong */
    }
    if (access(arena_printf(place->arena, "%s/%s", place->layout, name), X_OK) < 0) {
        return error_set(
            e, E_NOT_FOUND,
            "the service's program %s is not in %s, or cannot be executed: check `service:`", name,
            place->layout);
    }
    return 0;
}

static int write_settings(const struct service_place *place, const char *dir, const char *nonce,
                          struct error *e)
{
    const struct process_service *settings = place->service->process;
    const char *base = place->layout != NULL ? place->layout : "/";
    const char *log = settings->log == NULL ? arena_printf(place->arena, "%s/log", dir)
                      : settings->log[0] == '/'
                          ? settings->log
                          : arena_printf(place->arena, "%s/%s", base, settings->log);
    json_t *json = json_pack("{s:s,s:s,s:s,s:o}", "nonce", nonce, "log", log, "directory", base,
                             "service", shape_to_json(&service_shape, place->service));
    return service_file_write(place->arena, dir, "service.json", json, e);
}

/* An earlier keeper writes its last words after its process died; a new one must not start before. True: it runs. */
static int wait_for_keeper(const struct service_place *place, const char *dir, bool *ret_running,
                           struct error *e)
{
    int64_t until = process_clock_ms() + KEEPER_LEAVES_MS;
    for (;;) {
        struct service_status status;
        process_state(place, &status, NULL);
        *ret_running = status.running;
        if (status.running) {
            return 0;
        }
        int lock = service_keeper_lock(place->arena, dir, e);
        if (lock >= 0) {
            close(lock);
            return 0;
        }
        if (process_clock_ms() > until) {
            return e != NULL ? e->code : E_CONFLICT;
        }
        process_sleep_ms(10);
    }
}

static int start_failed(const struct service_place *place, const char *words, struct error *e)
{
    const char *tail = process_log_tail(place, START_TAIL_BYTES);
    size_t len = strlen(tail);
    while (len > 0 && tail[len - 1] == '\n') {
        len--;
    }
    return error_set(e, E_IO, "%s %s%s%.*s", name_of(place), words,
                     len > 0 ? "; its last lines: " : "", (int)len, tail);
}

/* Does what the start with this nonce began run? The record of the start before stands until then, and its keeper's last words,
 * which process_state() would wait for, are gone already. */
static bool runs_since(const struct service_place *place, const char *dir, const char *nonce)
{
    struct service_process process;
    return service_process_read(place->arena, dir, &process) && str_equal(process.nonce, nonce) &&
           process_alive(&process.id);
}

/* Waits for the keeper's word about this start, and a moment more: a process that dies at once has not been started. */
static int watch_start(const struct service_place *place, const char *dir, const char *nonce,
                       struct error *e)
{
    int64_t until = until_of(place);
    int64_t settled_at = 0;
    for (;;) {
        bool running = runs_since(place, dir, nonce);
        const char *words = exit_words(place, dir, nonce);
        int64_t now = process_clock_ms();
        if (running) {
            settled_at = settled_at > 0 ? settled_at : now + START_SETTLE_MS;
            if (now >= settled_at) {
                return 0;
            }
        } else if (words != NULL) {
            return start_failed(place, words, e);
        } else if (settled_at > 0 && now > settled_at + KEEPER_LEAVES_MS) {
            struct service_status status;
            process_state(place, &status, NULL);
            return start_failed(place, status.words, e);
        }
        if (now > until) {
            return error_set(e, E_TIMEOUT, "%s was not started in time: see %s/keeper.log",
                             name_of(place), dir);
        }
        process_sleep_ms(5);
    }
}

static int process_start(const struct service_place *place, struct error *e)
{
    struct service_status status;
    process_state(place, &status, NULL);
    if (status.running) {
        return 0;
    }
    const char *dir = dir_of(place);
    int r = dir_make(dir, 0700, e);
    bool running = false;
    if (r == 0) {
        r = wait_for_keeper(place, dir, &running, e);
    }
    if (r < 0 || running) {
        return r;
    }
    /* What an earlier life of the service left in its group would hold its ports. */
    struct service_process process;
    if (service_process_read(place->arena, dir, &process)) {
        r = process_end_group(&process.id, SIGTERM, PROCESS_GRACE_MS, e);
    }
    const char *nonce =
        arena_printf(place->arena, "%d-%lld", (int)getpid(), (long long)act_now_ms());
    if (r == 0) {
        r = write_settings(place, dir, nonce, e);
    }
    if (r < 0) {
        return r;
    }
    char *absolute = realpath(dir, NULL);
    const char *arguments[] = {"keep", absolute != NULL ? absolute : dir, NULL};
    r = process_detach(place->program, arguments, arena_printf(place->arena, "%s/keeper.log", dir),
                       e);
    free(absolute);
    return r == 0 ? watch_start(place, dir, nonce, e) : r;
}

static int stop_signal_of(const struct service_place *place)
{
    switch ((enum stop_signal)place->service->process->stop_signal) {
    case STOP_TERM:
        break;
    case STOP_INT:
        return SIGINT;
    case STOP_QUIT:
        return SIGQUIT;
    }
    return SIGTERM;
}

static int process_stop(const struct service_place *place, struct error *e)
{
    const char *dir = dir_of(place);
    struct service_process process;
    if (!service_process_read(place->arena, dir, &process)) {
        return 0;
    }
    int64_t grace = place->service->process->stop_within_ms;
    if (place->deadline_ms > 0) {
        grace = MIN(grace, MAX(place->deadline_ms - act_now_ms() - PROCESS_GRACE_MS, 0));
    }
    int r = process_end_group(&process.id, stop_signal_of(place), grace, e);
    if (r < 0) {
        return error_wrap(e, "%s could not be stopped", name_of(place));
    }
    bool running;
    wait_for_keeper(place, dir, &running, NULL);
    return 0;
}

const struct service_driver service_process_driver = {
    .exists = process_exists,
    .start = process_start,
    .stop = process_stop,
    .state = process_state,
    .log_tail = process_log_tail,
};
