/* Owns the store beside a layout: its lock, its owner, what is kept in it and what goes. */
#include "lib/io/artifact/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define LOCK_WAIT_MS 10000

int tree_lock(const char *store, int64_t deadline_ms, int *ret_lock, struct error *e)
{
    int r = dir_make(store, 0755, e);
    if (r < 0) {
        return r;
    }
    int fd = open(store, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return file_error(e, errno, "open", store);
    }
    int64_t until = deadline_ms > 0 ? deadline_ms : act_now_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (act_now_ms() >= until) {
            close(fd);
            return error_set(e, E_CONFLICT,
                             "another step works on the releases in %s and has not ended: wait for "
                             "it, then try again",
                             store);
        }
        process_sleep_ms(20);
    }
    *ret_lock = fd;
    return 0;
}

void tree_unlock(int lock)
{
    close(lock);
}

static int named_owner(struct arena *arena, const char *owner, int64_t *ret_uid, int64_t *ret_gid,
                       struct error *e)
{
    const char *colon = strchr(owner, ':');
    const char *user = colon != NULL ? arena_strndup(arena, owner, (size_t)(colon - owner)) : owner;
    const struct passwd *account = getpwnam(user);
    if (account == NULL) {
        return error_set(e, E_NOT_FOUND,
                         "there is no user \"%s\" on this machine: create it, or change `owner:`",
                         user);
    }
    *ret_uid = account->pw_uid;
    *ret_gid = account->pw_gid;
    const struct group *group = colon != NULL ? getgrnam(colon + 1) : NULL;
    if (colon != NULL && group == NULL) {
        return error_set(e, E_NOT_FOUND,
                         "there is no group \"%s\" on this machine: create it, or change `owner:`",
                         colon + 1);
    }
    *ret_gid = group != NULL ? group->gr_gid : *ret_gid;
    return 0;
}

int tree_owner(const char *layout, const char *owner, int64_t *ret_uid, int64_t *ret_gid,
               struct error *e)
{
    *ret_uid = -1;
    *ret_gid = -1;
    struct arena arena;
    arena_init(&arena);
    struct stat st;
    int r = 0;
    if (owner != NULL) {
        r = named_owner(&arena, owner, ret_uid, ret_gid, e);
    } else if (geteuid() == 0 && stat(path_existing(&arena, layout), &st) == 0) {
        *ret_uid = st.st_uid;
        *ret_gid = st.st_gid;
    }
    if (r == 0 && geteuid() != 0 && *ret_uid >= 0) {
        if (*ret_uid != (int64_t)geteuid()) {
            r = error_set(e, E_DENIED,
                          "the tree shall belong to %s, and this agent does not run as root",
                          owner);
        }
        *ret_uid = -1;
        *ret_gid = -1;
    }
    arena_deinit(&arena);
    return r;
}

int tree_is_plain(const char *path, bool *ret_exists, struct error *e)
{
    struct stat st;
    *ret_exists = false;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : file_error(e, errno, "look at", path);
    }
    if (S_ISLNK(st.st_mode)) {
        return error_set(e, E_INVALID,
                         "%s is a symbolic link: name the directory itself as the layout path",
                         path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_set(e, E_INVALID,
                         "%s is no directory: move it away, or choose another layout path", path);
    }
    struct arena arena;
    arena_init(&arena);
    struct stat parent;
    int r = stat(path_parent(&arena, path), &parent) == 0 && parent.st_dev == st.st_dev
                ? 0
                : error_set(e, E_INVALID,
                            "%s is a mount point, and cannot be swapped in one step: choose a "
                            "directory inside it as the layout path",
                            path);
    arena_deinit(&arena);
    *ret_exists = r == 0;
    return r;
}

int tree_writable(const char *directory, struct error *e)
{
    return access(directory, W_OK | X_OK) == 0 ? 0 : file_error(e, errno, "write into", directory);
}

