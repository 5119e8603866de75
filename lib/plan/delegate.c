/*
 * Owns the migrations of a native format that are no SQL (goose's .go): each is a start of the application's own migrator at
 * its place in the order, between the ledger that is expected before it and the one after it.
 *
 *   lock with the tool's own ── SQL … ── unlock ──> lock without it ── ledger ── start ── ledger ── unlock ──> lock …
 *
 * The tool wants its own lock for itself, so Lockstep has only its own while it runs. Between two of these phases nobody has
 * either: the ledger says whether somebody came in between.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

bool is_delegated(const struct migration *migration, bool down)
{
    return down ? migration->down.delegated : migration->up.delegated;
}

/* The ledger after some migrations came, or went. */
static struct strings ids_after(struct compiler *c, const struct strings *ids,
                                const struct migration *items, size_t count, bool down)
{
    struct strings after = {0};
    for (size_t i = 0; i < ids->count; i++) {
        bool gone = false;
        for (size_t m = 0; down && m < count && !gone; m++) {
            gone = str_equal(ids->items[i], items[m].id);
        }
        if (!gone) {
            strings_push(c->arena, &after, ids->items[i]);
        }
    }
    for (size_t m = 0; !down && m < count; m++) {
        strings_push(c->arena, &after, items[m].id);
    }
    return after;
}

void step_ids(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
              const struct strings *ids, const struct migration *or_done)
{
    struct plan_step *step = add_step(c, phase, "ledger", db->app->name, db->place, LEDGER_MS);
    struct db_ledger_action *a = ARENA_NEW(c->arena, struct db_ledger_action);
    *a = (struct db_ledger_action){.database = db->ref,
                                   .format = db->format,
                                   .expect_ids = *ids,
                                   .expect_count = -1,
                                   .or_done = or_done != NULL,
                                   .done_id = or_done != NULL ? or_done->id : NULL};
    step->action->db_ledger = a;
    step->detail = arena_printf(c->arena, "%zu applied%s", ids->count,
                                or_done != NULL ? ", or it has run already" : "");
}

static void phase_tool(struct compiler *c, size_t hop, const struct hop_database *db,
                       const struct migration *m, bool down, struct strings *ids, bool last)
{
    const char *file = down ? m->down.file : m->up.file;
    const char *name = arena_printf(c->arena, "migrate %s, %s", db->app->name, file);
    const char *lossy = lossy_items(c, m, 1, down);
    struct plan_phase *phase = begin_migration(c, hop, db, name, lossy, FORMAT_NONE);
    size_t first = phase->steps.count;
    steps_tool_lock(c, phase, db);
    step_ids(c, phase, db, ids, m);
    struct action in;
    struct plan_step *step =
        step_tool(c, phase, db, down, arena_printf(c->arena, "%s %s", db->app->name, file), &in);
    resolve_delegated(c, hop, db->app->name, m, &in, step->action);
    step->lossy = lossy;
    step->retry_back = (int64_t)(phase->steps.count - 1 - first);
    *ids = ids_after(c, ids, m, 1, down);
    step_ids(c, phase, db, ids, NULL);
    end_migration(c, phase, hop, db, FORMAT_NONE, last);
}

static void phase_native(struct compiler *c, size_t hop, const struct hop_database *db,
                         const struct migration *items, size_t count, bool down,
                         struct strings *ids, bool last)
{
    const char *name = arena_printf(c->arena, "migrate %s", db->app->name);
    struct plan_phase *phase =
        begin_migration(c, hop, db, name, lossy_items(c, items, count, down), db->format);
    step_native(c, phase, db, items, count, down);
    *ids = ids_after(c, ids, items, count, down);
    end_migration(c, phase, hop, db, db->format, last);
}

static void phases_of(struct compiler *c, size_t hop, const struct hop_database *db, bool down,
                      struct strings *ids)
{
    const struct migration *items = down ? db->way.down : db->way.up;
    size_t count = down ? db->way.down_count : db->way.up_count;
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && !is_delegated(&items[end], down)) {
            end++;
        }
        bool tool = end == i;
        end += tool ? 1 : 0;
        bool last = end == count && (!down || db->way.up_count == 0) && !db->goes_on;
        if (tool) {
            phase_tool(c, hop, db, &items[i], down, ids, last);
        } else {
            phase_native(c, hop, db, &items[i], end - i, down, ids, last);
        }
        i = end;
    }
}

void phases_delegated(struct compiler *c, size_t hop, const struct hop_database *db)
{
    struct strings ids = db->before;
    phases_of(c, hop, db, true, &ids);
    phases_of(c, hop, db, false, &ids);
}
