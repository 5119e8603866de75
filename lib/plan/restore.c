/*
 * Owns databases that are put back to a backup instead of migrated: what their ledgers hold then, the look at the files before
 * anything stops, and the phase that restores. Refuses a backup that lies elsewhere, and one of a schema that stood half-way.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

bool restores(const struct compiler *c)
{
    return c->request != NULL && c->request->restore_count > 0;
}

const struct plan_restore *restore_of(const struct compiler *c, const char *database)
{
    for (size_t i = 0; restores(c) && i < c->request->restore_count; i++) {
        if (str_equal(c->request->restores[i].database, database)) {
            return &c->request->restores[i];
        }
    }
    return NULL;
}

/* ---- may it be restored? ---- */

static void check_restore(struct compiler *c, const struct plan_restore *r)
{
    const struct cluster_database_spec *site = cluster_database(c->cluster, r->database);
    bool known = false;
    for (size_t i = 0; i < c->app->databases.count; i++) {
        known = known || str_equal(LIST_AT(&c->app->databases, struct app_database_spec, i)->name,
                                   r->database);
    }
    if (site == NULL || !known) {
        forbid(c, "run %s has a backup of database %s, which %s no longer has", r->run, r->database,
               site == NULL ? c->cluster->name : c->app->name);
        return;
    }
    const char *place = str_empty(site->via) ? PLAN_CONTROLLER : site->via;
    if (!str_equal(place, r->on)) {
        forbid(c,
               "the backup of database %s lies on %s (%s), and the database is now reached from "
               "%s: say via: %s for it, or bring the file there and use `lockstep db restore`",
               r->database, r->on, r->path, place, r->on);
    }
    if (r->half_done.count > 0) {
        forbid(c,
               "the backup of database %s that run %s made holds migration %s half-done: no "
               "release runs with it; restore an earlier one",
               r->database, r->run, r->half_done.items[0]);
    }
}

void restores_read(struct compiler *c, const struct inventory *observed)
{
    c->observed = observed;
    c->inventory = observed;
    if (!restores(c)) {
        return;
    }
    struct inventory *then = ARENA_NEW(c->arena, struct inventory);
    *then = *observed;
    then->databases = ARENA_ARRAY(c->arena, observed->database_count + 1, struct observed_database);
    for (size_t i = 0; i < observed->database_count; i++) {
        struct observed_database *d = &then->databases[i];
        *d = observed->databases[i];
        const struct plan_restore *r = restore_of(c, d->name);
        if (r != NULL) {
            d->applied = r->applied;
            d->open_count = 0;
        }
    }
    c->inventory = then;
    for (size_t i = 0; i < c->request->restore_count; i++) {
        check_restore(c, &c->request->restores[i]);
    }
}

void restores_path(struct compiler *c, const char *from)
{
    c->path = (struct strings){0};
    if (from != NULL && !str_equal(from, c->to)) {
        strings_push(c->arena, &c->path, from);
    }
    strings_push(c->arena, &c->path, c->to);
}

const char *restore_forbids(struct compiler *c, const struct extra_step *step)
{
    const char *named = NULL;
    size_t left = 0; /* databases that it has to do with, and that are not restored */
    for (size_t i = 0; step->scope == SCOPE_DATABASE && i < c->app->databases.count; i++) {
        const char *name = LIST_AT(&c->app->databases, struct app_database_spec, i)->name;
        if (step->database == NULL || str_equal(step->database, name)) {
            bool restored = restore_of(c, name) != NULL;
            named = restored ? name : named;
            left += restored ? 0 : 1;
        }
    }
    for (size_t i = 0; step->scope == SCOPE_ONCE && i < step->actions.count; i++) {
        const struct action *a = LIST_AT(&step->actions, struct action, i);
        if (a->follow != NULL && restore_of(c, a->follow->database.name) != NULL) {
            named = a->follow->database.name;
        }
    }
    return named != NULL && left == 0
               ? arena_printf(c->arena, "database %s is put back to a backup", named)
               : NULL;
}

/* ---- its steps ---- */

static struct plan_step *step_restore(struct compiler *c, struct plan_phase *phase,
                                      const struct hop_database *db, bool look)
{
    const struct plan_restore *r = db->restore;
    struct plan_step *step = add_step(c, phase, look ? "look at backup" : "restore", db->app->name,
                                      db->place, BACKUP_MS);
    struct db_restore_action *a = ARENA_NEW(c->arena, struct db_restore_action);
    *a = (struct db_restore_action){.database = db->ref,
                                    .format = db->format,
                                    .look = look,
                                    .path = r->path,
                                    .sha256 = r->sha256,
                                    .fingerprint = look ? NULL : r->fingerprint};
    step->action->db_restore = a;
    return step;
}

void steps_look_restores(struct compiler *c, struct plan_phase *phase)
{
    for (size_t d = 0; d < c->hops[0].database_count; d++) {
        const struct hop_database *db = &c->hops[0].databases[d];
        if (db->restore == NULL) {
            continue;
        }
        struct plan_step *step = step_restore(c, phase, db, true);
        step->detail = arena_printf(c->arena, "%s of run %.8s, SHA-256 %.8s",
                                    str_bytes(c->arena, (uint64_t)db->restore->bytes),
                                    db->restore->run, db->restore->sha256);
    }
}

void phase_restore(struct compiler *c, size_t hop, const struct hop_database *db, bool last)
{
    const struct plan_restore *r = db->restore;
    const char *lossy = arena_printf(c->arena, "all since %s is lost", r->made);
    struct plan_phase *phase = begin_migration(
        c, hop, db, arena_printf(c->arena, "restore %s", r->database), lossy, db->format);
    struct plan_step *step = step_restore(c, phase, db, false);
    step->detail = arena_printf(c->arena, "of run %.8s", r->run);
    step->lossy = lossy;
    if (db->external != NULL) {
        step_rows(c, phase, db, (int64_t)r->applied.count, -1);
    } else if (db->format != FORMAT_NONE) {
        step_ids(c, phase, db, &db->before, NULL);
    }
    end_migration(c, phase, hop, db, db->format, last);
}
