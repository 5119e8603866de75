/*
 * Owns the swap of the installed tree. Before anything moves, an intent (swap.json) says all that will; whoever finds it
 * finishes it. Each step is one rename, and where it stands is told by what is where:
 *
 *   for each keep path that the installed tree has:
 *     staged/p    -> .swap/stock-i   (when the new release ships one)
 *     installed/p -> staged/p
 *   staged <-> installed             (renameat2, RENAME_EXCHANGE; a plain rename when nothing was installed)
 *   store/<new name> -> store/<old name>
 *     .swap/stock-i -> old/p
 *   swap.json removed
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/artifact/tree.h"
#include "lib/io/platform/files.h"

#define INTENT_BYTES_MAX (256 * 1024)
#define KEEP_MAX         256

struct kept_path {
    const char *path;
    bool stock; /* the new release ships one */
};

struct intent {
    struct layout_release to;
    const char *to_tree;   /* where the new one is staged */
    const char *from_tree; /* where the old one will be; NULL: nothing is installed */
    struct kept_path *keep;
    size_t keep_count;
};

struct swap {
    struct arena *arena;
    const struct tree_swap *options;
    const char *layout;
    const char *store;
    const char *intent_path;
};

static void step(const struct swap *s, const char *what)
{
    if (s->options->step != NULL) {
        s->options->step(s->options->context, what);
    }
}

static const char *join(struct arena *arena, const char *a, const char *b)
{
    return arena_printf(arena, "%s/%s", a, b);
}

static int move(const struct swap *s, const char *from, const char *to, const char *what,
                struct error *e)
{
    if (rename(from, to) < 0) {
        int problem = errno;
        file_error(e, problem, "move to", to);
        return error_wrap(e, "moving %s", from);
    }
    step(s, what);
    return file_sync(path_parent(s->arena, to), e);
}

static bool installed_is(const struct swap *s, const struct layout_release *release)
{
    struct layout_release found;
    return layout_read_marker(s->arena, s->layout, &found, NULL) == 0 &&
           str_equal(found.version, release->version) && str_equal(found.sha256, release->sha256);
}

/* ---- the intent ---- */

static int write_intent(const struct swap *s, const struct intent *intent, struct error *e)
{
    json_t *keep = json_array();
    for (size_t i = 0; i < intent->keep_count; i++) {
        json_array_append_new(keep, json_pack("{s:s,s:b}", "path", intent->keep[i].path, "stock",
                                              (int)intent->keep[i].stock));
    }
    json_t *json = json_pack("{s:s,s:s,s:s,s:s?,s:o}", "version", intent->to.version, "sha256",
                             intent->to.sha256, "to_tree", intent->to_tree, "from_tree",
                             intent->from_tree, "keep", keep);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1));
    json_decref(json);
    if (text == NULL || strlen(text) >= INTENT_BYTES_MAX) {
        free(text);
        return error_set(e, E_INVALID, "a keep path or the version is no UTF-8 text, or too long");
    }
    int r = file_write(s->intent_path, text, strlen(text), 0644, e);
    free(text);
    step(s, "intent");
    return r;
}

static int read_intent(const struct swap *s, struct intent *ret, struct error *e)
{
    char *text;
    int r = file_read(s->arena, s->intent_path, INTENT_BYTES_MAX, &text, NULL, e);
    if (r < 0) {
        return r;
    }
    struct arena *a = s->arena;
    json_t *json = json_loads(text, 0, NULL);
    json_t *keep = json_object_get(json, "keep");
    *ret = (struct intent){
        .to = {arena_strdup(a, json_string_value(json_object_get(json, "version"))),
               arena_strdup(a, json_string_value(json_object_get(json, "sha256")))},
        .to_tree = arena_strdup(a, json_string_value(json_object_get(json, "to_tree"))),
        .from_tree = arena_strdup(a, json_string_value(json_object_get(json, "from_tree"))),
        .keep = arena_array(a, json_array_size(keep) + 1, sizeof(struct kept_path))};
    bool whole = ret->to.version != NULL && ret->to.sha256 != NULL && ret->to_tree != NULL;
    for (size_t i = 0; i < json_array_size(keep); i++) {
        json_t *item = json_array_get(keep, i);
        const char *path = arena_strdup(a, json_string_value(json_object_get(item, "path")));
        whole = whole && path != NULL;
        ret->keep[ret->keep_count++] =
            (struct kept_path){path, json_is_true(json_object_get(item, "stock"))};
    }
    json_decref(json);
    return whole
               ? 0
               : error_set(e, E_INVALID,
                           "%s is damaged: look at %s and %s, put the trees in order and delete it",
                           s->intent_path, s->layout, s->store);
}

