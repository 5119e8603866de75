/*
 * Owns the writing of a tree below one directory. Every step goes from that directory's descriptor, part by part, and through no
 * link: whatever the names are, nothing is written elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/artifact/tree.h"
#include "lib/io/platform/files.h"

struct later { /* a directory's mode and time, set when nothing is written into it any more */
    const char *name;
    unsigned mode;
    struct timespec mtime;
};

struct tree_writer {
    struct arena arena;
    int root;
    uid_t uid; /* (uid_t)-1: the running user */
    gid_t gid;
    int file; /* the one that is open, or -1 */
    struct tree_entry entry;
    struct later *later;
    size_t later_count;
    size_t later_capacity;
};

static int fail(struct error *e, int problem, const char *name)
{
    if (problem == ELOOP || problem == ENOTDIR) {
        return error_set(
            e, E_DENIED,
            "the entry \"%.200s\" leads through a link or a file: the archive is refused", name);
    }
    return file_error(e, problem, "write", name);
}

int tree_writer_new(const char *directory, int64_t uid, int64_t gid, struct tree_writer **ret,
                    struct error *e)
{
    if (mkdir(directory, 0755) < 0) {
        return file_error(e, errno, "make the directory", directory);
    }
    int root = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0) {
        return file_error(e, errno, "open", directory);
    }
    struct tree_writer *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        close(root);
        return error_set(e, E_LIMIT, "out of memory");
    }
    arena_init(&w->arena);
    w->root = root;
    w->file = -1;
    w->uid = uid < 0 ? (uid_t)-1 : (uid_t)uid;
    w->gid = gid < 0 ? (gid_t)-1 : (gid_t)gid;
    if (fchmod(root, 0755) < 0 || (uid >= 0 && fchown(root, w->uid, w->gid) < 0)) {
        int r = file_error(e, errno, "set the owner of", directory);
        tree_writer_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

/* The directory that holds the last part of `name` (made where `make`), as a descriptor that the caller closes; -1 and
 * errno. *ret_last is the last part. */
static int open_parent(struct tree_writer *w, const char *name, bool make, const char **ret_last)
{
    char part[256];
    int at = fcntl(w->root, F_DUPFD_CLOEXEC, 3);
    for (const char *slash; at >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        size_t len = (size_t)(slash - name);
        assert(len > 0 && len < sizeof(part));
        memcpy(part, name, len);
        part[len] = '\0';
        int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && make && mkdirat(at, part, 0755) == 0) {
            next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (next >= 0 && (fchmod(next, 0755) < 0 ||
                              (w->uid != (uid_t)-1 && fchown(next, w->uid, w->gid) < 0))) {
                close(next);
                next = -1;
            }
        }
        int problem = errno;
        close(at);
        errno = problem;
        at = next;
    }
    *ret_last = name;
    return at;
}

