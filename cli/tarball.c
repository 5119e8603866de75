/* Owns the writing of an archive by libarchive, beside its name first. */
#include "cli/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/io/platform/files.h"

struct tarball {
    struct arena *arena;
    struct archive *archive;
    const char *path, *written, *top;
    int fd;
};

static int failed(const struct tarball *t, struct error *e)
{
    return error_set(e, E_IO, "%s cannot be written: %s", t->path,
                     archive_error_string(t->archive));
}

int tarball_begin(struct arena *arena, const char *path, const char *top, struct tarball **ret,
                  struct error *e)
{
    struct tarball *t = ARENA_NEW(arena, struct tarball);
    char *target = arena_alloc(arena, LIMIT_PATH_BYTES);
    *ret = t;
    *t = (struct tarball){.arena = arena, .path = target, .top = top, .fd = -1};
    int r = file_target(path, target, e);
    if (r < 0) {
        return r;
    }
    t->written = arena_printf(arena, "%s.part", target);
    t->fd = open(t->written, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (t->fd < 0) {
        return error_set(e, error_from_errno(errno), "%s cannot be written: %s", path,
                         strerror(errno));
    }
    t->archive = archive_write_new();
    assert(t->archive != NULL);
    archive_write_add_filter_gzip(t->archive);
    archive_write_set_format_pax_restricted(t->archive);
    return archive_write_open_fd(t->archive, t->fd) == ARCHIVE_OK ? 0 : failed(t, e);
}

int tarball_add(struct tarball *t, const char *name, const char *text, size_t len, struct error *e)
{
    struct archive_entry *entry = archive_entry_new();
    assert(entry != NULL);
    archive_entry_set_pathname(entry, arena_printf(t->arena, "%s/%s", t->top, name));
    archive_entry_set_size(entry, (la_int64_t)len);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_mtime(entry, time(NULL), 0);
    int r = archive_write_header(t->archive, entry) == ARCHIVE_OK &&
                    archive_write_data(t->archive, text, len) == (la_ssize_t)len
                ? 0
                : failed(t, e);
    archive_entry_free(entry);
    return r;
}

int tarball_end(struct tarball *t, int result, struct error *e)
{
    if (t->archive != NULL) {
        if (archive_write_close(t->archive) != ARCHIVE_OK && result == 0) {
            result = failed(t, e);
        }
        archive_write_free(t->archive);
    }
    if (t->fd >= 0 && close(t->fd) < 0 && result == 0) {
        result = error_set(e, error_from_errno(errno), "%s cannot be written: %s", t->path,
                           strerror(errno));
    }
    if (result == 0 && rename(t->written, t->path) < 0) {
        result = error_set(e, error_from_errno(errno), "%s cannot be written: %s", t->path,
                           strerror(errno));
    }
    if (result < 0 && t->fd >= 0) {
        unlink(t->written);
    }
    return result;
}