/* ---- what is checked before anything moves ---- */

/* "a//b/" to "a/b"; NULL for what is no path inside the tree. */
static const char *clean_keep(struct arena *arena, const char *path)
{
    char *clean = arena_alloc(arena, strlen(path) + 1);
    size_t len = 0;
    if (path[0] == '/') {
        return NULL;
    }
    while (*path != '\0') {
        size_t part = strcspn(path, "/");
        if ((part == 1 && path[0] == '.') || (part == 2 && path[0] == '.' && path[1] == '.')) {
            return NULL;
        }
        if (part > 0) {
            if (len > 0) {
                clean[len++] = '/';
            }
            memcpy(clean + len, path, part);
            len += part;
        }
        path += part + (path[part] == '/');
    }
    clean[len] = '\0';
    return len > 0 && !str_equal(clean, LAYOUT_MARKER) ? clean : NULL;
}

/* Does tree/p exist, reached through plain directories only? A mount point cannot be moved, nor a link's other side. */
static int look_at_keep(const struct swap *s, const char *tree, const char *p, bool *ret_exists,
                        struct error *e)
{
    struct stat st;
    struct stat above;
    *ret_exists = false;
    if (lstat(tree, &above) < 0) {
        return errno == ENOENT ? 0 : file_error(e, errno, "look at", tree);
    }
    for (const char *slash = p; slash != NULL; slash = slash != NULL ? slash + 1 : NULL) {
        slash = strchr(slash, '/');
        const char *part = slash != NULL ? arena_strndup(s->arena, p, (size_t)(slash - p)) : p;
        const char *path = join(s->arena, tree, part);
        if (lstat(path, &st) < 0) {
            return errno == ENOENT || errno == ENOTDIR ? 0 : file_error(e, errno, "look at", path);
        }
        if (slash != NULL && S_ISLNK(st.st_mode)) {
            return error_set(
                e, E_INVALID,
                "keep: %s leads through the symbolic link %s: keep the link itself instead", p,
                path);
        }
        if (st.st_dev != above.st_dev) {
            return error_set(e, E_INVALID,
                             "keep: %s is a mount point, which cannot be carried over: mount it "
                             "outside of the tree and keep a symbolic link to it",
                             path);
        }
        above = st;
        if (slash == NULL) {
            break;
        }
    }
    *ret_exists = true;
    return 0;
}

