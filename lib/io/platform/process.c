/* Owns the watching and ending of processes. It refuses to signal a pid that is not proved to be the one meant. */
#include "lib/io/platform/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"

int64_t process_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void process_sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (ms > 0 && nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

/* ---- who a process is ---- */

struct proc_stat {
    char state;
    pid_t parent;
    pid_t group;
    pid_t session;
    uint64_t start_ticks;
};

/* Source: proc(5), /proc/PID/stat. The name may hold anything, so reading starts after its last ')'. */
static bool read_stat(pid_t pid, struct proc_stat *ret)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *rest = strrchr(text, ')');
    int parent;
    int group;
    int session;
    unsigned long long ticks;
    if (rest == NULL ||
        sscanf(rest + 1,
               " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ret->state, &parent, &group, &session, &ticks) != 5) {
        return false;
    }
    ret->parent = parent;
    ret->group = group;
    ret->session = session;
    ret->start_ticks = ticks;
    return true;
}

static void read_boot_id(char ret[40])
{
    memset(ret, 0, 40);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL) {
        if (fgets(ret, 40, file) != NULL) {
            ret[strcspn(ret, "\n")] = '\0';
        }
        fclose(file);
    }
}

int process_identify(pid_t pid, struct process_id *ret_id, struct error *e)
{
    struct proc_stat stat;
    if (!read_stat(pid, &stat)) {
        return error_set(e, E_NOT_FOUND, "there is no process %d", (int)pid);
    }
    *ret_id = (struct process_id){.pid = pid, .start_ticks = stat.start_ticks};
    read_boot_id(ret_id->boot_id);
    return 0;
}

bool process_alive(const struct process_id *id)
{
    struct proc_stat stat;
    if (id->pid <= 0 || !read_stat(id->pid, &stat) || stat.start_ticks != id->start_ticks ||
        stat.state == 'Z' || stat.state == 'X') {
        return false;
    }
    char boot_id[40];
    read_boot_id(boot_id);
    return strcmp(boot_id, id->boot_id) == 0;
}

