/* Owns the fetching and the reading of artifacts at the controller. It refuses one whose digest is
 * not the spec's. */
#include "controller/releases.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/artifact/archive.h"
#include "lib/io/artifact/download.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/migration/saved_plan.h"

#define PROGRESS_EVERY_MS 250

struct reading {
    uv_work_t work;
    uv_timer_t ticker;
    struct controller *controller;
    struct release_request request; /* borrowed */
    struct release_callbacks callbacks;
    struct arena arena; /* the release's; the caller's after done */
    struct known_release release;
    struct error error;
    int result;
    uint64_t fetched, total; /* written by the pool, read by the loop for progress only */
};

int releases_open(struct controller *c, struct error *e)
{
    c->blobs_dir = arena_printf(&c->arena, "%s/blobs", c->options->state_dir);
    return dir_make(c->blobs_dir, 0700, e);
}

/* ---- in the pool ---- */

struct scripts {
    struct reading *reading;
    int folders; /* how deep a script may lie below the folder */
    struct migration_file *files;
    size_t count;
    size_t capacity;
};

static int keep_script(void *context, const char *name, const void *data, size_t len,
                       struct error *e)
{
    struct scripts *s = context;
    struct arena *arena = &s->reading->arena;
    int folders = 0;
    for (const char *p = name; *p != '\0'; p++) {
        folders += *p == '/' ? 1 : 0;
    }
    if (folders != s->folders) {
        return 0; /* a folder of another database lies below this one, or what is no migration beside it */
    }
    char digest[DIGEST_HEX_BYTES];
    digest_bytes_hex(data, len, digest);
    const char *path = arena_printf(arena, "%s/%s", s->reading->controller->blobs_dir, digest);
    int r = file_exists(path) ? 0 : file_write(path, data, len, 0600, e);
    if (r < 0) {
        return r;
    }
    s->files = arena_grow(arena, s->files, s->count, &s->capacity, sizeof(*s->files));
    s->files[s->count++] = (struct migration_file){
        .name = arena_strdup(arena, name),
        .text = {.data = (const uint8_t *)arena_strndup(arena, data, len), .len = len},
        .sha256 = arena_strdup(arena, digest),
    };
    return 0;
}

static void fetched(void *context, uint64_t done, uint64_t total)
{
    struct reading *r = context;
    __atomic_store_n(&r->total, total, __ATOMIC_RELAXED);
    __atomic_store_n(&r->fetched, done, __ATOMIC_RELAXED);
}

static const char *blob_path(struct reading *r, const char *sha256)
{
    return arena_printf(&r->arena, "%s/%s", r->controller->blobs_dir, sha256);
}

/* Migration files that lie outside of the artifact: fetched, and looked at what it is. */
static int fetch_scripts(struct reading *r, const struct scripts_spec *spec, struct bytes *ret_plan,
                         struct error *e)
{
    const char *path = blob_path(r, spec->sha256);
    const struct artifact_download download = {
        .url = spec->url, .sha256 = spec->sha256, .path = path, .progress = fetched, .context = r};
    char *text = NULL;
    size_t len = 0;
    int code = artifact_download(&download, e);
    *ret_plan = (struct bytes){0};
    if (code < 0 || file_size(path) > LIMIT_SPEC_BYTES) {
        return code; /* more than a saved plan ever is */
    }
    code = file_read(&r->arena, path, LIMIT_SPEC_BYTES, &text, &len, e);
    size_t blanks = code == 0 ? strspn(text, " \t\r\n") : 0;
    if (code == 0 && text[blanks] == '{') {
        *ret_plan = (struct bytes){.data = (const uint8_t *)text, .len = len};
    }
    return code;
}

/* What a saved plan has and the release's own files lack. */
static int add_saved_plan(struct scripts *s, struct bytes text, struct error *e)
{
    struct arena *arena = &s->reading->arena;
    struct saved_plan plan = {0};
    int code = saved_plan_read(arena, text, &plan, e);
    size_t count = 0;
    struct migration_file *files = code == 0 ? saved_plan_files(arena, &plan, &count) : NULL;
    size_t own = s->count;
    for (size_t i = 0; code == 0 && i < count; i++) {
        bool there = false;
        for (size_t f = 0; f < own && !there; f++) {
            there = str_equal(s->files[f].name, files[i].name);
        }
        code = there ? 0 : keep_script(s, files[i].name, files[i].text.data, files[i].text.len, e);
    }
    return code;
}

static bool are_for(const struct scripts_spec *spec, const struct app_database_spec *database)
{
    return spec->database == NULL || str_equal(spec->database, database->name);
}

