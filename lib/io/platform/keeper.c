/*
 * The keeper: one small process for each process service. It owns the service's start, its exit status and the bound of its
 * log. It outlives whoever started it; the service outlives it too, only its exit status is lost then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/service.h"
#include "lib/io/platform/service_process.h"

json_t *service_file_read(struct arena *arena, const char *dir, const char *name)
{
    char *text;
    size_t len;
    if (file_read(arena, arena_printf(arena, "%s/%s", dir, name), SERVICE_FILE_BYTES_MAX, &text,
                  &len, NULL) < 0) {
        return NULL;
    }
    return json_loadb(text, len, 0, NULL);
}

int service_file_write(struct arena *arena, const char *dir, const char *name, json_t *json,
                       struct error *e)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1));
    json_decref(json);
    if (text == NULL) {
        return error_set(e, E_INVALID, "%s/%s cannot be written: a text in it is not UTF-8", dir,
                         name);
    }
    int r = file_write(arena_printf(arena, "%s/%s", dir, name), text, strlen(text), 0600, e);
    free(text);
    return r;
}

bool service_process_read(struct arena *arena, const char *dir, struct service_process *ret)
{
    json_t *json = service_file_read(arena, dir, "process.json");
    const char *id = json_string_value(json_object_get(json, "id"));
    *ret = (struct service_process){
        .nonce = arena_strdup(arena, json_string_value(json_object_get(json, "nonce"))),
        .log = arena_strdup(arena, json_string_value(json_object_get(json, "log"))),
        .log_offset = json_integer_value(json_object_get(json, "log_offset"))};
    bool ok = id != NULL && process_id_parse(id, &ret->id);
    json_decref(json);
    return ok;
}

int service_process_write(struct arena *arena, const char *dir,
                          const struct service_process *process, struct error *e)
{
    return service_file_write(arena, dir, "process.json",
                              json_pack("{s:s,s:s,s:s,s:I}", "id",
                                        process_id_text(arena, &process->id), "nonce",
                                        process->nonce, "log", process->log, "log_offset",
                                        (json_int_t)process->log_offset),
                              e);
}

int service_keeper_lock(struct arena *arena, const char *dir, struct error *e)
{
    const char *path = arena_printf(arena, "%s/keeper.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        file_error(e, errno, "open", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        error_set(e, E_CONFLICT, "a keeper for %s lives already", dir);
        close(fd);
        return -1;
    }
    return fd;
}

struct keeper {
    struct arena arena;
    const char *dir;
    const char *directory; /* the service's working directory */
    struct service service;
    struct service_process process;
    int log_fd;
};

static int read_settings(struct keeper *k, struct error *e)
{
    json_t *json = service_file_read(&k->arena, k->dir, "service.json");
    if (json == NULL) {
        return error_set(e, E_NOT_FOUND, "%s/service.json is not there, or is damaged", k->dir);
    }
    k->process.nonce = arena_strdup(&k->arena, json_string_value(json_object_get(json, "nonce")));
    k->process.log = arena_strdup(&k->arena, json_string_value(json_object_get(json, "log")));
    k->directory = arena_strdup(&k->arena, json_string_value(json_object_get(json, "directory")));
    int r = shape_from_json(&service_shape, json_object_get(json, "service"), &k->service,
                            &k->arena, e);
    json_decref(json);
    if (r == 0 && (k->process.nonce == NULL || k->process.log == NULL || k->directory == NULL ||
                   k->service.process == NULL)) {
        r = error_set(e, E_INVALID, "%s/service.json is damaged", k->dir);
    }
    return r;
}

/* The service holds the log open, so its bytes move and the file stays: `log.1` gets them, and the log begins anew. Lines
 * written between the two are lost; a service that logs 16 MiB at a time can bear it. */
static void bound_log(struct keeper *k)
{
    struct stat st;
    if (fstat(k->log_fd, &st) < 0 || st.st_size < SERVICE_LOG_BYTES_MAX) {
        return;
    }
    const char *older = arena_printf(&k->arena, "%s.1", k->process.log);
    int to = open(older, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
    char chunk[65536];
    off_t at = 0;
    ssize_t n = 0;
    while (to >= 0 && (n = pread(k->log_fd, chunk, sizeof(chunk), at)) > 0) {
        if (write(to, chunk, (size_t)n) != n) {
            break;
        }
        at += n;
    }
    if (to >= 0) {
        close(to);
    }
    /* Also when the copy failed: the bound is what keeps the disk free. */
    if (ftruncate(k->log_fd, 0) == 0) {
        k->process.log_offset = 0;
        service_process_write(&k->arena, k->dir, &k->process, NULL);
    }
}

static int open_log(struct keeper *k, struct error *e)
{
    k->log_fd = open(k->process.log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (k->log_fd < 0) {
        return file_error(e, errno, "write the service's log", k->process.log);
    }
    off_t end = lseek(k->log_fd, 0, SEEK_END);
    k->process.log_offset = end > 0 ? end : 0;
    return 0;
}

static int record(void *context, const struct process_id *id, struct error *e)
{
    struct keeper *k = context;
    k->process.id = *id;
    return service_process_write(&k->arena, k->dir, &k->process, e);
}

static int keep(struct keeper *k, struct error *e)
{
    int r = read_settings(k, e);
    if (r == 0) {
        r = file_remove(arena_printf(&k->arena, "%s/exit.json", k->dir), e);
    }
    if (r == 0) {
        r = open_log(k, e);
    }
    if (r < 0) {
        return r;
    }
    bound_log(k);
    struct process_place place = {
        .directory = k->directory, .output_fd = k->log_fd, .record = record, .context = k};
    pid_t pid;
    r = process_spawn(&k->service.process->command, &place, &pid, e);
    if (r < 0) {
        return r;
    }
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int status;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        struct timespec second = {.tv_sec = 1};
        sigtimedwait(&child, NULL, &second);
        bound_log(k);
    }
    if (ended < 0) {
        return error_set(e, E_IO, "the exit status of the service was lost: %s", strerror(errno));
    }
    return service_file_write(&k->arena, k->dir, "exit.json",
                              json_pack("{s:s,s:i,s:I}", "nonce", k->process.nonce, "status",
                                        status, "ended_ms", (json_int_t)act_now_ms()),
                              e);
}

int service_keep_main(const char *dir)
{
    /* Only KILL ends a keeper early: it has nothing to stop, the service is stopped directly. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    struct keeper k = {.dir = dir, .log_fd = -1};
    arena_init(&k.arena);
    struct error e = {0};
    int lock = service_keeper_lock(&k.arena, dir, &e);
    int r = lock < 0 ? e.code : keep(&k, &e);
    if (r < 0) {
        fprintf(stderr, "keeper: %s\n", e.message);
    }
    if (r < 0 && lock >= 0) {
        const char *nonce = k.process.nonce != NULL ? k.process.nonce : "";
        service_file_write(
            &k.arena, dir, "exit.json",
            json_pack("{s:s,s:s,s:i}", "nonce", nonce, "failed", e.message, "code", e.code), NULL);
    }
    if (k.log_fd >= 0) {
        close(k.log_fd);
    }
    if (lock >= 0) {
        close(lock);
    }
    arena_deinit(&k.arena);
    return r < 0 ? 1 : 0;
}