int64_t process_started_ms(const struct process_id *id)
{
    struct timespec now;
    struct timespec up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    int64_t boot_ms =
        ((int64_t)now.tv_sec - up.tv_sec) * 1000 + (now.tv_nsec - up.tv_nsec) / 1000000;
    return boot_ms + (int64_t)(id->start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

const char *process_id_text(struct arena *arena, const struct process_id *id)
{
    return arena_printf(arena, "%d %llu %s", (int)id->pid, (unsigned long long)id->start_ticks,
                        id->boot_id);
}

bool process_id_parse(const char *text, struct process_id *ret_id)
{
    struct process_id id = {.pid = 0};
    int pid;
    unsigned long long ticks;
    if (sscanf(text, "%d %llu %39s", &pid, &ticks, id.boot_id) != 3 || pid <= 1) {
        return false;
    }
    id.pid = pid;
    id.start_ticks = ticks;
    *ret_id = id;
    return true;
}

bool process_descends(pid_t pid, pid_t ancestor)
{
    for (int depth = 0; pid > 1 && depth < 64; depth++) {
        struct proc_stat stat;
        if (pid == ancestor) {
            return true;
        }
        if (!read_stat(pid, &stat)) {
            return false;
        }
        if (stat.session == ancestor) {
            return true;
        }
        pid = stat.parent;
    }
    return false;
}

const char *process_name(struct arena *arena, pid_t pid)
{
    char *text;
    /* A file of /proc says size 0, so file_read() would see nothing. */
    FILE *file = fopen(arena_printf(arena, "/proc/%d/comm", (int)pid), "re");
    text = arena_alloc(arena, 64);
    if (file == NULL || fgets(text, 64, file) == NULL) {
        memcpy(text, "?", 2);
    }
    if (file != NULL) {
        fclose(file);
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* ---- ending ---- */

/* A member of the group that is not a zombie. Zombies count for kill(), but wait only for a parent to look. */
static bool group_alive(pid_t group)
{
    if (kill(-group, 0) < 0 && errno == ESRCH) {
        return false;
    }
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return true;
    }
    bool found = false;
    struct dirent *entry;
    while (!found && (entry = readdir(proc)) != NULL) {
        uint64_t pid;
        struct proc_stat stat;
        if (str_to_u64(entry->d_name, INT32_MAX, &pid) && read_stat((pid_t)pid, &stat)) {
            found = stat.group == group && stat.state != 'Z' && stat.state != 'X';
        }
    }
    closedir(proc);
    return found;
}

int process_end_group(const struct process_id *leader, int stop_signal, int64_t grace_ms,
                      struct error *e)
{
    /* The group may outlive its leader; while it does, the number is not given to another process. */
    struct proc_stat stat;
    char boot_id[40];
    assert(leader->pid > 1);
    read_boot_id(boot_id);
    if (strcmp(boot_id, leader->boot_id) != 0 ||
        (read_stat(leader->pid, &stat) && stat.start_ticks != leader->start_ticks)) {
        return 0;
    }
    int64_t until = process_clock_ms() + grace_ms;
    int64_t give_up = until + 2 * (int64_t)PROCESS_GRACE_MS;
    bool killed = false;
    kill(-leader->pid, stop_signal);
    for (int64_t pause = 2; group_alive(leader->pid); pause = MIN(pause * 2, 50)) {
        int64_t now = process_clock_ms();
        if (now >= until && !killed) {
            kill(-leader->pid, SIGKILL);
            killed = true;
        }
        if (now >= give_up) {
            return error_set(e, E_TIMEOUT,
                             "process group %d is still there after KILL: it hangs in the kernel: "
                             "look for a dead disk or mount",
                             (int)leader->pid);
        }
        process_sleep_ms(pause);
    }
    return 0;
}

int process_end_recorded(const char *pid_file, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    char *text;
    struct process_id id;
    int r = file_read(&arena, pid_file, 256, &text, NULL, e);
    if (r == 0 && process_id_parse(text, &id)) {
        r = process_end_group(&id, SIGTERM, PROCESS_GRACE_MS, e);
    }
    arena_deinit(&arena);
    if (r == E_NOT_FOUND) {
        return 0;
    }
    return r == 0 ? file_remove(pid_file, e) : r;
}

/* ---- words ---- */

const char *process_status_words(struct arena *arena, const char *name, int status)
{
    if (WIFSIGNALED(status)) {
        return arena_printf(arena, "%s was killed by signal %d (%s)", name, WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    }
    return arena_printf(arena, "%s ended with status %d", name, WEXITSTATUS(status));
}

const char *process_words(struct arena *arena, const struct command *command,
                          const struct process_result *result)
{
    const char *name = command->argv.items[0];
    if (result->timed_out) {
        return arena_printf(arena, "%s did not end within %s and was killed", name,
                            str_duration(arena, command->timeout_ms));
    }
    return process_status_words(arena, name, result->status);
}

bool process_succeeded(const struct process_result *result)
{
    return !result->timed_out && WIFEXITED(result->status) && WEXITSTATUS(result->status) == 0;
}

/* ---- running to the end ---- */

/* What a command prints: into the log up to a bound, and the last bytes of all of it in a ring. */
struct output {
    int log_fd;
    uint64_t logged_max;
    uint64_t total;
    char *ring; /* PROCESS_TAIL_BYTES */
};

static void output_take(struct output *o, const char *data, size_t len)
{
    if (o->log_fd >= 0 && o->total < o->logged_max) {
        size_t part = (size_t)MIN((uint64_t)len, o->logged_max - o->total);
        /* A full disk must not fail the command that prints. */
        ssize_t written UNUSED = write(o->log_fd, data, part);
    }
    for (size_t i = 0; i < len; i++) {
        o->ring[(o->total + i) % PROCESS_TAIL_BYTES] = data[i];
    }
    o->total += len;
}

static const char *output_tail(const struct output *o, struct arena *arena)
{
    size_t len = (size_t)MIN(o->total, (uint64_t)PROCESS_TAIL_BYTES);
    char *text = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = o->ring[(o->total - len + i) % PROCESS_TAIL_BYTES];
    }
    return text;
}

/* What was not logged: how much, and its end. */
static void output_finish(const struct output *o, struct arena *arena)
{
    if (o->log_fd < 0 || o->total <= o->logged_max) {
        return;
    }
    size_t len = (size_t)MIN(o->total - o->logged_max, (uint64_t)LIMIT_LOG_TAIL_BYTES);
    const char *tail = output_tail(o, arena);
    dprintf(o->log_fd, "\n[%llu bytes left out]\n%s",
            (unsigned long long)(o->total - o->logged_max - len),
            tail + strlen(tail) - MIN(strlen(tail), len));
}

/* Reads what is there, without waiting. False at the end. */
static bool drain(int fd, struct output *output)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n > 0) {
            output_take(output, chunk, (size_t)n);
        } else if (n == 0) {
            return false;
        } else if (errno != EINTR) {
            return true;
        }
    }
}

