/*
 * Owns the reading of migrations from a directory or an archive, once. What runs later is the text that was read here,
 * whatever happens to the files meanwhile. It refuses a folder without migrations.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/db_plan_file.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/artifact/archive.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/migration/saved_plan.h"

#define PLAN_BYTES_MAX ((size_t)512 * 1024 * 1024)

#define DIGEST_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct reading {
    struct arena *arena;
    bool deep; /* folders belong to it: Sourcegraph's */
    struct migration_file *files;
    size_t count, capacity;
};

static int keep(void *context, const char *name, const void *data, size_t len, struct error *e)
{
    struct reading *r = context;
    if (strchr(name, '/') != NULL && !r->deep) {
        return 0; /* another one's folder */
    }
    if (r->count >= 4 * LIMIT_MIGRATIONS) {
        return error_set(e, E_LIMIT, "more than %d files", 4 * LIMIT_MIGRATIONS);
    }
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(data, len, hex);
    r->files = arena_grow(r->arena, r->files, r->count, &r->capacity, sizeof(*r->files));
    r->files[r->count++] = (struct migration_file){
        .name = arena_strdup(r->arena, name),
        .text = {.data = (const uint8_t *)arena_strndup(r->arena, data, len), .len = len},
        .sha256 = arena_strdup(r->arena, hex),
    };
    return 0;
}

static int read_directory(struct reading *r, const char *path, const char *prefix, struct error *e);

/* A symbolic link counts as what it leads to; pipes and devices are refused: what is in them is not known. */
static int read_entry(struct reading *r, const char *path, const char *name, struct error *e)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return file_error(e, errno, "read", path);
    }
    if (S_ISDIR(st.st_mode)) {
        bool first = strchr(name, '/') == NULL;
        return r->deep && first ? read_directory(r, path, name, e) : 0;
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(e, E_INVALID, "%s is neither a file nor a directory", path);
    }
    char *text = NULL;
    size_t len = 0;
    struct arena own; /* keep() copies what it wants */
    arena_init(&own);
    int rc = file_read(&own, path, LIMIT_MIGRATION_BYTES, &text, &len, e);
    if (rc == 0) {
        rc = keep(r, name, text, len, e);
    }
    arena_deinit(&own);
    return rc;
}

static int read_directory(struct reading *r, const char *path, const char *prefix, struct error *e)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return file_error(e, errno, "read", path);
    }
    int rc = 0;
    for (struct dirent *entry = readdir(dir); rc == 0 && entry != NULL; entry = readdir(dir)) {
        if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..")) {
            continue;
        }
        const char *name = prefix[0] == '\0'
                               ? arena_strdup(r->arena, entry->d_name)
                               : arena_printf(r->arena, "%s/%s", prefix, entry->d_name);
        rc = read_entry(r, arena_printf(r->arena, "%s/%s", path, entry->d_name), name, e);
    }
    closedir(dir);
    return rc;
}

/* ARCHIVE:DIRECTORY. NULL: it is no such name. */
static const char *archive_of(struct arena *arena, const char *from, const char **ret_folder)
{
    const char *colon = strrchr(from, ':');
    if (colon == NULL || colon == from) {
        return NULL;
    }
    const char *path = arena_strndup(arena, from, (size_t)(colon - from));
    *ret_folder = colon + 1;
    return file_size(path) >= 0 ? path : NULL;
}

static int read_from(struct reading *r, const char *from, struct error *e)
{
    struct stat st;
    const char *folder = NULL;
    if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
        return read_directory(r, from, "", e);
    }
    const char *archive = archive_of(r->arena, from, &folder);
    if (archive != NULL) {
        struct archive_summary summary;
        return archive_read_folder(r->arena, archive, folder, keep, r, &summary, e);
    }
    if (file_exists(from)) {
        return error_set(e, E_INVALID,
                         "%s is no directory: for an archive write --dir %s:DIRECTORY, with the "
                         "directory inside that holds the migrations",
                         from, from);
    }
    return error_set(e, E_NOT_FOUND, "there is no directory %s: --dir names it", from);
}

static int by_name(const void *a, const void *b)
{
    const struct migration_file *x = a;
    const struct migration_file *y = b;
    return strcmp(x->name, y->name);
}

static int by_digest(const void *a, const void *b)
{
    const struct migration_file *const *x = a;
    const struct migration_file *const *y = b;
    return strcmp((*x)->sha256, (*y)->sha256);
}

static int sum_up(struct db_folder *folder, struct arena *arena, struct error *e)
{
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    int rc = digest_init(&d, e);
    if (rc < 0) {
        return rc;
    }
    folder->by_digest = ARENA_ARRAY(arena, folder->count, const struct migration_file *);
    for (size_t i = 0; i < folder->count; i++) {
        const struct migration_file *f = &folder->files[i];
        digest_update(&d, f->name, strlen(f->name) + 1);
        digest_update(&d, f->sha256, strlen(f->sha256));
        folder->by_digest[i] = f;
    }
    digest_final_hex(&d, hex);
    folder->digest = arena_strdup(arena, hex);
    qsort(folder->by_digest, folder->count, sizeof(*folder->by_digest), by_digest);
    return 0;
}

