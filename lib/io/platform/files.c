/* Owns durable files and directories. It refuses to follow links while it removes, and to leave a half-written file. */
#include "lib/io/platform/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int file_error(struct error *e, int errno_value, const char *verb, const char *path)
{
    const char *hint = "";
    if (errno_value == ENOSPC || errno_value == EDQUOT) {
        hint = ": free some space on its file system and try again";
    } else if (errno_value == EACCES || errno_value == EPERM) {
        hint = ": check who owns it and as which user Lockstep runs";
    } else if (errno_value == EROFS) {
        hint = ": its file system is mounted read-only";
    } else if (errno_value == EXDEV) {
        hint = ": it lies on another file system or is a mount point";
    }
    return error_set(e, error_from_errno(errno_value), "cannot %s %s: %s%s", verb, path,
                     strerror(errno_value), hint);
}

const char *path_parent(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    return slash == path ? "/" : arena_strndup(arena, path, (size_t)(slash - path));
}

static int sync_parent(const char *path, struct error *e)
{
    char parent[LIMIT_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    if (len >= sizeof(parent)) {
        return file_error(e, ENAMETOOLONG, "name", path);
    }
    if (slash == NULL) {
        memcpy(parent, ".", 2);
    } else if (len == 0) {
        memcpy(parent, "/", 2);
    } else {
        memcpy(parent, path, len);
        parent[len] = '\0';
    }
    return file_sync(parent, e);
}

int file_sync(const char *path, struct error *e)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_error(e, errno, "open", path);
    }
    /* Some file systems know no fsync of a directory and say EINVAL: their renames are as durable as they get. */
    if (fsync(fd) < 0 && errno != EINVAL) {
        return file_error(e, errno, "make durable", path);
    }
    return 0;
}

int file_sync_all(const char *path, struct error *e)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_error(e, errno, "open", path);
    }
    return syncfs(fd) < 0 ? file_error(e, errno, "make durable", path) : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? EIO : errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write(const char *path, const void *data, size_t len, unsigned mode, struct error *e)
{
    char temporary[LIMIT_PATH_BYTES];
    int wanted = snprintf(temporary, sizeof(temporary), "%s.tmp-%d", path, (int)getpid());
    if (wanted < 0 || (size_t)wanted >= sizeof(temporary)) {
        return file_error(e, ENAMETOOLONG, "name", path);
    }
    CLEANUP(close_fd)
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return file_error(e, errno, "write", path);
    }
    int problem = write_all(fd, data, len);
    if (problem == 0 && (fchmod(fd, (mode_t)mode) < 0 || fsync(fd) < 0)) {
        problem = errno;
    }
    if (problem == 0 && rename(temporary, path) < 0) {
        problem = errno;
    }
    if (problem != 0) {
        unlink(temporary);
        return file_error(e, problem, "write", path);
    }
    return sync_parent(path, e);
}

int file_target(const char *path, char ret[LIMIT_PATH_BYTES], struct error *e)
{
    static_assert(LIMIT_PATH_BYTES >= PATH_MAX, "realpath() writes so many");
    struct stat st;
    if (strlen(path) >= LIMIT_PATH_BYTES) {
        return file_error(e, ENAMETOOLONG, "write", path);
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return error_set(e, E_INVALID, "cannot write %s: it is no regular file: name another one",
                         path);
    }
    if (realpath(path, ret) == NULL) { /* it is not there yet */
        memcpy(ret, path, strlen(path) + 1);
    }
    return 0;
}