static bool inside(const char *path, const char *of)
{
    size_t len = strlen(of);
    return strncmp(path, of, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int plan_keep(const struct swap *s, struct intent *intent, struct error *e)
{
    const struct strings *keep = s->options->keep;
    size_t count = keep != NULL ? keep->count : 0;
    if (count > KEEP_MAX) {
        return error_set(e, E_LIMIT, "more than %d keep paths", KEEP_MAX);
    }
    const char **clean = arena_array(s->arena, count + 1, sizeof(*clean));
    for (size_t i = 0; i < count; i++) {
        clean[i] = clean_keep(s->arena, keep->items[i]);
        if (clean[i] == NULL) {
            return error_set(e, E_INVALID, "keep: \"%s\" is no relative path inside the tree",
                             keep->items[i]);
        }
    }
    intent->keep = arena_array(s->arena, count + 1, sizeof(*intent->keep));
    for (size_t i = 0; i < count; i++) {
        bool covered = false; /* by a directory that is kept whole, or by itself a second time */
        for (size_t k = 0; k < count; k++) {
            covered = covered || (k != i && inside(clean[i], clean[k]) &&
                                  (k < i || !str_equal(clean[i], clean[k])));
        }
        bool there = false;
        bool stock = false;
        int r = covered ? 0 : look_at_keep(s, s->layout, clean[i], &there, e);
        r = r == 0 && there ? look_at_keep(s, intent->to_tree, clean[i], &stock, e) : r;
        if (r < 0) {
            return r;
        }
        if (there) {
            intent->keep[intent->keep_count++] = (struct kept_path){clean[i], stock};
        }
    }
    return 0;
}

static int old_tree_name(const struct swap *s, const char **ret, struct error *e)
{
    struct layout_release old;
    int r = layout_read_marker(s->arena, s->layout, &old, e);
    if (r == 0) {
        *ret = layout_staged(s->arena, s->layout, old.version, old.sha256);
        if (!file_exists(*ret)) {
            return 0;
        }
        /* A second copy of what is installed: the installed one, with its changes, is the one to keep. */
        const char *copy = arena_printf(s->arena, "%s/.tmp-copy", s->store);
        r = dir_remove(copy, e);
        r = r == 0 ? file_rename(*ret, copy, e) : r;
        return r == 0 ? dir_remove(copy, e) : r;
    }
    if (r != E_NOT_FOUND) {
        return r;
    }
    char stamp[32];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &parts);
    *ret = arena_printf(s->arena, "%s/found-%s", s->store, stamp);
    for (int i = 2; file_exists(*ret); i++) {
        *ret = arena_printf(s->arena, "%s/found-%s-%d", s->store, stamp, i);
    }
    return 0;
}

static int plan(const struct swap *s, struct intent *ret, struct error *e)
{
    bool installed;
    struct intent intent = {.to = s->options->to};
    int r = tree_is_plain(s->layout, &installed, e);
    r = r == 0 ? layout_find(s->arena, s->layout, intent.to.version, intent.to.sha256,
                             &intent.to_tree, e)
               : r;
    r = r == 0 && installed ? tree_can_exchange(s->arena, s->store, e) : r;
    r = r == 0 ? plan_keep(s, &intent, e) : r;
    r = r == 0 && installed ? old_tree_name(s, &intent.from_tree, e) : r;
    r = r == 0 ? dir_remove(arena_printf(s->arena, "%s/.swap", s->store), e) : r;
    if (r == 0) {
        *ret = intent;
    }
    return r;
}

/* ---- carrying it out ---- */

/* The directories above tree/p, as they are above installed/p. */
static int make_parents(const struct swap *s, const char *tree, const char *p, struct error *e)
{
    for (const char *slash = strchr(p, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        const char *part = arena_strndup(s->arena, p, (size_t)(slash - p));
        const char *path = join(s->arena, tree, part);
        struct stat st;
        if (mkdir(path, 0755) < 0) {
            if (errno != EEXIST) {
                return file_error(e, errno, "make the directory", path);
            }
            continue;
        }
        if (stat(join(s->arena, s->layout, part), &st) == 0) {
            /* Best effort for a plain user, who owns both; root can. */
            if (geteuid() == 0 && chown(path, st.st_uid, st.st_gid) < 0) {
                return file_error(e, errno, "set the owner of", path);
            }
            if (chmod(path, st.st_mode & 07777) < 0) {
                return file_error(e, errno, "set the mode of", path);
            }
        }
        step(s, "parent");
    }
    return 0;
}

static int carry_over(const struct swap *s, const struct intent *intent, struct error *e)
{
    const char *work = arena_printf(s->arena, "%s/.swap", s->store);
    int r = dir_make(work, 0700, e);
    step(s, "work directory");
    for (size_t i = 0; r == 0 && i < intent->keep_count; i++) {
        const struct kept_path *keep = &intent->keep[i];
        const char *staged = join(s->arena, intent->to_tree, keep->path);
        const char *stock = arena_printf(s->arena, "%s/stock-%zu", work, i);
        if (keep->stock && !file_exists(stock)) {
            r = move(s, staged, stock, "stock away", e);
        }
        if (r == 0 && !file_exists(staged)) {
            r = make_parents(s, intent->to_tree, keep->path, e);
            r = r == 0 ? move(s, join(s->arena, s->layout, keep->path), staged, "carry", e) : r;
        }
    }
    return r;
}

static int exchange(const struct swap *s, const struct intent *intent, struct error *e)
{
    unsigned flags = intent->from_tree != NULL ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, intent->to_tree, AT_FDCWD, s->layout, flags) < 0) {
        int problem = errno;
        if (problem == EINVAL && intent->from_tree == NULL &&
            rename(intent->to_tree, s->layout) == 0) {
            problem = 0;
        }
        if (problem != 0) {
            file_error(e, problem, "swap", s->layout);
            return error_wrap(e, "release %s", intent->to.version);
        }
    }
    step(s, "exchange");
    int r = file_sync(path_parent(s->arena, s->layout), e);
    return r == 0 ? file_sync(s->store, e) : r;
}

