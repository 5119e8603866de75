/* Owns fetching an artifact to a file. It refuses to give a file its name before its digest is right. */
#include "lib/io/artifact/download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/http.h"

struct transfer {
    const struct artifact_download *d;
    const char *part;
    FILE *file; /* owned */
    uint64_t done;
    uint64_t total;
};

static int begin(void *context, uint64_t offset, uint64_t total, struct error *e)
{
    struct transfer *t = context;
    t->done = offset;
    t->total = total;
    t->file = fopen(t->part, offset > 0 ? "ae" : "we");
    return t->file != NULL ? 0 : file_error(e, errno, "write", t->part);
}

static int piece(void *context, const void *data, size_t len, struct error *e)
{
    struct transfer *t = context;
    if (fwrite(data, 1, len, t->file) != len) {
        return file_error(e, errno, "write", t->part);
    }
    t->done += len;
    if (t->d->progress != NULL) {
        t->d->progress(t->d->context, t->done, t->total);
    }
    return 0;
}

/* 1: the file at `path` has the digest; 0: another, in ret_hex. */
static int has_digest(const char *path, const char *sha256, char ret_hex[DIGEST_HEX_BYTES],
                      struct error *e)
{
    int r = digest_file_hex(path, ret_hex, NULL, e);
    return r < 0 ? r : strcasecmp(ret_hex, sha256) == 0;
}

static int fetch(struct transfer *t, uint64_t from, struct error *e)
{
    struct http_download download = {
        .url = t->d->url, .resume_from = from, .begin = begin, .piece = piece, .context = t};
    int r = http_download(&download, e);
    if (t->file != NULL && fclose(t->file) != 0 && r == 0) {
        r = file_error(e, errno, "write", t->part);
    }
    t->file = NULL;
    return r;
}

static int fetch_and_prove(struct transfer *t, struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    uint64_t have = (uint64_t)MAX(file_size(t->part), 0);
    int r = fetch(t, have, e);
    if (r < 0) {
        return r;
    }
    r = has_digest(t->part, t->d->sha256, hex, e);
    if (r == 0 && have > 0) {
        /* The part may be of another file that stood at the URL before: once more, from the start. */
        r = file_remove(t->part, e);
        r = r == 0 ? fetch(t, 0, e) : r;
        r = r == 0 ? has_digest(t->part, t->d->sha256, hex, e) : r;
    }
    if (r == 0) {
        file_remove(t->part, NULL);
        return error_set(e, E_CONFLICT,
                         "%s: the file's SHA-256 is %s, the spec says %s: the artifact is damaged "
                         "or the spec is wrong",
                         t->d->url, hex, t->d->sha256);
    }
    return r < 0 ? r : 0;
}

int artifact_download(const struct artifact_download *download, struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    struct arena arena;
    if (download->sha256 == NULL || strlen(download->sha256) != 64) {
        return error_set(e, E_INVALID, "%s: the spec gives no SHA-256 of 64 digits", download->url);
    }
    if (file_exists(download->path) &&
        has_digest(download->path, download->sha256, hex, NULL) == 1) {
        return 0;
    }
    arena_init(&arena);
    struct transfer t = {.d = download, .part = arena_printf(&arena, "%s.part", download->path)};
    int r = fetch_and_prove(&t, e);
    r = r == 0 ? file_sync(t.part, e) : r;
    r = r == 0 ? file_rename(t.part, download->path, e) : r;
    arena_deinit(&arena);
    return r;
}
