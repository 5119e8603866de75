/*
 * Files that survive a crash: whole or not there. It owns atomic writes, bounded reads, and making
 * and removing of directories. It refuses to follow a symbolic link while it removes.
 */
#ifndef LOCKSTEP_IO_PLATFORM_FILES_H
#define LOCKSTEP_IO_PLATFORM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/limits.h"

/* "cannot <verb> <path>: <errno's words>", and what to do about the usual ones (full, not allowed). Returns the
 * translated code. */
int file_error(struct error *e, int errno_value, const char *verb, const char *path);

/* Replaces `path` by the bytes in one step (temporary file, fsync, rename, fsync of the directory). `mode` as in
 * chmod, whatever the umask. The directory must exist. E_LIMIT: the disk is full. */
int file_write(const char *path, const void *data, size_t len, unsigned mode, struct error *e);
/* Where what a person asked for under `path` is to be written: what it leads to when it is a link, so that no link of the
 * system's is replaced. E_INVALID: there is something that is no regular file (a device, a pipe, a directory). */
int file_target(const char *path, char ret[LIMIT_PATH_BYTES], struct error *e);
/* Reads the whole regular file into the arena, NUL-terminated. E_LIMIT past `bytes_max`, E_NOT_FOUND. */
int file_read(struct arena *arena, const char *path, size_t bytes_max, char **ret_text,
              size_t *ret_len, struct error *e);
/* At most the last `bytes_max` bytes, from the start of a line where the cut allows; "" when there is none. */
const char *file_tail(struct arena *arena, const char *path, size_t bytes_max);
/* Removes a file; one that is not there is fine. The directory is synced. */
int file_remove(const char *path, struct error *e);
/* Anything at the path, a dangling link too. */
bool file_exists(const char *path);
/* Bytes of a regular file, or -1. */
int64_t file_size(const char *path);
/* Makes what was written to the file or the directory durable. */
int file_sync(const char *path, struct error *e);
/* The same for the whole file system that the path lies on: one call after many small files. */
int file_sync_all(const char *path, struct error *e);
/* Renames within one file system and makes it durable; replaces a file, not a directory that holds something. */
int file_rename(const char *from, const char *to, struct error *e);

/* mkdir -p; what is there keeps its mode. */
int dir_make(const char *path, unsigned mode, struct error *e);
/* rm -r: removes links, never follows them, does not leave the file system of `path`. Not there is fine. */
int dir_remove(const char *path, struct error *e);

/* A directory with nothing in it. */
bool dir_is_empty(const char *path);

/* What an unprivileged process may still write on the file system of `path` (or of its nearest parent that exists).
 * ret_inodes may be NULL; it is UINT64_MAX where the file system does not count them. */
int disk_free(const char *path, uint64_t *ret_bytes, uint64_t *ret_inodes, struct error *e);
/* The longest leading part of an absolute path that exists. */
const char *path_existing(struct arena *arena, const char *path);
/* The part before the last slash: "/" of "/a", "." of "a". */
const char *path_parent(struct arena *arena, const char *path);

#endif
