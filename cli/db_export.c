/*
 * Owns `lockstep db export-plan`: the way between two versions of a directory, written into one file. It looks at no
 * database.
 */
#include <string.h>

#include "cli/db_plan_file.h"
#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/migration/saved_plan.h"

struct export
{
    struct db_call call;
    const char *from, *to;
    bool down;
    struct migration_set newer;
    struct db_way way;
};

static struct strings ids(struct arena *arena, const struct migration_set *set)
{
    struct db_ids all = db_ids_of(arena, set);
    return (struct strings){.items = all.items, .count = all.count};
}

/* From all that the older end holds to all that the newer one holds, or back. */
static int find_way(struct export *x, struct error *e)
{
    struct db_call *call = &x->call;
    const struct migration_set *all = &call->folder.set;
    struct migration_set from = {0};
    struct migration_set to = {0};
    struct migration_way way = {0};
    int rc = migration_until(call->arena, call->format, all, x->from, &from, e);
    rc = rc < 0 ? rc : migration_until(call->arena, call->format, all, x->to, &to, e);
    if (rc < 0) {
        return rc;
    }
    x->down = to.count < from.count;
    x->newer = x->down ? from : to;
    struct strings applied = ids(call->arena, &from);
    rc = migration_way(call->arena, call->format, &applied, all, &to, &way, e);
    x->way = (struct db_way){.down = x->down,
                             .items = x->down ? way.down : way.up,
                             .count = x->down ? way.down_count : way.up_count};
    return rc;
}

static const struct migration_file *file_named(const struct db_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (str_equal(folder->files[i].name, name)) {
            return &folder->files[i];
        }
    }
    return NULL;
}

/* ---- Lockstep's own form ---- */

/* A file goes along unless it belongs to a migration above the newer end. */
static bool is_above(const struct export *x, const struct db_ids *newer, const char *name)
{
    const struct migration_set *all = &x->call.folder.set;
    const char *slash = strchr(name, '/');
    const char *folder =
        slash != NULL ? arena_strndup(x->call.arena, name, (size_t)(slash - name) + 1) : NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct migration *m = &all->items[i];
        const char *files[] = {m->up.file, m->down.file};
        for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
            if (folder != NULL ? str_starts(files[f], folder) : str_equal(files[f], name)) {
                return !db_ids_have(newer, m->id);
            }
        }
    }
    return false;
}

static int write_own(struct export *x, const char *path, struct error *e)
{
    struct arena *arena = x->call.arena;
    const struct db_folder *folder = &x->call.folder;
    struct db_plan_file plan = {.format = x->call.format->name,
                                .from = x->down ? x->to : x->from,
                                .to = x->down ? x->from : x->to};
    struct db_ids newer = db_ids_of(arena, &x->newer);
    plan.files = ARENA_ARRAY(arena, folder->count, struct migration_file);
    for (size_t i = 0; i < folder->count; i++) {
        if (!is_above(x, &newer, folder->files[i].name)) {
            plan.files[plan.count++] = folder->files[i];
        }
    }
    struct strings runs = {.items = ARENA_ARRAY(arena, x->way.count, const char *),
                           .count = x->way.count};
    for (size_t i = 0; i < x->way.count; i++) {
        runs.items[i] = db_script(&x->way, i)->file;
    }
    size_t len = 0;
    const char *text = db_plan_text(arena, &plan, &len, &runs);
    return write_output(path, text, len, e);
}

/* ---- Mattermost's ---- */

static int saved_list(struct export *x, bool down, bool backwards, struct saved_migration *list,
                      size_t *count, struct error *e)
{
    for (size_t n = 0; n < x->way.count; n++) {
        size_t i = backwards ? x->way.count - 1 - n : n;
        const struct migration *m = &x->way.items[i];
        const char *name = down ? m->down.file : m->up.file;
        const struct migration_file *file = name != NULL ? file_named(&x->call.folder, name) : NULL;
        if (file == NULL) {
            return error_set(e, E_INVALID,
                             "%s has no script that goes %s: Mattermost's form wants both ways",
                             m->id, down ? "down" : "up");
        }
        int rc = saved_migration_of(x->call.arena, file, &list[(*count)++], e);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int write_mattermost(struct export *x, const char *path, struct error *e)
{
    if (x->call.format->kind != FORMAT_MORPH) {
        return error_set(e, E_INVALID, "--mattermost is a form of morph's plans, not of %s's",
                         x->call.format->name);
    }
    struct saved_plan plan = {.automatic = true};
    plan.migrations = ARENA_ARRAY(x->call.arena, x->way.count, struct saved_migration);
    plan.reverts = ARENA_ARRAY(x->call.arena, x->way.count, struct saved_migration);
    struct bytes text = {0};
    int rc = saved_list(x, x->down, false, plan.migrations, &plan.count, e);
    rc = rc < 0 ? rc : saved_list(x, !x->down, true, plan.reverts, &plan.revert_count, e);
    rc = rc < 0 ? rc : saved_plan_write(x->call.arena, &plan, &text, e);
    return rc < 0 ? rc : write_output(path, text.data, text.len, e);
}

int db_export_plan(struct context *c)
{
    struct export x = {.from = args_text(&c->args, "from"), .to = args_text(&c->args, "to")};
    const char *path = args_text(&c->args, "output");
    int status = CLI_WRONG_USE;
    if (x.from == NULL || x.to == NULL || path == NULL) {
        say("from where to where, and into which file? Say --from VERSION --to VERSION -o FILE; "
            "version 0 is before the first");
        return CLI_WRONG_USE;
    }
    if (!db_call_read(c, DB_NEEDS_NO_DATABASE, &x.call, &status)) {
        return status;
    }
    struct error e = {0};
    int rc = find_way(&x, &e);
    if (rc == 0) {
        rc = args_flag(&c->args, "mattermost") ? write_mattermost(&x, path, &e)
                                               : write_own(&x, path, &e);
    }
    if (rc < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_json(json_pack("{s:s, s:s, s:s, s:o}", "path", path, "format", x.call.format->name,
                             "direction", x.down ? "down" : "up", "migrations",
                             db_way_json(&x.way)));
    } else {
        printf("%s: %zu %s, from %s to %s\n", path, x.way.count, x.down ? "down" : "up", x.from,
               x.to);
    }
    return CLI_DONE;
}
