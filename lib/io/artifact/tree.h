/*
 * Directory trees of releases: writing one safely, swapping two, listing and removing them. All POSIX of this room is
 * here. It never follows a symbolic link inside a tree.
 */
#ifndef LOCKSTEP_IO_ARTIFACT_TREE_H
#define LOCKSTEP_IO_ARTIFACT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/io/platform/layout.h"
#include "lib/spec/shape.h"

/* ---- writing a tree; names are relative and clean ("a/b"), parents are made as needed ---- */
struct tree_writer;
struct tree_entry {
    const char *name;
    unsigned mode; /* permission bits */
    int64_t mtime_s;
    long mtime_ns;
};
int tree_writer_new(const char *directory, int64_t uid, int64_t gid, struct tree_writer **ret,
                    struct error *e);
int tree_writer_directory(struct tree_writer *w, const struct tree_entry *entry, struct error *e);
/* A file: begin, data in order, end. A name that is there as a file or link is replaced. */
int tree_writer_file(struct tree_writer *w, const struct tree_entry *entry, struct error *e);
int tree_writer_data(struct tree_writer *w, const void *data, size_t len, uint64_t offset,
                     struct error *e);
int tree_writer_end(struct tree_writer *w, uint64_t size, struct error *e);
int tree_writer_symlink(struct tree_writer *w, const struct tree_entry *entry, const char *target,
                        struct error *e);
int tree_writer_hardlink(struct tree_writer *w, const char *name, const char *target,
                         struct error *e);
/* A fifo or a device node. `type` as in mknod. */
int tree_writer_special(struct tree_writer *w, const struct tree_entry *entry, unsigned type,
                        uint64_t device, struct error *e);
/* Sets modes and times of the directories. */
int tree_writer_finish(struct tree_writer *w, struct error *e);
struct tree_writer *tree_writer_free(struct tree_writer *w);

/* ---- the store beside a layout ---- */
/* Makes the store and holds it for this process alone until tree_unlock(); waits until deadline_ms (wall clock, 0: 10 s). */
int tree_lock(const char *store, int64_t deadline_ms, int *ret_lock, struct error *e);
void tree_unlock(int lock);
/* The owner that a spec names ("user", "user:group"; E_NOT_FOUND: not on this machine), else that of the installed tree, or of the
 * nearest parent that exists; -1, -1 unless the program runs as root (E_DENIED when a spec names another user than its own). */
int tree_owner(const char *layout, const char *owner, int64_t *ret_uid, int64_t *ret_gid,
               struct error *e);
/* Plain directory, on the same file system as its parent. *ret_exists false: not there. E_INVALID says what else it is. */
int tree_is_plain(const char *path, bool *ret_exists, struct error *e);
int tree_writable(const char *directory, struct error *e);
/* Lets the owner write into the directory itself. */
int tree_make_writable(const char *directory, struct error *e);
bool tree_user_exists(const char *user);

/* The file system can exchange two directories in one step: E_INVALID when not. */
int tree_can_exchange(struct arena *arena, const char *store, struct error *e);

struct tree_swap {
    const char *layout;
    struct layout_release to; /* must be staged, or be installed already */
    const struct strings *keep;
    void (*step)(void *context,
                 const char *what); /* after each system call that changes something; may be NULL */
    void *context;
};
/* Finishes a swap that was interrupted, whatever it was to, then brings `to` in. Repeating it changes nothing. The caller holds
 * the lock. */
int tree_swap(struct arena *arena, const struct tree_swap *swap, struct error *e);

/* Removes all but the `keep` newest kept trees (newest: renamed last), and what is half-made. The caller holds the lock;
 * a pending swap is refused (E_CONFLICT). ret_removed may be NULL. */
int tree_retire(struct arena *arena, const char *layout, size_t keep, size_t *ret_removed,
                struct error *e);
/* Removes one kept tree; the same bounds. */
int tree_drop(struct arena *arena, const char *layout, const char *tree, struct error *e);

#endif