static int read_scripts(struct reading *r, const char *archive,
                        const struct app_database_spec *database, struct scripts *scripts,
                        struct error *e)
{
    const struct list *sources = &r->request.release->scripts;
    struct bytes *plans = ARENA_ARRAY(&r->arena, sources->count + 1, struct bytes);
    size_t plan_count = 0;
    for (size_t i = 0; i < sources->count; i++) {
        const struct scripts_spec *spec = LIST_AT(sources, struct scripts_spec, i);
        if (!are_for(spec, database)) {
            continue;
        }
        int code = fetch_scripts(r, spec, &plans[plan_count], e);
        if (code < 0) {
            return code;
        }
        if (plans[plan_count].len > 0) {
            plan_count++;
        } else {
            archive = blob_path(r, spec->sha256);
        }
    }
    struct archive_summary summary = {0};
    struct error none = {0};
    int code = archive_read_folder(&r->arena, archive, database->migrations->dir, keep_script,
                                   scripts, &summary, &none);
    if (code < 0 && (code != E_NOT_FOUND || plan_count == 0)) {
        *e = none;
        return code;
    }
    code = 0;
    for (size_t i = 0; code == 0 && i < plan_count; i++) {
        code = add_saved_plan(scripts, plans[i], e);
    }
    return code;
}

static int read_database(struct reading *r, const char *archive,
                         const struct app_database_spec *database, struct known_database *ret,
                         struct error *e)
{
    ret->name = arena_strdup(&r->arena, database->name);
    const struct migrations_spec *migrations = database->migrations;
    const struct migration_format *format =
        migrations == NULL ? NULL : migration_format_get(migrations->format);
    if (format == NULL || migrations->dir == NULL) {
        return 0; /* an external migrator's business */
    }
    /* Sourcegraph's migrations are folders: ID_name/up.sql. */
    struct scripts scripts = {.reading = r, .folders = format->kind == FORMAT_SOURCEGRAPH ? 1 : 0};
    int code = read_scripts(r, archive, database, &scripts, e);
    if (code == 0) {
        code = format->read(&r->arena, scripts.files, scripts.count, &ret->set, e);
    }
    return code;
}

static int read_release(struct reading *r, const char *archive, struct error *e)
{
    const struct application *app = r->request.application;
    struct known_release *release = &r->release;
    struct archive_summary summary = {0};
    const struct external_spec *migrator = r->request.migrator;
    release->version =
        arena_strdup(&r->arena, migrator != NULL ? migrator->version : r->request.release->version);
    release->os = arena_strdup(&r->arena, r->request.artifact->os);
    release->arch = arena_strdup(&r->arena, r->request.artifact->arch);
    release->sha256 = arena_strdup(&r->arena, r->request.artifact->sha256);
    release->bytes = file_size(archive);
    release->databases = ARENA_ARRAY(&r->arena, app->databases.count + 1, struct known_database);
    int code = archive_list(&r->arena, archive, true, &summary, e);
    release->unpacked_bytes = (int64_t)summary.bytes;
    for (size_t i = 0; migrator == NULL && code == 0 && i < app->databases.count; i++) {
        code = read_database(r, archive, LIST_AT(&app->databases, struct app_database_spec, i),
                             &release->databases[release->database_count++], e);
    }
    return code;
}

static void work(uv_work_t *work_request)
{
    struct reading *r = CONTAINER_OF(work_request, struct reading, work);
    const struct artifact_spec *artifact = r->request.artifact;
    const char *path = blob_path(r, artifact->sha256);
    const struct artifact_download download = {.url = artifact->url,
                                               .sha256 = artifact->sha256,
                                               .path = path,
                                               .progress = fetched,
                                               .context = r};
    r->result = artifact_download(&download, &r->error);
    if (r->result == 0) {
        r->result = read_release(r, path, &r->error);
    }
    if (r->result < 0) {
        const struct external_spec *migrator = r->request.migrator;
        error_wrap(&r->error, "%s %s", migrator != NULL ? "migrator" : "release",
                   migrator != NULL ? migrator->version : r->request.release->version);
    }
}

/* ---- in the loop ---- */

static void ticker_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void worked(uv_work_t *work_request, int status UNUSED)
{
    struct reading *r = CONTAINER_OF(work_request, struct reading, work);
    struct arena arena = r->arena;
    if (r->result < 0) {
        r->callbacks.done(r->callbacks.context, NULL, NULL, &r->error);
        arena_deinit(&arena);
    } else {
        r->callbacks.done(r->callbacks.context, &arena, &r->release, NULL);
    }
    uv_close((uv_handle_t *)&r->ticker, ticker_closed);
}

static void tick(uv_timer_t *timer)
{
    struct reading *r = timer->data;
    uint64_t done = __atomic_load_n(&r->fetched, __ATOMIC_RELAXED);
    uint64_t total = __atomic_load_n(&r->total, __ATOMIC_RELAXED);
    if (done > 0) {
        r->callbacks.progress(r->callbacks.context, done, total);
    }
}

void releases_read(struct controller *c, const struct release_request *request,
                   const struct release_callbacks *callbacks)
{
    struct reading *r = calloc(1, sizeof(*r));
    assert(r != NULL);
    r->controller = c;
    r->request = *request;
    r->callbacks = *callbacks;
    arena_init(&r->arena);
    uv_timer_init(&c->loop, &r->ticker);
    r->ticker.data = r;
    uv_timer_start(&r->ticker, tick, PROGRESS_EVERY_MS, PROGRESS_EVERY_MS);
    uv_queue_work(&c->loop, &r->work, work, worked);
}
