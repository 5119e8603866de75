/* Owns the permission file. It refuses to guess: a file that cannot be read permits nothing. */
#include "lib/io/platform/permit.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/layout.h"

#define PERMIT_BYTES_MAX (64 * 1024)

static int check_name(const char *application, struct error *e)
{
    return str_is_name(application) ? 0
                                    : error_set(e, E_INVALID, "\"%s\" is no application name",
                                                application != NULL ? application : "");
}

static int store(const char *state_dir, const char *application, json_t *json, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    const char *dir = arena_printf(&arena, "%s/permits", state_dir);
    int r = text == NULL || strlen(text) > PERMIT_BYTES_MAX
                ? error_set(e, E_LIMIT, "the reason is too long, or no UTF-8 text")
                : dir_make(dir, 0700, e);
    if (r == 0) {
        r = file_write(arena_printf(&arena, "%s/%s", dir, application), text, strlen(text), 0600,
                       e);
    }
    free(text);
    arena_deinit(&arena);
    return r;
}

int permit_deny(const char *state_dir, const char *application, const char *run, const char *reason,
                struct error *e)
{
    int r = check_name(application, e);
    if (r < 0) {
        return r;
    }
    return store(state_dir, application,
                 json_pack("{s:s,s:s}", "denied", reason != NULL ? reason : "", "run",
                           run != NULL ? run : ""),
                 e);
}

int permit_allow(const char *state_dir, const char *application, const char *release,
                 const char *checkpoint, struct error *e)
{
    int r = check_name(application, e);
    if (r < 0) {
        return r;
    }
    return store(state_dir, application,
                 json_pack("{s:s,s:s}", "release", release != NULL ? release : "", "checkpoint",
                           checkpoint != NULL ? checkpoint : ""),
                 e);
}

int permit_read(struct arena *arena, const char *state_dir, const char *application,
                struct permit *ret, struct error *e)
{
    int r = check_name(application, e);
    if (r < 0) {
        return r;
    }
    const char *path = arena_printf(arena, "%s/permits/%s", state_dir, application);
    char *text;
    r = file_read(arena, path, PERMIT_BYTES_MAX, &text, NULL, e);
    if (r < 0) {
        return r;
    }
    json_t *json = json_loads(text, 0, NULL);
    struct permit permit = {
        .denied = arena_strdup(arena, json_string_value(json_object_get(json, "denied"))),
        .denied_run = arena_strdup(arena, json_string_value(json_object_get(json, "run"))),
        .release = arena_strdup(arena, json_string_value(json_object_get(json, "release"))),
        .checkpoint = arena_strdup(arena, json_string_value(json_object_get(json, "checkpoint"))),
    };
    json_decref(json);
    if (permit.denied == NULL && permit.release == NULL) {
        return error_set(
            e, E_INVALID,
            "the permission file %s is damaged: apply the cluster again, which writes it anew",
            path);
    }
    *ret = permit;
    return 0;
}

int permit_check(struct arena *arena, const char *state_dir, const char *application,
                 const char *layout, struct error *e)
{
    struct permit permit;
    int r = permit_read(arena, state_dir, application, &permit, e);
    if (r == E_NOT_FOUND) {
        return 0;
    }
    if (r < 0) {
        return r;
    }
    if (permit.denied != NULL) {
        return error_set(e, E_DENIED,
                         "starts of %s are denied by run %s: %s: finish or abort that run first",
                         application, permit.denied_run, permit.denied);
    }
    struct layout_release installed;
    r = layout == NULL ? E_NOT_FOUND : layout_read_marker(arena, layout, &installed, e);
    if (r == E_NOT_FOUND) {
        return 0;
    }
    if (r < 0) {
        return r;
    }
    if (!str_equal(installed.version, permit.release)) {
        return error_set(e, E_DENIED,
                         "release %s is installed at %s, but only %s is permitted to start (%s): "
                         "install that one, or "
                         "apply the version that you want",
                         installed.version, layout, permit.release, permit.checkpoint);
    }
    return 0;
}
