/* Owns stage, swap and retire as steps. It refuses to show a tree under its release name before it is whole. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/artifact/archive.h"
#include "lib/io/artifact/artifact.h"
#include "lib/io/artifact/tree.h"
#include "lib/io/platform/files.h"
#include "lib/spec/spec.h"

int artifact_installed(struct arena *arena, const char *layout, struct layout_release *ret,
                       struct error *e)
{
    int r = layout_check(layout, e);
    return r == 0 ? layout_read_marker(arena, layout, ret, e) : r;
}

static int check_ref(const struct artifact_ref *artifact, struct error *e)
{
    if (str_empty(artifact->version) || artifact->sha256 == NULL ||
        strlen(artifact->sha256) != 64) {
        return error_set(
            e, E_INVALID,
            "the step names no release: a version and the archive's 64-digit SHA-256 are needed");
    }
    return 0;
}

static bool is_release(struct act *act, const char *tree, const struct artifact_ref *artifact)
{
    struct layout_release found;
    return layout_read_marker(act->arena, tree, &found, NULL) == 0 &&
           str_equal(found.version, artifact->version) && str_equal(found.sha256, artifact->sha256);
}

static void tell_unpacked(void *context, uint64_t bytes)
{
    struct act *act = context;
    act->progress(act, bytes, 0, "unpacking");
}

/* From the archive to `tree`, by way of `half`. */
static int unpack(struct act *act, const struct stage_action *a, const char *half, const char *tree,
                  struct error *e)
{
    const char *blob = NULL;
    int r = act->blob(act, a->artifact.sha256, &blob, e);
    if (r < 0) {
        return r;
    }
    struct archive_unpack options = {.path = blob,
                                     .directory = half,
                                     .allow_special = a->allow_special,
                                     .progress = tell_unpacked,
                                     .context = act};
    r = tree_owner(a->layout, a->owner, &options.uid, &options.gid, e);
    if (r < 0) {
        return r;
    }
    struct archive_summary summary;
    r = archive_unpack(act->arena, &options, &summary, e);
    if (r < 0) {
        return r;
    }
    const char *root =
        summary.top != NULL ? arena_printf(act->arena, "%s/%s", half, summary.top) : half;
    struct layout_release release = {a->artifact.version, a->artifact.sha256};
    r = tree_make_writable(root, e);
    r = r == 0 ? layout_write_marker(root, &release, e) : r;
    r = r == 0 ? file_sync_all(root, e) : r;
    r = r == 0 ? file_rename(root, tree, e) : r;
    if (r == 0) {
        act_log(act, "staged %s at %s: %llu files and directories, %s", release.version, tree,
                (unsigned long long)summary.entries, str_bytes(act->arena, summary.bytes));
    }
    return r;
}

static int stage_locked(struct act *act, const struct stage_action *a, const char *store,
                        struct error *e)
{
    const char *tree =
        layout_staged(act->arena, a->layout, a->artifact.version, a->artifact.sha256);
    if (is_release(act, a->layout, &a->artifact) || is_release(act, tree, &a->artifact)) {
        act_log(act, "release %s is there already", a->artifact.version);
        return 0;
    }
    if (file_exists(tree)) {
        return error_set(e, E_EXISTS,
                         "%s is there, and Lockstep did not put it there: move it away", tree);
    }
    int r = tree_can_exchange(act->arena, store, e);
    const char *half = arena_printf(act->arena, "%s/.tmp-%s", store, strrchr(tree, '/') + 1);
    r = r == 0 ? dir_remove(half, e) : r;
    if (r < 0) {
        return r;
    }
    r = unpack(act, a, half, tree, e);
    /* A half tree is of no use, and its space is what is missing when the disk was full. */
    int removed = dir_remove(half, r == 0 ? e : NULL);
    return r == 0 ? removed : r;
}

int act_stage(struct act *act, const struct action *action, struct error *e)
{
    const struct stage_action *a = action->stage;
    int r = layout_check(a->layout, e);
    r = r == 0 ? check_ref(&a->artifact, e) : r;
    if (r < 0) {
        return r;
    }
    const char *store = layout_store(act->arena, a->layout);
    int lock;
    r = tree_lock(store, act->deadline_ms, &lock, e);
    if (r == 0) {
        r = stage_locked(act, a, store, e);
        tree_unlock(lock);
    }
    return r < 0 ? error_wrap(e, "stage %s", a->artifact.version) : 0;
}

int act_swap(struct act *act, const struct action *action, struct error *e)
{
    const struct swap_action *a = action->swap;
    int r = layout_check(a->layout, e);
    r = r == 0 ? check_ref(&a->artifact, e) : r;
    if (r < 0) {
        return r;
    }
    int lock;
    r = tree_lock(layout_store(act->arena, a->layout), act->deadline_ms, &lock, e);
    if (r == 0) {
        struct tree_swap swap = {
            .layout = a->layout, .to = {a->artifact.version, a->artifact.sha256}, .keep = &a->keep};
        r = tree_swap(act->arena, &swap, e);
        tree_unlock(lock);
    }
    if (r == 0) {
        act_log(act, "release %s is installed at %s", a->artifact.version, a->layout);
    }
    return r < 0 ? error_wrap(e, "swap to %s", a->artifact.version) : 0;
}

/* Only what was staged: what is installed is elsewhere, and what somebody else put there is not ours. */
static int drop(struct act *act, const struct retire_action *a, size_t *ret_removed,
                struct error *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < a->drop.count; i++) {
        const struct artifact_ref *ref = LIST_AT(&a->drop, const struct artifact_ref, i);
        r = check_ref(ref, e);
        const char *tree =
            r == 0 ? layout_staged(act->arena, a->layout, ref->version, ref->sha256) : NULL;
        if (r == 0 && is_release(act, tree, ref)) {
            r = tree_drop(act->arena, a->layout, tree, e);
            *ret_removed += r == 0 ? 1 : 0;
        }
    }
    return r;
}

int act_retire(struct act *act, const struct action *action, struct error *e)
{
    const struct retire_action *a = action->retire;
    int r = layout_check(a->layout, e);
    if (r < 0) {
        return r;
    }
    const char *store = layout_store(act->arena, a->layout);
    if (!file_exists(store)) {
        return 0;
    }
    int lock;
    size_t removed = 0;
    r = tree_lock(store, act->deadline_ms, &lock, e);
    if (r == 0) {
        r = a->drop.count > 0
                ? drop(act, a, &removed, e)
                : tree_retire(act->arena, a->layout, (size_t)MAX(a->keep_releases, 0), &removed, e);
        tree_unlock(lock);
    }
    if (r == 0) {
        act_log(act, "%zu %s releases deleted", removed, a->drop.count > 0 ? "staged" : "old");
    }
    return r;
}