/* The files are read: sorted, understood by the format, summed up. */
static int take_files(struct db_call *call, const char *from, struct migration_file *files,
                      size_t count, struct error *e)
{
    if (count > 0) {
        qsort(files, count, sizeof(*files), by_name);
    }
    struct db_folder *folder = &call->folder;
    folder->from = from;
    folder->files = files;
    folder->count = count;
    int rc = call->format->read(call->arena, files, count, &folder->set, e);
    if (rc < 0) {
        error_wrap(e, "%s", from);
        return rc;
    }
    if (folder->set.count == 0) {
        return error_set(e, E_INVALID,
                         "%s holds no migrations of %s (%zu files): is it the right directory?",
                         from, call->format->name, count);
    }
    return sum_up(folder, call->arena, e);
}

int db_folder_read(struct db_call *call, const char *from, struct error *e)
{
    struct reading r = {.arena = call->arena, .deep = call->format->kind == FORMAT_SOURCEGRAPH};
    int rc = read_from(&r, from, e);
    return rc < 0 ? rc : take_files(call, from, r.files, r.count, e);
}

/* ---- saved plans ---- */

static int read_own(struct db_call *call, const char *path, struct bytes text, struct error *e)
{
    struct db_plan_file plan;
    int rc = db_plan_read(call->arena, text, &plan, e);
    if (rc < 0) {
        error_wrap(e, "%s", path);
        return rc;
    }
    const struct migration_format *format = NULL;
    for (size_t i = 0; i < migration_formats_count; i++) {
        format = str_equal(migration_formats[i]->name, plan.format) ? migration_formats[i] : format;
    }
    if (format == NULL || (call->format != NULL && call->format != format)) {
        return error_set(e, E_INVALID, "%s is a plan of %s, not of %s", path, plan.format,
                         call->format != NULL ? call->format->name : "a format known here");
    }
    call->format = format;
    call->folder.low = plan.from;
    call->folder.high = plan.to;
    return take_files(call, path, plan.files, plan.count, e);
}

static int read_mattermost(struct db_call *call, const char *path, struct bytes text,
                           struct error *e)
{
    struct saved_plan plan;
    int rc = saved_plan_read(call->arena, text, &plan, e);
    if (rc < 0) {
        error_wrap(e, "%s", path);
        return rc;
    }
    if (call->format != NULL && call->format->kind != FORMAT_MORPH) {
        return error_set(e, E_INVALID, "%s is a plan of morph, not of %s", path,
                         call->format->name);
    }
    call->format = migration_format_get(FORMAT_MORPH);
    call->folder.partial = true;
    call->folder.low = "none"; /* of what it holds: all */
    size_t count = 0;
    struct migration_file *files = saved_plan_files(call->arena, &plan, &count);
    for (size_t i = 0; i < count; i++) {
        char hex[DIGEST_HEX_BYTES];
        digest_bytes_hex(files[i].text.data, files[i].text.len, hex);
        files[i].sha256 = arena_strdup(call->arena, hex);
    }
    return take_files(call, path, files, count, e);
}

int db_folder_read_plan(struct db_call *call, const char *path, struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read(call->arena, path, PLAN_BYTES_MAX, &text, &len, e);
    if (rc < 0) {
        return rc;
    }
    struct bytes bytes = {.data = (const uint8_t *)text, .len = len};
    return db_plan_is_own(bytes) ? read_own(call, path, bytes, e)
                                 : read_mattermost(call, path, bytes, e);
}

const char *db_folder_to(const struct db_folder *folder, bool down, const char *to)
{
    return to != NULL ? to : down ? folder->low : folder->high;
}

const struct migration_file *db_folder_file(const struct db_folder *folder, const char *sha256)
{
    if (sha256 == NULL || folder->count == 0) {
        return NULL;
    }
    const struct migration_file key = {.sha256 = sha256};
    const struct migration_file *p = &key;
    const struct migration_file **found =
        bsearch(&p, folder->by_digest, folder->count, sizeof(*folder->by_digest), by_digest);
    return found != NULL ? *found : NULL;
}

int db_folder_blob(struct act *act, const char *sha256, const char **ret_path, struct error *e)
{
    struct db_call *call = act->shell;
    const struct migration_file *file = db_folder_file(&call->folder, sha256);
    if (file == NULL && !str_equal(sha256, DIGEST_OF_NOTHING)) {
        return error_set(e, E_NOT_FOUND, "the text %.12s… is not in %s", sha256, call->folder.from);
    }
    const char *path = arena_printf(act->arena, "%s/%s", act->work_dir, sha256);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return file_error(e, errno, "write", path);
    }
    size_t len = file != NULL ? file->text.len : 0;
    size_t at = 0;
    while (at < len) {
        ssize_t n = write(fd, file->text.data + at, len - at);
        if (n < 0 && errno != EINTR) {
            int why = errno;
            close(fd);
            return file_error(e, why, "write", path);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    close(fd); /* not synced: after a crash it is written anew */
    *ret_path = path;
    return 0;
}
