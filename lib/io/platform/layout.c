/* Owns the names of trees and their markers. It refuses layouts that are not plain absolute paths. */
#include "lib/io/platform/layout.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define MARKER_BYTES_MAX 4096

int layout_check(const char *layout, struct error *e)
{
    if (layout == NULL || layout[0] != '/' || layout[1] == '\0') {
        return error_set(e, E_INVALID, "the layout path \"%s\" must be an absolute path below /",
                         layout != NULL ? layout : "");
    }
    if (strlen(layout) + LIMIT_VERSION_BYTES + 64 > LIMIT_PATH_BYTES) {
        return error_set(e, E_INVALID, "the layout path is too long");
    }
    for (const char *part = layout; part != NULL; part = strchr(part, '/')) {
        part++;
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.')) {
            return error_set(e, E_INVALID,
                             "the layout path %s must have no empty, \".\" or \"..\" part and no "
                             "slash at its end",
                             layout);
        }
    }
    return 0;
}

const char *layout_store(struct arena *arena, const char *layout)
{
    return arena_printf(arena, "%s.lockstep", layout);
}

const char *layout_staged(struct arena *arena, const char *layout, const char *version,
                          const char *sha256)
{
    char *name = arena_printf(arena, "%.*s-%.8s", LIMIT_VERSION_BYTES, version, sha256);
    for (char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("._-+~", *c) == NULL) {
            *c = '_';
        }
    }
    if (*name == '.') {
        *name = '_';
    }
    return arena_printf(arena, "%s.lockstep/%s", layout, name);
}

int layout_read_marker(struct arena *arena, const char *tree, struct layout_release *ret,
                       struct error *e)
{
    const char *path = arena_printf(arena, "%s/" LAYOUT_MARKER, tree);
    char *text;
    int r = file_read(arena, path, MARKER_BYTES_MAX, &text, NULL, e);
    if (r < 0) {
        return r;
    }
    json_t *json = json_loads(text, 0, NULL);
    const char *version = json_string_value(json_object_get(json, "version"));
    const char *sha256 = json_string_value(json_object_get(json, "sha256"));
    if (version != NULL && sha256 != NULL && strlen(sha256) == 64) {
        *ret = (struct layout_release){arena_strdup(arena, version), arena_strdup(arena, sha256)};
    } else {
        r = error_set(e, E_INVALID, "%s is damaged: delete the tree and stage the release again",
                      path);
    }
    json_decref(json);
    return r;
}

int layout_write_marker(const char *tree, const struct layout_release *release, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    json_t *json = json_pack("{s:s,s:s}", "version", release->version, "sha256", release->sha256);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    int r = text == NULL ? error_set(e, E_INVALID, "the version is not UTF-8 text")
                         : file_write(arena_printf(&arena, "%s/" LAYOUT_MARKER, tree), text,
                                      strlen(text), 0644, e);
    free(text);
    arena_deinit(&arena);
    return r;
}

static bool is_release(struct arena *arena, const char *tree, const char *version,
                       const char *sha256)
{
    struct layout_release found;
    return layout_read_marker(arena, tree, &found, NULL) == 0 &&
           str_equal(found.version, version) && (sha256 == NULL || str_equal(found.sha256, sha256));
}

int layout_find(struct arena *arena, const char *layout, const char *version, const char *sha256,
                const char **ret_tree, struct error *e)
{
    int r = layout_check(layout, e);
    if (r < 0) {
        return r;
    }
    const char *store = layout_store(arena, layout);
    const char *found = NULL;
    DIR *dir = opendir(store);
    for (struct dirent *entry; found == NULL && dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *tree = arena_printf(arena, "%s/%s", store, entry->d_name);
        if (entry->d_name[0] != '.' && is_release(arena, tree, version, sha256)) {
            found = tree;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (found == NULL && is_release(arena, layout, version, sha256)) {
        found = layout;
    }
    if (found == NULL) {
        return error_set(e, E_NOT_FOUND,
                         "release %s is neither staged in %s nor installed at %s: stage it first",
                         version, store, layout);
    }
    *ret_tree = found;
    return 0;
}

bool layout_swap_pending(struct arena *arena, const char *layout)
{
    return file_exists(arena_printf(arena, "%s.lockstep/swap.json", layout));
}