static int put_stock_back(const struct swap *s, const struct intent *intent, struct error *e)
{
    const char *work = arena_printf(s->arena, "%s/.swap", s->store);
    for (size_t i = 0; i < intent->keep_count; i++) {
        const char *stock = arena_printf(s->arena, "%s/stock-%zu", work, i);
        const char *place = intent->from_tree != NULL
                                ? join(s->arena, intent->from_tree, intent->keep[i].path)
                                : NULL;
        if (!file_exists(stock)) {
            continue;
        }
        /* Something was written there meanwhile: it stays, and what the release ships can be had from its archive again. */
        int r = place == NULL || file_exists(place) ? dir_remove(stock, e)
                                                    : move(s, stock, place, "stock back", e);
        if (r < 0) {
            return r;
        }
    }
    int r = dir_remove(work, e);
    step(s, "work directory removed");
    return r;
}

static int finish(const struct swap *s, const struct intent *intent, struct error *e)
{
    int r = 0;
    if (!installed_is(s, &intent->to)) {
        r = carry_over(s, intent, e);
        r = r == 0 ? exchange(s, intent, e) : r;
    }
    if (r == 0 && intent->from_tree != NULL && file_exists(intent->to_tree) &&
        !file_exists(intent->from_tree)) {
        r = move(s, intent->to_tree, intent->from_tree, "name the old tree", e);
    }
    r = r == 0 ? put_stock_back(s, intent, e) : r;
    r = r == 0 ? file_remove(s->intent_path, e) : r;
    if (r == 0) {
        step(s, "intent removed");
    }
    return r;
}

int tree_swap(struct arena *arena, const struct tree_swap *swap, struct error *e)
{
    int r = layout_check(swap->layout, e);
    if (r < 0) {
        return r;
    }
    const char *store = layout_store(arena, swap->layout);
    struct swap s = {.arena = arena,
                     .options = swap,
                     .layout = swap->layout,
                     .store = store,
                     .intent_path = arena_printf(arena, "%s/swap.json", store)};
    struct intent intent;
    if (layout_swap_pending(arena, swap->layout)) {
        r = read_intent(&s, &intent, e);
        r = r == 0 ? finish(&s, &intent, e) : r;
        if (r < 0) {
            return error_wrap(e, "finishing the swap that was interrupted");
        }
    }
    if (installed_is(&s, &swap->to)) {
        return 0;
    }
    r = plan(&s, &intent, e);
    r = r == 0 ? write_intent(&s, &intent, e) : r;
    return r == 0 ? finish(&s, &intent, e) : r;
}