/* A later entry of the same name replaces a file or a link, never a directory. */
static int clear(int parent, const char *last)
{
    struct stat st;
    if (fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    if (S_ISDIR(st.st_mode)) {
        return EEXIST;
    }
    return unlinkat(parent, last, 0) < 0 ? errno : 0;
}

static int own(const struct tree_writer *w, int parent, const char *last)
{
    return w->uid != (uid_t)-1 && fchownat(parent, last, w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0
               ? errno
               : 0;
}

static struct timespec time_of(const struct tree_entry *entry)
{
    return (struct timespec){.tv_sec = (time_t)entry->mtime_s, .tv_nsec = entry->mtime_ns};
}

int tree_writer_directory(struct tree_writer *w, const struct tree_entry *entry, struct error *e)
{
    const char *last;
    int parent = open_parent(w, entry->name, true, &last);
    if (parent < 0) {
        return fail(e, errno, entry->name);
    }
    int problem = mkdirat(parent, last, 0755) < 0 ? errno : own(w, parent, last);
    struct stat st;
    if (problem == EEXIST && fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        problem = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    }
    close(parent);
    if (problem != 0) {
        return fail(e, problem, entry->name);
    }
    w->later =
        arena_grow(&w->arena, w->later, w->later_count, &w->later_capacity, sizeof(*w->later));
    w->later[w->later_count++] =
        (struct later){arena_strdup(&w->arena, entry->name), entry->mode, time_of(entry)};
    return 0;
}

int tree_writer_file(struct tree_writer *w, const struct tree_entry *entry, struct error *e)
{
    assert(w->file < 0);
    const char *last;
    int parent = open_parent(w, entry->name, true, &last);
    int problem = parent < 0 ? errno : clear(parent, last);
    if (problem == 0) {
        w->file = openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        problem = w->file < 0 ? errno : 0;
    }
    if (parent >= 0) {
        close(parent);
    }
    if (problem != 0) {
        return fail(e, problem, entry->name);
    }
    w->entry = *entry;
    w->entry.name = arena_strdup(&w->arena, entry->name);
    return 0;
}

int tree_writer_data(struct tree_writer *w, const void *data, size_t len, uint64_t offset,
                     struct error *e)
{
    assert(w->file >= 0);
    const char *bytes = data;
    while (len > 0) {
        ssize_t n = pwrite(w->file, bytes, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fail(e, n == 0 ? EIO : errno, w->entry.name);
        }
        bytes += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int tree_writer_end(struct tree_writer *w, uint64_t size, struct error *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(&w->entry)};
    /* Owner before mode: a change of owner takes the setuid bit away. */
    int problem = ftruncate(w->file, (off_t)size) < 0 ||
                          (w->uid != (uid_t)-1 && fchown(w->file, w->uid, w->gid) < 0) ||
                          fchmod(w->file, (mode_t)w->entry.mode) < 0 || futimens(w->file, times) < 0
                      ? errno
                      : 0;
    if (close(w->file) < 0 && problem == 0) {
        problem = errno;
    }
    w->file = -1;
    return problem == 0 ? 0 : fail(e, problem, w->entry.name);
}

int tree_writer_symlink(struct tree_writer *w, const struct tree_entry *entry, const char *target,
                        struct error *e)
{
    const char *last;
    int parent = open_parent(w, entry->name, true, &last);
    int problem = parent < 0 ? errno : clear(parent, last);
    if (problem == 0 && symlinkat(target, parent, last) < 0) {
        problem = errno;
    }
    if (problem == 0) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry)};
        problem = own(w, parent, last);
        if (problem == 0 && utimensat(parent, last, times, AT_SYMLINK_NOFOLLOW) < 0) {
            problem = errno;
        }
    }
    if (parent >= 0) {
        close(parent);
    }
    return problem == 0 ? 0 : fail(e, problem, entry->name);
}

int tree_writer_hardlink(struct tree_writer *w, const char *name, const char *target,
                         struct error *e)
{
    const char *last;
    const char *target_last;
    struct stat st;
    int from = open_parent(w, target, false, &target_last);
    if (from < 0 || fstatat(from, target_last, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode)) {
        if (from >= 0) {
            close(from);
        }
        return error_set(e, E_DENIED,
                         "the entry \"%.200s\" is a hard link to what is no file before it in the "
                         "archive: it is refused",
                         name);
    }
    int problem = 0;
    if (!str_equal(name, target)) {
        int parent = open_parent(w, name, true, &last);
        problem = parent < 0 ? errno : clear(parent, last);
        if (problem == 0 && linkat(from, target_last, parent, last, 0) < 0) {
            problem = errno;
        }
        if (parent >= 0) {
            close(parent);
        }
    }
    close(from);
    return problem == 0 ? 0 : fail(e, problem, name);
}

int tree_writer_special(struct tree_writer *w, const struct tree_entry *entry, unsigned type,
                        uint64_t device, struct error *e)
{
    const char *last;
    int parent = open_parent(w, entry->name, true, &last);
    int problem = parent < 0 ? errno : clear(parent, last);
    if (problem == 0 &&
        (mknodat(parent, last, (mode_t)(type | 0600), (dev_t)device) < 0 ||
         own(w, parent, last) != 0 || fchmodat(parent, last, (mode_t)entry->mode, 0) < 0)) {
        problem = errno;
    }
    if (parent >= 0) {
        close(parent);
    }
    return problem == 0 ? 0 : fail(e, problem, entry->name);
}

int tree_writer_finish(struct tree_writer *w, struct error *e)
{
    /* Backwards, so that a directory is closed to us only after what lies in it. */
    for (size_t i = w->later_count; i-- > 0;) {
        const struct later *l = &w->later[i];
        const char *last;
        int parent = open_parent(w, l->name, false, &last);
        int fd =
            parent < 0 ? -1 : openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, l->mtime};
        int problem =
            fd < 0 || fchmod(fd, (mode_t)l->mode) < 0 || futimens(fd, times) < 0 ? errno : 0;
        if (fd >= 0) {
            close(fd);
        }
        if (parent >= 0) {
            close(parent);
        }
        /* The same directory twice in an archive: the later, done first, may have closed the way. */
        if (problem != 0 && problem != EACCES) {
            return fail(e, problem, l->name);
        }
    }
    return 0;
}

struct tree_writer *tree_writer_free(struct tree_writer *w)
{
    if (w != NULL) {
        if (w->file >= 0) {
            close(w->file);
        }
        close(w->root);
        arena_deinit(&w->arena);
        free(w);
    }
    return NULL;
}