static int watch(const struct process_run_options *o, const struct process_id *id, int fd,
                 struct output *output, struct process_result *ret, struct error *e)
{
    int64_t timeout = o->timeout_ms > 0 ? o->timeout_ms : o->command->timeout_ms;
    int64_t until = timeout > 0 ? process_clock_ms() + timeout : INT64_MAX;
    int64_t tick_at = process_clock_ms() + 1000;
    bool open_ended = true;
    for (int64_t pause = 2;; pause = MIN(pause * 2, 100)) {
        struct pollfd wait = {.fd = open_ended ? fd : -1, .events = POLLIN};
        if (poll(&wait, 1, (int)pause) > 0) {
            open_ended = drain(fd, output);
            pause = 1;
        }
        if (waitpid(id->pid, &ret->status, WNOHANG) == id->pid) {
            drain(fd, output);
            return 0;
        }
        int64_t now = process_clock_ms();
        bool ticks = now >= tick_at;
        ret->stopped = ticks && o->enough != NULL && o->enough(o->context);
        if (now >= until || ret->stopped) {
            ret->timed_out = !ret->stopped;
            int r = process_end_group(id, SIGTERM, PROCESS_GRACE_MS, e);
            waitpid(id->pid, &ret->status, WNOHANG);
            drain(fd, output);
            return r;
        }
        if (ticks) {
            if (o->tick != NULL) {
                o->tick(o->context);
            }
            tick_at = now + 1000;
        }
    }
}

struct recording {
    struct arena *arena;
    const char *pid_file;
    struct process_id id;
};

static int record_pid(void *context, const struct process_id *id, struct error *e)
{
    struct recording *r = context;
    r->id = *id;
    if (r->pid_file == NULL) {
        return 0;
    }
    const char *line = arena_printf(r->arena, "%s\n", process_id_text(r->arena, id));
    return file_write(r->pid_file, line, strlen(line), 0600, e);
}

static int run_with_pipe(struct arena *arena, const struct process_run_options *o, const int fds[2],
                         struct process_result *ret, struct error *e)
{
    struct recording recording = {.arena = arena, .pid_file = o->pid_file};
    struct process_place place = {.directory = o->directory,
                                  .output_fd = fds[1],
                                  .dies_with_parent = true,
                                  .record = record_pid,
                                  .context = &recording};
    pid_t pid;
    int r = process_spawn(o->command, &place, &pid, e);
    close(fds[1]);
    if (r < 0) {
        if (o->pid_file != NULL) {
            file_remove(o->pid_file, NULL);
        }
        return r;
    }
    struct output output = {.log_fd = o->log_fd,
                            .logged_max = o->command->output_bytes_max > 0
                                              ? (uint64_t)o->command->output_bytes_max
                                              : 16 * 1024 * 1024,
                            .ring = arena_alloc(arena, PROCESS_TAIL_BYTES)};
    r = watch(o, &recording.id, fds[0], &output, ret, e);
    output_finish(&output, arena);
    ret->output = output_tail(&output, arena);
    ret->output_bytes = output.total;
    if (o->pid_file != NULL) {
        file_remove(o->pid_file, NULL);
    }
    return r;
}

int process_run(struct arena *arena, const struct process_run_options *options,
                struct process_result *ret, struct error *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return error_set(e, error_from_errno(errno), "cannot make a pipe: %s", strerror(errno));
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *ret = (struct process_result){.status = 0, .output = ""};
    int r = run_with_pipe(arena, options, fds, ret, e);
    close(fds[0]);
    return r;
}
