/*
 * Reads tar (plain, gzip, zstd, xz, bzip2) and zip archives. It refuses what would leave the directory it is unpacked
 * into (absolute names, "..", links that point outside or lead through links), special files and setuid or setgid bits unless
 * they are allowed, and what passes LIMIT_ARCHIVE_ENTRIES or LIMIT_ARCHIVE_BYTES.
 *
 * An archive whose entries all lie in one top directory ("app-1.2.3/…") is read as if that directory were not
 * there, unless it has a name that belongs to a tree (bin, lib, etc, db, share …).
 */
#ifndef LOCKSTEP_IO_ARTIFACT_ARCHIVE_H
#define LOCKSTEP_IO_ARTIFACT_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct archive_summary {
    uint64_t entries;
    uint64_t bytes;  /* unpacked */
    const char *top; /* the directory that is left out; NULL: none; arena */
};

struct archive_unpack {
    const char *path;      /* the archive */
    const char *directory; /* must not exist; its parent must */
    bool allow_special;
    int64_t uid, gid; /* owner of all that is written; -1: the running user */
    void (*progress)(void *context, uint64_t bytes);
    void *context;
};
/* Modes (umask ignored) and times are kept. On failure the half tree stays for the caller to remove. */
int archive_unpack(struct arena *arena, const struct archive_unpack *unpack,
                   struct archive_summary *ret, struct error *e);

/* One file directly or deeper inside the folder: its path from there, and its bytes (borrowed for the call). A negative return
 * (with *e) stops. */
typedef int archive_file_function(void *context, const char *name, const void *data, size_t len,
                                  struct error *e);
/* Reads the files below `folder` ("db/migrations/sqlite") in one pass over the archive, each at most LIMIT_MIGRATION_BYTES, and
 * sums up the archive. Called after the pass, sorted by name (bytes). E_NOT_FOUND: no such folder. */
int archive_read_folder(struct arena *arena, const char *path, const char *folder,
                        archive_file_function *each, void *context, struct archive_summary *ret,
                        struct error *e);
/* Checks all names and bounds, without writing. */
int archive_list(struct arena *arena, const char *path, bool allow_special,
                 struct archive_summary *ret, struct error *e);

#endif
