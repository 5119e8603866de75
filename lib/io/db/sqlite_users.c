/*
 * Owns the answer to "who has this SQLite file open": a file has no list of its readers, /proc has. It sees what this user
 * may look at; Lockstep's own programs do not count. A process is ended only while it still has the file open.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/db/sqlite.h"
#include "lib/io/platform/process.h"

/* The file itself and what SQLite keeps beside it in WAL mode. */
struct files {
    struct stat items[3];
    size_t count;
};

static struct files files_of(const struct db_session *s)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct files f = {0};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (stat(arena_printf(s->arena, "%s%s", s->place, ends[i]), &f.items[f.count]) == 0) {
            f.count++;
        }
    }
    return f;
}

static bool has_open(pid_t pid, const struct files *files)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (struct dirent *entry; dir != NULL && !found && (entry = readdir(dir)) != NULL;) {
        struct stat st;
        snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        for (size_t i = 0; i < files->count; i++) {
            found = found ||
                    (st.st_dev == files->items[i].st_dev && st.st_ino == files->items[i].st_ino);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static const char *program_of(pid_t pid, char *buffer, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    ssize_t len = readlink(path, buffer, bytes - 1);
    buffer[MAX(len, 0)] = '\0';
    return buffer;
}

static bool is_ours(pid_t pid)
{
    char self[PATH_MAX];
    char other[PATH_MAX];
    program_of(getpid(), self, sizeof(self));
    program_of(pid, other, sizeof(other));
    const char *slash = strrchr(other, '/');
    return pid == getpid() || strcmp(self, other) == 0 ||
           str_starts(slash != NULL ? slash + 1 : other, "lockstep");
}

static struct db_writer describe(struct arena *arena, pid_t pid)
{
    char text[64];
    struct stat st;
    snprintf(text, sizeof(text), "/proc/%d", (int)pid);
    const struct passwd *user = stat(text, &st) == 0 ? getpwuid(st.st_uid) : NULL;
    struct db_writer w = {.pid = pid,
                          .user = arena_strdup(arena, user != NULL ? user->pw_name : "?"),
                          .host = "local",
                          .application = process_name(arena, pid),
                          .state = "has the file open",
                          .since = "?"};
    struct process_id id;
    struct tm tm;
    if (process_identify(pid, &id, NULL) == 0) {
        time_t started = (time_t)(process_started_ms(&id) / 1000);
        if (strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&started, &tm)) > 0) {
            w.since = arena_strdup(arena, text);
        }
    }
    return w;
}

int sqlite_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                   size_t *ret_count, struct error *e)
{
    struct files files = files_of(s);
    struct db_writer *writers = NULL;
    size_t count = 0;
    size_t capacity = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return db_fail(s, e, error_from_errno(errno), "cannot see who has the file open: /proc: %s",
                       strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        uint64_t pid = 0;
        if (str_to_u64(entry->d_name, INT32_MAX, &pid) && has_open((pid_t)pid, &files) &&
            !is_ours((pid_t)pid)) {
            writers = arena_grow(arena, writers, count, &capacity, sizeof(*writers));
            writers[count++] = describe(arena, (pid_t)pid);
        }
    }
    closedir(proc);
    *ret = writers;
    *ret_count = count;
    return 0;
}

int sqlite_terminate(struct db_session *s, int64_t pid, struct error *e)
{
    /* The descriptor stays with this very process, whoever gets its number later. */
    int fd = pidfd_open((pid_t)pid, 0);
    if (fd < 0) {
        return errno == ESRCH ? 0
                              : db_fail(s, e, error_from_errno(errno), "process %lld: %s",
                                        (long long)pid, strerror(errno));
    }
    struct files files = files_of(s);
    int rc = 0;
    if (has_open((pid_t)pid, &files) && !is_ours((pid_t)pid) &&
        pidfd_send_signal(fd, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
        rc = db_fail(s, e, error_from_errno(errno), "process %lld cannot be ended: %s",
                     (long long)pid, strerror(errno));
    }
    close(fd);
    return rc;
}