int file_read(struct arena *arena, const char *path, size_t bytes_max, char **ret_text,
              size_t *ret_len, struct error *e)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        return file_error(e, errno, "read", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(e, E_INVALID, "%s is not a regular file", path);
    }
    if ((uint64_t)st.st_size > bytes_max) {
        return error_set(e, E_LIMIT, "%s is larger than %zu bytes", path, bytes_max);
    }
    size_t capacity = (size_t)st.st_size;
    char *text = arena_alloc(arena, capacity + 1);
    size_t len = 0;
    while (len < capacity) {
        ssize_t n = read(fd, text + len, capacity - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return file_error(e, errno, "read", path);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    text[len] = '\0';
    *ret_text = text;
    if (ret_len != NULL) {
        *ret_len = len;
    }
    return 0;
}

const char *file_tail(struct arena *arena, const char *path, size_t bytes_max)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        return "";
    }
    off_t from = (uint64_t)st.st_size > bytes_max ? st.st_size - (off_t)bytes_max : 0;
    char *text = arena_alloc(arena, bytes_max + 1);
    size_t len = 0;
    while (len < bytes_max) {
        ssize_t n = pread(fd, text + len, bytes_max - len, from + (off_t)len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    text[len] = '\0';
    if (from > 0) {
        char *line = memchr(text, '\n', len);
        if (line != NULL && line[1] != '\0') {
            return line + 1;
        }
    }
    return text;
}

int file_remove(const char *path, struct error *e)
{
    if (unlink(path) < 0) {
        return errno == ENOENT ? 0 : file_error(e, errno, "remove", path);
    }
    return sync_parent(path, e);
}

bool file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

int file_rename(const char *from, const char *to, struct error *e)
{
    if (rename(from, to) < 0) {
        return file_error(e, errno, "rename to", to);
    }
    return sync_parent(to, e);
}

int dir_make(const char *path, unsigned mode, struct error *e)
{
    char part[LIMIT_PATH_BYTES];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part)) {
        return file_error(e, ENAMETOOLONG, "make", path);
    }
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        char kept = part[i];
        part[i] = '\0';
        struct stat st;
        if (mkdir(part, (mode_t)mode) == 0) {
            int r = sync_parent(part, e);
            if (r < 0) {
                return r;
            }
        } else if (stat(part, &st) < 0 || !S_ISDIR(st.st_mode)) {
            return file_error(e, errno == EEXIST ? ENOTDIR : errno, "make the directory", part);
        }
        part[i] = kept;
    }
    return 0;
}

/* Empties the directory behind `fd` (taken). Depth is bounded by the descriptors a process may hold; a name of
 * LIMIT_PATH_BYTES cannot be that deep. Returns an errno. */
static int empty_directory(int fd, dev_t device)
{
    /* A read-only directory of our own must not keep us from emptying it. */
    struct stat self;
    if (fstat(fd, &self) == 0 && (self.st_mode & 0700) != 0700) {
        fchmod(fd, (self.st_mode & 07777) | 0700);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int problem = errno;
        close(fd);
        return problem;
    }
    int problem = 0;
    struct dirent *entry;
    while (problem == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        struct stat st;
        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            problem = errno == ENOENT ? 0 : errno;
            continue;
        }
        if (!S_ISDIR(st.st_mode)) {
            problem = unlinkat(dirfd(dir), name, 0) < 0 && errno != ENOENT ? errno : 0;
            continue;
        }
        if (st.st_dev != device) {
            problem = EXDEV;
            continue;
        }
        if ((st.st_mode & 0700) != 0700 &&
            fchmodat(dirfd(dir), name, (st.st_mode & 07777) | 0700, 0) < 0) {
            problem = errno;
            continue;
        }
        int child = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        problem = child < 0 ? errno : empty_directory(child, device);
        if (problem == 0 && unlinkat(dirfd(dir), name, AT_REMOVEDIR) < 0) {
            problem = errno;
        }
    }
    if (problem == 0 && errno != 0) {
        problem = errno;
    }
    closedir(dir);
    return problem;
}

int dir_remove(const char *path, struct error *e)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : file_error(e, errno, "remove", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return file_remove(path, e);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && chmod(path, 0700) == 0) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    int problem = fd < 0 ? errno : empty_directory(fd, st.st_dev);
    if (problem == 0 && rmdir(path) < 0) {
        problem = errno;
    }
    return problem == 0 ? sync_parent(path, e) : file_error(e, problem, "remove", path);
}

bool dir_is_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    struct dirent *entry;
    do {
        entry = readdir(dir);
    } while (entry != NULL &&
             (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    closedir(dir);
    return entry == NULL;
}

const char *path_existing(struct arena *arena, const char *path)
{
    struct stat st;
    while (stat(path, &st) < 0 && strcmp(path, "/") != 0 && strcmp(path, ".") != 0) {
        path = path_parent(arena, path);
    }
    return path;
}

int disk_free(const char *path, uint64_t *ret_bytes, uint64_t *ret_inodes, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct statvfs fs;
    int problem = statvfs(path_existing(&arena, path), &fs) < 0 ? errno : 0;
    arena_deinit(&arena);
    if (problem != 0) {
        return file_error(e, problem, "ask for the free space of", path);
    }
    *ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (ret_inodes != NULL) {
        *ret_inodes = fs.f_files == 0 ? UINT64_MAX : fs.f_favail;
    }
    return 0;
}