int tree_make_writable(const char *directory, struct error *e)
{
    struct stat st;
    if (stat(directory, &st) < 0 || chmod(directory, (st.st_mode & 07777) | 0700) < 0) {
        return file_error(e, errno, "set the mode of", directory);
    }
    return 0;
}

bool tree_user_exists(const char *user)
{
    return getpwnam(user) != NULL;
}

int tree_can_exchange(struct arena *arena, const char *store, struct error *e)
{
    const char *a = arena_printf(arena, "%s/.tmp-exchange-a", store);
    const char *b = arena_printf(arena, "%s/.tmp-exchange-b", store);
    if ((mkdir(a, 0700) < 0 && errno != EEXIST) || (mkdir(b, 0700) < 0 && errno != EEXIST)) {
        return file_error(e, errno, "write into", store);
    }
    int problem = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 ? errno : 0;
    rmdir(a);
    rmdir(b);
    return problem == 0 ? 0
                        : error_set(e, E_INVALID,
                                    "the file system of %s cannot exchange two directories in one "
                                    "step (%s): put the layout on ext4, xfs, btrfs or tmpfs",
                                    store, strerror(problem));
}

/* ---- retire ---- */

struct kept {
    const char *path;
    struct timespec put; /* when it got its name */
};

static int newest_first(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;
    if (x->put.tv_sec != y->put.tv_sec) {
        return x->put.tv_sec > y->put.tv_sec ? -1 : 1;
    }
    if (x->put.tv_nsec != y->put.tv_nsec) {
        return x->put.tv_nsec > y->put.tv_nsec ? -1 : 1;
    }
    return strcmp(x->path, y->path);
}

/* First out of its name, so that a crash leaves no half tree that looks whole. */
static int remove_tree(struct arena *arena, const char *store, const char *path, struct error *e)
{
    const char *name = strrchr(path, '/') + 1;
    if (str_starts(name, ".tmp-")) {
        return dir_remove(path, e);
    }
    const char *doomed = arena_printf(arena, "%s/.tmp-retired-%s", store, name);
    int r = dir_remove(doomed, e);
    r = r == 0 ? file_rename(path, doomed, e) : r;
    return r == 0 ? dir_remove(doomed, e) : r;
}

int tree_retire(struct arena *arena, const char *layout, size_t keep, size_t *ret_removed,
                struct error *e)
{
    if (layout_swap_pending(arena, layout)) {
        return error_set(e, E_CONFLICT,
                         "a swap of %s is not finished: run the step that swaps the release again",
                         layout);
    }
    const char *store = layout_store(arena, layout);
    DIR *dir = opendir(store);
    if (dir == NULL) {
        return file_error(e, errno, "read", store);
    }
    struct kept *kept = NULL;
    size_t count = 0;
    size_t capacity = 0;
    size_t removed = 0;
    int r = 0;
    struct dirent *entry;
    while (r == 0 && (entry = readdir(dir)) != NULL) {
        const char *path = arena_printf(arena, "%s/%s", store, entry->d_name);
        struct stat st;
        if (str_starts(entry->d_name, ".tmp-") || str_equal(entry->d_name, ".swap")) {
            r = dir_remove(path, e);
        } else if (entry->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            kept = arena_grow(arena, kept, count, &capacity, sizeof(*kept));
            kept[count++] = (struct kept){path, st.st_ctim};
        }
    }
    closedir(dir);
    if (count > 0) {
        qsort(kept, count, sizeof(*kept), newest_first);
    }
    for (size_t i = keep; r == 0 && i < count; i++) {
        r = remove_tree(arena, store, kept[i].path, e);
        removed += r == 0;
    }
    if (ret_removed != NULL) {
        *ret_removed = removed;
    }
    return r;
}

int tree_drop(struct arena *arena, const char *layout, const char *tree, struct error *e)
{
    if (layout_swap_pending(arena, layout)) {
        return error_set(e, E_CONFLICT,
                         "a swap of %s is not finished: run the step that swaps the release again",
                         layout);
    }
    return remove_tree(arena, layout_store(arena, layout), tree, e);
}
