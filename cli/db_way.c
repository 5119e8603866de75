/*
 * Owns the way that `up` and `down` go: which migrations, in which order, and what they lose. `up` never runs a down script
 * and `down` never an up script. It refuses a ledger that the folder does not explain.
 */
#include <string.h>

#include "cli/db.h"
#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define UNKNOWN_SHOWN 5

static int refuse_unknown(struct db_call *call, const struct db_look *look, struct error *e)
{
    size_t shown = MIN(look->unknown.count, UNKNOWN_SHOWN);
    return error_set(e, E_CONFLICT,
                     "the ledger of database %s holds what %s does not: %s%s. It is another "
                     "version's work: use the newer release's migrations, or look at lockstep db "
                     "status",
                     call->ref.name, call->folder.from,
                     str_join(call->arena, look->unknown.items, shown),
                     look->unknown.count > shown ? " …" : "");
}

static bool in_way(const struct db_way *way, const char *id)
{
    for (size_t i = 0; i < way->count; i++) {
        if (str_equal(way->items[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* What was begun and whose end nobody knows: the runner settles what it can of its own way, the rest is a person's. */
static int check_unsettled(struct db_call *call, const struct db_look *look,
                           const struct db_way *way, struct error *e)
{
    for (size_t i = 0; i < look->unsettled_count; i++) {
        const struct db_unsettled *u = &look->unsettled[i];
        bool settles = in_way(way, u->item) && (way->down || (u->ours && !u->down));
        if (!settles) {
            return error_set(e, E_UNKNOWN,
                             "database %s: %s. Look at what it made, then say so: lockstep db "
                             "retry, mark-applied or mark-reverted %s, or lockstep db down "
                             "(lockstep db status says what each means)",
                             call->ref.name, db_unsettled_words(call->arena, u), u->item);
        }
    }
    return 0;
}

static int check_ledger(struct db_call *call, const struct db_look *look, struct error *e)
{
    if (look->puzzle != NULL) {
        return error_set(e, E_CONFLICT, "database %s: %s", call->ref.name, look->puzzle);
    }
    bool knows_all = look->unknown.count == 0 || call->folder.partial;
    return knows_all ? 0 : refuse_unknown(call, look, e);
}

static int until(struct db_call *call, const char *to, struct migration_set *ret, struct error *e)
{
    int rc = migration_until(call->arena, call->format, &call->folder.set, to, ret, e);
    if (rc < 0) {
        error_wrap(e, "%s", call->folder.from);
    }
    return rc;
}

/* The applied ids that are in the target: what is applied above it stays on a way up. */
static struct strings within(struct arena *arena, const struct strings *applied,
                             const struct migration_set *target)
{
    struct db_ids ids = db_ids_of(arena, target);
    struct strings in = {.items = ARENA_ARRAY(arena, applied->count, const char *)};
    for (size_t i = 0; i < applied->count; i++) {
        if (db_ids_have(&ids, applied->items[i])) {
            in.items[in.count++] = applied->items[i];
        }
    }
    return in;
}

static bool is_in(const char *const *ids, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(ids[i], id)) {
            return true;
        }
    }
    return false;
}

/* A ledger of one row (golang-migrate's) counts up to what was begun: on the way up that is met again, and looked at. */
static struct strings done_upwards(struct db_call *call, const struct db_look *look)
{
    struct strings done = {.items = ARENA_ARRAY(call->arena, look->applied.count, const char *)};
    for (size_t i = 0; i < look->applied.count; i++) {
        bool begun = false;
        for (size_t k = 0; k < look->unsettled_count; k++) {
            const struct db_unsettled *u = &look->unsettled[k];
            begun = begun || (u->ours && !u->down && str_equal(u->item, look->applied.items[i]));
        }
        if (!begun) {
            done.items[done.count++] = look->applied.items[i];
        }
    }
    return done;
}

/* On the way down also goes what was begun upwards and is not in the ledger: its down takes away what is half there; and
 * what was begun downwards, where the ledger says that it is gone, or half-done. */
static void add_begun(struct db_call *call, const struct db_look *look, struct strings *applied)
{
    const char **all =
        ARENA_ARRAY(call->arena, applied->count + look->unsettled_count, const char *);
    size_t count = 0;
    for (; count < applied->count; count++) {
        all[count] = applied->items[count];
    }
    for (size_t i = 0; i < look->unsettled_count; i++) {
        const struct db_unsettled *u = &look->unsettled[i];
        if (!is_in(all, count, u->item) && migration_find(&call->folder.set, u->item) != NULL) {
            all[count++] = u->item;
        }
    }
    *applied = (struct strings){.items = all, .count = count};
}

int db_way_find(struct db_call *call, const struct db_look *look, bool down, const char *to,
                struct db_way *ret, struct error *e)
{
    struct migration_way way = {0};
    struct migration_set target = {0};
    int rc = check_ledger(call, look, e);
    rc = rc < 0 ? rc : until(call, to, &target, e);
    if (rc < 0) {
        return rc;
    }
    const struct migration_set *counts = down ? &call->folder.set : &target;
    struct strings done = down ? look->applied : done_upwards(call, look);
    struct strings applied = within(call->arena, &done, counts);
    if (down) {
        add_begun(call, look, &applied);
    }
    struct strings here;
    rc = migration_difference(call->arena, call->format, &applied, &call->folder.set, &target, &way,
                              &here, e);
    if (down) {
        way.up_count = 0; /* what is pending below the target stays pending */
    }
    if (rc == 0 && call->format->check_way != NULL) {
        rc = call->format->check_way(call->arena, &target, &done, &way, e);
    }
    if (rc < 0) {
        error_wrap(e, "database %s", call->ref.name);
        return rc;
    }
    *ret = (struct db_way){.down = down,
                           .items = down ? way.down : way.up,
                           .count = down ? way.down_count : way.up_count};
    return check_unsettled(call, look, ret, e);
}

int db_way_guess(struct db_call *call, const struct db_look *look, const char *to, bool *ret_down,
                 struct error *e)
{
    struct migration_set target = {0};
    int rc = until(call, to, &target, e);
    if (rc == 0) {
        *ret_down =
            within(call->arena, &look->applied, &target).count < look->applied.count && to != NULL;
    }
    return rc;
}

const char *db_way_loss(const struct db_way *way, size_t i)
{
    const struct migration_script *script = db_script(way, i);
    if (script->lossy != NULL) {
        return script->lossy;
    }
    if (way->down && script->empty && !way->items[i].up.empty) {
        return "takes nothing back: its down is empty, only the ledger moves";
    }
    return NULL;
}

json_t *db_way_json(const struct db_way *way)
{
    json_t *list = json_array();
    for (size_t i = 0; i < way->count; i++) {
        const struct migration_script *script = db_script(way, i);
        json_array_append_new(
            list,
            json_pack("{s:o, s:I, s:o, s:s, s:b, s:b, s:b, s:o}", "id", json_text(way->items[i].id),
                      "version", (json_int_t)way->items[i].version, "file", json_text(script->file),
                      "direction", way->down ? "down" : "up", "transactional",
                      (int)script->transactional, "empty", (int)script->empty, "delegated",
                      (int)script->delegated, "loses", json_text(db_way_loss(way, i))));
        if (way->expected_ms != NULL) {
            json_object_set_new(json_array_get(list, i), "expected_ms",
                                way->expected_ms[i] < 0 ? json_null()
                                                        : json_integer(way->expected_ms[i]));
        }
    }
    return list;
}

static const char *how(const struct migration_script *script)
{
    return script->delegated       ? "by the application's own migrator"
           : script->empty         ? "empty"
           : script->transactional ? "one transaction"
                                   : "no transaction";
}

void db_way_print(struct db_call *call, const struct db_look *look, const struct db_way *way)
{
    printf("database %s (%s): %s\n", call->ref.name, look->place, db_look_words(call->arena, look));
    if (way->count == 0) {
        printf("nothing to do: %s\n",
               way->down ? "nothing above is applied" : "nothing is pending");
        return;
    }
    size_t lossy = 0;
    printf("%zu to go %s:\n", way->count, way->down ? "down" : "up");
    for (size_t i = 0; i < way->count; i++) {
        const struct migration_script *script = db_script(way, i);
        const char *loss = db_way_loss(way, i);
        lossy += loss != NULL ? 1 : 0;
        bool known = way->expected_ms != NULL && way->expected_ms[i] >= 0;
        printf("  %s  (%s%s%s)\n", script->file != NULL ? script->file : way->items[i].id,
               how(script), known ? ", about " : "",
               known ? str_duration(call->arena, way->expected_ms[i]) : "");
        if (loss != NULL) {
            printf("      loses: %s\n", loss);
        }
        struct strings locks = db_way_locks(call, way, i);
        for (size_t l = 0; l < locks.count; l++) {
            printf("      %s\n", locks.items[l]);
        }
    }
    if (way->expected_ms != NULL) {
        db_expect_print(call, way);
    }
    if (lossy > 0) {
        printf("%zu of them lose data or cannot be taken back%s\n", lossy,
               !way->down && look->bare ? "; there is nothing yet that could be lost"
                                        : ": --lossy ok lets them run");
    }
}
